#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

struct arena_block {
    struct arena_block *next;
    size_t capacity; /* bytes behind the head */
    size_t used;
    char pad[ARENA_ALIGN - 3 * sizeof(size_t)]; /* data start on a cache line */
    char data[];
};

enum { FIRST_BLOCK_BYTES = 4096, LARGEST_DOUBLED_BLOCK_BYTES = 1 << 20 };

void arena_init(struct arena *arena, size_t limit_bytes)
{
    *arena = (struct arena){.limit_bytes = limit_bytes == 0 ? SIZE_MAX : limit_bytes};
}

static void free_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_done(struct arena *arena)
{
    free_blocks(arena->blocks);
    arena->blocks = NULL;
    arena->used_bytes = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = arena->blocks;
    if (kept == NULL) return;
    free_blocks(kept->next);
    kept->next = NULL;
    kept->used = 0;
    arena->used_bytes = sizeof *kept + kept->capacity;
}

static struct arena_block *add_block(struct arena *arena, size_t n_bytes)
{
    size_t capacity = FIRST_BLOCK_BYTES;
    if (arena->blocks != NULL) {
        capacity = arena->blocks->capacity * 2;
        if (capacity > LARGEST_DOUBLED_BLOCK_BYTES) capacity = LARGEST_DOUBLED_BLOCK_BYTES;
    }
    if (capacity < n_bytes) capacity = n_bytes;
    size_t total;
    if (!checked_add_size(capacity, sizeof(struct arena_block) + ARENA_ALIGN, &total)) return NULL;
    total = total / ARENA_ALIGN * ARENA_ALIGN;
    if (total > arena->limit_bytes || arena->used_bytes > arena->limit_bytes - total) {
        /* Near the limit a block of just the size asked for may still fit. */
        if (capacity == n_bytes) return NULL;
        capacity = n_bytes;
        total = (n_bytes + sizeof(struct arena_block) + ARENA_ALIGN) / ARENA_ALIGN * ARENA_ALIGN;
        if (total > arena->limit_bytes || arena->used_bytes > arena->limit_bytes - total) return NULL;
    }
    struct arena_block *block = aligned_alloc(ARENA_ALIGN, total);
    if (block == NULL) return NULL;
    block->capacity = total - sizeof *block;
    block->used = 0;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used_bytes += total;
    return block;
}

void *arena_alloc(struct arena *arena, size_t n_bytes)
{
    size_t align = n_bytes >= ARENA_ALIGN ? ARENA_ALIGN : 16;
    struct arena_block *block = arena->blocks;
    if (block != NULL) {
        size_t start = (block->used + align - 1) & ~(align - 1);
        if (start <= block->capacity && n_bytes <= block->capacity - start) {
            block->used = start + n_bytes;
            return block->data + start;
        }
    }
    block = add_block(arena, n_bytes);
    if (block == NULL) return NULL;
    block->used = n_bytes;
    return block->data;
}

void *arena_alloc_zeroed(struct arena *arena, size_t n_bytes)
{
    void *p = arena_alloc(arena, n_bytes);
    if (p != NULL) memset(p, 0, n_bytes);
    return p;
}

void *arena_alloc_array(struct arena *arena, size_t n, size_t size)
{
    size_t n_bytes;
    if (!checked_mul_size(n, size, &n_bytes)) return NULL;
    return arena_alloc_zeroed(arena, n_bytes);
}

void *arena_memdup(struct arena *arena, const void *src, size_t n_bytes)
{
    void *p = arena_alloc(arena, n_bytes);
    if (p != NULL && n_bytes > 0) memcpy(p, src, n_bytes);
    return p;
}

char *arena_strndup(struct arena *arena, const char *text, size_t n)
{
    size_t n_bytes;
    if (!checked_add_size(n, 1, &n_bytes)) return NULL;
    char *p = arena_alloc(arena, n_bytes);
    if (p == NULL) return NULL;
    if (n > 0) memcpy(p, text, n);
    p[n] = 0;
    return p;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    char *p = NULL;
    int n = vsnprintf(NULL, 0, format, args);
    if (n >= 0) p = arena_alloc(arena, (size_t)n + 1);
    if (p != NULL) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return p;
}
