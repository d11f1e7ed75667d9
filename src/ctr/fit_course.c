#include "ctr/fit_course.h"

#include <math.h>
#include <stdlib.h>

#include "json/json_reader.h"
#include "json/json_writer.h"

enum { MAX_POINTS = 1 << 20 };

static void write_number(struct json_writer *w, const char *key, double value)
{
    json_key(w, key);
    json_f64(w, value);
}

onnxd_status fit_course_write(const struct fit *fit, const char *name, struct buf *out, onnxd_error *err)
{
    struct json_writer w;
    json_writer_init(&w, out, JSON_NULL_FOR_NON_FINITE);
    json_begin_object(&w);
    json_key(&w, "model");
    json_string(&w, name);
    json_key(&w, "points");
    json_begin_array(&w);
    for (uint32_t i = 0; i < fit->n_points; i++) {
        const struct fit_point *p = &fit->points[i];
        json_begin_object(&w);
        write_number(&w, "epoch", p->epoch);
        json_key(&w, "rows");
        json_u64(&w, p->n_rows);
        write_number(&w, "train_loss", p->train_loss);
        write_number(&w, "valid_loss", p->valid_loss);
        write_number(&w, "valid_auc", p->valid_auc);
        json_end_object(&w);
    }
    json_end_array(&w);
    json_end_object(&w);
    return json_writer_finish(&w, err);
}

static void read_number(struct json_reader *r, double *ret)
{
    *ret = NAN;
    if (json_peek(r) == JSON_NULL)
        json_read_null(r);
    else
        json_read_f64(r, ret);
}

static void read_point(struct json_reader *r, struct fit_point *p)
{
    struct json_text key;
    *p = (struct fit_point){.train_loss = NAN, .valid_loss = NAN, .valid_auc = NAN};
    json_enter_object(r);
    while (json_next_key(r, &key)) {
        if (json_text_is(&key, "epoch"))
            read_number(r, &p->epoch);
        else if (json_text_is(&key, "rows"))
            json_read_u64(r, &p->n_rows);
        else if (json_text_is(&key, "train_loss"))
            read_number(r, &p->train_loss);
        else if (json_text_is(&key, "valid_loss"))
            read_number(r, &p->valid_loss);
        else if (json_text_is(&key, "valid_auc"))
            read_number(r, &p->valid_auc);
        else
            json_skip(r);
    }
}

static void read_points(struct json_reader *r, struct fit_point **points, uint32_t *n)
{
    uint32_t capacity = 0;
    json_enter_array(r);
    while (json_next_element(r)) {
        if (*n == capacity) {
            capacity = capacity == 0 ? 256 : 2 * capacity;
            struct fit_point *more = capacity > MAX_POINTS ? NULL : realloc(*points, capacity * sizeof *more);
            if (more == NULL) {
                json_fail(r, ONNXD_ERR_LIMIT, "too many points");
                return;
            }
            *points = more;
        }
        read_point(r, &(*points)[(*n)++]);
    }
}

onnxd_status fit_course_read(const char *json, size_t n_json, struct fit_point **ret_points, uint32_t *ret_n,
                             onnxd_error *err)
{
    struct json_reader r;
    struct json_text key;
    struct fit_point *points = NULL;
    uint32_t n = 0;
    json_reader_init(&r, json, n_json, err);
    json_enter_object(&r);
    while (json_next_key(&r, &key)) {
        if (json_text_is(&key, "points") && points == NULL)
            read_points(&r, &points, &n);
        else
            json_skip(&r);
    }
    onnxd_status status = json_finish(&r);
    if (status != ONNXD_OK) {
        free(points);
        return status;
    }
    *ret_points = points;
    *ret_n = n;
    return ONNXD_OK;
}
