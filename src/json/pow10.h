/* json/pow10.h - powers of ten as 128-bit binary numbers, for exact float text both ways.
 *
 * pow10_floor(q) = floor(10^q * 2^s) with s chosen so that the top bit is set; then
 *     10^q = pow10_floor(q) * 2^(pow10_log2(q) - 127), exactly for POW10_EXACT_MIN..MAX,
 *     and more than that by less than one unit for every other q.
 * The table is computed when the program starts (a few microseconds), by exact division and
 * multiplication by five.
 *
 * Threads: read only after start. */
#ifndef JSON_POW10_H
#define JSON_POW10_H

#include <stdint.h>

#define POW10_MIN       (-342)
#define POW10_MAX       324
#define POW10_EXACT_MIN 0
#define POW10_EXACT_MAX 55 /* 5^55 is the last power below 2^128 */

struct pow10 {
    uint64_t hi, lo;
};

extern struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];

static inline struct pow10 pow10_floor(int32_t q) /* POW10_MIN..POW10_MAX */
{
    return pow10_table[q - POW10_MIN];
}

/* floor(log2(10^q)) for |q| <= 1000: 217706 / 65536 is log2(10) to within 6e-7. */
static inline int32_t pow10_log2(int32_t q)
{
    return (int32_t)(((int64_t)q * 217706) >> 16);
}

#endif
