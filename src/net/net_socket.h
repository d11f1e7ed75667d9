/* net/net_socket.h - listening and connecting sockets.
 *
 * An address is "host" and port, or a path for a unix socket. Descriptors are non-blocking and closed
 * on exec, and belong to the caller. */
#ifndef NET_NET_SOCKET_H
#define NET_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "onnxd/status.h"

struct net_address {
    struct sockaddr_storage storage;
    socklen_t n;
};

/* A numeric address or a name, and a port. ONNXD_ERR_NOT_FOUND: no such host. */
ONNXD_MUST_USE onnxd_status net_address_tcp(const char *host, uint16_t port, struct net_address *ret,
                                            onnxd_error *err);

/* ONNXD_ERR_LIMIT: the path is longer than the system takes. */
ONNXD_MUST_USE onnxd_status net_address_unix(const char *path, struct net_address *ret, onnxd_error *err);

/* Binds and listens. share_port lets several sockets, of any process of the user, take connections of one
 * port; the kernel spreads them. A unix path left over by a server that has gone is replaced. *ret_port: the
 * port bound, 0 for unix; may be NULL. */
ONNXD_MUST_USE onnxd_status net_listen(const struct net_address *address, bool share_port, int *ret_fd,
                                       uint16_t *ret_port, onnxd_error *err);

/* Begins to connect; the socket is writable when that is done. */
ONNXD_MUST_USE onnxd_status net_connect(const struct net_address *address, int *ret_fd, onnxd_error *err);

/* Sends what the kernel takes without waiting: bytes taken, 0 when it takes none now, or -errno. */
ssize_t net_send(int fd, const struct iovec *iov, int n_iov);

/* The local port of a TCP socket, 0 for others. */
uint16_t net_socket_port(int fd);

/* The local address of a TCP socket in numbers, "?" where there is none. */
void net_socket_host(int fd, char *out, size_t n_out);

/* Small answers leave at once. Does nothing for unix sockets. */
void net_set_nodelay(int fd);

#endif
