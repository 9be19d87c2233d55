/* SPDX-License-Identifier: MIT
 *
 * Reading a task. Terminal: the store. Active: the store while the agent's last word is young, else the agent
 * is asked (follow/ makes one question of many readers), its answer folded, committed and told. An agent that
 * cannot be reached, or takes longer than a reader may be kept, leaves us with what is stored. A task unknown
 * here is asked for once at its agent, and kept if it is there. When nobody waits any more, or the gateway
 * stops, a read ends at once; the question it has asked goes on without it.
 *
 * Also here, because cancels and sends need it as well: whose task it is when the caller names no agent,
 * loading it, and the question itself.
 */
#include "call/call_int.h"
#include "lib/log.h"

/* --- whose task it is ----------------------------------------------------------------------------- */

static void fail_ambiguous(struct call *c, const struct str *agents, size_t n)
{
    struct buf names;

    buf_init(&names, KB(4));
    for (size_t i = 0; i < n; i++)
        buf_printf(&names, "%s%.*s", i ? ", " : "", STR_ARG(agents[i]));
    call_fail(c, A2A_ERROR_INVALID_PARAMS,
              "several agents have a task of this id; say which one is meant: %.*s",
              STR_ARG(buf_str(&names)));
    buf_release(&names);
}

static void on_found(void *arg, int err, const struct str *agents, size_t n)
{
    struct call *c = arg;

    if (err == ERR_CANCELED) {
        call_fail_closing(c);
    } else if (err) {
        call_fail_store(c);
    } else if (n == 0) {
        call_fail(c, A2A_ERROR_TASK_NOT_FOUND, "the gateway knows no task of this id");
    } else if (n > 1) {
        fail_ambiguous(c, agents, n);
    } else {
        c->agent_id = arena_str(&c->arena, agents[0]);
        c->step = CALL_LOAD;
        if (!c->agent_id.p)
            call_fail(c, A2A_ERROR_OVERLOADED, "no memory");
    }
    call_step(c);
}

enum call_flow find_owner(struct call *c)
{
    int err;

    if (!c->task_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND, "params.id cannot be a task's id");
    err = store_task_find(c->calls->store, c->task_id, on_found, c);
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    return err ? call_fail_store(c) : CALL_WAIT;
}

/* --- reading -------------------------------------------------------------------------------------- */

static enum call_step_id step_with_task(enum a2a_method method)
{
    switch (method) {
    case A2A_CANCEL:
        return CALL_CANCEL_JUDGE;
    case A2A_STREAM: /* of one who has come back */
    case A2A_SUBSCRIBE:
        return CALL_SUBSCRIBE_JUDGE;
    default:
        return CALL_GET_JUDGE;
    }
}

static void on_loaded(void *arg, int err, struct task *task)
{
    struct call *c = arg;

    call_set_task(c, err ? NULL : task);
    c->step = step_with_task(c->request.method);
    if (err == ERR_CANCELED)
        call_fail_closing(c);
    else if (err && err != ERR_ABSENT)
        call_fail_store(c);
    call_step(c);
}

enum call_flow load_task(struct call *c)
{
    int err;

    if (!c->task_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND, "params.id cannot be a task's id");
    err = store_task_get(c->calls->store, c->agent_id, c->task_id, on_loaded, c);
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    return err ? call_fail_store(c) : CALL_WAIT;
}

/* As good an answer as there is without the agent's word. Without a task to tell, nobody waits, or we stop. */
static enum call_flow end_unasked(struct call *c)
{
    return !c->task && c->calls->on_idle ? call_fail_closing(c) : call_succeed(c);
}

enum call_flow get_judge(struct call *c)
{
    struct agent *agent = dispatch_find(c->calls->dispatch, c->agent_id);

