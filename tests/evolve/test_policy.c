/* Policies: JSON and back, ONNX against the compiled network, pictures, hostile files. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "evolve/policy.h"
#include "evolve/replay.h"
#include "neat/breed.h"
#include "onnxd/onnxd.h"

static const struct genome_shape FORWARD = {.n_inputs = 5, .n_outputs = 3};
static const struct genome_shape RECURRENT = {.n_inputs = 4, .n_outputs = 2, .recurrent = true};

/* A policy grown at random; the caller calls policy_done. */
static struct policy grow(const struct genome_shape *shape, const char *activations, uint64_t seed,
                          int growth)
{
    struct neat_params params;
    struct innovations innovations;
    struct breeder breeder;
    struct policy policy;
    onnxd_error err;
    struct rng rng = rng_seed(seed);
    neat_params_default(&params);
    params.recurrent = shape->recurrent;
    params.weight_limit = 3;
    params.toggle_rate = 0.2;
    assert_ok(neat_params_set(&params, "hidden_activations", activations, &err), err);
    if (seed % 3 == 0) assert_ok(neat_params_set(&params, "output_activation", "identity", &err), err);
    innovations_init(&innovations, shape_first_hidden(shape));
    breed_init(&breeder, &params, shape, &innovations);
    assert_true(breed_initial(&breeder, &rng));
    for (int i = 0; i < growth; i++) {
        assert_true(breed_add_node(&breeder, &rng) && breed_add_link(&breeder, &rng));
        assert_true(breed_mutate(&breeder, &rng));
    }
    assert_ok(policy_from_genome(&breeder.child, shape, "test", seed, 0.1 + 0.2, &policy, &err), err);
    breed_done(&breeder);
    innovations_done(&innovations);
    return policy;
}

static void json_gives_the_same_policy_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct genome_shape *shape = seed & 1 ? &FORWARD : &RECURRENT;
        struct policy policy = grow(shape, "sigmoid tanh gauss sin abs step relu", seed, (int)seed), back;
        struct buf text;
        onnxd_error err;
        buf_init(&text, 1 << 20);
        assert_ok(policy_to_json(&policy, &text, &err), err);
        assert_ok(policy_from_json(text.data, text.n, &back, &err), err);
        assert_int_equal(back.genome.n_genes, policy.genome.n_genes);
        assert_int_equal(back.genome.n_nodes, policy.genome.n_nodes);
        assert_memory_equal(back.genome.genes, policy.genome.genes,
                            policy.genome.n_genes * sizeof(struct gene));
        assert_memory_equal(back.genome.nodes, policy.genome.nodes,
                            policy.genome.n_nodes * sizeof(struct node_gene));
        assert_true(back.seed == seed && back.fitness == policy.fitness && strcmp(back.task, "test") == 0);
        assert_int_equal(back.shape.recurrent, shape->recurrent);
        policy_done(&policy);
        policy_done(&back);
        buf_done(&text);
    }
}

