/* onnxd inspect, as a user calls it. */
#include "support/test.h"

#include "json/json_reader.h"
#include "support/models.h"
#include "support/run_program.h"

struct found { /* of the JSON answer */
    uint64_t n_nodes_exported, n_counted, n_steps, flops, step_flops, arena_bytes, session_bytes;
    double ns;
};

static void read_operator(struct json_reader *r, struct found *found)
{
    struct json_text key;
    uint64_t n;
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        if (json_text_is(&key, "n") && json_read_u64(r, &n))
            found->n_counted += n;
        else
            json_skip(r);
    }
}

static void read_step(struct json_reader *r, struct found *found)
{
    struct json_text key;
    uint64_t flops;
    double ns;
    found->n_steps++;
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        if (json_text_is(&key, "flops") && json_read_u64(r, &flops))
            found->step_flops += flops;
        else if (json_text_is(&key, "ns") && json_read_f64(r, &ns))
            found->ns += ns;
        else
            json_skip(r);
    }
}

static struct found read_answer(const struct run_result *got)
{
    struct found found = {0};
    struct json_reader r;
    struct json_text key;
    onnxd_error err;
    json_reader_init(&r, got->out, got->n_out, &err);
    json_enter_object(&r);
    while (json_next_key(&r, &key)) {
        if (json_text_is(&key, "n_nodes_exported")) {
            json_read_u64(&r, &found.n_nodes_exported);
        } else if (json_text_is(&key, "flops")) {
            json_read_u64(&r, &found.flops);
        } else if (json_text_is(&key, "arena_bytes")) {
            json_read_u64(&r, &found.arena_bytes);
        } else if (json_text_is(&key, "session_bytes")) {
            json_read_u64(&r, &found.session_bytes);
        } else if (json_text_is(&key, "exported")) {
            json_enter_array(&r);
            while (json_next_element(&r)) read_operator(&r, &found);
        } else if (json_text_is(&key, "steps")) {
            json_enter_array(&r);
            while (json_next_element(&r)) read_step(&r, &found);
        } else {
            json_skip(&r);
        }
    }
    assert_ok(json_finish(&r), err);
    return found;
}

static void json_tells_operators_memory_and_steps(void **state)
{
    (void)state;
    const char *argv[] = {"onnxd",   "inspect",  stored_model_path("deepfm"),
                          "--json",  "--engine", "native",
                          "--runs",  "3",        "--profile",
                          "--batch", "4",        NULL};
    struct run_result got = run_program(argv, NULL, 0);
    assert_string_equal(got.err, "");
    assert_int_equal(got.exit_code, 0);
    struct found found = read_answer(&got);
    assert_int_equal(found.n_nodes_exported, 148);
    assert_int_equal(found.n_counted, 148);
    assert_true(found.n_steps > 0 && found.n_steps < 148);
    assert_int_equal(found.flops, found.step_flops);
    assert_true(found.flops >= 4u * 2 * 62784); /* multiply-adds of the dense layers of four rows */
    assert_true(found.session_bytes >= found.arena_bytes && found.arena_bytes > 0);
    assert_true(found.ns > 0);
    run_result_done(&got);
}

static void text_tells_the_same(void **state)
{
    (void)state;
    const char *argv[] = {"onnxd", "inspect", stored_model_path("deepfm"), "--plan", "--batch", "100", NULL};
    struct run_result got = run_program(argv, NULL, 0);
    static const char *const wanted[] = {"producer  pytorch 1.13.0\n",
                                         "opset     13, ",
                                         "input     input  float32[batch, 15]\n",
                                         "output    output  float32[batch, 1]\n",
                                         "148 nodes: Constant 68, ",
                                         "runs as ",
                                         "session for 100 rows",
                                         "in tiles of ",
                                         "\nplan for "};
    assert_int_equal(got.exit_code, 0);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(got.out, wanted[i]) == NULL) fail_msg("expected \"%s\" in:\n%s", wanted[i], got.out);
    run_result_done(&got);
}

static void faults_are_told(void **state)
{
    (void)state;
    char bad[4096];
    snprintf(bad, sizeof bad, "%s", scratch_file("bad.onnx", "\x08\x07garbage", 9));
    struct {
        const char *argv[5];
        int exit_code;
        const char *want;
    } cases[] = {
        {{"onnxd", "inspect", NULL}, 64, "expected MODEL"},
        {{"onnxd", "inspect", "/nonexistent.onnx", NULL}, 66, "/nonexistent.onnx: "},
        {{"onnxd", "inspect", bad, NULL}, 65, "bad.onnx: "},
        {{"onnxd", "inspect", bad, "--paln", NULL}, 64, "did you mean --plan?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run_result got = run_program(cases[i].argv, NULL, 0);
        if (got.exit_code != cases[i].exit_code || strstr(got.err, cases[i].want) == NULL)
            fail_msg("case %zu: expected exit %d with \"%s\", got %d: %s", i, cases[i].exit_code,
                     cases[i].want, got.exit_code, got.err);
        run_result_done(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_tells_operators_memory_and_steps),
        cmocka_unit_test(text_tells_the_same),
        cmocka_unit_test(faults_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
