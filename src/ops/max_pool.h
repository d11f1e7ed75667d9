/* ops/max_pool.h - MaxPool of float planes without indices: rows first, then along the row.
 *
 * The maximum over a window is the maximum along the row of maxima over its rows: the latter are taken for
 * whole rows by the kernels. NaN wins, as everywhere in ONNX.
 * Threads: a function of its arguments. */
#ifndef OPS_MAX_POOL_H
#define OPS_MAX_POOL_H

#include "ops/window.h"

/* x: a plane of in[0] * in[1] * in[2]; y: out[0] * out[1] * out[2]; scratch: [in[2]]. A window that lies in
 * the padding alone gives -infinity. */
void max_pool_plane(const struct window *w, const int64_t *in, const int64_t *out, const float *x, float *y,
                    float *scratch);

#endif
