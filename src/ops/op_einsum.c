/* Einsum: any equation over any number of inputs.
 *
 * Operands are contracted two at a time from the left. A pair becomes a stack of matrix products: labels of
 * both that are still wanted number the stack, labels of both that are not are summed, the others are rows
 * and columns. An operand whose memory already lies like that is multiplied where it is; others are copied
 * into order first.
 * Source: ONNX operator specification, ai.onnx; numpy.einsum. */
#include "ops/op.h"

#include <string.h>

#include "ops/einsum.h"
#include "ops/infer.h"
#include "ops/loops.h"
#include "ops/matrix.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define EINSUM_TYPES (TYPES_NUMERIC)

/* ---- check and shapes ------------------------------------------------------------------------------- */

static onnxd_status shapes_einsum(struct op_shapes *s, onnxd_error *err)
{
    struct einsum e;
    uint32_t ranks[EINSUM_MAX_INPUTS];
    onnxd_status status = infer_same_types(s, 0, s->n_in, EINSUM_TYPES, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, s->in[0]->type);
    for (uint32_t i = 0; i < s->n_in && i < EINSUM_MAX_INPUTS; i++) {
        if (s->in[i]->rank < 0) return ONNXD_OK;
        ranks[i] = (uint32_t)s->in[i]->rank;
    }
    status = einsum_parse(s->node, ranks, s->n_in, &e, err);
    if (status != ONNXD_OK) return status;
    struct dim sizes[EINSUM_LABELS], dims[ONNXD_MAX_RANK];
    for (int label = 0; label < EINSUM_LABELS; label++) sizes[label] = dim_constant(1);
    for (uint32_t i = 0; i < s->n_in; i++)
        for (uint32_t k = 0; k < ranks[i]; k++) {
            struct dim *size = &sizes[e.in[i].labels[k]], here = s->in[i]->dims[k];
            if (dim_equal(*size, dim_constant(1)))
                *size = here;
            else if (dim_differs(*size, here) && here.n != 1)
                return op_error(err, s->node, ONNXD_ERR_SHAPE,
                                "equation: input %u has size %lld on axis %u, expected %lld", i,
                                (long long)here.n, k, (long long)size->n);
            else if (!dim_equal(here, dim_constant(1)))
                *size = dim_merge(*size, here);
        }
    for (uint32_t k = 0; k < e.out.rank; k++) dims[k] = sizes[e.out.labels[k]];
    shapes_set(s, 0, s->in[0]->type, (int32_t)e.out.rank, dims);
    return ONNXD_OK;
}

/* ---- plan: operands as strided views ------------------------------------------------------------------ */

enum { FROM_WORKSPACE = -1, TO_OUTPUT = -2 };

struct place {
    int32_t input; /* or FROM_WORKSPACE, TO_OUTPUT */
    size_t offset; /* bytes in the workspace */
};

/* Labels of size other than 1, each once. */
struct view {
    struct place place;
    onnxd_type type;
    uint32_t rank;
    uint8_t label[LOOPS_MAX_RANK];
    int64_t dim[LOOPS_MAX_RANK], stride[LOOPS_MAX_RANK];
};

struct einsum_step {
    bool multiplies;
    struct place to, a, b;
    onnxd_type to_type, a_type;
    int64_t n_to;                  /* elements of `to`, cleared first where the step sums */
    struct loops loops;            /* copy: to, a. product: the stack's c, a, b */
    struct matrix_product product; /* without pointers */
    bool sums;
};

struct einsum_state {
    enum lane lane;
    uint32_t n_steps;
    struct einsum_step steps[];
};

struct planner {
    struct op_plan *plan;
    struct einsum_state *state;
    onnxd_type lane_type;
    size_t used; /* of the workspace */
    onnxd_error *err;
};

static int32_t find(const struct view *v, uint8_t label)
{
    for (uint32_t i = 0; i < v->rank; i++)
        if (v->label[i] == label) return (int32_t)i;
    return -1;
}

