/* neat_train bench: compares modes, threads and network sizes. */
#include "neat_train_bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cpus.h"
#include "base/error.h"
#include "bench/micro_baseline.h"
#include "bench/micro_cases.h"
#include "cli_history.h"
#include "cli_options.h"
#include "neat_train.h"

#define AT(member) CLI_AT(struct bench_options, member)

static const struct cli_option options[] = {
    {"modes", CLI_TEXT, AT(modes), "LIST", "cpu and remote:BATCH, parted by commas; compared on the arena"},
    {"weights", CLI_TEXT, AT(weights), "LIST",
     "of latency, throughput, resources and complexity in the decision, in per cent, such as 40,30,20,10"},
    {"markdown", CLI_TEXT, AT(markdown), "FILE", "writes the modes' tables there, too"},
    {"url", CLI_TEXT, AT(url), "URL", "the server of remote modes; without it one is started"},
    {"concurrency", CLI_U32, AT(concurrency), "N", "connections of remote modes", .min = 1, .max = 1024},
    {"runs", CLI_U32, AT(n_runs), "N", "rounds, in each of which every mode or number of threads runs once",
     .min = 1, .max = 1000},
    {"generations", CLI_U32, AT(generations), "N", "of each run", .min = 1},
    {"population", CLI_U32, AT(population), "N", "genomes", .min = 10, .max = 100000},
    {"max-threads", CLI_U32, AT(max_threads), "N",
     "scaling is measured up to so many; 0 means usable processors", .max = 1024},
    {"seed", CLI_U64, AT(seed), "N", "of the first round"},
    CLI_HISTORY(struct bench_options, history),
};

const struct cli_command bench_command = {
    "neat_train bench",
    "Compares modes on the arena; without --modes, network sizes and threads.",
    CLI_TABLE(options),
};

onnxd_status bench_run_arena(const struct bench_options *o, uint64_t seed, struct threads *threads,
                             const struct contest_backend *backend, struct match_stats *stats,
                             struct run **ret_run, uint64_t *ret_ns, onnxd_error *err)
{
    struct run_options run_options = {.task = &TASK_ARENA,
                                      .seed = seed,
                                      .max_generations = o->generations,
                                      .threads = threads,
                                      .backend = backend};
    task_params(&TASK_ARENA, &run_options.params);
    run_options.params.population_size = o->population;
    contest_options_default(&run_options.contest);
    onnxd_status status = run_create(&run_options, ret_run, err);
    *ret_ns = 0;
    while (status == ONNXD_OK && !(*ret_run)->finished) {
        status = run_generation(*ret_run, err);
        if (status != ONNXD_OK) break;
        *ret_ns += (*ret_run)->stats.evaluate_ns + (*ret_run)->stats.breed_ns;
        if (stats != NULL) histogram_merge(&stats->inference, &(*ret_run)->contest->stats[0].inference);
    }
    return status;
}

/* ---- networks, in the microbenchmark harness ----------------------------------------------------- */

static onnxd_status measure_networks(const struct bench_options *o, struct bench_run *kept, onnxd_error *err)
{
    const struct micro_options micro = {.warm_up_s = 0.02, .seconds = 0.2, .seed = o->seed};
    static struct micro_list list;
    struct micro_suite suite = {0};
    struct buf buf;
    buf_init(&buf, (size_t)1 << 20);
    micro_list_init(&list);
    onnxd_status status = micro_cases_networks(&list, err);
    if (status == ONNXD_OK) status = micro_run(list.cases, list.n, &micro, NULL, NULL, &suite, err);
    if (status == ONNXD_OK) {
        micro_report_text(&suite, NULL, &buf);
        micro_to_run(&suite, kept);
        fwrite(buf.data, 1, buf.n, stdout);
    }
    buf_done(&buf);
    micro_suite_done(&suite);
    micro_list_done(&list);
    return status;
}

/* ---- threads ------------------------------------------------------------------------------------- */

