/* SPDX-License-Identifier: MIT
 *
 * One connection at a time: requests in all cuts and orders, deadlines, slow and vanishing clients.
 */
#include "rig.h"

#define POST_HEAD(length) "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: " length "\r\n"

TEST(an_answer_looks_like_this)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("GET /a?b HTTP/1.1\r\nHost: h\r\nX-Request-Id: r-1\r\n\r\n"));
    CHECK(client_until(&c, "GET /a?b \n", 1));
    CHECK_STR(buf_str(&c.got), STR("HTTP/1.1 200 OK\r\n"
                                   "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                   "content-type: text/x-echo\r\n"
                                   "content-length: 10\r\n"
                                   "x-request-id: r-1\r\n"
                                   "\r\n"
                                   "GET /a?b \n"));
    client_close(&c);
    rig_close(&rig);
}

TEST(a_connection_serves_one_request_after_the_other)
{
    struct server_figures figures;
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    for (size_t i = 1; i <= 20; i++) {
        client_send(&c, GET("/again"));
        CHECK(client_until(&c, "GET /again \n", i));
    }
    CHECK(!c.is_eof && !client_has(&c, "connection:"));
    server_figures(rig.server, &figures);
    CHECK_INT(figures.connections, 1);
    CHECK_INT(figures.exchanges, 0);
    CHECK_INT(figures.accepted, 1);
    CHECK_INT(figures.requests, 20);
    CHECK_INT(figures.refused, 0);
    client_close(&c);
    rig_close(&rig);
}

TEST(a_connection_closes_when_the_client_asks)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(
        &c, STR("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\n"));
    CHECK(client_until_eof(&c) && !c.is_reset);
    CHECK(client_has(&c, "\r\nconnection: close\r\n") && client_has(&c, "GET /1 \n"));
    CHECK_INT(rig.n_requests, 1);
    client_close(&c);
    rig_close(&rig);
}

TEST(http_1_0_closes_unless_asked_not_to)
{
    struct rig rig;
    struct client c, d;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("GET /old HTTP/1.0\r\n\r\n"));
    CHECK(client_until_eof(&c) && client_has(&c, "connection: close") &&
          client_has(&c, "GET /old"));
    client_open(&d, &rig);
    client_send(&d, STR("GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    CHECK(client_until(&d, "GET /kept", 1) && client_has(&d, "\r\nconnection: keep-alive\r\n"));
    CHECK(client_hears_nothing(&d));
    client_close(&c);
    client_close(&d);
    rig_close(&rig);
}

TEST(a_whole_request_is_not_copied)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR(POST_HEAD("4") "\r\nbody"));
    CHECK(client_until(&c, "POST /p body\n", 1));
    CHECK(rig.body_was_in_place);
    client_close(&c);
    rig_close(&rig);
}

static void send_in_bits(const char *request, const char *answer)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    for (int round = 1; round <= 2; round++) {
        for (const char *at = request; *at; at++) {
            client_send(&c, str_make(at, 1));
            rig_turn(&rig);
        }
        CHECK(client_until(&c, answer, (size_t)round));
        CHECK_INT(rig.n_requests, round);
    }
    client_close(&c);
    rig_close(&rig);
}

TEST(one_byte_at_a_time)
{
    send_in_bits("GET /bits HTTP/1.1\r\nHost: h\r\n\r\n", "GET /bits \n");
    send_in_bits(POST_HEAD("5") "\r\n12345", "POST /p 12345\n");
    send_in_bits("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "1\r\na\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
                 "POST /c a0123456789\n");
}

TEST(chunks_in_one_read_are_joined)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n" POST_HEAD("1") "\r\nz"));
    CHECK(client_until(&c, "POST /c abcdef\n", 1) && client_until(&c, "POST /p z\n", 1));
    client_close(&c);
    rig_close(&rig);
}

TEST(a_body_larger_than_a_read)
{
    struct rig rig;
    struct client c;
    struct buf request;
    char *body = mem_zero(1, 700000);

    memset(body, 'b', 700000);
    buf_init(&request, MB(1));
    BUF_LIT(&request, POST_HEAD("700000") "\r\n");
    buf_add(&request, body, 700000);
    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, buf_str(&request));
    CHECK(client_until(&c, "b\n", 1));
    CHECK(client_has(&c, "content-length: 700009\r\n"));
    CHECK(!rig.body_was_in_place);
    client_close(&c);
    rig_close(&rig);
    buf_release(&request);
    mem_free(body);
}

