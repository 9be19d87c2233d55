/* SPDX-License-Identifier: MIT
 *
 * libuv runs the I/O, one UV_RUN_ONCE at a time; around it stands end_turn(). It is called in three places:
 *
 *     loop_turn:   end_turn -> uv_run( .. prepare: end_turn -> poll -> callbacks .. ) -> end_turn
 *
 * before uv_run for what was started outside of any turn, in the prepare callback for what libuv's delayed
 * callbacks brought up (they run between uv_run's entry and the poll), after uv_run for the turn itself.
 * Nothing to do costs three comparisons and a clock read.
 *
 * Our timers are one heap behind one uv_timer. That uv_timer does nothing but end the poll: timers fire in
 * end_turn, by the time of lib/clock.h, which is what lets a test of thirty seconds take none. It is left
 * alone as long as the top of the heap does not change, and is active exactly while the heap is not empty,
 * so uv_loop_alive() is the right answer to "could anything still happen". Our prepare handle is unref'ed.
 *
 * libuv calls I/O callbacks from inside the poll and has no hook in front of them. The cached time is
 * therefore marked stale before the poll and read again by the first who asks; and the length of a turn is
 * taken as what passed less what libuv (UV_METRICS_IDLE_TIME) measured as waiting.
 */
#include "lib/loop.h"

#include <signal.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define SLOW_TURN_US 50000u
#define SLOW_LOG_EVERY_MS 1000u

/* Lengths in microseconds, 8 buckets per power of two: an error below 12.5 % in 1 KB. */
#define LAG_BUCKETS (8 * 30)

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* unref'ed */
    uv_timer_t wake;      /* active while the heap is not empty */
    uint64_t wake_ms;     /* the deadline `wake` is set for; 0 = not set */
    struct timer_heap timers;
    struct list deferred; /* struct deferred.link */
    struct list graves;   /* struct grave.link */
    uint64_t now_ms;
    bool now_is_stale;
    bool is_firing; /* timers' callbacks are running */
    bool is_unmeasured;
    bool is_in_turn; /* no second loop_turn() inside; outside, time is not cached */
    bool is_stopping;
    const char *note; /* literal */
    uint64_t turns;
    uint32_t lag[LAG_BUCKETS], lag_max_us;
    uint64_t slow_logged_ms; /* when the last slow turn was logged; 0 = never */
    unsigned slow_unlogged;  /* slow turns since then */
    char read_buffer[LOOP_READ_BYTES];
};

static void on_prepare(uv_prepare_t *prepare);
static void empty_graves(struct loop *l);

/* --- life ----------------------------------------------------------------------------------------- */

static void ignore_sigpipe(void)
{
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

struct loop *loop_new(void)
{
    struct loop *l = MEM_NEW(struct loop);

    ignore_sigpipe();
    BUG_ON(uv_loop_init(&l->uv)); /* fails only without memory or descriptors for ourselves */
    BUG_ON(uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME));
    l->uv.data = l;
    list_init(&l->deferred);
    list_init(&l->graves);
    timer_heap_init(&l->timers);
    BUG_ON(uv_timer_init(&l->uv, &l->wake));
    BUG_ON(uv_prepare_init(&l->uv, &l->prepare));
    l->prepare.data = l;
    BUG_ON(uv_prepare_start(&l->prepare, on_prepare));
    uv_unref((uv_handle_t *)&l->prepare);
    l->now_is_stale = true;
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    /* Work that was put off may close handles; these call back within one more run. */
    loop_turn(l, false);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    empty_graves(l);
    BUG_ON(!list_is_empty(&l->graves));
    BUG_ON(uv_loop_close(&l->uv));
    timer_heap_release(&l->timers);
    mem_free(l);
}

uv_loop_t *loop_uv(struct loop *l)
{
    return &l->uv;
}

char *loop_read_buffer(struct loop *l)
{
    return l->read_buffer;
}

