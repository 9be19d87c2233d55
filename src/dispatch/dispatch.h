/* SPDX-License-Identifier: MIT
 *
 * Which agent, and may it go now: the registry of agents, the places each of them offers, and one JSON-RPC
 * operation with an agent from lease to understood answer.
 *
 * Agents have a source (file, env, demo, api). A reload adds, changes and removes only agents of its
 * own source. A removed agent takes no new calls; calls in flight finish, because they hold a reference.
 *
 * Invariants
 *   1. in_flight(agent) <= max_in_flight(agent); every place taken is given back exactly once. All versions
 *      of an agent share their places; if a reload lowers the maximum below what is taken, none is given until
 *      enough have come back.
 *   2. A call that is refused a place has touched nothing.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "egress/egress.h"
#include "lib/arena.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/str.h"

struct dispatch;

/* --- agents as configured (agents_file.c, agents_json.c) -------------------------------------- */

/* A header sent with every request to the agent. */
struct agent_header {
    struct str name; /* ends in NUL */
    struct str value;
};

#define AGENT_HEADERS_MAX 16
#define AGENT_FORWARDS_MAX 16

struct agent_spec {
    struct agent_spec *next;
    struct str id;  /* [A-Za-z0-9._-]{1,64} */
    struct str url; /* http(s)://..., a base or an endpoint; the card says which */
    /* where JSON-RPC is spoken whatever the card says; absent: card, else url */
    struct str endpoint;
    struct str card_url; /* where the card is; absent: below url, then at the host's root */
    struct str card;     /* a card (JSON text) shown until one is fetched; absent: none */
    struct str bearer;   /* absent: none */
    struct agent_header headers[AGENT_HEADERS_MAX];
    size_t n_headers;
    /* names of callers' headers that go to the agent (forwardHeaders); each ends in NUL */
    struct str forwards[AGENT_FORWARDS_MAX];
    size_t n_forwards;
    /* for https; absent: the system's CAs, no client certificate */
    struct str ca_file, cert_file, key_file;
    /* expected in the certificate instead of the URL's host; absent */
    struct str server_name;
    /* protocolVersion is given; else the card says it */
    bool has_version;
    enum a2a_version version;     /* valid if has_version */
    bool follow_card_host;        /* the card may name another host than url */
    enum a2a_card_form card_form; /* what callers without A2A-Version get */
    bool has_card_form;           /* given: they get it with any A2A-Version */
    unsigned max_in_flight;
    unsigned
        /* maxStreams: streams of the agent open at a time; 0: never ask it for one */
        max_streams;
    /* send: how callers' messages are said to it. stream, async: its task's id is on disk at its first word. */
    enum agent_send { AGENT_SEND_AS_ASKED, AGENT_SEND_STREAM, AGENT_SEND_ASYNC } send;
    /* finalGet: at a state that a stream cannot leave by itself (terminal, interrupted) the task is asked for once, so
     * that what is stored is what the agent has. Default true. */
    bool final_get;
    uint64_t timeout_ms;
    unsigned line; /* in the file; 0 if not from one */
};

/* Whether two URLs have the same scheme, host and port: what is secret to one may be sent to the other. */
bool route_is_same_host(struct str a, struct str b);

struct agent_defaults {
    unsigned max_in_flight; /* AGENT_MAX_IN_FLIGHT */
    unsigned max_streams;   /* AGENT_MAX_STREAMS */
    uint64_t timeout_ms;    /* AGENT_CALL_TIMEOUT */
};

/* A spec that says nothing. */
struct agent_spec agent_spec_default(const struct agent_defaults *defaults);
/* "as-asked", "stream", "async". */
const char *agent_send_text(enum agent_send send);

struct agents_fault {
    unsigned line, column; /* 0: not about a place */
    char why[200];
};

/* Reads an agents file: `agents:` as a map (id: {...}) or a list (- name: id ...). `env` looks up ${VAR}
 * (NULL for unset, which is an error naming the variable). Unknown keys are errors with a suggestion. Specs
 * lie in `arena`. */
MUST_CHECK int agents_file_read(struct str text, const struct agent_defaults *defaults,
                                const char *(*env)(const char *name), struct arena *arena,
                                struct agent_spec **out, struct str *default_agent,
                                struct agents_fault *fault);

