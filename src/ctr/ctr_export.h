/* ctr/ctr_export.h - a trained DeepFM as an ONNX file.
 *
 * Input "input" [batch, n_columns] float32, as the features lay it out; output "output" [batch, 1], a
 * probability. The operators are plain ones of opset 17 in the shape that the engine's fusions know, the one
 * PyTorch exports of DeepCTR models have: Slice, Cast and Gather for each id; Concat; Gemm and Relu; sums for
 * the factorisation machine; Sigmoid. Calibration is part of the bias.
 *
 * Threads: no state. */
#ifndef CTR_CTR_EXPORT_H
#define CTR_CTR_EXPORT_H

#include "base/buf.h"
#include "ctr/fit.h"

/* `offset` is added to the log-odds. ONNXD_ERR_NOMEM, ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status ctr_to_onnx(const struct deepfm *model, double offset, struct buf *out,
                                        onnxd_error *err);

/* "deepfm_emb8_lr0.0001_dnn25612864_neg150_best" for embedding 8, rate 1e-4, layers 256, 128 and 64, at most
 * 150 negatives a positive; without "_neg..." where all rows were taken. */
void ctr_model_name(const struct fit_options *options, const struct ctr_shape *shape, char *out, size_t size);

#endif
