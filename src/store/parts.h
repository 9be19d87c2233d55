/* SPDX-License-Identifier: MIT
 *
 * Inside the store: what its core's files share. store.c opens, closes, answers and tells who listens; append.c queues
 * appends and makes batches of them; fold.c says what a task becomes, chunks.c makes that cheap; miss.c fetches what the
 * cache does not have, load.c makes a task of it; listing.c answers lists; log.c reads a task's log; errand.c does the
 * small writes and knows the agents of the API; push.c asks for what concerns webhooks.
 *
 *     store_append -> struct pending -> struct work (one per task) -> struct row in its lane's batch
 *     store_task_get -> cache, or struct asker -> struct miss (one per task) -> struct load
 *     every answer -> store.answers, told at the end of the turn or of the completion that brought it
 */
#ifndef STORE_PARTS_H
#define STORE_PARTS_H

#include "lib/arena.h"
#include "lib/blob.h"
#include "store/cache.h"
#include "store/store_int.h"
#include "store/token.h"

#define STORE_MAGIC 0x53746f72u
#define STORE_RETRY_MS 50   /* parked rows, and loads the database did not answer */
#define STORE_CLOSE_MS 5000 /* how long closing may take to commit what is queued */
#define STORE_CONFLICT_TRIES 100
#define STORE_LOAD_BYTES MB(64) /* what one load batch, or one page of documents, may bring */
#define STORE_FOLDS 4
#define STORE_FOLD_KEEP KB(64) /* room kept in each between rows */
#define STORE_COMPLAINTS 64u   /* about tasks; remembered so as not to be repeated aloud */
#define STORE_FIND_MAX 10      /* agents named by store_task_find() */
#define STORE_TAKE_MAX 10000   /* tasks taken over at once */
#define STORE_SPEC_MAX KB(64)  /* an agent of the API as JSON: an URL, names, some headers */

/* --- answers: what somebody waits for ------------------------------------------------------------- */

struct answer {
    struct list link; /* in store.answers, or where the question waits */
    void (*tell)(struct store *s, struct answer *a); /* calls back and frees */
    int err;
    struct task *task; /* counted, or NULL */
};

/* A payload that the gateway made itself: an event of a difference, or the one that ended a task. A stack, newest first;
 * each is on the heap. */
struct made {
    struct made *below;
    size_t n;
    char p[];
};

/* What became durable in one commit, for those who listen. The payloads lie in the row's appends, of which none is freed
 * before the first is told, and in `made`; so nothing is copied between an agent's event and its readers. */
struct news {
    struct store_event *events; /* owned */
    size_t n_events;
    struct made *made; /* owned */
};

/* An append that was taken. One allocation with copies of all it was given. */
struct pending {
    struct answer answer; /* link: in work.queue, then row.appends, then store.answers */
    store_append_fn fn;
    void *arg;
    size_t bytes; /* counted in queued_bytes until told */
    enum a2a_version dialect;
    bool likely_new;
    struct a2a_event events[2];
    size_t n_events;
    struct str context; /* for a task whose document has none; absent: none given */
    bool has_push;
    struct store_push_config push;
    /* Of its row, if it is the first append of one that has committed: told ahead of it. */
    struct news news;
    const char *why;        /* literal, or in why_owned; NULL for none */
    struct blob *why_owned; /* counted, or NULL */
    char room[];
};

/* A store_task_get() that the cache could not answer at once. */
struct asker {
    struct answer answer; /* link: in load.waiters, then store.answers */
    store_task_fn fn;
    void *arg;
};

/* --- works: tasks with appends -------------------------------------------------------------------- */

/* In which place a work is; work_move() is the only setter.
 *
 *     READY --lane_form--> FLYING --committed, more queued--> READY
 *       ^                     |---conflict--> LOADING --store_load_done--> READY
 *       |                     |---parked----> PARKED --retry timer--------> READY or LOADING
 *   store_append              |---nothing left--> freed
 *
 * READY: the durable task is known (`base`, or that there is none) and the appends wait for the lane.
 * LOADING: a miss will tell the durable task. FLYING: `row` is in the lane's batch, in the backend's
 * hands. */
enum work_place { WORK_READY, WORK_LOADING, WORK_FLYING, WORK_PARKED };

