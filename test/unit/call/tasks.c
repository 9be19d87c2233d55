/* SPDX-License-Identifier: MIT
 *
 * Calls on stored tasks: messages for them, in whose words and context they are kept, how they are found and listed.
 */
#include <sqlite3.h>

#include "unit/call/caller.h"

/* --- messages for a task -------------------------------------------------------------------------- */

TEST(a_message_for_a_task_unknown_here)
{
    struct caller c;

    STAGE(0);
    script(SERVER_ANSWER, "error", NOT_FOUND);
    send_task(&c, ",\"taskId\":\"t1\"");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    CHECK_INT(server.n_requests, 1); /* asked for the task, not given the message */
    script_task(SERVER_ANSWER, "t1", "input-required", "");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_task(&c, ",\"taskId\":\"t1\"");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    script_task(SERVER_ANSWER, "t2", "failed", "");
    send_task(&c, ",\"taskId\":\"t2\"");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_UNSUPPORTED);
    send_task(&c, ",\"taskId\":\"t2\"");
    check_fault(&c, A2A_ERROR_UNSUPPORTED);
    CHECK_INT(server.n_requests, 4);
    close_calls();
}

TEST(a_message_for_a_task_of_a_silent_agent)
{
    struct caller c;

    STAGE(0);
    script_silence();
    server.lines[0].act = SERVER_ANSWER_RESET;
    send_task(&c, ",\"taskId\":\"t1\"");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_AGENT_UNREACHABLE);
    script(SERVER_ANSWER, "error", "{\"code\":-32004,\"message\":\"no GetTask\"}");
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_task(&c, ",\"taskId\":\"t1\""); /* it may still know what to do */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "completed", ""));
    caller_release(&c);
    close_calls();
}

TEST(an_agents_error_names_its_version)
{
    struct caller c;

    STAGE(0);
    put_agent(A2A_1_0);
    script(SERVER_ANSWER, "error", "{\"code\":-7,\"message\":\"no\"}");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_INTERNAL);
    CHECK_STR(str_of(c.agent_error), STR("{\"code\":-7,\"message\":\"no\"}"));
    CHECK_INT(c.version, A2A_1_0);
    close_calls();
}

TEST(a_message_is_answered_in_its_agents_version)
{
    struct caller c;

    STAGE(0);
    put_agent(A2A_1_0);
    script(
        SERVER_ANSWER, "result",
        "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":\"x\"}]}}");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK_INT(c.kind, A2A_REPLY_MESSAGE);
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    close_calls();
}

/* --- contexts, and what the log keeps ------------------------------------------------------------- */

