#include "features/feature_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Vocabularies of the largest file, and their tables. */
#define SET_MAX_BYTES ((size_t)4 << 30)

static onnxd_status no_memory(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_NOMEM, "no memory for the feature description");
}

struct feature_set *feature_build_start(void)
{
    struct feature_set *set = calloc(1, sizeof *set);
    if (set == NULL) return NULL;
    atomic_init(&set->refs, 1);
    arena_init(&set->arena, SET_MAX_BYTES);
    map_init(&set->by_name);
    return set;
}

struct feature_set *feature_set_ref(struct feature_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void feature_set_unref(struct feature_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) > 1) return;
    map_done(&set->by_name);
    arena_done(&set->arena);
    free(set->fields);
    free(set);
}

static bool grow_fields(struct feature_set *set)
{
    uint32_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
    struct feature_field *fields = realloc(set->fields, capacity * sizeof *fields);
    if (fields == NULL) return false;
    set->fields = fields;
    set->capacity = capacity;
    return true;
}

onnxd_status feature_build_field(struct feature_set *set, const char *name, size_t n,
                                 struct feature_field **ret_field, onnxd_error *err)
{
    int shown = n < 60 ? (int)n : 60;
    if (n == 0 || memchr(name, 0, n) != NULL)
        return error_set(err, ONNXD_ERR_FORMAT, "a field needs a name without NUL");
    if (map_get(&set->by_name, name, n) != MAP_NONE)
        return error_set(err, ONNXD_ERR_FORMAT, "field '%.*s' is given twice", shown, name);
    if (set->n_fields == FEATURE_MAX_FIELDS)
        return error_set(err, ONNXD_ERR_LIMIT, "field '%.*s': more than %u fields", shown, name,
                         FEATURE_MAX_FIELDS);
    char *copy = arena_strndup(&set->arena, name, n);
    if (copy == NULL || (set->n_fields == set->capacity && !grow_fields(set)) ||
        !map_put(&set->by_name, copy, n, set->n_fields))
        return no_memory(err);
    struct feature_field *field = &set->fields[set->n_fields++];
    *field = (struct feature_field){.name = copy, .name_len = n};
    *ret_field = field;
    return ONNXD_OK;
}

onnxd_status feature_build_values(struct feature_set *set, struct feature_field *field,
                                  const onnxd_string *values, uint32_t n, onnxd_error *err)
{
    if (n > FEATURE_MAX_IDS - feature_first_id(field))
        return error_set(err, ONNXD_ERR_LIMIT, "field '%.60s': %u values; at most %u fit", field->name, n,
                         FEATURE_MAX_IDS - feature_first_id(field));
    struct lookup *ids = lookup_of_strings(&set->arena, values, n);
    if (ids == NULL) return no_memory(err);
    if (ids->repeat != LOOKUP_NONE) {
        onnxd_string text = values[ids->repeat];
        return error_set(err, ONNXD_ERR_FORMAT, "field '%.60s': the value '%.*s' stands twice", field->name,
                         text.len < 60 ? (int)text.len : 60, text.data);
    }
    field->values = values;
    field->n_values = n;
    field->ids = ids;
    return ONNXD_OK;
}

onnxd_status feature_build_mark(struct feature_set *set, const char *text, size_t n, onnxd_error *err)
{
    if (set->n_marks == PLAN_MAX_MARKS)
        return error_set(err, ONNXD_ERR_LIMIT, "more than %d marks of missing values", PLAN_MAX_MARKS);
    char *copy = arena_strndup(&set->arena, text, n);
    if (copy == NULL) return no_memory(err);
    set->marks[set->n_marks++] = (onnxd_string){copy, n};
    return ONNXD_OK;
}

/* ---- the layout ---------------------------------------------------------------------------------- */

static bool has_ids(const struct feature_field *field)
{
    return field->source == SOURCE_CATEGORY || field->source == SOURCE_CATEGORIES ||
           (field->source == SOURCE_NUMBER && field->has_buckets);
}

static bool has_number(const struct feature_field *field)
{
    return field->source == SOURCE_NUMBER && field->has_number;
}

