#include "support/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/net_socket.h"
#include "serve/handover.h"
#include "serve/service.h"

enum { MANY = 8 };

static int listen_tcp(uint16_t *ret_port)
{
    struct net_address address;
    onnxd_error err;
    int fd;
    assert_ok(net_address_tcp("127.0.0.1", 0, &address, &err), err);
    assert_ok(net_listen(&address, false, &fd, ret_port, &err), err);
    return fd;
}

static int listen_unix(const char *path)
{
    struct net_address address;
    onnxd_error err;
    int fd;
    assert_ok(net_address_unix(path, &address, &err), err);
    assert_ok(net_listen(&address, false, &fd, NULL, &err), err);
    return fd;
}

static void set_number(const char *name, long number)
{
    char text[24];
    snprintf(text, sizeof text, "%ld", number);
    setenv(name, text, 1);
}

/* Sockets at descriptors 3.., as a service manager leaves them, are a matter of a process of its own. */
static void in_a_process(void (*body)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (int fd = 3; fd < 64; fd++) close(fd);
        body();
        _exit(0);
    }
    int status = -1;
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_int_equal(0, status);
}

#define CHECK(condition)                                                                         \
    do {                                                                                         \
        if (!(condition)) {                                                                      \
            fprintf(stderr, "%s:%d: " #condition "; \"%s\"\n", __FILE__, __LINE__, err.message); \
            _exit(1);                                                                            \
        }                                                                                        \
    } while (0)

static void activated_body(void)
{
    uint16_t ports[2];
    int fds[MANY];
    uint32_t n = 0;
    onnxd_error err = {.message = ""};
    for (int i = 0; i < 2; i++) {
        int fd = listen_tcp(&ports[i]);
        CHECK(fd == 3 + i);
        fcntl(fd, F_SETFD, 0);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    setenv("LISTEN_FDS", "2", 1);
    set_number("LISTEN_PID", (long)getpid() + 1);
    CHECK(handover_take(fds, MANY, &n, &err) == ONNXD_OK && n == 0); /* another's; LISTEN_FDS is forgotten */
    setenv("LISTEN_FDS", "2", 1);
    set_number("LISTEN_PID", (long)getpid());
    CHECK(handover_take(fds, MANY, &n, &err) == ONNXD_OK && n == 2);
    for (int i = 0; i < 2; i++) {
        CHECK(fds[i] == 3 + i && net_socket_port(fds[i]) == ports[i]);
        CHECK((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((fcntl(fds[i], F_GETFL) & O_NONBLOCK) != 0);
    }
    CHECK(handover_take(fds, MANY, &n, &err) == ONNXD_OK && n == 0);
}

static void sockets_of_a_service_manager_are_taken(void **state)
{
    (void)state;
    in_a_process(activated_body);
}

static void expect_refusal(const char *count, uint32_t max, const char *text)
{
    int fds[MANY];
    uint32_t n = 77;
    onnxd_error err = {.message = ""};
    set_number("LISTEN_PID", (long)getpid());
    setenv("LISTEN_FDS", count, 1);
    CHECK(handover_take(fds, max, &n, &err) == ONNXD_ERR_FORMAT);
    CHECK(n == 77 && strstr(err.message, text) != NULL);
}

static void refusal_body(void)
{
    uint16_t port;
    listen_tcp(&port);
    expect_refusal("", MANY, "LISTEN_FDS ''");
    expect_refusal("-1", MANY, "LISTEN_FDS '-1'");
    expect_refusal("1x", MANY, "LISTEN_FDS '1x'");
    expect_refusal("9", MANY, "more than the 8");
    expect_refusal("99999999999999999999999", MANY, "more than");
    expect_refusal("2", MANY, "descriptor 4 is not a listening");
    onnxd_error err = {.message = ""};
    CHECK(socket(AF_INET, SOCK_DGRAM, 0) == 4);
    expect_refusal("2", MANY, "descriptor 4 is not a listening");
}

static void mangled_activation_is_refused(void **state)
{
    (void)state;
    in_a_process(refusal_body);
}

static void inherited_body(void)
{
    uint16_t port;
    int fds[MANY];
    uint32_t n = 0;
    onnxd_error err = {.message = ""};
    int a = listen_tcp(&port), b = listen_tcp(&port);
    static const char *const bad[] = {"",       "12",    "12:",   "1:3", "12:3,",
                                      "12:3;4", "12:-3", "12:60", "x:3", "12:3,4,3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("ONNXD_INHERITED_SOCKETS", bad[i], 1);
        err.message[0] = 0;
        CHECK(handover_take(fds, 2, &n, &err) == ONNXD_ERR_FORMAT);
        CHECK(strstr(err.message, "ONNXD_INHERITED_SOCKETS") != NULL);
    }
    char text[64];
    snprintf(text, sizeof text, "%ld:%d,%d", (long)getpid(), b, a);
    setenv("ONNXD_INHERITED_SOCKETS", text, 1);
    set_number("LISTEN_PID", (long)getpid());
    setenv("LISTEN_FDS", "1", 1); /* of the program before: what was handed over counts */
    CHECK(handover_take(fds, 2, &n, &err) == ONNXD_OK && n == 2 && fds[0] == b && fds[1] == a);
    CHECK(getenv("LISTEN_FDS") == NULL && getenv("ONNXD_INHERITED_SOCKETS") == NULL);

    sigset_t signals;
    siginfo_t info;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    handover_finish(); /* to this process, which gave them to itself */
    CHECK(sigwaitinfo(&signals, &info) == SIGTERM && handover_successor(&info) == getpid());
    kill(getpid(), SIGTERM);
    CHECK(sigwaitinfo(&signals, &info) == SIGTERM && handover_successor(&info) == 0);
}

static void sockets_of_the_program_before_are_taken(void **state)
{
    (void)state;
    in_a_process(inherited_body);
}

static void sockets_are_spread_over_the_workers(void **state)
{
    (void)state;
    for (uint32_t n_fds = 1; n_fds <= MANY; n_fds++)
        for (uint32_t n = 1; n <= n_fds; n++) {
            int given[MANY], fds[MANY], unix_fd = -1;
            uint16_t ports[MANY];
            uint32_t n_tcp = 0;
            onnxd_error err;
            for (uint32_t i = 0; i < n; i++) given[i] = listen_tcp(&ports[i]);
            assert_ok(handover_spread(given, n, fds, n_fds, &unix_fd, &n_tcp, &err), err);
            assert_int_equal(n, n_tcp);
            assert_int_equal(-1, unix_fd);
            uint32_t uses[MANY] = {0};
            for (uint32_t i = 0; i < n_fds; i++) {
                uint32_t from = 0;
                while (from < n && ports[from] != net_socket_port(fds[i])) from++;
                assert_true(from < n);
                uses[from]++;
                for (uint32_t j = 0; j < i; j++) assert_int_not_equal(fds[j], fds[i]);
            }
            for (uint32_t i = 0; i < n; i++) assert_true(uses[i] >= n_fds / n && uses[i] <= n_fds / n + 1);
            for (uint32_t i = 0; i < n_fds; i++) close(fds[i]);
        }
}

static void a_unix_socket_is_told_from_the_others(void **state)
{
    (void)state;
    char folder[] = "/tmp/onnxd-handover-XXXXXX", first[64], second[64];
    assert_non_null(mkdtemp(folder));
    snprintf(first, sizeof first, "%s/a", folder);
    snprintf(second, sizeof second, "%s/b", folder);
    int fds[2] = {-7, -7}, unix_fd = -1;
    uint16_t port;
    uint32_t n_tcp = 9;
    onnxd_error err;
    int a = listen_unix(first), b = listen_unix(second), c = listen_tcp(&port), d = listen_tcp(&port),
        e = listen_tcp(&port);
    assert_ok(handover_spread((int[]){a}, 1, fds, 2, &unix_fd, &n_tcp, &err), err);
    assert_int_equal(a, unix_fd);
    assert_int_equal(0, n_tcp);
    assert_int_equal(-7, fds[0]);
    unix_fd = -1;
    assert_fails(handover_spread((int[]){a, b}, 2, fds, 2, &unix_fd, &n_tcp, &err), ONNXD_ERR_ARGUMENT, err,
                 "one unix socket, got 2");
    assert_fails(handover_spread((int[]){a, c, d, e}, 4, fds, 2, &unix_fd, &n_tcp, &err), ONNXD_ERR_ARGUMENT,
                 err, "got 3 for 2 workers");
    assert_int_equal(-1, unix_fd);
    assert_ok(handover_spread((int[]){c, a, d}, 3, fds, 2, &unix_fd, &n_tcp, &err), err);
    assert_int_equal(a, unix_fd);
    assert_int_equal(2, n_tcp);
    assert_int_equal(c, fds[0]);
    assert_int_equal(d, fds[1]);
    int all[] = {a, b, c, d, e};
    for (size_t i = 0; i < 5; i++) close(all[i]);
    unlink(first);
    unlink(second);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_of_a_service_manager_are_taken),
        cmocka_unit_test(mangled_activation_is_refused),
        cmocka_unit_test(sockets_of_the_program_before_are_taken),
        cmocka_unit_test(sockets_are_spread_over_the_workers),
        cmocka_unit_test(a_unix_socket_is_told_from_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
