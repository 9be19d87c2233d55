/* SPDX-License-Identifier: MIT
 *
 * Requests against a server that behaves and, mostly, misbehaves by script. After each step the lists and
 * counts of egress are checked (egress_check). Time stands still unless a test moves it; name look-up is
 * ours, because uv_getaddrinfo is defined here and the program's own definition wins over the library's.
 */
#include "check.h"

#include "egress/egress_int.h"
#include "unit/egress/scripted_server.h"

/* --- name look-up by hand ----------------------------------------------------------------------- */

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
                   const char *node, const char *service, const struct addrinfo *hints)
{
    (void)loop;
    (void)node;
    (void)service;
    (void)hints;
    req->cb = cb;
    req->retcode++; /* counts the look-ups that wait */
    return 0;
}

void uv_freeaddrinfo(struct addrinfo *found)
{
    (void)found;
}

int uv_cancel(uv_req_t *req)
{
    (void)req;
    return UV_EBUSY;
}

static void answer_lookup(struct host *h, int status, struct addrinfo *found)
{
    h->lookup.cb(&h->lookup, status, found);
}

/* --- the stage ---------------------------------------------------------------------------------- */

static struct loop *loop;
static struct egress *egress;
static struct server server;

struct seen {
    struct egress_request *request;
    unsigned n; /* how often the callback came */
    int err, status;
    bool was_sent;
    char why[WHY_MAX];
    struct buf body;
    struct seen *again; /* a request to start from inside the callback */
};

static void on_answer(void *arg, const struct egress_answer *a);

static void open_stage(unsigned pool)
{
    clock_set(&stopped_clock);
    log_setup(LOG_ERROR, false);
    loop = loop_new();
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = pool,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    server_start(&server, loop);
}

static void close_stage(void)
{
    egress_free(egress);
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    clock_set(NULL);
    alarm(0);
}

static struct str url(const char *path)
{
    static char text[200];

    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u%s", server.port, path);
    return str_of(text);
}

static struct egress_call post(struct str to, const struct str *body)
{
    return (struct egress_call){
        .verb = "POST",
        .url = to,
        .parts = body,
        .n_parts = body ? 1 : 0,
        .max_body = 1000,
        .connect_timeout_ms = 5000,
        .timeout_ms = 60000,
    };
}

static void start_call(struct seen *s, const struct egress_call *call)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->body, MB(8));
    CHECK_INT(egress_start(egress, call, on_answer, s, &s->request), 0);
    CHECK_INT(s->n, 0);
    egress_check(egress);
}

static void start_post(struct seen *s)
{
    struct str body = STR("hello");
    struct egress_call call = post(url("/a?b=c"), &body);

    start_call(s, &call);
}

static void on_answer(void *arg, const struct egress_answer *a)
{
    struct seen *s = arg;

    s->n++;
    s->err = a->err;
    s->status = a->status;
    s->was_sent = a->was_sent;
    if (a->why)
        (void)snprintf(s->why, sizeof s->why, "%s", a->why);
    buf_add_str(&s->body, a->body);
    egress_cancel(s->request); /* does nothing any more */
    egress_check(egress);
    if (s->again)
        start_post(s->again);
    CHECK_STR(a->err ? STR_NONE : buf_str(&s->body), a->err ? STR_NONE : a->body);
}

static void wait_for(struct seen *s)
{
    while (s->n == 0) {
        server_drip(&server);
        loop_turn(loop, true);
        egress_check(egress);
    }
    CHECK_INT(s->n, 1);
}

static void drop(struct seen *s)
{
    buf_release(&s->body);
}

/* Turns until the client has noticed everything that the server has done. */
static void settle(void)
{
    for (int i = 0; i < 5; i++) {
        loop_turn(loop, false);
        egress_check(egress);
    }
}

static struct egress_figures figures(void)
{
    struct egress_figures f;

    egress_figures(egress, &f);
    return f;
}

#define OK(length, body) "HTTP/1.1 200 OK\r\ncontent-length: " #length "\r\n\r\n" body

