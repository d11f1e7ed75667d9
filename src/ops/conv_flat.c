#include "ops/conv_flat.h"

#include <string.h>

enum { MOST_WASTE = 2 }; /* at most half as many positions more: gathering costs as much as multiplying */

bool conv_flat_plan(const struct conv_shape *conv, struct conv_flat *ret)
{
    const struct window *w = &conv->image.window;
    const int64_t *out = conv->image.out;
    struct conv_flat f = {.padded = 0};
    bool pads = false;
    for (uint32_t k = 0; k < WINDOW_AXES; k++) {
        if (w->stride[k] != 1 || out[k] < 1) return false;
        f.size[k] = conv->image.in[k] + w->begin[k] + w->end[k];
        /* auto_pad and cut windows: the sizes must be those of plain padding */
        if (f.size[k] - (w->kernel[k] - 1) * w->dilation[k] != out[k]) return false;
        pads |= w->begin[k] > 0 || w->end[k] > 0;
    }
    f.n = ((out[0] - 1) * f.size[1] + out[1] - 1) * f.size[2] + out[2];
    if (f.n - conv->positions > conv->positions / MOST_WASTE) return false;
    f.columns = conv_columns(conv->k, f.n);
    if (pads) f.padded = conv->image.channels * window_volume(f.size);
    *ret = f;
    return true;
}

void conv_flat_pad(const struct conv_shape *conv, const struct conv_flat *flat, const void *x, uint32_t fill,
                   void *to)
{
    const struct image *image = &conv->image;
    const int64_t *begin = image->window.begin;
    const uint32_t *from = x;
    uint32_t *padded = to;
    int64_t plane = window_volume(flat->size);
    size_t row_bytes = (size_t)image->in[2] * sizeof *from;
    for (int64_t i = 0; i < flat->padded; i++) padded[i] = fill;
    for (int64_t c = 0; c < image->channels; c++)
        for (int64_t i0 = 0; i0 < image->in[0]; i0++)
            for (int64_t i1 = 0; i1 < image->in[1]; i1++, from += image->in[2]) {
                int64_t at = ((i0 + begin[0]) * flat->size[1] + i1 + begin[1]) * flat->size[2] + begin[2];
                memcpy(padded + c * plane + at, from, row_bytes);
            }
}

void conv_flat_columns(const struct conv_shape *conv, const struct conv_flat *flat, const void *image,
                       int64_t first, int64_t n, void *columns)
{
    const struct window *w = &conv->image.window;
    int64_t plane = window_volume(flat->size);
    uint32_t *to = columns;
    for (int64_t c = 0; c < conv->image.channels; c++)
        for (int64_t k0 = 0; k0 < w->kernel[0]; k0++)
            for (int64_t k1 = 0; k1 < w->kernel[1]; k1++)
                for (int64_t k2 = 0; k2 < w->kernel[2]; k2++, to += n) {
                    int64_t behind = (k0 * w->dilation[0] * flat->size[1] + k1 * w->dilation[1]) *
                                         flat->size[2] +
                                     k2 * w->dilation[2];
                    memcpy(to, (const uint32_t *)image + c * plane + behind + first, (size_t)n * sizeof *to);
                }
}

void conv_flat_store(const struct conv_shape *conv, const struct conv_flat *flat, const void *from,
                     int64_t first, int64_t n, void *to)
{
    const int64_t *out = conv->image.out;
    int64_t pitch = flat->size[2];
    for (int64_t row = first / pitch; row * pitch < first + n; row++) {
        int64_t y0 = row / flat->size[1], y1 = row % flat->size[1];
        if (y1 >= out[1]) continue; /* over the edge */
        int64_t x = row * pitch < first ? first - row * pitch : 0, end = first + n - row * pitch;
        if (end > out[2]) end = out[2];
        if (end <= x) continue;
        uint32_t *line = (uint32_t *)to + (y0 * out[1] + y1) * out[2] + x;
        const uint32_t *source = (const uint32_t *)from + row * pitch + x - first;
        for (int64_t map = 0; map < conv->maps; map++)
            memcpy(line + map * conv->positions, source + map * n, (size_t)(end - x) * sizeof *line);
    }
}
