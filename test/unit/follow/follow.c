/* SPDX-License-Identifier: MIT
 *
 * Following tasks, with a real embedded store, a scripted agent and a clock that moves when told: who is
 * asked, how often, what is made of the answers, who is told, and that it all ends.
 */
#include <sqlite3.h>

#include "unit/call/stage.h"

#define MIN_MS 250u
#define MAX_MS 10000u
#define INTERRUPTED_MS 60000u
#define LOST_MS 60000u

/* --- the stage ------------------------------------------------------------------------------------ */

static void open_follow(void)
{
    clock_set(&stopped_clock);
    follow_config = (struct follow_config){MIN_MS, MAX_MS, INTERRUPTED_MS, LOST_MS};
    open_stage();
}

/* Some turns in which nothing can happen that has not been caused. The store answers from a thread of its
 * own, so the loop is given the time it takes to come to rest, in turns, not by the clock. */
static void settle(void)
{
    for (int i = 0; i < 50; i++) {
        loop_turn(loop, false);
        follow_check(follow);
    }
}

static bool is_quiet(void)
{
    struct store_figures figures;

    store_figures(store, &figures);
    return follow->n_questions == 0 && figures.queued == 0;
}

/* Lets `ms` pass; what falls due is begun. */
static void pass(uint64_t ms)
{
    clock_advance_ms(ms);
    settle();
}

/* Lets the pause before the next question pass, with the little that is added to it. */
static void pass_pause(uint64_t ms)
{
    pass(ms + ms / 8 + 1);
}

/* The agent is asked once more, and what it says is settled. */
static void await_question(unsigned n_requests)
{
    TURN_UNTIL(server.n_requests == n_requests);
    TURN_UNTIL(is_quiet());
}

static void on_put(void *arg, int err, struct task *task, const char *why)
{
    int *out = arg;

    (void)task;
    (void)why;
    *out = err;
}

/* What a call would have committed. Returns err. */
static int put_task(const char *agent, const char *id, const char *state)
{
    struct append append = {
        .agent = str_of(agent),
        .task_id = str_of(id),
        .dialect = A2A_0_3,
        .events = {{A2A_EVENT_TASK, str_of(task_text(id, state, ""))}},
        .n_events = 1,
    };
    int err = 1;

    CHECK_INT(store_append(store, &append, on_put, &err), 0);
    TURN_UNTIL(err != 1);
    return err;
}

static enum a2a_state stored_state(const char *agent, const char *id)
{
    struct task *task = store_task_peek(store, str_of(agent), str_of(id));

    return task ? task->state : A2A_STATE_UNKNOWN;
}

struct told {
    unsigned n;
    bool has_task, has_fault;
    enum a2a_state state;
    struct a2a_fault fault;
    char agent_error[128];
};

static void on_told(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct told *t = arg;

    t->n++;
    t->has_task = task != NULL;
    t->has_fault = fault != NULL;
    if (task)
        t->state = task->state;
    if (!fault)
        return;
    t->fault = *fault;
    snprintf(t->agent_error, sizeof t->agent_error, "%.*s", STR_ARG(fault->agent_error));
}

static void refresh(struct told *t, const char *agent, const char *id)
{
    *t = (struct told){0};
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, str_of(agent)), str_of(id),
                             on_told, t, NULL),
              0);
    CHECK_INT(t->n, 0);
}

/* --- the poll ------------------------------------------------------------------------------------- */

TEST(a_task_is_asked_for_until_its_end)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    CHECK_INT(follow_count(follow), 1);
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    pass(MIN_MS - 1);
    CHECK_INT(server.n_requests, 0);
    pass_pause(MIN_MS);
    await_question(1);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    pass(2 * MIN_MS - 1); /* nothing was new: twice the pause */
    CHECK_INT(server.n_requests, 1);
    pass_pause(2 * MIN_MS);
    await_question(2);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_COMPLETED);
    CHECK_INT(follow_count(follow), 0);
    CHECK_INT(follow->tasks.n, 0);
    CHECK_INT(follow->lanes.n, 0);
    pass_pause(MAX_MS);
    CHECK_INT(server.n_requests, 2);
    close_stage();
}

