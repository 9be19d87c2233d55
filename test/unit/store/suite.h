/* SPDX-License-Identifier: MIT
 *
 * What every store must keep, whatever is behind it: one suite, run on each backend through the door only.
 *
 * A program that includes this first includes check.h and defines the functions declared under "what a
 * backend brings"; every test gets a database of its own from them. Conflicts are made as another node would
 * make them, by SQL on a connection of the test's own. Tests named invariant_N_* hold the invariants of
 * store.h.
 */
#ifndef TEST_UNIT_STORE_SUITE_H
#define TEST_UNIT_STORE_SUITE_H

#include "check.h"
#include "lib/buf.h"
#include "store/store.h"

/* --- what a backend brings ------------------------------------------------------------------------ */

/* Makes an empty database and points *config at it (database_url or data_dir, schema); the other fields are
 * filled already. False: there is no such server here; the test is skipped. */
static bool suite_make(struct store_config *config);
static void suite_remove(const struct store_config *config);

/* The first column of the first row as a number, on a connection of its own. The SQL used by this suite names
 * only the tables tasks(agent, task_id), task_events(seq), agents(source) and agent_view. */
static int64_t suite_number(const struct store_config *config, const char *sql);

/* Does to the task what another node would: makes itself the owner, and with `payload` adds one event of that
 * kind behind the last (the document stays as it is, so the event is found in the tail). */
static void suite_intrude(const struct store_config *config, const char *agent, const char *id,
                          enum a2a_event_kind kind, const char *payload);

/* From now on the database itself refuses rows of tasks with this id (a constraint or a trigger). */
static void suite_poison(const struct store_config *config, const char *id);

#include "rig.h"
#include "suite_streams.h"

/* --- invariants ----------------------------------------------------------------------------------- */

static void on_told_check_committed(void *arg, int err, struct task *task, const char *why)
{
    struct told *t = arg;

    on_append_told(arg, err, task, why);
    CHECK_INT(count_tasks(t->rig), 1);
    CHECK_INT(count_events(t->rig), 1);
}

TEST(invariant_1_commit_then_tell)
{
    struct told t = {0};
    struct append a = append_of("a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"));
    RIG(r);

    t.rig = &r;
    CHECK_INT(store_append(r.store, &a, on_told_check_committed, &t), 0);
    TURN_UNTIL(&r, t.calls > 0);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 1);
    told_release(&t);
    rig_close(&r);
}

TEST(invariant_2_versions_have_no_holes)
{
    struct told t[6] = {0};
    RIG(r);

    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "0")), 0);
    start(&r, &t[1], "a", "t1", A2A_EVENT_STATUS, status("WORKING"));
    start(&r, &t[2], "a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    start(&r, &t[3], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "1"));
    start(&r, &t[4], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "1")); /* no change */
    start(&r, &t[5], "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    TURN_UNTIL(&r, t[5].calls);
    for (int i = 0; i < 6; i++)
        CHECK_INT(t[i].err, 0);
    for (int i = 1; i < 6; i++)
        CHECK(t[i].order > t[i - 1].order);
    CHECK_INT(t[5].seq, 5);
    CHECK_INT(t[5].state, A2A_STATE_COMPLETED);
    CHECK_INT(suite_number(&r.config, "SELECT seq FROM tasks"), 5);
    CHECK_INT(count_events(&r), 5);
    CHECK_INT(suite_number(&r.config, "SELECT min(seq) FROM task_events"), 1);
    CHECK_INT(suite_number(&r.config, "SELECT max(seq) FROM task_events"), 5);
    for (int i = 0; i < 6; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(invariant_2_the_owner_guards)
{
    struct told t = {0};
    struct store_figures f;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    suite_intrude(&r.config, "a", "t1", A2A_EVENT_STATUS, NULL);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "1")), 0);
    CHECK_INT(t.seq, 2);
    store_figures(r.store, &f);
    CHECK_INT(f.conflicts, 1);
    told_release(&t);
    rig_close(&r);
}

TEST(invariant_2_the_version_guards_and_refolds)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "0")), 0);
    suite_intrude(&r.config, "a", "t1", A2A_EVENT_STATUS, "{\"state\":\"TASK_STATE_WORKING\"}");
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_TASK,
            STR("{\"id\":\"t1\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},"
                "\"metadata\":{\"n\":1}}")),
        0);
    CHECK_INT(t.seq, 3);
    CHECK_INT(t.state, A2A_STATE_WORKING);
    CHECK(strstr(t.doc, "\"artifactId\":\"a\"") !=
          NULL); /* what the snapshot did not mention stays */
    CHECK_INT(suite_number(&r.config, "SELECT count(DISTINCT seq) FROM task_events"), 3);
    told_release(&t);
    rig_close(&r);
}

