/* features/features_file.h - NAME.features.json, the description beside NAME.onnx, read and written.
 *
 * The file's form is told in docs/deepfm.md. Its "format" is a number; readers refuse later ones.
 * "model_sha256" ties it to the bytes of the model it was trained with.
 *
 * Threads: no state. */
#ifndef FEATURES_FEATURES_FILE_H
#define FEATURES_FEATURES_FILE_H

#include "base/buf.h"
#include "features/sha256.h"
#include "features/feature_set.h"

#define FEATURES_FILE_FORMAT    1
#define FEATURES_FILE_MAX_BYTES ((size_t)1 << 30)

/* The name of the description beside a model: "x.onnx" -> "x.features.json"; another ending is kept:
 * "x.bin" -> "x.bin.features.json". ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status features_file_path(const char *model_path, char *ret_path, size_t size,
                                               onnxd_error *err);

/* Reads the text of a description. model_sha256, which may be NULL, must be the one it names. The caller
 * owns *ret_set. ONNXD_ERR_FORMAT, ONNXD_ERR_RANGE, ONNXD_ERR_LIMIT, ONNXD_ERR_UNSUPPORTED (a later format),
 * ONNXD_ERR_MODEL (another model), ONNXD_ERR_NOMEM; the message names the place in the text. */
ONNXD_MUST_USE onnxd_status features_read(const char *text, size_t n, const char *model_sha256,
                                          struct feature_set **ret_set, onnxd_error *err);

/* The description beside the model file at `model_path`; *ret_set is NULL where there is none. Errors as
 * above and ONNXD_ERR_IO; all name the file. */
ONNXD_MUST_USE onnxd_status features_load_beside(const char *model_path, struct feature_set **ret_set,
                                                 onnxd_error *err);

/* Appends the description. model_sha256 NULL: not yet known; such a text is refused where a model is to be
 * matched. ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status features_write(const struct feature_set *set, const char *model_sha256,
                                           struct buf *out, onnxd_error *err);

/* Writes the description beside the model that was just written to `model_path`, with its checksum.
 * ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status features_save_beside(const struct feature_set *set, const char *model_path,
                                                 onnxd_error *err);

#endif
