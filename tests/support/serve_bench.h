/* support/serve_bench.h - one worker of the server on a host on memory, with the fake model in place of an
 * engine. Compute threads are not started: bench_settle takes their turns. */
#ifndef SUPPORT_SERVE_BENCH_H
#define SUPPORT_SERVE_BENCH_H

#include "serve/compute.h"
#include "serve/worker.h"
#include "support/fake_model.h"
#include "support/wire.h"

struct bench {
    struct rig rig;
    struct worker worker;
    struct worker_config config;
    struct telemetry telemetry;
    struct buf access;
};

/* `old` with a version of the fake model put in. */
struct catalog *catalog_with(const struct telemetry *telemetry, const struct catalog *old, const char *name,
                             uint64_t number, const struct version_settings *settings);

/* What tests that do not care start from. */
struct version_settings bench_settings(uint32_t max_batch);

/* Serves "sum", version 1. */
void bench_init(struct bench *bench, uint32_t max_batch);
void bench_init_with(struct bench *bench, const struct version_settings *settings);
void bench_done(struct bench *bench);

/* All that compute threads would do, and what follows from it. */
void bench_settle(struct bench *bench);

/* A POST of a JSON text in this wake-up. */
void give(struct bench *bench, struct wire *wire, const char *target, const char *body);

/* Another request without a body, and the wake-up. */
void get(struct bench *bench, struct wire *wire, const char *method, const char *target);

/* {"instances":[[0,0,0],[0,0,1],...]}, to be freed. */
char *many_rows(uint32_t n);

#endif
