/* SPDX-License-Identifier: MIT
 *
 * Part of suite.h: webhooks. Cursors are woken by commits, claimed, settled; nothing that happens at the same time is
 * lost. Times are the test's own: far enough ahead that everything is due.
 */
#ifndef TEST_UNIT_STORE_SUITE_PUSH_H
#define TEST_UNIT_STORE_SUITE_PUSH_H

#include "lib/clock.h"

#define LATER (clock_wall_us() + INT64_C(3600000000))

static struct store_push_config push_config(const char *id)
{
    return (struct store_push_config){.id = str_of(id),
                                      .form = PUSH_1_0,
                                      .doc = STR("{\"url\":\"https://x/\"}"),
                                      .secret = STR("s3cret")};
}

static int push_put(struct rig *r, const char *task, const char *id)
{
    struct store_push_config config = push_config(id);
    struct done d = {0};

    CHECK_INT(store_push_put(r->store, STR("a"), str_of(task), &config, on_done, &d), 0);
    CHECK_INT(d.calls, 0);
    TURN_UNTIL(r, d.calls);
    return d.err;
}

static int push_delete(struct rig *r, const char *task, const char *id)
{
    struct done d = {0};

    CHECK_INT(store_push_delete(r->store, STR("a"), str_of(task), str_of(id), on_done, &d), 0);
    TURN_UNTIL(r, d.calls);
    return d.err;
}

/* What was claimed or listed, copied. */
#define PUSHED_MAX 16

struct pushed {
    unsigned calls;
    int err;
    size_t n;
    int64_t next_due_us;
    struct {
        struct uuid key;
        char id[64], agent[32], task[32], doc[64], secret[32], disabled[64], payload[64];
        uint64_t head, delivered, failed;
        unsigned attempts;
        int64_t due_us;
        enum push_form form;
    } at[PUSHED_MAX];
};

#define KEEP_TEXT(to, from) snprintf(to, sizeof(to), "%.*s", STR_ARG(from))

static void on_pushed(struct pushed *p, int err, const struct store_push *rows, size_t n)
{
    p->calls++;
    p->err = err;
    p->n = n;
    CHECK(n <= PUSHED_MAX);
    for (size_t i = 0; i < n && i < PUSHED_MAX; i++) {
        p->at[i].key = rows[i].key;
        KEEP_TEXT(p->at[i].id, rows[i].config.id);
        KEEP_TEXT(p->at[i].agent, rows[i].agent);
        KEEP_TEXT(p->at[i].task, rows[i].task_id);
        KEEP_TEXT(p->at[i].doc, rows[i].config.doc);
        KEEP_TEXT(p->at[i].secret, rows[i].config.secret);
        KEEP_TEXT(p->at[i].disabled, rows[i].disabled);
        KEEP_TEXT(p->at[i].payload, rows[i].payload);
        p->at[i].head = rows[i].head_seq;
        p->at[i].delivered = rows[i].delivered_seq;
        p->at[i].failed = rows[i].failed_seq;
        p->at[i].attempts = rows[i].attempts;
        p->at[i].due_us = rows[i].due_at_us;
        p->at[i].form = rows[i].config.form;
    }
}

static void on_claimed(void *arg, int err, const struct store_push *rows, size_t n,
                       int64_t next_due_us)
{
    struct pushed *p = arg;

    on_pushed(p, err, rows, n);
    p->next_due_us = next_due_us;
}

static void on_push_listed(void *arg, int err, const struct store_push *rows, size_t n,
                           const char *why)
{
    (void)why;
    on_pushed(arg, err, rows, n);
}

static size_t push_claim(struct rig *r, struct pushed *p, int64_t now_us)
{
    *p = (struct pushed){0};
    CHECK_INT(store_push_claim(r->store, PUSHED_MAX, now_us, on_claimed, p), 0);
    TURN_UNTIL(r, p->calls);
    CHECK_INT(p->err, 0);
    return p->n;
}

static int push_list(struct rig *r, struct pushed *p, const struct store_push_query *query)
{
    struct store_push_query q = *query;

    q.limit = q.limit ? q.limit : PUSHED_MAX;
    *p = (struct pushed){0};
    CHECK_INT(store_push_list(r->store, &q, on_push_listed, p), 0);
    TURN_UNTIL(r, p->calls);
    return p->err;
}

