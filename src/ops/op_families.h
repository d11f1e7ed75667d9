/* ops/op_families.h - the list of operator families, one table each.
 *
 * Each line declares `extern const struct op_def NAME[]`, ended by an entry without a name; op_table.c
 * joins them into the look-up table. */
#ifndef OPS_OP_FAMILIES_H
#define OPS_OP_FAMILIES_H

/* clang-format off */
#define OP_FAMILIES(X) \
    X(ops_arg) \
    X(ops_assemble) \
    X(ops_attention) \
    X(ops_binary) \
    X(ops_broadcast) \
    X(ops_cast) \
    X(ops_chain) \
    X(ops_concat) \
    X(ops_constant) \
    X(ops_control) \
    X(ops_conv) \
    X(ops_dense) \
    X(ops_detect) \
    X(ops_dropout) \
    X(ops_einsum) \
    X(ops_gather) \
    X(ops_heads) \
    X(ops_layer_norm) \
    X(ops_loss) \
    X(ops_matmul) \
    X(ops_ml_encode) \
    X(ops_ml_features) \
    X(ops_ml_linear) \
    X(ops_ml_scale) \
    X(ops_ml_tree) \
    X(ops_normalize) \
    X(ops_pad) \
    X(ops_pool) \
    X(ops_qlinear) \
    X(ops_quantize) \
    X(ops_random) \
    X(ops_recurrent) \
    X(ops_reduce) \
    X(ops_reshape) \
    X(ops_resize) \
    X(ops_roi) \
    X(ops_sample) \
    X(ops_scan) \
    X(ops_scatter) \
    X(ops_select) \
    X(ops_sequence) \
    X(ops_sequence_split) \
    X(ops_signal) \
    X(ops_slice) \
    X(ops_softmax) \
    X(ops_string) \
    X(ops_tfidf) \
    X(ops_unary) \
    X(ops_window)
/* clang-format on */

#endif
