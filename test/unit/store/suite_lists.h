/* SPDX-License-Identifier: MIT
 *
 * Part of suite.h: lists with filters and documents against a naive model, page tokens, contexts, status times.
 */
#ifndef TEST_UNIT_STORE_SUITE_LISTS_H
#define TEST_UNIT_STORE_SUITE_LISTS_H

#include "lib/clock.h"
#include "store/token.h"

/* --- against a naive model ------------------------------------------------------------------------ */

#define LIST_TASKS 40
#define LIST_EPOCH_US 1704067200000000ll /* 2024-01-01T00:00:00Z */

/* Tasks in the order they were made, which is the order of their keys. */
struct list_model {
    struct list_task {
        char agent[8], id[8], context[8];
        enum a2a_state state;
        int64_t at_us;
        bool is_touched; /* while a list was being paged */
    } tasks[LIST_TASKS];
    size_t n;
    struct model dice; /* its random numbers */
};

static const struct {
    enum a2a_state state;
    const char *name;
} list_states[] = {{A2A_STATE_SUBMITTED, "SUBMITTED"},
                   {A2A_STATE_WORKING, "WORKING"},
                   {A2A_STATE_INPUT_REQUIRED, "INPUT_REQUIRED"},
                   {A2A_STATE_COMPLETED, "COMPLETED"}};

/* A status object of the task's state and time. */
static void list_status(const struct list_task *t, char out[128])
{
    char when[CLOCK_TEXT + 1];
    size_t i = 0;

    while (list_states[i].state != t->state)
        i++;
    clock_format(t->at_us, when);
    snprintf(out, 128, "{\"state\":\"TASK_STATE_%s\",\"timestamp\":\"%s\"}",
             list_states[i].name, when);
}

static void list_draw_status(struct list_model *m, struct list_task *t)
{
    t->state = list_states[draw(&m->dice, 4)].state;
    t->at_us = LIST_EPOCH_US + draw(&m->dice, 12) * 1000000ll;
}

static void list_add(struct rig *r, struct list_model *m)
{
    struct list_task *t = &m->tasks[m->n];
    struct told told = {0};
    char status_text[128], doc[512];
    int n;

    snprintf(t->agent, sizeof t->agent, "a%u", draw(&m->dice, 3));
    snprintf(t->id, sizeof t->id, "t%zu", m->n++);
    snprintf(t->context, sizeof t->context, "c%u", draw(&m->dice, 3));
    list_draw_status(m, t);
    list_status(t, status_text);
    n = snprintf(doc, sizeof doc, "{\"id\":\"%s\",\"contextId\":\"%s\",\"status\":%s}", t->id,
                 t->context, status_text);
    CHECK_INT(put(r, &told, t->agent, t->id, A2A_EVENT_TASK, str_make(doc, (size_t)n)), 0);
    told_release(&told);
}

/* Another status, unless the task is terminal. */
static void list_change(struct rig *r, struct list_model *m, int64_t at_us)
{
    struct list_task *t = &m->tasks[draw(&m->dice, (unsigned)m->n)];
    struct told told = {0};
    char status_text[128];

    if (a2a_state_is_terminal(t->state))
        return;
    list_draw_status(m, t);
    t->at_us = at_us ? at_us : t->at_us;
    t->is_touched = true;
    list_status(t, status_text);
    CHECK_INT(put(r, &told, t->agent, t->id, A2A_EVENT_STATUS, str_of(status_text)), 0);
    told_release(&told);
}

static bool list_matches(const struct list_task *t, const struct task_query *q)
{
    return (!q->agent.p || str_is(q->agent, str_of(t->agent))) &&
           (!q->context.p || str_is(q->context, str_of(t->context))) &&
           (!q->has_state || q->state == t->state) &&
           (!q->has_after_us || t->at_us >= q->after_us);
}

/* The next of the model's tasks behind `last` (NULL: the first) that matches, newest first. */
static const struct list_task *list_next(const struct list_model *m, const struct task_query *q,
                                         const struct list_task *last)
{
    const struct list_task *best = NULL;

    for (const struct list_task *t = m->tasks; t < m->tasks + m->n; t++) {
        bool is_behind =
            !last || t->at_us < last->at_us || (t->at_us == last->at_us && t < last);

        if (is_behind && list_matches(t, q) && (!best || t->at_us >= best->at_us))
            best = t;
    }
    return best;
}

