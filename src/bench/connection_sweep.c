#include "bench/connection_sweep.h"

#include <stdio.h>
#include <string.h>

#include "json/json_writer.h"
#include "load/load_report.h"

#define ENOUGH 0.95 /* of the best rate */

struct follow {
    load_progress_fn fn;
    void *context;
    bool ended;
};

static bool follow_step(void *context, const struct load_progress *progress)
{
    struct follow *f = context;
    if (f->fn != NULL && !f->fn(f->context, progress)) f->ended = true;
    return !f->ended;
}

static onnxd_status run_step(struct load_options plan, uint32_t connections, bool new_each,
                             const struct load_target *targets, uint32_t n_targets, struct follow *follow,
                             struct connection_sweep *sweep, onnxd_error *err)
{
    struct load_result r;
    plan.n_connections = connections;
    if (plan.n_threads > connections) plan.n_threads = connections;
    plan.new_connections = new_each;
    if (new_each) plan.pipeline = 1;
    onnxd_status status = load_run(&plan, targets, n_targets, follow_step, follow, &r, err);
    if (status != ONNXD_OK) return status;
    struct connection_step *step = &sweep->steps[sweep->n_steps++];
    *step = (struct connection_step){.connections = connections,
                                     .new_each = new_each,
                                     .rate = load_rate(&r),
                                     .p50_ns = load_response_quantile(&r, 0.5),
                                     .p99_ns = load_response_quantile(&r, 0.99),
                                     .max_ns = (double)r.record->response.max,
                                     .error_share = load_error_share(r.record),
                                     .client_limited = r.audit.client_limited};
    memcpy(step->verdict, r.audit.verdict, sizeof step->verdict);
    memcpy(sweep->url, r.url, sizeof sweep->url);
    load_result_done(&r);
    return ONNXD_OK;
}

static onnxd_status run_closing(const struct load_options *plan, const struct load_target *targets,
                                uint32_t n_targets, struct follow *follow, struct connection_sweep *sweep,
                                onnxd_error *err)
{
    struct load_target closing[LOAD_MAX_TARGETS];
    onnxd_status status = ONNXD_OK;
    uint32_t n = 0;
    for (; n < n_targets; n++) {
        closing[n] = targets[n];
        status = load_corpus_closing(&targets[n].corpus, &closing[n].corpus, err);
        if (status != ONNXD_OK) break;
    }
    if (status == ONNXD_OK)
        status = run_step(*plan, plan->n_connections, true, closing, n_targets, follow, sweep, err);
    while (n > 0) load_corpus_done(&closing[--n].corpus);
    return status;
}

onnxd_status connection_sweep_run(const struct load_options *plan, const struct load_target *targets,
                                  uint32_t n_targets, load_progress_fn fn, void *context,
                                  struct connection_sweep *ret, onnxd_error *err)
{
    struct connection_sweep sweep = {.seconds = (double)load_total_ns(plan) / 1e9};
    struct follow follow = {fn, context, false};
    onnxd_status status = ONNXD_OK;
    for (uint32_t n = 1; status == ONNXD_OK && !follow.ended && n < plan->n_connections; n *= 4)
        status = run_step(*plan, n, false, targets, n_targets, &follow, &sweep, err);
    if (status == ONNXD_OK && !follow.ended)
        status = run_step(*plan, plan->n_connections, false, targets, n_targets, &follow, &sweep, err);
    double best = 0;
    for (uint32_t i = 0; i < sweep.n_steps; i++)
        if (sweep.steps[i].rate > best) best = sweep.steps[i].rate;
    for (uint32_t i = sweep.n_steps; i-- > 0;)
        if (sweep.steps[i].rate >= ENOUGH * best) sweep.enough = sweep.steps[i].connections;
    if (status == ONNXD_OK && !follow.ended)
        status = run_closing(plan, targets, n_targets, &follow, &sweep, err);
    if (status == ONNXD_OK) *ret = sweep;
    return status;
}

struct texts {
    char connections[32], p50[16], p99[16], max[16];
};

