/* ReduceSum and its family. Axes are an attribute in old opsets and input 1 in new ones.
 *
 * float32 along one run of axes goes through the CPU's kernels. Otherwise the input is read once in memory
 * order, and every output element has an accumulator in the workspace: double for floating point, 64-bit
 * integers for integers.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

enum reduction { SUM, MEAN, PROD, MAX, MIN, L1, L2, SUM_SQUARE, LOG_SUM, LOG_SUM_EXP };

static const char *const names[] = {"ReduceSum",    "ReduceMean",     "ReduceProd", "ReduceMax",
                                    "ReduceMin",    "ReduceL1",       "ReduceL2",   "ReduceSumSquare",
                                    "ReduceLogSum", "ReduceLogSumExp"};

static enum reduction reduction_of(const struct node *node)
{
    for (int i = 0; i <= LOG_SUM_EXP; i++)
        if (strcmp(node->op_type, names[i]) == 0) return (enum reduction)i;
    return SUM;
}

static bool axes_are_input(const struct node *node)
{
    return node->opset >= (reduction_of(node) == SUM ? 13 : 18);
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

static onnxd_status mark(const struct node *node, const int64_t *axes, uint32_t n, uint32_t rank,
                         bool *reduced, onnxd_error *err)
{
    bool none = n == 0 && node_attribute_int(node, "noop_with_empty_axes", 0) != 0;
    onnxd_status status = op_mark_axes(node, axes, n, rank, reduced, err);
    for (uint32_t i = 0; i < rank && n == 0; i++) reduced[i] = !none;
    return status;
}

static void follow_reduce(struct op_shapes *s)
{
    const struct dim *values;
    uint32_t n;
    enum reduction reduction = reduction_of(s->node);
    if (s->in[0]->rank != 1 || (reduction != SUM && reduction != PROD) || !infer_contents(s, 0, &values, &n))
        return;
    struct dim result = dim_constant(reduction == PROD);
    for (uint32_t i = 0; i < n; i++)
        result = reduction == PROD ? dim_mul(result, values[i]) : dim_add(result, values[i]);
    struct dim *out = infer_set_contents(s, 1);
    if (out != NULL) out[0] = result;
}

static onnxd_status shapes_reduce(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t axes[ONNXD_MAX_RANK];
    bool given, reduced[ONNXD_MAX_RANK], keep = node_attribute_int(s->node, "keepdims", 1) != 0;
    uint32_t n;
    onnxd_status status = infer_type(s, 0, TYPES_ARITHMETIC, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    bool known = infer_list(s, axes_are_input(s->node) ? 1 : GRAPH_NONE, "axes", axes, ONNXD_MAX_RANK, &n,
                            &given);
    struct dim dims[ONNXD_MAX_RANK];
    int32_t rank = 0;
    if (!known) {
        infer_unknown_dims(dims, in->rank);
        if (keep) shapes_set(s, 0, in->type, in->rank, dims);
        return ONNXD_OK;
    }
    status = mark(s->node, axes, n, (uint32_t)in->rank, reduced, err);
    if (status != ONNXD_OK) return status;
    bool any = false;
    for (int32_t i = 0; i < in->rank; i++) {
        any = any || reduced[i];
        if (!reduced[i])
            dims[rank++] = in->dims[i];
        else if (keep)
            dims[rank++] = dim_constant(1);
    }
    shapes_set(s, 0, in->type, rank, dims);
    if (any) follow_reduce(s);
    return ONNXD_OK;
}

/* ---- accumulating ------------------------------------------------------------------------------------ */

/* Accumulates n elements x, either all into acc[0] or each into its own acc[i]. For LOG_SUM_EXP shift[] is
 * the maximum found before. */
#define ACCUMULATE(name, T, A, MAX_OF, MIN_OF, MAGNITUDE)                                   \
    static void name(enum reduction reduction, A *acc, int64_t step, const T *x, int64_t n) \
    {                                                                                       \
        switch (reduction) {                                                                \
        case PROD:                                                                          \
            for (int64_t i = 0; i < n; i++) acc[i * step] *= (A)x[i];                       \
            break;                                                                          \
        case MAX:                                                                           \
            for (int64_t i = 0; i < n; i++) acc[i * step] = MAX_OF(acc[i * step], (A)x[i]); \
            break;                                                                          \
        case MIN:                                                                           \
            for (int64_t i = 0; i < n; i++) acc[i * step] = MIN_OF(acc[i * step], (A)x[i]); \
            break;                                                                          \
        case L1:                                                                            \
            for (int64_t i = 0; i < n; i++) acc[i * step] += MAGNITUDE(A, x[i]);            \
            break;                                                                          \
        case L2:                                                                            \
        case SUM_SQUARE:                                                                    \
            for (int64_t i = 0; i < n; i++) acc[i * step] += (A)x[i] * (A)x[i];             \
            break;                                                                          \
        default:                                                                            \
            for (int64_t i = 0; i < n; i++) acc[i * step] += (A)x[i];                       \
            break;                                                                          \
        }                                                                                   \
    }