static struct task_query list_draw_query(struct list_model *m)
{
    static const char *const agents[] = {"a0", "a1", "a2", "nobody"};
    static const char *const contexts[] = {"c0", "c1", "c2", "nothing"};
    struct task_query q = {.limit = 1 + draw(&m->dice, draw(&m->dice, 2) ? 5 : 60)};

    if (draw(&m->dice, 2))
        q.agent = str_of(agents[draw(&m->dice, 4)]);
    if (draw(&m->dice, 3) == 0)
        q.context = str_of(contexts[draw(&m->dice, 4)]);
    q.has_state = draw(&m->dice, 3) == 0;
    q.state = list_states[draw(&m->dice, 4)].state;
    q.has_after_us = draw(&m->dice, 3) == 0;
    q.after_us = LIST_EPOCH_US + draw(&m->dice, 14) * 1000000ll;
    q.want_docs = draw(&m->dice, 2);
    return q;
}

static void list_compare(struct rig *r, struct list_model *m, struct task_query q)
{
    const struct list_task *t = NULL;
    struct listed l = {0};
    char next[sizeof l.next] = "";
    uint64_t total = 0;

    while ((t = list_next(m, &q, t)))
        total++;
    t = NULL;
    do {
        q.after = next[0] ? str_of(next) : STR_NONE;
        ask_list(r, &l, &q);
        CHECK_INT(l.err, 0);
        CHECK_INT(l.total, total);
        for (size_t i = 0; i < l.n; i++) {
            t = list_next(m, &q, t);
            if (!t) {
                CHECK(t != NULL);
                break;
            }
            CHECK_STR(str_of(l.ids[i]), str_of(t->id));
            CHECK_STR(str_of(l.agents[i]), str_of(t->agent));
            CHECK_STR(str_of(l.contexts[i]), str_of(t->context));
            CHECK_INT(l.states[i], t->state);
            CHECK_INT(l.at_us[i], t->at_us);
            CHECK(!l.docs[i] == !q.want_docs);
            CHECK(!l.docs[i] || strstr(l.docs[i], t->context) != NULL);
        }
        CHECK(l.n == q.limit || !l.next[0]);
        snprintf(next, sizeof next, "%s", l.next);
    } while (next[0] && !test_failures);
    CHECK(!list_next(m, &q, t));
    listed_release(&l);
}

TEST(lists_agree_with_the_model)
{
    struct list_model m = {.dice = {.random = 0x2545f4914f6cdd1du}};
    RIG(r);

    for (unsigned step = 0; step < 120 && !test_failures; step++) {
        if (m.n < LIST_TASKS && draw(&m.dice, 2))
            list_add(&r, &m);
        else if (m.n)
            list_change(&r, &m, 0);
        list_compare(&r, &m, list_draw_query(&m));
    }
    list_compare(&r, &m, (struct task_query){.limit = 3});
    rig_close(&r);
}

/* Tasks that change move to the front; every other is seen exactly once, whatever happens between the pages. */
TEST(paging_while_tasks_change)
{
    struct list_model m = {.dice = {.random = 77}};
    struct task_query q = {.limit = 3};
    struct listed l = {0};
    char next[sizeof l.next] = "";
    unsigned seen[LIST_TASKS] = {0};
    int64_t newest = LIST_EPOCH_US + 3600000000ll;
    RIG(r);

    while (m.n < LIST_TASKS)
        list_add(&r, &m);
    do {
        q.after = next[0] ? str_of(next) : STR_NONE;
        ask_list(&r, &l, &q);
        CHECK_INT(l.err, 0);
        CHECK_INT(l.total, LIST_TASKS);
        for (size_t i = 0; i < l.n; i++) {
            uint64_t at = 0;

            CHECK_INT(str_to_u64(str_of(l.ids[i] + 1), &at), 0);
            seen[at % LIST_TASKS]++;
        }
        snprintf(next, sizeof next, "%s", l.next);
        list_change(&r, &m, newest += 1000000);
    } while (next[0] && !test_failures);
    for (size_t i = 0; i < LIST_TASKS; i++)
        CHECK(m.tasks[i].is_touched ? seen[i] <= 1 : seen[i] == 1);
    listed_release(&l);
    rig_close(&r);
}

/* --- documents ------------------------------------------------------------------------------------ */

