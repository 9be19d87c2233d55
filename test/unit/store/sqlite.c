/* SPDX-License-Identifier: MIT
 *
 * The embedded backend: the suite every store must pass, and what only SQLite can do.
 */
#include <errno.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "suite.h"

#include "store/store_int.h"

/* --- what a backend brings ------------------------------------------------------------------------ */

static bool suite_make(struct store_config *config)
{
    char *dir = mem_str("/tmp/superx-test-XXXXXX", 23);

    if (!mkdtemp(dir)) {
        printf("    mkdtemp: %s\n", strerror(errno));
        test_failures++;
        mem_free(dir);
        return false;
    }
    config->data_dir = dir;
    return true;
}

static void suite_remove(const struct store_config *config)
{
    static const char *const files[] = {"superx.db", "superx.db-wal", "superx.db-shm",
                                        "superx.lock"};
    char path[512];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", config->data_dir, files[i]);
        (void)unlink(path);
    }
    CHECK_INT(rmdir(config->data_dir), 0);
    mem_free((void *)(uintptr_t)config->data_dir);
}

static sqlite3 *connect_to(const struct store_config *config)
{
    char path[512];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/superx.db", config->data_dir);
    CHECK_INT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    return db;
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int64_t n = -1;

    CHECK_INT(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static int64_t suite_number(const struct store_config *config, const char *sql)
{
    sqlite3 *db = connect_to(config);
    int64_t n = number_of(db, sql);

    sqlite3_close(db);
    return n;
}

static void execute(const struct store_config *config, const char *sql)
{
    sqlite3 *db = connect_to(config);
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        printf("    %s: %s\n", sql, why);
        test_failures++;
    }
    sqlite3_free(why);
    sqlite3_close(db);
}

static void suite_intrude(const struct store_config *config, const char *agent, const char *id,
                          enum a2a_event_kind kind, const char *payload)
{
    char sql[2048], event[1024] = "", state[128] = "";

    if (payload) {
        snprintf(
            event, sizeof event,
            "INSERT INTO task_events (key, seq, kind, writer, wseq, at, payload) "
            "SELECT key, seq, %d, 1000000, 1, 0, '%s' FROM tasks WHERE agent = '%s' AND task_id = '%s';",
            (int)kind, payload, agent, id);
        snprintf(state, sizeof state, ", seq = seq + 1, state = %d",
                 strstr(payload, "CANCELED") ? A2A_STATE_CANCELED : A2A_STATE_WORKING);
    }
    snprintf(
        sql, sizeof sql,
        "BEGIN IMMEDIATE; UPDATE tasks SET owner = randomblob(16)%s WHERE agent = '%s' AND task_id = '%s';"
        "%s COMMIT",
        state, agent, id, event);
    execute(config, sql);
}

static void suite_poison(const struct store_config *config, const char *id)
{
    char sql[256];

    snprintf(sql, sizeof sql,
             "CREATE TRIGGER poison BEFORE INSERT ON tasks WHEN new.task_id = '%s' "
             "BEGIN SELECT RAISE(ABORT, 'poisoned'); END",
             id);
    execute(config, sql);
}

/* --- only SQLite ---------------------------------------------------------------------------------- */

static void path_of(const struct rig *r, const char *file, char out[512])
{
    snprintf(out, 512, "%s/%s", r->config.data_dir, file);
}

TEST(a_second_process_is_refused_by_pid)
{
    struct rig other = {0};
    char why[256] = "", pid[32];
    RIG(r);

    other = r;
    other.state = STORE_OPENING;
    other.n_closed = 0;
    CHECK_INT(store_open(r.loop, &other.config, on_rig_state, &other, &other.store, why), 0);
    TURN_UNTIL(&r, other.state != STORE_OPENING);
    CHECK_INT(other.state, STORE_REFUSED);
    snprintf(pid, sizeof pid, "process %ld;", (long)getpid());
    CHECK(strstr(store_why(other.store), pid) != NULL);
    rig_stop(&other);
    rig_close(&r);
}

TEST(the_files_are_their_owners_only)
{
    struct told t = {0};
    char path[512];
    struct stat st;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(stat(r.config.data_dir, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0700);
    path_of(&r, "superx.db", path);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    path_of(&r, "superx.db-wal", path);
    CHECK_INT(stat(path, &st), 0);
    CHECK_INT(st.st_mode & 0777, 0600);
    told_release(&t);
    rig_close(&r);
}

TEST(a_folder_that_cannot_be)
{
    struct store_config config = {
        .data_dir = "/dev/null/data", .cache_bytes = 1, .task_max_bytes = 1};
    struct loop *loop = loop_new();
    struct store *s = NULL;
    char why[256] = "";

    CHECK_INT(store_open(loop, &config, NULL, NULL, &s, why), ERR_IO);
    CHECK(strstr(why, "/dev/null") != NULL);
    loop_free(loop);
}

TEST(a_locked_database_is_waited_out)
{
    struct told t = {0}, absent = {0};
    sqlite3 *blocker;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    blocker = connect_to(&r.config);
    CHECK_INT(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    start(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    TURN_UNTIL(&r, r.state == STORE_DOWN); /* the write lock is not to be had */
    CHECK(strstr(store_why(r.store), "locked") != NULL);
    CHECK_INT(t.calls, 0);
    CHECK(store_task_peek(r.store, STR("a"), STR("t1")) != NULL); /* the cache still serves */
    CHECK_INT(get(&r, &absent, "a", "unknown"), ERR_STORE);
    CHECK_INT(sqlite3_exec(blocker, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(blocker);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 2);
    CHECK_INT(r.state, STORE_UP);
    told_release(&t);
    rig_close(&r);
}

/* More tasks than are looked at in one go, and few of them unfinished: all are found, in several errands and with
 * appends in between. */
TEST(a_long_walk_for_orphans)
{
    enum { N = 5 };
    struct taken taken;
    struct told t = {0};
    size_t n = 0;
    RIG(r);

    rig_stop(&r);
    execute(
        &r.config,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) "
        "INSERT INTO tasks (key, agent, task_id, dialect, state, seq, status_at, owner) "
        "SELECT randomblob(16), 'a', 't' || i, 1, CASE WHEN i % 5000 = 0 THEN 2 ELSE 3 END, 1, "
        "0, randomblob(16) FROM n");
    rig_start(&r);
    start(&r, &t, "a", "other", A2A_EVENT_TASK, snapshot("other", "WORKING", "x"));
    do {
        take(&r, &taken, 2);
        CHECK_INT(taken.err, 0);
        CHECK(taken.n <= 2);
        n += taken.n;
    } while (taken.n > 0);
    CHECK_INT(n, N);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(
        suite_number(&r.config, "SELECT count(DISTINCT owner) FROM tasks WHERE state = 2"), 1);
    told_release(&t);
    rig_close(&r);
}

/* People have SQL: rows whose names no task can have are neither taken over nor listed, and hide no others. */
TEST(impossible_names_are_passed_over)
{
    static const char *const names[] = {"'a', ''",
                                        "'a', 'x' || char(10)",
                                        "'', 'x'",
                                        "'a', CAST(x'ff' AS TEXT)",
                                        "'a', hex(zeroblob(300))",
                                        "hex(zeroblob(40)), 'x'",
                                        "'a', 't1'",
                                        "'a', 't2'"};
    struct task_query q = {.limit = 7};
    struct listed l = {0};
    struct taken taken;
    char sql[1024];
    RIG(r);

    rig_stop(&r);
    for (int i = 0; i < 8; i++) { /* newest first: the last of the page is one that cannot be */
        snprintf(
            sql, sizeof sql,
            "INSERT INTO tasks (agent, task_id, key, dialect, state, seq, status_at, owner) "
            "VALUES (%s, randomblob(16), 1, 2, 1, %d, randomblob(16))",
            names[i],
            i == 6   ? 9
            : i == 7 ? 0
                     : 8 - i);
        execute(&r.config, sql);
    }
    rig_start(&r);
    take(&r, &taken, 10);
    CHECK_INT(taken.err, 0);
    CHECK_INT(taken.n, 2);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.n, 1);
    CHECK(l.next[0] != '\0');
    q.limit = 8;
    snprintf(sql, sizeof sql, "%s", l.next);
    q.after = str_of(sql);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.n, 1);
    CHECK(l.next[0] == '\0');
    listed_release(&l);
    rig_close(&r);
}

/* --- agents of the API ---------------------------------------------------------------------------- */

/* Both are written before the loop turns: the agents as they were in between arrive together with the second
 * answer, and must not be told after it. */
TEST(older_agents_are_not_told_after_a_newer_answer)
{
    struct store_agent agent = {STR("x"), STR("http://x/"), STR_NONE, STR("api")};
    struct watched w = {0};
    struct done d[2] = {0};
    unsigned n_before;
    RIG(r);

    store_on_agents(r.store, on_watched, &w);
    TURN_UNTIL(&r, w.calls);
    CHECK_INT(store_agent_save(r.store, &agent, STR("{}"), on_done, &d[0]), 0);
    agent.id = STR("y");
    CHECK_INT(store_agent_save(r.store, &agent, STR("{}"), on_done, &d[1]), 0);
    while (suite_number(&r.config, "SELECT count(*) FROM api_agents") != 2)
        ;
    do {
        n_before = w.calls; /* who watches is told at the end of a turn */
        loop_turn(r.loop, true);
    } while (!d[1].calls);
    CHECK(w.calls == n_before || w.n == 2);
    TURN_UNTIL(&r, w.n == 2);
    CHECK_STR(str_of(w.text), STR("x={} y={} "));
    rig_close(&r);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that takes no more, made by a limit on the size of files, and then has room again. */
TEST(a_full_disk_is_waited_out)
{
    struct told t = {0};
    char *large = large_snapshot("t1", "COMPLETED", MB(6));
    RIG(r);

    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    limit_files(MB(4));
    start(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(large));
    TURN_UNTIL(&r, r.state == STORE_DOWN);
    CHECK(store_why(r.store)[0] != '\0');
    CHECK_INT(t.calls, 0);
    limit_files(RLIM_INFINITY);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 3); /* an artifact and a status */
    CHECK_INT(r.state, STORE_UP);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM task_events"), 3);
    mem_free(large);
    told_release(&t);
    rig_close(&r);
}

TEST(closing_while_down_gives_up)
{
    struct told t = {0};
    sqlite3 *blocker;
    RIG(r);

    blocker = connect_to(&r.config);
    CHECK_INT(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    start(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"));
    TURN_UNTIL(&r, r.state == STORE_DOWN);
    rig_stop(&r);
    CHECK_INT(t.calls, 1);
    CHECK_INT(t.err, ERR_CANCELED);
    CHECK_INT(sqlite3_exec(blocker, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(blocker);
    told_release(&t);
    rig_close(&r);
}

static void put_snapshot_in_0_3(struct rig *r, struct told *t, const char *payload)
{
    struct append a = append_of("a", "t1", A2A_EVENT_MESSAGE, MESSAGE);

    a.dialect = A2A_0_3;
    a.events[1] = (struct a2a_event){A2A_EVENT_TASK, str_of(payload)};
    a.n_events = 2;
    *t = (struct told){.rig = r};
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    TURN_UNTIL(r, t->calls);
    CHECK_INT(t->err, 0);
}

TEST(people_can_read_the_views)
{
    struct told t = {0};
    struct store_agent agent = {STR("a"), STR("http://a/"), STR("1.0"), STR("file")};
    RIG(r);

    store_agents_put(r.store, STR("file"), &agent, 1);
    put_snapshot_in_0_3(
        &r, &t,
        "{\"id\":\"t1\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{\"state\":\"completed\"},"
        "\"artifacts\":[{\"artifactId\":\"x\",\"parts\":[{\"kind\":\"text\",\"text\":\"a\\u0000b\"}]}]}");
    CHECK_INT(
        suite_number(&r.config,
                     "SELECT count(*) FROM task_view WHERE id = 't1' AND agent_id = 'a' AND "
                     "state = 'completed' AND version = '0.3' AND json_valid(artifacts) AND "
                     "json_array_length(messages) = 1 AND "
                     "status ->> '$.state' = 'completed' AND inserted_at LIKE '20%Z'"),
        1);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM agent_view WHERE id = 'a'"), 1);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_config_view"), 0);
    execute(&r.config, "UPDATE task_docs SET doc = 'not json'");
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM task_view WHERE artifacts IS NULL"),
              1);
    told_release(&t);
    rig_close(&r);
}

/* People have SQL. What they break is reported and does not stop the process. */
TEST(a_spoiled_document_is_not_trusted)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    rig_stop(&r);
    execute(&r.config, "UPDATE task_docs SET doc = '{\"id\":'");
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), ERR_STORE);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), ERR_INVALID);
    told_release(&t);
    rig_close(&r);
}

