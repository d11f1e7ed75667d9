/* engine/program.h - the flat list of kernel calls that runs a graph for one set of input shapes.
 *
 * Building a program follows exact shapes through the graph, evaluates what now turns out constant
 * (shape arithmetic mostly), lets each operator choose its function, and gives every intermediate value
 * a fixed place in one block of scratch memory, places being shared by values that never live at the
 * same time. Running it walks the list. Nodes whose shapes depend on data are run by the evaluator
 * between the planned steps.
 *
 * A program addresses its scratch block through program_place, so that the programs of a session can
 * share one block, and its inputs and outputs through program_bind.
 *
 * Ownership: a program borrows the graph; what it needs beside lies in its own arena.
 * Threads:   one at a time. */
#ifndef ENGINE_PROGRAM_H
#define ENGINE_PROGRAM_H

#include "graph/graph.h"
#include "ops/op_evaluate.h"

struct program;

/* dims[i] are the exact dimensions of graph input i (its rank is `ranks[i]`).
 * ONNXD_ERR_SHAPE and what operators say of the shapes; ONNXD_ERR_LIMIT past limit_bytes. */
ONNXD_MUST_USE onnxd_status program_create(const struct graph *graph, const onnxd_tensor *in,
                                           struct evaluator *evaluator, size_t limit_bytes,
                                           struct program **ret_program, onnxd_error *err);
void program_free(struct program *program); /* takes NULL */

/* Bytes of scratch it needs, and of its own description. */
size_t program_scratch_bytes(const struct program *program);
size_t program_memory_bytes(const struct program *program);

/* Output j as planned; NULL when it is only known after the run. */
const onnxd_tensor *program_planned_output(const struct program *program, uint32_t j);

/* True when the inputs have exactly the types and shapes it was built for. */
bool program_matches(const struct program *program, const onnxd_tensor *in);

/* Fixes the scratch block (64-byte aligned). */
void program_place(struct program *program, void *scratch);

/* Sets where input i is read and planned output j is written in the next run. */
void program_bind_input(struct program *program, uint32_t i, void *data);
void program_bind_output(struct program *program, uint32_t j, void *data);

/* Runs. `results` receives the values of dynamic steps and must outlive their use; NULL is allowed when
 * program_is_dynamic is false. */
ONNXD_MUST_USE onnxd_status program_run(struct program *program, struct evaluator *evaluator,
                                        struct arena *results, onnxd_error *err);
bool program_is_dynamic(const struct program *program);

/* Output j after a run. */
const onnxd_tensor *program_output(const struct program *program, uint32_t j);

/* ---- for inspection: the list as a reader sees it ------------------------------------------------ */

struct program_step_info {
    const struct node *node;
    bool dynamic;
    const onnxd_tensor *out;       /* first output, or NULL */
    const onnxd_tensor *const *in; /* [n_in]; NULL where left out */
    uint32_t n_in;
    size_t read_bytes; /* inputs, constants included */
    size_t written_bytes;
    size_t workspace_bytes;
};

uint32_t program_n_steps(const struct program *program);
struct program_step_info program_step(const struct program *program, uint32_t i);
/* Runs like program_run and adds each step's nanoseconds to step_ns[n_steps]. */
ONNXD_MUST_USE onnxd_status program_profile(struct program *program, struct evaluator *evaluator,
                                            struct arena *results, uint64_t *step_ns, onnxd_error *err);

#endif
