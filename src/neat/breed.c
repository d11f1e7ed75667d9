#include "neat/breed.h"

#include <stdlib.h>
#include <string.h>

enum { LINK_TRIES = 20 }; /* draws of two nodes before a genome counts as fully linked */

void breed_init(struct breeder *breeder, const struct neat_params *params, const struct genome_shape *shape,
                struct innovations *innovations)
{
    *breeder = (struct breeder){.params = params, .shape = *shape, .innovations = innovations};
    for (uint32_t i = 0; i < N_ACTIVATIONS; i++)
        if (params->hidden_activations >> i & 1) breeder->activations[breeder->n_activations++] = i;
    breeder->perturb_below = (uint64_t)(params->weight_perturb_rate * 65536);
}

void breed_done(struct breeder *breeder)
{
    genome_marks_done(&breeder->marks);
    free(breeder->child.genes);
    free(breeder->child.nodes);
    breeder->child = (struct genome){0};
    breeder->genes_capacity = breeder->nodes_capacity = 0;
}

static bool chance(struct rng *rng, double rate)
{
    return rate > 0 && rng_f64(rng) < rate;
}

static float uniform(struct rng *rng, double range)
{
    return (float)((2 * rng_f64(rng) - 1) * range);
}

static bool reserve(struct breeder *b, uint32_t n_genes, uint32_t n_nodes)
{
    if (n_genes > b->genes_capacity) {
        uint32_t n = n_genes + n_genes / 2 + 16;
        struct gene *genes = realloc(b->child.genes, n * sizeof *genes);
        if (genes == NULL) return false;
        b->child.genes = genes;
        b->genes_capacity = n;
    }
    if (n_nodes > b->nodes_capacity) {
        uint32_t n = n_nodes + n_nodes / 2 + 16;
        struct node_gene *nodes = realloc(b->child.nodes, n * sizeof *nodes);
        if (nodes == NULL) return false;
        b->child.nodes = nodes;
        b->nodes_capacity = n;
    }
    return genome_marks_reserve(&b->marks, innovations_n_nodes(b->innovations) + 1, n_genes);
}

static bool insert_gene(struct breeder *b, struct gene gene)
{
    struct genome *child = &b->child;
    if (!reserve(b, child->n_genes + 1, child->n_nodes)) return false;
    bool found;
    uint32_t at = genome_find_gene(child, gene.innovation, &found);
    memmove(child->genes + at + 1, child->genes + at, (child->n_genes - at) * sizeof *child->genes);
    child->genes[at] = gene;
    child->n_genes++;
    return true;
}

static bool insert_node(struct breeder *b, struct node_gene node)
{
    struct genome *child = &b->child;
    if (!reserve(b, child->n_genes, child->n_nodes + 1)) return false;
    uint32_t at = child->n_nodes;
    for (; at > 0 && child->nodes[at - 1].id > node.id; at--) child->nodes[at] = child->nodes[at - 1];
    child->nodes[at] = node;
    child->n_nodes++;
    return true;
}

/* Gives the link its innovation and adds it to the child. */
static bool add_gene(struct breeder *b, uint32_t from, uint32_t to, bool recurrent, float weight)
{
    uint32_t innovation = innovations_link(b->innovations, from, to, recurrent);
    if (innovation == INNOVATION_NONE) return false;
    struct gene gene = {.innovation = innovation, .from = from, .to = to, .weight = weight};
    gene.enabled = 1;
    gene.recurrent = recurrent;
    return insert_gene(b, gene);
}

bool breed_initial(struct breeder *b, struct rng *rng)
{
    const struct genome_shape *shape = &b->shape;
    b->child.n_genes = b->child.n_nodes = 0;
    uint32_t n_sources = shape->n_inputs + 1;
    for (uint32_t o = 0; o < shape->n_outputs; o++) {
        struct node_gene node = {.id = shape_first_output(shape) + o,
                                 .activation = b->params->output_activation};
        if (!insert_node(b, node)) return false;
        uint32_t sure = (uint32_t)rng_below(rng, n_sources);
        for (uint32_t i = 0; i < n_sources; i++) {
            if (i != sure && !chance(rng, b->params->initial_link_rate)) continue;
            if (!add_gene(b, i, node.id, false, uniform(rng, b->params->initial_weight_range))) return false;
        }
    }
    return true;
}

