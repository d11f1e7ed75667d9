/* ONNX Runtime behind the engine table, and the native engine against it. Needs libonnxruntime, which
 * tools/fetch_onnxruntime brings; without it the tests that call it are skipped. */
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include <onnx/onnx.pb-c.h>

#include "engine/backend_onnxruntime.h"
#include "engine/ort_library.h"
#include "graph/onnx_writer.h"
#include "support/conformance.h"
#include "support/models.h"
#include "support/run_program.h"

static void need_library(void)
{
    onnxd_error err;
    const struct ort *ort;
    if (onnxruntime_version() != NULL) return;
    (void)!ort_library(&ort, &err);
    print_message("skipped: %s\n", err.message);
    skip();
}

static onnxd_session *open_bytes(const void *bytes, size_t n, onnxd_engine engine)
{
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_session *session = NULL;
    onnxd_model_options options = {.engine = engine};
    assert_ok(onnxd_model_load_bytes(bytes, n, NULL, &options, &model, &err), err);
    assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
    onnxd_model_unref(model);
    return session;
}

static onnxd_model *load(const char *name, onnxd_engine engine)
{
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_model_options options = {.engine = engine};
    assert_ok(onnxd_model_load(stored_model_path(name), &options, &model, &err), err);
    return model;
}

/* ---- parity -------------------------------------------------------------------------------------- */

static void both_engines_answer_as_pytorch_did(void **state)
{
    (void)state;
    static const char *const names[] = {"deepfm", "wdl", "autoint"};
    static const int64_t batches[] = {1, 3, 7, 64, 2};
    need_library();
    for (int m = 0; m < 3; m++) {
        struct stored stored;
        stored_read(names[m], &stored);
        for (onnxd_engine engine = ONNXD_ENGINE_NATIVE; engine <= ONNXD_ENGINE_ONNXRUNTIME; engine++) {
            onnxd_model *model = load(names[m], engine);
            onnxd_session *session = NULL;
            onnxd_error err;
            assert_string_equal(onnxd_model_engine_name(model),
                                engine == ONNXD_ENGINE_NATIVE ? "native" : "onnxruntime");
            assert_true(onnxd_model_is_batchable(model));
            assert_string_equal(onnxd_model_input(model, 0)->name, "input");
            assert_string_equal(onnxd_model_input(model, 0)->dim_names[0], "batch");
            assert_int_equal(onnxd_model_input(model, 0)->dims[1], 15);
            assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
            for (int b = 0; b < 5; b++) {
                double worst = stored_worst_difference(session, &stored, batches[b]);
                if (!(worst <= 1e-5))
                    fail_msg("%s on %s, batch %d: differs by %g", names[m], onnxd_model_engine_name(model),
                             (int)batches[b], worst);
            }
            onnxd_session_free(session);
            onnxd_model_unref(model);
        }
    }
}

/* Every test model of the project: trees, encoders with strings, classifiers, control flow. */
static void the_projects_models_agree(void **state)
{
    (void)state;
    need_library();
    char folder[4096], text[512];
    DIR *models = opendir(project_path("tests/models"));
    assert_non_null(models);
    int n = 0, n_failed = 0;
    for (struct dirent *entry; (entry = readdir(models)) != NULL;) {
        snprintf(folder, sizeof folder, "%s/%s", project_path("tests/models"), entry->d_name);
        size_t length = strlen(folder);
        snprintf(folder + length, sizeof folder - length, "/model.onnx");
        if (access(folder, R_OK) != 0) continue;
        folder[length] = 0;
        n++;
        if (conformance_run_on(ONNXD_ENGINE_ONNXRUNTIME, folder, TOLERANCE_CONFORMANCE, text, sizeof text))
            continue;
        print_error("%s: %s\n", entry->d_name, text);
        n_failed++;
    }
    closedir(models);
    assert_true(n > 50);
    assert_int_equal(n_failed, 0);
}

