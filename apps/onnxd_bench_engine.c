/* onnxd bench engine: the native engine against ONNX Runtime, as a table and as JSON. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "bench/engine_suite.h"
#include "cli_history.h"
#include "cli_options.h"
#include "json/json_writer.h"
#include "onnxd_commands.h"

struct engine_options {
    struct cli_numbers batches;
    double seconds;
    const char *rows, *json, *history;
    uint64_t seed;
    int precision;
};

static const struct cli_option options[] = {
    {"batch", CLI_NUMBERS, CLI_AT(struct engine_options, batches), "N,N", "batch sizes", .min = 1,
     .max = 65536},
    {"seconds", CLI_F64, CLI_AT(struct engine_options, seconds), "S", "time for each batch size",
     .max = 3600},
    {"rows", CLI_TEXT, CLI_AT(struct engine_options, rows), "FILE",
     "rows to run (.f32, .csv or JSON lines); without it rows are drawn within the model's tables"},
    {"seed", CLI_U64, CLI_AT(struct engine_options, seed), "N", "of the drawn rows"},
    {"precision", CLI_CHOICE, CLI_AT(struct engine_options, precision), "fp32|bf16", "of the native engine"},
    {"json", CLI_TEXT, CLI_AT(struct engine_options, json), "FILE", "writes the figures there, too"},
    CLI_HISTORY(struct engine_options, history),
};

static const struct cli_command command = {
    "onnxd bench engine",
    "Measures the native engine against ONNX Runtime, in turns, on one core.",
    CLI_TABLE(options),
    .positionals = "MODEL",
    .min_positionals = 1,
    .max_positionals = 1,
    .notes =
        "Times are medians of a call in microseconds with 95 % intervals; the ratio is ONNX Runtime's time\n"
        "over ours. FLOPs and bytes count the plan's work; their shares are of what one core was measured\n"
        "to reach: multiply-adds in registers, and reading from the second-level cache (a share above\n"
        "100 % says that the first-level cache served a part). tools/fetch_onnxruntime brings the library;\n"
        "ONNXD_ONNXRUNTIME names it."};

static void print_head(const struct engine_suite *s)
{
    printf("onnxd %s (%s) on %s%s; peaks of the core: %.0f GFLOP/s, L2 %.0f GB/s\n", s->version, s->isa,
           s->cpu, s->pinned ? ", one pinned core" : ", not pinned", s->peak.flops_per_s / 1e9,
           s->peak.l2_bytes_per_s / 1e9);
    if (s->other_version[0] != 0)
        printf("ONNX Runtime %s, one thread, all optimisations\n", s->other_version);
    else
        printf("native alone: %s\n", s->why_no_other);
    printf("%6s  %-27s %-27s %-20s %10s %9s %6s %6s\n", "batch", "native us", "onnxruntime us", "ratio",
           "rows/s", "max diff", "FLOP/s", "L2");
}

static void print_interval(const struct interval *x, int width)
{
    char text[64];
    int places = x->point < 10 ? 3 : x->point < 1000 ? 1 : 0;
    if (x->point > 0)
        snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", places, x->point, places, x->low, places, x->high);
    else
        snprintf(text, sizeof text, "-");
    printf(" %-*s", width, text);
}

static void print_ratio(const struct interval *x)
{
    char text[64] = "-";
    if (x->point > 0) snprintf(text, sizeof text, "%.2fx [%.2f, %.2f]", x->point, x->low, x->high);
    printf(" %-20s", text);
}

static void print_last(void *context, const struct engine_suite *s)
{
    (void)context;
    const struct engine_figures *f = &s->figures[s->n_figures - 1];
    if (s->n_figures == 1) print_head(s);
    printf("%6u ", f->batch);
    print_interval(&f->native_us, 27);
    print_interval(&f->other_us, 27);
    print_ratio(&f->ratio);
    printf(" %10.0f", f->batch / f->native_us.point * 1e6);
    if (f->other_us.point > 0)
        printf(" %9.1e", f->worst_difference);
    else
        printf(" %9s", "-");
    printf(" %5.0f%% %5.0f%%\n", 100 * f->flop_share, 100 * f->byte_share);
    fflush(stdout);
}

static void write_interval(struct json_writer *w, const char *key, const struct interval *x)
{
    json_key(w, key);
    if (x->point <= 0) {
        json_null(w);
        return;
    }
    json_begin_object(w);
    json_key(w, "median");
    json_fixed(w, x->point, 4);
    json_key(w, "low");
    json_fixed(w, x->low, 4);
    json_key(w, "high");
    json_fixed(w, x->high, 4);
    json_end_object(w);
}

static void write_number(struct json_writer *w, const char *key, double x, int places)
{
    json_key(w, key);
    json_fixed(w, x, places);
}

static void write_suite(struct json_writer *w, const struct engine_suite *s, const char *model)
{
    json_begin_object(w);
    json_key(w, "suite");
    json_string(w, "engine");
    json_key(w, "model");
    json_string(w, model);
    json_key(w, "onnxd");
    json_string(w, s->version);
    json_key(w, "onnxruntime");
    json_string(w, s->other_version[0] != 0 ? s->other_version : NULL);
    json_key(w, "cpu");
    json_string(w, s->cpu);
    json_key(w, "isa");
    json_string(w, s->isa);
    json_key(w, "pinned");
    json_bool(w, s->pinned);
    write_number(w, "peak_gflops", s->peak.flops_per_s / 1e9, 1);
    write_number(w, "peak_l2_gb_per_s", s->peak.l2_bytes_per_s / 1e9, 1);
    json_key(w, "figures");
    json_begin_array(w);
    for (uint32_t i = 0; i < s->n_figures; i++) {
        const struct engine_figures *f = &s->figures[i];
        json_begin_object(w);
        json_key(w, "batch");
        json_u64(w, f->batch);
        json_key(w, "blocks");
        json_u64(w, f->n_blocks);
        write_interval(w, "native_us", &f->native_us);
        write_interval(w, "onnxruntime_us", &f->other_us);
        write_interval(w, "ratio", &f->ratio);
        write_number(w, "rows_per_s", f->batch / f->native_us.point * 1e6, 0);
        json_key(w, "max_difference");
        if (f->other_us.point > 0)
            json_f64(w, f->worst_difference);
        else
            json_null(w);
        write_number(w, "flops", f->flops, 0);
        write_number(w, "bytes", f->bytes, 0);
        write_number(w, "flop_share", f->flop_share, 4);
        write_number(w, "byte_share", f->byte_share, 4);
        json_end_object(w);
    }
    json_end_array(w);
    json_end_object(w);
}

static onnxd_status write_json(const struct engine_suite *suite, const char *model, const char *path,
                               onnxd_error *err)
{
    struct buf buf;
    struct json_writer w;
    buf_init(&buf, (size_t)1 << 20);
    json_writer_init(&w, &buf, JSON_NULL_FOR_NON_FINITE);
    write_suite(&w, suite, model);
    buf_append_char(&buf, '\n');
    onnxd_status status = json_writer_finish(&w, err);
    if (status == ONNXD_OK) status = file_replace(path, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

static void keep_figures(struct bench_run *run, const struct engine_suite *s)
{
    for (uint32_t i = 0; i < s->n_figures; i++) {
        const struct engine_figures *f = &s->figures[i];
        char name[64];
        snprintf(name, sizeof name, "native, batch %u", f->batch);
        bench_run_figure(run, name, "us", BENCH_LOWER, f->native_us, NULL, 0);
        if (!(f->ratio.point > 0)) continue;
        snprintf(name, sizeof name, "ONNX Runtime over native, batch %u", f->batch);
        bench_run_figure(run, name, "x", BENCH_HIGHER, f->ratio, NULL, 0);
    }
}

static int keep(const struct engine_suite *s, const struct engine_options *o, const char *model)
{
    struct bench_run run;
    const char *slash = strrchr(model, '/');
    if (o->history == NULL) return CLI_EXIT_OK;
    bench_run_begin(&run, "engine");
    bench_run_setting(&run, "model", "%s", slash != NULL ? slash + 1 : model);
    bench_run_setting(&run, "precision", "%s", o->precision == ONNXD_PRECISION_BF16 ? "bf16" : "fp32");
    bench_run_setting(&run, "rows", "%s", o->rows != NULL ? "file" : "drawn");
    if (s->other_version[0] != 0) bench_run_setting(&run, "onnxruntime", "%s", s->other_version);
    keep_figures(&run, s);
    return cli_history_keep(command.name, o->history, &run);
}

int onnxd_bench_engine_main(int argc, char **argv)
{
    static struct engine_suite suite;
    struct engine_options o = {.batches = {{1, 8, 32, 128, 1000}, 5}, .seconds = 2, .seed = 1};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct engine_suite_options suite_options = {.model = argv[1],
                                                 .rows = o.rows,
                                                 .n_batches = o.batches.n,
                                                 .seconds = o.seconds,
                                                 .seed = o.seed,
                                                 .precision = (onnxd_precision)o.precision};
    memcpy(suite_options.batches, o.batches.items, sizeof suite_options.batches);
    onnxd_error err;
    onnxd_status status = engine_suite_run(&suite_options, print_last, NULL, &suite, &err);
    if (status == ONNXD_ERR_RANGE && o.rows == NULL)
        error_prefix(&err, "rows drawn at random do not fit the model, give real ones with --rows: ");
    if (status == ONNXD_OK && o.json != NULL) status = write_json(&suite, argv[1], o.json, &err);
    return status == ONNXD_OK ? keep(&suite, &o, argv[1]) : cli_fail(command.name, &err);
}
