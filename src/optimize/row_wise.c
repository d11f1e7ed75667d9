/* Does each output row depend on its own input row alone?
 *
 * The batch symbol B is dimension 0 of the inputs. Every value is given the axis along which its rows lie;
 * an operator is accepted when its rule shows that it moves nothing along that axis. A size of m*B on the
 * axis means that each row owns m consecutive entries. Whatever has no rule is taken to mix rows: the
 * answer "no" only costs speed. */
#include "optimize/passes.h"

#include <string.h>

#include "tensor/shape.h"

enum { NO_ROWS = -1, MIXED = -2 };

struct rows {
    const struct graph *graph;
    uint32_t batch; /* the symbol */
    int8_t *axis;   /* [n_values] axis of the rows, NO_ROWS or MIXED */
    bool *sized;    /* [n_values] without rows, but its contents depend on how many rows there are */
};

typedef bool (*row_rule)(const struct rows *r, const struct node *node);

static const struct value_info *info_in(const struct rows *r, uint32_t value)
{
    return &r->graph->values[value].info;
}

static int axis_in(const struct rows *r, const struct node *node, uint32_t i)
{
    return i < node->n_in && node->in[i] != GRAPH_NONE ? r->axis[node->in[i]] : NO_ROWS;
}

static int rank_in(const struct rows *r, const struct node *node, uint32_t i)
{
    return info_in(r, node->in[i])->rank;
}

/* The one axis whose size holds the batch symbol; NO_ROWS when there is none, MIXED when unclear. */
static int axis_by_shape(const struct rows *r, uint32_t value)
{
    const struct value_info *info = info_in(r, value);
    int found = NO_ROWS;
    if (info->rank < 0) return MIXED;
    for (int32_t i = 0; i < info->rank; i++) {
        if (!dim_is_known(info->dims[i])) return MIXED;
        if (info->dims[i].symbol != r->batch) continue;
        if (found != NO_ROWS) return MIXED;
        found = i;
    }
    return found;
}

static bool only_first_has_rows(const struct rows *r, const struct node *node)
{
    for (uint32_t i = 1; i < node->n_in; i++)
        if (axis_in(r, node, i) != NO_ROWS) return false;
    return axis_in(r, node, 0) >= 0;
}

/* ---- rules --------------------------------------------------------------------------------------- */

/* Broadcasting aligns axes from the right. */
static bool rule_elementwise(const struct rows *r, const struct node *node)
{
    uint32_t out = node->out[0];
    int from_right = info_in(r, out)->rank - axis_by_shape(r, out);
    for (uint32_t i = 0; i < node->n_in; i++) {
        int axis = axis_in(r, node, i);
        if (axis >= 0 && rank_in(r, node, i) - axis != from_right) return false;
    }
    return node->opset >= 7 || node_attribute(node, "axis") == NULL;
}

static bool rule_rows_first(const struct rows *r, const struct node *node)
{
    return only_first_has_rows(r, node) && axis_in(r, node, 0) == 0 &&
           node_attribute_int(node, "training_mode", 0) == 0;
}

static bool rule_any_axis(const struct rows *r, const struct node *node)
{
    return only_first_has_rows(r, node);
}

static bool rule_matmul(const struct rows *r, const struct node *node)
{
    int a = axis_in(r, node, 0), b = axis_in(r, node, 1), ra = rank_in(r, node, 0), rb = rank_in(r, node, 1);
    if (a >= 0 && b >= 0) return a <= ra - 3 && b <= rb - 3 && ra - a == rb - b;
    return a >= 0 ? a < ra - 1 : rb >= 3 && b <= rb - 3;
}

static bool rule_gemm(const struct rows *r, const struct node *node)
{
    int c = axis_in(r, node, 2);
    return axis_in(r, node, 0) == 0 && node_attribute_int(node, "transA", 0) == 0 &&
           axis_in(r, node, 1) == NO_ROWS && (c == NO_ROWS || (c == 0 && rank_in(r, node, 2) == 2));
}