/* --- pipelining ----------------------------------------------------------------------------------- */

static void add_gets(struct buf *b, int from, int n)
{
    for (int i = from; i < from + n; i++)
        buf_printf(b, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
}

static void check_order(const struct client *c, int n)
{
    const char *at = c->got.p, *end = c->got.p + c->got.n;
    int i;

    for (i = 0; i < n; i++) {
        char line[32];
        const char *hit;

        snprintf(line, sizeof line, "\r\n\r\nGET /%d \n", i);
        hit = memmem(at, (size_t)(end - at), line, strlen(line));
        if (!hit)
            break;
        at = hit + strlen(line);
    }
    CHECK_INT(i, n);
    CHECK(at == end);
}

static void pipeline(int n, enum rig_mode mode)
{
    struct rig rig;
    struct client c;
    struct buf all;

    buf_init(&all, MB(4));
    add_gets(&all, 0, n);
    rig_open(&rig);
    rig.mode = mode;
    client_open(&c, &rig);
    client_send(&c, buf_str(&all));
    for (int i = 0; mode == RIG_HOLD && i < n; i++) {
        /* one exchange at a time, however many wait */
        CHECK(rig_until_requests(&rig, (unsigned)i + 1));
        rig_turn(&rig);
        CHECK_INT(rig.n_requests, i + 1);
        rig_echo(rig.held[i % RIG_HELD]);
        client_take(&c);
    }
    CHECK(client_until(&c, "HTTP/1.1 200 OK\r\n", (size_t)n));
    check_order(&c, n);
    client_close(&c);
    rig_close(&rig);
    buf_release(&all);
}

TEST(a_hundred_in_one_write)
{
    pipeline(100, RIG_ECHO);
}

TEST(many_thousands_in_a_row_need_no_stack)
{
    pipeline(5000, RIG_ECHO);
}

TEST(a_thousand_answered_later)
{
    pipeline(1000, RIG_HOLD);
}

TEST(what_comes_behind_an_open_exchange_is_bounded)
{
    struct rig rig;
    struct client c;
    struct peer *p;
    struct buf many;

    buf_init(&many, MB(1));
    add_gets(&many, 0, 7000); /* about 200 KB */
    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, GET("/first"));
    CHECK(rig_until_requests(&rig, 1));
    client_send(&c, buf_str(&many));
    rig_rest(&rig);
    p = CONTAINER_OF(list_first(&rig.server->peers), struct peer, link);
    CHECK(p->is_paused);
    CHECK(p->intake->behind.n >= LIMIT_PIPELINE);
    CHECK(p->intake->behind.n < LIMIT_PIPELINE + LOOP_READ_BYTES);
    rig.mode = RIG_ECHO;
    rig_echo(rig.held[0]);
    CHECK(client_until(&c, "GET /6999 \n", 1));
    CHECK_INT(rig.n_requests, 7001);
    CHECK(!p->is_paused);
    client_close(&c);
    rig_close(&rig);
    buf_release(&many);
}

TEST(a_kept_body_and_head_stay)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, STR(POST_HEAD("7") "\r\nkept it" POST_HEAD("3") "\r\nold"));
    CHECK(rig_until_requests(&rig, 1));
    for (int i = 0; i < 20; i++) {
        client_send(&c, GET("/overwrites-the-shared-buffer-with-other-bytes"));
        rig_turn(&rig);
    }
    CHECK_STR(exchange_body(rig.held[0]), STR("kept it"));
    CHECK_STR(http_head_get(exchange_head(rig.held[0]), STR("content-length")), STR("7"));
    rig.mode = RIG_ECHO;
    rig_echo(rig.held[0]);
    CHECK(client_until(&c, "POST /p old\n", 1) && client_until(&c, "GET /over", 20));
    client_close(&c);
    rig_close(&rig);
}

/* --- Expect --------------------------------------------------------------------------------------- */

#define EXPECT "Expect: 100-continue\r\n\r\n"

TEST(continue_is_said_to_who_waits)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR(POST_HEAD("4") EXPECT));
    CHECK(client_until(&c, "HTTP/1.1 100 Continue\r\n\r\n", 1));
    CHECK(client_hears_nothing(&c));
    client_send(&c, STR("bo"));
    CHECK(client_hears_nothing(&c));
    client_send(&c, STR("dy"));
    CHECK(client_until(&c, "POST /p body\n", 1));
    CHECK_INT(client_count(&c, "100 Continue"), 1);
    client_close(&c);
    rig_close(&rig);
}

