#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct map_entry {
    const char *key; /* NULL: free */
    size_t len;
    uint64_t hash;
    uint32_t value;
};

static uint64_t process_seed;

static void draw_process_seed(void)
{
    if (getrandom(&process_seed, sizeof process_seed, GRND_NONBLOCK) != sizeof process_seed)
        process_seed = (uint64_t)(uintptr_t)&process_seed * 0x9e3779b97f4a7c15u;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply-and-fold over 8-byte words, after the construction of wyhash. */
uint64_t hash_bytes(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = seed ^ mix(n ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu);
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        h = mix(h ^ word, 0x8ebc6af09c88c6e3u);
        p += 8;
        n -= 8;
    }
    uint64_t tail = 0;
    if (n > 0) memcpy(&tail, p, n);
    return mix(h ^ tail ^ 0x589965cc75374cc3u, 0xa0761d6478bd642fu ^ ((uint64_t)n << 56));
}

void map_init(struct map *map)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_process_seed);
    *map = (struct map){0};
}

void map_done(struct map *map)
{
    free(map->entries);
    *map = (struct map){0};
}

/* The entry of the key, or the free one where it belongs. */
static struct map_entry *find(struct map_entry *entries, uint32_t capacity, const char *key, size_t len,
                              uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (capacity - 1);
    for (;; i = (i + 1) & (capacity - 1)) {
        struct map_entry *e = &entries[i];
        if (e->key == NULL) return e;
        if (e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0) return e;
    }
}

static bool grow(struct map *map)
{
    if (map->capacity > UINT32_MAX / 4) return false;
    uint32_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    struct map_entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL) return false;
    for (uint32_t i = 0; i < map->capacity; i++) {
        const struct map_entry *e = &map->entries[i];
        if (e->key != NULL) *find(entries, capacity, e->key, e->len, e->hash) = *e;
    }
    free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    return true;
}

bool map_put(struct map *map, const char *key, size_t key_len, uint32_t value)
{
    if (map->n >= map->capacity / 4 * 3 && !grow(map)) return false;
    uint64_t hash = hash_bytes(key, key_len, process_seed);
    struct map_entry *e = find(map->entries, map->capacity, key, key_len, hash);
    if (e->key == NULL) map->n++;
    *e = (struct map_entry){.key = key, .len = key_len, .hash = hash, .value = value};
    return true;
}

uint32_t map_get(const struct map *map, const char *key, size_t key_len)
{
    if (map->capacity == 0) return MAP_NONE;
    uint64_t hash = hash_bytes(key, key_len, process_seed);
    const struct map_entry *e = find(map->entries, map->capacity, key, key_len, hash);
    return e->key == NULL ? MAP_NONE : e->value;
}
