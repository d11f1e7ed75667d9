/* Bodies of the Open Inference Protocol v2 and of TensorFlow Serving's form. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "protocol/base64.h"
#include "protocol/v1_body.h"
#include "protocol/v2_meta.h"
#include "protocol/v2_request.h"
#include "protocol/v2_response.h"

static const onnxd_io_info ins[] = {
    {.name = "x", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 2}},
    {.name = "word", .type = ONNXD_STRING, .rank = 1, .dims = {-1}},
    {.name = "flag", .type = ONNXD_BOOL, .rank = 1, .dims = {-1}},
};
static const onnxd_io_info outs[] = {
    {.name = "y", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}},
    {.name = "label", .type = ONNXD_INT64, .rank = 1, .dims = {-1}},
    {.name = "half", .type = ONNXD_FLOAT16, .rank = 1, .dims = {-1}},
};

static struct protocol_schema schema_of(uint32_t n_inputs, uint32_t n_outputs)
{
    struct protocol_schema schema;
    onnxd_error err;
    assert_ok(protocol_schema_init(&schema, ins, n_inputs, outs, n_outputs, NULL, &err), err);
    return schema;
}

static onnxd_status read_guarded(const struct protocol_schema *schema, const char *body, size_t n,
                                 size_t header, struct arena *arena, struct v2_request *request,
                                 onnxd_error *err)
{
    char *guarded = guarded_alloc(n);
    memcpy(guarded, body, n);
    return v2_request_read(schema, guarded, n, header, arena, request, err);
}

static void json_requests_are_read(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        /* nested, flat, and data before shape */
        "{\"id\":\"a\\u0062\",\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[[1,"
        "2],[3,4]]}]}",
        "{\"id\":\"ab\",\"inputs\":[{\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\",\"data\":[1,2,3,4]}"
        "],"
        "\"parameters\":{\"priority\":0,\"sequence_id\":3},\"outputs\":[]}",
        "{\"inputs\":[{\"data\":[1,2,3,4],\"datatype\":\"FP32\",\"shape\":[2,2],\"name\":\"x\","
        "\"parameters\":{}}],"
        "\"id\":\"ab\",\"model_name\":\"m\"}",
    };
    struct protocol_schema schema = schema_of(1, 3);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct arena arena;
        struct v2_request request;
        onnxd_error err;
        arena_init(&arena, 1 << 20);
        assert_ok(v2_request_read(&schema, bodies[i], strlen(bodies[i]), V2_ALL_JSON, &arena, &request, &err),
                  err);
        static const float want[] = {1, 2, 3, 4};
        assert_memory_equal(request.inputs[0].data, want, sizeof want);
        assert_true(request.inputs[0].rank == 2 && request.inputs[0].dims[0] == 2 &&
                    request.inputs[0].dims[1] == 2);
        assert_int_equal(request.n_outputs, 3);
        assert_true(request.id.len == 2 && memcmp(request.id.data, "ab", 2) == 0);
        arena_done(&arena);
    }
    protocol_schema_done(&schema);
}

