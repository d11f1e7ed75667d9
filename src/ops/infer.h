/* ops/infer.h - what shapes() and check() of many operators share: type sets, axes, contents, attributes.
 *
 * Threads: pure functions on the caller's structures. */
#ifndef OPS_INFER_H
#define OPS_INFER_H

#include "ops/op.h"

/* ---- element types --------------------------------------------------------------------------------- */

#define TYPE_BIT(type) (1u << (unsigned)(type))
enum {
    TYPES_FLOAT = TYPE_BIT(ONNXD_FLOAT32) | TYPE_BIT(ONNXD_FLOAT64) | TYPE_BIT(ONNXD_FLOAT16) |
                  TYPE_BIT(ONNXD_BFLOAT16),
    TYPES_INTEGER = TYPE_BIT(ONNXD_INT8) | TYPE_BIT(ONNXD_INT16) | TYPE_BIT(ONNXD_INT32) |
                    TYPE_BIT(ONNXD_INT64) | TYPE_BIT(ONNXD_UINT8) | TYPE_BIT(ONNXD_UINT16) |
                    TYPE_BIT(ONNXD_UINT32) | TYPE_BIT(ONNXD_UINT64),
    TYPES_NUMERIC = TYPES_FLOAT | TYPES_INTEGER,
    TYPES_INDEX = TYPE_BIT(ONNXD_INT32) | TYPE_BIT(ONNXD_INT64),
    TYPES_BOOL = TYPE_BIT(ONNXD_BOOL),
    TYPES_ARITHMETIC = TYPES_NUMERIC | TYPES_BOOL, /* what has a lane and is not packed in files */
    TYPES_ANY = TYPES_ARITHMETIC | TYPE_BIT(ONNXD_STRING) | TYPE_BIT(ONNXD_COMPLEX64) |
                TYPE_BIT(ONNXD_COMPLEX128) | TYPE_BIT(ONNXD_INT4) | TYPE_BIT(ONNXD_UINT4)
};

/* Input `in`, where present and its type known, has one of these types. ONNXD_ERR_TYPE. */
ONNXD_MUST_USE onnxd_status infer_type(const struct op_shapes *s, uint32_t in, uint32_t types,
                                       onnxd_error *err);
/* All inputs from..to-1 that are present have one common type out of these. */
ONNXD_MUST_USE onnxd_status infer_same_types(const struct op_shapes *s, uint32_t from, uint32_t to,
                                             uint32_t types, onnxd_error *err);
/* The input is absent, of unknown rank or of rank `rank`. ONNXD_ERR_SHAPE. */
ONNXD_MUST_USE onnxd_status infer_rank(const struct op_shapes *s, uint32_t in, int32_t rank,
                                       onnxd_error *err);

/* ---- axes ------------------------------------------------------------------------------------------- */

/* -rank..rank-1 to 0..rank-1; ONNXD_ERR_RANGE. */
ONNXD_MUST_USE onnxd_status op_axis(const struct node *node, int64_t axis, uint32_t rank, uint32_t *ret_axis,
                                    onnxd_error *err);
/* Marks axes in marked[rank]; ONNXD_ERR_RANGE when one is outside or named twice. */
ONNXD_MUST_USE onnxd_status op_mark_axes(const struct node *node, const int64_t *axes, size_t n,
                                         uint32_t rank, bool *marked, onnxd_error *err);

/* ---- contents ---------------------------------------------------------------------------------------- */

/* Like shapes_contents, but single elements may be unknown, and bool constants count as 0 and 1. */
bool infer_contents(struct op_shapes *s, uint32_t in, const struct dim **ret_values, uint32_t *ret_n);
/* Fresh contents for output 0 if its rank is 0 or 1 and it has n elements; else NULL. */
struct dim *infer_set_contents(struct op_shapes *s, uint32_t n);
/* Output 0 has the contents of input `in`. */
void infer_copy_contents(struct op_shapes *s, uint32_t in);
/* a - b; constants 0 stay constants. */
struct dim dim_sub(struct dim a, struct dim b);
/* The sizes are known and certainly differ. */
static inline bool dim_differs(struct dim a, struct dim b)
{
    return dim_is_constant(a) && dim_is_constant(b) && a.n != b.n;
}
/* The better known of two sizes that must be equal. */
static inline struct dim dim_merge(struct dim a, struct dim b)
{
    return dim_is_constant(a) || !dim_is_known(b) ? a : b;
}
void infer_unknown_dims(struct dim *dims, int32_t rank);

/* A list of integers given as input `in` or, when in is GRAPH_NONE, as the attribute. False when its
 * elements are not known yet or are more than `max`; an absent list has *ret_given false. */
bool infer_list(struct op_shapes *s, uint32_t in, const char *attribute, int64_t *values, uint32_t max,
                uint32_t *ret_n, bool *ret_given);

/* The elementwise shape of output 0: type, and input `in`'s dims. */
onnxd_status shapes_same(struct op_shapes *s, onnxd_error *err);

/* ---- attributes --------------------------------------------------------------------------------------- */

/* Each attribute with a meaning known to ONNX has the kind that ONNX gives it. ONNXD_ERR_MODEL. */
onnxd_status check_attributes(const struct node *node, onnxd_error *err);
/* The string attribute is absent or one of `words` (ended by NULL); *ret is its index, or `otherwise`. */
ONNXD_MUST_USE onnxd_status check_word(const struct node *node, const char *name, const char *const *words,
                                       onnxd_error *err);
int attribute_word(const struct node *node, const char *name, const char *const *words, int otherwise);

/* ---- programs ----------------------------------------------------------------------------------------- */

/* Zeroed memory for plan->state; ONNXD_ERR_LIMIT. */
ONNXD_MUST_USE onnxd_status plan_state(struct op_plan *plan, size_t n_bytes, void **ret, onnxd_error *err);
/* Output 0 may overwrite input `in`: same type and shape. */
bool plan_fits(const struct op_plan *plan, uint32_t in);

static inline bool tensor_given(const onnxd_tensor *const *in, uint32_t n_in, uint32_t i)
{
    return i < n_in && in[i] != NULL;
}

#endif
