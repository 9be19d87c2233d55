/* SPDX-License-Identifier: MIT */
#include "lib/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_FIRST_ROOM 256

void buf_init(struct buf *b, size_t max_bytes)
{
    /* + 1 must not wrap */
    *b = (struct buf){.max = max_bytes < SIZE_MAX ? max_bytes : SIZE_MAX - 1};
}

void buf_release(struct buf *b)
{
    if (!b)
        return;
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->err = 0;
}

void buf_shrink(struct buf *b, size_t keep)
{
    buf_clear(b);
    if (b->room > keep) {
        free(b->p);
        b->p = NULL;
        b->room = 0;
    }
}

static int fail(struct buf *b, int err)
{
    if (!b->err)
        b->err = err;
    return b->err;
}

/* Room for n more bytes. One byte beyond the content is always allocated, for buf_z(). */
static int grow(struct buf *b, size_t n)
{
    size_t need, room;
    char *p;

    if (b->err)
        return b->err;
    if (n > b->max - b->n)
        return fail(b, ERR_LIMIT);
    need = b->n + n + 1;
    if (need <= b->room)
        return 0;
    room = b->room ? b->room : BUF_FIRST_ROOM;
    while (room < need)
        room = room > SIZE_MAX / 2 ? SIZE_MAX : room * 2;
    if (room - 1 > b->max)
        room = b->max + 1;
    p = realloc(b->p, room);
    if (!p)
        return fail(b, ERR_NOMEM);
    b->p = p;
    b->room = room;
    return 0;
}

int buf_add_slow(struct buf *b, const void *p, size_t n)
{
    int err = grow(b, n);

    if (err)
        return err;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

int buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return buf_add(b, digits + at, sizeof digits - at);
}

int buf_add_i64(struct buf *b, int64_t v)
{
    if (v >= 0)
        return buf_add_u64(b, (uint64_t)v);
    buf_add_char(b, '-');
    return buf_add_u64(b, 0 - (uint64_t)v);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0) {
        fail(b, ERR_INVALID);
    } else if (!grow(b, (size_t)n)) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return b->err;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    int err;

    va_start(args, fmt);
    err = buf_vprintf(b, fmt, args);
    va_end(args);
    return err;
}

char *buf_reserve(struct buf *b, size_t n)
{
    return grow(b, n) ? NULL : b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
    /* the byte for buf_z() was not reserved for content */
    BUG_ON(n > 0 && n >= b->room - b->n);
    b->n += n;
}

void buf_consume(struct buf *b, size_t n)
{
    BUG_ON(n > b->n);
    if (n && n < b->n)
        memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

struct str buf_take(struct buf *b)
{
    struct str s = {b->p, b->n};

    b->p = NULL;
    b->n = b->room = 0;
    return s;
}

const char *buf_z(struct buf *b)
{
    if (grow(b, 0))
        return NULL;
    b->p[b->n] = '\0';
    return b->p;
}
