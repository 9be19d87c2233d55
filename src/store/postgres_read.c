/* SPDX-License-Identifier: MIT
 *
 * Loads and lists, each on a connection of its own where the pool allows: a count over a million rows must
 * not stand in front of a task somebody waits for.
 *
 * Loads come as one statement for the whole batch, so that documents and the events behind them are of one
 * snapshot. What it may bring is bounded on the server: tasks are taken in the order asked for until
 * LOADS_MAX bytes; the rest comes back without its document and is asked for again by the core. The
 * answer's strings are views into libpq's result, which lives until the core has taken what it wants.
 *
 * Lists are keyset pages, newest status first. There is an index per agent and none over all agents
 * (0001_first), so a list over all walks the agents, each step one look into the index, takes the first
 * page of each, and sorts those. LATER: an index over all agents, when somebody has many thousands of
 * them.
 *
 * Totals are counted, exactly, by the narrow index. LATER: counters per agent, when a count takes too
 * long; they cost each new task a second hot row.
 *
 * What is in hand when the connection is lost is asked again on the next one; when that cannot be had it
 * goes back with ERR_STORE: who reads can ask again himself.
 */
#include "lib/arena.h"
#include "lib/limits.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define LOADS_MAX "33554432" /* bytes of documents in one answer */
#define ANSWER_MS 35000u     /* behind the statement_timeout of 30 s */

enum reader_tag { TAG_LOAD, TAG_LIST };

/* Columns of "load". Kind 0 is the task with its document, others are events behind it. */
enum {
    L_N,
    L_KIND,
    L_SEQ,
    L_TEXT,
    L_FITS,
    L_KEY,
    L_OWNER,
    L_CONTEXT,
    L_DIALECT,
    L_STATE,
    L_DOC_SEQ,
    L_STATUS_AT
};

/* Columns of "list_*". */
enum { P_KEY, P_AGENT, P_ID, P_CONTEXT, P_STATE, P_STATUS_AT, P_SEQ };

#define PAGE_COLUMNS "t.key, t.agent, t.task_id, t.context, t.state, t.status_at, t.seq"
#define PAGE_ORDER "ORDER BY status_at DESC, key DESC LIMIT $1::int8"

static const struct pg_statement statements[] = {
    {"load",
     "WITH f AS MATERIALIZED (SELECT q.n, t.*, d.seq AS doc_seq, d.doc, "
     "sum(octet_length(d.doc)) OVER (ORDER BY q.n) - octet_length(d.doc) < " LOADS_MAX
     " AS fits "
     "FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS q(agent, id, n) "
     "JOIN tasks AS t ON t.agent = q.agent AND t.task_id = q.id "
     "JOIN task_docs AS d ON d.key = t.key) "
     "SELECT n::int4, 0::int2, seq, CASE WHEN fits THEN doc END, fits, key, owner, context, dialect, "
     "state, doc_seq, status_at FROM f "
     "UNION ALL SELECT f.n::int4, e.kind, e.seq, e.payload, true, NULL, NULL, NULL, NULL, NULL, NULL, NULL "
     "FROM f JOIN task_events AS e ON e.key = f.key AND e.seq > f.doc_seq AND e.seq <= f.seq "
     "WHERE f.fits ORDER BY 1, 3"},
    {"list_agent", "SELECT " PAGE_COLUMNS " FROM tasks AS t WHERE t.agent = $4::text "
                   "AND (t.status_at, t.key) < ($2::timestamptz, $3::uuid) " PAGE_ORDER},
    {"list_all",
     "WITH RECURSIVE a(agent) AS ((SELECT agent FROM tasks ORDER BY agent LIMIT 1) UNION ALL "
     "SELECT (SELECT t.agent FROM tasks AS t WHERE t.agent > a.agent ORDER BY t.agent LIMIT 1) "
     "FROM a WHERE a.agent IS NOT NULL) "
     "SELECT r.* FROM a CROSS JOIN LATERAL (SELECT " PAGE_COLUMNS " FROM tasks AS t "
     "WHERE t.agent = a.agent AND (t.status_at, t.key) < ($2::timestamptz, $3::uuid) " PAGE_ORDER
     ") AS r WHERE a.agent IS NOT NULL " PAGE_ORDER},
    {"total_agent", "SELECT count(*) FROM tasks WHERE agent = $1::text"},
    {"total_all", "SELECT count(*) FROM tasks"},
};

/* As for the lanes: by index whatever the statistics say. */
#define SETTINGS                                                                                \
    ", set_config('plan_cache_mode', 'force_generic_plan', false)"                              \
    ", set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false)" \
    ", set_config('enable_mergejoin', 'off', false)"

/* --- loads -------------------------------------------------------------------------------- */

