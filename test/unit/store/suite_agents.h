/* SPDX-License-Identifier: MIT
 *
 * Part of suite.h: who is told of commits, agents that change their dialect, tasks of former lives, agents of the API.
 */
#ifndef TEST_UNIT_STORE_SUITE_AGENTS_H
#define TEST_UNIT_STORE_SUITE_AGENTS_H

#include "store/task.h"

/* --- told of commits ------------------------------------------------------------------------------ */

#define COMMITS_MAX 64

struct commits {
    struct rig *rig;
    unsigned n;
    uint64_t seqs[COMMITS_MAX];
    unsigned orders[COMMITS_MAX]; /* among all answers */
    struct told *extra;           /* an append made from inside; NULL: none, or made already */
    struct task *kept;            /* counted: of the first commit */
};

static void on_commit(void *arg, struct task *task, const struct store_event *events, size_t n)
{
    struct commits *c = arg;
    struct task *seen = store_task_peek(c->rig->store, task->agent, task->id);

    CHECK(seen && seen->seq == task->seq);             /* in the cache by now */
    CHECK(count_events(c->rig) >= (int64_t)task->seq); /* and durable */
    CHECK(n > 0 && events[n - 1].seq == task->seq);
    c->seqs[c->n % COMMITS_MAX] = task->seq;
    c->orders[c->n % COMMITS_MAX] = ++told_count;
    if (c->n++ == 0)
        c->kept = task_ref(task);
    if (c->extra) {
        struct told *t = c->extra;

        c->extra = NULL;
        start(c->rig, t, "a", "extra", A2A_EVENT_TASK, snapshot("extra", "WORKING", "x"));
    }
}