static int push_list_task(struct rig *r, struct pushed *p, const char *task)
{
    struct store_push_query q = {.agent = STR("a"), .task_id = str_of(task)};

    return push_list(r, p, &q);
}

struct settled {
    unsigned calls;
    int err;
    uint64_t heads[PUSHED_MAX];
};

static void on_settled(void *arg, int err, const uint64_t *heads, size_t n)
{
    struct settled *s = arg;

    s->calls++;
    s->err = err;
    for (size_t i = 0; i < n && i < PUSHED_MAX; i++)
        s->heads[i] = heads[i];
}

static struct store_push_result result_of(const struct pushed *p, size_t i, uint64_t delivered)
{
    return (struct store_push_result){
        .key = p->at[i].key, .id = str_of(p->at[i].id), .delivered_seq = delivered};
}

/* Settles one; what there is to deliver now. */
static uint64_t push_settle(struct rig *r, const struct store_push_result *result)
{
    struct settled s = {0};

    CHECK_INT(store_push_settle(r->store, result, 1, LATER, on_settled, &s), 0);
    TURN_UNTIL(r, s.calls);
    CHECK_INT(s.err, 0);
    return s.heads[0];
}

static void on_woken(void *arg)
{
    ++*(unsigned *)arg;
}

static int put_status(struct rig *r, const char *task, const char *state)
{
    struct told t = {0};
    int err = put(r, &t, "a", task, A2A_EVENT_STATUS, status(state));

    told_release(&t);
    return err;
}

static void put_task(struct rig *r, const char *task, const char *state)
{
    struct told t = {0};

    CHECK_INT(put(r, &t, "a", task, A2A_EVENT_TASK, snapshot(task, state, "x")), 0);
    told_release(&t);
}

