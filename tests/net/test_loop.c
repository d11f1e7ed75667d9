/* The contract of net/loop.h, held against every event loop: what is sent arrives whole and in order whatever
 * the kernel takes at a time, nothing is given to a paused stream and nothing is lost, what is removed is
 * closed. */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/loop.h"
#include "net/net_socket.h"
#include "support/loops.h"

#define MAX_ENDS 1400
#define STEP_NS  (20 * (uint64_t)NS_PER_S) /* far more than any wait takes; only a defect reaches it */

struct end { /* the loop's side of a connection, and what has happened to it */
    struct loop_stream stream;
    struct buf got;
    struct loop_room room; /* given to the loop when set */
    bool pause_after_data, remove_on_data;
    bool has_ended;
    int error;
    uint32_t n_writable, n_data;
    int peer; /* the other end, non-blocking */
};

struct bench {
    struct loop *loop;
    struct end *ends[MAX_ENDS];
    uint32_t n_ends;
    int accepted[64];
    uint32_t n_accepted;
    uint32_t n_told; /* callbacks in all, but for `writable`, which may come unasked */
};

static struct end *end_of(struct loop_stream *stream)
{
    return (struct end *)(void *)((char *)stream - offsetof(struct end, stream));
}

static void on_accepted(void *context, struct loop_listener *listener, int fd)
{
    struct bench *bench = context;
    assert_ptr_equal(listener->owner, bench);
    assert_true(bench->n_accepted < 64);
    bench->accepted[bench->n_accepted++] = fd;
    bench->n_told++;
}

static struct loop_room on_room(void *context, struct loop_stream *stream)
{
    (void)context;
    return end_of(stream)->room;
}

static void on_data(void *context, struct loop_stream *stream, char *bytes, size_t n)
{
    struct bench *bench = context;
    struct end *end = end_of(stream);
    assert_false(stream->paused);
    assert_true(n > 0);
    assert_true(buf_append(&end->got, bytes, n));
    memset(bytes, 'x', n); /* an owner may write to them */
    bench->n_told++;
    end->n_data++;
    if (end->pause_after_data) stream->paused = true;
    if (end->remove_on_data) loop_remove(bench->loop, stream);
}

static void on_ended(void *context, struct loop_stream *stream, int error)
{
    struct end *end = end_of(stream);
    assert_false(end->has_ended);
    assert_false(stream->paused);
    end->has_ended = true;
    end->error = error;
    ((struct bench *)context)->n_told++;
}

static void on_writable(void *context, struct loop_stream *stream)
{
    (void)context;
    end_of(stream)->n_writable++;
}

static void begin(struct bench *bench)
{
    onnxd_error err;
    memset(bench, 0, sizeof *bench);
    struct loop_callbacks callbacks = {bench, on_accepted, on_room, on_data, on_ended, on_writable};
    assert_ok(loop_create(test_loop(), &callbacks, &bench->loop, &err), err);
}

static struct end *add(struct bench *bench)
{
    onnxd_error err;
    int pair[2];
    struct end *end = calloc(1, sizeof *end);
    assert_non_null(end);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    buf_init(&end->got, SIZE_MAX / 4);
    end->stream.fd = pair[0];
    end->peer = pair[1];
    assert_ok(loop_add(bench->loop, &end->stream, &err), err);
    assert_true(bench->n_ends < MAX_ENDS);
    bench->ends[bench->n_ends++] = end;
    return end;
}

static void step(struct bench *bench, uint64_t timeout_ns)
{
    loop_step(bench->loop, timeout_ns);
    loop_release(bench->loop);
}

