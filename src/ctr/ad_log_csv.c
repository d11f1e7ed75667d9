#include "ctr/ad_log_csv.h"

#include <string.h>

#include "json/shortest.h"

size_t ad_log_csv_head(bool truth, char *out)
{
    static const char head[] = "click,weekday,hour,region,city,adexchange,domain,slotid,slotformat,creative,"
                               "user_tag,slotwidth,slotheight,slotvisibility,slotprice,advertiser";
    static const char tail[] = ",probability\n";
    size_t n = sizeof head - 1, n_tail = sizeof tail - 1;
    memcpy(out, head, n);
    if (truth)
        memcpy(out + n, tail, n_tail);
    else
        out[n] = '\n';
    return n + (truth ? n_tail : 1);
}

static char *put_number(char *at, uint32_t x, char behind)
{
    at += shortest_u64(x, at);
    *at++ = behind;
    return at;
}

static char *put_hex(char *at, uint64_t x, int n_digits, char behind)
{
    for (int i = n_digits - 1; i >= 0; i--) *at++ = "0123456789abcdef"[x >> (4 * i) & 15];
    *at++ = behind;
    return at;
}

/* x / 10^places. */
static char *put_decimal(char *at, uint32_t x, int places)
{
    uint32_t unit = 1;
    for (int i = 0; i < places; i++) unit *= 10;
    at += shortest_u64(x / unit, at);
    *at++ = '.';
    for (uint32_t rest = x % unit; unit > 1; rest %= unit) {
        unit /= 10;
        *at++ = (char)('0' + rest / unit);
    }
    return at;
}

size_t ad_log_csv_line(const struct ad_log *log, const struct ad_row *row, bool truth, char *out)
{
    char *at = put_number(out, row->click, ',');
    at = put_number(at, row->weekday, ',');
    at = put_number(at, row->hour, ',');
    at = put_number(at, row->region, ',');
    at = put_number(at, row->city, ',');
    at = put_number(at, row->exchange, ',');
    at = put_hex(at, ad_log_domain_name(log, row->domain), 16, ',');
    at = put_hex(at, ad_log_slot_name(log, row->slot), 8, ',');
    at = put_number(at, row->format, ',');
    at = put_number(at, row->creative, ',');
    for (uint32_t i = 0; i < row->n_tags; i++)
        at = put_number(at, row->tags[i], i + 1 < row->n_tags ? ';' : ',');
    at = put_number(at, row->width, ',');
    at = put_number(at, row->height, ',');
    at = put_decimal(at, row->visibility, 2);
    *at++ = ',';
    at = put_decimal(at, row->price, 2);
    *at++ = ',';
    at = put_decimal(at, row->advertiser, 3);
    if (truth) {
        *at++ = ',';
        at += shortest_f32((float)row->probability, at);
    }
    *at++ = '\n';
    return (size_t)(at - out);
}