static void send_loads(struct pg_reader *r)
{
    struct pg_values *v = &r->values;
    struct load_batch *loads = r->loads;

    pg_values_clear(v);
    pg_add_array(v, PG_TEXT, loads->n_loads);
    LIST_EACH (it, &loads->loads)
        pg_element_text(v, CONTAINER_OF(it, struct load, link)->agent);
    pg_add_array(v, PG_TEXT, loads->n_loads);
    LIST_EACH (it, &loads->loads)
        pg_element_text(v, CONTAINER_OF(it, struct load, link)->id);
    BUG_ON(pg_values_end(v)); /* at most 256 names of bounded length */
    r->loads_sent = true;
    pg_conn_run(r->conn, "load", v->values, v->n);
    pg_conn_sync(r->conn, TAG_LOAD);
}

/* The task itself. Returns false if there is no room for it this time. */
static bool read_task(struct load *load, const PGresult *f, int row)
{
    if (*PQgetvalue(f, row, L_FITS) == 0)
        return false;
    load->found = true;
    load->key = pg_get_uuid(f, row, L_KEY);
    load->owner = pg_get_uuid(f, row, L_OWNER);
    load->context = pg_get_str(f, row, L_CONTEXT);
    load->doc = pg_get_str(f, row, L_TEXT);
    load->dialect = (enum a2a_version)pg_get_int2(f, row, L_DIALECT);
    load->state = (enum a2a_state)pg_get_int2(f, row, L_STATE);
    load->seq = pg_get_int8(f, row, L_SEQ);
    load->doc_seq = pg_get_int8(f, row, L_DOC_SEQ);
    load->status_at_us = pg_get_time(f, row, L_STATUS_AT);
    return true;
}

/* Rows `from` to before `to` belong to this load: its task, and its events in order. */
static void read_load(struct pg_reader *r, struct load *load, int from, int to)
{
    const PGresult *f = r->found;
    size_t n_tail = (size_t)(to - from - 1);

    load->tail = NULL;
    load->n_tail = 0;
    if (n_tail > 0) {
        load->tail = arena_take(r->loads->arena, n_tail * sizeof *load->tail);
        if (!load->tail) {
            load->err = ERR_AGAIN;
            return;
        }
    }
    for (int i = from; i < to; i++) {
        int kind = pg_get_int2(f, i, L_KIND);

        if (kind != 0)
            load->tail[load->n_tail++] =
                (struct load_event){.seq = pg_get_int8(f, i, L_SEQ),
                                    .kind = (enum a2a_event_kind)kind,
                                    .payload = pg_get_str(f, i, L_TEXT)};
        else if (!read_task(load, f, i))
            load->err = ERR_AGAIN;
        BUG_ON(load->n_tail > n_tail);
    }
}

static void read_loads(struct pg_reader *r)
{
    const PGresult *f = r->found;
    int at = 0, n_rows = PQntuples(f), n = 0;

    LIST_EACH (it, &r->loads->loads) {
        struct load *load = CONTAINER_OF(it, struct load, link);
        int from = at;

        n++;
        while (at < n_rows && pg_get_int4(f, at, L_N) == n)
            at++;
        if (at > from)
            read_load(r, load, from, at);
    }
    BUG_ON(at != n_rows);
}

static void finish_loads(struct pg_reader *r, int err)
{
    struct load_batch *loads = r->loads;
    PGresult *found = r->found;

    if (!err)
        read_loads(r);
    loads->err = err;
    r->loads = NULL;
    r->loads_sent = false;
    r->found = NULL; /* the core may ask for more from inside */
    store_load_done(r->p->base.store, loads);
    PQclear(found);
}

/* --- lists -------------------------------------------------------------------------------- */

static struct list_query *first_list(struct pg_reader *r)
{
    struct list *first = list_first(&r->lists);

    return first ? CONTAINER_OF(first, struct list_query, link) : NULL;
}

static void send_list(struct pg_reader *r)
{
    static const struct uuid last = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct list_query *q = first_list(r);
    struct pg_values *v = &r->values;

    r->list_sent = true;
    r->list_err = 0;
    q->n = 0;
    pg_values_clear(v);
    pg_add_int8(v, (int64_t)q->limit + 1);
    pg_add_time(v, q->has_after ? q->after_us : INT64_MAX);
    pg_add_uuid(v, q->has_after ? &q->after_key : &last);
    if (q->agent.p)
        pg_add_text(v, q->agent);
    BUG_ON(pg_values_end(v));
    pg_conn_run(r->conn, q->agent.p ? "list_agent" : "list_all", v->values, v->n);
    pg_values_clear(v);
    if (q->agent.p)
        pg_add_text(v, q->agent);
    BUG_ON(pg_values_end(v));
    pg_conn_run(r->conn, q->agent.p ? "total_agent" : "total_all", v->values, v->n);
    pg_conn_sync(r->conn, TAG_LIST);
}

