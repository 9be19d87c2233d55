/* SPDX-License-Identifier: MIT
 *
 * The parts of egress, to each other.
 *
 *     egress.c    the door: endpoints, figures, birth and death
 *     request.c   one request from start to its single callback; its states and deadlines
 *     answer.c    the bytes a connection brings, until they are a whole answer
 *     pool.c      hosts and their lanes (a lane is one connection with its parser)
 *     resolve.c   the addresses of a host
 *     identity.c  who we are and whom we trust with https: files, read once, looked at again
 *
 *     egress --> host (counted) --> lanes: busy (one request each) and idle
 *            |         |        --> requests waiting for an address
 *            |         v
 *            +----> identity (one per set of files, counted)
 *
 * There is one host for each name, port, and, with https, identity and expected name: who shares a host
 * shares its connections.
 */
#ifndef EGRESS_EGRESS_INT_H
#define EGRESS_EGRESS_INT_H

#include <netinet/in.h>

#include "egress/egress.h"
#include "lib/buf.h"
#include "lib/conn.h"
#include "lib/list.h"
#include "lib/map.h"

/* Addresses kept of one name; a name with more is a load balancer's, and eight are enough to find a live
 * one. */
#define ADDRESSES_MAX 8u

/* How long addresses are believed. DNS would say, but getaddrinfo() does not tell. */
#define ADDRESSES_FRESH_MS 30000u

struct egress {
    struct loop *loop; /* borrowed: outlives this */
    struct egress_config config;
    struct map hosts;      /* key -> struct host, not counted: a host removes itself */
    struct map identities; /* key -> struct identity, not counted either */
    uint64_t n_identities; /* ever made: their numbers */
    struct list requests;  /* all that run: egress_request.link */
    struct egress_request *
        /* what was held back is being told to it; NULL: it is gone since, or nobody's */
        telling;
    /* where request heads are written; valid inside egress_start() only */
    struct buf head;
    unsigned n_idle, n_busy; /* lanes */
    uint64_t n_opened, n_requests;
    char why[TLS_WHY]; /* the sentence of the last refusal that was no literal */
};

/* --- identity.c --------------------------------------------------------------------------------- */

/* The files of one kind of TLS, and what was read from them last. */
struct identity {
    unsigned n_refs;
    struct egress *egress;       /* borrowed; NULL once it was freed */
    struct loop *loop;           /* borrowed */
    uint64_t number;             /* never used again within this egress */
    char *key;                   /* owned; the three names, each behind a line end */
    char *ca, *cert, *pem;       /* owned; names of files, NULL: none */
    struct tls_context *context; /* counted */
    uint64_t look_at_ms;         /* when the files may be looked at again */
    int err;                     /* the files have changed and cannot be used ... */
    char doubt[TLS_WHY];         /* ... for this reason; "" otherwise */
};

/* The identity of these files, made if there is none; one reference is the caller's. The files are looked
 * at: they must be usable now. ERR_INVALID, ERR_LIMIT or ERR_NOMEM, with *why, which lives in `e`. */
MUST_CHECK int identity_get(struct egress *e, const struct egress_tls *tls,
                            struct identity **out, const char **why);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity *i); /* accepts NULL */

/* What is in force, borrowed until the next call. Files are looked at once a second at most; if they have
 * changed and cannot be used, what was read before stays. */
struct tls_context *identity_context(struct identity *i);

/* --- pool.c: hosts ------------------------------------------------------------------------------ */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* What a host is known by. */
struct host_spec {
    struct str name; /* has passed url_parse() */
    bool is_ipv6;
    uint16_t port;
    struct identity *identity; /* NULL: no TLS */
    struct str server_name;    /* expected with TLS; never absent then */
};

