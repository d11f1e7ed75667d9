#include "engine/backend_onnxruntime.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/io_check.h"
#include "engine/ort_values.h"
#include "tensor/dtype.h"

struct ort_model {
    const struct ort *ort;
    struct ort_session *session; /* its run function may be called by many threads */
    struct arena arena;
    onnxd_io_info *inputs, *outputs;
    const char **in_names, **out_names;
    uint32_t n_inputs, n_outputs;
};

struct ort_run { /* a session of ours */
    struct ort_model *model;
    struct arena arena;     /* strings and containers of the last outputs */
    onnxd_tensor *bound;    /* [n_inputs] what `in` was made for */
    struct ort_value **in;  /* [n_inputs] kept while the caller's tensors stay the same */
    struct ort_value **out; /* [n_outputs] of the last run */
    onnxd_tensor *views;    /* [n_outputs] of them */
};

/* ---- what the model takes and gives -------------------------------------------------------------- */

static onnxd_status describe_tensor(struct ort_model *m, const struct ort_type_info *type,
                                    onnxd_io_info *info, onnxd_error *err)
{
    const struct ort *ort = m->ort;
    const struct ort_tensor_info *tensor = NULL;
    int element = 0;
    size_t rank = 0;
    onnxd_status status = ort_check(ort, ort->as_tensor_info(type, &tensor), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->element_type(tensor, &element), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->n_dims(tensor, &rank), err);
    if (status != ONNXD_OK) return status;
    if (rank > ONNXD_MAX_RANK)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "'%s' has %zu dimensions, at most %d are supported",
                         info->name, rank, ONNXD_MAX_RANK);
    info->type = (onnxd_type)element;
    info->rank = rank > 0 ? (int32_t)rank : -1; /* the library tells a scalar and an open rank alike */
    const char *names[ONNXD_MAX_RANK] = {NULL};
    if (rank > 0) status = ort_check(ort, ort->dims(tensor, info->dims, rank), err);
    if (rank > 0 && status == ONNXD_OK) status = ort_check(ort, ort->dim_names(tensor, names, rank), err);
    for (size_t i = 0; i < rank && status == ONNXD_OK; i++) {
        if (info->dims[i] >= 0) continue;
        info->dims[i] = -1;
        if (names[i] == NULL || names[i][0] == 0) continue;
        info->dim_names[i] = arena_strdup(&m->arena, names[i]);
        if (info->dim_names[i] == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a name");
    }
    return status;
}

static onnxd_status describe(struct ort_model *m, struct ort_type_info *type, onnxd_io_info *info,
                             onnxd_error *err)
{
    int kind = ORT_UNKNOWN;
    onnxd_status status = ort_check(m->ort, m->ort->kind_of_type(type, &kind), err);
    if (status != ONNXD_OK) return status;
    switch (kind) {
    case ORT_TENSOR: return describe_tensor(m, type, info, err);
    case ORT_SEQUENCE: info->type = ONNXD_SEQUENCE; return ONNXD_OK;
    case ORT_MAP: info->type = ONNXD_MAP; return ONNXD_OK;
    case ORT_OPTIONAL: info->type = ONNXD_OPTIONAL; return ONNXD_OK;
    default:
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "'%s' is of a kind that is not supported", info->name);
    }
}

