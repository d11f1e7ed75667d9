#include "bench/served_model.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "json/json_reader.h"
#include "load/load_fetch.h"
#include "protocol/row_client.h"
#include "protocol/v2_request.h"
#include "protocol/v2_tensor.h"

#define MAX_BODY_BYTES (16u << 20)
#define ARENA_BYTES    (64u << 20)
#define TIMEOUT_NS     (10 * NS_PER_S)
#define MAX_ROW        (1u << 24) /* elements */
#define CORPUS_MAX_ROWS \
    65536u /* in all requests together: enough to be different, few enough to be written soon */

/* ---- the path -------------------------------------------------------------------------------------- */

static bool take_prefix(const char **at, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(*at, prefix, n) != 0) return false;
    *at += n;
    return true;
}

/* The model's name, up to one of the stops, percent-escapes and all. */
static const char *take_name(const char *at, const char *stops, char *name)
{
    size_t n = strcspn(at, stops);
    if (n == 0 || n >= SERVED_NAME_BYTES) return NULL;
    memcpy(name, at, n);
    name[n] = 0;
    return at + n;
}

static bool is_route(const char *path, const char *route)
{
    size_t n = strlen(route);
    return strncmp(path, route, n) == 0 && (path[n] == 0 || path[n] == '?');
}

bool served_form_of(const struct load_url *url, bool binary, enum request_form *ret_form,
                    char ret_model[SERVED_NAME_BYTES])
{
    const char *at = url->path;
    ret_model[0] = 0;
    *ret_form = binary ? FORM_V2_BINARY : FORM_V2_JSON;
    if (strcmp(at, "/") == 0) return true;
    if (take_prefix(&at, "/v2/models/")) {
        at = take_name(at, "/?", ret_model);
        return at != NULL && strstr(at, "/infer") != NULL;
    }
    if (binary) return false;
    if (take_prefix(&at, "/v1/models/")) {
        *ret_form = FORM_V1;
        at = take_name(at, "/:?", ret_model);
        return at != NULL && strstr(at, ":predict") != NULL;
    }
    *ret_form = is_route(at, "/predict") ? FORM_PREDICT : FORM_INFER;
    const char *query = strstr(at, "?model=");
    if (query == NULL) query = strstr(at, "&model=");
    if (query != NULL) take_name(query + 7, "&", ret_model);
    return is_route(at, "/predict") || is_route(at, "/infer");
}

/* ---- the description ------------------------------------------------------------------------------- */

static const char *keep_text(struct served_model *m, const struct json_text *text)
{
    char *copy = arena_alloc(&m->arena, text->n_raw + 1);
    if (copy != NULL) copy[json_text_decode(text, copy)] = 0;
    return copy;
}

static void read_shape(struct json_reader *r, onnxd_io_info *info)
{
    info->rank = 0;
    if (!json_enter_array(r)) return;
    while (json_next_element(r)) {
        int64_t dim = 0;
        if (info->rank == ONNXD_MAX_RANK) {
            json_fail(r, ONNXD_ERR_LIMIT, "expected a rank of at most %d", ONNXD_MAX_RANK);
            return;
        }
        if (!json_read_i64(r, &dim)) return;
        info->dims[info->rank++] = dim;
    }
}

static void read_below(struct json_reader *r, struct served_model *m, int64_t **ret, size_t *ret_n)
{
    size_t n = 0, room = 0;
    int64_t *below = NULL;
    if (!json_enter_array(r)) return;
    while (json_next_element(r)) {
        if (n == room) {
            size_t grown = room == 0 ? 64 : room * 2;
            int64_t *copy = grown <= MAX_ROW ? arena_alloc(&m->arena, grown * sizeof *copy) : NULL;
            if (copy == NULL) {
                json_fail(r, ONNXD_ERR_LIMIT, "too many ranges");
                return;
            }
            if (n > 0) memcpy(copy, below, n * sizeof *copy);
            below = copy;
            room = grown;
        }
        if (!json_read_i64(r, &below[n++])) return;
    }
    *ret = below;
    *ret_n = n;
}

