/* SPDX-License-Identifier: MIT
 *
 * Calls, with a real embedded store and a scripted agent: that each is answered exactly once, by whom and
 * from where, and that it ends whatever its caller, its agent or its store do meanwhile.
 */
#include <sqlite3.h>

#include "unit/call/caller.h"
/* --- reading -------------------------------------------------------------------------------------- */

TEST(a_finished_task_is_answered_at_once)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "completed");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_ANSWERED);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    get(&c, "\\u0074\\u0031"); /* the same id in other letters */
    CHECK_INT(c.progress, CALL_ANSWERED);
    CHECK(c.is_ok);
    CHECK_INT(server.n_requests, 1);
    caller_release(&c);
    close_calls();
}

TEST(a_fresh_task_is_answered_at_once_and_an_old_one_asked_for)
{
    struct caller c;

    STAGE(3600000);
    make_task("t1", "working");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_ANSWERED);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    calls_config.fresh_ms = 0;
    remake_calls();
    script_task(SERVER_ANSWER, "t1", "completed", "");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_RUNNING);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

TEST(a_task_nobody_knows)
{
    struct caller c;

    STAGE(0);
    script(SERVER_ANSWER, "error", NOT_FOUND);
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    script_task(SERVER_ANSWER, "t2", "completed", "");
    get(&c, "t2"); /* unknown here, known there: kept */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t2", "completed", ""));
    CHECK(store_task_peek(store, STR("a"), STR("t2")) != NULL);
    caller_release(&c);
    close_calls();
}

TEST(an_agent_that_fails_leaves_the_stored_task)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script(SERVER_ANSWER, "error", NOT_FOUND);
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    script_task(SERVER_ANSWER, "another", "completed", "");
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    CHECK(store_task_peek(store, STR("a"), STR("another")) == NULL);
    caller_release(&c);
    close_calls();
}

/* --- one question for many ------------------------------------------------------------------------ */

#define MANY 5

static void get_many(struct caller *c, const char *id)
{
    unsigned before = server.n_requests;

    for (int i = 0; i < MANY; i++)
        get(&c[i], id);
    TURN_UNTIL(server.n_requests > before);
    CHECK_INT(calls_running(calls), MANY);
}

TEST(many_ask_once_and_get_the_same_task)
{
    struct caller c[MANY];

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++) {
        check_object(&c[i], task_text("t1", "completed", ""));
        caller_release(&c[i]);
    }
    CHECK_INT(server.n_requests, 2);
    close_calls();
}

TEST(many_ask_once_and_get_the_same_fault)
{
    struct caller c[MANY];

    STAGE(0);
    script(SERVER_DRIP, "error", "{\"code\":-7,\"message\":\"no\"}");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++) {
        check_fault(&c[i], A2A_ERROR_INTERNAL);
        CHECK_STR(str_of(c[i].agent_error), STR("{\"code\":-7,\"message\":\"no\"}"));
    }
    CHECK_INT(server.n_requests, 1);
    script_task(SERVER_ANSWER, "t1", "completed", ""); /* and the next one asks again */
    get(&c[0], "t1");
    TURN_UNTIL(c[0].n);
    check_object(&c[0], task_text("t1", "completed", ""));
    caller_release(&c[0]);
    close_calls();
}

TEST(who_leaves_takes_nobody_along)
{
    struct caller c[MANY];

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    call_detach(c[0].call); /* the one that asks */
    call_detach(c[2].call); /* one that waits for him */
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c[0].n + c[2].n, 0);
    for (int i = 1; i < MANY; i += 2) {
        check_object(&c[i], task_text("t1", "completed", ""));
        caller_release(&c[i]);
    }
    caller_release(&c[4]);
    close_calls();
}

TEST(a_caller_who_hangs_up_loses_nothing)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    call_detach(c.call);
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 0);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

/* --- the end -------------------------------------------------------------------------------------- */

static void on_idle(void *arg)
{
    ++*(unsigned *)arg;
}

