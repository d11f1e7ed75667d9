/* neat_train train: evolves networks on a task, once or many times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/file.h"
#include "cli_options.h"
#include "evolve/history.h"
#include "evolve/metrics_endpoint.h"
#include "evolve/remote_inference.h"
#include "evolve/run_checkpoint.h"
#include "evolve/summary.h"
#include "evolve/run_telemetry.h"
#include "neat_train.h"

enum { MAX_PATH = 4096, MAX_REPORT_BYTES = 256 << 20 };

enum mode { MODE_CPU, MODE_REMOTE, MODE_MPI }; /* in the order of --mode's words */

struct train_options {
    const char *task, *params, *out, *fitness;
    struct cli_texts settings;
    uint32_t n_runs, generations, population, threads, checkpoint_every;
    uint64_t seed;
    int success, mode;
    const char *url;
    uint32_t batch, concurrency, metrics_port;
    struct metrics_endpoint *metrics; /* NULL: nobody asks */
    bool report, quiet, json, resume, silent;
    struct contest_options contest;
};

#define AT(member) CLI_AT(struct train_options, member)

static const struct cli_option options[] = {
    {"task", CLI_TEXT, AT(task), "NAME", "xor, pole, pole2, pole2-novel or arena"},
    {"runs", CLI_U32, AT(n_runs), "N", "how often, with seeds one apart; 0 means 1, or 100 with --report"},
    {"seed", CLI_U64, AT(seed), "N", "of the first run"},
    {"generations", CLI_U32, AT(generations), "N", "at most so many; 0 means the task's own number"},
    {"success", CLI_CHOICE, AT(success), "cls|sse", "when xor counts as solved"},
    {"report", CLI_FLAG, AT(report), NULL, "print the table beside the published figures"},
    {"", CLI_HEADING, 0, NULL, "Parameters"},
    {"params", CLI_TEXT, AT(params), "FILE", "parameter file, as neat_train params prints one"},
    {"set", CLI_TEXTS, AT(settings), "KEY=VALUE", "one parameter over the file"},
    {"population", CLI_U32, AT(population), "N", "population_size over the file; 0 keeps it"},
    {"", CLI_HEADING, 0, NULL, "Running"},
    {"threads", CLI_U32, AT(threads), "N", "threads that evaluate; 0 means usable processors minus one",
     .max = 1024, .env = "NEAT_NUM_THREADS"},
    {"out", CLI_TEXT, AT(out), "DIR", "champions, reports and checkpoints go to DIR/run-SEED"},
    {"checkpoint-every", CLI_U32, AT(checkpoint_every), "N",
     "generations between checkpoints; 0 writes none"},
    {"resume", CLI_FLAG, AT(resume), NULL, "go on from the checkpoints in --out"},
    {"mode", CLI_CHOICE, AT(mode), "cpu|remote|mpi",
     "where policies are computed: here, by a server (arena), or by the ranks of mpirun"},
    {"url", CLI_TEXT, AT(url), "URL", "remote: the server; without it one is started"},
    {"batch", CLI_U32, AT(batch), "N", "remote: rows a request at most", .min = 1, .max = 65536},
    {"concurrency", CLI_U32, AT(concurrency), "N", "remote: connections", .min = 1, .max = 1024},
    {"metrics-port", CLI_U32, AT(metrics_port), "N", "serve /metrics on this port of 127.0.0.1; 0 does not",
     .max = 65535},
    {"json", CLI_FLAG, AT(json), NULL, "generations as JSON lines on standard output"},
    {"quiet", CLI_FLAG, AT(quiet), NULL, "no line for each generation"},
    {"", CLI_HEADING, 0, NULL, "Arena"},
    {"fitness", CLI_TEXT, AT(fitness), "NAME", "what counts: fight, survive or explore"},
    {"teams", CLI_U32, AT(contest.arena.n_teams), "N", "teams in a match", .min = 2, .max = ARENA_MAX_TEAMS},
    {"ships", CLI_U32, AT(contest.arena.ships_a_team), "N", "ships of a team", .min = 1,
     .max = ARENA_MAX_SHIPS_A_TEAM},
    {"ticks", CLI_U32, AT(contest.arena.max_ticks), "N", "length of a match", .min = 1,
     .max = ARENA_MAX_TICKS},
    {"opponents", CLI_U32, AT(contest.n_matches), "N", "matches against genomes of the same generation"},
    {"hall", CLI_U32, AT(contest.n_hall), "N", "matches against earlier champions"},
    {"chasers", CLI_U32, AT(contest.n_chaser), "N", "matches against the hand-written chaser"},
};

