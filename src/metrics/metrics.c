#include "metrics/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "metrics/metrics_layout.h"

#define LINE 64

const uint64_t metrics_time_bounds_ns[METRICS_N_TIME_BOUNDS] = {
    10000,     25000,      50000,      100000,     250000,     500000,    1000000,
    2500000,   5000000,    10000000,   25000000,   50000000,   100000000, 250000000,
    500000000, 1000000000, 2500000000, 5000000000, 10000000000};

static size_t round_up(size_t n)
{
    return (n + LINE - 1) / LINE * LINE;
}

static struct metrics_size with_defaults(const struct metrics_size *size)
{
    struct metrics_size s = *size;
    if (s.n_slots == 0) s.n_slots = 16;
    if (s.max_series == 0) s.max_series = 512;
    if (s.max_cells == 0) s.max_cells = 4096;
    return s;
}

size_t metrics_block_bytes(const struct metrics_size *size)
{
    struct metrics_size s = with_defaults(size);
    return round_up(sizeof(struct metrics)) + round_up(s.max_series * sizeof(struct metrics_series)) +
           s.n_slots * round_up(s.max_cells * sizeof(uint64_t));
}

struct metrics *metrics_create(void *block, const struct metrics_size *size)
{
    struct metrics_size s = with_defaults(size);
    struct metrics *m = block;
    m->n_slots = s.n_slots;
    m->max_series = s.max_series;
    m->max_cells = s.max_cells;
    m->slot_bytes = round_up(s.max_cells * sizeof(uint64_t));
    m->series_at = round_up(sizeof *m);
    m->slots_at = m->series_at + round_up(s.max_series * sizeof(struct metrics_series));
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&m->registering, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return m;
}

void metrics_lock(struct metrics *m)
{
    if (pthread_mutex_lock(&m->registering) == EOWNERDEAD) pthread_mutex_consistent(&m->registering);
}

/* ---- registering ----------------------------------------------------------------------------------- */

static bool valid_name(const char *name, bool colon)
{
    if (*name == 0 || (*name >= '0' && *name <= '9') || strlen(name) >= METRICS_NAME_BYTES) return false;
    for (; *name != 0; name++) {
        bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
        bool digit = *name >= '0' && *name <= '9';
        if (!letter && !digit && *name != '_' && !(colon && *name == ':')) return false;
    }
    return true;
}

/* name="value" with the escapes of the text format; false when it does not fit. */
static bool append_label(const struct metric_label *label, char *out, size_t size, size_t *n)
{
    size_t at = *n;
    int wrote = snprintf(out + at, size - at, "%s%s=\"", at > 0 ? "," : "", label->name);
    if (wrote < 0 || (size_t)wrote >= size - at) return false;
    at += (size_t)wrote;
    for (const char *c = label->value; *c != 0; c++) {
        if (at + 4 > size) return false;
        bool escape = *c == '"' || *c == '\\' || *c == '\n';
        if (escape) out[at++] = '\\';
        out[at++] = *c == '\n' ? 'n' : *c;
    }
    if (at + 2 > size) return false;
    out[at++] = '"';
    out[at] = 0;
    *n = at;
    return true;
}

static onnxd_status describe(struct metrics_series *series, const char *name, const char *help,
                             const struct metric_label *labels, uint32_t n_labels, onnxd_error *err)
{
    if (!valid_name(name, true))
        return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%.90s': not a metric name", name);
    snprintf(series->name, sizeof series->name, "%s", name);
    snprintf(series->help, sizeof series->help, "%s", help != NULL ? help : "");
    size_t n = 0;
    for (uint32_t i = 0; i < n_labels; i++) {
        if (!valid_name(labels[i].name, false))
            return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': '%.90s' is no label name", name,
                             labels[i].name);
        if (!append_label(&labels[i], series->labels, sizeof series->labels, &n))
            return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': labels longer than %d bytes", name,
                             METRICS_LABELS_BYTES);
    }
    return ONNXD_OK;
}