static onnxd_status describe_ids(struct feature_set *set, uint32_t i, struct feature_info *info,
                                 onnxd_error *err)
{
    const struct feature_field *field = &set->fields[i];
    uint64_t n = feature_first_id(field) + (uint64_t)field->n_values;
    *info = (struct feature_info){.name = field->name,
                                  .kind = FEATURE_CATEGORY,
                                  .field = i,
                                  .n_columns = 1,
                                  .unknown_id = UNKNOWN_ID,
                                  .padding_id = FEATURE_NO_ID};
    if (field->source == SOURCE_CATEGORIES) {
        info->kind = FEATURE_CATEGORIES;
        info->n_columns = field->slots;
        info->padding_id = field->hash > 0 ? field->hash : PADDING_ID;
    }
    if (field->source == SOURCE_NUMBER) n = 2 + (uint64_t)field->n_bounds;
    if (field->hash > 0) n = (uint64_t)field->hash + (field->source == SOURCE_CATEGORIES);
    if (field->source == SOURCE_NUMBER || field->hash > 0) info->unknown_id = FEATURE_NO_ID;
    if (n < field->min_ids) n = field->min_ids;
    if (n > FEATURE_MAX_IDS)
        return error_set(err, ONNXD_ERR_LIMIT, "field '%.60s' has more than %u ids", field->name,
                         FEATURE_MAX_IDS);
    info->n_ids = (uint32_t)n;
    if (!has_number(field)) return ONNXD_OK;
    info->name = arena_printf(&set->arena, "%s.bucket", field->name);
    return info->name != NULL ? ONNXD_OK : no_memory(err);
}

static onnxd_status place(struct feature_set *set, uint32_t n_columns, uint32_t *column, onnxd_error *err)
{
    if (n_columns > FEATURE_MAX_COLUMNS - set->n_columns)
        return error_set(err, ONNXD_ERR_LIMIT, "the features need more than %u columns", FEATURE_MAX_COLUMNS);
    *column = set->n_columns;
    set->n_columns += n_columns;
    return ONNXD_OK;
}

static void list_names(struct feature_set *set)
{
    size_t n = 0;
    for (uint32_t i = 0; i < set->n_fields; i++) {
        const struct feature_field *field = &set->fields[i];
        if (field->source == SOURCE_DROPPED) continue;
        if (n + field->name_len + 6 >= sizeof set->names) {
            strcpy(set->names + n, n > 0 ? ", ..." : "...");
            return;
        }
        if (n > 0) n = (size_t)(stpcpy(set->names + n, ", ") - set->names);
        n = (size_t)(stpcpy(set->names + n, field->name) - set->names);
    }
}

/* A table for the values that are small whole numbers, as the ids of regions and hours are. */
static onnxd_status index_small_numbers(struct feature_set *set, struct feature_field *field,
                                        onnxd_error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < field->n_values; i++) {
        uint32_t number = small_number(field->values[i].data, field->values[i].len);
        if (number != UINT32_MAX && number >= n) n = number + 1;
    }
    field->small_ids = arena_alloc_array(&set->arena, n, sizeof *field->small_ids);
    if (field->small_ids == NULL) return no_memory(err);
    for (uint32_t i = 0; i < field->n_values; i++) {
        uint32_t number = small_number(field->values[i].data, field->values[i].len);
        if (number != UINT32_MAX) field->small_ids[number] = feature_first_id(field) + i;
    }
    field->n_small = n; /* numbers without a value have UNKNOWN_ID, which is 0 */
    return ONNXD_OK;
}

onnxd_status feature_build_finish(struct feature_set *set, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = 0; i < set->n_fields; i++)
        set->n_features += (uint32_t)has_ids(&set->fields[i]) + has_number(&set->fields[i]);
    if (set->n_features == 0) return error_set(err, ONNXD_ERR_FORMAT, "no field makes a feature");
    set->infos = arena_alloc_array(&set->arena, set->n_features, sizeof *set->infos);
    if (set->infos == NULL) return no_memory(err);
    struct feature_info *info = set->infos;
    for (uint32_t i = 0; i < set->n_fields && status == ONNXD_OK; i++) {
        if (!has_ids(&set->fields[i])) continue;
        status = describe_ids(set, i, info, err);
        if (status == ONNXD_OK) status = index_small_numbers(set, &set->fields[i], err);
        if (status == ONNXD_OK) status = place(set, info->n_columns, &info->first_column, err);
        set->fields[i].id_column = info->first_column;
        info++;
    }
    set->n_id_columns = set->n_columns;
    for (uint32_t i = 0; i < set->n_fields && status == ONNXD_OK; i++) {
        if (!has_number(&set->fields[i])) continue;
        *info = (struct feature_info){.name = set->fields[i].name,
                                      .kind = FEATURE_NUMBER,
                                      .field = i,
                                      .n_columns = 1,
                                      .unknown_id = FEATURE_NO_ID,
                                      .padding_id = FEATURE_NO_ID};
        status = place(set, 1, &info->first_column, err);
        set->fields[i].number_column = info->first_column;
        info++;
    }
    list_names(set);
    return status;
}
