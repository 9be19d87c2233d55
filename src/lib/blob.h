/* SPDX-License-Identifier: MIT
 *
 * Immutable counted bytes: what outlives the request it came from, and what several readers share.
 *
 * Not thread-safe: a blob belongs to the thread that made it, unless ownership is handed over whole.
 */
#ifndef LIB_BLOB_H
#define LIB_BLOB_H

#include "lib/str.h"

struct blob {
    unsigned refs;
    size_t n;
    char p[]; /* n bytes and a NUL */
};

/* One reference, the caller's. NULL when the heap refuses (the size came from a peer). */
struct blob *blob_new(struct str bytes);
struct blob *blob_ref(struct blob *b); /* accepts NULL */
void blob_unref(struct blob *b);       /* accepts NULL */

static inline struct str blob_str(const struct blob *b)
{
    return b ? (struct str){b->p, b->n} : STR_NONE;
}

#endif
