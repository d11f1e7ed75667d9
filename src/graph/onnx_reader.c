#include "graph/onnx_reader.h"

#include <onnx/onnx.pb-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "graph/onnx_attribute.h"
#include "graph/onnx_scan.h"
#include "graph/onnx_scope.h"
#include "graph/onnx_tensor.h"
#include "graph/onnx_type.h"

static onnxd_status no_room(const struct onnx_reader *r)
{
    return error_set(r->err, ONNXD_ERR_LIMIT, "the model does not fit in its memory limit");
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

/* ai.onnx has two spellings. */
static const char *domain_of(const char *domain)
{
    return domain == NULL || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

/* ---- inputs, initializers, outputs --------------------------------------------------------------- */

static onnxd_status read_initializers(struct onnx_reader *r, struct onnx_scope *scope,
                                      const Onnx__GraphProto *proto)
{
    for (size_t i = 0; i < proto->n_initializer + proto->n_sparse_initializer; i++) {
        onnxd_tensor *tensor;
        onnxd_status status;
        const char *name;
        if (i < proto->n_initializer) {
            name = text_of(proto->initializer[i]->name);
            status = onnx_tensor_read(proto->initializer[i], r->folder, r->arena, &tensor, r->err);
        } else {
            const Onnx__SparseTensorProto *sparse = proto->sparse_initializer[i - proto->n_initializer];
            name = sparse->values != NULL ? text_of(sparse->values->name) : "";
            status = onnx_sparse_tensor_read(sparse, r->folder, r->arena, &tensor, r->err);
        }
        if (status != ONNXD_OK) return status;
        struct value_info info = value_info_of_tensor(tensor, true);
        status = onnx_scope_define(r, scope, name, &info, NULL);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

static onnxd_status read_inputs(struct onnx_reader *r, struct onnx_scope *scope,
                                const Onnx__GraphProto *proto)
{
    struct graph *graph = scope->graph;
    graph->inputs = arena_alloc_array(r->arena, proto->n_input, sizeof *graph->inputs);
    if (graph->inputs == NULL) return no_room(r);
    for (size_t i = 0; i < proto->n_input; i++) {
        const Onnx__ValueInfoProto *input = proto->input[i];
        const char *name = text_of(input->name);
        if (map_get(&scope->names, name, strlen(name)) != MAP_NONE) continue; /* an initializer's default */
        struct value_info info = value_info_unknown();
        onnxd_status status = onnx_type_read(input->type, r->symbols, &info, r->err);
        if (status != ONNXD_OK) {
            error_prefix(r->err, "input '%.100s': ", name);
            return status;
        }
        uint32_t value;
        status = onnx_scope_define(r, scope, name, &info, &value);
        if (status != ONNXD_OK) return status;
        graph->inputs[graph->n_inputs++] = value;
    }
    return ONNXD_OK;
}

static onnxd_status read_outputs(struct onnx_reader *r, struct onnx_scope *scope,
                                 const Onnx__GraphProto *proto)
{
    struct graph *graph = scope->graph;
    graph->outputs = arena_alloc_array(r->arena, proto->n_output, sizeof *graph->outputs);
    if (graph->outputs == NULL) return no_room(r);
    if (proto->n_output == 0)
        return error_set(r->err, ONNXD_ERR_MODEL, "graph '%.200s' has no output", graph->name);
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = text_of(proto->output[i]->name);
        uint32_t value;
        onnxd_status status = onnx_scope_find(r, scope, name, &value);
        if (status != ONNXD_OK) return status;
        if (value == GRAPH_NONE || value == ONNX_LEFT_OUT)
            return error_set(r->err, ONNXD_ERR_MODEL, "output '%.200s' is computed by no node", name);
        graph->outputs[graph->n_outputs++] = value;
    }
    return ONNXD_OK;
}

/* ---- nodes --------------------------------------------------------------------------------------- */

static onnxd_status read_nodes(struct onnx_reader *r, struct onnx_scope *scope,
                               Onnx__NodeProto *const *protos, size_t n);

static const Onnx__FunctionProto *find_function(const struct onnx_reader *r, const Onnx__NodeProto *proto)
{
    for (size_t i = 0; i < r->model->n_functions; i++) {
        const Onnx__FunctionProto *f = r->model->functions[i];
        if (strcmp(text_of(f->name), text_of(proto->op_type)) == 0 &&
            strcmp(domain_of(f->domain), domain_of(proto->domain)) == 0)
            return f;
    }
    return NULL;
}

static int64_t opset_of(const struct onnx_scope *scope, const char *domain)
{
    for (size_t i = 0; i < scope->n_opsets; i++)
        if (strcmp(domain_of(scope->opsets[i]->domain), domain) == 0 && scope->opsets[i]->has_version)
            return scope->opsets[i]->version;
    return 1; /* files older than opset imports */
}

/* Nodes of a called function join the caller's graph; its formal names stand for the caller's values. */
static onnxd_status write_out_function(struct onnx_reader *r, struct onnx_scope *caller,
                                       const Onnx__NodeProto *call, const Onnx__FunctionProto *f)
{
    struct onnx_scope scope = {
        .graph = caller->graph,
        .owner = caller->owner,
        .is_function = true,
        .call = call,
        .call_scope = caller,
        .prefix = arena_printf(r->arena, "%s%s/", caller->prefix, text_of(call->name)),
        .opsets = f->n_opset_import > 0 ? f->opset_import : caller->opsets,
        .n_opsets = f->n_opset_import > 0 ? f->n_opset_import : caller->n_opsets,
    };
    onnxd_status status = ONNXD_OK;
    map_init(&scope.names);
    if (++r->function_depth > ONNX_MAX_FUNCTION_DEPTH) {
        status = error_set(r->err, ONNXD_ERR_LIMIT,
                           "function '%.100s': calls are nested deeper than %u, or in a circle",
                           text_of(f->name), ONNX_MAX_FUNCTION_DEPTH);
        goto out;
    }
    if (call->n_input > f->n_input || call->n_output > f->n_output) {
        status = error_set(r->err, ONNXD_ERR_MODEL,
                           "node '%.100s': function '%.100s' takes %zu inputs and %zu outputs",
                           text_of(call->name), text_of(f->name), f->n_input, f->n_output);
        goto out;
    }
    for (size_t i = 0; i < f->n_input && status == ONNXD_OK; i++) {
        uint32_t value = ONNX_LEFT_OUT;
        if (i < call->n_input && call->input[i][0] != 0) {
            status = onnx_scope_find(r, caller, call->input[i], &value);
            if (status == ONNXD_OK && value == GRAPH_NONE)
                status = error_set(r->err, ONNXD_ERR_MODEL,
                                   "node '%.100s': input '%.200s' is computed by no node",
                                   text_of(call->name), call->input[i]);
        }
        if (status == ONNXD_OK) status = onnx_scope_alias(r, &scope, f->input[i], value);
    }
    for (size_t i = 0; i < f->n_output && status == ONNXD_OK; i++) {
        if (i >= call->n_output || call->output[i][0] == 0) continue;
        uint32_t value = map_get(&caller->names, call->output[i], strlen(call->output[i]));
        status = onnx_scope_alias(r, &scope, f->output[i], value);
    }
    if (status == ONNXD_OK) status = read_nodes(r, &scope, f->node, f->n_node);
out:
    r->function_depth--;
    map_done(&scope.names);
    return status;
}

static onnxd_status read_body(struct onnx_reader *r, struct onnx_scope *outer, struct node *owner,
                              const Onnx__GraphProto *proto, struct graph **ret_graph);

static onnxd_status read_attributes(struct onnx_reader *r, struct onnx_scope *scope,
                                    const Onnx__NodeProto *proto, struct node *node)
{
    node->attributes = arena_alloc_array(r->arena, proto->n_attribute, sizeof *node->attributes);
    if (node->attributes == NULL) return no_room(r);
    for (size_t i = 0; i < proto->n_attribute; i++) {
        struct onnx_scope *at = scope;
        const Onnx__AttributeProto *a = onnx_attribute_resolve(proto->attribute[i], &at);
        if (a == NULL) continue; /* refers to an attribute that the caller left out */
        struct attribute *into = &node->attributes[node->n_attributes];
        onnxd_status status = onnx_attribute_read(a, r->folder, r->symbols, r->arena, into, r->err);
        if (status == ONNXD_OK && into->kind == ATTRIBUTE_GRAPH) {
            status = a->g != NULL
                         ? read_body(r, at, node, a->g, &into->graph)
                         : error_set(r->err, ONNXD_ERR_MODEL, "node '%.100s': a body is missing", node->name);
        }
        if (status != ONNXD_OK) return status;
        into->name = arena_strdup(r->arena, text_of(proto->attribute[i]->name));
        if (into->name == NULL) return no_room(r);
        node->n_attributes++;
    }
    return ONNXD_OK;
}

static onnxd_status read_node(struct onnx_reader *r, struct onnx_scope *scope, const Onnx__NodeProto *proto)
{
    const Onnx__FunctionProto *function = find_function(r, proto);
    if (function != NULL) return write_out_function(r, scope, proto, function);
    if (++r->n_nodes > ONNX_MAX_NODES || proto->n_input > UINT16_MAX || proto->n_output > UINT16_MAX)
        return error_set(r->err, ONNXD_ERR_LIMIT, "node '%.100s': too many nodes, inputs or outputs",
                         text_of(proto->name));
    const char *domain = domain_of(proto->domain);
    if (strcmp(domain, "onnxd") == 0)
        return error_set(r->err, ONNXD_ERR_MODEL, "node '%.100s': domain 'onnxd' is reserved",
                         text_of(proto->name));
    const char *name = arena_printf(r->arena, "%s%s", scope->prefix, text_of(proto->name));
    if (name == NULL) return no_room(r);
    if (text_of(proto->name)[0] == 0) name = NULL;
    struct node *node = graph_add_node(scope->graph, domain, text_of(proto->op_type), name,
                                       (uint32_t)proto->n_input, (uint32_t)proto->n_output);
    if (node == NULL) return no_room(r);
    node->opset = opset_of(scope, domain);
    for (size_t i = 0; i < proto->n_input; i++) {
        if (proto->input[i][0] == 0) continue;
        onnxd_status status = onnx_scope_find(r, scope, proto->input[i], &node->in[i]);
        if (status != ONNXD_OK) return status;
        if (node->in[i] == GRAPH_NONE)
            return error_set(r->err, ONNXD_ERR_MODEL,
                             "node '%.100s' (%.64s): input '%.200s' is computed by no node", node->name,
                             node->op_type, proto->input[i]);
        if (node->in[i] == ONNX_LEFT_OUT) node->in[i] = GRAPH_NONE;
    }
    for (size_t i = 0; i < proto->n_output; i++)
        if (proto->output[i][0] != 0)
            node->out[i] = map_get(&scope->names, proto->output[i], strlen(proto->output[i]));
    return read_attributes(r, scope, proto, node);
}

/* Nodes need not stand in order: all outputs are named first, then inputs are looked up. */
static onnxd_status read_nodes(struct onnx_reader *r, struct onnx_scope *scope,
                               Onnx__NodeProto *const *protos, size_t n)
{
    onnxd_status status = ONNXD_OK;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < protos[i]->n_output; k++) {
            const char *name = protos[i]->output[k];
            if (name[0] == 0 || onnx_scope_takes_formal(scope, name)) continue;
            status = onnx_scope_define(r, scope, name, NULL, NULL);
            if (status != ONNXD_OK) return status;
        }
    for (size_t i = 0; i < n && status == ONNXD_OK; i++) status = read_node(r, scope, protos[i]);
    return status;
}

/* A formal output of a function may have been written by two nodes, which naming alone does not see. */
static onnxd_status check_single_producers(struct onnx_reader *r, struct graph *graph)
{
    bool *written = arena_alloc_array(r->arena, graph->n_values, sizeof *written);
    if (written == NULL) return no_room(r);
    for (uint32_t i = 0; i < graph->n_nodes; i++)
        for (uint32_t k = 0; k < graph->nodes[i]->n_out; k++) {
            uint32_t value = graph->nodes[i]->out[k];
            if (value == GRAPH_NONE) continue;
            if (written[value])
                return error_set(r->err, ONNXD_ERR_MODEL, "value '%.200s' is computed by two nodes",
                                 graph->values[value].name);
            written[value] = true;
        }
    return ONNXD_OK;
}

/* ---- graphs -------------------------------------------------------------------------------------- */

static onnxd_status read_graph(struct onnx_reader *r, struct onnx_scope *scope, const Onnx__GraphProto *proto)
{
    scope->graph->name = arena_strdup(r->arena, text_of(proto->name));
    if (scope->graph->name == NULL) return no_room(r);
    onnxd_status status = read_initializers(r, scope, proto);
    if (status == ONNXD_OK) status = read_inputs(r, scope, proto);
    if (status == ONNXD_OK) status = read_nodes(r, scope, proto->node, proto->n_node);
    if (status == ONNXD_OK) status = check_single_producers(r, scope->graph);
    if (status == ONNXD_OK) status = read_outputs(r, scope, proto);
    if (status == ONNXD_OK) status = graph_sort(scope->graph, r->err);
    return status;
}

static onnxd_status read_body(struct onnx_reader *r, struct onnx_scope *outer, struct node *owner,
                              const Onnx__GraphProto *proto, struct graph **ret_graph)
{
    if (++r->body_depth > ONNX_MAX_BODY_DEPTH)
        return error_set(r->err, ONNXD_ERR_LIMIT, "node '%.100s': bodies are nested deeper than %u",
                         owner->name, ONNX_MAX_BODY_DEPTH);
    struct graph *graph = graph_create(r->arena);
    if (graph == NULL) return no_room(r);
    struct onnx_scope scope = {.graph = graph,
                               .outer = outer,
                               .owner = owner,
                               .call = outer->call,
                               .call_scope = outer->call_scope,
                               .prefix = outer->prefix,
                               .opsets = outer->opsets,
                               .n_opsets = outer->n_opsets};
    map_init(&scope.names);
    onnxd_status status = read_graph(r, &scope, proto);
    map_done(&scope.names);
    r->body_depth--;
    if (status == ONNXD_OK) *ret_graph = graph;
    return status;
}

/* ---- the file ------------------------------------------------------------------------------------ */

static void *arena_allocate(void *context, size_t n_bytes)
{
    return arena_alloc(context, n_bytes);
}

static void arena_release(void *context, void *pointer) /* the arena goes as a whole */
{
    (void)context;
    (void)pointer;
}

static onnxd_status read_model(struct onnx_reader *r, struct onnx_facts *facts)
{
    const Onnx__ModelProto *model = r->model;
    if (model->graph == NULL)
        return error_set(r->err, ONNXD_ERR_FORMAT, "not a valid ONNX model: it has no graph");
    struct onnx_scope scope = {
        .graph = r->symbols, .prefix = "", .opsets = model->opset_import, .n_opsets = model->n_opset_import};
    map_init(&scope.names);
    onnxd_status status = read_graph(r, &scope, model->graph);
    map_done(&scope.names);
    if (status != ONNXD_OK) return status;
    facts->ir_version = model->has_ir_version ? model->ir_version : 0;
    facts->opset = opset_of(&scope, "");
    facts->producer = arena_printf(r->arena, "%s%s%s", text_of(model->producer_name),
                                   model->producer_version != NULL ? " " : "",
                                   text_of(model->producer_version));
    return facts->producer != NULL ? ONNXD_OK : no_room(r);
}

onnxd_status onnx_read(const void *bytes, size_t n_bytes, const char *folder, size_t max_bytes,
                       struct arena *arena, struct graph **ret_graph, struct onnx_facts *ret_facts,
                       onnxd_error *err)
{
    struct arena message_arena;
    struct onnx_facts facts;
    struct onnx_reader r = {.arena = arena, .folder = folder, .err = err};
    arena_init(&message_arena, max_bytes);
    ProtobufCAllocator allocator = {arena_allocate, arena_release, &message_arena};
    Onnx__ModelProto *model = NULL;
    onnxd_status status = onnx_scan(&onnx__model_proto__descriptor, bytes, n_bytes, max_bytes, err);
    if (status != ONNXD_OK) goto out;
    model = onnx__model_proto__unpack(&allocator, n_bytes, bytes);
    if (model == NULL) {
        status = error_set(err, ONNXD_ERR_FORMAT, "not a valid ONNX file: the message cannot be decoded");
        goto out;
    }
    r.model = model;
    r.symbols = graph_create(arena);
    if (r.symbols == NULL) {
        status = no_room(&r);
        goto out;
    }
    status = read_model(&r, &facts);
    if (status != ONNXD_OK) goto out;
    *ret_graph = r.symbols;
    *ret_facts = facts;
out:
    arena_done(&message_arena);
    return status;
}
