/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/loop.h"
#include "lib/mem.h"

/* --- an injected clock ---------------------------------------------------------------------------- */

static uint64_t fake_ms;

static uint64_t fake_mono(void)
{
    return fake_ms * 1000000;
}

static int64_t fake_wall(void)
{
    return 0;
}

static struct loop *start(uint64_t now_ms)
{
    static const struct clock_source source = {fake_mono, fake_wall};

    fake_ms = now_ms;
    clock_set(&source);
    return loop_new();
}

static void finish(struct loop *l)
{
    loop_free(l);
    clock_set(NULL);
}

/* --- what happened, in order ---------------------------------------------------------------------- */

static char trail[256];
static size_t n_trail;

static void mark(char c)
{
    if (n_trail < sizeof trail)
        trail[n_trail++] = c;
}

static struct str take_trail(void)
{
    struct str s = {trail, n_trail};

    n_trail = 0;
    return s;
}

static void *letter(char c)
{
    static char alphabet[] = "abcdefghijklmnopqrstuvwxyz";

    return &alphabet[c - 'a'];
}

static void on_mark(struct timer *t, void *arg)
{
    CHECK(!timer_is_on(t));
    mark(*(const char *)arg);
}

/* --- timers --------------------------------------------------------------------------------------- */

TEST(timers_fire_once_in_order_when_due)
{
    /* zero means "stopped" inside; no clock value may be taken for it */
    struct loop *l = start(0);
    struct timer a, b, c;

    timer_init(&a, on_mark, letter('a'));
    timer_init(&b, on_mark, letter('b'));
    timer_init(&c, on_mark, letter('c'));
    CHECK(!timer_is_on(&a));
    timer_stop(l, &a);
    timer_start(l, &a, 30000);
    timer_start(l, &b, 10);
    timer_start(l, &c, UINT64_MAX);
    CHECK(timer_is_on(&a) && timer_is_on(&c));
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR(""));
    fake_ms = 9;
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR(""));
    fake_ms = 10;
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("b"));
    timer_start(l, &b, 0);
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("b"));
    fake_ms = 60000;
    timer_start(l, &b, 1);
    fake_ms = 60001;
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("ab"));
    timer_stop(l, &c);
    timer_stop(l, &c);
    CHECK(!timer_is_on(&c));
    finish(l);
}

static struct loop *loop_in_test;
static struct timer *victim;

static void on_restart(struct timer *t, void *arg)
{
    mark(*(const char *)arg);
    timer_start(loop_in_test, t, 0);
}

static void on_stop_other(struct timer *t, void *arg)
{
    (void)t;
    mark(*(const char *)arg);
    timer_stop(loop_in_test, victim);
    memset(victim, 0xee, sizeof *victim); /* its memory may go at once */
}

TEST(timers_may_restart_and_stop_others_from_inside)
{
    struct loop *l = loop_in_test = start(5);
    struct timer again, stopper, stopped;

    timer_init(&again, on_restart, letter('r'));
    timer_init(&stopper, on_stop_other, letter('s'));
    timer_init(&stopped, on_mark, letter('x'));
    victim = &stopped;
    timer_start(l, &again, 0);
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("r")); /* once per millisecond, or it would starve everything */
    fake_ms++;
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("r"));
    timer_stop(l, &again);
    timer_start(l, &stopper, 1);
    timer_start(l, &stopped, 2);
    fake_ms += 5;
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("s"));
    finish(l);
}

enum { MODEL_TIMERS = 60 };

struct model {
    struct timer timer;
    uint64_t due; /* 0 = stopped */
    unsigned fired;
};

static struct model models[MODEL_TIMERS];
static uint64_t last_due;
static unsigned model_seed;

static void on_model(struct timer *t, void *arg)
{
    struct model *m = arg;

    CHECK(&m->timer == t);
    CHECK(m->due != 0 && m->due <= fake_ms);
    CHECK(m->due >= last_due); /* earliest first */
    last_due = m->due;
    m->due = 0;
    m->fired++;
    if (rand_r(&model_seed) % 3 == 0) { /* meddle with any timer, this one included */
        struct model *other = &models[rand_r(&model_seed) % MODEL_TIMERS];
        uint64_t after = 1 + (uint64_t)rand_r(&model_seed) % 50;

        if (rand_r(&model_seed) % 2) {
            timer_start(loop_in_test, &other->timer, after);
            other->due = fake_ms + after;
        } else {
            timer_stop(loop_in_test, &other->timer);
            other->due = 0;
        }
    }
}

