/* Plans, learning, conversion and the file of a feature set. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "features/feature_build.h"
#include "features/feature_learner.h"
#include "features/features_file.h"
#include "features/number_sketch.h"
#include "features/value_counts.h"
#include "support/test.h"

#define MAX_FIELDS 8

static struct field_value text(const char *s)
{
    return field_value_of_text(s, strlen(s));
}

static struct field_value string(const char *s)
{
    return (struct field_value){.kind = FIELD_STRING, .text = {s, strlen(s)}};
}

static struct feature_plan *plan_of(const char *json)
{
    struct feature_plan *plan = NULL;
    onnxd_error err;
    assert_ok(feature_plan_create(&plan, &err), err);
    assert_ok(feature_plan_read(plan, json, strlen(json), &err), err);
    return plan;
}

/* Learns from rows of texts: cells[n_rows * n_names]. */
static struct feature_set *learn(const char *schema, const char *const *names, uint32_t n_names,
                                 const char *const *cells, uint32_t n_rows)
{
    struct feature_plan *plan = plan_of(schema);
    struct feature_learner *learner = NULL;
    struct feature_set *set = NULL;
    onnxd_error err;
    assert_ok(feature_learner_create(plan, names, n_names, &learner, &err), err);
    for (uint32_t r = 0; r < n_rows; r++) {
        struct field_value fields[MAX_FIELDS];
        for (uint32_t i = 0; i < n_names; i++) fields[i] = text(cells[r * n_names + i]);
        assert_ok(feature_learner_add(learner, fields, &err), err);
    }
    assert_ok(feature_learner_finish(learner, &set, &err), err);
    feature_learner_free(learner);
    feature_plan_free(plan);
    return set;
}

static const char *const names[] = {"click", "domain", "tags", "age", "price", "note"};
static const char schema[] =
    "{\"label\":\"click\",\"multi\":[\"tags\"],\"dense\":[\"price\"],\"drop\":[\"note\"],"
    "\"missing\":[\"?\"],\"defaults\":{\"min_count\":2},"
    "\"fields\":[{\"name\":\"age\",\"kind\":\"number\",\"normalise\":\"quantile+log\",\"buckets\":2},"
    "{\"name\":\"tags\",\"slots\":3,\"separator\":\"|\",\"min_count\":1}]}";
static const char *const cells[] = {
    "1", "4",   "a|b",     "10", "1", "x", /* */
    "0", "4.0", "b",       "20", "3", "y", /* */
    "0", "b",   "",        "30", "5", "z", /* */
    "0", "b",   "b|c|b|a", "?",  "7", "w", /* */
    "0", "b",   "c",       "40", "",  "w", /* */
    "1", "c",   "?",       "20", "4", "w",
};

static struct feature_set *small_set(void)
{
    return learn(schema, names, 6, cells, 6);
}

static void test_learned_layout(void **state)
{
    struct feature_set *set = small_set();
    (void)state;
    assert_int_equal(feature_set_n_fields(set), 5); /* without the label */
    assert_int_equal(feature_set_n_features(set), 5);
    assert_int_equal(feature_set_n_columns(set), 1 + 3 + 1 + 2);
    assert_int_equal(feature_set_n_id_columns(set), 5);
    assert_string_equal(feature_set_names(set), "domain, tags, age, price");
    const struct feature_info *domain = feature_set_info(set, 0), *tags = feature_set_info(set, 1);
    const struct feature_info *bucket = feature_set_info(set, 2), *age = feature_set_info(set, 3);
    assert_string_equal(domain->name, "domain");
    assert_int_equal(domain->n_ids, 1 + 2); /* unknown, b, 4; c came once */
    assert_string_equal(feature_set_value(set, 0, 1, NULL), "b");
    assert_string_equal(feature_set_value(set, 0, 2, NULL), "4");
    assert_null(feature_set_value(set, 0, 0, NULL));
    assert_null(feature_set_value(set, 0, 3, NULL));
    assert_int_equal(tags->kind, FEATURE_CATEGORIES);
    assert_int_equal(tags->n_columns, 3);
    assert_int_equal(tags->n_ids, 2 + 3);
    assert_string_equal(feature_set_value(set, 1, 2, NULL), "b");
    assert_string_equal(bucket->name, "age.bucket");
    assert_int_equal(bucket->n_ids, 3); /* missing and two buckets */
    assert_string_equal(age->name, "age");
    assert_int_equal(age->kind, FEATURE_NUMBER);
    assert_int_equal(age->first_column, 5);
    assert_string_equal(feature_set_records(set)->label, "click");
    feature_set_unref(set);
}