struct work {
    struct list link; /* in lane.ready or store.parked, else unlinked */
    enum work_place place;
    bool is_known;   /* base is what is durable, to our knowledge; guards have the last word */
    bool is_assumed; /* nobody has looked: likely_new said there is no such task */
    struct task *base; /* counted; NULL: there is no such task */
    struct list queue; /* struct pending: not in a row yet */
    size_t queue_bytes;
    struct row row;         /* valid while folding and FLYING */
    struct made *made;      /* owned: payloads of events in `row` */
    unsigned n_events_room; /* of row.events */
    unsigned tries;         /* conflicts in a row */
    unsigned n_alone; /* so many appends are tried one by one: their common row was refused */
    struct lane *lane;
    struct str agent, id; /* in key */
    struct task_key key;
};

struct lane {
    struct store *store;
    struct list ready; /* struct work.link */
    struct deferred form;
    bool is_busy; /* the batch is with the backend */
    uint64_t wseq;
    struct batch batch;
};

/* --- misses: tasks looked for --------------------------------------------------------------------- */

struct miss {
    struct load load;
    bool is_dirty; /* written by somebody while it was being read: told, but not cached */
    struct task_key key;
};

/* A list that was asked for: a page, or who has a task of some id. */
struct listing {
    struct answer answer;
    struct list_query query;
    struct arena arena;
    store_list_fn fn;      /* of a page */
    store_find_fn find_fn; /* of a look for an id; one of the two */
    void *arg;
    /* with want_docs the tasks of the page, counted; summaries point into them */
    struct task **tasks;
    struct task_summary *rows; /* owned, as are `tasks` */
    size_t n;
    char token[TOKEN_TEXT_MAX]; /* of the next page */
    size_t token_n;             /* 0: this is the last */
};

/* A page of a log that was asked for. */
struct log_asker {
    struct answer answer;
    struct log_query query;
    struct arena arena;
    store_events_fn fn;
    void *arg;
    struct task_key key; /* the query's names point into it */
};

/* A small write that was asked for. */
struct chore {
    struct answer answer;
    struct errand errand;
    store_taken_fn taken_fn;
    store_done_fn done_fn; /* one of the two */
    void *arg;
};

/* A job of webhooks that was asked for. */
struct push_chore {
    struct answer answer;
    struct push_job job;
    union {
        store_done_fn done;
        store_push_fn rows;
        store_claim_fn claim;
        store_settle_fn settle;
        store_attempts_fn attempts;
    } fn;
    void *arg;
};

/* --- the store ------------------------------------------------------------------------------------ */

struct store {
    unsigned magic;
    struct loop *loop;       /* borrowed; outlives the store */
    struct backend *backend; /* the backend's own; gone with store_backend_closed() */
    char description[256];
    enum store_state state;
    char why[256];
    store_state_fn on_state;
    void *on_state_arg; /* borrowed while the store lives */
    size_t task_max_bytes, queue_max_bytes;
    struct uuid boot;
    char boot_text[UUID_TEXT + 1];
    bool is_trusted, is_embedded, is_local;
    struct cache cache;
    struct store_figures figures; /* counters; the rest is filled when asked for */

    struct map works;   /* key -> struct work */
    struct lane *lanes; /* owned; n_lanes */
    unsigned n_lanes;
    struct list parked; /* struct work.link */
    struct timer retry;
    struct buf folds[STORE_FOLDS]; /* room for fold.c and load.c, kept from row to row */
    size_t fold_room;              /* bytes that may still be folded in this turn (append.c) */
    /* hashes of (task, reason), each in its place; a newer one takes the place of an older */
    uint64_t complaints[STORE_COMPLAINTS];

    struct map queued, flying; /* key -> struct miss, not yet with the backend, and with it */
    struct list misses;        /* struct miss.load.link, those queued */
    struct load_batch loads;
    struct arena load_arena;
    bool is_loading;
    struct deferred send_loads;

    struct list answers; /* struct answer.link */
    struct deferred tell;

