/* SPDX-License-Identifier: MIT
 *
 * superx db: making, migrating, looking at and dropping the database. Blocking, on connections of its own;
 * run by the command line, and (pg_migrate only) by the gate in a thread, which is why nothing here logs
 * or touches the loop.
 *
 * Each migration is one transaction together with its row in `migrations`, under an advisory lock named
 * after the schema. The lock is polled and not waited for: a waiting session would hold a snapshot, which
 * CREATE INDEX CONCURRENTLY in a later migration would wait for in turn.
 *
 * Words and exit codes are those of store_db_run().
 */
#include <time.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/postgres_int.h"

#define EXIT_FAILED 1
#define EXIT_PENDING 3
#define EXIT_IN_USE 4
#define EXIT_UNREACHABLE 69

#define LOCK_POLL_MS 200
#define VERSION_MIN 130000

/* --- a blocking connection ---------------------------------------------------------------- */

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

static void wait_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* A connection to `database` (NULL: the target's), or NULL with `why` and the SQLSTATE of the refusal. */
static PGconn *connect_to(const struct pg_target *t, const char *database, char why[256],
                          char sqlstate[6])
{
    struct pg_keywords words;
    char timeout[16];
    size_t n = 0;
    PGconn *pg;

    pg_target_keywords(t, database, NULL, NULL, &words);
    while (words.keys[n])
        n++;
    BUG_ON(n + 2 > PG_KEYWORDS_MAX);
    snprintf(timeout, sizeof timeout, "%u", t->connect_timeout_s);
    words.keys[n] = "connect_timeout";
    words.values[n] = timeout;
    words.keys[n + 1] = NULL;
    pg = PQconnectStartParams(words.keys, words.values, 0);
    BUG_ON(!pg);
    /* Verbose from the start: the SQLSTATE of a refusal is in the text only, see pg_message_sqlstate(). */
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    if (PQstatus(pg) != CONNECTION_BAD)
        PQreset(pg); /* blocking, with the timeout; keeps the verbosity */
    PQsetNoticeProcessor(pg, ignore_notice, NULL);
    if (PQstatus(pg) == CONNECTION_OK)
        return pg;
    pg_target_explain(t, PQerrorMessage(pg), why);
    pg_message_sqlstate(PQerrorMessage(pg), sqlstate);
    PQfinish(pg);
    return NULL;
}

static bool is_good(const PGresult *r)
{
    return PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
}

static void say_error(const PGconn *pg, char why[256])
{
    struct str cause = pg_message_cause(PQerrorMessage(pg));

    /* "ERROR:  42501: text" lost its beginning in pg_message_cause(). */
    pg_say(why, 256, "%.*s", STR_ARG(cause));
}

/* Runs statements without parameters; their results are of no interest. */
static int run(PGconn *pg, const char *sql, char why[256])
{
    PGresult *r = PQexec(pg, sql);
    bool ok = is_good(r);

    PQclear(r);
    if (ok)
        return 0;
    say_error(pg, why);
    return ERR_STORE;
}

/* Runs one query; the result is the caller's. NULL: failed. */
static PGresult *ask(PGconn *pg, const char *sql, const char *value, char why[256])
{
    PGresult *r = PQexecParams(pg, sql, value ? 1 : 0, NULL, &value, NULL, NULL, 0);

    if (is_good(r))
        return r;
    say_error(pg, why);
    PQclear(r);
    return NULL;
}

static bool ask_bool(PGconn *pg, const char *sql, const char *value, bool *out, char why[256])
{
    PGresult *r = ask(pg, sql, value, why);

    if (r)
        *out = PQntuples(r) > 0 && PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return r != NULL;
}

/* --- migrations --------------------------------------------------------------------------- */

/* Which migrations are applied, as text numbers; NULL with why[0] == 0 when there is no table yet. */
static PGresult *ask_applied(PGconn *pg, const char *schema, char why[256])
{
    char name[PG_SCHEMA_MAX + 16], sql[PG_SCHEMA_MAX + 96];
    bool is_there = false;

    why[0] = '\0';
    snprintf(name, sizeof name, "\"%s\".migrations", schema);
    if (!ask_bool(pg, "SELECT to_regclass($1) IS NOT NULL", name, &is_there, why) || !is_there)
        return NULL;
    snprintf(sql, sizeof sql, "SELECT number, name FROM \"%s\".migrations ORDER BY number",
             schema);
    return ask(pg, sql, NULL, why);
}

static bool is_applied(const PGresult *applied, int number)
{
    for (int i = 0; applied && i < PQntuples(applied); i++) {
        int64_t n;

        if (!str_to_i64(str_of(PQgetvalue(applied, i, 0)), &n) && n == number)
            return true;
    }
    return false;
}

static bool is_known(int64_t number)
{
    for (const struct migration *m = postgres_migrations; m->number; m++)
        if (m->number == number)
            return true;
    return false;
}

/* The migration's text with the schema's name in its places. */
static void add_sql(struct buf *out, struct str sql, const char *schema)
{
    static const char place[] = "{schema}";

    while (sql.n > 0) {
        const char *at = memmem(sql.p, sql.n, place, sizeof place - 1);
        size_t n = at ? (size_t)(at - sql.p) : sql.n;

        buf_add(out, sql.p, n);
        if (at) {
            buf_printf(out, "\"%s\"", schema);
            n += sizeof place - 1;
        }
        sql = str_make(sql.p + n, sql.n - n);
    }
}

static int apply(PGconn *pg, const char *schema, const struct migration *m, char why[256])
{
    struct buf sql;
    char reason[256], undo[256];
    int err;

    buf_init(&sql, MB(4));
    BUF_LIT(&sql, "BEGIN;\n");
    add_sql(&sql, m->sql, schema);
    buf_printf(&sql,
               "\n;INSERT INTO \"%s\".migrations (number, name) VALUES (%d, '%s'); COMMIT",
               schema, m->number, m->name);
    BUG_ON(buf_error(&sql));
    err = run(pg, buf_z(&sql), reason);
    if (err) {
        pg_say(why, 256, "migration %s: %s", m->name, reason);
        if (run(pg, "ROLLBACK", undo))
            err = ERR_STORE; /* the connection is gone, and the transaction with it */
    }
    buf_release(&sql);
    return err;
}

static int lock(PGconn *pg, const char *schema, const int *stop, char why[256])
{
    bool is_ours = false;

    while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
        if (!ask_bool(
                pg,
                "SELECT pg_try_advisory_lock(hashtextextended('superx migrations of ' || $1, 0))",
                schema, &is_ours, why))
            return ERR_STORE;
        if (is_ours)
            return 0;
        wait_ms(LOCK_POLL_MS);
    }
    pg_say(why, 256, "stopped while another node is migrating");
    return ERR_CANCELED;
}