TEST(draining_refuses_new_calls_and_waits_for_the_others)
{
    struct caller c, late;
    unsigned n_idle = 0;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    calls_drain(calls, on_idle, &n_idle);
    CHECK_INT(n_idle, 0);
    send_task(&late, "");
    check_fault(&late, A2A_ERROR_SHUTTING_DOWN);
    get(&late, "t1");
    check_fault(&late, A2A_ERROR_SHUTTING_DOWN);
    let_answer();
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    CHECK_INT(n_idle, 1);
    caller_release(&c);
    close_calls();
}

TEST(draining_with_nothing_to_wait_for)
{
    unsigned n_idle = 0;

    STAGE(0);
    calls_drain(calls, on_idle, &n_idle);
    CHECK_INT(n_idle, 1);
    close_calls();
}

TEST(calls_called_off_end)
{
    struct caller c, many[MANY];

    STAGE(0);
    send_task(&c, "");
    for (int i = 0; i < MANY; i++)
        get(&many[i], "t1");
    TURN_UNTIL(server.n_requests == 2);
    egress_cancel_all(egress);
    check_fault(&c, A2A_ERROR_SHUTTING_DOWN);
    for (int i = 0; i < MANY; i++)
        check_fault(&many[i], A2A_ERROR_SHUTTING_DOWN);
    close_calls();
}

/* An agent must not begin what a closing store could not keep. */
TEST(nothing_is_sent_when_the_store_closes)
{
    struct caller c;

    STAGE(0);
    store_close(store, on_store_closed, NULL);
    send_task(&c, ",\"taskId\":\"t1\"");
    check_fault(&c, A2A_ERROR_SHUTTING_DOWN);
    TURN_UNTIL(n_store_closed);
    store = NULL;
    CHECK_INT(server.n_requests, 0);
    close_calls();
}

/* --- a store that does not answer ----------------------------------------------------------------- */

static sqlite3 *lock_database(void)
{
    char path[128];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/superx.db", folder);
    CHECK_INT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void unlock_database(sqlite3 *db)
{
    CHECK_INT(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void be_impatient(void)
{
    calls_config.store_wait_ms = 1;
    remake_calls();
}

TEST(a_sender_is_told_that_the_store_is_late)
{
    struct caller c;
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_STORE_UNAVAILABLE);
    CHECK_INT(calls_running(calls), 1); /* the call goes on */
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 1);
    TURN_UNTIL(store_is == STORE_UP);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

static bool are_told(const struct caller *c)
{
    for (int i = 0; i < MANY; i++)
        if (!c[i].n)
            return false;
    return true;
}

TEST(readers_of_a_late_store_get_what_is_stored)
{
    struct caller c[MANY];
    sqlite3 *blocker;

    STAGE(0);
    make_task("t1", "working");
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(are_told(c));
    CHECK_INT(calls_running(calls), 0); /* the question waits on with the store */
    for (int i = 0; i < MANY; i++) {
        check_object(&c[i], task_text("t1", "working", ""));
        caller_release(&c[i]);
    }
    TURN_UNTIL(store_is == STORE_DOWN);
    get(&c[0], "t1"); /* nobody is asked now: the answer could not be committed */
    TURN_UNTIL(c[0].n);
    check_object(&c[0], task_text("t1", "working", ""));
    caller_release(&c[0]);
    CHECK_INT(server.n_requests, 2);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c[0].n, 0);
    close_calls();
}

TEST(readers_of_a_late_store_that_has_nothing)
{
    struct caller c[MANY];
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(are_told(c));
    CHECK_INT(calls_running(calls), 0);
    for (int i = 0; i < MANY; i++)
        check_fault(&c[i], A2A_ERROR_STORE_UNAVAILABLE);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(c[i].n, 1);
    close_calls();
}

/* What is sent after the caller was told that it failed, he would send again. */
TEST(nothing_is_sent_for_a_caller_who_was_told_that_it_failed)
{
    struct caller c[2];
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "working", "");
    send_task(&c[0], ",\"taskId\":\"t1\"");
    get_as(&c[1], "tasks/cancel", "a", "t1");
    TURN_UNTIL(server.n_requests == 1);
    let_answer();
    TURN_UNTIL(c[0].n && c[1].n);
    for (int i = 0; i < 2; i++) {
        check_fault(&c[i], A2A_ERROR_STORE_UNAVAILABLE);
        CHECK(strstr(c[i].detail, "nothing was sent") != NULL);
    }
    unlock_database(blocker);
    TURN_UNTIL(store_is == STORE_UP && store_task_peek(store, STR("a"), STR("t1")));
    CHECK_INT(calls_running(calls), 0);
    CHECK_INT(server.n_requests, 1);
    CHECK_INT(c[0].n + c[1].n, 2);
    close_calls();
}

