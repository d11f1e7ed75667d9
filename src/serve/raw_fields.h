/* serve/raw_fields.h - a feature description as the protocol's hook: raw fields of requests to rows.
 *
 * Ownership: the struct holds a reference on the set; it must not move while a schema borrows its hook.
 * Threads:   immutable after loading; any thread may convert. */
#ifndef SERVE_RAW_FIELDS_H
#define SERVE_RAW_FIELDS_H

#include "features/feature_set.h"
#include "onnxd/model.h"
#include "protocol/schema.h"

struct raw_fields {
    struct feature_set *set; /* NULL: the model has no description */
    struct protocol_features hook;
};

/* Looks for the description beside the model file (features/features_file.h) and checks that it makes what
 * the model takes: one float32 input [batch, n_columns]. ONNXD_ERR_MODEL, and what reading it says. */
ONNXD_MUST_USE onnxd_status raw_fields_load(struct raw_fields *fields, const char *model_path,
                                            const onnxd_io_info *inputs, uint32_t n_inputs, onnxd_error *err);
void raw_fields_done(struct raw_fields *fields); /* takes a zeroed one */

/* For protocol_schema_init: NULL without a description. */
static inline const struct protocol_features *raw_fields_hook(const struct raw_fields *fields)
{
    return fields->set != NULL ? &fields->hook : NULL;
}

#endif
