/* base/map.h - a hash map from byte strings to 32-bit numbers.
 *
 * Keys are borrowed: they must outlive the map. The hash is seeded per process, so that a peer cannot
 * choose colliding keys. Typical use is name -> index into an array.
 *
 * Threads: readers may share a map that nobody changes. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAP_NONE UINT32_MAX

struct map_entry;

struct map {
    struct map_entry *entries; /* [capacity], a power of two, or NULL */
    uint32_t n;
    uint32_t capacity;
};

void map_init(struct map *map);
void map_done(struct map *map);

/* Sets key to value (any but MAP_NONE), replacing an earlier one. False when memory runs out. */
bool map_put(struct map *map, const char *key, size_t key_len, uint32_t value);

/* The value, or MAP_NONE. */
uint32_t map_get(const struct map *map, const char *key, size_t key_len);

/* A 64-bit hash of bytes, the same on every machine for the same seed. */
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed);

#endif
