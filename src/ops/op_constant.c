/* Operators that make tensors from little: Constant, ConstantOfShape, Range, EyeLike, OneHot, Trilu.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- Constant --------------------------------------------------------------------------------------- */

static const struct attribute *the_value(const struct node *node)
{
    for (uint32_t i = 0; i < node->n_attributes; i++)
        if (strncmp(node->attributes[i].name, "value", 5) == 0) return &node->attributes[i];
    return NULL;
}

/* A tensor that views the attribute. */
static bool view_value(const struct attribute *a, onnxd_tensor *ret)
{
    static const struct {
        enum attribute_kind kind;
        const char *name;
        onnxd_type type;
        uint32_t rank;
    } forms[] = {
        {ATTRIBUTE_FLOAT, "value_float", ONNXD_FLOAT32, 0},
        {ATTRIBUTE_FLOATS, "value_floats", ONNXD_FLOAT32, 1},
        {ATTRIBUTE_INT, "value_int", ONNXD_INT64, 0},
        {ATTRIBUTE_INTS, "value_ints", ONNXD_INT64, 1},
        {ATTRIBUTE_STRING, "value_string", ONNXD_STRING, 0},
        {ATTRIBUTE_STRINGS, "value_strings", ONNXD_STRING, 1},
    };
    if (a->kind == ATTRIBUTE_TENSOR) {
        *ret = *a->tensor;
        return true;
    }
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (a->kind == forms[i].kind && strcmp(a->name, forms[i].name) == 0) {
            *ret = (onnxd_tensor){.type = forms[i].type, .rank = forms[i].rank, .dims = {(int64_t)a->n}};
            const void *data = forms[i].rank == 1 ? (const void *)a->ints : (const void *)&a->i;
            memcpy(&ret->data, &data, sizeof data); /* a view: nobody writes through it */
            return true;
        }
    return false;
}

static onnxd_status check_constant(const struct node *node, onnxd_error *err)
{
    const struct attribute *a = the_value(node);
    onnxd_tensor view;
    if (a == NULL) return op_error(err, node, ONNXD_ERR_MODEL, "no attribute holds a value");
    if (!view_value(a, &view))
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%.40s' has the wrong kind", a->name);
    return ONNXD_OK;
}

static onnxd_status shapes_constant(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    onnxd_tensor view;
    if (!view_value(the_value(s->node), &view)) return ONNXD_OK;
    struct value_info info = value_info_of_tensor(&view, false);
    shapes_set(s, 0, info.type, info.rank, info.dims);
    return ONNXD_OK;
}

static onnxd_status run_constant(struct op_run *run, onnxd_error *err)
{
    (void)err;
    onnxd_tensor view;
    if (view_value(the_value(run->node), &view)) {
        size_t n_bytes = onnxd_tensor_n_bytes(&view);
        if (n_bytes > 0) memcpy(run->out[0]->data, view.data, n_bytes);
    }
    return ONNXD_OK;
}

/* ---- filling ---------------------------------------------------------------------------------------- */

/* Writes n copies of the element at `value`. */
static void fill(onnxd_type type, void *to, int64_t n, const void *value)
{
    size_t size = type_size(type), n_bytes = (size_t)n * size;
    if (n <= 0) return;
    memcpy(to, value, size);
    for (size_t done = size; done < n_bytes;) {
        size_t more = done < n_bytes - done ? done : n_bytes - done;
        memcpy((char *)to + done, to, more);
        done += more;
    }
}

/* ---- ConstantOfShape ---------------------------------------------------------------------------------- */

static onnxd_status check_constant_of_shape(const struct node *node, onnxd_error *err)
{
    const struct attribute *a = node_attribute(node, "value");
    if (a == NULL) return ONNXD_OK;
    if (a->kind != ATTRIBUTE_TENSOR || onnxd_tensor_n_elements(a->tensor) != 1)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'value' is not a tensor of one element");
    return ONNXD_OK;
}

