/* SPDX-License-Identifier: MIT
 *
 * The PostgreSQL backend: the suite every store must pass, and what only a server can do to us. Run it with
 * tools/with-postgres; without TEST_DATABASE_URL everything that needs a server is skipped.
 *
 * Every test has a schema of its own, and its sessions an application_name of their own, by which the test
 * finds and kills them. Tests that bring down the whole server run in a second process with a cluster of
 * its own.
 */
#include <errno.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "suite.h"

#include "lib/log.h"
#include "store/postgres_int.h"

/* --- what a backend brings ---------------------------------------------------------------- */

static PGconn *admin; /* one connection for all tests; search_path is set per use */

static bool run_sql(const char *sql)
{
    PGresult *r = PQexec(admin, sql);
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;

    if (!ok) {
        printf("    %s: %s", sql, PQerrorMessage(admin));
        test_failures++;
    }
    PQclear(r);
    return ok;
}

static bool has_server(void)
{
    const char *url = getenv("TEST_DATABASE_URL");

    if (!url || !*url) {
        printf("    skipped: TEST_DATABASE_URL is not set (tools/with-postgres sets it)\n");
        return false;
    }
    if (admin)
        return PQstatus(admin) == CONNECTION_OK;
    admin = PQconnectdb(url);
    if (PQstatus(admin) != CONNECTION_OK) {
        printf("    cannot connect: %s", PQerrorMessage(admin));
        test_failures++;
        return false;
    }
    return run_sql("SET client_min_messages = warning");
}

static void admin_again(void)
{
    PQreset(admin);
    CHECK(has_server());
    run_sql("SET client_min_messages = warning");
}

static bool suite_make(struct store_config *config)
{
    static unsigned n;
    char schema[PG_SCHEMA_MAX + 1], url[512], sql[128];
    const char *base = getenv("TEST_DATABASE_URL");

    if (!has_server())
        return false;
    snprintf(schema, sizeof schema, "t_%ld_%u", (long)getpid(), ++n);
    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE", schema);
    run_sql(sql);
    snprintf(url, sizeof url, "%s%capplication_name=%s", base, strchr(base, '?') ? '&' : '?',
             schema);
    config->schema = mem_str(schema, strlen(schema));
    config->database_url = mem_str(url, strlen(url));
    return true;
}

static void suite_remove(const struct store_config *config)
{
    char sql[128];

    snprintf(sql, sizeof sql, "DROP SCHEMA IF EXISTS \"%s\" CASCADE", config->schema);
    if (has_server())
        run_sql(sql);
    mem_free((void *)(uintptr_t)config->schema);
    mem_free((void *)(uintptr_t)config->database_url);
}

static void execute(const struct store_config *config, const char *sql)
{
    char path[128];

    snprintf(path, sizeof path, "SET search_path = \"%s\"", config->schema);
    run_sql(path);
    run_sql(sql);
}

static int64_t suite_number(const struct store_config *config, const char *sql)
{
    char path[128];
    PGresult *r;
    int64_t n = -1;

    snprintf(path, sizeof path, "SET search_path = \"%s\"", config->schema);
    run_sql(path);
    r = PQexec(admin, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        printf("    %s: %s", sql, PQerrorMessage(admin));
        test_failures++;
    } else if (PQntuples(r) > 0 && str_to_i64(str_of(PQgetvalue(r, 0, 0)), &n)) {
        n = -1;
    }
    PQclear(r);
    return n;
}

static void suite_intrude(const struct store_config *config, const char *agent, const char *id,
                          enum a2a_event_kind kind, const char *payload)
{
    char sql[2048], event[1024] = "", state[128] = "";

    if (payload) {
        snprintf(
            event, sizeof event,
            "INSERT INTO task_events (key, seq, kind, writer, wseq, at, payload) "
            "SELECT key, seq, %d, 1000000, 1, now(), '%s' FROM tasks WHERE agent = '%s' AND task_id = '%s';",
            (int)kind, payload, agent, id);
        snprintf(state, sizeof state, ", seq = seq + 1, state = %d",
                 strstr(payload, "CANCELED") ? A2A_STATE_CANCELED : A2A_STATE_WORKING);
    }
    snprintf(
        sql, sizeof sql,
        "BEGIN; UPDATE tasks SET owner = gen_random_uuid()%s WHERE agent = '%s' AND task_id = '%s';%s COMMIT",
        state, agent, id, event);
    execute(config, sql);
}

static void suite_poison(const struct store_config *config, const char *id)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "ALTER TABLE tasks ADD CONSTRAINT poison CHECK (task_id <> '%s') NOT VALID", id);
    execute(config, sql);
}

/* --- small parts -------------------------------------------------------------------------- */

TEST(hints)
{
    struct pg_hint h = {0};
    static const char *const bad[] = {"",       "1",     "1:2",    "1:2-",
                                      ":1-2",   "0:1-2", "-1:1-2", "1:3-2",
                                      "1:1-2x", "x:1-2", "1:-1-2", "99999999999:1-2"};

    CHECK_INT(pg_hint_parse(STR("7:12-15"), &h), 0);
    CHECK_INT(h.writer, 7);
    CHECK_INT(h.first, 12);
    CHECK_INT(h.last, 15);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(pg_hint_parse(str_of(bad[i]), &h) != 0);
    CHECK_INT(h.writer, 7);
}

TEST(cursors_stay_sorted_and_only_move_on)
{
    struct pg_log log = {0};
    static const int32_t order[] = {5, 1, 9, 3, 7, 2, 8, 4, 6};

    for (size_t i = 0; i < 9; i++)
        pg_log_cursor(&log, order[i], (uint64_t)order[i]);
    CHECK_INT(log.n_cursors, 9);
    for (size_t i = 0; i < log.n_cursors; i++) {
        CHECK_INT(log.cursors[i].writer, i + 1);
        CHECK_INT(log.cursors[i].wseq, i + 1);
    }
    CHECK_INT(pg_log_cursor(&log, 5, 3)->wseq, 5);
    CHECK_INT(pg_log_cursor(&log, 5, 30)->wseq, 30);
    CHECK_INT(log.n_cursors, 9);
    mem_free(log.cursors);
}

TEST(schema_names)
{
    CHECK(pg_schema_is_valid("superx"));
    CHECK(pg_schema_is_valid("_x9"));
    CHECK(!pg_schema_is_valid(""));
    CHECK(!pg_schema_is_valid("9x"));
    CHECK(!pg_schema_is_valid("Super"));
    CHECK(!pg_schema_is_valid("a\"b"));
    CHECK(pg_schema_is_valid("a234567890123456789012345678901234567890"));
    CHECK(!pg_schema_is_valid("a2345678901234567890123456789012345678901"));
}