struct host {
    struct grave grave;    /* n_pending counts the look-up under way */
    struct egress *egress; /* borrowed; NULL once it was freed */
    struct loop *loop;     /* borrowed */
    unsigned n_refs;       /* endpoints, requests and lanes */
    char *key;             /* owned; the map's */
    char *label;           /* owned; "host:port": its name in sentences */
    char *name;            /* owned; what is resolved */
    uint16_t port;

    /* https; NULL and 0 otherwise */
    struct identity *identity;   /* counted */
    char *server_name;           /* owned; what the certificate must be for */
    struct tls_context *context; /* counted; of the connections made last */
    struct tls_memory memory;    /* of handshakes with `context` */
    unsigned generation;         /* how often the context has changed */

    struct list idle; /* lane.link; the one used last is first */
    struct list busy; /* lane.link; connecting ones too */
    unsigned n_idle;

    union address addresses[ADDRESSES_MAX];
    unsigned n_addresses;
    unsigned preferred;      /* index of the address that worked last */
    uint64_t fresh_until_ms; /* UINT64_MAX for numeric hosts */
    bool is_resolving;
    uv_getaddrinfo_t lookup;
    struct list waiting; /* egress_request.wait: they want addresses */
};

/* The host that fits, made if there is none; one reference is the caller's. NULL: no memory. */
struct host *host_get(struct egress *e, const struct host_spec *spec);
struct host *host_ref(struct host *h);
void host_unref(struct host *h); /* accepts NULL */

/* --- pool.c: lanes ------------------------------------------------------------------------------ */

#define LANE_MAGIC 0x1a9e0001u

struct lane {
    unsigned magic;
    struct grave grave;
    struct list link;  /* in host->busy or host->idle */
    struct host *host; /* counted */
    struct conn *conn; /* owned; NULL once closed */
    /* owned; freed with the lane, so that answers outlive the connection */
    struct http_parser *parser;
    struct egress_request *request; /* borrowed; NULL exactly while idle or closed */
    struct timer idle_timer;        /* may fire while busy: then it means nothing */
    unsigned generation; /* the host's when it was opened; another one is used no more */
    uint64_t idle_since_ms;
};

/* The idle lane used last; for a request that must not be seen twice only if it was used recently. Busy with
 * `r` afterwards. NULL: none. */
struct lane *lane_take(struct host *h, struct egress_request *r);

/* Closes all idle lanes; the caller holds the host. */
void host_close_idle(struct host *h);

/* Starts a connection for `r`, told to lane_events. */
MUST_CHECK int lane_open(struct host *h, struct egress_request *r, const struct sockaddr *to,
                         struct lane **out);

/* Its request has its answer: idle again. */
void lane_rest(struct lane *l);

/* Gone for good. Its memory lives until the turn ends. Tells nobody. Accepts NULL. */
void lane_close(struct lane *l);

/* What a lane's connection reports (answer.c). */
extern const struct conn_events lane_events;
extern const struct http_events lane_parser_events;

/* --- resolve.c ---------------------------------------------------------------------------------- */

/* Makes the host's addresses known. 0: they are; ERR_AGAIN: request_on_addresses() will be called for all
 * that stand in host->waiting. ERR_RESOLVE: they will not be. */
MUST_CHECK int host_resolve(struct host *h);

/* They did not work: the next request asks anew. */
void host_doubt(struct host *h);

/* If the name is a numeric address, notes it for good. */
void host_read_numeric(struct host *h);

/* --- request.c ---------------------------------------------------------------------------------- */

/*     egress_start() --an idle lane took it-------------------------------------> WAITING --> DONE
 *          |                                                                       ^  |
 *          +--> RESOLVING --request_on_addresses()--> CONNECTING --request_on_open()  |
 *                   |                                 |      ^ next address           |
 *                   |                                 +------+                        |
 *                   +---------------------------------+--request_fail()---------------+--> DONE
 *
 *     RESOLVING   in host->waiting; `out` holds the request; no lane
 *     CONNECTING  `lane` is connecting for it; `out` holds the request
 *     WAITING     the lane's connection has taken the whole request; `out` is empty
 *     DOOMED      failed inside egress_start(): the end of the turn will say so
 *     DONE        the callback is running; freed when it returns
 */
