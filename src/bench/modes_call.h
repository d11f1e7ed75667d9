/* bench/modes_call.h - one mode of modes_suite.h at work: rows in, answers out.
 *
 * Ownership: modes_*_close frees and takes zeroed ones. Threads: one at a time. */
#ifndef BENCH_MODES_CALL_H
#define BENCH_MODES_CALL_H

#include "bench/child_process.h"
#include "bench/modes_suite.h"
#include "bench/row_pool.h"
#include "net/http_client.h"

struct modes_engine { /* an engine in this process, and its server */
    onnxd_engine engine;
    onnxd_model *model;
    double memory_bytes; /* that loading and a first run added */
    struct child server; /* started when a mode asks for it */
    struct net_address address;
};

struct modes_call {
    struct modes_kind kind;
    enum modes_protocol protocol;
    const struct protocol_schema *schema;
    struct row_batch input; /* the rows of a call */
    onnxd_tensor *in;       /* [n_inputs] */
    float *answers;         /* [batch * n_values] of the last call, as floats */
    size_t n_values;        /* of a row */
    /* in this process */
    onnxd_session *session;
    onnxd_tensor *out; /* [n_outputs] */
    /* remote */
    struct http_client client;
    struct buf body;
    struct arena arena;
    onnxd_status status; /* of the answer */
    onnxd_error error;
};

/* Loads the model. */
ONNXD_MUST_USE onnxd_status modes_engine_open(struct modes_engine *e, const char *model, onnxd_engine engine,
                                              onnxd_error *err);
/* Starts its server: `onnxd serve` with one model, m. */
ONNXD_MUST_USE onnxd_status modes_engine_serve(struct modes_engine *e, const struct modes_options *options,
                                               uint32_t most_rows, onnxd_error *err);
void modes_engine_close(struct modes_engine *e);

ONNXD_MUST_USE onnxd_status modes_call_open(struct modes_call *c, const struct modes_engine *e,
                                            struct modes_kind kind, enum modes_protocol protocol,
                                            const struct protocol_schema *schema, onnxd_error *err);
void modes_call_close(struct modes_call *c);

/* Answers rows first.. of the pool into c->answers. */
ONNXD_MUST_USE onnxd_status modes_call_run(struct modes_call *c, const struct row_pool *pool, uint32_t first,
                                           onnxd_error *err);

#endif
