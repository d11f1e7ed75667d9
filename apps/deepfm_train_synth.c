/* deepfm_train synth: a simulated ad log as CSV. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/threads.h"
#include "cli_options.h"
#include "cli_progress.h"
#include "ctr/ad_log_csv.h"
#include "deepfm_train.h"

enum { CHUNK_ROWS = 1 << 14, MAX_THREADS = 64, GZIP_WINDOW = 16 + MAX_WBITS };

struct synth_options {
    uint64_t rows, seed, skip;
    double click_rate;
    bool truth;
    uint32_t tags, threads;
    const char *output;
};

static const struct cli_option options[] = {
    {"rows", CLI_U64, CLI_AT(struct synth_options, rows), "N", "rows to write", .min = 1, .max = 1e12},
    {"seed", CLI_U64, CLI_AT(struct synth_options, seed), "S", "the same seed gives the same log"},
    {"skip", CLI_U64, CLI_AT(struct synth_options, skip), "N",
     "rows of the log to leave out in front, for a test file of the same world", .max = 1e12},
    {"click-rate", CLI_F64, CLI_AT(struct synth_options, click_rate), "P", "mean click probability",
     .min = 1e-5, .max = 0.5},
    {"truth", CLI_FLAG, CLI_AT(struct synth_options, truth), "",
     "adds the true click probability as the last column"},
    {"tags", CLI_U32, CLI_AT(struct synth_options, tags), "N", "user tags of a row at most, set apart by ;",
     .min = 1, .max = AD_MAX_TAGS},
    {"output", CLI_TEXT, CLI_AT(struct synth_options, output), "FILE",
     "where the log goes, gzip when the name ends with .gz; - is standard output"},
    {"threads", CLI_U32, CLI_AT(struct synth_options, threads), "N", "0: one for each usable CPU",
     .max = MAX_THREADS},
};

static const struct cli_command command = {
    "deepfm_train synth", "Simulates a real-time-bidding ad log of which the truth is known.",
    CLI_TABLE(options),
    .notes =
        "Columns: click, weekday, hour, region, city, adexchange, domain, slotid, slotformat, creative,\n"
        "user_tag, slotwidth, slotheight, slotvisibility, slotprice, advertiser [, probability]."};

struct chunk { /* rows of one task, as they go to the file */
    struct buf text, packed;
    bool failed;
};

struct synth {
    const struct synth_options *options;
    struct ad_log *log;
    struct threads *threads;
    struct chunk *chunks; /* one a thread */
    uint64_t first_row;   /* of the chunks under way */
    bool gzip;
    int fd;
};

