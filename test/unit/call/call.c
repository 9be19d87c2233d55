/* SPDX-License-Identifier: MIT
 *
 * Calls, with a real embedded store and a scripted agent: that each is answered exactly once, by whom and from
 * where, and that it ends whatever its caller, its agent or its store do meanwhile.
 */
#include <sqlite3.h>
#include <stdlib.h>

#include "check.h"

#include "call/call.h"
#include "lib/limits.h"
#include "unit/egress/scripted_server.h"

/* --- the stage ------------------------------------------------------------------------------------ */

static struct loop *loop;
static struct egress *egress;
static struct dispatch *dispatch;
static struct store *store;
static struct calls *calls;
static struct server server;
static struct calls_config calls_config;
static struct store_config store_config;
static enum store_state store_is;
static char folder[64], agent_url[64];
static unsigned n_store_closed;
static char *answers[64]; /* owned: what the script points to */
static unsigned n_answers;

/* A test that waits for what never comes is ended by the alarm. */
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
    n_store_closed++;
}

static void close_store(void)
{
    store_close(store, on_store_closed, NULL);
    TURN_UNTIL(n_store_closed);
    store = NULL;
}

static void put_agent(enum a2a_version version)
{
    struct agent_spec spec = {.id = STR("a"),
                              .url = str_of(agent_url),
                              .version = version,
                              .max_in_flight = 8,
                              .timeout_ms = 60000};
    struct dispatch_change change;

    dispatch_put(dispatch, "file", &spec, &change);
}

/* An unfinished task counts as fresh for `fresh_ms`; 0: never. */
static void open_stage(uint64_t fresh_ms)
{
    char why[256] = "";

    log_setup(LOG_ERROR, false);
    n_store_closed = 0;
    store_is = STORE_OPENING;
    snprintf(folder, sizeof folder, "/tmp/superx-call-XXXXXX");
    BUG_ON(!mkdtemp(folder));
    loop = loop_new();
    egress = egress_new(loop, &(struct egress_config){8, 60000, 4000});
    dispatch = dispatch_new(loop, egress);
    server_start(&server, loop);
    snprintf(agent_url, sizeof agent_url, "http://127.0.0.1:%u/", server.port);
    store_config.data_dir = folder;
    store_config.cache_bytes = MB(4);
    store_config.queue_max_bytes = LIMIT_STORE_QUEUE;
    store_config.node_name = "test";
    if (!store_config.task_max_bytes)
        store_config.task_max_bytes = LIMIT_TASK_BYTES;
    CHECK_INT(store_open(loop, &store_config, on_store_state, NULL, &store, why), 0);
    TURN_UNTIL(store_is == STORE_UP);
    calls_config = (struct calls_config){.fresh_ms = fresh_ms, .store_wait_ms = 60000};
    calls = calls_new(loop, store, dispatch, &calls_config);
    put_agent(A2A_0_3);
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

static void close_stage(void)
{
    CHECK_INT(calls_running(calls), 0);
    if (store)
        close_store();
    calls_free(calls);
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
    alarm(0);
}

/* --- what the agent says -------------------------------------------------------------------------- */

/* of the gateway's requests to the agent, in the order of the script */
static unsigned next_id;

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

/* Says everything that is held back (SERVER_DRIP). */
static void let_answer(void)
{
    while (server_drip(&server))
        ;
}

/* --- a caller ------------------------------------------------------------------------------------- */

struct caller {
    unsigned n; /* answers */
    bool is_ok;
    enum a2a_error error;
    char detail[256];
    char agent_error[256];
    char *object; /* owned */
    struct call *call;
    enum call_progress progress;
};

static void on_answer(void *arg, const struct call_answer *answer)
{
    struct caller *c = arg;

    c->n++;
    c->is_ok = !answer->fault;
    mem_free(c->object);
    c->object = answer->fault ? NULL : mem_str(answer->object.p, answer->object.n);
    if (!answer->fault)
        return;
    c->error = answer->fault->error;
    snprintf(c->detail, sizeof c->detail, "%s", answer->fault->detail);
    snprintf(c->agent_error, sizeof c->agent_error, "%.*s",
             STR_ARG(answer->fault->agent_error));
}

static void caller_release(struct caller *c)
{
    mem_free(c->object);
    *c = (struct caller){0};
}

static void ask(struct caller *c, const char *agent, const char *body)
{
    struct a2a_request request;
    struct a2a_fault fault = {0};
    struct call_request start = {
        .agent = str_of(agent), .request_id = STR("r"), .a2a = &request};
    /* gone when call_start() has returned, as an exchange's body is */
    char *copy = mem_str(body, strlen(body));

    *c = (struct caller){0};
    CHECK_INT(a2a_request_read(str_of(copy), STR_NONE, &request, &fault), 0);
    c->progress = call_start(calls, &start, on_answer, c, &c->call);
    CHECK_INT(c->n, c->progress == CALL_ANSWERED);
    mem_free(copy);
}

static void send_task(struct caller *c, const char *more)
{
    char body[1024];

    snprintf(
        body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":{\"kind\":\"message\","
        "\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}]%s}}}",
        more);
    ask(c, "a", body);
}

static void get_as(struct caller *c, const char *method, const char *agent, const char *raw_id)
{
    char body[2048];

    snprintf(body, sizeof body,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"id\":\"%s\"}}",
             method, raw_id);
    ask(c, agent, body);
}

static void get(struct caller *c, const char *raw_id)
{
    get_as(c, "tasks/get", "a", raw_id);
}

static void check_object(const struct caller *c, const char *want)
{
    CHECK_INT(c->n, 1);
    CHECK(c->is_ok);
    CHECK_STR(str_of(c->object), str_of(want));
}

static void check_fault(const struct caller *c, enum a2a_error error)
{
    CHECK_INT(c->n, 1);
    CHECK(!c->is_ok);
    CHECK_INT(c->error, error);
}

/* Sends one message; the agent makes task `id` of it, in that state. */
static void make_task(const char *id, const char *state)
{
    struct caller c;

    script_task(SERVER_ANSWER, id, state, "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_object(&c, task_text(id, state, ""));
    caller_release(&c);
}

#define STAGE(fresh_ms)                                                                        \
    next_id = 0;                                                                               \
    open_stage(fresh_ms)

/* --- reading -------------------------------------------------------------------------------------- */

TEST(a_finished_task_is_answered_at_once)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "completed");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_ANSWERED);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    get(&c, "\\u0074\\u0031"); /* the same id in other letters */
    CHECK_INT(c.progress, CALL_ANSWERED);
    CHECK(c.is_ok);
    CHECK_INT(server.n_requests, 1);
    caller_release(&c);
    close_stage();
}

