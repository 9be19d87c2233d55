/* SPDX-License-Identifier: MIT
 *
 * One reader: what it is given next, and where that comes from.
 *
 *     next in the ring -------------------------------------> given
 *     next behind the ring: a page of the log is wanted ----> ERR_AGAIN, woken when it has come
 *     next not there yet -----------------------------------> ERR_AGAIN, woken by the feed
 *
 * Pages are read for a bounded number of readers at a time, in the order in which they asked: after a restart a thousand
 * of them come back at once. A page holds the events of one reader; the ring those of all.
 */
#include "lib/mem.h"
#include "subscribe/subscribe_int.h"

/* A page under way; outlives its reader, for nobody can call it off. */
struct page_read {
    struct feeds *feeds;
    struct reader *reader; /* NULL: it has gone */
};

/* --- being woken ---------------------------------------------------------------------------------- */

/* Out of whatever list it stands in. */
static void displace(struct reader *r)
{
    if (r->is_waiting && r->epoch == r->feed->epoch)
        r->feed->n_waiting--;
    r->is_waiting = false;
    list_remove(&r->place);
}

void reader_wake(struct reader *r)
{
    displace(r);
    list_append(&r->feed->feeds->ready, &r->place);
    loop_defer(r->feed->feeds->loop, &r->feed->feeds->wake);
}

static int wait_for_more(struct reader *r)
{
    struct feed *feed = r->feed;

    displace(r);
    list_append(&feed->waiting, &r->place);
    r->is_waiting = r->is_owed = true;
    r->epoch = feed->epoch;
    if (++feed->n_waiting == feed->n_readers)
        feed_forget(feed);
    return ERR_AGAIN;
}

/* --- pages of the log ----------------------------------------------------------------------------- */

static void free_page(struct reader *r)
{
    for (unsigned i = 0; i < r->n_page; i++)
        entry_free(r->page[i]);
    mem_free(r->page);
    r->page = NULL;
    r->n_page = r->page_at = 0;
}

static void take_page(struct reader *r, const struct store_event *events, size_t n)
{
    free_page(r);
    r->page = mem_zero(n, sizeof *r->page);
    for (size_t i = 0; i < n; i++)
        r->page[r->n_page++] = entry_new(&events[i]);
    r->patient_until_ms = 0;
    reader_wake(r);
}

/* The database is away, or the log is not yet as long as was said. */
static void retry_later(struct reader *r)
{
    struct feeds *f = r->feed->feeds;
    uint64_t now = loop_now_ms(f->loop);

    if (!r->patient_until_ms)
        r->patient_until_ms = now + PAGE_PATIENCE_MS;
    if (now >= r->patient_until_ms) {
        r->err = ERR_STORE;
        reader_wake(r);
        return;
    }
    displace(r);
    list_append(&f->retrying, &r->place);
    if (!timer_is_on(&f->retry))
        timer_start(f->loop, &f->retry, PAGE_RETRY_MS);
}

static void on_page(void *arg, int err, const struct store_event *events, size_t n)
{
    struct page_read *p = arg;
    struct feeds *f = p->feeds;
    struct reader *r = p->reader;

    mem_free(p);
    f->n_pages--;
    f->n_pages_read += err == 0;
    if (r) {
        r->reading = NULL;
        f->n_behind--;
        if (err == 0 && n > 0)
            take_page(r, events, n);
        else if (err == ERR_ABSENT || err == ERR_CANCELED) {
            r->err = err == ERR_ABSENT ? ERR_STORE : err;
            reader_wake(r);
        } else
            retry_later(r);
    }
    pages_go_on(f);
}

static void read_page(struct reader *r)
{
    struct feeds *f = r->feed->feeds;
    struct page_read *p = MEM_NEW(struct page_read);

    p->feeds = f;
    p->reader = r;
    if (store_events_read(f->store, r->feed->agent, r->feed->id, r->next - 1, LIMIT_LOG_PAGE,
                          on_page, p)) {
        mem_free(p);
        retry_later(r);
        return;
    }
    r->reading = p;
    f->n_pages++;
    f->n_behind++;
}

void pages_go_on(struct feeds *f)
{
    struct list *first;

    while (!f->is_stopped && f->n_pages < PAGES_AT_ONCE && (first = list_first(&f->wanting))) {
        list_remove(first);
        read_page(CONTAINER_OF(first, struct reader, place));
    }
}

static int want_page(struct reader *r)
{
    struct feeds *f = r->feed->feeds;

    r->is_owed = true;
    if (r->reading)
        return ERR_AGAIN;
    displace(r);
    list_append(&f->wanting, &r->place);
    pages_go_on(f);
    return ERR_AGAIN;
}

static struct entry *find_in_page(struct reader *r)
{
    while (r->page_at < r->n_page && r->page[r->page_at]->seq < r->next)
        r->page_at++;
    if (r->page_at < r->n_page && r->page[r->page_at]->seq == r->next)
        return r->page[r->page_at];
    free_page(r);
    return NULL;
}

/* --- what it is given ----------------------------------------------------------------------------- */

static bool is_at_head(const struct reader *r)
{
    return r->next > r->feed->head;
}

