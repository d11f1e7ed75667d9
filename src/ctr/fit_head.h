/* ctr/fit_head.h - the first part of a checkpoint: what the training was started with.
 *
 * Options that decide the weights, the sizes of the network, and which rows. A checkpoint goes on
 * only where these are the same. Threads: one at a time. */
#ifndef CTR_FIT_HEAD_H
#define CTR_FIT_HEAD_H

#include "base/bytes.h"
#include "ctr/fit.h"

struct fit_head {
    struct fit_options options;
    struct ctr_network net; /* its crosses are of a number of fields that the head does not know */
    uint64_t n_train, n_positive, n_valid;
    uint64_t train_fingerprint, valid_fingerprint;
};

void fit_head_save(const struct fit *fit, struct buf *out);

/* ONNXD_ERR_FORMAT: cut short, or values that no training has. */
ONNXD_MUST_USE onnxd_status fit_head_load(struct byte_reader *in, struct fit_head *ret_head,
                                          onnxd_error *err);

/* ONNXD_ERR_ARGUMENT names the option, or the rows, in which the training differs. max_epochs, patience and
 * calibrate may differ. */
ONNXD_MUST_USE onnxd_status fit_head_compare(const struct fit_head *head, const struct fit *fit,
                                             onnxd_error *err);

#endif
