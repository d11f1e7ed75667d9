/* Records out of files: formats, quoting, labels, damage. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "ctr/ad_log_csv.h"
#include "ctr/dataset.h"
#include "ctr/record_reader.h"
#include "features/features_file.h"
#include "support/test.h"

static char folder[] = "/tmp/dataset_XXXXXX";

static const char *scratch(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_text(const char *name, const char *text, size_t n)
{
    onnxd_error err;
    assert_ok(file_replace(scratch(name), text, n, &err), err);
    return scratch(name);
}

struct loaded { /* a file learnt and encoded */
    struct feature_set *set;
    struct encoded_rows rows;
    struct dataset_totals totals;
};

static struct feature_plan *plan_of(const char *schema)
{
    struct feature_plan *plan = NULL;
    onnxd_error err;
    assert_ok(feature_plan_create(&plan, &err), err);
    assert_ok(feature_plan_read(plan, schema, strlen(schema), &err), err);
    return plan;
}

static onnxd_status load(const struct dataset_source *source, const char *schema, struct loaded *ret,
                         onnxd_error *err)
{
    struct feature_plan *plan = plan_of(schema);
    struct encoded_writer *writer = NULL;
    char path[128];
    *ret = (struct loaded){0};
    snprintf(path, sizeof path, "%s/rows", folder);
    onnxd_status status = dataset_learn(source, plan, &ret->set, err);
    if (status == ONNXD_OK)
        status = encoded_writer_create(path, feature_set_n_columns(ret->set), &writer, err);
    if (status == ONNXD_OK) status = dataset_encode(source, ret->set, plan, writer, &ret->totals, err);
    if (status == ONNXD_OK) status = encoded_writer_finish(writer, err);
    encoded_writer_free(writer);
    if (status == ONNXD_OK) status = encoded_rows_map(path, &ret->rows, err);
    unlink(path);
    feature_plan_free(plan);
    return status;
}

static void loaded_done(struct loaded *loaded)
{
    encoded_rows_done(&loaded->rows);
    feature_set_unref(loaded->set);
}

static struct loaded load_text(const char *name, const char *text, const char *schema)
{
    const char *path = write_text(name, text, strlen(text));
    struct dataset_source source = {.paths = &path, .n_paths = 1, .needs_label = true};
    struct loaded loaded;
    onnxd_error err;
    assert_ok(load(&source, schema, &loaded, &err), err);
    return loaded;
}

static const char *value_of(const struct loaded *loaded, uint32_t row, uint32_t column)
{
    uint32_t id = (uint32_t)encoded_row(&loaded->rows, row)[column];
    for (uint32_t i = 0; i < feature_set_n_features(loaded->set); i++) {
        const struct feature_info *info = feature_set_info(loaded->set, i);
        if (column < info->first_column || column >= info->first_column + info->n_columns) continue;
        const char *value = feature_set_value(loaded->set, i, id, NULL);
        return value != NULL ? value : id == info->unknown_id ? "(unknown)" : "(other)";
    }
    return "(no such column)";
}

/* ---- csv ----------------------------------------------------------------------------------------- */

/* Texts that Python's csv module wrote for these rows, quoting where it must and everywhere. */
static const char *const python_rows[][2] = {
    {"1,2", "x"},  {"say \"hi\"", ""},  {"line\nbreak", "y"}, {"", "\"\""},
    {"a\"b", "c"}, {"\"", "\"\"q\"\""}, {"1", "2"},           {"\xc3\xa4\xe4\xb8\xad", "\xf0\x9f\x98\x80"},
};
static const char python_minimal[] =
    "a,b,y\n\"1,2\",x,0\n\"say \"\"hi\"\"\",,0\n\"line\nbreak\",y,0\n,\"\"\"\"\"\",0\n\"a\"\"b\",c,0\n"
    "\"\"\"\",\"\"\"\"\"q\"\"\"\"\",0\n1,2,1\n\xc3\xa4\xe4\xb8\xad,\xf0\x9f\x98\x80,0\n";
static const char python_all[] =
    "\"a\",\"b\",\"y\"\n\"1,2\",\"x\",\"0\"\n\"say \"\"hi\"\"\",\"\",\"0\"\n\"line\nbreak\",\"y\",\"0\"\n"
    "\"\",\"\"\"\"\"\",\"0\"\n\"a\"\"b\",\"c\",\"0\"\n\"\"\"\",\"\"\"\"\"q\"\"\"\"\",\"0\"\n\"1\",\"2\","
    "\"1\"\n"
    "\"\xc3\xa4\xe4\xb8\xad\",\"\xf0\x9f\x98\x80\",\"0\"\n";