static int prepare_schema(PGconn *pg, const char *schema, char why[256])
{
    char sql[512];

    snprintf(
        sql, sizeof sql,
        "CREATE SCHEMA IF NOT EXISTS \"%s\"; CREATE TABLE IF NOT EXISTS \"%s\".migrations "
        "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        schema, schema);
    return run(pg, sql, why);
}

static int migrate_locked(PGconn *pg, const char *schema, unsigned *n_applied, char why[256])
{
    PGresult *applied = ask_applied(pg, schema, why);
    int err = !applied && why[0] ? ERR_STORE : 0;

    /* A role that may not create schemas can still run a database somebody else has prepared. */
    if (!err && !applied)
        err = prepare_schema(pg, schema, why);
    for (const struct migration *m = postgres_migrations; !err && m->number; m++) {
        if (is_applied(applied, m->number))
            continue;
        err = apply(pg, schema, m, why);
        if (!err && n_applied)
            (*n_applied)++;
    }
    PQclear(applied);
    return err;
}

static int migrate_over(PGconn *pg, const char *schema, const int *stop, unsigned *n_applied,
                        char why[256])
{
    int err;

    if (PQserverVersion(pg) < VERSION_MIN) {
        pg_say(why, 256, "PostgreSQL %d is too old: SuperX needs 13 or newer",
               PQserverVersion(pg) / 10000);
        return ERR_UNSUPPORTED;
    }
    err =
        run(pg, "SET client_min_messages = warning; SET synchronous_commit = on; SET jit = off",
            why);
    if (!err)
        err = lock(pg, schema, stop, why);
    if (!err)
        err = migrate_locked(pg, schema, n_applied, why);
    return err; /* the lock goes with the session */
}

int pg_migrate(const struct pg_target *t, const char *schema, const int *stop,
               unsigned *n_applied, char why[256])
{
    char sqlstate[6];
    PGconn *pg = connect_to(t, NULL, why, sqlstate);
    int err;

    if (!pg)
        return ERR_CONNECT;
    err = migrate_over(pg, schema, stop, n_applied, why);
    PQfinish(pg);
    return err;
}

/* --- the commands ------------------------------------------------------------------------- */

struct admin {
    struct pg_target target;
    const char *schema;
    FILE *out;
    bool json;
    /* for --json */
    bool created, dropped;
    unsigned n_applied;
    char why[256];
};

static int fail(const struct admin *a, int code)
{
    fprintf(stderr, "superx: %s\n", a->why);
    return code;
}

static void print_json_text(FILE *out, const char *z)
{
    fputc('"', out);
    for (; *z; z++) {
        unsigned char c = (unsigned char)*z;

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* The database beside the target from which it is made and dropped. */
static PGconn *connect_maintenance(struct admin *a)
{
    static const char *const names[] = {"postgres", "template1"};
    char sqlstate[6] = "";
    PGconn *pg = NULL;

    for (size_t i = 0; i < 2 && !pg; i++) {
        pg = connect_to(&a->target, names[i], a->why, sqlstate);
        if (!pg && strcmp(sqlstate, "3D000") != 0)
            break;
    }
    return pg;
}

static int connect_failed(const struct admin *a)
{
    return fail(a, EXIT_UNREACHABLE);
}

static int run_named(struct admin *a, PGconn *pg, const char *before, const char *after)
{
    char *name = PQescapeIdentifier(pg, a->target.database, strlen(a->target.database));
    char sql[512];
    int err;

    BUG_ON(!name);
    snprintf(sql, sizeof sql, "%s %s %s", before, name, after);
    PQfreemem(name);
    err = run(pg, sql, a->why);
    return err;
}

static bool last_error_is(const PGconn *pg, const char *wanted)
{
    char sqlstate[6];
    char message[512];

    /* A result's message has no "connection ... failed" before it, only "ERROR:  55006: ...". */
    pg_say(message, sizeof message, "%s", PQerrorMessage(pg));
    pg_message_sqlstate(message, sqlstate);
    return strcmp(sqlstate, wanted) == 0;
}

/* Nonzero: the exit code. */
static int create(struct admin *a)
{
    PGconn *pg;
    bool exists = false;
    int err;

    pg = connect_maintenance(a);
    if (!pg)
        return connect_failed(a);
    if (!ask_bool(pg, "SELECT true FROM pg_database WHERE datname = $1", a->target.database,
                  &exists, a->why)) {
        PQfinish(pg);
        return fail(a, EXIT_FAILED);
    }
    err =
        exists ? 0 : run_named(a, pg, "CREATE DATABASE", "ENCODING 'UTF8' TEMPLATE template0");
    /* Somebody else was faster: that is what we wanted. */
    if (err && (last_error_is(pg, "42P04") || last_error_is(pg, "23505"))) {
        exists = true;
        err = 0;
    }
    PQfinish(pg);
    if (err) {
        char reason[256];

        pg_say(reason, sizeof reason, "%s", a->why);
        pg_say(a->why, sizeof a->why, "cannot create database %s: %s", a->target.database,
               reason);
        return fail(a, EXIT_FAILED);
    }
    a->created = !exists;
    if (!a->json)
        fprintf(a->out, exists ? "Database %s exists already.\n" : "Database %s created.\n",
                a->target.database);
    return 0;
}

/* A connection to the database itself, or NULL with *code the exit code (already explained). */
static PGconn *connect_target(struct admin *a, int *code)
{
    char sqlstate[6] = "";
    PGconn *pg = connect_to(&a->target, NULL, a->why, sqlstate);

    if (!pg)
        *code = connect_failed(a);
    return pg;
}

static int migrate(struct admin *a)
{
    static const int never = 0;
    int code = 0;
    PGconn *pg = connect_target(a, &code);

    if (!pg)
        return code;
    if (migrate_over(pg, a->schema, &never, &a->n_applied, a->why))
        code = fail(a, EXIT_FAILED);
    else if (!a->json && a->n_applied > 0)
        fprintf(a->out, "Database %s: %u migration%s applied.\n", a->target.database,
                a->n_applied, a->n_applied == 1 ? "" : "s");
    else if (!a->json)
        fprintf(a->out, "Database %s is up to date.\n", a->target.database);
    PQfinish(pg);
    return code;
}

static void print_status_row(const struct admin *a, bool is_first, bool is_up, long long number,
                             const char *name)
{
    if (!a->json) {
        fprintf(a->out, "  %-8s  %04lld          %s\n", is_up ? "up" : "down", number, name);
        return;
    }
    fprintf(a->out, "%s{\"number\":%lld,\"name\":", is_first ? "" : ",", number);
    print_json_text(a->out, name);
    fprintf(a->out, ",\"status\":\"%s\"}", is_up ? "up" : "down");
}

/* Known ones first, then those only a newer SuperX knows. Returns how many are pending. */
static unsigned print_status(const struct admin *a, const PGresult *applied)
{
    unsigned n_pending = 0;
    bool is_first = true;

    if (a->json)
        fprintf(a->out, "{\"migrations\":[");
    else
        fprintf(a->out, "\n  Status    Migration ID  Migration Name\n"
                        "--------------------------------------------------\n");
    for (const struct migration *m = postgres_migrations; m->number; m++) {
        bool is_up = is_applied(applied, m->number);

        print_status_row(a, is_first, is_up, m->number, m->name);
        is_first = false;
        n_pending += !is_up;
    }
    for (int i = 0; applied && i < PQntuples(applied); i++) {
        int64_t number;

        if (str_to_i64(str_of(PQgetvalue(applied, i, 0)), &number) || is_known(number))
            continue;
        print_status_row(a, is_first, true, number,
                         a->json ? PQgetvalue(applied, i, 1) : "** by a newer SuperX **");
        is_first = false;
    }
    if (a->json)
        fprintf(a->out, "],\"pending\":%u}\n", n_pending);
    else
        fprintf(a->out, "\n");
    return n_pending;
}

static void note_old_tables(const struct admin *a, PGconn *pg)
{
    char why[256];
    bool is_old = false;

    if (!a->json &&
        ask_bool(
            pg,
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.tasks') "
            "AND attname = 'status' AND atttypid = 'jsonb'::regtype)",
            NULL, &is_old, why) &&
        is_old)
        fprintf(a->out,
                "Tables of the first SuperX (public.tasks, ...) are in this database too; "
                "they are left alone.\n");
}

static int status(struct admin *a)
{
    int code = 0;
    PGconn *pg = connect_target(a, &code);
    PGresult *applied;

    if (!pg)
        return code;
    applied = ask_applied(pg, a->schema, a->why);
    if (!applied && a->why[0]) {
        code = fail(a, EXIT_FAILED);
    } else {
        code = print_status(a, applied) > 0 ? EXIT_PENDING : 0;
        note_old_tables(a, pg);
    }
    PQclear(applied);
    PQfinish(pg);
    return code;
}

/* Names who is connected; returns how many, or -1. */
static int name_sessions(struct admin *a, PGconn *pg)
{
    PGresult *r = ask(
        pg,
        "SELECT pid, coalesce(nullif(application_name, ''), 'unnamed'), coalesce(usename, '?'), "
        "coalesce(host(client_addr), 'this machine') FROM pg_stat_activity WHERE datname = $1 "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1",
        a->target.database, a->why);
    int n;

    if (!r)
        return -1;
    n = PQntuples(r);
    if (n > 0)
        fprintf(stderr, "superx: database %s is in use by %d session%s:\n", a->target.database,
                n, n == 1 ? "" : "s");
    for (int i = 0; i < n; i++)
        fprintf(stderr, "  pid %s, %s, user %s, from %s\n", PQgetvalue(r, i, 0),
                PQgetvalue(r, i, 1), PQgetvalue(r, i, 2), PQgetvalue(r, i, 3));
    if (n > 0)
        fprintf(stderr, "Stop them and run this again.\n");
    PQclear(r);
    return n;
}

static bool is_maintenance(const char *name)
{
    return strcmp(name, "postgres") == 0 || strncmp(name, "template", 8) == 0;
}

static int drop_over(struct admin *a, PGconn *pg)
{
    bool exists = false;
    int n;

    if (!ask_bool(pg, "SELECT true FROM pg_database WHERE datname = $1", a->target.database,
                  &exists, a->why))
        return fail(a, EXIT_FAILED);
    if (!exists) {
        if (!a->json)
            fprintf(a->out, "Database %s does not exist.\n", a->target.database);
        return 0;
    }
    n = name_sessions(a, pg);
    if (n != 0)
        return n < 0 ? fail(a, EXIT_FAILED) : EXIT_IN_USE;
    if (run_named(a, pg, "DROP DATABASE", "")) {
        /* Somebody came between our look and the drop. */
        if (last_error_is(pg, "55006") && name_sessions(a, pg) >= 0)
            return EXIT_IN_USE;
        return fail(a, EXIT_FAILED);
    }
    a->dropped = true;
    if (!a->json)
        fprintf(a->out, "Database %s dropped.\n", a->target.database);
    return 0;
}

static int drop(struct admin *a)
{
    PGconn *pg;
    int code;

    if (is_maintenance(a->target.database)) {
        pg_say(a->why, sizeof a->why, "database %s belongs to the server; it is not dropped",
               a->target.database);
        return fail(a, EXIT_FAILED);
    }
    pg = connect_maintenance(a);
    if (!pg)
        return connect_failed(a);
    code = drop_over(a, pg);
    PQfinish(pg);
    return code;
}

static int dispatch(struct admin *a, enum store_db_command command)
{
    int code = 0;

    switch (command) {
    case STORE_DB_CREATE:
        return create(a);
    case STORE_DB_MIGRATE:
        return migrate(a);
    case STORE_DB_STATUS:
        return status(a);
    case STORE_DB_DROP:
        return drop(a);
    case STORE_DB_RESET:
        code = drop(a);
        break;
    case STORE_DB_SETUP:
        break;
    }
    if (!code)
        code = create(a);
    return code ? code : migrate(a);
}

static void print_result(const struct admin *a)
{
    fprintf(a->out, "{\"database\":");
    print_json_text(a->out, a->target.database);
    fprintf(a->out, ",\"created\":%s,\"dropped\":%s,\"applied\":%u}\n",
            a->created ? "true" : "false", a->dropped ? "true" : "false", a->n_applied);
}

int postgres_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                    bool json)
{
    struct admin a = {
        .schema = config->schema ? config->schema : "superx", .out = out, .json = json};
    int code;

    if (pg_target_parse(&a.target, config->database_url, a.why)) {
        code = fail(&a, 2);
    } else if (!pg_schema_is_valid(a.schema)) {
        pg_say(a.why, sizeof a.why, "\"%.60s\" cannot be a schema's name", a.schema);
        code = fail(&a, 2);
    } else {
        code = dispatch(&a, command);
        if (json && code == 0 && command != STORE_DB_STATUS)
            print_result(&a);
    }
    pg_target_release(&a.target);
    return code;
}
