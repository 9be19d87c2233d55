/* SPDX-License-Identifier: MIT */
#include "lib/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/id.h"
#include "lib/mem.h"

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
    id_random(hash_key, sizeof hash_key);
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return (x << b) | (x >> (64 - b));
}

#define SIP_ROUND                                                                              \
    do {                                                                                       \
        v0 += v1;                                                                              \
        v1 = rotl(v1, 13) ^ v0;                                                                \
        v0 = rotl(v0, 32);                                                                     \
        v2 += v3;                                                                              \
        v3 = rotl(v3, 16) ^ v2;                                                                \
        v0 += v3;                                                                              \
        v3 = rotl(v3, 21) ^ v0;                                                                \
        v2 += v1;                                                                              \
        v1 = rotl(v1, 17) ^ v2;                                                                \
        v2 = rotl(v2, 32);                                                                     \
    } while (0)

/* SipHash-1-3 (Aumasson, Bernstein 2012), little-endian hosts. */
static uint64_t siphash(const unsigned char *p, size_t n)
{
    uint64_t v0 = hash_key[0] ^ 0x736f6d6570736575u, v1 = hash_key[1] ^ 0x646f72616e646f6du;
    uint64_t v2 = hash_key[0] ^ 0x6c7967656e657261u, v3 = hash_key[1] ^ 0x7465646279746573u;
    uint64_t last = (uint64_t)n << 56, word;

    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        v3 ^= word;
        SIP_ROUND;
        v0 ^= word;
    }
    for (size_t i = 0; i < n; i++)
        last |= (uint64_t)p[i] << (8 * i);
    v3 ^= last;
    SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

uint64_t map_hash(struct str key)
{
    uint64_t h;

    pthread_once(&hash_key_once, draw_hash_key);
    h = siphash((const unsigned char *)key.p, key.n);
    return h ? h : 1;
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_release(struct map *m)
{
    free(m->slots);
    map_init(m);
}

/* The slot that holds `key`, or the empty slot where it would go. The map has at least one empty slot. */
static struct map_slot *find(const struct map *m, uint64_t hash, struct str key)
{
    size_t mask = m->room - 1;
    size_t i = (size_t)hash & mask;

    while (m->slots[i].hash && !(m->slots[i].hash == hash && str_is(m->slots[i].key, key)))
        i = (i + 1) & mask;
    return &m->slots[i];
}

static void grow(struct map *m)
{
    struct map bigger = {.room = m->room ? m->room * 2 : 16, .n = m->n};

    bigger.slots = mem_zero(bigger.room, sizeof *bigger.slots);
    for (size_t i = 0; i < m->room; i++)
        if (m->slots[i].hash)
            *find(&bigger, m->slots[i].hash, m->slots[i].key) = m->slots[i];
    free(m->slots);
    *m = bigger;
}

void *map_get(const struct map *m, struct str key)
{
    return m->n ? find(m, map_hash(key), key)->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = map_hash(key);
    struct map_slot *slot;
    void *old;

    BUG_ON(!value);
    if ((m->n + 1) * 4 > m->room * 3)
        grow(m);
    slot = find(m, hash, key);
    old = slot->value;
    if (!old)
        m->n++;
    *slot = (struct map_slot){hash, key, value};
    return old;
}

void *map_remove(struct map *m, struct str key)
{
    size_t mask = m->room - 1, hole, i;
    struct map_slot *slot;
    void *old;

    if (m->n == 0)
        return NULL;
    slot = find(m, map_hash(key), key);
    old = slot->value;
    if (!old)
        return NULL;
    hole = i = (size_t)(slot - m->slots);
    for (;;) {
        size_t home;

        i = (i + 1) & mask;
        if (!m->slots[i].hash)
            break;
        home = (size_t)m->slots[i].hash & mask;
        /* An entry may fill the hole unless its home lies cyclically between hole and itself. */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->n--;
    return old;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->room) {
        struct map_slot *slot = &m->slots[(*at)++];

        if (slot->hash)
            return slot->value;
    }
    return NULL;
}
