#include "ctr/interaction_test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum {
    TABLE_CELLS = 1 << 21,
    LEAST_CELLS = 1 << 10,
    SKETCH_BITS = 16,
    SKETCH = 1 << SKETCH_BITS,
    BLOCK = 512,     /* rows whose cells are found at once */
    CHUNK = 1 << 14, /* rows of a task */
    AHEAD = 24,      /* rows whose cells are on their way from memory */
    STEPS = 8
};

#define LARGEST_LOG_ODDS  30.0
#define SMALL_STEP        0.02
#define EXPECTED_VARIANCE (INTERACTION_EXPECTED_DEVIATION * INTERACTION_EXPECTED_DEVIATION)

struct moments { /* of a row */
    float r, s;  /* w (y - p), w^2 p (1 - p) */
};

/* All rows have weight 1 and one cell: I_c is S_c. */
struct plain_cell {
    double r, s;
    double q; /* sum of k4 */
};

struct shared_cell {
    double r, s;
    double i; /* sum of x^2 w v */
    union {
        double m; /* sum of x w v */
        double g; /* what the cell counts in the test, once sums are complete */
    };
};

struct desk {       /* of one worker */
    void *cells;    /* [n_cells] plain or shared */
    double *sketch; /* [SKETCH]; NULL where no row has two cells */
};

struct interaction_test {
    const struct interaction_rows *rows;
    struct threads *threads;
    float *log_odds;           /* [n] */
    struct moments *moments;   /* [n] */
    double mean_square_weight; /* of rows */
    uint32_t n_cells;          /* of a table, a power of two */
    bool plain;                /* weights are all 1 */
    struct desk *desks;        /* [threads] */
    float *steps;              /* [n_cells] of remove */
};

/* Where the cells of a combination lie in a table. */
struct layout {
    const struct interaction_field *fields[INTERACTION_MAX_FIELDS];
    uint32_t n_fields;
    uint32_t n_cells; /* of the table in use */
    bool hashed;
    bool plain;
};

/* Finalizer of MurmurHash3. */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdu;
    x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53u;
    return x ^ (x >> 33);
}

static inline uint32_t place(const struct layout *l, uint64_t key)
{
    return (uint32_t)(l->hashed ? mix(key) & (l->n_cells - 1) : key);
}

static struct layout lay_out(const struct interaction_test *t, const struct interaction_combination *c)
{
    struct layout l = {.n_fields = c->n, .n_cells = 1, .plain = t->plain};
    for (uint32_t f = 0; f < c->n; f++) {
        const struct interaction_field *field = &t->rows->fields[c->fields[f]];
        uint64_t n = (uint64_t)l.n_cells * field->n_ids;
        l.fields[f] = field;
        l.hashed |= n > t->n_cells;
        l.n_cells = l.hashed ? t->n_cells : (uint32_t)n;
        l.plain &= field->n_slots == 1;
    }
    return l;
}

bool interaction_is_testable(const struct interaction_rows *rows, const struct interaction_combination *c)
{
    uint64_t n = 1;
    for (uint32_t f = 0; f < c->n && n <= INTERACTION_MAX_CELLS_A_ROW; f++)
        n *= rows->fields[c->fields[f]].n_slots;
    return n <= INTERACTION_MAX_CELLS_A_ROW;
}

/* ---- the cells of rows ---- */

/* Of n <= BLOCK rows that lie in one cell each. */
static void find_places(const struct layout *l, uint64_t first, uint32_t n, uint32_t places[BLOCK])
{
    uint64_t keys[BLOCK];
    const uint32_t *ids = l->fields[0]->ids + first;
    for (uint32_t i = 0; i < n; i++) keys[i] = ids[i];
    for (uint32_t f = 1; f < l->n_fields; f++) {
        uint64_t n_ids = l->fields[f]->n_ids;
        ids = l->fields[f]->ids + first;
        for (uint32_t i = 0; i < n; i++) keys[i] = keys[i] * n_ids + ids[i];
    }
    if (l->hashed)
        for (uint32_t i = 0; i < n; i++) places[i] = (uint32_t)(mix(keys[i]) & (l->n_cells - 1));
    else
        for (uint32_t i = 0; i < n; i++) places[i] = (uint32_t)keys[i];
}

