/* SPDX-License-Identifier: MIT
 *
 * Part of suite.h: what streams rest on. Events of the log in the words of their agent, snapshots that become updates,
 * listeners, reading the log, and how much is written.
 */
#ifndef TEST_UNIT_STORE_SUITE_STREAMS_H
#define TEST_UNIT_STORE_SUITE_STREAMS_H

/* --- saying and reading --------------------------------------------------------------------------- */

static struct str printed(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Lives until the next but 15 calls. */
static struct str printed(const char *fmt, ...)
{
    static char room[16][2048];
    static unsigned turn;
    char *p = room[turn++ % 16];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(p, sizeof room[0], fmt, args);
    va_end(args);
    return str_make(p, (size_t)n);
}

static struct str status_update(const char *id, const char *state, const char *text)
{
    return printed(
        "{\"taskId\":\"%s\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_%s\","
        "\"message\":{\"messageId\":\"%s\",\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":\"%s\"}]}}}",
        id, state, text, text);
}

static struct str chunk(const char *id, const char *artifact, const char *text)
{
    return printed(
        "{\"taskId\":\"%s\",\"contextId\":\"ctx\",\"artifact\":{\"artifactId\":\"%s\","
        "\"parts\":[{\"text\":\"%s\"}]},\"append\":true}",
        id, artifact, text);
}

/* Two events in one append, waited for. */
static int put_two(struct rig *r, struct told *t, const char *id, enum a2a_event_kind first,
                   struct str one, enum a2a_event_kind second, struct str two)
{
    struct append a = append_of("a", id, first, one);

    a.events[1] = (struct a2a_event){second, two};
    a.n_events = 2;
    mem_free(t->doc);
    *t = (struct told){.rig = r};
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    TURN_UNTIL(r, t->calls > 0);
    return t->err;
}

#define LOGGED_MAX 64

struct logged {
    unsigned calls;
    int err;
    size_t n;
    struct store_event events[LOGGED_MAX]; /* payloads owned */
};

static void logged_release(struct logged *l)
{
    for (size_t i = 0; i < l->n && i < LOGGED_MAX; i++)
        mem_free((void *)(uintptr_t)l->events[i].payload.p);
    *l = (struct logged){0};
}

static void logged_add(struct logged *l, const struct store_event *events, size_t n)
{
    for (size_t i = 0; i < n && l->n < LOGGED_MAX; i++) {
        struct store_event *e = &l->events[l->n++];

        *e = events[i];
        e->payload =
            str_make(mem_str(events[i].payload.p, events[i].payload.n), events[i].payload.n);
    }
}

static void on_events_told(void *arg, int err, const struct store_event *events, size_t n)
{
    struct logged *l = arg;

    l->calls++;
    l->err = err;
    CHECK(!err || n == 0);
    logged_add(l, events, n);
}

/* One page. */
static int read_page_of(struct rig *r, struct logged *l, const char *id, uint64_t after,
                        size_t max_bytes)
{
    logged_release(l);
    CHECK_INT(
        store_events_read(r->store, STR("a"), str_of(id), after, max_bytes, on_events_told, l),
        0);
    CHECK_INT(l->calls, 0);
    TURN_UNTIL(r, l->calls > 0);
    CHECK_INT(l->calls, 1);
    for (size_t i = 0; i < l->n; i++)
        CHECK_INT(l->events[i].seq, after + i + 1);
    return l->err;
}

/* The log as one letter an event: Message, Task, Status of the gateway, status Update, Artifact, sYnc. */
static void check_kinds(struct rig *r, const char *id, const char *want)
{
    static const char letters[] = "?MTSUAY";
    struct logged l = {0};
    char got[LOGGED_MAX + 1];

    CHECK_INT(read_page_of(r, &l, id, 0, MB(1)), 0);
    for (size_t i = 0; i < l.n; i++)
        got[i] = letters[l.events[i].kind];
    got[l.n] = '\0';
    CHECK_STR(str_of(got), str_of(want));
    logged_release(&l);
}

/* Folds the whole log, page by page, and compares with the task. */
static void check_log_leads_to(struct rig *r, const char *agent, const char *id, struct str doc,
                               uint64_t seq, size_t page)
{
    struct buf docs[2];
    struct str so_far = STR_NONE;
    struct logged l = {0};
    uint64_t at = 0;
    int turn = 0;

    buf_init(&docs[0], MB(4));
    buf_init(&docs[1], MB(4));
    do {
        logged_release(&l);
        CHECK_INT(store_events_read(r->store, str_of(agent), str_of(id), at, page,
                                    on_events_told, &l),
                  0);
        TURN_UNTIL(r, l.calls > 0);
        CHECK_INT(l.err, 0);
        for (size_t i = 0; i < l.n; i++) {
            struct a2a_event event = {l.events[i].kind, l.events[i].payload};

            CHECK_INT(l.events[i].seq, ++at);
            buf_clear(&docs[turn]);
            if (a2a_event_fold(so_far, &event, &docs[turn]) == 0) {
                so_far = buf_str(&docs[turn]);
                turn = !turn;
            }
        }
    } while (l.n > 0);
    CHECK_INT(at, seq);
    CHECK_STR(so_far, doc);
    logged_release(&l);
    buf_release(&docs[0]);
    buf_release(&docs[1]);
}

/* --- snapshots ------------------------------------------------------------------------------------ */

TEST(a_snapshot_of_a_known_task_is_told_in_updates)
{
    struct logged l = {0};
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_TASK,
            STR("{\"id\":\"t1\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"},"
                "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[{\"text\":\"0\"},{\"text\":\"1\"}]},"
                "{\"artifactId\":\"b\",\"parts\":[{\"text\":\"2\"}]}],\"metadata\":{\"n\":1}}")),
        0);
    CHECK_INT(t.seq, 5);
    CHECK_STR(
        told_doc(&t),
        STR("{\"id\":\"t1\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"},"
            "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[{\"text\":\"0\"},{\"text\":\"1\"}]},"
            "{\"artifactId\":\"b\",\"parts\":[{\"text\":\"2\"}]}],\"metadata\":{\"n\":1}}"));
    check_kinds(&r, "t1", "TAAYU"); /* the end is told last */
    CHECK_INT(read_page_of(&r, &l, "t1", 1, 1), 0);
    CHECK_INT(l.n, 1);
    CHECK(strstr(l.events[0].payload.p, "\"append\":true") != NULL);
    CHECK(strstr(l.events[0].payload.p, "\"1\"") != NULL);
    CHECK(strstr(l.events[0].payload.p, "\"0\"") == NULL); /* what is known is not told again */
    check_log_leads_to(&r, "a", "t1", told_doc(&t), 5, KB(1));
    logged_release(&l);
    told_release(&t);
    rig_close(&r);
}

