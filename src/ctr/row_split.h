/* ctr/row_split.h - parting rows at random into those to train on and those to judge by. */
#ifndef CTR_ROW_SPLIT_H
#define CTR_ROW_SPLIT_H

#include "ctr/encoded_rows.h"

/* Writes each row to one of two files, keeping their order; a share of about `share` goes to the second.
 * The same seed parts the same way. ONNXD_ERR_IO, ONNXD_ERR_NOMEM, ONNXD_ERR_RANGE (a row that cannot be). */
ONNXD_MUST_USE onnxd_status row_split(const struct encoded_rows *rows, double share, uint64_t seed,
                                      const char *first_path, const char *second_path, onnxd_error *err);

#endif
