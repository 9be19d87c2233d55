/* SPDX-License-Identifier: MIT
 *
 * The agent's task becomes durable, then the caller is told. Shared by send and get.
 *
 * The store keeps what it was given, also while its database is gone. Its callers, followers included, wait with
 * it for store_wait_ms; then a reader gets the task as it is stored, and whoever has nothing stored to be given is
 * told that the outcome is not known yet. The append stays queued and is committed when the database is back.
 */
#include "call/call_int.h"
#include "lib/log.h"

static void on_waited_too_long(struct timer *t, void *arg)
{
    struct call *c = arg;
    struct call_answer answer = {.kind = A2A_REPLY_TASK};
    struct a2a_fault fault;

    (void)t;
    if (c->request.method == A2A_GET && c->task) {
        answer.object = c->task->doc;
    } else {
        a2a_fault_set(
            &fault, A2A_ERROR_STORE_UNAVAILABLE,
            "the agent has answered and its task will be stored when the database is back; "
            "ask for it again: %s",
            store_state(c->calls->store) == STORE_UP ? "it is slow"
                                                     : store_why(c->calls->store));
        fault.retry_after_s = 5;
        answer.fault = &fault;
    }
    call_tell(c, &answer);
    call_release_followers(c, answer.fault);
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
    if (err == ERR_CANCELED)
        call_fail(c, A2A_ERROR_SHUTTING_DOWN, "the gateway stopped before the task was stored");
    else if (!task || !is_outcome(err)) /* ERR_INVALID will not be better the next time */
        call_fail(c, err == ERR_INVALID ? A2A_ERROR_INTERNAL : A2A_ERROR_STORE_UNAVAILABLE,
                  "the task could not be stored: %s", why ? why : err_text(err));
    call_step(c);
}

/* The store copies what it is given, so that the reply may go when this returns. */
enum call_flow append_start(struct call *c)
{
    /* What the agent spoke now, not what the caller asked in: a reload may have changed the agent's version. */
    struct append append = {.agent = c->agent_id,
                            .dialect = agent_version(c->agent),
                            .task_id = call_decode_id(&c->arena, c->reply->task_id),
                            .likely_new = !c->task_id.p};
    int err;

    if (c->request.method == A2A_SEND)
        append.events[append.n_events++] =
            (struct a2a_event){A2A_EVENT_MESSAGE, c->request.message};
    append.events[append.n_events++] = (struct a2a_event){A2A_EVENT_TASK, c->reply->object};
    err = append.task_id.p ? store_append(c->calls->store, &append, on_appended, c) : ERR_NOMEM;
    c->reply = NULL;
    if (err)
        return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE,
                         "the agent answered, but its task could not be "
                         "queued for storing: %s",
                         err_text(err));
    timer_init(&c->store_wait, on_waited_too_long, c);
    timer_start(c->calls->loop, &c->store_wait, c->calls->config.store_wait_ms);
    return CALL_WAIT;
}

enum call_flow append_done(struct call *c)
{
    BUG_ON(!c->task);
    if (c->task->dialect != c->request.version)
        return call_fail(
            c, A2A_ERROR_VERSION,
            "task %.*s is stored in A2A %s and translation between versions is not built yet",
            STR_ARG(c->task->id), a2a_version_text(c->task->dialect));
    return call_succeed(c);
}