TEST(the_log_stays_short)
{
    enum { N = 400 };
    struct told t = {0};
    char *large = large_snapshot("t1", "WORKING", KB(200)), path[512];
    struct stat st;
    RIG(r);

    path_of(&r, "superx.db-wal", path);
    for (int i = 0; i < N; i++) {
        large[strlen(large) - 8] = (char)('a' + i % 26);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(large)), 0);
    }
    CHECK_INT(stat(path, &st), 0);
    CHECK(st.st_size < (off_t)MB(48)); /* 80 MB of events were written */
    mem_free(large);
    told_release(&t);
    rig_close(&r);
}

/* --- superx db ------------------------------------------------------------------------------------ */

static int db_run(const struct rig *r, enum store_db_command command, bool json, char out[4096])
{
    FILE *f = tmpfile();
    size_t n;
    int code = store_db_run(command, &r->config, f, json);

    rewind(f);
    n = fread(out, 1, 4095, f);
    out[n] = '\0';
    fclose(f);
    return code;
}

TEST(db_commands)
{
    struct rig r = {0};
    char out[4096], path[512];

    CHECK(suite_make(&r.config));
    path_of(&r, "superx.db", path);
    CHECK_INT(db_run(&r, STORE_DB_STATUS, false, out), 3);
    CHECK(strstr(out, "down") != NULL);
    CHECK_INT(db_run(&r, STORE_DB_CREATE, false, out), 0);
    CHECK_INT(db_run(&r, STORE_DB_STATUS, true, out), 3);
    CHECK(json_scan(str_trim(str_of(out)), NULL, NULL, 0, NULL) == 0);
    CHECK_INT(db_run(&r, STORE_DB_MIGRATE, false, out), 0);
    CHECK_INT(db_run(&r, STORE_DB_STATUS, true, out), 0);
    CHECK(strstr(out, "\"status\":\"up\"") != NULL);
    CHECK_INT(db_run(&r, STORE_DB_SETUP, true, out), 0);
    CHECK_INT(db_run(&r, STORE_DB_RESET, false, out), 0);
    CHECK_INT(db_run(&r, STORE_DB_DROP, false, out), 0);
    CHECK_INT(access(path, F_OK), -1);
    suite_remove(&r.config);
}

TEST(db_commands_respect_a_server)
{
    char out[4096];
    RIG(r);

    fprintf(stderr, "(two refusals follow)\n");
    CHECK_INT(db_run(&r, STORE_DB_RESET, false, out), 4);
    CHECK_INT(db_run(&r, STORE_DB_DROP, false, out), 4);
    CHECK_INT(db_run(&r, STORE_DB_STATUS, false, out), 0);
    rig_close(&r);
}

TEST(migrations_are_numbered_and_named)
{
    const struct migration *m = sqlite_migrations;

    for (int i = 1; m->number; m++, i++) {
        CHECK_INT(m->number, i);
        CHECK(strlen(m->name) > 5);
        CHECK(m->sql.n > 10 && m->sql.p[m->sql.n] == '\0' && strlen(m->sql.p) == m->sql.n);
    }
    for (m = postgres_migrations; m->number; m++) {
        const struct migration *twin = &sqlite_migrations[m - postgres_migrations];

        CHECK(m->sql.n > 10 && strlen(m->sql.p) == m->sql.n);
        CHECK_INT(m->number, twin->number);
        CHECK_STR(str_of(m->name), str_of(twin->name));
    }
}

TEST_MAIN
