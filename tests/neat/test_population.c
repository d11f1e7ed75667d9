/* Generations, parameters and checkpoints. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "neat/neat_checkpoint.h"

static const struct genome_shape SHAPE = {.n_inputs = 3, .n_outputs = 2};
static const struct genome_shape RECURRENT = {.n_inputs = 3, .n_outputs = 2, .recurrent = true};

static struct neat_params lively_params(const struct genome_shape *shape)
{
    struct neat_params params;
    neat_params_default(&params);
    params.recurrent = shape->recurrent;
    params.population_size = 61;
    params.add_node_rate = 0.1;
    params.add_link_rate = 0.2;
    params.toggle_rate = 0.05;
    return params;
}

static struct population *create(const struct genome_shape *shape, uint64_t seed)
{
    onnxd_error err;
    struct population *p = NULL;
    struct neat_params params = lively_params(shape);
    assert_ok(population_create(&params, shape, seed, 0, &p, &err), err);
    return p;
}

/* A fitness that depends on the genome alone and rewards growth a little. */
static void judge(struct population *p)
{
    for (uint32_t i = 0; i < p->n_genomes; i++) {
        const struct genome *g = &p->genomes[i];
        double sum = g->n_genes;
        for (uint32_t k = 0; k < g->n_genes; k++) sum += (double)g->genes[k].weight * (k & 1 ? 1 : -1);
        p->genomes[i].fitness = sum;
    }
}

static uint64_t digest(const struct population *p)
{
    struct buf out;
    buf_init(&out, 64 << 20);
    population_save(p, &out);
    assert_false(out.failed);
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < out.n; i++) hash = (hash ^ (unsigned char)out.data[i]) * 1099511628211u;
    buf_done(&out);
    return hash;
}

static void every_generation_has_exactly_the_asked_size(void **state)
{
    (void)state;
    struct population *p = create(&SHAPE, test_seed());
    onnxd_error err;
    for (uint32_t generation = 0; generation < 120; generation++) {
        assert_int_equal(p->generation, generation);
        uint32_t n_members = 0;
        for (uint32_t s = 0; s < p->n_species; s++) {
            assert_true(p->species[s].n_members > 0);
            n_members += p->species[s].n_members;
        }
        assert_int_equal(n_members, 61);
        for (uint32_t i = 0; i < p->n_genomes; i++)
            assert_ok(genome_check(&p->breeder.marks, &p->genomes[i], &SHAPE, &err), err);
        judge(p);
        assert_ok(population_advance(p, &err), err);
    }
    assert_true(p->innovations.n_splits > 10);
    population_free(p);
}

static void the_threshold_finds_the_target(void **state)
{
    (void)state;
    struct population *p = create(&SHAPE, test_seed());
    onnxd_error err;
    double sum = 0;
    for (int generation = 0; generation < 150; generation++) {
        judge(p);
        assert_ok(population_advance(p, &err), err);
        if (generation >= 50) sum += p->n_species;
    }
    if (fabs(sum / 100 - 10) > 4) fail_msg("target 10 species, mean %g", sum / 100);
    population_free(p);
}

static void champions_of_large_species_survive_unchanged(void **state)
{
    (void)state;
    struct population *p = create(&SHAPE, test_seed());
    onnxd_error err;
    uint32_t n_kept = 0;
    for (int generation = 0; generation < 60; generation++) {
        judge(p);
        uint64_t champions[61];
        double fitness[61];
        uint32_t n = p->n_species, n_due = 0;
        for (uint32_t s = 0; s < n; s++) {
            const struct species *species = &p->species[s];
            uint32_t best = p->by_species[species->first];
            for (uint32_t i = 1; i < species->n_members; i++) {
                uint32_t other = p->by_species[species->first + i];
                if (p->genomes[other].fitness > p->genomes[best].fitness) best = other;
            }
            champions[s] = p->genomes[best].id;
            fitness[s] = p->genomes[best].fitness;
        }
        assert_ok(population_advance(p, &err), err);
        judge(p);
        for (uint32_t i = 0; i < p->n_genomes; i++) {
            if (!p->genomes[i].is_elite_copy) continue;
            uint32_t s = 0;
            while (s < n && champions[s] != p->genomes[i].id) s++;
            assert_true(s < n); /* nobody but a champion is copied, and its fitness is what it was */
            assert_true(fitness[s] == p->genomes[i].fitness);
            n_due++;
        }
        n_kept += n_due;
    }
    assert_true(n_kept >= 60);
    population_free(p);
}