TEST(a_webhook_is_woken_by_commits_behind_its_registration)
{
    unsigned woken = 0;
    struct pushed p;
    RIG(r);

    store_on_push(r.store, on_woken, &woken);
    CHECK_INT(push_put(&r, "t1", "w"), ERR_ABSENT);
    put_task(&r, "t1", "WORKING");
    CHECK_INT(woken, 0);
    CHECK_INT(push_put(&r, "t1", "w"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), 0);       /* nothing has happened since */
    CHECK_INT(put_status(&r, "t1", "WORKING"), 0); /* changes nothing */
    CHECK_INT(woken, 0);
    CHECK_INT(put_status(&r, "t1", "INPUT_REQUIRED"), 0);
    CHECK_INT(woken, 1);
    CHECK_INT(push_claim(&r, &p, clock_wall_us() - 3600000000), 0); /* not due yet */
    CHECK(p.next_due_us > 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_STR(str_of(p.at[0].task), STR("t1"));
    CHECK_STR(str_of(p.at[0].agent), STR("a"));
    CHECK_STR(str_of(p.at[0].id), STR("w"));
    CHECK_STR(str_of(p.at[0].doc), STR("{\"url\":\"https://x/\"}"));
    CHECK_STR(str_of(p.at[0].secret), STR("s3cret"));
    CHECK_INT(p.at[0].form, PUSH_1_0);
    CHECK_INT(p.at[0].delivered, 1);
    CHECK_INT(p.at[0].head, 2);
    CHECK_INT(push_claim(&r, &p, LATER), 0); /* it is ours */
    rig_close(&r);
}

TEST(settling_looks_at_what_has_come_meanwhile)
{
    struct store_push_result result;
    struct pushed p, other;
    RIG(r);

    put_task(&r, "t1", "WORKING");
    CHECK_INT(push_put(&r, "t1", "w"), 0);
    CHECK_INT(put_status(&r, "t1", "INPUT_REQUIRED"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(put_status(&r, "t1", "WORKING"), 0); /* while we deliver */
    result = result_of(&p, 0, 2);
    result.keep = true;
    CHECK_INT(push_settle(&r, &result), 3); /* and it is ours still */
    CHECK_INT(push_claim(&r, &other, LATER), 0);
    result.delivered_seq = 3;
    CHECK_INT(push_settle(&r, &result), 3);
    CHECK_INT(push_claim(&r, &other, LATER), 0); /* all told */
    CHECK_INT(put_status(&r, "t1", "COMPLETED"), 0);
    CHECK_INT(push_settle(&r, &result), 0); /* it was given back */
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    result = result_of(&p, 0, 3);
    result.attempts = 2;
    result.due_at_us = LATER + 1000000;
    CHECK_INT(push_settle(&r, &result), 4);
    CHECK_INT(push_claim(&r, &p, LATER), 0); /* its time has not come */
    CHECK(p.next_due_us > LATER);
    CHECK_INT(push_claim(&r, &p, LATER + 5000000), 1);
    CHECK_INT(p.at[0].attempts, 2);
    rig_close(&r);
}

static void append_with_push(struct rig *r, struct told *t, const char *task,
                             enum a2a_event_kind kind, struct str payload, const char *id)
{
    struct append a = append_of("a", task, kind, payload);
    struct store_push_config config = push_config(id);

    a.push = &config;
    *t = (struct told){.rig = r};
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    TURN_UNTIL(r, t->calls);
    told_release(t);
}

TEST(a_webhook_comes_with_the_first_event)
{
    struct pushed p;
    struct told t;
    unsigned woken = 0;
    RIG(r);

    store_on_push(r.store, on_woken, &woken);
    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "COMPLETED", "x"), "w");
    CHECK_INT(woken, 1);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].delivered, 0);
    CHECK_INT(p.at[0].head, 1);
    append_with_push(&r, &t, "t2", A2A_EVENT_TASK, snapshot("t2", "WORKING", "x"), "w");
    append_with_push(&r, &t, "t2", A2A_EVENT_MESSAGE, MESSAGE, "v");
    CHECK_INT(push_claim(&r, &p, LATER), 2);
    CHECK_INT(push_list_task(&r, &p, "t2"), 0);
    CHECK_INT(p.n, 2);
    CHECK_STR(str_of(p.at[0].id), STR("w"));
    CHECK_INT(p.at[1].delivered, 1); /* begins with the message it came with */
    CHECK_INT(p.at[1].head, 2);
    append_with_push(&r, &t, "t1", A2A_EVENT_MESSAGE, MESSAGE, "late"); /* t1 is over */
    CHECK_INT(push_list_task(&r, &p, "t1"), 0);
    CHECK_INT(p.n, 1);
    rig_close(&r);
}

