/* Genomes, innovations, crossover and mutation, each rule against the paper's statement of it. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "neat/breed.h"

static const struct genome_shape SHAPE = {.n_inputs = 2, .n_outputs = 1};

static struct gene gene(uint32_t innovation, uint32_t from, uint32_t to, float weight)
{
    struct gene g = {.innovation = innovation, .from = from, .to = to, .weight = weight};
    g.enabled = 1;
    return g;
}

/* The two parents of the paper's figure 4: innovations 1-5, 8 and 1-7, 9, 10. */
static struct node_gene NODES[] = {{.id = 3}, {.id = 4}, {.id = 5}};

static void distance_is_the_papers_sum(void **state)
{
    (void)state;
    struct gene a[] = {gene(1, 0, 3, 1), gene(2, 1, 3, 2),  gene(3, 2, 3, 3),
                       gene(4, 1, 4, 4), gene(5, 4, 3, -1), gene(8, 0, 4, 1)};
    struct gene b[] = {gene(1, 0, 3, 2), gene(2, 1, 3, 2), gene(3, 2, 3, 1),
                       gene(4, 1, 4, 4), gene(5, 4, 3, 1), gene(6, 4, 5, 1),
                       gene(7, 5, 3, 1), gene(9, 2, 4, 1), gene(10, 0, 5, 1)};
    struct genome x = {.genes = a, .n_genes = 6, .nodes = NODES, .n_nodes = 2};
    struct genome y = {.genes = b, .n_genes = 9, .nodes = NODES, .n_nodes = 3};
    struct distance_weights w = {.excess = 1, .disjoint = 10, .weight = 100, .small_genes = 20};
    /* 2 excess, 3 disjoint, mean difference (1 + 0 + 2 + 0 + 2) / 5 */
    assert_float_equal(genome_distance(&x, &y, &w), 2 + 30 + 100, 1e-4);
    assert_float_equal(genome_distance(&y, &x, &w), 2 + 30 + 100, 1e-4);
    w.small_genes = 9;
    assert_float_equal(genome_distance(&x, &y, &w), 32.0f / 9 + 100, 1e-4);
    assert_float_equal(genome_distance(&x, &x, &w), 0, 0);
}

struct kit {
    struct neat_params params;
    struct innovations innovations;
    struct breeder breeder;
    struct rng rng;
};

static struct kit *kit_new(const struct genome_shape *shape, uint64_t seed)
{
    struct kit *kit = calloc(1, sizeof *kit);
    assert_non_null(kit);
    neat_params_default(&kit->params);
    kit->params.recurrent = shape->recurrent;
    innovations_init(&kit->innovations, shape_first_hidden(shape));
    breed_init(&kit->breeder, &kit->params, shape, &kit->innovations);
    kit->rng = rng_seed(seed);
    return kit;
}

static void kit_free(struct kit *kit)
{
    breed_done(&kit->breeder);
    innovations_done(&kit->innovations);
    free(kit);
}

static void first_genomes_have_no_hidden_nodes(void **state)
{
    (void)state;
    struct kit *kit = kit_new(&SHAPE, test_seed());
    for (int i = 0; i < 50; i++) {
        assert_true(breed_initial(&kit->breeder, &kit->rng));
        const struct genome *child = &kit->breeder.child;
        assert_int_equal(genome_n_hidden(child, &SHAPE), 0);
        assert_int_equal(child->n_genes, 3); /* two inputs and the bias */
        for (uint32_t g = 0; g < 3; g++) assert_true(fabsf(child->genes[g].weight) <= 1);
    }
    kit->params.initial_link_rate = 0;
    assert_true(breed_initial(&kit->breeder, &kit->rng));
    assert_int_equal(kit->breeder.child.n_genes, 1);
    kit_free(kit);
}

static void splitting_a_link_keeps_its_weight_behind_the_new_node(void **state)
{
    (void)state;
    struct kit *kit = kit_new(&SHAPE, 7);
    assert_true(breed_initial(&kit->breeder, &kit->rng));
    struct genome *child = &kit->breeder.child;
    float weights[3] = {child->genes[0].weight, child->genes[1].weight, child->genes[2].weight};
    assert_true(breed_add_node(&kit->breeder, &kit->rng));
    assert_int_equal(child->n_genes, 5);
    assert_int_equal(genome_n_hidden(child, &SHAPE), 1);
    assert_int_equal(genome_n_enabled(child), 4);
    const struct gene *in = &child->genes[3], *out = &child->genes[4];
    assert_true(in->weight == 1.0f);
    assert_true(in->from < 2); /* the bias is never split */
    assert_int_equal(in->to, out->from);
    assert_int_equal(out->to, 3);
    assert_int_equal(child->genes[in->from].enabled, 0);
    assert_true(out->weight == weights[in->from]);
    kit_free(kit);
}

