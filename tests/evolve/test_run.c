/* Whole runs: solved tasks, the same result for any number of threads, and tables that hold. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "evolve/run.h"

static struct run_result run_once(const char *task, uint64_t seed, uint32_t n_threads,
                                  uint32_t max_generations, uint64_t *ret_champion)
{
    onnxd_error err;
    struct threads *threads = NULL;
    struct run *run = NULL;
    struct run_options options = {.task = task_find(task), .seed = seed, .max_generations = max_generations};
    assert_non_null(options.task);
    task_params(options.task, &options.params);
    if (n_threads > 0) assert_ok(threads_create(n_threads, &threads, &err), err);
    options.threads = threads;
    assert_ok(run_create(&options, &run, &err), err);
    while (!run->finished) assert_ok(run_generation(run, &err), err);
    uint64_t hash = run->champion.n_genes;
    for (uint32_t i = 0; i < run->champion.n_genes; i++) {
        uint32_t bits;
        memcpy(&bits, &run->champion.genes[i].weight, sizeof bits);
        hash = (hash ^ bits ^ (uint64_t)run->champion.genes[i].innovation << 32) * 1099511628211u;
    }
    if (ret_champion != NULL) *ret_champion = hash;
    struct run_result result = run->result;
    run_free(run);
    threads_free(threads);
    return result;
}

static void xor_is_solved_faster_than_the_paper(void **state)
{
    (void)state;
    enum { N = 40 };
    double sum = 0;
    for (uint64_t seed = 1; seed <= N; seed++) {
        struct run_result result = run_once("xor", seed, 0, 300, NULL);
        if (!result.solved) fail_msg("seed %llu is not solved", (unsigned long long)seed);
        assert_true(result.n_hidden >= 1); /* no network without hidden nodes can */
        assert_int_equal(result.n_evaluations, result.n_generations * 150);
        sum += (double)result.n_evaluations;
    }
    if (sum / N > 4755) fail_msg("mean evaluations %g, the paper's 4755", sum / N);
}

static void double_pole_is_solved_faster_than_the_paper(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct run_result result = run_once("pole2", seed, 0, 100, NULL);
        assert_true(result.solved);
        assert_true(result.fitness == 100000);
        sum += (double)result.n_evaluations;
    }
    if (sum / 5 > 3600) fail_msg("mean evaluations %g, the paper's 3600", sum / 5);
}

static void threads_do_not_change_the_result(void **state)
{
    (void)state;
    const char *tasks[] = {"xor", "pole2", "pole2-novel"};
    for (int t = 0; t < 3; t++) {
        uint64_t champion, other;
        struct run_result one = run_once(tasks[t], 3, 0, 12, &champion);
        for (uint32_t n = 1; n <= 3; n++) {
            struct run_result many = run_once(tasks[t], 3, n, 12, &other);
            assert_true(champion == other);
            assert_true(one.fitness == many.fitness && one.n_evaluations == many.n_evaluations);
            assert_true(one.n_steps == many.n_steps && one.solved == many.solved);
        }
        run_once(tasks[t], 4, 0, 12, &other);
        assert_true(champion != other);
    }
}

/* The same genomes in chunks of different sizes: neighbours and lanes must not matter. */
static void a_trial_depends_on_its_genome_alone(void **state)
{
    (void)state;
    const char *tasks[] = {"xor", "pole", "pole2", "pole2-novel"};
    for (int t = 0; t < 4; t++) {
        const struct task *task = task_find(tasks[t]);
        struct neat_params params;
        struct population *p = NULL;
        struct task_worker worker;
        struct task_options options = {0};
        onnxd_error err;
        struct trial whole[30], single[30];
        task_params(task, &params);
        params.population_size = 30;
        assert_ok(population_create(&params, &task->shape, test_seed(), 0, &p, &err), err);
        task_worker_init(&worker);
        assert_ok(task->evaluate(task, &options, &worker, p->genomes, 30, whole, &err), err);
        for (uint32_t i = 0; i < 30; i++)
            assert_ok(task->evaluate(task, &options, &worker, p->genomes + i, 1, single + i, &err), err);
        for (uint32_t i = 0; i < 30; i++)
            assert_true(whole[i].fitness == single[i].fitness && whole[i].n_steps == single[i].n_steps);
        task_worker_done(&worker);
        population_free(p);
    }
}

static void each_task_ships_its_parameter_file(void **state)
{
    (void)state;
    uint32_t n;
    const struct task *const *tasks = task_list(&n);
    for (uint32_t i = 0; i < n; i++) {
        struct neat_params params, shipped;
        onnxd_error err;
        char name[80], *text = NULL;
        size_t n_bytes = 0;
        task_params(tasks[i], &params);
        assert_int_equal(params.recurrent, tasks[i]->shape.recurrent);
        snprintf(name, sizeof name, "models/neat/%s.params", tasks[i]->name);
        assert_ok(file_read(project_path(name), 1 << 20, &text, &n_bytes, &err), err);
        assert_ok(neat_params_parse(text, n_bytes, &shipped, &err), err);
        if (!neat_params_equal(&params, &shipped)) fail_msg("%s differs from the built-in values", name);
        free(text);
    }
    assert_null(task_find("chess"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xor_is_solved_faster_than_the_paper),
        cmocka_unit_test(double_pole_is_solved_faster_than_the_paper),
        cmocka_unit_test(threads_do_not_change_the_result),
        cmocka_unit_test(a_trial_depends_on_its_genome_alone),
        cmocka_unit_test(each_task_ships_its_parameter_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