static const struct cli_command command = {
    "neat_train train", "Evolves networks on a task, once or many times.", CLI_TABLE(options)};

/* The task's parameters, the file over them, single settings over that. */
static onnxd_status read_params(const struct train_options *o, const struct task *task,
                                struct neat_params *ret_params, onnxd_error *err)
{
    struct neat_params params;
    onnxd_status status = ONNXD_OK;
    task_params(task, &params);
    if (o->params != NULL) {
        char *text = NULL;
        size_t n = 0;
        status = file_read(o->params, 1 << 20, &text, &n, err);
        if (status == ONNXD_OK) status = neat_params_parse(text, n, &params, err);
        free(text);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < o->settings.n; i++) {
        char key[80];
        const char *text = o->settings.items[i], *equals = strchr(text, '=');
        snprintf(key, sizeof key, "%.*s", equals == NULL ? 79 : (int)(equals - text), text);
        status = neat_params_set(&params, key, equals == NULL ? "" : equals + 1, err);
    }
    if (status == ONNXD_OK && o->population > 0) {
        char text[16];
        snprintf(text, sizeof text, "%u", o->population);
        status = neat_params_set(&params, "population_size", text, err);
    }
    if (status == ONNXD_OK) *ret_params = params;
    return status;
}

/* Where one run writes; empty paths without --out. */
struct places {
    char folder[MAX_PATH], checkpoint[MAX_PATH], report[MAX_PATH], replay[MAX_PATH], lines[MAX_PATH];
};

static onnxd_status find_places(const struct train_options *o, uint64_t seed, struct places *places,
                                onnxd_error *err)
{
    *places = (struct places){{0}};
    if (o->out == NULL) return ONNXD_OK;
    if (strlen(o->out) > MAX_PATH - 100)
        return error_set(err, ONNXD_ERR_ARGUMENT, "--out: the path is too long");
    snprintf(places->folder, MAX_PATH - 40, "%s/run-%llu", o->out, (unsigned long long)seed);
    snprintf(places->checkpoint, MAX_PATH, "%.4000s/checkpoint.neat", places->folder);
    snprintf(places->report, MAX_PATH, "%.4000s/report.html", places->folder);
    snprintf(places->replay, MAX_PATH, "%.4000s/replay.html", places->folder);
    snprintf(places->lines, MAX_PATH, "%.4000s/generations.jsonl", places->folder);
    onnxd_status status = file_make_folder(o->out, err);
    return status == ONNXD_OK ? file_make_folder(places->folder, err) : status;
}

static void tell(const struct train_options *o, const struct run *run, FILE *lines)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    if (lines != NULL || o->json) {
        run_telemetry_json(run, &text);
        if (lines != NULL) fwrite(text.data, 1, text.n, lines);
        if (o->json) fwrite(text.data, 1, text.n, stdout);
        buf_reset(&text);
    }
    if (o->metrics != NULL) {
        run_telemetry_prometheus(run, &text);
        metrics_endpoint_set(o->metrics, text.data, text.n);
        buf_reset(&text);
    }
    if (!o->quiet && o->n_runs == 1) {
        run_telemetry_line(run, &text);
        fprintf(stderr, "%.*s\n", (int)text.n, text.data);
    }
    buf_done(&text);
}

static onnxd_status write_results(const struct run *run, const struct history *history,
                                  const struct places *places, onnxd_error *err)
{
    struct policy policy;
    struct buf svg, page;
    onnxd_status status = policy_from_genome(&run->champion, &run->population->shape, run->options.task->name,
                                             run->options.seed, run->result.fitness, &policy, err);
    if (status != ONNXD_OK) return status;
    buf_init(&svg, MAX_REPORT_BYTES);
    buf_init(&page, MAX_REPORT_BYTES);
    status = write_policy_files(&policy, places->folder, &svg, err);
    buf_append_char(&svg, 0);
    if (status == ONNXD_OK) status = history_report(history, run, svg.data, &page, err);
    if (status == ONNXD_OK) status = file_replace(places->report, page.data, page.n, err);
    if (status == ONNXD_OK && run->contest != NULL)
        status = write_replay(places->replay, &run->contest->options.arena, &policy, "champion", NULL,
                              "chaser", run->options.seed, err);
    buf_done(&svg);
    buf_done(&page);
    policy_done(&policy);
    return status;
}