static void convert(const struct feature_set *set, const char *domain, const char *tags, const char *age,
                    const char *price, float *row, uint64_t *unknowns)
{
    struct field_value fields[] = {text(domain), text(tags), text(age), text(price), {0}};
    onnxd_error err;
    assert_ok(feature_set_convert(set, fields, row, unknowns, &err), err);
}

static void test_conversion(void **state)
{
    struct feature_set *set = small_set();
    uint64_t unknowns[5] = {0};
    float row[7];
    (void)state;
    convert(set, "4.00", "c|zebra|b|a", "20", "4", row, unknowns);
    const float want[] = {2, 4, 0, 2, 1};
    for (int i = 0; i < 5; i++) assert_true(row[i] == want[i]);
    /* ages 10, 20, 20, 30, 40: log(1 + age) has this mean and deviation */
    double logs[] = {log(11), log(21), log(21), log(31), log(41)}, mean = 0, variance = 0;
    for (int i = 0; i < 5; i++) mean += logs[i] / 5;
    for (int i = 0; i < 5; i++) variance += (logs[i] - mean) * (logs[i] - mean) / 5;
    assert_true(fabs((double)row[5] - (log(21) - mean) / sqrt(variance)) < 1e-6);
    assert_true(fabsf(row[6]) < 1e-6f); /* 4 is the mean of the prices */
    const uint64_t counted[] = {0, 1, 0, 0, 0};
    assert_memory_equal(unknowns, counted, sizeof counted);

    convert(set, "new", "", "?", "", row, unknowns);
    assert_true(row[0] == 0 && row[1] == 1 && row[2] == 1 && row[3] == 1 && row[4] == 0 && row[5] == 0 &&
                row[6] == 0);
    assert_int_equal(unknowns[0], 1);
    assert_int_equal(unknowns[1], 1);
    convert(set, "b", "a", "9", "1e6", row, NULL);
    assert_true(row[4] == 1);
    convert(set, "b", "a", "99", "1e6", row, NULL);
    assert_true(row[4] == 2);
    feature_set_unref(set);
}

static void test_numbers_and_digits_mean_the_same(void **state)
{
    struct feature_set *set = small_set();
    onnxd_error err;
    float row[7];
    const struct field_value forms[] = {text("4"), text("4.0"), string("4"), string("4.0")};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct field_value fields[] = {forms[i], text("a"), text("1"), text("2"), {0}};
        assert_ok(feature_set_convert(set, fields, row, NULL, &err), err);
        assert_true(row[0] == 2);
    }
    /* What only looks alike is another value. */
    static const char *const others[] = {"04", "4e0", "4.", "4.01", "-4", ".0", "-.0", "x.0", "0"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct field_value fields[] = {text(others[i]), text("a"), text("1"), text("2"), {0}};
        assert_ok(feature_set_convert(set, fields, row, NULL, &err), err);
        if (row[0] != 0) fail_msg("%s has id %g", others[i], (double)row[0]);
    }
    feature_set_unref(set);
}

