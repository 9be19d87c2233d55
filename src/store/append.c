/* SPDX-License-Identifier: MIT
 *
 * The spine's first half: appends are queued by task, tasks by lane, and an idle lane turns what is queued
 * into one batch when the loop turn ends. While a batch is with the backend the next one gathers, so that
 * load makes batches larger and an idle gateway waits for nothing; there is no timer to tune.
 *
 *     store_append -> work.queue ->(task known)-> lane.ready ->(lane idle, end of turn)-> batch -> backend
 *
 * Truths
 *   1. An append is in exactly one list: work.queue, row.appends or store.answers.
 *   2. A work exists exactly as long as its task has appends that are not answered; at most one row of it is
 *      with the backend, so rows of one task never overtake each other.
 *   3. Appends of a task are answered in the order they came, each after all before it are durable.
 *   4. What a fold was based on is checked by the row's guards in the database, never only here: a wrong
 *      guess (a stale cache, likely_new) costs a conflict and a reload, not data.
 */
#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

/* Works folded in one go without one row coming of it, and bytes folded, of documents and events, a lane and turn; more
 * wait a turn, the loop has others to serve. */
#define FOLDS_PER_TURN 1024u
#define FOLD_BYTES_PER_TURN MB(16)

static void on_form(void *arg);
static void on_retry(struct timer *t, void *arg);
static bool is_pinned(void *arg, const struct task *t);
static void work_next(struct store *s, struct work *w);

void append_init(struct store *s)
{
    s->n_lanes = s->backend->n_lanes;
    s->lanes = mem_zero(s->n_lanes, sizeof *s->lanes);
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct lane *lane = &s->lanes[i];

        lane->store = s;
        lane->form = (struct deferred){.fn = on_form, .arg = lane};
        list_init(&lane->ready);
        lane->batch.lane = i;
        list_init(&lane->batch.rows);
    }
    map_init(&s->works);
    list_init(&s->parked);
    timer_init(&s->retry, on_retry, s);
    s->cache.is_pinned = is_pinned;
    s->cache.arg = s;
    for (int i = 0; i < STORE_FOLDS; i++)
        buf_init(&s->folds[i], s->task_max_bytes);
}

void append_release(struct store *s)
{
    timer_stop(s->loop, &s->retry);
    for (unsigned i = 0; i < s->n_lanes; i++)
        loop_undefer(&s->lanes[i].form);
    BUG_ON(s->works.n);
    map_release(&s->works);
    mem_free(s->lanes);
    for (int i = 0; i < STORE_FOLDS; i++)
        buf_release(&s->folds[i]);
}

bool append_is_idle(const struct store *s)
{
    return s->works.n == 0;
}

/* --- taking an append ----------------------------------------------------------------------------- */

static void tell_append(struct store *s, struct answer *a)
{
    struct pending *p = CONTAINER_OF(a, struct pending, answer);

    if (p->news.n_events)
        store_tell_commit(s, a->task, &p->news);
    p->fn(p->arg, a->err, a->task, p->why);
    CRASH_POINT(append_told);
    fold_free_news(&p->news);
    task_unref(a->task);
    blob_unref(p->why_owned);
    mem_free(p);
}

/* A context that can stand in tasks.context. What agents send has been checked; this is a caller's. */
static bool is_context(struct str context)
{
    return context.n > 0 && context.n <= LIMIT_TASK_ID && !str_has_control(context) &&
           str_is_utf8(context);
}

static size_t push_bytes(const struct store_push_config *push)
{
    return push ? push->id.n + push->doc.n + push->secret.n : 0;
}

/* Behind the rest; there is room. */
static struct str keep_text(struct buf *b, struct str text)
{
    struct str copy = str_make(b->p + b->n, text.n);

    buf_add_str(b, text);
    return text.p ? copy : STR_NONE;
}

static void keep_push(struct buf *b, struct pending *p, const struct store_push_config *push)
{
    p->has_push = true;
    p->push = (struct store_push_config){.id = keep_text(b, push->id),
                                         .form = push->form,
                                         .doc = keep_text(b, push->doc),
                                         .secret = keep_text(b, push->secret)};
}

/* Copies the append, its payloads without insignificant whitespace. NULL when the heap refuses. */
static struct pending *pending_new(const struct append *a, store_append_fn fn, void *arg)
{
    struct str context = is_context(a->context) ? a->context : STR_NONE;
    size_t n = sizeof(struct pending) + context.n, at = n;
    struct pending *p;
    struct buf b;

