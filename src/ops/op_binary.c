/* Elementwise operators of two and of many operands: arithmetic, comparison, logic, bits; Min, Max, Sum,
 * Mean. Operands are broadcast as numpy does; before opset 7 the second one only, when the attribute
 * `broadcast` asks for it, with its dimensions lined up at `axis`.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/binary.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static bool is_named(const struct node *node, const char *name)
{
    return strcmp(node->op_type, name) == 0;
}

/* ---- check ------------------------------------------------------------------------------------------ */

static onnxd_status check_binary(const struct node *node, onnxd_error *err)
{
    static const char *const directions[] = {"LEFT", "RIGHT", NULL};
    onnxd_status status = check_attributes(node, err);
    if (status != ONNXD_OK || !is_named(node, "BitShift")) return status;
    if (node_attribute(node, "direction") == NULL)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'direction' is missing");
    return check_word(node, "direction", directions, err);
}

/* ---- opset 6 and older: where the second operand's dimensions stand --------------------------------- */

static bool has_old_broadcast(const struct node *node)
{
    return node->opset < 7 && !is_named(node, "Min") && !is_named(node, "Max") && !is_named(node, "Sum") &&
           !is_named(node, "Mean");
}

/* Axis of the first operand at which the second one's dimensions start. */
static onnxd_status old_axis(const struct node *node, uint32_t a_rank, uint32_t b_rank, uint32_t *ret_axis,
                             onnxd_error *err)
{
    if (b_rank > a_rank)
        return op_error(err, node, ONNXD_ERR_SHAPE, "input 1 has rank %u, more than input 0's %u", b_rank,
                        a_rank);
    bool is_prelu = is_named(node, "PRelu");
    if (!is_prelu && node_attribute_int(node, "broadcast", 0) == 0 && a_rank != b_rank && b_rank != 0)
        return op_error(err, node, ONNXD_ERR_SHAPE, "inputs have ranks %u and %u and are not to be broadcast",
                        a_rank, b_rank);
    int64_t last = (int64_t)a_rank - b_rank, axis = is_prelu && b_rank == 1 && a_rank > 1 ? 1 : last;
    if (!is_prelu && node_attribute_int(node, "broadcast", 0) != 0)
        axis = node_attribute_int(node, "axis", last);
    if (axis < 0) axis += a_rank;
    if (axis < 0 || axis > last)
        return op_error(err, node, ONNXD_ERR_RANGE, "axis %lld is outside 0..%lld", (long long)axis,
                        (long long)last);
    *ret_axis = (uint32_t)axis;
    return ONNXD_OK;
}

