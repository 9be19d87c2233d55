/* SPDX-License-Identifier: MIT
 *
 * The registry and asking, against a scripted server: reloads under calls in flight, places that are given
 * back exactly once and before the callback, and what a caller is told of every way an agent can misbehave.
 */
#include "unit/dispatch/rig.h"

/* --- the registry ------------------------------------------------------------------------------- */

TEST(reload_adds_changes_removes_and_keeps)
{
    struct dispatch_change c;
    struct agent_spec a, b;
    struct agent *kept;

    open_stage();
    b = spec("b", 2, NULL);
    a = spec("a", 1, &b);
    c = put("file", &a);
    CHECK_INT(c.added, 2);
    kept = find("a");
    b = spec("c", 2, NULL);
    c = put("file", &a);
    CHECK_INT(c.kept, 1);
    CHECK_INT(c.added, 1);
    CHECK_INT(c.removed, 1);
    CHECK(find("a") == kept);
    CHECK(!find("b"));
    a.bearer = STR("t");
    c = put("file", &a);
    CHECK_INT(c.changed, 1);
    CHECK_INT(c.kept, 1);
    CHECK(find("a") != kept);
    CHECK_STR(agent_id(kept), STR("a")); /* borrowed until the turn ends */
    c = put("file", &a);
    CHECK_INT(c.kept, 2);
    c = put("file", NULL);
    CHECK_INT(c.removed, 2);
    CHECK_INT(dispatch_count(dispatch), 0);
    settle();
    CHECK_INT(dispatch->n_alive, 0);
    CHECK_INT(dispatch->gates.n, 0);
    close_stage();
}

TEST(sources_do_not_touch_each_other)
{
    struct dispatch_change c;
    struct agent_spec a, b;

    open_stage();
    put_one("a", 1);
    a = spec("a", 7, &b);
    b = spec("b", 7, NULL);
    c = put("env", &a);
    CHECK_INT(c.added, 1);
    CHECK_INT(c.changed, 0);
    CHECK_INT(view("a").max_in_flight, 1);
    CHECK_STR(str_of(view("b").source), STR("env"));
    put("file", NULL);
    CHECK(!find("a"));
    CHECK(find("b") != NULL);
    close_stage();
}

TEST(doubles_and_bad_specs_are_refused_one_by_one)
{
    struct dispatch_change c;
    struct agent_spec rows[4];

    open_stage();
    rows[0] = spec("a", 1, &rows[1]);
    rows[1] = spec("a", 2, &rows[2]);
    rows[2] = spec("b/c", 2, &rows[3]);
    rows[3] = spec("d", 2, NULL);
    rows[3].url = STR("ftp://d/");
    c = put("file", rows);
    CHECK_INT(c.added, 1);
    CHECK_INT(view("a").max_in_flight, 1);
    CHECK_INT(dispatch_count(dispatch), 1);
    rows[0].next = NULL;
    rows[0].url = STR("http://me:you@a/"); /* better as it was than gone */
    c = put("file", rows);
    CHECK_INT(c.added + c.changed + c.removed, 0);
    CHECK(find("a") != NULL);
    close_stage();
}

TEST(walk_is_in_order_of_id)
{
    static const char *const ids[] = {"zeta", "a", "B", "a.b", "a-b"};
    static const char *const sorted[] = {"B", "a", "a-b", "a.b", "zeta"};
    struct agent_spec rows[5];
    size_t at = 0;

    open_stage();
    for (int i = 0; i < 5; i++)
        rows[i] = spec(ids[i], 1, i < 4 ? &rows[i + 1] : NULL);
    put("file", rows);
    for (int i = 0; i < 5; i++)
        CHECK_STR(agent_id(dispatch_next(dispatch, &at)), str_of(sorted[i]));
    CHECK(!dispatch_next(dispatch, &at));
    close_stage();
}

/* --- asking ------------------------------------------------------------------------------------- */

TEST(send_and_reply)
{
    struct seen s;

    open_stage();
    put_one("a", 1);
    server_script(&server, SERVER_ANSWER, http("200 OK", RESULT(1)));
    send_to(&s, "a");
    s.watch = "a";
    CHECK_INT(view("a").in_flight, 1);
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_INT(s.kind, A2A_REPLY_TASK);
    CHECK_STR(buf_str(&s.object), STR(TASK));
    CHECK_INT(s.in_flight, 0);
    CHECK_INT(view("a").calls, 1);
    CHECK_INT(view("a").failures, 0);
    CHECK(strncmp(server_last(&server), "POST /a2a HTTP/1.1\r\n", 20) == 0);
    CHECK(strstr(server_last(&server), "\r\nContent-Type: application/json\r\n") != NULL);
    CHECK(strstr(server_last(&server), "\"method\":\"message/send\"") != NULL);
    CHECK(!strstr(server_last(&server), "A2A-Version"));
    CHECK(!strstr(server_last(&server), "Authorization"));
    drop(&s);
    close_stage();
}

