/* Runs the models by others of the shared material (real-models) against their manifests.
 * usage: test_real_models [NAME...]    folder names or their beginnings; all by default */
#include "support/test.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "json/json_reader.h"
#include "onnxd/onnxd.h"
#include "support/compare.h"
#include "support/isolate.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

enum { MAX_MODELS = 256, MAX_VALUES = 16, MAX_NAME = 128, MAX_FILE = 256 << 20 };

/* What ONNX Runtime and this engine may differ by, relative to the value, or the manifest's own figure. */
#define RELATIVE 1e-4
#define ABSOLUTE 1e-6

static char names[MAX_MODELS][256], root[4096];
static uint32_t n_models, n_passed;

struct value {
    char name[MAX_NAME];
    onnxd_tensor tensor;
    double max_absolute, max_relative; /* how far ONNX Runtime differs from itself */
    bool before_zip;                   /* the tensor that enters a ZipMap */
};

struct values {
    struct value items[MAX_VALUES];
    uint32_t n;
};

/* ---- manifests ----------------------------------------------------------------------------------- */

static onnxd_type type_of_name(const char *name)
{
    if (strcmp(name, "float") == 0) return ONNXD_FLOAT32;
    if (strcmp(name, "double") == 0) return ONNXD_FLOAT64;
    for (int t = ONNXD_FLOAT32; t <= ONNXD_INT4; t++)
        if (strcmp(onnxd_type_name((onnxd_type)t), name) == 0) return (onnxd_type)t;
    return ONNXD_UNDEFINED;
}

static bool read_text(struct json_reader *r, char *text, size_t size)
{
    struct json_text found;
    if (!json_read_string(r, &found) || found.n_raw >= size || found.escaped) return false;
    memcpy(text, found.raw, found.n_raw);
    text[found.n_raw] = 0;
    return true;
}

static bool read_file(const char *folder, const char *file, struct arena *arena, onnxd_tensor *tensor)
{
    char path[5000], *bytes = NULL;
    size_t n = 0;
    onnxd_error err;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (file_read(path, MAX_FILE, &bytes, &n, &err) != ONNXD_OK) return false;
    tensor->data = arena_memdup(arena, bytes, n);
    free(bytes);
    return n == onnxd_tensor_n_bytes(tensor) && tensor->data != NULL;
}

static bool read_strings(struct json_reader *r, struct arena *arena, onnxd_tensor *tensor)
{
    size_t n = 0, max = 256;
    onnxd_string *strings = arena_alloc_array(arena, max, sizeof *strings);
    if (strings == NULL || !json_enter_array(r)) return false;
    while (json_next_element(r) && n < max) {
        struct json_text text;
        if (!json_read_string(r, &text) || text.escaped) return false;
        strings[n].len = text.n_raw;
        strings[n++].data = arena_memdup(arena, text.raw, text.n_raw);
    }
    tensor->data = strings;
    return true;
}

static bool read_value(struct json_reader *r, const char *folder, struct arena *arena, struct value *value)
{
    char file[MAX_NAME] = "", type[MAX_NAME];
    struct json_text key;
    *value = (struct value){0};
    if (!json_enter_object(r)) return false;
    while (json_next_key(r, &key)) {
        bool done = false;
        if (json_text_is(&key, "name"))
            done = read_text(r, value->name, sizeof value->name);
        else if (json_text_is(&key, "file"))
            done = read_text(r, file, sizeof file);
        else if (json_text_is(&key, "prezip"))
            done = json_read_bool(r, &value->before_zip);
        else if (json_text_is(&key, "unopt_maxabs"))
            done = json_read_f64(r, &value->max_absolute);
        else if (json_text_is(&key, "unopt_maxrel"))
            done = json_read_f64(r, &value->max_relative);
        else if (json_text_is(&key, "data"))
            done = read_strings(r, arena, &value->tensor);
        else if (json_text_is(&key, "type"))
            done = read_text(r, type, sizeof type) &&
                   (value->tensor.type = type_of_name(type)) != ONNXD_UNDEFINED;
        else if (json_text_is(&key, "dims") && json_enter_array(r)) {
            while (json_next_element(r) && value->tensor.rank < ONNXD_MAX_RANK)
                if (!json_read_i64(r, &value->tensor.dims[value->tensor.rank++])) return false;
            done = true;
        }
        if (!done) return false;
    }
    return file[0] == 0 ? value->tensor.data != NULL : read_file(folder, file, arena, &value->tensor);
}

