/* SPDX-License-Identifier: MIT
 *
 * Memory that lives as long as one request and is freed in one stroke.
 *
 * Allocation moves a pointer; nothing is freed singly. The first chunk lies inside the arena, so small
 * requests never touch the heap. `max_bytes` bounds the sum of all chunks: asking for more returns NULL,
 * which fails the request the arena belongs to and nothing else.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>

#include "lib/err.h"
#include "lib/str.h"

#define ARENA_INLINE 1024

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* owned; newest first */
    char *at, *end;             /* free part of the newest chunk */
    size_t total, max;          /* bytes taken from the heap, bytes allowed */
    _Alignas(16) char first[ARENA_INLINE];
};

/* An arena must not be moved after init: it points into itself. */
void arena_init(struct arena *a, size_t max_bytes);
void arena_release(struct arena *a);

/* 16-byte aligned, not zeroed. NULL when the maximum is reached or the heap refuses. */
void *arena_take(struct arena *a, size_t n);

/* A NUL-terminated copy (the NUL is not counted). Absent stays absent; p == NULL for s.p != NULL: failed. */
struct str arena_str(struct arena *a, struct str s);

#endif
