/* ops/einsum.h - reading the equation of an Einsum.
 *
 * Letters name labels 0..51; the axes under an ellipsis get the labels from EINSUM_ELLIPSIS on, counted so
 * that the last axis under every ellipsis has the same label.
 * Threads: pure functions. */
#ifndef OPS_EINSUM_H
#define OPS_EINSUM_H

#include "ops/op.h"

enum { EINSUM_MAX_INPUTS = 16, EINSUM_ELLIPSIS = 52, EINSUM_LABELS = EINSUM_ELLIPSIS + ONNXD_MAX_RANK };

struct einsum_term {
    uint32_t rank;
    uint8_t labels[ONNXD_MAX_RANK];
};

struct einsum {
    struct einsum_term in[EINSUM_MAX_INPUTS];
    struct einsum_term out;
};

/* ranks: [n_in] of the inputs. ONNXD_ERR_MODEL: the equation is wrong in itself; ONNXD_ERR_SHAPE: it does
 * not suit the ranks. */
ONNXD_MUST_USE onnxd_status einsum_parse(const struct node *node, const uint32_t *ranks, uint32_t n_in,
                                         struct einsum *ret, onnxd_error *err);

#endif
