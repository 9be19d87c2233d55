/* SPDX-License-Identifier: MIT
 *
 * A store on a loop, and what a test says to it: append this, wait, look at what we were told.
 *
 * Part of suite.h; needs the functions a backend brings, which are declared there.
 */
#ifndef TEST_UNIT_STORE_RIG_H
#define TEST_UNIT_STORE_RIG_H

#include <unistd.h>

#include "check.h"
#include "lib/limits.h"
#include "lib/loop.h"
#include "lib/mem.h"
#include "store/store.h"

/* --- a store to try things on --------------------------------------------------------------------- */

struct rig {
    struct loop *loop;
    struct store *store;
    struct store_config config;
    enum store_state state;
    unsigned n_closed;
};

static void on_rig_state(void *arg, enum store_state state, const char *why)
{
    struct rig *r = arg;

    if (state == STORE_REFUSED)
        printf("    store refused: %s\n", why);
    r->state = state;
}

static void on_rig_closed(void *arg)
{
    struct rig *r = arg;

    r->n_closed++;
}

/* A test that waits for what never comes is ended by the alarm rather than left hanging. */
#define TURN_UNTIL(r, condition)                                                               \
    do {                                                                                       \
        alarm(120);                                                                            \
        while (!(condition))                                                                   \
            loop_turn((r)->loop, true);                                                        \
        alarm(0);                                                                              \
    } while (0)

static bool rig_start(struct rig *r)
{
    char why[256] = "";

    r->n_closed = 0;
    r->state = STORE_OPENING;
    if (store_open(r->loop, &r->config, on_rig_state, r, &r->store, why)) {
        printf("    store_open: %s\n", why);
        test_failures++;
        return false;
    }
    TURN_UNTIL(r, r->state == STORE_UP || r->state == STORE_REFUSED);
    CHECK_INT(r->state, STORE_UP);
    return true;
}

static void rig_stop(struct rig *r)
{
    store_close(r->store, on_rig_closed, r);
    CHECK_INT(r->n_closed, 0);
    TURN_UNTIL(r, r->n_closed > 0);
    CHECK_INT(r->n_closed, 1);
    r->store = NULL;
}

/* Before rig_open() a test may have set limits in r->config. False: skipped. */
static bool rig_open(struct rig *r)
{
    r->config.pool_size = r->config.pool_size ? r->config.pool_size : 10;
    r->config.cache_bytes = r->config.cache_bytes ? r->config.cache_bytes : MB(4);
    r->config.task_max_bytes =
        r->config.task_max_bytes ? r->config.task_max_bytes : LIMIT_TASK_BYTES;
    r->config.queue_max_bytes =
        r->config.queue_max_bytes ? r->config.queue_max_bytes : LIMIT_STORE_QUEUE;
    r->config.node_name = "suite";
    r->config.migrate = true;
    if (!suite_make(&r->config))
        return false;
    r->loop = loop_new();
    if (rig_start(r))
        return true;
    loop_free(r->loop);
    suite_remove(&r->config);
    return false;
}

static void rig_close(struct rig *r)
{
    if (r->store)
        rig_stop(r);
    loop_free(r->loop);
    suite_remove(&r->config);
}

#define RIG(name)                                                                              \
    struct rig name = {0};                                                                     \
    if (!rig_open(&name))                                                                      \
    return

/* --- asking and being told ------------------------------------------------------------------------ */

static unsigned told_count; /* of all answers, to see their order */

struct told {
    struct rig *rig;
    unsigned calls, order;
    int err;
    uint64_t seq;
    enum a2a_state state;
    char *doc;         /* owned, or NULL */
    bool was_in_cache; /* peek() showed this very version when we were told */
    char why[160];
};

static void told_release(struct told *t)
{
    mem_free(t->doc);
    *t = (struct told){0};
}

static struct str told_doc(const struct told *t)
{
    return str_of(t->doc);
}

static void told_note(struct told *t, int err, struct task *task)
{
    struct task *seen;

    t->calls++;
    t->order = ++told_count;
    t->err = err;
    if (!task)
        return;
    t->seq = task->seq;
    t->state = task->state;
    mem_free(t->doc);
    t->doc = mem_str(task->doc.p, task->doc.n);
    seen = store_task_peek(t->rig->store, task->agent, task->id);
    t->was_in_cache = seen && seen->seq == task->seq && str_is(seen->doc, task->doc);
}

static void on_append_told(void *arg, int err, struct task *task, const char *why)
{
    struct told *t = arg;

    told_note(t, err, task);
    snprintf(t->why, sizeof t->why, "%s", why ? why : "");
}

static void on_get_told(void *arg, int err, struct task *task)
{
    told_note(arg, err, task);
}

static struct append append_of(const char *agent, const char *id, enum a2a_event_kind kind,
                               struct str payload)
{
    return (struct append){.agent = str_of(agent),
                           .task_id = str_of(id),
                           .dialect = A2A_1_0,
                           .events = {{kind, payload}},
                           .n_events = 1};
}