#define COMPLETED_AT(when)                                                                     \
    "\"status\":{\"state\":\"TASK_STATE_COMPLETED\",\"timestamp\":\"2026-01-01T00:00:0" when   \
    "Z\"}"
#define UPDATE_AT(when)                                                                        \
    "{\"taskId\":\"t1\",\"contextId\":\"ctx\"," COMPLETED_AT(when) ",\"metadata\":{\"own\":1}}"
#define SNAPSHOT_AT(when)                                                                      \
    "{\"id\":\"t1\",\"contextId\":\"ctx\"," COMPLETED_AT(                                      \
        when) ",\"artifacts\":[{\"artifactId\":\"b\",\"parts\":[]}]}"

TEST(the_last_word_and_what_the_agent_then_shows)
{
    struct logged l = {0};
    struct told t = {0};
    RIG(r);

    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_TASK,
            STR("{\"id\":\"t1\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}")),
        0);
    CHECK_INT(put_two(&r, &t, "t1", A2A_EVENT_TASK, STR(SNAPSHOT_AT("1")),
                      A2A_EVENT_STATUS_UPDATE, STR(UPDATE_AT("1"))),
              0);
    CHECK_STR(told_doc(&t), STR(SNAPSHOT_AT("1")));
    check_kinds(&r, "t1", "TAU");
    CHECK_INT(read_page_of(&r, &l, "t1", 2, KB(64)), 0);
    CHECK_STR(l.events[0].payload, STR(UPDATE_AT("1"))); /* the agent's own words */
    /* Once more, whole: nothing is new. */
    CHECK_INT(put_two(&r, &t, "t1", A2A_EVENT_TASK, STR(SNAPSHOT_AT("1")),
                      A2A_EVENT_STATUS_UPDATE, STR(UPDATE_AT("1"))),
              0);
    CHECK_INT(t.seq, 3);
    logged_release(&l);
    told_release(&t);
    rig_close(&r);
}

