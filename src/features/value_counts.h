/* features/value_counts.h - how often each text comes by, in bounded memory.
 *
 * At most `ceiling` texts are counted at a time, and at most VALUE_COUNTS_BYTES of text. When they are full,
 * the rarest go and those that come later start from the count that was let go (after the lossy counting of
 * Manku and Motwani 2002): frequent texts are never lost, and a count is too high by at most that floor.
 *
 * Threads: one at a time. */
#ifndef FEATURES_VALUE_COUNTS_H
#define FEATURES_VALUE_COUNTS_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/map.h"
#include "onnxd/tensor.h"

#define VALUE_COUNTS_BYTES ((size_t)1 << 30)

struct value_count {
    onnxd_string text;
    uint64_t n;
};

struct value_counts {
    struct arena texts;
    struct map map; /* index into items */
    struct value_count *items;
    uint32_t n, capacity, ceiling;
    uint64_t floor; /* the highest count let go */
};

void value_counts_init(struct value_counts *counts, uint32_t ceiling); /* ceiling >= 2 */
void value_counts_done(struct value_counts *counts);

/* False when memory runs out. */
bool value_counts_add(struct value_counts *counts, onnxd_string text);

/* Puts the items in order: the most frequent first, equal ones by their bytes. Nothing may be added after. */
void value_counts_sort(struct value_counts *counts);

#endif
