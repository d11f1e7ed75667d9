#include "serve/repository.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/model_config.h"

#define MAX_JOBS         64
#define MAX_CONFIG_BYTES (1u << 20)
#define PATH_BYTES       4096

struct stamp { /* tells whether a file is still the one that was read; all zero: absent */
    int64_t mtime_s, mtime_ns, size;
    uint64_t inode;
};

struct entry { /* one version of one model, loaded or not */
    struct repository_entry told;
    char *path;                       /* NULL: its content came with a request */
    char *config_path;                /* NULL: none */
    struct stamp stamp, config_stamp; /* of what was loaded, or failed to be */
    struct version *version;          /* a reference, while it is served */
    bool in_folder;                   /* found by the scan */
    bool seen;                        /* by the present scan */
    bool kept_out;                    /* unloaded by request */
};

struct repository {
    struct repository_options options;
    char *folder;
    pthread_mutex_t lock; /* of everything below but `entries`' owner-only parts */
    pthread_cond_t changed;
    struct entry **entries; /* changed by the loading thread alone, under the lock */
    uint32_t n_entries, capacity;
    struct catalog *catalog;
    struct repository_job *jobs, **jobs_end;
    uint32_t n_jobs;
    bool stopping, started;
    pthread_t thread;
};

/* ---- files ------------------------------------------------------------------------------------------ */

static struct stamp stamp_of(const char *path)
{
    struct stat info;
    if (path == NULL || stat(path, &info) != 0) return (struct stamp){0};
    return (struct stamp){info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size, info.st_ino};
}

static bool same_stamp(struct stamp a, struct stamp b)
{
    return a.mtime_s == b.mtime_s && a.mtime_ns == b.mtime_ns && a.size == b.size && a.inode == b.inode;
}

static bool is_version(const char *name, uint64_t *ret)
{
    char *end;
    if (name[0] < '1' || name[0] > '9' || strlen(name) > 18) return false;
    *ret = strtoull(name, &end, 10);
    return *end == 0;
}

/* ---- entries ---------------------------------------------------------------------------------------- */

static struct entry *find_entry(const struct repository *repository, const char *name, uint64_t version)
{
    for (uint32_t i = 0; i < repository->n_entries; i++) {
        struct entry *entry = repository->entries[i];
        if (entry->told.version == version && strcmp(entry->told.name, name) == 0) return entry;
    }
    return NULL;
}

static void free_entry(struct entry *entry)
{
    version_unref(entry->version);
    free(entry->path);
    free(entry->config_path);
    free(entry);
}

/* Finds or makes the entry and gives it its paths, which may be NULL. NULL: out of memory. */
static struct entry *touch_entry(struct repository *repository, const char *name, uint64_t version,
                                 const char *path, const char *config_path)
{
    struct entry *entry = find_entry(repository, name, version);
    char *path_copy = path != NULL ? strdup(path) : NULL;
    char *config_copy = config_path != NULL ? strdup(config_path) : NULL;
    bool ok = (path == NULL || path_copy != NULL) && (config_path == NULL || config_copy != NULL);
    if (ok && entry == NULL) {
        entry = calloc(1, sizeof *entry);
        ok = entry != NULL;
        if (ok && repository->n_entries == repository->capacity) {
            uint32_t capacity = repository->capacity == 0 ? 16 : repository->capacity * 2;
            pthread_mutex_lock(&repository->lock);
            struct entry **entries = realloc(repository->entries, capacity * sizeof *entries);
            if (entries != NULL) {
                repository->entries = entries;
                repository->capacity = capacity;
            }
            pthread_mutex_unlock(&repository->lock);
            ok = entries != NULL;
            if (!ok) free(entry);
        }
        if (ok) {
            snprintf(entry->told.name, sizeof entry->told.name, "%s", name);
            entry->told.version = version;
            entry->told.state = REPOSITORY_UNAVAILABLE;
            pthread_mutex_lock(&repository->lock);
            repository->entries[repository->n_entries++] = entry;
            pthread_mutex_unlock(&repository->lock);
        }
    }
    if (!ok) {
        free(path_copy);
        free(config_copy);
        return NULL;
    }
    free(entry->path);
    free(entry->config_path);
    entry->path = path_copy;
    entry->config_path = config_copy;
    return entry;
}

