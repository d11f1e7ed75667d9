/* What operator families share: reading contents, setting shapes, allocating dynamic outputs. */
#include "ops/op.h"

#include <string.h>

#include "tensor/dtype.h"
#include "tensor/shape.h"

/* Contents of a constant integer tensor as dims, in the arena. */
static const struct dim *contents_of_constant(struct arena *arena, const onnxd_tensor *tensor,
                                              uint32_t *ret_n)
{
    int64_t n = onnxd_tensor_n_elements(tensor);
    if ((tensor->type != ONNXD_INT64 && tensor->type != ONNXD_INT32) || tensor->rank > 1 || n < 0 ||
        n > UINT32_MAX)
        return NULL;
    struct dim *dims = arena_alloc_array(arena, (size_t)n + 1, sizeof *dims);
    if (dims == NULL) return NULL;
    for (int64_t i = 0; i < n; i++)
        dims[i] = dim_constant(tensor->type == ONNXD_INT64 ? ((const int64_t *)tensor->data)[i]
                                                           : ((const int32_t *)tensor->data)[i]);
    *ret_n = (uint32_t)n;
    return dims;
}

bool shapes_contents(struct op_shapes *s, uint32_t in, const struct dim **ret_values, uint32_t *ret_n)
{
    if (!shapes_has(s, in)) return false;
    const struct value_info *info = s->in[in];
    if (info->constant != NULL) {
        const struct dim *values = contents_of_constant(s->arena, info->constant, ret_n);
        if (values != NULL) *ret_values = values;
        return values != NULL;
    }
    if (info->contents == NULL) return false;
    for (uint32_t i = 0; i < info->n_contents; i++)
        if (!dim_is_known(info->contents[i])) return false;
    *ret_values = info->contents;
    *ret_n = info->n_contents;
    return true;
}

bool shapes_ints(struct op_shapes *s, uint32_t in, int64_t *values, uint32_t max, uint32_t *ret_n)
{
    const struct dim *dims;
    uint32_t n;
    if (!shapes_contents(s, in, &dims, &n) || n > max) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!dim_is_constant(dims[i])) return false;
        values[i] = dims[i].n;
    }
    *ret_n = n;
    return true;
}

void shapes_set_type(struct op_shapes *s, uint32_t out, onnxd_type type)
{
    if (out < s->n_out) s->out[out].type = type;
}

void shapes_set(struct op_shapes *s, uint32_t out, onnxd_type type, int32_t rank, const struct dim *dims)
{
    if (out >= s->n_out) return;
    struct value_info *info = &s->out[out];
    info->type = type;
    info->rank = rank;
    if (rank > 0) memcpy(info->dims, dims, (size_t)rank * sizeof *dims);
}

void shapes_copy(struct op_shapes *s, uint32_t out, uint32_t in)
{
    if (!shapes_has(s, in)) return;
    shapes_set(s, out, s->in[in]->type, s->in[in]->rank, s->in[in]->dims);
    if (out < s->n_out) s->out[out].item_type = s->in[in]->item_type;
}

/* The common size of two dims that may be broadcast, or false when they cannot fit. */
static bool broadcast_dim(struct dim a, struct dim b, struct dim *ret)
{
    bool a_one = dim_is_constant(a) && a.n == 1, b_one = dim_is_constant(b) && b.n == 1;
    if (a_one)
        *ret = b;
    else if (b_one || dim_equal(a, b))
        *ret = a;
    else if (dim_is_constant(a) && dim_is_constant(b))
        return false;
    else if (dim_is_constant(a))
        *ret = a; /* the other must turn out 1 or the same */
    else if (dim_is_constant(b))
        *ret = b;
    else
        *ret = dim_unknown();
    return true;
}

onnxd_status shapes_broadcast(struct op_shapes *s, const struct value_info *a, const struct value_info *b,
                              struct dim *ret_dims, int32_t *ret_rank, onnxd_error *err)
{
    if (a->rank < 0 || b->rank < 0) {
        *ret_rank = -1;
        return ONNXD_OK;
    }
    int32_t rank = a->rank > b->rank ? a->rank : b->rank;
    struct dim dims[ONNXD_MAX_RANK];
    for (int32_t i = 0; i < rank; i++) {
        struct dim da = i + a->rank >= rank ? a->dims[i + a->rank - rank] : dim_constant(1);
        struct dim db = i + b->rank >= rank ? b->dims[i + b->rank - rank] : dim_constant(1);
        if (!broadcast_dim(da, db, &dims[i]))
            return op_error(err, s->node, ONNXD_ERR_SHAPE,
                            "inputs cannot be broadcast: sizes %lld and %lld on axis %d", (long long)da.n,
                            (long long)db.n, i);
    }
    memcpy(ret_dims, dims, (size_t)rank * sizeof *dims);
    *ret_rank = rank;
    return ONNXD_OK;
}

struct dim *shapes_set_contents(struct op_shapes *s, uint32_t out, uint32_t n)
{
    if (out >= s->n_out || n > SHAPES_MAX_CONTENTS) return NULL;
    struct dim *contents = arena_alloc_array(s->arena, n + 1, sizeof *contents);
    s->out[out].contents = contents;
    s->out[out].n_contents = contents != NULL ? n : 0;
    return contents;
}

