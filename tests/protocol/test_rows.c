/* Bodies of /predict and /infer. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "protocol/infer_body.h"
#include "protocol/predict_body.h"
#include "protocol/row_client.h"
#include "protocol/v1_body.h"

#define CAPACITY 8

struct setup {
    struct protocol_schema schema;
    struct protocol_rows rows;
    struct arena arena;
    void *data[4], *scratch;
};

static void setup_init(struct setup *s, const onnxd_io_info *inputs, uint32_t n_inputs,
                       const onnxd_io_info *outputs, uint32_t n_outputs,
                       const struct protocol_features *features)
{
    onnxd_error err;
    assert_ok(protocol_schema_init(&s->schema, inputs, n_inputs, outputs, n_outputs, features, &err), err);
    arena_init(&s->arena, 1 << 16);
    for (uint32_t i = 0; i < n_inputs; i++) {
        s->data[i] = calloc(CAPACITY, s->schema.inputs[i].row_bytes);
        assert_non_null(s->data[i]);
    }
    s->rows = (struct protocol_rows){
        .data = s->data, .capacity = CAPACITY, .max_rows = 1000, .arena = &s->arena};
    assert_ok(protocol_rows_scratch(&s->schema, &s->rows, &s->scratch, &err), err);
}

static void setup_done(struct setup *s)
{
    for (uint32_t i = 0; i < s->schema.n_inputs; i++) free(s->data[i]);
    free(s->scratch);
    protocol_schema_done(&s->schema);
    arena_done(&s->arena);
}

static const onnxd_io_info features3 = {
    .name = "features", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 3}};
static const onnxd_io_info ctr = {.name = "ctr", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}};
static const onnxd_io_info mixed[4] = {
    {.name = "ids", .type = ONNXD_INT64, .rank = 2, .dims = {-1, 2}},
    {.name = "image", .type = ONNXD_UINT8, .rank = 3, .dims = {-1, 2, 2}},
    {.name = "flag", .type = ONNXD_BOOL, .rank = 1, .dims = {-1}},
    {.name = "word", .type = ONNXD_STRING, .rank = 2, .dims = {-1, 1}},
};

static onnxd_status predict(struct setup *s, const char *body, bool *many, onnxd_error *err)
{
    size_t n = strlen(body);
    char *guarded = guarded_alloc(n);
    memcpy(guarded, body, n);
    return predict_request_read(&s->schema, guarded, n, &s->rows, many, err);
}

static void every_form_of_a_row_is_taken(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool many;
        uint32_t n;
        float last[3];
    } cases[] = {
        {"{\"features\":[1,2.5,-3e2]}", false, 1, {1, 2.5f, -300}},
        {" { \"features\" : [ 1 , 2 , 3 ] } ", false, 1, {1, 2, 3}},
        {"{\"inputs\":{\"features\":[4,5,6]}}", false, 1, {4, 5, 6}},
        {"{\"instances\":[[1,2,3],[4,5,6]]}", true, 2, {4, 5, 6}},
        {"{\"instances\":[{\"features\":[1,2,3]},{\"inputs\":{\"features\":[4,5,7]}},[7,8,9]]}",
         true,
         3,
         {7, 8, 9}},
        {"{\"f\\u0065atures\":[1,2,3]}", false, 1, {1, 2, 3}},
    };
    struct setup s;
    onnxd_error err;
    setup_init(&s, &features3, 1, &ctr, 1, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool many = !cases[i].many;
        s.rows.n = 2; /* rows of an earlier request stay */
        assert_ok(predict(&s, cases[i].body, &many, &err), err);
        assert_int_equal(many, cases[i].many);
        assert_int_equal(s.rows.n, 2 + cases[i].n);
        assert_memory_equal((float *)s.data[0] + (s.rows.n - 1) * 3, cases[i].last, sizeof cases[i].last);
    }
    setup_done(&s);
}

