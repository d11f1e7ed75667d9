/* ops/im2col.h - windows of an image as columns of a matrix, and back.
 *
 * The matrix is [channels * kernel volume, positions]: column p holds what the window at output position p
 * sees. Both work on a range of positions, so that the matrix can stay small.
 * Threads: functions of their arguments alone. */
#ifndef OPS_IM2COL_H
#define OPS_IM2COL_H

#include "ops/elements.h"
#include "ops/window.h"

struct image {
    struct window window; /* pads exact */
    int64_t channels;
    int64_t in[WINDOW_AXES], out[WINDOW_AXES]; /* spatial sizes of the image and of the positions */
};

/* columns: [channels * volume, n] of elements of `size` bytes (1, 4 or 8) for positions first..first+n-1;
 * what lies in padding is `fill` (size bytes). */
void im2col(const struct image *image, size_t size, const void *data, int64_t first, int64_t n,
            const void *fill, void *columns);

/* Adds columns [channels * volume, n] to the image where they came from. LANE_F32, LANE_F64 or LANE_I64. */
void col2im(const struct image *image, enum lane lane, const void *columns, int64_t first, int64_t n,
            void *data);

#endif
