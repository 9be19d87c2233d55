/* SPDX-License-Identifier: MIT
 *
 * agents.*, with a real store, registry and an agent by script: what is shown, what is kept of secrets and when it is
 * not, whose agents cannot be changed, and one answer whatever happens.
 */
#include "unit/call/stage.h"

#include "call/call.h"

static struct calls *calls;
static unsigned n_told;
static enum a2a_error error; /* A2A_ERROR_MAX: success */
static char said[8192];      /* the result, or the fault's words */

static void on_told(void *arg, const struct a2a_fault *fault, struct str result)
{
    (void)arg;
    n_told++;
    error = fault ? fault->error : A2A_ERROR_MAX;
    CHECK(!fault != !result.p);
    if (fault)
        snprintf(said, sizeof said, "%s", fault->detail);
    else
        snprintf(said, sizeof said, "%.*s", STR_ARG(result));
    if (!fault)
        CHECK_INT(json_scan(result, NULL, NULL, 0, NULL), 0);
}

static void start(enum call_admin_op op, const char *id, const char *record)
{
    struct call_admin_request request = {
        .op = op, .id = str_of(id), .agent = str_of(record), .request_id = STR("r")};

    n_told = 0;
    *said = '\0';
    call_admin_start(calls, &request, on_told, NULL);
}

static void ask(enum call_admin_op op, const char *id, const char *record)
{
    start(op, id, record);
    TURN_UNTIL(n_told);
    CHECK_INT(n_told, 1);
}

static void check_said(const char *words)
{
    if (!strstr(said, words)) {
        printf("    \"%s\" is not in: %s\n", words, said);
        test_failures++;
    }
}

static void open_calls(void)
{
    struct calls_config config = {.agent_defaults = {.max_in_flight = 10, .timeout_ms = 5000}};

    open_stage();
    calls = calls_new(loop, store, dispatch, follow, feeds, &config);
    (void)script_task; /* of the stage, for others */
}

static void close_calls(void)
{
    calls_free(calls);
    close_follow();
    close_stage();
}

/* --- looking -------------------------------------------------------------------------------------- */

TEST(what_is_shown)
{
    open_calls();
    ask(CALL_AGENTS_LIST, NULL, NULL);
    check_said("[{\"id\":\"a\",\"url\":\"http://127.0.0.1:1/\",\"protocol\":\"a2a\",");
    check_said("\"protocolVersion\":\"0.3\",\"protocolVersionFrom\":\"protocolVersion\",");
    check_said("\"source\":\"file\",");
    check_said("\"hasBearer\":false,\"maxInFlight\":8,\"timeoutMs\":60000,");
    check_said("\"metadata\":{}}]");
    ask(CALL_AGENTS_GET, "a", NULL);
    check_said("{\"id\":\"a\",");
    ask(CALL_AGENTS_HEALTH, "a", NULL);
    check_said("{\"agent_id\":\"a\",\"breaker_state\":\"closed\",\"in_flight\":0,"
               "\"failure_count\":0,\"last_failure_at\":null,\"node\":\"");
    ask(CALL_AGENTS_HEALTH, NULL, NULL);
    check_said("[{\"agent_id\":\"a\",");
    close_calls();
}

TEST(nobody_has_the_id)
{
    static const enum call_admin_op ops[] = {CALL_AGENTS_GET, CALL_AGENTS_HEALTH,
                                             CALL_AGENTS_DELETE, CALL_AGENTS_REFRESH,
                                             CALL_AGENTS_CHECK};

    open_calls();
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        ask(ops[i], "nobody", NULL);
        CHECK_INT(error, A2A_ERROR_AGENT_NOT_FOUND);
        check_said("no agent has the id \"nobody\"");
        ask(ops[i], "../x y", NULL);
        CHECK_INT(error, A2A_ERROR_AGENT_NOT_FOUND);
    }
    close_calls();
}

/* --- registering ---------------------------------------------------------------------------------- */

/* What calls would carry now; absent: nothing. */
static struct str bearer_of(const char *id)
{
    struct agent *agent = dispatch_find(dispatch, str_of(id));
    struct agent_view v;

