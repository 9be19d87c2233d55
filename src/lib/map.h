/* SPDX-License-Identifier: MIT
 *
 * Hash map from bytes to a pointer: open addressing, linear probing, backward-shift deletion.
 *
 * Keys are not copied: each entry's key bytes must live (unchanged) as long as the entry, which is easy
 * when they lie inside the value. Hashes are SipHash-1-3 under a random per-process key, because most
 * keys here are chosen by peers. Grows at 3/4 full; never shrinks.
 */
#ifndef LIB_MAP_H
#define LIB_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "lib/str.h"

struct map_slot {
    uint64_t hash;  /* 0 = empty slot */
    struct str key; /* borrowed from the value, until removal */
    void *value;    /* never NULL in a used slot */
};

struct map {
    struct map_slot *slots; /* owned */
    size_t n, room;         /* entries, slots (0 or a power of two) */
};

void map_init(struct map *m);
void map_release(struct map *m); /* values are not freed: walk first */

/* The keyed hash of the process; also for callers that spread work by key. Never 0. */
uint64_t map_hash(struct str key);

void *map_get(const struct map *m, struct str key);

/* Adds or replaces; returns the value replaced, or NULL. `key` must stay valid with `value`. */
void *map_put(struct map *m, struct str key, void *value);

/* Returns the value removed, or NULL. */
void *map_remove(struct map *m, struct str key);

/* Walks: start with *at = 0; NULL at the end. Entries must not be added or removed meanwhile. */
void *map_next(const struct map *m, size_t *at);

#endif
