#include "protocol/base64.h"

#include <stdint.h>

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t n, char *out, size_t *ret_n)
{
    if (n % 4 != 0) return false;
    size_t padding = n > 0 && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0, n_out = 0;
    for (size_t i = 0; i < n; i += 4) {
        uint32_t bits = 0;
        size_t digits = i + 4 == n ? 4 - padding : 4;
        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? digit(text[i + k]) : 0;
            if (value < 0) return false;
            bits = bits << 6 | (uint32_t)value;
        }
        if ((digits == 3 && (bits & 0xff)) || (digits == 2 && (bits & 0xffff))) return false;
        for (size_t k = 0; k + 1 < digits; k++) out[n_out++] = (char)(bits >> (16 - 8 * k));
    }
    *ret_n = n_out;
    return true;
}

void base64_append(struct buf *out, const void *bytes, size_t n)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t word = (uint32_t)p[i] << 16;
        if (i + 1 < n) word |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n) word |= p[i + 2];
        const char digits[4] = {DIGITS[word >> 18], DIGITS[word >> 12 & 63],
                                i + 1 < n ? DIGITS[word >> 6 & 63] : '=',
                                i + 2 < n ? DIGITS[word & 63] : '='};
        buf_append(out, digits, sizeof digits);
    }
}