static void test_quoting_as_python_writes_it(void **state)
{
    static const char *const texts[] = {python_minimal, python_all};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct loaded loaded = load_text("q.csv", texts[k],
                                         "{\"label\":\"y\",\"defaults\":{\"min_count\":1}}");
        assert_int_equal(loaded.totals.n_rows, 8);
        assert_int_equal(loaded.totals.n_positives, 1);
        assert_int_equal(loaded.totals.n_unknowns, 0);
        for (uint32_t r = 0; r < 8; r++)
            for (uint32_t c = 0; c < 2; c++) assert_string_equal(value_of(&loaded, r, c), python_rows[r][c]);
        assert_true(encoded_label(&loaded.rows, 6) == 1 && encoded_label(&loaded.rows, 0) == 0);
        loaded_done(&loaded);
    }
}

static void test_separators_blanks_and_line_ends(void **state)
{
    static const char *const texts[] = {"a, b, y\r\n1, two words, 0\r\n\r\n2, \"x, y\", 1\r\n",
                                        "a\tb\ty\n1\ttwo words\t0\n2\t\"x, y\"\t1",
                                        ("\xef\xbb\xbf"
                                         "a;b;y\n1;two words;0\n2;\"x, y\";1\n")};
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct loaded loaded = load_text("s.csv", texts[k],
                                         "{\"label\":\"y\",\"defaults\":{\"min_count\":1}}");
        assert_int_equal(loaded.totals.n_rows, 2);
        assert_string_equal(value_of(&loaded, 0, 0), "1");
        assert_string_equal(value_of(&loaded, 0, 1), "two words");
        assert_string_equal(value_of(&loaded, 1, 1), "x, y");
        loaded_done(&loaded);
    }
}

static void test_names_from_plan_or_numbers(void **state)
{
    const char *path = write_text("n.csv", "x,3,1\ny,4,0\n", 12);
    struct dataset_source source = {.paths = &path, .n_paths = 1, .needs_label = true};
    struct loaded loaded;
    onnxd_error err;
    (void)state;
    assert_ok(load(&source,
                   "{\"columns\":[\"a\",\"b\",\"y\"],\"label\":\"y\",\"dense\":[\"b\"],\"fields\":["
                   "{\"name\":\"b\",\"normalise\":\"minmax\"}]}",
                   &loaded, &err),
              err);
    assert_int_equal(loaded.totals.n_rows, 2);
    assert_true(encoded_row(&loaded.rows, 0)[1] == 0 && encoded_row(&loaded.rows, 1)[1] == 1);
    assert_string_equal(feature_set_records(loaded.set)->columns[2], "y");
    loaded_done(&loaded);
    source.header = DATASET_HEADER_NO;
    assert_ok(load(&source, "{\"label\":\"2\",\"drop\":[\"1\"]}", &loaded, &err), err);
    assert_int_equal(loaded.totals.n_positives, 1);
    assert_int_equal(feature_set_n_columns(loaded.set), 1);
    assert_string_equal(feature_set_info(loaded.set, 0)->name, "0");
    loaded_done(&loaded);
}

static void test_labels_and_weights(void **state)
{
    struct loaded loaded = load_text("l.csv", "a,w,y\nk,0.5,good\nk,2,bad\nk,1,very bad\n",
                                     "{\"label\":\"y\",\"positive\":\"good\",\"weight\":\"w\"}");
    (void)state;
    assert_int_equal(loaded.totals.n_positives, 1);
    assert_true(encoded_label(&loaded.rows, 0) == 1 && encoded_label(&loaded.rows, 1) == 0);
    assert_true(encoded_weight(&loaded.rows, 0) == 0.5f && encoded_weight(&loaded.rows, 1) == 2);
    assert_int_equal(feature_set_n_columns(loaded.set), 1);

    /* The same plan comes back from the set alone; without a label the rows count as negative. */
    const char *path = write_text("p.csv", "w,a,unheard\n1,k,9\n1,new,9\n", 26);
    struct dataset_source source = {.paths = &path, .n_paths = 1};
    struct feature_plan *plan = NULL;
    struct encoded_writer *writer = NULL;
    struct dataset_totals totals;
    onnxd_error err;
    assert_ok(dataset_plan_of(loaded.set, &plan, &err), err);
    assert_ok(encoded_writer_create(scratch("rows2"), 1, &writer, &err), err);
    path = scratch("p.csv");
    assert_ok(dataset_encode(&source, loaded.set, plan, writer, &totals, &err), err);
    assert_int_equal(totals.n_rows, 2);
    assert_int_equal(totals.n_unknowns, 1);
    assert_false(totals.has_labels);
    assert_true(totals.has_weights);
    encoded_writer_free(writer);
    feature_plan_free(plan);
    loaded_done(&loaded);
}

