/* serve/notify.h - word to the service manager that started the server.
 *
 * The manager names a unix datagram socket in NOTIFY_SOCKET and takes lines of NAME=VALUE there: READY=1 once
 * requests can be served, RELOADING=1 and READY=1 around a reload, STOPPING=1, MAINPID= when another process
 * takes over, and WATCHDOG=1 at least every WATCHDOG_USEC microseconds. See sd_notify(3), whose protocol this
 * speaks.
 *
 *     notify_init(&notify, &err);
 *     notify_say(&notify, "READY=1\nSTATUS=listening on %s", address);
 *     notify_done(&notify);
 *
 * Without NOTIFY_SOCKET nobody listens: nothing is sent and no pings are wanted.
 *
 * Ownership: embedded; the environment is left as it is.
 * Threads:   notify_say from any; the others from one. */
#ifndef SERVE_NOTIFY_H
#define SERVE_NOTIFY_H

#include "net/net_socket.h"

struct notify {
    int fd;               /* -1: nobody listens */
    uint64_t watchdog_ns; /* a ping is due at least so often; 0: none is wanted */
};

/* Reads the environment. ONNXD_ERR_FORMAT names a NOTIFY_SOCKET or WATCHDOG_USEC that is none,
 * ONNXD_ERR_UNSUPPORTED an address of another family, ONNXD_ERR_IO a socket that cannot be reached. */
ONNXD_MUST_USE onnxd_status notify_init(struct notify *notify, onnxd_error *err);
void notify_done(struct notify *notify);

/* Sends lines; waits a second at most for a manager that is behind. What is lost is told in the log. */
__attribute__((format(printf, 2, 3))) void notify_say(const struct notify *notify, const char *format, ...);

#endif
