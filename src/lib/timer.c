/* SPDX-License-Identifier: MIT
 *
 * A binary heap in an array. Each timer knows its place, so that stopping one is a removal by index and
 * leaves nothing behind: the memory a timer lives in may go the moment after.
 *
 * Deliberately absent: a timer wheel (its constant beats a heap only with very many *expiring* timers;
 * ours are nearly all moved or stopped before), and shrinking the array (8 bytes per timer at the peak).
 */
#include "lib/timer.h"

#include "lib/err.h"
#include "lib/mem.h"

#define HEAP_FIRST_ROOM 64

void timer_heap_init(struct timer_heap *h)
{
    *h = (struct timer_heap){0};
}

void timer_heap_release(struct timer_heap *h)
{
    mem_free(h->slots);
    timer_heap_init(h);
}

static void place(struct timer_heap *h, size_t i, struct timer *t)
{
    h->slots[i] = t;
    t->at = i + 1;
}

static void sift_up(struct timer_heap *h, size_t i, struct timer *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;

        if (h->slots[parent]->key_ms <= t->key_ms)
            break;
        place(h, i, h->slots[parent]);
        i = parent;
    }
    place(h, i, t);
}

static void sift_down(struct timer_heap *h, size_t i, struct timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->slots[child + 1]->key_ms < h->slots[child]->key_ms)
            child++;
        if (t->key_ms <= h->slots[child]->key_ms)
            break;
        place(h, i, h->slots[child]);
        i = child;
    }
    place(h, i, t);
}

void timer_heap_set(struct timer_heap *h, struct timer *t, uint64_t due_ms)
{
    BUG_ON(due_ms == 0);
    t->due_ms = due_ms;
    if (t->at && due_ms >= t->key_ms)
        return;
    t->key_ms = due_ms;
    if (t->at) {
        sift_up(h, t->at - 1, t);
        return;
    }
    if (h->n == h->room) {
        h->room = h->room ? h->room * 2 : HEAP_FIRST_ROOM;
        h->slots = mem_resize(h->slots, h->room, sizeof(struct timer *));
    }
    h->n++;
    sift_up(h, h->n - 1, t);
}

void timer_heap_remove(struct timer_heap *h, struct timer *t)
{
    struct timer *last;
    size_t i;

    t->due_ms = 0;
    if (!t->at)
        return;
    i = t->at - 1;
    BUG_ON(i >= h->n || h->slots[i] != t);
    t->at = 0;
    last = h->slots[--h->n];
    if (last == t)
        return;
    /* The last entry fills the hole; seen from there it may belong above or below. */
    if (i > 0 && last->key_ms < h->slots[(i - 1) / 2]->key_ms)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

struct timer *timer_heap_pop(struct timer_heap *h, uint64_t now_ms)
{
    while (h->n > 0 && h->slots[0]->key_ms <= now_ms) {
        struct timer *t = h->slots[0];

        /* One that was moved is put right first, even if it is due as well: others may be due before it. */
        if (t->key_ms == t->due_ms) {
            timer_heap_remove(h, t);
            return t;
        }
        t->key_ms = t->due_ms;
        sift_down(h, 0, t);
    }
    return NULL;
}

uint64_t timer_heap_next(const struct timer_heap *h)
{
    return h->n ? h->slots[0]->key_ms : 0;
}

void timer_heap_check(const struct timer_heap *h)
{
    BUG_ON(h->n > h->room);
    for (size_t i = 0; i < h->n; i++) {
        const struct timer *t = h->slots[i];

        BUG_ON(t->at != i + 1);
        BUG_ON(t->key_ms == 0 || t->key_ms > t->due_ms);
        BUG_ON(i > 0 && h->slots[(i - 1) / 2]->key_ms > t->key_ms);
    }
}