static onnxd_status shapes_constant_of_shape(struct op_shapes *s, onnxd_error *err)
{
    const onnxd_tensor *value = node_attribute_tensor(s->node, "value");
    onnxd_type type = value != NULL ? value->type : ONNXD_FLOAT32;
    const struct dim *dims;
    uint32_t n;
    shapes_set_type(s, 0, type);
    if (!infer_contents(s, 0, &dims, &n)) {
        if (shapes_known(s, 0) && s->in[0]->rank == 1 && dim_is_constant(s->in[0]->dims[0]) &&
            s->in[0]->dims[0].n <= ONNXD_MAX_RANK) {
            struct dim unknown[ONNXD_MAX_RANK];
            infer_unknown_dims(unknown, ONNXD_MAX_RANK);
            shapes_set(s, 0, type, (int32_t)s->in[0]->dims[0].n, unknown);
        }
        return ONNXD_OK;
    }
    if (n > ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "shape has rank %u, at most %d", n, ONNXD_MAX_RANK);
    for (uint32_t i = 0; i < n; i++)
        if (dim_is_known(dims[i]) && dims[i].n < 0)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "shape holds %lld", (long long)dims[i].n);
    shapes_set(s, 0, type, (int32_t)n, dims);
    if (n == 1 && dim_is_constant(dims[0]) && dims[0].n <= SHAPES_MAX_CONTENTS &&
        (type == ONNXD_INT64 || type == ONNXD_INT32)) {
        struct dim *contents = infer_set_contents(s, (uint32_t)dims[0].n);
        for (int64_t i = 0; i < dims[0].n && contents != NULL; i++)
            contents[i] = dim_constant(element_i64(value, 0));
    }
    return ONNXD_OK;
}

static onnxd_status run_constant_of_shape(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *value = node_attribute_tensor(run->node, "value"), *out = run->out[0];
    if (value != NULL)
        fill(out->type, out->data, onnxd_tensor_n_elements(out), value->data);
    else
        memset(out->data, 0, onnxd_tensor_n_bytes(out));
    return ONNXD_OK;
}

/* ---- Range ------------------------------------------------------------------------------------------ */

/* Elements of a range; -1: too many. */
static int64_t range_count(const onnxd_tensor *start, const onnxd_tensor *limit, const onnxd_tensor *delta)
{
    if (lane_of(start->type) == LANE_I64) {
        __int128 first = element_i64(start, 0), last = element_i64(limit, 0), step = element_i64(delta, 0);
        __int128 n = step > 0 ? (last - first + step - 1) / step : (first - last - step - 1) / -step;
        return n < 0 ? 0 : n > SHAPE_MAX_ELEMENTS ? -1 : (int64_t)n;
    }
    double n = ceil((element_f64(limit, 0) - element_f64(start, 0)) / element_f64(delta, 0));
    return n <= (double)SHAPE_MAX_ELEMENTS ? (n > 0 ? (int64_t)n : 0) : -1;
}

static onnxd_status shapes_range(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, 3, TYPES_NUMERIC & ~TYPE_BIT(ONNXD_UINT64), err);
    struct dim n = dim_unknown();
    const struct dim *v[3];
    uint32_t count;
    if (status != ONNXD_OK) return status;
    if (s->in[0]->constant != NULL && s->in[1]->constant != NULL && s->in[2]->constant != NULL) {
        for (uint32_t i = 0; i < 3; i++)
            if (onnxd_tensor_n_elements(s->in[i]->constant) != 1)
                return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u is not a scalar", i);
        if (element_f64(s->in[2]->constant, 0) == 0)
            return op_error(err, s->node, ONNXD_ERR_RANGE, "delta is 0");
        n = dim_constant(range_count(s->in[0]->constant, s->in[1]->constant, s->in[2]->constant));
        if (n.n < 0)
            return op_error(err, s->node, ONNXD_ERR_LIMIT, "more than %lld elements",
                            (long long)SHAPE_MAX_ELEMENTS);
    } else if (infer_contents(s, 0, &v[0], &count) && count == 1 && infer_contents(s, 1, &v[1], &count) &&
               count == 1 && infer_contents(s, 2, &v[2], &count) && count == 1 &&
               dim_equal(v[2][0], dim_constant(1))) {
        n = dim_sub(v[1][0], v[0][0]);
        if (dim_is_known(n) && n.n < 0) n = dim_is_constant(n) ? dim_constant(0) : dim_unknown();
    }
    shapes_set(s, 0, s->in[0]->type, 1, &n);
    return ONNXD_OK;
}

