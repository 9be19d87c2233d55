/* SPDX-License-Identifier: MIT
 *
 * The parts of dispatch, to each other.
 *
 *     agents_file.c  the file's text -> specs (pure)
 *     agents_json.c  one agent as JSON <-> a spec (pure)
 *     agent_keys.c   the keys of an agent, for both; their texts in agent_texts.c (pure; agent_keys.h)
 *     headers.c      which of callers' headers go along (pure)
 *     settings.c     a spec that lives on
 *     gate.c         the places of an agent
 *     card.c         what is known of an agent's card, and how it is found out
 *     route.c        settings and card -> where an agent is called, and in which version (pure)
 *     registry.c     agents by id; reloads
 *     ask.c          one operation with one agent
 *     check.c        trying an agent
 *
 *     dispatch --> agent (the version in force, counted) --> gate (one per id, counted)
 *                  agent (an older version, kept by its calls) --^
 *                  each --> settings (shared by versions that differ only by the card, counted)
 *                       --> card (shared by versions whose card is fetched alike, counted)
 */
#ifndef DISPATCH_DISPATCH_INT_H
#define DISPATCH_DISPATCH_INT_H

#include "dispatch/dispatch.h"
#include "lib/blob.h"
#include "lib/buf.h"
#include "lib/map.h"

#define CONNECT_TIMEOUT_MS 5000u

/* --- settings.c --------------------------------------------------------------------------------- */

/* A spec with its texts behind it, immutable. */
struct settings {
    unsigned n_refs;
    struct agent_spec spec; /* all views point into `texts`; next is NULL */
    char texts[];
};

struct settings *settings_new(const struct agent_spec *spec);
struct settings *settings_ref(struct settings *s);
void settings_unref(struct settings *s);

/* Whether two specs say the same; their place in a file does not count. */
bool spec_is_same(const struct agent_spec *a, const struct agent_spec *b);
/* Whether their cards are sought in the same places in the same way. */
bool spec_has_same_card(const struct agent_spec *a, const struct agent_spec *b);

#define SPEC_HEADERS_MAX (AGENT_HEADERS_MAX + 1)

/* The headers that are the agent's own: its bearer and `headers`. Returns how many. The bearer is written
 * to `room`, an initialised buffer that must live as long as they. */
size_t spec_headers(const struct agent_spec *spec, struct buf *room,
                    struct egress_header out[SPEC_HEADERS_MAX]);
/* How TLS is spoken with one of its URLs; nothing for http. */
struct egress_tls spec_tls(const struct agent_spec *spec, struct str url);

/* --- headers.c ---------------------------------------------------------------------------------- */

/* Why neither an agent's `headers` nor a caller may set this header, literal; NULL: they may. */
const char *header_reserved(struct str name);
/* Whether callers' headers of that name go to every agent, so that nobody need name them. */
bool header_goes_anyway(struct str name);
/* How agents of that version call A2A-Extensions. */
const char *header_extensions(enum a2a_version version);
/* What in a spec contradicts its `forwards`, literal; NULL: nothing. */
const char *spec_forwards_why(const struct agent_spec *spec);

/* --- gate.c ------------------------------------------------------------------------------------- */

/* The places of one agent id. All versions of an agent share it, also one that was removed and comes back, so
 * a reload neither loses nor invents places.
 *
 *     in_flight <= limit, or is_shrinking: a reload set the limit below what was taken; then in_flight only
 *                         falls until it is within the limit */
struct gate {
    unsigned n_refs; /* versions of the agent */
    unsigned in_flight, limit;
    bool is_shrinking;
    unsigned streams; /* open; bounded by max_streams of the version that opens one */
    uint64_t no_streams_until_ms, no_subscribe_until_ms; /* it has refused one; loop time */
    bool is_listed; /* in dispatch->gates; false for agents that are only tried */
    /* since the first version was registered */
    uint64_t calls, failures;
    uint64_t last_failure_at_ms; /* Unix time; 0: never */
    char id[LIMIT_AGENT_ID + 1]; /* the key in dispatch->gates */
};

