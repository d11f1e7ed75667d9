#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "evolve/policy.h"
#include "evolve/policy_levels.h"
#include "graph/onnx_writer.h"

enum { OPSET = 17, NAME_BYTES = 32 };

/* What is being written: the columns of the growing matrix of all values so far. */
struct sheet {
    struct onnx_writer *w;
    const struct network *network;
    uint32_t *column; /* [n_slots] of each slot, inputs first, then remembered values, then nodes */
    uint32_t n_columns;
    char name[NAME_BYTES]; /* of the matrix of all columns */
};

/* y = activation(x) as one or a few nodes; `x` and `y` are value names. */
static void write_activation(struct onnx_writer *w, enum activation activation, const char *x, const char *y)
{
    static const char *const OPS[N_ACTIVATIONS] = {
        [ACTIVATION_SIGMOID] = "Sigmoid",   [ACTIVATION_TANH] = "Tanh", [ACTIVATION_RELU] = "Relu",
        [ACTIVATION_IDENTITY] = "Identity", [ACTIVATION_SIN] = "Sin",   [ACTIVATION_ABS] = "Abs"};
    char a[2 * NAME_BYTES], b[2 * NAME_BYTES], pair[4 * NAME_BYTES];
    snprintf(a, sizeof a, "%s_a", y);
    snprintf(b, sizeof b, "%s_b", y);
    if (activation == ACTIVATION_GAUSS) {
        snprintf(pair, sizeof pair, "%s %s", x, x);
        onnx_writer_node(w, "Mul", a, pair, a);
        onnx_writer_node(w, "Neg", b, a, b);
        onnx_writer_node(w, "Exp", y, b, y);
    } else if (activation == ACTIVATION_STEP) {
        const float zero = 0;
        onnx_writer_tensor(w, b, ONNXD_FLOAT32, 0, NULL, &zero);
        snprintf(pair, sizeof pair, "%s %s", x, b);
        onnx_writer_node(w, "Greater", a, pair, a);
        onnx_writer_node(w, "Cast", y, a, y);
        onnx_writer_attr_int(w, "to", ONNXD_FLOAT32);
    } else {
        onnx_writer_node(w, OPS[activation], y, x, y);
    }
}

/* The nodes of one depth and activation: one Gemm over all columns so far. */
static onnxd_status write_group(struct sheet *s, const uint32_t *members, uint32_t n, uint32_t number,
                                onnxd_error *err)
{
    const struct network *net = s->network;
    float *weights = calloc((size_t)s->n_columns * n, sizeof *weights), *bias = calloc(n, sizeof *bias);
    if (weights == NULL || bias == NULL) {
        free(weights);
        free(bias);
        return error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory for a matrix of %u by %u", s->n_columns, n);
    }
    for (uint32_t m = 0; m < n; m++) {
        uint32_t node = members[m], first = node == 0 ? 0 : net->nodes[node - 1].end_link;
        for (uint32_t l = first; l < net->nodes[node].end_link; l++) {
            uint32_t source = net->links[l].source;
            if (source == net->n_inputs)
                bias[m] += net->links[l].weight;
            else
                weights[(size_t)s->column[source] * n + m] += net->links[l].weight;
        }
    }
    char w[NAME_BYTES], b[NAME_BYTES], sum[NAME_BYTES], y[NAME_BYTES], inputs[4 * NAME_BYTES];
    snprintf(w, sizeof w, "weights_%u", number);
    snprintf(b, sizeof b, "bias_%u", number);
    snprintf(sum, sizeof sum, "sum_%u", number);
    snprintf(y, sizeof y, "group_%u", number);
    snprintf(inputs, sizeof inputs, "%s %s %s", s->name, w, b);
    onnx_writer_tensor(s->w, w, ONNXD_FLOAT32, 2, (int64_t[]){s->n_columns, n}, weights);
    onnx_writer_tensor(s->w, b, ONNXD_FLOAT32, 1, (int64_t[]){n}, bias);
    onnx_writer_node(s->w, "Gemm", sum, inputs, sum);
    enum activation activation = (enum activation)net->nodes[members[0]].activation;
    if (activation == ACTIVATION_SIGMOID) {
        onnx_writer_attr_float(s->w, "alpha", SIGMOID_STEEPNESS);
        onnx_writer_attr_float(s->w, "beta", SIGMOID_STEEPNESS);
    }
    write_activation(s->w, activation, sum, y);
    free(weights);
    free(bias);
    return ONNXD_OK;
}

