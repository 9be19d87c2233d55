/* SPDX-License-Identifier: MIT
 *
 * Tasks the cache does not have. Misses gather while a load batch is with the backend and then go together;
 * who asks for a task that is already queued joins its miss.
 *
 * Joining stops when the miss flies: it may read a state older than what the newcomer was already told, so he
 * gets a miss of his own. For the same reason a miss whose task is written while it flies is told to those
 * who asked before the write, but not cached.
 */
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

static void on_send(void *arg);

void miss_init(struct store *s)
{
    map_init(&s->queued);
    map_init(&s->flying);
    list_init(&s->misses);
    list_init(&s->loads.loads);
    s->send_loads = (struct deferred){.fn = on_send, .arg = s};
}

static struct miss *miss_of(struct list *link)
{
    return CONTAINER_OF(link, struct miss, load.link);
}

static void answer_askers(struct store *s, struct miss *m, int err, struct task *task)
{
    struct list *first;

    while ((first = list_first(&m->load.waiters))) {
        struct asker *asker = CONTAINER_OF(first, struct asker, answer.link);

        list_remove(first);
        asker->answer.err = err;
        asker->answer.task = task ? task_ref(task) : NULL;
        store_answer(s, &asker->answer);
    }
}

void miss_fail(struct store *s, int err)
{
    LIST_EACH (it, &s->misses)
        answer_askers(s, miss_of(it), err, NULL);
}

void miss_release(struct store *s)
{
    struct list *first;

    loop_undefer(&s->send_loads);
    BUG_ON(s->is_loading);
    while ((first = list_first(&s->misses))) {
        BUG_ON(!list_is_empty(&miss_of(first)->load.waiters));
        list_remove(first);
        mem_free(miss_of(first));
    }
    map_release(&s->queued);
    map_release(&s->flying);
}

void miss_want(struct store *s, const struct task_key *key, struct str agent,
               struct asker *asker)
{
    struct miss *m = map_get(&s->queued, task_key_str(key));

    if (!m) {
        m = MEM_NEW(struct miss);
        m->key = *key;
        m->load.agent = (struct str){m->key.p, agent.n};
        m->load.id = (struct str){m->key.p + agent.n + 1, key->n - agent.n - 1};
        list_init(&m->load.link);
        list_init(&m->load.waiters);
        list_append(&s->misses, &m->load.link);
        BUG_ON(map_put(&s->queued, task_key_str(&m->key), m));
    }
    if (asker)
        list_append(&m->load.waiters, &asker->answer.link);
    miss_wake(s);
}

void miss_wake(struct store *s)
{
    loop_defer(s->loop, &s->send_loads);
}

void miss_dirty(struct store *s, struct str key)
{
    struct miss *m = map_get(&s->flying, key);

    if (m)
        m->is_dirty = true;
}

static void on_send(void *arg)
{
    struct store *s = arg;
    size_t room = 4 * s->task_max_bytes; /* a document, its tail, and some */
    struct list *first;

    if (s->is_loading || s->state != STORE_UP || s->backend_is_closing ||
        list_is_empty(&s->misses))
        return;
    s->loads.n_loads = 0;
    s->loads.err = 0;
    s->loads.arena = &s->load_arena;
    arena_init(&s->load_arena, room > STORE_LOAD_BYTES ? room : STORE_LOAD_BYTES);
    while (s->loads.n_loads < LIMIT_BATCH_ROWS && (first = list_first(&s->misses))) {
        struct miss *m = miss_of(first);

        list_remove(first);
        map_remove(&s->queued, task_key_str(&m->key));
        BUG_ON(map_put(&s->flying, task_key_str(&m->key), m));
        list_append(&s->loads.loads, first);
        s->loads.n_loads++;
    }
    s->is_loading = true;
    s->backend->ops->load(s->backend, &s->loads);
}

/* What the backend has found of one miss. *task stays NULL if there is none. */
static int read_found(struct store *s, struct miss *m, struct task **task)
{
    int err;

    if (s->loads.err || m->load.err == ERR_AGAIN)
        return ERR_STORE;
    if (!m->load.found && !m->load.err)
        return 0;
    err = m->load.err ? m->load.err : load_to_task(s, &m->load, task);
    if (err)
        log_event(LOG_ERROR, "a stored task cannot be read", LOG_STR("agent", m->load.agent),
                  LOG_STR("task", m->load.id), LOG_Z("why", err_text(err)),
                  LOG_U64("seq", m->load.seq));
    else if (!m->is_dirty && store_may_cache(s, *task))
        cache_put(&s->cache, *task);
    return err;
}

static void miss_done(struct store *s, struct miss *m)
{
    struct task *task = NULL;
    int err = read_found(s, m, &task);

    map_remove(&s->flying, task_key_str(&m->key));
    append_loaded(s, task_key_str(&m->key), err, task, "the stored task cannot be read");
    answer_askers(s, m, err ? ERR_STORE : task ? 0 : ERR_ABSENT, task);
    task_unref(task);
    mem_free(m);
}

/* A load the backend had no room for is asked again, by a miss of the same name if there is one. */
static void miss_again(struct store *s, struct miss *m)
{
    struct miss *again;

    map_remove(&s->flying, task_key_str(&m->key));
    miss_want(s, &m->key, m->load.agent, NULL);
    again = map_get(&s->queued, task_key_str(&m->key));
    list_splice(&again->load.waiters, &m->load.waiters);
    mem_free(m);
}

void store_load_done(struct store *s, struct load_batch *loads)
{
    struct list *first;

    BUG_ON(loads != &s->loads || !s->is_loading);
    loop_note(s->loop, "store: tasks were loaded");
    while ((first = list_first(&loads->loads))) {
        struct miss *m = miss_of(first);

        list_remove(first);
        if (m->load.err == ERR_AGAIN && !loads->err && !s->is_closing)
            miss_again(s, m);
        else
            miss_done(s, m);
    }
    arena_release(&s->load_arena);
    s->is_loading = false;
    miss_wake(s);
    store_tell(s);
    store_close_step(s);
}
