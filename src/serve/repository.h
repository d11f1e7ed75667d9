/* serve/repository.h - which models are loaded, and how that changes while the server runs.
 *
 * Models come from single files and from a folder laid out DIR/<model>/<version>/model.onnx, with an optional
 * DIR/<model>/config.json:
 *
 *     {"engine":"native","max_batch":64,"max_queue_size":256}           (all fields: docs/server.md)
 *
 * Loading and warming happen on a thread of the repository's own, beside the serving threads. A version that
 * cannot be loaded leaves what was served before in its place and says why in the index.
 *
 * Threads: create, start and free from one thread; the others from any. */
#ifndef SERVE_REPOSITORY_H
#define SERVE_REPOSITORY_H

#include "net/loop.h"
#include "serve/catalog.h"

struct repository;

struct repository_options {
    const struct model_backend *backend;
    const char *folder;               /* NULL: none */
    struct version_settings settings; /* what config.json does not say */
    struct version_host host;         /* of the versions */
    uint64_t watch_ns;                /* how often to look for changes; 0: only when asked */
    void *context;
    /* Hands the catalog to all workers and returns when each has taken it up. */
    void (*publish)(void *context, struct catalog *catalog);
};

enum repository_verb {
    REPOSITORY_SYNC,  /* load what is new or changed, drop what is gone */
    REPOSITORY_LOAD,  /* one model: again, from the folder or from `files` */
    REPOSITORY_UNLOAD /* one model, all versions; it stays out until it is loaded again */
};

struct repository_file { /* content given in place of a file */
    uint64_t version;
    char *bytes; /* owned by the job */
    size_t n;
};

struct repository_job {
    enum repository_verb verb;
    char name[VERSION_NAME_BYTES];
    char *config; /* NUL-terminated text in place of config.json, owned; NULL: none */
    struct repository_file *files;
    uint32_t n_files;
    onnxd_status status; /* what came of it */
    onnxd_error err;
    /* Called on the repository's thread when it is done; frees the job in the end (repository_job_free). */
    void (*done)(struct repository_job *job);
    void *context;
    struct loop_task task; /* for `done` to post */
    struct repository_job *next;
};

enum repository_state { REPOSITORY_READY, REPOSITORY_LOADING, REPOSITORY_UNAVAILABLE };

struct repository_entry { /* as the index tells it */
    char name[VERSION_NAME_BYTES];
    uint64_t version;
    enum repository_state state;
    char reason[ONNXD_ERROR_MESSAGE_BYTES];
};

ONNXD_MUST_USE onnxd_status repository_create(const struct repository_options *options,
                                              struct repository **ret_repository, onnxd_error *err);
void repository_free(struct repository *repository); /* ends the thread; takes NULL */

/* Adds a model of one file and loads it. Before repository_start. Errors of loading, naming the model. */
ONNXD_MUST_USE onnxd_status repository_add_file(struct repository *repository, const char *name,
                                                const char *path, onnxd_error *err);

/* Loads what the folder holds, in this thread. Before repository_start. What fails is logged and told by the
 * index. ONNXD_ERR_IO when the folder cannot be read. */
ONNXD_MUST_USE onnxd_status repository_first_sync(struct repository *repository, onnxd_error *err);

/* A reference on the catalog as it is now. */
struct catalog *repository_catalog(struct repository *repository);

ONNXD_MUST_USE onnxd_status repository_start(struct repository *repository, onnxd_error *err);

/* Queues a job, which then belongs to the repository. ONNXD_ERR_BUSY: too many wait (the job stays the
 * caller's). */
ONNXD_MUST_USE onnxd_status repository_submit(struct repository *repository, struct repository_job *job,
                                              onnxd_error *err);
void repository_job_free(struct repository_job *job);

/* Copies up to `max` entries; returns how many there are. */
uint32_t repository_index(struct repository *repository, struct repository_entry *out, uint32_t max);

#endif
