#include "deepfm_train_data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

enum { MAX_SCHEMA_BYTES = 16 << 20, MAX_PATH = 4096 };

static onnxd_status assign(struct feature_plan *plan, const char *names, enum plan_role role,
                           onnxd_error *err)
{
    if (names == NULL) return ONNXD_OK;
    onnxd_status status = feature_plan_assign(plan, names, role, err);
    if (status != ONNXD_OK) error_prefix(err, "'%.100s': ", names);
    return status;
}

static onnxd_status choose(struct feature_plan *plan, const char *name, enum plan_role role, onnxd_error *err)
{
    return name == NULL ? ONNXD_OK : feature_plan_choose(plan, name, role, err);
}

/* What both a fresh plan and one of a set take from the options. */
static onnxd_status apply_common(const struct data_options *o, struct feature_plan *plan, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    if (o->columns != NULL) status = feature_plan_set_columns(plan, o->columns, err);
    if (status == ONNXD_OK && o->missing != NULL) status = feature_plan_set_marks(plan, o->missing, err);
    if (o->positive != NULL) plan->positive = o->positive;
    return status;
}

static onnxd_status read_schema(struct feature_plan *plan, const char *path, onnxd_error *err)
{
    char *text = NULL;
    size_t n = 0;
    onnxd_status status = file_read(path, MAX_SCHEMA_BYTES, &text, &n, err);
    if (status != ONNXD_OK) return status;
    status = feature_plan_read(plan, text, n, err);
    if (status != ONNXD_OK) error_prefix(err, "%s: ", path);
    free(text);
    return status;
}

onnxd_status data_plan(const struct data_options *o, struct feature_plan **ret_plan, onnxd_error *err)
{
    struct feature_plan *plan = NULL;
    onnxd_status status = feature_plan_create(&plan, err);
    if (status == ONNXD_OK && o->schema != NULL) status = read_schema(plan, o->schema, err);
    if (status == ONNXD_OK) {
        if (o->min_count > 0) plan->other.min_count = o->min_count;
        if (o->max_values > 0) plan->other.max_values = o->max_values;
        if (o->hash > 0) plan->other.hash = o->hash;
        if (o->buckets > 0) plan->other.buckets = o->buckets;
        if (o->slots > 0) plan->other.slots = o->slots;
        if (o->normal > 0) plan->other.normal = (enum plan_normal)o->normal;
        status = apply_common(o, plan, err);
    }
    if (status == ONNXD_OK) status = choose(plan, o->label, PLAN_LABEL, err);
    if (status == ONNXD_OK) status = choose(plan, o->weight, PLAN_WEIGHT, err);
    if (status == ONNXD_OK) status = assign(plan, o->drop, PLAN_DROP, err);
    if (status == ONNXD_OK) status = assign(plan, o->numbers, PLAN_NUMBER, err);
    if (status == ONNXD_OK) status = assign(plan, o->multi, PLAN_CATEGORIES, err);
    if (status == ONNXD_OK)
        *ret_plan = plan;
    else
        feature_plan_free(plan);
    return status;
}

onnxd_status data_plan_of_set(const struct data_options *o, const struct feature_set *set,
                              struct feature_plan **ret_plan, onnxd_error *err)
{
    struct feature_plan *plan = NULL;
    onnxd_status status = dataset_plan_of(set, &plan, err);
    if (status == ONNXD_OK) status = apply_common(o, plan, err);
    if (status == ONNXD_OK) status = choose(plan, o->label, PLAN_LABEL, err);
    if (status == ONNXD_OK) status = choose(plan, o->weight, PLAN_WEIGHT, err);
    if (status == ONNXD_OK)
        *ret_plan = plan;
    else
        feature_plan_free(plan);
    return status;
}

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return strcmp(path, "-") != 0 && stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