/* An input without its axes of size 1, repeated labels joined to diagonals. */
static struct view view_input(const struct planner *p, const struct einsum *e, uint32_t i)
{
    const onnxd_tensor *t = p->plan->in[i];
    struct view v = {.place = {(int32_t)i, 0}, .type = t->type};
    int64_t strides[ONNXD_MAX_RANK];
    shape_strides(t->dims, t->rank, strides);
    for (uint32_t k = 0; k < t->rank; k++) {
        if (t->dims[k] == 1) continue;
        int32_t at = find(&v, e->in[i].labels[k]);
        if (at >= 0) {
            v.stride[at] += strides[k];
            continue;
        }
        v.label[v.rank] = e->in[i].labels[k];
        v.dim[v.rank] = t->dims[k];
        v.stride[v.rank++] = strides[k];
    }
    return v;
}

static void add_label(struct view *v, const struct view *from, uint32_t i)
{
    v->label[v->rank] = from->label[i];
    v->dim[v->rank] = from->dim[i];
    v->rank++;
}

/* Row-major strides, and the number of elements. */
static int64_t make_contiguous(struct view *v)
{
    shape_strides(v->dim, v->rank, v->stride);
    return shape_n_elements(v->dim, v->rank);
}

static onnxd_status reserve(struct planner *p, int64_t n, struct place *ret)
{
    size_t n_bytes = (size_t)n * lane_size(p->state->lane);
    if (n < 0)
        return op_error(p->err, p->plan->node, ONNXD_ERR_LIMIT,
                        "equation: an intermediate result is too large");
    *ret = (struct place){FROM_WORKSPACE, p->used};
    p->used += (n_bytes + 63) / 64 * 64;
    return ONNXD_OK;
}

/* A step that copies `from` into `to`, which has some of its labels in another order; the others are summed.
 */
static void add_copy(struct planner *p, const struct view *to, const struct view *from)
{
    struct einsum_step *step = &p->state->steps[p->state->n_steps++];
    int64_t dims[LOOPS_MAX_RANK];
    uint32_t n = 0;
    *step = (struct einsum_step){
        .to = to->place, .a = from->place, .to_type = to->type, .a_type = from->type};
    step->n_to = shape_n_elements(to->dim, to->rank);
    for (uint32_t i = 0; i < to->rank; i++) dims[n++] = to->dim[i];
    for (uint32_t i = 0; i < from->rank; i++)
        if (find(to, from->label[i]) < 0) dims[n++] = from->dim[i];
    step->sums = n > to->rank;
    loops_init(&step->loops, dims, n, 2);
    n = to->rank;
    for (uint32_t i = 0; i < to->rank; i++) {
        int32_t at = find(from, to->label[i]);
        step->loops.strides[0][i] = to->stride[i];
        step->loops.strides[1][i] = at >= 0 ? from->stride[at] : 0;
    }
    for (uint32_t i = 0; i < from->rank; i++)
        if (find(to, from->label[i]) < 0) step->loops.strides[1][n++] = from->stride[i];
    loops_simplify(&step->loops);
}

/* Sums away the labels of v that nobody else has and nobody wants. */
static onnxd_status sum_away(struct planner *p, struct view *v, const struct view *other, const bool *wanted)
{
    struct view kept = {.type = p->lane_type};
    for (uint32_t i = 0; i < v->rank; i++)
        if (wanted[v->label[i]] || find(other, v->label[i]) >= 0) add_label(&kept, v, i);
    if (kept.rank == v->rank) return ONNXD_OK;
    onnxd_status status = reserve(p, make_contiguous(&kept), &kept.place);
    if (status != ONNXD_OK) return status;
    add_copy(p, &kept, v);
    *v = kept;
    return ONNXD_OK;
}

/* Labels i..n-1 of a view walk memory evenly: one size and one stride. */
static bool collapse(const struct view *v, const uint8_t *labels, uint32_t n, int64_t *ret_size,
                     int64_t *ret_stride)
{
    int64_t size = 1, stride = 1;
    for (uint32_t i = n; i-- > 0;) {
        int32_t at = find(v, labels[i]);
        if (i + 1 == n)
            stride = v->stride[at];
        else if (v->stride[at] != stride * size)
            return false;
        size *= v->dim[at];
    }
    *ret_size = size;
    *ret_stride = stride;
    return true;
}

struct label_list {
    uint8_t label[LOOPS_MAX_RANK];
    uint32_t n;
};

