/* onnxd bench load: a load generator that counts time from when a request was due. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli_options.h"
#include "load/load_report.h"
#include "load/load_run.h"
#include "onnxd_commands.h"

#define MAX_REPORT_BYTES (16u << 20)
#define MAX_INPUT_BYTES  (256u << 20)

enum { EXIT_OBJECTIVE_BROKEN = 3, EXIT_CLIENT_LIMITED = 4 };
enum profile { PROFILE_NONE, PROFILE_SPIKE, PROFILE_SUSTAINED, PROFILE_CONNECTIONS };

struct arguments {
    uint32_t connections, threads, pipeline, batch, variants;
    double rate;
    const char *duration, *warm_up, *timeout, *stages, *body, *body_file, *rows, *method, *content_type, *slo;
    struct cli_texts headers;
    uint64_t seed, spin_us;
    bool poisson, new_connections, quiet;
    int profile;
    const char *json, *csv, *markdown, *html;
};

static const struct cli_option options[] = {
    {.type = CLI_HEADING, .help = "Load"},
    {"connections", CLI_U32, CLI_AT(struct arguments, connections), "N",
     "connections of all threads together (-c)", .min = 1, .max = 65000},
    {"threads", CLI_U32, CLI_AT(struct arguments, threads), "N", "client threads (-t)", .min = 1,
     .max = LOAD_MAX_THREADS},
    {"duration", CLI_TEXT, CLI_AT(struct arguments, duration), "TIME",
     "measured time, such as 10s or 2m (-d)"},
    {"rate", CLI_F64, CLI_AT(struct arguments, rate), "N",
     "requests a second by the clock, whether the server keeps up or not; without it each connection sends "
     "when its answer has come (-R)",
     .max = 1e8, .hides_default = true},
    {"poisson", CLI_FLAG, CLI_AT(struct arguments, poisson), NULL,
     "random gaps between requests, as from many users"},
    {"stages", CLI_TEXT, CLI_AT(struct arguments, stages), "LIST",
     "times and rates one after another, such as 10s@1000,30s@1000-20000"},
    {"profile", CLI_CHOICE, CLI_AT(struct arguments, profile), "none|spike|sustained|connections",
     "a ready pattern around --rate (default 1000): ten times the rate for 5 s; one minute; a connection for "
     "each request"},
    {"warm-up", CLI_TEXT, CLI_AT(struct arguments, warm_up), "TIME",
     "not recorded, before the measured time"},
    {"timeout", CLI_TEXT, CLI_AT(struct arguments, timeout), "TIME", "of one request"},
    {"pipeline", CLI_U32, CLI_AT(struct arguments, pipeline), "N",
     "requests under way on a connection, without --rate", .min = 1, .max = 1024},
    {"new-connections", CLI_FLAG, CLI_AT(struct arguments, new_connections), NULL,
     "a new connection for each request"},
    {"spin-us", CLI_U64, CLI_AT(struct arguments, spin_us), "US",
     "polls this long before a request is due: finer timing for more client CPU", .max = 1000000},
    {.type = CLI_HEADING, .help = "Requests"},
    {"body", CLI_TEXT, CLI_AT(struct arguments, body), "TEXT",
     "body with placeholders: ${0..9} random whole number, ${0.0..1.0} random number, ${i} count"},
    {"body-file", CLI_TEXT, CLI_AT(struct arguments, body_file), "FILE",
     "body sent as it is, such as binary tensors"},
    {"rows", CLI_TEXT, CLI_AT(struct arguments, rows), "FILE", "a body or a row of numbers on each line"},
    {"batch", CLI_U32, CLI_AT(struct arguments, batch), "N", "rows of --rows in a request", .min = 1,
     .max = 65536},
    {"variants", CLI_U32, CLI_AT(struct arguments, variants), "N", "different bodies made from --body",
     .min = 1, .max = 1048576},
    {"method", CLI_TEXT, CLI_AT(struct arguments, method), "WORD", "POST when there is a body, else GET"},
    {"content-type", CLI_TEXT, CLI_AT(struct arguments, content_type), "TYPE", "of the body"},
    {"header", CLI_TEXTS, CLI_AT(struct arguments, headers), "LINE",
     "a further header, such as 'x-key: abc' (-H)"},
    {"seed", CLI_U64, CLI_AT(struct arguments, seed), "N", "of random bodies and gaps"},
    {.type = CLI_HEADING, .help = "Results"},
    {"slo", CLI_TEXT, CLI_AT(struct arguments, slo), "LIST",
     "objectives such as p99<1ms,rps>10000,errors<0.1%; exit code 3 when one is broken, 4 when it is but the "
     "client was the limit"},
    {"json", CLI_TEXT, CLI_AT(struct arguments, json), "FILE", "everything, as JSON; - is standard output"},
    {"csv", CLI_TEXT, CLI_AT(struct arguments, csv), "FILE", "the course of the run"},
    {"markdown", CLI_TEXT, CLI_AT(struct arguments, markdown), "FILE", "a table"},
    {"html", CLI_TEXT, CLI_AT(struct arguments, html), "FILE", "a page with charts that needs no other file"},
    {"quiet", CLI_FLAG, CLI_AT(struct arguments, quiet), NULL, "no live view"},
};

static const struct cli_command command = {
    "onnxd bench load",
    "Sends requests to a server and measures its answers.",
    CLI_TABLE(options),
    .positionals = "URL",
    .min_positionals = 1,
    .max_positionals = 1,
    .notes = "onnxd bench load http://127.0.0.1:3000/predict -c 64 -d 10s --body "
             "'{\"features\":[${0..6},${0..23},${0.0..1.0}]}'"};

/* The short names that users of other load generators type. */
static void lengthen(int argc, char **argv)
{
    static const struct {
        const char *brief;
        char full[16];
    } names[] = {{"-c", "--connections"},
                 {"-t", "--threads"},
                 {"-d", "--duration"},
                 {"-R", "--rate"},
                 {"-H", "--header"}};
    static char copies[sizeof names / sizeof names[0]][16];
    for (int i = 1; i < argc; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++)
            if (strcmp(argv[i], names[k].brief) == 0)
                argv[i] = memcpy(copies[k], names[k].full, sizeof copies[k]);
}

