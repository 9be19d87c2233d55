/* SPDX-License-Identifier: MIT
 *
 * Cards against a scripted server: where they are sought, what they decide, who waits for them, and what
 * happens when they change while calls are in flight. The server answers in the order of its script, so
 * the order of requests is part of every test.
 */
#include "unit/dispatch/rig.h"

#define TIMEOUT_MS 5000
#define TTL_MS 300000

struct got {
    unsigned n;
    struct buf doc, url;
    bool has_doc;
    uint64_t age_ms;
    struct a2a_fault fault;
    int status;
};

static struct server other;

static void open_cards(void)
{
    open_stage_with(TIMEOUT_MS, TTL_MS);
}

static void open_other(void)
{
    server_start(&other, loop);
}

static void close_other(void)
{
    server_stop(&other);
    settle();
    server_release(&other);
}

static void on_card(void *arg, const struct agent_card *card)
{
    struct got *g = arg;

    g->n++;
    buf_clear(&g->doc);
    buf_clear(&g->url);
    g->has_doc = card->doc.p != NULL;
    buf_add_str(&g->doc, card->doc);
    buf_add_str(&g->url, card->url);
    g->age_ms = card->age_ms;
    g->fault = card->fault;
    g->status = card->status;
    dispatch_check(dispatch);
}

static void ask_card(struct got *g, struct agent *a, bool refresh)
{
    memset(g, 0, sizeof *g);
    buf_init(&g->doc, KB(64));
    buf_init(&g->url, KB(4));
    CHECK_INT(dispatch_card(dispatch, a, refresh, on_card, g), 0);
    CHECK_INT(g->n, 0);
}

static void get_card(struct got *g, const char *id, bool refresh)
{
    ask_card(g, find(id), refresh);
    while (g->n == 0)
        loop_turn(loop, true);
    CHECK_INT(g->n, 1);
}

static void drop_card(struct got *g)
{
    buf_release(&g->doc);
    buf_release(&g->url);
}

static void script(const char *status, const char *body)
{
    server_script(&server, SERVER_ANSWER, http(status, body));
}

/* A 0.3 card whose endpoint is `url`. */
static const char *card_0_3(const char *url)
{
    static char texts[8][400];
    static unsigned at;
    char *text = texts[at++ % 8];

    (void)snprintf(
        text, sizeof texts[0],
        "{\"name\":\"Old\",\"version\":\"7\",\"protocolVersion\":\"0.3.0\",\"url\":\"%s\","
        "\"preferredTransport\":\"JSONRPC\",\"skills\":[]}",
        url);
    return text;
}

static const char *card_1_0(const char *url, const char *tenant)
{
    static char texts[8][400];
    static unsigned at;
    char *text = texts[at++ % 8];

    (void)snprintf(
        text, sizeof texts[0],
        "{\"name\":\"New\",\"version\":\"8\",\"supportedInterfaces\":[{\"url\":\"%s\","
        "\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"%s%s%s}],\"skills\":[]}",
        url, tenant ? ",\"tenant\":\"" : "", tenant ? tenant : "", tenant ? "\"" : "");
    return text;
}

/* Where `path` is on the server. */
static struct str here(const char *path)
{
    static char texts[8][100];
    static unsigned at;
    char *text = texts[at++ % 8];

    (void)snprintf(text, sizeof texts[0], "http://127.0.0.1:%u%s", server.port, path);
    return str_of(text);
}

static unsigned count(const char *needle)
{
    unsigned n = 0;

    for (const char *at = server_last(&server); (at = strstr(at, needle)); at++)
        n++;
    return n;
}

#define RESULT_1_0(id)                                                                         \
    "{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
    ",\"result\":{\"task\":{\"id\":\"t1\",\"contextId\":\"c1\",\"status\":{\"state\":"         \
    "\"TASK_STATE_WORKING\"}}}}"
#define REFUSAL(id, code)                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"error\":{\"code\":" #code ",\"message\":\"no\"}}"

/* --- finding ------------------------------------------------------------------------------------ */

