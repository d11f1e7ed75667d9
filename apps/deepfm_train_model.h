/* deepfm_train_model.h - a model file with its features, ready to score records. */
#ifndef DEEPFM_TRAIN_MODEL_H
#define DEEPFM_TRAIN_MODEL_H

#include "base/threads.h"
#include "ctr/ctr_scorer.h"
#include "features/feature_set.h"

struct served_deepfm {
    onnxd_model *model;
    struct feature_set *set;
    struct threads *threads;
    struct ctr_scorer *scorer;
};

/* n_threads 0: one for each usable CPU. ONNXD_ERR_NOT_FOUND: no model, or no features file beside it. */
ONNXD_MUST_USE onnxd_status served_deepfm_open(const char *path, onnxd_engine engine, uint32_t n_threads,
                                               struct served_deepfm *ret, onnxd_error *err);
void served_deepfm_close(struct served_deepfm *served); /* takes a zeroed one */

#endif