/* Of the official tests a few of each kind of value: every element type, strings, sequences, optionals. */
static void values_of_all_kinds_pass_through(void **state)
{
    (void)state;
    static const char *const tests[] = {
        "node/test_add_uint8",
        "node/test_and3d",
        "node/test_cast_DOUBLE_to_FLOAT",
        "node/test_cast_FLOAT_to_DOUBLE",
        "node/test_cast_FLOAT_to_FLOAT16",
        "node/test_cast_FLOAT16_to_FLOAT",
        "node/test_cast_STRING_to_FLOAT",
        "node/test_bitshift_right_uint64",
        "node/test_equal",
        "node/test_castlike_FLOAT_to_DOUBLE",
        "node/test_qlinearmatmul_2D",
        "node/test_identity_sequence",
        "node/test_tfidfvectorizer_tf_only_bigrams_skip0",
        "node/test_split_zero_size_splits",
        "node/test_sequence_insert_at_back",
        "simple/test_sequence_model4",
    };
    need_library();
    if (access(CONFORMANCE_DATA, R_OK) != 0) {
        print_message("skipped: %s is absent\n", CONFORMANCE_DATA);
        skip();
    }
    int n_failed = 0;
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        char folder[512], text[512];
        snprintf(folder, sizeof folder, "%s/%s", CONFORMANCE_DATA, tests[i]);
        if (conformance_run_on(ONNXD_ENGINE_ONNXRUNTIME, folder, TOLERANCE_CONFORMANCE, text, sizeof text))
            continue;
        print_error("%s: %s\n", tests[i], text);
        n_failed++;
    }
    assert_int_equal(n_failed, 0);
}

/* x [2, 3] -> ZipMap -> a sequence of maps, as classifiers end. */
static size_t zipmap_model(bool strings, uint8_t *out)
{
    int64_t ints[] = {10, -20, 30};
    ProtobufCBinaryData words[] = {
        {3, (uint8_t *)(uintptr_t) "one"}, {0, NULL}, {5, (uint8_t *)(uintptr_t) "three"}};
    Onnx__AttributeProto keys = ONNX__ATTRIBUTE_PROTO__INIT, *attributes[] = {&keys};
    Onnx__NodeProto node = ONNX__NODE_PROTO__INIT, *nodes[] = {&node};
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto opsets[] = {ONNX__OPERATOR_SET_ID_PROTO__INIT,
                                         ONNX__OPERATOR_SET_ID_PROTO__INIT};
    Onnx__OperatorSetIdProto *opset_list[] = {&opsets[0], &opsets[1]};
    Onnx__TensorShapeProto__Dimension two = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT, three = two;
    Onnx__TensorShapeProto__Dimension *dims[] = {&two, &three};
    Onnx__TensorShapeProto shape = ONNX__TENSOR_SHAPE_PROTO__INIT;
    Onnx__TypeProto__Tensor tensor = ONNX__TYPE_PROTO__TENSOR__INIT, value_tensor = tensor;
    Onnx__TypeProto__Map map = ONNX__TYPE_PROTO__MAP__INIT;
    Onnx__TypeProto__Sequence sequence = ONNX__TYPE_PROTO__SEQUENCE__INIT;
    Onnx__TypeProto in_type = ONNX__TYPE_PROTO__INIT, value_type = in_type, map_type = in_type,
                    out_type = in_type;
    Onnx__ValueInfoProto in = ONNX__VALUE_INFO_PROTO__INIT, result = in, *ins[] = {&in}, *outs[] = {&result};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    char x[] = "x", y[] = "y", zipmap[] = "ZipMap", ml[] = "ai.onnx.ml", plain[] = "", g[] = "g";
    char int_keys[] = "classlabels_int64s", string_keys[] = "classlabels_strings", *in_names[] = {x},
         *out_names[] = {y};
    keys.name = strings ? string_keys : int_keys;
    keys.has_type = 1, keys.type = strings ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
                                           : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    keys.ints = ints, keys.n_ints = strings ? 0 : 3;
    keys.strings = words, keys.n_strings = strings ? 3 : 0;
    node.op_type = zipmap, node.domain = ml, node.attribute = attributes, node.n_attribute = 1;
    node.input = in_names, node.n_input = 1, node.output = out_names, node.n_output = 1;
    two.value_case = three.value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    two.dim_value = 2, three.dim_value = 3;
    shape.dim = dims, shape.n_dim = 2;
    tensor.has_elem_type = value_tensor.has_elem_type = 1;
    tensor.elem_type = value_tensor.elem_type = ONNXD_FLOAT32, tensor.shape = &shape;
    in_type.value_case = value_type.value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    in_type.tensor_type = &tensor, value_type.tensor_type = &value_tensor;
    map.has_key_type = 1, map.key_type = strings ? ONNXD_STRING : ONNXD_INT64, map.value_type = &value_type;
    map_type.value_case = ONNX__TYPE_PROTO__VALUE_MAP_TYPE, map_type.map_type = &map;
    sequence.elem_type = &map_type;
    out_type.value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE, out_type.sequence_type = &sequence;
    in.name = x, in.type = &in_type, result.name = y, result.type = &out_type;
    graph.name = g, graph.node = nodes, graph.n_node = 1;
    graph.input = ins, graph.n_input = 1, graph.output = outs, graph.n_output = 1;
    opsets[0].domain = plain, opsets[0].version = 13, opsets[0].has_version = opsets[1].has_version = 1,
    opsets[1].domain = ml, opsets[1].version = 1;
    model.has_ir_version = 1, model.ir_version = 7, model.graph = &graph, model.opset_import = opset_list,
    model.n_opset_import = 2;
    return onnx__model_proto__pack(&model, out);
}