#define MAGNITUDE_OF(A, x)   ((x) < 0 ? 0 - (A)(x) : (A)(x))
#define ITSELF(A, x)         ((A)(x))
#define GREATER(a, b)        ((a) > (b) ? (a) : (b))
#define LESSER(a, b)         ((a) < (b) ? (a) : (b))
#define GREATER_OR_NAN(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))
#define LESSER_OR_NAN(a, b)  ((a) < (b) || (a) != (a) ? (a) : (b))
#define SIGNED_GREATER(a, b) ((int64_t)(a) > (int64_t)(b) ? (a) : (b))
#define SIGNED_LESSER(a, b)  ((int64_t)(a) < (int64_t)(b) ? (a) : (b))

ACCUMULATE(accumulate_f64, double, double, GREATER_OR_NAN, LESSER_OR_NAN, MAGNITUDE_OF)
ACCUMULATE(accumulate_i64, int64_t, uint64_t, SIGNED_GREATER, SIGNED_LESSER, MAGNITUDE_OF)
ACCUMULATE(accumulate_u64, uint64_t, uint64_t, GREATER, LESSER, ITSELF)

/* Sums of rows in eight parts: fast, and nearer to the exact sum than one after the other. */
static double sum_f64(const double *x, int64_t n)
{
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) part[k] += x[i + k];
    for (; i < n; i++) part[0] += x[i];
    return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/* ---- programs --------------------------------------------------------------------------------------- */

struct reduce_state {
    enum reduction reduction;
    enum lane lane;     /* LANE_F64, LANE_I64 or LANE_U64 */
    struct loops loops; /* operands: in, out (stride 0 where reduced) */
    int64_t n_out, n_reduced;
    bool copies; /* nothing to reduce */
    bool ready;
    bool by_kernel; /* loops are [kept, reduced] or [kept, reduced, kept], kept ones may be missing */
};

/* The kernel that does most of a reduction. */
static enum f32_reduce kernel_of(enum reduction reduction)
{
    switch (reduction) {
    case MEAN: return F32_REDUCE_mean;
    case PROD: return F32_REDUCE_prod;
    case MAX: return F32_REDUCE_max;
    case MIN: return F32_REDUCE_min;
    case L1: return F32_REDUCE_sum_abs;
    case L2:
    case SUM_SQUARE: return F32_REDUCE_sum_square;
    default: return F32_REDUCE_sum;
    }
}

/* One run of reduced axes, and at least one element everywhere. */
static bool suits_kernel(const struct reduce_state *state, onnxd_type type)
{
    const struct loops *loops = &state->loops;
    uint32_t n_reduced = 0;
    for (uint32_t i = 0; i < loops->rank; i++) n_reduced += loops->strides[1][i] == 0;
    return type == ONNXD_FLOAT32 && state->reduction != LOG_SUM_EXP && n_reduced == 1 && loops->rank <= 3 &&
           (loops->rank < 3 || loops->strides[1][1] == 0) && state->n_out > 0 && state->n_reduced > 0;
}

static void run_kernel(const struct reduce_state *state, const float *x, float *y)
{
    const struct kernels *kernels = kernels_get();
    const struct loops *loops = &state->loops;
    const int64_t *dims = loops->dims;
    enum f32_reduce kernel = kernel_of(state->reduction);
    uint32_t at = 0; /* of the reduced loop */
    while (loops->strides[1][at] != 0) at++;
    size_t rows = at > 0 ? (size_t)dims[0] : 1, n = (size_t)dims[at];
    if (at + 1 == loops->rank) {
        kernels->f32_reduce_inner[kernel](y, x, n, rows, n);
    } else {
        size_t cols = (size_t)dims[at + 1];
        kernels->f32_reduce_outer[kernel](y, cols, x, n * cols, cols, rows, n, cols);
    }
    if (state->reduction == L2) kernels->f32_unary[F32_UNARY_sqrt](y, y, (size_t)state->n_out, 0, 0);
    if (state->reduction == LOG_SUM) kernels->f32_unary[F32_UNARY_log](y, y, (size_t)state->n_out, 0, 0);
}

