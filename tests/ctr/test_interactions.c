#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#include "ctr/interactions.h"
#include "features/features_file.h"

static struct interaction_field single(const char *name, const uint32_t *ids, uint32_t n_ids)
{
    return (struct interaction_field){
        .name = name, .ids = ids, .n_slots = 1, .n_ids = n_ids, .padding_id = FEATURE_NO_ID};
}

static struct threads *start_threads(uint32_t n)
{
    struct threads *threads = NULL;
    onnxd_error err;
    assert_ok(threads_create(n, &threads, &err), err);
    return threads;
}

static struct interaction_score score_of(const struct interaction_rows *rows,
                                         struct interaction_combination c)
{
    struct threads *threads = start_threads(1);
    struct interaction_test *test = NULL;
    struct interaction_score score;
    onnxd_error err;
    assert_ok(interaction_test_create(rows, threads, &test, &err), err);
    interaction_test_score(test, &c, 0, &score);
    interaction_test_free(test);
    threads_free(threads);
    return score;
}

/* ---- one combination ---- */

/* R = (0.3, 0.5), S = (0.25 + 0.16, 0.09 + 0.24); Q = (-0.125 + 0.0064, 0.0414 - 0.1056) before g. */
static void four_rows_score_as_by_hand(void **state)
{
    (void)state;
    const float p[] = {0.5f, 0.2f, 0.1f, 0.4f}, label[] = {1, 0, 0, 1};
    const uint32_t ids[] = {0, 0, 2, 2};
    struct interaction_field field = single("a", ids, 3);
    struct interaction_rows rows = {.n = 4, .p = p, .label = label, .fields = &field, .n_fields = 1};
    struct interaction_score s = score_of(&rows, (struct interaction_combination){{0}, 1});
    double g = 1 / (1 + 0.0025 * 0.41), h = 1 / (1 + 0.0025 * 0.33);
    double t = g * (0.09 - 0.41) + h * (0.25 - 0.33), squares = g * g * 0.41 * 0.41 + h * h * 0.33 * 0.33;
    assert_float_equal(s.z, t / sqrt(2 * squares - g * g * 0.1186 - h * h * 0.0642), 1e-6);
    assert_float_equal(s.variance, t / (g * 0.41 * 0.41 + h * 0.33 * 0.33), 1e-6);
    assert_int_equal(s.n_cells, 2);
}

enum { FEW = 8, BOTH = 2 }; /* the last rows are of either class and tell nothing: p is right */

struct few {
    float p[FEW + BOTH], label[FEW + BOTH], weight[FEW + BOTH];
    uint32_t a[FEW + BOTH], tags[3 * (FEW + BOTH)], words[2 * (FEW + BOTH)];
    struct interaction_field fields[3];
    struct interaction_rows rows;
};

static void few_init(struct few *f, uint64_t seed, bool weighted)
{
    struct rng rng = rng_seed(seed);
    *f = (struct few){
        .fields = {single("a", f->a, 2),
                   {.name = "tags", .ids = f->tags, .n_slots = 3, .n_ids = 5, .padding_id = 1},
                   {.name = "words", .ids = f->words, .n_slots = 2, .n_ids = 4, .padding_id = 3}},
        .rows = {.n = FEW + BOTH,
                 .p = f->p,
                 .label = f->label,
                 .fields = f->fields,
                 .n_fields = 3,
                 .weight = weighted ? f->weight : NULL}};
    for (uint32_t i = 0; i < FEW + BOTH; i++) {
        f->p[i] = i < FEW ? 0.05f + 0.8f * rng_f32(&rng) : i == FEW ? 1 : 0;
        f->label[i] = i == FEW;
        f->weight[i] = 0.2f + 2 * rng_f32(&rng);
        f->a[i] = (uint32_t)rng_below(&rng, 2);
    }
    for (uint32_t i = 0; i < 3 * (FEW + BOTH); i++) f->tags[i] = (uint32_t)rng_below(&rng, 5);
    for (uint32_t i = 0; i < 2 * (FEW + BOTH); i++) f->words[i] = (uint32_t)rng_below(&rng, 4);
}

/* Over all 2^8 outcomes, each with its probability under the model, z has mean 0 and variance 1: exactly,
 * with weights, shares and rows that lie in several cells. */