static void test_gzip_in_several_members(void **state)
{
    struct buf packed;
    onnxd_error err;
    struct loaded loaded;
    static const char *const parts[] = {"a,y\nx,1\n", "x,0\nz,0\n"};
    (void)state;
    buf_init(&packed, 4096);
    for (int i = 0; i < 2; i++) {
        gzFile gz = gzopen(scratch("part"), "w");
        gzputs(gz, parts[i]);
        gzclose(gz);
        char *bytes;
        size_t n;
        assert_ok(file_read(scratch("part"), 4096, &bytes, &n, &err), err);
        buf_append(&packed, bytes, n);
        free(bytes);
    }
    const char *path = write_text("g.csv.gz", packed.data, packed.n);
    struct dataset_source source = {.paths = &path, .n_paths = 1, .needs_label = true};
    assert_ok(load(&source, "{\"label\":\"y\"}", &loaded, &err), err);
    assert_int_equal(loaded.totals.n_rows, 3);
    loaded_done(&loaded);
    buf_append(&packed, "\0\0\0\0", 4); /* padding */
    path = write_text("g.csv.gz", packed.data, packed.n);
    assert_ok(load(&source, "{\"label\":\"y\"}", &loaded, &err), err);
    assert_int_equal(loaded.totals.n_rows, 3);
    loaded_done(&loaded);
    buf_append(&packed, "u,1\n", 4); /* would be lost */
    path = write_text("g.csv.gz", packed.data, packed.n);
    assert_fails(load(&source, "{\"label\":\"y\"}", &loaded, &err), ONNXD_ERR_FORMAT, err,
                 "g.csv.gz: line 5: damaged gzip data: something else follows it");
    packed.n -= 8;
    path = write_text("g.csv.gz", packed.data, packed.n - 6);
    assert_fails(load(&source, "{\"label\":\"y\"}", &loaded, &err), ONNXD_ERR_FORMAT, err, "damaged gzip");
    packed.data[packed.n / 4] ^= 0x55;
    path = write_text("g.csv.gz", packed.data, packed.n);
    assert_fails(load(&source, "{\"label\":\"y\"}", &loaded, &err), ONNXD_ERR_FORMAT, err, "g.csv.gz");
    buf_done(&packed);
}

/* ---- damage -------------------------------------------------------------------------------------- */

