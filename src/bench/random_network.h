/* bench/random_network.h - compiled networks of random genomes, to time.
 *
 *     struct random_network net;
 *     random_network_init(&net, 16, 3, 32, 1, &err);
 *     random_network_activate(&net, 1000);
 *     random_network_done(&net);
 *
 * Threads: one at a time. */
#ifndef BENCH_RANDOM_NETWORK_H
#define BENCH_RANDOM_NETWORK_H

#include "base/arena.h"
#include "neat/breed.h"
#include "neat/network.h"

struct random_network {
    struct genome_shape shape;
    struct neat_params params;
    struct innovations innovations;
    struct breeder breeder; /* holds the genome */
    struct network_compiler compiler;
    struct arena arena, scratch;
    struct network network;
    f32x4 *slots;
};

/* A fully linked genome grown by n_hidden hidden nodes and twice as many links. Do not move it afterwards.
 * ONNXD_ERR_NOMEM; on failure nothing is held. */
ONNXD_MUST_USE onnxd_status random_network_init(struct random_network *net, uint32_t n_inputs,
                                                uint32_t n_outputs, uint32_t n_hidden, uint64_t seed,
                                                onnxd_error *err);
void random_network_done(struct random_network *net);

/* n activations of four rows, whose inputs differ. */
void random_network_activate(struct random_network *net, uint64_t n);

/* n compilations of the genome. */
ONNXD_MUST_USE onnxd_status random_network_compile(struct random_network *net, uint64_t n, onnxd_error *err);

#endif