TEST(a_caller_who_hangs_up_after_he_was_told)
{
    struct caller c;
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    call_detach(c.call);
    let_answer();
    TURN_UNTIL(store_is == STORE_DOWN);
    CHECK_INT(c.n, 0);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 0);
    close_calls();
}

/* --- an agent that does not answer ---------------------------------------------------------------- */

TEST(a_reader_of_a_silent_agent_gets_what_is_stored)
{
    struct caller c, none;

    clock_set(&stopped_clock);
    STAGE(0);
    calls_config.store_wait_ms = 2000;
    remake_calls();
    make_task("t1", "working");
    script_silence();
    script_silence();
    get(&c, "t1");
    get(&none, "t2");
    TURN_UNTIL(server.n_requests == 3);
    clock_advance_ms(1999);
    loop_turn(loop, false);
    CHECK_INT(c.n, 0);
    clock_advance_ms(1);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    CHECK_INT(none.n, 0); /* there is nothing else to tell */
    CHECK_INT(calls_running(calls), 1);
    clock_advance_ms(8100);
    TURN_UNTIL(none.n);
    check_fault(&none, A2A_ERROR_AGENT_TIMEOUT);
    caller_release(&c);
    close_calls();
}

TEST(a_reader_who_hangs_up_ends_his_call)
{
    struct caller c, early;

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    get(&c, "t1");
    TURN_UNTIL(server.n_requests == 2);
    call_detach(c.call);
    CHECK_INT(calls_running(calls), 0);
    let_answer(); /* the question goes on */
    TURN_UNTIL(follow_count(follow) == 0);
    get(&early, "t2");
    call_detach(early.call); /* before the store has answered: its agent is not asked */
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(server.n_requests, 2);
    CHECK_INT(c.n + early.n, 0);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

TEST(draining_does_not_wait_for_a_silent_agent)
{
    struct caller c, none, early;
    unsigned n_idle = 0;

    STAGE(0);
    make_task("t1", "working");
    make_task("t3", "working");
    script_silence();
    script_silence();
    get(&c, "t1");
    get(&none, "t2");
    TURN_UNTIL(server.n_requests == 4);
    get(&early, "t3");
    calls_drain(calls, on_idle, &n_idle);
    check_object(&c, task_text("t1", "working", ""));
    check_fault(&none, A2A_ERROR_SHUTTING_DOWN);
    TURN_UNTIL(early.n);
    check_object(&early, task_text("t3", "working", ""));
    CHECK_INT(n_idle, 1);
    CHECK_INT(server.n_requests, 4);
    caller_release(&c);
    caller_release(&early);
    close_calls();
}

/* --- answers that do not fit ---------------------------------------------------------------------- */

/* What the gateway made of it is the truth, and so the answer: a retry would have the agent do it twice. */
TEST(a_task_that_is_too_large_is_answered_as_it_ended)
{
    static const char head[] = "{\"id\":\"t1\",\"status\":{\"state\":\"working\"},\"n\":\"";
    char *large = mem_zero(20000, 1);
    struct caller c;

    store_config.task_max_bytes = 12000;
    STAGE(0);
    memset(large, 'x', 15000);
    memcpy(large, head, sizeof head - 1);
    memcpy(large + 15000, "\"}", 3);
    script(SERVER_ANSWER, "result", large);
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK_INT(c.n, 1);
    CHECK(c.is_ok);
    CHECK(c.object && strstr(c.object, "\"state\":\"failed\"") &&
          strstr(c.object, "TASK_MAX_BYTES"));
    caller_release(&c);
    mem_free(large);
    close_calls();
}

TEST(an_agents_word_after_the_end_changes_nothing)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", ""); /* to this caller ... */
    send_task(&c, "");
    TURN_UNTIL(server.n_requests == 1);
    let_answer();
    TURN_UNTIL(c.n);
    caller_release(&c);
    script_task(SERVER_ANSWER, "t1", "working", ""); /* ... and another tale to the next */
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

/* A reload may change the version an agent speaks while tasks of the old one run. Whoever asks, in whatever
 * version, is told which one the answer is in. */
TEST(a_task_is_kept_in_the_version_its_agent_spoke)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    put_agent(A2A_1_0);
    script_task(SERVER_ANSWER, "t1", "TASK_STATE_COMPLETED", "");
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "TASK_STATE_COMPLETED", ""));
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    get_as(&c, "GetTask", "a", "t1");
    CHECK_INT(c.progress, CALL_ANSWERED);
    check_object(&c, task_text("t1", "TASK_STATE_COMPLETED", ""));
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    close_calls();
}

