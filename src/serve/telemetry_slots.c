#include "serve/telemetry_slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

size_t telemetry_slots_bytes(uint32_t n_processes)
{
    return sizeof(struct telemetry_slots) + n_processes * sizeof(uint32_t[TELEMETRY_MAX_MODELS]);
}

void telemetry_slots_init(struct telemetry_slots *slots, uint32_t n_processes)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&slots->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    slots->n_processes = n_processes;
}

void telemetry_slots_lock(struct telemetry_slots *slots)
{
    if (pthread_mutex_lock(&slots->lock) == EOWNERDEAD) pthread_mutex_consistent(&slots->lock);
}

void telemetry_slots_unlock(struct telemetry_slots *slots)
{
    pthread_mutex_unlock(&slots->lock);
}

void telemetry_slots_forget(struct telemetry_slots *slots, uint32_t process)
{
    telemetry_slots_lock(slots);
    memset(slots->holders[process], 0, sizeof slots->holders[process]);
    telemetry_slots_unlock(slots);
}

/* ---- versions --------------------------------------------------------------------------------------- */

static bool is_held(const struct telemetry_slots *slots, uint32_t slot)
{
    for (uint32_t p = 0; p < slots->n_processes; p++)
        if (slots->holders[p][slot] > 0) return true;
    return false;
}

static uint32_t find(const struct telemetry_slots *slots, const char *name, uint64_t version)
{
    for (uint32_t i = 0; i < slots->n_models; i++)
        if (slots->models[i].version == version && strcmp(slots->models[i].name, name) == 0) return i;
    return TELEMETRY_NO_SLOT;
}

/* The one that nobody has held for longest. */
static uint32_t find_unheld(const struct telemetry_slots *slots)
{
    uint32_t oldest = TELEMETRY_NO_SLOT;
    for (uint32_t i = 0; i < slots->n_models; i++)
        if (!is_held(slots, i) &&
            (oldest == TELEMETRY_NO_SLOT || slots->models[i].held < slots->models[oldest].held))
            oldest = i;
    return oldest;
}

/* Each series of a model, the failures last. */
static uint32_t list_series(const struct telemetry_model *model, struct metric *out)
{
    const struct metric single[] = {model->success, model->rows,  model->runs,
                                    model->pending, model->batch, model->sizes};
    uint32_t n = 0;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) out[n++] = single[i];
    for (int i = 0; i < N_STAGES; i++) {
        out[n++] = model->total_us[i];
        out[n++] = model->time[i];
    }
    for (int i = 0; i < N_FAIL_REASONS; i++) out[n++] = model->failure[i];
    return n;
}

/* Takes a slot's series from the version that had them. False: the labels do not fit, or its name is gone. */
static bool give_series(const struct telemetry *telemetry, struct model_slot *slot, const char *name,
                        const char *number)
{
    struct metric series[TELEMETRY_MODEL_SERIES];
    uint32_t n = list_series(&slot->series, series), n_common = n - N_FAIL_REASONS;
    struct metric_label labels[3] = {{"model", name}, {"version", number}, {"reason", NULL}};
    onnxd_error err;
    for (uint32_t i = 0; i < n; i++) {
        if (i >= n_common) labels[2].value = telemetry_fail_names[i - n_common];
        if (metrics_relabel(telemetry->metrics, series[i], labels, i >= n_common ? 3 : 2, &err) == ONNXD_OK)
            continue;
        for (uint32_t k = 0; k < n; k++) metrics_hide(telemetry->metrics, series[k]);
        return false;
    }
    return true;
}

/* Leaves what a slot counted in the sums over all versions, and its fields to others. */
static void empty_slot(const struct telemetry *telemetry, uint32_t i)
{
    struct telemetry_slots *slots = telemetry->slots;
    slots->gone_rows += (uint64_t)metrics_read(telemetry->metrics, slots->models[i].series.rows);
    slots->gone_runs += (uint64_t)metrics_read(telemetry->metrics, slots->models[i].series.runs);
    slots->models[i].name[0] = 0;
    for (uint32_t k = 0; k < slots->n_fields; k++) {
        if (slots->fields[k].model != i) continue;
        metrics_hide(telemetry->metrics, slots->fields[k].unknown);
        slots->fields[k].model = TELEMETRY_NO_SLOT;
    }
}

