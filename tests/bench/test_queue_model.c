#include "support/test.h"

#include <math.h>

#include "bench/queue_model.h"

/* Against closed forms. A million requests leave the mean of a queue at 80 % load uncertain by about a per
 * cent; the histogram adds 0.8 % to quantiles. Seeds are fixed, so the tests do not depend on luck. */
#define CLOSE 0.03

static void assert_close(double got, double want, double share)
{
    if (!(fabs(got - want) <= share * want))
        fail_msg("got %.9g, expected %.9g within %g %%", got, want, share * 100);
}

static struct queue_model textbook(double rate, uint32_t n_instances, enum queue_service service)
{
    return (struct queue_model){.arrival_rate = rate,
                                .n_instances = n_instances,
                                .balance = QUEUE_SHARED,
                                .service = service,
                                .request_s = 1e-3,
                                .max_batch = 1,
                                .n_requests = 1000000,
                                .seed = 7};
}

static struct queue_figures run(const struct queue_model *model)
{
    struct queue_figures figures;
    onnxd_error err;
    assert_ok(queue_model_run(model, &figures, &err), err);
    /* Little's law, from three figures that are counted apart. */
    assert_close(figures.mean_in_system, model->arrival_rate * figures.mean_s, CLOSE);
    assert_true(figures.p50_s <= figures.p90_s && figures.p90_s <= figures.p99_s &&
                figures.p99_s <= figures.p999_s);
    return figures;
}

/* Sojourn times of M/M/1 are exponential with mean 1 / (mu - lambda). */
static void one_exponential_server_is_m_m_1(void **state)
{
    (void)state;
    static const double loads[] = {0.2, 0.5, 0.8};
    for (size_t i = 0; i < 3; i++) {
        struct queue_model model = textbook(loads[i] * 1000, 1, QUEUE_EXPONENTIAL);
        struct queue_figures figures = run(&model);
        double mean_s = 1 / (1000 - model.arrival_rate);
        assert_close(figures.mean_s, mean_s, CLOSE);
        assert_close(figures.p50_s, mean_s * log(2), CLOSE);
        assert_close(figures.p99_s, mean_s * log(100), CLOSE);
        assert_close(figures.utilisation, loads[i], CLOSE);
        assert_close(figures.mean_batch, 1, 1e-12);
        assert_true(figures.p99_error_s > 0 && figures.p99_error_s < 0.1 * figures.p99_s);
    }
}

/* Pollaczek and Khinchine: the mean wait of M/D/1 is rho / (2 mu (1 - rho)). Erlang: it is 0 with chance 1 -
 * rho. */
static void one_steady_server_is_m_d_1(void **state)
{
    (void)state;
    static const double loads[] = {0.2, 0.5, 0.8};
    for (size_t i = 0; i < 3; i++) {
        struct queue_model model = textbook(loads[i] * 1000, 1, QUEUE_FIXED);
        struct queue_figures figures = run(&model);
        assert_close(figures.mean_s, 1e-3 + 1e-3 * loads[i] / (2 * (1 - loads[i])), CLOSE);
        if (loads[i] < 0.5) assert_close(figures.p50_s, 1e-3, 0.01);
    }
}

/* Erlang's C: the chance to wait in M/M/c. The mean wait is C / (c mu - lambda). */
static double erlang_c(double a, uint32_t c)
{
    double term = 1, sum = 0;
    for (uint32_t k = 0; k < c; k++) {
        sum += term;
        term *= a / (k + 1);
    }
    double last = term * c / (c - a);
    return last / (sum + last);
}

static void several_servers_with_one_queue_are_m_m_c(void **state)
{
    (void)state;
    static const uint32_t counts[] = {2, 4, 16};
    for (size_t i = 0; i < 3; i++) {
        uint32_t c = counts[i];
        struct queue_model model = textbook(0.8 * 1000 * c, c, QUEUE_EXPONENTIAL);
        struct queue_figures figures = run(&model);
        assert_close(figures.mean_s, 1e-3 + erlang_c(0.8 * c, c) / (1000 * c - model.arrival_rate), CLOSE);
        assert_close(figures.utilisation, 0.8, CLOSE);
    }
}

