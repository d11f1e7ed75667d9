#include "evolve/task.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const struct task *const TASKS[] = {&TASK_XOR, &TASK_POLE, &TASK_POLE2, &TASK_POLE2_NOVEL,
                                           &TASK_ARENA};

const struct task *const *task_list(uint32_t *ret_n)
{
    *ret_n = sizeof TASKS / sizeof TASKS[0];
    return TASKS;
}

const struct task *task_find(const char *name)
{
    for (size_t i = 0; i < sizeof TASKS / sizeof TASKS[0]; i++)
        if (strcmp(TASKS[i]->name, name) == 0) return TASKS[i];
    return NULL;
}

struct genome_shape task_shape(const struct task *task, const struct neat_params *params)
{
    struct genome_shape shape = task->shape;
    if (task->is_contest) shape.recurrent = params->recurrent;
    return shape;
}

void task_params(const struct task *task, struct neat_params *ret_params)
{
    neat_params_default(ret_params);
    for (const char *const(*pair)[2] = task->defaults; (*pair)[0] != NULL; pair++) {
        onnxd_error err;
        onnxd_status status = neat_params_set(ret_params, (*pair)[0], (*pair)[1], &err);
        if (status != ONNXD_OK) abort(); /* the table is part of the program; a test walks it */
    }
}

void task_worker_init(struct task_worker *worker)
{
    *worker = (struct task_worker){0};
    arena_init(&worker->arena, 0);
}

void task_worker_done(struct task_worker *worker)
{
    network_compiler_done(&worker->compiler);
    arena_done(&worker->arena);
    free(worker->slots);
    *worker = (struct task_worker){0};
}

bool task_worker_reserve(struct task_worker *worker, size_t n_slots)
{
    if (n_slots <= worker->n_slots) return true;
    size_t n = n_slots + n_slots / 2 + 64;
    f32x4 *slots = aligned_alloc(64, (n * sizeof *slots + 63) / 64 * 64);
    if (slots == NULL) return false;
    free(worker->slots);
    worker->slots = slots;
    worker->n_slots = n;
    return true;
}