static onnxd_status run_range(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *out = run->out[0];
    bool integer = lane_of(out->type) == LANE_I64;
    int64_t n = out->dims[0], first = element_i64(run->in[0], 0), step = element_i64(run->in[2], 0);
    double start = element_f64(run->in[0], 0), delta = element_f64(run->in[2], 0);
    union lane_block block;
    for (int64_t at = 0; at < n; at += ELEMENTS_BLOCK) {
        int64_t m = n - at < ELEMENTS_BLOCK ? n - at : ELEMENTS_BLOCK;
        for (int64_t i = 0; i < m; i++) {
            if (integer)
                block.u64[i] = (uint64_t)first + (uint64_t)(at + i) * (uint64_t)step;
            else
                block.f64[i] = start + (double)(at + i) * delta;
        }
        elements_store(integer ? LANE_I64 : LANE_F64, out->type, out->data, at, m, &block);
    }
    return ONNXD_OK;
}

/* ---- EyeLike ---------------------------------------------------------------------------------------- */

static onnxd_status shapes_eye_like(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_rank(s, 0, 2, err);
    if (status != ONNXD_OK) return status;
    shapes_copy(s, 0, 0);
    int64_t dtype = node_attribute_int(s->node, "dtype", 0);
    onnxd_type type = dtype > 0 && dtype <= ONNXD_INT4 ? (onnxd_type)dtype : s->in[0]->type;
    if (type != ONNXD_UNDEFINED && lane_of(type) == LANE_NONE)
        return op_error(err, s->node, ONNXD_ERR_TYPE, "has no numbers of type %s", onnxd_type_name(type));
    shapes_set_type(s, 0, type);
    return ONNXD_OK;
}

static onnxd_status run_eye_like(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *out = run->out[0];
    int64_t k = node_attribute_int(run->node, "k", 0), rows = out->dims[0], columns = out->dims[1];
    const int64_t one = 1;
    memset(out->data, 0, onnxd_tensor_n_bytes(out));
    if (k <= -rows || k >= columns) return ONNXD_OK;
    for (int64_t i = k < 0 ? -k : 0; i < rows && i + k < columns; i++)
        elements_store(LANE_I64, out->type, out->data, i * columns + i + k, 1, &one);
    return ONNXD_OK;
}

/* ---- OneHot: indices, depth, values [off, on] --------------------------------------------------------- */

static onnxd_status one_hot_depth(struct op_shapes *s, struct dim *ret_depth, onnxd_error *err)
{
    const struct dim *depth;
    uint32_t n;
    *ret_depth = dim_unknown();
    if (infer_contents(s, 1, &depth, &n) && n == 1)
        *ret_depth = depth[0];
    else if (s->in[1]->constant != NULL && onnxd_tensor_n_elements(s->in[1]->constant) == 1)
        *ret_depth = dim_constant(element_i64(s->in[1]->constant, 0));
    if (dim_is_known(*ret_depth) && ret_depth->n < 0)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "depth is %lld", (long long)ret_depth->n);
    return ONNXD_OK;
}

static onnxd_status shapes_one_hot(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK], depth;
    uint32_t axis;
    onnxd_status status = infer_type(s, 0, TYPES_NUMERIC, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_NUMERIC, err);
    if (status == ONNXD_OK) status = infer_type(s, 2, TYPES_ANY, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, 1, err);
    if (status == ONNXD_OK) status = one_hot_depth(s, &depth, err);
    if (status != ONNXD_OK) return status;
    if (shapes_known(s, 2) && dim_differs(s->in[2]->dims[0], dim_constant(2)))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "values has %lld elements, expected 2",
                        (long long)s->in[2]->dims[0].n);
    shapes_set_type(s, 0, s->in[2]->type);
    if (in->rank < 0) return ONNXD_OK;
    if (in->rank == ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output has rank %d, at most %d", in->rank + 1,
                        ONNXD_MAX_RANK);
    status = op_axis(s->node, node_attribute_int(s->node, "axis", -1), (uint32_t)in->rank + 1, &axis, err);
    if (status != ONNXD_OK) return status;
    for (int32_t i = 0, k = 0; i <= in->rank; i++) dims[i] = (uint32_t)i == axis ? depth : in->dims[k++];
    shapes_set(s, 0, s->in[2]->type, in->rank + 1, dims);
    return ONNXD_OK;
}

