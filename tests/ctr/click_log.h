/* click_log.h - a small simulated log for tests of training: three fields, one of them multi-valued, and
 * two numbers, with an interaction that no linear model sees. */
#ifndef CLICK_LOG_H
#define CLICK_LOG_H

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "ctr/ctr_shape.h"
#include "ctr/encoded_rows.h"

static const struct ctr_field LOG_FIELDS[] = {
    {.name = "site", .first_column = 0, .n_slots = 1, .n_ids = 30, .padding_id = FEATURE_NO_ID},
    {.name = "hour", .first_column = 1, .n_slots = 1, .n_ids = 8, .padding_id = FEATURE_NO_ID},
    {.name = "tags", .first_column = 2, .n_slots = 2, .n_ids = 12, .padding_id = 1},
};
enum { LOG_FIELDS_N = 3, LOG_DENSE = 2, LOG_COLUMNS = 6, LOG_STRIDE = 8 };

/* records: [n, LOG_STRIDE]; base: log-odds of the click rate. Returns the share of clicks. */
static inline double click_log(float *records, uint32_t n, double base, uint64_t seed)
{
    struct rng world = rng_seed(77), rng = rng_seed(seed);
    double site[30], hour[8], tag[12], pair[30][8], clicks = 0;
    for (int i = 0; i < 30; i++) site[i] = 0.7 * rng_normal(&world);
    for (int i = 0; i < 8; i++) hour[i] = 0.5 * rng_normal(&world);
    for (int i = 0; i < 12; i++) tag[i] = 0.7 * rng_normal(&world);
    for (int i = 0; i < 30; i++)
        for (int j = 0; j < 8; j++) pair[i][j] = (i % 2 == j % 2 ? 0.9 : -0.9);
    for (uint32_t i = 0; i < n; i++, records += LOG_STRIDE) {
        uint32_t s = (uint32_t)(rng_f64(&rng) * rng_f64(&rng) * 30), h = (uint32_t)rng_below(&rng, 8);
        uint32_t t = (uint32_t)(2 + rng_below(&rng, 10)), u = (uint32_t)(1 + rng_below(&rng, 11));
        float a = (float)rng_normal(&rng), b = rng_f32(&rng);
        double z = base + site[s] + hour[h] + pair[s][h] + (u == 1 ? tag[t] : (tag[t] + tag[u]) / 2) +
                   0.8 * fabs((double)a) - 0.5 * (double)b;
        float row[LOG_STRIDE] = {(float)s, (float)h, (float)t, (float)u, a, b, 0, 1};
        row[LOG_COLUMNS] = rng_f64(&rng) < 1 / (1 + exp(-z));
        clicks += (double)row[LOG_COLUMNS];
        memcpy(records, row, sizeof row);
    }
    return clicks / n;
}

#endif