onnxd_status data_check_output(const struct data_options *o, const char *model, const char *output,
                               onnxd_error *err)
{
    struct stat st;
    if (output == NULL || strcmp(output, "-") == 0) return ONNXD_OK;
    if (stat(output, &st) == 0) {
        bool taken = S_ISREG(st.st_mode) && same_file(&st, model);
        for (uint32_t i = 0; S_ISREG(st.st_mode) && i < o->data.n; i++)
            taken = taken || same_file(&st, o->data.items[i]);
        if (taken)
            return error_set(err, ONNXD_ERR_ARGUMENT, "%s: would be written over, and is read here", output);
        if (S_ISDIR(st.st_mode)) return error_set(err, ONNXD_ERR_IO, "%s: %s", output, strerror(EISDIR));
        return access(output, W_OK) == 0 ? ONNXD_OK
                                         : error_set(err, ONNXD_ERR_IO, "%s: %s", output, strerror(errno));
    }
    char folder[MAX_PATH] = ".";
    const char *slash = strrchr(output, '/');
    if (slash != NULL)
        snprintf(folder, sizeof folder, "%.*s", slash == output ? 1 : (int)(slash - output), output);
    if (access(folder, W_OK) == 0) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_IO, "%s: %s", output, strerror(errno));
}

static void tell(void *context, uint64_t n_rows, uint64_t at_bytes, uint64_t total_bytes)
{
    cli_progress_update(context, n_rows, at_bytes, total_bytes);
}

struct dataset_source data_source(const struct data_options *o, struct cli_progress *progress)
{
    return (struct dataset_source){.paths = o->data.items,
                                   .n_paths = o->data.n,
                                   .format = (enum dataset_format)o->format,
                                   .header = (enum dataset_header)o->header,
                                   .separator = o->separator,
                                   .max_line_bytes = o->max_line_bytes,
                                   .max_rows = o->max_rows,
                                   .progress = tell,
                                   .progress_context = progress};
}

/* The records through `writer`, which stays to be finished. */
static onnxd_status encode_all(const struct data_options *o, const struct feature_set *set,
                               struct feature_plan *plan, bool needs_label, struct encoded_writer *writer,
                               struct dataset_totals *ret_totals, onnxd_error *err)
{
    struct cli_progress progress = cli_progress_start("rows read", true);
    struct dataset_source source = data_source(o, &progress);
    source.needs_label = needs_label;
    onnxd_status status = dataset_encode(&source, set, plan, writer, ret_totals, err);
    cli_progress_end(&progress);
    if (status == ONNXD_OK && encoded_writer_count(writer) == 0)
        status = error_set(err, ONNXD_ERR_FORMAT, "%s: no rows", o->data.items[0]);
    return status;
}

onnxd_status data_encode(const struct data_options *o, const struct feature_set *set,
                         struct feature_plan *plan, bool needs_label, const char *path,
                         struct dataset_totals *ret_totals, onnxd_error *err)
{
    struct encoded_writer *writer = NULL;
    onnxd_status status = encoded_writer_create(path, feature_set_n_columns(set), &writer, err);
    if (status == ONNXD_OK) status = encode_all(o, set, plan, needs_label, writer, ret_totals, err);
    if (status == ONNXD_OK) status = encoded_writer_finish(writer, err);
    encoded_writer_free(writer);
    return status;
}

onnxd_status data_encode_apart(const struct data_options *o, const struct feature_set *set, bool needs_label,
                               struct encoded_rows *ret_rows, struct dataset_totals *ret_totals,
                               onnxd_error *err)
{
    struct feature_plan *plan = NULL;
    struct encoded_writer *writer = NULL;
    const char *folder = getenv("TMPDIR");
    if (folder == NULL || folder[0] == 0) folder = "/tmp";
    onnxd_status status = data_plan_of_set(o, set, &plan, err);
    if (status == ONNXD_OK)
        status = encoded_writer_create_nameless(folder, feature_set_n_columns(set), &writer, err);
    if (status == ONNXD_OK) status = encode_all(o, set, plan, needs_label, writer, ret_totals, err);
    if (status == ONNXD_OK) status = encoded_writer_finish_nameless(writer, ret_rows, err);
    encoded_writer_free(writer);
    feature_plan_free(plan);
    return status;
}