    for (size_t i = 0; i < a->n_events; i++)
        n += a->events[i].payload.n;
    n += push_bytes(a->push);
    buf_init(&b, n);
    if (!buf_reserve(&b, n)) /* all at once: the views into it must not move */
        return NULL;
    p = (struct pending *)(void *)b.p;
    *p = (struct pending){.answer = {.tell = tell_append},
                          .fn = fn,
                          .arg = arg,
                          .bytes = n + a->agent.n + a->task_id.n,
                          .dialect = a->dialect,
                          .likely_new = a->likely_new,
                          .n_events = a->n_events};
    list_init(&p->answer.link);
    buf_commit(&b, sizeof *p);
    if (context.p)
        p->context = str_make(b.p + b.n, context.n);
    buf_add_str(&b, context);
    for (size_t i = 0; i < a->n_events; i++) {
        struct str payload = a->events[i].payload;

        if (json_is_minified(payload))
            buf_add_str(&b, payload);
        else
            json_minify(&b, payload);
        p->events[i] = (struct a2a_event){a->events[i].kind, {b.p + at, b.n - at}};
        at = b.n;
    }
    if (a->push)
        keep_push(&b, p, a->push);
    BUG_ON(buf_error(&b) || (void *)b.p != (void *)p);
    return p;
}

static struct work *work_new(struct store *s, const struct task_key *key, size_t agent_length)
{
    struct work *w = MEM_NEW(struct work);

    w->key = *key;
    w->agent = (struct str){w->key.p, agent_length};
    w->id = (struct str){w->key.p + agent_length + 1, key->n - agent_length - 1};
    w->lane = &s->lanes[map_hash(task_key_str(&w->key)) % s->n_lanes];
    w->place = WORK_PARKED; /* nowhere yet; work_next() finds its place */
    list_init(&w->link);
    list_init(&w->queue);
    list_init(&w->row.link);
    list_init(&w->row.appends);
    BUG_ON(map_put(&s->works, task_key_str(&w->key), w));
    return w;
}

int store_append(struct store *s, const struct append *a, store_append_fn fn, void *arg)
{
    struct task_key key;
    struct pending *p;
    struct work *w;
    size_t n = 0;

    BUG_ON(s->magic != STORE_MAGIC || !fn);
    if (s->is_closing)
        return ERR_CANCELED;
    if (a->n_events < 1 || a->n_events > 2 || !task_key_make(&key, a->agent, a->task_id))
        return ERR_INVALID;
    if (a->push && !push_id_may_be(a->push->id))
        return ERR_INVALID;
    n = push_bytes(a->push);
    for (size_t i = 0; i < a->n_events; i++)
        n += a->events[i].payload.n;
    /* One append is taken however large it is, or it could never be. */
    if (s->figures.queued && s->figures.queued_bytes + n + sizeof *p > s->queue_max_bytes)
        return ERR_FULL;
    p = pending_new(a, fn, arg);
    if (!p)
        return ERR_NOMEM;
    s->figures.queued++;
    s->figures.queued_bytes += p->bytes;
    w = map_get(&s->works, task_key_str(&key));
    if (w) {
        list_append(&w->queue, &p->answer.link);
        w->queue_bytes += p->bytes;
    } else {
        w = work_new(s, &key, a->agent.n);
        list_append(&w->queue, &p->answer.link);
        w->queue_bytes = p->bytes;
        work_next(s, w);
    }
    CRASH_POINT(append_queued);
    return 0;
}

bool store_is_full(const struct store *s)
{
    /* The last quarter is for the events of tasks that run already. */
    return s->figures.queued_bytes > s->queue_max_bytes / 4 * 3;
}

/* --- where a work is ------------------------------------------------------------------------------ */

static void work_move(struct store *s, struct work *w, enum work_place place)
{
    list_remove(&w->link);
    w->place = place;
    switch (place) {
    case WORK_READY:
        list_append(&w->lane->ready, &w->link);
        loop_defer(s->loop, &w->lane->form);
        break;
    case WORK_PARKED:
        list_append(&s->parked, &w->link);
        if (!timer_is_on(&s->retry))
            timer_start(s->loop, &s->retry, STORE_RETRY_MS);
        break;
    case WORK_LOADING:
        miss_want(s, &w->key, w->agent, NULL);
        break;
    case WORK_FLYING:
        break;
    }
}

