/* SPDX-License-Identifier: MIT
 *
 * Webhooks against a receiver that answers by script, over a real embedded store, with a clock that moves when told: a
 * receiver that is down for a day and a half, what is made of its answers, what is sent again.
 */
#include <stdlib.h>

#include "check.h"

#include "subscribe/webhook_int.h"
#include "unit/egress/scripted_server.h"

/* --- a clock of which both hands move ------------------------------------------------------------- */

static uint64_t now_ms;

static uint64_t moved_mono(void)
{
    return now_ms * 1000000u;
}

static int64_t moved_wall(void)
{
    return INT64_C(1700000000000000) + (int64_t)now_ms * 1000;
}

static const struct clock_source moved_clock = {moved_mono, moved_wall};

/* --- the stage ------------------------------------------------------------------------------------ */

static struct loop *loop;
static struct store *store;
static struct webhooks *webhooks;
static struct server server;
static struct webhooks_config config;
static enum store_state store_is;
static char folder[64], url[64];
static unsigned n_closed;

#define TURN_UNTIL(condition)                                                                  \
    do {                                                                                       \
        alarm(60);                                                                             \
        while (!(condition))                                                                   \
            loop_turn(loop, true);                                                             \
        alarm(0);                                                                              \
    } while (0)

static void on_store_state(void *arg, enum store_state state, const char *why)
{
    (void)arg;
    (void)why;
    store_is = state;
}

static void on_store_closed(void *arg)
{
    (void)arg;
    n_closed++;
}

static void open_gateway(void)
{
    struct store_config store_config = {.data_dir = folder,
                                        .cache_bytes = MB(4),
                                        .queue_max_bytes = LIMIT_STORE_QUEUE,
                                        .task_max_bytes = LIMIT_TASK_BYTES,
                                        .node_name = "test"};
    char why[256] = "";

    n_closed = 0;
    store_is = STORE_OPENING;
    CHECK_INT(store_open(loop, &store_config, on_store_state, NULL, &store, why), 0);
    CHECK_INT(webhooks_new(loop, store, &config, &webhooks, why), 0);
    TURN_UNTIL(store_is == STORE_UP);
    webhooks_store_up(webhooks);
}

static void close_gateway(void)
{
    webhooks_stop(webhooks);
    store_close(store, on_store_closed, NULL);
    TURN_UNTIL(n_closed);
    webhooks_free(webhooks);
}

static void open_stage(void)
{
    config = (struct webhooks_config){.allow_loopback = true,
                                      .timeout_ms = 15000,
                                      .jwt_ttl_s = 300,
                                      .jwt_skew_s = 120,
                                      .concurrency = 4,
                                      .per_host = 4,
                                      .keep_ms = UINT64_C(604800000)};
    now_ms = 1000;
    clock_set(&moved_clock);
    log_setup(LOG_ERROR, false);
    snprintf(folder, sizeof folder, "/tmp/superx-webhooks-XXXXXX");
    BUG_ON(!mkdtemp(folder));
    loop = loop_new();
    server_start(&server, loop);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/hook", server.port);
    open_gateway();
}

static void close_stage(void)
{
    static const char *const files[] = {"superx.db", "superx.db-wal", "superx.db-shm",
                                        "superx.lock"};
    char path[128];

    close_gateway();
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    CHECK_INT(rmdir(folder), 0);
    clock_set(NULL);
}

static void on_done(void *arg, int err, struct task *task, const char *why)
{
    (void)task;
    (void)why;
    *(int *)arg = err;
}

/* An event of task t1; the first one brings the webhook "w". */
static void append(enum a2a_event_kind kind, const char *payload, bool with_push)
{
    char doc[128];
    struct store_push_config push = {.id = STR("w"), .form = PUSH_1_0};
    struct append a = {.agent = STR("a"),
                       .task_id = STR("t1"),
                       .dialect = A2A_1_0,
                       .events = {{kind, str_of(payload)}},
                       .n_events = 1,
                       .push = with_push ? &push : NULL};
    int err = 1;

    snprintf(doc, sizeof doc, "{\"url\":\"%s\"}", url);
    push.doc = str_of(doc);
    CHECK_INT(store_append(store, &a, on_done, &err), 0);
    TURN_UNTIL(err != 1);
    CHECK_INT(err, 0);
}

#define TASK_1                                                                                 \
    "{\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}"
