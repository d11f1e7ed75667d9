/* RoiAlign and MaxRoiPool: regions of feature maps [N, C, H, W] pooled to one size.
 * Source: ONNX operator specification, ai.onnx; He et al. 2017 (Mask R-CNN). */
#include "ops/op.h"

#include <math.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/indices.h"
#include "ops/infer.h"

/* Points sampled in one bin at most: regions come from data. */
enum { MAX_POINTS = 1 << 16, MAX_POOLED = 1 << 20 };

static onnxd_status bad_size(const struct node *node, const char *name, int64_t value, onnxd_error *err)
{
    return op_error(err, node, ONNXD_ERR_MODEL, "attribute '%s' is %lld", name, (long long)value);
}

static onnxd_status infer_maps(const struct op_shapes *s, int64_t columns, onnxd_error *err)
{
    onnxd_status status = infer_same_types(s, 0, 2, TYPES_FLOAT, err);
    if (status == ONNXD_OK) status = infer_rank(s, 0, 4, err);
    if (status == ONNXD_OK) status = infer_rank(s, 1, 2, err);
    if (status == ONNXD_OK && shapes_known(s, 1) && dim_differs(s->in[1]->dims[1], dim_constant(columns)))
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "rois have %lld numbers, expected %lld",
                          (long long)s->in[1]->dims[1].n, (long long)columns);
    return status;
}

static void set_output(struct op_shapes *s, int64_t height, int64_t width)
{
    struct dim dims[4] = {dim_unknown(), dim_unknown(), dim_constant(height), dim_constant(width)};
    if (shapes_known(s, 1)) dims[0] = s->in[1]->dims[0];
    if (shapes_known(s, 0)) dims[1] = s->in[0]->dims[1];
    shapes_set(s, 0, s->in[0]->type, 4, dims);
}

/* ---- RoiAlign: X, rois [R, 4], batch_indices [R] ---------------------------------------------------------
 */

static onnxd_status check_align(const struct node *node, onnxd_error *err)
{
    static const char *const modes[] = {"avg", "max", NULL};
    static const char *const transformations[] = {"half_pixel", "output_half_pixel", NULL};
    static const char *const sizes[] = {"output_height", "output_width"};
    for (int i = 0; i < 2; i++) {
        int64_t size = node_attribute_int(node, sizes[i], 1);
        if (size < 1 || size > MAX_POOLED) return bad_size(node, sizes[i], size, err);
    }
    int64_t ratio = node_attribute_int(node, "sampling_ratio", 0);
    if (ratio < 0 || ratio * ratio > MAX_POINTS || ratio > MAX_POINTS)
        return bad_size(node, "sampling_ratio", ratio, err);
    onnxd_status status = check_attributes(node, err);
    if (status == ONNXD_OK) status = check_word(node, "mode", modes, err);
    return status == ONNXD_OK ? check_word(node, "coordinate_transformation_mode", transformations, err)
                              : status;
}

static onnxd_status shapes_align(struct op_shapes *s, onnxd_error *err)
{
    onnxd_status status = infer_maps(s, 4, err);
    if (status == ONNXD_OK) status = infer_type(s, 2, TYPES_INDEX, err);
    if (status == ONNXD_OK) status = infer_rank(s, 2, 1, err);
    if (status != ONNXD_OK) return status;
    if (shapes_known(s, 1) && shapes_known(s, 2) && dim_differs(s->in[1]->dims[0], s->in[2]->dims[0]))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "%lld rois have %lld batch indices",
                        (long long)s->in[1]->dims[0].n, (long long)s->in[2]->dims[0].n);
    set_output(s, node_attribute_int(s->node, "output_height", 1),
               node_attribute_int(s->node, "output_width", 1));
    return ONNXD_OK;
}

/* One axis of a region. */
struct span {
    double start, bin; /* of the feature map */
    int64_t points;    /* in one bin */
    int64_t size;      /* of the feature map */
};