TEST(card_below_the_url_decides_path_and_version)
{
    struct agent_view v;
    struct got g;

    open_cards();
    script("200 OK", card_0_3("http://agent.example:1/rpc?v=1"));
    put_one("a", 1);
    v = view("a");
    CHECK_STR(v.endpoint, here("/a2a"));
    CHECK_STR(str_of(v.version_from), STR("default"));
    get_card(&g, "a", false);
    CHECK(strncmp(server_last(&server), "GET /a2a/.well-known/agent-card.json HTTP/1.1\r\n",
                  47) == 0);
    CHECK_INT(server.n_requests, 1);
    CHECK(g.has_doc);
    CHECK_STR(buf_str(&g.url), here("/a2a/.well-known/agent-card.json"));
    v = view("a");
    CHECK_STR(v.endpoint, here("/rpc?v=1"));
    CHECK_INT(v.version, A2A_0_3);
    CHECK_STR(str_of(v.version_from), STR("card"));
    CHECK_STR(v.card_name, STR("Old"));
    CHECK_STR(v.card_version, STR("7"));
    CHECK_STR(str_of(v.card_why), STR(""));
    drop_card(&g);
    close_stage();
}

TEST(places_are_tried_in_order)
{
    static const char *const order[] = {
        "GET /a2a/.well-known/agent-card.json ", "GET /a2a/.well-known/agent.json ",
        "GET /.well-known/agent-card.json ", "GET /.well-known/agent.json "};
    const char *at;
    struct got g;

    open_cards();
    script("404 Not Found", "");
    script("200 OK", "<html>welcome</html>");
    script("405 Method Not Allowed", "");
    script("200 OK", card_1_0("http://127.0.0.1/", NULL));
    put_one("a", 1);
    get_card(&g, "a", false);
    CHECK(g.has_doc);
    at = server_last(&server);
    for (int i = 0; i < 4; i++) {
        CHECK(at && (at = strstr(at, order[i])) != NULL);
    }
    CHECK_INT(server.n_requests, 4);
    CHECK_INT(view("a").version, A2A_1_0);
    drop_card(&g);
    close_stage();
}

TEST(places_are_not_tried_twice)
{
    struct agent_spec a;
    struct got g;

    open_cards();
    a = spec("a", 1, NULL);
    a.url = here("//");
    script("404 Not Found", "");
    script("404 Not Found", "");
    put("file", &a);
    get_card(&g, "a", false);
    CHECK_INT(server.n_requests, 2);
    CHECK(!g.has_doc);
    CHECK_INT(g.fault.error, A2A_ERROR_AGENT_FAILED);
    CHECK_INT(g.status, 404);
    CHECK(strstr(g.fault.detail, "HTTP 404") != NULL);
    CHECK(strstr(view("a").card_why, "/.well-known/agent-card.json: HTTP 404") != NULL);
    CHECK_STR(view("a").endpoint, here("//"));
    drop_card(&g);
    close_stage();
}

TEST(the_reason_that_tells_most_is_kept)
{
    struct got g;

    open_cards();
    script("404 Not Found", "");
    script("500 Internal Server Error", "");
    script("200 OK", "[1,2]");
    script("404 Not Found", "");
    put_one("a", 1);
    get_card(&g, "a", false);
    CHECK_INT(g.fault.error, A2A_ERROR_INVALID_AGENT_RESPONSE);
    CHECK(strstr(g.fault.detail, "/.well-known/agent-card.json: not a card: ") != NULL);
    drop_card(&g);
    close_stage();
}

TEST(card_of_0_2)
{
    struct got g;

    open_cards();
    script("200 OK", "{\"name\":\"x\",\"description\":\"y\",\"url\":\"http://localhost:1/a\","
                     "\"version\":\"1\",\"capabilities\":{},\"skills\":[]}");
    put_one("a", 1);
    get_card(&g, "a", false);
    CHECK_INT(view("a").version, A2A_0_3);
    CHECK_STR(view("a").endpoint, here("/a"));
    drop_card(&g);
    close_stage();
}

TEST(protocol_version_and_endpoint_overrule_the_card)
{
    struct agent_spec rows[2];
    struct got g;

    open_cards();
    rows[0] = spec("a", 1, &rows[1]);
    rows[1] = spec("b", 1, NULL);
    rows[0].has_version = true;
    rows[0].version = A2A_0_3;
    rows[1].endpoint = here("/here");
    for (int i = 0; i < 2; i++)
        script("200 OK", card_1_0("http://x/new", NULL));
    put("file", rows);
    get_card(&g, "a", false);
    drop_card(&g);
    get_card(&g, "b", false);
    drop_card(&g);
    CHECK_INT(view("a").version, A2A_0_3);
    CHECK_STR(str_of(view("a").version_from), STR("protocolVersion"));
    CHECK_STR(view("a").endpoint, here("/new"));
    CHECK_INT(view("b").version, A2A_1_0);
    CHECK_STR(view("b").endpoint, here("/here"));
    close_stage();
}

