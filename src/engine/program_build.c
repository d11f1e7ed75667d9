#include "engine/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/memory_plan.h"
#include "engine/program_internal.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

#define NEVER   UINT32_MAX
#define FOREVER (UINT32_MAX - 1)

/* Results larger than this are computed in each run rather than kept with the program. */
#define MAX_FOLDED_BYTES ((size_t)4 << 20)

enum value_kind { VALUE_UNSET, VALUE_CONSTANT, VALUE_INPUT, VALUE_SCRATCH, VALUE_OUTPUT, VALUE_DYNAMIC };

struct value_plan {
    enum value_kind kind; /* of a root; what holds the bytes */
    uint32_t root;        /* the value whose bytes these are: itself, or what it is a view of */
    uint32_t index;       /* input or output number */
    uint32_t first, last; /* nodes between which a root's bytes must be kept */
    bool needed;
};

enum node_kind { NODE_DROPPED, NODE_FOLDED, NODE_STEP, NODE_VIEW, NODE_DYNAMIC };

struct node_plan {
    enum node_kind kind;
    struct op_plan op;
};

struct builder {
    const struct graph *graph;
    struct program *program;
    struct arena *arena;  /* the program's */
    struct arena scratch; /* of the building */
    struct evaluator *evaluator;
    struct value_info *infos;  /* [n_values] exact where known */
    struct value_plan *values; /* [n_values] */
    struct node_plan *nodes;   /* [n_nodes] */
    onnxd_tensor *tensors;     /* [n_values] what steps point to */
    onnxd_tensor *copies;      /* [n_outputs] outputs that are views of something else */
    uint32_t n_copies;
    size_t *workspace_offsets; /* [n_nodes] */
    onnxd_error *err;
};

static onnxd_status no_room(struct builder *b)
{
    return error_set(b->err, ONNXD_ERR_LIMIT, "the program does not fit in the session's memory limit");
}

/* ---- 1. exact shapes, and what is constant for them ---------------------------------------------- */

static onnxd_status start_values(struct builder *b, const onnxd_tensor *in)
{
    const struct graph *graph = b->graph;
    for (uint32_t v = 0; v < graph->n_values; v++) {
        b->infos[v] = value_info_unknown();
        b->values[v] = (struct value_plan){.root = v, .first = NEVER};
        const onnxd_tensor *constant = graph->values[v].info.constant;
        if (constant == NULL) continue;
        b->infos[v] = value_info_of_tensor(constant, true);
        b->tensors[v] = *constant;
        b->values[v].kind = VALUE_CONSTANT;
    }
    for (uint32_t i = 0; i < graph->n_inputs; i++) {
        uint32_t v = graph->inputs[i];
        b->tensors[v] = in[i];
        b->tensors[v].data = NULL;
        b->infos[v] = value_info_of_tensor(&b->tensors[v], false);
        b->values[v].kind = VALUE_INPUT;
        b->values[v].index = i;
    }
    return ONNXD_OK;
}

static bool info_is_exact(const struct value_info *info)
{
    int64_t dims[ONNXD_MAX_RANK];
    return info->type != ONNXD_UNDEFINED && value_info_static_dims(info, dims);
}

static bool inputs_are_exact(const struct builder *b, const struct node *node)
{
    for (uint32_t i = 0; i < node->n_in + node->n_captured; i++)
        if (node->in[i] != GRAPH_NONE && !info_is_exact(&b->infos[node->in[i]])) return false;
    return true;
}

static bool may_fold(const struct builder *b, const struct node *node, const struct value_info *out)
{
    if ((node->op->flags & OP_IMPURE) != 0 || node->n_captured > 0) return false;
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] != GRAPH_NONE && b->infos[node->in[i]].constant == NULL) return false;
    return evaluate_outputs_fit(node, out, MAX_FOLDED_BYTES);
}