static void z_has_mean_0_and_variance_1_over_all_outcomes(void **state)
{
    (void)state;
    static const struct interaction_combination cases[] = {
        {{0}, 1}, {{1}, 1}, {{0, 1}, 2}, {{1, 2}, 2}, {{0, 1, 2}, 3}};
    for (uint32_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        struct few f;
        few_init(&f, test_seed() + k, k % 2 == 0);
        double mean = 0, square = 0, third = 0;
        for (uint32_t outcome = 0; outcome < 1u << FEW; outcome++) {
            double chance = 1;
            for (uint32_t i = 0; i < FEW; i++) {
                f.label[i] = (float)(outcome >> i & 1);
                chance *= f.label[i] > 0 ? (double)f.p[i] : 1 - (double)f.p[i];
            }
            double z = score_of(&f.rows, cases[k / 2]).z;
            mean += chance * z;
            square += chance * z * z;
            third += chance * z * z * z;
        }
        print_message("case %u: mean %.2g, variance %.6f, third moment %.2f\n", k, mean, square, third);
        assert_float_equal(mean, 0, 1e-5);
        assert_float_equal(square, 1, 1e-5);
    }
}

/* The same tag twice is the tag; a multi-valued field with one value a row is a category. */
static void shares_of_equal_values_add_up(void **state)
{
    (void)state;
    enum { N = 400 };
    static float p[N], label[N];
    static uint32_t one[N], twice[2 * N], padded[3 * N];
    struct rng rng = rng_seed(test_seed());
    for (uint32_t i = 0; i < N; i++) {
        p[i] = 0.1f + 0.5f * rng_f32(&rng);
        label[i] = rng_f32(&rng) < p[i];
        one[i] = 1 + (uint32_t)rng_below(&rng, 9);
        twice[i] = twice[N + i] = padded[(i % 3) * N + i] = one[i];
    }
    struct interaction_field fields[] = {
        single("one", one, 10),
        {.name = "twice", .ids = twice, .n_slots = 2, .n_ids = 10, .padding_id = 0},
        {.name = "padded", .ids = padded, .n_slots = 3, .n_ids = 10, .padding_id = 0}};
    struct interaction_rows rows = {.n = N, .p = p, .label = label, .fields = fields, .n_fields = 3};
    struct interaction_score s = score_of(&rows, (struct interaction_combination){{0}, 1});
    for (uint32_t f = 1; f < 3; f++) {
        struct interaction_score other = score_of(&rows, (struct interaction_combination){{f}, 1});
        assert_float_equal(other.z, s.z, 1e-9);
        assert_float_equal(other.variance, s.variance, 1e-9);
        assert_float_equal(other.chance, s.chance, 1e-9);
        assert_int_equal(other.n_cells, s.n_cells);
    }
}

/* Weights of another unit change nothing but rounding. */
static void a_unit_of_weights_does_not_matter(void **state)
{
    (void)state;
    struct few f;
    few_init(&f, test_seed(), true);
    struct interaction_combination c = {{0, 1}, 2};
    struct interaction_score before = score_of(&f.rows, c);
    for (uint32_t i = 0; i < FEW + BOTH; i++) f.weight[i] *= 37;
    struct interaction_score after = score_of(&f.rows, c);
    assert_float_equal(after.z, before.z, 1e-4);
    assert_float_equal(after.variance, before.variance, 1e-4 * fabs(before.variance));
    assert_float_equal(after.chance, before.chance, 1e-4);
}

/* Where nothing is missed, a chance below x comes in a share x of trials, for few cells as for many. */
static void chances_are_what_they_say(void **state)
{
    (void)state;
    enum { N = 600, TRIALS = 20000 };
    static float p[N], label[N];
    static uint32_t ids[N];
    struct threads *threads = start_threads(1);
    struct rng rng = rng_seed(test_seed());
    static const uint32_t n_ids[] = {2, 7, 60};
    for (uint32_t k = 0; k < 3; k++) {
        struct interaction_field field = single("a", ids, n_ids[k]);
        struct interaction_rows rows = {.n = N, .p = p, .label = label, .fields = &field, .n_fields = 1};
        uint32_t below_hundredth = 0, below_thousandth = 0;
        for (uint32_t i = 0; i < N; i++) {
            p[i] = 0.05f + 0.3f * rng_f32(&rng);
            ids[i] = (uint32_t)(rng_f64(&rng) * rng_f64(&rng) * n_ids[k]); /* of unequal sizes */
        }
        for (uint32_t trial = 0; trial < TRIALS; trial++) {
            struct interaction_test *test = NULL;
            struct interaction_score s;
            onnxd_error err;
            for (uint32_t i = 0; i < N; i++) label[i] = rng_f32(&rng) < p[i];
            assert_ok(interaction_test_create(&rows, threads, &test, &err), err);
            interaction_test_score(test, &(struct interaction_combination){{0}, 1}, 0, &s);
            interaction_test_free(test);
            below_hundredth += s.chance < 0.01;
            below_thousandth += s.chance < 0.001;
        }
        print_message("%u cells: %.5f below 0.01, %.5f below 0.001\n", n_ids[k],
                      (double)below_hundredth / TRIALS, (double)below_thousandth / TRIALS);
        assert_in_range(below_hundredth, TRIALS * 0.004, TRIALS * 0.014);
        assert_in_range(below_thousandth, 1, TRIALS * 0.0025);
    }
    threads_free(threads);
}