/* Posts once, expects a whole answer. */
static void expect_body(const char *want)
{
    struct seen s;

    start_post(&s);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(s.status, 200);
    CHECK_STR(buf_str(&s.body), str_of(want));
    drop(&s);
}

/* Posts once, expects a failure whose reason contains `why`. */
static void expect_failure(int err, bool was_sent, const char *why)
{
    struct seen s;

    start_post(&s);
    wait_for(&s);
    CHECK_INT(s.err, err);
    CHECK_INT(s.was_sent, was_sent);
    if (!strstr(s.why, why))
        CHECK_STR(str_of(s.why), str_of(why));
    CHECK_INT(s.body.n, 0);
    drop(&s);
}

/* --- requests and answers ----------------------------------------------------------------------- */

TEST(request_is_written_as_asked)
{
    static const struct egress_header fixed[] = {{"Content-Type", STR("application/json")}};
    static const struct egress_header own[] = {{"X-One", STR("1")}};
    struct egress_endpoint *endpoint;
    struct egress_call call;
    struct str parts[] = {STR("{\"a\":"), STR("1"), STR("}")};
    struct buf want;
    const char *why;
    struct seen s;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    CHECK_INT(egress_endpoint_new(egress, url("/a?b=c"), fixed, 1, NULL, &endpoint, &why), 0);
    call = post(STR_NONE, parts);
    call.endpoint = endpoint;
    call.headers = own;
    call.n_headers = 1;
    call.n_parts = 3;
    start_call(&s, &call);
    egress_endpoint_free(endpoint);
    wait_for(&s);
    buf_init(&want, KB(4));
    buf_printf(
        &want,
        "POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: superx/" SUPERX_VERSION
        "\r\nAccept: application/json\r\nContent-Type: application/json\r\nX-One: 1\r\n"
        "Content-Length: 7\r\n\r\n{\"a\":1}",
        server.port);
    CHECK_STR(buf_str(&server.seen), buf_str(&want));
    CHECK(s.was_sent);
    buf_release(&want);
    drop(&s);
    close_stage();
}

TEST(path_is_never_empty_and_get_has_no_length)
{
    struct egress_call call;
    struct seen s;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(0, ""));
    call = post(url(""), NULL);
    call.verb = "GET";
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK(strncmp(server_last(&server), "GET / HTTP/1.1\r\n", 16) == 0);
    CHECK(!strcasestr(server_last(&server), "content-length"));
    drop(&s);
    close_stage();
}

static void expect_accept(const struct egress_header *fixed, const struct egress_header *own,
                          const char *want)
{
    struct egress_endpoint *endpoint;
    struct egress_call call = post(STR_NONE, NULL);
    const char *first, *why;
    struct seen s;

    server_script(&server, SERVER_ANSWER, OK(0, ""));
    CHECK_INT(
        egress_endpoint_new(egress, url("/"), fixed, fixed != NULL, NULL, &endpoint, &why), 0);
    call.verb = "GET";
    call.endpoint = endpoint;
    call.headers = own;
    call.n_headers = own != NULL;
    buf_clear(&server.seen);
    start_call(&s, &call);
    wait_for(&s);
    first = strcasestr(server_last(&server), "\r\naccept: ");
    CHECK(first && strstr(first, want) == first + 10);
    CHECK(first && !strcasestr(first + 10, "\r\naccept: "));
    egress_endpoint_free(endpoint);
    drop(&s);
}

TEST(there_is_one_accept)
{
    static const struct egress_header stream = {"accept", STR("text/event-stream")};
    static const struct egress_header any = {"Accept", STR("*/*")};

    open_stage(4);
    expect_accept(NULL, NULL, "application/json\r\n");
    expect_accept(&any, NULL, "*/*\r\n");
    expect_accept(NULL, &stream, "text/event-stream\r\n");
    expect_accept(&any, &stream, "text/event-stream\r\n");
    close_stage();
}

TEST(connection_is_used_again)
{
    open_stage(4);
    for (int i = 0; i < 3; i++) {
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        expect_body("ok");
    }
    CHECK_INT(figures().opened, 1);
    CHECK_INT(figures().idle, 1);
    CHECK_INT(figures().busy, 0);
    CHECK_INT(figures().requests, 3);
    close_stage();
}