/* Finds the series or appends it. The lock is held. */
static onnxd_status find_or_append(struct metrics *m, struct metrics_series *series, struct metric *ret,
                                   onnxd_error *err)
{
    uint32_t n_series = atomic_load(&m->n_series);
    series->family = n_series;
    for (uint32_t i = 0; i < n_series; i++) {
        struct metrics_series *other = metrics_series_at(m, i);
        if (strcmp(other->name, series->name) != 0) continue;
        if (other->kind != series->kind)
            return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': already of another kind", series->name);
        series->family = other->family;
        if (strcmp(other->labels, series->labels) != 0) continue;
        if (other->n_cells != series->n_cells)
            return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': already of another size", series->name);
        atomic_store(&other->hidden, false);
        *ret = (struct metric){other->cell, i};
        return ONNXD_OK;
    }
    if (n_series == m->max_series || series->n_cells > m->max_cells - m->n_cells)
        return error_set(err, ONNXD_ERR_LIMIT, "metric '%s': no room for more than %u series", series->name,
                         n_series);
    series->cell = m->n_cells;
    m->n_cells += series->n_cells;
    memcpy(metrics_series_at(m, n_series), series, sizeof *series);
    *ret = (struct metric){series->cell, n_series};
    atomic_store(&m->n_series, n_series + 1);
    return ONNXD_OK;
}

static onnxd_status add_series(struct metrics *m, struct metrics_series *series, struct metric *ret,
                               onnxd_error *err)
{
    metrics_lock(m);
    onnxd_status status = find_or_append(m, series, ret, err);
    pthread_mutex_unlock(&m->registering);
    return status;
}

onnxd_status metrics_counter(struct metrics *m, const char *name, const char *help,
                             const struct metric_label *labels, uint32_t n_labels, double scale,
                             struct metric *ret, onnxd_error *err)
{
    struct metrics_series series = {.kind = METRIC_COUNTER, .n_cells = 1, .scale = scale};
    onnxd_status status = describe(&series, name, help, labels, n_labels, err);
    return status != ONNXD_OK ? status : add_series(m, &series, ret, err);
}

onnxd_status metrics_gauge(struct metrics *m, const char *name, const char *help,
                           const struct metric_label *labels, uint32_t n_labels, double scale,
                           struct metric *ret, onnxd_error *err)
{
    struct metrics_series series = {.kind = METRIC_GAUGE, .n_cells = 1, .scale = scale};
    onnxd_status status = describe(&series, name, help, labels, n_labels, err);
    return status != ONNXD_OK ? status : add_series(m, &series, ret, err);
}

onnxd_status metrics_histogram(struct metrics *m, const char *name, const char *help,
                               const struct metric_label *labels, uint32_t n_labels, double scale,
                               const uint64_t *bounds, uint32_t n_bounds, struct metric *ret,
                               onnxd_error *err)
{
    struct metrics_series series = {.kind = METRIC_HISTOGRAM, .scale = scale, .n_bounds = n_bounds};
    onnxd_status status = describe(&series, name, help, labels, n_labels, err);
    if (status != ONNXD_OK) return status;
    if (n_bounds == 0 || n_bounds > METRICS_MAX_BOUNDS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': expected 1..%d bounds", name,
                         METRICS_MAX_BOUNDS);
    for (uint32_t i = 1; i < n_bounds; i++)
        if (bounds[i] <= bounds[i - 1])
            return error_set(err, ONNXD_ERR_ARGUMENT, "metric '%s': bound %u does not rise", name, i);
    memcpy(series.bounds, bounds, n_bounds * sizeof *bounds);
    series.n_cells = n_bounds + 2;
    return add_series(m, &series, ret, err);
}

onnxd_status metrics_tallies(struct metrics *m, const char *name, const struct metric_label *labels,
                             uint32_t n_labels, uint32_t n, struct metric *ret, onnxd_error *err)
{
    struct metrics_series series = {.kind = METRIC_TALLIES, .n_cells = n, .scale = 1};
    onnxd_status status = describe(&series, name, NULL, labels, n_labels, err);
    return status != ONNXD_OK ? status : add_series(m, &series, ret, err);
}

