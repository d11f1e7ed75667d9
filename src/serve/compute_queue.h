/* serve/compute_queue.h - the jobs of one version that wait for a compute thread.
 *
 * Jobs come in fresh; a thread reads their bodies and puts them among the ready ones, in order of rank, then
 * of arrival, or among the large ones, of which a turn runs a slice.
 *
 * Ownership: embedded in its version; jobs in it hold references on that version.
 * Threads:   under the lock of the compute threads. */
#ifndef SERVE_COMPUTE_QUEUE_H
#define SERVE_COMPUTE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct job;
struct version;

struct job_list {
    struct job *first, *last;
};

struct compute_queue {
    struct job_list fresh, ready, large;
    uint32_t n_small; /* fresh and ready */
    uint32_t n_jobs;  /* with those being run */
    size_t n_bytes;
    bool has_turn;             /* in the ring of versions with something to run */
    struct version *next_turn; /* in that ring */
};

void compute_queue_add_fresh(struct compute_queue *queue, struct job *job);
void compute_queue_add_ready(struct compute_queue *queue, struct job *job); /* by its rank */
void compute_queue_put_back(struct compute_queue *queue, struct job *job);  /* before the other ready ones */
void compute_queue_add_large(struct compute_queue *queue, struct job *job);

/* The first job, or NULL. */
struct job *compute_queue_take_fresh(struct compute_queue *queue);
struct job *compute_queue_take_large(struct compute_queue *queue);

/* The first ready job, or NULL when it has more than max_rows rows or there is none. */
struct job *compute_queue_take_ready(struct compute_queue *queue, uint32_t max_rows);

/* When the oldest fresh or ready job came, UINT64_MAX without one. */
uint64_t compute_queue_oldest_ns(const struct compute_queue *queue);

static inline bool compute_queue_is_empty(const struct compute_queue *queue)
{
    return queue->n_small == 0 && queue->large.first == NULL;
}

#endif
