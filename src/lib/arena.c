/* SPDX-License-Identifier: MIT */
#include "lib/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK 8192

struct arena_chunk {
    struct arena_chunk *next;
    _Alignas(16) char bytes[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
    a->chunks = NULL;
    a->at = a->first;
    a->end = a->first + sizeof a->first;
    a->total = 0;
    a->max = max_bytes;
}

void arena_release(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *next = a->chunks->next;

        free(a->chunks);
        a->chunks = next;
    }
    arena_init(a, a->max);
}

static void *take_from_new_chunk(struct arena *a, size_t n)
{
    size_t size = n > ARENA_CHUNK / 2 ? n : ARENA_CHUNK;
    size_t left = a->max - a->total;
    struct arena_chunk *chunk;

    if (size > left) /* the last chunk is as small as the maximum wants it */
        size = left & ~(size_t)15;
    if (n > size || size > SIZE_MAX - sizeof *chunk)
        return NULL;
    chunk = malloc(sizeof *chunk + size);
    if (!chunk)
        return NULL;
    a->total += size;
    chunk->next = a->chunks;
    a->chunks = chunk;
    /* A large piece fills its chunk; the rest of the previous chunk stays in use for small ones. */
    if (size == n)
        return chunk->bytes;
    a->at = chunk->bytes + n;
    a->end = chunk->bytes + size;
    return chunk->bytes;
}

void *arena_take(struct arena *a, size_t n)
{
    size_t rounded;
    void *p;

    if (n > a->max || n > SIZE_MAX - 15)
        return NULL;
    rounded = (n + 15) & ~(size_t)15;
    if (rounded > (size_t)(a->end - a->at))
        return take_from_new_chunk(a, rounded);
    p = a->at;
    a->at += rounded;
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p;

    if (!s.p)
        return STR_NONE;
    p = arena_take(a, s.n + 1);
    if (!p)
        return STR_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}
