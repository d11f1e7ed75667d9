/* load/load_corpus.h - the requests of a run, written out before it starts.
 *
 * Every request is whole: request line, headers and body. Workers send them in turn, each from a place of
 * its own, so that no two requests in a row carry the same row and nothing is formatted while measuring.
 *
 * Body templates hold placeholders: ${0..6} is a random whole number from 0 to 6, ${0.0..1.0} a random
 * number in [0, 1) with six digits (a point in either end makes it one), ${i} the request's number; $$ is
 * a dollar sign. Row files give one body a line (a line that starts with '{'), or the numbers of one
 * row, with or without brackets, which becomes {"features":[...]}; with a batch of n, n rows become
 * {"instances":[...]}.
 *
 * Ownership: load_corpus_done frees. Threads: built by one, then read by any. */
#ifndef LOAD_LOAD_CORPUS_H
#define LOAD_LOAD_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/rng.h"
#include "load/load_options.h"

#define LOAD_MAX_CORPUS_BYTES (256u << 20)
#define LOAD_DEFAULT_VARIANTS 4096u

struct load_request {
    const char *bytes;
    size_t n;
};

struct load_corpus {
    struct load_request *requests; /* [n] */
    uint32_t n;
    char *memory;
    double mean_bytes;
};

/* Writes body number i, and header lines of its own (each with its CRLF) into `headers`. */
typedef onnxd_status (*load_body_fn)(void *context, uint32_t i, struct rng *rng, struct buf *body,
                                     struct buf *headers, onnxd_error *err);

struct load_corpus_options {
    const char *method; /* NULL: POST with a body, else GET */
    const char *body;   /* a template, or NULL */
    const char *rows;   /* the text of a rows file, or NULL; then `body` must be NULL */
    size_t n_rows_bytes;
    const char *raw_body; /* bytes sent as they are (binary tensors), or NULL */
    size_t n_raw_body;
    load_body_fn fn; /* makes the bodies, or NULL */
    void *context;
    uint32_t batch;           /* rows in a request, of a rows file; 0 means 1 */
    uint32_t n_variants;      /* different bodies made of a template or by fn; 0 means 4096 */
    const char *content_type; /* NULL: application/json */
    const char *headers;      /* whole lines, each with its CRLF, or NULL */
    bool close;               /* asks for a new connection each time */
};

/* ONNXD_ERR_ARGUMENT (a bad placeholder), ONNXD_ERR_FORMAT (a bad line of the rows, with its number),
 * ONNXD_ERR_LIMIT, ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status load_corpus_build(const struct load_url *url,
                                              const struct load_corpus_options *options, struct rng *rng,
                                              struct load_corpus *ret, onnxd_error *err);

/* A copy whose requests ask for the connection to be closed behind the answer. ONNXD_ERR_LIMIT,
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status load_corpus_closing(const struct load_corpus *corpus, struct load_corpus *ret,
                                                onnxd_error *err);
void load_corpus_done(struct load_corpus *corpus);

#endif