static void faults_name_the_field_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        onnxd_status status;
        const char *body, *message;
    } cases[] = {
        {ONNXD_ERR_SHAPE, "{\"features\":[1,2]}", "features: expected 3 numbers, got 2"},
        {ONNXD_ERR_SHAPE, "{\"features\":[1,2,3,4,5]}", "features: expected 3 numbers, got 5"},
        {ONNXD_ERR_SHAPE, "{\"instances\":[[1,2,3],[1,2,3,4]]}", "instances[1]: expected 3 numbers, got 4"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,NaN,3]}", "features[1]: JSON numbers must be finite"},
        {ONNXD_ERR_RANGE, "{\"features\":[1,1e39,3]}", "features[1]: 1e39 is beyond the range"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,\"2\",3]}", "features[1]: expected a number, got a string"},
        {ONNXD_ERR_FORMAT, "{\"features\":{}}", "features: expected an array, got an object"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,2,null]}", "features[2]: expected a number, got null"},
        {ONNXD_ERR_NOT_FOUND, "{\"feature\":[1,2,3]}", "feature: unknown field; expected features, inputs"},
        {ONNXD_ERR_NOT_FOUND, "{\"inputs\":{\"x\":[1,2,3]}}",
         "inputs.x: no such input; the model has: features"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,2,3],\"features\":[1,2,3]}", "features: given twice"},
        {ONNXD_ERR_NOT_FOUND, "{\"instances\":[[1,2,3]],\"x\":1}", "x: unknown field beside instances"},
        {ONNXD_ERR_NOT_FOUND, "{\"features\":[1,2,3],\"instances\":[]}", "instances: unknown field"},
        {ONNXD_ERR_FORMAT, "{\"instances\":[]}", "expected at least one row"},
        {ONNXD_ERR_FORMAT, "{}", "features is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":{}}", "features is missing"},
        {ONNXD_ERR_FORMAT, "[1,2,3]", "expected an object, got an array"},
        {ONNXD_ERR_FORMAT, "", "expected a value, but the text ends"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,2,3]}x", "expected the end of the text, got 'x'"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1,2,3", "but the text ends"},
        {ONNXD_ERR_LIMIT,
         "{\"instances\":[[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3],[1,2,3]]}",
         "instances[8]: no room for more than 8 rows"},
    };
    struct setup s;
    onnxd_error err;
    setup_init(&s, &features3, 1, &ctr, 1, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool many = true;
        s.rows.n = 0;
        onnxd_status status = predict(&s, cases[i].body, &many, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", cases[i].body, onnxd_status_name(status), err.message);
        assert_int_equal(s.rows.n, 0);
        assert_true(many);
    }
    s.rows.max_rows = 1;
    bool many;
    assert_fails(predict(&s, "{\"instances\":[[1,2,3],[1,2,3]]}", &many, &err), ONNXD_ERR_LIMIT, err,
                 "more than 1 rows in one request");
    setup_done(&s);
}

