/* Rows out of JSON lines, CSV and raw floats. */
#include "support/test.h"

#include <stdlib.h>

#include "protocol/row_csv.h"
#include "protocol/row_stream.h"
#include "support/run_program.h"

static const onnxd_io_info features3 = {
    .name = "features", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 3}};
static const onnxd_io_info mixed[3] = {
    {.name = "age", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}},
    {.name = "count", .type = ONNXD_INT64, .rank = 1, .dims = {-1}},
    {.name = "name", .type = ONNXD_STRING, .rank = 2, .dims = {-1, 1}},
};
static const onnxd_io_info pair[2] = {
    {.name = "a", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 2}},
    {.name = "b", .type = ONNXD_BOOL, .rank = 2, .dims = {-1, 1}},
};
static const onnxd_io_info out1 = {.name = "y", .type = ONNXD_FLOAT32, .rank = 2, .dims = {-1, 1}};

struct setup {
    struct protocol_schema schema;
    struct row_stream stream;
    struct row_batch batch;
};

static void open_text(struct setup *s, const onnxd_io_info *inputs, uint32_t n_inputs, enum row_format format,
                      const void *text, size_t n, uint32_t capacity)
{
    onnxd_error err;
    assert_ok(protocol_schema_init(&s->schema, inputs, n_inputs, &out1, 1, NULL, &err), err);
    assert_ok(row_batch_init(&s->batch, &s->schema, capacity, &err), err);
    assert_ok(row_stream_open(&s->stream, scratch_file("rows", text, n), format, &s->schema, &err), err);
}

static void close_setup(struct setup *s)
{
    row_stream_close(&s->stream);
    row_batch_done(&s->batch);
    protocol_schema_done(&s->schema);
}

static void all_formats_give_the_same_rows(void **state)
{
    (void)state;
    static const float floats[9] = {1, 2.5f, -300, 4, 5, 6, 7, 8, 0.1f};
    static const struct {
        enum row_format format;
        const char *text;
    } cases[] = {
        {ROW_FORMAT_JSONL,
         "[1,2.5,-3e2]\n{\"features\":[4,5,6]}\r\n\n  \n{\"inputs\":{\"features\":[7,8,0.1]}}"},
        {ROW_FORMAT_JSONL, "\xef\xbb\xbf[1,2.5,-3e2]\n{\"features\":[4,5,6]}\n[7,8,0.1]\n"},
        {ROW_FORMAT_CSV, "1,2.5,-3e2\n4,5,6\n7,8,0.1\n"},
        {ROW_FORMAT_CSV, "weekday,hour,price\r\n1, 2.5 ,-3e2\r\n\r\n4,5,6\r\n7,8,1e-1"},
        {ROW_FORMAT_CSV, "\xef\xbb\xbf\"weekday, or so\",\"\",3\n1,2.5,-3e2\n4,5,6\n7,8,0.1\n"},
        {ROW_FORMAT_F32, (const char *)floats},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (uint32_t capacity = 1; capacity < 5; capacity++) {
            struct setup s;
            onnxd_error err;
            size_t n_text = cases[i].format == ROW_FORMAT_F32 ? sizeof floats : strlen(cases[i].text);
            open_text(&s, &features3, 1, cases[i].format, cases[i].text, n_text, capacity);
            uint32_t n = 0;
            do {
                row_batch_reset(&s.batch);
                assert_ok(row_stream_read(&s.stream, &s.batch.rows, &err), err);
                if (n + s.batch.rows.n > 3) fail_msg("case %zu: more than 3 rows", i);
                if (memcmp(s.batch.rows.data[0], floats + n * 3, s.batch.rows.n * 12) != 0)
                    fail_msg("case %zu: rows from %u on differ", i, n);
                n += s.batch.rows.n;
            } while (s.batch.rows.n > 0);
            assert_int_equal(n, 3);
            assert_int_equal(s.stream.reader.n_taken, n_text);
            assert_int_equal(s.stream.reader.total_bytes, n_text);
            close_setup(&s);
        }
    }
}

