/* SPDX-License-Identifier: MIT
 *
 * The two JSON-RPC surfaces from bytes to bytes, over a real server, with the station behind them played by the test:
 * what reaches it, what comes back in which version, which HTTP status, and who may change agents.
 */
#include "unit/accept/rig.h"

#include "binding/binding.h"

/* --- the station behind --------------------------------------------------------------------------- */

static struct {
    unsigned n_calls, n_admin, n_detached;
    struct call_request call;
    struct a2a_request a2a;
    struct call_admin_request admin;
    char agent[80], params[4096], id[80], record[4096],
        headers[1024]; /* headers: "name=value;..." */
} seen;

static enum { ANSWER_NOW, ANSWER_LATER } when;
static struct call_answer answer;
static struct a2a_fault fault;
static struct str admin_result;
static bool admin_fails;
static call_answer_fn held_fn;
static call_admin_fn held_admin_fn;
static void *held_arg;

static struct str keep(char *to, size_t room, struct str s)
{
    size_t n = s.n < room ? s.n : room - 1;

    if (!s.p)
        return STR_NONE;
    memcpy(to, s.p, n);
    to[n] = '\0';
    return str_make(to, n);
}

enum call_progress call_start(struct calls *c, const struct call_request *request,
                              call_answer_fn fn, void *arg, struct call **out)
{
    (void)c;
    seen.n_calls++;
    seen.call = *request;
    seen.a2a = *request->a2a;
    seen.call.agent = keep(seen.agent, sizeof seen.agent, request->agent);
    seen.a2a.params = keep(seen.params, sizeof seen.params, request->a2a->params);
    seen.headers[0] = '\0';
    for (size_t i = 0, at = 0; i < request->n_headers && at < sizeof seen.headers; i++)
        at += (size_t)snprintf(seen.headers + at, sizeof seen.headers - at, "%.*s=%.*s;",
                               STR_ARG(request->headers[i].name),
                               STR_ARG(request->headers[i].value));
    held_fn = fn;
    held_arg = arg;
    if (when == ANSWER_LATER) {
        *out = (struct call *)&seen; /* never looked into */
        return CALL_RUNNING;
    }
    fn(arg, &answer);
    return CALL_ANSWERED;
}

void call_detach(struct call *c)
{
    (void)c;
    seen.n_detached++;
}

/* No stream is opened in these tests. */
void call_stream_listen(struct call_stream *stream, void (*on_ready)(void *arg), void *arg)
{
    (void)stream;
    (void)on_ready;
    (void)arg;
    BUG_ON(true);
}

int call_stream_next(struct call_stream *stream, struct call_event *out, struct a2a_fault *why)
{
    (void)stream;
    (void)out;
    (void)why;
    BUG_ON(true);
    return ERR_ABSENT;
}

void call_stream_close(struct call_stream *stream)
{
    (void)stream;
    BUG_ON(true);
}

void call_admin_start(struct calls *c, const struct call_admin_request *request,
                      call_admin_fn fn, void *arg)
{
    (void)c;
    seen.n_admin++;
    seen.admin = *request;
    seen.admin.id = keep(seen.id, sizeof seen.id, request->id);
    seen.admin.agent = keep(seen.record, sizeof seen.record, request->agent);
    held_admin_fn = fn;
    held_arg = arg;
    if (when == ANSWER_NOW)
        fn(arg, admin_fails ? &fault : NULL, admin_fails ? STR_NONE : admin_result);
}

/* Webhooks are nobody's business here. */
void call_push_start(struct calls *c, const struct call_push_request *request, call_admin_fn fn,
                     void *arg)
{
    struct call_admin_request admin = {.agent = request->a2a->params, .id = request->agent};

    call_admin_start(c, &admin, fn, arg);
}

void call_webhooks_start(struct calls *c, const struct call_webhooks_request *request,
                         call_admin_fn fn, void *arg)
{
    struct call_admin_request admin = {.agent = request->params};

    call_admin_start(c, &admin, fn, arg);
}

void call_card_start(struct calls *c, struct str id, call_card_fn fn, void *arg)
{
    struct call_card none = {.fault = &fault};

    (void)c;
    (void)id;
    fn(arg, &none);
}

