/* DFT and STFT. Transforms are computed in double (ops/fft.h) and rounded once.
 * Source: ONNX operator specification, ai.onnx, DFT-17 and -20, STFT-17. */
#include "ops/op.h"

#include <string.h>

#include "ops/elements.h"
#include "ops/fft.h"
#include "ops/infer.h"

/* Frequencies of a transform of length n that are answered. */
static int64_t n_bins(int64_t n, bool onesided)
{
    return onesided ? n / 2 + 1 : n;
}

static bool attribute_set(const struct node *node, const char *name, int64_t otherwise)
{
    return node_attribute_int(node, name, otherwise) != 0;
}

/* An optional integer input of one element: its value as a dim, unknown when not known yet. */
static struct dim scalar_dim(struct op_shapes *s, uint32_t in, struct dim otherwise)
{
    int64_t value;
    uint32_t n;
    if (!shapes_has(s, in)) return otherwise;
    return shapes_ints(s, in, &value, 1, &n) && n == 1 ? dim_constant(value) : dim_unknown();
}

/* The last dimension is 1 for real numbers and 2 for complex ones. */
static onnxd_status check_parts(const struct op_shapes *s, struct dim parts, onnxd_error *err)
{
    if (!dim_is_constant(parts) || parts.n == 1 || parts.n == 2) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_SHAPE, "the last dimension of input 0 is %lld, expected 1 or 2",
                    (long long)parts.n);
}

/* Reads n numbers of one or two parts, `stride` numbers apart, into x[length], cut or filled with zeros. */
static void load_line(const onnxd_tensor *in, int64_t first, int64_t stride, int64_t n, bool complex,
                      struct complex64 *x, int64_t length)
{
    int64_t parts = complex ? 2 : 1, used = n < length ? n : length;
    for (int64_t i = 0; i < used; i++) {
        int64_t at = (first + i * stride) * parts;
        x[i].re = element_f64(in, at);
        x[i].im = complex ? element_f64(in, at + 1) : 0;
    }
    memset(x + used, 0, (size_t)(length - used) * sizeof *x);
}

static void store_line(const struct complex64 *x, int64_t n, const onnxd_tensor *out, int64_t first,
                       int64_t stride)
{
    for (int64_t i = 0; i < n; i++)
        elements_store(LANE_F64, out->type, out->data, (first + i * stride) * 2, 2, &x[i]);
}

/* ---- DFT ------------------------------------------------------------------------------------------- */

static onnxd_status check_dft(const struct node *node, onnxd_error *err)
{
    if (attribute_set(node, "onesided", 0) && attribute_set(node, "inverse", 0))
        return op_error(err, node, ONNXD_ERR_MODEL, "onesided and inverse are both set");
    return check_attributes(node, err);
}

static onnxd_status shapes_dft(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    shapes_set_type(s, 0, in->type);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank < 2)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 2 or more", in->rank);
    uint32_t rank = (uint32_t)in->rank, axis;
    struct dim wanted = s->node->opset < 20 ? dim_constant(node_attribute_int(s->node, "axis", 1))
                                            : scalar_dim(s, 2, dim_constant(-2));
    memcpy(dims, in->dims, rank * sizeof *dims);
    status = check_parts(s, dims[rank - 1], err);
    if (status != ONNXD_OK) return status;
    dims[rank - 1] = dim_constant(2);
    if (!dim_is_constant(wanted)) {
        infer_unknown_dims(dims, in->rank - 1);
        shapes_set(s, 0, in->type, in->rank, dims);
        return ONNXD_OK;
    }
    status = op_axis(s->node, wanted.n, rank, &axis, err);
    if (status != ONNXD_OK) return status;
    if (axis == rank - 1)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "axis %u holds the parts of numbers", axis);
    struct dim length = scalar_dim(s, 1, dims[axis]);
    if (dim_is_constant(length) && length.n < 1)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "a transform of length %lld", (long long)length.n);
    bool onesided = attribute_set(s->node, "onesided", 0);
    dims[axis] = !onesided                 ? length
                 : dim_is_constant(length) ? dim_constant(n_bins(length.n, true))
                                           : dim_unknown();
    shapes_set(s, 0, in->type, in->rank, dims);
    return ONNXD_OK;
}

struct dft {
    struct fft *fft;
    uint32_t axis;
};

static onnxd_status prepare_dft(struct op_plan *plan, onnxd_error *err)
{
    const onnxd_tensor *in = plan->in[0];
    struct dft *dft;
    onnxd_status status = plan_state(plan, sizeof *dft, (void **)&dft, err);
    if (status != ONNXD_OK) return status;
    int64_t axis = node_attribute_int(plan->node, "axis", 1);
    if (plan->node->opset >= 20)
        axis = tensor_given(plan->in, plan->n_in, 2) ? element_i64(plan->in[2], 0) : -2;
    status = op_axis(plan->node, axis, in->rank, &dft->axis, err);
    if (status != ONNXD_OK) return status;
    int64_t length = tensor_given(plan->in, plan->n_in, 1) ? element_i64(plan->in[1], 0)
                                                           : in->dims[dft->axis];
    dft->fft = fft_create(plan->arena, length > 0 ? (size_t)length : 0,
                          attribute_set(plan->node, "inverse", 0));
    if (dft->fft == NULL)
        return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for a transform of length %lld",
                        (long long)length);
    plan->workspace_bytes = fft_scratch_bytes(dft->fft) + dft->fft->n * sizeof(struct complex64);
    return ONNXD_OK;
}

