#include "ctr/interaction_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

enum { BUCKETS = 16, SAMPLE = 1 << 16, MAX_CROSSED_NAME = 255 };

bool interaction_field_can_be_crossed(const struct interaction_field *field)
{
    return !field->is_number && field->name[strcspn(field->name, "*,")] == 0 &&
           strlen(field->name) <= MAX_CROSSED_NAME;
}

void interaction_rows_done(struct interaction_rows *rows)
{
    arena_done(&rows->arena);
    *rows = (struct interaction_rows){0};
}

/* [n_slots, n_rows] of 4 bytes, uninitialised. */
static void *new_column(struct interaction_rows *rows, uint32_t n_slots, onnxd_error *err)
{
    size_t n = 0;
    void *column = NULL;
    if (checked_mul_size(rows->n, sizeof(uint32_t), &n) && checked_mul_size(n, n_slots, &n))
        column = arena_alloc(&rows->arena, n);
    if (column == NULL)
        (void)error_set(err, ONNXD_ERR_NOMEM, "rows: no memory for columns of %llu rows; fewer would do",
                        (unsigned long long)rows->n);
    return column;
}

/* ---- labels, weights, answers ---- */

static onnxd_status read_outcomes(struct interaction_rows *rows, const struct encoded_rows *encoded,
                                  const float *p, onnxd_error *err)
{
    float *label = new_column(rows, 1, err), *weight = new_column(rows, 1, err);
    bool weighted = false;
    if (label == NULL || weight == NULL) return ONNXD_ERR_NOMEM;
    for (uint64_t i = 0; i < rows->n; i++) {
        label[i] = encoded_label(encoded, i);
        weight[i] = encoded_weight(encoded, i);
        weighted |= weight[i] != 1;
        if (!(p[i] >= 0 && p[i] <= 1) || !(label[i] >= 0 && label[i] <= 1) ||
            !(weight[i] >= 0 && isfinite(weight[i])))
            return error_set(err, ONNXD_ERR_RANGE,
                             "row %llu: answer %g, label %g, weight %g; expected 0..1, 0 or 1, and from 0",
                             (unsigned long long)i, (double)p[i], (double)label[i], (double)weight[i]);
    }
    rows->p = p;
    rows->label = label;
    rows->weight = weighted ? weight : NULL;
    return ONNXD_OK;
}

/* ---- columns of ids ---- */

static onnxd_status read_ids(struct interaction_rows *rows, const struct encoded_rows *encoded,
                             const struct feature_info *info, struct interaction_field *field,
                             onnxd_error *err)
{
    uint32_t *ids = new_column(rows, info->n_columns, err);
    if (ids == NULL) return ONNXD_ERR_NOMEM;
    for (uint64_t i = 0; i < rows->n; i++) {
        const float *columns = encoded_row(encoded, i) + info->first_column;
        for (uint32_t s = 0; s < info->n_columns; s++) {
            if (!(columns[s] >= 0 && columns[s] < (float)info->n_ids))
                return error_set(err, ONNXD_ERR_RANGE, "row %llu: %s: id %g; expected 0 to %u",
                                 (unsigned long long)i, info->name, (double)columns[s], info->n_ids - 1);
            ids[s * rows->n + i] = (uint32_t)columns[s];
        }
    }
    *field = (struct interaction_field){.name = info->name,
                                        .ids = ids,
                                        .n_slots = info->n_columns,
                                        .n_ids = info->n_ids,
                                        .padding_id = info->padding_id};
    return ONNXD_OK;
}