static void test_lists(void **state)
{
    struct feature_set *set = small_set();
    onnxd_error err;
    float row[7];
    const struct field_value items[] = {string("b"), text("7"), string("a")};
    struct field_value list = {.kind = FIELD_LIST, .items = items, .n_items = 3};
    struct field_value fields[] = {text("b"), list, text("1"), text("2"), {0}};
    (void)state;
    assert_ok(feature_set_convert(set, fields, row, NULL, &err), err);
    assert_true(row[1] == 2 && row[2] == 0 &&
                row[3] == 4 - (strcmp(feature_set_value(set, 1, 3, NULL), "a") == 0));
    fields[0] = list;
    assert_fails(feature_set_convert(set, fields, row, NULL, &err), ONNXD_ERR_TYPE, err, "field 'domain'");
    fields[0] = text("b");
    fields[3] = list;
    assert_fails(feature_set_convert(set, fields, row, NULL, &err), ONNXD_ERR_TYPE, err, "field 'price'");
    feature_set_unref(set);
}

static void test_refused_values(void **state)
{
    struct feature_set *set = small_set();
    onnxd_error err;
    float row[7];
    struct field_value fields[] = {text("b"), text("a"), string("old"), text("2"), {0}};
    (void)state;
    assert_fails(feature_set_convert(set, fields, row, NULL, &err), ONNXD_ERR_TYPE, err,
                 "field 'age': expected a number, got the text 'old'");
    fields[2] = (struct field_value){0};
    assert_fails(feature_set_convert(set, fields, row, NULL, &err), ONNXD_ERR_FORMAT, err, "field 'age'");
    fields[2] = text("1");
    fields[3] = text("1e300");
    assert_fails(feature_set_convert(set, fields, row, NULL, &err), ONNXD_ERR_RANGE, err, "field 'price'");
    feature_set_unref(set);
}

static void assert_same(const struct feature_set *a, const struct feature_set *b)
{
    struct buf x, y;
    onnxd_error err;
    buf_init(&x, 1 << 20);
    buf_init(&y, 1 << 20);
    assert_ok(features_write(a, NULL, &x, &err), err);
    assert_ok(features_write(b, NULL, &y, &err), err);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.data, y.data, x.n);
    buf_done(&x);
    buf_done(&y);
}

static void test_file_round_trip(void **state)
{
    struct feature_set *set = small_set(), *again = NULL;
    struct buf out;
    onnxd_error err;
    float row[7], row2[7];
    (void)state;
    buf_init(&out, 1 << 20);
    assert_ok(features_write(set, NULL, &out, &err), err);
    assert_ok(features_read(out.data, out.n, NULL, &again, &err), err);
    assert_same(set, again);
    assert_int_equal(feature_set_n_columns(again), 7);
    assert_int_equal(feature_set_info(again, 0)->n_ids, 3);
    convert(set, "4", "c|zebra|b|a", "20.5", "3.25", row, NULL);
    convert(again, "4", "c|zebra|b|a", "20.5", "3.25", row2, NULL);
    assert_memory_equal(row, row2, sizeof row);
    buf_done(&out);
    feature_set_unref(set);
    feature_set_unref(again);
}

static void test_file_beside_its_model(void **state)
{
    char folder[] = "/tmp/features_XXXXXX", model[64], path[64];
    struct feature_set *set = small_set(), *again = NULL;
    onnxd_error err;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(model, sizeof model, "%s/m.onnx", folder);
    snprintf(path, sizeof path, "%s/m.features.json", folder);
    assert_ok(file_replace(model, "abc", 3, &err), err);
    assert_ok(features_load_beside(model, &again, &err), err);
    assert_null(again);
    assert_ok(features_save_beside(set, model, &err), err);
    assert_ok(features_load_beside(model, &again, &err), err);
    assert_same(set, again);
    feature_set_unref(again);
    assert_ok(file_replace(model, "abd", 3, &err), err);
    assert_fails(features_load_beside(model, &again, &err), ONNXD_ERR_MODEL, err, "another model");
    assert_non_null(strstr(err.message, path));
    assert_ok(file_replace(path, "{", 1, &err), err);
    assert_fails(features_load_beside(model, &again, &err), ONNXD_ERR_FORMAT, err, path);
    unlink(path);
    unlink(model);
    rmdir(folder);
    feature_set_unref(set);
}