/* How a run's champion of the arena fares against the chaser and against strangers. */
static onnxd_status examine(const struct train_options *o, const struct run *run, onnxd_error *err)
{
    enum { N_MATCHES = 200, EXAM_SEED = 20021 };
    struct contest_record chaser, random;
    if (run->contest == NULL || o->silent) return ONNXD_OK;
    onnxd_status status = contest_examine(&run->contest->options.arena, &run->champion, &run->options.params,
                                          &run->population->shape, N_MATCHES, EXAM_SEED + run->options.seed,
                                          &chaser, &random, err);
    if (status == ONNXD_OK)
        fprintf(o->json ? stderr : stdout,
                "champion of seed %llu, won/drawn/lost: %u/%u/%u against the chaser, %u/%u/%u against random "
                "genomes\n",
                (unsigned long long)run->options.seed, chaser.n_won, chaser.n_drawn, chaser.n_lost,
                random.n_won, random.n_drawn, random.n_lost);
    return status;
}

static onnxd_status evolve(const struct train_options *o, struct run *run, const struct places *places,
                           onnxd_error *err)
{
    struct history history;
    history_init(&history);
    FILE *lines = places->folder[0] == 0 ? NULL : fopen(places->lines, o->resume ? "ae" : "we");
    bool speaks = lines != NULL || o->json || o->metrics != NULL || (o->n_runs == 1 && !o->quiet);
    onnxd_status status = ONNXD_OK;
    while (status == ONNXD_OK && !run->finished) {
        status = run_generation(run, err);
        if (status == ONNXD_OK && places->folder[0] != 0) status = history_add(&history, run, err);
        if (status == ONNXD_OK && speaks) tell(o, run, lines);
        bool due = o->checkpoint_every > 0 && run->result.n_generations % o->checkpoint_every == 0;
        if (status == ONNXD_OK && due && !run->finished && places->folder[0] != 0)
            status = run_save_file(run, places->checkpoint, err);
    }
    if (status == ONNXD_OK && places->folder[0] != 0) status = write_results(run, &history, places, err);
    if (lines != NULL && fclose(lines) != 0 && status == ONNXD_OK)
        status = error_set(err, ONNXD_ERR_IO, "%s: cannot be written", places->lines);
    history_done(&history);
    return status;
}

static onnxd_status run_all(const struct train_options *o, struct run_options *run_options,
                            struct summary *summary, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < o->n_runs && status == ONNXD_OK; i++) {
        struct run *run = NULL;
        struct places places;
        run_options->seed = o->seed + i;
        uint64_t start_ns = monotonic_ns();
        status = find_places(o, run_options->seed, &places, err);
        if (status != ONNXD_OK) break;
        bool resume = o->resume && places.folder[0] != 0 && access(places.checkpoint, R_OK) == 0;
        status = resume ? run_load_file(places.checkpoint, run_options, &run, err)
                        : run_create(run_options, &run, err);
        if (status == ONNXD_OK) status = evolve(o, run, &places, err);
        if (status == ONNXD_OK) summary_add(summary, run, monotonic_ns() - start_ns);
        if (status == ONNXD_OK) status = examine(o, run, err);
        run_free(run);
    }
    return status;
}

static int train(struct train_options *o, struct run_options *run_options)
{
    onnxd_error err;
    struct summary summary;
    struct buf text;
    if (summary_init(&summary, run_options->task, run_options->task_options.success, o->n_runs, &err) !=
        ONNXD_OK)
        return cli_fail(command.name, &err);
    buf_init(&text, 1 << 20);
    onnxd_status status = run_all(o, run_options, &summary, &err);
    if (status == ONNXD_OK) status = summary_print(&summary, o->report, &text, &err);
    if (status == ONNXD_OK && !o->silent) fwrite(text.data, 1, text.n, o->json ? stderr : stdout);
    buf_done(&text);
    summary_done(&summary);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}