/* Makes sure that `v` can be multiplied where it is, as a stack of rows x columns, or copies it. */
static onnxd_status settle_operand(struct planner *p, struct view *v, const struct label_list *stack,
                                   const struct label_list *rows, const struct label_list *columns,
                                   int64_t *ret_ld, bool *ret_transposed)
{
    int64_t n_rows, n_columns, row_stride, column_stride;
    bool fits = v->type == p->lane_type && collapse(v, rows->label, rows->n, &n_rows, &row_stride) &&
                collapse(v, columns->label, columns->n, &n_columns, &column_stride);
    if (fits && (columns->n == 0 || column_stride == 1) && (rows->n == 0 || row_stride >= n_columns)) {
        *ret_ld = rows->n == 0 ? n_columns : row_stride;
        *ret_transposed = false;
        return ONNXD_OK;
    }
    if (fits && (rows->n == 0 || row_stride == 1) && (columns->n == 0 || column_stride >= n_rows)) {
        *ret_ld = columns->n == 0 ? n_rows : column_stride;
        *ret_transposed = true;
        return ONNXD_OK;
    }
    struct view copy = {.type = p->lane_type};
    const struct label_list *const lists[] = {stack, rows, columns};
    for (int k = 0; k < 3; k++)
        for (uint32_t i = 0; i < lists[k]->n; i++) add_label(&copy, v, (uint32_t)find(v, lists[k]->label[i]));
    onnxd_status status = reserve(p, make_contiguous(&copy), &copy.place);
    if (status != ONNXD_OK) return status;
    add_copy(p, &copy, v);
    *v = copy;
    *ret_transposed = false;
    *ret_ld = 1;
    for (uint32_t i = 0; i < columns->n; i++) *ret_ld *= v->dim[find(v, columns->label[i])];
    return ONNXD_OK;
}

static void sort_labels(const struct view *a, const struct view *b, const bool *wanted,
                        struct label_list *stack, struct label_list *rows, struct label_list *inner,
                        struct label_list *columns)
{
    stack->n = rows->n = inner->n = columns->n = 0;
    for (uint32_t i = 0; i < a->rank; i++) {
        bool shared = find(b, a->label[i]) >= 0;
        struct label_list *list = !shared ? rows : wanted[a->label[i]] ? stack : inner;
        list->label[list->n++] = a->label[i];
    }
    for (uint32_t i = 0; i < b->rank; i++)
        if (find(a, b->label[i]) < 0) columns->label[columns->n++] = b->label[i];
}

static bool is_output(const struct view *v, const struct view *out)
{
    return v->type == out->type && v->rank == out->rank && memcmp(v->label, out->label, v->rank) == 0;
}

/* Multiplies a and b into *a; straight into the output where that is what the result is. */
static onnxd_status contract(struct planner *p, struct view *a, struct view *b, const bool *wanted,
                             const struct view *out, bool last)
{
    struct label_list stack, rows, inner, columns;
    struct einsum_step step = {.multiplies = true};
    struct matrix_product *m = &step.product;
    onnxd_status status = sum_away(p, a, b, wanted);
    if (status == ONNXD_OK) status = sum_away(p, b, a, wanted);
    if (status != ONNXD_OK) return status;
    sort_labels(a, b, wanted, &stack, &rows, &inner, &columns);
    if (stack.n + rows.n + columns.n > LOOPS_MAX_RANK)
        return op_error(p->err, p->plan->node, ONNXD_ERR_LIMIT,
                        "equation: an intermediate result has rank %u", stack.n + rows.n + columns.n);
    status = settle_operand(p, a, &stack, &rows, &inner, &m->lda, &m->a_transposed);
    if (status == ONNXD_OK)
        status = settle_operand(p, b, &stack, &inner, &columns, &m->ldb, &m->b_transposed);
    if (status != ONNXD_OK) return status;
    struct view c = {.type = p->lane_type};
    for (uint32_t i = 0; i < stack.n; i++) add_label(&c, a, (uint32_t)find(a, stack.label[i]));
    for (uint32_t i = 0; i < rows.n; i++) add_label(&c, a, (uint32_t)find(a, rows.label[i]));
    for (uint32_t i = 0; i < columns.n; i++) add_label(&c, b, (uint32_t)find(b, columns.label[i]));
    int64_t n = make_contiguous(&c);
    if (last && is_output(&c, out))
        c.place = out->place;
    else
        status = reserve(p, n, &c.place);
    if (status != ONNXD_OK) return status;
    m->lane = p->state->lane;
    m->m = m->n = m->k = 1;
    for (uint32_t i = 0; i < rows.n; i++) m->m *= a->dim[find(a, rows.label[i])];
    for (uint32_t i = 0; i < inner.n; i++) m->k *= a->dim[find(a, inner.label[i])];
    for (uint32_t i = 0; i < columns.n; i++) m->n *= b->dim[find(b, columns.label[i])];
    m->ldc = m->n;
    loops_init(&step.loops, c.dim, stack.n, 3);
    for (uint32_t i = 0; i < stack.n; i++) {
        step.loops.strides[0][i] = c.stride[i];
        step.loops.strides[1][i] = a->stride[find(a, stack.label[i])];
        step.loops.strides[2][i] = b->stride[find(b, stack.label[i])];
    }
    loops_simplify(&step.loops);
    step.to = c.place;
    step.a = a->place;
    step.b = b->place;
    p->state->steps[p->state->n_steps++] = step;
    *a = c;
    return ONNXD_OK;
}