bool breed_clone(struct breeder *b, const struct genome *parent)
{
    if (!reserve(b, parent->n_genes, parent->n_nodes)) return false;
    if (parent->n_genes > 0) memcpy(b->child.genes, parent->genes, parent->n_genes * sizeof *parent->genes);
    memcpy(b->child.nodes, parent->nodes, parent->n_nodes * sizeof *parent->nodes);
    b->child.n_genes = parent->n_genes;
    b->child.n_nodes = parent->n_nodes;
    return true;
}

/* A cheap source of coin flips: one draw for 64 of them. */
struct coins {
    uint64_t bits;
    uint32_t n_left;
};

static bool flip(struct coins *coins, struct rng *rng)
{
    if (coins->n_left == 0) {
        coins->bits = rng_u64(rng);
        coins->n_left = 64;
    }
    bool heads = coins->bits & 1;
    coins->bits >>= 1;
    coins->n_left--;
    return heads;
}

/* The child's nodes: those of a, and with `union_of_both` those of b as well; common ones from either. */
static void cross_nodes(struct breeder *breeder, const struct genome *a, const struct genome *b,
                        bool union_of_both, struct rng *rng, struct coins *coins)
{
    struct genome *child = &breeder->child;
    uint32_t j = 0, n = 0;
    for (uint32_t i = 0; i < a->n_nodes || (union_of_both && j < b->n_nodes);) {
        uint32_t id_a = i < a->n_nodes ? a->nodes[i].id : UINT32_MAX;
        uint32_t id_b = j < b->n_nodes ? b->nodes[j].id : UINT32_MAX;
        if (id_a == id_b) {
            bool same = a->nodes[i].activation == b->nodes[j].activation;
            child->nodes[n++] = same || flip(coins, rng) ? a->nodes[i] : b->nodes[j];
            i++, j++;
        } else if (id_a < id_b) {
            child->nodes[n++] = a->nodes[i++];
        } else {
            if (union_of_both) child->nodes[n++] = b->nodes[j];
            j++;
        }
    }
    child->n_nodes = n;
}

/* Merges the genes. `take_a` and `take_b` say whose unmatched genes are inherited; of both: by coin. */
static void cross_genes(struct breeder *breeder, const struct genome *a, const struct genome *b,
                        bool take_both, struct rng *rng, struct coins *coins)
{
    struct gene *out = breeder->child.genes;
    bool average = chance(rng, breeder->params->average_weights_rate);
    double disable_rate = breeder->params->disable_inherited_rate;
    uint32_t i = 0, j = 0;
    while (i < a->n_genes || (take_both && j < b->n_genes)) {
        uint32_t inn_a = i < a->n_genes ? a->genes[i].innovation : UINT32_MAX;
        uint32_t inn_b = j < b->n_genes ? b->genes[j].innovation : UINT32_MAX;
        bool disabled;
        if (inn_a == inn_b) {
            const struct gene *x = &a->genes[i++], *y = &b->genes[j++];
            *out = *x;
            if (average)
                out->weight = 0.5f * (x->weight + y->weight);
            else if (flip(coins, rng))
                out->weight = y->weight;
            disabled = !x->enabled || !y->enabled;
        } else if (inn_a < inn_b) {
            const struct gene *x = &a->genes[i++];
            if (take_both && !flip(coins, rng)) continue;
            *out = *x;
            disabled = !x->enabled;
        } else {
            const struct gene *y = &b->genes[j++];
            if (!take_both || !flip(coins, rng)) continue;
            *out = *y;
            disabled = !y->enabled;
        }
        out->enabled = !(disabled && chance(rng, disable_rate));
        out++;
    }
    breeder->child.n_genes = (uint32_t)(out - breeder->child.genes);
}

