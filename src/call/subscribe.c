/* SPDX-License-Identifier: MIT
 *
 * Callers who want to hear of a task without sending anything: subscriptions, and senders who come back with their
 * cursor.
 *
 *     subscribe: FIND -(whose task it is)-> LOAD -> SUBSCRIBE_JUDGE -> END
 *                                   unknown here: the agent is asked once -> SUBSCRIBE_LEARNED --^
 *     stream with a cursor: STREAM_ATTACH -(loaded)-> STREAM_ATTACHED -> END
 *
 * A cursor names agent, task and place. It resumes exactly behind that place, whether the task runs or is over; without
 * one a stream begins with the task as it is, and there is nothing to hear of a task that is over (1.0 says so with
 * -32004; 0.3 tells it once).
 */
#include "call/call_int.h"

/* Takes c->last_event_id apart. False: the fault is set. */
static bool read_cursor(struct call *c)
{
    if (cursor_read(c->last_event_id, &c->arena, &c->cursor.agent, &c->cursor.id,
                    &c->cursor.seq) == 0)
        return true;
    call_fail(c, A2A_ERROR_INVALID_PARAMS,
              "Last-Event-ID is no cursor of this gateway; leave it out to begin anew");
    return false;
}

static bool is_cursor_of(struct call *c, struct str agent, struct str task)
{
    if (str_is(c->cursor.agent, agent) && (!task.p || str_is(c->cursor.id, task)))
        return true;
    call_fail(
        c, A2A_ERROR_INVALID_PARAMS,
        "Last-Event-ID is the cursor of task %.*s of agent %.*s, not of the one asked for",
        STR_ARG(c->cursor.id), STR_ARG(c->cursor.agent));
    return false;
}

static enum call_flow resume(struct call *c, enum reader_kind kind)
{
    int err = call_stream_open(c, kind, c->cursor.seq);

    if (err == ERR_INVALID)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS,
                         "Last-Event-ID names an event that task %.*s does not have",
                         STR_ARG(c->task->id));
    return err ? call_fail_closing(c) : call_succeed(c);
}

/* --- subscriptions -------------------------------------------------------------------------------- */

static enum call_flow subscribe_tell(struct call *c)
{
    enum reader_kind kind = c->want_whole_tasks ? READER_WATCHER : READER_SUBSCRIBER;
    bool is_over = a2a_state_is_terminal(c->task->state);

    if (c->last_event_id.p) {
        if (!read_cursor(c) || !is_cursor_of(c, c->task->agent, c->task->id))
            return CALL_GO;
        return resume(c, kind);
    }
    if (is_over && c->request.version == A2A_1_0 && !c->want_whole_tasks)
        return call_fail(c, A2A_ERROR_UNSUPPORTED,
                         "task %.*s is %s; there is nothing to subscribe to, GetTask has it",
                         STR_ARG(c->task->id), a2a_state_name(c->task->state, A2A_1_0));
    return call_stream_open(c, kind, READER_FROM_NOW) ? call_fail_closing(c) : call_succeed(c);
}

enum call_flow subscribe_judge(struct call *c)
{
    struct agent *agent;

    if (c->task)
        return subscribe_tell(c);
    agent = dispatch_find(c->calls->dispatch, c->agent_id);
    if (!agent)
        return call_fail_no_agent(c);
    c->agent = agent_ref(agent);
    return call_refresh(c, CALL_SUBSCRIBE_LEARNED);
}

enum call_flow subscribe_learned(struct call *c)
{
    if (c->task && !c->has_fault)
        return subscribe_tell(c);
    if (c->has_fault && c->fault.error != A2A_ERROR_TASK_NOT_FOUND)
        return call_fail_with(c, &c->fault);
    return call_fail_unknown(c);
}

/* --- senders who come back ------------------------------------------------------------------------ */

static void on_attached(void *arg, int err, struct task *task)
{
    struct call *c = arg;

    call_set_task(c, err ? NULL : task);
    c->step = CALL_STREAM_ATTACHED;
    if (err == ERR_CANCELED)
        call_fail_closing(c);
    else if (err == ERR_ABSENT)
        call_fail(c, A2A_ERROR_TASK_NOT_FOUND,
                  "the task of Last-Event-ID is not known here; nothing was sent");
    else if (err)
        call_fail_store(c);
    call_step(c);
}

enum call_flow stream_attach(struct call *c)
{
    int err;

    if (!read_cursor(c) || !is_cursor_of(c, c->agent_id, c->task_id))
        return CALL_GO;
    c->task_id = c->cursor.id;
    err = store_task_get(c->calls->store, c->agent_id, c->task_id, on_attached, c);
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    return err ? call_fail_store(c) : CALL_WAIT;
}

enum call_flow stream_attached(struct call *c)
{
    return resume(c, READER_SENDER);
}