static void hostile_json_is_refused_by_name(void **state)
{
    (void)state;
    struct policy policy;
    onnxd_error err;
    const char good[] = "{\"format\":\"onnxd-policy-1\",\"task\":\"t\",\"seed\":1,\"fitness\":1,\"inputs\":1,"
                        "\"outputs\":1,\"recurrent\":false,\"nodes\":[{\"id\":2,\"activation\":\"tanh\"}],"
                        "\"genes\":[{\"innovation\":0,\"from\":0,\"to\":2,\"weight\":1,\"enabled\":true,"
                        "\"recurrent\":false}]}";
    assert_ok(policy_from_json(good, strlen(good), &policy, &err), err);
    policy_done(&policy);
    const struct {
        const char *find, *put, *message;
        onnxd_status status;
    } cases[] = {
        {"onnxd-policy-1", "onnxd-policy-9", "format", ONNXD_ERR_FORMAT},
        {"\"task\":\"t\",", "", "'task' is missing", ONNXD_ERR_FORMAT},
        {"\"seed\":1,", "\"seed\":1,\"seed\":2,", "given twice", ONNXD_ERR_FORMAT},
        {"\"seed\":1,", "\"seed\":1,\"sede\":2,", "unknown field", ONNXD_ERR_FORMAT},
        {"\"tanh\"", "\"tank\"", "no such activation", ONNXD_ERR_RANGE},
        {"\"to\":2", "\"to\":3", "leads to 3", ONNXD_ERR_FORMAT},
        {"\"from\":0", "\"from\":9", "unknown node 9", ONNXD_ERR_FORMAT},
        {"\"from\":0", "\"from\":99999999999", "from", ONNXD_ERR_RANGE},
        {"\"inputs\":1", "\"inputs\":0", "at least one", ONNXD_ERR_RANGE},
        {"\"weight\":1,", "", "'weight' is missing", ONNXD_ERR_FORMAT},
        {"\"weight\":1,", "\"weight\":1e99,", "weight", ONNXD_ERR_RANGE},
        {"}]}", "}]", "", ONNXD_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        const char *at = strstr(good, cases[i].find);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, cases[i].put,
                 at + strlen(cases[i].find));
        assert_fails(policy_from_json(text, strlen(text), &policy, &err), cases[i].status, err,
                     cases[i].message);
    }
    for (size_t n = 0; n < sizeof good - 1; n++)
        assert_true(policy_from_json(good, n, &policy, &err) != ONNXD_OK);
}

/* Runs the exported model on four rows for some steps beside the compiled network. */
static void compare_with_onnx(const struct policy *policy)
{
    struct buf bytes;
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    struct network_compiler compiler = {0};
    struct network network;
    struct arena arena;
    buf_init(&bytes, 1 << 22);
    arena_init(&arena, 0);
    assert_ok(policy_to_onnx(policy, &bytes, &err), err);
    assert_ok(onnxd_model_load_bytes(bytes.data, bytes.n, NULL, NULL, &model, &err), err);
    assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
    assert_ok(network_compile(&compiler, &policy->genome, &policy->shape, &arena, &network, &err), err);
    assert_int_equal(onnxd_model_n_inputs(model), network.recurrent ? 2 : 1);
    f32x4 *slots = aligned_alloc(16, network.n_slots * sizeof *slots);
    float in[4 * 8], *memory = calloc((size_t)4 * network.n_nodes, sizeof *memory);
    assert_true(slots != NULL && memory != NULL);
    network_reset(&network, slots);
    struct rng rng = rng_seed(test_seed());
    uint32_t n_in = policy->shape.n_inputs, n_out = policy->shape.n_outputs;
    for (int step = 0; step < 4; step++) {
        for (uint32_t i = 0; i < n_in; i++)
            for (uint32_t lane = 0; lane < 4; lane++) {
                in[lane * n_in + i] = rng_f32(&rng) * 2 - 1;
                slots[i][lane] = in[lane * n_in + i];
            }
        network_activate(&network, slots);
        onnxd_tensor inputs[2] = {{ONNXD_FLOAT32, 2, {4, n_in}, in},
                                  {ONNXD_FLOAT32, 2, {4, network.n_nodes}, memory}};
        onnxd_tensor outputs[2];
        uint32_t n = network.recurrent ? 2 : 1;
        assert_ok(onnxd_session_run(session, inputs, n, outputs, n, &err), err);
        const float *got = outputs[0].data;
        assert_true(outputs[0].dims[0] == 4 && outputs[0].dims[1] == n_out);
        for (uint32_t o = 0; o < n_out; o++)
            for (uint32_t lane = 0; lane < 4; lane++) {
                float want = slots[network.outputs[o]][lane];
                /* sums are taken in another order: a few units in the last place of each of up to ten layers
                 */
                if (fabsf(got[lane * n_out + o] - want) > 1e-4f * (1 + fabsf(want)))
                    fail_msg("output %u row %u step %d: compiled %.9g, ONNX %.9g", o, lane, step,
                             (double)want, (double)got[lane * n_out + o]);
            }
        if (network.recurrent) memcpy(memory, outputs[1].data, (size_t)4 * network.n_nodes * sizeof *memory);
    }
    free(slots);
    free(memory);
    onnxd_session_free(session);
    onnxd_model_unref(model);
    network_compiler_done(&compiler);
    arena_done(&arena);
    buf_done(&bytes);
}

