#include "bench/deployment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpus.h"
#include "base/error.h"
#include "base/file.h"
#include "net/net_socket.h"

#define START_NS (30 * NS_PER_S)
#define GRACE_NS (5 * NS_PER_S)

/* ---- ports and descriptors ------------------------------------------------------------------------- */

/* Binds for a moment: *port 0 becomes a free one. */
static onnxd_status try_port(uint16_t *port, onnxd_error *err)
{
    struct net_address address;
    int fd = -1;
    onnxd_status status = net_address_tcp("127.0.0.1", *port, &address, err);
    if (status == ONNXD_OK) status = net_listen(&address, false, &fd, port, err);
    if (fd >= 0) close(fd);
    if (status == ONNXD_OK) return ONNXD_OK;
    return error_set(
        err, ONNXD_ERR_BUSY,
        "port %u is in use: 'ss -ltnp sport = :%u' tells by whom; stop it, or choose another with --port",
        *port, *port);
}

/* nginx needs two descriptors a connection: the client's and the upstream's. */
static onnxd_status check_descriptors(const struct deployment_options *o, onnxd_error *err)
{
    struct rlimit limit;
    rlim_t wanted = 2 * (rlim_t)o->connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return ONNXD_OK;
    struct rlimit raised = {wanted < limit.rlim_max ? wanted : limit.rlim_max, limit.rlim_max};
    if (raised.rlim_cur == wanted && setrlimit(RLIMIT_NOFILE, &raised) == 0) return ONNXD_OK;
    return error_set(
        err, ONNXD_ERR_LIMIT,
        "%u connections need %llu file descriptors, %llu are allowed: 'ulimit -n %llu' before, or fewer "
        "connections",
        o->connections, (unsigned long long)wanted, (unsigned long long)limit.rlim_max,
        (unsigned long long)wanted);
}

/* ---- nginx ----------------------------------------------------------------------------------------- */

