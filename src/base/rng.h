/* base/rng.h - seeded random numbers, the same on every machine.
 *
 * Generator: xoshiro256** (Blackman and Vigna 2018), seeded by SplitMix64. A stream of its own for each
 * worker, genome or match comes from rng_fork, which makes parallel results independent of the order
 * of execution.
 *
 * Threads: one at a time for each struct rng. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

struct rng rng_seed(uint64_t seed);

/* An independent stream that depends on the state of *rng and on `stream`; *rng does not move. */
struct rng rng_fork(const struct rng *rng, uint64_t stream);

static inline uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t x = s[1] * 5, result = ((x << 7) | (x >> 57)) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* Uniform in [0, 1), 53 and 24 random bits. */
static inline double rng_f64(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1p-53;
}
static inline float rng_f32(struct rng *rng)
{
    return (float)(rng_u64(rng) >> 40) * 0x1p-24f;
}

/* Uniform in [0, n), n > 0, without bias (Lemire 2019). */
uint64_t rng_below(struct rng *rng, uint64_t n);

/* Standard normal (polar method). */
double rng_normal(struct rng *rng);

#endif
