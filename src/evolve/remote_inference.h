/* evolve/remote_inference.h - policies computed by a server, over HTTP.
 *
 * Genomes are exported as ONNX, loaded into the server through its model repository API under the name
 * g<genome id>, and asked by POST /v2/models/g<genome id>/infer in the protocol's raw binary form: the rows
 * of one policy in requests of at most `batch` rows, spread over `concurrency` connections, all requests of a
 * tick in flight at once. What a recurrent policy remembers travels with its rows, as tensors `state` and
 * `next_state`: the server keeps nothing between requests. The server must run with --admin.
 *
 * Results: the server sums a node's inputs in another order and has its own sigmoid, so answers differ from
 * the compiled network's in the last places; matches are chaotic, hence a run in this mode breeds other
 * genomes than one in this process. With one seed and one server the run repeats.
 *
 * Ownership: remote_free unloads what was loaded and frees. Threads: one at a time. */
#ifndef EVOLVE_REMOTE_INFERENCE_H
#define EVOLVE_REMOTE_INFERENCE_H

#include "evolve/contest.h"

struct remote;

struct remote_options {
    const char *url;      /* "http://HOST:PORT" */
    uint32_t batch;       /* rows a request, 1..65536 */
    uint32_t concurrency; /* connections, 1..1024 */
};

struct remote_stats {
    uint64_t n_requests, n_rows, n_loads;
    uint64_t http_ns;    /* from the first byte sent to the last answer read, summed over ticks */
    uint64_t compute_ns; /* what the server says its runs took, up to the last unloading */
    uint64_t load_ns;    /* exporting and loading */
};

/* Connects. ONNXD_ERR_ARGUMENT (url, options), ONNXD_ERR_NOT_FOUND (host), ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status remote_create(const struct remote_options *options, struct remote **ret_remote,
                                          onnxd_error *err);
void remote_free(struct remote *remote); /* takes NULL */

/* Borrows the remote. Its runs fail with ONNXD_ERR_IO or _TIMEOUT when the server is away, with
 * ONNXD_ERR_FORMAT when it answers something else. */
struct contest_backend remote_backend(struct remote *remote);

/* Unloads every model, after asking what the server spent on it: the statistics are then complete. */
ONNXD_MUST_USE onnxd_status remote_unload(struct remote *remote, onnxd_error *err);

const struct remote_stats *remote_stats_of(const struct remote *remote);

#endif
