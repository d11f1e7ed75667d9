#include "support/test.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "serve/notify.h"

struct manager { /* who is told: the other end of NOTIFY_SOCKET */
    int fd;
    char folder[32], path[64];
};

static void listen_as_manager(struct manager *manager)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(manager->folder, "/tmp/onnxd-notify-XXXXXX");
    assert_non_null(mkdtemp(manager->folder));
    snprintf(manager->path, sizeof manager->path, "%s/socket", manager->folder);
    strcpy(address.sun_path, manager->path);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(manager->fd, (struct sockaddr *)&address, sizeof address));
    setenv("NOTIFY_SOCKET", manager->path, 1);
}

static void assert_told(const struct manager *manager, const char *want)
{
    char text[600];
    ssize_t n = recv(manager->fd, text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(n >= 0);
    text[n] = 0;
    assert_string_equal(want, text);
}

static void leave(struct manager *manager)
{
    close(manager->fd);
    unlink(manager->path);
    rmdir(manager->folder);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void says_what_it_is_told_to(void **state)
{
    (void)state;
    struct manager manager;
    struct notify notify;
    onnxd_error err;
    listen_as_manager(&manager);
    assert_ok(notify_init(&notify, &err), err);
    assert_int_equal(0, notify.watchdog_ns);
    notify_say(&notify, "READY=1\nSTATUS=listening on %s", "http://127.0.0.1:3000");
    assert_told(&manager, "READY=1\nSTATUS=listening on http://127.0.0.1:3000");
    notify_say(&notify, "STOPPING=1");
    assert_told(&manager, "STOPPING=1");
    char status[1000] = {0}, want[512] = "STATUS=";
    memset(status, 'x', sizeof status - 1);
    memset(want + 7, 'x', sizeof want - 8);
    notify_say(&notify, "STATUS=%s", status); /* cut, not overrun */
    assert_told(&manager, want);
    notify_done(&notify);
    assert_int_equal(-1, notify.fd);
    leave(&manager);
}

static void speaks_to_the_abstract_namespace(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct manager manager = {.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "onnxd-notify-%ld", (long)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    assert_int_equal(0, bind(manager.fd, (struct sockaddr *)&address, size));
    char name[120];
    snprintf(name, sizeof name, "@%s", address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);
    struct notify notify;
    onnxd_error err;
    assert_ok(notify_init(&notify, &err), err);
    notify_say(&notify, "READY=1");
    assert_told(&manager, "READY=1");
    notify_done(&notify);
    leave(&manager);
}

static void says_nothing_to_nobody(void **state)
{
    (void)state;
    struct notify notify;
    onnxd_error err;
    setenv("WATCHDOG_USEC", "1000000", 1);
    unsetenv("NOTIFY_SOCKET");
    assert_ok(notify_init(&notify, &err), err);
    assert_int_equal(-1, notify.fd);
    assert_int_equal(0, notify.watchdog_ns);
    notify_say(&notify, "READY=1");
    notify_done(&notify);
    unsetenv("WATCHDOG_USEC");
}

static void pings_are_for_the_process_they_were_asked_of(void **state)
{
    (void)state;
    struct manager manager;
    struct notify notify;
    onnxd_error err;
    char pid[24];
    listen_as_manager(&manager);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_ok(notify_init(&notify, &err), err);
    assert_true(notify.watchdog_ns == 30 * NS_PER_S);
    notify_done(&notify);
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_ok(notify_init(&notify, &err), err);
    assert_true(notify.watchdog_ns == 30 * NS_PER_S);
    notify_done(&notify);
    setenv("WATCHDOG_PID", "1", 1);
    assert_ok(notify_init(&notify, &err), err);
    assert_int_equal(0, notify.watchdog_ns);
    notify_done(&notify);
    leave(&manager);
}

static void names_what_is_wrong(void **state)
{
    (void)state;
    struct manager manager;
    struct notify notify;
    onnxd_error err;
    char path[200];
    listen_as_manager(&manager);
    static const char *const bad_times[] = {
        "", "0", "-1", "+5", "1s", "99999999999999999999", "18446744073709551615"};
    for (size_t i = 0; i < sizeof bad_times / sizeof *bad_times; i++) {
        setenv("WATCHDOG_USEC", bad_times[i], 1);
        assert_fails(notify_init(&notify, &err), ONNXD_ERR_FORMAT, err, "WATCHDOG_USEC");
        assert_int_equal(-1, notify.fd);
    }
    leave(&manager);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_fails(notify_init(&notify, &err), ONNXD_ERR_FORMAT, err, "'relative'");
    setenv("NOTIFY_SOCKET", "@", 1);
    assert_fails(notify_init(&notify, &err), ONNXD_ERR_FORMAT, err, "'@'");
    setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
    assert_fails(notify_init(&notify, &err), ONNXD_ERR_UNSUPPORTED, err, "vsock:2:1234");
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    assert_fails(notify_init(&notify, &err), ONNXD_ERR_IO, err, "/nonexistent/socket");
    memset(path, '/', sizeof path);
    path[sizeof path - 1] = 0;
    setenv("NOTIFY_SOCKET", path, 1);
    assert_fails(notify_init(&notify, &err), ONNXD_ERR_LIMIT, err, "a path has");
    unsetenv("NOTIFY_SOCKET");
}

static void a_manager_that_left_stops_nothing(void **state)
{
    (void)state;
    struct manager manager;
    struct notify notify;
    onnxd_error err;
    listen_as_manager(&manager);
    assert_ok(notify_init(&notify, &err), err);
    leave(&manager);
    notify_say(&notify, "WATCHDOG=1"); /* tells the log */
    notify_done(&notify);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_is_told_to),
        cmocka_unit_test(speaks_to_the_abstract_namespace),
        cmocka_unit_test(says_nothing_to_nobody),
        cmocka_unit_test(pings_are_for_the_process_they_were_asked_of),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(a_manager_that_left_stops_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
