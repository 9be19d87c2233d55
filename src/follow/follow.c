/* SPDX-License-Identifier: MIT
 *
 * Which tasks are followed, and when each is asked for next.
 *
 * Commits are the only teacher: whatever part of the house writes a task, the store's hook brings it here,
 * and a task is followed exactly from its first unfinished commit to its terminal one. A task that was read
 * but belongs to another node is followed there; one of ours that another node has written is its from then
 * on, and forgotten here unless somebody waits for it. Nothing is kept on disk: what a gateway that died had followed is found again as unfinished tasks of an owner that no longer
 * lives.
 *
 *     on_commit, on_taken --> followed_begin --> due timer --on_due--> lane's queue --lane_run--> question
 *                                                    ^                                               |
 *                                                    +------------- followed_settle <----------------+
 *
 * A task that works and whose agent has streams is asked for its stream after each question that found it working
 * (listen.c); while one is folded nobody asks.
 *
 * The pause before a question is poll_min, doubled to poll_max while the agent has nothing new to say, and
 * interrupted_ms while the task waits for its caller; a little is added at random, so that a thousand tasks
 * that were taken over together do not ask together for ever.
 *
 * At most POLLS_PER_AGENT tasks of an agent are asked for at a time, and its last free place is left to
 * callers; the others stand in its lane's queue. An agent without a free place silences its lane for
 * poll_min, not each task in it one by one. While the store is not up nobody is asked: the answer could not
 * be kept.
 *
 * Deliberately absent: giving up. An agent that is unreachable, or was removed, is asked every poll_max until
 * the task has an end; only the agent's own word that there is no such task ends it (question.c).
 */
#include "follow/follow_int.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"

/* One look for orphans takes at most so many; the next follows at once if there may be more, else after a
 * while. */
#define ORPHANS_AT_ONCE 256u
#define ORPHANS_EVERY_MS 5000u

static void on_commit(void *arg, struct task *task, const struct store_event *events,
                      size_t n_events);
static void on_orphans_due(struct timer *timer, void *arg);
static void on_due(struct timer *timer, void *arg);
static void on_pause_over(struct timer *timer, void *arg);

/* --- life ----------------------------------------------------------------------------------------- */

static void on_tell(void *arg)
{
    waits_tell(arg);
}

struct follow *follow_new(struct loop *loop, struct store *store, struct dispatch *dispatch,
                          const struct follow_config *config)
{
    struct follow *f = MEM_NEW(struct follow);

    f->loop = loop;
    f->store = store;
    f->dispatch = dispatch;
    f->config = *config;
    map_init(&f->tasks);
    map_init(&f->lanes);
    list_init(&f->due_waits);
    f->tell = (struct deferred){.fn = on_tell, .arg = f};
    timer_init(&f->orphans, on_orphans_due, f);
    id_random(&f->noise, sizeof f->noise);
    f->noise |= 1; /* the generator's one bad state is 0 */
    f->listener = (struct store_listener){.on_commit = on_commit, .arg = f};
    store_listen(store, &f->listener);
    return f;
}

void follow_stop(struct follow *f)
{
    struct followed *t;
    struct lane *lane;
    size_t at = 0;

    f->is_stopped = true;
    timer_stop(f->loop, &f->orphans);
    while ((t = map_next(&f->tasks, &at))) {
        followed_unschedule(t);
        listens_end(t);
        waits_end(t, NULL);
    }
    for (at = 0; (lane = map_next(&f->lanes, &at));)
        timer_stop(f->loop, &lane->pause);
    waits_tell(f);
}

static void lane_free(struct lane *lane)
{
    BUG_ON(lane->n_polls || !list_is_empty(&lane->queue));
    timer_stop(lane->follow->loop, &lane->pause);
    map_remove(&lane->follow->lanes, str_of(lane->id));
    if (lane->agent)
        agent_unref(lane->agent);
    mem_free(lane);
}

static void followed_free(struct followed *t)
{
    struct lane *lane = t->lane;

    BUG_ON(t->question || !list_is_empty(&t->waits) || !list_is_empty(&t->listens));
    followed_unschedule(t);
    map_remove(&t->follow->tasks, t->key);
    t->follow->n_followed -= t->is_followed;
    mem_free(t);
    if (--lane->n_tasks == 0)
        lane_free(lane);
}

