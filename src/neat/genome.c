#include "neat/genome.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "neat/activation.h"

uint32_t genome_n_enabled(const struct genome *genome)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < genome->n_genes; i++) n += genome->genes[i].enabled;
    return n;
}

/* No branch depends on the data, which keeps the loop at a few cycles a gene. */
float genome_distance(const struct genome *a, const struct genome *b, const struct distance_weights *w)
{
    uint32_t i = 0, j = 0, n_matching = 0;
    float difference = 0;
    while (i < a->n_genes && j < b->n_genes) {
        const struct gene *x = &a->genes[i], *y = &b->genes[j];
        bool match = x->innovation == y->innovation;
        difference += match ? fabsf(x->weight - y->weight) : 0.0f;
        n_matching += match;
        i += x->innovation <= y->innovation;
        j += y->innovation <= x->innovation;
    }
    uint32_t n_disjoint = i + j - 2 * n_matching;
    uint32_t n_excess = a->n_genes - i + (b->n_genes - j);
    uint32_t larger = a->n_genes > b->n_genes ? a->n_genes : b->n_genes;
    float structure = w->excess * (float)n_excess + w->disjoint * (float)n_disjoint;
    if (larger >= w->small_genes && larger > 0) structure /= (float)larger;
    if (n_matching > 0) difference /= (float)n_matching;
    return structure + w->weight * difference;
}

uint32_t genome_find_gene(const struct genome *genome, uint32_t innovation, bool *ret_found)
{
    uint32_t low = 0, high = genome->n_genes;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (genome->genes[middle].innovation < innovation)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < genome->n_genes && genome->genes[low].innovation == innovation;
    return low;
}

