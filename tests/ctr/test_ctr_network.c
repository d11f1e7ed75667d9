#include "support/test.h"

#include "ctr/ctr_network.h"
#include "ctr/ctr_shape.h"
#include "features/features_file.h"

static const char FEATURES[] =
    "{\"format\":1,\"fields\":["
    "{\"name\":\"site\",\"kind\":\"category\",\"vocabulary\":[\"a\",\"b\"]},"
    "{\"name\":\"age\",\"kind\":\"number\",\"normalise\":{\"subtract\":0,\"multiply\":1,\"missing\":0}},"
    "{\"name\":\"tags\",\"kind\":\"categories\",\"slots\":3,\"separator\":\";\",\"vocabulary\":[\"x\"]},"
    "{\"name\":\"price\",\"kind\":\"number\",\"bounds\":[1,2],"
    "\"normalise\":{\"subtract\":0,\"multiply\":1,\"missing\":0}},"
    "{\"name\":\"hour\",\"kind\":\"category\",\"hash\":10}]}";

static struct feature_set *read_set(void)
{
    struct feature_set *set = NULL;
    onnxd_error err;
    assert_ok(features_read(FEATURES, sizeof FEATURES - 1, NULL, &set, &err), err);
    return set;
}

static void crosses_are_read_by_name(void **state)
{
    (void)state;
    struct feature_set *set = read_set();
    struct ctr_network network = {.embedding = 4};
    struct ctr_shape shape;
    onnxd_error err;
    assert_ok(ctr_network_set_crosses(&network, set, "hour*site,tags*price*hour", &err), err);
    assert_int_equal(network.n_crosses, 2);
    assert_ok(ctr_shape_init(&shape, set, &network, &err), err);
    static const char *const want[] = {"hour", "site", "tags", "price.bucket", "hour"};
    assert_int_equal(shape.n_fields, 4);
    assert_int_equal(shape.n_factors, 5);
    uint32_t row = ctr_shape_first_factor_row(&shape), place = shape.first_dense, at = 4 * 4 + shape.n_dense;
    for (uint32_t i = 0; i < 5;
         i++) { /* each with rows, places and values of its own, from the same columns */
        const struct ctr_field *factor = &shape.fields[4 + i], *field = shape.fields;
        while (strcmp(field->name, want[i]) != 0) field++;
        assert_string_equal(factor->name, want[i]);
        assert_int_equal(factor->first_column, field->first_column);
        assert_int_equal(factor->padding_id, field->padding_id);
        assert_int_equal(factor->first_row, row);
        assert_int_equal(factor->first_place, place);
        assert_int_equal(ctr_shape_value_at(&shape, 4 + i), at);
        row += field->n_ids;
        place += field->n_slots;
        at += 4;
    }
    assert_int_equal(shape.n_rows, row);
    assert_int_equal(shape.n_places, place);
    ctr_shape_done(&shape);
    feature_set_unref(set);
}

static void wrong_crosses_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {{"site*planet", "\"site*planet\": the model has no field \"planet\""},
                 {"hour*site,age*site", "\"age*site\": \"age\" is a number"},
                 {"site", "\"site\": a single field"},
                 {"", "no field \"\""},
                 {"site*hour,", "no field \"\""},
                 {"site*", "no field \"\""},
                 {"site*hour*site", "\"site\" stands there twice"},
                 {"site*hour,hour*site", "\"hour*site\": given twice"},
                 {"site*hour*tags*price", "more than 3 fields"}};
    struct feature_set *set = read_set();
    struct ctr_network network = {.embedding = 4};
    onnxd_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(ctr_network_set_crosses(&network, set, cases[i].text, &err), ONNXD_ERR_ARGUMENT, err,
                     cases[i].part);
    assert_ok(ctr_network_set_crosses(&network, set, "price.bucket*site", &err), err);
    char name[300] = {0};
    memset(name, 'n', sizeof name - 1);
    assert_fails(ctr_network_set_crosses(&network, set, name, &err), ONNXD_ERR_ARGUMENT, err, "too long");
    feature_set_unref(set);
}

static void networks_survive_bytes_and_wrong_ones_do_not(void **state)
{
    (void)state;
    const struct ctr_network good = {.embedding = 5,
                                     .hidden = {7, 3},
                                     .n_hidden = 2,
                                     .crosses = {{{2, 0}, 2}, {{1, 2, 0}, 3}},
                                     .n_crosses = 2};
    struct ctr_network loaded, bad;
    struct buf bytes, again;
    onnxd_error err;
    buf_init(&bytes, 1 << 16);
    buf_init(&again, 1 << 16);
    ctr_network_save(&good, &bytes);
    const unsigned char *data = (const unsigned char *)bytes.data;
    struct byte_reader in = {.at = data, .end = data + bytes.n};
    ctr_network_load(&in, &loaded);
    assert_false(in.failed);
    assert_ptr_equal(in.at, in.end);
    ctr_network_save(&loaded, &again);
    assert_int_equal(again.n, bytes.n);
    assert_memory_equal(again.data, bytes.data, bytes.n);
    assert_ok(ctr_network_check(&loaded, 3, &err), err);
    assert_fails(ctr_network_check(&loaded, 2, &err), ONNXD_ERR_RANGE, err, "cross 1");
    for (size_t n = 0; n < bytes.n; n++) {
        in = (struct byte_reader){.at = data, .end = data + n};
        ctr_network_load(&in, &bad);
        assert_true(in.failed);
    }
    bad = good;
    bad.crosses[1].fields[2] = 1;
    assert_fails(ctr_network_check(&bad, 3, &err), ONNXD_ERR_RANGE, err, "cross 2");
    bad = good;
    bad.crosses[0].n = 4;
    assert_fails(ctr_network_check(&bad, 3, &err), ONNXD_ERR_RANGE, err, "cross 1");
    bad = good;
    bad.n_crosses = CTR_MAX_CROSSES + 1;
    assert_fails(ctr_network_check(&bad, 3, &err), ONNXD_ERR_RANGE, err, "crosses: at most");
    bad = good;
    bad.hidden[1] = 0;
    assert_fails(ctr_network_check(&bad, 3, &err), ONNXD_ERR_RANGE, err, "hidden layer 2");
    bad = good;
    bad.embedding = 0;
    assert_fails(ctr_network_check(&bad, 3, &err), ONNXD_ERR_RANGE, err, "embedding");
    buf_done(&bytes);
    buf_done(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crosses_are_read_by_name),
        cmocka_unit_test(wrong_crosses_are_named),
        cmocka_unit_test(networks_survive_bytes_and_wrong_ones_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
