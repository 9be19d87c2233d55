/* SPDX-License-Identifier: MIT
 *
 * Sending a message: admission, the agent's answer, and the append that makes it true; a caller who wants the
 * task's end then waits for it with follow/.
 *
 * Nothing is told before it is committed: a task result goes through APPEND; a message result has nothing to
 * keep and is passed on. What fails before the agent was asked has touched nothing.
 *
 * Contexts. A 0.3 caller must be given a contextId, and a 1.0 agent need not give one: a message without gets
 * one of our making on its way to a 1.0 agent. If the agent's task still comes without, that id stays with
 * the stored task (struct append) and is told to 0.3 readers; it is taken off later messages, because the
 * agent never took it.
 *
 * Waiting for the end. A task that waits for its caller is at such an end, but not while the caller's answer to it is on
 * its way: where an agent says by an update, not by the task, what the message has led to, the stored state is still that
 * from before it. Such a call holds through the interruption until a commit tells a state anew.
 */
#include "call/call_int.h"
#include "lib/log.h"

/* Longer than any agent may take for an answer (timeoutMs is at most a day). */
#define WATCH_MS (2 * 86400000u)

enum call_flow send_admit(struct call *c)
{
    enum store_state state = store_state(c->calls->store);
    struct agent *agent = dispatch_find(c->calls->dispatch, c->agent_id);

    if (!agent)
        return call_fail_no_agent(c);
    c->agent = agent_ref(agent);
    if (state == STORE_OPENING || state == STORE_REFUSED || store_is_full(c->calls->store))
        return call_fail_store(c);
    if (c->request.task_id.p && !c->task_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND,
                         "params.message.taskId cannot be a task's id");
    if (c->request.push_config.p)
        return call_go(c, CALL_SEND_PUSH);
    return call_go(c, c->task_id.p ? CALL_SEND_LOOK : CALL_SEND_ASK);
}

/* --- a message for a task ------------------------------------------------------------------------- */

/* A context the agent gave the task, and the message names another (A2A 1.0 section 3.4.3). */
static bool is_of_another_context(struct call *c)
{
    struct str given = c->request.message_context;

    return given.p && c->task->context.p && !json_string_is(given, c->task->context) &&
           json_type(json_get(c->task->doc, "contextId")) == JSON_STRING;
}

/* What cannot be right is refused here, without asking the agent: a message for a task that is over, or one that
 * puts the task into another context. */
static enum call_flow judge_task(struct call *c)
{
    if (!a2a_state_is_terminal(c->task->state) && is_of_another_context(c))
        return call_fail(c, A2A_ERROR_INVALID_PARAMS,
                         "params.message.contextId is not the context of task %.*s",
                         STR_ARG(c->task->id));
    if (!a2a_state_is_terminal(c->task->state))
        return call_go(c, CALL_SEND_ASK);
    return call_fail(c, A2A_ERROR_UNSUPPORTED,
                     "task %.*s is %s; a finished task takes no more messages",
                     STR_ARG(c->task->id), a2a_state_name(c->task->state, c->request.version));
}

static void on_looked(void *arg, int err, struct task *task)
{
    struct call *c = arg;

    call_set_task(c, err ? NULL : task);
    if (err == ERR_CANCELED) {
        call_fail_closing(c);
    } else if (err == ERR_ABSENT) {
        if (call_refresh(c, CALL_SEND_LEARNED) == CALL_WAIT)
            return;
    } else if (err) {
        c->step =
            CALL_SEND_ASK; /* whatever keeps us from knowing the task, the agent knows it */
    } else {
        judge_task(c);
    }
    call_step(c);
}

enum call_flow send_look(struct call *c)
{
    struct task *task = store_task_peek(c->calls->store, c->agent_id, c->task_id);
    int err;

    if (task) {
        call_set_task(c, task);
        return judge_task(c);
    }
    err = store_task_get(c->calls->store, c->agent_id, c->task_id, on_looked, c);
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    return err ? call_go(c, CALL_SEND_ASK) : CALL_WAIT;
}

/* The agent was asked for a task unknown here. One that answers GetTask with another error than "no such
 * task" may still know what to do with the message. */
enum call_flow send_learned(struct call *c)
{
    bool is_agents = c->has_fault && c->fault.agent_error.p;

    if (!c->has_fault)
        return judge_task(c);
    if (c->fault.error == A2A_ERROR_TASK_NOT_FOUND)
        return call_fail_unknown(c);
    if (!is_agents)
        return call_fail_with(c, &c->fault);
    c->has_fault = false;
    return call_go(c, CALL_SEND_ASK);
}

/* --- asking --------------------------------------------------------------------------------------- */

/* Whether the message names the context that only the gateway has for this task. */
static bool is_our_context(struct call *c)
{
    return c->task && c->task->context.p && c->request.message_context.p &&
           json_string_is(c->request.message_context, c->task->context) &&
           !json_get(c->task->doc, "contextId").p;
}

static void settle_context(struct call *c)
{
    struct uuid id;

    c->context.drop = is_our_context(c);
    if (c->request.version != A2A_0_3 || c->request.message_context.p || c->request.task_id.p)
        return;
    id = id_uuid4();
    id_uuid_text(&id, c->context_text);
    c->context.add = str_make(c->context_text, UUID_TEXT);
}

