/* SPDX-License-Identifier: MIT
 *
 * A task that has readers. Commits of this node bring its events, which stand in a ring until everybody has had them or
 * the ring is full; what is older is in the log. Commits of another node only raise `head`: their events are in the log
 * from the beginning.
 *
 * A thousand readers cost a commit nothing: who waits stands in one list, and that list as a whole is moved to those who
 * are woken.
 */
#include "lib/crash.h"
#include "lib/mem.h"
#include "subscribe/subscribe_int.h"

static void on_commit(void *arg, struct task *task, const struct store_event *events,
                      size_t n_events);
static void on_changed(void *arg, struct str agent, struct str id, uint64_t seq);
static void on_wake(void *arg);
static void on_retry(struct timer *t, void *arg);

/* --- all of them ---------------------------------------------------------------------------------- */

struct feeds *feeds_new(struct loop *loop, struct store *store)
{
    struct feeds *f = MEM_NEW(struct feeds);

    f->loop = loop;
    f->store = store;
    f->ring_bytes = LIMIT_FEED_BYTES;
    f->ring_events = LIMIT_FEED_EVENTS;
    map_init(&f->map);
    list_init(&f->ready);
    list_init(&f->wanting);
    list_init(&f->retrying);
    timer_init(&f->retry, on_retry, f);
    f->wake = (struct deferred){.fn = on_wake, .arg = f};
    f->listener =
        (struct store_listener){.on_commit = on_commit, .on_changed = on_changed, .arg = f};
    store_listen(store, &f->listener);
    return f;
}

void feeds_stop(struct feeds *f)
{
    struct feed *feed;
    size_t at = 0;

    f->is_stopped = true;
    timer_stop(f->loop, &f->retry);
    while ((feed = map_next(&f->map, &at)))
        LIST_EACH (it, &feed->readers)
            reader_wake(CONTAINER_OF(it, struct reader, link));
}

void feeds_free(struct feeds *f)
{
    if (!f)
        return;
    BUG_ON(f->n_readers || f->map.n);
    store_unlisten(f->store, &f->listener);
    timer_stop(f->loop, &f->retry);
    loop_undefer(&f->wake);
    map_release(&f->map);
    mem_free(f);
}

void feeds_figures(const struct feeds *f, struct feeds_figures *out)
{
    *out = (struct feeds_figures){.feeds = f->map.n,
                                  .readers = f->n_readers,
                                  .behind = f->n_behind,
                                  .told = f->n_told,
                                  .pages = f->n_pages_read};
}

/* Told one by one from the top: whoever is told may close the next. */
static void on_wake(void *arg)
{
    struct feeds *f = arg;
    struct list woken, *first;

    list_init(&woken);
    list_splice(&woken, &f->ready);
    while ((first = list_first(&woken))) {
        struct reader *r = CONTAINER_OF(first, struct reader, place);

        list_remove(first);
        r->is_waiting = false;
        if (!r->is_owed)
            continue;
        r->is_owed = false;
        r->config.on_ready(r->config.arg);
    }
}

static void on_retry(struct timer *t, void *arg)
{
    struct feeds *f = arg;

    (void)t;
    list_splice(&f->wanting, &f->retrying);
    pages_go_on(f);
}

/* --- the ring ------------------------------------------------------------------------------------- */

static void drop_oldest(struct feed *feed)
{
    struct entry *e = feed->ring[feed->at];

    feed->ring_bytes -= e->bytes;
    entry_free(e);
    feed->at = (feed->at + 1) % feed->room;
    feed->first++;
    feed->n--;
}

void feed_forget(struct feed *feed)
{
    while (feed->n)
        drop_oldest(feed);
    mem_free(feed->ring);
    feed->ring = NULL;
    feed->room = feed->at = 0;
    feed->ring_bytes = 0;
}

static void grow(struct feed *feed)
{
    unsigned room = feed->room ? 2 * feed->room : 8;
    struct entry **ring = mem_zero(room, sizeof *ring);

    for (unsigned i = 0; i < feed->n; i++)
        ring[i] = feed->ring[(feed->at + i) % feed->room];
    mem_free(feed->ring);
    feed->ring = ring;
    feed->room = room;
    feed->at = 0;
}

static void add(struct feed *feed, const struct store_event *event)
{
    struct feeds *f = feed->feeds;
    struct entry *e = entry_new(event);

    if (feed->n && event->seq != feed->first + feed->n) /* another node wrote in between */
        feed_forget(feed);
    if (feed->n == feed->room)
        grow(feed);
    if (feed->n == 0)
        feed->first = event->seq;
    feed->ring[(feed->at + feed->n++) % feed->room] = e;
    /* What is said of it later is not counted again: at most as much once more for each version. */
    feed->ring_bytes += e->bytes;
    while (feed->n > 1 && (feed->n > f->ring_events || feed->ring_bytes > f->ring_bytes))
        drop_oldest(feed);
}

struct entry *feed_find(const struct feed *feed, uint64_t seq)
{
    if (feed->n == 0 || seq < feed->first || seq - feed->first >= feed->n)
        return NULL;
    return feed->ring[(feed->at + (unsigned)(seq - feed->first)) % feed->room];
}

