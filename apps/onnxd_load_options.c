#include "onnxd_load_options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/served_model.h"
#include "load/load_report.h"

#define MAX_INPUT_BYTES (256u << 20)

void load_lengthen(int argc, char **argv)
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

static bool set_duration(const struct cli_command *command, const char *text, const char *name,
                         uint64_t *ret_ns)
{
    if (load_duration_parse(text, ret_ns)) return true;
    cli_usage_error(command, "--%s: '%s' is no time such as 500ms, 10s or 2m", name, text);
    return false;
}

static void set_profile(const struct load_arguments *a, uint64_t duration_ns, struct load_options *plan)
{
    double rate = a->rate > 0 ? a->rate : 1000;
    plan->stages[0] = (struct load_stage){duration_ns, a->rate, a->rate};
    plan->n_stages = 1;
    if (a->profile == LOAD_PROFILE_SPIKE) {
        plan->stages[0] = (struct load_stage){duration_ns / 4, rate, rate};
        plan->stages[1] = (struct load_stage){duration_ns / 4, 10 * rate, 10 * rate};
        plan->stages[2] = (struct load_stage){duration_ns - duration_ns / 2, rate, rate};
        plan->n_stages = 3;
    } else if (a->profile == LOAD_PROFILE_SUSTAINED) {
        uint64_t length_ns = duration_ns > 60 * NS_PER_S ? duration_ns : 60 * NS_PER_S;
        plan->stages[0] = (struct load_stage){length_ns, rate, rate};
    }
}

int load_make_plan(const struct cli_command *command, const struct load_arguments *a,
                   struct load_options *ret)
{
    uint64_t duration_ns = 0;
    onnxd_error err;
    struct load_options plan = {.n_connections = a->connections,
                                .n_threads = a->threads,
                                .pipeline = a->pipeline,
                                .poisson = a->poisson,
                                .busy = a->pacing == LOAD_PACING_BUSY,
                                .new_connections = a->new_connections,
                                .insecure = a->insecure,
                                .ca_path = a->ca,
                                .seed = a->seed,
                                .sample_bytes = a->sample_bytes,
                                .spin_ns = a->spin_us * NS_PER_US};
    if (!set_duration(command, a->duration, "duration", &duration_ns) ||
        !set_duration(command, a->warm_up, "warm-up", &plan.warm_up_ns) ||
        !set_duration(command, a->timeout, "timeout", &plan.timeout_ns))
        return CLI_EXIT_USAGE;
    set_profile(a, duration_ns, &plan);
    if (a->stages != NULL && a->profile != LOAD_PROFILE_NONE)
        return cli_usage_error(command, "give one of --stages and --profile");
    if (a->stages != NULL && load_stages_parse(a->stages, plan.stages, &plan.n_stages, &err) != ONNXD_OK)
        return cli_usage_error(command, "%s", err.message);
    if (!load_is_open(&plan) && (a->poisson || plan.busy))
        return cli_usage_error(command, "--poisson and --pacing busy need a --rate");
    *ret = plan;
    return CLI_GO_ON;
}

/* ---- requests -------------------------------------------------------------------------------------- */

static onnxd_status make_random(const struct load_arguments *a, const struct load_options *plan,
                                const struct load_corpus_options *o, struct load_target *target,
                                struct rng *rng, onnxd_error *err)
{
    enum request_form form;
    char name[SERVED_NAME_BYTES];
    struct served_model model = {.n_inputs = 0};
    bool binary = a->random == LOAD_RANDOM_BINARY;
    if (!served_form_of(&target->url, binary, &form, name)) {
        if (!binary) /* a plain GET of whatever it is */
            return load_corpus_build(&target->url, o, rng, &target->corpus, err);
        snprintf(err->message, sizeof err->message, "%.200s: binary rows go to /v2/models/NAME/infer",
                 target->url.path);
        return err->status = ONNXD_ERR_ARGUMENT;
    }
    onnxd_status status = served_model_ask(&target->url, name, plan, &model, err);
    if (status == ONNXD_OK)
        status = served_model_corpus(&model, form, &target->url, *o, rng, &target->corpus, err);
    served_model_done(&model);
    return status;
}

