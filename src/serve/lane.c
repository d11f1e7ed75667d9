#include "serve/lane.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define FIRST_ROWS          64u
#define ROWS_KEEP_BYTES     (4u << 20) /* of the gathering buffers, between wake-ups */
#define STRINGS_LIMIT_BYTES (64u << 20)

struct bulk {
    struct bulk *next;
    struct call call;
    uint32_t n_done;
    void **data;    /* [n_inputs]: the rows */
    char **results; /* [n_outputs]: gathered so far; NULL before the first slice */
    onnxd_tensor *outputs;
    uint64_t run_start_ns, run_ns;
    struct v2_request v2; /* call.v2, with its id and outputs in `kept` */
    char *kept;
};

/* ---- life ------------------------------------------------------------------------------------------- */

static bool grow_rows(struct protocol_rows *rows, void *context)
{
    struct lane *lane = context;
    uint32_t capacity = rows->capacity == 0 ? FIRST_ROWS : rows->capacity;
    if (rows->capacity > 0 && __builtin_mul_overflow(capacity, 2u, &capacity)) return false;
    const struct protocol_schema *schema = &lane->version->schema;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        size_t n_bytes;
        if (!checked_mul_size(capacity, schema->inputs[i].row_bytes, &n_bytes)) return false;
        void *data = realloc(rows->data[i], n_bytes > 0 ? n_bytes : 1);
        if (data == NULL) return false;
        rows->data[i] = data;
    }
    rows->capacity = capacity;
    return true;
}

onnxd_status lane_create(struct version *version, struct lane **ret_lane, onnxd_error *err)
{
    const struct protocol_schema *schema = &version->schema;
    struct lane *lane = calloc(1, sizeof *lane);
    if (lane == NULL) return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    lane->version = version;
    arena_init(&lane->strings, STRINGS_LIMIT_BYTES);
    lane->data = calloc(schema->n_inputs + 1, sizeof *lane->data);
    lane->in = calloc(schema->n_inputs + 1, sizeof *lane->in);
    lane->out = calloc(schema->n_outputs + 1, sizeof *lane->out);
    lane->slices = calloc(schema->n_outputs + 1, sizeof *lane->slices);
    lane->rows = (struct protocol_rows){.data = lane->data,
                                        .max_rows = UINT32_MAX,
                                        .grow = grow_rows,
                                        .grow_context = lane,
                                        .arena = &lane->strings};
    if (lane->data == NULL || lane->in == NULL || lane->out == NULL || lane->slices == NULL) {
        lane_free(lane);
        return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
    }
    onnxd_session_options options = {.max_batch = version->one_row_a_run ? 1 : version->settings.max_batch};
    onnxd_status status = version->backend->session_create(version->model, &options, &lane->session, err);
    if (status != ONNXD_OK) {
        lane_free(lane);
        return status;
    }
    *ret_lane = lane;
    return ONNXD_OK;
}

static void free_bulk(const struct lane *lane, struct bulk *bulk)
{
    const struct protocol_schema *schema = &lane->version->schema;
    for (uint32_t i = 0; bulk->data != NULL && i < schema->n_inputs; i++) free(bulk->data[i]);
    for (uint32_t i = 0; bulk->results != NULL && i < schema->n_outputs; i++) free(bulk->results[i]);
    free(bulk->data);
    free(bulk->results);
    free(bulk->outputs);
    free(bulk->kept);
    free(bulk);
}

static void drop_rows(struct lane *lane)
{
    size_t held = 0;
    lane->rows.n = 0;
    arena_reset(&lane->strings);
    for (uint32_t i = 0; i < lane->version->schema.n_inputs; i++)
        held += (size_t)lane->rows.capacity * lane->version->schema.inputs[i].row_bytes;
    if (held <= ROWS_KEEP_BYTES) return;
    for (uint32_t i = 0; i < lane->version->schema.n_inputs; i++) {
        free(lane->data[i]);
        lane->data[i] = NULL;
    }
    lane->rows.capacity = 0;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL) return;
    while (lane->bulk != NULL) {
        struct bulk *bulk = lane->bulk;
        lane->bulk = bulk->next;
        free_bulk(lane, bulk);
    }
    for (uint32_t i = 0; lane->data != NULL && i < lane->version->schema.n_inputs; i++) free(lane->data[i]);
    if (lane->session != NULL) lane->version->backend->session_free(lane->session);
    arena_done(&lane->strings);
    free(lane->data);
    free(lane->in);
    free(lane->out);
    free(lane->slices);
    free(lane->calls);
    free(lane);
}

