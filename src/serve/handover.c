#include "serve/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"

#define LIST_VARIABLE   "ONNXD_INHERITED_SOCKETS" /* "PID:FD,FD,...": who hands over, and what */
#define ORDERS_VARIABLE "ONNXD_INHERITED_ORDERS"  /* the same of orders to the repository */
#define FIRST_GIVEN     3                         /* of a service manager's */

static pid_t predecessor;

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &n) == 0 && value == 1;
}

static void make_ours(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (flags >= 0) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* Reads "PID:FD,FD,..." where `is_right` holds of each descriptor. */
static bool read_list(const char *text, bool (*is_right)(int fd), int *fds, uint32_t max, uint32_t *ret_n,
                      long *ret_pid)
{
    uint32_t n = 0;
    char *end;
    long pid = strtol(text, &end, 10);
    bool ok = *end == ':' && pid > 1;
    while (ok && *end != 0) {
        long fd = strtol(end + 1, &end, 10);
        ok = (*end == ',' || *end == 0) && fd > 2 && n < max && is_right((int)fd);
        if (ok) fds[n++] = (int)fd;
    }
    *ret_n = n;
    *ret_pid = pid;
    return ok;
}

static onnxd_status take_inherited(const char *text, int *fds, uint32_t max, uint32_t *ret_n,
                                   onnxd_error *err)
{
    long pid;
    if (!read_list(text, is_listening, fds, max, ret_n, &pid))
        return error_set(err, ONNXD_ERR_FORMAT,
                         "%s: not a list of up to %u listening sockets (the number of workers must stay)",
                         LIST_VARIABLE, max);
    predecessor = (pid_t)pid;
    return ONNXD_OK;
}

/* Sockets FIRST_GIVEN.. that a service manager opened for the process LISTEN_PID. */
static onnxd_status take_activated(const char *text, int *fds, uint32_t max, uint32_t *ret_n,
                                   onnxd_error *err)
{
    const char *pid = getenv("LISTEN_PID");
    char *end;
    if (pid == NULL || strtol(pid, NULL, 10) != (long)getpid()) return ONNXD_OK; /* meant for another */
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0)
        return error_set(err, ONNXD_ERR_FORMAT, "LISTEN_FDS '%s': expected a number of sockets", text);
    if (n > max)
        return error_set(err, ONNXD_ERR_FORMAT,
                         "LISTEN_FDS: %lu sockets are more than the %u there is use for", n, max);
    for (uint32_t i = 0; i < n; i++) {
        fds[i] = FIRST_GIVEN + (int)i;
        if (!is_listening(fds[i]))
            return error_set(
                err, ONNXD_ERR_FORMAT,
                "LISTEN_FDS: descriptor %d is not a listening stream socket (Accept=no is needed)", fds[i]);
    }
    *ret_n = (uint32_t)n;
    return ONNXD_OK;
}

onnxd_status handover_take(int *fds, uint32_t max, uint32_t *ret_n, onnxd_error *err)
{
    const char *inherited = getenv(LIST_VARIABLE), *activated = getenv("LISTEN_FDS");
    uint32_t n = 0;
    onnxd_status status = ONNXD_OK;
    if (inherited != NULL)
        status = take_inherited(inherited, fds, max, &n, err);
    else if (activated != NULL)
        status = take_activated(activated, fds, max, &n, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t i = 0; i < n; i++) make_ours(fds[i]);
    unsetenv(LIST_VARIABLE);
    unsetenv("LISTEN_FDS");
    *ret_n = n;
    return ONNXD_OK;
}

static bool is_memory_file(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0;
}

