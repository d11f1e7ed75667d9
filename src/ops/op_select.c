/* Operators whose output size depends on the data, Compress, NonZero and Unique, and ReverseSequence.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <stdlib.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/indices.h"
#include "ops/infer.h"
#include "ops/lines.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

/* ---- Compress --------------------------------------------------------------------------------------- */

static onnxd_status shapes_compress(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_BOOL, err);
    if (status == ONNXD_OK) status = infer_rank(s, 1, 1, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    struct dim dims[ONNXD_MAX_RANK] = {dim_unknown()};
    if (node_attribute(s->node, "axis") == NULL) {
        shapes_set(s, 0, in->type, 1, dims);
        return ONNXD_OK;
    }
    if (in->rank < 0) return ONNXD_OK;
    uint32_t axis;
    status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)in->rank, &axis, err);
    if (status != ONNXD_OK) return status;
    memcpy(dims, in->dims, sizeof dims);
    dims[axis] = dim_unknown();
    shapes_set(s, 0, in->type, in->rank, dims);
    return ONNXD_OK;
}

static onnxd_status run_compress(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *condition = run->in[1];
    const uint8_t *keep = condition->data;
    struct lines l = {1, onnxd_tensor_n_elements(in), 1};
    int64_t dims[ONNXD_MAX_RANK], n = 0;
    uint32_t axis = 0, rank = 1;
    if (node_attribute(run->node, "axis") != NULL) {
        onnxd_status status = op_axis(run->node, node_attribute_int(run->node, "axis", 0), in->rank, &axis,
                                      err);
        if (status != ONNXD_OK) return status;
        l = lines_of(in, axis);
        memcpy(dims, in->dims, sizeof dims);
        rank = in->rank;
    }
    int64_t length = condition->dims[0];
    for (int64_t i = 0; i < length; i++) {
        if (keep[i] == 0) continue;
        if (i >= l.n)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "condition selects element %lld of %lld",
                            (long long)i, (long long)l.n);
        n++;
    }
    dims[axis] = n;
    onnxd_status status = op_allocate_output(run, 0, in->type, rank, dims, err);
    if (status != ONNXD_OK) return status;
    size_t bytes = (size_t)l.inner * type_size(in->type);
    char *to = run->out[0]->data;
    for (int64_t o = 0; o < l.outer; o++)
        for (int64_t i = 0; i < length && i < l.n; i++) {
            if (keep[i] == 0 || bytes == 0) continue;
            memcpy(to, (const char *)in->data + (size_t)(o * l.n + i) * bytes, bytes);
            to += bytes;
        }
    return ONNXD_OK;
}

/* ---- NonZero ---------------------------------------------------------------------------------------- */

static onnxd_status shapes_nonzero(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_type(s, 0, TYPES_ARITHMETIC, err);
    struct dim dims[2] = {dim_unknown(), dim_unknown()};
    if (s->in[0]->rank >= 0) dims[0] = dim_constant(s->in[0]->rank);
    shapes_set(s, 0, ONNXD_INT64, 2, dims);
    return status;
}

static onnxd_status run_nonzero(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    int64_t n = onnxd_tensor_n_elements(in), dims[2] = {in->rank, 0};
    for (int64_t i = 0; i < n; i++) dims[1] += element_f64(in, i) != 0;
    onnxd_status status = op_allocate_output(run, 0, ONNXD_INT64, 2, dims, err);
    if (status != ONNXD_OK) return status;
    int64_t *out = run->out[0]->data, at = 0;
    for (int64_t i = 0; i < n; i++) {
        if (element_f64(in, i) == 0) continue;
        int64_t rest = i;
        for (uint32_t axis = in->rank; axis-- > 0; rest /= in->dims[axis])
            out[axis * dims[1] + at] = rest % in->dims[axis];
        at++;
    }
    return ONNXD_OK;
}

/* ---- Unique ----------------------------------------------------------------------------------------- */

static onnxd_status shapes_unique(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK] = {dim_unknown()}, one = dim_unknown();
    onnxd_status status = infer_type(s, 0, TYPES_ARITHMETIC | TYPE_BIT(ONNXD_STRING), err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 1; i < s->n_out; i++) shapes_set(s, i, ONNXD_INT64, 1, &one);
    shapes_set_type(s, 0, in->type);
    if (node_attribute(s->node, "axis") == NULL) {
        shapes_set(s, 0, in->type, 1, dims);
    } else if (in->rank >= 0) {
        uint32_t axis;
        status = op_axis(s->node, node_attribute_int(s->node, "axis", 0), (uint32_t)in->rank, &axis, err);
        if (status != ONNXD_OK) return status;
        memcpy(dims, in->dims, sizeof dims);
        dims[axis] = dim_unknown();
        shapes_set(s, 0, in->type, in->rank, dims);
    }
    return ONNXD_OK;
}

