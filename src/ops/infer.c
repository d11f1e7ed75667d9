#include "ops/infer.h"

#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- element types --------------------------------------------------------------------------------- */

onnxd_status infer_type(const struct op_shapes *s, uint32_t in, uint32_t types, onnxd_error *err)
{
    if (!shapes_has(s, in) || s->in[in]->type == ONNXD_UNDEFINED) return ONNXD_OK;
    onnxd_type type = s->in[in]->type;
    if (type < 32 && (types & TYPE_BIT(type)) != 0) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_TYPE, "input %u has type %s, which this operator does not take",
                    in, onnxd_type_name(type));
}

onnxd_status infer_same_types(const struct op_shapes *s, uint32_t from, uint32_t to, uint32_t types,
                              onnxd_error *err)
{
    onnxd_type common = ONNXD_UNDEFINED;
    for (uint32_t i = from; i < to && i < s->n_in; i++) {
        onnxd_status status = infer_type(s, i, types, err);
        if (status != ONNXD_OK) return status;
        if (!shapes_has(s, i) || s->in[i]->type == ONNXD_UNDEFINED) continue;
        if (common != ONNXD_UNDEFINED && s->in[i]->type != common)
            return op_error(err, s->node, ONNXD_ERR_TYPE, "input %u has type %s, expected %s like the others",
                            i, onnxd_type_name(s->in[i]->type), onnxd_type_name(common));
        common = s->in[i]->type;
    }
    return ONNXD_OK;
}

onnxd_status infer_rank(const struct op_shapes *s, uint32_t in, int32_t rank, onnxd_error *err)
{
    if (!shapes_known(s, in) || s->in[in]->rank == rank) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has rank %d, expected %d", in, s->in[in]->rank,
                    rank);
}

/* ---- axes ------------------------------------------------------------------------------------------- */

onnxd_status op_axis(const struct node *node, int64_t axis, uint32_t rank, uint32_t *ret_axis,
                     onnxd_error *err)
{
    if (shape_normalize_axis(axis, rank, ret_axis)) return ONNXD_OK;
    return op_error(err, node, ONNXD_ERR_RANGE, "axis %lld is outside rank %u", (long long)axis, rank);
}

onnxd_status op_mark_axes(const struct node *node, const int64_t *axes, size_t n, uint32_t rank, bool *marked,
                          onnxd_error *err)
{
    memset(marked, 0, rank * sizeof *marked);
    for (size_t i = 0; i < n; i++) {
        uint32_t axis;
        onnxd_status status = op_axis(node, axes[i], rank, &axis, err);
        if (status != ONNXD_OK) return status;
        if (marked[axis])
            return op_error(err, node, ONNXD_ERR_RANGE, "axis %lld is named twice", (long long)axes[i]);
        marked[axis] = true;
    }
    return ONNXD_OK;
}

/* ---- contents ---------------------------------------------------------------------------------------- */

bool infer_contents(struct op_shapes *s, uint32_t in, const struct dim **ret_values, uint32_t *ret_n)
{
    if (shapes_contents(s, in, ret_values, ret_n)) return true;
    if (!shapes_has(s, in)) return false;
    const struct value_info *info = s->in[in];
    if (info->constant != NULL && info->type == ONNXD_BOOL && info->rank <= 1) {
        int64_t n = onnxd_tensor_n_elements(info->constant);
        if (n > SHAPES_MAX_CONTENTS) return false;
        struct dim *dims = arena_alloc_array(s->arena, (size_t)n + 1, sizeof *dims);
        if (dims == NULL) return false;
        for (int64_t i = 0; i < n; i++) dims[i] = dim_constant(((const uint8_t *)info->constant->data)[i]);
        *ret_values = dims;
        *ret_n = (uint32_t)n;
        return true;
    }
    if (info->constant != NULL || info->contents == NULL) return false;
    *ret_values = info->contents;
    *ret_n = info->n_contents;
    return true;
}

struct dim *infer_set_contents(struct op_shapes *s, uint32_t n)
{
    const struct value_info *out = &s->out[0];
    if (out->rank < 0 || out->rank > 1 || (out->rank == 0 && n != 1)) return NULL;
    if (out->rank == 1 && (!dim_is_constant(out->dims[0]) || out->dims[0].n != n)) return NULL;
    return shapes_set_contents(s, 0, n);
}

