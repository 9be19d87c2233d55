/* SPDX-License-Identifier: MIT
 *
 * Inside the store: what the core (store.c: queue, fold, cache) and a backend (sqlite.c, postgres.c) owe each
 * other. The core decides *what* is written and what it means; a backend only makes it durable.
 *
 *     core --commit(batch)--> backend --store_batch_done()--> core       one batch per lane in flight
 *     core --load(loads)----> backend --store_load_done()---> core       one load batch in flight
 *     core --list(query)----> backend --store_list_done()---> core
 *     core --log(query)-----> backend --store_log_done()----> core       a page of one task's log
 *     core --errand(errand)-> backend --store_errand_done()-> core       small writes beside the spine
 *                             backend --store_backend_state()--> core    up, down, refused
 *                             backend --store_specs()----------> core    the agents of the API, whole
 *
 * A backend owns an object from the call until it hands it back; every done comes on the loop thread, exactly
 * once, never from inside the call that started it. A backend that lost its database keeps commits (and resends
 * them under the same (writer, wseq) when it is back) but hands loads, lists, pages of the log and errands back with
 * ERR_STORE.
 */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/list.h"
#include "lib/map.h"
#include "store/store.h"

/* --- a batch: rows that become durable in one transaction ------------------------------------------ */

enum row_outcome {
    ROW_COMMITTED, /* in the database, by this batch or by its lost twin */
    ROW_CONFLICT,  /* the guard failed: somebody else changed the task, or it exists already */
    ROW_REFUSED,   /* the database will never take it; why says so */
    ROW_PARKED,    /* locked by another session: try again later */
};

struct row {
    struct list link;         /* in batch.rows, sorted by key */
    bool is_new;              /* INSERT; else guarded UPDATE */
    bool doc_is_due;          /* write after->doc to task_docs */
    uint64_t seq_before;      /* guard; 0 when new */
    struct uuid owner_before; /* guard; zero when new */
    /* counted; what the task is when this row has committed. after->owner is us. */
    struct task *after;
    /* owned; payloads are the row's appends' or the fold's, who keep them until the commit was told */
    struct store_event *events;
    size_t n_events;
    /* owned; webhooks registered with it, whose strings are the row's appends' */
    struct store_push_config *pushes;
    size_t n_pushes;
    uint64_t first_wseq;      /* of events[0]; the others follow without holes */
    size_t bytes;             /* what it takes in a batch */
    size_t n_bytes;           /* of payloads, and of the document if it is due */
    enum row_outcome outcome; /* set by the backend */
    char why[160];            /* for ROW_REFUSED */
    struct list appends;      /* the core's */
};

struct batch {
    unsigned lane;
    struct list rows;
    unsigned n_rows, n_events;
    size_t bytes;
    int64_t at_us;    /* commit time as the gateway saw it: `at` of the events */
    unsigned n_woken; /* webhooks that it made due; set by the backend */
};

/* --- loads: tasks the cache does not have ------------------------------------------------------------ */

struct load {
    struct list link;
    struct str agent, id; /* owned by the core */
    /* Filled by the backend; strings in `arena` or otherwise valid until store_load_done() returns. */
    bool found;
    struct uuid key, owner;
    struct str context, doc;
    enum a2a_version dialect;
    enum a2a_state state;
    uint64_t seq, doc_seq;
    int64_t status_at_us;
    struct store_event *tail; /* events behind doc_seq, in order */
    size_t n_tail;
    /* 0; ERR_AGAIN: no room left in the arena, the core asks again; ERR_LIMIT: not even for it alone */
    int err;
    struct list waiters; /* the core's */
};

struct load_batch {
    struct list loads;
    unsigned n_loads;
    int err; /* 0 or ERR_STORE */
    /* the backend's place for what it found; made and released by the core */
    struct arena *arena;
};

