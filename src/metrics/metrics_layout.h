/* metrics/metrics_layout.h - the shared block: header, series table, slots. Private to the folder.
 *
 * Series are only ever appended: everything about one is written before n_series counts it, so that a process
 * which dies while registering leaves the table whole. Of a series only its labels change later; they are
 * written and read under the lock. */
#ifndef METRICS_METRICS_LAYOUT_H
#define METRICS_METRICS_LAYOUT_H

#include <pthread.h>
#include <stdbool.h>

#include "metrics/metrics.h"

#define METRICS_NAME_BYTES   80
#define METRICS_HELP_BYTES   128
#define METRICS_LABELS_BYTES 256

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_TALLIES };

struct metrics_series {
    char name[METRICS_NAME_BYTES];
    char help[METRICS_HELP_BYTES];
    char labels[METRICS_LABELS_BYTES]; /* as written: a="b",c="d" */
    uint32_t kind;
    uint32_t cell; /* histogram: a count for each bucket, one for +Inf, then the sum */
    uint32_t n_cells;
    uint32_t n_bounds;
    uint32_t family; /* index of the first series of this name */
    double scale;
    uint64_t bounds[METRICS_MAX_BOUNDS];
    _Atomic bool hidden;
};

struct metrics {
    pthread_mutex_t registering; /* shared by processes, robust */
    uint32_t n_slots, max_series, max_cells;
    uint32_t n_cells;
    _Atomic uint32_t n_series;
    size_t slot_bytes, series_at, slots_at; /* offsets in the block */
};

void metrics_lock(struct metrics *m);

static inline struct metrics_series *metrics_series_at(const struct metrics *m, uint32_t i)
{
    return (struct metrics_series *)((uintptr_t)m + m->series_at) + i;
}
static inline _Atomic uint64_t *metrics_slot(const struct metrics *m, uint32_t slot)
{
    return (_Atomic uint64_t *)((uintptr_t)m + m->slots_at + slot * m->slot_bytes);
}
static inline uint64_t metrics_sum(const struct metrics *m, uint32_t cell)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n_slots; i++)
        sum += atomic_load_explicit(&metrics_slot(m, i)[cell], memory_order_relaxed);
    return sum;
}

#endif