uint64_t loop_now_ms(const struct loop *l)
{
    if (l->now_is_stale || !l->is_in_turn) {
        struct loop *cache = (struct loop *)l; /* reading the time does not change the loop */

        cache->now_ms = clock_mono_ms();
        cache->now_is_stale = false;
    }
    return l->now_ms;
}

/* --- timers --------------------------------------------------------------------------------------- */

void timer_init(struct timer *t, timer_fn fn, void *arg)
{
    *t = (struct timer){.fn = fn, .arg = arg};
}

void timer_start(struct loop *l, struct timer *t, uint64_t after_ms)
{
    uint64_t due;

    if (after_ms == 0 && l->is_firing)
        after_ms = 1;
    if (__builtin_add_overflow(loop_now_ms(l), after_ms, &due))
        due = UINT64_MAX;
    /* 0 means stopped; an injected clock may start there */
    timer_heap_set(&l->timers, t, due ? due : 1);
}

void timer_stop(struct loop *l, struct timer *t)
{
    timer_heap_remove(&l->timers, t);
}

/* Ends, because what is started meanwhile is due after now_ms, which does not move meanwhile. */
static bool fire_timers(struct loop *l)
{
    uint64_t now = loop_now_ms(l);
    bool any = false;
    struct timer *t;

    l->is_firing = true;
    while ((t = timer_heap_pop(&l->timers, now))) {
        any = true;
        t->fn(t, t->arg);
    }
    l->is_firing = false;
    return any;
}

static void on_wake(uv_timer_t *wake)
{
    struct loop *l = wake->loop->data;

    l->wake_ms = 0;
}

static void set_wake(struct loop *l)
{
    uint64_t next = timer_heap_next(&l->timers), now;

    if (next == l->wake_ms)
        return;
    l->wake_ms = next;
    if (next == 0) {
        uv_timer_stop(&l->wake);
        return;
    }
    now = loop_now_ms(l);
    uv_update_time(&l->uv); /* libuv counts from its own cached time, which may be old */
    BUG_ON(uv_timer_start(&l->wake, on_wake, next > now ? next - now : 0, 0));
}

/* --- end of turn ---------------------------------------------------------------------------------- */

void loop_defer(struct loop *l, struct deferred *d)
{
    if (!d->link.next)
        list_init(&d->link);
    if (!list_is_linked(&d->link))
        list_append(&l->deferred, &d->link);
}

void loop_undefer(struct deferred *d)
{
    if (d->link.next)
        list_remove(&d->link);
}

static bool run_deferred(struct loop *l)
{
    struct list *first;
    bool any = false;

    while ((first = list_first(&l->deferred))) {
        struct deferred *d = CONTAINER_OF(first, struct deferred, link);

        any = true;
        list_remove(first); /* before the call: it may defer itself again, or be freed in it */
        d->fn(d->arg);
    }
    return any;
}

void loop_bury(struct loop *l, struct grave *g, void (*free_fn)(struct grave *g))
{
    BUG_ON(g->free_fn);
    g->free_fn = free_fn;
    list_init(&g->link);
    list_append(&l->graves, &g->link);
}

/* A free_fn may bury another object, hence no walk over the list itself. */
static void empty_graves(struct loop *l)
{
    struct list *first, waiting;

    list_init(&waiting);
    while ((first = list_first(&l->graves))) {
        struct grave *g = CONTAINER_OF(first, struct grave, link);

        list_remove(first);
        if (g->n_pending)
            list_append(&waiting, first);
        else
            g->free_fn(g);
    }
    list_splice(&l->graves, &waiting);
}

/* Whether anything ran. */
static bool end_turn(struct loop *l)
{
    bool any;

    l->now_is_stale = true;
    any = fire_timers(l);
    do {
        any |= run_deferred(l);
        empty_graves(l);
    } while (!list_is_empty(&l->deferred));
    set_wake(l);
    return any;
}

/* --- turning -------------------------------------------------------------------------------------- */

