#include "ctr/ctr_scorer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "onnxd/session.h"

enum { RUN_ROWS = 512 };

struct lane { /* of one worker */
    onnxd_session *session;
    float *columns; /* [RUN_ROWS, n_columns] */
    onnxd_status status;
    onnxd_error err;
};

struct ctr_scorer {
    onnxd_model *model;
    struct threads *threads;
    uint32_t n_columns;
    struct lane *lanes; /* [threads_count] */
    /* of the call under way */
    const struct encoded_rows *rows;
    const struct ctr_mixing *mixing;
    uint64_t first, n;
    float *p;
};

static onnxd_status check_model(const onnxd_model *model, uint32_t n_columns, onnxd_error *err)
{
    const onnxd_io_info *in = onnxd_model_input(model, 0), *out = onnxd_model_output(model, 0);
    if (onnxd_model_n_inputs(model) != 1 || onnxd_model_n_outputs(model) != 1)
        return error_set(err, ONNXD_ERR_SHAPE, "model: expected one input and one output");
    if (in->type != ONNXD_FLOAT32 || out->type != ONNXD_FLOAT32)
        return error_set(err, ONNXD_ERR_TYPE, "model: expected float32 input and output");
    if (in->rank != 2 || in->dims[1] != n_columns)
        return error_set(err, ONNXD_ERR_SHAPE,
                         "model: input '%s' does not take the %u columns of its features", in->name,
                         n_columns);
    if (!onnxd_model_is_batchable(model))
        return error_set(err, ONNXD_ERR_SHAPE, "model: its rows cannot share a run");
    return ONNXD_OK;
}

onnxd_status ctr_scorer_create(onnxd_model *model, uint32_t n_columns, struct threads *threads,
                               struct ctr_scorer **ret_scorer, onnxd_error *err)
{
    onnxd_status status = check_model(model, n_columns, err);
    if (status != ONNXD_OK) return status;
    struct ctr_scorer *s = calloc(1, sizeof *s);
    if (s == NULL) return error_set(err, ONNXD_ERR_NOMEM, "scoring: no memory");
    uint32_t n = threads_count(threads);
    onnxd_session_options options = {.max_batch = RUN_ROWS};
    s->model = onnxd_model_ref(model);
    s->threads = threads;
    s->n_columns = n_columns;
    s->lanes = calloc(n, sizeof *s->lanes);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
        struct lane *lane = s->lanes == NULL ? NULL : &s->lanes[i];
        if (lane != NULL) lane->columns = malloc((size_t)RUN_ROWS * n_columns * sizeof(float));
        if (lane == NULL || lane->columns == NULL)
            status = error_set(err, ONNXD_ERR_NOMEM, "scoring: no memory");
        else
            status = onnxd_session_create(model, &options, &lane->session, err);
    }
    if (status != ONNXD_OK)
        ctr_scorer_free(s);
    else
        *ret_scorer = s;
    return status;
}

void ctr_scorer_free(struct ctr_scorer *s)
{
    if (s == NULL) return;
    for (uint32_t i = 0; s->lanes != NULL && i < threads_count(s->threads); i++) {
        onnxd_session_free(s->lanes[i].session);
        free(s->lanes[i].columns);
    }
    free(s->lanes);
    onnxd_model_unref(s->model);
    free(s);
}

static void fill_row(const struct ctr_scorer *s, uint64_t i, float *columns)
{
    memcpy(columns, encoded_row(s->rows, s->first + i), s->n_columns * sizeof *columns);
    if (s->mixing == NULL) return;
    const float *other = encoded_row(s->rows, s->first + s->mixing->from[i]);
    for (uint32_t c = 0; c < s->n_columns; c++)
        if (s->mixing->columns[c]) columns[c] = other[c];
}

static void run_task(void *context, uint32_t task, uint32_t worker)
{
    struct ctr_scorer *s = context;
    struct lane *lane = &s->lanes[worker];
    uint64_t from = (uint64_t)task * RUN_ROWS, n = s->n - from < RUN_ROWS ? s->n - from : RUN_ROWS;
    if (lane->status != ONNXD_OK) return;
    for (uint64_t i = 0; i < n; i++) fill_row(s, from + i, lane->columns + i * s->n_columns);
    onnxd_tensor in = {
        .type = ONNXD_FLOAT32, .rank = 2, .dims = {(int64_t)n, s->n_columns}, .data = lane->columns};
    onnxd_tensor out;
    lane->status = onnxd_session_run(lane->session, &in, 1, &out, 1, &lane->err);
    if (lane->status == ONNXD_OK &&
        !(out.rank >= 1 && out.rank <= 2 && out.dims[0] == (int64_t)n && (out.rank == 1 || out.dims[1] == 1)))
        lane->status = error_set(&lane->err, ONNXD_ERR_SHAPE, "model: expected one number a row");
    if (lane->status == ONNXD_OK) memcpy(s->p + from, out.data, n * sizeof(float));
}

onnxd_status ctr_scorer_run(struct ctr_scorer *s, const struct encoded_rows *rows, uint64_t first, uint64_t n,
                            const struct ctr_mixing *mixing, float *ret_p, onnxd_error *err)
{
    if (rows->n_columns != s->n_columns)
        return error_set(err, ONNXD_ERR_SHAPE, "rows: %u columns; the model takes %u", rows->n_columns,
                         s->n_columns);
    if (n / RUN_ROWS >= UINT32_MAX) return error_set(err, ONNXD_ERR_LIMIT, "rows: too many at once");
    s->rows = rows;
    s->mixing = mixing;
    s->first = first;
    s->n = n;
    s->p = ret_p;
    threads_run(s->threads, run_task, s, (uint32_t)((n + RUN_ROWS - 1) / RUN_ROWS));
    for (uint32_t i = 0; i < threads_count(s->threads); i++) {
        struct lane *lane = &s->lanes[i];
        onnxd_status status = lane->status;
        lane->status = ONNXD_OK;
        if (status != ONNXD_OK) return error_set(err, status, "%s", lane->err.message);
    }
    return ONNXD_OK;
}
