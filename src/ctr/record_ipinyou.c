/* The logs of the iPinYou bidding contest (Zhang, Yuan, Wang and Shen, "Real-Time Bidding Benchmarking with
 * iPinYou Dataset", 2014): tab-separated lines of 24 columns (seasons 2 and 3) or 22 (season 1).
 *
 * Impressions and clicks are lines, and mostly files, of their own, told apart by the log type and tied by
 * the bid. A pass over all files notes the bids that were clicked; a record is an impression. */
#include <stdlib.h>
#include <string.h>

#include "base/csv_line.h"
#include "base/error.h"
#include "base/map.h"
#include "ctr/record_formats.h"

enum { MOST_COLUMNS = 24, SEASON_1_COLUMNS = 22, TIME_DIGITS = 17, FIRST_SLOTS = 1 << 10 };

/* Columns of a line, from 0. */
enum { BID = 0, TIMESTAMP = 1, LOG_TYPE = 2, WEEKDAY = -1, HOUR = -2 };

static const struct {
    const char *name;
    int column;
} field_of[] = {
    {"weekday", WEEKDAY}, {"hour", HOUR},     {"region", 6},          {"city", 7},       {"adexchange", 8},
    {"domain", 9},        {"slotid", 12},     {"slotformat", 16},     {"creative", 18},  {"user_tag", 23},
    {"slotwidth", 13},    {"slotheight", 14}, {"slotvisibility", 15}, {"slotprice", 17}, {"advertiser", 22},
};

enum { N_FIELDS = sizeof field_of / sizeof *field_of };

struct ipinyou_state {
    uint64_t *clicked; /* [capacity] hashes of bids, 0 free; a power of two */
    size_t n, capacity;
};

static uint64_t hash_of(onnxd_string bid)
{
    uint64_t hash = hash_bytes(bid.data, bid.len, 0);
    return hash != 0 ? hash : 1;
}