static void seeds_repeat_and_differ(void **state)
{
    (void)state;
    struct population *a = create(&SHAPE, 5), *b = create(&SHAPE, 5), *c = create(&SHAPE, 6);
    onnxd_error err;
    assert_true(digest(a) != digest(c));
    for (int generation = 0; generation < 30; generation++) {
        judge(a);
        judge(b);
        assert_ok(population_advance(a, &err), err);
        assert_ok(population_advance(b, &err), err);
        assert_true(digest(a) == digest(b));
    }
    population_free(a);
    population_free(b);
    population_free(c);
}

static struct population *reload(const struct population *p)
{
    struct buf out;
    onnxd_error err;
    struct population *copy = NULL;
    buf_init(&out, 64 << 20);
    population_save(p, &out);
    struct byte_reader in = {.at = (unsigned char *)out.data, .end = (unsigned char *)out.data + out.n};
    assert_ok(population_load(&in, 0, &copy, &err), err);
    assert_true(in.at == in.end);
    buf_done(&out);
    return copy;
}

static void a_resumed_run_is_the_uninterrupted_one(void **state)
{
    (void)state;
    const struct genome_shape *shapes[] = {&SHAPE, &RECURRENT};
    onnxd_error err;
    for (int s = 0; s < 2; s++) {
        struct population *whole = create(shapes[s], test_seed()), *resumed = create(shapes[s], test_seed());
        for (int generation = 0; generation < 60; generation++) {
            judge(whole);
            assert_ok(population_advance(whole, &err), err);
            judge(resumed);
            assert_ok(population_advance(resumed, &err), err);
            if (generation % 7 == 3) {
                struct population *copy = reload(resumed);
                population_free(resumed);
                resumed = copy;
            }
            assert_true(digest(whole) == digest(resumed));
        }
        population_free(whole);
        population_free(resumed);
    }
}

/* Each byte of a checkpoint changed in turn, and each length cut: loading fails with a message or gives a
 * population that breeds on. */
static void damaged_checkpoints_never_crash(void **state)
{
    (void)state;
    struct population *p = create(&RECURRENT, test_seed());
    struct buf out;
    onnxd_error err;
    for (int generation = 0; generation < 10; generation++) {
        judge(p);
        assert_ok(population_advance(p, &err), err);
    }
    buf_init(&out, 64 << 20);
    population_save(p, &out);
    uint32_t n_refused = 0, n_loaded = 0;
    for (size_t i = 0; i < out.n; i += i < 4000 ? 1 : 37) {
        struct population *copy = NULL;
        out.data[i] ^= (char)(1 << i % 8);
        struct byte_reader in = {.at = (unsigned char *)out.data, .end = (unsigned char *)out.data + out.n};
        err.message[0] = 0;
        onnxd_status status = population_load(&in, 256 << 20, &copy, &err);
        out.data[i] ^= (char)(1 << i % 8);
        if (status != ONNXD_OK) {
            assert_true(err.message[0] != 0);
            n_refused++;
            continue;
        }
        n_loaded++;
        judge(copy);
        if (population_advance(copy, &err) == ONNXD_OK) judge(copy);
        population_free(copy);
    }
    for (size_t n = 0; n < out.n; n += 1 + out.n / 300) {
        struct population *copy = NULL;
        struct byte_reader in = {.at = (unsigned char *)out.data, .end = (unsigned char *)out.data + n};
        assert_true(population_load(&in, 256 << 20, &copy, &err) != ONNXD_OK);
        assert_null(copy);
    }
    assert_true(n_refused > 500 && n_loaded > 100);
    buf_done(&out);
    population_free(p);
}

static void fitness_must_be_finite_and_may_be_negative(void **state)
{
    (void)state;
    struct population *p = create(&SHAPE, 1);
    onnxd_error err;
    judge(p);
    for (uint32_t i = 0; i < p->n_genomes; i++) p->genomes[i].fitness -= 1000;
    assert_ok(population_advance(p, &err), err);
    for (uint32_t i = 0; i < p->n_genomes; i++) p->genomes[i].fitness = 0;
    assert_ok(population_advance(p, &err), err);
    for (uint32_t i = 0; i < p->n_genomes; i++) p->genomes[i].fitness = 1e308;
    assert_ok(population_advance(p, &err), err);
    p->genomes[3].fitness = NAN;
    assert_fails(population_advance(p, &err), ONNXD_ERR_ARGUMENT, err, "genome 3");
    population_free(p);
}