/* --- rows that are not taken -------------------------------------------------------------- */

#define MANY 64

static unsigned count_told(const struct told *t, unsigned n)
{
    unsigned told = 0;

    for (unsigned i = 0; i < n; i++)
        told += t[i].calls != 0;
    return told;
}

static void release_all(struct told *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        told_release(&t[i]);
}

/* Every way through the lanes' isolation: the array, one Sync for all, one for each. */
static void refuse_some(unsigned every)
{
    struct told t[MANY] = {0};
    unsigned n_bad = 0;
    char id[16];
    RIG(r);

    execute(
        &r.config,
        "ALTER TABLE tasks ADD CONSTRAINT poison CHECK (task_id NOT LIKE 'bad%') NOT VALID");
    for (unsigned i = 0; i < MANY; i++) {
        bool is_bad = i % every == 1;

        n_bad += is_bad;
        snprintf(id, sizeof id, "%s%u", is_bad ? "bad" : "good", i);
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "x"));
    }
    TURN_UNTIL(&r, count_told(t, MANY) == MANY);
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_INT(t[i].err, i % every == 1 ? ERR_INVALID : 0);
        CHECK(t[i].err == 0 || strstr(t[i].why, "poison") != NULL);
    }
    CHECK_INT(count_tasks(&r), MANY - n_bad);
    CHECK_INT(count_events(&r), MANY - n_bad);
    release_all(t, MANY);
    rig_close(&r);
}

TEST(one_bad_row_is_found)
{
    refuse_some(MANY);
}

TEST(a_few_bad_rows_are_found)
{
    refuse_some(MANY / 5);
}

TEST(half_of_the_rows_are_bad)
{
    refuse_some(2);
}

TEST(a_locked_row_waits_alone)
{
    struct told t[MANY] = {0};
    char id[16];
    RIG(r);

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "t%u", i);
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "x"));
    }
    TURN_UNTIL(&r, count_told(t, MANY) == MANY);
    execute(&r.config, "BEGIN; SELECT FROM tasks WHERE task_id = 't7' FOR UPDATE");
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(id, sizeof id, "t%u", i);
        start(&r, &t[i], "a", id, A2A_EVENT_STATUS, status("COMPLETED"));
    }
    TURN_UNTIL(&r, count_told(t, MANY) == MANY - 1);
    CHECK_INT(t[7].calls, 0);
    execute(&r.config, "ROLLBACK");
    TURN_UNTIL(&r, t[7].calls);
    for (unsigned i = 0; i < MANY; i++)
        CHECK_INT(t[i].err, 0);
    CHECK_INT(count_events(&r), 2 * MANY);
    release_all(t, MANY);
    rig_close(&r);
}

/* --- connections that end ----------------------------------------------------------------- */

/* Ends our sessions on the server; returns how many. */
static int64_t kill_sessions(const struct rig *r)
{
    char sql[256];

    snprintf(
        sql, sizeof sql,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '%s'",
        r->config.schema);
    return suite_number(&r->config, sql);
}

/* Cuts our own ends of the connections, as a broken network would: the server does not know yet. */
static unsigned cut_sockets(const struct rig *r)
{
    char sql[256];
    PGresult *found;
    unsigned n = 0;

    snprintf(sql, sizeof sql,
             "SELECT client_port FROM pg_stat_activity WHERE application_name = '%s'",
             r->config.schema);
    found = PQexec(admin, sql);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_storage here;
        socklen_t length = sizeof here;
        uint16_t port;

        if (getsockname(fd, (struct sockaddr *)&here, &length))
            continue;
        port = here.ss_family == AF_INET    ? ((struct sockaddr_in *)(void *)&here)->sin_port
               : here.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&here)->sin6_port
                                            : 0;
        for (int i = 0; port && i < PQntuples(found); i++) {
            int64_t theirs = 0;

            if (!str_to_i64(str_of(PQgetvalue(found, i, 0)), &theirs) && theirs == ntohs(port))
                n += shutdown(fd, SHUT_RDWR) == 0;
        }
    }
    PQclear(found);
    return n;
}

#define APPENDS 2000

/* Messages change nothing but the log, so each must be in it exactly once. */
static void start_message(struct rig *r, struct told *t, unsigned i, unsigned n_tasks)
{
    char id[16], message[128];
    int n = snprintf(message, sizeof message,
                     "{\"messageId\":\"m%u\",\"role\":\"ROLE_USER\",\"parts\":[]}", i);

    snprintf(id, sizeof id, "t%u", i % n_tasks);
    start(r, t, "a", id, A2A_EVENT_MESSAGE, str_make(message, (size_t)n));
}

static void check_log(const struct rig *r, int64_t n_tasks, int64_t n_events)
{
    CHECK_INT(count_tasks(r), n_tasks);
    CHECK_INT(count_events(r), n_events);
    CHECK_INT(suite_number(&r->config, "SELECT count(DISTINCT payload) FROM task_events"),
              n_events);
    CHECK_INT(suite_number(&r->config,
                           "SELECT count(*) FROM tasks t WHERE seq <> (SELECT count(*) FROM "
                           "task_events e WHERE e.key = t.key) OR seq <> (SELECT max(seq) FROM "
                           "task_events e WHERE e.key = t.key)"),
              0);
}

static void start_tasks(struct rig *r, struct told *t, unsigned n)
{
    char id[16];

    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof id, "t%u", i);
        start(r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "x"));
    }
    TURN_UNTIL(r, count_told(t, n) == n);
}

/* Appends all the time while `disturb` is called again and again; every one must be there once. */
static void append_while(void (*disturb)(struct rig *r))
{
    enum { TASKS = 50, AT_A_TIME = 40, ROUNDS = APPENDS / AT_A_TIME };
    struct told *t = mem_zero(APPENDS, sizeof *t);
    struct store_figures f;
    RIG(r);

    start_tasks(&r, t, TASKS);
    release_all(t, TASKS);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned from = round * AT_A_TIME;

        for (unsigned i = from; i < from + AT_A_TIME; i++)
            start_message(&r, &t[i], i, TASKS);
        if (round % 5 == 4) {
            for (unsigned turns = round % 4; turns > 0; turns--)
                loop_turn(r.loop, false);
            disturb(&r);
        }
        TURN_UNTIL(&r, count_told(t + from, AT_A_TIME) == AT_A_TIME);
    }
    for (unsigned i = 0; i < APPENDS; i++)
        CHECK_INT(t[i].err, 0);
    store_figures(r.store, &f);
    CHECK_INT(f.conflicts, 0);
    check_log(&r, TASKS, TASKS + APPENDS);
    release_all(t, APPENDS);
    mem_free(t);
    rig_close(&r);
}