struct str calls_next_agent(struct calls *c, size_t *at)
{
    (void)c;
    (void)at;
    return STR_NONE;
}

/* --- the stage ------------------------------------------------------------------------------------ */

static struct rig rig;
static struct binding *binding;

static void open_stage_as(const struct binding_config *config)
{
    char why[256] = "";

    memset(&seen, 0, sizeof seen);
    when = ANSWER_NOW;
    admin_fails = false;
    admin_result = STR("[]");
    a2a_fault_set(&fault, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"x\"");
    answer = (struct call_answer){.result = {.kind = A2A_REPLY_TASK, .version = A2A_0_3}};
    answer.result.object = STR(
        "{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"working\"}}");
    rig_open(&rig);
    server_close(rig.server);
    BUG_ON(binding_new(NULL, config, &binding, why));
    BUG_ON(server_open(rig.loop, &rig_config, binding_on_request, binding, &rig.server, why));
}

static void open_stage(const char *token, bool rpc_http_400)
{
    struct binding_config config = {.admin_token = token, .rpc_http_400 = rpc_http_400};

    open_stage_as(&config);
}

static void close_stage(void)
{
    rig_close(&rig);
    binding_free(binding);
}

static void send_with(struct client *c, const char *path, const char *headers, const char *body)
{
    struct buf text;

    client_open(c, &rig);
    buf_init(&text, MB(1));
    buf_printf(&text, "POST %s HTTP/1.1\r\n%s%sContent-Length: %zu\r\n\r\n%s", path,
               strstr(headers, "Host: ") == headers ? "" : "Host: localhost\r\n", headers,
               strlen(body), body);
    client_send(c, buf_str(&text));
    buf_release(&text);
}

#define JSON_TYPE "Content-Type: application/json\r\n"

/* Sends, and checks that the status line and all of `body_has` come back. */
static void expect_with(const char *headers, const char *body, const char *status,
                        const char *body_has)
{
    struct client c;

    send_with(&c, "/rpc", headers, body);
    CHECK(client_until(&c, body_has, 1));
    if (!client_has(&c, status)) {
        printf("    %s\n    no \"%s\" in: %.*s\n", body, status, STR_ARG(buf_str(&c.got)));
        test_failures++;
    }
    client_close(&c);
    rig_rest(&rig);
}

static void expect(const char *body, const char *status, const char *body_has)
{
    expect_with(JSON_TYPE, body, status, body_has);
}

#define RPC(method, params)                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\",\"params\":" params "}"
#define MESSAGE_0_3                                                                              \
    "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\"," \
    "\"text\":\"x\"}]}"
#define MESSAGE_1_0 "{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"x\"}]}"

/* --- the envelope --------------------------------------------------------------------------------- */

