/* neat_train_bench.h - what the files of neat_train bench share. */
#ifndef NEAT_TRAIN_BENCH_H
#define NEAT_TRAIN_BENCH_H

#include "cli_options.h"
#include "evolve/run.h"

struct bench_options {
    const char *modes, *url, *weights, *markdown, *history;
    uint32_t n_runs, generations, population, concurrency, max_threads;
    uint64_t seed;
};

extern const struct cli_command bench_command;

/* Arena runs in the modes of o->modes, a table, and which of them to choose. Returns the exit code. */
int bench_modes(const struct bench_options *o);

/* An arena run of o->generations; *ret_ns is what judging and breeding took. The run is the caller's to free,
 * whatever the status. */
ONNXD_MUST_USE onnxd_status bench_run_arena(const struct bench_options *o, uint64_t seed,
                                            struct threads *threads, const struct contest_backend *backend,
                                            struct match_stats *stats, struct run **ret_run, uint64_t *ret_ns,
                                            onnxd_error *err);

#endif