TEST(request_from_inside_a_callback_uses_the_same_connection)
{
    struct seen first, second;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(5, "first"));
    server_script(&server, SERVER_ANSWER, OK(6, "second"));
    start_post(&first);
    first.again = &second;
    wait_for(&first);
    wait_for(&second);
    CHECK_STR(buf_str(&first.body), STR("first"));
    CHECK_STR(buf_str(&second.body), STR("second"));
    CHECK_INT(figures().opened, 1);
    drop(&first);
    drop(&second);
    close_stage();
}

TEST(answers_of_all_framings_in_one_piece_and_byte_by_byte)
{
    static const struct {
        const char *text;
        bool is_kept;
    } rows[] = {
        {OK(5, "12345"), true},
        {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n",
         true},
        {"HTTP/1.1 100 Continue\r\n\r\n" OK(5, "12345"), true},
        {"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n12345", false},
        {"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n12345", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int drip = 0; drip < 2; drip++) {
            open_stage(4);
            server_script(&server, drip ? SERVER_DRIP : SERVER_ANSWER, rows[i].text);
            expect_body("12345");
            CHECK_INT(figures().idle, rows[i].is_kept);
            CHECK_INT(figures().busy, 0);
            close_stage();
        }
}

TEST(answer_until_eof)
{
    open_stage(4);
    server_script(&server, SERVER_ANSWER_CLOSE, "HTTP/1.1 200 OK\r\n\r\n12345");
    expect_body("12345");
    CHECK_INT(figures().idle, 0);
    close_stage();
}

TEST(answer_to_head_has_no_body)
{
    struct egress_call call;
    struct seen s;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, "HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n");
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    call = post(url("/"), NULL);
    call.verb = "HEAD";
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(s.body.n, 0);
    expect_body("ok");
    CHECK_INT(figures().opened, 1);
    drop(&s);
    close_stage();
}

TEST(bytes_behind_an_answer_cost_the_connection)
{
    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(2, "ok") "HTTP/1.1 200 OK\r\n");
    expect_body("ok");
    CHECK_INT(figures().idle, 0);
    close_stage();
}

TEST(large_request_reaches_a_slow_reader_whole)
{
    size_t n = MB(6);
    char *bytes = mem_zero(n, 1);
    struct str body = {bytes, n};
    struct egress_call call;
    struct seen s;

    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('a' + i % 23);
    open_stage(4);
    server.is_reading = false;
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    call = post(url("/"), &body);
    start_call(&s, &call);
    memset(bytes, 'X', n); /* it was borrowed for the start only */
    settle();
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)('a' + i % 23);
    server_read_on(&server);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK(server.seen.n > n && memcmp(server.seen.p + server.seen.n - n, bytes, n) == 0);
    CHECK_INT(figures().idle, 1);
    drop(&s);
    mem_free(bytes);
    close_stage();
}

TEST(early_answer_to_an_unread_request_costs_the_connection)
{
    size_t n = MB(16);
    struct str body = {mem_zero(n, 1), n};
    struct egress_call call;
    struct seen s;

    open_stage(4);
    server.is_reading = false;
    call = post(url("/"), &body);
    start_call(&s, &call);
    mem_free((char *)body.p);
    settle();
    CHECK_INT(server.n_peers, 1);
    server_say(server.peers[0], OK(2, "no"), strlen(OK(2, "no")));
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(figures().idle, 0);
    CHECK_INT(figures().busy, 0);
    drop(&s);
    close_stage();
}

/* --- misbehaviour ------------------------------------------------------------------------------- */

