#include "serve/model_config.h"
#include "support/test.h"

static struct version_settings start(void)
{
    return (struct version_settings){.max_batch = 64, .max_queue_size = 1024, .warm_up_rows = 7};
}

static void every_field_is_read(void **state)
{
    (void)state;
    onnxd_error err;
    struct version_settings settings = start();
    static const char text[] =
        "{\"engine\":\"onnxruntime\",\"precision\":\"bf16\",\"compute\":\"threads\",\"max_batch\":32,"
        "\"max_queue_size\":9,\"max_queue_delay_us\":250,\"preferred_batch_sizes\":[4,16,32],"
        "\"warm_up_rows\":0}";
    assert_ok(model_config_read(text, strlen(text), &settings, &err), err);
    assert_int_equal(settings.model.engine, ONNXD_ENGINE_ONNXRUNTIME);
    assert_int_equal(settings.model.precision, ONNXD_PRECISION_BF16);
    assert_int_equal(settings.place, VERSION_PLACE_THREADS);
    assert_int_equal(settings.max_batch, 32);
    assert_int_equal(settings.max_queue_size, 9);
    assert_int_equal(settings.max_queue_delay_ns, 250000);
    assert_int_equal(settings.n_preferred, 3);
    assert_int_equal(settings.preferred[1], 16);
    assert_int_equal(settings.warm_up_rows, 0);
    settings = start();
    assert_ok(model_config_read("{}", 2, &settings, &err), err);
    assert_int_equal(settings.warm_up_rows, 7);
    assert_int_equal(settings.max_batch, 64);
}

static void faults_are_named_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
        onnxd_status status;
    } cases[] = {
        {"{\"max_batch\":0}", "max_batch: expected a number from 1 to 65536", ONNXD_ERR_RANGE},
        {"{\"max_batch\":65537}", "max_batch: expected a number from 1 to 65536", ONNXD_ERR_RANGE},
        {"{\"max_batch\":1.5}", "max_batch", ONNXD_ERR_RANGE},
        {"{\"max_queue_size\":0}", "max_queue_size: expected a number from 1", ONNXD_ERR_RANGE},
        {"{\"max_queue_delay_us\":10000001}", "max_queue_delay_us: expected a number from 0 to 10000000",
         ONNXD_ERR_RANGE},
        {"{\"preferred_batch_sizes\":[8,4]}", "expected numbers that rise", ONNXD_ERR_RANGE},
        {"{\"preferred_batch_sizes\":[8,8]}", "expected numbers that rise", ONNXD_ERR_RANGE},
        {"{\"preferred_batch_sizes\":[65]}", "preferred_batch_sizes: 65 is more than max_batch = 64",
         ONNXD_ERR_RANGE},
        {"{\"preferred_batch_sizes\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
         "expected up to 16 numbers", ONNXD_ERR_LIMIT},
        {"{\"engine\":\"fast\"}", "engine: expected one of auto, native, onnxruntime", ONNXD_ERR_RANGE},
        {"{\"compute\":\"gpu\"}", "compute: expected one of auto, loop, threads", ONNXD_ERR_RANGE},
        {"{\"max_batches\":4}", "max_batches: unknown field: expected engine, precision",
         ONNXD_ERR_NOT_FOUND},
        {"{\"max_batch\":4", "", ONNXD_ERR_FORMAT},
        {"[]", "", ONNXD_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        onnxd_error err = {.message = ""};
        struct version_settings settings = start(), before = start();
        onnxd_status status = model_config_read(cases[i].text, strlen(cases[i].text), &settings, &err);
        if (status == ONNXD_OK || strstr(err.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", cases[i].text, onnxd_status_name(status), err.message);
        if (status != cases[i].status)
            fail_msg("%s: %s: %s", cases[i].text, onnxd_status_name(status), err.message);
        assert_memory_equal(&settings, &before, sizeof settings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(faults_are_named_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
