#include "support/test.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "support/loops.h"
#include "support/served.h"

#define N_ROWS   64
#define N_MODELS 3

static float *read_floats(const char *name, size_t n)
{
    char *bytes;
    size_t n_bytes;
    onnxd_error err;
    assert_ok(file_read(shared_path(name), 1 << 20, &bytes, &n_bytes, &err), err);
    assert_int_equal(n_bytes, n * sizeof(float));
    return (float *)(void *)bytes;
}

/* The numbers in a JSON text behind `key`, in order, whatever the brackets: an oracle without a parser. */
static uint32_t numbers_behind(const char *text, const char *key, double *out, uint32_t room)
{
    const char *p = strstr(text, key);
    uint32_t n = 0;
    if (p == NULL) return 0;
    for (p += strlen(key); *p != 0 && n < room; p++) {
        if (*p == '"') break;
        char *end;
        double value = strtod(p, &end);
        if (end == p) continue;
        out[n++] = value;
        p = end - 1;
    }
    return n;
}

static size_t put_row(char *out, const float *row)
{
    size_t n = 0;
    for (int k = 0; k < 15; k++) n += (size_t)sprintf(out + n, "%s%.9g", k > 0 ? "," : "[", (double)row[k]);
    return n + (size_t)sprintf(out + n, "]");
}

static double check_batch(struct served *served, const char *model, const float *in, const float *want,
                          uint32_t first, uint32_t n, bool infer)
{
    static char body[1 << 16];
    static struct seen seen;
    char path[80];
    double got[N_ROWS], worst = 0;
    size_t used = 0;
    snprintf(path, sizeof path, "%s?model=%s", infer ? "/infer" : "/predict", model);
    bool single = n == 1 && !infer;
    used += (size_t)sprintf(body, "%s",
                            infer    ? "{\"inputs\":["
                            : single ? "{\"features\":"
                                     : "{\"instances\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0) body[used++] = ',';
        used += put_row(body + used, in + (first + i) * 15);
    }
    sprintf(body + used, single ? "}" : "]}");
    served_call(served, HTTP_METHOD_POST, path, body, &seen);
    if (seen.status != 200) fail_msg("%s: %d %s", path, seen.status, seen.body);
    const char *key = infer ? "\"outputs\":" : single ? "\"ctr\":" : "\"predictions\":";
    assert_int_equal(numbers_behind(seen.body, key, got, single ? 1 : N_ROWS), n);
    for (uint32_t i = 0; i < n; i++) worst = fmax(worst, fabs(got[i] - (double)want[first + i]));
    return worst;
}

static void answers_are_those_of_pytorch(void **state)
{
    (void)state;
    static const char *const names[] = {"deepfm", "wdl", "autoint"};
    static const uint32_t batches[] = {1, 3, 7, 64};
    struct service_model models[N_MODELS];
    char paths[N_MODELS][512], file[64];
    for (int m = 0; m < N_MODELS; m++) {
        snprintf(file, sizeof file, "models/%s.onnx", names[m]);
        snprintf(paths[m], sizeof paths[m], "%s", shared_path(file));
        models[m] = (struct service_model){.path = paths[m]};
    }
    struct served served;
    served_start(&served, &(struct served_options){.models = models, .n_models = N_MODELS});
    for (int m = 0; m < N_MODELS; m++) {
        snprintf(file, sizeof file, "models/%s.input.f32", names[m]);
        float *in = read_floats(file, N_ROWS * 15);
        snprintf(file, sizeof file, "models/%s.output.f32", names[m]);
        float *want = read_floats(file, N_ROWS);
        for (int b = 0; b < 4; b++)
            for (int infer = 0; infer < 2; infer++) {
                double worst = 0;
                for (uint32_t first = 0; first < N_ROWS; first += batches[b]) {
                    uint32_t n = N_ROWS - first < batches[b] ? N_ROWS - first : batches[b];
                    worst = fmax(worst, check_batch(&served, names[m], in, want, first, n, infer == 1));
                }
                print_message("%s %s batch %u: worst difference %.2e\n", names[m],
                              infer ? "/infer" : "/predict", batches[b], worst);
                assert_true(worst <= 1e-5);
            }
        free(in);
        free(want);
    }
    served_stop(&served);
}

