#include "neat/network.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { NODE_ARRAYS = 4, GENE_ARRAYS = 2 };

/* Node states while ordering; above them lie slots. */
enum { UNSEEN = 0, OPEN = 1, PLACED = 2 };

/* The compiler's scratch, laid over its two buffers. */
struct view {
    uint32_t *state;  /* by node number: UNSEEN, OPEN or PLACED */
    uint32_t *slot;   /* by node number */
    uint32_t *head;   /* by node number: latest enabled gene into it, or NONE */
    uint32_t *stack;  /* open nodes */
    uint32_t *next;   /* by gene: the gene before it into the same node, or NONE */
    uint32_t *cursor; /* by depth of the stack: the next gene to look at (depth never exceeds genes + 1) */
};

#define NONE UINT32_MAX

void network_compiler_done(struct network_compiler *compiler)
{
    free(compiler->node_words);
    free(compiler->gene_words);
    *compiler = (struct network_compiler){0};
}

static bool reserve(struct network_compiler *c, uint32_t n_nodes, uint32_t n_genes, struct view *ret_view)
{
    if (n_nodes > c->n_nodes) {
        uint32_t n = n_nodes + n_nodes / 2 + 64;
        uint32_t *words = malloc((size_t)n * NODE_ARRAYS * sizeof *words);
        if (words == NULL) return false;
        free(c->node_words);
        c->node_words = words;
        c->n_nodes = n;
    }
    if (n_genes > c->n_genes) {
        uint32_t n = n_genes + n_genes / 2 + 64;
        uint32_t *words = malloc((size_t)n * GENE_ARRAYS * sizeof *words);
        if (words == NULL) return false;
        free(c->gene_words);
        c->gene_words = words;
        c->n_genes = n;
    }
    *ret_view = (struct view){
        .state = c->node_words,
        .slot = c->node_words + c->n_nodes,
        .head = c->node_words + 2 * (size_t)c->n_nodes,
        .stack = c->node_words + 3 * (size_t)c->n_nodes,
        .next = c->gene_words,
        .cursor = c->gene_words + c->n_genes,
    };
    return true;
}

/* Lists the enabled genes into each node, earliest innovation first. */
static void list_genes(const struct view *v, const struct genome *genome, uint32_t first_output)
{
    for (uint32_t i = 0; i < first_output; i++) {
        v->state[i] = PLACED;
        v->slot[i] = i;
    }
    for (uint32_t i = 0; i < genome->n_nodes; i++) {
        uint32_t id = genome->nodes[i].id;
        v->state[id] = UNSEEN;
        v->head[id] = NONE;
    }
    for (uint32_t i = genome->n_genes; i-- > 0;) {
        const struct gene *g = &genome->genes[i];
        if (!g->enabled) continue;
        v->next[i] = v->head[g->to];
        v->head[g->to] = i;
    }
}

struct order {
    struct network_node *nodes;
    uint32_t n_nodes;
    uint32_t first_slot;
};

/* Places `root` and all it needs, sources first (depth first with a stack of its own: genomes may be
 * deep). False on a cycle. */
static bool place(const struct view *v, const struct genome *genome, uint32_t root, struct order *order)
{
    if (v->state[root] != UNSEEN) return true;
    uint32_t depth = 0;
    v->stack[0] = root;
    v->cursor[0] = v->head[root];
    v->state[root] = OPEN;
    for (;;) {
        uint32_t id = v->stack[depth], g = v->cursor[depth];
        if (g == NONE) {
            v->state[id] = PLACED;
            v->slot[id] = order->first_slot + order->n_nodes;
            order->nodes[order->n_nodes++].id = id;
            if (depth-- == 0) return true;
            continue;
        }
        v->cursor[depth] = v->next[g];
        uint32_t from = genome->genes[g].from;
        if (genome->genes[g].recurrent || v->state[from] == PLACED) continue;
        if (v->state[from] == OPEN) return false;
        v->state[from] = OPEN;
        v->stack[++depth] = from;
        v->cursor[depth] = v->head[from];
    }
}

/* Places the outputs, then what the placed nodes remember, until nothing is added. */
static bool place_all(const struct view *v, const struct genome *genome, uint32_t n_outputs,
                      struct order *order)
{
    for (uint32_t i = 0; i < n_outputs; i++)
        if (!place(v, genome, genome->nodes[i].id, order)) return false;
    for (uint32_t done = 0; done < order->n_nodes; done++)
        for (uint32_t g = v->head[order->nodes[done].id]; g != NONE; g = v->next[g])
            if (genome->genes[g].recurrent && !place(v, genome, genome->genes[g].from, order)) return false;
    return true;
}