/* All groups of one depth, and the matrix that has their columns too. */
static onnxd_status write_level(struct sheet *s, const uint32_t *level, uint32_t depth, uint32_t *n_groups,
                                uint32_t *members, onnxd_error *err)
{
    const struct network *net = s->network;
    uint32_t n_added = 0, first_slot = net->n_inputs + 1;
    struct buf all;
    onnxd_status status = ONNXD_OK;
    buf_init(&all, 1 << 16);
    buf_append_text(&all, s->name);
    for (uint32_t a = 0; a < N_ACTIVATIONS && status == ONNXD_OK; a++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < net->n_nodes; i++)
            if (level[i] == depth && net->nodes[i].activation == a) members[n++] = i;
        if (n == 0) continue;
        status = write_group(s, members, n, *n_groups, err);
        for (uint32_t m = 0; m < n; m++) s->column[first_slot + members[m]] = s->n_columns + n_added++;
        buf_printf(&all, " group_%u", (*n_groups)++);
    }
    s->n_columns += n_added;
    snprintf(s->name, sizeof s->name, "all_%u", depth);
    buf_append_char(&all, 0);
    if (all.failed) status = error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory");
    if (status == ONNXD_OK) {
        onnx_writer_node(s->w, "Concat", s->name, all.data, s->name);
        onnx_writer_attr_int(s->w, "axis", 1);
    }
    buf_done(&all);
    return status;
}

/* `value` = the columns of n slots. */
static onnxd_status write_gather(struct sheet *s, const uint32_t *slots, uint32_t n, const char *value,
                                 onnxd_error *err)
{
    int64_t *indices = calloc(n, sizeof *indices);
    if (indices == NULL) return error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory for %u columns", n);
    for (uint32_t i = 0; i < n; i++) indices[i] = s->column[slots[i]];
    char name[NAME_BYTES], inputs[2 * NAME_BYTES + 1];
    snprintf(name, sizeof name, "%s_columns", value);
    snprintf(inputs, sizeof inputs, "%s %s", s->name, name);
    onnx_writer_tensor(s->w, name, ONNXD_INT64, 1, (int64_t[]){n}, indices);
    onnx_writer_node(s->w, "Gather", value, inputs, value);
    onnx_writer_attr_int(s->w, "axis", 1);
    free(indices);
    return ONNXD_OK;
}

static onnxd_status write_network(const struct network *net, struct onnx_writer *w, onnxd_error *err)
{
    uint32_t first_slot = net->n_inputs + 1, n_levels = 0, n_groups = 0;
    uint32_t *level = calloc(net->n_nodes + 1, sizeof *level),
             *members = calloc(net->n_nodes + 1, sizeof *members);
    uint32_t *column = calloc(net->n_slots, sizeof *column);
    onnxd_status status = ONNXD_OK;
    if (level == NULL || members == NULL || column == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "onnx: no memory for %u nodes", net->n_nodes);
        goto out;
    }
    struct sheet sheet = {
        .w = w, .network = net, .column = column, .n_columns = net->n_inputs, .name = "input"};
    onnx_writer_input(w, "input", ONNXD_FLOAT32, 2, (int64_t[]){-1, net->n_inputs}, "batch");
    for (uint32_t i = 0; i < net->n_inputs; i++) column[i] = i;
    if (net->recurrent) {
        onnx_writer_input(w, "state", ONNXD_FLOAT32, 2, (int64_t[]){-1, net->n_nodes}, "batch");
        onnx_writer_node(w, "Concat", "all_0", "input state", "all_0");
        onnx_writer_attr_int(w, "axis", 1);
        snprintf(sheet.name, sizeof sheet.name, "all_0");
        for (uint32_t i = 0; i < net->n_nodes; i++) column[first_slot + net->n_nodes + i] = sheet.n_columns++;
    }
    n_levels = network_levels(net, level);
    for (uint32_t depth = 1; depth <= n_levels && status == ONNXD_OK; depth++)
        status = write_level(&sheet, level, depth, &n_groups, members, err);
    if (status == ONNXD_OK) status = write_gather(&sheet, net->outputs, net->n_outputs, "output", err);
    onnx_writer_output(w, "output", ONNXD_FLOAT32, 2, (int64_t[]){-1, net->n_outputs}, "batch");
    if (net->recurrent && status == ONNXD_OK) {
        for (uint32_t i = 0; i < net->n_nodes; i++) members[i] = first_slot + i;
        status = write_gather(&sheet, members, net->n_nodes, "next_state", err);
        onnx_writer_output(w, "next_state", ONNXD_FLOAT32, 2, (int64_t[]){-1, net->n_nodes}, "batch");
    }
out:
    free(level);
    free(members);
    free(column);
    return status;
}

onnxd_status policy_to_onnx(const struct policy *policy, struct buf *out, onnxd_error *err)
{
    struct network_compiler compiler = {0};
    struct network network;
    struct arena arena;
    struct onnx_writer writer;
    arena_init(&arena, 0);
    onnx_writer_init(&writer, policy->task, OPSET);
    onnxd_status status = network_compile(&compiler, &policy->genome, &policy->shape, &arena, &network, err);
    if (status == ONNXD_OK) status = write_network(&network, &writer, err);
    if (status == ONNXD_OK) status = onnx_writer_finish(&writer, out, err);
    onnx_writer_done(&writer);
    network_compiler_done(&compiler);
    arena_done(&arena);
    return status;
}
