#include "serve/call.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "protocol/infer_body.h"
#include "protocol/predict_body.h"
#include "protocol/v1_body.h"
#include "protocol/v2_response.h"

/* ---- in --------------------------------------------------------------------------------------------- */

/* Rows of every input when they go by rows and agree, else 0. */
static uint32_t rows_of(const struct version *version, const struct v2_request *request)
{
    const struct protocol_schema *schema = &version->schema;
    if (!version->shares_runs) return 0;
    int64_t n = request->inputs[0].rank > 0 ? request->inputs[0].dims[0] : 0;
    for (uint32_t i = 0; i < schema->n_inputs; i++) {
        const onnxd_tensor *tensor = &request->inputs[i];
        if (tensor->type == ONNXD_STRING || tensor->rank == 0 || tensor->dims[0] != n) return 0;
    }
    return n > 0 && n <= UINT32_MAX / 2 ? (uint32_t)n : 0;
}

/* A request may ask for less time than the server gives. */
static void shorten(struct call *call, uint64_t timeout_us)
{
    if (timeout_us == 0 || timeout_us >= (UINT64_MAX - call->complete_ns) / NS_PER_US) return;
    uint64_t deadline_ns = call->complete_ns + timeout_us * NS_PER_US;
    if (deadline_ns < call->deadline_ns) call->deadline_ns = deadline_ns;
}

static onnxd_status read_v2(const struct version *version, const struct call_body *body,
                            struct row_store *store, struct call *call, onnxd_error *err)
{
    struct v2_request *request = arena_alloc_zeroed(&store->strings, sizeof *request);
    void **data = arena_alloc_array(&store->strings, version->schema.n_inputs, sizeof *data);
    if (request == NULL || data == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    onnxd_status status = v2_request_read(&version->schema, body->text.p, body->text.n, body->header_bytes,
                                          &store->strings, request, err);
    if (status != ONNXD_OK) return status;
    call->v2 = request;
    shorten(call, request->timeout_us);
    uint32_t n_rows = rows_of(version, request);
    call->alone = n_rows == 0;
    if (call->alone) return ONNXD_OK;
    for (uint32_t i = 0; i < version->schema.n_inputs; i++) data[i] = request->inputs[i].data;
    if (row_store_append(store, data, 0, n_rows)) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_NOMEM, "model '%s': out of memory", version->name);
}

onnxd_status call_read(const struct version *version, const struct call_body *body, struct row_store *store,
                       struct call *call, onnxd_error *err)
{
    const struct protocol_schema *schema = &version->schema;
    struct protocol_rows *rows = &store->rows;
    const char *text = body->text.p;
    size_t n = body->text.n;
    onnxd_status status = ONNXD_OK;
    if (rows->unknowns != NULL)
        memset(rows->unknowns, 0, schema->features->n_fields * sizeof *rows->unknowns);
    call->first_row = rows->n;
    switch ((enum call_form)call->form) {
    case CALL_PREDICT: status = predict_request_read(schema, text, n, rows, &call->many, err); break;
    case CALL_INFER: status = infer_request_read(schema, text, n, rows, err); break;
    case CALL_V1: status = v1_request_read(schema, text, n, rows, &call->many, err); break;
    case CALL_V2: status = read_v2(version, body, store, call, err); break;
    }
    call->n_rows = rows->n - call->first_row;
    if (status == ONNXD_OK && call->n_rows == 0 && !call->alone)
        status = error_set(err, ONNXD_ERR_ARGUMENT, "the request has no rows");
    return status;
}

/* ---- out -------------------------------------------------------------------------------------------- */

static onnxd_status write_v2(const struct version *version, const struct call *call,
                             const struct call_result *result, onnxd_tensor *slices, struct buf *out,
                             size_t *ret_header_bytes, onnxd_error *err)
{
    const onnxd_tensor *outputs = result->outputs;
    if (!call->alone) {
        for (uint32_t i = 0; i < version->schema.n_outputs; i++) {
            if (outputs[i].rank == 0 || outputs[i].dims[0] != result->n_rows_run)
                return error_set(err, ONNXD_ERR_INTERNAL, "output '%s' does not go by rows",
                                 version->schema.outputs[i].info->name);
            slices[i] = v2_slice_rows(&outputs[i], result->first_row, call->n_rows);
        }
        outputs = slices;
    }
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)version->number);
    return v2_response_write(&version->schema, call->v2, version->name, number, outputs, out,
                             ret_header_bytes, err);
}

onnxd_status call_write(const struct version *version, const struct call *call,
                        const struct call_result *result, onnxd_tensor *slices, struct buf *out,
                        size_t *ret_header_bytes, onnxd_error *err)
{
    const struct protocol_schema *schema = &version->schema;
    onnxd_status status = ONNXD_OK;
    double ms = 0;
    if (result->run_end_ns > call->received_ns)
        ms = (double)(result->run_end_ns - call->received_ns) / NS_PER_MS;
    *ret_header_bytes = V2_ALL_JSON;
    switch ((enum call_form)call->form) {
    case CALL_PREDICT:
        status = predict_answer_write(schema, result->outputs, result->n_rows_run, result->first_row,
                                      call->n_rows, call->many, ms, out, err);
        break;
    case CALL_INFER:
        status = infer_answer_write(schema, result->outputs, result->n_rows_run, result->first_row,
                                    call->n_rows, ms, out, err);
        break;
    case CALL_V1:
        status = v1_answer_write(schema, result->outputs, result->n_rows_run, result->first_row, call->n_rows,
                                 call->many, out, err);
        break;
    case CALL_V2: status = write_v2(version, call, result, slices, out, ret_header_bytes, err); break;
    }
    return status == ONNXD_ERR_RANGE ? ONNXD_ERR_INTERNAL : status;
}
