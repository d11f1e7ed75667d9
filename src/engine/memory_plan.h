/* engine/memory_plan.h - places for values that live for a span of steps.
 *
 * Values whose spans do not overlap may share memory. Placement is first fit at the lowest address in the
 * order given, so that a chain of layers keeps reusing the same, cached lines.
 *
 * Threads: pure function. */
#ifndef ENGINE_MEMORY_PLAN_H
#define ENGINE_MEMORY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMORY_PLAN_ALIGN 64

struct memory_span {
    size_t n_bytes;
    uint32_t first, last; /* steps, inclusive */
    size_t offset;        /* result, a multiple of MEMORY_PLAN_ALIGN */
};

/* Fills offset of every span; false on overflow or when memory for the plan itself is missing.
 * Spans must be sorted by `first`. */
bool memory_plan(struct memory_span *spans, uint32_t n, size_t *ret_total_bytes);

#endif
