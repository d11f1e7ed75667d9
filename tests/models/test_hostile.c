/* Models that mean harm: each is refused at load or in its first run, with a word that names the culprit,
 * in bounded time and memory. The files are written by make_models.py, the bombs below here. */
#include "support/test.h"

#include <stdlib.h>

#include "base/arena.h"
#include "graph/onnx_writer.h"
#include "onnxd/onnxd.h"
#include "support/isolate.h"

enum { MEMORY_BYTES = 1 << 30 };

#define HUGE_SIZE ((int64_t)1 << 62)
#define TERABYTE  ((int64_t)1 << 38) /* of float32 elements */

/* What a model may answer with; a model that runs is a failure. */
static bool is_refusal(onnxd_status status)
{
    return status == ONNXD_ERR_LIMIT || status == ONNXD_ERR_RANGE || status == ONNXD_ERR_SHAPE ||
           status == ONNXD_ERR_MODEL || status == ONNXD_ERR_TYPE || status == ONNXD_ERR_UNSUPPORTED;
}

/* ---- files ----------------------------------------------------------------------------------------- */

static const struct {
    const char *file;
    onnxd_status status;
    const char *text; /* part of the message */
} files[] = {
    {"loop_forever", ONNXD_ERR_LIMIT, "spin"},
    {"loop_doubling", ONNXD_ERR_LIMIT, "memory"},
    {"loop_stacking", ONNXD_ERR_LIMIT, "pile"},
    {"scan_without_steps", ONNXD_ERR_MODEL, "num_scan_inputs"},
    {"if_of_three_bodies", ONNXD_ERR_MODEL, "else_branch"},
    {"sequence_position", ONNXD_ERR_RANGE, "position 7"},
    {"tree_cycle", ONNXD_ERR_MODEL, "cycle"},
    {"tree_shared_child", ONNXD_ERR_MODEL, "two parents"},
    {"tree_missing_child", ONNXD_ERR_MODEL, "has no child 9"},
    {"tree_wide_feature", ONNXD_ERR_MODEL, "reads feature"},
    {"tree_feature_outside", ONNXD_ERR_SHAPE, "the trees read 4"},
    {"tree_weight_nowhere", ONNXD_ERR_MODEL, "node 8"},
    {"tree_weight_id", ONNXD_ERR_MODEL, "output 5"},
    {"tree_short_list", ONNXD_ERR_MODEL, "nodes_values"},
    {"tree_mode", ONNXD_ERR_MODEL, "TWIG"},
    {"tree_many_targets", ONNXD_ERR_MODEL, "targets"},
    {"tree_node_id", ONNXD_ERR_MODEL, "node id -2"},
    {"svm_counts", ONNXD_ERR_MODEL, "svm"},
    {"linear_short", ONNXD_ERR_MODEL, "coefficients"},
    {"scaler_width", ONNXD_ERR_SHAPE, "offset"},
    {"label_encoder_lengths", ONNXD_ERR_MODEL, "2 keys and 1 values"},
    {"feature_vectorizer_width", ONNXD_ERR_MODEL, "inputdimensions"},
};

static onnxd_status try_model(const char *path, const void *bytes, size_t n, const onnxd_tensor *in,
                              onnxd_error *err)
{
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_tensor out[4];
    onnxd_model_options options = {.engine = ONNXD_ENGINE_NATIVE, .max_model_bytes = 256 << 20};
    onnxd_session_options session_options = {.arena_limit_bytes = 256 << 20};
    onnxd_status status = path != NULL ? onnxd_model_load(path, &options, &model, err)
                                       : onnxd_model_load_bytes(bytes, n, NULL, &options, &model, err);
    if (status == ONNXD_OK) status = onnxd_session_create(model, &session_options, &session, err);
    if (status == ONNXD_OK)
        status = onnxd_session_run(session, in, onnxd_model_n_inputs(model), out,
                                   onnxd_model_n_outputs(model), err);
    onnxd_session_free(session);
    onnxd_model_unref(model);
    return status;
}

