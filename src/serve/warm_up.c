#include "serve/warm_up.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define EACH_SIZE_TO 64u /* every batch size up to this is planned before the version serves */
#define N_TIMED_RUNS 3

/* A model this slow plans its other batch sizes when they come: planning is little beside its runs. */
#define BUDGET_NS (250 * NS_PER_MS)

#define MAX_INPUT_BYTES ((size_t)64 << 20) /* of a model whose input is not rows */

/* ---- models that take rows -------------------------------------------------------------------------- */

static bool fill_with_zeros(struct row_store *store, uint32_t n)
{
    if (!row_store_reserve(store, n)) return false;
    for (uint32_t i = 0; i < store->schema->n_inputs; i++) {
        const struct protocol_io *io = &store->schema->inputs[i];
        memset(store->rows.data[i], 0, (size_t)store->rows.capacity * io->row_bytes);
        if (io->info->type != ONNXD_STRING) continue;
        onnxd_string *texts = store->rows.data[i];
        for (size_t k = 0; k < (size_t)store->rows.capacity * io->row_elements; k++) texts[k].data = "";
    }
    return true;
}

/* The shortest of a few runs of n rows; the machine may do other things meanwhile. */
static onnxd_status time_rows(struct runner *runner, uint32_t n, uint64_t *ret_ns, onnxd_error *err)
{
    struct clock clock = clock_real();
    struct run run;
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < N_TIMED_RUNS + 1; i++) { /* the first one plans */
        runner_run_rows(runner, runner->gathered.rows.data, 0, n, &clock, &run);
        if (run.status != ONNXD_OK) {
            if (err != NULL) *err = run.err;
            return run.status;
        }
        if (i > 0 && run.end_ns - run.start_ns < best_ns) best_ns = run.end_ns - run.start_ns;
    }
    *ret_ns = best_ns;
    return ONNXD_OK;
}

static onnxd_status is_long(struct runner *runner, bool *ret_long, onnxd_error *err)
{
    uint32_t most = runner->version->shares_runs ? runner->version->settings.max_batch : 1;
    for (uint32_t n = 1;; n = n < most / 2 ? n * 2 : most) { /* from below: a full run may take a minute */
        uint64_t ns;
        onnxd_status status = time_rows(runner, n, &ns, err);
        if (status != ONNXD_OK) return status;
        *ret_long = ns > WARM_UP_LONG_RUN_NS;
        if (*ret_long || n == most) return ONNXD_OK;
    }
}

static onnxd_status run_sizes(struct runner *runner, onnxd_error *err)
{
    const struct version_settings *settings = &runner->version->settings;
    struct clock clock = clock_real();
    uint32_t most = settings->max_batch < settings->warm_up_rows ? settings->max_batch
                                                                 : settings->warm_up_rows;
    uint64_t start_ns = monotonic_ns();
    for (uint32_t n = 1; n <= most && (n == 1 || monotonic_ns() - start_ns < BUDGET_NS);
         n = n < EACH_SIZE_TO || n == most ? n + 1 : most) {
        struct run run;
        runner_run_rows(runner, runner->gathered.rows.data, 0, n, &clock, &run);
        if (run.status == ONNXD_OK) continue;
        if (err != NULL) *err = run.err;
        return run.status;
    }
    return ONNXD_OK;
}

/* ---- models that do not ----------------------------------------------------------------------------- */

/* One run on zeros, free dimensions being 1. */
static onnxd_status run_tensors(struct runner *runner, bool *ret_long, onnxd_error *err)
{
    const struct protocol_schema *schema = &runner->version->schema;
    struct clock clock = clock_real();
    struct run run = {.status = ONNXD_OK};
    onnxd_tensor *inputs = calloc(schema->n_inputs + 1, sizeof *inputs);
    bool fits = inputs != NULL;
    for (uint32_t i = 0; fits && i < schema->n_inputs; i++) {
        const onnxd_io_info *info = schema->inputs[i].info;
        size_t n = onnxd_type_size(info->type);
        fits = info->rank >= 0 && n > 0 && info->type != ONNXD_STRING;
        if (!fits) break;
        inputs[i] = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank};
        for (int32_t d = 0; d < (int32_t)info->rank; d++) {
            inputs[i].dims[d] = info->dims[d] > 0 ? info->dims[d] : 1;
            if (!checked_mul_size(n, (size_t)inputs[i].dims[d], &n)) n = SIZE_MAX;
        }
        fits = n <= MAX_INPUT_BYTES;
        if (fits) inputs[i].data = calloc(1, n > 0 ? n : 1);
        fits = fits && inputs[i].data != NULL;
    }
    uint64_t best_ns = UINT64_MAX;
    for (int k = 0; fits && run.status == ONNXD_OK && k < N_TIMED_RUNS + 1; k++) {
        runner_run_tensors(runner, inputs, &clock, &run);
        if (k > 0 && run.end_ns - run.start_ns < best_ns) best_ns = run.end_ns - run.start_ns;
        if (run.end_ns - run.start_ns > BUDGET_NS) best_ns = run.end_ns - run.start_ns;
        if (best_ns > BUDGET_NS && best_ns != UINT64_MAX) break;
    }
    if (fits && run.status == ONNXD_OK && ret_long != NULL) *ret_long = best_ns > WARM_UP_LONG_RUN_NS;
    if (run.status != ONNXD_OK && err != NULL) *err = run.err;
    for (uint32_t i = 0; inputs != NULL && i < schema->n_inputs; i++) free(inputs[i].data);
    free(inputs);
    return run.status;
}

onnxd_status warm_up(struct runner *runner, bool *ret_long, onnxd_error *err)
{
    const struct version *version = runner->version;
    onnxd_status status = ONNXD_OK;
    bool is_long_run = false;
    if (version->settings.warm_up_rows == 0) return ONNXD_OK;
    if (!version->schema.rows_ok) {
        status = run_tensors(runner, ret_long, err);
    } else {
        if (!fill_with_zeros(&runner->gathered, version->settings.max_batch))
            return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
        if (ret_long != NULL) status = is_long(runner, &is_long_run, err);
        if (status == ONNXD_OK && ret_long != NULL) *ret_long = is_long_run;
        if (status == ONNXD_OK) status = run_sizes(runner, err);
        row_store_drop(&runner->gathered);
    }
    return status == ONNXD_ERR_NOMEM || status == ONNXD_ERR_LIMIT ? status : ONNXD_OK;
}
