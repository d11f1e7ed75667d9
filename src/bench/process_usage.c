/* What processes use, from /proc; declared in bench/child_process.h. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/child_process.h"

static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : -1;
    if (fd >= 0) close(fd);
    if (n <= 0) return false;
    out[n] = 0;
    return true;
}

/* The fields behind the name, which may hold blanks and brackets itself. */
static const char *behind_name(char *stat)
{
    char *end = strrchr(stat, ')');
    return end != NULL && end[1] == ' ' ? end + 2 : NULL;
}

static uint64_t number_behind(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at != NULL ? strtoull(at + strlen(label), NULL, 10) : 0;
}

/* Threads that have ended are missing in schedstat; its nanoseconds count where they say more than the ticks.
 */
static void add_threads(pid_t pid, struct process_usage *u)
{
    char path[64], text[2048];
    uint64_t cpu_ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder != NULL && (e = readdir(folder)) != NULL;) {
        char file[512];
        if (e->d_name[0] == '.') continue;
        snprintf(file, sizeof file, "%s/%s/schedstat", path, e->d_name);
        if (read_text(file, text, sizeof text)) cpu_ns += strtoull(text, NULL, 10);
        snprintf(file, sizeof file, "%s/%s/status", path, e->d_name);
        if (!read_text(file, text, sizeof text)) continue;
        u->n_waits += number_behind(text, "\nvoluntary_ctxt_switches:");
        u->n_displaced += number_behind(text, "\nnonvoluntary_ctxt_switches:");
    }
    if (folder != NULL) closedir(folder);
    uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
    if (cpu_ns + 2 * tick_ns > u->cpu_ns) u->cpu_ns = cpu_ns;
}

bool process_usage_read(pid_t pid, struct process_usage *ret)
{
    char path[64], text[2048];
    struct process_usage u = {.pid = pid};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof text)) return false;
    const char *fields = behind_name(text), *open = strchr(text, '(');
    if (fields == NULL || open == NULL) return false;
    snprintf(u.name, sizeof u.name, "%.*s", (int)(strrchr(text, ')') - open - 1), open + 1);
    uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK), page = (uint64_t)sysconf(_SC_PAGESIZE);
    const char *at = fields;
    for (int field = 3; at != NULL; field++) { /* numbered as in proc(5) */
        if (field == 3 && (*at == 'Z' || *at == 'X')) return false;
        uint64_t value = strtoull(at, NULL, 10);
        if (field == 14 || field == 15) u.cpu_ns += value * tick_ns;
        if (field == 15) u.system_ns = value * tick_ns;
        if (field == 20) u.n_threads = (uint32_t)value;
        if (field == 24) u.resident_bytes = value * page;
        if (field == 42) u.io_wait_ns = value * tick_ns;
        at = strchr(at, ' ');
        if (at != NULL) at++;
    }
    add_threads(pid, &u);
    *ret = u;
    return true;
}

static int by_pid(const void *a, const void *b)
{
    const struct process_usage *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static bool is_in_group(pid_t pid, pid_t group)
{
    char path[64], text[1024];
    int parent, found;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof text)) return false;
    const char *fields = behind_name(text);
    return fields != NULL && sscanf(fields, "%*c %d %d", &parent, &found) == 2 && found == group;
}

uint32_t child_usage(const struct child *child, struct process_usage *ret, uint32_t max)
{
    uint32_t n = 0;
    DIR *folder = child->pid > 0 ? opendir("/proc") : NULL;
    for (struct dirent *e; folder != NULL && n < max && (e = readdir(folder)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 0 && is_in_group(pid, child->pid)) n += process_usage_read(pid, &ret[n]);
    }
    if (folder != NULL) closedir(folder);
    qsort(ret, n, sizeof *ret, by_pid);
    return n;
}