void infer_copy_contents(struct op_shapes *s, uint32_t in)
{
    const struct dim *values;
    uint32_t n;
    if (!infer_contents(s, in, &values, &n)) return;
    struct dim *out = infer_set_contents(s, n);
    if (out != NULL && n > 0) memcpy(out, values, n * sizeof *out);
}

struct dim dim_sub(struct dim a, struct dim b)
{
    struct dim d = dim_add(a, dim_mul(b, dim_constant(-1)));
    return dim_is_known(d) && d.n == 0 ? dim_constant(0) : d;
}

void infer_unknown_dims(struct dim *dims, int32_t rank)
{
    for (int32_t i = 0; i < rank; i++) dims[i] = dim_unknown();
}

bool infer_list(struct op_shapes *s, uint32_t in, const char *attribute, int64_t *values, uint32_t max,
                uint32_t *ret_n, bool *ret_given)
{
    *ret_n = 0;
    *ret_given = false;
    if (in != GRAPH_NONE) {
        *ret_given = shapes_has(s, in);
        return !*ret_given || shapes_ints(s, in, values, max, ret_n);
    }
    size_t n;
    const int64_t *ints = node_attribute_ints(s->node, attribute, &n);
    *ret_given = ints != NULL;
    if (n > max) return false;
    if (n > 0) memcpy(values, ints, n * sizeof *values);
    *ret_n = (uint32_t)n;
    return true;
}

onnxd_status shapes_same(struct op_shapes *s, onnxd_error *err)
{
    (void)err;
    shapes_copy(s, 0, 0);
    return ONNXD_OK;
}

