/* libsvm and libffm: "label index:value ..." and "label field:index:value ...".
 *
 * Both are sparse: what a line does not name is zero. An entry of value 1 says that an index is there; such
 * entries are the values of a category, the field "features" in libsvm, the field of its number in libffm.
 * Indices with other values are numbers, each a field of its own.
 *
 * What is what is found by a pass over the files before learning, unless the plan says it: an index (libsvm)
 * or field (libffm) with a value that is not 1 anywhere is a number. Afterwards the feature set says it. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ctr/record_formats.h"
#include "json/decimal.h"

enum { LABEL, FEATURES }; /* fields of the reader: the label, then all others */

struct svm_key { /* an index (libsvm) or a field (libffm) */
    bool is_number;
    uint32_t n_here, n_most; /* entries of the line being scanned, and of the fullest line */
    uint64_t line;           /* on which n_here was counted */
};

struct svm_state {
    bool has_fields; /* libffm */
    /* while scanning: keys by name; for libsvm only those that are numbers */
    struct svm_key keys[FEATURE_MAX_FIELDS];
    uint64_t n_lines;
    uint32_t n_most; /* libsvm: entries of value 1 of the fullest line */
    /* while reading: entries of the record's categories, by field of the reader */
    struct field_value *items[RECORD_MAX_FIELDS];
    uint32_t capacity[RECORD_MAX_FIELDS];
};

struct svm_entry {
    onnxd_string field, index, value; /* field: libffm */
    double number;
    bool is_one;
};

static bool is_digits(onnxd_string text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9') return false;
    return text.len > 0;
}

static onnxd_string next_token(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\t')) ++*at;
    const char *start = *at;
    while (*at < end && **at != ' ' && **at != '\t') ++*at;
    return (onnxd_string){start, (size_t)(*at - start)};
}

/* The part up to the next colon, or all that is left. */
static onnxd_string next_part(onnxd_string *rest)
{
    const char *colon = rest->len > 0 ? memchr(rest->data, ':', rest->len) : NULL;
    onnxd_string part = {rest->data, colon != NULL ? (size_t)(colon - rest->data) : rest->len};
    size_t taken = part.len + (colon != NULL);
    *rest = (onnxd_string){rest->data + taken, rest->len - taken};
    return part;
}

static onnxd_status read_entry(const struct svm_state *state, onnxd_string token, struct svm_entry *ret,
                               onnxd_error *err)
{
    onnxd_string rest = token;
    *ret = (struct svm_entry){0};
    if (state->has_fields) ret->field = next_part(&rest);
    ret->index = next_part(&rest);
    ret->value = rest;
    size_t skip = ret->value.len > 1 && ret->value.data[0] == '+';
    bool good = is_digits(ret->index) && (!state->has_fields || is_digits(ret->field)) &&
                decimal_parse_f64(ret->value.data + skip, ret->value.len - skip, &ret->number);
    if (!good)
        return error_set(err, ONNXD_ERR_FORMAT, "expected %s, got '%.*s'",
                         state->has_fields ? "field:index:value" : "index:value",
                         token.len < 60 ? (int)token.len : 60, token.data);
    ret->is_one = ret->number == 1;
    return ONNXD_OK;
}

/* ---- the pass before learning -------------------------------------------------------------------- */

static onnxd_status find_key(struct record_reader *reader, onnxd_string name, struct svm_key **ret,
                             onnxd_error *err)
{
    struct svm_state *state = reader->state;
    uint32_t i = map_get(&reader->by_name, name.data, name.len);
    if (i == MAP_NONE) {
        if (reader->n_names - FEATURES == FEATURE_MAX_FIELDS)
            return error_set(err, ONNXD_ERR_LIMIT, "more than %u %s", FEATURE_MAX_FIELDS,
                             state->has_fields ? "fields" : "indices with values that are not 1");
        onnxd_status status = record_add_name(reader, name.data, name.len, err);
        if (status != ONNXD_OK) return status;
        i = reader->n_names - 1;
    }
    *ret = &state->keys[i - FEATURES];
    return ONNXD_OK;
}

static onnxd_status scan_line(struct record_reader *reader, const char *line, size_t n, onnxd_error *err)
{
    struct svm_state *state = reader->state;
    const char *at = line, *end = line + n;
    uint32_t n_ones = 0;
    onnxd_string label = next_token(&at, end); /* read with the record; here only a remark matters */
    if (label.len > 0 && label.data[0] == '#') return ONNXD_OK;
    state->n_lines++;
    for (;;) {
        struct svm_entry entry;
        struct svm_key *key;
        onnxd_string token = next_token(&at, end);
        if (token.len == 0 || token.data[0] == '#') break;
        onnxd_status status = read_entry(state, token, &entry, err);
        if (status != ONNXD_OK) return status;
        n_ones += entry.is_one;
        if (n_ones > FEATURE_MAX_COLUMNS) /* no model has columns for them */
            return error_set(err, ONNXD_ERR_LIMIT, "more than %u entries of value 1", FEATURE_MAX_COLUMNS);
        if (!state->has_fields && entry.is_one) continue;
        status = find_key(reader, state->has_fields ? entry.field : entry.index, &key, err);
        if (status != ONNXD_OK) return status;
        key->is_number |= !entry.is_one;
        if (key->line != state->n_lines) key->n_here = 0;
        key->line = state->n_lines;
        if (++key->n_here > key->n_most) key->n_most = key->n_here;
    }
    if (n_ones > state->n_most) state->n_most = n_ones;
    return ONNXD_OK;
}

