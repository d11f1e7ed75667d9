/* serve/repository_state.h - what a repository knows. Private to the files repository*.c.
 *
 * The thread that loads owns it and changes it; what others may read, the entries' told parts and the
 * catalog, it changes under the lock. */
#ifndef SERVE_REPOSITORY_STATE_H
#define SERVE_REPOSITORY_STATE_H

#include <pthread.h>

#include "serve/repository.h"

struct stamp { /* tells whether a file is still the one that was read; all zero: absent */
    int64_t mtime_s, mtime_ns, size;
    uint64_t inode;
};

struct entry { /* one version of one model, loaded or not */
    struct repository_entry told;
    char *path;                       /* NULL: there is no file of this version */
    char *config_path;                /* NULL: none */
    struct stamp stamp, config_stamp; /* of what was loaded, or failed to be */
    struct version *version;          /* a reference, while it is served */
    bool in_folder;                   /* found by the scan */
    bool seen;                        /* by the present scan */
    bool is_given;                    /* its content came with an order, whatever the file holds */
};

struct wish { /* what orders said about all files of a model */
    char name[VERSION_NAME_BYTES];
    bool is_out;  /* they are not to be served */
    char *config; /* in place of config.json; NULL: none */
};

struct plan; /* an order that is prepared, repository_change.c */

struct repository {
    struct repository_options options;
    char *folder;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct entry **entries;
    uint32_t n_entries, capacity;
    struct wish *wishes;
    uint32_t n_wishes;
    struct plan *plan; /* NULL: none */
    struct catalog *catalog;
    struct repository_job *jobs, **jobs_end;
    uint32_t n_jobs;
    bool stopping, started;
    pthread_t thread;
};

/* ---- entries: repository_entries.c ---- */

struct entry *repository_find(const struct repository *repository, const char *name, uint64_t version);

/* Finds or makes the entry. NULL: out of memory. */
struct entry *repository_touch(struct repository *repository, const char *name, uint64_t version);
/* Gives it its paths, which may be NULL. False: out of memory, it has those it had. */
bool repository_set_paths(struct entry *entry, const char *path, const char *config_path);
void repository_forget(struct repository *repository, uint32_t i);
void repository_free_entry(struct entry *entry);

/* What the index says of it. */
void repository_tell(struct repository *repository, struct entry *entry, enum repository_state state,
                     const char *reason);

/* What orders said of a model's files; NULL: nothing. */
const struct wish *repository_wish(const struct repository *repository, const char *name);
/* Without anything to say it is forgotten. False: out of memory, nothing has changed. */
bool repository_set_wish(struct repository *repository, const char *name, bool is_out, const char *config);

/* ---- loading: repository_load.c ---- */

struct stamp repository_stamp(const char *path); /* NULL: absent */

/* Loads and warms a version for an entry that may not be there yet; counts what came of it. `config`: text in
 * place of the file at config_path; both may be NULL. Errors name the model and the version. */
ONNXD_MUST_USE onnxd_status repository_make_version(struct repository *repository, const char *name,
                                                    uint64_t number, const struct version_source *source,
                                                    const char *config, const char *config_path,
                                                    struct version **ret_version, onnxd_error *err);

/* Loads the entry from its file and puts it in place of what it served before. */
ONNXD_MUST_USE onnxd_status repository_load_entry(struct repository *repository, struct entry *entry,
                                                  onnxd_error *err);

/* Looks which versions the folder holds. ONNXD_ERR_IO. */
ONNXD_MUST_USE onnxd_status repository_scan(struct repository *repository, onnxd_error *err);

/* Loads what is new or changed and drops what has gone. The first failure is told; each is logged. */
ONNXD_MUST_USE onnxd_status repository_sync(struct repository *repository, onnxd_error *err);

/* Takes the catalog over and hands it to all workers. */
void repository_publish(struct repository *repository, struct catalog *catalog);

/* ---- orders: repository_change.c ---- */

/* Does all that may fail, and changes nothing yet. job->order is used up. */
ONNXD_MUST_USE onnxd_status repository_prepare(struct repository *repository, struct repository_job *job);
/* Puts what was prepared under job->id in force, or drops it. */
ONNXD_MUST_USE onnxd_status repository_commit(struct repository *repository, struct repository_job *job);
void repository_abort(struct repository *repository);

#endif
