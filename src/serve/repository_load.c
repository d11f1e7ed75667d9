/* From files to versions that are served. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "serve/model_config.h"
#include "serve/repository_state.h"

#define MAX_CONFIG_BYTES (1u << 20)
#define PATH_BYTES       4096

static const struct stamp absent;

struct stamp repository_stamp(const char *path)
{
    struct stat info;
    if (path == NULL || stat(path, &info) != 0) return absent;
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

void repository_publish(struct repository *repository, struct catalog *catalog)
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

static onnxd_status read_settings(const struct repository *repository, const char *config,
                                  const char *config_path, struct version_settings *ret, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    *ret = repository->options.settings;
    if (config != NULL) {
        status = model_config_read(config, strlen(config), ret, err);
        if (status != ONNXD_OK) error_prefix(err, "config: ");
        return status;
    }
    if (same_stamp(repository_stamp(config_path), absent)) return ONNXD_OK;
    char *text = NULL;
    size_t n;
    status = file_read(config_path, MAX_CONFIG_BYTES, &text, &n, err);
    if (status == ONNXD_OK) {
        status = model_config_read(text, n, ret, err);
        if (status != ONNXD_OK) error_prefix(err, "%s: ", config_path);
    }
    free(text);
    return status;
}

onnxd_status repository_make_version(struct repository *repository, const char *name, uint64_t number,
                                     const struct version_source *source, const char *config,
                                     const char *config_path, struct version **ret_version, onnxd_error *err)
{
    const struct repository_options *options = &repository->options;
    struct version_settings settings;
    uint64_t start_ns = monotonic_ns();
    onnxd_status status = read_settings(repository, config, config_path, &settings, err);
    if (status == ONNXD_OK)
        status = version_create(options->backend, name, number, source, &settings, &options->host,
                                ret_version, err);
    telemetry_count_load(options->host.telemetry, options->host.process, status == ONNXD_OK);
    if (status == ONNXD_OK)
        log_info("model '%s' version %llu loaded by the %s engine in %.1f ms%s", name,
                 (unsigned long long)number, options->backend->engine_name((*ret_version)->model),
                 (double)(monotonic_ns() - start_ns) / NS_PER_MS,
                 (*ret_version)->on_threads ? "; it runs on compute threads" : "");
    else
        error_prefix(err, "model '%s' version %llu: ", name, (unsigned long long)number);
    return status;
}

onnxd_status repository_load_entry(struct repository *repository, struct entry *entry, onnxd_error *err)
{
    const struct wish *wish = repository_wish(repository, entry->told.name);
    struct version_source source = {.path = entry->path};
    struct version *version = NULL;
    struct catalog *catalog = NULL;
    repository_tell(repository, entry, REPOSITORY_LOADING, "");
    entry->stamp = repository_stamp(entry->path);
    entry->config_stamp = repository_stamp(entry->config_path);
    onnxd_status status = repository_make_version(repository, entry->told.name, entry->told.version, &source,
                                                  wish != NULL ? wish->config : NULL, entry->config_path,
                                                  &version, err);
    if (status == ONNXD_OK) {
        catalog = catalog_change(repository->catalog, version, NULL);
        if (catalog == NULL)
            status = error_set(err, ONNXD_ERR_LIMIT,
                               "model '%s' version %llu: too many versions, or out of memory",
                               entry->told.name, (unsigned long long)entry->told.version);
    }
    if (status != ONNXD_OK) {
        version_unref(version);
        repository_tell(repository, entry, entry->version != NULL ? REPOSITORY_READY : REPOSITORY_UNAVAILABLE,
                        err->message);
        return status;
    }
    repository_publish(repository, catalog);
    struct version *old = entry->version;
    entry->version = version;
    version_unref(old); /* usually the last reference: its memory goes here and not on a serving thread */
    repository_tell(repository, entry, REPOSITORY_READY, "");
    return ONNXD_OK;
}

static void drop_version(struct repository *repository, struct entry *entry, const char *reason)
{
    if (entry->version != NULL) {
        struct catalog *catalog = catalog_change(repository->catalog, NULL, entry->version);
        if (catalog == NULL) return; /* out of memory: it goes on being served */
        repository_publish(repository, catalog);
        version_unref(entry->version);
        entry->version = NULL;
        log_info("model '%s' version %llu: %s", entry->told.name, (unsigned long long)entry->told.version,
                 reason);
    }
    repository_tell(repository, entry, REPOSITORY_UNAVAILABLE, reason);
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
        if (!is_version(item->d_name, &version)) continue;
        snprintf(path, sizeof path, "%s/%.20s/model.onnx", folder, item->d_name);
        if (same_stamp(repository_stamp(path), absent)) continue;
        struct entry *entry = repository_touch(repository, name, version);
        if (entry != NULL && repository_set_paths(entry, path, config)) entry->in_folder = entry->seen = true;
    }
    closedir(dir);
}

onnxd_status repository_scan(struct repository *repository, onnxd_error *err)
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

/* Takes entry i as the scan left it: false when it has gone and entry i is another now. */
static bool keep_entry(struct repository *repository, uint32_t i)
{
    struct entry *entry = repository->entries[i];
    if (!entry->in_folder || entry->seen) return true;
    if (entry->is_given) { /* only its file has gone */
        entry->in_folder = !repository_set_paths(entry, NULL, NULL);
        return true;
    }
    drop_version(repository, entry, "its file has gone");
    if (entry->version != NULL) return true;
    repository_forget(repository, i);
    return false;
}

static bool is_due(struct repository *repository, struct entry *entry)
{
    const struct wish *wish = repository_wish(repository, entry->told.name);
    if (entry->path == NULL || entry->is_given) return false;
    if (wish != NULL && wish->is_out) {
        if (entry->told.reason[0] == 0)
            repository_tell(repository, entry, REPOSITORY_UNAVAILABLE, REPOSITORY_UNLOADED);
        return false;
    }
    return !same_stamp(entry->stamp, repository_stamp(entry->path)) ||
           !same_stamp(entry->config_stamp, repository_stamp(entry->config_path));
}

onnxd_status repository_sync(struct repository *repository, onnxd_error *err)
{
    onnxd_status first = repository_scan(repository, err);
    if (first != ONNXD_OK) return first;
    for (uint32_t i = 0; i < repository->n_entries;) {
        if (!keep_entry(repository, i)) continue;
        struct entry *entry = repository->entries[i++];
        if (!is_due(repository, entry)) continue;
        onnxd_error one = {.message = ""};
        onnxd_status status = repository_load_entry(repository, entry, &one);
        if (status == ONNXD_OK) continue;
        log_error("%s%s", one.message, entry->version != NULL ? "; the version before goes on" : "");
        if (first == ONNXD_OK && err != NULL) *err = one;
        if (first == ONNXD_OK) first = status;
    }
    return first;
}