TEST(misbehaving_servers)
{
    static const struct {
        enum server_act act;
        const char *text;
        int err;
        const char *why;
    } rows[] = {
        {SERVER_ANSWER, "garbage\r\n\r\n", ERR_SYNTAX,
         "answered with something that is not HTTP: "},
        {SERVER_ANSWER,
         "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
         ERR_SYNTAX, "answered with something that is not HTTP: "},
        {SERVER_ANSWER_CLOSE, "", ERR_CLOSED, "closed the connection without answering"},
        {SERVER_ANSWER_RESET, "", ERR_CLOSED, "closed the connection without answering"},
        {SERVER_ANSWER_CLOSE, "HTTP/1.1 100 Continue\r\n\r\n", ERR_SYNTAX,
         "in the middle of its answer"},
        {SERVER_ANSWER_CLOSE, "HTTP/1.1 200 OK\r\ncontent-le", ERR_SYNTAX,
         "in the middle of its answer"},
        {SERVER_ANSWER_CLOSE, OK(10, "12345"), ERR_SYNTAX,
         "closed the connection in the middle of its answer"},
        {SERVER_ANSWER_CLOSE,
         "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n12\r\n", ERR_SYNTAX,
         "closed the connection in the middle of its answer"},
        {SERVER_ANSWER, OK(1001, ""), ERR_LIMIT, "sent an answer larger than 1000 bytes"},
        {SERVER_ANSWER, OK(18446744073709551615, ""), ERR_LIMIT,
         "sent an answer larger than 1000 bytes"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_stage(4);
        server_script(&server, rows[i].act, rows[i].text);
        expect_failure(rows[i].err, true, rows[i].why);
        CHECK_INT(figures().idle + figures().busy, 0);
        close_stage();
    }
}

TEST(undeclared_body_is_bounded)
{
    struct buf text;

    for (unsigned n = 1000; n <= 1001; n++) {
        buf_init(&text, KB(16));
        BUF_LIT(&text, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        for (unsigned i = 0; i < n; i++)
            BUF_LIT(&text, "1\r\nx\r\n");
        BUF_LIT(&text, "0\r\n\r\n");
        open_stage(4);
        server_script(&server, SERVER_ANSWER, buf_z(&text));
        if (n > 1000) {
            expect_failure(ERR_LIMIT, true, "larger than 1000 bytes");
        } else {
            struct seen s;

            start_post(&s);
            wait_for(&s);
            CHECK_INT(s.err, 0);
            CHECK_INT(s.body.n, 1000);
            drop(&s);
        }
        buf_release(&text);
        close_stage();
    }
}

TEST(silent_server_times_out)
{
    struct seen s;

    open_stage(4);
    start_post(&s);
    settle();
    clock_advance_ms(59999);
    settle();
    CHECK_INT(s.n, 0);
    clock_advance_ms(1);
    wait_for(&s);
    CHECK_INT(s.err, ERR_TIMEOUT);
    CHECK(s.was_sent);
    CHECK_STR(str_of(s.why), STR("sent no answer within 60000 ms"));
    CHECK_INT(figures().busy, 0);
    drop(&s);
    close_stage();
}

TEST(endless_answer_times_out)
{
    struct seen s;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(10, "12345"));
    start_post(&s);
    settle();
    clock_advance_ms(60000);
    wait_for(&s);
    CHECK_INT(s.err, ERR_TIMEOUT);
    CHECK_STR(str_of(s.why), STR("did not finish its answer within 60000 ms"));
    drop(&s);
    close_stage();
}

TEST(refused_connection)
{
    open_stage(4);
    server_stop_listening(&server);
    settle();
    expect_failure(ERR_CONNECT, false, "could not connect to 127.0.0.1:");
    expect_failure(ERR_CONNECT, false, ": connection refused");
    close_stage();
}

/* --- the pool ----------------------------------------------------------------------------------- */

TEST(connection_closed_while_idle_is_replaced)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        open_stage(4);
        server_script(&server, SERVER_ANSWER, OK(3, "one"));
        server_script(&server, SERVER_ANSWER, OK(3, "two"));
        expect_body("one");
        server_hang_up_all(&server, by_reset);
        settle();
        CHECK_INT(figures().idle, 0);
        expect_body("two");
        CHECK_INT(figures().opened, 2);
        close_stage();
    }
}