void follow_free(struct follow *f)
{
    struct followed *t;
    size_t at;

    if (!f)
        return;
    follow_stop(f);
    BUG_ON(f->n_questions || f->n_cancels || f->n_waits || f->n_listens);
    store_unlisten(f->store, &f->listener);
    while (at = 0, (t = map_next(&f->tasks, &at)))
        followed_free(t);
    loop_undefer(&f->tell);
    map_release(&f->tasks);
    map_release(&f->lanes);
    mem_free(f);
}

size_t follow_count(const struct follow *f)
{
    return f->n_followed;
}

/* --- entries -------------------------------------------------------------------------------------- */

static struct lane *lane_get(struct follow *f, struct str agent)
{
    struct lane *lane = map_get(&f->lanes, agent);

    if (lane)
        return lane;
    lane = mem_zero(1, sizeof *lane + agent.n + 1);
    lane->follow = f;
    memcpy(lane->id, agent.p, agent.n);
    list_init(&lane->queue);
    timer_init(&lane->pause, on_pause_over, lane);
    map_put(&f->lanes, str_make(lane->id, agent.n), lane);
    (void)lane_agent(lane); /* held from now on, for the day it is removed */
    return lane;
}

struct agent *lane_agent(struct lane *lane)
{
    struct agent *now = dispatch_find(lane->follow->dispatch, str_of(lane->id));
    struct agent *old = lane->agent;

    if (now && now != old) {
        lane->agent = agent_ref(now);
        if (old)
            agent_unref(old);
    }
    return lane->agent;
}

#define KEY_MAX (LIMIT_AGENT_ID + 1 + LIMIT_TASK_ID)

/* Whoever names a task has it from a registered agent and a checked id, or from the store: it fits. */
static struct str make_key(char room[KEY_MAX], struct str agent, struct str id)
{
    BUG_ON(agent.n > LIMIT_AGENT_ID || id.n > LIMIT_TASK_ID);
    memcpy(room, agent.p, agent.n);
    room[agent.n] = '\0'; /* occurs in neither */
    memcpy(room + agent.n + 1, id.p, id.n);
    return str_make(room, agent.n + 1 + id.n);
}

struct followed *followed_find(const struct follow *f, struct str agent, struct str id)
{
    char room[KEY_MAX];

    return map_get(&f->tasks, make_key(room, agent, id));
}

struct followed *followed_get(struct follow *f, struct str agent, struct str id)
{
    char room[KEY_MAX];
    struct str key = make_key(room, agent, id);
    struct followed *t = map_get(&f->tasks, key);

    if (t)
        return t;
    t = mem_zero(1, sizeof *t + key.n);
    memcpy(t->bytes, key.p, key.n);
    t->follow = f;
    t->key = str_make(t->bytes, key.n);
    t->agent = str_make(t->bytes, agent.n);
    t->id = str_make(t->bytes + agent.n + 1, id.n);
    t->interval_ms = f->config.poll_min_ms;
    timer_init(&t->due, on_due, t);
    list_init(&t->queue_link);
    list_init(&t->waits);
    list_init(&t->listens);
    t->lane = lane_get(f, agent);
    t->lane->n_tasks++;
    map_put(&f->tasks, t->key, t);
    return t;
}

void followed_unschedule(struct followed *t)
{
    timer_stop(t->follow->loop, &t->due);
    list_remove(&t->queue_link);
}

/* 0 to `most`; xorshift64 is random enough to keep questions apart. */
static uint64_t jitter(struct follow *f, uint64_t most)
{
    f->noise ^= f->noise << 13;
    f->noise ^= f->noise >> 7;
    f->noise ^= f->noise << 17;
    return f->noise % (most + 1);
}

/* When the next question is due. A task the agent has denied is asked for at the usual pace, also when it
 * waits for input: what is lost shall be known soon. */
static void schedule(struct followed *t)
{
    struct follow *f = t->follow;
    uint64_t ms = t->interval_ms;

    followed_unschedule(t);
    if (f->is_stopped || t->question || t->folded)
        return;
    if (a2a_state_class(t->state) == A2A_INTERRUPTED && t->n_lost == 0)
        ms = f->config.interrupted_ms;
    timer_start(f->loop, &t->due, ms + jitter(f, ms / 8));
}

static void back_off(struct followed *t)
{
    uint64_t max = t->follow->config.poll_max_ms;

    t->interval_ms = t->interval_ms < max / 2 ? t->interval_ms * 2 : max;
}

void followed_begin(struct followed *t, enum a2a_state state)
{
    t->follow->n_followed += !t->is_followed;
    t->is_followed = true;
    t->state = state;
    t->n_lost = 0; /* whatever has led here, the agent knew the task then */
    t->interval_ms = t->follow->config.poll_min_ms;
    schedule(t);
}