/* Each of c queues that are fed at random is an M/M/1 of its own; joining the shortest lies between that and
 * one queue for all. */
static void balance_matters_as_theory_says(void **state)
{
    (void)state;
    struct queue_model model = textbook(3200, 4, QUEUE_EXPONENTIAL);
    double shared_s = run(&model).mean_s;
    model.balance = QUEUE_RANDOM;
    struct queue_figures random = run(&model);
    assert_close(random.mean_s, 1 / (1000.0 - 800), CLOSE);
    assert_close(random.p99_s, log(100) / (1000.0 - 800), 2 * CLOSE);
    model.balance = QUEUE_SHORTEST;
    double shortest_s = run(&model).mean_s;
    assert_true(shared_s < shortest_s && shortest_s < 0.6 * random.mean_s);
}

/* An idle server answers after one wake-up and one request; a busy one gathers so many that it keeps up
 * beyond the rate at which it would drown one by one. */
static void wake_ups_are_shared_under_load(void **state)
{
    (void)state;
    struct queue_model model = {.arrival_rate = 10,
                                .n_instances = 1,
                                .wake_s = 8e-6,
                                .request_s = 2e-6,
                                .max_batch = 64,
                                .n_requests = 1000000,
                                .seed = 3};
    struct queue_figures figures = run(&model);
    assert_close(figures.p50_s, 10e-6, 0.01);
    assert_close(figures.p99_s, 10e-6, 0.01);
    assert_close(queue_model_capacity(&model), 1 / (2e-6 + 8e-6 / 64), 1e-9);
    model.arrival_rate = 300000; /* three times what it could do one by one */
    figures = run(&model);
    /* Each wake-up takes what came during the one before: b = rate (wake + b request). */
    double batch = model.arrival_rate * model.wake_s / (1 - model.arrival_rate * model.request_s);
    assert_close(figures.mean_batch, batch, CLOSE);
    assert_close(figures.utilisation, 1, CLOSE);
    assert_true(figures.mean_s > 0.5 * batch * 2e-6 && figures.p99_s < 1e-3);
}

/* With batches of any size and no time for a request itself, wake-ups follow one another while there is work,
 * so a request waits for the one under way and its own: between one and two of them. */
static void a_batch_of_any_size_waits_two_wake_ups_at_most(void **state)
{
    (void)state;
    struct queue_model model = {.arrival_rate = 1e6,
                                .n_instances = 2,
                                .balance = QUEUE_RANDOM,
                                .wake_s = 1e-4,
                                .max_batch = QUEUE_MAX_BATCH,
                                .n_requests = 1000000,
                                .seed = 5};
    struct queue_figures figures = run(&model);
    assert_close(figures.mean_s, 1.5e-4, CLOSE);
    assert_close(figures.p50_s, 1.5e-4, CLOSE);
    assert_close(figures.p99_s, 1.99e-4, 0.01);
    assert_close(figures.mean_batch, 50, CLOSE);
}

static void the_same_seed_gives_the_same_figures(void **state)
{
    (void)state;
    struct queue_model model = textbook(3000, 4, QUEUE_EXPONENTIAL);
    model.n_requests = 20000;
    struct queue_figures a = run(&model), b = run(&model);
    assert_memory_equal(&a, &b, sizeof a);
    model.seed++;
    b = run(&model);
    assert_true(a.mean_s != b.mean_s);
}

static void the_highest_rate_meets_its_objective(void **state)
{
    (void)state;
    struct queue_model model = textbook(0, 1, QUEUE_EXPONENTIAL);
    double rate = 0;
    onnxd_error err;
    /* M/M/1: p99 = ln 100 / (mu - lambda) = 10 ms at lambda = mu - ln 100 / 10 ms. */
    assert_ok(queue_model_highest_rate(&model, 10e-3, &rate, &err), err);
    assert_close(rate, 1000 - log(100) / 10e-3, CLOSE);
    assert_ok(queue_model_highest_rate(&model, 1e-3, &rate, &err), err);
    assert_true(rate == 0);
}