static void disturb_by_killing(struct rig *r)
{
    kill_sessions(r);
}

static void disturb_by_cutting(struct rig *r)
{
    cut_sockets(r);
}

TEST(sessions_are_killed_while_appending)
{
    append_while(disturb_by_killing);
}

TEST(connections_are_cut_while_appending)
{
    append_while(disturb_by_cutting);
}

/* New tasks: the lost INSERT has committed, or has not; in both cases there is one task, and it is ours. */
TEST(connections_are_cut_while_inserting)
{
    enum { ROUNDS = 30, TASKS = 10 };
    struct told t[TASKS] = {0};
    struct store_figures f;
    char id[16];
    RIG(r);

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < TASKS; i++) {
            struct append a;

            snprintf(id, sizeof id, "t%u_%u", round, i);
            a = append_of("a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "x"));
            a.likely_new = true;
            told_release(&t[i]);
            t[i].rig = &r;
            CHECK_INT(store_append(r.store, &a, on_append_told, &t[i]), 0);
        }
        loop_turn(r.loop, false);
        cut_sockets(&r);
        TURN_UNTIL(&r, count_told(t, TASKS) == TASKS);
        for (unsigned i = 0; i < TASKS; i++)
            CHECK_INT(t[i].err, 0);
    }
    store_figures(r.store, &f);
    CHECK_INT(f.conflicts, 0);
    check_log(&r, ROUNDS * TASKS, ROUNDS * TASKS);
    release_all(t, TASKS);
    rig_close(&r);
}

/* The cut connection's server process waits for a lock; it must not write when it gets it, or only once. */
TEST(a_ghost_is_laid)
{
    struct told t = {0};
    char sql[256];
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    execute(&r.config, "BEGIN; SELECT FROM tasks FOR UPDATE");
    start(&r, &t, "a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '%s' AND wait_event_type = 'Lock'",
        r.config.schema);
    TURN_UNTIL(&r, suite_number(&r.config, sql) > 0);
    CHECK(cut_sockets(&r) > 0);
    TURN_UNTIL(&r, suite_number(&r.config, sql) == 0); /* fenced */
    CHECK_INT(t.calls, 0);
    execute(&r.config, "ROLLBACK");
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 2);
    CHECK_INT(count_events(&r), 2);
    told_release(&t);
    rig_close(&r);
}

/* Larger than any socket's buffer: what could not be written at once follows. */
TEST(large_documents)
{
    enum { N = 4, BYTES = 6 << 20 };
    struct told t[N] = {0};
    struct told read = {0};
    struct buf doc;
    char id[16];
    RIG(r);

    buf_init(&doc, MB(16));
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%u", i);
        buf_clear(&doc);
        buf_printf(
            &doc,
            "{\"id\":\"%s\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},\"metadata\":{\"x\":\"",
            id);
        while (doc.n < BYTES)
            buf_printf(&doc, "%zu ", doc.n * 2654435761u);
        BUF_LIT(&doc, "\"}}");
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, buf_str(&doc));
    }
    TURN_UNTIL(&r, count_told(t, N) == N);
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%u", i);
        CHECK_INT(t[i].err, 0);
        suite_intrude(&r.config, "a", id, A2A_EVENT_STATUS, NULL);
    }
    rig_stop(&r);
    CHECK(rig_start(&r));
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%u", i);
        CHECK_INT(get(&r, &read, "a", id), 0);
        CHECK(t[i].doc && read.doc && strcmp(t[i].doc, read.doc) == 0);
    }
    told_release(&read);
    release_all(t, N);
    buf_release(&doc);
    rig_close(&r);
}

/* More than one answer may bring: the rest is asked for again. */
TEST(many_large_documents_at_once)
{
    enum { N = 24, BYTES = 3 << 20 };
    struct told t[N] = {0};
    char sql[512], id[16];
    RIG(r);

    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%u", i);
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "COMPLETED", "x"));
    }
    TURN_UNTIL(&r, count_told(t, N) == N);
    snprintf(
        sql, sizeof sql,
        "UPDATE task_docs SET doc = left(doc, length(doc) - 1) || ',\"metadata\":{\"x\":\"' || repeat('y', %d) || "
        "'\"}}'",
        BYTES);
    execute(&r.config, sql);
    rig_stop(&r);
    CHECK(rig_start(&r));
    release_all(t, N);
    for (unsigned i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%u", i);
        t[i].rig = &r;
        CHECK_INT(store_task_get(r.store, STR("a"), str_of(id), on_get_told, &t[i]), 0);
    }
    TURN_UNTIL(&r, count_told(t, N) == N);
    for (unsigned i = 0; i < N; i++) {
        CHECK_INT(t[i].err, 0);
        CHECK(t[i].doc && strlen(t[i].doc) > BYTES);
    }
    release_all(t, N);
    rig_close(&r);
}

TEST(reads_survive_a_lost_connection)
{
    enum { N_LOGS = 50 };
    struct logged *l = mem_zero(N_LOGS, sizeof *l);
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    suite_intrude(&r.config, "a", "t1", A2A_EVENT_STATUS, NULL); /* not ours: not cached */
    rig_stop(&r);
    CHECK(rig_start(&r));
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK(kill_sessions(&r) > 0);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, 1);
    /* Pages of logs, those under way and those that wait for their turn: all are answered, in order. */
    for (int i = 0; i < N_LOGS; i++)
        CHECK_INT(
            store_events_read(r.store, STR("a"), STR("t1"), 0, KB(1), on_events_told, &l[i]),
            0);
    CHECK(kill_sessions(&r) > 0);
    for (int i = 0; i < N_LOGS; i++) {
        TURN_UNTIL(&r, l[i].calls);
        CHECK_INT(l[i].calls, 1);
        CHECK_INT(l[i].err, 0);
        CHECK_INT(l[i].n, 1);
        logged_release(&l[i]);
    }
    told_release(&t);
    mem_free(l);
    rig_close(&r);
}