/* A page of tasks, newest status first; or, with `id`, the tasks of that id at all agents, by agent. */
struct list_query {
    struct list link;
    struct str id;             /* absent: a page */
    struct str agent, context; /* absent: all */
    bool has_state, has_after_us, want_docs;
    enum a2a_state state;
    int64_t after_us; /* status time >= this */
    unsigned limit;
    /* Keyset: rows behind (status time desc, key desc) of this place. The task's key is looked up in the same
     * statement; where there is no such task, rows of the very same time come once more. */
    bool has_from;
    int64_t from_us;
    struct str from_agent, from_id;
    /* answer; rows are loads without waiters, their documents and tails only with want_docs */
    int err;
    struct load *rows; /* in arena, or otherwise valid until store_list_done() returns */
    size_t n;
    bool has_more;
    uint64_t total;
    struct arena *arena; /* made and released by the core */
};

/* A page of a task's log. The task is found by its name in the same statement. */
struct log_query {
    struct list link;
    struct str agent, id; /* owned by the core */
    uint64_t after;
    size_t max_bytes; /* of payloads; the first event always comes */
    /* answer; payloads in arena, or otherwise valid until store_log_done() returns */
    int err;                    /* 0 or ERR_STORE */
    bool found;                 /* there is such a task */
    struct store_event *events; /* owned by the core; log_query_add() makes room */
    size_t n, room;
    struct arena *arena; /* made and released by the core */
};

/* --- agents ------------------------------------------------------------------------------------------ */

struct agents_put {
    struct list link;
    struct str source;
    struct store_agent *agents;
    size_t n;
    struct arena *arena; /* owns all of the above; released with the object */
};

/* All agents of the API as they are now. Whoever has it frees it with specs_free(). */
struct specs {
    struct arena arena;          /* owns the strings */
    struct store_agent_spec *at; /* owned */
    size_t n, room;
};

/* --- errands: small writes beside the spine, rare, none waits for another --------------------------------- */

enum errand_kind {
    ERRAND_TAKE,   /* unfinished tasks of the dead become ours */
    ERRAND_SAVE,   /* an agent of the API */
    ERRAND_DELETE, /* the same */
};

struct errand {
    struct list link; /* the backend's, while it has it */
    enum errand_kind kind;
    struct uuid owner;                 /* TAKE: us */
    unsigned limit;                    /* TAKE */
    struct str id, url, version, spec; /* SAVE, DELETE; in arena */
    /* answer */
    int err; /* 0; ERR_ABSENT (DELETE); ERR_STORE with why */
    char why[256];
    struct task_name *tasks; /* TAKE: n of them, room for `limit`; in arena */
    size_t n;
    struct arena arena;
};

/* --- webhooks: claims, settlements, registrations --------------------------------------------------------- */

enum push_kind {
    PUSH_PUT,
    PUSH_DELETE,
    PUSH_NOTE,
    PUSH_LIST,
    PUSH_RETRY,
    PUSH_CLAIM,
    PUSH_SETTLE,
    PUSH_SWEEP,
    PUSH_PRUNE,
    PUSH_ATTEMPTS,
};

/* Which members are given depends on the kind; strings are in `arena`. */
struct push_job {
    struct list link; /* the backend's, while it has it */
    enum push_kind kind;
    struct uuid owner, key;
    struct str agent, task_id, id, payload;
    struct store_push_config config;
    enum a2a_version dialect; /* of payload */
    int64_t now_us;
    struct store_push_query query; /* LIST */
    unsigned limit;
    struct store_push_result *results; /* SETTLE: n_results of them */
    size_t n_results;
    /* answer */
    int err; /* 0; ERR_ABSENT, ERR_FULL (PUT); ERR_STORE with why */
    char why[256];
    struct store_push *rows; /* LIST, CLAIM; room for `limit` */
    struct store_push_attempt *attempts;
    size_t n;        /* rows or attempts */
    uint64_t *heads; /* SETTLE: one for each result, 0 until it comes back */
    bool found;      /* LIST of one task: there is such a task */
    int64_t next_due_us;
    struct arena arena;
};