TEST(the_pause_doubles_up_to_its_maximum_and_begins_anew_with_news)
{
    unsigned n = 0;

    open_follow();
    CHECK_INT(put_task("a", "t1", "submitted"), 0);
    for (uint64_t pause = MIN_MS; pause < 4 * MAX_MS; pause *= 2) {
        uint64_t ms = pause < MAX_MS ? pause : MAX_MS;

        script_task(SERVER_ANSWER, "t1", "submitted", "");
        pass(ms - 1);
        CHECK_INT(server.n_requests, n);
        pass(ms / 8 + 2);
        await_question(++n);
    }
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass_pause(MAX_MS);
    await_question(++n);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass_pause(MIN_MS);
    await_question(++n);
    close_stage();
}

TEST(a_task_that_waits_for_input_is_asked_for_seldom)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "input-required"), 0);
    CHECK_INT(follow_count(follow), 1);
    pass(INTERRUPTED_MS - 1);
    CHECK_INT(server.n_requests, 0);
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass_pause(INTERRUPTED_MS);
    await_question(1);
    script_task(SERVER_ANSWER, "t1", "auth-required", "");
    pass_pause(MIN_MS);
    await_question(2);
    pass(INTERRUPTED_MS - 1);
    CHECK_INT(server.n_requests, 2);
    close_stage();
}

TEST(what_was_just_heard_is_not_asked_for)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    pass(MIN_MS - 1);
    CHECK_INT(put_task("a", "t1", "working"), 0); /* nothing new, but it is the agent's word */
    pass(MIN_MS / 8 + 2);
    CHECK_INT(server.n_requests, 0);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    pass_pause(MIN_MS);
    await_question(1);
    close_stage();
}

TEST(an_agent_that_cannot_be_asked_is_asked_again)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_silence();
    server.lines[0].act = SERVER_ANSWER_RESET;
    script_task(SERVER_ANSWER, "other", "completed", "");
    script(SERVER_ANSWER, "error", "{\"code\":-32603,\"message\":\"no\"}");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    for (unsigned i = 1; i <= 3; i++) {
        pass_pause(MAX_MS);
        await_question(i);
        CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
        CHECK_INT(follow_count(follow), 1);
    }
    CHECK_INT(stored_state("a", "other"), A2A_STATE_UNKNOWN);
    pass_pause(MAX_MS);
    await_question(4);
    CHECK_INT(follow_count(follow), 0);
    close_stage();
}

TEST(an_agent_is_asked_for_few_tasks_at_a_time)
{
    char id[16];

    open_follow();
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK_INT(put_task("a", id, "working"), 0);
        script_silence();
    }
    pass_pause(MIN_MS);
    TURN_UNTIL(server.n_requests == POLLS_PER_AGENT);
    pass_pause(MAX_MS / 2); /* less than an agent has for its answer */
    CHECK_INT(server.n_requests, POLLS_PER_AGENT);
    CHECK_INT(follow->n_questions, POLLS_PER_AGENT);
    server_hang_up_all(&server, true); /* whose answer never comes makes room for the next */
    TURN_UNTIL(server.n_requests == 2 * POLLS_PER_AGENT);
    CHECK_INT(follow->n_questions, POLLS_PER_AGENT);
    CHECK_INT(follow_count(follow), 10);
    close_stage();
}

TEST(the_last_place_is_a_callers)
{
    static const char *const id = "a";
    struct told t;

    open_follow();
    put_agents(&id, 1, A2A_0_3, 2);
    CHECK_INT(put_task("a", "t1", "working"), 0);
    CHECK_INT(put_task("a", "t2", "working"), 0);
    script_silence();
    script_task(SERVER_DRIP, "t9", "completed", "");
    pass_pause(MIN_MS);
    TURN_UNTIL(server.n_requests == 1);
    pass_pause(MAX_MS / 2); /* the other one is due, and has no place */
    CHECK_INT(server.n_requests, 1);
    refresh(&t, "a", "t9"); /* the caller has */
    TURN_UNTIL(server.n_requests == 2);
    CHECK_INT(
        follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t8"), on_told, &t, NULL),
        ERR_FULL);
    let_answer();
    TURN_UNTIL(t.n);
    CHECK_INT(t.state, A2A_STATE_COMPLETED);
    close_stage();
}

