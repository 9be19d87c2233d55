/* SPDX-License-Identifier: MIT
 *
 * One stream of a task, from the agent into the log.
 *
 *     follow_adopt ---------------------> FOLDED: event --> store_append        one per task
 *     listen_attach --first is a Task--->    |
 *          `-- first is anything else --> HINT: event --> a question is due      as many as there are
 *
 *     FOLDED, a status that ends or interrupts the task:
 *
 *         event --hold--> ASKING --GetTask answered, failed, or too slow--> (ENDING) --> {snapshot, event} appended
 *                            the stream is paused                           interrupted only: does the agent end its
 *                                                                           stream here? A moment is waited for that
 *
 * A stream that begins with the task as it is can be folded: what comes behind the snapshot has happened after it. One
 * that does not may begin anywhere, and what it says might be in the stored task already; it is good for a hint. For the
 * same reason no other snapshot is folded while a stream is (question.c drops it): it might hold what is still on its
 * way through the stream, or lack what came by it.
 *
 * Events are appended as they come; what the store cannot take now pauses the stream. An append may outlive the stream
 * and the task's entry: a listen is freed when its last append and its question have called back.
 */
#include "follow/follow_int.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"

#define RETRY_MS 50u /* the store's queue was full */
#define FINAL_GET_MS                                                                           \
    5000u /* an agent that does not answer GetTask does not keep its last word from being told */
#define END_OF_STREAM_MS                                                                       \
    250u /* from an interruption to the end of the agent's stream, if it is meant to end there */

enum hold { HOLD_NOTHING, HOLD_ASKING, HOLD_ENDING, HOLD_STORING };

struct listen {
    struct list link; /* in followed.listens */
    struct follow *follow;
    struct followed *task; /* NULL: left; what still runs only has to call back */
    struct stream *stream; /* owned; NULL: over */
    struct ask *ask;       /* the final GetTask; NULL: none */
    bool is_hint, is_attached;
    bool has_first;    /* attached: the snapshot has come */
    bool has_progress; /* something came that was not known */
    bool has_met_odd;  /* an event that is none of this task's was logged */
    unsigned n_storing;
    size_t storing_bytes;
    bool is_stuck;      /* an event, or what is held, waits for the store */
    bool is_settling;   /* over, but what it said last is not durable yet */
    struct timer timer; /* full store, or the time of what is held */
    enum a2a_state last_state;

    enum hold hold;
    struct buf held, snapshot; /* the event, and what GetTask says; snapshot empty: nothing */
    enum a2a_version held_dialect;
    enum a2a_state held_state;
    bool held_is_final;
};

/* One append under way. */
struct storing {
    struct listen *listen;
    size_t bytes;
};

static int on_event(void *arg, const struct a2a_stream_event *event);
static void on_end(void *arg, const struct a2a_fault *fault);
static void on_timer(struct timer *t, void *arg);
static void commit_hold(struct listen *l);

static const struct stream_events events = {.on_event = on_event, .on_end = on_end};

/* --- birth and death ------------------------------------------------------------------------------ */

static struct listen *new_listen(struct followed *t)
{
    struct listen *l = MEM_NEW(struct listen);

    l->follow = t->follow;
    l->task = t;
    l->last_state = t->state;
    timer_init(&l->timer, on_timer, l);
    buf_init(&l->held, LIMIT_AGENT_BODY);
    buf_init(&l->snapshot, LIMIT_AGENT_BODY);
    list_append(&t->listens, &l->link);
    t->follow->n_listens++;
    return l;
}

static void free_if_done(struct listen *l)
{
    if (l->task || l->n_storing || l->ask)
        return;
    buf_release(&l->held);
    buf_release(&l->snapshot);
    l->follow->n_listens--;
    mem_free(l);
}

static void close_stream(struct listen *l)
{
    if (l->stream)
        l->follow->n_streams--;
    stream_close(l->stream);
    l->stream = NULL;
}

/* The task goes on without it. */
static void leave(struct listen *l)
{
    struct followed *t = l->task;

    close_stream(l);
    timer_stop(l->follow->loop, &l->timer);
    list_remove(&l->link);
    l->hold = HOLD_NOTHING;
    l->task = NULL;
    if (t->folded == l)
        t->folded = NULL;
    free_if_done(l);
}