/* Half of the tasks have events behind their stored document. */
TEST(listed_documents_are_whole)
{
    enum { N = 12 };
    struct told t = {0};
    struct listed l = {0};
    struct task_query q = {.agent = STR("a"), .limit = 5, .want_docs = true};
    char id[16], next[sizeof l.next] = "";
    size_t n = 0;
    RIG(r);

    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "t%d", i);
        CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "first")), 0);
        if (i % 2) {
            CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", id)), 0);
            CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_MESSAGE, MESSAGE), 0);
            CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK, snapshot(id, "WORKING", "last")), 0);
        }
    }
    do {
        q.after = next[0] ? str_of(next) : STR_NONE;
        ask_list(&r, &l, &q);
        CHECK_INT(l.err, 0);
        for (size_t i = 0; i < l.n; i++) {
            CHECK_INT(get(&r, &t, "a", l.ids[i]), 0);
            CHECK_STR(str_of(l.docs[i]), told_doc(&t));
        }
        n += l.n;
        snprintf(next, sizeof next, "%s", l.next);
    } while (next[0] && !test_failures);
    CHECK_INT(n, N);
    listed_release(&l);
    told_release(&t);
    rig_close(&r);
}

TEST(a_page_of_documents_is_bounded)
{
    enum { N = 5 };
    struct told t = {0};
    struct listed l = {0};
    struct task_query q = {.limit = 50, .want_docs = true};
    char id[16], next[sizeof l.next] = "";
    size_t n = 0, n_pages = 0;
    RIG(r);

    for (int i = 0; i < N; i++) {
        char *large;

        snprintf(id, sizeof id, "t%d", i);
        large = large_snapshot(id, "COMPLETED", i == 2 ? MB(15) : MB(6));
        CHECK_INT(put(&r, &t, "a", id, A2A_EVENT_TASK, str_of(large)), 0);
        mem_free(large);
    }
    do {
        size_t bytes = 0;

        q.after = next[0] ? str_of(next) : STR_NONE;
        ask_list(&r, &l, &q);
        CHECK_INT(l.err, 0);
        CHECK_INT(l.total, N);
        CHECK(l.n > 0);
        for (size_t i = 0; i < l.n; i++)
            bytes += strlen(l.docs[i]);
        CHECK(l.n == 1 || bytes <= LIMIT_LIST_BYTES);
        n += l.n;
        n_pages++;
        snprintf(next, sizeof next, "%s", l.next);
    } while (next[0] && !test_failures);
    CHECK_INT(n, N);
    CHECK_INT(n_pages, 3);
    listed_release(&l);
    told_release(&t);
    rig_close(&r);
}

/* --- page tokens ---------------------------------------------------------------------------------- */

TEST(a_page_token_of_another_agent)
{
    struct task_query q = {.agent = STR("odd"), .limit = 2};
    struct listed l = {0};
    char next[sizeof l.next];
    RIG(r);

    put_many(&r, 10);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    snprintf(next, sizeof next, "%s", l.next);
    q.after = str_of(next);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    q.agent = STR("even");
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, ERR_INVALID);
    q.agent = STR_NONE;
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0); /* a place in the list of all */
    listed_release(&l);
    rig_close(&r);
}

/* The task the token names is gone: the list goes on at its time and skips nothing. */
TEST(a_page_token_whose_task_is_gone)
{
    struct listed l = {0};
    char next[sizeof l.next], last[32];
    bool seen[10] = {0};
    RIG(r);

    put_many(&r, 10);
    list(&r, &l, NULL, 4, NULL);
    for (size_t i = 0; i < l.n; i++)
        seen[l.ids[i][3] - '0'] = true;
    snprintf(last, sizeof last, "%s", l.ids[l.n - 1]);
    snprintf(next, sizeof next, "%s", l.next);
    {
        char sql[128];

        snprintf(sql, sizeof sql, "DELETE FROM tasks WHERE task_id = '%s' RETURNING 1", last);
        CHECK_INT(suite_number(&r.config, sql), 1);
    }
    list(&r, &l, NULL, 10, next);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.total, 9);
    for (size_t i = 0; i < l.n; i++)
        seen[l.ids[i][3] - '0'] = true;
    for (size_t i = 0; i < 10; i++)
        CHECK(seen[i]);
    listed_release(&l);
    rig_close(&r);
}

/* Well-formed tokens of any place and task: never an error of the database, never a stop. */
TEST(page_tokens_somebody_made_up)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1,       0,
                                    1,         INT64_MAX - 1, INT64_MAX};
    char text[TOKEN_TEXT_MAX + 1], id[LIMIT_TASK_ID];
    struct listed l = {0};
    RIG(r);

    put_many(&r, 4);
    memset(id, 'x', sizeof id);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        size_t n =
            token_write(text, times[i], STR("even"), str_make(id, i % 2 ? sizeof id : 1));

        text[n] = '\0';
        list(&r, &l, "even", 2, text);
        CHECK(l.err == 0 || l.err == ERR_INVALID);
        list(&r, &l, NULL, 2, text);
        CHECK(l.err == 0 || l.err == ERR_INVALID);
    }
    CHECK_INT(r.state, STORE_UP);
    list(&r, &l, NULL, 2, NULL);
    CHECK_INT(l.n, 2);
    listed_release(&l);
    rig_close(&r);
}

