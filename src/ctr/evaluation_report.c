#include <math.h>

#include "ctr/evaluation.h"
#include "json/json_writer.h"

enum { PLACES = 6 };

void evaluation_text(const struct evaluation *e, struct buf *out)
{
    const struct ctr_metrics *m = &e->metrics;
    buf_printf(out,
               "rows                %llu, %.0f of them positive\n"
               "AUC                 %.5f\n"
               "log loss            %.6f\n"
               "normalised entropy  %.5f\n"
               "mean prediction     %.6g\n"
               "observed rate       %.6g\n"
               "calibration         %.4f (mean prediction over observed rate)\n",
               (unsigned long long)m->n, m->n_positive, m->auc, m->log_loss, m->normalised_entropy, m->mean,
               m->observed, m->mean / m->observed);
    buf_append_text(out,
                    "\ncalibration by bucket of equal size\n    rows  from         to           predicted    "
                    "observed\n");
    for (uint32_t i = 0; i < m->n_buckets; i++) {
        const struct ctr_bucket *b = &m->buckets[i];
        buf_printf(out, "%8llu  %-11.4g  %-11.4g  %-11.4g  %-11.4g\n", (unsigned long long)b->n, b->low,
                   b->high, b->mean, b->observed);
    }
    if (e->n_fields == 0) return;
    buf_append_text(out, "\nAUC with a field taken from other rows at random\n");
    for (uint32_t i = 0; i < e->n_fields; i++) {
        buf_printf(out, "%.5f  %+.5f  ", e->fields[i].auc, e->fields[i].auc - m->auc);
        buf_append_shown(out, e->fields[i].name);
        buf_append_char(out, '\n');
    }
}

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_f64(w, value);
}

static void write_buckets(struct json_writer *w, const struct ctr_metrics *m)
{
    json_key(w, "calibration_buckets");
    json_begin_array(w);
    for (uint32_t i = 0; i < m->n_buckets; i++) {
        const struct ctr_bucket *b = &m->buckets[i];
        json_begin_object(w);
        json_key(w, "rows");
        json_u64(w, b->n);
        write_number(w, "low", b->low);
        write_number(w, "high", b->high);
        write_number(w, "predicted", b->mean);
        write_number(w, "observed", b->observed);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_roc(struct json_writer *w, const struct ctr_metrics *m)
{
    json_key(w, "roc");
    json_begin_array(w);
    for (uint32_t i = 0; i <= CTR_ROC_POINTS; i++) {
        json_begin_array(w);
        json_fixed(w, m->false_rate[i], PLACES);
        json_fixed(w, m->true_rate[i], PLACES);
        json_end_array(w);
    }
    json_end_array(w);
}

onnxd_status evaluation_json(const struct evaluation *e, const struct evaluation_source *source,
                             struct buf *out, onnxd_error *err)
{
    struct json_writer w;
    const struct ctr_metrics *m = &e->metrics;
    json_writer_init(&w, out, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model");
    json_string(&w, source->model);
    json_key(&w, "data");
    json_string(&w, source->data);
    json_key(&w, "rows");
    json_u64(&w, m->n);
    write_number(&w, "positive", m->n_positive);
    write_number(&w, "auc", m->auc);
    write_number(&w, "log_loss", m->log_loss);
    write_number(&w, "normalised_entropy", m->normalised_entropy);
    write_number(&w, "mean_prediction", m->mean);
    write_number(&w, "observed_rate", m->observed);
    write_number(&w, "calibration", m->mean / m->observed);
    write_buckets(&w, m);
    json_key(&w, "auc_with_field_shuffled");
    json_begin_object(&w);
    for (uint32_t i = 0; i < e->n_fields; i++) write_number(&w, e->fields[i].name, e->fields[i].auc);
    json_end_object(&w);
    write_roc(&w, m);
    json_end_object(&w);
    return json_writer_finish(&w, err);
}
