#include "sim/ad_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "base/rng.h"

enum {
    SLOTS_OF_DOMAIN = 3,
    TAG_DIMS = 3,    /* of the hidden vectors of tag x creative */
    DOMAIN_DIMS = 2, /* of domain x creative */
    TAG_GROUPS = 5,
    CREATIVE_GROUPS = 5,
    DAY_PARTS = 4,
    ADVERTISERS = 25,
    SAMPLE_ROWS = 1 << 18 /* the intercept is solved on */
};

#define PRICE_RANGE 5.707110264748875 /* log(1 + 300), of the largest price */

/* Streams of the log's generator; each table has its own, rows have theirs. */
enum stream {
    STREAM_ROWS,
    STREAM_PLACES,
    STREAM_INVENTORY,
    STREAM_ADS,
    STREAM_EFFECTS,
    STREAM_PAIRS,
    STREAM_TRIPLES,
    STREAM_NAMES,
    STREAM_SAMPLE
};

struct alias { /* draws i with a given weight in constant time (Walker 1977, Vose 1991) */
    uint32_t n;
    double *keep;
    uint32_t *other;
    double *share; /* the normalised weights */
};

struct slot {
    uint32_t format, width, height;
    double visibility; /* its mean, 0..1 */
};

struct ad_log {
    struct ad_log_options options;
    struct rng rows;
    uint64_t name_seed;
    double intercept;
    struct alias weekday, hour, city, exchange, domain, creative, tag;

    uint32_t region_of_city[AD_CITIES];
    uint32_t slots_of_domain[AD_DOMAINS][SLOTS_OF_DOMAIN];
    uint32_t topic_tag[AD_DOMAINS];
    float floor_price[AD_DOMAINS]; /* logarithm, 0..1 of the range */
    struct slot slots[AD_SLOTS];
    double slot_share[AD_SLOTS]; /* of all rows */
    uint32_t local_creative[AD_REGIONS];
    double advertiser_quality[AD_CREATIVES];

    double by_weekday[AD_WEEKDAYS], by_hour[AD_HOURS], by_region[AD_REGIONS], by_city[AD_CITIES];
    double by_exchange[AD_EXCHANGES], by_domain[AD_DOMAINS], by_slot[AD_SLOTS], by_format[AD_FORMATS];
    double by_creative[AD_CREATIVES], by_tag[AD_TAGS];
    double weekday_hour[AD_WEEKDAYS][AD_HOURS], region_exchange[AD_REGIONS][AD_EXCHANGES];
    double tag_vector[AD_TAGS][TAG_DIMS], creative_for_tag[AD_CREATIVES][TAG_DIMS];
    double domain_vector[AD_DOMAINS][DOMAIN_DIMS], creative_for_domain[AD_CREATIVES][DOMAIN_DIMS];
    double visibility_of_format[AD_FORMATS], price_of_format[AD_FORMATS];
    uint32_t tag_group[AD_TAGS], creative_group[AD_CREATIVES];
    double group_effect[TAG_GROUPS][CREATIVE_GROUPS][DAY_PARTS];
};

/* ---- drawing ------------------------------------------------------------------------------------- */

static void alias_done(struct alias *a)
{
    free(a->keep);
    free(a->other);
    free(a->share);
}

static bool alias_init(struct alias *a, const double *weights, uint32_t n)
{
    uint32_t *queue = calloc(n, sizeof *queue); /* poor ones from the front, rich ones from the back */
    *a = (struct alias){n, calloc(n, sizeof(double)), calloc(n, sizeof(uint32_t)), calloc(n, sizeof(double))};
    if (queue == NULL || a->keep == NULL || a->other == NULL || a->share == NULL) {
        free(queue);
        return false;
    }
    double sum = 0;
    uint32_t n_poor = 0, n_rich = 0;
    for (uint32_t i = 0; i < n; i++) sum += weights[i];
    for (uint32_t i = 0; i < n; i++) {
        a->share[i] = weights[i] / sum;
        a->keep[i] = a->share[i] * n;
        if (a->keep[i] < 1)
            queue[n_poor++] = i;
        else
            queue[n - ++n_rich] = i;
    }
    while (n_poor > 0 && n_rich > 0) {
        uint32_t poor = queue[--n_poor], rich = queue[n - n_rich];
        a->other[poor] = rich;
        a->keep[rich] -= 1 - a->keep[poor];
        if (a->keep[rich] < 1) {
            n_rich--;
            queue[n_poor++] = rich;
        }
    }
    while (n_rich > 0) a->keep[queue[n - n_rich--]] = 1;
    while (n_poor > 0) a->keep[queue[--n_poor]] = 1;
    free(queue);
    return true;
}

