#include "evolve/run_checkpoint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "neat/neat_checkpoint.h"

const struct seal run_checkpoint_seal = {"ONNXDRUN", 2, "a checkpoint of neat_train"};

static void save_result(const struct run *run, struct buf *out)
{
    const struct run_result *r = &run->result;
    bytes_put_u32(out, r->n_generations);
    bytes_put_u64(out, r->n_evaluations);
    bytes_put_u64(out, r->n_steps);
    bytes_put_u32(out, r->n_confirmations);
    bytes_put_u32(out, r->n_hidden);
    bytes_put_u32(out, r->n_enabled);
    bytes_put_f64(out, r->fitness);
    bytes_put_u32(out, run->n_refused);
    for (uint32_t i = 0; i < RUN_REFUSED_KEPT; i++) bytes_put_u64(out, run->refused[i]);
    bytes_put_u32(out, run->champion.n_nodes > 0);
    if (run->champion.n_nodes > 0) genome_save(&run->champion, out);
}

/* What makes the run another one when it differs, apart from parameters and population. */
static void save_identity(const struct run_options *o, struct buf *out)
{
    const struct contest_options *c = &o->contest;
    bytes_put_string(out, o->task->name, (uint32_t)strlen(o->task->name));
    bytes_put_u64(out, o->seed);
    bytes_put_u32(out, o->task_options.success);
    bytes_put_u32(out, o->task->is_contest);
    if (!o->task->is_contest) return;
    const uint32_t counts[] = {c->arena.n_teams, c->arena.ships_a_team, c->arena.max_ticks, c->n_matches,
                               c->n_hall,        c->n_chaser,           c->hall_size};
    const float weights[] = {c->weights.result, c->weights.damage, c->weights.health,
                             c->weights.kills,  c->weights.speed,  c->weights.explored};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) bytes_put_u32(out, counts[i]);
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++) bytes_put_f32(out, weights[i]);
}

onnxd_status run_save(const struct run *run, struct buf *out, onnxd_error *err)
{
    struct run_options options = run->options;
    if (run->contest != NULL) options.contest = run->contest->options;
    size_t start = seal_begin(&run_checkpoint_seal, out);
    save_identity(&options, out);
    save_result(run, out);
    population_save(run->population, out);
    if (run->contest != NULL) contest_save(run->contest, out);
    seal_end(out, start);
    return out->failed ? error_set(err, ONNXD_ERR_LIMIT, "checkpoint: larger than its buffer") : ONNXD_OK;
}

static onnxd_status load_result(struct byte_reader *in, struct run *run, onnxd_error *err)
{
    struct run_result *r = &run->result;
    struct genome_marks marks = {0};
    r->n_generations = bytes_get_u32(in);
    r->n_evaluations = bytes_get_u64(in);
    r->n_steps = bytes_get_u64(in);
    r->n_confirmations = bytes_get_u32(in);
    r->n_hidden = bytes_get_u32(in);
    r->n_enabled = bytes_get_u32(in);
    r->fitness = bytes_get_f64(in);
    run->n_refused = bytes_get_u32(in);
    for (uint32_t i = 0; i < RUN_REFUSED_KEPT; i++) run->refused[i] = bytes_get_u64(in);
    uint32_t has_champion = bytes_get_u32(in);
    if (in->failed || isnan(r->fitness))
        return error_set(err, ONNXD_ERR_FORMAT, "checkpoint: its result is damaged");
    if (has_champion == 0) return ONNXD_OK;
    onnxd_status status = genome_load(in, &run->champion_arena, &run->champion, err);
    if (status == ONNXD_OK) status = genome_check(&marks, &run->champion, &run->population->shape, err);
    if (status != ONNXD_OK) error_prefix(err, "checkpoint, champion: ");
    genome_marks_done(&marks);
    return status;
}

static onnxd_status check_identity(struct byte_reader *in, const struct run_options *options,
                                   onnxd_error *err)
{
    struct buf own;
    struct run_options checked = *options;
    buf_init(&own, 4096);
    onnxd_status status = options->task->is_contest ? arena_options_check(&checked.contest.arena, err)
                                                    : ONNXD_OK;
    save_identity(&checked, &own);
    if (status == ONNXD_OK &&
        (own.failed || (size_t)(in->end - in->at) < own.n || memcmp(in->at, own.data, own.n) != 0))
        status = error_set(
            err, ONNXD_ERR_ARGUMENT,
            "checkpoint: of another task, seed, success test or contest than task '%s' with seed %llu",
            options->task->name, (unsigned long long)options->seed);
    if (status == ONNXD_OK) in->at += own.n;
    buf_done(&own);
    return status;
}

onnxd_status run_load(const void *bytes, size_t n, const struct run_options *options, struct run **ret_run,
                      onnxd_error *err)
{
    struct byte_reader in;
    struct run *run = NULL;
    struct population *population = NULL;
    onnxd_status status = seal_open(&run_checkpoint_seal, bytes, n, &in, err);
    if (status == ONNXD_OK) status = check_identity(&in, options, err);
    if (status == ONNXD_OK) status = run_create(options, &run, err);
    if (status == ONNXD_OK) status = load_result(&in, run, err);
    if (status == ONNXD_OK) status = population_load(&in, options->memory_limit_bytes, &population, err);
    const struct genome_shape own = task_shape(options->task, &options->params);
    if (status == ONNXD_OK &&
        (population->shape.n_inputs != own.n_inputs || population->shape.n_outputs != own.n_outputs ||
         population->n_genomes != run->population->n_genomes))
        status = error_set(err, ONNXD_ERR_ARGUMENT,
                           "checkpoint: its population of %u does not fit this run's of %u",
                           population->n_genomes, run->population->n_genomes);
    if (status == ONNXD_OK && run->contest != NULL) status = contest_load(run->contest, &own, &in, err);
    if (status == ONNXD_OK && in.at != in.end)
        status = error_set(err, ONNXD_ERR_FORMAT, "checkpoint: bytes behind its end");
    if (status != ONNXD_OK) {
        population_free(population);
        run_free(run);
        return status;
    }
    population_free(run->population);
    run->population = population;
    run->options.params = population->params;
    *ret_run = run;
    return ONNXD_OK;
}

onnxd_status run_save_file(const struct run *run, const char *path, onnxd_error *err)
{
    struct buf out;
    buf_init(&out, CHECKPOINT_MAX_BYTES);
    onnxd_status status = run_save(run, &out, err);
    if (status == ONNXD_OK) status = file_replace(path, out.data, out.n, err);
    buf_done(&out);
    return status;
}

onnxd_status run_load_file(const char *path, const struct run_options *options, struct run **ret_run,
                           onnxd_error *err)
{
    char *bytes = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, CHECKPOINT_MAX_BYTES, &bytes, &n, err);
    if (status != ONNXD_OK) return status;
    status = run_load(bytes, n, options, ret_run, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    free(bytes);
    return status;
}
