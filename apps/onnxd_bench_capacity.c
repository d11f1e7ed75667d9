/* onnxd bench capacity: how many instances a load needs, by simulation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "bench/queue_model.h"
#include "cli_options.h"
#include "json/json_writer.h"
#include "onnxd_commands.h"
#include "stats/line_chart.h"

enum { FORMAT_TEXT, FORMAT_JSON, MAX_SAMPLES = 256, MAX_LINES = 4, OUTPUT_BYTES = 4 << 20 };

struct capacity_command {
    const char *samples, *svg;
    double wake_us, request_us, base_us, objective_us, head_room;
    struct cli_numbers instances, rates, loads;
    uint32_t max_batch;
    int balance, service, format;
    uint64_t n_requests, seed;
};

#define AT(member) CLI_AT(struct capacity_command, member)

static const struct cli_option options[] = {
    {.type = CLI_HEADING, .help = "Service times"},
    {"wake-us", CLI_F64, AT(wake_us), "US", "processor time of a wake-up, however many requests it brings",
     .min = 0, .max = 1e9},
    {"request-us", CLI_F64, AT(request_us), "US", "processor time of each request beside that", .min = 0,
     .max = 1e9},
    {"samples", CLI_TEXT, AT(samples), "FILE",
     "finds both from lines CPU_SECONDS,WAKEUPS,REQUESTS that a server counted at different loads"},
    {"service", CLI_CHOICE, AT(service), "fixed|exponential", "how the time of a request varies"},
    {"base-us", CLI_F64, AT(base_us), "US", "added to every latency: network, kernel and client", .min = 0,
     .max = 1e9},

    {.type = CLI_HEADING, .help = "Servers"},
    {"instances", CLI_NUMBERS, AT(instances), "LIST", "serving threads, each with a processor of its own",
     .min = 1, .max = QUEUE_MAX_INSTANCES},
    {"balance", CLI_CHOICE, AT(balance), "random|shortest|shared",
     "which instance a request goes to: any, as connections are spread by hash; the one with the fewest, as "
     "least_conn "
     "does; or the first that is free"},
    {"max-batch", CLI_U32, AT(max_batch), "N", "most requests that a wake-up takes", .min = 1,
     .max = QUEUE_MAX_BATCH},

    {.type = CLI_HEADING, .help = "Load"},
    {"rates", CLI_NUMBERS, AT(rates), "LIST", "requests a second of all instances together", .min = 1,
     .max = 4e9},
    {"loads", CLI_NUMBERS, AT(loads), "LIST", "without --rates: per cent of the capacity", .min = 1,
     .max = 99},
    {"objective-us", CLI_F64, AT(objective_us), "US", "finds the highest rate whose p99 keeps to it",
     .min = 0.001, .max = 1e9},
    {"head-room", CLI_F64, AT(head_room), "SHARE",
     "kept free of that rate, for bursts and for an instance that fails", .min = 0, .max = 0.95},
    {"requests", CLI_U64, AT(n_requests), "N", "simulated for each figure", .min = 1000,
     .max = QUEUE_MAX_REQUESTS},
    {"seed", CLI_U64, AT(seed), "N", "of arrivals and choices"},

    {.type = CLI_HEADING, .help = "Results"},
    {"format", CLI_CHOICE, AT(format), "text|json", "of standard output"},
    {"svg", CLI_TEXT, AT(svg), "FILE", "writes a chart of p99 against load there"},
};

static const struct cli_command command = {
    "onnxd bench capacity",
    "Predicts latency against load and number of instances, and how many a load needs.",
    CLI_TABLE(options),
    .notes = "Requests arrive as from many users (Poisson). A wake-up takes all that wait and answers them "
             "together.\n"
             "docs/scaling.md says where the times come from and how well the prediction holds.\n\n"
             "  onnxd bench capacity --wake-us 8 --request-us 6 --instances 1,2,4 --objective-us 1000",
};

struct row { /* one load of one number of instances */
    uint32_t n_instances;
    double rate, load;
    bool is_overload;
    struct queue_figures figures;
};