static bool run_file(void *context, uint32_t task, char *text)
{
    (void)context;
    static float x[6];
    char path[1024];
    onnxd_error err = {0};
    onnxd_tensor in = {.type = ONNXD_FLOAT32, .rank = 2, .dims = {2, 3}, .data = x};
    snprintf(path, sizeof path, "%s/tests/models/hostile/%s.onnx", SOURCE_DIR, files[task].file);
    onnxd_status status = try_model(path, NULL, 0, &in, &err);
    if (status == files[task].status && strstr(err.message, files[task].text) != NULL) return true;
    snprintf(text, ISOLATE_TEXT_BYTES, "%s: %s: %s", files[task].file, onnxd_status_name(status),
             err.message);
    return false;
}

/* ---- bombs: one operator asked for too much ---------------------------------------------------------- */

static const struct {
    const char *op;
    int64_t opset;
    const char *inputs; /* of the names in write_bomb */
} bombs[] = {
    {"Range", 13, "zero huge one"},
    {"Tile", 13, "x huge_pair"},
    {"Tile", 13, "x tera_pair"},
    {"Expand", 13, "unit huge_pair"},
    {"Expand", 13, "unit tera_row"},
    {"ConstantOfShape", 13, "huge_pair"},
    {"ConstantOfShape", 13, "tera_pair"},
    {"Reshape", 13, "x huge_pair"},
    {"Pad", 13, "x huge_pads"},
    {"Pad", 13, "x tera_pads"},
    {"OneHot", 13, "zero huge off_on"},
    {"OneHot", 13, "zero tera off_on"},
    {"TopK", 13, "x huge_one"},
    {"HannWindow", 17, "huge"},
    {"BlackmanWindow", 17, "tera"},
    {"DFT", 17, "x huge"},
    {"DFT", 17, "x tera"},
    {"STFT", 17, "x one - huge"},
    {"MelWeightMatrix", 17, "huge one one low high"},
    {"MelWeightMatrix", 17, "one tera one low high"},
    {"Resize", 13, "x - - tera_pair"},
    {"Resize", 13, "x - huge_scales"},
    {"Split", 13, "x huge_pair"},
    {"Gather", 13, "x huge"},
    {"GatherND", 13, "x huge_pair"},
    {"ScatterND", 13, "x huge_rows huge_row"},
    {"Unsqueeze", 13, "x huge_one"},
    {"Squeeze", 13, "x huge_one"},
    {"SplitToSequence", 11, "x huge_pair"},
};
enum { N_BOMBS = sizeof bombs / sizeof bombs[0], N_FILES = sizeof files / sizeof files[0] };

struct parameter {
    const char *name;
    onnxd_type type;
    uint32_t rank;
    int64_t dims[2];
    const void *data;
};

static const int64_t zero = 0, one = 1, huge = HUGE_SIZE, tera = TERABYTE;
static const int64_t huge_pair[] = {HUGE_SIZE, HUGE_SIZE}, tera_pair[] = {TERABYTE, 3},
                     tera_row[] = {TERABYTE, 1, 1};
static const int64_t huge_pads[] = {0, HUGE_SIZE, HUGE_SIZE, 0}, tera_pads[] = {TERABYTE, 0, 0, 0};
static const float off_on[] = {0, 1}, low = 0, high = 1, huge_scales[] = {1e30f, 1e30f}, huge_row[3];
static const struct parameter parameters[] = {
    {"zero", ONNXD_INT64, 0, {0}, &zero},
    {"one", ONNXD_INT64, 0, {0}, &one},
    {"huge", ONNXD_INT64, 0, {0}, &huge},
    {"tera", ONNXD_INT64, 0, {0}, &tera},
    {"huge_one", ONNXD_INT64, 1, {1}, &huge},
    {"huge_pair", ONNXD_INT64, 1, {2}, huge_pair},
    {"tera_pair", ONNXD_INT64, 1, {2}, tera_pair},
    {"tera_row", ONNXD_INT64, 1, {2}, tera_row},
    {"huge_pads", ONNXD_INT64, 1, {4}, huge_pads},
    {"tera_pads", ONNXD_INT64, 1, {4}, tera_pads},
    {"huge_rows", ONNXD_INT64, 2, {1, 1}, &huge},
    {"huge_row", ONNXD_FLOAT32, 2, {1, 3}, huge_row},
    {"huge_scales", ONNXD_FLOAT32, 1, {2}, huge_scales},
    {"off_on", ONNXD_FLOAT32, 1, {2}, off_on},
    {"unit", ONNXD_FLOAT32, 2, {1, 1}, off_on},
    {"low", ONNXD_FLOAT32, 0, {0}, &low},
    {"high", ONNXD_FLOAT32, 0, {0}, &high},
};
enum { N_PARAMETERS = sizeof parameters / sizeof parameters[0] };

