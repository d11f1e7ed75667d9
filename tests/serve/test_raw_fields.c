/* Raw fields through a server of real sockets and the real engine: a DeepFM with its description beside it.
 */
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "features/feature_build.h"
#include "features/features_file.h"
#include "support/run_program.h"
#include "support/served.h"
#include "support/test.h"

static const struct {
    const char *name;
    uint32_t n_ids;
} categories[] = {{"weekday", 7},  {"hour", 24},      {"region", 35}, {"city", 370},     {"adexchange", 5},
                  {"domain", 500}, {"slotid", 10000}, {"format", 4},  {"creative", 150}, {"tag", 70}};
static const char *const numbers[] = {"width", "height", "visibility", "price", "advertiser"};

static char folder[] = "/tmp/raw_fields_XXXXXX";
static char model_path[64];

/* Values of a category are its ids as texts, "1" up, so that 0 is what is unknown. */
static struct feature_set *make_set(void)
{
    struct feature_set *set = feature_build_start();
    struct feature_field *field;
    onnxd_error err;
    assert_non_null(set);
    for (int i = 0; i < 10; i++) {
        assert_ok(feature_build_field(set, categories[i].name, strlen(categories[i].name), &field, &err),
                  err);
        field->source = SOURCE_CATEGORY;
        uint32_t n = categories[i].n_ids - 1;
        onnxd_string *values = arena_alloc_array(&set->arena, n, sizeof *values);
        assert_non_null(values);
        for (uint32_t k = 0; k < n; k++) {
            const char *text = arena_printf(&set->arena, "%u", k + 1);
            assert_non_null(text);
            values[k] = (onnxd_string){text, strlen(text)};
        }
        assert_ok(feature_build_values(set, field, values, n, &err), err);
    }
    for (int i = 0; i < 5; i++) {
        assert_ok(feature_build_field(set, numbers[i], strlen(numbers[i]), &field, &err), err);
        field->source = SOURCE_NUMBER;
        field->has_number = true;
        field->rule = (struct number_rule){.multiply = 0.01, .low = 0, .high = 1, .missing = 0.5};
    }
    assert_ok(feature_build_finish(set, &err), err);
    return set;
}

static int prepare(void **state)
{
    char *bytes;
    size_t n;
    onnxd_error err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(model_path, sizeof model_path, "%s/m.onnx", folder);
    assert_ok(file_read(shared_path("models/deepfm.onnx"), 16 << 20, &bytes, &n, &err), err);
    assert_ok(file_replace(model_path, bytes, n, &err), err);
    free(bytes);
    struct feature_set *set = make_set();
    assert_ok(features_save_beside(set, model_path, &err), err);
    feature_set_unref(set);
    return 0;
}

static int clean_up(void **state)
{
    char path[80];
    (void)state;
    snprintf(path, sizeof path, "%s/m.features.json", folder);
    unlink(path);
    unlink(model_path);
    return rmdir(folder);
}

static double ctr_of(const struct seen *seen)
{
    const char *at = strstr(seen->body, "\"ctr\":");
    if (seen->status != 200 || at == NULL) fail_msg("%u: %s", seen->status, seen->body);
    return strtod(at + 6, NULL);
}

#define REST                                                                                        \
    "\"region\":3,\"city\":4,\"adexchange\":1,\"slotid\":77,\"format\":2,\"creative\":9,\"tag\":5," \
    "\"width\":30,\"height\":25,\"visibility\":null,\"price\":120,\"advertiser\":7.5}"