/* True when `axes` (with negatives) does not hold the row axis of input 0. */
static bool avoids(const struct rows *r, const struct node *node, const int64_t *axes, size_t n)
{
    int rank = rank_in(r, node, 0), rows = axis_in(r, node, 0);
    for (size_t i = 0; i < n; i++)
        if ((axes[i] < 0 ? axes[i] + rank : axes[i]) == rows) return false;
    return true;
}

/* Axes from an attribute or from a constant input at `position`; false when neither tells. */
static bool avoids_named_axes(const struct rows *r, const struct node *node, uint32_t position)
{
    size_t n;
    const int64_t *axes = node_attribute_ints(node, "axes", &n);
    if (axes != NULL) return avoids(r, node, axes, n);
    if (position >= node->n_in || node->in[position] == GRAPH_NONE) return false;
    const onnxd_tensor *constant = info_in(r, node->in[position])->constant;
    if (constant == NULL) return false;
    for (int64_t i = 0; i < onnxd_tensor_n_elements(constant); i++) {
        int64_t axis = constant->type == ONNXD_INT64 ? ((const int64_t *)constant->data)[i]
                                                     : ((const int32_t *)constant->data)[i];
        if (!avoids(r, node, &axis, 1)) return false;
    }
    return onnxd_tensor_n_elements(constant) > 0;
}

static bool rule_reduce(const struct rows *r, const struct node *node)
{
    return only_first_has_rows(r, node) && avoids_named_axes(r, node, 1);
}

static bool rule_slice(const struct rows *r, const struct node *node)
{
    return only_first_has_rows(r, node) && avoids_named_axes(r, node, 3);
}

/* Operators with one `axis`. */
static bool rule_axis(const struct rows *r, const struct node *node)
{
    bool last_by_default = node_is(node, "LayerNormalization") || node_is(node, "LpNormalization") ||
                           node_is(node, "RMSNormalization") || node_is(node, "TopK") ||
                           ((node_is(node, "Softmax") || node_is(node, "LogSoftmax")) && node->opset >= 13);
    int64_t otherwise = last_by_default                                           ? -1
                        : node_is(node, "Softmax") || node_is(node, "LogSoftmax") ? 1
                                                                                  : 0;
    int64_t axis = node_attribute_int(node, "axis", otherwise);
    if (!only_first_has_rows(r, node) || !avoids(r, node, &axis, 1)) return false;
    /* These work on everything from the axis on. */
    bool to_the_end = node_is(node, "LayerNormalization") || node_is(node, "RMSNormalization") ||
                      ((node_is(node, "Softmax") || node_is(node, "LogSoftmax")) && node->opset < 13);
    return !to_the_end || axis_in(r, node, 0) < (axis < 0 ? axis + rank_in(r, node, 0) : axis);
}

static bool rule_concat(const struct rows *r, const struct node *node)
{
    int64_t axis = node_attribute_int(node, "axis", 0);
    for (uint32_t i = 0; i < node->n_in; i++)
        if (axis_in(r, node, i) != axis_in(r, node, 0)) return false;
    return axis_in(r, node, 0) >= 0 && avoids(r, node, &axis, 1);
}

static bool rule_gather(const struct rows *r, const struct node *node)
{
    int64_t axis = node_attribute_int(node, "axis", 0);
    if (axis_in(r, node, 0) == NO_ROWS) return axis_in(r, node, 1) >= 0;
    return axis_in(r, node, 1) == NO_ROWS && avoids(r, node, &axis, 1);
}

static bool rule_one_hot(const struct rows *r, const struct node *node)
{
    return only_first_has_rows(r, node);
}

static struct dim size_before(const struct value_info *info, int axis)
{
    struct dim n = dim_constant(1);
    for (int i = 0; i < axis; i++) n = dim_mul(n, info->dims[i]);
    return n;
}