/* Remote mode: the server, the connections to it, and the run between. */
static int train_remote(struct train_options *o, struct run_options *run_options)
{
    struct own_server server = {0};
    struct remote *remote = NULL;
    onnxd_error err;
    onnxd_status status = o->url == NULL ? own_server_start(&server, &err) : ONNXD_OK;
    const struct remote_options remote_options = {
        .url = o->url == NULL ? server.url : o->url, .batch = o->batch, .concurrency = o->concurrency};
    if (status == ONNXD_OK) status = remote_create(&remote_options, &remote, &err);
    int result = CLI_EXIT_OK;
    if (status == ONNXD_OK) {
        struct contest_backend backend = remote_backend(remote);
        run_options->backend = &backend;
        result = train(o, run_options);
        if (result == CLI_EXIT_OK) status = remote_unload(remote, &err);
        const struct remote_stats *s = remote_stats_of(remote);
        if (result == CLI_EXIT_OK && s->n_requests > 0)
            fprintf(
                stderr,
                "remote: %llu requests, %llu rows, %.1f us a request; HTTP %.1f ms, of it compute %.1f ms; "
                "loading %llu models %.1f ms\n",
                (unsigned long long)s->n_requests, (unsigned long long)s->n_rows,
                (double)s->http_ns / 1e3 / (double)s->n_requests, (double)s->http_ns / 1e6,
                (double)s->compute_ns / 1e6, (unsigned long long)s->n_loads, (double)s->load_ns / 1e6);
    }
    remote_free(remote);
    own_server_stop(&server);
    return status == ONNXD_OK ? result : cli_fail(command.name, &err);
}

/* Under mpirun: every rank trains, the first one speaks. */
static int train_ranks(struct train_options *o, struct run_options *run_options)
{
    onnxd_error err;
    if (ranks_join(&run_options->ranks, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    if (ranks_own(run_options->ranks) > 0) {
        o->out = NULL;
        o->quiet = o->silent = true;
        o->json = o->resume = false;
    }
    int result = train(o, run_options);
    ranks_leave(run_options->ranks);
    return result;
}

static int check_options(const struct train_options *o, const struct task *task)
{
    if (task == NULL) return cli_usage_error(&command, "no task '%s'", o->task);
    if (o->resume && o->out == NULL) return cli_usage_error(&command, "--resume needs --out");
    if (o->mode == MODE_REMOTE && !task->is_contest)
        return cli_usage_error(&command, "--mode remote plays the arena; '%s' is judged in process", o->task);
    if (o->mode == MODE_MPI && o->resume)
        return cli_usage_error(&command, "--resume does not go with --mode mpi");
    return CLI_GO_ON;
}

int neat_train_train_main(int argc, char **argv)
{
    struct train_options o = {.task = "xor", .seed = 1, .fitness = "fight", .batch = 8, .concurrency = 4};
    contest_options_default(&o.contest);
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct run_options run_options = {.task = task_find(o.task)};
    onnxd_error err;
    result = check_options(&o, run_options.task);
    if (result != CLI_GO_ON) return result;
    if (!contest_weights_find(o.fitness, &o.contest.weights))
        return cli_usage_error(&command, "no fitness '%s'; expected fight, survive or explore", o.fitness);
    run_options.task_options.success = o.success == 0 ? SUCCESS_CLS : SUCCESS_SSE;
    run_options.contest = o.contest;
    if (o.n_runs == 0) o.n_runs = o.report ? 100 : 1;
    run_options.max_generations = o.generations > 0 ? o.generations : run_options.task->default_generations;
    if (read_params(&o, run_options.task, &run_options.params, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    uint32_t n_cpus = cpus_usable(), n_threads = o.threads > 0 ? o.threads : n_cpus > 1 ? n_cpus - 1 : 1;
    if (n_threads > 1 && threads_create(n_threads, &run_options.threads, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    uint16_t port = 0;
    if (o.metrics_port > 0 &&
        metrics_endpoint_start((uint16_t)o.metrics_port, &o.metrics, &port, &err) != ONNXD_OK) {
        threads_free(run_options.threads);
        return cli_fail(command.name, &err);
    }
    result = o.mode == MODE_REMOTE ? train_remote(&o, &run_options)
             : o.mode == MODE_MPI  ? train_ranks(&o, &run_options)
                                   : train(&o, &run_options);
    metrics_endpoint_free(o.metrics);
    threads_free(run_options.threads);
    return result;
}
