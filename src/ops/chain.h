/* ops/chain.h - the code of onnxd.Chain, between the pass that writes it and the operator that runs it.
 *
 * A micro-operation has CHAIN_FIELDS integers. Operands are input numbers from 0 up, or -1 - k for the result
 * of micro-operation k. A row of its result has CHAIN_WIDTH elements, seen as CHAIN_OUTER lines of CHAIN_C.
 */
#ifndef OPS_CHAIN_H
#define OPS_CHAIN_H

enum chain_kind {
    CHAIN_UNARY,
    CHAIN_VV,           /* both operands have the result's shape */
    CHAIN_VS,           /* b has one element for each line */
    CHAIN_SV,           /* a has */
    CHAIN_VC,           /* b is a constant: one line for all, or (CHAIN_SCALAR) one element */
    CHAIN_CV,           /* a is */
    CHAIN_REDUCE_INNER, /* [outer, n] to [outer] */
    CHAIN_REDUCE_OUTER  /* [outer, n, c] to [outer, c] */
};

enum chain_field {
    CHAIN_KIND,
    CHAIN_FUNCTION, /* enum f32_unary, f32_binary or f32_reduce */
    CHAIN_A,
    CHAIN_B, /* the same as a where there is one operand */
    CHAIN_WIDTH,
    CHAIN_OUTER,
    CHAIN_N,
    CHAIN_C,
    CHAIN_SCALAR,
    CHAIN_FIELDS
};

#endif
