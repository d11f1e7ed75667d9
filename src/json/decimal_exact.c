/* The slow half of json/decimal.h: compares a decimal of any length with the midpoint between two
 * neighbouring floats, in big integers. */
#include <string.h>

#include "json/decimal.h"

#define N_LIMBS    64  /* 4096 bits; the largest number here has fewer than 2900 */
#define MAX_DIGITS 800 /* a midpoint of doubles has at most 767 significant digits */

struct big {
    uint64_t limbs[N_LIMBS]; /* little-endian */
    int n;
};

static void big_multiply_add(struct big *x, uint64_t factor, uint64_t add)
{
    unsigned __int128 carry = add;
    for (int i = 0; i < x->n; i++) {
        carry += (unsigned __int128)x->limbs[i] * factor;
        x->limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry != 0 && x->n < N_LIMBS) x->limbs[x->n++] = (uint64_t)carry;
}

static void big_multiply_pow5(struct big *x, int32_t n)
{
    for (; n >= 27; n -= 27) big_multiply_add(x, 7450580596923828125u, 0);
    uint64_t factor = 1;
    for (; n > 0; n--) factor *= 5;
    big_multiply_add(x, factor, 0);
}

static void big_shift_left(struct big *x, int32_t n)
{
    int words = n / 64, bits = n % 64;
    if (x->n == 0 || x->n + words + 1 > N_LIMBS) return;
    memmove(x->limbs + words, x->limbs, (size_t)x->n * sizeof x->limbs[0]);
    memset(x->limbs, 0, (size_t)words * sizeof x->limbs[0]);
    x->n += words;
    if (bits == 0) return;
    uint64_t carry = 0;
    for (int i = words; i < x->n; i++) {
        uint64_t limb = x->limbs[i];
        x->limbs[i] = limb << bits | carry;
        carry = limb >> (64 - bits);
    }
    if (carry != 0) x->limbs[x->n++] = carry;
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    for (int i = a->n - 1; i >= 0; i--)
        if (a->limbs[i] != b->limbs[i]) return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

/* All digits of the text as one integer; returns the power of ten that scales it. Digits past the
 * 800th count as one more digit that is not zero, which is all a comparison can see of them. */
static int32_t read_digits(const struct decimal *d, struct big *ret)
{
    int n = 0;
    int64_t exponent = 0, scale = 0;
    bool fraction = false, rest = false;
    const char *at = d->text, *end = d->text + d->n;
    ret->n = 0;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') fraction = true;
        if (*at < '0' || *at > '9') continue;
        if (n == MAX_DIGITS) {
            rest |= *at != '0';
            exponent += !fraction;
            continue;
        }
        big_multiply_add(ret, 10, (uint64_t)(*at - '0'));
        n += ret->n > 0;
        scale += fraction;
    }
    if (at < end) {
        bool negative = at[1] == '-';
        int64_t value = 0;
        for (at++; at < end; at++)
            if (*at >= '0' && *at <= '9' && value < 100000000) value = value * 10 + (*at - '0');
        exponent += negative ? -value : value;
    }
    exponent -= scale;
    if (rest) {
        big_multiply_add(ret, 10, 1);
        exponent--;
    }
    return (int32_t)exponent;
}

/* The decimal against the midpoint of the floats `bits` and `bits` + 1: -1, 0 or 1. */
static int compare_midpoint(const struct big *digits, int32_t exponent, uint64_t bits,
                            struct decimal_format format)
{
    uint64_t hidden = 1ull << format.mantissa_bits, mantissa = bits & (hidden - 1);
    int32_t biased = (int32_t)(bits >> format.mantissa_bits);
    if (biased > 0) mantissa |= hidden;
    int32_t power2 = (biased > 0 ? biased : 1) - format.bias - format.mantissa_bits - 1;
    struct big a = *digits, b = {{2 * mantissa + 1}, 1};
    if (exponent >= 0)
        big_multiply_pow5(&a, exponent);
    else
        big_multiply_pow5(&b, -exponent);
    int32_t shift = exponent - power2; /* a * 2^exponent against b * 2^power2 */
    if (shift >= 0)
        big_shift_left(&a, shift);
    else
        big_shift_left(&b, -shift);
    return big_compare(&a, &b);
}

uint64_t decimal_round_exactly(const struct decimal *d, uint64_t bits, struct decimal_format format)
{
    struct big digits;
    int32_t exponent = read_digits(d, &digits);
    uint64_t infinite = (uint64_t)(2 * format.bias + 1) << format.mantissa_bits;
    for (; bits < infinite; bits++) {
        int order = compare_midpoint(&digits, exponent, bits, format);
        if (order < 0) return bits;
        if (order == 0) return bits + (bits & 1);
    }
    return bits;
}
