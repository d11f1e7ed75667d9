/* Checkpoints of neat_train. The first byte chooses: any bytes as a file; any bytes in a sound frame; a real
 * checkpoint of a contest with edits (position, new byte, again and again) in a sound frame. Refused with a
 * message, or a run that goes on. */
#include <stdlib.h>

#include "evolve/run_checkpoint.h"

static struct run_options small_contest(void)
{
    struct run_options options = {
        .task = &TASK_ARENA, .seed = 1, .max_generations = 3, .memory_limit_bytes = 64 << 20};
    task_params(&TASK_ARENA, &options.params);
    options.params.population_size = 6;
    contest_options_default(&options.contest);
    options.contest.arena.max_ticks = 3;
    options.contest.n_matches = 1;
    options.contest.hall_size = 2;
    return options;
}

/* Made once, two generations old. */
static const struct buf *real_checkpoint(void)
{
    static struct buf bytes;
    if (bytes.n > 0) return &bytes;
    struct run_options options = small_contest();
    struct run *run = NULL;
    buf_init(&bytes, 1 << 20);
    if (run_create(&options, &run, NULL) != ONNXD_OK || run_generation(run, NULL) != ONNXD_OK ||
        run_generation(run, NULL) != ONNXD_OK || run_save(run, &bytes, NULL) != ONNXD_OK)
        abort();
    run_free(run);
    return &bytes;
}

static void make_file(const uint8_t *data, size_t n, struct buf *out)
{
    if (data[0] % 4 == 0) {
        buf_append(out, data + 1, n - 1);
        return;
    }
    size_t begin = seal_begin(&run_checkpoint_seal, out), head = out->n;
    if (data[0] % 4 == 1) {
        buf_append(out, data + 1, n - 1);
    } else {
        struct byte_reader in;
        const struct buf *real = real_checkpoint();
        if (seal_open(&run_checkpoint_seal, real->data, real->n, &in, NULL) != ONNXD_OK) abort();
        buf_append(out, in.at, (size_t)(in.end - in.at));
        for (size_t i = 1; i + 4 <= n; i += 4) {
            size_t at = (size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2];
            out->data[head + at % (out->n - head)] = (char)data[i + 3];
        }
    }
    seal_end(out, begin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) return 0;
    struct run_options options = small_contest();
    struct run *run = NULL;
    struct buf file;
    onnxd_error err = {0};
    buf_init(&file, 1 << 20);
    make_file(data, n, &file);
    if (run_load(file.data, file.n, &options, &run, &err) != ONNXD_OK) {
        if (err.message[0] == 0 || run != NULL) abort();
    } else if (!run->finished && run_generation(run, &err) != ONNXD_OK && err.message[0] == 0) {
        abort();
    }
    run_free(run);
    buf_done(&file);
    return 0;
}
