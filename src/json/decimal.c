#include "json/decimal.h"

#include <math.h>
#include <string.h>

#include "json/pow10.h"

#define MAX_DIGITS 19 /* always fit 64 bits */

typedef unsigned __int128 u128;

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* The value of eight digits, one a byte, the first in the lowest byte (after Lemire). */
static inline uint64_t eight_digits(uint64_t digits)
{
    digits = digits * 10 + (digits >> 8); /* pairs in every other byte */
    return ((digits & 0x000000ff000000ff) * 0x000f424000000064 +
            ((digits >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >>
           32;
}

/* Appends the digits at `at` to *digits, eight bytes at a time. Their number is found without a branch,
 * as it varies from number to number. */
static inline const char *scan_digits(const char *at, const char *end, uint64_t *digits)
{
    static const uint32_t pow10[8] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    uint64_t value = *digits;
    while (end - at >= 8) {
        uint64_t bytes;
        memcpy(&bytes, at, 8);
        bytes ^= 0x3030303030303030;
        uint64_t others = (((bytes & 0x7f7f7f7f7f7f7f7f) + 0x7676767676767676) | bytes) & 0x8080808080808080;
        if (others != 0) {
            unsigned n_bits = (unsigned)__builtin_ctzll(others) & ~7u; /* of the digits in front */
            /* Two shifts, for a count of 64; the vacated bytes are zeros in front of the number. */
            value = value * pow10[n_bits / 8] + eight_digits(bytes << (32 - n_bits / 2) << (32 - n_bits / 2));
            *digits = value;
            return at + n_bits / 8;
        }
        value = value * 100000000 + eight_digits(bytes);
        at += 8;
    }
    while (at < end && is_digit(*at)) value = value * 10 + (uint64_t)(*at++ - '0');
    *digits = value;
    return at;
}

/* Text with many digits, whose quick sum has overflowed: the first 19 significant ones again. */
static void rescan_long(struct decimal *d, const char *integer, const char *end, int32_t exponent)
{
    const char *at = integer;
    uint64_t digits = 0;
    int n = 0, dropped = 0;
    bool fraction = false, rest = false;
    int64_t scale = 0; /* digits kept or skipped behind the point */
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            fraction = true;
            continue;
        }
        if (n == MAX_DIGITS) {
            rest |= *at != '0';
            dropped += !fraction;
            continue;
        }
        digits = digits * 10 + (uint64_t)(*at - '0');
        n += digits != 0;
        scale += fraction;
    }
    int64_t full = (int64_t)exponent + dropped - scale;
    if (full > 1000000) full = 1000000;
    if (full < -1000000) full = -1000000;
    d->digits = digits;
    d->truncated = rest;
    d->exponent = (int32_t)full;
}

static const char *scan_exponent(const char *at, const char *end, int32_t *ret)
{
    bool negative = false;
    if (at < end && (*at == '+' || *at == '-')) negative = *at++ == '-';
    if (at == end || !is_digit(*at)) return NULL;
    int32_t value = 0;
    for (; at < end && is_digit(*at); at++)
        if (value < 100000000) value = value * 10 + (*at - '0');
    *ret = negative ? -value : value;
    return at;
}

const char *decimal_scan(const char *at, const char *end, struct decimal *ret)
{
    const char *text = at;
    bool negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at)) return NULL;
    const char *integer = at;
    uint64_t digits = 0;
    if (*at == '0') {
        at++;
        if (at < end && is_digit(*at)) return NULL; /* a leading zero */
    } else {
        at = scan_digits(at, end, &digits);
    }
    ptrdiff_t n_digits = at - integer;
    int32_t exponent = 0, fraction = 0;
    if (at < end && *at == '.') {
        const char *first = ++at;
        at = scan_digits(at, end, &digits);
        if (at == first) return NULL;
        n_digits += at - first;
        fraction = at - first > 1000000 ? 1000000 : (int32_t)(at - first);
    }
    const char *mantissa_end = at;
    if (at < end && (*at | 0x20) == 'e') {
        at = scan_exponent(at + 1, end, &exponent);
        if (at == NULL) return NULL;
    }
    ret->text = text;
    ret->n = (size_t)(at - text);
    ret->negative = negative;
    ret->digits = digits;
    ret->exponent = exponent - fraction;
    ret->truncated = false;
    if (__builtin_expect(n_digits > MAX_DIGITS, 0)) rescan_long(ret, integer, mantissa_end, exponent);
    return at;
}

