/* serve/row_store.h - rows of one model's inputs, gathered: the memory behind struct protocol_rows.
 *
 * Ownership: embedded in its owner and kept at its address; it borrows the schema.
 * Threads:   one at a time. */
#ifndef SERVE_ROW_STORE_H
#define SERVE_ROW_STORE_H

#include "base/arena.h"
#include "protocol/schema.h"

struct row_store {
    const struct protocol_schema *schema;
    struct protocol_rows rows;
    struct arena strings; /* texts of rows, and whatever else goes with them */
    void *scratch;        /* of raw fields */
};

/* ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status row_store_init(struct row_store *store, const struct protocol_schema *schema,
                                           onnxd_error *err);
void row_store_done(struct row_store *store); /* takes a zeroed one */

/* Makes room for n rows in all. False: out of memory. */
bool row_store_reserve(struct row_store *store, uint32_t n);

/* Appends rows first..first+n of data[n_inputs]. False: out of memory. */
bool row_store_append(struct row_store *store, void *const *data, uint32_t first, uint32_t n);

/* Forgets all rows, and gives memory back when it holds much. */
void row_store_drop(struct row_store *store);

#endif