TEST(the_snapshot_is_right_where_the_last_word_differs)
{
    struct logged l = {0};
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(put_two(&r, &t, "t1", A2A_EVENT_TASK, STR(SNAPSHOT_AT("2")),
                      A2A_EVENT_STATUS_UPDATE, STR(UPDATE_AT("1"))),
              0);
    CHECK_STR(told_doc(&t), STR(SNAPSHOT_AT("2")));
    CHECK_INT(read_page_of(&r, &l, "t1", 0, KB(64)), 0);
    CHECK_INT(l.events[l.n - 1].kind, A2A_EVENT_STATUS_UPDATE);
    CHECK(strstr(l.events[l.n - 1].payload.p, "00:00:02Z") != NULL);
    for (size_t i = 0; i + 1 < l.n; i++)
        CHECK(l.events[i].kind != A2A_EVENT_STATUS_UPDATE);
    /* The same as a task's first word: the snapshot says it all. */
    CHECK_INT(put_two(&r, &t, "t2", A2A_EVENT_TASK, snapshot("t2", "COMPLETED", "0"),
                      A2A_EVENT_STATUS_UPDATE, status_update("t2", "COMPLETED", "bye")),
              0);
    check_kinds(&r, "t2", "T");
    logged_release(&l);
    told_release(&t);
    rig_close(&r);
}

TEST(a_snapshot_and_an_update_of_another_state)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "0")), 0);
    CHECK_INT(put_two(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"),
                      A2A_EVENT_STATUS_UPDATE, status_update("t1", "COMPLETED", "bye")),
              0);
    CHECK_INT(t.state, A2A_STATE_COMPLETED);
    check_kinds(&r, "t1", "TUU");
    /* The agent was asked after it had said this, and answered that it is over. */
    CHECK_INT(put(&r, &t, "a", "t2", A2A_EVENT_TASK, snapshot("t2", "WORKING", "0")), 0);
    CHECK_INT(put_two(&r, &t, "t2", A2A_EVENT_TASK, snapshot("t2", "COMPLETED", "1"),
                      A2A_EVENT_STATUS_UPDATE, status_update("t2", "INPUT_REQUIRED", "what?")),
              0);
    CHECK_INT(t.state, A2A_STATE_COMPLETED);
    check_kinds(&r, "t2", "TAU");
    told_release(&t);
    rig_close(&r);
}

/* --- whatever comes ------------------------------------------------------------------------------- */

/* A chunk whose part holds arrays, `depth` of them one in the other. */
static struct str nested_chunk(const char *id, unsigned depth)
{
    char open[128] = "", shut[128] = "";

    memset(open, '[', depth);
    memset(shut, ']', depth);
    return printed(
        "{\"taskId\":\"%s\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[{\"data\":%s%s}]},"
        "\"append\":true}",
        id, open, shut);
}

TEST(events_that_do_not_fit_are_refused)
{
    struct told t = {0};
    unsigned deepest = LIMIT_JSON_DEPTH;
    char *before;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "x")),
              ERR_INVALID); /* of a task nobody knows */
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    before = mem_str(t.doc, strlen(t.doc));
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t2", "a", "x")),
              ERR_INVALID);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_STATUS_UPDATE, status_update("t2", "WORKING", "x")),
        ERR_INVALID);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS_UPDATE, STR("{\"taskId\":\"t1\"}")),
              ERR_INVALID);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_SYNC, snapshot("t1", "WORKING", "0")),
              ERR_INVALID);
    /* The deepest update there can be: in the task it would be one deeper. */
    while (json_scan(nested_chunk("t1", deepest), NULL, NULL, 0, NULL))
        deepest--;
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, nested_chunk("t1", deepest)),
              ERR_INVALID);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, nested_chunk("t1", deepest - 1)), 0);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_STATUS_UPDATE, status_update("t1", "FAILED", "no")),
        0);
    CHECK(strncmp(t.doc, before, 20) == 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "late")),
              ERR_FINAL);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_STATUS_UPDATE, status_update("t1", "WORKING", "no")),
        ERR_FINAL);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_STATUS_UPDATE, status_update("t1", "FAILED", "no")),
        0); /* it says so again */
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK(strstr(t.doc, "late") == NULL);
    mem_free(before);
    told_release(&t);
    rig_close(&r);
}

