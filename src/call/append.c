/* SPDX-License-Identifier: MIT
 *
 * The agent's task becomes durable, then the caller is told. Shared by send and cancel; what reading brings
 * is committed by follow/.
 *
 * The store keeps what it was given, also while its database is gone. Its callers wait with it for
 * store_wait_ms, then they are told that the outcome is not known yet. The append stays queued and is
 * committed when the database is back.
 */
#include "call/call_int.h"
#include "lib/log.h"

void call_late_fault(const struct call *c, struct a2a_fault *fault)
{
    *fault = (struct a2a_fault){0};
    a2a_fault_set(
        fault, A2A_ERROR_STORE_UNAVAILABLE,
        "the agent has answered and its task will be stored when the database is back; "
        "ask for it again: %s",
        store_state(c->calls->store) == STORE_UP ? "it is slow" : store_why(c->calls->store));
    fault->retry_after_s = 5;
}

static void on_waited_too_long(struct timer *t, void *arg)
{
    struct call *c = arg;
    struct a2a_fault fault;
    struct call_answer answer = {.fault = &fault};

    (void)t;
    call_late_fault(c, &fault);
    call_tell(c, &answer);
}

/* What is true of the task now, and so the answer: it was committed, or had come to its end before, or the
 * gateway had to end it because it outgrew its maximum. */
static bool is_outcome(int err)
{
    return err == 0 || err == ERR_FINAL || err == ERR_LIMIT;
}

static void on_appended(void *arg, int err, struct task *task, const char *why)
{
    struct call *c = arg;

    timer_stop(c->calls->loop, &c->store_wait);
    call_set_task(c, task);
    c->step = CALL_APPENDED;
    if (err == ERR_LIMIT && task)
        follow_cancel_at_agent(c->calls->follow, task->agent, task->id);
    if (err == ERR_CANCELED)
        call_fail(c, A2A_ERROR_SHUTTING_DOWN, "the gateway stopped before the task was stored");
    else if (!task || !is_outcome(err)) /* ERR_INVALID will not be better the next time */
        call_fail(c, err == ERR_INVALID ? A2A_ERROR_INTERNAL : A2A_ERROR_STORE_UNAVAILABLE,
                  "the task could not be stored: %s", why ? why : err_text(err));
    call_step(c);
}

/* The caller's message as the agent got it, into `out`. A task is not lost for its message: without memory
 * for that the log lacks it. */
static void add_message(struct call *c, struct buf *out, struct append *append)
{
    struct a2a_upstream to = {.version = c->spoken, .drop_context = c->context.drop};
    const char *why = NULL;
    int err;

    if (c->has_added_context)
        to.add_context = c->context.add;
    append->context = c->has_added_context ? c->context.add : STR_NONE;
    if (c->request.message_context.p)
        append->context = call_decode_id(&c->arena, c->request.message_context);
    err = a2a_request_write_message(out, &to, &c->request, &why);
    err = err ? err : buf_error(out);
    if (err)
        log_event(LOG_WARN, "a caller's message is missing in the log of its task",
                  LOG_STR("agent", c->agent_id), LOG_STR("task", append->task_id),
                  LOG_Z("cause", why ? why : err_text(err)));
    else
        append->events[append->n_events++] =
            (struct a2a_event){A2A_EVENT_MESSAGE, buf_str(out)};
}

/* The store copies what it is given, so that the reply may go when this returns. */
enum call_flow append_start(struct call *c)
{
    struct append append = {.agent = c->agent_id,
                            .dialect = c->spoken,
                            .task_id = call_decode_id(&c->arena, c->reply->task_id),
                            .likely_new = !c->task_id.p};
    struct buf message;
    int err;

    /* Other words are longer, but not that much. */
    buf_init(&message, 2 * LIMIT_REQUEST_BODY);
    if (c->request.method == A2A_SEND || c->request.method == A2A_STREAM) {
        add_message(c, &message, &append);
        append.push = c->has_push ? &c->push : NULL;
    }
    if (!c->only_message)
        append.events[append.n_events++] = (struct a2a_event){A2A_EVENT_TASK, c->reply->object};
    err = append.task_id.p && append.n_events
              ? store_append(c->calls->store, &append, on_appended, c)
              : ERR_NOMEM;
    buf_release(&message);
    c->reply = NULL;
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    if (err)
        return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE,
                         "the agent answered, but its task could not be "
                         "queued for storing: %s",
                         err_text(err));
    timer_init(&c->store_wait, on_waited_too_long, c);
    timer_start(c->calls->loop, &c->store_wait, c->calls->config.store_wait_ms);
    return CALL_WAIT;
}

/* A blocking caller is held while his task goes on, and so is one who leaves it to the agent how long he waits, if the
 * agent was asked in a way that tells nothing about that. When nobody waits (any more) there is nothing to hold:
 * the task is followed all the same. */
static bool may_hold(const struct call *c)
{
    bool wants_end = c->request.wait == A2A_WAIT_END ||
                     (c->is_not_waited && c->request.wait == A2A_WAIT_AS_AGENT);

    return c->request.method == A2A_SEND && wants_end && c->fn && !c->calls->on_idle &&
           c->calls->config.send_wait_ms > 0 &&
           (c->holds_through || a2a_state_class(c->task->state) == A2A_ACTIVE);
}

/* The rest of what the agent says is for follow/ to read, whoever still waits. */
static void give_stream_away(struct call *c)
{
    struct stream *stream = c->stream;

    c->stream = NULL;
    if (stream)
        follow_adopt(c->calls->follow, c->task, stream);
}

enum call_flow append_done(struct call *c)
{
    BUG_ON(!c->task);
    c->holds_through = c->only_message && a2a_state_class(c->task->state) == A2A_INTERRUPTED;
    give_stream_away(c);
    if (c->request.method == A2A_STREAM)
        return call_go(c, CALL_STREAM_TELL);
    /* A cancel that came too late: the task has another end, which is told as if it had been known before. */
    if (c->request.method == A2A_CANCEL && a2a_state_is_terminal(c->task->state) &&
        c->task->state != A2A_STATE_CANCELED)
        return call_fail(c, A2A_ERROR_TASK_NOT_CANCELABLE, "task %.*s is %s",
                         STR_ARG(c->task->id),
                         a2a_state_name(c->task->state, c->request.version));
    return may_hold(c) ? call_go(c, CALL_SEND_WAIT) : call_succeed(c);
}
