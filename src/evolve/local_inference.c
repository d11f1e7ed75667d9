#include "evolve/local_inference.h"

#include "base/error.h"

void local_inference_init(struct local_inference *local)
{
    *local = (struct local_inference){0};
    arena_init(&local->arena, 0);
}

void local_inference_done(struct local_inference *local)
{
    network_compiler_done(&local->compiler);
    arena_done(&local->arena);
    *local = (struct local_inference){0};
}

onnxd_status local_inference_begin(struct local_inference *local, const struct match_set *set,
                                   const struct genome *const *genomes, const struct genome_shape *shape,
                                   onnxd_error *err)
{
    arena_reset(&local->arena);
    local->n_players = set->n_players;
    local->networks = arena_alloc_array(&local->arena, set->n_players, sizeof *local->networks);
    local->slots = arena_alloc_array(&local->arena, set->n_players, sizeof *local->slots);
    if (local->networks == NULL || local->slots == NULL)
        return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for %u policies", set->n_players);
    for (uint32_t p = 0; p < set->n_players; p++) {
        struct network *network = &local->networks[p];
        onnxd_status status = network_compile(&local->compiler, genomes[p], shape, &local->arena, network,
                                              err);
        if (status != ONNXD_OK) return status;
        uint32_t n_groups = (set->first_row[p + 1] - set->first_row[p] + 3) / 4;
        local->slots[p] = arena_alloc(&local->arena, (size_t)n_groups * network->n_slots * sizeof(f32x4));
        if (local->slots[p] == NULL)
            return error_set(err, ONNXD_ERR_NOMEM, "arena: no memory for policy %u", p);
        for (uint32_t g = 0; g < n_groups; g++)
            network_reset(network, local->slots[p] + (size_t)g * network->n_slots);
    }
    return ONNXD_OK;
}

/* Rows first to first + n (at most four) through one activation. */
static void run_group(const struct network *network, f32x4 *slots, const struct row_batch *batch,
                      uint32_t first, uint32_t n)
{
    bool any = false;
    for (uint32_t lane = 0; lane < n; lane++) any |= batch->live[first + lane];
    if (!any) return;
    for (uint32_t i = 0; i < ARENA_N_INPUTS; i++)
        for (uint32_t lane = 0; lane < n; lane++)
            slots[i][lane] = batch->in[(size_t)(first + lane) * ARENA_N_INPUTS + i];
    network_activate(network, slots);
    for (uint32_t o = 0; o < ARENA_N_OUTPUTS; o++)
        for (uint32_t lane = 0; lane < n; lane++)
            batch->out[(size_t)(first + lane) * ARENA_N_OUTPUTS + o] = slots[network->outputs[o]][lane];
}

static onnxd_status run_local(void *context, const struct row_batch *batch, onnxd_error *err)
{
    (void)err;
    const struct local_inference *local = context;
    for (uint32_t p = 0; p < batch->n_players; p++) {
        const struct network *network = &local->networks[p];
        f32x4 *slots = local->slots[p];
        for (uint32_t row = batch->first_row[p]; row < batch->first_row[p + 1]; row += 4) {
            uint32_t n = batch->first_row[p + 1] - row;
            run_group(network, slots, batch, row, n < 4 ? n : 4);
            slots += network->n_slots;
        }
    }
    return ONNXD_OK;
}

struct inference local_inference_view(struct local_inference *local)
{
    return (struct inference){.context = local, .run = run_local};
}
