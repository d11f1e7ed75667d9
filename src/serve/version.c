#include "serve/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "serve/lane.h"
#include "serve/warm_up.h"

#define MAX_INDEX_RANGES 65536u /* elements of a row whose ranges are told to clients */

/* path NULL: the model came in a request, without a description. */
static onnxd_status read_ios(struct version *version, const char *path, onnxd_error *err)
{
    const struct model_backend *backend = version->backend;
    uint32_t n_inputs = backend->n_inputs(version->model), n_outputs = backend->n_outputs(version->model);
    version->ios = calloc((size_t)n_inputs + n_outputs + 1, sizeof *version->ios);
    if (version->ios == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    for (uint32_t i = 0; i < n_inputs; i++) version->ios[i] = *backend->input(version->model, i);
    for (uint32_t i = 0; i < n_outputs; i++) version->ios[n_inputs + i] = *backend->output(version->model, i);
    onnxd_status status = ONNXD_OK;
    if (path != NULL) status = raw_fields_load(&version->raw_fields, path, version->ios, n_inputs, err);
    if (status != ONNXD_OK) return status;
    return protocol_schema_init(&version->schema, version->ios, n_inputs, version->ios + n_inputs, n_outputs,
                                raw_fields_hook(&version->raw_fields), err);
}

/* Tells clients which values make sense. Nothing depends on it, so that memory running out is no failure. */
static void read_index_ranges(struct version *version)
{
    struct protocol_schema *schema = &version->schema;
    size_t total = 0;
    for (uint32_t i = 0; i < schema->n_inputs; i++) total += schema->inputs[i].row_elements;
    if (version->backend->index_below == NULL || !schema->rows_ok || total > MAX_INDEX_RANGES) return;
    struct input_range *ranges = calloc(schema->n_inputs, sizeof *ranges);
    version->index_below = calloc(total, sizeof *version->index_below);
    size_t at = 0;
    for (uint32_t i = 0; ranges != NULL && version->index_below != NULL && i < schema->n_inputs; i++) {
        ranges[i] = (struct input_range){schema->inputs[i].row_elements, version->index_below + at};
        at += ranges[i].n;
    }
    if (at > 0) version->backend->index_below(version->model, ranges);
    for (uint32_t i = 0; at > 0 && i < schema->n_inputs; i++)
        for (size_t k = 0; k < ranges[i].n; k++)
            if (ranges[i].below[k] > 0) schema->inputs[i].index_below = ranges[i].below;
    free(ranges);
}

static void read_batching(struct version *version)
{
    const struct protocol_schema *schema = &version->schema;
    version->shares_runs = schema->rows_ok && version->backend->is_batchable(version->model);
    for (uint32_t i = 0; schema->rows_ok && i < schema->n_inputs; i++)
        if (schema->inputs[i].info->dims[0] == 1) version->one_row_a_run = true;
    if (version->one_row_a_run) {
        version->shares_runs = true;
        version->settings.max_batch = 1; /* each row by itself, whatever request it came with */
    }
}

/* ---- places to run ---------------------------------------------------------------------------------- */

static onnxd_status create_runner(struct version *version, struct runner **ret_runner, onnxd_error *err)
{
    struct runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL) return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    onnxd_status status = runner_init(runner, version, err);
    if (status != ONNXD_OK) {
        free(runner);
        return status;
    }
    *ret_runner = runner;
    return ONNXD_OK;
}

static void free_runner(struct runner *runner)
{
    if (runner == NULL) return;
    runner_done(runner);
    free(runner);
}

/* The next place of the kind that the version uses: takes over `runner`. */
static onnxd_status add_place(struct version *version, uint32_t i, struct runner *runner, onnxd_error *err)
{
    if (version->on_threads) {
        version->runners[i] = runner;
        return ONNXD_OK;
    }
    return lane_create(version, runner, &version->lanes[version->n_lanes++], err);
}

/* The first runner tells by its first runs where the version belongs. */
static onnxd_status create_places(struct version *version, const struct version_host *host, onnxd_error *err)
{
    enum version_place place = version->settings.place;
    struct runner *runner = NULL;
    bool is_long = false;
    onnxd_status status = create_runner(version, &runner, err);
    if (status == ONNXD_OK) status = warm_up(runner, place == VERSION_PLACE_AUTO ? &is_long : NULL, err);
    if (status != ONNXD_OK) {
        free_runner(runner);
        return status;
    }
    version->on_threads = place == VERSION_PLACE_THREADS || is_long;
    uint32_t n = version->on_threads ? host->n_compute : host->n_workers;
    for (uint32_t i = 0; status == ONNXD_OK && i < n; i++) {
        if (i > 0) status = create_runner(version, &runner, err);
        if (status == ONNXD_OK) status = add_place(version, i, runner, err);
        if (status == ONNXD_OK && i > 0) status = warm_up(runner, NULL, err);
    }
    while (status == ONNXD_OK && version->n_lanes < host->n_workers) /* lanes that only hand on */
        status = lane_create(version, NULL, &version->lanes[version->n_lanes++], err);
    return status;
}