static uint64_t *find(uint64_t *slots, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);
    while (slots[i] != 0 && slots[i] != hash) i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static onnxd_status note_click(struct ipinyou_state *state, onnxd_string bid, onnxd_error *err)
{
    if (state->n >= state->capacity / 2) {
        size_t capacity = state->capacity == 0 ? FIRST_SLOTS : state->capacity * 2;
        uint64_t *slots = calloc(capacity, sizeof *slots);
        if (slots == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the clicks");
        for (size_t i = 0; i < state->capacity; i++)
            if (state->clicked[i] != 0) *find(slots, capacity, state->clicked[i]) = state->clicked[i];
        free(state->clicked);
        state->clicked = slots;
        state->capacity = capacity;
    }
    uint64_t *slot = find(state->clicked, state->capacity, hash_of(bid));
    state->n += *slot == 0;
    *slot = hash_of(bid);
    return ONNXD_OK;
}

/* The line's columns; "null", as the logs write nothing, stays a text. */
static onnxd_status split(const char *line, size_t n, onnxd_string *columns, uint32_t *ret_n,
                          onnxd_error *err)
{
    const char *at = line, *end = line + n;
    uint32_t n_columns = 0;
    for (;;) {
        const char *tab = at < end ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        if (n_columns < MOST_COLUMNS)
            columns[n_columns] = (onnxd_string){at, (size_t)((tab != NULL ? tab : end) - at)};
        n_columns++;
        if (tab == NULL) break;
        at = tab + 1;
    }
    if (n_columns != MOST_COLUMNS && n_columns != SEASON_1_COLUMNS)
        return error_set(err, ONNXD_ERR_FORMAT, "expected %d or %d columns set apart by tabs, got %u",
                         MOST_COLUMNS, SEASON_1_COLUMNS, n_columns);
    *ret_n = n_columns;
    return ONNXD_OK;
}

static bool is_type(onnxd_string type, char digit)
{
    return type.len == 1 && type.data[0] == digit;
}

static onnxd_status scan_line(struct record_reader *reader, const char *line, size_t n, onnxd_error *err)
{
    onnxd_string columns[MOST_COLUMNS];
    uint32_t n_columns;
    onnxd_status status = split(line, n, columns, &n_columns, err);
    if (status != ONNXD_OK || !is_type(columns[LOG_TYPE], '3')) return status;
    return note_click(reader->state, columns[BID], err);
}

static onnxd_status prepare(struct record_reader *reader, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    const char *label = feature_plan_named(reader->plan, PLAN_LABEL);
    reader->state = calloc(1, sizeof(struct ipinyou_state));
    if (reader->state == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for reading logs");
    if (label == NULL) status = feature_plan_assign(reader->plan, label = "click", PLAN_LABEL, err);
    if (status == ONNXD_OK) status = record_add_name(reader, label, strlen(label), err);
    for (int i = 0; i < N_FIELDS && status == ONNXD_OK; i++)
        status = record_add_name(reader, field_of[i].name, strlen(field_of[i].name), err);
    if (status != ONNXD_OK) return status;
    if (reader->set == NULL && map_get(&reader->plan->by_name, "user_tag", 8) == MAP_NONE) {
        status = feature_plan_assign(reader->plan, "user_tag", PLAN_CATEGORIES, err);
        if (status == ONNXD_OK) reader->plan->fields[reader->plan->n_fields - 1].separator = ',';
    }
    return status == ONNXD_OK ? record_each_line(reader, scan_line, err) : status;
}

static void done(struct record_reader *reader)
{
    struct ipinyou_state *state = reader->state;
    if (state != NULL) free(state->clicked);
    free(state);
}

static onnxd_status head(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err)
{
    (void)reader, (void)line, (void)n, (void)err;
    *ret_taken = false;
    return ONNXD_OK;
}

static uint32_t number_at(const char *digits, int n)
{
    uint32_t x = 0;
    for (int i = 0; i < n; i++) x = x * 10 + (uint32_t)(digits[i] - '0');
    return x;
}

/* yyyymmddhhmmssmmm to the weekday (0: Sunday) and the hour. */
static onnxd_status read_time(onnxd_string text, uint32_t *ret_weekday, uint32_t *ret_hour, onnxd_error *err)
{
    static const uint32_t shift[] = {0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4}; /* Sakamoto 1992 */
    bool good = text.len == TIME_DIGITS;
    for (size_t i = 0; i < text.len && good; i++) good = text.data[i] >= '0' && text.data[i] <= '9';
    uint32_t year = good ? number_at(text.data, 4) : 0, month = good ? number_at(text.data + 4, 2) : 0;
    uint32_t day = good ? number_at(text.data + 6, 2) : 0, hour = good ? number_at(text.data + 8, 2) : 24;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23)
        return error_set(err, ONNXD_ERR_FORMAT, "column 2: expected a time as yyyymmddhhmmssmmm, got '%.*s'",
                         text.len < 30 ? (int)text.len : 30, text.data);
    if (month < 3) year--;
    *ret_weekday = (year + year / 4 - year / 100 + year / 400 + shift[month - 1] + day) % 7;
    *ret_hour = hour;
    return ONNXD_OK;
}

static struct field_value small_number(struct record_reader *reader, uint32_t x)
{
    char *text = arena_printf(&reader->arena, "%u", x);
    return text != NULL ? field_value_of_text(text, strlen(text)) : (struct field_value){.kind = FIELD_NULL};
}

static onnxd_status read(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err)
{
    const struct ipinyou_state *state = reader->state;
    onnxd_string columns[MOST_COLUMNS];
    uint32_t n_columns, weekday, hour;
    onnxd_status status = split(line, n, columns, &n_columns, err);
    if (status != ONNXD_OK || !is_type(columns[LOG_TYPE], '1')) return status;
    status = read_time(columns[TIMESTAMP], &weekday, &hour, err);
    if (status != ONNXD_OK) return status;
    bool clicked = state->n > 0 && *find(state->clicked, state->capacity, hash_of(columns[BID])) != 0;
    reader->fields[0] = field_value_of_text(clicked ? "1" : "0", 1);
    for (uint32_t i = 0; i < N_FIELDS; i++) {
        int column = field_of[i].column;
        struct field_value *value = &reader->fields[i + 1];
        if (column == WEEKDAY || column == HOUR)
            *value = small_number(reader, column == WEEKDAY ? weekday : hour);
        else if ((uint32_t)column < n_columns)
            *value = field_value_of_text(columns[column].data, columns[column].len);
        else
            *value = (struct field_value){.kind = FIELD_NULL};
    }
    *ret_taken = true;
    return ONNXD_OK;
}

const struct record_format record_ipinyou = {
    .ending = {".ipinyou"}, .scans = true, .prepare = prepare, .done = done, .head = head, .read = read};
