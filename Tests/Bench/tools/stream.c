#define _GNU_SOURCE
#include "stream.h"
#include "net.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

SSL_CTX *client_tls(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) give_up("no TLS");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

static int broken(struct stream *stream, const char *doing) {
    unsigned long reason = ERR_peek_last_error();
    snprintf(stream->trouble, sizeof stream->trouble, "%s: %s", doing,
             reason ? ERR_reason_error_string(reason) : strerror(errno));
    ERR_clear_error();
    return STREAM_BROKEN;
}

/* What a call into OpenSSL that did not succeed means. */
static int tls_result(struct stream *stream, int result, const char *doing) {
    switch (SSL_get_error(stream->tls, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return STREAM_LATER;
    case SSL_ERROR_ZERO_RETURN: return STREAM_CLOSED;
    default:
        if (ERR_GET_REASON(ERR_peek_last_error()) != SSL_R_UNEXPECTED_EOF_WHILE_READING) return broken(stream, doing);
        ERR_clear_error();
        return STREAM_CLOSED;
    }
}

void stream_begin_tls(struct stream *stream, SSL_CTX *context) {
    stream->tls = SSL_new(context);
    if (!stream->tls || SSL_set_fd(stream->tls, stream->descriptor) != 1) give_up("no memory for TLS");
    SSL_set_connect_state(stream->tls);
}

int stream_shake_hands(struct stream *stream) {
    ERR_clear_error();
    int result = SSL_do_handshake(stream->tls);
    if (result == 1) return 1;
    result = tls_result(stream, result, "TLS handshake");
    if (result != STREAM_CLOSED) return result;
    snprintf(stream->trouble, sizeof stream->trouble, "closed in the TLS handshake");
    return STREAM_BROKEN;
}

ssize_t stream_read(struct stream *stream, void *data, size_t room) {
    if (stream->tls) {
        ERR_clear_error();
        int count = SSL_read(stream->tls, data, (int)room);
        return count > 0 ? count : tls_result(stream, count, "TLS read");
    }
    ssize_t count;
    do count = recv(stream->descriptor, data, room, 0);
    while (count < 0 && errno == EINTR);
    if (count >= 0) return count;
    return errno == EAGAIN ? STREAM_LATER : broken(stream, "read");
}

ssize_t stream_write(struct stream *stream, const void *data, size_t count) {
    if (stream->tls) {
        ERR_clear_error();
        int written = SSL_write(stream->tls, data, (int)count);
        return written > 0 ? written : tls_result(stream, written, "TLS write");
    }
    ssize_t written;
    do written = send(stream->descriptor, data, count, MSG_NOSIGNAL);
    while (written < 0 && errno == EINTR);
    if (written >= 0) return written;
    return errno == EAGAIN ? STREAM_LATER : broken(stream, "write");
}

void stream_close(struct stream *stream) {
    if (stream->tls) {
        ERR_clear_error();
        if (SSL_is_init_finished(stream->tls)) SSL_shutdown(stream->tls);
        SSL_free(stream->tls);
        ERR_clear_error();
    }
    if (stream->descriptor >= 0) close(stream->descriptor);
    *stream = (struct stream){.descriptor = -1};
}

void stream_describe(struct stream *stream, char *text, size_t room) {
    X509 *certificate = SSL_get0_peer_certificate(stream->tls);
    EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
    const char *group = SSL_group_to_name(stream->tls, (int)SSL_get_negotiated_group(stream->tls));
    snprintf(text, room, "%s %s %s %s-%d%s", SSL_get_version(stream->tls), SSL_get_cipher_name(stream->tls),
             group ? group : "?", key ? EVP_PKEY_get0_type_name(key) : "?", key ? EVP_PKEY_get_bits(key) : 0,
             SSL_session_reused(stream->tls) ? " resumed" : "");
}
