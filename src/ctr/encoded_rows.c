#include "ctr/encoded_rows.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/map.h"

enum { HEADER_BYTES = 64, VERSION = 1, WRITE_BYTES = 1 << 20 };

static const char MAGIC[8] = {'O', 'N', 'N', 'X', 'D', 'R', 'O', 'W'};

struct header {
    char magic[8];
    uint32_t version, n_columns;
    uint64_t n_rows, fingerprint;
    char zeros[32];
};

_Static_assert(sizeof(struct header) == HEADER_BYTES, "the header is written as it lies in memory");

struct encoded_writer {
    char *path, *tmp;
    FILE *file; /* NULL once finished */
    uint32_t n_columns;
    uint64_t n_rows, fingerprint;
    float *record; /* [n_columns + 2] */
};

static onnxd_status io_error(const char *path, onnxd_error *err)
{
    return error_set(err, ONNXD_ERR_IO, "%s: %s", path, strerror(errno));
}

/* Where the rows are written. */
static const char *place_of(const struct encoded_writer *w)
{
    return w->tmp != NULL ? w->tmp : w->path;
}

static onnxd_status make_writer(const char *path, uint32_t n_columns, struct encoded_writer **ret_writer,
                                onnxd_error *err)
{
    if (n_columns == 0 || n_columns > ENCODED_MAX_COLUMNS)
        return error_set(err, ONNXD_ERR_RANGE, "%s: %u columns; expected 1 to %d", path, n_columns,
                         ENCODED_MAX_COLUMNS);
    struct encoded_writer *w = calloc(1, sizeof *w);
    if (w != NULL) {
        w->n_columns = n_columns;
        w->path = strdup(path);
        w->record = malloc((n_columns + 2) * sizeof *w->record);
    }
    if (w == NULL || w->path == NULL || w->record == NULL) {
        encoded_writer_free(w);
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory", path);
    }
    *ret_writer = w;
    return ONNXD_OK;
}

/* w->file was opened, or errno says why not. */
static onnxd_status begin(struct encoded_writer *w, struct encoded_writer **ret_writer, onnxd_error *err)
{
    struct header header = {{0}};
    if (w->file == NULL || setvbuf(w->file, NULL, _IOFBF, WRITE_BYTES) != 0 ||
        fwrite(&header, sizeof header, 1, w->file) != 1) {
        onnxd_status status = io_error(place_of(w), err);
        encoded_writer_free(w);
        return status;
    }
    *ret_writer = w;
    return ONNXD_OK;
}

onnxd_status encoded_writer_create(const char *path, uint32_t n_columns, struct encoded_writer **ret_writer,
                                   onnxd_error *err)
{
    struct encoded_writer *w = NULL;
    size_t n_path = strlen(path);
    onnxd_status status = make_writer(path, n_columns, &w, err);
    if (status != ONNXD_OK) return status;
    w->tmp = malloc(n_path + 5);
    if (w->tmp == NULL) {
        encoded_writer_free(w);
        return error_set(err, ONNXD_ERR_NOMEM, "%s: no memory", path);
    }
    memcpy(w->tmp, path, n_path);
    memcpy(w->tmp + n_path, ".tmp", 5);
    w->file = fopen(w->tmp, "wbe");
    return begin(w, ret_writer, err);
}

/* Some file systems know only files with names; there it loses its name at once. -1 with errno set. */
static int open_nameless(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) return fd;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/rows-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkstemp(path);
    if (fd >= 0) unlink(path);
    return fd;
}

onnxd_status encoded_writer_create_nameless(const char *folder, uint32_t n_columns,
                                            struct encoded_writer **ret_writer, onnxd_error *err)
{
    struct encoded_writer *w = NULL;
    onnxd_status status = make_writer(folder, n_columns, &w, err);
    if (status != ONNXD_OK) return status;
    int fd = open_nameless(folder);
    w->file = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    return begin(w, ret_writer, err);
}

onnxd_status encoded_writer_append(struct encoded_writer *w, const float *columns, float label, float weight,
                                   onnxd_error *err)
{
    for (uint32_t i = 0; i < w->n_columns; i++)
        if (!isfinite(columns[i]))
            return error_set(err, ONNXD_ERR_RANGE, "column %u: expected a finite number", i);
    if (!(label >= 0 && label <= 1))
        return error_set(err, ONNXD_ERR_RANGE, "label: expected 0 or 1, got %g", (double)label);
    if (!(weight >= 0 && isfinite(weight)))
        return error_set(err, ONNXD_ERR_RANGE, "weight: expected a number from 0, got %g", (double)weight);
    memcpy(w->record, columns, w->n_columns * sizeof *columns);
    w->record[w->n_columns] = label;
    w->record[w->n_columns + 1] = weight;
    if (fwrite(w->record, (w->n_columns + 2) * sizeof *w->record, 1, w->file) != 1)
        return io_error(place_of(w), err);
    w->fingerprint = hash_bytes(w->record, (w->n_columns + 2) * sizeof *w->record, w->fingerprint);
    w->n_rows++;
    return ONNXD_OK;
}

