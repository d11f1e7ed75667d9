#include "support/test.h"

#include <stdlib.h>

#include "base/file.h"
#include "graph/onnx_reader.h"

enum { MAX_BYTES = 64 << 20 };

static onnxd_status read_bytes(const void *bytes, size_t n, struct arena *arena, struct graph **graph,
                               onnxd_error *err)
{
    struct onnx_facts facts;
    arena_init(arena, MAX_BYTES);
    return onnx_read(bytes, n, NULL, MAX_BYTES, arena, graph, &facts, err);
}

static char *read_shared(const char *name, size_t *n)
{
    onnxd_error err;
    char *bytes = NULL;
    assert_ok(file_read(shared_path(name), MAX_BYTES, &bytes, n, &err), err);
    return bytes;
}

static void exported_models_are_read(void **state)
{
    (void)state;
    static const char *const models[] = {"models/deepfm.onnx", "models/wdl.onnx", "models/autoint.onnx"};
    for (size_t i = 0; i < 3; i++) {
        struct arena arena;
        struct graph *graph = NULL;
        onnxd_error err;
        size_t n;
        char *bytes = read_shared(models[i], &n);
        assert_ok(read_bytes(bytes, n, &arena, &graph, &err), err);
        assert_int_equal(graph->n_inputs, 1);
        assert_string_equal(graph->values[graph->inputs[0]].name, "input");
        assert_int_equal(graph->n_outputs, 1);
        const struct value_info *in = &graph->values[graph->inputs[0]].info;
        assert_int_equal(in->type, ONNXD_FLOAT32);
        assert_int_equal(in->rank, 2);
        assert_string_equal(graph->symbols[in->dims[0].symbol], "batch");
        assert_int_equal(in->dims[1].n, 15);
        assert_true(graph->n_nodes > 100);
        arena_done(&arena);
        free(bytes);
    }
}

/* Every prefix of a model is either refused with a message or, where only trailing fields are cut, read. */
static void truncated_models_are_refused(void **state)
{
    (void)state;
    size_t n;
    char *bytes = read_shared("models/deepfm.onnx", &n);
    struct rng rng = rng_seed(test_seed());
    size_t n_refused = 0;
    for (int i = 0; i < 300; i++) {
        size_t cut = i < 100 ? (size_t)i : rng_below(&rng, n);
        struct arena arena;
        struct graph *graph = NULL;
        onnxd_error err = {.message = ""};
        onnxd_status status = read_bytes(bytes, cut, &arena, &graph, &err);
        if (status != ONNXD_OK) {
            n_refused++;
            assert_true(strlen(err.message) > 10);
            assert_null(graph);
        }
        arena_done(&arena);
    }
    assert_int_equal(n_refused, 300);
    free(bytes);
}

static void flipped_bytes_never_crash_the_reader(void **state)
{
    (void)state;
    size_t n;
    char *bytes = read_shared("models/wdl.onnx", &n);
    struct rng rng = rng_seed(test_seed());
    for (int i = 0; i < 200; i++) {
        size_t at = rng_below(&rng, n);
        char old = bytes[at];
        bytes[at] = (char)(old ^ (1 << rng_below(&rng, 8)));
        struct arena arena;
        struct graph *graph = NULL;
        onnxd_error err;
        if (read_bytes(bytes, n, &arena, &graph, &err) == ONNXD_OK) assert_non_null(graph);
        arena_done(&arena);
        bytes[at] = old;
    }
    free(bytes);
}

/* graph { node { attribute { g { node { attribute { g ... */
static void deeply_nested_bodies_are_refused(void **state)
{
    (void)state;
    static unsigned char bytes[400000];
    size_t n = 0, end = sizeof bytes;
    static const unsigned char tags[] = {0x0a, 0x2a, 0x32}; /* GraphProto.node, NodeProto.attribute, .g */
    unsigned char *p = bytes + end;
    for (int level = 0; level < 10000; level++)
        for (int t = 2; t >= 0; t--) { /* written backwards: each message wraps what is there */
            size_t length = n;
            unsigned char varint[4];
            size_t v = 0;
            do {
                varint[v++] = (unsigned char)((length & 127) | (length > 127 ? 128 : 0));
                length >>= 7;
            } while (length > 0);
            p -= v;
            memcpy(p, varint, v);
            *--p = tags[t];
            n += v + 1;
        }
    size_t length = n;
    unsigned char head[5] = {0x3a}; /* ModelProto.graph */
    size_t v = 1;
    do {
        head[v++] = (unsigned char)((length & 127) | (length > 127 ? 128 : 0));
        length >>= 7;
    } while (length > 0);
    p -= v;
    memcpy(p, head, v);
    struct arena arena;
    struct graph *graph = NULL;
    onnxd_error err;
    assert_fails(read_bytes(p, n + v, &arena, &graph, &err), ONNXD_ERR_LIMIT, err, "nested");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exported_models_are_read),
        cmocka_unit_test(truncated_models_are_refused),
        cmocka_unit_test(flipped_bytes_never_crash_the_reader),
        cmocka_unit_test(deeply_nested_bodies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
