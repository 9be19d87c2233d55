/* SPDX-License-Identifier: MIT
 *
 * The store's door: opening and closing, reads, and the line in which answers stand. How appends become batches
 * is told in append.c, how missing tasks are fetched in miss.c, how a task changes in fold.c; lists are in
 * listing.c, small writes in errand.c.
 *
 * Everything here runs on the loop thread. Callers are called back from one place only, store_tell(), and
 * only when all lists and maps are in order again: a callback may append, ask, even close.
 *
 * Closing
 *
 *     open --store_close--> draining --idle, or not up, or 5 s--> backend closes --> answers --> freed
 *
 * While draining nothing new is taken, but what was taken still goes its way; conflicts are still reloaded.
 */
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

static void on_tell(void *arg);
static void on_close_step(void *arg);
static void on_close_limit(struct timer *t, void *arg);

/* --- opening -------------------------------------------------------------------------------------- */

static bool is_set(const char *z)
{
    return z && *z;
}

static void free_store(struct store *s)
{
    cache_release(&s->cache);
    mem_free(s);
}

int store_open(struct loop *loop, const struct store_config *config, store_state_fn on_state,
               void *arg, struct store **out, char why[256])
{
    struct store *s = MEM_NEW(struct store);
    int err;

    s->magic = STORE_MAGIC;
    s->loop = loop;
    s->on_state = on_state;
    s->on_state_arg = arg;
    s->task_max_bytes = config->task_max_bytes;
    s->queue_max_bytes = config->queue_max_bytes;
    s->is_trusted = true; /* a backend that shares its database says otherwise */
    s->boot = id_uuid4();
    id_uuid_text(&s->boot, s->boot_text);
    cache_init(&s->cache, config->cache_bytes, NULL, NULL);
    list_init(&s->answers);
    list_init(&s->listeners);
    s->tell = (struct deferred){.fn = on_tell, .arg = s};
    s->close_step = (struct deferred){.fn = on_close_step, .arg = s};
    timer_init(&s->close_limit, on_close_limit, s);
    err = is_set(config->database_url)
              ? postgres_open(s, loop, config, s->boot_text, &s->backend, why)
              : sqlite_open(s, loop, config, s->boot_text, &s->backend, why);
    if (err) {
        free_store(s);
        return err;
    }
    snprintf(s->description, sizeof s->description, "%s", s->backend->description);
    s->is_embedded = s->backend->is_embedded;
    s->is_local = s->backend->is_local;
    append_init(s);
    miss_init(s);
    errand_init(s);
    *out = s;
    return 0;
}

enum store_state store_state(const struct store *s)
{
    return s->state;
}

const char *store_why(const struct store *s)
{
    return s->why;
}

const char *store_describe(const struct store *s)
{
    return s->description;
}

bool store_is_embedded(const struct store *s)
{
    return s->is_embedded;
}

bool store_is_local(const struct store *s)
{
    return s->is_local;
}

const char *store_boot(const struct store *s)
{
    return s->boot_text;
}

void store_backend_state(struct store *s, enum store_state state, const char *why)
{
    if (state == s->state && strcmp(s->why, why ? why : "") == 0)
        return;
    s->state = state;
    snprintf(s->why, sizeof s->why, "%s", why ? why : "");
    if (state == STORE_UP) {
        append_wake(s);
        miss_wake(s);
    } else {
        miss_fail(s, ERR_STORE);
    }
    if (s->is_closing)
        store_close_step(s);
    else if (s->on_state)
        s->on_state(s->on_state_arg, state, s->why);
}

void store_trust(struct store *s, bool trusted)
{
    s->is_trusted = trusted;
}

/* --- answers -------------------------------------------------------------------------------------- */

void store_answer(struct store *s, struct answer *a)
{
    list_append(&s->answers, &a->link);
    loop_defer(s->loop, &s->tell);
}

