/* SPDX-License-Identifier: MIT
 *
 * Webhooks in PostgreSQL: what a batch does for them (two statements of its unit, sent by the lane), and the jobs, which
 * go over the control connection, some of them at a time, each a transaction of its own.
 *
 * Who locks what, always in this order: the task's row, then cursors by (key, id). A registration shares the lock of
 * the task's row with others like it and with nobody who writes it: either the commit comes first, and its seq is the
 * registration's, or the registration comes first, and the commit's wake-up, a statement of its own with a snapshot of
 * its own, finds the cursor.
 *
 * A claim passes over cursors that another session has locked; their time comes again.
 */
#include "lib/limits.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define JOBS_AT_ONCE 8u

/* clang-format off */
const char pg_push_wake_sql[] =
    "WITH l AS MATERIALIZED (SELECT c.key, c.id FROM push_cursors AS c WHERE c.key = ANY ($1::uuid[]) "
    "ORDER BY c.key, c.id FOR UPDATE) "
    "UPDATE push_cursors AS c SET head_seq = t.seq, is_over = t.state IN (3, 4, 5, 7), "
    "due_at = CASE WHEN c.disabled IS NULL THEN coalesce(c.due_at, $2::timestamptz) END "
    "FROM l JOIN tasks AS t ON t.key = l.key WHERE c.key = l.key AND c.id = l.id AND c.head_seq < t.seq";

/* Only where the row went in: then it has the seq we gave it, and us as its owner. */
const char pg_push_insert_sql[] =
    "WITH i AS MATERIALIZED (SELECT i.*, t.state IN (3, 4, 5, 7) AS is_over FROM unnest($1::uuid[], "
    "$2::int8[], $3::int8[], $4::text[], $5::int2[], $6::text[], $7::text[]) "
    "AS i(key, seq, before, id, form, doc, secret) "
    "JOIN tasks AS t ON t.key = i.key AND t.seq = i.seq AND t.owner = $8::uuid), "
    "p AS (INSERT INTO push_configs (key, id, dialect, doc, secret) SELECT i.key, i.id, i.form, i.doc, i.secret "
    "FROM i ON CONFLICT (key, id) DO UPDATE SET dialect = EXCLUDED.dialect, enabled = true, "
    "doc = EXCLUDED.doc, secret = EXCLUDED.secret) "
    "INSERT INTO push_cursors AS c (key, id, head_seq, delivered_seq, is_over, due_at) "
    "SELECT i.key, i.id, i.seq, i.before, i.is_over, $9::timestamptz FROM i ORDER BY i.key, i.id "
    "ON CONFLICT (key, id) DO UPDATE SET head_seq = EXCLUDED.head_seq, attempts = 0, owner = NULL, "
    "disabled = NULL, due_at = EXCLUDED.due_at";

#define TASK "SELECT t.key, t.seq, t.state FROM tasks AS t WHERE t.agent = $1::text AND t.task_id = $2::text"

static const char put_sql[] =
    "WITH t AS MATERIALIZED (" TASK " FOR SHARE), "
    "n AS (SELECT count(*) AS n FROM push_configs AS p JOIN t ON t.key = p.key WHERE p.id <> $3::text), "
    "p AS (INSERT INTO push_configs (key, id, dialect, doc, secret) SELECT t.key, $3::text, $4::int4, $5::text, "
    "$6::text FROM t, n WHERE n.n < $8::int8 ON CONFLICT (key, id) DO UPDATE SET dialect = EXCLUDED.dialect, "
    "enabled = true, doc = EXCLUDED.doc, secret = EXCLUDED.secret RETURNING key), "
    "c AS (INSERT INTO push_cursors AS c (key, id, head_seq, delivered_seq, is_over) SELECT t.key, $3::text, t.seq, "
    "t.seq, t.state IN (3, 4, 5, 7) FROM t, n WHERE n.n < $8::int8 ON CONFLICT (key, id) DO UPDATE SET "
    "head_seq = EXCLUDED.head_seq, attempts = 0, owner = NULL, disabled = NULL, "
    "due_at = CASE WHEN EXCLUDED.head_seq > c.delivered_seq THEN $7::timestamptz END) "
    "SELECT t.key, (SELECT count(*) FROM p) FROM t";