TEST(invariant_3_terminal_is_final)
{
    struct told t = {0};
    char *before;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "done")), 0);
    before = mem_str(t.doc, strlen(t.doc));
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("WORKING")), ERR_FINAL);
    CHECK_STR(told_doc(&t), str_of(before));
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_MESSAGE, MESSAGE), ERR_FINAL);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "FAILED", "done")),
              ERR_FINAL);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "done")), 0);
    CHECK_INT(t.seq, 1);
    CHECK_INT(count_events(&r), 1);
    rig_stop(&r);
    rig_start(&r); /* also when the terminal task is met on disk first */
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("WORKING")), ERR_FINAL);
    CHECK_STR(told_doc(&t), str_of(before));
    CHECK_INT(count_events(&r), 1);
    mem_free(before);
    told_release(&t);
    rig_close(&r);
}

/* The cache believes the task is working; the database knows better. */
TEST(invariant_3_terminal_is_final_in_sql)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    suite_intrude(&r.config, "a", "t1", A2A_EVENT_STATUS,
                  "{\"state\":\"TASK_STATE_CANCELED\"}");
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), ERR_FINAL);
    CHECK_INT(t.state, A2A_STATE_CANCELED);
    CHECK_INT(count_events(&r), 2);
    told_release(&t);
    rig_close(&r);
}

TEST(invariant_4_the_cache_holds_only_what_is_committed)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(get(&r, &t, "a", "t1"), ERR_ABSENT);
    start(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"));
    CHECK(!store_task_peek(r.store, STR("a"), STR("t1")));
    TURN_UNTIL(&r, t.calls);
    CHECK(t.was_in_cache);
    CHECK_INT(get(&r, &t, "a", "t1"), 0); /* absence was not remembered */
    CHECK_INT(t.seq, 1);
    start(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    CHECK_INT(store_task_peek(r.store, STR("a"), STR("t1"))->seq, 1);
    TURN_UNTIL(&r, t.calls);
    CHECK(t.was_in_cache);
    CHECK_INT(store_task_peek(r.store, STR("a"), STR("t1"))->seq, 2);
    told_release(&t);
    rig_close(&r);
}

TEST(invariant_5_ten_thousand_in_flight)
{
    enum { N = 10000, TASKS = 2500 };
    struct told *t = mem_zero(N, sizeof *t);
    char id[16];
    RIG(r);

    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i % TASKS);
        if (i < TASKS)
            start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "SUBMITTED", "0"));
        else
            start(&r, &t[i], "a", id, A2A_EVENT_STATUS,
                  status(i < 2 * TASKS   ? "WORKING"
                         : i < 3 * TASKS ? "INPUT_REQUIRED"
                                         : "COMPLETED"));
    }
    for (int i = 0; i < N; i++)
        TURN_UNTIL(&r, t[i].calls);
    for (int i = 0; i < N; i++) {
        CHECK_INT(t[i].err, 0);
        CHECK_INT(t[i].calls, 1);
        if (i >= TASKS)
            CHECK(t[i].order > t[i - TASKS].order); /* in order within one task */
        told_release(&t[i]);
    }
    CHECK_INT(count_tasks(&r), TASKS);
    CHECK_INT(count_events(&r), N);
    mem_free(t);
    rig_close(&r);
}

TEST(invariant_5_closing_commits_what_is_queued)
{
    enum { N = 600 };
    struct told *t = mem_zero(N, sizeof *t);
    struct append a = append_of("a", "late", A2A_EVENT_TASK, snapshot("late", "WORKING", "0"));
    char id[16];
    RIG(r);

    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i);
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "SUBMITTED", "0"));
    }
    store_close(r.store, on_rig_closed, &r);
    CHECK_INT(store_append(r.store, &a, on_append_told, &t[0]), ERR_CANCELED);
    TURN_UNTIL(&r, r.n_closed);
    r.store = NULL;
    for (int i = 0; i < N; i++) {
        CHECK_INT(t[i].calls, 1);
        CHECK_INT(t[i].err, 0);
        told_release(&t[i]);
    }
    CHECK_INT(count_tasks(&r), N);
    mem_free(t);
    rig_close(&r);
}