void store_tell(struct store *s)
{
    struct list told, *first;

    /* What callbacks cause to be answered stands in line for the next time, or this might never end. */
    list_init(&told);
    list_splice(&told, &s->answers);
    while ((first = list_first(&told))) {
        struct answer *a = CONTAINER_OF(first, struct answer, link);

        list_remove(first);
        a->tell(s, a);
    }
}

static void on_tell(void *arg)
{
    struct store *s = arg;

    store_tell(s);
    store_close_step(s);
}

/* --- listeners ------------------------------------------------------------------------------------ */

void store_listen(struct store *s, struct store_listener *l)
{
    list_init(&l->link);
    list_append(&s->listeners, &l->link);
}

void store_unlisten(struct store *s, struct store_listener *l)
{
    if (!l->link.next || !list_is_linked(&l->link))
        return; /* never came, or the store is gone, and `s` with it */
    if (s->hears_next == &l->link)
        s->hears_next = l->link.next;
    list_remove(&l->link);
}

/* The next listener to be told, NULL at the end. It may go, and any other: s->hears_next moves with them. Telling does
 * not happen inside telling, because nothing that a listener may call tells at once. */
static struct store_listener *next_listener(struct store *s)
{
    struct list *it = s->hears_next;

    if (it == &s->listeners) {
        s->hears_next = NULL;
        return NULL;
    }
    s->hears_next = it->next;
    return CONTAINER_OF(it, struct store_listener, link);
}

static void begin_telling(struct store *s)
{
    BUG_ON(s->hears_next);
    s->hears_next = s->listeners.next;
}

void store_tell_commit(struct store *s, struct task *task, const struct news *news)
{
    struct store_listener *l;

    begin_telling(s);
    while ((l = next_listener(s)))
        if (l->on_commit)
            l->on_commit(l->arg, task, news->events, news->n_events);
}

static void tell_changed(struct store *s, struct str agent, struct str id, uint64_t seq)
{
    struct store_listener *l;

    begin_telling(s);
    while ((l = next_listener(s)))
        if (l->on_changed)
            l->on_changed(l->arg, agent, id, seq);
}

/* They may come to unlisten when there is no store any more. */
static void let_go(struct store *s)
{
    struct list *first;

    while ((first = list_first(&s->listeners)))
        list_remove(first);
}

/* --- reads ---------------------------------------------------------------------------------------- */

bool store_may_believe(const struct store *s, const struct task *t)
{
    return s->is_trusted || a2a_state_is_terminal(t->state);
}

bool store_may_cache(const struct store *s, const struct task *t)
{
    return s->is_embedded || a2a_state_is_terminal(t->state) ||
           id_uuid_compare(&t->owner, &s->boot) == 0;
}

/* The cached task if it may be served: one that cannot be verified because the database is away will do. */
static struct task *served_from_cache(struct store *s, const struct task_key *key)
{
    struct task *t = cache_get(&s->cache, task_key_str(key));

    return t && (store_may_believe(s, t) || s->state != STORE_UP) ? t : NULL;
}

struct task *store_task_peek(struct store *s, struct str agent, struct str id)
{
    struct task_key key;
    struct task *t;

    if (!task_key_make(&key, agent, id))
        return NULL;
    t = served_from_cache(s, &key);
    s->figures.hits += t != NULL;
    return t;
}

static void tell_asker(struct store *s, struct answer *a)
{
    struct asker *asker = CONTAINER_OF(a, struct asker, answer);

    (void)s;
    asker->fn(asker->arg, a->err, a->task);
    task_unref(a->task);
    mem_free(asker);
}

int store_task_get(struct store *s, struct str agent, struct str id, store_task_fn fn,
                   void *arg)
{
    struct asker *asker;
    struct task_key key;
    bool is_name = task_key_make(&key, agent, id);
    struct task *t;

    if (s->is_closing)
        return ERR_CANCELED;
    asker = MEM_NEW(struct asker);
    *asker = (struct asker){.answer = {.tell = tell_asker}, .fn = fn, .arg = arg};
    list_init(&asker->answer.link);
    t = is_name ? served_from_cache(s, &key) : NULL;
    if (t) {
        s->figures.hits++;
        asker->answer.task = task_ref(t);
        store_answer(s, &asker->answer);
        return 0;
    }
    s->figures.misses++;
    if (is_name && s->state == STORE_UP) {
        miss_want(s, &key, agent, asker);
        return 0;
    }
    /* There is no task of a name that cannot be. */
    asker->answer.err = is_name ? ERR_STORE : ERR_ABSENT;
    store_answer(s, &asker->answer);
    return 0;
}