static const char delete_sql[] =
    "WITH t AS MATERIALIZED (" TASK "), "
    "p AS (DELETE FROM push_configs AS p USING t WHERE p.key = t.key AND p.id = $3::text), "
    "c AS (DELETE FROM push_cursors AS c USING t WHERE c.key = t.key AND c.id = $3::text) SELECT t.key FROM t";

static const char note_sql[] =
    "WITH m AS (INSERT INTO push_notes (key, agent, form, doc, secret, dialect, payload) VALUES ($1::uuid, "
    "$2::text, $3::int4, $4::text, $5::text, $6::int4, $7::text)) "
    "INSERT INTO push_cursors (key, id, head_seq, delivered_seq, is_over, due_at) "
    "VALUES ($1::uuid, $8::text, 1, 0, true, $9::timestamptz)";

#define COLUMNS                                                                                         \
    "c.key, c.id, coalesce(t.agent, m.agent), t.task_id, t.context, coalesce(p.dialect, m.form), "      \
    "coalesce(p.doc, m.doc), coalesce(p.secret, m.secret), c.head_seq, c.delivered_seq, c.failed_seq, " \
    "c.attempts, c.due_at, c.disabled, m.payload, m.dialect, c.created_at"
#define WITH_REST                                                                                       \
    "LEFT JOIN push_configs AS p ON p.key = c.key AND p.id = c.id LEFT JOIN tasks AS t ON t.key = c.key " \
    "LEFT JOIN push_notes AS m ON m.key = c.key "
#define LISTED                                                                                          \
    "AND ($3::text IS NULL OR c.id = $3::text) "                                                        \
    "AND ($4::int4 = 0 OR c.disabled IS NOT NULL OR c.failed_seq IS NOT NULL) "                         \
    "AND ($5::uuid IS NULL OR (c.key, c.id) < ($5::uuid, $6::text)) ORDER BY c.key DESC, c.id DESC LIMIT $7::int8"

static const char task_sql[] = TASK;
static const char list_task_sql[] =
    "SELECT " COLUMNS " FROM push_cursors AS c " WITH_REST "WHERE c.key = (SELECT x.key FROM tasks AS x "
    "WHERE x.agent = $1::text AND x.task_id = $2::text) " LISTED;
static const char list_all_sql[] =
    "SELECT " COLUMNS " FROM push_cursors AS c " WITH_REST
    "WHERE ($1::text IS NULL OR coalesce(t.agent, m.agent) = $1::text) AND $2::text IS NULL " LISTED;

#define BEGINNING "least(c.delivered_seq, c.failed_seq - 1)"
static const char retry_sql[] =
    "WITH p AS (UPDATE push_configs SET enabled = true WHERE key = $1::uuid AND id = $2::text) "
    "UPDATE push_cursors AS c SET disabled = NULL, attempts = 0, owner = NULL, delivered_seq = " BEGINNING ", "
    "failed_seq = NULL, due_at = CASE WHEN c.head_seq > " BEGINNING " THEN $3::timestamptz END "
    "WHERE c.key = $1::uuid AND c.id = $2::text RETURNING c.key";

#define IS_FREE                                                                                         \
    "(c.owner IS NULL OR NOT EXISTS (SELECT FROM nodes AS n WHERE n.boot = c.owner AND n.lease_until > now()))"
static const char claim_sql[] =
    "WITH d AS MATERIALIZED (SELECT c.key, c.id FROM push_cursors AS c WHERE c.due_at <= $2::timestamptz AND "
    IS_FREE " ORDER BY c.due_at LIMIT $3::int8 FOR UPDATE SKIP LOCKED), "
    "c AS (UPDATE push_cursors AS c SET owner = $1::uuid FROM d WHERE c.key = d.key AND c.id = d.id RETURNING c.*) "
    "SELECT " COLUMNS " FROM c " WITH_REST "ORDER BY c.due_at";
static const char next_sql[] =
    "SELECT c.due_at FROM push_cursors AS c WHERE c.due_at IS NOT NULL AND " IS_FREE " ORDER BY c.due_at LIMIT 1";