static void onnx_computes_what_the_network_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        const struct genome_shape *shape = seed & 1 ? &FORWARD : &RECURRENT;
        struct policy policy = grow(shape, "sigmoid tanh gauss abs relu sin", seed, (int)seed % 10);
        compare_with_onnx(&policy);
        policy_done(&policy);
    }
}

static uint32_t count(const char *text, const char *what)
{
    uint32_t n = 0;
    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what)) n++;
    return n;
}

static void pictures_show_each_node_and_link(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct policy policy = grow(seed & 1 ? &FORWARD : &RECURRENT, "tanh", seed, 6);
        struct network_compiler compiler = {0};
        struct network network;
        struct arena arena;
        struct buf svg, dot;
        onnxd_error err;
        arena_init(&arena, 0);
        buf_init(&svg, 1 << 20);
        buf_init(&dot, 1 << 20);
        assert_ok(network_compile(&compiler, &policy.genome, &policy.shape, &arena, &network, &err), err);
        assert_ok(policy_to_svg(&policy, NULL, NULL, &svg, &err), err);
        assert_ok(policy_to_dot(&policy, NULL, NULL, &dot, &err), err);
        buf_append_char(&svg, 0);
        buf_append_char(&dot, 0);
        uint32_t n_nodes = network.n_inputs + 1 + network.n_nodes;
        assert_int_equal(count(svg.data, "<circle"), n_nodes);
        assert_int_equal(count(svg.data, "<path"), network.n_links);
        assert_int_equal(count(dot.data, " -> "), network.n_links);
        assert_int_equal(count(dot.data, " [label=") - network.n_links, n_nodes);
        struct buf small;
        buf_init(&small, 100);
        assert_fails(policy_to_svg(&policy, NULL, NULL, &small, &err), ONNXD_ERR_LIMIT, err, "larger");
        buf_done(&small);
        buf_done(&svg);
        buf_done(&dot);
        network_compiler_done(&compiler);
        arena_done(&arena);
        policy_done(&policy);
    }
}

static void replay_pages_hold_every_frame_and_no_foreign_markup(void **state)
{
    (void)state;
    struct arena_options options = {.n_teams = 2, .ships_a_team = 1, .max_ticks = 10};
    struct arena_match match;
    struct replay replay;
    struct buf page;
    onnxd_error err;
    const char *names[] = {"</script><b>", "\"quoted\""};
    float actions[ARENA_MAX_SHIPS * ARENA_N_OUTPUTS] = {0.5f, 1, 1, 0.2f, 1, 1};
    arena_match_start(&match, &options, 1);
    replay_init(&replay, &options, names);
    while (!match.finished) {
        replay_add(&replay, &match);
        arena_match_step(&match, actions);
    }
    buf_init(&page, 1 << 20);
    assert_ok(replay_page(&replay, &page, &err), err);
    buf_append_char(&page, 0);
    assert_int_equal(replay.n_frames, 10);
    assert_int_equal(count(page.data, "</script>"), 1);
    assert_int_equal(count(page.data, "\\u003c/script>"), 1);
    assert_int_equal(count(page.data, "http"), 0); /* nothing is fetched */
    buf_done(&page);
    replay_done(&replay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_gives_the_same_policy_back),
        cmocka_unit_test(hostile_json_is_refused_by_name),
        cmocka_unit_test(onnx_computes_what_the_network_does),
        cmocka_unit_test(pictures_show_each_node_and_link),
        cmocka_unit_test(replay_pages_hold_every_frame_and_no_foreign_markup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