static onnxd_status old_info(const struct node *node, const struct value_info *a, const struct value_info *b,
                             struct value_info *ret, onnxd_error *err)
{
    uint32_t axis;
    *ret = *b;
    if (a->rank < 0 || b->rank < 0) return ONNXD_OK;
    onnxd_status status = old_axis(node, (uint32_t)a->rank, (uint32_t)b->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    ret->rank = a->rank - (int32_t)axis;
    for (int32_t i = 0; i < ret->rank; i++) ret->dims[i] = i < b->rank ? b->dims[i] : dim_constant(1);
    return ONNXD_OK;
}

/* ---- contents of integers that follow from shapes ----------------------------------------------------- */

static struct dim known_min(struct dim a, struct dim b, bool max)
{
    if (dim_equal(a, b)) return a;
    if (!dim_is_constant(a) || !dim_is_constant(b)) return dim_unknown();
    return dim_constant((a.n < b.n) == max ? b.n : a.n);
}

static struct dim known_equal(struct dim a, struct dim b)
{
    if (dim_equal(a, b)) return dim_constant(1);
    if (dim_is_constant(a) && dim_is_constant(b)) return dim_constant(a.n == b.n);
    if (!dim_is_known(a) || !dim_is_known(b)) return dim_unknown();
    struct dim constant = dim_is_constant(a) ? a : b, symbolic = dim_is_constant(a) ? b : a;
    bool apart = dim_is_constant(constant) && constant.n < 0 && symbolic.n > 0; /* sizes are never negative */
    return apart ? dim_constant(0) : dim_unknown();
}

static struct dim known_quotient(struct dim a, struct dim b)
{
    if (dim_is_constant(a) && dim_is_constant(b) && b.n != 0 && b.n != -1) return dim_constant(a.n / b.n);
    return dim_div(a, b);
}

static struct dim apply(const struct node *node, struct dim a, struct dim b)
{
    if (is_named(node, "Add") || is_named(node, "Sum")) return dim_add(a, b);
    if (is_named(node, "Sub")) return dim_sub(a, b);
    if (is_named(node, "Mul")) return dim_mul(a, b);
    if (is_named(node, "Div")) return known_quotient(a, b);
    if (is_named(node, "Min")) return known_min(a, b, false);
    if (is_named(node, "Max")) return known_min(a, b, true);
    if (is_named(node, "Equal")) return known_equal(a, b);
    return dim_unknown();
}

static void follow_contents(struct op_shapes *s)
{
    const struct dim *a, *b;
    uint32_t n_a, n_b;
    onnxd_type type = s->in[0]->type;
    if (s->n_in != 2 || (type != ONNXD_INT64 && type != ONNXD_INT32 && type != ONNXD_BOOL)) return;
    if (!infer_contents(s, 0, &a, &n_a) || !infer_contents(s, 1, &b, &n_b)) return;
    if (n_a != n_b && n_a != 1 && n_b != 1) return;
    uint32_t n = n_a == 1 ? n_b : n_a;
    struct dim *out = infer_set_contents(s, n);
    if (out == NULL) return;
    for (uint32_t i = 0; i < n; i++) out[i] = apply(s->node, a[n_a == 1 ? 0 : i], b[n_b == 1 ? 0 : i]);
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

static uint32_t allowed_types(const struct node *node)
{
    if (is_named(node, "And") || is_named(node, "Or") || is_named(node, "Xor")) return TYPES_BOOL;
    if (strncmp(node->op_type, "Bit", 3) == 0) return TYPES_INTEGER;
    if (is_named(node, "Equal")) return TYPES_ARITHMETIC | TYPE_BIT(ONNXD_STRING);
    return TYPES_NUMERIC;
}

static onnxd_status check_types(struct op_shapes *s, onnxd_error *err)
{
    uint32_t types = allowed_types(s->node);
    if (!is_named(s->node, "Pow")) return infer_same_types(s, 0, s->n_in, types, err);
    onnxd_status status = infer_type(s, 0, types, err);
    return status == ONNXD_OK ? infer_type(s, 1, types, err) : status;
}

static onnxd_status shapes_binary(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = check_types(s, err);
    if (status != ONNXD_OK) return status;
    const struct binary_op *op = binary_find(s->node);
    struct value_info sum = *s->in[0], next;
    for (uint32_t i = 1; i < s->n_in; i++) {
        next = *s->in[i];
        if (has_old_broadcast(s->node)) status = old_info(s->node, &sum, s->in[i], &next, err);
        if (status == ONNXD_OK) status = shapes_broadcast(s, &sum, &next, sum.dims, &sum.rank, err);
        if (status != ONNXD_OK) return status;
    }
    shapes_set(s, 0, op->asks ? ONNXD_BOOL : sum.type, sum.rank, sum.dims);
    follow_contents(s);
    return ONNXD_OK;
}

/* ---- prepare ---------------------------------------------------------------------------------------- */

struct binary_step {
    struct loops loops;    /* operands: out, a, b */
    struct loops matrices; /* the same without the innermost loop: its own innermost is then that of rows */
    uint32_t a, b;         /* inputs; a is the output itself from the second step on */
};

struct binary_state {
    enum lane lane;
    binary_fn fn;
    const struct f32_binary_kernels *kernel; /* goes before fn where set */
    bool refuses_zero;                       /* integer division */
    bool asks;
    bool is_mean;
    uint32_t n_steps;
    struct binary_step steps[];
};

static enum lane lane_for(const struct op_plan *plan)
{
    enum lane lane = lane_of(plan->in[0]->type);
    if (is_named(plan->node, "Pow") && (lane == LANE_I64 || lane == LANE_U64)) {
        enum lane exponent = lane_of(plan->in[1]->type);
        if (exponent == LANE_F32 || exponent == LANE_F64) return LANE_F64;
    }
    return lane;
}

static onnxd_status plan_step(struct op_plan *plan, struct binary_step *step, uint32_t a, uint32_t b,
                              onnxd_error *err)
{
    const onnxd_tensor *out = plan->out[0], *ta = a == 0 ? plan->in[0] : out, *tb = plan->in[b];
    int64_t dims[ONNXD_MAX_RANK];
    uint32_t rank = tb->rank;
    memcpy(dims, tb->dims, rank * sizeof *dims);
    if (has_old_broadcast(plan->node)) {
        uint32_t axis;
        onnxd_status status = old_axis(plan->node, ta->rank, tb->rank, &axis, err);
        if (status != ONNXD_OK) return status;
        for (rank = ta->rank - axis; rank > tb->rank && rank > 0; rank--) dims[rank - 1] = 1;
        rank = ta->rank - axis;
    }
    loops_init(&step->loops, out->dims, out->rank, 3);
    loops_broadcast(&step->loops, 0, out->dims, out->rank);
    loops_broadcast(&step->loops, 1, ta->dims, ta->rank);
    loops_broadcast(&step->loops, 2, dims, rank);
    loops_simplify(&step->loops);
    step->matrices = step->loops;
    if (step->matrices.rank > 1) step->matrices.rank--;
    step->a = a;
    step->b = b;
    return ONNXD_OK;
}

static onnxd_status run_binary(struct op_run *run, onnxd_error *err);
static onnxd_status run_strings(struct op_run *run, onnxd_error *err);

static onnxd_status prepare_binary(struct op_plan *plan, onnxd_error *err)
{
    const struct binary_op *op = binary_find(plan->node);
    struct binary_state *state;
    uint32_t n_steps = plan->n_in > 1 ? plan->n_in - 1 : 0;
    onnxd_status status = plan_state(plan, sizeof *state + n_steps * sizeof state->steps[0], (void **)&state,
                                     err);
    if (status != ONNXD_OK || plan->out[0] == NULL) return status;
    for (; state->n_steps < n_steps; state->n_steps++) {
        uint32_t i = state->n_steps;
        status = plan_step(plan, &state->steps[i], i == 0 ? 0 : UINT32_MAX, i + 1, err);
        if (status != ONNXD_OK) return status;
    }
    state->asks = op->asks;
    state->is_mean = is_named(plan->node, "Mean");
    if (plan->in[0]->type == ONNXD_STRING) {
        plan->run = run_strings;
        return ONNXD_OK;
    }
    state->lane = lane_for(plan);
    state->fn = op->fn[state->lane];
    if (plan->in[0]->type == ONNXD_FLOAT32 && op->kernel > 0)
        state->kernel = &kernels_get()->f32_binary[op->kernel - 1];
    state->refuses_zero = (is_named(plan->node, "Div") || is_named(plan->node, "Mod")) &&
                          (state->lane == LANE_I64 || state->lane == LANE_U64);
    if (plan->n_in <= 2) plan->in_place_of = plan_fits(plan, 0) ? 0 : plan_fits(plan, 1) ? 1 : -1;
    return ONNXD_OK;
}

/* ---- run -------------------------------------------------------------------------------------------- */

static onnxd_status refuse_zero(const struct op_run *run, const onnxd_tensor *b, onnxd_error *err)
{
    int64_t n = onnxd_tensor_n_elements(b), values[ELEMENTS_BLOCK];
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(LANE_I64, b->type, b->data, at, 1, m, values);
        for (int64_t i = 0; i < m; i++)
            if (values[i] == 0)
                return op_error(err, run->node, ONNXD_ERR_RANGE, "input 1: division by zero at element %lld",
                                (long long)(at + i));
    }
    return ONNXD_OK;
}

/* One innermost loop where some operand is not of the lane's own type. */
static void run_blocks(const struct binary_state *state, const onnxd_tensor *a, int64_t a_at,
                       int64_t a_stride, const onnxd_tensor *b, int64_t b_at, int64_t b_stride,
                       const onnxd_tensor *out, int64_t out_at, int64_t n)
{
    union lane_block x, y, z;
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(state->lane, a->type, a->data, a_at + at * a_stride, 1, a_stride == 0 ? 1 : m, &x);
        elements_load(state->lane, b->type, b->data, b_at + at * b_stride, 1, b_stride == 0 ? 1 : m, &y);
        if (state->asks) {
            state->fn(&x, a_stride, &y, b_stride, (uint8_t *)out->data + out_at + at, m);
        } else {
            state->fn(&x, a_stride, &y, b_stride, &z, m);
            elements_store(state->lane, out->type, out->data, out_at + at, m, &z);
        }
    }
}

