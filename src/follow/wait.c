/* SPDX-License-Identifier: MIT
 *
 * Who waits for a task's end.
 *
 *     waiting (in followed.waits, timer on) --waits_note, waits_end, time is up--> due (in follow.due_waits)
 *                                                                 due --waits_tell--> told, freed
 *
 * Nobody is told from inside a commit: the store is in the middle of telling others then, and who is told may
 * begin anything. It happens when the turn's callbacks are done.
 */
#include "follow/follow_int.h"
#include "lib/mem.h"

struct follow_wait {
    struct list link; /* in followed.waits, then in follow.due_waits */
    struct follow *follow;
    struct task *task; /* counted: the last version we know of */
    struct timer time_up;
    bool stop_at_interrupted;
    follow_fn fn;
    void *arg;
};

static bool is_end_for(const struct follow_wait *w, const struct task *task)
{
    enum a2a_state_class class = a2a_state_class(task->state);

    return class == A2A_TERMINAL || (class == A2A_INTERRUPTED && w->stop_at_interrupted);
}

static void know(struct follow_wait *w, struct task *task)
{
    task_ref(task);
    task_unref(w->task);
    w->task = task;
}

static void make_due(struct follow_wait *w)
{
    timer_stop(w->follow->loop, &w->time_up);
    list_remove(&w->link);
    list_append(&w->follow->due_waits, &w->link);
    loop_defer(w->follow->loop, &w->follow->tell);
}

static void on_time_up(struct timer *timer, void *arg)
{
    (void)timer;
    make_due(arg);
}

struct follow_wait *follow_wait_start(struct follow *f, struct task *task, uint64_t ms,
                                      bool stop_at_interrupted, follow_fn fn, void *arg)
{
    struct follow_wait *w = MEM_NEW(struct follow_wait);
    struct followed *t;

    w->follow = f;
    w->task = task_ref(task);
    w->stop_at_interrupted = stop_at_interrupted;
    w->fn = fn;
    w->arg = arg;
    list_init(&w->link);
    timer_init(&w->time_up, on_time_up, w);
    f->n_waits++;
    if (f->is_stopped || is_end_for(w, task)) {
        make_due(w);
        return w;
    }
    t = followed_get(f, task->agent, task->id);
    if (!t->is_followed)
        followed_begin(t, task->state);
    list_append(&t->waits, &w->link);
    timer_start(f->loop, &w->time_up, ms);
    return w;
}

static void free_wait(struct follow_wait *w)
{
    timer_stop(w->follow->loop, &w->time_up);
    list_remove(&w->link);
    w->follow->n_waits--;
    task_unref(w->task);
    mem_free(w);
}

void follow_wait_cancel(struct follow_wait *w)
{
    free_wait(w);
}

void waits_note(struct followed *t, struct task *task)
{
    LIST_EACH_SAFE (it, &t->waits) {
        struct follow_wait *w = CONTAINER_OF(it, struct follow_wait, link);

        know(w, task);
        if (is_end_for(w, task))
            make_due(w);
    }
}

void waits_end(struct followed *t, struct task *task)
{
    struct list *first;

    while ((first = list_first(&t->waits))) {
        struct follow_wait *w = CONTAINER_OF(first, struct follow_wait, link);

        if (task)
            know(w, task);
        make_due(w);
    }
}

void waits_tell(struct follow *f)
{
    struct list *first;

    /* One by one from the top: whoever is told may call off the next. */
    while ((first = list_first(&f->due_waits))) {
        struct follow_wait *w = CONTAINER_OF(first, struct follow_wait, link);
        struct task *task = task_ref(w->task);
        follow_fn fn = w->fn;
        void *arg = w->arg;

        free_wait(w);
        fn(arg, task, NULL);
        task_unref(task);
    }
}