/* ---- options to a plan ----------------------------------------------------------------------------- */

static bool set_duration(const char *text, const char *name, uint64_t *ret_ns)
{
    if (load_duration_parse(text, ret_ns)) return true;
    cli_usage_error(&command, "--%s: '%s' is no time such as 500ms, 10s or 2m", name, text);
    return false;
}

static void set_profile(const struct arguments *a, uint64_t duration_ns, struct load_options *plan)
{
    double rate = a->rate > 0 ? a->rate : 1000;
    plan->stages[0] = (struct load_stage){duration_ns, a->rate, a->rate};
    plan->n_stages = 1;
    if (a->profile == PROFILE_SPIKE) {
        plan->stages[0] = (struct load_stage){5 * NS_PER_S, rate, rate};
        plan->stages[1] = (struct load_stage){5 * NS_PER_S, 10 * rate, 10 * rate};
        plan->stages[2] = (struct load_stage){10 * NS_PER_S, rate, rate};
        plan->n_stages = 3;
    } else if (a->profile == PROFILE_SUSTAINED) {
        plan->stages[0] = (struct load_stage){60 * NS_PER_S, rate, rate};
    } else if (a->profile == PROFILE_CONNECTIONS) {
        plan->new_connections = true;
    }
}

static bool make_plan(const struct arguments *a, struct load_options *plan, onnxd_error *err)
{
    uint64_t duration_ns = 0;
    *plan = (struct load_options){.n_connections = a->connections,
                                  .n_threads = a->threads,
                                  .pipeline = a->pipeline,
                                  .poisson = a->poisson,
                                  .new_connections = a->new_connections,
                                  .seed = a->seed,
                                  .spin_ns = a->spin_us * NS_PER_US};
    if (!set_duration(a->duration, "duration", &duration_ns) ||
        !set_duration(a->warm_up, "warm-up", &plan->warm_up_ns) ||
        !set_duration(a->timeout, "timeout", &plan->timeout_ns))
        return false;
    set_profile(a, duration_ns, plan);
    if (a->stages == NULL) return true;
    if (load_stages_parse(a->stages, plan->stages, &plan->n_stages, err) == ONNXD_OK) return true;
    cli_usage_error(&command, "%s", err->message);
    return false;
}

