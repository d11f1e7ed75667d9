/* onnxd.Assemble: rows put together from columns of inputs and rows of constant tables.
 *
 * What fusion makes of the Slice, Cast, Gather and Concat nodes around embedding tables. One pass fills
 * all outputs. Inputs: n_sources tensors [B, ...], then the tables [rows, width]. Attributes:
 *   n_sources
 *   lookups   [n][5]: source, column, table, output, offset in the output's row
 *   copies    [n][5]: source, first column, width, output, offset in the output's row
 *   dims0 ... dims of a row of output 0 ...
 * Tables that are indexed by the same column are packed side by side, so that a lookup touches one line of
 * the cache where it can. An index is a float (cut towards zero, as Cast does), int32 or int64; negative
 * ones count from the end, as Gather has it. */
#include "ops/op.h"

#include <string.h>

#include "ops/row_dims.h"

enum { FIELDS = 5, MAX_OUTPUTS = 16 };

struct part { /* goes from a packed row to one output */
    uint32_t from, n_floats, out, to;
};

struct lookup {        /* one column that indexes tables of one height */
    const float *rows; /* [n_rows, stride] */
    int64_t n_rows;
    uint32_t stride, source, column;
    uint32_t first_part, n_parts;
    const char *source_name, *table_name;
};

struct copy {
    uint32_t source, column, n_floats, out, to;
};

struct assembly { /* node->packed */
    struct lookup *lookups;
    struct part *parts;
    struct copy *copies;
    uint32_t n_lookups, n_copies, n_sources, n_outputs;
};

struct assemble_state {
    size_t n_rows;
    size_t source_stride[MAX_OUTPUTS]; /* elements */
    onnxd_type source_type[MAX_OUTPUTS];
    size_t out_stride[MAX_OUTPUTS];
};

/* ---- packing ------------------------------------------------------------------------------------- */

static const onnxd_tensor *table_of(const struct node *node, const struct graph *graph, int64_t input)
{
    return graph->values[node->in[input]].info.constant;
}

/* A row of up to 16 floats that is a power of two long never crosses a line. */
static uint32_t padded_row(uint32_t n_floats)
{
    uint32_t padded = 1;
    while (padded < n_floats) padded *= 2;
    return padded <= 16 ? padded : n_floats;
}

/* Groups the lookups by column and table height; returns false when the arena is full. */
static bool group_lookups(struct assembly *a, const struct node *node, const struct graph *graph,
                          const int64_t *fields, size_t n, struct arena *arena)
{
    a->lookups = arena_alloc_array(arena, n, sizeof *a->lookups);
    a->parts = arena_alloc_array(arena, n, sizeof *a->parts);
    bool *done = arena_alloc_array(arena, n, sizeof *done);
    int64_t *packed_tables = arena_alloc_array(arena, n, sizeof *packed_tables);
    if (a->lookups == NULL || a->parts == NULL || done == NULL || packed_tables == NULL) return false;
    uint32_t n_parts = 0;
    for (size_t i = 0; i < n; i++) {
        if (done[i]) continue;
        const int64_t *first = fields + i * FIELDS;
        int64_t height = table_of(node, graph, first[2])->dims[0];
        struct lookup *l = &a->lookups[a->n_lookups++];
        uint32_t n_floats = 0, n_tables = 0;
        *l = (struct lookup){.n_rows = height,
                             .source = (uint32_t)first[0],
                             .column = (uint32_t)first[1],
                             .first_part = n_parts,
                             .source_name = graph->values[node->in[first[0]]].name,
                             .table_name = graph->values[node->in[first[2]]].name};
        uint32_t table_at[64];
        for (size_t k = i; k < n && n_tables < 64; k++) {
            const int64_t *f = fields + k * FIELDS;
            const onnxd_tensor *table = table_of(node, graph, f[2]);
            if (done[k] || f[0] != first[0] || f[1] != first[1] || table->dims[0] != height) continue;
            uint32_t t = 0;
            while (t < n_tables && packed_tables[t] != f[2]) t++;
            if (t == n_tables) {
                packed_tables[n_tables] = f[2];
                table_at[n_tables++] = n_floats;
                n_floats += (uint32_t)table->dims[1];
            }
            a->parts[n_parts++] = (struct part){table_at[t], (uint32_t)table->dims[1], (uint32_t)f[3],
                                                (uint32_t)f[4]};
            l->n_parts++;
            done[k] = true;
        }
        l->stride = padded_row(n_floats);
        float *rows = arena_alloc_array(arena, (size_t)height, l->stride * sizeof *rows);
        if (rows == NULL) return false;
        for (uint32_t t = 0; t < n_tables; t++) {
            const onnxd_tensor *table = table_of(node, graph, packed_tables[t]);
            size_t width = (size_t)table->dims[1];
            for (int64_t r = 0; r < height; r++)
                memcpy(rows + (size_t)r * l->stride + table_at[t],
                       (const float *)table->data + (size_t)r * width, width * sizeof *rows);
        }
        l->rows = rows;
    }
    return true;
}