struct row_cells {
    uint32_t places[INTERACTION_MAX_CELLS_A_ROW], n; /* different ones; 0: a field has no value */
    double shares[INTERACTION_MAX_CELLS_A_ROW];      /* of sum 1 */
};

/* Values that stand there twice, or meet in the table, have one cell with the sum of their shares. */
static void merge_places(struct row_cells *cells)
{
    uint32_t n = 0;
    for (uint32_t j = 0; j < cells->n; j++) {
        uint32_t k = 0;
        while (k < n && cells->places[k] != cells->places[j]) k++;
        if (k < n) {
            cells->shares[k] += cells->shares[j];
            continue;
        }
        cells->places[n] = cells->places[j];
        cells->shares[n++] = cells->shares[j];
    }
    cells->n = n;
}

static void find_row_cells(const struct interaction_test *t, const struct layout *l, uint64_t row,
                           struct row_cells *cells)
{
    uint64_t keys[INTERACTION_MAX_CELLS_A_ROW] = {0}, next[INTERACTION_MAX_CELLS_A_ROW];
    uint32_t n = 1;
    for (uint32_t f = 0; f < l->n_fields; f++) {
        const struct interaction_field *field = l->fields[f];
        uint32_t n_next = 0;
        for (uint32_t s = 0; s < field->n_slots; s++) {
            uint32_t id = field->ids[s * t->rows->n + row];
            if (id == field->padding_id) continue;
            for (uint32_t j = 0; j < n; j++) next[n_next++] = keys[j] * field->n_ids + id;
        }
        memcpy(keys, next, n_next * sizeof *keys);
        n = n_next;
    }
    cells->n = n;
    for (uint32_t j = 0; j < n; j++) {
        cells->places[j] = place(l, keys[j]);
        cells->shares[j] = 1.0 / n;
    }
    if (n > 1) merge_places(cells);
}

/* ---- sums over rows ---- */

static void add_plain(const struct interaction_test *t, const struct layout *l, struct plain_cell *cells)
{
    uint32_t places[BLOCK];
    for (uint64_t first = 0; first < t->rows->n; first += BLOCK) {
        uint32_t n = t->rows->n - first < BLOCK ? (uint32_t)(t->rows->n - first) : BLOCK;
        find_places(l, first, n, places);
        for (uint32_t i = 0; i < n; i++) {
            struct plain_cell *cell = &cells[places[i]];
            if (i + AHEAD < n) __builtin_prefetch(&cells[places[i + AHEAD]], 1);
            double s = (double)t->moments[first + i].s;
            cell->r += (double)t->moments[first + i].r;
            cell->s += s;
            cell->q += s - 6 * s * s;
        }
    }
}

static inline double weight_of(const struct interaction_test *t, uint64_t row)
{
    return t->rows->weight != NULL ? (double)t->rows->weight[row] : 1;
}

static void add_shared(const struct interaction_test *t, const struct layout *l, struct shared_cell *cells)
{
    struct row_cells c;
    for (uint64_t row = 0; row < t->rows->n; row++) {
        double r = (double)t->moments[row].r, s = (double)t->moments[row].s, w = weight_of(t, row);
        double wv = w > 0 ? s / w : 0;
        find_row_cells(t, l, row, &c);
        for (uint32_t j = 0; j < c.n; j++) {
            struct shared_cell *cell = &cells[c.places[j]];
            double x = c.shares[j];
            cell->r += x * r;
            cell->s += x * x * s;
            cell->i += x * x * wv;
            cell->m += x * wv;
        }
    }
}

/* ---- the residuals ---- */

static void refresh_rows(void *context, uint32_t task, uint32_t worker)
{
    struct interaction_test *t = context;
    uint64_t first = (uint64_t)task * CHUNK, end = t->rows->n - first < CHUNK ? t->rows->n : first + CHUNK;
    (void)worker;
    for (uint64_t i = first; i < end; i++) {
        double p = 1 / (1 + exp(-(double)t->log_odds[i])), w = weight_of(t, i);
        t->moments[i] = (struct moments){(float)(w * ((double)t->rows->label[i] - p)),
                                         (float)(w * w * p * (1 - p))};
    }
}

