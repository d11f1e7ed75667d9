/* The repository's list of versions, and what orders said of its models. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/repository_state.h"

struct entry *repository_find(const struct repository *repository, const char *name, uint64_t version)
{
    for (uint32_t i = 0; i < repository->n_entries; i++) {
        struct entry *entry = repository->entries[i];
        if (entry->told.version == version && strcmp(entry->told.name, name) == 0) return entry;
    }
    return NULL;
}

void repository_free_entry(struct entry *entry)
{
    version_unref(entry->version);
    free(entry->path);
    free(entry->config_path);
    free(entry);
}

/* Shows entry i to the other processes. */
static void show(const struct repository *repository, uint32_t i)
{
    struct index_board *board = repository->options.board;
    if (board != NULL)
        index_board_show(board, repository->options.host.process, i, repository->n_entries,
                         &repository->entries[i]->told);
}

static bool make_room(struct repository *repository)
{
    if (repository->n_entries < repository->capacity) return true;
    uint32_t capacity = repository->capacity == 0 ? 16 : repository->capacity * 2;
    pthread_mutex_lock(&repository->lock);
    struct entry **entries = realloc(repository->entries, capacity * sizeof *entries);
    if (entries != NULL) {
        repository->entries = entries;
        repository->capacity = capacity;
    }
    pthread_mutex_unlock(&repository->lock);
    return entries != NULL;
}

struct entry *repository_touch(struct repository *repository, const char *name, uint64_t version)
{
    struct entry *entry = repository_find(repository, name, version);
    if (entry != NULL) return entry;
    entry = calloc(1, sizeof *entry);
    if (entry == NULL || !make_room(repository)) {
        free(entry);
        return NULL;
    }
    snprintf(entry->told.name, sizeof entry->told.name, "%s", name);
    entry->told.version = version;
    entry->told.state = REPOSITORY_UNAVAILABLE;
    pthread_mutex_lock(&repository->lock);
    repository->entries[repository->n_entries++] = entry;
    pthread_mutex_unlock(&repository->lock);
    show(repository, repository->n_entries - 1);
    return entry;
}

bool repository_set_paths(struct entry *entry, const char *path, const char *config_path)
{
    char *path_copy = path != NULL ? strdup(path) : NULL;
    char *config_copy = config_path != NULL ? strdup(config_path) : NULL;
    if ((path != NULL && path_copy == NULL) || (config_path != NULL && config_copy == NULL)) {
        free(path_copy);
        free(config_copy);
        return false;
    }
    free(entry->path);
    free(entry->config_path);
    entry->path = path_copy;
    entry->config_path = config_copy;
    return true;
}

void repository_forget(struct repository *repository, uint32_t i)
{
    struct entry *entry = repository->entries[i];
    pthread_mutex_lock(&repository->lock);
    repository->entries[i] = repository->entries[--repository->n_entries];
    pthread_mutex_unlock(&repository->lock);
    repository_free_entry(entry);
    if (i < repository->n_entries)
        show(repository, i);
    else if (repository->options.board != NULL)
        index_board_cut(repository->options.board, repository->options.host.process, repository->n_entries);
}

void repository_tell(struct repository *repository, struct entry *entry, enum repository_state state,
                     const char *reason)
{
    pthread_mutex_lock(&repository->lock);
    entry->told.state = state;
    snprintf(entry->told.reason, sizeof entry->told.reason, "%s", reason);
    pthread_mutex_unlock(&repository->lock);
    for (uint32_t i = 0; i < repository->n_entries; i++)
        if (repository->entries[i] == entry) show(repository, i);
}

uint32_t repository_index(struct repository *repository, struct repository_entry *out, uint32_t max)
{
    if (repository->options.board != NULL) return index_board_read(repository->options.board, out, max);
    pthread_mutex_lock(&repository->lock);
    uint32_t n = repository->n_entries < max ? repository->n_entries : max;
    for (uint32_t i = 0; i < n; i++) out[i] = repository->entries[i]->told;
    pthread_mutex_unlock(&repository->lock);
    return n;
}

/* ---- wishes ----------------------------------------------------------------------------------------- */

const struct wish *repository_wish(const struct repository *repository, const char *name)
{
    for (uint32_t i = 0; i < repository->n_wishes; i++)
        if (strcmp(repository->wishes[i].name, name) == 0) return &repository->wishes[i];
    return NULL;
}

static struct wish *add_wish(struct repository *repository, const char *name)
{
    struct wish *wishes = realloc(repository->wishes, (repository->n_wishes + 1) * sizeof *wishes);
    if (wishes == NULL) return NULL;
    repository->wishes = wishes;
    struct wish *wish = &wishes[repository->n_wishes++];
    *wish = (struct wish){.config = NULL};
    snprintf(wish->name, sizeof wish->name, "%s", name);
    return wish;
}

bool repository_set_wish(struct repository *repository, const char *name, bool is_out, const char *config)
{
    bool says_nothing = !is_out && config == NULL;
    const struct wish *found = repository_wish(repository, name);
    if (found == NULL && says_nothing) return true;
    char *copy = config != NULL ? strdup(config) : NULL;
    if (config != NULL && copy == NULL) return false;
    struct wish *wish = found != NULL ? &repository->wishes[found - repository->wishes]
                                      : add_wish(repository, name);
    if (wish == NULL) {
        free(copy);
        return false;
    }
    free(wish->config);
    wish->is_out = is_out;
    wish->config = copy;
    if (says_nothing) *wish = repository->wishes[--repository->n_wishes];
    return true;
}