void followed_forget(struct followed *t, struct task *task)
{
    t->follow->n_followed -= t->is_followed;
    t->is_followed = false;
    followed_unschedule(t);
    listens_end(t);
    waits_end(t, task);
    if (!t->question)
        followed_free(t);
}

static bool attach(struct followed *t);

static bool is_ours(const struct followed *t, const struct task *task)
{
    char owner[UUID_TEXT + 1];

    id_uuid_text(&task->owner, owner);
    return str_is(str_of(owner), str_of(store_boot(t->follow->store)));
}

/* Whether another node follows it, or, should that one be dead, will be found to: a look for orphans comes
 * every few seconds. A task that became ours while the question ran may still be shown with its old owner. */
static bool is_left_to_others(const struct followed *t, const struct task *task)
{
    return !t->has_changed && list_is_empty(&t->waits) && !is_ours(t, task);
}

void followed_settle(struct followed *t, struct task *task)
{
    BUG_ON(t->question);
    if (task && (a2a_state_is_terminal(task->state) || is_left_to_others(t, task))) {
        followed_forget(t, task);
        return;
    }
    if (task && (!t->is_followed || t->state != task->state)) {
        /* Written by another node: nobody has told us of it. */
        followed_begin(t, task->state);
    } else if (!t->is_followed) {
        followed_free(t);
        return;
    } else if (t->has_changed) {
        t->interval_ms = t->follow->config.poll_min_ms;
    } else {
        back_off(t);
    }
    if (task)
        waits_note(t, task);
    t->has_changed = false;
    if (t->wants_again)
        followed_hint(t);
    else if (!task || !attach(t))
        schedule(t);
}

/* A task that works may have a stream to be read; one that waits for its caller has nothing to tell. */
static bool attach(struct followed *t)
{
    return !t->follow->is_stopped && a2a_state_class(t->state) == A2A_ACTIVE &&
           listen_attach(t);
}

void followed_hint(struct followed *t)
{
    t->wants_again = t->question != NULL;
    if (t->question || t->folded || t->follow->is_stopped)
        return;
    followed_unschedule(t);
    timer_start(t->follow->loop, &t->due, 0);
}

void followed_go_on(struct followed *t, bool has_progress)
{
    if (has_progress)
        t->interval_ms = t->follow->config.poll_min_ms;
    else
        back_off(t);
    schedule(t);
}

static void on_commit(void *arg, struct task *task, const struct store_event *events,
                      size_t n_events)
{
    struct follow *f = arg;
    struct followed *t;

    (void)events;
    (void)n_events;
    if (f->is_stopped)
        return;
    if (a2a_state_is_terminal(task->state)) {
        t = followed_find(f, task->agent, task->id);
        if (t)
            followed_forget(t, task);
        return;
    }
    t = followed_get(f, task->agent, task->id);
    t->has_changed = t->question != NULL;
    followed_begin(t, task->state);
    waits_note(t, task);
}

/* --- whose turn it is ----------------------------------------------------------------------------- */

/* An answer somebody else got meanwhile is as good as ours. */
static bool was_just_heard(struct followed *t)
{
    struct follow *f = t->follow;
    struct task *task = store_task_peek(f->store, t->agent, t->id);
    uint64_t age;

    if (!task || !task->heard_ms || a2a_state_is_terminal(task->state))
        return false;
    age = loop_now_ms(f->loop) - task->heard_ms;
    if (age >= f->config.poll_min_ms)
        return false;
    timer_start(f->loop, &t->due, f->config.poll_min_ms - age);
    return true;
}

static void on_due(struct timer *timer, void *arg)
{
    struct followed *t = arg;

    (void)timer;
    if (store_state(t->follow->store) != STORE_UP) {
        back_off(t);
        schedule(t);
        return;
    }
    if (was_just_heard(t))
        return;
    list_append(&t->lane->queue, &t->queue_link);
    lane_run(t->lane);
}

/* The poller leaves an agent's last place to callers, unless it has but one. */
static bool has_place(const struct agent *a)
{
    struct agent_view view;

    agent_view(a, &view);
    return view.in_flight + (view.max_in_flight > 1) < view.max_in_flight;
}

static int poll_one(struct followed *t)
{
    struct agent *a = lane_agent(t->lane);

    if (!a)
        return ERR_ABSENT;
    return has_place(a) ? question_start(t, a, true) : ERR_FULL;
}

