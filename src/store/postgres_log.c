/* SPDX-License-Identifier: MIT
 *
 * This node among the others: its lease, and the log of what they write.
 *
 * Every write connection of every node is a *writer* with an id of its own; its events carry (writer,
 * wseq), and as one connection commits one batch after the other, a writer's events become visible in the
 * order of wseq. So a cursor per writer, and reading what lies behind it, misses nothing; a sequence
 * shared by all would have holes that fill later.
 *
 *     hint "writer:first-last" (LISTEN) --> read what lies behind the cursors
 *     every second (the beat)           --> renew the lease, list the writers, read: for hints that were
 *                                           lost, and for new writers
 *
 * A cursor begins at the writer's end if the writer was there when this process registered (the cache was
 * empty then), else at 0: a writer that appeared later may have changed what is cached.
 *
 * Trust: the cache may be believed while everything committed up to two seconds ago has been read. The
 * time counts from when the read was sent. Lost trust comes back with the first complete read.
 *
 * The lease is in the database's time and needs no fsync: what a crash of the server loses of it expires
 * sooner. Rows of nodes dead for a day are swept at registration; their writers stay, ids are never used
 * twice.
 */
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define BEAT_MS 1000u
#define TRUST_MS 2000u
#define READ_LIMIT 1000 /* events per writer and read */
#define READ_LIMIT_TEXT "1000"

static const char renew_sql[] =
    "INSERT INTO nodes (boot, name, lease_until) VALUES ($1::uuid, $2::text, now() + interval '5 s') "
    "ON CONFLICT (boot) DO UPDATE SET lease_until = EXCLUDED.lease_until";

static const char writers_sql[] =
    "SELECT w.id FROM writers AS w JOIN nodes AS n ON n.boot = w.node WHERE w.node <> $1::uuid";

static const char heads_sql[] =
    "SELECT w.id, coalesce((SELECT max(e.wseq) FROM task_events AS e WHERE e.writer = w.id), 0) "
    "FROM writers AS w JOIN nodes AS n ON n.boot = w.node WHERE w.node <> $1::uuid";

static const char log_sql[] =
    "SELECT e.writer, e.wseq, e.seq, t.agent, t.task_id "
    "FROM unnest($1::int4[], $2::int8[]) AS c(writer, wseq) CROSS JOIN LATERAL "
    "(SELECT e.writer, e.wseq, e.seq, e.key FROM task_events AS e WHERE e.writer = c.writer "
    "AND e.wseq > c.wseq ORDER BY e.wseq LIMIT " READ_LIMIT_TEXT ") AS e "
    "JOIN tasks AS t ON t.key = e.key ORDER BY 1, 2";

/* Queries of PG_TAG_REGISTER and PG_TAG_BEAT, in order. */
enum { R_RENEW, R_SWEEP, R_WRITERS, R_LISTEN, R_HEADS };
enum { B_ASYNC, B_RENEW, B_WRITERS, B_NODES, B_LOG };

static void on_beat(struct timer *t, void *arg);
static void on_distrust(struct timer *t, void *arg);

void pg_log_init(struct postgres *p)
{
    timer_init(&p->log.beat, on_beat, p);
    timer_init(&p->log.distrust, on_distrust, p);
    pg_values_init(&p->log.values, MB(1));
}

void pg_log_release(struct postgres *p)
{
    mem_free(p->log.cursors);
    pg_values_release(&p->log.values);
}

/* --- cursors ------------------------------------------------------------------------------ */

