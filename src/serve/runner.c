#include "serve/runner.h"

#include <stdlib.h>

#include "base/error.h"

onnxd_status runner_init(struct runner *runner, struct version *version, onnxd_error *err)
{
    const struct protocol_schema *schema = &version->schema;
    onnxd_session_options options = {.max_batch = version->one_row_a_run ? 1 : version->settings.max_batch};
    *runner = (struct runner){.version = version};
    runner->in = calloc(schema->n_inputs + 1, sizeof *runner->in);
    runner->out = calloc(schema->n_outputs + 1, sizeof *runner->out);
    runner->slices = calloc(schema->n_outputs + 1, sizeof *runner->slices);
    onnxd_status status = ONNXD_OK;
    if (runner->in == NULL || runner->out == NULL || runner->slices == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    if (status == ONNXD_OK) status = row_store_init(&runner->gathered, schema, err);
    if (status == ONNXD_OK)
        status = version->backend->session_create(version->model, &options, &runner->session, err);
    if (status != ONNXD_OK) runner_done(runner);
    return status;
}

void runner_done(struct runner *runner)
{
    if (runner->session != NULL) runner->version->backend->session_free(runner->session);
    row_store_done(&runner->gathered);
    free(runner->in);
    free(runner->out);
    free(runner->slices);
    *runner = (struct runner){0};
}

void runner_run_tensors(struct runner *runner, const onnxd_tensor *inputs, const struct clock *clock,
                        struct run *ret)
{
    const struct version *version = runner->version;
    ret->err.message[0] = 0;
    ret->start_ns = clock_now_ns(clock);
    ret->status = version->backend->run(runner->session, inputs, version->schema.n_inputs, runner->out,
                                        version->schema.n_outputs, &ret->err);
    ret->end_ns = clock_now_ns(clock);
}

void runner_run_rows(struct runner *runner, void *const *data, uint32_t first, uint32_t n,
                     const struct clock *clock, struct run *ret)
{
    const struct protocol_schema *schema = &runner->version->schema;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        const struct protocol_io *io = &schema->inputs[i];
        onnxd_tensor *tensor = &runner->in[i];
        tensor->type = io->info->type;
        tensor->rank = (uint32_t)io->info->rank;
        tensor->dims[0] = n;
        for (uint32_t d = 1; d < tensor->rank; d++) tensor->dims[d] = io->info->dims[d];
        tensor->data = (char *)data[i] + (size_t)first * io->row_bytes;
    }
    runner_run_tensors(runner, runner->in, clock, ret);
}

bool run_failed_by_input(onnxd_status status)
{
    return status == ONNXD_ERR_RANGE || status == ONNXD_ERR_SHAPE || status == ONNXD_ERR_TYPE ||
           status == ONNXD_ERR_ARGUMENT;
}
