/* Orders: prepared beside what is served, then put in force at once. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "serve/repository_state.h"

struct planned { /* a version to be served */
    struct version *version;
    struct stamp stamp, config_stamp; /* of the files it came from */
};

struct plan {
    uint64_t id;
    struct admin_order *order;
    uint32_t n;
    struct planned planned[];
};

static bool is_of(const struct entry *entry, const char *name)
{
    return strcmp(entry->told.name, name) == 0;
}

static void free_plan(struct plan *plan)
{
    if (plan == NULL) return;
    for (uint32_t i = 0; i < plan->n; i++) version_unref(plan->planned[i].version);
    admin_order_unref(plan->order);
    free(plan);
}

/* ---- preparing -------------------------------------------------------------------------------------- */

static onnxd_status plan_version(struct repository *repository, struct plan *plan, uint64_t number,
                                 const struct version_source *source, const char *config_path,
                                 onnxd_error *err)
{
    struct planned *planned = &plan->planned[plan->n];
    const struct admin_order *order = plan->order;
    struct entry *entry = repository_find(repository, order->name, number);
    planned->stamp = repository_stamp(source->path);
    planned->config_stamp = repository_stamp(config_path);
    if (entry != NULL) repository_tell(repository, entry, REPOSITORY_LOADING, "");
    onnxd_status status = repository_make_version(repository, order->name, number, source, order->config,
                                                  config_path, &planned->version, err);
    plan->n += status == ONNXD_OK;
    if (entry != NULL)
        repository_tell(repository, entry, entry->version != NULL ? REPOSITORY_READY : REPOSITORY_UNAVAILABLE,
                        status == ONNXD_OK ? "" : err->message);
    return status;
}

static onnxd_status plan_content(struct repository *repository, struct plan *plan, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; status == ONNXD_OK && i < plan->order->n_files; i++) {
        const struct admin_file *file = &plan->order->files[i];
        struct version_source source = {.bytes = file->bytes, .n_bytes = file->n};
        status = plan_version(repository, plan, file->version, &source, NULL, err);
    }
    return status;
}

static onnxd_status plan_files(struct repository *repository, struct plan *plan, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; status == ONNXD_OK && i < repository->n_entries; i++) {
        const struct entry *entry = repository->entries[i];
        if (!is_of(entry, plan->order->name) || entry->path == NULL) continue;
        struct version_source source = {.path = entry->path};
        status = plan_version(repository, plan, entry->told.version, &source, entry->config_path, err);
    }
    if (status == ONNXD_OK && plan->n == 0)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "model '%s' is not in the repository",
                           plan->order->name);
    return status;
}

static uint32_t count_entries(const struct repository *repository, const char *name, bool *ret_has_files)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < repository->n_entries; i++) {
        if (!is_of(repository->entries[i], name)) continue;
        n++;
        if (repository->entries[i]->path != NULL) *ret_has_files = true;
    }
    return n;
}

static onnxd_status fill_plan(struct repository *repository, struct plan *plan, uint32_t n_entries,
                              onnxd_error *err)
{
    const struct admin_order *order = plan->order;
    onnxd_status status = ONNXD_OK;
    if (order->verb == ADMIN_LOAD)
        status = order->n_files > 0 ? plan_content(repository, plan, err) : plan_files(repository, plan, err);
    else if (n_entries == 0)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "model '%s' is not served", order->name);
    if (status == ONNXD_OK && repository->catalog->n + plan->n > CATALOG_MAX_VERSIONS)
        status = error_set(err, ONNXD_ERR_LIMIT, "model '%s': more than %u versions in all", order->name,
                           CATALOG_MAX_VERSIONS);
    return status;
}

onnxd_status repository_prepare(struct repository *repository, struct repository_job *job)
{
    struct admin_order *order = job->order;
    onnxd_status status = ONNXD_OK;
    bool reads_folder = order->verb == ADMIN_LOAD && order->n_files == 0;
    repository_abort(repository);
    if (reads_folder) status = repository_scan(repository, &job->err);
    job->has_files = false;
    uint32_t n = count_entries(repository, order->name, &job->has_files);
    uint32_t room = n > order->n_files ? n : order->n_files;
    struct plan *plan = status == ONNXD_OK ? calloc(1, sizeof *plan + room * sizeof *plan->planned) : NULL;
    if (status == ONNXD_OK && plan == NULL)
        status = error_set(&job->err, ONNXD_ERR_NOMEM, "model '%s': out of memory", order->name);
    if (status != ONNXD_OK) return status;
    plan->id = job->id;
    plan->order = order;
    job->order = NULL;
    status = fill_plan(repository, plan, n, &job->err);
    if (status == ONNXD_OK)
        repository->plan = plan;
    else
        free_plan(plan);
    return status;
}

void repository_abort(struct repository *repository)
{
    free_plan(repository->plan);
    repository->plan = NULL;
}

/* ---- putting in force ------------------------------------------------------------------------------- */

