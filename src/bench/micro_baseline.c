#include "bench/micro_baseline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "json/json_reader.h"
#include "json/json_writer.h"

#define FILE_LIMIT  ((size_t)64 << 20)
#define ARENA_LIMIT ((size_t)128 << 20)

#define SIGNIFICANT 0.05

enum { FORM = 1, MAX_NAME = 200 };

/* ---- writing ------------------------------------------------------------------------------------- */

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_f64(w, value);
}

static void write_array(struct json_writer *w, const char *key, const double *x, uint32_t n)
{
    json_key(w, key);
    json_begin_array(w);
    for (uint32_t i = 0; i < n; i++) json_f64(w, x[i]);
    json_end_array(w);
}

static void write_result(struct json_writer *w, const struct micro_result *r)
{
    json_begin_object(w);
    json_key(w, "name");
    json_string(w, r->name);
    write_number(w, "ns", r->ns.point);
    write_number(w, "low_ns", r->ns.low);
    write_number(w, "high_ns", r->ns.high);
    write_number(w, "median_ns", r->median_ns);
    write_number(w, "sd_ns", r->sd_ns);
    json_key(w, "method");
    json_string(w, r->is_slope ? "slope" : "mean");
    write_number(w, "r2", r->r2);
    write_number(w, "own_noise", r->own_noise);
    json_key(w, "outliers");
    json_begin_object(w);
    write_number(w, "low_severe", (double)r->outliers.n_low_severe);
    write_number(w, "low_mild", (double)r->outliers.n_low_mild);
    write_number(w, "high_mild", (double)r->outliers.n_high_mild);
    write_number(w, "high_severe", (double)r->outliers.n_high_severe);
    json_end_object(w);
    if (r->units > 0) {
        json_key(w, "unit");
        json_string(w, r->unit);
        write_number(w, "units_per_s", r->units / r->ns.point * 1e9);
    }
    write_array(w, "calls", r->calls, r->n_samples);
    write_array(w, "times_ns", r->times_ns, r->n_samples);
    json_end_object(w);
}

