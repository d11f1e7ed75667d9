/* json/shortest.h - floats as the shortest decimal text that reads back as the same bits.
 *
 * Among the shortest the nearest to the value is taken. The method is Giulietti's "The Schubfach way to
 * render doubles" (2020): scale the value and the ends of its rounding interval by one power of ten,
 * then look at two or four candidates. Text is plain for 1e-6 <= |x| < 1e21 (0.00042, 15, 1500000),
 * else with an exponent (1e-7, 1.5e300); a whole number has no point; negative zero is -0.
 *
 * Threads: no state. */
#ifndef JSON_SHORTEST_H
#define JSON_SHORTEST_H

#include <stddef.h>
#include <stdint.h>

#define SHORTEST_MAX 32 /* room for any number, without a NUL */

/* Writes a finite number and returns its length; no NUL behind it. */
size_t shortest_f32(float value, char *out);
size_t shortest_f64(double value, char *out);

/* Decimal integers. */
size_t shortest_u64(uint64_t value, char *out);
size_t shortest_i64(int64_t value, char *out);

#endif