/* The two innermost loops at a time. */
static void run_matrices(const struct binary_state *state, const struct binary_step *step, const float *a,
                         const float *b, float *out)
{
    const struct loops *loops = &step->loops, *outer = &step->matrices;
    bool has_rows = loops->rank > 1;
    size_t cols = (size_t)loops_inner(loops), rows = has_rows ? (size_t)loops_inner(outer) : 1, ld[3] = {0};
    for (uint32_t k = 0; k < 3 && has_rows; k++) ld[k] = (size_t)loops_inner_stride(outer, k);
    bool a_moves = loops_inner_stride(loops, 1) != 0, b_moves = loops_inner_stride(loops, 2) != 0;
    f32_binary_fn *fn = !a_moves ? state->kernel->sv : b_moves ? state->kernel->vv : state->kernel->vs;
    struct loops_cursor c;
    for (loops_start(loops->rank > 1 ? outer : loops, &c); c.more; loops_next(outer, &c))
        fn(out + c.offset[0], ld[0], a + c.offset[1], ld[1], b + c.offset[2], ld[2], rows, cols);
}

static void run_step(const struct binary_state *state, const struct binary_step *step, const onnxd_tensor *a,
                     const onnxd_tensor *b, const onnxd_tensor *out)
{
    if (state->kernel != NULL) {
        if (onnxd_tensor_n_elements(out) > 0) run_matrices(state, step, a->data, b->data, out->data);
        return;
    }
    int64_t size = (int64_t)type_size(a->type), out_size = (int64_t)type_size(out->type);
    bool native = lane_is_native(state->lane, a->type) && lane_is_native(state->lane, b->type) &&
                  (state->asks || lane_is_native(state->lane, out->type));
    int64_t sa = loops_inner_stride(&step->loops, 1), sb = loops_inner_stride(&step->loops, 2);
    int64_t n = loops_inner(&step->loops);
    struct loops_cursor c;
    for (loops_start(&step->loops, &c); c.more; loops_next(&step->loops, &c)) {
        if (native)
            state->fn((const char *)a->data + c.offset[1] * size, sa,
                      (const char *)b->data + c.offset[2] * size, sb,
                      (char *)out->data + c.offset[0] * out_size, n);
        else
            run_blocks(state, a, c.offset[1], sa, b, c.offset[2], sb, out, c.offset[0], n);
    }
}

