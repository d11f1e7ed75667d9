#include "bench/bench_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RUN_LIMIT ((size_t)512 << 20)

enum { MAX_SETTING = 512 };

void bench_run_begin(struct bench_run *run, const char *suite)
{
    struct timespec now;
    *run = (struct bench_run){.version = ONNXD_VERSION, .commit = fingerprint_commit(), .remark = ""};
    clock_gettime(CLOCK_REALTIME, &now);
    run->unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    run->load = fingerprint_load();
    fingerprint_read(&run->machine);
    arena_init(&run->arena, RUN_LIMIT);
    run->settings = "";
    run->suite = arena_strdup(&run->arena, suite);
    if (run->suite == NULL) run->suite = "", run->failed = true;
}

void bench_run_done(struct bench_run *run)
{
    arena_done(&run->arena);
    *run = (struct bench_run){0};
}

/* ---- settings: kept as one line, by rising name -------------------------------------------------- */

/* The place of the first setting whose name is not below `name`; *ret_n is its length when it has that name.
 */
static const char *find_setting(const char *settings, const char *name, size_t *ret_n)
{
    size_t n_name = strlen(name);
    *ret_n = 0;
    while (*settings != 0) {
        size_t n = strcspn(settings, " "), n_own = strcspn(settings, "=");
        size_t least = n_own < n_name ? n_own : n_name;
        int order = memcmp(settings, name, least);
        if (order == 0) order = (n_own > n_name) - (n_own < n_name);
        if (order == 0) *ret_n = n;
        if (order >= 0) return settings;
        settings += n + (settings[n] == ' ');
    }
    return settings;
}

void bench_run_setting(struct bench_run *run, const char *name, const char *format, ...)
{
    char value[MAX_SETTING];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    for (char *c = value; *c != 0; c++)
        if ((unsigned char)*c <= ' ' || *c == '=') *c = '_';
    size_t n_old;
    const char *at = find_setting(run->settings, name, &n_old);
    const char *rest = at + n_old + (n_old > 0 && at[n_old] == ' ');
    const char *text = arena_printf(&run->arena, "%.*s%s%s=%s%s%s", (int)(at - run->settings), run->settings,
                                    at > run->settings && at[-1] != ' ' ? " " : "", name, value,
                                    *rest != 0 ? " " : "", rest);
    if (text != NULL)
        run->settings = text;
    else
        run->failed = true;
}

/* ---- figures ------------------------------------------------------------------------------------- */

static bool grow(struct bench_run *run)
{
    if (run->n_figures < run->figure_capacity) return true;
    uint32_t capacity = run->figure_capacity == 0 ? 32 : run->figure_capacity * 2;
    struct bench_figure *figures = arena_alloc_array(&run->arena, capacity, sizeof *figures);
    if (figures == NULL || capacity > BENCH_MAX_FIGURES) return false;
    if (run->n_figures > 0) memcpy(figures, run->figures, run->n_figures * sizeof *figures);
    run->figures = figures;
    run->figure_capacity = capacity;
    return true;
}

/* Copies the finite samples, every nth where there are too many; NULL when memory runs out. */
static const double *copy_samples(struct arena *arena, const double *samples, size_t n, uint32_t *ret_n)
{
    size_t step = (n + BENCH_MAX_SAMPLES - 1) / BENCH_MAX_SAMPLES, kept = 0;
    double *copy = arena_alloc_array(arena, n / step + 1, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < n; i += step)
        if (isfinite(samples[i])) copy[kept++] = samples[i];
    *ret_n = (uint32_t)kept;
    return copy;
}

void bench_run_figure(struct bench_run *run, const char *name, const char *unit, enum bench_better better,
                      struct interval value, const double *samples, size_t n_samples)
{
    if (!isfinite(value.point)) return;
    if (!isfinite(value.low)) value.low = value.point;
    if (!isfinite(value.high)) value.high = value.point;
    struct bench_figure figure = {.name = arena_strdup(&run->arena, name),
                                  .unit = arena_strdup(&run->arena, unit),
                                  .better = better,
                                  .value = value};
    if (n_samples > 0) figure.samples = copy_samples(&run->arena, samples, n_samples, &figure.n_samples);
    if (figure.name == NULL || figure.unit == NULL || (n_samples > 0 && figure.samples == NULL) || !grow(run))
        run->failed = true;
    else
        run->figures[run->n_figures++] = figure;
}

void bench_run_value(struct bench_run *run, const char *name, const char *unit, enum bench_better better,
                     double value)
{
    bench_run_figure(run, name, unit, better, (struct interval){value, value, value}, NULL, 0);
}

void bench_run_verdict(struct bench_run *run, enum bench_verdict verdict, const char *remark)
{
    if (verdict <= run->verdict) return;
    run->verdict = verdict;
    run->remark = arena_strdup(&run->arena, remark);
    if (run->remark == NULL) run->remark = "", run->failed = true;
}

const struct bench_figure *bench_run_find(const struct bench_run *run, const char *name)
{
    for (uint32_t i = 0; i < run->n_figures; i++)
        if (strcmp(run->figures[i].name, name) == 0) return &run->figures[i];
    return NULL;
}

/* ---- words --------------------------------------------------------------------------------------- */

const char *bench_verdict_name(enum bench_verdict verdict)
{
    static const char *const names[] = {"ok", "regression", "unstable", "objective broken", "client limited"};
    return (unsigned)verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}

struct step {
    double below, over;
    const char *unit;
};

static void format_steps(double value, const struct step *steps, char *out, size_t size)
{
    while (fabs(value) >= steps->below) steps++;
    double x = value / steps->over;
    int places = fabs(x) < 9.995 ? 2 : fabs(x) < 99.95 ? 1 : 0;
    snprintf(out, size, "%.*f%s%s", places, x, steps->unit[0] == 0 ? "" : " ", steps->unit);
}

void bench_format_value(double value, const char *unit, char *out, size_t size)
{
    static const struct step times[] = {
        {1e3, 1, "ns"}, {1e6, 1e3, "us"}, {1e9, 1e6, "ms"}, {INFINITY, 1e9, "s"}};
    static const struct step bytes[] = {{1024, 1, "bytes"},
                                        {1024 * 1024.0, 1024, "KiB"},
                                        {1024 * 1024 * 1024.0, 1024 * 1024, "MiB"},
                                        {INFINITY, 1024 * 1024 * 1024.0, "GiB"}};
    static const struct step rates[] = {
        {1e4, 1, "/s"}, {1e6, 1e3, "k/s"}, {1e9, 1e6, "M/s"}, {INFINITY, 1e9, "G/s"}};
    if (!isfinite(value))
        snprintf(out, size, "-");
    else if (strcmp(unit, "ns") == 0)
        format_steps(value, times, out, size);
    else if (strcmp(unit, "bytes") == 0)
        format_steps(value, bytes, out, size);
    else if (strcmp(unit, "1/s") == 0)
        format_steps(value, rates, out, size);
    else
        snprintf(out, size, "%.4g%s%s", value, unit[0] == 0 ? "" : " ", unit);
}
