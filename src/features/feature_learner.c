#include "features/feature_learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "features/feature_build.h"
#include "features/number_sketch.h"
#include "features/value_counts.h"

struct learned_field {
    const char *name;
    struct field_plan plan;
    struct value_counts counts;
    struct number_sketch sketch;
};

struct feature_learner {
    const struct feature_plan *plan;
    struct arena names;
    struct learned_field *fields; /* [n_fields], one for each name, label and weight too */
    uint32_t n_fields;
    onnxd_string marks[PLAN_MAX_MARKS];
    uint32_t n_marks;
    uint64_t n_records;
};

/* Texts counted for each one kept: the margin that makes forgetting harmless. */
enum { CEILING_FACTOR = 4 };

static onnxd_status no_memory(onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_NOMEM, "no memory for learning the features");
}

static bool is_among(const char *name, const char *const *names, uint32_t n_names)
{
    for (uint32_t i = 0; i < n_names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static onnxd_status check_plan(const struct feature_plan *plan, const char *const *names, uint32_t n_names,
                               onnxd_error *err)
{
    for (uint32_t i = 0; i < plan->n_fields; i++) {
        const struct field_plan *field = &plan->fields[i];
        if (field->role == PLAN_LABEL || field->role == PLAN_WEIGHT || is_among(field->name, names, n_names))
            continue;
        return error_set(err, ONNXD_ERR_NOT_FOUND,
                         "the records have no field '%.60s', which schema or options name", field->name);
    }
    return ONNXD_OK;
}

onnxd_status feature_learner_create(const struct feature_plan *plan, const char *const *names,
                                    uint32_t n_names, struct feature_learner **ret_learner, onnxd_error *err)
{
    onnxd_status status = check_plan(plan, names, n_names, err);
    if (status != ONNXD_OK) return status;
    struct feature_learner *learner = calloc(1, sizeof *learner);
    if (learner == NULL) return no_memory(err);
    learner->plan = plan;
    arena_init(&learner->names, 0);
    for (uint32_t i = 0; i < plan->n_marks; i++)
        learner->marks[i] = (onnxd_string){plan->marks[i], strlen(plan->marks[i])};
    learner->n_marks = plan->n_marks;
    learner->fields = calloc(n_names + 1u, sizeof *learner->fields);
    if (learner->fields == NULL) status = no_memory(err);
    for (uint32_t i = 0; i < n_names && status == ONNXD_OK; i++) {
        struct learned_field *field = &learner->fields[learner->n_fields++];
        field->plan = feature_plan_of(plan, names[i], strlen(names[i]));
        uint64_t ceiling = (uint64_t)field->plan.max_values * CEILING_FACTOR;
        value_counts_init(&field->counts, ceiling < UINT32_MAX / 2 ? (uint32_t)ceiling : UINT32_MAX / 2);
        number_sketch_init(&field->sketch);
        field->name = arena_strdup(&learner->names, names[i]);
        if (field->name == NULL) status = no_memory(err);
    }
    if (status == ONNXD_OK)
        *ret_learner = learner;
    else
        feature_learner_free(learner);
    return status;
}

void feature_learner_free(struct feature_learner *learner)
{
    if (learner == NULL) return;
    for (uint32_t i = 0; i < learner->n_fields; i++) {
        value_counts_done(&learner->fields[i].counts);
        number_sketch_done(&learner->fields[i].sketch);
    }
    arena_done(&learner->names);
    free(learner->fields);
    free(learner);
}

/* ---- learning ------------------------------------------------------------------------------------ */

struct counting {
    struct value_counts *counts;
    bool failed;
};

static bool count_text(void *context, onnxd_string text)
{
    struct counting *counting = context;
    counting->failed = !value_counts_add(counting->counts, text);
    return !counting->failed;
}

static onnxd_status learn_number(const struct feature_learner *learner, struct learned_field *field,
                                 const struct field_value *value, onnxd_error *err)
{
    double x;
    bool missing;
    onnxd_status status = number_of_value(learner->marks, learner->n_marks, value, &x, &missing, err);
    if (status != ONNXD_OK || missing) return status;
    return number_sketch_add(&field->sketch, x) ? ONNXD_OK : no_memory(err);
}

static onnxd_status learn_field(const struct feature_learner *learner, struct learned_field *field,
                                const struct field_value *value, onnxd_error *err)
{
    struct counting counting = {.counts = &field->counts};
    switch (field->plan.role) {
    case PLAN_NUMBER: return learn_number(learner, field, value, err);
    case PLAN_CATEGORY:
        if (value->kind == FIELD_LIST)
            return error_set(err, ONNXD_ERR_TYPE, "expected one value, got a list of %u", value->n_items);
        if (field->plan.hash == 0)
            count_text(&counting, category_text(learner->marks, learner->n_marks, value));
        break;
    case PLAN_CATEGORIES:
        if (field->plan.hash == 0)
            categories_each(learner->marks, learner->n_marks, field->plan.separator, value, count_text,
                            &counting);
        break;
    case PLAN_DROP:
    case PLAN_LABEL:
    case PLAN_WEIGHT: break;
    }
    return counting.failed ? no_memory(err) : ONNXD_OK;
}

onnxd_status feature_learner_add(struct feature_learner *learner, const struct field_value *fields,
                                 onnxd_error *err)
{
    for (uint32_t i = 0; i < learner->n_fields; i++) {
        onnxd_status status = learn_field(learner, &learner->fields[i], &fields[i], err);
        if (status == ONNXD_OK) continue;
        error_prefix(err, "field '%.60s': ", learner->fields[i].name);
        return status;
    }
    learner->n_records++;
    return ONNXD_OK;
}

/* ---- the set ------------------------------------------------------------------------------------- */

static onnxd_status make_vocabulary(struct feature_set *set, struct learned_field *from,
                                    struct feature_field *field, onnxd_error *err)
{
    const struct value_counts *counts = &from->counts;
    uint32_t n = 0;
    value_counts_sort(&from->counts);
    while (n < counts->n && n < from->plan.max_values && counts->items[n].n >= from->plan.min_count) n++;
    onnxd_string *values = arena_alloc_array(&set->arena, n, sizeof *values);
    if (values == NULL) return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        onnxd_string text = counts->items[i].text;
        char *copy = arena_strndup(&set->arena, text.data, text.len);
        if (copy == NULL) return no_memory(err);
        values[i] = (onnxd_string){copy, text.len};
    }
    return feature_build_values(set, field, values, n, err);
}

/* What a spread is divided by; 0 where it is beyond any number. */
static double factor_of(double spread)
{
    return spread > 0 && isfinite(1 / spread) ? 1 / spread : 1;
}

static struct number_rule rule_of(enum plan_normal normal, const struct number_sketch *sketch)
{
    struct number_rule rule = {.multiply = 1, .low = -INFINITY, .high = INFINITY};
    if (normal == PLAN_MINMAX) {
        double range = sketch->max - sketch->min;
        rule.subtract = sketch->min;
        rule.multiply = factor_of(range);
        rule.low = 0;
        rule.high = 1;
        rule.missing = (sketch->plain.mean - rule.subtract) * rule.multiply;
    } else if (normal == PLAN_AS_IT_IS) {
        rule.missing = sketch->plain.mean;
    } else {
        rule.log = normal != PLAN_STANDARD;
        const struct number_moments *moments = rule.log ? &sketch->log : &sketch->plain;
        double deviation = number_moments_deviation(moments, sketch->n);
        rule.subtract = moments->mean;
        rule.multiply = factor_of(deviation);
    }
    return rule;
}

static onnxd_status make_number(struct feature_set *set, struct learned_field *from,
                                struct feature_field *field, onnxd_error *err)
{
    enum plan_normal normal = from->plan.normal;
    struct number_sketch *sketch = &from->sketch;
    field->has_number = normal != PLAN_QUANTILE;
    field->has_buckets = normal == PLAN_QUANTILE || normal == PLAN_QUANTILE_LOG;
    field->rule = rule_of(normal, sketch);
    if (!isfinite(field->rule.subtract) || !isfinite(field->rule.missing) || field->rule.multiply == 0)
        return error_set(err, ONNXD_ERR_RANGE, "field '%.60s': its numbers are too large to be normalised",
                         from->name);
    if (!field->has_buckets) return ONNXD_OK;
    field->bounds = arena_alloc_array(&set->arena, from->plan.buckets, sizeof *field->bounds);
    if (field->bounds == NULL) return no_memory(err);
    field->n_bounds = number_sketch_bounds(sketch, from->plan.buckets, field->bounds);
    return ONNXD_OK;
}

static onnxd_status make_field(struct feature_set *set, struct learned_field *from, onnxd_error *err)
{
    static const enum feature_source sources[] = {[PLAN_CATEGORY] = SOURCE_CATEGORY,
                                                  [PLAN_CATEGORIES] = SOURCE_CATEGORIES,
                                                  [PLAN_NUMBER] = SOURCE_NUMBER,
                                                  [PLAN_DROP] = SOURCE_DROPPED};
    const struct field_plan *plan = &from->plan;
    struct feature_field *field;
    if (plan->role == PLAN_LABEL || plan->role == PLAN_WEIGHT) return ONNXD_OK;
    onnxd_status status = feature_build_field(set, from->name, strlen(from->name), &field, err);
    if (status != ONNXD_OK) return status;
    field->source = sources[plan->role];
    field->slots = plan->slots;
    field->separator = plan->separator;
    field->min_ids = plan->reserve_ids;
    if (field->source == SOURCE_NUMBER) return make_number(set, from, field, err);
    field->hash = plan->hash;
    if (field->source == SOURCE_DROPPED || field->hash > 0) return ONNXD_OK;
    return make_vocabulary(set, from, field, err);
}

static bool copy_text(struct feature_set *set, const char *text, const char **ret)
{
    *ret = text != NULL ? arena_strdup(&set->arena, text) : NULL;
    return text == NULL || *ret != NULL;
}

static bool copy_records(struct feature_set *set, const struct feature_plan *plan)
{
    struct feature_records *records = &set->records;
    const char **columns = arena_alloc_array(&set->arena, plan->n_columns, sizeof *columns);
    bool done = columns != NULL && copy_text(set, feature_plan_named(plan, PLAN_LABEL), &records->label) &&
                copy_text(set, feature_plan_named(plan, PLAN_WEIGHT), &records->weight) &&
                copy_text(set, plan->positive, &records->positive);
    for (uint32_t i = 0; i < plan->n_columns && done; i++)
        done = copy_text(set, plan->columns[i], &columns[i]);
    records->columns = plan->columns != NULL ? columns : NULL;
    records->n_columns = plan->n_columns;
    return done;
}

onnxd_status feature_learner_finish(struct feature_learner *learner, struct feature_set **ret_set,
                                    onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    if (learner->n_records == 0) return error_set(err, ONNXD_ERR_FORMAT, "there is no record to learn from");
    struct feature_set *set = feature_build_start();
    if (set == NULL || !copy_records(set, learner->plan)) {
        feature_set_unref(set);
        return no_memory(err);
    }
    for (uint32_t i = 0; i < learner->n_marks && status == ONNXD_OK; i++)
        status = feature_build_mark(set, learner->marks[i].data, learner->marks[i].len, err);
    for (uint32_t i = 0; i < learner->n_fields && status == ONNXD_OK; i++)
        status = make_field(set, &learner->fields[i], err);
    if (status == ONNXD_OK) status = feature_build_finish(set, err);
    if (status == ONNXD_OK)
        *ret_set = set;
    else
        feature_set_unref(set);
    return status;
}