static bool rule_reshape(const struct rows *r, const struct node *node)
{
    int in = axis_in(r, node, 0), out = axis_by_shape(r, node->out[0]);
    return in >= 0 &&
           dim_equal(size_before(info_in(r, node->in[0]), in), size_before(info_in(r, node->out[0]), out));
}

/* The letter on the row axis must be the same in every term that has rows, and be kept. */
static bool rule_einsum(const struct rows *r, const struct node *node)
{
    const struct attribute *equation = node_attribute(node, "equation");
    if (equation == NULL || equation->kind != ATTRIBUTE_STRING) return false;
    const char *text = equation->s.data, *arrow = strstr(text, "->");
    char letter = 0;
    uint32_t term = 0;
    int position = 0;
    if (arrow == NULL || strchr(text, '.') != NULL) return false;
    for (const char *c = text; c < arrow; c++) {
        if (*c == ',') {
            term++;
            position = 0;
        } else if (*c != ' ') {
            int axis = axis_in(r, node, term);
            if (axis == position && letter != 0 && letter != *c) return false;
            if (axis == position)
                letter = *c;
            else if (letter != 0 && *c == letter)
                return false;
            position++;
        }
    }
    /* Terms before the first with rows may have used the letter for something else. */
    int uses = 0, rows = 0;
    for (const char *c = text; c < arrow; c++) uses += *c == letter;
    for (uint32_t i = 0; i < node->n_in; i++) rows += axis_in(r, node, i) >= 0;
    return letter != 0 && uses == rows && strchr(arrow, letter) != NULL;
}

static bool rule_recurrent(const struct rows *r, const struct node *node)
{
    for (uint32_t i = 0; i < node->n_in; i++) {
        int axis = axis_in(r, node, i);
        if (axis >= 0 && axis != (i == 4 ? 0 : 1)) return false;
    }
    return node_attribute_int(node, "layout", 0) == 0;
}