/* Starts an append of one event; *t is filled later. */
static void start(struct rig *r, struct told *t, const char *agent, const char *id,
                  enum a2a_event_kind kind, struct str payload)
{
    struct append a = append_of(agent, id, kind, payload);

    mem_free(t->doc);
    *t = (struct told){.rig = r};
    CHECK_INT(store_append(r->store, &a, on_append_told, t), 0);
    CHECK_INT(t->calls, 0);
}

/* An append of one event, waited for. Returns its err. */
static int put(struct rig *r, struct told *t, const char *agent, const char *id,
               enum a2a_event_kind kind, struct str payload)
{
    start(r, t, agent, id, kind, payload);
    TURN_UNTIL(r, t->calls > 0);
    return t->err;
}

static int get(struct rig *r, struct told *t, const char *agent, const char *id)
{
    mem_free(t->doc);
    *t = (struct told){.rig = r};
    CHECK_INT(store_task_get(r->store, str_of(agent), str_of(id), on_get_told, t), 0);
    CHECK_INT(t->calls, 0);
    TURN_UNTIL(r, t->calls > 0);
    return t->err;
}

/* A snapshot with artifact text `text` and, unless NULL, a timestamp. Lives until the next but 15 calls. */
static struct str snapshot_at(const char *id, const char *state, const char *text,
                              const char *when)
{
    static char room[16][1024];
    static unsigned turn;
    char *p = room[turn++ % 16];
    int n = snprintf(
        p, sizeof room[0],
        "{\"id\":\"%s\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_%s\"%s%s%s},"
        "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[{\"text\":\"%s\"}]}]}",
        id, state, when ? ",\"timestamp\":\"" : "", when ? when : "", when ? "\"" : "", text);

    return str_make(p, (size_t)n);
}

static struct str snapshot(const char *id, const char *state, const char *text)
{
    return snapshot_at(id, state, text, NULL);
}

static struct str status(const char *state)
{
    static char room[16][128];
    static unsigned turn;
    char *p = room[turn++ % 16];
    int n = snprintf(p, sizeof room[0], "{\"state\":\"TASK_STATE_%s\"}", state);

    return str_make(p, (size_t)n);
}

#define MESSAGE                                                                                \
    STR("{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"hello\"}]}")

static int64_t count_tasks(const struct rig *r)
{
    return suite_number(&r->config, "SELECT count(*) FROM tasks");
}

static int64_t count_events(const struct rig *r)
{
    return suite_number(&r->config, "SELECT count(*) FROM task_events");
}

/* A snapshot of about `n` bytes. Owned by the caller. */
static char *large_snapshot(const char *id, const char *state, size_t n)
{
    char *text = mem_zero(n + 512, 1), *doc = mem_zero(n + 1024, 1);

    memset(text, 'x', n);
    snprintf(doc, n + 1024,
             "{\"id\":\"%s\",\"contextId\":\"ctx\",\"status\":{\"state\":\"TASK_STATE_%s\"},"
             "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[{\"text\":\"%s\"}]}]}",
             id, state, text);
    mem_free(text);
    return doc;
}

/* --- lists ---------------------------------------------------------------------------------------- */

struct listed {
    unsigned calls;
    int err;
    size_t n;
    uint64_t total;
    char ids[100][32], agents[100][16], contexts[100][64];
    enum a2a_state states[100];
    int64_t at_us[100];
    char *docs[100]; /* owned, or NULL */
    char next[1024];
};

static void listed_release(struct listed *l)
{
    for (size_t i = 0; i < 100; i++)
        mem_free(l->docs[i]);
    *l = (struct listed){0};
}

static void on_list_told(void *arg, int err, const struct task_summary *rows, size_t n,
                         uint64_t total, struct str next)
{
    struct listed *l = arg;

    l->calls++;
    l->err = err;
    l->n = n;
    l->total = total;
    for (size_t i = 0; i < n && i < 100; i++) {
        snprintf(l->ids[i], sizeof l->ids[i], "%.*s", STR_ARG(rows[i].id));
        snprintf(l->agents[i], sizeof l->agents[i], "%.*s", STR_ARG(rows[i].agent));
        snprintf(l->contexts[i], sizeof l->contexts[i], "%.*s", STR_ARG(rows[i].context));
        l->states[i] = rows[i].state;
        l->at_us[i] = rows[i].status_at_us;
        l->docs[i] = rows[i].doc.p ? mem_str(rows[i].doc.p, rows[i].doc.n) : NULL;
    }
    snprintf(l->next, sizeof l->next, "%.*s", STR_ARG(next));
}

static void ask_list(struct rig *r, struct listed *l, const struct task_query *q)
{
    listed_release(l);
    CHECK_INT(store_task_list(r->store, q, on_list_told, l), 0);
    CHECK_INT(l->calls, 0);
    TURN_UNTIL(r, l->calls > 0);
}

static void list(struct rig *r, struct listed *l, const char *agent, unsigned limit,
                 const char *after)
{
    struct task_query q = {.agent = str_of(agent), .limit = limit, .after = str_of(after)};

    ask_list(r, l, &q);
}

#endif
