/* SPDX-License-Identifier: MIT
 *
 * What is written beside the spine, on the control connection: the agents of file and environment, for people to
 * look at; the agents of the API, whole; and the tasks of nodes that are gone, which become ours.
 *
 *     puts     kept until they are written, newest of each source; sent after registration and with each beat
 *     errands  one after the other; whoever asked is told ERR_STORE when the connection is lost, and asks again
 *     specs    each change of api_agents counts in api_agents_changes. A beat reads the counter, and what is not
 *              known yet is read whole. "agents" on the channel makes every node beat at once.
 *
 * Dead is who has no lease: no row in nodes with lease_until in the future, by the database's clock. A node whose
 * own lease is over takes nothing. Rows another session is writing are passed over; they have an owner who lives.
 */
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define UNFINISHED "state IN (0, 1, 2, 6, 8)" /* as the index tasks_unfinished says it */

/* Walks the owners in the index, one look for each, so that the tasks of the living are not read. */
static const char take_sql[] =
    "WITH RECURSIVE o(owner) AS ((SELECT owner FROM tasks WHERE " UNFINISHED
    " ORDER BY owner LIMIT 1) UNION ALL SELECT (SELECT t.owner FROM tasks AS t WHERE t." UNFINISHED
    " AND t.owner > o.owner ORDER BY t.owner LIMIT 1) FROM o WHERE o.owner IS NOT NULL), "
    "dead AS MATERIALIZED (SELECT o.owner FROM o WHERE o.owner <> $1::uuid "
    "AND NOT EXISTS (SELECT FROM nodes AS n WHERE n.boot = o.owner AND n.lease_until > now()) "
    "AND EXISTS (SELECT FROM nodes AS n WHERE n.boot = $1::uuid AND n.lease_until > now())), "
    "picked AS MATERIALIZED (SELECT t.key FROM dead CROSS JOIN LATERAL (SELECT key FROM tasks "
    "WHERE owner = dead.owner AND " UNFINISHED " ORDER BY key LIMIT $2::int8 "
    "FOR UPDATE SKIP LOCKED) AS t LIMIT $2::int8) "
    "UPDATE tasks AS t SET owner = $1::uuid FROM picked AS p WHERE t.key = p.key "
    "RETURNING t.agent, t.task_id, t.state";

static const char save_sql[] =
    "WITH s AS (INSERT INTO api_agents (id, url, version, spec) "
    "VALUES ($1::text, $2::text, $3::text, $4::text) ON CONFLICT (id) DO UPDATE "
    "SET url = EXCLUDED.url, version = EXCLUDED.version, spec = EXCLUDED.spec, changed_at = now()) "
    "UPDATE api_agents_changes SET n = n + 1";

static const char delete_sql[] =
    "WITH d AS (DELETE FROM api_agents WHERE id = $1::text RETURNING id), "
    "c AS (UPDATE api_agents_changes SET n = n + 1 WHERE EXISTS (SELECT FROM d)) SELECT id FROM d";

/* In one statement: the counter and what it counts are of one snapshot. There is always a row. */
static const char specs_sql[] =
    "SELECT c.n, a.id, a.spec FROM api_agents_changes AS c LEFT JOIN api_agents AS a ON true";

static void on_refuse(void *arg);

void pg_errands_init(struct postgres *p)
{
    struct pg_errands *e = &p->errands;

    list_init(&e->puts);
    list_init(&e->waiting);
    e->refuse = (struct deferred){.fn = on_refuse, .arg = p};
    pg_values_init(&e->values, MB(256));
}

void pg_errands_release(struct postgres *p)
{
    pg_values_release(&p->errands.values);
}

static bool may_send(const struct postgres *p)
{
    return p->log.is_registered && pg_conn_is_ready(p->control) && !p->is_closing;
}

/* --- agents of file and environment ------------------------------------------------------- */

static void add_ids(struct pg_values *v, const struct agents_put *put)
{
    pg_add_text(v, put->source);
    pg_add_array(v, PG_TEXT, put->n);
    for (size_t i = 0; i < put->n; i++)
        pg_element_text(v, put->agents[i].id);
}