/* Random programs: whatever is started, moved and stopped, what the model says fires, and in its order. */
TEST(timers_against_a_model)
{
    for (unsigned round = 0; round < 30; round++) {
        struct loop *l = loop_in_test = start(1000);

        model_seed = round + 1;
        for (int i = 0; i < MODEL_TIMERS; i++) {
            models[i] = (struct model){.due = 0};
            timer_init(&models[i].timer, on_model, &models[i]);
        }
        for (int step = 0; step < 400; step++) {
            struct model *m = &models[rand_r(&model_seed) % MODEL_TIMERS];
            uint64_t after = (uint64_t)rand_r(&model_seed) % 200;

            switch (rand_r(&model_seed) % 5) {
            case 0:
                timer_stop(l, &m->timer);
                m->due = 0;
                break;
            case 1:
                fake_ms += (uint64_t)rand_r(&model_seed) % 40;
                last_due = 0;
                loop_turn(l, false);
                for (int i = 0; i < MODEL_TIMERS; i++)
                    CHECK(models[i].due == 0 || models[i].due > fake_ms);
                break;
            default:
                timer_start(l, &m->timer, after);
                /* The loop's time is that of its last turn's end, which is now: nothing advanced it since. */
                m->due = fake_ms + after;
            }
            CHECK_INT(timer_is_on(&m->timer), m->due != 0);
        }
        finish(l);
    }
}

TEST(heap_stays_a_heap)
{
    static struct timer timers[200];
    uint64_t due[200] = {0}, now = 1;
    unsigned seed = 11;
    struct timer_heap h;

    timer_heap_init(&h);
    memset(timers, 0, sizeof timers);
    CHECK(!timer_heap_pop(&h, UINT64_MAX));
    for (int step = 0; step < 20000; step++) {
        size_t i = (size_t)rand_r(&seed) % 200;

        if (rand_r(&seed) % 4 == 0) {
            timer_heap_remove(&h, &timers[i]);
            due[i] = 0;
        } else {
            due[i] = now + (uint64_t)rand_r(&seed) % 1000;
            timer_heap_set(&h, &timers[i], due[i]);
        }
        if (step % 50 == 0) {
            uint64_t before = 0;
            struct timer *t;

            now += 100;
            while ((t = timer_heap_pop(&h, now))) {
                uint64_t was = due[t - timers];

                CHECK(was >= before && was <= now && was > 0);
                before = was;
                due[t - timers] = 0;
            }
            for (int k = 0; k < 200; k++)
                CHECK(due[k] == 0 || due[k] > now);
        }
        timer_heap_check(&h);
        for (int k = 0; step % 100 == 0 && k < 200; k++)
            CHECK(due[k] == timers[k].due_ms && (due[k] == 0 || timer_heap_next(&h) <= due[k]));
    }
    timer_heap_release(&h);
}

/* With the real clock: the loop sleeps until the timer and not for ever, and time goes on while it sleeps. */
TEST(waiting_ends_with_the_timer)
{
    struct loop *l = loop_new();
    struct timer early, late;
    uint64_t before = loop_now_ms(l);

    timer_init(&early, on_mark, letter('e'));
    timer_init(&late, on_mark, letter('l'));
    timer_start(l, &late, 1);
    /* moved later: its place in the heap is looked at too early, once */
    timer_start(l, &late, 6);
    timer_start(l, &early, 3);
    loop_run(l);
    CHECK_STR(take_trail(), STR("el"));
    CHECK(loop_now_ms(l) >= before + 6);
    loop_free(l);
}

/* --- end of turn ---------------------------------------------------------------------------------- */

struct step {
    struct deferred d;
    struct loop *loop;
    struct step *next; /* deferred from inside */
    char name;
};

static void on_step(void *arg)
{
    struct step *s = arg;

    mark(s->name);
    if (s->next)
        loop_defer(s->loop, &s->next->d);
}

static void on_timer_defer(struct timer *t, void *arg)
{
    struct step *s = arg;

    (void)t;
    mark('t');
    loop_defer(s->loop, &s->d);
    loop_defer(s->loop, &s->d); /* once all the same */
}

TEST(deferred_runs_at_the_end_of_the_same_turn)
{
    struct loop *l = start(1);
    struct step c = {.d = {.fn = on_step, .arg = &c}, .loop = l, .name = 'c'};
    struct step b = {.d = {.fn = on_step, .arg = &b}, .loop = l, .name = 'b'};
    struct step a = {.d = {.fn = on_step, .arg = &a}, .loop = l, .name = 'a', .next = &c};
    struct timer t;

    timer_init(&t, on_timer_defer, &a);
    timer_start(l, &t, 0);
    loop_defer(l, &b.d);
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("tbac"));
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR(""));
    loop_undefer(&c.d);
    loop_defer(l, &c.d);
    loop_defer(l, &b.d);
    loop_undefer(&c.d);
    loop_undefer(&c.d);
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR("b"));
    finish(l);
}