struct result {
    double wake_us, request_us;
    struct row rows[CLI_MAX_NUMBERS * CLI_MAX_NUMBERS];
    uint32_t n_rows;
    double highest[CLI_MAX_NUMBERS]; /* rate that keeps the objective, by number of instances */
};

/* ---- service times ---------------------------------------------------------------------------------- */

static onnxd_status read_samples(const char *path, struct result *result, onnxd_error *err)
{
    struct queue_sample samples[MAX_SAMPLES];
    uint32_t n = 0, line_number = 0;
    char *text = NULL, *rest = NULL;
    size_t n_text = 0;
    onnxd_status status = file_read(path, 1 << 20, &text, &n_text, err);
    if (status != ONNXD_OK) return status;
    rest = text;
    for (char *line; status == ONNXD_OK && (line = strsep(&rest, "\n")) != NULL;) {
        struct queue_sample sample;
        char after;
        line_number++;
        if (*line == '#' || *line == 0) continue;
        if (n == MAX_SAMPLES)
            status = error_set(err, ONNXD_ERR_LIMIT, "%s: more than %d samples", path, MAX_SAMPLES);
        else if (sscanf(line, "%lf,%lf,%lf %c", &sample.cpu_s, &sample.wakeups, &sample.requests, &after) !=
                 3)
            status = error_set(err, ONNXD_ERR_FORMAT, "%s: line %u: expected CPU_SECONDS,WAKEUPS,REQUESTS",
                               path, line_number);
        else
            samples[n++] = sample;
    }
    free(text);
    double wake_s = 0, request_s = 0;
    if (status == ONNXD_OK) status = queue_model_fit(samples, n, &wake_s, &request_s, err);
    if (status != ONNXD_OK) return status;
    result->wake_us = wake_s * 1e6;
    result->request_us = request_s * 1e6;
    return ONNXD_OK;
}

/* ---- simulation ------------------------------------------------------------------------------------- */

static struct queue_model model_of(const struct capacity_command *o, const struct result *result,
                                   uint32_t n_instances)
{
    return (struct queue_model){.n_instances = n_instances,
                                .balance = (enum queue_balance)o->balance,
                                .service = (enum queue_service)o->service,
                                .wake_s = result->wake_us * 1e-6,
                                .request_s = result->request_us * 1e-6,
                                .max_batch = o->max_batch,
                                .n_requests = o->n_requests,
                                .seed = o->seed};
}

static onnxd_status simulate_instances(const struct capacity_command *o, struct result *result,
                                       uint32_t which, onnxd_error *err)
{
    struct queue_model model = model_of(o, result, o->instances.items[which]);
    double capacity = queue_model_capacity(&model);
    const struct cli_numbers *list = o->rates.n > 0 ? &o->rates : &o->loads;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; status == ONNXD_OK && i < list->n; i++) {
        struct row *row = &result->rows[result->n_rows++];
        model.arrival_rate = o->rates.n > 0 ? list->items[i] : capacity * list->items[i] / 100;
        *row = (struct row){.n_instances = model.n_instances,
                            .rate = model.arrival_rate,
                            .load = model.arrival_rate / capacity,
                            .is_overload = model.arrival_rate >= capacity};
        if (!row->is_overload) status = queue_model_run(&model, &row->figures, err);
    }
    if (status == ONNXD_OK && o->objective_us > 0 && o->objective_us > o->base_us)
        status = queue_model_highest_rate(&model, (o->objective_us - o->base_us) * 1e-6,
                                          &result->highest[which], err);
    return status;
}

/* ---- results ---------------------------------------------------------------------------------------- */

/* Instances for a load: what the rate that one keeps to, less head-room, says. */
static double usable_rate(const struct capacity_command *o, double highest)
{
    return highest * (1 - o->head_room);
}