TEST(version_and_bearer_are_said)
{
    struct agent_spec a;
    struct seen s = {0};
    struct ask *ask;

    open_stage();
    a = spec("a", 1, NULL);
    a.has_version = true;
    a.version = A2A_1_0;
    a.bearer = STR("s3cret");
    put("file", &a);
    buf_init(&s.object, KB(4));
    server_script(
        &server, SERVER_ANSWER,
        http("200 OK",
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"id\":\"t1\",\"status\":{\"state\":"
             "\"TASK_STATE_WORKING\"}}}"));
    CHECK_INT(dispatch_get(dispatch, find("a"), STR("t1"), on_reply, &s, &ask), 0);
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK(strstr(server_last(&server), "\r\nA2A-Version: 1.0\r\n") != NULL);
    CHECK(strstr(server_last(&server), "\r\nAuthorization: Bearer s3cret\r\n") != NULL);
    CHECK(strstr(server_last(&server), "\"method\":\"GetTask\"") != NULL);
    drop(&s);
    close_stage();
}

TEST(cancel_is_said)
{
    struct seen s = {0};

    open_stage();
    put_one("a", 1);
    buf_init(&s.object, KB(4));
    server_script(&server, SERVER_ANSWER, http("200 OK", RESULT(1)));
    CHECK_INT(dispatch_cancel(dispatch, find("a"), STR("t1"), on_reply, &s, &s.ask), 0);
    CHECK_INT(view("a").in_flight, 1);
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_STR(buf_str(&s.object), STR(TASK));
    CHECK(strstr(server_last(&server), "\"method\":\"tasks/cancel\"") != NULL);
    CHECK(strstr(server_last(&server), "\"id\":\"t1\"") != NULL);
    drop(&s);
    close_stage();
}

/* The name of A2A-Extensions is the version's; the other headers go as they are. */
TEST(what_a_caller_brings_is_sent_along)
{
    static const struct egress_header headers[] = {
        {"traceparent", {"tp", 2}}, {"X-User", {"u 1", 3}}, {"X-User", {"u 2", 3}}};
    static const struct dispatch_context contexts[] = {
        {.extensions = {"urn:a, urn:b", 12}, .headers = headers, .n_headers = 3},
        {.headers = headers, .n_headers = 1},
        {.drop = false},
    };

    for (unsigned version = 0; version < 2; version++) {
        struct agent_spec a;

        open_stage();
        a = spec("a", 1, NULL);
        a.has_version = true;
        a.version = version ? A2A_1_0 : A2A_0_3;
        put("file", &a);
        for (unsigned i = 0; i < 3; i++) {
            const char *said;
            struct seen s;

            buf_clear(&server.seen);
            server_script(&server, SERVER_ANSWER, http("200 OK", "{}"));
            CHECK_INT(try_send_with(&s, find("a"), &contexts[i]), 0);
            wait_for(&s);
            said = server_last(&server);
            CHECK_INT(strstr(said, "\r\nA2A-Extensions: urn:a, urn:b\r\n") != NULL,
                      i == 0 && version == 1);
            CHECK_INT(strstr(said, "\r\nX-A2A-Extensions: urn:a, urn:b\r\n") != NULL,
                      i == 0 && version == 0);
            CHECK_INT(strstr(said, "Extensions") != NULL, i == 0);
            CHECK_INT(strstr(said, "\r\ntraceparent: tp\r\n") != NULL, i < 2);
            CHECK_INT(strstr(said, "\r\nX-User: u 1\r\nX-User: u 2\r\n") != NULL, i == 0);
            drop(&s);
        }
        close_stage();
    }
}

TEST(what_an_agent_has_activated_is_told)
{
    static const struct {
        const char *lines, *told;
    } rows[] = {
        {"", "-"},
        {"A2A-Extensions:\r\n", "-"},
        {"a2a-extensions: urn:a\r\n", "urn:a"},
        {"X-A2A-Extensions: urn:a,urn:b\r\n", "urn:a,urn:b"},
        {"A2A-Extensions: urn:a\r\nX-Other: x\r\nx-a2a-extensions: urn:b\r\n", "urn:a, urn:b"},
    };

    open_stage();
    put_one("a", 1);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256], text[512];
        struct seen s;

        (void)snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%u,\"result\":" TASK "}",
                       i + 1);
        (void)snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n%sContent-Length: %zu\r\n\r\n%s",
                       rows[i].lines, strlen(body), body);
        server_script(&server, SERVER_ANSWER, text);
        send_to(&s, "a");
        wait_for(&s);
        CHECK(!s.has_fault);
        CHECK_STR(str_of(s.extensions), str_of(rows[i].told));
        drop(&s);
    }
    close_stage();
}