static onnxd_status measure_rate(const struct bench_options *o, uint32_t n_threads, uint64_t seed,
                                 double *ret_rate, onnxd_error *err)
{
    struct threads *threads = NULL;
    struct run *run = NULL;
    uint64_t ns = 0;
    onnxd_status status = threads_create(n_threads, &threads, err);
    if (status == ONNXD_OK) status = bench_run_arena(o, seed, threads, NULL, NULL, &run, &ns, err);
    if (status == ONNXD_OK) *ret_rate = run->result.n_generations / ((double)ns / 1e9);
    run_free(run);
    threads_free(threads);
    return status;
}

static onnxd_status print_scaling(const struct bench_options *o, const double *rates, uint32_t n_max,
                                  struct rng *rng, struct bench_run *kept, onnxd_error *err)
{
    const double *first = rates;
    onnxd_status status = ONNXD_OK;
    printf("\n%7s  %-30s %8s %11s\n", "threads", "generations/s [95 % interval]", "speedup", "efficiency");
    for (uint32_t n = 1; n <= n_max && status == ONNXD_OK; n++) {
        struct interval rate = {0};
        char text[64], name[48];
        status = bootstrap_interval(rates + (n - 1) * o->n_runs, o->n_runs, bootstrap_mean,
                                    (struct bootstrap_options){0}, rng, &rate, err);
        if (status != ONNXD_OK) break;
        double speedup = rate.point / sample_mean(first, o->n_runs);
        if (o->n_runs > 1)
            snprintf(text, sizeof text, "%.3f [%.3f, %.3f]", rate.point, rate.low, rate.high);
        else
            snprintf(text, sizeof text, "%.3f", rate.point);
        printf("%7u  %-30s %8.2f %10.0f%%\n", n, text, speedup, 100 * speedup / n);
        snprintf(name, sizeof name, "arena generations a second, %u threads", n);
        bench_run_figure(kept, name, "1/s", BENCH_HIGHER, rate, rates + (n - 1) * o->n_runs, o->n_runs);
    }
    return status;
}

/* Rounds alternate the numbers of threads, as those of modes do. */
static onnxd_status measure_threads(const struct bench_options *o, struct bench_run *kept, onnxd_error *err)
{
    uint32_t n_max = o->max_threads > 0 ? o->max_threads : cpus_usable();
    double *rates = calloc((size_t)n_max * o->n_runs, sizeof *rates); /* [n_max, n_runs] */
    struct rng rng = rng_seed(o->seed);
    onnxd_status status = ONNXD_OK;
    if (rates == NULL) return error_set(err, ONNXD_ERR_NOMEM, "bench: no memory for %u rounds", o->n_runs);
    for (uint32_t round = 0; round < o->n_runs; round++)
        for (uint32_t k = 0; k < n_max && status == ONNXD_OK; k++) {
            uint32_t n = round % 2 == 0 ? k : n_max - 1 - k;
            status = measure_rate(o, n + 1, o->seed + round, &rates[n * o->n_runs + round], err);
        }
    if (status == ONNXD_OK) status = print_scaling(o, rates, n_max, &rng, kept, err);
    free(rates);
    return status;
}

static int bench_parts(const struct bench_options *o)
{
    struct bench_run kept;
    onnxd_error err;
    bench_run_begin(&kept, "neat");
    bench_run_setting(&kept, "population", "%u", o->population);
    bench_run_setting(&kept, "generations", "%u", o->generations);
    onnxd_status status = measure_networks(o, &kept, &err);
    if (status == ONNXD_OK) status = measure_threads(o, &kept, &err);
    if (status == ONNXD_OK) return cli_history_keep(bench_command.name, o->history, &kept);
    bench_run_done(&kept);
    return cli_fail(bench_command.name, &err);
}

int neat_train_bench_main(int argc, char **argv)
{
    struct bench_options o = {.n_runs = 1, .generations = 5, .population = 150, .concurrency = 4, .seed = 1};
    int result = cli_parse(&bench_command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    return o.modes != NULL ? bench_modes(&o) : bench_parts(&o);
}