static void inputs_of_all_kinds_go_by_name(void **state)
{
    (void)state;
    struct setup s;
    onnxd_error err;
    bool many;
    setup_init(&s, mixed, 4, &ctr, 1, NULL);
    assert_ok(
        predict(&s,
                "{\"inputs\":{\"word\":[\"a\\u00e9\"],\"image\":[[1,2],[3,255]],\"flag\":true,\"ids\":[-5,"
                "9223372036854775807]}}",
                &many, &err),
        err);
    assert_ok(predict(&s, "{\"flag\":[false],\"image\":[4,5,6,7],\"ids\":[1.0,2e1],\"word\":\"plain\"}",
                      &many, &err),
              err);
    assert_int_equal(s.rows.n, 2);
    const int64_t *ids = s.data[0];
    assert_true(ids[0] == -5 && ids[1] == INT64_MAX && ids[2] == 1 && ids[3] == 20);
    assert_memory_equal(s.data[1], "\x01\x02\x03\xff\x04\x05\x06\x07", 8);
    assert_memory_equal(s.data[2], "\x01\x00", 2);
    const onnxd_string *words = s.data[3];
    assert_int_equal(words[0].len, 3);
    assert_memory_equal(words[0].data, "a\xc3\xa9", 3);
    assert_int_equal(words[1].len, 5);
    static const struct {
        onnxd_status status;
        const char *body, *message;
    } cases[] = {
        {ONNXD_ERR_RANGE, "{\"image\":[1,2,3,256]}", "image[3]: 256 is out of the range of uint8 (0..255)"},
        {ONNXD_ERR_RANGE, "{\"image\":[[1,2],[-1,2]]}", "image[1][0]: -1 is no whole number from 0"},
        {ONNXD_ERR_RANGE, "{\"ids\":[1.5,2]}", "ids[0]: 1.5 is no whole number"},
        {ONNXD_ERR_SHAPE, "{\"image\":[[1,2],[3]]}", "image[1]: expected 2 numbers, got 1"},
        {ONNXD_ERR_SHAPE, "{\"image\":[[1,2],[3,4],[5,6]]}", "image: expected 2 arrays, got 3"},
        {ONNXD_ERR_FORMAT, "{\"flag\":1}", "flag: expected true or false, got a number"},
        {ONNXD_ERR_FORMAT, "{\"word\":[1]}", "word[0]: expected a string, got a number"},
        {ONNXD_ERR_FORMAT, "{\"flag\":true}", "input 'ids' is missing"},
        {ONNXD_ERR_FORMAT, "{\"features\":[1]}",
         "the model has 4 inputs; give them by name: ids, image, flag, word"},
        {ONNXD_ERR_FORMAT, "{\"instances\":[[1,2]]}", "instances[0]: the model has 4 inputs"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        onnxd_status status = predict(&s, cases[i].body, &many, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", cases[i].body, onnxd_status_name(status), err.message);
        assert_int_equal(s.rows.n, 2);
    }
    setup_done(&s);
}

/* A stand-in for src/features: fields "hour" (0..23) and "site" (text), to three numbers. */
static uint32_t fields_find(const void *context, const char *name, size_t n)
{
    (void)context;
    if (n == 4 && memcmp(name, "hour", 4) == 0) return 0;
    return n == 4 && memcmp(name, "site", 4) == 0 ? 1 : PROTOCOL_NO_FIELD;
}
static const char *fields_names(const void *context)
{
    (void)context;
    return "hour, site";
}
static onnxd_status fields_convert(const void *context, const struct field_value *fields,
                                   void *const *row_inputs, uint64_t *unknowns, onnxd_error *err)
{
    (void)context;
    if (fields[0].kind == FIELD_LIST && fields[0].n_items == 2) { /* the second item, to be seen */
        unknowns[0]++;
        ((float *)row_inputs[0])[0] = (float)fields[0].items[1].number;
        return ONNXD_OK;
    }
    if (fields[0].kind != FIELD_NUMBER || fields[1].kind != FIELD_STRING) {
        snprintf(err->message, sizeof err->message, "hour and site are needed");
        return ONNXD_ERR_FORMAT;
    }
    float *out = row_inputs[0];
    out[0] = (float)fields[0].number;
    out[1] = (float)fields[1].text.len;
    out[2] = (float)fields[1].text.data[0];
    return ONNXD_OK;
}

static void raw_fields_are_converted(void **state)
{
    (void)state;
    const struct protocol_features features = {
        .n_fields = 2, .find = fields_find, .names = fields_names, .convert = fields_convert};
    struct setup s;
    onnxd_error err;
    bool many;
    setup_init(&s, &features3, 1, &ctr, 1, &features);
    assert_ok(predict(&s, "{\"site\":\"\\u0041b\",\"hour\":15}", &many, &err), err);
    assert_ok(
        predict(&s, "{\"instances\":[{\"hour\":1,\"site\":\"z\"},{\"features\":[7,8,9]}]}", &many, &err),
        err);
    static const float want[] = {15, 2, 'A', 1, 1, 'z', 7, 8, 9};
    assert_memory_equal(s.data[0], want, sizeof want);
    assert_fails(predict(&s, "{\"hour\":1}", &many, &err), ONNXD_ERR_FORMAT, err, "hour and site are needed");
    assert_fails(predict(&s, "{\"hour\":1,\"hour\":2}", &many, &err), ONNXD_ERR_FORMAT, err,
                 "hour: given twice");
    assert_fails(predict(&s, "{\"hours\":1}", &many, &err), ONNXD_ERR_NOT_FOUND, err,
                 "hours: unknown field; the model takes: hour, site");
    assert_fails(predict(&s, "{\"hour\":1,\"features\":[1,2,3]}", &many, &err), ONNXD_ERR_FORMAT, err,
                 "not both");
    assert_fails(predict(&s, "{\"hour\":[1,[2]]}", &many, &err), ONNXD_ERR_FORMAT, err,
                 "hour[1]: expected a number, a str");
    assert_fails(predict(&s, "{\"hour\":[1,2}", &many, &err), ONNXD_ERR_FORMAT, err, "hour");
    assert_fails(predict(&s, "{\"hour\":{}}", &many, &err), ONNXD_ERR_FORMAT, err,
                 "hour: expected a number, a str");
    assert_ok(predict(&s, "{\"hour\":[\"x\",7]}", &many, &err), err);
    assert_true(((float *)s.data[0])[9] == 7);
    assert_int_equal(s.rows.unknowns[0], 1);
    assert_fails(predict(&s, "{}", &many, &err), ONNXD_ERR_FORMAT, err, "no field is given");
    setup_done(&s);
}

/* The order of the last row is expected, not required; a row that is wrong leaves nothing behind for it. */
static void raw_fields_come_in_any_order(void **state)
{
    (void)state;
    const struct protocol_features features = {
        .n_fields = 2, .find = fields_find, .names = fields_names, .convert = fields_convert};
    static const char *const bad[] = {
        "{\"instances\":[{,\"hour\":1,\"site\":\"z\"}]}", "{\"instances\":[{\"hour\":1 \"site\":\"z\"}]}",
        "{\"instances\":[{\"hour\":1,\"site\":\"z\",}]}", "{\"hour\":1,\"site\":\"z\",\"site\":\"z\"}",
        "{\"hour\":1,\"site\":\"z\",\"other\":\"z\"}"};
    const char *text =
        "{\"instances\":[{\"hour\":1,\"site\":\"zz\"},{\"hour\":2,\"site\":\"y\"},"
        "{\"site\":\"xxx\",\"hour\":3},{\"site\":\"w\" , \"hour\":4},{\"hour\":5,\"site\":\"v\"}]}";
    static const float want[] = {1, 2, 'z', 2, 1, 'y', 3, 3, 'x', 4, 1, 'w', 5, 1, 'v'};
    struct setup s;
    onnxd_error err;
    bool many;
    setup_init(&s, &features3, 1, &ctr, 1, &features);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        s.rows.n = 0;
        assert_ok(predict(&s, text, &many, &err), err);
        assert_int_equal(s.rows.n, 5);
        assert_memory_equal(s.data[0], want, sizeof want);
        s.rows.n = 0;
        assert_ok(predict(&s, "{\"inputs\":{},\"hour\":1,\"site\":\"z\"}", &many, &err), err);
        if (predict(&s, bad[i], &many, &err) == ONNXD_OK) fail_msg("taken: %s", bad[i]);
    }
    setup_done(&s);
}

static bool grow_once(struct protocol_rows *rows, void *context)
{
    struct setup *s = context;
    if (rows->capacity > CAPACITY) return false;
    rows->capacity *= 2;
    s->data[0] = realloc(s->data[0], rows->capacity * s->schema.inputs[0].row_bytes);
    return s->data[0] != NULL;
}

static void infer_takes_rows_and_grows_their_room(void **state)
{
    (void)state;
    struct setup s;
    onnxd_error err;
    setup_init(&s, &features3, 1, &ctr, 1, NULL);
    s.rows.grow = grow_once;
    s.rows.grow_context = &s;
    char body[1024] = "{\"inputs\":[";
    for (int i = 0; i < 16; i++) snprintf(body + strlen(body), 64, "%s[%d,0,1]", i > 0 ? "," : "", i);
    strcat(body, "]}");
    assert_ok(infer_request_read(&s.schema, body, strlen(body), &s.rows, &err), err);
    assert_int_equal(s.rows.n, 16);
    assert_true(((float *)s.data[0])[45] == 15);
    static const struct {
        onnxd_status status;
        const char *body, *message;
    } cases[] = {
        {ONNXD_ERR_LIMIT, "{\"inputs\":[[1,2,3]]}", "inputs[0]: no room for more than 16 rows"},
        {ONNXD_ERR_FORMAT, "{}", "inputs is missing"},
        {ONNXD_ERR_NOT_FOUND, "{\"input\":[[1,2,3]]}", "input: unknown field; expected inputs"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[]}", "expected at least one row"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(infer_request_read(&s.schema, cases[i].body, strlen(cases[i].body), &s.rows, &err),
                     cases[i].status, err, cases[i].message);
        assert_int_equal(s.rows.n, 16);
    }
    s.rows.n = 0;
    static const char flat[] = "{\"inputs\":[1,2,3]}",
                      twice[] = "{\"inputs\":[[1,2,3]],\"inputs\":[[1,2,3]]}";
    assert_fails(infer_request_read(&s.schema, flat, sizeof flat - 1, &s.rows, &err), ONNXD_ERR_FORMAT, err,
                 "inputs[0]: expected an array, got a number");
    assert_fails(infer_request_read(&s.schema, twice, sizeof twice - 1, &s.rows, &err), ONNXD_ERR_FORMAT, err,
                 "inputs: given twice");
    setup_done(&s);
}