/* --- the whole server --------------------------------------------------------------------- */

/* Runs the named test in a second process with a cluster of its own. True: this is the second process. */
static bool own_cluster(const char *test)
{
    char self[512], command[1024];
    ssize_t n;
    int code;

    if (getenv("SUPERX_OWN_CLUSTER"))
        return true;
    if (!has_server() || access("tools/with-postgres", X_OK))
        return false;
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n > 0 ? n : 0] = '\0';
    snprintf(
        command, sizeof command,
        "env -u TEST_DATABASE_URL -u DATABASE_URL SUPERX_OWN_CLUSTER=1 tools/with-postgres %s %s",
        self, test);
    fflush(stdout);
    code = system(command);
    CHECK(WIFEXITED(code));
    CHECK_INT(WEXITSTATUS(code), 0);
    return false;
}

static void control_server(const char *verb)
{
    char command[512];

    snprintf(command, sizeof command, "%s %s", getenv("TEST_POSTGRES_CTL"), verb);
    CHECK_INT(system(command), 0);
}

TEST(the_server_is_killed_while_appending)
{
    enum { TASKS = 50, ROUNDS = 4 };
    struct told *t;

    if (!own_cluster("the_server_is_killed_while_appending"))
        return;
    t = mem_zero(APPENDS, sizeof *t);
    {
        RIG(r);

        start_tasks(&r, t, TASKS);
        release_all(t, TASKS);
        for (unsigned round = 0; round < ROUNDS; round++) {
            unsigned n = APPENDS / ROUNDS, from = round * n;

            for (unsigned i = from; i < from + n; i++)
                start_message(&r, &t[i], i, TASKS);
            TURN_UNTIL(&r, count_told(t + from, n) > 0);
            control_server(round % 2 ? "stop" : "kill");
            TURN_UNTIL(&r, r.state == STORE_DOWN);
            CHECK(strstr(store_why(r.store), "onnection refused") != NULL);
            control_server("start");
            admin_again();
            TURN_UNTIL(&r, count_told(t + from, n) == n);
            TURN_UNTIL(&r, r.state == STORE_UP);
        }
        for (unsigned i = 0; i < APPENDS; i++)
            CHECK_INT(t[i].err, 0);
        check_log(&r, TASKS, TASKS + APPENDS);
        release_all(t, APPENDS);
        rig_close(&r);
    }
    mem_free(t);
}

TEST(reads_while_the_server_is_away)
{
    struct told t = {0};

    if (!own_cluster("reads_while_the_server_is_away"))
        return;
    {
        RIG(r);

        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "x")), 0);
        CHECK_INT(get(&r, &t, "a", "none"), ERR_ABSENT);
        control_server("stop");
        TURN_UNTIL(&r, r.state == STORE_DOWN);
        CHECK_INT(get(&r, &t, "a", "none"), ERR_STORE);
        CHECK_INT(get(&r, &t, "a", "t1"), 0);
        control_server("start");
        admin_again();
        TURN_UNTIL(&r, r.state == STORE_UP);
        CHECK_INT(get(&r, &t, "a", "none"), ERR_ABSENT);
        told_release(&t);
        rig_close(&r);
    }
}

/* One fsync for each acknowledged batch, and none acknowledged without. */
TEST(fsyncs_match_batches)
{
    static const char syncs[] = "SELECT wal_sync FROM pg_stat_wal";
    struct told t = {0};
    struct store_figures before, after;
    int64_t n;

    if (!own_cluster("fsyncs_match_batches"))
        return;
    if (!has_server() || PQserverVersion(admin) < 140000)
        return;
    {
        RIG(r);

        CHECK_INT(put(&r, &t, "a", "t0", A2A_EVENT_TASK, snapshot("t0", "WORKING", "x")), 0);
        store_figures(r.store, &before);
        run_sql("SELECT pg_stat_reset_shared('wal')");
        for (unsigned i = 0; i < 300; i++) {
            start_message(&r, &t, 0, 1);
            TURN_UNTIL(&r, t.calls);
            CHECK_INT(t.err, 0);
        }
        told_release(&t);
        store_figures(r.store, &after);
        rig_stop(&r); /* sessions that end report their figures */
        n = suite_number(&r.config, syncs);
        CHECK_INT(after.batches - before.batches, 300);
        CHECK(n >= 300);
        CHECK(n <= 330); /* the server's own: checkpoints, leases written behind */
        rig_close(&r);
    }
}

/* --- several nodes ------------------------------------------------------------------------ */

static void second_node(const struct rig *first, struct rig *second)
{
    *second = *first;
    second->store = NULL;
    CHECK(rig_start(second));
}

TEST(two_nodes_migrate_at_once)
{
    struct rig a = {0}, b;
    char why[256] = "";
    RIG(r);

    rig_stop(&r);
    execute(&r.config,
            "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$");
    a = b = r;
    a.state = b.state = STORE_OPENING;
    a.n_closed = b.n_closed = 0;
    CHECK_INT(store_open(r.loop, &a.config, on_rig_state, &a, &a.store, why), 0);
    CHECK_INT(store_open(r.loop, &b.config, on_rig_state, &b, &b.store, why), 0);
    TURN_UNTIL(&r, a.state != STORE_OPENING && b.state != STORE_OPENING);
    CHECK_INT(a.state, STORE_UP);
    CHECK_INT(b.state, STORE_UP);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM migrations"), 4);
    CHECK_INT(suite_number(&r.config, "SELECT count(DISTINCT number) FROM migrations"), 4);
    rig_stop(&a);
    rig_stop(&b);
    rig_close(&r);
}

/* What one node writes leaves the other's cache, by the hint; and both nodes are seen. */
TEST(nodes_follow_each_others_log)
{
    struct told t = {0};
    struct rig b;
    RIG(a);

    CHECK_INT(put(&a, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "1")), 0);
    second_node(&a, &b);
    for (unsigned i = 0; i < 20; i++) {
        struct rig *writer = i % 2 ? &a : &b, *reader = i % 2 ? &b : &a;
        char text[16];

        snprintf(text, sizeof text, "%u", i + 2);
        CHECK_INT(put(writer, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", text)),
                  0);
        CHECK_INT(t.seq, i + 2);
        CHECK(store_task_peek(writer->store, STR("a"), STR("t1")) != NULL);
        TURN_UNTIL(&a, !store_task_peek(reader->store, STR("a"), STR("t1")));
        CHECK_INT(get(reader, &t, "a", "t1"), 0);
        CHECK_INT(t.seq, i + 2);
    }
    CHECK_INT(suite_number(&a.config, "SELECT count(*) FROM nodes WHERE lease_until > now()"),
              2);
    CHECK_INT(suite_number(&a.config, "SELECT count(*) FROM writers"), 4);
    rig_stop(&b);
    CHECK_INT(suite_number(&a.config, "SELECT count(*) FROM nodes WHERE lease_until > now()"),
              1);
    told_release(&t);
    rig_close(&a);
}