TEST(the_end_of_an_artifact_is_told_without_parts)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE,
                  STR("{\"taskId\":\"t1\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[]},"
                      "\"append\":true}")),
              0);
    CHECK_INT(t.seq, 1);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE,
                  STR("{\"taskId\":\"t1\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[]},"
                      "\"append\":true,\"lastChunk\":true}")),
              0);
    CHECK_INT(t.seq, 2);
    check_kinds(&r, "t1", "TA");
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, 2);
    told_release(&t);
    rig_close(&r);
}

TEST(chunks_that_outgrow_the_maximum_end_the_task)
{
    struct rig r = {.config = {.task_max_bytes = KB(256)}};
    char *text = mem_zero(1024, 1);
    struct told t[300] = {{0}};
    struct logged l = {0};
    size_t n_ended = 0;

    memset(text, 'x', 1000);
    if (rig_open(&r)) {
        CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
        for (int i = 0; i < 300; i++)
            start(&r, &t[i], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", text));
        for (int i = 0; i < 300; i++) {
            TURN_UNTIL(&r, t[i].calls);
            CHECK(t[i].err == 0 || t[i].err == ERR_LIMIT || t[i].err == ERR_FINAL);
            CHECK(i == 0 || t[i].err || !t[i - 1].err); /* once refused, always */
            n_ended += t[i].err == ERR_LIMIT;
        }
        CHECK_INT(n_ended, 1);
        CHECK_INT(t[299].state, A2A_STATE_FAILED);
        CHECK(strlen(t[299].doc) <= KB(256));
        CHECK_INT(read_page_of(&r, &l, "t1", t[299].seq - 1, KB(64)), 0);
        CHECK_INT(l.events[0].kind, A2A_EVENT_STATUS);
        rig_close(&r);
    }
    logged_release(&l);
    for (int i = 0; i < 300; i++)
        told_release(&t[i]);
    mem_free(text);
}

/* What a difference leads to counts, not what stands there in the middle of it. */
TEST(artifacts_that_take_the_place_of_others_fit)
{
    struct rig r = {.config = {.task_max_bytes = KB(256)}};
    char *one = large_snapshot("t1", "WORKING", KB(150)), *other;
    struct told t = {0};

    other = mem_str(one, strlen(one));
    memcpy(strstr(other, "\"artifactId\":\"a\"") + 14, "b", 1);
    if (rig_open(&r)) {
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(one)), 0);
        CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, str_of(other)), 0);
        CHECK_STR(told_doc(&t), str_of(other));
        rig_stop(&r);
        rig_start(&r);
        CHECK_INT(get(&r, &t, "a", "t1"), 0);
        CHECK_STR(told_doc(&t), str_of(other));
        rig_close(&r);
    }
    told_release(&t);
    mem_free(one);
    mem_free(other);
}

/* --- listeners ------------------------------------------------------------------------------------ */

struct hearing {
    struct rig *rig;
    struct store_listener listener;
    unsigned n, order;
    struct logged heard;
    struct store_listener *drop[2]; /* unlistened from inside the first call */
    struct hearing *bring;          /* begins to listen from inside the first call */
    bool closes;
};

static void on_hear(void *arg, struct task *task, const struct store_event *events, size_t n)
{
    struct hearing *h = arg;

    h->order = ++told_count;
    CHECK(n > 0 && events[n - 1].seq == task->seq);
    for (size_t i = 0; i < n; i++)
        CHECK_INT(events[i].seq, task->seq - n + i + 1);
    logged_add(&h->heard, events, n);
    if (h->n++ > 0)
        return;
    for (int i = 0; i < 2; i++)
        if (h->drop[i])
            store_unlisten(h->rig->store, h->drop[i]);
    if (h->bring)
        store_listen(h->rig->store, &h->bring->listener);
    if (h->closes)
        store_close(h->rig->store, on_rig_closed, h->rig);
}

static void hear(struct hearing *h, struct rig *r)
{
    *h = (struct hearing){.rig = r, .listener = {.on_commit = on_hear, .arg = h}};
}

