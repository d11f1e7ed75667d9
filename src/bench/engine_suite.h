/* bench/engine_suite.h - the native engine against ONNX Runtime in one process, on one core.
 *
 * Both load the same file. For each batch size they take turns in blocks of a few milliseconds, in the
 * order A B B A, so that a drift of the machine meets both. Every call gets other rows: they are copied into
 * the engine's input buffer, which is part of the time of both. Figures are medians of the blocks' means
 * with 95 % intervals by the bootstrap; answers are compared on the way.
 *
 * Ownership: the suite is a plain value.
 * Threads:   one; it is pinned to one core while measuring. */
#ifndef BENCH_ENGINE_SUITE_H
#define BENCH_ENGINE_SUITE_H

#include "bench/core_peak.h"
#include "onnxd/onnxd.h"
#include "stats/bootstrap.h"

enum { ENGINE_MAX_BATCHES = 64 };

struct engine_suite_options {
    const char *model;
    const char *rows; /* a file of rows by its ending (row_stream.h), or NULL: drawn, see random_input.h */
    uint32_t batches[ENGINE_MAX_BATCHES], n_batches; /* each 1..65536 */
    double seconds;                                  /* for each batch size, both engines together */
    uint64_t seed;
    onnxd_precision precision; /* of the native engine */
};

struct engine_figures { /* of one batch size */
    uint32_t batch, tile_rows, n_blocks;
    struct interval native_us, other_us, ratio; /* ratio: other / native; all 0 where there is no other */
    double worst_difference;                    /* between the engines' answers, absolute */
    double flops, bytes;                        /* of a native call, from its plan */
    double flop_share, byte_share;              /* of the core's peaks */
};

struct engine_suite {
    struct core_peak peak;
    char isa[16], cpu[128], version[32];
    char other_version[32]; /* "" when there is none */
    char why_no_other[ONNXD_ERROR_MESSAGE_BYTES];
    bool pinned;
    struct engine_figures figures[ENGINE_MAX_BATCHES];
    uint32_t n_figures;
};

/* Called after each batch size; may be NULL. */
typedef void (*engine_suite_report_fn)(void *context, const struct engine_suite *suite);

/* Measures into *suite. Without ONNX Runtime only the native engine is measured. ONNXD_ERR_UNSUPPORTED when
 * the model does not go by rows or the native engine does not run it; what loading and running say. */
ONNXD_MUST_USE onnxd_status engine_suite_run(const struct engine_suite_options *options,
                                             engine_suite_report_fn report, void *context,
                                             struct engine_suite *suite, onnxd_error *err);

#endif
