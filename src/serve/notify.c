#include "serve/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

/* "/path" or "@name" of the abstract namespace. */
static onnxd_status read_address(const char *text, struct net_address *ret, onnxd_error *err)
{
    if (*text == '/') return net_address_unix(text, ret, err);
    if (strncmp(text, "vsock", 5) == 0)
        return error_set(err, ONNXD_ERR_UNSUPPORTED, "NOTIFY_SOCKET '%s': only unix sockets are spoken to",
                         text);
    if (*text != '@' || text[1] == 0)
        return error_set(err, ONNXD_ERR_FORMAT, "NOTIFY_SOCKET '%s': expected /PATH or @NAME", text);
    onnxd_status status = net_address_unix(text, ret, err);
    if (status != ONNXD_OK) return status;
    ((struct sockaddr_un *)&ret->storage)->sun_path[0] = 0;
    ret->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                         strlen(text)); /* without a NUL at its end */
    return ONNXD_OK;
}

/* WATCHDOG_PID says whom the wish is for, should the environment have come further than it was meant to. */
static onnxd_status read_watchdog(uint64_t *ret_ns, onnxd_error *err)
{
    const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end;
    *ret_ns = 0;
    if (text == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid())) return ONNXD_OK;
    errno = 0;
    unsigned long long us = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || errno != 0 || us == 0 || us > UINT64_MAX / NS_PER_US)
        return error_set(err, ONNXD_ERR_FORMAT, "WATCHDOG_USEC '%s': expected a number of microseconds",
                         text);
    *ret_ns = us * NS_PER_US;
    return ONNXD_OK;
}

onnxd_status notify_init(struct notify *notify, onnxd_error *err)
{
    struct net_address address;
    struct notify made = {.fd = -1};
    const struct timeval patience = {.tv_sec = 1};
    const char *text = getenv("NOTIFY_SOCKET");
    *notify = made;
    if (text == NULL || *text == 0) return ONNXD_OK;
    onnxd_status status = read_address(text, &address, err);
    if (status == ONNXD_OK) status = read_watchdog(&made.watchdog_ns, err);
    if (status != ONNXD_OK) return status;
    made.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made.fd < 0 || connect(made.fd, (const struct sockaddr *)&address.storage, address.n) != 0) {
        status = error_set(err, ONNXD_ERR_IO, "NOTIFY_SOCKET '%s': %s", text, strerror(errno));
        notify_done(&made);
        return status;
    }
    setsockopt(made.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    *notify = made;
    return ONNXD_OK;
}

void notify_done(struct notify *notify)
{
    if (notify->fd >= 0) close(notify->fd);
    *notify = (struct notify){.fd = -1};
}

void notify_say(const struct notify *notify, const char *format, ...)
{
    char text[512];
    va_list args;
    if (notify->fd < 0) return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) return;
    size_t n_text = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    if (send(notify->fd, text, n_text, MSG_NOSIGNAL) != (ssize_t)n_text)
        log_warn("cannot tell the service manager '%.*s': %s", (int)strcspn(text, "\n"), text,
                 strerror(errno));
}
