/* SPDX-License-Identifier: MIT
 *
 * Webhooks in the embedded store. Everything here runs on the writer's thread, inside a transaction that the writer has
 * begun: one writer means that a registration, a commit and an acknowledgement never meet.
 *
 * Whoever held a cursor in a former life of the gateway is dead: only our own boot id counts.
 */
#include "store/sqlite.h"

/* clang-format off */
#define ROW                                                                                           \
    "c.key, c.id, coalesce(t.agent, m.agent), t.task_id, t.context, coalesce(p.dialect, m.form), "    \
    "coalesce(p.doc, m.doc), coalesce(p.secret, m.secret), c.head_seq, c.delivered_seq, "             \
    "c.failed_seq, c.attempts, c.due_at, c.disabled, m.payload, m.dialect, c.created_at "             \
    "FROM push_cursors c LEFT JOIN push_configs p ON p.key = c.key AND p.id = c.id "                  \
    "LEFT JOIN tasks t ON t.key = c.key LEFT JOIN push_notes m ON m.key = c.key "
#define FAILED "AND (NOT ?4 OR c.disabled IS NOT NULL OR c.failed_seq IS NOT NULL) "
#define AFTER "AND (?5 IS NULL OR (c.key, c.id) < (?5, ?6)) ORDER BY c.key DESC, c.id DESC LIMIT ?7"
/* From where a retry goes on. */
#define BEGINNING "min(delivered_seq, coalesce(failed_seq - 1, delivered_seq))"