static void wishes_and_parameters_are_read(void **state)
{
    (void)state;
    static const char body[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\",\"data\":["
                               "1,2]}],\"parameters\":{\"priority\":2,"
                               "\"timeout\":1500},\"outputs\":[{\"name\":\"half\",\"parameters\":{\"binary_"
                               "data\":true}},{\"name\":\"y\"}]}";
    struct protocol_schema schema = schema_of(1, 3);
    struct arena arena;
    struct v2_request request;
    onnxd_error err;
    arena_init(&arena, 1 << 20);
    assert_ok(v2_request_read(&schema, body, sizeof body - 1, V2_ALL_JSON, &arena, &request, &err), err);
    assert_int_equal(request.n_outputs, 2);
    assert_true(request.outputs[0].output == 2 && request.outputs[0].binary);
    assert_true(request.outputs[1].output == 0 && !request.outputs[1].binary);
    assert_true(request.priority == 2 && request.timeout_us == 1500);
    assert_null(request.id.data);
    arena_done(&arena);
    protocol_schema_done(&schema);
}

#define X(data) "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\"," data "}]}"

static void bad_requests_name_the_culprit(void **state)
{
    (void)state;
    static const struct {
        onnxd_status status;
        const char *body, *message;
    } cases[] = {
        {ONNXD_ERR_FORMAT, "{}", "input 'x' is missing"},
        {ONNXD_ERR_FORMAT, "[]", "expected an object, got an array"},
        {ONNXD_ERR_NOT_FOUND, "{\"input\":[]}",
         "input: unknown field; expected id, parameters, inputs or outputs"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[{}]}", "inputs[0]: name is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[{\"name\":\"x\"}]}", "inputs[0]: shape is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2]}]}",
         "inputs[0]: datatype is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP32\"}]}",
         "data is missing"},
        {ONNXD_ERR_TYPE, "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FLOAT\"}]}",
         "inputs[0].datatype: unknown"},
        {ONNXD_ERR_TYPE,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"INT64\",\"data\":[1,2]}]}",
         "input 'x': expected datatype FP32, got INT64"},
        {ONNXD_ERR_SHAPE,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\",\"data\":[1,2]}]}",
         "input 'x': expected 2 dimensions, got 1"},
        {ONNXD_ERR_SHAPE,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,3],\"datatype\":\"FP32\",\"data\":[1,2,3]}]}",
         "input 'x': expected 2 in dimension 1, got 3"},
        {ONNXD_ERR_SHAPE,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[-1,2],\"datatype\":\"FP32\",\"data\":[1,2]}]}",
         "inputs[0].shape[0]: expected a size of 0 or more"},
        {ONNXD_ERR_SHAPE,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1000000,2],\"datatype\":\"FP32\",\"data\":[1]}]}",
         "more than the body holds"},
        {ONNXD_ERR_LIMIT,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,1,1,1,1,1,1,1,1],\"datatype\":\"FP32\",\"data\":[1]}]}",
         "at most 8 dimensions"},
        {ONNXD_ERR_SHAPE, X("\"data\":[1]"), "inputs[0].data: expected 2 numbers, got 1"},
        {ONNXD_ERR_SHAPE, X("\"data\":[[1,2],[3,4]]"), "inputs[0].data: expected 1 array, got 2"},
        {ONNXD_ERR_FORMAT, X("\"data\":[1,\"2\"]"), "inputs[0].data[1]: expected a number, got a string"},
        {ONNXD_ERR_FORMAT, X("\"data\":[1,2],\"data\":[1,2]"), "inputs[0].data: given twice"},
        {ONNXD_ERR_FORMAT, X("\"data\":[1,2],\"parameters\":{\"binary_data_size\":8}"), "not both"},
        {ONNXD_ERR_NOT_FOUND, X("\"data\":[1,2],\"extra\":1"), "inputs[0].extra: unknown field"},
        {ONNXD_ERR_SHAPE, X("\"parameters\":{\"binary_data_size\":8}"),
         "'x': binary_data_size is 8, but 0 bytes"},
        {ONNXD_ERR_NOT_FOUND,
         "{\"inputs\":[{\"name\":\"z\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
         "no input 'z'; the model has: x"},
        {ONNXD_ERR_NOT_FOUND, "{\"outputs\":[{\"name\":\"z\"}]}",
         "no output 'z'; the model has: y, label, half"},
        {ONNXD_ERR_FORMAT, "{\"outputs\":[{\"name\":\"y\"},{\"name\":\"y\"}]}", "output 'y' is given twice"},
        {ONNXD_ERR_UNSUPPORTED, "{\"outputs\":[{\"name\":\"y\",\"parameters\":{\"classification\":3}}]}",
         "classification"},
        {ONNXD_ERR_UNSUPPORTED,
         "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"datatype\":\"FP16\",\"data\":[1,2]}]}",
         "FP16 has no JSON form"},
    };
    struct protocol_schema schema = schema_of(1, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena;
        struct v2_request request;
        onnxd_error err = {0};
        arena_init(&arena, 1 << 20);
        onnxd_status status = read_guarded(&schema, cases[i].body, strlen(cases[i].body), V2_ALL_JSON, &arena,
                                           &request, &err);
        if (status != cases[i].status || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", cases[i].body, onnxd_status_name(status), err.message);
        arena_done(&arena);
    }
    protocol_schema_done(&schema);
}

