#include "engine/native_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/native_session.h"
#include "optimize/optimize.h"

static void describe(const struct graph *graph, const struct value *value, onnxd_io_info *info)
{
    *info = (onnxd_io_info){.name = value->name, .type = value->info.type, .rank = value->info.rank};
    for (int32_t i = 0; i < info->rank; i++) {
        struct dim d = value->info.dims[i];
        info->dims[i] = dim_is_constant(d) ? d.n : -1;
        if (dim_is_known(d) && !dim_is_constant(d) && d.n == 1) info->dim_names[i] = graph->symbols[d.symbol];
    }
}

/* The outputs' names as the file has them: the optimiser may let another value stand for an output. */
static const char **names_of_outputs(struct native_model *model)
{
    const struct graph *graph = model->graph;
    const char **names = arena_alloc_array(&model->arena, graph->n_outputs, sizeof *names);
    for (uint32_t i = 0; names != NULL && i < graph->n_outputs; i++)
        names[i] = graph->values[graph->outputs[i]].name;
    return names;
}

static onnxd_status describe_all(struct native_model *model, const char *const *output_names,
                                 onnxd_error *err)
{
    struct graph *graph = model->graph;
    model->inputs = arena_alloc_array(&model->arena, graph->n_inputs, sizeof *model->inputs);
    model->outputs = arena_alloc_array(&model->arena, graph->n_outputs, sizeof *model->outputs);
    if (model->inputs == NULL || model->outputs == NULL || output_names == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "the model does not fit in its memory limit");
    for (uint32_t i = 0; i < graph->n_inputs; i++)
        describe(graph, &graph->values[graph->inputs[i]], &model->inputs[i]);
    for (uint32_t i = 0; i < graph->n_outputs; i++) {
        describe(graph, &graph->values[graph->outputs[i]], &model->outputs[i]);
        model->outputs[i].name = output_names[i];
    }
    return ONNXD_OK;
}

static void unload(void *data)
{
    struct native_model *model = data;
    if (model == NULL) return;
    arena_done(&model->arena);
    free(model);
}

static onnxd_status load(const struct model_source *source, const onnxd_model_options *options,
                         void **ret_model, struct model_description *ret, onnxd_error *err)
{
    size_t limit = options->max_model_bytes > 0 ? options->max_model_bytes : (size_t)2 << 30;
    struct native_model *model = calloc(1, sizeof *model);
    if (model == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a model");
    arena_init(&model->arena, limit);
    struct optimize_options optimize = {.no_fusion = options->no_optimize,
                                        .bf16 = options->precision == ONNXD_PRECISION_BF16,
                                        .ret_n_original = &model->n_original_nodes,
                                        .ret_row_wise = &model->row_wise};
    onnxd_status status = onnx_read(source->bytes, source->n_bytes, source->folder, limit, &model->arena,
                                    &model->graph, &model->facts, err);
    const char **output_names = status == ONNXD_OK ? names_of_outputs(model) : NULL;
    if (status == ONNXD_OK) status = optimize_graph(model->graph, &optimize, err);
    if (status == ONNXD_OK) status = describe_all(model, output_names, err);
    if (status != ONNXD_OK) {
        unload(model);
        return status;
    }
    *ret = (struct model_description){.inputs = model->inputs,
                                      .outputs = model->outputs,
                                      .n_inputs = model->graph->n_inputs,
                                      .n_outputs = model->graph->n_outputs,
                                      .batchable = model->row_wise};
    *ret_model = model;
    return ONNXD_OK;
}

const struct native_model *native_model_of(onnxd_model *model)
{
    return model_backend(model) == &backend_native ? model_backend_data(model) : NULL;
}

const struct backend backend_native = {
    .name = "native",
    .load = load,
    .unload = unload,
    .session_create = native_session_create,
    .session_free = native_session_free,
    .session_run = native_session_run,
    .session_memory = native_session_memory,
};
