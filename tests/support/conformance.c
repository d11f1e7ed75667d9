#include "support/conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "onnxd/onnxd.h"
#include "support/onnx_data.h"

enum { MAX_FILE_BYTES = 256 << 20, MAX_VALUES = 64, MAX_PATH = 512 };

/* How the model is presented to the engine. */
enum form { AS_IT_STANDS, NOT_OPTIMISED, ALL_DIMS_VARIABLE, N_FORMS };
static const char *const form_names[] = {"", "without optimisation: ", "with variable dimensions: "};

struct values {
    onnxd_tensor items[MAX_VALUES];
    bool given[MAX_VALUES];
};

Onnx__ModelProto *conformance_read_model(const char *folder)
{
    char path[MAX_PATH], *bytes = NULL;
    size_t n = 0;
    onnxd_error err;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (file_read(path, MAX_FILE_BYTES, &bytes, &n, &err) != ONNXD_OK) return NULL;
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, n, (const uint8_t *)bytes);
    free(bytes);
    return model;
}

/* ---- data files ---------------------------------------------------------------------------------- */

/* Reads PREFIX_0.pb, PREFIX_1.pb, ... as the declared values' types; values without a file stay absent. */
static onnxd_status read_files(struct arena *arena, const char *prefix, Onnx__ValueInfoProto **declared,
                               size_t n_declared, struct values *values, onnxd_error *err)
{
    for (size_t i = 0; i < n_declared && i < MAX_VALUES; i++) {
        char path[MAX_PATH], *bytes = NULL;
        size_t n = 0;
        snprintf(path, sizeof path, "%s_%zu.pb", prefix, i);
        if (access(path, R_OK) != 0) continue;
        onnxd_status status = file_read(path, MAX_FILE_BYTES, &bytes, &n, err);
        if (status == ONNXD_OK)
            status = onnx_data_value(arena, bytes, n, declared[i]->type, &values->items[i], err);
        free(bytes);
        if (status != ONNXD_OK) return status;
        values->given[i] = true;
    }
    return ONNXD_OK;
}

/* The value for a model's input: from its file, else the initializer it overrides. */
static onnxd_status find_input(struct arena *arena, const Onnx__GraphProto *graph, const char *name,
                               const struct values *files, onnxd_tensor *ret_value, onnxd_error *err)
{
    for (size_t i = 0; i < graph->n_input && i < MAX_VALUES; i++)
        if (strcmp(graph->input[i]->name, name) == 0 && files->given[i]) {
            *ret_value = files->items[i];
            return ONNXD_OK;
        }
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (strcmp(graph->initializer[i]->name, name) == 0)
            return onnx_data_tensor(arena, graph->initializer[i], ret_value, err);
    snprintf(err->message, sizeof err->message, "no data file for input '%s'", name);
    return err->status = ONNXD_ERR_NOT_FOUND;
}

/* ---- one run ------------------------------------------------------------------------------------- */

static bool run_data_set(onnxd_model *model, const Onnx__GraphProto *graph, const char *folder,
                         struct tolerance tolerance, struct arena *arena, char *text, size_t size)
{
    static struct values in_files, want;
    onnxd_tensor in[MAX_VALUES], got[MAX_VALUES];
    char prefix[MAX_PATH];
    onnxd_error err = {0};
    onnxd_session *session = NULL;
    bool passed = false;
    uint32_t n_in = onnxd_model_n_inputs(model), n_out = onnxd_model_n_outputs(model);
    in_files = want = (struct values){0};
    if (n_in > MAX_VALUES || n_out > MAX_VALUES || n_out != graph->n_output) {
        snprintf(text, size, "model has %u inputs, %u outputs", n_in, n_out);
        return false;
    }
    snprintf(prefix, sizeof prefix, "%s/input", folder);
    if (read_files(arena, prefix, graph->input, graph->n_input, &in_files, &err) != ONNXD_OK) goto failed;
    snprintf(prefix, sizeof prefix, "%s/output", folder);
    if (read_files(arena, prefix, graph->output, graph->n_output, &want, &err) != ONNXD_OK) goto failed;
    for (uint32_t i = 0; i < n_in; i++)
        if (find_input(arena, graph, onnxd_model_input(model, i)->name, &in_files, &in[i], &err) != ONNXD_OK)
            goto failed;
    if (onnxd_session_create(model, NULL, &session, &err) != ONNXD_OK) goto failed;
    for (int again = 0; again < 2; again++) { /* the second run uses the program that the first one built */
        if (onnxd_session_run(session, in, n_in, got, n_out, &err) != ONNXD_OK) goto failed;
        for (uint32_t i = 0; i < n_out; i++) {
            if (!want.given[i]) {
                snprintf(text, size, "no data file for output %u", i);
                goto out;
            }
            if (!compare_values(&got[i], &want.items[i], tolerance, text, size)) {
                size_t n = strlen(text);
                snprintf(text + n, size - n, " (output %u%s)", i, again > 0 ? ", second run" : "");
                goto out;
            }
        }
    }
    passed = true;
    goto out;
failed:
    snprintf(text, size, "%s: %s", onnxd_status_name(err.status), err.message);
out:
    onnxd_session_free(session);
    return passed;
}