/* What the client's side writes, the server's side reads, in JSON and in binary. */
static void requests_go_round(void **state)
{
    (void)state;
    float x[] = {1.5f, -2, 0.1f, 1e-20f};
    onnxd_string words[] = {{"a\"b", 3}, {"\xe2\x82\xac", 3}};
    uint8_t flags[] = {1, 0};
    const onnxd_tensor in[] = {
        {ONNXD_FLOAT32, 2, {2, 2}, x}, {ONNXD_STRING, 1, {2}, words}, {ONNXD_BOOL, 1, {2}, flags}};
    struct protocol_schema schema = schema_of(3, 1);
    for (int binary = 0; binary < 2; binary++) {
        struct v2_request_options options = {.id = "7", .binary_inputs = binary, .binary_outputs = binary};
        struct buf buf;
        struct arena arena;
        struct v2_request request;
        size_t header;
        onnxd_error err;
        buf_init(&buf, 4096);
        arena_init(&arena, 1 << 20);
        assert_ok(v2_request_write(&schema, in, &options, &buf, &header, &err), err);
        assert_int_equal(header == V2_ALL_JSON, !binary);
        assert_ok(read_guarded(&schema, buf.data, buf.n, header, &arena, &request, &err), err);
        assert_memory_equal(request.inputs[0].data, x, sizeof x);
        const onnxd_string *got = request.inputs[1].data;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(got[i].len, 3);
            assert_memory_equal(got[i].data, words[i].data, 3);
        }
        assert_memory_equal(request.inputs[2].data, flags, 2);
        assert_int_equal(request.outputs[0].binary, binary);
        for (size_t n = 0; n < buf.n; n++) { /* every shortened body is refused */
            struct arena small;
            arena_init(&small, 1 << 20);
            size_t cut = header == V2_ALL_JSON ? header : header < n ? header : n;
            if (cut != 0)
                assert_true(read_guarded(&schema, buf.data, n, cut, &small, &request, &err) != ONNXD_OK);
            arena_done(&small);
        }
        arena_done(&arena);
        buf_done(&buf);
    }
    protocol_schema_done(&schema);
}

static void raw_binary_takes_its_shape_from_the_size(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4, 5, 6};
    struct protocol_schema schema = schema_of(1, 1), three = schema_of(3, 1);
    struct arena arena;
    struct v2_request request;
    onnxd_error err;
    arena_init(&arena, 1 << 20);
    assert_ok(read_guarded(&schema, (const char *)x, sizeof x, 0, &arena, &request, &err), err);
    assert_true(request.inputs[0].dims[0] == 3 && request.inputs[0].dims[1] == 2 &&
                request.outputs[0].binary);
    assert_memory_equal(request.inputs[0].data, x, sizeof x);
    assert_fails(read_guarded(&schema, (const char *)x, 12, 0, &arena, &request, &err), ONNXD_ERR_SHAPE, err,
                 "multiple of 8 bytes, got 12");
    assert_fails(read_guarded(&three, (const char *)x, 24, 0, &arena, &request, &err), ONNXD_ERR_UNSUPPORTED,
                 err, "one input");
    assert_fails(read_guarded(&schema, "{}", 2, 3, &arena, &request, &err), ONNXD_ERR_FORMAT, err,
                 "Inference-Header-Content-Length is 3");
    arena_done(&arena);
    protocol_schema_done(&schema);
    protocol_schema_done(&three);
}

