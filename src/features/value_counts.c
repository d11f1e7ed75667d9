#include "features/value_counts.h"

#include <stdlib.h>
#include <string.h>

void value_counts_init(struct value_counts *counts, uint32_t ceiling)
{
    *counts = (struct value_counts){.ceiling = ceiling};
    arena_init(&counts->texts, VALUE_COUNTS_BYTES);
    map_init(&counts->map);
}

void value_counts_done(struct value_counts *counts)
{
    arena_done(&counts->texts);
    map_done(&counts->map);
    free(counts->items);
    *counts = (struct value_counts){0};
}

static int by_count(const void *a, const void *b)
{
    const struct value_count *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    size_t n = x->text.len < y->text.len ? x->text.len : y->text.len;
    int order = memcmp(x->text.data, y->text.data, n);
    if (order != 0) return order;
    return x->text.len < y->text.len ? -1 : x->text.len > y->text.len;
}

void value_counts_sort(struct value_counts *counts)
{
    if (counts->n > 1) qsort(counts->items, counts->n, sizeof *counts->items, by_count);
}

static bool put(struct value_counts *counts, onnxd_string text, uint64_t n)
{
    char *copy = arena_memdup(&counts->texts, text.data, text.len);
    if (copy == NULL || !map_put(&counts->map, copy, text.len, counts->n)) return false;
    counts->items[counts->n++] = (struct value_count){{copy, text.len}, n};
    return true;
}

/* Keeps the more frequent half, in a new arena and map. */
static bool prune(struct value_counts *counts)
{
    struct arena old = counts->texts;
    uint32_t n = counts->n, n_kept = n / 2;
    bool done = true;
    value_counts_sort(counts);
    counts->floor = counts->items[n_kept].n;
    arena_init(&counts->texts, VALUE_COUNTS_BYTES);
    map_done(&counts->map);
    map_init(&counts->map);
    counts->n = 0;
    for (uint32_t i = 0; i < n_kept && done; i++) {
        struct value_count item = counts->items[i];
        done = put(counts, item.text, item.n);
    }
    arena_done(&old);
    return done;
}

static bool grow(struct value_counts *counts)
{
    uint32_t capacity = counts->capacity == 0 ? 64 : counts->capacity * 2;
    if (capacity > counts->ceiling) capacity = counts->ceiling;
    struct value_count *items = realloc(counts->items, capacity * sizeof *items);
    if (items == NULL) return false;
    counts->items = items;
    counts->capacity = capacity;
    return true;
}

bool value_counts_add(struct value_counts *counts, onnxd_string text)
{
    uint32_t i = map_get(&counts->map, text.data, text.len);
    if (i != MAP_NONE) {
        counts->items[i].n++;
        return true;
    }
    bool full = counts->n == counts->ceiling || counts->texts.used_bytes > VALUE_COUNTS_BYTES / 2;
    if (full && counts->n >= 2 && !prune(counts)) return false;
    if (counts->n == counts->capacity && !grow(counts)) return false;
    return put(counts, text, counts->floor + 1);
}
