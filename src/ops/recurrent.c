#include "ops/recurrent.h"

#include <string.h>
#include <strings.h>

#include "ops/infer.h"

static const char *const directions[] = {"forward", "reverse", "bidirectional", NULL};

/* ---- attributes ---------------------------------------------------------------------------------------- */

enum recurrent recurrent_kind(const struct node *node)
{
    return strcmp(node->op_type, "LSTM") == 0  ? RECURRENT_LSTM
           : strcmp(node->op_type, "GRU") == 0 ? RECURRENT_GRU
                                               : RECURRENT_RNN;
}

int64_t recurrent_gates(enum recurrent kind)
{
    return kind == RECURRENT_LSTM ? 4 : kind == RECURRENT_GRU ? 3 : 1;
}

int64_t recurrent_directions(const struct node *node)
{
    return node_attribute_is(node, "direction", "bidirectional") ? 2 : 1;
}

static uint32_t activations_of(enum recurrent kind)
{
    return kind == RECURRENT_LSTM ? 3 : kind == RECURRENT_GRU ? 2 : 1;
}

static const struct unary_op *find_activation(onnxd_string name)
{
    static const char *const known[] = {"Relu",      "Tanh",       "Sigmoid",     "Affine",
                                        "LeakyRelu", "ScaledTanh", "HardSigmoid", "ThresholdedRelu",
                                        "Elu",       "Softsign",   "Softplus"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i]) == name.len && strncasecmp(known[i], name.data, name.len) == 0)
            return unary_find(known[i], false);
    return NULL;
}

onnxd_status recurrent_check(const struct node *node, onnxd_error *err)
{
    size_t n;
    const onnxd_string *names = node_attribute_strings(node, "activations", &n);
    size_t want = activations_of(recurrent_kind(node)) * (size_t)recurrent_directions(node);
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "direction", directions, err);
    if (status == ONNXD_OK && names != NULL && n != want)
        return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'activations' has %zu names, expected %zu", n,
                        want);
    for (size_t i = 0; i < n && status == ONNXD_OK; i++)
        if (find_activation(names[i]) == NULL)
            status = op_error(err, node, ONNXD_ERR_UNSUPPORTED, "activation '%.*s' is not known",
                              names[i].len < 40 ? (int)names[i].len : 40, names[i].data);
    return status;
}

/* Values for alpha and beta are consumed by those activations that have one. */
static void plan_activations(const struct node *node, struct recurrent_shape *s)
{
    static const char *const defaults[] = {"Sigmoid", "Tanh", "Tanh"};
    size_t n_names, n_given[UNARY_PARAMS], used[UNARY_PARAMS] = {0};
    const onnxd_string *names = node_attribute_strings(node, "activations", &n_names);
    const float *given[UNARY_PARAMS] = {node_attribute_floats(node, "activation_alpha", &n_given[0]),
                                        node_attribute_floats(node, "activation_beta", &n_given[1])};
    uint32_t each = activations_of(s->kind), n = each * (uint32_t)s->directions;
    for (uint32_t i = 0; i < n; i++) {
        const char *usual = s->kind == RECURRENT_RNN ? "Tanh" : defaults[i % each];
        const struct unary_op *op = names != NULL ? find_activation(names[i]) : unary_find(usual, false);
        s->activations[i] = unary_call_of(op, s->lane);
        for (int k = 0; k < UNARY_PARAMS; k++) {
            if (op->params[k].name == NULL) continue;
            if (used[k] < n_given[k])
                unary_set_param(&s->activations[i], (uint32_t)k, (double)given[k][used[k]++]);
        }
    }
}