static void responses_go_round(void **state)
{
    (void)state;
    float y[] = {0.25f, 0.5f, 0.75f};
    int64_t labels[] = {7, 8, -9};
    uint16_t halves[] = {0x3c00, 0x3800, 0};
    const onnxd_tensor all[] = {
        {ONNXD_FLOAT32, 2, {3, 1}, y}, {ONNXD_INT64, 1, {3}, labels}, {ONNXD_FLOAT16, 1, {3}, halves}};
    onnxd_tensor rows[3];
    for (int i = 0; i < 3; i++) rows[i] = v2_slice_rows(&all[i], 1, 2);
    struct protocol_schema schema = schema_of(1, 3);
    struct v2_output_wish wishes[] = {{1, false}, {2, true}, {0, true}};
    struct v2_request request = {.id = {"q", 1}, .outputs = wishes, .n_outputs = 3};
    struct v2_response response;
    struct buf buf;
    struct arena arena;
    size_t header;
    onnxd_error err;
    buf_init(&buf, 4096);
    arena_init(&arena, 1 << 20);
    assert_ok(v2_response_write(&schema, &request, "m", "3", rows, &buf, &header, &err), err);
    static const char json[] =
        "{\"model_name\":\"m\",\"model_version\":\"3\",\"id\":\"q\",\"outputs\":[{\"name\":\"label\","
        "\"datatype\":\"INT64\",\"shape\":"
        "[2],\"data\":[8,-9]},{\"name\":\"half\",\"datatype\":\"FP16\",\"shape\":[2],\"parameters\":{"
        "\"binary_data_size\":4}},"
        "{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[2,1],\"parameters\":{\"binary_data_size\":8}}]}";
    assert_int_equal(header, sizeof json - 1);
    assert_memory_equal(buf.data, json, sizeof json - 1);
    assert_int_equal(buf.n, header + 12);
    assert_ok(v2_response_read(buf.data, buf.n, header, &arena, &response, &err), err);
    assert_int_equal(response.n_outputs, 3);
    assert_memory_equal(response.outputs[0].tensor.data, labels + 1, 16);
    assert_memory_equal(response.outputs[1].tensor.data, halves + 1, 4);
    assert_memory_equal(response.outputs[2].tensor.data, y + 1, 8);
    assert_fails(v2_response_read(buf.data, buf.n - 1, header, &arena, &response, &err), ONNXD_ERR_SHAPE, err,
                 "'y'");
    wishes[1].binary = false;
    assert_fails(v2_response_write(&schema, &request, "m", NULL, rows, &buf, &header, &err),
                 ONNXD_ERR_UNSUPPORTED, err, "output 'half': FP16 has no JSON form");
    assert_int_equal(buf.n, sizeof json - 1 + 12);
    y[1] = NAN;
    struct v2_output_wish one[] = {{0, false}};
    struct v2_request plain = {.outputs = one, .n_outputs = 1};
    assert_fails(v2_response_write(&schema, &plain, "m", NULL, rows, &buf, &header, &err), ONNXD_ERR_RANGE,
                 err, "NaN");
    arena_done(&arena);
    buf_done(&buf);
    protocol_schema_done(&schema);
}