static void read_input(struct json_reader *r, struct served_model *m)
{
    struct json_text key, text;
    onnxd_io_info *info = arena_alloc(&m->arena, sizeof *info);
    int64_t *below = NULL;
    size_t n_below = 0, n = 1;
    if (info == NULL || m->n_inputs == PROTOCOL_MAX_INPUTS) {
        json_fail(r, ONNXD_ERR_LIMIT, "more than %d inputs", PROTOCOL_MAX_INPUTS);
        return;
    }
    *info = (onnxd_io_info){.rank = -1};
    if (!json_enter_object(r)) return;
    while (json_next_key(r, &key)) {
        if (json_text_is(&key, "name")) {
            if (json_read_string(r, &text)) info->name = keep_text(m, &text);
        } else if (json_text_is(&key, "datatype")) {
            if (json_read_string(r, &text)) info->type = v2_datatype_parse(&text);
        } else if (json_text_is(&key, "shape")) {
            read_shape(r, info);
        } else if (json_text_is(&key, "parameters") && json_peek(r) == JSON_OBJECT) {
            json_enter_object(r);
            while (json_next_key(r, &key))
                if (json_text_is(&key, "index_below"))
                    read_below(r, m, &below, &n_below);
                else
                    json_skip(r);
        } else {
            json_skip(r);
        }
    }
    if (info->name == NULL || info->type == ONNXD_UNDEFINED || info->rank < 0)
        json_fail(r, ONNXD_ERR_FORMAT, "expected a name, a known datatype and a shape");
    for (int32_t d = 0; d < info->rank; d++) {
        int64_t dim = info->dims[d] > 0 ? info->dims[d] : 1;
        if (d > 0 && (dim > MAX_ROW || (n *= (size_t)dim) > MAX_ROW))
            json_fail(r, ONNXD_ERR_LIMIT, "rows of more than %u elements", MAX_ROW);
    }
    m->infos[m->n_inputs] = info;
    m->below[m->n_inputs++] = n_below == n ? below : NULL;
}

onnxd_status served_model_read(const char *body, size_t n, struct served_model *ret, onnxd_error *err)
{
    struct served_model m = {.n_inputs = 0};
    struct json_reader r;
    struct json_text key, text;
    arena_init(&m.arena, ARENA_BYTES);
    m.infos = arena_alloc(&m.arena, PROTOCOL_MAX_INPUTS * sizeof *m.infos);
    m.below = arena_alloc(&m.arena, PROTOCOL_MAX_INPUTS * sizeof *m.below);
    onnxd_io_info *packed = arena_alloc(&m.arena, PROTOCOL_MAX_INPUTS * sizeof *packed);
    onnxd_status status = ONNXD_OK;
    if (m.infos == NULL || m.below == NULL || packed == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "no memory for a model's description");
    } else {
        json_reader_init(&r, body, n, err);
        if (json_enter_object(&r))
            while (json_next_key(&r, &key)) {
                if (json_text_is(&key, "inputs")) {
                    if (json_enter_array(&r))
                        while (json_next_element(&r)) read_input(&r, &m);
                } else if (json_text_is(&key, "name") && json_read_string(&r, &text)) {
                    const char *name = keep_text(&m, &text);
                    snprintf(m.name, sizeof m.name, "%s", name != NULL ? name : "");
                } else {
                    json_skip(&r);
                }
            }
        status = json_finish(&r);
    }
    for (uint32_t i = 0; status == ONNXD_OK && i < m.n_inputs; i++) packed[i] = *m.infos[i];
    if (status == ONNXD_OK && m.n_inputs == 0)
        status = error_set(err, ONNXD_ERR_FORMAT, "the server tells no inputs of the model");
    if (status == ONNXD_OK) status = protocol_schema_init(&m.schema, packed, m.n_inputs, NULL, 0, NULL, err);
    if (status == ONNXD_OK)
        *ret = m;
    else
        arena_done(&m.arena);
    return status;
}

/* ---- asking ---------------------------------------------------------------------------------------- */

/* The names in the repository's index that are ready: how many, and the first; all of them in `names`. */
static onnxd_status read_index(const struct buf *body, char *first, struct buf *names, uint32_t *ret_n,
                               onnxd_error *err)
{
    struct json_reader r;
    struct json_text key, name, state;
    uint32_t n = 0;
    json_reader_init(&r, body->data, body->n, err);
    if (json_enter_array(&r))
        while (json_next_element(&r)) {
            bool named = false, ready = false;
            if (!json_enter_object(&r)) break;
            while (json_next_key(&r, &key)) {
                if (json_text_is(&key, "name"))
                    named = json_read_string(&r, &name);
                else if (json_text_is(&key, "state"))
                    ready = json_read_string(&r, &state) && json_text_is(&state, "READY");
                else
                    json_skip(&r);
            }
            if (!named || !ready || name.n_raw >= SERVED_NAME_BYTES) continue;
            char text[SERVED_NAME_BYTES] = "";
            text[json_text_decode(&name, text)] = 0;
            if (n > 0 && strcmp(text, first) == 0) continue; /* another version of it */
            if (n++ == 0) memcpy(first, text, sizeof text);
            buf_printf(names, "%s%s", names->n > 0 ? ", " : "", text);
        }
    *ret_n = n;
    return json_finish(&r);
}

static onnxd_status find_only(const struct load_url *url, const struct load_options *options, char *ret_name,
                              onnxd_error *err)
{
    struct buf body, names;
    uint32_t n = 0;
    buf_init(&body, MAX_BODY_BYTES);
    buf_init(&names, 160);
    onnxd_status status = load_fetch(url, HTTP_METHOD_POST, "/v2/repository/index", options, TIMEOUT_NS,
                                     &body, err);
    if (status == ONNXD_OK) status = read_index(&body, ret_name, &names, &n, err);
    if (status == ONNXD_OK && n == 0)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "%s: the server serves no model", url->authority);
    if (status == ONNXD_OK && n > 1)
        status = error_set(err, ONNXD_ERR_NOT_FOUND, "%s: which model? The server serves %.*s",
                           url->authority, (int)names.n, names.data);
    buf_done(&body);
    buf_done(&names);
    return status;
}

