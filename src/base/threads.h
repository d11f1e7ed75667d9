/* base/threads.h - a fixed set of worker threads that share out numbered tasks.
 *
 *     struct threads *threads = NULL;
 *     threads_create(4, &threads, &err);
 *     threads_run(threads, evaluate_genome, &job, n_genomes);   // returns when all are done
 *     threads_free(threads);
 *
 * Tasks are handed out one by one in order of their number; which worker runs which is not determined,
 * so a task must take its randomness from its number and write only to its own place.
 *
 * Threads: one caller at a time. */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stdint.h>

#include "onnxd/status.h"

struct threads;

/* task in 0..n_tasks-1; worker in 0..threads_count-1, for per-worker scratch. */
typedef void (*threads_task_fn)(void *context, uint32_t task, uint32_t worker);

/* n_threads workers in all, the caller being one of them: 1 starts no thread. 1..1024. */
ONNXD_MUST_USE onnxd_status threads_create(uint32_t n_threads, struct threads **ret_threads,
                                           onnxd_error *err);
void threads_free(struct threads *threads); /* takes NULL */
uint32_t threads_count(const struct threads *threads);
void threads_run(struct threads *threads, threads_task_fn fn, void *context, uint32_t n_tasks);

#endif
