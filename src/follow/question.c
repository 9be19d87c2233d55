/* SPDX-License-Identifier: MIT
 *
 * One question to an agent, from GetTask to what came of it.
 *
 *     question_start --> on_reply --same as stored----------------------------------> finish
 *                          |  \--a task--> store_append --on_appended--------------->
 *                          |   \-denied too often--> store_task_get --> end_lost --^
 *                          +--fault, error------------------------------------------>
 *
 * Everybody who wants to know is told by finish(), once; whoever asks while a question is under way joins it,
 * also when the answer has come and is with the store.
 *
 * An agent that denies a task we follow (-32001) may have restarted, or be one of several behind a balancer:
 * only after LOST_TRIES denials over lost_ms, with no good word in between, is the task ended. An agent that
 * is silent denies nothing.
 */
#include "follow/follow_int.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Room for the status that ends a lost task: fixed text and the task's id. */
#define LOST_STATUS_MAX KB(8)

struct question {
    struct followed *task;
    struct ask *ask; /* running at the agent; NULL: it has answered */
    struct list askers;
    bool is_poll;    /* counted in lane.n_polls */
    bool is_storing; /* what the agent said is with the store */
    enum a2a_version spoken;
};

struct follow_asker {
    struct list link;      /* in question.askers, at last in finish()'s own list; or in none: */
    struct deferred later; /* the task is being streamed, nobody is asked */
    struct follow *follow;
    struct str agent, id; /* in `bytes` */
    follow_fn fn;
    void *arg;
    char bytes[];
};

static struct follow_asker *new_asker(struct followed *t, follow_fn fn, void *arg)
{
    struct follow_asker *asker = mem_zero(1, sizeof *asker + t->key.n);

    memcpy(asker->bytes, t->key.p, t->key.n);
    asker->agent = str_make(asker->bytes, t->agent.n);
    asker->id = str_make(asker->bytes + t->agent.n + 1, t->id.n);
    asker->follow = t->follow;
    asker->fn = fn;
    asker->arg = arg;
    list_init(&asker->link);
    return asker;
}

static void free_asker(struct follow_asker *asker)
{
    list_remove(&asker->link);
    loop_undefer(&asker->later);
    mem_free(asker);
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault);

int question_start(struct followed *t, struct agent *a, bool is_poll)
{
    struct follow *f = t->follow;
    struct question *q = MEM_NEW(struct question);
    int err;

    BUG_ON(t->question);
    q->task = t;
    list_init(&q->askers);
    err = dispatch_get(f->dispatch, a, t->id, on_reply, q, &q->ask);
    if (err) {
        mem_free(q);
        return err;
    }
    followed_unschedule(t);
    q->is_poll = is_poll;
    t->lane->n_polls += is_poll;
    t->question = q;
    f->n_questions++;
    return 0;
}

/* The stream is the agent's last word: who asks is told what the store has, when the turn has ended. */
static void on_told_as_stored(void *arg)
{
    struct follow_asker *asker = arg;
    struct follow *f = asker->follow;
    struct task *task = store_task_peek(f->store, asker->agent, asker->id);
    struct a2a_fault fault = {0};
    follow_fn fn = asker->fn;
    void *fn_arg = asker->arg;

    if (!task)
        a2a_fault_set(&fault, A2A_ERROR_STORE_UNAVAILABLE, "the task is being streamed");
    if (task)
        task_ref(task);
    free_asker(asker);
    fn(fn_arg, task, task ? NULL : &fault);
    task_unref(task);
}

static void tell_as_stored(struct followed *t, follow_fn fn, void *arg,
                           struct follow_asker **out)
{
    struct follow_asker *asker = new_asker(t, fn, arg);

    asker->later = (struct deferred){.fn = on_told_as_stored, .arg = asker};
    loop_defer(t->follow->loop, &asker->later);
    if (out)
        *out = asker;
}

int follow_refresh(struct follow *f, struct agent *a, struct str task_id, follow_fn fn,
                   void *arg, struct follow_asker **out)
{
    struct followed *t;
    struct follow_asker *asker;
    int err;

    if (f->is_stopped)
        return ERR_CANCELED;
    if (task_id.n == 0 || task_id.n > LIMIT_TASK_ID)
        return ERR_INVALID;
    t = followed_get(f, agent_id(a), task_id);
    if (listen_is_on(t) && !t->question) {
        tell_as_stored(t, fn, arg, out);
        return 0;
    }
    if (!t->question && (err = question_start(t, a, false))) {
        if (!t->is_followed)
            followed_settle(t, NULL);
        return err;
    }
    asker = new_asker(t, fn, arg);
    list_append(&t->question->askers, &asker->link);
    if (out)
        *out = asker;
    return 0;
}

void follow_refresh_cancel(struct follow_asker *asker)
{
    free_asker(asker);
}

