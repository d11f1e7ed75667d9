/* ctr/row_order.h - in which order an epoch visits the rows, and which negative ones it leaves out.
 *
 * Rows are shuffled in two steps, so that a file larger than memory is read in pieces: chunks of neighbours
 * are shuffled, and the rows of many chunks in a row are shuffled among each other. Up to ROW_ORDER_WINDOW
 * rows the order is a plain random permutation.
 *
 * Negative down-sampling keeps exactly as many negative rows as were asked for, drawn afresh each epoch
 * (selection sampling: Knuth, TAOCP 2, 3.4.2, algorithm S).
 *
 * The order follows from seed and epoch alone. Ownership: the rows are borrowed. Threads: one at a time. */
#ifndef CTR_ROW_ORDER_H
#define CTR_ROW_ORDER_H

#include "base/rng.h"
#include "ctr/encoded_rows.h"

enum { ROW_ORDER_CHUNK = 512, ROW_ORDER_WINDOW = 1 << 20 };

struct row_order {
    const struct encoded_rows *rows;
    uint64_t seed;
    uint64_t n_positive, n_negative;
    uint64_t n_kept; /* negative rows of an epoch */
    /* of the epoch under way */
    struct rng rng;
    uint32_t *chunks; /* [n_chunks] in their order */
    uint32_t n_chunks, next_chunk;
    uint64_t negatives_left, kept_left; /* still to be seen; of them still to be kept */
    uint64_t *window;                   /* [n_window] rows */
    uint32_t n_window, at;
};

/* Counts the labels. negatives_a_positive 0: every row is visited. Rows with a label of at least 1/2 are
 * positive. ONNXD_ERR_RANGE: only one class; ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status row_order_init(struct row_order *order, const struct encoded_rows *rows,
                                           uint32_t negatives_a_positive, uint64_t seed, onnxd_error *err);
void row_order_done(struct row_order *order); /* takes a zeroed one */

/* Rows of an epoch. */
static inline uint64_t row_order_n(const struct row_order *order)
{
    return order->n_positive + order->n_kept;
}

/* The share of negative rows that training sees, 0..1: w of p / (p + (1 - p) / w). */
static inline double row_order_keep_rate(const struct row_order *order)
{
    return (double)order->n_kept / (double)order->n_negative;
}

void row_order_start(struct row_order *order, uint64_t epoch);

/* The next rows, at most max; fewer only at the epoch's end, 0 behind it. */
uint32_t row_order_next(struct row_order *order, uint64_t *ret_index, uint32_t max);

#endif
