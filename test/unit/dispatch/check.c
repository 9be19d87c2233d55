/* SPDX-License-Identifier: MIT
 *
 * Trying an agent: what is found, in words, and that nothing of it touches the registry.
 */
#include "unit/dispatch/rig.h"

struct found {
    unsigned n;
    bool is_usable;
    struct buf text; /* "ok: ...\n" and so on */
    enum a2a_version version;
    char card[100], endpoint[100];
};

static void on_check(void *arg, const struct agent_check *check)
{
    static const char *const grades[] = {"ok", "warning", "error"};
    struct found *f = arg;

    f->n++;
    f->is_usable = check->is_usable;
    f->version = check->version;
    (void)snprintf(f->card, sizeof f->card, "%.*s", STR_ARG(check->card));
    (void)snprintf(f->endpoint, sizeof f->endpoint, "%.*s", STR_ARG(check->endpoint));
    for (size_t i = 0; i < check->n; i++)
        buf_printf(&f->text, "%s: %s\n", grades[check->findings[i].grade],
                   check->findings[i].what);
}

static void check_spec(struct found *f, const struct agent_spec *s)
{
    memset(f, 0, sizeof *f);
    buf_init(&f->text, KB(16));
    CHECK_INT(dispatch_check_agent(dispatch, s, on_check, f), 0);
    CHECK_INT(f->n, 0);
    while (f->n == 0)
        loop_turn(loop, true);
    CHECK_INT(f->n, 1);
    settle();
    CHECK_INT(dispatch->n_tried, 0);
    dispatch_check(dispatch);
}

static void script(const char *status, const char *body)
{
    server_script(&server, SERVER_ANSWER, http(status, body));
}

static bool says(struct found *f, const char *line)
{
    const char *text = buf_z(&f->text);

    if (text && strstr(text, line))
        return true;
    printf("    not found: %s\n    in: %s", line, text);
    return false;
}

#define CARD_1_0                                                                               \
    "{\"name\":\"N\\u001b[2J\",\"version\":\"1\",\"supportedInterfaces\":[{\"url\":"           \
    "\"http://other:1/rpc\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"}]}"

TEST(a_good_agent)
{
    char line[200];
    struct agent_spec a;
    struct found f;

    open_stage_with(5000, 300000);
    a = spec("a", 1, NULL);
    a.bearer = STR("t0ken");
    script("200 OK", CARD_1_0);
    script("200 OK", RPC_ERROR(1));
    check_spec(&f, &a);
    CHECK(f.is_usable);
    CHECK_INT(f.version, A2A_1_0);
    (void)snprintf(line, sizeof line, "%s/.well-known/agent-card.json", agent_url);
    CHECK_STR(str_of(f.card), str_of(line));
    CHECK(strstr(f.endpoint, "/rpc") != NULL);
    CHECK(says(&f, "/a2a/.well-known/agent-card.json: \"N?[2J\" 1\n"));
    CHECK(says(&f, "warning: the card lists http://other:1/rpc on another host; "
                   "followCardHost: true would follow it\n"));
    (void)snprintf(line, sizeof line,
                   "ok: endpoint: http://127.0.0.1:%u/rpc (the card's path on the registered "
                   "host)\n",
                   server.port);
    CHECK(says(&f, line));
    CHECK(says(&f, "ok: version: 1.0 (from the card)\n"));
    CHECK(says(&f, "ok: answers JSON-RPC 1.0 (TaskNotFound to a task that cannot exist)\n"));
    CHECK(!strstr(buf_z(&f.text), "t0ken"));
    CHECK(strstr(server_last(&server), "\"superx-check-") != NULL);
    CHECK_INT(dispatch_count(dispatch), 0);
    buf_release(&f.text);
    close_stage();
}

TEST(what_is_wrong_is_said)
{
    static const struct {
        const char *status, *body; /* of the answer to the question for the task */
        bool is_usable;
        const char *line;
    } rows[] = {
        {"401 Unauthorized", "", false,
         "error: agent a answered HTTP 401: it wants credentials and the gateway has none"},
        {"500 Oops", "", false, "error: agent a answered HTTP 500\n"},
        {"200 OK", "hello", false, "error: agent a: "},
        {"200 OK",
         "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"x\"}}", true,
         "warning: it answers JSON-RPC 0.3, but error -32603"},
        {"200 OK", RESULT(1), true, "warning: it answers JSON-RPC 0.3, but says it has a task"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct agent_spec a;
        struct found f;

        open_stage_with(5000, 300000);
        put_one("a", 1); /* the registered one stands aside */
        for (int k = 0; k < 4; k++)
            script("404 Not Found", "");
        while (dispatch->n_fetching)
            loop_turn(loop, true);
        for (int k = 0; k < 4; k++)
            script("404 Not Found", "");
        script(rows[i].status, rows[i].body);
        a = spec("a", 1, NULL);
        check_spec(&f, &a);
        CHECK_INT(f.is_usable, rows[i].is_usable);
        CHECK(says(&f, "/a2a/.well-known/agent-card.json: HTTP 404\n"));
        CHECK(says(&f, "(the url as registered)\n"));
        CHECK(says(&f, "ok: version: 0.3 (nobody says otherwise)\n"));
        CHECK(says(&f, rows[i].line));
        CHECK_INT(view("a").failures, 0);
        CHECK_INT(view("a").calls, 0);
        buf_release(&f.text);
        close_stage();
    }
}

TEST(nobody_there)
{
    struct agent_spec a;
    struct found f;

    open_stage_with(5000, 300000);
    server_stop_listening(&server);
    settle();
    a = spec("a", 1, NULL);
    check_spec(&f, &a);
    CHECK(!f.is_usable);
    CHECK(says(&f, "error: card: "));
    CHECK(says(&f, "error: agent a could not connect to "));
    CHECK(says(&f, "connection refused\n"));
    buf_release(&f.text);
    a.url = STR("ftp://x/");
    check_spec(&f, &a);
    CHECK(!f.is_usable);
    CHECK(says(&f, "error: it cannot be called: the URL does not begin with http"));
    buf_release(&f.text);
    close_stage();
}

TEST(the_wrong_version_is_set)
{
    struct agent_spec a;
    struct found f;

    open_stage_with(5000, 300000);
    a = spec("a", 1, NULL);
    a.has_version = true;
    script("200 OK", CARD_1_0);
    script("200 OK",
           "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32601,\"message\":\"x\"}}");
    script("200 OK", CARD_1_0);
    check_spec(&f, &a);
    CHECK(says(&f, "warning: it does not know tasks/get (error -32601)"));
    CHECK(says(&f, "ok: version: 0.3 (from protocolVersion)\n"));
    buf_release(&f.text);
    close_stage();
}

TEST_MAIN
