/* A connection that does not block, in clear text or TLS, as a mail program has it. */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What reading, writing and shaking hands return instead of a count. */
enum { STREAM_CLOSED = 0, STREAM_LATER = -1, STREAM_BROKEN = -2 };

struct stream {
    int descriptor;
    SSL *tls;
    /* Why it is STREAM_BROKEN. */
    char trouble[120];
};

/* TLS without resumption: no session is kept, none is asked for. Certificates are not verified. */
SSL_CTX *client_tls(void);

void stream_begin_tls(struct stream *stream, SSL_CTX *context);
/* 1 when done, else STREAM_LATER or STREAM_BROKEN. */
int stream_shake_hands(struct stream *stream);
ssize_t stream_read(struct stream *stream, void *data, size_t room);
ssize_t stream_write(struct stream *stream, const void *data, size_t count);
/* Ends TLS with a close_notify for which nobody waits. */
void stream_close(struct stream *stream);
/* Version, cipher, group and kind of key that were agreed upon. */
void stream_describe(struct stream *stream, char *text, size_t room);

#endif
