/* ctr/fit_checkpoint.h - training as a file, and back, to go on bit for bit.
 *
 * A checkpoint holds the options, the shape, all parameters with the state of the optimiser, the best
 * weights, the course so far and how far the epoch is. Rows are not part of it: it goes on only with as many
 * rows and positive rows as before. base/seal.h is its frame.
 *
 * Loading trusts nothing: sizes are held against the shape, every number must be finite, and nothing changes
 * unless all of it is right. Threads: one at a time. */
#ifndef CTR_FIT_CHECKPOINT_H
#define CTR_FIT_CHECKPOINT_H

#include "base/seal.h"
#include "ctr/fit_head.h"

extern const struct seal fit_checkpoint_seal; /* the frame */

/* Replaces the file at once or not at all. ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status fit_save(const struct fit *fit, const char *path, onnxd_error *err);

/* Brings a fit that was just created to where the file was. max_epochs, patience and calibrate may differ
 * from the file's. ONNXD_ERR_FORMAT: not a checkpoint, or damaged; ONNXD_ERR_ARGUMENT names the option, or
 * the rows, that are others. */
ONNXD_MUST_USE onnxd_status fit_load(struct fit *fit, const char *path, onnxd_error *err);

/* What a checkpoint needs to be loaded or exported. */
ONNXD_MUST_USE onnxd_status fit_read_head(const char *path, struct fit_head *ret_head, onnxd_error *err);

/* The best weights, without the rows, for export: only options, shape, model, offset, best_point and points
 * of *ret_fit are set, and only fit_result_done may be called on it. The shape is borrowed. Errors as above;
 * ONNXD_ERR_CANCELLED: nothing was validated yet. */
ONNXD_MUST_USE onnxd_status fit_read_result(const char *path, const struct ctr_shape *shape,
                                            struct fit *ret_fit, onnxd_error *err);
void fit_result_done(struct fit *fit);

#endif