/* ---- gathering -------------------------------------------------------------------------------------- */

static bool has_strings(const struct protocol_schema *schema)
{
    for (uint32_t i = 0; i < schema->n_inputs; i++)
        if (schema->inputs[i].info->type == ONNXD_STRING) return true;
    return false;
}

/* What a call points to goes with the wake-up; a request that outlives it keeps copies. */
static bool keep_views(struct bulk *bulk)
{
    const struct v2_request *v2 = bulk->call.v2;
    size_t n_wishes = v2 != NULL ? v2->n_outputs * sizeof *v2->outputs : 0,
           n_id = v2 != NULL ? v2->id.len : 0;
    size_t n_path = bulk->call.path.n;
    bulk->kept = malloc(n_wishes + n_id + n_path + 1);
    if (bulk->kept == NULL) return false;
    if (n_path > 0) memcpy(bulk->kept + n_wishes + n_id, bulk->call.path.p, n_path);
    bulk->call.path.p = bulk->kept + n_wishes + n_id;
    if (v2 == NULL) return true;
    bulk->v2 = *v2;
    bulk->v2.inputs = NULL;
    bulk->v2.outputs = (struct v2_output_wish *)(void *)bulk->kept;
    if (n_wishes > 0) memcpy(bulk->v2.outputs, v2->outputs, n_wishes);
    if (v2->id.data != NULL) {
        if (n_id > 0) memcpy(bulk->kept + n_wishes, v2->id.data, n_id);
        bulk->v2.id.data = bulk->kept + n_wishes;
    }
    bulk->call.v2 = &bulk->v2;
    return true;
}

/* Moves the rows of a large request out of the common batch. */
static onnxd_status set_aside(struct lane *lane, const struct call *call, onnxd_error *err)
{
    const struct protocol_schema *schema = &lane->version->schema;
    if (lane->n_bulk >= lane->version->settings.max_queue_size)
        return error_set(err, ONNXD_ERR_BUSY, "model '%s': max-queue-size: %u requests wait already",
                         lane->version->name, lane->n_bulk);
    struct bulk *bulk = calloc(1, sizeof *bulk);
    if (bulk == NULL) goto fail;
    bulk->call = *call;
    if (!keep_views(bulk)) goto fail;
    bulk->data = calloc(schema->n_inputs, sizeof *bulk->data);
    if (bulk->data == NULL) goto fail;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        size_t row = schema->inputs[i].row_bytes, n_bytes = row * call->n_rows;
        bulk->data[i] = malloc(n_bytes > 0 ? n_bytes : 1);
        if (bulk->data[i] == NULL) goto fail;
        memcpy(bulk->data[i], (const char *)lane->data[i] + row * call->first_row, n_bytes);
    }
    if (lane->bulk == NULL)
        lane->bulk = bulk;
    else
        lane->last_bulk->next = bulk;
    lane->last_bulk = bulk;
    lane->n_bulk++;
    return ONNXD_OK;
fail:
    if (bulk != NULL) free_bulk(lane, bulk);
    return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", lane->version->name);
}

onnxd_status lane_add(struct lane *lane, const struct call *call, onnxd_error *err)
{
    struct call copy = *call;
    copy.n_rows = lane->rows.n - call->first_row;
    onnxd_status status;
    if (copy.n_rows == 0 && !copy.alone) return error_set(err, ONNXD_ERR_ARGUMENT, "the request has no rows");
    uint32_t max_batch = lane->version->settings.max_batch;
    if (copy.n_rows > max_batch && lane->version->shares_runs && !has_strings(&lane->version->schema)) {
        status = set_aside(lane, &copy, err);
        lane->rows.n = call->first_row;
        return status;
    }
    if (lane->n_calls == lane->capacity_calls) {
        uint32_t capacity = lane->capacity_calls == 0 ? 64 : lane->capacity_calls * 2;
        struct call *calls = realloc(lane->calls, capacity * sizeof *calls);
        if (calls == NULL) {
            lane->rows.n = call->first_row;
            return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", lane->version->name);
        }
        lane->calls = calls;
        lane->capacity_calls = capacity;
    }
    lane->calls[lane->n_calls++] = copy;
    return ONNXD_OK;
}

bool lane_is_full(const struct lane *lane)
{
    return lane->rows.n >= 4 * (size_t)lane->version->settings.max_batch ||
           lane->n_calls >= lane->version->settings.max_queue_size;
}

/* ---- running ---------------------------------------------------------------------------------------- */

