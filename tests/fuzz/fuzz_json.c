/* Any bytes through the JSON reader; what it takes is written again and must read back the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

static void copy_value(struct json_reader *r, struct json_writer *w)
{
    struct json_text text;
    struct decimal number;
    bool truth;
    switch (json_peek(r)) {
    case JSON_NULL:
        if (json_read_null(r)) json_null(w);
        break;
    case JSON_BOOL:
        if (json_read_bool(r, &truth)) json_bool(w, truth);
        break;
    case JSON_NUMBER:
        if (json_read_decimal(r, &number)) json_f64(w, decimal_to_f64(&number));
        break;
    case JSON_STRING:
        if (json_read_string(r, &text)) {
            char *decoded = malloc(text.n_raw + 1);
            json_string_n(w, decoded, json_text_decode(&text, decoded));
            free(decoded);
        }
        break;
    case JSON_ARRAY:
        json_begin_array(w);
        if (json_enter_array(r))
            while (json_next_element(r)) copy_value(r, w);
        json_end_array(w);
        break;
    case JSON_OBJECT:
        json_begin_object(w);
        if (json_enter_object(r))
            while (json_next_key(r, &text)) {
                char *decoded = malloc(text.n_raw + 1);
                size_t n = json_text_decode(&text, decoded);
                if (!json_text_equal(&text, decoded, n)) abort();
                json_key_n(w, decoded, n);
                free(decoded);
                copy_value(r, w);
            }
        json_end_object(w);
        break;
    case JSON_NONE: break;
    }
}

/* The text as this writer writes it; false when it is no JSON. */
static bool rewrite(const char *text, size_t n, struct buf *out)
{
    struct json_reader r;
    struct json_writer w;
    onnxd_error err;
    json_reader_init(&r, text, n, &err);
    json_writer_init(&w, out, JSON_NULL_FOR_NON_FINITE);
    copy_value(&r, &w);
    return json_finish(&r) == ONNXD_OK && json_writer_finish(&w, &err) == ONNXD_OK;
}

static void check_numbers(const char *text, size_t n)
{
    char copy[64];
    struct decimal d;
    const char *end = decimal_scan(text, text + n, &d);
    if (end == NULL || end - text >= (long)sizeof copy) return;
    memcpy(copy, text, (size_t)(end - text));
    copy[end - text] = 0;
    double want = strtod(copy, NULL), got = decimal_to_f64(&d);
    float want32 = strtof(copy, NULL), got32 = decimal_to_f32(&d);
    if (memcmp(&want, &got, sizeof want) != 0 || memcmp(&want32, &got32, sizeof want32) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf once, twice;
    buf_init(&once, 64 << 20);
    buf_init(&twice, 64 << 20);
    struct json_reader r;
    json_reader_init(&r, (const char *)data, n, NULL);
    json_skip(&r);
    bool skipped = json_finish(&r) == ONNXD_OK;
    if (rewrite((const char *)data, n, &once) != skipped) abort();
    if (skipped) {
        if (!rewrite(once.data, once.n, &twice)) abort();
        if (once.n != twice.n || memcmp(once.data, twice.data, once.n) != 0) abort();
    }
    check_numbers((const char *)data, n);
    buf_done(&once);
    buf_done(&twice);
    return 0;
}