/* Names that cannot be: an empty list, and the database is not asked. */
TEST(lists_of_impossible_names)
{
    char long_name[LIMIT_TASK_ID + 2];
    struct task_query q = {.limit = 10};
    struct listed l = {0};
    RIG(r);

    put_many(&r, 3);
    memset(long_name, 'x', sizeof long_name);
    q.context = str_make(long_name, sizeof long_name - 1);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.total, 0);
    q.context = str_make("a\0b", 3);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.n, 0);
    q.context = STR("\xff");
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    q.context = STR_NONE;
    q.agent = str_make(long_name, sizeof long_name - 1);
    ask_list(&r, &l, &q);
    CHECK_INT(l.err, 0);
    CHECK_INT(l.n, 0);
    listed_release(&l);
    rig_close(&r);
}

/* --- who has a task of this id -------------------------------------------------------------------- */

struct finding {
    unsigned calls;
    int err;
    size_t n;
    char agents[16][16];
};

static void on_found(void *arg, int err, const struct str *agents, size_t n)
{
    struct finding *f = arg;

    f->calls++;
    f->err = err;
    f->n = n;
    for (size_t i = 0; i < n && i < 16; i++)
        snprintf(f->agents[i], sizeof f->agents[i], "%.*s", STR_ARG(agents[i]));
}

static void find(struct rig *r, struct finding *f, struct str id)
{
    *f = (struct finding){0};
    CHECK_INT(store_task_find(r->store, id, on_found, f), 0);
    CHECK_INT(f->calls, 0);
    TURN_UNTIL(r, f->calls);
}

TEST(agents_that_have_a_task_of_an_id)
{
    struct finding f;
    struct told t = {0};
    char agent[16], long_id[LIMIT_TASK_ID + 1];
    RIG(r);

    find(&r, &f, STR("t1"));
    CHECK_INT(f.err, 0);
    CHECK_INT(f.n, 0);
    for (int i = 12; i-- > 0;) {
        snprintf(agent, sizeof agent, "agent%02d", i);
        CHECK_INT(put(&r, &t, agent, "t1", A2A_EVENT_TASK, snapshot("t1", "WORKING", "x")), 0);
    }
    CHECK_INT(put(&r, &t, "agent07", "t2", A2A_EVENT_TASK, snapshot("t2", "WORKING", "x")), 0);
    find(&r, &f, STR("t1"));
    CHECK_INT(f.n, 10);
    CHECK_STR(str_of(f.agents[0]), STR("agent00"));
    CHECK_STR(str_of(f.agents[9]), STR("agent09"));
    find(&r, &f, STR("t2"));
    CHECK_INT(f.n, 1);
    CHECK_STR(str_of(f.agents[0]), STR("agent07"));
    find(&r, &f, STR("t"));
    CHECK_INT(f.n, 0);
    memset(long_id, 'x', sizeof long_id);
    find(&r, &f, str_make(long_id, sizeof long_id));
    CHECK_INT(f.err, 0);
    CHECK_INT(f.n, 0);
    find(&r, &f, STR("\xc0\x80"));
    CHECK_INT(f.err, 0);
    find(&r, &f, STR_NONE);
    CHECK_INT(f.n, 0);
    told_release(&t);
    rig_close(&r);
}

/* --- status times --------------------------------------------------------------------------------- */

static int64_t listed_time(struct rig *r, const char *id, const char *when)
{
    struct listed l = {0};
    struct told t = {0};
    struct task_query q = {.agent = str_of(id), .limit = 1};
    int64_t at_us;

    CHECK_INT(put(r, &t, id, id, A2A_EVENT_TASK, snapshot_at(id, "WORKING", "x", when)), 0);
    ask_list(r, &l, &q);
    CHECK_INT(l.n, 1);
    at_us = l.at_us[0];
    listed_release(&l);
    told_release(&t);
    return at_us;
}