TEST(continue_is_not_said_without_need)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR(POST_HEAD("4") EXPECT "body")); /* he did not wait */
    CHECK(client_until(&c, "POST /p body\n", 1));
    client_send(&c, STR(POST_HEAD("0") EXPECT)); /* there is nothing to wait for */
    CHECK(client_until(&c, "POST /p \n", 1));
    client_send(&c, STR(POST_HEAD("9999999") EXPECT)); /* we do not want it */
    CHECK(client_until_eof(&c) && client_has(&c, "HTTP/1.1 413 "));
    CHECK(!client_has(&c, "100 Continue"));
    client_close(&c);
    rig_close(&rig);
}

/* --- refusals ------------------------------------------------------------------------------------- */

static void refused(struct str request, const char *status_line)
{
    struct server_figures figures;
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, request);
    CHECK(client_until_eof(&c) && !c.is_reset);
    CHECK_STR(str_make(c.got.p, c.got.n < strlen(status_line) ? c.got.n : strlen(status_line)),
              str_of(status_line));
    CHECK(client_has(&c, "\r\nconnection: close\r\n") &&
          client_has(&c, "\r\ncontent-type: text/plain"));
    CHECK_INT(client_count(&c, "\r\ndate: "), 1);
    server_figures(rig.server, &figures);
    CHECK_INT(figures.refused, 1);
    CHECK_INT(figures.requests, 0);
    client_close(&c);
    rig_close(&rig);
}

TEST(faults_below_json_are_answered_and_close)
{
    refused(STR("nonsense\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 400 ");
    refused(STR("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ");
    refused(STR("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 501 ");
    refused(STR("GET / HTTP/3.7\r\nHost: h\r\n\r\n"), "HTTP/1.1 505 ");
    refused(STR(POST_HEAD("3") "Content-Length: 4\r\n\r\nabcd"), "HTTP/1.1 400 ");
    /* told before the body is sent */
    refused(STR(POST_HEAD("1048577") "\r\n"), "HTTP/1.1 413 ");
}

TEST(chunks_beyond_the_maximum_are_refused)
{
    struct rig rig;
    struct client c;
    struct buf chunk;

    buf_init(&chunk, KB(128));
    BUF_LIT(&chunk, "10000\r\n");
    memset(buf_reserve(&chunk, 65536), 'c', 65536);
    buf_commit(&chunk, 65536);
    BUF_LIT(&chunk, "\r\n");
    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 17; i++) /* the maximum and 64 KB */
        client_send(&c, buf_str(&chunk));
    CHECK(client_until(&c, "HTTP/1.1 413 ", 1) && !c.is_reset);
    CHECK_INT(rig.n_requests, 0);
    client_close(&c);
    rig_close(&rig);
    buf_release(&chunk);
}

TEST(a_refusal_waits_for_the_answers_before_it)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, STR("GET /good HTTP/1.1\r\nHost: h\r\n\r\nrubbish\r\n\r\n"));
    CHECK(rig_until_requests(&rig, 1) && client_hears_nothing(&c));
    rig_echo(rig.held[0]);
    CHECK(client_until_eof(&c));
    CHECK(client_has(&c, "GET /good \nHTTP/1.1 400 "));
    client_close(&c);
    rig_close(&rig);
}

/* --- deadlines ------------------------------------------------------------------------------------ */

TEST(an_idle_connection_closes_silently)
{
    struct rig rig;
    struct client never, once;

    rig_open(&rig);
    client_open(&never, &rig);
    client_open(&once, &rig);
    client_send(&once, GET("/"));
    rig_rest(&rig);
    CHECK(client_until(&once, "GET / \n", 1));
    rig_pass(&rig, 59999);
    CHECK(client_hears_nothing(&never) && client_hears_nothing(&once));
    rig_pass(&rig, 1);
    CHECK(client_until_eof(&never) && client_until_eof(&once));
    CHECK_INT(never.got.n, 0);
    CHECK_INT(client_count(&once, "HTTP/1.1"), 1);
    client_close(&never);
    client_close(&once);
    rig_close(&rig);
}

TEST(a_request_renews_the_idle_deadline)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    for (size_t i = 1; i <= 5; i++) {
        rig_pass(&rig, 50000);
        client_send(&c, GET("/"));
        CHECK(client_until(&c, "GET / \n", i));
    }
    rig_pass(&rig, 60000);
    CHECK(client_until_eof(&c));
    client_close(&c);
    rig_close(&rig);
}