TEST(a_malformed_envelope_has_its_own_error)
{
    static const struct {
        const char *body, *has;
    } cases[] = {
        {"", "\"id\":null,\"error\":{\"code\":-32700"},
        {"{\"jsonrpc\":\"2.0\",}", "-32700"},
        {"[]", "-32600"},
        {"7", "-32600"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"agents.list\"}", "-32600"},
        {"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"agents.list\"}",
         "\"id\":null,\"error\":{\"code\":-32600"},
        {"{\"jsonrpc\":\"1.0\",\"id\":\"a\",\"method\":\"agents.list\"}",
         "\"id\":\"a\",\"error\":{\"code\":-32600"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1}", "\"id\":1,\"error\":{\"code\":-32600"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", "\"id\":1,\"error\":{\"code\":-32600"},
        {"{\"jsonrpc\":\"2.0\",\"method\":\"agents.list\"}", "\\\"id\\\" is missing"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.50,\"method\":\"agents.nix\"}",
         "\"id\":1.50,\"error\":{\"code\":-32601"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\"}", "-32601"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agents.list\",\"params\":[]}", "-32602"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"agents.list\",\"params\":{\"\":1}}",
         "-32602"},
        {RPC("agents.get", "{}"), "-32602"},
        {RPC("agents.upsert", "{\"id\":\"x\"}"), "-32602"},
        {RPC("agents.check", "{}"), "-32602"},
        {RPC("tasks.get", "{}"), "-32602"},
        {RPC("tasks.get", "{\"id\":7}"), "-32602"},
        {RPC("tasks.list", "{\"limit\":0}"), "-32602"},
        {RPC("tasks.list", "{\"limit\":101}"), "-32602"},
        {RPC("message.send", "{\"agentId\":\"a\",\"message\":{}}"), "-32602"},
        {RPC("message.stream", "{}"), "-32602"},
        {RPC("tasks/subscribe", "{}"), "-32602"},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks.pushNotificationConfig.set\"}",
         "-32602"},
        {RPC("agent/getAuthenticatedExtendedCard", "{}"), "-32007"},
    };

    open_stage("", false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(cases[i].body, "200 OK", cases[i].has);
    CHECK_INT(seen.n_calls + seen.n_admin, 0);
    expect_with("Content-Type: text/plain\r\n", RPC("agents.list", "{}"), "200 OK", "-32005");
    expect_with("Origin: http://evil\r\n", RPC("agents.list", "{}"), "200 OK", "-32005");
    expect_with("Sec-Fetch-Site: cross-site\r\n", RPC("agents.list", "{}"), "200 OK",
                "from a browser");
    expect_with(JSON_TYPE "A2A-Version: 2.0\r\n", RPC("agents.list", "{}"), "200 OK", "-32009");
    /* in the shape that the method's name asks for: only 1.0 has ErrorInfo */
    expect_with(JSON_TYPE "A2A-Version: 2.0\r\n", RPC("GetTask", "{}"), "\"code\":-32009",
                "google.rpc.ErrorInfo");
    expect_with(JSON_TYPE "A2A-Version: 2.0\r\n", RPC("nix", "{}"), "200 OK", "-32009");
    CHECK_INT(seen.n_calls + seen.n_admin, 0);
    close_stage();
}

TEST(what_may_be_left_out_or_added)
{
    struct client c;

    open_stage("", false);
    expect_with("", RPC("agents.list", "{}"), "200 OK", "\"result\":[]"); /* the type */
    send_with(&c, "/rpc/", JSON_TYPE, RPC("agents.list", "{}"));
    CHECK(client_until(&c, "\"result\":[]", 1));
    client_close(&c);
    CHECK_INT(seen.n_admin, 2);
    close_stage();
}

TEST(a_method_by_dots_slashes_and_escapes)
{
    static const char *const names[] = {"agents.list", "agents/list", "agents\\/list",
                                        "\\u0061gents.list"};
    char body[128];

    open_stage("", false);
    for (unsigned i = 0; i < 4; i++) {
        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"%s\"}",
                 names[i]);
        expect(body, "200 OK", "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":[]}");
        CHECK_INT(seen.n_admin, i + 1);
        CHECK_INT(seen.admin.op, CALL_AGENTS_LIST);
    }
    close_stage();
}

/* --- calls ---------------------------------------------------------------------------------------- */

TEST(a_message_in_either_shape)
{
    open_stage("", false);
    expect(
        RPC("message.send", "{\"agentId\":\"a\",\"taskId\":\"t\",\"message\":" MESSAGE_0_3 "}"),
        "200 OK", "\"result\":{\"kind\":\"task\",\"id\":\"t\"");
    CHECK_STR(seen.call.agent, STR("a"));
    CHECK_INT(seen.a2a.method, A2A_SEND);
    CHECK_INT(seen.a2a.shape, A2A_0_3);
    CHECK_INT(seen.a2a.version, A2A_0_3);
    CHECK(strstr(seen.params, "\"taskId\":\"t\"") != NULL);
    expect(RPC("message/send", "{\"agent\":\"a\",\"message\":" MESSAGE_1_0 "}"), "200 OK",
           "\"result\":{\"kind\":\"task\"");
    CHECK_INT(seen.a2a.shape, A2A_1_0);
    CHECK_INT(seen.a2a.version, A2A_0_3);
    close_stage();
}