/* Three rows (age 30, 41.5, 7; count 1, 2, 3; names as below) in the batch. */
static void expect_people(struct setup *s)
{
    static const char *const names[3] = {"Ann", "O\"Neil, Bob", ""};
    const float *age = s->batch.rows.data[0];
    const int64_t *count = s->batch.rows.data[1];
    const onnxd_string *name = s->batch.rows.data[2];
    onnxd_error err;
    assert_ok(row_stream_read(&s->stream, &s->batch.rows, &err), err);
    assert_int_equal(s->batch.rows.n, 3);
    assert_true(age[0] == 30 && age[1] == 41.5f && age[2] == 7);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(count[i], i + 1);
        assert_int_equal(name[i].len, strlen(names[i]));
        assert_memory_equal(name[i].data, names[i], name[i].len);
    }
    onnxd_tensor in[3];
    row_batch_tensors(&s->batch, &s->schema, 1, 2, in);
    assert_int_equal(in[0].rank, 2);
    assert_int_equal(in[0].dims[0], 2);
    assert_int_equal(in[0].dims[1], 1);
    assert_int_equal(in[1].rank, 1);
    assert_ptr_equal(in[1].data, count + 1);
    assert_ptr_equal(in[2].data, name + 1);
}

static void inputs_of_other_types_and_names_are_read(void **state)
{
    (void)state;
    static const struct {
        enum row_format format;
        const char *text;
    } cases[] = {
        {ROW_FORMAT_CSV, "30,1,Ann\n41.5,2,\"O\"\"Neil, Bob\"\n7,3,\n"},
        {ROW_FORMAT_CSV, "age,count,name\n30,1, Ann \n41.5,2, \"O\"\"Neil, Bob\" \n7,3,\"\"\n"},
        {ROW_FORMAT_CSV, "name,age,count\nAnn,30,1\n\"O\"\"Neil, Bob\",41.5,2.0\n,7,3\n"},
        {ROW_FORMAT_JSONL, "{\"age\":30,\"count\":1,\"name\":\"Ann\"}\n"
                           "{\"name\":\"O\\\"Neil, Bob\",\"inputs\":{\"age\":[41.5],\"count\":2}}\n"
                           "{\"inputs\":{\"age\":7,\"name\":\"\",\"count\":3}}\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct setup s;
        open_text(&s, mixed, 3, cases[i].format, cases[i].text, strlen(cases[i].text), 5);
        expect_people(&s);
        close_setup(&s);
    }
}

static void a_fault_names_file_line_and_column_behind_the_good_rows(void **state)
{
    (void)state;
    static const struct {
        const onnxd_io_info *inputs;
        uint32_t n_inputs;
        enum row_format format;
        const char *text;
        onnxd_status status;
        uint32_t n_good;
        const char *want;
    } cases[] = {
        {&features3, 1, ROW_FORMAT_JSONL, "[1,2,3]\n\n[1,2]\n", ONNXD_ERR_SHAPE, 1, "rows:3: "},
        {&features3, 1, ROW_FORMAT_JSONL, "[1,2,3", ONNXD_ERR_FORMAT, 0, "rows:1: "},
        {&features3, 1, ROW_FORMAT_JSONL, "[1,2,3] [1,2,3]", ONNXD_ERR_FORMAT, 0, "rows:1: "},
        {&features3, 1, ROW_FORMAT_JSONL, "[1,2,NaN]", ONNXD_ERR_FORMAT, 0, "rows:1: "},
        {&features3, 1, ROW_FORMAT_JSONL, "{\"feature\":[1,2,3]}", ONNXD_ERR_NOT_FOUND, 0,
         "feature: unknown"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n4,5,6\n1,2", ONNXD_ERR_SHAPE, 2,
         "rows:3: expected 3 columns, got 2"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3,4", ONNXD_ERR_SHAPE, 0, "expected 3 columns, got 4"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3,", ONNXD_ERR_SHAPE, 0, "expected 3 columns, got 4"},
        {&features3, 1, ROW_FORMAT_CSV, "a,b\n1,2,3", ONNXD_ERR_FORMAT, 0,
         "rows:1: expected 3 columns, got 2"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n1,x,3", ONNXD_ERR_FORMAT, 1,
         "rows:2: column 2: expected a number, got 'x'"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n1,,3", ONNXD_ERR_FORMAT, 1, "column 2: the field is empty"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n1,2,1e99", ONNXD_ERR_RANGE, 1, "rows:2: column 3: "},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n1,nan,3", ONNXD_ERR_FORMAT, 1, "got 'nan'"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n1,2 5,3", ONNXD_ERR_FORMAT, 1, "rows:2: column 2: "},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n\"1,2,3", ONNXD_ERR_FORMAT, 1,
         "column 1: the quoted field does not end"},
        {&features3, 1, ROW_FORMAT_CSV, "1,2,3\n\"1\"2,2,3", ONNXD_ERR_FORMAT, 1, "expected a comma"},
        {&features3, 1, ROW_FORMAT_F32, "123456789012abcd", ONNXD_ERR_FORMAT, 1,
         "rows: row 2 is cut short: 4 of 12 bytes"},
        {mixed, 3, ROW_FORMAT_CSV, "age,count,nam\n1,2,3", ONNXD_ERR_NOT_FOUND, 0,
         "rows:1: column 3: the model has no input 'nam'"},
        {mixed, 3, ROW_FORMAT_CSV, "age,count,age\n1,2,3", ONNXD_ERR_FORMAT, 0, "'age' is given twice"},
        {mixed, 3, ROW_FORMAT_CSV, "1,2.5,x", ONNXD_ERR_RANGE, 0, "rows:1: column 2: "},
        {pair, 2, ROW_FORMAT_CSV, "1,2,true\n1,2,3\n", ONNXD_ERR_FORMAT, 1, "rows:2: column 3: "},
        {pair, 2, ROW_FORMAT_CSV, "a,a,b\n1,2,true\n", ONNXD_ERR_FORMAT, 0, "several elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct setup s;
        onnxd_error err;
        open_text(&s, cases[i].inputs, cases[i].n_inputs, cases[i].format, cases[i].text,
                  strlen(cases[i].text), 8);
        if (cases[i].n_good > 0) assert_ok(row_stream_read(&s.stream, &s.batch.rows, &err), err);
        assert_int_equal(s.batch.rows.n, cases[i].n_good);
        for (int again = 0; again < 2; again++) { /* a fault stays */
            onnxd_status status = row_stream_read(&s.stream, &s.batch.rows, &err);
            if (status != cases[i].status || strstr(err.message, cases[i].want) == NULL)
                fail_msg("case %zu: expected %s with \"%s\", got %s: %s", i,
                         onnxd_status_name(cases[i].status), cases[i].want, onnxd_status_name(status),
                         status != ONNXD_OK ? err.message : "");
        }
        assert_int_equal(s.batch.rows.n, cases[i].n_good);
        close_setup(&s);
    }
}

