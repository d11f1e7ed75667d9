#include "serve/compute.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "serve/compute_queue.h"

#define MAX_GROUP       256u
#define STAND_BACK      3                   /* of nice: half of a loop's weight */
#define QUEUE_MAX_BYTES ((size_t)256 << 20) /* of bodies that wait for one version */

struct compute_thread {
    struct compute *compute;
    uint32_t index;
    struct telemetry_writer stats;
    pthread_t thread;
    struct job *group[MAX_GROUP];
};

struct compute {
    struct clock clock;
    uint32_t n_threads, n_started;
    pthread_mutex_t lock; /* of the ring and of all queues */
    pthread_cond_t changed;
    struct version *first_turn, *last_turn; /* the ring */
    struct compute_task *tasks, **tasks_end;
    bool stopping;
    struct compute_thread threads[]; /* at least one */
};

/* ---- the ring: under the lock ----------------------------------------------------------------------- */

static void give_turn(struct compute *compute, struct version *version)
{
    struct compute_queue *queue = &version->queue;
    if (queue->has_turn || compute_queue_is_empty(queue)) return;
    queue->has_turn = true;
    queue->next_turn = NULL;
    version_ref(version); /* the ring's */
    if (compute->first_turn == NULL)
        compute->first_turn = version;
    else
        compute->last_turn->queue.next_turn = version;
    compute->last_turn = version;
    pthread_cond_signal(&compute->changed);
}

/* When a version's jobs may be run: at once, or when they have waited for company long enough. */
static uint64_t due_ns(const struct compute *compute, const struct version *version)
{
    const struct version_settings *settings = &version->settings;
    const struct compute_queue *queue = &version->queue;
    if (compute->stopping || settings->max_queue_delay_ns == 0 || queue->large.first != NULL) return 0;
    if (queue->n_small >= version_least_batch(settings)) return 0;
    return compute_queue_oldest_ns(queue) + settings->max_queue_delay_ns;
}

/* Takes the first version that is due out of the ring, with the ring's reference; NULL: none is before
 * *ret_until_ns. */
static struct version *take_turn(struct compute *compute, uint64_t *ret_until_ns)
{
    uint64_t now_ns = clock_now_ns(&compute->clock);
    struct version *before = NULL;
    *ret_until_ns = UINT64_MAX;
    for (struct version *version = compute->first_turn; version != NULL;
         before = version, version = version->queue.next_turn) {
        uint64_t due = due_ns(compute, version);
        if (due > now_ns) {
            if (due < *ret_until_ns) *ret_until_ns = due;
            continue;
        }
        if (before == NULL)
            compute->first_turn = version->queue.next_turn;
        else
            before->queue.next_turn = version->queue.next_turn;
        if (compute->last_turn == version) compute->last_turn = before;
        version->queue.has_turn = false;
        return version;
    }
    return NULL;
}

/* ---- ending jobs ------------------------------------------------------------------------------------ */

static void end_job(struct compute *compute, struct job *job)
{
    pthread_mutex_lock(&compute->lock);
    struct compute_queue *queue = &job->version->queue;
    queue->n_jobs--;
    queue->n_bytes -= job_bytes(job);
    pthread_mutex_unlock(&compute->lock);
    job->done(job); /* not ours any more */
}

static bool is_useless(const struct job *job, uint64_t now_ns)
{
    return now_ns > job->call.deadline_ns || atomic_load_explicit(&job->is_unwanted, memory_order_relaxed);
}