/* But the secret between the caller and the gateway is for nobody else. */
TEST(a_call_brings_its_headers)
{
    static const char body[] =
        RPC("message.send", "{\"agentId\":\"a\",\"message\":" MESSAGE_0_3 "}");

    open_stage("s3cret", false);
    expect_with(JSON_TYPE "X-User: u\r\nAuthorization: Bearer mine\r\n", body, "200 OK",
                "result");
    CHECK(strstr(seen.headers, "X-User=u;") != NULL);
    CHECK(strstr(seen.headers, "Authorization=Bearer mine;") != NULL);
    expect_with(JSON_TYPE "X-User: u\r\nAuthorization: Bearer s3cret\r\nAuthorization: x\r\n",
                body, "200 OK", "result");
    CHECK(strstr(seen.headers, "X-User=u;") != NULL);
    CHECK(strstr(seen.headers, "Authorization=x;") != NULL);
    CHECK(!strstr(seen.headers, "s3cret"));
    close_stage();
}

TEST(extensions_come_back_under_the_versions_name)
{
    static const char body[] =
        RPC("message.send", "{\"agentId\":\"a\",\"message\":" MESSAGE_0_3 "}");

    open_stage("", false);
    answer.extensions = STR("urn:a, urn:b");
    expect_with(JSON_TYPE, body, "\r\nx-a2a-extensions: urn:a, urn:b\r\n", "result");
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n", body, "\r\na2a-extensions: urn:a, urn:b\r\n",
                "result");
    answer.fault = &fault; /* a refusal activates nothing */
    expect_with(JSON_TYPE, body, "\r\ncontent-type: application/json\r\n", "error");
    close_stage();
}

TEST(an_answer_in_1_0_when_it_is_asked_for)
{
    open_stage("", false);
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n",
                RPC("message.send", "{\"agentId\":\"a\",\"message\":" MESSAGE_0_3 "}"),
                "200 OK",
                "\"result\":{\"task\":{\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":"
                "\"TASK_STATE_WORKING\"}}}");
    CHECK_INT(seen.a2a.version, A2A_1_0);
    CHECK_INT(seen.a2a.shape, A2A_0_3);
    expect(RPC("GetTask", "{\"id\":\"t\",\"agentId\":\"a\"}"), "200 OK", "TASK_STATE_WORKING");
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n", RPC("nix", "{}"), "200 OK",
                "type.googleapis.com/google.rpc.ErrorInfo");
    close_stage();
}

TEST(a_task_by_its_id_alone)
{
    open_stage("", false);
    expect(RPC("tasks.get", "{\"task_id\":\"t\"}"), "200 OK", "\"result\":{\"kind\":\"task\"");
    CHECK_STR(seen.call.agent, STR_NONE);
    CHECK_INT(seen.a2a.method, A2A_GET);
    expect(RPC("tasks.cancel", "{\"taskId\":\"t\",\"agent\":\"b\"}"), "200 OK", "\"result\":");
    CHECK_STR(seen.call.agent, STR("b"));
    CHECK_INT(seen.a2a.method, A2A_CANCEL);
    close_stage();
}

TEST(an_object_that_cannot_be_said_is_an_error)
{
    open_stage("", false);
    answer.result.object =
        STR("{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"working\"},"
            "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[7]}]}");
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n", RPC("tasks.get", "{\"id\":\"t\"}"), "200 OK",
                "answer, task \\\"t\\\" cannot be told");
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n", RPC("tasks.get", "{\"id\":\"t\"}"), "200 OK",
                "\"error\":{\"code\":-32006");
    close_stage();
}

TEST(a_task_that_cannot_be_said_does_not_hide_its_page)
{
    struct task_summary rows[] = {
        {.agent = STR("a"),
         .id = STR("t1"),
         .context = STR("c"),
         .state = A2A_STATE_WORKING,
         .doc = STR("{\"kind\":\"task\",\"id\":\"t1\",\"status\":{\"state\":\"working\"},"
                    "\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[7]}]}"),
         .dialect = A2A_0_3},
        {.agent = STR("b"),
         .id = STR("t2"),
         .state = A2A_STATE_COMPLETED,
         .doc = STR("{\"id\":\"t2\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"}}"),
         .dialect = A2A_1_0},
    };

    open_stage("", false);
    answer.rows = rows;
    answer.n_rows = 2;
    expect(RPC("ListTasks", "{\"includeArtifacts\":true}"), "200 OK",
           "{\"tasks\":[{\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":"
           "\"TASK_STATE_WORKING\",\"timestamp\":\"1970-01-01T00:00:00.000Z\"}},{\"id\":\"t2\","
           "\"status\":{\"state\":\"TASK_STATE_COMPLETED\"}}],");
    close_stage();
}

