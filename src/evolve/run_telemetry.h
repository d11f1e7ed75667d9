/* evolve/run_telemetry.h - a generation in figures: one line for people, one JSON object for programs.
 *
 * JSON keys: generation, best_fitness, mean_fitness, species, threshold, hidden, links, evaluate_ms,
 * breed_ms, matches, memory_bytes, peak_memory_bytes; of contests also elo, rows, inference_total_ms, and for
 * match_ms, inference_us and tick_us each {p50, p95, p99}; of remote modes http_total_ms and
 * compute_total_ms.
 *
 * Threads: one at a time. */
#ifndef EVOLVE_RUN_TELEMETRY_H
#define EVOLVE_RUN_TELEMETRY_H

#include "evolve/run.h"

/* Resident memory of this process, and its largest value so far; 0 where the system does not tell. */
uint64_t memory_bytes(void);
uint64_t peak_memory_bytes(void);

/* One JSON object and a newline. */
void run_telemetry_json(const struct run *run, struct buf *out);

/* One line without a newline, with progress. */
void run_telemetry_line(const struct run *run, struct buf *out);

/* Prometheus text of the latest generation. */
void run_telemetry_prometheus(const struct run *run, struct buf *out);

#endif
