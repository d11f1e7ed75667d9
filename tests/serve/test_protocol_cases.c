#include <stdlib.h>

#include "base/file.h"
#include "serve/compute.h"
#include "serve/worker.h"
#include "support/fake_model.h"
#include "support/wire.h"

/* Runs tests/serve/protocol_cases.txt, which says how it is written. */

struct protocol_case {
    const char *name;
    struct buf request, body;
    bool has_length;
    int status;
    const char *whole, *held[8], *headers[8];
    int n_held, n_headers;
};

static struct compute *compute; /* without threads: the test takes their turns */
static struct telemetry telemetry;

static struct catalog *add(struct catalog *catalog, const char *name, uint64_t number, float scale)
{
    onnxd_error err;
    struct version *version = NULL;
    struct version_source source = {.path = "fake.onnx"};
    struct version_settings settings = {.max_batch = 8, .max_queue_size = 8, .max_answer_bytes = 1 << 20};
    struct version_host host = {1, 1, &telemetry};
    fake_model.scale = scale;
    assert_ok(version_create(&model_backend_fake, name, number, &source, &settings, &host, &version, &err),
              err);
    struct catalog *changed = catalog_change(catalog, version, NULL);
    assert_non_null(changed);
    version_unref(version);
    catalog_unref(catalog);
    return changed;
}

static void append_escaped(struct buf *out, const char *text)
{
    for (; *text != 0; text++) {
        unsigned byte;
        if (text[0] == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
            assert_true(buf_append_char(out, (char)byte));
            text += 3;
        } else {
            assert_true(buf_append_char(out, *text));
        }
    }
}

static void send_case(struct rig *rig, struct wire *wire, struct protocol_case *one)
{
    struct buf all;
    buf_init(&all, 1 << 20);
    assert_true(buf_append(&all, one->request.data, one->request.n));
    if (one->body.n > 0 && !one->has_length) buf_printf(&all, "Content-Length: %zu\r\n", one->body.n);
    assert_true(buf_append(&all, "\r\n", 2));
    if (one->body.n > 0) assert_true(buf_append(&all, one->body.data, one->body.n));
    wire_send_bytes(rig, wire, all.data, all.n);
    do rig_settle(rig);
    while (compute_step(compute));
    rig_wake(rig);
    buf_done(&all);
}

static bool holds(const struct buf *buf, const char *text)
{
    return buf->n > 0 && memmem(buf->data, buf->n, text, strlen(text)) != NULL;
}

/* NULL, or what is wrong. */
static const char *check(const struct wire *wire, const struct protocol_case *one, char *body, size_t room)
{
    uint16_t status = wire_response(wire, 0, body, room);
    if (status != one->status) return "status";
    if (one->whole != NULL && strcmp(body, one->whole) != 0) return one->whole;
    for (int i = 0; i < one->n_held; i++)
        if (!holds(&wire->got, one->held[i])) return one->held[i];
    for (int i = 0; i < one->n_headers; i++)
        if (!holds(&wire->got, one->headers[i])) return one->headers[i];
    bool is_json = holds(&wire->got, "Content-Type: application/json\r\n");
    if (status >= 400 && (!is_json || strncmp(body, "{\"error\":\"", 10) != 0)) return "the form of an error";
    return NULL;
}

static uint32_t run_case(struct rig *rig, struct protocol_case *one)
{
    char body[8192];
    if (one->name == NULL) return 0;
    struct wire *wire = wire_open(rig);
    send_case(rig, wire, one);
    const char *fault = check(wire, one, body, sizeof body);
    if (fault != NULL)
        print_error("%s: expected %d, \"%s\"; got %.40s ... %s\n", one->name, one->status, fault,
                    wire->got.data, body);
    wire_free(rig, wire);
    return fault != NULL;
}

static void start_case(struct protocol_case *one, const char *name)
{
    struct buf request = one->request, body = one->body;
    buf_reset(&request);
    buf_reset(&body);
    *one = (struct protocol_case){.name = name, .request = request, .body = body};
}

static void read_line(struct protocol_case *one, const char *line)
{
    switch (line[0]) {
    case '>': append_escaped(&one->body, line + 2); break;
    case '<': one->whole = line + 2; break;
    case '~': one->held[one->n_held++] = line + 2; break;
    case '!': one->headers[one->n_headers++] = line + 2; break;
    default:
        if (line[0] >= '0' && line[0] <= '9') {
            one->status = atoi(line);
        } else if (one->request.n == 0) {
            assert_true(buf_printf(&one->request, "%s HTTP/1.1\r\nHost: test\r\n", line));
        } else {
            assert_true(buf_printf(&one->request, "%s\r\n", line));
            if (strncmp(line, "Content-Length:", 15) == 0) one->has_length = true;
        }
    }
    assert_true(one->n_held < 8 && one->n_headers < 8);
}

static void every_case_is_answered_as_written(void **state)
{
    (void)state;
    fake_model_reset();
    onnxd_error err;
    struct rig rig;
    struct worker worker;
    assert_ok(telemetry_create(1, 1, 1, &telemetry, &err), err);
    struct worker_config config = {.telemetry = &telemetry,
                                   .request_timeout_ns = 5 * (uint64_t)NS_PER_S,
                                   .max_answer_bytes = 1 << 20,
                                   .max_body_bytes = 1 << 20,
                                   .ready = true};
    struct catalog *catalog = add(add(add(catalog_create(), "sum", 1, 1), "sum", 3, 1), "ten", 1, 10);
    struct clock clock = clock_fake(&rig.now_ns);
    assert_ok(compute_create(0, &telemetry, 0, &clock, &config.compute, &err), err);
    compute = config.compute;
    assert_ok(worker_init(&worker, &config, 0, 0, catalog, &clock, &err), err);
    catalog_unref(catalog);
    struct http_handler handler = worker_handler(&worker);
    rig_init_with(&rig, NULL, &handler);
    worker_attach(&worker, rig.host);

    char *text, *rest;
    size_t n;
    assert_ok(file_read(project_path("tests/serve/protocol_cases.txt"), 1 << 20, &text, &n, &err), err);
    struct protocol_case one = {.name = NULL};
    buf_init(&one.request, 1 << 16);
    buf_init(&one.body, 1 << 16);
    uint32_t n_cases = 0, n_wrong = 0;
    rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (line[0] == 0 || line[0] == '#') continue;
        if (strncmp(line, "== ", 3) == 0) {
            n_wrong += run_case(&rig, &one);
            start_case(&one, line + 3);
            n_cases++;
        } else {
            read_line(&one, line);
        }
    }
    n_wrong += run_case(&rig, &one);
    print_message("%u cases\n", n_cases);
    assert_true(n_cases >= 150);
    assert_int_equal(n_wrong, 0);
    buf_done(&one.request);
    buf_done(&one.body);
    free(text);
    compute_free(compute);
    rig_done(&rig);
    worker_done(&worker);
    telemetry_done(&telemetry);
    assert_int_equal(fake_model.n_models, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_is_answered_as_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
