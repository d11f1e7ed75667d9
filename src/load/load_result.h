/* load/load_result.h - what a run found: counts, distributions, the course of it, and its audit. */
#ifndef LOAD_LOAD_RESULT_H
#define LOAD_LOAD_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "load/load_options.h"
#include "stats/histogram.h"

#define LOAD_N_STATUS    600
#define LOAD_N_INTERVALS 100 /* at most; the run is cut into equal ones */

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

/* One thread's record, and after merging everyone's. */
struct load_record {
    struct histogram response; /* from when a request was due; closed loop: from its sending */
    struct histogram service;  /* from when its sending began */
    struct histogram lateness; /* open loop: sent minus due, where a connection was free */
    uint64_t status[LOAD_N_STATUS];
    uint64_t faults[LOAD_N_FAULTS];
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

struct load_result {
    struct load_options options;
    char url[1400];
    struct load_record *record; /* merged */
    double elapsed_s;           /* measured time */
    double lag_s;               /* open loop: how long after it the last answer came */
    struct load_interval intervals[LOAD_N_INTERVALS];
    uint32_t n_intervals;
    double interval_s;
    struct load_audit audit;
    double request_bytes; /* mean */
};

uint64_t load_n_errors(const struct load_record *record);  /* faults, and replies of status 400 and above */
double load_error_share(const struct load_record *record); /* of all that ended, 0..1 */
double load_rate(const struct load_result *result);        /* good replies a second */

void load_record_merge(struct load_record *into, const struct load_record *from);
void load_result_done(struct load_result *result);

#endif
