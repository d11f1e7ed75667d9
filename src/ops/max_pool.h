/* ops/max_pool.h - MaxPool of float planes without indices: one axis of the window after the other.
 *
 * The maximum over a window is the maximum along one axis of maxima along the others. Small windows without
 * padding are taken for the whole plane at once, as one long row; others row by row. NaN wins, as everywhere
 * in ONNX.
 * Threads: a function of its arguments. */
#ifndef OPS_MAX_POOL_H
#define OPS_MAX_POOL_H

#include "ops/window.h"

enum { MAX_POOL_SCRATCH = 2 };

/* x: a plane of in[0] * in[1] * in[2]; y: out[0] * out[1] * out[2]; scratch: [MAX_POOL_SCRATCH planes]. A
 * window that lies in the padding alone gives -infinity. */
void max_pool_plane(const struct window *w, const int64_t *in, const int64_t *out, const float *x, float *y,
                    float *scratch);

#endif
