/* ctr/ctr_network.h - what the options say of a DeepFM: its embedding, its layers and its crosses.
 *
 * A cross is two or three fields that act together beyond the factorisation machine. Each of them gets
 * numbers of its own for it, as many as an embedding has, and the log-odds gain the sum over j of the product
 * of the fields' numbers j: the interaction's table, which for three fields is a tensor, as a sum of so many
 * products of one factor a field (canonical polyadic decomposition: Hitchcock 1927; for three fields the
 * higher-order factorisation machine of Blondel et al. 2016, for chosen fields only). The machine itself
 * holds one embedding a field for all pairs, and no triples.
 *
 * Threads: immutable once made. */
#ifndef CTR_CTR_NETWORK_H
#define CTR_CTR_NETWORK_H

#include "base/bytes.h"
#include "features/feature_set.h"

enum {
    CTR_MAX_HIDDEN = 8,
    CTR_MAX_EMBEDDING = 256,
    CTR_MAX_WIDTH = 8192,
    CTR_MAX_CROSSES = 32,
    CTR_MAX_CROSSED = 3
};

struct ctr_cross {
    uint32_t fields[CTR_MAX_CROSSED], n; /* 2 or 3 different ones, numbered as in struct ctr_shape */
};

struct ctr_network {
    uint32_t embedding; /* numbers of an id */
    uint32_t hidden[CTR_MAX_HIDDEN], n_hidden;
    struct ctr_cross crosses[CTR_MAX_CROSSES];
    uint32_t n_crosses;
};

/* Of `n_fields` fields. ONNXD_ERR_RANGE names what is out of range. */
ONNXD_MUST_USE onnxd_status ctr_network_check(const struct ctr_network *network, uint32_t n_fields,
                                              onnxd_error *err);

/* Sets the crosses to those of "a*b,c*d*e", by the names of the set's fields. ONNXD_ERR_ARGUMENT names what
 * is unknown, is a number, or stands there twice. */
ONNXD_MUST_USE onnxd_status ctr_network_set_crosses(struct ctr_network *network,
                                                    const struct feature_set *set, const char *text,
                                                    onnxd_error *err);

void ctr_network_save(const struct ctr_network *network, struct buf *out);

/* Sets in->failed when cut short. What it reads is to be checked. */
void ctr_network_load(struct byte_reader *in, struct ctr_network *ret_network);

#endif