TEST(invariant_6_one_callback_each_and_never_inside)
{
    struct told a = {0}, b = {0};
    struct listed l = {0};
    RIG(r);

    CHECK_INT(put(&r, &a, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(get(&r, &b, "a", "t1"),
              0); /* from the cache; get() checks that it was not inside */
    list(&r, &l, NULL, 10, NULL);
    start(&r, &a, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    rig_stop(&r);
    CHECK_INT(a.calls, 1);
    CHECK_INT(b.calls, 1);
    CHECK_INT(l.calls, 1);
    told_release(&a);
    told_release(&b);
    rig_close(&r);
}

TEST(invariant_6_gets_are_told_when_closing)
{
    struct told t[50] = {0};
    char id[16];
    RIG(r);

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "t%d", i);
        t[i].rig = &r;
        CHECK_INT(store_task_get(r.store, STR("a"), str_of(id), on_get_told, &t[i]), 0);
    }
    rig_stop(&r);
    for (int i = 0; i < 50; i++) {
        CHECK_INT(t[i].calls, 1);
        CHECK(t[i].err == ERR_CANCELED || t[i].err == ERR_ABSENT || t[i].err == ERR_STORE);
    }
    rig_close(&r);
}

/* --- appends -------------------------------------------------------------------------------------- */

TEST(appends_of_one_task_coalesce)
{
    enum { N = 40 };
    struct told t[N] = {0};
    struct store_figures f;
    char text[16];
    RIG(r);

    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        start(&r, &t[i], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", text));
    }
    TURN_UNTIL(&r, t[N - 1].calls);
    store_figures(r.store, &f);
    CHECK(f.batches <= 2);
    CHECK_INT(f.appends, N);
    CHECK_INT(f.events, N);
    CHECK_INT(f.queued, 0);
    CHECK_INT(f.queued_bytes, 0);
    CHECK_INT(t[N - 1].seq, N);
    CHECK(strstr(t[N - 1].doc, "\"39\"") != NULL);
    for (int i = 0; i < N; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(message_before_the_first_snapshot)
{
    struct told t = {0};
    struct append a = append_of("a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    RIG(r);

    t.rig = &r;
    a.events[1] = (struct a2a_event){A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")};
    a.n_events = 2;
    a.likely_new = true;
    CHECK_INT(store_append(r.store, &a, on_append_told, &t), 0);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 2);
    CHECK_INT(count_events(&r), 2);
    CHECK(strstr(t.doc, "hello") == NULL); /* in the log, not in the task */
    told_release(&t);
    rig_close(&r);
}

TEST(likely_new_but_known)
{
    struct told t = {0};
    struct append a = append_of("a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "1"));
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    rig_stop(&r);
    rig_start(&r); /* an empty cache: the store finds out by the failing insert */
    told_release(&t);
    t.rig = &r;
    a.likely_new = true;
    CHECK_INT(store_append(r.store, &a, on_append_told, &t), 0);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.seq, 3); /* an artifact and a status */
    CHECK_INT(count_tasks(&r), 1);
    told_release(&t);
    rig_close(&r);
}

/* likely_new is a guess: an event that only a known task can take is not refused before somebody has
 * looked. */
TEST(likely_new_but_known_and_no_beginning)
{
    struct told t = {0};
    struct append a = append_of("a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    rig_stop(&r);
    rig_start(&r);
    told_release(&t);
    t.rig = &r;
    a.likely_new = true;
    CHECK_INT(store_append(r.store, &a, on_append_told, &t), 0);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(t.state, A2A_STATE_COMPLETED);
    told_release(&t);
    rig_close(&r);
}

TEST(same_task_id_at_two_agents)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "of a")), 0);
    CHECK_INT(put(&r, &t, "b", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "of b")), 0);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.state, A2A_STATE_WORKING);
    CHECK(strstr(t.doc, "of a") != NULL);
    CHECK_INT(count_tasks(&r), 2);
    told_release(&t);
    rig_close(&r);
}

TEST(what_is_not_a_beginning_is_refused)
{
    struct told t = {0};
    char long_id[LIMIT_TASK_ID + 2];
    struct append a = append_of("a", long_id, A2A_EVENT_TASK, snapshot("x", "WORKING", "0"));
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("WORKING")), ERR_INVALID);
    CHECK(t.why[0] != '\0');
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_MESSAGE, MESSAGE), ERR_INVALID);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t2", "WORKING", "0")),
              ERR_INVALID);
    CHECK_INT(count_tasks(&r), 0);
    memset(long_id, 'x', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    a.task_id = str_of(long_id);
    CHECK_INT(store_append(r.store, &a, on_append_told, &t), ERR_INVALID);
    CHECK_INT(get(&r, &t, "a", long_id), ERR_ABSENT);
    told_release(&t);
    rig_close(&r);
}

TEST(a_refused_append_does_not_hurt_its_neighbours)
{
    struct told t[3] = {0};
    RIG(r);

    start(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"));
    start(&r, &t[1], "a", "t1", A2A_EVENT_TASK, snapshot("t2", "WORKING", "0"));
    start(&r, &t[2], "a", "t1", A2A_EVENT_STATUS, status("COMPLETED"));
    TURN_UNTIL(&r, t[2].calls);
    CHECK_INT(t[0].err, 0);
    CHECK_INT(t[1].err, ERR_INVALID);
    CHECK_INT(t[2].err, 0);
    CHECK_INT(t[2].seq, 2);
    CHECK(t[0].order < t[1].order && t[1].order < t[2].order);
    for (int i = 0; i < 3; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(a_row_the_database_refuses_is_isolated)
{
    enum { N = 10 };
    struct told t[N] = {0};
    char id[16];
    RIG(r);

    suite_poison(&r.config, "t4");
    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i);
        start(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "0"));
    }
    for (int i = 0; i < N; i++) {
        TURN_UNTIL(&r, t[i].calls);
        CHECK_INT(t[i].err, i == 4 ? ERR_INVALID : 0);
        CHECK(i != 4 || t[i].why[0] != '\0');
        told_release(&t[i]);
    }
    CHECK_INT(count_tasks(&r), N - 1);
    rig_close(&r);
}

