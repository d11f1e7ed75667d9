/* json/decimal.h - decimal number text to binary, correctly rounded.
 *
 * The grammar is JSON's: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, in every locale. Conversion
 * gives the nearest float, ties to even, for text of any length: a 64x128-bit product decides nearly
 * all cases (the idea of Eisel and Lemire, "Number parsing at a gigabyte per second", 2021), big
 * integers decide the rest (Clinger 1990). Values too small become zero; too large become infinity,
 * which the caller refuses.
 *
 * Threads: no state. */
#ifndef JSON_DECIMAL_H
#define JSON_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct decimal { /* (-1)^negative * digits * 10^exponent */
    uint64_t digits;
    int32_t exponent;
    bool negative;
    bool truncated;   /* more than 19 significant digits: the value lies in [digits, digits + 1) */
    const char *text; /* borrowed from the scan */
    size_t n;
};

/* Reads one number at `at`; returns the end of it, or NULL when the text there is no JSON number. */
const char *decimal_scan(const char *at, const char *end, struct decimal *ret);

float decimal_to_f32(const struct decimal *decimal);
double decimal_to_f64(const struct decimal *decimal);

/* Whether the value is a whole number in the type's range, as 4, 4.0 and 4e0 all are. */
bool decimal_to_i64(const struct decimal *decimal, int64_t *ret);
bool decimal_to_u64(const struct decimal *decimal, uint64_t *ret);

/* The whole of text[0..n) as one number; false when it is not one or it is infinite in the type. */
bool decimal_parse_f32(const char *text, size_t n, float *ret);
bool decimal_parse_f64(const char *text, size_t n, double *ret);

struct decimal_format { /* of an IEEE 754 type */
    int mantissa_bits;  /* stored ones: 23, 52 */
    int bias;           /* 127, 1023 */
};

/* The slow, exact half. `bits` is a float of `format` at most the decimal's magnitude and within a few
 * units of it; returns the bits of the nearest one. */
uint64_t decimal_round_exactly(const struct decimal *decimal, uint64_t bits, struct decimal_format format);

#endif
