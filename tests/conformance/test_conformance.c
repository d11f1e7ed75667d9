/* Runs the official ONNX tests of Debian's libonnx-testdata, each in a process of its own.
 *
 * usage: test_conformance [--verbose] [--failed] [--write-docs] [TEST...]
 *   TEST           a test such as node/test_abs, or the start of names such as node/test_if; all by default
 *   --verbose      one line for each test with its first difference or error, and results per operator
 *   --failed       prints the names of the tests that fail though not excluded, nothing else
 *   --write-docs   writes docs/operators.md
 *
 * Without options it is the gate: every test must pass but those of tests/conformance/excluded.txt (NAME
 * and the reason), the lists in the shared material, where present, must not name an excluded test, and
 * docs/operators.md must say what --write-docs would write. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/conformance.h"
#include "support/isolate.h"
#include "support/operators_doc.h"

enum { MAX_TESTS = 4096, MAX_NAME = 128, MAX_LIST_BYTES = 1 << 20, DOC_BYTES = 1 << 20 };

#define DOC_PATH SOURCE_DIR "/docs/operators.md"

static const char *const groups[] = {"node", "simple", "pytorch-operator", "pytorch-converted"};
enum { N_GROUPS = sizeof groups / sizeof groups[0] };

struct conformance_test {
    char name[MAX_NAME];
    bool excluded, passed;
};

struct suite {
    struct conformance_test tests[MAX_TESTS];
    uint32_t n;
    bool gate, verbose, only_failed;
};

/* ---- lists --------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct conformance_test *)a)->name, ((const struct conformance_test *)b)->name);
}

static bool wanted(const char *name, char **only, int n_only)
{
    for (int i = 0; i < n_only; i++)
        if (strncmp(name, only[i], strlen(only[i])) == 0) return true;
    return n_only == 0;
}

static void list_tests(struct suite *suite, char **only, int n_only)
{
    for (int g = 0; g < N_GROUPS; g++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", CONFORMANCE_DATA, groups[g]);
        DIR *folder = opendir(path);
        if (folder == NULL) continue;
        uint32_t first = suite->n;
        for (struct dirent *entry; (entry = readdir(folder)) != NULL && suite->n < MAX_TESTS;) {
            struct conformance_test *test = &suite->tests[suite->n];
            if (entry->d_name[0] == '.') continue;
            int n = snprintf(test->name, sizeof test->name, "%s/%s", groups[g], entry->d_name);
            if (n < MAX_NAME && wanted(test->name, only, n_only)) suite->n++;
        }
        closedir(folder);
        qsort(suite->tests + first, suite->n - first, sizeof suite->tests[0], by_name);
    }
}

static struct conformance_test *find_test(struct suite *suite, const char *name)
{
    for (uint32_t i = 0; i < suite->n; i++)
        if (strcmp(suite->tests[i].name, name) == 0) return &suite->tests[i];
    return NULL;
}

typedef bool (*line_fn)(struct suite *suite, const char *name);

/* Calls fn with the first word of every line; comments begin with '#'. True when all calls were. */
static bool each_line(struct suite *suite, const char *file, line_fn fn)
{
    char path[1024], *text = NULL, *rest = NULL;
    size_t n;
    onnxd_error err;
    bool all = true;
    snprintf(path, sizeof path, "%s/%s", SOURCE_DIR, file);
    if (access(path, R_OK) != 0 || file_read(path, MAX_LIST_BYTES, &text, &n, &err) != ONNXD_OK) return true;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, " \t")] = 0;
        if (line[0] != 0 && line[0] != '#') all = fn(suite, line) && all;
    }
    free(text);
    return all;
}

static bool exclude(struct suite *suite, const char *name)
{
    struct conformance_test *test = find_test(suite, name);
    if (test != NULL)
        test->excluded = true;
    else
        printf("excluded.txt names %s, which does not exist\n", name);
    return test != NULL;
}

static bool check_listed(struct suite *suite, const char *name)
{
    const struct conformance_test *test = find_test(suite, name);
    if (test != NULL && !test->excluded) return true;
    printf("%s must pass, but is %s\n", name, test == NULL ? "absent" : "excluded");
    return false;
}

/* ---- results ------------------------------------------------------------------------------------- */

static bool run(void *context, uint32_t task, char *text)
{
    const struct suite *suite = context;
    char folder[512];
    snprintf(folder, sizeof folder, "%s/%s", CONFORMANCE_DATA, suite->tests[task].name);
    return conformance_run(folder, TOLERANCE_CONFORMANCE, text, ISOLATE_TEXT_BYTES);
}

/* In the words of cmocka, which tools/run_tests counts: a failure is named twice. */
static bool report_gate(const char *name, bool passed, const char *text)
{
    if (passed)
        printf("[       OK ] %s\n", name);
    else
        printf("%s: %s\n[  FAILED  ] %s\n[  FAILED  ] %s\n", name, text, name, name);
    return passed;
}

static void done(void *context, uint32_t task, bool passed, const char *text)
{
    struct suite *suite = context;
    struct conformance_test *test = &suite->tests[task];
    test->passed = passed;
    if (suite->gate && !test->excluded)
        report_gate(test->name, passed, text);
    else if (suite->gate)
        return;
    else if (suite->only_failed) {
        if (!passed && !test->excluded) printf("%s\n", test->name);
    } else if (suite->verbose || !passed)
        printf("%s %s%s%s\n", passed ? "pass" : "FAIL", test->name, passed ? "" : ": ", passed ? "" : text);
}