/* Reads one agent as JSON, the same keys as in the file plus `id` (or `name`), accepted by json_scan():
 * the form of agents.upsert and of the store. ERR_INVALID with a sentence. */
MUST_CHECK int agent_spec_read(struct str json, const struct agent_defaults *defaults,
                               struct arena *arena, struct agent_spec *out, char why[200]);
/* Writes it in that form, for the store: with credentials. agent_spec_read() gives the same spec back. */
void agent_spec_write(struct buf *out, const struct agent_spec *spec);

/* Whether `id` may name an agent. */
bool agent_id_is_valid(struct str id);

/* --- the registry ----------------------------------------------------------------------------- */

struct dispatch_config {
    /* HTTP_CARD_TIMEOUT: one fetch; 0: cards are never fetched (tests of other folders) */
    uint64_t card_timeout_ms;
    /* AGENT_CARD_TTL: an older card is fetched again when it is asked for */
    uint64_t card_ttl_ms;
    /* AGENT_STREAM_IDLE: a stream that is silent for so long, comments included, counts as broken */
    uint64_t stream_idle_ms;
};

struct dispatch *dispatch_new(struct loop *loop, struct egress *egress,
                              const struct dispatch_config *config);
/* Nothing may be in flight, and nobody else may hold an agent when the turn ends. */
void dispatch_free(struct dispatch *d);

struct dispatch_change {
    unsigned added, changed, removed, kept;
};

/* Makes the agents of `source` exactly `specs`. An id that another source already has is refused and logged;
 * the others are taken. */
void dispatch_put(struct dispatch *d, const char *source, const struct agent_spec *specs,
                  struct dispatch_change *change);

/* Whether dispatch_upsert() would take the spec now, its files included; changes nothing. Errors as there. */
MUST_CHECK int dispatch_may_upsert(struct dispatch *d, const struct agent_spec *spec,
                                   const char **why);
/* Adds or changes one agent of source "api", at once. ERR_CONFLICT with *why (literal) if another source
 * has the id, ERR_INVALID if its URL cannot be called or its keys contradict each other. */
MUST_CHECK int dispatch_upsert(struct dispatch *d, const struct agent_spec *spec,
                               const char **why);
/* Removes one of source "api". ERR_ABSENT: there is none; ERR_CONFLICT: another source has it. */
MUST_CHECK int dispatch_remove(struct dispatch *d, struct str id);

/* The agent whose card stands at the root: default_agent of the file, else id `default`, else the only
 * one; NULL. An absent id clears the file's choice. */
void dispatch_set_default(struct dispatch *d, struct str id);
struct agent *dispatch_default(struct dispatch *d);

/* A counted agent; immutable but for its counters. A reload or a card that says something new about where
 * and in which version it is called makes a new version of the agent, calls in flight keep theirs. */
struct agent;

/* borrowed until the turn ends, NULL if none */
struct agent *dispatch_find(struct dispatch *d, struct str id);
struct agent *agent_ref(struct agent *a);
void agent_unref(struct agent *a);

struct agent_view {
    struct str id, url;  /* url without credentials */
    struct str endpoint; /* where JSON-RPC calls go now */
    const char *source;
    enum a2a_version version;
    const char *version_from; /* "protocolVersion", "card" or "default": who said so */
    bool has_bearer;
    unsigned in_flight, max_in_flight;
    unsigned streams, max_streams; /* open now */
    uint64_t calls, failures;
    uint64_t last_failure_at_ms;        /* Unix time; 0: never */
    const struct agent_spec *spec;      /* as configured; borrowed like the agent */
    struct str card_name, card_version; /* of the card known now; absent: none */
    const char *card_why; /* what is wrong with the card, a sentence; "" when all is well */
};
void agent_view(const struct agent *a, struct agent_view *out);
enum a2a_version agent_version(const struct agent *a);
struct str agent_id(const struct agent *a);

/* Walks all agents in order of id. Start with *at = 0. */
struct agent *dispatch_next(struct dispatch *d, size_t *at);
size_t dispatch_count(const struct dispatch *d);

/* --- cards (card.c) --------------------------------------------------------------------------- */