static bool names(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == 0 || at[n] == ' ')) return true;
    return false;
}

/* The operator's parameters are constants, or else inputs of the model, so that they are met in a run. */
static size_t write_bomb(uint32_t bomb, bool constants, struct buf *file, onnxd_tensor *in, onnxd_error *err)
{
    static const float x[6];
    struct onnx_writer w;
    uint32_t n_in = 0;
    onnx_writer_init(&w, "bomb", bombs[bomb].opset);
    if (names(bombs[bomb].inputs, "x")) {
        onnx_writer_input(&w, "x", ONNXD_FLOAT32, 2, (int64_t[]){2, 3}, NULL);
        in[n_in++] = (onnxd_tensor){ONNXD_FLOAT32, 2, {2, 3}, (void *)(uintptr_t)x};
    }
    for (int i = 0; i < N_PARAMETERS; i++) {
        const struct parameter *p = &parameters[i];
        if (!names(bombs[bomb].inputs, p->name)) continue;
        if (constants) {
            onnx_writer_tensor(&w, p->name, p->type, p->rank, p->dims, p->data);
        } else {
            onnx_writer_input(&w, p->name, p->type, p->rank, p->dims, NULL);
            in[n_in] = (onnxd_tensor){.type = p->type, .rank = p->rank, .data = (void *)(uintptr_t)p->data};
            memcpy(in[n_in++].dims, p->dims, sizeof p->dims);
        }
    }
    onnx_writer_node(&w, bombs[bomb].op, "fuse", bombs[bomb].inputs, "y");
    if (strcmp(bombs[bomb].op, "SplitToSequence") == 0)
        onnx_writer_node(&w, "SequenceLength", "length", "y", "n"),
            onnx_writer_output(&w, "n", ONNXD_INT64, 0, NULL, NULL);
    else
        onnx_writer_output(&w, "y", strcmp(bombs[bomb].op, "Range") == 0 ? ONNXD_INT64 : ONNXD_FLOAT32, 0,
                           NULL, NULL);
    if (onnx_writer_finish(&w, file, err) != ONNXD_OK) n_in = UINT32_MAX;
    onnx_writer_done(&w);
    return n_in;
}

static bool run_bomb(void *context, uint32_t task, char *text)
{
    (void)context;
    uint32_t bomb = task / 2;
    struct buf file;
    onnxd_tensor in[8];
    onnxd_error err = {0};
    buf_init(&file, 1 << 20);
    if (write_bomb(bomb, task % 2 == 0, &file, in, &err) == UINT32_MAX) {
        snprintf(text, ISOLATE_TEXT_BYTES, "cannot write: %s", err.message);
        return false;
    }
    onnxd_status status = try_model(NULL, file.data, file.n, in, &err);
    if (is_refusal(status) && err.message[0] != 0) return true;
    snprintf(text, ISOLATE_TEXT_BYTES, "%s(%s): %s: %s", bombs[bomb].op, bombs[bomb].inputs,
             onnxd_status_name(status), err.message);
    return false;
}

/* ---- */

static uint32_t n_failed;

static void done(void *context, uint32_t task, bool passed, const char *text)
{
    (void)context;
    if (!passed) print_message("%u: %s\n", task, text);
    n_failed += !passed;
}

static void run_all(isolate_fn run, uint32_t n)
{
    struct isolate_limits limits = {2, isolate_sanitized() ? 250 : 40, MEMORY_BYTES};
    n_failed = 0;
    isolate_run(limits, run, done, NULL, n);
    assert_int_equal(n_failed, 0);
}

static void hostile_files_are_refused(void **state)
{
    (void)state;
    run_all(run_file, N_FILES);
}

static void operators_asked_for_too_much_refuse(void **state)
{
    (void)state;
    run_all(run_bomb, 2 * N_BOMBS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_are_refused),
        cmocka_unit_test(operators_asked_for_too_much_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
