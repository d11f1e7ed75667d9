#include "bench/queue_model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "stats/histogram.h"
#include "stats/sample.h"

#define STUDENT_9 2.262 /* 97.5 % point of Student's t, 9 degrees of freedom */

struct waiting { /* arrival times, first in first out; a ring that grows */
    double *times;
    uint64_t first, n, capacity; /* capacity: a power of two */
};

struct instance {
    double *batch; /* [max_batch] arrivals of what it works on */
    uint32_t n_batch;
    double done_at; /* when n_batch > 0 */
    struct waiting queue;
};

struct simulation {
    const struct queue_model *model;
    struct rng gaps, works, choices;
    struct instance *instances;
    struct waiting shared;
    double *batches; /* [n_instances * max_batch] */
    uint64_t n_in_system, n_arrived, n_answered, n_skip, n_block;
    double now_s, area_s, busy_s, from_s; /* from_s: when counting began */
    double n_wakeups, n_in_wakeups, sum_s;
    struct histogram *all, *block;
    double block_p99[QUEUE_N_BLOCKS];
    uint32_t n_blocks;
};

static bool push(struct waiting *queue, double time)
{
    if (queue->n == queue->capacity) {
        uint64_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
        double *times = malloc(capacity * sizeof *times);
        if (times == NULL) return false;
        for (uint64_t i = 0; i < queue->n; i++)
            times[i] = queue->times[(queue->first + i) & (queue->capacity - 1)];
        free(queue->times);
        *queue = (struct waiting){.times = times, .n = queue->n, .capacity = capacity};
    }
    queue->times[(queue->first + queue->n++) & (queue->capacity - 1)] = time;
    return true;
}

static double pop(struct waiting *queue)
{
    double time = queue->times[queue->first];
    queue->first = (queue->first + 1) & (queue->capacity - 1);
    queue->n--;
    return time;
}

static struct waiting *queue_of(struct simulation *s, struct instance *instance)
{
    return s->model->balance == QUEUE_SHARED ? &s->shared : &instance->queue;
}

/* Wakes an idle instance up: it takes what waits. */
static void start(struct simulation *s, struct instance *instance)
{
    const struct queue_model *model = s->model;
    struct waiting *queue = queue_of(s, instance);
    double work_s = model->wake_s;
    while (instance->n_batch < model->max_batch && queue->n > 0) {
        instance->batch[instance->n_batch++] = pop(queue);
        work_s += model->service == QUEUE_FIXED ? model->request_s
                                                : -model->request_s * log1p(-rng_f64(&s->works));
    }
    instance->done_at = s->now_s + work_s;
    if (s->n_answered < s->n_skip) return;
    s->busy_s += work_s;
    s->n_wakeups += 1;
    s->n_in_wakeups += instance->n_batch;
}

static struct instance *shortest(struct simulation *s)
{
    uint32_t n = s->model->n_instances, first = (uint32_t)rng_below(&s->choices, n), best = first;
    for (uint32_t k = 1; k < n; k++) {
        uint32_t i = (first + k) % n;
        const struct instance *a = &s->instances[i], *b = &s->instances[best];
        if (a->n_batch + a->queue.n < b->n_batch + b->queue.n) best = i;
    }
    return &s->instances[best];
}

static struct instance *first_idle(struct simulation *s)
{
    for (uint32_t i = 0; i < s->model->n_instances; i++)
        if (s->instances[i].n_batch == 0) return &s->instances[i];
    return NULL;
}

static bool arrive(struct simulation *s)
{
    struct instance *instance = NULL;
    struct waiting *queue = &s->shared;
    switch (s->model->balance) {
    case QUEUE_RANDOM: instance = &s->instances[rng_below(&s->choices, s->model->n_instances)]; break;
    case QUEUE_SHORTEST: instance = shortest(s); break;
    case QUEUE_SHARED: break;
    }
    if (instance != NULL) queue = &instance->queue;
    if (!push(queue, s->now_s)) return false;
    s->n_arrived++;
    s->n_in_system++;
    if (instance == NULL) instance = first_idle(s);
    if (instance != NULL && instance->n_batch == 0) start(s, instance);
    return true;
}

