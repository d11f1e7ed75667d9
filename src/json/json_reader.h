/* json/json_reader.h - read JSON (RFC 8259) by pulling values out of a byte span.
 *
 *     struct json_reader r;
 *     struct json_text key;
 *     json_reader_init(&r, body, n, err);
 *     json_enter_object(&r);
 *     while (json_next_key(&r, &key))
 *         if (json_text_is(&key, "threshold")) json_read_f64(&r, &threshold);
 *         else json_fail(&r, ONNXD_ERR_FORMAT, "unknown field");
 *     return json_finish(&r);                      // also refuses text behind the value
 *
 * Failures stick: after the first one every call returns false (JSON_NONE, 0) at once and changes
 * nothing, so a caller may check at the end. The message names the path of the value, as in
 * "inputs[0].data[12]: ...", and for malformed text the byte offset.
 *
 * Strict: no comments, trailing commas, leading zeros, NaN or infinity; strings must be UTF-8 and their
 * \u escapes whole characters (no lone surrogates). Numbers beyond the asked type's range are refused,
 * those too small for it become zero. Keys given twice are handed to the caller twice; one that reads an
 * object must refuse them itself (json_skip does not look).
 *
 * Ownership: everything borrowed from the bytes, which must outlive the reader. Allocates nothing.
 * Threads:   one at a time. */
#ifndef JSON_JSON_READER_H
#define JSON_JSON_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/decimal.h"
#include "onnxd/status.h"

#define JSON_MAX_DEPTH 32

enum json_kind { JSON_NONE, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_text { /* a checked string, still as written between its quotes */
    const char *raw;
    size_t n_raw; /* the decoded text is at most as long */
    bool escaped; /* false: raw is the text */
};

struct json_level {
    struct json_text key; /* of the member being read; objects only */
    uint64_t n;           /* members or elements begun */
    bool is_object;
};

enum { JSON_NOTE_WORDS = 6 };

struct json_key_note { /* zeroed: fits nothing */
    uint64_t words[JSON_NOTE_WORDS], last_mask;
    uint8_t n_words, n, key_at, n_key;
    bool escaped, first; /* first: of its object, without a comma */
};

/* A copy taken before a json_skip reads the same value again. */
struct json_reader {
    const char *start, *at, *end;
    onnxd_error *err; /* may be NULL */
    onnxd_status status;
    uint32_t depth;
    struct json_level levels[JSON_MAX_DEPTH]; /* [depth] used */
};

void json_reader_init(struct json_reader *r, const char *bytes, size_t n, onnxd_error *err);

/* The kind of the value to be read next; JSON_NONE after a failure, or at text that starts none. */
enum json_kind json_peek(struct json_reader *r);

/* Containers: enter, then next until it returns false, at the end of the container or on a failure.
 * Every value announced by next must be read (or skipped) before the next call. */
bool json_enter_object(struct json_reader *r);
bool json_next_key(struct json_reader *r, struct json_text *ret_key);
/* The same for objects that come again and again with the same keys in the same order. The first notes how
 * the next key is written, from the end of the value before it to its colon; the second takes the next key
 * when it is written just like that, and reads nothing otherwise. */
bool json_next_key_noted(struct json_reader *r, struct json_text *ret_key, struct json_key_note *note);
bool json_next_key_again(struct json_reader *r, const struct json_key_note *note);
bool json_enter_array(struct json_reader *r);
bool json_next_element(struct json_reader *r);

bool json_read_null(struct json_reader *r);
bool json_read_bool(struct json_reader *r, bool *ret);
bool json_read_decimal(struct json_reader *r, struct decimal *ret);
bool json_read_f32(struct json_reader *r, float *ret);
bool json_read_f64(struct json_reader *r, double *ret);
bool json_read_i64(struct json_reader *r, int64_t *ret); /* whole numbers, 4.0 and 4e2 included */
bool json_read_u64(struct json_reader *r, uint64_t *ret);
bool json_read_string(struct json_reader *r, struct json_text *ret);
bool json_skip(struct json_reader *r); /* any value, checked as strictly as when read */

/* Elements of an array of numbers that was entered, straight into out[0..max), up to the array's end or
 * `max` of them. Returns how many were stored; the array's end is then told by json_next_element. */
size_t json_read_f32_elements(struct json_reader *r, float *out, size_t max);

/* ONNXD_OK when the one value was read and only blanks follow, else the failure. */
onnxd_status json_finish(struct json_reader *r);

/* Fails with the path of the value last announced in front of the message. Keeps an earlier failure.
 * Always returns false. */
__attribute__((format(printf, 3, 4))) bool json_fail(struct json_reader *r, onnxd_status status,
                                                     const char *format, ...);

bool json_text_is(const struct json_text *text, const char *expected);
bool json_text_equal(const struct json_text *text, const char *expected, size_t n);

/* Decodes into out, which has room for text->n_raw bytes; returns the length. */
size_t json_text_decode(const struct json_text *text, char *out);

const char *json_kind_name(enum json_kind kind); /* "a number", "an array", ... for messages */

#endif
