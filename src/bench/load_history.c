#include "bench/load_history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "load/load_report.h"

/* The path alone: a server on a free port is the same server. */
static const char *path_of(const char *url)
{
    const char *authority = strstr(url, "://");
    const char *path = authority != NULL ? strchr(authority + 3, '/') : NULL;
    return path != NULL ? path : "/";
}

static void fill_settings(struct bench_run *run, const struct load_result *r)
{
    const struct load_options *o = &r->options;
    bench_run_setting(run, "path", "%s", path_of(r->url));
    bench_run_setting(run, "targets", "%u", r->n_targets);
    bench_run_setting(run, "connections", "%u", o->n_connections);
    bench_run_setting(run, "threads", "%u", o->n_threads);
    if (load_is_open(o))
        bench_run_setting(run, "rate", "%.0f", load_requests_asked(o) / ((double)load_total_ns(o) / 1e9));
    if (o->pipeline > 1) bench_run_setting(run, "pipeline", "%u", o->pipeline);
    if (o->new_connections) bench_run_setting(run, "new-connections", "yes");
    if (o->poisson) bench_run_setting(run, "poisson", "yes");
    if (o->busy) bench_run_setting(run, "pacing", "busy");
}

static struct interval known(struct interval i)
{
    if (!isfinite(i.low)) i.low = i.point;
    if (!isfinite(i.high)) i.high = i.point;
    return i;
}

void load_history_fill(struct bench_run *run, const struct load_result *r)
{
    double rates[LOAD_N_INTERVALS], medians[LOAD_N_INTERVALS];
    uint32_t n = 0;
    fill_settings(run, r);
    for (uint32_t i = 0; i < r->n_intervals; i++) {
        if (r->intervals[i].n == 0) continue;
        rates[n] = (double)r->intervals[i].n / r->interval_s;
        medians[n++] = r->intervals[i].p50_ns;
    }
    bench_run_figure(run, "requests", "1/s", load_is_open(&r->options) ? BENCH_NEITHER : BENCH_HIGHER,
                     known(r->estimates.rate), rates, n);
    for (int i = 0; i < LOAD_N_QUANTILES; i++) {
        if (!quantile_has_enough(r->record->response.n, load_quantiles[i].q)) continue;
        bench_run_figure(run, load_quantiles[i].name, "ns", BENCH_LOWER, known(r->estimates.quantiles[i]),
                         i == 0 ? medians : NULL, i == 0 ? n : 0);
    }
    bench_run_value(run, "max", "ns", BENCH_NEITHER, (double)r->record->response.max);
    bench_run_value(run, "errors", "", BENCH_LOWER, load_error_share(r->record));
    bench_run_value(run, "client CPU", "ns", BENCH_NEITHER, r->audit.client_cpu_us * 1e3);
    if (r->audit.client_limited) bench_run_verdict(run, BENCH_CLIENT_LIMITED, r->audit.verdict);
}
