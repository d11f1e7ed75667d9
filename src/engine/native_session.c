#include "engine/native_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "engine/io_check.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

enum { MAX_TILE_ROWS = 32, MIN_TILE_ROWS = 8, MAX_TILED_OUTPUTS = 16, MEMORY_ALIGN = 64 };

/* Intermediate values of a tile should leave most of a 1 MB second-level cache to the weights. */
#define TILE_SCRATCH_BYTES ((size_t)160 << 10)

struct slot {
    struct program *program;
    uint64_t last_used;
};

struct native_session {
    const struct native_model *model;
    struct evaluator evaluator;
    struct arena results; /* of dynamic steps, since the last run began */
    struct slot *slots;   /* [max_programs] */
    uint32_t n_programs, max_programs;
    struct program *current; /* the one run last */
    uint64_t clock;
    char *scratch;
    size_t scratch_bytes;
    char **outputs; /* [n_outputs] */
    size_t *output_bytes;
    onnxd_tensor *row_in; /* [n_inputs] a tile's view of the inputs */
    uint32_t tile_rows;   /* 0: not known yet */
    uint64_t limit_bytes;
};

/* ---- memory -------------------------------------------------------------------------------------- */

uint64_t native_session_memory(const void *data)
{
    const struct native_session *s = data;
    uint64_t n = sizeof *s + s->scratch_bytes + s->results.used_bytes + evaluator_memory_bytes(&s->evaluator);
    for (uint32_t j = 0; j < s->model->graph->n_outputs; j++) n += s->output_bytes[j];
    for (uint32_t i = 0; i < s->n_programs; i++) n += program_memory_bytes(s->slots[i].program);
    return n;
}

static onnxd_status check_limit(const struct native_session *s, size_t extra, onnxd_error *err)
{
    uint64_t held = native_session_memory(s);
    if (extra <= s->limit_bytes && held <= s->limit_bytes - extra) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_LIMIT, "the session would hold %llu bytes, its limit is %llu",
                     (unsigned long long)(held + extra), (unsigned long long)s->limit_bytes);
}

/* A larger scratch block moves: every program is told. There is always one, also for programs that need none.
 */
