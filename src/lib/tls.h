/* SPDX-License-Identifier: MIT
 *
 * TLS for one who connects, as a codec: bytes of the peer in, bytes for the peer out. It does no I/O;
 * lib/conn.h does.
 *
 *     files --tls_context_new()--> context (counted) --tls_new()--> tls, one per connection
 *
 *     tls_feed(sealed bytes) -> tls_shake() until it is 0, then tls_read() until it is not
 *     tls_write(bytes)       -> sealed bytes in the `out` that tls_new() was given
 *
 * The peer must prove who he is: chain up to a trusted CA, time (that of lib/clock.h), and the name or
 * address he was called by. Nothing switches that off. TLS 1.2 or newer; never renegotiated; ALPN says
 * http/1.1.
 *
 * What failed is a sentence that begins with "TLS: " and says what to do, where there is something to do.
 */
#ifndef LIB_TLS_H
#define LIB_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/str.h"

/* --- what we trust, and what we show -------------------------------------------------------------- */

#define TLS_WHY 512 /* room for a sentence */

struct tls_files {
    const char
        *ca; /* PEM; NULL: the system's CAs (SSL_CERT_FILE and SSL_CERT_DIR are honoured) */
    const char *cert; /* PEM chain to show; NULL: none */
    const char *key;  /* PEM; NULL: in `cert` */
};

struct tls_context;

/* Reads the files, on the spot. ERR_INVALID: one of them cannot be used, `why` says which and for what reason
 * ("caFile ca.pem: No such file or directory"). ERR_NOMEM. One reference is the caller's. */
MUST_CHECK int tls_context_new(const struct tls_files *files, struct tls_context **out,
                               char why[TLS_WHY]);
struct tls_context *tls_context_ref(struct tls_context *x);
void tls_context_unref(struct tls_context *x); /* accepts NULL */

/* Whether a file is not what it was when it was read: time, size, inode, or gone. Asks the file system. */
bool tls_context_is_stale(const struct tls_context *x);

/* --- one connection ------------------------------------------------------------------------------- */

/* What is remembered of a peer, so that the next handshake with him is shorter. For one name only, and for one
 * context: what a connection with another one proves is not taken in. */
struct tls_memory {
    const struct tls_context *context; /* set by its owner; only compared */
    void *session;                     /* owned; NULL at birth */
};
void tls_memory_release(struct tls_memory *m);

struct tls_peer {
    struct tls_context *context; /* a reference is taken */
    const char *name; /* host name, or IPv4 or IPv6 address without brackets; copied */
    /* borrowed as long as the connection is fed; NULL: nothing is remembered */
    struct tls_memory *memory;
};

struct tls;

/* `out` is borrowed: sealed bytes are appended to it by every function below. ERR_NOMEM, ERR_INVALID
 * (`name`). */
MUST_CHECK int tls_new(const struct tls_peer *peer, struct buf *out, struct tls **t);
void tls_free(struct tls *t); /* accepts NULL; says no goodbye */

/* Bytes of the peer, borrowed until they are used up (the next ERR_AGAIN) or tls_keep(). Nothing fed earlier
 * may be left. */
void tls_feed(struct tls *t, const char *p, size_t n);
/* Copies what has been fed and not been used, because the bytes are about to go. */
MUST_CHECK int tls_keep(struct tls *t);
/* Whether tls_read() has something to say without being fed. */
bool tls_has_input(const struct tls *t);

/* Goes on with the handshake. 0: done, the peer is who he should be. ERR_AGAIN: more must be fed. ERR_TLS:
 * failed, with tls_why(). ERR_NOMEM. */
MUST_CHECK int tls_shake(struct tls *t);

/* Opened bytes, up to `room`. 0: *n > 0 of them. ERR_AGAIN: more must be fed. ERR_CLOSED: the peer has said
 * that he has finished. ERR_TLS: he refused our certificate, and has not done anything else (TLS 1.3 says so
 * only now). ERR_IO: broken in any other way. ERR_NOMEM. After an error only tls_why() makes sense. */
MUST_CHECK int tls_read(struct tls *t, char *p, size_t room, size_t *n);

/* Seals all parts, in as few records as possible. After the handshake only. ERR_LIMIT, ERR_NOMEM, ERR_IO. */
MUST_CHECK int tls_write(struct tls *t, const struct str *parts, size_t n_parts);

/* Says goodbye (close_notify); nothing may be written afterwards. */
void tls_finish(struct tls *t);

/* The connection ended without the peer's goodbye while tls_shake() was not done: makes that a sentence.
 * `how` goes on from "the peer": "closed the connection". */
void tls_break(struct tls *t, const char *how);

/* Whether the peer has sent anything but his part of the handshake. */
bool tls_has_read(const struct tls *t);

/* Why it failed; "" when it has not. Borrowed as long as `t`. */
const char *tls_why(const struct tls *t);

#endif
