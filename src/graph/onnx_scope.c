#include "graph/onnx_scope.h"

#include <string.h>

#include "base/error.h"

static onnxd_status no_room(const struct onnx_reader *r)
{
    return error_set(r->err, ONNXD_ERR_LIMIT, "the model does not fit in its memory limit");
}

/* Puts the name into the map under a key that lives as long as the graph. */
static onnxd_status bind(struct onnx_reader *r, struct onnx_scope *scope, const char *name, uint32_t value)
{
    const char *key = arena_strdup(r->arena, name);
    return key != NULL && map_put(&scope->names, key, strlen(key), value) ? ONNXD_OK : no_room(r);
}

onnxd_status onnx_scope_define(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                               const struct value_info *info, uint32_t *ret_value)
{
    if (name[0] == 0) return error_set(r->err, ONNXD_ERR_MODEL, "a value has no name");
    if (map_get(&scope->names, name, strlen(name)) != MAP_NONE)
        return error_set(r->err, ONNXD_ERR_MODEL, "value '%.200s' is defined twice", name);
    const char *full = scope->is_function ? arena_printf(r->arena, "%s%s", scope->prefix, name) : name;
    if (full == NULL) return no_room(r);
    uint32_t value = graph_add_value(scope->graph, full, info);
    if (value == GRAPH_NONE) return no_room(r);
    onnxd_status status = bind(r, scope, name, value);
    if (status == ONNXD_OK && ret_value != NULL) *ret_value = value;
    return status;
}

onnxd_status onnx_scope_alias(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                              uint32_t value)
{
    if (map_get(&scope->names, name, strlen(name)) != MAP_NONE)
        return error_set(r->err, ONNXD_ERR_MODEL, "a function names '%.200s' twice among inputs and outputs",
                         name);
    return bind(r, scope, name, value);
}

bool onnx_scope_takes_formal(struct onnx_scope *scope, const char *name)
{
    return scope->is_function && map_get(&scope->names, name, strlen(name)) != MAP_NONE;
}

/* The position behind the owner's inputs at which `outer` is handed to its bodies, added when new. */
static onnxd_status capture_position(struct onnx_reader *r, struct node *owner, uint32_t outer, uint32_t *ret)
{
    uint32_t n = owner->n_in + owner->n_captured;
    for (uint32_t i = owner->n_in; i < n; i++)
        if (owner->in[i] == outer) {
            *ret = i;
            return ONNXD_OK;
        }
    uint32_t *in = arena_alloc_array(r->arena, n + 1, sizeof *in);
    if (in == NULL) return no_room(r);
    if (n > 0) memcpy(in, owner->in, n * sizeof *in);
    in[n] = outer;
    owner->in = in;
    owner->n_captured++;
    *ret = n;
    return ONNXD_OK;
}

static onnxd_status capture(struct onnx_reader *r, struct onnx_scope *scope, const char *name, uint32_t outer,
                            uint32_t *ret_value)
{
    struct graph *body = scope->graph;
    struct value_info info = scope->outer->graph->values[outer].info;
    onnxd_status status = onnx_scope_define(r, scope, name, &info, ret_value);
    if (status != ONNXD_OK || info.constant != NULL) return status; /* constants are simply shared */
    uint32_t position;
    status = capture_position(r, scope->owner, outer, &position);
    if (status != ONNXD_OK) return status;
    struct capture *captures = arena_alloc_array(r->arena, body->n_captures + 1, sizeof *captures);
    if (captures == NULL) return no_room(r);
    if (body->n_captures > 0) memcpy(captures, body->captures, body->n_captures * sizeof *captures);
    captures[body->n_captures++] = (struct capture){.outer = position, .inner = *ret_value};
    body->captures = captures;
    return ONNXD_OK;
}

onnxd_status onnx_scope_find(struct onnx_reader *r, struct onnx_scope *scope, const char *name,
                             uint32_t *ret_value)
{
    uint32_t value = map_get(&scope->names, name, strlen(name)), outer;
    if (value != MAP_NONE || scope->outer == NULL) {
        *ret_value = value; /* MAP_NONE is GRAPH_NONE */
        return ONNXD_OK;
    }
    onnxd_status status = onnx_scope_find(r, scope->outer, name, &outer);
    if (status != ONNXD_OK) return status;
    if (outer == GRAPH_NONE || outer == ONNX_LEFT_OUT) {
        *ret_value = outer;
        return ONNXD_OK;
    }
    return capture(r, scope, name, outer, ret_value);
}
