/* What passes ask of a graph; declared in passes.h. */
#include "optimize/passes.h"

#include <string.h>

#include "base/error.h"

onnxd_status pass_no_room(struct pass *pass)
{
    return error_set(pass->err, ONNXD_ERR_LIMIT, "the optimised model does not fit in its memory limit");
}

bool node_is(const struct node *node, const char *op_type)
{
    return node != NULL && node->domain[0] == 0 && strcmp(node->op_type, op_type) == 0;
}

bool same_shape(const struct graph *graph, uint32_t a, uint32_t b)
{
    const struct value_info *x = info_of(graph, a), *y = info_of(graph, b);
    if (x->rank < 0 || x->rank != y->rank || x->type != y->type) return false;
    for (int32_t i = 0; i < x->rank; i++)
        if (!dim_equal(x->dims[i], y->dims[i])) return false;
    return true;
}

struct node *only_reader(const struct graph *graph, uint32_t value, uint32_t *ret_index)
{
    if (graph->values[value].n_uses != 1) return NULL;
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        struct node *node = graph->nodes[i];
        for (uint32_t k = 0; k < node->n_in && !node->removed; k++)
            if (node->in[k] == value) {
                *ret_index = i;
                return node;
            }
    }
    return NULL;
}