TEST(the_queue_is_bounded)
{
    struct rig r = {.config = {.queue_max_bytes = KB(8)}};
    struct append a = append_of("a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"));
    struct told t[64] = {0};
    unsigned n = 0;

    if (!rig_open(&r))
        return;
    CHECK(!store_is_full(r.store));
    for (; n < 64; n++) {
        t[n].rig = &r;
        if (store_append(r.store, &a, on_append_told, &t[n]) == ERR_FULL)
            break;
    }
    CHECK(n > 4 && n < 64);
    CHECK(store_is_full(r.store));
    for (unsigned i = 0; i < n; i++)
        TURN_UNTIL(&r, t[i].calls);
    CHECK_INT(t[63].calls, 0);
    CHECK(!store_is_full(r.store));
    CHECK_INT(store_append(r.store, &a, on_append_told, &t[n]), 0);
    TURN_UNTIL(&r, t[n].calls);
    for (unsigned i = 0; i < 64; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(a_task_that_outgrows_its_maximum_is_ended)
{
    struct rig r = {.config = {.task_max_bytes = KB(256)}};
    struct told t = {0};
    char *large = large_snapshot("t1", "WORKING", KB(300)),
         *fits = large_snapshot("t2", "WORKING", KB(150));
    char *new_too_large = large_snapshot("t3", "WORKING", KB(300));
    char *last_words = large_snapshot("t2", "COMPLETED", KB(220));

    if (rig_open(&r)) {
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(large)), ERR_LIMIT);
        CHECK_INT(t.state, A2A_STATE_FAILED);
        CHECK_INT(t.seq, 2);
        CHECK(t.doc && strstr(t.doc, "\"artifactId\":\"a\"") != NULL);
        CHECK_INT(put(&r, &t, "a", "t3", A2A_EVENT_TASK, str_of(new_too_large)), ERR_LIMIT);
        CHECK_INT(t.state, A2A_STATE_FAILED);
        CHECK_INT(get(&r, &t, "a", "t3"), 0);
        CHECK_INT(t.state, A2A_STATE_FAILED);
        /* The room kept for the end is the agent's, too. */
        CHECK_INT(put(&r, &t, "a", "t2", A2A_EVENT_TASK, str_of(fits)), 0);
        CHECK_INT(put(&r, &t, "a", "t2", A2A_EVENT_TASK, str_of(last_words)), 0);
        CHECK_INT(t.state, A2A_STATE_COMPLETED);
        rig_close(&r);
    }
    told_release(&t);
    mem_free(large);
    mem_free(fits);
    mem_free(new_too_large);
    mem_free(last_words);
}

TEST(an_agent_that_changes_its_dialect)
{
    struct told t = {0};
    struct append old = append_of("a", "t1", A2A_EVENT_TASK,
                                  STR("{\"id\":\"t1\",\"contextId\":\"c\",\"kind\":\"task\","
                                      "\"status\":{\"state\":\"working\"}}"));
    RIG(r);

    old.dialect = A2A_0_3;
    t.rig = &r;
    CHECK_INT(store_append(r.store, &old, on_append_told, &t), 0);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(t.err, 0);
    CHECK_INT(store_task_peek(r.store, STR("a"), STR("t1"))->dialect, A2A_0_3);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "1")), 0);
    CHECK_INT(store_task_peek(r.store, STR("a"), STR("t1"))->dialect, A2A_1_0);
    CHECK_INT(t.seq, 3);
    told_release(&t);
    rig_close(&r);
}

/* --- reads ---------------------------------------------------------------------------------------- */

static const char *const odd_documents[] = {
    "{\"id\":\"d0\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},"
    "\"metadata\":{\"z\":\"a\\u0000b\",\"a\":1}}",
    "{\"status\":{\"state\":\"TASK_STATE_WORKING\"},\"metadata\":{\"n\":123456789012345678901234567890.50,"
    "\"e\":1e400,\"neg\":-0,\"one\":1.0},\"id\":\"d1\"}",
    "{\"id\":\"d2\",\"metadata\":{\"slash\":\"\\/\","
    "\"pair\":\"\\ud83d\\ude00\",\"utf\":\"\xc3\xa4\xf0\x9f\x98\x80\"},"
    "\"status\":{\"state\":\"TASK_STATE_WORKING\"}}",
    "{\"id\":\"d3\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},\"x\":{\"b\":1,\"a\":2,\"c\":[]}}",
    "{\"id\":\"d4\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"},\"q\":\"'; DROP TABLE tasks; --\"}",
};
#define N_ODD (sizeof odd_documents / sizeof *odd_documents)

