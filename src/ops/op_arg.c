/* ArgMax, ArgMin, TopK, CumSum: operators along one axis.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- order ------------------------------------------------------------------------------------------ */

/* A number that orders as the element does, NaN above all. */
static inline uint64_t key_of_f64(double d)
{
    uint64_t bits;
    if (d != d) return UINT64_MAX;
    d += 0.0; /* -0 and 0 are one */
    memcpy(&bits, &d, sizeof bits);
    return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

/* Keys of n elements from `first` on, `stride` apart. */
static void load_keys(const onnxd_tensor *in, int64_t first, int64_t stride, int64_t n, uint64_t *keys)
{
    enum lane lane = lane_of(in->type);
    if (lane == LANE_I64 || lane == LANE_U64) {
        elements_load(lane, in->type, in->data, first, stride, n, keys);
        for (int64_t i = 0; i < n && lane == LANE_I64; i++) keys[i] ^= (uint64_t)1 << 63;
        return;
    }
    double block[ELEMENTS_BLOCK];
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        elements_load(LANE_F64, in->type, in->data, first + at * stride, stride, m, block);
        for (int64_t i = 0; i < m; i++) keys[at + i] = key_of_f64(block[i]);
    }
}

/* ---- ArgMax and ArgMin ------------------------------------------------------------------------------- */

static onnxd_status shapes_arg(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK];
    uint32_t axis;
    int32_t rank = 0;
    onnxd_status status = infer_type(s, 0, TYPES_NUMERIC, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, ONNXD_INT64);
    if (in->rank < 0) return ONNXD_OK;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    if (dim_equal(in->dims[axis], dim_constant(0)))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "axis %u is empty", axis);
    bool keep = node_attribute_int(s->node, "keepdims", 1) != 0;
    for (int32_t i = 0; i < in->rank; i++) {
        if ((uint32_t)i != axis)
            dims[rank++] = in->dims[i];
        else if (keep)
            dims[rank++] = dim_constant(1);
    }
    shapes_set(s, 0, ONNXD_INT64, rank, dims);
    return ONNXD_OK;
}

struct arg_state {
    struct lines lines;
    bool smallest, last;
};

static onnxd_status prepare_arg(struct op_plan *plan, onnxd_error *err)
{
    struct arg_state *state;
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK)
        status = op_axis(plan->node, node_attribute_int(plan->node, "axis", 0), plan->in[0]->rank, &axis,
                         err);
    if (status != ONNXD_OK) return status;
    state->lines = lines_of(plan->in[0], axis);
    state->smallest = strcmp(plan->node->op_type, "ArgMin") == 0;
    state->last = node_attribute_int(plan->node, "select_last_index", 0) != 0;
    return ONNXD_OK;
}

static int64_t find_extreme(const struct arg_state *state, const onnxd_tensor *in, int64_t first)
{
    uint64_t keys[ELEMENTS_BLOCK], best = 0;
    int64_t n = state->lines.n, stride = state->lines.inner, at = 0;
    for (int64_t from = 0; from < n; from += ELEMENTS_BLOCK) {
        int64_t m = n - from < ELEMENTS_BLOCK ? n - from : ELEMENTS_BLOCK;
        load_keys(in, first + from * stride, stride, m, keys);
        for (int64_t i = 0; i < m; i++) {
            uint64_t key = state->smallest ? ~keys[i] : keys[i];
            if ((from == 0 && i == 0) || key > best || (state->last && key == best)) {
                best = key;
                at = from + i;
            }
        }
    }
    return at;
}

static onnxd_status run_arg(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct arg_state *state = run->state;
    const struct lines *l = &state->lines;
    int64_t *out = run->out[0]->data;
    for (int64_t o = 0; o < l->outer; o++)
        for (int64_t j = 0; j < l->inner; j++)
            out[o * l->inner + j] = find_extreme(state, run->in[0], o * l->n * l->inner + j);
    return ONNXD_OK;
}

/* ---- TopK: k is an attribute before opset 10, input 1 from then on --------------------------------------
 */

static onnxd_status shapes_topk(struct op_shapes *s, onnxd_error *err)
{
    struct value_info info = *s->in[0];
    struct dim k = dim_unknown();
    const struct dim *given;
    uint32_t axis, n;
    onnxd_status status = infer_type(s, 0, TYPES_NUMERIC, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, info.type);
    shapes_set_type(s, 1, ONNXD_INT64);
    if (info.rank < 0) return ONNXD_OK;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", -1), (uint32_t)info.rank, &axis, err);
    if (status != ONNXD_OK) return status;
    if (s->node->opset < 10)
        k = dim_constant(node_attribute_int(s->node, "k", -1));
    else if (infer_contents(s, 1, &given, &n) && n == 1)
        k = given[0];
    if (dim_is_constant(k) && (k.n < 0 || (dim_is_constant(info.dims[axis]) && k.n > info.dims[axis].n)))
        return op_error(err, s->node, ONNXD_ERR_RANGE, "k is %lld, axis %u has %lld elements", (long long)k.n,
                        axis, (long long)info.dims[axis].n);
    info.dims[axis] = k;
    shapes_set(s, 0, info.type, info.rank, info.dims);
    shapes_set(s, 1, ONNXD_INT64, info.rank, info.dims);
    return ONNXD_OK;
}

struct topk_state {
    struct lines lines;
    int64_t k;
    bool smallest;
};

struct candidate {
    uint64_t key; /* the larger the better */
    int64_t index;
};

