/* SPDX-License-Identifier: MIT
 *
 * Callers who want to hear of a task without sending anything: subscriptions, and whoever comes back with his cursor.
 *
 *     ATTACH (with a cursor) --+
 *     FIND (without an agent) -+-> LOAD -> SUBSCRIBE_JUDGE -> END
 *                                              `-- unknown here: the agent is asked once -> SUBSCRIBE_LEARNED --^
 *
 * A cursor names agent, task and place, and what else the request names must be the same. It resumes exactly behind that
 * place, whether the task runs or is over; with a message it means "I am back", and the message is not sent again. A log
 * that is gone cannot be resumed, so the agent is not asked for such a task.
 *
 * Without a cursor a stream begins with the task as it is, and there is nothing to hear of a task that is over: 1.0 says
 * so with -32004, 0.3 and those who want whole tasks are told it once.
 */
#include "call/call_int.h"

/* --- coming back ---------------------------------------------------------------------------------- */

enum call_flow attach(struct call *c)
{
    struct str agent, id;

    if (cursor_read(c->last_event_id, &c->arena, &agent, &id, &c->cursor_seq))
        return call_fail(
            c, A2A_ERROR_INVALID_PARAMS,
            "Last-Event-ID is no cursor of this gateway; leave it out to begin anew");
    if ((c->agent_id.p && !str_is(c->agent_id, agent)) ||
        (c->request.task_id.p && !str_is(c->task_id, id)))
        return call_fail(
            c, A2A_ERROR_INVALID_PARAMS,
            "Last-Event-ID is of task %.*s of agent %.*s, not of the one asked for",
            id.n > 66 ? 66 : (int)id.n, id.p, STR_ARG(agent));
    c->agent_id = agent;
    c->task_id = id;
    return call_go(c, CALL_LOAD);
}

static enum call_flow resume(struct call *c, enum reader_kind kind)
{
    int err = call_stream_open(c, kind, c->cursor_seq);

    if (err == ERR_INVALID)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS,
                         "Last-Event-ID names an event that task %.*s does not have",
                         STR_ARG(c->task->id));
    return err ? call_fail_closing(c) : call_succeed(c);
}

/* --- subscribing ---------------------------------------------------------------------------------- */

static enum reader_kind kind_of(const struct call *c)
{
    if (c->request.method == A2A_STREAM)
        return READER_SENDER;
    return c->want_whole_tasks ? READER_WATCHER : READER_SUBSCRIBER;
}

static enum call_flow tell(struct call *c)
{
    if (c->last_event_id.p)
        return resume(c, kind_of(c));
    if (a2a_state_is_terminal(c->task->state) && c->request.version == A2A_1_0 &&
        !c->want_whole_tasks)
        return call_fail(c, A2A_ERROR_UNSUPPORTED,
                         "task %.*s is %s; there is nothing to subscribe to, GetTask has it",
                         STR_ARG(c->task->id), a2a_state_name(c->task->state, A2A_1_0));
    return call_stream_open(c, kind_of(c), READER_FROM_NOW) ? call_fail_closing(c)
                                                            : call_succeed(c);
}

enum call_flow subscribe_judge(struct call *c)
{
    struct agent *agent;

    if (c->task)
        return tell(c);
    if (c->last_event_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND,
                         "the gateway does not know the task of Last-Event-ID%s",
                         c->request.method == A2A_STREAM ? "; nothing was sent" : "");
    agent = dispatch_find(c->calls->dispatch, c->agent_id);
    if (!agent)
        return call_fail_no_agent(c);
    c->agent = agent_ref(agent);
    return call_refresh(c, CALL_SUBSCRIBE_LEARNED);
}

enum call_flow subscribe_learned(struct call *c)
{
    if (c->task && !c->has_fault)
        return tell(c);
    if (c->has_fault && c->fault.error != A2A_ERROR_TASK_NOT_FOUND)
        return call_fail_with(c, &c->fault);
    return call_fail_unknown(c);
}