static void send_put(struct postgres *p)
{
    struct pg_errands *e = &p->errands;
    struct list *first = list_first(&e->puts);
    struct pg_values *v = &e->values;
    const struct agents_put *put;

    if (!first || e->put_sent || !may_send(p))
        return;
    put = CONTAINER_OF(first, struct agents_put, link);
    e->put_sent = true;
    pg_values_clear(v);
    add_ids(v, put);
    BUG_ON(pg_values_end(v)); /* the operator's agents, counted and bounded by LIMIT_AGENTS */
    pg_conn_query(p->control,
                  "DELETE FROM agents WHERE source = $1::text AND id <> ALL ($2::text[])",
                  v->values, v->n);
    pg_values_clear(v);
    add_ids(v, put);
    pg_add_array(v, PG_TEXT, put->n);
    for (size_t i = 0; i < put->n; i++)
        pg_element_text(v, put->agents[i].url);
    pg_add_array(v, PG_TEXT, put->n);
    for (size_t i = 0; i < put->n; i++)
        pg_element_text(v, put->agents[i].version);
    BUG_ON(pg_values_end(v));
    pg_conn_query(
        p->control,
        "INSERT INTO agents AS a (id, url, version, source) SELECT DISTINCT ON (i.id) "
        "i.id, i.url, i.version, "
        "$1::text FROM unnest($2::text[], $3::text[], $4::text[]) AS i(id, url, version) "
        "ON CONFLICT (id) DO UPDATE SET url = EXCLUDED.url, version = EXCLUDED.version, "
        "source = EXCLUDED.source, changed_at = now() WHERE (a.url, a.version, a.source) "
        "IS DISTINCT FROM (EXCLUDED.url, EXCLUDED.version, EXCLUDED.source)",
        v->values, v->n);
    pg_conn_sync(p->control, PG_TAG_AGENTS);
    pg_values_clear(v);
}

static void put_done(struct postgres *p, const struct pg_error *error)
{
    struct pg_errands *e = &p->errands;
    struct agents_put *put = CONTAINER_OF(list_first(&e->puts), struct agents_put, link);

    e->put_sent = false;
    if (error) {
        log_event(LOG_WARN, "agents could not be stored", LOG_STR("source", put->source),
                  LOG_Z("why", error->text));
        if (pg_error_classify(error->sqlstate) != PG_ERROR_ROW)
            return; /* the next beat tries again */
    }
    list_remove(&put->link);
    agents_put_free(put);
    send_put(p);
}

void pg_errands_put(struct postgres *p, struct agents_put *put)
{
    struct pg_errands *e = &p->errands;

    LIST_EACH_SAFE (it, &e->puts) {
        struct agents_put *earlier = CONTAINER_OF(it, struct agents_put, link);
        bool is_out = e->put_sent && it == e->puts.next;

        if (!is_out && str_is(earlier->source, put->source)) {
            list_remove(it);
            agents_put_free(earlier);
        }
    }
    list_append(&e->puts, &put->link);
    send_put(p);
}

/* --- errands ------------------------------------------------------------------------------ */

static void add_errand(struct pg_values *v, const struct errand *e)
{
    if (e->kind == ERRAND_TAKE) {
        pg_add_uuid(v, &e->owner);
        pg_add_int8(v, (int64_t)e->limit);
        return;
    }
    pg_add_text(v, e->id);
    if (e->kind == ERRAND_DELETE)
        return;
    pg_add_text(v, e->url);
    if (e->version.p)
        pg_add_text(v, e->version);
    else
        pg_add_null(v);
    pg_add_text(v, e->spec);
}

static struct errand *first_errand(struct postgres *p)
{
    struct list *first = list_first(&p->errands.waiting);

    return first ? CONTAINER_OF(first, struct errand, link) : NULL;
}

static void send_errand(struct postgres *p)
{
    static const char *const sql[] = {
        [ERRAND_TAKE] = take_sql, [ERRAND_SAVE] = save_sql, [ERRAND_DELETE] = delete_sql};
    struct errand *e = first_errand(p);
    struct pg_values *v = &p->errands.values;

    if (!e || p->errands.is_sent || !may_send(p))
        return;
    p->errands.is_sent = true;
    e->err = e->kind == ERRAND_DELETE ? ERR_ABSENT : 0; /* until its id comes back */
    pg_values_clear(v);
    add_errand(v, e);
    BUG_ON(pg_values_end(v)); /* bounded by the core */
    pg_conn_query(p->control, sql[e->kind], v->values, v->n);
    pg_conn_sync(p->control, PG_TAG_ERRAND);
    pg_values_clear(v);
}

void pg_errands_run(struct postgres *p, struct errand *e)
{
    list_append(&p->errands.waiting, &e->link);
    send_errand(p);
}

static void read_taken(struct errand *e, const PGresult *r)
{
    e->n = 0;
    for (int i = 0; i < PQntuples(r); i++)
        (void)errand_add(e, pg_get_str(r, i, 0), pg_get_str(r, i, 1),
                         (enum a2a_state)pg_get_int2(r, i, 2));
}

static void hand_back(struct postgres *p, struct errand *e, int err, const char *why)
{
    list_remove(&e->link);
    e->err = err;
    if (err == ERR_STORE) {
        e->n = 0;
        pg_say(e->why, sizeof e->why, "%s", why);
    }
    store_errand_done(p->base.store, e);
}