/* What was read together cannot contradict itself; what is put together from an old and a new spec can. */
TEST(credentials_of_two_are_not_mixed)
{
    const char *why = NULL;
    struct agent_spec a;

    open_stage();
    a = spec("a", 1, NULL);
    a.forwards[0] = STR("authorization");
    a.n_forwards = 1;
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), 0);
    a.bearer = STR("t");
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), ERR_INVALID);
    CHECK_STR(str_of(why), STR("Authorization cannot be forwarded: the agent has a bearer"));
    CHECK(!view("a").has_bearer);
    close_stage();
}

TEST(what_callers_are_told)
{
    static const struct {
        enum server_act act;
        const char *status, *body; /* status NULL: body is the whole answer */
        enum a2a_error error;      /* MAX: the agent's own error, a reply */
        const char *detail;
    } rows[] = {
        {SERVER_ANSWER, NULL, "garbage\r\n\r\n", A2A_ERROR_INVALID_AGENT_RESPONSE,
         "agent a answered with something that is not HTTP"},
        {SERVER_ANSWER_CLOSE, NULL, "", A2A_ERROR_AGENT_UNREACHABLE,
         "agent a closed the connection without answering; it may have acted on the message"},
        {SERVER_ANSWER_CLOSE, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
         A2A_ERROR_INVALID_AGENT_RESPONSE,
         "agent a closed the connection in the middle of its answer; it may have acted on the message"},
        {SERVER_ANSWER, NULL, "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
         A2A_ERROR_INVALID_AGENT_RESPONSE,
         "agent a sent an answer larger than 16777216 bytes; it may have acted on the message"},
        {SERVER_ANSWER, "200 OK", "not json", A2A_ERROR_INVALID_AGENT_RESPONSE, "agent a: "},
        {SERVER_ANSWER, "200 OK", RESULT(2), A2A_ERROR_INVALID_AGENT_RESPONSE, "agent a: "},
        {SERVER_ANSWER, "200 OK", RPC_ERROR(1), A2A_ERROR_MAX, NULL},
        {SERVER_ANSWER, "404 Not Found", RPC_ERROR(1), A2A_ERROR_MAX, NULL},
        {SERVER_ANSWER, "500 Internal Server Error", RPC_ERROR(1), A2A_ERROR_MAX, NULL},
        {SERVER_ANSWER, "500 Internal Server Error", "oops", A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 500"},
        {SERVER_ANSWER, "500 Internal Server Error", RESULT(2), A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 500"},
        {SERVER_ANSWER, "401 Unauthorized", "", A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 401: it wants credentials and the gateway has none"},
        {SERVER_ANSWER, "302 Found", "", A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 302: redirects are not followed"},
        {SERVER_ANSWER, "404 Not Found", "nothing here", A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 404: check the path of the agent's url"},
        {SERVER_ANSWER, "503 Service Unavailable\r\nRetry-After: 7", "", A2A_ERROR_AGENT_FAILED,
         "agent a answered HTTP 503"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct seen s;

        open_stage();
        put_one("a", 1);
        server_script(&server, rows[i].act,
                      rows[i].status ? http(rows[i].status, rows[i].body) : rows[i].body);
        send_to(&s, "a");
        s.watch = "a";
        wait_for(&s);
        CHECK_INT(s.in_flight, 0);
        CHECK_INT(s.has_fault, rows[i].error != A2A_ERROR_MAX);
        if (s.has_fault) {
            CHECK_INT(s.fault.error, rows[i].error);
            if (!strstr(s.fault.detail, rows[i].detail))
                CHECK_STR(str_of(s.fault.detail), str_of(rows[i].detail));
            CHECK(!rows[i].status || !strstr(rows[i].status, "Retry-After") ||
                  s.fault.retry_after_s == 7);
        } else {
            CHECK_INT(s.kind, A2A_REPLY_ERROR);
        }
        CHECK_INT(view("a").failures, s.has_fault);
        drop(&s);
        close_stage();
    }
}

TEST(refused_credentials_are_told_apart_from_missing_ones)
{
    struct agent_spec a;
    struct seen s;

    open_stage();
    a = spec("a", 1, NULL);
    a.bearer = STR("wrong");
    put("file", &a);
    server_script(&server, SERVER_ANSWER, http("403 Forbidden", ""));
    send_to(&s, "a");
    wait_for(&s);
    CHECK_STR(str_of(s.fault.detail),
              STR("agent a answered HTTP 403: it refused the gateway's credentials; "
                  "check the agent's bearer"));
    drop(&s);
    close_stage();
}

TEST(unreachable_and_silent_agents)
{
    struct seen s;

    open_stage();
    put_one("a", 1);
    send_to(&s, "a");
    settle();
    clock_advance_ms(60000);
    wait_for(&s);
    CHECK_INT(s.fault.error, A2A_ERROR_AGENT_TIMEOUT);
    CHECK_STR(str_of(s.fault.detail),
              STR("agent a sent no answer within 60000 ms; it may have acted on the message"));
    drop(&s);
    server_stop_listening(&server);
    settle();
    send_to(&s, "a");
    wait_for(&s);
    CHECK_INT(s.fault.error, A2A_ERROR_AGENT_UNREACHABLE);
    CHECK(strstr(s.fault.detail, "connection refused; it has not seen the message") != NULL);
    CHECK_INT(view("a").failures, 2);
    drop(&s);
    close_stage();
}

TEST(places_are_bounded_and_given_back)
{
    struct seen s[3], refused;

    open_stage();
    put_one("a", 3);
    for (int i = 0; i < 3; i++)
        send_to(&s[i], "a");
    CHECK_INT(try_send(&refused, find("a")), ERR_FULL);
    CHECK_INT(view("a").in_flight, 3);
    CHECK_INT(view("a").calls, 3);
    settle();
    CHECK_INT(server.n_requests, 3);
    server_hang_up_all(&server, false);
    for (int i = 0; i < 3; i++) {
        wait_for(&s[i]);
        drop(&s[i]);
    }
    CHECK_INT(view("a").in_flight, 0);
    CHECK_INT(refused.n, 0);
    drop(&refused);
    close_stage();
}

TEST(reload_under_calls_neither_loses_nor_invents_places)
{
    struct seen s[4], more;

    open_stage();
    put_one("a", 3);
    for (int i = 0; i < 3; i++)
        send_to(&s[i], "a");
    put_one("a", 2); /* fewer than are taken */
    CHECK_INT(view("a").in_flight, 3);
    CHECK_INT(try_send(&more, find("a")), ERR_FULL);
    put("file", NULL); /* removed, and back with another limit */
    settle();
    CHECK(!find("a"));
    CHECK_INT(server.n_requests, 3);
    put_one("a", 4);
    CHECK_INT(view("a").in_flight, 3);
    send_to(&s[3], "a");
    CHECK_INT(try_send(&more, find("a")), ERR_FULL);
    settle();
    for (int i = 0; i < 4; i++) {
        server_hang_up(server.peers[i], false);
        settle();
        dispatch_check(dispatch);
        CHECK_INT(view("a").in_flight, 3 - i);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_INT(s[i].n, 1);
        drop(&s[i]);
    }
    CHECK_INT(view("a").calls, 4);
    CHECK_INT(dispatch->n_alive, 1);
    close_stage();
}

static void on_reply_reload(void *arg, const struct a2a_reply *reply,
                            const struct a2a_fault *fault)
{
    on_reply(arg, reply, fault);
    put("file", NULL);
}

TEST(agent_may_vanish_inside_its_callback)
{
    struct seen s = {0};
    struct ask *ask;

    open_stage();
    put_one("a", 1);
    buf_init(&s.object, KB(4));
    server_script(&server, SERVER_ANSWER, http("200 OK", RESULT(1)));
    CHECK_INT(dispatch_get(dispatch, find("a"), STR("t1"), on_reply_reload, &s, &ask), 0);
    wait_for(&s);
    CHECK(!find("a"));
    settle();
    CHECK_INT(dispatch->n_alive, 0);
    drop(&s);
    close_stage();
}

TEST(one_connection_serves_calls_in_turn)
{
    struct egress_figures f;
    struct seen s;

    open_stage();
    put_one("a", 1);
    for (int i = 1; i <= 3; i++) {
        char body[200];

        (void)snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":" TASK "}",
                       i);
        server_script(&server, SERVER_ANSWER, http("200 OK", body));
        send_to(&s, "a");
        wait_for(&s);
        CHECK(!s.has_fault);
        drop(&s);
    }
    egress_figures(egress, &f);
    CHECK_INT(f.opened, 1);
    close_stage();
}

TEST_MAIN