static void on_async(uv_async_t *async)
{
    struct step *s = async->data;

    mark('i');
    loop_defer(s->loop, &s->d);
}

static void on_close_async(void *arg)
{
    mark('d');
    uv_close((uv_handle_t *)arg, NULL);
}

/* Work deferred from an I/O callback closes the only handle: did the loop sleep before it, it would never
 * wake up. The same for work deferred before the loop runs. */
TEST(the_loop_never_sleeps_on_deferred_work)
{
    for (int before = 0; before < 2; before++) {
        struct loop *l = loop_new();
        uv_async_t async;
        struct step s = {.d = {.fn = on_close_async, .arg = &async}, .loop = l};

        CHECK_INT(uv_async_init(loop_uv(l), &async, on_async), 0);
        async.data = &s;
        if (before)
            loop_defer(l, &s.d);
        else
            uv_async_send(&async);
        loop_run(l);
        CHECK_STR(take_trail(), before ? STR("d") : STR("id"));
        loop_free(l);
    }
}

static void on_foreign_timer(uv_timer_t *timer)
{
    struct step *s = timer->data;

    loop_defer(s->loop, &s->d);
}

/* libuv runs its own timers right before the poll: the last moment at which something may be deferred. */
TEST(nor_on_work_deferred_right_before_the_poll)
{
    struct loop *l = loop_new();
    uv_async_t async;
    uv_timer_t timer;
    struct step s = {.d = {.fn = on_close_async, .arg = &async}, .loop = l};

    CHECK_INT(uv_async_init(loop_uv(l), &async, on_async), 0);
    CHECK_INT(uv_timer_init(loop_uv(l), &timer), 0);
    timer.data = &s;
    CHECK_INT(uv_timer_start(&timer, on_foreign_timer, 0, 0), 0);
    loop_run(l);
    CHECK_STR(take_trail(), STR("d"));
    /* not earlier: libuv does not sleep on a closing handle */
    uv_close((uv_handle_t *)&timer, NULL);
    loop_free(l);
}

static void on_idle_timer(struct timer *t, void *arg)
{
    (void)t;
    uv_close((uv_handle_t *)arg, NULL);
}

TEST(one_turn_waits_only_if_there_was_nothing_to_do)
{
    struct loop *l = start(1);
    struct step s = {.d = {.fn = on_step, .arg = &s}, .loop = l, .name = 's'};
    struct timer t;
    uv_async_t async; /* keeps the loop alive, never sends */

    CHECK_INT(uv_async_init(loop_uv(l), &async, on_async), 0);
    loop_defer(l, &s.d);
    loop_turn(l, true);
    CHECK_STR(take_trail(), STR("s"));
    timer_init(&t, on_idle_timer, &async);
    timer_start(l, &t, 0);
    loop_turn(l, true);
    CHECK(uv_is_closing((uv_handle_t *)&async));
    loop_run(l);
    finish(l);
}

static void on_stop(struct timer *t, void *arg)
{
    (void)t;
    loop_stop(arg);
}

TEST(stopping)
{
    struct loop *l = start(1);
    uv_async_t async;
    struct timer t;

    loop_run(l); /* nothing could ever happen */
    CHECK_INT(uv_async_init(loop_uv(l), &async, on_async), 0);
    timer_init(&t, on_stop, l);
    timer_start(l, &t, 0);
    loop_run(l);
    loop_stop(l);
    loop_run(l); /* stopped before it began */
    timer_start(l, &t, 0);
    loop_run(l);
    uv_close((uv_handle_t *)&async, NULL);
    loop_run(l);
    finish(l);
}

/* --- graveyard ------------------------------------------------------------------------------------ */

struct body {
    struct grave grave;
    struct loop *loop;
    struct body *child; /* buried when this one is freed */
    uv_timer_t handle;
    char name;
};

static void free_body(struct grave *g)
{
    struct body *b = CONTAINER_OF(g, struct body, grave);

    mark(b->name);
    if (b->child)
        loop_bury(b->loop, &b->child->grave, free_body);
    mem_free(b);
}

static struct body *new_body(struct loop *l, char name)
{
    struct body *b = MEM_NEW(struct body);

    b->loop = l;
    b->name = name;
    return b;
}

static void on_body_closed(uv_handle_t *handle)
{
    struct body *b = handle->data;

    mark('c');
    b->grave.n_pending--;
}

