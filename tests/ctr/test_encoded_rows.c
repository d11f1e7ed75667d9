#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "ctr/encoded_rows.h"

enum { N_COLUMNS = 5, N_ROWS = 1000 };

static const char *temp_file(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/encoded_%d_%s", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp",
             (int)getpid(), name);
    return path;
}

static void write_rows(const char *path)
{
    struct encoded_writer *writer = NULL;
    onnxd_error err;
    assert_ok(encoded_writer_create(path, N_COLUMNS, &writer, &err), err);
    for (uint32_t i = 0; i < N_ROWS; i++) {
        float columns[N_COLUMNS];
        for (uint32_t j = 0; j < N_COLUMNS; j++) columns[j] = (float)(i * 10 + j);
        assert_ok(encoded_writer_append(writer, columns, (float)(i % 2), 0.5f + (float)i, &err), err);
    }
    assert_int_equal(encoded_writer_count(writer), N_ROWS);
    assert_int_not_equal(access(path, F_OK), 0); /* nobody sees half a file */
    assert_ok(encoded_writer_finish(writer, &err), err);
    encoded_writer_free(writer);
}

static void rows_come_back_as_written(void **state)
{
    (void)state;
    const char *path = temp_file("whole");
    struct encoded_rows rows;
    onnxd_error err;
    write_rows(path);
    assert_ok(encoded_rows_map(path, &rows, &err), err);
    assert_int_equal(rows.n_rows, N_ROWS);
    assert_int_equal(rows.n_columns, N_COLUMNS);
    struct encoded_rows part = encoded_rows_part(&rows, 100, 50);
    for (uint32_t i = 0; i < N_ROWS; i++) {
        for (uint32_t j = 0; j < N_COLUMNS; j++)
            assert_float_equal(encoded_row(&rows, i)[j], (float)(i * 10 + j), 0);
        assert_float_equal(encoded_label(&rows, i), (float)(i % 2), 0);
        assert_float_equal(encoded_weight(&rows, i), 0.5f + (float)i, 0);
    }
    assert_ptr_equal(encoded_row(&part, 7), encoded_row(&rows, 107));
    encoded_rows_done(&part);
    encoded_rows_done(&rows);
    unlink(path);
}

static void values_that_cannot_be_trained_on_are_refused(void **state)
{
    (void)state;
    const char *path = temp_file("refused");
    struct encoded_writer *writer = NULL;
    onnxd_error err;
    float columns[N_COLUMNS] = {0};
    assert_fails(encoded_writer_create(path, 0, &writer, &err), ONNXD_ERR_RANGE, err, "0 columns");
    assert_fails(encoded_writer_create("/nowhere/at/all", 1, &writer, &err), ONNXD_ERR_IO, err, "/nowhere");
    assert_ok(encoded_writer_create(path, N_COLUMNS, &writer, &err), err);
    assert_fails(encoded_writer_append(writer, columns, 2, 1, &err), ONNXD_ERR_RANGE, err, "label");
    assert_fails(encoded_writer_append(writer, columns, NAN, 1, &err), ONNXD_ERR_RANGE, err, "label");
    assert_fails(encoded_writer_append(writer, columns, 1, -1, &err), ONNXD_ERR_RANGE, err, "weight");
    columns[3] = INFINITY;
    assert_fails(encoded_writer_append(writer, columns, 1, 1, &err), ONNXD_ERR_RANGE, err, "column 3");
    assert_int_equal(encoded_writer_count(writer), 0);
    encoded_writer_free(writer);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Writes the file with one change and expects a refusal. */
static void refuse(const char *bytes, size_t n, const char *text)
{
    const char *path = temp_file("hostile");
    struct encoded_rows rows;
    onnxd_error err;
    assert_ok(file_replace(path, bytes, n, &err), err);
    assert_fails(encoded_rows_map(path, &rows, &err), ONNXD_ERR_FORMAT, err, text);
    unlink(path);
}

static void files_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    char *path = strdup(temp_file("source")), *bytes = NULL;
    struct encoded_rows rows;
    onnxd_error err;
    size_t n = 0;
    write_rows(path);
    assert_ok(file_read(path, 1 << 20, &bytes, &n, &err), err);
    refuse("", 0, "not a file of encoded rows");
    refuse(bytes, 63, "not a file of encoded rows");
    refuse(bytes, n - 1, "do not hold the 1000 rows");
    refuse(bytes, n - 4 * (N_COLUMNS + 2), "do not hold the 1000 rows");
    bytes[8] = 9;
    refuse(bytes, n, "version 9");
    bytes[8] = 1;
    memset(bytes + 12, 255, 4);
    refuse(bytes, n, "columns");
    memset(bytes + 12, 0, 4);
    refuse(bytes, n, "0 columns");
    bytes[12] = N_COLUMNS;
    memset(bytes + 16, 255, 8);
    refuse(bytes, n, "do not hold");
    bytes[0] = 'x';
    refuse(bytes, n, "not a file of encoded rows");
    assert_fails(encoded_rows_map("/nowhere/at/all", &rows, &err), ONNXD_ERR_NOT_FOUND, err, "/nowhere");
    assert_fails(encoded_rows_map("/tmp", &rows, &err), ONNXD_ERR_FORMAT, err, "/tmp");
    free(bytes);
    unlink(path);
    free(path);
}

