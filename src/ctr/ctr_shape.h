/* ctr/ctr_shape.h - what a DeepFM looks like: its columns, as the features laid them, and its layers.
 *
 * Ownership: the fields belong to the shape's arena.
 * Threads:   immutable once made. */
#ifndef CTR_CTR_SHAPE_H
#define CTR_CTR_SHAPE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "features/feature_set.h"

enum { CTR_MAX_HIDDEN = 8, CTR_MAX_EMBEDDING = 256, CTR_MAX_WIDTH = 8192 };

/* A category, or a multi-valued one, whose ids stand in n_slots columns. */
struct ctr_field {
    const char *name;
    uint32_t first_column, n_slots;
    uint32_t n_ids;
    uint32_t padding_id; /* slots that hold it do not count; FEATURE_NO_ID: all do */
    uint32_t first_row;  /* of its ids in the joined table */
};

struct ctr_shape {
    struct ctr_field *fields; /* [n_fields] */
    uint32_t n_fields;
    uint32_t n_columns;
    uint32_t first_dense, n_dense; /* columns of numbers, behind those of ids */
    uint32_t n_rows;               /* ids of all fields */
    uint32_t embedding;            /* numbers of an id */
    uint32_t hidden[CTR_MAX_HIDDEN], n_hidden;
    struct arena arena;
};

/* ONNXD_ERR_RANGE: an embedding or a layer out of range. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status ctr_shape_init(struct ctr_shape *shape, const struct feature_set *set,
                                           uint32_t embedding, const uint32_t *hidden, uint32_t n_hidden,
                                           onnxd_error *err);

/* The same from fields themselves, which are copied; first_row and n_rows are counted. */
ONNXD_MUST_USE onnxd_status ctr_shape_make(struct ctr_shape *shape, const struct ctr_field *fields,
                                           uint32_t n_fields, uint32_t n_dense, uint32_t embedding,
                                           const uint32_t *hidden, uint32_t n_hidden, onnxd_error *err);
void ctr_shape_done(struct ctr_shape *shape); /* takes a zeroed one */

/* The deep part's inputs: an embedding for each field, then the numbers. */
static inline uint32_t ctr_shape_n_inputs(const struct ctr_shape *shape)
{
    return shape->n_fields * shape->embedding + shape->n_dense;
}

/* All but the names, to see whether a checkpoint is of this shape. */
void ctr_shape_save(const struct ctr_shape *shape, struct buf *out);

#endif