/* True when it should not be run; it is ended then. */
static bool end_if_useless(struct compute *compute, struct job *job)
{
    if (!is_useless(job, clock_now_ns(&compute->clock))) return false;
    if (atomic_load_explicit(&job->is_unwanted, memory_order_relaxed))
        job_fail(job, ONNXD_ERR_CANCELLED, "the client has gone");
    else
        job_fail(job, ONNXD_ERR_TIMEOUT, "the deadline passed before the request was run");
    end_job(compute, job);
    return true;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void count_run(struct compute_thread *thread, const struct version *version, uint32_t n_rows,
                      const struct run *run)
{
    if (run->status == ONNXD_OK)
        telemetry_count_run(&thread->stats, &version->stats, n_rows, run->end_ns - run->start_ns);
}

/* Answers a job from a run that holds its rows from first_row on. */
static void write_job(struct compute_thread *thread, struct runner *runner, struct job *job,
                      const struct run *run, uint32_t n_rows_run, uint32_t first_row)
{
    struct call_result result = {.outputs = runner->out,
                                 .n_rows_run = n_rows_run,
                                 .first_row = first_row,
                                 .run_start_ns = run->start_ns,
                                 .run_end_ns = run->end_ns};
    job->run_ns = run->end_ns - run->start_ns;
    if (run->status == ONNXD_OK)
        job_write(job, &result, runner->slices, &thread->compute->clock);
    else
        job_fail(job, run->status, "%s", run->err.message);
    end_job(thread->compute, job);
}

static void run_single(struct compute_thread *thread, struct runner *runner, struct job *job)
{
    struct run run;
    uint32_t n_rows = job->call.alone ? 1 : job->call.n_rows;
    if (job->call.alone)
        runner_run_tensors(runner, job->call.v2->inputs, &thread->compute->clock, &run);
    else
        runner_run_rows(runner, job->store.rows.data, 0, n_rows, &thread->compute->clock, &run);
    count_run(thread, runner->version, n_rows, &run);
    write_job(thread, runner, job, &run, n_rows, 0);
}

/* Rows of several requests in one run; when it fails for a row, each request by itself. */
static void run_group(struct compute_thread *thread, struct runner *runner, struct job **jobs, uint32_t n)
{
    struct row_store *gathered = &runner->gathered;
    struct run run = {.status = ONNXD_ERR_NOMEM};
    uint32_t n_rows = 0, first = 0;
    row_store_drop(gathered);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = row_store_append(gathered, jobs[i]->store.rows.data, 0, jobs[i]->call.n_rows);
        n_rows += jobs[i]->call.n_rows;
    }
    if (ok) {
        runner_run_rows(runner, gathered->rows.data, 0, n_rows, &thread->compute->clock, &run);
        count_run(thread, runner->version, n_rows, &run);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = first;
        first += jobs[i]->call.n_rows;
        if (!ok || run_failed_by_input(run.status))
            run_single(thread, runner, jobs[i]);
        else
            write_job(thread, runner, jobs[i], &run, n_rows, at);
    }
}

/* Runs one slice of a large job. True when the job was ended. */
static bool run_slice(struct compute_thread *thread, struct runner *runner, struct job *job)
{
    struct compute *compute = thread->compute;
    struct run run;
    uint32_t n = job->call.n_rows - job->n_done, most = runner->version->settings.max_batch;
    if (n > most) n = most;
    runner_run_rows(runner, job->store.rows.data, job->n_done, n, &compute->clock, &run);
    count_run(thread, runner->version, n, &run);
    if (run.status != ONNXD_OK) {
        job_fail(job, run.status, "%s", run.err.message);
    } else if (job_gather(job, runner->out, &run, n)) {
        if (job->n_done < job->call.n_rows) return false;
        job_write_gathered(job, runner->slices, &compute->clock);
    }
    end_job(compute, job);
    return true;
}

/* ---- turns ------------------------------------------------------------------------------------------ */

/* Reads what came in since the last turn and sorts it into the queues. */
static void read_fresh(struct compute_thread *thread, struct version *version)
{
    struct compute *compute = thread->compute;
    struct compute_queue *queue = &version->queue;
    for (uint32_t i = 0; i < MAX_GROUP; i++) {
        pthread_mutex_lock(&compute->lock);
        struct job *job = compute_queue_take_fresh(queue);
        pthread_mutex_unlock(&compute->lock);
        if (job == NULL) return;
        if (end_if_useless(compute, job)) continue;
        if (!job_read(job, &compute->clock)) {
            end_job(compute, job);
            continue;
        }
        version_count_unknowns(version, &job->store.rows, &thread->stats);
        bool is_large = version->shares_runs && job->call.n_rows > version->settings.max_batch;
        pthread_mutex_lock(&compute->lock);
        if (is_large)
            compute_queue_add_large(queue, job);
        else
            compute_queue_add_ready(queue, job);
        pthread_mutex_unlock(&compute->lock);
    }
}

/* Whole requests for one run. A request that does not go by rows, or whose rows do not mix with others, is
 * alone. */