/* Drops hidden nodes that no gene of the child touches. */
static void drop_loose_nodes(struct breeder *b)
{
    struct genome *child = &b->child;
    uint32_t *used = b->marks.queue, n = b->shape.n_outputs;
    for (uint32_t i = 0; i < child->n_nodes; i++) used[child->nodes[i].id] = 0;
    for (uint32_t i = 0; i < child->n_genes; i++) used[child->genes[i].from] = used[child->genes[i].to] = 1;
    for (uint32_t i = n; i < child->n_nodes; i++)
        if (used[child->nodes[i].id]) child->nodes[n++] = child->nodes[i];
    child->n_nodes = n;
}

bool breed_cross(struct breeder *breeder, const struct genome *a, const struct genome *b, struct rng *rng)
{
    bool tie = a->fitness == b->fitness;
    bool b_leads = tie ? b->n_genes < a->n_genes : b->fitness > a->fitness;
    const struct genome *first = b_leads ? b : a, *second = b_leads ? a : b;
    if (!reserve(breeder, a->n_genes + b->n_genes, a->n_nodes + b->n_nodes)) return false;
    struct coins coins = {0};
    cross_nodes(breeder, first, second, tie, rng, &coins);
    cross_genes(breeder, first, second, tie, rng, &coins);
    if (!tie) return true;
    if (genome_has_cycle(&breeder->marks, &breeder->child, &breeder->shape)) {
        cross_nodes(breeder, first, second, false, rng, &coins);
        cross_genes(breeder, first, second, false, rng, &coins);
    }
    drop_loose_nodes(breeder);
    return true;
}

