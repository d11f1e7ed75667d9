/* kernels/reduce/f32_normalize_body.h - softmax, log-softmax and layer normalisation for one instruction set.
 */
#include "kernels/reduce/reduce_kernels.h"
#include "kernels/simd/simd_math.h"
#include "kernels/reduce/softmax_row.h"

void ISA(f32_softmax)(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols)
{
    if (cols == 0) return;
    if (cols <= VF_LANES) {
        vt tail = vt_first(cols);
        for (; rows > 0; rows--, x += ldx, y += ldy) softmax_row_short(y, x, NULL, vf_set1(1.0f), tail);
        return;
    }
    for (; rows > 0; rows--, x += ldx, y += ldy) softmax_row(y, x, NULL, 1.0f, cols);
}

/* Applies body to each vector v of x[0..cols), the absent lanes of the last being `fill`. */
#define EACH(x, cols, fill, body)                                                       \
    for (size_t j = 0; j < (cols); j += VF_LANES) {                                     \
        vt tail = vt_first((cols)-j);                                                   \
        int full = (cols)-j >= VF_LANES;                                                \
        vf v = full ? vf_load((x) + j) : vf_keep(vf_load_t((x) + j, tail), tail, fill); \
        body                                                                            \
    }
#define PUT(y, value)                           \
    do {                                        \
        if (full)                               \
            vf_store((y) + j, (value));         \
        else                                    \
            vf_store_t((y) + j, tail, (value)); \
    } while (0)

void ISA(f32_log_softmax)(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols)
{
    vf lowest = vf_set1(-__builtin_inff());
    for (; rows > 0; rows--, x += ldx, y += ldy) {
        vf most = lowest, sum = vf_zero();
        EACH(x, cols, lowest, most = vf_max_nan(most, v);)
        vf shift = vf_set1(vf_hmax(most));
        EACH(x, cols, lowest, sum = vf_add(sum, vf_exp(vf_sub(v, shift)));)
        vf log_sum = vf_log(vf_set1(vf_hsum(sum)));
        EACH(x, cols, lowest, PUT(y, vf_sub(vf_sub(v, shift), log_sum));)
    }
}

void ISA(f32_layer_norm)(float *y, size_t ldy, const float *x, size_t ldx, const float *scale,
                         const float *bias, float epsilon, size_t rows, size_t cols)
{
    float share = 1.0f / (float)cols;
    for (; rows > 0; rows--, x += ldx, y += ldy) {
        vf sum = vf_zero(), squares = vf_zero();
        EACH(x, cols, vf_zero(), sum = vf_add(sum, v);)
        vf mean = vf_set1(vf_hsum(sum) * share);
        EACH(x, cols, mean, vf d = vf_sub(v, mean); squares = vf_fma(d, d, squares);)
        float variance = vf_hsum(squares) * share;
        vf factor = vf_div(vf_set1(1.0f), vf_sqrt(vf_set1(variance + epsilon)));
        EACH(x, cols, mean, {
            vf n = vf_mul(vf_sub(v, mean), factor);
            if (scale != NULL) n = vf_mul(n, full ? vf_load(scale + j) : vf_load_t(scale + j, tail));
            if (bias != NULL) n = vf_add(n, full ? vf_load(bias + j) : vf_load_t(bias + j, tail));
            PUT(y, n);
        })
    }
}