static void tell(struct repository *repository, struct entry *entry, enum repository_state state,
                 const char *reason)
{
    pthread_mutex_lock(&repository->lock);
    entry->told.state = state;
    snprintf(entry->told.reason, sizeof entry->told.reason, "%s", reason);
    pthread_mutex_unlock(&repository->lock);
}

static void publish(struct repository *repository, struct catalog *catalog)
{
    pthread_mutex_lock(&repository->lock);
    struct catalog *old = repository->catalog;
    repository->catalog = catalog;
    bool started = repository->started;
    pthread_mutex_unlock(&repository->lock);
    if (started) repository->options.publish(repository->options.context, catalog);
    catalog_unref(old);
}

/* ---- loading ---------------------------------------------------------------------------------------- */

static onnxd_status read_settings(const struct repository *repository, const struct entry *entry,
                                  const char *config, struct version_settings *ret, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    *ret = repository->options.settings;
    if (config != NULL) {
        status = model_config_read(config, strlen(config), ret, err);
        if (status != ONNXD_OK) error_prefix(err, "config: ");
        return status;
    }
    struct stamp absent = {0};
    if (same_stamp(stamp_of(entry->config_path), absent)) return ONNXD_OK;
    char *text = NULL;
    size_t n;
    status = file_read(entry->config_path, MAX_CONFIG_BYTES, &text, &n, err);
    if (status == ONNXD_OK) {
        status = model_config_read(text, n, ret, err);
        if (status != ONNXD_OK) error_prefix(err, "%s: ", entry->config_path);
    }
    free(text);
    return status;
}

/* Loads an entry from `source` and puts it in place of what it served before. */
static onnxd_status load_entry(struct repository *repository, struct entry *entry,
                               const struct version_source *source, const char *config, onnxd_error *err)
{
    struct version_settings settings;
    struct version *version = NULL;
    struct catalog *catalog = NULL;
    uint64_t start_ns = monotonic_ns();
    tell(repository, entry, REPOSITORY_LOADING, "");
    entry->stamp = stamp_of(entry->path);
    entry->config_stamp = stamp_of(entry->config_path);
    entry->kept_out = false;
    onnxd_status status = read_settings(repository, entry, config, &settings, err);
    if (status == ONNXD_OK)
        status = version_create(repository->options.backend, entry->told.name, entry->told.version, source,
                                &settings, &repository->options.host, &version, err);
    if (status == ONNXD_OK) {
        catalog = catalog_change(repository->catalog, version, NULL);
        if (catalog == NULL) status = error_set(err, ONNXD_ERR_LIMIT, "too many versions, or out of memory");
    }
    telemetry_count_load(repository->options.host.telemetry, repository->options.host.process,
                         status == ONNXD_OK);
    if (status != ONNXD_OK) {
        version_unref(version);
        error_prefix(err, "model '%s' version %llu: ", entry->told.name,
                     (unsigned long long)entry->told.version);
        tell(repository, entry, entry->version != NULL ? REPOSITORY_READY : REPOSITORY_UNAVAILABLE,
             err->message);
        return status;
    }
    publish(repository, catalog);
    struct version *old = entry->version;
    entry->version = version;
    version_unref(old); /* usually the last reference: its memory goes here and not on a serving thread */
    tell(repository, entry, REPOSITORY_READY, "");
    log_info("model '%s' version %llu loaded by the %s engine in %.1f ms%s", entry->told.name,
             (unsigned long long)entry->told.version,
             repository->options.backend->engine_name(version->model),
             (double)(monotonic_ns() - start_ns) / NS_PER_MS,
             version->on_threads ? "; it runs on compute threads" : "");
    return ONNXD_OK;
}

static onnxd_status load_from_path(struct repository *repository, struct entry *entry, const char *config,
                                   onnxd_error *err)
{
    struct version_source source = {.path = entry->path};
    return load_entry(repository, entry, &source, config, err);
}