struct run {
    onnxd_status status;
    onnxd_error err;
    uint64_t start_ns, end_ns;
};

/* Rows first..first+n of `data` in one run; the outputs are in lane->out. */
static void run_rows(struct lane *lane, void *const *data, uint32_t first, uint32_t n,
                     const struct lane_sink *sink, const struct clock *clock, struct run *run)
{
    const struct protocol_schema *schema = &lane->version->schema;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        const struct protocol_io *io = &schema->inputs[i];
        onnxd_tensor *tensor = &lane->in[i];
        tensor->type = io->info->type;
        tensor->rank = (uint32_t)io->info->rank;
        tensor->dims[0] = n;
        for (uint32_t d = 1; d < tensor->rank; d++) tensor->dims[d] = io->info->dims[d];
        tensor->data = (char *)data[i] + (size_t)first * io->row_bytes;
    }
    run->err.message[0] = 0;
    run->start_ns = clock_now_ns(clock);
    run->status = lane->version->backend->run(lane->session, lane->in, schema->n_inputs, lane->out,
                                              schema->n_outputs, &run->err);
    run->end_ns = clock_now_ns(clock);
    if (run->status == ONNXD_OK) sink->ran(sink->context, lane, n, run->end_ns - run->start_ns);
}

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
                                 .outputs = lane->out,
                                 .n_rows_run = n_rows_run,
                                 .first_row = first_row,
                                 .run_start_ns = run->start_ns,
                                 .run_end_ns = run->end_ns};
    sink->answer(sink->context, lane, call, &result);
}

/* Whether a failure may be the fault of single rows, so that others deserve a run without them. */
static bool is_by_input(onnxd_status status)
{
    return status == ONNXD_ERR_RANGE || status == ONNXD_ERR_SHAPE || status == ONNXD_ERR_TYPE ||
           status == ONNXD_ERR_ARGUMENT;
}

