/* ops/conv_flat.h - convolutions with strides of 1 over an image that is read as one long row.
 *
 * In an image with its padding in place, the element that tap (k0, k1, k2) shows to position p lies a fixed
 * distance behind p, whatever p is: so a row of the matrix of windows is a piece of the image itself, and
 * gathering it is one copy. Positions are then counted in the padded image; those that would begin a window
 * over the edge of a row are computed as well and left out of the result.
 *
 * Elements are of 4 bytes, whatever they mean. Threads: functions of their arguments alone. */
#ifndef OPS_CONV_FLAT_H
#define OPS_CONV_FLAT_H

#include "ops/conv.h"

struct conv_flat {
    int64_t size[WINDOW_AXES]; /* of a channel with its padding */
    int64_t n;                 /* positions, those to be left out included */
    int64_t columns;           /* multiplied at a time */
    int64_t padded;            /* elements of a padded copy of one group's channels; 0: the image will do */
};

/* False where strides forbid it or too many positions would be left out. */
bool conv_flat_plan(const struct conv_shape *conv, struct conv_flat *ret);

/* Copies a group's channels into `to`, [flat->padded], with `fill` all around. */
void conv_flat_pad(const struct conv_shape *conv, const struct conv_flat *flat, const void *x, uint32_t fill,
                   void *to);

/* columns: [k, n] for positions first..first+n-1 of the image (padded, if it has to be). */
void conv_flat_columns(const struct conv_shape *conv, const struct conv_flat *flat, const void *image,
                       int64_t first, int64_t n, void *columns);

/* from: [maps, n] for positions first..first+n-1; to: [maps, conv->positions]. */
void conv_flat_store(const struct conv_shape *conv, const struct conv_flat *flat, const void *from,
                     int64_t first, int64_t n, void *to);

#endif