static onnxd_status make_requests(const struct load_arguments *a, const struct load_options *plan,
                                  struct load_target *target, onnxd_error *err)
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
    bool given = a->body != NULL || rows != NULL || raw != NULL || a->method != NULL;
    if (status == ONNXD_OK)
        status = given ? load_corpus_build(&target->url, &o, &rng, &target->corpus, err)
                       : make_random(a, plan, &o, target, &rng, err);
    buf_done(&headers);
    free(rows);
    free(raw);
    return status;
}

int load_make_target(const struct cli_command *command, const struct load_arguments *a,
                     const struct load_options *plan, const char *url, double weight, struct load_target *ret)
{
    struct load_target target = {.weight = weight};
    onnxd_error err = {0};
    if ((a->body != NULL) + (a->body_file != NULL) + (a->rows != NULL) > 1)
        return cli_usage_error(command, "give one of --body, --body-file and --rows");
    for (uint32_t i = 0; i < a->headers.n; i++)
        if (strchr(a->headers.items[i], ':') == NULL || strpbrk(a->headers.items[i], "\r\n") != NULL)
            return cli_usage_error(command, "--header: '%s' is not like 'name: value'", a->headers.items[i]);
    if (load_url_parse(url, &target.url, &err) != ONNXD_OK ||
        make_requests(a, plan, &target, &err) != ONNXD_OK)
        return cli_fail(command->name, &err);
    *ret = target;
    return CLI_GO_ON;
}

/* ---- the view -------------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void load_catch_interrupts(void)
{
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    signal(SIGHUP, on_interrupt);
}

bool load_was_interrupted(void)
{
    return interrupted != 0;
}

bool load_view_wanted(bool quiet)
{
    return !quiet && isatty(STDERR_FILENO);
}

void load_clear_view(bool shown)
{
    if (shown) fprintf(stderr, "\r\033[K");
}

/* The rates of the last intervals as bars, the highest one full. */
static void append_sparkline(const struct load_progress *p, uint32_t n_bars, struct buf *line)
{
    static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint32_t n = p->n_intervals < n_bars ? p->n_intervals : n_bars;
    uint64_t top = 1;
    const struct load_interval *last = p->intervals + p->n_intervals - n;
    for (uint32_t i = 0; i < n; i++)
        if (last[i].n > top) top = last[i].n;
    for (uint32_t i = 0; i < n; i++) buf_append_text(line, bars[last[i].n * 7 / top]);
}

/* What fits beside the figures, which take about 100 columns; the line must not wrap. */
static uint32_t spark_bars(void)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
    return size.ws_col <= 104 ? 0 : size.ws_col - 104u < 40 ? size.ws_col - 104u : 40;
}

bool load_show_progress(void *context, const struct load_progress *p)
{
    const bool *live = context;
    if (!*live) return !interrupted;
    char p50[16] = "-", p99[16] = "-", max[16] = "-";
    int filled = p->elapsed_s < p->total_s ? (int)(p->elapsed_s / p->total_s * 20) : 20;
    double rate = 0;
    uint64_t errors = 0;
    if (p->n_intervals > 0) {
        const struct load_interval *last = &p->intervals[p->n_intervals - 1];
        rate = (double)last->n / p->interval_s;
        load_format_time(last->p50_ns, p50, sizeof p50);
        load_format_time(last->p99_ns, p99, sizeof p99);
        load_format_time(last->max_ns, max, sizeof max);
    }
    for (uint32_t i = 0; i < p->n_intervals; i++) errors += p->intervals[i].n_errors;
    struct buf line;
    buf_init(&line, 4096);
    buf_printf(&line, "\r\033[K[%.*s%.*s] %4.1f/%.0fs %s%.0f/s p50 %s p99 %s max %s errors %llu ", filled,
               "####################", 20 - filled, "....................", p->elapsed_s, p->total_s,
               p->warming_up ? "warming up " : "", rate, p50, p99, max, (unsigned long long)errors);
    append_sparkline(p, spark_bars(), &line);
    fwrite(line.data, 1, line.n, stderr);
    fflush(stderr);
    buf_done(&line);
    return !interrupted;
}