TEST(status_times_are_the_agents_unless_they_cannot_be)
{
    int64_t before, now_us;
    RIG(r);

    CHECK_INT(listed_time(&r, "a", "2024-01-01T00:00:12.5Z"), LIST_EPOCH_US + 12500000);
    CHECK_INT(listed_time(&r, "b", "2024-01-01T02:00:00+02:00"), LIST_EPOCH_US);
    before = clock_wall_us();
    for (int i = 0; i < 4; i++) {
        static const char *const odd[] = {NULL, "yesterday", "9999-12-31T23:59:59Z", ""};
        char id[4] = {'o', (char)('0' + i)};

        now_us = listed_time(&r, id, odd[i]);
        CHECK(now_us >= before && now_us <= clock_wall_us());
    }
    rig_close(&r);
}

/* --- contexts ------------------------------------------------------------------------------------- */

static void put_in_context(struct rig *r, struct told *t, const char *id, const char *doc,
                           struct str context)
{
    struct append a = append_of("a", id, A2A_EVENT_TASK, str_of(doc));

    a.context = context;
    told_release(t);
    t->rig = r;
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    TURN_UNTIL(r, t->calls);
    CHECK_INT(t->err, 0);
}

/* The context of the task; lives until the next but three calls. */
static const char *context_of_task(struct rig *r, const char *id)
{
    static char rooms[4][600];
    static unsigned turn;
    char *room = rooms[turn++ % 4];
    struct task *t = store_task_peek(r->store, STR("a"), str_of(id));

    snprintf(room, sizeof rooms[0], "%.*s", STR_ARG(t ? t->context : STR("no task")));
    return room;
}

#define BARE(id, state) "{\"id\":\"" id "\",\"status\":{\"state\":\"TASK_STATE_" state "\"}}"

TEST(contexts_of_documents_that_have_none)
{
    struct told t = {0};
    struct listed l = {0};
    struct task_query q = {.limit = 10};
    char made_up[64], long_context[LIMIT_TASK_ID + 1];
    RIG(r);

    put_in_context(&r, &t, "own",
                   "{\"id\":\"own\",\"contextId\":\"agents\",\"status\":{\"state\":"
                   "\"TASK_STATE_WORKING\"}}",
                   STR("ours"));
    CHECK_STR(str_of(context_of_task(&r, "own")), STR("agents"));
    put_in_context(&r, &t, "given", BARE("given", "WORKING"), STR("ours"));
    CHECK_STR(str_of(context_of_task(&r, "given")), STR("ours"));
    CHECK_STR(told_doc(&t), STR(BARE("given", "WORKING"))); /* never in the document */
    put_in_context(&r, &t, "given", BARE("given", "INPUT_REQUIRED"), STR("another"));
    CHECK_STR(str_of(context_of_task(&r, "given")), STR("ours")); /* the stored one stays */
    put_in_context(&r, &t, "none", BARE("none", "WORKING"), STR_NONE);
    snprintf(made_up, sizeof made_up, "%s", context_of_task(&r, "none"));
    CHECK_INT(strlen(made_up), UUID_TEXT);
    put_in_context(&r, &t, "none", BARE("none", "INPUT_REQUIRED"), STR_NONE);
    CHECK_STR(str_of(context_of_task(&r, "none")), str_of(made_up));
    memset(long_context, 'x', sizeof long_context);
    put_in_context(&r, &t, "long", BARE("long", "WORKING"),
                   str_make(long_context, sizeof long_context));
    CHECK_INT(strlen(context_of_task(&r, "long")), UUID_TEXT);
    put_in_context(&r, &t, "bytes", BARE("bytes", "WORKING"), STR("\xff\n"));
    CHECK_INT(strlen(context_of_task(&r, "bytes")), UUID_TEXT);
    q.context = str_of(made_up);
    ask_list(&r, &l, &q);
    CHECK_INT(l.n, 1);
    CHECK_STR(str_of(l.ids[0]), STR("none"));
    rig_stop(&r);
    rig_start(&r);
    CHECK_INT(put(&r, &t, "a", "none", A2A_EVENT_STATUS, status("COMPLETED")), 0);
    CHECK_STR(str_of(context_of_task(&r, "none")), str_of(made_up));
    /* An agent that names a context later has the last word. */
    put_in_context(&r, &t, "given",
                   "{\"id\":\"given\",\"contextId\":\"late\",\"status\":{\"state\":"
                   "\"TASK_STATE_COMPLETED\"}}",
                   STR_NONE);
    CHECK_STR(str_of(context_of_task(&r, "given")), STR("late"));
    listed_release(&l);
    told_release(&t);
    rig_close(&r);
}

#endif
