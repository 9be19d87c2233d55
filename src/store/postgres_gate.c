/* SPDX-License-Identifier: MIT
 *
 * May this database be served? Asked on the control connection whenever it is new, before anything else.
 *
 *     FACTS ----> too old, not UTF-8 -----------------------> refused
 *       |  \----> a standby --------------------------------> trouble, asked again
 *       v
 *     MIGRATIONS -> pending, may not migrate ---------------> refused, asked again: somebody may migrate
 *       |      \--> pending, may migrate --> thread --------> FACTS
 *       v
 *     open -> registration (postgres_log.c) -> lanes and readers
 *
 * A database with migrations newer than this binary is served: migrations only add. The tables of the
 * first SuperX live in the schema public and are never touched.
 *
 * Migrating runs in a thread with a blocking connection of its own: it happens once, and SQL that waits
 * for locks of other nodes would be hard to read as a state machine.
 */
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define VERSION_MIN 130000
#define AGAIN_MS 1000u

struct pg_migrating {
    uv_work_t work;
    struct postgres *p; /* borrowed: its grave waits for us */
    int stop;           /* atomic */
    int err;
    unsigned n_applied;
    char why[256];
};

static void on_again(struct timer *t, void *arg)
{
    (void)t;
    pg_gate_look(arg);
}

void pg_gate_init(struct postgres *p)
{
    timer_init(&p->gate.again, on_again, p);
}

void pg_gate_stop(struct postgres *p)
{
    timer_stop(p->loop, &p->gate.again);
    if (p->gate.migrating)
        __atomic_store_n(&p->gate.migrating->stop, 1, __ATOMIC_RELAXED);
}

void pg_gate_look(struct postgres *p)
{
    struct pg_gate *g = &p->gate;
    char table[PG_SCHEMA_MAX + 16];
    const char *values[1] = {table};

    if (g->is_looking || g->migrating || !pg_conn_is_ready(p->control))
        return;
    g->is_looking = true;
    snprintf(table, sizeof table, "\"%s\".migrations", p->schema);
    pg_conn_sql(
        p->control,
        "SELECT current_setting('fsync'), pg_is_in_recovery(), current_setting('server_encoding'), "
        "to_regclass($1) IS NOT NULL, EXISTS (SELECT FROM pg_attribute WHERE attrelid = "
        "to_regclass('public.tasks') AND attname = 'status' AND atttypid = 'jsonb'::regtype)",
        values, 1);
    pg_conn_sync(p->control, PG_TAG_FACTS);
}

#define REFUSE(g, ...) pg_say((g)->refused, sizeof(g)->refused, __VA_ARGS__)

static void note_facts(struct postgres *p, const PGresult *r)
{
    struct pg_gate *g = &p->gate;
    int version = pg_conn_server_version(p->control);
    const char *encoding = PQgetvalue(r, 0, 2);

    g->refused[0] = g->trouble[0] = '\0';
    g->has_table = PQgetvalue(r, 0, 3)[0] == 't';
    if (version < VERSION_MIN)
        REFUSE(g, "PostgreSQL %d.%d is too old: SuperX needs 13 or newer", version / 10000,
               version % 10000);
    else if (strcmp(encoding, "UTF8") != 0)
        REFUSE(
            g,
            "the database's encoding is %s: SuperX needs UTF8; make another database with ENCODING 'UTF8'",
            encoding);
    else if (PQgetvalue(r, 0, 1)[0] == 't')
        pg_target_explain(&p->target, "it is a standby and read-only; waiting for a primary",
                          g->trouble);
    if (strcmp(PQgetvalue(r, 0, 0), "off") == 0 && !g->told_fsync) {
        g->told_fsync = true;
        log_event(
            LOG_WARN,
            "the database server runs with fsync=off: what SuperX confirms may be lost when that "
            "machine loses power");
    }
    if (PQgetvalue(r, 0, 4)[0] == 't' && !g->told_old && strcmp(p->schema, "public") != 0) {
        g->told_old = true;
        log_event(
            LOG_INFO,
            "the database holds tables of the first SuperX (public.tasks, ...): they are left "
            "alone, and tasks in them are not shown here",
            LOG_Z("schema", p->schema));
    }
}

