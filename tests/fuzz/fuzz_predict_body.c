/* Any bytes as a body of /predict: for a model with one input, for one with inputs of every kind, and for one
 * with raw fields, where what went before (up to the first line feed) must not change what is read. */
#include <string.h>

#include "fuzz/rows_fuzz.h"
#include "protocol/predict_body.h"

static void try_model(const onnxd_io_info *inputs, uint32_t n_inputs, const uint8_t *data, size_t n)
{
    struct rows_fuzz f;
    onnxd_error err = {0};
    rows_fuzz_init(&f, inputs, n_inputs, NULL);
    f.rows.n = 1;
    bool many;
    onnxd_status status = predict_request_read(&f.schema, (const char *)data, n, &f.rows, &many, &err);
    if (status == ONNXD_OK ? f.rows.n < 2 : f.rows.n != 1 || err.message[0] == 0) abort();
    rows_fuzz_done(&f);
}

static uint32_t find_letter(const void *context, const char *name, size_t n)
{
    (void)context;
    return n == 1 && name[0] >= 'a' && name[0] <= 'c' ? (uint32_t)(name[0] - 'a') : PROTOCOL_NO_FIELD;
}

static const char *letters(const void *context)
{
    (void)context;
    return "a, b, c";
}

static onnxd_status convert_letters(const void *context, const struct field_value *fields,
                                    void *const *row_inputs, uint64_t *unknowns, onnxd_error *err)
{
    (void)context, (void)unknowns, (void)err;
    for (int i = 0; i < 3; i++)
        ((float *)row_inputs[0])[i] = (float)(fields[i].kind + fields[i].number + (double)fields[i].text.len +
                                              fields[i].n_items);
    return ONNXD_OK;
}

static void try_fields(const char *text, size_t n)
{
    static const struct protocol_features letters_set = {
        .n_fields = 3, .find = find_letter, .names = letters, .convert = convert_letters};
    struct rows_fuzz fresh, used;
    onnxd_error err = {0}, err_used = {0};
    bool many;
    const char *end = memchr(text, '\n', n), *second = end != NULL ? end + 1 : text;
    size_t n_second = n - (size_t)(second - text);
    rows_fuzz_init(&fresh, rows_fuzz_one, 1, &letters_set);
    rows_fuzz_init(&used, rows_fuzz_one, 1, &letters_set);
    (void)!predict_request_read(&used.schema, text, end != NULL ? (size_t)(end - text) : n, &used.rows, &many,
                                &err);
    used.rows.n = 0;
    err.message[0] = 0;
    onnxd_status status = predict_request_read(&fresh.schema, second, n_second, &fresh.rows, &many, &err);
    if (predict_request_read(&used.schema, second, n_second, &used.rows, &many, &err_used) != status ||
        fresh.rows.n != used.rows.n || strcmp(err.message, err_used.message) != 0 ||
        memcmp(fresh.data[0], used.data[0], fresh.rows.n * fresh.schema.inputs[0].row_bytes) != 0)
        abort();
    rows_fuzz_done(&fresh);
    rows_fuzz_done(&used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    try_model(rows_fuzz_one, 1, data, n);
    try_model(rows_fuzz_mixed, sizeof rows_fuzz_mixed / sizeof rows_fuzz_mixed[0], data, n);
    try_fields((const char *)data, n);
    return 0;
}