TEST(bytes_survive)
{
    struct told t = {0};
    char id[8];
    RIG(r);

    for (size_t i = 0; i < N_ODD; i++) {
        snprintf(id, sizeof id, "d%zu", i);
        CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK, str_of(odd_documents[i])), 0);
        CHECK_STR(told_doc(&t), str_of(odd_documents[i]));
    }
    rig_stop(&r);
    rig_start(&r);
    for (size_t i = 0; i < N_ODD; i++) {
        snprintf(id, sizeof id, "d%zu", i);
        CHECK_INT(get(&r, &t, "a", id), 0);
        CHECK_STR(told_doc(&t), str_of(odd_documents[i]));
    }
    told_release(&t);
    rig_close(&r);
}

/* Events that change no status leave the stored document behind; a miss folds them onto it. */
TEST(a_miss_folds_the_tail)
{
    struct told t = {0};
    char *want, text[32];
    struct task *seen;
    RIG(r);

    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof text, "text %d", i);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", text)), 0);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_MESSAGE, MESSAGE), 0);
    }
    want = mem_str(t.doc, strlen(t.doc));
    seen = store_task_peek(r.store, STR("a"), STR("t1"));
    CHECK(seen && seen->doc_seq < seen->seq);
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, 40);
    CHECK_STR(told_doc(&t), str_of(want));
    mem_free(want);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    seen = store_task_peek(r.store, STR("a"), STR("t1"));
    CHECK(seen && seen->doc_seq == 41 && seen->tail_bytes == 0);
    told_release(&t);
    rig_close(&r);
}

TEST(a_long_tail_is_folded_away)
{
    struct told t = {0};
    char *large = large_snapshot("t1", "WORKING", KB(30));
    struct task *seen = NULL;
    RIG(r);

    for (int i = 0; i < 8; i++) {
        large[strlen(large) - 8] = (char)('a' + i);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(large)), 0);
        seen = store_task_peek(r.store, STR("a"), STR("t1"));
        CHECK(seen && seen->tail_bytes <= KB(64));
    }
    CHECK(seen && seen->doc_seq > 1);
    mem_free(large);
    told_release(&t);
    rig_close(&r);
}

TEST(a_new_process_finds_everything)
{
    struct told t = {0};
    char id[16];
    RIG(r);

    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK,
                      snapshot(id, i % 2 ? "WORKING" : "COMPLETED", id)),
                  0);
    }
    rig_stop(&r);
    rig_start(&r);
    for (int i = 0; i < 50; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK(!store_task_peek(r.store, STR("a"), str_of(id)));
        CHECK_INT(get(&r, &t, "a", id), 0);
        CHECK(t.doc && strstr(t.doc, id) != NULL);
        if (i % 2 == 0) /* a terminal task may be cached by anyone */
            CHECK(store_task_peek(r.store, STR("a"), str_of(id)) != NULL);
        CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_STATUS, status("CANCELED")),
                  i % 2 ? 0 : ERR_FINAL);
    }
    told_release(&t);
    rig_close(&r);
}

TEST(many_ask_for_one_missing_task)
{
    enum { N = 100 };
    struct told t[N] = {0};
    struct store_figures before, after;
    RIG(r);

    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "0")), 0);
    rig_stop(&r);
    rig_start(&r);
    store_figures(r.store, &before);
    for (int i = 0; i < N; i++) {
        told_release(&t[i]);
        t[i].rig = &r;
        CHECK_INT(store_task_get(r.store, STR("a"), i % 2 ? STR("t1") : STR("absent"),
                                 on_get_told, &t[i]),
                  0);
    }
    for (int i = 0; i < N; i++) {
        TURN_UNTIL(&r, t[i].calls);
        CHECK_INT(t[i].err, i % 2 ? 0 : ERR_ABSENT);
        told_release(&t[i]);
    }
    store_figures(r.store, &after);
    CHECK_INT(after.misses - before.misses, N);
    before = after;
    CHECK_INT(get(&r, &t[0], "a", "t1"), 0);
    store_figures(r.store, &after);
    CHECK_INT(after.misses, before.misses);
    CHECK_INT(after.hits - before.hits, 2); /* and the peek of told_note() */
    told_release(&t[0]);
    rig_close(&r);
}

TEST(the_agents_last_word_is_noted)
{
    struct told t = {0};
    struct task *seen;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "0")), 0);
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    seen = store_task_peek(r.store, STR("a"), STR("t1"));
    CHECK(seen && seen->heard_ms == 0);
    store_task_heard(r.store, STR("a"), STR("t1"));
    CHECK(seen && seen->heard_ms == loop_now_ms(r.loop));
    store_task_heard(r.store, STR("a"), STR("unknown"));
    told_release(&t);
    rig_close(&r);
}

/* --- lists ---------------------------------------------------------------------------------------- */