static onnxd_status run_one_hot(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *indices = run->in[0], *out = run->out[0];
    uint32_t axis;
    onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", -1), out->rank, &axis,
                                  err);
    if (status != ONNXD_OK) return status;
    int64_t inner = 1, depth = out->dims[axis], n = onnxd_tensor_n_elements(indices);
    for (uint32_t i = axis + 1; i < out->rank; i++) inner *= out->dims[i];
    size_t size = type_size(out->type);
    const char *values = run->in[2]->data;
    fill(out->type, out->data, onnxd_tensor_n_elements(out), values);
    for (int64_t i = 0; i < n; i++) {
        int64_t index = element_i64(indices, i);
        if (index < 0) index += depth;
        if (index < 0 || index >= depth) continue; /* the row stays off */
        int64_t at = (i / inner * depth + index) * inner + i % inner;
        memcpy((char *)out->data + (size_t)at * size, values + size, size);
    }
    return ONNXD_OK;
}

/* ---- Trilu ------------------------------------------------------------------------------------------ */

static onnxd_status shapes_trilu(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_ANY & ~TYPE_BIT(ONNXD_STRING), err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    if (shapes_known(s, 0) && s->in[0]->rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more",
                        s->in[0]->rank);
    shapes_copy(s, 0, 0);
    return ONNXD_OK;
}

static onnxd_status run_trilu(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t n = onnxd_tensor_n_elements(in);
    if (n == 0) return ONNXD_OK;
    bool upper = node_attribute_int(run->node, "upper", 1) != 0;
    int64_t k = tensor_given(run->in, run->n_in, 1) ? element_i64(run->in[1], 0) : 0;
    int64_t rows = in->dims[in->rank - 2], columns = in->dims[in->rank - 1],
            size = (int64_t)type_size(in->type);
    if (k < -rows) k = -rows;
    if (k > columns) k = columns;
    for (int64_t row = 0; row < n / columns; row++) {
        int64_t edge = row % rows + k + (upper ? 0 : 1); /* first column of the other triangle */
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        int64_t from = upper ? edge : 0, to = upper ? columns : edge;
        char *o = (char *)out->data + row * columns * size;
        const char *x = (const char *)in->data + row * columns * size;
        memset(o, 0, (size_t)(columns * size));
        memcpy(o + from * size, x + from * size, (size_t)((to - from) * size));
    }
    return ONNXD_OK;
}

const struct op_def ops_constant[] = {
    {"", "Constant", 1, OP_LATEST, 0, 0, 1, 1, 0, check_constant, shapes_constant, NULL, NULL, run_constant},
    {"", "ConstantOfShape", 9, OP_LATEST, 1, 1, 1, 1, 0, check_constant_of_shape, shapes_constant_of_shape,
     NULL, NULL, run_constant_of_shape},
    {"", "Range", 11, OP_LATEST, 3, 3, 1, 1, 0, NULL, shapes_range, NULL, NULL, run_range},
    {"", "EyeLike", 9, OP_LATEST, 1, 1, 1, 1, 0, NULL, shapes_eye_like, NULL, NULL, run_eye_like},
    {"", "OneHot", 9, OP_LATEST, 3, 3, 1, 1, 0, check_attributes, shapes_one_hot, NULL, NULL, run_one_hot},
    {"", "Trilu", 14, OP_LATEST, 1, 2, 1, 1, 0, check_attributes, shapes_trilu, NULL, NULL, run_trilu},
    {0},
};
