/* SPDX-License-Identifier: MIT
 *
 * Heap memory whose size *we* decide (fixed structs, tables bounded by configuration).
 *
 * There is no failure path: when a few hundred bytes of our own cannot be had, the process cannot
 * keep its promises either, and stops with a clear line. Memory whose size a peer decides never comes
 * from here but from buf or arena, which have a maximum and fail only the request concerned.
 */
#ifndef LIB_MEM_H
#define LIB_MEM_H

#include <stddef.h>

#include "lib/err.h"

/* Zeroed memory for `n` items of `size` bytes; never NULL. Free with mem_free(). */
void *mem_zero(size_t n, size_t size) __attribute__((returns_nonnull));

/* Grows or shrinks an array obtained from mem_; new items are not zeroed. Never NULL for n > 0. */
void *mem_resize(void *p, size_t n, size_t size);

/* A NUL-terminated copy of `n` bytes at `p`. Owner: the caller. */
char *mem_str(const char *p, size_t n) __attribute__((returns_nonnull));

/* Accepts NULL. */
void mem_free(void *p);

#define MEM_NEW(type) ((type *)mem_zero(1, sizeof(type)))

#endif