onnxd_status handover_take_orders(int *ret_fd, onnxd_error *err)
{
    const char *text = getenv(ORDERS_VARIABLE);
    uint32_t n = 0;
    long pid;
    int fd = -1;
    if (text != NULL && !read_list(text, is_memory_file, &fd, 1, &n, &pid))
        return error_set(err, ONNXD_ERR_FORMAT, "%s: expected the process and a file in memory",
                         ORDERS_VARIABLE);
    if (n > 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
    unsetenv(ORDERS_VARIABLE);
    *ret_fd = n > 0 ? fd : -1;
    return ONNXD_OK;
}

static bool is_unix(int fd)
{
    struct sockaddr_storage storage;
    socklen_t n = sizeof storage;
    return getsockname(fd, (struct sockaddr *)&storage, &n) == 0 && storage.ss_family == AF_UNIX;
}

/* Fills fds[n_fds] from them: each of fds[0, n_tcp) takes a block of places, its own and copies. */
static onnxd_status fill_places(int *fds, uint32_t n_tcp, uint32_t n_fds, onnxd_error *err)
{
    for (uint32_t i = n_fds; i-- > 0;) { /* from the end, so that none is overwritten before it was copied */
        uint32_t from = (uint32_t)((uint64_t)i * n_tcp / n_fds);
        bool is_last_use = i == 0 || (uint32_t)((uint64_t)(i - 1) * n_tcp / n_fds) != from;
        int fd = is_last_use ? fds[from] : fcntl(fds[from], F_DUPFD_CLOEXEC, FIRST_GIVEN);
        if (fd < 0) return error_set(err, ONNXD_ERR_IO, "cannot copy a socket: %s", strerror(errno));
        fds[i] = fd;
    }
    return ONNXD_OK;
}

onnxd_status handover_spread(const int *given, uint32_t n_given, int *fds, uint32_t n_fds, int *unix_fd,
                             uint32_t *ret_n_tcp, onnxd_error *err)
{
    uint32_t n_tcp = 0, n_unix = 0;
    for (uint32_t i = 0; i < n_given; i++) n_unix += is_unix(given[i]);
    if (n_unix > 1)
        return error_set(err, ONNXD_ERR_ARGUMENT, "given sockets: there is use for one unix socket, got %u",
                         n_unix);
    if (n_given - n_unix > n_fds)
        return error_set(err, ONNXD_ERR_ARGUMENT,
                         "given sockets: got %u for %u workers in all; each needs a worker of its own",
                         n_given - n_unix, n_fds);
    for (uint32_t i = 0; i < n_given; i++) {
        if (is_unix(given[i]))
            *unix_fd = given[i];
        else
            fds[n_tcp++] = given[i];
    }
    *ret_n_tcp = n_tcp;
    return n_tcp > 0 ? fill_places(fds, n_tcp, n_fds, err) : ONNXD_OK;
}

void handover_finish(void)
{
    if (predecessor > 1) sigqueue(predecessor, SIGTERM, (union sigval){.sival_int = 0});
    predecessor = 0;
}

pid_t handover_successor(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE ? info->si_pid : 0;
}

/* What was meant for this process by its number. */
static bool is_ours_alone(const char *variable)
{
    static const char *const names[] = {LIST_VARIABLE, ORDERS_VARIABLE,  "LISTEN_PID",
                                        "LISTEN_FDS",  "LISTEN_FDNAMES", "WATCHDOG_PID"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(variable, names[i], n) == 0 && variable[n] == '=') return true;
    }
    return false;
}

/* The environment with two lists in it; the lists are borrowed and may be NULL. NULL: out of memory. */
static char **environment_with(char *sockets, char *orders)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL) n++;
    char **copy = calloc(n + 3, sizeof *copy);
    if (copy == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_ours_alone(environ[i])) copy[kept++] = environ[i];
    if (sockets != NULL) copy[kept++] = sockets;
    if (orders != NULL) copy[kept++] = orders;
    return copy;
}

/* NULL when there are none, or *ret_failed. The caller frees it. */
static char *write_list(const char *variable, const int *fds, uint32_t n, bool *ret_failed)
{
    struct buf list;
    if (n == 0) return NULL;
    buf_init(&list, 1 << 20);
    buf_printf(&list, "%s=%ld", variable, (long)getpid());
    for (uint32_t i = 0; i < n; i++) buf_printf(&list, "%c%d", i == 0 ? ':' : ',', fds[i]);
    buf_append_char(&list, 0);
    if (!list.failed) return list.data;
    *ret_failed = true;
    buf_done(&list);
    return NULL;
}

static void give(const int *fds, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) fcntl(fds[i], F_SETFD, 0);
}

onnxd_status handover_start(const char *path, char *const *argv, const struct handover *handover,
                            onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    bool failed = false;
    char *sockets = write_list(LIST_VARIABLE, handover->sockets, handover->n_sockets, &failed);
    char *orders = write_list(ORDERS_VARIABLE, &handover->orders, handover->orders >= 0, &failed);
    char **environment = failed ? NULL : environment_with(sockets, orders);
    sigset_t none;
    sigemptyset(&none);
    pid_t pid = environment != NULL ? fork() : -1;
    if (pid == 0) {
        /* Other threads may have held locks, so only plain system calls follow. Only this copy of the process
         * gives the descriptors away; a second fork leaves the new program to init, so that nobody has to
         * wait for it. */
        if (fork() != 0) _exit(0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        give(handover->sockets, handover->n_sockets);
        give(&handover->orders, handover->orders >= 0);
        execve(path, argv, environment);
        _exit(127);
    }
    if (environment == NULL)
        status = error_set(err, ONNXD_ERR_NOMEM, "upgrade: out of memory");
    else if (pid < 0)
        status = error_set(err, ONNXD_ERR_IO, "upgrade: cannot start '%s': %s", path, strerror(errno));
    else
        waitpid(pid, NULL, 0); /* the first copy, which ends at once */
    free(environment);
    free(sockets);
    free(orders);
    return status;
}