static void the_same_change_gets_the_same_innovation(void **state)
{
    (void)state;
    struct innovations in;
    innovations_init(&in, 4);
    assert_int_equal(innovations_link(&in, 0, 3, false), 0);
    assert_int_equal(innovations_link(&in, 0, 3, true), 1);
    assert_int_equal(innovations_link(&in, 0, 3, false), 0);
    assert_int_equal(innovations_split(&in, 0, 0), 4);
    assert_int_equal(innovations_split(&in, 0, 1), 5);
    assert_int_equal(innovations_split(&in, 0, 0), 4);
    assert_int_equal(innovations_find_split(&in, 1, 0), INNOVATION_NONE);
    for (uint32_t i = 0; i < 3000; i++) assert_int_equal(innovations_link(&in, i, 4, false), 2 + i);
    for (uint32_t i = 0; i < 3000; i++) assert_int_equal(innovations_find_link(&in, i, 4, false), 2 + i);
    innovations_done(&in);
}

/* Parents of unequal fitness: matching genes from either in equal shares, the rest from the fitter only,
 * genes off in either parent off in 75 % of the children. */
static void crossover_follows_the_paper(void **state)
{
    (void)state;
    enum { N = 20000 };
    struct kit *kit = kit_new(&SHAPE, test_seed());
    innovations_split(&kit->innovations, 0, 0);
    innovations_split(&kit->innovations, 1, 0);
    kit->params.average_weights_rate = 0;
    struct gene a[] = {gene(0, 0, 3, 1), gene(1, 1, 3, 1), gene(3, 0, 4, 1), gene(4, 4, 3, 1)};
    struct gene b[] = {gene(0, 0, 3, 2), gene(1, 1, 3, 2), gene(2, 2, 3, 2), gene(5, 1, 5, 2)};
    a[1].enabled = 0;
    struct genome x = {.genes = a, .n_genes = 4, .nodes = NODES, .n_nodes = 2, .fitness = 2};
    struct node_gene other_nodes[] = {{.id = 3}, {.id = 5}};
    struct genome y = {.genes = b, .n_genes = 4, .nodes = other_nodes, .n_nodes = 2, .fitness = 1};
    int from_y = 0, disabled = 0;
    for (int i = 0; i < N; i++) {
        const bool swap = i & 1; /* the order of parents must not matter */
        assert_true(breed_cross(&kit->breeder, swap ? &y : &x, swap ? &x : &y, &kit->rng));
        const struct genome *child = &kit->breeder.child;
        assert_int_equal(child->n_genes, 4);
        assert_int_equal(child->n_nodes, 2);
        assert_int_equal(child->nodes[1].id, 4);
        assert_int_equal(child->genes[2].innovation, 3);
        assert_int_equal(child->genes[3].innovation, 4);
        assert_true(child->genes[2].enabled && child->genes[3].enabled && child->genes[0].enabled);
        from_y += child->genes[0].weight == 2.0f;
        disabled += !child->genes[1].enabled;
    }
    /* six standard errors */
    assert_true(fabs(from_y - 0.5 * N) < 6 * sqrt(0.25 * N));
    if (fabs(disabled - 0.75 * N) > 6 * sqrt(0.1875 * N)) fail_msg("disabled in %d of %d", disabled, N);
    kit->params.average_weights_rate = 1;
    assert_true(breed_cross(&kit->breeder, &x, &y, &kit->rng));
    assert_true(kit->breeder.child.genes[0].weight == 1.5f);
    kit_free(kit);
}