void listens_end(struct followed *t)
{
    struct list *first;

    while ((first = list_first(&t->listens)))
        leave(CONTAINER_OF(first, struct listen, link));
}

bool listen_is_on(const struct followed *t)
{
    const struct listen *l = t->folded;

    return l && (l->stream || l->hold != HOLD_NOTHING || l->is_settling);
}

/* --- the end of a folded stream ------------------------------------------------------------------- */

static void log_end(const struct listen *l, const struct a2a_fault *fault)
{
    log_event(LOG_DEBUG, "a stream of a task has ended", LOG_STR("agent", l->task->agent),
              LOG_STR("task", l->task->id),
              LOG_Z("state", a2a_state_name(l->last_state, A2A_0_3)),
              LOG_Z("cause", fault ? fault->detail : NULL));
}

/* The stream is over and nothing of it is held: it was right to end here, or it broke. Until its last word is durable it
 * still is the task's stream: whoever asks whether more is to come would take the state before that word for the end. */
static void settle_end(struct listen *l)
{
    struct followed *t = l->task;
    struct follow *f = l->follow;
    bool was_folded = t->folded == l, has_progress = l->has_progress;
    bool is_break = a2a_state_class(l->last_state) == A2A_ACTIVE;

    l->is_settling = l->n_storing > 0;
    if (l->is_settling)
        return;
    if (was_folded && !is_break)
        t->state = l->last_state;
    leave(l);
    if (!was_folded) {
        followed_hint(t);
        return;
    }
    followed_go_on(t, has_progress);
    if (f->on_quiet)
        f->on_quiet(f->quiet_arg, t->agent, t->id);
}

static void on_end(void *arg, const struct a2a_fault *fault)
{
    struct listen *l = arg;

    log_end(l, fault);
    l->stream = NULL;
    l->follow->n_streams--;
    if (l->hold == HOLD_ENDING)
        commit_hold(l); /* settles the end, too */
    else if (l->hold == HOLD_NOTHING)
        settle_end(l);
}

/* --- storing -------------------------------------------------------------------------------------- */

static void on_stored(void *arg, int err, struct task *task, const char *why)
{
    struct storing *s = arg;
    struct listen *l = s->listen;

    (void)why; /* the store has logged it */
    l->n_storing--;
    l->storing_bytes -= s->bytes;
    mem_free(s);
    if (err == ERR_LIMIT && task)
        follow_cancel_at_agent(l->follow, task->agent, task->id);
    if (!l->task) {
        free_if_done(l);
    } else if (l->is_stuck) {
        l->is_stuck = false;
        if (l->hold == HOLD_STORING)
            commit_hold(l);
        else if (l->stream)
            stream_resume(l->stream);
    } else if (l->is_settling) {
        settle_end(l);
    }
}

/* ERR_AGAIN: not now; the listen is woken. */
static int store_events(struct listen *l, const struct a2a_event *list, size_t n,
                        enum a2a_version dialect)
{
    struct followed *t = l->task;
    struct append append = {
        .agent = t->agent, .task_id = t->id, .dialect = dialect, .n_events = n};
    struct storing *s = MEM_NEW(struct storing);
    int err;

    s->listen = l;
    for (size_t i = 0; i < n; i++) {
        append.events[i] = list[i];
        s->bytes += list[i].payload.n;
    }
    err = store_append(l->follow->store, &append, on_stored, s);
    if (!err) {
        l->n_storing++;
        l->storing_bytes += s->bytes;
        return 0;
    }
    mem_free(s);
    if (err != ERR_FULL && err != ERR_NOMEM)
        return err;
    l->is_stuck = true;
    timer_start(l->follow->loop, &l->timer, RETRY_MS);
    return ERR_AGAIN;
}

/* --- holding -------------------------------------------------------------------------------------- */