static void make_constant(struct builder *b, uint32_t v, const onnxd_tensor *tensor)
{
    b->tensors[v] = *tensor;
    b->infos[v] = value_info_of_tensor(&b->tensors[v], true);
    b->values[v].kind = VALUE_CONSTANT;
}

static onnxd_status fold(struct builder *b, const struct node *node)
{
    const onnxd_tensor **in = arena_alloc_array(&b->scratch, node->n_in, sizeof *in);
    onnxd_tensor *out = arena_alloc_array(&b->scratch, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return no_room(b);
    for (uint32_t i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == GRAPH_NONE ? NULL : b->infos[node->in[i]].constant;
    onnxd_status status = evaluate_node(b->evaluator, node, in, out, b->arena, b->err);
    for (uint32_t i = 0; i < node->n_out && status == ONNXD_OK; i++)
        if (node->out[i] != GRAPH_NONE) make_constant(b, node->out[i], &out[i]);
    return status;
}

/* Planned outputs get their exact tensor; contents that are all known make them constant instead. */
static onnxd_status settle_outputs(struct builder *b, const struct node *node, struct node_plan *plan,
                                   struct value_info *out)
{
    bool all_constant = true;
    for (uint32_t i = 0; i < node->n_out; i++) {
        uint32_t v = node->out[i];
        if (v == GRAPH_NONE) continue;
        const onnxd_tensor *constant = value_info_constant(&out[i], b->arena);
        if (constant != NULL) {
            make_constant(b, v, constant);
            continue;
        }
        all_constant = false;
        size_t n_bytes;
        int64_t dims[ONNXD_MAX_RANK];
        b->infos[v] = out[i];
        b->infos[v].contents = NULL;
        (void)value_info_static_dims(&out[i], dims);
        if (!shape_n_bytes(out[i].type, dims, (uint32_t)out[i].rank, &n_bytes))
            return op_error(b->err, node, ONNXD_ERR_LIMIT, "output %u is too large", i);
        b->tensors[v] = (onnxd_tensor){.type = out[i].type, .rank = (uint32_t)out[i].rank};
        memcpy(b->tensors[v].dims, dims, b->tensors[v].rank * sizeof *dims);
        b->values[v].kind = VALUE_SCRATCH;
    }
    plan->kind = all_constant ? NODE_FOLDED : NODE_STEP;
    return ONNXD_OK;
}

static void make_dynamic(struct builder *b, const struct node *node, struct node_plan *plan)
{
    plan->kind = NODE_DYNAMIC;
    for (uint32_t i = 0; i < node->n_out; i++)
        if (node->out[i] != GRAPH_NONE) {
            b->infos[node->out[i]] = value_info_unknown();
            b->values[node->out[i]].kind = VALUE_DYNAMIC;
        }
}

static onnxd_status follow_node(struct builder *b, const struct node *node, struct node_plan *plan)
{
    if (!inputs_are_exact(b, node)) {
        make_dynamic(b, node, plan);
        return ONNXD_OK;
    }
    const struct value_info **in = arena_alloc_array(&b->scratch, node->n_in, sizeof *in);
    struct value_info *out = arena_alloc_array(&b->scratch, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return no_room(b);
    for (uint32_t i = 0; i < node->n_in; i++)
        in[i] = node->in[i] == GRAPH_NONE ? NULL : &b->infos[node->in[i]];
    for (uint32_t i = 0; i < node->n_out; i++) out[i] = value_info_unknown();
    struct op_shapes s = {
        .node = node, .in = in, .n_in = node->n_in, .out = out, .n_out = node->n_out, .arena = &b->scratch};
    onnxd_status status = node->op->shapes(&s, b->err);
    if (status != ONNXD_OK) return status;
    bool exact = true, dynamic = (node->op->flags & OP_DYNAMIC) != 0;
    for (uint32_t i = 0; i < node->n_out && exact; i++) {
        if (node->out[i] == GRAPH_NONE) continue;
        exact = info_is_exact(&out[i]) && !type_is_container(out[i].type);
        dynamic = dynamic || ((node->op->flags & OP_STRINGS) != 0 && out[i].type == ONNXD_STRING);
    }
    if (!exact || dynamic) {
        make_dynamic(b, node, plan);
        return ONNXD_OK;
    }
    if (may_fold(b, node, out)) {
        plan->kind = NODE_FOLDED;
        return fold(b, node);
    }
    return settle_outputs(b, node, plan, out);
}

/* ---- 2. what is needed, and when it is last read ------------------------------------------------- */

static void find_needed(struct builder *b)
{
    const struct graph *graph = b->graph;
    for (uint32_t j = 0; j < graph->n_outputs; j++) {
        b->values[graph->outputs[j]].needed = true;
        b->values[graph->outputs[j]].last = FOREVER;
    }
    for (uint32_t i = graph->n_nodes; i-- > 0;) {
        const struct node *node = graph->nodes[i];
        bool needed = false;
        for (uint32_t k = 0; k < node->n_out; k++)
            needed = needed || (node->out[k] != GRAPH_NONE && b->values[node->out[k]].needed);
        if (b->nodes[i].kind == NODE_FOLDED) continue;
        if (!needed) {
            b->nodes[i].kind = NODE_DROPPED;
            continue;
        }
        for (uint32_t k = 0; k < node->n_in + node->n_captured; k++) {
            if (node->in[k] == GRAPH_NONE) continue;
            struct value_plan *value = &b->values[node->in[k]];
            value->needed = true;
            if (value->last < i) value->last = i; /* FOREVER stays */
        }
        for (uint32_t k = 0; k < node->n_out; k++)
            if (node->out[k] != GRAPH_NONE) b->values[node->out[k]].first = i;
    }
}

/* ---- 3. operators choose their functions; views and in-place outputs share memory ----------------- */

static onnxd_status prepare_node(struct builder *b, uint32_t i)
{
    const struct node *node = b->graph->nodes[i];
    uint32_t n_in = node->n_in + node->n_captured;
    const onnxd_tensor **in = arena_alloc_array(b->arena, n_in, sizeof *in);
    onnxd_tensor **out = arena_alloc_array(b->arena, node->n_out, sizeof *out);
    if (in == NULL || out == NULL) return no_room(b);
    for (uint32_t k = 0; k < n_in; k++) in[k] = node->in[k] == GRAPH_NONE ? NULL : &b->tensors[node->in[k]];
    for (uint32_t k = 0; k < node->n_out; k++) {
        uint32_t v = node->out[k];
        /* The first output always has a place, so that operators need not ask. */
        out[k] = v != GRAPH_NONE && (k == 0 || b->values[v].needed) ? &b->tensors[v] : NULL;
    }
    struct node_plan *plan = &b->nodes[i];
    plan->op = (struct op_plan){.node = node,
                                .in = in,
                                .n_in = node->n_in,
                                .out = (const onnxd_tensor *const *)out,
                                .n_out = node->n_out,
                                .arena = b->arena,
                                .run = node->op->run,
                                .view_of = -1,
                                .in_place_of = -1};
    if (plan->kind == NODE_DYNAMIC || node->op->prepare == NULL) return ONNXD_OK;
    return node->op->prepare(&plan->op, b->err);
}

static bool same_bytes(const onnxd_tensor *x, const onnxd_tensor *y)
{
    return onnxd_tensor_n_bytes(x) == onnxd_tensor_n_bytes(y);
}

static void share_memory(struct builder *b, uint32_t i)
{
    struct node_plan *plan = &b->nodes[i];
    const struct node *node = b->graph->nodes[i];
    int32_t view = plan->op.view_of, in_place = plan->op.in_place_of;
    if (plan->kind != NODE_STEP || node->out[0] == GRAPH_NONE) return;
    int32_t from = view >= 0 ? view : in_place;
    if (from < 0 || node->in[from] == GRAPH_NONE) return;
    uint32_t root = b->values[node->in[from]].root, out = node->out[0];
    struct value_plan *holder = &b->values[root];
    if (!same_bytes(&b->tensors[node->in[from]], &b->tensors[out]) || holder->kind == VALUE_DYNAMIC) return;
    if (view < 0 && (holder->kind != VALUE_SCRATCH || holder->last != i)) return;
    if (view >= 0) plan->kind = NODE_VIEW;
    uint32_t last = b->values[out].last;
    b->values[out].root = root;
    if (holder->last < last) holder->last = last;
}

/* ---- 4. places ----------------------------------------------------------------------------------- */

static void claim_outputs(struct builder *b)
{
    for (uint32_t j = 0; j < b->graph->n_outputs; j++) {
        uint32_t v = b->graph->outputs[j];
        struct value_plan *root = &b->values[b->values[v].root];
        struct program_output *output = &b->program->outputs[j];
        output->tensor = &b->tensors[v];
        /* Strings and containers lead to further memory, which a plain copy would not follow. */
        bool plain = !type_is_container(b->tensors[v].type) && b->tensors[v].type != ONNXD_STRING;
        output->planned = b->values[v].kind != VALUE_DYNAMIC && plain;
        if (!output->planned) continue;
        if (root->kind == VALUE_SCRATCH) {
            root->kind = VALUE_OUTPUT;
            root->index = j;
        } else { /* an input, a constant or another output: copied at the end */
            b->copies[j] = b->tensors[v];
            output->tensor = &b->copies[j];
            b->n_copies++;
        }
    }
}

/* Scratch values and workspaces, in the order of the nodes that first need them. */
static onnxd_status plan_memory(struct builder *b)
{
    const struct graph *graph = b->graph;
    uint32_t n = 0, capacity = graph->n_nodes;
    for (uint32_t i = 0; i < graph->n_nodes; i++) capacity += graph->nodes[i]->n_out;
    struct memory_span *spans = arena_alloc_array(&b->scratch, capacity, sizeof *spans);
    size_t **targets = arena_alloc_array(&b->scratch, capacity, sizeof *targets);
    size_t *value_offsets = arena_alloc_array(&b->scratch, graph->n_values, sizeof *value_offsets);
    if (spans == NULL || targets == NULL || value_offsets == NULL) return no_room(b);
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];
        if (b->nodes[i].kind != NODE_STEP) continue;
        for (uint32_t k = 0; k < node->n_out; k++) {
            uint32_t v = node->out[k];
            if (v == GRAPH_NONE || b->nodes[i].op.out[k] == NULL || b->values[v].root != v ||
                b->values[v].kind != VALUE_SCRATCH)
                continue;
            uint32_t last = b->values[v].last < i ? i : b->values[v].last;
            spans[n] = (struct memory_span){onnxd_tensor_n_bytes(&b->tensors[v]), i, last, 0};
            targets[n++] = &value_offsets[v];
        }
        if (b->nodes[i].op.workspace_bytes > 0) {
            spans[n] = (struct memory_span){b->nodes[i].op.workspace_bytes, i, i, 0};
            targets[n++] = &b->workspace_offsets[i];
        }
    }
    if (!memory_plan(spans, n, &b->program->scratch_bytes)) return no_room(b);
    for (uint32_t s = 0; s < n; s++) *targets[s] = spans[s].offset;

    struct program *program = b->program;
    program->places = arena_alloc_array(b->arena, graph->n_values + graph->n_nodes, sizeof *program->places);
    if (program->places == NULL) return no_room(b);
    for (uint32_t v = 0; v < graph->n_values; v++) {
        uint32_t root = b->values[v].root;
        if (b->values[root].kind == VALUE_SCRATCH && b->values[root].first != NEVER)
            program->places[program->n_places++] = (struct place){&b->tensors[v].data, value_offsets[root]};
    }
    return ONNXD_OK;
}

static onnxd_status bind_values(struct builder *b, enum value_kind kind, uint32_t index, void **extra,
                                struct binding *ret)
{
    uint32_t n = extra != NULL;
    for (uint32_t v = 0; v < b->graph->n_values; v++) {
        const struct value_plan *root = &b->values[b->values[v].root];
        n += root->kind == kind && root->index == index;
    }
    ret->slots = arena_alloc_array(b->arena, n + 1, sizeof(void **));
    if (ret->slots == NULL) return no_room(b);
    for (uint32_t v = 0; v < b->graph->n_values; v++) {
        const struct value_plan *root = &b->values[b->values[v].root];
        if (root->kind == kind && root->index == index) ret->slots[ret->n++] = &b->tensors[v].data;
    }
    if (extra != NULL) ret->slots[ret->n++] = extra;
    return ONNXD_OK;
}

static onnxd_status bind_all(struct builder *b)
{
    struct program *program = b->program;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < program->n_inputs && status == ONNXD_OK; i++)
        status = bind_values(b, VALUE_INPUT, i, NULL, &program->inputs[i]);
    for (uint32_t j = 0; j < program->n_outputs && status == ONNXD_OK; j++) {
        struct program_output *output = &program->outputs[j];
        bool copied = output->planned && output->tensor == &b->copies[j];
        if (output->planned)
            status = bind_values(b, VALUE_OUTPUT, j, copied ? &b->copies[j].data : NULL, &output->binding);
    }
    for (uint32_t v = 0; v < b->graph->n_values; v++) { /* views of constants */
        uint32_t root = b->values[v].root;
        if (root != v && b->values[root].kind == VALUE_CONSTANT) b->tensors[v].data = b->tensors[root].data;
    }
    return status;
}