/* What is known of an agent's card. Borrowed during the call. */
struct agent_card {
    /* the agent's bytes, also when a refresh found none (agent_view's card_why then says so); absent: no card
     * is known */
    struct str doc;
    struct str url;          /* where it came from; absent: from the configuration */
    uint64_t age_ms;         /* since it was fetched or confirmed */
    enum a2a_card_form form; /* spec's */
    bool has_form;
    /* doc absent: why (AGENT_UNREACHABLE, AGENT_TIMEOUT, AGENT_FAILED, INVALID_AGENT_RESPONSE) */
    struct a2a_fault fault;
    int status; /* doc absent and the agent answered: its HTTP status */
};
typedef void (*dispatch_card_fn)(void *arg, const struct agent_card *card);

/* Gives the card: the known one, also an old one (it is then fetched anew behind the scenes), or the one
 * that is being fetched when it has come. `refresh`: always fetches. The callback comes once, never from
 * inside. */
MUST_CHECK int dispatch_card(struct dispatch *d, struct agent *a, bool refresh,
                             dispatch_card_fn fn, void *arg);

/* Tries an agent that need not be registered: fetches its card, works out endpoint and version, and asks
 * for a task that cannot exist. A spec that cannot be called at all is a finding, too. */
struct agent_finding {
    enum { FINDING_OK, FINDING_WARNING, FINDING_ERROR } grade;
    char what[320]; /* "card: http://...: HTTP 404", "endpoint: ... (from the card)", ... */
};
struct agent_check {
    const struct agent_finding *findings;
    size_t n;
    bool is_usable;
    struct str card, endpoint; /* URLs; absent: none */
    enum a2a_version version;
};
typedef void (*dispatch_check_fn)(void *arg, const struct agent_check *check);
MUST_CHECK int dispatch_check_agent(struct dispatch *d, const struct agent_spec *spec,
                                    dispatch_check_fn fn, void *arg);

/* --- callers' headers (headers.c) ------------------------------------------------------------- */

/* Whether it is one of the names of A2A-Extensions; of traceparent and tracestate. They go to every agent. */
bool header_is_extensions(struct str name);
bool header_is_trace(struct str name);

/* Why callers' headers of that name go to no agent, literal; NULL: they may. */
const char *header_unforwardable(struct str name);

/* Appends what all lines of A2A-Extensions, under either name, say: one list. Nothing if there are none. */
void header_join_extensions(struct buf *out, const struct http_header *headers, size_t n);

/* The names of the other headers of callers that go to this agent. Borrowed like the agent; each ends in NUL. */
const struct str *agent_forwards(const struct agent *a, size_t *n);

/* --- asking ----------------------------------------------------------------------------------- */

/* What came of it. `fault` is set when the gateway found the fault (unreachable, timeout, garbage, ...);
 * otherwise `reply` is what the agent said, its own errors included. Borrowed during the call. */
typedef void (*dispatch_fn)(void *arg, const struct a2a_reply *reply,
                            const struct a2a_fault *fault);

struct ask;

/* Header lines that a caller's request may bring along, besides A2A-Extensions. */
#define DISPATCH_HEADERS_MAX 32

/* What goes with a caller's request: what the gateway does to a message's contextId (see struct a2a_upstream),
 * and what of his headers the agent gets. All borrowed until the callback. */
struct dispatch_context {
    /* for agents of the other version that are to be given one; absent: none */
    struct str add;
    bool drop;
    struct str
        extensions; /* of A2A-Extensions, whatever the agent's version calls it; absent: none */
    /* at most DISPATCH_HEADERS_MAX; NULL: none. Values satisfy http_is_header_value(). */
    const struct egress_header *headers;
    size_t n_headers;
};

/* Of a running ask, or inside its callback: the version in which the agent is (being) asked. */
enum a2a_version ask_version(const struct ask *ask);
/* Likewise: whether its message carries the `add` of its dispatch_context. */
bool ask_added_context(const struct ask *ask);
/* Inside its callback: the extensions that the agent says it has activated, a header's value; absent: none. */
struct str ask_extensions(const struct ask *ask);

/* Says a caller's request, SendMessage or CancelTask. Takes a place, writes it in the agent's version, reads the
 * answer. While an agent's first card
 * is being fetched and its endpoint or version hang on it, the request waits for it. An agent that answers
 * that it does not speak the version or method (-32009, -32601; HTTP 404 or 405 without a JSON-RPC answer)
 * has not acted: its card is refreshed, and if it says something new the request is sent once more.
 * ERR_FULL: no place is free; ERR_INVALID with *why (literal): the request cannot be said in the agent's
 * version (when that turns out only after the card came, it is a fault). The request's views are borrowed
 * until the callback. */