void *op_allocate(struct op_run *run, size_t n_bytes)
{
    return arena_alloc(run->env->arena, n_bytes);
}

onnxd_status op_allocate_output(struct op_run *run, uint32_t out, onnxd_type type, uint32_t rank,
                                const int64_t *dims, onnxd_error *err)
{
    if (out >= run->n_out || run->out[out] == NULL) return ONNXD_OK; /* nobody reads it */
    size_t n_bytes = 0;
    onnxd_tensor tensor = {.type = type, .rank = rank};
    if (rank > ONNXD_MAX_RANK)
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "output %u: rank %u, at most %d", out, rank,
                        ONNXD_MAX_RANK);
    if (rank > 0) memcpy(tensor.dims, dims, rank * sizeof *dims);
    if (!type_is_container(type)) {
        if (!shape_n_bytes(type, dims, rank, &n_bytes)) {
            char text[128];
            return op_error(err, run->node, ONNXD_ERR_LIMIT, "output %u: shape %s is too large", out,
                            shape_text(dims, rank, text, sizeof text));
        }
        tensor.data = op_allocate(run, n_bytes);
        if (tensor.data == NULL)
            return op_error(err, run->node, ONNXD_ERR_LIMIT, "output %u: no room for %zu bytes", out,
                            n_bytes);
    }
    *run->out[out] = tensor;
    return ONNXD_OK;
}

/* ---- deep copies --------------------------------------------------------------------------------- */

enum { MAX_NESTED_CONTAINERS = 16 };

static onnxd_status no_room(onnxd_error *err)
{
    if (err != NULL) {
        err->status = ONNXD_ERR_LIMIT;
        strcpy(err->message, "no room to copy a value: the session's memory limit is reached");
    }
    return ONNXD_ERR_LIMIT;
}

static onnxd_status copy_value(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to, int depth,
                               onnxd_error *err);

static onnxd_status copy_strings(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to,
                                 onnxd_error *err)
{
    int64_t n = onnxd_tensor_n_elements(from);
    const onnxd_string *source = from->data;
    onnxd_string *copy = arena_alloc_array(arena, (size_t)n, sizeof *copy);
    if (copy == NULL) return no_room(err);
    for (int64_t i = 0; i < n; i++) {
        copy[i].len = source[i].len;
        copy[i].data = arena_memdup(arena, source[i].data, source[i].len);
        if (copy[i].data == NULL) return no_room(err);
    }
    to->data = copy;
    return ONNXD_OK;
}

static onnxd_status copy_sequence(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to, int depth,
                                  onnxd_error *err)
{
    const onnxd_sequence *source = from->data;
    onnxd_sequence *copy = arena_memdup(arena, source, sizeof *source);
    if (copy == NULL) return no_room(err);
    copy->items = arena_alloc_array(arena, source->n, sizeof *copy->items);
    if (copy->items == NULL) return no_room(err);
    for (size_t i = 0; i < source->n; i++) {
        onnxd_status status = copy_value(arena, &source->items[i], &copy->items[i], depth + 1, err);
        if (status != ONNXD_OK) return status;
    }
    to->data = copy;
    return ONNXD_OK;
}

static onnxd_status copy_optional(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to, int depth,
                                  onnxd_error *err)
{
    const onnxd_optional *source = from->data;
    onnxd_optional *copy = arena_memdup(arena, source, sizeof *source);
    if (copy == NULL) return no_room(err);
    to->data = copy;
    if (source->value == NULL) return ONNXD_OK;
    onnxd_tensor *value = arena_alloc(arena, sizeof *value);
    if (value == NULL) return no_room(err);
    copy->value = value;
    return copy_value(arena, source->value, value, depth + 1, err);
}

static onnxd_status copy_map(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to, int depth,
                             onnxd_error *err)
{
    const onnxd_map *source = from->data;
    onnxd_map *copy = arena_alloc(arena, sizeof *copy);
    if (copy == NULL) return no_room(err);
    to->data = copy;
    onnxd_status status = copy_value(arena, &source->keys, &copy->keys, depth + 1, err);
    return status != ONNXD_OK ? status : copy_value(arena, &source->values, &copy->values, depth + 1, err);
}

static onnxd_status copy_value(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *to, int depth,
                               onnxd_error *err)
{
    *to = *from;
    if (depth > MAX_NESTED_CONTAINERS) return no_room(err);
    switch (from->type) {
    case ONNXD_STRING: return copy_strings(arena, from, to, err);
    case ONNXD_SEQUENCE: return copy_sequence(arena, from, to, depth, err);
    case ONNXD_OPTIONAL: return copy_optional(arena, from, to, depth, err);
    case ONNXD_MAP: return copy_map(arena, from, to, depth, err);
    default: break;
    }
    to->data = arena_memdup(arena, from->data, onnxd_tensor_n_bytes(from));
    return to->data != NULL ? ONNXD_OK : no_room(err);
}

onnxd_status op_copy_tensor(struct arena *arena, const onnxd_tensor *from, onnxd_tensor *ret_to,
                            onnxd_error *err)
{
    onnxd_tensor copy;
    onnxd_status status = copy_value(arena, from, &copy, 0, err);
    if (status == ONNXD_OK) *ret_to = copy;
    return status;
}
