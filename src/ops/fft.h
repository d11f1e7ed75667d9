/* ops/fft.h - discrete Fourier transforms of any length, in double.
 *
 * Powers of two by the iterative radix-2 form (Cooley and Tukey 1965); other lengths as a convolution of
 * a power of two's length (Bluestein 1970). Tables lie in the arena; a transform allocates nothing.
 *
 * Threads: a plan is read only; scratch belongs to the caller. */
#ifndef OPS_FFT_H
#define OPS_FFT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct complex64 {
    double re, im;
};

struct fft {
    size_t n;                          /* length */
    size_t m;                          /* power of two that is worked in: n itself, or at least 2 n - 1 */
    bool inverse;                      /* exp(+...) and divided by n */
    struct complex64 *roots;           /* [m / 2] of the forward transform of length m */
    struct complex64 *chirp;           /* [n] NULL when n is a power of two */
    struct complex64 *chirp_transform; /* [m] */
};

/* NULL when the arena is full or n is 0 or beyond 2^40. */
struct fft *fft_create(struct arena *arena, size_t n, bool inverse);

/* Scratch for fft_run. */
static inline size_t fft_scratch_bytes(const struct fft *fft)
{
    return fft->chirp == NULL ? 0 : fft->m * sizeof(struct complex64);
}

/* data: [n] in place. */
void fft_run(const struct fft *fft, struct complex64 *data, void *scratch);

#endif