TEST(a_fresh_task_is_answered_at_once_and_an_old_one_asked_for)
{
    struct caller c;

    STAGE(3600000);
    make_task("t1", "working");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_ANSWERED);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    calls_free(calls);
    calls_config.fresh_ms = 0;
    calls = calls_new(loop, store, dispatch, &calls_config);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    get(&c, "t1");
    CHECK_INT(c.progress, CALL_RUNNING);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_stage();
}

TEST(a_task_nobody_knows)
{
    struct caller c;

    STAGE(0);
    script(SERVER_ANSWER, "error", NOT_FOUND);
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    script_task(SERVER_ANSWER, "t2", "completed", "");
    get(&c, "t2"); /* unknown here, known there: kept */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t2", "completed", ""));
    CHECK(store_task_peek(store, STR("a"), STR("t2")) != NULL);
    caller_release(&c);
    close_stage();
}

TEST(an_agent_that_fails_leaves_the_stored_task)
{
    struct caller c;

    STAGE(0);
    make_task("t1", "working");
    script(SERVER_ANSWER, "error", NOT_FOUND);
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    script_task(SERVER_ANSWER, "another", "completed", "");
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    CHECK(store_task_peek(store, STR("a"), STR("another")) == NULL);
    caller_release(&c);
    close_stage();
}

/* --- one question for many ------------------------------------------------------------------------ */

#define MANY 5

static void get_many(struct caller *c, const char *id)
{
    unsigned before = server.n_requests;

    for (int i = 0; i < MANY; i++)
        get(&c[i], id);
    TURN_UNTIL(server.n_requests > before);
    CHECK_INT(calls_running(calls), MANY);
}

TEST(many_ask_once_and_get_the_same_task)
{
    struct caller c[MANY];

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++) {
        check_object(&c[i], task_text("t1", "completed", ""));
        caller_release(&c[i]);
    }
    CHECK_INT(server.n_requests, 2);
    close_stage();
}

TEST(many_ask_once_and_get_the_same_fault)
{
    struct caller c[MANY];

    STAGE(0);
    script(SERVER_DRIP, "error", "{\"code\":-7,\"message\":\"no\"}");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++) {
        check_fault(&c[i], A2A_ERROR_INTERNAL);
        CHECK_STR(str_of(c[i].agent_error), STR("{\"code\":-7,\"message\":\"no\"}"));
    }
    CHECK_INT(server.n_requests, 1);
    script_task(SERVER_ANSWER, "t1", "completed", ""); /* and the next one asks again */
    get(&c[0], "t1");
    TURN_UNTIL(c[0].n);
    check_object(&c[0], task_text("t1", "completed", ""));
    caller_release(&c[0]);
    close_stage();
}

