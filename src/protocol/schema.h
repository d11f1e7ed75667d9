/* protocol/schema.h - what the bodies must know of a model: its inputs and outputs as rows.
 *
 * A "row" is one entry of the leading (batch) dimension of every input. /predict, /infer and :predict
 * speak in rows; they need every input to have a leading dimension that is free (or 1) and fixed sizes
 * behind it. A model that is not like that has rows_ok == false and is served by v2 alone.
 *
 * Ownership: the schema borrows the names in the onnxd_io_info arrays and the feature description, which
 *            must outlive it; protocol_schema_done frees the rest.
 * Threads:   immutable after init; any thread may read. */
#ifndef PROTOCOL_SCHEMA_H
#define PROTOCOL_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "json/field_value.h"
#include "onnxd/model.h"
#include "onnxd/status.h"
#include "onnxd/tensor.h"

#define PROTOCOL_MAX_INPUTS 256
#define PROTOCOL_NO_FIELD   UINT32_MAX

/* ---- raw fields (implemented by src/features) ---- */

struct json_writer;
struct protocol_note; /* row_json.h */

struct protocol_features {
    const void *context;
    uint32_t n_fields;
    /* The number of the field of this name, or PROTOCOL_NO_FIELD. */
    uint32_t (*find)(const void *context, const char *name, size_t n);
    /* Comma-separated names for messages; may be cut short. */
    const char *(*names)(const void *context);
    /* Turns fields[n_fields] into one row: row_inputs[i] is the place of input i, [row_elements] of its
     * type. A missing or unfit field is an error that names it. unknowns[n_fields], which may be NULL, counts
     * up at each field with a value that the description does not know. */
    onnxd_status (*convert)(const void *context, const struct field_value *fields, void *const *row_inputs,
                            uint64_t *unknowns, onnxd_error *err);
    /* Writes [{"name":..,"kind":"category"|"categories"|"number","values":[..]}] with some values of each
     * field, for people and forms. NULL: nothing to tell. */
    void (*describe)(const void *context, struct json_writer *writer);
};

/* ---- the schema ---- */

struct protocol_io {
    const onnxd_io_info *info;
    size_t name_len;
    size_t row_elements; /* product of dims[1..]; 1 for a scalar per row; 0 when not fixed */
    size_t row_bytes;
    uint32_t row_rank; /* rank - 1 */
    /* [row_elements] whole numbers below this, 0 where an element is no index; borrowed. NULL: not known. */
    const int64_t *index_below;
};

struct protocol_schema {
    uint32_t n_inputs, n_outputs;
    struct protocol_io *inputs, *outputs;
    const struct protocol_features *features; /* NULL: none */
    bool rows_ok;
    char why_not_rows[160]; /* when not rows_ok */
};

/* `features` may be NULL. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status protocol_schema_init(struct protocol_schema *schema, const onnxd_io_info *inputs,
                                                 uint32_t n_inputs, const onnxd_io_info *outputs,
                                                 uint32_t n_outputs, const struct protocol_features *features,
                                                 onnxd_error *err);
void protocol_schema_done(struct protocol_schema *schema);

/* The number of the input or output of this name, or UINT32_MAX. */
uint32_t protocol_find_input(const struct protocol_schema *schema, const char *name, size_t n);
uint32_t protocol_find_output(const struct protocol_schema *schema, const char *name, size_t n);

/* ---- where parsed rows go ---- */

/* One growing batch; several requests may add to it one after another. Parsing appends rows at n and, on
 * failure, leaves n as it was. */
struct protocol_rows {
    void **data;       /* [n_inputs]; data[i]: [capacity, row_elements] of input i's type */
    uint32_t n;        /* rows present */
    uint32_t capacity; /* rows that data has room for */
    uint32_t max_rows; /* most rows that one request may add */
    /* Called when n == capacity: makes room for at least one more row (updating data and capacity) or
     * returns false. NULL: the capacity is final, and a request that needs more gets ONNXD_ERR_LIMIT. */
    bool (*grow)(struct protocol_rows *rows, void *context);
    void *grow_context;
    /* For decoded strings and raw fields. May be NULL when no input is a string and the schema has no
     * feature description. Rows point into it and, for plain strings, into the body. */
    struct arena *arena;
    /* Scratch of raw fields, [features->n_fields] each, zeroed; the owner of the rows has it where the schema
     * has a feature description. `unknowns` adds up until the owner zeroes it; it may be NULL. `notes` tell
     * how the keys of the last row were written, as most senders keep to one order; there is one more of
     * them, for the place behind the last field. */
    struct field_value *fields;
    uint64_t *unknowns;
    struct protocol_note *notes;
};

/* The three in one piece of memory, which the caller frees; NULL and ONNXD_OK without a feature description.
 * ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status protocol_rows_scratch(const struct protocol_schema *schema,
                                                  struct protocol_rows *rows, void **ret_memory,
                                                  onnxd_error *err);

#endif