TEST(credentials_go_to_the_registered_host_only)
{
    char url[64];
    struct agent_spec a;
    struct got g;

    open_cards();
    open_other();
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/card?key=s3cret", other.port);
    a = spec("a", 1, NULL);
    a.bearer = STR("t0ken");
    a.headers[0] = (struct agent_header){STR("X-Key"), STR("k3y")};
    a.n_headers = 1;
    a.card_url = str_of(url);
    server_script(&other, SERVER_ANSWER, http("404 Not Found", ""));
    script("404 Not Found", "");
    script("200 OK", card_0_3("http://x/"));
    put("file", &a);
    get_card(&g, "a", false);
    CHECK(g.has_doc);
    CHECK(strstr(server_last(&other), "GET /card?key=s3cret ") != NULL);
    CHECK(!strstr(server_last(&other), "t0ken"));
    CHECK(!strstr(server_last(&other), "k3y"));
    CHECK_INT(count("\r\nAuthorization: Bearer t0ken\r\n"), 2);
    CHECK_INT(count("\r\nX-Key: k3y\r\n"), 2);
    drop_card(&g);
    close_other();
    close_stage();
}

TEST(secrets_of_a_card_url_are_not_told)
{
    struct agent_spec a;
    struct got g;

    open_cards();
    a = spec("a", 1, NULL);
    a.card_url = here("/card?key=s3cret");
    script("500 Oops", "");
    for (int i = 0; i < 4; i++)
        script("404 Not Found", "");
    put("file", &a);
    get_card(&g, "a", false);
    CHECK(strstr(g.fault.detail, "/card: HTTP 500") != NULL);
    CHECK(!strstr(g.fault.detail, "s3cret"));
    drop_card(&g);
    close_stage();
}

TEST(another_host_is_followed_only_if_told)
{
    char url[64];
    struct agent_spec a;
    struct got g;

    open_cards();
    (void)snprintf(url, sizeof url, "http://agent.example:%u/rpc", server.port);
    a = spec("a", 1, NULL);
    for (int i = 0; i < 2; i++) {
        a.follow_card_host = i > 0;
        a.timeout_ms += 1; /* another version with the same card, which is not fetched again */
        if (i == 0)
            script("200 OK", card_0_3(url));
        put("file", &a);
        get_card(&g, "a", false);
        CHECK_STR(view("a").endpoint, i ? str_of(url) : here("/rpc"));
        drop_card(&g);
        settle();
    }
    CHECK_INT(server.n_requests, 1);
    close_stage();
}

/* --- waiting ------------------------------------------------------------------------------------ */

TEST(a_send_waits_for_the_first_card)
{
    struct seen s[2], refused;

    open_cards();
    put_one("a", 2);
    for (int i = 0; i < 2; i++)
        send_to(&s[i], "a");
    CHECK_INT(try_send(&refused, find("a")), ERR_FULL);
    CHECK_INT(view("a").in_flight, 2);
    settle();
    CHECK_INT(server.n_requests, 1);
    script("200 OK", ""); /* for the request that was not answered */
    script("200 OK", RESULT_1_0(1));
    script("200 OK", RESULT_1_0(2));
    server_say(server.peers[0], http("200 OK", card_1_0("http://x/rpc", "acme")),
               strlen(http("200 OK", card_1_0("http://x/rpc", "acme"))));
    for (int i = 0; i < 2; i++) {
        wait_for(&s[i]);
        CHECK(!s[i].has_fault);
        CHECK_INT(s[i].version, A2A_1_0);
        CHECK(s[i].has_added_context);
        drop(&s[i]);
    }
    CHECK_INT(count("POST /rpc HTTP/1.1\r\n"), 2);
    CHECK_INT(count("\r\nA2A-Version: 1.0\r\n"), 2);
    CHECK_INT(count("\"tenant\":\"acme\""), 2);
    CHECK_INT(count("\"contextId\":\"ours\""), 2);
    CHECK_INT(view("a").in_flight, 0);
    CHECK_INT(view("a").calls, 2);
    drop(&refused);
    close_stage();
}

