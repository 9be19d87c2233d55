/* SPDX-License-Identifier: MIT
 *
 * How the three files of accept/ divide a request between them:
 *
 *     server.c    the listener, the table of peers, limits, drain, the end
 *     peer.c      one connection: bytes become requests, in order; deadlines; how it ends
 *     exchange.c  one request and its answer: answers become bytes
 *
 * Who owns whom:
 *
 *     server --peers--> peer --conn-->   conn
 *        |               |----intake-->  intake  (parser, body, bytes behind; only with a message in hand)
 *        |               `----x-------   exchange (inside the peer: there is one at a time)
 *        `--spare--> intake ...
 *
 * A peer's memory goes through the loop's graveyard: after peer_end() it may be looked at until the turn
 * ends.
 */
#ifndef ACCEPT_ACCEPT_INT_H
#define ACCEPT_ACCEPT_INT_H

#include "accept/accept.h"
#include "lib/buf.h"
#include "lib/conn.h"
#include "lib/limits.h"
#include "lib/list.h"

#define SERVER_MAGIC 0x73727672u
#define PEER_MAGIC 0x70656572u

#define REQUEST_ID_OWN 25 /* eight digits of the boot, '-', up to sixteen of the counter */

struct exchange {
    bool is_open;             /* the handler owes an answer */
    bool is_kept;             /* exchange_keep_body() was called */
    bool is_stream;           /* exchange_stream() was called: no head, body or id any more */
    bool is_chunked, is_mute; /* of a stream; mute: the answer to HEAD */
    bool is_corked; /* the head waits for the first piece, at most until the turn's end */
    const struct http_head *head; /* the parser's, which waits while the exchange is open */
    struct str body;              /* borrowed from the read callback, or from intake->body */
    struct str id;                /* borrowed from the head, or id_text */
    char id_text[REQUEST_ID_OWN];
    /* May be NULL: nobody wants to know, the answer will be dropped. */
    void (*on_gone)(void *arg);
    void (*on_drain)(void *arg); /* of a stream */
    void *gone_arg;              /* of both; borrowed until the exchange ends */
};

/* What a connection needs while it has a message in hand, and an idle one does without: ten thousand idle
 * connections own none. Handed out last in, first out, so that all connections share a few warm ones. */
struct intake {
    struct list link;             /* in server->spare while nobody has it */
    struct http_parser *parser;   /* owned */
    const struct http_head *head; /* the parser's; NULL before the head is complete */
    struct str fed;               /* the bytes being parsed just now */
    struct str view;              /* the body, as long as it lies in one piece inside `fed` */
    struct buf body;              /* the body otherwise */
    struct buf behind;            /* what came behind the message in hand */
    size_t behind_at;             /* ... and how much of that is used up */
    bool is_done;                 /* the message is complete; the next one clears this */
    bool wants_continue;          /* Expect: 100-continue, and no byte of the body has come */
};

enum peer_state {
    PEER_IDLE,
    PEER_HEAD,
    PEER_BODY,
    PEER_BUSY,
    PEER_STREAM,
    PEER_FLUSH,
    PEER_GONE
};

struct peer {
    uint32_t magic;
    uint8_t state;       /* enum peer_state; changed by enter() and peer_end() only */
    bool is_working : 1; /* work() is on the stack; it does what has become due */
    bool is_fresh : 1;   /* a message ended: the next deadline is a new one */
    bool is_last : 1;    /* what has been answered was the last: flush, then close */
    /* The peer does not read his answers; nothing more is begun until he has. */
    bool is_blocked : 1;
    bool is_paused : 1;     /* we do not read: enough waits behind the exchange */
    bool is_at_eof : 1;     /* the peer has finished sending */
    struct server *server;  /* borrowed; NULL once the server may go before the peer */
    struct loop *loop;      /* borrowed; outlives every peer */
    struct conn *conn;      /* owned; NULL once it is closed or left to itself */
    struct intake *intake;  /* owned; NULL while there is no message in hand */
    struct list link;       /* in server->peers */
    struct timer timer;     /* the deadline of `state` */
    uint64_t give_up_ms;    /* PEER_FLUSH: when we stop waiting for a peer who does not read */
    size_t backlog_seen;    /* bytes he had to read when the deadline was set */
    struct deferred more;   /* what waits behind is parsed at the end of the turn */
    struct deferred notice; /* on_gone, when it was asked for after the peer had gone */
    struct grave grave;
    struct exchange x;
};