TEST(disabled_webhooks_keep_their_place_until_retried)
{
    struct store_push_query failed = {.only_failed = true};
    struct store_push_result result;
    struct done d = {0};
    struct pushed p;
    struct told t;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    result = result_of(&p, 0, 0);
    result.attempts = 9;
    result.disabled = STR("gone");
    CHECK_INT(push_settle(&r, &result), 1);
    CHECK_INT(put_status(&r, "t1", "COMPLETED"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), 0);
    CHECK_INT(push_list(&r, &p, &failed), 0);
    CHECK_INT(p.n, 1);
    CHECK_STR(str_of(p.at[0].disabled), STR("gone"));
    CHECK_INT(p.at[0].head, 2); /* it is known what it misses */
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_configs WHERE enabled"), 0);
    CHECK_INT(store_push_retry(r.store, &p.at[0].key, STR("w"), LATER, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(d.err, 0);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_configs WHERE enabled"), 1);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].delivered, 0);
    CHECK_INT(p.at[0].attempts, 0);
    d = (struct done){0};
    CHECK_INT(store_push_retry(r.store, &p.at[0].key, STR("x"), LATER, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(d.err, ERR_ABSENT);
    rig_close(&r);
}

TEST(events_given_up_are_where_a_retry_begins)
{
    struct store_push_query failed = {.only_failed = true};
    struct store_push_result result;
    struct done d = {0};
    struct pushed p;
    struct told t;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(put_status(&r, "t1", "INPUT_REQUIRED"), 0);
    CHECK_INT(put_status(&r, "t1", "COMPLETED"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    result = result_of(&p, 0, 2);
    result.failed_seq = 2;
    result.keep = true;
    CHECK_INT(push_settle(&r, &result), 3);
    result.delivered_seq = 3;
    result.failed_seq = 3; /* the first counts */
    CHECK_INT(push_settle(&r, &result), 3);
    CHECK_INT(push_claim(&r, &p, LATER), 0);
    CHECK_INT(push_list(&r, &p, &failed), 0);
    CHECK_INT(p.n, 1);
    CHECK_INT(p.at[0].failed, 2);
    CHECK_INT(store_push_retry(r.store, &p.at[0].key, STR("w"), LATER, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].delivered, 1);
    CHECK_INT(p.at[0].failed, 0);
    rig_close(&r);
}

TEST(registering_anew_and_deleting_take_a_cursor_away)
{
    struct store_push_result result;
    struct pushed p, q;
    struct told t;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    result = result_of(&p, 0, 1);
    CHECK_INT(push_put(&r, "t1", "w"), 0);
    CHECK_INT(push_settle(&r, &result), 0);
    CHECK_INT(push_claim(&r, &q, LATER), 1); /* goes on where it stood */
    CHECK_INT(q.at[0].delivered, 0);
    CHECK_INT(push_delete(&r, "t1", "w"), 0);
    CHECK_INT(push_settle(&r, &result), 0);
    CHECK_INT(push_list_task(&r, &p, "t1"), 0);
    CHECK_INT(p.n, 0);
    CHECK_INT(push_delete(&r, "t1", "w"), 0); /* as often as one likes */
    CHECK_INT(push_delete(&r, "t9", "w"), ERR_ABSENT);
    CHECK_INT(push_list_task(&r, &p, "t9"), ERR_ABSENT);
    CHECK_INT(put_status(&r, "t1", "COMPLETED"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), 0);
    rig_close(&r);
}

TEST(a_task_has_so_many_webhooks)
{
    struct pushed p;
    char id[32];
    RIG(r);

    put_task(&r, "t1", "WORKING");
    for (unsigned i = 0; i < PUSH_PER_TASK; i++) {
        snprintf(id, sizeof id, "w%u", i);
        CHECK_INT(push_put(&r, "t1", id), 0);
    }
    CHECK_INT(push_put(&r, "t1", "one more"), ERR_FULL);
    CHECK_INT(push_put(&r, "t1", "w7"), 0);
    CHECK_INT(put_status(&r, "t1", "COMPLETED"), 0);
    CHECK_INT(push_claim(&r, &p, LATER), PUSHED_MAX); /* as many as were asked for */
    CHECK_INT(push_claim(&r, &p, LATER), PUSHED_MAX);
    rig_close(&r);
}

static bool note_message(struct rig *r, const char *id)
{
    struct store_push_note note = {.agent = STR("a"),
                                   .config = push_config(id),
                                   .payload = STR("{\"messageId\":\"m\"}"),
                                   .dialect = A2A_1_0};
    struct done d = {0};

    CHECK_INT(store_push_note(r->store, &note, on_done, &d), 0);
    TURN_UNTIL(r, d.calls);
    return d.err == 0;
}

TEST(a_message_has_a_cursor_of_its_own)
{
    struct store_push_result result;
    struct done d = {0};
    struct pushed p;
    RIG(r);

    CHECK(note_message(&r, "m1"));
    CHECK(note_message(&r, "m2"));
    CHECK_INT(push_claim(&r, &p, LATER), 2);
    CHECK_STR(str_of(p.at[0].payload), STR("{\"messageId\":\"m\"}"));
    CHECK_STR(str_of(p.at[0].task), STR(""));
    CHECK_STR(str_of(p.at[0].agent), STR("a"));
    CHECK_STR(str_of(p.at[0].doc), STR("{\"url\":\"https://x/\"}"));
    CHECK_INT(p.at[0].head, 1);
    result = result_of(&p, 0, 1);
    CHECK_INT(push_settle(&r, &result), 1);
    CHECK_INT(store_push_prune(r.store, LATER, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    /* one is not done */
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_notes"), 1);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_cursors"), 1);
    rig_close(&r);
}

static void on_attempts(void *arg, int err, const struct store_push_attempt *rows, size_t n,
                        const char *why)
{
    struct done *d = arg;

    (void)why;
    d->err = err;
    CHECK_INT(n, 2);
    if (n == 2) {
        CHECK_INT(rows[0].seq, 2); /* newest first */
        CHECK_INT(rows[0].status, 0);
        CHECK_STR(rows[0].error, STR("no answer"));
        CHECK_INT(rows[1].status, 500);
        CHECK_INT(rows[1].ms, 12);
        CHECK_STR(rows[1].answer, STR("oops"));
        CHECK_INT(rows[1].attempt, 1);
    }
    d->calls++;
}

TEST(attempts_are_kept_and_forgotten)
{
    struct store_push_result result;
    struct done d = {0};
    struct pushed p;
    struct told t;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    result = result_of(&p, 0, 0);
    result.keep = result.has_attempt = true;
    result.attempt = (struct store_push_attempt){.seq = 1,
                                                 .attempt = 1,
                                                 .at_us = 1000000,
                                                 .status = 500,
                                                 .ms = 12,
                                                 .answer = STR("oops")};
    CHECK_INT(push_settle(&r, &result), 1);
    result.attempt = (struct store_push_attempt){
        .seq = 2, .attempt = 2, .at_us = LATER, .error = STR("no answer")};
    CHECK_INT(push_settle(&r, &result), 1);
    CHECK_INT(store_push_attempts(r.store, &p.at[0].key, STR("w"), 5, on_attempts, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(d.err, 0);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_attempt_view"), 2);
    d = (struct done){0};
    CHECK_INT(store_push_prune(r.store, 2000000, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(suite_number(&r.config, "SELECT count(*) FROM push_attempts"), 1);
    rig_close(&r);
}

TEST(a_sweep_finds_what_no_wake_up_told)
{
    struct done d = {0};
    struct pushed p;
    RIG(r);

    put_task(&r, "t1", "WORKING");
    CHECK_INT(push_put(&r, "t1", "w"), 0);
    /* as a gateway writes that knows no webhooks */
    suite_intrude(&r.config, "a", "t1", A2A_EVENT_STATUS, "{\"state\":\"TASK_STATE_WORKING\"}");
    CHECK_INT(push_claim(&r, &p, LATER), 0);
    CHECK_INT(store_push_sweep(r.store, LATER, on_done, &d), 0);
    TURN_UNTIL(&r, d.calls);
    CHECK_INT(d.err, 0);
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    CHECK_INT(p.at[0].head, 2);
    rig_close(&r);
}

TEST(webhooks_are_listed_newest_first_page_by_page)
{
    struct store_push_query q = {.limit = 2};
    struct pushed p;
    RIG(r);

    for (int i = 0; i < 3; i++) {
        char task[16];

        snprintf(task, sizeof task, "t%d", i);
        put_task(&r, task, "WORKING");
        CHECK_INT(push_put(&r, task, "w"), 0);
    }
    CHECK(note_message(&r, "m"));
    CHECK_INT(push_list(&r, &p, &q), 0);
    CHECK_INT(p.n, 2);
    CHECK_STR(str_of(p.at[0].id), STR("m"));
    CHECK_STR(str_of(p.at[1].task), STR("t2"));
    q.has_after = true;
    q.after_key = p.at[1].key;
    q.after_id = STR("w");
    CHECK_INT(push_list(&r, &p, &q), 0);
    CHECK_INT(p.n, 2);
    CHECK_STR(str_of(p.at[0].task), STR("t1"));
    q = (struct store_push_query){.agent = STR("b")};
    CHECK_INT(push_list(&r, &p, &q), 0);
    CHECK_INT(p.n, 0);
    q = (struct store_push_query){.id = STR("w"), .agent = STR("a")};
    CHECK_INT(push_list(&r, &p, &q), 0);
    CHECK_INT(p.n, 3);
    rig_close(&r);
}

/* Whoever held a cursor and died lets it go. */
TEST(a_restarted_gateway_claims_what_it_held)
{
    struct pushed p;
    struct told t;
    RIG(r);

    append_with_push(&r, &t, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x"), "w");
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    rig_stop(&r);
    CHECK(rig_start(&r));
    CHECK_INT(push_claim(&r, &p, LATER), 1);
    rig_close(&r);
}

TEST(what_can_be_no_webhook_is_refused_at_once)
{
    struct store_push_config config = push_config("w");
    struct append a = append_of("a", "t1", A2A_EVENT_MESSAGE, MESSAGE);
    struct done d = {0};
    char *long_id = mem_zero(PUSH_ID_MAX + 2, 1);
    RIG(r);

    memset(long_id, 'x', PUSH_ID_MAX + 1);
    CHECK_INT(store_push_put(r.store, STR("a"), STR(""), &config, on_done, &d), ERR_INVALID);
    config.id = STR("a\nb");
    CHECK_INT(store_push_put(r.store, STR("a"), STR("t"), &config, on_done, &d), ERR_INVALID);
    config.id = str_of(long_id);
    CHECK_INT(store_push_put(r.store, STR("a"), STR("t"), &config, on_done, &d), ERR_INVALID);
    config.id = STR("");
    a.push = &config;
    CHECK_INT(store_append(r.store, &a, on_append_told, NULL), ERR_INVALID);
    CHECK_INT(store_push_claim(r.store, 0, 1, on_claimed, NULL), ERR_INVALID);
    CHECK_INT(d.calls, 0);
    mem_free(long_id);
    rig_close(&r);
}

/* Many tasks with webhooks, written, claimed and settled all at once, in an order that chance makes: when everything
 * has come to rest each webhook has been told exactly to the end of its task. */
TEST(wake_ups_race_acknowledgements_and_registrations)
{
    enum { TASKS = 12, ROUNDS = 40 };
    static struct pushed p;
    struct told t[TASKS] = {0};
    uint64_t told_to[TASKS] = {0};
    struct settled s[PUSHED_MAX];
    char task[16];
    size_t n;
    RIG(r);

    for (unsigned i = 0; i < TASKS; i++) {
        snprintf(task, sizeof task, "t%u", i);
        put_task(&r, task, "WORKING");
    }
    for (unsigned round = 0; round <= ROUNDS; round++) {
        struct done d[TASKS] = {0};
        unsigned n_puts = 0;

        for (unsigned i = 0; i < TASKS && round < ROUNDS; i++) {
            snprintf(task, sizeof task, "t%u", i);
            start(&r, &t[i], "a", task, A2A_EVENT_MESSAGE, MESSAGE);
            if (round % TASKS == i) {
                struct store_push_config config = push_config("w");

                CHECK_INT(store_push_put(r.store, STR("a"), str_of(task), &config, on_done,
                                         &d[n_puts++]),
                          0);
            }
        }
        n = push_claim(&r, &p, LATER);
        for (size_t i = 0; i < n; i++) {
            struct store_push_result result = result_of(&p, i, p.at[i].head);

            CHECK(p.at[i].delivered < p.at[i].head);
            s[i] = (struct settled){0};
            CHECK_INT(store_push_settle(r.store, &result, 1, LATER, on_settled, &s[i]), 0);
        }
        for (size_t i = 0; i < n; i++)
            TURN_UNTIL(&r, s[i].calls);
        for (unsigned i = 0; i < n_puts; i++)
            TURN_UNTIL(&r, d[i].calls);
        for (unsigned i = 0; i < TASKS && round < ROUNDS; i++)
            TURN_UNTIL(&r, t[i].calls);
    }
    while ((n = push_claim(&r, &p, LATER)) > 0)
        for (size_t i = 0; i < n; i++) {
            struct store_push_result result = result_of(&p, i, p.at[i].head);

            CHECK(push_settle(&r, &result) > 0);
        }
    for (unsigned i = 0; i < TASKS; i++) {
        snprintf(task, sizeof task, "t%u", i);
        CHECK_INT(push_list_task(&r, &p, task), 0);
        CHECK_INT(p.n, 1);
        told_to[i] = p.at[0].delivered;
        CHECK_INT(told_to[i], ROUNDS + 1);
        told_release(&t[i]);
    }
    rig_close(&r);
}

#endif
