#include "ops/max_pool.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

enum {
    LONG_RUN = 16,  /* taps from which on a reduction kernel pays */
    SMALL_REACH = 8 /* taps behind the first, over all axes, up to which a plane is taken at once */
};

struct taps {
    int64_t first, last; /* positions in the input, `dilation` apart */
};

static struct taps taps_at(const struct window *w, uint32_t k, int64_t at, int64_t size)
{
    int64_t first, last, origin = at * w->stride[k] - w->begin[k];
    window_taps(w, k, at, size, &first, &last);
    return (struct taps){origin + first * w->dilation[k], origin + last * w->dilation[k]};
}

/* The maxima over the window's rows, column by column. Returns a row of x itself when there is just one, and
 * NULL when there is none. */
static const float *max_of_rows(const struct window *w, const int64_t *in, int64_t at0, int64_t at1,
                                const float *x, float *scratch)
{
    f32_binary_fn *max = kernels_get()->f32_binary[F32_BINARY_max].vv;
    struct taps t0 = taps_at(w, 0, at0, in[0]), t1 = taps_at(w, 1, at1, in[1]);
    const float *so_far = NULL;
    size_t n = (size_t)in[2];
    for (int64_t i0 = t0.first; i0 < t0.last; i0 += w->dilation[0])
        for (int64_t i1 = t1.first; i1 < t1.last; i1 += w->dilation[1]) {
            const float *row = x + (i0 * in[1] + i1) * in[2];
            if (so_far != NULL) max(scratch, n, so_far, n, row, n, 1, n);
            so_far = so_far == NULL ? row : scratch;
        }
    return so_far;
}

/* Without a branch, which data would mislead. */
static inline float larger(float best, float x)
{
    return ((x > best) | (x != x)) ? x : best;
}

static float max_along(const float *row, struct taps t, int64_t dilation)
{
    float best = -INFINITY;
    if (dilation == 1 && t.last - t.first >= LONG_RUN) {
        size_t n = (size_t)(t.last - t.first);
        kernels_get()->f32_reduce_inner[F32_REDUCE_max](&best, row + t.first, n, 1, n);
        return best;
    }
    for (int64_t i = t.first; i < t.last; i += dilation) best = larger(best, row[i]);
    return best;
}

/* Outputs whose taps all lie inside the row: from *ret_first on, *ret_last excluded. */
static void inner_outputs(const struct window *w, int64_t in, int64_t out, int64_t *ret_first,
                          int64_t *ret_last)
{
    int64_t stride = w->stride[2], reach = (w->kernel[2] - 1) * w->dilation[2];
    int64_t first = (w->begin[2] + stride - 1) / stride, room = in - 1 - reach + w->begin[2];
    int64_t last = room < 0 ? 0 : room / stride + 1;
    *ret_last = last < out ? last : out;
    *ret_first = first < *ret_last ? first : *ret_last;
}

static void pool_along(const struct window *w, int64_t in, int64_t out, const float *row, float *y)
{
    int64_t first, last, stride = w->stride[2], d = w->dilation[2], n = w->kernel[2];
    inner_outputs(w, in, out, &first, &last);
    if (n >= LONG_RUN) first = last = 0;
    for (int64_t i = 0; i < first; i++) y[i] = max_along(row, taps_at(w, 2, i, in), d);
    const float *at = row + first * stride - w->begin[2];
    for (int64_t i = first; i < last; i++, at += stride) {
        float best = at[0];
        for (int64_t k = 1; k < n; k++) best = larger(best, at[k * d]);
        y[i] = best;
    }
    for (int64_t i = last; i < out; i++) y[i] = max_along(row, taps_at(w, 2, i, in), d);
}

/* Whether every window lies inside the plane and is small. */
static bool is_small(const struct window *w, const int64_t *in, const int64_t *out)
{
    int64_t taps = 0;
    for (uint32_t k = 0; k < WINDOW_AXES; k++) {
        int64_t end = (out[k] - 1) * w->stride[k] + (w->kernel[k] - 1) * w->dilation[k] + 1;
        if (w->begin[k] > 0 || end > in[k]) return false;
        taps += w->kernel[k] - 1;
    }
    return taps <= SMALL_REACH;
}

/* Maxima of the windows that begin at each element, then those of the positions that are asked for. */
static void pool_at_once(const struct window *w, const int64_t *in, const int64_t *out, const float *x,
                         float *y, float *scratch)
{
    f32_binary_fn *max = kernels_get()->f32_binary[F32_BINARY_max].vv;
    int64_t pitch[WINDOW_AXES] = {in[1] * in[2], in[2], 1}, n = window_volume(in);
    float *rooms[2] = {scratch, scratch + n};
    const float *from = x;
    for (uint32_t k = 0, room = 0; k < WINDOW_AXES; k++) {
        if (w->kernel[k] == 1) continue;
        int64_t step = pitch[k] * w->dilation[k];
        float *to = rooms[room];
        n -= (w->kernel[k] - 1) * step;
        for (int64_t tap = 1; tap < w->kernel[k]; tap++)
            max(to, 0, tap == 1 ? from : to, 0, from + tap * step, 0, 1, (size_t)n);
        from = to;
        room ^= 1;
    }
    for (int64_t at0 = 0; at0 < out[0]; at0++)
        for (int64_t at1 = 0; at1 < out[1]; at1++, y += out[2]) {
            const float *row = from + (at0 * w->stride[0] * in[1] + at1 * w->stride[1]) * in[2];
            for (int64_t i = 0; i < out[2]; i++) y[i] = row[i * w->stride[2]];
        }
}

void max_pool_plane(const struct window *w, const int64_t *in, const int64_t *out, const float *x, float *y,
                    float *scratch)
{
    if (is_small(w, in, out)) {
        pool_at_once(w, in, out, x, y, scratch);
        return;
    }
    for (int64_t at0 = 0; at0 < out[0]; at0++)
        for (int64_t at1 = 0; at1 < out[1]; at1++, y += out[2]) {
            const float *row = max_of_rows(w, in, at0, at1, x, scratch);
            if (row != NULL)
                pool_along(w, in[2], out[2], row, y);
            else
                for (int64_t i = 0; i < out[2]; i++) y[i] = -INFINITY;
        }
}
