#include "base/lookup.h"

#include <string.h>

#include "base/map.h"

/* Where this lies differs from process to process, so that a model cannot choose keys that collide. */
static uint64_t seed(void)
{
    return (uint64_t)(uintptr_t)&lookup_key_of_f64;
}

static uint64_t hash_int(int64_t key)
{
    uint64_t x = (uint64_t)key ^ seed(); /* the finaliser of MurmurHash3 */
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDu;
    x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53u;
    return x ^ (x >> 33);
}

static bool equal_strings(onnxd_string a, onnxd_string b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static struct lookup *new_lookup(struct arena *arena, size_t n)
{
    if (n >= (size_t)1 << 30) return NULL;
    struct lookup *lookup = arena_alloc_zeroed(arena, sizeof *lookup);
    uint32_t n_slots = 8;
    while (n_slots < 2 * n) n_slots *= 2;
    if (lookup == NULL) return NULL;
    lookup->mask = n_slots - 1;
    lookup->repeat = LOOKUP_NONE;
    lookup->slots = arena_alloc_array(arena, n_slots, sizeof *lookup->slots);
    return lookup->slots != NULL ? lookup : NULL;
}

static void note_repeat(struct lookup *lookup, uint32_t position)
{
    if (lookup->repeat == LOOKUP_NONE) lookup->repeat = position;
}

struct lookup *lookup_of_ints(struct arena *arena, const int64_t *keys, size_t n)
{
    struct lookup *lookup = new_lookup(arena, n);
    if (lookup == NULL) return NULL;
    lookup->ints = keys;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t i = (uint32_t)hash_int(keys[k]) & lookup->mask;
        while (lookup->slots[i] != 0 && keys[lookup->slots[i] - 1] != keys[k]) i = (i + 1) & lookup->mask;
        if (lookup->slots[i] == 0)
            lookup->slots[i] = k + 1;
        else
            note_repeat(lookup, k);
    }
    return lookup;
}

/* The slot of the key, or the free one where it belongs. */
static uint32_t *find_string(const struct lookup *lookup, onnxd_string key, uint32_t *ret_tag)
{
    uint64_t hash = hash_bytes(key.data, key.len, seed());
    uint32_t mask = lookup->mask, tag = (uint32_t)(hash >> 32) & ~mask, i = (uint32_t)hash & mask;
    *ret_tag = tag;
    for (;; i = (i + 1) & mask) {
        uint32_t slot = lookup->slots[i];
        if (slot == 0) break;
        if ((slot & ~mask) == tag && equal_strings(lookup->strings[(slot & mask) - 1], key)) break;
    }
    return &lookup->slots[i];
}

struct lookup *lookup_of_strings(struct arena *arena, const onnxd_string *keys, size_t n)
{
    struct lookup *lookup = new_lookup(arena, n);
    if (lookup == NULL) return NULL;
    lookup->strings = keys;
    for (uint32_t k = 0; k < n; k++) {
        uint32_t tag, *slot = find_string(lookup, keys[k], &tag);
        if (*slot == 0)
            *slot = tag | (k + 1);
        else
            note_repeat(lookup, k);
    }
    return lookup;
}

uint32_t lookup_int(const struct lookup *lookup, int64_t key)
{
    uint32_t i = (uint32_t)hash_int(key) & lookup->mask;
    for (; lookup->slots[i] != 0; i = (i + 1) & lookup->mask)
        if (lookup->ints[lookup->slots[i] - 1] == key) return lookup->slots[i] - 1;
    return LOOKUP_NONE;
}

uint32_t lookup_string(const struct lookup *lookup, onnxd_string key)
{
    uint32_t tag, slot = *find_string(lookup, key, &tag);
    return slot == 0 ? LOOKUP_NONE : (slot & lookup->mask) - 1;
}

int64_t lookup_key_of_f64(double value)
{
    int64_t key = 0x7FF8000000000000; /* every NaN */
    if (value == 0) return 0;
    if (value == value) memcpy(&key, &value, sizeof key);
    return key;
}
