/* deepfm_train_files.h - where a training keeps its files, and the model that comes of it. */
#ifndef DEEPFM_TRAIN_FILES_H
#define DEEPFM_TRAIN_FILES_H

#include "ctr/fit.h"
#include "features/feature_set.h"

enum { TRAIN_MAX_PATH = 4096 };

/* DIR/features.json, DIR/train.rows, DIR/valid.rows, DIR/all.rows, DIR/checkpoint. */
struct train_files {
    char features[TRAIN_MAX_PATH], train[TRAIN_MAX_PATH], valid[TRAIN_MAX_PATH], all[TRAIN_MAX_PATH],
        checkpoint[TRAIN_MAX_PATH];
};

/* ONNXD_ERR_ARGUMENT: the path is too long. */
ONNXD_MUST_USE onnxd_status train_files_of(const char *folder, struct train_files *ret_files,
                                           onnxd_error *err);

/* Whether --name can be part of a file's name, asked before the work and not behind it. NULL can.
 * ONNXD_ERR_ARGUMENT.
 */
ONNXD_MUST_USE onnxd_status train_check_name(const char *name, onnxd_error *err);

ONNXD_MUST_USE onnxd_status train_write_features(const struct feature_set *set, const char *path,
                                                 onnxd_error *err);
ONNXD_MUST_USE onnxd_status train_read_features(const char *path, struct feature_set **ret_set,
                                                onnxd_error *err);

/* Writes FOLDER/NAME.onnx, its NAME.features.json and NAME.training.json. name NULL: from the settings.
 * ret_path, which may be NULL, gets the model's path. */
ONNXD_MUST_USE onnxd_status train_write_model(const struct fit *fit, const struct feature_set *set,
                                              const char *folder, const char *name,
                                              char ret_path[TRAIN_MAX_PATH], onnxd_error *err);

/* "x.onnx" -> "x.training.json". */
ONNXD_MUST_USE onnxd_status train_course_path(const char *model_path, char ret_path[TRAIN_MAX_PATH],
                                              onnxd_error *err);

#endif
