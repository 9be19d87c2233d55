/* SPDX-License-Identifier: MIT
 *
 * The thread that makes batches durable.
 *
 *     OPENING --lock held by another--> REFUSED
 *        | file, lock, migrations: again every second until they work
 *        v
 *       UP <--the batch went through-- DOWN
 *        \------a batch failed-------->/   the same batch again, with growing pauses, until it works
 *
 * A batch is one transaction: BEGIN IMMEDIATE, per row the guarded INSERT or UPDATE with its document and
 * events, COMMIT, which is one fsync of the log. A row whose guard fails is a conflict and leaves nothing
 * behind. If a row makes SQLite fail (a constraint, too large), the transaction is rolled back and done again
 * with a savepoint around each row, so that only the bad row is refused; savepoints are not paid for
 * otherwise.
 *
 * A COMMIT that failed may still have reached the disk and come back with the log's recovery. Therefore a row
 * that conflicts in a *repeated* batch is ours if its first event carries our (writer, wseq).
 *
 * Checkpoints belong to the reader. Under constant load it never catches up with us, so beyond 16 MB of log
 * the writer waits for one checkpoint itself, most of which the reader has already done.
 */
#include <pthread.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/sqlite.h"

#define OPEN_RETRY_MS 1000
#define FIRST_RETRY_MS 50
#define MAX_RETRY_MS 1000
#define AGENTS_RETRY_MS 1000
#define CHECKPOINT_POLL_MS 5
#define WALK_ROWS 10000 /* of tasks, looked at in one go: a few milliseconds */

