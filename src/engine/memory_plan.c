#include "engine/memory_plan.h"

#include <stdlib.h>

#include "base/checked.h"

static int by_offset(const void *a, const void *b)
{
    const struct memory_span *const *x = a, *const *y = b;
    return ((*x)->offset > (*y)->offset) - ((*x)->offset < (*y)->offset);
}

static size_t rounded(size_t n)
{
    return (n + MEMORY_PLAN_ALIGN - 1) / MEMORY_PLAN_ALIGN * MEMORY_PLAN_ALIGN;
}

bool memory_plan(struct memory_span *spans, uint32_t n, size_t *ret_total_bytes)
{
    struct memory_span **live = malloc((n + 1) * sizeof(struct memory_span *));
    if (live == NULL) return false;
    size_t total = 0;
    uint32_t n_live = 0;
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++) {
        struct memory_span *span = &spans[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; k < n_live; k++)
            if (live[k]->last >= span->first) live[kept++] = live[k];
        n_live = kept;
        /* live is sorted by offset: take the first gap that is wide enough */
        size_t at = 0, end;
        uint32_t k = 0;
        while (k < n_live && live[k]->offset - at < rounded(span->n_bytes)) {
            size_t after = live[k]->offset + rounded(live[k]->n_bytes);
            if (after > at) at = after;
            k++;
        }
        ok = checked_add_size(at, span->n_bytes, &end) && end <= SIZE_MAX - MEMORY_PLAN_ALIGN;
        span->offset = at;
        if (ok && rounded(end) > total) total = rounded(end);
        live[n_live++] = span;
        qsort(live, n_live, sizeof(struct memory_span *), by_offset);
    }
    free(live);
    if (ok) *ret_total_bytes = total;
    return ok;
}
