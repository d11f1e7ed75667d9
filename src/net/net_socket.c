#include "net/net_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"

#define BACKLOG 4096

onnxd_status net_address_tcp(const char *host, uint16_t port, struct net_address *ret, onnxd_error *err)
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int code = getaddrinfo(host, service, &hints, &list);
    if (code != 0) return error_set(err, ONNXD_ERR_NOT_FOUND, "host '%s': %s", host, gai_strerror(code));
    memcpy(&ret->storage, list->ai_addr, list->ai_addrlen);
    ret->n = list->ai_addrlen;
    freeaddrinfo(list);
    return ONNXD_OK;
}

onnxd_status net_address_unix(const char *path, struct net_address *ret, onnxd_error *err)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&ret->storage;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof address->sun_path)
        return error_set(err, ONNXD_ERR_LIMIT, "unix socket '%s': a path has 1..%zu bytes", path,
                         sizeof address->sun_path - 1);
    memset(&ret->storage, 0, sizeof ret->storage);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, n + 1);
    ret->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return ONNXD_OK;
}

static void describe(const struct net_address *address, char *out, size_t n_out)
{
    if (address->storage.ss_family == AF_UNIX) {
        snprintf(out, n_out, "unix:%s", ((const struct sockaddr_un *)&address->storage)->sun_path);
        return;
    }
    char host[256], port[16];
    if (getnameinfo((const struct sockaddr *)&address->storage, address->n, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(out, n_out, "%s:%s", host, port);
    else
        snprintf(out, n_out, "the address");
}

/* A socket file that nobody listens on keeps its place from a new server. */
static void remove_stale_unix(const struct net_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    if (connect(fd, (const struct sockaddr *)&address->storage, address->n) != 0 && errno == ECONNREFUSED)
        unlink(((const struct sockaddr_un *)&address->storage)->sun_path);
    close(fd);
}

uint16_t net_socket_port(int fd)
{
    struct sockaddr_storage storage;
    socklen_t n = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &n) != 0) return 0;
    if (storage.ss_family == AF_INET) return ntohs(((struct sockaddr_in *)&storage)->sin_port);
    if (storage.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&storage)->sin6_port);
    return 0;
}

void net_socket_host(int fd, char *out, size_t n_out)
{
    struct sockaddr_storage storage;
    socklen_t n = sizeof storage;
    if (getsockname(fd, (struct sockaddr *)&storage, &n) != 0 ||
        getnameinfo((struct sockaddr *)&storage, n, out, (socklen_t)n_out, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(out, n_out, "?");
}

onnxd_status net_listen(const struct net_address *address, bool share_port, int *ret_fd, uint16_t *ret_port,
                        onnxd_error *err)
{
    char name[300];
    describe(address, name, sizeof name);
    int family = address->storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) goto fail;
    if (family == AF_UNIX)
        remove_stale_unix(address);
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
             (share_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0))
        goto fail;
    if (family != AF_UNIX) net_set_nodelay(fd); /* accepted sockets inherit it */
    if (bind(fd, (const struct sockaddr *)&address->storage, address->n) != 0 || listen(fd, BACKLOG) != 0)
        goto fail;
    *ret_fd = fd;
    if (ret_port != NULL) *ret_port = net_socket_port(fd);
    return ONNXD_OK;
fail:;
    int code = errno;
    if (fd >= 0) close(fd);
    return error_set(err, ONNXD_ERR_IO, "cannot listen on %s: %s", name, strerror(code));
}

onnxd_status net_connect(const struct net_address *address, int *ret_fd, onnxd_error *err)
{
    char name[300];
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return error_set(err, ONNXD_ERR_IO, "cannot open a socket: %s", strerror(errno));
    if (address->storage.ss_family != AF_UNIX) net_set_nodelay(fd);
    if (connect(fd, (const struct sockaddr *)&address->storage, address->n) != 0 && errno != EINPROGRESS) {
        int code = errno;
        close(fd);
        describe(address, name, sizeof name);
        return error_set(err, ONNXD_ERR_IO, "cannot connect to %s: %s", name, strerror(code));
    }
    *ret_fd = fd;
    return ONNXD_OK;
}

void net_set_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

ssize_t net_send(int fd, const struct iovec *iov, int n_iov)
{
    ssize_t sent;
    do {
        if (n_iov == 1) {
            sent = send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        } else {
            struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov};
            sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return sent;
    return errno == EAGAIN ? 0 : -errno;
}