/* Time zero stands for no time. */
static const char settle_sql[] =
    "WITH i AS MATERIALIZED (SELECT * FROM unnest($2::uuid[], $3::text[], $4::int8[], $5::int8[], $6::int8[], "
    "$7::timestamptz[], $8::text[], $9::int2[]) AS i(key, id, delivered, attempts, failed, due, disabled, keep)), "
    "l AS MATERIALIZED (SELECT c.key, c.id FROM push_cursors AS c JOIN i ON i.key = c.key AND i.id = c.id "
    "WHERE c.owner = $1::uuid ORDER BY c.key, c.id FOR UPDATE OF c), "
    "p AS (UPDATE push_configs AS p SET enabled = false FROM i JOIN l ON l.key = i.key AND l.id = i.id "
    "WHERE p.key = i.key AND p.id = i.id AND i.disabled IS NOT NULL) "
    "UPDATE push_cursors AS c SET delivered_seq = i.delivered, attempts = i.attempts::int4, "
    "failed_seq = coalesce(c.failed_seq, nullif(i.failed, 0)), disabled = i.disabled, "
    "due_at = CASE WHEN i.disabled IS NOT NULL THEN NULL WHEN i.due > to_timestamp(0) THEN i.due "
    "WHEN c.head_seq > i.delivered THEN $10::timestamptz END, "
    "owner = CASE WHEN i.keep = 1 AND c.head_seq > i.delivered THEN c.owner END "
    "FROM i JOIN l ON l.key = i.key AND l.id = i.id WHERE c.key = i.key AND c.id = i.id "
    "RETURNING c.key, c.id, c.head_seq";
static const char attempt_sql[] =
    "INSERT INTO push_attempts (key, id, seq, attempt, at, status, ms, error, answer) SELECT i.key, i.id, i.seq, "
    "i.attempt::int4, i.at, nullif(i.status, 0)::int4, i.ms, i.error, i.answer FROM unnest($1::uuid[], $2::text[], "
    "$3::int8[], $4::int8[], $5::timestamptz[], $6::int8[], $7::int8[], $8::text[], $9::text[]) "
    "AS i(key, id, seq, attempt, at, status, ms, error, answer)";

static const char sweep_sql[] =
    "UPDATE push_cursors AS c SET head_seq = t.seq, is_over = t.state IN (3, 4, 5, 7), "
    "due_at = CASE WHEN c.disabled IS NULL THEN coalesce(c.due_at, $1::timestamptz) END "
    "FROM tasks AS t WHERE t.key = c.key AND NOT c.is_over AND t.seq > c.head_seq";

static const char *const prune_sql[] = {
    "DELETE FROM push_attempts WHERE n IN (SELECT n FROM push_attempts ORDER BY n LIMIT 10000) "
    "AND at < $1::timestamptz",
    "DELETE FROM push_cursors AS c USING (SELECT key FROM push_notes WHERE created_at < $1::timestamptz LIMIT 1000) "
    "AS m WHERE c.key = m.key AND c.due_at IS NULL",
    "DELETE FROM push_notes AS m USING (SELECT key FROM push_notes WHERE created_at < $1::timestamptz LIMIT 1000) "
    "AS o WHERE m.key = o.key AND NOT EXISTS (SELECT FROM push_cursors AS c WHERE c.key = m.key)",
};

static const char attempts_sql[] =
    "SELECT a.seq, a.attempt, a.at, coalesce(a.status, 0), a.ms, a.error, a.answer FROM push_attempts AS a "
    "WHERE a.key = $1::uuid AND a.id = $2::text ORDER BY a.n DESC LIMIT $3::int8";
/* clang-format on */

static void on_refuse(void *arg);

void pg_push_init(struct postgres *p)
{
    struct pg_push *push = &p->push;

    list_init(&push->jobs);
    push->refuse = (struct deferred){.fn = on_refuse, .arg = p};
    pg_values_init(&push->values, MB(64));
}

void pg_push_release(struct postgres *p)
{
    pg_values_release(&p->push.values);
}

/* --- sending -------------------------------------------------------------------------------------- */

static void add_text(struct pg_values *v, struct str text)
{
    if (text.p)
        pg_add_text(v, text);
    else
        pg_add_null(v);
}

/* Runs `sql` with what has been added. */
static void query(struct postgres *p, const char *sql)
{
    struct pg_values *v = &p->push.values;

    if (pg_values_end(v))
        pg_conn_fail(p->control, "out of memory for webhooks");
    else
        pg_conn_query(p->control, sql, v->values, v->n);
    pg_values_clear(v);
}

static void add_task(struct pg_values *v, struct str agent, struct str task_id)
{
    pg_add_text(v, agent);
    pg_add_text(v, task_id);
}

