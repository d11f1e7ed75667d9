/* evolve/remote_models.h - genomes as models of a server: loaded through its repository API, unloaded when
 * old.
 *
 * Genome i is exported as ONNX and loaded under the name g<id>. Models stay loaded between sets, since elites
 * and the hall of fame play again, until REMOTE_KEPT_MODELS would be passed.
 *
 * Ownership: remote_models_done frees (and unloads nothing). Threads: one at a time. */
#ifndef EVOLVE_REMOTE_MODELS_H
#define EVOLVE_REMOTE_MODELS_H

#include "base/buf.h"
#include "evolve/remote_link.h"
#include "neat/genome.h"

#define REMOTE_KEPT_MODELS 600

struct remote_models {
    struct remote_link *link; /* borrowed */
    uint64_t *loaded;         /* [n_loaded] genome ids */
    uint32_t n_loaded, capacity;
    struct buf body;
    uint64_t n_loads;    /* so far */
    uint64_t compute_ns; /* what the server's metrics say its runs took, up to the last unloading */
    uint64_t seen_us;    /* of that, what they said after it */
};

void remote_models_init(struct remote_models *models, struct remote_link *link);
void remote_models_done(struct remote_models *models);

/* Sees to it that the server has these n genomes. ONNXD_ERR_FORMAT: it refuses; ONNXD_ERR_NOMEM; those of
 * remote_link_exchange. */
ONNXD_MUST_USE onnxd_status remote_models_load(struct remote_models *models,
                                               const struct genome *const *genomes, uint32_t n,
                                               const struct genome_shape *shape, onnxd_error *err);

/* Unloads all, after asking what the server spent: compute_ns is then complete, and counts whatever else the
 * server did meanwhile. */
ONNXD_MUST_USE onnxd_status remote_models_unload(struct remote_models *models, onnxd_error *err);

#endif