static onnxd_status prepare_topk(struct op_plan *plan, onnxd_error *err)
{
    struct topk_state *state;
    const onnxd_tensor *in = plan->in[0];
    uint32_t axis;
    onnxd_status status = plan_state(plan, sizeof *state, (void **)&state, err);
    if (status == ONNXD_OK)
        status = op_axis(plan->node, node_attribute_int(plan->node, "axis", -1), in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    state->lines = lines_of(in, axis);
    state->k = plan->out[0]->dims[axis];
    state->smallest = node_attribute_int(plan->node, "largest", 1) == 0;
    plan->workspace_bytes = (size_t)state->lines.n * sizeof(uint64_t) +
                            (size_t)state->k * sizeof(struct candidate);
    return ONNXD_OK;
}

static inline bool worse(struct candidate a, struct candidate b)
{
    return a.key < b.key || (a.key == b.key && a.index > b.index);
}

/* Restores a heap whose worst candidate is on top, after the one at `i` changed. */
static void sift_down(struct candidate *heap, int64_t n, int64_t i)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], heap[i])) return;
        struct candidate c = heap[i];
        heap[i] = heap[child];
        heap[child] = c;
    }
}

/* The k best of n keys into heap, best first. */
static void select_best(const uint64_t *keys, int64_t n, struct candidate *heap, int64_t k, bool smallest)
{
    for (int64_t i = 0; i < n; i++) {
        struct candidate c = {smallest ? ~keys[i] : keys[i], i};
        if (i < k) {
            heap[i] = c;
            for (int64_t j = k / 2; i == k - 1 && j-- > 0;) sift_down(heap, k, j);
        } else if (worse(heap[0], c)) {
            heap[0] = c;
            sift_down(heap, k, 0);
        }
    }
    for (int64_t left = k; left-- > 1;) {
        struct candidate c = heap[0];
        heap[0] = heap[left];
        heap[left] = c;
        sift_down(heap, left, 0);
    }
}

static onnxd_status run_topk(struct op_run *run, onnxd_error *err)
{
    const struct topk_state *state = run->state;
    const struct lines *l = &state->lines;
    const onnxd_tensor *in = run->in[0];
    if (run->node->opset >= 10 && element_i64(run->in[1], 0) != state->k)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "k changed after the shape was fixed");
    if (state->k == 0) return ONNXD_OK;
    struct candidate *heap = run->workspace;
    uint64_t *keys = (uint64_t *)(heap + state->k);
    size_t size = type_size(in->type);
    for (int64_t o = 0; o < l->outer; o++)
        for (int64_t j = 0; j < l->inner; j++) {
            int64_t first = o * l->n * l->inner + j;
            load_keys(in, first, l->inner, l->n, keys);
            select_best(keys, l->n, heap, state->k, state->smallest);
            for (int64_t i = 0; i < state->k; i++) {
                int64_t to = (o * state->k + i) * l->inner + j, from = first + heap[i].index * l->inner;
                memcpy((char *)run->out[0]->data + (size_t)to * size,
                       (const char *)in->data + (size_t)from * size, size);
                if (run->n_out > 1 && run->out[1] != NULL) ((int64_t *)run->out[1]->data)[to] = heap[i].index;
            }
        }
    return ONNXD_OK;
}

/* ---- CumSum ----------------------------------------------------------------------------------------- */

static onnxd_status shapes_cumsum(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_NUMERIC, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_INDEX, err);
    if (status == ONNXD_OK && dim_differs(value_info_n_elements(s->in[1]), dim_constant(1)))
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "input 1 holds not one axis");
    shapes_copy(s, 0, 0);
    return status;
}

static onnxd_status run_cumsum(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    bool exclusive = node_attribute_int(run->node, "exclusive", 0) != 0;
    bool reverse = node_attribute_int(run->node, "reverse", 0) != 0;
    bool floating = lane_of(in->type) == LANE_F32 || lane_of(in->type) == LANE_F64;
    enum lane lane = floating ? LANE_F64 : LANE_I64;
    uint32_t axis;
    onnxd_status status = op_axis(run->node, element_i64(run->in[1], 0), in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    struct lines l = lines_of(in, axis);
    for (int64_t line = 0; line < l.outer * l.inner; line++) {
        int64_t first = line / l.inner * l.n * l.inner + line % l.inner;
        double sum = 0, x;
        uint64_t total = 0, v;
        for (int64_t k = 0; k < l.n; k++) {
            int64_t at = first + (reverse ? l.n - 1 - k : k) * l.inner;
            elements_load(lane, in->type, in->data, at, 1, 1, floating ? (void *)&x : (void *)&v);
            if (exclusive)
                elements_store(lane, out->type, out->data, at, 1, floating ? (void *)&sum : (void *)&total);
            if (floating)
                sum += x;
            else
                total += v;
            if (!exclusive)
                elements_store(lane, out->type, out->data, at, 1, floating ? (void *)&sum : (void *)&total);
        }
    }
    return ONNXD_OK;
}

#define ARG(name)                                                                                       \
    {                                                                                                   \
        "", name, 1, OP_LATEST, 1, 1, 1, 1, 0, check_attributes, shapes_arg, NULL, prepare_arg, run_arg \
    }

const struct op_def ops_arg[] = {
    ARG("ArgMax"),
    ARG("ArgMin"),
    {"", "TopK", 1, 10, 1, 1, 2, 2, 0, check_attributes, shapes_topk, NULL, prepare_topk, run_topk},
    {"", "TopK", 10, OP_LATEST, 2, 2, 1, 2, 0, check_attributes, shapes_topk, NULL, prepare_topk, run_topk},
    {"", "CumSum", 11, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_cumsum, NULL, NULL, run_cumsum},
    {0},
};