static onnxd_status run_dft(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct dft *dft = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    uint32_t last = in->rank - 1;
    bool complex = in->dims[last] == 2;
    struct complex64 *line = (void *)((char *)run->workspace + fft_scratch_bytes(dft->fft));
    int64_t outer = 1, inner = 1, n_in = in->dims[dft->axis], n_out = out->dims[dft->axis];
    for (uint32_t i = 0; i < last; i++)
        if (i != dft->axis) *(i < dft->axis ? &outer : &inner) *= in->dims[i];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            load_line(in, o * n_in * inner + i, inner, n_in, complex, line, (int64_t)dft->fft->n);
            fft_run(dft->fft, line, run->workspace);
            store_line(line, n_out, out, o * n_out * inner + i, inner);
        }
    return ONNXD_OK;
}

/* ---- STFT ------------------------------------------------------------------------------------------ */

/* The frames' length: as asked, else the window's. */
static struct dim frame_length(struct op_shapes *s)
{
    if (shapes_has(s, 3)) return scalar_dim(s, 3, dim_unknown());
    return shapes_known(s, 2) && s->in[2]->rank == 1 ? s->in[2]->dims[0] : dim_unknown();
}

static onnxd_status shapes_stft(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[4] = {dim_unknown(), dim_unknown(), dim_unknown(), dim_constant(2)};
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, 1, err);
    if (status != ONNXD_OK) return status;
    if (!shapes_has(s, 2) && !shapes_has(s, 3))
        return op_error(err, s->node, ONNXD_ERR_MODEL, "neither window nor frame_length is given");
    struct dim length = frame_length(s), step = scalar_dim(s, 1, dim_unknown());
    if (dim_is_constant(length) && length.n < 1)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "frame_length is %lld", (long long)length.n);
    if (dim_is_constant(step) && step.n < 1)
        return op_error(err, s->node, ONNXD_ERR_RANGE, "frame_step is %lld", (long long)step.n);
    if (shapes_known(s, 2) && dim_differs(s->in[2]->dims[0], length))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "the window has %lld values for frames of %lld",
                        (long long)s->in[2]->dims[0].n, (long long)length.n);
    if (dim_is_constant(length))
        dims[2] = dim_constant(n_bins(length.n, attribute_set(s->node, "onesided", 1)));
    if (in->rank >= 0) {
        if (in->rank != 2 && in->rank != 3)
            return op_error(err, s->node, ONNXD_ERR_SHAPE,
                            "input 0 has rank %d, expected [batch, length, 1 or 2]", in->rank);
        if (in->rank == 3) status = check_parts(s, in->dims[2], err);
        if (status != ONNXD_OK) return status;
        dims[0] = in->dims[0];
        if (dim_is_constant(in->dims[1]) && dim_is_constant(length) && dim_is_constant(step)) {
            if (in->dims[1].n < length.n)
                return op_error(err, s->node, ONNXD_ERR_SHAPE,
                                "a signal of %lld is shorter than a frame of %lld", (long long)in->dims[1].n,
                                (long long)length.n);
            dims[1] = dim_constant((in->dims[1].n - length.n) / step.n + 1);
        }
    }
    shapes_set(s, 0, in->type, 4, dims);
    return ONNXD_OK;
}

static onnxd_status prepare_stft(struct op_plan *plan, onnxd_error *err)
{
    bool given = tensor_given(plan->in, plan->n_in, 3);
    int64_t length = given ? element_i64(plan->in[3], 0) : plan->in[2]->dims[0];
    struct fft *fft = fft_create(plan->arena, length > 0 ? (size_t)length : 0, false);
    if (fft == NULL)
        return op_error(err, plan->node, ONNXD_ERR_LIMIT, "no room for frames of %lld", (long long)length);
    plan->state = fft;
    plan->workspace_bytes = fft_scratch_bytes(fft) + fft->n * sizeof(struct complex64);
    return ONNXD_OK;
}

static onnxd_status run_stft(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const struct fft *fft = run->state;
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    const onnxd_tensor *window = tensor_given(run->in, run->n_in, 2) ? run->in[2] : NULL;
    bool complex = in->rank == 3 && in->dims[2] == 2;
    int64_t step = element_i64(run->in[1], 0), n_frames = out->dims[1], bins = out->dims[2],
            length = (int64_t)fft->n;
    struct complex64 *line = (void *)((char *)run->workspace + fft_scratch_bytes(fft));
    for (int64_t b = 0; b < out->dims[0]; b++)
        for (int64_t f = 0; f < n_frames; f++) {
            load_line(in, b * in->dims[1] + f * step, 1, length, complex, line, length);
            for (int64_t i = 0; window != NULL && i < length; i++) {
                double w = element_f64(window, i);
                line[i].re *= w;
                line[i].im *= w;
            }
            fft_run(fft, line, run->workspace);
            store_line(line, bins, out, (b * n_frames + f) * bins, 1);
        }
    return ONNXD_OK;
}

const struct op_def ops_signal[] = {
    {"", "DFT", 17, OP_LATEST, 1, 3, 1, 1, 0, check_dft, shapes_dft, NULL, prepare_dft, run_dft},
    {"", "STFT", 17, OP_LATEST, 2, 4, 1, 1, 0, check_attributes, shapes_stft, NULL, prepare_stft, run_stft},
    {0},
};