    struct list listeners;     /* struct store_listener.link, their owners' */
    struct list *hears_next;   /* while listeners are told: who is told next; else NULL */
    store_agents_fn on_agents; /* or NULL */
    void *on_agents_arg;       /* borrowed while set */
    struct specs *specs;       /* owned: as told last; NULL before the database said anything */
    struct deferred tell_specs;
    void (*on_push)(void *arg); /* or NULL */
    void *on_push_arg;

    bool is_closing, backend_is_closing, backend_is_closed;
    struct timer close_limit;
    struct deferred close_step;
    void (*on_closed)(void *arg);
    void *on_closed_arg;
    struct grave grave;
};

/* --- store.c --- */

/* Tells all listeners what has become durable. */
void store_tell_commit(struct store *s, struct task *task, const struct news *news);
/* Puts an answer in line; it is told before the turn ends. Takes the reference in a->task. */
void store_answer(struct store *s, struct answer *a);
/* Tells what is in line now. Only from where the store may be changed by a callback. */
void store_tell(struct store *s);
/* Whether a cached task may be believed now. */
bool store_may_believe(const struct store *s, const struct task *t);
/* Whether this node may keep the task in its cache. */
bool store_may_cache(const struct store *s, const struct task *t);
/* Closing goes on when something has come to its end. */
void store_close_step(struct store *s);

/* --- append.c --- */

void append_init(struct store *s);
void append_release(struct store *s);
void append_wake(struct store *s);   /* the database is back */
void append_cancel(struct store *s); /* closing: what is left is told ERR_CANCELED */
bool append_is_idle(const struct store *s);
/* The durable task a loading work waits for, found (NULL: there is none) or not to be had: ERR_STORE (try
 * again), ERR_NOMEM or ERR_INVALID (it cannot be had: `why` is told to its appends). */
void append_loaded(struct store *s, struct str key, int err, struct task *task,
                   const char *why);

/* --- miss.c --- */

void miss_init(struct store *s);
void miss_release(struct store *s);
/* Has the task fetched; `asker` (or NULL: a work waits) is answered. */
void miss_want(struct store *s, const struct task_key *key, struct str agent,
               struct asker *asker);
void miss_wake(struct store *s);
/* Answers all askers whose miss is not with the backend. */
void miss_fail(struct store *s, int err);
void miss_dirty(struct store *s, struct str key); /* the task has just been written */

/* --- errand.c --- */

void errand_init(struct store *s);
void errand_release(struct store *s);

/* --- push.c --- */

/* Whether a webhook may have that id. */
bool push_id_may_be(struct str id);

/* --- fold.c --- */

/* Folds queued appends of the work onto its base and moves them to row.appends with their verdicts
 * (answer.err and why). Returns true if there is something to write: the row is then complete but for
 * wseq. */
bool fold_work(struct store *s, struct work *w, int64_t now_us);
/* One more event behind a document: how many passes folding them all takes, and what the last continues. */
void fold_count_pass(const struct store_event *event, uint64_t *passes, uint64_t *run);
/* Forgets what fold_work() made; row.appends must have been moved elsewhere. */
void fold_clear(struct work *w);
/* Moves what has become durable out of the row. */
struct news fold_take_news(struct work *w);
void fold_free_news(struct news *news);

/* --- load.c --- */

/* Builds the task a backend has found: folds the tail onto its document. ERR_INVALID: what is stored cannot
 * be read; ERR_NOMEM. */
MUST_CHECK int load_to_task(struct store *s, const struct load *l, struct task **out);

/* --- chunks.c --- */

/* Updates that append to one artifact, as one update. */
struct chunks {
    struct buf update;
    struct str task, artifact; /* raw, in the payload of the first */
    size_t n;                  /* chunks added */
};

/* Which run an event could be part of: equal for plain chunks of one artifact, 0 for everything else. */
uint64_t chunks_run_of(const struct store_event *event);

/* Begins a run behind an event that was folded by itself; it is not part of the run. False: it is no plain chunk, there is
 * nothing to release. `max_bytes`: of all payloads to be added. */
bool chunks_begin(struct chunks *c, struct str payload, size_t max_bytes);
/* False: the event is not of this run, which ends before it. */
bool chunks_add(struct chunks *c, struct str payload);
/* The update they make together. Absent: out of memory. */
struct str chunks_end(struct chunks *c);
void chunks_release(struct chunks *c);

#endif