static void memory_has_a_ceiling(void **state)
{
    (void)state;
    struct population *p = NULL;
    onnxd_error err;
    struct neat_params params = lively_params(&SHAPE);
    params.population_size = 10000;
    assert_fails(population_create(&params, &SHAPE, 1, 100000, &p, &err), ONNXD_ERR_LIMIT, err, "no memory");
    assert_fails(population_create(&params, &RECURRENT, 1, 0, &p, &err), ONNXD_ERR_ARGUMENT, err,
                 "recurrent");
    assert_null(p);
}

static void parameters_survive_their_file(void **state)
{
    (void)state;
    struct neat_params params, back;
    onnxd_error err;
    struct buf out;
    neat_params_default(&params);
    params.weight_power = 0.1 + 0.2;
    assert_ok(neat_params_set(&params, "hidden_activations", "tanh gauss", &err), err);
    assert_ok(neat_params_set(&params, "weight_noise", "cauchy", &err), err);
    assert_ok(neat_params_set(&params, "recurrent", "yes", &err), err);
    buf_init(&out, 1 << 20);
    neat_params_print(&params, "a test", &out);
    assert_ok(neat_params_parse(out.data, out.n, &back, &err), err);
    assert_true(neat_params_equal(&params, &back));
    back.threshold_step += 1;
    assert_false(neat_params_equal(&params, &back));
    buf_done(&out);
}

static void parameter_files_are_checked_by_name(void **state)
{
    (void)state;
    struct neat_params params;
    onnxd_error err;
    struct buf out;
    buf_init(&out, 1 << 20);
    neat_params_default(&params);
    neat_params_print(&params, "a test", &out);
    size_t n = out.n;
#define REFUSED(extra, status, text)                                                        \
    do {                                                                                    \
        out.n = n;                                                                          \
        buf_append_text(&out, extra);                                                       \
        assert_fails(neat_params_parse(out.data, out.n, &params, &err), status, err, text); \
    } while (0)
    REFUSED("wieght_power = 1\n", ONNXD_ERR_NOT_FOUND, "wieght_power: no such parameter");
    REFUSED("weight_power = 1\n", ONNXD_ERR_FORMAT, "weight_power: given twice");
    REFUSED("weight_power\n", ONNXD_ERR_FORMAT, "expected 'key = value'");
    out.n = n;
    assert_true(buf_append_char(&out, 0));
    out.n = n;
    char *line = strstr(out.data, "crossover_rate = ");
    assert_non_null(line);
    memcpy(line, "#", 1);
    assert_fails(neat_params_parse(out.data, out.n, &params, &err), ONNXD_ERR_FORMAT, err,
                 "crossover_rate is missing");
#undef REFUSED
    const char *bad[][2] = {{"population_size", "1"},
                            {"population_size", "10.5"},
                            {"population_size", "1e9"},
                            {"crossover_rate", "1.1"},
                            {"crossover_rate", "nan"},
                            {"crossover_rate", "0x1"},
                            {"crossover_rate", "0.5 x"},
                            {"crossover_rate", ""},
                            {"recurrent", "true"},
                            {"output_activation", "soft"},
                            {"weight_noise", "pink"},
                            {"hidden_activations", ""},
                            {"hidden_activations", "sigmoid soft"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(neat_params_set(&params, bad[i][0], bad[i][1], &err), ONNXD_ERR_RANGE, err, bad[i][0]);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_generation_has_exactly_the_asked_size),
        cmocka_unit_test(the_threshold_finds_the_target),
        cmocka_unit_test(champions_of_large_species_survive_unchanged),
        cmocka_unit_test(seeds_repeat_and_differ),
        cmocka_unit_test(a_resumed_run_is_the_uninterrupted_one),
        cmocka_unit_test(damaged_checkpoints_never_crash),
        cmocka_unit_test(fitness_must_be_finite_and_may_be_negative),
        cmocka_unit_test(memory_has_a_ceiling),
        cmocka_unit_test(parameters_survive_their_file),
        cmocka_unit_test(parameter_files_are_checked_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