#define STATUS(state) "{\"state\":\"TASK_STATE_" state "\"}"

struct looked {
    unsigned calls;
    struct store_push row;
    char disabled[128];
};

static void on_listed(void *arg, int err, const struct store_push *rows, size_t n,
                      const char *why)
{
    struct looked *l = arg;

    (void)why;
    CHECK_INT(err, 0);
    CHECK_INT(n, 1);
    if (n == 1) {
        l->row = rows[0];
        snprintf(l->disabled, sizeof l->disabled, "%.*s", STR_ARG(rows[0].disabled));
    }
    l->calls++;
}

static struct looked look(void)
{
    struct store_push_query q = {.agent = STR("a"), .task_id = STR("t1"), .limit = 5};
    struct looked l = {0};

    CHECK_INT(store_push_list(store, &q, on_listed, &l), 0);
    TURN_UNTIL(l.calls);
    return l;
}

static bool is_quiet(void)
{
    return webhooks->n_hooks == 0 && list_is_empty(&webhooks->outcomes) &&
           !webhooks->is_settling;
}

/* Lets `ms` pass, second by second; what falls due is done. Returns how many calls the receiver got. */
static unsigned pass(uint64_t ms)
{
    unsigned before = server.n_requests;

    while (ms) {
        uint64_t step = ms < 1000 ? ms : ms > 600000 ? 300000 : 1000;

        now_ms += step;
        ms -= step;
        for (int i = 0; i < 3; i++) {
            loop_turn(loop, false);
            TURN_UNTIL(!webhooks->is_claiming);
            TURN_UNTIL(is_quiet());
        }
    }
    return server.n_requests - before;
}