static int by_value(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Different bounds between buckets of about equal size, from rows at equal distances. */
static uint32_t find_bounds(const struct encoded_rows *encoded, uint32_t column, float *sample,
                            float bounds[BUCKETS])
{
    uint64_t n = encoded->n_rows < SAMPLE ? encoded->n_rows : SAMPLE;
    uint32_t n_bounds = 0;
    for (uint64_t i = 0; i < n; i++)
        sample[i] = encoded_row(encoded, (uint64_t)((double)i * (double)encoded->n_rows / (double)n))[column];
    qsort(sample, n, sizeof *sample, by_value);
    for (uint32_t b = 1; b < BUCKETS; b++) {
        float bound = sample[b * n / BUCKETS];
        if (bound > sample[0] && (n_bounds == 0 || bound > bounds[n_bounds - 1])) bounds[n_bounds++] = bound;
    }
    return n_bounds;
}

static onnxd_status read_number(struct interaction_rows *rows, const struct encoded_rows *encoded,
                                const struct feature_info *info, struct interaction_field *field,
                                onnxd_error *err)
{
    float bounds[BUCKETS];
    float *sample = malloc(SAMPLE * sizeof *sample);
    uint32_t *ids = new_column(rows, 1, err);
    if (sample == NULL || ids == NULL) {
        free(sample);
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory for its buckets", info->name);
    }
    uint32_t n_bounds = find_bounds(encoded, info->first_column, sample, bounds);
    free(sample);
    for (uint64_t i = 0; i < rows->n; i++) {
        float x = encoded_row(encoded, i)[info->first_column];
        ids[i] = 0;
        for (uint32_t b = 0; b < n_bounds; b++) ids[i] += x >= bounds[b];
    }
    *field = (struct interaction_field){.name = info->name,
                                        .ids = ids,
                                        .n_slots = 1,
                                        .n_ids = n_bounds + 1,
                                        .padding_id = FEATURE_NO_ID,
                                        .is_number = true};
    return ONNXD_OK;
}

/* ---- which fields ---- */

/* A number that has buckets, too, takes part by those. */
static bool has_buckets(const struct feature_set *set, const struct feature_info *number)
{
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        if (info->field == number->field && info->kind != FEATURE_NUMBER) return true;
    }
    return false;
}

static bool is_listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list;; at++) {
        size_t word = strcspn(at, ",");
        if (word == n && memcmp(at, name, n) == 0) return true;
        at += word;
        if (*at == 0) return false;
    }
}

static onnxd_status check_list(const struct interaction_rows *rows, const char *list, onnxd_error *err)
{
    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ",");
        bool found = false;
        for (uint32_t f = 0; f < rows->n_fields && !found; f++)
            found = strlen(rows->fields[f].name) == n && memcmp(rows->fields[f].name, at, n) == 0;
        if (!found)
            return error_set(err, ONNXD_ERR_ARGUMENT, "the model has no field \"%.*s\"", n < 60 ? (int)n : 60,
                             at);
        at += n;
        if (*at == 0) return ONNXD_OK;
    }
}

onnxd_status interaction_rows_init(struct interaction_rows *ret, const struct feature_set *set,
                                   const struct encoded_rows *encoded, const float *p, const char *only,
                                   onnxd_error *err)
{
    uint32_t n_features = feature_set_n_features(set);
    struct interaction_rows rows = {.n = encoded->n_rows};
    if (encoded->n_columns != feature_set_n_columns(set))
        return error_set(err, ONNXD_ERR_SHAPE, "rows: %u columns; the features have %u", encoded->n_columns,
                         feature_set_n_columns(set));
    arena_init(&rows.arena, 0);
    rows.fields = arena_alloc_array(&rows.arena, n_features, sizeof *rows.fields);
    onnxd_status status = rows.fields != NULL ? read_outcomes(&rows, encoded, p, err)
                                              : error_set(err, ONNXD_ERR_NOMEM, "rows: no memory");
    for (uint32_t i = 0; i < n_features && status == ONNXD_OK; i++) {
        const struct feature_info *info = feature_set_info(set, i);
        struct interaction_field *field = &rows.fields[rows.n_fields];
        if (only != NULL && !is_listed(only, info->name)) continue;
        if (info->kind != FEATURE_NUMBER)
            status = read_ids(&rows, encoded, info, field, err);
        else if (!has_buckets(set, info))
            status = read_number(&rows, encoded, info, field, err);
        else
            continue;
        rows.n_fields++;
    }
    if (status == ONNXD_OK && only != NULL) status = check_list(&rows, only, err);
    if (status == ONNXD_OK)
        *ret = rows;
    else
        interaction_rows_done(&rows);
    return status;
}
