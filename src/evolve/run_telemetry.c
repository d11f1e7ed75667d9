#include "evolve/run_telemetry.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "json/json_writer.h"

uint64_t memory_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long total = 0, resident = 0;
    if (file == NULL) return 0;
    int n = fscanf(file, "%llu %llu", &total, &resident);
    fclose(file);
    return n == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

uint64_t peak_memory_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

static void quantiles(struct json_writer *w, const char *key, const struct histogram *h, double unit_ns)
{
    json_key(w, key);
    json_begin_object(w);
    json_key(w, "p50"), json_fixed(w, histogram_quantile(h, 0.50) / unit_ns, 3);
    json_key(w, "p95"), json_fixed(w, histogram_quantile(h, 0.95) / unit_ns, 3);
    json_key(w, "p99"), json_fixed(w, histogram_quantile(h, 0.99) / unit_ns, 3);
    json_end_object(w);
}

void run_telemetry_json(const struct run *run, struct buf *out)
{
    const struct run_generation_stats *s = &run->stats;
    struct json_writer w;
    json_writer_init(&w, out, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "generation"), json_u64(&w, s->generation);
    json_key(&w, "best_fitness"), json_f64(&w, s->best_fitness);
    json_key(&w, "mean_fitness"), json_f64(&w, s->mean_fitness);
    json_key(&w, "species"), json_u64(&w, s->n_species);
    json_key(&w, "threshold"), json_fixed(&w, s->threshold, 3);
    json_key(&w, "hidden"), json_fixed(&w, s->mean_hidden, 3);
    json_key(&w, "links"), json_fixed(&w, s->mean_enabled, 3);
    json_key(&w, "evaluate_ms"), json_fixed(&w, (double)s->evaluate_ns / 1e6, 3);
    json_key(&w, "breed_ms"), json_fixed(&w, (double)s->breed_ns / 1e6, 3);
    json_key(&w, "matches"), json_u64(&w, s->n_matches);
    json_key(&w, "memory_bytes"), json_u64(&w, memory_bytes());
    json_key(&w, "peak_memory_bytes"), json_u64(&w, peak_memory_bytes());
    if (run->contest != NULL) {
        const struct match_stats *m = &run->contest->stats[0];
        json_key(&w, "elo"), json_fixed(&w, s->champion_elo, 1);
        json_key(&w, "rows"), json_u64(&w, m->n_rows);
        json_key(&w, "inference_total_ms"), json_fixed(&w, (double)m->inference.sum / 1e6, 3);
        quantiles(&w, "match_ms", &m->match, 1e6);
        quantiles(&w, "inference_us", &m->inference, 1e3);
        quantiles(&w, "tick_us", &m->tick, 1e3);
    }
    json_end_object(&w);
    buf_append_char(out, '\n');
}

void run_telemetry_line(const struct run *run, struct buf *out)
{
    const struct run_generation_stats *s = &run->stats;
    buf_printf(
        out,
        "generation %4u/%u (%3.0f %%)  best %-9.6g mean %-9.6g species %-3u hidden %-5.2f links %-6.2f "
        "%.2f + %.2f ms",
        s->generation + 1, run->options.max_generations,
        100.0 * (s->generation + 1) / run->options.max_generations, s->best_fitness, s->mean_fitness,
        s->n_species, s->mean_hidden, s->mean_enabled, (double)s->evaluate_ns / 1e6,
        (double)s->breed_ns / 1e6);
    if (run->contest == NULL) return;
    const struct match_stats *m = &run->contest->stats[0];
    buf_printf(out, "  elo %.0f  %llu matches, p50 %.2f p99 %.2f ms; inference p50 %.1f p99 %.1f us",
               s->champion_elo, (unsigned long long)m->match.n, histogram_quantile(&m->match, 0.5) / 1e6,
               histogram_quantile(&m->match, 0.99) / 1e6, histogram_quantile(&m->inference, 0.5) / 1e3,
               histogram_quantile(&m->inference, 0.99) / 1e3);
}

static void gauge(struct buf *out, const char *name, const char *help, double value)
{
    buf_printf(out, "# HELP neat_%s %s\n# TYPE neat_%s gauge\nneat_%s %.17g\n", name, help, name, name,
               value);
}

static void summary(struct buf *out, const char *name, const char *help, const struct histogram *h)
{
    buf_printf(out, "# HELP neat_%s %s\n# TYPE neat_%s summary\n", name, help, name);
    static const double QUANTILES[] = {0.5, 0.95, 0.99};
    for (int i = 0; i < 3; i++)
        buf_printf(out, "neat_%s{quantile=\"%g\"} %.9g\n", name, QUANTILES[i],
                   histogram_quantile(h, QUANTILES[i]) / 1e9);
    buf_printf(out, "neat_%s_sum %.9g\nneat_%s_count %llu\n", name, (double)h->sum / 1e9, name,
               (unsigned long long)h->n);
}

void run_telemetry_prometheus(const struct run *run, struct buf *out)
{
    const struct run_generation_stats *s = &run->stats;
    gauge(out, "generation", "generations judged", s->generation + 1);
    gauge(out, "best_fitness", "best fitness of the latest generation", s->best_fitness);
    gauge(out, "mean_fitness", "mean fitness of the latest generation", s->mean_fitness);
    gauge(out, "species", "species of the latest generation", s->n_species);
    gauge(out, "mean_hidden_nodes", "mean hidden nodes of a genome", s->mean_hidden);
    gauge(out, "mean_enabled_links", "mean enabled links of a genome", s->mean_enabled);
    gauge(out, "evaluate_seconds", "time to judge the latest generation", (double)s->evaluate_ns / 1e9);
    gauge(out, "breed_seconds", "time to breed the latest generation", (double)s->breed_ns / 1e9);
    gauge(out, "matches", "matches or episodes of the latest generation", (double)s->n_matches);
    gauge(out, "resident_memory_bytes", "memory of this process", (double)memory_bytes());
    if (run->contest == NULL) return;
    const struct match_stats *m = &run->contest->stats[0];
    gauge(out, "champion_elo", "rating of the latest champion", s->champion_elo);
    summary(out, "match_seconds", "time of a match in the latest generation", &m->match);
    summary(out, "inference_seconds", "time of an inference call in the latest generation", &m->inference);
    summary(out, "tick_seconds", "time of a tick in the latest generation", &m->tick);
}