static onnxd_status make_corpus(const struct arguments *a, const struct load_options *plan,
                                const struct load_url *url, struct load_corpus *ret, onnxd_error *err)
{
    struct load_corpus_options o = {.method = a->method,
                                    .body = a->body,
                                    .batch = a->batch,
                                    .n_variants = a->variants,
                                    .content_type = a->content_type,
                                    .close = plan->new_connections};
    struct rng rng = rng_seed(a->seed);
    char *rows = NULL, *raw = NULL;
    struct buf headers;
    buf_init(&headers, 1 << 20);
    for (uint32_t i = 0; i < a->headers.n; i++) buf_printf(&headers, "%s\r\n", a->headers.items[i]);
    if (a->headers.n > 0 && buf_append_char(&headers, 0)) o.headers = headers.data;
    onnxd_status status = ONNXD_OK;
    if (a->rows != NULL) status = file_read(a->rows, MAX_INPUT_BYTES, &rows, &o.n_rows_bytes, err);
    if (status == ONNXD_OK && a->body_file != NULL)
        status = file_read(a->body_file, MAX_INPUT_BYTES, &raw, &o.n_raw_body, err);
    o.rows = rows;
    o.raw_body = raw;
    if (status == ONNXD_OK) status = load_corpus_build(url, &o, &rng, ret, err);
    buf_done(&headers);
    free(rows);
    free(raw);
    return status;
}

/* ---- the live view --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void append_sparkline(const struct load_progress *p, char *out, size_t size)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint32_t n = p->n_intervals < 24 ? p->n_intervals : 24;
    uint64_t top = 1;
    const struct load_interval *last = p->intervals + p->n_intervals - n;
    for (uint32_t i = 0; i < n; i++)
        if (last[i].n > top) top = last[i].n;
    out[0] = 0;
    for (uint32_t i = 0; i < n && strlen(out) + 4 < size; i++) strcat(out, bars[last[i].n * 7 / top]);
}

static bool show_progress(void *context, const struct load_progress *p)
{
    const bool *live = context;
    if (!*live) return !interrupted;
    char line[128], p50[16] = "-", p99[16] = "-", max[16] = "-";
    int filled = (int)(p->elapsed_s / p->total_s * 20);
    double rate = 0;
    if (p->n_intervals > 0) {
        const struct load_interval *last = &p->intervals[p->n_intervals - 1];
        rate = (double)last->n / p->interval_s;
        load_format_time(last->p50_ns, p50, sizeof p50);
        load_format_time(last->p99_ns, p99, sizeof p99);
        load_format_time(last->max_ns, max, sizeof max);
    }
    uint64_t errors = 0;
    for (uint32_t i = 0; i < p->n_intervals; i++) errors += p->intervals[i].n_errors;
    append_sparkline(p, line, sizeof line);
    fprintf(stderr, "\r\033[K[%.*s%.*s] %4.1f/%.0fs %s%8.0f/s p50 %s p99 %s max %s errors %llu %s", filled,
            "####################", 20 - filled, "....................", p->elapsed_s, p->total_s,
            p->warming_up ? "warming up " : "", rate, p50, p99, max, (unsigned long long)errors, line);
    return !interrupted;
}

/* ---- results --------------------------------------------------------------------------------------- */

