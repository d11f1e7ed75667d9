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
#include "serve/supervisor.h"

#define LIST_VARIABLE "ONNXD_INHERITED_SOCKETS" /* "PID:FD,FD,...": who hands over, and what */

static pid_t predecessor;

static bool is_listening(int fd)
{
    int value = 0;
    socklen_t n = sizeof value;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &n) == 0 && value == 1;
}

onnxd_status handover_take(int *fds, uint32_t max, uint32_t *ret_n, onnxd_error *err)
{
    const char *text = getenv(LIST_VARIABLE);
    uint32_t n = 0;
    if (text == NULL) {
        *ret_n = 0;
        return ONNXD_OK;
    }
    char *end;
    long pid = strtol(text, &end, 10);
    bool ok = *end == ':' && pid > 1;
    while (ok && *end != 0) {
        long fd = strtol(end + 1, &end, 10);
        ok = (*end == ',' || *end == 0) && fd > 2 && n < max && is_listening((int)fd);
        if (!ok) break;
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
        fds[n++] = (int)fd;
    }
    if (!ok)
        return error_set(err, ONNXD_ERR_FORMAT,
                         "%s: not a list of up to %u listening sockets (the number of workers must stay)",
                         LIST_VARIABLE, max);
    predecessor = (pid_t)pid;
    unsetenv(LIST_VARIABLE);
    *ret_n = n;
    return ONNXD_OK;
}

void handover_finish(void)
{
    if (predecessor > 1) kill(predecessor, SIGTERM);
    predecessor = 0;
}

/* The environment with the list in it; its texts are borrowed. NULL: out of memory. */
static char **environment_with(char *list)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL) n++;
    char **copy = calloc(n + 2, sizeof *copy);
    if (copy == NULL) return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], LIST_VARIABLE "=", sizeof LIST_VARIABLE) != 0) copy[kept++] = environ[i];
    copy[kept] = list;
    return copy;
}

onnxd_status handover_start(const char *path, char *const *argv, const int *fds, uint32_t n, onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    struct buf list;
    buf_init(&list, 1 << 20);
    buf_printf(&list, LIST_VARIABLE "=%ld", (long)getpid());
    for (uint32_t i = 0; i < n; i++) buf_printf(&list, "%c%d", i == 0 ? ':' : ',', fds[i]);
    buf_append_char(&list, 0);
    char **environment = list.failed ? NULL : environment_with(list.data);
    sigset_t none;
    sigemptyset(&none);
    pid_t pid = environment != NULL ? fork() : -1;
    if (pid == 0) {
        /* Other threads may have held locks, so only plain system calls follow. Only this copy of the process
         * gives the sockets away; a second fork leaves the new program to init, so that nobody has to wait
         * for it. */
        if (fork() != 0) _exit(0);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (uint32_t i = 0; i < n; i++) fcntl(fds[i], F_SETFD, 0);
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
    buf_done(&list);
    return status;
}