static void run_group(struct lane *lane, const struct call *calls, uint32_t n_calls, uint32_t n_rows,
                      const struct lane_sink *sink, const struct clock *clock)
{
    struct run run;
    run_rows(lane, lane->data, calls[0].first_row, n_rows, sink, clock, &run);
    if (run.status == ONNXD_OK) {
        for (uint32_t i = 0; i < n_calls; i++)
            answer_rows(lane, &calls[i], sink, &run, n_rows, calls[i].first_row - calls[0].first_row);
        return;
    }
    for (uint32_t i = 0; i < n_calls; i++) {
        if (n_calls > 1 && is_by_input(run.status)) {
            struct run alone;
            run_rows(lane, lane->data, calls[i].first_row, calls[i].n_rows, sink, clock, &alone);
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
    const struct protocol_schema *schema = &lane->version->schema;
    struct run run = {.err.message = ""};
    run.start_ns = clock_now_ns(clock);
    run.status = lane->version->backend->run(lane->session, call->v2->inputs, schema->n_inputs, lane->out,
                                             schema->n_outputs, &run.err);
    run.end_ns = clock_now_ns(clock);
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

static void run_calls(struct lane *lane, const struct lane_sink *sink, const struct clock *clock)
{
    uint32_t max_rows = lane->version->shares_runs ? lane->version->settings.max_batch : 0, n_kept = 0;
    uint64_t now_ns = clock_now_ns(clock);
    for (uint32_t i = 0; i < lane->n_calls; i++)
        if (lane->calls[i].deadline_ns == UINT64_MAX || !is_dead(lane, &lane->calls[i], sink, now_ns))
            lane->calls[n_kept++] = lane->calls[i];
    for (uint32_t i = 0; i < n_kept;) {
        if (lane->calls[i].alone) {
            run_alone(lane, &lane->calls[i++], sink, clock);
            continue;
        }
        uint32_t n_calls = 1, n_rows = lane->calls[i].n_rows;
        /* Rows of a call that was dropped leave a gap, which ends the group. */
        while (i + n_calls < n_kept && !lane->calls[i + n_calls].alone &&
               n_rows + lane->calls[i + n_calls].n_rows <= max_rows &&
               lane->calls[i + n_calls].first_row == lane->calls[i].first_row + n_rows)
            n_rows += lane->calls[i + n_calls++].n_rows;
        run_group(lane, &lane->calls[i], n_calls, n_rows, sink, clock);
        i += n_calls;
    }
    lane->n_calls = 0;
}

/* ---- large requests --------------------------------------------------------------------------------- */

static bool gather_slice(struct lane *lane, struct bulk *bulk, uint32_t n)
{
    const struct protocol_schema *schema = &lane->version->schema;
    if (bulk->results == NULL) {
        bulk->results = calloc(schema->n_outputs, sizeof *bulk->results);
        bulk->outputs = calloc(schema->n_outputs, sizeof *bulk->outputs);
        if (bulk->results == NULL || bulk->outputs == NULL) return false;
    }
    for (uint32_t i = 0; i < schema->n_outputs; i++) {
        const onnxd_tensor *out = &lane->out[i];
        if (out->rank == 0 || out->dims[0] != n || out->type == ONNXD_STRING) return false;
        size_t n_bytes = onnxd_tensor_n_bytes(out), row = n_bytes / n, all;
        if (bulk->results[i] == NULL) {
            if (!checked_mul_size(row, bulk->call.n_rows, &all) ||
                all > lane->version->settings.max_answer_bytes)
                return false;
            bulk->results[i] = malloc(all > 0 ? all : 1);
            if (bulk->results[i] == NULL) return false;
            bulk->outputs[i] = *out;
            bulk->outputs[i].dims[0] = bulk->call.n_rows;
            bulk->outputs[i].data = bulk->results[i];
        } else if (onnxd_tensor_n_bytes(&bulk->outputs[i]) != row * bulk->call.n_rows) {
            return false;
        }
        memcpy(bulk->results[i] + row * bulk->n_done, out->data, n_bytes);
    }
    return true;
}

/* Runs one slice. True when the request is answered. */
static bool run_slice(struct lane *lane, struct bulk *bulk, const struct lane_sink *sink,
                      const struct clock *clock)
{
    struct run run;
    uint32_t n = bulk->call.n_rows - bulk->n_done;
    if (n > lane->version->settings.max_batch) n = lane->version->settings.max_batch;
    if (is_dead(lane, &bulk->call, sink, clock_now_ns(clock))) return true;
    run_rows(lane, bulk->data, bulk->n_done, n, sink, clock, &run);
    if (run.status != ONNXD_OK) {
        answer_error(lane, &bulk->call, sink, run.status, run.err.message);
        return true;
    }
    if (!gather_slice(lane, bulk, n)) {
        answer_error(lane, &bulk->call, sink, ONNXD_ERR_LIMIT, "the answer is larger than max-answer-bytes");
        return true;
    }
    if (bulk->n_done == 0) bulk->run_start_ns = run.start_ns;
    bulk->run_ns += run.end_ns - run.start_ns;
    bulk->n_done += n;
    if (bulk->n_done < bulk->call.n_rows) return false;
    struct call_result result = {.status = ONNXD_OK,
                                 .outputs = bulk->outputs,
                                 .n_rows_run = bulk->call.n_rows,
                                 .run_start_ns = bulk->run_start_ns,
                                 .run_end_ns = bulk->run_start_ns + bulk->run_ns};
    sink->answer(sink->context, lane, &bulk->call, &result);
    return true;
}

static void run_bulk(struct lane *lane, const struct lane_sink *sink, const struct clock *clock)
{
    struct bulk *bulk = lane->bulk;
    lane->bulk = bulk->next;
    if (lane->bulk == NULL) lane->last_bulk = NULL;
    bulk->next = NULL;
    if (run_slice(lane, bulk, sink, clock)) {
        lane->n_bulk--;
        free_bulk(lane, bulk);
        return;
    }
    if (lane->bulk == NULL) /* to the end: those that wait take turns */
        lane->bulk = bulk;
    else
        lane->last_bulk->next = bulk;
    lane->last_bulk = bulk;
}

bool lane_run(struct lane *lane, const struct lane_sink *sink, const struct clock *clock)
{
    if (lane->n_calls > 0) run_calls(lane, sink, clock);
    drop_rows(lane);
    if (lane->bulk != NULL) run_bulk(lane, sink, clock);
    return lane->bulk != NULL;
}

void lane_cancel(struct lane *lane, const struct lane_sink *sink)
{
    static const char message[] = "the server is stopping";
    for (uint32_t i = 0; i < lane->n_calls; i++)
        answer_error(lane, &lane->calls[i], sink, ONNXD_ERR_CANCELLED, message);
    lane->n_calls = 0;
    drop_rows(lane);
    while (lane->bulk != NULL) {
        struct bulk *bulk = lane->bulk;
        lane->bulk = bulk->next;
        answer_error(lane, &bulk->call, sink, ONNXD_ERR_CANCELLED, message);
        free_bulk(lane, bulk);
    }
    lane->last_bulk = NULL;
    lane->n_bulk = 0;
}
