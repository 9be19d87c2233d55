/* SPDX-License-Identifier: MIT
 *
 * Loads and logs on one connection, lists on one of their own where the pool allows: a count over a million rows must
 * not stand in front of a task somebody waits for.
 *
 * Loads come as one statement for the whole batch, so that documents and the events behind them are of one
 * snapshot. What it may bring is bounded on the server: tasks are taken in the order asked for until
 * LOADS_MAX bytes; the rest comes back without its document and is asked for again by the core. The
 * answer's strings are views into libpq's result, which lives until the core has taken what it wants.
 *
 * Pages of logs are one statement each, several in flight, so that one page is in memory at a time however many readers
 * fell behind. The server cuts the page: a running sum of lengths, which it knows without unpacking the payloads.
 *
 * Lists are keyset pages, newest status first. There is an index per agent and none over all agents
 * (0001_first), so a list over all walks the agents, each step one look into the index, takes the first
 * page of each, and sorts those; who has a task of some id is found by the same walk. LATER: an index over
 * all agents, and one on task_id, when somebody has many thousands of them. Tasks of a context are few:
 * they are all read and sorted. States are filtered while walking. LATER: an index (agent, state,
 * status_at), when lists of a rare state among many tasks take too long; it costs each status change an
 * index entry.
 *
 * Documents come in the statement of their page, so that a row and its document are of one snapshot; the
 * server stops where they exceed LIMIT_LIST_BYTES.
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
#define PAGE_MAX "16777216"  /* the same of a page */
#define ANSWER_MS 35000u     /* behind the statement_timeout of 30 s */

_Static_assert(LIMIT_LIST_BYTES == 16777216, "PAGE_MAX says it to the server");

#define LOG_WINDOW 16u /* pages of logs under way at once */

enum reader_tag { TAG_LOAD, TAG_LIST, TAG_LOG };

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
    L_STATUS_AT,
    /* pages only */
    L_AGENT,
    L_ID
};

/* Columns of "log"; the first row is there if the task is, with nulls behind it when there is no event. */
enum { G_SEQ, G_KIND, G_DIALECT, G_PAYLOAD };

_Static_assert(LIMIT_FEED_EVENTS == 1024, "the statement \"log\" says it to the server");

/* $1 rows, $2 and $3 where the page begins, $4 state, $5 earliest status time, $6 and $7 the task behind which
 * the page begins, $8 agent, $9 context. */
#define NEWEST "ORDER BY status_at DESC, key DESC "
#define MATCHES(state, after)                                                                  \
    "(" state "::int4 IS NULL OR t.state = " state "::int4) AND t.status_at >= " after         \
    "::timestamptz "
#define BEHIND                                                                                 \
    "AND (t.status_at, t.key) < ($2::timestamptz, coalesce((SELECT k.key FROM tasks AS k "     \
    "WHERE k.agent = $6::text AND k.task_id = $7::text), $3::uuid)) "
#define IN_CONTEXT(agent, context)                                                             \
    "t.context = " context "::text AND (" agent "::text IS NULL OR t.agent = " agent           \
    "::text) AND "
#define AGENTS                                                                                  \
    "WITH RECURSIVE a(agent) AS ((SELECT agent FROM tasks ORDER BY agent LIMIT 1) UNION ALL "   \
    "SELECT (SELECT t.agent FROM tasks AS t WHERE t.agent > a.agent ORDER BY t.agent LIMIT 1) " \
    "FROM a WHERE a.agent IS NOT NULL) "

#define PAGE_AGENT                                                                             \
    "SELECT * FROM tasks AS t WHERE t.agent = $8::text AND " MATCHES("$4", "$5") BEHIND NEWEST \
        "LIMIT $1::int8"
#define PAGE_ALL                                                                               \
    AGENTS "SELECT r.* FROM a CROSS JOIN LATERAL (SELECT * FROM tasks AS t "                   \
           "WHERE t.agent = a.agent AND " MATCHES("$4", "$5") BEHIND NEWEST                    \
        "LIMIT $1::int8) AS r "                                                                \
        "WHERE a.agent IS NOT NULL " NEWEST "LIMIT $1::int8"
#define PAGE_CONTEXT                                                                           \
    "SELECT * FROM (SELECT * FROM tasks AS t WHERE " IN_CONTEXT("$8", "$9")                    \
        MATCHES("$4", "$5") BEHIND "OFFSET 0) AS t " NEWEST "LIMIT $1::int8"
#define FOUND                                                                                  \
    AGENTS "SELECT t.* FROM a JOIN tasks AS t ON t.agent = a.agent AND t.task_id = $2::text "  \
           "ORDER BY t.agent LIMIT $1::int8"