static onnxd_status take_name(struct ort_model *m, char *name, const char **ret_name, onnxd_error *err)
{
    *ret_name = arena_strdup(&m->arena, name);
    onnxd_status status = ort_check(m->ort, m->ort->allocator_free(m->ort->allocator, name), err);
    if (*ret_name == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a name");
    return status;
}

typedef struct ort_status *(*name_fn)(const struct ort_session *, size_t, struct ort_allocator *, char **);
typedef struct ort_status *(*type_fn)(const struct ort_session *, size_t, struct ort_type_info **);

static onnxd_status describe_all(struct ort_model *m, size_t n, name_fn get_name, type_fn get_type,
                                 onnxd_io_info **ret_infos, const char ***ret_names, onnxd_error *err)
{
    onnxd_io_info *infos = arena_alloc_array(&m->arena, n + 1, sizeof *infos);
    const char **names = arena_alloc_array(&m->arena, n + 1, sizeof *names);
    onnxd_status status = ONNXD_OK;
    if (infos == NULL || names == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a model");
    for (size_t i = 0; i < n && status == ONNXD_OK; i++) {
        char *name = NULL;
        struct ort_type_info *type = NULL;
        status = ort_check(m->ort, get_name(m->session, i, m->ort->allocator, &name), err);
        if (status == ONNXD_OK) status = take_name(m, name, &names[i], err);
        infos[i].name = names[i];
        if (status == ONNXD_OK) status = ort_check(m->ort, get_type(m->session, i, &type), err);
        if (status == ONNXD_OK) status = describe(m, type, &infos[i], err);
        if (type != NULL) m->ort->release_type_info(type);
    }
    *ret_infos = infos;
    *ret_names = names;
    return status;
}

static onnxd_status describe_model(struct ort_model *m, onnxd_error *err)
{
    const struct ort *ort = m->ort;
    size_t n_in = 0, n_out = 0;
    onnxd_status status = ort_check(ort, ort->n_inputs(m->session, &n_in), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->n_outputs(m->session, &n_out), err);
    if (status != ONNXD_OK) return status;
    m->n_inputs = (uint32_t)n_in;
    m->n_outputs = (uint32_t)n_out;
    status = describe_all(m, n_in, ort->input_name, ort->input_type, &m->inputs, &m->in_names, err);
    if (status == ONNXD_OK)
        status = describe_all(m, n_out, ort->output_name, ort->output_type, &m->outputs, &m->out_names, err);
    return status;
}

/* Whether rows may share a run only an analysis of the graph can tell. Ours needs to know every operator;
 * where it does not, the careful answer is no. */
static bool is_batchable(const struct model_source *source, const onnxd_model_options *options)
{
    struct model_description description;
    void *native = NULL;
    if (backend_native.load(source, options, &native, &description, NULL) != ONNXD_OK) return false;
    bool batchable = description.batchable;
    backend_native.unload(native);
    return batchable;
}

/* ---- loading ------------------------------------------------------------------------------------- */

/* One thread, everything optimised, arena and memory pattern on: as fast as it goes on one core. */
static onnxd_status make_options(const struct ort *ort, const struct model_source *source,
                                 const onnxd_model_options *options, struct ort_session_options **ret,
                                 onnxd_error *err)
{
    enum { SEQUENTIAL = 0, OPTIMIZE_NOTHING = 0, OPTIMIZE_ALL = 99, LOG_FATAL_ONLY = 4 };
    struct ort_session_options *o = NULL;
    onnxd_status status = ort_check(ort, ort->create_session_options(&o), err);
    if (status != ONNXD_OK) return status;
    *ret = o;
    status = ort_check(ort, ort->set_intra_threads(o, 1), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->set_inter_threads(o, 1), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->set_execution_mode(o, SEQUENTIAL), err);
    if (status == ONNXD_OK)
        status = ort_check(
            ort, ort->set_optimization(o, options->no_optimize ? OPTIMIZE_NOTHING : OPTIMIZE_ALL), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->enable_cpu_mem_arena(o), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->enable_mem_pattern(o), err);
    if (status == ONNXD_OK) status = ort_check(ort, ort->set_log_severity(o, LOG_FATAL_ONLY), err);
    if (status == ONNXD_OK && source->folder != NULL)
        status = ort_check(
            ort, ort->add_config(o, "session.model_external_initializers_file_folder_path", source->folder),
            err);
    return status;
}

static void unload(void *data)
{
    struct ort_model *m = data;
    if (m == NULL) return;
    if (m->session != NULL) m->ort->release_session(m->session);
    arena_done(&m->arena);
    free(m);
}

static onnxd_status load(const struct model_source *source, const onnxd_model_options *options,
                         void **ret_model, struct model_description *ret, onnxd_error *err)
{
    const struct ort *ort;
    struct ort_session_options *session_options = NULL;
    if (options->precision != ONNXD_PRECISION_FP32)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "engine 'onnxruntime' runs models in fp32 only");
    onnxd_status status = ort_library(&ort, err);
    if (status != ONNXD_OK) return status;
    struct ort_model *m = calloc(1, sizeof *m);
    if (m == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a model");
    m->ort = ort;
    arena_init(&m->arena, (size_t)64 << 20);
    status = make_options(ort, source, options, &session_options, err);
    if (status == ONNXD_OK)
        status = ort_check(
            ort, ort->create_session(ort->env, source->bytes, source->n_bytes, session_options, &m->session),
            err);
    if (session_options != NULL) ort->release_session_options(session_options);
    if (status == ONNXD_OK) status = describe_model(m, err);
    if (status != ONNXD_OK) {
        unload(m);
        return status;
    }
    *ret = (struct model_description){.inputs = m->inputs,
                                      .outputs = m->outputs,
                                      .n_inputs = m->n_inputs,
                                      .n_outputs = m->n_outputs,
                                      .batchable = is_batchable(source, options)};
    *ret_model = m;
    return ONNXD_OK;
}

/* ---- sessions ------------------------------------------------------------------------------------ */

static void drop_outputs(struct ort_run *r)
{
    for (uint32_t j = 0; j < r->model->n_outputs; j++) {
        if (r->out[j] != NULL) r->model->ort->release_value(r->out[j]);
        r->out[j] = NULL;
    }
    arena_reset(&r->arena);
}

static void session_free(void *session)
{
    struct ort_run *r = session;
    if (r == NULL) return;
    if (r->out != NULL) drop_outputs(r);
    for (uint32_t i = 0; r->in != NULL && i < r->model->n_inputs; i++)
        if (r->in[i] != NULL) r->model->ort->release_value(r->in[i]);
    arena_done(&r->arena);
    free(r->bound);
    free(r->in);
    free(r->out);
    free(r->views);
    free(r);
}

static onnxd_status session_create(void *model, const onnxd_session_options *options, void **ret_session,
                                   onnxd_error *err)
{
    struct ort_model *m = model;
    struct ort_run *r = calloc(1, sizeof *r);
    if (r == NULL) return error_set(err, ONNXD_ERR_NOMEM, "no memory for a session");
    r->model = m;
    arena_init(&r->arena, options->arena_limit_bytes);
    r->bound = calloc(m->n_inputs + 1u, sizeof *r->bound);
    r->in = calloc(m->n_inputs + 1u, sizeof *r->in);
    r->out = calloc(m->n_outputs + 1u, sizeof *r->out);
    r->views = calloc(m->n_outputs + 1u, sizeof *r->views);
    if (r->bound == NULL || r->in == NULL || r->out == NULL || r->views == NULL) {
        session_free(r);
        return error_set(err, ONNXD_ERR_NOMEM, "no memory for a session");
    }
    *ret_session = r;
    return ONNXD_OK;
}

static bool is_bound(const onnxd_tensor *bound, const onnxd_tensor *in)
{
    return in->type != ONNXD_STRING && !type_is_container(in->type) && bound->type == in->type &&
           bound->rank == in->rank && bound->data == in->data &&
           memcmp(bound->dims, in->dims, in->rank * sizeof *in->dims) == 0;
}

/* Values over the caller's memory; those of the last call serve again where nothing moved. */
static onnxd_status bind_inputs(struct ort_run *r, const onnxd_tensor *in, onnxd_error *err)
{
    const struct ort_model *m = r->model;
    for (uint32_t i = 0; i < m->n_inputs; i++) {
        if (r->in[i] != NULL && is_bound(&r->bound[i], &in[i])) continue;
        struct ort_value *value = NULL;
        onnxd_status status = ort_value_of_tensor(m->ort, &in[i], &value, err);
        if (status != ONNXD_OK) {
            error_prefix(err, "input '%s': ", m->inputs[i].name);
            return status;
        }
        if (r->in[i] != NULL) m->ort->release_value(r->in[i]);
        r->in[i] = value;
        r->bound[i] = in[i];
    }
    return ONNXD_OK;
}

static onnxd_status session_run(void *session, const onnxd_tensor *in, onnxd_tensor *ret_out,
                                onnxd_error *err)
{
    struct ort_run *r = session;
    const struct ort_model *m = r->model;
    onnxd_status status = io_check(m->inputs, in, m->n_inputs, err);
    if (status == ONNXD_OK) status = bind_inputs(r, in, err);
    if (status != ONNXD_OK) return status;
    drop_outputs(r);
    status = ort_check(m->ort,
                       m->ort->run(m->session, NULL, m->in_names, (const struct ort_value *const *)r->in,
                                   m->n_inputs, m->out_names, m->n_outputs, r->out),
                       err);
    for (uint32_t j = 0; j < m->n_outputs && status == ONNXD_OK; j++) {
        status = ort_tensor_of_value(m->ort, r->out[j], &r->arena, &r->views[j], err);
        if (status != ONNXD_OK) error_prefix(err, "output '%s': ", m->outputs[j].name);
    }
    if (status == ONNXD_OK) memcpy(ret_out, r->views, m->n_outputs * sizeof *ret_out);
    return status;
}

static uint64_t session_memory(const void *session)
{
    const struct ort_run *r = session;
    return sizeof *r + r->arena.used_bytes + r->model->n_inputs * (sizeof *r->bound + sizeof *r->in) +
           r->model->n_outputs * (sizeof *r->out + sizeof *r->views);
}

const struct backend backend_onnxruntime = {
    .name = "onnxruntime",
    .load = load,
    .unload = unload,
    .session_create = session_create,
    .session_free = session_free,
    .session_run = session_run,
    .session_memory = session_memory,
};

const char *onnxruntime_version(void)
{
    const struct ort *ort;
    return ort_library(&ort, NULL) == ONNXD_OK ? ort->version : NULL;
}