/* --- the backend -------------------------------------------------------------------------------------- */

struct backend;

struct backend_ops {
    void (*commit)(struct backend *b, struct batch *batch);
    void (*load)(struct backend *b, struct load_batch *loads);
    void (*list)(struct backend *b, struct list_query *query);
    void (*log)(struct backend *b, struct log_query *query);
    /* takes it; frees with agents_put_free() */
    void (*agents)(struct backend *b, struct agents_put *put);
    /* asked only while the store is up */
    void (*errand)(struct backend *b, struct errand *errand);
    void (*push)(struct backend *b, struct push_job *job);
    /* Stops; hands back everything it holds (commits it cannot finish: every row stays unfinished, see
     * store_batch_abandoned), then store_backend_closed(). */
    void (*close)(struct backend *b);
    unsigned (*connections)(const struct backend *b);
};

struct backend {
    const struct backend_ops *ops;
    struct store *store;
    unsigned n_lanes;
    char description[256];
    bool is_embedded, is_local;
    unsigned n_nodes; /* live nodes, this one included; set by the backend, shown in figures */
};

MUST_CHECK int sqlite_open(struct store *s, struct loop *loop,
                           const struct store_config *config, const char *boot,
                           struct backend **out, char why[256]);
MUST_CHECK int postgres_open(struct store *s, struct loop *loop,
                             const struct store_config *config, const char *boot,
                             struct backend **out, char why[256]);

/* From backend to core. */
void store_backend_state(struct store *s, enum store_state state, const char *why);
void store_batch_done(struct store *s, struct batch *batch);
void store_batch_abandoned(struct store *s, struct batch *batch); /* closing: outcome unknown */
void store_load_done(struct store *s, struct load_batch *loads);
void store_list_done(struct store *s, struct list_query *query);
void store_log_done(struct store *s, struct log_query *query);
/* On any thread: the place of the next event, to be filled. NULL: the page is full. */
struct store_event *log_query_add(struct log_query *query);
void store_errand_done(struct store *s, struct errand *errand);
/* TAKE, on any thread: adds a task to those taken; the strings are copied. False: passed over, and said so. */
bool errand_add(struct errand *e, struct str agent, struct str id, enum a2a_state state);
void store_push_done(struct store *s, struct push_job *job);
/* LIST and CLAIM, on any thread: the next row, to be filled; strings by push_keep(). NULL: `limit` are there. */
struct store_push *push_add_row(struct push_job *job);
struct store_push_attempt *push_add_attempt(struct push_job *job);
/* A copy in the job's arena; what there is no room for is absent, and job->err says so. */
struct str push_keep(struct push_job *job, struct str text);
void store_specs(struct store *s, struct specs *specs); /* takes it */
void store_backend_closed(struct store *s);
/* Another node wrote this task (its log was read): a cached copy older than seq goes, listeners are told. */
void store_task_changed(struct store *s, struct str agent, struct str id, uint64_t seq);
/* Whether the cache may be believed: false while the log of the other nodes cannot be read (PostgreSQL). */
void store_trust(struct store *s, bool trusted);
void agents_put_free(struct agents_put *put);

struct specs *specs_new(void);
/* The strings are copied. */
void specs_add(struct specs *specs, struct str id, struct str spec);
void specs_free(struct specs *specs); /* accepts NULL */

/* --- migrations: numbered SQL, embedded (migration.c) ---------------------------------------------------- */

struct migration {
    int number;
    const char *name; /* "0001_first" */
    /* statements; the PostgreSQL ones say {schema} where the schema's name goes */
    struct str sql;
};

/* end with number == 0 */
extern const struct migration postgres_migrations[], sqlite_migrations[];

/* Administration, one per backend (postgres_db.c, sqlite.c). */
int postgres_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                    bool json);
int sqlite_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                  bool json);

#endif