static void v1_goes_by_rows_and_by_columns(void **state)
{
    (void)state;
    struct protocol_schema one = schema_of(1, 1), three = schema_of(3, 2);
    float x[8];
    onnxd_string words[4];
    uint8_t flags[4];
    void *data[] = {x, words, flags};
    struct protocol_rows rows = {.data = data, .capacity = 4, .max_rows = 3};
    onnxd_error err;
    bool columns = true;
    static const char by_rows[] =
        "{\"signature_name\":\"serving_default\",\"instances\":[[1,2],{\"x\":[3,4]}]}";
    assert_ok(v1_request_read(&one, by_rows, sizeof by_rows - 1, &rows, &columns, &err), err);
    assert_true(rows.n == 2 && !columns && x[3] == 4);
    static const char bare[] = "{\"inputs\":[[5,6]]}";
    assert_ok(v1_request_read(&one, bare, sizeof bare - 1, &rows, &columns, &err), err);
    assert_true(rows.n == 3 && columns && x[5] == 6);
    rows.n = 1;
    static const char named[] =
        "{\"inputs\":{\"flag\":[true,false],\"x\":[[1,2],[3,4]],\"word\":[\"a\",\"b\"]}}";
    assert_ok(v1_request_read(&three, named, sizeof named - 1, &rows, &columns, &err), err);
    assert_true(rows.n == 3 && x[2] == 1 && x[5] == 4 && flags[1] == 1 && words[2].data[0] == 'b');
    static const struct {
        onnxd_status status;
        const char *body, *message;
    } cases[] = {
        {ONNXD_ERR_SHAPE, "{\"inputs\":{\"flag\":[true,false],\"x\":[[1,2]],\"word\":[\"a\",\"b\"]}}",
         "expected 2 rows as in the other inputs, got 1"},
        {ONNXD_ERR_SHAPE, "{\"inputs\":{\"flag\":[true],\"x\":[[1,2],[1,2]]}}", "expected 1 rows as"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":{\"flag\":[true]}}", "input 'x' is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":{}}", "input 'x' is missing"},
        {ONNXD_ERR_FORMAT, "{\"inputs\":[[1,2]]}", "the model has 3 inputs"},
        {ONNXD_ERR_NOT_FOUND, "{\"inputs\":{\"z\":[1]}}", "inputs.z: no such input"},
        {ONNXD_ERR_FORMAT, "{}", "instances (or inputs) is missing"},
        {ONNXD_ERR_NOT_FOUND, "{\"rows\":[]}", "rows: unknown field"},
        {ONNXD_ERR_LIMIT, "{\"inputs\":{\"flag\":[true,true,true,true]}}", "more than 3 rows"},
    };
    rows.n = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        onnxd_status status = v1_request_read(&three, cases[i].body, strlen(cases[i].body), &rows, &columns,
                                              &err);
        if (status != cases[i].status || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", cases[i].body, onnxd_status_name(status), err.message);
        assert_int_equal(rows.n, 0);
    }
    float y[] = {0.25f, 0.5f};
    int64_t labels[] = {7, 8};
    const onnxd_tensor out[] = {{ONNXD_FLOAT32, 2, {2, 1}, y}, {ONNXD_INT64, 1, {2}, labels}};
    static const char *const want[] = {
        "{\"predictions\":[[0.25],[0.5]]}", "{\"outputs\":[[0.25],[0.5]]}",
        "{\"predictions\":[{\"y\":[0.25],\"label\":7},{\"y\":[0.5],\"label\":8}]}",
        "{\"outputs\":{\"y\":[[0.25],[0.5]],\"label\":[7,8]}}"};
    struct buf buf;
    buf_init(&buf, 4096);
    for (int i = 0; i < 4; i++) {
        buf_reset(&buf);
        assert_ok(v1_answer_write(i < 2 ? &one : &three, out, 2, 0, 2, i % 2, &buf, &err), err);
        buf_append_char(&buf, 0);
        assert_string_equal(buf.data, want[i]);
    }
    buf_done(&buf);
    protocol_schema_done(&one);
    protocol_schema_done(&three);
}