onnxd_status served_model_ask(const struct load_url *url, const char *name,
                              const struct load_options *options, struct served_model *ret, onnxd_error *err)
{
    char only[SERVED_NAME_BYTES] = "", path[SERVED_NAME_BYTES + 32];
    struct buf body;
    onnxd_status status = ONNXD_OK;
    if (name[0] == 0) {
        status = find_only(url, options, only, err);
        name = only;
    }
    if (status != ONNXD_OK) return status;
    buf_init(&body, MAX_BODY_BYTES);
    snprintf(path, sizeof path, "/v2/models/%s", name);
    status = load_fetch(url, HTTP_METHOD_GET, path, options, TIMEOUT_NS, &body, err);
    if (status == ONNXD_OK) status = served_model_read(body.data, body.n, ret, err);
    if (status == ONNXD_OK) snprintf(ret->name, sizeof ret->name, "%s", name);
    buf_done(&body);
    return status;
}

void served_model_done(struct served_model *model)
{
    if (model->infos == NULL) return;
    protocol_schema_done(&model->schema);
    arena_done(&model->arena);
    *model = (struct served_model){0};
}

/* ---- requests -------------------------------------------------------------------------------------- */

struct maker {
    const struct served_model *model;
    enum request_form form;
    struct input_set set;
    struct input_ranges ranges;
    uint32_t batch;
};

static onnxd_status make_body(void *context, uint32_t i, struct rng *rng, struct buf *body,
                              struct buf *headers, onnxd_error *err)
{
    const struct maker *m = context;
    (void)i;
    input_ranges_draw(&m->ranges, rng, m->set.tensors);
    if (m->form == FORM_V2_JSON || m->form == FORM_V2_BINARY) {
        bool binary = m->form == FORM_V2_BINARY;
        struct v2_request_options o = {.binary_inputs = binary, .binary_outputs = binary};
        size_t header_bytes = V2_ALL_JSON;
        onnxd_status status = v2_request_write(&m->model->schema, m->set.tensors, &o, body, &header_bytes,
                                               err);
        if (status == ONNXD_OK && header_bytes != V2_ALL_JSON)
            buf_printf(headers, "Inference-Header-Content-Length: %zu\r\n", header_bytes);
        return status;
    }
    enum row_form form = m->form == FORM_V1      ? ROW_FORM_V1
                         : m->form == FORM_INFER ? ROW_FORM_INFER
                         : m->batch > 1          ? ROW_FORM_PREDICT_MANY
                                                 : ROW_FORM_PREDICT;
    return row_request_write(form, &m->model->schema, m->set.tensors, 0, m->batch, body, err);
}

static onnxd_status make_all(struct maker *m, const struct load_url *url, struct load_corpus_options *o,
                             struct rng *rng, struct load_corpus *ret, onnxd_error *err)
{
    onnxd_status status = input_set_init_infos(&m->set, m->model->infos, m->model->n_inputs, m->batch, err);
    if (status == ONNXD_OK)
        status = input_ranges_init(&m->ranges, NULL, m->set.tensors, m->model->n_inputs, err);
    for (uint32_t i = 0; status == ONNXD_OK && i < m->model->n_inputs; i++)
        if (m->model->below[i] != NULL)
            memcpy(m->ranges.inputs[i].below, m->model->below[i], m->ranges.inputs[i].n * sizeof(int64_t));
    o->fn = make_body;
    o->context = m;
    if (status == ONNXD_OK) status = load_corpus_build(url, o, rng, ret, err);
    input_ranges_done(&m->ranges);
    input_set_done(&m->set);
    return status;
}

onnxd_status served_model_corpus(const struct served_model *model, enum request_form form,
                                 struct load_url *url, struct load_corpus_options o, struct rng *rng,
                                 struct load_corpus *ret, onnxd_error *err)
{
    struct maker m = {.model = model, .form = form, .batch = o.batch > 0 ? o.batch : 1};
    bool by_rows = form != FORM_V2_JSON && form != FORM_V2_BINARY;
    if (by_rows && !model->schema.rows_ok)
        return error_set(err, ONNXD_ERR_SHAPE, "model '%s' takes /v2 requests alone: %s", model->name,
                         model->schema.why_not_rows);
    if (strcmp(url->path, "/") == 0)
        snprintf(url->path, sizeof url->path, "/v2/models/%s/infer", model->name);
    uint32_t most = CORPUS_MAX_ROWS / m.batch > 16 ? CORPUS_MAX_ROWS / m.batch : 16;
    if (o.n_variants == 0) o.n_variants = LOAD_DEFAULT_VARIANTS < most ? LOAD_DEFAULT_VARIANTS : most;
    if (form == FORM_V2_BINARY) o.content_type = "application/octet-stream";
    return make_all(&m, url, &o, rng, ret, err);
}
