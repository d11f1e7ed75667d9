/* Operators of ai.onnx.ml between maps, columns and feature vectors: FeatureVectorizer,
 * ArrayFeatureExtractor, DictVectorizer, CastMap, ZipMap.
 * Source: ONNX operator specification, ai.onnx.ml-1. */
#include "ops/op.h"

#include <stdlib.h>
#include <string.h>

#include "ops/elements.h"
#include "ops/infer.h"
#include "base/lookup.h"
#include "ops/ml_common.h"
#include "tensor/dtype.h"

static onnxd_status no_room(const struct op_run *run, onnxd_error *err)
{
    return op_error(err, run->node, ONNXD_ERR_LIMIT, "no room: the session's memory limit is reached");
}

/* ---- FeatureVectorizer: columns of all inputs side by side ------------------------------------------ */

/* Columns that input i gives: its attribute's entry, else what it has. Missing columns are 0. */
static int64_t width_of(const struct node *node, uint32_t i, int64_t otherwise)
{
    size_t n;
    const int64_t *widths = node_attribute_ints(node, "inputdimensions", &n);
    return i < n ? widths[i] : otherwise;
}

static onnxd_status check_vectorizer(const struct node *node, onnxd_error *err)
{
    for (uint32_t i = 0; i < node->n_in; i++)
        if (width_of(node, i, 0) < 0 || width_of(node, i, 0) > INT32_MAX)
            return op_error(err, node, ONNXD_ERR_MODEL, "inputdimensions holds %lld",
                            (long long)width_of(node, i, 0));
    return ONNXD_OK;
}

static onnxd_status shapes_vectorizer(struct op_shapes *s, onnxd_error *err)
{
    struct dim rows = dim_unknown(), columns = dim_constant(0);
    for (uint32_t i = 0; i < s->n_in; i++) {
        const struct value_info *in = s->in[i];
        struct dim n, width = dim_unknown();
        onnxd_status status = infer_type(s, i, TYPES_NUMERIC, err);
        if (status != ONNXD_OK) return status;
        if (in->rank == 0 || in->rank > 2)
            return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has rank %d, expected 1 or 2", i,
                            in->rank);
        if (in->rank > 0) {
            n = in->rank == 2 ? in->dims[0] : dim_constant(1);
            width = in->dims[in->rank - 1];
            if (dim_differs(n, rows))
                return op_error(err, s->node, ONNXD_ERR_SHAPE, "input %u has %lld rows, others %lld", i,
                                (long long)n.n, (long long)rows.n);
            rows = dim_merge(n, rows);
        }
        if (width_of(s->node, i, -1) >= 0) width = dim_constant(width_of(s->node, i, -1));
        columns = dim_add(columns, width);
    }
    ml_set_rows(s, 0, ONNXD_FLOAT32, rows, columns);
    return ONNXD_OK;
}

static onnxd_status run_vectorizer(struct op_run *run, onnxd_error *err)
{
    (void)err;
    float *out = run->out[0]->data;
    int64_t n_rows = run->out[0]->dims[0], stride = run->out[0]->dims[1], at = 0;
    memset(out, 0, onnxd_tensor_n_bytes(run->out[0]));
    for (uint32_t i = 0; i < run->n_in; i++) {
        struct ml_rows rows = ml_rows_of(run->in[i]);
        int64_t width = width_of(run->node, i, rows.n_columns);
        int64_t n = rows.n_columns < width ? rows.n_columns : width;
        for (int64_t r = 0; r < n_rows && n > 0; r++)
            elements_load(LANE_F32, run->in[i]->type, run->in[i]->data, r * rows.n_columns, 1, n,
                          out + r * stride + at);
        at += width;
    }
    return ONNXD_OK;
}

/* ---- ArrayFeatureExtractor: picks positions of the last axis --------------------------------------- */