static onnxd_status pack_assemble(struct node *node, struct graph *graph, struct arena *arena,
                                  onnxd_error *err)
{
    size_t n_lookups, n_copies;
    const int64_t *lookups = node_attribute_ints(node, "lookups", &n_lookups);
    const int64_t *copies = node_attribute_ints(node, "copies", &n_copies);
    struct assembly *a = arena_alloc_zeroed(arena, sizeof *a);
    if (a == NULL || !group_lookups(a, node, graph, lookups, n_lookups / FIELDS, arena)) goto full;
    a->n_sources = (uint32_t)node_attribute_int(node, "n_sources", 0);
    a->n_outputs = node->n_out;
    a->n_copies = (uint32_t)(n_copies / FIELDS);
    a->copies = arena_alloc_array(arena, a->n_copies, sizeof *a->copies);
    if (a->copies == NULL) goto full;
    for (uint32_t i = 0; i < a->n_copies; i++) {
        const int64_t *f = copies + i * FIELDS;
        a->copies[i] = (struct copy){(uint32_t)f[0], (uint32_t)f[1], (uint32_t)f[2], (uint32_t)f[3],
                                     (uint32_t)f[4]};
    }
    node->packed = a;
    return ONNXD_OK;
full:
    return op_error(err, node, ONNXD_ERR_LIMIT, "no room for packed tables");
}

/* ---- running ------------------------------------------------------------------------------------- */

enum { BLOCK_ROWS = 32 }; /* rows whose table entries are found before any is copied */

/* Small sizes that are known become a few moves. */
static inline void copy_floats(float *to, const float *from, size_t n)
{
    switch (n) {
    case 1: *to = *from; break;
    case 4: memcpy(to, from, 4 * sizeof *to); break;
    case 8: memcpy(to, from, 8 * sizeof *to); break;
    case 16: memcpy(to, from, 16 * sizeof *to); break;
    default: memcpy(to, from, n * sizeof *to);
    }
}

/* Row r of `from` to row r of `to`; a constant n makes each copy a few moves. */
static inline void copy_rows_of(float *to, size_t to_stride, const float *const *from, uint32_t at,
                                size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++) memcpy(to + r * to_stride, from[r] + at, n * sizeof *to);
}

static void copy_rows(float *to, size_t to_stride, const float *const *from, uint32_t at, size_t rows,
                      size_t n)
{
    switch (n) {
    case 1: copy_rows_of(to, to_stride, from, at, rows, 1); break;
    case 4: copy_rows_of(to, to_stride, from, at, rows, 4); break;
    case 8: copy_rows_of(to, to_stride, from, at, rows, 8); break;
    case 16: copy_rows_of(to, to_stride, from, at, rows, 16); break;
    case 32: copy_rows_of(to, to_stride, from, at, rows, 32); break;
    case 64: copy_rows_of(to, to_stride, from, at, rows, 64); break;
    default: copy_rows_of(to, to_stride, from, at, rows, n);
    }
}

static onnxd_status outside(const struct op_run *run, const struct lookup *l, size_t row, double index,
                            onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_RANGE,
                    "input '%.60s' row %zu column %u: index %.17g is outside table '%.80s' of %lld rows",
                    l->source_name, row, l->column, index, l->table_name, (long long)l->n_rows);
}

/* The index as a row of the table, or -1. */
static inline int64_t row_of(const void *source, onnxd_type type, size_t at, int64_t n_rows,
                             double *ret_index)
{
    int64_t index;
    if (type == ONNXD_FLOAT32) {
        float f = ((const float *)source)[at];
        *ret_index = f;
        if (!(f > -2147483648.0f && f < 2147483648.0f)) return -1;
        index = (int32_t)f;
    } else {
        index = type == ONNXD_INT64 ? ((const int64_t *)source)[at] : ((const int32_t *)source)[at];
        *ret_index = (double)index;
    }
    if (index < 0) index += n_rows;
    return index >= 0 && index < n_rows ? index : -1;
}

