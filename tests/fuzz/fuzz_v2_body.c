/* Any bytes as a v2 request, response and load request. The first two bytes choose how many bytes of the
 * rest are JSON. A request that is taken must survive being written and read again. */
#include <string.h>

#include "fuzz/rows_fuzz.h"
#include "protocol/v2_meta.h"
#include "protocol/v2_request.h"
#include "protocol/v2_response.h"

static void write_again(const struct protocol_schema *schema, const struct v2_request *request, bool binary)
{
    struct v2_request_options options = {.binary_inputs = binary};
    struct v2_request again;
    struct buf buf;
    struct arena arena;
    size_t header;
    onnxd_error err;
    buf_init(&buf, 1 << 24);
    arena_init(&arena, 1 << 24);
    onnxd_status status = v2_request_write(schema, request->inputs, &options, &buf, &header, &err);
    /* NaN in binary input and FP16 have no JSON form. */
    if (status == ONNXD_OK) status = v2_request_read(schema, buf.data, buf.n, header, &arena, &again, &err);
    if (status != ONNXD_OK && binary) abort();
    for (uint32_t i = 0; binary && i < schema->n_inputs; i++)
        if (v2_binary_bytes(&request->inputs[i]) != v2_binary_bytes(&again.inputs[i])) abort();
    buf_done(&buf);
    arena_done(&arena);
}

static void try_request(const onnxd_io_info *inputs, uint32_t n_inputs, const char *data, size_t n,
                        size_t header)
{
    struct protocol_schema schema;
    struct v2_request request;
    struct arena arena;
    onnxd_error err = {0};
    if (protocol_schema_init(&schema, inputs, n_inputs, &rows_fuzz_output, 1, NULL, NULL) != ONNXD_OK)
        abort();
    arena_init(&arena, 1 << 24);
    onnxd_status status = v2_request_read(&schema, data, n, header, &arena, &request, &err);
    if (status != ONNXD_OK && err.message[0] == 0) abort();
    if (status == ONNXD_OK) {
        write_again(&schema, &request, false);
        write_again(&schema, &request, true);
    }
    arena_done(&arena);
    protocol_schema_done(&schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) return 0;
    size_t header = (size_t)data[0] << 8 | data[1];
    if (header == 0xffff) header = V2_ALL_JSON;
    char *body = malloc(n - 2);
    memcpy(body, data + 2, n - 2);
    try_request(rows_fuzz_one, 1, body, n - 2, header);
    try_request(rows_fuzz_mixed, sizeof rows_fuzz_mixed / sizeof rows_fuzz_mixed[0], body, n - 2, header);
    struct arena arena;
    struct v2_response response;
    struct v2_load_request load;
    onnxd_error err = {0};
    arena_init(&arena, 1 << 24);
    if (v2_response_read(body, n - 2, header, &arena, &response, &err) != ONNXD_OK && err.message[0] == 0)
        abort();
    err.message[0] = 0;
    if (v2_load_request_read(body, n - 2, &arena, &load, &err) != ONNXD_OK && err.message[0] == 0) abort();
    arena_done(&arena);
    free(body);
    return 0;
}
