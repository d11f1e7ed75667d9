#include "bench/bottleneck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define BUSY         0.9
#define GOOD_SCALING 0.9
#define MB           1048576.0

const char *bottleneck_name(enum bottleneck_kind kind)
{
    static const char *const names[] = {"none",         "client-bound",    "CPU-bound",
                                        "I/O-bound",    "lock contention", "memory growing",
                                        "CPU withheld", "disturbed",       "errors"};
    return names[kind];
}

struct findings {
    struct bottleneck *items;
    uint32_t n;
};

__attribute__((format(printf, 4, 5))) static void add(struct findings *f, enum bottleneck_kind kind,
                                                      const char *advice, const char *format, ...)
{
    va_list args;
    if (f->n == BOTTLENECK_MAX) return;
    struct bottleneck *b = &f->items[f->n++];
    *b = (struct bottleneck){.kind = kind};
    va_start(args, format);
    vsnprintf(b->finding, sizeof b->finding, format, args);
    va_end(args);
    snprintf(b->advice, sizeof b->advice, "%s", advice);
}

static void find_disturbances(struct findings *f, const struct trial *t, uint32_t n_cpus)
{
    if (t->median.error_share > 0)
        add(f, BOTTLENECK_ERRORS, "See the statuses and faults of `onnxd bench load`, and the servers' log.",
            "%.3g %% of the requests failed: the other figures describe a broken run",
            t->median.error_share * 100);
    if (t->median.steal_cpus > 0.02 * n_cpus)
        add(f, BOTTLENECK_STOLEN, "Repeat the run at a quieter time, or on a machine of your own.",
            "the hypervisor withheld %.2f CPUs", t->median.steal_cpus);
    if (t->foreign_cpus > 0.1 * n_cpus)
        add(f, BOTTLENECK_FOREIGN, "Stop what else runs here; figures with it do not compare with others.",
            "programs beside these used %.2f of the %u CPUs", t->foreign_cpus, n_cpus);
    if (t->median.client_busy > BUSY)
        add(f, BOTTLENECK_CLIENT,
            "Use more client threads or a second machine; until then compare CPU per request, not "
            "requests/s.",
            "the busiest client thread used %.0f %% of a CPU: the servers may be able to do more",
            t->median.client_busy * 100);
}

static void find_cpu(struct findings *f, const struct trial *t, uint32_t n_cpus, uint32_t workers)
{
    double all = t->server_cpus + t->nginx_cpus + t->client_cpus;
    double usable = workers < n_cpus ? workers : n_cpus;
    double run_share = t->split.request_us > 0 ? t->split.run_us / t->split.request_us : 0;
    const char *advice =
        run_share > 0.5
            ? "Most of it is inference: larger batches, --precision bf16, or more CPUs."
            : "Little of it is inference: pipelining, several rows a request or binary tensors save most.";
    if (all > BUSY * n_cpus)
        add(f, BOTTLENECK_CPU, advice, "all %u CPUs were busy: servers %.2f, nginx %.2f, client %.2f of them",
            n_cpus, t->server_cpus, t->nginx_cpus, t->client_cpus);
    else if (t->busiest_server > BUSY * usable)
        add(f, BOTTLENECK_CPU, advice,
            "the busiest server process used %.2f of the %.0f CPUs that its workers can use",
            t->busiest_server, usable);
}

static void find_waiting(struct findings *f, const struct trial *t, uint32_t n_cpus, bool open_loop)
{
    double all = t->server_cpus + t->nginx_cpus + t->client_cpus;
    bool idle = all + t->foreign_cpus < 0.6 * n_cpus;
    if (t->io_wait_share > 0.05)
        add(f, BOTTLENECK_IO, "Look for logs on a slow disk, or for memory that is swapped (vmstat 1).",
            "the servers waited for block devices %.0f %% of the time", t->io_wait_share * 100);
    else if (t->waits_per_request > 2 && all + t->foreign_cpus < BUSY * n_cpus)
        add(f, BOTTLENECK_LOCKS,
            "Fewer workers or compute threads; scripts/profile.sh shows who waits for whom.",
            "the servers gave the CPU up %.1f times a request while CPUs were free", t->waits_per_request);
    else if (idle && !open_loop && f->n == 0)
        add(f, BOTTLENECK_IO, "More connections (--connections) show what the servers can do.",
            "CPUs were idle (%.2f of %u used): the requests under way are too few to keep them busy", all,
            n_cpus);
}

static void find_memory(struct findings *f, const struct trial *t)
{
    double minute = t->memory_growth_bytes_s * 60;
    double span = t->n_memory > 0 ? t->memory_at_s[t->n_memory - 1] - t->memory_at_s[t->n_memory / 3] : 0;
    if (span >= 20 && minute > MB && minute > 0.01 * t->memory_bytes)
        add(f, BOTTLENECK_MEMORY,
            "Run longer (--profile sustained); if it goes on, docs/benchmarking.md has the tools.",
            "the servers' memory grew by %.1f MB a minute", minute / MB);
}

uint32_t bottleneck_find(const struct trial *t, bool open_loop, uint32_t n_cpus, uint32_t workers,
                         struct bottleneck ret[BOTTLENECK_MAX])
{
    struct findings f = {ret, 0};
    find_disturbances(&f, t, n_cpus);
    find_cpu(&f, t, n_cpus, workers);
    find_waiting(&f, t, n_cpus, open_loop);
    find_memory(&f, t);
    if (f.n == 0)
        add(&f, BOTTLENECK_NONE,
            open_loop ? "Raise --rate to find the limit." : "Raise --connections to find it.",
            "nothing was at its limit");
    return f.n;
}

struct scaling scaling_judge(const struct trial *one, const struct trial *many, uint32_t n, uint32_t n_cpus)
{
    struct scaling s = {.rate = one->median.rate > 0 ? many->median.rate / one->median.rate / n : 0,
                        .cpu = many->server_cpu_us > 0 ? one->server_cpu_us / many->server_cpu_us : 0};
    double beside = many->client_cpus + many->nginx_cpus;
    s.shared = n + beside > n_cpus + 0.1;
    const char *word = s.rate >= GOOD_SCALING ? "good" : s.rate >= 0.7 ? "fair" : "poor";
    const char *cpu_word = s.cpu >= GOOD_SCALING ? "good" : s.cpu >= 0.7 ? "fair" : "poor";
    if (!s.shared)
        snprintf(s.verdict, sizeof s.verdict, "%s: %u processes do %.2f times what one does", word, n,
                 s.rate * n);
    else
        snprintf(s.verdict, sizeof s.verdict,
                 "%u processes%s and the client share %u CPUs, so the rate cannot grow %u-fold; in CPU per "
                 "request, which "
                 "is what %u processes cost where there are CPUs for them: %s (%.2f)",
                 n, many->nginx_cpus > 0 ? ", nginx" : "", n_cpus, n, n, cpu_word, s.cpu);
    return s;
}
