/* What fuzz_predict_body and fuzz_infer_body share: two small models, one with an input of every kind. */
#ifndef FUZZ_ROWS_FUZZ_H
#define FUZZ_ROWS_FUZZ_H

#include <stdlib.h>

#include "protocol/schema.h"

#define ROWS_FUZZ_CAPACITY 4

static const onnxd_io_info rows_fuzz_one[] = {
    {.name = "features", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 3}}};
static const onnxd_io_info rows_fuzz_mixed[] = {
    {.name = "ids", .type = ONNXD_INT64, .rank = 2, .dims = {-1, 2}},
    {.name = "image", .type = ONNXD_UINT8, .rank = 3, .dims = {-1, 2, 2}},
    {.name = "flag", .type = ONNXD_BOOL, .rank = 1, .dims = {-1}},
    {.name = "word", .type = ONNXD_STRING, .rank = 2, .dims = {-1, 1}},
    {.name = "half", .type = ONNXD_FLOAT16, .rank = 2, .dims = {-1, 2}},
    {.name = "wide", .type = ONNXD_FLOAT64, .rank = 2, .dims = {-1, 1}},
};
static const onnxd_io_info rows_fuzz_output = {
    .name = "y", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}};

struct rows_fuzz {
    struct protocol_schema schema;
    struct protocol_rows rows;
    struct arena arena;
    void *data[6], *scratch;
};

static inline void rows_fuzz_init(struct rows_fuzz *f, const onnxd_io_info *inputs, uint32_t n_inputs,
                                  const struct protocol_features *features)
{
    if (protocol_schema_init(&f->schema, inputs, n_inputs, &rows_fuzz_output, 1, features, NULL) != ONNXD_OK)
        abort();
    arena_init(&f->arena, 1 << 20);
    for (uint32_t i = 0; i < n_inputs; i++) /* exactly as large as told, so that a write past it is seen */
        if ((f->data[i] = malloc(ROWS_FUZZ_CAPACITY * f->schema.inputs[i].row_bytes)) == NULL) abort();
    f->rows = (struct protocol_rows){
        .data = f->data, .capacity = ROWS_FUZZ_CAPACITY, .max_rows = 3, .arena = &f->arena};
    if (protocol_rows_scratch(&f->schema, &f->rows, &f->scratch, NULL) != ONNXD_OK) abort();
}

static inline void rows_fuzz_done(struct rows_fuzz *f)
{
    for (uint32_t i = 0; i < f->schema.n_inputs; i++) free(f->data[i]);
    free(f->scratch);
    protocol_schema_done(&f->schema);
    arena_done(&f->arena);
}

#endif