/* Labels that the output or an input after `next` still has. */
static void find_wanted(const struct planner *p, const struct einsum *e, uint32_t next, bool *wanted)
{
    memset(wanted, 0, EINSUM_LABELS * sizeof *wanted);
    for (uint32_t k = 0; k < e->out.rank; k++) wanted[e->out.labels[k]] = true;
    for (uint32_t i = next; i < p->plan->n_in; i++)
        for (uint32_t k = 0; k < e->in[i].rank; k++) wanted[e->in[i].labels[k]] = true;
}

static struct view view_output(const struct planner *p, const struct einsum *e)
{
    const onnxd_tensor *t = p->plan->out[0];
    struct view v = {.place = {TO_OUTPUT, 0}, .type = t->type};
    int64_t strides[ONNXD_MAX_RANK];
    shape_strides(t->dims, t->rank, strides);
    for (uint32_t k = 0; k < t->rank; k++) {
        if (t->dims[k] == 1) continue;
        v.label[v.rank] = e->out.labels[k];
        v.dim[v.rank] = t->dims[k];
        v.stride[v.rank++] = strides[k];
    }
    return v;
}

static onnxd_status prepare_einsum(struct op_plan *plan, onnxd_error *err)
{
    static const onnxd_type lane_types[] = {ONNXD_FLOAT32, ONNXD_FLOAT64, ONNXD_INT64, ONNXD_UINT64};
    struct einsum e;
    uint32_t ranks[EINSUM_MAX_INPUTS];
    for (uint32_t i = 0; i < plan->n_in && i < EINSUM_MAX_INPUTS; i++) ranks[i] = plan->in[i]->rank;
    onnxd_status status = einsum_parse(plan->node, ranks, plan->n_in, &e, err);
    struct planner p = {.plan = plan, .used = matrix_scratch_bytes(), .err = err};
    size_t n_steps = 5 * (size_t)plan->n_in + 2;
    if (status == ONNXD_OK)
        status = plan_state(plan, sizeof *p.state + n_steps * sizeof p.state->steps[0], (void **)&p.state,
                            err);
    if (status != ONNXD_OK) return status;
    p.state->lane = lane_of(plan->in[0]->type);
    p.lane_type = lane_types[p.state->lane];
    struct view a = view_input(&p, &e, 0), out = view_output(&p, &e);
    for (uint32_t i = 1; i < plan->n_in && status == ONNXD_OK; i++) {
        bool wanted[EINSUM_LABELS];
        struct view b = view_input(&p, &e, i);
        find_wanted(&p, &e, i + 1, wanted);
        status = contract(&p, &a, &b, wanted, &out, i + 1 == plan->n_in);
    }
    if (status != ONNXD_OK) return status;
    if (a.place.input != TO_OUTPUT) add_copy(&p, &out, &a);
    plan->workspace_bytes = p.used;
    return ONNXD_OK;
}

/* ---- run -------------------------------------------------------------------------------------------- */