TEST(commits_are_told_before_their_appends)
{
    struct commits c = {0};
    struct store_listener listener = {.on_commit = on_commit, .arg = &c};
    struct told t[4] = {0}, extra = {0};
    RIG(r);

    c.rig = &r;
    c.extra = &extra;
    store_listen(r.store, &listener);
    CHECK_INT(put(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t1", "SUBMITTED", "0")), 0);
    TURN_UNTIL(&r, extra.calls);
    CHECK_INT(extra.err, 0);
    CHECK_INT(c.n, 2);
    CHECK(c.orders[0] < t[0].order && c.orders[1] < extra.order);
    /* One row, one call; what is refused in it does not count, nor does what changes nothing. */
    start(&r, &t[0], "a", "t1", A2A_EVENT_TASK, snapshot("t2", "WORKING", "0"));
    start(&r, &t[1], "a", "t1", A2A_EVENT_STATUS, status("WORKING"));
    start(&r, &t[2], "a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    TURN_UNTIL(&r, t[2].calls);
    CHECK_INT(t[0].err, ERR_INVALID);
    CHECK_INT(c.n, 3);
    CHECK_INT(c.seqs[2], 3);
    CHECK(c.orders[2] < t[0].order && t[0].order < t[1].order && t[1].order < t[2].order);
    CHECK_INT(put(&r, &t[3], "a", "t1", A2A_EVENT_STATUS, status("WORKING")), 0);
    CHECK_INT(put(&r, &t[3], "a", "t1", A2A_EVENT_TASK, snapshot("t9", "WORKING", "0")),
              ERR_INVALID);
    CHECK_INT(c.n, 3);
    store_unlisten(r.store, &listener);
    CHECK_INT(put(&r, &t[3], "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_INT(c.n, 3);
    CHECK(c.kept && c.kept->seq == 1);
    task_unref(c.kept);
    for (int i = 0; i < 4; i++)
        told_release(&t[i]);
    told_release(&extra);
    rig_close(&r);
}

/* --- the other dialect ---------------------------------------------------------------------------- */

#define OLD_TASK                                                                               \
    "{\"id\":\"t1\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{\"state\":\"working\"}," \
    "\"artifacts\":[{\"artifactId\":\"x\",\"parts\":[{\"kind\":\"text\",\"text\":\"kept\"}]}]}"

static int put_dialect(struct rig *r, struct told *t, enum a2a_version dialect,
                       enum a2a_event_kind kind, const char *payload)
{
    struct append a = append_of("a", "t1", kind, str_of(payload));

    a.dialect = dialect;
    told_release(t);
    t->rig = r;
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    TURN_UNTIL(r, t->calls);
    return t->err;
}

static enum a2a_version dialect_of(struct rig *r)
{
    struct task *t = store_task_peek(r->store, STR("a"), STR("t1"));

    CHECK(t != NULL);
    return t ? t->dialect : A2A_0_3;
}

/* What a snapshot leaves out is kept, in the new dialect; nothing of the old one is left. */
TEST(a_snapshot_in_the_other_dialect)
{
    struct told t = {0};
    char *doc;
    RIG(r);

    CHECK_INT(put_dialect(&r, &t, A2A_0_3, A2A_EVENT_TASK, OLD_TASK), 0);
    CHECK_INT(put_dialect(&r, &t, A2A_1_0, A2A_EVENT_TASK,
                          "{\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":"
                          "\"TASK_STATE_INPUT_REQUIRED\"}}"),
              0);
    CHECK_INT(dialect_of(&r), A2A_1_0);
    CHECK_INT(t.seq, 2);
    CHECK_INT(t.state, A2A_STATE_INPUT_REQUIRED);
    CHECK(t.doc && strstr(t.doc, "\"text\":\"kept\"") && !strstr(t.doc, "kind"));
    doc = mem_str(t.doc, strlen(t.doc));
    rig_stop(&r);
    rig_start(&r); /* the document was written whole: no tail of two dialects */
    CHECK_INT(get(&r, &t, "a", "t1"), 0);
    CHECK_STR(told_doc(&t), str_of(doc));
    mem_free(doc);
    told_release(&t);
    rig_close(&r);
}

TEST(a_status_in_the_other_dialect)
{
    struct told t = {0};
    RIG(r);

    CHECK_INT(put_dialect(&r, &t, A2A_0_3, A2A_EVENT_TASK, OLD_TASK), 0);
    CHECK_INT(put_dialect(&r, &t, A2A_1_0, A2A_EVENT_STATUS,
                          "{\"state\":\"TASK_STATE_AUTH_REQUIRED\"}"),
              0);
    CHECK_INT(dialect_of(&r), A2A_1_0);
    CHECK(t.doc && strstr(t.doc, "\"text\":\"kept\"") && !strstr(t.doc, "kind"));
    /* and back again */
    CHECK_INT(put_dialect(&r, &t, A2A_0_3, A2A_EVENT_STATUS, "{\"state\":\"completed\"}"), 0);
    CHECK_INT(dialect_of(&r), A2A_0_3);
    CHECK_INT(t.state, A2A_STATE_COMPLETED);
    CHECK(t.doc && strstr(t.doc, "\"kind\":\"task\"") && strstr(t.doc, "\"text\":\"kept\""));
    /* terminal is final in any dialect, and the same word again is no change */
    CHECK_INT(
        put_dialect(&r, &t, A2A_1_0, A2A_EVENT_STATUS, "{\"state\":\"TASK_STATE_FAILED\"}"),
        ERR_FINAL);
    CHECK_INT(
        put_dialect(&r, &t, A2A_1_0, A2A_EVENT_STATUS, "{\"state\":\"TASK_STATE_COMPLETED\"}"),
        0);
    CHECK_INT(t.seq, 3);
    CHECK_INT(dialect_of(&r), A2A_0_3);
    CHECK_INT(count_events(&r), 3);
    told_release(&t);
    rig_close(&r);
}

/* Both dialects in one batch: what is refused leaves the document, and its dialect, as they were. */
TEST(dialects_in_one_row)
{
    struct told t[4] = {0};
    struct append a[4] = {
        append_of("a", "t1", A2A_EVENT_TASK, STR(OLD_TASK)),
        append_of("a", "t1", A2A_EVENT_STATUS,
                  STR("{\"state\":\"TASK_STATE_INPUT_REQUIRED\"}")),
        append_of("a", "t1", A2A_EVENT_STATUS, STR("{\"state\":\"submitted\"}")),
        append_of("a", "t1", A2A_EVENT_STATUS, STR("{\"state\":\"TASK_STATE_COMPLETED\"}")),
    };
    RIG(r);

    a[0].dialect = a[2].dialect = A2A_0_3;
    a[1].events[1] = (struct a2a_event){A2A_EVENT_TASK, snapshot("t2", "WORKING", "x")};
    a[1].n_events = 2; /* refused as a whole: the snapshot is of another task */
    for (int i = 0; i < 4; i++) {
        t[i].rig = &r;
        CHECK_INT(store_append(r.store, &a[i], on_append_told, &t[i]), 0);
    }
    TURN_UNTIL(&r, t[3].calls);
    CHECK_INT(t[0].err, 0);
    CHECK_INT(t[1].err, ERR_INVALID);
    CHECK_INT(t[2].err, 0);
    CHECK_INT(t[3].err, 0);
    CHECK_INT(dialect_of(&r), A2A_1_0);
    CHECK_INT(t[3].seq, 3);
    CHECK(t[3].doc && strstr(t[3].doc, "\"text\":\"kept\"") && !strstr(t[3].doc, "kind"));
    for (int i = 0; i < 4; i++)
        told_release(&t[i]);
    rig_close(&r);
}

/* --- tasks of former lives ------------------------------------------------------------------------ */

struct taken {
    unsigned calls;
    int err;
    size_t n;
    char ids[64][16];
    enum a2a_state states[64];
};

static void on_taken(void *arg, int err, const struct task_name *tasks, size_t n)
{
    struct taken *t = arg;

    t->calls++;
    t->err = err;
    t->n = n;
    for (size_t i = 0; i < n && i < 64; i++) {
        snprintf(t->ids[i], sizeof t->ids[i], "%.*s", STR_ARG(tasks[i].id));
        t->states[i] = tasks[i].state;
        CHECK_STR(tasks[i].agent, STR("a"));
    }
}

static void take(struct rig *r, struct taken *t, unsigned limit)
{
    *t = (struct taken){0};
    CHECK_INT(store_take_orphans(r->store, limit, on_taken, t), 0);
    CHECK_INT(t->calls, 0);
    TURN_UNTIL(r, t->calls);
}

static const char *const orphan_states[] = {"SUBMITTED",      "WORKING",       "COMPLETED",
                                            "INPUT_REQUIRED", "AUTH_REQUIRED", "FAILED",
                                            "CANCELED",       "REJECTED",      "UNHEARD_OF"};
#define N_ORPHANS (sizeof orphan_states / sizeof *orphan_states)

static void put_orphans(struct rig *r)
{
    struct told t = {0};
    char id[16];

    for (size_t i = 0; i < N_ORPHANS; i++) {
        snprintf(id, sizeof id, "t%zu", i);
        CHECK_INT(put(r, &t, "a", id, A2A_EVENT_TASK, snapshot(id, orphan_states[i], "x")), 0);
    }
    told_release(&t);
}

TEST(tasks_of_former_lives_are_taken_over)
{
    struct taken taken;
    struct told t = {0};
    struct store_figures before, after;
    unsigned seen = 0;
    RIG(r);

    take(&r, &taken, 10);
    CHECK_INT(taken.err, 0);
    CHECK_INT(taken.n, 0);
    put_orphans(&r);
    take(&r, &taken, 10);
    CHECK_INT(taken.n, 0); /* all ours */
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(get(&r, &t, "a", "t1"), 0); /* perhaps cached, with its old owner */
    for (size_t want = 2; want > 0; want--) {
        take(&r, &taken, 2);
        CHECK_INT(taken.err, 0);
        CHECK_INT(taken.n, 2);
        for (size_t i = 0; i < taken.n; i++)
            seen |= 1u << (taken.ids[i][1] - '0');
    }
    take(&r, &taken, 10);
    CHECK_INT(taken.n, 1);
    CHECK_INT(taken.ids[0][1] >= '0' ? seen | 1u << (taken.ids[0][1] - '0') : 0,
              1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 8);
    take(&r, &taken, 10);
    CHECK_INT(taken.n, 0);
    store_figures(r.store, &before);
    CHECK_INT(put(&r, &t, "a", "t1", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_INT(t.seq, 2);
    store_figures(r.store, &after);
    CHECK_INT(after.conflicts, before.conflicts); /* nothing of the old owner was left here */
    told_release(&t);
    rig_close(&r);
}

/* Appends that were folded on the old owner: they may be in any place when the owner changes under them. */
TEST(taking_over_does_not_hurt_appends)
{
    enum { N = 30 };
    struct taken taken = {0};
    struct told t[N] = {0};
    char id[16];
    RIG(r);

    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK_INT(put(&r, &t[i], "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "x")), 0);
    }
    rig_stop(&r);
    rig_start(&r);
    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i);
        if (i % 3 == 0)
            CHECK_INT(get(&r, &t[i], "a", id), 0);
        start(&r, &t[i], "a", id, A2A_EVENT_STATUS, status("INPUT_REQUIRED"));
        if (i % 7 == 0)
            loop_turn(r.loop, false);
        if (i == N / 2)
            CHECK_INT(store_take_orphans(r.store, 100, on_taken, &taken), 0);
    }
    for (int i = 0; i < N; i++) {
        TURN_UNTIL(&r, t[i].calls);
        CHECK_INT(t[i].err, 0);
        CHECK_INT(t[i].seq, 2);
        told_release(&t[i]);
    }
    TURN_UNTIL(&r, taken.calls);
    CHECK_INT(taken.err, 0);
    CHECK_INT(count_events(&r), 2 * N);
    rig_close(&r);
}

TEST(errands_are_told_when_closing)
{
    struct taken taken[4] = {0};
    RIG(r);

    put_orphans(&r);
    for (int i = 0; i < 4; i++)
        CHECK_INT(store_take_orphans(r.store, 5, on_taken, &taken[i]), 0);
    rig_stop(&r);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(taken[i].calls, 1);
        CHECK(taken[i].err == 0 || taken[i].err == ERR_STORE);
    }
    rig_close(&r);
}

/* --- agents of the API ---------------------------------------------------------------------------- */

struct watched {
    unsigned calls;
    size_t n;
    char text[512]; /* "id=spec " of each */
};

static void on_watched(void *arg, const struct store_agent_spec *agents, size_t n)
{
    struct watched *w = arg;
    size_t at = 0;

    w->calls++;
    w->n = n;
    w->text[0] = '\0';
    for (size_t i = 0; i < n && at < sizeof w->text; i++)
        at += (size_t)snprintf(w->text + at, sizeof w->text - at, "%.*s=%.*s ",
                               STR_ARG(agents[i].id), STR_ARG(agents[i].spec));
}

struct done {
    unsigned calls;
    int err;
    bool has_why;
};

static void on_done(void *arg, int err, const char *why)
{
    struct done *d = arg;

    d->calls++;
    d->err = err;
    d->has_why = why && why[0];
}

static int save_agent(struct rig *r, const char *id, const char *spec)
{
    struct store_agent agent = {str_of(id), STR("http://x/"), STR_NONE, STR("api")};
    struct done d = {0};

    CHECK_INT(store_agent_save(r->store, &agent, str_of(spec), on_done, &d), 0);
    CHECK_INT(d.calls, 0);
    TURN_UNTIL(r, d.calls);
    CHECK(d.has_why == (d.err != 0));
    return d.err;
}

static int delete_agent(struct rig *r, const char *id)
{
    struct done d = {0};

    CHECK_INT(store_agent_delete(r->store, str_of(id), on_done, &d), 0);
    CHECK_INT(d.calls, 0);
    TURN_UNTIL(r, d.calls);
    CHECK(d.has_why == (d.err != 0));
    return d.err;
}

#define SPEC "{\"id\":\"x\",\"bearer\":\"secret\"}"

TEST(agents_of_the_api_are_kept_and_told)
{
    struct watched w = {0};
    RIG(r);

    store_on_agents(r.store, on_watched, &w);
    TURN_UNTIL(&r, w.calls);
    CHECK_INT(w.n, 0);
    CHECK_INT(save_agent(&r, "x", SPEC), 0);
    TURN_UNTIL(&r, w.n == 1);
    CHECK_STR(str_of(w.text), STR("x=" SPEC " "));
    CHECK_INT(save_agent(&r, "x", "{\"changed\":1}"), 0);
    TURN_UNTIL(&r, strstr(w.text, "changed"));
    CHECK_INT(save_agent(&r, "y", "{}"), 0);
    TURN_UNTIL(&r, w.n == 2);
    CHECK_INT(delete_agent(&r, "nobody"), ERR_ABSENT);
    CHECK_INT(delete_agent(&r, "x"), 0);
    TURN_UNTIL(&r, w.n == 1);
    CHECK_STR(str_of(w.text), STR("y={} "));
    CHECK_INT(delete_agent(&r, "x"), ERR_ABSENT);
    rig_stop(&r);
    w = (struct watched){0};
    rig_start(&r);
    store_on_agents(r.store, on_watched, &w); /* also who comes late is told */
    TURN_UNTIL(&r, w.calls);
    CHECK_STR(str_of(w.text), STR("y={} "));
    rig_close(&r);
}

/* The same id at home in a file and in the API: neither touches the other, and people see no credentials. */
TEST(agents_of_file_and_api_do_not_collide)
{
    struct store_agent agent = {STR("x"), STR("http://file/"), STR("1.0"), STR("file")};
    struct told t = {0};
    struct watched w = {0};
    RIG(r);

    store_on_agents(r.store, on_watched, &w);
    CHECK_INT(save_agent(&r, "x", SPEC), 0);
    store_agents_put(r.store, STR("file"), &agent, 1);
    while (suite_number(&r.config, "SELECT count(*) FROM agent_view") != 2)
        CHECK_INT(get(&r, &t, "a", "any"), ERR_ABSENT);
    CHECK_INT(suite_number(&r.config,
                           "SELECT count(*) FROM agent_view WHERE id = 'x' AND source = 'api'"),
              1);
    store_agents_put(r.store, STR("file"), NULL, 0);
    while (suite_number(&r.config, "SELECT count(*) FROM agent_view") != 1)
        CHECK_INT(get(&r, &t, "a", "any"), ERR_ABSENT);
    TURN_UNTIL(&r, w.n == 1);
    CHECK_STR(str_of(w.text), STR("x=" SPEC " "));
    CHECK_INT(delete_agent(&r, "x"), 0);
    rig_close(&r);
}

TEST(agents_that_cannot_be_kept)
{
    struct store_agent agent = {STR_NONE, STR("http://x/"), STR_NONE, STR("api")};
    char *large = mem_zero(KB(65), 1);
    struct done d = {0};
    RIG(r);

    memset(large, 'x', KB(64) + 1);
    CHECK_INT(store_agent_save(r.store, &agent, STR("{}"), on_done, &d), ERR_INVALID);
    CHECK_INT(store_agent_delete(r.store, STR(""), on_done, &d), ERR_INVALID);
    agent.id = STR("x");
    CHECK_INT(store_agent_save(r.store, &agent, str_of(large), on_done, &d), ERR_LIMIT);
    CHECK_INT(store_agent_save(r.store, &agent, STR_NONE, on_done, &d), ERR_INVALID);
    CHECK_INT(d.calls, 0);
    CHECK_INT(save_agent(&r, "x", "{}"), 0);
    mem_free(large);
    rig_close(&r);
}

#endif
