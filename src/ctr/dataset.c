#include "ctr/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "ctr/record_reader.h"
#include "features/feature_build.h"

/* The plan of these records must tell the label where one is needed. */
static onnxd_status check_label(const struct record_reader *reader, bool needed, onnxd_error *err)
{
    const char *label = feature_plan_named(reader->plan, PLAN_LABEL);
    if (!needed) return ONNXD_OK;
    if (label == NULL)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "%.200s: no field is named as the label; the records have: %.100s, ...",
                         reader->source->paths[0], reader->n_names > 0 ? reader->names[0] : "");
    if (map_get(&reader->by_name, label, strlen(label)) != MAP_NONE) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_NOT_FOUND, "%.200s: there is no column '%.60s', the label",
                     reader->source->paths[0], label);
}

onnxd_status dataset_learn(const struct dataset_source *source, struct feature_plan *plan,
                           struct feature_set **ret_set, onnxd_error *err)
{
    struct record_reader *reader = NULL;
    struct feature_learner *learner = NULL;
    const struct field_value *fields;
    onnxd_status status = record_reader_open(source, plan, NULL, &reader, err);
    if (status != ONNXD_OK) return status;
    while ((status = record_reader_next(reader, &fields, err)) == ONNXD_OK && fields != NULL) {
        if (learner == NULL) {
            status = check_label(reader, source->needs_label, err);
            if (status == ONNXD_OK)
                status = feature_learner_create(plan, reader->names, reader->n_names, &learner, err);
            if (status != ONNXD_OK) break;
        }
        status = feature_learner_add(learner, fields, err);
        if (status == ONNXD_OK) continue;
        record_reader_blame(reader, err);
        break;
    }
    if (status == ONNXD_OK) {
        status = feature_learner_finish(learner, ret_set, err);
        if (status != ONNXD_OK) error_prefix(err, "%.200s: ", source->paths[0]);
    }
    feature_learner_free(learner);
    record_reader_close(reader);
    return status;
}

/* ---- encoding ------------------------------------------------------------------------------------ */

struct encoder {
    const struct feature_set *set;
    const struct feature_plan *plan;
    struct record_reader *reader;
    uint32_t *target;           /* [n_names] field of the set, or FEATURE_NO_FIELD */
    uint32_t label, weight;     /* fields of the records, or MAP_NONE */
    struct field_value *fields; /* [n_fields] of the set */
    uint64_t *unknowns;         /* [n_fields] */
    float *row;                 /* [n_columns] */
    uint32_t n_mapped;          /* names that were mapped */
};

static uint32_t find_role(const struct encoder *e, enum plan_role role)
{
    const char *name = feature_plan_named(e->plan, role);
    return name != NULL ? map_get(&e->reader->by_name, name, strlen(name)) : MAP_NONE;
}

/* Once the first record has told the names. */
static onnxd_status map_names(struct encoder *e, onnxd_error *err)
{
    uint32_t n_fields = feature_set_n_fields(e->set);
    const struct record_reader *reader = e->reader;
    e->n_mapped = reader->n_names;
    e->label = find_role(e, PLAN_LABEL);
    e->weight = find_role(e, PLAN_WEIGHT);
    for (uint32_t i = 0; i < reader->n_names; i++)
        e->target[i] = i == e->label || i == e->weight
                           ? FEATURE_NO_FIELD
                           : feature_set_find(e->set, reader->names[i], strlen(reader->names[i]));
    for (uint32_t i = 0; i < n_fields; i++) {
        const char *name = feature_set_field_name(e->set, i);
        if (feature_set_is_dropped(e->set, i) || map_get(&reader->by_name, name, strlen(name)) != MAP_NONE)
            continue;
        return error_set(err, ONNXD_ERR_NOT_FOUND,
                         "%.200s: there is no column '%.60s', which the model takes",
                         reader->source->paths[0], name);
    }
    if (e->weight == MAP_NONE && feature_plan_named(e->plan, PLAN_WEIGHT) != NULL &&
        reader->source->needs_label)
        return error_set(err, ONNXD_ERR_NOT_FOUND, "%.200s: there is no column '%.60s', the weight",
                         reader->source->paths[0], feature_plan_named(e->plan, PLAN_WEIGHT));
    return check_label(reader, reader->source->needs_label, err);
}

static onnxd_status read_label(const struct encoder *e, const struct field_value *value, float *ret,
                               onnxd_error *err)
{
    const char *positive = e->plan->positive;
    onnxd_string text = category_text(NULL, 0, value);
    if (positive != NULL && text.len > 0) {
        *ret = text.len == strlen(positive) && memcmp(text.data, positive, text.len) == 0;
        return ONNXD_OK;
    }
    bool number = value->kind == FIELD_NUMBER || value->kind == FIELD_BOOL;
    if (positive == NULL && number && (value->number == 0 || value->number == 1)) {
        *ret = (float)value->number;
        return ONNXD_OK;
    }
    if (positive != NULL)
        return error_set(err, ONNXD_ERR_FORMAT, "label '%.60s' is empty", e->reader->names[e->label]);
    return error_set(err, ONNXD_ERR_FORMAT,
                     "label '%.60s': expected 0 or 1, got '%.*s'; another text of positive rows can be named",
                     e->reader->names[e->label], text.len < 60 ? (int)text.len : 60, text.data);
}