/* --- callers that wait for the end ---------------------------------------------------------------- */

/* Time stands still, so that polls come when told. */
static void open_slow(void)
{
    clock_set(&stopped_clock);
    follow_config = (struct follow_config){250, 10000, 60000, 60000};
    open_calls(0);
}

static void send_blocking(struct caller *c)
{
    send_with(c, "", ",\"configuration\":{\"blocking\":true}");
}

static bool is_held(const struct caller *c)
{
    return !c->n && follow->n_waits == 1;
}

TEST(a_blocking_caller_is_held_to_the_end)
{
    struct caller c;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_blocking(&c);
    TURN_UNTIL(is_held(&c));
    clock_advance_ms(300); /* the poll finds the end */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    CHECK_INT(calls_running(calls), 0);
    caller_release(&c);
    close_calls();
}

TEST(a_blocking_caller_is_told_what_is_wanted_of_him)
{
    struct caller c;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "input-required", "");
    send_blocking(&c);
    TURN_UNTIL(is_held(&c));
    clock_advance_ms(300);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "input-required", ""));
    caller_release(&c);
    close_calls();
}

TEST(a_blocking_caller_is_not_held_for_ever)
{
    struct caller c;

    open_slow();
    calls_config.send_wait_ms = 200;
    remake_calls();
    script_task(SERVER_ANSWER, "t1", "working", "");
    send_blocking(&c);
    TURN_UNTIL(is_held(&c));
    clock_advance_ms(200);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    CHECK_INT(follow_count(follow), 1);
    caller_release(&c);
    close_calls();
}

TEST(who_does_not_ask_to_wait_does_not)
{
    struct caller c;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    send_with(&c, "", ",\"configuration\":{\"blocking\":false}");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    script_task(SERVER_ANSWER, "t2", "working", "");
    send_task(&c, ""); /* 0.3 leaves it to the agent, and it has decided */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t2", "working", ""));
    CHECK_INT(follow->n_waits, 0);
    caller_release(&c);
    close_calls();
}

TEST(a_held_caller_may_hang_up)
{
    struct caller c;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_blocking(&c);
    TURN_UNTIL(is_held(&c));
    call_detach(c.call);
    CHECK_INT(calls_running(calls), 0);
    CHECK_INT(follow_count(follow), 1); /* the task is followed all the same */
    clock_advance_ms(300);
    TURN_UNTIL(follow_count(follow) == 0);
    CHECK_INT(c.n, 0);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

TEST(draining_answers_held_callers)
{
    struct caller held, running;
    unsigned n_idle = 0;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_DRIP, "t2", "working", "");
    send_blocking(&held);
    TURN_UNTIL(is_held(&held));
    send_blocking(&running);
    TURN_UNTIL(server.n_requests == 2);
    calls_drain(calls, on_idle, &n_idle);
    check_object(&held, task_text("t1", "working", ""));
    CHECK_INT(n_idle, 0);
    let_answer();
    TURN_UNTIL(running.n); /* at once, with what the agent said */
    check_object(&running, task_text("t2", "working", ""));
    CHECK_INT(n_idle, 1);
    caller_release(&held);
    caller_release(&running);
    close_calls();
}

