/* bench/connection_sweep.h - the same load over few and over many connections, and with a new one each time.
 *
 * Tells how large a pool of connections should be: where the rate stops to grow, further connections only
 * wait.
 *
 * Threads: as load_run. */
#ifndef BENCH_CONNECTION_SWEEP_H
#define BENCH_CONNECTION_SWEEP_H

#include "base/buf.h"
#include "load/load_run.h"

#define SWEEP_MAX_STEPS 12

struct connection_step {
    uint32_t connections;
    bool new_each; /* a new connection for each request */
    double rate, p50_ns, p99_ns, max_ns, error_share;
    bool client_limited;
    char verdict[256];
};

struct connection_sweep {
    char url[1400];
    double seconds; /* of each step */
    struct connection_step steps[SWEEP_MAX_STEPS];
    uint32_t n_steps;
    uint32_t enough; /* the fewest connections that reach 95 % of the best rate */
};

/* Runs 1, 4, 16, ... and plan->n_connections connections, then these with a new one for each request; each
 * step as long as the plan's stages. What load_run says; a run that `fn` ends is the last. */
ONNXD_MUST_USE onnxd_status connection_sweep_run(const struct load_options *plan,
                                                 const struct load_target *targets, uint32_t n_targets,
                                                 load_progress_fn fn, void *context,
                                                 struct connection_sweep *ret, onnxd_error *err);

void connection_sweep_text(const struct connection_sweep *sweep, struct buf *buf);
void connection_sweep_json(const struct connection_sweep *sweep, struct buf *buf);
void connection_sweep_csv(const struct connection_sweep *sweep, struct buf *buf);
void connection_sweep_markdown(const struct connection_sweep *sweep, struct buf *buf);

#endif
