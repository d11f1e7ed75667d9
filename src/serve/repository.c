#include "serve/repository.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "serve/repository_state.h"

#define MAX_JOBS 64

/* ---- jobs ------------------------------------------------------------------------------------------- */

/* An order from start to end, noted for who comes after. */
static onnxd_status perform(struct repository *repository, struct repository_job *job)
{
    struct admin_journal *journal = repository->options.journal;
    struct admin_order *order = admin_order_ref(job->order);
    onnxd_status status = ONNXD_OK;
    if (journal != NULL) status = admin_journal_allows(journal, order, monotonic_ns(), &job->err);
    if (status == ONNXD_OK) status = repository_prepare(repository, job);
    if (status == ONNXD_OK && journal != NULL) /* first, so that no program takes over between the two */
        status = admin_journal_add(journal, order, job->has_files, monotonic_ns(), &job->err);
    if (status == ONNXD_OK) status = repository_commit(repository, job);
    admin_order_unref(order);
    return status;
}

static void run_job(struct repository *repository, struct repository_job *job)
{
    job->err.message[0] = 0;
    job->status = ONNXD_OK;
    switch (job->verb) {
    case REPOSITORY_SYNC: job->status = repository_sync(repository, &job->err); break;
    case REPOSITORY_PERFORM: job->status = perform(repository, job); break;
    case REPOSITORY_PREPARE: job->status = repository_prepare(repository, job); break;
    case REPOSITORY_COMMIT: job->status = repository_commit(repository, job); break;
    case REPOSITORY_ABORT: repository_abort(repository); break;
    }
    if (job->done != NULL)
        job->done(job);
    else
        repository_job_free(job);
}

/* ---- the thread ------------------------------------------------------------------------------------- */

/* The next job, NULL to look at the folder, or false to end. Holds the lock. */
static bool wait_for_job(struct repository *repository, struct repository_job **ret_job)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + repository->options.watch_ns;
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    int code = 0;
    while (repository->jobs == NULL && !repository->stopping && code == 0)
        code = repository->options.watch_ns > 0
                   ? pthread_cond_timedwait(&repository->changed, &repository->lock, &until)
                   : pthread_cond_wait(&repository->changed, &repository->lock);
    if (repository->stopping) return false;
    *ret_job = repository->jobs;
    if (*ret_job == NULL) return true;
    repository->jobs = (*ret_job)->next;
    if (repository->jobs == NULL) repository->jobs_end = &repository->jobs;
    repository->n_jobs--;
    return true;
}

static void *run(void *context)
{
    struct repository *repository = context;
    for (;;) {
        struct repository_job *job = NULL;
        pthread_mutex_lock(&repository->lock);
        bool go_on = wait_for_job(repository, &job);
        pthread_mutex_unlock(&repository->lock);
        if (!go_on) return NULL;
        if (job != NULL)
            run_job(repository, job);
        else
            (void)!repository_sync(repository, NULL); /* failures are logged and in the index */
    }
}

onnxd_status repository_submit(struct repository *repository, struct repository_job *job, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    pthread_mutex_lock(&repository->lock);
    bool waits_for_it = job->verb != REPOSITORY_SYNC && job->verb != REPOSITORY_PERFORM;
    if (repository->n_jobs >= MAX_JOBS && !waits_for_it) { /* steps of an order come one by one */
        status = error_set(err, ONNXD_ERR_BUSY, "%d requests to the repository wait already", MAX_JOBS);
    } else {
        job->next = NULL;
        *repository->jobs_end = job;
        repository->jobs_end = &job->next;
        repository->n_jobs++;
        pthread_cond_signal(&repository->changed);
    }
    pthread_mutex_unlock(&repository->lock);
    return status;
}

