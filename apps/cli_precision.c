#include "cli_precision.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "bench/random_input.h"
#include "engine/native_model.h"
#include "kernels/kernels.h"

enum { ROWS = 256, MAX_OUTPUTS = 16, SEED = 1 };

struct side {
    onnxd_model *model;
    onnxd_session *session;
    onnxd_tensor out[MAX_OUTPUTS];
};

static onnxd_status open_side(const char *path, onnxd_precision precision, struct side *side,
                              onnxd_error *err)
{
    onnxd_model_options options = {.engine = ONNXD_ENGINE_NATIVE, .precision = precision};
    onnxd_status status = onnxd_model_load(path, &options, &side->model, err);
    return status == ONNXD_OK ? onnxd_session_create(side->model, NULL, &side->session, err) : status;
}

static void close_side(struct side *side)
{
    onnxd_session_free(side->session);
    onnxd_model_unref(side->model);
}

static double largest_difference(const struct side *a, const struct side *b, uint32_t n_out)
{
    double worst = 0;
    for (uint32_t j = 0; j < n_out; j++) {
        if (a->out[j].type != ONNXD_FLOAT32) continue;
        const float *x = a->out[j].data, *y = b->out[j].data;
        for (int64_t i = 0; i < onnxd_tensor_n_elements(&a->out[j]); i++) {
            double d = fabs((double)x[i] - (double)y[i]);
            if (!(d <= worst)) worst = d;
        }
    }
    return worst;
}

static onnxd_status measure(const char *path, double *ret_worst, onnxd_error *err)
{
    struct side sides[2] = {0};
    struct input_set set = {0};
    struct input_ranges ranges = {0};
    struct rng rng = rng_seed(SEED);
    onnxd_status status = open_side(path, ONNXD_PRECISION_FP32, &sides[0], err);
    if (status == ONNXD_OK) status = open_side(path, ONNXD_PRECISION_BF16, &sides[1], err);
    if (status == ONNXD_OK) status = input_set_init(&set, sides[0].model, ROWS, err);
    if (status == ONNXD_OK)
        status = input_ranges_init(&ranges, native_model_of(sides[0].model)->graph, set.tensors, set.n, err);
    if (status == ONNXD_OK) {
        uint32_t n_out = onnxd_model_n_outputs(sides[0].model);
        input_ranges_draw(&ranges, &rng, set.tensors);
        for (int i = 0; i < 2 && status == ONNXD_OK && n_out <= MAX_OUTPUTS; i++)
            status = onnxd_session_run(sides[i].session, set.tensors, set.n, sides[i].out, n_out, err);
        if (status == ONNXD_OK)
            *ret_worst = largest_difference(&sides[0], &sides[1], n_out <= MAX_OUTPUTS ? n_out : 0);
    }
    input_ranges_done(&ranges);
    input_set_done(&set);
    close_side(&sides[0]);
    close_side(&sides[1]);
    return status;
}

void cli_report_precision(const char *path)
{
    onnxd_error err;
    double worst = 0;
    if (!kernels_get()->has_bf16)
        fprintf(stderr, "precision bf16: this CPU has no such products, %s stays in fp32\n", path);
    else if (measure(path, &worst, &err) == ONNXD_OK)
        fprintf(stderr, "precision bf16: %s differs from fp32 by at most %.2g over %d random rows\n", path,
                worst, ROWS);
    else
        fprintf(stderr, "precision bf16: the difference to fp32 was not measured: %s\n", err.message);
}
