/* Operators of ai.onnx.ml that look values up: LabelEncoder, CategoryMapper, OneHotEncoder.
 * Keys are in a hash table that is built once (base/lookup.h).
 * Source: ONNX operator specification, ai.onnx.ml, LabelEncoder-1, -2 and -4, the others-1. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "base/lookup.h"
#include "ops/ml_common.h"
#include "tensor/dtype.h"

enum {
    TYPES_KEYS = TYPE_BIT(ONNXD_STRING) | TYPE_BIT(ONNXD_INT64) | TYPE_BIT(ONNXD_INT32) |
                 TYPE_BIT(ONNXD_FLOAT32) | TYPE_BIT(ONNXD_FLOAT64) | TYPE_BIT(ONNXD_INT16)
};

/* A list of keys or values that stands in one of several attributes. */
struct list {
    onnxd_type type; /* ONNXD_UNDEFINED: absent */
    size_t n;
    const void *data; /* as the type lies in memory; NULL: the numbers 0, 1, ... */
};

struct encoder {
    struct list keys, values;
    struct lookup *lookup;
    const void *otherwise; /* one value, for keys that are not listed */
    union {
        onnxd_string s;
        int64_t i;
        float f;
        double d;
        int16_t h;
    } storage;
};

static struct list list_of(const struct node *node, const char *prefix)
{
    struct list list = {0};
    char name[64];
    size_t length = strlen(prefix);
    memcpy(name, prefix, length);
    memcpy(name + length, "_strings", sizeof "_strings");
    list.data = node_attribute_strings(node, name, &list.n);
    list.type = ONNXD_STRING;
    if (list.data != NULL) return list;
    memcpy(name + length, "_int64s", sizeof "_int64s");
    list.data = node_attribute_ints(node, name, &list.n);
    list.type = ONNXD_INT64;
    if (list.data != NULL) return list;
    memcpy(name + length, "_floats", sizeof "_floats");
    list.data = node_attribute_floats(node, name, &list.n);
    list.type = ONNXD_FLOAT32;
    if (list.data != NULL) return list;
    memcpy(name + length, "_tensor", sizeof "_tensor");
    const onnxd_tensor *tensor = node_attribute_tensor(node, name);
    if (tensor == NULL) return (struct list){0};
    return (struct list){tensor->type, (size_t)onnxd_tensor_n_elements(tensor), tensor->data};
}

/* Fills keys, values and what stands in for unknown keys, for the operator's version. */
static struct encoder encoder_of(const struct node *node)
{
    struct encoder e = {0};
    if (strcmp(node->op_type, "CategoryMapper") == 0) {
        size_t n;
        e.keys.data = node_attribute_strings(node, "cats_strings", &e.keys.n);
        e.values.data = node_attribute_ints(node, "cats_int64s", &n);
        e.keys.type = ONNXD_STRING;
        e.values.type = ONNXD_INT64;
        e.values.n = n;
    } else if (node->opset < 2) {
        e.keys = list_of(node, "classes");
        e.values = (struct list){ONNXD_INT64, e.keys.n, NULL};
    } else {
        e.keys = list_of(node, "keys");
        e.values = list_of(node, "values");
    }
    return e;
}

static onnxd_status check_encoder(const struct node *node, onnxd_error *err)
{
    struct encoder e = encoder_of(node);
    if (e.keys.type == ONNXD_UNDEFINED || e.values.type == ONNXD_UNDEFINED || e.keys.n != e.values.n ||
        e.keys.n == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "%zu keys and %zu values", e.keys.n, e.values.n);
    if ((TYPES_KEYS & TYPE_BIT(e.keys.type)) == 0 || (TYPES_KEYS & TYPE_BIT(e.values.type)) == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "keys of type %s and values of type %s",
                        onnxd_type_name(e.keys.type), onnxd_type_name(e.values.type));
    return ONNXD_OK;
}

/* CategoryMapper and LabelEncoder-1 go either way: from what the input is to the other one. */
static bool goes_both_ways(const struct node *node)
{
    return node->opset < 2 || strcmp(node->op_type, "CategoryMapper") == 0;
}

static void turn_to_input(const struct node *node, onnxd_type input, struct encoder *e)
{
    if (!goes_both_ways(node) || e->keys.type == input) return;
    struct list keys = e->values;
    e->values = e->keys;
    e->keys = keys;
}