TEST(a_poll_without_a_place_comes_when_there_is_one)
{
    static const char *const id = "a";
    struct told t;

    open_follow();
    put_agents(&id, 1, A2A_0_3, 1);
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_task(SERVER_DRIP, "t9", "completed", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    refresh(&t, "a", "t9");
    TURN_UNTIL(server.n_requests == 1);
    pass_pause(MIN_MS);
    pass_pause(MAX_MS);
    CHECK_INT(server.n_requests, 1);
    let_answer();
    TURN_UNTIL(t.n);
    pass_pause(MIN_MS);
    await_question(2);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_COMPLETED);
    close_stage();
}

/* --- agents that come and go ---------------------------------------------------------------------- */

TEST(a_removed_agents_task_is_followed_to_its_end)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    put_agents(NULL, 0, A2A_0_3, 8);
    settle();
    CHECK(dispatch_find(dispatch, STR("a")) == NULL);
    script_task(SERVER_ANSWER, "t1", "working", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    pass_pause(MIN_MS);
    await_question(1);
    pass_pause(2 * MIN_MS);
    await_question(2);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_COMPLETED);
    CHECK_INT(follow->lanes.n, 0);
    close_stage();
}

TEST(a_task_of_an_unknown_agent_waits_for_it)
{
    static const char *const ids[] = {"a", "b"};

    open_follow();
    CHECK_INT(put_task("b", "t1", "working"), 0);
    pass_pause(MIN_MS);
    pass_pause(2 * MIN_MS);
    CHECK_INT(follow_count(follow), 1);
    CHECK_INT(server.n_requests, 0);
    put_agents(ids, 2, A2A_0_3, 8);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    pass_pause(MAX_MS);
    pass_pause(MAX_MS);
    await_question(1);
    CHECK_INT(stored_state("b", "t1"), A2A_STATE_COMPLETED);
    close_stage();
}

TEST(two_agents_with_one_task_id)
{
    static const char *const ids[] = {"a", "b"};
    struct told t;

    open_follow();
    put_agents(ids, 2, A2A_0_3, 8);
    CHECK_INT(put_task("a", "t1", "working"), 0);
    CHECK_INT(put_task("b", "t1", "working"), 0);
    CHECK_INT(follow_count(follow), 2);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    refresh(&t, "b", "t1");
    TURN_UNTIL(t.n);
    CHECK_INT(stored_state("b", "t1"), A2A_STATE_COMPLETED);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    CHECK_INT(follow_count(follow), 1);
    close_stage();
}

/* --- what readers ask ----------------------------------------------------------------------------- */

TEST(a_reader_and_the_poller_share_one_question)
{
    struct told t[3];

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    pass_pause(MIN_MS);
    TURN_UNTIL(server.n_requests == 1);
    for (int i = 0; i < 3; i++)
        refresh(&t[i], "a", "t1");
    let_answer();
    TURN_UNTIL(t[2].n);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(t[i].n, 1);
        CHECK(!t[i].has_fault);
        CHECK_INT(t[i].state, A2A_STATE_COMPLETED);
    }
    CHECK_INT(server.n_requests, 1);
    close_stage();
}

TEST(a_task_unknown_here)
{
    struct told t;

    open_follow();
    script(SERVER_ANSWER, "error", NOT_FOUND);
    refresh(&t, "a", "t1");
    TURN_UNTIL(t.n);
    CHECK(t.has_fault && !t.has_task);
    CHECK_INT(t.fault.error, A2A_ERROR_TASK_NOT_FOUND);
    CHECK_STR(str_of(t.agent_error), STR(NOT_FOUND));
    CHECK_INT(follow->tasks.n, 0); /* one that does not exist leaves nothing behind */
    script_task(SERVER_ANSWER, "t1", "working", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(t.n);
    CHECK(!t.has_fault && t.has_task);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    CHECK_INT(follow_count(follow), 1); /* one that does is followed from now on */
    close_stage();
}

TEST(names_that_cannot_be)
{
    static char long_id[LIMIT_TASK_ID + 2];
    struct told t = {0};

    open_follow();
    memset(long_id, 'x', sizeof long_id - 1);
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), str_of(long_id),
                             on_told, &t, NULL),
              ERR_INVALID);
    CHECK_INT(
        follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR(""), on_told, &t, NULL),
        ERR_INVALID);
    CHECK_INT(t.n, 0);
    close_stage();
}