/* The two elements around a coordinate and the weight of the second; false: outside. */
static bool around(const struct span *s, double x, int64_t *low, int64_t *high, double *weight)
{
    if (!(x >= -1 && x <= (double)s->size)) return false;
    if (x < 0) x = 0;
    *low = (int64_t)x;
    if (*low >= s->size - 1) {
        *low = *high = s->size - 1;
        *weight = 0;
    } else {
        *high = *low + 1;
        *weight = x - (double)*low;
    }
    return true;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double pool_bin(const struct span *y, const struct span *x, int64_t py, int64_t px,
                       const onnxd_tensor *maps, int64_t plane, bool max)
{
    double sum = 0, best = 0;
    bool first = true;
    for (int64_t i = 0; i < y->points; i++)
        for (int64_t k = 0; k < x->points; k++) {
            double at_y = y->start + (double)py * y->bin + ((double)i + 0.5) * y->bin / (double)y->points;
            double at_x = x->start + (double)px * x->bin + ((double)k + 0.5) * x->bin / (double)x->points;
            double wy = 0, wx = 0, part[4] = {0};
            int64_t y0, y1, x0, x1;
            if (around(y, at_y, &y0, &y1, &wy) && around(x, at_x, &x0, &x1, &wx)) {
                part[0] = (1 - wy) * (1 - wx) * element_f64(maps, plane + y0 * x->size + x0);
                part[1] = (1 - wy) * wx * element_f64(maps, plane + y0 * x->size + x1);
                part[2] = wy * (1 - wx) * element_f64(maps, plane + y1 * x->size + x0);
                part[3] = wy * wx * element_f64(maps, plane + y1 * x->size + x1);
            }
            sum += part[0] + part[1] + part[2] + part[3];
            /* The reference takes the largest of the weighted corners, not of their sums. */
            double corner = larger(larger(part[0], part[1]), larger(part[2], part[3]));
            best = first ? corner : larger(best, corner);
            first = false;
        }
    double n = (double)(y->points * x->points);
    return max ? best : n > 0 ? sum / n : 0;
}

static onnxd_status read_span(const struct op_run *run, int64_t roi, int axis, int64_t size, int64_t pooled,
                              struct span *ret, onnxd_error *err)
{
    const struct node *node = run->node;
    double scale = (double)node_attribute_float(node, "spatial_scale", 1);
    bool half = node->opset >= 16 &&
                !node_attribute_is(node, "coordinate_transformation_mode", "output_half_pixel");
    int64_t ratio = node_attribute_int(node, "sampling_ratio", 0);
    double start = element_f64(run->in[1], roi * 4 + axis) * scale - (half ? 0.5 : 0);
    double length = element_f64(run->in[1], roi * 4 + axis + 2) * scale - (half ? 0.5 : 0) - start;
    if (!half && length < 1) length = 1;
    *ret = (struct span){start, length / (double)pooled, ratio, size};
    double points = ceil(ret->bin);
    if (ratio == 0 && !(points <= MAX_POINTS))
        return op_error(err, node, ONNXD_ERR_LIMIT, "roi %lld is too large to be sampled", (long long)roi);
    if (ratio == 0) ret->points = points > 0 ? (int64_t)points : 0;
    return ONNXD_OK;
}

static onnxd_status run_align(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *maps = run->in[0], *out = run->out[0];
    bool max = node_attribute_is(run->node, "mode", "max");
    int64_t channels = maps->dims[1], height = maps->dims[2], width = maps->dims[3], at = 0;
    for (int64_t roi = 0; roi < out->dims[0]; roi++) {
        int64_t batch;
        struct span y, x;
        if (!index_in(run->in[2], roi, maps->dims[0], &batch))
            return bad_index(run, run->in[2], roi, maps->dims[0], err);
        onnxd_status status = read_span(run, roi, 1, height, out->dims[2], &y, err);
        if (status == ONNXD_OK) status = read_span(run, roi, 0, width, out->dims[3], &x, err);
        if (status != ONNXD_OK) return status;
        if (y.points * x.points > MAX_POINTS)
            return op_error(err, run->node, ONNXD_ERR_LIMIT, "roi %lld is too large to be sampled",
                            (long long)roi);
        if (height == 0 || width == 0) y.points = 0;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t py = 0; py < out->dims[2]; py++)
                for (int64_t px = 0; px < out->dims[3]; px++, at++) {
                    double v = pool_bin(&y, &x, py, px, maps, (batch * channels + c) * height * width, max);
                    elements_store(LANE_F64, out->type, out->data, at, 1, &v);
                }
    }
    return ONNXD_OK;
}

