#include "json/json_reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "json/json_text.h"

void json_reader_init(struct json_reader *r, const char *bytes, size_t n, onnxd_error *err)
{
    r->start = r->at = bytes;
    r->end = bytes + n;
    r->err = err;
    r->status = ONNXD_OK;
    r->depth = 0;
}

/* ---- failures -------------------------------------------------------------------------------------- */

static size_t append_path(const struct json_reader *r, char *out, size_t size)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->depth && n < size; i++) {
        const struct json_level *level = &r->levels[i];
        if (level->n == 0) continue;
        int wrote;
        if (!level->is_object) {
            wrote = snprintf(out + n, size - n, "[%llu]", (unsigned long long)level->n - 1);
        } else {
            int shown = level->key.n_raw > 64 ? 64 : (int)level->key.n_raw;
            wrote = snprintf(out + n, size - n, "%s%.*s", n > 0 ? "." : "", shown, level->key.raw);
        }
        n += (size_t)wrote;
    }
    return n < size ? n : size - 1;
}

bool json_fail(struct json_reader *r, onnxd_status status, const char *format, ...)
{
    if (r->status != ONNXD_OK) return false;
    r->status = status;
    if (r->err == NULL) return false;
    char path[256], what[256];
    size_t n_path = append_path(r, path, sizeof path);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    error_set(r->err, status, "%.*s%s%s", (int)n_path, path, n_path > 0 ? ": " : "", what);
    return false;
}

/* Malformed text at r->at. */
__attribute__((noinline, cold)) static bool fail_syntax(struct json_reader *r, const char *what)
{
    return json_fail(r, ONNXD_ERR_FORMAT, "%s (byte %zu)", what, (size_t)(r->at - r->start));
}

__attribute__((noinline, cold)) static bool fail_token(struct json_reader *r, const char *expected)
{
    if (r->at >= r->end) return json_fail(r, ONNXD_ERR_FORMAT, "expected %s, but the text ends", expected);
    unsigned char c = (unsigned char)*r->at;
    if (c < 0x20 || c >= 0x7f)
        return json_fail(r, ONNXD_ERR_FORMAT, "expected %s, got byte 0x%02x (byte %zu)", expected, c,
                         (size_t)(r->at - r->start));
    return json_fail(r, ONNXD_ERR_FORMAT, "expected %s, got '%c' (byte %zu)", expected, c,
                     (size_t)(r->at - r->start));
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {"nothing",  "null",     "true or false", "a number",
                                        "a string", "an array", "an object"};
    return names[kind];
}

__attribute__((noinline, cold)) static bool fail_kind(struct json_reader *r, enum json_kind expected)
{
    enum json_kind got = json_peek(r);
    if (got == JSON_NONE) return false; /* json_peek has failed with the reason */
    return json_fail(r, ONNXD_ERR_FORMAT, "expected %s, got %s", json_kind_name(expected),
                     json_kind_name(got));
}

/* ---- values ---------------------------------------------------------------------------------------- */