TEST(who_knows_all_does_not_wait)
{
    struct agent_spec a;
    struct seen s;

    open_cards();
    a = spec("a", 1, NULL);
    a.endpoint = here("/rpc");
    a.has_version = true;
    put("file", &a);
    send_to(&s, "a");
    settle();
    CHECK_INT(count("POST /rpc "), 1);
    CHECK_INT(count("GET "), 1);
    server_hang_up_all(&server, false);
    wait_for(&s);
    CHECK_INT(s.version, A2A_0_3);
    CHECK(!s.has_added_context);
    drop(&s);
    close_stage();
}

TEST(a_silent_card_server_holds_nobody_for_long)
{
    struct seen s;
    struct got g;

    open_cards();
    put_one("a", 1);
    send_to(&s, "a");
    ask_card(&g, find("a"), false);
    settle();
    CHECK_INT(count("POST "), 0);
    clock_advance_ms(TIMEOUT_MS);
    settle();
    CHECK_INT(g.n, 1);
    CHECK_INT(g.fault.error, A2A_ERROR_AGENT_TIMEOUT);
    CHECK_INT(count("GET "), 1);
    CHECK_INT(count("POST /a2a "), 1);
    server_hang_up_all(&server, false);
    wait_for(&s);
    drop(&s);
    drop_card(&g);
    close_stage();
}

static unsigned requests(void)
{
    struct egress_figures f;

    egress_figures(egress, &f);
    return (unsigned)f.requests;
}

TEST(an_agent_that_is_down_is_sought_again_and_again)
{
    uint64_t delay = 1000;
    struct agent_spec a;
    struct seen s;

    open_cards();
    open_other();
    a = spec("a", 1, NULL);
    a.url = here("/");
    server_stop_listening(&server);
    settle();
    put("file", &a);
    send_to(&s, "a");
    wait_for(&s);
    CHECK_INT(s.fault.error, A2A_ERROR_AGENT_UNREACHABLE);
    CHECK(strstr(s.fault.detail, "it has not seen the message") != NULL);
    CHECK(strstr(view("a").card_why, "connection refused") != NULL);
    drop(&s);
    for (unsigned i = 0; i < 12; i++) {
        CHECK_INT(requests(), 2 + i); /* the send is one of them */
        clock_advance_ms(delay - 1);
        settle();
        CHECK_INT(requests(), 2 + i);
        clock_advance_ms(1);
        while (requests() == 2 + i || dispatch->n_fetching)
            loop_turn(loop, true);
        delay = delay * 2 > 300000 ? 300000 : delay * 2;
    }
    close_other();
    close_stage();
}

TEST(one_fetch_serves_all_who_ask)
{
    struct got g[3];

    open_cards();
    put_one("a", 1);
    ask_card(&g[0], find("a"), false);
    ask_card(&g[1], find("a"), true);
    settle();
    ask_card(&g[2], find("a"), true);
    settle();
    CHECK_INT(server.n_requests, 1);
    server_say(server.peers[0], http("200 OK", card_0_3("http://x/")),
               strlen(http("200 OK", card_0_3("http://x/"))));
    settle();
    for (int i = 0; i < 3; i++) {
        CHECK_INT(g[i].n, 1);
        CHECK(g[i].has_doc);
        drop_card(&g[i]);
    }
    CHECK_INT(server.n_requests, 1);
    close_stage();
}

TEST(thousands_of_agents_are_not_fetched_at_once)
{
    static struct agent_spec rows[200];
    static char ids[200][16];
    struct got g;

    open_cards();
    for (int i = 0; i < 200; i++) {
        (void)snprintf(ids[i], sizeof ids[i], "a%d", i);
        rows[i] = spec(ids[i], 1, i < 199 ? &rows[i + 1] : NULL);
    }
    server_stop_listening(&server);
    settle();
    put("file", rows);
    CHECK_INT(dispatch->n_fetching, 64);
    ask_card(&g, find("a199"), false); /* who is waited for does not stand in the queue */
    CHECK_INT(dispatch->n_fetching, 65);
    while (dispatch->n_fetching) {
        CHECK(dispatch->n_fetching <= 65);
        loop_turn(loop, true);
    }
    for (int i = 0; i < 200; i++)
        CHECK(strstr(view(ids[i]).card_why, "connection refused") != NULL);
    CHECK_INT(g.n, 1);
    drop_card(&g);
    close_stage();
}

/* --- changing ----------------------------------------------------------------------------------- */

