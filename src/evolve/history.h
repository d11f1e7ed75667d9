/* evolve/history.h - what each generation of a run showed, for pictures and reports.
 *
 * Ownership: history_done frees. Threads: one at a time. */
#ifndef EVOLVE_HISTORY_H
#define EVOLVE_HISTORY_H

#include "evolve/run.h"

struct history_species {
    uint32_t id, n_members;
};

struct history_generation {
    struct run_generation_stats stats;
    uint32_t first_species, n_species; /* in species[] */
};

struct history {
    struct history_generation *generations; /* [n] */
    struct history_species *species;
    uint32_t n, capacity, n_species, species_capacity;
};

void history_init(struct history *history);
void history_done(struct history *history);

/* Adds the run's latest generation. The species are those the next generation was placed into, or the last
 * one's when the run is over. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status history_add(struct history *history, const struct run *run, onnxd_error *err);

/* A self-contained HTML page: figures, fitness, species, complexity, the champion's network (its SVG text),
 * and the parameters. ONNXD_ERR_LIMIT when the buffer is full. */
ONNXD_MUST_USE onnxd_status history_report(const struct history *history, const struct run *run,
                                           const char *network_svg, struct buf *out, onnxd_error *err);

#endif
