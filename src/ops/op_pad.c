/* Pad in its modes constant, reflect, edge and wrap; negative pads crop.
 *
 * Every axis gets a table that says which input element each output element repeats (-1: the fill value).
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

static const char *pads_attribute(const struct node *node)
{
    return node->opset < 2 ? "paddings" : "pads";
}

static onnxd_status check_pad(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_word(node, "mode", modes, err);
    if (status == ONNXD_OK) status = check_attributes(node, err);
    if (status == ONNXD_OK && node->opset < 11 && node_attribute(node, pads_attribute(node)) == NULL)
        status = op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is missing", pads_attribute(node));
    return status;
}

/* Pads of all axes from the list and the axes that it speaks of (NULL: all). */
static onnxd_status spread_pads(const struct node *node, const int64_t *list, uint32_t n, const int64_t *axes,
                                uint32_t n_axes, uint32_t rank, int64_t *begins, int64_t *ends,
                                onnxd_error *err)
{
    memset(begins, 0, ONNXD_MAX_RANK * sizeof *begins);
    memset(ends, 0, ONNXD_MAX_RANK * sizeof *ends);
    if (axes == NULL) n_axes = rank;
    if (n != 2 * n_axes)
        return op_error(err, node, ONNXD_ERR_SHAPE, "pads has %u elements, expected %u", n, 2 * n_axes);
    for (uint32_t i = 0; i < n_axes; i++) {
        uint32_t axis = i;
        onnxd_status status = axes != NULL ? op_axis(node, axes[i], rank, &axis, err) : ONNXD_OK;
        if (status != ONNXD_OK) return status;
        begins[axis] = list[i];
        ends[axis] = list[n_axes + i];
        if (list[i] > SHAPE_MAX_ELEMENTS || list[n_axes + i] > SHAPE_MAX_ELEMENTS ||
            list[i] < -SHAPE_MAX_ELEMENTS || list[n_axes + i] < -SHAPE_MAX_ELEMENTS)
            return op_error(err, node, ONNXD_ERR_LIMIT, "pads of axis %u are too large", axis);
    }
    return ONNXD_OK;
}

static onnxd_status shapes_pad(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t list[2 * ONNXD_MAX_RANK], axes[ONNXD_MAX_RANK], begins[ONNXD_MAX_RANK], ends[ONNXD_MAX_RANK];
    uint32_t n, n_axes = 0;
    bool given, given_axes = false;
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (in->rank < 0) return ONNXD_OK;
    struct dim dims[ONNXD_MAX_RANK];
    infer_unknown_dims(dims, in->rank);
    bool known = infer_list(s, s->node->opset >= 11 ? 1 : GRAPH_NONE, pads_attribute(s->node), list,
                            2 * ONNXD_MAX_RANK, &n, &given);
    if (known) known = infer_list(s, 3, NULL, axes, ONNXD_MAX_RANK, &n_axes, &given_axes);
    if (known) {
        status = spread_pads(s->node, list, n, given_axes ? axes : NULL, n_axes, (uint32_t)in->rank, begins,
                             ends, err);
        if (status != ONNXD_OK) return status;
        for (int32_t i = 0; i < in->rank; i++) {
            dims[i] = begins[i] + ends[i] == 0 ? in->dims[i]
                                               : dim_add(in->dims[i], dim_constant(begins[i] + ends[i]));
            if (dim_is_known(dims[i]) && dims[i].n < 0)
                return op_error(err, s->node, ONNXD_ERR_SHAPE, "pads leave %lld elements on axis %d",
                                (long long)dims[i].n, i);
        }
    }
    shapes_set(s, 0, in->type, in->rank, dims);
    return ONNXD_OK;
}

/* ---- programs --------------------------------------------------------------------------------------- */

static onnxd_status prepare_pad(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *out = plan->out[0];
    for (uint32_t i = 0; i < out->rank; i++) plan->workspace_bytes += (size_t)out->dims[i] * sizeof(int64_t);
    return ONNXD_OK;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t r = a % b;
    return r < 0 ? r + b : r;
}

/* Input element that stands at output element i of an axis of this size. */
static int64_t source_of(int64_t i, int64_t begin, int64_t size, enum pad_mode mode)
{
    int64_t at = i - begin;
    if (at >= 0 && at < size) return at;
    if (size == 0 || mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return at < 0 ? 0 : size - 1;
    if (mode == PAD_WRAP) return floor_mod(at, size);
    if (size == 1) return 0;
    at = floor_mod(at, 2 * size - 2);
    return at < size ? at : 2 * size - 2 - at;
}

struct pad_tables {
    const int64_t *table[ONNXD_MAX_RANK];
    int64_t strides[ONNXD_MAX_RANK];
    int64_t first, last; /* on the innermost axis: output elements that repeat consecutive input elements */
    const char *fill;
};

static void put_elements(char *to, const char *from, int64_t n, size_t size)
{
    for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * size, from, size);
}

