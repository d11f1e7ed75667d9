/* HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix, and Det.
 * Source: ONNX operator specification, ai.onnx-17, Det-11. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "tensor/dtype.h"

#define TAU 6.28318530717958647692

static onnxd_type wanted_type(const struct node *node)
{
    return (onnxd_type)node_attribute_int(node, "output_datatype", ONNXD_FLOAT32);
}

static onnxd_status check_type(const struct node *node, onnxd_error *err)
{
    if (lane_of(wanted_type(node)) == LANE_NONE || type_size(wanted_type(node)) == 0)
        return op_error(err, node, ONNXD_ERR_MODEL, "output_datatype is %lld",
                        (long long)node_attribute_int(node, "output_datatype", 0));
    return check_attributes(node, err);
}

/* A scalar integer input as a dim of at least `least`, or unknown. */
static onnxd_status scalar(struct op_shapes *s, uint32_t in, int64_t least, struct dim *ret, onnxd_error *err)
{
    int64_t value;
    uint32_t n;
    *ret = dim_unknown();
    onnxd_status status = infer_type(s, in, TYPES_INDEX, err);
    if (status != ONNXD_OK || !shapes_ints(s, in, &value, 1, &n)) return status;
    if (n != 1 || value < least)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "input %u must be one number of at least %lld", in,
                        (long long)least);
    *ret = dim_constant(value);
    return ONNXD_OK;
}

/* ---- windows --------------------------------------------------------------------------------------- */

static onnxd_status shapes_window(struct op_shapes *s, onnxd_error *err)
{
    struct dim size;
    onnxd_status status = scalar(s, 0, 0, &size, err);
    shapes_set(s, 0, wanted_type(s->node), 1, &size);
    return status;
}

static onnxd_status run_window(struct op_run *run, onnxd_error *err)
{
    (void)err;
    static const struct {
        const char *name;
        double a, b, c; /* a - b cos + c cos of the double angle */
    } windows[] = {{"HannWindow", 0.5, 0.5, 0},
                   {"HammingWindow", 25.0 / 46, 21.0 / 46, 0},
                   {"BlackmanWindow", 0.42, 0.5, 0.08}};
    const onnxd_tensor *out = run->out[0];
    bool periodic = node_attribute_int(run->node, "periodic", 1) != 0;
    int64_t n = out->dims[0];
    int which = 0;
    while (which < 2 && strcmp(windows[which].name, run->node->op_type) != 0) which++;
    double length = (double)(periodic ? n : n - 1);
    for (int64_t i = 0; i < n; i++) {
        double angle = length > 0 ? TAU * (double)i / length : 0;
        double value = windows[which].a - windows[which].b * cos(angle) + windows[which].c * cos(2 * angle);
        if (n == 1) value = 1;
        elements_store(LANE_F64, out->type, out->data, i, 1, &value);
    }
    return ONNXD_OK;
}

/* ---- MelWeightMatrix -------------------------------------------------------------------------------- */

