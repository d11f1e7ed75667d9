#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "ctr/ctr_metrics.h"

/* Pairs counted one by one. */
static double naive_auc(const float *p, const float *label, const float *weight, uint64_t n)
{
    double won = 0, all = 0;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < n; j++) {
            double pair = (double)label[i] * weight[i] * (1 - (double)label[j]) * weight[j];
            all += pair;
            won += pair * (p[i] > p[j] ? 1 : p[i] == p[j] ? 0.5 : 0);
        }
    return won / all;
}

static void auc_counts_pairs_ties_and_weights(void **state)
{
    (void)state;
    enum { N = 300 };
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    float p[N], label[N], weight[N];
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < N; i++) { /* scores of either sign; few values make ties; soft labels */
            p[i] = kind % 2 == 0 ? (float)rng_normal(&rng) : (float)rng_below(&rng, 7) - 3;
            label[i] = kind < 2 ? (float)(rng_below(&rng, 4) == 0) : rng_f32(&rng);
            weight[i] = kind == 0 ? 1 : rng_f32(&rng);
        }
        double auc = 0;
        assert_ok(ctr_auc(p, label, weight, N, &auc, &err), err);
        assert_float_equal(auc, naive_auc(p, label, weight, N), 1e-9);
        struct ctr_metrics m;
        struct ctr_scores scores = {.p = p, .label = label, .weight = weight, .n = N};
        assert_ok(ctr_metrics_of(&scores, &m, &err), err);
        assert_float_equal(m.auc, auc, 1e-12);
        double area = 0; /* under the curve's points, by trapezes */
        for (int i = 0; i < CTR_ROC_POINTS; i++)
            area += (m.false_rate[i + 1] - m.false_rate[i]) * (m.true_rate[i] + m.true_rate[i + 1]) / 2;
        assert_float_equal(area, auc, 0.01);
    }
}

static void loss_and_calibration_equal_their_definitions(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct rng rng = rng_seed(test_seed());
    onnxd_error err;
    struct ctr_metrics m;
    float p[N], label[N], weight[N];
    double loss = 0, total = 0, mean = 0, rate = 0;
    for (int i = 0; i < N; i++) {
        p[i] = rng_f32(&rng) * rng_f32(&rng);
        label[i] = rng_f32(&rng) < p[i];
        weight[i] = 0.5f + rng_f32(&rng);
        loss -= (double)weight[i] * log(label[i] > 0 ? (double)p[i] : 1 - (double)p[i]);
        total += (double)weight[i];
        mean += (double)weight[i] * (double)p[i];
        rate += (double)weight[i] * (double)label[i];
    }
    rate /= total;
    struct ctr_scores scores = {.p = p, .label = label, .weight = weight, .n = N};
    assert_ok(ctr_metrics_of(&scores, &m, &err), err);
    assert_float_equal(m.log_loss, loss / total, 1e-9);
    assert_float_equal(m.mean, mean / total, 1e-9);
    assert_float_equal(m.observed, rate, 1e-9);
    assert_float_equal(m.normalised_entropy, m.log_loss / -(rate * log(rate) + (1 - rate) * log(1 - rate)),
                       1e-9);
    uint64_t n = 0;
    assert_int_equal(m.n_buckets, CTR_BUCKETS);
    for (uint32_t i = 0; i < m.n_buckets; i++) {
        n += m.buckets[i].n;
        assert_true(m.buckets[i].low <= m.buckets[i].mean && m.buckets[i].mean <= m.buckets[i].high);
        if (i > 0) assert_true(m.buckets[i - 1].high <= m.buckets[i].low);
    }
    assert_int_equal(n, N);
}

static void certain_mistakes_cost_much_but_not_infinitely(void **state)
{
    (void)state;
    float p[] = {0, 1, 0.5f}, label[] = {1, 0, 1}, weight[] = {1, 1, 1};
    struct ctr_metrics m;
    onnxd_error err;
    struct ctr_scores scores = {.p = p, .label = label, .weight = weight, .n = 3};
    assert_ok(ctr_metrics_of(&scores, &m, &err), err);
    assert_float_equal(m.log_loss, (2 * -log(1e-15) + log(2)) / 3, 0.05);
    assert_int_equal(m.n_buckets, 3);
}

static void one_class_cannot_be_ranked(void **state)
{
    (void)state;
    float p[] = {0.1f, 0.2f}, label[] = {0, 0}, weight[] = {1, 1};
    double auc = 0;
    onnxd_error err;
    assert_fails(ctr_auc(p, label, weight, 2, &auc, &err), ONNXD_ERR_RANGE, err, "one class only");
    assert_fails(ctr_auc(p, label, weight, 0, &auc, &err), ONNXD_ERR_RANGE, err, "one class only");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auc_counts_pairs_ties_and_weights),
        cmocka_unit_test(loss_and_calibration_equal_their_definitions),
        cmocka_unit_test(certain_mistakes_cost_much_but_not_infinitely),
        cmocka_unit_test(one_class_cannot_be_ranked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
