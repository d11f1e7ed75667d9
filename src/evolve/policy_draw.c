#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "evolve/policy.h"
#include "evolve/policy_levels.h"

/* A compiled policy with a place for each slot: inputs, bias, nodes. */
struct drawing {
    struct network_compiler compiler;
    struct arena arena;
    struct network network;
    uint32_t *level; /* [n_nodes] */
    float *x, *y;    /* [n_inputs + 1 + n_nodes] */
    uint32_t n_levels;
    float width, height;
};

enum { COLUMN = 150, ROW = 34, MARGIN = 110, RADIUS = 9 };

static void drawing_done(struct drawing *d)
{
    network_compiler_done(&d->compiler);
    arena_done(&d->arena);
}

static bool is_output(const struct network *net, uint32_t slot)
{
    for (uint32_t o = 0; o < net->n_outputs; o++)
        if (net->outputs[o] == slot) return true;
    return false;
}

/* Inputs stand left, outputs right, hidden nodes between by depth, each column spread over the height. */
static void lay_out(struct drawing *d)
{
    const struct network *net = &d->network;
    uint32_t n_ends = net->n_inputs + 1, n_all = n_ends + net->n_nodes, tallest = n_ends;
    uint32_t last = d->n_levels + 1;
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t column = 0; column <= last; column++) {
            uint32_t n = 0, k = 0;
            for (uint32_t s = 0; s < n_all; s++) {
                uint32_t own = s < n_ends ? 0 : is_output(net, s) ? last : d->level[s - n_ends];
                n += own == column;
            }
            if (n > tallest) tallest = n;
            for (uint32_t s = 0; pass == 1 && s < n_all; s++) {
                uint32_t own = s < n_ends ? 0 : is_output(net, s) ? last : d->level[s - n_ends];
                if (own != column) continue;
                d->x[s] = MARGIN + (float)column * COLUMN;
                d->y[s] = ((float)k++ + 0.5f) * (float)tallest * ROW / (float)n + ROW / 2.0f;
            }
        }
    d->width = (float)last * COLUMN + 2 * MARGIN;
    d->height = (float)(tallest + 1) * ROW;
}

static onnxd_status drawing_init(struct drawing *d, const struct policy *policy, onnxd_error *err)
{
    *d = (struct drawing){0};
    arena_init(&d->arena, 0);
    onnxd_status status = network_compile(&d->compiler, &policy->genome, &policy->shape, &d->arena,
                                          &d->network, err);
    if (status != ONNXD_OK) {
        drawing_done(d);
        return status;
    }
    uint32_t n_all = d->network.n_inputs + 1 + d->network.n_nodes;
    d->level = arena_alloc_array(&d->arena, d->network.n_nodes, sizeof *d->level);
    d->x = arena_alloc_array(&d->arena, n_all, sizeof *d->x);
    d->y = arena_alloc_array(&d->arena, n_all, sizeof *d->y);
    if (d->level == NULL || d->x == NULL || d->y == NULL) {
        drawing_done(d);
        return error_set(err, ONNXD_ERR_NOMEM, "drawing: no memory for %u nodes", n_all);
    }
    d->n_levels = network_levels(&d->network, d->level);
    lay_out(d);
    return ONNXD_OK;
}

/* What a slot is called. */
static const char *slot_name(const struct network *net, uint32_t slot, const char *const *input_names,
                             const char *const *output_names, char *scratch, size_t n)
{
    if (slot < net->n_inputs) {
        if (input_names != NULL) return input_names[slot];
        snprintf(scratch, n, "in %u", slot);
        return scratch;
    }
    if (slot == net->n_inputs) return "bias";
    for (uint32_t o = 0; o < net->n_outputs; o++) {
        if (net->outputs[o] != slot) continue;
        if (output_names != NULL) return output_names[o];
        snprintf(scratch, n, "out %u", o);
        return scratch;
    }
    const struct network_node *node = &net->nodes[slot - net->n_inputs - 1];
    snprintf(scratch, n, "%u %s", node->id, activation_name((enum activation)node->activation));
    return scratch;
}