static void test_hostile_files(void **state)
{
#define ONE(field) "{\"format\":1,\"fields\":[" field "]}"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "text ends"},
        {"[]", "object"},
        {"{\"fields\":[]}", "format"},
        {"{\"format\":1}", "fields is missing"},
        {"{\"format\":1,\"fields\":[]}", "no field makes a feature"},
        {"{\"format\":2,\"fields\":[]}", "the format is 2"},
        {"{\"format\":1,\"colour\":1}", "colour"},
        {"{\"format\":1,\"model_sha256\":\"abc\"}", "model_sha256"},
        {"{\"format\":1,\"records\":{\"x\":1}}", "records"},
        {"{\"format\":1,\"records\":{\"label\":\"a\",\"label\":\"b\"}}", "twice"},
        {ONE("{\"kind\":\"category\"}"), "name"},
        {ONE("{\"name\":\"a\",\"vocabulary\":[]}"), "kind"},
        {ONE("{\"name\":\"a\",\"kind\":\"colour\"}"), "expected dropped"},
        {ONE("{\"name\":\"\",\"kind\":\"category\",\"hash\":1}"), "name"},
        {ONE("{\"name\":\"a\\u0000b\",\"kind\":\"category\",\"hash\":1}"), "NUL"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\"}"), "vocabulary or a hash"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"hash\":3,\"vocabulary\":[]}"), "vocabulary or a hash"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"hash\":0}"), "hash"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"hash\":16777216}"), "expected 1..16777215"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"vocabulary\":[\"x\",\"x\"]}"), "twice"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"vocabulary\":[1]}"), "vocabulary[0]"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"vocabulary\":7}"), "vocabulary"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"vocabulary\":[\"x\""), "text ends"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"slots\":3}"), "slots"},
        {ONE("{\"name\":\"a\",\"kind\":\"categories\",\"hash\":3}"), "slots is missing"},
        {ONE("{\"name\":\"a\",\"kind\":\"categories\",\"slots\":5000}"), "slots"},
        {ONE("{\"name\":\"a\",\"kind\":\"categories\",\"separator\":\"ab\"}"), "one character"},
        {ONE("{\"name\":\"a\",\"kind\":\"number\"}"), "bounds or normalise"},
        {ONE("{\"name\":\"a\",\"kind\":\"number\",\"bounds\":[1,1]}"), "bounds[1]"},
        {ONE("{\"name\":\"a\",\"kind\":\"number\",\"bounds\":[1e999]}"), "bounds[0]"},
        {ONE("{\"name\":\"a\",\"kind\":\"number\",\"normalise\":{\"low\":2,\"high\":1}}"), "low < high"},
        {ONE("{\"name\":\"a\",\"kind\":\"number\",\"normalise\":{\"colour\":2}}"), "colour"},
        {ONE("{\"name\":\"a\",\"kind\":\"category\",\"hash\":1},{\"name\":\"a\",\"kind\":\"dropped\"}"),
         "twice"},
        {ONE("{\"name\":\"a\",\"kind\":\"categories\",\"slots\":4096,\"hash\":1},"
             "{\"name\":\"b\",\"kind\":\"category\",\"hash\":1}"),
         "columns"},
    };
#undef ONE
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct feature_set *set = NULL;
        onnxd_error err = {0};
        if (features_read(cases[i].text, strlen(cases[i].text), NULL, &set, &err) == ONNXD_OK)
            fail_msg("accepted: %s", cases[i].text);
        if (strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: \"%s\" should hold \"%s\"", cases[i].text, err.message, cases[i].message);
    }
}