uint64_t encoded_writer_count(const struct encoded_writer *w)
{
    return w->n_rows;
}

static onnxd_status check_header(const char *path, const struct header *header, size_t n_bytes,
                                 onnxd_error *err)
{
    size_t record_bytes = ((size_t)header->n_columns + 2) * sizeof(float), n = 0;
    if (memcmp(header->magic, MAGIC, sizeof MAGIC) != 0)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: not a file of encoded rows", path);
    if (header->version != VERSION)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: version %u; this program reads version %d", path,
                         header->version, VERSION);
    if (header->n_columns == 0 || header->n_columns > ENCODED_MAX_COLUMNS)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: %u columns; expected 1 to %d", path, header->n_columns,
                         ENCODED_MAX_COLUMNS);
    if (!checked_mul_size(header->n_rows, record_bytes, &n) || !checked_add_size(n, HEADER_BYTES, &n) ||
        n != n_bytes)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: %zu bytes do not hold the %llu rows of its header", path,
                         n_bytes, (unsigned long long)header->n_rows);
    return ONNXD_OK;
}

/* The mapping outlives the descriptor. `path` is for messages. */
static onnxd_status map_descriptor(int fd, const char *path, struct encoded_rows *ret_rows, onnxd_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return io_error(path, err);
    size_t n_bytes = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
    if (n_bytes < HEADER_BYTES)
        return error_set(err, ONNXD_ERR_FORMAT, "%s: not a file of encoded rows", path);
    void *mapping = mmap(NULL, n_bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED) return io_error(path, err);
    const struct header *header = mapping;
    onnxd_status status = check_header(path, header, n_bytes, err);
    if (status != ONNXD_OK) {
        munmap(mapping, n_bytes);
        return status;
    }
    *ret_rows = (struct encoded_rows){.records = (const float *)(header + 1),
                                      .n_rows = header->n_rows,
                                      .fingerprint = header->fingerprint,
                                      .n_columns = header->n_columns,
                                      .stride = header->n_columns + 2,
                                      .mapping = mapping,
                                      .mapping_bytes = n_bytes};
    return ONNXD_OK;
}

static bool write_header(struct encoded_writer *w)
{
    struct header header = {
        .version = VERSION, .n_columns = w->n_columns, .n_rows = w->n_rows, .fingerprint = w->fingerprint};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    return fseek(w->file, 0, SEEK_SET) == 0 && fwrite(&header, sizeof header, 1, w->file) == 1 &&
           fflush(w->file) == 0;
}

onnxd_status encoded_writer_finish(struct encoded_writer *w, onnxd_error *err)
{
    if (!write_header(w)) return io_error(w->tmp, err);
    int closed = fclose(w->file);
    w->file = NULL;
    if (closed != 0 || rename(w->tmp, w->path) != 0) {
        onnxd_status status = io_error(w->path, err);
        unlink(w->tmp);
        return status;
    }
    return ONNXD_OK;
}

onnxd_status encoded_writer_finish_nameless(struct encoded_writer *w, struct encoded_rows *ret_rows,
                                            onnxd_error *err)
{
    return write_header(w) ? map_descriptor(fileno(w->file), w->path, ret_rows, err) : io_error(w->path, err);
}

void encoded_writer_free(struct encoded_writer *w)
{
    if (w == NULL) return;
    if (w->file != NULL) {
        fclose(w->file);
        if (w->tmp != NULL) unlink(w->tmp);
    }
    free(w->path);
    free(w->tmp);
    free(w->record);
    free(w);
}

onnxd_status encoded_rows_map(const char *path, struct encoded_rows *ret_rows, onnxd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? error_set(err, ONNXD_ERR_NOT_FOUND, "%s: %s", path, strerror(errno))
                               : io_error(path, err);
    onnxd_status status = map_descriptor(fd, path, ret_rows, err);
    close(fd);
    return status;
}

void encoded_rows_done(struct encoded_rows *rows)
{
    if (rows->mapping != NULL) munmap(rows->mapping, rows->mapping_bytes);
    *rows = (struct encoded_rows){0};
}

struct encoded_rows encoded_rows_part(const struct encoded_rows *rows, uint64_t first, uint64_t n)
{
    struct encoded_rows part = *rows;
    part.records += first * rows->stride;
    part.n_rows = n;
    part.fingerprint = 0;
    part.mapping = NULL;
    part.mapping_bytes = 0;
    return part;
}

struct encoded_rows encoded_rows_view(const float *records, uint64_t n_rows, uint32_t n_columns)
{
    return (struct encoded_rows){
        .records = records, .n_rows = n_rows, .n_columns = n_columns, .stride = n_columns + 2};
}