/* ---- 5. steps ------------------------------------------------------------------------------------ */

static onnxd_status run_output_copy(struct op_run *run, onnxd_error *err)
{
    (void)err;
    size_t n_bytes = onnxd_tensor_n_bytes(run->in[0]);
    if (n_bytes > 0) memcpy(run->out[0]->data, run->in[0]->data, n_bytes);
    return ONNXD_OK;
}

static void emit_node(struct builder *b, uint32_t i)
{
    struct program *program = b->program;
    struct node_plan *plan = &b->nodes[i];
    if (plan->kind != NODE_STEP && plan->kind != NODE_DYNAMIC) return;
    struct step *step = &program->steps[program->n_steps++];
    *step = (struct step){.fn = plan->kind == NODE_DYNAMIC ? NULL : plan->op.run,
                          .workspace_bytes = plan->op.workspace_bytes,
                          .run = {.node = plan->op.node,
                                  .in = plan->op.in,
                                  .n_in = plan->op.n_in,
                                  .out = (onnxd_tensor *const *)(const void *)plan->op.out,
                                  .n_out = plan->op.n_out,
                                  .state = plan->op.state}};
    if (step->fn == NULL) program->n_dynamic++;
    if (step->workspace_bytes > 0)
        program->places[program->n_places++] = (struct place){&step->run.workspace, b->workspace_offsets[i]};
}