/* Steps until the condition holds. A loop may wake up with nothing to tell, but not for ever. */
#define step_until(bench, condition)                                             \
    do {                                                                         \
        uint64_t step_end_ns = monotonic_ns() + STEP_NS;                         \
        while (!(condition)) {                                                   \
            if (monotonic_ns() > step_end_ns) fail_msg("never: %s", #condition); \
            step(bench, STEP_NS);                                                \
        }                                                                        \
    } while (0)

static void finish(struct bench *bench)
{
    for (uint32_t i = 0; i < bench->n_ends; i++) {
        struct end *end = bench->ends[i];
        if (end->stream.open) loop_remove(bench->loop, &end->stream);
        if (end->peer >= 0) close(end->peer);
        buf_done(&end->got);
        free(end);
    }
    for (uint32_t i = 0; i < bench->n_accepted; i++) close(bench->accepted[i]);
    loop_release(bench->loop);
    loop_free(bench->loop);
}

static void put(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static bool is_closed(int fd) /* by its other end; reads what is left */
{
    char drop[4096];
    ssize_t got;
    while ((got = recv(fd, drop, sizeof drop, MSG_DONTWAIT)) > 0) {
    }
    return got == 0 || errno == ECONNRESET;
}

static void data_and_ends_are_told(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    struct end *a = add(&bench), *b = add(&bench);
    put(a->peer, "hello", 5);
    step_until(&bench, a->got.n == 5);
    assert_memory_equal(a->got.data, "hello", 5);
    char place[100];
    a->room = (struct loop_room){place, sizeof place};
    put(a->peer, "again", 5);
    put(b->peer, "b", 1);
    close(b->peer);
    b->peer = -1;
    step_until(&bench, a->got.n == 10 && b->has_ended);
    assert_memory_equal(a->got.data, "helloagain", 10);
    assert_int_equal(b->got.n, 1);
    assert_int_equal(b->error, 0);
    char words[] = "answer";
    struct iovec iov[2] = {{words, 2}, {words + 2, 4}};
    assert_int_equal(loop_send(bench.loop, &a->stream, iov, 2), 6);
    assert_int_equal(loop_send(bench.loop, &a->stream, iov, 1), 2); /* twice in a wake-up */
    loop_shut(bench.loop, &a->stream);
    step(&bench, 0);
    char got[16];
    assert_int_equal(recv(a->peer, got, sizeof got, 0), 8);
    assert_memory_equal(got, "answeran", 8);
    assert_int_equal(recv(a->peer, got, sizeof got, 0), 0);
    finish(&bench);
}

static void a_step_waits_no_longer_than_it_is_told(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    add(&bench);
    step(&bench, 0);
    uint64_t before_ns = monotonic_ns();
    step(&bench, 3 * NS_PER_MS);
    step(&bench, 200 * NS_PER_US);
    assert_true(monotonic_ns() - before_ns < STEP_NS);
    assert_true(monotonic_ns() - before_ns >= 3 * NS_PER_MS);
    assert_int_equal(bench.n_told, 0);
    finish(&bench);
}

static void a_paused_stream_gets_nothing_and_loses_nothing(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    struct end *end = add(&bench), *other = add(&bench);
    struct buf want;
    buf_init(&want, 1 << 24);
    end->pause_after_data = true;
    for (uint32_t round = 0; round < 200; round++) {
        for (int i = 0; i < 40; i++) { /* also while it is paused */
            char text[256];
            int n = snprintf(text, sizeof text, "%u.%d %0*d;", round, i, 1 + i * 5 % 90, i);
            put(end->peer, text, (size_t)n);
            assert_true(buf_append(&want, text, (size_t)n));
            if (i % 10 == 0) {
                put(other->peer, "o", 1);
                size_t n_before = other->got.n;
                step_until(&bench, other->got.n > n_before);
            }
        }
        uint32_t n_before = end->n_data;
        if (end->stream.paused) loop_resume(bench.loop, &end->stream);
        step_until(&bench, end->n_data > n_before);
        assert_true(end->stream.paused);
    }
    close(end->peer);
    end->peer = -1;
    end->pause_after_data = false;
    put(other->peer, "o", 1); /* the end is known to the kernel and not told */
    size_t n_other = other->got.n;
    step_until(&bench, other->got.n > n_other);
    assert_false(end->has_ended);
    loop_resume(bench.loop, &end->stream);
    step_until(&bench, end->has_ended);
    assert_int_equal(end->got.n, want.n);
    assert_memory_equal(end->got.data, want.data, want.n);
    buf_done(&want);
    finish(&bench);
}

/* Sends random sizes to a peer that takes random amounts; all must come out, in order. */
static void what_the_kernel_does_not_take_follows(void **state)
{
    (void)state;
    enum { N_BYTES = 20 << 20, N_STREAMS = 3 };
    struct bench bench;
    begin(&bench);
    struct rng rng = rng_seed(test_seed());
    struct end *ends[N_STREAMS];
    size_t sent[N_STREAMS] = {0}, taken[N_STREAMS] = {0};
    uint32_t n_told[N_STREAMS] = {0};
    bool blocked[N_STREAMS] = {false};
    char *bytes = malloc(N_BYTES), *got = malloc(1 << 20);
    assert_true(bytes != NULL && got != NULL);
    for (size_t i = 0; i < N_BYTES; i++) bytes[i] = (char)(i * 2654435761u >> 13);
    for (int s = 0; s < N_STREAMS; s++) ends[s] = add(&bench);
    for (bool more = true; more;) {
        more = false;
        for (int s = 0; s < N_STREAMS; s++) {
            for (int k = (int)rng_below(&rng, 3); k >= 0 && !blocked[s] && sent[s] < N_BYTES; k--) {
                size_t n = 1 + rng_below(&rng, rng_below(&rng, 8) == 0 ? 300000 : 9000);
                if (n > N_BYTES - sent[s]) n = N_BYTES - sent[s];
                struct iovec iov[2] = {{bytes + sent[s], n / 3}, {bytes + sent[s] + n / 3, n - n / 3}};
                n_told[s] = ends[s]->n_writable;
                ssize_t took = loop_send(bench.loop, &ends[s]->stream, iov, 2);
                assert_true(took >= 0 && (size_t)took <= n);
                sent[s] += (size_t)took;
                blocked[s] = (size_t)took < n;
                if (blocked[s]) break;
            }
            ssize_t came = 0;
            if (rng_below(&rng, 2) == 0)
                while ((came = recv(ends[s]->peer, got, 1 + rng_below(&rng, 1 << 20), MSG_DONTWAIT)) > 0) {
                    assert_memory_equal(got, bytes + taken[s], came);
                    taken[s] += (size_t)came;
                }
            if (blocked[s] && ends[s]->n_writable > n_told[s]) blocked[s] = false;
            more |= taken[s] < N_BYTES;
        }
        step(&bench, 0);
    }
    for (int s = 0; s < N_STREAMS; s++) assert_int_equal(sent[s], N_BYTES);
    free(bytes);
    free(got);
    finish(&bench);
}

/* The last answer arrives whole although the stream is shut, or removed, before the peer takes it. */
static void shutting_waits_for_what_was_sent(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    struct end *end = add(&bench);
    size_t sent = 0, came = 0;
    char text[5000];
    memset(text, 'a', sizeof text);
    struct iovec iov = {text, sizeof text};
    for (ssize_t took = 1; took > 0 && sent < 1 << 24; sent += (size_t)took) {
        took = loop_send(bench.loop, &end->stream, &iov, 1);
        if (sent % 3 == 0) step(&bench, 0);
        if ((size_t)took < sizeof text) {
            sent += (size_t)took;
            break;
        }
    }
    loop_shut(bench.loop, &end->stream);
    for (uint64_t end_ns = monotonic_ns() + STEP_NS; monotonic_ns() < end_ns;) {
        ssize_t n = recv(end->peer, text, sizeof text, 0);
        if (n == 0) break;
        if (n > 0) came += (size_t)n;
        step(&bench, 0);
    }
    assert_int_equal(came, sent);
    finish(&bench);
}

static void removed_streams_are_closed_and_silent(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    struct end *a = add(&bench), *b = add(&bench), *c = add(&bench);
    a->remove_on_data = true;
    put(a->peer, "1", 1);
    put(b->peer, "2", 1);
    step_until(&bench, a->got.n == 1 && b->got.n == 1);
    assert_false(a->stream.open);
    put(b->peer, "3", 1);
    put(c->peer, "4", 1);
    char bye[] = "bye";
    struct iovec iov = {bye, 3};
    assert_int_equal(loop_send(bench.loop, &c->stream, &iov, 1), 3);
    loop_remove(bench.loop, &c->stream); /* what was sent goes out all the same */
    step_until(&bench, b->got.n == 2);
    step(&bench, 0);
    assert_int_equal(c->got.n, 0);
    char got[8];
    assert_int_equal(recv(c->peer, got, sizeof got, 0), 3);
    assert_true(is_closed(a->peer));
    assert_true(is_closed(c->peer));
    assert_false(is_closed(b->peer));
    finish(&bench);
}

static int most_pairs(void) /* of sockets, within the limit of open files */
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4096) limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t n = (limit.rlim_cur - 64) / 2;
    return n < MAX_ENDS - 1 ? (int)n : MAX_ENDS - 1;
}