static void test_damaged_files_are_named_with_their_line(void **state)
{
#define S "{\"label\":\"y\",\"dense\":[\"n\"]}"
    static const struct {
        const char *name, *text, *message;
    } cases[] = {
        {"d.csv", "", "the file holds no record"},
        {"d.csv", "n,a,y\n", "the file holds no record"},
        {"d.csv", "n,a,y\n1,2\n", "d.csv:2: expected 3 columns, got 2"},
        {"d.csv", "n,a,y\n1,2,0\n1,2,0,4\n", "d.csv:3: expected 3 columns, got 4"},
        {"d.csv", "n,a,y\n1,2,0\n1,2,2\n", "d.csv:3: label 'y': expected 0 or 1, got '2'"},
        {"d.csv", "n,a,y\n1,2,yes\n", "d.csv:2: label 'y'"},
        {"d.csv", "n,a,y\n1,2,\n", "d.csv:2: label 'y'"},
        {"d.csv", "n,a,y\nold,2,1\n", "d.csv:2: field 'n': expected a number, got the text 'old'"},
        {"d.csv", "n,a,z\n1,2,1\n", "no column 'y', the label"},
        {"d.csv", "m,a,y\n1,2,1\n", "no field 'n', which schema or options name"},
        {"d.csv", "n,a,a,y\n1,2,2,1\n", "d.csv:1: two columns are named 'a'"},
        {"d.csv", "n,,y\n1,2,1\n", "d.csv:1: column 2 has no name"},
        {"d.csv", "n,a,y\n1,\"open,1\n2,b,0\n", "d.csv:2: column 2: the quoted field does not end"},
        {"d.csv", "n,a,y\n1,\"x\"x,1\n", "d.csv:2: column 2"},
        {"d.csv", "n,a,y\n1,\xff\xfe,1\n", "d.csv:2: byte 3 (0xff) is not UTF-8"},
        {"d.csv",
         "\x7f"
         "ELF\x02\x01\x01\x80\x81,y\n",
         "d.csv:1: byte"},
        {"d.libsvm", "1 1:0.5\n0 x:1\n", "d.libsvm:2: expected index:value, got 'x:1'"},
        {"d.libsvm", "1 1:0.5\nmaybe 1:1\n", "d.libsvm:2: label 'y'"},
        {"d.libsvm", "1 1\n", "d.libsvm:1: expected index:value"},
        {"d.libffm", "1 1:2:1\n0 1:2\n", "d.libffm:2: expected field:index:value"},
        {"d.ipinyou", "a\tb\n", "d.ipinyou:1: expected 24 or 22 columns set apart by tabs, got 2"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_text(cases[i].name, cases[i].text, strlen(cases[i].text));
        struct dataset_source source = {.paths = &path, .n_paths = 1, .needs_label = true};
        struct loaded loaded;
        onnxd_error err = {0};
        const char *schema = strcmp(cases[i].name, "d.csv") == 0 ? S : "{\"label\":\"y\"}";
        onnxd_status status = load(&source, schema, &loaded, &err);
        if (status == ONNXD_OK || strstr(err.message, cases[i].message) == NULL)
            fail_msg("case %zu: \"%s\" should hold \"%s\"", i,
                     status == ONNXD_OK ? "(accepted)" : err.message, cases[i].message);
        loaded_done(&loaded);
    }
#undef S
}

/* A line without end: 16 MiB of it are read, not more. */
static void test_endless_line(void **state)
{
    const char *path = "/dev/zero";
    struct dataset_source source = {.paths = &path, .n_paths = 1, .max_line_bytes = 1 << 20};
    struct feature_plan *plan = plan_of("{\"label\":\"y\"}");
    struct feature_set *set = NULL;
    onnxd_error err;
    (void)state;
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_LIMIT, err,
                 "/dev/zero: line 1 is longer than 1048576 bytes");
    path = "/nowhere/x.csv";
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_NOT_FOUND, err, "/nowhere/x.csv");
    path = "/tmp";
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_IO, err, "directory");
    feature_plan_free(plan);

    /* A quote that stays open over many lines ends at the same limit. */
    char *text = malloc(3 << 20);
    memset(text, 'x', 3 << 20);
    memcpy(text, "a,y\n\"", 5);
    for (int i = 100; i < 3 << 20; i += 100) text[i] = '\n';
    path = write_text("open.csv", text, 3 << 20);
    plan = plan_of("{\"label\":\"y\"}");
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_LIMIT, err, "open.csv:2: the record");
    feature_plan_free(plan);
    free(text);
}

static void test_files_must_agree(void **state)
{
    char first[128], second[128];
    snprintf(first, sizeof first, "%s", write_text("1.csv", "a,y\nx,1\n", 8));
    snprintf(second, sizeof second, "%s", write_text("2.csv", "a,y\nx,0\n", 8));
    const char *paths[] = {first, second};
    struct dataset_source source = {.paths = paths, .n_paths = 2, .needs_label = true};
    struct loaded loaded;
    onnxd_error err;
    (void)state;
    assert_ok(load(&source, "{\"label\":\"y\"}", &loaded, &err), err);
    assert_int_equal(loaded.totals.n_rows, 2);
    loaded_done(&loaded);
    write_text("2.csv", "b,y\nx,0\n", 8);
    assert_fails(load(&source, "{\"label\":\"y\"}", &loaded, &err), ONNXD_ERR_FORMAT, err,
                 "2.csv:1: column 1 is 'b', in the first file it is 'a'");
    source.max_rows = 1;
    assert_ok(load(&source, "{\"label\":\"y\"}", &loaded, &err), err);
    assert_int_equal(loaded.totals.n_rows, 1);
    loaded_done(&loaded);
}

/* ---- sparse formats ------------------------------------------------------------------------------ */

