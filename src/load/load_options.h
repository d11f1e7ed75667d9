/* load/load_options.h - what a load run does, and the small languages its options are written in. */
#ifndef LOAD_LOAD_OPTIONS_H
#define LOAD_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/status.h"

#define LOAD_MAX_STAGES  64
#define LOAD_MAX_THREADS 64

struct load_stage {
    uint64_t duration_ns;
    double rate_from, rate_to; /* requests a second at its start and end; both 0: closed loop */
};

struct load_options {
    uint32_t n_connections; /* of all threads together */
    uint32_t n_threads;
    uint32_t pipeline; /* requests under way on a connection, closed loop only */
    struct load_stage stages[LOAD_MAX_STAGES];
    uint32_t n_stages;
    uint64_t warm_up_ns;   /* before the first stage, at its rate, not recorded */
    uint64_t timeout_ns;   /* of one request */
    uint64_t spin_ns;      /* open loop: this long before a request is due, waiting turns into polling */
    bool busy;             /* open loop: never sleeps; the finest timing for a whole CPU */
    uint64_t sample_bytes; /* memory for exact samples, of all threads; 0: none are kept */
    bool insecure;         /* https: any certificate will do */
    const char *ca_path;   /* https: trusted certificates (PEM); NULL: the system's */
    bool poisson;          /* random gaps between requests instead of equal ones */
    bool new_connections;  /* one for each request */
    uint64_t seed;
};

/* A stage list: "10s@1000,30s@1000-20000,5s@500", or "10s,5s" for a closed loop. Rates are requests a
 * second, durations take ms, s, m, h. ONNXD_ERR_ARGUMENT says which stage is wrong. */
ONNXD_MUST_USE onnxd_status load_stages_parse(const char *text, struct load_stage *ret, uint32_t *ret_n,
                                              onnxd_error *err);

/* "500ms", "10s", "2m", "1h"; a bare number is seconds. */
bool load_duration_parse(const char *text, uint64_t *ret_ns);

static inline bool load_is_open(const struct load_options *options)
{
    return options->stages[0].rate_from > 0 || options->stages[0].rate_to > 0;
}

uint64_t load_total_ns(const struct load_options *options); /* of all stages */

/* The rate asked for at a time after the first stage's start (before it: that of its start). */
double load_rate_at(const struct load_options *options, int64_t at_ns);

/* `factor` times the connections and the rates. */
void load_multiply(struct load_options *options, uint32_t factor);

/* How many requests the stages ask for in all; 0 for a closed loop. */
double load_requests_asked(const struct load_options *options);

/* ---- the target ---- */

struct load_url {
    char host[256]; /* without brackets */
    uint16_t port;
    char path[1024];     /* from the first slash on, with the query */
    char authority[272]; /* as the Host header tells it */
    bool tls;            /* https */
};

/* http[s]://host[:port][/path]. ONNXD_ERR_ARGUMENT. */
ONNXD_MUST_USE onnxd_status load_url_parse(const char *text, struct load_url *ret, onnxd_error *err);

#endif