onnxd_status version_runner(struct version *version, uint32_t thread, struct runner **ret_runner,
                            onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    if (version->runners[thread] == NULL) status = create_runner(version, &version->runners[thread], err);
    if (status == ONNXD_OK) *ret_runner = version->runners[thread];
    return status;
}

void version_count_unknowns(const struct version *version, const struct protocol_rows *rows,
                            struct telemetry_writer *writer)
{
    if (rows->unknowns == NULL || version->unknowns == NULL) return;
    for (uint32_t i = 0; i < version->schema.features->n_fields; i++)
        if (rows->unknowns[i] > 0) telemetry_count_unknowns(writer, &version->unknowns[i], rows->unknowns[i]);
}

/* Nothing but the metrics depends on the fields, so that memory running out is no failure. */
static void register_series(struct version *version, const struct version_host *host)
{
    version->telemetry = host->telemetry;
    version->process = host->process;
    version->stats = telemetry_model(host->telemetry, host->process, version->name, version->number);
    const struct feature_set *set = version->raw_fields.set;
    uint32_t n = set != NULL ? feature_set_n_fields(set) : 0;
    if (n > 0) version->unknowns = calloc(n, sizeof *version->unknowns);
    for (uint32_t i = 0; version->unknowns != NULL && i < n; i++)
        if (!feature_set_is_dropped(set, i) && feature_set_field_kind(set, i) != FEATURE_NUMBER)
            version->unknowns[i] = telemetry_field(host->telemetry, &version->stats,
                                                   feature_set_field_name(set, i));
}

uint32_t version_best_batch(const struct version_settings *settings, uint32_t n)
{
    uint32_t best = n < settings->max_batch ? n : settings->max_batch;
    for (uint32_t i = settings->n_preferred; i-- > 0;)
        if (settings->preferred[i] <= best) return settings->preferred[i];
    return best;
}

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status version_create(const struct model_backend *backend, const char *name, uint64_t number,
                            const struct version_source *source, const struct version_settings *settings,
                            const struct version_host *host, struct version **ret_version, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    struct version *version = calloc(1, sizeof *version);
    if (version == NULL) return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
    atomic_init(&version->refs, 1);
    snprintf(version->name, sizeof version->name, "%s", name);
    version->number = number;
    version->backend = backend;
    version->settings = *settings;
    status = source->path != NULL ? backend->load(source->path, &settings->model, &version->model, err)
                                  : backend->load_bytes(source->bytes, source->n_bytes, &settings->model,
                                                        &version->model, err);
    if (status != ONNXD_OK) goto out;
    status = read_ios(version, source->path, err);
    if (status != ONNXD_OK) goto out;
    read_batching(version);
    read_index_ranges(version);
    register_series(version, host);
    version->lanes = calloc(host->n_workers, sizeof *version->lanes);
    version->runners = calloc(host->n_compute, sizeof *version->runners);
    version->n_runners = host->n_compute;
    if (version->lanes == NULL || version->runners == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
        goto out;
    }
    status = create_places(version, host, err);
out:
    if (status != ONNXD_OK)
        version_unref(version);
    else
        *ret_version = version;
    return status;
}

struct version *version_ref(struct version *version)
{
    atomic_fetch_add_explicit(&version->refs, 1, memory_order_relaxed);
    return version;
}

void version_unref(struct version *version)
{
    if (version == NULL || atomic_fetch_sub_explicit(&version->refs, 1, memory_order_acq_rel) > 1) return;
    for (uint32_t i = 0; i < version->n_lanes; i++) lane_free(version->lanes[i]);
    for (uint32_t i = 0; version->runners != NULL && i < version->n_runners; i++)
        free_runner(version->runners[i]);
    free(version->lanes);
    free(version->runners);
    protocol_schema_done(&version->schema);
    raw_fields_done(&version->raw_fields);
    free(version->unknowns);
    if (version->telemetry != NULL) telemetry_release(version->telemetry, version->process, &version->stats);
    free(version->ios);
    free(version->index_below);
    if (version->model != NULL) version->backend->unload(version->model);
    free(version);
}