static onnxd_status shapes_mel(struct op_shapes *s, onnxd_error *err)
{
    struct dim n_mel, length, rate, dims[2] = {dim_unknown(), dim_unknown()};
    onnxd_status status = scalar(s, 0, 1, &n_mel, err);
    if (status == ONNXD_OK) status = scalar(s, 1, 1, &length, err);
    if (status == ONNXD_OK) status = scalar(s, 2, 1, &rate, err);
    if (status == ONNXD_OK) status = infer_type(s, 3, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 4, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    if (dim_is_constant(length)) dims[0] = dim_constant(length.n / 2 + 1);
    dims[1] = n_mel;
    shapes_set(s, 0, wanted_type(s->node), 2, dims);
    return ONNXD_OK;
}

/* The spectrogram's bin in which point i of n + 2 evenly spaced on the mel scale lies. */
static int64_t mel_bin(const struct op_run *run, int64_t i)
{
    int64_t n_mel = element_i64(run->in[0], 0), length = element_i64(run->in[1], 0);
    double rate = (double)element_i64(run->in[2], 0);
    double low = 2595 * log10(1 + element_f64(run->in[3], 0) / 700);
    double high = 2595 * log10(1 + element_f64(run->in[4], 0) / 700);
    double mel = (double)i * (high - low) / (double)(n_mel + 2) + low;
    double hertz = 700 * (pow(10, mel / 2595) - 1);
    return i64_of_f64(floor((double)(length + 1) * hertz / rate));
}

static onnxd_status run_mel(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *out = run->out[0];
    int64_t n_bins = out->dims[0], n_mel = out->dims[1];
    memset(out->data, 0, onnxd_tensor_n_bytes(out));
    for (int64_t m = 0; m < n_mel; m++) {
        int64_t low = mel_bin(run, m), centre = mel_bin(run, m + 1), high = mel_bin(run, m + 2);
        if (low < 0 || high >= n_bins + 1 || low > centre || centre > high || centre >= n_bins)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "edges of %g to %g hertz do not fit %lld bins",
                            element_f64(run->in[3], 0), element_f64(run->in[4], 0), (long long)n_bins);
        for (int64_t b = low; b <= centre; b++) {
            double value = low == centre ? 1 : (double)(b - low) / (double)(centre - low);
            elements_store(LANE_F64, out->type, out->data, b * n_mel + m, 1, &value);
        }
        for (int64_t b = centre; b < high; b++) {
            double value = (double)(high - b) / (double)(high - centre);
            elements_store(LANE_F64, out->type, out->data, b * n_mel + m, 1, &value);
        }
    }
    return ONNXD_OK;
}

/* ---- Det -------------------------------------------------------------------------------------------- */

static onnxd_status shapes_det(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    shapes_set_type(s, 0, in->type);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank < 2 || dim_differs(in->dims[in->rank - 1], in->dims[in->rank - 2]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 must be square in its last two dimensions");
    shapes_set(s, 0, in->type, in->rank - 2, in->dims);
    return ONNXD_OK;
}

static onnxd_status prepare_det(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    size_t n = (size_t)plan->in[0]->dims[plan->in[0]->rank - 1];
    plan->workspace_bytes = n * n * sizeof(double);
    return ONNXD_OK;
}

/* Gaussian elimination with row pivoting; a is overwritten. */
static double determinant(double *a, int64_t n)
{
    double det = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) pivot = i;
        if (a[pivot * n + k] == 0) return 0;
        for (int64_t j = k; pivot != k && j < n; j++) {
            double t = a[k * n + j];
            a[k * n + j] = a[pivot * n + j];
            a[pivot * n + j] = t;
        }
        det *= pivot == k ? a[k * n + k] : -a[k * n + k];
        for (int64_t i = k + 1; i < n; i++) {
            double factor = a[i * n + k] / a[k * n + k];
            for (int64_t j = k + 1; j < n; j++) a[i * n + j] -= factor * a[k * n + j];
        }
    }
    return det;
}

static onnxd_status run_det(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t n = in->dims[in->rank - 1], n_matrices = onnxd_tensor_n_elements(out);
    for (int64_t m = 0; m < n_matrices; m++) {
        elements_load(LANE_F64, in->type, in->data, m * n * n, 1, n * n, run->workspace);
        double det = determinant(run->workspace, n);
        elements_store(LANE_F64, out->type, out->data, m, 1, &det);
    }
    return ONNXD_OK;
}

const struct op_def ops_window[] = {
    {"", "HannWindow", 17, OP_LATEST, 1, 1, 1, 1, 0, check_type, shapes_window, NULL, NULL, run_window},
    {"", "HammingWindow", 17, OP_LATEST, 1, 1, 1, 1, 0, check_type, shapes_window, NULL, NULL, run_window},
    {"", "BlackmanWindow", 17, OP_LATEST, 1, 1, 1, 1, 0, check_type, shapes_window, NULL, NULL, run_window},
    {"", "MelWeightMatrix", 17, OP_LATEST, 5, 5, 1, 1, 0, check_type, shapes_mel, NULL, NULL, run_mel},
    {"", "Det", 11, OP_LATEST, 1, 1, 1, 1, 0, check_attributes, shapes_det, NULL, prepare_det, run_det},
    {0},
};