TEST(a_dripped_head_has_one_deadline)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    rig_pass(&rig, 30000); /* idle time does not count */
    client_send(&c, STR("GET / HTTP/1.1\r\nX: "));
    rig_rest(&rig);
    for (int i = 0; i < 9; i++) {
        rig_pass(&rig, 1000);
        client_send(&c, STR("y"));
    }
    CHECK(client_hears_nothing(&c));
    rig_pass(&rig, 1000);
    CHECK(client_until_eof(&c));
    CHECK(client_has(&c, "HTTP/1.1 408 ") && client_has(&c, "connection: close"));
    client_close(&c);
    rig_close(&rig);
}

TEST(a_dripped_body_has_one_deadline)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("P"));
    rig_rest(&rig);
    rig_pass(&rig, 9000);
    client_send(&c, STR("OST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n"));
    rig_rest(&rig);
    for (int i = 0; i < 29; i++) {
        rig_pass(&rig, 1000);
        client_send(&c, STR("y"));
    }
    CHECK(client_hears_nothing(&c));
    rig_pass(&rig, 1000);
    CHECK(client_until_eof(&c) && client_has(&c, "HTTP/1.1 408 "));
    client_close(&c);
    rig_close(&rig);
}

TEST(each_message_has_its_own_deadline)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c, STR("GET /1 HTT"));
    rig_rest(&rig);
    rig_pass(&rig, 9000);
    /* the second begins in the same read */
    client_send(&c, STR("P/1.1\r\nHost: h\r\n\r\nGET /2 HTT"));
    CHECK(client_until(&c, "GET /1 \n", 1));
    rig_pass(&rig, 9000);
    CHECK(client_hears_nothing(&c));
    client_send(&c, STR("P/1.1\r\nHost: h\r\n\r\n"));
    CHECK(client_until(&c, "GET /2 \n", 1));
    client_close(&c);
    rig_close(&rig);
}

TEST(empty_lines_do_not_renew_the_idle_deadline)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    rig_rest(&rig);
    rig_pass(&rig, 59999);
    client_send(&c, STR("\r\n"));
    CHECK(client_hears_nothing(&c));
    rig_pass(&rig, 1);
    CHECK(client_until_eof(&c));
    client_close(&c);
    rig_close(&rig);
}

TEST(an_open_exchange_has_no_deadline_here)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, GET("/slow"));
    CHECK(rig_until_requests(&rig, 1));
    rig_pass(&rig, 3600000);
    CHECK(client_hears_nothing(&c));
    rig_echo(rig.held[0]);
    CHECK(client_until(&c, "GET /slow \n", 1));
    rig_pass(&rig, 59000); /* and then the idle time begins anew */
    CHECK(client_hears_nothing(&c));
    client_close(&c);
    rig_close(&rig);
}

/* --- half-closed, vanished and slow clients ------------------------------------------------------- */

TEST(who_has_finished_sending_still_gets_his_answers)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c,
                STR("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
    shutdown(c.fd, SHUT_WR);
    CHECK(rig_until_requests(&rig, 1) && client_hears_nothing(&c));
    CHECK_INT(rig.n_gone, 0);
    rig_echo(rig.held[0]);
    CHECK(rig_until_requests(&rig, 2) && client_until(&c, "GET /1 \n", 1));
    CHECK(!client_has(&c, "connection: close"));
    rig_echo(rig.held[1]);
    CHECK(client_until_eof(&c) && !c.is_reset);
    CHECK(client_has(&c, "GET /2 \n") && client_has(&c, "connection: close"));
    client_close(&c);
    rig_close(&rig);
}

TEST(a_request_cut_short_is_answered)
{
    struct rig rig;
    struct client head, body, nothing;

    rig_open(&rig);
    client_open(&head, &rig);
    client_send(&head, STR("GET / HTTP/1.1\r\nHo"));
    shutdown(head.fd, SHUT_WR);
    CHECK(client_until_eof(&head) && client_has(&head, "HTTP/1.1 400 "));
    client_open(&body, &rig);
    client_send(&body, STR(POST_HEAD("10") "\r\nshort"));
    shutdown(body.fd, SHUT_WR);
    CHECK(client_until_eof(&body) && client_has(&body, "HTTP/1.1 400 "));
    client_open(&nothing, &rig);
    shutdown(nothing.fd, SHUT_WR);
    CHECK(client_until_eof(&nothing) && nothing.got.n == 0);
    CHECK_INT(rig.n_requests, 0);
    client_close(&head);
    client_close(&body);
    client_close(&nothing);
    rig_close(&rig);
}