/* The page's rows alone. */
#define ROWS(page, order)                                                                                   \
    "SELECT 0::int4, 0::int2, seq, NULL::text, true, key, owner, context, dialect, state, seq, status_at, " \
    "agent, task_id FROM (" page ") AS p " order

/* The same with documents and the events behind them. */
#define ROWS_WITH_DOCS(page)                                                                                                                               \
    "WITH p AS MATERIALIZED (" page                                                                                                                        \
    "), f AS MATERIALIZED (SELECT row_number() OVER w AS n, p.*, d.seq AS doc_seq, "                                                                       \
    "d.doc, sum(coalesce(octet_length(d.doc), 0)) OVER w <= " PAGE_MAX                                                                                     \
    " OR row_number() OVER w = 1 AS fits "                                                                                                                 \
    "FROM p LEFT JOIN task_docs AS d ON d.key = p.key "                                                                                                    \
    "WINDOW w AS (ORDER BY p.status_at DESC, p.key DESC ROWS UNBOUNDED PRECEDING)) "                                                                       \
    "SELECT n::int4, 0::int2, seq, CASE WHEN fits THEN doc END, fits, key, owner, context, dialect, "                                                      \
    "state, coalesce(doc_seq, seq), status_at, agent, task_id FROM f "                                                                                     \
    "UNION ALL SELECT f.n::int4, e.kind, e.seq, e.payload, true, NULL, NULL, NULL, "                                                                       \
    "coalesce(e.dialect, f.dialect), NULL, NULL, NULL, NULL, NULL FROM f JOIN task_events AS e ON e.key = f.key AND e.seq > f.doc_seq AND e.seq <= f.seq " \
    "WHERE f.fits ORDER BY 1, 3"

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
     "UNION ALL SELECT f.n::int4, e.kind, e.seq, e.payload, true, NULL, NULL, NULL, "
     "coalesce(e.dialect, f.dialect), NULL, NULL, NULL FROM f JOIN task_events AS e ON e.key = f.key AND e.seq > f.doc_seq AND e.seq <= f.seq "
     "WHERE f.fits ORDER BY 1, 3"},
    {"log",
     "SELECT e.seq, e.kind, coalesce(e.dialect, t.dialect), e.payload FROM tasks AS t LEFT JOIN LATERAL "
     "(SELECT * FROM (SELECT l.*, sum(octet_length(l.payload)) OVER w AS upto, row_number() OVER w AS n "
     "FROM (SELECT seq, kind, dialect, payload FROM task_events "
     "WHERE key = t.key AND seq > $3::int8 ORDER BY seq LIMIT 1024) AS l "
     "WINDOW w AS (ORDER BY l.seq ROWS UNBOUNDED PRECEDING)) AS s "
     "WHERE s.upto <= $4::int8 OR s.n = 1) AS e ON true "
     "WHERE t.agent = $1::text AND t.task_id = $2::text ORDER BY e.seq"},
    {"page_agent", ROWS(PAGE_AGENT, NEWEST)},
    {"page_all", ROWS(PAGE_ALL, NEWEST)},
    {"page_context", ROWS(PAGE_CONTEXT, NEWEST)},
    {"docs_agent", ROWS_WITH_DOCS(PAGE_AGENT)},
    {"docs_all", ROWS_WITH_DOCS(PAGE_ALL)},
    {"docs_context", ROWS_WITH_DOCS(PAGE_CONTEXT)},
    {"found", ROWS(FOUND, "ORDER BY agent")},
    {"total_agent", "SELECT count(*) FROM tasks WHERE agent = $1::text"},
    {"total_all", "SELECT count(*) FROM tasks"},
    {"matches_agent",
     "SELECT count(*) FROM tasks AS t WHERE t.agent = $1::text AND " MATCHES("$2", "$3")},
    {"matches_all", "SELECT count(*) FROM tasks AS t WHERE " MATCHES("$1", "$2")},
    {"matches_context",
     "SELECT count(*) FROM tasks AS t WHERE " IN_CONTEXT("$1", "$2") MATCHES("$3", "$4")},
};

/* As for the lanes: by index whatever the statistics say. A bitmap would collect all tasks of an agent and sort them
 * for a page of fifty: 30 ms instead of 0.1 with 40,000 of them. */