static void what_cannot_be_read_is_refused_when_opened(void **state)
{
    (void)state;
    struct protocol_schema schema;
    struct row_stream stream;
    onnxd_error err;
    assert_ok(protocol_schema_init(&schema, mixed, 3, &out1, 1, NULL, &err), err);
    assert_fails(row_stream_open(&stream, "/nonexistent.csv", ROW_FORMAT_CSV, &schema, &err),
                 ONNXD_ERR_NOT_FOUND, err, "/nonexistent.csv");
    assert_fails(row_stream_open(&stream, "x", ROW_FORMAT_F32, &schema, &err), ONNXD_ERR_UNSUPPORTED, err,
                 "input 'count' is int64");
    protocol_schema_done(&schema);
    assert_int_equal(row_format_of_path("a.csv"), ROW_FORMAT_CSV);
    assert_int_equal(row_format_of_path("a.f32"), ROW_FORMAT_F32);
    assert_int_equal(row_format_of_path("-"), ROW_FORMAT_JSONL);
}

/* Lines as long as allowed, longer, and at every place of the reading buffer's edge. */
static void lines_of_any_length_are_found(void **state)
{
    (void)state;
    struct rng rng = rng_seed(test_seed());
    enum { N = 300, MAX = 70000 };
    static size_t lengths[N];
    size_t total = 0;
    for (int i = 0; i < N; i++) total += (lengths[i] = rng_below(&rng, i % 10 == 0 ? MAX + 1 : 300)) + 1;
    char *text = malloc(total), *at = text;
    for (int i = 0; i < N; i++) {
        memset(at, 'a' + i % 26, lengths[i]);
        at[lengths[i]] = '\n';
        at += lengths[i] + 1;
    }
    struct line_reader reader;
    onnxd_error err;
    const char *line;
    size_t n;
    assert_ok(line_reader_open(&reader, scratch_file("lines", text, total), MAX, &err), err);
    for (int i = 0; i < N; i++) {
        assert_ok(line_reader_next(&reader, &line, &n, &err), err);
        assert_int_equal(n, lengths[i]);
        if (n > 0) assert_true(line[0] == 'a' + i % 26 && line[n - 1] == 'a' + i % 26);
    }
    assert_ok(line_reader_next(&reader, &line, &n, &err), err);
    assert_null(line);
    line_reader_close(&reader);
    memset(text, 'x', MAX + 1);
    const char *path = scratch_file("long", text, MAX + 1);
    assert_ok(line_reader_open(&reader, path, MAX, &err), err);
    assert_fails(line_reader_next(&reader, &line, &n, &err), ONNXD_ERR_LIMIT, err,
                 "line 1 is longer than 70000");
    line_reader_close(&reader);
    free(text);
}