static void send_put(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;

    add_task(v, job->agent, job->task_id);
    pg_add_text(v, job->id);
    pg_add_int4(v, (int32_t)job->config.form);
    pg_add_text(v, job->config.doc);
    add_text(v, job->config.secret);
    pg_add_time(v, job->now_us);
    pg_add_int8(v, PUSH_PER_TASK);
    query(p, put_sql);
}

static void send_delete(struct postgres *p, const struct push_job *job)
{
    add_task(&p->push.values, job->agent, job->task_id);
    pg_add_text(&p->push.values, job->id);
    query(p, delete_sql);
}

static void send_note(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;

    pg_add_uuid(v, &job->key);
    pg_add_text(v, job->agent);
    pg_add_int4(v, (int32_t)job->config.form);
    pg_add_text(v, job->config.doc);
    add_text(v, job->config.secret);
    pg_add_int4(v, (int32_t)job->dialect);
    pg_add_text(v, job->payload);
    pg_add_text(v, job->id);
    pg_add_time(v, job->now_us);
    query(p, note_sql);
}

static void send_list(struct postgres *p, const struct push_job *job)
{
    const struct store_push_query *q = &job->query;
    struct pg_values *v = &p->push.values;

    if (q->task_id.p) {
        add_task(v, q->agent, q->task_id);
        query(p, task_sql);
    }
    add_text(v, q->agent);
    add_text(v, q->task_id);
    add_text(v, q->id);
    pg_add_int4(v, q->only_failed);
    if (q->has_after)
        pg_add_uuid(v, &q->after_key);
    else
        pg_add_null(v);
    add_text(v, q->after_id);
    pg_add_int8(v, job->limit);
    query(p, q->task_id.p ? list_task_sql : list_all_sql);
}

static void send_retry(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;

    pg_add_uuid(v, &job->key);
    pg_add_text(v, job->id);
    pg_add_time(v, job->now_us);
    query(p, retry_sql);
}

static void send_claim(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;

    pg_add_uuid(v, &job->owner);
    pg_add_time(v, job->now_us);
    pg_add_int8(v, job->limit);
    query(p, claim_sql);
    query(p, next_sql);
}

#define EACH_RESULT(v, type, job, n_all, condition, add)                                       \
    do {                                                                                       \
        pg_add_array((v), (type), (n_all));                                                    \
        for (size_t i_ = 0; i_ < (job)->n_results; i_++) {                                     \
            const struct store_push_result *r = &(job)->results[i_];                           \
            if (condition)                                                                     \
                add;                                                                           \
        }                                                                                      \
    } while (0)

static void send_attempts(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;
    size_t n = 0;

    for (size_t i = 0; i < job->n_results; i++)
        n += job->results[i].has_attempt;
    if (n == 0)
        return;
    EACH_RESULT(v, PG_UUID, job, n, r->has_attempt, pg_element_uuid(v, &r->key));
    EACH_RESULT(v, PG_TEXT, job, n, r->has_attempt, pg_element_text(v, r->id));
    EACH_RESULT(v, PG_INT8, job, n, r->has_attempt, pg_element_int8(v, r->attempt.seq));
    EACH_RESULT(v, PG_INT8, job, n, r->has_attempt, pg_element_int8(v, r->attempt.attempt));
    EACH_RESULT(v, PG_TIME, job, n, r->has_attempt, pg_element_time(v, r->attempt.at_us));
    EACH_RESULT(v, PG_INT8, job, n, r->has_attempt,
                pg_element_int8(v, (uint64_t)r->attempt.status));
    EACH_RESULT(v, PG_INT8, job, n, r->has_attempt, pg_element_int8(v, r->attempt.ms));
    EACH_RESULT(v, PG_TEXT, job, n, r->has_attempt, pg_element_text(v, r->attempt.error));
    EACH_RESULT(v, PG_TEXT, job, n, r->has_attempt, pg_element_text(v, r->attempt.answer));
    query(p, attempt_sql);
}