static void maps_come_out_of_classifiers(void **state)
{
    (void)state;
    need_library();
    float x[6] = {0.25f, -1, 3, 4, 5, 0.5f};
    onnxd_tensor in = {.type = ONNXD_FLOAT32, .rank = 2, .dims = {2, 3}, .data = x}, outs[2];
    for (int strings = 0; strings < 2; strings++) {
        uint8_t bytes[1024];
        char text[512];
        size_t n = zipmap_model(strings != 0, bytes);
        onnxd_error err;
        onnxd_session *native = open_bytes(bytes, n, ONNXD_ENGINE_NATIVE);
        onnxd_session *other = open_bytes(bytes, n, ONNXD_ENGINE_ONNXRUNTIME);
        assert_ok(onnxd_session_run(native, &in, 1, &outs[0], 1, &err), err);
        assert_ok(onnxd_session_run(other, &in, 1, &outs[1], 1, &err), err);
        const onnxd_sequence *rows = outs[1].data;
        assert_int_equal(outs[1].type, ONNXD_SEQUENCE);
        assert_int_equal(rows->n, 2);
        assert_int_equal(rows->items[0].type, ONNXD_MAP);
        if (!compare_values(&outs[0], &outs[1], (struct tolerance){0}, text, sizeof text))
            fail_msg("%s", text);
        onnxd_session_free(native);
        onnxd_session_free(other);
    }
}

static void strings_keep_all_their_bytes(void **state)
{
    (void)state;
    need_library();
    struct onnx_writer w;
    struct buf buf;
    onnxd_error err;
    buf_init(&buf, 1 << 16);
    onnx_writer_init(&w, "strings", 13);
    onnx_writer_input(&w, "x", ONNXD_STRING, 1, (int64_t[]){-1}, "n");
    onnx_writer_node(&w, "Identity", "same", "x", "y");
    onnx_writer_output(&w, "y", ONNXD_STRING, 1, (int64_t[]){-1}, "n");
    assert_ok(onnx_writer_finish(&w, &buf, &err), err);
    onnx_writer_done(&w);
    onnxd_session *session = open_bytes(buf.data, buf.n, ONNXD_ENGINE_ONNXRUNTIME);
    onnxd_string words[3] = {{"a\0b", 3}, {"", 0}, {"\xc3\xa4", 2}};
    for (int64_t n = 3; n >= 0; n--) {
        onnxd_tensor in = {.type = ONNXD_STRING, .rank = 1, .dims = {n}, .data = words}, out;
        assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
        assert_int_equal(out.dims[0], n);
        for (int64_t i = 0; i < n; i++) {
            const onnxd_string *got = (onnxd_string *)out.data + i;
            assert_int_equal(got->len, words[i].len);
            assert_memory_equal(got->data, words[i].data, got->len);
        }
    }
    onnxd_session_free(session);
    buf_done(&buf);
}

/* ---- faults -------------------------------------------------------------------------------------- */

