/* SPDX-License-Identifier: MIT
 *
 * The thread that looks things up: misses of the cache in batches, pages of lists and of logs, and, because it has a
 * connection of its own and nobody waits for it at that moment, the checkpoints that keep the log short.
 *
 * Each batch of loads and each page is one read transaction: all of it is of one state of the database. The
 * connection is opened when it is first needed (the writer has made the file by then) and again after a
 * failure.
 */
#include <pthread.h>
#include "lib/arena.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/sqlite.h"

/* A page of all agents walks the agents through the index (each step finds the next name) and takes the head
 * of each one's list, so that no second index on status_at is needed. A context has few tasks: those are sorted. */
#define SUMMARY                                                                                \
    "t.key, t.owner, t.agent, t.task_id, t.context, t.dialect, t.state, t.status_at, t.seq"
/* ?1 agent, ?2 and ?3 where the page begins, ?4 rows, ?5 context, ?6 state, ?7 earliest status time, ?8 and ?9 the
 * task behind which the page begins */
#define MATCHES "(?6 IS NULL OR state = ?6) AND status_at >= ?7"
#define BEHIND                                                                                 \
    "(status_at, key) < (?2, coalesce((SELECT key FROM tasks WHERE agent = ?8 AND task_id = ?9), ?3))"
#define NEWEST " ORDER BY status_at DESC, key DESC LIMIT ?4"
#define NAMES                                                                                  \
    "WITH RECURSIVE names (agent) AS (SELECT min(agent) FROM tasks UNION ALL "                 \
    "SELECT (SELECT min(agent) FROM tasks WHERE agent > names.agent) FROM names "              \
    "WHERE names.agent IS NOT NULL) "
#define IN_CONTEXT "context = ?5 AND (?1 IS NULL OR agent = ?1) AND " MATCHES
/* clang-format off */
#define STATEMENTS(X)                                                                                 \
    X(BEGIN, "BEGIN")                                                                                 \
    X(END, "ROLLBACK")                                                                                \
    X(TASK, "SELECT t.key, t.owner, t.context, t.dialect, t.state, t.seq, t.status_at, d.seq, d.doc " \
            "FROM tasks t LEFT JOIN task_docs d ON d.key = t.key "                                    \
            "WHERE t.agent = ?1 AND t.task_id = ?2")                                                  \
    X(TAIL, "SELECT seq, kind, payload, coalesce(dialect, ?4) FROM task_events "                      \
            "WHERE key = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq")                                 \
    X(LOG, "SELECT e.seq, e.kind, e.payload, coalesce(e.dialect, t.dialect) FROM tasks t "            \
           "LEFT JOIN task_events e ON e.key = t.key AND e.seq > ?3 "                                 \
           "WHERE t.agent = ?1 AND t.task_id = ?2 ORDER BY e.seq")                                    \
    X(DOC, "SELECT seq, doc FROM task_docs WHERE key = ?1")                                           \
    X(LIST_AGENT, "SELECT " SUMMARY " FROM tasks t WHERE agent = ?1 AND " MATCHES " AND " BEHIND      \
                  NEWEST)                                                                             \
    X(LIST_ALL, NAMES "SELECT " SUMMARY " FROM names JOIN tasks t ON t.key IN (SELECT key FROM tasks "\
                "WHERE agent = names.agent AND " MATCHES " AND " BEHIND NEWEST ") "                   \
                "WHERE names.agent IS NOT NULL ORDER BY t.status_at DESC, t.key DESC LIMIT ?4")       \
    X(LIST_CONTEXT, "SELECT " SUMMARY " FROM tasks t INDEXED BY tasks_by_context WHERE " IN_CONTEXT   \
                    " AND " BEHIND NEWEST)                                                            \
    X(FIND, NAMES "SELECT " SUMMARY " FROM names CROSS JOIN tasks t ON t.agent = names.agent "        \
            "AND t.task_id = ?1 ORDER BY t.agent LIMIT ?4")                                           \
    X(COUNT_AGENT, "SELECT count(*) FROM tasks WHERE agent = ?1")                                     \
    X(COUNT_ALL, "SELECT count(*) FROM tasks")                                                        \
    X(MATCHES_AGENT, "SELECT count(*) FROM tasks WHERE agent = ?1 AND " MATCHES)                      \
    X(MATCHES_ALL, "SELECT count(*) FROM tasks WHERE " MATCHES)                                       \
    X(MATCHES_CONTEXT, "SELECT count(*) FROM tasks WHERE " IN_CONTEXT)

