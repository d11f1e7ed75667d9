#include "features/feature_set.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "features/feature_build.h"

uint32_t feature_set_n_columns(const struct feature_set *set)
{
    return set->n_columns;
}

uint32_t feature_set_n_id_columns(const struct feature_set *set)
{
    return set->n_id_columns;
}

uint32_t feature_set_n_features(const struct feature_set *set)
{
    return set->n_features;
}

const struct feature_info *feature_set_info(const struct feature_set *set, uint32_t i)
{
    return &set->infos[i];
}

const char *feature_set_value(const struct feature_set *set, uint32_t feature, uint32_t id, size_t *ret_n)
{
    const struct feature_info *info = &set->infos[feature];
    const struct feature_field *field = &set->fields[info->field];
    uint32_t first = feature_first_id(field);
    if (info->kind == FEATURE_NUMBER || id < first || id - first >= field->n_values) return NULL;
    if (ret_n != NULL) *ret_n = field->values[id - first].len;
    return field->values[id - first].data;
}

uint32_t feature_set_n_fields(const struct feature_set *set)
{
    return set->n_fields;
}

const char *feature_set_field_name(const struct feature_set *set, uint32_t field)
{
    return set->fields[field].name;
}

bool feature_set_is_dropped(const struct feature_set *set, uint32_t field)
{
    return set->fields[field].source == SOURCE_DROPPED;
}

enum feature_kind feature_set_field_kind(const struct feature_set *set, uint32_t field)
{
    switch (set->fields[field].source) {
    case SOURCE_NUMBER: return FEATURE_NUMBER;
    case SOURCE_CATEGORIES: return FEATURE_CATEGORIES;
    case SOURCE_CATEGORY:
    case SOURCE_DROPPED: break;
    }
    return FEATURE_CATEGORY;
}

uint32_t feature_set_find(const struct feature_set *set, const char *name, size_t n)
{
    return map_get(&set->by_name, name, n); /* MAP_NONE is FEATURE_NO_FIELD */
}

_Static_assert(MAP_NONE == FEATURE_NO_FIELD, "feature_set_find hands on what the map says");

const char *feature_set_names(const struct feature_set *set)
{
    return set->names;
}

const struct feature_records *feature_set_records(const struct feature_set *set)
{
    return &set->records;
}

/* ---- conversion ---------------------------------------------------------------------------------- */

static uint32_t id_of(const struct feature_field *field, onnxd_string text)
{
    if (field->hash > 0) return (uint32_t)(hash_bytes(text.data, text.len, 0) % field->hash);
    uint32_t number = small_number(text.data, text.len);
    if (number < field->n_small) return field->small_ids[number];
    uint32_t at = lookup_string(field->ids, text);
    return at == LOOKUP_NONE ? UNKNOWN_ID : feature_first_id(field) + at;
}

static bool is_unknown(const struct feature_field *field, uint32_t id)
{
    return field->hash == 0 && id == UNKNOWN_ID;
}

struct slots { /* of a multi-valued field, being filled */
    const struct feature_field *field;
    float *at;
    uint32_t n_left;
    uint64_t n_unknown;
};

static bool fill_slot(void *context, onnxd_string text)
{
    struct slots *slots = context;
    uint32_t id = id_of(slots->field, text);
    slots->n_unknown += is_unknown(slots->field, id);
    *slots->at++ = (float)id;
    return --slots->n_left > 0;
}

static uint64_t convert_categories(const struct feature_set *set, const struct feature_field *field,
                                   const struct field_value *value, float *row)
{
    struct slots slots = {.field = field, .at = row + field->id_column, .n_left = field->slots};
    float padding = (float)(field->hash > 0 ? field->hash : PADDING_ID);
    categories_each(set->marks, set->n_marks, field->separator, value, fill_slot, &slots);
    while (slots.n_left-- > 0) *slots.at++ = padding;
    return slots.n_unknown;
}

static uint32_t bucket_of(const struct feature_field *field, double x)
{
    uint32_t low = 0, high = field->n_bounds; /* bounds[0..low) <= x < bounds[high..) */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (field->bounds[middle] <= x)
            low = middle + 1;
        else
            high = middle;
    }
    return 1 + low;
}

static double normalise(const struct number_rule *rule, double x)
{
    double out = ((rule->log ? signed_log(x) : x) - rule->subtract) * rule->multiply;
    return out < rule->low ? rule->low : out > rule->high ? rule->high : out;
}

static onnxd_status convert_number(const struct feature_set *set, const struct feature_field *field,
                                   const struct field_value *value, float *row, onnxd_error *err)
{
    double x = 0;
    bool missing;
    onnxd_status status = number_of_value(set->marks, set->n_marks, value, &x, &missing, err);
    if (status != ONNXD_OK) return status;
    if (field->has_buckets) row[field->id_column] = missing ? 0 : (float)bucket_of(field, x);
    if (!field->has_number) return ONNXD_OK;
    float out = (float)(missing ? field->rule.missing : normalise(&field->rule, x));
    if (!isfinite(out)) return error_set(err, ONNXD_ERR_RANGE, "%g is too large to be normalised", x);
    row[field->number_column] = out;
    return ONNXD_OK;
}

static onnxd_status convert_field(const struct feature_set *set, const struct feature_field *field,
                                  const struct field_value *value, float *row, uint64_t *ret_unknown,
                                  onnxd_error *err)
{
    if (value->kind == FIELD_ABSENT) return error_set(err, ONNXD_ERR_FORMAT, "is missing");
    if (field->source == SOURCE_NUMBER) return convert_number(set, field, value, row, err);
    if (field->source == SOURCE_CATEGORIES) {
        *ret_unknown = convert_categories(set, field, value, row);
        return ONNXD_OK;
    }
    if (value->kind == FIELD_LIST)
        return error_set(err, ONNXD_ERR_TYPE, "expected one value, got a list of %u", value->n_items);
    uint32_t id = id_of(field, category_text(set->marks, set->n_marks, value));
    *ret_unknown = is_unknown(field, id);
    row[field->id_column] = (float)id;
    return ONNXD_OK;
}

onnxd_status feature_set_convert(const struct feature_set *set, const struct field_value *fields, float *row,
                                 uint64_t *unknowns, onnxd_error *err)
{
    for (uint32_t i = 0; i < set->n_fields; i++) {
        const struct feature_field *field = &set->fields[i];
        uint64_t unknown = 0;
        if (field->source == SOURCE_DROPPED) continue;
        onnxd_status status = convert_field(set, field, &fields[i], row, &unknown, err);
        if (status != ONNXD_OK) {
            error_prefix(err, "field '%.60s': ", field->name);
            return status;
        }
        if (unknowns != NULL) unknowns[i] += unknown;
    }
    return ONNXD_OK;
}