static void service_times_are_told_apart(void **state)
{
    (void)state;
    struct queue_sample samples[3] = {{.wakeups = 1e5, .requests = 1.1e5},
                                      {.wakeups = 2e5, .requests = 4e5},
                                      {.wakeups = 1e5, .requests = 9e5}};
    double wake_s = 0, request_s = 0;
    onnxd_error err;
    for (int i = 0; i < 3; i++) samples[i].cpu_s = 8e-6 * samples[i].wakeups + 3e-6 * samples[i].requests;
    assert_ok(queue_model_fit(samples, 3, &wake_s, &request_s, &err), err);
    assert_close(wake_s, 8e-6, 1e-9);
    assert_close(request_s, 3e-6, 1e-9);
    samples[2].cpu_s *= 1.2; /* a disturbed one moves them a little */
    assert_ok(queue_model_fit(samples, 3, &wake_s, &request_s, &err), err);
    assert_close(wake_s, 8e-6, 0.2);
    for (int i = 0; i < 3; i++) samples[i].cpu_s = 5e-6 * samples[i].requests - 1e-6 * samples[i].wakeups;
    assert_ok(queue_model_fit(samples, 3, &wake_s, &request_s, &err), err);
    assert_true(wake_s == 0); /* never below 0 */
    assert_close(request_s, 5e-6, 0.2);
    assert_fails(queue_model_fit(samples, 1, &wake_s, &request_s, &err), ONNXD_ERR_RANGE, err, "two or more");
    samples[1] = (struct queue_sample){2e-1, 2e5, 2.2e5};
    samples[0] = (struct queue_sample){1e-1, 1e5, 1.1e5};
    assert_fails(queue_model_fit(samples, 2, &wake_s, &request_s, &err), ONNXD_ERR_RANGE, err, "two or more");
    samples[1].cpu_s = NAN;
    assert_fails(queue_model_fit(samples, 2, &wake_s, &request_s, &err), ONNXD_ERR_RANGE, err, "sample 2");
}

static void what_is_out_of_range_is_named(void **state)
{
    (void)state;
    struct queue_figures figures;
    onnxd_error err;
    struct queue_model good = textbook(500, 1, QUEUE_FIXED), bad;
#define REFUSED(change, text)                                                            \
    do {                                                                                 \
        bad = good;                                                                      \
        bad.change;                                                                      \
        assert_fails(queue_model_run(&bad, &figures, &err), ONNXD_ERR_RANGE, err, text); \
    } while (0)
    REFUSED(n_instances = 0, "instances");
    REFUSED(n_instances = QUEUE_MAX_INSTANCES + 1, "instances");
    REFUSED(max_batch = 0, "batch");
    REFUSED(max_batch = QUEUE_MAX_BATCH + 1, "batch");
    REFUSED(n_requests = 999, "requests");
    REFUSED(n_requests = QUEUE_MAX_REQUESTS + 1, "requests");
    REFUSED(request_s = -1e-3, "service times");
    REFUSED(request_s = NAN, "service times");
    REFUSED(request_s = 0, "service times");
    REFUSED(wake_s = INFINITY, "service times");
    REFUSED(arrival_rate = 0, "load");
    REFUSED(arrival_rate = NAN, "load");
    REFUSED(arrival_rate = 1000, "capacity of 1000/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_exponential_server_is_m_m_1),
        cmocka_unit_test(one_steady_server_is_m_d_1),
        cmocka_unit_test(several_servers_with_one_queue_are_m_m_c),
        cmocka_unit_test(balance_matters_as_theory_says),
        cmocka_unit_test(wake_ups_are_shared_under_load),
        cmocka_unit_test(a_batch_of_any_size_waits_two_wake_ups_at_most),
        cmocka_unit_test(the_same_seed_gives_the_same_figures),
        cmocka_unit_test(the_highest_rate_meets_its_objective),
        cmocka_unit_test(service_times_are_told_apart),
        cmocka_unit_test(what_is_out_of_range_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