static void faults_are_told_and_leave_outputs_alone(void **state)
{
    (void)state;
    need_library();
    onnxd_error err;
    onnxd_model *model = NULL;
    onnxd_model_options options = {.engine = ONNXD_ENGINE_ONNXRUNTIME};
    assert_fails(onnxd_model_load_bytes("garbage", 7, NULL, &options, &model, &err), ONNXD_ERR_FORMAT, err,
                 "onnxruntime: ");
    options.precision = ONNXD_PRECISION_BF16;
    assert_fails(onnxd_model_load(stored_model_path("deepfm"), &options, &model, &err), ONNXD_ERR_UNSUPPORTED,
                 err, "fp32 only");
    struct stored stored;
    stored_read("deepfm", &stored);
    model = load("deepfm", ONNXD_ENGINE_ONNXRUNTIME);
    onnxd_session *session = NULL;
    assert_ok(onnxd_session_create(model, NULL, &session, &err), err);
    onnxd_tensor in = {.type = ONNXD_FLOAT32, .rank = 2, .dims = {2, 14}, .data = stored.in},
                 out = {.rank = 77};
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_SHAPE, err, "input 'input'");
    in.dims[1] = 15;
    stored.in[5] = 20001; /* domain has 20,000 rows */
    assert_fails(onnxd_session_run(session, &in, 1, &out, 1, &err), ONNXD_ERR_RANGE, err, "onnxruntime: ");
    assert_int_equal(out.rank, 77);
    stored.in[5] = 0;
    assert_ok(onnxd_session_run(session, &in, 1, &out, 1, &err), err);
    assert_int_equal(out.dims[0], 2);
    onnxd_session_free(session);
    onnxd_model_unref(model);
}

/* An operator that nobody knows. */
static const char *unknown_operator_model(void)
{
    struct onnx_writer w;
    struct buf buf;
    onnxd_error err;
    buf_init(&buf, 1 << 16);
    onnx_writer_init(&w, "unknown", 13);
    onnx_writer_input(&w, "x", ONNXD_FLOAT32, 1, (int64_t[]){-1}, "n");
    onnx_writer_node(&w, "Frobnicate", "node", "x", "y");
    onnx_writer_output(&w, "y", ONNXD_FLOAT32, 1, (int64_t[]){-1}, "n");
    assert_ok(onnx_writer_finish(&w, &buf, &err), err);
    onnx_writer_done(&w);
    const char *path = scratch_file("unknown.onnx", buf.data, buf.n);
    buf_done(&buf);
    return path;
}

static void expect(const char *const *argv, const char *first, const char *second)
{
    struct run_result got = run_program(argv, NULL, 0);
    if (got.exit_code != 69 || strstr(got.err, first) == NULL || strstr(got.err, second) == NULL)
        fail_msg("expected exit 69 with \"%s\" and \"%s\", got %d: %s", first, second, got.exit_code,
                 got.err);
    run_result_done(&got);
}

/* The library is looked for once in a process, so this asks a process of its own. */
static void absence_is_told(void **state)
{
    (void)state;
    char model[4096], library[4096] = "";
    const char *set = getenv("ONNXD_ONNXRUNTIME");
    if (set != NULL) snprintf(library, sizeof library, "%s", set);
    snprintf(model, sizeof model, "%s", unknown_operator_model());
    const char *forced[] = {"onnxd", "inspect", model, "--engine", "onnxruntime", NULL};
    const char *automatic[] = {"onnxd", "inspect", model, NULL};
    setenv("ONNXD_ONNXRUNTIME", "/nonexistent/libonnxruntime.so.1", 1);
    expect(forced, "ONNXD_ONNXRUNTIME: ", "/nonexistent/libonnxruntime.so.1");
    expect(automatic, "Frobnicate", "ONNXD_ONNXRUNTIME");
    setenv("ONNXD_ONNXRUNTIME", model, 1); /* no library at all */
    expect(forced, "ONNXD_ONNXRUNTIME: ", "unknown.onnx");
    if (set != NULL)
        setenv("ONNXD_ONNXRUNTIME", library, 1);
    else
        unsetenv("ONNXD_ONNXRUNTIME");
}

static void automatic_choice_prefers_the_native_engine(void **state)
{
    (void)state;
    onnxd_model *model = load("deepfm", ONNXD_ENGINE_AUTO);
    assert_string_equal(onnxd_model_engine_name(model), "native");
    onnxd_model_unref(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absence_is_told),
        cmocka_unit_test(automatic_choice_prefers_the_native_engine),
        cmocka_unit_test(both_engines_answer_as_pytorch_did),
        cmocka_unit_test(the_projects_models_agree),
        cmocka_unit_test(values_of_all_kinds_pass_through),
        cmocka_unit_test(maps_come_out_of_classifiers),
        cmocka_unit_test(strings_keep_all_their_bytes),
        cmocka_unit_test(faults_are_told_and_leave_outputs_alone),
    };
    static const char *const places[] = {BUILD_DIR "/onnxruntime/libonnxruntime.so.1",
                                         SOURCE_DIR "/build/onnxruntime/libonnxruntime.so.1"};
    for (int i = 0; i < 2; i++)
        if (access(places[i], R_OK) == 0) setenv("ONNXD_ONNXRUNTIME", places[i], 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
