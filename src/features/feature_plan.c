#include "features/feature_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "features/feature_set.h"
#include "json/json_reader.h"

#define PLAN_MAX_BYTES ((size_t)16 << 20)

static const char *const default_marks[] = {"?", "nan", "NaN", "null", "NULL", "\\N"};

static onnxd_status no_memory(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_NOMEM, "no memory for the schema");
}

onnxd_status feature_plan_create(struct feature_plan **ret_plan, onnxd_error *err)
{
    struct feature_plan *plan = calloc(1, sizeof *plan);
    if (plan == NULL) return no_memory(err);
    arena_init(&plan->arena, PLAN_MAX_BYTES);
    map_init(&plan->by_name);
    plan->other = (struct field_plan){.role = PLAN_CATEGORY,
                                      .min_count = 2,
                                      .max_values = 1000000,
                                      .slots = 5,
                                      .separator = ';',
                                      .normal = PLAN_STANDARD,
                                      .buckets = 50};
    plan->n_marks = sizeof default_marks / sizeof *default_marks;
    memcpy(plan->marks, default_marks, sizeof default_marks);
    *ret_plan = plan;
    return ONNXD_OK;
}

void feature_plan_free(struct feature_plan *plan)
{
    if (plan == NULL) return;
    map_done(&plan->by_name);
    arena_done(&plan->arena);
    free(plan->fields);
    free(plan);
}

struct field_plan feature_plan_of(const struct feature_plan *plan, const char *name, size_t n)
{
    uint32_t i = map_get(&plan->by_name, name, n);
    const struct field_plan *other = &plan->other;
    if (i == MAP_NONE) return *other;
    struct field_plan field = plan->fields[i];
    if (field.min_count == 0) field.min_count = other->min_count;
    if (field.max_values == 0) field.max_values = other->max_values;
    if (field.hash == 0) field.hash = other->hash;
    if (field.slots == 0) field.slots = other->slots;
    if (field.separator == 0) field.separator = other->separator;
    if (field.normal == PLAN_OTHER) field.normal = other->normal;
    if (field.buckets == 0) field.buckets = other->buckets;
    return field;
}

const char *feature_plan_named(const struct feature_plan *plan, enum plan_role role)
{
    for (uint32_t i = 0; i < plan->n_fields; i++)
        if (plan->fields[i].role == role) return plan->fields[i].name;
    return NULL;
}

/* The plan of this name, made where there is none. */
static onnxd_status plan_field(struct feature_plan *plan, const char *name, size_t n,
                               struct field_plan **ret_field, onnxd_error *err)
{
    uint32_t i = map_get(&plan->by_name, name, n);
    if (i != MAP_NONE) {
        *ret_field = &plan->fields[i];
        return ONNXD_OK;
    }
    if (n == 0 || memchr(name, 0, n) != NULL)
        return error_set(err, ONNXD_ERR_ARGUMENT, "a field's name is empty or holds a NUL");
    if (plan->n_fields == FEATURE_MAX_FIELDS)
        return error_set(err, ONNXD_ERR_LIMIT, "more than %u fields", FEATURE_MAX_FIELDS);
    if (plan->n_fields == plan->capacity) {
        uint32_t capacity = plan->capacity == 0 ? 32 : plan->capacity * 2;
        struct field_plan *bigger = realloc(plan->fields, capacity * sizeof *bigger);
        if (bigger == NULL) return no_memory(err);
        plan->fields = bigger;
        plan->capacity = capacity;
    }
    char *copy = arena_strndup(&plan->arena, name, n);
    if (copy == NULL || !map_put(&plan->by_name, copy, n, plan->n_fields)) return no_memory(err);
    struct field_plan *field = &plan->fields[plan->n_fields++];
    *field = (struct field_plan){.name = copy, .role = plan->other.role};
    *ret_field = field;
    return ONNXD_OK;
}

