/* SPDX-License-Identifier: MIT
 *
 * Inside binding/: the routes and what the two JSON-RPC surfaces share.
 */
#ifndef BINDING_BINDING_INT_H
#define BINDING_BINDING_INT_H

#include "binding/binding.h"
#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/list.h"
#include "lib/network.h"

#define BINDING_PAGES 16

struct page {
    const char *path; /* literal */
    binding_page_fn fn;
    void *arg;
};

/* --- public.c: under which address callers reach the gateway --------------------------------------- */

struct public_address {
    struct buf base;         /* PUBLIC_URL with a '/' behind it; empty: each request says it */
    struct network *trusted; /* owned */
    size_t n_trusted;
    const char *listen; /* borrowed from the configuration */
    uint16_t port;
};

/* ERR_INVALID with `why` about a setting that makes no sense; public_release() also then. */
MUST_CHECK int public_init(struct public_address *p, const struct binding_config *config,
                           char why[256]);
void public_release(struct public_address *p);

/* Appends the gateway's URL for who sent the request; it ends in '/'. `peer` as exchange_peer() says it. */
void public_write_base(const struct public_address *p, struct buf *out,
                       const struct http_head *head, const char *peer);
/* The same for an agent: its JSON-RPC endpoint and, with .well-known/agent-card.json behind it, its card. */
void public_write_agent(const struct public_address *p, struct buf *out,
                        const struct http_head *head, const char *peer, struct str id);
/* Whether `peer` (as exchange_peer() says it) is one of TRUSTED_PROXIES. */
bool public_is_proxy(const struct public_address *p, const char *peer);
/* Whether the Host header names this machine to itself, or the gateway by its settings: a loopback name or address, the
 * address listened on, PUBLIC_URL's host; with any port. */
bool public_is_own_host(const struct public_address *p, struct str host);
/* The value of Vary for what holds such URLs (A2A-Version is in it). */
const char *public_vary(const struct public_address *p);

struct binding {
    struct calls *calls; /* borrowed as long as the gateway lives */
    struct binding_config config;
    struct public_address address;
    struct page pages[BINDING_PAGES];
    size_t n_pages;
    struct list idle; /* pending objects kept for reuse */
    size_t n_idle;
    struct buf out; /* scratch for answers: one at a time is written, start to end */
    struct buf tail;
};

/* --- pending.c: a request between its arrival and its answer -------------------------------------- */

enum surface { SURFACE_A2A, SURFACE_RPC };

struct pending {
    struct list link; /* in binding.idle when not in use */
    struct binding *binding;
    struct exchange *exchange; /* NULL when the caller is gone */
    struct call *call;         /* NULL when answered, and for what cannot be detached */
    enum surface surface;
    bool want_summaries; /* lists: one line per task, for people and scripts */
    /* only method, version, id, history_length and include_artifacts are valid here */
    struct a2a_request request;
    char id[LIMIT_JSONRPC_ID]; /* the raw id, where request.id points */
};

struct pending *pending_new(struct binding *b, struct exchange *x, enum surface surface,
                            const struct a2a_request *request);

/* Starts the call for a pending request and sees to it that exactly one answer leaves. */
void pending_start(struct pending *p, const struct call_request *request);
void pending_start_admin(struct pending *p, const struct call_admin_request *request);
void pending_start_push(struct pending *p, const struct call_push_request *request);
void pending_start_webhooks(struct pending *p, const struct call_webhooks_request *request);

/* Whether the method is one of push notification configurations. */
bool is_push_method(enum a2a_method method);

void pending_free_idle(struct binding *b);

/* Writes a JSON-RPC error as the whole answer and ends the exchange. */
void answer_fault(struct binding *b, struct exchange *x, enum surface surface,
                  const struct a2a_request *request, const struct a2a_fault *fault);

/* How callers of that version call A2A-Extensions. */
const char *answer_extensions(enum a2a_version version);

/* --- stream.c: answers that go on ------------------------------------------------------------------- */

/* The cursor a caller comes back with: Last-Event-ID, or the query parameter of that name or lastEventId. Absent: none. A
 * view of the head or of `scratch`. */
struct str last_event_id(const struct http_head *head, struct buf *scratch);

/* Begins the stream of answer->stream; `p` is the caller's still. */
void stream_start(struct pending *p, const struct call_answer *answer);
/* Answers the stream of one message. ERR_INVALID with *why: it cannot be told, nothing was sent. */
MUST_CHECK int stream_answer_message(struct pending *p, const struct call_answer *answer,
                                     const char **why);

/* --- what the surfaces share ---------------------------------------------------------------------- */

/* POST with a JSON body? Otherwise answers and returns false. */
bool admit_json_post(struct binding *b, struct exchange *x, enum surface surface);

/* application/json, application/a2a+json, anything/anything+json, with or without parameters. */
bool is_json_type(struct str content_type);

/* Whether a browser sent it for a page (Origin, Sec-Fetch-Site). What has neither may still be one's, an old one's. */
bool is_from_browser(const struct http_head *head);

/* The A2A-Version header, or the query parameter of that name; the header wins (A2A 1.0 section 3.6). Absent: neither.
 * A view of the head or of `scratch`. */
struct str asked_version(const struct http_head *head, struct buf *scratch);

/* Whether the value of an Authorization header holds the gateway's own SUPERX_ADMIN_TOKEN. */
bool is_admin_token(const struct binding *b, struct str authorization);

/* 405 with what is allowed. */
void answer_wrong_verb(struct exchange *x, const char *allowed);

/* --- cards.c --------------------------------------------------------------------------------------- */

/* Whether `path`, without the '/' in front, is one at which cards are looked for. */
bool is_card_path(struct str path);
/* `agent_id` absent: at the root. */
void card_on_request(struct binding *b, struct exchange *x, struct str agent_id);

void jsonrpc_on_request(struct binding *b, struct exchange *x, struct str agent_id);
void rpc_on_request(struct binding *b, struct exchange *x);

#endif
