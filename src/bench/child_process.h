/* bench/child_process.h - programs that a measurement starts, watches and surely stops.
 *
 *     struct child child;
 *     child_start(&(struct child_options){.argv = argv}, &child, &err);
 *     child_wait_text(&child, "listening on ", 10 * NS_PER_S, line, sizeof line, &err);
 *     ...
 *     child_stop(&child, NS_PER_S);
 *
 * A child leads a process group of its own, so that what it starts in turn is counted and stopped with it,
 * and it is told SIGTERM by the kernel when the thread that started it ends, however that happens: start
 * children from the main thread. It prints into a bounded memory file (CHILD_MAX_OUTPUT); what goes beyond is
 * lost.
 *
 * Ownership: a plain value; child_stop frees what it holds and takes a zeroed one.
 * Threads:   one at a time for each child. */
#ifndef BENCH_CHILD_PROCESS_H
#define BENCH_CHILD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "onnxd/status.h"

#define CHILD_MAX_OUTPUT (1u << 20)

struct child_options {
    const char *const *argv;        /* ends with NULL; argv[0] is a path, or a name looked for in PATH */
    const char *const *environment; /* further "NAME=value", ends with NULL; NULL: none */
    const uint32_t *cpus;           /* [n_cpus]: runs on these alone; n_cpus 0: wherever its parent may */
    uint32_t n_cpus;
};

struct child {
    pid_t pid; /* also the process group; 0: none */
    int output_fd;
    bool ended;
    int wait_status; /* when ended */
    char name[32];   /* argv[0] without folders, for messages */
};

/* ONNXD_ERR_NOT_FOUND: no such program; ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status child_start(const struct child_options *options, struct child *ret,
                                        onnxd_error *err);

/* Whether it still runs. */
bool child_is_alive(struct child *child);

/* Waits for a line that holds `text` and copies it from `text` on. ONNXD_ERR_TIMEOUT; ONNXD_ERR_IO when the
 * child ended first: the message tells its last two lines. `line` may be NULL. */
ONNXD_MUST_USE onnxd_status child_wait_text(struct child *child, const char *text, uint64_t timeout_ns,
                                            char *line, size_t size, onnxd_error *err);

/* Waits for its end; *ret_exit_code is 128 + the signal when one ended it. ONNXD_ERR_TIMEOUT: it still runs.
 */
ONNXD_MUST_USE onnxd_status child_wait(struct child *child, uint64_t timeout_ns, int *ret_exit_code,
                                       onnxd_error *err);

/* What it printed so far, NUL-terminated; the caller frees. NULL: no memory. */
char *child_output(const struct child *child);

/* SIGTERM to the group, SIGKILL to what is left after grace_ns, and waits. */
void child_stop(struct child *child, uint64_t grace_ns);

/* The program that runs now, for starting it once more: /proc/self/exe resolved. */
ONNXD_MUST_USE onnxd_status child_own_program(char *ret_path, size_t size, onnxd_error *err);

/* ---- what the group uses ---- */

#define CHILD_MAX_PROCESSES 256

struct process_usage { /* counts are totals since the start of the process */
    pid_t pid;
    char name[20];
    uint64_t cpu_ns;    /* user and system, all its threads */
    uint64_t system_ns; /* of it in the kernel, in ticks of 1/100 s mostly */
    uint64_t resident_bytes;
    uint32_t n_threads;
    uint64_t n_waits;     /* gave the CPU up: it had to wait for something (voluntary switches) */
    uint64_t n_displaced; /* lost the CPU to somebody else (involuntary switches) */
    uint64_t io_wait_ns;  /* waiting for block devices; 0 where the kernel does not account for it */
};

/* The living processes of the group in order of their ids; returns how many, at most `max`. */
uint32_t child_usage(const struct child *child, struct process_usage *ret, uint32_t max);

/* The same of one process of this machine, itself included. False when it is gone. */
bool process_usage_read(pid_t pid, struct process_usage *ret);

#endif