bool metrics_find(struct metrics *m, const char *name, const struct metric_label *labels, uint32_t n_labels,
                  struct metric *ret)
{
    struct metrics_series wanted = {.n_cells = 0};
    bool found = false;
    if (describe(&wanted, name, NULL, labels, n_labels, NULL) != ONNXD_OK) return false;
    metrics_lock(m);
    for (uint32_t i = 0, n = atomic_load(&m->n_series); i < n && !found; i++) {
        const struct metrics_series *series = metrics_series_at(m, i);
        found = !atomic_load(&series->hidden) && strcmp(series->name, wanted.name) == 0 &&
                strcmp(series->labels, wanted.labels) == 0;
        if (found) *ret = (struct metric){series->cell, i};
    }
    pthread_mutex_unlock(&m->registering);
    return found;
}

onnxd_status metrics_relabel(struct metrics *m, struct metric metric, const struct metric_label *labels,
                             uint32_t n_labels, onnxd_error *err)
{
    struct metrics_series *series = metrics_series_at(m, metric.series), wanted = {.n_cells = 0};
    onnxd_status status = describe(&wanted, series->name, NULL, labels, n_labels, err);
    if (status != ONNXD_OK) return status;
    metrics_lock(m);
    for (uint32_t slot = 0; slot < m->n_slots; slot++)
        for (uint32_t i = 0; i < series->n_cells; i++)
            atomic_store_explicit(&metrics_slot(m, slot)[series->cell + i], 0, memory_order_relaxed);
    memcpy(series->labels, wanted.labels, sizeof series->labels);
    atomic_store(&series->hidden, false);
    pthread_mutex_unlock(&m->registering);
    return ONNXD_OK;
}

void metrics_hide(struct metrics *m, struct metric metric)
{
    atomic_store(&metrics_series_at(m, metric.series)->hidden, true);
}

/* ---- writing --------------------------------------------------------------------------------------- */

struct metrics_writer metrics_writer(struct metrics *m, uint32_t slot)
{
    return (struct metrics_writer){m, metrics_slot(m, slot)};
}

void metrics_reset_gauges(struct metrics *m, uint32_t slot)
{
    for (uint32_t i = 0, n = atomic_load(&m->n_series); i < n; i++) {
        const struct metrics_series *series = metrics_series_at(m, i);
        if (series->kind == METRIC_GAUGE) atomic_store(&metrics_slot(m, slot)[series->cell], 0);
    }
}

void metrics_observe(const struct metrics_writer *w, struct metric metric, uint64_t value)
{
    const struct metrics_series *series = metrics_series_at(w->metrics, metric.series);
    uint32_t low = 0, high = series->n_bounds;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (value <= series->bounds[middle])
            high = middle;
        else
            low = middle + 1;
    }
    metrics_add(w, (struct metric){metric.cell + low, 0}, 1);
    metrics_add(w, (struct metric){metric.cell + series->n_bounds + 1, 0}, value);
}

/* ---- reading --------------------------------------------------------------------------------------- */

int64_t metrics_read(const struct metrics *m, struct metric metric)
{
    return (int64_t)metrics_sum(m, metric.cell);
}

uint64_t metrics_family_read(const struct metrics *m, const char *name)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, n = atomic_load(&m->n_series); i < n; i++) {
        const struct metrics_series *series = metrics_series_at(m, i);
        if (strcmp(series->name, name) == 0) sum += metrics_sum(m, series->cell);
    }
    return sum;
}

uint64_t metrics_tally_read(const struct metrics *m, struct metric tallies, uint32_t i)
{
    return metrics_sum(m, tallies.cell + i);
}

uint64_t metrics_tally_largest(const struct metrics *m, struct metric tallies, uint32_t i)
{
    uint64_t largest = 0;
    for (uint32_t k = 0; k < m->n_slots; k++) {
        uint64_t one = atomic_load_explicit(&metrics_slot(m, k)[tallies.cell + i], memory_order_relaxed);
        if (one > largest) largest = one;
    }
    return largest;
}

void metrics_histogram_read(const struct metrics *m, struct metric metric, struct metrics_histogram_view *ret)
{
    const struct metrics_series *series = metrics_series_at(m, metric.series);
    *ret = (struct metrics_histogram_view){.n_bounds = series->n_bounds};
    memcpy(ret->bounds, series->bounds, sizeof ret->bounds);
    for (uint32_t i = 0; i <= series->n_bounds; i++) {
        ret->counts[i] = metrics_sum(m, series->cell + i);
        ret->n += ret->counts[i];
    }
    ret->sum = metrics_sum(m, series->cell + series->n_bounds + 1);
}