static uint32_t take_group(struct compute_thread *thread, struct version *version)
{
    struct compute *compute = thread->compute;
    struct job *useless[MAX_GROUP];
    uint32_t n = 0, n_useless = 0, n_rows = 0;
    uint32_t most = version->shares_runs ? version->settings.max_batch : UINT32_MAX;
    uint64_t now_ns = clock_now_ns(&compute->clock);
    pthread_mutex_lock(&compute->lock);
    while (n < MAX_GROUP && n_useless < MAX_GROUP) {
        struct job *job = compute_queue_take_ready(&version->queue, most - n_rows);
        if (job == NULL) break;
        if (is_useless(job, now_ns)) {
            useless[n_useless++] = job;
            continue;
        }
        bool joins = version->shares_runs && !job->call.alone;
        if (n > 0 && !joins) {
            compute_queue_put_back(&version->queue, job);
            break;
        }
        thread->group[n++] = job;
        n_rows += job->call.n_rows;
        if (!joins) break;
    }
    give_turn(compute, version); /* so that another thread may go on with what is left */
    pthread_mutex_unlock(&compute->lock);
    for (uint32_t i = 0; i < n_useless; i++) (void)end_if_useless(compute, useless[i]);
    return n;
}

static void fail_group(struct compute_thread *thread, uint32_t n, const onnxd_error *err, onnxd_status status)
{
    for (uint32_t i = 0; i < n; i++) {
        job_fail(thread->group[i], status, "%s", err->message);
        end_job(thread->compute, thread->group[i]);
    }
}

static void run_turn(struct compute_thread *thread, struct version *version)
{
    struct compute *compute = thread->compute;
    struct runner *runner = NULL;
    onnxd_error err = {.message = ""};
    read_fresh(thread, version);
    uint32_t n = take_group(thread, version);
    pthread_mutex_lock(&compute->lock);
    struct job *large = compute_queue_take_large(&version->queue);
    pthread_mutex_unlock(&compute->lock);
    if (n == 0 && large == NULL) return;
    onnxd_status status = version_runner(version, thread->index, &runner, &err);
    if (status != ONNXD_OK) {
        fail_group(thread, n, &err, status);
        n = 0;
        if (large != NULL) {
            job_fail(large, status, "%s", err.message);
            end_job(compute, large);
        }
        return;
    }
    if (n == 1)
        run_single(thread, runner, thread->group[0]);
    else if (n > 1)
        run_group(thread, runner, thread->group, n);
    if (large == NULL || end_if_useless(compute, large) || run_slice(thread, runner, large)) return;
    pthread_mutex_lock(&compute->lock);
    compute_queue_add_large(&version->queue, large);
    give_turn(compute, version);
    pthread_mutex_unlock(&compute->lock);
}

/* Runs the first task, without the lock, which is held before and after. False: there is none. */
static bool run_task(struct compute *compute)
{
    struct compute_task *task = compute->tasks;
    if (task == NULL) return false;
    compute->tasks = task->next;
    if (compute->tasks == NULL) compute->tasks_end = &compute->tasks;
    pthread_mutex_unlock(&compute->lock);
    task->run(task);
    pthread_mutex_lock(&compute->lock);
    return true;
}

bool compute_step(struct compute *compute)
{
    uint64_t until_ns;
    pthread_mutex_lock(&compute->lock);
    bool ran = run_task(compute);
    struct version *version = ran ? NULL : take_turn(compute, &until_ns);
    pthread_mutex_unlock(&compute->lock);
    if (version == NULL) return ran;
    run_turn(&compute->threads[0], version);
    version_unref(version);
    return true;
}

/* Until something is queued or due. Holds the lock. */
static void wait_for_turn(struct compute *compute, uint64_t until_ns)
{
    if (until_ns == UINT64_MAX) {
        pthread_cond_wait(&compute->changed, &compute->lock);
        return;
    }
    struct timespec until = {(time_t)(until_ns / NS_PER_S), (long)(until_ns % NS_PER_S)};
    pthread_cond_timedwait(&compute->changed, &compute->lock, &until);
}

static void show_cpu(struct compute_thread *thread)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0)
        telemetry_show_cpu(&thread->stats, (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec);
}

/* Where loops and compute threads share a core, a loop that wakes up goes first: single rows are not to wait
 * for the end of a time slice. */
static void stand_back(void)
{
    pid_t self = gettid();
    errno = 0;
    int nice_now = getpriority(PRIO_PROCESS, (id_t)self);
    if (errno == 0) (void)setpriority(PRIO_PROCESS, (id_t)self, nice_now + STAND_BACK);
}

