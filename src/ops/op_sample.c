/* GridSample, AffineGrid, Col2Im.
 * Source: ONNX operator specification, ai.onnx. */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/im2col.h"
#include "ops/infer.h"
#include "tensor/dtype.h"

/* ---- GridSample: X [N, C, ...], grid [N, ..., axes] ------------------------------------------------------
 */

static const char *const sample_modes[] = {"bilinear", "nearest", "bicubic", "linear", "cubic", NULL};
static const char *const padding_modes[] = {"zeros", "border", "reflection", NULL};
enum { NEAREST = 1, BICUBIC = 2, CUBIC = 4 };
enum { ZEROS, BORDER, REFLECTION };
enum { MAX_TAPS = 4, GRID_AXES = 3 };

static onnxd_status check_grid_sample(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "mode", sample_modes, err);
    return status == ONNXD_OK ? check_word(node, "padding_mode", padding_modes, err) : status;
}

static onnxd_status shapes_grid_sample(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *x = s->in[0], *grid = s->in[1];
    struct dim dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPES_FLOAT, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, x->type);
    if (x->rank < 0 || grid->rank < 0) return ONNXD_OK;
    status = infer_rank(s, 1, x->rank, err);
    if (status != ONNXD_OK) return status;
    if (x->rank < 3 || x->rank > 2 + GRID_AXES)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has rank %d, expected 3 to 5", x->rank);
    if (dim_differs(grid->dims[grid->rank - 1], dim_constant(x->rank - 2)))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "grid has %lld coordinates, expected %d",
                        (long long)grid->dims[grid->rank - 1].n, x->rank - 2);
    if (dim_differs(grid->dims[0], x->dims[0]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "batch sizes %lld and %lld differ",
                        (long long)x->dims[0].n, (long long)grid->dims[0].n);
    dims[0] = dim_merge(x->dims[0], grid->dims[0]);
    dims[1] = x->dims[1];
    for (int32_t i = 2; i < x->rank; i++) dims[i] = grid->dims[i - 1];
    shapes_set(s, 0, x->type, x->rank, dims);
    return ONNXD_OK;
}

struct sampling {
    int mode, padding;
    bool align;
};

/* Folds a coordinate back into low..high as often as needed. */
static double reflect(double x, double low, double high)
{
    double range = high - low;
    if (range <= 0) return low;
    if (x >= low && x <= high) return x;
    double d = fmod(fabs(x - low), 2 * range);
    return d <= range ? low + d : high - (d - range);
}

/* Element at a whole coordinate; -1: none. */
static int64_t element_at(const struct sampling *s, double x, int64_t n)
{
    double low = s->align ? 0 : -0.5, high = s->align ? (double)n - 1 : (double)n - 0.5;
    if (x >= 0 && x <= (double)n - 1) return (int64_t)x;
    if (s->padding == ZEROS) return -1;
    if (s->padding == REFLECTION) x = rint(reflect(x, low, high));
    return x < 0 ? 0 : x > (double)n - 1 ? n - 1 : (int64_t)x;
}

struct sample_taps {
    int n;
    int64_t index[MAX_TAPS]; /* -1: counts as 0 */
    double weight[MAX_TAPS];
};