/* Puts `n` tasks of two agents; every third shares its time with the one before. */
static void put_many(struct rig *r, int n)
{
    struct told *t = mem_zero((size_t)n, sizeof *t);
    char id[16], when[32];

    for (int i = 0; i < n; i++) {
        snprintf(id, sizeof id, "t%03d", i);
        snprintf(when, sizeof when, "2026-01-01T00:%02d:00.000Z", (i - (i % 3 == 2)) % 60);
        start(r, &t[i], i % 2 ? "odd" : "even", id, A2A_EVENT_TASK,
              snapshot_at(id, "WORKING", "x", when));
    }
    for (int i = 0; i < n; i++) {
        TURN_UNTIL(r, t[i].calls);
        CHECK_INT(t[i].err, 0);
        told_release(&t[i]);
    }
    mem_free(t);
}

/* Walks all pages of `limit` rows; every id once, totals exact on each page. Returns the number of rows. */
static size_t walk_pages(struct rig *r, const char *agent, unsigned limit, uint64_t total)
{
    struct listed l = {0};
    char next[sizeof l.next] = "", seen[200] = {0};
    size_t n = 0;

    do {
        list(r, &l, agent, limit, next[0] ? next : NULL);
        CHECK_INT(l.err, 0);
        CHECK_INT(l.total, total);
        CHECK(l.n <= limit);
        for (size_t i = 0; i < l.n; i++) {
            uint64_t at = 0;

            CHECK_INT(str_to_u64(str_of(l.ids[i] + 1), &at), 0);
            CHECK(at < sizeof seen && !seen[at]);
            seen[at % sizeof seen] = 1;
        }
        n += l.n;
        snprintf(next, sizeof next, "%s", l.next);
    } while (next[0] && n <= total);
    return n;
}

TEST(lists_page_by_key)
{
    struct listed l = {0};
    struct told t = {0};
    struct store_figures before, after;
    RIG(r);

    list(&r, &l, NULL, 10, NULL);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.n, 0);
    CHECK_INT(l.total, 0);
    CHECK_STR(str_of(l.next), STR(""));
    put_many(&r, 59);
    store_figures(r.store, &before);
    CHECK_INT(walk_pages(&r, NULL, 7, 59), 59);
    CHECK_INT(walk_pages(&r, NULL, 59, 59), 59);
    CHECK_INT(walk_pages(&r, NULL, 100, 59), 59);
    CHECK_INT(walk_pages(&r, "odd", 1, 29), 29);
    CHECK_INT(walk_pages(&r, "even", 10, 30), 30);
    CHECK_INT(walk_pages(&r, "nobody", 10, 0), 0);
    store_figures(r.store, &after);
    CHECK_INT(after.hits, before.hits); /* lists leave the cache alone */
    CHECK_INT(after.misses, before.misses);
    list(&r, &l, NULL, 3, NULL);
    CHECK_STR(str_of(l.ids[0]), STR("t058")); /* newest status first */
    CHECK_INT(
        put(&r, &t, "even", "t000", A2A_EVENT_STATUS,
            STR("{\"state\":\"TASK_STATE_WORKING\",\"timestamp\":\"2026-01-01T02:00:00Z\"}")),
        0);
    list(&r, &l, NULL, 3, NULL);
    CHECK_STR(str_of(l.ids[0]), STR("t000"));
    told_release(&t);
    rig_close(&r);
}

TEST(a_page_token_that_is_not_ours)
{
    static const char *const bad[] = {"x", "0", "zz", "-1", "00000000"};
    struct listed l = {0};
    char next[sizeof l.next + 1];
    RIG(r);

    put_many(&r, 5);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        list(&r, &l, NULL, 2, bad[i]);
        CHECK_INT(l.err, ERR_INVALID);
        CHECK_INT(l.n, 0);
    }
    list(&r, &l, NULL, 2, NULL);
    snprintf(next, sizeof next, "%s=", l.next); /* padding is not ours */
    list(&r, &l, NULL, 2, next);
    CHECK_INT(l.err, ERR_INVALID);
    rig_close(&r);
}

/* --- agents --------------------------------------------------------------------------------------- */

TEST(agents_of_a_source_are_exactly_these)
{
    struct store_agent first[2] = {{STR("a"), STR("http://a/"), STR("1.0"), STR("file")},
                                   {STR("b"), STR("http://b/"), STR("0.3"), STR("file")}};
    struct store_agent other = {STR("c"), STR("http://c/"), STR_NONE, STR("env")};
    struct told t = {0};
    RIG(r);

    store_agents_put(r.store, STR("file"), first, 2);
    store_agents_put(r.store, STR("env"), &other, 1);
    store_agents_put(r.store, STR("file"), first + 1, 1);
    while (suite_number(&r.config, "SELECT count(*) FROM agents WHERE source = 'file'") != 1 ||
           suite_number(&r.config, "SELECT count(*) FROM agents WHERE source = 'env'") != 1)
        CHECK_INT(get(&r, &t, "a", "any"), ERR_ABSENT);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM agents"), 2);
    rig_close(&r);
}