static void errand_done(struct postgres *p, const struct pg_error *error)
{
    struct errand *e = first_errand(p);
    const char *values[1] = {p->channel};

    p->errands.is_sent = false;
    if (!error && !e->err && e->kind != ERRAND_TAKE) {
        pg_conn_sql(p->control, "SELECT pg_notify($1, 'agents')", values, 1);
        pg_conn_sync(p->control, PG_TAG_NEWS);
    }
    hand_back(p, e, error ? ERR_STORE : e->err, error ? error->text : "");
    send_errand(p);
}

static void refuse_all(struct postgres *p, const char *why)
{
    struct list refused, *first;

    list_init(&refused);
    list_splice(&refused, &p->errands.waiting);
    p->errands.is_sent = false;
    while ((first = list_first(&refused)))
        hand_back(p, CONTAINER_OF(first, struct errand, link), ERR_STORE, why);
}

static void on_refuse(void *arg)
{
    struct postgres *p = arg;

    /* One that is out has its answer to come, or its connection to lose. */
    if (!p->errands.is_sent)
        refuse_all(p, p->errands.why);
}

void pg_errands_refuse(struct postgres *p, const char *why)
{
    if (list_is_empty(&p->errands.waiting))
        return;
    pg_say(p->errands.why, sizeof p->errands.why, "%s", why);
    loop_defer(p->loop, &p->errands.refuse);
}

/* --- agents of the API -------------------------------------------------------------------- */

void pg_errands_changes(struct postgres *p, uint64_t changes)
{
    struct pg_errands *e = &p->errands;

    if (e->are_asked || (e->are_told && e->changes == changes) || !may_send(p))
        return;
    e->are_asked = true;
    pg_conn_query(p->control, specs_sql, NULL, 0);
    pg_conn_sync(p->control, PG_TAG_SPECS);
}

static void read_specs(struct pg_errands *e, const PGresult *r)
{
    specs_free(e->specs);
    e->specs = specs_new();
    for (int i = 0; i < PQntuples(r); i++) {
        e->specs_changes = pg_get_int8(r, i, 0);
        if (!PQgetisnull(r, i, 1))
            specs_add(e->specs, pg_get_str(r, i, 1), pg_get_str(r, i, 2));
    }
}

static void specs_done(struct postgres *p, const struct pg_error *error)
{
    struct pg_errands *e = &p->errands;

    e->are_asked = false;
    if (error)
        log_event(LOG_WARN, "agents of the API could not be read, trying again",
                  LOG_Z("why", error->text));
    if (error || !e->specs)
        return;
    e->are_told = true;
    e->changes = e->specs_changes;
    store_specs(p->base.store, e->specs);
    e->specs = NULL;
}

void pg_errands_forget(struct postgres *p)
{
    p->errands.are_told = false;
}

/* --- the control connection --------------------------------------------------------------- */

void pg_errands_send(struct postgres *p)
{
    send_put(p);
    send_errand(p);
}

void pg_errands_result(struct postgres *p, int tag, const PGresult *r)
{
    struct errand *e = first_errand(p);

    if (tag == PG_TAG_SPECS)
        read_specs(&p->errands, r);
    else if (e->kind == ERRAND_TAKE)
        read_taken(e, r);
    else if (e->kind == ERRAND_DELETE && PQntuples(r) > 0)
        e->err = 0;
}

void pg_errands_sync(struct postgres *p, int tag, const struct pg_error *error)
{
    if (tag == PG_TAG_AGENTS)
        put_done(p, error);
    else if (tag == PG_TAG_SPECS)
        specs_done(p, error);
    else
        errand_done(p, error);
}

void pg_errands_down(struct postgres *p, bool was_ready, const char *why)
{
    struct pg_errands *e = &p->errands;
    struct errand *out = e->is_sent ? first_errand(p) : NULL;

    e->put_sent = e->are_asked = e->is_sent = false;
    specs_free(e->specs);
    e->specs = NULL;
    if (out)
        hand_back(p, out, ERR_STORE,
                  "the database connection was lost; whether it was written is not known");
    if (!was_ready)
        refuse_all(p, why);
}

void pg_errands_stop(struct postgres *p)
{
    struct pg_errands *e = &p->errands;
    struct list *first;

    loop_undefer(&e->refuse);
    refuse_all(p, "the gateway is closing");
    specs_free(e->specs);
    e->specs = NULL;
    while ((first = list_first(&e->puts))) {
        list_remove(first);
        agents_put_free(CONTAINER_OF(first, struct agents_put, link));
    }
}
