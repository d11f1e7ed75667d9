#include "protocol/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "protocol/row_json.h"

static void describe(const onnxd_io_info *info, struct protocol_io *io)
{
    *io = (struct protocol_io){.info = info, .name_len = strlen(info->name)};
    if (info->rank < 1) return;
    io->row_rank = (uint32_t)info->rank - 1;
    size_t n = 1;
    for (int32_t d = 1; d < info->rank; d++)
        if (info->dims[d] <= 0 || !checked_mul_size(n, (size_t)info->dims[d], &n)) return;
    size_t bytes;
    if (!checked_mul_size(n, onnxd_type_size(info->type), &bytes) || bytes == 0) return;
    io->row_elements = n;
    io->row_bytes = bytes;
}

static void check_rows(struct protocol_schema *s)
{
    s->rows_ok = s->n_inputs > 0 && s->n_inputs <= PROTOCOL_MAX_INPUTS;
    if (!s->rows_ok)
        snprintf(s->why_not_rows, sizeof s->why_not_rows, "the model has %u inputs; 1 to %d go by rows",
                 s->n_inputs, PROTOCOL_MAX_INPUTS);
    for (uint32_t i = 0; i < s->n_inputs && s->rows_ok; i++) {
        const onnxd_io_info *info = s->inputs[i].info;
        s->rows_ok = s->inputs[i].row_elements > 0 && (info->dims[0] == -1 || info->dims[0] == 1);
        if (!s->rows_ok)
            snprintf(s->why_not_rows, sizeof s->why_not_rows,
                     "input '%.60s' has no free leading dimension with fixed ones behind it", info->name);
    }
}

onnxd_status protocol_schema_init(struct protocol_schema *schema, const onnxd_io_info *inputs,
                                  uint32_t n_inputs, const onnxd_io_info *outputs, uint32_t n_outputs,
                                  const struct protocol_features *features, onnxd_error *err)
{
    struct protocol_schema s = {.n_inputs = n_inputs, .n_outputs = n_outputs, .features = features};
    s.inputs = calloc((size_t)n_inputs + n_outputs + 1, sizeof *s.inputs);
    if (s.inputs == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the model's description");
    s.outputs = s.inputs + n_inputs;
    for (uint32_t i = 0; i < n_inputs; i++) describe(&inputs[i], &s.inputs[i]);
    for (uint32_t i = 0; i < n_outputs; i++) describe(&outputs[i], &s.outputs[i]);
    check_rows(&s);
    *schema = s;
    return ONNXD_OK;
}

onnxd_status protocol_rows_scratch(const struct protocol_schema *schema, struct protocol_rows *rows,
                                   void **ret_memory, onnxd_error *err)
{
    *ret_memory = NULL;
    if (schema->features == NULL) return ONNXD_OK;
    size_t n = schema->features->n_fields;
    char *memory = calloc(n + 1, sizeof *rows->fields + sizeof *rows->unknowns + sizeof *rows->notes);
    if (memory == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the fields of a row");
    rows->fields = (struct field_value *)(void *)memory;
    rows->unknowns = (uint64_t *)(void *)(memory + n * sizeof *rows->fields);
    rows->notes = (struct protocol_note *)(void *)(rows->unknowns + n);
    *ret_memory = memory;
    return ONNXD_OK;
}

void protocol_schema_done(struct protocol_schema *schema)
{
    free(schema->inputs);
    *schema = (struct protocol_schema){0};
}

static uint32_t find(const struct protocol_io *ios, uint32_t n_ios, const char *name, size_t n)
{
    for (uint32_t i = 0; i < n_ios; i++)
        if (ios[i].name_len == n && memcmp(ios[i].info->name, name, n) == 0) return i;
    return UINT32_MAX;
}

uint32_t protocol_find_input(const struct protocol_schema *schema, const char *name, size_t n)
{
    return find(schema->inputs, schema->n_inputs, name, n);
}

uint32_t protocol_find_output(const struct protocol_schema *schema, const char *name, size_t n)
{
    return find(schema->outputs, schema->n_outputs, name, n);
}