/* --- against a naive model ------------------------------------------------------------------------ */

/* The model: documents in an array, folded by a2a_event_fold() one event at a time. */
struct model_task {
    char *doc; /* owned; NULL: no such task */
    uint64_t seq;
};

#define MODEL_AGENTS 3
#define MODEL_IDS 12
#define MODEL_APPENDS 64 /* in flight together */

struct model {
    struct model_task tasks[MODEL_AGENTS][MODEL_IDS];
    uint64_t random;
};

static unsigned draw(struct model *m, unsigned below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 11) % below;
}

static bool model_is_terminal(const struct model_task *task)
{
    return task->doc && (strstr(task->doc, "_COMPLETED") || strstr(task->doc, "_FAILED") ||
                         strstr(task->doc, "_CANCELED"));
}

static int model_fold(struct model_task *task, const struct a2a_event *event)
{
    struct buf out;
    int err;

    buf_init(&out, MB(1));
    err = a2a_event_fold(str_of(task->doc), event, &out);
    if (err == 0) {
        mem_free(task->doc);
        task->doc = mem_str(out.p, out.n);
        task->seq++;
    }
    buf_release(&out);
    return err < 0 ? err : 0;
}

/* One event of a difference: it is logged also if the document is that far already, for readers are told of it. */
static int model_sink(void *arg, const struct a2a_event *event)
{
    struct model_task *task = arg;
    uint64_t seq = task->seq + 1;
    int err = model_fold(task, event);

    task->seq = seq;
    return err;
}

/* A snapshot of a task that is there: what the difference says, which is what the fold says. */
static int model_snapshot(struct model_task *task, const struct a2a_event *event,
                          struct str last)
{
    char *before = mem_str(task->doc, strlen(task->doc));
    struct buf out;
    const char *why;
    int err, folded;

    buf_init(&out, MB(1));
    folded = a2a_event_fold(str_of(before), event, &out);
    err = a2a_difference(str_of(before), event->payload, last, model_sink, task, &why);
    CHECK_INT(err, folded < 0 ? folded : 0);
    if (folded == 0)
        CHECK_STR(str_of(task->doc), buf_str(&out));
    buf_release(&out);
    mem_free(before);
    return err;
}

/* One event onto the model: what the fold says, or ERR_INVALID / ERR_FINAL as the store's rules have it. */
static int model_event(struct model_task *task, const struct a2a_event *event, struct str last)
{
    if (event->kind == A2A_EVENT_MESSAGE) {
        if (model_is_terminal(task))
            return ERR_FINAL;
        task->seq++;
        return 0;
    }
    if (event->kind == A2A_EVENT_TASK && task->doc && !model_is_terminal(task))
        return model_snapshot(task, event, last);
    return model_fold(task, event);
}

/* Whether the second event is said by the first: store.h above struct append. */
static bool model_is_said(const struct append *a, struct str *last)
{
    enum a2a_state one, two;

    if (a->n_events < 2 || a->events[0].kind != A2A_EVENT_TASK ||
        a->events[1].kind != A2A_EVENT_STATUS_UPDATE)
        return false;
    CHECK_INT(a2a_event_state(A2A_EVENT_TASK, a->events[0].payload, &one), 0);
    CHECK_INT(a2a_event_state(A2A_EVENT_STATUS_UPDATE, a->events[1].payload, &two), 0);
    if (one == two)
        *last = a->events[1].payload;
    return one == two || a2a_state_is_terminal(one);
}

static int model_append(struct model_task *task, const struct append *a)
{
    struct model_task old = {task->doc ? mem_str(task->doc, strlen(task->doc)) : NULL,
                             task->seq};
    struct str last = STR_NONE;
    size_t n = model_is_said(a, &last) ? 1 : a->n_events;
    int err = 0;

    for (size_t i = 0; i < n && !err; i++)
        err = model_event(task, &a->events[i], last);
    if (!err && !task->doc)
        err = ERR_INVALID;
    if (err) { /* all of an append or nothing */
        mem_free(task->doc);
        *task = old;
    } else {
        mem_free(old.doc);
    }
    return err;
}

static struct str model_payload(struct model *m, enum a2a_event_kind kind, const char *id)
{
    static const char *const states[] = {"SUBMITTED",      "WORKING",   "WORKING", "WORKING",
                                         "INPUT_REQUIRED", "COMPLETED", "FAILED",  "CANCELED"};
    static const char *const texts[] = {"one", "two", "a\\u0000b", "1e400"};
    const char *state = states[draw(m, draw(m, 4) ? 5 : 8)];

    if (kind == A2A_EVENT_MESSAGE)
        return MESSAGE;
    if (kind == A2A_EVENT_STATUS_UPDATE)
        return status_update(id, state, texts[draw(m, 2)]);
    if (kind == A2A_EVENT_ARTIFACT_UPDATE)
        return chunk(id, draw(m, 4) ? "a" : "b", texts[draw(m, 4)]);
    return kind == A2A_EVENT_STATUS ? status(state) : snapshot(id, state, texts[draw(m, 4)]);
}

