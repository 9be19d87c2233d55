/* SPDX-License-Identifier: MIT
 *
 * A heap of deadlines. Pure: it knows neither a loop nor a clock, time comes in as an argument.
 *
 * Timers live inside the objects they belong to; the heap only points at them. Most deadlines are pushed on
 * again and again and never come (a keep-alive with each request, a stream with each event), so moving one
 * later does not touch the heap: only due_ms changes, and the entry is put right when it comes to the top.
 *
 *     in the heap (at != 0):   key_ms <= due_ms,   the heap is ordered by key_ms
 *     not in it   (at == 0):   due_ms == 0
 *
 * Timers due at the same millisecond fire in no particular order.
 */
#ifndef LIB_TIMER_H
#define LIB_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void (*timer_fn)(struct timer *t, void *arg);

struct timer {
    timer_fn fn;
    void *arg;       /* borrowed: the object this timer lives in */
    uint64_t due_ms; /* when it fires; 0 = stopped */
    uint64_t key_ms; /* where it stands in the heap; <= due_ms */
    size_t at;       /* 1 + index in the heap; 0 = not in it */
};

struct timer_heap {
    struct timer **slots; /* owned array of borrowed timers */
    size_t n, room;
};

void timer_heap_init(struct timer_heap *h);
/* The timers are forgotten, not stopped: their memory belongs to others. */
void timer_heap_release(struct timer_heap *h);

/* Puts `t` in, or moves it. due_ms > 0. O(1) when it is moved later, else O(log n). */
void timer_heap_set(struct timer_heap *h, struct timer *t, uint64_t due_ms);

/* Takes `t` out if it is in. */
void timer_heap_remove(struct timer_heap *h, struct timer *t);

/* Takes out and returns a timer due at `now_ms`, the earliest first; NULL when none is. */
struct timer *timer_heap_pop(struct timer_heap *h, uint64_t now_ms);

/* When to look next: not later than the earliest deadline, possibly earlier. 0 = the heap is empty. */
uint64_t timer_heap_next(const struct timer_heap *h);

/* Stops the process if the heap is not what the text above says. For tests. */
void timer_heap_check(const struct timer_heap *h);

#endif