/* The last moment before the poll. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *l = prepare->data;

    /* uv_stop() here means: look at the sockets, but do not wait. */
    if (end_turn(l) || l->is_stopping)
        uv_stop(&l->uv);
    l->now_is_stale = true;
}

/* 0..7 have buckets of their own; from there on three bits behind the leading one choose. */
static unsigned lag_bucket(uint32_t us)
{
    unsigned log2;

    if (us < 8)
        return us;
    log2 = 31 - (unsigned)__builtin_clz(us);
    return (log2 - 2) * 8 + ((us >> (log2 - 3)) & 7);
}

/* The largest length that falls into bucket i. */
static uint32_t lag_bucket_top(unsigned i)
{
    if (i < 8)
        return i;
    return (uint32_t)(((uint64_t)(8 + i % 8 + 1) << (i / 8 - 1)) - 1);
}

static void log_slow_turn(struct loop *l, uint64_t us)
{
    uint64_t now = loop_now_ms(l);

    if (l->slow_logged_ms && now - l->slow_logged_ms < SLOW_LOG_EVERY_MS) {
        l->slow_unlogged++;
        return;
    }
    log_event(LOG_WARN, "one turn of the event loop took too long, everything else waited",
              LOG_U64("turn_ms", us / 1000), LOG_Z("doing", l->note),
              LOG_U64("unlogged", l->slow_unlogged));
    l->slow_logged_ms = now ? now : 1;
    l->slow_unlogged = 0;
}

static void count_turn(struct loop *l, uint64_t took_ns, uint64_t idle_ns)
{
    uint64_t us = took_ns > idle_ns ? (took_ns - idle_ns) / 1000 : 0;
    uint32_t clamped = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;

    l->turns++;
    l->lag[lag_bucket(clamped)]++;
    if (clamped > l->lag_max_us)
        l->lag_max_us = clamped;
    if (us > SLOW_TURN_US)
        log_slow_turn(l, us);
}

void loop_leave_unmeasured(struct loop *l)
{
    l->is_unmeasured = true;
}

void loop_turn(struct loop *l, bool wait)
{
    uint64_t began = clock_mono_ns(), idle = uv_metrics_idle_time(&l->uv);

    BUG_ON(l->is_in_turn);
    l->is_in_turn = true;
    l->is_unmeasured = false;
    l->note = NULL;
    if (end_turn(l))
        wait = false;
    uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    end_turn(l);
    if (!l->is_unmeasured)
        count_turn(l, clock_mono_ns() - began, uv_metrics_idle_time(&l->uv) - idle);
    l->is_in_turn = false;
}

void loop_run(struct loop *l)
{
    /* The first turn also brings up what was deferred or started before; if nothing is alive then, it does
     * not wait. */
    do {
        if (l->is_stopping)
            break;
        loop_turn(l, true);
    } while (uv_loop_alive(&l->uv));
    l->is_stopping = false;
}

void loop_stop(struct loop *l)
{
    l->is_stopping = true;
}

/* --- how it is doing ------------------------------------------------------------------------------ */

void loop_note(struct loop *l, const char *what)
{
    l->note = what;
}

/* The length that `percent` of all turns did not exceed. */
static uint32_t lag_percentile(const struct loop *l, uint64_t percent)
{
    uint64_t wanted = (l->turns * percent + 99) / 100, seen = 0;

    for (unsigned i = 0; i < LAG_BUCKETS; i++) {
        seen += l->lag[i];
        if (seen >= wanted) {
            uint32_t top = lag_bucket_top(i);

            return top < l->lag_max_us ? top : l->lag_max_us;
        }
    }
    return l->lag_max_us;
}

struct loop_lag loop_lag(struct loop *l, bool reset)
{
    struct loop_lag lag = {.turns = l->turns,
                           .p50_us = lag_percentile(l, 50),
                           .p99_us = lag_percentile(l, 99),
                           .max_us = l->lag_max_us};

    if (reset) {
        l->turns = 0;
        l->lag_max_us = 0;
        memset(l->lag, 0, sizeof l->lag);
    }
    return lag;
}