static void test_libsvm(void **state)
{
    struct loaded loaded = load_text("a.libsvm",
                                     "+1 3:1 7:1 9:0.25\n# a remark\n-1 7:1 9:0.75 # behind\n0 3:1\n",
                                     "{\"defaults\":{\"min_count\":1},\"fields\":[{\"name\":\"9\",\"kind\":"
                                     "\"number\",\"normalise\":\"as-is\"}]}");
    (void)state;
    assert_int_equal(loaded.totals.n_rows, 3);
    assert_int_equal(loaded.totals.n_positives, 1);
    assert_int_equal(feature_set_n_columns(loaded.set), 3); /* two slots and the number */
    assert_string_equal(value_of(&loaded, 0, 0), "3");
    assert_string_equal(value_of(&loaded, 0, 1), "7");
    assert_string_equal(value_of(&loaded, 1, 0), "7");
    assert_string_equal(value_of(&loaded, 1, 1), "(other)"); /* padding */
    assert_true(encoded_row(&loaded.rows, 0)[2] == 0.25f && encoded_row(&loaded.rows, 2)[2] == 0);
    loaded_done(&loaded);
}

static void test_libffm(void **state)
{
    struct loaded loaded = load_text("a.ffm", "1 0:5:1 1:8:1 1:9:1 2:0:1.5\n0 0:6:1 1:9:1 2:0:-2\n",
                                     "{\"defaults\":{\"min_count\":1,\"normalise\":\"as-is\"}}");
    (void)state;
    assert_int_equal(feature_set_n_features(loaded.set), 3);
    assert_int_equal(feature_set_info(loaded.set, 0)->kind, FEATURE_CATEGORY);
    assert_int_equal(feature_set_info(loaded.set, 1)->kind, FEATURE_CATEGORIES);
    assert_int_equal(feature_set_info(loaded.set, 1)->n_columns, 2);
    assert_int_equal(feature_set_info(loaded.set, 2)->kind, FEATURE_NUMBER);
    assert_string_equal(value_of(&loaded, 0, 0), "5");
    assert_string_equal(value_of(&loaded, 0, 2), "9");
    assert_true(encoded_row(&loaded.rows, 1)[3] == -2);
    loaded_done(&loaded);
}

/* What the plan says of an index holds, whatever its values. */
static void test_libsvm_takes_weights_numbers_and_drops(void **state)
{
    struct loaded loaded = load_text(
        "w.libsvm", "1 3:1 4:1 7:1 8:0.25\n0 3:1 4:1 8:2\n0 4:1 7:1\n",
        "{\"defaults\":{\"min_count\":1},\"weight\":\"8\",\"drop\":[\"features\"],"
        "\"fields\":[{\"name\":\"7\",\"kind\":\"number\",\"normalise\":\"as-is\"}]}");
    (void)state;
    assert_int_equal(feature_set_n_columns(loaded.set), 1);
    assert_true(encoded_row(&loaded.rows, 0)[0] == 1 && encoded_row(&loaded.rows, 1)[0] == 0);
    assert_true(encoded_weight(&loaded.rows, 0) == 0.25f && encoded_weight(&loaded.rows, 1) == 2);
    assert_true(encoded_weight(&loaded.rows, 2) == 0); /* what a line leaves out */
    loaded_done(&loaded);
    loaded = load_text("w.ffm", "1 0:5:1 1:8:1 1:9:1 2:0:1.5\n0 0:6:1 1:9:1 2:0:3\n",
                       "{\"defaults\":{\"min_count\":1},\"weight\":\"2\",\"drop\":[\"1\"]}");
    assert_int_equal(feature_set_n_columns(loaded.set), 1);
    assert_true(encoded_weight(&loaded.rows, 0) == 1.5f && encoded_weight(&loaded.rows, 1) == 3);
    loaded_done(&loaded);
}

/* A row of missing values is a row: predictions must not slip against their records. */
static void test_rows_of_separators_are_rows(void **state)
{
    struct loaded loaded = load_text("t.csv", "a,y\nx,1\nx,0\n", "{\"label\":\"y\"}");
    struct dataset_source source = {.n_paths = 1};
    struct feature_plan *plan = NULL;
    struct encoded_writer *writer = NULL;
    struct dataset_totals totals;
    onnxd_error err;
    (void)state;
    assert_ok(dataset_plan_of(loaded.set, &plan, &err), err);
    assert_ok(encoded_writer_create(scratch("rows4"), 1, &writer, &err), err);
    const char *path = write_text("t.tsv", "a\tb\nx\tz\n\t \n\n  \nx\tz\n", 19);
    source.paths = &path;
    assert_ok(dataset_encode(&source, loaded.set, plan, writer, &totals, &err), err);
    assert_int_equal(totals.n_rows, 3);
    encoded_writer_free(writer);
    feature_plan_free(plan);
    loaded_done(&loaded);
}