/* One value of the database, as text; owned by the caller. */
static char *database_text(const char *query)
{
    char path[128], *out = NULL;
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;

    snprintf(path, sizeof path, "%s/superx.db", folder);
    CHECK_INT(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    CHECK_INT(sqlite3_prepare_v2(db, query, -1, &row, NULL), SQLITE_OK);
    if (row && sqlite3_step(row) == SQLITE_ROW)
        out = mem_str((const char *)sqlite3_column_text(row, 0),
                      (size_t)sqlite3_column_bytes(row, 0));
    sqlite3_finalize(row);
    sqlite3_close(db);
    return out ? out : mem_str("", 0);
}

static void script_wrapped(const char *id, const char *state, const char *more)
{
    char text[512];

    snprintf(text, sizeof text, "{\"task\":%s}", task_text(id, state, more));
    script(SERVER_ANSWER, "result", text);
}

TEST(a_caller_without_a_context_gets_one_across_versions)
{
    struct caller c;
    char context[64], more[160], *logged;
    size_t seen;

    STAGE(0);
    put_agent(A2A_1_0);
    script_wrapped("t1", "TASK_STATE_INPUT_REQUIRED", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK_INT(c.version, A2A_1_0);
    CHECK_INT(strlen(c.context), UUID_TEXT);
    snprintf(context, sizeof context, "%s", c.context);
    CHECK(strstr(server_last(&server), context) != NULL); /* the agent was offered it */
    caller_release(&c);
    logged = database_text("SELECT payload FROM task_events WHERE kind = 1");
    CHECK(strstr(logged, context) && strstr(logged, "ROLE_USER")); /* in the agent's words */
    mem_free(logged);
    seen = server.seen.n;
    script_wrapped("t1", "TASK_STATE_COMPLETED", "");
    snprintf(more, sizeof more, ",\"taskId\":\"t1\",\"contextId\":\"%s\"", context);
    send_task(&c, more);
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK_STR(str_of(c.context), str_of(context)); /* it stays with the task ... */
    CHECK(
        !strstr(server_last(&server) + seen, context)); /* ... and goes no more to the agent */
    caller_release(&c);
    close_calls();
}

TEST(a_context_the_agent_took_is_its_own)
{
    struct caller c;
    size_t seen;

    STAGE(0);
    put_agent(A2A_1_0);
    script_wrapped("t1", "TASK_STATE_INPUT_REQUIRED", ",\"contextId\":\"c1\"");
    send_task(&c, ",\"contextId\":\"c1\"");
    TURN_UNTIL(c.n);
    CHECK_STR(str_of(c.context), STR("c1"));
    caller_release(&c);
    seen = server.seen.n;
    script_wrapped("t1", "TASK_STATE_COMPLETED", ",\"contextId\":\"c1\"");
    send_task(&c, ",\"taskId\":\"t1\",\"contextId\":\"c1\"");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK(strstr(server_last(&server) + seen, "\"contextId\":\"c1\"") != NULL);
    caller_release(&c);
    close_calls();
}

TEST(within_a_version_nothing_is_added)
{
    struct caller c;

    STAGE(0);
    script_task(SERVER_ANSWER, "t1", "completed", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK(!strstr(server_last(&server), "contextId"));
    caller_release(&c);
    close_calls();
}

/* The card says 0.3, the answers are 1.0's: task, answer and log are kept as what they are, in one version. */
TEST(an_agent_that_answers_in_the_other_versions_words)
{
    struct caller c;
    char *logged;

    STAGE(0);
    script_wrapped("t1", "TASK_STATE_WORKING", "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK(strstr(server_last(&server), "message/send") != NULL);
    check_object(&c, task_text("t1", "TASK_STATE_WORKING", ""));
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    logged = database_text("SELECT payload FROM task_events WHERE kind = 1");
    CHECK(strstr(logged, "ROLE_USER") && !strstr(logged, "kind"));
    mem_free(logged);
    script_task(SERVER_ANSWER, "t1", "TASK_STATE_INPUT_REQUIRED", "");
    get(&c, "t1"); /* read by follow/ */
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "TASK_STATE_INPUT_REQUIRED", ""));
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    script_task(SERVER_ANSWER, "t1", "TASK_STATE_CANCELED", "");
    get_as(&c, "tasks/cancel", "a", "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "TASK_STATE_CANCELED", ""));
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    script(
        SERVER_ANSWER, "result",
        "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":\"x\"}]}}");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    CHECK_INT(c.kind, A2A_REPLY_MESSAGE);
    CHECK_INT(c.version, A2A_1_0);
    caller_release(&c);
    close_calls();
}

/* --- tasks by id alone, lists --------------------------------------------------------------------- */

static const char *const two[] = {"a", "b"};

static void send_to(struct caller *c, const char *agent)
{
    char body[512];

    snprintf(
        body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":{"
        "\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
        "[{\"kind\":\"text\",\"text\":\"hi\"}]}}}");
    ask(c, agent, body);
    TURN_UNTIL(c->n);
    CHECK(c->is_ok);
    caller_release(c);
}

TEST(a_task_is_found_by_its_id_alone)
{
    struct caller c;

    STAGE(3600000);
    put_agents(two, 2, A2A_0_3, 8);
    make_task("t1", "working");
    make_task("t2", "working");
    script_task(SERVER_ANSWER, "t2", "working", "");
    send_to(&c, "b");
    get_as(&c, "tasks/get", NULL, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "working", ""));
    caller_release(&c);
    get_as(&c, "tasks/get", NULL, "t2");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_INVALID_PARAMS);
    CHECK(strstr(c.detail, "a, b") != NULL);
    get_as(&c, "tasks/get", NULL, "t3");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    get_as(&c, "tasks/cancel", NULL, "t2");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_INVALID_PARAMS);
    get_as(&c, "tasks/get", NULL, "a\\nb");
    TURN_UNTIL(c.n);
    check_fault(&c, A2A_ERROR_TASK_NOT_FOUND);
    script_task(SERVER_ANSWER, "t1", "canceled", "");
    get_as(&c, "tasks/cancel", NULL, "t1");
    TURN_UNTIL(c.n);
    check_object(&c, task_text("t1", "canceled", ""));
    caller_release(&c);
    close_calls();
}

static void list_tasks(struct caller *c, const char *agent, const char *params)
{
    char body[512];

    snprintf(body, sizeof body,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ListTasks\",\"params\":{%s}}", params);
    ask(c, agent, body);
    TURN_UNTIL(c->n);
}

TEST(lists_are_the_agents_own)
{
    struct caller c;

    STAGE(3600000);
    put_agents(two, 2, A2A_0_3, 8);
    make_task("t1", "working");
    script_task(SERVER_ANSWER, "t2", "completed", ",\"contextId\":\"c2\"");
    send_to(&c, "b");
    list_tasks(&c, "a", "");
    CHECK_STR(str_of(c.rows), STR("a/t1+"));
    CHECK_INT(c.total, 1);
    caller_release(&c);
    list_tasks(&c, NULL, "\"contextId\":\"c\\u0032\"");
    CHECK_STR(str_of(c.rows), STR("b/t2+"));
    caller_release(&c);
    list_tasks(&c, NULL, "\"status\":\"TASK_STATE_WORKING\",\"contextId\":\"\"");
    CHECK_STR(str_of(c.rows), STR("a/t1+"));
    caller_release(&c);
    want_summaries = true;
    list_tasks(&c, "b", "");
    want_summaries = false;
    CHECK_STR(str_of(c.rows), STR("b/t2"));
    caller_release(&c);
    list_tasks(&c, "b", "\"pageToken\":\"nonsense\"");
    check_fault(&c, A2A_ERROR_INVALID_PARAMS);
    list_tasks(&c, "b", "\"contextId\":\"a\\u0001\"");
    check_fault(&c, A2A_ERROR_INVALID_PARAMS);
    list_tasks(&c, "nobody", "");
    check_fault(&c, A2A_ERROR_AGENT_NOT_FOUND);
    put_agents(two, 1, A2A_0_3, 8);
    list_tasks(&c, "b", ""); /* removed, but its tasks are there */
    CHECK_STR(str_of(c.rows), STR("b/t2+"));
    caller_release(&c);
    CHECK_INT(server.n_requests, 2);
    close_calls();
}

TEST_MAIN