static float noise(enum weight_noise kind, uint64_t bits, struct rng *rng)
{
    if (kind == NOISE_UNIFORM) return (float)(uint32_t)(bits >> 40) * 0x1p-23f - 1.0f;
    if (kind == NOISE_NORMAL) { /* three uniforms have a deviation of 1/2 */
        uint32_t sum = (uint32_t)((bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
        return ((float)sum * 0x1p-16f - 1.5f) * 2.0f;
    }
    for (;;) { /* the tangent of a uniform angle, as a point of the unit disc gives it */
        double x = 2 * rng_f64(rng) - 1, y = 2 * rng_f64(rng) - 1;
        if (x * x + y * y < 1 && x != 0) return (float)(y / x);
    }
}

void breed_mutate_weights(struct breeder *b, struct rng *rng)
{
    const struct neat_params *p = b->params;
    float power = (float)p->weight_power, range = (float)p->weight_replace_range;
    float limit = (float)p->weight_limit;
    for (uint32_t i = 0; i < b->child.n_genes; i++) {
        struct gene *g = &b->child.genes[i];
        uint64_t bits = rng_u64(rng);
        float weight = (bits & 0xffff) < b->perturb_below
                           ? g->weight + power * noise((enum weight_noise)p->weight_noise, bits, rng)
                           : range * noise(NOISE_UNIFORM, bits, rng);
        weight = weight > limit ? limit : weight;
        g->weight = weight < -limit ? -limit : weight;
    }
}

static uint32_t draw_activation(struct breeder *b, struct rng *rng)
{
    return b->activations[b->n_activations == 1 ? 0 : rng_below(rng, b->n_activations)];
}

bool breed_add_node(struct breeder *b, struct rng *rng)
{
    struct genome *child = &b->child;
    if (genome_n_hidden(child, &b->shape) >= b->params->max_hidden_nodes ||
        child->n_genes + 2 > b->params->max_genes)
        return true;
    uint32_t bias = shape_bias(&b->shape), n_fit = 0;
    for (uint32_t i = 0; i < child->n_genes; i++)
        n_fit += child->genes[i].enabled && child->genes[i].from != bias;
    if (n_fit == 0) return true;
    uint32_t pick = (uint32_t)rng_below(rng, n_fit), at = 0;
    for (;; at++)
        if (child->genes[at].enabled && child->genes[at].from != bias && pick-- == 0) break;
    struct gene split = child->genes[at];
    uint32_t turn = 0, node;
    for (;; turn++) { /* a turn this genome has not used */
        node = innovations_find_split(b->innovations, split.innovation, turn);
        if (node == INNOVATION_NONE || !genome_has_node(child, node)) break;
    }
    node = innovations_split(b->innovations, split.innovation, turn);
    if (node == INNOVATION_NONE) return false;
    child->genes[at].enabled = 0;
    return insert_node(b, (struct node_gene){.id = node, .activation = draw_activation(b, rng)}) &&
           add_gene(b, split.from, node, split.recurrent, 1.0f) &&
           add_gene(b, node, split.to, false, split.weight);
}

/* Draws two nodes; true when a new link may lead from one to the other. */
static bool draw_link(struct breeder *b, struct rng *rng, bool recurrent, uint32_t *ret_from,
                      uint32_t *ret_to)
{
    const struct genome *child = &b->child;
    uint32_t n_hidden = genome_n_hidden(child, &b->shape), first_output = shape_first_output(&b->shape);
    uint32_t to = child->nodes[rng_below(rng, child->n_nodes)].id, from;
    if (recurrent) {
        from = child->nodes[rng_below(rng, child->n_nodes)].id;
    } else {
        uint32_t draw = (uint32_t)rng_below(rng, first_output + n_hidden);
        from = draw < first_output ? draw : child->nodes[b->shape.n_outputs + draw - first_output].id;
    }
    uint32_t known = innovations_find_link(b->innovations, from, to, recurrent);
    bool present = false;
    if (known != INNOVATION_NONE) genome_find_gene(child, known, &present);
    if (present) return false;
    *ret_from = from;
    *ret_to = to;
    if (recurrent || from < first_output || to < shape_first_hidden(&b->shape)) return true;
    return !genome_reaches(&b->marks, child, to, from);
}

bool breed_add_link(struct breeder *b, struct rng *rng)
{
    if (b->child.n_genes >= b->params->max_genes) return true;
    bool recurrent = b->shape.recurrent && chance(rng, b->params->recurrent_link_rate);
    if (!reserve(b, b->child.n_genes + 1, b->child.n_nodes)) return false;
    for (uint32_t tries = 0; tries < LINK_TRIES; tries++) {
        uint32_t from, to;
        if (draw_link(b, rng, recurrent, &from, &to))
            return add_gene(b, from, to, recurrent, uniform(rng, b->params->weight_replace_range));
    }
    return true;
}

static void toggle_gene(struct breeder *b, struct rng *rng)
{
    if (b->child.n_genes == 0) return;
    struct gene *g = &b->child.genes[rng_below(rng, b->child.n_genes)];
    g->enabled = !g->enabled;
}

static void reenable_gene(struct breeder *b)
{
    for (uint32_t i = 0; i < b->child.n_genes; i++)
        if (!b->child.genes[i].enabled) {
            b->child.genes[i].enabled = 1;
            return;
        }
}

static void mutate_activation(struct breeder *b, struct rng *rng)
{
    uint32_t n_hidden = genome_n_hidden(&b->child, &b->shape);
    if (n_hidden == 0) return;
    b->child.nodes[b->shape.n_outputs + rng_below(rng, n_hidden)].activation = draw_activation(b, rng);
}

bool breed_mutate(struct breeder *b, struct rng *rng)
{
    const struct neat_params *p = b->params;
    if (chance(rng, p->weight_mutation_rate)) breed_mutate_weights(b, rng);
    if (chance(rng, p->add_node_rate) && !breed_add_node(b, rng)) return false;
    if (chance(rng, p->add_link_rate) && !breed_add_link(b, rng)) return false;
    if (chance(rng, p->toggle_rate)) toggle_gene(b, rng);
    if (chance(rng, p->reenable_rate)) reenable_gene(b);
    if (chance(rng, p->activation_mutation_rate)) mutate_activation(b, rng);
    return true;
}