static const struct {
    const char *domain, *name;
    row_rule rule;
    bool reshapes; /* the size on the row axis may change its multiplicity */
} rules[] = {
#define EACH(name) {"", #name, rule_elementwise, false},
    EACH(Abs) EACH(Acos) EACH(Acosh) EACH(Add) EACH(And) EACH(Asin) EACH(Asinh) EACH(Atan) EACH(Atanh)
        EACH(BitwiseAnd) EACH(BitwiseNot) EACH(BitwiseOr) EACH(BitwiseXor) EACH(BitShift) EACH(Cast)
            EACH(Ceil) EACH(Celu) EACH(Clip) EACH(Cos) EACH(Cosh) EACH(DequantizeLinear) EACH(Div)
                EACH(Dropout) EACH(Elu) EACH(Equal) EACH(Erf) EACH(Exp) EACH(Floor) EACH(Gelu) EACH(Greater)
                    EACH(GreaterOrEqual) EACH(HardSigmoid) EACH(HardSwish) EACH(Identity) EACH(IsInf)
                        EACH(IsNaN) EACH(LeakyRelu) EACH(Less) EACH(LessOrEqual) EACH(Log) EACH(Max)
                            EACH(Mean) EACH(Min) EACH(Mish) EACH(Mod) EACH(Mul) EACH(Neg) EACH(Not) EACH(Or)
                                EACH(PRelu) EACH(Pow) EACH(QuantizeLinear) EACH(Reciprocal) EACH(Relu)
                                    EACH(Round) EACH(Selu) EACH(Shrink) EACH(Sigmoid) EACH(Sign) EACH(Sin)
                                        EACH(Sinh) EACH(Softplus) EACH(Softsign) EACH(Sqrt) EACH(Sub)
                                            EACH(Sum) EACH(Tan) EACH(Tanh) EACH(ThresholdedRelu) EACH(Where)
                                                EACH(Xor)
#undef EACH
                                                    {"", "MatMul", rule_matmul, false},
    {"", "Gemm", rule_gemm, false},
    {"", "Einsum", rule_einsum, false},
    {"", "ReduceSum", rule_reduce, false},
    {"", "ReduceMean", rule_reduce, false},
    {"", "ReduceMax", rule_reduce, false},
    {"", "ReduceMin", rule_reduce, false},
    {"", "ReduceProd", rule_reduce, false},
    {"", "ReduceL1", rule_reduce, false},
    {"", "ReduceL2", rule_reduce, false},
    {"", "ReduceLogSum", rule_reduce, false},
    {"", "ReduceLogSumExp", rule_reduce, false},
    {"", "ReduceSumSquare", rule_reduce, false},
    {"", "ArgMax", rule_axis, false},
    {"", "ArgMin", rule_axis, false},
    {"", "Softmax", rule_axis, false},
    {"", "LogSoftmax", rule_axis, false},
    {"", "LayerNormalization", rule_axis, false},
    {"", "RMSNormalization", rule_axis, false},
    {"", "LpNormalization", rule_axis, false},
    {"", "TopK", rule_axis, false},
    {"", "Concat", rule_concat, false},
    {"", "Split", rule_axis, false},
    {"", "Slice", rule_slice, false},
    {"", "Gather", rule_gather, false},
    {"", "OneHot", rule_one_hot, false},
    {"", "Transpose", rule_any_axis, false},
    {"", "Reshape", rule_reshape, true},
    {"", "Flatten", rule_reshape, true},
    {"", "Squeeze", rule_reshape, true},
    {"", "Unsqueeze", rule_reshape, true},
    {"", "Expand", rule_elementwise, false},
    {"", "Tile", rule_any_axis, false},
    {"", "Conv", rule_rows_first, false},
    {"", "ConvTranspose", rule_rows_first, false},
    {"", "MaxPool", rule_rows_first, false},
    {"", "AveragePool", rule_rows_first, false},
    {"", "LpPool", rule_rows_first, false},
    {"", "GlobalAveragePool", rule_rows_first, false},
    {"", "GlobalMaxPool", rule_rows_first, false},
    {"", "BatchNormalization", rule_rows_first, false},
    {"", "InstanceNormalization", rule_rows_first, false},
    {"", "GroupNormalization", rule_rows_first, false},
    {"", "LRN", rule_rows_first, false},
    {"", "DepthToSpace", rule_rows_first, false},
    {"", "SpaceToDepth", rule_rows_first, false},
    {"", "LSTM", rule_recurrent, false},
    {"", "GRU", rule_recurrent, false},
    {"", "RNN", rule_recurrent, false},
    {"ai.onnx.ml", "TreeEnsembleClassifier", rule_rows_first, false},
    {"ai.onnx.ml", "TreeEnsembleRegressor", rule_rows_first, false},
    {"ai.onnx.ml", "LinearClassifier", rule_rows_first, false},
    {"ai.onnx.ml", "LinearRegressor", rule_rows_first, false},
    {"ai.onnx.ml", "SVMClassifier", rule_rows_first, false},
    {"ai.onnx.ml", "SVMRegressor", rule_rows_first, false},
    {"ai.onnx.ml", "Scaler", rule_rows_first, false},
    {"ai.onnx.ml", "Normalizer", rule_rows_first, false},
    {"ai.onnx.ml", "Imputer", rule_rows_first, false},
    {"ai.onnx.ml", "Binarizer", rule_rows_first, false},
    {"ai.onnx.ml", "LabelEncoder", rule_rows_first, false},
};

/* ---- the walk ------------------------------------------------------------------------------------ */

/* Inputs that only say a shape may depend on the number of rows. */
static bool is_shape_argument(const struct node *node, uint32_t i)
{
    if (node_is(node, "ConstantOfShape")) return i == 0;
    return i == 1 && (node_is(node, "Reshape") || node_is(node, "Expand") || node_is(node, "Tile"));
}

