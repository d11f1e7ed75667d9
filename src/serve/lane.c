#include "serve/lane.h"

#include <stdlib.h>

#include "base/error.h"

/* ---- life ------------------------------------------------------------------------------------------- */

onnxd_status lane_create(struct version *version, struct runner *runner, struct lane **ret_lane,
                         onnxd_error *err)
{
    struct lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) {
        if (runner != NULL) runner_done(runner);
        free(runner);
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    }
    lane->version = version;
    lane->runner = runner;
    onnxd_status status = row_store_init(&lane->store, &version->schema, err);
    if (status != ONNXD_OK) {
        lane_free(lane);
        return status;
    }
    *ret_lane = lane;
    return ONNXD_OK;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL) return;
    if (lane->runner != NULL) runner_done(lane->runner);
    free(lane->runner);
    row_store_done(&lane->store);
    free(lane->calls);
    free(lane);
}

/* ---- gathering -------------------------------------------------------------------------------------- */

bool lane_takes(const struct lane *lane, uint32_t n_rows)
{
    const struct version *version = lane->version;
    return lane->runner != NULL && (!version->shares_runs || n_rows <= version->settings.max_batch);
}

onnxd_status lane_add(struct lane *lane, const struct call *call, onnxd_error *err)
{
    if (lane->n_calls == lane->capacity_calls) {
        uint32_t capacity = lane->capacity_calls == 0 ? 64 : lane->capacity_calls * 2;
        struct call *calls = realloc(lane->calls, capacity * sizeof *calls);
        if (calls == NULL) {
            lane->store.rows.n = call->first_row;
            return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", lane->version->name);
        }
        lane->calls = calls;
        lane->capacity_calls = capacity;
    }
    lane->calls[lane->n_calls++] = *call;
    if (call_rank(call) != UINT64_MAX) lane->has_priorities = true;
    if (call->alone) lane->has_alone = true;
    return ONNXD_OK;
}

bool lane_is_full(const struct lane *lane)
{
    const struct version_settings *settings = &lane->version->settings;
    return lane->store.rows.n >= 4 * (size_t)settings->max_batch || lane->n_calls >= settings->max_queue_size;
}

uint64_t lane_due_ns(const struct lane *lane)
{
    const struct version_settings *settings = &lane->version->settings;
    if (settings->max_queue_delay_ns == 0 || lane->n_calls == 0 || lane->has_alone) return 0;
    if (lane->store.rows.n >= version_least_batch(settings)) return 0;
    return lane->calls[0].parsed_ns + settings->max_queue_delay_ns;
}

static bool keep_view(struct arena *arena, const char **text, size_t n)
{
    if (n == 0) return true;
    char *copy = arena_memdup(arena, *text, n);
    if (copy != NULL) *text = copy;
    return copy != NULL;
}

/* Plain strings of a row lie in the request's body. */
static bool keep_texts(struct lane *lane, const struct call *call)
{
    const struct protocol_schema *schema = &lane->version->schema;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        if (schema->inputs[i].info->type != ONNXD_STRING) continue;
        onnxd_string *texts = (onnxd_string *)lane->store.rows.data[i] +
                              call->first_row * schema->inputs[i].row_elements;
        for (size_t k = 0; k < call->n_rows * schema->inputs[i].row_elements; k++)
            if (!keep_view(&lane->store.strings, &texts[k].data, texts[k].len)) return false;
    }
    return true;
}

bool lane_keep(struct lane *lane)
{
    struct arena *arena = &lane->store.strings;
    for (; lane->n_kept < lane->n_calls; lane->n_kept++) {
        struct call *call = &lane->calls[lane->n_kept];
        if (!keep_view(arena, &call->path.p, call->path.n) ||
            !keep_view(arena, &call->trace.p, call->trace.n) || !keep_texts(lane, call))
            return false;
        if (call->v2 == NULL) continue;
        struct v2_request *v2 = arena_memdup(arena, call->v2, sizeof *v2);
        if (v2 == NULL || !keep_view(arena, &v2->id.data, v2->id.len)) return false;
        call->v2 = v2;
    }
    return true;
}

/* ---- running ---------------------------------------------------------------------------------------- */

static void answer_error(struct lane *lane, const struct call *call, const struct lane_sink *sink,
                         onnxd_status status, const char *message)
{
    struct call_result result = {.status = status, .message = message};
    sink->answer(sink->context, lane, call, &result);
}

static void answer_rows(struct lane *lane, const struct call *call, const struct lane_sink *sink,
                        const struct run *run, uint32_t n_rows_run, uint32_t first_row)
{
    struct call_result result = {.status = ONNXD_OK,
                                 .outputs = lane->runner->out,
                                 .n_rows_run = n_rows_run,
                                 .first_row = first_row,
                                 .run_start_ns = run->start_ns,
                                 .run_end_ns = run->end_ns};
    sink->answer(sink->context, lane, call, &result);
}

static void run_rows(struct lane *lane, uint32_t first, uint32_t n, const struct lane_sink *sink,
                     const struct clock *clock, struct run *run)
{
    runner_run_rows(lane->runner, lane->store.rows.data, first, n, clock, run);
    if (run->status == ONNXD_OK) sink->ran(sink->context, lane, n, run->end_ns - run->start_ns);
}

