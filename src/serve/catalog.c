#include "serve/catalog.h"

#include <stdlib.h>
#include <string.h>

static struct catalog *create(uint32_t n)
{
    struct catalog *catalog = calloc(1, sizeof *catalog + n * sizeof *catalog->versions);
    if (catalog != NULL) atomic_init(&catalog->refs, 1);
    return catalog;
}

struct catalog *catalog_create(void)
{
    return create(0);
}

struct catalog *catalog_change(const struct catalog *catalog, struct version *add, const struct version *drop)
{
    if (catalog->n >= CATALOG_MAX_VERSIONS) return NULL;
    struct catalog *changed = create(catalog->n + 1);
    if (changed == NULL) return NULL;
    bool placed = add == NULL;
    for (uint32_t i = 0; i < catalog->n; i++) {
        struct version *version = catalog->versions[i];
        bool same_model = add != NULL && strcmp(version->name, add->name) == 0;
        if (!placed && same_model && add->number >= version->number) {
            changed->versions[changed->n++] = version_ref(add);
            placed = true;
        }
        bool replaced = same_model && version->number == add->number;
        if (version != drop && !replaced) changed->versions[changed->n++] = version_ref(version);
        bool last_of_model = i + 1 == catalog->n ||
                             strcmp(catalog->versions[i + 1]->name, version->name) != 0;
        if (!placed && same_model && last_of_model) {
            changed->versions[changed->n++] = version_ref(add);
            placed = true;
        }
    }
    if (!placed) changed->versions[changed->n++] = version_ref(add);
    return changed;
}

struct catalog *catalog_ref(struct catalog *catalog)
{
    atomic_fetch_add_explicit(&catalog->refs, 1, memory_order_relaxed);
    return catalog;
}

void catalog_unref(struct catalog *catalog)
{
    if (catalog == NULL || atomic_fetch_sub_explicit(&catalog->refs, 1, memory_order_acq_rel) > 1) return;
    for (uint32_t i = 0; i < catalog->n; i++) version_unref(catalog->versions[i]);
    free(catalog);
}

struct version *catalog_find(const struct catalog *catalog, const char *name, size_t n_name, uint64_t number)
{
    for (uint32_t i = 0; i < catalog->n; i++) {
        struct version *version = catalog->versions[i];
        if (strncmp(version->name, name, n_name) != 0 || version->name[n_name] != 0) continue;
        if (number == 0 || version->number == number) return version;
    }
    return NULL;
}