static void work_forget_base(struct work *w)
{
    task_unref(w->base);
    w->base = NULL;
    w->is_known = w->is_assumed = false;
}

static void work_free(struct store *s, struct work *w)
{
    BUG_ON(!list_is_empty(&w->queue));
    work_forget_base(w);
    fold_clear(w);
    list_remove(&w->link);
    map_remove(&s->works, task_key_str(&w->key));
    mem_free(w);
}

/* Finds the next place of a work that is nowhere. */
static void work_next(struct store *s, struct work *w)
{
    struct list *first = list_first(&w->queue);
    struct task *cached;

    if (!first) {
        work_free(s, w);
        return;
    }
    if (!w->is_known) {
        cached = cache_get(&s->cache, task_key_str(&w->key));
        if (cached && store_may_believe(s, cached) && store_may_cache(s, cached)) {
            w->base = task_ref(cached);
            w->is_known = true;
        }
    }
    /* Nobody named the task before, so it is worth an INSERT; if that fails the task is loaded. */
    if (!w->is_known && w->tries == 0) {
        w->is_assumed = CONTAINER_OF(first, struct pending, answer.link)->likely_new;
        w->is_known = w->is_assumed;
    }
    work_move(s, w, w->is_known ? WORK_READY : WORK_LOADING);
}

static bool is_pinned(void *arg, const struct task *t)
{
    const struct store *s = arg;

    return !a2a_state_is_terminal(t->state) && s->works.n && map_get(&s->works, task_key_of(t));
}

static void on_retry(struct timer *t, void *arg)
{
    struct store *s = arg;
    struct list parked, *first;

    (void)t;
    list_init(&parked);
    list_splice(&parked, &s->parked);
    while ((first = list_first(&parked))) {
        list_remove(first);
        work_next(s, CONTAINER_OF(first, struct work, link));
    }
    append_wake(s);
}

void append_wake(struct store *s)
{
    for (unsigned i = 0; i < s->n_lanes; i++)
        loop_defer(s->loop, &s->lanes[i].form);
}

/* --- answers -------------------------------------------------------------------------------------- */

static void answer_append(struct store *s, struct pending *p, struct task *task)
{
    list_remove(&p->answer.link);
    s->figures.queued--;
    s->figures.queued_bytes -= p->bytes;
    s->figures.appends += p->answer.err == 0;
    p->answer.task = task ? task_ref(task) : NULL;
    store_answer(s, &p->answer);
}

/* Answers every append of the list: those without a verdict of their own get `err` and `why`. */
static void answer_all(struct store *s, struct list *appends, int err, const char *why,
                       struct task *task)
{
    struct blob *copy = why ? blob_new(str_of(why)) : NULL;
    struct list *first;

    while ((first = list_first(appends))) {
        struct pending *p = CONTAINER_OF(first, struct pending, answer.link);

        if (err && !p->answer.err) {
            p->answer.err = err;
            p->why_owned = blob_ref(copy);
            p->why = copy ? copy->p : NULL;
        }
        answer_append(s, p, task);
    }
    blob_unref(copy);
}

/* Ends all appends of a work that is nowhere, and with them the work. */
static void work_fail(struct store *s, struct work *w, int err, const char *why)
{
    LIST_EACH (it, &w->row.appends) /* the verdicts of a fold that is void */
        CONTAINER_OF(it, struct pending, answer.link)->answer.err = 0;
    answer_all(s, &w->row.appends, err, why, NULL);
    answer_all(s, &w->queue, err, why, NULL);
    work_free(s, w);
}

/* --- forming a batch ------------------------------------------------------------------------------ */

/* Puts the row's appends back in front of the queue, as if the row had never been. */
static void unfold(struct work *w)
{
    LIST_EACH (it, &w->row.appends) {
        struct pending *p = CONTAINER_OF(it, struct pending, answer.link);

        p->answer.err = 0;
        p->why = NULL;
        w->queue_bytes += p->bytes;
    }
    list_splice(&w->row.appends, &w->queue);
    list_splice(&w->queue, &w->row.appends);
    fold_clear(w);
}

/* Gives up the guess that the task is new. */
static void look_before(struct store *s, struct work *w)
{
    unfold(w);
    work_forget_base(w);
    w->tries++;
    work_next(s, w);
}