static struct append model_draw(struct model *m, const char *agent, const char *id)
{
    static const enum a2a_event_kind kinds[] = {A2A_EVENT_TASK,
                                                A2A_EVENT_TASK,
                                                A2A_EVENT_STATUS,
                                                A2A_EVENT_STATUS_UPDATE,
                                                A2A_EVENT_ARTIFACT_UPDATE,
                                                A2A_EVENT_ARTIFACT_UPDATE,
                                                A2A_EVENT_ARTIFACT_UPDATE,
                                                A2A_EVENT_ARTIFACT_UPDATE,
                                                A2A_EVENT_MESSAGE};
    enum a2a_event_kind kind = kinds[draw(m, 9)];
    struct append a = append_of(agent, id, kind, model_payload(m, kind, id));

    if (draw(m, 4) == 0) {
        kind = kinds[draw(m, 8)];
        a.events[1] = (struct a2a_event){kind, model_payload(m, kind, id)};
        a.n_events = 2;
    }
    a.likely_new = draw(m, 3) == 0;
    return a;
}

/* One burst of appends, told in any order between tasks, in order within one. */
static void model_burst(struct rig *r, struct model *m, struct told t[MODEL_APPENDS])
{
    int want[MODEL_APPENDS];
    char *doc[MODEL_APPENDS];
    uint64_t seq[MODEL_APPENDS];
    unsigned n = 1 + draw(m, MODEL_APPENDS);

    for (unsigned i = 0; i < n; i++) {
        unsigned at = draw(m, MODEL_AGENTS), which = draw(m, MODEL_IDS);
        struct model_task *task = &m->tasks[at][which];
        char agent[8], id[8];
        struct append a;

        snprintf(agent, sizeof agent, "agent%u", at);
        snprintf(id, sizeof id, "t%u", which);
        a = model_draw(m, agent, id);
        want[i] = model_append(task, &a);
        seq[i] = task->seq;
        doc[i] = task->doc ? mem_str(task->doc, strlen(task->doc)) : NULL;
        told_release(&t[i]);
        t[i].rig = r;
        CHECK_INT(store_append(r->store, &a, on_append_told, &t[i]), 0);
        if (draw(m, 8) == 0)
            loop_turn(r->loop, false);
    }
    for (unsigned i = 0; i < n; i++) {
        TURN_UNTIL(r, t[i].calls);
        CHECK_INT(t[i].err, want[i]);
        /* Coalesced appends are told the version of their batch: at least their own, never another task's. */
        CHECK(!doc[i] || t[i].seq >= seq[i]);
        mem_free(doc[i]);
    }
}

static void model_compare(struct rig *r, struct model *m)
{
    struct told t = {0};
    char agent[8], id[8];

    for (unsigned at = 0; at < MODEL_AGENTS; at++) {
        for (unsigned which = 0; which < MODEL_IDS; which++) {
            struct model_task *task = &m->tasks[at][which];

            snprintf(agent, sizeof agent, "agent%u", at);
            snprintf(id, sizeof id, "t%u", which);
            CHECK_INT(get(r, &t, agent, id), task->doc ? 0 : ERR_ABSENT);
            CHECK_STR(told_doc(&t), str_of(task->doc));
            CHECK_INT(t.seq, task->doc ? task->seq : 0);
            if (task->doc && draw(m, 4) == 0)
                check_log_leads_to(r, agent, id, str_of(task->doc), task->seq, draw(m, 2000));
        }
    }
    told_release(&t);
}

static void model_program(uint64_t seed, size_t cache_bytes)
{
    struct rig r = {.config = {.cache_bytes = cache_bytes}};
    struct model m = {.random = seed};
    struct told t[MODEL_APPENDS] = {0};

    if (!rig_open(&r))
        return;
    for (int burst = 0; burst < 12; burst++) {
        model_burst(&r, &m, t);
        if (draw(&m, 6) == 0)
            suite_intrude(&r.config, "agent1", "t1", A2A_EVENT_STATUS, NULL);
        if (draw(&m, 6) == 0) {
            rig_stop(&r);
            rig_start(&r);
        }
        model_compare(&r, &m);
    }
    for (int i = 0; i < MODEL_APPENDS; i++)
        told_release(&t[i]);
    for (int i = 0; i < MODEL_AGENTS * MODEL_IDS; i++)
        mem_free(m.tasks[i / MODEL_IDS][i % MODEL_IDS].doc);
    rig_close(&r);
}

TEST(random_programs_agree_with_the_model)
{
    for (uint64_t seed = 1; seed <= 6; seed++)
        model_program(seed * 0x9e3779b97f4a7c15u, seed % 2 ? MB(1) : KB(4));
}

#include "suite_agents.h"
#include "suite_lists.h"
#include "suite_push.h"

#endif