static onnxd_status set_role(struct feature_plan *plan, const char *name, size_t n, enum plan_role role,
                             struct field_plan **ret_field, onnxd_error *err)
{
    if (role == PLAN_LABEL || role == PLAN_WEIGHT) {
        const char *old = feature_plan_named(plan, role);
        if (old != NULL && (strlen(old) != n || memcmp(old, name, n) != 0))
            return error_set(err, ONNXD_ERR_ARGUMENT, "two fields are the %s: '%.60s' and '%.*s'",
                             role == PLAN_LABEL ? "label" : "weight", old, n < 60 ? (int)n : 60, name);
    }
    onnxd_status status = plan_field(plan, name, n, ret_field, err);
    if (status != ONNXD_OK) return status;
    enum plan_role old = (*ret_field)->role;
    if ((old == PLAN_LABEL || old == PLAN_WEIGHT) && role != old)
        return error_set(err, ONNXD_ERR_ARGUMENT, "field '%.60s' is the %s and cannot be anything else",
                         (*ret_field)->name, old == PLAN_LABEL ? "label" : "weight");
    (*ret_field)->role = role;
    return ONNXD_OK;
}

onnxd_status feature_plan_choose(struct feature_plan *plan, const char *name, enum plan_role role,
                                 onnxd_error *err)
{
    for (uint32_t i = 0; i < plan->n_fields; i++)
        if (plan->fields[i].role == role && strcmp(plan->fields[i].name, name) != 0)
            plan->fields[i].role = PLAN_DROP;
    return feature_plan_assign_one(plan, name, role, err);
}

onnxd_status feature_plan_assign_one(struct feature_plan *plan, const char *name, enum plan_role role,
                                     onnxd_error *err)
{
    struct field_plan *field;
    return set_role(plan, name, strlen(name), role, &field, err);
}

onnxd_status feature_plan_assign(struct feature_plan *plan, const char *names, enum plan_role role,
                                 onnxd_error *err)
{
    while (*names != 0) {
        struct field_plan *field;
        size_t n = strcspn(names, ",");
        onnxd_status status = set_role(plan, names, n, role, &field, err);
        if (status != ONNXD_OK) return status;
        names += n;
        if (*names == ',') names++;
    }
    return ONNXD_OK;
}

onnxd_status feature_plan_set_columns(struct feature_plan *plan, const char *names, onnxd_error *err)
{
    uint32_t n = 1, i = 0;
    for (const char *at = names; *at != 0; at++) n += *at == ',';
    const char **columns = arena_alloc_array(&plan->arena, n, sizeof *columns);
    if (columns == NULL) return no_memory(err);
    for (const char *at = names; i < n; i++) {
        size_t length = strcspn(at, ",");
        columns[i] = arena_strndup(&plan->arena, at, length);
        if (columns[i] == NULL) return no_memory(err);
        at += length + (at[length] == ',');
    }
    plan->columns = columns;
    plan->n_columns = n;
    return ONNXD_OK;
}

