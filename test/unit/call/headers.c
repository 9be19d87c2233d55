/* SPDX-License-Identifier: MIT
 *
 * What of a caller's headers reaches his agent through a call, and what of the agent's comes back.
 */
#include "call/call.h"
#include "unit/call/stage.h"

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct calls *calls;

struct caller {
    unsigned n;
    bool is_ok;
    enum a2a_error error;
    char detail[256], extensions[64];
};

static void on_answer(void *arg, const struct call_answer *answer)
{
    struct caller *c = arg;

    c->n++;
    c->is_ok = !answer->fault;
    if (answer->fault) {
        c->error = answer->fault->error;
        snprintf(c->detail, sizeof c->detail, "%s", answer->fault->detail);
    }
    snprintf(c->extensions, sizeof c->extensions, "%.*s",
             STR_ARG(answer->extensions.p ? answer->extensions : STR("-")));
}

static void put_forwarding(const char *name, const char *other)
{
    struct agent_spec spec = {.id = STR("a"),
                              .url = STR("http://127.0.0.1:1/"),
                              .endpoint = str_of(agent_url),
                              .has_version = true,
                              .version = A2A_0_3,
                              .max_in_flight = 8,
                              .timeout_ms = 60000};
    struct dispatch_change change;

    if (name)
        spec.forwards[spec.n_forwards++] = str_of(name);
    if (other)
        spec.forwards[spec.n_forwards++] = str_of(other);
    dispatch_put(dispatch, "file", &spec, &change);
}

static void open_calls(void)
{
    static const struct calls_config config = {
        .fresh_ms = 0, .store_wait_ms = 60000, .send_wait_ms = 600000};

    open_stage();
    calls = calls_new(loop, store, dispatch, follow, feeds, &config);
}

static void close_calls(void)
{
    CHECK_INT(calls_running(calls), 0);
    calls_free(calls);
    close_follow();
    calls = NULL;
    close_stage();
}

