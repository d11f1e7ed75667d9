/* kernels/convert/convert_f16_body.h - f16 where the CPU converts VF_LANES at a time.
 *
 * The including file defines vf f16_load(const uint16_t *) and void f16_store(uint16_t *, vf). Tails go
 * through a buffer of one vector. */
void ISA(f32_to_f16)(uint16_t *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) f16_store(y + i, vf_load(x + i));
    if (i == n) return;
    uint16_t last[VF_LANES];
    f16_store(last, vf_load_t(x + i, vt_first(n - i)));
    __builtin_memcpy(y + i, last, (n - i) * sizeof *y);
}

void ISA(f32_from_f16)(float *y, const uint16_t *x, size_t n)
{
    size_t i = 0;
    for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, f16_load(x + i));
    if (i == n) return;
    uint16_t last[VF_LANES] = {0};
    __builtin_memcpy(last, x + i, (n - i) * sizeof *x);
    vf_store_t(y + i, vt_first(n - i), f16_load(last));
}