/* ---- attributes --------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum attribute_kind kind;
} kinds[] = {
    {"activation_alpha", ATTRIBUTE_FLOATS},
    {"activation_beta", ATTRIBUTE_FLOATS},
    {"activations", ATTRIBUTE_STRINGS},
    {"align_corners", ATTRIBUTE_INT},
    {"allowzero", ATTRIBUTE_INT},
    {"alpha", ATTRIBUTE_FLOAT},
    {"antialias", ATTRIBUTE_INT},
    {"approximate", ATTRIBUTE_STRING},
    {"auto_pad", ATTRIBUTE_STRING},
    {"axes", ATTRIBUTE_INTS},
    {"axis", ATTRIBUTE_INT},
    {"batch_axis", ATTRIBUTE_INT},
    {"batch_dims", ATTRIBUTE_INT},
    {"beta", ATTRIBUTE_FLOAT},
    {"bias", ATTRIBUTE_FLOAT},
    {"block_size", ATTRIBUTE_INT},
    {"blocksize", ATTRIBUTE_INT},
    {"broadcast", ATTRIBUTE_INT},
    {"ceil_mode", ATTRIBUTE_INT},
    {"clip", ATTRIBUTE_FLOAT},
    {"coordinate_transformation_mode", ATTRIBUTE_STRING},
    {"count_include_pad", ATTRIBUTE_INT},
    {"cubic_coeff_a", ATTRIBUTE_FLOAT},
    {"detect_negative", ATTRIBUTE_INT},
    {"detect_positive", ATTRIBUTE_INT},
    {"dilations", ATTRIBUTE_INTS},
    {"direction", ATTRIBUTE_STRING},
    {"dtype", ATTRIBUTE_INT},
    {"ends", ATTRIBUTE_INTS},
    {"epsilon", ATTRIBUTE_FLOAT},
    {"equation", ATTRIBUTE_STRING},
    {"exclude_outside", ATTRIBUTE_INT},
    {"exclusive", ATTRIBUTE_INT},
    {"extrapolation_value", ATTRIBUTE_FLOAT},
    {"fmod", ATTRIBUTE_INT},
    {"gamma", ATTRIBUTE_FLOAT},
    {"group", ATTRIBUTE_INT},
    {"hidden_size", ATTRIBUTE_INT},
    {"input_forget", ATTRIBUTE_INT},
    {"is_test", ATTRIBUTE_INT},
    {"k", ATTRIBUTE_INT},
    {"keepdims", ATTRIBUTE_INT},
    {"kernel_shape", ATTRIBUTE_INTS},
    {"lambd", ATTRIBUTE_FLOAT},
    {"largest", ATTRIBUTE_INT},
    {"layout", ATTRIBUTE_INT},
    {"linear_before_reset", ATTRIBUTE_INT},
    {"mode", ATTRIBUTE_STRING},
    {"momentum", ATTRIBUTE_FLOAT},
    {"nearest_mode", ATTRIBUTE_STRING},
    {"noop_with_empty_axes", ATTRIBUTE_INT},
    {"normalize_variance", ATTRIBUTE_INT},
    {"num_groups", ATTRIBUTE_INT},
    {"num_outputs", ATTRIBUTE_INT},
    {"output_height", ATTRIBUTE_INT},
    {"output_padding", ATTRIBUTE_INTS},
    {"output_shape", ATTRIBUTE_INTS},
    {"output_width", ATTRIBUTE_INT},
    {"padding_mode", ATTRIBUTE_STRING},
    {"paddings", ATTRIBUTE_INTS},
    {"pads", ATTRIBUTE_INTS},
    {"perm", ATTRIBUTE_INTS},
    {"pooled_shape", ATTRIBUTE_INTS},
    {"ratio", ATTRIBUTE_FLOAT},
    {"reduction", ATTRIBUTE_STRING},
    {"reverse", ATTRIBUTE_INT},
    {"sampling_ratio", ATTRIBUTE_INT},
    {"saturate", ATTRIBUTE_INT},
    {"scales", ATTRIBUTE_FLOATS},
    {"select_last_index", ATTRIBUTE_INT},
    {"size", ATTRIBUTE_INT},
    {"sorted", ATTRIBUTE_INT},
    {"spatial", ATTRIBUTE_INT},
    {"spatial_scale", ATTRIBUTE_FLOAT},
    {"split", ATTRIBUTE_INTS},
    {"starts", ATTRIBUTE_INTS},
    {"stash_type", ATTRIBUTE_INT},
    {"storage_order", ATTRIBUTE_INT},
    {"strides", ATTRIBUTE_INTS},
    {"time_axis", ATTRIBUTE_INT},
    {"training_mode", ATTRIBUTE_INT},
    {"transA", ATTRIBUTE_INT},
    {"transB", ATTRIBUTE_INT},
    {"upper", ATTRIBUTE_INT},
};

static const char *const kind_names[] = {"a float", "an int",           "a string",       "a tensor",
                                         "a graph", "a list of floats", "a list of ints", "a list of strings",
                                         "a type"};

onnxd_status check_attributes(const struct node *node, onnxd_error *err)
{
    for (uint32_t a = 0; a < node->n_attributes; a++)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
            if (strcmp(node->attributes[a].name, kinds[i].name) == 0 &&
                node->attributes[a].kind != kinds[i].kind)
                return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is %s, expected %s",
                                kinds[i].name, kind_names[node->attributes[a].kind],
                                kind_names[kinds[i].kind]);
    return ONNXD_OK;
}

int attribute_word(const struct node *node, const char *name, const char *const *words, int otherwise)
{
    const struct attribute *a = node_attribute(node, name);
    if (a == NULL) return otherwise;
    for (int i = 0; words[i] != NULL; i++)
        if (node_attribute_is(node, name, words[i])) return i;
    return -1;
}

onnxd_status check_word(const struct node *node, const char *name, const char *const *words, onnxd_error *err)
{
    if (attribute_word(node, name, words, 0) >= 0) return ONNXD_OK;
    const struct attribute *a = node_attribute(node, name);
    if (a->kind != ATTRIBUTE_STRING)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is %s, expected a string", name,
                        kind_names[a->kind]);
    int len = a->s.len < 64 ? (int)a->s.len : 64;
    return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is '%.*s', which is not known", name, len,
                    a->s.data);
}

/* ---- programs ----------------------------------------------------------------------------------------- */

onnxd_status plan_state(struct op_plan *plan, size_t n_bytes, void **ret, onnxd_error *err)
{
    void *state = arena_alloc_zeroed(plan->arena, n_bytes);
    if (state == NULL)
        return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for %zu bytes of tables", n_bytes);
    plan->state = state;
    *ret = state;
    return ONNXD_OK;
}

bool plan_fits(const struct op_plan *plan, uint32_t in)
{
    const onnxd_tensor *a = plan->n_in > in ? plan->in[in] : NULL, *out = plan->out[0];
    return a != NULL && out != NULL && a->type == out->type &&
           shape_equal(a->dims, a->rank, out->dims, out->rank);
}
