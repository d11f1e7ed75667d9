#include "json/json_writer.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "json/json_text.h"
#include "json/shortest.h"

/* Room for a comma and `n` more bytes; sets the comma flag for what follows. */
static inline char *open_value(struct json_writer *w, size_t n)
{
    if (!buf_reserve(w->buf, n + 1)) return NULL;
    if (w->comma) w->buf->data[w->buf->n++] = ',';
    w->comma = true;
    return w->buf->data + w->buf->n;
}

static void put_char(struct json_writer *w, char c, bool comma_after)
{
    if (open_value(w, 1) != NULL) w->buf->data[w->buf->n++] = c;
    w->comma = comma_after;
}

void json_begin_object(struct json_writer *w)
{
    put_char(w, '{', false);
}

void json_begin_array(struct json_writer *w)
{
    put_char(w, '[', false);
}

void json_end_object(struct json_writer *w)
{
    buf_append_char(w->buf, '}');
    w->comma = true;
}

void json_end_array(struct json_writer *w)
{
    buf_append_char(w->buf, ']');
    w->comma = true;
}

void json_raw(struct json_writer *w, const char *json, size_t n)
{
    char *out = open_value(w, n);
    if (out == NULL) return;
    memcpy(out, json, n);
    w->buf->n += n;
}

static size_t escape_char(unsigned char c, char *out)
{
    static const char hex[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = c == 0 ? NULL : strchr(from, c);
    out[0] = '\\';
    if (found != NULL) {
        out[1] = to[found - from];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

void json_string_n(struct json_writer *w, const char *text, size_t n)
{
    if (n > SIZE_MAX / 8) {
        w->buf->failed = true;
        return;
    }
    /* Usually nothing needs escaping; only a byte that does asks for more room. */
    if (open_value(w, n + 2) == NULL) return;
    struct buf *buf = w->buf;
    buf->data[buf->n++] = '"';
    for (const char *at = text, *end = text + n; at < end;) {
        unsigned char c = (unsigned char)*at;
        if (!buf_reserve(buf, (size_t)(end - at) + 7)) return;
        if (c >= 0x80) {
            size_t length = utf8_length(at, end);
            memcpy(buf->data + buf->n, length > 0 ? at : "\xef\xbf\xbd", length > 0 ? length : 3);
            buf->n += length > 0 ? length : 3;
            at += length > 0 ? length : 1;
            continue;
        }
        at++;
        if (c < 0x20 || c == '"' || c == '\\')
            buf->n += escape_char(c, buf->data + buf->n);
        else
            buf->data[buf->n++] = (char)c;
    }
    buf_append_char(buf, '"');
}

void json_string(struct json_writer *w, const char *text)
{
    if (text == NULL)
        json_null(w);
    else
        json_string_n(w, text, strlen(text));
}

void json_key_n(struct json_writer *w, const char *key, size_t n)
{
    json_string_n(w, key, n);
    buf_append_char(w->buf, ':');
    w->comma = false;
}

void json_key(struct json_writer *w, const char *key)
{
    json_key_n(w, key, strlen(key));
}

void json_bool(struct json_writer *w, bool value)
{
    json_raw(w, value ? "true" : "false", value ? 4 : 5);
}

void json_null(struct json_writer *w)
{
    json_raw(w, "null", 4);
}

void json_i64(struct json_writer *w, int64_t value)
{
    char *out = open_value(w, SHORTEST_MAX);
    if (out != NULL) w->buf->n += shortest_i64(value, out);
}

void json_u64(struct json_writer *w, uint64_t value)
{
    char *out = open_value(w, SHORTEST_MAX);
    if (out != NULL) w->buf->n += shortest_u64(value, out);
}

static void put_non_finite(struct json_writer *w)
{
    if (w->non_finite == JSON_REFUSE_NON_FINITE) w->refused = true;
    json_null(w);
}

void json_f32(struct json_writer *w, float value)
{
    if (!isfinite(value)) {
        put_non_finite(w);
        return;
    }
    char *out = open_value(w, SHORTEST_MAX);
    if (out != NULL) w->buf->n += shortest_f32(value, out);
}

void json_f64(struct json_writer *w, double value)
{
    if (!isfinite(value)) {
        put_non_finite(w);
        return;
    }
    char *out = open_value(w, SHORTEST_MAX);
    if (out != NULL) w->buf->n += shortest_f64(value, out);
}

void json_fixed(struct json_writer *w, double value, int places)
{
    static const uint32_t pow10[] = {1,      10,      100,      1000,      10000,
                                     100000, 1000000, 10000000, 100000000, 1000000000};
    if (!(fabs(value) <= 1e9) || places < 0 || places > 9) {
        json_f64(w, value);
        return;
    }
    uint32_t scale = pow10[places];
    uint64_t scaled = (uint64_t)(fabs(value) * scale + 0.5);
    char *out = open_value(w, SHORTEST_MAX);
    if (out == NULL) return;
    char *at = out;
    if (value < 0 && scaled > 0) *at++ = '-';
    at += shortest_u64(scaled / scale, at);
    uint64_t fraction = scaled % scale;
    if (fraction > 0) {
        *at++ = '.';
        for (scale /= 10; fraction > 0; scale /= 10) {
            *at++ = (char)('0' + fraction / scale);
            fraction %= scale;
        }
    }
    w->buf->n += (size_t)(at - out);
}

void json_f32_array(struct json_writer *w, const float *values, size_t n)
{
    json_begin_array(w);
    for (size_t i = 0; i < n; i++) json_f32(w, values[i]);
    json_end_array(w);
}

onnxd_status json_writer_finish(const struct json_writer *w, onnxd_error *err)
{
    if (w->buf->failed)
        return error_set(err, ONNXD_ERR_LIMIT, "the JSON text would pass %zu bytes", w->buf->max);
    if (w->refused)
        return error_set(err, ONNXD_ERR_RANGE, "a number is NaN or infinite, which JSON cannot say");
    return ONNXD_OK;
}