static void raw_fields_answer_as_their_ids(void **state)
{
    static const struct {
        const char *raw, *features;
    } cases[] = {
        {"{\"weekday\":4,\"hour\":15,\"domain\":\"312\"," REST,
         "[4,15,3,4,1,312,77,2,9,5,0.3,0.25,0.5,1,0.075]"},
        {"{\"weekday\":\"4\",\"hour\":15.0,\"domain\":312," REST,
         "[4,15,3,4,1,312,77,2,9,5,0.3,0.25,0.5,1,0.075]"},
        {"{\"weekday\":4,\"hour\":15,\"domain\":\"3d78fcc01ed2eb8c\"," REST,
         "[4,15,3,4,1,0,77,2,9,5,0.3,0.25,0.5,1,0.075]"},
        {"{\"weekday\":null,\"hour\":\"\\u0031\\u0035\",\"domain\":true," REST,
         "[0,15,3,4,1,0,77,2,9,5,0.3,0.25,0.5,1,0.075]"},
    };
    struct served served;
    static struct seen raw, plain;
    (void)state;
    served_start_model(&served, model_path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[256];
        served_call(&served, HTTP_METHOD_POST, "/predict", cases[i].raw, &raw);
        snprintf(body, sizeof body, "{\"features\":%s}", cases[i].features);
        served_call(&served, HTTP_METHOD_POST, "/predict", body, &plain);
        if (ctr_of(&raw) != ctr_of(&plain)) fail_msg("case %zu: %s, but %s", i, raw.body, plain.body);
    }
    /* In instances, beside rows of the other form, and in TensorFlow Serving's. */
    served_call(&served, HTTP_METHOD_POST, "/predict",
                "{\"instances\":[{\"weekday\":4,\"hour\":15,\"domain\":312," REST
                ",{\"features\":[4,15,3,4,1,312,77,2,9,5,0.3,0.25,0.5,1,0.075]}]}",
                &raw);
    char *end;
    double first = strtod(strchr(raw.body, '[') + 1, &end);
    assert_int_equal(raw.status, 200);
    assert_true(first == strtod(end + 1, NULL));
    served_call(&served, HTTP_METHOD_POST, "/v1/models/m:predict",
                "{\"instances\":[{\"weekday\":4,\"hour\":15,\"domain\":312," REST "]}", &raw);
    assert_int_equal(raw.status, 200);
    served_stop(&served);
}

static void metadata_tells_the_fields(void **state)
{
    static const char *const told[] = {
        "\"parameters\":{\"fields\":[{\"name\":\"weekday\",\"kind\":\"category\",\"values\":[\"1\",\"2\",",
        "{\"name\":\"price\",\"kind\":\"number\",\"values\":[]}",
    };
    struct served served;
    static struct seen seen;
    (void)state;
    served_start_model(&served, model_path);
    served_call(&served, HTTP_METHOD_GET, "/v2/models/m", "", &seen);
    assert_int_equal(seen.status, 200);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        if (strstr(seen.body, told[i]) == NULL) fail_msg("no %s in %s", told[i], seen.body);
    assert_null(strstr(seen.body, "\"21\"")); /* twenty values of a field at most */
    served_stop(&served);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *body, *message;
    } cases[] = {
        {"{\"weekday\":4}", "field 'hour': is missing"},
        {"{\"colour\":4,\"weekday\":1}", "colour: unknown field; the model takes: weekday, hour"},
        {"{\"weekday\":[4],\"hour\":15,\"domain\":1," REST,
         "field 'weekday': expected one value, got a list"},
        {"{\"weekday\":{},\"hour\":15,\"domain\":1," REST, "weekday: expected a number, a string"},
        {"{\"weekday\":1,\"hour\":15,\"domain\":1,\"region\":1,\"city\":1,\"adexchange\":1,\"slotid\":1,"
         "\"format\":1,\"creative\":1,\"tag\":1,\"width\":\"wide\",\"height\":1,\"visibility\":1,\"price\":1,"
         "\"advertiser\":1}",
         "field 'width': expected a number, got the text 'wide'"},
        {"{\"weekday\":1,\"weekday\":2}", "weekday: given twice"},
        {"{\"instances\":[{\"weekday\":4,\"hour\":15,\"domain\":312," REST ",{\"weekday\":1}]}",
         "instances[1]: field 'hour'"},
    };
    struct served served;
    static struct seen seen;
    (void)state;
    served_start_model(&served, model_path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        served_call(&served, HTTP_METHOD_POST, "/predict", cases[i].body, &seen);
        if (seen.status != 400 || strstr(seen.body, cases[i].message) == NULL)
            fail_msg("%s: %u %s", cases[i].body, seen.status, seen.body);
    }
    served_stop(&served);
}