static void test_hash_and_reserved_ids(void **state)
{
    static const char text_[] =
        "{\"format\":1,\"fields\":[{\"name\":\"a\",\"kind\":\"category\",\"hash\":100},"
        "{\"name\":\"b\",\"kind\":\"categories\",\"slots\":2,\"hash\":10},"
        "{\"name\":\"c\",\"kind\":\"category\",\"ids\":20,\"vocabulary\":[\"x\"]}]}";
    struct feature_set *set = NULL;
    onnxd_error err;
    float row[4];
    uint64_t unknowns[3] = {0};
    (void)state;
    assert_ok(features_read(text_, strlen(text_), NULL, &set, &err), err);
    assert_int_equal(feature_set_info(set, 0)->n_ids, 100);
    assert_int_equal(feature_set_info(set, 0)->unknown_id, FEATURE_NO_ID);
    assert_int_equal(feature_set_info(set, 1)->n_ids, 11);
    assert_int_equal(feature_set_info(set, 1)->padding_id, 10);
    assert_int_equal(feature_set_info(set, 2)->n_ids, 20);
    struct field_value fields[] = {text("anything"), text("p"), text("x")};
    assert_ok(feature_set_convert(set, fields, row, unknowns, &err), err);
    assert_true(row[0] >= 0 && row[0] < 100 && row[0] == (float)(hash_bytes("anything", 8, 0) % 100));
    assert_true(row[1] < 10 && row[2] == 10 && row[3] == 1);
    assert_int_equal(unknowns[0] + unknowns[1] + unknowns[2], 0);
    feature_set_unref(set);
}

static void test_plans(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"colour\":1}", "colour"},
        {"{\"label\":7}", "label"},
        {"{\"label\":\"a\",\"fields\":[{\"kind\":\"number\"}]}", "name"},
        {"{\"fields\":[{\"name\":\"x\",\"kind\":\"colour\"}]}", "kind"},
        {"{\"fields\":[{\"name\":\"x\",\"normalise\":\"colour\"}]}", "normalise"},
        {"{\"fields\":[{\"name\":\"x\",\"buckets\":1}]}", "expected 2.."},
        {"{\"dense\":[\"\"]}", "name"},
    };
    struct feature_plan *plan = NULL;
    onnxd_error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(feature_plan_create(&plan, &err), err);
        onnxd_status status = feature_plan_read(plan, cases[i].text, strlen(cases[i].text), &err);
        if (status == ONNXD_OK || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s", cases[i].text, status == ONNXD_OK ? "accepted" : err.message);
        feature_plan_free(plan);
    }
    plan = plan_of("{\"label\":\"y\"}");
    assert_fails(feature_plan_assign(plan, "z", PLAN_LABEL, &err), ONNXD_ERR_ARGUMENT, err, "'y' and 'z'");
    assert_ok(feature_plan_assign(plan, "a,b", PLAN_NUMBER, &err), err);
    assert_ok(feature_plan_set_columns(plan, "y,a,b", &err), err);
    assert_int_equal(plan->n_columns, 3);
    assert_string_equal(plan->columns[2], "b");
    assert_int_equal(feature_plan_of(plan, "b", 1).role, PLAN_NUMBER);
    assert_int_equal(feature_plan_of(plan, "c", 1).role, PLAN_CATEGORY);
    struct feature_learner *learner = NULL;
    const char *const present[] = {"y", "a"};
    assert_fails(feature_learner_create(plan, present, 2, &learner, &err), ONNXD_ERR_NOT_FOUND, err, "'b'");
    feature_plan_free(plan);
}

/* Heavy values survive a table far smaller than the number of values. */
static void test_counting_in_bounded_memory(void **state)
{
    struct value_counts counts;
    struct rng rng = rng_seed(test_seed());
    (void)state;
    value_counts_init(&counts, 200);
    for (int i = 0; i < 100000; i++) {
        char word[32];
        uint64_t heavy = rng_below(&rng, 20), n;
        if (heavy < 10)
            n = (uint64_t)snprintf(word, sizeof word, "heavy%llu", (unsigned long long)heavy);
        else
            n = (uint64_t)snprintf(word, sizeof word, "rare%d", i);
        assert_true(value_counts_add(&counts, (onnxd_string){word, n}));
        assert_true(counts.n <= 200);
    }
    value_counts_sort(&counts);
    for (int i = 0; i < 10; i++) {
        assert_memory_equal(counts.items[i].text.data, "heavy", 5);
        assert_in_range(counts.items[i].n, 4600, 5400 + counts.floor);
    }
    assert_in_range(counts.items[10].n, 1, counts.floor + 1);
    value_counts_done(&counts);
}