TEST(listeners_hear_every_event_with_its_number)
{
    struct hearing h[2];
    struct told t[4] = {{0}};
    RIG(r);

    hear(&h[0], &r);
    hear(&h[1], &r);
    store_unlisten(r.store, &h[0].listener); /* who never came may go */
    store_listen(r.store, &h[0].listener);
    store_listen(r.store, &h[1].listener);
    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(h[0].heard.n, 1);
    CHECK_INT(h[0].heard.events[0].kind, A2A_EVENT_TASK);
    CHECK(h[0].order < h[1].order && h[1].order < t[0].order);
    /* One commit of four appends, of which one is refused and one becomes three events. */
    start(&r, &t[0], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "1"));
    start(&r, &t[1], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t9", "a", "2"));
    start(
        &r, &t[2], "a", "t1", A2A_EVENT_TASK,
        STR("{\"id\":\"t1\",\"contextId\":\"ctx\",\"metadata\":{\"n\":1},\"status\":"
            "{\"state\":\"TASK_STATE_INPUT_REQUIRED\"},\"artifacts\":[{\"artifactId\":\"z\",\"parts\":[]}]}"));
    start(&r, &t[3], "a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    TURN_UNTIL(&r, t[3].calls);
    CHECK_INT(t[1].err, ERR_INVALID);
    CHECK_INT(h[0].n, 2);
    CHECK_INT(h[1].n, 2);
    CHECK_INT(h[0].heard.n, 6);
    CHECK_STR(h[0].heard.events[1].payload, chunk("t1", "a", "1"));
    CHECK_INT(h[0].heard.events[1].dialect, A2A_1_0);
    CHECK_STR(h[0].heard.events[5].payload, MESSAGE);
    CHECK(h[1].order < t[0].order && t[0].order < t[1].order);
    check_kinds(&r, "t1", "TAAYUM");
    store_unlisten(r.store, &h[0].listener);
    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_INT(h[0].n, 2);
    CHECK_INT(h[1].n, 3);
    rig_stop(&r);
    store_unlisten(NULL, &h[1].listener); /* the store is gone, and has let go */
    logged_release(&h[0].heard);
    logged_release(&h[1].heard);
    for (int i = 0; i < 4; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(listeners_come_and_go_while_they_are_told)
{
    struct hearing h[4];
    struct told t = {0};
    RIG(r);

    for (int i = 0; i < 4; i++)
        hear(&h[i], &r);
    for (int i = 0; i < 3; i++)
        store_listen(r.store, &h[i].listener);
    h[0].drop[0] = &h[0].listener; /* itself, and the next */
    h[0].drop[1] = &h[1].listener;
    h[2].bring = &h[3];
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_INT(h[0].n, 1);
    CHECK_INT(h[1].n, 0);
    CHECK_INT(h[2].n, 2);
    CHECK(h[3].n == 1 || h[3].n == 2);
    for (int i = 0; i < 4; i++)
        logged_release(&h[i].heard);
    told_release(&t);
    rig_close(&r);
}

TEST(a_listener_closes_the_store)
{
    struct hearing h;
    struct told t = {0};
    RIG(r);

    hear(&h, &r);
    h.closes = true;
    store_listen(r.store, &h.listener);
    start(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0"));
    TURN_UNTIL(&r, r.n_closed);
    CHECK_INT(t.calls, 1);
    CHECK_INT(t.err, 0);
    r.store = NULL;
    logged_release(&h.heard);
    told_release(&t);
    rig_close(&r);
}

/* --- reading the log ------------------------------------------------------------------------------ */

TEST(logs_are_read_in_pages)
{
    enum { N = 40 };
    struct told t[N] = {{0}};
    struct logged l = {0};
    char text[16];
    RIG(r);

    CHECK_INT(read_page_of(&r, &l, "t1", 0, KB(64)), ERR_ABSENT);
    CHECK_INT(read_page_of(&r, &l, "", 0, KB(64)), ERR_ABSENT);
    CHECK_INT(read_page_of(&r, &l, "no\x01name", 0, KB(64)), ERR_ABSENT);
    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        start(&r, &t[i], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE,
              chunk("t1", i % 3 ? "a" : "b", text));
    }
    TURN_UNTIL(&r, t[N - 1].calls);
    CHECK_INT(t[N - 1].seq, N + 1);
    check_log_leads_to(&r, "a", "t1", told_doc(&t[N - 1]), N + 1, 0);
    check_log_leads_to(&r, "a", "t1", told_doc(&t[N - 1]), N + 1, 1);
    check_log_leads_to(&r, "a", "t1", told_doc(&t[N - 1]), N + 1, 500);
    rig_stop(&r);
    rig_start(&r);
    check_log_leads_to(&r, "a", "t1", told_doc(&t[N - 1]), N + 1, MB(1));
    CHECK_INT(read_page_of(&r, &l, "t1", N, KB(64)), 0);
    CHECK_INT(l.n, 1);
    CHECK_INT(read_page_of(&r, &l, "t1", N + 1, KB(64)), 0);
    CHECK_INT(l.n, 0);
    CHECK_INT(read_page_of(&r, &l, "t1", UINT64_MAX, KB(64)), 0);
    CHECK_INT(l.n, 0);
    /* Two chunks fit, the third is one byte too much. */
    CHECK_INT(read_page_of(&r, &l, "t1", 1, 2 * chunk("t1", "a", "1").n), 0);
    CHECK_INT(l.n, 2);
    CHECK_INT(read_page_of(&r, &l, "t1", 1, 2 * chunk("t1", "a", "1").n - 1), 0);
    CHECK_INT(l.n, 1);
    logged_release(&l);
    for (int i = 0; i < N; i++)
        told_release(&t[i]);
    rig_close(&r);
}

TEST(a_task_keeps_its_context_through_many_events)
{
    enum { N = 20 };
    struct told t[N] = {{0}};
    struct task *seen;
    RIG(r);

    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "0")), 0);
    start(&r, &t[0], "a", "t1", A2A_EVENT_STATUS_UPDATE, status_update("t1", "WORKING", "1"));
    for (int i = 1; i < N; i++) /* no run: each is folded by itself */
        start(&r, &t[i], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE,
              chunk("t1", i % 2 ? "b" : "c", "x"));
    TURN_UNTIL(&r, t[N - 1].calls);
    seen = store_task_peek(r.store, STR("a"), STR("t1"));
    CHECK(seen != NULL);
    if (seen)
        CHECK_STR(seen->context, STR("ctx"));
    CHECK(!seen || seen->tail_passes <= N);
    for (int i = 0; i < N; i++)
        told_release(&t[i]);
    rig_close(&r);
}