/* ---- raw fields ---------------------------------------------------------------------------------- */

static uint32_t find_color(const void *context, const char *name, size_t n)
{
    (void)context;
    if (n == 5 && memcmp(name, "color", 5) == 0) return 0;
    return n == 4 && memcmp(name, "size", 4) == 0 ? 1 : PROTOCOL_NO_FIELD;
}

static const char *color_names(const void *context)
{
    (void)context;
    return "color, size";
}

static onnxd_status convert_color(const void *context, const struct field_value *fields,
                                  void *const *row_inputs, uint64_t *unknowns, onnxd_error *err)
{
    (void)context, (void)err, (void)unknowns;
    float *row = row_inputs[0];
    row[0] = (float)fields[0].kind;
    row[1] = (float)fields[0].text.len;
    row[2] = fields[1].kind == FIELD_NUMBER ? (float)fields[1].number : -1;
    return ONNXD_OK;
}

static void raw_fields_come_by_name(void **state)
{
    (void)state;
    static const struct protocol_features features = {
        .n_fields = 2, .find = find_color, .names = color_names, .convert = convert_color};
    static const float want[4][3] = {
        {FIELD_STRING, 3, 4}, {FIELD_NUMBER, 2, -1}, {FIELD_NUMBER, 2, 5}, {FIELD_BOOL, 4, 6}};
    const char *text = "size,color\n4,red\n,12\n5,\"12\"\n6,true\n";
    struct protocol_schema schema;
    struct row_csv *csv = NULL;
    struct row_batch batch;
    onnxd_error err;
    assert_ok(protocol_schema_init(&schema, &features3, 1, &out1, 1, &features, &err), err);
    assert_ok(row_batch_init(&batch, &schema, 8, &err), err);
    assert_ok(row_csv_create(&schema, &csv, &err), err);
    for (const char *at = text; *at != 0; at += strcspn(at, "\n") + 1)
        assert_ok(row_csv_read(csv, at, strcspn(at, "\n"), &batch.rows, &err), err);
    assert_int_equal(batch.rows.n, 4);
    assert_memory_equal(batch.rows.data[0], want, sizeof want);
    row_csv_free(csv);
    row_batch_done(&batch);
    protocol_schema_done(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_formats_give_the_same_rows),
        cmocka_unit_test(inputs_of_other_types_and_names_are_read),
        cmocka_unit_test(a_fault_names_file_line_and_column_behind_the_good_rows),
        cmocka_unit_test(what_cannot_be_read_is_refused_when_opened),
        cmocka_unit_test(lines_of_any_length_are_found),
        cmocka_unit_test(raw_fields_come_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
