#include "optimize/passes.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"

enum { MAX_MISSING_TEXT = 400 };

struct binding {
    struct buf missing; /* "Op (node 'x'), ..." */
    uint32_t n_missing;
    onnxd_error *err;
};

static onnxd_status check_counts(const struct node *node, onnxd_error *err)
{
    const struct op_def *op = node->op;
    uint32_t n_in = node->n_in, n_out = node->n_out;
    while (n_in > 0 && node->in[n_in - 1] == GRAPH_NONE) n_in--; /* trailing blanks count as left out */
    while (n_out > 0 && node->out[n_out - 1] == GRAPH_NONE) n_out--;
    if (n_in < op->min_in || (op->max_in != OP_ANY_NUMBER && n_in > op->max_in))
        return op_error(err, node, ONNXD_ERR_MODEL, "has %u inputs, expected %u to %u", n_in, op->min_in,
                        op->max_in);
    if (n_out < op->min_out || (op->max_out != OP_ANY_NUMBER && n_out > op->max_out))
        return op_error(err, node, ONNXD_ERR_MODEL, "has %u outputs, expected %u to %u", n_out, op->min_out,
                        op->max_out);
    for (uint32_t i = 0; i < node->n_in && (op->flags & OP_BLANKS) == 0; i++)
        if (node->in[i] == GRAPH_NONE && (i < op->min_in || op->max_in == OP_ANY_NUMBER))
            return op_error(err, node, ONNXD_ERR_MODEL, "input %u is left out", i);
    return ONNXD_OK;
}

/* So that operators need not ask, their first output always exists, read or not. */
static bool name_first_output(struct graph *graph, struct node *node)
{
    if (node->n_out == 0 || node->out[0] != GRAPH_NONE) return true;
    node->out[0] = graph_add_value(graph, NULL, NULL);
    return node->out[0] != GRAPH_NONE;
}

static void note_missing(struct binding *b, const struct node *node)
{
    b->n_missing++;
    if (b->missing.n > MAX_MISSING_TEXT) return;
    buf_printf(&b->missing, "%s%s%s%.60s version %lld (node '%.40s')", b->missing.n > 0 ? ", " : "",
               node->domain, node->domain[0] != 0 ? "." : "", node->op_type, (long long)node->opset,
               node->name);
}

static onnxd_status bind_graph(struct binding *b, struct graph *graph)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        if (node->op == NULL) {
            node->op = op_find(node->domain, node->op_type, node->opset);
            if (node->op == NULL) {
                note_missing(b, node);
                continue;
            }
            onnxd_status status = check_counts(node, b->err);
            if (status == ONNXD_OK && node->op->check != NULL) status = node->op->check(node, b->err);
            if (status != ONNXD_OK) return status;
            if (!name_first_output(graph, node))
                return op_error(b->err, node, ONNXD_ERR_LIMIT, "no room for its output");
        }
        for (uint32_t a = 0; a < node->n_attributes; a++) {
            if (node->attributes[a].kind != ATTRIBUTE_GRAPH) continue;
            onnxd_status status = bind_graph(b, node->attributes[a].graph);
            if (status != ONNXD_OK) return status;
        }
    }
    return ONNXD_OK;
}

onnxd_status pass_bind_operators(struct pass *pass)
{
    struct binding b = {.err = pass->err};
    buf_init(&b.missing, MAX_MISSING_TEXT + 256);
    onnxd_status status = bind_graph(&b, pass->graph);
    if (status == ONNXD_OK && b.n_missing > 0)
        status = error_set(pass->err, ONNXD_ERR_UNSUPPORTED, "%u operators are not supported: %.*s",
                           b.n_missing, (int)b.missing.n, b.missing.data != NULL ? b.missing.data : "");
    buf_done(&b.missing);
    return status;
}