/* Folds one work. Returns true if its row is to be written; otherwise its appends were answered. */
static bool fold_one(struct store *s, struct work *w, int64_t now_us)
{
    list_remove(&w->link);
    w->place = WORK_FLYING;
    if (fold_work(s, w, now_us))
        return true;
    /* What is refused of a task we only took to be new must be looked at again. */
    if (w->is_assumed) {
        look_before(s, w);
        return false;
    }
    if (w->base)
        w->base->heard_ms = loop_now_ms(s->loop);
    if (w->n_alone)
        w->n_alone--;
    answer_all(s, &w->row.appends, 0, NULL, w->base);
    fold_clear(w);
    work_next(s, w);
    return false;
}

static int compare_rows(const void *a, const void *b)
{
    const struct work *const *x = a, *const *y = b;

    return id_uuid_compare(&(*x)->row.after->key, &(*y)->row.after->key);
}

/* Sorted by key, so that two nodes that write the same tasks cannot deadlock. */
static void fill_batch(struct lane *lane, struct work **works, unsigned n)
{
    struct batch *batch = &lane->batch;

    qsort(works, n, sizeof *works, compare_rows);
    for (unsigned i = 0; i < n; i++) {
        struct row *row = &works[i]->row;

        row->first_wseq = lane->wseq + 1;
        lane->wseq += row->n_events;
        list_append(&batch->rows, &row->link);
        batch->n_rows++;
        batch->n_events += (unsigned)row->n_events;
    }
}

static void on_form(void *arg)
{
    struct lane *lane = arg;
    struct store *s = lane->store;
    struct work *works[LIMIT_BATCH_ROWS];
    struct list *first;
    unsigned n = 0, n_folded = 0;

    if (lane->is_busy || s->state != STORE_UP || s->backend_is_closing ||
        list_is_empty(&lane->ready))
        return;
    loop_note(s->loop, "store: forming a batch");
    lane->batch.n_rows = lane->batch.n_events = lane->batch.n_woken = 0;
    lane->batch.bytes = 0;
    lane->batch.at_us = clock_wall_us();
    s->fold_room = FOLD_BYTES_PER_TURN;
    while (n < LIMIT_BATCH_ROWS && n_folded < FOLDS_PER_TURN && s->fold_room > 0 &&
           (first = list_first(&lane->ready))) {
        struct work *w = CONTAINER_OF(first, struct work, link);
        size_t least =
            w->queue_bytes < LIMIT_BATCH_BYTES / 2 ? w->queue_bytes : LIMIT_BATCH_BYTES / 2;

        /* Whether the document comes with the events shows when they are folded; one may be too much, not two. */
        if (n && lane->batch.bytes + least > LIMIT_BATCH_BYTES)
            break;
        n_folded++;
        if (!fold_one(s, w, lane->batch.at_us))
            continue;
        lane->batch.bytes += w->row.bytes;
        works[n++] = w;
    }
    if (n == 0) {
        /* Nothing to write. What is left waits for the timer, or this turn would have no end. */
        if (!list_is_empty(&lane->ready) && !timer_is_on(&s->retry))
            timer_start(s->loop, &s->retry, 0);
        store_close_step(s);
        return;
    }
    fill_batch(lane, works, n);
    lane->is_busy = true;
    CRASH_POINT(batch_folded);
    s->backend->ops->commit(s->backend, &lane->batch);
}

/* --- what became of it ---------------------------------------------------------------------------- */

static struct work *work_of(struct row *row)
{
    return CONTAINER_OF(row, struct work, row);
}

static void row_committed(struct store *s, struct work *w)
{
    struct task *after = task_ref(w->row.after);

    struct pending *first =
        CONTAINER_OF(list_first(&w->row.appends), struct pending, answer.link);

    s->figures.events += w->row.n_events;
    s->figures.bytes += w->row.n_bytes;
    first->news = fold_take_news(w);
    w->tries = 0;
    if (w->n_alone)
        w->n_alone--;
    answer_all(s, &w->row.appends, 0, NULL, after);
    fold_clear(w);
    work_forget_base(w);
    w->base = after;
    w->is_known = true;
    work_next(s, w);
}

