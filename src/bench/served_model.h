/* bench/served_model.h - random requests for a model that a server serves, made from the server's own
 * description.
 *
 * The description is the v2 protocol's metadata. Elements that index tables are known where the server tells
 * them
 * ("parameters":{"index_below":[...]}, as onnxd does); otherwise values are drawn as in bench/random_input.h.
 * Each request carries rows of its own.
 *
 * Ownership: served_model_done frees. Threads: one at a time. */
#ifndef BENCH_SERVED_MODEL_H
#define BENCH_SERVED_MODEL_H

#include "base/arena.h"
#include "bench/random_input.h"
#include "load/load_corpus.h"
#include "protocol/schema.h"

#define SERVED_NAME_BYTES 256

enum request_form { FORM_PREDICT, FORM_INFER, FORM_V1, FORM_V2_JSON, FORM_V2_BINARY };

struct served_model {
    struct arena arena;
    char name[SERVED_NAME_BYTES];
    const onnxd_io_info **infos; /* [n_inputs] in the arena */
    int64_t **below;             /* [n_inputs] heights of tables, or NULL */
    uint32_t n_inputs;
    struct protocol_schema schema;
};

/* Which form a URL's path asks for, and which model it names ("" when none). Without a path the URL becomes
 * that of v2 inference once the model is known, see below. False: no path of inference. */
bool served_form_of(const struct load_url *url, bool binary, enum request_form *ret_form,
                    char ret_model[SERVED_NAME_BYTES]);

/* Asks the server. An empty `name` is the only model that it serves. ONNXD_ERR_NOT_FOUND (no such model;
 * several and none was named: their names are told), ONNXD_ERR_FORMAT (not the protocol), and what load_fetch
 * says. */
ONNXD_MUST_USE onnxd_status served_model_ask(const struct load_url *url, const char *name,
                                             const struct load_options *options, struct served_model *ret,
                                             onnxd_error *err);
void served_model_done(struct served_model *model); /* takes a zeroed one */

/* Reads metadata alone; for tests. */
ONNXD_MUST_USE onnxd_status served_model_read(const char *body, size_t n, struct served_model *ret,
                                              onnxd_error *err);

/* Builds requests of o->batch random rows in this form; o's sources of bodies must be NULL. A url without a
 * path gets that of v2 inference. ONNXD_ERR_SHAPE (rows in a form that the model does not take) and what
 * writing says. */
ONNXD_MUST_USE onnxd_status served_model_corpus(const struct served_model *model, enum request_form form,
                                                struct load_url *url, struct load_corpus_options o,
                                                struct rng *rng, struct load_corpus *ret, onnxd_error *err);

#endif