bool genome_has_node(const struct genome *genome, uint32_t id)
{
    uint32_t low = 0, high = genome->n_nodes;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (genome->nodes[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < genome->n_nodes && genome->nodes[low].id == id;
}

bool genome_copy(struct arena *arena, const struct genome *from, struct genome *ret_copy)
{
    struct gene *genes = arena_alloc(arena, from->n_genes * sizeof *genes);
    struct node_gene *nodes = arena_alloc(arena, from->n_nodes * sizeof *nodes);
    if (genes == NULL || nodes == NULL) return false;
    if (from->n_genes > 0) memcpy(genes, from->genes, from->n_genes * sizeof *genes);
    if (from->n_nodes > 0) memcpy(nodes, from->nodes, from->n_nodes * sizeof *nodes);
    *ret_copy = *from;
    ret_copy->genes = genes;
    ret_copy->nodes = nodes;
    return true;
}

void genome_marks_done(struct genome_marks *marks)
{
    free(marks->mark);
    free(marks->head);
    free(marks->queue);
    free(marks->next);
    *marks = (struct genome_marks){0};
}

static bool grow(uint32_t **array, uint32_t n)
{
    uint32_t *grown = realloc(*array, n * sizeof *grown);
    if (grown == NULL) return false;
    *array = grown;
    return true;
}

bool genome_marks_reserve(struct genome_marks *marks, uint32_t n_nodes, uint32_t n_genes)
{
    if (n_nodes > marks->n_nodes) {
        uint32_t n = n_nodes + n_nodes / 2 + 64;
        if (!grow(&marks->mark, n) || !grow(&marks->head, n) || !grow(&marks->queue, n)) return false;
        memset(marks->mark + marks->n_nodes, 0, (n - marks->n_nodes) * sizeof *marks->mark);
        marks->n_nodes = n;
    }
    if (n_genes > marks->n_genes) {
        uint32_t n = n_genes + n_genes / 2 + 64;
        if (!grow(&marks->next, n)) return false;
        marks->n_genes = n;
    }
    return true;
}

/* A stamp no entry of mark[] holds: the marks of earlier walks need not be cleared. */
static uint32_t new_stamp(struct genome_marks *marks)
{
    if (++marks->stamp == 0) {
        memset(marks->mark, 0, marks->n_nodes * sizeof *marks->mark);
        marks->stamp = 1;
    }
    return marks->stamp;
}

/* Sweeps over the genes until nothing new is reached: genomes are small and nearly in order, so this beats
 * building adjacency lists. */
bool genome_reaches(struct genome_marks *marks, const struct genome *genome, uint32_t start, uint32_t goal)
{
    if (start == goal) return true;
    uint32_t stamp = new_stamp(marks);
    marks->mark[start] = stamp;
    for (bool grew = true; grew;) {
        grew = false;
        for (uint32_t i = 0; i < genome->n_genes; i++) {
            const struct gene *g = &genome->genes[i];
            if (g->recurrent || marks->mark[g->from] != stamp || marks->mark[g->to] == stamp) continue;
            if (g->to == goal) return true;
            marks->mark[g->to] = stamp;
            grew = true;
        }
    }
    return false;
}

/* Takes away nodes without incoming genes until none is left (Kahn 1962); a cycle is what stays. */
bool genome_has_cycle(struct genome_marks *marks, const struct genome *genome,
                      const struct genome_shape *shape)
{
    uint32_t *n_incoming = marks->mark, *head = marks->head, *next = marks->next, *queue = marks->queue;
    uint32_t first_output = shape_first_output(shape), n_queued = 0;
    for (uint32_t i = 0; i < genome->n_nodes; i++) {
        n_incoming[genome->nodes[i].id] = 0;
        head[genome->nodes[i].id] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        if (g->recurrent || g->from < first_output) continue;
        n_incoming[g->to]++;
        next[i] = head[g->from];
        head[g->from] = i;
    }
    for (uint32_t i = 0; i < genome->n_nodes; i++)
        if (n_incoming[genome->nodes[i].id] == 0) queue[n_queued++] = genome->nodes[i].id;
    for (uint32_t done = 0; done < n_queued; done++)
        for (uint32_t g = head[queue[done]]; g != UINT32_MAX; g = next[g])
            if (--n_incoming[genome->genes[g].to] == 0) queue[n_queued++] = genome->genes[g].to;
    /* mark[] held counts: all zero now unless there is a cycle, and zero is never a stamp. */
    for (uint32_t i = 0; i < genome->n_nodes; i++) n_incoming[genome->nodes[i].id] = 0;
    return n_queued < genome->n_nodes;
}

static onnxd_status check_nodes(const struct genome *genome, const struct genome_shape *shape,
                                onnxd_error *err)
{
    if (genome->n_nodes < shape->n_outputs)
        return error_set(err, ONNXD_ERR_FORMAT, "genome: %u nodes, fewer than the %u outputs",
                         genome->n_nodes, shape->n_outputs);
    for (uint32_t i = 0; i < genome->n_nodes; i++) {
        const struct node_gene *node = &genome->nodes[i];
        bool right = i < shape->n_outputs ? node->id == shape_first_output(shape) + i
                                          : node->id > genome->nodes[i - 1].id && node->id <= GENOME_MAX_NODE;
        if (!right)
            return error_set(err, ONNXD_ERR_FORMAT, "genome: node %u at place %u is out of order", node->id,
                             i);
        if (node->activation >= N_ACTIVATIONS)
            return error_set(err, ONNXD_ERR_FORMAT, "genome: node %u has unknown activation %u", node->id,
                             node->activation);
    }
    return ONNXD_OK;
}

onnxd_status genome_check(struct genome_marks *marks, const struct genome *genome,
                          const struct genome_shape *shape, onnxd_error *err)
{
    onnxd_status status = check_nodes(genome, shape, err);
    if (status != ONNXD_OK) return status;
    uint32_t first_output = shape_first_output(shape), first_hidden = shape_first_hidden(shape);
    uint32_t top = genome->n_nodes == 0 ? first_output : genome->nodes[genome->n_nodes - 1].id;
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        if ((i > 0 && g->innovation <= genome->genes[i - 1].innovation) || g->innovation >= GENOME_MAX_GENES)
            return error_set(err, ONNXD_ERR_FORMAT, "genome: innovation %u at place %u is out of order",
                             g->innovation, i);
        if (g->from >= first_output && !genome_has_node(genome, g->from))
            return error_set(err, ONNXD_ERR_FORMAT, "genome: gene %u comes from unknown node %u",
                             g->innovation, g->from);
        if (!genome_has_node(genome, g->to))
            return error_set(err, ONNXD_ERR_FORMAT, "genome: gene %u leads to %u, no output or hidden node",
                             g->innovation, g->to);
        if (g->recurrent && !shape->recurrent)
            return error_set(err, ONNXD_ERR_FORMAT, "genome: gene %u is recurrent in a feed-forward run",
                             g->innovation);
        if (g->recurrent ? g->from < first_output : g->from >= first_output && g->from < first_hidden)
            return error_set(err, ONNXD_ERR_FORMAT, "genome: gene %u may not leave node %u", g->innovation,
                             g->from);
        if (!isfinite(g->weight))
            return error_set(err, ONNXD_ERR_FORMAT, "genome: gene %u: the weight is not finite",
                             g->innovation);
    }
    if (!genome_marks_reserve(marks, (top > first_hidden ? top : first_hidden) + 1, genome->n_genes))
        return error_set(err, ONNXD_ERR_NOMEM, "genome: no memory for nodes up to %u", top);
    if (genome_has_cycle(marks, genome, shape))
        return error_set(err, ONNXD_ERR_FORMAT, "genome: its forward genes form a cycle");
    return ONNXD_OK;
}