/* Slices i of [outer, n, inner] that are compared with each other. */
struct slices {
    const onnxd_tensor *tensor;
    struct lines lines;
};

static int compare_elements(const onnxd_tensor *t, int64_t a, int64_t b)
{
    if (t->type == ONNXD_STRING) {
        onnxd_string x = ((const onnxd_string *)t->data)[a], y = ((const onnxd_string *)t->data)[b];
        size_t n = x.len < y.len ? x.len : y.len;
        int order = n > 0 ? memcmp(x.data, y.data, n) : 0;
        return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
    }
    if (lane_of(t->type) == LANE_I64 || lane_of(t->type) == LANE_U64) {
        int64_t x = element_i64(t, a), y = element_i64(t, b);
        if (t->type == ONNXD_UINT64) return ((uint64_t)x > (uint64_t)y) - ((uint64_t)x < (uint64_t)y);
        return (x > y) - (x < y);
    }
    double x = element_f64(t, a), y = element_f64(t, b);
    if (x != x || y != y) return (x != x) - (y != y); /* NaN last, and all alike */
    return (x > y) - (x < y);
}

static int compare_slices(const struct slices *s, int64_t a, int64_t b)
{
    const struct lines *l = &s->lines;
    for (int64_t o = 0; o < l->outer; o++)
        for (int64_t j = 0; j < l->inner; j++) {
            int64_t base = o * l->n * l->inner + j;
            int order = compare_elements(s->tensor, base + a * l->inner, base + b * l->inner);
            if (order != 0) return order;
        }
    return 0;
}

static int order_of_slices(const void *a, const void *b, void *context)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    int order = compare_slices(context, x, y);
    return order != 0 ? order : (x > y) - (x < y);
}

static int order_of_first(const void *a, const void *b, void *context)
{
    const int64_t *first = context;
    int64_t x = first[*(const int64_t *)a], y = first[*(const int64_t *)b];
    return (x > y) - (x < y);
}

/* Groups of equal slices. */
struct groups {
    int64_t n;
    int64_t *first;  /* [n] lowest slice of each group in sorted order */
    int64_t *count;  /* [n] */
    int64_t *member; /* [slices] group of each slice */
    int64_t *place;  /* [n] where each group stands in the output */
    int64_t *order;  /* [slices] scratch; then [n] group at each place */
};

static onnxd_status find_groups(struct op_run *run, const struct slices *s, struct groups *g,
                                onnxd_error *err)
{
    size_t n = (size_t)s->lines.n;
    int64_t *room = op_allocate(run, (5 * n + 1) * sizeof *room);
    if (room == NULL) return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room to sort %zu elements", n);
    *g = (struct groups){0, room, room + n, room + 2 * n, room + 3 * n, room + 4 * n};
    for (size_t i = 0; i < n; i++) g->order[i] = (int64_t)i;
    qsort_r(g->order, n, sizeof *g->order, order_of_slices, (void *)(uintptr_t)s);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || compare_slices(s, g->order[i - 1], g->order[i]) != 0) {
            g->first[g->n] = g->order[i];
            g->count[g->n++] = 0;
        }
        g->count[g->n - 1]++;
        g->member[g->order[i]] = g->n - 1;
    }
    for (int64_t i = 0; i < g->n; i++) g->order[i] = i;
    if (node_attribute_int(run->node, "sorted", 1) == 0)
        qsort_r(g->order, (size_t)g->n, sizeof *g->order, order_of_first, g->first);
    for (int64_t i = 0; i < g->n; i++) g->place[g->order[i]] = i;
    return ONNXD_OK;
}