static enum lane accumulator_lane(enum reduction reduction, onnxd_type type)
{
    enum lane lane = lane_of(type);
    if (lane == LANE_F32 || reduction == MEAN || reduction == L2 || reduction >= LOG_SUM) return LANE_F64;
    return lane;
}

static onnxd_status plan_loops(const struct node *node, const onnxd_tensor *in, const onnxd_tensor *out,
                               const int64_t *axes, uint32_t n, struct reduce_state *state, onnxd_error *err)
{
    bool reduced[ONNXD_MAX_RANK];
    onnxd_status status = mark(node, axes, n, in->rank, reduced, err);
    if (status != ONNXD_OK) return status;
    loops_init(&state->loops, in->dims, in->rank, 2);
    shape_strides(in->dims, in->rank, state->loops.strides[0]);
    state->n_out = state->n_reduced = 1;
    state->copies = true;
    for (uint32_t i = in->rank; i-- > 0;) {
        if (reduced[i]) {
            state->n_reduced *= in->dims[i];
            state->copies = false;
            continue;
        }
        state->loops.strides[1][i] = state->n_out;
        state->n_out *= in->dims[i];
    }
    if (state->n_out != onnxd_tensor_n_elements(out))
        return op_error(err, node, ONNXD_ERR_SHAPE, "axes changed after the shape was fixed");
    loops_simplify(&state->loops);
    state->by_kernel = suits_kernel(state, in->type);
    return ONNXD_OK;
}

static onnxd_status find_axes(const struct node *node, const onnxd_tensor *const *in, uint32_t n_in,
                              int64_t *axes, uint32_t *ret_n, onnxd_error *err)
{
    size_t n;
    const int64_t *list = node_attribute_ints(node, "axes", &n);
    if (axes_are_input(node)) {
        n = tensor_given(in, n_in, 1) ? (size_t)onnxd_tensor_n_elements(in[1]) : 0;
        list = n > 0 ? in[1]->data : NULL;
    }
    if (n > ONNXD_MAX_RANK) return op_error(err, node, ONNXD_ERR_RANGE, "%zu axes are too many", n);
    if (n > 0) memcpy(axes, list, n * sizeof *axes);
    *ret_n = (uint32_t)n;
    return ONNXD_OK;
}

static onnxd_status prepare_reduce(struct op_plan *plan, onnxd_error *err)
{
    struct reduce_state *state;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status != ONNXD_OK) return status;
    state->reduction = reduction_of(plan->node);
    state->lane = accumulator_lane(state->reduction, plan->in[0]->type);
    plan->workspace_bytes = 2 * 8 * (size_t)onnxd_tensor_n_elements(plan->out[0]);
    bool late = axes_are_input(plan->node) && tensor_given(plan->in, plan->n_in, 1) &&
                plan->in[1]->data == NULL && plan->in[1]->dims[0] > 0;
    if (late) return ONNXD_OK;
    int64_t axes[ONNXD_MAX_RANK];
    uint32_t n;
    status = find_axes(plan->node, plan->in, plan->n_in, axes, &n, err);
    if (status == ONNXD_OK) status = plan_loops(plan->node, plan->in[0], plan->out[0], axes, n, state, err);
    state->ready = true;
    return status;
}

static void fill_f64(double *acc, int64_t n, double value)
{
    for (int64_t i = 0; i < n; i++) acc[i] = value;
}

static void start(const struct reduce_state *state, enum reduction reduction, void *acc)
{
    bool floating = state->lane == LANE_F64;
    uint64_t *ints = acc;
    uint64_t first = reduction == PROD;
    if (reduction == MAX) first = state->lane == LANE_I64 ? (uint64_t)INT64_MIN : 0;
    if (reduction == MIN) first = state->lane == LANE_I64 ? INT64_MAX : UINT64_MAX;
    if (floating)
        fill_f64(acc, state->n_out,
                 reduction == PROD  ? 1
                 : reduction == MAX ? -HUGE_VAL
                 : reduction == MIN ? HUGE_VAL
                                    : 0);
    for (int64_t i = 0; i < state->n_out && !floating; i++) ints[i] = first;
}