static void draw_links(const struct drawing *d, struct buf *out)
{
    const struct network *net = &d->network;
    uint32_t first_slot = net->n_inputs + 1, link = 0;
    for (uint32_t i = 0; i < net->n_nodes; i++)
        for (; link < net->nodes[i].end_link; link++) {
            uint32_t source = net->links[link].source, to = first_slot + i;
            bool remembered = source >= first_slot + net->n_nodes;
            if (remembered) source -= net->n_nodes;
            float weight = net->links[link].weight, width = 0.6f + fminf(fabsf(weight), 8) * 0.5f;
            float bend = remembered ? 40 + 0.2f * fabsf(d->x[source] - d->x[to]) : 0;
            buf_printf(out,
                       "<path d=\"M%.1f %.1fQ%.1f %.1f %.1f %.1f\" fill=\"none\" stroke=\"%s\" "
                       "stroke-width=\"%.2f\" "
                       "stroke-opacity=\"0.75\"%s><title>%.6g</title></path>\n",
                       (double)d->x[source], (double)d->y[source], (double)(d->x[source] + d->x[to]) / 2,
                       (double)((d->y[source] + d->y[to]) / 2 - bend), (double)d->x[to], (double)d->y[to],
                       weight >= 0 ? "#2166ac" : "#b2182b", (double)width,
                       remembered ? " stroke-dasharray=\"5 3\"" : "", (double)weight);
        }
}

static void draw_nodes(const struct drawing *d, const char *const *input_names,
                       const char *const *output_names, struct buf *out)
{
    const struct network *net = &d->network;
    uint32_t first_slot = net->n_inputs + 1;
    for (uint32_t s = 0; s < first_slot + net->n_nodes; s++) {
        char scratch[48];
        const char *name = slot_name(net, s, input_names, output_names, scratch, sizeof scratch);
        bool left = s < first_slot, right = !left && is_output(net, s);
        buf_printf(out,
                   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%d\" fill=\"%s\" stroke=\"#333\"/><text x=\"%.1f\" "
                   "y=\"%.1f\" "
                   "text-anchor=\"%s\">%s</text>\n",
                   (double)d->x[s], (double)d->y[s], RADIUS,
                   left    ? "#e0e0e0"
                   : right ? "#fdb863"
                           : "#b8e186",
                   (double)d->x[s] + (left    ? -RADIUS - 4
                                      : right ? RADIUS + 4
                                              : 0),
                   (double)d->y[s] + (left || right ? 4 : -RADIUS - 3),
                   left    ? "end"
                   : right ? "start"
                           : "middle",
                   name);
    }
}

onnxd_status policy_to_svg(const struct policy *policy, const char *const *input_names,
                           const char *const *output_names, struct buf *out, onnxd_error *err)
{
    struct drawing d;
    onnxd_status status = drawing_init(&d, policy, err);
    if (status != ONNXD_OK) return status;
    buf_printf(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
        "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%%\" height=\"100%%\" "
        "fill=\"white\"/>\n",
        (double)d.width, (double)d.height, (double)d.width, (double)d.height);
    draw_links(&d, out);
    draw_nodes(&d, input_names, output_names, out);
    buf_append_text(out, "</svg>\n");
    drawing_done(&d);
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "drawing: larger than its buffer") : ONNXD_OK;
}

onnxd_status policy_to_dot(const struct policy *policy, const char *const *input_names,
                           const char *const *output_names, struct buf *out, onnxd_error *err)
{
    struct drawing d;
    onnxd_status status = drawing_init(&d, policy, err);
    if (status != ONNXD_OK) return status;
    const struct network *net = &d.network;
    uint32_t first_slot = net->n_inputs + 1, link = 0;
    buf_append_text(out, "digraph policy {\n  rankdir=LR;\n  node [shape=circle, fontsize=10];\n");
    for (uint32_t s = 0; s < first_slot + net->n_nodes; s++) {
        char scratch[48];
        buf_printf(out, "  n%u [label=\"%s\"%s];\n", s,
                   slot_name(net, s, input_names, output_names, scratch, sizeof scratch),
                   s < first_slot      ? ", shape=box"
                   : is_output(net, s) ? ", shape=doublecircle"
                                       : "");
    }
    for (uint32_t i = 0; i < net->n_nodes; i++)
        for (; link < net->nodes[i].end_link; link++) {
            uint32_t source = net->links[link].source;
            bool remembered = source >= first_slot + net->n_nodes;
            float weight = net->links[link].weight;
            buf_printf(out, "  n%u -> n%u [label=\"%.3g\", color=\"%s\"%s];\n",
                       remembered ? source - net->n_nodes : source, first_slot + i, (double)weight,
                       weight >= 0 ? "#2166ac" : "#b2182b",
                       remembered ? ", style=dashed, constraint=false" : "");
        }
    buf_append_text(out, "}\n");
    drawing_done(&d);
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "drawing: larger than its buffer") : ONNXD_OK;
}
