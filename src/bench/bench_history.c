#include "bench/bench_history.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define APPLICATION_ID 0x6f786264 /* "oxbd" */
#define FORM           1
#define MAX_STEPS      200000000 /* of SQLite's machine in one open file */
#define STEP_STRIDE    100000
#define READ_LIMIT     ((size_t)512 << 20)

enum { BUSY_MS = 10000, MAX_TEXT = 4096 };

static const char schema[] =
    "CREATE TABLE machine(id TEXT PRIMARY KEY, cpu TEXT NOT NULL, n_cpus INTEGER NOT NULL,"
    " caches TEXT NOT NULL, isa TEXT NOT NULL, kernel TEXT NOT NULL, governor TEXT NOT NULL,"
    " compiler TEXT NOT NULL, flags TEXT NOT NULL);"
    "CREATE TABLE run(id INTEGER PRIMARY KEY, unix_ms INTEGER NOT NULL, suite TEXT NOT NULL,"
    " settings TEXT NOT NULL, version TEXT NOT NULL, build TEXT NOT NULL, machine TEXT NOT NULL"
    " REFERENCES machine(id), load REAL, verdict INTEGER NOT NULL, remark TEXT NOT NULL);"
    "CREATE TABLE figure(run INTEGER NOT NULL REFERENCES run(id), name TEXT NOT NULL, unit TEXT NOT NULL,"
    " better INTEGER NOT NULL, value REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, samples BLOB,"
    " PRIMARY KEY(run, name)) WITHOUT ROWID;"
    "PRAGMA application_id = 1870160484; PRAGMA user_version = 1;";

struct store {
    const char *path;
    sqlite3 *db;
    int64_t steps_left;
    onnxd_error *err;
};

/* ---- opening ------------------------------------------------------------------------------------- */

static onnxd_status refuse(const struct store *store, int code)
{
    onnxd_status status = ONNXD_ERR_IO;
    const char *why = store->db != NULL ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* a table or column is not there */
    case SQLITE_MISMATCH: status = ONNXD_ERR_FORMAT; break;
    case SQLITE_NOMEM: status = ONNXD_ERR_NOMEM; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: status = ONNXD_ERR_BUSY; break;
    case SQLITE_TOOBIG: status = ONNXD_ERR_LIMIT; break;
    case SQLITE_INTERRUPT:
        return error_set(store->err, ONNXD_ERR_LIMIT, "%s: reading it takes too many steps", store->path);
    default: break;
    }
    return error_set(store->err, status, "%s: %s", store->path, why);
}

static int count_steps(void *context)
{
    struct store *store = context;
    store->steps_left -= STEP_STRIDE;
    return store->steps_left < 0;
}

static onnxd_status prepare(struct store *store, const char *sql, sqlite3_stmt **ret)
{
    int code = sqlite3_prepare_v2(store->db, sql, -1, ret, NULL);
    return code == SQLITE_OK ? ONNXD_OK : refuse(store, code);
}

static onnxd_status execute(struct store *store, const char *sql)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? ONNXD_OK : refuse(store, code);
}

static onnxd_status ask_number(struct store *store, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement = NULL;
    onnxd_status status = prepare(store, sql, &statement);
    if (status != ONNXD_OK) return status;
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *ret = sqlite3_column_int64(statement, 0);
    else
        status = refuse(store, code);
    sqlite3_finalize(statement);
    return status;
}

/* An empty file is given its tables; *ret_empty tells whether it was one that may not be changed. */
static onnxd_status check_form(struct store *store, bool writes, bool *ret_empty)
{
    int64_t id = 0, form = 0, n_objects = 0, n_tables = 0;
    onnxd_status status = ask_number(store, "PRAGMA application_id", &id);
    if (status == ONNXD_OK) status = ask_number(store, "PRAGMA user_version", &form);
    if (status == ONNXD_OK) status = ask_number(store, "SELECT count(*) FROM sqlite_schema", &n_objects);
    if (status != ONNXD_OK) return status;
    *ret_empty = id == 0 && n_objects == 0;
    if (*ret_empty) return writes ? execute(store, schema) : ONNXD_OK;
    if (id != APPLICATION_ID)
        return error_set(store->err, ONNXD_ERR_FORMAT, "%s: an SQLite file, but no history of onnxd bench",
                         store->path);
    if (form != FORM)
        return error_set(store->err, ONNXD_ERR_UNSUPPORTED,
                         "%s: kept in form %lld, this onnxd knows form %d; a later onnxd reads it",
                         store->path, (long long)form, FORM);
    status = ask_number(store,
                        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN "
                        "('machine', 'run', 'figure')",
                        &n_tables);
    if (status == ONNXD_OK && n_tables != 3)
        return error_set(store->err, ONNXD_ERR_FORMAT, "%s: its tables machine, run and figure are not whole",
                         store->path);
    return status;
}