static onnxd_status shapes_encoder(struct op_shapes *s, onnxd_error *err)
{
    struct encoder e = encoder_of(s->node);
    onnxd_type input = s->in[0]->type;
    shapes_copy(s, 0, 0);
    if (input == ONNXD_UNDEFINED) return ONNXD_OK;
    turn_to_input(s->node, input, &e);
    shapes_set_type(s, 0, e.values.type);
    if (e.keys.type == input) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_TYPE, "input 0 is %s, the keys are %s", onnxd_type_name(input),
                    onnxd_type_name(e.keys.type));
}

/* ---- building ------------------------------------------------------------------------------------ */

static int64_t key_of(onnxd_type type, const void *data, int64_t i)
{
    onnxd_tensor view = {.type = type, .rank = 1, .dims = {INT64_MAX}, .data = (void *)(uintptr_t)data};
    return type_is_float(type) ? lookup_key_of_f64(element_f64(&view, i)) : element_i64(&view, i);
}

static struct lookup *build_lookup(const struct list *keys, struct arena *arena)
{
    if (keys->type == ONNXD_STRING) return lookup_of_strings(arena, keys->data, keys->n);
    int64_t *ints = arena_alloc_array(arena, keys->n, sizeof *ints);
    if (ints == NULL) return NULL;
    for (size_t i = 0; i < keys->n; i++)
        ints[i] = keys->data == NULL ? (int64_t)i : key_of(keys->type, keys->data, (int64_t)i);
    return lookup_of_ints(arena, ints, keys->n);
}

/* The default of the operator, unless the attribute gives one. */
static void set_default(const struct node *node, struct encoder *e)
{
    const onnxd_tensor *tensor = node_attribute_tensor(node, "default_tensor");
    const struct attribute *text = node_attribute(node, "default_string");
    e->otherwise = &e->storage;
    if (tensor != NULL && tensor->type == e->values.type && onnxd_tensor_n_elements(tensor) > 0) {
        e->otherwise = tensor->data;
        return;
    }
    switch (e->values.type) {
    case ONNXD_STRING:
        e->storage.s = (onnxd_string){"_Unused", 7};
        if (text != NULL && text->kind == ATTRIBUTE_STRING) e->storage.s = text->s;
        return;
    case ONNXD_FLOAT32: e->storage.f = node_attribute_float(node, "default_float", -0.0f); return;
    case ONNXD_FLOAT64: e->storage.d = -0.0; return;
    case ONNXD_INT16: e->storage.h = -1; return;
    default: e->storage.i = node_attribute_int(node, "default_int64", -1); return;
    }
}

static onnxd_status prepare_encoder(struct op_plan *plan, onnxd_error *err)
{
    const struct node *node = plan->node;
    struct encoder *e;
    onnxd_status status = plan_state(plan, sizeof *e, (void **)&e, err);
    if (status != ONNXD_OK) return status;
    *e = encoder_of(node);
    turn_to_input(node, plan->in[0]->type, e);
    e->lookup = goes_both_ways(node) ? NULL : node->packed;
    if (e->lookup == NULL) e->lookup = build_lookup(&e->keys, plan->arena);
    if (e->lookup == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "no room for %zu keys", e->keys.n);
    set_default(node, e);
    return ONNXD_OK;
}

static onnxd_status pack_encoder(struct node *node, struct graph *graph, struct arena *arena,
                                 onnxd_error *err)
{
    (void)graph;
    struct encoder e = encoder_of(node);
    if (goes_both_ways(node)) return ONNXD_OK; /* the input's type decides which way */
    node->packed = build_lookup(&e.keys, arena);
    return node->packed != NULL ? ONNXD_OK
                                : op_error(err, node, ONNXD_ERR_LIMIT, "no room for %zu keys", e.keys.n);
}

static uint32_t find(const struct lookup *lookup, const onnxd_tensor *in, int64_t i)
{
    return in->type == ONNXD_STRING ? lookup_string(lookup, ((const onnxd_string *)in->data)[i])
                                    : lookup_int(lookup, key_of(in->type, in->data, i));
}