static void divide_all(const onnxd_tensor *out, double by)
{
    int64_t n = onnxd_tensor_n_elements(out);
    double values[ELEMENTS_BLOCK];
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(LANE_F64, out->type, out->data, at, 1, m, values);
        for (int64_t i = 0; i < m; i++) values[i] /= by;
        elements_store(LANE_F64, out->type, out->data, at, m, values);
    }
}

static onnxd_status run_binary(struct op_run *run, onnxd_error *err)
{
    const struct binary_state *state = run->state;
    const onnxd_tensor *out = run->out[0];
    if (out == NULL) return ONNXD_OK;
    if (state->refuses_zero) {
        onnxd_status status = refuse_zero(run, run->in[1], err);
        if (status != ONNXD_OK) return status;
    }
    if (state->n_steps == 0 && out->data != run->in[0]->data)
        memcpy(out->data, run->in[0]->data, onnxd_tensor_n_bytes(out));
    for (uint32_t i = 0; i < state->n_steps; i++)
        run_step(state, &state->steps[i], i == 0 ? run->in[0] : out, run->in[i + 1], out);
    if (state->is_mean && state->n_steps > 0) divide_all(out, (double)(state->n_steps + 1));
    return ONNXD_OK;
}

/* Equal on strings. */
static onnxd_status run_strings(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct binary_state *state = run->state;
    const struct loops *loops = &state->steps[0].loops;
    const onnxd_string *a = run->in[0]->data, *b = run->in[1]->data;
    uint8_t *out = run->out[0]->data;
    int64_t sa = loops_inner_stride(loops, 1), sb = loops_inner_stride(loops, 2);
    struct loops_cursor c;
    for (loops_start(loops, &c); c.more; loops_next(loops, &c))
        for (int64_t i = 0; i < loops_inner(loops); i++) {
            onnxd_string x = a[c.offset[1] + i * sa], y = b[c.offset[2] + i * sb];
            out[c.offset[0] + i] = x.len == y.len && (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
        }
    return ONNXD_OK;
}

#define TWO(name, since)                                                                              \
    {                                                                                                 \
        "", name, since, OP_LATEST, 2, 2, 1, 1, 0, check_binary, shapes_binary, NULL, prepare_binary, \
            run_binary                                                                                \
    }
#define MANY(name)                                                                            \
    {                                                                                         \
        "", name, 1, OP_LATEST, 1, OP_ANY_NUMBER, 1, 1, 0, check_binary, shapes_binary, NULL, \
            prepare_binary, run_binary                                                        \
    }

const struct op_def ops_binary[] = {
    TWO("Add", 1),         TWO("Sub", 1),
    TWO("Mul", 1),         TWO("Div", 1),
    TWO("Pow", 1),         TWO("Mod", 10),
    TWO("PRelu", 1),       TWO("Equal", 1),
    TWO("Less", 1),        TWO("LessOrEqual", 12),
    TWO("Greater", 1),     TWO("GreaterOrEqual", 12),
    TWO("And", 1),         TWO("Or", 1),
    TWO("Xor", 1),         TWO("BitShift", 11),
    TWO("BitwiseAnd", 18), TWO("BitwiseOr", 18),
    TWO("BitwiseXor", 18), MANY("Min"),
    MANY("Max"),           MANY("Sum"),
    MANY("Mean"),          {0},
};