/* Whoever is told may ask again at once. */
static void on_told_ask_again(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct told *t = arg;

    on_told(t, task, fault);
    if (t->n == 1)
        CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t1"),
                                 on_told_ask_again, t, NULL),
                  0);
}

TEST(who_is_told_may_ask_again)
{
    struct told t = {0};

    open_follow();
    script_task(SERVER_ANSWER, "t1", "completed", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t1"),
                             on_told_ask_again, &t, NULL),
              0);
    TURN_UNTIL(t.n == 2);
    CHECK_INT(server.n_requests, 2);
    close_stage();
}

TEST(who_asked_may_leave)
{
    struct told stays = {0}, leaves = {0};
    struct follow_asker *asker = NULL;

    open_follow();
    script_task(SERVER_DRIP, "t1", "working", "");
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t1"), on_told,
                             &leaves, &asker),
              0);
    refresh(&stays, "a", "t1");
    TURN_UNTIL(server.n_requests == 1);
    follow_refresh_cancel(asker);
    let_answer();
    TURN_UNTIL(stays.n);
    CHECK_INT(leaves.n, 0);
    script_task(SERVER_ANSWER, "t2", "completed", "");
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t2"), on_told,
                             &leaves, &asker),
              0);
    follow_refresh_cancel(asker); /* the only one: what the agent says is kept all the same */
    TURN_UNTIL(stored_state("a", "t2") == A2A_STATE_COMPLETED);
    TURN_UNTIL(is_quiet());
    CHECK_INT(leaves.n, 0);
    close_stage();
}

TEST(an_agent_has_ten_seconds_to_say_how_a_task_is)
{
    struct told t;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_silence();
    refresh(&t, "a", "t1");
    TURN_UNTIL(server.n_requests == 1);
    pass(9900);
    CHECK_INT(t.n, 0);
    pass(200);
    CHECK_INT(t.n, 1);
    CHECK(t.has_task && t.has_fault);
    CHECK_INT(t.fault.error, A2A_ERROR_AGENT_TIMEOUT);
    close_stage();
}

TEST(late_words_change_nothing)
{
    struct told t;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(server.n_requests == 1);
    CHECK_INT(put_task("a", "t1", "canceled"), 0);
    CHECK_INT(follow_count(follow), 0);
    let_answer();
    TURN_UNTIL(t.n);
    CHECK_INT(t.state, A2A_STATE_CANCELED);
    CHECK_INT(follow->tasks.n, 0);
    close_stage();
}

/* --- an agent that has lost its memory ------------------------------------------------------------ */

static unsigned lose(unsigned n, unsigned times, uint64_t pause)
{
    for (unsigned i = 0; i < times; i++) {
        script(SERVER_ANSWER, "error", NOT_FOUND);
        pass_pause(pause);
        await_question(++n);
    }
    return n;
}

TEST(a_task_its_agent_has_forgotten_fails)
{
    struct task *task;
    unsigned n;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    n = lose(0, 6, MAX_MS); /* 0, then 11.25 s each: five more come to 56 s */
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    lose(n, 1, MAX_MS);
    TURN_UNTIL(stored_state("a", "t1") == A2A_STATE_FAILED);
    task = store_task_peek(store, STR("a"), STR("t1"));
    CHECK(task && memmem(task->doc.p, task->doc.n, "agent no longer knows this task", 31));
    TURN_UNTIL(is_quiet());
    CHECK_INT(follow_count(follow), 0);
    close_stage();
}