/* A gzip member of its own; a file of members is one gzip file. */
static bool pack(struct chunk *chunk)
{
    z_stream z = {0};
    if (deflateInit2(&z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
    buf_reset(&chunk->packed);
    bool done = buf_reserve(&chunk->packed, deflateBound(&z, chunk->text.n));
    if (done) {
        z.next_in = (Bytef *)chunk->text.data;
        z.avail_in = (uInt)chunk->text.n;
        z.next_out = (Bytef *)chunk->packed.data;
        z.avail_out = (uInt)(chunk->packed.capacity);
        done = deflate(&z, Z_FINISH) == Z_STREAM_END;
        chunk->packed.n = z.total_out;
    }
    deflateEnd(&z);
    return done;
}

static void make_chunk(void *context, uint32_t task, uint32_t worker)
{
    struct synth *s = context;
    struct chunk *chunk = &s->chunks[task];
    uint64_t first = s->first_row + (uint64_t)task * CHUNK_ROWS;
    uint64_t end = first + CHUNK_ROWS < s->options->rows ? first + CHUNK_ROWS : s->options->rows;
    (void)worker;
    buf_reset(&chunk->text);
    if (first == 0) chunk->text.n += ad_log_csv_head(s->options->truth, chunk->text.data);
    for (uint64_t i = first; i < end; i++) {
        struct ad_row row;
        ad_log_row(s->log, s->options->skip + i, &row);
        chunk->text.n += ad_log_csv_line(s->log, &row, s->options->truth, chunk->text.data + chunk->text.n);
    }
    chunk->failed = s->gzip && !pack(chunk);
}

static onnxd_status write_all(const struct synth *s, const struct buf *bytes, onnxd_error *err)
{
    for (size_t at = 0; at < bytes->n;) {
        ssize_t n = write(s->fd, bytes->data + at, bytes->n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return error_set(err, ONNXD_ERR_IO, "%s: %s",
                             s->fd == STDOUT_FILENO ? "standard output" : s->options->output,
                             strerror(errno));
        at += (size_t)n;
    }
    return ONNXD_OK;
}

static onnxd_status write_rows(struct synth *s, onnxd_error *err)
{
    const struct synth_options *o = s->options;
    struct cli_progress progress = cli_progress_start("rows", s->fd != STDOUT_FILENO);
    uint32_t n_threads = threads_count(s->threads);
    onnxd_status status = ONNXD_OK;
    while (s->first_row < o->rows && status == ONNXD_OK) {
        uint64_t n_chunks = (o->rows - s->first_row + CHUNK_ROWS - 1) / CHUNK_ROWS;
        uint32_t n = n_chunks < n_threads ? (uint32_t)n_chunks : n_threads;
        threads_run(s->threads, make_chunk, s, n);
        for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) {
            if (s->chunks[i].failed) status = error_set(err, ONNXD_ERR_NOMEM, "no memory for packing");
            if (status == ONNXD_OK)
                status = write_all(s, s->gzip ? &s->chunks[i].packed : &s->chunks[i].text, err);
        }
        s->first_row += (uint64_t)n * CHUNK_ROWS;
        uint64_t done = s->first_row < o->rows ? s->first_row : o->rows;
        cli_progress_update(&progress, done, done, o->rows);
    }
    cli_progress_end(&progress);
    return status;
}

static onnxd_status open_all(struct synth *s, onnxd_error *err)
{
    const struct synth_options *o = s->options;
    struct ad_log_options world = {.seed = o->seed, .click_rate = o->click_rate, .max_tags = o->tags};
    size_t n_name = strlen(o->output);
    onnxd_status status = ad_log_create(&world, &s->log, err);
    if (status == ONNXD_OK)
        status = threads_create(o->threads != 0 ? o->threads : cpus_usable(), &s->threads, err);
    if (status != ONNXD_OK) return status;
    s->chunks = calloc(threads_count(s->threads), sizeof *s->chunks);
    if (s->chunks == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for the rows");
    for (uint32_t i = 0; i < threads_count(s->threads); i++) {
        buf_init(&s->chunks[i].text, (size_t)(CHUNK_ROWS + 1) * AD_LOG_CSV_ROOM);
        buf_init(&s->chunks[i].packed, SIZE_MAX / 2);
        if (!buf_reserve(&s->chunks[i].text, (size_t)(CHUNK_ROWS + 1) * AD_LOG_CSV_ROOM))
            return error_set(err, ONNXD_ERR_NOMEM, "no memory for the rows");
    }
    s->gzip = n_name > 3 && strcmp(o->output + n_name - 3, ".gz") == 0;
    if (strcmp(o->output, "-") == 0) return ONNXD_OK;
    int fd = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) return error_set(err, ONNXD_ERR_IO, "%s: %s", o->output, strerror(errno));
    s->fd = fd;
    return ONNXD_OK;
}

static onnxd_status close_all(struct synth *s, onnxd_status status, onnxd_error *err)
{
    if (s->fd != STDOUT_FILENO && close(s->fd) != 0 && status == ONNXD_OK)
        status = error_set(err, ONNXD_ERR_IO, "%s: %s", s->options->output, strerror(errno));
    for (uint32_t i = 0; s->chunks != NULL && i < threads_count(s->threads); i++) {
        buf_done(&s->chunks[i].text);
        buf_done(&s->chunks[i].packed);
    }
    free(s->chunks);
    threads_free(s->threads);
    ad_log_free(s->log);
    return status;
}

int deepfm_train_synth_main(int argc, char **argv)
{
    struct synth_options o = {.rows = 1000000, .seed = 1, .click_rate = 0.01, .tags = 1, .output = "-"};
    int result = cli_parse(&command, argc, argv, &o, NULL);
    if (result != CLI_GO_ON) return result;
    struct synth s = {.options = &o, .fd = STDOUT_FILENO};
    onnxd_error err;
    onnxd_status status = open_all(&s, &err);
    if (status == ONNXD_OK) status = write_rows(&s, &err);
    status = close_all(&s, status, &err);
    return status == ONNXD_OK ? CLI_EXIT_OK : cli_fail(command.name, &err);
}