static bool is_planned(const struct plan *plan, uint64_t number)
{
    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->planned[i].version->number == number) return true;
    return false;
}

/* What the order does away with: all of the model, or content that the folder takes the place of. */
static bool is_dropped(const struct plan *plan, const struct entry *entry)
{
    if (!is_of(entry, plan->order->name)) return false;
    if (plan->order->verb == ADMIN_UNLOAD) return true;
    return plan->order->n_files == 0 && entry->is_given && !is_planned(plan, entry->told.version);
}

/* Replaces *catalog by a changed one. */
static bool change(struct catalog **catalog, struct version *add, const struct version *drop)
{
    struct catalog *changed = catalog_change(*catalog, add, drop);
    if (changed == NULL) return false;
    catalog_unref(*catalog);
    *catalog = changed;
    return true;
}

/* NULL: too many versions, or out of memory. */
static struct catalog *make_catalog(const struct repository *repository, const struct plan *plan)
{
    struct catalog *catalog = catalog_ref(repository->catalog);
    bool ok = true;
    for (uint32_t i = 0; ok && i < plan->n; i++) ok = change(&catalog, plan->planned[i].version, NULL);
    for (uint32_t i = 0; ok && i < repository->n_entries; i++)
        if (repository->entries[i]->version != NULL && is_dropped(plan, repository->entries[i]))
            ok = change(&catalog, NULL, repository->entries[i]->version);
    if (ok) return catalog;
    catalog_unref(catalog);
    return NULL;
}

static bool touch_all(struct repository *repository, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++)
        if (repository_touch(repository, plan->order->name, plan->planned[i].version->number) == NULL)
            return false;
    return true;
}

static void settle_entries(struct repository *repository, struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n; i++) {
        struct planned *planned = &plan->planned[i];
        struct entry *entry = repository_find(repository, plan->order->name, planned->version->number);
        struct version *old = entry->version;
        entry->version = planned->version;
        planned->version = old; /* goes with the plan: here, and not on a serving thread */
        entry->is_given = plan->order->n_files > 0;
        entry->stamp = planned->stamp;
        entry->config_stamp = planned->config_stamp;
        repository_tell(repository, entry, REPOSITORY_READY, "");
    }
}

static void settle_dropped(struct repository *repository, const struct entry *const *dropped, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < repository->n_entries; i++) {
            struct entry *entry = repository->entries[i];
            if (entry != dropped[k]) continue;
            version_unref(entry->version);
            entry->version = NULL;
            entry->is_given = false;
            if (entry->path == NULL)
                repository_forget(repository, i);
            else
                repository_tell(repository, entry, REPOSITORY_UNAVAILABLE, REPOSITORY_UNLOADED);
            break;
        }
}

/* The entries that go; the caller frees the list. NULL: out of memory. */
static const struct entry **list_dropped(const struct repository *repository, const struct plan *plan,
                                         uint32_t *ret_n)
{
    const struct entry **dropped = calloc(repository->n_entries + 1, sizeof *dropped);
    *ret_n = 0;
    for (uint32_t i = 0; dropped != NULL && i < repository->n_entries; i++)
        if (is_dropped(plan, repository->entries[i])) dropped[(*ret_n)++] = repository->entries[i];
    return dropped;
}

static void log_order(const struct admin_order *order)
{
    log_info("model '%s': %s by request", order->name,
             order->verb == ADMIN_UNLOAD ? "unloaded"
             : order->n_files > 0        ? "loaded with content"
                                         : "loaded");
}

/* Notes what the order says of the model's files from now on. False: out of memory. */
static bool note_wish(struct repository *repository, const struct admin_order *order)
{
    bool has_files = false;
    if (order->n_files > 0) return true;
    (void)count_entries(repository, order->name, &has_files);
    return repository_set_wish(repository, order->name, order->verb == ADMIN_UNLOAD && has_files,
                               order->config);
}

onnxd_status repository_commit(struct repository *repository, struct repository_job *job)
{
    struct plan *plan = repository->plan;
    uint32_t n_dropped = 0;
    if (plan == NULL || plan->id != job->id)
        return error_set(&job->err, ONNXD_ERR_INTERNAL, "order %llu is not prepared",
                         (unsigned long long)job->id);
    onnxd_status status = ONNXD_OK;
    const struct entry **dropped = list_dropped(repository, plan, &n_dropped);
    struct catalog *catalog = make_catalog(repository, plan);
    if (dropped != NULL && catalog != NULL && touch_all(repository, plan) &&
        note_wish(repository, plan->order)) {
        repository_publish(repository, catalog);
        settle_entries(repository, plan);
        settle_dropped(repository, dropped, n_dropped);
        log_order(plan->order);
    } else {
        catalog_unref(catalog);
        status = error_set(&job->err, ONNXD_ERR_NOMEM, "model '%s': too many versions, or out of memory",
                           plan->order->name);
    }
    free(dropped);
    repository_abort(repository);
    return status;
}