static size_t find_cursor(const struct pg_log *log, int32_t writer)
{
    size_t low = 0, high = log->n_cursors;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (log->cursors[middle].writer < writer)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_cursor(const struct pg_log *log, int32_t writer)
{
    size_t at = find_cursor(log, writer);

    return at < log->n_cursors && log->cursors[at].writer == writer;
}

struct pg_cursor *pg_log_cursor(struct pg_log *log, int32_t writer, uint64_t wseq)
{
    size_t at = find_cursor(log, writer);
    struct pg_cursor *c;

    if (!has_cursor(log, writer)) {
        if (log->n_cursors == log->room) {
            log->room = log->room ? 2 * log->room : 8;
            log->cursors = mem_resize(log->cursors, log->room, sizeof *log->cursors);
        }
        memmove(&log->cursors[at + 1], &log->cursors[at],
                (log->n_cursors - at) * sizeof *log->cursors);
        log->cursors[at] = (struct pg_cursor){.writer = writer};
        log->n_cursors++;
    }
    c = &log->cursors[at];
    c->wseq = wseq > c->wseq ? wseq : c->wseq;
    return c;
}

/* Writers of nodes that were swept write no more. */
static void forget_unlisted(struct pg_log *log)
{
    size_t n = 0;

    for (size_t i = 0; i < log->n_cursors; i++)
        if (log->cursors[i].is_listed)
            log->cursors[n++] = log->cursors[i];
    log->n_cursors = n;
}

int pg_hint_parse(struct str payload, struct pg_hint *out)
{
    struct str rest = payload, writer = str_cut(&rest, ':'), first = str_cut(&rest, '-');
    int64_t id;
    struct pg_hint hint;

    if (!rest.p || str_to_i64(writer, &id) || id < 1 || id > INT32_MAX ||
        str_to_u64(first, &hint.first) || str_to_u64(rest, &hint.last) ||
        hint.first > hint.last)
        return ERR_SYNTAX;
    hint.writer = (int32_t)id;
    *out = hint;
    return 0;
}

/* --- sending ------------------------------------------------------------------------------ */

static void send_with_boot(struct postgres *p, const char *sql, bool with_name)
{
    struct pg_values *v = &p->log.values;

    pg_values_clear(v);
    pg_add_uuid(v, &p->boot_id);
    if (with_name)
        pg_add_text(v, str_of(p->node_name));
    BUG_ON(pg_values_end(v));
    pg_conn_query(p->control, sql, v->values, v->n);
}

static void send_read(struct postgres *p)
{
    struct pg_log *log = &p->log;
    struct pg_values *v = &log->values;

    pg_values_clear(v);
    pg_add_array(v, PG_INT4, log->n_cursors);
    for (size_t i = 0; i < log->n_cursors; i++)
        pg_element_int4(v, log->cursors[i].writer);
    pg_add_array(v, PG_INT8, log->n_cursors);
    for (size_t i = 0; i < log->n_cursors; i++)
        pg_element_int8(v, log->cursors[i].wseq);
    if (pg_values_end(v)) {
        pg_conn_fail(p->control, "more writers than can be followed");
        return;
    }
    pg_conn_query(p->control, log_sql, v->values, v->n);
}

/* In one transaction: whoever sees our writers sees our lease. The other nodes are woken, so that they
 * send hints from now on. */
void pg_log_register(struct postgres *p)
{
    struct pg_log *log = &p->log;
    char sql[2 * PG_NAME_MAX + 64];
    char lanes[16];
    const char *values[2] = {p->boot, lanes};

    if (log->is_registered || log->is_beating)
        return;
    log->is_beating = true;
    log->beat_sent_ms = loop_now_ms(p->loop);
    snprintf(lanes, sizeof lanes, "%u", p->base.n_lanes);
    send_with_boot(p, renew_sql, true);
    pg_conn_sql(p->control, "DELETE FROM nodes WHERE lease_until < now() - interval '1 day'",
                NULL, 0);
    pg_conn_sql(
        p->control,
        "INSERT INTO writers (node, lane) SELECT $1::uuid, g FROM generate_series(0, $2::int4 - 1) AS g "
        "WHERE NOT EXISTS (SELECT FROM writers WHERE node = $1::uuid) RETURNING lane, id",
        values, 2);
    snprintf(sql, sizeof sql, "LISTEN \"%s\"", p->channel);
    pg_conn_sql(p->control, sql, NULL, 0);
    send_with_boot(p, log->was_registered ? writers_sql : heads_sql, false);
    values[0] = p->channel;
    pg_conn_sql(p->control, "SELECT pg_notify($1, 'node')", values, 1);
    pg_conn_sync(p->control, PG_TAG_REGISTER);
}

static void send_beat(struct postgres *p)
{
    struct pg_log *log = &p->log;

    if (!log->is_registered || log->is_beating || !pg_conn_is_ready(p->control))
        return;
    log->is_beating = true;
    log->read_again = false;
    log->beat_sent_ms = loop_now_ms(p->loop);
    for (size_t i = 0; i < log->n_cursors; i++)
        log->cursors[i].is_listed = false;
    pg_conn_sql(p->control, "SELECT set_config('synchronous_commit', 'off', true)", NULL, 0);
    send_with_boot(p, renew_sql, true);
    send_with_boot(p, writers_sql, false);
    pg_conn_sql(p->control,
                "SELECT count(*), (SELECT n FROM api_agents_changes) FROM nodes "
                "WHERE lease_until > now()",
                NULL, 0);
    if (log->n_cursors > 0)
        send_read(p);
    pg_conn_sync(p->control, PG_TAG_BEAT);
}

static void on_beat(struct timer *t, void *arg)
{
    struct postgres *p = arg;

    timer_start(p->loop, t, BEAT_MS);
    send_beat(p);
    pg_errands_send(p);
}

void pg_log_read(struct postgres *p)
{
    struct pg_log *log = &p->log;

    if (!log->is_registered || !pg_conn_is_ready(p->control))
        return;
    if (log->is_reading || log->is_beating) {
        /* what is in flight may have looked before the hint's event was there */
        log->read_again = true;
        return;
    }
    if (log->n_cursors == 0)
        return;
    log->is_reading = true;
    log->read_again = false;
    log->read_sent_ms = loop_now_ms(p->loop);
    send_read(p);
    pg_conn_sync(p->control, PG_TAG_LOG);
}

/* --- trust -------------------------------------------------------------------------------- */

static void on_distrust(struct timer *t, void *arg)
{
    struct postgres *p = arg;

    (void)t;
    if (!p->log.is_trusted)
        return;
    p->log.is_trusted = false;
    log_event(LOG_DEBUG, "the log was not read for 2 s: the cache is not believed");
    store_trust(p->base.store, false);
}

static void trust(struct postgres *p, uint64_t sent_ms)
{
    uint64_t age_ms = loop_now_ms(p->loop) - sent_ms;

    if (age_ms >= TRUST_MS)
        return;
    timer_start(p->loop, &p->log.distrust, TRUST_MS - age_ms);
    if (!p->log.is_trusted)
        store_trust(p->base.store, true);
    p->log.is_trusted = true;
}

/* --- answers ------------------------------------------------------------------------------ */

/* Whether the event in row `i` is followed by one of the same task: then that one tells for both. A commit's events of one
 * task stand together in the log. */
static bool is_outdone(const PGresult *r, int i)
{
    return i + 1 < PQntuples(r) && pg_get_int4(r, i, 0) == pg_get_int4(r, i + 1, 0) &&
           str_is(pg_get_str(r, i, 4), pg_get_str(r, i + 1, 4)) &&
           str_is(pg_get_str(r, i, 3), pg_get_str(r, i + 1, 3));
}

static void note_events(struct postgres *p, const PGresult *r)
{
    int32_t writer = 0;
    int n_of_writer = 0;

    for (int i = 0; i < PQntuples(r); i++) {
        int32_t next = pg_get_int4(r, i, 0);

        n_of_writer = next == writer ? n_of_writer + 1 : 1;
        writer = next;
        pg_log_cursor(&p->log, writer, pg_get_int8(r, i, 1));
        if (n_of_writer == READ_LIMIT)
            p->log.read_again = true;
        if (!is_outdone(r, i))
            store_task_changed(p->base.store, pg_get_str(r, i, 3), pg_get_str(r, i, 4),
                               pg_get_int8(r, i, 2));
    }
}

static void note_writers(struct postgres *p, const PGresult *r, bool with_heads)
{
    for (int i = 0; i < PQntuples(r); i++) {
        int32_t writer = pg_get_int4(r, i, 0);

        if (!with_heads && !has_cursor(&p->log, writer))
            p->log.read_again = true;
        pg_log_cursor(&p->log, writer, with_heads ? pg_get_int8(r, i, 1) : 0)->is_listed = true;
    }
}

/* Nothing comes back when we are known already. If we were registered and are not known, the tables were made
 * anew: ids begin at 1 again, and old cursors mean nothing. */
static void note_own_writers(struct postgres *p, const PGresult *r)
{
    if (PQntuples(r) > 0) {
        p->log.n_cursors = 0;
        pg_errands_forget(p);
    }
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t lane, id;

        BUG_ON(str_to_i64(str_of(PQgetvalue(r, i, 0)), &lane) || lane < 0 || lane >= PG_LANES ||
               str_to_i64(str_of(PQgetvalue(r, i, 1)), &id) || id < 1 || id > INT32_MAX);
        p->log.writers[lane] = (int32_t)id;
    }
}

