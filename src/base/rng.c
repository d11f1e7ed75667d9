#include "base/rng.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct rng rng_seed(uint64_t seed)
{
    struct rng rng;
    for (int i = 0; i < 4; i++) rng.s[i] = splitmix64(&seed);
    return rng;
}

struct rng rng_fork(const struct rng *rng, uint64_t stream)
{
    uint64_t x = stream;
    uint64_t seed = rng->s[0] ^ splitmix64(&x);
    x ^= rng->s[2];
    return rng_seed(seed ^ splitmix64(&x) ^ (rng->s[3] << 1));
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    __uint128_t product = (__uint128_t)rng_u64(rng) * n;
    if ((uint64_t)product < n) {
        uint64_t threshold = -n % n;
        while ((uint64_t)product < threshold) product = (__uint128_t)rng_u64(rng) * n;
    }
    return (uint64_t)(product >> 64);
}

double rng_normal(struct rng *rng)
{
    for (;;) {
        double u = 2 * rng_f64(rng) - 1, v = 2 * rng_f64(rng) - 1, s = u * u + v * v;
        if (s > 0 && s < 1) return u * sqrt(-2 * log(s) / s);
    }
}