static void end_block(struct simulation *s)
{
    s->block_p99[s->n_blocks++] = histogram_quantile(s->block, 0.99);
    histogram_merge(s->all, s->block);
    histogram_reset(s->block);
}

static void answer(struct simulation *s, struct instance *instance)
{
    for (uint32_t i = 0; i < instance->n_batch; i++) {
        double latency_s = s->now_s - instance->batch[i];
        if (++s->n_answered <= s->n_skip) {
            s->from_s = s->now_s;
            s->area_s = 0;
            continue;
        }
        histogram_record(s->block, (uint64_t)(latency_s * 1e9 + 0.5));
        s->sum_s += latency_s;
        if (s->block->n == s->n_block && s->n_blocks < QUEUE_N_BLOCKS) end_block(s);
    }
    s->n_in_system -= instance->n_batch;
    instance->n_batch = 0;
    if (queue_of(s, instance)->n > 0) start(s, instance);
}

/* The instance that is done first, or NULL when none works. */
static struct instance *next_done(struct simulation *s)
{
    struct instance *best = NULL;
    for (uint32_t i = 0; i < s->model->n_instances; i++) {
        struct instance *instance = &s->instances[i];
        if (instance->n_batch > 0 && (best == NULL || instance->done_at < best->done_at)) best = instance;
    }
    return best;
}

static void move_to(struct simulation *s, double time_s)
{
    s->area_s += (double)s->n_in_system * (time_s - s->now_s);
    s->now_s = time_s;
}

static bool simulate(struct simulation *s)
{
    double arrival_s = sample_poisson_gap(&s->gaps, s->model->arrival_rate);
    while (s->n_blocks < QUEUE_N_BLOCKS) {
        struct instance *done = next_done(s);
        if (done != NULL && done->done_at <= arrival_s) {
            move_to(s, done->done_at);
            answer(s, done);
        } else {
            move_to(s, arrival_s);
            if (!arrive(s)) return false;
            arrival_s += sample_poisson_gap(&s->gaps, s->model->arrival_rate);
        }
    }
    return true;
}

static void summarise(const struct simulation *s, struct queue_figures *ret)
{
    double time_s = s->now_s - s->from_s;
    uint64_t n = s->all->n;
    *ret = (struct queue_figures){
        .mean_s = s->sum_s / (double)n,
        .p50_s = histogram_quantile(s->all, 0.5) * 1e-9,
        .p90_s = histogram_quantile(s->all, 0.9) * 1e-9,
        .p99_s = histogram_quantile(s->all, 0.99) * 1e-9,
        .p999_s = histogram_quantile(s->all, 0.999) * 1e-9,
        .p99_error_s = STUDENT_9 * sample_sd(s->block_p99, QUEUE_N_BLOCKS) / sqrt(QUEUE_N_BLOCKS) * 1e-9,
        .mean_batch = s->n_wakeups > 0 ? s->n_in_wakeups / s->n_wakeups : 0,
        .utilisation = s->busy_s / (time_s * s->model->n_instances),
        .mean_in_system = s->area_s / time_s,
    };
}

double queue_model_capacity(const struct queue_model *model)
{
    return model->n_instances / (model->request_s + model->wake_s / model->max_batch);
}

static onnxd_status check(const struct queue_model *model, onnxd_error *err)
{
    if (model->n_instances < 1 || model->n_instances > QUEUE_MAX_INSTANCES)
        return error_set(err, ONNXD_ERR_RANGE, "instances: expected 1 to %u, got %u", QUEUE_MAX_INSTANCES,
                         model->n_instances);
    if (model->max_batch < 1 || model->max_batch > QUEUE_MAX_BATCH)
        return error_set(err, ONNXD_ERR_RANGE, "batch: expected 1 to %u, got %u", QUEUE_MAX_BATCH,
                         model->max_batch);
    if (model->n_requests < 1000 || model->n_requests > QUEUE_MAX_REQUESTS)
        return error_set(err, ONNXD_ERR_RANGE, "requests: expected 1000 to %llu",
                         (unsigned long long)QUEUE_MAX_REQUESTS);
    if (!(model->wake_s >= 0 && model->request_s >= 0 && model->wake_s + model->request_s > 0 &&
          model->wake_s + model->request_s <= 3600))
        return error_set(err, ONNXD_ERR_RANGE, "service times: expected 0 or more, together up to an hour");
    if (!(model->arrival_rate > 0 && model->arrival_rate < queue_model_capacity(model)))
        return error_set(err, ONNXD_ERR_RANGE,
                         "load of %g/s: expected more than 0 and less than the capacity of %g/s",
                         model->arrival_rate, queue_model_capacity(model));
    return ONNXD_OK;
}

