#include "optimize/row_layout.h"

#include <string.h>

#include "optimize/passes.h"
#include "tensor/shape.h"

enum { MAX_DEPTH = 64 };

static const struct layout unknown = {0};

bool has_rows(const struct value_info *info)
{
    return info->rank >= 1 && dim_is_known(info->dims[0]) && !dim_is_constant(info->dims[0]) &&
           info->dims[0].n == 1;
}

uint32_t row_width(const struct value_info *info)
{
    int64_t dims[ONNXD_MAX_RANK];
    if (info->rank < 1) return 0;
    for (int32_t i = 1; i < info->rank; i++) {
        if (!dim_is_constant(info->dims[i])) return 0;
        dims[i - 1] = info->dims[i].n;
    }
    int64_t n = shape_n_elements(dims, (uint32_t)info->rank - 1);
    return n > 0 && n <= INT32_MAX ? (uint32_t)n : 0;
}

static struct layout itself(const struct graph *graph, uint32_t value, struct arena *arena)
{
    uint32_t width = row_width(&graph->values[value].info);
    struct piece *piece = width > 0 ? arena_alloc(arena, sizeof *piece) : NULL;
    if (piece == NULL) return unknown;
    *piece = (struct piece){value, 0, GRAPH_NONE, width};
    return (struct layout){piece, 1, width};
}

/* Columns [first, first + width) of a layout. A piece from a table is taken whole or not at all. */
static struct layout columns_of(struct layout from, uint32_t first, uint32_t width, struct arena *arena)
{
    struct layout to = {.pieces = arena_alloc_array(arena, from.n, sizeof *to.pieces), .width = width};
    if (to.pieces == NULL || first + width > from.width || width == 0) return unknown;
    uint32_t at = 0;
    for (uint32_t i = 0; i < from.n; i++) {
        struct piece p = from.pieces[i];
        uint32_t start = at < first ? first : at,
                 end = at + p.width < first + width ? at + p.width : first + width;
        if (start < end) {
            if (p.table != GRAPH_NONE && end - start != p.width) return unknown;
            p.column += start - at;
            if (p.table == GRAPH_NONE)
                p.width = end - start;
            else
                p.column = from.pieces[i].column;
            to.pieces[to.n++] = p;
        }
        at += from.pieces[i].width;
    }
    return to;
}

/* Sizes between the batch and the axis are 1, so that a row's part along the axis is one run of elements. */
static bool axis_is_outermost(const struct value_info *info, int64_t axis, uint32_t *ret_axis)
{
    if (info->rank < 1 || !shape_normalize_axis(axis, (uint32_t)info->rank, ret_axis) || *ret_axis == 0)
        return false;
    for (uint32_t i = 1; i < *ret_axis; i++)
        if (!dim_is_constant(info->dims[i]) || info->dims[i].n != 1) return false;
    return true;
}

static uint32_t elements_behind(const struct value_info *info, uint32_t axis)
{
    uint32_t n = 1;
    for (int32_t i = (int32_t)axis + 1; i < info->rank; i++) n *= (uint32_t)info->dims[i].n;
    return n;
}

/* ---- one function per kind of node ---------------------------------------------------------------- */

static struct layout of_concat(const struct graph *graph, const struct node *node, struct arena *arena,
                               uint32_t depth)
{
    uint32_t axis;
    const struct value_info *out = &graph->values[node->out[0]].info;
    if (!axis_is_outermost(out, node_attribute_int(node, "axis", 1), &axis)) return unknown;
    struct layout all = {.pieces = arena_alloc_array(arena, ROW_LAYOUT_MAX_PIECES, sizeof *all.pieces)};
    if (all.pieces == NULL) return unknown;
    for (uint32_t i = 0; i < node->n_in; i++) {
        struct layout part = row_layout(graph, node->in[i], arena, depth + 1);
        if (part.n == 0 || all.n + part.n > ROW_LAYOUT_MAX_PIECES) return unknown;
        memcpy(all.pieces + all.n, part.pieces, part.n * sizeof *part.pieces);
        all.n += part.n;
        all.width += part.width;
    }
    return all;
}

/* A constant integer list of one element. */
static bool single_int(const struct graph *graph, const struct node *node, uint32_t i, int64_t *ret)
{
    if (i >= node->n_in || node->in[i] == GRAPH_NONE) return false;
    const onnxd_tensor *t = graph->values[node->in[i]].info.constant;
    if (t == NULL || onnxd_tensor_n_elements(t) != 1 || (t->type != ONNXD_INT64 && t->type != ONNXD_INT32))
        return false;
    *ret = t->type == ONNXD_INT64 ? *(const int64_t *)t->data : *(const int32_t *)t->data;
    return true;
}