/* What the plan leaves open of a field's role. */
static onnxd_status propose(struct record_reader *reader, const char *name, enum plan_role role,
                            uint32_t slots, onnxd_error *err)
{
    struct feature_plan *plan = reader->plan;
    uint32_t i = map_get(&plan->by_name, name, strlen(name));
    if (i != MAP_NONE) return ONNXD_OK;
    onnxd_status status = feature_plan_assign(plan, name, role, err);
    if (status == ONNXD_OK)
        plan->fields[plan->n_fields - 1].slots = slots < FEATURE_MAX_COLUMNS ? slots : FEATURE_MAX_COLUMNS;
    return status;
}

static onnxd_status scan(struct record_reader *reader, onnxd_error *err)
{
    struct svm_state *state = reader->state;
    onnxd_status status = record_each_line(reader, scan_line, err);
    for (uint32_t i = FEATURES; i < reader->n_names && status == ONNXD_OK; i++) {
        const struct svm_key *key = &state->keys[i - FEATURES];
        enum plan_role role = key->is_number || !state->has_fields ? PLAN_NUMBER
                              : key->n_most > 1                    ? PLAN_CATEGORIES
                                                                   : PLAN_CATEGORY;
        status = propose(reader, reader->names[i], role, key->n_most, err);
    }
    if (status != ONNXD_OK || state->has_fields || state->n_most == 0) return status;
    status = record_add_name(reader, "features", 8, err);
    return status == ONNXD_OK ? propose(reader, "features", PLAN_CATEGORIES, state->n_most, err) : status;
}

/* Indices that are numbers because the plan says so, though every value is 1. */
static onnxd_status add_planned(struct record_reader *reader, onnxd_error *err)
{
    const struct svm_state *state = reader->state;
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < reader->plan->n_fields && !state->has_fields && status == ONNXD_OK; i++) {
        const struct field_plan *field = &reader->plan->fields[i];
        onnxd_string name = {field->name, strlen(field->name)};
        bool is_number = field->role == PLAN_NUMBER || field->role == PLAN_WEIGHT;
        if (is_number && is_digits(name) && map_get(&reader->by_name, name.data, name.len) == MAP_NONE)
            status = record_add_name(reader, name.data, name.len, err);
    }
    return status;
}

/* ---- records ------------------------------------------------------------------------------------- */

