/* json/json_writer.h - append JSON to a buffer, compact, commas placed by the writer.
 *
 *     struct json_writer w;
 *     json_writer_init(&w, &buf, JSON_REFUSE_NON_FINITE);
 *     json_begin_object(&w);
 *     json_key(&w, "ctr");
 *     json_f32(&w, 0.00042f);
 *     json_end_object(&w);
 *     return json_writer_finish(&w, err);
 *
 * Floats are the shortest text that reads back as the same bits (json/shortest.h). JSON has no NaN and
 * no infinity: they are refused or become null, as asked for. Strings are escaped where they must be;
 * bytes that are not UTF-8 become U+FFFD, so that the output is always valid JSON.
 *
 * Failures (a full buffer, a refused number) stick and are told by json_writer_finish.
 * Ownership: borrows the buffer. Threads: one at a time. */
#ifndef JSON_JSON_WRITER_H
#define JSON_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "onnxd/status.h"

enum json_non_finite { JSON_REFUSE_NON_FINITE, JSON_NULL_FOR_NON_FINITE };

struct json_writer {
    struct buf *buf;
    enum json_non_finite non_finite;
    bool comma;   /* the next key or value needs one in front */
    bool refused; /* a number that JSON cannot say was met */
};

static inline void json_writer_init(struct json_writer *w, struct buf *buf, enum json_non_finite non_finite)
{
    *w = (struct json_writer){.buf = buf, .non_finite = non_finite};
}

void json_begin_object(struct json_writer *w);
void json_end_object(struct json_writer *w);
void json_begin_array(struct json_writer *w);
void json_end_array(struct json_writer *w);

void json_key(struct json_writer *w, const char *key);
void json_key_n(struct json_writer *w, const char *key, size_t n);
void json_string(struct json_writer *w, const char *text); /* NULL writes null */
void json_string_n(struct json_writer *w, const char *text, size_t n);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_i64(struct json_writer *w, int64_t value);
void json_u64(struct json_writer *w, uint64_t value);
void json_f32(struct json_writer *w, float value);
void json_f64(struct json_writer *w, double value);

/* Rounded to 0..9 places behind the point, trailing zeros dropped: times and ratios for people. Beyond
 * 1e9 in magnitude it is json_f64. */
void json_fixed(struct json_writer *w, double value, int places);

void json_f32_array(struct json_writer *w, const float *values, size_t n);

/* Text that is one JSON value already, written as it is. */
void json_raw(struct json_writer *w, const char *json, size_t n);

/* ONNXD_OK; ONNXD_ERR_RANGE when a number was refused; ONNXD_ERR_LIMIT when the buffer was full. */
ONNXD_MUST_USE onnxd_status json_writer_finish(const struct json_writer *w, onnxd_error *err);

#endif
