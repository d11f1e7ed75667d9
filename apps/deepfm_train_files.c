#include "deepfm_train_files.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "ctr/ctr_export.h"
#include "ctr/fit_course.h"
#include "features/features_file.h"

#define MAX_MODEL_BYTES ((size_t)1 << 31)

enum { MAX_NAME = 200 }; /* with the longest ending it is a file's name anywhere */

__attribute__((format(printf, 3, 4))) static onnxd_status make_path(char *out, onnxd_error *err,
                                                                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, TRAIN_MAX_PATH, format, args);
    va_end(args);
    if (n < 0 || n >= TRAIN_MAX_PATH) return error_set(err, ONNXD_ERR_ARGUMENT, "the path is too long");
    return ONNXD_OK;
}

onnxd_status train_files_of(const char *folder, struct train_files *f, onnxd_error *err)
{
    onnxd_status status = make_path(f->features, err, "%s/features.json", folder);
    if (status == ONNXD_OK) status = make_path(f->train, err, "%s/train.rows", folder);
    if (status == ONNXD_OK) status = make_path(f->valid, err, "%s/valid.rows", folder);
    if (status == ONNXD_OK) status = make_path(f->all, err, "%s/all.rows", folder);
    if (status == ONNXD_OK) status = make_path(f->checkpoint, err, "%s/checkpoint", folder);
    return status;
}

onnxd_status train_check_name(const char *name, onnxd_error *err)
{
    if (name == NULL) return ONNXD_OK;
    size_t n = strlen(name);
    bool good = n > 0 && n <= MAX_NAME && strchr(name, '/') == NULL;
    for (size_t i = 0; i < n && good; i++) good = (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
    return good ? ONNXD_OK
                : error_set(err, ONNXD_ERR_ARGUMENT,
                            "--name '%.60s': expected 1 to %d bytes without slashes and control characters",
                            name, MAX_NAME);
}

onnxd_status train_write_features(const struct feature_set *set, const char *path, onnxd_error *err)
{
    struct buf text;
    buf_init(&text, FEATURES_FILE_MAX_BYTES);
    onnxd_status status = features_write(set, NULL, &text, err);
    if (status == ONNXD_OK) status = file_replace(path, text.data, text.n, err);
    buf_done(&text);
    return status;
}

onnxd_status train_read_features(const char *path, struct feature_set **ret_set, onnxd_error *err)
{
    char *text = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, FEATURES_FILE_MAX_BYTES, &text, &n, err);
    if (status != ONNXD_OK) return status;
    status = features_read(text, n, NULL, ret_set, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    free(text);
    return status;
}

onnxd_status train_course_path(const char *model_path, char ret_path[TRAIN_MAX_PATH], onnxd_error *err)
{
    size_t n = strlen(model_path);
    if (n > 5 && strcmp(model_path + n - 5, ".onnx") == 0) n -= 5;
    if (n > INT32_MAX) return error_set(err, ONNXD_ERR_ARGUMENT, "the path is too long");
    return make_path(ret_path, err, "%.*s.training.json", (int)n, model_path);
}

onnxd_status train_write_model(const struct fit *fit, const struct feature_set *set, const char *folder,
                               const char *name, char ret_path[TRAIN_MAX_PATH], onnxd_error *err)
{
    struct buf model, course;
    char own_name[200], path[TRAIN_MAX_PATH], course_path[TRAIN_MAX_PATH];
    ctr_model_name(&fit->options, fit->shape, own_name, sizeof own_name);
    if (name == NULL) name = own_name;
    buf_init(&model, MAX_MODEL_BYTES);
    buf_init(&course, MAX_MODEL_BYTES);
    onnxd_status status = make_path(path, err, "%s/%s.onnx", folder, name);
    if (status == ONNXD_OK) status = train_course_path(path, course_path, err);
    if (status == ONNXD_OK) status = ctr_to_onnx(&fit->model, fit->offset, &model, err);
    if (status == ONNXD_OK) status = file_replace(path, model.data, model.n, err);
    if (status == ONNXD_OK) status = features_save_beside(set, path, err);
    if (status == ONNXD_OK) status = fit_course_write(fit, name, &course, err);
    if (status == ONNXD_OK) status = file_replace(course_path, course.data, course.n, err);
    if (status == ONNXD_OK && ret_path != NULL) memcpy(ret_path, path, sizeof path);
    buf_done(&model);
    buf_done(&course);
    return status;
}