static void commit_hold(struct listen *l)
{
    struct a2a_event list[2];
    size_t n = 0;

    timer_stop(l->follow->loop, &l->timer);
    if (l->snapshot.n)
        list[n++] = (struct a2a_event){A2A_EVENT_TASK, buf_str(&l->snapshot)};
    list[n++] = (struct a2a_event){A2A_EVENT_STATUS_UPDATE, buf_str(&l->held)};
    if (store_events(l, list, n, l->held_dialect) == ERR_AGAIN) {
        l->hold = HOLD_STORING;
        return;
    }
    l->hold = HOLD_NOTHING;
    l->last_state = l->held_state;
    buf_shrink(&l->held, 0);
    buf_shrink(&l->snapshot, 0);
    if (a2a_state_is_terminal(l->last_state) || l->held_is_final)
        close_stream(l); /* whatever it has to say behind its last word */
    if (l->stream)
        stream_resume(l->stream);
    else
        settle_end(l);
}

/* GetTask has answered, or is not waited for any more. */
static void go_on_holding(struct listen *l)
{
    timer_stop(l->follow->loop, &l->timer);
    if (a2a_state_is_terminal(l->held_state) || l->held_is_final || !l->stream) {
        commit_hold(l);
        return;
    }
    l->hold = HOLD_ENDING;
    timer_start(l->follow->loop, &l->timer, END_OF_STREAM_MS);
    stream_resume(l->stream);
}

static bool is_final_word(const struct listen *l, const struct a2a_reply *reply)
{
    enum a2a_state state;

    return reply->kind == A2A_REPLY_TASK && reply->dialect == l->held_dialect &&
           json_string_is(reply->task_id, l->task->id) &&
           a2a_event_state(A2A_EVENT_TASK, reply->object, &state) == 0 &&
           state == l->held_state;
}

static void on_final_get(void *arg, const struct a2a_reply *reply,
                         const struct a2a_fault *fault)
{
    struct listen *l = arg;

    l->ask = NULL;
    if (!l->task) {
        free_if_done(l);
        return;
    }
    if (l->hold != HOLD_ASKING) /* it came too late */
        return;
    if (!fault && is_final_word(l, reply) && buf_add_str(&l->snapshot, reply->object))
        buf_clear(&l->snapshot);
    go_on_holding(l);
}

/* The event waits for what GetTask says. Returns what on_event() returns. */
static int begin_hold(struct listen *l, const struct a2a_stream_event *event)
{
    struct agent *a = lane_agent(l->task->lane);

    buf_clear(&l->held);
    buf_clear(&l->snapshot);
    if (buf_add_str(&l->held, event->object))
        return ERR_AGAIN;
    l->held_state = event->state;
    l->held_dialect = event->dialect;
    l->held_is_final = event->is_final;
    l->hold = HOLD_ASKING;
    stream_pause(l->stream);
    if (!l->ask && a && agent_wants_final_get(a) &&
        dispatch_get(l->follow->dispatch, a, l->task->id, on_final_get, l, &l->ask))
        l->ask = NULL;
    CRASH_POINT(stream_ending);
    /* Never from inside the stream's callback. */
    timer_start(l->follow->loop, &l->timer, l->ask ? FINAL_GET_MS : 0);
    return 0;
}

static void on_timer(struct timer *timer, void *arg)
{
    struct listen *l = arg;

    (void)timer;
    switch (l->hold) {
    case HOLD_ASKING:
        go_on_holding(l);
        break;
    case HOLD_ENDING:
    case HOLD_STORING:
        l->is_stuck = false;
        commit_hold(l);
        break;
    case HOLD_NOTHING:
        if (l->is_stuck && l->stream)
            stream_resume(l->stream);
        l->is_stuck = false;
        break;
    }
}

/* --- events --------------------------------------------------------------------------------------- */

static int complain(struct listen *l, const char *what)
{
    if (!l->has_met_odd)
        log_event(LOG_WARN, "an event of an agent's stream is not taken",
                  LOG_STR("agent", l->task->agent), LOG_STR("task", l->task->id),
                  LOG_Z("why", what));
    l->has_met_odd = true;
    return 0;
}

/* What ends an attempt to attach is no news of the task: -32001 may come of a process that never heard of it. */
static int hear_error(struct listen *l, const struct a2a_stream_event *event)
{
    log_event(LOG_DEBUG, "an agent's stream tells an error", LOG_STR("agent", l->task->agent),
              LOG_STR("task", l->task->id),
              LOG_U64("code", (uint64_t)(event->error_code < 0 ? -event->error_code
                                                               : event->error_code)));
    return 0;
}

