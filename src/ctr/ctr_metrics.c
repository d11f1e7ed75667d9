#include "ctr/ctr_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SMALLEST 1e-15

struct ranked {
    uint32_t key; /* the score's bits, made to sort as numbers */
    uint32_t row;
};

/* Rows by rising score, equal ones in their order: a radix sort of 11 bits at a time. */
static struct ranked *rank(const float *scores, uint64_t n)
{
    enum { BITS = 11, N = 1 << BITS };
    struct ranked *from = malloc(n * sizeof *from), *to = malloc(n * sizeof *to);
    if (from == NULL || to == NULL) {
        free(from);
        free(to);
        return NULL;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &scores[i], sizeof bits);
        if (bits == 0x80000000u) bits = 0; /* -0 equals 0 */
        from[i] = (struct ranked){bits & 0x80000000u ? ~bits : bits | 0x80000000u, (uint32_t)i};
    }
    for (uint32_t shift = 0; shift < 32; shift += BITS) {
        uint64_t start[N + 1] = {0};
        for (uint64_t i = 0; i < n; i++) start[(from[i].key >> shift & (N - 1)) + 1]++;
        for (uint32_t d = 0; d < N; d++) start[d + 1] += start[d];
        for (uint64_t i = 0; i < n; i++) to[start[from[i].key >> shift & (N - 1)]++] = from[i];
        struct ranked *other = from;
        from = to;
        to = other;
    }
    free(to);
    return from;
}

static onnxd_status check(const float *label, const float *weight, uint64_t n, double *ret_positive,
                          double *ret_negative, onnxd_error *err)
{
    double positive = 0, negative = 0;
    if (n > UINT32_MAX) return error_set(err, ONNXD_ERR_LIMIT, "rows: too many to be judged at once");
    for (uint64_t i = 0; i < n; i++) {
        positive += (double)weight[i] * label[i];
        negative += (double)weight[i] * (1 - label[i]);
    }
    if (!(positive > 0 && negative > 0))
        return error_set(err, ONNXD_ERR_RANGE,
                         "rows: %llu of one class only (weights: %g positive, %g negative); both are needed",
                         (unsigned long long)n, positive, negative);
    *ret_positive = positive;
    *ret_negative = negative;
    return ONNXD_OK;
}

/* Sweeps the threshold from the highest score down: the area, and points of the curve when asked for. */
static double sweep(const struct ranked *ranked, const float *label, const float *weight, uint64_t n,
                    double positive, double negative, struct ctr_metrics *m)
{
    double area = 0, hits = 0, alarms = 0;
    uint32_t point = 0;
    for (uint64_t i = n; i > 0;) {
        double tied_hits = 0, tied_alarms = 0;
        uint32_t key = ranked[i - 1].key;
        for (; i > 0 && ranked[i - 1].key == key; i--) {
            uint32_t row = ranked[i - 1].row;
            tied_hits += (double)weight[row] * label[row];
            tied_alarms += (double)weight[row] * (1 - label[row]);
        }
        area += tied_alarms * (hits + tied_hits / 2);
        for (; m != NULL && point <= CTR_ROC_POINTS; point++) { /* at even steps of the false rate */
            double x = (double)point / CTR_ROC_POINTS, wanted = x * negative - alarms;
            if (wanted > tied_alarms || (wanted == tied_alarms && i > 0)) break;
            m->false_rate[point] = x;
            m->true_rate[point] = (hits + (tied_alarms > 0 ? tied_hits * wanted / tied_alarms : 0)) /
                                  positive;
        }
        hits += tied_hits;
        alarms += tied_alarms;
    }
    for (; m != NULL && point <= CTR_ROC_POINTS; point++) m->false_rate[point] = m->true_rate[point] = 1;
    return area / (positive * negative);
}

onnxd_status ctr_auc(const float *scores, const float *label, const float *weight, uint64_t n,
                     double *ret_auc, onnxd_error *err)
{
    double positive, negative;
    onnxd_status status = check(label, weight, n, &positive, &negative, err);
    if (status != ONNXD_OK) return status;
    struct ranked *ranked = rank(scores, n);
    if (ranked == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "AUC: no memory for %llu rows", (unsigned long long)n);
    *ret_auc = sweep(ranked, label, weight, n, positive, negative, NULL);
    free(ranked);
    return ONNXD_OK;
}

static void fill_buckets(const struct ctr_scores *s, const struct ranked *ranked, struct ctr_metrics *m)
{
    m->n_buckets = s->n < CTR_BUCKETS ? (uint32_t)s->n : CTR_BUCKETS;
    for (uint32_t k = 0; k < m->n_buckets; k++) {
        struct ctr_bucket *bucket = &m->buckets[k];
        uint64_t from = s->n * k / m->n_buckets, to = s->n * (k + 1) / m->n_buckets;
        double total = 0;
        *bucket = (struct ctr_bucket){
            .n = to - from, .low = s->p[ranked[from].row], .high = s->p[ranked[to - 1].row]};
        for (uint64_t i = from; i < to; i++) {
            uint32_t row = ranked[i].row;
            total += s->weight[row];
            bucket->mean += (double)s->weight[row] * s->p[row];
            bucket->observed += (double)s->weight[row] * s->label[row];
        }
        if (total > 0) {
            bucket->mean /= total;
            bucket->observed /= total;
        }
    }
}

onnxd_status ctr_metrics_of(const struct ctr_scores *s, struct ctr_metrics *m, onnxd_error *err)
{
    double positive, negative, loss = 0, sum = 0, rate = 0;
    onnxd_status status = check(s->label, s->weight, s->n, &positive, &negative, err);
    if (status != ONNXD_OK) return status;
    struct ranked *ranked = rank(s->p, s->n);
    if (ranked == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "metrics: no memory for %llu rows", (unsigned long long)s->n);
    *m = (struct ctr_metrics){.n = s->n};
    rate = positive / (positive + negative);
    for (uint64_t i = 0; i < s->n; i++) {
        double p = s->p[i], y = s->label[i], weight = s->weight[i];
        double held = fmin(fmax(p, SMALLEST), 1 - SMALLEST);
        loss -= weight * (y * log(held) + (1 - y) * log1p(-held));
        sum += weight * p;
        m->n_positive += y;
    }
    m->mean = sum / (positive + negative);
    m->observed = rate;
    m->log_loss = loss / (positive + negative);
    m->normalised_entropy = m->log_loss / -(rate * log(rate) + (1 - rate) * log1p(-rate));
    m->auc = sweep(ranked, s->label, s->weight, s->n, positive, negative, m);
    fill_buckets(s, ranked, m);
    free(ranked);
    return ONNXD_OK;
}
