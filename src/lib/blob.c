/* SPDX-License-Identifier: MIT */
#include "lib/blob.h"

#include <stdlib.h>
#include <string.h>

struct blob *blob_new(struct str bytes)
{
    struct blob *b = malloc(sizeof *b + bytes.n + 1);

    if (!b)
        return NULL;
    b->refs = 1;
    b->n = bytes.n;
    if (bytes.n)
        memcpy(b->p, bytes.p, bytes.n);
    b->p[bytes.n] = '\0';
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    if (b)
        b->refs++;
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    BUG_ON(b->refs == 0);
    if (--b->refs == 0)
        free(b);
}