/* A snapshot with thousands of artifacts costs one pass, not thousands; nor does whoever loads it pay for each. */
TEST(a_snapshot_with_thousands_of_artifacts)
{
    enum { N = 3000 };
    struct told t = {0};
    struct buf doc;
    RIG(r);

    buf_init(&doc, MB(1));
    BUF_LIT(
        &doc,
        "{\"id\":\"t1\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},\"artifacts\":[");
    for (int i = 0; i < N; i++)
        buf_printf(&doc, "%s{\"artifactId\":\"%d\",\"parts\":[]}", i ? "," : "", i);
    BUF_LIT(&doc, "]}");
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, buf_str(&doc)), 0);
    CHECK_INT(t.seq, N + 2); /* and one that says that the first is gone */
    CHECK_STR(told_doc(&t), buf_str(&doc));
    check_log_leads_to(&r, "a", "t1", told_doc(&t), N + 2, KB(64));
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_STR(told_doc(&t), buf_str(&doc));
    buf_release(&doc);
    told_release(&t);
    rig_close(&r);
}

TEST(logs_are_read_while_they_are_written)
{
    enum { N = 60 };
    struct told t[N] = {{0}};
    struct logged l[N] = {{0}};
    char text[16];
    RIG(r);

    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        start(&r, &t[i], "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", text));
        CHECK_INT(store_events_read(r.store, STR("a"), STR("t1"), (uint64_t)i / 2, KB(1),
                                    on_events_told, &l[i]),
                  0);
        if (i % 4 == 0)
            loop_turn(r.loop, false);
    }
    for (int i = 0; i < N; i++) {
        TURN_UNTIL(&r, t[i].calls && l[i].calls);
        CHECK_INT(t[i].err, 0);
        CHECK_INT(l[i].err, 0);
        for (size_t k = 0; k < l[i].n; k++)
            CHECK_INT(l[i].events[k].seq, (uint64_t)i / 2 + k + 1);
        logged_release(&l[i]);
    }
    /* Some are told by closing. */
    for (int i = 0; i < N; i++)
        CHECK_INT(
            store_events_read(r.store, STR("a"), STR("t1"), 0, KB(1), on_events_told, &l[i]),
            0);
    store_close(r.store, on_rig_closed, &r);
    CHECK_INT(store_events_read(r.store, STR("a"), STR("t1"), 0, KB(1), on_events_told, &l[0]),
              ERR_CANCELED);
    TURN_UNTIL(&r, r.n_closed);
    r.store = NULL;
    for (int i = 0; i < N; i++) {
        CHECK_INT(l[i].calls, 1);
        CHECK(l[i].err == 0 || l[i].err == ERR_STORE);
        logged_release(&l[i]);
        told_release(&t[i]);
    }
    rig_close(&r);
}