/* Learning reads twice, so a pipe is refused at once; encoding reads once and does. */
static void test_pipes_are_read_once(void **state)
{
    struct loaded loaded = load_text("f.csv", "a,y\nk,1\nk,0\n", "{\"label\":\"y\"}");
    char pipe_path[128];
    const char *path = pipe_path;
    struct dataset_source source = {.paths = &path, .n_paths = 1};
    struct feature_plan *plan = NULL;
    struct feature_set *set = NULL;
    struct encoded_writer *writer = NULL;
    struct dataset_totals totals;
    onnxd_error err;
    (void)state;
    snprintf(pipe_path, sizeof pipe_path, "%s/pipe.csv", folder);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_ok(dataset_plan_of(loaded.set, &plan, &err), err);
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_ARGUMENT, err,
                 "pipe.csv: it is read more");
    path = "-";
    assert_fails(dataset_learn(&source, plan, &set, &err), ONNXD_ERR_ARGUMENT, err, "standard input: it is");
    path = pipe_path;
    int fd = open(pipe_path, O_RDWR); /* keeps the text there while nobody else has it open */
    assert_int_equal(write(fd, "a,y\nk,1\nk,1\n", 12), 12);
    assert_ok(encoded_writer_create(scratch("rows3"), 1, &writer, &err), err);
    source.max_rows = 2; /* the pipe has a writer still, so it has no end */
    assert_ok(dataset_encode(&source, loaded.set, plan, writer, &totals, &err), err);
    assert_int_equal(totals.n_positives, 2);
    close(fd);
    unlink(pipe_path);
    encoded_writer_free(writer);
    feature_plan_free(plan);
    loaded_done(&loaded);
}

/* 6 June 2013 was a Thursday. */
static void test_ipinyou(void **state)
{
    static const char line[] =
        "%s\t20130606%02d0000000\t%d\tid\tMozilla\t1.2.3.*\t94\t99\t3\tdom\turl\tnull\t"
        "slot%d\t300\t250\t0\t1\t0\tcreative\t300\t23\tnull\t3386\t%s\n";
    char text[2048];
    int n = 0;
    (void)state;
    n += snprintf(text + n, sizeof text - (size_t)n, line, "b1", 7, 1, 1, "10006,13042");
    n += snprintf(text + n, sizeof text - (size_t)n, line, "b2", 8, 1, 1, "null");
    n += snprintf(text + n, sizeof text - (size_t)n, line, "b2", 8, 3, 1, "null");
    struct loaded loaded = load_text("log.ipinyou", text, "{\"defaults\":{\"min_count\":1}}");
    assert_int_equal(loaded.totals.n_rows, 2);
    assert_int_equal(loaded.totals.n_positives, 1);
    assert_true(encoded_label(&loaded.rows, 0) == 0 && encoded_label(&loaded.rows, 1) == 1);
    assert_int_equal(feature_set_n_fields(loaded.set), 15);
    assert_string_equal(value_of(&loaded, 0, 0), "4");
    assert_string_equal(value_of(&loaded, 0, 1), "7");
    assert_string_equal(value_of(&loaded, 0, 9), "10006");
    assert_string_equal(value_of(&loaded, 0, 10), "13042");
    assert_string_equal(value_of(&loaded, 1, 9), "(other)");
    loaded_done(&loaded);
}

/* ---- whole logs ---------------------------------------------------------------------------------- */

