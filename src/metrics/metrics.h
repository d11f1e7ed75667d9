/* metrics/metrics.h - counters, gauges and histograms, told in Prometheus' text form.
 *
 *     size_t n = metrics_block_bytes(&size);
 *     struct metrics *m = metrics_create(mmap(...shared...), &size);      // or calloc for one process
 *     struct metric requests, duration;
 *     metrics_counter(m, "nv_inference_count", "Rows run.", labels, 2, 1, &requests, err);
 *     struct metrics_writer w = metrics_writer(m, slot);                   // once a thread
 *     metrics_add(&w, requests, 1);                                        // hot: no lock, no shared line
 *     metrics_render(m, &buf);
 *
 * Everything lives in one caller-provided block without pointers, so that processes which map it (even
 * at different addresses) share the series and one of them can answer for all. Each thread writes only
 * its own slot of cells; reading adds the slots up. A slot outlives its thread: a restarted worker that
 * takes the slot of the dead one keeps counters rising (see metrics_reset_gauges).
 *
 * Threads: registering, hiding and rendering from any thread or process; a slot has one writer. */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "onnxd/status.h"

#define METRICS_MAX_BOUNDS 24

struct metrics;

struct metrics_size {    /* 0 selects the default */
    uint32_t n_slots;    /* writing threads of all processes; 16 */
    uint32_t max_series; /* 512 */
    uint32_t max_cells;  /* of a slot: 1 a counter, gauge or tally, bounds + 2 a histogram; 4096 */
};

struct metric_label {
    const char *name, *value;
};

struct metric { /* a registered series; a plain value */
    uint32_t cell;
    uint32_t series;
};

/* Bytes the block needs; a multiple of 64. */
size_t metrics_block_bytes(const struct metrics_size *size);

/* Lays out an empty registry in `block`, which is zeroed, aligned to 64 and outlives all use. Never fails. */
struct metrics *metrics_create(void *block, const struct metrics_size *size);

/* Registering the same name and labels again gives the same series, and shows it again when it was
 * hidden. `scale` multiplies the stored integers on output (1e-9: nanoseconds as seconds).
 * ONNXD_ERR_LIMIT when the block is full; ONNXD_ERR_ARGUMENT for a bad name, too long labels, bounds that
 * do not rise or another kind under the same name. `help` may be NULL. */
ONNXD_MUST_USE onnxd_status metrics_counter(struct metrics *m, const char *name, const char *help,
                                            const struct metric_label *labels, uint32_t n_labels,
                                            double scale, struct metric *ret, onnxd_error *err);
ONNXD_MUST_USE onnxd_status metrics_gauge(struct metrics *m, const char *name, const char *help,
                                          const struct metric_label *labels, uint32_t n_labels, double scale,
                                          struct metric *ret, onnxd_error *err);
/* bounds[n_bounds]: upper bounds, inclusive, rising, in stored units; +Inf is added. */
ONNXD_MUST_USE onnxd_status metrics_histogram(struct metrics *m, const char *name, const char *help,
                                              const struct metric_label *labels, uint32_t n_labels,
                                              double scale, const uint64_t *bounds, uint32_t n_bounds,
                                              struct metric *ret, onnxd_error *err);

/* n counters under one name that the text leaves out, for what is told in another form. ONNXD_ERR_ARGUMENT
 * when the name has another number of them. */
ONNXD_MUST_USE onnxd_status metrics_tallies(struct metrics *m, const char *name,
                                            const struct metric_label *labels, uint32_t n_labels, uint32_t n,
                                            struct metric *ret, onnxd_error *err);

/* 10 us to 10 s in steps of 1, 2.5, 5; in nanoseconds. */
#define METRICS_N_TIME_BOUNDS 19
extern const uint64_t metrics_time_bounds_ns[METRICS_N_TIME_BOUNDS];

/* The series of this name and these labels that is shown; false: there is none. */
bool metrics_find(struct metrics *m, const char *name, const struct metric_label *labels, uint32_t n_labels,
                  struct metric *ret);

/* Gives a series other labels, zeroes its cells in all slots and shows it: another thing is counted from now
 * on. Nobody may write to it meanwhile. ONNXD_ERR_ARGUMENT as above; nothing has changed then. */
ONNXD_MUST_USE onnxd_status metrics_relabel(struct metrics *m, struct metric metric,
                                            const struct metric_label *labels, uint32_t n_labels,
                                            onnxd_error *err);

/* Leaves a series out of the output, as when a model is unloaded. Its cells stay. */
void metrics_hide(struct metrics *m, struct metric metric);

/* ---- writing ---- */

struct metrics_writer {
    struct metrics *metrics;
    _Atomic uint64_t *cells; /* of this thread's slot */
};

struct metrics_writer metrics_writer(struct metrics *m, uint32_t slot); /* slot < n_slots */

/* Zeroes the gauges of a slot: what a dead worker had open is open no more. */
void metrics_reset_gauges(struct metrics *m, uint32_t slot);

static inline void metrics_add(const struct metrics_writer *w, struct metric metric, uint64_t n)
{
    /* One writer: a plain add, atomic only so that a reader never sees half of it. */
    _Atomic uint64_t *cell = &w->cells[metric.cell];
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Gauges add up over the slots: connections open here plus those open there. */
static inline void metrics_set(const struct metrics_writer *w, struct metric metric, int64_t value)
{
    atomic_store_explicit(&w->cells[metric.cell], (uint64_t)value, memory_order_relaxed);
}

static inline void metrics_change(const struct metrics_writer *w, struct metric metric, int64_t by)
{
    metrics_add(w, metric, (uint64_t)by);
}

static inline void metrics_tally(const struct metrics_writer *w, struct metric tallies, uint32_t i,
                                 uint64_t n)
{
    metrics_add(w, (struct metric){tallies.cell + i, tallies.series}, n);
}

void metrics_observe(const struct metrics_writer *w, struct metric metric, uint64_t value);

/* ---- reading ---- */

/* The sum over all slots of a counter or gauge. */
int64_t metrics_read(const struct metrics *m, struct metric metric);

/* The sum over all series of a counter's or gauge's name; 0 without one. */
uint64_t metrics_family_read(const struct metrics *m, const char *name);

/* The sum, and the largest, of one of a set of tallies over all slots. */
uint64_t metrics_tally_read(const struct metrics *m, struct metric tallies, uint32_t i);
uint64_t metrics_tally_largest(const struct metrics *m, struct metric tallies, uint32_t i);

struct metrics_histogram_view {
    uint32_t n_bounds;
    uint64_t bounds[METRICS_MAX_BOUNDS];
    uint64_t counts[METRICS_MAX_BOUNDS + 1]; /* per bucket, not cumulative; the last is above all bounds */
    uint64_t n, sum;
};
void metrics_histogram_read(const struct metrics *m, struct metric metric,
                            struct metrics_histogram_view *ret);

/* Appends every shown series in Prometheus text format 0.0.4, families together, in the order of their
 * first registration. A full buffer is told by buf->failed. */
void metrics_render(struct metrics *m, struct buf *buf);

#endif
