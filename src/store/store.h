/* SPDX-License-Identifier: MIT
 *
 * What is remembered: tasks with their event log, agents, webhooks. PostgreSQL or embedded SQLite behind one
 * door, and in front of both a cache that answers reads without leaving the process.
 *
 * Invariants
 *   1. Commit, then tell: store_append() calls back with success only after the transaction is durable.
 *   2. A task's version is the seq of its last event; seq starts at 1 and has no holes. Every write is guarded by
 *      equality with the seq it was folded on, and by the owner.
 *   3. A terminal task is never written again.
 *   4. The cache never holds anything that is not committed, never replaces a newer seq by an older one, and
 *      remembers no absence.
 *   5. An append that was taken is never dropped: it is committed, or refused with a reason, or still queued.
 *   6. One callback per accepted start, never from inside the starting call.
 *
 * The door knows nothing of HTTP, callers or agents' addresses.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "lib/id.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/str.h"

struct store;
struct store_push_config;

/* --- opening -------------------------------------------------------------------------------------- */

struct store_config {
    const char *database_url; /* NULL or "": embedded SQLite. Borrowed while the store lives. */
    const char *data_dir;     /* folder of superx.db; made if missing (mode 0700). Borrowed. */
    unsigned pool_size;       /* DB_POOL_SIZE: all PostgreSQL connections of this node; >= 3 */
    size_t cache_bytes;
    size_t task_max_bytes;
    size_t queue_max_bytes;
    const char *node_name; /* for people, in nodes */
    bool migrate;          /* PostgreSQL: apply pending migrations instead of refusing */
    /* NULL: "superx"; tests give their own, channel and lock names follow */
    const char *schema;
};

enum store_state {
    STORE_OPENING, /* not yet usable; trying */
    STORE_UP,
    STORE_DOWN, /* was usable; trying again */
    /* will not come up without a person: pending migrations, wrong version, locked file */
    STORE_REFUSED,
};

/* Called on the loop whenever the state or its reason changes. `why`: a sentence, no password. */
typedef void (*store_state_fn)(void *arg, enum store_state state, const char *why);

/* Starts opening; the state callback tells how it goes. An error (bad URL, unusable folder) comes back at once
 * with `why` filled. */
MUST_CHECK int store_open(struct loop *loop, const struct store_config *config,
                          store_state_fn on_state, void *arg, struct store **out,
                          char why[256]);

/* Commits what is queued if it can, completes the rest with ERR_CANCELED, frees, then calls back once. */
void store_close(struct store *s, void (*on_closed)(void *arg), void *arg);

enum store_state store_state(const struct store *s);
const char *store_why(const struct store *s);

/* "postgresql 127.0.0.1:5432/orchestrator_dev user postgres" or "sqlite data/superx.db". No password. */
const char *store_describe(const struct store *s);
bool store_is_embedded(const struct store *s);
/* "host:port" facts for safety checks: whether the database is on this machine. */
bool store_is_local(const struct store *s);
/* The id of this process in tables: UUID text. */
const char *store_boot(const struct store *s);

/* --- tasks ---------------------------------------------------------------------------------------- */

/* A task at one version: immutable, counted, loop thread only. */
struct task {
    unsigned refs;
    enum a2a_version dialect; /* of doc */
    enum a2a_state state;
    struct uuid key;      /* inner name; never leaves the gateway */
    struct uuid owner;    /* boot id of the node that last wrote it */
    uint64_t seq;         /* version */
    uint64_t doc_seq;     /* version of the document stored in task_docs; <= seq */
    uint64_t tail_bytes;  /* bytes of events behind doc_seq */
    uint64_t tail_passes; /* over the document, to fold them onto it */
    uint64_t tail_run;    /* what the last of them continues (store/chunks.c); 0: nothing */
    int64_t status_at_us; /* sort key of lists */
    uint64_t heard_ms;    /* loop time of the agent's last word; 0: before this process */
    struct str agent, id, context, doc; /* inside this object; context absent if none */
    char bytes[];
};

struct task *task_ref(struct task *t);
void task_unref(struct task *t); /* accepts NULL */

/* The cached task, or NULL. Borrowed until the loop turn ends: task_ref() to keep it. Answers nothing while
 * the cache may not be trusted (another node may have written). */
struct task *store_task_peek(struct store *s, struct str agent, struct str id);

/* Looks it up in the database, through the cache; misses are batched and single-flight.
 * err: 0; ERR_ABSENT; ERR_STORE (database unreachable; not retried here). `task` borrowed during the call. */
typedef void (*store_task_fn)(void *arg, int err, struct task *task);
MUST_CHECK int store_task_get(struct store *s, struct str agent, struct str id,
                              store_task_fn fn, void *arg);