enum request_state {
    REQUEST_NEW,
    REQUEST_RESOLVING,
    REQUEST_CONNECTING,
    REQUEST_WAITING,
    REQUEST_DOOMED,
    REQUEST_DONE
};

#define REQUEST_MAGIC 0x4e9e0002u
#define WHY_MAX (TLS_WHY + 320) /* a host name has up to 253 bytes */

struct egress_request {
    unsigned magic;
    enum request_state state;
    bool is_starting; /* inside egress_start() */
    bool only_looks;
    bool is_bodiless;      /* HEAD: the answer has no body, whatever it says */
    struct egress *egress; /* borrowed: it ends all requests before it goes */
    struct list link;      /* in egress->requests */
    struct list wait;      /* in host->waiting while RESOLVING */
    struct host *host;     /* counted */
    struct lane *lane;     /* borrowed; lane->request == this */
    egress_fn fn;
    void *arg;

    struct buf out;        /* the request, until it was given to a connection */
    size_t n_out;          /* its bytes */
    uint64_t taken_before; /* WAITING: conn_taken() before the request was written */
    bool was_sent;
    unsigned n_tried;                   /* addresses tried */
    unsigned first_address, address_at; /* indices: where it began, the one under way */

    uint64_t connect_ms, total_ms; /* as asked for, for sentences */
    uint64_t connect_until_ms;
    struct timer connect_timer; /* RESOLVING: for all; CONNECTING: for this address */
    struct timer total_timer;
    struct deferred doom;
    int err; /* what request_fail() was told; before that, why the last address was refused */

    /* An answer that is read as it comes. While it is paused nothing is told: what the last read brought waits in
     * `held`, and the end, good or bad, waits with it. */
    const struct egress_stream *stream; /* borrowed; NULL: collected */
    bool is_streaming;                  /* its head has come, and it is one */
    bool is_paused;
    bool is_clean;   /* is_whole: nothing came behind it */
    struct buf held; /* at most one read */
    struct deferred flush;
    /* paused: why the connection is gone, `why` says it in words; 0: it is not */
    int broken_err;

    /* the answer so far (answer.c) */
    size_t max_body;
    const struct http_head *head; /* in the lane's parser */
    bool is_whole, is_too_large, has_bytes;
    size_t n_body;
    /* the body's first piece, still in the read buffer; valid inside on_read only */
    struct str view;
    struct buf body; /* the body's pieces, once there is more than one */

    char why[WHY_MAX];
};

/* Starts one with its head and body; the door's egress_start() behind the URL. */
MUST_CHECK int request_start(struct egress *e, struct host *h, const struct egress_call *call,
                             const struct str *parts, size_t n_parts, egress_fn fn, void *arg,
                             struct egress_request **out);

/* err: ERR_RESOLVE, r->why is set */
void request_on_addresses(struct egress_request *r, int err);
void request_on_open(struct egress_request *r);
/* The connection could not be made (ERR_CONNECT, ERR_TLS): on to the next address. */
void request_on_refused(struct egress_request *r, int err, const char *why);

/* Ends it with r->why as the reason. */
void request_fail(struct egress_request *r, int err);
#define REQUEST_WHY(r, ...) ((void)snprintf((r)->why, sizeof(r)->why, __VA_ARGS__))

/* A deadline of its own for the silence between two reads; off while it is paused. */
void request_watch_silence(struct egress_request *r);
/* Tells what was held back; request.c defers it, answer.c has it. */
void request_flush(struct egress_request *r);

/* Ends it with the answer that has been read. The lane is idle or closed by now. */
void request_succeed(struct egress_request *r, struct str body);

/* --- for tests ---------------------------------------------------------------------------------- */

/* Stops the program if an invariant of lists and counts does not hold. */
void egress_check(const struct egress *e);

#endif
