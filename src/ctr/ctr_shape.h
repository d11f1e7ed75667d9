/* ctr/ctr_shape.h - what a DeepFM looks like: its columns, as the features laid them, and its network.
 *
 * Ownership: the fields belong to the shape's arena.
 * Threads:   immutable once made. */
#ifndef CTR_CTR_SHAPE_H
#define CTR_CTR_SHAPE_H

#include <stdbool.h>

#include "base/arena.h"
#include "ctr/ctr_network.h"

/* A category, or a multi-valued one, whose ids stand in n_slots columns. */
struct ctr_field {
    const char *name;
    uint32_t first_column, n_slots;
    uint32_t n_ids;
    uint32_t padding_id;  /* slots that hold it do not count; FEATURE_NO_ID: all do */
    uint32_t first_row;   /* of its ids in the joined table */
    uint32_t first_place; /* of its slots in a row's list of table rows */
};

struct ctr_shape {
    struct ctr_network net;
    struct ctr_field *fields; /* [n_fields + n_factors] */
    uint32_t n_fields;
    uint32_t n_factors; /* behind the fields: each field of each cross in turn, with rows of its own */
    uint32_t n_columns;
    uint32_t first_dense, n_dense; /* columns of numbers, behind those of ids */
    uint32_t n_rows;               /* ids of all fields and factors */
    uint32_t n_places;             /* slots of all of them */
    struct arena arena;
};

/* ONNXD_ERR_RANGE: what ctr_network_check refuses. ONNXD_ERR_LIMIT: too large. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status ctr_shape_init(struct ctr_shape *shape, const struct feature_set *set,
                                           const struct ctr_network *network, onnxd_error *err);

/* The same from fields themselves, which are copied; their rows and places are counted. */
ONNXD_MUST_USE onnxd_status ctr_shape_make(struct ctr_shape *shape, const struct ctr_field *fields,
                                           uint32_t n_fields, uint32_t n_dense,
                                           const struct ctr_network *network, onnxd_error *err);
void ctr_shape_done(struct ctr_shape *shape); /* takes a zeroed one */

/* The deep part's inputs: an embedding for each field, then the numbers. */
static inline uint32_t ctr_shape_n_inputs(const struct ctr_shape *shape)
{
    return shape->n_fields * shape->net.embedding + shape->n_dense;
}

/* Where the values of field or factor f stand in a row of values: those of the fields and the numbers first,
 * which are the deep part's inputs, then those of the factors. */
static inline uint32_t ctr_shape_value_at(const struct ctr_shape *shape, uint32_t f)
{
    return f * shape->net.embedding + (f < shape->n_fields ? 0 : shape->n_dense);
}

/* Rows of the table below this one hold embeddings, the others factors. */
static inline uint32_t ctr_shape_first_factor_row(const struct ctr_shape *shape)
{
    return shape->n_factors > 0 ? shape->fields[shape->n_fields].first_row : shape->n_rows;
}

/* All but the names, to see whether a checkpoint is of this shape. */
void ctr_shape_save(const struct ctr_shape *shape, struct buf *out);

#endif