struct changes {
    unsigned n;
    uint64_t seq; /* the newest told */
    char id[32];
};

static void on_changed(void *arg, struct str agent, struct str id, uint64_t seq)
{
    struct changes *c = arg;

    CHECK_STR(agent, STR("a"));
    c->n++;
    c->seq = seq > c->seq ? seq : c->seq;
    snprintf(c->id, sizeof c->id, "%.*s", STR_ARG(id));
}

/* What one node commits, a reader at the other can be told: he hears of it, and finds it in the log. */
TEST(listeners_hear_of_other_nodes)
{
    struct changes of_a = {0}, of_b = {0};
    struct store_listener at_a = {.on_changed = on_changed, .arg = &of_a},
                          at_b = {.on_changed = on_changed, .arg = &of_b};
    struct told t[30] = {{0}};
    struct logged l = {0};
    struct rig b;
    unsigned n;
    RIG(a);

    second_node(&a, &b);
    store_listen(a.store, &at_a);
    store_listen(b.store, &at_b);
    CHECK_INT(put(&a, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    TURN_UNTIL(&a, of_b.seq == 1);
    CHECK_STR(str_of(of_b.id), STR("t1"));
    CHECK_INT(read_page_of(&b, &l, "t1", 0, KB(64)), 0);
    CHECK_INT(l.n, 1);
    /* Thirty events of one commit need not be told thirty times. */
    n = of_b.n;
    for (int i = 0; i < 30; i++)
        start(&a, &t[i], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "x"));
    TURN_UNTIL(&a, of_b.seq == 31);
    CHECK(of_b.n - n <= 4);
    CHECK_INT(read_page_of(&b, &l, "t1", 1, KB(64)), 0);
    CHECK_INT(l.n, 30);
    TURN_UNTIL(&a, t[29].calls);
    CHECK_INT(of_a.n, 0); /* its own commits are told elsewhere */
    /* The other takes over. */
    CHECK_INT(put(&b, &t[0], "a", "t1", A2A_EVENT_STATUS_UPDATE,
                  status_update("t1", "COMPLETED", "bye")),
              0);
    TURN_UNTIL(&a, of_a.seq == 32);
    CHECK_INT(read_page_of(&a, &l, "t1", 31, KB(64)), 0);
    CHECK_INT(l.n, 1);
    CHECK_INT(l.events[0].kind, A2A_EVENT_STATUS_UPDATE);
    store_unlisten(b.store, &at_b);
    rig_stop(&b);
    logged_release(&l);
    for (int i = 0; i < 30; i++)
        told_release(&t[i]);
    rig_close(&a);
}

/* A node of which nobody has heard yet writes, and its hint is lost. An older one, for it says nothing of the dialect. */
TEST(changes_are_heard_without_a_hint)
{
    struct changes c = {0};
    struct store_listener listener = {.on_changed = on_changed, .arg = &c};
    struct told t = {0};
    struct logged l = {0};
    RIG(r);

    store_listen(r.store, &listener);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    for (int i = 2; i < 5; i++) {
        char sql[1024];

        snprintf(
            sql, sizeof sql,
            "BEGIN; %s"
            "UPDATE tasks SET seq = %d, owner = '00000000-0000-4000-8000-000000000001'; "
            "INSERT INTO task_events (key, seq, wseq, at, writer, kind, payload) SELECT key, %d, %d, now(), "
            "(SELECT max(id) FROM writers), 5, '{\"taskId\":\"t1\",\"artifact\":{\"artifactId\":\"a\","
            "\"parts\":[{\"text\":\"%d\"}]},\"append\":true}' FROM tasks; COMMIT",
            i > 2
                ? ""
                : "INSERT INTO nodes (boot, name, lease_until) VALUES "
                  "('00000000-0000-4000-8000-000000000001', 'other', now() + interval '1 h'); "
                  "INSERT INTO writers (node, lane) VALUES ('00000000-0000-4000-8000-000000000001', 0); ",
            i, i, i, i);
        execute(&r.config, sql);
        TURN_UNTIL(&r, c.seq == (uint64_t)i);
        CHECK_INT(read_page_of(&r, &l, "t1", (uint64_t)i - 1, KB(64)), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.events[0].dialect, A2A_1_0);
    }
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, 4);
    CHECK(strstr(t.doc, "\"4\"") != NULL);
    store_unlisten(r.store, &listener);
    logged_release(&l);
    told_release(&t);
    rig_close(&r);
}

/* Another node might write what cannot be heard of: the cache is not believed until the log is read again. */
TEST(the_cache_is_not_believed_without_the_log)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    CHECK_INT(put(&r, &t, "a", "t2", A2A_EVENT_TASK, snapshot("t2", "COMPLETED", "x")), 0);
    CHECK(store_task_peek(r.store, STR("a"), STR("t1")) != NULL);
    execute(&r.config, "BEGIN; LOCK TABLE nodes");
    TURN_UNTIL(&r, !store_task_peek(r.store, STR("a"), STR("t1")));
    CHECK_INT(r.state, STORE_UP);
    CHECK(store_task_peek(r.store, STR("a"), STR("t2")) != NULL); /* terminal: never changes */
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, 1);
    execute(&r.config, "ROLLBACK");
    TURN_UNTIL(&r, store_task_peek(r.store, STR("a"), STR("t1")));
    told_release(&t);
    rig_close(&r);
}

/* Both write the same tasks at the same time: conflicts are refolded, nothing is written twice or lost. */
TEST(nodes_write_the_same_tasks)
{
    enum { TASKS = 5, N = 200 };
    struct told *t = mem_zero(2 * N, sizeof *t);
    struct rig b;
    RIG(a);

    start_tasks(&a, t, TASKS);
    second_node(&a, &b);
    for (unsigned i = 0; i < N; i++) {
        told_release(&t[i]);
        start_message(&a, &t[i], 2 * i, TASKS);
        start_message(&b, &t[N + i], 2 * i + 1, TASKS);
        if (i % 10 == 9)
            TURN_UNTIL(&a, count_told(t, i + 1) == i + 1 && count_told(t + N, i + 1) == i + 1);
    }
    for (unsigned i = 0; i < 2 * N; i++)
        CHECK_INT(t[i].err, 0);
    check_log(&a, TASKS, TASKS + 2 * N);
    release_all(t, 2 * N);
    mem_free(t);
    rig_stop(&b);
    rig_close(&a);
}