/* The task came to its end, by a cancel say, while the agent still works on the message: the caller is told. The
 * agent's answer is awaited all the same; what it says of a task that is over will be refused. */
static void on_end_before_answer(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct call *c = arg;
    struct call_answer answer = {.fault = NULL};

    (void)fault; /* none: a wait ends with the task as it is */
    c->early_end = NULL;
    if (!a2a_state_is_terminal(task->state)) /* the gateway stops */
        return;
    if (c->request.method == A2A_SEND) {
        answer.result = call_task_result(task);
    } else {
        call_set_task(c, task);
        if (call_stream_open(c, READER_SENDER, READER_FROM_NOW) || !c->told_stream)
            return;
        answer.stream = c->told_stream;
        c->told_stream = NULL;
        call_set_task(c, NULL);
    }
    call_tell(c, &answer);
}

/* A message for a known task, whose caller would wait at the agent. */
static void watch_for_end(struct call *c)
{
    if (c->task && (c->request.method == A2A_STREAM || c->request.wait != A2A_WAIT_NOT))
        c->early_end = follow_wait_start(c->calls->follow, c->task, WATCH_MS, false,
                                         on_end_before_answer, c);
}

void call_stop_watching(struct call *c)
{
    if (c->early_end)
        follow_wait_cancel(c->early_end);
    c->early_end = NULL;
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct call *c = arg;

    call_stop_watching(c);
    c->spoken = reply ? reply->dialect : ask_version(c->ask);
    c->has_added_context = ask_added_context(c->ask);
    /* Without memory for it there is none: a hint, beside an answer that must be kept. */
    c->extensions = arena_str(&c->arena, ask_extensions(c->ask));
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
    if (!call_pick_headers(c))
        return CALL_GO;
    settle_context(c);
    watch_for_end(c);
    c->knew_task = c->task != NULL;
    call_set_task(c, NULL);
    return call_go(c, CALL_SEND_SAY);
}

/* As a stream if it is to be one and can be; else whoever is not to wait for the agent's answer does not, and the task is
 * followed. */
enum call_flow send_say(struct call *c)
{
    enum call_flow flow;

    c->is_not_waited =
        c->request.method == A2A_STREAM || agent_send_as(c->agent) != AGENT_SEND_AS_ASKED;
    if (call_wants_stream_of_agent(c) && call_ask_stream(c, &flow) == 0)
        return flow;
    return call_ask(c, c->is_not_waited || c->no_wait, on_reply);
}

enum call_flow send_heard(struct call *c)
{
    if (c->reply->kind == A2A_REPLY_ERROR)
        return call_fail_as_agent(c);
    if (c->reply->kind == A2A_REPLY_MESSAGE)
        return call_wants_note(c) ? call_go(c, CALL_SEND_NOTE) : call_succeed(c);
    return call_go(c, CALL_APPEND);
}

/* --- waiting for the end -------------------------------------------------------------------------- */

static void leave_waiting(struct call *c)
{
    c->wait = NULL;
    list_remove(&c->wait_link);
    c->calls->n_holding -= c->holds_through;
    c->holds_through = false;
}

static void on_end(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct call *c = arg;

    (void)fault; /* none: a wait ends with the task as it is */
    leave_waiting(c);
    call_set_task(c, task);
    call_succeed(c);
    call_step(c);
}

enum call_flow send_wait(struct call *c)
{
    c->wait = follow_wait_start(c->calls->follow, c->task, c->calls->config.send_wait_ms,
                                !c->holds_through, on_end, c);
    list_append(&c->calls->waiting, &c->wait_link);
    c->calls->n_holding += c->holds_through;
    return CALL_WAIT;
}

/* The agent has told the state of an interrupted task anew: that is the end those wait for who held through it. */
static void hold_no_longer(struct call *c, struct task *task)
{
    follow_wait_cancel(c->wait);
    c->calls->n_holding--;
    c->holds_through = false;
    c->wait = follow_wait_start(c->calls->follow, task, c->calls->config.send_wait_ms, true,
                                on_end, c);
}

static bool tells_state(const struct store_event *events, size_t n)
{
    enum a2a_state state;

    for (size_t i = 0; i < n; i++)
        if (a2a_event_state(events[i].kind, events[i].payload, &state) == 0)
            return true;
    return false;
}

void calls_on_commit(void *arg, struct task *task, const struct store_event *events, size_t n)
{
    struct calls *calls = arg;

    if (calls->n_holding == 0 || !tells_state(events, n))
        return;
    LIST_EACH (it, &calls->waiting) {
        struct call *c = CONTAINER_OF(it, struct call, wait_link);

        if (c->holds_through && str_is(c->task->id, task->id) &&
            str_is(c->task->agent, task->agent))
            hold_no_longer(c, task);
    }
}

void call_stop_waiting(struct call *c)
{
    struct task *task = store_task_peek(c->calls->store, c->task->agent, c->task->id);

    follow_wait_cancel(c->wait);
    leave_waiting(c);
    if (task)
        call_set_task(c, task);
    call_succeed(c);
    call_step(c);
}