/* The reset is in the kernel, but the loop has not turned: the write fails before it has taken a byte. */
TEST(dead_connection_found_while_writing_is_replaced)
{
    struct egress_call call;
    struct str body = STR("x");
    struct seen s;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(3, "one"));
    server_script(&server, SERVER_ANSWER, OK(3, "two"));
    expect_body("one");
    server_hang_up_all(&server, true);
    call = post(url("/"), &body);
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_STR(buf_str(&s.body), STR("two"));
    CHECK_INT(server.n_requests, 2);
    CHECK_INT(figures().opened, 2);
    drop(&s);
    close_stage();
}

TEST(unasked_bytes_close_an_idle_connection)
{
    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_body("ok");
    server_say(server.peers[0], OK(4, "evil"), strlen(OK(4, "evil")));
    settle();
    CHECK_INT(figures().idle, 0);
    close_stage();
}

TEST(idle_connection_times_out)
{
    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_body("ok");
    clock_advance_ms(3000);
    expect_body("ok"); /* being used starts the time anew */
    clock_advance_ms(3000);
    settle();
    CHECK_INT(figures().idle, 1);
    clock_advance_ms(1000); /* not after its 60 s: nobody would use it any more */
    settle();
    CHECK_INT(figures().idle, 0);
    CHECK_INT(figures().opened, 1);
    close_stage();
}

/* The loop has not turned since, so no timer has closed them. */
TEST(connections_that_were_idle_for_long_are_avoided)
{
    open_stage(4);
    for (int i = 0; i < 3; i++)
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_body("ok");
    clock_advance_ms(4000);
    expect_body("ok");
    CHECK_INT(figures().opened, 1);
    clock_advance_ms(4001);
    expect_body("ok");
    CHECK_INT(figures().opened, 2);
    close_stage();
}

TEST(pool_is_bounded)
{
    struct seen s[5];

    open_stage(2);
    for (int i = 0; i < 5; i++) {
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        start_post(&s[i]);
    }
    for (int i = 0; i < 5; i++)
        wait_for(&s[i]);
    CHECK_INT(figures().opened, 5);
    CHECK_INT(figures().idle, 2);
    settle();
    CHECK_INT(server.n_open, 2);
    for (int i = 0; i < 5; i++)
        drop(&s[i]);
    close_stage();
}

/* --- giving up ---------------------------------------------------------------------------------- */

TEST(cancel_in_every_state)
{
    struct seen s;

    open_stage(4);
    for (int turns = 0; turns < 4; turns++) {
        start_post(&s);
        for (int i = 0; i < turns; i++)
            loop_turn(loop, false);
        egress_cancel(s.request);
        egress_check(egress);
        settle();
        CHECK_INT(s.n, 0);
        CHECK_INT(figures().idle + figures().busy, 0);
        drop(&s);
    }
    egress_cancel(NULL);
    close_stage();
}

TEST(egress_free_ends_what_runs)
{
    struct seen waiting, connecting;

    open_stage(4);
    start_post(&waiting);
    settle();
    start_post(&connecting);
    egress_free(egress);
    CHECK_INT(waiting.n, 1);
    CHECK_INT(waiting.err, ERR_CANCELED);
    CHECK(waiting.was_sent);
    CHECK_INT(connecting.n, 1);
    CHECK(!connecting.was_sent);
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    drop(&waiting);
    drop(&connecting);
    close_stage();
}

/* --- names -------------------------------------------------------------------------------------- */

static struct sockaddr_in6 address_v6;
static struct sockaddr_in address_v4;
static struct addrinfo info_v4 = {.ai_family = AF_INET,
                                  .ai_addrlen = sizeof address_v4,
                                  .ai_addr = (struct sockaddr *)&address_v4};
/* ::1 first, where nobody listens, as localhost often is. */
static struct addrinfo info_v6 = {.ai_family = AF_INET6,
                                  .ai_addrlen = sizeof address_v6,
                                  .ai_addr = (struct sockaddr *)&address_v6,
                                  .ai_next = &info_v4};

static struct host *start_named(struct seen *s)
{
    struct egress_call call;
    struct str body = STR("x");
    char text[64];