static void print_text(const struct capacity_command *o, const struct result *result)
{
    printf("a wake-up %.3g us, each request %.3g us; %.3g us added to every latency\n\n", result->wake_us,
           result->request_us, o->base_us);
    printf("%9s %12s %6s %6s %7s %10s %10s %10s\n", "instances", "requests/s", "load", "busy", "batch",
           "p50 us", "p99 us", "+-");
    for (uint32_t i = 0; i < result->n_rows; i++) {
        const struct row *row = &result->rows[i];
        const struct queue_figures *f = &row->figures;
        printf("%9u %12.0f %5.0f%% ", row->n_instances, row->rate, row->load * 100);
        if (row->is_overload)
            printf("%s\n", "more than they can do: the queue grows without end");
        else
            printf("%5.0f%% %7.2f %10.1f %10.1f %10.1f\n", f->utilisation * 100, f->mean_batch,
                   f->p50_s * 1e6 + o->base_us, f->p99_s * 1e6 + o->base_us, f->p99_error_s * 1e6);
    }
    if (o->objective_us <= 0) return;
    printf("\np99 within %g us:\n", o->objective_us);
    for (uint32_t i = 0; i < o->instances.n; i++)
        printf("%9u %12.0f requests/s, %.0f with %.0f%% head-room\n", o->instances.items[i],
               result->highest[i], usable_rate(o, result->highest[i]), o->head_room * 100);
}

static void write_row(struct json_writer *w, const struct capacity_command *o, const struct row *row)
{
    const struct queue_figures *f = &row->figures;
    json_begin_object(w);
    json_key(w, "instances"), json_u64(w, row->n_instances);
    json_key(w, "rate"), json_fixed(w, row->rate, 3);
    json_key(w, "load"), json_fixed(w, row->load, 6);
    json_key(w, "overload"), json_bool(w, row->is_overload);
    if (!row->is_overload) {
        json_key(w, "busy"), json_fixed(w, f->utilisation, 6);
        json_key(w, "batch"), json_fixed(w, f->mean_batch, 6);
        json_key(w, "mean_us"), json_fixed(w, f->mean_s * 1e6 + o->base_us, 3);
        json_key(w, "p50_us"), json_fixed(w, f->p50_s * 1e6 + o->base_us, 3);
        json_key(w, "p90_us"), json_fixed(w, f->p90_s * 1e6 + o->base_us, 3);
        json_key(w, "p99_us"), json_fixed(w, f->p99_s * 1e6 + o->base_us, 3);
        json_key(w, "p999_us"), json_fixed(w, f->p999_s * 1e6 + o->base_us, 3);
        json_key(w, "p99_error_us"), json_fixed(w, f->p99_error_s * 1e6, 3);
    }
    json_end_object(w);
}

static onnxd_status print_json(const struct capacity_command *o, const struct result *result,
                               onnxd_error *err)
{
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, OUTPUT_BYTES);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "wake_us"), json_fixed(&w, result->wake_us, 6);
    json_key(&w, "request_us"), json_fixed(&w, result->request_us, 6);
    json_key(&w, "base_us"), json_fixed(&w, o->base_us, 6);
    json_key(&w, "figures");
    json_begin_array(&w);
    for (uint32_t i = 0; i < result->n_rows; i++) write_row(&w, o, &result->rows[i]);
    json_end_array(&w);
    if (o->objective_us > 0) {
        json_key(&w, "objective_us"), json_fixed(&w, o->objective_us, 3);
        json_key(&w, "highest");
        json_begin_array(&w);
        for (uint32_t i = 0; i < o->instances.n; i++) {
            json_begin_object(&w);
            json_key(&w, "instances"), json_u64(&w, o->instances.items[i]);
            json_key(&w, "rate"), json_fixed(&w, result->highest[i], 3);
            json_key(&w, "with_head_room"), json_fixed(&w, usable_rate(o, result->highest[i]), 3);
            json_end_object(&w);
        }
        json_end_array(&w);
    }
    json_end_object(&w);
    onnxd_status status = json_writer_finish(&w, err);
    if (status == ONNXD_OK) printf("%.*s\n", (int)buf.n, buf.data);
    buf_done(&buf);
    return status;
}

static void format_us(double y, char *out, size_t size)
{
    snprintf(out, size, "%g us", y);
}

