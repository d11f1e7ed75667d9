#include "base/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

struct worker {
    struct threads *threads;
    uint32_t index;
    pthread_t handle;
};

struct threads {
    uint32_t n_workers;
    uint32_t n_started; /* threads running besides the caller */
    struct worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t work_arrived, all_idle;
    uint64_t round; /* grows with each threads_run; guarded by lock */
    uint32_t n_busy;
    bool stopping;
    threads_task_fn fn;
    void *context;
    uint32_t n_tasks;
    _Atomic uint32_t next_task;
};

static void run_tasks(struct threads *t, uint32_t worker)
{
    for (;;) {
        uint32_t task = atomic_fetch_add_explicit(&t->next_task, 1, memory_order_relaxed);
        if (task >= t->n_tasks) return;
        t->fn(t->context, task, worker);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct threads *t = w->threads;
    uint64_t seen = 0;
    pthread_mutex_lock(&t->lock);
    for (;;) {
        while (!t->stopping && t->round == seen) pthread_cond_wait(&t->work_arrived, &t->lock);
        if (t->stopping) break;
        seen = t->round;
        pthread_mutex_unlock(&t->lock);
        run_tasks(t, w->index);
        pthread_mutex_lock(&t->lock);
        if (--t->n_busy == 0) pthread_cond_signal(&t->all_idle);
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

onnxd_status threads_create(uint32_t n_threads, struct threads **ret_threads, onnxd_error *err)
{
    if (n_threads < 1 || n_threads > 1024)
        return error_set(err, ONNXD_ERR_RANGE, "threads: expected 1..1024, got %u", n_threads);
    struct threads *t = calloc(1, sizeof *t);
    struct worker *workers = calloc(n_threads, sizeof *workers);
    if (t == NULL || workers == NULL) {
        free(t);
        free(workers);
        return error_set(err, ONNXD_ERR_NOMEM, "threads: no memory for %u workers", n_threads);
    }
    t->n_workers = n_threads;
    t->workers = workers;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->work_arrived, NULL);
    pthread_cond_init(&t->all_idle, NULL);
    for (uint32_t i = 1; i < n_threads; i++) {
        workers[i] = (struct worker){.threads = t, .index = i};
        if (pthread_create(&workers[i].handle, NULL, worker_main, &workers[i]) != 0) {
            threads_free(t);
            return error_set(err, ONNXD_ERR_NOMEM, "threads: cannot start worker %u of %u", i, n_threads);
        }
        t->n_started++;
    }
    *ret_threads = t;
    return ONNXD_OK;
}

void threads_free(struct threads *t)
{
    if (t == NULL) return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_broadcast(&t->work_arrived);
    pthread_mutex_unlock(&t->lock);
    for (uint32_t i = 1; i <= t->n_started; i++) pthread_join(t->workers[i].handle, NULL);
    pthread_cond_destroy(&t->all_idle);
    pthread_cond_destroy(&t->work_arrived);
    pthread_mutex_destroy(&t->lock);
    free(t->workers);
    free(t);
}

uint32_t threads_count(const struct threads *t)
{
    return t->n_workers;
}

void threads_run(struct threads *t, threads_task_fn fn, void *context, uint32_t n_tasks)
{
    pthread_mutex_lock(&t->lock);
    t->fn = fn;
    t->context = context;
    t->n_tasks = n_tasks;
    atomic_store_explicit(&t->next_task, 0, memory_order_relaxed);
    t->n_busy = t->n_started;
    t->round++;
    pthread_cond_broadcast(&t->work_arrived);
    pthread_mutex_unlock(&t->lock);
    run_tasks(t, 0);
    pthread_mutex_lock(&t->lock);
    while (t->n_busy > 0) pthread_cond_wait(&t->all_idle, &t->lock);
    pthread_mutex_unlock(&t->lock);
}