static void send_settle(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;
    size_t n = 0;

    for (size_t i = 0; i < job->n_results; i++)
        n += !job->results[i].is_record;
    pg_add_uuid(v, &job->owner);
    EACH_RESULT(v, PG_UUID, job, n, !r->is_record, pg_element_uuid(v, &r->key));
    EACH_RESULT(v, PG_TEXT, job, n, !r->is_record, pg_element_text(v, r->id));
    EACH_RESULT(v, PG_INT8, job, n, !r->is_record, pg_element_int8(v, r->delivered_seq));
    EACH_RESULT(v, PG_INT8, job, n, !r->is_record, pg_element_int8(v, r->attempts));
    EACH_RESULT(v, PG_INT8, job, n, !r->is_record, pg_element_int8(v, r->failed_seq));
    EACH_RESULT(v, PG_TIME, job, n, !r->is_record, pg_element_time(v, r->due_at_us));
    EACH_RESULT(v, PG_TEXT, job, n, !r->is_record, pg_element_text(v, r->disabled));
    EACH_RESULT(v, PG_INT2, job, n, !r->is_record, pg_element_int2(v, r->keep));
    pg_add_time(v, job->now_us);
    query(p, settle_sql);
    send_attempts(p, job);
}

static void send_prune(struct postgres *p, const struct push_job *job)
{
    for (size_t i = 0; i < sizeof prune_sql / sizeof *prune_sql; i++) {
        pg_add_time(&p->push.values, job->now_us);
        query(p, prune_sql[i]);
    }
}

static void send_job(struct postgres *p, const struct push_job *job)
{
    struct pg_values *v = &p->push.values;

    pg_values_clear(v);
    switch (job->kind) {
    case PUSH_PUT:
        send_put(p, job);
        break;
    case PUSH_DELETE:
        send_delete(p, job);
        break;
    case PUSH_NOTE:
        send_note(p, job);
        break;
    case PUSH_LIST:
        send_list(p, job);
        break;
    case PUSH_RETRY:
        send_retry(p, job);
        break;
    case PUSH_CLAIM:
        send_claim(p, job);
        break;
    case PUSH_SETTLE:
        send_settle(p, job);
        break;
    case PUSH_SWEEP:
        pg_add_time(v, job->now_us);
        query(p, sweep_sql);
        break;
    case PUSH_PRUNE:
        send_prune(p, job);
        break;
    case PUSH_ATTEMPTS:
        pg_add_uuid(v, &job->key);
        pg_add_text(v, job->id);
        pg_add_int8(v, job->limit);
        query(p, attempts_sql);
        break;
    }
    pg_conn_sync(p->control, PG_TAG_PUSH);
}

/* The n-th of those that wait or are out. */
static struct push_job *nth_job(struct postgres *p, unsigned n)
{
    LIST_EACH (it, &p->push.jobs)
        if (n-- == 0)
            return CONTAINER_OF(it, struct push_job, link);
    return NULL;
}

void pg_push_send(struct postgres *p)
{
    struct push_job *job;

    while (p->push.n_sent < JOBS_AT_ONCE && p->log.is_registered &&
           pg_conn_is_ready(p->control) && !p->is_closing &&
           (job = nth_job(p, p->push.n_sent))) {
        p->push.n_sent++;
        send_job(p, job);
    }
}

void pg_push_run(struct postgres *p, struct push_job *job)
{
    list_append(&p->push.jobs, &job->link);
    pg_push_send(p);
}

/* --- what comes back ------------------------------------------------------------------------------ */

static uint64_t seq_or_none(const PGresult *r, int row, int col)
{
    return PQgetisnull(r, row, col) ? 0 : pg_get_int8(r, row, col);
}

static int64_t time_or_none(const PGresult *r, int row, int col)
{
    return PQgetisnull(r, row, col) ? 0 : pg_get_time(r, row, col);
}

static void read_row(struct push_job *job, const PGresult *r, int i, struct store_push *row)
{
    *row = (struct store_push){
        .key = pg_get_uuid(r, i, 0),
        .config = {.id = push_keep(job, pg_get_str(r, i, 1)),
                   .form =
                       PQgetisnull(r, i, 5) ? PUSH_0_3 : (enum push_form)pg_get_int2(r, i, 5),
                   .doc = push_keep(job, pg_get_str(r, i, 6)),
                   .secret = push_keep(job, pg_get_str(r, i, 7))},
        .agent = push_keep(job, pg_get_str(r, i, 2)),
        .task_id = push_keep(job, pg_get_str(r, i, 3)),
        .context = push_keep(job, pg_get_str(r, i, 4)),
        .head_seq = pg_get_int8(r, i, 8),
        .delivered_seq = pg_get_int8(r, i, 9),
        .failed_seq = seq_or_none(r, i, 10),
        .attempts = (unsigned)pg_get_int4(r, i, 11),
        .due_at_us = time_or_none(r, i, 12),
        .disabled = push_keep(job, pg_get_str(r, i, 13)),
        .payload = push_keep(job, pg_get_str(r, i, 14)),
        .payload_dialect =
            PQgetisnull(r, i, 15) ? A2A_0_3 : (enum a2a_version)pg_get_int2(r, i, 15),
        .created_at_us = pg_get_time(r, i, 16)};
}