static onnxd_status prepare(struct record_reader *reader, bool has_fields, onnxd_error *err)
{
    struct svm_state *state = calloc(1, sizeof *state);
    if (state == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for reading libsvm");
    state->has_fields = has_fields;
    reader->state = state;
    onnxd_status status = ONNXD_OK;
    const char *label = feature_plan_named(reader->plan, PLAN_LABEL);
    if (label == NULL) status = feature_plan_assign(reader->plan, label = "label", PLAN_LABEL, err);
    if (status == ONNXD_OK) status = record_add_name(reader, label, strlen(label), err);
    if (status != ONNXD_OK) return status;
    if (reader->set == NULL) {
        status = scan(reader, err);
        return status == ONNXD_OK ? add_planned(reader, err) : status;
    }
    for (uint32_t i = 0; i < feature_set_n_fields(reader->set) && status == ONNXD_OK; i++) {
        const char *name = feature_set_field_name(reader->set, i);
        status = record_add_name(reader, name, strlen(name), err);
    }
    const char *weight = feature_plan_named(reader->plan, PLAN_WEIGHT);
    if (status == ONNXD_OK && weight != NULL) status = record_add_name(reader, weight, strlen(weight), err);
    return status;
}

static onnxd_status prepare_libsvm(struct record_reader *reader, onnxd_error *err)
{
    return prepare(reader, false, err);
}

static onnxd_status prepare_libffm(struct record_reader *reader, onnxd_error *err)
{
    return prepare(reader, true, err);
}

static void done(struct record_reader *reader)
{
    struct svm_state *state = reader->state;
    if (state == NULL) return;
    for (uint32_t i = 0; i < RECORD_MAX_FIELDS; i++) free(state->items[i]);
    free(state);
}

static onnxd_status head(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                         onnxd_error *err)
{
    (void)reader, (void)line, (void)n, (void)err;
    *ret_taken = false;
    return ONNXD_OK;
}

static onnxd_status add_item(struct record_reader *reader, uint32_t field, onnxd_string index,
                             onnxd_error *err)
{
    struct svm_state *state = reader->state;
    struct field_value *value = &reader->fields[field];
    if (value->kind == FIELD_NULL) *value = (struct field_value){.kind = FIELD_LIST};
    if (value->n_items == state->capacity[field]) {
        uint32_t capacity = state->capacity[field] == 0 ? 16 : state->capacity[field] * 2;
        struct field_value *items = realloc(state->items[field], capacity * sizeof *items);
        if (items == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a record's values");
        state->items[field] = items;
        state->capacity[field] = capacity;
    }
    state->items[field][value->n_items++] = (struct field_value){.kind = FIELD_STRING, .text = index};
    value->items = state->items[field];
    return ONNXD_OK;
}

static enum plan_role role_of(const struct record_reader *reader, uint32_t i)
{
    if (reader->set == NULL)
        return feature_plan_of(reader->plan, reader->names[i], strlen(reader->names[i])).role;
    if (i - FEATURES == feature_set_n_fields(reader->set)) return PLAN_WEIGHT; /* which is no feature */
    if (feature_set_is_dropped(reader->set, i - FEATURES)) return PLAN_DROP;
    switch (feature_set_field_kind(reader->set, i - FEATURES)) {
    case FEATURE_NUMBER: return PLAN_NUMBER;
    case FEATURE_CATEGORIES: return PLAN_CATEGORIES;
    case FEATURE_CATEGORY: break;
    }
    return PLAN_CATEGORY;
}

/* The field an entry belongs to, or MAP_NONE for one that the feature set does not know. */
static uint32_t field_of(const struct record_reader *reader, const struct svm_entry *entry)
{
    const struct svm_state *state = reader->state;
    onnxd_string name = state->has_fields ? entry->field : entry->index;
    uint32_t i = map_get(&reader->by_name, name.data, name.len);
    if (i != MAP_NONE || state->has_fields) return i;
    return map_get(&reader->by_name, "features", 8);
}

static onnxd_status take_entry(struct record_reader *reader, const struct svm_entry *entry, onnxd_error *err)
{
    uint32_t i = field_of(reader, entry);
    if (i == MAP_NONE || i == LABEL) return ONNXD_OK;
    struct field_value *value = &reader->fields[i];
    enum plan_role role = role_of(reader, i);
    if (role == PLAN_NUMBER || role == PLAN_WEIGHT) {
        *value = (struct field_value){.kind = FIELD_NUMBER, .number = entry->number, .text = entry->value};
        return ONNXD_OK;
    }
    if (entry->number == 0 || role == PLAN_DROP) return ONNXD_OK;
    if (!entry->is_one)
        return error_set(err, ONNXD_ERR_TYPE, "'%s' is a category: expected the value 1 for %.*s, got %g",
                         reader->names[i], (int)(entry->index.len < 20 ? entry->index.len : 20),
                         entry->index.data, entry->number);
    if (role == PLAN_CATEGORIES) return add_item(reader, i, entry->index, err);
    if (value->kind != FIELD_NULL)
        return error_set(err, ONNXD_ERR_TYPE, "field %s has two values, but takes one", reader->names[i]);
    *value = (struct field_value){.kind = FIELD_STRING, .text = entry->index};
    return ONNXD_OK;
}

static onnxd_status read_record(struct record_reader *reader, const char *line, size_t n, bool *ret_taken,
                                onnxd_error *err)
{
    const struct svm_state *state = reader->state;
    const char *at = line, *end = line + n;
    onnxd_string label = next_token(&at, end);
    if (label.len > 1 && label.data[0] == '+') label = (onnxd_string){label.data + 1, label.len - 1};
    if (label.len > 0 && label.data[0] == '#') return ONNXD_OK; /* a comment */
    for (uint32_t i = FEATURES; i < reader->n_names; i++) {
        enum plan_role role = role_of(reader, i);
        reader->fields[i] = role == PLAN_NUMBER || role == PLAN_WEIGHT
                                ? (struct field_value){.kind = FIELD_NUMBER, .text = {"0", 1}}
                                : (struct field_value){.kind = FIELD_NULL};
    }
    reader->fields[LABEL] = field_value_of_text(label.data, label.len);
    if (reader->fields[LABEL].kind == FIELD_NUMBER && reader->fields[LABEL].number == -1)
        reader->fields[LABEL] = field_value_of_text("0", 1);
    for (;;) {
        struct svm_entry entry;
        onnxd_string token = next_token(&at, end);
        if (token.len == 0 || token.data[0] == '#') break;
        onnxd_status status = read_entry(state, token, &entry, err);
        if (status == ONNXD_OK) status = take_entry(reader, &entry, err);
        if (status != ONNXD_OK) return status;
    }
    *ret_taken = true;
    return ONNXD_OK;
}

const struct record_format record_libsvm = {.ending = {".libsvm", ".svm", ".svmlight"},
                                            .prepare = prepare_libsvm,
                                            .done = done,
                                            .head = head,
                                            .read = read_record};

const struct record_format record_libffm = {.ending = {".libffm", ".ffm"},
                                            .prepare = prepare_libffm,
                                            .done = done,
                                            .head = head,
                                            .read = read_record};
