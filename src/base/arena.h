/* base/arena.h - bump allocation with one lifetime.
 *
 * An arena hands out memory that is freed all at once. It grows block by block up to its limit, which
 * makes it safe to fill from hostile input: past the limit allocation fails.
 *
 *     struct arena arena;
 *     arena_init(&arena, 64 << 20);
 *     struct node *node = arena_alloc_zeroed(&arena, sizeof *node);   // NULL: limit or memory
 *     arena_done(&arena);
 *
 * Threads: one at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN 64 /* every allocation of 64 bytes or more starts a cache line; smaller ones get 16 */

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used_bytes;          /* held in blocks, heads included */
    size_t limit_bytes;
};

void arena_init(struct arena *arena, size_t limit_bytes); /* allocates nothing yet; 0 means no limit */
void arena_done(struct arena *arena);                     /* frees everything; may be used again after */
void arena_reset(struct arena *arena); /* forgets all but keeps the newest block for reuse */

/* Uninitialised memory, or NULL past the limit or when the system has none. A size of 0 is allowed. */
void *arena_alloc(struct arena *arena, size_t n_bytes);
void *arena_alloc_zeroed(struct arena *arena, size_t n_bytes);

/* n * size with overflow checked, zeroed. */
void *arena_alloc_array(struct arena *arena, size_t n, size_t size);

/* Copies; arena_strndup adds a NUL. */
void *arena_memdup(struct arena *arena, const void *src, size_t n_bytes);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t n);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *format, ...);

#endif