static inline void skip_blanks(struct json_reader *r)
{
    const char *at = r->at;
    while (at < r->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    r->at = at;
}

enum json_kind json_peek(struct json_reader *r)
{
    if (r->status != ONNXD_OK) return JSON_NONE;
    skip_blanks(r);
    if (r->at < r->end) {
        char c = *r->at;
        if (c == '"') return JSON_STRING;
        if (c == '[') return JSON_ARRAY;
        if (c == '{') return JSON_OBJECT;
        if (c == '-' || (c >= '0' && c <= '9')) return JSON_NUMBER;
        if (c == 't' || c == 'f') return JSON_BOOL;
        if (c == 'n') return JSON_NULL;
        if (c == 'N' || c == 'I') fail_syntax(r, "JSON numbers must be finite; NaN and Infinity are none");
    }
    fail_token(r, "a value");
    return JSON_NONE;
}

static bool push(struct json_reader *r, bool is_object)
{
    if (r->depth == JSON_MAX_DEPTH)
        return json_fail(r, ONNXD_ERR_LIMIT, "nested deeper than %d levels (byte %zu)", JSON_MAX_DEPTH,
                         (size_t)(r->at - r->start));
    struct json_level *level = &r->levels[r->depth++];
    level->n = 0;
    level->is_object = is_object;
    r->at++;
    return true;
}

bool json_enter_object(struct json_reader *r)
{
    if (r->status != ONNXD_OK) return false;
    skip_blanks(r);
    if (r->at == r->end || *r->at != '{') return fail_kind(r, JSON_OBJECT);
    return push(r, true);
}

bool json_enter_array(struct json_reader *r)
{
    if (r->status != ONNXD_OK) return false;
    skip_blanks(r);
    if (r->at == r->end || *r->at != '[') return fail_kind(r, JSON_ARRAY);
    return push(r, false);
}

bool json_next_element(struct json_reader *r)
{
    if (r->status != ONNXD_OK) return false;
    struct json_level *level = &r->levels[r->depth - 1];
    skip_blanks(r);
    if (r->at < r->end && *r->at == ']') {
        r->at++;
        r->depth--;
        return false;
    }
    if (level->n > 0) {
        if (r->at == r->end || *r->at != ',') return fail_token(r, "',' or ']'");
        r->at++;
    }
    level->n++;
    return true;
}

bool json_next_key(struct json_reader *r, struct json_text *ret_key)
{
    if (r->status != ONNXD_OK) return false;
    struct json_level *level = &r->levels[r->depth - 1];
    skip_blanks(r);
    if (r->at < r->end && *r->at == '}') {
        r->at++;
        r->depth--;
        return false;
    }
    if (level->n > 0) {
        if (r->at == r->end || *r->at != ',') return fail_token(r, "',' or '}'");
        r->at++;
        skip_blanks(r);
    }
    if (r->at == r->end || *r->at != '"') return fail_token(r, "a key in quotes");
    struct json_text key;
    if (!json_read_string(r, &key)) return false;
    skip_blanks(r);
    if (r->at == r->end || *r->at != ':') return fail_token(r, "':' behind the key");
    r->at++;
    level->key = key;
    level->n++;
    *ret_key = key;
    return true;
}

bool json_next_key_noted(struct json_reader *r, struct json_text *ret_key, struct json_key_note *note)
{
    const char *start = r->at;
    bool first = r->status == ONNXD_OK && r->levels[r->depth - 1].n == 0;
    struct json_text key;
    note->n_words = 0;
    if (!json_next_key(r, &key)) return false;
    size_t n = (size_t)(r->at - start);
    if (n <= sizeof note->words) {
        memset(note->words, 0, sizeof note->words);
        memcpy(note->words, start, n);
        unsigned n_last = 1 + (unsigned)(n - 1) % 8; /* bytes of the last word */
        note->last_mask = UINT64_MAX >> (64 - 8 * n_last);
        note->n_words = (uint8_t)((n + 7) / 8);
        note->n = (uint8_t)n;
        note->key_at = (uint8_t)(key.raw - start);
        note->n_key = (uint8_t)key.n_raw;
        note->escaped = key.escaped;
        note->first = first;
    }
    *ret_key = key;
    return true;
}

bool json_next_key_again(struct json_reader *r, const struct json_key_note *note)
{
    const char *at = r->at;
    unsigned last = note->n_words - 1u;
    if (note->n_words == 0 || r->status != ONNXD_OK || (size_t)(r->end - at) < 8 * (size_t)note->n_words)
        return false;
    struct json_level *level = &r->levels[r->depth - 1];
    if (note->first != (level->n == 0)) return false;
    uint64_t word;
    for (unsigned i = 0; i < last; i++, at += 8) {
        memcpy(&word, at, 8);
        if (word != note->words[i]) return false;
    }
    memcpy(&word, at, 8);
    if ((word & note->last_mask) != note->words[last]) return false;
    level->key = (struct json_text){r->at + note->key_at, note->n_key, note->escaped};
    level->n++;
    r->at += note->n;
    return true;
}

static bool read_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return fail_syntax(r, "expected true, false or null");
    r->at += n;
    return true;
}

bool json_read_null(struct json_reader *r)
{
    if (json_peek(r) != JSON_NULL) return fail_kind(r, JSON_NULL);
    return read_word(r, "null");
}

bool json_read_bool(struct json_reader *r, bool *ret)
{
    if (json_peek(r) != JSON_BOOL) return fail_kind(r, JSON_BOOL);
    bool value = *r->at == 't';
    if (!read_word(r, value ? "true" : "false")) return false;
    *ret = value;
    return true;
}