static bool read_values(struct json_reader *r, const char *folder, struct arena *arena, struct values *values)
{
    values->n = 0;
    if (!json_enter_array(r)) return false;
    while (json_next_element(r))
        if (values->n == MAX_VALUES || !read_value(r, folder, arena, &values->items[values->n++]))
            return false;
    return true;
}

/* ---- running ------------------------------------------------------------------------------------- */

/* The values of a sequence of maps as the matrix that it was zipped from. */
static bool unzip(const onnxd_tensor *zipped, struct arena *arena, onnxd_tensor *ret)
{
    if (zipped->type != ONNXD_SEQUENCE) return false;
    const onnxd_sequence *sequence = zipped->data;
    if (sequence->n == 0) return false;
    const onnxd_tensor *first = &((const onnxd_map *)sequence->items[0].data)->values;
    *ret = (onnxd_tensor){.type = first->type, .rank = 2, .dims = {(int64_t)sequence->n, first->dims[0]}};
    size_t step = onnxd_tensor_n_bytes(first);
    char *data = arena_alloc(arena, sequence->n * step);
    if (data == NULL) return false;
    ret->data = data;
    for (size_t i = 0; i < sequence->n; i++)
        memcpy(data + i * step, ((const onnxd_map *)sequence->items[i].data)->values.data, step);
    return true;
}

static bool compare_output(const struct value *want, const onnxd_tensor *got, struct arena *arena, char *text,
                           size_t size)
{
    struct tolerance tolerance = {ABSOLUTE, RELATIVE};
    onnxd_tensor matrix;
    if (want->max_absolute > tolerance.absolute) tolerance.absolute = want->max_absolute;
    if (want->max_relative > tolerance.relative) tolerance.relative = want->max_relative;
    if (want->before_zip) {
        if (!unzip(got, arena, &matrix)) {
            snprintf(text, size, "output '%s' is no sequence of maps", want->name);
            return false;
        }
        got = &matrix;
    }
    int n = snprintf(text, size, "output '%s': ", want->name);
    return compare_values(got, &want->tensor, tolerance, text + n, size - (size_t)n);
}

/* What enters a ZipMap has a name of its own: it is compared with the sequence of maps that comes out. */
static bool is_output(const onnxd_io_info *info, const struct value *want)
{
    return want->before_zip ? info->type == ONNXD_SEQUENCE : strcmp(info->name, want->name) == 0;
}

static bool run_case(onnxd_session *session, const onnxd_model *model, const struct values *in,
                     const struct values *want, struct arena *arena, char *text, size_t size)
{
    onnxd_tensor tensors[MAX_VALUES], out[MAX_VALUES];
    onnxd_error err = {0};
    uint32_t n_in = onnxd_model_n_inputs(model), n_out = onnxd_model_n_outputs(model);
    for (uint32_t i = 0; i < n_in; i++) {
        const char *name = onnxd_model_input(model, i)->name;
        uint32_t k = 0;
        while (k < in->n && strcmp(in->items[k].name, name) != 0) k++;
        if (k == in->n) {
            snprintf(text, size, "the manifest has no input '%s'", name);
            return false;
        }
        tensors[i] = in->items[k].tensor;
    }
    if (onnxd_session_run(session, tensors, n_in, out, n_out, &err) != ONNXD_OK) {
        snprintf(text, size, "run: %s: %s", onnxd_status_name(err.status), err.message);
        return false;
    }
    for (uint32_t i = 0; i < want->n; i++) {
        uint32_t k = 0;
        while (k < n_out && !is_output(onnxd_model_output(model, k), &want->items[i])) k++;
        if (k == n_out) {
            snprintf(text, size, "the model has no output '%s'", want->items[i].name);
            return false;
        }
        if (!compare_output(&want->items[i], &out[k], arena, text, size)) return false;
    }
    return true;
}