void store_task_heard(struct store *s, struct str agent, struct str id)
{
    struct task_key key;
    struct task *t;

    if (!task_key_make(&key, agent, id))
        return;
    t = cache_look(&s->cache, task_key_str(&key));
    if (t)
        t->heard_ms = loop_now_ms(s->loop);
}

void store_task_changed(struct store *s, struct str agent, struct str id, uint64_t seq)
{
    struct task_key key;

    if (!task_key_make(&key, agent, id))
        return;
    cache_drop(&s->cache, task_key_str(&key), seq);
    miss_dirty(s, task_key_str(&key));
    tell_changed(s, agent, id, seq);
}

/* --- figures -------------------------------------------------------------------------------------- */

void store_figures(const struct store *s, struct store_figures *out)
{
    *out = s->figures;
    out->cached_tasks = s->cache.map.n;
    out->cached_bytes = s->cache.bytes;
    if (s->backend_is_closed)
        return;
    out->nodes = s->backend->n_nodes;
    if (s->backend->ops->connections)
        out->connections = s->backend->ops->connections(s->backend);
}

/* --- closing -------------------------------------------------------------------------------------- */

void store_close(struct store *s, void (*on_closed)(void *arg), void *arg)
{
    BUG_ON(s->magic != STORE_MAGIC || s->is_closing);
    s->is_closing = true;
    s->on_closed = on_closed;
    s->on_closed_arg = arg;
    timer_start(s->loop, &s->close_limit, STORE_CLOSE_MS);
    loop_defer(s->loop, &s->close_step);
}

static void close_backend(struct store *s)
{
    if (s->backend_is_closing)
        return;
    s->backend_is_closing = true;
    timer_stop(s->loop, &s->close_limit);
    if (!append_is_idle(s))
        log_event(LOG_WARN, "store closes with appends that could not be committed",
                  LOG_U64("appends", s->figures.queued), LOG_Z("why", s->why));
    s->backend->ops->close(s->backend);
}

static void on_close_limit(struct timer *t, void *arg)
{
    (void)t;
    close_backend(arg);
}

void store_close_step(struct store *s)
{
    if (s->is_closing)
        loop_defer(s->loop, &s->close_step);
}

static void free_buried(struct grave *g)
{
    free_store(CONTAINER_OF(g, struct store, grave));
}

/* Nothing is with the backend any more: tells who still waits, then goes. */
static void finish(struct store *s)
{
    append_cancel(s);
    miss_fail(s, ERR_CANCELED);
    while (!list_is_empty(&s->answers))
        store_tell(s);
    loop_undefer(&s->tell);
    loop_undefer(&s->close_step);
    timer_stop(s->loop, &s->close_limit);
    append_release(s);
    miss_release(s);
    errand_release(s);
    let_go(s);
    s->magic = 0;
    loop_bury(s->loop, &s->grave, free_buried);
    s->on_closed(s->on_closed_arg);
}

static void on_close_step(void *arg)
{
    struct store *s = arg;

    if (s->backend_is_closed)
        finish(s);
    else if (s->state != STORE_UP ||
             (append_is_idle(s) && !s->is_loading && list_is_empty(&s->misses)))
        close_backend(s);
}

void store_backend_closed(struct store *s)
{
    BUG_ON(!s->backend_is_closing || s->is_loading);
    s->backend_is_closed = true;
    s->backend = NULL;
    store_close_step(s);
}

int store_db_run(enum store_db_command command, const struct store_config *config, FILE *out,
                 bool json)
{
    return is_set(config->database_url) ? postgres_db_run(command, config, out, json)
                                        : sqlite_db_run(command, config, out, json);
}