static onnxd_status emit_copies(struct builder *b)
{
    for (uint32_t j = 0; j < b->program->n_outputs; j++) {
        if (b->program->outputs[j].tensor != &b->copies[j]) continue;
        const onnxd_tensor **in = arena_alloc_array(b->arena, 1, sizeof *in);
        onnxd_tensor **out = arena_alloc_array(b->arena, 1, sizeof *out);
        struct node *node = arena_alloc_zeroed(b->arena, sizeof *node);
        if (in == NULL || out == NULL || node == NULL) return no_room(b);
        *node = (struct node){.name = "output", .op_type = "Copy", .domain = "onnxd"};
        in[0] = &b->tensors[b->graph->outputs[j]];
        out[0] = &b->copies[j];
        b->program->steps[b->program->n_steps++] = (struct step){
            .fn = run_output_copy, .run = {.node = node, .in = in, .n_in = 1, .out = out, .n_out = 1}};
    }
    return ONNXD_OK;
}

static onnxd_status emit_steps(struct builder *b)
{
    uint32_t n = b->graph->n_nodes + b->n_copies;
    b->program->steps = arena_alloc_array(b->arena, n + 1, sizeof *b->program->steps);
    if (b->program->steps == NULL) return no_room(b);
    for (uint32_t i = 0; i < b->graph->n_nodes; i++) emit_node(b, i);
    return emit_copies(b);
}