enum statement {
#define X(name, sql) STMT_##name,
    STATEMENTS(X)
#undef X
    STMT_MAX
};
/* clang-format on */

static const char *const statement_sql[] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

struct reader {
    struct sqlite *s;
    sqlite3 *db;
    sqlite3_stmt *stmts[STMT_MAX];
    bool is_failing; /* said so already */
};

static void close_database(struct reader *r)
{
    for (int i = 0; i < STMT_MAX; i++) {
        sqlite3_finalize(r->stmts[i]);
        r->stmts[i] = NULL;
    }
    sqlite3_close(r->db);
    r->db = NULL;
}

/* Says once that reading fails, and once that it works again; requests may come twenty times a second. */
static void note(struct reader *r, const char *doing, const char *why)
{
    if (why && !r->is_failing)
        log_event(LOG_WARN, "reading the embedded database fails", LOG_Z("doing", doing),
                  LOG_Z("why", why));
    else if (!why && r->is_failing)
        log_event(LOG_INFO, "reading the embedded database works again");
    r->is_failing = why != NULL;
}

static bool open_database(struct reader *r)
{
    char why[256];
    int rc = SQLITE_OK;

    if (r->db)
        return true;
    if (sqlite_connect(r->s->path, false, SQLITE_READER_CACHE_KB, &r->db, why)) {
        note(r, "opening", why);
        return false;
    }
    for (int i = 0; i < STMT_MAX && rc == SQLITE_OK; i++)
        rc = sqlite3_prepare_v3(r->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &r->stmts[i], NULL);
    if (rc == SQLITE_OK)
        return true;
    note(r, "preparing", sqlite3_errmsg(r->db));
    close_database(r);
    return false;
}

/* After a failure the next request tries a fresh connection. */
static int failed(struct reader *r, const char *doing)
{
    note(r, doing, sqlite3_errmsg(r->db));
    close_database(r);
    return ERR_STORE;
}

static bool run(struct reader *r, enum statement which)
{
    int rc = sqlite3_step(r->stmts[which]);

    sqlite3_reset(r->stmts[which]);
    return rc == SQLITE_DONE;
}

/* --- columns -------------------------------------------------------------------------------------- */

static uint64_t column_u64(sqlite3_stmt *stmt, int at)
{
    return (uint64_t)sqlite3_column_int64(stmt, at);
}

/* Copies a text into the arena. False: no room. */
static bool keep_str(sqlite3_stmt *stmt, int at, struct arena *arena, struct str *out)
{
    struct str text = sqlite_column_str(stmt, at);

    *out = arena_str(arena, text);
    return !text.p || out->p;
}

/* --- loads ---------------------------------------------------------------------------------------- */

/* False: no room for it. */
static bool read_event(sqlite3_stmt *stmt, struct arena *arena, struct store_event *e)
{
    e->seq = column_u64(stmt, 0);
    e->kind = (enum a2a_event_kind)sqlite3_column_int(stmt, 1);
    e->dialect = (enum a2a_version)sqlite3_column_int(stmt, 3);
    return keep_str(stmt, 2, arena, &e->payload);
}

/* The events behind the document. Returns an SQLite code; *has_room says whether they fitted. */
static int read_tail(struct reader *r, struct load *l, struct arena *arena, bool *has_room)
{
    sqlite3_stmt *stmt = r->stmts[STMT_TAIL];
    uint64_t room = l->seq - l->doc_seq;
    int rc;

    l->tail =
        room < arena->max / sizeof *l->tail ? arena_take(arena, room * sizeof *l->tail) : NULL;
    *has_room = l->tail != NULL;
    if (!l->tail)
        return SQLITE_OK;
    sqlite_bind_uuid(stmt, 1, &l->key);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)l->doc_seq);
    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)l->seq);
    sqlite3_bind_int(stmt, 4, (int)l->dialect);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && *has_room && l->n_tail < room)
        *has_room = read_event(stmt, arena, &l->tail[l->n_tail++]);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_task(struct reader *r, struct load *l, struct arena *arena, bool *has_room)
{
    sqlite3_stmt *stmt = r->stmts[STMT_TASK];
    int rc;

    *has_room = true;
    sqlite_bind_str(stmt, 1, l->agent);
    sqlite_bind_str(stmt, 2, l->id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        l->found = true;
        l->key = sqlite_column_uuid(stmt, 0);
        l->owner = sqlite_column_uuid(stmt, 1);
        l->dialect = (enum a2a_version)sqlite3_column_int(stmt, 3);
        l->state = (enum a2a_state)sqlite3_column_int(stmt, 4);
        l->seq = column_u64(stmt, 5);
        l->status_at_us = sqlite3_column_int64(stmt, 6);
        l->doc_seq = column_u64(stmt, 7);
        *has_room = keep_str(stmt, 2, arena, &l->context) && keep_str(stmt, 8, arena, &l->doc);
    }
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW && *has_room && l->doc_seq < l->seq)
        return read_tail(r, l, arena, has_room);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_tasks(struct reader *r, struct load_batch *loads)
{
    bool has_room = true;

    if (!run(r, STMT_BEGIN))
        return failed(r, "beginning");
    LIST_EACH (it, &loads->loads) {
        struct load *l = CONTAINER_OF(it, struct load, link);

        if (has_room && read_task(r, l, loads->arena, &has_room) != SQLITE_OK)
            return failed(r, "loading a task");
        if (!has_room) {
            l->found = false;
            l->err = it == loads->loads.next ? ERR_LIMIT : ERR_AGAIN;
        }
    }
    if (!run(r, STMT_END))
        return failed(r, "ending");
    note(r, NULL, NULL);
    return 0;
}