__attribute__((noinline, cold)) static bool fail_number(struct json_reader *r)
{
    enum json_kind got = json_peek(r);
    if (got == JSON_NONE) return false;
    if (got != JSON_NUMBER) return fail_kind(r, JSON_NUMBER);
    const char *at = r->at + (*r->at == '-');
    if (at < r->end && (*at == 'I' || *at == 'N'))
        return fail_syntax(r, "JSON numbers must be finite; NaN and Infinity are none");
    if (at + 1 < r->end && at[0] == '0' && at[1] >= '0' && at[1] <= '9')
        return fail_syntax(r, "a number with a leading zero");
    return fail_syntax(r, "a malformed number");
}

static inline bool read_decimal(struct json_reader *r, struct decimal *ret)
{
    if (r->status != ONNXD_OK) return false;
    skip_blanks(r);
    const char *at = decimal_scan(r->at, r->end, ret);
    if (at == NULL) return fail_number(r);
    r->at = at;
    return true;
}

bool json_read_decimal(struct json_reader *r, struct decimal *ret)
{
    return read_decimal(r, ret);
}

__attribute__((noinline, cold)) static bool fail_range(struct json_reader *r, const struct decimal *d,
                                                       const char *what)
{
    return json_fail(r, ONNXD_ERR_RANGE, "%.*s%s is %s", d->n > 40 ? 40 : (int)d->n, d->text,
                     d->n > 40 ? "..." : "", what);
}

bool json_read_f32(struct json_reader *r, float *ret)
{
    struct decimal d;
    if (!read_decimal(r, &d)) return false;
    float value = decimal_to_f32(&d);
    if (isinf(value)) return fail_range(r, &d, "beyond the range of a 32-bit float");
    *ret = value;
    return true;
}

bool json_read_f64(struct json_reader *r, double *ret)
{
    struct decimal d;
    if (!read_decimal(r, &d)) return false;
    double value = decimal_to_f64(&d);
    if (isinf(value)) return fail_range(r, &d, "beyond the range of a 64-bit float");
    *ret = value;
    return true;
}

bool json_read_i64(struct json_reader *r, int64_t *ret)
{
    struct decimal d;
    if (!read_decimal(r, &d)) return false;
    return decimal_to_i64(&d, ret) || fail_range(r, &d, "no whole number of 64 bits");
}

bool json_read_u64(struct json_reader *r, uint64_t *ret)
{
    struct decimal d;
    if (!read_decimal(r, &d)) return false;
    return decimal_to_u64(&d, ret) || fail_range(r, &d, "no whole number from 0 to 2^64-1");
}

bool json_read_string(struct json_reader *r, struct json_text *ret)
{
    if (r->status != ONNXD_OK) return false;
    skip_blanks(r);
    if (r->at == r->end || *r->at != '"') return fail_kind(r, JSON_STRING);
    const char *fault = NULL;
    const char *at = json_text_scan(r->at + 1, r->end, ret, &fault);
    r->at = at;
    if (fault != NULL) return fail_syntax(r, fault);
    return true;
}

size_t json_read_f32_elements(struct json_reader *r, float *out, size_t max)
{
    size_t n = 0;
    while (n < max && json_next_element(r)) {
        struct decimal d;
        if (!read_decimal(r, &d)) return n;
        float value = decimal_to_f32(&d);
        if (__builtin_expect(isinf(value), 0)) {
            fail_range(r, &d, "beyond the range of a 32-bit float");
            return n;
        }
        out[n++] = value;
    }
    return n;
}

bool json_skip(struct json_reader *r)
{
    uint32_t base = r->depth;
    bool more = true; /* a value stands at r->at */
    do {
        if (more) {
            struct json_text text;
            struct decimal number;
            bool truth;
            switch (json_peek(r)) {
            case JSON_NULL: json_read_null(r); break;
            case JSON_BOOL: json_read_bool(r, &truth); break;
            case JSON_NUMBER: read_decimal(r, &number); break;
            case JSON_STRING: json_read_string(r, &text); break;
            case JSON_ARRAY:
            case JSON_OBJECT: push(r, *r->at == '{'); break;
            case JSON_NONE: break;
            }
        }
        if (r->status != ONNXD_OK) return false;
        if (r->depth == base) return true;
        struct json_text key;
        more = r->levels[r->depth - 1].is_object ? json_next_key(r, &key) : json_next_element(r);
    } while (r->depth > base);
    return r->status == ONNXD_OK;
}

onnxd_status json_finish(struct json_reader *r)
{
    if (r->status != ONNXD_OK) return r->status;
    skip_blanks(r);
    if (r->at != r->end) fail_token(r, "the end of the text");
    return r->status;
}