    if (!c->task && !agent)
        return call_fail_no_agent(c);
    if (!c->fn || c->calls->on_idle)
        return end_unasked(c);
    /* A removed agent's tasks stay readable, as they are; so does what is known while the database is gone:
     * the agent's newer word could not be committed, and only then told. */
    if (c->task && (!agent || call_is_fresh(c->calls, c->task) ||
                    store_state(c->calls->store) != STORE_UP))
        return call_succeed(c);
    c->agent = agent_ref(agent);
    return call_refresh(c, CALL_GET_ASKED);
}

enum call_flow get_asked(struct call *c)
{
    if (!c->has_fault)
        return call_succeed(c);
    if (c->task) {
        log_event(LOG_DEBUG, "answered a stored task because its agent could not be asked",
                  LOG_STR("agent", c->agent_id), LOG_STR("task", c->task_id),
                  LOG_Z("cause", c->fault.detail));
        return call_succeed(c);
    }
    if (c->fault.error == A2A_ERROR_TASK_NOT_FOUND)
        return call_fail_unknown(c);
    return call_fail_with(c, &c->fault);
}

/* --- the question --------------------------------------------------------------------------------- */

/* Before or instead of its callback. */
static void stop_asking(struct call *c)
{
    c->asker = NULL;
    list_remove(&c->wait_link);
    timer_stop(c->calls->loop, &c->store_wait);
}

static void on_refreshed(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct call *c = arg;

    stop_asking(c);
    if (task)
        call_set_task(c, task);
    c->has_fault = fault != NULL;
    if (fault)
        c->fault = *fault;
    c->step = c->after_refresh;
    call_step(c);
}

static void leave_question(struct call *c)
{
    follow_refresh_cancel(c->asker);
    stop_asking(c);
}

void call_stop_reading(struct call *c)
{
    leave_question(c);
    end_unasked(c);
    call_step(c);
}

/* What is left to be told when the agent's word is late. Nothing is sent to an agent for a caller who was told
 * that it failed. */
static void end_late(struct call *c)
{
    struct a2a_fault fault;

    switch (c->after_refresh) {
    case CALL_GET_ASKED:
        call_late_fault(c, &fault);
        if (c->task)
            call_succeed(c);
        else
            call_fail_with(c, &fault);
        break;
    case CALL_CANCEL_DENIED: /* whatever the store is about to learn, the refusal stands */
        call_fail_with(c, c->denial);
        break;
    default: /* looked up for a message or a cancel */
        call_fail(c, A2A_ERROR_STORE_UNAVAILABLE,
                  "the task could not be looked up in time; nothing was sent");
        c->fault.retry_after_s = 5;
    }
}

/* A reader who has something to be told is not kept. Else an agent may take its time, but a database may not:
 * it is late once the agent's word is with it. */
static void on_asked_long(struct timer *t, void *arg)
{
    struct call *c = arg;
    bool has_answer = c->task && c->after_refresh == CALL_GET_ASKED;

    (void)t;
    if (!has_answer && !follow_is_storing(c->calls->follow, c->agent_id, c->task_id)) {
        timer_start(c->calls->loop, &c->store_wait, c->calls->config.store_wait_ms);
        return;
    }
    leave_question(c);
    end_late(c);
    call_step(c);
}

enum call_flow call_refresh(struct call *c, enum call_step_id then)
{
    int err =
        follow_refresh(c->calls->follow, c->agent, c->task_id, on_refreshed, c, &c->asker);

    c->after_refresh = then;
    if (!err) {
        if (then == CALL_GET_ASKED)
            list_append(&c->calls->reading, &c->wait_link);
        timer_init(&c->store_wait, on_asked_long, c);
        timer_start(c->calls->loop, &c->store_wait, c->calls->config.store_wait_ms);
        return CALL_WAIT;
    }
    if (err == ERR_FULL)
        call_fail_full(c);
    else if (err == ERR_CANCELED)
        call_fail_closing(c);
    else
        call_fail(c, A2A_ERROR_INTERNAL, "agent %.*s could not be asked for the task: %s",
                  STR_ARG(c->agent_id), err_text(err));
    return call_go(c, then);
}