static onnxd_status open_store(struct store *store, bool writes)
{
    int flags = writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
    if (!writes && access(store->path, R_OK) != 0)
        return error_set(store->err, errno == ENOENT ? ONNXD_ERR_NOT_FOUND : ONNXD_ERR_IO, "%s: %s",
                         store->path, strerror(errno));
    int code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (code != SQLITE_OK) return refuse(store, code);
    store->steps_left = MAX_STEPS;
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_progress_handler(store->db, STEP_STRIDE, count_steps, store);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    return execute(store, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;");
}

/* ---- keeping ------------------------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

static onnxd_status finish(struct store *store, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? ONNXD_OK : refuse(store, code);
}

static onnxd_status keep_machine(struct store *store, const struct fingerprint *m)
{
    sqlite3_stmt *s = NULL;
    onnxd_status status = prepare(store, "INSERT OR IGNORE INTO machine VALUES (?,?,?,?,?,?,?,?,?)", &s);
    if (status != ONNXD_OK) return status;
    bind_text(s, 1, m->id);
    bind_text(s, 2, m->cpu);
    sqlite3_bind_int64(s, 3, m->n_cpus);
    bind_text(s, 4, m->caches);
    bind_text(s, 5, m->isa);
    bind_text(s, 6, m->kernel);
    bind_text(s, 7, m->governor);
    bind_text(s, 8, m->compiler);
    bind_text(s, 9, m->flags);
    return finish(store, s);
}

static onnxd_status keep_head(struct store *store, const struct bench_run *run)
{
    sqlite3_stmt *s = NULL;
    onnxd_status status = prepare(store, "INSERT INTO run VALUES (NULL,?,?,?,?,?,?,?,?,?)", &s);
    if (status != ONNXD_OK) return status;
    sqlite3_bind_int64(s, 1, run->unix_ms);
    bind_text(s, 2, run->suite);
    bind_text(s, 3, run->settings);
    bind_text(s, 4, run->version);
    bind_text(s, 5, run->commit);
    bind_text(s, 6, run->machine.id);
    if (run->load >= 0) sqlite3_bind_double(s, 7, run->load);
    sqlite3_bind_int(s, 8, (int)run->verdict);
    bind_text(s, 9, run->remark);
    return finish(store, s);
}

static onnxd_status keep_figure(struct store *store, int64_t run, const struct bench_figure *figure)
{
    sqlite3_stmt *s = NULL;
    onnxd_status status = prepare(store, "INSERT INTO figure VALUES (?,?,?,?,?,?,?,?)", &s);
    if (status != ONNXD_OK) return status;
    sqlite3_bind_int64(s, 1, run);
    bind_text(s, 2, figure->name);
    bind_text(s, 3, figure->unit);
    sqlite3_bind_int(s, 4, (int)figure->better);
    sqlite3_bind_double(s, 5, figure->value.point);
    sqlite3_bind_double(s, 6, figure->value.low);
    sqlite3_bind_double(s, 7, figure->value.high);
    if (figure->n_samples > 0)
        sqlite3_bind_blob(s, 8, figure->samples, (int)(figure->n_samples * sizeof(double)), SQLITE_STATIC);
    return finish(store, s);
}

static onnxd_status keep_all(struct store *store, const struct bench_run *run)
{
    bool empty;
    onnxd_status status = execute(store, "BEGIN IMMEDIATE");
    if (status != ONNXD_OK) return status;
    status = check_form(store, true, &empty);
    if (status == ONNXD_OK) status = keep_machine(store, &run->machine);
    if (status == ONNXD_OK) status = keep_head(store, run);
    int64_t id = sqlite3_last_insert_rowid(store->db);
    for (uint32_t i = 0; i < run->n_figures && status == ONNXD_OK; i++)
        status = keep_figure(store, id, &run->figures[i]);
    if (status == ONNXD_OK) return execute(store, "COMMIT");
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

onnxd_status bench_history_keep(const char *path, const struct bench_run *run, onnxd_error *err)
{
    struct store store = {.path = path, .err = err};
    if (run->failed)
        return error_set(err, ONNXD_ERR_LIMIT, "%s: the run's figures were too many to hold", path);
    onnxd_status status = open_store(&store, true);
    if (status == ONNXD_OK) status = keep_all(&store, run);
    sqlite3_close(store.db);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* One row under way; the first column that is not as it must be is told. */
struct row {
    struct store *store;
    struct bench_history *history;
    sqlite3_stmt *statement;
    int64_t run; /* for messages */
    onnxd_status status;
};

static void fault(struct row *row, int column, const char *expected)
{
    if (row->status != ONNXD_OK) return;
    row->status = error_set(row->store->err, ONNXD_ERR_FORMAT, "%s: run %lld: %s: expected %s",
                            row->store->path, (long long)row->run,
                            sqlite3_column_name(row->statement, column), expected);
}

static const char *get_text(struct row *row, int column)
{
    if (sqlite3_column_type(row->statement, column) != SQLITE_TEXT ||
        sqlite3_column_bytes(row->statement, column) > MAX_TEXT) {
        fault(row, column, "a text of at most 4096 bytes");
        return "";
    }
    const char *text = arena_strndup(&row->history->arena,
                                     (const char *)sqlite3_column_text(row->statement, column),
                                     (size_t)sqlite3_column_bytes(row->statement, column));
    if (text != NULL) return text;
    if (row->status == ONNXD_OK)
        row->status = error_set(row->store->err, ONNXD_ERR_LIMIT, "%s: its runs are too large",
                                row->store->path);
    return "";
}

static void copy_text(struct row *row, int column, char *out, size_t size)
{
    snprintf(out, size, "%s", get_text(row, column));
}

static int64_t get_whole(struct row *row, int column, int64_t low, int64_t high)
{
    int64_t value = sqlite3_column_int64(row->statement, column);
    if (sqlite3_column_type(row->statement, column) == SQLITE_INTEGER && value >= low && value <= high)
        return value;
    fault(row, column, "a whole number within its range");
    return low;
}

static double get_number(struct row *row, int column)
{
    int type = sqlite3_column_type(row->statement, column);
    double value = sqlite3_column_double(row->statement, column);
    if ((type == SQLITE_FLOAT || type == SQLITE_INTEGER) && isfinite(value)) return value;
    fault(row, column, "a finite number");
    return 0;
}

static void get_samples(struct row *row, int column, struct bench_figure *figure)
{
    if (sqlite3_column_type(row->statement, column) == SQLITE_NULL) return;
    const void *bytes = sqlite3_column_blob(row->statement, column);
    int n = sqlite3_column_bytes(row->statement, column);
    if (sqlite3_column_type(row->statement, column) != SQLITE_BLOB || n % (int)sizeof(double) != 0 ||
        n == 0 || n > BENCH_MAX_SAMPLES * (int)sizeof(double)) {
        fault(row, column, "1 to 65536 numbers of 8 bytes");
        return;
    }
    double *samples = arena_memdup(&row->history->arena, bytes, (size_t)n);
    if (samples == NULL) {
        row->status = error_set(row->store->err, ONNXD_ERR_LIMIT, "%s: its runs are too large",
                                row->store->path);
        return;
    }
    for (int i = 0; i < n / (int)sizeof(double); i++)
        if (!isfinite(samples[i])) fault(row, column, "finite numbers");
    figure->samples = samples;
    figure->n_samples = (uint32_t)n / sizeof(double);
}

static void get_run(struct row *row, struct bench_run *run)
{
    *run = (struct bench_run){.id = row->run};
    run->unix_ms = get_whole(row, 1, 0, (int64_t)1 << 48);
    run->suite = get_text(row, 2);
    run->settings = get_text(row, 3);
    run->version = get_text(row, 4);
    run->commit = get_text(row, 5);
    run->load = sqlite3_column_type(row->statement, 6) == SQLITE_NULL ? -1 : get_number(row, 6);
    run->verdict = (enum bench_verdict)get_whole(row, 7, BENCH_OK, BENCH_CLIENT_LIMITED);
    run->remark = get_text(row, 8);
    copy_text(row, 9, run->machine.id, sizeof run->machine.id);
    copy_text(row, 10, run->machine.cpu, sizeof run->machine.cpu);
    run->machine.n_cpus = (uint32_t)get_whole(row, 11, 0, UINT32_MAX);
    copy_text(row, 12, run->machine.caches, sizeof run->machine.caches);
    copy_text(row, 13, run->machine.isa, sizeof run->machine.isa);
    copy_text(row, 14, run->machine.kernel, sizeof run->machine.kernel);
    copy_text(row, 15, run->machine.governor, sizeof run->machine.governor);
    copy_text(row, 16, run->machine.compiler, sizeof run->machine.compiler);
    copy_text(row, 17, run->machine.flags, sizeof run->machine.flags);
}

static onnxd_status read_runs(struct store *store, const char *suite, struct bench_history *history)
{
    static const char sql[] =
        "SELECT r.id, r.unix_ms, r.suite, r.settings, r.version, r.build, r.load, r.verdict, r.remark, m.id,"
        " m.cpu, m.n_cpus, m.caches, m.isa, m.kernel, m.governor, m.compiler, m.flags FROM run r"
        " JOIN machine m ON m.id = r.machine WHERE ?1 IS NULL OR r.suite = ?1"
        " ORDER BY r.unix_ms DESC, r.id DESC LIMIT ?2";
    struct row row = {.store = store, .history = history};
    uint32_t capacity = 0;
    onnxd_status status = prepare(store, sql, &row.statement);
    if (status != ONNXD_OK) return status;
    if (suite != NULL) bind_text(row.statement, 1, suite);
    sqlite3_bind_int(row.statement, 2, BENCH_HISTORY_MAX_RUNS);
    int code = SQLITE_ROW;
    while (row.status == ONNXD_OK && (code = sqlite3_step(row.statement)) == SQLITE_ROW) {
        row.run = sqlite3_column_int64(row.statement, 0);
        if (history->n_runs == capacity) {
            uint32_t more = capacity == 0 ? 64 : capacity * 2;
            struct bench_run *grown = realloc(history->runs, more * sizeof *grown);
            if (grown == NULL) {
                row.status = error_set(store->err, ONNXD_ERR_NOMEM, "%s: no memory for %u runs", store->path,
                                       more);
                break;
            }
            history->runs = grown;
            capacity = more;
        }
        get_run(&row, &history->runs[history->n_runs++]);
    }
    if (row.status == ONNXD_OK && code != SQLITE_DONE) row.status = refuse(store, code);
    sqlite3_finalize(row.statement);
    for (uint32_t i = 0; i < history->n_runs / 2; i++) { /* the latest came first */
        struct bench_run swap = history->runs[i];
        history->runs[i] = history->runs[history->n_runs - 1 - i];
        history->runs[history->n_runs - 1 - i] = swap;
    }
    return row.status;
}

/* The figures of one run; `counter` and `statement` take the run's number as ?1. */
static onnxd_status read_figures(struct store *store, sqlite3_stmt *statement, struct bench_history *history,
                                 struct bench_run *run)
{
    struct row row = {.store = store, .history = history, .statement = statement, .run = run->id};
    int code = SQLITE_ROW;
    sqlite3_reset(statement);
    sqlite3_bind_int64(statement, 1, run->id);
    while (row.status == ONNXD_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (run->n_figures == run->figure_capacity) {
            uint32_t capacity = run->figure_capacity == 0 ? 16 : run->figure_capacity * 2;
            struct bench_figure *figures = arena_alloc_array(&history->arena, capacity, sizeof *figures);
            if (figures == NULL || capacity > BENCH_MAX_FIGURES)
                return error_set(store->err, ONNXD_ERR_LIMIT, "%s: run %lld: too many figures", store->path,
                                 (long long)run->id);
            if (run->n_figures > 0) memcpy(figures, run->figures, run->n_figures * sizeof *figures);
            run->figures = figures;
            run->figure_capacity = capacity;
        }
        struct bench_figure *figure = &run->figures[run->n_figures++];
        *figure = (struct bench_figure){.name = get_text(&row, 0), .unit = get_text(&row, 1)};
        figure->better = (enum bench_better)get_whole(&row, 2, BENCH_NEITHER, BENCH_HIGHER);
        figure->value = (struct interval){get_number(&row, 3), get_number(&row, 4), get_number(&row, 5)};
        get_samples(&row, 6, figure);
    }
    if (row.status == ONNXD_OK && code != SQLITE_DONE) row.status = refuse(store, code);
    return row.status;
}

static onnxd_status read_all(struct store *store, const char *suite, struct bench_history *history)
{
    sqlite3_stmt *statement = NULL;
    bool empty = false;
    onnxd_status status = check_form(store, false, &empty);
    if (status != ONNXD_OK || empty) return status;
    status = read_runs(store, suite, history);
    if (status == ONNXD_OK)
        status = prepare(store,
                         "SELECT name, unit, better, value, low, high, samples FROM figure WHERE run = ?1 "
                         "ORDER BY name",
                         &statement);
    for (uint32_t i = 0; i < history->n_runs && status == ONNXD_OK; i++)
        status = read_figures(store, statement, history, &history->runs[i]);
    sqlite3_finalize(statement);
    return status;
}

onnxd_status bench_history_read(const char *path, const char *suite, struct bench_history *ret,
                                onnxd_error *err)
{
    struct store store = {.path = path, .err = err};
    struct bench_history history = {0};
    arena_init(&history.arena, READ_LIMIT);
    onnxd_status status = open_store(&store, false);
    if (status == ONNXD_OK) status = execute(&store, "BEGIN");
    if (status == ONNXD_OK) status = read_all(&store, suite, &history);
    sqlite3_close(store.db);
    if (status == ONNXD_OK)
        *ret = history;
    else
        bench_history_done(&history);
    return status;
}

void bench_history_done(struct bench_history *history)
{
    free(history->runs);
    arena_done(&history->arena);
    *history = (struct bench_history){0};
}

bool bench_history_alike(const struct bench_run *a, const struct bench_run *b)
{
    return strcmp(a->suite, b->suite) == 0 && strcmp(a->settings, b->settings) == 0 &&
           strcmp(a->machine.id, b->machine.id) == 0;
}