static void row_conflict(struct store *s, struct work *w)
{
    s->figures.conflicts++;
    cache_drop(&s->cache, task_key_str(&w->key), UINT64_MAX);
    work_forget_base(w);
    if (++w->tries >= STORE_CONFLICT_TRIES) {
        log_event(LOG_WARN, "appends given up: the task is changed by others all the time",
                  LOG_STR("agent", w->agent), LOG_STR("task", w->id),
                  LOG_U64("tries", w->tries));
        work_fail(s, w, ERR_STORE, "the task is changed by others all the time");
        return;
    }
    unfold(w);
    work_next(s, w);
}

static void row_refused(struct store *s, struct work *w)
{
    unsigned n = 0;

    LIST_EACH (it, &w->row.appends)
        n++;
    if (n > 1) { /* one of them is to blame; the others must not suffer for it */
        unfold(w);
        w->n_alone = n;
    } else {
        log_event(LOG_WARN, "append refused by the database", LOG_STR("agent", w->agent),
                  LOG_STR("task", w->id), LOG_Z("why", w->row.why));
        w->n_alone -= w->n_alone > 0;
        answer_all(s, &w->row.appends, ERR_INVALID, w->row.why, w->base);
        fold_clear(w);
    }
    work_next(s, w);
}

static void row_parked(struct store *s, struct work *w)
{
    unfold(w);
    work_move(s, w, WORK_PARKED);
}

static void row_done(struct store *s, struct row *row)
{
    struct work *w = work_of(row);

    switch (row->outcome) {
    case ROW_COMMITTED:
        row_committed(s, w);
        break;
    case ROW_CONFLICT:
        row_conflict(s, w);
        break;
    case ROW_REFUSED:
        row_refused(s, w);
        break;
    case ROW_PARKED:
        row_parked(s, w);
        break;
    }
}

static void cache_committed(struct store *s, struct batch *batch)
{
    LIST_EACH (it, &batch->rows) {
        struct row *row = CONTAINER_OF(it, struct row, link);
        struct str key = task_key_str(&work_of(row)->key);

        if (row->outcome != ROW_COMMITTED)
            continue;
        row->after->heard_ms = loop_now_ms(s->loop);
        miss_dirty(s, key);
        cache_put(&s->cache, row->after);
    }
}

void store_batch_done(struct store *s, struct batch *batch)
{
    struct lane *lane = CONTAINER_OF(batch, struct lane, batch);
    struct list *first;

    CRASH_POINT(batch_committed);
    BUG_ON(!lane->is_busy);
    loop_note(s->loop, "store: a batch is durable");
    s->figures.batches++;
    cache_committed(s, batch);
    CRASH_POINT(cache_filled);
    while ((first = list_first(&batch->rows))) {
        list_remove(first);
        row_done(s, CONTAINER_OF(first, struct row, link));
    }
    lane->is_busy = false;
    loop_defer(s->loop, &lane->form);
    if (batch->n_woken && s->on_push)
        s->on_push(s->on_push_arg);
    store_tell(s);
    store_close_step(s);
}

void store_batch_abandoned(struct store *s, struct batch *batch)
{
    struct lane *lane = CONTAINER_OF(batch, struct lane, batch);
    struct list *first;

    BUG_ON(!s->is_closing);
    while ((first = list_first(&batch->rows))) {
        list_remove(first);
        work_fail(s, work_of(CONTAINER_OF(first, struct row, link)), ERR_CANCELED,
                  "the gateway is closing; whether it was written is not known");
    }
    lane->is_busy = false;
    store_tell(s);
}

void append_loaded(struct store *s, struct str key, int err, struct task *task, const char *why)
{
    struct work *w = map_get(&s->works, key);

    if (!w || w->place != WORK_LOADING)
        return; /* its appends were answered meanwhile, or an earlier look-up told it */
    if (err == ERR_STORE) {
        work_move(s, w, WORK_PARKED);
    } else if (err) {
        work_fail(s, w, err, why);
    } else {
        w->base = task ? task_ref(task) : NULL;
        w->is_known = true;
        work_move(s, w, WORK_READY);
    }
}

void append_cancel(struct store *s)
{
    struct work **left = mem_zero(s->works.n, sizeof *left), *w;
    size_t at = 0, n = 0;

    while ((w = map_next(&s->works, &at)))
        left[n++] = w;
    for (size_t i = 0; i < n; i++)
        work_fail(s, left[i], ERR_CANCELED, "the gateway is closing");
    mem_free(left);
}