static void run_group(struct lane *lane, const struct call *calls, uint32_t n_calls, uint32_t n_rows,
                      const struct lane_sink *sink, const struct clock *clock)
{
    struct run run;
    run_rows(lane, calls[0].first_row, n_rows, sink, clock, &run);
    if (run.status == ONNXD_OK) {
        for (uint32_t i = 0; i < n_calls; i++)
            answer_rows(lane, &calls[i], sink, &run, n_rows, calls[i].first_row - calls[0].first_row);
        return;
    }
    for (uint32_t i = 0; i < n_calls; i++) {
        if (n_calls > 1 && run_failed_by_input(run.status)) {
            struct run alone;
            run_rows(lane, calls[i].first_row, calls[i].n_rows, sink, clock, &alone);
            if (alone.status == ONNXD_OK)
                answer_rows(lane, &calls[i], sink, &alone, calls[i].n_rows, 0);
            else
                answer_error(lane, &calls[i], sink, alone.status, alone.err.message);
        } else {
            answer_error(lane, &calls[i], sink, run.status, run.err.message);
        }
    }
}

/* A request whose tensors do not go by rows has a run of its own. */
static void run_alone(struct lane *lane, const struct call *call, const struct lane_sink *sink,
                      const struct clock *clock)
{
    struct run run;
    runner_run_tensors(lane->runner, call->v2->inputs, clock, &run);
    if (run.status != ONNXD_OK) {
        answer_error(lane, call, sink, run.status, run.err.message);
        return;
    }
    sink->ran(sink->context, lane, 1, run.end_ns - run.start_ns);
    answer_rows(lane, call, sink, &run, 1, 0);
}

/* A call that should not be run: its time is over, or nobody waits. */
static bool is_dead(struct lane *lane, const struct call *call, const struct lane_sink *sink, uint64_t now_ns)
{
    if (!sink->is_waiting(sink->context, call)) return true;
    if (now_ns <= call->deadline_ns) return false;
    answer_error(lane, call, sink, ONNXD_ERR_TIMEOUT, "the deadline passed before the request was run");
    return true;
}

static int by_rank(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    uint64_t rank_x = call_rank(x), rank_y = call_rank(y);
    if (rank_x != rank_y) return rank_x < rank_y ? -1 : 1;
    return x->first_row < y->first_row ? -1 : x->first_row > y->first_row;
}

/* Calls from the first on that make one run: rows side by side, at most `most`. */
static uint32_t group_at(const struct call *calls, uint32_t n, uint32_t most, uint32_t *ret_rows)
{
    uint32_t n_calls = 1, n_rows = calls[0].n_rows;
    /* Rows of a call that was dropped leave a gap, which ends the group. */
    while (n_calls < n && !calls[n_calls].alone && n_rows + calls[n_calls].n_rows <= most &&
           calls[n_calls].first_row == calls[0].first_row + n_rows)
        n_rows += calls[n_calls++].n_rows;
    *ret_rows = n_rows;
    return n_calls;
}

static void run_calls(struct lane *lane, const struct lane_sink *sink, const struct clock *clock)
{
    const struct version *version = lane->version;
    uint32_t n_kept = 0, rows_left = lane->store.rows.n;
    uint64_t now_ns = clock_now_ns(clock);
    for (uint32_t i = 0; i < lane->n_calls; i++)
        if (lane->calls[i].deadline_ns == UINT64_MAX || !is_dead(lane, &lane->calls[i], sink, now_ns))
            lane->calls[n_kept++] = lane->calls[i];
    if (lane->has_priorities && n_kept > 1) qsort(lane->calls, n_kept, sizeof *lane->calls, by_rank);
    for (uint32_t i = 0; i < n_kept;) {
        if (lane->calls[i].alone) {
            run_alone(lane, &lane->calls[i++], sink, clock);
            continue;
        }
        uint32_t n_rows, most = version->shares_runs ? version_best_batch(&version->settings, rows_left) : 0;
        uint32_t n_calls = group_at(&lane->calls[i], n_kept - i, most, &n_rows);
        run_group(lane, &lane->calls[i], n_calls, n_rows, sink, clock);
        rows_left -= n_rows < rows_left ? n_rows : rows_left;
        i += n_calls;
    }
}

static void forget_calls(struct lane *lane)
{
    lane->n_calls = lane->n_kept = 0;
    lane->has_priorities = lane->has_alone = false;
    row_store_drop(&lane->store);
}

void lane_run(struct lane *lane, const struct lane_sink *sink, const struct clock *clock)
{
    if (lane->n_calls > 0) run_calls(lane, sink, clock);
    forget_calls(lane);
}

void lane_cancel(struct lane *lane, const struct lane_sink *sink)
{
    for (uint32_t i = 0; i < lane->n_calls; i++)
        answer_error(lane, &lane->calls[i], sink, ONNXD_ERR_CANCELLED, "the server is stopping");
    forget_calls(lane);
}