static void note_migrations(struct pg_gate *g, const PGresult *r)
{
    unsigned n_applied = 0, n_known = 0;

    g->n_newer = 0;
    for (const struct migration *m = postgres_migrations; m->number; m++)
        n_known++;
    for (int i = 0; r && i < PQntuples(r); i++) {
        int64_t number;
        bool is_known = false;

        if (str_to_i64(str_of(PQgetvalue(r, i, 0)), &number))
            continue;
        for (const struct migration *m = postgres_migrations; m->number; m++)
            is_known = is_known || m->number == number;
        n_applied += is_known;
        g->n_newer += !is_known;
    }
    g->n_pending = n_known - n_applied;
}

void pg_gate_result(struct postgres *p, int tag, const PGresult *r)
{
    if (tag == PG_TAG_FACTS)
        note_facts(p, r);
    else
        note_migrations(&p->gate, r);
}

/* --- migrating ---------------------------------------------------------------------------- */

static void migrate(uv_work_t *work)
{
    struct pg_migrating *m = CONTAINER_OF(work, struct pg_migrating, work);

    m->err = pg_migrate(&m->p->target, m->p->schema, &m->stop, &m->n_applied, m->why);
}

static void note_migrated(struct postgres *p, const struct pg_migrating *m)
{
    if (!m->err) {
        log_event(LOG_INFO, "database migrated", LOG_U64("applied", m->n_applied));
        p->gate.was_migrated = true;
        pg_gate_look(p);
        return;
    }
    if (m->err == ERR_CONNECT)
        pg_say(p->gate.trouble, sizeof p->gate.trouble, "%s", m->why);
    else
        REFUSE(&p->gate, "migrating failed: %s", m->why);
    postgres_judge(p);
    timer_start(p->loop, &p->gate.again, AGAIN_MS);
}

static void on_migrated(uv_work_t *work, int status)
{
    struct pg_migrating *m = CONTAINER_OF(work, struct pg_migrating, work);
    struct postgres *p = m->p;

    (void)status;
    p->grave.n_pending--;
    p->gate.migrating = NULL;
    if (!p->is_closing)
        note_migrated(p, m);
    mem_free(m);
}

static void start_migrating(struct postgres *p)
{
    struct pg_migrating *m = MEM_NEW(struct pg_migrating);

    m->p = p;
    BUG_ON(uv_queue_work(loop_uv(p->loop), &m->work, migrate, on_migrated) != 0);
    p->grave.n_pending++;
    p->gate.migrating = m;
}

/* --- the decision ------------------------------------------------------------------------- */

static void decide(struct postgres *p)
{
    struct pg_gate *g = &p->gate;

    if (!g->refused[0] && !g->trouble[0] && g->n_pending > 0) {
        if (p->migrate && !g->was_migrated) {
            start_migrating(p);
            return;
        }
        REFUSE(g,
               "%u pending migration%s in %s; run: superx db migrate (or start with --migrate)",
               g->n_pending, g->n_pending == 1 ? "" : "s", p->base.description);
    }
    g->is_open = !g->refused[0] && !g->trouble[0];
    if (g->is_open && g->n_newer > 0 && !g->told_newer) {
        g->told_newer = true;
        log_event(LOG_INFO,
                  "the database was migrated by a newer SuperX; this one keeps serving",
                  LOG_U64("newer_migrations", g->n_newer));
    }
    postgres_judge(p);
    if (g->is_open) {
        pg_log_register(p);
        return;
    }
    pg_errands_refuse(p, g->refused[0] ? g->refused : g->trouble);
    timer_start(p->loop, &g->again, AGAIN_MS);
}

void pg_gate_sync(struct postgres *p, int tag, const struct pg_error *error)
{
    struct pg_gate *g = &p->gate;

    g->is_looking = false;
    if (error) {
        char why[256];

        pg_target_explain(&p->target, error->text, why);
        pg_conn_fail(p->control, why);
        return;
    }
    if (tag == PG_TAG_FACTS && !g->refused[0] && !g->trouble[0]) {
        if (g->has_table) {
            g->is_looking = true;
            pg_conn_sql(p->control, "SELECT number FROM migrations", NULL, 0);
            pg_conn_sync(p->control, PG_TAG_MIGRATIONS);
            return;
        }
        note_migrations(g, NULL);
    }
    decide(p);
}
