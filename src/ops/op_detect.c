/* NonMaxSuppression: keeps the best of boxes that overlap.
 * Source: ONNX operator specification, ai.onnx, NonMaxSuppression-10 and -11. */
#include "ops/op.h"

#include <math.h>
#include <stdlib.h>

#include "ops/elements.h"
#include "ops/infer.h"

static onnxd_status shapes_suppress(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *boxes = s->in[0], *scores = s->in[1];
    struct dim dims[2] = {dim_unknown(), dim_constant(3)};
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < 2 && status == ONNXD_OK; i++) {
        status = infer_type(s, i, TYPE_BIT(ONNXD_FLOAT32), err);
        if (status == ONNXD_OK) status = infer_rank(s, i, 3, err);
    }
    if (status != ONNXD_OK) return status;
    if (boxes->rank == 3 && scores->rank == 3 &&
        (dim_differs(boxes->dims[0], scores->dims[0]) || dim_differs(boxes->dims[1], scores->dims[2]) ||
         dim_differs(boxes->dims[2], dim_constant(4))))
        return op_error(err, s->node, ONNXD_ERR_SHAPE, "boxes must be [N, B, 4] and scores [N, C, B]");
    shapes_set(s, 0, ONNXD_INT64, 2, dims);
    return ONNXD_OK;
}

struct corners {
    float y1, x1, y2, x2; /* y1 <= y2, x1 <= x2 */
};

static struct corners corners_of(const float *box, bool centred)
{
    if (centred) { /* x, y, width, height */
        float w = fabsf(box[2]) / 2, h = fabsf(box[3]) / 2;
        return (struct corners){box[1] - h, box[0] - w, box[1] + h, box[0] + w};
    }
    return (struct corners){fminf(box[0], box[2]), fminf(box[1], box[3]), fmaxf(box[0], box[2]),
                            fmaxf(box[1], box[3])};
}

static bool overlap_more(struct corners a, struct corners b, float threshold)
{
    float h = fminf(a.y2, b.y2) - fmaxf(a.y1, b.y1), w = fminf(a.x2, b.x2) - fmaxf(a.x1, b.x1);
    if (!(h > 0) || !(w > 0)) return false;
    float both = h * w, area = (a.y2 - a.y1) * (a.x2 - a.x1) + (b.y2 - b.y1) * (b.x2 - b.x1) - both;
    return area > 0 && both / area > threshold;
}

struct candidate {
    float score;
    int64_t box;
};

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->box > y->box) - (x->box < y->box);
}

struct suppression {
    bool centred, has_score_threshold;
    float iou_threshold, score_threshold;
    int64_t max, n_boxes;
    struct candidate *candidates; /* [n_boxes] */
    struct corners *kept;         /* [n_boxes] */
    int64_t (*out)[3];            /* [capacity] batch, class, box */
    int64_t n_out, capacity;
};

static onnxd_status keep(struct op_run *run, struct suppression *s, int64_t batch, int64_t class, int64_t box,
                         onnxd_error *err)
{
    if (s->n_out == s->capacity) {
        int64_t capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
        int64_t(*bigger)[3] = arena_alloc_array(run->env->arena, (size_t)capacity, sizeof *bigger);
        if (bigger == NULL)
            return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for %lld boxes", (long long)capacity);
        for (int64_t i = 0; i < s->n_out; i++)
            for (int k = 0; k < 3; k++) bigger[i][k] = s->out[i][k];
        s->out = bigger;
        s->capacity = capacity;
    }
    int64_t *row = s->out[s->n_out++];
    row[0] = batch;
    row[1] = class;
    row[2] = box;
    return ONNXD_OK;
}

static onnxd_status suppress(struct op_run *run, struct suppression *s, const float *boxes,
                             const float *scores, int64_t batch, int64_t class, onnxd_error *err)
{
    int64_t n = 0, n_kept = 0;
    for (int64_t i = 0; i < s->n_boxes; i++)
        if (!s->has_score_threshold || scores[i] > s->score_threshold)
            s->candidates[n++] = (struct candidate){scores[i], i};
    if (n > 1) qsort(s->candidates, (size_t)n, sizeof *s->candidates, by_score);
    for (int64_t i = 0; i < n && n_kept < s->max; i++) {
        struct corners box = corners_of(boxes + 4 * s->candidates[i].box, s->centred);
        bool good = true;
        for (int64_t k = 0; k < n_kept && good; k++) good = !overlap_more(box, s->kept[k], s->iou_threshold);
        if (!good) continue;
        s->kept[n_kept++] = box;
        onnxd_status status = keep(run, s, batch, class, s->candidates[i].box, err);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

/* An optional parameter of one element. */
static double parameter(const struct op_run *run, uint32_t in, double otherwise)
{
    if (!tensor_given(run->in, run->n_in, in) || onnxd_tensor_n_elements(run->in[in]) != 1) return otherwise;
    return element_f64(run->in[in], 0);
}

static onnxd_status run_suppress(struct op_run *run, onnxd_error *err)
{
    const float *boxes = run->in[0]->data, *scores = run->in[1]->data;
    int64_t n_batch = run->in[1]->dims[0], n_classes = run->in[1]->dims[1];
    struct suppression s = {.centred = node_attribute_int(run->node, "center_point_box", 0) != 0,
                            .has_score_threshold = tensor_given(run->in, run->n_in, 4),
                            .iou_threshold = (float)parameter(run, 3, 0),
                            .score_threshold = (float)parameter(run, 4, 0),
                            .max = i64_of_f64(parameter(run, 2, 0)),
                            .n_boxes = run->in[1]->dims[2]};
    if (!(s.iou_threshold >= 0 && s.iou_threshold <= 1))
        return op_error(err, run->node, ONNXD_ERR_RANGE, "iou_threshold is %g, expected 0..1",
                        (double)s.iou_threshold);
    s.candidates = arena_alloc_array(run->env->arena, (size_t)s.n_boxes, sizeof *s.candidates);
    s.kept = arena_alloc_array(run->env->arena, (size_t)s.n_boxes, sizeof *s.kept);
    if (s.candidates == NULL || s.kept == NULL)
        return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room for %lld boxes", (long long)s.n_boxes);
    for (int64_t b = 0; b < n_batch; b++)
        for (int64_t c = 0; c < n_classes; c++) {
            onnxd_status status = suppress(run, &s, boxes + b * s.n_boxes * 4,
                                           scores + (b * n_classes + c) * s.n_boxes, b, c, err);
            if (status != ONNXD_OK) return status;
        }
    if (run->out[0] != NULL)
        *run->out[0] = (onnxd_tensor){.type = ONNXD_INT64,
                                      .rank = 2,
                                      .dims = {s.n_out, 3},
                                      .data = s.out != NULL ? (void *)s.out : (void *)s.kept};
    return ONNXD_OK;
}

const struct op_def ops_detect[] = {
    {"", "NonMaxSuppression", 10, OP_LATEST, 2, 5, 1, 1, OP_DYNAMIC, check_attributes, shapes_suppress, NULL,
     NULL, run_suppress},
    {0},
};
