/* Checkpoints of deepfm_train. The first byte chooses: any bytes as a file; any bytes in a sound frame; a
 * real checkpoint with edits (position, new byte, again and again) in a sound frame. Refused with a message
 * and nothing changed, or a training that goes on. */
#include <string.h>

#include "base/file.h"
#include "base/seal.h"
#include "ctr/fit_checkpoint.h"
#include "fuzz/fit_fuzz.h"

static const float records[8][FIT_FUZZ_COLUMNS + 2] = {
    {0, 1, 1, 0.5f, 1, 1}, {1, 0, 1, -1, 0, 1}, {2, 2, 0, 0, 0, 1},  {1, 2, 2, 2, 1, 1},
    {0, 0, 0, 0.1f, 0, 1}, {1, 1, 1, 1, 1, 2},  {2, 1, 2, -2, 0, 1}, {2, 2, 1, 3, 0, 0.5f}};

static struct fit *start(struct fit_fuzz *f, const struct encoded_rows *rows)
{
    struct fit *fit = NULL;
    if (fit_create(&f->options, &f->shape, rows, rows, f->threads, &fit, NULL) != ONNXD_OK) abort();
    return fit;
}

/* A checkpoint in the middle of an epoch, made once; what stands between its frame's ends. */
static struct byte_reader real_checkpoint(struct fit_fuzz *f, const struct encoded_rows *rows)
{
    static char *bytes;
    static size_t n;
    struct byte_reader in;
    if (bytes == NULL) {
        char folder[] = "/tmp/fuzz_fit_XXXXXX", path[64];
        struct fit *fit = start(f, rows);
        for (int i = 0; i < 3; i++)
            if (fit_batch(fit, NULL, NULL) != ONNXD_OK) abort();
        if (mkdtemp(folder) == NULL) abort();
        snprintf(path, sizeof path, "%s/checkpoint", folder);
        if (fit_save(fit, path, NULL) != ONNXD_OK || file_read(path, 1 << 20, &bytes, &n, NULL) != ONNXD_OK)
            abort();
        unlink(path);
        rmdir(folder);
        fit_free(fit);
    }
    if (seal_open(&fit_checkpoint_seal, bytes, n, &in, NULL) != ONNXD_OK) abort();
    return in;
}

static void edit(char *bytes, size_t n, const uint8_t *edits, size_t n_edits)
{
    for (; n_edits >= 4; edits += 4, n_edits -= 4)
        bytes[((size_t)edits[0] << 16 | (size_t)edits[1] << 8 | edits[2]) % n] = (char)edits[3];
}

static void try_file(struct fit_fuzz *f, const struct encoded_rows *rows, const char *path)
{
    struct fit_head head;
    struct fit result;
    struct fit *fit = start(f, rows);
    onnxd_error err = {0};
    onnxd_status status = fit_read_head(path, &head, &err);
    if (status != ONNXD_OK && err.message[0] == 0) abort();
    err.message[0] = 0;
    uint64_t step = fit->step;
    if (fit_load(fit, path, &err) == ONNXD_OK)
        fit_fuzz_run(fit);
    else if (err.message[0] == 0 || fit->step != step)
        abort();
    err.message[0] = 0;
    if (fit_read_result(path, &f->shape, &result, &err) == ONNXD_OK)
        fit_result_done(&result);
    else if (err.message[0] == 0)
        abort();
    fit_free(fit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) return 0;
    struct fit_fuzz *f = fit_fuzz_model();
    struct encoded_rows rows = encoded_rows_view(&records[0][0], 8, FIT_FUZZ_COLUMNS);
    struct buf file;
    char path[64];
    buf_init(&file, 1 << 20);
    if (data[0] % 4 == 0) {
        buf_append(&file, data + 1, n - 1);
    } else {
        size_t begin = seal_begin(&fit_checkpoint_seal, &file), head = file.n;
        struct byte_reader real = real_checkpoint(f, &rows);
        if (data[0] % 4 == 1) {
            buf_append(&file, data + 1, n - 1);
        } else {
            buf_append(&file, real.at, (size_t)(real.end - real.at));
            edit(file.data + head, file.n - head, data + 1, n - 1);
        }
        seal_end(&file, begin);
    }
    int fd = fit_fuzz_file(file.data, file.n, path, sizeof path);
    try_file(f, &rows, path);
    close(fd);
    buf_done(&file);
    return 0;
}