void micro_suite_json(const struct micro_suite *suite, const struct bench_run *run, struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    write_number(&w, "onnxd_bench_micro", FORM);
    json_key(&w, "version");
    json_string(&w, run->version);
    json_key(&w, "commit");
    json_string(&w, run->commit);
    json_key(&w, "machine");
    json_string(&w, run->machine.id);
    json_key(&w, "cpu");
    json_string(&w, run->machine.cpu);
    json_key(&w, "settings");
    json_string(&w, run->settings);
    write_number(&w, "noise", suite->noise);
    json_key(&w, "results");
    json_begin_array(&w);
    for (uint32_t i = 0; i < suite->n_results; i++) write_result(&w, &suite->results[i]);
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(buf, '\n');
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct loader {
    struct json_reader reader;
    struct micro_baseline *baseline;
};

static bool read_text(struct loader *l, const char **ret)
{
    struct json_text text;
    if (!json_read_string(&l->reader, &text)) return false;
    if (text.n_raw > MAX_NAME)
        return json_fail(&l->reader, ONNXD_ERR_LIMIT, "expected at most %d bytes", MAX_NAME);
    char *copy = arena_alloc(&l->baseline->arena, text.n_raw + 1);
    if (copy == NULL) return json_fail(&l->reader, ONNXD_ERR_NOMEM, "no memory");
    copy[json_text_decode(&text, copy)] = 0;
    *ret = copy;
    return true;
}

/* An array of positive numbers. */
static bool read_samples(struct loader *l, double **ret, uint32_t *ret_n)
{
    double *values = arena_alloc_array(&l->baseline->arena, MICRO_MAX_SAMPLES, sizeof *values);
    uint32_t n = 0;
    if (values == NULL) return json_fail(&l->reader, ONNXD_ERR_LIMIT, "too many samples in all");
    json_enter_array(&l->reader);
    while (json_next_element(&l->reader)) {
        if (n == MICRO_MAX_SAMPLES)
            return json_fail(&l->reader, ONNXD_ERR_LIMIT, "expected at most %d samples", MICRO_MAX_SAMPLES);
        if (!json_read_f64(&l->reader, &values[n])) return false;
        if (!(values[n] > 0)) return json_fail(&l->reader, ONNXD_ERR_RANGE, "expected a number above 0");
        n++;
    }
    *ret = values;
    *ret_n = n;
    return l->reader.status == ONNXD_OK;
}

static bool read_result(struct loader *l, struct micro_result *r)
{
    struct json_reader *reader = &l->reader;
    struct json_text key, method;
    uint32_t n_calls = 0, n_times = 0;
    *r = (struct micro_result){0};
    json_enter_object(reader);
    while (json_next_key(reader, &key)) {
        if (json_text_is(&key, "name"))
            read_text(l, &r->name);
        else if (json_text_is(&key, "method") && json_read_string(reader, &method))
            r->is_slope = json_text_is(&method, "slope");
        else if (json_text_is(&key, "calls"))
            read_samples(l, &r->calls, &n_calls);
        else if (json_text_is(&key, "times_ns"))
            read_samples(l, &r->times_ns, &n_times);
        else
            json_skip(reader);
    }
    if (reader->status != ONNXD_OK) return false;
    if (r->name == NULL || n_calls == 0 || n_calls != n_times)
        return json_fail(reader, ONNXD_ERR_FORMAT, "expected a name and as many calls as times_ns");
    r->n_samples = n_calls;
    r->call_ns = arena_alloc_array(&l->baseline->arena, n_calls, sizeof *r->call_ns);
    if (r->call_ns == NULL) return json_fail(reader, ONNXD_ERR_LIMIT, "too many samples in all");
    for (uint32_t i = 0; i < n_calls; i++) r->call_ns[i] = r->times_ns[i] / r->calls[i];
    return true;
}

static bool read_results(struct loader *l)
{
    struct micro_baseline *b = l->baseline;
    b->results = arena_alloc_array(&b->arena, MICRO_MAX_CASES, sizeof *b->results);
    b->n_results = 0;
    if (b->results == NULL) return json_fail(&l->reader, ONNXD_ERR_NOMEM, "no memory");
    json_enter_array(&l->reader);
    while (json_next_element(&l->reader)) {
        if (b->n_results == MICRO_MAX_CASES)
            return json_fail(&l->reader, ONNXD_ERR_LIMIT, "expected at most %d results", MICRO_MAX_CASES);
        if (!read_result(l, &b->results[b->n_results])) return false;
        b->n_results++;
    }
    return l->reader.status == ONNXD_OK;
}

static void read_noise(struct loader *l)
{
    double noise;
    if (!json_read_f64(&l->reader, &noise)) return;
    if (noise > 0 && noise < 100)
        l->baseline->noise = noise;
    else
        json_fail(&l->reader, ONNXD_ERR_RANGE, "expected a share above 0");
}

onnxd_status micro_baseline_parse(const char *bytes, size_t n, struct micro_baseline *ret, onnxd_error *err)
{
    struct micro_baseline baseline = {.version = "", .machine = ""};
    struct loader l = {.baseline = &baseline};
    struct json_text key;
    uint64_t form = 0;
    arena_init(&baseline.arena, ARENA_LIMIT);
    json_reader_init(&l.reader, bytes, n, err);
    json_enter_object(&l.reader);
    while (json_next_key(&l.reader, &key)) {
        if (json_text_is(&key, "onnxd_bench_micro"))
            json_read_u64(&l.reader, &form);
        else if (json_text_is(&key, "version"))
            read_text(&l, &baseline.version);
        else if (json_text_is(&key, "machine"))
            read_text(&l, &baseline.machine);
        else if (json_text_is(&key, "noise"))
            read_noise(&l);
        else if (json_text_is(&key, "results"))
            read_results(&l);
        else
            json_skip(&l.reader);
    }
    onnxd_status status = json_finish(&l.reader);
    if (status == ONNXD_OK && form != FORM)
        status = error_set(err, form > FORM ? ONNXD_ERR_UNSUPPORTED : ONNXD_ERR_FORMAT,
                           form > FORM ? "saved by a later onnxd" : "no result of onnxd bench micro");
    if (status == ONNXD_OK && (baseline.results == NULL || !(baseline.noise > 0)))
        status = error_set(err, ONNXD_ERR_FORMAT, "expected results and noise");
    if (status == ONNXD_OK)
        *ret = baseline;
    else
        micro_baseline_done(&baseline);
    return status;
}

onnxd_status micro_baseline_read(const char *path, struct micro_baseline *ret, onnxd_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, FILE_LIMIT, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    status = micro_baseline_parse(bytes, n, ret, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    free(bytes);
    return status;
}

void micro_baseline_done(struct micro_baseline *baseline)
{
    arena_done(&baseline->arena);
    *baseline = (struct micro_baseline){0};
}

/* ---- comparing ----------------------------------------------------------------------------------- */

const char *micro_change_name(enum micro_change change)
{
    static const char *const names[] = {"new", "same", "within noise", "faster", "slower"};
    return names[change];
}

onnxd_status micro_compare(const struct micro_result *was, const struct micro_result *now, double noise,
                           struct bootstrap_options options, struct rng *rng, struct micro_comparison *ret,
                           onnxd_error *err)
{
    struct micro_comparison c = {.change = MICRO_NO_BASELINE, .p = 1};
    onnxd_status status = ONNXD_OK;
    if (was != NULL) {
        status = bootstrap_welch(was->call_ns, was->n_samples, now->call_ns, now->n_samples, options, rng,
                                 &c.p, err);
        if (status == ONNXD_OK)
            status = bootstrap_change(was->call_ns, was->n_samples, now->call_ns, now->n_samples,
                                      bootstrap_mean, options, rng, &c.relative, err);
        if (!(c.p < SIGNIFICANT))
            c.change = MICRO_SAME;
        else if (c.relative.low > noise)
            c.change = MICRO_SLOWER;
        else if (c.relative.high < -noise)
            c.change = MICRO_FASTER;
        else
            c.change = MICRO_WITHIN_NOISE;
    }
    if (status == ONNXD_OK) *ret = c;
    return status;
}

onnxd_status micro_compare_all(const struct micro_baseline *baseline, const struct micro_suite *suite,
                               struct micro_comparison *ret, onnxd_error *err)
{
    const struct bootstrap_options options = {.n_resamples = 100000};
    struct rng rng = rng_seed(suite->n_results);
    double noise = fmax(baseline->noise, suite->noise);
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < suite->n_results && status == ONNXD_OK; i++) {
        const struct micro_result *was = NULL;
        for (uint32_t j = 0; j < baseline->n_results && was == NULL; j++)
            if (strcmp(baseline->results[j].name, suite->results[i].name) == 0) was = &baseline->results[j];
        status = micro_compare(was, &suite->results[i], noise, options, &rng, &ret[i], err);
    }
    return status;
}
