#include "ctr/row_split.h"

#include "base/rng.h"

onnxd_status row_split(const struct encoded_rows *rows, double share, uint64_t seed, const char *first_path,
                       const char *second_path, onnxd_error *err)
{
    struct encoded_writer *first = NULL, *second = NULL;
    struct rng rng = rng_seed(seed);
    onnxd_status status = encoded_writer_create(first_path, rows->n_columns, &first, err);
    if (status == ONNXD_OK) status = encoded_writer_create(second_path, rows->n_columns, &second, err);
    for (uint64_t i = 0; i < rows->n_rows && status == ONNXD_OK; i++)
        status = encoded_writer_append(rng_f64(&rng) < share ? second : first, encoded_row(rows, i),
                                       encoded_label(rows, i), encoded_weight(rows, i), err);
    if (status == ONNXD_OK) status = encoded_writer_finish(first, err);
    if (status == ONNXD_OK) status = encoded_writer_finish(second, err);
    encoded_writer_free(first);
    encoded_writer_free(second);
    return status;
}