/* ---- the search ---- */

/* Rows whose fields have effects of their own, which p knows, and, where asked, one of a with c, one of
 * d, e and tags, and one of b alone, which it does not. Effects of several fields are products of signs, as
 * many of either, so that fewer fields tell nothing of them; p is the mean over the signs. A city lies in one
 * of a's regions. */
enum { WORLD_ROWS = 150000, WORLD_FIELDS = 7, MOST_IDS = 8, TAGS = 8 };

struct world {
    float *p, *label, *weight;
    uint32_t *ids; /* [8, WORLD_ROWS] */
    struct interaction_field fields[WORLD_FIELDS];
    struct interaction_rows rows;
};

struct missed {
    double pair, triple, single; /* deviations in log-odds */
};

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Over all signs of the three effects. */
static double mean_probability(double known, double a, double b, double c)
{
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += sigmoid(known + (i & 1 ? a : -a) + (i & 2 ? b : -b) + (i & 4 ? c : -c));
    return sum / 8;
}

static double sign(uint32_t id)
{
    return id % 2 == 0 ? 1 : -1;
}

enum { A, B, C, D, E };

static void draw_row(struct world *w, uint32_t i, const struct missed *missed, double own[][MOST_IDS],
                     struct rng *rng)
{
    uint32_t id[5], tag[2] = {2 + (uint32_t)rng_below(rng, TAGS), 1},
                    n_tags = 1 + (uint32_t)rng_below(rng, 2);
    double known = -1.5, tags = 0;
    for (uint32_t f = 0; f < 5; f++) {
        id[f] = (uint32_t)rng_below(rng, w->fields[f].n_ids);
        w->ids[f * WORLD_ROWS + i] = id[f];
        known += 0.3 * own[f][id[f] / 2]; /* the same for either sign */
    }
    if (n_tags == 2) tag[1] = 2 + (uint32_t)rng_below(rng, TAGS);
    for (uint32_t s = 0; s < 2; s++) w->ids[(6 + s) * WORLD_ROWS + i] = tag[s];
    w->ids[5 * WORLD_ROWS + i] = 4 * id[A] + (uint32_t)rng_below(rng, 4);
    for (uint32_t s = 0; s < n_tags; s++) tags += sign(tag[s]) / n_tags;
    double pair = missed->pair * sign(id[A]) * sign(id[C]), single = missed->single * sign(id[B]);
    double triple = missed->triple * tags * sign(id[D]) * sign(id[E]);
    w->p[i] = (float)mean_probability(known, pair, triple, single);
    w->label[i] = rng_f64(rng) < sigmoid(known + pair + triple + single);
    w->weight[i] = 0.5f + rng_f32(rng);
}

static void world_init(struct world *w, struct missed missed, bool weighted)
{
    static const uint32_t n_ids[] = {8, 6, 8, 6, 4};
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    double own[5][MOST_IDS];
    struct rng rng = rng_seed(test_seed());
    *w = (struct world){.p = malloc(WORLD_ROWS * sizeof(float)),
                        .label = malloc(WORLD_ROWS * sizeof(float)),
                        .weight = malloc(WORLD_ROWS * sizeof(float)),
                        .ids = malloc(8 * WORLD_ROWS * sizeof(uint32_t))};
    for (uint32_t f = 0; f < 5; f++) w->fields[f] = single(names[f], w->ids + f * WORLD_ROWS, n_ids[f]);
    w->fields[5] = single("city", w->ids + 5 * WORLD_ROWS, 32);
    w->fields[6] = (struct interaction_field){
        .name = "tags", .ids = w->ids + 6 * WORLD_ROWS, .n_slots = 2, .n_ids = 2 + TAGS, .padding_id = 1};
    w->rows = (struct interaction_rows){.n = WORLD_ROWS,
                                        .p = w->p,
                                        .label = w->label,
                                        .weight = weighted ? w->weight : NULL,
                                        .fields = w->fields,
                                        .n_fields = WORLD_FIELDS};
    for (uint32_t f = 0; f < 5; f++)
        for (uint32_t id = 0; id < MOST_IDS; id++) own[f][id] = rng_normal(&rng);
    for (uint32_t i = 0; i < WORLD_ROWS; i++) draw_row(w, i, &missed, own, &rng);
}