static void note_nodes(struct postgres *p, const PGresult *r)
{
    struct pg_log *log = &p->log;
    uint64_t n;

    if (str_to_u64(str_of(PQgetvalue(r, 0, 0)), &n) || n == 0)
        n = 1;
    log->has_company = n > 1;
    p->base.n_nodes = n > 1000000 ? 1000000 : (unsigned)n;
    if (str_to_u64(str_of(PQgetvalue(r, 0, 1)), &n) == 0)
        log->seen_changes = n;
}

void pg_log_result(struct postgres *p, int tag, unsigned query, const PGresult *r)
{
    if (tag == PG_TAG_LOG || (tag == PG_TAG_BEAT && query == B_LOG))
        note_events(p, r);
    else if (tag == PG_TAG_BEAT && query == B_WRITERS)
        note_writers(p, r, false);
    else if (tag == PG_TAG_BEAT && query == B_NODES)
        note_nodes(p, r);
    else if (tag == PG_TAG_REGISTER && query == R_WRITERS)
        note_own_writers(p, r);
    else if (tag == PG_TAG_REGISTER && query == R_HEADS)
        note_writers(p, r, !p->log.was_registered);
}

/* A read is complete: what it saw was all there was. */
static void read_done(struct postgres *p, uint64_t sent_ms)
{
    if (p->log.read_again)
        pg_log_read(p);
    else
        trust(p, sent_ms);
}