static uint32_t n_chunks(const struct interaction_test *t)
{
    return (uint32_t)((t->rows->n + CHUNK - 1) / CHUNK);
}

static void refresh(struct interaction_test *t)
{
    threads_run(t->threads, refresh_rows, t, n_chunks(t));
}

/* ---- one combination ---- */

struct sums {
    double t, i2;   /* of g (R^2 - S), of g I^2 */
    double squares; /* of 2 g^2 S^2, and what overlaps add */
    double q, third;
    uint64_t n_cells;
};

/* e: mean square weight of the rows. */
static inline void add_cell(struct sums *sums, double g, double r, double s, double i, double e)
{
    sums->t += g * (r * r - s);
    sums->i2 += g * i * i;
    sums->squares += 2 * g * g * s * s;
    sums->third += g * g * g * s * (8 * s * s + 22 * e * s + e * e);
    sums->n_cells++;
}

/* g_c, what a cell counts. */
static inline double cell_weight(double s, double i)
{
    double ratio = i / s;
    return ratio * ratio / (1 + EXPECTED_VARIANCE * ratio * i);
}

static void sum_plain(const struct interaction_test *t, const struct layout *l, struct plain_cell *cells,
                      struct sums *sums)
{
    memset(cells, 0, l->n_cells * sizeof *cells);
    add_plain(t, l, cells);
    for (uint32_t c = 0; c < l->n_cells; c++) {
        double s = cells[c].s, g;
        if (!(s > 0)) continue;
        g = cell_weight(s, s);
        add_cell(sums, g, cells[c].r, s, s, 1);
        sums->q += g * g * cells[c].q;
    }
}

/* a_ic a_id v_i of all pairs of the row's cells, s being w^2 v. */
static void add_overlaps(const struct row_cells *c, double s, double *sketch)
{
    for (uint32_t j = 1; j < c->n; j++)
        for (uint32_t k = 0; k < j; k++) {
            uint32_t low = c->places[j], high = c->places[k];
            if (low > high) {
                low = c->places[k];
                high = c->places[j];
            }
            uint64_t h = mix((uint64_t)low << 32 | high);
            double x = c->shares[j] * c->shares[k] * s;
            sketch[h & (SKETCH - 1)] += h >> 63 ? x : -x;
        }
}

/* What k4 and rows in several cells add to the variance. Shares times the root of the cell's g make T a plain
 * sum of squares again. */
static void sum_overlaps(const struct interaction_test *t, const struct layout *l,
                         const struct shared_cell *cells, double *sketch, struct sums *sums)
{
    struct row_cells c;
    if (sketch != NULL) memset(sketch, 0, SKETCH * sizeof *sketch);
    for (uint64_t row = 0; row < t->rows->n; row++) {
        double s = (double)t->moments[row].s, w = weight_of(t, row), squares = 0;
        find_row_cells(t, l, row, &c);
        for (uint32_t j = 0; j < c.n; j++) {
            c.shares[j] *= sqrt(cells[c.places[j]].g);
            squares += c.shares[j] * c.shares[j];
        }
        sums->q += squares * squares * (s * w * w - 6 * s * s);
        if (c.n > 1) add_overlaps(&c, s, sketch);
    }
    for (uint32_t i = 0; sketch != NULL && i < SKETCH; i++) sums->squares += 4 * sketch[i] * sketch[i];
}

static void sum_shared(const struct interaction_test *t, const struct layout *l, struct shared_cell *cells,
                       double *sketch, struct sums *sums)
{
    memset(cells, 0, l->n_cells * sizeof *cells);
    add_shared(t, l, cells);
    for (uint32_t c = 0; c < l->n_cells; c++) {
        struct shared_cell *cell = &cells[c];
        if (!(cell->s > 0)) continue;
        cell->g = cell_weight(cell->s, cell->i);
        add_cell(sums, cell->g, cell->r, cell->s, cell->i, t->mean_square_weight);
    }
    sum_overlaps(t, l, cells, sketch, sums);
}

/* The upper tail beyond z of a shifted gamma distribution of mean 0, variance 1 and this skewness. */
static double tail(double z, double skewness)
{
    if (skewness > 1e-6) {
        double nu = 8 / (skewness * skewness); /* as a chi-square */
        double x = 1 + z * sqrt(2 / nu), spread = 2 / (9 * nu);
        z = (cbrt(x > 0 ? x : 0) - (1 - spread)) / sqrt(spread);
    }
    return 0.5 * erfc(z * M_SQRT1_2);
}

