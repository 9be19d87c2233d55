/* SPDX-License-Identifier: MIT
 *
 * The registry and asking, against a scripted server: reloads under calls in flight, places that are given
 * back exactly once and before the callback, and what a caller is told of every way an agent can misbehave.
 */
#include "check.h"

#include "dispatch/dispatch_int.h"
#include "unit/egress/scripted_server.h"

static struct loop *loop;
static struct egress *egress;
static struct dispatch *dispatch;
static struct server server;
static char agent_url[64];

struct seen {
    unsigned n, in_flight; /* in_flight: of the agent, as seen by the callback */
    bool has_fault;
    struct a2a_fault fault;
    enum a2a_reply_kind kind;
    struct buf object;
    const char *watch; /* the agent whose places are looked at */
};

static void open_stage(void)
{
    clock_set(&stopped_clock);
    log_setup(LOG_ERROR, false);
    loop = loop_new();
    egress = egress_new(loop, &(struct egress_config){8, 60000, 4000});
    dispatch = dispatch_new(loop, egress);
    server_start(&server, loop);
    (void)snprintf(agent_url, sizeof agent_url, "http://127.0.0.1:%u/a2a", server.port);
}

static void close_stage(void)
{
    dispatch_check(dispatch);
    dispatch_free(dispatch);
    egress_free(egress);
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    clock_set(NULL);
    alarm(0);
}

static struct agent_spec spec(const char *id, unsigned max_in_flight, struct agent_spec *next)
{
    return (struct agent_spec){
        .next = next,
        .id = str_of(id),
        .url = str_of(agent_url),
        .max_in_flight = max_in_flight,
        .timeout_ms = 60000,
    };
}

static struct dispatch_change put(const char *source, const struct agent_spec *specs)
{
    struct dispatch_change change;

    dispatch_put(dispatch, source, specs, &change);
    dispatch_check(dispatch);
    return change;
}

static void put_one(const char *id, unsigned max_in_flight)
{
    struct agent_spec s = spec(id, max_in_flight, NULL);

    put("file", &s);
}

static struct agent *find(const char *id)
{
    return dispatch_find(dispatch, str_of(id));
}

static struct agent_view view(const char *id)
{
    struct agent_view v;

    agent_view(find(id), &v);
    return v;
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct seen *s = arg;

    s->n++;
    CHECK_INT(!reply, !!fault);
    s->has_fault = fault != NULL;
    if (fault)
        s->fault = *fault;
    if (reply) {
        s->kind = reply->kind;
        buf_add_str(&s->object, reply->object);
    }
    if (s->watch)
        s->in_flight = view(s->watch).in_flight;
    dispatch_check(dispatch);
}

#define PART "{\"kind\":\"text\",\"text\":\"hi\"}"
#define MESSAGE                                                                                \
    "{\"messageId\":\"m1\",\"role\":\"user\",\"kind\":\"message\",\"parts\":[" PART "]}"

/* A send as a caller makes it, in 0.3. */
static int try_send(struct seen *s, struct agent *a)
{
    static const char body[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":" MESSAGE
        "}}";
    struct a2a_request request;
    struct a2a_fault fault;
    struct ask *ask;

    memset(s, 0, sizeof *s);
    buf_init(&s->object, KB(64));
    CHECK_INT(a2a_request_read(str_of(body), STR_NONE, &request, &fault), 0);
    return dispatch_send(dispatch, a, &request, on_reply, s, &ask);
}

static void send_to(struct seen *s, const char *id)
{
    CHECK_INT(try_send(s, find(id)), 0);
    CHECK_INT(s->n, 0);
    dispatch_check(dispatch);
}

static void wait_for(struct seen *s)
{
    while (s->n == 0)
        loop_turn(loop, true);
    CHECK_INT(s->n, 1);
}

static void settle(void)
{
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
}

static void drop(struct seen *s)
{
    buf_release(&s->object);
}

/* An HTTP answer around a body, in one of a few places that live long enough. */
static const char *http(const char *status, const char *body)
{
    static char texts[8][512];
    static unsigned at;
    char *text = texts[at++ % 8];

    (void)snprintf(text, sizeof texts[0], "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                   status, strlen(body), body);
    return text;
}

#define TASK                                                                                   \
    "{\"id\":\"t1\",\"contextId\":\"c1\",\"kind\":\"task\",\"status\":{\"state\":\"working\"}}"
#define RESULT(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":" TASK "}"
#define RPC_ERROR(id)                                                                          \
    "{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
    ",\"error\":{\"code\":-32001,\"message\":\"Task not found\"}}"

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
    rows[3].url = STR("https://d/");
    c = put("file", rows);
    CHECK_INT(c.added, 1);
    CHECK_INT(view("a").max_in_flight, 1);
    CHECK_INT(dispatch_count(dispatch), 1);
    rows[0].next = NULL;
    rows[0].url = STR("https://a/"); /* better as it was than gone */
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
