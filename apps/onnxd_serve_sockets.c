#include "onnxd_serve_program.h"

#include <stdlib.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "net/net_socket.h"
#include "serve/handover.h"

static onnxd_status open_unix(struct program *program, onnxd_error *err)
{
    struct net_address address;
    const char *path = program->settings->unix_path;
    if (path == NULL || program->options.unix_fd >= 0) return ONNXD_OK;
    onnxd_status status = net_address_unix(path, &address, err);
    if (status != ONNXD_OK) return status;
    return net_listen(&address, false, &program->options.unix_fd, NULL, err);
}

/* Sockets that another program opened for this one. */
static onnxd_status take_given(struct program *program, uint32_t *ret_n, onnxd_error *err)
{
    uint32_t n = 0, max = program->n_fds + 1;
    int *given = calloc(max, sizeof *given);
    if (given == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    onnxd_status status = handover_take(given, max, &n, err);
    if (status == ONNXD_OK)
        status = handover_spread(given, n, program->fds, program->n_fds, &program->options.unix_fd, ret_n,
                                 err);
    free(given);
    return status;
}

static onnxd_status open_tcp(struct program *program, onnxd_error *err)
{
    const struct serve_settings *settings = program->settings;
    uint32_t n_workers = program->options.n_workers, n_given = 0;
    uint16_t port = 0;
    program->n_fds = settings->processes * n_workers;
    program->fds = calloc(program->n_fds, sizeof *program->fds);
    if (program->fds == NULL) return ONNXD_ERR_NOMEM;
    onnxd_status status = take_given(program, &n_given, err);
    if (status != ONNXD_OK) return status;
    if (n_given > 0) {
        net_socket_host(program->fds[0], program->host, sizeof program->host);
        return ONNXD_OK;
    }
    snprintf(program->host, sizeof program->host, "%s", settings->host);
    if (!settings->port_per_process)
        return service_listen(settings->host, (uint16_t)settings->port, program->n_fds, program->fds, &port,
                              err);
    for (uint32_t p = 0; status == ONNXD_OK && p < settings->processes; p++) {
        if (settings->port > 0 && settings->port + p > 65535)
            return error_set(err, ONNXD_ERR_RANGE, "--port-per-process: ports end at 65535");
        status = service_listen(settings->host, (uint16_t)(settings->port > 0 ? settings->port + p : 0),
                                n_workers, program->fds + p * n_workers, &port, err);
    }
    return status;
}

onnxd_status program_open_sockets(struct program *program, onnxd_error *err)
{
    uint32_t n = program->settings->processes;
    program->ports = calloc(n, sizeof *program->ports);
    if (program->ports == NULL) return error_set(err, ONNXD_ERR_NOMEM, "out of memory");
    onnxd_status status = open_tcp(program, err);
    if (status != ONNXD_OK) return status;
    for (uint32_t p = 0; p < n; p++)
        program->ports[p] = net_socket_port(program->fds[p * program->options.n_workers]);
    return open_unix(program, err);
}

static void close_one(struct program *program, uint32_t i)
{
    if (program->fds[i] >= 0) close(program->fds[i]);
    program->fds[i] = -1;
}

void program_close_sockets(struct program *program)
{
    for (uint32_t i = 0; i < program->n_fds; i++) close_one(program, i);
    program->n_fds = 0;
    if (program->options.unix_fd >= 0) close(program->options.unix_fd);
    program->options.unix_fd = -1;
}

static bool same_socket(int a, int b)
{
    struct stat x, y;
    return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

/* A socket that a service manager gave may be the one of several processes; these take what it brings. */
static bool is_shared(const struct program *program, uint32_t process)
{
    uint32_t n_workers = program->options.n_workers, first = process * n_workers;
    for (uint32_t i = 0; i < program->n_fds; i++)
        if (i / n_workers != process && same_socket(program->fds[i], program->fds[first])) return true;
    return false;
}

void program_close_process(struct program *program, uint32_t process)
{
    uint32_t n_workers = program->options.n_workers;
    if (is_shared(program, process)) return;
    for (uint32_t i = 0; i < n_workers; i++) close_one(program, process * n_workers + i);
}

void program_close_others(struct program *program, uint32_t process)
{
    for (uint32_t i = 0; i < program->n_fds; i++)
        if (i / program->options.n_workers != process) close_one(program, i);
}

onnxd_status program_reopen_process(struct program *program, uint32_t process, onnxd_error *err)
{
    uint32_t n_workers = program->options.n_workers;
    struct net_address address;
    uint16_t port = program->ports[process];
    onnxd_status status = ONNXD_OK;
    for (uint32_t i = process * n_workers; status == ONNXD_OK && i < (process + 1) * n_workers; i++) {
        if (program->fds[i] >= 0) continue;
        status = net_address_tcp(program->host, port, &address, err);
        if (status == ONNXD_OK) status = net_listen(&address, true, &program->fds[i], NULL, err);
    }
    return status;
}
