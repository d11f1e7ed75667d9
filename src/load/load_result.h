/* load/load_result.h - what a run found: counts, distributions, the course of it, and its audit. */
#ifndef LOAD_LOAD_RESULT_H
#define LOAD_LOAD_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "load/load_options.h"
#include "stats/bootstrap.h"
#include "stats/histogram.h"

#define LOAD_N_STATUS    600
#define LOAD_N_INTERVALS 100 /* at most; the run is cut into equal ones */
#define LOAD_MAX_TARGETS 16

enum load_fault {
    LOAD_FAULT_CONNECT,
    LOAD_FAULT_READ, /* the connection broke or closed with answers outstanding */
    LOAD_FAULT_WRITE,
    LOAD_FAULT_TIMEOUT,
    LOAD_FAULT_REPLY,  /* no HTTP/1.1 reply */
    LOAD_FAULT_UNSENT, /* due, but never sent: no connection was free until the end */
    LOAD_N_FAULTS
};
extern const char *const load_fault_names[LOAD_N_FAULTS]; /* "connect", "read", ... */

struct load_interval { /* by the time of completion */
    uint64_t n, n_errors;
    double p50_ns, p99_ns, max_ns; /* response time; 0 when n is 0 */
};

/* The replies of one target with one status. */
struct load_slot {
    uint32_t target;
    uint16_t status;
    struct histogram response;
};

#define LOAD_MAX_SLOTS 64

/* One thread's record, and after merging everyone's. */
struct load_record {
    struct histogram response; /* from when a request was due; closed loop: from its sending */
    struct histogram service;  /* from when its sending began; closed loop: the same */
    struct histogram lateness; /* open loop: sent minus due, where a connection was free */
    struct load_slot *slots[LOAD_MAX_SLOTS];
    uint32_t n_slots;
    struct load_slot rest;          /* what no slot was left for */
    uint64_t status[LOAD_N_STATUS]; /* replies; after load_record_sum */
    uint64_t faults[LOAD_N_FAULTS];
    uint64_t target_faults[LOAD_MAX_TARGETS];
    uint64_t n_done;   /* replies of any status within the measured time */
    uint64_t n_due;    /* open loop: requests due within the measured time */
    uint64_t n_late;   /* sent more than a millisecond after they were due, though a connection was free */
    uint64_t n_waited; /* open loop: found no free connection when they were due */
    uint64_t n_connects;
    uint64_t bytes_read, bytes_written;
    uint64_t cpu_ns; /* of the thread, over the measured time */
};

struct load_audit {
    double rate_asked, rate_reached; /* open loop: asked is 0 for a closed one */
    double late_share;               /* sent more than 1 ms late by the client's own fault, of all due */
    double waited_share;             /* had to wait for a connection: the server's backlog */
    double littles_connections;      /* closed loop: mean response time times rate; should be connections */
    double client_cpu_us;            /* a request */
    double client_busy;              /* of the busiest thread, 0..1 */
    double other_cpus;               /* CPUs that all other processes used, the server included */
    double steal_cpus;               /* CPUs that the hypervisor withheld */
    uint32_t n_cpus;
    bool client_limited; /* the figures say more about the client than the server */
    char verdict[256];   /* one sentence; what to mind, or that nothing is in doubt */
};

/* ---- exact samples ---- */

/* A response time together with the interval it came in, so that sorting by time keeps both. */
#define LOAD_INTERVAL_BITS 7
static inline uint64_t load_sample_pack(uint64_t response_ns, uint32_t interval)
{
    return response_ns << LOAD_INTERVAL_BITS | interval;
}
static inline uint64_t load_sample_ns(uint64_t sample)
{
    return sample >> LOAD_INTERVAL_BITS;
}
static inline uint32_t load_sample_interval(uint64_t sample)
{
    return (uint32_t)(sample & ((1u << LOAD_INTERVAL_BITS) - 1));
}

/* ---- how sure the figures are ---- */

#define LOAD_N_QUANTILES 7
extern const struct load_quantile {
    double q;
    const char *name;               /* "p99.9" */
} load_quantiles[LOAD_N_QUANTILES]; /* those that reports show */

/* 95 % intervals by the bootstrap over the run's intervals (see load_estimate.h); low and high are NAN where
 * the run was too short to say. */
struct load_estimates {
    uint32_t n_blocks; /* intervals that were resampled; 0: none were */
    uint32_t n_resamples;
    struct interval quantiles[LOAD_N_QUANTILES]; /* response time, ns */
    struct interval mean_ns, rate;               /* rate: replies a second */
};

/* ---- a run ---- */

struct load_target_info {
    char url[1400];
    double weight;
};

struct load_result {
    struct load_options options;
    char url[1400]; /* of the first target */
    struct load_target_info targets[LOAD_MAX_TARGETS];
    uint32_t n_targets;
    struct load_record *record; /* merged */
    uint64_t *samples; /* [n_samples] packed and sorted: all of them, or NULL where memory was short */
    uint64_t n_samples;
    struct load_estimates estimates;
    double elapsed_s; /* measured time */
    double lag_s;     /* open loop: how long after it the last answer came */
    struct load_interval intervals[LOAD_N_INTERVALS];
    uint32_t n_intervals;
    double interval_s;
    struct load_audit audit;
    double request_bytes; /* mean */
};

uint64_t load_n_errors(const struct load_record *record);  /* faults, and replies of status 400 and above */
double load_error_share(const struct load_record *record); /* of all that ended, 0..1 */
double load_rate(const struct load_result *result);        /* good replies a second */

/* The response time that a share q of requests do not exceed, in ns: exact while every sample was kept, else
 * to within the histogram's 0.8 %. */
double load_response_quantile(const struct load_result *result, double q);

/* The slot of a target and status, made when it is not there yet; `rest` when none is left. */
struct load_slot *load_record_slot(struct load_record *record, uint32_t target, uint16_t status);

/* Adds up what the slots hold into `status` and `response`. */
void load_record_sum(struct load_record *record);

/* All response times of one status (target UINT32_MAX) or of one target (status 0). */
void load_record_select(const struct load_record *record, uint32_t target, uint16_t status,
                        struct histogram *ret);

void load_record_merge(struct load_record *into, const struct load_record *from);
void load_record_free(struct load_record *record); /* takes NULL */
void load_result_done(struct load_result *result);

#endif
