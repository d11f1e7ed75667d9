#include "support/test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t test_seed(void)
{
    static bool printed = false;
    const char *text = getenv("ONNXD_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20261121u;
    if (!printed) print_message("seed %llu (set ONNXD_TEST_SEED to change)\n", (unsigned long long)seed);
    printed = true;
    return seed;
}

const char *project_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", SOURCE_DIR, name);
    return path;
}

const char *shared_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/../shared/%s", SOURCE_DIR, name);
    if (access(path, R_OK) == 0) return path;
    if (getenv("CI") != NULL) fail_msg("%s is absent, and CI must have it", path);
    print_message("skipped: %s is absent\n", path);
    skip();
    return path;
}

void *guarded_alloc(size_t n_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (n_bytes + page - 1) / page * page;
    char *start = mmap(NULL, body + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) fail_msg("no memory for %zu guarded bytes", n_bytes);
    if (mprotect(start + body, page, PROT_NONE) != 0) fail_msg("cannot protect a page");
    return start + body - n_bytes;
}