TEST(draining_answers_the_last_held_caller_and_is_idle_once)
{
    struct caller c;
    unsigned n_idle = 0;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    send_blocking(&c);
    TURN_UNTIL(is_held(&c));
    calls_drain(calls, on_idle, &n_idle);
    CHECK_INT(n_idle, 1);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    close_calls();
}

/* --- canceling ------------------------------------------------------------------------------------ */

static void cancel(struct caller *c, const char *id)
{
    get_as(c, "tasks/cancel", "a", id);
}

TEST(a_canceled_task)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "canceled", ""));
    caller_release(&c);
    cancel(&c, "t1"); /* over: nobody is asked */
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_CANCELABLE);
    CHECK_INT(server.n_requests, 2);
    CHECK_INT(follow_count(follow), 0);
    close_calls();
}

TEST(a_cancel_that_takes_its_time)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "submitted");
    script_task(SERVER_ANSWER, "t1", "working", "");
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    CHECK_INT(follow_count(follow), 1);
    caller_release(&c);
    close_calls();
}

TEST(canceling_a_task_unknown_here)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "canceled", ""));
    caller_release(&c);
    script_task(SERVER_ANSWER, "t2", "completed", ""); /* known there, and over */
    cancel(&c, "t2");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_CANCELABLE);
    script(SERVER_ANSWER, "error", NOT_FOUND);
    cancel(&c, "t3");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    CHECK_INT(server.n_requests, 4);
    close_calls();
}

TEST(another_end_wins_over_a_cancel)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_ANSWER, "t1", "completed", ""); /* it was done already */
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_CANCELABLE);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

/* The agent completes the task for one caller and cancels it for another; whose answer is committed first
 * wins. */
TEST(a_cancel_racing_completion)
{
    struct caller sender, canceler, reader;

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&sender, ",\"taskId\":\"t1\"");
    TURN_UNTIL(server.n_requests == 2);
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    cancel(&canceler, "t1");
    TURN_UNTIL(canceler.n && sender.n); /* who waits at the agent is told at once */
    check_object(&canceler, task_text("t1", "canceled", ""));
    check_object(&sender, task_text("t1", "canceled", ""));
    CHECK_INT(calls_running(calls), 1);
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0); /* the late result is refused */
    get(&reader, "t1");
    check_object(&reader, task_text("t1", "canceled", ""));
    caller_release(&reader);
    caller_release(&sender);
    caller_release(&canceler);
    close_calls();
}

TEST(a_held_caller_gets_the_canceled_task)
{
    struct caller sender, canceler;

    open_slow();
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    send_blocking(&sender);
    TURN_UNTIL(is_held(&sender));
    cancel(&canceler, "t1");
    TURN_UNTIL(canceler.n && sender.n);
    check_object(&canceler, task_text("t1", "canceled", ""));
    check_object(&sender, task_text("t1", "canceled", ""));
    caller_release(&sender);
    caller_release(&canceler);
    close_calls();
}

#define NOT_CANCELABLE "{\"code\":-32002,\"message\":\"over\"}"

TEST(an_agent_that_refuses_to_cancel_is_asked_why)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script(SERVER_ANSWER, "error", NOT_CANCELABLE);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_CANCELABLE);
    CHECK_STR(str_of(c.agent_error), STR("")); /* ours, because now we know */
    make_task("t2", "working");
    script(SERVER_ANSWER, "error", NOT_CANCELABLE);
    script_task(SERVER_ANSWER, "t2", "working", "");
    cancel(&c, "t2"); /* it goes on, and its agent will not stop */
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_INTERNAL);
    CHECK_STR(str_of(c.agent_error), STR(NOT_CANCELABLE));
    CHECK_INT(follow_count(follow), 1);
    script(SERVER_ANSWER, "error", "{\"code\":-32004,\"message\":\"cannot\"}");
    cancel(&c, "t2"); /* another error says nothing of the task */
    TURN_UNTIL(c.n);
    CHECK_STR(str_of(c.agent_error), STR("{\"code\":-32004,\"message\":\"cannot\"}"));
    CHECK_INT(server.n_requests, 7);
    close_calls();
}