    if (!agent)
        return STR("no such agent");
    agent_view(agent, &v);
    return v.spec->bearer;
}

TEST(an_agent_is_registered_changed_and_removed)
{
    open_calls();
    ask(CALL_AGENTS_UPSERT, NULL,
        "{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"bearer\":\"sekret\","
        "\"headers\":{\"X-Key\":\"hidden\"},\"maxInFlight\":3}");
    CHECK_INT(error, A2A_ERROR_MAX);
    check_said("\"id\":\"w\"");
    check_said("\"source\":\"api\"");
    check_said("\"hasBearer\":true,\"maxInFlight\":3,\"timeoutMs\":5000");
    CHECK_STR(bearer_of("w"), STR("sekret"));
    CHECK(!strstr(said, "sekret") && !strstr(said, "hidden"));
    ask(CALL_AGENTS_LIST, NULL, NULL);
    CHECK(!strstr(said, "sekret") && !strstr(said, "hidden"));
    ask(CALL_AGENTS_UPSERT, NULL, "{\"name\":\"w\",\"url\":\"http://127.0.0.1:1/v2\"}");
    check_said("\"url\":\"http://127.0.0.1:1/v2\"");
    check_said("\"maxInFlight\":10");
    ask(CALL_AGENTS_DELETE, "w", NULL);
    CHECK_STR(str_of(said), STR("true"));
    CHECK(!dispatch_find(dispatch, STR("w")));
    ask(CALL_AGENTS_DELETE, "w", NULL);
    CHECK_INT(error, A2A_ERROR_AGENT_NOT_FOUND);
    close_calls();
}

TEST(secrets_stay_with_their_hosts)
{
    static const struct {
        const char *record;
        bool keeps;
    } cases[] = {
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/elsewhere?x=1\"}", true},
        {"{\"id\":\"w\",\"url\":\"HTTP://127.0.0.1:1/\",\"bearer\":null}", true},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"endpoint\":\"http://127.0.0.1:1/rpc\"}",
         true},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:2/\"}", false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.2:1/\"}", false},
        {"{\"id\":\"w\",\"url\":\"https://127.0.0.1:1/\"}", false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1/\"}", false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"endpoint\":\"http://127.0.0.2:1/\"}",
         false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"cardUrl\":\"http://127.0.0.2:1/c\"}",
         false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"followCardHost\":true}", false},
        {"{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"bearer\":\"\"}", false},
    };

    open_calls();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(CALL_AGENTS_UPSERT, NULL,
            "{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\",\"bearer\":\"sekret\"}");
        CHECK_STR(bearer_of("w"), STR("sekret"));
        ask(CALL_AGENTS_UPSERT, NULL, cases[i].record);
        if (error != A2A_ERROR_MAX || !bearer_of("w").p == cases[i].keeps) {
            printf("    %s: %s\n", cases[i].record, said);
            test_failures++;
        }
    }
    close_calls();
}

TEST(agents_of_others_are_not_changed)
{
    open_calls();
    ask(CALL_AGENTS_UPSERT, NULL, "{\"id\":\"a\",\"url\":\"http://127.0.0.1:1/\"}");
    CHECK_INT(error, A2A_ERROR_INVALID_PARAMS);
    check_said("agent a is in the agents file; change it there");
    ask(CALL_AGENTS_DELETE, "a", NULL);
    CHECK_INT(error, A2A_ERROR_INVALID_PARAMS);
    check_said("change it there");
    CHECK(dispatch_find(dispatch, STR("a")) != NULL);
    close_calls();
}

