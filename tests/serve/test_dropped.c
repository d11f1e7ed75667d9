/* Connections that are opened and dropped at random points of a request, while others are served: every one
 * of those gets its answer, and afterwards the process holds the descriptors and the memory that it held
 * before. */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "support/loops.h"
#include "support/served.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif

#define WAIT_NS         (30 * (uint64_t)NS_PER_S)
#define N_DROPPED       1000
#define MAX_DESCRIPTORS 4096 /* more than the server may hold with so many connections */
#define GROWTH_BYTES \
    (4u << 20) /* far below 1,000 times what a connection takes while it lives, and above noise */

#define ROW  "4,15,1,1,1,3321,282,2,77,13,0.728,0.09,0.5,0.25,0.125"
#define BODY "{\"features\":[" ROW "]}"
#define POST "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"

static const char *const requests[] = {
    POST "Content-Length: 68\r\n\r\n" BODY,
    POST "Content-Length: 68\r\n\r\n" BODY POST "Content-Length: 68\r\n\r\n" BODY "GET /metrics HTTP/1.1\r\n"
         "Host: a\r\n\r\n" POST "Content-Length: 68\r\n\r\n" BODY,
    POST "Transfer-Encoding: chunked\r\n\r\n44;x=y\r\n" BODY "\r\n0\r\nT: r\r\n\r\n",
    POST "Expect: 100-continue\r\nContent-Length: 68\r\n\r\n" BODY,
    "POST /infer HTTP/1.1\r\nHost: a\r\nContent-Length: 124\r\n\r\n{\"inputs\":[[" ROW "],[" ROW "]]}",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
};

/* Without opening one: the thread sanitizer does not see what io_uring closes, and would take the number's
 * next owner for the last. */
static uint32_t n_descriptors(void)
{
    uint32_t n = 0;
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static size_t resident_bytes(void)
{
    unsigned long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Sends a piece of a request, perhaps reads a piece of the answer, and goes away in one of three ways. */
static void drop_one(const struct net_address *address, struct rng *rng)
{
    onnxd_error err;
    char got[512];
    int fd;
    const char *text = requests[rng_below(rng, sizeof requests / sizeof *requests)];
    size_t n = strlen(text), cut = rng_below(rng, n + 1);
    assert_ok(net_connect(address, &fd, &err), err);
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&wait, 1, (int)(WAIT_NS / NS_PER_MS)), 1);
    if (cut > 0) assert_int_equal(send(fd, text, cut, MSG_NOSIGNAL), cut);
    if (cut == n && rng_below(rng, 2) == 0) { /* a few bytes of the answer */
        wait.events = POLLIN;
        assert_int_equal(poll(&wait, 1, (int)(WAIT_NS / NS_PER_MS)), 1);
        ssize_t n_got = recv(fd, got, 1 + rng_below(rng, sizeof got), MSG_DONTWAIT);
        assert_true(n_got > 0 || errno == ECONNRESET);
    }
    uint64_t way = rng_below(rng, 3);
    struct linger linger = {.l_onoff = 1};
    if (way == 1) setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger); /* a reset */
    if (way == 2) shutdown(fd, SHUT_WR);
    close(fd);
}

static void ask(struct served *served)
{
    static struct seen seen;
    served_call(served, HTTP_METHOD_POST, "/predict", BODY, &seen);
    assert_int_equal(seen.status, 200);
    assert_memory_equal(seen.body, "{\"ctr\":", 7);
}

static void drop_many(struct served *served, struct rng *rng)
{
    for (int i = 0; i < N_DROPPED; i++) {
        drop_one(&served->address, rng);
        if (i % 20 == 0) ask(served);
    }
}

/* The server notices in its own time; each question is a wake-up. */
static uint32_t settled_descriptors(struct served *served, uint32_t want)
{
    uint32_t n = n_descriptors();
    for (uint64_t end_ns = monotonic_ns() + WAIT_NS; n != want && monotonic_ns() < end_ns;
         n = n_descriptors())
        ask(served);
    return n;
}

static void nothing_is_left_of_dropped_connections(void **state)
{
    (void)state;
    struct served served;
    struct rng rng = rng_seed(test_seed());
    const struct service_model model = {
        .path = project_path("models/deepfm_emb8_lr0.0001_dnn25612864_neg150_best.onnx")};
    served_start(&served, &(struct served_options){.models = &model, .n_models = 1, .n_workers = 2});
    ask(&served);
    uint32_t n_before = n_descriptors();
    drop_many(&served, &rng); /* buffers grow to what they keep */
    assert_int_equal(settled_descriptors(&served, n_before), n_before);
    size_t resident_before = resident_bytes();
    drop_many(&served, &rng);
    assert_int_equal(settled_descriptors(&served, n_before), n_before);
#ifndef IS_SANITIZED /* sanitizers keep what is freed */
    size_t resident = resident_bytes();
    if (resident > resident_before + GROWTH_BYTES)
        fail_msg("resident memory grew from %zu to %zu bytes", resident_before, resident);
#else
    (void)resident_before;
#endif
    served_stop(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {ON_BOTH_LOOPS(nothing_is_left_of_dropped_connections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