#define SEND                                                                                   \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":"       \
    "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":"                   \
    "[{\"kind\":\"text\",\"text\":\"hi\"}]}}}"
#define CANCEL                                                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks/cancel\",\"params\":{\"id\":\"t1\"}}"

/* `lines`: "name: value\n...". They are gone when call_start() has returned, as an exchange's head is. */
static void ask(struct caller *c, const char *agent, const char *body, const char *lines)
{
    struct http_header headers[64];
    struct a2a_request request;
    struct a2a_fault fault = {0};
    struct call_request start = {
        .agent = agent ? str_of(agent) : STR_NONE, .a2a = &request, .headers = headers};
    char *copy = mem_str(lines, strlen(lines)), *at = copy;
    struct call *call;

    *c = (struct caller){0};
    buf_clear(&server.seen);
    for (char *end; (end = strchr(at, '\n')); at = end + 1) {
        char *value = strstr(at, ": ") + 2;

        headers[start.n_headers++] = (struct http_header){
            str_make(at, (size_t)(value - 2 - at)), str_make(value, (size_t)(end - value))};
    }
    CHECK_INT(a2a_request_read(str_of(body), STR_NONE, &request, &fault), 0);
    (void)call_start(calls, &start, on_answer, c, &call);
    memset(copy, '!', strlen(lines));
    mem_free(copy);
}

/* By the gateway since the last ask(). */
static bool was_said(const char *line)
{
    return strstr(server_last(&server), line) != NULL;
}

/* Sends with `lines`; what the agent saw is in was_said(). */
static void send_with(const char *lines)
{
    struct caller c;

    script_task(SERVER_ANSWER, "t1", "completed", "");
    ask(&c, "a", SEND, lines);
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK_STR(str_of(c.extensions), STR("-"));
}

TEST(only_what_concerns_the_agent_goes)
{
    open_calls();
    send_with("host: h\nauthorization: Bearer mine\ncookie: c\nx-user: u\nuser-agent: me\n"
              "content-length: 7\naccept: x/y\na2a-version: 1.0\nA2A-Extensions: urn:a\n"
              "x-a2a-extensions: urn:b\n");
    CHECK(was_said("\r\nX-A2A-Extensions: urn:a, urn:b\r\n"));
    CHECK(!was_said("mine"));
    CHECK(!was_said("x-user") && !was_said("X-User"));
    CHECK(!was_said("ookie"));
    CHECK(!was_said("x/y"));
    put_forwarding("X-User", "Authorization");
    send_with("x-user: u\nX-USER: v\nauthorization: Bearer mine\ncookie: c\n");
    CHECK(was_said("\r\nX-User: u\r\nX-User: v\r\n"));
    CHECK(was_said("\r\nAuthorization: Bearer mine\r\n"));
    CHECK(!was_said("ookie"));
    CHECK(!was_said("Extensions"));
    close_calls();
}

TEST(a_trace_goes_if_it_is_one)
{
    static const char *const bad[] = {
        "traceparent: 00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\n",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01\n",
        "traceparent: ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\n",
        "traceparent: " TRACE "-more\n",
        "traceparent: \n",
        "traceparent: " TRACE "\ntraceparent: " TRACE "\n",
    };

    open_calls();
    send_with("traceparent: " TRACE "\ntracestate: a=1\ntracestate: b=2\n");
    CHECK(was_said("\r\ntraceparent: " TRACE "\r\ntracestate: a=1\r\ntracestate: b=2\r\n"));
    send_with("traceparent: 01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x\n");
    CHECK(was_said("-01-x\r\n"));
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char lines[256];

        snprintf(lines, sizeof lines, "%stracestate: a=1\n", bad[i]);
        send_with(lines);
        CHECK(!was_said("trace"));
    }
    close_calls();
}

TEST(a_long_tracestate_is_left_out)
{
    char lines[2048];

    open_calls();
    snprintf(lines, sizeof lines, "traceparent: " TRACE "\ntracestate: a=%01022d\n", 0);
    send_with(lines);
    CHECK(was_said("tracestate"));
    snprintf(lines, sizeof lines, "traceparent: " TRACE "\ntracestate: a=%01023d\n", 0);
    send_with(lines);
    CHECK(was_said("traceparent"));
    CHECK(!was_said("tracestate"));
    close_calls();
}

static void expect_refusal(const char *lines, const char *why)
{
    struct caller c;

    ask(&c, "a", SEND, lines);
    CHECK_INT(c.n, 1);
    CHECK_INT(c.error, A2A_ERROR_INVALID_REQUEST);
    CHECK(strstr(c.detail, why) != NULL);
}

TEST(too_much_is_refused_not_cut)
{
    char lines[16384];
    size_t n = 0;

    open_calls();
    put_forwarding("X-User", NULL);
    snprintf(lines, sizeof lines, "x-user: %08183d\n", 0); /* 6 + 8183 + 4 > 8192 */
    expect_refusal(lines, "longer than 8192 bytes");
    snprintf(lines, sizeof lines, "a2a-extensions: %08175d\n", 0);
    expect_refusal(lines, "longer than 8192 bytes");
    for (unsigned i = 0; i < 33; i++)
        n += (size_t)snprintf(lines + n, sizeof lines - n, "x-user: %u\n", i);
    expect_refusal(lines, "more than 32 lines");
    expect_refusal("x-user: a\x01z\n", "control characters");
    expect_refusal("a2a-extensions: a\x01z\n", "control characters");
    snprintf(lines, sizeof lines, "x-user: %08182d\n", 0);
    send_with(lines);
    CHECK(was_said("\r\nX-User: 0000"));
    close_calls();
}

/* The agent of a cancel may be found only after call_start() has returned. */
TEST(cancels_bring_them_too)
{
    static const char *const agents[] = {"a", NULL};

    for (unsigned i = 0; i < 2; i++) {
        struct caller c;

        open_calls();
        put_forwarding("X-User", NULL);
        script_task(SERVER_ANSWER, "t1", "working", "");
        ask(&c, "a", SEND, "");
        TURN_UNTIL(c.n);
        CHECK(c.is_ok);
        script_task(SERVER_ANSWER, "t1", "canceled", "");
        ask(&c, agents[i], CANCEL, "A2A-Extensions: urn:a\nx-user: u\ncookie: c\nhost: h\n");
        TURN_UNTIL(c.n);
        CHECK(c.is_ok);
        CHECK(was_said("\r\nX-A2A-Extensions: urn:a\r\n"));
        CHECK(was_said("\r\nX-User: u\r\n"));
        CHECK(!was_said("ookie"));
        close_calls();
    }
}

TEST(a_sender_is_told_what_the_agent_has_activated)
{
    static const char body[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"id\":\"t1\",\"status\":{\"state\":\"completed\"}}}";
    char text[512];
    struct caller c;

    open_calls();
    snprintf(text, sizeof text,
             "HTTP/1.1 200 OK\r\nA2A-Extensions: urn:a\r\nX-Secret: s\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    server_script(&server, SERVER_ANSWER, text);
    ask(&c, "a", SEND, "");
    TURN_UNTIL(c.n);
    CHECK(c.is_ok);
    CHECK_STR(str_of(c.extensions), STR("urn:a"));
    close_calls();
}

TEST_MAIN