/* --- news ----------------------------------------------------------------------------------------- */

#define KEY_MAX (LIMIT_AGENT_ID + 1 + LIMIT_TASK_ID)

static struct feed *find(const struct feeds *f, struct str agent, struct str id)
{
    char room[KEY_MAX];

    if (f->map.n == 0 || agent.n > LIMIT_AGENT_ID || id.n > LIMIT_TASK_ID)
        return NULL;
    memcpy(room, agent.p, agent.n);
    room[agent.n] = '\0'; /* occurs in neither */
    memcpy(room + agent.n + 1, id.p, id.n);
    return map_get(&f->map, str_make(room, agent.n + 1 + id.n));
}

/* In one go: who waited is not looked at before he is told. */
void feed_wake(struct feed *feed)
{
    if (list_is_empty(&feed->waiting))
        return;
    list_splice(&feed->feeds->ready, &feed->waiting);
    feed->n_waiting = 0;
    feed->epoch++;
    loop_defer(feed->feeds->loop, &feed->feeds->wake);
}

static void keep_task(struct feed *feed, struct task *task)
{
    struct task *old = feed->task;

    feed->task = task ? task_ref(task) : NULL;
    task_unref(old);
}

static void on_commit(void *arg, struct task *task, const struct store_event *events,
                      size_t n_events)
{
    struct feeds *f = arg;
    struct feed *feed = find(f, task->agent, task->id);

    if (!feed || f->is_stopped)
        return;
    for (size_t i = 0; i < n_events; i++)
        add(feed, &events[i]);
    feed->head = task->seq;
    feed->state = task->state;
    feed->has_state = true;
    if (feed->n_watchers)
        keep_task(feed, task);
    CRASH_POINT(feed_filled);
    feed_wake(feed);
}

static void on_changed(void *arg, struct str agent, struct str id, uint64_t seq)
{
    struct feeds *f = arg;
    struct feed *feed = find(f, agent, id);

    if (!feed || f->is_stopped || seq <= feed->head)
        return;
    feed->head = seq;
    feed->has_state = false;
    if (feed->n_watchers)
        feed_fetch(feed);
    feed_wake(feed);
}

void feeds_nudge(struct feeds *f, struct str agent, struct str id)
{
    struct feed *feed = find(f, agent, id);

    if (feed)
        feed_wake(feed);
}

/* --- watchers of another node's task -------------------------------------------------------------- */

/* Outlives the feed: who looks a task up cannot be called off. */
struct fetch {
    struct feeds *feeds;
    struct str agent, id;
    char bytes[];
};

static void on_fetched(void *arg, int err, struct task *task)
{
    struct fetch *fetch = arg;
    struct feed *feed = find(fetch->feeds, fetch->agent, fetch->id);

    mem_free(fetch);
    if (!feed)
        return;
    feed->is_fetching = false;
    if (err || (feed->task && feed->task->seq >= task->seq))
        return; /* the next change tries again */
    keep_task(feed, task);
    feed_wake(feed);
}

void feed_fetch(struct feed *feed)
{
    struct fetch *fetch;

    if (feed->is_fetching)
        return;
    fetch = mem_zero(1, sizeof *fetch + feed->key.n);
    memcpy(fetch->bytes, feed->key.p, feed->key.n);
    fetch->feeds = feed->feeds;
    fetch->agent = str_make(fetch->bytes, feed->agent.n);
    fetch->id = str_make(fetch->bytes + feed->agent.n + 1, feed->id.n);
    feed->is_fetching =
        store_task_get(feed->feeds->store, fetch->agent, fetch->id, on_fetched, fetch) == 0;
    if (!feed->is_fetching)
        mem_free(fetch);
}

/* --- birth and death ------------------------------------------------------------------------------ */

struct feed *feed_get(struct feeds *f, struct task *task)
{
    size_t n_key = task->agent.n + 1 + task->id.n;
    struct feed *feed = find(f, task->agent, task->id);

    if (feed) {
        feed->n_readers++;
        return feed;
    }
    feed = mem_zero(1, sizeof *feed + n_key + task->context.n);
    feed->feeds = f;
    feed->n_readers = 1;
    list_init(&feed->waiting);
    list_init(&feed->readers);
    memcpy(feed->bytes, task->agent.p, task->agent.n);
    memcpy(feed->bytes + task->agent.n + 1, task->id.p, task->id.n);
    feed->key = str_make(feed->bytes, n_key);
    feed->agent = str_make(feed->bytes, task->agent.n);
    feed->id = str_make(feed->bytes + task->agent.n + 1, task->id.n);
    if (task->context.p) {
        memcpy(feed->bytes + n_key, task->context.p, task->context.n);
        feed->context = str_make(feed->bytes + n_key, task->context.n);
    }
    feed->head = task->seq;
    feed->state = task->state;
    feed->has_state = true;
    map_put(&f->map, feed->key, feed);
    return feed;
}

void feed_leave(struct feed *feed)
{
    if (--feed->n_readers)
        return;
    feed_forget(feed);
    task_unref(feed->task);
    map_remove(&feed->feeds->map, feed->key);
    mem_free(feed);
}