/* A warning that comes at most once a second and then says how often. */
struct tally {
    uint64_t n_unlogged, next_ms;
};

struct server {
    uint32_t magic;
    bool is_draining;
    bool is_closed;
    bool is_listening;           /* `listener` is open; it may already be closing */
    struct loop *loop;           /* borrowed; outlives the server */
    struct server_config config; /* without the host's text */
    server_request_fn on_request;
    void *arg;  /* borrowed until server_close() */
    int socket; /* owned; listens all the time; libuv works on a duplicate */
    uint16_t port;
    uv_tcp_t listener;
    struct list peers;
    struct list spare; /* struct intake.link */
    unsigned n_peers, n_exchanges, n_spare;
    uint64_t n_accepted, n_requests, n_refused;
    struct timer resume; /* on while accepting pauses */
    struct timer drain_timer;
    struct deferred drained;
    void (*on_drained)(void *arg); /* NULL when it was called */
    void *drained_arg;             /* borrowed until then */
    struct tally full, failing;
    uint64_t linger_second; /* what n_lingering counts in */
    unsigned n_lingering;
    struct grave grave;

    /* Writing answers: one head at a time is assembled here. */
    struct buf out;
    char date[40]; /* "date: ...\r\n" */
    size_t date_bytes;
    uint64_t date_until_ms; /* loop time from which it is stale */
    char id_prefix[9];      /* eight hexadecimal digits, random per boot */
    uint64_t id_counter;
};

/* --- server.c --- */

/* A parser and its buffers, ready for a new message. `server` keeps a few. */
struct intake *intake_take(struct server *s);
/* `is_clean`: the parser stands between two messages of a connection that could have gone on. */
void intake_give(struct server *s, struct intake *in, bool is_clean);
void intake_free(struct intake *in);

/* A peer has left the table. */
void server_peer_left(struct server *s);

/* Ends a connection on our side. Gently as a rule, so that the last answer arrives; at once when too many
 * connections are lingering already, because these are in no table and must be bounded too. */
void server_leave(struct server *s, struct conn *c);

/* BUG if counts and lists disagree, or a peer is in a state it cannot be in. For tests. */
void server_check(const struct server *s);

/* --- peer.c --- */

extern const struct http_events peer_http_events; /* arg: struct intake */

/* Takes the connection waiting on the listener. */
MUST_CHECK int peer_open(struct server *s);
/* The server drains: an idle peer is closed. */
void peer_drain(struct peer *p);
/* The funnel through which every peer goes; an open exchange is told. */
void peer_end(struct peer *p);
/* The exchange has been answered: goes on, now or (inside work()) when the handler has returned. */
void peer_go_on(struct peer *p);
/* The exchange has become a stream: what its request needed is given back. */
void peer_stream(struct peer *p);
/* A stream's reader does not take what is written. */
void peer_block(struct peer *p);
/* The last of a peer: nothing refers to it any more. */
void peer_release(struct peer *p);

static inline struct peer *peer_of_exchange(const struct exchange *x)
{
    struct peer *p = CONTAINER_OF(x, struct peer, x);

    BUG_ON(p->magic != PEER_MAGIC);
    return p;
}

/* --- exchange.c --- */

struct answer {
    int status;
    bool closes;      /* "connection: close" */
    bool says_alive;  /* "connection: keep-alive", which HTTP/1.0 wants to hear */
    bool is_head;     /* the answer to a HEAD request: its body is measured but not sent */
    bool is_stream;   /* the body comes in pieces */
    bool is_chunked;  /* a stream's */
    const char *type; /* NULL: none */
    struct str id;    /* absent: none */
    const struct exchange_header *headers;
    size_t n_headers;
    const struct str *parts;
    size_t n_parts;
};

/* Head and body in one write. Returns what conn_write() returns. */
int answer_write(struct server *s, struct conn *c, const struct answer *a);

/* Begins the exchange of the message in hand. */
void exchange_begin(struct exchange *x, struct server *s, const struct intake *in);

/* The request's own id if it is a decent one, else one of ours, written to `own`. */
struct str exchange_id(struct server *s, const struct http_head *head,
                       char own[REQUEST_ID_OWN]);

#endif