void lane_run(struct lane *lane)
{
    struct follow *f = lane->follow;
    struct list *first;

    if (f->is_stopped || timer_is_on(&lane->pause) || list_is_empty(&lane->queue))
        return;
    if (store_state(f->store) != STORE_UP) { /* it went down since they fell due */
        timer_start(f->loop, &lane->pause, f->config.poll_min_ms);
        return;
    }
    while (lane->n_polls < POLLS_PER_AGENT && (first = list_first(&lane->queue))) {
        struct followed *t = CONTAINER_OF(first, struct followed, queue_link);
        int err;

        list_remove(first);
        err = poll_one(t);
        if (!err)
            continue;
        if (err == ERR_FULL) {
            list_prepend(&lane->queue, first);
        } else {
            back_off(t);
            schedule(t);
        }
        timer_start(f->loop, &lane->pause, f->config.poll_min_ms);
        return;
    }
}

static void on_pause_over(struct timer *timer, void *arg)
{
    (void)timer;
    lane_run(arg);
}

/* --- taking over ---------------------------------------------------------------------------------- */

static void take_orphans(struct follow *f);

static bool is_name(struct str s, size_t max)
{
    return s.n > 0 && s.n <= max && !str_has_control(s);
}

/* Rows can be written by hand. */
static bool can_be_task(struct follow *f, const struct task_name *task)
{
    if (is_name(task->agent, LIMIT_AGENT_ID) && is_name(task->id, LIMIT_TASK_ID))
        return true;
    if (!f->has_met_odd)
        log_event(LOG_WARN, "the database has an unfinished task whose name none can have; it "
                            "is not followed, nor are others like it");
    f->has_met_odd = true;
    return false;
}

static void follow_taken(struct follow *f, const struct task_name *name)
{
    struct task *known = store_task_peek(f->store, name->agent, name->id);
    struct followed *t;

    if (known && a2a_state_is_terminal(known->state)) /* it ended on the way */
        return;
    t = followed_get(f, name->agent, name->id);
    t->has_changed = t->question != NULL;
    if (!t->is_followed)
        followed_begin(t, name->state);
}

static void on_taken(void *arg, int err, const struct task_name *tasks, size_t n)
{
    struct follow *f = arg;

    f->is_taking = false;
    if (f->is_stopped)
        return;
    for (size_t i = 0; i < n; i++)
        if (can_be_task(f, &tasks[i]))
            follow_taken(f, &tasks[i]);
    if (n)
        log_event(LOG_INFO, "follows tasks whose gateway is gone", LOG_U64("tasks", n));
    if (!err && n >= ORPHANS_AT_ONCE)
        take_orphans(f);
    else
        timer_start(f->loop, &f->orphans, ORPHANS_EVERY_MS);
}

/* Runs only while the store is up; follow_store_up() begins anew. */
static void take_orphans(struct follow *f)
{
    if (f->is_stopped || f->is_taking || store_state(f->store) != STORE_UP)
        return;
    timer_stop(f->loop, &f->orphans);
    if (store_take_orphans(f->store, ORPHANS_AT_ONCE, on_taken, f))
        timer_start(f->loop, &f->orphans, ORPHANS_EVERY_MS);
    else
        f->is_taking = true;
}

static void on_orphans_due(struct timer *timer, void *arg)
{
    (void)timer;
    take_orphans(arg);
}

void follow_store_up(struct follow *f)
{
    take_orphans(f);
}

/* --- checks --------------------------------------------------------------------------------------- */

void follow_check(const struct follow *f)
{
    size_t at = 0, n_tasks = 0, n_followed = 0, n_questions = 0;
    struct followed *t;
    struct lane *lane;

    while ((t = map_next(&f->tasks, &at))) {
        int places =
            timer_is_on(&t->due) + list_is_linked(&t->queue_link) + (t->question != NULL);

        BUG_ON(places > 1);
        BUG_ON(t->folded && places > 0 && !t->question);
        BUG_ON(places == 0 && !t->folded && !f->is_stopped);
        BUG_ON(!t->is_followed &&
               (!t->question || !list_is_empty(&t->waits) || !list_is_empty(&t->listens)));
        n_followed += t->is_followed;
        n_questions += t->question != NULL;
    }
    for (at = 0; (lane = map_next(&f->lanes, &at));) {
        BUG_ON(lane->n_tasks == 0 || lane->n_polls > POLLS_PER_AGENT);
        n_tasks += lane->n_tasks;
    }
    BUG_ON(n_tasks != f->tasks.n || n_followed != f->n_followed ||
           n_questions != f->n_questions);
}