#define SETTINGS                                                                                \
    ", set_config('plan_cache_mode', 'force_generic_plan', false)"                              \
    ", set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false)" \
    ", set_config('enable_mergejoin', 'off', false), set_config('enable_bitmapscan', 'off', false)"

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
    if (PQnfields(f) > L_ID) {
        load->agent = pg_get_str(f, row, L_AGENT);
        load->id = pg_get_str(f, row, L_ID);
    }
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
static void read_load(struct load *load, const PGresult *f, int from, int to,
                      struct arena *arena)
{
    size_t n_tail = (size_t)(to - from - 1);

    load->tail = NULL;
    load->n_tail = 0;
    if (n_tail > 0) {
        load->tail = arena_take(arena, n_tail * sizeof *load->tail);
        if (!load->tail) {
            load->err = ERR_AGAIN;
            return;
        }
    }
    for (int i = from; i < to; i++) {
        int kind = pg_get_int2(f, i, L_KIND);

        if (kind != 0)
            load->tail[load->n_tail++] =
                (struct store_event){.seq = pg_get_int8(f, i, L_SEQ),
                                     .kind = (enum a2a_event_kind)kind,
                                     .dialect = (enum a2a_version)pg_get_int2(f, i, L_DIALECT),
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
            read_load(load, f, from, at, r->loads->arena);
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

static void add_nullable(struct pg_values *v, struct str s)
{
    if (s.p)
        pg_add_text(v, s);
    else
        pg_add_null(v);
}

static void add_matches(struct pg_values *v, const struct list_query *q)
{
    if (q->has_state)
        pg_add_int4(v, (int32_t)q->state);
    else
        pg_add_null(v);
    pg_add_time(v, q->has_after_us ? q->after_us : INT64_MIN); /* the server's -infinity */
}

static void run(struct pg_reader *r, const char *statement)
{
    BUG_ON(pg_values_end(&r->values)); /* names of bounded length */
    pg_conn_run(r->conn, statement, r->values.values, r->values.n);
}

static void send_page(struct pg_reader *r, const struct list_query *q)
{
    static const struct uuid last = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    struct pg_values *v = &r->values;

    pg_values_clear(v);
    pg_add_int8(v, (int64_t)q->limit + 1);
    pg_add_time(v, q->has_from ? q->from_us : INT64_MAX);
    pg_add_uuid(v, &last);
    add_matches(v, q);
    add_nullable(v, q->from_agent);
    add_nullable(v, q->from_id);
    if (q->agent.p || q->context.p)
        add_nullable(v, q->agent);
    if (q->context.p)
        pg_add_text(v, q->context);
    run(r, q->context.p ? (q->want_docs ? "docs_context" : "page_context")
           : q->agent.p ? (q->want_docs ? "docs_agent" : "page_agent")
                        : (q->want_docs ? "docs_all" : "page_all"));
}

static void send_total(struct pg_reader *r, const struct list_query *q)
{
    bool is_plain = !q->context.p && !q->has_state && !q->has_after_us;
    struct pg_values *v = &r->values;

    pg_values_clear(v);
    if (q->agent.p || q->context.p)
        add_nullable(v, q->agent);
    if (q->context.p)
        pg_add_text(v, q->context);
    if (!is_plain)
        add_matches(v, q);
    run(r, q->context.p ? "matches_context"
           : q->agent.p ? (is_plain ? "total_agent" : "matches_agent")
                        : (is_plain ? "total_all" : "matches_all"));
}

static void send_find(struct pg_reader *r, const struct list_query *q)
{
    pg_values_clear(&r->values);
    pg_add_int8(&r->values, (int64_t)q->limit);
    pg_add_text(&r->values, q->id);
    run(r, "found");
}

static void send_list(struct pg_reader *r)
{
    struct list_query *q = first_list(r);

    r->list_sent = true;
    if (q->id.p) {
        send_find(r, q);
    } else {
        send_page(r, q);
        send_total(r, q);
    }
    pg_conn_sync(r->conn, TAG_LIST);
}

static int read_page(struct list_query *q, const PGresult *page)
{
    int at = 0, n_rows = PQntuples(page);

    q->rows = arena_take(q->arena, q->limit * sizeof *q->rows);
    if (!q->rows)
        return ERR_STORE;
    q->n = 0;
    q->has_more = false;
    while (at < n_rows) {
        struct load *row = &q->rows[q->n];
        int from = at++, n = pg_get_int4(page, from, L_N);

        while (q->want_docs && at < n_rows && pg_get_int4(page, at, L_N) == n)
            at++;
        q->has_more = q->n == q->limit;
        if (q->has_more)
            break;
        *row = (struct load){0};
        read_load(row, page, from, at, q->arena);
        /* The server said that the page is full, or there is no room for the events. */
        q->has_more = row->err != 0;
        if (q->has_more)
            return q->n > 0 ? 0 : ERR_STORE;
        q->n++;
    }
    return 0;
}

static void finish_list(struct pg_reader *r, int err)
{
    struct list_query *q = first_list(r);
    PGresult *page = r->page;

    if (!err)
        err = page ? read_page(q, page) : ERR_STORE;
    list_remove(&q->link);
    r->list_sent = false;
    r->page = NULL; /* the core may ask for more from inside */
    q->err = err;
    store_list_done(r->p->base.store, q);
    PQclear(page);
}

/* --- logs --------------------------------------------------------------------------------- */

static void send_log(struct pg_reader *r, const struct log_query *q)
{
    struct pg_values *v = &r->values;

    pg_values_clear(v);
    pg_add_text(v, q->agent);
    pg_add_text(v, q->id);
    pg_add_int8(v, q->after < INT64_MAX ? (int64_t)q->after : INT64_MAX);
    pg_add_int8(v, q->max_bytes < INT64_MAX ? (int64_t)q->max_bytes : INT64_MAX);
    run(r, "log");
    pg_conn_sync(r->conn, TAG_LOG);
    r->n_logs_sent++;
}

/* As many as may be under way; those that are stand first. */
static void send_logs(struct pg_reader *r)
{
    struct list *it = r->logs.next;

    for (unsigned i = 0; i < r->n_logs_sent; i++)
        it = it->next;
    for (; it != &r->logs && r->n_logs_sent < LOG_WINDOW; it = it->next)
        send_log(r, CONTAINER_OF(it, struct log_query, link));
}

static void read_log(struct log_query *q, const PGresult *f)
{
    q->found = PQntuples(f) > 0;
    for (int i = 0; i < PQntuples(f) && !PQgetisnull(f, i, G_SEQ); i++) {
        struct store_event *e = log_query_add(q);

        BUG_ON(!e); /* the statement has a LIMIT */
        *e = (struct store_event){.seq = pg_get_int8(f, i, G_SEQ),
                                  .kind = (enum a2a_event_kind)pg_get_int2(f, i, G_KIND),
                                  .dialect = (enum a2a_version)pg_get_int2(f, i, G_DIALECT),
                                  .payload = pg_get_str(f, i, G_PAYLOAD)};
    }
}

/* The first of those in flight has its answer, or none of them will. */
static void finish_log(struct pg_reader *r, int err)
{
    struct list *first = list_first(&r->logs);
    struct log_query *q = CONTAINER_OF(first, struct log_query, link);
    PGresult *events = r->log;

    BUG_ON(!first);
    if (!err && !events)
        err = ERR_STORE;
    if (!err)
        read_log(q, events);
    list_remove(&q->link);
    r->n_logs_sent -= r->n_logs_sent > 0;
    r->log = NULL; /* the core may ask for more from inside */
    q->err = err;
    store_log_done(r->p->base.store, q);
    PQclear(events);
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
    send_logs(r);
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
    } else if (tag == TAG_LOG) {
        r->log = *result;
        *result = NULL;
    } else if (query == 0) {
        r->page = *result;
        *result = NULL;
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
    else if (tag == TAG_LOG)
        finish_log(r, error ? ERR_STORE : 0);
    else if (error) /* data that cannot be: the time in a token somebody made up */
        finish_list(r, strncmp(error->sqlstate, "22", 2) == 0 ? ERR_INVALID : ERR_STORE);
    else
        finish_list(r, 0);
    send_what_waits(r);
}

static void refuse_logs(struct pg_reader *r)
{
    struct list refused, *first;

    list_init(&refused);
    list_splice(&refused, &r->logs);
    r->n_logs_sent = 0;
    while ((first = list_first(&refused))) {
        struct log_query *q = CONTAINER_OF(first, struct log_query, link);

        list_remove(first);
        q->err = ERR_STORE;
        store_log_done(r->p->base.store, q);
    }
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
    refuse_logs(r);
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
    PQclear(r->page);
    PQclear(r->log);
    r->found = r->page = r->log = NULL;
    r->loads_sent = r->list_sent = false;
    r->n_logs_sent = 0;
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
    list_init(&r->logs);
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

void pg_reader_log(struct pg_reader *r, struct log_query *query)
{
    list_append(&r->logs, &query->link);
    want(r);
}

void pg_reader_stop(struct pg_reader *r)
{
    loop_undefer(&r->refuse);
    pg_conn_close(r->conn);
    r->conn = NULL;
    PQclear(r->found);
    PQclear(r->page);
    PQclear(r->log);
    r->found = r->page = r->log = NULL;
    r->loads_sent = r->list_sent = false;
    refuse_all(r);
    pg_values_release(&r->values);
}