static uint64_t fingerprint_of(float third)
{
    char *path = strdup(temp_file("finger"));
    struct encoded_writer *writer = NULL;
    struct encoded_rows rows;
    onnxd_error err;
    assert_ok(encoded_writer_create(path, 1, &writer, &err), err);
    for (int i = 0; i < 9; i++)
        assert_ok(encoded_writer_append(writer, i == 2 ? &third : &(float){(float)i}, i % 2, 1, &err), err);
    assert_ok(encoded_writer_finish(writer, &err), err);
    encoded_writer_free(writer);
    assert_ok(encoded_rows_map(path, &rows, &err), err);
    uint64_t fingerprint = rows.fingerprint;
    encoded_rows_done(&rows);
    unlink(path);
    free(path);
    return fingerprint;
}

static void rows_have_a_fingerprint(void **state)
{
    (void)state;
    assert_true(fingerprint_of(5) == fingerprint_of(5) && fingerprint_of(5) != 0);
    assert_true(fingerprint_of(5) != fingerprint_of(6));
}

static uint32_t count_entries(const char *folder)
{
    uint32_t n = 0;
    DIR *dir = opendir(folder);
    while (readdir(dir) != NULL) n++;
    closedir(dir);
    return n - 2; /* . and .. */
}

static void nameless_rows_leave_nothing_behind(void **state)
{
    (void)state;
    char folder[] = "/tmp/nameless_XXXXXX";
    struct encoded_writer *writer = NULL;
    struct encoded_rows rows = {0};
    onnxd_error err;
    assert_non_null(mkdtemp(folder));
    assert_ok(encoded_writer_create_nameless(folder, 2, &writer, &err), err);
    for (int i = 0; i < 100000; i++)
        assert_ok(encoded_writer_append(writer, (float[]){(float)i, -1}, i % 2, 3, &err), err);
    assert_int_equal(count_entries(folder), 0);
    assert_ok(encoded_writer_finish_nameless(writer, &rows, &err), err);
    encoded_writer_free(writer);
    assert_int_equal(count_entries(folder), 0);
    assert_int_equal(rows.n_rows, 100000);
    assert_true(encoded_row(&rows, 99999)[0] == 99999 && encoded_label(&rows, 99999) == 1);
    encoded_rows_done(&rows);
    assert_int_equal(rmdir(folder), 0);
    assert_fails(encoded_writer_create_nameless(folder, 2, &writer, &err), ONNXD_ERR_IO, err, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_as_written),
        cmocka_unit_test(rows_have_a_fingerprint),
        cmocka_unit_test(nameless_rows_leave_nothing_behind),
        cmocka_unit_test(values_that_cannot_be_trained_on_are_refused),
        cmocka_unit_test(files_that_are_not_whole_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