static int fold(struct listen *l, const struct a2a_stream_event *event)
{
    static const enum a2a_event_kind kinds[] = {
        [A2A_STREAM_TASK] = A2A_EVENT_TASK,
        [A2A_STREAM_STATUS] = A2A_EVENT_STATUS_UPDATE,
        [A2A_STREAM_ARTIFACT] = A2A_EVENT_ARTIFACT_UPDATE,
    };
    struct a2a_event e = {kinds[event->kind], event->object};
    bool is_over = event->has_state && a2a_state_class(event->state) != A2A_ACTIVE;
    int err;

    if (l->n_storing && l->storing_bytes + e.payload.n > LIMIT_STREAM_STORING) {
        l->is_stuck = true;
        return ERR_AGAIN;
    }
    if (is_over && event->kind == A2A_STREAM_STATUS)
        return begin_hold(l, event);
    err = store_events(l, &e, 1, event->dialect);
    if (err == ERR_AGAIN)
        return err;
    if (event->has_state)
        l->last_state = event->state;
    l->has_progress |= l->has_first;
    return 0;
}

/* The first event of a stream we have attached to says what it is good for. */
static void judge_first(struct listen *l, const struct a2a_stream_event *event)
{
    struct followed *t = l->task;

    if (event->kind == A2A_STREAM_TASK) {
        log_event(LOG_DEBUG, "attached to a task's stream", LOG_STR("agent", t->agent),
                  LOG_STR("task", t->id));
        return;
    }
    l->is_hint = true;
    t->folded = NULL;
}

static int on_event(void *arg, const struct a2a_stream_event *event)
{
    struct listen *l = arg;
    int err;

    if (event->kind == A2A_STREAM_ERROR)
        return hear_error(l, event);
    if (event->kind == A2A_STREAM_MESSAGE)
        return complain(l, "a message in the stream of a task");
    if (!json_string_is(event->task_id, l->task->id))
        return complain(l, "it is about another task");
    if (l->hold == HOLD_ENDING) /* the agent goes on */
        commit_hold(l);
    if (l->hold != HOLD_NOTHING)
        return ERR_AGAIN;
    if (l->is_attached && !l->has_first && !l->is_hint)
        judge_first(l, event);
    if (l->is_hint) {
        followed_hint(l->task);
        return 0;
    }
    err = fold(l, event);
    l->has_first |= err == 0;
    return err;
}

/* --- whose stream it is --------------------------------------------------------------------------- */

void follow_adopt(struct follow *f, struct task *task, struct stream *stream)
{
    struct followed *t;
    struct listen *l;

    if (f->is_stopped || a2a_state_is_terminal(task->state)) {
        stream_close(stream);
        return;
    }
    t = followed_get(f, task->agent, task->id);
    if (!t->is_followed)
        followed_begin(t, task->state);
    if (t->folded && t->folded->hold != HOLD_NOTHING)
        commit_hold(t->folded);
    /* The newest answers what the agent was told last; what the older one still has to say is in its snapshot. */
    if (t->folded)
        leave(t->folded);
    l = new_listen(t);
    l->stream = stream;
    l->has_first = true;
    t->folded = l;
    f->n_streams++;
    followed_unschedule(t);
    stream_hand_over(stream, &events, l);
    CRASH_POINT(stream_adopted);
    stream_resume(stream);
}

bool listen_attach(struct followed *t)
{
    struct agent *a = lane_agent(t->lane);
    struct listen *l;

    if (!a || t->folded || !list_is_empty(&t->listens) || !agent_subscribes(a))
        return false;
    l = new_listen(t);
    l->is_attached = true;
    if (dispatch_subscribe(t->follow->dispatch, a, t->id, &events, l, &l->stream)) {
        l->stream = NULL;
        leave(l);
        return false;
    }
    t->folded = l;
    t->follow->n_streams++;
    return true;
}

bool follow_is_streaming(const struct follow *f, struct str agent, struct str task_id)
{
    const struct followed *t = followed_find(f, agent, task_id);

    return t && listen_is_on(t);
}

void follow_on_quiet(struct follow *f, follow_quiet_fn fn, void *arg)
{
    f->on_quiet = fn;
    f->quiet_arg = arg;
}

size_t follow_streams(const struct follow *f)
{
    return f->n_streams;
}