/* --- lists ---------------------------------------------------------------------------------------- */

/* All parameters of lists and counts; a statement that has fewer ignores the rest. */
static void bind_query(sqlite3_stmt *stmt, const struct list_query *q)
{
    static const unsigned char last[sizeof(struct uuid)] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                            0xff, 0xff, 0xff, 0xff};

    sqlite_bind_str(stmt, 1, q->id.p ? q->id : q->agent);
    /* The first page is the one behind the last place there could be. */
    sqlite3_bind_int64(stmt, 2, q->has_from ? q->from_us : INT64_MAX);
    sqlite3_bind_blob(stmt, 3, last, sizeof last, SQLITE_STATIC);
    /* One row more tells whether there is a next page. */
    sqlite3_bind_int64(stmt, 4, (sqlite3_int64)q->limit + 1);
    sqlite_bind_str(stmt, 5, q->context);
    if (q->has_state)
        sqlite3_bind_int(stmt, 6, (int)q->state);
    else
        sqlite3_bind_null(stmt, 6);
    sqlite3_bind_int64(stmt, 7, q->has_after_us ? q->after_us : INT64_MIN);
    sqlite_bind_str(stmt, 8, q->from_agent);
    sqlite_bind_str(stmt, 9, q->from_id);
}

static int read_total(struct reader *r, struct list_query *q)
{
    bool is_plain = !q->has_state && !q->has_after_us;
    sqlite3_stmt *stmt =
        r->stmts[q->context.p ? STMT_MATCHES_CONTEXT
                 : q->agent.p ? (is_plain ? STMT_COUNT_AGENT : STMT_MATCHES_AGENT)
                              : (is_plain ? STMT_COUNT_ALL : STMT_MATCHES_ALL)];
    int rc;

    bind_query(stmt, q);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        q->total = column_u64(stmt, 0);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* False: no room. */
static bool read_summary(sqlite3_stmt *stmt, struct arena *arena, struct load *row)
{
    *row = (struct load){.found = true};
    row->key = sqlite_column_uuid(stmt, 0);
    row->owner = sqlite_column_uuid(stmt, 1);
    row->dialect = (enum a2a_version)sqlite3_column_int(stmt, 5);
    row->state = (enum a2a_state)sqlite3_column_int(stmt, 6);
    row->status_at_us = sqlite3_column_int64(stmt, 7);
    row->seq = row->doc_seq = column_u64(stmt, 8);
    return keep_str(stmt, 2, arena, &row->agent) && keep_str(stmt, 3, arena, &row->id) &&
           keep_str(stmt, 4, arena, &row->context);
}

/* The document of a row, if *bytes of the page allow it; the first always comes. A row without a document is left
 * to the core, which reports it. */
static int read_doc(struct reader *r, struct list_query *q, struct load *row, size_t *bytes,
                    bool *has_room)
{
    sqlite3_stmt *stmt = r->stmts[STMT_DOC];
    int rc;

    sqlite_bind_uuid(stmt, 1, &row->key);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        row->doc_seq = column_u64(stmt, 0);
        *bytes += (size_t)sqlite3_column_bytes(stmt, 1);
        *has_room =
            (q->n == 0 || *bytes <= LIMIT_LIST_BYTES) && keep_str(stmt, 1, q->arena, &row->doc);
    }
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW && *has_room && row->doc_seq < row->seq)
        return read_tail(r, row, q->arena, has_room);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Rows until the page is full, by number or by bytes. */
