/* SPDX-License-Identifier: MIT
 *
 * Bytes arrive: listeners, connections, HTTP/1.1; one exchange per request.
 *
 * A connection answers its requests one after the other (HTTP/1.1 pipelining: of what comes behind,
 * LIMIT_PIPELINE bytes and one read wait at most). Faults below JSON are answered here, with a plain HTTP
 * status and one line of text, and close the connection. Three deadlines bound what a slow peer can hold: a
 * total one for the head, a total one for the body, one for idleness between requests, which is also how long
 * a peer may go without reading any of his answers; and there is a maximum of connections. Streams (answers in
 * pieces) have no deadline but the last one, 30 s for them.
 *
 * Knows neither JSON nor A2A.
 */
#ifndef ACCEPT_ACCEPT_H
#define ACCEPT_ACCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http.h"
#include "lib/loop.h"
#include "lib/str.h"

struct server;
struct exchange;

struct server_config {
    /* numeric: "127.0.0.1", "0.0.0.0", "::" (IPv4 too); for server_open() only */
    const char *host;
    uint16_t port;   /* 0: any free one */
    size_t max_body; /* bytes of a request body */
    unsigned max_connections;
    uint64_t head_timeout_ms; /* first byte to end of head, in total */
    uint64_t body_timeout_ms; /* end of head to end of body, in total */
    uint64_t idle_timeout_ms; /* between requests */
};

/* Called for each complete request. The handler answers with exchange_answer() now or later. */
typedef void (*server_request_fn)(struct exchange *x, void *arg);

/* Opens the listener. On failure `why` says what to do ("port 4000 is in use: set PORT to another one, or
 * stop ..."). ERR_CONFLICT: the port is in use; ERR_INVALID: the address or port cannot be had; ERR_IO. */
MUST_CHECK int server_open(struct loop *loop, const struct server_config *config,
                           server_request_fn on_request, void *arg, struct server **out,
                           char why[256]);

/* The port in fact listened on. */
uint16_t server_port(const struct server *s);

struct server_figures {
    unsigned connections, exchanges; /* open now */
    uint64_t accepted, requests, refused;
};
void server_figures(const struct server *s, struct server_figures *out);

/* No new connections; idle ones close; answers carry "connection: close". `on_drained` comes once, when the
 * last exchange has been answered and its bytes handed to the kernel, or after `within_ms`; not after
 * server_close(). A request that has begun to arrive counts as an exchange. Calling again sets a new end. */
void server_drain(struct server *s, uint64_t within_ms, void (*on_drained)(void *arg),
                  void *arg);

/* Closes everything at once and frees. Exchanges still open are told gone. */
void server_close(struct server *s);

/* --- one request and its answer --------------------------------------------------------------------- */

const struct http_head *exchange_head(const struct exchange *x);

/* The body; empty if there is none. Borrowed until the request callback returns, and absent afterwards unless
 * exchange_keep_body() was called inside it, which makes the body stay until the exchange ends, or returns
 * ERR_NOMEM. (Body views taken before are not moved: ask again.) The head stays in any case. */
struct str exchange_body(const struct exchange *x);
MUST_CHECK int exchange_keep_body(struct exchange *x);

/* X-Request-Id as sent (1 to LIMIT_REQUEST_ID visible characters), else one of our making. Echoed in the
 * answer. Borrowed until the exchange ends. */
struct str exchange_request_id(const struct exchange *x);

/* "127.0.0.1:4000", or "gone". Borrowed until the callback that asks returns. */
const char *exchange_peer(const struct exchange *x);
bool exchange_peer_is_loopback(const struct exchange *x);

/* `fn` is called, never from inside this call, if the peer vanishes before the answer or the server is
 * closed; afterwards the exchange must not be touched. Without `fn` (NULL, as at the start) the exchange
 * outlives its peer, even its server, until it is answered; the answer is dropped. */
void exchange_on_gone(struct exchange *x, void (*fn)(void *arg), void *arg);

struct exchange_header {
    const char *name;
    struct str value;
};

/* Answers and ends the exchange: it must not be touched afterwards. `parts` are the body, in order; they are
 * copied as far as the kernel does not take them at once. A HEAD request gets the headers only. Header values
 * must satisfy http_is_header_value(); content-length, date, x-request-id and connection are written here.
 * The request callback is never called from inside, so handlers need not expect to be re-entered. */
void exchange_answer(struct exchange *x, int status, const char *content_type,
                     const struct exchange_header *headers, size_t n_headers,
                     const struct str *parts, size_t n_parts);

/* --- answers in pieces ------------------------------------------------------------------------------- */

/* Begins an answer that comes in pieces: chunked, or for HTTP/1.0 ended by the connection's end. It is the last on its
 * connection, whatever the peer sends meanwhile is dropped, and his FIN counts as leaving: on_gone is called at once
 * (a peer who is lost silently is found within 30 s, or when he has read nothing of what waits for him for so long).
 * Head, body and id of the request are gone after this. The exchange is open until exchange_end(), or until
 * on_gone, which must be set first. `on_drain` is called, never from inside, when a writer who was told ERR_AGAIN may
 * go on. A HEAD request gets the head only, and every piece is dropped. */
void exchange_stream(struct exchange *x, int status, const char *content_type,
                     const struct exchange_header *headers, size_t n_headers,
                     void (*on_drain)(void *arg));

/* Writes one piece, which is not empty. Returns 0; ERR_AGAIN: taken, but nothing more until on_drain (more than
 * LIMIT_STREAM_OUT bytes wait for the peer); ERR_CLOSED: on_gone follows. */
int exchange_write(struct exchange *x, const struct str *parts, size_t n_parts);

/* Ends the answer properly. The exchange must not be touched afterwards. */
void exchange_end(struct exchange *x);

/* The same as exchange_answer() with a literal or formatted text as text/plain. */
void exchange_answer_text(struct exchange *x, int status, const char *text);

#endif
