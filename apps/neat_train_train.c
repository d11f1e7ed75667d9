#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/file.h"
#include "evolve/run.h"
#include "evolve/summary.h"
#include "neat_train.h"
#include "neat_train_options.h"

struct train_args {
    const char *task, *params, *test;
    struct option_list settings;
    uint32_t n_runs, generations, population, threads;
    uint64_t seed;
    bool report, quiet;
};

static int fail(const onnxd_error *err)
{
    fprintf(stderr, "neat_train: %s\n", err->message);
    return 1;
}

/* --threads, else NEAT_NUM_THREADS, else all usable processors but one. */
static uint32_t thread_count(uint32_t asked)
{
    const char *text = getenv("NEAT_NUM_THREADS");
    if (asked == 0 && text != NULL) asked = (uint32_t)strtoul(text, NULL, 10);
    if (asked > 0) return asked;
    uint32_t n = cpus_usable();
    return n > 1 ? n - 1 : 1;
}

/* The task's parameters, the file over them, single settings over that. */
static onnxd_status read_params(const struct train_args *args, const struct task *task,
                                struct neat_params *ret_params, onnxd_error *err)
{
    struct neat_params params;
    onnxd_status status = ONNXD_OK;
    task_params(task, &params);
    if (args->params != NULL) {
        char *text = NULL;
        size_t n = 0;
        status = file_read(args->params, 1 << 20, &text, &n, err);
        if (status == ONNXD_OK) status = neat_params_parse(text, n, &params, err);
        free(text);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < args->settings.n; i++) {
        char key[80];
        const char *equals = strchr(args->settings.items[i], '=');
        snprintf(key, sizeof key, "%.*s", equals == NULL ? 79 : (int)(equals - args->settings.items[i]),
                 args->settings.items[i]);
        status = neat_params_set(&params, key, equals == NULL ? "" : equals + 1, err);
    }
    if (args->population > 0) params.population_size = args->population;
    if (status == ONNXD_OK) *ret_params = params;
    return status;
}

static void print_generation(const struct run *run)
{
    const struct run_generation_stats *s = &run->stats;
    fprintf(stderr,
            "generation %4u/%u  best %-10.6g mean %-10.6g species %-3u hidden %-5.2f links %-6.2f "
            "evaluate %.2f ms  breed %.2f ms\n",
            s->generation + 1, run->options.max_generations, s->best_fitness, s->mean_fitness, s->n_species,
            s->mean_hidden, s->mean_enabled, (double)s->evaluate_ns / 1e6, (double)s->breed_ns / 1e6);
}

static int run_all(const struct train_args *args, struct run_options *options)
{
    onnxd_error err;
    struct summary summary;
    struct buf text;
    int code = 0;
    if (summary_init(&summary, options->task, options->task_options.success, args->n_runs, &err) != ONNXD_OK)
        return fail(&err);
    buf_init(&text, 1 << 20);
    for (uint32_t i = 0; i < args->n_runs && code == 0; i++) {
        struct run *run = NULL;
        options->seed = args->seed + i;
        uint64_t start_ns = monotonic_ns();
        onnxd_status status = run_create(options, &run, &err);
        while (status == ONNXD_OK && !run->finished) {
            status = run_generation(run, &err);
            if (status == ONNXD_OK && args->n_runs == 1 && !args->quiet) print_generation(run);
        }
        if (status == ONNXD_OK)
            summary_add(&summary, &run->result, monotonic_ns() - start_ns);
        else
            code = fail(&err);
        run_free(run);
    }
    if (code == 0 && summary_print(&summary, args->report, &text, &err) != ONNXD_OK) code = fail(&err);
    if (code == 0) fwrite(text.data, 1, text.n, stdout);
    buf_done(&text);
    summary_done(&summary);
    return code;
}

int neat_train_train(int argc, char **argv)
{
    struct train_args args = {.task = "xor", .test = "cls", .seed = 1};
    const struct option_spec specs[] = {
        {"--task", OPTION_TEXT, &args.task, "xor, pole, pole2 or pole2-novel (xor)"},
        {"--runs", OPTION_U32, &args.n_runs, "how often, with seeds one apart (1; with --report 100)"},
        {"--seed", OPTION_U64, &args.seed, "of the first run (1)"},
        {"--generations", OPTION_U32, &args.generations, "at most so many (the task's own)"},
        {"--population", OPTION_U32, &args.population, "overrides population_size"},
        {"--params", OPTION_TEXT, &args.params, "parameter file; `neat_train params` prints one"},
        {"--set", OPTION_LIST, &args.settings, "KEY=VALUE over the file; may be repeated"},
        {"--threads", OPTION_U32, &args.threads,
         "for evaluation (NEAT_NUM_THREADS, else processors minus one)"},
        {"--test", OPTION_TEXT, &args.test, "xor's success: cls or sse (cls)"},
        {"--report", OPTION_FLAG, &args.report, "print the table beside the published figures"},
        {"--quiet", OPTION_FLAG, &args.quiet, "no line for each generation"},
    };
    int code = options_read("neat_train train [OPTIONS]", specs, sizeof specs / sizeof specs[0], argc, argv,
                            NULL);
    if (code >= 0) return code;
    struct run_options options = {.task = task_find(args.task)};
    onnxd_error err;
    if (options.task == NULL || (strcmp(args.test, "cls") != 0 && strcmp(args.test, "sse") != 0)) {
        fprintf(stderr, "neat_train: no task '%s' with test '%s'\n", args.task, args.test);
        return 2;
    }
    options.task_options.success = strcmp(args.test, "sse") == 0 ? SUCCESS_SSE : SUCCESS_CLS;
    if (args.n_runs == 0) args.n_runs = args.report ? 100 : 1;
    options.max_generations = args.generations > 0 ? args.generations : options.task->default_generations;
    if (read_params(&args, options.task, &options.params, &err) != ONNXD_OK) return fail(&err);
    uint32_t n_threads = thread_count(args.threads);
    if (n_threads > 1 && threads_create(n_threads, &options.threads, &err) != ONNXD_OK) return fail(&err);
    code = run_all(&args, &options);
    threads_free(options.threads);
    return code;
}
