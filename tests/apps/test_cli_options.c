#include "support/test.h"

#include <stdlib.h>
#include <unistd.h>

#include "cli_options.h"

struct values {
    bool verbose;
    const char *input;
    struct cli_texts models;
    uint32_t max_batch;
    uint64_t body_bytes;
    double rate;
    int engine;
    struct cli_numbers batches;
};

static const struct cli_option options[] = {
    {"", CLI_HEADING, .help = "what to run"},
    {"model", CLI_TEXTS, CLI_AT(struct values, models), "FILE", "model to run"},
    {"input", CLI_TEXT, CLI_AT(struct values, input), "FILE", "rows"},
    {"verbose", CLI_FLAG, CLI_AT(struct values, verbose), .help = "says more"},
    {"max-batch", CLI_U32, CLI_AT(struct values, max_batch), "N", "rows of a run", .min = 1, .max = 64,
     .env = "TEST_BATCH"},
    {"body-bytes", CLI_BYTES, CLI_AT(struct values, body_bytes), "N", "most bytes", .min = 1},
    {"rate", CLI_F64, CLI_AT(struct values, rate), "X", "requests a second", .min = -2, .max = 1e6},
    {"engine", CLI_CHOICE, CLI_AT(struct values, engine), "auto|native|onnxruntime", "what runs it"},
    {"batches", CLI_NUMBERS, CLI_AT(struct values, batches), "N,N", "sizes", .min = 1, .max = 1000},
};

static const struct cli_command command = {"onnxd test", "A test.", CLI_TABLE(options),
                                           .positionals = "THING...", .max_positionals = 2};

/* What the call prints on the two streams goes to `text`. */
static int parse(const char *line, struct values *v, char **argv, uint32_t *n, char *text, size_t n_text)
{
    static char copy[1024];
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    argv[0] = (char[]){"test"};
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) argv[argc++] = word;
    FILE *file = tmpfile();
    fflush(stdout);
    fflush(stderr);
    int out = dup(1), err = dup(2);
    dup2(fileno(file), 1);
    dup2(fileno(file), 2);
    int result = cli_parse(&command, argc, argv, v, n);
    fflush(stdout);
    fflush(stderr);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    rewind(file);
    text[fread(text, 1, n_text - 1, file)] = 0;
    fclose(file);
    return result;
}

static const struct values defaults = {
    .max_batch = 64, .body_bytes = 1 << 20, .rate = 10, .engine = 1, .batches = {{1, 8}, 2}};

static char text[8192];
static char *args[64];

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    struct values v = defaults;
    uint32_t n = 9;
    int result = parse(
        "one --model a.onnx --model=b.onnx --verbose --max-batch 7 --body-bytes 3M --rate -1.5 "
        "--engine onnxruntime --batches 1,32,1000 --input - -- --two",
        &v, args, &n, text, sizeof text);
    assert_int_equal(result, CLI_GO_ON);
    assert_int_equal(n, 2);
    assert_string_equal(args[1], "one");
    assert_string_equal(args[2], "--two");
    assert_int_equal(v.models.n, 2);
    assert_string_equal(v.models.items[0], "a.onnx");
    assert_string_equal(v.models.items[1], "b.onnx");
    assert_true(v.verbose);
    assert_int_equal(v.max_batch, 7);
    assert_int_equal(v.body_bytes, 3 << 20);
    assert_true(v.rate == -1.5);
    assert_int_equal(v.engine, 2);
    assert_int_equal(v.batches.n, 3);
    assert_int_equal(v.batches.items[2], 1000);
    assert_string_equal(v.input, "-");
    assert_string_equal(text, "");
    assert_int_equal(parse("--no-verbose", &v, args, &n, text, sizeof text), CLI_GO_ON);
    assert_false(v.verbose);
}

