/* SPDX-License-Identifier: MIT
 *
 * Inside the PostgreSQL backend.
 *
 *     postgres.c         the backend: opening, its state, closing, agents
 *     postgres_url.c     DATABASE_URL becomes a target; a refusal of the server becomes a sentence
 *     postgres_conn.c    one libpq connection on the loop: resolve, connect, prepare, pipeline, reconnect
 *     postgres_array.c   binary arrays, as unnest() takes them
 *     postgres_gate.c    may this database be served: version, encoding, migrations
 *     postgres_write.c   lanes: a batch becomes a transaction, errors find their row
 *     postgres_read.c    loads, lists and logs
 *     postgres_log.c     nodes, LISTEN, the log of the other nodes
 *     postgres_errand.c  agents, and tasks of nodes that are gone
 *     postgres_push.c    webhooks
 *     postgres_db.c      superx db: create, migrate, status, drop
 *
 *     connections   control ......... gate, lease, LISTEN, log, errands, webhooks   1
 *     (pool_size)   lanes ........... appends                              2, or 1 below 4
 *                   readers ......... loads and logs, lists                2, or 1 below 5; on demand
 */
#ifndef STORE_POSTGRES_INT_H
#define STORE_POSTGRES_INT_H

#include <libpq-fe.h>

#include "store/store_int.h"

/* --- where: postgres_url.c ---------------------------------------------------------------- */

#define PG_PARAMS_MAX 24
#define PG_NAME_MAX 63   /* NAMEDATALEN - 1: longer names are cut by the server in silence */
#define PG_SCHEMA_MAX 40 /* leaves room in PG_NAME_MAX for the channel's suffix */

struct pg_param {
    const char *key, *value; /* key: literal; value: arena */
};

/* A parsed DATABASE_URL. Must not move once parsed. */
struct pg_target {
    struct arena arena; /* owns the strings */
    /* name, address, socket folder, or "" for libpq's own socket folder */
    const char *host;
    const char *port;     /* decimal */
    const char *user;     /* never NULL */
    const char *password; /* NULL: none given; never shown */
    const char *database;
    struct pg_param params[PG_PARAMS_MAX];
    size_t n_params;
    unsigned connect_timeout_s;
    bool is_socket, is_local;
};

/* Returns 0, or ERR_INVALID with `why` naming what is wrong (never the password). Release in both cases. */
MUST_CHECK int pg_target_parse(struct pg_target *t, const char *url, char why[256]);
void pg_target_release(struct pg_target *t);

/* "postgresql 127.0.0.1:5432/orchestrator_dev user postgres". */
void pg_target_describe(const struct pg_target *t, char out[256]);

#define PG_KEYWORDS_MAX (PG_PARAMS_MAX + 16)

/* Keyword arrays for PQconnectStartParams(). `database` NULL: the target's; `host`, `hostaddr` NULL: the
 * target's host as it is. Everything borrowed from the target and the arguments. */
struct pg_keywords {
    const char *keys[PG_KEYWORDS_MAX], *values[PG_KEYWORDS_MAX];
};
void pg_target_keywords(const struct pg_target *t, const char *database, const char *host,
                        const char *hostaddr, struct pg_keywords *out);

/* What a failed attempt to connect means and what to try, as one sentence. `message` is libpq's, in
 * verbose form (PQERRORS_VERBOSE), which carries the SQLSTATE. */
void pg_target_explain(const struct pg_target *t, const char *message, char out[256]);

/* The SQLSTATE inside a verbose libpq message; "" if there is none. */
void pg_message_sqlstate(const char *message, char out[6]);
/* The cause in it: the first line without what libpq says about the address and the severity. */
struct str pg_message_cause(const char *message);