/* More streams than there are shared buffers have something at once, and one has far more than they hold. */
static void buffers_come_back(void **state)
{
    (void)state;
    enum { BIG = 3 << 20 };
    int n = most_pairs();
    struct bench bench;
    begin(&bench);
    struct end *big = NULL;
    for (int i = 0; i < n; i++) add(&bench);
    big = add(&bench);
    char *bytes = malloc(BIG);
    assert_non_null(bytes);
    for (size_t i = 0; i < BIG; i++) bytes[i] = (char)(i * 2654435761u >> 11);
    size_t sent = 0;
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < n; i++) put(bench.ends[i]->peer, "hello", 5);
        uint32_t n_whole = 0;
        for (uint64_t end_ns = monotonic_ns() + STEP_NS; n_whole < (uint32_t)n && monotonic_ns() < end_ns;) {
            if (sent < BIG) {
                ssize_t took = send(big->peer, bytes + sent, BIG - sent, MSG_NOSIGNAL);
                if (took > 0) sent += (size_t)took;
            }
            step(&bench, 0);
            n_whole = 0;
            for (int i = 0; i < n; i++) n_whole += bench.ends[i]->got.n == 5u * (uint32_t)round;
        }
        assert_int_equal(n_whole, n);
    }
    for (uint64_t end_ns = monotonic_ns() + STEP_NS; big->got.n < BIG && monotonic_ns() < end_ns;) {
        ssize_t took = sent < BIG ? send(big->peer, bytes + sent, BIG - sent, MSG_NOSIGNAL) : 0;
        if (took > 0) sent += (size_t)took;
        step(&bench, 0);
    }
    assert_int_equal(big->got.n, BIG);
    assert_memory_equal(big->got.data, bytes, BIG);
    free(bytes);
    finish(&bench);
}