static double cubic_weight(double x)
{
    const double a = -0.75;
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

/* Taps along an axis of n elements for a grid coordinate in -1..1. */
static struct sample_taps taps_of(const struct sampling *s, double g, int64_t n)
{
    double size = (double)n, x = s->align ? (g + 1) / 2 * (size - 1) : ((g + 1) * size - 1) / 2;
    double low = s->align ? 0 : -0.5, high = s->align ? size - 1 : size - 0.5;
    struct sample_taps t = {.n = 0};
    if (!(fabs(x) < 1e15)) x = s->padding == ZEROS ? -1e9 : 0; /* infinite or no number */
    if (s->mode == NEAREST) x = rint(x);
    if (x < low || x > high) {
        if (s->padding == BORDER) x = x < 0 ? 0 : x > size - 1 ? size - 1 : x;
        if (s->padding == REFLECTION) x = reflect(x, low, high);
    }
    bool cubic = s->mode == BICUBIC || s->mode == CUBIC;
    double base = s->mode == NEAREST ? rint(x) : floor(x);
    t.n = s->mode == NEAREST ? 1 : cubic ? 4 : 2;
    for (int k = 0; k < t.n; k++) {
        double at = base + k - (cubic ? 1 : 0);
        t.index[k] = element_at(s, at, n);
        t.weight[k] = s->mode == NEAREST ? 1 : cubic ? cubic_weight(at - x) : 1 - fabs(at - x);
    }
    return t;
}

/* Weighted sum over the taps of all axes; t[0] belongs to the outermost. */
static double sample(const struct sample_taps *t, const int64_t *size, const onnxd_tensor *x, int64_t plane)
{
    double sum = 0;
    for (int i = 0; i < t[0].n; i++)
        for (int j = 0; j < t[1].n; j++)
            for (int k = 0; k < t[2].n; k++) {
                if (t[0].index[i] < 0 || t[1].index[j] < 0 || t[2].index[k] < 0) continue;
                int64_t at = (t[0].index[i] * size[1] + t[1].index[j]) * size[2] + t[2].index[k];
                sum += t[0].weight[i] * t[1].weight[j] * t[2].weight[k] * element_f64(x, plane + at);
            }
    return sum;
}

static onnxd_status run_grid_sample(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *x = run->in[0], *grid = run->in[1], *out = run->out[0];
    struct sampling s = {attribute_word(run->node, "mode", sample_modes, 0),
                         attribute_word(run->node, "padding_mode", padding_modes, 0),
                         node_attribute_int(run->node, "align_corners", 0) != 0};
    uint32_t n_axes = x->rank - 2, from = GRID_AXES - n_axes;
    int64_t size[GRID_AXES] = {1, 1, 1}, plane = 1, points = 1;
    for (uint32_t i = 0; i < n_axes; i++) {
        size[from + i] = x->dims[2 + i];
        plane *= x->dims[2 + i];
        points *= out->dims[2 + i];
    }
    if (plane == 0 && onnxd_tensor_n_elements(out) > 0)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "input 0 is empty");
    for (int64_t b = 0; b < x->dims[0]; b++)
        for (int64_t p = 0; p < points; p++) {
            struct sample_taps t[GRID_AXES] = {{1, {0}, {1}}, {1, {0}, {1}}, {1, {0}, {1}}};
            for (uint32_t i = 0; i < n_axes; i++) /* the grid names the innermost axis first */
                t[GRID_AXES - 1 - i] = taps_of(&s, element_f64(grid, (b * points + p) * n_axes + i),
                                               size[GRID_AXES - 1 - i]);
            for (int64_t c = 0; c < x->dims[1]; c++) {
                double v = sample(t, size, x, (b * x->dims[1] + c) * plane);
                elements_store(LANE_F64, out->type, out->data, (b * x->dims[1] + c) * points + p, 1, &v);
            }
        }
    return ONNXD_OK;
}

/* ---- AffineGrid: theta [N, axes, axes + 1], size [N, C, ...] ----------------------------------------------
 */

static onnxd_status shapes_affine_grid(struct op_shapes *s, onnxd_error *err)
{
    const struct dim *size;
    uint32_t n;
    struct dim dims[ONNXD_MAX_RANK];
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_rank(s, 0, 3, err);
    if (status == ONNXD_OK) status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, s->in[0]->type);
    if (!infer_contents(s, 1, &size, &n)) return ONNXD_OK;
    if (n != 4 && n != 5)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "size has %u elements, expected 4 or 5", n);
    if (shapes_known(s, 0) &&
        (dim_differs(s->in[0]->dims[1], dim_constant(n - 2)) ||
         dim_differs(s->in[0]->dims[2], dim_constant(n - 1)) || dim_differs(s->in[0]->dims[0], size[0])))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "theta does not suit a size of %u elements", n);
    for (uint32_t i = 0; i < n; i++)
        if (dim_is_known(size[i]) && size[i].n < 0)
            return op_error(err, s->node, ONNXD_ERR_RANGE, "size holds %lld", (long long)size[i].n);
    dims[0] = size[0];
    for (uint32_t i = 2; i < n; i++) dims[i - 1] = size[i];
    dims[n - 1] = dim_constant(n - 2);
    shapes_set(s, 0, s->in[0]->type, (int32_t)n, dims);
    return ONNXD_OK;
}

