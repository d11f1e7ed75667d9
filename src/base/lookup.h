/* base/lookup.h - a fixed table from keys to their position, built once into an arena.
 *
 * Keys are strings or 64-bit patterns (integers; floats through lookup_key_of_f64). Of equal keys the
 * first one counts. Strings are borrowed and must live as long as the table.
 *
 * Threads: read only once built. */
#ifndef BASE_LOOKUP_H
#define BASE_LOOKUP_H

#include <stdint.h>

#include "base/arena.h"
#include "onnxd/tensor.h"

#define LOOKUP_NONE UINT32_MAX

struct lookup {
    uint32_t mask; /* slots - 1; a power of two */
    /* [mask + 1] position + 1, which fits the mask, or 0; in a table of strings, the bits above the mask are
     * some of the hash, so that most other strings are never looked at. */
    uint32_t *slots;
    uint32_t repeat;             /* the first position whose key stood before, or LOOKUP_NONE */
    const int64_t *ints;         /* [n] keys of a table of numbers */
    const onnxd_string *strings; /* [n] keys of a table of strings */
};

/* The keys are borrowed. NULL: the arena is full, or n is 2^30 or more. */
struct lookup *lookup_of_ints(struct arena *arena, const int64_t *keys, size_t n);
struct lookup *lookup_of_strings(struct arena *arena, const onnxd_string *keys, size_t n);

/* Position of the key, or LOOKUP_NONE. */
uint32_t lookup_int(const struct lookup *lookup, int64_t key);
uint32_t lookup_string(const struct lookup *lookup, onnxd_string key);

/* Equal floats have equal keys: -0 is 0, and NaN is equal to NaN. */
int64_t lookup_key_of_f64(double value);

#endif