static int read_page(struct list_query *q, const PGresult *page)
{
    size_t n = (size_t)PQntuples(page);

    q->has_more = n > q->limit;
    n = n > q->limit ? q->limit : n;
    q->rows = arena_take(q->arena, (n ? n : 1) * sizeof *q->rows);
    if (!q->rows)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        struct task_summary *row = &q->rows[i];
        struct str context = pg_get_str(page, (int)i, P_CONTEXT);

        row->agent = arena_str(q->arena, pg_get_str(page, (int)i, P_AGENT));
        row->id = arena_str(q->arena, pg_get_str(page, (int)i, P_ID));
        row->context = arena_str(q->arena, context);
        row->state = (enum a2a_state)pg_get_int2(page, (int)i, P_STATE);
        row->status_at_us = pg_get_time(page, (int)i, P_STATUS_AT);
        row->seq = pg_get_int8(page, (int)i, P_SEQ);
        if (!row->agent.p || !row->id.p || (context.p && !row->context.p))
            return ERR_NOMEM;
        q->last_key = pg_get_uuid(page, (int)i, P_KEY);
    }
    q->n = n;
    return 0;
}

static void finish_list(struct pg_reader *r, int err)
{
    struct list_query *q = first_list(r);

    list_remove(&q->link);
    r->list_sent = false;
    q->err = err;
    store_list_done(r->p->base.store, q);
}

/* --- the connection ----------------------------------------------------------------------- */

static void send_what_waits(struct pg_reader *r)
{
    if (!pg_conn_is_ready(r->conn))
        return;
    if (r->loads && !r->loads_sent)
        send_loads(r);
    if (!list_is_empty(&r->lists) && !r->list_sent)
        send_list(r);
}

static void on_ready(void *arg)
{
    send_what_waits(arg);
}

static void on_result(void *arg, int tag, unsigned query, PGresult **result)
{
    struct pg_reader *r = arg;

    if (tag == TAG_LOAD) {
        r->found = *result;
        *result = NULL;
    } else if (query == 0) {
        r->list_err = read_page(first_list(r), *result);
    } else {
        first_list(r)->total = pg_get_int8(*result, 0, 0);
    }
}

static void on_sync(void *arg, int tag, const struct pg_error *error)
{
    struct pg_reader *r = arg;

    if (error && pg_error_classify(error->sqlstate) == PG_ERROR_SHAPE)
        pg_conn_fail(r->conn, error->text);
    if (tag == TAG_LOAD)
        finish_loads(r, error || !r->found ? ERR_STORE : 0);
    else if (error)
        finish_list(r, strncmp(error->sqlstate, "22", 2) == 0 ? ERR_INVALID : ERR_STORE);
    else
        finish_list(r, r->list_err);
    send_what_waits(r);
}

/* Hands back all that is in hand; who is told may ask again, for the next time. */
static void refuse_all(struct pg_reader *r)
{
    struct list refused, *first;

    list_init(&refused);
    list_splice(&refused, &r->lists);
    while ((first = list_first(&refused))) {
        struct list_query *q = CONTAINER_OF(first, struct list_query, link);

        list_remove(first);
        q->err = ERR_STORE;
        store_list_done(r->p->base.store, q);
    }
    if (r->loads)
        finish_loads(r, ERR_STORE);
}

static void on_refuse(void *arg)
{
    refuse_all(arg);
}

static void on_down(void *arg, bool was_ready, const char *why)
{
    struct pg_reader *r = arg;

    (void)why;
    PQclear(r->found);
    r->found = NULL;
    r->loads_sent = r->list_sent = false;
    if (!was_ready)
        refuse_all(r);
}

static const struct pg_conn_ops ops = {
    .on_ready = on_ready, .on_result = on_result, .on_sync = on_sync, .on_down = on_down};

void pg_reader_init(struct postgres *p, struct pg_reader *r)
{
    struct pg_conn_config config = {
        .loop = p->loop,
        .target = &p->target,
        .schema = p->schema,
        .name = "reader",
        .settings = SETTINGS,
        .statements = statements,
        .n_statements = sizeof statements / sizeof *statements,
        .answer_ms = ANSWER_MS,
    };

    r->p = p;
    list_init(&r->lists);
    r->refuse = (struct deferred){.fn = on_refuse, .arg = r};
    pg_values_init(&r->values, MB(4));
    r->conn = pg_conn_new(&config, &ops, r);
}

/* The connection is made when somebody first wants to read. While it cannot be had, who asks is told so at
 * once (at the end of the turn) instead of after the backoff. */
static void want(struct pg_reader *r)
{
    pg_conn_start(r->conn);
    if (pg_conn_is_ready(r->conn))
        send_what_waits(r);
    else if (pg_conn_why(r->conn)[0] && !pg_conn_is_open(r->conn) && r->p->state != STORE_UP)
        loop_defer(r->p->loop, &r->refuse);
}

void pg_reader_load(struct pg_reader *r, struct load_batch *loads)
{
    BUG_ON(r->loads);
    r->loads = loads;
    r->loads_sent = false;
    want(r);
}

void pg_reader_list(struct pg_reader *r, struct list_query *query)
{
    list_append(&r->lists, &query->link);
    want(r);
}

void pg_reader_stop(struct pg_reader *r)
{
    loop_undefer(&r->refuse);
    pg_conn_close(r->conn);
    r->conn = NULL;
    r->loads_sent = r->list_sent = false;
    refuse_all(r);
    pg_values_release(&r->values);
}
