/* kernels/reduce/softmax_row.h - one row's softmax, for f32_softmax and attention.
 *
 * Included after simd_math.h. The row is scale * x + mask (mask may be NULL); y may be x. */
#ifndef KERNELS_SOFTMAX_ROW_H
#define KERNELS_SOFTMAX_ROW_H

SIMD_INLINE vf softmax_input(const float *x, const float *mask, vf scale, size_t j)
{
    vf v = vf_mul(scale, vf_load(x + j));
    return mask != NULL ? vf_add(v, vf_load(mask + j)) : v;
}

/* Lanes past the end are -infinity, whose exponential is 0 (or NaN in a row that is NaN anyway). */
SIMD_INLINE vf softmax_input_t(const float *x, const float *mask, vf scale, size_t j, vt tail)
{
    vf v = vf_mul(scale, vf_load_t(x + j, tail));
    if (mask != NULL) v = vf_add(v, vf_load_t(mask + j, tail));
    return vf_keep(v, tail, vf_set1(-__builtin_inff()));
}

/* One vector holds the row: the common case of small models. */
SIMD_INLINE void softmax_row_short(float *y, const float *x, const float *mask, vf scale, vt tail)
{
    vf v = softmax_input_t(x, mask, scale, 0, tail);
    vf e = vf_exp(vf_sub(v, vf_set1(vf_hmax(v))));
    vf_store_t(y, tail, vf_div(e, vf_set1(vf_hsum(e))));
}

SIMD_INLINE void softmax_row(float *y, const float *x, const float *mask, float scale_, size_t cols)
{
    vf scale = vf_set1(scale_), most = vf_set1(-__builtin_inff()), sum = vf_zero();
    size_t whole = cols / VF_LANES * VF_LANES;
    vt tail = vt_first(cols - whole);
    for (size_t j = 0; j < whole; j += VF_LANES) most = vf_max_nan(most, softmax_input(x, mask, scale, j));
    if (whole < cols) most = vf_max_nan(most, softmax_input_t(x, mask, scale, whole, tail));
    vf shift = vf_set1(vf_hmax(most));
    for (size_t j = 0; j < whole; j += VF_LANES) {
        vf e = vf_exp(vf_sub(softmax_input(x, mask, scale, j), shift));
        sum = vf_add(sum, e);
        vf_store(y + j, e);
    }
    if (whole < cols) {
        vf e = vf_exp(vf_sub(softmax_input_t(x, mask, scale, whole, tail), shift));
        sum = vf_add(sum, e);
        vf_store_t(y + whole, tail, e);
    }
    vf factor = vf_set1(1.0f / vf_hsum(sum));
    for (size_t j = 0; j < whole; j += VF_LANES) vf_store(y + j, vf_mul(factor, vf_load(y + j)));
    if (whole < cols) vf_store_t(y + whole, tail, vf_mul(factor, vf_load_t(y + whole, tail)));
}

#endif