TEST(who_leaves_takes_nobody_along)
{
    struct caller c[MANY];

    STAGE(0);
    make_task("t1", "working");
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    call_detach(c[0].call); /* the one that asks */
    call_detach(c[2].call); /* one that waits for him */
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c[0].n + c[2].n, 0);
    for (int i = 1; i < MANY; i += 2) {
        check_object(&c[i], task_text("t1", "completed", ""));
        caller_release(&c[i]);
    }
    caller_release(&c[4]);
    close_stage();
}

TEST(a_caller_who_hangs_up_loses_nothing)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    call_detach(c.call);
    let_answer();
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 0);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_stage();
}

/* --- the end -------------------------------------------------------------------------------------- */

static void on_idle(void *arg)
{
    ++*(unsigned *)arg;
}

TEST(draining_refuses_new_calls_and_waits_for_the_others)
{
    struct caller c, late;
    unsigned n_idle = 0;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    calls_drain(calls, on_idle, &n_idle);
    CHECK_INT(n_idle, 0);
    send_task(&late, "");
    check_fault(&late, A2A_ERROR_SHUTTING_DOWN);
    get(&late, "t1");
    check_fault(&late, A2A_ERROR_SHUTTING_DOWN);
    let_answer();
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    CHECK_INT(n_idle, 1);
    caller_release(&c);
    close_stage();
}

TEST(draining_with_nothing_to_wait_for)
{
    unsigned n_idle = 0;

    STAGE(0);
    calls_drain(calls, on_idle, &n_idle);
    CHECK_INT(n_idle, 1);
    close_stage();
}

TEST(calls_called_off_end)
{
    struct caller c, many[MANY];

    STAGE(0);
    send_task(&c, "");
    for (int i = 0; i < MANY; i++)
        get(&many[i], "t1");
    TURN_UNTIL(server.n_requests == 2);
    egress_cancel_all(egress);
    check_fault(&c, A2A_ERROR_SHUTTING_DOWN);
    for (int i = 0; i < MANY; i++)
        check_fault(&many[i], A2A_ERROR_SHUTTING_DOWN);
    close_stage();
}

/* An agent must not begin what a closing store could not keep. */
TEST(nothing_is_sent_when_the_store_closes)
{
    struct caller c;

    STAGE(0);
    store_close(store, on_store_closed, NULL);
    send_task(&c, ",\"taskId\":\"t1\"");
    check_fault(&c, A2A_ERROR_SHUTTING_DOWN);
    TURN_UNTIL(n_store_closed);
    store = NULL;
    CHECK_INT(server.n_requests, 0);
    close_stage();
}

/* --- a store that does not answer ----------------------------------------------------------------- */

static sqlite3 *lock_database(void)
{
    char path[128];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/superx.db", folder);
    CHECK_INT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    CHECK_INT(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    return db;
}

static void unlock_database(sqlite3 *db)
{
    CHECK_INT(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void be_impatient(void)
{
    calls_free(calls);
    calls_config.store_wait_ms = 1;
    calls = calls_new(loop, store, dispatch, &calls_config);
}

TEST(a_sender_is_told_that_the_store_is_late)
{
    struct caller c;
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_STORE_UNAVAILABLE);
    CHECK_INT(calls_running(calls), 1); /* the call goes on */
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 1);
    TURN_UNTIL(store_is == STORE_UP);
    get(&c, "t1");
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_stage();
}

TEST(readers_of_a_late_store_get_what_is_stored)
{
    struct caller c[MANY];
    sqlite3 *blocker;

    STAGE(0);
    make_task("t1", "working");
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 1); /* all were told; the append waits */
    for (int i = 0; i < MANY; i++) {
        check_object(&c[i], task_text("t1", "working", ""));
        caller_release(&c[i]);
    }
    TURN_UNTIL(store_is == STORE_DOWN);
    get(&c[0], "t1"); /* nobody is asked now: the answer could not be committed */
    TURN_UNTIL(c[0].n);
    check_object(&c[0], task_text("t1", "working", ""));
    caller_release(&c[0]);
    CHECK_INT(server.n_requests, 2);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c[0].n, 0);
    close_stage();
}

TEST(readers_of_a_late_store_that_has_nothing)
{
    struct caller c[MANY];
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    get_many(c, "t1");
    let_answer();
    TURN_UNTIL(calls_running(calls) == 1);
    for (int i = 0; i < MANY; i++)
        check_fault(&c[i], A2A_ERROR_STORE_UNAVAILABLE);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    for (int i = 0; i < MANY; i++)
        CHECK_INT(c[i].n, 1);
    close_stage();
}

