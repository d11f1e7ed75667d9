/* Requests made from what a server tells of its model. */
#include "support/test.h"

#include "bench/served_model.h"
#include "protocol/v2_request.h"

static const char metadata[] = "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"x\",\"inputs\":["
                               "{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[-1,3],\"parameters\":{"
                               "\"other\":{},\"index_below\":[7,0,2]}},"
                               "{\"name\":\"b\",\"datatype\":\"INT64\",\"shape\":[-1,2,2]}],"
                               "\"outputs\":[{\"name\":\"y\",\"datatype\":\"FP32\",\"shape\":[-1,1]}]}";

static void paths_tell_forms_and_models(void **state)
{
    (void)state;
    static const struct {
        const char *path, *model;
        bool binary, known;
        enum request_form form;
    } cases[] = {{"/", "", false, true, FORM_V2_JSON},
                 {"/", "", true, true, FORM_V2_BINARY},
                 {"/predict", "", false, true, FORM_PREDICT},
                 {"/predict?model=a%20b", "a%20b", false, true, FORM_PREDICT},
                 {"/infer?x=1&model=m", "m", false, true, FORM_INFER},
                 {"/v1/models/m:predict", "m", false, true, FORM_V1},
                 {"/v1/models/m/versions/3:predict", "m", false, true, FORM_V1},
                 {"/v2/models/m/infer", "m", true, true, FORM_V2_BINARY},
                 {"/v2/models/m/versions/2/infer", "m", false, true, FORM_V2_JSON},
                 {"/predict", "", true, false, FORM_PREDICT},
                 {"/predictions", "", false, false, FORM_PREDICT},
                 {"/health", "", false, false, FORM_PREDICT},
                 {"/v2/models/m", "m", false, false, FORM_PREDICT},
                 {"/v2/models//infer", "", false, false, FORM_PREDICT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct load_url url = {.port = 1};
        enum request_form form;
        char model[SERVED_NAME_BYTES];
        snprintf(url.path, sizeof url.path, "%s", cases[i].path);
        bool known = served_form_of(&url, cases[i].binary, &form, model);
        if (known != cases[i].known) fail_msg("%s: known is %d", cases[i].path, known);
        if (known && (form != cases[i].form || strcmp(model, cases[i].model) != 0))
            fail_msg("%s: form %d, model '%s'", cases[i].path, form, model);
    }
}

static const char *body_of(const struct load_request *r, size_t *ret_n)
{
    const char *end = memmem(r->bytes, r->n, "\r\n\r\n", 4);
    assert_non_null(end);
    *ret_n = r->n - (size_t)(end + 4 - r->bytes);
    return end + 4;
}

/* What is made is read back by the server's own reader, and every value is one that the model takes. */
static void bodies_are_what_the_server_reads(void **state)
{
    (void)state;
    struct served_model model;
    struct load_corpus corpus;
    struct load_url url = {.port = 1, .path = "/", .authority = "h"};
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    assert_ok(served_model_read(metadata, sizeof metadata - 1, &model, &err), err);
    assert_true(strcmp(model.name, "m") == 0 && model.n_inputs == 2 && model.schema.rows_ok);
    assert_ok(served_model_corpus(&model, FORM_V2_BINARY, &url,
                                  (struct load_corpus_options){.batch = 5, .n_variants = 20}, &rng, &corpus,
                                  &err),
              err);
    assert_string_equal(url.path, "/v2/models/m/infer");
    assert_int_equal(corpus.n, 20);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < corpus.n; i++) {
        struct arena arena;
        struct v2_request request;
        size_t n, header = 0;
        const char *body = body_of(&corpus.requests[i], &n);
        const char *line = memmem(corpus.requests[i].bytes, corpus.requests[i].n,
                                  "Inference-Header-Content-Length: ", 33);
        assert_non_null(line);
        assert_int_equal(sscanf(line + 33, "%zu", &header), 1);
        arena_init(&arena, 1 << 20);
        assert_ok(v2_request_read(&model.schema, body, n, header, &arena, &request, &err), err);
        assert_true(request.inputs[0].dims[0] == 5 && request.inputs[1].dims[0] == 5);
        const float *a = request.inputs[0].data;
        for (int row = 0; row < 5; row++, a += 3) {
            assert_true(a[0] >= 0 && a[0] < 7 && a[0] == (float)(int)a[0]);
            assert_true(a[1] >= 0 && a[1] < 1 && (a[2] == 0 || a[2] == 1));
            seen |= 1u << (int)a[0];
        }
        arena_done(&arena);
    }
    assert_int_equal(seen, 0x7f);
    load_corpus_done(&corpus);
    strcpy(url.path, "/predict");
    assert_ok(served_model_corpus(&model, FORM_PREDICT, &url, (struct load_corpus_options){.n_variants = 3},
                                  &rng, &corpus, &err),
              err);
    size_t n;
    const char *body = body_of(&corpus.requests[2], &n);
    assert_true(n > 12 && memcmp(body, "{\"inputs\":{\"a\":[", 16) == 0);
    assert_true(memcmp(corpus.requests[0].bytes, corpus.requests[1].bytes, corpus.requests[0].n) != 0);
    struct load_corpus closing;
    assert_ok(load_corpus_closing(&corpus, &closing, &err), err);
    assert_memory_equal(closing.requests[2].bytes,
                        "POST /predict HTTP/1.1\r\nConnection: close\r\nHost: h\r\n", 51);
    assert_int_equal(closing.requests[2].n, corpus.requests[2].n + 19);
    load_corpus_done(&closing);
    load_corpus_done(&corpus);
    served_model_done(&model);
}

static void strange_descriptions_are_refused(void **state)
{
    (void)state;
    struct served_model model;
    onnxd_error err;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"inputs\":[]}",
        "{\"inputs\":[{}]}",
        "{\"inputs\":[{\"name\":\"a\",\"shape\":[1]}]}",
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP99\",\"shape\":[1]}]}",
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[1,1,1,1,1,1,1,1,1]}]}",
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[-1,99999999,99999999]}]}",
        "{\"inputs\":[{\"name\":\"a\",\"datatype\":\"FP32\",\"shape\":[-1,16777216,16777216]}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (served_model_read(bad[i], strlen(bad[i]), &model, &err) == ONNXD_OK)
            fail_msg("%s was taken", bad[i]);
    for (size_t n = 0; n < sizeof metadata - 1; n++) /* cut anywhere */
        if (served_model_read(metadata, n, &model, &err) == ONNXD_OK) fail_msg("%zu bytes were taken", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_tell_forms_and_models),
        cmocka_unit_test(bodies_are_what_the_server_reads),
        cmocka_unit_test(strange_descriptions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
