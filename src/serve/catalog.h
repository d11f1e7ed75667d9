/* serve/catalog.h - which versions of which models are served: a list that never changes.
 *
 * A change makes a new catalog from the old one and hands it to each worker, which swaps it between
 * two wake-ups. A request keeps the catalog, or its version, for as long as it needs it.
 *
 * Ownership: reference counted, and holds references on its versions.
 * Threads:   any may read. */
#ifndef SERVE_CATALOG_H
#define SERVE_CATALOG_H

#include "serve/version.h"

#define CATALOG_MAX_VERSIONS 1024u

struct catalog {
    _Atomic uint32_t refs;
    uint32_t n;
    struct version *versions[]; /* models in the order in which they came; of one model, newest first */
};

/* A catalog of nothing. NULL when memory runs out. */
struct catalog *catalog_create(void);

/* A copy with `add` (may be NULL; a reference is taken) put in, in place of the version of the same name and
 * number, and `drop` (may be NULL) left out. NULL: out of memory or more than CATALOG_MAX_VERSIONS. */
struct catalog *catalog_change(const struct catalog *catalog, struct version *add,
                               const struct version *drop);

struct catalog *catalog_ref(struct catalog *catalog);
void catalog_unref(struct catalog *catalog); /* takes NULL */

/* The version of this number, or the newest for 0; NULL. */
struct version *catalog_find(const struct catalog *catalog, const char *name, size_t n_name, uint64_t number);

/* The first model's newest version: what /predict takes when no model is named. NULL: nothing is served. */
static inline struct version *catalog_first(const struct catalog *catalog)
{
    return catalog->n > 0 ? catalog->versions[0] : NULL;
}

#endif
