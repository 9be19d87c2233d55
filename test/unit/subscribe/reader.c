/* SPDX-License-Identifier: MIT
 *
 * Readers against a naive model. The store is a stand-in: a log in memory that commits when told to, and answers pages
 * when told to, or fails. Whatever readers do (begin now or behind a cursor, pull fast, slowly or not at all, go and come
 * back), each must be given every told event behind where it began, in order, once.
 */
#include "subscribe/subscribe_int.h"

#include "check.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

/* --- a store that is not one ---------------------------------------------------------------------- */

#define LOG_MAX 4096

struct entry_of_log {
    enum a2a_event_kind kind;
    enum a2a_state state; /* of a status update */
    char payload[160];
};

struct page_wanted {
    struct list link;
    uint64_t after;
    store_events_fn fn;
    void *arg;
};

static struct entry_of_log history[LOG_MAX + 1]; /* by seq */
static uint64_t n_log;
static enum a2a_state state_now;
static struct store_listener *listener;
static struct list pages;
static struct loop *loop;
static struct feeds *feeds;
static unsigned noise = 1;

static unsigned any(unsigned n)
{
    noise = noise * 1103515245u + 12345u;
    return (noise >> 16) % n;
}

void store_listen(struct store *s, struct store_listener *l)
{
    (void)s;
    listener = l;
}

void store_unlisten(struct store *s, struct store_listener *l)
{
    (void)s;
    (void)l;
    listener = NULL;
}

int store_events_read(struct store *s, struct str agent, struct str id, uint64_t after,
                      size_t max_bytes, store_events_fn fn, void *arg)
{
    struct page_wanted *p = MEM_NEW(struct page_wanted);

    (void)s;
    (void)agent;
    (void)id;
    (void)max_bytes;
    p->after = after;
    p->fn = fn;
    p->arg = arg;
    list_append(&pages, &p->link);
    return 0;
}

int store_task_get(struct store *s, struct str agent, struct str id, store_task_fn fn,
                   void *arg)
{
    (void)s;
    (void)agent;
    (void)id;
    (void)fn;
    (void)arg;
    return ERR_CANCELED;
}

struct task *task_ref(struct task *t)
{
    t->refs++;
    return t;
}

void task_unref(struct task *t)
{
    if (t && --t->refs == 0)
        mem_free(t);
}

static struct task *task_at(uint64_t seq)
{
    struct task *t = MEM_NEW(struct task);

    t->refs = 1;
    t->dialect = A2A_1_0;
    t->state = state_now;
    t->seq = seq;
    t->agent = STR("a");
    t->id = STR("t");
    t->context = STR("c");
    t->doc = STR("{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}");
    return t;
}

