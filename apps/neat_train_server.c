/* The server that remote mode starts when no --url is given. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "neat_train.h"

enum { START_TIMEOUT_MS = 20000, MAX_PATH = 4096 };

static const char LISTENING[] = "listening on ";

/* The onnxd beside this program. */
static onnxd_status find_program(char *path, size_t size, onnxd_error *err)
{
    ssize_t n = readlink("/proc/self/exe", path, size - sizeof "onnxd");
    char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (slash == NULL) return error_set(err, ONNXD_ERR_IO, "cannot tell where this program lies");
    memcpy(slash + 1, "onnxd", sizeof "onnxd");
    if (access(path, X_OK) != 0)
        return error_set(err, ONNXD_ERR_NOT_FOUND, "%s: not there; give --url of a running server", path);
    return ONNXD_OK;
}

/* Reads the server's words until the line that names its address. */
static onnxd_status await_address(struct own_server *server, onnxd_error *err)
{
    char text[2048];
    size_t n = 0;
    uint64_t deadline_ns = monotonic_ns() + (uint64_t)START_TIMEOUT_MS * NS_PER_MS;
    while (n < sizeof text - 1) {
        uint64_t now_ns = monotonic_ns();
        struct pollfd poll_log = {.fd = server->log, .events = POLLIN};
        int wait_ms = now_ns >= deadline_ns ? 0 : (int)((deadline_ns - now_ns) / NS_PER_MS);
        if (poll(&poll_log, 1, wait_ms) == 0) break;
        ssize_t got = read(server->log, text + n, sizeof text - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
        text[n] = 0;
        const char *at = strstr(text, LISTENING);
        const char *end = at == NULL ? NULL : strchr(at, '\n');
        if (end == NULL) continue;
        at += sizeof LISTENING - 1;
        snprintf(server->url, sizeof server->url, "%.*s", (int)strcspn(at, " \n"), at);
        return ONNXD_OK;
    }
    text[n] = 0;
    return error_set(err, ONNXD_ERR_IO, "onnxd serve did not start: %.300s", text);
}

onnxd_status own_server_start(struct own_server *server, onnxd_error *err)
{
    char path[MAX_PATH];
    int ends[2];
    *server = (struct own_server){.log = -1};
    onnxd_status status = find_program(path, sizeof path, err);
    if (status != ONNXD_OK) return status;
    snprintf(server->folder, sizeof server->folder, "/tmp/neat_train_XXXXXX");
    if (mkdtemp(server->folder) == NULL) {
        server->folder[0] = 0;
        return error_set(err, ONNXD_ERR_IO, "/tmp: cannot make a folder: %s", strerror(errno));
    }
    char *arguments[] = {path,          (char[]){"serve"},        (char[]){"--admin"}, (char[]){"--port"},
                         (char[]){"0"}, (char[]){"--repository"}, server->folder,      NULL};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        own_server_stop(server);
        return error_set(err, ONNXD_ERR_IO, "pipe: %s", strerror(errno));
    }
    int pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* it goes when we go, however we go */
        dup2(ends[1], STDERR_FILENO);
        execv(path, arguments);
        _exit(127);
    }
    close(ends[1]);
    server->log = ends[0];
    if (pid < 0) {
        own_server_stop(server);
        return error_set(err, ONNXD_ERR_IO, "fork: %s", strerror(errno));
    }
    server->pid = pid;
    status = await_address(server, err);
    if (status != ONNXD_OK) own_server_stop(server);
    return status;
}

void own_server_stop(struct own_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) continue;
    }
    if (server->log > 0) close(server->log);
    if (server->folder[0] != 0) rmdir(server->folder);
    *server = (struct own_server){.log = -1};
}
