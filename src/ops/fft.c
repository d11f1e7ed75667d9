#include "ops/fft.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

static struct complex64 mul(struct complex64 a, struct complex64 b)
{
    return (struct complex64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static struct complex64 conjugate(struct complex64 a)
{
    return (struct complex64){a.re, -a.im};
}

/* exp(-i pi k / n) for 0 <= k < 2 n. */
static struct complex64 root(size_t k, size_t n)
{
    double angle = PI * (double)k / (double)n;
    return (struct complex64){cos(angle), -sin(angle)};
}

/* Forward transform of a power of two's length, in place. */
static void radix_2(struct complex64 *x, size_t m, const struct complex64 *roots)
{
    for (size_t i = 1, j = 0; i < m; i++) {
        size_t bit = m >> 1;
        for (; (j & bit) != 0; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            struct complex64 t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
    for (size_t half = 1; half < m; half *= 2)
        for (size_t i = 0; i < m; i += 2 * half)
            for (size_t k = 0; k < half; k++) {
                struct complex64 a = x[i + k], b = mul(x[i + k + half], roots[k * (m / 2 / half)]);
                x[i + k] = (struct complex64){a.re + b.re, a.im + b.im};
                x[i + k + half] = (struct complex64){a.re - b.re, a.im - b.im};
            }
}

/* Bluestein: with jk = (j^2 + k^2 - (j - k)^2) / 2 the transform is a convolution with a chirp. */
static bool make_chirp(struct fft *fft, struct arena *arena)
{
    size_t n = fft->n, m = fft->m;
    fft->chirp = arena_alloc_array(arena, n, sizeof *fft->chirp);
    fft->chirp_transform = arena_alloc_array(arena, m, sizeof *fft->chirp_transform);
    if (fft->chirp == NULL || fft->chirp_transform == NULL) return false;
    for (size_t k = 0, square = 0; k < n; k++) {
        fft->chirp[k] = root(square, n); /* square = k^2 mod 2 n */
        square = (square + 2 * k + 1) % (2 * n);
    }
    for (size_t k = 0; k < n; k++) {
        fft->chirp_transform[k] = conjugate(fft->chirp[k]);
        if (k > 0) fft->chirp_transform[m - k] = conjugate(fft->chirp[k]);
    }
    radix_2(fft->chirp_transform, m, fft->roots);
    return true;
}

struct fft *fft_create(struct arena *arena, size_t n, bool inverse)
{
    if (n == 0 || n > (size_t)1 << 40) return NULL;
    struct fft *fft = arena_alloc_zeroed(arena, sizeof *fft);
    if (fft == NULL) return NULL;
    bool power = (n & (n - 1)) == 0;
    *fft = (struct fft){.n = n, .m = power ? n : 1, .inverse = inverse};
    while (!power && fft->m < 2 * n - 1) fft->m *= 2;
    fft->roots = arena_alloc_array(arena, fft->m / 2 + 1, sizeof *fft->roots);
    if (fft->roots == NULL) return NULL;
    for (size_t k = 0; k < fft->m / 2; k++) fft->roots[k] = root(2 * k, fft->m);
    return power || make_chirp(fft, arena) ? fft : NULL;
}

/* The inverse transform is the forward one between two conjugations. */
static void conjugate_all(struct complex64 *x, size_t n, double scale)
{
    for (size_t i = 0; i < n; i++) x[i] = (struct complex64){x[i].re * scale, -x[i].im * scale};
}

void fft_run(const struct fft *fft, struct complex64 *data, void *scratch)
{
    size_t n = fft->n, m = fft->m;
    if (fft->inverse) conjugate_all(data, n, 1);
    if (fft->chirp == NULL) {
        radix_2(data, n, fft->roots);
    } else {
        struct complex64 *x = scratch;
        for (size_t k = 0; k < n; k++) x[k] = mul(data[k], fft->chirp[k]);
        memset(x + n, 0, (m - n) * sizeof *x);
        radix_2(x, m, fft->roots);
        for (size_t k = 0; k < m; k++) x[k] = conjugate(mul(x[k], fft->chirp_transform[k]));
        radix_2(x, m, fft->roots);
        for (size_t k = 0; k < n; k++) {
            struct complex64 y = {x[k].re / (double)m, -x[k].im / (double)m};
            data[k] = mul(y, fft->chirp[k]);
        }
    }
    if (fft->inverse) conjugate_all(data, n, 1 / (double)n);
}