/* Where the table's rows are that rows first.. of the batch choose. */
static onnxd_status find_rows(const struct op_run *run, const struct lookup *l, size_t first, size_t rows,
                              const float **ret_at, onnxd_error *err)
{
    const struct assemble_state *state = run->state;
    const void *source = run->in[l->source]->data;
    onnxd_type type = state->source_type[l->source];
    size_t stride = state->source_stride[l->source], at = first * stride + l->column;
    for (size_t r = 0; r < rows; r++, at += stride) {
        double index;
        int64_t row = row_of(source, type, at, l->n_rows, &index);
        if (row < 0) return outside(run, l, first + r, index, err);
        ret_at[r] = l->rows + (size_t)row * l->stride;
        __builtin_prefetch(ret_at[r]);
    }
    return ONNXD_OK;
}

static onnxd_status assemble_block(const struct op_run *run, size_t first, size_t rows, onnxd_error *err)
{
    const struct assembly *a = run->node->packed;
    const struct assemble_state *state = run->state;
    const float *at[BLOCK_ROWS];
    for (uint32_t i = 0; i < a->n_lookups; i++) {
        const struct lookup *l = &a->lookups[i];
        onnxd_status status = find_rows(run, l, first, rows, at, err);
        if (status != ONNXD_OK) return status;
        const struct part *end = a->parts + l->first_part + l->n_parts;
        for (const struct part *p = a->parts + l->first_part; p < end; p++) {
            size_t stride = state->out_stride[p->out];
            copy_rows((float *)run->out[p->out]->data + first * stride + p->to, stride, at, p->from, rows,
                      p->n_floats);
        }
    }
    for (uint32_t i = 0; i < a->n_copies; i++) {
        const struct copy *c = &a->copies[i];
        size_t stride = state->out_stride[c->out], source_stride = state->source_stride[c->source];
        const float *from = (const float *)run->in[c->source]->data + first * source_stride + c->column;
        for (size_t r = 0; r < rows; r++) at[r] = from + r * source_stride;
        copy_rows((float *)run->out[c->out]->data + first * stride + c->to, stride, at, 0, rows, c->n_floats);
    }
    return ONNXD_OK;
}

/* A single row goes without the tables of a block. */
static onnxd_status assemble_row(const struct op_run *run, onnxd_error *err)
{
    const struct assembly *a = run->node->packed;
    for (uint32_t i = 0; i < a->n_lookups; i++) {
        const struct lookup *l = &a->lookups[i];
        const float *from;
        onnxd_status status = find_rows(run, l, 0, 1, &from, err);
        if (status != ONNXD_OK) return status;
        const struct part *end = a->parts + l->first_part + l->n_parts;
        for (const struct part *p = a->parts + l->first_part; p < end; p++)
            copy_floats((float *)run->out[p->out]->data + p->to, from + p->from, p->n_floats);
    }
    for (uint32_t i = 0; i < a->n_copies; i++) {
        const struct copy *c = &a->copies[i];
        copy_floats((float *)run->out[c->out]->data + c->to,
                    (const float *)run->in[c->source]->data + c->column, c->n_floats);
    }
    return ONNXD_OK;
}

static onnxd_status run_assemble(struct op_run *run, onnxd_error *err)
{
    size_t n_rows = ((const struct assemble_state *)run->state)->n_rows;
    onnxd_status status = ONNXD_OK;
    if (n_rows == 1) return assemble_row(run, err);
    for (size_t row = 0; row < n_rows && status == ONNXD_OK; row += BLOCK_ROWS)
        status = assemble_block(run, row, n_rows - row < BLOCK_ROWS ? n_rows - row : BLOCK_ROWS, err);
    return status;
}

static onnxd_status prepare_assemble(struct op_plan *plan, onnxd_error *err)
{
    const struct assembly *a = plan->node->packed;
    struct assemble_state *state = arena_alloc_zeroed(plan->arena, sizeof *state);
    if (state == NULL) return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for its state");
    if (a->n_sources > MAX_OUTPUTS || a->n_outputs > MAX_OUTPUTS)
        return op_error(err, plan->node, ONNXD_ERR_INTERNAL, "too many sources or outputs");
    state->n_rows = (size_t)plan->in[0]->dims[0];
    for (uint32_t i = 0; i < a->n_sources; i++) {
        state->source_stride[i] = row_elements(plan->in[i]);
        state->source_type[i] = plan->in[i]->type;
    }
    for (uint32_t j = 0; j < a->n_outputs; j++) {
        if (plan->out[j] == NULL)
            return op_error(err, plan->node, ONNXD_ERR_INTERNAL, "an output has no place");
        state->out_stride[j] = row_elements(plan->out[j]);
    }
    plan->state = state;
    return ONNXD_OK;
}

const struct op_def ops_assemble[] = {
    {"onnxd", "Assemble", 1, OP_LATEST, 1, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, 0, NULL, row_dims_shapes,
     pack_assemble, prepare_assemble, run_assemble},
    {0},
};