onnxd_status feature_plan_set_marks(struct feature_plan *plan, const char *marks, onnxd_error *err)
{
    plan->n_marks = 0;
    while (*marks != 0) {
        size_t n = strcspn(marks, ",");
        if (plan->n_marks == PLAN_MAX_MARKS)
            return error_set(err, ONNXD_ERR_LIMIT, "more than %d marks of missing values", PLAN_MAX_MARKS);
        char *copy = arena_strndup(&plan->arena, marks, n);
        if (copy == NULL) return no_memory(err);
        if (n > 0) plan->marks[plan->n_marks++] = copy;
        marks += n + (marks[n] == ',');
    }
    return ONNXD_OK;
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

struct plan_reader {
    struct json_reader json;
    struct feature_plan *plan;
};

static bool fail(struct plan_reader *r, onnxd_status status, const onnxd_error *why)
{
    return status == ONNXD_OK || json_fail(&r->json, status, "%s", why->message);
}

/* A name's or mark's text, in the plan's arena. */
static bool read_text(struct plan_reader *r, char **ret)
{
    struct json_text text;
    if (!json_read_string(&r->json, &text)) return false;
    char *copy = arena_alloc(&r->plan->arena, text.n_raw + 1);
    if (copy == NULL) return json_fail(&r->json, ONNXD_ERR_LIMIT, "no room for the schema's texts");
    size_t n = json_text_decode(&text, copy);
    copy[n] = 0;
    if (memchr(copy, 0, n) != NULL) return json_fail(&r->json, ONNXD_ERR_FORMAT, "the text holds a NUL");
    *ret = copy;
    return true;
}

static bool read_role_name(struct plan_reader *r, enum plan_role role)
{
    char *name;
    struct field_plan *field;
    onnxd_error why;
    return read_text(r, &name) && fail(r, set_role(r->plan, name, strlen(name), role, &field, &why), &why);
}

static bool read_role_names(struct plan_reader *r, enum plan_role role)
{
    if (!json_enter_array(&r->json)) return false;
    while (json_next_element(&r->json))
        if (!read_role_name(r, role)) return false;
    return r->json.status == ONNXD_OK;
}

static bool read_texts(struct plan_reader *r, uint32_t most, const char **texts, uint32_t *ret_n)
{
    uint32_t n = 0;
    if (!json_enter_array(&r->json)) return false;
    while (json_next_element(&r->json)) {
        char *text;
        if (n == most) return json_fail(&r->json, ONNXD_ERR_LIMIT, "more than %u", most);
        if (!read_text(r, &text)) return false;
        texts[n++] = text;
    }
    *ret_n = n;
    return r->json.status == ONNXD_OK;
}

static bool read_columns(struct plan_reader *r)
{
    const char **columns = arena_alloc_array(&r->plan->arena, 2 * FEATURE_MAX_FIELDS, sizeof *columns);
    if (columns == NULL) return json_fail(&r->json, ONNXD_ERR_LIMIT, "no room for the columns");
    if (!read_texts(r, 2 * FEATURE_MAX_FIELDS, columns, &r->plan->n_columns)) return false;
    r->plan->columns = columns;
    return true;
}

/* One of `words`, up to NULL. */
static bool read_word(struct plan_reader *r, const char *const *words, uint32_t *ret)
{
    struct json_text text;
    if (!json_read_string(&r->json, &text)) return false;
    for (uint32_t i = 0; words[i] != NULL; i++)
        if (json_text_is(&text, words[i])) {
            *ret = i;
            return true;
        }
    char list[128] = "";
    for (uint32_t i = 0; words[i] != NULL; i++) {
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s%s", i > 0 ? ", " : "", words[i]);
    }
    return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected one of %s", list);
}

static bool read_separator(struct plan_reader *r, char *ret)
{
    char *text;
    if (!read_text(r, &text)) return false;
    if (strlen(text) != 1) return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected one character of ASCII");
    *ret = *text;
    return true;
}

static const char *const kind_words[] = {"category", "categories", "number", "drop", NULL};
/* In the order of enum plan_normal, from PLAN_STANDARD on. */
static const char *const normal_words[] = {"standard",     "log",   "minmax", "quantile",
                                           "quantile+log", "as-is", NULL};

static bool read_member(struct plan_reader *r, struct field_plan *field, const struct json_text *key)
{
    const struct {
        const char *key;
        uint32_t least, most, *target;
    } counts[] = {{"min_count", 1, UINT32_MAX, &field->min_count},
                  {"max_values", 1, FEATURE_MAX_IDS - 2, &field->max_values},
                  {"ids", 1, FEATURE_MAX_IDS, &field->reserve_ids},
                  {"hash", 1, FEATURE_MAX_IDS - 1, &field->hash},
                  {"slots", 1, FEATURE_MAX_COLUMNS, &field->slots},
                  {"buckets", 2, PLAN_MAX_BUCKETS, &field->buckets}};
    uint32_t word;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint64_t x;
        if (!json_text_is(key, counts[i].key)) continue;
        if (!json_read_u64(&r->json, &x)) return false;
        if (x < counts[i].least || x > counts[i].most)
            return json_fail(&r->json, ONNXD_ERR_RANGE, "expected %u..%u", counts[i].least, counts[i].most);
        *counts[i].target = (uint32_t)x;
        return true;
    }
    if (json_text_is(key, "kind")) {
        if (!read_word(r, kind_words, &word)) return false;
        if (field->role == PLAN_LABEL || field->role == PLAN_WEIGHT)
            return json_fail(&r->json, ONNXD_ERR_FORMAT, "the field is the label or the weight");
        field->role = (enum plan_role)word;
        return true;
    }
    if (json_text_is(key, "normalise")) {
        if (!read_word(r, normal_words, &word)) return false;
        field->normal = (enum plan_normal)(word + 1);
        return true;
    }
    if (json_text_is(key, "separator")) return read_separator(r, &field->separator);
    return json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "a schema has no such key here");
}