static void models_without_rows_are_refused(void **state)
{
    (void)state;
    static const onnxd_io_info fixed = {.name = "x", .type = ONNXD_FLOAT32, .rank = 2, .dims = {4, -1}};
    struct protocol_schema schema;
    struct protocol_rows rows = {0};
    onnxd_error err;
    bool many;
    assert_ok(protocol_schema_init(&schema, &fixed, 1, &ctr, 1, NULL, &err), err);
    assert_false(schema.rows_ok);
    assert_fails(predict_request_read(&schema, "{}", 2, &rows, &many, &err), ONNXD_ERR_UNSUPPORTED, err,
                 "input 'x' has no free leading dimension");
    protocol_schema_done(&schema);
}

static void answers_have_the_documented_forms(void **state)
{
    (void)state;
    static float scores[] = {0.25f, 0.00042f, 0.5f}, pairs[] = {1, 2, 3, 4, 5, 6};
    static int64_t labels[] = {7, 8, 9};
    const onnxd_io_info outs[2] = {{.name = "p", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 2}},
                                   {.name = "label", .type = ONNXD_INT64, .rank = 1, .dims = {-1}}};
    const onnxd_tensor score = {ONNXD_FLOAT32, 2, {3, 1}, scores};
    const onnxd_tensor both[2] = {{ONNXD_FLOAT32, 2, {3, 2}, pairs}, {ONNXD_INT64, 1, {3}, labels}};
    struct protocol_schema one, two, pair;
    struct buf buf;
    onnxd_error err;
    buf_init(&buf, 4096);
    assert_ok(protocol_schema_init(&one, &features3, 1, &ctr, 1, NULL, &err), err);
    assert_ok(protocol_schema_init(&two, &features3, 1, outs, 2, NULL, &err), err);
    assert_ok(protocol_schema_init(&pair, &features3, 1, outs, 1, NULL, &err), err);
    const struct {
        const struct protocol_schema *schema;
        const onnxd_tensor *outputs;
        int form; /* 0 one row, 1 instances, 2 /infer */
        const char *want;
    } cases[] = {
        {&one, &score, 0, "{\"ctr\":0.00042,\"latency_ms\":0.031}"},
        {&one, &score, 1, "{\"predictions\":[0.00042,0.5],\"latency_ms\":0.031}"},
        {&one, &score, 2, "{\"outputs\":[[0.00042],[0.5]],\"duration_ms\":0.031}"},
        {&pair, both, 0, "{\"prediction\":[3,4],\"latency_ms\":0.031}"},
        {&pair, both, 1, "{\"predictions\":[[3,4],[5,6]],\"latency_ms\":0.031}"},
        {&two, both, 0, "{\"prediction\":{\"p\":[3,4],\"label\":8},\"latency_ms\":0.031}"},
        {&two, both, 1,
         "{\"predictions\":[{\"p\":[3,4],\"label\":8},{\"p\":[5,6],\"label\":9}],\"latency_ms\":0.031}"},
        {&two, both, 2, "{\"outputs\":{\"p\":[[3,4],[5,6]],\"label\":[[8],[9]]},\"duration_ms\":0.031}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buf_reset(&buf);
        if (cases[i].form == 2)
            assert_ok(infer_answer_write(cases[i].schema, cases[i].outputs, 3, 1, 2, 0.0314, &buf, &err),
                      err);
        else
            assert_ok(predict_answer_write(cases[i].schema, cases[i].outputs, 3, 1, 2, cases[i].form == 1,
                                           0.0314, &buf, &err),
                      err);
        buf_append_char(&buf, 0);
        assert_string_equal(buf.data, cases[i].want);
    }
    float nan = NAN;
    const onnxd_tensor bad = {ONNXD_FLOAT32, 2, {1, 1}, &nan}, scalar = {ONNXD_FLOAT32, 0, {0}, scores};
    buf_reset(&buf);
    buf_append_text(&buf, "kept");
    assert_fails(predict_answer_write(&one, &bad, 1, 0, 1, false, 1, &buf, &err), ONNXD_ERR_RANGE, err,
                 "NaN");
    assert_fails(infer_answer_write(&one, &scalar, 1, 0, 1, 1, &buf, &err), ONNXD_ERR_INTERNAL, err, "'ctr'");
    assert_int_equal(buf.n, 4);
    error_body_write(&buf, "a \"b\"");
    buf_append_char(&buf, 0);
    assert_string_equal(buf.data, "kept{\"error\":\"a \\\"b\\\"\"}");
    buf_done(&buf);
    protocol_schema_done(&one);
    protocol_schema_done(&two);
    protocol_schema_done(&pair);
}