static void world_done(struct world *w)
{
    free(w->p);
    free(w->label);
    free(w->weight);
    free(w->ids);
}

static const struct interactions_options defaults = {.threshold = 4, .max_found = 8, .triples = true};

static struct interactions find(const struct interaction_rows *rows,
                                const struct interactions_options *options, uint32_t n_threads)
{
    struct threads *threads = start_threads(n_threads);
    struct interactions in;
    onnxd_error err;
    assert_ok(interactions_find(rows, options, threads, &in, &err), err);
    threads_free(threads);
    return in;
}

/* Names of what was found, "A*B,C". */
static const char *found_names(const struct interactions *in)
{
    static char names[500];
    struct buf out;
    buf_init(&out, sizeof names - 1);
    for (uint32_t n = 0; n < in->n_found; n++) {
        if (n > 0) buf_append_char(&out, ',');
        interaction_name(in, &in->all[in->order[n]], &out);
    }
    snprintf(names, sizeof names, "%.*s", (int)out.n, out.data != NULL ? out.data : "");
    buf_done(&out);
    return names;
}

static const char *cross_of(const struct interactions *in)
{
    static char text[500];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    interactions_cross(in, &out);
    snprintf(text, sizeof text, "%.*s", (int)out.n, out.data != NULL ? out.data : "");
    buf_done(&out);
    return text;
}

static void what_is_missed_is_found_and_nothing_else(void **state)
{
    (void)state;
    for (int weighted = 0; weighted < 2; weighted++) {
        struct world w;
        world_init(&w, (struct missed){.pair = 0.25, .triple = 0.35}, weighted);
        struct interactions in = find(&w.rows, &defaults, 2);
        print_message("found %s\n", found_names(&in));
        assert_string_equal(found_names(&in), "a*c,d*e*tags");
        assert_string_equal(cross_of(&in), "a*c,d*e*tags");
        const struct interaction *pair = &in.all[in.order[0]], *triple = &in.all[in.order[1]];
        assert_float_equal(sqrt(pair->score.variance), 0.25, 0.08);
        assert_float_equal(sqrt(triple->score.variance), 0.35, 0.1);
        assert_int_equal(pair->score.n_cells, 64);
        for (uint32_t i = 0; i < in.n; i++) /* with c, a city says what its region says, until that is out */
            if (in.all[i].of.n == 2 && in.all[i].of.fields[0] == 2 && in.all[i].of.fields[1] == 5) {
                assert_true(in.all[i].first_z > 5);
                assert_true(in.all[i].score.z < 2);
            }
        interactions_done(&in);
        world_done(&w);
    }
}

static void a_right_model_misses_nothing(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, (struct missed){0}, false);
    struct interactions in = find(&w.rows, &defaults, 2);
    assert_int_equal(in.n, 7 + 21 + 35);
    assert_int_equal(in.n_found, 0);
    assert_string_equal(cross_of(&in), "");
    for (uint32_t i = 0; i < in.n; i++) {
        if (in.all[i].first_z > 4.5) fail_msg("combination %u: z %g", i, in.all[i].first_z);
        assert_true(in.all[i].first_z > -4);
    }
    interactions_done(&in);
    world_done(&w);
}

/* It would show in every pair that holds the field. */
static void a_field_that_is_misjudged_alone_is_told_and_not_crossed(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, (struct missed){.pair = 0.3, .single = 0.5}, false);
    struct interactions in = find(&w.rows, &defaults, 2);
    assert_string_equal(found_names(&in), "b,a*c");
    assert_string_equal(cross_of(&in), "a*c");
    interactions_done(&in);
    world_done(&w);
}