static struct interaction_score conclude(const struct sums *sums)
{
    struct interaction_score score = {.chance = 1, .n_cells = sums->n_cells};
    double variance = sums->squares + sums->q;
    if (!(variance > 1e-9 * sums->squares) || !(sums->i2 > 0)) return score; /* nothing can vary */
    score.z = sums->t / sqrt(variance);
    score.variance = sums->t / sums->i2;
    score.chance = tail(score.z, sums->third / (variance * sqrt(variance)));
    return score;
}

void interaction_test_score(struct interaction_test *t, const struct interaction_combination *c,
                            uint32_t worker, struct interaction_score *ret)
{
    struct layout l = lay_out(t, c);
    struct desk *desk = &t->desks[worker];
    struct sums sums = {0};
    if (l.plain)
        sum_plain(t, &l, desk->cells, &sums);
    else
        sum_shared(t, &l, desk->cells, desk->sketch, &sums);
    *ret = conclude(&sums);
}

/* ---- taking effects out ---- */

struct removal {
    struct interaction_test *test;
    const struct layout *layout;
};

static void move_rows(void *context, uint32_t task, uint32_t worker)
{
    struct removal *removal = context;
    struct interaction_test *t = removal->test;
    uint64_t first = (uint64_t)task * CHUNK, end = t->rows->n - first < CHUNK ? t->rows->n : first + CHUNK;
    struct row_cells c;
    (void)worker;
    for (uint64_t i = first; i < end; i++) {
        double step = 0;
        find_row_cells(t, removal->layout, i, &c);
        for (uint32_t j = 0; j < c.n; j++) step += c.shares[j] * (double)t->steps[c.places[j]];
        t->log_odds[i] = (float)fmax(-LARGEST_LOG_ODDS,
                                     fmin(LARGEST_LOG_ODDS, (double)t->log_odds[i] + step));
    }
}

static double one_step(double r, double s, double i, double m, double b, double variance)
{
    if (!(s > 0 && i > 0)) return 0;
    double penalty = s / (i * variance);
    return fmax(-1, fmin(1, (r - penalty * b) / (m + penalty)));
}

/* Steps of all cells by the residuals as they are; effects[n_cells] so far. Returns the largest. */
static double find_steps(struct interaction_test *t, const struct layout *l, double variance, float *effects)
{
    struct desk *desk = &t->desks[0];
    double largest = 0;
    memset(desk->cells, 0, l->n_cells * (l->plain ? sizeof(struct plain_cell) : sizeof(struct shared_cell)));
    if (l->plain)
        add_plain(t, l, desk->cells);
    else
        add_shared(t, l, desk->cells);
    for (uint32_t c = 0; c < l->n_cells; c++) {
        double b = (double)effects[c], step;
        if (l->plain) {
            const struct plain_cell *cell = (const struct plain_cell *)desk->cells + c;
            step = one_step(cell->r, cell->s, cell->s, cell->s, b, variance);
        } else {
            const struct shared_cell *cell = (const struct shared_cell *)desk->cells + c;
            step = one_step(cell->r, cell->s, cell->i, cell->m, b, variance);
        }
        t->steps[c] = (float)step;
        effects[c] += (float)step;
        largest = fmax(largest, fabs(step));
    }
    return largest;
}

void interaction_test_remove(struct interaction_test *t, const struct interaction_combination *c,
                             double variance)
{
    struct layout l = lay_out(t, c);
    struct removal removal = {t, &l};
    float *effects = t->steps + t->n_cells;
    memset(effects, 0, l.n_cells * sizeof *effects);
    for (int i = 0; i < STEPS; i++) {
        double largest = find_steps(t, &l, variance, effects);
        threads_run(t->threads, move_rows, &removal, n_chunks(t));
        refresh(t);
        if (largest < SMALL_STEP) break;
    }
}

/* ---- life ---- */

