/* Any lines as CSV rows, for a model with one input, one with inputs of every kind, and one whose inputs can
 * be named in the first line. */
#include <string.h>

#include "fuzz/rows_fuzz.h"
#include "protocol/row_csv.h"

static const onnxd_io_info named[] = {
    {.name = "age", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}},
    {.name = "name", .type = ONNXD_STRING, .rank = 1, .dims = {-1}},
};

static void try_model(const onnxd_io_info *inputs, uint32_t n_inputs, const uint8_t *data, size_t n)
{
    struct rows_fuzz f;
    struct row_csv *csv = NULL;
    onnxd_error err = {0};
    rows_fuzz_init(&f, inputs, n_inputs, NULL);
    if (row_csv_create(&f.schema, &csv, &err) != ONNXD_OK) abort();
    const char *at = (const char *)data, *end = at + n;
    for (uint32_t line = 0; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop != NULL ? stop : end) - at);
        uint32_t before = f.rows.n;
        err.message[0] = 0;
        onnxd_status status = row_csv_read(csv, at, length, &f.rows, &err);
        if (status != ONNXD_OK && (f.rows.n != before || err.message[0] == 0)) abort();
        /* Only the first line may be one of names. */
        if (status == ONNXD_OK && f.rows.n != before + 1 && (line > 0 || f.rows.n != before)) abort();
        if (f.rows.n == f.rows.capacity) f.rows.n = 0;
        at += length + 1;
    }
    row_csv_free(csv);
    rows_fuzz_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    try_model(rows_fuzz_one, 1, data, n);
    try_model(rows_fuzz_mixed, sizeof rows_fuzz_mixed / sizeof rows_fuzz_mixed[0], data, n);
    try_model(named, 2, data, n);
    return 0;
}