TEST(an_agent_that_cannot_be_reached_cancels_nothing)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script_silence();
    server.lines[1].act = SERVER_ANSWER_RESET;
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_AGENT_UNREACHABLE);
    script_task(SERVER_ANSWER, "t9", "canceled", "");
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_INVALID_AGENT_RESPONSE);
    put_agents(NULL, 0, A2A_0_3, 8);
    cancel(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
    get(&c, "t1"); /* but it can be read */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    close_calls();
}

/* --- what is not built yet ------------------------------------------------------------------------ */

TEST(what_is_not_built_is_said_in_the_versions_words)
{
    static const struct {
        const char *method;
        enum a2a_error error;
    } unbuilt[] = {
        {"agent/getAuthenticatedExtendedCard", A2A_ERROR_EXTENDED_CARD},
        {"GetExtendedAgentCard", A2A_ERROR_UNSUPPORTED},
    };
    struct caller c;

    STAGE(0);
    for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++) {
        get_as(&c, unbuilt[i].method, "a", "t1");
        check_fault(&c, unbuilt[i].error);
    }
    send_with(&c, "",
              ",\"configuration\":{\"pushNotificationConfig\":{\"url\":\"http://x/\"}}");
    check_fault(&c, A2A_ERROR_PUSH_NOT_SUPPORTED);
    CHECK_INT(server.n_requests, 0);
    close_calls();
}

/* --- hostile ids ---------------------------------------------------------------------------------- */

TEST(what_cannot_be_an_agent_is_nobody)
{
    char long_id[3 * LIMIT_AGENT_ID];
    const char *ids[] = {"",     "b",    ".",     "..",       "a%2e", "%61",  "a b",
                         "a\"b", "a\nb", "a\x7f", "\x80\xff", "a/b",  long_id};
    struct caller c;

    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    STAGE(0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        get_as(&c, "tasks/get", ids[i], "t1");
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
        CHECK(strlen(c.detail) < 200);
        get_as(&c, "GetTask", ids[i], "t1");
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
    }
    CHECK_INT(server.n_requests, 0);
    close_calls();
}

TEST(what_cannot_be_a_task_is_not_found)
{
    static const char *const ids[] = {"a\\u0000b", "a\\nb", "a\\u007fb",
                                      "a\x7f"
                                      "b",
                                      "\\u0000"};
    struct caller c;
    char more[64];

    STAGE(0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        get(&c, ids[i]);
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
        snprintf(more, sizeof more, ",\"taskId\":\"%s\"", ids[i]);
        send_task(&c, more);
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    }
    CHECK_INT(server.n_requests, 0);
    close_calls();
}

/* Every reader sees U+0061 in "a" and in "\u0061": so do we. A task's id that needs escapes is asked for with
 * them. */
TEST(task_ids_with_escapes)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_ANSWER, "q\\\"\\u00e4", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    caller_release(&c);
    get(&c, "q\\\"\xc3\xa4");
    CHECK_INT(c.progress, CALL_ANSWERED);
    CHECK(c.is_ok);
    caller_release(&c);
    close_calls();
}

/* The largest request there may be. */
TEST(eight_megabytes_are_copied_whole)
{
    static const char head[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"configuration\":"
        "{\"historyLength\":1},\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
        "[{\"kind\":\"text\",\"text\":\"";
    char *body = mem_zero(LIMIT_REQUEST_BODY + 1, 1);
    struct caller c;

    STAGE(0);
    memset(body, 'x', LIMIT_REQUEST_BODY);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + LIMIT_REQUEST_BODY - 9, "\"}]   }}}", 9);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    ask(&c, "a", body);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    CHECK(server.seen.n > LIMIT_REQUEST_BODY - 100);
    caller_release(&c);
    mem_free(body);
    close_calls();
}

TEST_MAIN