    (void)uv_ip6_addr("::1", 0, &address_v6);
    (void)uv_ip4_addr("127.0.0.1", 0, &address_v4);
    (void)snprintf(text, sizeof text, "http://localhost:%u/", server.port);
    call = post(str_of(text), &body);
    start_call(s, &call);
    return s->request->host;
}

TEST(addresses_are_tried_in_turn_and_remembered)
{
    struct seen s;
    struct host *h;

    open_stage(0); /* no pool: each request connects */
    for (int i = 0; i < 3; i++)
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    h = start_named(&s);
    CHECK(h->is_resolving);
    host_ref(h);
    answer_lookup(h, 0, &info_v6);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(h->n_addresses, 2);
    CHECK_INT(h->preferred, 1);
    CHECK_INT(figures().opened, 2);
    drop(&s);

    clock_advance_ms(29999);
    start_named(&s);
    CHECK(!h->is_resolving);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(figures().opened, 3); /* the good one first */
    drop(&s);

    clock_advance_ms(1);
    start_named(&s);
    CHECK(h->is_resolving);
    answer_lookup(h, UV_EAI_AGAIN, NULL); /* old addresses are better than none */
    wait_for(&s);
    CHECK_INT(s.err, 0);
    drop(&s);
    host_unref(h);
    close_stage();
}

TEST(name_that_does_not_exist)
{
    struct seen s, other;
    struct host *h;

    open_stage(4);
    h = start_named(&s);
    start_named(&other); /* one look-up serves both */
    CHECK_INT(h->grave.n_pending, 1);
    answer_lookup(h, UV_EAI_NONAME, NULL);
    CHECK_INT(s.n + other.n, 2);
    CHECK_INT(s.err, ERR_RESOLVE);
    CHECK(!s.was_sent);
    CHECK_STR(str_of(s.why), STR("has a host name that does not exist: localhost"));
    drop(&s);
    drop(&other);
    close_stage();
}

TEST(name_server_that_does_not_answer)
{
    struct seen s;
    struct host *h;

    open_stage(4);
    h = start_named(&s);
    clock_advance_ms(5000);
    wait_for(&s);
    CHECK_INT(s.err, ERR_RESOLVE);
    CHECK_STR(str_of(s.why),
              STR("has a host name that was not resolved within 5000 ms: localhost"));
    drop(&s);
    /* The host has nobody left, but the look-up still holds its memory. */
    CHECK_INT(egress->hosts.n, 0);
    settle();
    answer_lookup(h, 0, &info_v6);
    close_stage();
}

TEST(cancel_and_end_while_resolving)
{
    struct seen s, other;
    struct host *h;

    open_stage(4);
    h = start_named(&s);
    start_named(&other);
    egress_cancel(s.request);
    egress_check(egress);
    egress_free(egress);
    CHECK_INT(s.n, 0);
    CHECK_INT(other.err, ERR_CANCELED);
    loop_turn(loop, false);
    answer_lookup(h, 0, &info_v6);
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    drop(&s);
    drop(&other);
    close_stage();
}

/* --- URLs --------------------------------------------------------------------------------------- */

TEST(urls_that_are_called_and_that_are_not)
{
    static const struct {
        const char *url;
        int err;
    } rows[] = {
        {"http://a", 0},
        {"http://a.example:8080/x?y=z", 0},
        {"http://[::1]:4000/", 0},
        {"HTTP://a/", 0},
        {"https://a/", 0},
        {"HTTPS://a.example:8443/x", 0},
        {"ftp://a/", ERR_INVALID},
        {"http://user:secret@a/", ERR_INVALID},
        {"http://a/#b", ERR_INVALID},
        {"http://", ERR_SYNTAX},
        {"a", ERR_SYNTAX},
        {"", ERR_SYNTAX},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *why = NULL;

        CHECK_INT(egress_url_check(str_of(rows[i].url), &why), rows[i].err);
        CHECK(rows[i].err == 0 || why);
    }
}

