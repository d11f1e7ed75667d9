/* ctr/fit_course.h - the course of a training as JSON beside the model, for reports and comparisons:
 *     {"model": "deepfm_...", "points": [{"epoch": 0.1, "rows": 8192, "train_loss": 0.4,
 *      "valid_loss": null, "valid_auc": null}, ...]}
 * Threads: no state. */
#ifndef CTR_FIT_COURSE_H
#define CTR_FIT_COURSE_H

#include "base/buf.h"
#include "ctr/fit.h"

ONNXD_MUST_USE onnxd_status fit_course_write(const struct fit *fit, const char *name, struct buf *out,
                                             onnxd_error *err);

/* The caller frees *ret_points. ONNXD_ERR_FORMAT, ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status fit_course_read(const char *json, size_t n, struct fit_point **ret_points,
                                            uint32_t *ret_n, onnxd_error *err);

#endif
