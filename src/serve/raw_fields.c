#include "serve/raw_fields.h"

#include "base/error.h"
#include "features/features_file.h"
#include "json/json_writer.h"

#define MAX_VALUES_TOLD 20u

_Static_assert(FEATURE_NO_FIELD == PROTOCOL_NO_FIELD, "find hands on what the set says");

static uint32_t find(const void *context, const char *name, size_t n)
{
    return feature_set_find(context, name, n);
}

static const char *names(const void *context)
{
    return feature_set_names(context);
}

static onnxd_status convert(const void *context, const struct field_value *fields, void *const *row_inputs,
                            uint64_t *unknowns, onnxd_error *err)
{
    return feature_set_convert(context, fields, row_inputs[0], unknowns, err);
}

/* The most frequent values of the vocabularies that a field feeds. */
static void write_values(const struct feature_set *set, uint32_t field, struct json_writer *w)
{
    uint32_t n_told = 0;
    json_begin_array(w);
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        if (info->field != field) continue;
        for (uint32_t id = 0; id < info->n_ids && id < 2 * MAX_VALUES_TOLD && n_told < MAX_VALUES_TOLD;
             id++) {
            size_t n;
            const char *text = feature_set_value(set, i, id, &n);
            if (text == NULL || n == 0) continue;
            json_string_n(w, text, n);
            n_told++;
        }
    }
    json_end_array(w);
}

static void describe(const void *context, struct json_writer *w)
{
    static const char *const kinds[] = {
        [FEATURE_CATEGORY] = "category", [FEATURE_CATEGORIES] = "categories", [FEATURE_NUMBER] = "number"};
    json_begin_array(w);
    for (uint32_t f = 0; f < feature_set_n_fields(context); f++) {
        if (feature_set_is_dropped(context, f)) continue;
        json_begin_object(w);
        json_key(w, "name");
        json_string(w, feature_set_field_name(context, f));
        json_key(w, "kind");
        json_string(w, kinds[feature_set_field_kind(context, f)]);
        json_key(w, "values");
        write_values(context, f, w);
        json_end_object(w);
    }
    json_end_array(w);
}

static onnxd_status check(const struct feature_set *set, const onnxd_io_info *inputs, uint32_t n_inputs,
                          onnxd_error *err)
{
    uint32_t n_columns = feature_set_n_columns(set);
    if (n_inputs != 1)
        return error_set(err, ONNXD_ERR_MODEL, "the feature description makes one input, the model takes %u",
                         n_inputs);
    if (inputs[0].type != ONNXD_FLOAT32 || inputs[0].rank != 2 || inputs[0].dims[1] != n_columns)
        return error_set(err, ONNXD_ERR_MODEL,
                         "the feature description makes float32 [batch, %u], which is not what the model's "
                         "input '%.60s' takes",
                         n_columns, inputs[0].name);
    return ONNXD_OK;
}

onnxd_status raw_fields_load(struct raw_fields *fields, const char *model_path, const onnxd_io_info *inputs,
                             uint32_t n_inputs, onnxd_error *err)
{
    struct feature_set *set = NULL;
    onnxd_status status = features_load_beside(model_path, &set, err);
    if (status == ONNXD_OK && set != NULL) status = check(set, inputs, n_inputs, err);
    if (status != ONNXD_OK) {
        feature_set_unref(set);
        return status;
    }
    *fields = (struct raw_fields){.set = set};
    if (set != NULL)
        fields->hook = (struct protocol_features){.context = set,
                                                  .n_fields = feature_set_n_fields(set),
                                                  .find = find,
                                                  .names = names,
                                                  .convert = convert,
                                                  .describe = describe};
    return ONNXD_OK;
}

void raw_fields_done(struct raw_fields *fields)
{
    feature_set_unref(fields->set);
    *fields = (struct raw_fields){0};
}
