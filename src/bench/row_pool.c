#include "bench/row_pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/random_input.h"
#include "engine/native_model.h"

enum { MIN_ROWS = 4096 };

static void copy_rows(const struct row_pool *pool, uint32_t first, uint32_t n, struct row_batch *to,
                      uint32_t at)
{
    for (uint32_t i = 0; i < pool->schema->n_inputs; i++) {
        size_t row = pool->schema->inputs[i].row_bytes;
        memmove((char *)to->rows.data[i] + at * row, (const char *)pool->rows.rows.data[i] + first * row,
                n * row);
    }
}

void row_pool_copy(const struct row_pool *pool, uint32_t first, uint32_t n, struct row_batch *to)
{
    copy_rows(pool, first, n, to, 0);
}

uint32_t row_pool_take(struct row_pool *pool, uint32_t batch)
{
    if (pool->next > pool->rows.rows.capacity - batch)
        pool->next = 0; /* batches of other sizes went before */
    uint32_t first = pool->next;
    pool->next += batch;
    return first;
}

static onnxd_status read_rows(struct row_pool *pool, const char *path, onnxd_error *err)
{
    struct row_stream stream;
    onnxd_status status = row_stream_open(&stream, path, row_format_of_path(path), pool->schema, err);
    if (status != ONNXD_OK) return status;
    status = row_stream_read(&stream, &pool->rows.rows, err);
    if (status == ONNXD_OK && stream.fault != ONNXD_OK)
        status = row_stream_read(&stream, &pool->rows.rows, err);
    row_stream_close(&stream);
    uint32_t n = pool->rows.rows.n;
    if (status == ONNXD_OK && n == 0) status = error_set(err, ONNXD_ERR_FORMAT, "%s: holds no rows", path);
    for (uint32_t i = n; status == ONNXD_OK && i < pool->rows.rows.capacity; i++)
        copy_rows(pool, i % n, 1, &pool->rows, i);
    return status;
}

static onnxd_status draw_rows(struct row_pool *pool, onnxd_model *model, struct rng *rng, onnxd_error *err)
{
    bool native = strcmp(onnxd_model_engine_name(model), "native") == 0;
    struct input_ranges ranges;
    uint32_t n = pool->schema->n_inputs;
    onnxd_tensor *in = calloc(n + 1u, sizeof *in);
    if (in == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the tensors");
    row_batch_tensors(&pool->rows, pool->schema, 0, pool->rows.rows.capacity, in);
    onnxd_status status = input_ranges_init(&ranges, native ? native_model_of(model)->graph : NULL, in, n,
                                            err);
    if (status == ONNXD_OK) {
        input_ranges_draw(&ranges, rng, in);
        input_ranges_done(&ranges);
    }
    free(in);
    return status;
}

onnxd_status row_pool_init(struct row_pool *pool, onnxd_model *model, const struct protocol_schema *schema,
                           const char *path, uint32_t most, struct rng *rng, onnxd_error *err)
{
    uint32_t capacity = 2 * most > MIN_ROWS ? 2 * most : MIN_ROWS;
    *pool = (struct row_pool){.schema = schema};
    onnxd_status status = row_batch_init(&pool->rows, schema, capacity, err);
    if (status == ONNXD_OK)
        status = path != NULL ? read_rows(pool, path, err) : draw_rows(pool, model, rng, err);
    if (status != ONNXD_OK) row_pool_done(pool);
    return status;
}

void row_pool_done(struct row_pool *pool)
{
    if (pool->schema != NULL) row_batch_done(&pool->rows);
    *pool = (struct row_pool){0};
}
