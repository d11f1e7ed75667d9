/* Any text as a feature description and as a schema. A description that is read is written so that reading it
 * again gives the same text, and turns records of every kind into rows within its ids. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "features/feature_plan.h"
#include "features/features_file.h"

static const struct field_value list[] = {{.kind = FIELD_STRING, .text = {"a", 1}},
                                          {.kind = FIELD_NUMBER, .number = 7, .text = {"7", 1}}};
static const struct field_value kinds[] = {
    {.kind = FIELD_NULL},
    {.kind = FIELD_BOOL, .number = 1},
    {.kind = FIELD_NUMBER, .number = -12.5, .text = {"-12.5", 5}},
    {.kind = FIELD_NUMBER, .number = 1e300, .text = {"1e300", 5}},
    {.kind = FIELD_STRING, .text = {"a;b;;4.0", 8}},
    {.kind = FIELD_LIST, .items = list, .n_items = 2},
};

static void check_row(const struct feature_set *set, const float *row)
{
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        for (uint32_t k = 0; k < info->n_columns; k++) {
            float x = row[info->first_column + k];
            if (!isfinite(x)) abort();
            if (info->kind != FEATURE_NUMBER && !(x >= 0 && x < (float)info->n_ids && x == floorf(x)))
                abort();
        }
    }
}

static void convert_all(const struct feature_set *set)
{
    uint32_t n = feature_set_n_fields(set);
    struct field_value *fields = calloc(n, sizeof *fields);
    uint64_t *unknowns = calloc(n, sizeof *unknowns);
    float *row = calloc(feature_set_n_columns(set), sizeof *row);
    onnxd_error err;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (uint32_t i = 0; i < n; i++) fields[i] = kinds[k];
        err.message[0] = 0;
        if (feature_set_convert(set, fields, row, unknowns, &err) == ONNXD_OK)
            check_row(set, row);
        else if (err.message[0] == 0)
            abort();
    }
    free(fields);
    free(unknowns);
    free(row);
}

static void try_description(const char *text, size_t n)
{
    struct feature_set *set = NULL, *again = NULL;
    struct buf first, second;
    onnxd_error err = {0};
    if (features_read(text, n, NULL, &set, &err) != ONNXD_OK) {
        if (err.message[0] == 0) abort();
        return;
    }
    buf_init(&first, (size_t)1 << 24);
    buf_init(&second, (size_t)1 << 24);
    if (features_write(set, NULL, &first, &err) != ONNXD_OK ||
        features_read(first.data, first.n, NULL, &again, &err) != ONNXD_OK ||
        features_write(again, NULL, &second, &err) != ONNXD_OK || first.n != second.n ||
        memcmp(first.data, second.data, first.n) != 0)
        abort();
    convert_all(again);
    buf_done(&first);
    buf_done(&second);
    feature_set_unref(set);
    feature_set_unref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct feature_plan *plan = NULL;
    onnxd_error err = {0};
    try_description((const char *)bytes, n);
    if (feature_plan_create(&plan, &err) != ONNXD_OK) abort();
    if (feature_plan_read(plan, (const char *)bytes, n, &err) != ONNXD_OK && err.message[0] == 0) abort();
    feature_plan_free(plan);
    return 0;
}