TEST(a_list_for_people_and_one_for_clients)
{
    struct task_summary rows[] = {
        {.agent = STR("a"),
         .id = STR("t1"),
         .context = STR("c"),
         .state = A2A_STATE_WORKING,
         .doc =
             STR("{\"kind\":\"task\",\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":"
                 "\"working\"},\"artifacts\":[]}"),
         .dialect = A2A_0_3},
        {.agent = STR("b"),
         .id = STR("t2"),
         .state = A2A_STATE_COMPLETED,
         .doc = STR("{\"id\":\"t2\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"}}"),
         .dialect = A2A_1_0},
    };

    open_stage("", false);
    answer.rows = rows;
    answer.n_rows = 2;
    answer.total = 9;
    answer.next = STR("p\"2");
    expect(RPC("tasks.list", "{\"limit\":2}"), "200 OK",
           "\"nextPageToken\":\"p\\\"2\",\"pageSize\":2,\"totalSize\":9}}");
    CHECK(seen.call.want_summaries);
    expect(RPC("tasks.list", "{\"limit\":2}"), "200 OK",
           "{\"id\":\"t1\",\"contextId\":\"c\",\"kind\":\"task\",\"agentId\":\"a\",\"status\":{"
           "\"state\":\"working\",");
    expect_with(JSON_TYPE "A2A-Version: 1.0\r\n", RPC("tasks.list", "{}"), "200 OK",
                "\"agentId\":\"b\",\"status\":{\"state\":\"TASK_STATE_COMPLETED\"");
    expect(RPC("ListTasks", "{}"), "200 OK",
           "{\"tasks\":[{\"id\":\"t1\",\"contextId\":\"c\",\"status\":{\"state\":"
           "\"TASK_STATE_WORKING\"}},{\"id\":\"t2\"");
    CHECK(!seen.call.want_summaries);
    close_stage();
}

TEST(a_list_over_the_a2a_surface)
{
    struct task_summary row = {.agent = STR("a"),
                               .id = STR("t2"),
                               .context = STR("made"),
                               .doc = STR("{\"id\":\"t2\",\"status\":{\"state\":"
                                          "\"TASK_STATE_COMPLETED\"}}"),
                               .dialect = A2A_1_0};
    struct client c;

    open_stage("", false);
    answer.rows = &row;
    answer.n_rows = 1;
    answer.total = 1;
    send_with(&c, "/agents/a", JSON_TYPE, RPC("ListTasks", "{}"));
    CHECK(
        client_until(&c,
                     "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"tasks\":[{\"id\":\"t2\","
                     "\"status\":{\"state\":\"TASK_STATE_COMPLETED\"}}],\"nextPageToken\":\"\","
                     "\"pageSize\":1,\"totalSize\":1}}",
                     1));
    client_close(&c);
    CHECK_STR(seen.call.agent, STR("a"));
    CHECK(!seen.call.want_summaries);
    send_with(&c, "/agents/a/", JSON_TYPE, RPC("tasks/list", "{}"));
    CHECK(client_until(&c, "\"contextId\":\"made\"", 1)); /* 0.3 requires one */
    CHECK(client_has(&c, "\"state\":\"completed\""));
    client_close(&c);
    close_stage();
}

/* --- errors --------------------------------------------------------------------------------------- */

TEST(errors_carry_the_old_number_and_the_old_status_on_wish)
{
    open_stage("", false);
    answer.fault = &fault;
    expect(RPC("tasks.get", "{\"id\":\"t\"}"), "404 Not Found", "\"superxCode\":-32001");
    a2a_fault_set(&fault, A2A_ERROR_TASK_NOT_FOUND, "gone");
    expect(RPC("tasks.get", "{\"id\":\"t\"}"), "200 OK", "\"superxCode\":-32004");
    a2a_fault_set(&fault, A2A_ERROR_STORE_UNAVAILABLE, "down");
    fault.retry_after_s = 5;
    expect(RPC("tasks.get", "{\"id\":\"t\"}"), "retry-after: 5", "STORE_UNAVAILABLE");
    close_stage();

    open_stage(NULL, true);
    answer.fault = &fault;
    expect(RPC("tasks.get", "{\"id\":\"t\"}"), "400 Bad Request", "AGENT_NOT_FOUND");
    expect("{", "400 Bad Request", "-32700");
    admin_fails = true;
    expect(RPC("agents.get", "{\"id\":\"x\"}"), "400 Bad Request", "AGENT_NOT_FOUND");
    answer.fault = NULL;
    expect(RPC("tasks.get", "{\"id\":\"t\"}"), "200 OK", "\"result\":");
    close_stage();
}