/* --- agents and tasks of several nodes ---------------------------------------------------- */

TEST(nodes_watch_the_agents_of_the_api)
{
    struct watched wa = {0}, wb = {0};
    struct rig b;
    RIG(a);

    store_on_agents(a.store, on_watched, &wa);
    CHECK_INT(save_agent(&a, "x", SPEC), 0);
    second_node(&a, &b);
    store_on_agents(b.store, on_watched, &wb);
    TURN_UNTIL(&a, wa.n == 1 && wb.n == 1);
    CHECK_STR(str_of(wb.text), STR("x=" SPEC " "));
    CHECK_INT(save_agent(&b, "y", "{}"), 0);
    TURN_UNTIL(&a, wa.n == 2 && wb.n == 2);
    CHECK_INT(delete_agent(&a, "x"), 0);
    TURN_UNTIL(&a, wa.n == 1 && wb.n == 1);
    CHECK_STR(str_of(wa.text), STR("y={} "));
    CHECK_STR(str_of(wb.text), STR("y={} "));
    /* A notification that was lost: the beat finds the change. */
    execute(&a.config,
            "UPDATE api_agents SET spec = '[]'; UPDATE api_agents_changes SET n = n + 1");
    TURN_UNTIL(&a, strstr(wa.text, "y=[]") && strstr(wb.text, "y=[]"));
    rig_stop(&b);
    rig_close(&a);
}

/* Whether it was written is not known then, and the asker is told so; the nodes agree with the table all the same. */
TEST(agents_are_saved_while_connections_are_lost)
{
    struct store_agent agent = {STR("x"), STR("http://x/"), STR_NONE, STR("api")};
    struct watched w = {0};
    char spec[32], want[48];
    RIG(r);

    store_on_agents(r.store, on_watched, &w);
    for (int i = 0; i < 12; i++) {
        struct done d = {0};

        snprintf(spec, sizeof spec, "{\"n\":%d}", i);
        CHECK_INT(store_agent_save(r.store, &agent, str_of(spec), on_done, &d), 0);
        for (int turns = i % 4; turns > 0; turns--)
            loop_turn(r.loop, false);
        kill_sessions(&r);
        TURN_UNTIL(&r, d.calls);
        CHECK(d.err == 0 || d.err == ERR_STORE);
        CHECK(d.has_why == (d.err != 0));
        TURN_UNTIL(&r, r.state == STORE_UP);
    }
    while (save_agent(&r, "x", "{\"n\":99}"))
        loop_turn(r.loop, true);
    snprintf(want, sizeof want, "x={\"n\":99} ");
    TURN_UNTIL(&r, strcmp(w.text, want) == 0);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM api_agents"), 1);
    rig_close(&r);
}

#include "postgres_push.h"

static int64_t count_owned(const struct rig *r)
{
    char sql[160];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM tasks WHERE owner = '%s'",
             store_boot(r->store));
    return suite_number(&r->config, sql);
}

