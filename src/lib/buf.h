/* SPDX-License-Identifier: MIT
 *
 * A growing byte buffer born with its maximum.
 *
 *     0 <= n <= room <= max        bytes [0, n) are content, owned by the buffer
 *
 * Reaching `max`, or the heap refusing, is ERR_LIMIT / ERR_NOMEM. The error *sticks*: later adds change
 * nothing and return it again, so a writer of twenty pieces may check once, with buf_error(), at the end.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/err.h"
#include "lib/str.h"

struct buf {
    char *p;     /* owned */
    size_t n;    /* bytes used */
    size_t room; /* bytes allocated */
    size_t max;  /* bytes allowed */
    int err;     /* first failure, sticky until buf_clear() */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b); /* frees; the buffer may be init'ed again */

/* Empty again, memory kept, error forgotten. */
void buf_clear(struct buf *b);

/* Empty again; memory beyond `keep` bytes is given back. */
void buf_shrink(struct buf *b, size_t keep);

/* Appending. Return 0, ERR_LIMIT or ERR_NOMEM. Ignoring the result is allowed because it sticks. */
static inline int buf_add(struct buf *b, const void *p, size_t n);
static inline int buf_add_str(struct buf *b, struct str s);
static inline int buf_add_char(struct buf *b, char c);
int buf_add_u64(struct buf *b, uint64_t v);
int buf_add_i64(struct buf *b, int64_t v);
int buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

#define BUF_LIT(b, literal) buf_add((b), "" literal, sizeof(literal) - 1)

/* Makes room for `n` more bytes and returns where they go; NULL on failure. buf_commit() says how many
 * were written. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Drops the first `n` bytes. */
void buf_consume(struct buf *b, size_t n);

/* Moves the content out: *p is the caller's to free with mem_free(). The buffer is empty afterwards. */
struct str buf_take(struct buf *b);

/* Terminates the content (not counted in n) and returns it; NULL on failure. Borrowed until the next
 * change. */
const char *buf_z(struct buf *b);

/* buf_add() when there is no room yet, or no more. */
int buf_add_slow(struct buf *b, const void *p, size_t n);

/* Answers are written in dozens of small pieces, nearly all of which fit: those cost a comparison and a copy. */
static inline int buf_add(struct buf *b, const void *p, size_t n)
{
    if (b->err || n >= b->room - b->n || n > b->max - b->n)
        return buf_add_slow(b, p, n);
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

static inline int buf_add_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

static inline int buf_add_char(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

static inline int buf_error(const struct buf *b)
{
    return b->err;
}

#endif