static void start_old(const char *id)
{
    struct got g;

    script("200 OK", card_0_3("http://x/old"));
    put_one(id, 3);
    get_card(&g, id, false);
    drop_card(&g);
}

TEST(refused_method_looks_at_the_card_and_is_sent_once_more)
{
    struct agent *before;
    struct seen s;

    open_cards();
    start_old("a");
    before = agent_ref(find("a"));
    script("200 OK", REFUSAL(1, -32601));
    script("200 OK", card_1_0("http://x/new", NULL));
    script("200 OK", RESULT_1_0(2));
    send_to(&s, "a");
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_INT(s.kind, A2A_REPLY_TASK);
    CHECK_INT(s.version, A2A_1_0);
    CHECK(s.has_added_context);
    CHECK_INT(count("POST /old "), 1);
    CHECK_INT(count("POST /new "), 1);
    CHECK(find("a") != before);
    CHECK_INT(agent_version(find("a")), A2A_1_0);
    CHECK_INT(agent_version(before), A2A_0_3);
    CHECK_INT(view("a").calls, 1);
    CHECK_INT(view("a").failures, 0);
    agent_unref(before);
    drop(&s);
    close_stage();
}

TEST(the_name_of_extensions_follows_the_version)
{
    static const struct dispatch_context context = {.extensions = {"urn:a", 5}};
    struct seen s;

    open_cards();
    start_old("a");
    script("200 OK", REFUSAL(1, -32601));
    script("200 OK", card_1_0("http://x/new", NULL));
    script("200 OK", RESULT_1_0(2));
    CHECK_INT(try_send_with(&s, find("a"), &context), 0);
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_INT(count("\r\nX-A2A-Extensions: urn:a\r\n"), 1);
    CHECK_INT(count("\r\nA2A-Extensions: urn:a\r\n"), 1);
    drop(&s);
    close_stage();
}

TEST(but_not_twice)
{
    struct seen s;

    open_cards();
    start_old("a");
    script("200 OK", REFUSAL(1, -32009));
    script("200 OK", card_1_0("http://x/new", NULL));
    script("200 OK", REFUSAL(2, -32009));
    send_to(&s, "a");
    wait_for(&s);
    CHECK_INT(s.kind, A2A_REPLY_ERROR);
    CHECK_STR(buf_str(&s.object), STR("{\"code\":-32009,\"message\":\"no\"}"));
    CHECK_INT(s.version, A2A_1_0);
    CHECK_INT(server.n_requests, 4);
    drop(&s);
    close_stage();
}

TEST(a_card_without_news_lets_the_refusal_stand)
{
    struct seen s;

    open_cards();
    start_old("a");
    for (int i = 0; i < 3; i++) {
        char refusal[100];

        (void)snprintf(
            refusal, sizeof refusal,
            "{\"jsonrpc\":\"2.0\",\"id\":%d,\"error\":{\"code\":-32601,\"message\":\"\"}}",
            i + 1);
        script("200 OK", refusal);
        if (i != 1) /* the second comes too soon after the first to ask again */
            script("200 OK", card_0_3("http://x/old"));
        send_to(&s, "a");
        wait_for(&s);
        CHECK_INT(s.kind, A2A_REPLY_ERROR);
        CHECK_STR(buf_str(&s.object), STR("{\"code\":-32601,\"message\":\"\"}"));
        CHECK_INT(s.version, A2A_0_3);
        drop(&s);
        if (i == 1)
            clock_advance_ms(10000);
    }
    CHECK_INT(count("GET "), 3);
    CHECK_INT(count("POST "), 3);
    close_stage();
}

TEST(nobody_at_the_path_looks_at_the_card)
{
    struct seen s;

    open_cards();
    for (int i = 0; i < 4; i++)
        script("404 Not Found", "");
    put_one("a", 1);
    send_to(&s, "a");
    script("404 Not Found", "nothing here");
    script("200 OK", card_0_3("http://x/rpc"));
    script("200 OK", RESULT(2));
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_INT(count("POST /a2a "), 1);
    CHECK_INT(count("POST /rpc "), 1);
    drop(&s);
    close_stage();
}

TEST(nobody_anywhere_is_told_as_it_was)
{
    struct seen s;

    open_cards();
    for (int i = 0; i < 9; i++)
        script("404 Not Found", "");
    put_one("a", 1);
    send_to(&s, "a");
    wait_for(&s);
    CHECK(s.has_fault);
    CHECK_STR(str_of(s.fault.detail), STR("agent a answered HTTP 404: check the path of the "
                                          "agent's url, or set endpoint"));
    CHECK_INT(server.n_requests, 9);
    drop(&s);
    close_stage();
}