static bool read_members(struct plan_reader *r, struct field_plan *field)
{
    struct json_text key;
    while (json_next_key(&r->json, &key))
        if (!read_member(r, field, &key)) return false;
    return r->json.status == ONNXD_OK;
}

static bool read_fields(struct plan_reader *r)
{
    if (!json_enter_array(&r->json)) return false;
    while (json_next_element(&r->json)) {
        struct json_text key;
        struct field_plan *field;
        char *name;
        onnxd_error why;
        if (!json_enter_object(&r->json)) return false;
        if (!json_next_key(&r->json, &key) || !json_text_is(&key, "name"))
            return json_fail(&r->json, ONNXD_ERR_FORMAT, "expected \"name\" first");
        if (!read_text(r, &name)) return false;
        if (!fail(r, plan_field(r->plan, name, strlen(name), &field, &why), &why)) return false;
        if (!read_members(r, field)) return false;
    }
    return r->json.status == ONNXD_OK;
}

static bool read_plan(struct plan_reader *r)
{
    static const struct {
        const char *key;
        enum plan_role role;
    } lists[] = {
        {"sparse", PLAN_CATEGORY}, {"multi", PLAN_CATEGORIES}, {"dense", PLAN_NUMBER}, {"drop", PLAN_DROP}};
    struct json_text key;
    char *text;
    if (!json_enter_object(&r->json)) return false;
    while (json_next_key(&r->json, &key)) {
        bool done = false, found = false;
        for (size_t i = 0; i < sizeof lists / sizeof *lists && !found; i++) {
            found = json_text_is(&key, lists[i].key);
            if (found) done = read_role_names(r, lists[i].role);
        }
        if (found) {
            if (!done) return false;
            continue;
        }
        if (json_text_is(&key, "label")) {
            done = read_role_name(r, PLAN_LABEL);
        } else if (json_text_is(&key, "weight")) {
            done = read_role_name(r, PLAN_WEIGHT);
        } else if (json_text_is(&key, "positive")) {
            done = read_text(r, &text);
            if (done) r->plan->positive = text;
        } else if (json_text_is(&key, "columns")) {
            done = read_columns(r);
        } else if (json_text_is(&key, "missing")) {
            done = read_texts(r, PLAN_MAX_MARKS, r->plan->marks, &r->plan->n_marks);
        } else if (json_text_is(&key, "defaults")) {
            done = json_enter_object(&r->json) && read_members(r, &r->plan->other);
        } else if (json_text_is(&key, "fields")) {
            done = read_fields(r);
        } else {
            done = json_fail(&r->json, ONNXD_ERR_NOT_FOUND, "a schema has no such key");
        }
        if (!done) return false;
    }
    return r->json.status == ONNXD_OK;
}

onnxd_status feature_plan_read(struct feature_plan *plan, const char *text, size_t n, onnxd_error *err)
{
    struct plan_reader r = {.plan = plan};
    json_reader_init(&r.json, text, n, err);
    read_plan(&r);
    return json_finish(&r.json);
}
