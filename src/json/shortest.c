#include "json/shortest.h"

#include <stdbool.h>
#include <string.h>

#include "json/pow10.h"

struct digits { /* digits * 10^exponent */
    uint64_t digits;
    int32_t exponent;
};

/* floor(g * c / 2^128) with the lowest bit set when anything but a rounding error of g was cut off:
 * "round to odd" keeps every later comparison with a multiple of two exact. */
static inline uint64_t scale_to_odd(struct pow10 g, uint64_t c)
{
    unsigned __int128 low = (unsigned __int128)g.lo * c;
    unsigned __int128 high = (unsigned __int128)g.hi * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The shortest decimal within the rounding interval of c * 2^q. `narrow`: the float below is only half
 * as far away as the one above (c is a power of two). */
static struct digits shortest_digits(uint64_t c, int32_t q, bool narrow)
{
    bool even = (c & 1) == 0; /* then the interval's ends round to this value too */
    /* k = floor(log10(2^q)), or of 3/4 2^q; the constants are log10(2) and log10(4/3) times 2^22. */
    int32_t k = (int32_t)(((int64_t)q * 1262611 - (narrow ? 524031 : 0)) >> 22);
    int32_t h = q + pow10_log2(-k) + 1;
    struct pow10 g = pow10_floor(-k);
    if (-k < POW10_EXACT_MIN || -k > POW10_EXACT_MAX) { /* the method wants the power rounded up */
        g.lo++;
        g.hi += g.lo == 0;
    }
    /* All times four, so that the interval's ends are whole: value, lower and upper end, scaled by 10^-k. */
    uint64_t value = scale_to_odd(g, (4 * c) << h);
    uint64_t lower = scale_to_odd(g, (4 * c - (narrow ? 1 : 2)) << h) + !even;
    uint64_t upper = scale_to_odd(g, (4 * c + 2) << h) - !even;
    uint64_t s = value / 4;
    if (s >= 10) { /* one digit fewer, if exactly one such decimal is inside */
        uint64_t tens = s / 10;
        bool down = lower <= 40 * tens, up = 40 * tens + 40 <= upper;
        if (down != up) return (struct digits){tens + up, k + 1};
    }
    bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    if (down != up) return (struct digits){s + up, k};
    uint64_t middle = 4 * s + 2;
    return (struct digits){s + (value > middle || (value == middle && (s & 1))), k};
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536"
                                  "37383940414243444546474849505152535455565758596061626364656667686970717273"
                                  "7475767778798081828384858687888990919293949596979899";

size_t shortest_u64(uint64_t value, char *out)
{
    char text[20];
    size_t at = sizeof text;
    while (value >= 100) {
        memcpy(text + (at -= 2), digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10)
        memcpy(text + (at -= 2), digit_pairs + value * 2, 2);
    else
        text[--at] = (char)('0' + value);
    memcpy(out, text + at, sizeof text - at);
    return sizeof text - at;
}

size_t shortest_i64(int64_t value, char *out)
{
    if (value >= 0) return shortest_u64((uint64_t)value, out);
    *out = '-';
    return 1 + shortest_u64(0 - (uint64_t)value, out + 1);
}

static size_t write_digits(struct digits d, char *out)
{
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    char text[20];
    int32_t n = (int32_t)shortest_u64(d.digits, text), point = n + d.exponent;
    if (point > 0 && point <= 21) {
        if (point >= n) {
            memcpy(out, text, (size_t)n);
            memset(out + n, '0', (size_t)(point - n));
            return (size_t)point;
        }
        memcpy(out, text, (size_t)point);
        out[point] = '.';
        memcpy(out + point + 1, text + point, (size_t)(n - point));
        return (size_t)n + 1;
    }
    if (point <= 0 && point > -6) {
        memcpy(out, "0.000000", 8);
        memcpy(out + 2 - point, text, (size_t)n);
        return (size_t)(2 - point + n);
    }
    size_t at = 0;
    out[at++] = text[0];
    if (n > 1) {
        out[at++] = '.';
        memcpy(out + at, text + 1, (size_t)n - 1);
        at += (size_t)n - 1;
    }
    out[at++] = 'e';
    return at + shortest_i64(point - 1, out + at);
}

static size_t write_float(uint64_t mantissa, int32_t biased, int mantissa_bits, int bias, char *out)
{
    if (biased == 0 && mantissa == 0) {
        *out = '0';
        return 1;
    }
    uint64_t hidden = 1ull << mantissa_bits;
    uint64_t c = biased > 0 ? mantissa | hidden : mantissa;
    int32_t q = (biased > 0 ? biased : 1) - bias - mantissa_bits;
    if (q <= 0 && q > -mantissa_bits - 1 && (c & ((1ull << -q) - 1)) == 0) /* a whole number */
        return write_digits((struct digits){c >> -q, 0}, out);
    return write_digits(shortest_digits(c, q, mantissa == 0 && biased > 1), out);
}

size_t shortest_f32(float value, char *out)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = bits >> 31;
    if (sign) *out = '-';
    return sign + write_float(bits & 0x7fffff, (int32_t)(bits >> 23 & 0xff), 23, 127, out + sign);
}

size_t shortest_f64(double value, char *out)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t sign = (size_t)(bits >> 63);
    if (sign) *out = '-';
    return sign + write_float(bits & 0xfffffffffffffu, (int32_t)(bits >> 52 & 0x7ff), 52, 1023, out + sign);
}
