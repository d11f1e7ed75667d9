/* Compiled networks and activations against plain double-precision references. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "neat/breed.h"
#include "neat/network.h"

static double reference(enum activation activation, double x)
{
    switch (activation) {
    case ACTIVATION_SIGMOID: return 1 / (1 + exp(-4.9 * x));
    case ACTIVATION_TANH: return tanh(x);
    case ACTIVATION_RELU: return x > 0 ? x : 0;
    case ACTIVATION_GAUSS: return exp(-x * x);
    case ACTIVATION_SIN: return sin(x);
    case ACTIVATION_ABS: return fabs(x);
    case ACTIVATION_STEP: return x > 0;
    default: return x;
    }
}

static void activations_are_as_accurate_as_promised(void **state)
{
    (void)state;
    for (uint32_t a = 0; a < N_ACTIVATIONS; a++) {
        double bound = a == ACTIVATION_SIN ? 1e-6 : 2e-7, worst = 0, at = 0;
        double range = a == ACTIVATION_SIN ? 1000 : 60;
        for (int i = 0; i <= 400000; i++) {
            /* a dense grid near 0 and a coarse one far out */
            float x = (float)((i & 1 ? 4.0 : range) * (i - 200000) / 200000.0);
            double error = fabs((double)activation_apply((enum activation)a, f32x4_all(x))[i & 3] -
                                reference((enum activation)a, (double)x));
            if (error > worst) {
                worst = error;
                at = (double)x;
            }
        }
        if (worst > bound) fail_msg("%s: error %g at %g", activation_name((enum activation)a), worst, at);
        assert_int_equal(activation_parse(activation_name((enum activation)a)), a);
    }
    assert_int_equal(activation_parse("softplus"), N_ACTIVATIONS);
}

static void activations_bear_extremes(void **state)
{
    (void)state;
    const float extremes[] = {INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f};
    for (uint32_t i = 0; i < 5; i++) {
        float s = activation_apply(ACTIVATION_SIGMOID, f32x4_all(extremes[i]))[0];
        float t = activation_apply(ACTIVATION_TANH, f32x4_all(extremes[i]))[0];
        float g = activation_apply(ACTIVATION_GAUSS, f32x4_all(extremes[i]))[0];
        assert_true(s >= 0 && s <= 1 && t >= -1 && t <= 1 && g >= 0 && g <= 1);
    }
}

/* The value of a node by recursion over all genes, in double. */
static double value_of(const struct genome *genome, const struct genome_shape *shape, uint32_t id,
                       const double *inputs, const double *memory)
{
    if (id < shape->n_inputs) return inputs[id];
    if (id == shape_bias(shape)) return 1;
    double sum = 0;
    for (uint32_t i = 0; i < genome->n_genes; i++) {
        const struct gene *g = &genome->genes[i];
        if (g->to != id || !g->enabled) continue;
        sum += (double)g->weight *
               (g->recurrent ? memory[g->from] : value_of(genome, shape, g->from, inputs, memory));
    }
    uint32_t n = 0;
    while (genome->nodes[n].id != id) n++;
    return reference((enum activation)genome->nodes[n].activation, sum);
}