/* Events in order. A snapshot (TASK) of a task that exists becomes the events a2a_difference() finds. If a STATUS_UPDATE
 * of the same state stands behind it, one status update comes of both: that one if its status is the snapshot's, else
 * one that tells the snapshot's. (So the agent's last word and what GetTask says of it are committed together.) Of another
 * state it counts as what came later, unless the snapshot ends the task: then it was heard before that and is dropped. */
struct append {
    struct str agent, task_id;
    enum a2a_version dialect;
    struct a2a_event events[2]; /* in order */
    size_t n_events;
    /* The context of a task whose document has none (the agent gave none): what the gateway sent, or absent: one is
     * made up. It stands in tasks.context and struct task, never in the document. What cannot be one (more than 512
     * bytes, control characters) counts as absent; a task that has a context keeps it. */
    struct str context;
    /* A webhook that is registered with these events: its receiver is told of them, and of what follows. Not registered
     * when nothing is committed (ERR_FINAL, ...). NULL: none. */
    const struct store_push_config *push;
    bool likely_new; /* nobody named the task before: insert first, look only if that fails */
};

/* Queues events of one task; all of them become durable together. Everything is copied.
 * fn gets err 0 and the task as committed (or, when the events change nothing, as it already is);
 * ERR_FINAL and the terminal task; ERR_INVALID with a reason (an event does not fit the task, or the database
 * refused the row); ERR_LIMIT and the task as the gateway ended it, failed: the events would have made it larger
 * than task_max_bytes (it should be cancelled at its agent); ERR_STORE with a reason (given up after a hundred
 * conflicts); ERR_NOMEM; ERR_CANCELED (closing). `task` borrowed during the call, NULL if there is none. `why` is
 * NULL or borrowed during the call.
 * At once: ERR_FULL, the queue is at its maximum; ERR_INVALID, no task can have that name; ERR_NOMEM;
 * ERR_CANCELED, closing. */
typedef void (*store_append_fn)(void *arg, int err, struct task *task, const char *why);
MUST_CHECK int store_append(struct store *s, const struct append *a, store_append_fn fn,
                            void *arg);

/* One event of the log. */
struct store_event {
    uint64_t seq;
    enum a2a_event_kind kind;
    enum a2a_version dialect; /* of payload */
    struct str payload;
};

/* Who wants to hear of changes. */
struct store_listener {
    struct list link; /* the store's */
    /* After every commit of this node, with the task as committed and cached and all events of that commit, the last of
     * which has the task's seq; before the callbacks of the appends that made it; once for appends that were committed
     * together. May append, ask, even close. Borrowed during the call. May be NULL. */
    void (*on_commit)(void *arg, struct task *task, const struct store_event *events,
                      size_t n_events);
    /* Another node has written the task, up to `seq`. Comes within two seconds, also when it was told before. NULL: not
     * wanted. */
    void (*on_changed)(void *arg, struct str agent, struct str id, uint64_t seq);
    void *arg;
};

/* The listener lies in its owner's memory. Told in the order in which they came; who comes or goes while others are
 * told does no harm. A store that has closed has let go of its listeners: unlistening is then still allowed. */
void store_listen(struct store *s, struct store_listener *l);
void store_unlisten(struct store *s, struct store_listener *l);

/* Reads the log of a task: the events behind `after`, in order, as many as fit into `max_bytes` of payload (and into
 * LIMIT_FEED_EVENTS), at least one if there is one. Whoever wants all asks again behind the last until there are none.
 * err: 0 (n == 0: there are none); ERR_ABSENT: no such task; ERR_STORE. Borrowed during the call. At once: ERR_CANCELED,
 * closing. */
typedef void (*store_events_fn)(void *arg, int err, const struct store_event *events, size_t n);
MUST_CHECK int store_events_read(struct store *s, struct str agent, struct str id,
                                 uint64_t after, size_t max_bytes, store_events_fn fn,
                                 void *arg);

/* Whether a new send should be refused because appends pile up. */
bool store_is_full(const struct store *s);

/* Notes that the agent has confirmed the task as it is (fresh without a change). */
void store_task_heard(struct store *s, struct str agent, struct str id);

/* Which agents have a task of this id: at most 10 ids, in order. err: 0 or ERR_STORE. Borrowed during the call. */
typedef void (*store_find_fn)(void *arg, int err, const struct str *agents, size_t n);
MUST_CHECK int store_task_find(struct store *s, struct str id, store_find_fn fn, void *arg);

/* Makes unfinished tasks whose owner no longer lives this node's own (compare-and-set on tasks.owner), at most `limit`
 * (10,000), and tells which. With SQLite that is everything of former lives, with PostgreSQL that of nodes whose lease
 * is over; a node whose own lease is over takes nothing. Fewer than `limit`: none are left, unless another node is at
 * it, too. err: 0 or ERR_STORE. Borrowed during the call. */