/* Takes a place; ERR_FULL. */
MUST_CHECK int gate_enter(struct gate *g);
void gate_leave(struct gate *g);
void gate_set_limit(struct gate *g, unsigned limit);
void gate_check(const struct gate *g);

/* --- route.c ------------------------------------------------------------------------------------ */

/* Where an agent is called. Views into the spec, the card or the arena. */
struct route {
    struct str url, tenant; /* tenant absent: none */
    enum a2a_version version;
    const char *version_from; /* "protocolVersion", "card" or "default" */
    const char *url_from;     /* "endpoint", "card" or "url" */
    struct str
        /* what the card says instead of url, which was not taken; absent: nothing else */
        listed;
    char why[200]; /* what a person should know about it; "": all is well */
};

/* `card` NULL: none is known. Always finds one: without a card it is the URL itself. */
void route_find(const struct agent_spec *spec, const struct a2a_card *card, struct arena *arena,
                struct route *out);

/* --- card.c ------------------------------------------------------------------------------------- */

struct card;

/* Who waits for the end of a fetch. Told once, with or without a card, never from inside card_wait(). */
struct card_wait {
    struct list link;
    void (*fn)(struct card_wait *w);
};

/* One reference. Nothing is fetched yet. */
struct card *card_new(struct dispatch *d, struct settings *settings);
struct card *card_ref(struct card *c);
/* The last one calls off the fetch; nobody may be waiting then. */
void card_unref(struct card *c);

/* Fetches, unless it is being done. */
void card_fetch(struct card *c);
/* Fetches behind the scenes if what is known is older than the TTL. */
void card_touch(struct card *c);
/* Joins the fetch that runs, or starts one. */
void card_wait(struct card *c, struct card_wait *w);

/* What was fetched last, for routes; NULL: nothing yet. Borrowed until the next fetch ends. */
const struct a2a_card *card_fetched(const struct card *c);
/* Whether a fetch has ended, well or not. */
bool card_has_tried(const struct card *c);
/* The fetch was called off because the gateway stops. */
bool card_is_canceled(const struct card *c);
/* Whether asking again because of a call that was refused is worth it: it is not for a while after it
 * taught nothing (an agent that lacks a method says so every time). */
bool card_may_teach(const struct card *c);
void card_taught_nothing(struct card *c);
/* What is wrong; "" when a card is known and was found at the last fetch. */
const char *card_why(const struct card *c);
/* Whether the last fetch, if it found nothing, at least found somebody. */
bool card_is_reachable(const struct card *c);
/* What is shown: the fetched card, else the one of the configuration. */
void card_view(const struct card *c, struct agent_card *out);
/* Whether what is shown says that the agent has streams; true also when nothing is known. */
bool card_has_streams(const struct card *c);
/* name and version of what is shown; absent: no card. */
void card_names(const struct card *c, struct str *name, struct str *version);

/* --- registry.c --------------------------------------------------------------------------------- */

struct agent {
    struct grave grave; /* of the registry's reference */
    unsigned n_refs;
    unsigned in_flight;               /* places held through this version */
    struct dispatch *dispatch;        /* borrowed: outlives all agents */
    struct gate *gate;                /* counted */
    struct settings *settings;        /* counted */
    struct card *card;                /* counted */
    struct egress_endpoint *endpoint; /* owned */
    char *url;                        /* owned; of the endpoint */
    char *tenant;                     /* owned; NULL: none */
    char *source;                     /* owned */
    enum a2a_version version;
    const char *version_from; /* literal */
    uint64_t generation;      /* of the last dispatch_put() that named it */
};

