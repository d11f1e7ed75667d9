#include "json/json_text.h"

#include <string.h>

size_t utf8_length(const char *text, const char *end)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t left = (size_t)(end - text);
    if (left == 0) return 0;
    unsigned char c = at[0];
    if (c < 0x80) return 1;
    if (c < 0xc2 || left < 2 || (at[1] & 0xc0) != 0x80) return 0;
    if (c < 0xe0) return 2;
    if (left < 3 || (at[2] & 0xc0) != 0x80) return 0;
    if (c < 0xf0) {
        if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f)) return 0;
        return 3;
    }
    if (c > 0xf4 || left < 4 || (at[3] & 0xc0) != 0x80) return 0;
    if ((c == 0xf0 && at[1] < 0x90) || (c == 0xf4 && at[1] > 0x8f)) return 0;
    return 4;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const char *at, const char *end)
{
    if (end - at < 4) return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The character of a \u escape; `at` stands behind the u. Sets *ret_n to the bytes read. -1: malformed. */
static int32_t read_unicode(const char *at, const char *end, size_t *ret_n)
{
    int32_t high = hex4(at, end);
    *ret_n = 4;
    if (high < 0 || (high >= 0xdc00 && high < 0xe000)) return -1;
    if (high < 0xd800 || high >= 0xe000) return high;
    if (end - at < 10 || at[4] != '\\' || at[5] != 'u') return -1;
    int32_t low = hex4(at + 6, end);
    if (low < 0xdc00 || low >= 0xe000) return -1;
    *ret_n = 10;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* How many of eight bytes stand before the first quote, backslash, control character or byte above 0x7f.
 * Each test may also mark bytes behind its first true one, never before it. */
static inline unsigned n_plain(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\';
    uint64_t marks = (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | (x - ones * 0x20) | x) &
                     tops;
    return marks == 0 ? 8 : (unsigned)__builtin_ctzll(marks) / 8;
}

const char *json_text_scan(const char *at, const char *end, struct json_text *ret, const char **fault)
{
    const char *start = at;
    bool escaped = false;
    for (;;) {
        while (end - at >= 8) {
            uint64_t chars;
            memcpy(&chars, at, 8);
            unsigned n = n_plain(chars);
            at += n;
            if (n < 8) break;
        }
        if (at == end) {
            *fault = "a string without its closing quote";
            return at;
        }
        unsigned char c = (unsigned char)*at;
        if (c == '"') break;
        if (c < 0x20) {
            *fault = "a control character in a string; write it as an escape";
            return at;
        }
        if (c >= 0x80) {
            size_t n = utf8_length(at, end);
            if (n == 0) {
                *fault = "a string that is not UTF-8";
                return at;
            }
            at += n;
        } else if (c == '\\') {
            escaped = true;
            size_t n = 0;
            if (end - at < 2 || strchr("\"\\/bfnrtu", at[1]) == NULL || at[1] == 0) {
                *fault = "an unknown escape in a string";
                return at;
            }
            if (at[1] == 'u' && read_unicode(at + 2, end, &n) < 0) {
                *fault = "a \\u escape that is no character (four hexadecimal digits, surrogates in pairs)";
                return at;
            }
            at += 2 + n;
        } else {
            at++;
        }
    }
    *ret = (struct json_text){start, (size_t)(at - start), escaped};
    return at + 1;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

size_t json_text_decode(const struct json_text *text, char *out)
{
    if (!text->escaped) {
        memcpy(out, text->raw, text->n_raw);
        return text->n_raw;
    }
    size_t n = 0;
    for (const char *at = text->raw, *end = at + text->n_raw; at < end;) {
        if (*at != '\\') {
            out[n++] = *at++;
            continue;
        }
        char kind = at[1];
        at += 2;
        if (kind == 'u') {
            size_t n_read;
            n += put_utf8((uint32_t)read_unicode(at, end, &n_read), out + n);
            at += n_read;
            continue;
        }
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *found = strchr(from, kind);
        out[n++] = found != NULL ? to[found - from] : kind;
    }
    return n;
}

bool json_text_equal(const struct json_text *text, const char *expected, size_t n)
{
    if (!text->escaped) return text->n_raw == n && memcmp(text->raw, expected, n) == 0;
    if (text->n_raw < n) return false;
    size_t matched = 0;
    for (const char *at = text->raw, *end = at + text->n_raw; at < end;) {
        char piece[4];
        size_t n_piece = 1;
        struct json_text one = {at, 1, false};
        if (*at == '\\') {
            size_t n_read = 0;
            if (at[1] == 'u') read_unicode(at + 2, end, &n_read);
            one = (struct json_text){at, 2 + n_read, true};
            n_piece = json_text_decode(&one, piece);
        } else {
            piece[0] = *at;
        }
        if (n - matched < n_piece || memcmp(expected + matched, piece, n_piece) != 0) return false;
        matched += n_piece;
        at += one.n_raw;
    }
    return matched == n;
}

bool json_text_is(const struct json_text *text, const char *expected)
{
    return json_text_equal(text, expected, strlen(expected));
}