/* Rounds digits * power * 2^(log2 - 127), where the true power is `power` (exact) or above it by less
 * than one unit. Returns the bits, and in *certain whether they are the nearest; when not, they are
 * those of the float just below. digits > 0. */
static inline uint64_t round_product(uint64_t digits, struct pow10 power, int32_t log2, bool exact,
                                     struct decimal_format format, bool *certain)
{
    int shift = __builtin_clzll(digits);
    uint64_t w = digits << shift;
    u128 low = (u128)w * power.lo, high = (u128)w * power.hi + (uint64_t)(low >> 64);
    uint64_t sticky = (uint64_t)low;
    unsigned low_top = (unsigned)(high >> 127) ^ 1; /* no branch: it is one for half of all numbers */
    high = high << low_top | (sticky >> 63 & low_top);
    sticky <<= low_top;
    int32_t exponent = log2 + 64 - shift - (int32_t)low_top;
    /* The value is high * 2^(exponent - 127), and the top bit of high is set. */
    int32_t biased = exponent + format.bias;
    int32_t infinite = 2 * format.bias + 1;
    *certain = true;
    if (biased >= infinite) return (uint64_t)infinite << format.mantissa_bits;
    int keep = format.mantissa_bits + 1;
    if (biased <= 0) {
        keep += biased - 1; /* a subnormal has fewer bits */
        biased = 1;
        if (keep < 0) return 0; /* below half of the smallest */
    }
    uint64_t kept = keep == 0 ? 0 : (uint64_t)(high >> (128 - keep));
    u128 half = (u128)1 << (127 - keep), rest = keep == 0 ? high : high & (2 * half - 1);
    /* Adding the kept bits to the exponent field lets a carry run into it; a normal one's top bit adds 1. */
    uint64_t bits = ((uint64_t)(biased - 1) << format.mantissa_bits) + kept;
    u128 beyond = rest - half; /* wraps when below half, and then its top bit is set */
    if (__builtin_expect(beyond == 0, 0)) return bits + ((sticky != 0 || !exact) ? 1 : (kept & 1));
    if (__builtin_expect(beyond >= -(u128)2, 0)) *certain = exact;
    return bits + (1 ^ (uint64_t)(beyond >> 127));
}

static inline uint64_t round_power(uint64_t digits, int32_t q, struct decimal_format format, bool *certain)
{
    return round_product(digits, pow10_floor(q), pow10_log2(q), q >= POW10_EXACT_MIN && q <= POW10_EXACT_MAX,
                         format, certain);
}

/* The cases that the first product left open. */
__attribute__((noinline)) static uint64_t round_hard(const struct decimal *d, uint64_t below, bool certain,
                                                     struct decimal_format format)
{
    int32_t q = d->exponent;
    if (d->truncated) {
        bool certain_above;
        uint64_t above = round_power(d->digits + 1, q, format, &certain_above);
        if (certain && certain_above && above == below) return below;
        return decimal_round_exactly(d, below > 0 ? below - 1 : 0, format);
    }
    if (q < 0 && q > -28) {
        uint64_t power5 = 1;
        for (int32_t i = q; i < 0; i++) power5 *= 5;
        if (d->digits % power5 == 0) /* digits / 5^-q * 2^q, without an error */
            return round_product(d->digits / power5, (struct pow10){1ull << 63, 0}, q, true, format,
                                 &certain);
    }
    return decimal_round_exactly(d, below, format);
}

