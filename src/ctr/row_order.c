#include "ctr/row_order.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

onnxd_status row_order_init(struct row_order *ret_order, const struct encoded_rows *rows,
                            uint32_t negatives_a_positive, uint64_t seed, onnxd_error *err)
{
    struct row_order o = {.rows = rows, .seed = seed};
    uint64_t n_chunks = (rows->n_rows + ROW_ORDER_CHUNK - 1) / ROW_ORDER_CHUNK;
    uint64_t window = rows->n_rows < ROW_ORDER_WINDOW ? rows->n_rows : ROW_ORDER_WINDOW;
    for (uint64_t i = 0; i < rows->n_rows; i++) o.n_positive += encoded_label(rows, i) >= 0.5f;
    o.n_negative = rows->n_rows - o.n_positive;
    if (o.n_positive == 0 || o.n_negative == 0)
        return error_set(err, ONNXD_ERR_RANGE,
                         "training rows: %llu positive and %llu negative; both are needed",
                         (unsigned long long)o.n_positive, (unsigned long long)o.n_negative);
    if (n_chunks > UINT32_MAX)
        return error_set(err, ONNXD_ERR_LIMIT, "training rows: %llu are too many",
                         (unsigned long long)rows->n_rows);
    o.n_kept = o.n_negative;
    if (negatives_a_positive > 0 && o.n_negative / negatives_a_positive >= o.n_positive)
        o.n_kept = o.n_positive * negatives_a_positive;
    o.n_chunks = (uint32_t)n_chunks;
    o.chunks = malloc(n_chunks * sizeof *o.chunks);
    o.window = malloc((window + ROW_ORDER_CHUNK) * sizeof *o.window);
    if (o.chunks == NULL || o.window == NULL) {
        row_order_done(&o);
        return error_set(err, ONNXD_ERR_NOMEM, "training rows: no memory for the order of %llu",
                         (unsigned long long)rows->n_rows);
    }
    *ret_order = o;
    return ONNXD_OK;
}

void row_order_done(struct row_order *order)
{
    free(order->chunks);
    free(order->window);
    *order = (struct row_order){0};
}

void row_order_start(struct row_order *o, uint64_t epoch)
{
    struct rng root = rng_seed(o->seed);
    o->rng = rng_fork(&root, epoch);
    for (uint32_t i = 0; i < o->n_chunks; i++) o->chunks[i] = i;
    for (uint32_t i = o->n_chunks; i > 1; i--) {
        uint32_t j = (uint32_t)rng_below(&o->rng, i), other = o->chunks[i - 1];
        o->chunks[i - 1] = o->chunks[j];
        o->chunks[j] = other;
    }
    o->next_chunk = o->n_window = o->at = 0;
    o->negatives_left = o->n_negative;
    o->kept_left = o->n_kept;
}

/* Whether the row is visited in this epoch. */
static bool keep(struct row_order *o, uint64_t row)
{
    if (o->n_kept == o->n_negative || encoded_label(o->rows, row) >= 0.5f) return true;
    bool kept = rng_below(&o->rng, o->negatives_left) < o->kept_left;
    o->negatives_left--;
    o->kept_left -= kept;
    return kept;
}

static void fill_window(struct row_order *o)
{
    o->n_window = o->at = 0;
    for (; o->next_chunk < o->n_chunks && o->n_window < ROW_ORDER_WINDOW; o->next_chunk++) {
        uint64_t first = (uint64_t)o->chunks[o->next_chunk] * ROW_ORDER_CHUNK;
        uint64_t left = o->rows->n_rows - first, n = left < ROW_ORDER_CHUNK ? left : ROW_ORDER_CHUNK;
        for (uint64_t row = first; row < first + n; row++)
            if (keep(o, row)) o->window[o->n_window++] = row;
    }
    for (uint32_t i = o->n_window; i > 1; i--) {
        uint32_t j = (uint32_t)rng_below(&o->rng, i);
        uint64_t other = o->window[i - 1];
        o->window[i - 1] = o->window[j];
        o->window[j] = other;
    }
}

uint32_t row_order_next(struct row_order *o, uint64_t *ret_index, uint32_t max)
{
    uint32_t n = 0;
    while (n < max) {
        if (o->at == o->n_window) {
            if (o->next_chunk == o->n_chunks) break;
            fill_window(o);
            continue;
        }
        uint32_t left = o->n_window - o->at, some = max - n < left ? max - n : left;
        memcpy(ret_index + n, o->window + o->at, some * sizeof *ret_index);
        o->at += some;
        n += some;
    }
    return n;
}
