/* SPDX-License-Identifier: MIT
 *
 * Inside the store: the tasks that need no database to be read. Bounded in bytes; knows nothing of who may
 * believe what, which the store decides.
 *
 * Invariants (cache_check() asserts them)
 *   1. bytes <= max_bytes, keys, entries and table slots counted.
 *   2. At most one version of a task, and it is never replaced by an older one.
 *   3. What could not be kept is gone: after cache_put() the cache has this version, a newer one, or none.
 *   4. No absence is remembered.
 */
#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include "lib/list.h"
#include "lib/map.h"
#include "store/task.h"

/* Whether this task must stay though the hand points at it (it is about to be written). */
typedef bool (*cache_pinned_fn)(void *arg, const struct task *t);

struct cache {
    struct map map;    /* task key -> struct cache_entry */
    struct list ring;  /* struct cache_entry.link, in the order the hand goes */
    struct list *hand; /* the next to be looked at; &ring when there is none */
    size_t bytes, max_bytes;
    cache_pinned_fn is_pinned;
    void *arg; /* borrowed while the cache lives */
};

void cache_init(struct cache *c, size_t max_bytes, cache_pinned_fn is_pinned, void *arg);
void cache_release(struct cache *c);

/* Borrowed until the cache is changed; NULL if it is not here. Getting counts as use, looking does not. */
struct task *cache_get(struct cache *c, struct str key);
struct task *cache_look(const struct cache *c, struct str key);

/* Takes a reference of its own if it keeps the task. */
void cache_put(struct cache *c, struct task *t);

/* Drops the task if it is older than `seq`; UINT64_MAX: in any case. */
void cache_drop(struct cache *c, struct str key, uint64_t seq);

/* What a task costs here. */
size_t cache_cost(const struct task *t);

/* Stops the process if an invariant does not hold. For tests. */
void cache_check(const struct cache *c);

#endif