/* snprintf() for sentences: cut at `room`, never in the middle of a UTF-8 character. */
void pg_say(char *out, size_t room, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* --- errors ------------------------------------------------------------------------------- */

struct pg_error {
    char sqlstate[6]; /* "" when libpq itself failed */
    char text[160];   /* primary message, one line, UTF-8 */
    unsigned query;   /* which query of its unit failed, from 0 */
};

enum pg_error_class {
    PG_ERROR_ROW,    /* this row's own fault */
    PG_ERROR_LOCKED, /* 55P03: another session holds the row */
    PG_ERROR_RETRY,  /* nobody's fault, or the server's: the same again later */
    PG_ERROR_SHAPE,  /* the database is not what it was at connect: connect again, then retry */
};
enum pg_error_class pg_error_classify(const char *sqlstate);

/* --- one connection: postgres_conn.c ------------------------------------------------------ */

struct pg_conn;

/* All called on the loop, never from inside a pg_conn_ function, none after pg_conn_close(). */
struct pg_conn_ops {
    /* Connected, settings made, statements prepared. */
    void (*on_ready)(void *arg);
    /* A good result of query number `query` of the unit `tag`. Borrowed, unless taken by setting it to
     * NULL. */
    void (*on_result)(void *arg, int tag, unsigned query, PGresult **result);
    /* The unit's Sync came back: with NULL its transaction is durable, else it did not happen. */
    void (*on_sync)(void *arg, int tag, const struct pg_error *error);
    /* Was ready and is lost (units in flight have no known outcome), or an attempt failed. Tries again by
     * itself. */
    void (*on_down)(void *arg, bool was_ready, const char *why);
    void (*on_notify)(void *arg, struct str payload); /* may be NULL */
};

struct pg_statement {
    const char *name, *sql;
};

struct pg_conn_config {
    struct loop *loop;              /* borrowed */
    const struct pg_target *target; /* borrowed while the connection lives */
    const char *schema;             /* borrowed */
    const char *name;               /* literal, for logs: "writer", "reader", "control" */
    const char *settings;           /* literal: more set_config() calls, or "" */
    const struct pg_statement *statements; /* literal table to prepare; n of them */
    size_t n_statements;
    /* a server that owes an answer longer than this is given up */
    unsigned answer_ms;
};

struct pg_conn *pg_conn_new(const struct pg_conn_config *config, const struct pg_conn_ops *ops,
                            void *arg);
/* Starts connecting; already started: nothing. */
void pg_conn_start(struct pg_conn *c);
void pg_conn_close(struct pg_conn *c); /* accepts NULL; frees by itself */

bool pg_conn_is_ready(const struct pg_conn *c);
bool pg_conn_is_open(const struct pg_conn *c); /* counts against the pool */
/* Why the last attempt failed; "" if there was none since it was ready. A loss alone is no failure. */
const char *pg_conn_why(const struct pg_conn *c);
int pg_conn_server_version(const struct pg_conn *c);
/* Who served this connection last, for finding out whether it still runs; 0 and "" before the first time. */
int pg_conn_backend_pid(const struct pg_conn *c);
const char *pg_conn_backend_start(const struct pg_conn *c);

struct pg_value {
    const char *p; /* NULL: SQL null */
    size_t n;
};

/* Sends. Only while ready; a failure shows as on_down() later, so there is nothing to check here.
 * pg_conn_run: a prepared statement, binary values and results. pg_conn_query: the same, prepared for this
 * once. pg_conn_sql: text values (each terminated) and results. Queries up to a pg_conn_sync() form one
 * unit and one transaction. */
void pg_conn_run(struct pg_conn *c, const char *statement, const struct pg_value *values,
                 int n);
void pg_conn_query(struct pg_conn *c, const char *sql, const struct pg_value *values, int n);
void pg_conn_sql(struct pg_conn *c, const char *sql, const char *const *values, int n);
void pg_conn_sync(struct pg_conn *c, int tag);

/* Gives the connection up, as if the server had: on_down() follows, then attempts with backoff. */
void pg_conn_fail(struct pg_conn *c, const char *why);

/* --- binary parameters: postgres_array.c -------------------------------------------------- */

enum pg_type {
    PG_INT2 = 21,
    PG_INT4 = 23,
    PG_INT8 = 20,
    PG_TEXT = 25,
    PG_UUID = 2950,
    PG_TIME = 1184
};

/* The values of one statement, written one after the other into one buffer. Each pg_add_array() is
 * followed by exactly its number of elements. */
#define PG_VALUES_MAX 24
struct pg_values {
    struct buf bytes;
    size_t at[PG_VALUES_MAX + 1]; /* where each value starts */
    uint32_t nulls;               /* bit i: value i is null */
    int n;
    struct pg_value values[PG_VALUES_MAX]; /* views, valid after pg_values_end() */
};

void pg_values_init(struct pg_values *v, size_t max_bytes);
void pg_values_release(struct pg_values *v);
void pg_values_clear(struct pg_values *v);         /* keeps a little memory */
MUST_CHECK int pg_values_end(struct pg_values *v); /* 0, ERR_LIMIT, ERR_NOMEM */

void pg_add_array(struct pg_values *v, enum pg_type type, size_t n_elements);
void pg_add_int4(struct pg_values *v, int32_t x);
void pg_add_int8(struct pg_values *v, int64_t x);
void pg_add_time(struct pg_values *v, int64_t wall_us);
void pg_add_uuid(struct pg_values *v, const struct uuid *u);
void pg_add_text(struct pg_values *v, struct str s);
void pg_add_null(struct pg_values *v);

void pg_element_int2(struct pg_values *v, int x);
void pg_element_int4(struct pg_values *v, int32_t x);
void pg_element_int8(struct pg_values *v, uint64_t x);
void pg_element_time(struct pg_values *v, int64_t wall_us);
void pg_element_uuid(struct pg_values *v, const struct uuid *u);
void pg_element_text(struct pg_values *v, struct str s); /* absent: null */

/* Reading binary results; a field of another size than expected stops the process: the statements are
 * ours. */
int pg_get_int2(const PGresult *r, int row, int col);
int32_t pg_get_int4(const PGresult *r, int row, int col);
uint64_t pg_get_int8(const PGresult *r, int row, int col);
int64_t pg_get_time(const PGresult *r, int row, int col);
struct uuid pg_get_uuid(const PGresult *r, int row, int col);
/* absent for null; borrowed from r */
struct str pg_get_str(const PGresult *r, int row, int col);

/* --- the backend: postgres.c -------------------------------------------------------------- */

struct postgres;

/* Tags of the units on the control connection; the lanes and readers have their own. */
enum pg_control_tag {
    PG_TAG_FACTS,
    PG_TAG_MIGRATIONS,
    PG_TAG_REGISTER,
    PG_TAG_BEAT,
    PG_TAG_LOG,
    PG_TAG_LEAVE,
    PG_TAG_AGENTS,
    PG_TAG_SPECS,
    PG_TAG_ERRAND,
    PG_TAG_NEWS,
    PG_TAG_PUSH,
};

/* Looks at all connections and tells the core if the store's state or its reason changed. */
void postgres_judge(struct postgres *p);
/* The gate opened: this process is registered, lanes and readers may start. */
void postgres_admit(struct postgres *p);
/* The database is not what it was (PG_ERROR_SHAPE): nothing is written until the gate has looked again. */
void postgres_doubt(struct postgres *p, const char *why);

/* --- may it be served: postgres_gate.c ---------------------------------------------------- */

struct pg_gate {
    bool is_open;      /* the last look found nothing against it */
    char refused[256]; /* why a person is needed; "" if not */
    char trouble[256]; /* why not now; "" if not */
    struct timer again;
    bool is_looking;                /* a unit is out */
    struct pg_migrating *migrating; /* the thread's; NULL if none */
    bool was_migrated; /* once is enough: what is pending afterwards is for a person */
    bool told_fsync, told_old, told_newer; /* said once per process */
    bool has_table;                        /* migrations, as of this look */
    unsigned n_pending, n_newer;
};

void pg_gate_init(struct postgres *p);
void pg_gate_look(struct postgres *p);
void pg_gate_result(struct postgres *p, int tag, const PGresult *r);
void pg_gate_sync(struct postgres *p, int tag, const struct pg_error *error);
void pg_gate_stop(struct postgres *p);

/* --- other nodes: postgres_log.c ---------------------------------------------------------- */

#define PG_LANES 2

/* How far the log of another node's writer was read. */
struct pg_cursor {
    int32_t writer;
    uint64_t wseq;
    bool is_listed; /* seen in the latest list of writers */
};

struct pg_log {
    struct timer beat, distrust;
    struct pg_cursor *cursors; /* owned; sorted by writer */
    size_t n_cursors, room;
    int32_t writers[PG_LANES]; /* ours; 0 before registration */
    bool is_registered;        /* on this connection: LISTEN is in force */
    bool was_registered;       /* ever: cursors are continued, not placed at the end */
    bool is_beating, is_reading;
    bool read_again;       /* there is more, or there may be */
    uint64_t seen_changes; /* of the agents of the API, by the latest beat */
    bool has_company;      /* another node's lease is alive: hints are worth sending */
    /* when the units in flight were sent: what they read is at least as new */
    uint64_t beat_sent_ms, read_sent_ms;
    bool is_trusted;
    struct pg_values values;
};

void pg_log_init(struct postgres *p);
void pg_log_release(struct postgres *p);
void pg_log_register(struct postgres *p);
void pg_log_down(struct postgres *p);
void pg_log_result(struct postgres *p, int tag, unsigned query, const PGresult *r);
void pg_log_read(struct postgres *p);
void pg_log_sync(struct postgres *p, int tag, const struct pg_error *error);
void pg_log_notify(struct postgres *p, struct str payload);
void pg_log_stop(struct postgres *p);

/* Puts a writer's cursor to `wseq` unless it is further already; adds unknown ones. */
struct pg_cursor *pg_log_cursor(struct pg_log *log, int32_t writer, uint64_t wseq);

/* "writer:first-last" */
struct pg_hint {
    int32_t writer;
    uint64_t first, last;
};
MUST_CHECK int pg_hint_parse(struct str payload, struct pg_hint *out);

/* --- writing: postgres_write.c ------------------------------------------------------------ */

enum pg_lane_state {
    LANE_EMPTY,   /* no batch */
    LANE_HELD,    /* a batch waits for the connection or for its backoff */
    LANE_FENCE,   /* asking whether the lost connection's transaction can still happen */
    LANE_BATCH,   /* the batch is out, as arrays */
    LANE_SINGLES, /* row by row, one Sync: the failing index names the bad row */
    LANE_EACH,    /* row by row, a Sync each */
    LANE_CHECK,   /* asking which rows that did not come back are ours */
};

/* One row of the batch in hand. */
struct pg_slot {
    struct row *row; /* borrowed from the batch */
    /* MISSING: its guard failed, whose doing is open */
    enum { SLOT_OPEN, SLOT_MISSING, SLOT_SETTLED } place;
    bool came_back; /* returned by the current attempt, whose Sync is not there yet */
};

struct pg_lane {
    struct postgres *p; /* borrowed: contains this */
    unsigned index;
    struct pg_conn *conn;
    enum pg_lane_state state;
    struct batch *batch;   /* the core's, until done */
    struct pg_slot *slots; /* owned; n of them in key order, room for a largest batch */
    /* owned; rows of the statement being built, and behind `room` those with documents */
    struct row **picked;
    size_t n, room;
    bool outcome_unknown; /* an earlier attempt may have committed */
    int ghost_pid;        /* the server process that may still be at it; 0: none */
    char ghost_start[48];
    bool ghost_lives;     /* the fence found it */
    bool drops_pushes;    /* the database will not have the webhooks of this batch */
    bool each_failed;     /* in LANE_EACH: an error that is no row's fault */
    unsigned n_singles;   /* rounds of LANE_SINGLES for this batch */
    unsigned n_retries;   /* since the last success */
    unsigned n_each_left; /* Syncs owed in LANE_EACH */
    /* why the database does not take the batch; "" if it is not known to refuse */
    char trouble[256];
    struct timer retry;
    struct pg_values values;
};

void pg_lane_init(struct postgres *p, unsigned index);
void pg_lane_start(struct pg_lane *lane);
/* Goes on with the batch in hand, if connection, backoff and gate allow. */
void pg_lane_resume(struct pg_lane *lane);
void pg_lane_commit(struct pg_lane *lane, struct batch *batch);
/* Gives up: the batch in hand, if any, is abandoned. */
void pg_lane_stop(struct pg_lane *lane);

/* --- reading: postgres_read.c ------------------------------------------------------------- */

#define PG_READERS 2

struct pg_reader {
    struct postgres *p; /* borrowed: contains this */
    struct pg_conn *conn;
    struct load_batch *loads; /* the core's, until done */
    bool loads_sent;
    PGresult *found;   /* owned; what the core reads in store_load_done() */
    struct list lists; /* list_query.link; the first is in flight if list_sent */
    bool list_sent;
    PGresult *page;   /* owned; the rows of the one in flight, as above */
    struct list logs; /* log_query.link; the first n_logs_sent are in flight */
    unsigned n_logs_sent;
    PGresult *log;          /* owned; the events of the first, as above */
    struct deferred refuse; /* hands back what cannot be answered now */
    struct pg_values values;
};

void pg_reader_init(struct postgres *p, struct pg_reader *r);
void pg_reader_load(struct pg_reader *r, struct load_batch *loads);
void pg_reader_list(struct pg_reader *r, struct list_query *query);
void pg_reader_log(struct pg_reader *r, struct log_query *query);
void pg_reader_stop(struct pg_reader *r); /* hands back what it holds with ERR_STORE */

/* --- agents and errands: postgres_errand.c ------------------------------------------------ */

struct pg_errands {
    struct list puts; /* agents_put.link, waiting; the first is out if put_sent */
    bool put_sent;
    struct list waiting; /* errand.link; the first is out if is_sent */
    bool is_sent;
    struct deferred refuse; /* hands back what waits with `why` */
    char why[256];
    uint64_t changes;       /* of the agents of the API, as told last */
    bool are_told;          /* `changes` is valid */
    bool are_asked;         /* PG_TAG_SPECS is out */
    struct specs *specs;    /* owned; arrived, not told before its Sync */
    uint64_t specs_changes; /* of `specs` */
    struct pg_values values;
};

void pg_errands_init(struct postgres *p);
void pg_errands_release(struct postgres *p);
/* Takes it; a later list of the same source replaces one that waits. */
void pg_errands_put(struct postgres *p, struct agents_put *put);
void pg_errands_run(struct postgres *p, struct errand *e);
/* Sends what waits, if the control connection may be used. */
void pg_errands_send(struct postgres *p);
/* The number of changes as a beat has seen it; asks for the agents if it is another. */
void pg_errands_changes(struct postgres *p, uint64_t changes);
void pg_errands_forget(struct postgres *p); /* the tables were made anew */
void pg_errands_result(struct postgres *p, int tag, const PGresult *r);
void pg_errands_sync(struct postgres *p, int tag, const struct pg_error *error);
void pg_errands_down(struct postgres *p, bool was_ready, const char *why);
/* Hands back what waits at the end of the turn: the store is not up. */
void pg_errands_refuse(struct postgres *p, const char *why);
void pg_errands_stop(struct postgres *p); /* hands back, drops */

/* --- webhooks: postgres_push.c ------------------------------------------------------------ */

/* Statements of a batch. wake: $1 keys, $2 the time; says how many it woke by the rows it changed. insert: $1 keys,
 * $2 seqs, $3 seqs before, $4 ids, $5 forms, $6 docs, $7 secrets, $8 our boot id, $9 the time. */
extern const char pg_push_wake_sql[], pg_push_insert_sql[];

struct pg_push {
    struct list jobs; /* push_job.link; the first n_sent are out */
    unsigned n_sent;
    struct deferred refuse; /* hands back what waits with `why` */
    char why[256];
    struct pg_values values;
};

void pg_push_init(struct postgres *p);
void pg_push_release(struct postgres *p);
void pg_push_run(struct postgres *p, struct push_job *job);
void pg_push_send(struct postgres *p);
void pg_push_result(struct postgres *p, unsigned which, const PGresult *r);
void pg_push_sync(struct postgres *p, const struct pg_error *error);
void pg_push_down(struct postgres *p);
void pg_push_refuse(struct postgres *p, const char *why); /* the store is not up */
void pg_push_stop(struct postgres *p);

/* --- the struct --------------------------------------------------------------------------- */

struct postgres {
    struct backend base;
    struct grave grave;
    struct loop *loop; /* borrowed */
    struct pg_target target;
    char schema[PG_SCHEMA_MAX + 1];
    char channel[PG_NAME_MAX + 1];
    char boot[UUID_TEXT + 1];
    struct uuid boot_id;
    char node_name[128];
    bool migrate;
    unsigned n_readers;
    struct pg_conn *control;
    struct pg_gate gate;
    struct pg_log log;
    struct pg_lane lanes[PG_LANES];
    struct pg_reader readers[PG_READERS];
    struct pg_errands errands;
    struct pg_push push;
    bool was_up, is_closing;
    bool in_doubt;          /* see postgres_doubt() */
    enum store_state state; /* as told last */
    char why[256];
    bool told;
    struct timer farewell; /* bounds closing */
};

/* --- migrations: postgres_db.c ------------------------------------------------------------ */

/* Applies what is pending over a connection of its own, blocking. Two at once are safe: the second waits
 * for the first (pg_try_advisory_lock, polled, until *stop). Returns 0 or a negative ERR_ with `why`.
 * n_applied may be NULL. */
MUST_CHECK int pg_migrate(const struct pg_target *t, const char *schema, const int *stop,
                          unsigned *n_applied, char why[256]);

/* Whether `name` may be a schema's: [a-z_][a-z0-9_]*, at most PG_SCHEMA_MAX bytes. */
bool pg_schema_is_valid(const char *name);

#endif
