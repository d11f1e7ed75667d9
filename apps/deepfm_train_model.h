/* deepfm_train_model.h - a model file with its features, ready to score records. */
#ifndef DEEPFM_TRAIN_MODEL_H
#define DEEPFM_TRAIN_MODEL_H

#include "base/threads.h"
#include "cli_options.h"
#include "ctr/ctr_scorer.h"
#include "features/feature_set.h"

struct model_options {
    int engine; /* onnxd_engine */
    uint32_t threads;
};

/* What runs a model. `type` has a member struct model_options model. */
#define MODEL_OPTIONS(type)                                                                               \
    {"engine", CLI_CHOICE, CLI_AT(type, model.engine), "auto|native|onnxruntime", "what runs the model"}, \
    {                                                                                                     \
        "threads", CLI_U32, CLI_AT(type, model.threads), "N", "0: one for each usable CPU", .max = 1024   \
    }

struct served_deepfm {
    onnxd_model *model;
    struct feature_set *set;
    struct threads *threads;
    struct ctr_scorer *scorer;
};

/* ONNXD_ERR_NOT_FOUND: no model, or no features file beside it. */
ONNXD_MUST_USE onnxd_status served_deepfm_open(const char *path, const struct model_options *options,
                                               struct served_deepfm *ret, onnxd_error *err);
void served_deepfm_close(struct served_deepfm *served); /* takes a zeroed one */

#endif