static onnxd_status shapes_extractor(struct op_shapes *s, onnxd_error *err)
{
    const struct value_info *in = s->in[0];
    struct dim dims[ONNXD_MAX_RANK], n = value_info_n_elements(s->in[1]);
    onnxd_status status = infer_type(s, 1, TYPE_BIT(ONNXD_INT64), err);
    shapes_set_type(s, 0, in->type);
    if (status != ONNXD_OK || in->rank < 0) return status;
    if (in->rank == 0) return op_error(err, s->node, ONNXD_ERR_SHAPE, "input 0 has no axis");
    memcpy(dims, in->dims, (size_t)in->rank * sizeof *dims);
    dims[in->rank - 1] = n;
    if (in->rank == 1) { /* a vector counts as one row */
        dims[0] = dim_constant(1);
        dims[1] = n;
    }
    shapes_set(s, 0, in->type, in->rank == 1 ? 2 : in->rank, dims);
    return ONNXD_OK;
}

static onnxd_status run_extractor(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    const int64_t *picks = run->in[1]->data;
    int64_t n_picks = onnxd_tensor_n_elements(run->in[1]), width = in->dims[in->rank - 1];
    int64_t n_rows = width > 0 ? onnxd_tensor_n_elements(in) / width : 0;
    size_t size = type_size(in->type);
    char *out = run->out[0]->data;
    for (int64_t k = 0; k < n_picks; k++)
        if (picks[k] < 0 || picks[k] >= width)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "index %lld is outside %lld columns",
                            (long long)picks[k], (long long)width);
    for (int64_t r = 0; r < n_rows; r++)
        for (int64_t k = 0; k < n_picks; k++, out += size)
            memcpy(out, (const char *)in->data + (size_t)(r * width + picks[k]) * size, size);
    return ONNXD_OK;
}

/* ---- DictVectorizer: a map's values in the order of a vocabulary ------------------------------------- */

static struct ml_labels vocabulary_of(const struct node *node)
{
    return ml_labels_of(node, "int64_vocabulary", "string_vocabulary");
}

static onnxd_status check_dict(const struct node *node, onnxd_error *err)
{
    if (vocabulary_of(node).n > 0) return ONNXD_OK;
    return op_error(err, node, ONNXD_ERR_MODEL, "string_vocabulary or int64_vocabulary is missing");
}

static onnxd_status expect_map(const struct op_shapes *s, onnxd_error *err)
{
    onnxd_type type = s->in[0]->type;
    if (type == ONNXD_UNDEFINED || type == ONNXD_MAP) return ONNXD_OK;
    return op_error(err, s->node, ONNXD_ERR_TYPE, "input 0 is %s, expected map", onnxd_type_name(type));
}

static onnxd_status shapes_dict(struct op_shapes *s, onnxd_error *err)
{
    shapes_set_type(s, 0, s->in[0]->item_type);
    return expect_map(s, err);
}

