/* bench/trial.h - load on a deployment, and what each side used for it.
 *
 * A trial may be made of several rounds, so that deployments can take turns: counts add up, the rate and the
 * percentiles are the medians of the rounds. CPU per request divides what a process used by what the servers
 * say that they answered, warm-up included on both sides.
 *
 * Ownership: plain values. Threads: one caller. */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

#include "bench/deployment.h"
#include "bench/server_split.h"
#include "load/load_run.h"

#define TRIAL_MAX_ROUNDS 64
#define TRIAL_MAX_MEMORY 512

enum trial_tool { TRIAL_OWN, TRIAL_WRK };

struct trial_round {                              /* what a client says of one round */
    double rate, p50_ns, p99_ns, p999_ns, max_ns; /* p999: 0 where unknown */
    double error_share;
    double client_cpu_us, client_busy; /* a request; the busiest thread, 0..1 */
    double server_cpu_us;              /* a request */
    double steal_cpus, seconds;
    bool client_limited;
    char verdict[256];
};

struct trial {
    struct trial_round rounds[TRIAL_MAX_ROUNDS], median;
    uint32_t n_rounds;
    struct server_split split;                           /* of all rounds */
    struct process_usage processes[CHILD_MAX_PROCESSES]; /* resident: at the end; the rest: of all rounds */
    uint32_t n_processes, n_server_processes;            /* servers first, then nginx */
    double seconds;                                      /* of all rounds, warm-up included */
    double server_cpu_us, nginx_cpu_us;                  /* a request */
    double server_cpus, nginx_cpus, client_cpus;         /* CPUs in use */
    double foreign_cpus;                                 /* CPUs that programs beside these used */
    double foreign_s;                                    /* CPU seconds of everybody, of all rounds */
    double busiest_server;                               /* CPUs that the busiest server process used */
    double waits_per_request, io_wait_share;             /* of the servers */
    double rows_per_wakeup;                              /* the servers' loops; 0: unknown */
    double system_share;                                 /* of the servers' CPU, spent in the kernel: 0..1 */
    double memory_bytes, memory_growth_bytes_s; /* of the servers; growth over the later two thirds */
    double memory_at_s[TRIAL_MAX_MEMORY], memory[TRIAL_MAX_MEMORY];
    uint32_t n_memory;
};

struct trial_plan {
    enum trial_tool tool;
    struct load_options load;
    load_progress_fn fn; /* of load_run; false ends the trial */
    void *context;
};

/* Runs one round. `target` is on the deployment; a url of another port is corrected. ONNXD_ERR_NOT_FOUND: no
 * wrk; and what load_run, the servers' metrics and deployment_check say. *ret_last gets the result of our own
 * generator and is the caller's (load_result_done); it may be NULL. */
ONNXD_MUST_USE onnxd_status trial_round(struct trial *trial, const struct trial_plan *plan,
                                        struct deployment *deployment, const struct load_target *target,
                                        struct load_result *ret_last, onnxd_error *err);

/* Fills the medians and the figures a request. */
void trial_finish(struct trial *trial);

/* Reads what wrk --latency printed. False when it is not that. */
bool trial_read_wrk(const char *text, struct trial_round *ret);

#endif