TEST(two_denials_are_not_enough)
{
    unsigned n;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    n = lose(0, 1, MIN_MS);
    n = lose(n, 1, 2 * LOST_MS); /* a long time passed, but who knows what happened in it */
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    lose(n, 1, MAX_MS);
    TURN_UNTIL(stored_state("a", "t1") == A2A_STATE_FAILED);
    close_stage();
}

TEST(a_good_word_forgives_denials)
{
    unsigned n;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    n = lose(0, 2, LOST_MS);
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass_pause(MAX_MS);
    await_question(++n);
    n = lose(n, 2, LOST_MS);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    script_silence(); /* silence is neither */
    server.lines[n].act = SERVER_ANSWER_RESET;
    pass_pause(MAX_MS);
    await_question(++n);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_WORKING);
    lose(n, 1, LOST_MS);
    TURN_UNTIL(stored_state("a", "t1") == A2A_STATE_FAILED);
    close_stage();
}

TEST(a_forgotten_task_that_waited_for_input_is_known_soon)
{
    unsigned n;

    open_follow();
    CHECK_INT(put_task("a", "t1", "input-required"), 0);
    n = lose(0, 1, INTERRUPTED_MS);
    n = lose(n, 6, MAX_MS);
    TURN_UNTIL(stored_state("a", "t1") == A2A_STATE_FAILED);
    close_stage();
}

/* Readers and cancels ask, too: their denials count, and who asked the last time gets the failed task. */
TEST(readers_learn_that_a_task_is_lost)
{
    struct told t = {0};

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    for (int i = 0; i < 3; i++) {
        script(SERVER_ANSWER, "error", NOT_FOUND);
        refresh(&t, "a", "t1");
        TURN_UNTIL(t.n);
        CHECK(t.has_task);
        CHECK_INT(t.has_fault, i < 2);
        clock_advance_ms(LOST_MS / 2); /* no turn: the poller sleeps */
    }
    CHECK_INT(t.state, A2A_STATE_FAILED);
    close_stage();
}

/* --- waiting -------------------------------------------------------------------------------------- */

static struct follow_wait *wait_for(struct told *t, const char *id, uint64_t ms,
                                    bool stop_at_interrupted)
{
    struct task *task = store_task_peek(store, STR("a"), str_of(id));
    struct follow_wait *w;

    *t = (struct told){0};
    CHECK(task != NULL);
    w = follow_wait_start(follow, task, ms, stop_at_interrupted, on_told, t);
    CHECK_INT(t->n, 0);
    return w;
}

TEST(waiters_are_told_the_end)
{
    struct told end, input, also;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    wait_for(&end, "t1", NEVER_MS, false);
    wait_for(&input, "t1", NEVER_MS, true);
    CHECK_INT(put_task("a", "t1", "input-required"), 0);
    TURN_UNTIL(input.n);
    CHECK_INT(input.state, A2A_STATE_INPUT_REQUIRED);
    CHECK_INT(end.n, 0);
    wait_for(&also, "t1", NEVER_MS, true); /* it is there already */
    TURN_UNTIL(also.n);
    CHECK_INT(also.state, A2A_STATE_INPUT_REQUIRED);
    CHECK_INT(put_task("a", "t1", "completed"), 0);
    TURN_UNTIL(end.n);
    CHECK_INT(end.state, A2A_STATE_COMPLETED);
    CHECK_INT(input.n, 1);
    wait_for(&end, "t1", NEVER_MS, false); /* and so is the end */
    TURN_UNTIL(end.n);
    CHECK_INT(follow->n_waits, 0);
    close_stage();
}

TEST(a_waiter_whose_time_is_up_gets_the_task_as_it_is)
{
    struct told t;

    open_follow();
    CHECK_INT(put_task("a", "t1", "submitted"), 0);
    wait_for(&t, "t1", 1000, true);
    CHECK_INT(put_task("a", "t1", "working"), 0);
    script_silence();
    pass(999);
    CHECK_INT(t.n, 0);
    pass(1);
    CHECK_INT(t.n, 1);
    CHECK_INT(t.state, A2A_STATE_WORKING);
    CHECK_INT(follow_count(follow), 1); /* its life goes on */
    close_stage();
}