/* Whether a reader who was told of `state` last, and of everything there is, has heard the end. */
static bool is_end(const struct reader *r, enum a2a_state state)
{
    const struct reader_config *c = &r->config;

    if (a2a_state_is_terminal(state))
        return true;
    return c->kind == READER_SENDER && a2a_state_class(state) == A2A_INTERRUPTED &&
           is_at_head(r) &&
           !(c->is_going_on && c->is_going_on(c->arg, r->feed->agent, r->feed->id));
}

static void hold_task(struct reader *r, struct task *task)
{
    struct task *old = r->task;

    r->task = task ? task_ref(task) : NULL;
    task_unref(old);
}

static int tell_task(struct reader *r, struct reader_event *out)
{
    r->has_task_to_tell = false;
    r->state = r->task->state;
    r->seen = r->task->seq;
    *out = (struct reader_event){
        .seq = r->task->seq, .task = r->task, .is_last = is_end(r, r->task->state)};
    r->is_over = out->is_last;
    r->feed->feeds->n_told++;
    return 0;
}

/* The newest task there is, if it is newer than the one told. */
static int next_task(struct reader *r, struct reader_event *out)
{
    struct task *task = r->feed->task;

    if (task && task->seq > r->seen) {
        hold_task(r, task);
        r->next = task->seq + 1;
        return tell_task(r, out);
    }
    if (a2a_state_is_terminal(r->state))
        return ERR_ABSENT;
    if (!task || task->seq < r->feed->head)
        feed_fetch(r->feed);
    return wait_for_more(r);
}

static int tell_event(struct reader *r, struct entry *e, struct reader_event *out,
                      const char **why)
{
    int err;

    r->next = e->seq + 1;
    if (e->has_state)
        r->state = e->state;
    *out = (struct reader_event){.seq = e->seq, .is_last = e->has_state && is_end(r, e->state)};
    err = entry_say(e, r->feed->id, r->feed->context, r->config.version, out->is_last,
                    &out->object, why);
    r->is_over = out->is_last;
    r->feed->feeds->n_told++;
    return err;
}

static int next_event(struct reader *r, struct reader_event *out, const char **why)
{
    struct feed *feed = r->feed;

    while (true) {
        struct entry *e = feed_find(feed, r->next);

        if (!e)
            e = find_in_page(r);
        if (!e && is_at_head(r)) {
            /* One that was told the end is over; here one comes back that had heard it before. */
            if (feed->has_state)
                r->state = feed->state;
            return is_end(r, r->state) ? ERR_ABSENT : wait_for_more(r);
        }
        if (!e)
            return want_page(r);
        if (a2a_event_is_told(e->kind))
            return tell_event(r, e, out, why);
        r->next++;
    }
}

int reader_next(struct reader *r, struct reader_event *out, const char **why)
{
    if (r->feed->feeds->is_stopped)
        return ERR_CANCELED;
    if (r->err)
        return r->err;
    if (r->is_over)
        return ERR_ABSENT;
    if (r->has_task_to_tell)
        return tell_task(r, out);
    hold_task(r, NULL); /* the one told last */
    if (r->config.kind == READER_WATCHER)
        return next_task(r, out);
    return next_event(r, out, why);
}

/* --- birth and death ------------------------------------------------------------------------------ */

static void begin(struct reader *r, struct task *task)
{
    struct feed *feed = r->feed;

    r->state = A2A_STATE_UNKNOWN;
    if (feed->head < task->seq) {
        feed->head = task->seq;
        feed->state = task->state;
        feed->has_state = true;
    }
    if (r->config.kind == READER_WATCHER) {
        r->seen = r->config.after == READER_FROM_NOW ? 0 : r->config.after;
        if (!feed->task || feed->task->seq < task->seq) {
            task_unref(feed->task);
            feed->task = task_ref(task);
        }
        if (r->seen >= task->seq)
            r->state = task->state;
    } else if (r->config.after == READER_FROM_NOW) {
        hold_task(r, task);
        r->has_task_to_tell = true;
        r->next = task->seq + 1;
    } else {
        r->next = r->config.after + 1;
    }
}

int reader_open(struct feeds *f, struct task *task, const struct reader_config *config,
                struct reader **out)
{
    struct reader *r;

    if (f->is_stopped)
        return ERR_CANCELED;
    if (config->after != READER_FROM_NOW && config->after > task->seq)
        return ERR_INVALID;
    r = MEM_NEW(struct reader);
    r->config = *config;
    r->feed = feed_get(f, task);
    r->feed->n_watchers += config->kind == READER_WATCHER;
    list_init(&r->place);
    list_append(&r->feed->readers, &r->link);
    f->n_readers++;
    begin(r, task);
    *out = r;
    return 0;
}

void reader_close(struct reader *r)
{
    struct feeds *f;

    if (!r)
        return;
    f = r->feed->feeds;
    displace(r);
    list_remove(&r->link);
    if (r->reading) {
        r->reading->reader = NULL;
        f->n_behind--;
    }
    free_page(r);
    task_unref(r->task);
    r->feed->n_watchers -= r->config.kind == READER_WATCHER;
    f->n_readers--;
    feed_leave(r->feed);
    mem_free(r);
}
