/* support/isolate.h - runs tasks in processes of their own, a few at a time.
 *
 * A task that crashes, is stopped by a sanitizer, runs past its time or asks for more memory than it may
 * have counts as failed, with a word on why; the others go on.
 *
 * Ownership: the caller owns context; a task's changes to memory are lost with its process.
 * Threads:   call from a process with one thread. */
#ifndef SUPPORT_ISOLATE_H
#define SUPPORT_ISOLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISOLATE_TEXT_BYTES 1024

struct isolate_limits {
    uint32_t n_parallel;
    uint32_t seconds;
    size_t memory_bytes; /* of address space; ignored under sanitizers, which reserve terabytes */
};

/* In the task's process: true when it passed; text (ISOLATE_TEXT_BYTES) says why not. */
typedef bool (*isolate_fn)(void *context, uint32_t task, char *text);

/* In the caller's process, in order of completion. */
typedef void (*isolate_done_fn)(void *context, uint32_t task, bool passed, const char *text);

void isolate_run(struct isolate_limits limits, isolate_fn run, isolate_done_fn done, void *context,
                 uint32_t n_tasks);

/* True when the program is built with a sanitizer: slower, and with addresses reserved. */
bool isolate_sanitized(void);

#endif