static onnxd_status run_encoder(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct encoder *e = run->state;
    int64_t n = onnxd_tensor_n_elements(run->in[0]);
    size_t size = type_size(e->values.type);
    char *out = run->out[0]->data;
    for (int64_t i = 0; i < n; i++, out += size) {
        uint32_t at = find(e->lookup, run->in[0], i);
        if (run->node->opset < 4 && type_is_float(run->in[0]->type) && isnan(element_f64(run->in[0], i)))
            at = LOOKUP_NONE; /* NaN is a key from version 4 on */
        int64_t number = at;
        const char *value = e->values.data != NULL ? (const char *)e->values.data + at * size
                                                   : (const char *)&number;
        memcpy(out, at == LOOKUP_NONE ? e->otherwise : value, size);
    }
    return ONNXD_OK;
}

/* ---- OneHotEncoder -------------------------------------------------------------------------------- */

static struct list categories_of(const struct node *node)
{
    return list_of(node, "cats");
}

static onnxd_status check_one_hot(const struct node *node, onnxd_error *err)
{
    if (categories_of(node).n > 0) return ONNXD_OK;
    return op_error(err, node, ONNXD_ERR_MODEL, "cats_int64s or cats_strings is missing");
}

static onnxd_status shapes_one_hot(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct list categories = categories_of(s->node);
    struct dim dims[ONNXD_MAX_RANK];
    bool strings = categories.type == ONNXD_STRING;
    shapes_set_type(s, 0, ONNXD_FLOAT32);
    if (in->type != ONNXD_UNDEFINED && strings != (in->type == ONNXD_STRING))
        return op_error(err, s->node, ONNXD_ERR_TYPE, "input 0 is %s, the categories are %s",
                        onnxd_type_name(in->type), onnxd_type_name(categories.type));
    onnxd_status status = infer_type(s, 0, TYPES_KEYS, err);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank >= ONNXD_MAX_RANK)
        return op_error(err, s->node, ONNXD_ERR_LIMIT, "output would have rank %d", in->rank + 1);
    memcpy(dims, in->dims, (size_t)in->rank * sizeof *dims);
    dims[in->rank] = dim_constant((int64_t)categories.n);
    shapes_set(s, 0, ONNXD_FLOAT32, in->rank + 1, dims);
    return ONNXD_OK;
}

static onnxd_status pack_one_hot(struct node *node, struct graph *graph, struct arena *arena,
                                 onnxd_error *err)
{
    (void)graph;
    struct list categories = categories_of(node);
    node->packed = build_lookup(&categories, arena);
    return node->packed != NULL ? ONNXD_OK
                                : op_error(err, node, ONNXD_ERR_LIMIT, "no room for the categories");
}

static onnxd_status prepare_one_hot(struct op_plan *plan, onnxd_error *err)
{
    struct list categories = categories_of(plan->node);
    plan->state = plan->node->packed != NULL ? plan->node->packed : build_lookup(&categories, plan->arena);
    return plan->state != NULL ? ONNXD_OK
                               : op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for the categories");
}

static onnxd_status run_one_hot(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    bool zeros = node_attribute_int(run->node, "zeros", 1) != 0;
    size_t n_categories = categories_of(run->node).n;
    int64_t n = onnxd_tensor_n_elements(in);
    float *out = run->out[0]->data;
    memset(out, 0, onnxd_tensor_n_bytes(run->out[0]));
    for (int64_t i = 0; i < n; i++, out += n_categories) {
        uint32_t at;
        if (type_is_float(in->type)) { /* the categories are integers: a number counts by its whole part */
            double value = element_f64(in, i);
            at = isnan(value) ? LOOKUP_NONE : lookup_int(run->state, i64_of_f64(value));
        } else {
            at = find(run->state, in, i);
        }
        if (at != LOOKUP_NONE)
            out[at] = 1;
        else if (!zeros)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "element %lld of the input is no category",
                            (long long)i);
    }
    return ONNXD_OK;
}

const struct op_def ops_ml_encode[] = {
    {"ai.onnx.ml", "LabelEncoder", 1, OP_LATEST, 1, 1, 1, 1, 0, check_encoder, shapes_encoder, pack_encoder,
     prepare_encoder, run_encoder},
    {"ai.onnx.ml", "CategoryMapper", 1, OP_LATEST, 1, 1, 1, 1, 0, check_encoder, shapes_encoder, pack_encoder,
     prepare_encoder, run_encoder},
    {"ai.onnx.ml", "OneHotEncoder", 1, OP_LATEST, 1, 1, 1, 1, 0, check_one_hot, shapes_one_hot, pack_one_hot,
     prepare_one_hot, run_one_hot},
    {0},
};