static struct layout of_slice(const struct graph *graph, const struct node *node, struct arena *arena,
                              uint32_t depth)
{
    const struct value_info *in = &graph->values[node->in[0]].info, *out = &graph->values[node->out[0]].info;
    int64_t start, axis_number, step = 1;
    uint32_t axis;
    if (node->opset >= 10) {
        if (!single_int(graph, node, 1, &start) || !single_int(graph, node, 3, &axis_number)) return unknown;
        if (node->n_in > 4 && node->in[4] != GRAPH_NONE && !single_int(graph, node, 4, &step)) return unknown;
    } else {
        size_t n_starts, n_axes;
        const int64_t *starts = node_attribute_ints(node, "starts", &n_starts);
        const int64_t *axes = node_attribute_ints(node, "axes", &n_axes);
        if (n_starts != 1 || n_axes != 1) return unknown;
        start = starts[0];
        axis_number = axes[0];
    }
    if (step != 1 || !axis_is_outermost(in, axis_number, &axis) || out->rank != in->rank) return unknown;
    int64_t size = in->dims[axis].n;
    if (start < 0) start += size;
    if (start < 0 || start > size || row_width(in) == 0) return unknown;
    uint32_t unit = elements_behind(in, axis);
    return columns_of(row_layout(graph, node->in[0], arena, depth + 1), (uint32_t)start * unit,
                      row_width(out), arena);
}

static struct layout of_split(const struct graph *graph, const struct node *node, uint32_t value,
                              struct arena *arena, uint32_t depth)
{
    const struct value_info *in = &graph->values[node->in[0]].info;
    uint32_t axis, first = 0;
    if (!axis_is_outermost(in, node_attribute_int(node, "axis", 0), &axis)) return unknown;
    for (uint32_t k = 0; k < node->n_out; k++) {
        if (node->out[k] == GRAPH_NONE) return unknown;
        uint32_t width = row_width(&graph->values[node->out[k]].info);
        if (width == 0) return unknown;
        if (node->out[k] == value)
            return columns_of(row_layout(graph, node->in[0], arena, depth + 1), first, width, arena);
        first += width;
    }
    return unknown;
}

/* Indices may pass through Cast, which changes type but not place. */
static uint32_t behind_casts(const struct graph *graph, uint32_t value)
{
    const struct node *node = producer_of(graph, value);
    while (node_is(node, "Cast")) {
        onnxd_type from = graph->values[node->in[0]].info.type;
        if (from != ONNXD_FLOAT32 && from != ONNXD_INT64 && from != ONNXD_INT32) break;
        value = node->in[0];
        node = producer_of(graph, value);
        /* Only one conversion from float, the innermost, cuts towards zero. */
        if (from == ONNXD_FLOAT32) break;
    }
    return value;
}

static struct layout of_gather(const struct graph *graph, const struct node *node, struct arena *arena,
                               uint32_t depth)
{
    const onnxd_tensor *table = graph->values[node->in[0]].info.constant;
    if (table == NULL || table->type != ONNXD_FLOAT32 || table->rank != 2 || table->dims[0] == 0 ||
        table->dims[1] == 0 || node_attribute_int(node, "axis", 0) != 0)
        return unknown;
    uint32_t index = behind_casts(graph, node->in[1]);
    onnxd_type type = graph->values[index].info.type;
    if (type != ONNXD_FLOAT32 && type != ONNXD_INT64 && type != ONNXD_INT32) return unknown;
    struct layout columns = row_layout(graph, index, arena, depth + 1);
    struct layout all = {.width = columns.width * (uint32_t)table->dims[1]};
    if (columns.n == 0 || columns.width > ROW_LAYOUT_MAX_PIECES) return unknown;
    all.pieces = arena_alloc_array(arena, columns.width, sizeof *all.pieces);
    if (all.pieces == NULL) return unknown;
    for (uint32_t i = 0; i < columns.n; i++) {
        struct piece p = columns.pieces[i];
        if (p.table != GRAPH_NONE) return unknown;
        for (uint32_t k = 0; k < p.width; k++)
            all.pieces[all.n++] = (struct piece){p.source, p.column + k, node->in[0],
                                                 (uint32_t)table->dims[1]};
    }
    return all;
}

struct layout row_layout(const struct graph *graph, uint32_t value, struct arena *arena, uint32_t depth)
{
    const struct value_info *info = &graph->values[value].info;
    const struct node *node = producer_of(graph, value);
    struct layout found = unknown;
    if (!has_rows(info) || row_width(info) == 0 || depth > MAX_DEPTH) return unknown;
    bool same_rows = node != NULL && node->n_in > 0 && node->in[0] != GRAPH_NONE &&
                     has_rows(&graph->values[node->in[0]].info) &&
                     dim_equal(graph->values[node->in[0]].info.dims[0], info->dims[0]);
    if (node_is(node, "Gather")) {
        found = of_gather(graph, node, arena, depth);
    } else if (same_rows) {
        if (node_is(node, "Concat"))
            found = of_concat(graph, node, arena, depth);
        else if (node_is(node, "Slice"))
            found = of_slice(graph, node, arena, depth);
        else if (node_is(node, "Split"))
            found = of_split(graph, node, value, arena, depth);
        else if (node_is(node, "Reshape") || node_is(node, "Flatten") || node_is(node, "Squeeze") ||
                 node_is(node, "Unsqueeze"))
            found = row_layout(graph, node->in[0], arena, depth + 1);
    }
    return found.n > 0 ? found : itself(graph, value, arena);
}