static void base64_is_strict(void **state)
{
    (void)state;
    char out[64];
    size_t n;
    /* RFC 4648, section 10 */
    static const char *const good[][2] = {
        {"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9vYmFy", "foobar"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(base64_decode(good[i][0], strlen(good[i][0]), out, &n));
        assert_int_equal(n, strlen(good[i][1]));
        assert_memory_equal(out, good[i][1], n);
        struct buf text;
        buf_init(&text, 64);
        base64_append(&text, good[i][1], n);
        assert_int_equal(text.n, strlen(good[i][0]));
        assert_memory_equal(text.data != NULL ? text.data : out, good[i][0], text.n);
        buf_done(&text);
    }
    static const char *const bad[] = {"Zg=", "Z===", "Zm9v\n", "Zh==", "Zm9=", "====", "Zg==Zg==", "-_=="};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (base64_decode(bad[i], strlen(bad[i]), out, &n)) fail_msg("'%s' was taken", bad[i]);
}

static void load_requests_are_read(void **state)
{
    (void)state;
    static const char good[] = "{\"parameters\":{\"config\":\"{\\\"a\\\":1}\",\"file:1\\/"
                               "model.onnx\":\"Zm9v\",\"unload_dependents\":false}}";
    struct arena arena;
    struct v2_load_request request;
    onnxd_error err;
    arena_init(&arena, 1 << 20);
    assert_ok(v2_load_request_read(good, sizeof good - 1, &arena, &request, &err), err);
    assert_true(request.config.len == 7 && memcmp(request.config.data, "{\"a\":1}", 7) == 0);
    assert_int_equal(request.n_files, 1);
    assert_true(request.files[0].path.len == 12 && request.files[0].n == 3);
    assert_ok(v2_load_request_read("", 0, &arena, &request, &err), err);
    assert_int_equal(request.n_files, 0);
    static const char *const unsafe[] = {"../x", "/etc/x", "1//x", "1/../../x", "1/.", "", "a\\\\b", "1/"};
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        char body[128];
        snprintf(body, sizeof body, "{\"parameters\":{\"file:%s\":\"Zm9v\"}}", unsafe[i]);
        assert_fails(v2_load_request_read(body, strlen(body), &arena, &request, &err), ONNXD_ERR_FORMAT, err,
                     "relative path");
    }
    static const char odd[] = "{\"parameters\":{\"file:1/m\":\"Zm9\"}}",
                      other[] = "{\"parameters\":{\"x\":1}}";
    assert_fails(v2_load_request_read(odd, sizeof odd - 1, &arena, &request, &err), ONNXD_ERR_FORMAT, err,
                 "base64");
    assert_fails(v2_load_request_read(other, sizeof other - 1, &arena, &request, &err), ONNXD_ERR_NOT_FOUND,
                 err, "x: unknown");
    arena_done(&arena);
}