static void read_rows(struct push_job *job, const PGresult *r)
{
    struct store_push *row;

    for (int i = 0; i < PQntuples(r) && (row = push_add_row(job)); i++)
        read_row(job, r, i, row);
}

static void read_attempts(struct push_job *job, const PGresult *r)
{
    struct store_push_attempt *row;

    for (int i = 0; i < PQntuples(r) && (row = push_add_attempt(job)); i++)
        *row = (struct store_push_attempt){.seq = pg_get_int8(r, i, 0),
                                           .attempt = (unsigned)pg_get_int4(r, i, 1),
                                           .at_us = pg_get_time(r, i, 2),
                                           .status = pg_get_int4(r, i, 3),
                                           .ms = pg_get_int8(r, i, 4),
                                           .error = push_keep(job, pg_get_str(r, i, 5)),
                                           .answer = push_keep(job, pg_get_str(r, i, 6))};
}

static void read_heads(struct push_job *job, const PGresult *r)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct uuid key = pg_get_uuid(r, i, 0);
        struct str id = pg_get_str(r, i, 1);

        for (size_t k = 0; k < job->n_results; k++)
            if (!job->results[k].is_record &&
                id_uuid_compare(&job->results[k].key, &key) == 0 &&
                str_is(job->results[k].id, id))
                job->heads[k] = pg_get_int8(r, i, 2);
    }
}

void pg_push_result(struct postgres *p, unsigned which, const PGresult *r)
{
    struct push_job *job = nth_job(p, 0);

    switch (job->kind) {
    case PUSH_PUT:
        if (PQntuples(r) == 0)
            job->err = ERR_ABSENT;
        else if (pg_get_int8(r, 0, 1) == 0)
            job->err = ERR_FULL;
        break;
    case PUSH_DELETE:
    case PUSH_RETRY:
        if (PQntuples(r) == 0)
            job->err = ERR_ABSENT;
        break;
    case PUSH_LIST:
        if (job->query.task_id.p && which == 0)
            job->err = PQntuples(r) ? 0 : ERR_ABSENT;
        else if (!job->err)
            read_rows(job, r);
        break;
    case PUSH_CLAIM:
        if (which == 0)
            read_rows(job, r);
        else if (PQntuples(r) > 0)
            job->next_due_us = pg_get_time(r, 0, 0);
        break;
    case PUSH_SETTLE:
        if (which == 0)
            read_heads(job, r);
        break;
    case PUSH_ATTEMPTS:
        read_attempts(job, r);
        break;
    default:
        break;
    }
}

static void hand_back(struct postgres *p, struct push_job *job, const char *why)
{
    list_remove(&job->link);
    if (why) {
        job->err = ERR_STORE;
        job->n = 0;
        pg_say(job->why, sizeof job->why, "%s", why);
    }
    store_push_done(p->base.store, job);
}

void pg_push_sync(struct postgres *p, const struct pg_error *error)
{
    p->push.n_sent--;
    hand_back(p, nth_job(p, 0), error ? error->text : NULL);
    pg_push_send(p);
}

/* --- the connection ------------------------------------------------------------------------------- */

static void refuse(struct postgres *p, const char *why)
{
    struct list refused, *first;

    list_init(&refused);
    list_splice(&refused, &p->push.jobs);
    p->push.n_sent = 0;
    while ((first = list_first(&refused)))
        hand_back(p, CONTAINER_OF(first, struct push_job, link), why);
}

static void on_refuse(void *arg)
{
    struct postgres *p = arg;

    if (p->push.n_sent == 0) /* else their answers come, or the connection is lost */
        refuse(p, p->push.why);
}

void pg_push_refuse(struct postgres *p, const char *why)
{
    if (list_is_empty(&p->push.jobs))
        return;
    pg_say(p->push.why, sizeof p->push.why, "%s", why);
    loop_defer(p->loop, &p->push.refuse);
}

void pg_push_down(struct postgres *p)
{
    refuse(p, "the database connection was lost; whether it was written is not known");
}

void pg_push_stop(struct postgres *p)
{
    loop_undefer(&p->push.refuse);
    refuse(p, "the gateway is closing");
}