static int listening(uint16_t *ret_port)
{
    struct net_address address;
    onnxd_error err;
    int fd;
    assert_ok(net_address_tcp("127.0.0.1", *ret_port, &address, &err), err);
    assert_ok(net_listen(&address, false, &fd, ret_port, &err), err);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct net_address address;
    onnxd_error err;
    int fd;
    assert_ok(net_address_tcp("127.0.0.1", port, &address, &err), err);
    assert_ok(net_connect(&address, &fd, &err), err);
    return fd;
}

static void listeners_take_connections_until_they_are_taken_out(void **state)
{
    (void)state;
    struct bench bench;
    onnxd_error err;
    int peers[40];
    begin(&bench);
    uint16_t ports[2] = {0, 0};
    struct loop_listener listeners[2] = {{.owner = &bench}, {.owner = &bench}};
    for (int i = 0; i < 2; i++) {
        listeners[i].fd = listening(&ports[i]);
        assert_ok(loop_listen(bench.loop, &listeners[i], &err), err);
    }
    for (int i = 0; i < 40; i++) peers[i] = connect_to(ports[i % 2]);
    step_until(&bench, bench.n_accepted == 40);
    loop_unlisten(bench.loop, &listeners[0]);
    close(listeners[0].fd);
    listeners[0].fd = listening(&ports[0]); /* the port is free again */
    int one = connect_to(ports[0]), two = connect_to(ports[1]);
    step_until(&bench, bench.n_accepted == 41);
    step(&bench, 0);
    assert_int_equal(bench.n_accepted, 41);
    loop_unlisten(bench.loop, &listeners[1]);
    for (int i = 0; i < 40; i++) close(peers[i]);
    for (int i = 0; i < 2; i++) close(listeners[i].fd);
    close(one);
    close(two);
    finish(&bench);
}

