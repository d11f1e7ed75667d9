/* Policies computed by a server in this process, beside the same ones computed without it. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "evolve/local_inference.h"
#include "evolve/remote_inference.h"
#include "neat/population.h"
#include "support/served.h"

enum { N_PLAYERS = 12, N_MATCHES = 18, N_TICKS = 25 };

struct server {
    struct served served;
    char folder[32]; /* its empty repository */
    char url[64];
};

static void start_server(struct server *server)
{
    snprintf(server->folder, sizeof server->folder, "/tmp/test_remote_XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    served_start(&server->served, &(struct served_options){
                                      .repository = server->folder, .admin = true, .max_queue_size = 4096});
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->served.port);
}

static void stop_server(struct server *server)
{
    served_stop(&server->served);
    assert_int_equal(rmdir(server->folder), 0);
}

/* Genomes that some generations of aimless breeding gave nodes, and recurrent links where allowed. */
static struct population *breed(bool recurrent)
{
    struct neat_params params;
    struct population *population = NULL;
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    neat_params_default(&params);
    params.population_size = N_PLAYERS;
    params.recurrent = recurrent;
    params.recurrent_link_rate = recurrent ? 0.5f : 0;
    params.add_link_rate = 0.8f;
    params.add_node_rate = 0.5f;
    const struct genome_shape shape = {
        .n_inputs = ARENA_N_INPUTS, .n_outputs = ARENA_N_OUTPUTS, .recurrent = recurrent};
    assert_ok(population_create(&params, &shape, test_seed(), 0, &population, &err), err);
    for (int generation = 0; generation < 10; generation++) {
        for (uint32_t i = 0; i < population->n_genomes; i++) population->genomes[i].fitness = rng_f32(&rng);
        assert_ok(population_advance(population, &err), err);
    }
    return population;
}

static void lay_out(struct match_set *set)
{
    const struct arena_options options = {.n_teams = 2, .ships_a_team = 2, .max_ticks = 300};
    struct match_plan plans[N_MATCHES];
    onnxd_error err;
    for (uint32_t m = 0; m < N_MATCHES; m++)
        plans[m] = (struct match_plan){.seed = test_seed() + m,
                                       .players = {m % N_PLAYERS, (m * 5 + 1) % N_PLAYERS}};
    assert_ok(match_set_init(set, &options, plans, N_MATCHES, N_PLAYERS, &err), err);
}

/* Asks both for each tick's rows and lets the local answers steer, so that both see the same inputs. */
static void compare(const struct population *population, struct remote *remote, bool remembers)
{
    struct match_set set;
    struct local_inference local;
    struct inference far;
    const struct genome *genomes[N_PLAYERS];
    uint32_t n_recurrent = 0;
    onnxd_error err;
    for (uint32_t p = 0; p < N_PLAYERS; p++) {
        genomes[p] = &population->genomes[p];
        for (uint32_t g = 0; g < genomes[p]->n_genes; g++) n_recurrent += genomes[p]->genes[g].recurrent;
    }
    assert_true((n_recurrent > 0) == remembers);
    lay_out(&set);
    local_inference_init(&local);
    assert_ok(local_inference_begin(&local, &set, genomes, &population->shape, &err), err);
    const struct contest_backend backend = remote_backend(remote);
    assert_ok(backend.begin(backend.context, 0, &set, genomes, &population->shape, &far, &err), err);
    const struct inference near = local_inference_view(&local);
    float *answers = calloc(set.n_rows, ARENA_N_OUTPUTS * sizeof *answers);
    bool running = true;
    for (int tick = 0; tick < N_TICKS && running; tick++) {
        assert_ok(match_set_tick(&set, &near, NULL, &running, &err), err); /* fills set.in and set.out */
        const struct row_batch batch = {.n_players = N_PLAYERS,
                                        .first_row = set.first_row,
                                        .live = set.live,
                                        .in = set.in,
                                        .out = answers};
        assert_ok(far.run(far.context, &batch, &err), err);
        for (uint32_t i = 0; i < set.n_own_rows * ARENA_N_OUTPUTS; i++)
            if (set.live[i / ARENA_N_OUTPUTS] && fabsf(answers[i] - set.out[i]) > 1e-4f)
                fail_msg("tick %d, row %u, output %u: %.9g, expected %.9g", tick, i / ARENA_N_OUTPUTS,
                         i % ARENA_N_OUTPUTS, (double)answers[i], (double)set.out[i]);
    }
    free(answers);
    local_inference_done(&local);
    match_set_done(&set);
}

static void answers_are_those_of_the_compiled_networks(bool recurrent)
{
    struct server server;
    onnxd_error err;
    start_server(&server);
    struct population *population = breed(recurrent);
    for (uint32_t batch = 1; batch <= 8; batch *= 8) {
        const struct remote_options options = {.url = server.url, .batch = batch, .concurrency = 3};
        struct remote *remote = NULL;
        assert_ok(remote_create(&options, &remote, &err), err);
        compare(population, remote, recurrent);
        compare(population, remote, recurrent); /* a new set begins without memories */
        const struct remote_stats *stats = remote_stats_of(remote);
        assert_int_equal(stats->n_loads, N_PLAYERS);
        assert_true(batch == 1 ? stats->n_rows == stats->n_requests : stats->n_rows > 3 * stats->n_requests);
        assert_ok(remote_unload(remote, &err), err);
        assert_true(stats->compute_ns > 0);
        remote_free(remote);
    }
    population_free(population);
    stop_server(&server);
}

static void forward_policies(void **state)
{
    (void)state;
    answers_are_those_of_the_compiled_networks(false);
}

static void recurrent_policies_carry_their_memory(void **state)
{
    (void)state;
    answers_are_those_of_the_compiled_networks(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_policies),
        cmocka_unit_test(recurrent_policies_carry_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