TEST(the_a2a_surface_says_nothing_of_the_old_numbers)
{
    struct client c;

    open_stage("", true);
    answer.fault = &fault;
    send_with(&c, "/agents/x", JSON_TYPE, RPC("tasks/get", "{\"id\":\"t\"}"));
    CHECK(client_until(&c, "AGENT_NOT_FOUND", 1));
    CHECK(client_has(&c, "404 Not Found"));
    CHECK(!client_has(&c, "superxCode"));
    client_close(&c);
    close_stage();
}

/* --- agents --------------------------------------------------------------------------------------- */

TEST(what_reaches_the_registry)
{
    open_stage("", false);
    admin_result = STR("{\"id\":\"w\"}");
    expect(RPC("agents.upsert", "{\"agent\":{\"id\":\"w\",\"url\":\"http://h\"}}"), "200 OK",
           "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"id\":\"w\"}}");
    CHECK_INT(seen.admin.op, CALL_AGENTS_UPSERT);
    CHECK_STR(seen.admin.agent, STR("{\"id\":\"w\",\"url\":\"http://h\"}"));
    expect(RPC("agents/upsert", "{\"name\":\"w\",\"url\":\"http://h\"}"), "200 OK", "result");
    CHECK_STR(seen.admin.agent, STR("{\"name\":\"w\",\"url\":\"http://h\"}"));
    expect(RPC("agents.health", "{}"), "200 OK", "result");
    CHECK_STR(seen.admin.id, STR_NONE);
    expect(RPC("agents.delete", "{\"name\":\"w\"}"), "200 OK", "result");
    CHECK_INT(seen.admin.op, CALL_AGENTS_DELETE);
    CHECK_STR(seen.admin.id, STR("w"));
    expect(RPC("agents.refreshCard", "{\"agent\":\"w\"}"), "200 OK", "result");
    CHECK_INT(seen.admin.op, CALL_AGENTS_REFRESH);
    CHECK_STR(seen.admin.id, STR("w"));
    close_stage();
}

static const char *const guarded[] = {
    RPC("agents.upsert", "{\"id\":\"w\",\"url\":\"http://h\"}"),
    RPC("agents.delete", "{\"id\":\"w\"}"),
    RPC("agents.refreshCard", "{\"id\":\"w\"}"),
    RPC("agents.check", "{\"id\":\"w\"}"),
};

TEST(with_a_token_only_who_has_it_may_change)
{
    static const char *const wrong[] = {
        JSON_TYPE,
        JSON_TYPE "Authorization: Bearer\r\n",
        JSON_TYPE "Authorization: Bearer \r\n",
        JSON_TYPE "Authorization: Bearer s3cre\r\n",
        JSON_TYPE "Authorization: Bearer s3cret7\r\n",
        JSON_TYPE "Authorization: Bearer s3cres3cre\r\n",
        JSON_TYPE "Authorization: Basic s3cret\r\n",
        JSON_TYPE "Authorization: s3cret\r\n",
    };

    open_stage("s3cret", true);
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
        for (size_t j = 0; j < sizeof wrong / sizeof *wrong; j++)
            expect_with(wrong[j], guarded[i], "401 Unauthorized", "\"code\":-31009");
    expect(guarded[0], "www-authenticate: Bearer realm=\"superx\"", "-31009");
    CHECK_INT(seen.n_admin, 0);
    expect_with(JSON_TYPE "Authorization: bearer  s3cret\r\n", guarded[0], "200 OK", "result");
    expect_with(JSON_TYPE "Authorization: Bearer s3cret\r\nOrigin: http://ui\r\n", guarded[1],
                "200 OK", "result");
    CHECK_INT(seen.n_admin, 2);
    /* looking needs none */
    expect(RPC("agents.list", "{}"), "200 OK", "result");
    close_stage();
}

