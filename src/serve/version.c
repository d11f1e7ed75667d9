#include "serve/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "serve/lane.h"

#define WARM_SIZES 64u /* every batch size up to this is planned before the version serves */

/* A model this slow plans its other batch sizes when they come: planning is little beside its runs. */
#define WARM_UP_NS (250 * NS_PER_MS)

static onnxd_status read_ios(struct version *version, onnxd_error *err)
{
    const struct model_backend *backend = version->backend;
    uint32_t n_inputs = backend->n_inputs(version->model), n_outputs = backend->n_outputs(version->model);
    version->ios = calloc((size_t)n_inputs + n_outputs + 1, sizeof *version->ios);
    if (version->ios == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    for (uint32_t i = 0; i < n_inputs; i++) version->ios[i] = *backend->input(version->model, i);
    for (uint32_t i = 0; i < n_outputs; i++) version->ios[n_inputs + i] = *backend->output(version->model, i);
    return protocol_schema_init(&version->schema, version->ios, n_inputs, version->ios + n_inputs, n_outputs,
                                NULL, err);
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

/* Runs each batch size once on zeros, so that no request pays for planning. A model may refuse zeros, and
 * serves all the same. */
static onnxd_status warm_lane(struct lane *lane, onnxd_error *err)
{
    struct version *version = lane->version;
    const struct protocol_schema *schema = &version->schema;
    struct protocol_rows *rows = &lane->rows;
    uint32_t most = version->settings.max_batch;
    if (!schema->rows_ok) return ONNXD_OK;
    while (rows->capacity < most)
        if (!rows->grow(rows, rows->grow_context))
            return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        if (schema->inputs[i].info->type == ONNXD_STRING) return ONNXD_OK;
        memset(rows->data[i], 0, (size_t)rows->capacity * schema->inputs[i].row_bytes);
    }
    uint64_t start_ns = monotonic_ns();
    for (uint32_t n = 1; n <= most && (n == 1 || monotonic_ns() - start_ns < WARM_UP_NS);
         n = n < WARM_SIZES || n == most ? n + 1 : most) {
        for (uint32_t i = 0; i < schema->n_inputs; i++) {
            lane->in[i] = (onnxd_tensor){.type = schema->inputs[i].info->type,
                                         .rank = (uint32_t)schema->inputs[i].info->rank,
                                         .data = rows->data[i]};
            memcpy(lane->in[i].dims, schema->inputs[i].info->dims, sizeof lane->in[i].dims);
            lane->in[i].dims[0] = n;
        }
        onnxd_status status = version->backend->run(lane->session, lane->in, schema->n_inputs, lane->out,
                                                    schema->n_outputs, err);
        if (status == ONNXD_ERR_NOMEM || status == ONNXD_ERR_LIMIT) return status;
        if (status != ONNXD_OK) break;
    }
    return ONNXD_OK;
}

onnxd_status version_create(const struct model_backend *backend, const char *name, uint64_t number,
                            const struct version_source *source, const struct version_settings *settings,
                            uint32_t n_workers, struct version **ret_version, onnxd_error *err)
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
    status = read_ios(version, err);
    if (status != ONNXD_OK) goto out;
    read_batching(version);
    version->lanes = calloc(n_workers, sizeof *version->lanes);
    if (version->lanes == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", name);
        goto out;
    }
    while (status == ONNXD_OK && version->n_lanes < n_workers) {
        status = lane_create(version, &version->lanes[version->n_lanes], err);
        if (status == ONNXD_OK) status = warm_lane(version->lanes[version->n_lanes++], err);
    }
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
    free(version->lanes);
    protocol_schema_done(&version->schema);
    free(version->ios);
    if (version->model != NULL) version->backend->unload(version->model);
    free(version);
}