static int read_rows(struct reader *r, struct list_query *q)
{
    sqlite3_stmt *stmt = r->stmts[q->id.p        ? STMT_FIND
                                  : q->context.p ? STMT_LIST_CONTEXT
                                  : q->agent.p   ? STMT_LIST_AGENT
                                                 : STMT_LIST_ALL];
    bool has_room = true;
    size_t bytes = 0;
    int rc;

    bind_query(stmt, q);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && q->n < q->limit) {
        struct load *row = &q->rows[q->n];
        int failed = SQLITE_OK;

        has_room = read_summary(stmt, q->arena, row);
        if (has_room && q->want_docs)
            failed = read_doc(r, q, row, &bytes, &has_room);
        if (failed)
            rc = failed;
        if (failed || !has_room)
            break;
        q->n++;
    }
    q->has_more = rc == SQLITE_ROW;
    sqlite3_reset(stmt);
    if (!has_room && q->n == 0)
        return SQLITE_NOMEM;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int read_page(struct reader *r, struct list_query *q)
{
    q->rows = arena_take(q->arena, q->limit * sizeof *q->rows);
    if (!q->rows)
        return ERR_STORE;
    if (!run(r, STMT_BEGIN) || (!q->id.p && read_total(r, q)) || read_rows(r, q))
        return failed(r, "listing tasks");
    return run(r, STMT_END) ? 0 : failed(r, "ending");
}

/* --- logs ----------------------------------------------------------------------------------------- */

/* One statement is one state of the database; it needs no transaction of its own. */
static int read_log(struct reader *r, struct log_query *q)
{
    sqlite3_stmt *stmt = r->stmts[STMT_LOG];
    bool has_room = true;
    size_t bytes = 0;
    int rc;

    sqlite_bind_str(stmt, 1, q->agent);
    sqlite_bind_str(stmt, 2, q->id);
    sqlite3_bind_int64(stmt, 3, q->after < INT64_MAX ? (sqlite3_int64)q->after : INT64_MAX);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_event *e = NULL;

        q->found = true;
        bytes += (size_t)sqlite3_column_bytes(stmt, 2);
        if (sqlite3_column_type(stmt, 0) != SQLITE_NULL && (q->n == 0 || bytes <= q->max_bytes))
            e = log_query_add(q);
        if (!e) /* no event behind `after`, or the page is full */
            break;
        has_room = read_event(stmt, q->arena, e);
        if (!has_room)
            break;
    }
    sqlite3_reset(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return failed(r, "reading a log");
    note(r, NULL, NULL);
    if (!has_room)
        q->n--;
    return has_room || q->n > 0 ? 0 : ERR_STORE;
}

/* --- checkpoints ---------------------------------------------------------------------------------- */

static void checkpoint(struct reader *r)
{
    if (sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL))
        log_event(LOG_DEBUG, "checkpoint put off", LOG_Z("why", sqlite3_errmsg(r->db)));
    atomic_store(&r->s->checkpoint_is_asked, false);
}

/* --- the thread ----------------------------------------------------------------------------------- */

static void serve(struct reader *r, struct letter *letter)
{
    bool is_open = open_database(r);

    switch (letter->kind) {
    case LETTER_LOADS:
        letter->loads->err = is_open ? read_tasks(r, letter->loads) : ERR_STORE;
        sqlite_tell(r->s, letter);
        break;
    case LETTER_LIST:
        letter->query->err = is_open ? read_page(r, letter->query) : ERR_STORE;
        sqlite_tell(r->s, letter);
        break;
    case LETTER_LOG:
        letter->log->err = is_open ? read_log(r, letter->log) : ERR_STORE;
        sqlite_tell(r->s, letter);
        break;
    default:
        if (is_open)
            checkpoint(r);
        else
            atomic_store(&r->s->checkpoint_is_asked, false);
        mem_free(letter);
        break;
    }
}

void sqlite_read_run(void *arg)
{
    struct reader r = {.s = arg};
    struct letter *letter, *last = letter_new(LETTER_ENDED);

    pthread_setname_np(pthread_self(), "sqlite-reader");
    while ((letter = mailbox_take(&r.s->to_reader, 0)))
        serve(&r, letter);
    close_database(&r);
    last->thread = &r.s->reader;
    sqlite_tell(r.s, last);
}