#define STATEMENTS(X)                                                                                 \
    X(TASK, "SELECT key, seq, state IN (3, 4, 5, 7) FROM tasks WHERE agent = ?1 AND task_id = ?2")    \
    X(COUNT, "SELECT count(*) FROM push_configs WHERE key = ?1 AND id <> ?2")                         \
    X(CONFIG, "INSERT INTO push_configs (key, id, dialect, enabled, doc, secret, created_at) "        \
              "VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6) ON CONFLICT (key, id) DO UPDATE SET "               \
              "dialect = excluded.dialect, enabled = 1, doc = excluded.doc, "                         \
              "secret = excluded.secret")                                                             \
    X(CURSOR, "INSERT INTO push_cursors (key, id, head_seq, delivered_seq, is_over, due_at, "         \
              "created_at) VALUES (?1, ?2, ?3, ?4, ?5, CASE WHEN ?3 > ?4 THEN ?6 END, ?6) "           \
              "ON CONFLICT (key, id) DO UPDATE SET head_seq = excluded.head_seq, attempts = 0, "      \
              "owner = NULL, disabled = NULL, "                                                       \
              "due_at = CASE WHEN excluded.head_seq > delivered_seq THEN ?6 END")                     \
    X(WAKE, "UPDATE push_cursors SET head_seq = ?2, is_over = ?3, "                                   \
            "due_at = CASE WHEN disabled IS NULL THEN coalesce(due_at, ?4) END "                      \
            "WHERE key = ?1 AND head_seq < ?2")                                                       \
    X(DROP_CONFIG, "DELETE FROM push_configs WHERE key = ?1 AND id = ?2")                             \
    X(DROP_CURSOR, "DELETE FROM push_cursors WHERE key = ?1 AND id = ?2")                             \
    X(NOTE, "INSERT INTO push_notes (key, agent, form, doc, secret, dialect, payload, created_at) "   \
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                                \
    X(LIST_TASK, "SELECT " ROW "WHERE t.agent = ?1 AND t.task_id = ?2 AND c.key = t.key "             \
                 "AND (?3 IS NULL OR c.id = ?3) " FAILED AFTER)                                       \
    X(LIST_ALL, "SELECT " ROW "WHERE (?1 IS NULL OR coalesce(t.agent, m.agent) = ?1) "                \
                "AND (?3 IS NULL OR c.id = ?3) " FAILED AFTER)                                        \
    X(RETRY, "UPDATE push_cursors SET disabled = NULL, attempts = 0, owner = NULL, "                  \
             "delivered_seq = " BEGINNING ", failed_seq = NULL, "                                     \
             "due_at = CASE WHEN head_seq > " BEGINNING " THEN ?3 END WHERE key = ?1 AND id = ?2")    \
    X(ENABLE, "UPDATE push_configs SET enabled = ?3 WHERE key = ?1 AND id = ?2")                      \
    X(CLAIM, "UPDATE push_cursors SET owner = ?1 WHERE (key, id) IN (SELECT key, id "                 \
             "FROM push_cursors WHERE due_at <= ?2 AND owner IS NOT ?1 ORDER BY due_at LIMIT ?3) "    \
             "RETURNING key, id")                                                                     \
    X(CLAIMED, "SELECT " ROW "WHERE c.key = ?1 AND c.id = ?2")                                        \
    X(NEXT, "SELECT min(due_at) FROM push_cursors WHERE due_at IS NOT NULL AND owner IS NOT ?1")      \
    X(SETTLE, "UPDATE push_cursors SET delivered_seq = ?4, attempts = ?5, "                           \
              "failed_seq = coalesce(failed_seq, ?6), disabled = ?8, "                                \
              "due_at = CASE WHEN ?8 IS NOT NULL THEN NULL WHEN ?7 > 0 THEN ?7 "                      \
              "WHEN head_seq > ?4 THEN ?9 END, "                                                      \
              "owner = CASE WHEN ?10 AND head_seq > ?4 THEN owner END "                               \
              "WHERE key = ?1 AND id = ?2 AND owner = ?3 RETURNING head_seq")                         \
    X(ATTEMPT, "INSERT INTO push_attempts (key, id, seq, attempt, at, status, ms, error, answer) "    \
               "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                                         \
    X(SWEEP, "UPDATE push_cursors SET head_seq = t.seq, is_over = t.state IN (3, 4, 5, 7), "          \
             "due_at = CASE WHEN disabled IS NULL THEN coalesce(due_at, ?1) END FROM tasks t "        \
             "WHERE t.key = push_cursors.key AND push_cursors.is_over = 0 "                           \
             "AND t.seq > push_cursors.head_seq")                                                     \
    X(PRUNE_ATTEMPTS, "DELETE FROM push_attempts WHERE n IN "                                         \
                      "(SELECT n FROM push_attempts ORDER BY n LIMIT 10000) AND at < ?1")             \
    X(PRUNE_CURSORS, "DELETE FROM push_cursors WHERE key IN (SELECT key FROM push_notes "             \
                     "WHERE created_at < ?1 LIMIT 1000) AND due_at IS NULL")                          \
    X(PRUNE_NOTES, "DELETE FROM push_notes WHERE key IN (SELECT key FROM push_notes "                 \
                   "WHERE created_at < ?1 LIMIT 1000) "                                               \
                   "AND NOT EXISTS (SELECT 1 FROM push_cursors c WHERE c.key = push_notes.key)")      \
    X(ATTEMPTS, "SELECT seq, attempt, at, status, ms, error, answer FROM push_attempts "              \
                "WHERE key = ?1 AND id = ?2 ORDER BY n DESC LIMIT ?3")

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

_Static_assert(STMT_MAX <= SQLITE_PUSH_STATEMENTS, "struct sqlite_push has room for them");

int sqlite_push_prepare(struct sqlite_push *p, sqlite3 *db)
{
    p->db = db;
    for (int i = 0; i < STMT_MAX; i++) {
        int rc = sqlite3_prepare_v3(db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &p->stmts[i], NULL);

        if (rc != SQLITE_OK)
            return rc;
    }
    return SQLITE_OK;
}

void sqlite_push_release(struct sqlite_push *p)
{
    for (int i = 0; i < STMT_MAX; i++) {
        sqlite3_finalize(p->stmts[i]);
        p->stmts[i] = NULL;
    }
}

/* --- statements ----------------------------------------------------------------------------------- */

/* Rewound, its parameters NULL. */
static sqlite3_stmt *fresh(struct sqlite_push *p, enum statement which)
{
    sqlite3_reset(p->stmts[which]);
    sqlite3_clear_bindings(p->stmts[which]);
    return p->stmts[which];
}

static int step(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void bind_name(sqlite3_stmt *stmt, const struct uuid *key, struct str id)
{
    sqlite_bind_uuid(stmt, 1, key);
    sqlite_bind_str(stmt, 2, id);
}

static void bind_seq(sqlite3_stmt *stmt, int at, uint64_t seq)
{
    if (seq)
        sqlite_bind_u64(stmt, at, seq);
}

/* --- commits -------------------------------------------------------------------------------------- */

static int put_cursor(struct sqlite_push *p, const struct uuid *key, struct str id,
                      uint64_t head, uint64_t delivered, bool is_over, int64_t now_us)
{
    sqlite3_stmt *stmt = fresh(p, STMT_CURSOR);

    bind_name(stmt, key, id);
    sqlite_bind_u64(stmt, 3, head);
    sqlite_bind_u64(stmt, 4, delivered);
    sqlite3_bind_int(stmt, 5, is_over);
    sqlite3_bind_int64(stmt, 6, now_us);
    return step(stmt);
}

static int put_config(struct sqlite_push *p, const struct uuid *key,
                      const struct store_push_config *config, int64_t now_us)
{
    sqlite3_stmt *stmt = fresh(p, STMT_CONFIG);

    bind_name(stmt, key, config->id);
    sqlite3_bind_int(stmt, 3, (int)config->form);
    sqlite_bind_str(stmt, 4, config->doc);
    sqlite_bind_str(stmt, 5, config->secret);
    sqlite3_bind_int64(stmt, 6, now_us);
    return step(stmt);
}

int sqlite_push_commit(struct sqlite_push *p, const struct row *row, int64_t at_us,
                       unsigned *n_woken)
{
    const struct task *t = row->after;
    bool is_over = a2a_state_is_terminal(t->state);
    sqlite3_stmt *stmt = fresh(p, STMT_WAKE);
    int rc;

    sqlite_bind_uuid(stmt, 1, &t->key);
    sqlite_bind_u64(stmt, 2, t->seq);
    sqlite3_bind_int(stmt, 3, is_over);
    sqlite3_bind_int64(stmt, 4, at_us);
    rc = step(stmt);
    if (rc == SQLITE_OK)
        *n_woken += (unsigned)sqlite3_changes(p->db);
    for (size_t i = 0; i < row->n_pushes && rc == SQLITE_OK; i++) {
        rc = put_config(p, &t->key, &row->pushes[i], at_us);
        if (rc == SQLITE_OK)
            rc = put_cursor(p, &t->key, row->pushes[i].id, t->seq, row->seq_before, is_over,
                            at_us);
        ++*n_woken;
    }
    return rc;
}

/* --- registering ---------------------------------------------------------------------------------- */

/* The task of the job's name; ERR_ABSENT in the job if there is none. */
static int find_task(struct sqlite_push *p, struct push_job *job, struct str agent,
                     struct str task_id, uint64_t *seq, bool *is_over)
{
    sqlite3_stmt *stmt = fresh(p, STMT_TASK);
    int rc;

    sqlite_bind_str(stmt, 1, agent);
    sqlite_bind_str(stmt, 2, task_id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        job->key = sqlite_column_uuid(stmt, 0);
        *seq = (uint64_t)sqlite3_column_int64(stmt, 1);
        *is_over = sqlite3_column_int(stmt, 2);
    } else {
        job->err = ERR_ABSENT;
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int put(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt;
    uint64_t seq = 0;
    bool is_over = false;
    int rc = find_task(p, job, job->agent, job->task_id, &seq, &is_over);

    if (rc != SQLITE_OK || job->err)
        return rc;
    stmt = fresh(p, STMT_COUNT);
    bind_name(stmt, &job->key, job->id);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && sqlite3_column_int64(stmt, 0) >= (int64_t)PUSH_PER_TASK)
        job->err = ERR_FULL;
    sqlite3_reset(stmt);
    if (rc != SQLITE_ROW || job->err)
        return rc == SQLITE_ROW ? SQLITE_OK : rc;
    rc = put_config(p, &job->key, &job->config, job->now_us);
    return rc == SQLITE_OK ? put_cursor(p, &job->key, job->id, seq, seq, is_over, job->now_us)
                           : rc;
}

static int drop(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt;
    uint64_t seq = 0;
    bool is_over;
    int rc = find_task(p, job, job->agent, job->task_id, &seq, &is_over);

    if (rc != SQLITE_OK || job->err)
        return rc;
    stmt = fresh(p, STMT_DROP_CONFIG);
    bind_name(stmt, &job->key, job->id);
    rc = step(stmt);
    stmt = fresh(p, STMT_DROP_CURSOR);
    bind_name(stmt, &job->key, job->id);
    return rc == SQLITE_OK ? step(stmt) : rc;
}

static int note(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt = fresh(p, STMT_NOTE);
    int rc;

    bind_name(stmt, &job->key, job->agent);
    sqlite3_bind_int(stmt, 3, (int)job->config.form);
    sqlite_bind_str(stmt, 4, job->config.doc);
    sqlite_bind_str(stmt, 5, job->config.secret);
    sqlite3_bind_int(stmt, 6, (int)job->dialect);
    sqlite_bind_str(stmt, 7, job->payload);
    sqlite3_bind_int64(stmt, 8, job->now_us);
    rc = step(stmt);
    return rc == SQLITE_OK ? put_cursor(p, &job->key, job->id, 1, 0, true, job->now_us) : rc;
}

static int enable(struct sqlite_push *p, const struct uuid *key, struct str id, bool on)
{
    sqlite3_stmt *stmt = fresh(p, STMT_ENABLE);

    bind_name(stmt, key, id);
    sqlite3_bind_int(stmt, 3, on);
    return step(stmt);
}

static int retry(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt = fresh(p, STMT_RETRY);
    int rc;

    bind_name(stmt, &job->key, job->id);
    sqlite3_bind_int64(stmt, 3, job->now_us);
    rc = step(stmt);
    if (rc == SQLITE_OK && sqlite3_changes(p->db) == 0)
        job->err = ERR_ABSENT;
    return rc == SQLITE_OK ? enable(p, &job->key, job->id, true) : rc;
}

/* --- looking -------------------------------------------------------------------------------------- */

static uint64_t column_seq(sqlite3_stmt *stmt, int at)
{
    return (uint64_t)sqlite3_column_int64(stmt, at);
}

static void read_row(struct push_job *job, sqlite3_stmt *stmt, struct store_push *row)
{
    *row =
        (struct store_push){.key = sqlite_column_uuid(stmt, 0),
                            .config = {.id = push_keep(job, sqlite_column_str(stmt, 1)),
                                       .form = (enum push_form)sqlite3_column_int(stmt, 5),
                                       .doc = push_keep(job, sqlite_column_str(stmt, 6)),
                                       .secret = push_keep(job, sqlite_column_str(stmt, 7))},
                            .agent = push_keep(job, sqlite_column_str(stmt, 2)),
                            .task_id = push_keep(job, sqlite_column_str(stmt, 3)),
                            .context = push_keep(job, sqlite_column_str(stmt, 4)),
                            .head_seq = column_seq(stmt, 8),
                            .delivered_seq = column_seq(stmt, 9),
                            .failed_seq = column_seq(stmt, 10),
                            .attempts = (unsigned)sqlite3_column_int(stmt, 11),
                            .due_at_us = sqlite3_column_int64(stmt, 12),
                            .disabled = push_keep(job, sqlite_column_str(stmt, 13)),
                            .payload = push_keep(job, sqlite_column_str(stmt, 14)),
                            .payload_dialect = (enum a2a_version)sqlite3_column_int(stmt, 15),
                            .created_at_us = sqlite3_column_int64(stmt, 16)};
}

/* Every row the statement yields, as many as there is room for. */
static int read_rows(struct push_job *job, sqlite3_stmt *stmt)
{
    struct store_push *row;
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && (row = push_add_row(job)))
        read_row(job, stmt, row);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int list(struct sqlite_push *p, struct push_job *job)
{
    const struct store_push_query *q = &job->query;
    sqlite3_stmt *stmt = fresh(p, q->task_id.p ? STMT_LIST_TASK : STMT_LIST_ALL);
    uint64_t seq = 0;
    bool is_over;
    int rc = SQLITE_OK;

    if (q->task_id.p)
        rc = find_task(p, job, q->agent, q->task_id, &seq, &is_over);
    if (rc != SQLITE_OK || job->err)
        return rc;
    sqlite_bind_str(stmt, 1, q->agent);
    if (q->task_id.p)
        sqlite_bind_str(stmt, 2, q->task_id);
    sqlite_bind_str(stmt, 3, q->id);
    sqlite3_bind_int(stmt, 4, q->only_failed);
    if (q->has_after) {
        sqlite_bind_uuid(stmt, 5, &q->after_key);
        sqlite_bind_str(stmt, 6, q->after_id);
    }
    sqlite3_bind_int(stmt, 7, (int)job->limit);
    return read_rows(job, stmt);
}

static int attempts(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt = fresh(p, STMT_ATTEMPTS);
    struct store_push_attempt *row;
    int rc;

    bind_name(stmt, &job->key, job->id);
    sqlite3_bind_int(stmt, 3, (int)job->limit);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && (row = push_add_attempt(job)))
        *row =
            (struct store_push_attempt){.seq = column_seq(stmt, 0),
                                        .attempt = (unsigned)sqlite3_column_int(stmt, 1),
                                        .at_us = sqlite3_column_int64(stmt, 2),
                                        .status = sqlite3_column_int(stmt, 3),
                                        .ms = column_seq(stmt, 4),
                                        .error = push_keep(job, sqlite_column_str(stmt, 5)),
                                        .answer = push_keep(job, sqlite_column_str(stmt, 6))};
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* --- delivering ----------------------------------------------------------------------------------- */

/* RETURNING knows only the table that is written, so what was claimed is read in a second step. */
static int claim(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt = fresh(p, STMT_CLAIM);
    struct store_push *row;
    int rc;

    sqlite_bind_uuid(stmt, 1, &job->owner);
    sqlite3_bind_int64(stmt, 2, job->now_us);
    sqlite3_bind_int(stmt, 3, (int)job->limit);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && (row = push_add_row(job))) {
        row->key = sqlite_column_uuid(stmt, 0);
        row->config.id = push_keep(job, sqlite_column_str(stmt, 1));
    }
    sqlite3_reset(stmt);
    for (size_t i = 0; i < job->n && rc == SQLITE_DONE && !job->err; i++) {
        row = &job->rows[i];
        stmt = fresh(p, STMT_CLAIMED);
        bind_name(stmt, &row->key, row->config.id);
        if (sqlite3_step(stmt) == SQLITE_ROW)
            read_row(job, stmt, row);
        else
            rc = sqlite3_errcode(p->db);
        sqlite3_reset(stmt);
    }
    if (rc != SQLITE_DONE)
        return rc;
    stmt = fresh(p, STMT_NEXT);
    sqlite_bind_uuid(stmt, 1, &job->owner);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        job->next_due_us = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int add_attempt(struct sqlite_push *p, const struct store_push_result *r)
{
    const struct store_push_attempt *a = &r->attempt;
    sqlite3_stmt *stmt = fresh(p, STMT_ATTEMPT);

    bind_name(stmt, &r->key, r->id);
    sqlite_bind_u64(stmt, 3, a->seq);
    sqlite3_bind_int(stmt, 4, (int)a->attempt);
    sqlite3_bind_int64(stmt, 5, a->at_us);
    if (a->status)
        sqlite3_bind_int(stmt, 6, a->status);
    sqlite_bind_u64(stmt, 7, a->ms);
    sqlite_bind_str(stmt, 8, a->error);
    sqlite_bind_str(stmt, 9, a->answer);
    return step(stmt);
}

static int move_cursor(struct sqlite_push *p, struct push_job *job, size_t i)
{
    const struct store_push_result *r = &job->results[i];
    sqlite3_stmt *stmt = fresh(p, STMT_SETTLE);
    int rc;

    bind_name(stmt, &r->key, r->id);
    sqlite_bind_uuid(stmt, 3, &job->owner);
    sqlite_bind_u64(stmt, 4, r->delivered_seq);
    sqlite3_bind_int(stmt, 5, (int)r->attempts);
    bind_seq(stmt, 6, r->failed_seq);
    sqlite3_bind_int64(stmt, 7, r->due_at_us);
    sqlite_bind_str(stmt, 8, r->disabled);
    sqlite3_bind_int64(stmt, 9, job->now_us);
    sqlite3_bind_int(stmt, 10, r->keep);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        job->heads[i] = column_seq(stmt, 0);
        rc = sqlite3_step(stmt);
    }
    sqlite3_reset(stmt);
    rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    if (rc == SQLITE_OK && r->disabled.p && job->heads[i])
        rc = enable(p, &r->key, r->id, false);
    return rc;
}

static int settle_one(struct sqlite_push *p, struct push_job *job, size_t i)
{
    const struct store_push_result *r = &job->results[i];
    int rc = r->is_record ? SQLITE_OK : move_cursor(p, job, i);

    return rc == SQLITE_OK && r->has_attempt ? add_attempt(p, r) : rc;
}

static int settle(struct sqlite_push *p, struct push_job *job)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; i < job->n_results && rc == SQLITE_OK; i++)
        rc = settle_one(p, job, i);
    return rc;
}

static int sweep(struct sqlite_push *p, struct push_job *job)
{
    sqlite3_stmt *stmt = fresh(p, STMT_SWEEP);

    sqlite3_bind_int64(stmt, 1, job->now_us);
    return step(stmt);
}

static int prune(struct sqlite_push *p, struct push_job *job)
{
    static const enum statement which[] = {STMT_PRUNE_ATTEMPTS, STMT_PRUNE_CURSORS,
                                           STMT_PRUNE_NOTES};
    int rc = SQLITE_OK;

    for (size_t i = 0; i < sizeof which / sizeof *which && rc == SQLITE_OK; i++) {
        sqlite3_stmt *stmt = fresh(p, which[i]);

        sqlite3_bind_int64(stmt, 1, job->now_us);
        rc = step(stmt);
    }
    return rc;
}

int sqlite_push_run(struct sqlite_push *p, struct push_job *job)
{
    static int (*const what[])(struct sqlite_push * p, struct push_job * job) = {
        [PUSH_PUT] = put,          [PUSH_DELETE] = drop, [PUSH_NOTE] = note,
        [PUSH_LIST] = list,        [PUSH_RETRY] = retry, [PUSH_CLAIM] = claim,
        [PUSH_SETTLE] = settle,    [PUSH_SWEEP] = sweep, [PUSH_PRUNE] = prune,
        [PUSH_ATTEMPTS] = attempts};

    return what[job->kind](p, job);
}