TEST(a_caller_who_hangs_up_after_he_was_told)
{
    struct caller c;
    sqlite3 *blocker;

    STAGE(0);
    be_impatient();
    blocker = lock_database();
    script_task(SERVER_DRIP, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(server.n_requests);
    call_detach(c.call);
    let_answer();
    TURN_UNTIL(store_is == STORE_DOWN);
    CHECK_INT(c.n, 0);
    unlock_database(blocker);
    TURN_UNTIL(calls_running(calls) == 0);
    CHECK_INT(c.n, 0);
    close_stage();
}

/* --- answers that do not fit ---------------------------------------------------------------------- */

/* What the gateway made of it is the truth, and so the answer: a retry would have the agent do it twice. */
TEST(a_task_that_is_too_large_is_answered_as_it_ended)
{
    static const char head[] = "{\"id\":\"t1\",\"status\":{\"state\":\"working\"},\"n\":\"";
    char *large = mem_zero(20000, 1);
    struct caller c;

    store_config.task_max_bytes = 12000;
    STAGE(0);
    memset(large, 'x', 15000);
    memcpy(large, head, sizeof head - 1);
    memcpy(large + 15000, "\"}", 3);
    script(SERVER_ANSWER, "result", large);
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK_INT(c.n, 1);
    CHECK(c.is_ok);
    CHECK(c.object && strstr(c.object, "\"state\":\"failed\"") &&
          strstr(c.object, "TASK_MAX_BYTES"));
    caller_release(&c);
    mem_free(large);
    close_stage();
}

TEST(an_agents_word_after_the_end_changes_nothing)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_DRIP, "t1", "completed", ""); /* to this caller ... */
    send_task(&c, "");
    TURN_UNTIL(server.n_requests == 1);
    let_answer();
    TURN_UNTIL(c.n);
    caller_release(&c);
    script_task(SERVER_ANSWER, "t1", "working", ""); /* ... and another tale to the next */
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_stage();
}

/* A reload may change the version an agent speaks while tasks of the old one run. */
TEST(a_task_is_kept_in_the_version_its_agent_spoke)
{
    struct caller c;
    struct task *task;

    STAGE(0);
    make_task("t1", "working");
    put_agent(A2A_1_0);
    script_task(SERVER_ANSWER, "t1", "TASK_STATE_COMPLETED", "");
    get(&c, "t1");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_VERSION);
    task = store_task_peek(store, STR("a"), STR("t1"));
    CHECK(task != NULL);
    CHECK_INT(task ? task->dialect : A2A_0_3, A2A_1_0);
    get_as(&c, "GetTask", "a", "t1");
    check_object(&c, task_text("t1", "TASK_STATE_COMPLETED", ""));
    caller_release(&c);
    close_stage();
}

/* --- hostile ids ---------------------------------------------------------------------------------- */

TEST(what_cannot_be_an_agent_is_nobody)
{
    char long_id[3 * LIMIT_AGENT_ID];
    const char *ids[] = {"",     "b",    ".",     "..",       "a%2e", "%61",  "a b",
                         "a\"b", "a\nb", "a\x7f", "\x80\xff", "a/b",  long_id};
    struct caller c;

    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    STAGE(0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        get_as(&c, "tasks/get", ids[i], "t1");
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
        CHECK(strlen(c.detail) < 200);
        get_as(&c, "GetTask", ids[i], "t1");
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
    }
    CHECK_INT(server.n_requests, 0);
    close_stage();
}

TEST(what_cannot_be_a_task_is_not_found)
{
    static const char *const ids[] = {"a\\u0000b", "a\\nb", "a\\u007fb",
                                      "a\x7f"
                                      "b",
                                      "\\u0000"};
    struct caller c;
    char more[64];

    STAGE(0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        get(&c, ids[i]);
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
        snprintf(more, sizeof more, ",\"taskId\":\"%s\"", ids[i]);
        send_task(&c, more);
        TURN_UNTIL(c.n);
        check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    }
    CHECK_INT(server.n_requests, 0);
    close_stage();
}

/* Every reader sees U+0061 in "a" and in "\u0061": so do we. A task's id that needs escapes is asked for with them. */
TEST(task_ids_with_escapes)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_ANSWER, "q\\\"\\u00e4", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    caller_release(&c);
    get(&c, "q\\\"\xc3\xa4");
    CHECK_INT(c.progress, CALL_ANSWERED);
    CHECK(c.is_ok);
    caller_release(&c);
    close_stage();
}

/* The largest request there may be. */
TEST(eight_megabytes_are_copied_whole)
{
    static const char head[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"configuration\":"
        "{\"historyLength\":1},\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
        "[{\"kind\":\"text\",\"text\":\"";
    char *body = mem_zero(LIMIT_REQUEST_BODY + 1, 1);
    struct caller c;

    STAGE(0);
    memset(body, 'x', LIMIT_REQUEST_BODY);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + LIMIT_REQUEST_BODY - 9, "\"}]   }}}", 9);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    ask(&c, "a", body);
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    CHECK(server.seen.n > LIMIT_REQUEST_BODY - 100);
    caller_release(&c);
    mem_free(body);
    close_stage();
}

TEST_MAIN
