/* SPDX-License-Identifier: MIT
 *
 * Sending a message: admission, the agent's answer, and the append that makes it true.
 *
 * Nothing is told before it is committed: a task result goes through APPEND; a message result has nothing to keep
 * and is passed on. What fails before the agent was asked has touched nothing.
 */
#include "call/call_int.h"
#include "lib/log.h"

enum call_flow send_admit(struct call *c)
{
    enum store_state state = store_state(c->calls->store);
    struct agent *agent = dispatch_find(c->calls->dispatch, c->agent_id);

    if (!agent)
        return call_fail(c, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"",
                         STR_ARG(c->agent_id));
    c->agent = agent_ref(agent);
    if (agent_version(agent) != c->request.version)
        return call_fail(
            c, A2A_ERROR_VERSION,
            "agent %.*s speaks A2A %s and translation between versions is not built yet; "
            "call it with %s",
            STR_ARG(c->agent_id), a2a_version_text(agent_version(agent)),
            a2a_method_name(A2A_SEND, agent_version(agent)));
    if (c->request.push_config.p)
        return call_fail(
            c, A2A_ERROR_PUSH_NOT_SUPPORTED,
            "webhooks are not built yet; send without a push notification configuration");
    if (state == STORE_OPENING || state == STORE_REFUSED || store_is_full(c->calls->store))
        return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
    if (c->request.task_id.p && !c->task_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND,
                         "params.message.taskId cannot be a task's id");
    c->step = c->task_id.p ? CALL_SEND_LOOK : CALL_SEND_ASK;
    return CALL_GO;
}

/* Nothing is begun at an agent when the store that would keep its answer is closing. */
static enum call_flow fail_closing(struct call *c)
{
    return call_fail(c, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
}

static void on_looked(void *arg, int err, struct task *task)
{
    struct call *c = arg;

    /* Whatever else keeps us from knowing the task here, the agent still knows it. */
    call_set_task(c, err ? NULL : task);
    if (err == ERR_CANCELED)
        fail_closing(c);
    else if (task && a2a_state_is_terminal(task->state))
        call_fail(c, A2A_ERROR_UNSUPPORTED,
                  "task %.*s is %s; a finished task takes no more messages", STR_ARG(task->id),
                  a2a_state_name(task->state, c->request.version));
    else
        c->step = CALL_SEND_ASK;
    call_step(c);
}

/* A message for a task that is over is refused here, without asking the agent. */
enum call_flow send_look(struct call *c)
{
    struct task *task = store_task_peek(c->calls->store, c->agent_id, c->task_id);
    int err;

    if (task && a2a_state_is_terminal(task->state)) {
        call_set_task(c, task);
        return call_fail(c, A2A_ERROR_UNSUPPORTED,
                         "task %.*s is %s; a finished task takes no more messages",
                         STR_ARG(task->id), a2a_state_name(task->state, c->request.version));
    }
    c->step = CALL_SEND_ASK;
    if (task)
        return CALL_GO;
    err = store_task_get(c->calls->store, c->agent_id, c->task_id, on_looked, c);
    if (err == ERR_CANCELED)
        return fail_closing(c);
    return err ? CALL_GO : CALL_WAIT;
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct call *c = arg;

    c->ask = NULL;
    c->reply = reply;
    if (fault)
        call_fail_with(c, fault);
    else
        c->step = CALL_SEND_HEARD;
    call_step(c);
}

enum call_flow send_ask(struct call *c)
{
    int err;

    call_set_task(c, NULL);
    err = dispatch_send(c->calls->dispatch, c->agent, &c->request, on_reply, c, &c->ask);
    if (err == ERR_FULL)
        return call_fail(
            c, A2A_ERROR_AGENT_OVERLOADED,
            "agent %.*s already has all the calls in flight it may have; try again",
            STR_ARG(c->agent_id));
    if (err)
        return call_fail(c, A2A_ERROR_INTERNAL, "the request could not be sent: %s",
                         err_text(err));
    return CALL_WAIT;
}

enum call_flow send_heard(struct call *c)
{
    if (c->reply->kind == A2A_REPLY_ERROR) {
        struct a2a_fault fault;

        a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "the agent answered with error %lld",
                      (long long)c->reply->error_code);
        fault.agent_error = c->reply->object;
        return call_fail_with(c, &fault);
    }
    if (c->reply->kind == A2A_REPLY_MESSAGE)
        return call_succeed(c);
    c->step = CALL_APPEND;
    return CALL_GO;
}