static void drop_version(struct repository *repository, struct entry *entry, const char *reason)
{
    if (entry->version == NULL) {
        tell(repository, entry, REPOSITORY_UNAVAILABLE, reason);
        return;
    }
    struct catalog *catalog = catalog_change(repository->catalog, NULL, entry->version);
    if (catalog == NULL) return; /* out of memory: it goes on being served */
    publish(repository, catalog);
    version_unref(entry->version);
    entry->version = NULL;
    tell(repository, entry, REPOSITORY_UNAVAILABLE, reason);
    log_info("model '%s' version %llu: %s", entry->told.name, (unsigned long long)entry->told.version,
             reason);
}

/* ---- the folder ------------------------------------------------------------------------------------- */

/* Notes the versions of one model's folder. */
static void scan_model(struct repository *repository, const char *name)
{
    char folder[PATH_BYTES], path[PATH_BYTES + 64], config[PATH_BYTES + 64];
    if (snprintf(folder, sizeof folder, "%s/%s", repository->folder, name) >= (int)sizeof folder) return;
    snprintf(config, sizeof config, "%s/config.json", folder);
    DIR *dir = opendir(folder);
    if (dir == NULL) return;
    for (struct dirent *item; (item = readdir(dir)) != NULL;) {
        uint64_t version;
        struct stamp absent = {0};
        if (!is_version(item->d_name, &version)) continue;
        snprintf(path, sizeof path, "%s/%.20s/model.onnx", folder, item->d_name);
        if (same_stamp(stamp_of(path), absent)) continue;
        struct entry *entry = touch_entry(repository, name, version, path, config);
        if (entry != NULL) entry->in_folder = entry->seen = true;
    }
    closedir(dir);
}

static onnxd_status scan_folder(struct repository *repository, onnxd_error *err)
{
    for (uint32_t i = 0; i < repository->n_entries; i++) repository->entries[i]->seen = false;
    if (repository->folder == NULL) return ONNXD_OK;
    struct dirent **items;
    int n = scandir(repository->folder, &items, NULL, alphasort); /* in an order that users can foresee */
    if (n < 0)
        return error_set(err, ONNXD_ERR_IO, "repository '%s': %s", repository->folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        if (items[i]->d_name[0] != '.' && strlen(items[i]->d_name) < VERSION_NAME_BYTES)
            scan_model(repository, items[i]->d_name);
        free(items[i]);
    }
    free(items);
    return ONNXD_OK;
}

static void forget_entry(struct repository *repository, uint32_t i)
{
    struct entry *entry = repository->entries[i];
    pthread_mutex_lock(&repository->lock);
    repository->entries[i] = repository->entries[--repository->n_entries];
    pthread_mutex_unlock(&repository->lock);
    free_entry(entry);
}

/* Loads what is new or changed and drops what has gone. The first failure is told; each is logged. */
static onnxd_status sync_all(struct repository *repository, onnxd_error *err)
{
    onnxd_status first = scan_folder(repository, err);
    if (first != ONNXD_OK) return first;
    for (uint32_t i = 0; i < repository->n_entries;) {
        struct entry *entry = repository->entries[i];
        if (entry->in_folder && !entry->seen) {
            drop_version(repository, entry, "its file has gone");
            if (entry->version == NULL) {
                forget_entry(repository, i);
                continue;
            }
        }
        i++;
        if (entry->path == NULL || entry->kept_out) continue;
        if (same_stamp(entry->stamp, stamp_of(entry->path)) &&
            same_stamp(entry->config_stamp, stamp_of(entry->config_path)))
            continue;
        onnxd_error one = {.message = ""};
        onnxd_status status = load_from_path(repository, entry, NULL, &one);
        if (status == ONNXD_OK) continue;
        log_error("%s%s", one.message, entry->version != NULL ? "; the version before goes on" : "");
        if (first == ONNXD_OK && err != NULL) *err = one;
        if (first == ONNXD_OK) first = status;
    }
    return first;
}

/* ---- one model, by request -------------------------------------------------------------------------- */