void recurrent_plan(const struct node *node, const onnxd_tensor *x, const onnxd_tensor *r,
                    struct recurrent_shape *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->kind = recurrent_kind(node);
    ret->lane = lane_of(x->type);
    ret->batch_first = node_attribute_int(node, "layout", 0) != 0;
    ret->steps = x->dims[ret->batch_first];
    ret->batch = x->dims[!ret->batch_first];
    ret->inputs = x->dims[2];
    ret->hidden = r->dims[2];
    ret->gates = recurrent_gates(ret->kind);
    ret->directions = recurrent_directions(node);
    ret->reverse = node_attribute_is(node, "direction", "reverse");
    ret->coupled = node_attribute_int(node, "input_forget", 0) != 0;
    ret->linear_before_reset = node_attribute_int(node, "linear_before_reset", 0) != 0;
    ret->clip = (double)node_attribute_float(node, "clip", 0);
    plan_activations(node, ret);
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

/* Input `in`, where its shape is known, must have these dims. */
static onnxd_status expect(const struct op_shapes *s, uint32_t in, int32_t rank, const struct dim *dims,
                           onnxd_error *err)
{
    onnxd_status status = infer_rank(s, in, rank, err);
    for (int32_t i = 0; i < rank && status == ONNXD_OK && shapes_known(s, in); i++)
        if (dim_differs(s->in[in]->dims[i], dims[i]))
            status = op_error(err, s->node, ONNXD_ERR_SHAPE,
                              "input %u has size %lld on axis %d, expected %lld", in,
                              (long long)s->in[in]->dims[i].n, i, (long long)dims[i].n);
    return status;
}

onnxd_status recurrent_infer(struct op_shapes *s, onnxd_error *err)
{
    enum recurrent kind = recurrent_kind(s->node);
    const struct value_info *x = s->in[0], *r = s->in[2];
    bool batch_first = node_attribute_int(s->node, "layout", 0) != 0;
    struct dim d = dim_constant(recurrent_directions(s->node)), hidden = dim_unknown();
    struct dim steps = dim_unknown(), batch = dim_unknown(), inputs = dim_unknown();
    int64_t named = node_attribute_int(s->node, "hidden_size", -1);
    onnxd_status status = infer_rank(s, 0, 3, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, 3, err);
    for (uint32_t i = 0; i < 8 && status == ONNXD_OK; i++)
        status = infer_type(s, i, i == 4 ? (uint32_t)TYPE_BIT(ONNXD_INT32) : (uint32_t)TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    if (x->rank == 3) {
        steps = x->dims[batch_first];
        batch = x->dims[!batch_first];
        inputs = x->dims[2];
    }
    if (r->rank == 3) hidden = r->dims[2];
    if (named >= 0 && dim_differs(hidden, dim_constant(named)))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "hidden_size is %lld, input 2 has %lld",
                        (long long)named, (long long)hidden.n);
    struct dim wide = dim_mul(hidden, dim_constant(recurrent_gates(kind)));
    struct dim bias = dim_mul(wide, dim_constant(2)), peep = dim_mul(hidden, dim_constant(3));
    struct dim state[3] = {batch_first ? batch : d, batch_first ? d : batch, hidden};
    const struct dim w_dims[] = {d, wide, inputs}, r_dims[] = {d, wide, hidden};
    const struct dim b_dims[] = {d, bias}, p_dims[] = {d, peep};
    status = expect(s, 1, 3, w_dims, err);
    if (status == ONNXD_OK) status = expect(s, 2, 3, r_dims, err);
    if (status == ONNXD_OK) status = expect(s, 3, 2, b_dims, err);
    if (status == ONNXD_OK) status = expect(s, 4, 1, &batch, err);
    if (status == ONNXD_OK) status = expect(s, 5, 3, state, err);
    if (status == ONNXD_OK) status = expect(s, 6, 3, state, err);
    if (status == ONNXD_OK) status = expect(s, 7, 2, p_dims, err);
    if (status != ONNXD_OK) return status;
    struct dim by_step[4] = {steps, d, batch, hidden}, by_row[4] = {batch, steps, d, hidden};
    shapes_set(s, 0, x->type, 4, batch_first ? by_row : by_step);
    shapes_set(s, 1, x->type, 3, state);
    shapes_set(s, 2, x->type, 3, state);
    return ONNXD_OK;
}

/* ---- the cells ------------------------------------------------------------------------------------------
 */

#define CELLS(T, suffix)                                                                                   \
    static void limit_##suffix(T *x, int64_t n, double clip)                                               \
    {                                                                                                      \
        const T high = (T)clip, low = (T)-clip;                                                            \
        for (int64_t i = 0; i < n && clip > 0; i++) x[i] = x[i] > high ? high : x[i] < low ? low : x[i];   \
    }                                                                                                      \
                                                                                                           \
    static void activate_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *x,       \
                                  int64_t n)                                                               \
    {                                                                                                      \
        limit_##suffix(x, n, s->clip);                                                                     \
        unary_run(a, x, x, n);                                                                             \
    }                                                                                                      \
                                                                                                           \
    static void add_products_##suffix(T *to, const T *a, const T *b, int64_t n)                            \
    {                                                                                                      \
        for (int64_t i = 0; i < n; i++) to[i] += a[i] * b[i];                                              \
    }                                                                                                      \
                                                                                                           \
    /* gates: i, o, f, c */                                                                                \
    static void lstm_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *gates, T *h, \
                              T *c, const T *peepholes, T *room)                                           \
    {                                                                                                      \
        int64_t n = s->hidden;                                                                             \
        T *in = gates, *out = gates + n, *forget = gates + 2 * n, *cell = gates + 3 * n;                   \
        if (peepholes != NULL) {                                                                           \
            add_products_##suffix(in, peepholes, c, n);                                                    \
            add_products_##suffix(forget, peepholes + 2 * n, c, n);                                        \
            activate_##suffix(s, a, in, n);                                                                \
            activate_##suffix(s, a, forget, n);                                                            \
        } else {                                                                                           \
            activate_##suffix(s, a, in, 3 * n);                                                            \
        }                                                                                                  \
        activate_##suffix(s, a + 1, cell, n);                                                              \
        for (int64_t i = 0; i < n; i++)                                                                    \
            c[i] = (s->coupled ? 1 - in[i] : forget[i]) * c[i] + in[i] * cell[i];                          \
        if (peepholes != NULL) {                                                                           \
            add_products_##suffix(out, peepholes + n, c, n);                                               \
            activate_##suffix(s, a, out, n);                                                               \
        }                                                                                                  \
        unary_run(&a[2], c, room, n);                                                                      \
        for (int64_t i = 0; i < n; i++) h[i] = out[i] * room[i];                                           \
    }                                                                                                      \
                                                                                                           \
    /* gates: z, r, h */                                                                                   \
    static void reset_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *gates,      \
                               const T *h, T *room)                                                        \
    {                                                                                                      \
        int64_t n = s->hidden;                                                                             \
        activate_##suffix(s, a, gates, 2 * n);                                                             \
        for (int64_t i = 0; i < n && !s->linear_before_reset; i++) room[i] = gates[n + i] * h[i];          \
    }                                                                                                      \
                                                                                                           \
    static void gru_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *gates, T *h,  \
                             const T *product)                                                             \
    {                                                                                                      \
        int64_t n = s->hidden;                                                                             \
        T *update = gates, *reset = gates + n, *hidden = gates + 2 * n;                                    \
        for (int64_t i = 0; i < n; i++)                                                                    \
            hidden[i] += s->linear_before_reset ? reset[i] * product[i] : product[i];                      \
        activate_##suffix(s, a + 1, hidden, n);                                                            \
        for (int64_t i = 0; i < n; i++) h[i] = (1 - update[i]) * hidden[i] + update[i] * h[i];             \
    }                                                                                                      \
                                                                                                           \
    static void rnn_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *gates, T *h)  \
    {                                                                                                      \
        activate_##suffix(s, a, gates, s->hidden);                                                         \
        memcpy(h, gates, (size_t)s->hidden * sizeof *h);                                                   \
    }                                                                                                      \
                                                                                                           \
    static void cell_##suffix(const struct recurrent_shape *s, const struct unary_call *a, T *gates, T *h, \
                              T *c, const T *extra, T *room)                                               \
    {                                                                                                      \
        if (s->kind == RECURRENT_LSTM)                                                                     \
            lstm_##suffix(s, a, gates, h, c, extra, room);                                                 \
        else if (s->kind == RECURRENT_GRU)                                                                 \
            gru_##suffix(s, a, gates, h, extra);                                                           \
        else                                                                                               \
            rnn_##suffix(s, a, gates, h);                                                                  \
    }

CELLS(float, f32)
CELLS(double, f64)

void recurrent_cell(const struct recurrent_shape *s, const struct unary_call *a, void *gates, void *h,
                    void *c, const void *extra, void *room)
{
    if (s->lane == LANE_F32)
        cell_f32(s, a, gates, h, c, extra, room);
    else
        cell_f64(s, a, gates, h, c, extra, room);
}

void recurrent_reset(const struct recurrent_shape *s, const struct unary_call *a, void *gates, const void *h,
                     void *room)
{
    if (s->lane == LANE_F32)
        reset_f32(s, a, gates, h, room);
    else
        reset_f64(s, a, gates, h, room);
}
