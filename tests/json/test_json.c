#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/buf.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

/* Skips one value placed against an unreadable page, so that a read past the text faults. */
static onnxd_status check(const char *text, size_t n, onnxd_error *err)
{
    char *guarded = guarded_alloc(n);
    memcpy(guarded, text, n);
    struct json_reader r;
    json_reader_init(&r, guarded, n, err);
    json_skip(&r);
    return json_finish(&r);
}

static void valid_texts_are_taken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        " -0.5e+10 ",
        "\"\"",
        "\"a\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,2,[3,{\"a\":[]}]]",
        "{\"a\":1,\"a\":2,\"\":{}}",
        "true",
        "false",
        "null",
        "\t[\r\n1 ]\n",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
        "1e400",
        "\"\x7f\"",
    };
    onnxd_error err;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_ok(check(texts[i], strlen(texts[i]), &err), err);
}

static void malformed_texts_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "expected a value, but the text ends"},
        {"[1,2", "but the text ends"},
        {"[1,]", "[1]: expected a value, got ']' (byte 3)"},
        {"[1 2]", "expected ',' or ']', got '2' (byte 3)"},
        {"{\"a\":1,}", "expected a key in quotes, got '}' (byte 7)"},
        {"{\"a\" 1}", "expected ':' behind the key, got '1' (byte 5)"},
        {"{a:1}", "expected a key in quotes, got 'a' (byte 1)"},
        {"{\"a\":{\"b\":[0,01]}}", "a.b[1]: a number with a leading zero (byte 13)"},
        {"[NaN]", "[0]: JSON numbers must be finite"},
        {"[-Infinity]", "[0]: JSON numbers must be finite"},
        {"[1.]", "[0]: a malformed number (byte 1)"},
        {"1 2", "expected the end of the text, got '2' (byte 2)"},
        {"nul", "expected true, false or null"},
        {"\"abc", "a string without its closing quote"},
        {"\"a\nb\"", "a control character in a string"},
        {"\"\\x\"", "an unknown escape in a string (byte 1)"},
        {"\"\\", "an unknown escape"},
        {"\"\\u12", "\\u escape that is no character"},
        {"\"\\ud800\"", "\\u escape that is no character"},
        {"\"\\ud800\\u0041\"", "\\u escape that is no character"},
        {"\"\\udc00\"", "\\u escape that is no character"},
        {"\"\xff\"", "a string that is not UTF-8 (byte 1)"},
        {"\"\xc0\x80\"", "not UTF-8"},
        {"\"\xe0\x9f\xbf\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xf0\x8f\xbf\xbf\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xe2\x82\"", "not UTF-8"},
        {"\xef\xbb\xbf[]", "got byte 0xef (byte 0)"},
        {"// c\n1", "expected a value, got '/'"},
    };
    onnxd_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(check(cases[i].text, strlen(cases[i].text), &err), ONNXD_ERR_FORMAT, err,
                     cases[i].message);
    assert_fails(check("1\0", 2, &err), ONNXD_ERR_FORMAT, err, "got byte 0x00");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[200];
    onnxd_error err;
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert_ok(check(text, 2 * JSON_MAX_DEPTH, &err), err);
    memset(text, '[', sizeof text);
    assert_fails(check(text, sizeof text, &err), ONNXD_ERR_LIMIT, err, "nested deeper");
}

/* Every prefix of a valid text is malformed, and says so without reading past its end. */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1.5e3,true,null,\"x\\u00e9\\ud83d\\ude00\xe2\x82\xac\"],\"b\":{\"c\":-0}}";
    onnxd_error err;
    for (size_t n = 0; n < sizeof text - 1; n++) assert_true(check(text, n, &err) == ONNXD_ERR_FORMAT);
    assert_ok(check(text, sizeof text - 1, &err), err);
}