static onnxd_status load_files(struct repository *repository, struct repository_job *job)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; status == ONNXD_OK && i < job->n_files; i++) {
        struct entry *entry = touch_entry(repository, job->name, job->files[i].version, NULL, NULL);
        if (entry == NULL)
            return error_set(&job->err, ONNXD_ERR_NOMEM, "model '%s': out of memory", job->name);
        struct version_source source = {.bytes = job->files[i].bytes, .n_bytes = job->files[i].n};
        status = load_entry(repository, entry, &source, job->config, &job->err);
    }
    return status;
}

static onnxd_status load_model(struct repository *repository, struct repository_job *job)
{
    if (job->n_files > 0) return load_files(repository, job);
    onnxd_status status = scan_folder(repository, &job->err);
    uint32_t n = 0;
    for (uint32_t i = 0; status == ONNXD_OK && i < repository->n_entries; i++) {
        struct entry *entry = repository->entries[i];
        if (strcmp(entry->told.name, job->name) != 0 || entry->path == NULL) continue;
        status = load_from_path(repository, entry, job->config, &job->err);
        n++;
    }
    if (status == ONNXD_OK && n == 0)
        status = error_set(&job->err, ONNXD_ERR_NOT_FOUND, "model '%s' is not in the repository", job->name);
    return status;
}

static onnxd_status unload_model(struct repository *repository, struct repository_job *job)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < repository->n_entries; i++) {
        struct entry *entry = repository->entries[i];
        if (strcmp(entry->told.name, job->name) != 0) continue;
        entry->kept_out = true;
        drop_version(repository, entry, "unloaded by request");
        n++;
    }
    if (n > 0) return ONNXD_OK;
    return error_set(&job->err, ONNXD_ERR_NOT_FOUND, "model '%s' is not served", job->name);
}

static void run_job(struct repository *repository, struct repository_job *job)
{
    job->err.message[0] = 0;
    switch (job->verb) {
    case REPOSITORY_SYNC: job->status = sync_all(repository, &job->err); break;
    case REPOSITORY_LOAD: job->status = load_model(repository, job); break;
    case REPOSITORY_UNLOAD: job->status = unload_model(repository, job); break;
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
            (void)!sync_all(repository, NULL); /* failures are logged and in the index */
    }
}

onnxd_status repository_submit(struct repository *repository, struct repository_job *job, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    pthread_mutex_lock(&repository->lock);
    if (repository->n_jobs >= MAX_JOBS) {
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
    for (uint32_t i = 0; i < job->n_files; i++) free(job->files[i].bytes);
    free(job->files);
    free(job->config);
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
    for (uint32_t i = 0; i < repository->n_entries; i++) free_entry(repository->entries[i]);
    free(repository->entries);
    catalog_unref(repository->catalog);
    free(repository->folder);
    pthread_cond_destroy(&repository->changed);
    pthread_mutex_destroy(&repository->lock);
    free(repository);
}

onnxd_status repository_add_file(struct repository *repository, const char *name, const char *path,
                                 onnxd_error *err)
{
    if (find_entry(repository, name, 1) != NULL)
        return error_set(err, ONNXD_ERR_ARGUMENT, "model '%s' is given twice", name);
    struct entry *entry = touch_entry(repository, name, 1, path, NULL);
    if (entry == NULL) return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
    return load_from_path(repository, entry, NULL, err);
}

onnxd_status repository_first_sync(struct repository *repository, onnxd_error *err)
{
    onnxd_status status = scan_folder(repository, err);
    if (status == ONNXD_OK)
        (void)!sync_all(repository, NULL); /* single failures are logged and in the index */
    return status;
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
    repository->started = true;
    if (pthread_create(&repository->thread, NULL, run, repository) == 0) return ONNXD_OK;
    repository->started = false;
    return error_set(err, ONNXD_ERR_NOMEM, "repository: cannot start a thread");
}

uint32_t repository_index(struct repository *repository, struct repository_entry *out, uint32_t max)
{
    pthread_mutex_lock(&repository->lock);
    uint32_t n = repository->n_entries;
    for (uint32_t i = 0; i < n && i < max; i++) out[i] = repository->entries[i]->told;
    pthread_mutex_unlock(&repository->lock);
    return n;
}