TEST(a_reset_is_told_to_who_asked)
{
    struct server_figures figures;
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(rig_until_requests(&rig, 1));
    client_reset(&c);
    rig_rest(&rig);
    CHECK_INT(rig.n_gone, 1);
    server_figures(rig.server, &figures);
    CHECK_INT(figures.connections, 0);
    CHECK_INT(figures.exchanges, 0);
    rig_close(&rig);
    CHECK_INT(rig.n_gone, 1);
}

TEST(who_did_not_ask_may_answer_long_after)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    rig.tell_gone = false;
    client_open(&c, &rig);
    client_send(&c, STR(POST_HEAD("4") "\r\nbody"));
    CHECK(rig_until_requests(&rig, 1));
    client_reset(&c);
    rig_rest(&rig);
    CHECK_STR(exchange_body(rig.held[0]), STR("body"));
    CHECK_STR(exchange_head(rig.held[0])->target, STR("/p"));
    CHECK_STR(str_of(exchange_peer(rig.held[0])), STR("gone"));
    rig_echo(rig.held[0]);
    rig_close(&rig);
}

TEST(a_client_who_does_not_read_is_not_served_further)
{
    struct rig rig;
    struct client c;
    struct buf many;
    unsigned seen;

    buf_init(&many, MB(1));
    add_gets(&many, 0, 150);
    rig_open(&rig);
    rig.mode = RIG_BIG;
    rig.big = 100000;
    client_open(&c, &rig);
    client_send(&c, buf_str(&many));
    rig_rest(&rig);
    seen = rig.n_requests;
    CHECK(seen > 0 && seen < 150);
    rig_rest(&rig);
    CHECK_INT(rig.n_requests, seen);
    CHECK(client_until(&c, "HTTP/1.1 200 OK\r\n", 150)); /* as soon as he reads, it goes on */
    CHECK_INT(rig.n_requests, 150);
    client_close(&c);
    rig_close(&rig);
    buf_release(&many);
}

TEST(a_client_who_never_reads_is_closed)
{
    struct server_figures figures;
    struct rig rig;
    struct client idle, last;

    rig_open(&rig);
    rig.mode = RIG_BIG;
    rig.big = MB(16);
    client_open(&idle, &rig);
    client_send(&idle, GET("/"));
    client_open(&last, &rig);
    client_send(&last, STR("GET / HTTP/1.0\r\n\r\n"));
    CHECK(rig_until_requests(&rig, 2));
    rig_pass(&rig, 59000);
    server_figures(rig.server, &figures);
    CHECK_INT(figures.connections, 2);
    rig_pass(&rig, 61000); /* some of it had left meanwhile, which counted as reading */
    rig_pass(&rig, 61000);
    server_figures(rig.server, &figures);
    CHECK_INT(figures.connections, 0);
    client_close(&idle);
    client_close(&last);
    rig_close(&rig);
}

/* Some each half minute, which is slow but is reading. */
static void read_slowly(struct str request)
{
    struct rig rig;
    struct client c;
    size_t before;

    rig_open(&rig);
    rig.mode = RIG_BIG;
    rig.big = MB(16);
    client_open(&c, &rig);
    client_send(&c, request);
    CHECK(rig_until_requests(&rig, 1));
    for (int i = 0; !c.is_eof && c.got.n < MB(16) && i < 100; i++) {
        before = c.got.n;
        while (c.got.n < before + MB(2) && client_take(&c))
            ;
        rig_pass(&rig, 30000);
    }
    rig_rest(&rig);
    while (client_take(&c))
        ;
    CHECK(c.got.n > MB(16) && !c.is_reset);
    client_close(&c);
    rig_close(&rig);
}

TEST(a_slow_reader_gets_all_of_his_answer)
{
    read_slowly(STR("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"));
    read_slowly(GET("/"));
}

TEST(what_comes_while_an_answer_is_being_read_waits)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    rig.mode = RIG_BIG;
    rig.big = MB(16);
    client_open(&c, &rig);
    client_send(&c, GET("/1"));
    CHECK(rig_until_requests(&rig, 1));
    rig_rest(&rig);
    rig.mode = RIG_ECHO;
    client_send(&c, GET("/2"));
    rig_rest(&rig);
    CHECK_INT(rig.n_requests, 1);
    CHECK(client_until(&c, "xHTTP/1.1 200 OK\r\n", 1) && client_until(&c, "GET /2 \n", 1));
    client_close(&c);
    rig_close(&rig);
}

TEST_MAIN