TEST(without_a_token_only_programs_of_this_machine_may_change)
{
    static const char *const refused[] = {
        JSON_TYPE "Origin: http://evil\r\n",
        JSON_TYPE "Origin: null\r\n",
        JSON_TYPE "X-Forwarded-For: 10.1.1.1\r\n",
        JSON_TYPE "Forwarded: for=10.1.1.1\r\n",
        JSON_TYPE "Via: 1.1 proxy\r\n",
        JSON_TYPE "X-Real-IP: 10.1.1.1\r\n",
        JSON_TYPE "X-Forwarded-Proto: https\r\n",
        JSON_TYPE "X-Original-Forwarded-For: 10.1.1.1\r\n",
        JSON_TYPE "CF-Connecting-IP: 10.1.1.1\r\n",
        JSON_TYPE "True-Client-IP: 10.1.1.1\r\n",
        JSON_TYPE "X-Client-IP: 10.1.1.1\r\n",
        JSON_TYPE "Sec-Fetch-Site: same-origin\r\n",
        "Host: evil.example:8000\r\n" JSON_TYPE,
        "Host: localhost.evil.example\r\n" JSON_TYPE,
        "", /* no Content-Type: a page may send that without asking */
    };

    open_stage("", false);
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++)
            expect_with(refused[j], guarded[i], "403 Forbidden", "\"code\":-31010");
    CHECK_INT(seen.n_admin, 0);
    for (size_t i = 0; i < sizeof guarded / sizeof *guarded; i++)
        expect(guarded[i], "200 OK", "result");
    CHECK_INT(seen.n_admin, 4);
    close_stage();
}

TEST(without_a_token_a_proxy_is_nobody_and_the_name_must_be_ours)
{
    struct binding_config config = {.trusted_proxies = "127.0.0.0/8"};

    open_stage_as(&config);
    expect(guarded[0], "403 Forbidden", "own machine");
    close_stage();

    config = (struct binding_config){.public_url = "https://gw.example/a2a"};
    open_stage_as(&config);
    expect_with("Host: GW.example:9\r\n" JSON_TYPE, guarded[0], "200 OK", "result");
    expect_with("Host: evil.example\r\n" JSON_TYPE, guarded[0], "403 Forbidden", "PUBLIC_URL");
    expect_with("Host: evil.example\r\n" JSON_TYPE, RPC("agents.list", "{}"), "200 OK",
                "result");
    close_stage();
}

/* --- callers who go ------------------------------------------------------------------------------- */

TEST(a_caller_who_goes_is_detached_once)
{
    struct client c;

    open_stage("", false);
    when = ANSWER_LATER;
    send_with(&c, "/rpc", JSON_TYPE, RPC("tasks.get", "{\"id\":\"t\"}"));
    for (int i = 0; i < RIG_TURNS && !seen.n_calls; i++)
        rig_turn_idly(&rig, c.fd, i);
    CHECK_INT(seen.n_calls, 1);
    client_reset(&c);
    rig_rest(&rig);
    CHECK_INT(seen.n_detached, 1);
    close_stage();
}

TEST(an_admin_answer_that_finds_nobody_is_dropped)
{
    struct client c;

    open_stage("", false);
    when = ANSWER_LATER;
    send_with(&c, "/rpc", JSON_TYPE, guarded[0]);
    for (int i = 0; i < RIG_TURNS && !seen.n_admin; i++)
        rig_turn_idly(&rig, c.fd, i);
    CHECK_INT(seen.n_admin, 1);
    client_reset(&c);
    rig_rest(&rig);
    CHECK_INT(seen.n_detached, 0);
    held_admin_fn(held_arg, NULL, STR("true"));
    /* and one that finds him */
    send_with(&c, "/rpc", JSON_TYPE, guarded[0]);
    for (int i = 0; i < RIG_TURNS && seen.n_admin < 2; i++)
        rig_turn_idly(&rig, c.fd, i);
    held_admin_fn(held_arg, NULL, STR("true"));
    CHECK(client_until(&c, "\"result\":true}", 1));
    client_close(&c);
    close_stage();
}

TEST_MAIN
