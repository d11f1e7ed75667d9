/* Any bytes as a body of :predict, for a model with one input and for one with inputs of every kind. */
#include "fuzz/rows_fuzz.h"
#include "protocol/v1_body.h"

static void try_model(const onnxd_io_info *inputs, uint32_t n_inputs, const uint8_t *data, size_t n)
{
    struct rows_fuzz f;
    onnxd_error err = {0};
    bool columns;
    rows_fuzz_init(&f, inputs, n_inputs, NULL);
    f.rows.n = 1;
    onnxd_status status = v1_request_read(&f.schema, (const char *)data, n, &f.rows, &columns, &err);
    if (status == ONNXD_OK ? f.rows.n < 2 : f.rows.n != 1 || err.message[0] == 0) abort();
    rows_fuzz_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    try_model(rows_fuzz_one, 1, data, n);
    try_model(rows_fuzz_mixed, sizeof rows_fuzz_mixed / sizeof rows_fuzz_mixed[0], data, n);
    return 0;
}