bool follow_is_storing(const struct follow *f, struct str agent, struct str task_id)
{
    const struct followed *t = followed_find(f, agent, task_id);

    return t && t->question && t->question->is_storing;
}

/* --- what came of it ------------------------------------------------------------------------------ */

/* The question is over before anybody hears of it: those who are told may ask the next. */
static void finish(struct question *q, struct task *task, const struct a2a_fault *fault)
{
    struct followed *t = q->task;
    struct lane *lane = t->lane;
    struct list told, *first;

    list_init(&told);
    list_splice(&told, &q->askers);
    t->follow->n_questions--;
    t->question = NULL;
    if (q->is_poll) {
        lane->n_polls--;
        lane_run(lane);
    }
    mem_free(q);
    if (task)
        task_ref(task);
    /* With a fault the task is only what was known before, unless that is its end. */
    followed_settle(t, fault && task && !a2a_state_is_terminal(task->state) ? NULL : task);
    while ((first = list_first(&told))) {
        struct follow_asker *asker = CONTAINER_OF(first, struct follow_asker, link);
        follow_fn fn = asker->fn;
        void *arg = asker->arg;

        free_asker(asker);
        fn(arg, task, fault);
    }
    task_unref(task);
}

/* The agent has said nothing that could be kept: the task is what it was. */
static void finish_with(struct question *q, const struct a2a_fault *fault)
{
    struct followed *t = q->task;

    log_event(LOG_DEBUG, "an agent could not be asked for a task", LOG_STR("agent", t->agent),
              LOG_STR("task", t->id), LOG_Z("cause", fault->detail));
    finish(q, store_task_peek(t->follow->store, t->agent, t->id), fault);
}

static void store_fault(struct a2a_fault *fault, int err, const char *why)
{
    if (err == ERR_CANCELED)
        a2a_fault_set(fault, A2A_ERROR_SHUTTING_DOWN,
                      "the gateway stopped before the task was stored");
    else /* ERR_INVALID will not be better the next time */
        a2a_fault_set(fault,
                      err == ERR_INVALID ? A2A_ERROR_INTERNAL : A2A_ERROR_STORE_UNAVAILABLE,
                      "the task could not be stored: %s", why ? why : err_text(err));
}

static void on_appended(void *arg, int err, struct task *task, const char *why)
{
    struct question *q = arg;
    struct a2a_fault fault = {0};

    if (err == ERR_LIMIT)
        follow_cancel_at_agent(q->task->follow, q->task->agent, q->task->id);
    if (task && (err == 0 || err == ERR_FINAL || err == ERR_LIMIT)) {
        finish(q, task, NULL);
        return;
    }
    store_fault(&fault, err, why);
    finish_with(q, &fault);
}

static void append(struct question *q, enum a2a_version dialect, enum a2a_event_kind kind,
                   struct str payload)
{
    struct followed *t = q->task;
    struct append append = {.agent = t->agent,
                            .task_id = t->id,
                            .dialect = dialect,
                            .events = {{kind, payload}},
                            .n_events = 1};
    struct a2a_fault fault = {0};
    int err = store_append(t->follow->store, &append, on_appended, q);

    q->is_storing = !err;
    if (!err)
        return;
    store_fault(&fault, err, NULL);
    finish_with(q, &fault);
}

/* --- a task its agent has forgotten --------------------------------------------------------------- */

static void end_lost(struct question *q, enum a2a_version dialect)
{
    struct followed *t = q->task;
    struct uuid message_id = id_uuid4();
    char now[CLOCK_TEXT + 1], id_text[UUID_TEXT + 1];
    struct buf status;

    log_event(LOG_WARN, "task failed: its agent no longer knows it", LOG_STR("agent", t->agent),
              LOG_STR("task", t->id), LOG_U64("times", t->n_lost),
              LOG_U64("ms", loop_now_ms(t->follow->loop) - t->lost_since_ms));
    clock_format(clock_wall_us(), now);
    id_uuid_text(&message_id, id_text);
    buf_init(&status, LOST_STATUS_MAX);
    a2a_status_write_failed(&status, dialect, t->id, str_of(now), str_of(id_text),
                            "agent no longer knows this task");
    BUG_ON(buf_error(&status) == ERR_LIMIT);
    append(q, dialect, A2A_EVENT_STATUS, buf_str(&status));
    buf_release(&status);
}

/* The status is said in the dialect of the stored task, which need not be the one its agent speaks by now. */
static void on_lost_loaded(void *arg, int err, struct task *task)
{
    struct question *q = arg;
    struct a2a_fault fault = {0};

    q->is_storing = false;
    if (err == 0 && a2a_state_is_terminal(task->state)) {
        finish(q, task, NULL);
    } else if (err == 0 && q->task->n_lost < LOST_TRIES) {
        finish(q, task, NULL); /* the agent had a good word for it meanwhile */
    } else if (err == 0) {
        end_lost(q, task->dialect);
    } else {
        if (err == ERR_ABSENT) /* removed by hand or by age: nothing is left to be ended */
            followed_forget(q->task, NULL);
        store_fault(&fault, err, NULL);
        finish_with(q, &fault);
    }
}