static void test_census(void **state)
{
    const char *path = shared_path("data/census_income_kdd_100k.csv.gz");
    struct dataset_source source = {
        .paths = &path, .n_paths = 1, .header = DATASET_HEADER_NO, .separator = ", ", .needs_label = true};
    struct loaded loaded;
    onnxd_error err;
    (void)state;
    assert_ok(
        load(&source,
             "{\"label\":\"41\",\"positive\":\"50000+.\",\"drop\":[\"24\"],\"dense\":[\"0\",\"5\",\"16\","
             "\"17\",\"18\",\"30\",\"39\"],\"defaults\":{\"normalise\":\"quantile+log\"}}",
             &loaded, &err),
        err);
    /* Counted with awk: rows, rows that end in "50000+.", values of column 4 seen at least twice. */
    assert_int_equal(loaded.totals.n_rows, 99762);
    assert_int_equal(loaded.totals.n_positives, 6186);
    assert_int_equal(feature_set_n_features(loaded.set), 33 + 7 + 7);
    assert_int_equal(feature_set_info(loaded.set, 4)->n_ids, 1 + 17);
    loaded_done(&loaded);
}

/* The simulated log as text comes back as its rows. */
static void test_simulated_log(void **state)
{
    enum { N = 3000 };
    struct ad_log_options options = {.seed = test_seed(), .click_rate = 0.1, .max_tags = 3};
    struct ad_log *log = NULL;
    struct buf text;
    onnxd_error err;
    (void)state;
    assert_ok(ad_log_create(&options, &log, &err), err);
    buf_init(&text, (N + 1) * AD_LOG_CSV_ROOM);
    assert_true(buf_reserve(&text, (N + 1) * AD_LOG_CSV_ROOM));
    text.n = ad_log_csv_head(true, text.data);
    for (uint32_t i = 0; i < N; i++) {
        struct ad_row row;
        ad_log_row(log, i, &row);
        text.n += ad_log_csv_line(log, &row, true, text.data + text.n);
    }
    const char *path = write_text("log.csv", text.data, text.n);
    struct dataset_source source = {.paths = &path, .n_paths = 1, .needs_label = true};
    struct loaded loaded;
    assert_ok(load(&source,
                   "{\"label\":\"click\",\"drop\":[\"probability\"],\"multi\":[\"user_tag\"],\"dense\":["
                   "\"slotwidth\",\"slotheight\",\"slotvisibility\",\"slotprice\",\"advertiser\"],"
                   "\"defaults\":{\"min_count\":1,\"slots\":3,\"normalise\":\"as-is\"}}",
                   &loaded, &err),
              err);
    assert_int_equal(loaded.totals.n_rows, N);
    assert_int_equal(feature_set_n_columns(loaded.set), 9 + 3 + 5);
    for (uint32_t i = 0; i < N; i++) {
        struct ad_row row;
        char name[32];
        ad_log_row(log, i, &row);
        const float *got = encoded_row(&loaded.rows, i);
        assert_true(encoded_label(&loaded.rows, i) == (float)row.click);
        snprintf(name, sizeof name, "%u", row.city);
        assert_string_equal(value_of(&loaded, i, 3), name);
        snprintf(name, sizeof name, "%016llx", (unsigned long long)ad_log_domain_name(log, row.domain));
        assert_string_equal(value_of(&loaded, i, 5), name);
        snprintf(name, sizeof name, "%u", row.tags[row.n_tags - 1]);
        assert_string_equal(value_of(&loaded, i, 8 + row.n_tags), name);
        assert_true(got[12] == (float)row.width);
        assert_true(fabs((double)got[14] - row.visibility / 100.0) < 1e-6);
        assert_true(fabs((double)got[15] - row.price / 100.0) < 1e-4);
        assert_true(fabs((double)got[16] - row.advertiser / 1000.0) < 1e-6);
    }
    loaded_done(&loaded);
    buf_done(&text);
    ad_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quoting_as_python_writes_it),
        cmocka_unit_test(test_separators_blanks_and_line_ends),
        cmocka_unit_test(test_names_from_plan_or_numbers),
        cmocka_unit_test(test_labels_and_weights),
        cmocka_unit_test(test_gzip_in_several_members),
        cmocka_unit_test(test_damaged_files_are_named_with_their_line),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_files_must_agree),
        cmocka_unit_test(test_libsvm),
        cmocka_unit_test(test_libffm),
        cmocka_unit_test(test_libsvm_takes_weights_numbers_and_drops),
        cmocka_unit_test(test_rows_of_separators_are_rows),
        cmocka_unit_test(test_pipes_are_read_once),
        cmocka_unit_test(test_ipinyou),
        cmocka_unit_test(test_census),
        cmocka_unit_test(test_simulated_log),
    };
    if (mkdtemp(folder) == NULL) return 1;
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 ? 1 : result;
}
