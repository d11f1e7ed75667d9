/* Cases of micro_cases.h: runs of a model. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "bench/micro_cases.h"
#include "bench/random_input.h"
#include "engine/native_model.h"

enum { N_SETS = 4 }; /* inputs that take turns */

struct model_runs { /* one batch size */
    onnxd_session *session;
    struct input_set sets[N_SETS];
    onnxd_tensor *out;
    uint32_t n_out, turn;
};

static onnxd_status run_model(void *context, uint64_t n, onnxd_error *err)
{
    struct model_runs *m = context;
    onnxd_status status = ONNXD_OK;
    for (uint64_t i = 0; i < n && status == ONNXD_OK; i++) {
        const struct input_set *set = &m->sets[m->turn++ % N_SETS];
        status = onnxd_session_run(m->session, set->tensors, set->n, m->out, m->n_out, err);
    }
    return status;
}

static void model_runs_free(void *data)
{
    struct model_runs *m = data;
    onnxd_session_free(m->session); /* holds its own reference on the model */
    for (int k = 0; k < N_SETS; k++) input_set_done(&m->sets[k]);
    free(m->out);
    free(m);
}

static onnxd_status draw_sets(struct model_runs *m, onnxd_model *model, uint32_t batch, struct rng *rng,
                              onnxd_error *err)
{
    const struct graph *graph = strcmp(onnxd_model_engine_name(model), "native") == 0
                                    ? native_model_of(model)->graph
                                    : NULL;
    onnxd_status status = ONNXD_OK;
    for (int k = 0; k < N_SETS && status == ONNXD_OK; k++) {
        struct input_ranges ranges;
        status = input_set_init(&m->sets[k], model, batch, err);
        if (status == ONNXD_OK)
            status = input_ranges_init(&ranges, graph, m->sets[k].tensors, m->sets[k].n, err);
        if (status != ONNXD_OK) break;
        input_ranges_draw(&ranges, rng, m->sets[k].tensors);
        input_ranges_done(&ranges);
    }
    return status;
}

static onnxd_status add_batch(struct micro_list *list, onnxd_model *model, uint32_t batch, struct rng *rng,
                              onnxd_error *err)
{
    const onnxd_session_options options = {.max_batch = batch};
    struct model_runs *m = calloc(1, sizeof *m);
    if (m == NULL) return error_set(err, ONNXD_ERR_NOMEM, "bench: no memory");
    m->n_out = onnxd_model_n_outputs(model);
    m->out = calloc(m->n_out + 1u, sizeof *m->out);
    onnxd_status status = m->out == NULL ? error_set(err, ONNXD_ERR_NOMEM, "bench: no memory") : ONNXD_OK;
    if (status == ONNXD_OK) status = onnxd_session_create(model, &options, &m->session, err);
    if (status == ONNXD_OK) status = draw_sets(m, model, batch, rng, err);
    if (status == ONNXD_OK) status = run_model(m, N_SETS, err); /* says at once when inputs do not fit */
    if (status != ONNXD_OK) {
        model_runs_free(m);
        return status;
    }
    struct micro_case run = {.run = run_model, .context = m, .units = batch, .unit = "rows"};
    return micro_list_add(list, run, model_runs_free, m, err, "model: run, batch %u", batch);
}

onnxd_status micro_cases_model(struct micro_list *list, const char *path, const uint32_t *batches,
                               uint32_t n_batches, uint64_t seed, onnxd_error *err)
{
    struct rng rng = rng_seed(seed);
    onnxd_model *model = NULL;
    onnxd_status status = onnxd_model_load(path, &(onnxd_model_options){0}, &model, err);
    for (uint32_t i = 0; i < n_batches && status == ONNXD_OK; i++)
        status = add_batch(list, model, batches[i], &rng, err);
    onnxd_model_unref(model);
    return status;
}