static void any_number_of_threads_gives_the_same_bits(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, (struct missed){.pair = 0.25, .triple = 0.35}, true);
    struct interactions first = find(&w.rows, &defaults, 1);
    for (uint32_t n_threads = 2; n_threads <= 4; n_threads += 2) {
        struct interactions in = find(&w.rows, &defaults, n_threads);
        assert_int_equal(in.n_found, first.n_found);
        assert_memory_equal(in.order, first.order, in.n_found * sizeof *in.order);
        for (uint32_t i = 0; i < in.n; i++) {
            const struct interaction *a = &in.all[i], *b = &first.all[i];
            assert_int_equal(a->found, b->found);
            assert_memory_equal(&a->score, &b->score, sizeof a->score);
            assert_memory_equal(&a->first_z, &b->first_z, sizeof a->first_z);
        }
        interactions_done(&in);
    }
    interactions_done(&first);
    world_done(&w);
}

/* Three fields of 2^24 ids have 2^72 cells: they share a table's places, and the effect still shows. */
static void more_cells_than_a_table_holds_are_shared(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, (struct missed){.pair = 0.5}, false);
    for (uint32_t f = 0; f < 3; f++) w.fields[f].n_ids = FEATURE_MAX_IDS;
    for (uint32_t i = 0; i < WORLD_ROWS; i++) w.ids[i] = FEATURE_MAX_IDS - 1 - 1000003 * w.ids[i];
    w.rows.n_fields = 3;
    struct interactions in = find(&w.rows, &defaults, 2);
    assert_string_equal(found_names(&in), "a*c");
    interactions_done(&in);
    world_done(&w);
}

static void options_steer_the_search(void **state)
{
    (void)state;
    struct world w;
    struct interactions_options o = defaults;
    world_init(&w, (struct missed){.pair = 0.25, .triple = 0.35}, false);
    o.max_found = 1;
    struct interactions in = find(&w.rows, &o, 1);
    assert_string_equal(found_names(&in), "a*c");
    interactions_done(&in);
    o.triples = false;
    in = find(&w.rows, &o, 1);
    assert_int_equal(in.n, 7 + 21);
    interactions_done(&in);
    o = defaults;
    o.threshold = 1000;
    in = find(&w.rows, &o, 1);
    assert_int_equal(in.n_found, 0);
    interactions_done(&in);
    w.fields[0].name = "a,b"; /* cannot be said in --cross */
    w.fields[3].is_number = true;
    in = find(&w.rows, &defaults, 1);
    assert_string_equal(found_names(&in), "a,b*c,d*e*tags");
    assert_string_equal(cross_of(&in), "");
    interactions_done(&in);
    world_done(&w);
}

/* ---- refusals and bounds ---- */

static void what_cannot_be_tested_is_refused(void **state)
{
    (void)state;
    struct few f;
    struct threads *threads = start_threads(1);
    struct interactions in;
    onnxd_error err;
    few_init(&f, test_seed(), false);
    struct interactions_options o = defaults;
    o.threshold = NAN;
    assert_fails(interactions_find(&f.rows, &o, threads, &in, &err), ONNXD_ERR_RANGE, err, "threshold");
    o = defaults;
    o.max_found = 33;
    assert_fails(interactions_find(&f.rows, &o, threads, &in, &err), ONNXD_ERR_RANGE, err, "33");
    struct interaction_rows none = f.rows;
    none.n = 0;
    assert_fails(interactions_find(&none, &defaults, threads, &in, &err), ONNXD_ERR_RANGE, err, "rows: 0");
    for (int class = 0; class < 2; class ++) {
        for (uint32_t i = 0; i < FEW + BOTH; i++) f.label[i] = (float)class;
        assert_fails(interactions_find(&f.rows, &defaults, threads, &in, &err), ONNXD_ERR_RANGE, err,
                     "one class");
    }
    threads_free(threads);
}

