/* SPDX-License-Identifier: MIT
 *
 * The event loop of one thread: libuv, plus the four things libuv leaves open.
 *
 *  1. Timers that live inside the objects they belong to, cost nothing to move forward (a keep-alive
 *     deadline is pushed on with every request) and may be forgotten at once when their object dies.
 *  2. Work "at the end of this turn": loop_defer(). Batches are formed there, corked writes go out there.
 *  3. The graveyard: an object that was destroyed while it was on the stack, or while libuv still holds
 *     one of its handles or requests, is freed when the turn has ended and the last of them called back.
 *  4. A look at itself: the longest and the p99 turn, and a log line for turns above 50 ms.
 *
 * A turn, in order:
 *
 *     poll -> callbacks of I/O and of closed handles -> timers due -> deferred work -> graveyard -> poll
 *
 * The last three are one stage, "end of turn". It also runs right before the poll when anything came up in
 * between, so that the loop never sleeps on deferred work. All time is that of lib/clock.h.
 *
 * The first loop makes the process ignore SIGPIPE: libuv writes to sockets without MSG_NOSIGNAL.
 *
 * Nothing that runs on the loop may block.
 */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/list.h"
#include "lib/str.h"
#include "lib/timer.h"

struct loop;

struct loop *loop_new(void);
/* All handles of others must have been closed, or at least be closing; the last graves are emptied. Timers
 * still running are forgotten. Accepts NULL. */
void loop_free(struct loop *l);

/* Runs until loop_stop() or until nothing is left that could happen. */
void loop_run(struct loop *l);
/* One turn; waits for something to happen unless `wait` is false. For tests and the CLI. Neither this nor
 * loop_run() may be called from inside a callback of the loop. */
void loop_turn(struct loop *l, bool wait);
/* Makes loop_run() return at the end of this turn, or at once when it is called next. */
void loop_stop(struct loop *l);

uv_loop_t *loop_uv(struct loop *l);

/* Monotonic milliseconds: clock_mono_ms(), read at most once between two stages of a turn (what came from
 * the poll; end of turn). Outside of a turn it is read at each call. */
uint64_t loop_now_ms(const struct loop *l);

/* A buffer of LOOP_READ_BYTES shared by everything that reads on this loop; content is gone when the
 * read callback returns. */
#define LOOP_READ_BYTES 65536
char *loop_read_buffer(struct loop *l);

/* --- timers ------------------------------------------------------------------------------------- */

void timer_init(struct timer *t, timer_fn fn, void *arg);
/* (Re)starts: fires once, `after_ms` from now, never from inside this call. Moving it later is O(1). Started
 * by a timer's callback it fires a millisecond later at the earliest: timers cannot starve the rest. */
void timer_start(struct loop *l, struct timer *t, uint64_t after_ms);
/* After this the timer never fires and its memory may go. May be called twice. */
void timer_stop(struct loop *l, struct timer *t);
static inline bool timer_is_on(const struct timer *t)
{
    return t->due_ms != 0;
}

/* --- end of turn -------------------------------------------------------------------------------- */

struct deferred {
    struct list link; /* zeroed or list_init'ed at birth */
    void (*fn)(void *arg);
    void *arg; /* borrowed until it ran or loop_undefer() */
};

/* Runs d->fn once when this turn's callbacks are done. Deferring twice in a turn runs it once. Deferred
 * work may defer again: that runs in the same turn's end, after the rest. */
void loop_defer(struct loop *l, struct deferred *d);
void loop_undefer(struct deferred *d);

/* --- graveyard ---------------------------------------------------------------------------------- */

struct grave {
    struct list link;
    void (*free_fn)(struct grave *g);
    unsigned n_pending; /* uv handles and requests that have not called back yet */
};

/* Hands the object over, once. free_fn runs after the turn has ended and n_pending has come down to 0;
 * whoever owns the object counts n_pending up when it starts a handle or request, and down in its callback. */
void loop_bury(struct loop *l, struct grave *g, void (*free_fn)(struct grave *g));

/* --- how it is doing ---------------------------------------------------------------------------- */

struct loop_lag {
    uint64_t turns;
    uint32_t p50_us, p99_us, max_us; /* length of a turn: poll return to next poll */
};

/* Figures since the last call with reset = true. */
struct loop_lag loop_lag(struct loop *l, bool reset);

/* Leaves this turn out of the figures. For signal handlers: when a signal interrupts the poll, libuv forgets how
 * long it had slept, and the turn would look as long as the sleep. */
void loop_leave_unmeasured(struct loop *l);

/* Notes what is running; the last note is shown if this turn turns out long. `what` must be a literal. */
void loop_note(struct loop *l, const char *what);

#endif