/* What the client writes the server reads, and the other way round, in every form. */
static void clients_and_servers_understand_each_other(void **state)
{
    (void)state;
    float x[] = {1, 2.5f, -3, 0.1f, 1e-20f, 16777216}, scores[] = {0.25f, 0.00042f}, pairs[] = {1, 2, 3, 4},
          got[4];
    const onnxd_tensor in = {ONNXD_FLOAT32, 2, {2, 3}, x};
    const onnxd_io_info pair = {.name = "p", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 2}};
    for (int wide = 0; wide < 2; wide++) {
        const onnxd_tensor out = {ONNXD_FLOAT32, 2, {2, wide ? 2 : 1}, wide ? pairs : scores};
        size_t width = wide ? 2 : 1;
        for (int form = ROW_FORM_PREDICT; form <= ROW_FORM_V1; form++) {
            struct setup s;
            struct buf buf;
            onnxd_error err = {0};
            bool many = false;
            uint32_t first = form == ROW_FORM_PREDICT ? 1 : 0, n = 2 - first;
            setup_init(&s, &features3, 1, wide ? &pair : &ctr, 1, NULL);
            buf_init(&buf, 4096);
            assert_ok(row_request_write((enum row_form)form, &s.schema, &in, first, n, &buf, &err), err);
            if (form == ROW_FORM_INFER)
                assert_ok(infer_request_read(&s.schema, buf.data, buf.n, &s.rows, &err), err);
            else if (form == ROW_FORM_V1)
                assert_ok(v1_request_read(&s.schema, buf.data, buf.n, &s.rows, &many, &err), err);
            else
                assert_ok(predict_request_read(&s.schema, buf.data, buf.n, &s.rows, &many, &err), err);
            assert_int_equal(s.rows.n, n);
            assert_memory_equal(s.data[0], x + first * 3, n * 3 * sizeof(float));
            buf_reset(&buf);
            if (form == ROW_FORM_INFER)
                assert_ok(infer_answer_write(&s.schema, &out, 2, first, n, 1, &buf, &err), err);
            else if (form == ROW_FORM_V1)
                assert_ok(v1_answer_write(&s.schema, &out, 2, first, n, false, &buf, &err), err);
            else
                assert_ok(predict_answer_write(&s.schema, &out, 2, first, n, many, 1, &buf, &err), err);
            assert_ok(row_answer_read((enum row_form)form, buf.data, buf.n, n, width, got, &err), err);
            assert_memory_equal(got, (float *)out.data + first * width, n * width * sizeof(float));
            assert_fails(row_answer_read((enum row_form)form, buf.data, buf.n, n, width + 1, got, &err),
                         ONNXD_ERR_SHAPE, err, "numbers, got");
            if (form != ROW_FORM_PREDICT)
                assert_fails(row_answer_read((enum row_form)form, buf.data, buf.n, 1, width, got, &err),
                             ONNXD_ERR_SHAPE, err, "expected 1 rows, got 2");
            buf_done(&buf);
            setup_done(&s);
        }
    }
    onnxd_error err;
    static const char refused[] = "{\"error\":\"features: expected 3 numbers\"}";
    assert_fails(row_answer_read(ROW_FORM_PREDICT, refused, sizeof refused - 1, 1, 1, got, &err),
                 ONNXD_ERR_IO, err, "the server answered: features: expected 3 numbers");
    assert_fails(row_answer_read(ROW_FORM_PREDICT, "{}", 2, 1, 1, got, &err), ONNXD_ERR_FORMAT, err,
                 "no prediction");
    assert_fails(row_answer_read(ROW_FORM_PREDICT, "[[", 2, 1, 1, got, &err), ONNXD_ERR_FORMAT, err,
                 "an object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_row_is_taken),
        cmocka_unit_test(faults_name_the_field_and_what_was_expected),
        cmocka_unit_test(inputs_of_all_kinds_go_by_name),
        cmocka_unit_test(raw_fields_are_converted),
        cmocka_unit_test(raw_fields_come_in_any_order),
        cmocka_unit_test(infer_takes_rows_and_grows_their_room),
        cmocka_unit_test(models_without_rows_are_refused),
        cmocka_unit_test(answers_have_the_documented_forms),
        cmocka_unit_test(clients_and_servers_understand_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
