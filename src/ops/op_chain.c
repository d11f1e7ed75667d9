/* onnxd.Chain: elementwise operators and reductions over rows, run as one step.
 *
 * What fusion makes of runs of Add, Mul, Relu, ReduceSum and their like (an FM term, a hand-written
 * activation, a normalisation). The rows are taken in blocks small enough that all intermediate values of a
 * block stay in the first-level cache; each micro-operation is one kernel call on a block.
 *
 * Inputs: values with rows [B, ...] first (`n_rowed`), then constants. Attributes, made by
 * optimize/fuse_chain.c: code [n][CHAIN_FIELDS] and alphas [2n], see ops/chain.h; outputs [n_out] the
 * micro-operations whose results leave; dims0 ... dims of a row of output 0 ... All float32. */
#include "ops/op.h"

#include <string.h>

#include "kernels/kernels.h"
#include "ops/chain.h"
#include "ops/row_dims.h"

/* Of all intermediate values of a block: half of a first-level cache. */
#define BLOCK_BYTES ((size_t)16 << 10)

struct operand {
    const float *base; /* constants: the data; others: where row 0 lies, set at each run */
    size_t width;      /* elements of a row; 0 for constants, which do not move */
    uint32_t in;       /* input number, or UINT32_MAX: a result of an earlier micro-operation */
    uint32_t result;
};

struct micro {
    enum chain_kind kind;
    struct operand a, b;
    size_t width;       /* of a result row */
    size_t outer, n, c; /* of a row: see ops/chain.h */
    bool scalar;        /* the constant operand has one element */
    float alpha, beta;
    f32_unary_fn *unary;
    f32_binary_fn *binary;
    f32_reduce_inner_fn *inner;
    f32_reduce_outer_fn *outer_fn;
    size_t offset;  /* of its block in the workspace, in floats */
    int32_t leaves; /* output number, or -1 */
    float *to;      /* where the block's result goes */
};

struct chain_state {
    struct micro *micros;
    uint32_t n_micros;
    size_t n_rows, block_rows;
};

/* ---- running ------------------------------------------------------------------------------------- */

static void run_binary(const struct micro *m, size_t rows, const float *a, const float *b)
{
    size_t all = rows * m->width, lines = rows * m->outer, c = m->c;
    switch (m->kind) {
    case CHAIN_VV: m->binary(m->to, all, a, all, b, all, 1, all); break;
    case CHAIN_VS: m->binary(m->to, c, a, c, b, 1, lines, c); break;
    case CHAIN_SV: m->binary(m->to, c, a, 1, b, c, lines, c); break;
    case CHAIN_VC:
        if (m->scalar)
            m->binary(m->to, all, a, all, b, 0, 1, all);
        else
            m->binary(m->to, c, a, c, b, 0, lines, c);
        break;
    default: /* CHAIN_CV */
        if (m->scalar)
            m->binary(m->to, all, a, 0, b, all, 1, all);
        else
            m->binary(m->to, c, a, 0, b, c, lines, c);
    }
}

static void run_micro(const struct micro *m, size_t rows, const float *a, const float *b)
{
    switch (m->kind) {
    case CHAIN_UNARY: m->unary(m->to, a, rows * m->width, m->alpha, m->beta); break;
    case CHAIN_REDUCE_INNER: m->inner(m->to, a, m->n, rows * m->outer, m->n); break;
    case CHAIN_REDUCE_OUTER:
        m->outer_fn(m->to, m->c, a, m->n * m->c, m->c, rows * m->outer, m->n, m->c);
        break;
    default: run_binary(m, rows, a, b);
    }
}

static inline const float *operand_at(const struct chain_state *state, const struct op_run *run,
                                      const struct operand *o, size_t row)
{
    if (o->in == UINT32_MAX) return state->micros[o->result].to;
    return (const float *)run->in[o->in]->data + row * o->width;
}

static onnxd_status run_chain(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct chain_state *state = run->state;
    for (size_t row = 0; row < state->n_rows; row += state->block_rows) {
        size_t rows = state->n_rows - row < state->block_rows ? state->n_rows - row : state->block_rows;
        for (uint32_t i = 0; i < state->n_micros; i++) {
            struct micro *m = &state->micros[i];
            m->to = m->leaves >= 0 ? (float *)run->out[m->leaves]->data + row * m->width
                                   : (float *)run->workspace + m->offset;
            run_micro(m, rows, operand_at(state, run, &m->a, row), operand_at(state, run, &m->b, row));
        }
    }
    return ONNXD_OK;
}