static void unknown_values_are_counted(void **state)
{
    struct served served;
    static struct seen seen;
    (void)state;
    served_start_model(&served, model_path);
    for (int i = 0; i < 3; i++)
        served_call(&served, HTTP_METHOD_POST, "/predict",
                    "{\"instances\":[{\"weekday\":9,\"hour\":15,\"domain\":\"new\"," REST
                    ",{\"weekday\":1,\"hour\":15,\"domain\":\"newer\"," REST "]}",
                    &seen);
    assert_int_equal(seen.status, 200);
    /* A refused request counts nothing. */
    served_call(&served, HTTP_METHOD_POST, "/predict", "{\"weekday\":9,\"hour\":99}", &seen);
    assert_int_equal(seen.status, 400);
    served_call(&served, HTTP_METHOD_GET, "/metrics", NULL, &seen);
    static const char *const lines[] = {"field=\"weekday\"} 3\n", "field=\"domain\"} 6\n",
                                        "field=\"hour\"} 0\n"};
    for (int i = 0; i < 3; i++)
        if (strstr(seen.body, lines[i]) == NULL) fail_msg("no %s in: %.2000s", lines[i], seen.body);
    assert_non_null(strstr(seen.body, "onnxd_unknown_values_total{model=\"m\",version=\"1\",field="));
    served_stop(&served);
}

/* onnxd predict reads the same rows, as JSON lines and as CSV with names. */
static void the_command_line_answers_the_same(void **state)
{
    static const char json[] = "{\"weekday\":4,\"hour\":15,\"domain\":\"312\"," REST "\n"
                               "{\"features\":[4,15,3,4,1,312,77,2,9,5,0.3,0.25,0.5,1,0.075]}\n";
    static const char csv[] =
        "hour,weekday,domain,region,city,adexchange,slotid,format,creative,tag,width,height,"
        "visibility,price,advertiser\n15,4,\"312\",3,4,1,77,2,9,5,30,25,,120,7.5\n";
    const char *argv[] = {"onnxd", "predict", "--model", model_path, "--format", "jsonl", NULL};
    (void)state;
    struct run_result lines = run_program(argv, json, sizeof json - 1);
    assert_string_equal(lines.err, "");
    size_t n = strcspn(lines.out, "\n") + 1;
    assert_memory_equal(lines.out, lines.out + n, n);
    argv[5] = "csv";
    char first[128];
    snprintf(first, sizeof first, "%.*s", (int)n, lines.out);
    struct run_result table = run_program(argv, csv, sizeof csv - 1);
    assert_string_equal(table.err, "");
    assert_string_equal(table.out, first);
    const char *inspect[] = {"onnxd", "inspect", model_path, NULL};
    struct run_result shown = run_program(inspect, "", 0);
    assert_non_null(strstr(shown.out, "domain  category, column 5, 500 ids"));
    run_result_done(&lines);
    run_result_done(&table);
    run_result_done(&shown);
}

static void a_description_that_does_not_fit_is_refused(void **state)
{
    char path[80], *bytes;
    size_t n;
    onnxd_error err;
    struct raw_fields fields = {0};
    static const onnxd_io_info wide = {.name = "x", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 16}};
    (void)state;
    assert_fails(raw_fields_load(&fields, model_path, &wide, 1, &err), ONNXD_ERR_MODEL, err,
                 "makes float32 [batch, 15]");
    assert_fails(raw_fields_load(&fields, model_path, &wide, 2, &err), ONNXD_ERR_MODEL, err,
                 "the model takes 2");
    /* Another model's: the server does not start with it. */
    snprintf(path, sizeof path, "%s/m.features.json", folder);
    assert_ok(file_read(path, 1 << 20, &bytes, &n, &err), err);
    char *sha = strstr(bytes, "model_sha256\":\"") + 15;
    sha[0] = sha[0] == '0' ? '1' : '0';
    assert_ok(file_replace(path, bytes, n, &err), err);
    assert_fails(served_try_model(model_path, &err), ONNXD_ERR_MODEL, err, "belongs to another model");
    sha[0] = 'x';
    assert_ok(file_replace(path, bytes, n, &err), err);
    assert_fails(served_try_model(model_path, &err), ONNXD_ERR_FORMAT, err, "m.features.json: model_sha256");
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_fields_answer_as_their_ids),
        cmocka_unit_test(metadata_tells_the_fields),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(unknown_values_are_counted),
        cmocka_unit_test(the_command_line_answers_the_same),
        cmocka_unit_test(a_description_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
