#include "ops/im2col.h"

#include <string.h>

/* Along a row of positions: those from..to-1 see the image, the one at `from` its element `at`. */
struct run {
    int64_t from, to, at;
};

/* Positions x..x+n-1 of the innermost axis seen through one tap. */
static struct run row_run(const struct image *image, int64_t tap, int64_t x, int64_t n)
{
    const struct window *w = &image->window;
    int64_t stride = w->stride[2], start = tap * w->dilation[2] - w->begin[2]; /* in = x * stride + start */
    int64_t low = start < 0 ? (-start + stride - 1) / stride : 0;
    int64_t high = image->in[2] > start ? (image->in[2] - start + stride - 1) / stride : 0;
    struct run r = {low > x ? low - x : 0, high < x + n ? high - x : n, 0};
    if (r.from > n) r.from = n;
    if (r.to < r.from) r.to = r.from;
    r.at = (x + r.from) * stride + start;
    return r;
}

/* Line of the image that a tap sees at a row of positions; -1: padding. */
static int64_t line_of(const struct image *image, int64_t row, int64_t tap0, int64_t tap1)
{
    const struct window *w = &image->window;
    int64_t y0 = row / image->out[1] * w->stride[0] + tap0 * w->dilation[0] - w->begin[0];
    int64_t y1 = row % image->out[1] * w->stride[1] + tap1 * w->dilation[1] - w->begin[1];
    if (y0 < 0 || y0 >= image->in[0] || y1 < 0 || y1 >= image->in[1]) return -1;
    return y0 * image->in[1] + y1;
}

#define COPY_ROW(T)                                                                  \
    do {                                                                             \
        T *t = to;                                                                   \
        const T *f = from;                                                           \
        T pad;                                                                       \
        memcpy(&pad, fill, sizeof pad);                                              \
        for (int64_t i = 0; i < r.from; i++) t[i] = pad;                             \
        if (stride == 1)                                                             \
            memcpy(t + r.from, f, (size_t)(r.to - r.from) * sizeof(T));              \
        else                                                                         \
            for (int64_t i = r.from; i < r.to; i++) t[i] = f[(i - r.from) * stride]; \
        for (int64_t i = r.to; i < n; i++) t[i] = pad;                               \
    } while (0)

static void copy_row(size_t size, void *to, const void *from, struct run r, int64_t stride, int64_t n,
                     const void *fill)
{
    switch (size) {
    case 1: COPY_ROW(uint8_t); break;
    case 4: COPY_ROW(uint32_t); break;
    default: COPY_ROW(uint64_t); break;
    }
}

/* One row of the matrix: channel plane `data` through one tap. */
static void gather_row(const struct image *image, size_t size, const char *data, const int64_t *tap,
                       int64_t first, int64_t n, const void *fill, char *to)
{
    int64_t width = image->out[2];
    while (n > 0) {
        int64_t x = first % width, m = width - x < n ? width - x : n;
        int64_t line = line_of(image, first / width, tap[0], tap[1]);
        struct run r = {m, m, 0};
        if (line >= 0) r = row_run(image, tap[2], x, m);
        bool seen = r.to > r.from;
        copy_row(size, to, seen ? data + (size_t)(line * image->in[2] + r.at) * size : data,
                 seen ? r : (struct run){m, m, 0}, image->window.stride[2], m, fill);
        to += (size_t)m * size;
        first += m;
        n -= m;
    }
}

void im2col(const struct image *image, size_t size, const void *data, int64_t first, int64_t n,
            const void *fill, void *columns)
{
    const int64_t *kernel = image->window.kernel;
    int64_t plane = window_volume(image->in), volume = window_volume(kernel);
    char *to = columns;
    for (int64_t c = 0; c < image->channels; c++)
        for (int64_t k = 0; k < volume; k++, to += (size_t)n * size) {
            int64_t tap[WINDOW_AXES] = {k / (kernel[1] * kernel[2]), k / kernel[2] % kernel[1],
                                        k % kernel[2]};
            gather_row(image, size, (const char *)data + (size_t)(c * plane) * size, tap, first, n, fill, to);
        }
}

#define ADD_ROW(T)                                                                \
    do {                                                                          \
        T *t = (T *)data + plane_at;                                              \
        const T *f = (const T *)columns + column_at;                              \
        for (int64_t i = r.from; i < r.to; i++) t[(i - r.from) * stride] += f[i]; \
    } while (0)

static void scatter_row(const struct image *image, enum lane lane, const void *columns, int64_t column_at,
                        const int64_t *tap, int64_t first, int64_t n, void *data, int64_t plane)
{
    int64_t width = image->out[2], stride = image->window.stride[2];
    while (n > 0) {
        int64_t x = first % width, m = width - x < n ? width - x : n;
        int64_t line = line_of(image, first / width, tap[0], tap[1]);
        if (line >= 0) {
            struct run r = row_run(image, tap[2], x, m);
            int64_t plane_at = plane + line * image->in[2] + r.at;
            if (lane == LANE_F32)
                ADD_ROW(float);
            else if (lane == LANE_F64)
                ADD_ROW(double);
            else
                ADD_ROW(uint64_t);
        }
        column_at += m;
        first += m;
        n -= m;
    }
}

void col2im(const struct image *image, enum lane lane, const void *columns, int64_t first, int64_t n,
            void *data)
{
    const int64_t *kernel = image->window.kernel;
    int64_t plane = window_volume(image->in), volume = window_volume(kernel);
    for (int64_t c = 0; c < image->channels; c++)
        for (int64_t k = 0; k < volume; k++) {
            int64_t tap[WINDOW_AXES] = {k / (kernel[1] * kernel[2]), k / kernel[2] % kernel[1],
                                        k % kernel[2]};
            scatter_row(image, lane, columns, (c * volume + k) * n, tap, first, n, data, c * plane);
        }
}