static void crossover_of_equals_inherits_from_both(void **state)
{
    (void)state;
    struct kit *kit = kit_new(&SHAPE, test_seed());
    innovations_split(&kit->innovations, 0, 0);
    innovations_split(&kit->innovations, 1, 0);
    struct gene a[] = {gene(0, 0, 3, 1), gene(2, 0, 4, 1), gene(3, 4, 3, 1)};
    struct gene b[] = {gene(0, 0, 3, 1), gene(4, 1, 5, 1), gene(5, 5, 3, 1)};
    struct node_gene other_nodes[] = {{.id = 3}, {.id = 5}};
    struct genome x = {.genes = a, .n_genes = 3, .nodes = NODES, .n_nodes = 2};
    struct genome y = {.genes = b, .n_genes = 3, .nodes = other_nodes, .n_nodes = 2};
    int seen[6] = {0}, loose = 0;
    for (int i = 0; i < 2000; i++) {
        assert_true(breed_cross(&kit->breeder, &x, &y, &kit->rng));
        const struct genome *child = &kit->breeder.child;
        for (uint32_t g = 0; g < child->n_genes; g++) seen[child->genes[g].innovation]++;
        for (uint32_t n = 1; n < child->n_nodes; n++) { /* hidden nodes are there because a gene needs them */
            bool used = false;
            for (uint32_t g = 0; g < child->n_genes; g++)
                used |= child->genes[g].from == child->nodes[n].id ||
                        child->genes[g].to == child->nodes[n].id;
            loose += !used;
        }
    }
    assert_int_equal(seen[0], 2000);
    for (int i = 2; i < 6; i++) assert_true(fabs(seen[i] - 1000.0) < 6 * sqrt(500));
    assert_int_equal(loose, 0);
    kit_free(kit);
}

/* a has 4 -> 5, b has 5 -> 4: a child of equals may never hold both. */
static void crossover_never_closes_a_cycle(void **state)
{
    (void)state;
    struct kit *kit = kit_new(&SHAPE, test_seed());
    innovations_split(&kit->innovations, 0, 0);
    innovations_split(&kit->innovations, 1, 0);
    struct gene a[] = {gene(0, 0, 4, 1), gene(1, 1, 5, 1), gene(2, 4, 3, 1), gene(3, 5, 3, 1),
                       gene(4, 4, 5, 1)};
    struct gene b[] = {gene(0, 0, 4, 1), gene(1, 1, 5, 1), gene(2, 4, 3, 1), gene(3, 5, 3, 1),
                       gene(5, 5, 4, 1)};
    struct genome x = {.genes = a, .n_genes = 5, .nodes = NODES, .n_nodes = 3};
    struct genome y = {.genes = b, .n_genes = 5, .nodes = NODES, .n_nodes = 3};
    for (int i = 0; i < 1000; i++) {
        assert_true(breed_cross(&kit->breeder, &x, &y, &kit->rng));
        const struct genome *child = &kit->breeder.child;
        bool ab = false, ba = false;
        for (uint32_t g = 0; g < child->n_genes; g++) {
            ab |= child->genes[g].innovation == 4;
            ba |= child->genes[g].innovation == 5;
        }
        assert_false(ab && ba);
    }
    kit_free(kit);
}

/* Depth-first search with colours, written apart from the code under test. */
static bool visit(const struct genome *genome, uint32_t id, unsigned char *colour)
{
    colour[id] = 1;
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        if (g->from != id || g->recurrent) continue;
        if (colour[g->to] == 1 || (colour[g->to] == 0 && visit(genome, g->to, colour))) return true;
    }
    colour[id] = 2;
    return false;
}

static bool has_cycle(const struct genome *genome)
{
    static unsigned char colour[1 << 20];
    for (uint32_t i = 0; i < genome->n_nodes; i++) colour[genome->nodes[i].id] = 0;
    for (uint32_t i = 0; i < 8; i++) colour[i] = 2;
    for (uint32_t i = 0; i < genome->n_nodes; i++)
        if (colour[genome->nodes[i].id] == 0 && visit(genome, genome->nodes[i].id, colour)) return true;
    return false;
}