/* ---- preparing ----------------------------------------------------------------------------------- */

static struct operand read_operand(const struct op_plan *plan, int64_t number, uint32_t n_rowed)
{
    struct operand o = {.in = UINT32_MAX};
    if (number < 0) { /* results are counted from -1 downwards */
        o.result = (uint32_t)(-1 - number);
    } else {
        o.in = (uint32_t)number;
        o.width = o.in < n_rowed ? row_elements(plan->in[o.in]) : 0;
    }
    return o;
}

static void choose_kernel(struct micro *m, int64_t function)
{
    const struct kernels *kernels = kernels_get();
    switch (m->kind) {
    case CHAIN_UNARY: m->unary = kernels->f32_unary[function]; break;
    case CHAIN_REDUCE_INNER: m->inner = kernels->f32_reduce_inner[function]; break;
    case CHAIN_REDUCE_OUTER: m->outer_fn = kernels->f32_reduce_outer[function]; break;
    case CHAIN_VS: m->binary = kernels->f32_binary[function].vs; break;
    case CHAIN_SV: m->binary = kernels->f32_binary[function].sv; break;
    case CHAIN_VC:
        m->binary = m->scalar ? kernels->f32_binary[function].vs : kernels->f32_binary[function].vv;
        break;
    case CHAIN_CV:
        m->binary = m->scalar ? kernels->f32_binary[function].sv : kernels->f32_binary[function].vv;
        break;
    case CHAIN_VV: m->binary = kernels->f32_binary[function].vv; break;
    }
}

static onnxd_status prepare_chain(struct op_plan *plan, onnxd_error *err)
{
    size_t n_code, n_alphas, n_outputs, scratch = 0;
    const int64_t *code = node_attribute_ints(plan->node, "code", &n_code);
    const int64_t *outputs = node_attribute_ints(plan->node, "outputs", &n_outputs);
    const float *alphas = node_attribute_floats(plan->node, "alphas", &n_alphas);
    uint32_t n_rowed = (uint32_t)node_attribute_int(plan->node, "n_rowed", 1);
    struct chain_state *state = arena_alloc_zeroed(plan->arena, sizeof *state);
    size_t n = n_code / CHAIN_FIELDS;
    struct micro *micros = arena_alloc_array(plan->arena, n, sizeof *micros);
    if (state == NULL || micros == NULL)
        return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for its state");
    for (size_t i = 0; i < n; i++) {
        const int64_t *f = code + i * CHAIN_FIELDS;
        micros[i] = (struct micro){.kind = (enum chain_kind)f[CHAIN_KIND],
                                   .a = read_operand(plan, f[CHAIN_A], n_rowed),
                                   .b = read_operand(plan, f[CHAIN_B], n_rowed),
                                   .width = (size_t)f[CHAIN_WIDTH],
                                   .outer = (size_t)f[CHAIN_OUTER],
                                   .n = (size_t)f[CHAIN_N],
                                   .c = (size_t)f[CHAIN_C],
                                   .scalar = f[CHAIN_SCALAR] != 0,
                                   .alpha = alphas[2 * i],
                                   .beta = alphas[2 * i + 1],
                                   .leaves = -1};
        choose_kernel(&micros[i], f[CHAIN_FUNCTION]);
        for (size_t j = 0; j < n_outputs; j++)
            if (outputs[j] == (int64_t)i) micros[i].leaves = (int32_t)j;
        if (micros[i].leaves < 0) scratch += (micros[i].width + 15) / 16 * 16;
    }
    state->micros = micros;
    state->n_micros = (uint32_t)n;
    state->n_rows = (size_t)plan->in[0]->dims[0];
    state->block_rows = scratch == 0 ? state->n_rows : BLOCK_BYTES / (scratch * sizeof(float));
    if (state->block_rows == 0) state->block_rows = 1;
    if (state->block_rows > state->n_rows) state->block_rows = state->n_rows > 0 ? state->n_rows : 1;
    size_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        micros[i].offset = offset;
        if (micros[i].leaves < 0) offset += (micros[i].width * state->block_rows + 15) / 16 * 16;
    }
    plan->workspace_bytes = offset * sizeof(float);
    plan->state = state;
    return ONNXD_OK;
}

const struct op_def ops_chain[] = {
    {"onnxd", "Chain", 1, OP_LATEST, 1, OP_ANY_NUMBER, 1, OP_ANY_NUMBER, 0, NULL, row_dims_shapes, NULL,
     prepare_chain, run_chain},
    {0},
};