static onnxd_status read_weight(const struct encoder *e, const struct field_value *value, float *ret,
                                onnxd_error *err)
{
    if (value->kind != FIELD_NUMBER || !(value->number >= 0) || !isfinite((float)value->number))
        return error_set(err, ONNXD_ERR_FORMAT, "weight '%.60s': expected a number of at least 0, got '%.*s'",
                         e->reader->names[e->weight], value->text.len < 60 ? (int)value->text.len : 60,
                         value->text.len > 0 ? value->text.data : "");
    *ret = (float)value->number;
    return ONNXD_OK;
}

static onnxd_status encode_record(struct encoder *e, const struct field_value *record,
                                  struct encoded_writer *writer, struct dataset_totals *totals,
                                  onnxd_error *err)
{
    float label = 0, weight = 1;
    onnxd_status status = ONNXD_OK;
    if (e->label != MAP_NONE) status = read_label(e, &record[e->label], &label, err);
    if (status == ONNXD_OK && e->weight != MAP_NONE)
        status = read_weight(e, &record[e->weight], &weight, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < e->n_mapped; i++)
        if (e->target[i] != FEATURE_NO_FIELD) e->fields[e->target[i]] = record[i];
    status = feature_set_convert(e->set, e->fields, e->row, e->unknowns, err);
    if (status == ONNXD_OK) status = encoded_writer_append(writer, e->row, label, weight, err);
    if (status != ONNXD_OK) return status;
    totals->n_rows++;
    totals->n_positives += label == 1;
    return ONNXD_OK;
}

static onnxd_status encode_all(struct encoder *e, struct encoded_writer *writer,
                               struct dataset_totals *totals, onnxd_error *err)
{
    const struct field_value *record;
    onnxd_status status;
    while ((status = record_reader_next(e->reader, &record, err)) == ONNXD_OK && record != NULL) {
        if (e->n_mapped == 0 && (status = map_names(e, err)) != ONNXD_OK) return status;
        status = encode_record(e, record, writer, totals, err);
        if (status == ONNXD_OK) continue;
        if (status != ONNXD_ERR_IO) record_reader_blame(e->reader, err); /* a full disk is not the record's */
        return status;
    }
    totals->has_labels = e->label != MAP_NONE;
    totals->has_weights = e->weight != MAP_NONE;
    for (uint32_t i = 0; i < feature_set_n_fields(e->set); i++) totals->n_unknowns += e->unknowns[i];
    return status;
}

onnxd_status dataset_encode(const struct dataset_source *source, const struct feature_set *set,
                            struct feature_plan *plan, struct encoded_writer *writer,
                            struct dataset_totals *ret_totals, onnxd_error *err)
{
    uint32_t n_fields = feature_set_n_fields(set);
    struct dataset_totals totals = {0};
    struct encoder e = {.set = set, .plan = plan, .label = MAP_NONE, .weight = MAP_NONE};
    onnxd_status status = record_reader_open(source, plan, set, &e.reader, err);
    if (status != ONNXD_OK) return status;
    e.target = calloc(RECORD_MAX_FIELDS, sizeof *e.target);
    e.fields = calloc(n_fields + 1u, sizeof *e.fields);
    e.unknowns = calloc(n_fields + 1u, sizeof *e.unknowns);
    e.row = calloc(feature_set_n_columns(set), sizeof *e.row);
    if (e.target == NULL || e.fields == NULL || e.unknowns == NULL || e.row == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for encoding records");
    if (status == ONNXD_OK) status = encode_all(&e, writer, &totals, err);
    if (status == ONNXD_OK) *ret_totals = totals;
    free(e.target);
    free(e.fields);
    free(e.unknowns);
    free(e.row);
    record_reader_close(e.reader);
    return status;
}

onnxd_status dataset_plan_of(const struct feature_set *set, struct feature_plan **ret_plan, onnxd_error *err)
{
    const struct feature_records *records = feature_set_records(set);
    struct feature_plan *plan = NULL;
    onnxd_status status = feature_plan_create(&plan, err);
    if (status == ONNXD_OK && records->label != NULL)
        status = feature_plan_assign_one(plan, records->label, PLAN_LABEL, err);
    if (status == ONNXD_OK && records->weight != NULL)
        status = feature_plan_assign_one(plan, records->weight, PLAN_WEIGHT, err);
    if (status != ONNXD_OK) {
        feature_plan_free(plan);
        return status;
    }
    plan->positive = records->positive; /* the set outlives its plan */
    plan->columns = records->columns;
    plan->n_columns = records->n_columns;
    *ret_plan = plan;
    return ONNXD_OK;
}