static void write_groups(const struct suite *suite, struct buf *text)
{
    uint32_t total = 0, total_passed = 0;
    for (int g = 0; g < N_GROUPS; g++) {
        uint32_t n = 0, n_passed = 0;
        size_t length = strlen(groups[g]);
        for (uint32_t i = 0; i < suite->n; i++) {
            if (strncmp(suite->tests[i].name, groups[g], length) != 0 || suite->tests[i].name[length] != '/')
                continue;
            n++;
            n_passed += suite->tests[i].passed;
        }
        buf_printf(text, "| %s | %u | %u |\n", groups[g], n, n_passed);
        total += n;
        total_passed += n_passed;
    }
    buf_printf(text, "| all | %u | %u |\n", total, total_passed);
}

static void write_excluded(struct buf *text)
{
    char *lines = NULL, *rest = NULL;
    size_t n;
    onnxd_error err;
    if (file_read(SOURCE_DIR "/tests/conformance/excluded.txt", MAX_LIST_BYTES, &lines, &n, &err) != ONNXD_OK)
        return;
    for (char *line = strtok_r(lines, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#') continue;
        size_t word = strcspn(line, " \t"), gap = strspn(line + word, " \t");
        buf_printf(text, "- `%.*s`: %s\n", (int)word, line, line + word + gap);
    }
    free(lines);
}

static void tally_suite(const struct suite *suite, struct operators_tally *tally)
{
    operators_tally_init(tally);
    for (uint32_t i = 0; i < suite->n; i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/%s", CONFORMANCE_DATA, suite->tests[i].name);
        Onnx__ModelProto *model = conformance_read_model(folder);
        if (model == NULL) continue;
        operators_tally_add(tally, model, suite->tests[i].passed);
        onnx__model_proto__free_unpacked(model, NULL);
    }
}

static void print_operators(const struct operators_tally *tally)
{
    for (uint32_t i = 0; i < tally->n; i++)
        if (tally->operators[i].n_tests > 0)
            printf("%5u of %5u %s\n", tally->operators[i].n_passed, tally->operators[i].n_tests,
                   tally->operators[i].name);
}

static void make_docs(const struct suite *suite, const struct operators_tally *tally, struct buf *text)
{
    struct buf group_lines, excluded;
    buf_init(&group_lines, DOC_BYTES);
    buf_init(&excluded, DOC_BYTES);
    write_groups(suite, &group_lines);
    write_excluded(&excluded);
    buf_append_char(&group_lines, 0);
    buf_append_char(&excluded, 0);
    operators_doc_write(tally, group_lines.data, excluded.data, text);
    buf_done(&group_lines);
    buf_done(&excluded);
}

static bool docs_agree(const struct buf *text)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_error err;
    bool agree = file_read(DOC_PATH, DOC_BYTES, &bytes, &n, &err) == ONNXD_OK && n == text->n &&
                 memcmp(bytes, text->data, n) == 0;
    free(bytes);
    return agree;
}

/* ---- */

static struct suite suite;
static struct operators_tally tally;

static bool gate_passes(bool lists, const struct buf *docs)
{
    bool passes = report_gate("lists", lists, "see above");
    for (uint32_t i = 0; i < suite.n; i++)
        passes = passes && (suite.tests[i].passed || suite.tests[i].excluded);
    return report_gate("docs", docs_agree(docs),
                       "docs/operators.md is out of date: run test_conformance --write-docs") &&
           passes;
}

int main(int argc, char **argv)
{
    bool docs = false, passes = true;
    int n_only = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0)
            suite.verbose = true;
        else if (strcmp(argv[i], "--failed") == 0)
            suite.only_failed = true;
        else if (strcmp(argv[i], "--write-docs") == 0)
            docs = true;
        else
            argv[1 + n_only++] = argv[i];
    }
    suite.gate = !suite.verbose && !suite.only_failed && !docs && n_only == 0;
    list_tests(&suite, argv + 1, n_only);
    if (suite.n == 0) {
        bool skip = suite.gate && getenv("CI") == NULL;
        printf(skip ? "[  SKIPPED ] conformance\n[  SKIPPED ] conformance\n"
                    : "no such test in " CONFORMANCE_DATA "\n");
        return skip ? 0 : 2;
    }
    bool lists = n_only > 0 || (each_line(&suite, "tests/conformance/excluded.txt", exclude) &&
                                each_line(&suite, "../shared/conformance/mustpass.txt", check_listed) &&
                                each_line(&suite, "../shared/conformance/reachable.txt", check_listed));
    struct isolate_limits limits = {2, isolate_sanitized() ? 120 : 30, (size_t)4 << 30};
    isolate_run(limits, run, done, &suite, suite.n);
    uint32_t n_passed = 0;
    for (uint32_t i = 0; i < suite.n; i++) n_passed += suite.tests[i].passed;
    if (suite.only_failed) return 0;
    if (suite.verbose || docs || suite.gate) tally_suite(&suite, &tally);
    if (suite.verbose) print_operators(&tally);
    struct buf text;
    buf_init(&text, DOC_BYTES);
    if (docs || suite.gate) make_docs(&suite, &tally, &text);
    if (suite.gate) {
        passes = gate_passes(lists, &text);
    } else if (docs) {
        onnxd_error err;
        passes = n_only == 0 && !text.failed && file_replace(DOC_PATH, text.data, text.n, &err) == ONNXD_OK;
    } else {
        passes = n_passed == suite.n;
    }
    buf_done(&text);
    printf("%u of %u tests passed\n", n_passed, suite.n);
    return passes ? 0 : 1;
}