TEST(every_event_keeps_its_dialect)
{
    struct append old = append_of("a", "t1", A2A_EVENT_TASK,
                                  STR("{\"id\":\"t1\",\"contextId\":\"c\",\"kind\":\"task\","
                                      "\"status\":{\"state\":\"working\"}}"));
    struct told t = {0};
    struct logged l = {0};
    char *doc;
    RIG(r);

    old.dialect = A2A_0_3;
    t.rig = &r;
    CHECK_INT(store_append(r.store, &old, on_append_told, &t), 0);
    TURN_UNTIL(&r, t.calls);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "0")), 0);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_ARTIFACT_UPDATE, chunk("t1", "a", "1")), 0);
    CHECK_INT(
        put(&r, &t, "a", "t1", A2A_EVENT_TASK,
            STR("{\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_WORKING\"},"
                "\"metadata\":{\"n\":1}}")),
        0);
    doc = mem_str(t.doc, strlen(t.doc));
    CHECK_INT(read_page_of(&r, &l, "t1", 0, KB(64)), 0);
    CHECK(l.n >= 4);
    for (size_t i = 0; i < l.n; i++)
        CHECK_INT(l.events[i].dialect, i == 0 ? A2A_0_3 : A2A_1_0);
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_STR(told_doc(&t), str_of(doc));
    CHECK_INT(store_task_peek(r.store, STR("a"), STR("t1")) == NULL ||
                  store_task_peek(r.store, STR("a"), STR("t1"))->dialect == A2A_1_0,
              1);
    mem_free(doc);
    logged_release(&l);
    told_release(&t);
    rig_close(&r);
}

/* --- how much is written -------------------------------------------------------------------------- */

/* Appends `n` events made by `say` in bursts of `burst`. Returns the bytes of their payloads. */
static uint64_t stream_events(struct rig *r, int n, int burst, enum a2a_event_kind kind,
                              struct str (*say)(int i))
{
    struct told *t = mem_zero((size_t)burst, sizeof *t);
    uint64_t bytes = 0;

    for (int i = 0; i < n; i += burst) {
        for (int k = 0; k < burst; k++) {
            struct str payload = say(i + k);

            bytes += payload.n;
            start(r, &t[k], "a", "t1", kind, payload);
        }
        TURN_UNTIL(r, t[burst - 1].calls);
        for (int k = 0; k < burst; k++) {
            CHECK_INT(t[k].err, 0);
            told_release(&t[k]);
        }
    }
    mem_free(t);
    return bytes;
}

static struct str say_chunk(int i)
{
    char text[32];

    snprintf(text, sizeof text, "chunk number %d", i);
    return chunk("t1", "a", text);
}

static struct str say_status(int i)
{
    char text[32];

    snprintf(text, sizeof text, "word %d", i);
    return status_update("t1", "WORKING", text);
}

/* However many events there are, documents and events together are at most five times what the agent said. */
static void write_stream(enum a2a_event_kind kind, struct str (*say)(int i), int n, int burst)
{
    struct store_figures before, after;
    struct told t = {0};
    uint64_t bytes;
    char *doc;
    RIG(r);

    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "0")), 0);
    store_figures(r.store, &before);
    bytes = stream_events(&r, n, burst, kind, say);
    store_figures(r.store, &after);
    CHECK(after.bytes - before.bytes >= bytes);
    CHECK(after.bytes - before.bytes <= 5 * bytes);
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    doc = mem_str(t.doc, strlen(t.doc));
    rig_stop(&r);
    rig_start(&r); /* the tail is folded as the stream was */
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_INT(t.seq, (uint64_t)n + 1);
    CHECK_STR(told_doc(&t), str_of(doc));
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM task_events"), n + 1);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    mem_free(doc);
    told_release(&t);
    rig_close(&r);
}

TEST(five_thousand_chunks_write_little_more_than_they_say)
{
    write_stream(A2A_EVENT_ARTIFACT_UPDATE, say_chunk, 5000, 50);
}

TEST(words_in_status_updates_write_little_more_than_they_say)
{
    write_stream(A2A_EVENT_STATUS_UPDATE, say_status, 1000, 10);
}

#endif