void nginx_config_write(const struct nginx_config *c, struct buf *buf)
{
    static const char *const temporary[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    buf_printf(buf, "daemon off;\n%sworker_processes %u;\npid %s/nginx.pid;\nerror_log stderr error;\n",
               c->as_root ? "user root;\n" : "", c->n_workers, c->folder);
    uint32_t room = 2 * c->connections + 64 < 1024 ? 1024 : 2 * c->connections + 64;
    buf_printf(buf, "worker_rlimit_nofile %u;\nevents {\n    worker_connections %u;\n}\n", room + 64, room);
    buf_append_text(buf, "http {\n    access_log off;\n    keepalive_requests 1000000000;\n"
                         "    client_max_body_size 64m;\n    client_body_buffer_size 1m;\n");
    for (size_t i = 0; i < sizeof temporary / sizeof temporary[0]; i++)
        buf_printf(buf, "    %s_temp_path %s/%s;\n", temporary[i], c->folder, temporary[i]);
    buf_append_text(buf, "    upstream onnxd {\n        least_conn;\n");
    for (uint32_t i = 0; i < c->n; i++) buf_printf(buf, "        server 127.0.0.1:%u;\n", c->upstreams[i]);
    buf_printf(buf, "        keepalive %u;\n        keepalive_requests 1000000000;\n    }\n", c->connections);
    buf_printf(buf,
               "    server {\n        listen 127.0.0.1:%u backlog=4096;\n        location / {\n"
               "            proxy_pass http://onnxd;\n            proxy_http_version 1.1;\n"
               "            proxy_set_header Connection \"\";\n        }\n    }\n}\n",
               c->port);
}

static const char *find_nginx(void)
{
    static const char *const others[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx",
                                         "/usr/local/nginx/sbin/nginx"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (access(others[i], X_OK) == 0) return others[i];
    return "nginx"; /* of PATH */
}

static onnxd_status write_config(const struct deployment *d, uint32_t connections, char *path, size_t size,
                                 onnxd_error *err)
{
    struct buf buf;
    struct nginx_config config = {d->folder,   d->port,       d->ports,      d->n_servers,
                                  connections, cpus_usable(), geteuid() == 0};
    snprintf(path, size, "%s/nginx.conf", d->folder);
    buf_init(&buf, 1 << 20);
    nginx_config_write(&config, &buf);
    onnxd_status status = file_replace(path, buf.data, buf.n, err);
    buf_done(&buf);
    return status;
}

/* nginx says nothing when it is there: it is once its port takes connections. */
static onnxd_status await_nginx(struct deployment *d, onnxd_error *err)
{
    uint64_t end_ns = monotonic_ns() + START_NS;
    char path[128];
    snprintf(path, sizeof path, "%s/nginx.pid", d->folder);
    while (access(path, R_OK) != 0) {
        if (!child_is_alive(&d->nginx)) {
            onnxd_status status = child_wait_text(&d->nginx, "started", 0, NULL, 0, err);
            error_prefix(err, "the load balancer: ");
            return status;
        }
        if (monotonic_ns() > end_ns)
            return error_set(err, ONNXD_ERR_TIMEOUT, "nginx did not start within %.0f s", START_NS / 1e9);
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
    }
    return ONNXD_OK;
}

static onnxd_status start_nginx(struct deployment *d, const struct deployment_options *o, onnxd_error *err)
{
    char path[128], prefix[80];
    strcpy(d->folder, "/tmp/onnxd_bench_XXXXXX");
    if (mkdtemp(d->folder) == NULL) {
        d->folder[0] = 0;
        return error_set(err, ONNXD_ERR_IO, "/tmp: cannot make a folder: %s", strerror(errno));
    }
    d->port = o->port;
    onnxd_status status = try_port(&d->port, err);
    if (status == ONNXD_OK) status = write_config(d, o->connections, path, sizeof path, err);
    if (status != ONNXD_OK) return status;
    snprintf(prefix, sizeof prefix, "%s/", d->folder);
    const char *const words[] = {find_nginx(), "-p", prefix, "-e", "stderr", "-c", path, NULL};
    status = child_start(&(struct child_options){.argv = words}, &d->nginx, err);
    if (status == ONNXD_ERR_NOT_FOUND)
        return error_set(
            err, status,
            "nginx is not installed: 'apt-get install nginx-light', or measure without it (--via straight)");
    return status == ONNXD_OK ? await_nginx(d, err) : status;
}

/* ---- servers --------------------------------------------------------------------------------------- */

static onnxd_status start_server(struct deployment *d, const struct deployment_options *o, uint32_t processes,
                                 uint16_t port, onnxd_error *err)
{
    char port_text[16], processes_text[16];
    const char *words[DEPLOYMENT_MAX_WORDS + 8];
    uint32_t n = 0;
    snprintf(port_text, sizeof port_text, "%u", port);
    snprintf(processes_text, sizeof processes_text, "%u", processes);
    words[n++] = o->program;
    words[n++] = "serve";
    for (uint32_t i = 0; o->words[i] != NULL; i++) {
        if (i == DEPLOYMENT_MAX_WORDS)
            return error_set(err, ONNXD_ERR_LIMIT, "more than %d words for onnxd serve",
                             DEPLOYMENT_MAX_WORDS);
        words[n++] = o->words[i];
    }
    words[n++] = "--port";
    words[n++] = port_text;
    if (processes > 1) {
        words[n++] = "--processes";
        words[n++] = processes_text;
    }
    words[n] = NULL;
    struct child_options child = {.argv = words, .cpus = o->server_cpus, .n_cpus = o->n_server_cpus};
    onnxd_status status = child_start(&child, &d->servers[d->n_servers], err);
    if (status == ONNXD_OK) d->n_servers++;
    return status;
}

static onnxd_status await_server(struct deployment *d, uint32_t i, onnxd_error *err)
{
    char line[128];
    onnxd_status status = child_wait_text(&d->servers[i], "listening on http://", START_NS, line, sizeof line,
                                          err);
    const char *colon = status == ONNXD_OK ? strrchr(line, ':') : NULL;
    d->ports[i] = colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
    return status;
}

onnxd_status deployment_start(const struct deployment_options *o, struct deployment *ret, onnxd_error *err)
{
    struct deployment d = {.kind = o->kind, .n_processes = o->n_processes};
    bool nginx = o->kind == DEPLOYMENT_NGINX;
    uint32_t n = nginx ? o->n_processes : 1;
    onnxd_status status = ONNXD_OK;
    if (o->n_processes == 0 || o->n_processes > DEPLOYMENT_MAX_SERVERS)
        return error_set(err, ONNXD_ERR_ARGUMENT, "processes: expected 1..%d", DEPLOYMENT_MAX_SERVERS);
    if (nginx) status = check_descriptors(o, err);
    uint16_t port = o->port;
    if (status == ONNXD_OK && port != 0) status = try_port(&port, err);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++)
        status = start_server(&d, o, nginx ? 1 : o->n_processes, nginx ? 0 : port, err);
    for (uint32_t i = 0; i < n && status == ONNXD_OK; i++) status = await_server(&d, i, err);
    if (status == ONNXD_OK && nginx) status = start_nginx(&d, o, err);
    if (status != ONNXD_OK) {
        deployment_stop(&d);
        return status;
    }
    if (!nginx) d.port = d.ports[0];
    snprintf(d.url, sizeof d.url, "http://127.0.0.1:%u", d.port);
    *ret = d;
    return ONNXD_OK;
}

static void remove_folder(const char *folder)
{
    char path[512];
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (unlink(path) != 0) rmdir(path); /* nginx's folders for bodies are empty again */
    }
    if (dir != NULL) closedir(dir);
    rmdir(folder);
}

void deployment_stop(struct deployment *d)
{
    child_stop(&d->nginx, GRACE_NS);
    for (uint32_t i = 0; i < d->n_servers; i++) child_stop(&d->servers[i], GRACE_NS);
    if (d->folder[0] != 0) remove_folder(d->folder);
    *d = (struct deployment){0};
}

static onnxd_status check_child(struct child *child, const char *what, onnxd_error *err)
{
    if (child->pid == 0 || child_is_alive(child)) return ONNXD_OK;
    onnxd_status status = child_wait_text(child, "\001", 0, NULL, 0,
                                          err); /* never said: tells how it ended */
    return error_set(err, status, "%s ended during the measurement; its last words: %s", what,
                     strrchr(err->message, ':') != NULL ? strrchr(err->message, ':') + 1 : err->message);
}

onnxd_status deployment_check(struct deployment *d, onnxd_error *err)
{
    onnxd_error local;
    if (err == NULL) err = &local;
    onnxd_status status = check_child(&d->nginx, "nginx", err);
    for (uint32_t i = 0; i < d->n_servers && status == ONNXD_OK; i++)
        status = check_child(&d->servers[i], "a server", err);
    return status;
}

uint32_t deployment_usage(const struct deployment *d, struct process_usage *usage, uint32_t *ret_n_servers)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->n_servers; i++)
        n += child_usage(&d->servers[i], usage + n, CHILD_MAX_PROCESSES - n);
    *ret_n_servers = n;
    return n + child_usage(&d->nginx, usage + n, CHILD_MAX_PROCESSES - n);
}
