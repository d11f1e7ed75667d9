#include "ctr/interactions.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"

/* By how much a triple's z must exceed a pair's. */
#define MARGIN 1.01

struct search {
    struct interactions *in;
    struct interaction_test *test;
    const struct interactions_options *options;
    struct threads *threads;
    uint32_t *todo; /* [n] places in all, to be scored now */
    uint32_t n_todo;
    bool *strong; /* [n] z is at or above the threshold, and it is not found */
    uint64_t total;
    _Atomic uint64_t done;
};

/* ---- the list ---- */

static void add(struct interactions *in, const struct interaction_combination *c)
{
    if (interaction_is_testable(in->rows, c))
        in->all[in->n++].of = *c;
    else
        in->n_not_tested++;
}

static void add_singles(struct interactions *in, uint32_t n_fields)
{
    for (uint32_t a = 0; a < n_fields; a++) add(in, &(struct interaction_combination){.fields = {a}, .n = 1});
    in->n_singles = in->n;
}

static void add_pairs(struct interactions *in, uint32_t n_fields)
{
    for (uint32_t a = 0; a < n_fields; a++)
        for (uint32_t b = a + 1; b < n_fields; b++)
            add(in, &(struct interaction_combination){.fields = {a, b}, .n = 2});
}

static void add_triples(struct interactions *in, uint32_t n_fields)
{
    for (uint32_t a = 0; a < n_fields; a++)
        for (uint32_t b = a + 1; b < n_fields; b++)
            for (uint32_t c = b + 1; c < n_fields; c++)
                add(in, &(struct interaction_combination){.fields = {a, b, c}, .n = 3});
}

static onnxd_status list_combinations(struct interactions *in, bool triples, onnxd_error *err)
{
    size_t f = in->rows->n_fields;
    if (f > INTERACTIONS_PAIR_FIELDS)
        return error_set(err, ONNXD_ERR_LIMIT, "%zu fields: at most %d can be tested together; choose some",
                         f, INTERACTIONS_PAIR_FIELDS);
    in->without_triples = triples && f > INTERACTIONS_TRIPLE_FIELDS;
    triples = triples && !in->without_triples;
    size_t n = f + f * (f + 1) / 2 + (triples ? f * (f + 1) * (f + 2) / 6 : 0);
    in->all = calloc(n + 1, sizeof *in->all);
    if (in->all == NULL) return error_set(err, ONNXD_ERR_NOMEM, "interactions: no memory for %zu", n);
    add_singles(in, (uint32_t)f);
    add_pairs(in, (uint32_t)f);
    if (triples) add_triples(in, (uint32_t)f);
    return ONNXD_OK;
}

/* ---- scoring ---- */

static void score_task(void *context, uint32_t task, uint32_t worker)
{
    struct search *s = context;
    struct interaction *i = &s->in->all[s->todo[task]];
    interaction_test_score(s->test, &i->of, worker, &i->score);
    uint64_t done = atomic_fetch_add_explicit(&s->done, 1, memory_order_relaxed) + 1;
    if (worker == 0 && s->options->progress != NULL) /* the caller's own thread */
        s->options->progress(s->options->progress_context, done, s->total);
}

/* Scores what todo names and sees how much of it is still strong. */
static void score_all(struct search *s)
{
    threads_run(s->threads, score_task, s, s->n_todo);
    for (uint32_t t = 0; t < s->n_todo; t++) {
        struct interaction *i = &s->in->all[s->todo[t]];
        i->chance = fmin(1, i->score.chance * s->in->n);
        s->strong[s->todo[t]] = i->found == 0 && i->score.z >= s->in->threshold;
    }
}

/* The largest z that stands out; NULL: none does. */
static struct interaction *largest(const struct search *s, uint32_t from, uint32_t end)
{
    struct interaction *best = NULL;
    for (uint32_t i = from; i < end; i++) {
        struct interaction *one = &s->in->all[i];
        if (!s->strong[i] || one->chance > INTERACTIONS_CHANCE) continue;
        if (best == NULL || one->score.z > best->score.z * (one->of.n > best->of.n ? MARGIN : 1)) best = one;
    }
    return best;
}

/* Forward selection among all[from, end). */
static void select_of(struct search *s, uint32_t from, uint32_t end, uint32_t most)
{
    struct interactions *in = s->in;
    struct interaction *best;
    s->n_todo = 0;
    for (uint32_t i = from; i < end; i++) s->todo[s->n_todo++] = i;
    score_all(s);
    for (uint32_t i = from; i < end; i++) in->all[i].first_z = in->all[i].score.z;
    for (uint32_t n = 0; n < most && (best = largest(s, from, end)) != NULL; n++) {
        uint32_t place = (uint32_t)(best - in->all);
        in->order[in->n_found++] = place;
        best->found = in->n_found;
        s->strong[place] = false;
        interaction_test_remove(s->test, &best->of, best->score.variance);
        s->n_todo = 0;
        for (uint32_t i = from; i < end; i++)
            if (s->strong[i]) s->todo[s->n_todo++] = i;
        s->total += s->n_todo;
        score_all(s);
    }
}

static onnxd_status check_options(const struct interactions_options *o, onnxd_error *err)
{
    if (!(o->threshold > 0 && isfinite(o->threshold)))
        return error_set(err, ONNXD_ERR_RANGE, "threshold: expected a number above 0, got %g", o->threshold);
    if (o->max_found < 1 || o->max_found > INTERACTIONS_MAX_FOUND)
        return error_set(err, ONNXD_ERR_RANGE, "most to be found: expected 1 to %d, got %u",
                         INTERACTIONS_MAX_FOUND, o->max_found);
    return ONNXD_OK;
}

onnxd_status interactions_find(const struct interaction_rows *rows,
                               const struct interactions_options *options, struct threads *threads,
                               struct interactions *ret, onnxd_error *err)
{
    struct interactions in = {.rows = rows, .threshold = options->threshold};
    struct search s = {.in = &in, .options = options, .threads = threads};
    onnxd_status status = check_options(options, err);
    if (status == ONNXD_OK) status = list_combinations(&in, options->triples, err);
    if (status == ONNXD_OK) status = interaction_test_create(rows, threads, &s.test, err);
    if (status != ONNXD_OK) goto out;
    s.total = in.n;
    s.todo = calloc(in.n + 1u, sizeof *s.todo);
    s.strong = calloc(in.n + 1u, sizeof *s.strong);
    if (s.todo == NULL || s.strong == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "interactions: no memory for %u", in.n);
        goto out;
    }
    select_of(&s, 0, in.n_singles, in.n_singles);
    select_of(&s, in.n_singles, in.n, options->max_found);
out:
    free(s.todo);
    free(s.strong);
    interaction_test_free(s.test);
    if (status == ONNXD_OK)
        *ret = in;
    else
        interactions_done(&in);
    return status;
}

void interactions_done(struct interactions *in)
{
    free(in->all);
    *in = (struct interactions){0};
}

bool interaction_is_for_cross(const struct interactions *in, const struct interaction *i)
{
    bool crossed = i->found > 0 && i->of.n > 1;
    for (uint32_t f = 0; f < i->of.n; f++)
        crossed &= interaction_field_can_be_crossed(&in->rows->fields[i->of.fields[f]]);
    return crossed;
}