static void add_to_log(enum a2a_event_kind kind, enum a2a_state state)
{
    struct entry_of_log *e = &history[++n_log];

    BUG_ON(n_log > LOG_MAX);
    e->kind = kind;
    e->state = state;
    if (kind == A2A_EVENT_STATUS_UPDATE) {
        state_now = state;
        snprintf(
            e->payload, sizeof e->payload,
            "{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"%s\",\"n\":%llu}}",
            a2a_state_name(state, A2A_1_0), (unsigned long long)n_log);
    } else if (kind == A2A_EVENT_ARTIFACT_UPDATE) {
        snprintf(e->payload, sizeof e->payload,
                 "{\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":{\"artifactId\":\"%llu\","
                 "\"parts\":[{\"text\":\"x\"}]}}",
                 (unsigned long long)n_log);
    } else {
        snprintf(e->payload, sizeof e->payload, "{\"silent\":%llu}", (unsigned long long)n_log);
    }
}

static struct store_event event_at(uint64_t seq)
{
    return (struct store_event){.seq = seq,
                                .kind = history[seq].kind,
                                .dialect = A2A_1_0,
                                .payload = str_of(history[seq].payload)};
}

/* What stands behind `from` becomes durable; `is_ours` false: by another node. */
static void commit(uint64_t from, bool is_ours)
{
    struct store_event events[32];
    struct task *task = task_at(n_log);
    size_t n = 0;

    for (uint64_t seq = from + 1; seq <= n_log; seq++)
        events[n++] = event_at(seq);
    if (is_ours)
        listener->on_commit(listener->arg, task, events, n);
    else
        listener->on_changed(listener->arg, STR("a"), STR("t"), n_log);
    task_unref(task);
}

/* Answers the oldest page that is wanted, or fails it. */
static void answer_page(bool fails)
{
    struct list *first = list_first(&pages);
    struct store_event events[8];
    struct page_wanted *p;
    size_t n = 0;

    if (!first)
        return;
    p = CONTAINER_OF(first, struct page_wanted, link);
    list_remove(first);
    while (!fails && n < 1 + any(7) && p->after + n < n_log) {
        events[n] = event_at(p->after + n + 1);
        n++;
    }
    p->fn(p->arg, fails ? ERR_STORE : 0, events, n);
    mem_free(p);
}

/* --- readers that keep a book --------------------------------------------------------------------- */

struct listener_of_ours {
    struct reader *reader;
    enum reader_kind kind;
    uint64_t expected; /* the seq it must be given next, or a silent one before that */
    bool is_ready, is_ended, is_going_on;
    unsigned n_told;
};

static uint64_t stopped_ns = 1000000000;

static uint64_t mono(void)
{
    return stopped_ns;
}

static int64_t wall(void)
{
    return 1700000000000000;
}

static void on_ready(void *arg)
{
    ((struct listener_of_ours *)arg)->is_ready = true;
}

static bool is_going_on(void *arg, struct str agent, struct str id)
{
    (void)agent;
    (void)id;
    return ((struct listener_of_ours *)arg)->is_going_on;
}

static void open_reader(struct listener_of_ours *l, enum reader_kind kind, uint64_t after,
                        enum a2a_version version)
{
    struct reader_config config = {.kind = kind,
                                   .version = version,
                                   .after = after,
                                   .is_going_on = is_going_on,
                                   .on_ready = on_ready,
                                   .arg = l};
    struct task *task = task_at(n_log);

    *l = (struct listener_of_ours){.kind = kind, .is_ready = true, .is_going_on = true};
    l->expected = after == READER_FROM_NOW ? n_log : after + 1;
    CHECK_INT(reader_open(feeds, task, &config, &l->reader), 0);
    task_unref(task);
}

static void close_reader(struct listener_of_ours *l)
{
    reader_close(l->reader);
    l->reader = NULL;
}

/* Takes at most `n` events, and looks at each. */
static void pull(struct listener_of_ours *l, unsigned n)
{
    struct reader_event event;
    const char *why = NULL;
    int err = 0;

    while (l->reader && l->is_ready && n-- > 0 &&
           !(err = reader_next(l->reader, &event, &why))) {
        if (!event.task)
            while (l->expected < n_log && !a2a_event_is_told(history[l->expected].kind))
                l->expected++;
        CHECK_INT(event.seq, l->expected);
        if (!event.task) {
            char said[32];

            snprintf(said, sizeof said, "%llu", (unsigned long long)event.seq);
            CHECK(memmem(event.object.p, event.object.n, said, strlen(said)) != NULL);
        }
        CHECK_INT(event.is_last, event.seq == n_log && a2a_state_is_terminal(state_now));
        l->expected = event.seq + 1;
        l->n_told++;
    }
    if (err == ERR_AGAIN)
        l->is_ready = false;
    else if (err)
        l->is_ended = true;
    CHECK(err == 0 || err == ERR_AGAIN || err == ERR_ABSENT);
}

static void turn(void)
{
    stopped_ns += 1000000;
    loop_turn(loop, false);
}

static void begin(void)
{
    static const struct clock_source clock = {mono, wall};

    clock_set(&clock);
    log_setup(LOG_ERROR, false);
    n_log = 0;
    state_now = A2A_STATE_WORKING;
    list_init(&pages);
    loop = loop_new();
    feeds = feeds_new(loop, NULL);
    feeds->ring_events = 6;
    add_to_log(A2A_EVENT_MESSAGE, A2A_STATE_WORKING);
    add_to_log(A2A_EVENT_TASK, A2A_STATE_WORKING);
    snprintf(history[2].payload, sizeof history[2].payload,
             "{\"id\":\"t\",\"n\":2,\"status\":{\"state\":\"TASK_STATE_WORKING\"}}");
}

static void finish(void)
{
    while (!list_is_empty(&pages))
        answer_page(true);
    feeds_stop(feeds);
    turn();
    feeds_free(feeds);
    loop_free(loop);
}

/* --- tests ---------------------------------------------------------------------------------------- */

TEST(a_reader_from_now_is_given_the_task_then_what_comes)
{
    struct listener_of_ours l;

    begin();
    open_reader(&l, READER_SUBSCRIBER, READER_FROM_NOW, A2A_1_0);
    pull(&l, 10);
    CHECK_INT(l.n_told, 1);
    add_to_log(A2A_EVENT_ARTIFACT_UPDATE, 0);
    add_to_log(A2A_EVENT_SYNC, 0);
    add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_COMPLETED);
    commit(2, true);
    CHECK(!l.is_ready);
    turn();
    CHECK(l.is_ready);
    pull(&l, 10);
    CHECK_INT(l.n_told, 3);
    CHECK(l.is_ended);
    close_reader(&l);
    finish();
}