/* A pool of genomes crossed and mutated at random, `n` times; each child replaces a random member. */
static void breed_at_random(const struct genome_shape *shape, uint32_t n, uint32_t max_hidden)
{
    enum { POOL = 64 };
    struct kit *kit = kit_new(shape, test_seed());
    kit->params.max_hidden_nodes = max_hidden;
    kit->params.max_genes = 4 * max_hidden;
    struct arena arenas[POOL];
    struct genome pool[POOL];
    onnxd_error err;
    for (int i = 0; i < POOL; i++) {
        arena_init(&arenas[i], 0);
        assert_true(breed_initial(&kit->breeder, &kit->rng));
        assert_true(genome_copy(&arenas[i], &kit->breeder.child, &pool[i]));
    }
    uint32_t n_hidden = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct genome *a = &pool[rng_below(&kit->rng, POOL)], *b = &pool[rng_below(&kit->rng, POOL)];
        a->fitness = (double)rng_below(&kit->rng, 2); /* ties are frequent */
        b->fitness = (double)rng_below(&kit->rng, 2);
        assert_true(breed_cross(&kit->breeder, a, b, &kit->rng));
        if (has_cycle(&kit->breeder.child)) fail_msg("crossover %u closed a cycle", i);
        uint64_t pick = rng_below(&kit->rng, 8);
        assert_true(pick == 0  ? breed_add_node(&kit->breeder, &kit->rng)
                    : pick < 4 ? breed_add_link(&kit->breeder, &kit->rng)
                               : breed_mutate(&kit->breeder, &kit->rng));
        const struct genome *child = &kit->breeder.child;
        if (has_cycle(child)) fail_msg("mutation %u closed a cycle", i);
        if (i % 64 == 0) assert_ok(genome_check(&kit->breeder.marks, child, shape, &err), err);
        n_hidden += genome_n_hidden(child, shape);
        uint64_t place = rng_below(&kit->rng, POOL);
        arena_reset(&arenas[place]);
        assert_true(genome_copy(&arenas[place], child, &pool[place]));
    }
    if (n_hidden < n) fail_msg("genomes stayed too small to tell: %u hidden nodes in %u", n_hidden, n);
    for (int i = 0; i < POOL; i++) arena_done(&arenas[i]);
    kit_free(kit);
}

static void a_million_changes_bring_no_cycle(void **state)
{
    (void)state;
    breed_at_random(&(struct genome_shape){.n_inputs = 3, .n_outputs = 2}, 1000000, 8);
}

static void recurrent_genomes_keep_their_forward_genes_acyclic(void **state)
{
    (void)state;
    breed_at_random(&(struct genome_shape){.n_inputs = 3, .n_outputs = 2, .recurrent = true}, 50000, 12);
    breed_at_random(&(struct genome_shape){.n_inputs = 3, .n_outputs = 2}, 20000, 60);
}

static void check_names_what_is_wrong(void **state)
{
    (void)state;
    onnxd_error err;
    struct genome_marks marks = {0};
    struct gene good[] = {gene(0, 0, 3, 1), gene(1, 0, 4, 1), gene(2, 4, 3, 1), gene(3, 4, 5, 1),
                          gene(4, 5, 3, 1)};
    struct genome genome = {.genes = good, .n_genes = 5, .nodes = NODES, .n_nodes = 3};
    assert_ok(genome_check(&marks, &genome, &SHAPE, &err), err);
#define BROKEN(change, text)                                                                    \
    do {                                                                                        \
        struct gene bad[5];                                                                     \
        struct node_gene nodes[3];                                                              \
        memcpy(bad, good, sizeof bad);                                                          \
        memcpy(nodes, NODES, sizeof nodes);                                                     \
        struct genome broken = {.genes = bad, .n_genes = 5, .nodes = nodes, .n_nodes = 3};      \
        change;                                                                                 \
        assert_fails(genome_check(&marks, &broken, &SHAPE, &err), ONNXD_ERR_FORMAT, err, text); \
    } while (0)
    BROKEN(bad[1].innovation = 0, "innovation 0 at place 1 is out of order");
    BROKEN(bad[4].to = 4, "form a cycle");
    BROKEN(bad[4].to = 2, "leads to 2");
    BROKEN(bad[4].from = 9, "unknown node 9");
    BROKEN(bad[4].from = 3, "may not leave node 3");
    BROKEN(bad[4].recurrent = 1, "recurrent in a feed-forward run");
    BROKEN(bad[0].weight = NAN, "gene 0: the weight is not finite");
    BROKEN(nodes[2].id = 4, "node 4 at place 2 is out of order");
    BROKEN(nodes[1].activation = 99, "unknown activation 99");
    BROKEN(broken.n_nodes = 0, "fewer than the 1 outputs");
#undef BROKEN
    genome_marks_done(&marks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_is_the_papers_sum),
        cmocka_unit_test(first_genomes_have_no_hidden_nodes),
        cmocka_unit_test(splitting_a_link_keeps_its_weight_behind_the_new_node),
        cmocka_unit_test(the_same_change_gets_the_same_innovation),
        cmocka_unit_test(crossover_follows_the_paper),
        cmocka_unit_test(crossover_of_equals_inherits_from_both),
        cmocka_unit_test(crossover_never_closes_a_cycle),
        cmocka_unit_test(a_million_changes_bring_no_cycle),
        cmocka_unit_test(recurrent_genomes_keep_their_forward_genes_acyclic),
        cmocka_unit_test(check_names_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