static onnxd_status run_affine_grid(struct op_run *run, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *theta = run->in[0], *out = run->out[0];
    bool align = node_attribute_int(run->node, "align_corners", 0) != 0;
    uint32_t n_axes = out->rank - 2;
    int64_t points = 1;
    for (uint32_t i = 1; i <= n_axes; i++) points *= out->dims[i];
    for (int64_t i = 0; i < out->dims[0] * points; i++) {
        double at[GRID_AXES + 1] = {0}; /* innermost axis first, then 1 */
        int64_t rest = i % points;
        for (uint32_t k = 0; k < n_axes; k++) {
            int64_t n = out->dims[n_axes - k], index = rest % n;
            rest /= n;
            at[k] = align ? (n > 1 ? 2.0 * (double)index / (double)(n - 1) - 1 : 0)
                          : (2.0 * (double)index + 1) / (double)n - 1;
        }
        at[n_axes] = 1;
        for (uint32_t row = 0; row < n_axes; row++) {
            double v = 0;
            for (uint32_t k = 0; k <= n_axes; k++)
                v += at[k] * element_f64(theta, (i / points * n_axes + row) * (n_axes + 1) + k);
            elements_store(LANE_F64, out->type, out->data, i * n_axes + row, 1, &v);
        }
    }
    return ONNXD_OK;
}

/* ---- Col2Im: columns [N, C * volume, positions], image_shape, block_shape ---------------------------------
 */

/* Fills an image of which the positions are those of the columns. */
static onnxd_status read_image(const struct node *node, const int64_t *sizes, const int64_t *blocks,
                               uint32_t n, struct image *ret, onnxd_error *err)
{
    struct image image = {.window = {.n = n}};
    static const char *const names[] = {"strides", "dilations", "pads"};
    if (n < 1 || n > WINDOW_AXES)
        return op_error(err, node, ONNXD_ERR_UNSUPPORTED, "images with %u axes; 1 to %d are done", n,
                        WINDOW_AXES);
    const int64_t *lists[3];
    for (int k = 0; k < 3; k++) {
        size_t given;
        lists[k] = node_attribute_ints(node, names[k], &given);
        if (lists[k] != NULL && given != (k == 2 ? 2 * n : n))
            return op_error(err, node, ONNXD_ERR_SHAPE, "attribute '%s' has %zu elements", names[k], given);
    }
    for (uint32_t k = 0; k < WINDOW_AXES; k++) {
        struct window *w = &image.window;
        bool real = k + n >= WINDOW_AXES;
        uint32_t i = real ? k + n - WINDOW_AXES : 0;
        w->kernel[k] = real ? blocks[i] : 1;
        w->stride[k] = real && lists[0] != NULL ? lists[0][i] : 1;
        w->dilation[k] = real && lists[1] != NULL ? lists[1][i] : 1;
        w->begin[k] = real && lists[2] != NULL ? lists[2][i] : 0;
        w->end[k] = real && lists[2] != NULL ? lists[2][n + i] : 0;
        image.in[k] = real ? sizes[i] : 1;
        if (w->kernel[k] < 1 || w->kernel[k] > 1 << 30 || image.in[k] < 1 || image.in[k] > (int64_t)1 << 40)
            return op_error(err, node, ONNXD_ERR_RANGE,
                            "image_shape or block_shape is out of range on axis %u", i);
        struct dim out;
        onnxd_status status = window_output(w, node, k - (WINDOW_AXES - n), dim_constant(image.in[k]), &out,
                                            err);
        if (real && status != ONNXD_OK) return status;
        image.out[k] = real ? out.n : 1;
    }
    *ret = image;
    return ONNXD_OK;
}