static onnxd_status run_dict(struct op_run *run, onnxd_error *err)
{
    const onnxd_map *map = run->in[0]->data;
    struct ml_labels words = vocabulary_of(run->node);
    int64_t dims[] = {1, (int64_t)words.n}, n = onnxd_tensor_n_elements(&map->keys);
    struct lookup *lookup = words.strings != NULL ? lookup_of_strings(run->env->arena, words.strings, words.n)
                                                  : lookup_of_ints(run->env->arena, words.ints, words.n);
    if (lookup == NULL) return no_room(run, err);
    if ((map->keys.type == ONNXD_STRING) != (words.strings != NULL))
        return op_error(err, run->node, ONNXD_ERR_TYPE, "keys of type %s do not fit the vocabulary",
                        onnxd_type_name(map->keys.type));
    onnxd_status status = op_allocate_output(run, 0, map->values.type, 2, dims, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    size_t size = type_size(map->values.type);
    memset(run->out[0]->data, 0, onnxd_tensor_n_bytes(run->out[0]));
    onnxd_tensor values;
    status = op_copy_tensor(run->env->arena, &map->values, &values, err);
    for (int64_t i = 0; i < n && status == ONNXD_OK; i++) {
        uint32_t at = words.strings != NULL ? lookup_string(lookup, ((const onnxd_string *)map->keys.data)[i])
                                            : lookup_int(lookup, element_i64(&map->keys, i));
        if (at != LOOKUP_NONE)
            memcpy((char *)run->out[0]->data + at * size, (const char *)values.data + (size_t)i * size, size);
    }
    return status;
}

/* ---- CastMap: a map's values in the order of its integer keys ----------------------------------------- */

static const char *const map_types[] = {"TO_FLOAT", "TO_STRING", "TO_INT64", NULL};
static const char *const map_forms[] = {"DENSE", "SPARSE", NULL};

static onnxd_type cast_type(const struct node *node)
{
    static const onnxd_type types[] = {ONNXD_FLOAT32, ONNXD_STRING, ONNXD_INT64};
    return types[attribute_word(node, "cast_to", map_types, 0)];
}

static onnxd_status check_cast_map(const struct node *node, onnxd_error *err)
{
    onnxd_status status = check_word(node, "cast_to", map_types, err);
    if (status == ONNXD_OK) status = check_word(node, "map_form", map_forms, err);
    int64_t max = node_attribute_int(node, "max_map", 1);
    if (status == ONNXD_OK && attribute_word(node, "map_form", map_forms, 0) == 1 &&
        (max < 1 || max > INT32_MAX))
        status = op_error(err, node, ONNXD_ERR_MODEL, "max_map is %lld", (long long)max);
    return status;
}

static onnxd_status shapes_cast_map(struct op_shapes *s, onnxd_error *err)
{
    shapes_set_type(s, 0, cast_type(s->node));
    return expect_map(s, err);
}

struct entry {
    int64_t key, at;
};

static int by_key(const void *a, const void *b)
{
    int64_t x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;
    return (x > y) - (x < y);
}

/* One value of the map as element `at` of the output. */
static onnxd_status cast_value(struct op_run *run, const onnxd_tensor *values, int64_t i, onnxd_tensor *out,
                               int64_t at, onnxd_error *err)
{
    const onnxd_string *text = values->type == ONNXD_STRING ? &((const onnxd_string *)values->data)[i] : NULL;
    if (out->type == ONNXD_STRING) {
        char *copy = text != NULL ? arena_memdup(run->env->arena, text->data, text->len)
                                  : arena_printf(run->env->arena, "%g", element_f64(values, i));
        if (copy == NULL) return no_room(run, err);
        ((onnxd_string *)out->data)[at] = (onnxd_string){copy, text != NULL ? text->len : strlen(copy)};
        return ONNXD_OK;
    }
    double value = 0;
    if (text != NULL) {
        char *copy = arena_strndup(run->env->arena, text->data, text->len), *end;
        if (copy == NULL) return no_room(run, err);
        value = strtod(copy, &end);
        if (end == copy || *end != 0)
            return op_error(err, run->node, ONNXD_ERR_RANGE, "'%.40s' is not a number", copy);
    } else {
        value = element_f64(values, i);
    }
    elements_store(LANE_F64, out->type, out->data, at, 1, &value);
    return ONNXD_OK;
}

static onnxd_status run_cast_map(struct op_run *run, onnxd_error *err)
{
    const onnxd_map *map = run->in[0]->data;
    int64_t n = onnxd_tensor_n_elements(&map->keys);
    bool sparse = attribute_word(run->node, "map_form", map_forms, 0) == 1;
    int64_t dims[] = {1, sparse ? node_attribute_int(run->node, "max_map", 1) : n};
    if (map->keys.type != ONNXD_INT64)
        return op_error(err, run->node, ONNXD_ERR_TYPE, "keys are %s, expected int64",
                        onnxd_type_name(map->keys.type));
    struct entry *entries = arena_alloc_array(run->env->arena, (size_t)n, sizeof *entries);
    if (entries == NULL) return no_room(run, err);
    for (int64_t i = 0; i < n; i++) entries[i] = (struct entry){element_i64(&map->keys, i), i};
    if (n > 1) qsort(entries, (size_t)n, sizeof *entries, by_key);
    onnxd_status status = op_allocate_output(run, 0, cast_type(run->node), 2, dims, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    onnxd_tensor *out = run->out[0];
    memset(out->data, 0, onnxd_tensor_n_bytes(out));
    for (int64_t i = 0; out->type == ONNXD_STRING && i < dims[1]; i++)
        ((onnxd_string *)out->data)[i] = (onnxd_string){"", 0};
    for (int64_t i = 0; i < n && status == ONNXD_OK; i++) {
        int64_t at = sparse ? entries[i].key : i;
        if (at < 0 || at >= dims[1])
            return op_error(err, run->node, ONNXD_ERR_RANGE, "key %lld is outside max_map %lld",
                            (long long)at, (long long)dims[1]);
        status = cast_value(run, &map->values, entries[i].at, out, at, err);
    }
    return status;
}

/* ---- ZipMap: a row of scores as a map from label to score -------------------------------------------- */

static struct ml_labels zip_labels(const struct node *node)
{
    return ml_labels_of(node, "classlabels_int64s", "classlabels_strings");
}

static onnxd_status check_zip(const struct node *node, onnxd_error *err)
{
    if (zip_labels(node).n > 0) return ONNXD_OK;
    return op_error(err, node, ONNXD_ERR_MODEL, "classlabels_int64s or classlabels_strings is missing");
}

static onnxd_status shapes_zip(struct op_shapes *s, onnxd_error *err)
{
    struct dim n, columns;
    onnxd_status status = ml_infer_rows(s, &n, &columns, err);
    struct ml_labels labels = zip_labels(s->node);
    shapes_set(s, 0, ONNXD_SEQUENCE, 0, NULL);
    if (s->n_out > 0) s->out[0].item_type = ONNXD_MAP;
    if (status == ONNXD_OK && dim_differs(columns, dim_constant((int64_t)labels.n)))
        status = op_error(err, s->node, ONNXD_ERR_SHAPE, "input has %lld columns for %zu labels",
                          (long long)columns.n, labels.n);
    return status;
}

static onnxd_status run_zip(struct op_run *run, onnxd_error *err)
{
    const onnxd_tensor *in = run->in[0];
    struct ml_rows rows = ml_rows_of(in);
    struct ml_labels labels = zip_labels(run->node);
    if (rows.n_columns != (int64_t)labels.n)
        return op_error(err, run->node, ONNXD_ERR_SHAPE, "input has %lld columns for %zu labels",
                        (long long)rows.n_columns, labels.n);
    onnxd_sequence *sequence = op_allocate(run, sizeof *sequence);
    onnxd_tensor *items = arena_alloc_array(run->env->arena, (size_t)rows.n, sizeof *items);
    onnxd_map *maps = arena_alloc_array(run->env->arena, (size_t)rows.n, sizeof *maps);
    onnxd_tensor scores;
    if (sequence == NULL || items == NULL || maps == NULL) return no_room(run, err);
    onnxd_status status = op_copy_tensor(run->env->arena, in, &scores, err);
    if (status != ONNXD_OK || run->out[0] == NULL) return status;
    onnxd_tensor keys = {.type = ml_labels_type(&labels), .rank = 1, .dims = {rows.n_columns}};
    keys.data = (void *)(uintptr_t)(labels.strings != NULL ? (const void *)labels.strings : labels.ints);
    size_t step = (size_t)rows.n_columns * type_size(in->type);
    for (int64_t i = 0; i < rows.n; i++) {
        maps[i].keys = keys;
        maps[i].values = (onnxd_tensor){.type = in->type, .rank = 1, .dims = {rows.n_columns}};
        maps[i].values.data = (char *)scores.data + (size_t)i * step;
        items[i] = (onnxd_tensor){.type = ONNXD_MAP, .data = &maps[i]};
    }
    *sequence = (onnxd_sequence){.n = (size_t)rows.n, .items = items, .item_type = ONNXD_MAP};
    *run->out[0] = (onnxd_tensor){.type = ONNXD_SEQUENCE, .data = sequence};
    return ONNXD_OK;
}

const struct op_def ops_ml_features[] = {
    {"ai.onnx.ml", "FeatureVectorizer", 1, OP_LATEST, 1, OP_ANY_NUMBER, 1, 1, 0, check_vectorizer,
     shapes_vectorizer, NULL, NULL, run_vectorizer},
    {"ai.onnx.ml", "ArrayFeatureExtractor", 1, OP_LATEST, 2, 2, 1, 1, 0, NULL, shapes_extractor, NULL, NULL,
     run_extractor},
    {"ai.onnx.ml", "DictVectorizer", 1, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, check_dict, shapes_dict, NULL,
     NULL, run_dict},
    {"ai.onnx.ml", "CastMap", 1, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, check_cast_map, shapes_cast_map, NULL,
     NULL, run_cast_map},
    {"ai.onnx.ml", "ZipMap", 1, OP_LATEST, 1, 1, 1, 1, OP_DYNAMIC, check_zip, shapes_zip, NULL, NULL,
     run_zip},
    {0},
};