static void script(const char *status, unsigned n)
{
    static char text[16][256];
    static unsigned at;
    char *to = text[at++ % 16];

    snprintf(to, sizeof text[0], "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);
    while (n--)
        server_script(&server, SERVER_ANSWER, to);
}

/* How often `what` stands in what the receiver was sent. */
static unsigned sent(const char *what)
{
    const char *at = server_last(&server);
    unsigned n = 0;

    while ((at = strstr(at, what))) {
        at++;
        n++;
    }
    return n;
}

static void on_retried(void *arg, int err, const char *why)
{
    (void)why;
    CHECK_INT(err, 0);
    ++*(unsigned *)arg;
}

static void retry(void)
{
    struct looked l = look();
    unsigned calls = 0;

    CHECK_INT(
        store_push_retry(store, &l.row.key, STR("w"), clock_wall_us(), on_retried, &calls), 0);
    TURN_UNTIL(calls);
    webhooks_claim_soon(webhooks);
}

static uint64_t until_due(void)
{
    return (uint64_t)(look().row.due_at_us - clock_wall_us()) / 1000;
}

TEST(a_receiver_that_is_down_for_a_day_and_a_half)
{
    static const uint64_t pauses_s[] = {5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000};
    struct looked l;

    open_stage();
    script("500 Down", 10);
    append(A2A_EVENT_TASK, TASK_1, true);
    TURN_UNTIL(server.n_requests == 1);
    TURN_UNTIL(is_quiet());
    append(A2A_EVENT_STATUS, STATUS("INPUT_REQUIRED"), false); /* waits behind the first */
    for (size_t i = 0; i < sizeof pauses_s / sizeof *pauses_s; i++) {
        uint64_t left_ms = until_due();

        CHECK_INT(look().row.attempts, i + 1);
        CHECK(left_ms > (pauses_s[i] - 3) * 1000); /* since the last second of the one before */
        CHECK(left_ms <= pauses_s[i] * 1100);      /* at most a tenth later */
        CHECK_INT(pass(left_ms - 1000), 0);
        CHECK_INT(pass(2000), 1);
        if (i == 4) { /* a restart in between changes nothing */
            close_gateway();
            open_gateway();
        }
    }
    l = look();
    CHECK_STR(str_of(l.disabled), STR("10 attempts failed, the last with HTTP 500"));
    append(A2A_EVENT_STATUS, STATUS("COMPLETED"), false);
    CHECK_INT(pass(16 * 3600000), 0); /* nobody calls it any more */
    CHECK_INT(sent("webhook-id: "), 10);
    script("200 OK", 3);
    retry();
    TURN_UNTIL(server.n_requests == 13);
    TURN_UNTIL(is_quiet());
    l = look();
    CHECK_INT(l.row.delivered_seq, 3);
    CHECK_INT(l.row.due_at_us, 0);
    CHECK_INT(sent("{\"task\":"), 11); /* ten times in vain */
    CHECK_INT(sent("TASK_STATE_INPUT_REQUIRED"), 1);
    CHECK_INT(sent("TASK_STATE_COMPLETED"), 1);
    CHECK(strstr(server_last(&server), "TASK_STATE_INPUT_REQUIRED") <
          strstr(server_last(&server), "TASK_STATE_COMPLETED"));
    close_stage();
}

TEST(what_is_told_meanwhile_is_told_in_order)
{
    struct looked l;

    open_stage();
    script("200 OK", 40);
    append(A2A_EVENT_TASK, TASK_1, true);
    for (int i = 0; i < 19; i++)
        append(A2A_EVENT_STATUS, i % 2 ? STATUS("WORKING") : STATUS("INPUT_REQUIRED"), false);
    append(A2A_EVENT_STATUS, STATUS("COMPLETED"), false);
    TURN_UNTIL(server.n_requests == 21);
    TURN_UNTIL(is_quiet());
    l = look();
    CHECK_INT(l.row.delivered_seq, 21);
    CHECK_INT(sent("\"statusUpdate\""), 20);
    CHECK_INT(pass(60000), 0);
    close_stage();
}

TEST(retry_after_is_heeded_within_a_bound)
{
    static const char answer[] =
        "HTTP/1.1 429 Slow\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n";
    static const char too_long[] =
        "HTTP/1.1 503 Slow\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n";

    open_stage();
    server_script(&server, SERVER_ANSWER, answer);
    server_script(&server, SERVER_ANSWER, too_long);
    script("200 OK", 1);
    append(A2A_EVENT_TASK, TASK_1, true);
    TURN_UNTIL(server.n_requests == 1);
    TURN_UNTIL(is_quiet());
    CHECK(until_due() > 599000 && until_due() <= 600000);
    CHECK_INT(pass(until_due() - 1000), 0);
    CHECK_INT(pass(2000), 1);
    CHECK(until_due() > 3597000 && until_due() <= 3600000); /* an hour at most */
    CHECK_INT(pass(until_due() + 1000), 1);
    CHECK_INT(look().row.delivered_seq, 1);
    close_stage();
}

TEST(the_event_that_ends_a_task_is_tried_in_full)
{
    struct looked l;

    open_stage();
    script("413 Large", 3); /* the first event: left out after three */
    script("400 Bad", 4);   /* the last: tried on */
    script("200 OK", 1);
    append(A2A_EVENT_TASK, TASK_1, true);
    append(A2A_EVENT_STATUS, STATUS("COMPLETED"), false);
    TURN_UNTIL(server.n_requests == 1);
    TURN_UNTIL(is_quiet());
    pass(40000);
    l = look();
    CHECK_INT(l.row.delivered_seq, 1);
    CHECK_INT(l.row.failed_seq, 1);
    pass(4 * 3600000);
    l = look();
    CHECK_INT(l.row.delivered_seq, 2);
    CHECK_INT(server.n_requests, 8);
    close_stage();
}

TEST(gone_is_gone)
{
    open_stage();
    script("410 Gone", 1);
    append(A2A_EVENT_TASK, TASK_1, true);
    TURN_UNTIL(server.n_requests == 1);
    TURN_UNTIL(is_quiet());
    CHECK_STR(str_of(look().disabled), STR("its receiver says 410 Gone"));
    append(A2A_EVENT_STATUS, STATUS("COMPLETED"), false);
    CHECK_INT(pass(86400000), 0);
    close_stage();
}

TEST(settings_that_make_no_sense)
{
    static const char *const bad[] = {"10.0.0.0/99", "a b", "http://x", "-x", "ex*mple.com"};
    char why[256];
    struct webhooks *w;

    open_stage();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct webhooks_config c = config;

        c.allow = bad[i];
        CHECK_INT(webhooks_new(loop, store, &c, &w, why), ERR_INVALID);
        CHECK(strstr(why, "PUSH_ALLOW") && strstr(why, bad[i]));
    }
    config.ca_file = "/nonexistent.pem";
    CHECK_INT(webhooks_new(loop, store, &config, &w, why), ERR_INVALID);
    CHECK(strstr(why, "PUSH_CA_FILE"));
    config.ca_file = NULL;
    close_stage();
}

TEST_MAIN
