#include "base/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static uint32_t whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0) return 0;
    long long n = quota / period + (quota % period != 0);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint32_t cpus_from_cpu_max(const char *text)
{
    long long quota, period;
    return sscanf(text, "%lld %lld", &quota, &period) == 2 ? whole_cpus(quota, period) : 0;
}

static int read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return 0;
    int ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

static uint32_t cgroup_quota(void)
{
    char line[128], group[512], path[640];
    uint32_t least = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f != NULL && fgets(group, sizeof group, f) != NULL) {
        if (strncmp(group, "0::/", 4) != 0) continue;
        group[strcspn(group, "\n")] = 0;
        /* A quota may sit on any ancestor: the tightest counts. */
        for (char *dir = group + 3;;) {
            snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
            uint32_t n = read_line(path, line, sizeof line) ? cpus_from_cpu_max(line) : 0;
            if (n > 0 && (least == 0 || n < least)) least = n;
            char *slash = strrchr(dir, '/');
            if (slash == NULL) break;
            *slash = 0;
        }
    }
    if (f != NULL) fclose(f);
    long long quota = 0, period = 0;
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line)) sscanf(line, "%lld", &quota);
    if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line, sizeof line)) sscanf(line, "%lld", &period);
    uint32_t v1 = whole_cpus(quota, period);
    if (v1 > 0 && (least == 0 || v1 < least)) least = v1;
    return least;
}

uint32_t cpus_usable(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    uint32_t n = count > 0 ? (uint32_t)count : 1;
    uint32_t quota = cgroup_quota();
    return quota > 0 && quota < n ? quota : n;
}

uint32_t cpus_list(uint32_t *ret)
{
    cpu_set_t set;
    uint32_t n = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
        if (CPU_ISSET(cpu, &set)) ret[n++] = cpu;
    return n;
}

bool cpus_bind(const uint32_t *cpus, uint32_t n)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < n; i++)
        if (cpus[i] < CPUS_MAX) CPU_SET(cpus[i], &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}