static inline uint64_t to_bits(const struct decimal *d, struct decimal_format format)
{
    if (d->digits == 0) return 0;
    if (d->exponent > 308) return (uint64_t)(2 * format.bias + 1) << format.mantissa_bits;
    if (d->exponent < POW10_MIN) return 0; /* 10^19 * 10^-343 is below half of the smallest double */
    bool certain;
    uint64_t bits = round_power(d->digits, d->exponent, format, &certain);
    if (__builtin_expect(!certain || d->truncated, 0)) return round_hard(d, bits, certain, format);
    return bits;
}

static const float f32_pow10[] = {1, 1e1f, 1e2f, 1e3f, 1e4f, 1e5f, 1e6f, 1e7f, 1e8f, 1e9f, 1e10f};

float decimal_to_f32(const struct decimal *d)
{
    float value;
    /* Both sides of the division are floats without an error, so its rounding is the only one (Clinger). */
    if (d->digits < 1u << 24 && d->exponent <= 0 && d->exponent >= -10) {
        value = (float)(int32_t)d->digits / f32_pow10[-d->exponent];
        return d->negative ? -value : value;
    }
    uint32_t bits = (uint32_t)to_bits(d, (struct decimal_format){23, 127}) | (uint32_t)d->negative << 31;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Numbers as people write them: digits and power of ten are both exact, so that one division rounds right
 * (Clinger 1990). */
static inline bool is_short(const struct decimal *d)
{
    return d->digits < 1ull << 53 && d->exponent <= 0 && d->exponent >= -22;
}

double decimal_to_f64(const struct decimal *d)
{
    static const double pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (is_short(d)) {
        double whole = (double)(int64_t)d->digits;
        double value = d->exponent == 0 ? whole : whole / pow10[-d->exponent];
        return d->negative ? -value : value;
    }
    uint64_t bits = to_bits(d, (struct decimal_format){52, 1023}) | (uint64_t)d->negative << 63;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool decimal_to_u64(const struct decimal *d, uint64_t *ret)
{
    uint64_t value = d->digits;
    if (value == 0 && !d->truncated) {
        *ret = 0;
        return true;
    }
    if (d->negative) return false;
    if (d->truncated || d->exponent > 19 || d->exponent < -19) {
        /* Twenty digits may still fit; text longer than that is a whole number only with zeros. */
        if (!d->truncated || d->exponent != 1 || d->n != 20) return false;
        return !__builtin_mul_overflow(value, (uint64_t)10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(d->text[19] - '0'), ret);
    }
    for (int32_t q = d->exponent; q < 0; q++) {
        if (value % 10 != 0) return false;
        value /= 10;
    }
    for (int32_t q = d->exponent; q > 0; q--)
        if (__builtin_mul_overflow(value, (uint64_t)10, &value)) return false;
    *ret = value;
    return true;
}

bool decimal_to_i64(const struct decimal *d, int64_t *ret)
{
    struct decimal magnitude = *d;
    magnitude.negative = false;
    if (d->negative && d->n > 0) {
        magnitude.text++;
        magnitude.n--;
    }
    uint64_t value;
    if (!decimal_to_u64(&magnitude, &value) || value > (uint64_t)INT64_MAX + d->negative) return false;
    *ret = d->negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool decimal_parse_f32(const char *text, size_t n, float *ret)
{
    struct decimal d;
    if (decimal_scan(text, text + n, &d) != text + n) return false;
    float value = decimal_to_f32(&d);
    if (isinf(value)) return false;
    *ret = value;
    return true;
}

bool decimal_parse_f64(const char *text, size_t n, double *ret)
{
    struct decimal d;
    if (decimal_scan(text, text + n, &d) != text + n) return false;
    double value = decimal_to_f64(&d);
    if (isinf(value)) return false;
    *ret = value;
    return true;
}