TEST(a_waiter_may_leave)
{
    struct told stays, leaves;
    struct follow_wait *w;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    wait_for(&stays, "t1", NEVER_MS, true);
    w = wait_for(&leaves, "t1", NEVER_MS, true);
    follow_wait_cancel(w);
    CHECK_INT(put_task("a", "t1", "completed"), 0);
    TURN_UNTIL(stays.n);
    w = wait_for(&leaves, "t1", NEVER_MS, true); /* due already */
    follow_wait_cancel(w);
    settle();
    CHECK_INT(leaves.n, 0);
    close_stage();
}

TEST(a_lost_task_ends_the_wait)
{
    struct told t;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    wait_for(&t, "t1", NEVER_MS, true);
    lose(0, 7, MAX_MS);
    TURN_UNTIL(t.n);
    CHECK_INT(t.state, A2A_STATE_FAILED);
    close_stage();
}

/* --- the end -------------------------------------------------------------------------------------- */

TEST(stopping_tells_waiters_and_asks_no_more)
{
    struct told waits, asks, late;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    CHECK_INT(put_task("a", "t2", "working"), 0);
    wait_for(&waits, "t1", NEVER_MS, true);
    script_silence();
    refresh(&asks, "a", "t2");
    TURN_UNTIL(server.n_requests == 1);
    follow_stop(follow);
    CHECK_INT(waits.n, 1);
    CHECK_INT(waits.state, A2A_STATE_WORKING);
    CHECK_INT(follow_refresh(follow, dispatch_find(dispatch, STR("a")), STR("t1"), on_told,
                             &late, NULL),
              ERR_CANCELED);
    pass_pause(MAX_MS / 2);
    CHECK_INT(server.n_requests, 1);
    CHECK_INT(asks.n, 0);
    wait_for(&late, "t1", NEVER_MS, true);
    TURN_UNTIL(late.n);
    egress_cancel_all(egress);
    CHECK_INT(asks.n, 1);
    CHECK(asks.has_fault);
    CHECK_INT(asks.fault.error, A2A_ERROR_SHUTTING_DOWN);
    close_stage();
}

TEST(an_answer_for_a_closed_store)
{
    struct told t;

    open_follow();
    script_task(SERVER_DRIP, "t1", "completed", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(server.n_requests == 1);
    store_close(store, on_store_closed, NULL);
    let_answer();
    TURN_UNTIL(t.n);
    CHECK_INT(t.fault.error, A2A_ERROR_SHUTTING_DOWN);
    TURN_UNTIL(n_store_closed);
    store = NULL;
    close_stage();
}

TEST(a_task_that_is_too_large_is_canceled_at_its_agent)
{
    char *large = mem_zero(20000, 1);
    struct told t;
    size_t n;

    store_config.task_max_bytes = 12000;
    open_follow();
    n = (size_t)snprintf(large, 20000,
                         "{\"id\":\"t1\",\"status\":{\"state\":\"working\"},\"n\":\"");
    memset(large + n, 'x', 15000);
    memcpy(large + n + 15000, "\"}", 3);
    script(SERVER_ANSWER, "result", large);
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(t.n);
    CHECK_INT(t.state, A2A_STATE_FAILED);
    TURN_UNTIL(server.n_requests == 2 && follow->n_cancels == 0);
    CHECK(strstr(server_last(&server), "tasks/cancel") != NULL);
    CHECK_INT(stored_state("a", "t1"), A2A_STATE_FAILED);
    mem_free(large);
    close_stage();
}

/* --- another life --------------------------------------------------------------------------------- */

static void live_again(void)
{
    close_follow();
    open_store();
    CHECK_INT(follow_count(follow), 0);
    follow_store_up(follow);
}

TEST(a_restarted_gateway_follows_what_it_had)
{
    char id[16];

    open_follow();
    CHECK_INT(put_task("a", "done", "completed"), 0);
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK_INT(put_task("a", id, i ? "working" : "input-required"), 0);
    }
    live_again();
    TURN_UNTIL(follow_count(follow) == 3);
    script_silence();
    script_silence();
    pass_pause(MIN_MS);
    TURN_UNTIL(server.n_requests == 2); /* not the one that waits for input */
    pass(6000);                         /* the next look finds nothing new */
    CHECK_INT(follow_count(follow), 3);
    close_stage();
}

