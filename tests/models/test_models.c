/* Runs the models of this folder, written by make_models.py, against the answers of ONNX Runtime.
 * usage: test_models [NAME...]    names or starts of names; all by default */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/conformance.h"
#include "support/isolate.h"

enum { MAX_TESTS = 1024, MAX_NAME = 256 };

static char names[MAX_TESTS][MAX_NAME];
static uint32_t n_tests, n_passed;

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(name, argv[i], strlen(argv[i])) == 0) return true;
    return argc == 1;
}

static bool run(void *context, uint32_t task, char *text)
{
    (void)context;
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/tests/models/%s", SOURCE_DIR, names[task]);
    /* Half floats carry three digits. */
    double bound = strncmp(names[task], "float16_", 8) == 0 ? 1e-3 : 1e-5;
    return conformance_run(folder, (struct tolerance){bound, bound}, text, ISOLATE_TEXT_BYTES);
}

static void done(void *context, uint32_t task, bool passed, const char *text)
{
    (void)context;
    n_passed += passed;
    if (passed)
        printf("[       OK ] %s\n", names[task]);
    else
        printf("%s: %s\n[  FAILED  ] %s\n[  FAILED  ] %s\n", names[task], text, names[task], names[task]);
}

int main(int argc, char **argv)
{
    DIR *folder = opendir(SOURCE_DIR "/tests/models");
    if (folder == NULL) return 2;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && n_tests < MAX_TESTS;) {
        char path[1024];
        snprintf(path, sizeof path, "%s/tests/models/%s/test_data_set_0", SOURCE_DIR, entry->d_name);
        DIR *data = opendir(path);
        if (data == NULL) continue;
        closedir(data);
        if (wanted(entry->d_name, argc, argv)) snprintf(names[n_tests++], MAX_NAME, "%s", entry->d_name);
    }
    closedir(folder);
    qsort(names, n_tests, MAX_NAME, by_name);
    struct isolate_limits limits = {2, isolate_sanitized() ? 120 : 30, (size_t)4 << 30};
    isolate_run(limits, run, done, NULL, n_tests);
    printf("%u of %u models passed\n", n_passed, n_tests);
    return n_tests > 0 && n_passed == n_tests ? 0 : 1;
}