TEST(calls_in_flight_keep_their_version)
{
    struct seen old, new;
    struct got g;

    open_cards();
    start_old("a");
    send_to(&old, "a"); /* not answered yet */
    settle();
    CHECK_INT(server.n_requests, 2);
    script("200 OK", ""); /* that one's line */
    script("200 OK", card_1_0("http://x/new", NULL));
    script("200 OK", RESULT_1_0(2));
    get_card(&g, "a", true);
    CHECK_INT(view("a").version, A2A_1_0);
    CHECK_INT(view("a").in_flight, 1);
    send_to(&new, "a");
    wait_for(&new);
    CHECK_INT(new.version, A2A_1_0);
    CHECK_INT(old.n, 0);
    server_say(server.peers[0], http("200 OK", RESULT(1)), strlen(http("200 OK", RESULT(1))));
    wait_for(&old);
    CHECK(!old.has_fault);
    CHECK_INT(old.version, A2A_0_3);
    CHECK_INT(view("a").in_flight, 0);
    settle();
    CHECK_INT(dispatch->n_alive, 1);
    drop(&old);
    drop(&new);
    drop_card(&g);
    close_stage();
}

TEST(an_unchanged_card_is_confirmed)
{
    struct agent *before;
    struct got g;

    open_cards();
    server_script(&server, SERVER_ANSWER,
                  http("200 OK\r\nETag: \"v1\"", card_0_3("http://x/old")));
    put_one("a", 1);
    get_card(&g, "a", false);
    drop_card(&g);
    before = find("a");
    clock_advance_ms(1000);
    script("304 Not Modified", "");
    get_card(&g, "a", true);
    CHECK(strstr(server_last(&server), "\r\nIf-None-Match: \"v1\"\r\n") != NULL);
    CHECK(g.has_doc);
    CHECK_INT(g.age_ms, 0);
    CHECK(find("a") == before);
    drop_card(&g);
    close_stage();
}

TEST(an_old_card_is_served_and_refreshed_behind_the_scenes)
{
    struct got g;

    open_cards();
    start_old("a");
    clock_advance_ms(TTL_MS - 1);
    get_card(&g, "a", false);
    settle();
    CHECK_INT(server.n_requests, 1);
    drop_card(&g);
    clock_advance_ms(1);
    script("200 OK", card_1_0("http://x/new", NULL));
    get_card(&g, "a", false);
    CHECK_INT(g.age_ms, TTL_MS);
    CHECK(strstr(buf_z(&g.doc), "\"Old\"") != NULL);
    drop_card(&g);
    while (dispatch->n_fetching)
        loop_turn(loop, true);
    CHECK_STR(view("a").card_name, STR("New"));
    CHECK_INT(view("a").version, A2A_1_0);
    close_stage();
}

TEST(a_card_that_is_lost_later_stays)
{
    struct got g;

    open_cards();
    start_old("a");
    for (int i = 0; i < 4; i++)
        script("503 Busy", "");
    get_card(&g, "a", true);
    CHECK(g.has_doc);
    CHECK_STR(view("a").endpoint, here("/old"));
    CHECK(strstr(view("a").card_why, "HTTP 503") != NULL);
    drop_card(&g);
    close_stage();
}

TEST(the_configured_card_is_shown_until_one_is_fetched)
{
    struct agent_spec a;
    struct got g;

    open_cards();
    a = spec("a", 1, NULL);
    a.card = str_of(card_1_0("http://configured/x", "t"));
    put("file", &a);
    get_card(&g, "a", false);
    CHECK_STR(buf_str(&g.doc), a.card);
    CHECK_STR(buf_str(&g.url), STR(""));
    CHECK_STR(view("a").card_name, STR("New"));
    CHECK_STR(view("a").endpoint, here("/a2a")); /* it decides nothing */
    drop_card(&g);
    settle();
    server_say(server.peers[0], http("200 OK", card_0_3("http://x/old")),
               strlen(http("200 OK", card_0_3("http://x/old"))));
    settle();
    CHECK_STR(view("a").card_name, STR("Old"));
    CHECK_STR(view("a").endpoint, here("/old"));
    close_stage();
}

/* --- ending ------------------------------------------------------------------------------------- */