static void many_fields_are_bounded(void **state)
{
    (void)state;
    enum { N = 20, FIELDS = 201 };
    static float p[N], label[N];
    static uint32_t ids[N];
    static struct interaction_field fields[FIELDS];
    struct threads *threads = start_threads(1);
    struct interactions in;
    onnxd_error err;
    for (uint32_t i = 0; i < N; i++) {
        p[i] = 0.5f;
        label[i] = (float)(i % 2);
        ids[i] = i % 3;
    }
    for (uint32_t f = 0; f < FIELDS; f++) fields[f] = single("f", ids, 3);
    struct interaction_rows rows = {.n = N, .p = p, .label = label, .fields = fields, .n_fields = FIELDS};
    assert_fails(interactions_find(&rows, &defaults, threads, &in, &err), ONNXD_ERR_LIMIT, err, "201 fields");
    rows.n_fields = 41;
    in = find(&rows, &defaults, 1);
    assert_true(in.without_triples);
    assert_int_equal(in.n, 41 + 41 * 40 / 2);
    interactions_done(&in);
    rows.n_fields = 0;
    in = find(&rows, &defaults, 1);
    assert_int_equal(in.n, 0);
    interactions_done(&in);
    threads_free(threads);
}

static void rows_in_too_many_cells_are_not_tested(void **state)
{
    (void)state;
    struct few f;
    static uint32_t many[33 * (FEW + BOTH)];
    few_init(&f, test_seed(), false);
    f.fields[0] = (struct interaction_field){
        .name = "many", .ids = many, .n_slots = 11, .n_ids = 2, .padding_id = FEATURE_NO_ID};
    struct interactions in = find(&f.rows, &defaults, 1);
    assert_int_equal(in.n_not_tested, 2); /* with tags, with both */
    assert_int_equal(in.n, 5);
    interactions_done(&in);
}

/* ---- rows of a model ---- */

static const char *const description =
    "{\"format\":1,\"fields\":["
    "{\"name\":\"site\",\"kind\":\"category\",\"vocabulary\":[\"x\",\"y\"]},"
    "{\"name\":\"tags\",\"kind\":\"categories\",\"slots\":2,\"separator\":\";\",\"vocabulary\":[\"t\",\"u\"]}"
    ","
    "{\"name\":\"price\",\"kind\":\"number\",\"normalise\":{\"subtract\":0,\"multiply\":1,\"missing\":0}},"
    "{\"name\":\"age\",\"kind\":\"number\",\"bounds\":[18,30],\"normalise\":{\"subtract\":0,\"multiply\":1,"
    "\"missing\":0}}]}";

enum { N_PRICES = 1000, PRICE_COLUMNS = 6, PRICE_STRIDE = 8 };

static void fields_of_a_model_become_columns(void **state)
{
    (void)state;
    struct feature_set *set = NULL;
    struct interaction_rows rows;
    onnxd_error err;
    static float records[N_PRICES * PRICE_STRIDE], p[N_PRICES];
    assert_ok(features_read(description, strlen(description), NULL, &set, &err), err);
    assert_int_equal(feature_set_n_columns(set), PRICE_COLUMNS); /* site, tags twice, age's bucket; numbers */
    for (uint32_t i = 0; i < N_PRICES; i++) {
        float row[PRICE_STRIDE] = {(float)(i % 3), 2, 1, (float)(i % 4), (float)((i * 7) % N_PRICES), 1,
                                   (float)(i % 2), 1};
        memcpy(records + i * PRICE_STRIDE, row, sizeof row);
        p[i] = 0.5f;
    }
    struct encoded_rows encoded = encoded_rows_view(records, N_PRICES, PRICE_COLUMNS);
    assert_ok(interaction_rows_init(&rows, set, &encoded, p, NULL, &err), err);
    assert_int_equal(rows.n_fields, 4); /* age takes part by its buckets alone */
    assert_null(rows.weight);
    uint32_t sizes[16] = {0};
    for (uint32_t f = 0; f < rows.n_fields; f++) {
        const struct interaction_field *field = &rows.fields[f];
        assert_int_equal(field->is_number, strcmp(field->name, "price") == 0);
        assert_int_equal(field->n_slots, strcmp(field->name, "tags") == 0 ? 2 : 1);
        for (uint32_t i = 0; field->is_number && i < N_PRICES; i++) {
            assert_int_equal(field->n_ids, 16);
            assert_true(field->ids[i] < 16);
            sizes[field->ids[i]]++;
        }
    }
    for (int b = 0; b < 16; b++) assert_in_range(sizes[b], 61, 64);
    interaction_rows_done(&rows);
    assert_ok(interaction_rows_init(&rows, set, &encoded, p, "price,site", &err), err);
    assert_int_equal(rows.n_fields, 2);
    interaction_rows_done(&rows);
    assert_fails(interaction_rows_init(&rows, set, &encoded, p, "site,sit", &err), ONNXD_ERR_ARGUMENT, err,
                 "\"sit\"");
    assert_fails(interaction_rows_init(&rows, set, &encoded, p, "", &err), ONNXD_ERR_ARGUMENT, err, "\"\"");
    feature_set_unref(set);
}

