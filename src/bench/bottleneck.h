/* bench/bottleneck.h - what limits a deployment, from what a trial saw, and what to do about it.
 *
 * Rules, each with its measure beside it:
 *   client     the generator's busiest thread used over 90 % of a CPU, or the client itself doubts its
 * figures cpu        servers, nginx and client together used over 90 % of all CPUs, or the busiest server
 * process over 90 % of those that it can use io         threads of the servers waited for block devices over
 * 5 % of the time, or everybody was idle: each connection waits for something that is no CPU locks      the
 * servers gave the CPU up more than twice a request with CPUs left memory     resident memory grew by over 1
 * % a minute and at least 1 MB a minute, for at least 20 s of samples stolen     the hypervisor withheld over
 * 2 % of the CPUs
 *
 * Threads: pure functions. */
#ifndef BENCH_BOTTLENECK_H
#define BENCH_BOTTLENECK_H

#include "bench/trial.h"

enum bottleneck_kind {
    BOTTLENECK_NONE,
    BOTTLENECK_CLIENT,
    BOTTLENECK_CPU,
    BOTTLENECK_IO,
    BOTTLENECK_LOCKS,
    BOTTLENECK_MEMORY,
    BOTTLENECK_STOLEN,
    BOTTLENECK_FOREIGN,
    BOTTLENECK_ERRORS
};

struct bottleneck {
    enum bottleneck_kind kind;
    char finding[256], advice[256];
};

#define BOTTLENECK_MAX 8

/* What was found, the weightiest first; at least one (NONE). `n_cpus`: of the machine; `workers`: threads
 * that a server process may use at once. */
uint32_t bottleneck_find(const struct trial *trial, bool open_loop, uint32_t n_cpus, uint32_t workers,
                         struct bottleneck ret[BOTTLENECK_MAX]);

const char *bottleneck_name(enum bottleneck_kind kind); /* "CPU-bound", "client-bound", ... */

/* ---- scaling ---- */

struct scaling_ground { /* what was the same for one process and for many */
    uint32_t n_cpus;    /* of the machine, or those that servers alone run on */
    bool own_cpus;      /* no client and no nginx run on them */
    bool open_loop;     /* requests came by the clock */
    bool per_process;   /* connections and rate grew with the processes */
};

struct scaling {
    double rate; /* (rate of n / rate of 1) / n; by the clock at one rate for all: rate of n / rate of 1 */
    double cpu;  /* CPU a request of 1 / that of n: what scaling itself costs, however few CPUs there are; the
                    median of the rounds, of which each compares neighbours in time */
    double cpu_low, cpu_high; /* of all rounds */
    bool shared; /* there are fewer CPUs than processes and client want: a closed loop's `rate` then tells
                    about the machine */
    char verdict[512];
};

/* `one` and `many` have been finished; `many` had n processes. */
struct scaling scaling_judge(const struct trial *one, const struct trial *many, uint32_t n,
                             const struct scaling_ground *ground);

/* The load and where it leaves the servers, such as "closed loop, 64 connections for each process". */
void scaling_describe(const struct scaling_ground *ground, const struct load_options *load, char *out,
                      size_t size);

#endif
