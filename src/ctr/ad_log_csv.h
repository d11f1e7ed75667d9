/* ctr/ad_log_csv.h - rows of the simulated ad log as CSV text.
 *
 * Columns: click, then the 15 fields in the order of the bundled model (weekday, hour, region, city,
 * adexchange, domain, slotid, slotformat, creative, user_tag, slotwidth, slotheight, slotvisibility,
 * slotprice, advertiser), then, when asked for, probability: the true one. Several tags of a row are
 * separated by ";". Domains and slots are hashes in hexadecimal, as in real logs.
 *
 * Threads: no state. */
#ifndef CTR_AD_LOG_CSV_H
#define CTR_AD_LOG_CSV_H

#include <stddef.h>

#include "sim/ad_log.h"

#define AD_LOG_CSV_ROOM 256 /* bytes that a line needs at most */

/* Write a line, its end included, and return its length; no NUL behind it. */
size_t ad_log_csv_head(bool truth, char *out);
size_t ad_log_csv_line(const struct ad_log *log, const struct ad_row *row, bool truth, char *out);

#endif