static void values_are_pulled_by_kind(void **state)
{
    (void)state;
    static const char text[] = "{\"f\\u0065atures\":[1,2.5,-3],\"n\":-7,\"u\":18446744073709551615,\"t\":"
                               "true,\"z\":null,\"s\":\"\\u20ac\\t\"}";
    struct json_reader r;
    struct json_text key, string;
    onnxd_error err;
    json_reader_init(&r, text, sizeof text - 1, &err);
    assert_true(json_peek(&r) == JSON_OBJECT && json_enter_object(&r));
    assert_true(json_next_key(&r, &key) && json_text_is(&key, "features") && !json_text_is(&key, "feature"));
    assert_false(json_text_is(&key, "featuresx"));
    float values[3];
    assert_true(json_enter_array(&r));
    assert_int_equal(json_read_f32_elements(&r, values, 3), 3);
    assert_false(json_next_element(&r));
    assert_true(values[0] == 1 && values[1] == 2.5f && values[2] == -3);
    int64_t i;
    uint64_t u;
    bool truth;
    assert_true(json_next_key(&r, &key) && json_read_i64(&r, &i) && i == -7);
    assert_true(json_next_key(&r, &key) && json_read_u64(&r, &u) && u == UINT64_MAX);
    assert_true(json_next_key(&r, &key) && json_read_bool(&r, &truth) && truth);
    assert_true(json_next_key(&r, &key) && json_read_null(&r));
    assert_true(json_next_key(&r, &key) && json_read_string(&r, &string));
    char decoded[32];
    assert_int_equal(json_text_decode(&string, decoded), 4);
    assert_memory_equal(decoded, "\xe2\x82\xac\t", 4);
    assert_false(json_next_key(&r, &key));
    assert_ok(json_finish(&r), err);
}

static void wrong_kinds_and_ranges_name_the_path(void **state)
{
    (void)state;
    onnxd_error err;
    struct json_reader r;
    struct json_text key;
    float x = 5;
    int64_t i = 5;
    static const char text[] = "{\"a\":[1,\"x\"]}";
    json_reader_init(&r, text, sizeof text - 1, &err);
    json_enter_object(&r);
    json_next_key(&r, &key);
    json_enter_array(&r);
    float values[2];
    assert_int_equal(json_read_f32_elements(&r, values, 2), 1);
    assert_string_equal(err.message, "a[1]: expected a number, got a string");
    assert_false(json_read_f32(&r, &x)); /* failures stick */
    json_reader_init(&r, "1e39", 4, &err);
    assert_false(json_read_f32(&r, &x));
    assert_true(json_finish(&r) == ONNXD_ERR_RANGE);
    assert_string_equal(err.message, "1e39 is beyond the range of a 32-bit float");
    json_reader_init(&r, "1.5", 3, &err);
    assert_false(json_read_i64(&r, &i));
    assert_string_equal(err.message, "1.5 is no whole number of 64 bits");
    assert_true(x == 5 && i == 5);
}

/* Reads {key: number, ...} with notes of each place; returns the sum, or -1 when the text is refused. */
static double sum_noted(const char *text, struct json_key_note *notes, int *n_again)
{
    struct json_reader r;
    struct json_text key;
    double sum = 0, x = 0;
    json_reader_init(&r, text, strlen(text), NULL);
    json_enter_object(&r);
    for (int place = 0; place < 4; place++) {
        if (json_next_key_again(&r, &notes[place]))
            ++*n_again;
        else if (!json_next_key_noted(&r, &key, &notes[place]))
            break;
        if (json_read_f64(&r, &x)) sum += x;
    }
    return json_finish(&r) == ONNXD_OK ? sum : -1;
}

