/* net/tls.h - TLS 1.2 and 1.3 over OpenSSL, on memory: bytes in, bytes out.
 *
 * A session turns what comes from the peer into plain bytes and what is to be sent into what goes to the
 * peer; moving either over a socket is the caller's.
 *
 * Threads: a context may be shared by any; a session is used by one at a time. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "onnxd/status.h"

struct tls_context;
struct tls_session;

/* Reads a certificate chain and its key, both PEM. ONNXD_ERR_IO, ONNXD_ERR_FORMAT name the file and why. */
ONNXD_MUST_USE onnxd_status tls_context_create(const char *cert_path, const char *key_path,
                                               struct tls_context **ret_context, onnxd_error *err);
void tls_context_free(struct tls_context *context); /* takes NULL; sessions hold what they need */

/* The server's end of a connection. NULL: out of memory. */
struct tls_session *tls_session_create(struct tls_context *context);
void tls_session_free(struct tls_session *session); /* takes NULL */

/* ---- the client's side ---- */

/* With `verify` a peer must show a certificate that is signed by one of ca_path (PEM; NULL: those the system
 * trusts) and names the host. ONNXD_ERR_FORMAT names the file and why. */
ONNXD_MUST_USE onnxd_status tls_client_context_create(bool verify, const char *ca_path,
                                                      struct tls_context **ret_context, onnxd_error *err);

/* The client's end of a connection; what opens it is pending at once. Nothing can be sent until tls_is_ready.
 * `host` is what the certificate must name. NULL: out of memory, or no such host. */
struct tls_session *tls_session_connect(struct tls_context *context, const char *host);

bool tls_is_ready(const struct tls_session *session);

/* Why the peer's certificate was refused, or NULL. */
const char *tls_refusal(const struct tls_session *session);

/* Most plain bytes that n bytes from the peer can bring, with those held before. */
size_t tls_plain_room(const struct tls_session *session, size_t n);

enum tls_result { TLS_GOES_ON, TLS_ENDED, TLS_BROKEN };

/* Takes n bytes that came and writes the plain ones to out, which has tls_plain_room. TLS_ENDED: the peer
 * said that nothing follows. TLS_BROKEN: no more can be read; what tls_pending holds should still be sent. */
enum tls_result tls_receive(struct tls_session *session, const void *bytes, size_t n, char *out,
                            size_t *ret_n);

/* Turns plain bytes into tls_pending. False: the session is broken. */
bool tls_send(struct tls_session *session, const struct iovec *iov, int n_iov);

/* Says that nothing follows. */
void tls_finish(struct tls_session *session);

/* What is to go to the peer, and that n bytes of it have gone. */
size_t tls_pending(const struct tls_session *session, const char **ret_bytes);
void tls_sent(struct tls_session *session, size_t n);

#endif