static void on_registered(struct postgres *p)
{
    struct pg_log *log = &p->log;

    log->is_registered = true;
    /* Of the first time nothing is left to read: the cursors stand where the log ends, the cache is empty. */
    if (!log->was_registered)
        trust(p, log->beat_sent_ms);
    log->was_registered = true;
    timer_start(p->loop, &log->beat, BEAT_MS);
    postgres_admit(p);
    send_beat(p);
}

void pg_log_sync(struct postgres *p, int tag, const struct pg_error *error)
{
    struct pg_log *log = &p->log;

    if (tag == PG_TAG_LOG)
        log->is_reading = false;
    else
        log->is_beating = false;
    if (error) {
        char why[256];

        /* Whatever it is, a fresh connection asks all questions again, with backoff. */
        pg_target_explain(&p->target, error->text, why);
        if (pg_error_classify(error->sqlstate) == PG_ERROR_SHAPE)
            postgres_doubt(p, why);
        else
            pg_conn_fail(p->control, why);
        return;
    }
    if (tag == PG_TAG_REGISTER) {
        on_registered(p);
        return;
    }
    if (tag == PG_TAG_BEAT) {
        forget_unlisted(log);
        pg_errands_changes(p, log->seen_changes);
    }
    read_done(p, tag == PG_TAG_BEAT ? log->beat_sent_ms : log->read_sent_ms);
}

void pg_log_notify(struct postgres *p, struct str payload)
{
    struct pg_hint hint;

    if (str_is(payload, STR("node")) || str_is(payload, STR("agents"))) {
        send_beat(p);
        return;
    }
    if (pg_hint_parse(payload, &hint))
        return; /* somebody else's NOTIFY on our channel; the beat finds what is true */
    for (unsigned i = 0; i < PG_LANES; i++)
        if (hint.writer == p->log.writers[i])
            return;
    if (!has_cursor(&p->log, hint.writer))
        send_beat(p);
    else if (hint.last > pg_log_cursor(&p->log, hint.writer, 0)->wseq)
        pg_log_read(p);
}

void pg_log_down(struct postgres *p)
{
    p->log.is_registered = p->log.is_beating = p->log.is_reading = false;
    timer_stop(p->loop, &p->log.beat);
}

void pg_log_stop(struct postgres *p)
{
    pg_log_down(p);
    timer_stop(p->loop, &p->log.distrust);
}
