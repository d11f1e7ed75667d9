#include "net/tls.h"

#include <stdint.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define RECORD_BYTES (17u << 10) /* a record's content at most, and more than what surrounds it */

struct tls_context {
    SSL_CTX *ssl;
};

struct tls_session {
    SSL *ssl;
    BIO *in, *out; /* owned by ssl */
};

static onnxd_status fail(onnxd_error *err, const char *what, const char *path)
{
    const char *reason = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    return error_set(err, ONNXD_ERR_FORMAT, "TLS: %s '%s': %s", what, path,
                     reason != NULL ? reason : "cannot be read");
}

/* HTTP/1.1 is the only protocol spoken; a client that offers others besides is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *in,
                           unsigned n_in, void *context)
{
    static const unsigned char spoken[] = "\x08http/1.1";
    (void)ssl, (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, n_out, spoken, sizeof spoken - 1, in, n_in) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

onnxd_status tls_context_create(const char *cert_path, const char *key_path, struct tls_context **ret_context,
                                onnxd_error *err)
{
    onnxd_status status = ONNXD_OK;
    struct tls_context *context = calloc(1, sizeof *context);
    if (context != NULL) context->ssl = SSL_CTX_new(TLS_server_method());
    if (context == NULL || context->ssl == NULL) {
        status = error_set(err, ONNXD_ERR_NOMEM, "TLS: out of memory");
        goto out;
    }
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(context->ssl,
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, NULL);
    if (SSL_CTX_use_certificate_chain_file(context->ssl, cert_path) != 1)
        status = fail(err, "certificate", cert_path);
    else if (SSL_CTX_use_PrivateKey_file(context->ssl, key_path, SSL_FILETYPE_PEM) != 1)
        status = fail(err, "key", key_path);
    else if (SSL_CTX_check_private_key(context->ssl) != 1)
        status = fail(err, "key does not belong to the certificate:", key_path);
out:
    if (status != ONNXD_OK)
        tls_context_free(context);
    else
        *ret_context = context;
    return status;
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL) return;
    SSL_CTX_free(context->ssl);
    free(context);
}

onnxd_status tls_client_context_create(bool verify, const char *ca_path, struct tls_context **ret_context,
                                       onnxd_error *err)
{
    struct tls_context *context = calloc(1, sizeof *context);
    if (context != NULL) context->ssl = SSL_CTX_new(TLS_client_method());
    if (context == NULL || context->ssl == NULL) {
        tls_context_free(context);
        return error_set(err, ONNXD_ERR_NOMEM, "TLS: out of memory");
    }
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_verify(context->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (ca_path != NULL ? SSL_CTX_load_verify_file(context->ssl, ca_path) != 1
                        : SSL_CTX_set_default_verify_paths(context->ssl) != 1) {
        onnxd_status status = fail(err, "certificates", ca_path != NULL ? ca_path : "of the system");
        tls_context_free(context);
        return status;
    }
    *ret_context = context;
    return ONNXD_OK;
}

static struct tls_session *create_session(struct tls_context *context)
{
    struct tls_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    session->ssl = SSL_new(context->ssl);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    if (session->ssl == NULL || session->in == NULL || session->out == NULL) {
        BIO_free(session->in);
        BIO_free(session->out);
        SSL_free(session->ssl);
        free(session);
        return NULL;
    }
    SSL_set_bio(session->ssl, session->in, session->out);
    return session;
}

struct tls_session *tls_session_create(struct tls_context *context)
{
    struct tls_session *session = create_session(context);
    if (session != NULL) SSL_set_accept_state(session->ssl);
    return session;
}

/* An address has no name to send along, and is compared with a certificate's addresses. */
static bool set_peer(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
    ERR_clear_error();
    return SSL_set_tlsext_host_name(ssl, (char *)(uintptr_t)host) == 1 && SSL_set1_host(ssl, host) == 1;
}

struct tls_session *tls_session_connect(struct tls_context *context, const char *host)
{
    static const unsigned char spoken[] = "\x08http/1.1";
    struct tls_session *session = create_session(context);
    if (session == NULL) return NULL;
    SSL_set_connect_state(session->ssl);
    if (!set_peer(session->ssl, host) || SSL_set_alpn_protos(session->ssl, spoken, sizeof spoken - 1) != 0) {
        ERR_clear_error();
        tls_session_free(session);
        return NULL;
    }
    SSL_do_handshake(session->ssl); /* wants to read, having said hello */
    ERR_clear_error();
    return session;
}

bool tls_is_ready(const struct tls_session *session)
{
    return SSL_is_init_finished(session->ssl) == 1;
}

const char *tls_refusal(const struct tls_session *session)
{
    long code = SSL_get_verify_result(session->ssl);
    return code != X509_V_OK ? X509_verify_cert_error_string(code) : NULL;
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL) return;
    SSL_free(session->ssl);
    free(session);
}

size_t tls_plain_room(const struct tls_session *session, size_t n)
{
    return n + BIO_ctrl_pending(session->in) + RECORD_BYTES;
}

enum tls_result tls_receive(struct tls_session *session, const void *bytes, size_t n, char *out,
                            size_t *ret_n)
{
    size_t room = tls_plain_room(session, n), used = 0;
    *ret_n = 0;
    if (n > INT_MAX || BIO_write(session->in, bytes, (int)n) != (int)n) return TLS_BROKEN;
    for (;;) {
        size_t got = 0;
        ERR_clear_error();
        int code = SSL_read_ex(session->ssl, out + used, room - used, &got);
        used += got;
        *ret_n = used;
        if (code == 1 && used < room) continue;
        if (code == 1) return TLS_GOES_ON;
        int error = SSL_get_error(session->ssl, code);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return TLS_GOES_ON;
        ERR_clear_error();
        return error == SSL_ERROR_ZERO_RETURN ? TLS_ENDED : TLS_BROKEN;
    }
}

bool tls_send(struct tls_session *session, const struct iovec *iov, int n_iov)
{
    for (int i = 0; i < n_iov; i++) {
        size_t written = 0;
        ERR_clear_error();
        if (iov[i].iov_len > 0 &&
            (SSL_write_ex(session->ssl, iov[i].iov_base, iov[i].iov_len, &written) != 1 ||
             written != iov[i].iov_len))
            return false;
    }
    return true;
}

void tls_finish(struct tls_session *session)
{
    ERR_clear_error();
    if (SSL_is_init_finished(session->ssl)) SSL_shutdown(session->ssl);
    ERR_clear_error();
}

size_t tls_pending(const struct tls_session *session, const char **ret_bytes)
{
    char *bytes = NULL;
    long n = BIO_get_mem_data(session->out, &bytes);
    *ret_bytes = bytes;
    return n > 0 ? (size_t)n : 0;
}

void tls_sent(struct tls_session *session, size_t n)
{
    char drop[4096];
    while (n > 0) {
        int got = BIO_read(session->out, drop, n < sizeof drop ? (int)n : (int)sizeof drop);
        if (got <= 0) return;
        n -= (size_t)got;
    }
}