/* Whether the agent has denied the task often enough. */
static bool is_lost(struct followed *t)
{
    uint64_t now = loop_now_ms(t->follow->loop);

    if (!t->is_followed)
        return false;
    if (t->n_lost == 0)
        t->lost_since_ms = now;
    if (t->n_lost < LOST_TRIES)
        t->n_lost++;
    return t->n_lost == LOST_TRIES && now - t->lost_since_ms >= t->follow->config.lost_ms;
}

/* --- the agent's word ----------------------------------------------------------------------------- */

static void heard_error(struct question *q, const struct a2a_reply *reply)
{
    struct followed *t = q->task;
    struct a2a_fault fault = {0};
    bool is_unknown = reply->error_code == a2a_error_row(A2A_ERROR_TASK_NOT_FOUND)->code;

    if (is_unknown && !listen_is_on(t) && is_lost(t) &&
        store_task_get(t->follow->store, t->agent, t->id, on_lost_loaded, q) == 0) {
        q->is_storing = true;
        return;
    }
    if (is_unknown)
        a2a_fault_set(&fault, A2A_ERROR_TASK_NOT_FOUND, "agent %.*s does not know the task",
                      STR_ARG(t->agent));
    else
        a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "the agent answered with error %lld",
                      (long long)reply->error_code);
    fault.agent_error = reply->object;
    fault.agent_version = q->spoken;
    finish_with(q, &fault);
}

static void finish_as_stored(struct question *q, struct task *stored)
{
    struct a2a_fault fault = {0};

    a2a_fault_set(&fault, A2A_ERROR_STORE_UNAVAILABLE, "the task is being streamed");
    finish(q, stored, stored ? NULL : &fault);
}

static void heard_task(struct question *q, const struct a2a_reply *reply)
{
    struct followed *t = q->task;
    struct store *store = t->follow->store;
    struct task *stored = store_task_peek(store, t->agent, t->id);

    t->n_lost = 0;
    if (listen_is_on(
            t)) { /* it may lack what has come by the stream, or have what is on its way */
        finish_as_stored(q, stored);
        return;
    }
    /* Mostly nothing has happened: that needs no fold. */
    if (stored && stored->dialect == q->spoken && str_is(stored->doc, reply->object)) {
        store_task_heard(store, t->agent, t->id);
        finish(q, stored, NULL);
        return;
    }
    append(q, q->spoken, A2A_EVENT_TASK, reply->object);
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct question *q = arg;
    struct a2a_fault wrong = {0};

    q->spoken = reply ? reply->dialect : ask_version(q->ask);
    q->ask = NULL;
    if (fault) {
        finish_with(q, fault);
    } else if (reply->kind == A2A_REPLY_ERROR) {
        heard_error(q, reply);
    } else if (!json_string_is(reply->task_id, q->task->id)) {
        a2a_fault_set(&wrong, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "agent %.*s answered with another task than the one asked for",
                      STR_ARG(q->task->agent));
        finish_with(q, &wrong);
    } else {
        heard_task(q, reply);
    }
}

/* --- telling an agent to stop --------------------------------------------------------------------- */

struct farewell {
    struct follow *follow;
    struct ask *ask;
};

static void on_farewell(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct farewell *farewell = arg;

    (void)reply; /* also an error is an answer: it has nothing to cancel */
    if (fault)
        log_event(LOG_WARN, "an agent could not be told to cancel a task the gateway has ended",
                  LOG_Z("cause", fault->detail));
    farewell->follow->n_cancels--;
    mem_free(farewell);
}

void follow_cancel_at_agent(struct follow *f, struct str agent, struct str task_id)
{
    struct followed *t = followed_find(f, agent, task_id);
    struct agent *a = t ? lane_agent(t->lane) : dispatch_find(f->dispatch, agent);
    struct farewell *farewell;
    int err;

    if (f->is_stopped)
        return;
    farewell = MEM_NEW(struct farewell);
    farewell->follow = f;
    err = a ? dispatch_cancel(f->dispatch, a, task_id, on_farewell, farewell, &farewell->ask)
            : ERR_ABSENT;
    if (!err) {
        f->n_cancels++;
        return;
    }
    log_event(LOG_WARN, "an agent could not be told to cancel a task the gateway has ended",
              LOG_STR("agent", agent), LOG_STR("task", task_id), LOG_Z("cause", err_text(err)));
    mem_free(farewell);
}