/* p99 against load, a line for each of the first numbers of instances. */
static onnxd_status write_svg(const struct capacity_command *o, const struct result *result, onnxd_error *err)
{
    static const char *const colours[MAX_LINES] = {"#2563eb", "#dc2626", "#16a34a", "#9333ea"};
    double x[CLI_MAX_NUMBERS], y[MAX_LINES][CLI_MAX_NUMBERS];
    char names[MAX_LINES][32];
    struct line_chart chart = {.title = "p99 against load", .log_y = true, .format_y = format_us, .x = x};
    chart.x_name = o->rates.n > 0 ? "requests a second" : "per cent of the capacity";
    chart.n = o->rates.n > 0 ? o->rates.n : o->loads.n;
    chart.n_lines = o->instances.n < MAX_LINES ? o->instances.n : MAX_LINES;
    for (uint32_t l = 0; l < chart.n_lines; l++) {
        snprintf(names[l], sizeof names[l], "%u instance%s", o->instances.items[l],
                 o->instances.items[l] > 1 ? "s" : "");
        chart.lines[l] = (struct chart_line){names[l], colours[l], y[l]};
        for (uint32_t i = 0; i < chart.n; i++) {
            const struct row *row = &result->rows[l * chart.n + i];
            x[i] = o->rates.n > 0 ? row->rate : o->loads.items[i];
            y[l][i] = row->is_overload ? NAN : row->figures.p99_s * 1e6 + o->base_us;
        }
    }
    struct buf buf;
    buf_init(&buf, OUTPUT_BYTES);
    line_chart_svg(&chart, &buf);
    onnxd_status status = buf.failed ? error_set(err, ONNXD_ERR_LIMIT, "%s: the chart is too large", o->svg)
                                     : file_replace(o->svg, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

/* ---- command ---------------------------------------------------------------------------------------- */

static int check_together(const struct capacity_command *o)
{
    if (o->samples == NULL && !(o->wake_us + o->request_us > 0))
        return cli_usage_error(&command, "--samples FILE, or --wake-us and --request-us, are missing");
    if (o->samples != NULL && o->wake_us + o->request_us > 0)
        return cli_usage_error(&command, "--samples and --wake-us or --request-us: one of both");
    const struct cli_numbers *list = o->rates.n > 0 ? &o->rates : &o->loads;
    for (uint32_t i = 1; i < list->n; i++)
        if (list->items[i] <= list->items[i - 1])
            return cli_usage_error(&command, "--%s: expected rising numbers",
                                   o->rates.n > 0 ? "rates" : "loads");
    return CLI_GO_ON;
}

int onnxd_bench_capacity_main(int argc, char **argv)
{
    struct capacity_command o = {.instances = {.items = {1, 2, 4}, .n = 3},
                                 .loads = {.items = {10, 20, 30, 40, 50, 60, 70, 80, 90, 95}, .n = 10},
                                 .max_batch = 64,
                                 .head_room = 0.3,
                                 .n_requests = 500000,
                                 .seed = 1};
    onnxd_error err = {.status = ONNXD_ERR_NOMEM, .message = "out of memory"};
    int code = cli_parse(&command, argc, argv, &o, NULL);
    if (code == CLI_GO_ON) code = check_together(&o);
    if (code != CLI_GO_ON) return code;
    struct result *result = calloc(1, sizeof *result);
    onnxd_status status = result != NULL ? ONNXD_OK : ONNXD_ERR_NOMEM;
    if (status == ONNXD_OK) {
        result->wake_us = o.wake_us;
        result->request_us = o.request_us;
        if (o.samples != NULL) status = read_samples(o.samples, result, &err);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < o.instances.n; i++)
        status = simulate_instances(&o, result, i, &err);
    if (status == ONNXD_OK && o.svg != NULL) status = write_svg(&o, result, &err);
    if (status == ONNXD_OK) {
        if (o.format == FORMAT_JSON)
            status = print_json(&o, result, &err);
        else
            print_text(&o, result);
    }
    free(result);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