onnxd_status queue_model_run(const struct queue_model *model, struct queue_figures *ret, onnxd_error *err)
{
    onnxd_status status = check(model, err);
    if (status != ONNXD_OK) return status;
    struct rng seed = rng_seed(model->seed);
    struct simulation s = {.model = model,
                           .gaps = rng_fork(&seed, 1),
                           .works = rng_fork(&seed, 2),
                           .choices = rng_fork(&seed, 3),
                           .n_skip = model->n_requests / 10};
    s.n_block = (model->n_requests - s.n_skip) / QUEUE_N_BLOCKS;
    s.instances = calloc(model->n_instances, sizeof *s.instances);
    s.batches = calloc((size_t)model->n_instances * model->max_batch, sizeof *s.batches);
    s.all = calloc(1, sizeof *s.all);
    s.block = calloc(1, sizeof *s.block);
    bool ok = s.instances != NULL && s.batches != NULL && s.all != NULL && s.block != NULL;
    for (uint32_t i = 0; ok && i < model->n_instances; i++)
        s.instances[i].batch = s.batches + (size_t)i * model->max_batch;
    if (ok) ok = simulate(&s);
    if (ok)
        summarise(&s, ret);
    else
        status = error_set(err, ONNXD_ERR_NOMEM, "simulation: out of memory");
    for (uint32_t i = 0; s.instances != NULL && i < model->n_instances; i++) free(s.instances[i].queue.times);
    free(s.shared.times);
    free(s.instances);
    free(s.batches);
    free(s.all);
    free(s.block);
    return status;
}

onnxd_status queue_model_highest_rate(const struct queue_model *model, double objective_s, double *ret_rate,
                                      onnxd_error *err)
{
    struct queue_model tried = *model;
    struct queue_figures figures;
    double capacity = queue_model_capacity(model), good = 0, bad = capacity;
    tried.arrival_rate = capacity / 1000;
    for (int i = 0; i < 20 && (bad - good) > 0.01 * bad; i++) {
        onnxd_status status = queue_model_run(&tried, &figures, err);
        if (status != ONNXD_OK) return status;
        if (figures.p99_s <= objective_s)
            good = tried.arrival_rate;
        else
            bad = tried.arrival_rate;
        if (good == 0) break; /* nearly idle, and too slow */
        tried.arrival_rate = (good + bad) / 2;
    }
    *ret_rate = good;
    return ONNXD_OK;
}

onnxd_status queue_model_fit(const struct queue_sample *samples, uint32_t n, double *ret_wake_s,
                             double *ret_request_s, onnxd_error *err)
{
    double aa = 0, ab = 0, bb = 0, a1 = 0, b1 = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct queue_sample *sample = &samples[i];
        if (!(sample->cpu_s > 0 && sample->wakeups > 0 && sample->requests > 0 && isfinite(sample->cpu_s) &&
              isfinite(sample->wakeups) && isfinite(sample->requests)))
            return error_set(err, ONNXD_ERR_RANGE, "sample %u: expected three numbers above 0", i + 1);
        double a = sample->wakeups / sample->cpu_s, b = sample->requests / sample->cpu_s;
        aa += a * a, ab += a * b, bb += b * b, a1 += a, b1 += b;
    }
    double det = aa * bb - ab * ab;
    if (n < 2 || det <= 1e-6 * aa * bb)
        return error_set(err, ONNXD_ERR_RANGE,
                         "samples: expected two or more with different numbers of requests in a wake-up");
    double wake_s = (a1 * bb - b1 * ab) / det, request_s = (b1 * aa - a1 * ab) / det;
    if (wake_s < 0) wake_s = 0, request_s = b1 / bb;
    if (request_s < 0) request_s = 0, wake_s = a1 / aa;
    *ret_wake_s = wake_s;
    *ret_request_s = request_s;
    return ONNXD_OK;
}
