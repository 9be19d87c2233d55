/* SPDX-License-Identifier: MIT
 *
 * The stage for tests of call/ and follow/: a real embedded store, a real dispatch, and an agent that answers
 * by script. What stands on it (calls) is the test's.
 *
 * Unless a test sets follow_config, nobody is polled within a test's life: its script then has lines only for
 * what the test itself makes the gateway ask.
 */
#ifndef TEST_UNIT_CALL_STAGE_H
#define TEST_UNIT_CALL_STAGE_H

#include <stdlib.h>

#include "check.h"

#include "follow/follow_int.h"
#include "subscribe/subscribe.h"
#include "unit/egress/scripted_server.h"

static struct loop *loop;
static struct egress *egress;
static struct dispatch *dispatch;
static struct store *store;
static struct follow *follow;
static struct feeds *feeds;
static struct server server;
static struct store_config store_config;
static struct follow_config follow_config;
static enum store_state store_is;
static char folder[64], agent_url[64];
static unsigned n_store_closed;
static char *answers[64]; /* owned: what the script points to */
static unsigned n_answers;
static unsigned
    next_id; /* of the gateway's requests to the agent, in the order of the script */

#define NEVER_MS 3600000u

/* A test that waits for what never comes is ended by the alarm. */
#define TURN_UNTIL(condition)                                                                  \
    do {                                                                                       \
        alarm(60);                                                                             \
        while (!(condition)) {                                                                 \
            loop_turn(loop, true);                                                             \
            follow_check(follow);                                                              \
        }                                                                                      \
        alarm(0);                                                                              \
    } while (0)

/* --- life ----------------------------------------------------------------------------------------- */

static void on_store_state(void *arg, enum store_state state, const char *why)
{
    (void)arg;
    (void)why;
    store_is = state;
}

static void on_store_closed(void *arg)
{
    (void)arg;
    n_store_closed++;
}

static void open_store(void)
{
    char why[256] = "";

    n_store_closed = 0;
    store_is = STORE_OPENING;
    CHECK_INT(store_open(loop, &store_config, on_store_state, NULL, &store, why), 0);
    follow = follow_new(loop, store, dispatch, &follow_config);
    feeds = feeds_new(loop, store);
    TURN_UNTIL(store_is == STORE_UP);
}

static void close_store(void)
{
    store_close(store, on_store_closed, NULL);
    TURN_UNTIL(n_store_closed);
    store = NULL;
}

static void put_agents(const char *const *ids, unsigned n, enum a2a_version version,
                       unsigned max_in_flight)
{
    struct agent_spec specs[4];
    struct dispatch_change change;

    for (unsigned i = 0; i < n; i++)
        specs[i] = (struct agent_spec){.next = i + 1 < n ? &specs[i + 1] : NULL,
                                       .id = str_of(ids[i]),
                                       /* nobody is there: searches for its card end at once */
                                       .url = STR("http://127.0.0.1:1/"),
                                       .endpoint = str_of(agent_url),
                                       .has_version = true,
                                       .version = version,
                                       .max_in_flight = max_in_flight,
                                       .timeout_ms = 60000};
    dispatch_put(dispatch, "file", n ? specs : NULL, &change);
}

static void put_agent(enum a2a_version version)
{
    static const char *const id = "a";

    put_agents(&id, 1, version, 8);
}

static void open_stage(void)
{
    static const struct egress_config egress_config = {
        .pool_per_host = 8, .idle_timeout_ms = 60000, .reuse_within_ms = 4000};
    static const struct dispatch_config dispatch_config = {5000, 300000, 60000};

    log_setup(LOG_ERROR, false);
    next_id = 0;
    snprintf(folder, sizeof folder, "/tmp/superx-stage-XXXXXX");
    BUG_ON(!mkdtemp(folder));
    loop = loop_new();
    egress = egress_new(loop, &egress_config);
    dispatch = dispatch_new(loop, egress, &dispatch_config);
    server_start(&server, loop);
    snprintf(agent_url, sizeof agent_url, "http://127.0.0.1:%u/", server.port);
    store_config.data_dir = folder;
    store_config.cache_bytes = MB(4);
    store_config.queue_max_bytes = LIMIT_STORE_QUEUE;
    store_config.node_name = "test";
    if (!store_config.task_max_bytes)
        store_config.task_max_bytes = LIMIT_TASK_BYTES;
    if (!follow_config.poll_min_ms)
        follow_config = (struct follow_config){NEVER_MS, NEVER_MS, NEVER_MS, NEVER_MS};
    put_agent(A2A_0_3);
    open_store();
}

static void remove_folder(void)
{
    static const char *const files[] = {"superx.db", "superx.db-wal", "superx.db-shm",
                                        "superx.lock"};
    char path[128];

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    CHECK_INT(rmdir(folder), 0);
}

/* Ends this life of the gateway; its database and its agents stay. */
static void close_follow(void)
{
    follow_stop(follow);
    egress_cancel_all(egress);
    if (store)
        close_store();
    follow_free(follow);
    feeds_free(feeds);
    follow = NULL;
}

static void close_stage(void)
{
    if (follow)
        close_follow();
    dispatch_free(dispatch);
    egress_free(egress);
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    while (n_answers)
        mem_free(answers[--n_answers]);
    remove_folder();
    store_config = (struct store_config){0};
    follow_config = (struct follow_config){0};
    clock_set(NULL);
    alarm(0);
}

/* --- what the agent says -------------------------------------------------------------------------- */

static void script(enum server_act act, const char *member, const char *value)
{
    size_t n = strlen(value) + 256;
    char *body = mem_zero(n, 1), *text = mem_zero(n + 256, 1);

    snprintf(body, n, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"%s\":%s}", ++next_id, member, value);
    snprintf(text, n + 256, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
             body);
    mem_free(body);
    answers[n_answers++] = text;
    server_script(&server, act, text);
}

static char *task_text(const char *id, const char *state, const char *more)
{
    static char text[4][1024];
    static unsigned turn;
    char *out = text[turn++ % 4];

    snprintf(out, sizeof text[0], "{\"id\":\"%s\",\"status\":{\"state\":\"%s\"}%s}", id, state,
             more);
    return out;
}

static void script_task(enum server_act act, const char *id, const char *state,
                        const char *more)
{
    script(act, "result", task_text(id, state, more));
}

#define NOT_FOUND "{\"code\":-32001,\"message\":\"Task not found\"}"

/* The next request gets no answer. */
static inline void script_silence(void)
{
    next_id++;
    server_script(&server, SERVER_ANSWER, "");
}

/* Says everything that is held back (SERVER_DRIP). */
static inline void let_answer(void)
{
    while (server_drip(&server))
        ;
}

#endif