/* ---- all together -------------------------------------------------------------------------------- */

static bool allocate_tables(struct builder *b, const onnxd_tensor *in)
{
    const struct graph *graph = b->graph;
    struct program *program = b->program;
    program->n_inputs = graph->n_inputs;
    program->n_outputs = graph->n_outputs;
    program->signature = arena_memdup(b->arena, in, graph->n_inputs * sizeof *in);
    program->inputs = arena_alloc_array(b->arena, graph->n_inputs, sizeof *program->inputs);
    program->outputs = arena_alloc_array(b->arena, graph->n_outputs, sizeof *program->outputs);
    b->tensors = arena_alloc_array(b->arena, graph->n_values, sizeof *b->tensors);
    b->copies = arena_alloc_array(b->arena, graph->n_outputs, sizeof *b->copies);
    b->infos = arena_alloc_array(&b->scratch, graph->n_values, sizeof *b->infos);
    b->values = arena_alloc_array(&b->scratch, graph->n_values, sizeof *b->values);
    b->nodes = arena_alloc_array(&b->scratch, graph->n_nodes, sizeof *b->nodes);
    b->workspace_offsets = arena_alloc_array(&b->scratch, graph->n_nodes, sizeof *b->workspace_offsets);
    return program->signature != NULL && program->inputs != NULL && program->outputs != NULL &&
           b->tensors != NULL && b->copies != NULL && b->infos != NULL && b->values != NULL &&
           b->nodes != NULL && b->workspace_offsets != NULL;
}