static void rows_that_no_model_made_are_refused(void **state)
{
    (void)state;
    struct feature_set *set = NULL;
    struct interaction_rows rows;
    onnxd_error err;
    assert_ok(features_read(description, strlen(description), NULL, &set, &err), err);
    static const struct {
        uint32_t at;
        float value;
        const char *text;
    } cases[] = {{8, 3, "row 1: site: id 3"},
                 {9, -1, "row 1: tags"},
                 {10, NAN, "row 1: tags"},
                 {14, 2, "row 1: answer"},
                 {15, -1, "row 1: answer"}};
    for (uint32_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        float records[2 * PRICE_STRIDE] = {[6] = 1, [7] = 1, [15] = 1}, p[2] = {0.5f, 0.5f};
        records[cases[k].at] = cases[k].value;
        struct encoded_rows encoded = encoded_rows_view(records, 2, PRICE_COLUMNS);
        assert_fails(interaction_rows_init(&rows, set, &encoded, p, NULL, &err), ONNXD_ERR_RANGE, err,
                     cases[k].text);
    }
    float records[2 * PRICE_STRIDE] = {0}, p[2] = {0.5f, NAN};
    struct encoded_rows encoded = encoded_rows_view(records, 2, PRICE_COLUMNS);
    assert_fails(interaction_rows_init(&rows, set, &encoded, p, NULL, &err), ONNXD_ERR_RANGE, err, "row 1");
    encoded = encoded_rows_view(records, 2, PRICE_COLUMNS - 1);
    assert_fails(interaction_rows_init(&rows, set, &encoded, p, NULL, &err), ONNXD_ERR_SHAPE, err,
                 "5 columns");
    feature_set_unref(set);
}

/* ---- reports ---- */

static void reports_tell_the_value_for_cross(void **state)
{
    (void)state;
    struct world w;
    struct buf out;
    onnxd_error err;
    struct interactions_source source = {.model = "<m>.onnx", .data = "d\"&.csv"};
    world_init(&w, (struct missed){.pair = 0.25, .triple = 0.35, .single = 0.5}, false);
    struct interactions in = find(&w.rows, &defaults, 2);
    buf_init(&out, 1 << 20);
    interactions_text(&in, &out);
    buf_append_char(&out, 0);
    static const char end[] = "\na*c,d*e*tags\n";
    assert_string_equal(out.data + out.n - sizeof end, end);
    assert_non_null(strstr(out.data, "b  (a single field"));
    buf_reset(&out);
    assert_ok(interactions_json(&in, &source, &out, &err), err);
    buf_append_char(&out, 0);
    assert_non_null(strstr(out.data, "\"cross\":\"a*c,d*e*tags\""));
    assert_non_null(strstr(out.data, "\"data\":\"d\\\"&.csv\""));
    buf_reset(&out);
    interactions_html(&in, &source, &out);
    buf_append_char(&out, 0);
    assert_non_null(strstr(out.data, "fit --cross <b>a*c,d*e*tags</b>"));
    assert_null(strstr(out.data, "<m>"));
    assert_non_null(strstr(out.data, "</html>"));
    buf_done(&out);
    interactions_done(&in);
    world_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_rows_score_as_by_hand),
        cmocka_unit_test(z_has_mean_0_and_variance_1_over_all_outcomes),
        cmocka_unit_test(shares_of_equal_values_add_up),
        cmocka_unit_test(a_unit_of_weights_does_not_matter),
        cmocka_unit_test(chances_are_what_they_say),
        cmocka_unit_test(what_is_missed_is_found_and_nothing_else),
        cmocka_unit_test(a_right_model_misses_nothing),
        cmocka_unit_test(a_field_that_is_misjudged_alone_is_told_and_not_crossed),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bits),
        cmocka_unit_test(more_cells_than_a_table_holds_are_shared),
        cmocka_unit_test(options_steer_the_search),
        cmocka_unit_test(what_cannot_be_tested_is_refused),
        cmocka_unit_test(many_fields_are_bounded),
        cmocka_unit_test(rows_in_too_many_cells_are_not_tested),
        cmocka_unit_test(fields_of_a_model_become_columns),
        cmocka_unit_test(rows_that_no_model_made_are_refused),
        cmocka_unit_test(reports_tell_the_value_for_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
