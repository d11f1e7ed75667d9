/* bench/row_pool.h - rows of a model to measure with, so that every call gets others.
 *
 * They come from a file, repeated until the pool is full, or are drawn within the tables that the model's
 * graph shows (random_input.h).
 *
 * Ownership: row_pool_done frees; the schema is borrowed. Threads: one at a time. */
#ifndef BENCH_ROW_POOL_H
#define BENCH_ROW_POOL_H

#include "base/rng.h"
#include "onnxd/onnxd.h"
#include "protocol/row_stream.h"

struct row_pool {
    const struct protocol_schema *schema;
    struct row_batch rows;
    uint32_t next;
};

/* `path`: a file of rows by its ending (row_stream.h), or NULL: drawn. `most`: rows of the largest batch that
 * will be taken. `model` is asked for its graph when it is native. ONNXD_ERR_FORMAT: the file holds no rows;
 * what reading says; ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status row_pool_init(struct row_pool *pool, onnxd_model *model,
                                          const struct protocol_schema *schema, const char *path,
                                          uint32_t most, struct rng *rng, onnxd_error *err);
void row_pool_done(struct row_pool *pool); /* takes a zeroed one */

/* The first of the next `batch` rows, which lie side by side. */
uint32_t row_pool_take(struct row_pool *pool, uint32_t batch);

/* Copies rows first..first+n to the start of *to. */
void row_pool_copy(const struct row_pool *pool, uint32_t first, uint32_t n, struct row_batch *to);

#endif