static void bury_from_inside(void *arg)
{
    struct body *b = arg;

    b->grave.n_pending++;
    uv_close((uv_handle_t *)&b->handle, on_body_closed);
    loop_bury(b->loop, &b->grave, free_body);
    mark('.');
}

TEST(graves_wait_for_the_turn_and_for_libuv)
{
    struct loop *l = start(1);
    struct body *a = new_body(l, 'a'), *b = new_body(l, 'b');
    struct deferred d = {.fn = bury_from_inside, .arg = a};

    a->child = b;
    CHECK_INT(uv_timer_init(loop_uv(l), &a->handle), 0);
    a->handle.data = a;
    loop_bury(l, &new_body(l, 'x')->grave, free_body);
    CHECK_STR(take_trail(), STR(""));
    loop_defer(l, &d);
    loop_turn(l, false);
    CHECK_STR(take_trail(), STR(".xcab"));
    finish(l);
}

TEST(free_empties_the_last_graves)
{
    struct loop *l = start(1);
    struct body *a = new_body(l, 'a');

    CHECK_INT(uv_timer_init(loop_uv(l), &a->handle), 0);
    a->handle.data = a;
    bury_from_inside(a);
    loop_free(NULL);
    finish(l);
    CHECK_STR(take_trail(), STR(".ca"));
}

/* --- lag ------------------------------------------------------------------------------------------ */

static void on_take_time(struct timer *t, void *arg)
{
    (void)t;
    loop_note(loop_in_test, "counting sheep");
    fake_ms += *(const uint64_t *)arg;
}

static void turn_of(struct loop *l, uint64_t ms)
{
    struct timer t;

    timer_init(&t, on_take_time, &ms);
    timer_start(l, &t, 0);
    loop_turn(l, false);
}

TEST(lag_figures)
{
    struct loop *l = loop_in_test = start(1);
    struct loop_lag lag = loop_lag(l, true);

    CHECK_INT(lag.turns, 0);
    CHECK_INT(lag.p99_us, 0);
    for (int i = 0; i < 90; i++)
        turn_of(l, 1);
    for (int i = 0; i < 8; i++)
        turn_of(l, 7);
    turn_of(l, 30);
    turn_of(l, 40);
    lag = loop_lag(l, false);
    CHECK_INT(lag.turns, 100);
    /* a bucket is an eighth wide; idle time is subtracted */
    CHECK(lag.p50_us > 875 && lag.p50_us < 1125);
    CHECK(lag.p99_us > 26000 && lag.p99_us < 34000);
    CHECK(lag.max_us > 39000 && lag.max_us <= 40000);
    CHECK_INT(loop_lag(l, true).turns, 100);
    CHECK_INT(loop_lag(l, true).turns, 0);
    fake_ms += 5000; /* between two turns: nobody waited */
    loop_turn(l, false);
    lag = loop_lag(l, true);
    CHECK_INT(lag.turns, 1);
    CHECK_INT(lag.max_us, 0);
    finish(l);
}

static size_t captured(int fd, char *text, size_t room)
{
    ssize_t n = pread(fd, text, room - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    CHECK_INT(ftruncate(fd, 0), 0);
    return (size_t)lseek(fd, 0, SEEK_SET) + strlen(text);
}

TEST(slow_turns_are_logged_with_what_ran)
{
    struct loop *l = loop_in_test = start(1);
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    char text[2000];

    CHECK(file != NULL);
    dup2(fileno(file), STDERR_FILENO);
    turn_of(l, 40);
    CHECK_INT(captured(fileno(file), text, sizeof text), 0);
    turn_of(l, 60);
    captured(fileno(file), text, sizeof text);
    CHECK(strstr(text, "level=warn") && strstr(text, "doing=\"counting sheep\""));
    CHECK(strstr(text, "turn_ms=59") || strstr(text, "turn_ms=60"));
    turn_of(l, 70);
    turn_of(l, 80);
    CHECK_INT(captured(fileno(file), text, sizeof text), 0); /* at most one line per second */
    fake_ms += 1000;
    turn_of(l, 90);
    captured(fileno(file), text, sizeof text);
    CHECK(strstr(text, "unlogged=2"));
    dup2(saved, STDERR_FILENO);
    close(saved);
    fclose(file);
    finish(l);
}

TEST(writing_to_a_closed_pipe_does_not_kill)
{
    struct loop *l = loop_new();
    int fds[2];

    CHECK_INT(pipe(fds), 0);
    close(fds[0]);
    CHECK_INT(write(fds[1], "x", 1), -1);
    close(fds[1]);
    loop_free(l);
}

TEST_MAIN
