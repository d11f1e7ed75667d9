/* Files of encoded rows. The first byte chooses: any bytes as a file, or any floats behind a header that fits
 * them. What can be mapped is trained on: refused with a message, or a training that ends. */
#include <string.h>

#include "ctr/encoded_rows.h"
#include "fuzz/fit_fuzz.h"

static void train_on(const struct encoded_rows *rows)
{
    struct fit_fuzz *f = fit_fuzz_model();
    struct fit *fit = NULL;
    onnxd_error err = {0};
    if (rows->n_columns != FIT_FUZZ_COLUMNS) return;
    if (fit_create(&f->options, &f->shape, rows, rows, f->threads, &fit, &err) == ONNXD_OK)
        fit_fuzz_run(fit);
    else if (err.message[0] == 0)
        abort();
    fit_free(fit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    enum { HEADER_BYTES = 64, RECORD_BYTES = (FIT_FUZZ_COLUMNS + 2) * sizeof(float) };
    if (n == 0) return 0;
    struct encoded_rows rows;
    char path[64], *file = calloc(1, HEADER_BYTES + n);
    size_t n_file = n - 1;
    onnxd_error err = {0};
    if (file == NULL) abort();
    if (data[0] % 4 == 0) {
        memcpy(file, data + 1, n - 1);
    } else {
        uint64_t n_rows = (n - 1) / RECORD_BYTES;
        const uint32_t shape[] = {1, FIT_FUZZ_COLUMNS};
        memcpy(file, "ONNXDROW", 8);
        memcpy(file + 8, shape, sizeof shape);
        memcpy(file + 16, &n_rows, sizeof n_rows);
        n_file = HEADER_BYTES + n_rows * RECORD_BYTES;
        memcpy(file + HEADER_BYTES, data + 1, n_rows * RECORD_BYTES);
    }
    int fd = fit_fuzz_file(file, n_file, path, sizeof path);
    if (encoded_rows_map(path, &rows, &err) == ONNXD_OK) {
        train_on(&rows);
        encoded_rows_done(&rows);
    } else if (err.message[0] == 0) {
        abort();
    }
    close(fd);
    free(file);
    return 0;
}