static void test_quantile_bounds(void **state)
{
    struct number_sketch sketch;
    double bounds[9];
    (void)state;
    number_sketch_init(&sketch);
    for (int i = 0; i < 1000; i++) assert_true(number_sketch_add(&sketch, i));
    assert_int_equal(number_sketch_bounds(&sketch, 10, bounds), 9);
    for (int i = 0; i < 9; i++) assert_true(bounds[i] == 100 * (i + 1));
    assert_true(fabs(sketch.plain.mean - 499.5) < 1e-9);
    assert_true(fabs(number_moments_deviation(&sketch.plain, 1000) - sqrt((1e6 - 1) / 12)) < 1e-9);
    number_sketch_done(&sketch);

    /* Nine tenths zeros: they take one bucket, the other nine share the rest. */
    number_sketch_init(&sketch);
    for (int i = 0; i < 900; i++) assert_true(number_sketch_add(&sketch, 0));
    for (int i = 1; i <= 90; i++) assert_true(number_sketch_add(&sketch, i));
    assert_int_equal(number_sketch_bounds(&sketch, 10, bounds), 9);
    for (int i = 0; i < 9; i++) assert_true(bounds[i] == 10 * i + 1);
    number_sketch_done(&sketch);

    number_sketch_init(&sketch);
    for (int i = 0; i < 5; i++) assert_true(number_sketch_add(&sketch, 3));
    assert_int_equal(number_sketch_bounds(&sketch, 10, bounds), 0);
    assert_true(number_moments_deviation(&sketch.plain, 5) == 0);
    number_sketch_done(&sketch);
}

/* More numbers than the reservoir keeps: the bounds stay near the true quantiles. */
static void test_quantiles_of_a_long_stream(void **state)
{
    struct number_sketch sketch;
    struct rng rng = rng_seed(test_seed());
    double bounds[3];
    (void)state;
    number_sketch_init(&sketch);
    for (int i = 0; i < 500000; i++) assert_true(number_sketch_add(&sketch, rng_f64(&rng)));
    assert_int_equal(number_sketch_bounds(&sketch, 4, bounds), 3);
    /* 2^16 draws: the deviation of a quantile is 0.002; five of them. */
    for (int i = 0; i < 3; i++)
        if (fabs(bounds[i] - 0.25 * (i + 1)) > 0.01) fail_msg("bound %d is %g", i, bounds[i]);
    number_sketch_done(&sketch);
}

static void test_values_of_texts(void **state)
{
    static const struct {
        const char *text;
        enum field_kind kind;
        double number;
    } cases[] = {{"", FIELD_NULL, 0},      {"0", FIELD_NUMBER, 0},     {"-1.5e2", FIELD_NUMBER, -150},
                 {"01", FIELD_STRING, 0},  {"1e999", FIELD_STRING, 0}, {"true", FIELD_BOOL, 1},
                 {"false", FIELD_BOOL, 0}, {"True", FIELD_STRING, 0},  {" 1", FIELD_STRING, 0},
                 {"-", FIELD_STRING, 0},   {"1a", FIELD_STRING, 0},    {"nan", FIELD_STRING, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct field_value value = text(cases[i].text);
        if (value.kind != cases[i].kind || value.number != cases[i].number)
            fail_msg("'%s': kind %d, number %g", cases[i].text, value.kind, value.number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learned_layout),
        cmocka_unit_test(test_conversion),
        cmocka_unit_test(test_numbers_and_digits_mean_the_same),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refused_values),
        cmocka_unit_test(test_file_round_trip),
        cmocka_unit_test(test_file_beside_its_model),
        cmocka_unit_test(test_hostile_files),
        cmocka_unit_test(test_hash_and_reserved_ids),
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_counting_in_bounded_memory),
        cmocka_unit_test(test_quantile_bounds),
        cmocka_unit_test(test_quantiles_of_a_long_stream),
        cmocka_unit_test(test_values_of_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