static void make_dims_variable(Onnx__ModelProto *model)
{
    static char names[MAX_VALUES][ONNXD_MAX_RANK][16];
    for (size_t i = 0; i < model->graph->n_input && i < MAX_VALUES; i++) {
        Onnx__TypeProto *type = model->graph->input[i]->type;
        if (type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || type->tensor_type->shape == NULL)
            continue;
        Onnx__TensorShapeProto *shape = type->tensor_type->shape;
        for (size_t d = 0; d < shape->n_dim && d < ONNXD_MAX_RANK; d++) {
            snprintf(names[i][d], sizeof names[i][d], "d%zu_%zu", i, d);
            shape->dim[d]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            shape->dim[d]->dim_param = names[i][d];
        }
    }
}

static bool run_form(onnxd_engine engine, const char *folder, enum form form, struct tolerance tolerance,
                     struct arena *arena, char *text, size_t size)
{
    char path[MAX_PATH];
    onnxd_error err = {0};
    onnxd_model *model = NULL;
    onnxd_model_options options = {.engine = engine, .no_optimize = form == NOT_OPTIMISED};
    Onnx__ModelProto *proto = conformance_read_model(folder);
    if (proto == NULL || proto->graph == NULL) {
        snprintf(text, size, "cannot read the model");
        return false;
    }
    if (form == ALL_DIMS_VARIABLE) make_dims_variable(proto);
    size_t n_bytes = onnx__model_proto__get_packed_size(proto);
    uint8_t *bytes = arena_alloc(arena, n_bytes);
    bool passed = false;
    int n_sets = 0;
    if (bytes == NULL) goto out;
    onnx__model_proto__pack(proto, bytes);
    if (onnxd_model_load_bytes(bytes, n_bytes, NULL, &options, &model, &err) != ONNXD_OK) {
        snprintf(text, size, "load: %s: %s", onnxd_status_name(err.status), err.message);
        goto out;
    }
    passed = true;
    for (int i = 0; passed && i < 100; i++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, i);
        if (access(path, R_OK) != 0) break;
        passed = run_data_set(model, proto->graph, path, tolerance, arena, text, size);
        n_sets++;
    }
    onnxd_model_unref(model);
    if (n_sets == 0) snprintf(text, size, "no data set");
out:
    /* Variable dimensions have names that are not protobuf's to free; such a test's process ends soon. */
    if (form != ALL_DIMS_VARIABLE) onnx__model_proto__free_unpacked(proto, NULL);
    return passed && n_sets > 0;
}

bool conformance_run(const char *folder, struct tolerance tolerance, char *text, size_t text_size)
{
    struct arena arena;
    bool passed = true;
    arena_init(&arena, 0);
    for (int form = 0; passed && form < N_FORMS; form++) {
        int n = snprintf(text, text_size, "%s", form_names[form]);
        passed = run_form(ONNXD_ENGINE_NATIVE, folder, (enum form)form, tolerance, &arena, text + n,
                          text_size - (size_t)n);
    }
    arena_done(&arena);
    return passed;
}

bool conformance_run_on(onnxd_engine engine, const char *folder, struct tolerance tolerance, char *text,
                        size_t text_size)
{
    struct arena arena;
    arena_init(&arena, 0);
    bool passed = run_form(engine, folder, AS_IT_STANDS, tolerance, &arena, text, text_size);
    arena_done(&arena);
    return passed;
}
