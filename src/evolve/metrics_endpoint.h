/* evolve/metrics_endpoint.h - GET /metrics of a run in progress, for Prometheus.
 *
 * A thread of its own answers with the text set last; the run sets it after each generation.
 *
 * Ownership: metrics_endpoint_free stops the thread. Threads: set from one thread. */
#ifndef EVOLVE_METRICS_ENDPOINT_H
#define EVOLVE_METRICS_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "onnxd/status.h"

struct metrics_endpoint;

/* Listens on 127.0.0.1; port 0 picks one, which *ret_port tells. ONNXD_ERR_IO, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status metrics_endpoint_start(uint16_t port, struct metrics_endpoint **ret_endpoint,
                                                   uint16_t *ret_port, onnxd_error *err);

/* Replaces the text; keeps the earlier one when memory runs out. */
void metrics_endpoint_set(struct metrics_endpoint *endpoint, const char *text, size_t n);

void metrics_endpoint_free(struct metrics_endpoint *endpoint); /* takes NULL */

#endif