/* ---- MaxRoiPool: X, rois [R, 5] with the batch index first ------------------------------------------------
 */

static onnxd_status check_roi_pool(const struct node *node, onnxd_error *err)
{
    size_t n;
    const int64_t *shape = node_attribute_ints(node, "pooled_shape", &n);
    if (n != 2) return op_error(err, node, ONNXD_ERR_MODEL, "attribute 'pooled_shape' has %zu elements", n);
    for (int i = 0; i < 2; i++)
        if (shape[i] < 1 || shape[i] > MAX_POOLED) return bad_size(node, "pooled_shape", shape[i], err);
    return check_attributes(node, err);
}

static onnxd_status shapes_roi_pool(struct op_shapes *s, onnxd_error *err)
{
    size_t n;
    const int64_t *shape = node_attribute_ints(s->node, "pooled_shape", &n);
    onnxd_status status = infer_maps(s, 5, err);
    if (status == ONNXD_OK) set_output(s, shape[0], shape[1]);
    return status;
}

/* Elements of bin p: low..high-1. */
static void bin_range(double start, double size, int64_t p, int64_t limit, int64_t *low, int64_t *high)
{
    double a = floor((double)p * size) + start, b = ceil((double)(p + 1) * size) + start;
    *low = !(a >= 0) ? 0 : a > (double)limit ? limit : (int64_t)a;
    *high = !(b >= 0) ? 0 : b > (double)limit ? limit : (int64_t)b;
}

static onnxd_status run_roi_pool(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *maps = run->in[0], *rois = run->in[1], *out = run->out[0];
    double scale = (double)node_attribute_float(run->node, "spatial_scale", 1);
    int64_t channels = maps->dims[1], height = maps->dims[2], width = maps->dims[3], at = 0;
    for (int64_t r = 0; r < out->dims[0]; r++) {
        double batch = element_f64(rois, r * 5), edge[4];
        if (!(batch >= 0 && batch < (double)maps->dims[0]))
            return op_error(err, run->node, ONNXD_ERR_RANGE, "roi %lld names image %g of %lld", (long long)r,
                            batch, (long long)maps->dims[0]);
        for (int k = 0; k < 4; k++) edge[k] = round(element_f64(rois, r * 5 + 1 + k) * scale);
        double bin_w = larger(edge[2] - edge[0] + 1, 1) / (double)out->dims[3];
        double bin_h = larger(edge[3] - edge[1] + 1, 1) / (double)out->dims[2];
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < out->dims[2] * out->dims[3]; p++, at++) {
                int64_t y0, y1, x0, x1, plane = ((int64_t)batch * channels + c) * height * width;
                bin_range(edge[1], bin_h, p / out->dims[3], height, &y0, &y1);
                bin_range(edge[0], bin_w, p % out->dims[3], width, &x0, &x1);
                double best = y1 > y0 && x1 > x0 ? -HUGE_VAL : 0;
                for (int64_t y = y0; y < y1; y++)
                    for (int64_t x = x0; x < x1; x++)
                        best = larger(best, element_f64(maps, plane + y * width + x));
                elements_store(LANE_F64, out->type, out->data, at, 1, &best);
            }
    }
    return ONNXD_OK;
}

const struct op_def ops_roi[] = {
    {"", "RoiAlign", 10, OP_LATEST, 3, 3, 1, 1, 0, check_align, shapes_align, NULL, NULL, run_align},
    {"", "MaxRoiPool", 1, OP_LATEST, 2, 2, 1, 1, 0, check_roi_pool, shapes_roi_pool, NULL, NULL,
     run_roi_pool},
    {0},
};