void interaction_test_free(struct interaction_test *t)
{
    if (t == NULL) return;
    for (uint32_t i = 0; t->desks != NULL && i < threads_count(t->threads); i++) {
        free(t->desks[i].cells);
        free(t->desks[i].sketch);
    }
    free(t->desks);
    free(t->log_odds);
    free(t->moments);
    free(t->steps);
    free(t);
}

static onnxd_status check(const struct interaction_rows *rows, onnxd_error *err)
{
    double positive = 0, all = 0;
    if (rows->n == 0 || rows->n > UINT32_MAX)
        return error_set(err, ONNXD_ERR_RANGE, "rows: %llu; expected 1 to %u", (unsigned long long)rows->n,
                         UINT32_MAX);
    for (uint64_t i = 0; i < rows->n; i++) {
        double w = rows->weight != NULL ? (double)rows->weight[i] : 1;
        positive += w * (double)rows->label[i];
        all += w;
    }
    if (!(positive > 0 && positive < all))
        return error_set(err, ONNXD_ERR_RANGE,
                         "rows: all %llu of one class (weights: %g positive of %g); both are needed",
                         (unsigned long long)rows->n, positive, all);
    return ONNXD_OK;
}

static double mean_square_weight(const struct interaction_rows *rows)
{
    double sum = 0;
    if (rows->weight == NULL) return 1;
    for (uint64_t i = 0; i < rows->n; i++) sum += (double)rows->weight[i] * (double)rows->weight[i];
    return sum / (double)rows->n;
}

/* Four places for each cell that a row could have, up to the largest table. */
static uint32_t table_cells(uint64_t n_rows, uint64_t cells_a_row)
{
    uint32_t n = LEAST_CELLS;
    while (n < TABLE_CELLS && n < 4 * n_rows * cells_a_row) n *= 2;
    return n;
}

static onnxd_status make_tables(struct interaction_test *t, onnxd_error *err)
{
    bool multi = false;
    uint32_t n_threads = threads_count(t->threads);
    for (uint32_t f = 0; f < t->rows->n_fields; f++) multi |= t->rows->fields[f].n_slots > 1;
    t->plain = t->rows->weight == NULL;
    t->n_cells = table_cells(t->rows->n, multi ? INTERACTION_MAX_CELLS_A_ROW : 1);
    t->log_odds = malloc(t->rows->n * sizeof *t->log_odds);
    t->moments = malloc(t->rows->n * sizeof *t->moments);
    t->steps = malloc(2 * (size_t)t->n_cells * sizeof *t->steps);
    t->desks = calloc(n_threads, sizeof *t->desks);
    bool made = t->log_odds != NULL && t->moments != NULL && t->steps != NULL && t->desks != NULL;
    for (uint32_t i = 0; i < n_threads && made; i++) {
        struct desk *desk = &t->desks[i];
        size_t cell = t->plain && !multi ? sizeof(struct plain_cell) : sizeof(struct shared_cell);
        desk->cells = malloc(t->n_cells * cell);
        if (multi) desk->sketch = malloc(SKETCH * sizeof *desk->sketch);
        made = desk->cells != NULL && (desk->sketch != NULL || !multi);
    }
    return made ? ONNXD_OK
                : error_set(err, ONNXD_ERR_NOMEM, "interactions: no memory for %llu rows and %u threads",
                            (unsigned long long)t->rows->n, n_threads);
}

onnxd_status interaction_test_create(const struct interaction_rows *rows, struct threads *threads,
                                     struct interaction_test **ret, onnxd_error *err)
{
    onnxd_status status = check(rows, err);
    if (status != ONNXD_OK) return status;
    struct interaction_test *t = calloc(1, sizeof *t);
    if (t == NULL) return error_set(err, ONNXD_ERR_NOMEM, "interactions: no memory");
    t->rows = rows;
    t->threads = threads;
    t->mean_square_weight = mean_square_weight(rows);
    status = make_tables(t, err);
    if (status != ONNXD_OK) {
        interaction_test_free(t);
        return status;
    }
    for (uint64_t i = 0; i < rows->n; i++) {
        double p = (double)rows->p[i];
        t->log_odds[i] = (float)fmax(-LARGEST_LOG_ODDS, fmin(LARGEST_LOG_ODDS, log(p / (1 - p))));
    }
    refresh(t);
    *ret = t;
    return ONNXD_OK;
}
