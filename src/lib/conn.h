/* SPDX-License-Identifier: MIT
 *
 * One byte stream to a peer: TCP in either direction, or TLS to a server.
 *
 *     conn_connect -------on_open---> OPEN ---conn_close / on_close---> gone
 *     conn_connect_tls ---on_open---^
 *     conn_accept  -----------------^
 *
 * TLS changes nothing for the user: on_open comes when the handshake is done and the peer has proved who he
 * is, on_read brings opened bytes, finishing and closing say goodbye (close_notify) by themselves.
 *
 * Pull, don't push: conn_write() takes everything it is given, but answers ERR_AGAIN when more than
 * LIMIT_CONN_OUT_HIGH bytes wait for the peer; the writer then stops until on_drain. Reading can be paused.
 * Reading stays on while a request is being worked on: that is how a vanished peer is noticed.
 *
 * Callbacks: none comes from inside a function of this file. on_close comes exactly once, for a death that
 * was not ordered (peer reset, connect failed, EOF is *not* a death); the connection is then gone, its
 * pointer good until on_close returns. After conn_close() no callback comes any more. Memory goes through
 * the loop's graveyard: closing from inside any callback is fine, and what the rest of that callback still
 * does to the connection is harmless and without effect.
 */
#ifndef LIB_CONN_H
#define LIB_CONN_H

#include <netinet/in.h>
#include <stdbool.h>

#include "lib/loop.h"
#include "lib/str.h"
#include "lib/tls.h"

struct conn;

struct conn_events {
    /* connect only; may be NULL for accepted ones */
    void (*on_open)(struct conn *c, void *arg);
    /* Bytes; borrowed until return. n == 0: the peer has finished sending (EOF), comes once. */
    void (*on_read)(struct conn *c, const char *p, size_t n, void *arg);
    void (*on_drain)(struct conn *c, void *arg); /* may be NULL */
    /* `why` of TLS begins with "TLS: ". ERR_TLS: the handshake failed, or the peer refused our certificate,
     * which with TLS 1.3 may be heard only after on_open. */
    void (*on_close)(struct conn *c, int err, const char *why, void *arg);
};

/* Starts connecting to a numeric address. Error return: no callback will come. */
MUST_CHECK int conn_connect(struct loop *l, const struct sockaddr *to,
                            const struct conn_events *ev, void *arg, struct conn **out);

/* The same, and speaks TLS: `peer` is borrowed for the call, as its parts say. Also ERR_INVALID, ERR_NOMEM.
 * */
MUST_CHECK int conn_connect_tls(struct loop *l, const struct sockaddr *to,
                                const struct tls_peer *peer, const struct conn_events *ev,
                                void *arg, struct conn **out);

/* Takes over a connection waiting on `listener`. The peer is read from at once. ERR_IO when there is none. */
MUST_CHECK int conn_accept(struct loop *l, uv_stream_t *listener, const struct conn_events *ev,
                           void *arg, struct conn **out);

/* Changes who is told. */
void conn_set_events(struct conn *c, const struct conn_events *ev, void *arg);

/* Queues the parts in order; what the kernel takes at once is never copied, the rest is. Returns 0, or
 * ERR_AGAIN (all taken, but wait for on_drain before more), or ERR_CLOSED / ERR_NOMEM (connection unusable,
 * on_close follows or came), or ERR_LIMIT (the same, because the writer went on and on against ERR_AGAIN).
 * Between conn_cork and conn_uncork, which nest, writes are collected to leave in one system call; only what
 * is too large to be worth collecting leaves at once, in order. */
int conn_write(struct conn *c, const struct str *parts, size_t n_parts);
void conn_cork(struct conn *c);
void conn_uncork(struct conn *c);

/* Another mark for ERR_AGAIN than LIMIT_CONN_OUT_HIGH. */
void conn_set_high(struct conn *c, size_t bytes);

/* Bytes accepted by conn_write() that the kernel has not taken yet (with what TLS adds to them). */
size_t conn_backlog(const struct conn *c);

/* Bytes the kernel has taken since birth, those of TLS itself among them. If it is the same before and long
 * after a conn_write(), nobody has seen anything of what was written. */
uint64_t conn_taken(const struct conn *c);

void conn_pause(struct conn *c);  /* stop reading */
void conn_resume(struct conn *c); /* read again */

/* Sends what is queued, then FIN; reading goes on. Nothing can be written any more. */
void conn_finish(struct conn *c);

/* Closes after what is queued has been handed to the kernel, at the latest after `within_ms`; the peer's
 * bytes meanwhile are read and dropped until he has finished too, so that our last answer is not destroyed
 * by a reset (the kernel answers unread bytes with one). No callbacks. The pointer is given away. */
void conn_close_gently(struct conn *c, uint64_t within_ms);

/* Closes now. No callbacks afterwards. Accepts NULL. */
void conn_close(struct conn *c);

/* "127.0.0.1:4000", "[2001:db8::1]:4000", or "unknown" when he had gone before we could ask; an IPv4 peer on
 * an IPv6 socket is shown as IPv4. Borrowed as long as the connection. */
const char *conn_peer(const struct conn *c);
bool conn_peer_is_loopback(const struct conn *c);

/* Connected, but the TLS handshake is not done. */
bool conn_is_shaking(const struct conn *c);

/* The peer's EOF came without TLS's goodbye: somebody may have cut off what he still had to say. It matters
 * to those whose messages end with the connection. */
bool conn_is_cut(const struct conn *c);

#endif
