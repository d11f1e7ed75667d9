/* bench/server_split.h - what a server itself says of where its time went: queue, parsing, running, writing.
 *
 * Read from Prometheus text with the nv_inference_* names, summed over models and versions.
 *
 * Threads: no state. */
#ifndef BENCH_SERVER_SPLIT_H
#define BENCH_SERVER_SPLIT_H

#include <stddef.h>

#include "load/load_options.h"

struct server_split { /* totals; microseconds summed over requests */
    double requests, failures, rows, runs;
    double request_us, queue_us, parse_us, run_us, write_us;
    double wakeups; /* turns of the event loops */
};

/* Adds what the text tells. False when it holds none of the names. */
bool server_split_read(const char *text, size_t n, struct server_split *into);

/* GET /metrics of a server on this machine, added to *into. */
ONNXD_MUST_USE onnxd_status server_split_ask(uint16_t port, struct server_split *into, onnxd_error *err);

struct server_split server_split_since(const struct server_split *before, const struct server_split *after);

#endif
