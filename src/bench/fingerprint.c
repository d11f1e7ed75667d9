#include "bench/fingerprint.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cpus.h"
#include "base/map.h"
#include "kernels/kernels.h"
#include "onnxd_commit.h"

#ifndef ONNXD_BUILD_FLAGS
#define ONNXD_BUILD_FLAGS ""
#endif

enum { MAX_CACHES = 8 };

void fingerprint_cpu_name(char *out, uint32_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[512];
    snprintf(out, size, "unknown processor");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file != NULL) fclose(file);
}

/* The first line of a file of the system's, or "". */
static void read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    out[0] = 0;
    if (file == NULL) return;
    if (fgets(out, (int)size, file) == NULL) out[0] = 0;
    out[strcspn(out, "\n")] = 0;
    fclose(file);
}

static void read_caches(char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    for (int i = 0; i < MAX_CACHES; i++) {
        char path[96], level[8], type[24], bytes[24];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/level", i);
        read_line(path, level, sizeof level);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/type", i);
        read_line(path, type, sizeof type);
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", i);
        read_line(path, bytes, sizeof bytes);
        if (level[0] == 0) break;
        const char *kind = strcmp(type, "Data") == 0 ? "d" : strcmp(type, "Instruction") == 0 ? "i" : "";
        int more = snprintf(out + n, size - n, "%sL%s%s %s", n > 0 ? ", " : "", level, kind, bytes);
        if (more < 0 || (size_t)more >= size - n) break;
        n += (size_t)more;
    }
}

void fingerprint_seal(struct fingerprint *ret)
{
    char text[1024];
    int n = snprintf(text, sizeof text, "%s|%s|%s|%s|%s|%s|%s|%u", ret->cpu, ret->caches, ret->isa,
                     ret->kernel, ret->governor, ret->compiler, ret->flags, ret->n_cpus);
    snprintf(ret->id, sizeof ret->id, "%016llx", (unsigned long long)hash_bytes(text, (size_t)n, 0));
}

void fingerprint_read(struct fingerprint *ret)
{
    struct utsname system;
    bool known = uname(&system) == 0;
    *ret = (struct fingerprint){.n_cpus = cpus_usable()};
    fingerprint_cpu_name(ret->cpu, sizeof ret->cpu);
    read_caches(ret->caches, sizeof ret->caches);
    snprintf(ret->isa, sizeof ret->isa, "%s", kernels_get()->isa);
    if (known) snprintf(ret->kernel, sizeof ret->kernel, "%s %s", system.sysname, system.release);
    read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", ret->governor, sizeof ret->governor);
#ifdef __clang__
    snprintf(ret->compiler, sizeof ret->compiler, "clang %s", __clang_version__);
#else
    snprintf(ret->compiler, sizeof ret->compiler, "gcc %s", __VERSION__);
#endif
    snprintf(ret->flags, sizeof ret->flags, "%s", ONNXD_BUILD_FLAGS);
    fingerprint_seal(ret);
}

const char *fingerprint_commit(void)
{
    return ONNXD_COMMIT;
}

double fingerprint_load(void)
{
    double load = -1;
    return getloadavg(&load, 1) == 1 ? load : -1;
}