static onnxd_status put(const char *path, const struct buf *buf, onnxd_error *err)
{
    if (strcmp(path, "-") != 0) return file_replace(path, buf->data, buf->n, err);
    fwrite(buf->data, 1, buf->n, stdout);
    return ONNXD_OK;
}

static onnxd_status write_reports(const struct arguments *a, const struct load_result *r,
                                  const struct load_objective *o, uint32_t n, onnxd_error *err)
{
    struct buf buf;
    onnxd_status status = ONNXD_OK;
    buf_init(&buf, MAX_REPORT_BYTES);
    bool own_output = (a->json != NULL && strcmp(a->json, "-") == 0) ||
                      (a->csv != NULL && strcmp(a->csv, "-") == 0) ||
                      (a->markdown != NULL && strcmp(a->markdown, "-") == 0) ||
                      (a->html != NULL && strcmp(a->html, "-") == 0);
    load_report_text(r, o, n, &buf);
    if (!own_output) status = put("-", &buf, err);
    if (status == ONNXD_OK && a->json != NULL) {
        buf_reset(&buf);
        load_report_json(r, o, n, &buf);
        status = put(a->json, &buf, err);
    }
    if (status == ONNXD_OK && a->csv != NULL) {
        buf_reset(&buf);
        load_report_csv(r, &buf);
        status = put(a->csv, &buf, err);
    }
    if (status == ONNXD_OK && a->markdown != NULL) {
        buf_reset(&buf);
        load_report_markdown(r, o, n, &buf);
        status = put(a->markdown, &buf, err);
    }
    if (status == ONNXD_OK && a->html != NULL) {
        buf_reset(&buf);
        load_report_html(r, o, n, &buf);
        status = put(a->html, &buf, err);
    }
    buf_done(&buf);
    return status;
}

static int run(const struct arguments *a, const char *target)
{
    struct load_options plan;
    struct load_objective objectives[LOAD_MAX_OBJECTIVES];
    struct load_url url;
    struct load_corpus corpus = {0};
    struct load_result result = {0};
    onnxd_error err = {0};
    uint32_t n_objectives = 0;
    if (!make_plan(a, &plan, &err)) return CLI_EXIT_USAGE;
    if ((a->body != NULL) + (a->body_file != NULL) + (a->rows != NULL) > 1)
        return cli_usage_error(&command, "give one of --body, --body-file and --rows");
    if (a->slo != NULL && load_slo_parse(a->slo, objectives, &n_objectives, &err) != ONNXD_OK)
        return cli_fail(command.name, &err);
    if (load_url_parse(target, &url, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    if (make_corpus(a, &plan, &url, &corpus, &err) != ONNXD_OK) return cli_fail(command.name, &err);
    bool live = !a->quiet && isatty(STDERR_FILENO);
    signal(SIGINT, on_interrupt);
    onnxd_status status = load_run(&plan, &url, &corpus, show_progress, &live, &result, &err);
    load_corpus_done(&corpus);
    if (live) fprintf(stderr, "\r\033[K");
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    bool kept = load_slo_check(&result, objectives, n_objectives);
    status = write_reports(a, &result, objectives, n_objectives, &err);
    bool limited = result.audit.client_limited, answered = result.record->n_done > 0;
    load_result_done(&result);
    if (status != ONNXD_OK) return cli_fail(command.name, &err);
    if (!kept) return limited ? EXIT_CLIENT_LIMITED : EXIT_OBJECTIVE_BROKEN;
    return answered ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
}

int onnxd_bench_load_main(int argc, char **argv)
{
    struct arguments a = {.connections = 64,
                          .threads = 1,
                          .pipeline = 1,
                          .batch = 1,
                          .variants = 4096,
                          .duration = "10s",
                          .warm_up = "1s",
                          .timeout = "5s",
                          .seed = 1,
                          .spin_us = 20};
    uint32_t n = 0;
    lengthen(argc, argv);
    int result = cli_parse(&command, argc, argv, &a, &n);
    if (result != CLI_GO_ON) return result;
    return run(&a, argv[1]);
}