struct task_name {
    struct str agent, id;
    enum a2a_state state;
};
typedef void (*store_taken_fn)(void *arg, int err, const struct task_name *tasks, size_t n);
MUST_CHECK int store_take_orphans(struct store *s, unsigned limit, store_taken_fn fn,
                                  void *arg);

/* --- lists ---------------------------------------------------------------------------------------- */

struct task_query {
    struct str agent;   /* absent: all */
    struct str context; /* absent: all */
    bool has_state, has_after_us;
    enum a2a_state state;
    int64_t after_us; /* status time >= this */
    unsigned limit;   /* 1-100 */
    struct str after; /* page token of an earlier answer; absent: first page */
    bool want_docs;
};

struct task_summary {
    struct str agent, id, context;
    enum a2a_state state;
    int64_t status_at_us;
    uint64_t seq;
    /* with want_docs: the whole document, tail folded; else absent */
    struct str doc;
    enum a2a_version dialect;
};

/* err: 0; ERR_INVALID (bad page token); ERR_STORE. Newest status first: by status.timestamp, our commit time where it
 * is absent, unreadable or in the future. `total` counts all that match, exactly. Arrays borrowed during the call;
 * next is absent on the last page; a page of large documents (LIMIT_LIST_BYTES) may hold fewer than `limit`, and one
 * whose stored document cannot be read, or whose name is none, is left out.
 * Page tokens are opaque, hold no inner key, and stay valid while tasks change. */
typedef void (*store_list_fn)(void *arg, int err, const struct task_summary *rows, size_t n,
                              uint64_t total, struct str next);
MUST_CHECK int store_task_list(struct store *s, const struct task_query *q, store_list_fn fn,
                               void *arg);

/* --- agents (shown by agent_view, which has no credentials) ---------------------------------------- */

struct store_agent {
    struct str id, url, version, source;
};

/* Makes the stored agents of `source` exactly these, for people to look at. Best effort: retried until it succeeds or
 * is replaced by a later call for the same source. Not for source "api". */
void store_agents_put(struct store *s, struct str source, const struct store_agent *agents,
                      size_t n);

/* Agents registered through the API are kept here whole, as the JSON text of agent_spec_write(). fn comes after the
 * commit: err 0, ERR_ABSENT (delete: there was none), ERR_STORE with a reason (not kept for later; if the connection
 * was lost on the way, it may have been written). At once: ERR_INVALID, no such agent can be; ERR_LIMIT, a spec above
 * 64 KB; ERR_CANCELED, closing. */
typedef void (*store_done_fn)(void *arg, int err, const char *why);
MUST_CHECK int store_agent_save(struct store *s, const struct store_agent *agent,
                                struct str spec, store_done_fn fn, void *arg);
MUST_CHECK int store_agent_delete(struct store *s, struct str id, store_done_fn fn, void *arg);

/* Tells all agents of source "api", in no order: when the store has come up, and within two seconds after any node has
 * changed one (this node's own changes, too). Whoever comes late is told at the end of the turn. One listener; fn NULL:
 * no more. Borrowed during the call. */
struct store_agent_spec {
    struct str id, spec;
};
typedef void (*store_agents_fn)(void *arg, const struct store_agent_spec *agents, size_t n);
void store_on_agents(struct store *s, store_agents_fn fn, void *arg);

/* --- how it is doing ------------------------------------------------------------------------------ */

struct store_figures {
    uint64_t batches;   /* acknowledged transactions */
    uint64_t appends;   /* acknowledged appends */
    uint64_t events;    /* rows in task_events written */
    uint64_t bytes;     /* of payloads and documents written */
    uint64_t conflicts; /* rows refolded */
    uint64_t queued;    /* appends waiting now */
    size_t queued_bytes;
    uint64_t hits, misses; /* of the cache */
    size_t cached_tasks, cached_bytes;
    unsigned connections; /* open to PostgreSQL; 0 for SQLite */
    unsigned nodes;       /* gateways that share the store now, this one included */
};

void store_figures(const struct store *s, struct store_figures *out);

/* --- administration (the CLI's `superx db`; blocking, opens what it needs itself) ------------------ */

enum store_db_command {
    STORE_DB_SETUP,
    STORE_DB_CREATE,
    STORE_DB_MIGRATE,
    STORE_DB_STATUS,
    STORE_DB_RESET,
    STORE_DB_DROP
};

/* Runs the command, prints for people on `out` (or JSON with `json`), errors on stderr. Returns the process's exit
 * code: 0; 1 failed; 2 usage; 3 pending migrations (status); 4 sessions in the way; 69 database unreachable.
 * Reset and drop must have been confirmed by the caller (the CLI asks or takes --yes). */
int store_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                 bool json);

/* The other room behind this door. */
#include "store/push.h"

#endif