MUST_CHECK int dispatch_send(struct dispatch *d, struct agent *a,
                             const struct a2a_request *request,
                             const struct dispatch_context *context, dispatch_fn fn, void *arg,
                             struct ask **out, const char **why);
/* The same for a caller who is to have a stream, or for an agent with send: async: says SendMessage, and that it shall
 * not wait for the end. */
MUST_CHECK int dispatch_send_no_wait(struct dispatch *d, struct agent *a,
                                     const struct a2a_request *request,
                                     const struct dispatch_context *context, dispatch_fn fn,
                                     void *arg, struct ask **out, const char **why);
/* GetTask and CancelTask as the gateway's own wish. */
MUST_CHECK int dispatch_get(struct dispatch *d, struct agent *a, struct str task_id,
                            dispatch_fn fn, void *arg, struct ask **out);
MUST_CHECK int dispatch_cancel(struct dispatch *d, struct agent *a, struct str task_id,
                               dispatch_fn fn, void *arg, struct ask **out);

/* --- streams (stream.c) --------------------------------------------------------------------------- */

/* One open stream of an agent. Holds a place among the agent's streams from start to end. Pull as far as it matters:
 * whoever cannot take an event says so, and nothing more comes, nor is read, until he resumes. */
struct stream;

struct stream_events {
    /* One event, its views borrowed during the call; errors of the agent are events too (A2A_STREAM_ERROR), and so is a
     * plain JSON answer instead of a stream. Returns 0: taken; ERR_AGAIN: it comes again after stream_resume(). May
     * close or pause the stream. */
    int (*on_event)(void *arg, const struct a2a_stream_event *event);
    /* It is over; the stream is gone when this returns. `fault` NULL: the agent has ended it; else it broke, could not
     * be begun, or said what is no event, and the fault says what. Never comes from inside a function of this file, nor
     * after stream_close(); comes after every event was taken. */
    void (*on_end)(void *arg, const struct a2a_fault *fault);
};

/* Whether the agent is worth asking for a stream of a task that runs (SubscribeToTask): the same, and it has not said
 * lately that it does not know the method. */
bool agent_subscribes(const struct agent *a);
/* Whether the agent is worth asking for a stream: its card does not say that it has none, maxStreams is not 0, and it
 * has not refused one lately as something it does not do (-32004, -32601). */
bool agent_streams(const struct agent *a);
/* The agent's settings `send` and `finalGet`. */
enum agent_send agent_send_as(const struct agent *a);
bool agent_wants_final_get(const struct agent *a);

/* Says a caller's message as SendStreamingMessage, whichever method he used. Errors as dispatch_send(); ERR_FULL also
 * when all streams of the agent are taken. A refusal as something the agent does not do (-32004, -32601 after a second
 * look at its card) is an error event like any other, and noted for agent_streams(): nothing has happened there.
 * `events` is copied. The time until the first event is bounded by the agent's timeoutMs, silence after it by
 * stream_idle_ms. The request's views are borrowed until the first event or the end. */
MUST_CHECK int dispatch_stream(struct dispatch *d, struct agent *a,
                               const struct a2a_request *request,
                               const struct dispatch_context *context,
                               const struct stream_events *events, void *arg,
                               struct stream **out, const char **why);
/* SubscribeToTask as the gateway's own wish. */
MUST_CHECK int dispatch_subscribe(struct dispatch *d, struct agent *a, struct str task_id,
                                  const struct stream_events *events, void *arg,
                                  struct stream **out);

/* Somebody else listens from now on. If the next event was refused with ERR_AGAIN, he resumes. */
void stream_hand_over(struct stream *s, const struct stream_events *events, void *arg);
/* Nothing comes until stream_resume(). Calls do not nest. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);
/* Gives it up; no callback. Accepts NULL. From inside on_end it does nothing. */
void stream_close(struct stream *s);

/* As of an ask; the last two once the first event has come. */
enum a2a_version stream_version(const struct stream *s);
bool stream_added_context(const struct stream *s);
struct str stream_extensions(const struct stream *s);

#endif
