#include "engine/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/memory_plan.h"
#include "engine/program_internal.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

void program_free(struct program *program)
{
    if (program == NULL) return;
    arena_done(&program->arena);
    free(program);
}

size_t program_scratch_bytes(const struct program *program)
{
    return program->scratch_bytes;
}

size_t program_memory_bytes(const struct program *program)
{
    return program->arena.used_bytes + sizeof *program;
}

bool program_is_dynamic(const struct program *program)
{
    return program->n_dynamic > 0;
}

bool program_matches(const struct program *program, const onnxd_tensor *in)
{
    for (uint32_t i = 0; i < program->n_inputs; i++) {
        const onnxd_tensor *want = &program->signature[i];
        if (want->type != in[i].type || want->rank != in[i].rank ||
            memcmp(want->dims, in[i].dims, want->rank * sizeof *want->dims) != 0)
            return false;
    }
    return true;
}

void program_place(struct program *program, void *scratch)
{
    for (uint32_t i = 0; i < program->n_places; i++)
        *program->places[i].slot = (char *)scratch + program->places[i].offset;
}

static void set_all(const struct binding *binding, void *data)
{
    for (uint32_t i = 0; i < binding->n; i++) *binding->slots[i] = data;
}

void program_bind_input(struct program *program, uint32_t i, void *data)
{
    set_all(&program->inputs[i], data);
}

void program_bind_output(struct program *program, uint32_t j, void *data)
{
    set_all(&program->outputs[j].binding, data);
}

const onnxd_tensor *program_planned_output(const struct program *program, uint32_t j)
{
    return program->outputs[j].planned ? program->outputs[j].tensor : NULL;
}

const onnxd_tensor *program_output(const struct program *program, uint32_t j)
{
    return program->outputs[j].tensor;
}

/* ---- running ------------------------------------------------------------------------------------- */

static onnxd_status run_dynamic(struct step *step, struct evaluator *evaluator, struct arena *results,
                                onnxd_error *err)
{
    const struct node *node = step->run.node;
    onnxd_tensor *out = arena_alloc_array(results, node->n_out, sizeof *out);
    if (out == NULL) return op_error(err, node, ONNXD_ERR_LIMIT, "the session's memory limit is reached");
    onnxd_status status = evaluate_node(evaluator, node, step->run.in, out, results, err);
    for (uint32_t i = 0; i < node->n_out && status == ONNXD_OK; i++)
        if (step->run.out[i] != NULL) *step->run.out[i] = out[i];
    return status;
}

static onnxd_status run_mixed(struct program *program, struct evaluator *evaluator, struct arena *results,
                              uint64_t *step_ns, onnxd_error *err)
{
    for (uint32_t i = 0; i < program->n_steps; i++) {
        struct step *step = &program->steps[i];
        uint64_t start = step_ns != NULL ? monotonic_ns() : 0;
        onnxd_status status = step->fn != NULL ? step->fn(&step->run, err)
                                               : run_dynamic(step, evaluator, results, err);
        if (status != ONNXD_OK) return status;
        if (step_ns != NULL) step_ns[i] += monotonic_ns() - start;
    }
    return ONNXD_OK;
}

onnxd_status program_run(struct program *program, struct evaluator *evaluator, struct arena *results,
                         onnxd_error *err)
{
    if (program->n_dynamic > 0) return run_mixed(program, evaluator, results, NULL, err);
    struct step *end = program->steps + program->n_steps;
    for (struct step *step = program->steps; step < end; step++) {
        onnxd_status status = step->fn(&step->run, err);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

onnxd_status program_profile(struct program *program, struct evaluator *evaluator, struct arena *results,
                             uint64_t *step_ns, onnxd_error *err)
{
    return run_mixed(program, evaluator, results, step_ns, err);
}

/* ---- inspection ---------------------------------------------------------------------------------- */

uint32_t program_n_steps(const struct program *program)
{
    return program->n_steps;
}

struct program_step_info program_step(const struct program *program, uint32_t i)
{
    const struct step *step = &program->steps[i];
    struct program_step_info info = {.node = step->run.node,
                                     .dynamic = step->fn == NULL,
                                     .in = step->run.in,
                                     .n_in = step->run.n_in,
                                     .workspace_bytes = step->workspace_bytes};
    for (uint32_t k = 0; k < step->run.n_in; k++)
        if (step->run.in[k] != NULL && !info.dynamic)
            info.read_bytes += onnxd_tensor_n_bytes(step->run.in[k]);
    for (uint32_t k = 0; k < step->run.n_out; k++) {
        if (step->run.out[k] == NULL) continue;
        if (info.out == NULL) info.out = step->run.out[k];
        if (!info.dynamic) info.written_bytes += onnxd_tensor_n_bytes(step->run.out[k]);
    }
    return info;
}