/* Nobody has called follow_store_up(): the tasks of the former life are, so far, another node's. */
TEST(a_task_of_another_node_is_followed_only_while_somebody_waits)
{
    struct told t, waits;

    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    close_follow();
    open_store();
    script_task(SERVER_ANSWER, "t1", "working", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(t.n);
    CHECK(!t.has_fault && t.has_task);
    CHECK_INT(follow_count(follow), 0);
    CHECK_INT(follow->tasks.n, 0);
    wait_for(&waits, "t1", 20 * MIN_MS, true);
    CHECK_INT(follow_count(follow), 1);
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass_pause(MIN_MS);
    await_question(2);
    CHECK_INT(follow_count(follow), 1);
    script_silence();
    server.lines[2].act = SERVER_ANSWER_RESET;
    script_task(SERVER_ANSWER, "t1", "working", "");
    pass(20 * MIN_MS);
    CHECK_INT(waits.n, 1);
    await_question(3);
    pass_pause(MAX_MS);
    await_question(4); /* nobody waits any more */
    CHECK_INT(follow_count(follow), 0);
    CHECK_INT(follow->tasks.n, 0);
    follow_store_up(follow); /* its node is dead, and it is taken over */
    TURN_UNTIL(follow_count(follow) == 1);
    script_task(SERVER_ANSWER, "t1", "working", "");
    refresh(&t, "a", "t1");
    TURN_UNTIL(t.n);
    CHECK_INT(follow_count(follow), 1);
    close_stage();
}

static void run_sql(const char *sql)
{
    char path[128];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/superx.db", folder);
    CHECK_INT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

TEST(rows_no_task_can_have_are_passed_over)
{
    open_follow();
    CHECK_INT(put_task("a", "t1", "working"), 0);
    CHECK_INT(put_task("a", "t2", "working"), 0);
    CHECK_INT(put_task("a", "t3", "working"), 0);
    CHECK_INT(put_task("a", "t4", "working"), 0);
    close_follow();
    run_sql("UPDATE tasks SET task_id = hex(zeroblob(5000)) WHERE task_id = 't2';"
            "UPDATE tasks SET agent = hex(zeroblob(5000)) WHERE task_id = 't3';"
            "UPDATE tasks SET task_id = 't' || char(10) WHERE task_id = 't4';");
    open_store();
    follow_store_up(follow);
    TURN_UNTIL(follow_count(follow) == 1);
    pass(6000);
    CHECK_INT(follow_count(follow), 1);
    CHECK(followed_find(follow, STR("a"), STR("t1")) != NULL);
    close_stage();
}

/* More than one look can take: the next comes at once. */
TEST(many_orphans_are_taken_in_one_go)
{
    enum { MANY = 600 };
    char id[16];
    int err[MANY];
    unsigned n_done = 0;

    open_follow();
    for (int i = 0; i < MANY; i++) {
        struct append append = {.agent = STR("a"),
                                .task_id =
                                    str_make(id, (size_t)snprintf(id, sizeof id, "t%d", i)),
                                .events = {{A2A_EVENT_TASK, STR_NONE}},
                                .n_events = 1,
                                .likely_new = true};

        append.events[0].payload = str_of(task_text(id, "working", ""));
        err[i] = 1;
        CHECK_INT(store_append(store, &append, on_put, &err[i]), 0);
    }
    TURN_UNTIL(is_quiet());
    for (int i = 0; i < MANY; i++)
        n_done += err[i] == 0;
    CHECK_INT(n_done, MANY);
    CHECK_INT(follow_count(follow), MANY);
    live_again();
    TURN_UNTIL(follow_count(follow) == MANY);
    CHECK_INT(server.n_requests, 0);
    close_stage();
}

TEST_MAIN