TEST(agents_go_while_their_cards_are_fetched)
{
    struct seen s;

    open_cards();
    put_one("a", 1);
    put_one("a", 2); /* shares the fetch */
    settle();
    CHECK_INT(server.n_requests, 1);
    put("file", NULL);
    settle();
    CHECK_INT(dispatch->n_alive, 0);
    CHECK_INT(dispatch->n_fetching, 0);
    put_one("a", 1);
    send_to(&s, "a");
    put("file", NULL); /* the send still gets its card and its answer */
    settle();
    CHECK_INT(dispatch->n_alive, 1);
    script("200 OK", "");
    script("200 OK", "");
    script("200 OK", RESULT(1));
    server_say(server.peers[1], http("200 OK", card_0_3("http://x/late")),
               strlen(http("200 OK", card_0_3("http://x/late"))));
    wait_for(&s);
    CHECK(!s.has_fault);
    CHECK_INT(count("POST /late "), 1);
    settle();
    CHECK_INT(dispatch->n_alive, 0);
    drop(&s);
    close_stage();
}

TEST(stopping_tells_who_waits)
{
    struct seen s;
    struct got g;

    open_cards();
    put_one("a", 1);
    send_to(&s, "a");
    ask_card(&g, find("a"), false);
    settle();
    egress_cancel_all(egress);
    CHECK_INT(s.n, 1);
    CHECK_INT(s.fault.error, A2A_ERROR_SHUTTING_DOWN);
    CHECK_INT(g.n, 1);
    CHECK_INT(g.fault.error, A2A_ERROR_SHUTTING_DOWN);
    drop(&s);
    drop_card(&g);
    close_stage();
}

TEST(the_end_of_all_while_cards_are_fetched)
{
    struct agent_spec a;

    open_cards();
    put_one("a", 1);
    settle();
    put_one("b", 1); /* removes a; b's fetch has not begun */
    a = spec("b", 2, NULL);
    put("file", &a);
    close_stage();
}

/* --- the registry's other doors ----------------------------------------------------------------- */

TEST(upsert_and_remove)
{
    struct agent_spec a;
    const char *why = "";

    open_stage();
    put_one("filed", 1);
    a = spec("filed", 1, NULL);
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), ERR_CONFLICT);
    CHECK(*why);
    CHECK_INT(dispatch_remove(dispatch, STR("filed")), ERR_CONFLICT);
    CHECK_INT(dispatch_remove(dispatch, STR("gone")), ERR_ABSENT);
    a = spec("mine", 1, NULL);
    a.url = STR("ftp://x/");
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), ERR_INVALID);
    a = spec("mine", 1, NULL);
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), 0);
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), 0);
    dispatch_check(dispatch);
    CHECK_INT(dispatch_count(dispatch), 2);
    CHECK_STR(str_of(view("mine").source), STR("api"));
    CHECK(!view("mine").has_bearer);
    a.bearer = STR("t0ken");
    CHECK_INT(dispatch_upsert(dispatch, &a, &why), 0);
    CHECK(view("mine").has_bearer);
    CHECK_STR(view("mine").spec->bearer, STR("t0ken"));
    CHECK_INT(put("api", &a).kept, 1); /* what the store tells afterwards */
    put("file", NULL);
    CHECK(find("mine") != NULL);
    CHECK_INT(dispatch_remove(dispatch, STR("mine")), 0);
    dispatch_check(dispatch);
    CHECK_INT(dispatch_count(dispatch), 0);
    close_stage();
}

TEST(the_default_agent)
{
    struct agent_spec rows[2];

    open_stage();
    CHECK(!dispatch_default(dispatch));
    rows[0] = spec("a", 1, NULL);
    put("file", rows);
    CHECK(dispatch_default(dispatch) == find("a")); /* the only one */
    rows[0].next = &rows[1];
    rows[1] = spec("b", 1, NULL);
    put("file", rows);
    CHECK(!dispatch_default(dispatch));
    rows[1].id = STR("default");
    put("file", rows);
    CHECK(dispatch_default(dispatch) == find("default"));
    dispatch_set_default(dispatch, STR("a"));
    CHECK(dispatch_default(dispatch) == find("a"));
    dispatch_set_default(dispatch, STR("nobody"));
    CHECK(!dispatch_default(dispatch));
    dispatch_set_default(dispatch, STR_NONE);
    CHECK(dispatch_default(dispatch) == find("default"));
    close_stage();
}

TEST_MAIN