static bool check_rows_node(struct rows *r, const struct node *node)
{
    size_t n_rules = sizeof rules / sizeof rules[0], k = 0;
    while (k < n_rules &&
           (strcmp(rules[k].name, node->op_type) != 0 || strcmp(rules[k].domain, node->domain) != 0))
        k++;
    if (k == n_rules || node->n_captured > 0) return false;
    for (uint32_t j = 0; j < node->n_out; j++) {
        if (node->out[j] == GRAPH_NONE) continue;
        int axis = axis_by_shape(r, node->out[j]);
        if (axis < 0) return false;
        for (uint32_t i = 0; i < node->n_in && !rules[k].reshapes; i++) { /* rows keep what they own */
            int in = axis_in(r, node, i);
            if (in >= 0 && info_in(r, node->in[i])->dims[in].n != info_in(r, node->out[j])->dims[axis].n)
                return false;
        }
        r->axis[node->out[j]] = (int8_t)axis;
    }
    return rules[k].rule(r, node);
}

/* Nothing with rows goes in: what comes out may have them only by being the same in each. */
static bool check_rowless_node(struct rows *r, const struct node *node, bool sized)
{
    bool uniform = node_is(node, "ConstantOfShape") || node_is(node, "Expand");
    bool reads_size = node_is(node, "Shape") || node_is(node, "Size");
    for (uint32_t j = 0; j < node->n_out; j++) {
        if (node->out[j] == GRAPH_NONE) continue;
        int axis = axis_by_shape(r, node->out[j]);
        if (axis != NO_ROWS && (axis < 0 || !uniform)) return false;
        r->axis[node->out[j]] = (int8_t)axis;
        r->sized[node->out[j]] = axis == NO_ROWS && (sized || reads_size);
    }
    return node->n_captured == 0;
}

static bool check_node(struct rows *r, const struct node *node)
{
    bool has_rows = false, sized = false;
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] == GRAPH_NONE) continue;
        has_rows = has_rows || r->axis[node->in[i]] >= 0;
        if (r->sized[node->in[i]] && !is_shape_argument(node, i)) sized = true;
    }
    if (node_is(node, "Shape") || node_is(node, "Size")) return check_rowless_node(r, node, true);
    if (has_rows && sized) return false;
    return has_rows ? check_rows_node(r, node) : check_rowless_node(r, node, sized);
}

static bool is_row_dimension(const struct value_info *info, uint32_t *ret_symbol)
{
    if (info->rank < 1 || info->constant != NULL) return false;
    struct dim d = info->dims[0];
    *ret_symbol = d.symbol;
    return dim_is_known(d) && !dim_is_constant(d) && d.n == 1;
}

bool graph_is_row_wise(const struct graph *graph, struct arena *arena)
{
    struct rows r = {.graph = graph};
    uint32_t symbol;
    r.axis = arena_alloc(arena, graph->n_values);
    r.sized = arena_alloc_zeroed(arena, graph->n_values * sizeof *r.sized);
    if (r.axis == NULL || r.sized == NULL || graph->n_inputs == 0) return false;
    memset(r.axis, NO_ROWS, graph->n_values);
    for (uint32_t i = 0; i < graph->n_inputs; i++) {
        if (!is_row_dimension(info_in(&r, graph->inputs[i]), &symbol) || (i > 0 && symbol != r.batch))
            return false;
        r.batch = symbol;
        if (axis_by_shape(&r, graph->inputs[i]) != 0) return false;
        r.axis[graph->inputs[i]] = 0;
    }
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        if (!check_node(&r, graph->nodes[i])) return false;
    for (uint32_t j = 0; j < graph->n_outputs; j++) {
        uint32_t v = graph->outputs[j];
        if (r.axis[v] != 0 || !is_row_dimension(info_in(&r, v), &symbol) || symbol != r.batch) return false;
    }
    return true;
}