static uint32_t make_slot(const struct telemetry *telemetry, const char *name, uint64_t version)
{
    struct telemetry_slots *slots = telemetry->slots;
    char number[24];
    onnxd_error err;
    uint32_t i = slots->n_models;
    snprintf(number, sizeof number, "%llu", (unsigned long long)version);
    if (strlen(name) >= TELEMETRY_NAME_BYTES) return TELEMETRY_NO_SLOT;
    if (i < TELEMETRY_MAX_MODELS) {
        struct telemetry_model *series = &slots->models[i].series;
        if (telemetry_register_model(telemetry->metrics, name, version, series, &err) != ONNXD_OK)
            return TELEMETRY_NO_SLOT;
        slots->n_models++;
    } else {
        i = find_unheld(slots);
        if (i == TELEMETRY_NO_SLOT) return i;
        empty_slot(telemetry, i);
        if (!give_series(telemetry, &slots->models[i], name, number)) return TELEMETRY_NO_SLOT;
    }
    slots->models[i].series.slot = i;
    slots->models[i].version = version;
    snprintf(slots->models[i].name, sizeof slots->models[i].name, "%s", name);
    return i;
}

struct telemetry_model telemetry_model(const struct telemetry *telemetry, uint32_t process, const char *name,
                                       uint64_t version)
{
    struct telemetry_slots *slots = telemetry->slots;
    struct telemetry_model others;
    onnxd_error err;
    telemetry_slots_lock(slots);
    uint32_t i = find(slots, name, version);
    if (i == TELEMETRY_NO_SLOT) i = make_slot(telemetry, name, version);
    if (i != TELEMETRY_NO_SLOT) {
        slots->holders[process][i]++;
        slots->models[i].held = ++slots->n_holds;
    }
    telemetry_slots_unlock(slots);
    if (i != TELEMETRY_NO_SLOT) return slots->models[i].series; /* it stays while it is held */
    (void)!telemetry_register_model(telemetry->metrics, "(others)", 0, &others,
                                    &err); /* shown; cannot fail */
    return telemetry->others;
}

void telemetry_release(const struct telemetry *telemetry, uint32_t process,
                       const struct telemetry_model *model)
{
    struct telemetry_slots *slots = telemetry->slots;
    if (model->slot == TELEMETRY_NO_SLOT) return;
    telemetry_slots_lock(slots);
    if (slots->holders[process][model->slot] > 0) slots->holders[process][model->slot]--;
    slots->models[model->slot].held = ++slots->n_holds;
    telemetry_slots_unlock(slots);
}

/* ---- fields ----------------------------------------------------------------------------------------- */

static bool make_field(const struct telemetry *telemetry, uint32_t slot, const struct metric_label *labels,
                       struct metric *ret)
{
    struct telemetry_slots *slots = telemetry->slots;
    onnxd_error err;
    uint32_t i = 0;
    while (i < slots->n_fields && slots->fields[i].model != TELEMETRY_NO_SLOT) i++;
    if (i == TELEMETRY_MAX_FIELDS) return false;
    struct field_slot *field = &slots->fields[i];
    bool is_new = i == slots->n_fields;
    onnxd_status status = is_new ? metrics_counter(telemetry->metrics, "onnxd_unknown_values_total",
                                                   "Raw values that the model's vocabulary does not hold",
                                                   labels, 3, 1, &field->unknown, &err)
                                 : metrics_relabel(telemetry->metrics, field->unknown, labels, 3, &err);
    if (status != ONNXD_OK) return false;
    field->model = slot;
    slots->n_fields += is_new;
    *ret = field->unknown;
    return true;
}

struct telemetry_field telemetry_field(const struct telemetry *telemetry, const struct telemetry_model *model,
                                       const char *name)
{
    struct telemetry_slots *slots = telemetry->slots;
    struct telemetry_field made = {.is_shown = false};
    char number[24];
    if (model->slot == TELEMETRY_NO_SLOT) return made;
    const struct model_slot *slot = &slots->models[model->slot]; /* held, so that it does not change */
    snprintf(number, sizeof number, "%llu", (unsigned long long)slot->version);
    struct metric_label labels[3] = {{"model", slot->name}, {"version", number}, {"field", name}};
    telemetry_slots_lock(slots);
    made.is_shown = metrics_find(telemetry->metrics, "onnxd_unknown_values_total", labels, 3,
                                 &made.unknown) ||
                    make_field(telemetry, model->slot, labels, &made.unknown);
    telemetry_slots_unlock(slots);
    return made;
}