/* Genomes grown at random, four different inputs in the lanes, several activations in a row. */
static void compare(const struct genome_shape *shape, const char *activations)
{
    struct neat_params params;
    struct innovations innovations;
    struct breeder breeder;
    struct network_compiler compiler = {0};
    struct arena arena;
    onnxd_error err;
    arena_init(&arena, 0);
    neat_params_default(&params);
    params.recurrent = shape->recurrent;
    params.weight_limit = 2;
    params.toggle_rate = 0.3;
    assert_ok(neat_params_set(&params, "hidden_activations", activations, &err), err);
    innovations_init(&innovations, shape_first_hidden(shape));
    breed_init(&breeder, &params, shape, &innovations);
    struct rng rng = rng_seed(test_seed());
    for (int trial = 0; trial < 300; trial++) {
        assert_true(breed_initial(&breeder, &rng));
        for (int i = 0; i < trial % 12; i++) {
            assert_true(breed_add_node(&breeder, &rng));
            assert_true(breed_add_link(&breeder, &rng) && breed_add_link(&breeder, &rng));
            assert_true(breed_mutate(&breeder, &rng));
        }
        struct network network;
        arena_reset(&arena);
        assert_ok(network_compile(&compiler, &breeder.child, shape, &arena, &network, &err), err);
        f32x4 *slots = aligned_alloc(16, network.n_slots * sizeof *slots);
        double(*memory)[4096] = calloc(4, sizeof *memory), (*fresh)[4096] = calloc(4, sizeof *fresh);
        assert_true(slots != NULL && memory != NULL && fresh != NULL);
        network_reset(&network, slots);
        for (int step = 0; step < 3; step++) {
            double inputs[4][8];
            for (int lane = 0; lane < 4; lane++)
                for (uint32_t i = 0; i < shape->n_inputs; i++) {
                    slots[i][lane] = rng_f32(&rng) * 2 - 1;
                    inputs[lane][i] = (double)slots[i][lane];
                }
            network_activate(&network, slots);
            for (int lane = 0; lane < 4; lane++) {
                for (uint32_t n = 0; n < breeder.child.n_nodes; n++)
                    fresh[lane][breeder.child.nodes[n].id] = value_of(
                        &breeder.child, shape, breeder.child.nodes[n].id, inputs[lane], memory[lane]);
                for (uint32_t o = 0; o < shape->n_outputs; o++) {
                    double want = fresh[lane][shape_first_output(shape) + o];
                    double got = (double)slots[network.outputs[o]][lane];
                    if (fabs(want - got) > 2e-4 * (1 + fabs(want)))
                        fail_msg("trial %d step %d lane %d: expected %.9g, got %.9g", trial, step, lane, want,
                                 got);
                }
                memcpy(memory[lane], fresh[lane], sizeof memory[lane]);
            }
        }
        free(slots);
        free(memory);
        free(fresh);
    }
    network_compiler_done(&compiler);
    breed_done(&breeder);
    innovations_done(&innovations);
    arena_done(&arena);
}

static void forward_networks_match_recursion(void **state)
{
    (void)state;
    compare(&(struct genome_shape){.n_inputs = 4, .n_outputs = 3}, "sigmoid tanh relu gauss sin abs");
}

static void recurrent_networks_match_recursion(void **state)
{
    (void)state;
    compare(&(struct genome_shape){.n_inputs = 3, .n_outputs = 2, .recurrent = true}, "sigmoid tanh");
}

static void rows_are_independent_of_their_number(void **state)
{
    (void)state;
    struct gene genes[] = {{.innovation = 0, .from = 0, .enabled = 1, .to = 3, .weight = 0.5f},
                           {.innovation = 1, .from = 2, .enabled = 1, .to = 3, .weight = -0.25f}};
    struct node_gene nodes[] = {{.id = 3, .activation = ACTIVATION_IDENTITY}};
    struct genome genome = {.genes = genes, .n_genes = 2, .nodes = nodes, .n_nodes = 1};
    struct genome_shape shape = {.n_inputs = 2, .n_outputs = 1};
    struct network_compiler compiler = {0};
    struct network network;
    struct arena arena;
    onnxd_error err;
    arena_init(&arena, 0);
    assert_ok(network_compile(&compiler, &genome, &shape, &arena, &network, &err), err);
    f32x4 slots[4];
    float in[14], out[7];
    for (int i = 0; i < 14; i++) in[i] = (float)i;
    network_run_rows(&network, in, 7, out, slots);
    for (int i = 0; i < 7; i++) assert_true(out[i] == (float)i - 0.25f);
    network_compiler_done(&compiler);
    arena_done(&arena);
}

static void a_cycle_is_refused(void **state)
{
    (void)state;
    struct gene genes[] = {{.innovation = 0, .from = 4, .enabled = 1, .to = 3, .weight = 1},
                           {.innovation = 1, .from = 5, .enabled = 1, .to = 4, .weight = 1},
                           {.innovation = 2, .from = 4, .enabled = 1, .to = 5, .weight = 1}};
    struct node_gene nodes[] = {{.id = 3}, {.id = 4}, {.id = 5}};
    struct genome genome = {.genes = genes, .n_genes = 3, .nodes = nodes, .n_nodes = 3};
    struct network_compiler compiler = {0};
    struct network network;
    struct arena arena;
    onnxd_error err;
    arena_init(&arena, 0);
    assert_fails(network_compile(&compiler, &genome, &(struct genome_shape){.n_inputs = 2, .n_outputs = 1},
                                 &arena, &network, &err),
                 ONNXD_ERR_FORMAT, err, "cycle");
    network_compiler_done(&compiler);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_as_accurate_as_promised),
        cmocka_unit_test(activations_bear_extremes),
        cmocka_unit_test(forward_networks_match_recursion),
        cmocka_unit_test(recurrent_networks_match_recursion),
        cmocka_unit_test(rows_are_independent_of_their_number),
        cmocka_unit_test(a_cycle_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
