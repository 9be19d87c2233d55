/* SPDX-License-Identifier: MIT */
#include "lib/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void stop_out_of_memory(size_t n, size_t size)
{
    fprintf(stderr, "out of memory: %zu x %zu bytes could not be had, stopping\n", n, size);
    abort();
}

void *mem_zero(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);

    if (!p)
        stop_out_of_memory(n, size);
    return p;
}

void *mem_resize(void *p, size_t n, size_t size)
{
    void *q = reallocarray(p, n ? n : 1, size ? size : 1);

    if (!q)
        stop_out_of_memory(n, size);
    return q;
}

char *mem_str(const char *p, size_t n)
{
    char *s = mem_zero(n + 1, 1);

    if (n)
        memcpy(s, p, n);
    return s;
}

void mem_free(void *p)
{
    free(p);
}