static inline uint32_t alias_draw(const struct alias *a, struct rng *rng)
{
    uint64_t bits = rng_u64(rng);
    uint32_t i = (uint32_t)((bits >> 32) * a->n >> 32);
    return (double)(uint32_t)bits * 0x1p-32 < a->keep[i] ? i : a->other[i];
}

static bool zipf_init(struct alias *a, uint32_t n, double exponent)
{
    double *weights = calloc(n, sizeof *weights);
    if (weights == NULL) return false;
    for (uint32_t i = 0; i < n; i++) weights[i] = pow(i + 1.0, -exponent);
    bool done = alias_init(a, weights, n);
    free(weights);
    return done;
}

static double clamp01(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* ---- the world ----------------------------------------------------------------------------------- */

static bool make_frequencies(struct ad_log *log)
{
    static const double weekdays[AD_WEEKDAYS] = {1.0, 1.02, 1.01, 1.03, 1.1, 0.9, 0.85};
    double hours[AD_HOURS];
    for (int h = 0; h < AD_HOURS; h++) hours[h] = 1.1 - cos((h - 3) * (2 * M_PI / 24)) + 0.15 * (h > 18);
    return alias_init(&log->weekday, weekdays, AD_WEEKDAYS) && alias_init(&log->hour, hours, AD_HOURS) &&
           zipf_init(&log->city, AD_CITIES, 0.9) && zipf_init(&log->exchange, AD_EXCHANGES, 0.8) &&
           zipf_init(&log->domain, AD_DOMAINS, 1.0) && zipf_init(&log->creative, AD_CREATIVES, 0.8) &&
           zipf_init(&log->tag, AD_TAGS, 0.7);
}

static void make_places(struct ad_log *log, struct rng *rng)
{
    for (uint32_t c = 0; c < AD_CITIES; c++) /* each region has its capital */
        log->region_of_city[c] = c < AD_REGIONS ? c : (uint32_t)rng_below(rng, AD_REGIONS);
}

static void make_inventory(struct ad_log *log, struct rng *rng)
{
    static const uint32_t sizes[][2] = {{300, 250}, {728, 90},  {336, 280}, {160, 600}, {950, 90},
                                        {1000, 90}, {250, 250}, {468, 60},  {320, 50},  {970, 250}};
    for (uint32_t s = 0; s < AD_SLOTS; s++) {
        const uint32_t *size = sizes[rng_below(rng, sizeof sizes / sizeof *sizes)];
        log->slots[s] = (struct slot){(uint32_t)rng_below(rng, AD_FORMATS), size[0], size[1], rng_f64(rng)};
    }
    for (uint32_t d = 0; d < AD_DOMAINS; d++) {
        for (int k = 0; k < SLOTS_OF_DOMAIN; k++)
            log->slots_of_domain[d][k] = (uint32_t)rng_below(rng, AD_SLOTS);
        log->topic_tag[d] = (uint32_t)rng_below(rng, AD_TAGS);
        log->floor_price[d] = (float)(0.2 + 0.4 * rng_f64(rng));
    }
}

static void make_ads(struct ad_log *log, struct rng *rng)
{
    double quality[ADVERTISERS];
    for (int a = 0; a < ADVERTISERS; a++) quality[a] = 0.1 + 0.8 * rng_f64(rng);
    for (uint32_t c = 0; c < AD_CREATIVES; c++) {
        log->advertiser_quality[c] = quality[rng_below(rng, ADVERTISERS)];
        log->creative_group[c] = (uint32_t)rng_below(rng, CREATIVE_GROUPS);
    }
    for (uint32_t r = 0; r < AD_REGIONS; r++) log->local_creative[r] = (uint32_t)rng_below(rng, AD_CREATIVES);
    for (uint32_t t = 0; t < AD_TAGS; t++) log->tag_group[t] = (uint32_t)rng_below(rng, TAG_GROUPS);
}

/* How much of an effect a value with this share of the rows may have: the share of its variance that 5
 * million rows with 1 % clicks can tell. */
static double learnable(double share)
{
    double n_clicks = share * 5e6 * 0.01;
    return sqrt(n_clicks / (n_clicks + 30));
}

static void draw_effects(double *effects, uint32_t n, const double *shares, double deviation, struct rng *rng)
{
    for (uint32_t i = 0; i < n; i++)
        effects[i] = deviation * rng_normal(rng) * (shares != NULL ? learnable(shares[i]) : 1);
}

static double slot_weight(int k)
{
    static const double weights[SLOTS_OF_DOMAIN] = {0.6, 0.3, 0.1};
    return weights[k];
}

static void make_effects(struct ad_log *log, struct rng *rng)
{
    for (uint32_t d = 0; d < AD_DOMAINS; d++)
        for (int k = 0; k < SLOTS_OF_DOMAIN; k++)
            log->slot_share[log->slots_of_domain[d][k]] += log->domain.share[d] * slot_weight(k);
    draw_effects(log->by_weekday, AD_WEEKDAYS, NULL, 0.1, rng);
    double phase = rng_f64(rng) * 24;
    for (int h = 0; h < AD_HOURS; h++)
        log->by_hour[h] = 0.25 * sin((h - phase) * (2 * M_PI / 24)) + 0.08 * rng_normal(rng);
    draw_effects(log->by_region, AD_REGIONS, NULL, 0.15, rng);
    draw_effects(log->by_city, AD_CITIES, log->city.share, 0.2, rng);
    draw_effects(log->by_exchange, AD_EXCHANGES, NULL, 0.2, rng);
    draw_effects(log->by_domain, AD_DOMAINS, log->domain.share, 0.55, rng);
    draw_effects(log->by_slot, AD_SLOTS, log->slot_share, 0.4, rng);
    draw_effects(log->by_format, AD_FORMATS, NULL, 0.25, rng);
    draw_effects(log->by_creative, AD_CREATIVES, log->creative.share, 0.5, rng);
    draw_effects(log->by_tag, AD_TAGS, log->tag.share, 0.4, rng);
}

static void make_pairs(struct ad_log *log, struct rng *rng)
{
    double tag = sqrt(0.5 / sqrt(TAG_DIMS)), domain = sqrt(0.35 / sqrt(DOMAIN_DIMS));
    draw_effects(&log->weekday_hour[0][0], AD_WEEKDAYS * AD_HOURS, NULL, 0.12, rng);
    draw_effects(&log->region_exchange[0][0], AD_REGIONS * AD_EXCHANGES, NULL, 0.15, rng);
    draw_effects(&log->tag_vector[0][0], AD_TAGS * TAG_DIMS, NULL, tag, rng);
    draw_effects(&log->creative_for_tag[0][0], AD_CREATIVES * TAG_DIMS, NULL, tag, rng);
    draw_effects(&log->creative_for_domain[0][0], AD_CREATIVES * DOMAIN_DIMS, NULL, domain, rng);
    for (uint32_t d = 0; d < AD_DOMAINS; d++)
        for (int k = 0; k < DOMAIN_DIMS; k++)
            log->domain_vector[d][k] = domain * learnable(log->domain.share[d] / 4) * rng_normal(rng);
    draw_effects(log->visibility_of_format, AD_FORMATS, NULL, 0.6, rng);
}

static void make_triples(struct ad_log *log, struct rng *rng)
{
    draw_effects(&log->group_effect[0][0][0], TAG_GROUPS * CREATIVE_GROUPS * DAY_PARTS, NULL, 0.35, rng);
    draw_effects(log->price_of_format, AD_FORMATS, NULL, 2, rng);
}

/* ---- a row --------------------------------------------------------------------------------------- */

static void draw_tags(const struct ad_log *log, struct ad_row *row, struct rng *rng)
{
    row->n_tags = log->options.max_tags == 1 ? 1 : 1 + (uint32_t)rng_below(rng, log->options.max_tags);
    for (uint32_t i = 0; i < row->n_tags; i++)
        row->tags[i] = rng_f64(rng) < 0.3 ? log->topic_tag[row->domain] : alias_draw(&log->tag, rng);
}

static void draw_fields(const struct ad_log *log, struct ad_row *row, struct rng *rng)
{
    row->weekday = alias_draw(&log->weekday, rng);
    row->hour = alias_draw(&log->hour, rng);
    row->city = alias_draw(&log->city, rng);
    row->region = log->region_of_city[row->city];
    row->exchange = alias_draw(&log->exchange, rng);
    row->domain = alias_draw(&log->domain, rng);
    double which = rng_f64(rng);
    int k = which < slot_weight(0) ? 0 : which < slot_weight(0) + slot_weight(1) ? 1 : 2;
    row->slot = log->slots_of_domain[row->domain][k];
    const struct slot *slot = &log->slots[row->slot];
    row->format = slot->format;
    row->width = slot->width;
    row->height = slot->height;
    row->creative = rng_f64(rng) < 0.15 ? log->local_creative[row->region] : alias_draw(&log->creative, rng);
    draw_tags(log, row, rng);
    row->visibility = (uint32_t)(100 * clamp01(slot->visibility + 0.3 * (rng_f64(rng) - 0.5)) + 0.5);
    double price = clamp01((double)log->floor_price[row->domain] + 0.4 * (rng_f64(rng) + rng_f64(rng) - 0.8));
    row->price = (uint32_t)(expm1(price * PRICE_RANGE) * 100 + 0.5);
    double quality = clamp01(log->advertiser_quality[row->creative] + 0.08 * (rng_f64(rng) - 0.5));
    row->advertiser = (uint32_t)(999 * quality + 0.5);
}

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double single_effects(const struct ad_log *log, const struct ad_row *row, double visibility,
                             double price)
{
    double area = log2((double)row->width * row->height / 75000), quality = row->advertiser / 999.0;
    return log->by_weekday[row->weekday] + log->by_hour[row->hour] + log->by_region[row->region] +
           log->by_city[row->city] + log->by_exchange[row->exchange] + log->by_domain[row->domain] +
           log->by_slot[row->slot] + log->by_format[row->format] + log->by_creative[row->creative] +
           0.9 * visibility - 3 * price * price + 0.9 * (quality - 0.5) + 0.15 * area;
}

/* Of the row's tags, the mean effect. */
static double tag_effects(const struct ad_log *log, const struct ad_row *row)
{
    double sum = 0;
    for (uint32_t i = 0; i < row->n_tags; i++) {
        uint32_t tag = row->tags[i], group = log->creative_group[row->creative];
        sum += log->by_tag[tag] + dot(log->tag_vector[tag], log->creative_for_tag[row->creative], TAG_DIMS) +
               log->group_effect[log->tag_group[tag]][group][row->hour * DAY_PARTS / AD_HOURS];
    }
    return sum / row->n_tags;
}

/* Everything but the intercept. */
static double logit_of(const struct ad_log *log, const struct ad_row *row)
{
    double visibility = row->visibility / 100.0 - 0.5;
    double price = log1p(row->price / 100.0) / PRICE_RANGE - 0.5; /* about the middle of its range */
    return single_effects(log, row, visibility, price) + tag_effects(log, row) +
           log->weekday_hour[row->weekday][row->hour] + log->region_exchange[row->region][row->exchange] +
           dot(log->domain_vector[row->domain], log->creative_for_domain[row->creative], DOMAIN_DIMS) +
           log->visibility_of_format[row->format] * visibility +
           log->price_of_format[row->format] * visibility * price;
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

void ad_log_row(const struct ad_log *log, uint64_t number, struct ad_row *ret)
{
    struct rng rng = rng_fork(&log->rows, number);
    draw_fields(log, ret, &rng);
    ret->probability = logistic(log->intercept + logit_of(log, ret));
    ret->click = rng_f64(&rng) < ret->probability;
}

/* ---- life ---------------------------------------------------------------------------------------- */

/* The intercept for which the mean probability of a sample of rows is the click rate, by halving: the mean
 * grows with the intercept. */
static onnxd_status solve_intercept(struct ad_log *log, struct rng sample, onnxd_error *err)
{
    float *logits = calloc(SAMPLE_ROWS, sizeof *logits);
    if (logits == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the simulated log");
    for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
        struct ad_row row;
        struct rng rng = rng_fork(&sample, i);
        draw_fields(log, &row, &rng);
        logits[i] = (float)logit_of(log, &row);
    }
    double low = -40, high = 40;
    for (int step = 0; step < 36; step++) {
        double middle = (low + high) / 2, sum = 0;
        for (uint32_t i = 0; i < SAMPLE_ROWS; i++) sum += logistic(middle + (double)logits[i]);
        if (sum / SAMPLE_ROWS < log->options.click_rate)
            low = middle;
        else
            high = middle;
    }
    log->intercept = (low + high) / 2;
    free(logits);
    return ONNXD_OK;
}

onnxd_status ad_log_create(const struct ad_log_options *options, struct ad_log **ret_log, onnxd_error *err)
{
    if (!(options->click_rate >= 1e-5 && options->click_rate <= 0.5))
        return error_set(err, ONNXD_ERR_RANGE, "the click rate must be 0.00001..0.5");
    if (options->max_tags < 1 || options->max_tags > AD_MAX_TAGS)
        return error_set(err, ONNXD_ERR_RANGE, "the tags of a row must be 1..%d", AD_MAX_TAGS);
    struct ad_log *log = calloc(1, sizeof *log);
    if (log == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the simulated log");
    struct rng root = rng_seed(options->seed);
    struct rng places = rng_fork(&root, STREAM_PLACES), inventory = rng_fork(&root, STREAM_INVENTORY);
    struct rng ads = rng_fork(&root, STREAM_ADS), effects = rng_fork(&root, STREAM_EFFECTS);
    struct rng pairs = rng_fork(&root, STREAM_PAIRS), triples = rng_fork(&root, STREAM_TRIPLES);
    struct rng names = rng_fork(&root, STREAM_NAMES);
    onnxd_status status = ONNXD_OK;
    log->options = *options;
    log->rows = rng_fork(&root, STREAM_ROWS);
    log->name_seed = rng_u64(&names);
    if (!make_frequencies(log)) {
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for the simulated log");
        goto out;
    }
    make_places(log, &places);
    make_inventory(log, &inventory);
    make_ads(log, &ads);
    make_effects(log, &effects);
    make_pairs(log, &pairs);
    make_triples(log, &triples);
    status = solve_intercept(log, rng_fork(&root, STREAM_SAMPLE), err);
out:
    if (status != ONNXD_OK)
        ad_log_free(log);
    else
        *ret_log = log;
    return status;
}

void ad_log_free(struct ad_log *log)
{
    if (log == NULL) return;
    struct alias *all[] = {&log->weekday, &log->hour,     &log->city, &log->exchange,
                           &log->domain,  &log->creative, &log->tag};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) alias_done(all[i]);
    free(log);
}

uint64_t ad_log_domain_name(const struct ad_log *log, uint32_t domain)
{
    return hash_bytes(&domain, sizeof domain, log->name_seed);
}

uint32_t ad_log_slot_name(const struct ad_log *log, uint32_t slot)
{
    return (uint32_t)hash_bytes(&slot, sizeof slot, log->name_seed + 1);
}