TEST(bad_urls_are_refused_at_the_start)
{
    struct egress_request *request;
    struct egress_call call;
    struct seen s = {0};

    open_stage(4);
    call = post(STR("ftp://127.0.0.1/"), NULL);
    CHECK_INT(egress_start(egress, &call, on_answer, &s, &request), ERR_INVALID);
    settle();
    CHECK_INT(s.n, 0);
    CHECK_INT(egress->hosts.n, 0);
    close_stage();
}

static const char *refuse_odd_ports(void *arg, struct str host, const struct sockaddr *address)
{
    unsigned *n = arg;

    ++*n;
    CHECK_STR(host, STR("127.0.0.1"));
    return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port) == server.port
               ? "it is ours"
               : NULL;
}

/* Judged before each connection, and when only looking; nothing is sent. */
TEST(addresses_that_must_not_be_called)
{
    unsigned n_asked = 0;
    struct egress_call call;
    struct seen s;

    open_stage(4);
    egress_free(egress);
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000,
                                                      .refuses = refuse_odd_ports,
                                                      .refuses_arg = &n_asked});
    expect_failure(ERR_FORBIDDEN, false, "must not be called: it is ours");
    CHECK_INT(n_asked, 1);
    call = post(url("/"), NULL);
    call.only_look = true;
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, ERR_FORBIDDEN);
    drop(&s);
    call.url = STR("http://127.0.0.1:1/");
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(s.status, 0);
    drop(&s);
    CHECK_INT(n_asked, 3);
    CHECK_INT(server.n_requests, 0);
    CHECK_INT(figures().opened, 0);
    close_stage();
}

TEST(endpoint_may_outlive_its_egress)
{
    struct egress_endpoint *endpoint;
    const char *why;

    open_stage(4);
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_body("ok");
    CHECK_INT(egress_endpoint_new(egress, url("/"), NULL, 0, NULL, &endpoint, &why), 0);
    egress_free(egress);
    egress_endpoint_free(endpoint);
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    close_stage();
}

/* --- everything at once ------------------------------------------------------------------------- */

#define N_RANDOM 48

static uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Random starts, cancels, answers, hang-ups and time: whatever happens, each request that was not cancelled
 * is told exactly once, and no connection is lost or leaked. */
TEST(random_programs)
{
    static const struct server_line lines[] = {
        {SERVER_ANSWER, OK(2, "ok")},       {SERVER_DRIP, OK(5, "12345")},
        {SERVER_ANSWER, "garbage\r\n\r\n"}, {SERVER_ANSWER_CLOSE, ""},
        {SERVER_ANSWER_RESET, OK(9, "12")}, {SERVER_ANSWER_CLOSE, OK(2, "ok")},
    };

    for (uint32_t seed = 1; seed <= 40; seed++) {
        static struct seen s[N_RANDOM];
        bool is_cancelled[N_RANDOM] = {false};
        uint32_t rng = seed * 2654435761u;
        unsigned n = 0;

        open_stage(2);
        for (int i = 0; i < 60; i++)
            server_script(&server, lines[random_next(&rng) % 6].act,
                          lines[random_next(&rng) % 6].text);
        while (n < N_RANDOM) {
            unsigned what = random_next(&rng) % 8, which = n ? random_next(&rng) % n : 0;

            if (what < 3)
                start_post(&s[n++]);
            else if (what == 3 && n && s[which].n == 0 && !is_cancelled[which])
                egress_cancel(s[which].request), is_cancelled[which] = true;
            else if (what == 4 && random_next(&rng) % 8 == 0)
                server_hang_up_all(&server, random_next(&rng) % 2);
            else if (what == 5)
                clock_advance_ms(random_next(&rng) % 3000);
            else
                loop_turn(loop, false);
            server_drip(&server);
            egress_check(egress);
        }
        settle();
        clock_advance_ms(60000);
        settle();
        for (unsigned i = 0; i < N_RANDOM; i++) {
            CHECK_INT(s[i].n, !is_cancelled[i]);
            drop(&s[i]);
        }
        CHECK_INT(figures().busy, 0);
        close_stage();
    }
}

TEST_MAIN
