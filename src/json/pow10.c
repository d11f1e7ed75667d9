#include "json/pow10.h"

#include <string.h>

#define N_LIMBS 16 /* 1024 bits: 2^1023 / 5^342 still has more than 128 */

struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];

/* The highest 128 bits of a number (little-endian limbs), top bit set. */
static struct pow10 top_bits(const uint64_t *limbs)
{
    int i = N_LIMBS - 1;
    while (limbs[i] == 0) i--;
    uint64_t a = limbs[i], b = i > 0 ? limbs[i - 1] : 0, c = i > 1 ? limbs[i - 2] : 0;
    int shift = __builtin_clzll(a);
    if (shift == 0) return (struct pow10){a, b};
    return (struct pow10){a << shift | b >> (64 - shift), b << shift | c >> (64 - shift)};
}

__attribute__((constructor)) static void fill_table(void)
{
    uint64_t x[N_LIMBS] = {1};
    for (int q = 0; q <= POW10_MAX; q++) {
        pow10_table[q - POW10_MIN] = top_bits(x);
        unsigned __int128 carry = 0;
        for (int i = 0; i < N_LIMBS; i++) {
            carry += (unsigned __int128)x[i] * 5;
            x[i] = (uint64_t)carry;
            carry >>= 64;
        }
    }
    /* floor(floor(x / 5^n) / 5) is floor(x / 5^(n+1)), so no error builds up. */
    memset(x, 0, sizeof x);
    x[N_LIMBS - 1] = 1ull << 63;
    for (int q = -1; q >= POW10_MIN; q--) {
        unsigned __int128 rest = 0;
        for (int i = N_LIMBS - 1; i >= 0; i--) {
            rest = rest << 64 | x[i];
            x[i] = (uint64_t)(rest / 5);
            rest %= 5;
        }
        pow10_table[q - POW10_MIN] = top_bits(x);
    }
}
