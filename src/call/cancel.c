/* SPDX-License-Identifier: MIT
 *
 * Canceling a task: its agent does it, the store says what became of it.
 *
 * A task that is over is refused here (-32002) without asking. What the agent answers is folded like any
 * snapshot, and the caller gets the stored task: canceled, or, from an agent that cancels in its own time,
 * still at work and followed. If another end was committed first, that end stands and the cancel is refused.
 * Senders who wait for the task get the canceled one from follow/.
 *
 * An agent that says the task is over (-32002) or unknown (-32001) knows more than we: it is asked why, so
 * that our store learns of the end. An agent that cannot be reached leaves the task as it was.
 */
#include "call/call_int.h"

static enum call_flow refuse_over(struct call *c)
{
    return call_fail(c, A2A_ERROR_TASK_NOT_CANCELABLE, "task %.*s is already %s",
                     STR_ARG(c->task->id), a2a_state_name(c->task->state, c->request.version));
}

static bool is_over(const struct call *c)
{
    return c->task && a2a_state_is_terminal(c->task->state);
}

enum call_flow cancel_judge(struct call *c)
{
    struct agent *agent;

    if (is_over(c))
        return refuse_over(c);
    agent = dispatch_find(c->calls->dispatch, c->agent_id);
    if (!agent)
        return call_fail_no_agent(c);
    c->agent = agent_ref(agent);
    return c->task ? call_go(c, CALL_CANCEL_ASK) : call_refresh(c, CALL_CANCEL_LEARNED);
}

/* The agent was asked for a task unknown here. */
enum call_flow cancel_learned(struct call *c)
{
    if (is_over(c))
        return refuse_over(c);
    if (!c->has_fault)
        return call_go(c, CALL_CANCEL_ASK);
    if (c->fault.error == A2A_ERROR_TASK_NOT_FOUND)
        return call_fail_unknown(c);
    return call_fail_with(c, &c->fault);
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct call *c = arg;

    c->spoken = reply ? reply->dialect : ask_version(c->ask);
    c->ask = NULL;
    c->reply = reply;
    if (fault)
        call_fail_with(c, fault);
    else
        c->step = CALL_CANCEL_HEARD;
    call_step(c);
}

enum call_flow cancel_ask(struct call *c)
{
    return call_pick_headers(c) ? call_ask(c, false, on_reply) : CALL_GO;
}

/* Keeps the agent's refusal beyond its callback. NULL: no memory. */
static const struct a2a_fault *keep_fault(struct call *c)
{
    struct a2a_fault *kept = arena_take(&c->arena, sizeof *kept);
    struct str said = arena_str(&c->arena, c->fault.agent_error);

    if (!kept || !said.p)
        return NULL;
    *kept = c->fault;
    kept->agent_error = said;
    return kept;
}

enum call_flow cancel_heard(struct call *c)
{
    int64_t code = c->reply->error_code;

    if (c->reply->kind == A2A_REPLY_ERROR) {
        call_fail_as_agent(c);
        if (code != a2a_error_row(A2A_ERROR_TASK_NOT_CANCELABLE)->code &&
            code != a2a_error_row(A2A_ERROR_TASK_NOT_FOUND)->code)
            return CALL_GO;
        c->denial = keep_fault(c);
        if (!c->denial)
            return CALL_GO;
        c->reply = NULL; /* it ends with this callback */
        return call_refresh(c, CALL_CANCEL_DENIED);
    }
    if (c->reply->kind != A2A_REPLY_TASK || !json_string_is(c->reply->task_id, c->task_id))
        return call_fail(c, A2A_ERROR_INVALID_AGENT_RESPONSE,
                         "agent %.*s answered with something else than the task to be canceled",
                         STR_ARG(c->agent_id));
    return call_go(c, CALL_APPEND);
}

/* Whatever the second question brought: the refusal stands. If the store has learnt of an end it is ours. */
enum call_flow cancel_denied(struct call *c)
{
    return is_over(c) ? refuse_over(c) : call_fail_with(c, c->denial);
}