static bool run_cases(const char *folder, struct json_reader *r, onnxd_session *session,
                      const onnxd_model *model, struct arena *arena, char *text, size_t size)
{
    static struct values in, want;
    struct json_text key;
    int n_cases = 0;
    if (!json_enter_array(r)) return false;
    while (json_next_element(r)) {
        if (!json_enter_object(r)) return false;
        while (json_next_key(r, &key)) {
            bool inputs = json_text_is(&key, "inputs"), outputs = json_text_is(&key, "outputs");
            if (inputs || outputs ? !read_values(r, folder, arena, inputs ? &in : &want) : !json_skip(r)) {
                snprintf(text, size, "cannot read the manifest's values");
                return false;
            }
        }
        if (!run_case(session, model, &in, &want, arena, text, size)) return false;
        n_cases++;
    }
    return n_cases > 0;
}

static bool run_model(const char *folder, bool no_optimize, char *text, size_t size)
{
    char path[5000], *bytes = NULL;
    size_t n = 0;
    onnxd_error err = {0};
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_model_options options = {.engine = ONNXD_ENGINE_NATIVE, .no_optimize = no_optimize};
    struct json_reader r;
    struct json_text key;
    struct arena arena;
    bool passed = false;
    arena_init(&arena, 0);
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    if (file_read(path, MAX_FILE, &bytes, &n, &err) != ONNXD_OK) goto failed;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    if (onnxd_model_load(path, &options, &model, &err) != ONNXD_OK) goto failed;
    if (onnxd_session_create(model, NULL, &session, &err) != ONNXD_OK) goto failed;
    snprintf(text, size, "the manifest has no cases");
    json_reader_init(&r, bytes, n, &err);
    json_enter_object(&r);
    while (json_next_key(&r, &key)) {
        if (!json_text_is(&key, "cases"))
            json_skip(&r);
        else if (!(passed = run_cases(folder, &r, session, model, &arena, text, size)))
            break;
    }
    goto out;
failed:
    snprintf(text, size, "%s: %s", onnxd_status_name(err.status), err.message);
out:
    onnxd_session_free(session);
    onnxd_model_unref(model);
    free(bytes);
    arena_done(&arena);
    return passed;
}

static bool run(void *context, uint32_t task, char *text)
{
    (void)context;
    char folder[4400];
    snprintf(folder, sizeof folder, "%s/%s", root, names[task]);
    if (!run_model(folder, false, text, ISOLATE_TEXT_BYTES)) return false;
    int n = snprintf(text, ISOLATE_TEXT_BYTES, "without optimisation: ");
    return run_model(folder, true, text + n, ISOLATE_TEXT_BYTES - (size_t)n);
}

static void done(void *context, uint32_t task, bool passed, const char *text)
{
    (void)context;
    n_passed += passed;
    if (passed)
        printf("[       OK ] %s\n", names[task]);
    else
        printf("%s: %s\n[  FAILED  ] %s\n[  FAILED  ] %s\n", names[task], text, names[task], names[task]);
}

int main(int argc, char **argv)
{
    snprintf(root, sizeof root, "%s/../shared/real-models", SOURCE_DIR);
    DIR *folder = opendir(root);
    if (folder == NULL) {
        printf("%s is absent\n", root);
        if (getenv("CI") == NULL) printf("[  SKIPPED ] real_models\n[  SKIPPED ] real_models\n");
        return getenv("CI") == NULL ? 0 : 1;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL && n_models < MAX_MODELS;) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; i++)
            wanted = wanted || strncmp(entry->d_name, argv[i], strlen(argv[i])) == 0;
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && wanted)
            snprintf(names[n_models++], sizeof names[0], "%s", entry->d_name);
    }
    closedir(folder);
    struct isolate_limits limits = {2, isolate_sanitized() ? 280 : 60, (size_t)4 << 30};
    isolate_run(limits, run, done, NULL, n_models);
    printf("%u of %u models passed\n", n_passed, n_models);
    return n_models > 0 && n_passed == n_models ? 0 : 1;
}