TEST(a_record_that_does_not_hold_up)
{
    static const struct {
        const char *record, *words;
    } cases[] = {
        {"{\"id\":\"w\"}", "url"},
        {"{\"url\":\"http://h/\"}", "no id"},
        {"{\"id\":\"a b\",\"url\":\"http://h/\"}", "letters"},
        {"{\"id\":\"w\",\"url\":\"ftp://h/\"}", "http"},
        {"{\"id\":\"w\",\"url\":\"http://u:p@h/\"}", ""},
        {"{\"id\":\"w\",\"url\":\"http://h/\",\"maxInFligth\":3}", "maxInFlight"},
        {"{}", "no id"},
    };

    open_calls();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(CALL_AGENTS_UPSERT, NULL, cases[i].record);
        CHECK_INT(error, A2A_ERROR_INVALID_PARAMS);
        check_said(cases[i].words);
        ask(CALL_AGENTS_CHECK, NULL, cases[i].record);
        CHECK_INT(error, A2A_ERROR_INVALID_PARAMS);
    }
    CHECK_INT(dispatch_count(dispatch), 1);
    close_calls();
}

TEST(a_closing_store_is_told)
{
    open_calls();
    start(CALL_AGENTS_UPSERT, NULL, "{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\"}");
    CHECK_INT(n_told, 0);
    close_store();
    CHECK_INT(n_told, 1); /* committed in time or refused, but told */
    CHECK(error == A2A_ERROR_MAX || error == A2A_ERROR_SHUTTING_DOWN);
    close_calls();
}

static void on_idle(void *arg)
{
    (void)arg;
}

TEST(a_gateway_that_stops_begins_nothing)
{
    open_calls();
    calls_drain(calls, on_idle, NULL);
    ask(CALL_AGENTS_UPSERT, NULL, "{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\"}");
    CHECK_INT(error, A2A_ERROR_SHUTTING_DOWN);
    ask(CALL_AGENTS_LIST, NULL, NULL);
    CHECK_INT(error, A2A_ERROR_MAX);
    close_calls();
}

/* --- calling out ---------------------------------------------------------------------------------- */

#define CARD                                                                                   \
    "{ \"name\": \"Weather\", \"version\": \"7\", \"url\": \"http://h/\", \"protocolVersion\": \"0.3.0\" }"

static void script_http(const char *status, const char *body)
{
    char *text = mem_zero(strlen(body) + 256, 1);

    snprintf(text, strlen(body) + 256, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
             strlen(body), body);
    answers[n_answers++] = text;
    server_script(&server, SERVER_ANSWER, text);
}

TEST(a_check_says_what_it_found)
{
    char record[256];

    open_calls();
    script_http("200 OK", CARD);
    script(SERVER_ANSWER, "error", NOT_FOUND);
    snprintf(record, sizeof record, "{\"id\":\"w\",\"url\":\"%s\"}", agent_url);
    ask(CALL_AGENTS_CHECK, NULL, record);
    CHECK_INT(error, A2A_ERROR_MAX);
    check_said("\"usable\":true,\"protocolVersion\":\"0.3\"");
    check_said("{\"grade\":\"ok\",\"what\":\"");
    CHECK(!dispatch_find(dispatch, STR("w")));
    ask(CALL_AGENTS_CHECK, NULL, "{\"id\":\"w\",\"url\":\"http://127.0.0.1:1/\"}");
    check_said("\"usable\":false");
    check_said("{\"grade\":\"error\",\"what\":\"");
    close_calls();
}

TEST(a_card_is_fetched_anew)
{
    char record[256];

    open_calls();
    ask(CALL_AGENTS_REFRESH, "a", NULL);
    CHECK_INT(error, A2A_ERROR_AGENT_UNREACHABLE);
    script_http("200 OK", CARD);
    script_http("200 OK", CARD); /* the registry may have fetched it once for itself */
    snprintf(record, sizeof record, "{\"id\":\"w\",\"url\":\"%s\"}", agent_url);
    ask(CALL_AGENTS_UPSERT, NULL, record);
    ask(CALL_AGENTS_REFRESH, "w", NULL);
    check_said("{\"agent\":{\"id\":\"w\",");
    check_said("\"card\":{\"name\":\"Weather\",\"version\":\"7\"},\"metadata\":{}},"
               "\"card\":{\"name\":\"Weather\",\"version\":\"7\",\"url\":\"http://h/\","
               "\"protocolVersion\":\"0.3.0\"}}");
    close_calls();
}

TEST_MAIN