static uint32_t activation_of(const struct genome *genome, uint32_t id)
{
    uint32_t low = 0, high = genome->n_nodes - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (genome->nodes[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return genome->nodes[low].activation;
}

static void write_links(const struct view *v, const struct genome *genome, struct network *network)
{
    for (uint32_t i = 0; i < network->n_nodes; i++) {
        struct network_node *node = &network->nodes[i];
        node->activation = activation_of(genome, node->id);
        for (uint32_t g = v->head[node->id]; g != NONE; g = v->next[g]) {
            const struct gene *gene = &genome->genes[g];
            uint32_t source = v->slot[gene->from];
            if (gene->recurrent) {
                source += network->n_nodes;
                network->recurrent = true;
            }
            network->links[network->n_links++] = (struct network_link){.source = source,
                                                                       .weight = gene->weight};
        }
        node->end_link = network->n_links;
    }
}

onnxd_status network_compile(struct network_compiler *compiler, const struct genome *genome,
                             const struct genome_shape *shape, struct arena *arena,
                             struct network *ret_network, onnxd_error *err)
{
    uint32_t first_output = shape_first_output(shape);
    uint32_t n_ids = genome->nodes[genome->n_nodes - 1].id + 1;
    struct view view;
    if (!reserve(compiler, n_ids, genome->n_genes + 1, &view))
        return error_set(err, ONNXD_ERR_NOMEM, "network: no memory to compile %u genes", genome->n_genes);
    struct network network = {.n_inputs = shape->n_inputs, .n_outputs = shape->n_outputs};
    network.links = arena_alloc(arena, genome->n_genes * sizeof *network.links);
    network.nodes = arena_alloc(arena, genome->n_nodes * sizeof *network.nodes);
    network.outputs = arena_alloc(arena, shape->n_outputs * sizeof *network.outputs);
    if (network.links == NULL || network.nodes == NULL || network.outputs == NULL)
        return error_set(err, ONNXD_ERR_LIMIT, "network: %u genes do not fit the arena", genome->n_genes);
    list_genes(&view, genome, first_output);
    struct order order = {.nodes = network.nodes, .first_slot = first_output};
    if (!place_all(&view, genome, shape->n_outputs, &order))
        return error_set(err, ONNXD_ERR_FORMAT, "network: the genome's forward genes form a cycle");
    network.n_nodes = order.n_nodes;
    write_links(&view, genome, &network);
    for (uint32_t i = 0; i < shape->n_outputs; i++) network.outputs[i] = view.slot[genome->nodes[i].id];
    network.n_slots = first_output + network.n_nodes * (network.recurrent ? 2 : 1);
    *ret_network = network;
    return ONNXD_OK;
}

void network_reset(const struct network *network, f32x4 *slots)
{
    memset(slots, 0, network->n_slots * sizeof *slots);
    slots[network->n_inputs] = f32x4_all(1.0f);
}

void network_activate(const struct network *network, f32x4 *slots)
{
    const struct network_link *link = network->links;
    f32x4 *slot = slots + network->n_inputs + 1;
    f32x4 *memory = slot + network->n_nodes;
    for (uint32_t i = 0; i < network->n_nodes; i++) {
        const struct network_node *node = &network->nodes[i];
        const struct network_link *end = network->links + node->end_link;
        f32x4 sum = f32x4_all(0.0f);
        for (; link < end; link++) sum += slots[link->source] * f32x4_all(link->weight);
        *slot++ = node->activation == ACTIVATION_SIGMOID ? f32x4_sigmoid(sum)
                                                         : activation_apply(node->activation, sum);
    }
    if (network->recurrent) memcpy(memory, slots + network->n_inputs + 1, network->n_nodes * sizeof *memory);
}

void network_run_rows(const struct network *network, const float *in, uint32_t n_rows, float *ret_out,
                      f32x4 *slots)
{
    uint32_t n_in = network->n_inputs, n_out = network->n_outputs;
    network_reset(network, slots);
    for (uint32_t row = 0; row < n_rows; row += 4) {
        uint32_t n = n_rows - row < 4 ? n_rows - row : 4;
        for (uint32_t i = 0; i < n_in; i++)
            for (uint32_t lane = 0; lane < n; lane++) slots[i][lane] = in[(row + lane) * n_in + i];
        network_activate(network, slots);
        for (uint32_t i = 0; i < n_out; i++)
            for (uint32_t lane = 0; lane < n; lane++)
                ret_out[(row + lane) * n_out + i] = slots[network->outputs[i]][lane];
    }
}