TEST(two_readers_of_a_version_are_given_the_same_text)
{
    struct listener_of_ours a, b, c;
    struct reader_event one, two, three;
    const char *why;

    begin();
    open_reader(&a, READER_SUBSCRIBER, 2, A2A_0_3);
    open_reader(&b, READER_SUBSCRIBER, 2, A2A_0_3);
    open_reader(&c, READER_SUBSCRIBER, 2, A2A_1_0);
    CHECK_INT(reader_next(a.reader, &one, &why), ERR_AGAIN);
    add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_WORKING);
    commit(2, true);
    turn();
    CHECK_INT(reader_next(a.reader, &one, &why), 0);
    CHECK_INT(reader_next(b.reader, &two, &why), 0);
    CHECK_INT(reader_next(c.reader, &three, &why), 0);
    CHECK(one.object.p == two.object.p);
    CHECK(one.object.p != three.object.p);
    CHECK(memmem(one.object.p, one.object.n, "\"final\":false", 13) != NULL);
    CHECK(memmem(three.object.p, three.object.n, "{\"statusUpdate\":", 16) == three.object.p);
    close_reader(&a);
    close_reader(&b);
    close_reader(&c);
    finish();
}

TEST(a_sender_hears_the_end_where_its_agent_stops)
{
    struct reader_event event;
    struct listener_of_ours sender, other;
    const char *why;

    begin();
    open_reader(&sender, READER_SENDER, 2, A2A_0_3);
    open_reader(&other, READER_SUBSCRIBER, 2, A2A_0_3);
    add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_INPUT_REQUIRED);
    commit(2, true);
    CHECK_INT(reader_next(sender.reader, &event, &why), 0); /* its agent still streams */
    CHECK(!event.is_last);
    CHECK_INT(reader_next(sender.reader, &event, &why), ERR_AGAIN);
    sender.is_going_on = sender.is_ready = false;
    feeds_nudge(feeds, STR("a"), STR("t"));
    turn();
    CHECK(sender.is_ready);
    CHECK_INT(reader_next(sender.reader, &event, &why), ERR_ABSENT);
    CHECK_INT(reader_next(other.reader, &event, &why), 0);
    CHECK(!event.is_last);
    CHECK_INT(reader_next(other.reader, &event, &why), ERR_AGAIN);
    close_reader(&sender);
    open_reader(&sender, READER_SENDER, 2, A2A_0_3); /* comes back, and the agent has stopped */
    sender.is_going_on = false;
    /* from the ring: the other was slow */
    CHECK_INT(reader_next(sender.reader, &event, &why), 0);
    CHECK(event.is_last);
    CHECK(memmem(event.object.p, event.object.n, "\"final\":true", 12) != NULL);
    CHECK_INT(reader_next(sender.reader, &event, &why), ERR_ABSENT);
    close_reader(&sender);
    close_reader(&other);
    finish();
}

TEST(a_cursor_beyond_the_log_is_refused_and_one_at_its_end_ends)
{
    struct reader_config config = {.after = 99, .on_ready = on_ready};
    struct listener_of_ours l;
    struct task *task;
    struct reader *r;

    begin();
    add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_COMPLETED);
    task = task_at(n_log);
    CHECK_INT(reader_open(feeds, task, &config, &r), ERR_INVALID);
    task_unref(task);
    open_reader(&l, READER_SUBSCRIBER, 3, A2A_1_0);
    pull(&l, 5);
    CHECK(l.is_ended);
    CHECK_INT(l.n_told, 0);
    close_reader(&l);
    finish();
}

TEST(a_log_that_stays_away_ends_the_stream_in_time)
{
    struct reader_event event;
    struct listener_of_ours l;
    const char *why;
    int err;

    begin();
    open_reader(&l, READER_SUBSCRIBER, 0, A2A_1_0);
    for (int i = 0; i < 200 && (err = reader_next(l.reader, &event, &why)) == ERR_AGAIN; i++) {
        answer_page(true);
        stopped_ns += 500000000;
        turn();
    }
    CHECK_INT(err, ERR_STORE);
    close_reader(&l);
    finish();
}