void repository_job_free(struct repository_job *job)
{
    if (job == NULL) return;
    admin_order_unref(job->order);
    free(job);
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status repository_create(const struct repository_options *options, struct repository **ret_repository,
                               onnxd_error *err)
{
    struct repository *repository = calloc(1, sizeof *repository);
    if (repository == NULL) return error_set(err, ONNXD_ERR_NOMEM, "repository: out of memory");
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&repository->lock, NULL);
    pthread_cond_init(&repository->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    repository->options = *options;
    repository->jobs_end = &repository->jobs;
    repository->catalog = catalog_create();
    if (options->folder != NULL) repository->folder = strdup(options->folder);
    if (repository->catalog == NULL || (options->folder != NULL && repository->folder == NULL)) {
        repository_free(repository);
        return error_set(err, ONNXD_ERR_NOMEM, "repository: out of memory");
    }
    *ret_repository = repository;
    return ONNXD_OK;
}

void repository_free(struct repository *repository)
{
    if (repository == NULL) return;
    if (repository->started) {
        pthread_mutex_lock(&repository->lock);
        repository->stopping = true;
        pthread_cond_signal(&repository->changed);
        pthread_mutex_unlock(&repository->lock);
        pthread_join(repository->thread, NULL);
    }
    while (repository->jobs != NULL) {
        struct repository_job *job = repository->jobs;
        repository->jobs = job->next;
        repository_job_free(job);
    }
    repository_abort(repository);
    for (uint32_t i = 0; i < repository->n_entries; i++) repository_free_entry(repository->entries[i]);
    free(repository->entries);
    for (uint32_t i = 0; i < repository->n_wishes; i++) free(repository->wishes[i].config);
    free(repository->wishes);
    catalog_unref(repository->catalog);
    free(repository->folder);
    pthread_cond_destroy(&repository->changed);
    pthread_mutex_destroy(&repository->lock);
    free(repository);
}

onnxd_status repository_add_file(struct repository *repository, const char *name, const char *path,
                                 onnxd_error *err)
{
    if (repository_find(repository, name, 1) != NULL)
        return error_set(err, ONNXD_ERR_ARGUMENT, "model '%s' is given twice", name);
    struct entry *entry = repository_touch(repository, name, 1);
    if (entry == NULL || !repository_set_paths(entry, path, NULL))
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
    const struct wish *wish = repository_wish(repository, name);
    if (wish == NULL || !wish->is_out) return repository_load_entry(repository, entry, err);
    repository_tell(repository, entry, REPOSITORY_UNAVAILABLE, REPOSITORY_UNLOADED);
    return ONNXD_OK;
}

onnxd_status repository_first_sync(struct repository *repository, onnxd_error *err)
{
    onnxd_status status = repository_scan(repository, err);
    if (status == ONNXD_OK)
        (void)!repository_sync(repository, NULL); /* single failures are logged and in the index */
    return status;
}

onnxd_status repository_recall_files(struct repository *repository, const struct admin_journal *journal,
                                     onnxd_error *err)
{
    for (uint32_t i = 0; i < journal->n; i++) {
        const struct admin_order *order = journal->orders[i];
        if (order->n_files == 0 &&
            !repository_set_wish(repository, order->name, order->verb == ADMIN_UNLOAD, order->config))
            return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", order->name);
    }
    return ONNXD_OK;
}

void repository_recall_content(struct repository *repository, const struct admin_journal *journal)
{
    for (uint32_t i = 0; i < journal->n; i++) {
        if (journal->orders[i]->n_files == 0) continue;
        struct repository_job job = {.order = admin_order_ref(journal->orders[i])};
        onnxd_status status = repository_prepare(repository, &job);
        if (status == ONNXD_OK) status = repository_commit(repository, &job);
        if (status != ONNXD_OK) log_error("%s; it was loaded by request before", job.err.message);
        admin_order_unref(job.order);
    }
}

struct catalog *repository_catalog(struct repository *repository)
{
    pthread_mutex_lock(&repository->lock);
    struct catalog *catalog = catalog_ref(repository->catalog);
    pthread_mutex_unlock(&repository->lock);
    return catalog;
}

onnxd_status repository_start(struct repository *repository, onnxd_error *err)
{
    const struct repository_options *options = &repository->options;
    repository->started = true;
    if (pthread_create(&repository->thread, NULL, run, repository) == 0) {
        if (options->board != NULL) index_board_present(options->board, options->host.process, true);
        return ONNXD_OK;
    }
    repository->started = false;
    return error_set(err, ONNXD_ERR_NOMEM, "repository: cannot start a thread");
}