static char *resolve(const struct op_run *run, struct place place)
{
    if (place.input == TO_OUTPUT) return run->out[0]->data;
    return place.input == FROM_WORKSPACE ? (char *)run->workspace + place.offset : run->in[place.input]->data;
}

/* Sums of one innermost loop; integers wrap. */
static void sum_run(enum lane lane, const struct einsum_step *step, const char *from, int64_t at,
                    int64_t stride, int64_t n, char *to, int64_t to_at)
{
    union lane_block x;
    double sum = 0, before;
    uint64_t total = 0;
    bool floating = lane == LANE_F32 || lane == LANE_F64;
    for (int64_t i = 0; i < n; i += ELEMENTS_BLOCK) {
        int64_t m = n - i < ELEMENTS_BLOCK ? n - i : ELEMENTS_BLOCK;
        elements_load(floating ? LANE_F64 : lane, step->a_type, from, at + i * stride, stride, m, &x);
        for (int64_t k = 0; k < m; k++) {
            if (floating)
                sum += x.f64[k];
            else
                total += x.u64[k];
        }
    }
    if (floating) {
        elements_load(LANE_F64, step->to_type, to, to_at, 1, 1, &before);
        sum += before;
        elements_store(LANE_F64, step->to_type, to, to_at, 1, &sum);
    } else {
        uint64_t old;
        elements_load(lane, step->to_type, to, to_at, 1, 1, &old);
        total += old;
        elements_store(lane, step->to_type, to, to_at, 1, &total);
    }
}

static void run_copy(enum lane lane, const struct einsum_step *step, const char *from, char *to)
{
    const struct loops *loops = &step->loops;
    int64_t n = loops_inner(loops), to_stride = loops_inner_stride(loops, 0),
            stride = loops_inner_stride(loops, 1);
    struct loops_cursor c;
    if (step->sums) memset(to, 0, (size_t)step->n_to * type_size(step->to_type));
    if (!step->sums && step->to_type == step->a_type) {
        loops_copy(loops, type_size(step->to_type), to, from);
        return;
    }
    for (loops_start(loops, &c); c.more; loops_next(loops, &c)) {
        if (step->sums && to_stride == 0) {
            sum_run(lane, step, from, c.offset[1], stride, n, to, c.offset[0]);
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            int64_t at = c.offset[0] + i * to_stride;
            if (step->sums) {
                sum_run(lane, step, from, c.offset[1] + i * stride, 1, 1, to, at);
            } else {
                uint64_t x;
                elements_load(lane, step->a_type, from, c.offset[1] + i * stride, 1, 1, &x);
                elements_store(lane, step->to_type, to, at, 1, &x);
            }
        }
    }
}

static void run_product(enum lane lane, const struct einsum_step *step, const char *a, const char *b,
                        char *to, void *scratch)
{
    struct matrix_product m = step->product;
    int64_t size = (int64_t)lane_size(lane);
    struct loops_cursor c;
    for (loops_start(&step->loops, &c); c.more; loops_next(&step->loops, &c))
        for (int64_t i = 0; i < loops_inner(&step->loops); i++) {
            m.c = to + (c.offset[0] + i * loops_inner_stride(&step->loops, 0)) * size;
            m.a = a + (c.offset[1] + i * loops_inner_stride(&step->loops, 1)) * size;
            m.b = b + (c.offset[2] + i * loops_inner_stride(&step->loops, 2)) * size;
            matrix_multiply(&m, scratch);
        }
}

static onnxd_status run_einsum(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct einsum_state *state = run->state;
    for (uint32_t i = 0; i < state->n_steps; i++) {
        const struct einsum_step *step = &state->steps[i];
        if (step->multiplies)
            run_product(state->lane, step, resolve(run, step->a), resolve(run, step->b),
                        resolve(run, step->to), run->workspace);
        else
            run_copy(state->lane, step, resolve(run, step->a), resolve(run, step->to));
    }
    return ONNXD_OK;
}

const struct op_def ops_einsum[] = {
    {"", "Einsum", 12, OP_LATEST, 1, OP_ANY_NUMBER, 1, 1, 0, NULL, shapes_einsum, NULL, prepare_einsum,
     run_einsum},
    {0},
};
