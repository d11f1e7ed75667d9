/* evolve/policy.h - a trained genome that stands for itself: to JSON and back, to ONNX, DOT and SVG.
 *
 * JSON is the form neat_train reads again:
 *     {"format": "onnxd-policy-1", "task": "arena", "seed": 1, "fitness": 12.5, "inputs": 4, "outputs": 2,
 *      "recurrent": false, "nodes": [{"id": 5, "activation": "sigmoid"}, ...],
 *      "genes": [{"innovation": 0, "from": 0, "to": 5, "weight": 0.25, "enabled": true, "recurrent": false}]}
 * Weights are written so that they read back as the same bits. Unknown, doubled and missing keys are refused.
 *
 * ONNX (opset 17): input "input" [batch, inputs], output "output" [batch, outputs]; a recurrent policy also
 * takes "state" [batch, nodes] (zeros at the start of an episode) and gives "next_state" for the next step.
 * Nodes of one depth and activation become one Gemm, so sums may round differently from the compiled
 * network's.
 *
 * Ownership: policy_done frees; policy_from_genome copies. Threads: one at a time. */
#ifndef EVOLVE_POLICY_H
#define EVOLVE_POLICY_H

#include "base/buf.h"
#include "neat/genome.h"
#include "neat/network.h"

#define POLICY_MAX_FILE_BYTES ((size_t)64 << 20)

struct policy {
    struct arena arena;
    struct genome genome;
    struct genome_shape shape;
    char task[64];
    uint64_t seed;
    double fitness;
};

ONNXD_MUST_USE onnxd_status policy_from_genome(const struct genome *genome, const struct genome_shape *shape,
                                               const char *task, uint64_t seed, double fitness,
                                               struct policy *ret_policy, onnxd_error *err);
void policy_done(struct policy *policy);

/* ONNXD_ERR_LIMIT when the buffer is full. */
ONNXD_MUST_USE onnxd_status policy_to_json(const struct policy *policy, struct buf *out, onnxd_error *err);

/* ONNXD_ERR_FORMAT or _RANGE name the field; the genome is checked like one from a checkpoint. */
ONNXD_MUST_USE onnxd_status policy_from_json(const char *bytes, size_t n, struct policy *ret_policy,
                                             onnxd_error *err);

/* Reads a file written by policy_to_json. */
ONNXD_MUST_USE onnxd_status policy_read(const char *path, struct policy *ret_policy, onnxd_error *err);

ONNXD_MUST_USE onnxd_status policy_to_onnx(const struct policy *policy, struct buf *out, onnxd_error *err);

/* The network as Graphviz text, and as a picture of its own: inputs left, outputs right, by depth; links blue
 * when positive and red when negative, their width by weight; recurrent ones dashed. input_names: [inputs],
 * output_names: [outputs], either may be NULL. */
ONNXD_MUST_USE onnxd_status policy_to_dot(const struct policy *policy, const char *const *input_names,
                                          const char *const *output_names, struct buf *out, onnxd_error *err);
ONNXD_MUST_USE onnxd_status policy_to_svg(const struct policy *policy, const char *const *input_names,
                                          const char *const *output_names, struct buf *out, onnxd_error *err);

#endif
