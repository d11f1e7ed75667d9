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
 * Orders (serve/admin_order.h) change models by request: content given with one goes before the folder's file
 * of the same version until the model is loaded without content or unloaded; a configuration given with one
 * holds for the folder's versions until the next such order; what was unloaded stays out. So what is served
 * follows from the files and the orders alone.
 *
 * Threads: create, start and free from one thread; the others from any. */
#ifndef SERVE_REPOSITORY_H
#define SERVE_REPOSITORY_H

#include "net/loop.h"
#include "serve/admin_journal.h"
#include "serve/catalog.h"
#include "serve/index_board.h"

#define REPOSITORY_UNLOADED "unloaded by request" /* reason of what an order keeps out */

struct repository;

struct repository_options {
    const struct model_backend *backend;
    const char *folder;               /* NULL: none */
    struct version_settings settings; /* what config.json does not say */
    struct version_host host;         /* of the versions */
    uint64_t watch_ns;                /* how often to look for changes; 0: only when asked */
    struct index_board *board;        /* of all processes, borrowed; NULL: there is this one alone */
    struct admin_journal *journal; /* where orders that were performed are noted, borrowed; NULL: nowhere */
    void *context;
    /* Hands the catalog to all workers and returns when each has taken it up. */
    void (*publish)(void *context, struct catalog *catalog);
};

/* An order is performed at once, or in steps where several processes are to go together: prepared (whatever
 * may fail is done, nothing is changed), then committed or aborted. */
enum repository_verb {
    REPOSITORY_SYNC, /* load what is new or changed, drop what is gone */
    REPOSITORY_PERFORM,
    REPOSITORY_PREPARE, /* in place of what was prepared before */
    REPOSITORY_COMMIT,
    REPOSITORY_ABORT
};

struct repository_job {
    enum repository_verb verb;
    struct admin_order *order; /* owned; of PERFORM and PREPARE */
    uint64_t id;               /* of PREPARE, and of the COMMIT that follows */
    bool has_files;            /* told by PERFORM and PREPARE: there are files of this model */
    onnxd_status status;       /* what came of it */
    onnxd_error err;
    /* Called on the repository's thread when it is done; frees the job in the end (repository_job_free). */
    void (*done)(struct repository_job *job);
    void *context;
    struct loop_task task; /* for `done` to post */
    struct repository_job *next;
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

/* Orders of the past: before the first files are added, and after all were. What cannot be loaded again is
 * logged. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status repository_recall_files(struct repository *repository,
                                                    const struct admin_journal *journal, onnxd_error *err);
void repository_recall_content(struct repository *repository, const struct admin_journal *journal);

/* A reference on the catalog as it is now. */
struct catalog *repository_catalog(struct repository *repository);

ONNXD_MUST_USE onnxd_status repository_start(struct repository *repository, onnxd_error *err);

/* Queues a job, which then belongs to the repository. ONNXD_ERR_BUSY: too many wait (the job stays the
 * caller's). */
ONNXD_MUST_USE onnxd_status repository_submit(struct repository *repository, struct repository_job *job,
                                              onnxd_error *err);
void repository_job_free(struct repository_job *job);

/* Copies up to `max` entries, what holds of all processes; returns how many. */
uint32_t repository_index(struct repository *repository, struct repository_entry *out, uint32_t max);

#endif
