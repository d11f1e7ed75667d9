#include "serve/compute_queue.h"

#include "serve/job.h"

static void append(struct job_list *list, struct job *job)
{
    job->next = NULL;
    if (list->first == NULL)
        list->first = job;
    else
        list->last->next = job;
    list->last = job;
}

static struct job *take(struct job_list *list)
{
    struct job *job = list->first;
    if (job == NULL) return NULL;
    list->first = job->next;
    if (list->first == NULL) list->last = NULL;
    job->next = NULL;
    return job;
}

void compute_queue_add_fresh(struct compute_queue *queue, struct job *job)
{
    append(&queue->fresh, job);
    queue->n_small++;
}

void compute_queue_add_ready(struct compute_queue *queue, struct job *job)
{
    struct job_list *list = &queue->ready;
    uint64_t rank = call_rank(&job->call);
    queue->n_small++;
    if (list->first == NULL || call_rank(&list->last->call) <= rank) {
        append(list, job);
        return;
    }
    struct job **at = &list->first;
    while (call_rank(&(*at)->call) <= rank) at = &(*at)->next;
    job->next = *at;
    *at = job;
}

void compute_queue_put_back(struct compute_queue *queue, struct job *job)
{
    job->next = queue->ready.first;
    queue->ready.first = job;
    if (job->next == NULL) queue->ready.last = job;
    queue->n_small++;
}

void compute_queue_add_large(struct compute_queue *queue, struct job *job)
{
    append(&queue->large, job);
}

struct job *compute_queue_take_fresh(struct compute_queue *queue)
{
    struct job *job = take(&queue->fresh);
    if (job != NULL) queue->n_small--;
    return job;
}

struct job *compute_queue_take_large(struct compute_queue *queue)
{
    return take(&queue->large);
}

struct job *compute_queue_take_ready(struct compute_queue *queue, uint32_t max_rows)
{
    if (queue->ready.first == NULL || queue->ready.first->call.n_rows > max_rows) return NULL;
    queue->n_small--;
    return take(&queue->ready);
}

uint64_t compute_queue_oldest_ns(const struct compute_queue *queue)
{
    uint64_t oldest_ns = UINT64_MAX;
    if (queue->fresh.first != NULL) oldest_ns = queue->fresh.first->call.parsed_ns;
    for (const struct job *job = queue->ready.first; job != NULL; job = job->next)
        if (job->call.parsed_ns < oldest_ns) oldest_ns = job->call.parsed_ns;
    return oldest_ns;
}
