/* base/casemap.h - upper and lower case without a locale.
 *
 * Simple case mapping of Unicode 14: one character to one character, the same everywhere. Characters whose
 * mapping is longer (the German sharp s) stay as they are.
 *
 * Threads: pure functions. */
#ifndef BASE_CASEMAP_H
#define BASE_CASEMAP_H

#include <stddef.h>
#include <stdint.h>

enum casemap { CASEMAP_LOWER, CASEMAP_UPPER };

uint32_t casemap_char(enum casemap map, uint32_t c);

/* Maps n bytes of UTF-8 from `in` to `out`, which has room for CASEMAP_ROOM(n); returns the bytes written.
 * Bytes that are not UTF-8 are kept. */
#define CASEMAP_ROOM(n) (2 * (n)) /* a two-byte letter may become a three-byte one */
size_t casemap_utf8(enum casemap map, const char *in, size_t n, char *out);

#endif