TEST(only_tasks_of_the_dead_are_taken_over)
{
    struct taken taken;
    struct told t = {0};
    struct store_figures f;
    struct rig b;
    RIG(a);

    put_orphans(&a);
    second_node(&a, &b);
    take(&b, &taken, 50);
    CHECK_INT(taken.err, 0);
    CHECK_INT(taken.n, 0); /* the owner lives */
    suite_intrude(&a.config, "a", "t1", A2A_EVENT_STATUS,
                  NULL); /* nobody has heard of this one */
    take(&b, &taken, 50);
    CHECK_INT(taken.n, 1);
    CHECK_STR(str_of(taken.ids[0]), STR("t1"));
    CHECK_INT(taken.states[0], A2A_STATE_WORKING);
    rig_stop(&a); /* leaves, and its lease with it */
    take(&b, &taken, 50);
    CHECK_INT(taken.n, 4);
    CHECK_INT(count_owned(&b), 5); /* terminal ones stay whose they were */
    CHECK_INT(put(&b, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    store_figures(b.store, &f);
    CHECK_INT(f.conflicts, 0);
    told_release(&t);
    rig_stop(&b);
    rig_close(&a);
}

/* A node that was thought dead and is not: its tasks are another's now, and its appends find that out. */
TEST(a_node_that_was_thought_dead)
{
    struct taken taken = {0};
    struct told t = {0};
    struct store_figures f;
    char sql[160];
    struct rig b;
    RIG(a);

    put_orphans(&a);
    second_node(&a, &b);
    snprintf(sql, sizeof sql,
             "UPDATE nodes SET lease_until = now() - interval '1 h' WHERE boot = '%s'",
             store_boot(a.store));
    while (taken.n == 0 && !taken.err) { /* it may renew its lease in between */
        execute(&a.config, sql);
        take(&b, &taken, 50);
    }
    CHECK_INT(taken.n, 5);
    CHECK_INT(count_owned(&b), 5);
    CHECK(store_task_peek(a.store, STR("a"), STR("t1")) != NULL);
    CHECK_INT(put(&a, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_INT(t.seq, 2);
    store_figures(a.store, &f);
    CHECK_INT(f.conflicts, 1);
    CHECK_INT(put(&b, &t, "a", "t1", A2A_EVENT_STATUS, status("CANCELED")), ERR_FINAL);
    told_release(&t);
    rig_stop(&b);
    rig_close(&a);
}

/* Two nodes find the same dead one at the same moment: each task has one heir. */
TEST(nodes_share_what_the_dead_left)
{
    enum { N = 60 };
    struct taken ta = {0}, tb = {0};
    struct told *t = mem_zero(N, sizeof *t);
    struct rig b, c;
    RIG(a);

    second_node(&a, &c);
    start_tasks(&c, t, N);
    release_all(t, N);
    mem_free(t);
    rig_stop(&c);
    second_node(&a, &b);
    while (count_owned(&a) + count_owned(&b) < N && !test_failures) {
        int64_t before = count_owned(&a) + count_owned(&b);

        ta = tb = (struct taken){0};
        CHECK_INT(store_take_orphans(a.store, 7, on_taken, &ta), 0);
        CHECK_INT(store_take_orphans(b.store, 7, on_taken, &tb), 0);
        TURN_UNTIL(&a, ta.calls && tb.calls);
        CHECK_INT(ta.err, 0);
        CHECK_INT(tb.err, 0);
        CHECK(ta.n <= 7 && tb.n <= 7);
        CHECK_INT(count_owned(&a) + count_owned(&b), before + (int64_t)(ta.n + tb.n));
    }
    rig_stop(&b);
    rig_close(&a);
}

/* --- what stands in the way of serving ---------------------------------------------------- */

/* Opens a store that will not come up, and returns why once it says so. */
static bool open_until(struct rig *r, enum store_state wanted, const char *part)
{
    char why[256] = "";

    r->state = STORE_OPENING;
    r->n_closed = 0;
    if (store_open(r->loop, &r->config, on_rig_state, r, &r->store, why)) {
        printf("    store_open: %s\n", why);
        return false;
    }
    TURN_UNTIL(r, store_state(r->store) == wanted && store_why(r->store)[0]);
    if (strstr(store_why(r->store), part))
        return true;
    printf("    %s\n    lacks: %s\n", store_why(r->store), part);
    return false;
}

TEST(pending_migrations_are_refused_until_somebody_migrates)
{
    FILE *out = tmpfile();
    RIG(r);

    rig_stop(&r);
    execute(&r.config,
            "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$");
    r.config.migrate = false;
    CHECK(open_until(&r, STORE_REFUSED, "4 pending migrations "));
    CHECK(strstr(store_why(r.store), "superx db migrate") != NULL);
    CHECK_INT(postgres_db_run(STORE_DB_STATUS, &r.config, out, false), 3);
    CHECK_INT(postgres_db_run(STORE_DB_MIGRATE, &r.config, out, false), 0);
    CHECK_INT(postgres_db_run(STORE_DB_STATUS, &r.config, out, false), 0);
    TURN_UNTIL(&r, r.state == STORE_UP);
    fclose(out);
    rig_close(&r);
}

/* Somebody drops and makes our tables while we run: nothing is refused row by row, and we find back. */
TEST(tables_made_anew_under_a_running_node)
{
    struct told t = {0}, waiting = {0};
    FILE *out = tmpfile();
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    execute(&r.config,
            "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$");
    start(&r, &waiting, "a", "t2", A2A_EVENT_TASK, snapshot("t2", "WORKING", "x"));
    TURN_UNTIL(&r, r.state == STORE_REFUSED);
    CHECK_INT(waiting.calls, 0);
    CHECK_INT(postgres_db_run(STORE_DB_MIGRATE, &r.config, out, false), 0);
    TURN_UNTIL(&r, waiting.calls);
    CHECK_INT(waiting.err, 0);
    CHECK_INT(r.state, STORE_UP);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM writers"), 2);
    CHECK_INT(
        suite_number(&r.config,
                     "SELECT count(*) FROM task_events e JOIN writers w ON w.id = e.writer"),
        1);
    fclose(out);
    told_release(&t);
    told_release(&waiting);
    rig_close(&r);
}

TEST(a_newer_database_is_served)
{
    RIG(r);

    rig_stop(&r);
    execute(&r.config,
            "INSERT INTO migrations (number, name) VALUES (9000, '9000_from_the_future')");
    CHECK(rig_start(&r));
    rig_close(&r);
}

/* The URL of the test server with another user, password, port or database. */
static void other_url(char out[512], const char *password, const char *port,
                      const char *database)
{
    struct pg_target t;
    char why[256];

    CHECK_INT(pg_target_parse(&t, getenv("TEST_DATABASE_URL"), why), 0);
    snprintf(out, 512, "postgresql://%s:%s@%s:%s/%s", t.user,
             password     ? password
             : t.password ? t.password
                          : "",
             t.is_socket ? "127.0.0.1" : t.host, port ? port : t.port,
             database ? database : t.database);
    pg_target_release(&t);
}

TEST(what_is_wrong_is_named)
{
    char url[512];
    const char *own;
    RIG(r);

    rig_stop(&r);
    own = r.config.database_url;
    r.config.database_url = url;
    other_url(url, NULL, "1", NULL);
    CHECK(open_until(&r, STORE_OPENING, "onnection refused; is PostgreSQL running there?"));
    CHECK(strstr(store_why(r.store), ":1/") != NULL);
    rig_stop(&r);
    other_url(url, NULL, NULL, "no_such_database");
    CHECK(open_until(&r, STORE_OPENING, "does not exist; run: superx db create"));
    rig_stop(&r);
    other_url(url, "wrong-secret", NULL, NULL);
    CHECK(open_until(&r, STORE_OPENING, "check user and password"));
    CHECK(strstr(store_why(r.store), "wrong-secret") == NULL);
    CHECK(strstr(store_describe(r.store), "wrong-secret") == NULL);
    rig_stop(&r);
    snprintf(url, sizeof url, "postgresql://u@no-such-host.invalid/x");
    CHECK(open_until(&r, STORE_OPENING, "could not be resolved"));
    r.config.database_url = own;
    rig_close(&r);
}

TEST(names_and_sockets)
{
    const char *folder = getenv("TEST_DATABASE_SOCKET");
    struct pg_target target;
    char url[512], why[256];
    const char *own;
    RIG(r);

    rig_stop(&r);
    own = r.config.database_url;
    r.config.database_url = url;
    CHECK_INT(pg_target_parse(&target, own, why), 0);
    if (strcmp(target.host, "127.0.0.1") == 0 && target.password) {
        /* A name with two addresses, of which perhaps only one is listened on. */
        snprintf(url, sizeof url, "ecto://%s:%s@localhost:%s/%s", target.user, target.password,
                 target.port, target.database);
        CHECK(rig_start(&r));
        CHECK(store_is_local(r.store));
        rig_stop(&r);
    }
    if (folder) {
        snprintf(url, sizeof url, "postgres://%s:%s@/%s?host=%s&port=%s", target.user,
                 target.password, target.database, folder, target.port);
        CHECK(rig_start(&r));
        CHECK(store_is_local(r.store));
        CHECK(strstr(store_describe(r.store), folder) != NULL);
        rig_stop(&r);
    }
    pg_target_release(&target);
    r.config.database_url = own;
    rig_close(&r);
}

/* Closing while everything is still going on must neither leak nor call twice. */
TEST(closing_at_any_moment)
{
    char why[256] = "";
    RIG(r);

    rig_stop(&r);
    execute(&r.config,
            "DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema()); END $$");
    for (unsigned turns = 0; turns < 24; turns++) {
        struct told t = {0};
        struct append a = append_of("a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"));

        r.n_closed = 0;
        t.rig = &r;
        CHECK_INT(store_open(r.loop, &r.config, on_rig_state, &r, &r.store, why), 0);
        CHECK_INT(store_append(r.store, &a, on_append_told, &t), 0);
        for (unsigned i = 0; i < turns; i++)
            loop_turn(r.loop, true);
        rig_stop(&r);
        CHECK_INT(t.calls, 1);
        CHECK(t.err == 0 || t.err == ERR_CANCELED);
        told_release(&t);
    }
    rig_close(&r);
}

TEST(a_pool_of_three)
{
    struct rig r = {.config = {.pool_size = 3}};
    struct told t = {0};
    struct store_figures f;

    if (!rig_open(&r))
        return;
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    CHECK_INT(get(&r, &t, "a", "none"), ERR_ABSENT);
    store_figures(r.store, &f);
    CHECK_INT(f.connections, 3);
    told_release(&t);
    rig_close(&r);
}

TEST(views_show_tasks)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "x")), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_MESSAGE, MESSAGE), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("INPUT_REQUIRED")), 0);
    CHECK_INT(put(&r, &t, "a", "t2", A2A_EVENT_TASK, snapshot("t2", "WORKING", "a\\u0000b")),
              0);
    CHECK_INT(suite_number(
                  &r.config,
                  "SELECT count(*) FROM task_view WHERE id = 't1' AND state = 'input-required' "
                  "AND messages -> 0 ->> 'messageId' = 'm' AND context_id = 'ctx' AND "
                  "artifacts -> 0 ->> 'artifactId' = 'a' AND inserted_at <= updated_at"),
              1);
    CHECK_INT(suite_number(&r.config,
                           "SELECT count(*) FROM task_view WHERE id = 't2' AND status IS NULL"),
              1);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM agent_view"), 0);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_config_view"), 0);
    told_release(&t);
    rig_close(&r);
}