static onnxd_status shapes_col2im(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    int64_t sizes[WINDOW_AXES], blocks[WINDOW_AXES];
    uint32_t n, n_blocks;
    struct image image;
    onnxd_status status = infer_type(s, 0, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_rank(s, 0, 3, err);
    if (status != ONNXD_OK) return status;
    shapes_set_type(s, 0, in->type);
    if (!shapes_ints(s, 1, sizes, WINDOW_AXES, &n) || !shapes_ints(s, 2, blocks, WINDOW_AXES, &n_blocks) ||
        in->rank < 0)
        return ONNXD_OK;
    if (n != n_blocks)
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "image_shape has %u elements, block_shape %u", n,
                        n_blocks);
    status = read_image(s->node, sizes, blocks, n, &image, err);
    if (status != ONNXD_OK) return status;
    struct dim volume = dim_constant(window_volume(image.window.kernel)), dims[ONNXD_MAX_RANK];
    dims[0] = in->dims[0];
    dims[1] = dim_div(in->dims[1], volume);
    for (uint32_t i = 0; i < n; i++) dims[2 + i] = dim_constant(sizes[i]);
    if (dim_is_constant(in->dims[1]) && !dim_is_known(dims[1]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld rows are no multiple of the block's %lld",
                        (long long)in->dims[1].n, (long long)volume.n);
    if (dim_differs(in->dims[2], dim_constant(window_volume(image.out))))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "there are %lld columns for %lld positions",
                        (long long)in->dims[2].n, (long long)window_volume(image.out));
    shapes_set(s, 0, in->type, (int32_t)n + 2, dims);
    return ONNXD_OK;
}

static onnxd_status prepare_col2im(struct op_plan *plan, onnxd_error *err)
{
    (void)err;
    const onnxd_tensor *in = plan->in[0], *out = plan->out[0];
    plan->workspace_bytes = (size_t)(onnxd_tensor_n_elements(in) + onnxd_tensor_n_elements(out)) *
                            sizeof(double);
    return ONNXD_OK;
}

static onnxd_status run_col2im(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0], *out = run->out[0];
    int64_t blocks[WINDOW_AXES], n = onnxd_tensor_n_elements(in), n_out = onnxd_tensor_n_elements(out);
    double *columns = run->workspace, *data = columns + n;
    struct image image;
    for (uint32_t i = 0; i + 2 < out->rank && i < WINDOW_AXES; i++) blocks[i] = element_i64(run->in[2], i);
    onnxd_status status = read_image(run->node, out->dims + 2, blocks, out->rank - 2, &image, err);
    if (status != ONNXD_OK || n_out == 0) return status;
    image.channels = out->dims[1];
    elements_load(LANE_F64, in->type, in->data, 0, 1, n, columns);
    memset(data, 0, (size_t)n_out * sizeof *data);
    for (int64_t b = 0; b < out->dims[0]; b++)
        col2im(&image, LANE_F64, columns + b * (n / out->dims[0]), 0, in->dims[2],
               data + b * (n_out / out->dims[0]));
    elements_store(LANE_F64, out->type, out->data, 0, n_out, data);
    return ONNXD_OK;
}

const struct op_def ops_sample[] = {
    {"", "GridSample", 16, OP_LATEST, 2, 2, 1, 1, 0, check_grid_sample, shapes_grid_sample, NULL, NULL,
     run_grid_sample},
    {"", "AffineGrid", 20, OP_LATEST, 2, 2, 1, 1, 0, check_attributes, shapes_affine_grid, NULL, NULL,
     run_affine_grid},
    {"", "Col2Im", 18, OP_LATEST, 3, 3, 1, 1, 0, window_check, shapes_col2im, NULL, prepare_col2im,
     run_col2im},
    {0},
};
