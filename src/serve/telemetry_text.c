/* What telemetry tells: the text of a scrape, and the figures of an interval. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/telemetry_slots.h"

/* ---- processes, read from /proc: one scrape tells about all ----------------------------------------- */

struct process_figures {
    double cpu_s, started_s; /* started_s: since 1970 */
    unsigned long long resident_bytes, descriptors;
};

static bool read_line(int32_t pid, const char *name, char *out, size_t n_out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool ok = fgets(out, (int)n_out, file) != NULL;
    fclose(file);
    return ok;
}

static unsigned long long count_descriptors(int32_t pid)
{
    char path[64];
    struct stat info;
    unsigned long long n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    if (stat(path, &info) == 0 && info.st_size > 0)
        return (unsigned long long)info.st_size; /* Linux 6.2 on */
    DIR *folder = opendir(path);
    if (folder == NULL) return 0;
    while (readdir(folder) != NULL) n++;
    closedir(folder);
    if (pid == getpid()) n--; /* the folder's own */
    return n - 2;             /* "." and ".." */
}

/* Wall clock of the machine's start in seconds; 0: unknown. */
static unsigned long long boot_time(void)
{
    unsigned long long boot = 0;
    char line[256];
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && boot == 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "btime %llu", &boot) != 1) boot = 0;
    if (file != NULL) fclose(file);
    return boot;
}

static bool read_process(int32_t pid, struct process_figures *ret)
{
    char line[1024];
    unsigned long long user = 0, system = 0, started = 0, resident = 0;
    if (pid == 0 || !read_line(pid, "stat", line, sizeof line)) return false;
    const char *rest = strrchr(line, ')'); /* the name before it may hold anything */
    if (rest == NULL ||
        sscanf(rest + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu", &user,
               &system, &started) != 3)
        return false;
    if (!read_line(pid, "statm", line, sizeof line) || sscanf(line, "%*u %llu", &resident) != 1) return false;
    ret->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    ret->started_s = (double)boot_time() + (double)started / (double)sysconf(_SC_CLK_TCK);
    ret->resident_bytes = resident * (unsigned long long)sysconf(_SC_PAGESIZE);
    ret->descriptors = count_descriptors(pid);
    return true;
}

static void write_processes(const struct telemetry *telemetry, struct buf *out)
{
    static const struct {
        const char *name, *type, *help;
    } families[] = {
        {"process_cpu_seconds_total", "counter", "Processor time, user and system, of each process"},
        {"process_resident_memory_bytes", "gauge", "Resident memory of each process"},
        {"process_open_fds", "gauge", "Open file descriptors of each process"},
        {"process_max_fds", "gauge", "File descriptors each process may open"},
        {"process_start_time_seconds", "gauge", "Start of each process in seconds since 1970"},
    };
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    for (int k = 0; k < 5; k++) {
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", families[k].name, families[k].help, families[k].name,
                   families[k].type);
        for (uint32_t p = 0; p < telemetry->n_processes; p++) {
            struct process_figures figures;
            if (!read_process(atomic_load(&telemetry->processes[p].pid), &figures)) continue;
            buf_printf(out, "%s{process=\"%u\"} ", families[k].name, p);
            if (k == 0 || k == 4)
                buf_printf(out, "%.2f\n", k == 0 ? figures.cpu_s : figures.started_s);
            else
                buf_printf(out, "%llu\n",
                           k == 1   ? figures.resident_bytes
                           : k == 2 ? figures.descriptors
                                    : (unsigned long long)files.rlim_cur);
        }
    }
}

bool telemetry_write(const struct telemetry *telemetry, struct buf *out)
{
    metrics_render(telemetry->metrics, out);
    write_processes(telemetry, out);
    return !out->failed;
}

/* ---- intervals -------------------------------------------------------------------------------------- */

void telemetry_read_totals(const struct telemetry *telemetry, struct telemetry_totals *ret)
{
    struct metrics_histogram_view view;
    metrics_histogram_read(telemetry->metrics, telemetry->request, &view);
    *ret = (struct telemetry_totals){.n_requests = view.n, .request_ns = view.sum};
    for (uint32_t i = 0; i < TELEMETRY_N_FINE; i++)
        ret->fine[i] = metrics_tally_read(telemetry->metrics, telemetry->fine, i);
    telemetry_slots_lock(telemetry->slots); /* no series changes hands meanwhile */
    ret->n_rows = metrics_family_read(telemetry->metrics, "nv_inference_count") + telemetry->slots->gone_rows;
    ret->n_runs = metrics_family_read(telemetry->metrics, "nv_inference_exec_count") +
                  telemetry->slots->gone_runs;
    telemetry_slots_unlock(telemetry->slots);
}

static double quantile_us(const struct telemetry_totals *before, const struct telemetry_totals *after,
                          double q)
{
    uint64_t n = 0, below = 0;
    for (uint32_t i = 0; i < TELEMETRY_N_FINE; i++) n += after->fine[i] - before->fine[i];
    for (uint32_t i = 0; i < TELEMETRY_N_FINE; i++) {
        below += after->fine[i] - before->fine[i];
        if (n > 0 && (double)below >= q * (double)n) return telemetry_fine_ns(i) / NS_PER_US;
    }
    return 0;
}

struct telemetry_interval telemetry_between(const struct telemetry_totals *before,
                                            const struct telemetry_totals *after)
{
    struct telemetry_interval interval = {.n_requests = after->n_requests - before->n_requests,
                                          .p50_us = quantile_us(before, after, 0.5),
                                          .p99_us = quantile_us(before, after, 0.99)};
    if (interval.n_requests > 0)
        interval.mean_us = (double)(after->request_ns - before->request_ns) / NS_PER_US /
                           (double)interval.n_requests;
    if (after->n_runs > before->n_runs)
        interval.rows_a_run = (double)(after->n_rows - before->n_rows) /
                              (double)(after->n_runs - before->n_runs);
    return interval;
}