/* --- superx db ---------------------------------------------------------------------------- */

static int run_db(const struct store_config *config, enum store_db_command command, bool json,
                  char *out, size_t room)
{
    FILE *f = tmpfile();
    size_t n;
    int code = postgres_db_run(command, config, f, json);

    rewind(f);
    n = fread(out, 1, room - 1, f);
    out[n] = '\0';
    fclose(f);
    return code;
}

TEST(the_life_of_a_database)
{
    char name[64], url[512], text[4096], sql[256];
    struct store_config config = {.database_url = url};
    PGconn *inside;

    if (!has_server())
        return;
    /* a name that needs quotes */
    snprintf(name, sizeof name, "superx \"%ld\" test", (long)getpid());
    snprintf(sql, sizeof sql, "superx%%20%%22%ld%%22%%20test", (long)getpid());
    other_url(url, NULL, NULL, sql);
    CHECK_INT(run_db(&config, STORE_DB_STATUS, false, text, sizeof text), 69);
    CHECK_INT(run_db(&config, STORE_DB_CREATE, false, text, sizeof text), 0);
    CHECK(strstr(text, "created") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_CREATE, false, text, sizeof text), 0);
    CHECK(strstr(text, "exists already") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_STATUS, false, text, sizeof text), 3);
    CHECK(strstr(text, "  down      0001          0001_first\n") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_STATUS, true, text, sizeof text), 3);
    CHECK_STR(str_of(text),
              STR("{\"migrations\":[{\"number\":1,\"name\":\"0001_first\",\"status\":\"down\"},"
                  "{\"number\":2,\"name\":\"0002_lists_and_agents\",\"status\":\"down\"},"
                  "{\"number\":3,\"name\":\"0003_streams\",\"status\":\"down\"},"
                  "{\"number\":4,\"name\":\"0004_webhooks\",\"status\":\"down\"}],"
                  "\"pending\":4}\n"));
    CHECK_INT(run_db(&config, STORE_DB_SETUP, false, text, sizeof text), 0);
    CHECK(strstr(text, "4 migrations applied") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_MIGRATE, false, text, sizeof text), 0);
    CHECK(strstr(text, "up to date") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_STATUS, false, text, sizeof text), 0);
    CHECK(strstr(text, "  up        0001          0001_first\n") != NULL);
    CHECK(strstr(text, "first SuperX") == NULL);

    inside = PQconnectdb(url);
    PQclear(PQexec(
        inside,
        "CREATE TABLE public.tasks (id varchar(255) PRIMARY KEY, status jsonb NOT NULL)"));
    CHECK_INT(run_db(&config, STORE_DB_STATUS, false, text, sizeof text), 0);
    CHECK(strstr(text, "left alone") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_DROP, false, text, sizeof text), 4);
    PQfinish(inside);
    /* The session is gone when its process is. */
    snprintf(sql, sizeof sql, "SELECT 1 FROM pg_stat_activity WHERE datname = '%s'", name);
    for (PGresult *left = NULL;
         PQclear(left), left = PQexec(admin, sql), PQntuples(left) > 0 || (PQclear(left), 0);)
        continue;
    CHECK_INT(run_db(&config, STORE_DB_RESET, false, text, sizeof text), 0);
    CHECK(strstr(text, "dropped") && strstr(text, "created") && strstr(text, "applied"));
    CHECK_INT(run_db(&config, STORE_DB_DROP, true, text, sizeof text), 0);
    CHECK(strstr(text, "\"dropped\":true") != NULL);
    CHECK_INT(run_db(&config, STORE_DB_DROP, false, text, sizeof text), 0);
    CHECK(strstr(text, "does not exist") != NULL);
    other_url(url, NULL, NULL, "postgres");
    CHECK_INT(run_db(&config, STORE_DB_DROP, false, text, sizeof text), 1);
    other_url(url, NULL, "1", NULL);
    CHECK_INT(run_db(&config, STORE_DB_MIGRATE, false, text, sizeof text), 69);
}

/* What is expected here is what logs are full of. */
__attribute__((constructor)) static void be_quiet(void)
{
    if (!getenv("LOG_LEVEL"))
        log_setup(LOG_ERROR, false);
}

__attribute__((destructor)) static void close_admin(void)
{
    PQfinish(admin);
}

TEST_MAIN