struct dispatch {
    struct grave grave;
    struct dispatch_config config;
    struct loop *loop;     /* borrowed */
    struct egress *egress; /* borrowed */
    struct map agents;     /* id -> the version in force, one reference each */
    struct map gates;      /* id -> gate, not counted: a gate removes itself */
    struct agent **sorted; /* owned array of the same agents, by id */
    size_t n_sorted;
    char *default_id;        /* owned; NULL: none was named */
    unsigned n_alive;        /* agents of all versions */
    unsigned n_tried;        /* those of them that are only tried */
    bool is_closing;         /* egress may be gone */
    unsigned n_fetching;     /* cards */
    struct list fetch_queue; /* cards whose fetch waits for its turn */
    uint64_t generation;
    uint64_t next_id; /* of JSON-RPC requests */
    struct buf body;  /* where requests are written; valid while one is started only */
};

/* An agent outside the registry, with a gate of its own: to be tried. Its card is not fetched yet. */
MUST_CHECK int agent_try_new(struct dispatch *d, const struct agent_spec *spec,
                             struct agent **out, const char **why);

/* The version of `a` that goes with what its card says now, counted: `a` itself, the one in force, or (`a`
 * is not in the registry any more) one nobody else sees. */
struct agent *agent_latest(struct agent *a);
/* Whether both are called in the same place and way. */
bool agent_is_called_alike(const struct agent *a, const struct agent *b);

/* A card was fetched: the agent in force that has it, if any, is brought up to it. Logged if that is a
 * change, or if the card `is_news`. */
void dispatch_on_card(struct dispatch *d, struct card *card, struct str id, bool is_news);

/* --- ask.c -------------------------------------------------------------------------------------- */

/* How an agent is spoken to: what asks and streams have in common. Lies in either. */
struct talk {
    struct dispatch *dispatch;  /* borrowed: outlives all */
    struct agent *agent;        /* counted */
    enum a2a_method method;     /* as it is said to the agent */
    uint64_t id;                /* of the JSON-RPC request */
    struct a2a_request request; /* the caller's; views borrowed. None if has_request is false */
    struct dispatch_context context;
    enum a2a_saying saying;
    char *task_id;   /* owned; of get, cancel and subscribe */
    struct str body; /* inside talk_start() only */
    bool has_request, has_added_context;
    bool was_counted;   /* in the agent's calls */
    bool has_refreshed; /* the card, because of a refusal */
};

void talk_init(struct talk *t, struct dispatch *d, struct agent *a, enum a2a_method method);
void talk_release(struct talk *t);
/* Writes the request in the agent's words and starts it. ERR_INVALID with *why: it cannot be said. */
MUST_CHECK int talk_start(struct talk *t, struct egress_call *call, egress_fn fn, void *arg,
                          struct egress_request **out, const char **why);
/* What a whole answer says: 0 and *reply, or a negative and *fault. */
MUST_CHECK int talk_understand(const struct talk *t, const struct egress_answer *answer,
                               struct a2a_reply *reply, struct a2a_fault *fault);
/* No HTTP answer. */
void talk_no_answer(const struct talk *t, const struct egress_answer *answer,
                    struct a2a_fault *fault);
/* Why it could not be started. */
void talk_unstarted(const struct talk *t, int err, const char *why, struct a2a_fault *fault);
/* Whether where and how the agent is called hangs on its card; whether the answer says that it did not understand, so
 * that nothing has happened there. */
bool talk_hangs_on_card(const struct talk *t);
bool talk_is_not_understood(const struct egress_answer *answer, int err,
                            const struct a2a_reply *reply);
/* What an agent says of extensions, into `out`, an initialised buffer; absent if it is garbled. */
struct str talk_extensions(struct buf *out, const struct http_head *head);
#define TALK_EXTENSIONS_MAX KB(8)

/* What a failure of egress is called towards callers. */
enum a2a_error ask_error(int err);

/* Stops the program if an invariant does not hold. For tests. */
void dispatch_check(const struct dispatch *d);

#endif