static void faults_name_the_option_and_what_was_expected(void **state)
{
    (void)state;
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"--max-bach 3", "unknown option --max-bach; did you mean --max-batch?"},
        {"--zzz", "unknown option --zzz\n"},
        {"-v", "two dashes"},
        {"--max-batch", "--max-batch needs a value: N"},
        {"--max-batch --verbose", "--max-batch needs a value: N"},
        {"--max-batch 0", "--max-batch: expected a whole number in 1..64, got '0'"},
        {"--max-batch 65", "1..64, got '65'"},
        {"--max-batch -3", "1..64, got '-3'"},
        {"--max-batch 3x", "got '3x'"},
        {"--max-batch=", "got ''"},
        {"--max-batch 18446744073709551620", "1..64"},
        {"--body-bytes 20000000000G", "a number of bytes of at least 1"},
        {"--body-bytes 3MM", "got '3MM'"},
        {"--body-bytes M", "got 'M'"},
        {"--rate nan", "expected a number in -2..1000000, got 'nan'"},
        {"--rate 1e7", "got '1e7'"},
        {"--engine nativ", "expected one of auto|native|onnxruntime, got 'nativ'"},
        {"--batches 1,,2", "whole numbers with commas in 1..1000, got '1,,2'"},
        {"--batches 1,1001", "1..1000"},
        {"--verbose=maybe", "expected true or false, got 'maybe'"},
        {"a b c", "unexpected argument 'c'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct values v = defaults;
        uint32_t n = 0;
        int result = parse(cases[i].line, &v, args, &n, text, sizeof text);
        if (result != CLI_EXIT_USAGE || strstr(text, cases[i].want) == NULL ||
            strncmp(text, "onnxd test: ", 12))
            fail_msg("%s: exit %d, expected \"%s\" in: %s", cases[i].line, result, cases[i].want, text);
    }
}

static void the_environment_fills_what_the_command_line_leaves_open(void **state)
{
    (void)state;
    struct values v = defaults;
    uint32_t n = 0;
    setenv("ONNXD_MODEL", "x.onnx,y.onnx", 1);
    setenv("TEST_BATCH", "5", 1);
    setenv("ONNXD_VERBOSE", "yes", 1);
    setenv("ONNXD_RATE", "", 1); /* empty is the same as not there */
    assert_int_equal(parse("", &v, args, &n, text, sizeof text), CLI_GO_ON);
    assert_int_equal(v.models.n, 2);
    assert_string_equal(v.models.items[1], "y.onnx");
    assert_int_equal(v.max_batch, 5);
    assert_true(v.verbose);
    setenv("ONNXD_MAX_BATCH", "6", 1); /* the option's own name goes before the second one */
    v = defaults;
    assert_int_equal(parse("--model z.onnx", &v, args, &n, text, sizeof text), CLI_GO_ON);
    assert_int_equal(v.max_batch, 6);
    assert_int_equal(v.models.n, 1);
    setenv("ONNXD_MAX_BATCH", "many", 1);
    assert_int_equal(parse("", &v, args, &n, text, sizeof text), CLI_EXIT_USAGE);
    assert_non_null(strstr(text, "ONNXD_MAX_BATCH: expected a whole number in 1..64, got 'many'"));
    assert_int_equal(parse("--max-batch 2", &v, args, &n, text, sizeof text), CLI_GO_ON);
    static const char *const names[] = {"ONNXD_MODEL", "TEST_BATCH", "ONNXD_VERBOSE", "ONNXD_RATE",
                                        "ONNXD_MAX_BATCH"};
    for (int i = 0; i < 5; i++) unsetenv(names[i]);
}

static void help_tells_every_option_its_range_and_default(void **state)
{
    (void)state;
    struct values v = defaults;
    uint32_t n = 0;
    assert_int_equal(parse("--max-bach 3 --help", &v, args, &n, text, sizeof text), CLI_EXIT_OK);
    static const char *const wanted[] = {"usage: onnxd test THING... [options]\nA test.\n",
                                         "what to run:\n",
                                         "--model FILE",
                                         "(1..64; default 64; also from TEST_BATCH)",
                                         "(at least 1; default 1M)",
                                         "--engine auto|native|onnxruntime\n",
                                         "default native",
                                         "default 1,8"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(text, wanted[i]) == NULL) fail_msg("expected \"%s\" in:\n%s", wanted[i], text);
    for (size_t i = 1; i < sizeof options / sizeof *options; i++)
        if (strstr(text, options[i].name) == NULL) fail_msg("--%s is missing in:\n%s", options[i].name, text);
    assert_int_equal(parse("--version", &v, args, &n, text, sizeof text), CLI_EXIT_OK);
    assert_string_equal(text, "onnxd " ONNXD_VERSION "\n");
}

static void only_near_words_are_proposed(void **state)
{
    (void)state;
    static const char *const words[] = {"serve", "predict", "inspect", "bench"};
    assert_string_equal(cli_nearest("preditc", words, 4), "predict");
    assert_string_equal(cli_nearest("bnech", words, 4), "bench");
    assert_string_equal(cli_nearest("servee", words, 4), "serve");
    assert_null(cli_nearest("train", words, 4));
    assert_null(cli_nearest("", words, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type_are_read),
        cmocka_unit_test(faults_name_the_option_and_what_was_expected),
        cmocka_unit_test(the_environment_fills_what_the_command_line_leaves_open),
        cmocka_unit_test(help_tells_every_option_its_range_and_default),
        cmocka_unit_test(only_near_words_are_proposed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