/* One block of an innermost loop; acc is the accumulator of its first element. */
static void accumulate(const struct reduce_state *state, enum reduction reduction, void *acc, int64_t step,
                       union lane_block *x, int64_t n, const double *shift)
{
    if (state->lane == LANE_U64) {
        accumulate_u64(reduction, acc, step, x->u64, n);
    } else if (state->lane == LANE_I64) {
        accumulate_i64(reduction, acc, step, x->i64, n);
    } else {
        for (int64_t i = 0; i < n && shift != NULL; i++) x->f64[i] = exp(x->f64[i] - shift[i * step]);
        if (step == 0 && (reduction == SUM || reduction == MEAN || reduction >= LOG_SUM))
            *(double *)acc += sum_f64(x->f64, n);
        else
            accumulate_f64(reduction, acc, step, x->f64, n);
    }
}

/* The whole input once. shift: [n_out] subtracted before exp, or NULL. */
static void pass(const struct reduce_state *state, enum reduction reduction, const onnxd_tensor *in,
                 double *acc, const double *shift)
{
    const struct loops *loops = &state->loops;
    int64_t n = loops_inner(loops), step = loops_inner_stride(loops, 1),
            in_step = loops_inner_stride(loops, 0);
    union lane_block block;
    struct loops_cursor c;
    start(state, reduction, acc);
    for (loops_start(loops, &c); c.more; loops_next(loops, &c))
        for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
            int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK, o = c.offset[1] + at * step;
            elements_load(state->lane, in->type, in->data, c.offset[0] + at * in_step, in_step, m, &block);
            accumulate(state, reduction, acc + o, step, &block, m, shift != NULL ? shift + o : NULL);
        }
}

static void finish(const struct reduce_state *state, double *acc, const double *shift)
{
    for (int64_t i = 0; i < state->n_out; i++) switch (state->reduction) {
        case MEAN: acc[i] /= (double)state->n_reduced; break;
        case L2: acc[i] = sqrt(acc[i]); break;
        case LOG_SUM: acc[i] = log(acc[i]); break;
        case LOG_SUM_EXP: acc[i] = log(acc[i]) + shift[i]; break;
        default: return;
        }
}

static onnxd_status run_reduce(struct op_run *run, onnxd_error *err)
{
    const struct reduce_state *state = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    struct reduce_state late;
    if (!state->ready) {
        int64_t axes[ONNXD_MAX_RANK];
        uint32_t n;
        late = *state;
        onnxd_status status = find_axes(run->node, run->in, run->n_in, axes, &n, err);
        if (status == ONNXD_OK) status = plan_loops(run->node, in, out, axes, n, &late, err);
        if (status != ONNXD_OK) return status;
        state = &late;
    }
    if (state->copies) {
        if (out->data != in->data) memcpy(out->data, in->data, onnxd_tensor_n_bytes(in));
        return ONNXD_OK;
    }
    if (state->by_kernel) {
        run_kernel(state, in->data, out->data);
        return ONNXD_OK;
    }
    double *acc = run->workspace, *shift = NULL;
    if (state->n_out == 0) return ONNXD_OK;
    if (state->reduction == LOG_SUM_EXP) {
        shift = acc + state->n_out;
        pass(state, MAX, in, shift, NULL);
        for (int64_t i = 0; i < state->n_out; i++)
            if (!isfinite(shift[i])) shift[i] = 0;
    }
    pass(state, state->reduction, in, acc, shift);
    if (state->lane == LANE_F64) finish(state, acc, shift);
    elements_store(state->lane, out->type, out->data, 0, state->n_out, acc);
    return ONNXD_OK;
}

#define REDUCE(name)                                                                                  \
    {                                                                                                 \
        "", name, 1, OP_LATEST, 1, 2, 1, 1, 0, check_attributes, shapes_reduce, NULL, prepare_reduce, \
            run_reduce                                                                                \
    }

const struct op_def ops_reduce[] = {
    REDUCE("ReduceSum"),
    REDUCE("ReduceMean"),
    REDUCE("ReduceProd"),
    REDUCE("ReduceMax"),
    REDUCE("ReduceMin"),
    REDUCE("ReduceL1"),
    REDUCE("ReduceL2"),
    REDUCE("ReduceSumSquare"),
    REDUCE("ReduceLogSum"),
    REDUCE("ReduceLogSumExp"),
    {0},
};