/* X(name, SQL). Parameters are numbered alike in INSERT and UPDATE. */
/* clang-format off */
#define STATEMENTS(X)                                                                                 \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                       \
    X(COMMIT, "COMMIT")                                                                               \
    X(ROLLBACK, "ROLLBACK")                                                                           \
    X(SAVE, "SAVEPOINT one_row")                                                                      \
    X(KEEP, "RELEASE one_row")                                                                        \
    X(UNDO, "ROLLBACK TO one_row")                                                                    \
    X(INSERT, "INSERT INTO tasks (key, agent, task_id, context, dialect, state, seq, status_at, "     \
              "owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING")            \
    X(UPDATE, "UPDATE tasks SET context = ?4, dialect = ?5, state = ?6, seq = ?7, status_at = ?8, "   \
              "owner = ?9 WHERE key = ?1 AND seq = ?10 AND owner = ?11 "                              \
              "AND state NOT IN (3, 4, 5, 7)")                                                        \
    X(DOC, "INSERT INTO task_docs (key, seq, doc) VALUES (?1, ?2, ?3) "                               \
           "ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, doc = excluded.doc")                  \
    X(EVENT, "INSERT INTO task_events (key, seq, kind, writer, wseq, at, payload, dialect) "          \
             "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                               \
    X(TWIN, "SELECT 1 FROM task_events WHERE key = ?1 AND seq = ?2 AND writer = ?3 AND wseq = ?4")    \
    X(AGENTS_DELETE, "DELETE FROM agents WHERE source = ?1")                                          \
    X(AGENTS_INSERT, "INSERT INTO agents (id, url, version, source, changed_at) "                     \
                     "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET "                    \
                     "url = excluded.url, version = excluded.version, source = excluded.source, "     \
                     "changed_at = excluded.changed_at")                                              \
    X(WALK, "SELECT key, owner, state, agent, task_id FROM tasks WHERE key > ?1 ORDER BY key")        \
    X(TAKE, "UPDATE tasks SET owner = ?2 WHERE key = ?1")                                             \
    X(SPEC_SAVE, "INSERT INTO api_agents (id, url, version, spec, changed_at) "                       \
                 "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET url = excluded.url, "    \
                 "version = excluded.version, spec = excluded.spec, "                                 \
                 "changed_at = excluded.changed_at")                                                  \
    X(SPEC_DELETE, "DELETE FROM api_agents WHERE id = ?1")                                            \
    X(SPECS, "SELECT id, spec FROM api_agents ORDER BY id")

enum statement {
#define X(name, sql) STMT_##name,
    STATEMENTS(X)
#undef X
    STMT_MAX
};
/* clang-format on */

_Static_assert(A2A_STATE_COMPLETED == 3 && A2A_STATE_FAILED == 4 && A2A_STATE_CANCELED == 5 &&
                   A2A_STATE_REJECTED == 7,
               "the guard of UPDATE names the terminal states by number");

static const char *const statement_sql[] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

struct writer {
    struct sqlite *s;
    int lock; /* descriptor, or -1 */
    sqlite3 *db;
    sqlite3_stmt *stmts[STMT_MAX];
    struct sqlite_push push;
    int64_t id;                   /* of this writer, in task_events */
    int log_pages;                /* length of the log after the last commit */
    int checkpoint_at, shrink_at; /* from which length on the reader, or we, must act */
    bool is_down;
    struct uuid walked; /* tasks up to this key have no owner of a former life */
    struct list puts;   /* struct agents_put.link: not written yet, newest of each source */
};

static void tell_specs(struct writer *w);

/* --- telling the loop ----------------------------------------------------------------------------- */

static void tell_state(struct writer *w, enum store_state state, const char *why)
{
    struct letter *letter = letter_new(LETTER_STATE);

    letter->state = state;
    snprintf(letter->why, sizeof letter->why, "%s", why);
    sqlite_tell(w->s, letter);
}

static void tell_batch(struct writer *w, enum letter_kind kind, struct batch *batch)
{
    struct letter *letter = letter_new(kind);

    letter->batch = batch;
    sqlite_tell(w->s, letter);
}

/* --- statements ----------------------------------------------------------------------------------- */

static sqlite3_stmt *rewound(struct writer *w, enum statement which)
{
    sqlite3_reset(w->stmts[which]); /* its result was seen by whoever stepped it */
    return w->stmts[which];
}

/* One statement that yields no rows. SQLITE_OK or what went wrong. */
static int step(struct writer *w, enum statement which)
{
    int rc = sqlite3_step(w->stmts[which]);

    sqlite3_reset(w->stmts[which]);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* --- opening -------------------------------------------------------------------------------------- */

/* Called after each commit with the length of the log. A checkpoint that does not catch up with us leaves the
 * log as long as it is, so the next one is due only when as much again has been written. */
static int on_log_grown(void *arg, sqlite3 *db, const char *schema, int pages)
{
    struct writer *w = arg;

    (void)db;
    (void)schema;
    if (pages < w->log_pages) { /* it began anew */
        w->checkpoint_at = SQLITE_CHECKPOINT_PAGES;
        w->shrink_at = SQLITE_WAL_MAX_PAGES;
    }
    w->log_pages = pages;
    if (pages >= w->checkpoint_at && pages < w->shrink_at &&
        !atomic_exchange(&w->s->checkpoint_is_asked, true)) {
        w->checkpoint_at = pages + SQLITE_CHECKPOINT_PAGES;
        mailbox_post(&w->s->to_reader, letter_new(LETTER_CHECKPOINT));
    }
    return SQLITE_OK;
}

static int prepare_all(struct writer *w, char why[256])
{
    for (int i = 0; i < STMT_MAX; i++)
        if (sqlite3_prepare_v3(w->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &w->stmts[i], NULL)) {
            snprintf(why, 256, "%s: %s", w->s->path, sqlite3_errmsg(w->db));
            return ERR_STORE;
        }
    if (sqlite_push_prepare(&w->push, w->db) == SQLITE_OK)
        return 0;
    snprintf(why, 256, "%s: %s", w->s->path, sqlite3_errmsg(w->db));
    return ERR_STORE;
}

/* Enters this process as node and writer; the folder's lock says that no other node is alive. */
static int register_node(struct writer *w, char why[256])
{
    static const char *const sql[] = {
        "DELETE FROM nodes", "INSERT INTO nodes (boot, name, started_at) VALUES (?1, ?2, ?3)",
        "INSERT INTO writers (node, lane, started_at) VALUES (?1, 0, ?3)"};
    int rc = sqlite_run(w->db, "BEGIN IMMEDIATE");

    for (size_t i = 0; i < sizeof sql / sizeof *sql && rc == SQLITE_OK; i++) {
        sqlite3_stmt *stmt = NULL;

        rc = sqlite3_prepare_v2(w->db, sql[i], -1, &stmt, NULL);
        if (rc == SQLITE_OK) {
            sqlite3_bind_text(stmt, 1, w->s->boot, -1, SQLITE_STATIC);
            sqlite3_bind_text(stmt, 2, w->s->node_name, -1, SQLITE_STATIC);
            sqlite3_bind_int64(stmt, 3, clock_wall_us());
            rc = sqlite3_step(stmt) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(w->db);
        }
        sqlite3_finalize(stmt);
    }
    if (rc == SQLITE_OK) {
        w->id = sqlite3_last_insert_rowid(w->db);
        rc = sqlite_run(w->db, "COMMIT");
    }
    if (rc == SQLITE_OK)
        return 0;
    snprintf(why, 256, "%s: %s", w->s->path, sqlite3_errmsg(w->db));
    return ERR_STORE;
}

static void close_database(struct writer *w)
{
    for (int i = 0; i < STMT_MAX; i++) {
        sqlite3_finalize(w->stmts[i]);
        w->stmts[i] = NULL;
    }
    sqlite_push_release(&w->push);
    /* The last connection to close moves the whole log into the database and removes it. */
    if (w->db && sqlite3_close(w->db) != SQLITE_OK)
        log_event(LOG_WARN, "the embedded database was not closed cleanly",
                  LOG_Z("why", sqlite3_errmsg(w->db)));
    w->db = NULL;
}

static int open_database(struct writer *w, char why[256])
{
    int err = sqlite_connect(w->s->path, true, SQLITE_WRITER_CACHE_KB, &w->db, why);

    if (!err)
        err = sqlite_migrate(w->db, why);
    if (!err)
        err = register_node(w, why);
    if (!err)
        err = prepare_all(w, why);
    if (err)
        close_database(w);
    else
        sqlite3_wal_hook(w->db, on_log_grown, w);
    return err;
}

/* False: refused, or closing before it came up. */
static bool open_patiently(struct writer *w)
{
    char why[256] = "";
    int err;

    do {
        err = w->lock < 0 ? sqlite_lock(w->s->dir, &w->lock, why) : 0;
        if (err == ERR_CONFLICT) {
            tell_state(w, STORE_REFUSED, why);
            return false;
        }
        if (!err)
            err = open_database(w, why);
        if (!err) {
            tell_state(w, STORE_UP, "");
            tell_specs(w);
            return true;
        }
        tell_state(w, STORE_OPENING, why);
    } while (!mailbox_pause(&w->s->to_writer, OPEN_RETRY_MS));
    return false;
}

/* --- a row ---------------------------------------------------------------------------------------- */

static int write_task(struct writer *w, const struct row *row)
{
    const struct task *t = row->after;
    enum statement which = row->is_new ? STMT_INSERT : STMT_UPDATE;
    sqlite3_stmt *stmt = rewound(w, which);

    sqlite_bind_uuid(stmt, 1, &t->key);
    sqlite_bind_str(stmt, 4, t->context);
    sqlite3_bind_int(stmt, 5, (int)t->dialect);
    sqlite3_bind_int(stmt, 6, (int)t->state);
    sqlite_bind_u64(stmt, 7, t->seq);
    sqlite3_bind_int64(stmt, 8, t->status_at_us);
    sqlite_bind_uuid(stmt, 9, &t->owner);
    if (row->is_new) {
        sqlite_bind_str(stmt, 2, t->agent);
        sqlite_bind_str(stmt, 3, t->id);
    } else {
        sqlite_bind_u64(stmt, 10, row->seq_before);
        sqlite_bind_uuid(stmt, 11, &row->owner_before);
    }
    return step(w, which);
}

static int write_doc(struct writer *w, const struct task *t)
{
    sqlite3_stmt *stmt = rewound(w, STMT_DOC);

    sqlite_bind_uuid(stmt, 1, &t->key);
    sqlite_bind_u64(stmt, 2, t->seq);
    sqlite_bind_str(stmt, 3, t->doc);
    return step(w, STMT_DOC);
}

static int write_event(struct writer *w, const struct row *row, size_t i, int64_t at_us)
{
    const struct store_event *e = &row->events[i];
    sqlite3_stmt *stmt = rewound(w, STMT_EVENT);

    sqlite_bind_uuid(stmt, 1, &row->after->key);
    sqlite_bind_u64(stmt, 2, e->seq);
    sqlite3_bind_int(stmt, 3, (int)e->kind);
    sqlite3_bind_int64(stmt, 4, w->id);
    sqlite_bind_u64(stmt, 5, row->first_wseq + i);
    sqlite3_bind_int64(stmt, 6, at_us);
    sqlite_bind_str(stmt, 7, e->payload);
    sqlite3_bind_int(stmt, 8, (int)e->dialect);
    return step(w, STMT_EVENT);
}

/* Whether the row that will not go in is already there, by an earlier try of this very batch. */
static int find_twin(struct writer *w, struct row *row)
{
    sqlite3_stmt *stmt = rewound(w, STMT_TWIN);
    int rc;

    sqlite_bind_uuid(stmt, 1, &row->after->key);
    sqlite_bind_u64(stmt, 2, row->events[0].seq);
    sqlite3_bind_int64(stmt, 3, w->id);
    sqlite_bind_u64(stmt, 4, row->first_wseq);
    rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW)
        row->outcome = ROW_COMMITTED;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int write_row(struct writer *w, struct row *row, struct batch *batch, bool is_repeated)
{
    int rc = write_task(w, row);

    if (rc == SQLITE_OK && sqlite3_changes(w->db) == 0) {
        row->outcome = ROW_CONFLICT;
        return is_repeated ? find_twin(w, row) : SQLITE_OK;
    }
    if (rc == SQLITE_OK && row->doc_is_due)
        rc = write_doc(w, row->after);
    for (size_t i = 0; i < row->n_events && rc == SQLITE_OK; i++)
        rc = write_event(w, row, i, batch->at_us);
    if (rc == SQLITE_OK)
        rc = sqlite_push_commit(&w->push, row, batch->at_us, &batch->n_woken);
    if (rc == SQLITE_OK)
        row->outcome = ROW_COMMITTED;
    return rc;
}

/* Whether the row is to blame rather than the disk, the memory or a lock. */
static bool is_about_the_row(int rc)
{
    int kind = rc & 0xff;

    return kind == SQLITE_CONSTRAINT || kind == SQLITE_TOOBIG || kind == SQLITE_MISMATCH;
}

static int write_row_alone(struct writer *w, struct row *row, struct batch *batch,
                           bool is_repeated)
{
    int rc = step(w, STMT_SAVE);

    if (rc != SQLITE_OK)
        return rc;
    rc = write_row(w, row, batch, is_repeated);
    if (is_about_the_row(rc)) {
        row->outcome = ROW_REFUSED;
        snprintf(row->why, sizeof row->why, "%s", sqlite3_errmsg(w->db));
        rc = step(w, STMT_UNDO);
    }
    return rc == SQLITE_OK ? step(w, STMT_KEEP) : rc;
}

/* --- a batch -------------------------------------------------------------------------------------- */

struct attempt {
    bool is_isolating; /* a row failed: savepoints around each */
    bool is_repeated;  /* a COMMIT failed: it may have succeeded all the same */
};

static int write_batch(struct writer *w, struct batch *batch, struct attempt *a)
{
    int rc = step(w, STMT_BEGIN);

    batch->n_woken = 0;
    if (rc != SQLITE_OK)
        return rc;
    LIST_EACH (it, &batch->rows) {
        struct row *row = CONTAINER_OF(it, struct row, link);

        rc = a->is_isolating ? write_row_alone(w, row, batch, a->is_repeated)
                             : write_row(w, row, batch, a->is_repeated);
        if (rc != SQLITE_OK)
            return rc;
    }
    CRASH_POINT(batch_written);
    rc = step(w, STMT_COMMIT);
    a->is_repeated |= rc != SQLITE_OK;
    return rc;
}

static void roll_back(struct writer *w)
{
    /* Some failures have rolled back already. */
    if (!sqlite3_get_autocommit(w->db) && step(w, STMT_ROLLBACK) != SQLITE_OK)
        log_event(LOG_WARN, "a transaction of the embedded database could not be rolled back",
                  LOG_Z("why", sqlite3_errmsg(w->db)));
}

static void note_down(struct writer *w, const char *doing, int rc)
{
    char why[256];

    snprintf(why, sizeof why, "%s: %s: %s (%s)", w->s->path, doing, sqlite3_errstr(rc),
             sqlite3_errmsg(w->db));
    w->is_down = true;
    tell_state(w, STORE_DOWN, why);
}

static void note_up(struct writer *w)
{
    if (w->is_down)
        tell_state(w, STORE_UP, "");
    w->is_down = false;
}

/* If the log outgrew its bound, moves what is left of it into the database, so that it begins anew. A
 * checkpoint of the reader must end first (SQLite refuses a second one at once); far beyond the bound it is
 * waited for. While somebody else reads an old state the log cannot begin anew; then it may grow by as much
 * again before we try once more. */
static void shrink_log(struct writer *w)
{
    struct sqlite *s = w->s;

    if (w->log_pages < w->shrink_at)
        return;
    while (atomic_load(&s->checkpoint_is_asked))
        if (w->log_pages < 2 * w->shrink_at || mailbox_pause(&s->to_writer, CHECKPOINT_POLL_MS))
            return;
    w->shrink_at = w->log_pages + SQLITE_WAL_MAX_PAGES;
    if (sqlite3_wal_checkpoint_v2(w->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL) ==
        SQLITE_OK)
        w->shrink_at = SQLITE_WAL_MAX_PAGES;
}

static void commit(struct writer *w, struct batch *batch)
{
    struct attempt attempt = {0};
    uint64_t pause_ms = FIRST_RETRY_MS;
    int rc;

    shrink_log(w);
    while ((rc = write_batch(w, batch, &attempt)) != SQLITE_OK) {
        if (is_about_the_row(rc) && !attempt.is_isolating) {
            roll_back(w);
            attempt.is_isolating = true;
            continue;
        }
        note_down(w, "writing", rc);
        roll_back(w);
        if (mailbox_pause(&w->s->to_writer, pause_ms)) {
            tell_batch(w, LETTER_ABANDONED, batch);
            return;
        }
        pause_ms = pause_ms * 2 < MAX_RETRY_MS ? pause_ms * 2 : MAX_RETRY_MS;
    }
    note_up(w);
    tell_batch(w, LETTER_BATCH, batch);
}

/* --- agents --------------------------------------------------------------------------------------- */

/* A later list of a source replaces an earlier one that could not be written. */
static void keep_put(struct writer *w, struct agents_put *put)
{
    LIST_EACH_SAFE (it, &w->puts) {
        struct agents_put *old = CONTAINER_OF(it, struct agents_put, link);

        if (str_is(old->source, put->source)) {
            list_remove(it);
            agents_put_free(old);
        }
    }
    list_append(&w->puts, &put->link);
}

static int write_put(struct writer *w, const struct agents_put *put)
{
    sqlite3_stmt *stmt;
    int rc = step(w, STMT_BEGIN);

    if (rc != SQLITE_OK)
        return rc;
    sqlite_bind_str(rewound(w, STMT_AGENTS_DELETE), 1, put->source);
    rc = step(w, STMT_AGENTS_DELETE);
    for (size_t i = 0; i < put->n && rc == SQLITE_OK; i++) {
        stmt = rewound(w, STMT_AGENTS_INSERT);
        sqlite_bind_str(stmt, 1, put->agents[i].id);
        sqlite_bind_str(stmt, 2, put->agents[i].url);
        sqlite_bind_str(stmt, 3, put->agents[i].version);
        sqlite_bind_str(stmt, 4, put->source);
        sqlite3_bind_int64(stmt, 5, clock_wall_us());
        rc = step(w, STMT_AGENTS_INSERT);
    }
    return rc == SQLITE_OK ? step(w, STMT_COMMIT) : rc;
}

static void write_puts(struct writer *w)
{
    LIST_EACH_SAFE (it, &w->puts) {
        struct agents_put *put = CONTAINER_OF(it, struct agents_put, link);
        int rc = write_put(w, put);

        if (rc != SQLITE_OK) {
            log_event(LOG_WARN, "agents could not be stored, trying again",
                      LOG_STR("source", put->source), LOG_Z("why", sqlite3_errmsg(w->db)));
            roll_back(w);
            return;
        }
        list_remove(it);
        agents_put_free(put);
    }
}

static void free_puts(struct writer *w)
{
    struct list *first;

    while ((first = list_first(&w->puts))) {
        list_remove(first);
        agents_put_free(CONTAINER_OF(first, struct agents_put, link));
    }
}

/* --- errands -------------------------------------------------------------------------------------- */

/* Makes the task at which `walk` stands ours. */
static int take_task(struct writer *w, sqlite3_stmt *walk, const struct uuid *key,
                     struct errand *e)
{
    sqlite3_stmt *stmt = rewound(w, STMT_TAKE);

    if (!errand_add(e, sqlite_column_str(walk, 3), sqlite_column_str(walk, 4),
                    (enum a2a_state)sqlite3_column_int(walk, 2)))
        return SQLITE_OK;
    sqlite_bind_uuid(stmt, 1, key);
    sqlite_bind_uuid(stmt, 2, &e->owner);
    return step(w, STMT_TAKE);
}

/* Goes on along the keys for some rows, or until `limit` tasks were taken. There is no index of unfinished tasks (see
 * 0002); as nobody else writes here, a key that was passed once need not be looked at again in this life. */
static int walk_on(struct writer *w, struct errand *e, struct uuid *at, bool *is_end)
{
    sqlite3_stmt *walk = rewound(w, STMT_WALK);
    int rc = SQLITE_ROW, failed = SQLITE_OK;

    *at = w->walked;
    sqlite_bind_uuid(walk, 1, at);
    for (unsigned n = 0; n < WALK_ROWS && e->n < e->limit && !failed; n++) {
        struct uuid owner;
        enum a2a_state state;

        rc = sqlite3_step(walk);
        if (rc != SQLITE_ROW)
            break;
        *at = sqlite_column_uuid(walk, 0);
        owner = sqlite_column_uuid(walk, 1);
        state = (enum a2a_state)sqlite3_column_int(walk, 2);
        if (!a2a_state_is_terminal(state) && id_uuid_compare(&owner, &e->owner) != 0)
            failed = take_task(w, walk, at, e);
    }
    sqlite3_reset(walk);
    *is_end = rc == SQLITE_DONE;
    return failed ? failed : rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int save_spec(struct writer *w, const struct errand *e)
{
    sqlite3_stmt *stmt = rewound(w, STMT_SPEC_SAVE);

    sqlite_bind_str(stmt, 1, e->id);
    sqlite_bind_str(stmt, 2, e->url);
    sqlite_bind_str(stmt, 3, e->version);
    sqlite_bind_str(stmt, 4, e->spec);
    sqlite3_bind_int64(stmt, 5, clock_wall_us());
    return step(w, STMT_SPEC_SAVE);
}

static int delete_spec(struct writer *w, struct errand *e)
{
    int rc;

    sqlite_bind_str(rewound(w, STMT_SPEC_DELETE), 1, e->id);
    rc = step(w, STMT_SPEC_DELETE);
    if (rc == SQLITE_OK && sqlite3_changes(w->db) == 0)
        e->err = ERR_ABSENT;
    return rc;
}

/* Tells the loop all agents of the API. What cannot be read now is told after the next change, or start. */
static void tell_specs(struct writer *w)
{
    sqlite3_stmt *stmt = rewound(w, STMT_SPECS);
    struct specs *specs = specs_new();
    struct letter *letter;
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
        specs_add(specs, sqlite_column_str(stmt, 0), sqlite_column_str(stmt, 1));
    sqlite3_reset(stmt);
    if (rc != SQLITE_DONE) {
        log_event(LOG_ERROR, "the agents of the API cannot be read",
                  LOG_Z("why", sqlite3_errmsg(w->db)));
        specs_free(specs);
        return;
    }
    letter = letter_new(LETTER_SPECS);
    letter->specs = specs;
    sqlite_tell(w->s, letter);
}

static int run_errand(struct writer *w, struct errand *e, struct uuid *at, bool *is_end)
{
    int rc = step(w, STMT_BEGIN);

    if (rc != SQLITE_OK)
        return rc;
    switch (e->kind) {
    case ERRAND_TAKE:
        rc = walk_on(w, e, at, is_end);
        break;
    case ERRAND_SAVE:
        rc = save_spec(w, e);
        break;
    case ERRAND_DELETE:
        rc = delete_spec(w, e);
        break;
    }
    return rc == SQLITE_OK ? step(w, STMT_COMMIT) : rc;
}

/* Tried once: who asked is there to ask again. A walk that has not come to its end goes behind the letters that
 * came meanwhile, so that no batch waits for a walk along a million tasks; nor does closing. Takes the letter. */
static void do_errand(struct writer *w, struct letter *letter)
{
    struct errand *e = letter->errand;
    size_t n_before = e->n;
    struct uuid at = w->walked;
    bool is_end = true, is_change;
    int rc = run_errand(w, e, &at, &is_end);

    if (rc == SQLITE_OK) {
        w->walked = at;
    } else {
        e->n = n_before; /* what earlier steps have taken stays taken */
        if (e->n == 0)
            e->err = ERR_STORE;
        snprintf(e->why, sizeof e->why, "%s: %s", w->s->path, sqlite3_errmsg(w->db));
        roll_back(w);
    }
    if (rc == SQLITE_OK && !is_end && e->n < e->limit && !mailbox_pause(&w->s->to_writer, 0)) {
        mailbox_post(&w->s->to_writer, letter);
        return;
    }
    is_change = rc == SQLITE_OK && e->kind != ERRAND_TAKE;
    sqlite_tell(w->s, letter); /* from here on both are the loop's */
    if (is_change)
        tell_specs(w);
}

/* --- webhooks ------------------------------------------------------------------------------------- */

/* Tried once. Takes the letter. */
static void do_push(struct writer *w, struct letter *letter)
{
    struct push_job *job = letter->push;
    int rc = step(w, STMT_BEGIN);

    if (rc == SQLITE_OK)
        rc = sqlite_push_run(&w->push, job);
    if (rc == SQLITE_OK && job->err == ERR_NOMEM)
        roll_back(w);
    else if (rc == SQLITE_OK)
        rc = step(w, STMT_COMMIT);
    if (rc != SQLITE_OK) {
        job->err = ERR_STORE;
        snprintf(job->why, sizeof job->why, "%s: %s", w->s->path, sqlite3_errmsg(w->db));
        roll_back(w);
    }
    sqlite_tell(w->s, letter);
}

/* --- the thread ----------------------------------------------------------------------------------- */

static void serve(struct writer *w, bool is_open)
{
    struct sqlite *s = w->s;

    for (;;) {
        bool has_puts = is_open && !list_is_empty(&w->puts);
        struct letter *letter = mailbox_take(&s->to_writer, has_puts ? AGENTS_RETRY_MS : 0);

        if (!letter && !has_puts)
            return; /* closed and read to its end */
        if (letter && letter->kind == LETTER_BATCH) {
            BUG_ON(!is_open); /* the core sends none before we are up */
            commit(w, letter->batch);
        } else if (letter && letter->kind == LETTER_AGENTS) {
            keep_put(w, letter->put);
        } else if (letter && letter->kind == LETTER_ERRAND) {
            BUG_ON(!is_open);
            do_errand(w, letter);
            continue;
        } else if (letter && letter->kind == LETTER_PUSH) {
            BUG_ON(!is_open);
            do_push(w, letter);
            continue;
        }
        if (is_open)
            write_puts(w);
        if (!letter && mailbox_pause(&s->to_writer, 0))
            /* closing, with agents that could not be written: they come again at the next start */
            return;
        mem_free(letter);
    }
}

void sqlite_write_run(void *arg)
{
    struct sqlite *s = arg;
    struct writer w = {.s = s,
                       .lock = -1,
                       .checkpoint_at = SQLITE_CHECKPOINT_PAGES,
                       .shrink_at = SQLITE_WAL_MAX_PAGES};
    struct letter *last = letter_new(LETTER_ENDED);

    pthread_setname_np(pthread_self(), "sqlite-writer");
    list_init(&w.puts);
    serve(&w, open_patiently(&w));
    free_puts(&w);
    close_database(&w);
    if (w.lock >= 0)
        close(w.lock);
    last->thread = &s->writer;
    sqlite_tell(s, last);
}
