/* sim/ad_log.h - a simulated real-time-bidding log of which the true click probabilities are known.
 *
 * A log is endless; row i is a pure function of the log's seed and of i, so rows may be drawn in any order
 * and by any thread. Fields and their cardinalities are those of real bidding logs: ten categories, drawn
 * from Zipf-like distributions and tied to each other as in reality (a city lies in its region, a slot in a
 * few domains, a slot has one size and format, an advertiser stands behind a creative), and five numbers.
 *
 * The click probability is the logistic function of
 *     intercept + effects of single fields + effects of pairs + effects of triples,
 * where the intercept is solved so that the mean probability is the asked click rate. Pairs are products of
 * hidden vectors (tag x creative, domain x creative, region x exchange) and tables (weekday x hour), triples
 * join a tag's group, a creative's group and the part of the day, or visibility, format and price. Effects of
 * values that few of 5 million rows hold are small, as what nobody can learn would only lower the best
 * possible figures.
 *
 * Threads: a log is immutable once created. */
#ifndef SIM_AD_LOG_H
#define SIM_AD_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "onnxd/status.h"

enum {
    AD_WEEKDAYS = 7,
    AD_HOURS = 24,
    AD_REGIONS = 35,
    AD_CITIES = 370,
    AD_EXCHANGES = 5,
    AD_DOMAINS = 20000,
    AD_SLOTS = 10000,
    AD_FORMATS = 4,
    AD_CREATIVES = 150,
    AD_TAGS = 70,
    AD_MAX_TAGS = 16 /* of one row */
};

struct ad_log_options {
    uint64_t seed;
    double click_rate; /* 1e-5..0.5 */
    uint32_t max_tags; /* user tags of a row: 1 to this many, 1..AD_MAX_TAGS */
};

struct ad_row { /* categories are numbers below the counts above */
    uint32_t weekday, hour, region, city, exchange, domain, slot, format, creative;
    uint32_t tags[AD_MAX_TAGS], n_tags;
    uint32_t width, height;     /* pixels */
    uint32_t visibility, price; /* hundredths: 0..100, 0..30000 */
    uint32_t advertiser;        /* quality in thousandths, 0..999 */
    bool click;
    double probability; /* of a click, exact for the values above */
};

struct ad_log;

/* ONNXD_ERR_RANGE (options), ONNXD_ERR_NOMEM. Takes some hundredths of a second: the intercept. */
ONNXD_MUST_USE onnxd_status ad_log_create(const struct ad_log_options *options, struct ad_log **ret_log,
                                          onnxd_error *err);
void ad_log_free(struct ad_log *log); /* takes NULL */

void ad_log_row(const struct ad_log *log, uint64_t number, struct ad_row *ret);

/* Names of categories as the log writes them: hashes, as real logs have. */
uint64_t ad_log_domain_name(const struct ad_log *log, uint32_t domain); /* 16 hex digits */
uint32_t ad_log_slot_name(const struct ad_log *log, uint32_t slot);     /* 8 hex digits */

#endif
