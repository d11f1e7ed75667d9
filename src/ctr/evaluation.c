#include "ctr/evaluation.h"

#include <stdlib.h>

#include "base/error.h"

struct labels {
    float *p, *label, *weight; /* [n] */
    uint32_t *from;            /* [n] a permutation */
    bool *columns;
};

static void labels_done(struct labels *l)
{
    free(l->p);
    free(l->label);
    free(l->weight);
    free(l->from);
    free(l->columns);
}

static onnxd_status labels_init(struct labels *l, const struct encoded_rows *rows, uint64_t seed,
                                onnxd_error *err)
{
    uint64_t n = rows->n_rows;
    if (n == 0 || n > UINT32_MAX)
        return error_set(err, ONNXD_ERR_RANGE, "rows: %llu; expected 1 to %u", (unsigned long long)n,
                         UINT32_MAX);
    *l = (struct labels){.p = malloc(n * sizeof(float)),
                         .label = malloc(n * sizeof(float)),
                         .weight = malloc(n * sizeof(float)),
                         .from = malloc(n * sizeof(uint32_t)),
                         .columns = calloc(rows->n_columns, sizeof(bool))};
    if (l->p == NULL || l->label == NULL || l->weight == NULL || l->from == NULL || l->columns == NULL) {
        labels_done(l);
        return error_set(err, ONNXD_ERR_NOMEM, "evaluation: no memory for %llu rows", (unsigned long long)n);
    }
    struct rng rng = rng_seed(seed);
    for (uint32_t i = 0; i < n; i++) {
        l->label[i] = encoded_label(rows, i);
        l->weight[i] = encoded_weight(rows, i);
        uint32_t j = (uint32_t)rng_below(&rng, i + 1u);
        l->from[i] = l->from[j];
        l->from[j] = i;
    }
    return ONNXD_OK;
}

static int by_worth(const void *a, const void *b)
{
    double x = ((const struct field_worth *)a)->auc, y = ((const struct field_worth *)b)->auc;
    return (x > y) - (x < y);
}

/* Shuffles the columns of all features that field number `field` feeds. */
static onnxd_status judge_field(struct ctr_scorer *scorer, const struct feature_set *set, uint32_t field,
                                const struct encoded_rows *rows, struct labels *l, struct evaluation *e,
                                onnxd_error *err)
{
    struct ctr_mixing mixing = {.columns = l->columns, .from = l->from};
    bool any = false;
    for (uint32_t c = 0; c < rows->n_columns; c++) l->columns[c] = false;
    for (uint32_t i = 0; i < feature_set_n_features(set); i++) {
        const struct feature_info *info = feature_set_info(set, i);
        for (uint32_t c = 0; info->field == field && c < info->n_columns; c++)
            any = l->columns[info->first_column + c] = true;
    }
    if (!any) return ONNXD_OK; /* dropped */
    onnxd_status status = ctr_scorer_run(scorer, rows, 0, rows->n_rows, &mixing, l->p, err);
    struct field_worth *worth = &e->fields[e->n_fields];
    if (status == ONNXD_OK) status = ctr_auc(l->p, l->label, l->weight, rows->n_rows, &worth->auc, err);
    if (status != ONNXD_OK) return status;
    worth->name = feature_set_field_name(set, field);
    e->n_fields++;
    return ONNXD_OK;
}

onnxd_status evaluation_run(struct ctr_scorer *scorer, const struct feature_set *set,
                            const struct encoded_rows *rows, const struct evaluation_options *options,
                            struct evaluation *ret_evaluation, onnxd_error *err)
{
    struct labels l;
    struct evaluation e = {0};
    onnxd_status status = labels_init(&l, rows, options->seed, err);
    if (status != ONNXD_OK) return status;
    status = ctr_scorer_run(scorer, rows, 0, rows->n_rows, NULL, l.p, err);
    if (status != ONNXD_OK) goto out;
    struct ctr_scores scores = {.p = l.p, .label = l.label, .weight = l.weight, .n = rows->n_rows};
    status = ctr_metrics_of(&scores, &e.metrics, err);
    if (status != ONNXD_OK || !options->by_field) goto out;
    e.fields = calloc(feature_set_n_fields(set) + 1u, sizeof *e.fields);
    if (e.fields == NULL) status = error_set(err, ONNXD_ERR_NOMEM, "evaluation: no memory for its fields");
    for (uint32_t f = 0; f < feature_set_n_fields(set) && status == ONNXD_OK; f++)
        status = judge_field(scorer, set, f, rows, &l, &e, err);
    if (status == ONNXD_OK) qsort(e.fields, e.n_fields, sizeof *e.fields, by_worth);
out:
    labels_done(&l);
    if (status != ONNXD_OK)
        evaluation_done(&e);
    else
        *ret_evaluation = e;
    return status;
}

void evaluation_done(struct evaluation *e)
{
    free(e->fields);
    *e = (struct evaluation){0};
}
