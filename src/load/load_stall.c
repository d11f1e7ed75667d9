#include "load/load_stall.h"

#include <math.h>

double load_stall_quantile(const struct load_stall *s, double q)
{
    return fmax(0, s->stall_s - (1 - q) * s->run_s * (1 - s->rate / s->drain_rate));
}