static void documents_have_the_protocols_form(void **state)
{
    (void)state;
    struct protocol_schema schema = schema_of(2, 1);
    const char *versions[] = {"1", "2"}, *states[] = {"AVAILABLE", "END"},
               *extensions[] = {"binary_tensor_data"};
    const struct v2_index_entry entries[] = {{"m", "1", "READY", ""},
                                             {"n", NULL, "UNAVAILABLE", "no \"file\""}};
    const struct v2_batch_stats batches[] = {{8, {1, 2}, {3, 4}, {5, 6}}};
    const struct v2_stats stats = {.name = "m",
                                   .version = "1",
                                   .inference_count = 9,
                                   .success = {2, 30},
                                   .batches = batches,
                                   .n_batches = 1};
    struct buf buf;
    buf_init(&buf, 1 << 16);
    v2_flag_write(NULL, "live", true, &buf);
    v2_flag_write("m", "ready", false, &buf);
    v2_server_write("onnxd", "0.1", extensions, 1, &buf);
    v2_model_write(&schema, "m", versions, 2, &buf);
    v2_index_write(entries, 2, &buf);
    v2_stats_write(&stats, 1, &buf);
    v1_status_write(versions, states, 1, &buf);
    v1_metadata_write(&schema, "m", "2", &buf);
    buf_append_char(&buf, 0);
    assert_string_equal(buf.data,
                        "{\"live\":true}{\"name\":\"m\",\"ready\":false}"
                        "{\"name\":\"onnxd\",\"version\":\"0.1\",\"extensions\":[\"binary_tensor_data\"]}"
                        "{\"name\":\"m\",\"versions\":[\"1\",\"2\"],\"platform\":\"onnx_onnxv1\",\"inputs\":["
                        "{\"name\":\"x\",\"datatype\":\"FP32\","
                        "\"shape\":[-1,2]},{\"name\":\"word\",\"datatype\":\"BYTES\",\"shape\":[-1]}],"
                        "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\","
                        "\"shape\":[-1,1]}]}"
                        "[{\"name\":\"m\",\"version\":\"1\",\"state\":\"READY\",\"reason\":\"\"},{\"name\":"
                        "\"n\",\"state\":\"UNAVAILABLE\",\"reason\":\"no "
                        "\\\"file\\\"\"}]"
                        "{\"model_stats\":[{\"name\":\"m\",\"version\":\"1\",\"last_inference\":0,"
                        "\"inference_count\":9,\"execution_count\":0,"
                        "\"inference_stats\":{\"success\":{\"count\":2,\"ns\":30},\"fail\":{\"count\":0,"
                        "\"ns\":0},\"queue\":{\"count\":0,\"ns\":0},"
                        "\"compute_input\":{\"count\":0,\"ns\":0},\"compute_infer\":{\"count\":0,\"ns\":0},"
                        "\"compute_output\":{\"count\":0,\"ns\":0}},"
                        "\"batch_stats\":[{\"batch_size\":8,\"compute_input\":{\"count\":1,\"ns\":2},"
                        "\"compute_infer\":{\"count\":3,\"ns\":4},"
                        "\"compute_output\":{\"count\":5,\"ns\":6}}]}]}"
                        "{\"model_version_status\":[{\"version\":\"1\",\"state\":\"AVAILABLE\",\"status\":{"
                        "\"error_code\":\"OK\",\"error_message\":\"\"}}]}"
                        "{\"model_spec\":{\"name\":\"m\",\"signature_name\":\"\",\"version\":\"2\"},"
                        "\"metadata\":{\"signature_def\":{\"signature_def\":"
                        "{\"serving_default\":{\"inputs\":{\"x\":{\"dtype\":\"DT_FLOAT\",\"tensor_shape\":{"
                        "\"dim\":[{\"size\":\"-1\",\"name\":\"\"},{\"size\":\"2\","
                        "\"name\":\"\"}],\"unknown_rank\":false},\"name\":\"x\"},\"word\":{\"dtype\":\"DT_"
                        "STRING\",\"tensor_shape\":{\"dim\":[{\"size\":\"-1\","
                        "\"name\":\"\"}],\"unknown_rank\":false},\"name\":\"word\"}},\"outputs\":{\"y\":{"
                        "\"dtype\":\"DT_FLOAT\",\"tensor_shape\":{\"dim\":[{"
                        "\"size\":\"-1\",\"name\":\"\"},{\"size\":\"1\",\"name\":\"\"}],\"unknown_rank\":"
                        "false},\"name\":\"y\"}},\"method_name\":"
                        "\"tensorflow/serving/predict\"}}}}}");
    bool ready;
    onnxd_error err;
    assert_ok(v2_index_request_read("{\"ready\":true}", 14, &ready, &err), err);
    assert_true(ready);
    assert_ok(v2_index_request_read("", 0, &ready, &err), err);
    assert_false(ready);
    buf_done(&buf);
    protocol_schema_done(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_requests_are_read),
        cmocka_unit_test(wishes_and_parameters_are_read),
        cmocka_unit_test(bad_requests_name_the_culprit),
        cmocka_unit_test(requests_go_round),
        cmocka_unit_test(raw_binary_takes_its_shape_from_the_size),
        cmocka_unit_test(responses_go_round),
        cmocka_unit_test(v1_goes_by_rows_and_by_columns),
        cmocka_unit_test(base64_is_strict),
        cmocka_unit_test(load_requests_are_read),
        cmocka_unit_test(documents_have_the_protocols_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