struct ping {
    struct loop_task task;
    struct loop *loop;
    uint32_t n_left, n_run;
};

static void run_ping(struct loop_task *task)
{
    struct ping *ping = (struct ping *)task;
    ping->n_run++;
    if (ping->n_left-- > 0) loop_post(ping->loop, task); /* from within */
}

static void *post_pings(void *context)
{
    struct ping *pings = context;
    for (int i = 0; i < 100; i++) loop_post(pings[i].loop, &pings[i].task);
    return NULL;
}

static void tasks_of_other_threads_run_here(void **state)
{
    (void)state;
    struct bench bench;
    begin(&bench);
    struct ping pings[4][100];
    pthread_t threads[4];
    for (int t = 0; t < 4; t++) {
        for (int i = 0; i < 100; i++)
            pings[t][i] = (struct ping){
                .task.run = run_ping, .loop = bench.loop, .n_left = (uint32_t)(i % 3)};
        assert_int_equal(pthread_create(&threads[t], NULL, post_pings, pings[t]), 0);
    }
    for (int t = 0; t < 4; t++)
        for (uint32_t i = 0; i < 100; i++) step_until(&bench, pings[t][i].n_run == i % 3 + 1);
    for (int t = 0; t < 4; t++) pthread_join(threads[t], NULL);
    finish(&bench);
}

static void *step_once(void *context)
{
    struct bench *bench = context;
    step_until(bench, bench->ends[0]->got.n == 1);
    return NULL;
}

/* A server's threads end before the server is freed. */
static void a_loop_may_be_freed_by_another_thread(void **state)
{
    (void)state;
    struct bench bench;
    onnxd_error err;
    begin(&bench);
    uint16_t port = 0;
    struct loop_listener listener = {.owner = &bench, .fd = listening(&port)};
    assert_ok(loop_listen(bench.loop, &listener, &err), err);
    struct end *end = add(&bench);
    put(end->peer, "1", 1);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, step_once, &bench), 0);
    pthread_join(thread, NULL);
    loop_unlisten(bench.loop, &listener);
    close(listener.fd);
    finish(&bench);
}

/* ---- where io_uring is forbidden -------------------------------------------------------------------- */

static bool forbid(uint32_t system_call)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child, for what is forbidden stays so. Its exit status says which expectation failed, 0 none. */
static int in_a_container(uint32_t system_call)
{
    struct loop_callbacks callbacks = {0};
    struct loop *loop = NULL;
    onnxd_error err = {.message = ""};
    if (!forbid(system_call)) return 77;
    if (loop_create(LOOP_URING, &callbacks, &loop, &err) != ONNXD_ERR_UNSUPPORTED || loop != NULL) return 1;
    if (strstr(err.message, "io_uring") == NULL) return 2;
    if (loop_create(LOOP_AUTO, &callbacks, &loop, &err) != ONNXD_OK) return 3;
    if (strcmp(loop_name(loop), "epoll") != 0) return 4;
    loop_free(loop);
    return 0;
}

static void forbidden_io_uring_is_told_and_hinders_no_other(void **state)
{
    (void)state;
    static const uint32_t calls[] = {__NR_io_uring_setup, __NR_io_uring_register, __NR_io_uring_enter};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(in_a_container(calls[i]));
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77) skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH_LOOPS(data_and_ends_are_told),
        ON_BOTH_LOOPS(a_step_waits_no_longer_than_it_is_told),
        ON_BOTH_LOOPS(a_paused_stream_gets_nothing_and_loses_nothing),
        ON_BOTH_LOOPS(what_the_kernel_does_not_take_follows),
        ON_BOTH_LOOPS(shutting_waits_for_what_was_sent),
        ON_BOTH_LOOPS(removed_streams_are_closed_and_silent),
        ON_BOTH_LOOPS(buffers_come_back),
        ON_BOTH_LOOPS(listeners_take_connections_until_they_are_taken_out),
        ON_BOTH_LOOPS(tasks_of_other_threads_run_here),
        ON_BOTH_LOOPS(a_loop_may_be_freed_by_another_thread),
        cmocka_unit_test(forbidden_io_uring_is_told_and_hinders_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