static struct texts describe(const struct connection_step *step)
{
    struct texts t;
    snprintf(t.connections, sizeof t.connections, "%u%s", step->connections,
             step->new_each ? ", new each" : "");
    load_format_time(step->p50_ns, t.p50, sizeof t.p50);
    load_format_time(step->p99_ns, t.p99, sizeof t.p99);
    load_format_time(step->max_ns, t.max, sizeof t.max);
    return t;
}

void connection_sweep_text(const struct connection_sweep *s, struct buf *buf)
{
    buf_printf(buf, "Connections @ %s, %g s each\n", s->url, s->seconds);
    buf_append_text(buf, "    connections   requests/s       p50       p99       max    errors\n");
    for (uint32_t i = 0; i < s->n_steps; i++) {
        struct texts t = describe(&s->steps[i]);
        buf_printf(buf, "  %13s %12.0f %9s %9s %9s %8.3f%%%s\n", t.connections, s->steps[i].rate, t.p50,
                   t.p99, t.max, s->steps[i].error_share * 100,
                   s->steps[i].client_limited ? "  (see below)" : "");
    }
    buf_printf(buf, "  %u connection%s 95%% of the best rate; more of them only wait.\n", s->enough,
               s->enough == 1 ? " reaches" : "s reach");
    for (uint32_t i = 0; i < s->n_steps; i++)
        if (s->steps[i].client_limited)
            buf_printf(buf, "  %s: %s\n", describe(&s->steps[i]).connections, s->steps[i].verdict);
}

void connection_sweep_json(const struct connection_sweep *s, struct buf *buf)
{
    struct json_writer w;
    json_writer_init(&w, buf, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "url");
    json_string(&w, s->url);
    json_key(&w, "seconds");
    json_f64(&w, s->seconds);
    json_key(&w, "enough_connections");
    json_u64(&w, s->enough);
    json_key(&w, "steps");
    json_begin_array(&w);
    for (uint32_t i = 0; i < s->n_steps; i++) {
        const struct connection_step *step = &s->steps[i];
        const struct {
            const char *name;
            double value;
        } figures[] = {{"requests_per_s", step->rate},
                       {"p50_us", step->p50_ns / 1e3},
                       {"p99_us", step->p99_ns / 1e3},
                       {"max_us", step->max_ns / 1e3},
                       {"error_share", step->error_share}};
        json_begin_object(&w);
        json_key(&w, "connections");
        json_u64(&w, step->connections);
        json_key(&w, "new_each");
        json_bool(&w, step->new_each);
        for (size_t k = 0; k < sizeof figures / sizeof figures[0]; k++) {
            json_key(&w, figures[k].name);
            json_fixed(&w, figures[k].value, 6);
        }
        json_key(&w, "client_limited");
        json_bool(&w, step->client_limited);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    buf_append_char(buf, '\n');
}

void connection_sweep_csv(const struct connection_sweep *s, struct buf *buf)
{
    buf_append_text(buf, "connections,new_each,requests_per_s,p50_us,p99_us,max_us,error_share\n");
    for (uint32_t i = 0; i < s->n_steps; i++) {
        const struct connection_step *step = &s->steps[i];
        buf_printf(buf, "%u,%d,%.1f,%.3f,%.3f,%.3f,%.6f\n", step->connections, step->new_each, step->rate,
                   step->p50_ns / 1e3, step->p99_ns / 1e3, step->max_ns / 1e3, step->error_share);
    }
}

void connection_sweep_markdown(const struct connection_sweep *s, struct buf *buf)
{
    buf_printf(
        buf, "### %s\n\n| connections | requests/s | p50 | p99 | max | errors |\n|---|---|---|---|---|---|\n",
        s->url);
    for (uint32_t i = 0; i < s->n_steps; i++) {
        struct texts t = describe(&s->steps[i]);
        buf_printf(buf, "| %s | %.0f | %s | %s | %s | %.3g %% |\n", t.connections, s->steps[i].rate, t.p50,
                   t.p99, t.max, s->steps[i].error_share * 100);
    }
    buf_printf(buf, "\n%u connections reach 95 %% of the best rate.\n", s->enough);
}