static onnxd_status grow_scratch(struct native_session *s, size_t n_bytes, onnxd_error *err)
{
    if (n_bytes == 0) n_bytes = MEMORY_ALIGN;
    if (n_bytes <= s->scratch_bytes) return ONNXD_OK;
    onnxd_status status = check_limit(s, n_bytes, err);
    if (status != ONNXD_OK) return status;
    char *bigger = aligned_alloc(MEMORY_ALIGN, n_bytes);
    if (bigger == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu bytes of scratch", n_bytes);
    free(s->scratch);
    s->scratch = bigger;
    s->scratch_bytes = n_bytes;
    for (uint32_t i = 0; i < s->n_programs; i++) program_place(s->slots[i].program, bigger);
    return ONNXD_OK;
}

static onnxd_status grow_output(struct native_session *s, uint32_t j, size_t n_bytes, onnxd_error *err)
{
    if (n_bytes == 0) n_bytes = 1; /* an output without elements has an address, too */
    if (n_bytes <= s->output_bytes[j]) return ONNXD_OK;
    size_t rounded = (n_bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
    onnxd_status status = check_limit(s, rounded, err);
    if (status != ONNXD_OK) return status;
    char *bigger = aligned_alloc(MEMORY_ALIGN, rounded);
    if (bigger == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for %zu bytes of output", rounded);
    free(s->outputs[j]);
    s->outputs[j] = bigger;
    s->output_bytes[j] = rounded;
    return ONNXD_OK;
}

/* ---- programs ------------------------------------------------------------------------------------ */

static void drop_least_recently_used(struct native_session *s)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < s->n_programs; i++)
        if (s->slots[i].last_used < s->slots[oldest].last_used) oldest = i;
    if (s->current == s->slots[oldest].program) s->current = NULL;
    program_free(s->slots[oldest].program);
    s->slots[oldest] = s->slots[--s->n_programs];
}

static onnxd_status try_program(struct native_session *s, const onnxd_tensor *in, struct program **ret,
                                onnxd_error *err)
{
    struct program *program = NULL;
    uint64_t held = native_session_memory(s);
    size_t room = held < s->limit_bytes ? s->limit_bytes - held : 1;
    onnxd_status status = program_create(s->model->graph, in, &s->evaluator, room, &program, err);
    if (status == ONNXD_OK) status = grow_scratch(s, program_scratch_bytes(program), err);
    if (status == ONNXD_OK)
        *ret = program;
    else
        program_free(program);
    return status;
}

/* Past the memory limit, what is kept for other shapes goes first. */
static onnxd_status build_program(struct native_session *s, const onnxd_tensor *in, struct program **ret,
                                  onnxd_error *err)
{
    struct program *program;
    onnxd_status status = try_program(s, in, &program, err);
    if (status == ONNXD_ERR_LIMIT && s->n_programs > 0) {
        while (s->n_programs > 0) drop_least_recently_used(s);
        free(s->scratch);
        s->scratch = NULL;
        s->scratch_bytes = 0;
        status = try_program(s, in, &program, err);
    }
    if (status != ONNXD_OK) return status;
    program_place(program, s->scratch);
    if (s->n_programs == s->max_programs) drop_least_recently_used(s);
    s->slots[s->n_programs++] = (struct slot){.program = program};
    *ret = program;
    return ONNXD_OK;
}

/* The program for these shapes. They have been checked when it is built; a hit proves them right. */
static onnxd_status find_program(struct native_session *s, const onnxd_tensor *in, struct program **ret,
                                 onnxd_error *err)
{
    s->clock++;
    if (s->current != NULL && program_matches(s->current, in)) {
        *ret = s->current;
        return ONNXD_OK;
    }
    struct slot *slot = NULL;
    for (uint32_t i = 0; i < s->n_programs && slot == NULL; i++)
        if (program_matches(s->slots[i].program, in)) slot = &s->slots[i];
    if (slot == NULL) {
        struct program *built;
        onnxd_status status = build_program(s, in, &built, err);
        if (status != ONNXD_OK) return status;
        slot = &s->slots[s->n_programs - 1];
    }
    slot->last_used = s->clock;
    s->current = *ret = slot->program;
    return ONNXD_OK;
}

/* ---- one program over the whole input ------------------------------------------------------------ */

static onnxd_status collect_outputs(struct native_session *s, const struct program *program,
                                    onnxd_tensor *ret_out, onnxd_error *err)
{
    for (uint32_t j = 0; j < s->model->graph->n_outputs; j++) {
        const onnxd_tensor *out = program_output(program, j);
        if (program_planned_output(program, j) != NULL) {
            ret_out[j] = *out;
            continue;
        }
        /* It may share memory with the caller's input. */
        onnxd_status status = op_copy_tensor(&s->results, out, &ret_out[j], err);
        if (status != ONNXD_OK) return status;
    }
    return ONNXD_OK;
}

static onnxd_status run_whole(struct native_session *s, const onnxd_tensor *in, onnxd_tensor *ret_out,
                              onnxd_error *err)
{
    struct program *program;
    onnxd_status status = find_program(s, in, &program, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t j = 0; j < s->model->graph->n_outputs; j++) {
        const onnxd_tensor *planned = program_planned_output(program, j);
        if (planned == NULL) continue;
        status = grow_output(s, j, onnxd_tensor_n_bytes(planned), err);
        if (status != ONNXD_OK) return status;
        program_bind_output(program, j, s->outputs[j]);
    }
    for (uint32_t i = 0; i < s->model->graph->n_inputs; i++) program_bind_input(program, i, in[i].data);
    arena_reset(&s->results);
    status = program_run(program, &s->evaluator, &s->results, err);
    return status == ONNXD_OK ? collect_outputs(s, program, ret_out, err) : status;
}

/* ---- tiles --------------------------------------------------------------------------------------- */

static void set_rows(struct native_session *s, const onnxd_tensor *in, int64_t rows)
{
    for (uint32_t i = 0; i < s->model->graph->n_inputs; i++) {
        s->row_in[i] = in[i];
        s->row_in[i].dims[0] = rows;
    }
}

/* The largest tile whose intermediate values fit the cache. */
static onnxd_status choose_tile(struct native_session *s, const onnxd_tensor *in, onnxd_error *err)
{
    for (uint32_t rows = MAX_TILE_ROWS;; rows /= 2) {
        struct program *program;
        set_rows(s, in, rows);
        onnxd_status status = find_program(s, s->row_in, &program, err);
        if (status != ONNXD_OK) return status;
        s->tile_rows = rows;
        if (rows <= MIN_TILE_ROWS || program_scratch_bytes(program) <= TILE_SCRATCH_BYTES) return ONNXD_OK;
    }
}

static size_t row_bytes(const onnxd_tensor *tensor, int64_t rows)
{
    return rows == 0 ? 0 : onnxd_tensor_n_bytes(tensor) / (size_t)rows;
}

static onnxd_status run_tile(struct native_session *s, const onnxd_tensor *in, int64_t first, int64_t rows,
                             int64_t all_rows, onnxd_error *err)
{
    struct program *program;
    set_rows(s, in, rows);
    onnxd_status status = find_program(s, s->row_in, &program, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < s->model->graph->n_inputs; i++)
        program_bind_input(program, i, (char *)in[i].data + (size_t)first * row_bytes(&in[i], all_rows));
    for (uint32_t j = 0; j < s->model->graph->n_outputs; j++) {
        const onnxd_tensor *planned = program_planned_output(program, j);
        program_bind_output(program, j, s->outputs[j] + (size_t)first * row_bytes(planned, rows));
    }
    return program_run(program, &s->evaluator, &s->results, err);
}

static onnxd_status run_tiled(struct native_session *s, const onnxd_tensor *in, int64_t rows,
                              onnxd_tensor *ret_out, onnxd_error *err)
{
    struct program *program;
    set_rows(s, in, s->tile_rows);
    onnxd_status status = find_program(s, s->row_in, &program, err);
    onnxd_tensor out[MAX_TILED_OUTPUTS];
    for (uint32_t j = 0; j < s->model->graph->n_outputs && status == ONNXD_OK; j++) {
        out[j] = *program_planned_output(program, j);
        out[j].dims[0] = out[j].dims[0] / s->tile_rows * rows;
        status = grow_output(s, j, onnxd_tensor_n_bytes(&out[j]), err);
        out[j].data = s->outputs[j];
    }
    for (int64_t first = 0; first < rows && status == ONNXD_OK; first += s->tile_rows) {
        int64_t left = rows - first;
        status = run_tile(s, in, first, left < s->tile_rows ? left : s->tile_rows, rows, err);
    }
    if (status == ONNXD_OK) memcpy(ret_out, out, s->model->graph->n_outputs * sizeof *out);
    return status;
}

/* True when the model and these inputs can be cut into rows; sets *ret_rows. */
static bool is_row_batch(const struct native_session *s, const onnxd_tensor *in, int64_t *ret_rows)
{
    const struct graph *graph = s->model->graph;
    if (!s->model->row_wise || graph->n_inputs == 0 || graph->n_outputs > MAX_TILED_OUTPUTS) return false;
    *ret_rows = in[0].dims[0];
    return true;
}

/* Every output must be planned, with its rows in dimension 0. */
static bool tile_outputs_are_planned(struct native_session *s, const onnxd_tensor *in)
{
    struct program *program;
    set_rows(s, in, s->tile_rows);
    if (find_program(s, s->row_in, &program, NULL) != ONNXD_OK) return false;
    for (uint32_t j = 0; j < s->model->graph->n_outputs; j++) {
        const onnxd_tensor *planned = program_planned_output(program, j);
        if (planned == NULL || planned->rank == 0 || planned->dims[0] % s->tile_rows != 0) return false;
    }
    return true;
}

/* The usual case: the same shapes as last time. */
static bool fits_current(const struct native_session *s, const onnxd_tensor *in)
{
    if (s->current == NULL || !program_matches(s->current, in)) return false;
    for (uint32_t i = 0; i < s->model->graph->n_inputs; i++)
        if (in[i].data == NULL) return false;
    return true;
}

onnxd_status native_session_run(void *session, const onnxd_tensor *in, onnxd_tensor *ret_out,
                                onnxd_error *err)
{
    struct native_session *s = session;
    int64_t rows = 0;
    if (fits_current(s, in)) return run_whole(s, in, ret_out, err);
    onnxd_status status = io_check(s->model->inputs, in, s->model->graph->n_inputs, err);
    if (status != ONNXD_OK) return status;
    if (!is_row_batch(s, in, &rows) || rows <= MIN_TILE_ROWS) return run_whole(s, in, ret_out, err);
    if (s->tile_rows == 0) {
        status = choose_tile(s, in, err);
        if (status != ONNXD_OK) return status;
    }
    if (rows <= s->tile_rows || !tile_outputs_are_planned(s, in)) return run_whole(s, in, ret_out, err);
    return run_tiled(s, in, rows, ret_out, err);
}

uint32_t native_session_tile_rows(const void *session)
{
    return ((const struct native_session *)session)->tile_rows;
}

/* ---- life ---------------------------------------------------------------------------------------- */

void native_session_free(void *session)
{
    struct native_session *s = session;
    if (s == NULL) return;
    for (uint32_t i = 0; i < s->n_programs; i++) program_free(s->slots[i].program);
    for (uint32_t j = 0; s->outputs != NULL && j < s->model->graph->n_outputs; j++) free(s->outputs[j]);
    evaluator_done(&s->evaluator);
    arena_done(&s->results);
    free(s->slots);
    free(s->outputs);
    free(s->output_bytes);
    free(s->row_in);
    free(s->scratch);
    free(s);
}

/* Builds the program for max_batch rows where the shapes follow from that alone. */
static onnxd_status warm_up(struct native_session *s, uint32_t rows, onnxd_error *err)
{
    struct program *program;
    if (s->model->row_wise && rows > MAX_TILE_ROWS) rows = MAX_TILE_ROWS;
    for (uint32_t i = 0; i < s->model->graph->n_inputs; i++) {
        const onnxd_io_info *info = &s->model->inputs[i];
        onnxd_tensor *in = &s->row_in[i];
        if (info->rank < 0 || info->type == ONNXD_UNDEFINED || type_is_container(info->type)) return ONNXD_OK;
        *in = (onnxd_tensor){.type = info->type, .rank = (uint32_t)info->rank};
        for (int32_t k = 0; k < info->rank; k++) {
            if (info->dims[k] < 0 && k > 0) return ONNXD_OK;
            in->dims[k] = info->dims[k] < 0 ? rows : info->dims[k];
        }
    }
    onnxd_status status = find_program(s, s->row_in, &program, err);
    /* Whether other shapes than these guessed ones are meant, only a run can tell. */
    return status == ONNXD_ERR_LIMIT || status == ONNXD_ERR_NOMEM ? status : ONNXD_OK;
}

onnxd_status native_session_create(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err)
{
    struct native_session *s = calloc(1, sizeof *s);
    if (s == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a session");
    s->model = model;
    s->limit_bytes = options->arena_limit_bytes;
    s->max_programs = options->max_programs;
    evaluator_init(&s->evaluator, s->limit_bytes);
    arena_init(&s->results, s->limit_bytes);
    const struct graph *graph = s->model->graph;
    s->slots = calloc(s->max_programs, sizeof *s->slots);
    s->outputs = calloc(graph->n_outputs + 1, sizeof *s->outputs);
    s->output_bytes = calloc(graph->n_outputs + 1, sizeof *s->output_bytes);
    s->row_in = calloc(graph->n_inputs + 1, sizeof *s->row_in);
    onnxd_status status = ONNXD_OK;
    if (s->slots == NULL || s->outputs == NULL || s->output_bytes == NULL || s->row_in == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for a session");
    if (status == ONNXD_OK) status = warm_up(s, options->max_batch, err);
    if (status != ONNXD_OK) {
        native_session_free(s);
        return status;
    }
    *ret_session = s;
    return ONNXD_OK;
}