static onnxd_status put_unique(struct op_run *run, const struct slices *s, const struct groups *g,
                               onnxd_error *err)
{
    const struct lines *l = &s->lines;
    size_t size = type_size(s->tensor->type);
    const char *from = s->tensor->data;
    char *to = run->out[0] != NULL ? run->out[0]->data : NULL;
    for (int64_t o = 0; o < l->outer && to != NULL; o++)
        for (int64_t i = 0; i < g->n; i++, to += (size_t)l->inner * size)
            if (l->inner > 0)
                memcpy(to, from + (size_t)((o * l->n + g->first[g->order[i]]) * l->inner) * size,
                       (size_t)l->inner * size);
    int64_t *lists[4] = {NULL};
    for (uint32_t k = 1; k < run->n_out && k < 4; k++) {
        int64_t n = k == 2 ? l->n : g->n;
        onnxd_status status = op_allocate_output(run, k, ONNXD_INT64, 1, &n, err);
        if (status != ONNXD_OK) return status;
        lists[k] = run->out[k] != NULL ? run->out[k]->data : NULL;
    }
    for (int64_t i = 0; i < g->n && lists[1] != NULL; i++) lists[1][i] = g->first[g->order[i]];
    for (int64_t i = 0; i < l->n && lists[2] != NULL; i++) lists[2][i] = g->place[g->member[i]];
    for (int64_t i = 0; i < g->n && lists[3] != NULL; i++) lists[3][i] = g->count[g->order[i]];
    return ONNXD_OK;
}

static onnxd_status run_unique(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    struct slices s = {in, {1, onnxd_tensor_n_elements(in), 1}};
    struct groups g;
    int64_t dims[ONNXD_MAX_RANK];
    uint32_t axis = 0, rank = 1;
    onnxd_status status = ONNXD_OK;
    if (node_attribute(run->node, "axis") != NULL) {
        status = op_axis(run->node, node_attribute_int(run->node, "axis", 0), in->rank, &axis, err);
        if (status != ONNXD_OK) return status;
        s.lines = lines_of(in, axis);
        memcpy(dims, in->dims, sizeof dims);
        rank = in->rank;
    }
    status = find_groups(run, &s, &g, err);
    dims[axis] = g.n;
    if (status == ONNXD_OK) status = op_allocate_output(run, 0, in->type, rank, dims, err);
    return status == ONNXD_OK ? put_unique(run, &s, &g, err) : status;
}

/* ---- ReverseSequence -------------------------------------------------------------------------------- */

static onnxd_status shapes_reverse_sequence(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t time = node_attribute_int(s->node, "time_axis", 0),
            batch = node_attribute_int(s->node, "batch_axis", 1);
    onnxd_status status = infer_type(s, 0, TYPES_ANY, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status == ONNXD_OK) status = infer_rank(s, 1, 1, err);
    if (status != ONNXD_OK) return status;
    if (time + batch != 1 || time < 0 || batch < 0)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "time_axis %lld and batch_axis %lld are not 0 and 1",
                        (long long)time, (long long)batch);
    if (in->rank >= 0 && in->rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more", in->rank);
    if (in->rank >= 2 && shapes_known(s, 1) && dim_differs(in->dims[batch], s->in[1]->dims[0]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "sequence_lens has %lld elements for %lld sequences",
                        (long long)s->in[1]->dims[0].n, (long long)in->dims[batch].n);
    shapes_copy(s, 0, 0);
    return ONNXD_OK;
}

static onnxd_status run_reverse_sequence(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    bool time_first = node_attribute_int(run->node, "time_axis", 0) == 0;
    int64_t steps = in->dims[!time_first], batch = in->dims[time_first];
    size_t bytes = type_size(in->type);
    for (uint32_t i = 2; i < in->rank; i++) bytes *= (size_t)in->dims[i];
    for (int64_t b = 0; b < batch; b++) {
        int64_t length = index_at(run->in[1], b);
        if (length < 0 || length > steps)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "sequence_lens holds %lld, there are %lld steps",
                            (long long)length, (long long)steps);
        for (int64_t t = 0; t < steps && bytes > 0; t++) {
            int64_t from = t < length ? length - 1 - t : t;
            int64_t to_at = time_first ? t * batch + b : b * steps + t;
            int64_t from_at = time_first ? from * batch + b : b * steps + from;
            memcpy((char *)run->out[0]->data + (size_t)to_at * bytes,
                   (const char *)in->data + (size_t)from_at * bytes, bytes);
        }
    }
    return ONNXD_OK;
}

const struct op_def ops_select[] = {
    {"", "Compress", 9, OP_LATEST, 2, 2, 1, 1, OP_DYNAMIC, check_attributes, shapes_compress, NULL, NULL,
     run_compress},
    {"", "NonZero", 9, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, NULL, shapes_nonzero, NULL, NULL, run_nonzero},
    {"", "Unique", 11, OP_LATEST, 1, 1, 1, 4, OP_DYNAMIC, check_attributes, shapes_unique, NULL, NULL,
     run_unique},
    {"", "ReverseSequence", 10, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_reverse_sequence, NULL,
     NULL, run_reverse_sequence},
    {0},
};