static void keys_written_again_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double sum;
        int n_again;
    } texts[] = {
        {"{\"a\":1,\"a much longer name\":2,\"c\":3}", 6, 0},
        {"{\"a\":10,\"a much longer name\":2,\"c\":3         }", 15, 3}, /* room behind the last */
        {"{\"a\":10,\"a much longer name\":2,\"c\":3}", 15, 2}, /* the last stands too close to the end */
        {"{\"a\":10,\"a much longer namf\":2,\"c\":3}", 15, 1},
        {"{\"a\":10,\"a much longer nam\":2,\"c\":3}", 15, 1},
        {"{ \"a\" : 10,\n \"\\u0061\" : 2}        ", 12, 0},
        {"{ \"a\" : 20,\n \"\\u0061\" : 2}        ", 22, 2},
        {"{ \"a\" : 20 \"a\" : 2}            ", -1, 1},
        {"{,\n \"\\u0061\" : 2}            ", -1, 0},
    };
    struct json_key_note notes[4] = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int n_again = 0;
        double sum = sum_noted(texts[i].text, notes, &n_again);
        if (sum != texts[i].sum || n_again != texts[i].n_again)
            fail_msg("%s: %g, %d keys again", texts[i].text, sum, n_again);
    }
    /* A note of a later place does not fit the first, whatever the caller does. */
    struct json_reader r;
    struct json_text key;
    double x;
    const char *text = "{\"a\":1,\"b\":2          }", *fake = "{,\"b\":2          }";
    json_reader_init(&r, text, strlen(text), NULL);
    assert_true(json_enter_object(&r) && json_next_key(&r, &key) && json_read_f64(&r, &x));
    assert_true(json_next_key_noted(&r, &key, &notes[0]));
    json_reader_init(&r, fake, strlen(fake), NULL);
    assert_true(json_enter_object(&r) && !json_next_key_again(&r, &notes[0]));
    /* Faults name a key that was known. */
    onnxd_error err;
    const char *bad = "{\"a\":1,\"b\":true      }";
    json_reader_init(&r, bad, strlen(bad), &err);
    assert_true(json_enter_object(&r) && json_next_key(&r, &key) && json_read_f64(&r, &x));
    assert_true(json_next_key_again(&r, &notes[0]) && !json_read_f64(&r, &x));
    assert_string_equal(err.message, "b: expected a number, got true or false");
}

static void writer_places_commas_and_escapes(void **state)
{
    (void)state;
    struct buf buf;
    struct json_writer w;
    onnxd_error err;
    buf_init(&buf, 1 << 20);
    json_writer_init(&w, &buf, JSON_REFUSE_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "a\"b");
    json_begin_array(&w);
    json_i64(&w, -5);
    json_f32(&w, 0.1f);
    json_string(&w, "\x01\n\\\xe2\x82\xac\xff/");
    json_null(&w);
    json_begin_object(&w);
    json_end_object(&w);
    json_begin_array(&w);
    json_end_array(&w);
    json_end_array(&w);
    json_key(&w, "t");
    json_fixed(&w, 0.0305, 3);
    json_key(&w, "u");
    json_fixed(&w, -2.0, 3);
    json_key(&w, "v");
    json_fixed(&w, 12.0405, 4);
    json_key(&w, "w");
    json_bool(&w, false);
    json_end_object(&w);
    assert_ok(json_writer_finish(&w, &err), err);
    buf_append_char(&buf, 0);
    assert_string_equal(buf.data,
                        "{\"a\\\"b\":[-5,0.1,\"\\u0001\\n\\\\\xe2\x82\xac\xef\xbf\xbd/\",null,{},[]],"
                        "\"t\":0.031,\"u\":-2,\"v\":12.0405,\"w\":false}");
    buf_done(&buf);
}

static void writer_tells_of_full_buffers_and_refused_numbers(void **state)
{
    (void)state;
    struct buf buf;
    struct json_writer w;
    onnxd_error err;
    buf_init(&buf, 64);
    json_writer_init(&w, &buf, JSON_REFUSE_NON_FINITE);
    json_f32(&w, NAN);
    assert_fails(json_writer_finish(&w, &err), ONNXD_ERR_RANGE, err, "NaN");
    buf_reset(&buf);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    json_f64(&w, INFINITY);
    assert_ok(json_writer_finish(&w, &err), err);
    assert_memory_equal(buf.data, "null", 4);
    for (int i = 0; i < 100; i++) json_string(&w, "0123456789");
    assert_fails(json_writer_finish(&w, &err), ONNXD_ERR_LIMIT, err, "64 bytes");
    buf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_texts_are_taken),
        cmocka_unit_test(malformed_texts_are_refused_with_their_place),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(values_are_pulled_by_kind),
        cmocka_unit_test(wrong_kinds_and_ranges_name_the_path),
        cmocka_unit_test(keys_written_again_are_known),
        cmocka_unit_test(writer_places_commas_and_escapes),
        cmocka_unit_test(writer_tells_of_full_buffers_and_refused_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
