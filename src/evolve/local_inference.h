/* evolve/local_inference.h - policies computed in this process, four rows to a network activation.
 *
 * Recurrent policies remember per row from one call to the next; local_inference_begin forgets.
 *
 * Ownership: local_inference_done frees. Threads: one at a time. */
#ifndef EVOLVE_LOCAL_INFERENCE_H
#define EVOLVE_LOCAL_INFERENCE_H

#include "evolve/match_set.h"
#include "neat/network.h"

struct local_inference {
    struct network_compiler compiler;
    struct arena arena;
    struct network *networks; /* [n_players] in the arena */
    f32x4 **slots;            /* [n_players] of its first group of four rows, in the arena */
    uint32_t n_players;
};

void local_inference_init(struct local_inference *local);
void local_inference_done(struct local_inference *local);

/* Compiles the players of a set: genomes[i] is player i. ONNXD_ERR_NOMEM. */
ONNXD_MUST_USE onnxd_status local_inference_begin(struct local_inference *local, const struct match_set *set,
                                                  const struct genome *const *genomes,
                                                  const struct genome_shape *shape, onnxd_error *err);

struct inference local_inference_view(struct local_inference *local);

#endif