static void *run_thread(void *context)
{
    struct compute_thread *thread = context;
    struct compute *compute = thread->compute;
    stand_back();
    pthread_mutex_lock(&compute->lock);
    while (!compute->stopping) {
        uint64_t until_ns;
        if (run_task(compute)) continue;
        struct version *version = take_turn(compute, &until_ns);
        if (version == NULL) {
            wait_for_turn(compute, until_ns);
            continue;
        }
        pthread_mutex_unlock(&compute->lock);
        run_turn(thread, version);
        version_unref(version);
        show_cpu(thread);
        pthread_mutex_lock(&compute->lock);
    }
    pthread_mutex_unlock(&compute->lock);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status compute_submit(struct compute *compute, struct job *job, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    struct version *version = job->version;
    struct compute_queue *queue = &version->queue;
    pthread_mutex_lock(&compute->lock);
    if (queue->n_jobs >= version->settings.max_queue_size)
        status = error_set(err, ONNXD_ERR_BUSY, "model '%s': max-queue-size = %u: the queue is full",
                           version->name, version->settings.max_queue_size);
    else if (queue->n_bytes > QUEUE_MAX_BYTES)
        status = error_set(err, ONNXD_ERR_BUSY, "model '%s': %zu bytes wait in its queue already",
                           version->name, queue->n_bytes);
    if (status == ONNXD_OK) {
        queue->n_jobs++;
        queue->n_bytes += job_bytes(job);
        compute_queue_add_fresh(queue, job);
        give_turn(compute, version);
        /* One that waits for company has its turn already, and may have enough now. */
        pthread_cond_signal(&compute->changed);
    }
    pthread_mutex_unlock(&compute->lock);
    return status;
}

void compute_run(struct compute *compute, struct compute_task *task)
{
    task->next = NULL;
    pthread_mutex_lock(&compute->lock);
    *compute->tasks_end = task;
    compute->tasks_end = &task->next;
    pthread_cond_signal(&compute->changed);
    pthread_mutex_unlock(&compute->lock);
}

onnxd_status compute_create(uint32_t n_threads, const struct telemetry *telemetry, uint32_t process,
                            const struct clock *clock, struct compute **ret_compute, onnxd_error *err)
{
    uint32_t n = n_threads > 0 ? n_threads : 1;
    struct compute *compute = calloc(1, sizeof *compute + n * sizeof *compute->threads);
    if (compute == NULL) return error_set(err, ONNXD_ERR_NOMEM, "compute threads: out of memory");
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&compute->lock, NULL);
    pthread_cond_init(&compute->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    compute->clock = *clock;
    compute->tasks_end = &compute->tasks;
    for (uint32_t i = 0; i < n; i++) {
        struct compute_thread *thread = &compute->threads[i];
        thread->compute = compute;
        thread->index = i;
        telemetry_writer_init(&thread->stats, telemetry, process, telemetry->n_workers + i);
        if (n_threads == 0) break;
        if (pthread_create(&thread->thread, NULL, run_thread, thread) != 0) {
            compute_free(compute);
            return error_set(err, ONNXD_ERR_NOMEM, "cannot start compute thread %u", i);
        }
        compute->n_started++;
    }
    *ret_compute = compute;
    return ONNXD_OK;
}

static void cancel_all(struct compute *compute, struct version *version)
{
    for (;;) {
        pthread_mutex_lock(&compute->lock);
        struct job *job = compute_queue_take_fresh(&version->queue);
        if (job == NULL) job = compute_queue_take_ready(&version->queue, UINT32_MAX);
        if (job == NULL) job = compute_queue_take_large(&version->queue);
        pthread_mutex_unlock(&compute->lock);
        if (job == NULL) return;
        job_fail(job, ONNXD_ERR_CANCELLED, "the server is stopping");
        end_job(compute, job);
    }
}

void compute_free(struct compute *compute)
{
    if (compute == NULL) return;
    pthread_mutex_lock(&compute->lock);
    compute->stopping = true;
    pthread_cond_broadcast(&compute->changed);
    pthread_mutex_unlock(&compute->lock);
    for (uint32_t i = 0; i < compute->n_started; i++) pthread_join(compute->threads[i].thread, NULL);
    pthread_mutex_lock(&compute->lock);
    while (run_task(compute)) {
    }
    pthread_mutex_unlock(&compute->lock);
    struct version *version;
    uint64_t until_ns;
    while ((version = take_turn(compute, &until_ns)) != NULL) {
        cancel_all(compute, version);
        version_unref(version);
    }
    pthread_cond_destroy(&compute->changed);
    pthread_mutex_destroy(&compute->lock);
    free(compute);
}