/* The rows of one axis, recursively outermost first; from is NULL inside of padding. */
static char *pad_axis(const struct pad_tables *t, const onnxd_tensor *out, uint32_t axis, const char *from,
                      char *to, size_t size)
{
    int64_t n = out->dims[axis];
    if (axis + 1 < out->rank) {
        for (int64_t i = 0; i < n; i++) {
            int64_t at = t->table[axis][i];
            to = pad_axis(t, out, axis + 1,
                          from == NULL || at < 0 ? NULL : from + at * t->strides[axis] * (int64_t)size, to,
                          size);
        }
        return to;
    }
    if (from == NULL) {
        put_elements(to, t->fill, n, size);
        return to + (size_t)n * size;
    }
    const int64_t *table = t->table[axis];
    for (int64_t i = 0; i < n; i++) {
        if (i == t->first && t->last > t->first) {
            memcpy(to + (size_t)i * size, from + table[i] * (int64_t)size,
                   (size_t)(t->last - t->first) * size);
            i = t->last - 1;
        } else {
            memcpy(to + (size_t)i * size, table[i] < 0 ? t->fill : from + table[i] * (int64_t)size, size);
        }
    }
    return to + (size_t)n * size;
}

static onnxd_status run_pads(struct op_run *run, int64_t *begins, int64_t *ends, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    size_t n;
    const int64_t *list = node_attribute_ints(run->node, pads_attribute(run->node), &n);
    int64_t axes[ONNXD_MAX_RANK];
    uint32_t n_axes = 0;
    bool given_axes = tensor_given(run->in, run->n_in, 3);
    if (run->node->opset >= 11) {
        list = run->in[1]->data;
        n = (size_t)onnxd_tensor_n_elements(run->in[1]);
    }
    if (given_axes) {
        n_axes = (uint32_t)onnxd_tensor_n_elements(run->in[3]);
        for (uint32_t i = 0; i < n_axes && i < ONNXD_MAX_RANK; i++) axes[i] = element_i64(run->in[3], i);
    }
    return spread_pads(run->node, list, (uint32_t)n, given_axes ? axes : NULL, n_axes, in->rank, begins, ends,
                       err);
}

/* What constant mode fills with. */
static void read_fill(const struct op_run *run, char *value)
{
    const onnxd_tensor *in = run->in[0];
    size_t size = type_size(in->type);
    float given = node_attribute_float(run->node, "value", 0);
    memset(value, 0, size);
    if (run->node->opset < 11)
        elements_store(LANE_F32, in->type, value, 0, 1, &given);
    else if (tensor_given(run->in, run->n_in, 2) && run->in[2]->type == in->type &&
             onnxd_tensor_n_elements(run->in[2]) > 0)
        memcpy(value, run->in[2]->data, size);
}

static onnxd_status run_pad(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    enum pad_mode mode = (enum pad_mode)attribute_word(run->node, "mode", modes, PAD_CONSTANT);
    size_t size = type_size(in->type);
    int64_t begins[ONNXD_MAX_RANK], ends[ONNXD_MAX_RANK], *next = run->workspace;
    char value[16];
    onnxd_status status = run_pads(run, begins, ends, err);
    if (status != ONNXD_OK) return status;
    if (onnxd_tensor_n_elements(out) == 0) return ONNXD_OK;
    if (out->rank == 0) {
        memcpy(out->data, in->data, size);
        return ONNXD_OK;
    }
    struct pad_tables t = {.fill = value};
    read_fill(run, value);
    shape_strides(in->dims, in->rank, t.strides);
    for (uint32_t axis = 0; axis < out->rank; axis++) {
        if (in->dims[axis] + begins[axis] + ends[axis] != out->dims[axis])
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "pads changed after the shape was fixed");
        if (in->dims[axis] == 0 && mode != PAD_CONSTANT)
            return op_error(err, run->node, ONNXD_ERR_SHAPE, "axis %u is empty: nothing to repeat", axis);
        t.table[axis] = next;
        for (int64_t i = 0; i < out->dims[axis]; i++)
            *next++ = source_of(i, begins[axis], in->dims[axis], mode);
    }
    uint32_t inner = out->rank - 1;
    t.first = begins[inner] > 0 ? begins[inner] : 0;
    t.last = begins[inner] + in->dims[inner];
    if (t.last > out->dims[inner]) t.last = out->dims[inner];
    pad_axis(&t, out, 0, in->data, out->data, size);
    return ONNXD_OK;
}

const struct op_def ops_pad[] = {
    {"", "Pad", 1, 11, 1, 1, 1, 1, 0, check_pad, shapes_pad, NULL, prepare_pad, run_pad},
    {"", "Pad", 11, OP_LATEST, 2, 4, 1, 1, 0, check_pad, shapes_pad, NULL, prepare_pad, run_pad},
    {0},
};
