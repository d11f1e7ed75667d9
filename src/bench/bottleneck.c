#include "bench/bottleneck.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "stats/sample.h"

#define BUSY         0.9
#define GOOD_SCALING 0.9
#define SAME_WAKEUPS 0.9
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

/* ---- scaling --------------------------------------------------------------------------------------- */

static const char *grade(double efficiency)
{
    return efficiency >= GOOD_SCALING ? "good" : efficiency >= 0.7 ? "fair" : "poor";
}

/* The machine's work for a wake-up is shared by the rows that it brings: where their number differs, so does
 * CPU per request, whatever the number of processes (docs/scaling.md). */
static void tell_wakeups(const struct trial *one, const struct trial *many, char *out, size_t size)
{
    out[0] = 0;
    if (one->rows_per_wakeup <= 0 || many->rows_per_wakeup <= 0) return;
    double ratio = many->rows_per_wakeup / one->rows_per_wakeup;
    if (ratio > SAME_WAKEUPS && ratio < 1 / SAME_WAKEUPS) return;
    snprintf(out, size,
             "; a wake-up brought %.2f rows in place of %.2f, which by itself changes what a row costs",
             many->rows_per_wakeup, one->rows_per_wakeup);
}

static void compare_cpu(const struct trial *one, const struct trial *many, struct scaling *s)
{
    double ratios[TRIAL_MAX_ROUNDS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < one->n_rounds && i < many->n_rounds; i++)
        if (many->rounds[i].server_cpu_us > 0)
            ratios[n++] = one->rounds[i].server_cpu_us / many->rounds[i].server_cpu_us;
    if (n == 0) return;
    sample_sort(ratios, n);
    s->cpu = sample_median(ratios, n);
    s->cpu_low = ratios[0];
    s->cpu_high = ratios[n - 1];
}

struct scaling scaling_judge(const struct trial *one, const struct trial *many, uint32_t n,
                             const struct scaling_ground *g)
{
    double growth = g->open_loop && !g->per_process ? 1 : n;
    double beside = g->own_cpus ? 0 : many->client_cpus + many->nginx_cpus;
    struct scaling s = {.rate = one->median.rate > 0 ? many->median.rate / one->median.rate / growth : 0,
                        .shared = n + beside > g->n_cpus + 0.1};
    char wakeups[192];
    compare_cpu(one, many, &s);
    tell_wakeups(one, many, wakeups, sizeof wakeups);
    if (g->open_loop)
        snprintf(s.verdict, sizeof s.verdict,
                 "%s: at this rate %u processes take %.2f times the CPU per request of one%s", grade(s.cpu),
                 n, s.cpu > 0 ? 1 / s.cpu : 0, wakeups);
    else if (!s.shared)
        snprintf(s.verdict, sizeof s.verdict, "%s: %u processes do %.2f times what one does%s", grade(s.rate),
                 n, s.rate * n, wakeups);
    else
        snprintf(
            s.verdict, sizeof s.verdict,
            "%u processes%s share %u CPU%s, so the rate cannot grow %u-fold; in CPU per request, which is "
            "what %u processes cost where there are CPUs for them: %s (%.2f)%s",
            n,
            g->own_cpus            ? ""
            : many->nginx_cpus > 0 ? ", nginx and the client"
                                   : " and the client",
            g->n_cpus, g->n_cpus == 1 ? "" : "s", n, n, grade(s.cpu), s.cpu, wakeups);
    return s;
}

void scaling_describe(const struct scaling_ground *g, const struct load_options *load, char *out, size_t size)
{
    const char *share = g->per_process ? "for each process" : "for all processes together";
    if (g->open_loop)
        snprintf(out, size, "constant rate: %.0f requests/s and %u connections %s",
                 load_requests_asked(load) / ((double)load_total_ns(load) / 1e9), load->n_connections, share);
    else
        snprintf(out, size, "saturated (closed loop): %u connections %s", load->n_connections, share);
}
