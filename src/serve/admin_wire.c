#include "serve/admin_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

onnxd_status admin_wire_pair(int ret_fds[2], onnxd_error *err)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) == 0) return ONNXD_OK;
    return error_set(err, ONNXD_ERR_IO, "a pair of sockets: %s", strerror(errno));
}

union control { /* room for one descriptor, aligned as its head must be */
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

bool admin_wire_send(int fd, const struct admin_message *message, int passed)
{
    struct iovec bytes = {(void *)(uintptr_t)message, sizeof *message};
    struct msghdr out = {.msg_iov = &bytes, .msg_iovlen = 1};
    union control control;
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        out.msg_control = control.room;
        out.msg_controllen = sizeof control.room;
        struct cmsghdr *head = CMSG_FIRSTHDR(&out);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof passed);
        memcpy(CMSG_DATA(head), &passed, sizeof passed);
    }
    ssize_t n;
    do n = sendmsg(fd, &out, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *message;
}

enum admin_received admin_wire_receive(int fd, struct admin_message *ret, int *ret_passed)
{
    struct iovec bytes = {ret, sizeof *ret};
    union control control;
    struct msghdr in = {.msg_iov = &bytes,
                        .msg_iovlen = 1,
                        .msg_control = control.room,
                        .msg_controllen = sizeof control.room};
    ssize_t n;
    *ret_passed = -1;
    do n = recvmsg(fd, &in, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return ADMIN_NOTHING_YET;
    const struct cmsghdr *head = n > 0 ? CMSG_FIRSTHDR(&in) : NULL;
    if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof *ret_passed))
        memcpy(ret_passed, CMSG_DATA(head), sizeof *ret_passed);
    if (n == (ssize_t)sizeof *ret) {
        ret->text[sizeof ret->text - 1] = 0;
        return ADMIN_RECEIVED;
    }
    if (*ret_passed >= 0) close(*ret_passed);
    *ret_passed = -1;
    return ADMIN_GONE;
}