static void an_index_outside_its_table_is_the_requests_fault(void **state)
{
    (void)state;
    char path[512];
    struct served served;
    static struct seen seen;
    snprintf(path, sizeof path, "%s", shared_path("models/deepfm.onnx"));
    struct service_model model = {.name = "m", .path = path};
    served_start(&served, &(struct served_options){.models = &model, .n_models = 1, .n_workers = 2});
    served_call(&served, HTTP_METHOD_POST, "/predict",
                "{\"features\":[4,15,1,1,1,88888,282,2,77,13,0.728,0.09,0.5,0.25,0.125]}", &seen);
    assert_int_equal(seen.status, 400);
    print_message("%s\n", seen.body);
    assert_non_null(strstr(seen.body, "88888"));
    served_call(&served, HTTP_METHOD_POST, "/predict",
                "{\"features\":[4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125]}", &seen);
    assert_int_equal(seen.status, 200);
    assert_non_null(strstr(seen.body, "{\"ctr\":0."));
    served_call(&served, HTTP_METHOD_GET, "/metrics", NULL, &seen);
    assert_int_equal(seen.status, 200);
    assert_non_null(strstr(seen.body, "nv_inference_request_success{model=\"m\",version=\"1\"} 1\n"));
    served_stop(&served);
}

static void what_cannot_start_says_why(void **state)
{
    (void)state;
    onnxd_error err;
    struct service_model missing = {.path = "/nonexistent/x.onnx"};
    assert_fails(
        served_try(&(struct served_options){.models = &missing, .n_models = 1, .n_workers = 2}, &err),
        ONNXD_ERR_NOT_FOUND, err, "model 'x'");
    assert_true(served_try_model(project_path("LICENSE"), &err) != ONNXD_OK);
    assert_non_null(strstr(err.message, "model 'LICENSE'"));
    int fds[2], again[2];
    uint16_t port;
    assert_ok(service_listen("127.0.0.1", 0, 2, fds, &port, &err), err);
    assert_fails(service_listen("127.0.0.1", port, 2, again, &port, &err), ONNXD_ERR_IO, err,
                 "cannot listen on");
    close(fds[0]);
    close(fds[1]);
}

/* Requests sent before the stop are answered. */
static void stopping_answers_what_is_under_way(void **state)
{
    (void)state;
    char path[512];
    struct served served;
    static struct seen seen;
    onnxd_error err;
    snprintf(path, sizeof path, "%s",
             project_path("models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx"));
    served_start_model(&served, path);
    served_call(&served, HTTP_METHOD_GET, "/health", NULL, &seen);
    assert_int_equal(seen.status, 200);
    struct http_client_request request = {.method = HTTP_METHOD_POST,
                                          .host = "t",
                                          .path = "/predict",
                                          .body = "{\"features\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}",
                                          .n_body = 44};
    for (int i = 0; i < 10; i++) assert_ok(http_client_queue(&served.client, &request, &err), err);
    assert_ok(http_client_write(&served.client, &err), err);
    service_drain(served.service);
    uint32_t n_before = served.client.n_waiting;
    while (served.client.n_waiting > 0) {
        struct pollfd wait = {.fd = served.client.fd, .events = POLLIN};
        assert_true(poll(&wait, 1, 30000) > 0);
        assert_ok(http_client_read(&served.client, served_see, &seen, &err), err);
    }
    assert_int_equal(n_before, 10);
    assert_int_equal(seen.status, 200);
    served_stop(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_LOOPS(answers_are_those_of_pytorch),
        ON_BOTH_LOOPS(an_index_outside_its_table_is_the_requests_fault),
        ON_BOTH_LOOPS(what_cannot_start_says_why),
        ON_BOTH_LOOPS(stopping_answers_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