static onnxd_status build(struct builder *b, const onnxd_tensor *in)
{
    if (!allocate_tables(b, in)) return no_room(b);
    onnxd_status status = start_values(b, in);
    for (uint32_t i = 0; i < b->graph->n_nodes && status == ONNXD_OK; i++)
        status = follow_node(b, b->graph->nodes[i], &b->nodes[i]);
    if (status != ONNXD_OK) return status;
    find_needed(b);
    for (uint32_t i = 0; i < b->graph->n_nodes && status == ONNXD_OK; i++) {
        if (b->nodes[i].kind != NODE_STEP && b->nodes[i].kind != NODE_DYNAMIC) continue;
        status = prepare_node(b, i);
        if (status == ONNXD_OK) share_memory(b, i);
    }
    if (status == ONNXD_OK) claim_outputs(b);
    if (status == ONNXD_OK) status = plan_memory(b);
    if (status == ONNXD_OK) status = bind_all(b);
    if (status == ONNXD_OK) status = emit_steps(b);
    return status;
}

onnxd_status program_create(const struct graph *graph, const onnxd_tensor *in, struct evaluator *evaluator,
                            size_t limit_bytes, struct program **ret_program, onnxd_error *err)
{
    struct program *program = calloc(1, sizeof *program);
    if (program == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a program");
    arena_init(&program->arena, limit_bytes);
    struct builder b = {
        .graph = graph, .program = program, .arena = &program->arena, .evaluator = evaluator, .err = err};
    arena_init(&b.scratch, limit_bytes);
    onnxd_status status = build(&b, in);
    arena_done(&b.scratch);
    if (status == ONNXD_OK)
        *ret_program = program;
    else
        program_free(program);
    return status;
}