TEST(stopping_ends_everybody)
{
    struct listener_of_ours waiting, reading;
    struct reader_event event;
    const char *why;

    begin();
    open_reader(&waiting, READER_SUBSCRIBER, 2, A2A_1_0);
    open_reader(&reading, READER_SUBSCRIBER, 0, A2A_1_0);
    pull(&waiting, 5);
    pull(&reading, 5);
    feeds_stop(feeds);
    turn();
    CHECK(waiting.is_ready && reading.is_ready);
    CHECK_INT(reader_next(waiting.reader, &event, &why), ERR_CANCELED);
    CHECK_INT(reader_next(reading.reader, &event, &why), ERR_CANCELED);
    close_reader(&waiting);
    close_reader(&reading);
    finish();
}

/* One life of a task: random commits, random readers, random pages, and everybody must have heard everything. */
static void live(unsigned seed)
{
    struct listener_of_ours all[12] = {{.reader = NULL}};
    bool is_over = false;

    noise = seed;
    begin();
    for (int step = 0; step < 300 || !is_over; step++) {
        struct listener_of_ours *l = &all[any(12)];
        uint64_t from = n_log;

        switch (any(7)) {
        case 0:
            for (unsigned i = any(6) + 1; i > 0 && !is_over; i--)
                add_to_log(any(4) ? A2A_EVENT_ARTIFACT_UPDATE : A2A_EVENT_SYNC, 0);
            is_over = is_over || step > 300;
            if (is_over && !a2a_state_is_terminal(state_now))
                add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_FAILED);
            else if (!is_over && any(3) == 0)
                add_to_log(A2A_EVENT_STATUS_UPDATE, A2A_STATE_WORKING);
            if (n_log > from)
                commit(from, any(5) != 0);
            break;
        case 1:
            if (!l->reader)
                open_reader(l, READER_SUBSCRIBER,
                            any(2) && n_log > 2 ? 2 + any((unsigned)n_log - 2)
                                                : READER_FROM_NOW,
                            any(2) ? A2A_1_0 : A2A_0_3);
            else if (any(4) == 0)
                close_reader(l);
            break;
        case 2:
            answer_page(any(4) == 0);
            break;
        case 3:
            stopped_ns += 300000000;
            turn();
            break;
        default:
            pull(l, any(4) + 1);
        }
    }
    for (int i = 0; i < 12; i++) {
        struct listener_of_ours *l = &all[i];

        for (int tries = 0; l->reader && !l->is_ended && tries < 4000; tries++) {
            pull(l, 3);
            answer_page(false);
            stopped_ns += 300000000;
            turn();
        }
        if (!l->reader)
            continue;
        CHECK(l->is_ended);
        while (l->expected <= n_log && !a2a_event_is_told(history[l->expected].kind))
            l->expected++;
        CHECK_INT(l->expected, n_log + 1);
        close_reader(l);
    }
    finish();
}

TEST(every_reader_is_given_what_the_model_says)
{
    for (unsigned seed = 1; seed <= 300 && !test_failures; seed++)
        live(seed);
}

TEST(a_thousand_readers_of_one_task)
{
    static struct listener_of_ours all[1000];

    begin();
    for (int i = 0; i < 1000; i++) {
        open_reader(&all[i], READER_SUBSCRIBER, READER_FROM_NOW, i % 2 ? A2A_1_0 : A2A_0_3);
        pull(&all[i], 9);
    }
    for (int round = 0; round < 20; round++) {
        uint64_t from = n_log;

        add_to_log(A2A_EVENT_ARTIFACT_UPDATE, 0);
        commit(from, true);
        turn();
        for (int i = round % 3 ? 0 : 10; i < 1000; i++) /* some are slower */
            pull(&all[i], 9);
    }
    printf("    %zu bytes a reader, %zu a feed\n", sizeof(struct reader), sizeof(struct feed));
    for (int i = 0; i < 1000; i++) {
        for (int tries = 0; all[i].expected <= n_log && tries < 50; tries++) {
            pull(&all[i], 30);
            answer_page(false);
            turn();
        }
        CHECK_INT(all[i].expected, n_log + 1);
        close_reader(&all[i]);
    }
    finish();
}

TEST_MAIN
