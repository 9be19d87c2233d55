/* SPDX-License-Identifier: MIT
 *
 * CLOCK. A gateway's tasks are used soon after they are made and then never again: for that life cycle
 * recency wins and the cleverer policies (S3-FIFO, SIEVE) lose up to nine points, measured. CLOCK is recency
 * at the price of one bit set on a hit.
 *
 *     ring:  .. e3  e4 | e0  e1  e2 ..        the hand stands in front of e0, a newcomer goes behind e4
 *                      ^ hand
 *
 * To make room the hand moves on: an entry whose bit is set loses the bit, a pinned one is passed over, any
 * other goes. A bit is cleared once per hit, so that work is paid for; passing over pinned entries is not,
 * and is therefore bounded. Where no room can be made the newcomer is not kept, so the bound always holds.
 *
 * A task removed here may still be in use elsewhere; it is counted, and only a reference is given up.
 */
#include "store/cache.h"

#include "lib/mem.h"

#define PINNED_SKIPS 64

/* Bookkeeping of malloc for two objects, and a slot of the table at its usual load. */
#define ENTRY_OVERHEAD (32 + 2 * sizeof(struct map_slot))

struct cache_entry {
    struct list link;  /* in cache.ring */
    struct task *task; /* counted */
    bool is_used;
};

void cache_init(struct cache *c, size_t max_bytes, cache_pinned_fn is_pinned, void *arg)
{
    *c = (struct cache){.max_bytes = max_bytes, .is_pinned = is_pinned, .arg = arg};
    map_init(&c->map);
    list_init(&c->ring);
    c->hand = &c->ring;
}

size_t cache_cost(const struct task *t)
{
    return task_bytes(t) + sizeof(struct cache_entry) + ENTRY_OVERHEAD;
}

static struct cache_entry *entry_of(struct list *link)
{
    return CONTAINER_OF(link, struct cache_entry, link);
}

static void remove_entry(struct cache *c, struct cache_entry *e)
{
    if (c->hand == &e->link)
        c->hand = e->link.next;
    list_remove(&e->link);
    map_remove(&c->map, task_key_of(e->task));
    c->bytes -= cache_cost(e->task);
    task_unref(e->task);
    mem_free(e);
}

void cache_release(struct cache *c)
{
    struct list *first;

    while ((first = list_first(&c->ring)))
        remove_entry(c, entry_of(first));
    map_release(&c->map);
}

struct task *cache_look(const struct cache *c, struct str key)
{
    struct cache_entry *e = map_get(&c->map, key);

    return e ? e->task : NULL;
}

struct task *cache_get(struct cache *c, struct str key)
{
    struct cache_entry *e = map_get(&c->map, key);

    if (!e)
        return NULL;
    if (!e->is_used) /* keeps the line clean on the common second hit */
        e->is_used = true;
    return e->task;
}

/* Removes one entry; false if the next ones are all pinned. */
static bool evict_one(struct cache *c)
{
    unsigned skipped = 0;

    while (!list_is_empty(&c->ring) && skipped < PINNED_SKIPS) {
        struct cache_entry *e;

        if (c->hand == &c->ring)
            c->hand = c->ring.next;
        e = entry_of(c->hand);
        if (e->is_used) {
            e->is_used = false;
            c->hand = e->link.next;
        } else if (c->is_pinned && c->is_pinned(c->arg, e->task)) {
            skipped++;
            c->hand = e->link.next;
        } else {
            remove_entry(c, e);
            return true;
        }
    }
    return false;
}

void cache_put(struct cache *c, struct task *t)
{
    struct str key = task_key_of(t);
    struct cache_entry *e = map_get(&c->map, key);
    size_t cost = cache_cost(t);
    bool was_used = false;

    if (e && e->task->seq >= t->seq)
        return;
    if (e) {
        was_used = e->is_used;
        remove_entry(c, e);
    }
    if (cost > c->max_bytes)
        return;
    while (cost > c->max_bytes - c->bytes)
        if (!evict_one(c))
            return;
    e = MEM_NEW(struct cache_entry);
    e->task = task_ref(t);
    e->is_used = was_used;
    list_insert_before(c->hand, &e->link);
    BUG_ON(map_put(&c->map, key, e));
    c->bytes += cost;
}

void cache_drop(struct cache *c, struct str key, uint64_t seq)
{
    struct cache_entry *e = map_get(&c->map, key);

    if (e && e->task->seq < seq)
        remove_entry(c, e);
}

void cache_check(const struct cache *c)
{
    size_t n = 0, bytes = 0;
    bool hand_is_here = c->hand == &c->ring;

    LIST_EACH (it, &c->ring) {
        struct cache_entry *e = entry_of(it);

        n++;
        bytes += cache_cost(e->task);
        hand_is_here |= c->hand == it;
        BUG_ON(e->task->refs == 0);
        BUG_ON(map_get(&c->map, task_key_of(e->task)) != e);
    }
    BUG_ON(n != c->map.n);
    BUG_ON(bytes != c->bytes);
    BUG_ON(c->bytes > c->max_bytes);
    BUG_ON(!hand_is_here);
}
