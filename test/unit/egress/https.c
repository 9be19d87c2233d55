/* SPDX-License-Identifier: MIT
 *
 * https: who is believed, what is said when nobody is, and who may share a connection. The server is that of
 * the other egress tests, with OpenSSL in front.
 */
#include "check.h"

#include "egress/egress_int.h"
#include "unit/egress/scripted_server.h"

/* --- the stage ---------------------------------------------------------------------------------- */

static struct loop *loop;
static struct egress *egress;
static struct server server;
static struct paper ca, paper;
static struct egress_tls tls; /* what endpoints are made with */

struct seen {
    struct egress_request *request;
    unsigned n; /* how often the callback came */
    int err, status;
    bool was_sent;
    char why[WHY_MAX];
    struct buf body;
};

/* A server that shows `p`; asks for certificates of `client_ca`. */
static void serve(const struct paper *p, const struct paper *client_ca, int version)
{
    SSL_CTX_free(server.tls);
    server.tls = far_context(&(struct far_rules){
        .paper = p, .client_ca = client_ca, .min = version, .max = version});
}

static void open_stage(void)
{
    clock_set(&stopped_clock);
    log_setup(LOG_ERROR, false);
    folder_open();
    ca = paper_make((struct paper_wish){.name = "Test CA", .is_ca = true});
    paper = paper_make((struct paper_wish){
        .name = "x", .san = "IP:127.0.0.1,DNS:agent.example", .issuer = &ca});
    tls = (struct egress_tls){.ca_file = str_of(paper_write("ca.pem", &ca, PAPER_CERT))};
    loop = loop_new();
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    server_start(&server, loop);
    serve(&paper, NULL, 0);
}

static void close_stage(void)
{
    egress_free(egress);
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    SSL_CTX_free(server.tls);
    server.tls = NULL;
    paper_free(&ca);
    paper_free(&paper);
    folder_close();
    clock_set(NULL);
    alarm(0);
}

static struct str url(const char *scheme)
{
    static char text[200];

    (void)snprintf(text, sizeof text, "%s://127.0.0.1:%u/a", scheme, server.port);
    return str_of(text);
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
    egress_check(egress);
}

static struct egress_call post(const struct str *body)
{
    return (struct egress_call){
        .verb = "POST",
        .url = url("https"),
        .tls = &tls,
        .parts = body,
        .n_parts = 1,
        .max_body = MB(8),
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
    struct egress_call call = post(&body);

    start_call(s, &call);
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

/* Turns until both ends have noticed everything. */
static void settle(void)
{
    for (int i = 0; i < 8; i++) {
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

static void expect_ok(void)
{
    struct seen s;

    start_post(&s);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_STR(str_of(s.why), STR(""));
    CHECK_STR(buf_str(&s.body), STR("ok"));
    buf_release(&s.body);
}

static void expect_failure(int err, bool was_sent, const char *why)
{
    struct seen s;

    start_post(&s);
    wait_for(&s);
    CHECK_INT(s.err, err);
    CHECK_INT(s.was_sent, was_sent);
    if (!strstr(s.why, why))
        CHECK_STR(str_of(s.why), str_of(why));
    buf_release(&s.body);
}

static int new_endpoint(const char *scheme, const struct egress_tls *with, const char **why)
{
    struct egress_endpoint *p = NULL;
    int err = egress_endpoint_new(egress, url(scheme), NULL, 0, with, &p, why);

    CHECK((err == 0) == (p != NULL));
    egress_endpoint_free(p);
    return err;
}

/* --- answers -------------------------------------------------------------------------------------- */

TEST(connection_is_used_again)
{
    open_stage();
    for (int i = 0; i < 3; i++) {
        server_script(&server, i == 1 ? SERVER_DRIP : SERVER_ANSWER, OK(2, "ok"));
        expect_ok();
    }
    CHECK_INT(figures().opened, 1);
    CHECK_INT(figures().idle, 1);
    CHECK(strstr(server_last(&server), "\r\n\r\nhello"));
    close_stage();
}

TEST(large_bodies_both_ways)
{
    static char large[MB(5)];
    static char answer[MB(4) + 100];
    struct str body = {large, sizeof large};
    struct egress_call call;
    struct seen s;
    int n;

    open_stage();
    memset(large, 'q', sizeof large);
    n = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                 MB(1));
    memset(answer + n, 'a', MB(1));
    server_script(&server, SERVER_ANSWER, answer);
    call = post(&body);
    start_call(&s, &call);
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(s.body.n, MB(1));
    CHECK(server.seen.n > sizeof large && server.seen.p[server.seen.n - 1] == 'q');
    CHECK_INT(figures().idle, 1);
    buf_release(&s.body);
    close_stage();
}

/* Who ends his answer with the connection must say goodbye; others need not. */
TEST(answer_that_ends_with_the_connection)
{
    open_stage();
    server_script(&server, SERVER_ANSWER_CLOSE, "HTTP/1.1 200 OK\r\n\r\nok");
    expect_ok();
    server_script(&server, SERVER_ANSWER_CUT, "HTTP/1.1 200 OK\r\n\r\nok");
    expect_failure(ERR_SYNTAX, true, "may have been cut off in the middle of its answer");
    server_script(&server, SERVER_ANSWER_CUT, OK(2, "ok"));
    expect_ok();
    settle();
    server_script(&server, SERVER_ANSWER_CUT, OK(5, "ok"));
    expect_failure(ERR_SYNTAX, true, "closed the connection in the middle of its answer");
    server_script(&server, SERVER_ANSWER_CLOSE, "");
    expect_failure(ERR_CLOSED, true, "closed the connection without answering");
    settle();
    CHECK_INT(figures().idle + figures().busy, 0);
    close_stage();
}

/* --- trust ---------------------------------------------------------------------------------------- */

static void expect_distrust(struct paper_wish wish, const char *why)
{
    struct paper p = paper_make(wish);

    serve(&p, NULL, 0);
    expect_failure(ERR_TLS, false, why);
    CHECK_INT(figures().idle + figures().busy, 0);
    paper_free(&p);
}

TEST(certificates_that_do_not_hold)
{
    struct paper_wish w = {.name = "x", .issuer = &ca, .san = "DNS:a.example"};
    char want[200];

    open_stage();
    (void)snprintf(want, sizeof want,
                   "could not connect to 127.0.0.1:%u: TLS: certificate is for a.example, "
                   "not for 127.0.0.1",
                   server.port);
    expect_distrust(w, want);
    w.san = "IP:127.0.0.1";
    w.from_day = -30, w.to_day = -2;
    expect_distrust(w, ": TLS: certificate has expired (on ");
    w.from_day = 2, w.to_day = 30;
    expect_distrust(w, ": TLS: certificate is not valid before ");
    w.from_day = w.to_day = 0;
    w.issuer = NULL;
    expect_distrust(w, ": TLS: certificate is self-signed");
    CHECK_INT(server.n_requests, 0);
    close_stage();
}

TEST(server_name_is_expected_and_sent)
{
    open_stage();
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    tls.server_name = STR("agent.example");
    expect_ok();
    CHECK_STR(str_of(SSL_get_servername(server.peers[0]->far.ssl, TLSEXT_NAMETYPE_host_name)),
              STR("agent.example"));
    tls.server_name = STR("other.example");
    expect_failure(ERR_TLS, false, "not for other.example");
    tls.server_name = STR_NONE;
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_ok(); /* not over the connection of agent.example */
    CHECK_INT(server.n_peers, 3);
    CHECK(!SSL_get_servername(server.peers[2]->far.ssl, TLSEXT_NAMETYPE_host_name));
    close_stage();
}

TEST(peers_that_do_not_speak_tls)
{
    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct seen s;

    open_stage();
    server.is_plain = true;
    start_post(&s);
    while (!server.n_peers || !server.peers[0]->in.n)
        loop_turn(loop, true);
    server_say(server.peers[0], answer, sizeof answer - 1);
    wait_for(&s);
    CHECK_INT(s.err, ERR_TLS);
    CHECK(!s.was_sent);
    CHECK(strstr(s.why, ": TLS: the peer does not speak TLS (is the URL http://?)"));
    CHECK(!memmem(server.peers[0]->in.p, server.peers[0]->in.n, "hello", 5));
    buf_release(&s.body);
    close_stage();
}

TEST(client_certificate_is_wanted)
{
    open_stage();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        serve(&paper, &ca, version);
        tls.cert_file = tls.key_file = STR_NONE;
        /* With TLS 1.3 he says so when the request has left, but before he looks at it. */
        expect_failure(ERR_TLS, false, ": TLS: the peer wants a client certificate (alert: ");
        tls.cert_file = str_of(paper_write("cert.pem", &paper, PAPER_CERT));
        tls.key_file = str_of(paper_write("key.pem", &paper, PAPER_KEY));
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        expect_ok();
    }
    close_stage();
}

/* --- sharing -------------------------------------------------------------------------------------- */

TEST(identities_do_not_share_connections)
{
    struct egress_tls one = tls, two = tls;
    struct seen s;
    unsigned before;

    open_stage();
    one = two = tls;
    two.cert_file = str_of(paper_write("both.pem", &paper, PAPER_CERT | PAPER_KEY));
    for (int i = 0; i < 6; i++) {
        struct egress_call call;
        struct str body = STR("x");

        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        call = post(&body);
        call.tls = i % 2 ? &one : &two;
        start_call(&s, &call);
        wait_for(&s);
        CHECK_INT(s.err, 0);
        buf_release(&s.body);
    }
    CHECK_INT(figures().opened, 2);
    CHECK_INT(egress->identities.n, 2);
    before = server.n_peers;
    server.is_plain = true;
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    {
        struct str body = STR("x");
        struct egress_call call = post(&body);

        call.url = url("http");
        call.tls = NULL;
        start_call(&s, &call);
        wait_for(&s);
        CHECK_INT(s.err, 0);
        buf_release(&s.body);
    }
    CHECK_INT(server.n_peers, before + 1);
    CHECK_INT(egress->hosts.n, 3);
    close_stage();
}

TEST(sessions_are_resumed)
{
    open_stage();
    for (int i = 0; i < 3; i++) {
        server_script(&server, SERVER_ANSWER,
                      "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                      "Content-Length: 2\r\n\r\nok");
    }
    struct egress_endpoint *keep; /* the host, and with it what is remembered */
    const char *why;

    CHECK_INT(egress_endpoint_new(egress, url("https"), NULL, 0, &tls, &keep, &why), 0);
    for (unsigned i = 0; i < 3; i++) {
        expect_ok();
        CHECK_INT(server.n_peers, i + 1);
        CHECK_INT(SSL_session_reused(server.peers[i]->far.ssl), i > 0);
        CHECK_INT(far_heard_goodbye(&server.peers[i]->far), 0);
        settle();
        CHECK(far_heard_goodbye(&server.peers[i]->far));
    }
    egress_endpoint_free(keep);
    close_stage();
}

/* A renewed CA that has not signed the peer's certificate: nobody gets through on what was proved before. */
TEST(renewed_files_retire_connections)
{
    struct paper other = paper_make((struct paper_wish){.name = "Other CA", .is_ca = true});
    struct egress_endpoint *keep;
    const char *why;

    open_stage();
    CHECK_INT(egress_endpoint_new(egress, url("https"), NULL, 0, &tls, &keep, &why), 0);
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_ok();
    paper_write("new.pem", &other, PAPER_CERT);
    BUG_ON(rename(file_in_folder("new.pem"), file_in_folder("ca.pem")));
    expect_ok(); /* files are looked at once a second */
    CHECK_INT(figures().opened, 1);
    clock_advance_ms(1000);
    expect_failure(ERR_TLS, false, "TLS: unknown issuer \"Test CA\"");
    CHECK_INT(figures().idle, 0);
    BUG_ON(unlink(file_in_folder("ca.pem"))); /* half of a renewal: the last good ones stay */
    clock_advance_ms(1000);
    paper_write("new.pem", &ca, PAPER_CERT);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(new_endpoint("https", &tls, &why), ERR_INVALID);
        CHECK(strstr(why, "caFile") && strstr(why, "No such file"));
    }
    BUG_ON(rename(file_in_folder("new.pem"), file_in_folder("ca.pem")));
    CHECK_INT(new_endpoint("https", &tls, &why), ERR_INVALID); /* not looked at again so soon */
    clock_advance_ms(1000);
    CHECK_INT(new_endpoint("https", &tls, &why), 0);
    expect_ok();
    egress_endpoint_free(keep);
    paper_free(&other);
    close_stage();
}

TEST(running_request_survives_renewed_files)
{
    struct egress_endpoint *keep;
    const char *why;
    struct seen s;

    open_stage();
    CHECK_INT(egress_endpoint_new(egress, url("https"), NULL, 0, &tls, &keep, &why), 0);
    server_script(&server, SERVER_DRIP, OK(2, "ok"));
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    start_post(&s);
    while (server.n_requests == 0)
        loop_turn(loop, true);
    paper_write("new.pem", &ca, PAPER_CERT);
    BUG_ON(rename(file_in_folder("new.pem"), file_in_folder("ca.pem")));
    clock_advance_ms(1000);
    expect_ok(); /* over a new connection; the files are noticed */
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(figures().opened, 2);
    CHECK_INT(figures().idle, 1); /* the one of old is not kept */
    buf_release(&s.body);
    egress_endpoint_free(keep);
    close_stage();
}

/* --- dead and slow connections -------------------------------------------------------------------- */

TEST(connection_that_died_idle_is_replaced)
{
    open_stage();
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        server_script(&server, SERVER_ANSWER, OK(2, "ok"));
        expect_ok();
        server_hang_up_all(&server, by_reset);
        settle();
        CHECK_INT(figures().idle, 0);
        expect_ok();
        server_hang_up_all(&server, false);
        settle();
        CHECK_INT(figures().idle, 0);
    }
    close_stage();
}

/* The reset has arrived and nobody has looked yet: not one byte of ours is taken, even if it must not be
 * seen twice. */
TEST(dead_connection_found_while_writing_is_replaced)
{
    struct seen s;

    open_stage();
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    server_script(&server, SERVER_ANSWER, OK(2, "ok"));
    expect_ok();
    server_hang_up_all(&server, true);
    start_post(&s); /* the client's loop has not turned since */
    wait_for(&s);
    CHECK_INT(s.err, 0);
    CHECK_INT(server.n_requests, 2);
    CHECK_INT(figures().opened, 2);
    buf_release(&s.body);
    close_stage();
}

TEST(handshake_counts_as_connecting)
{
    struct seen s;

    open_stage();
    server.is_reading = false;
    start_post(&s);
    settle();
    clock_advance_ms(5000);
    wait_for(&s);
    CHECK_INT(s.err, ERR_CONNECT);
    CHECK(!s.was_sent);
    if (!strstr(s.why, ": TLS: the handshake was not finished within 5000 ms"))
        CHECK_STR(str_of(s.why), STR("TLS: the handshake ..."));
    buf_release(&s.body);
    close_stage();
}

TEST(cancel_in_every_state)
{
    open_stage();
    server_script(&server, SERVER_DRIP, OK(2, "ok"));
    for (int turns = 0; turns < 12; turns++) {
        struct seen s;

        start_post(&s);
        for (int i = 0; i < turns; i++)
            loop_turn(loop, false);
        if (s.n == 0)
            egress_cancel(s.request);
        settle();
        CHECK_INT(s.n, 0);
        buf_release(&s.body);
    }
    CHECK_INT(figures().busy, 0);
    close_stage();
}

TEST(egress_ends_during_a_handshake)
{
    struct egress_endpoint *outlives;
    const char *why;
    struct seen s;

    open_stage();
    CHECK_INT(egress_endpoint_new(egress, url("https"), NULL, 0, &tls, &outlives, &why), 0);
    start_post(&s);
    settle();
    server.is_reading = false;
    egress_cancel_all(egress);
    CHECK_INT(s.err, ERR_CANCELED);
    buf_release(&s.body);
    egress_free(egress);
    egress_endpoint_free(outlives);
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 4,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    close_stage();
}

/* --- what is refused at once ---------------------------------------------------------------------- */

TEST(settings_that_cannot_be)
{
    struct egress_tls bad;
    struct egress_request *request;
    struct str body = STR("x");
    struct egress_call call;
    const char *why = "";

    open_stage();
    CHECK_INT(new_endpoint("http", &tls, &why), ERR_INVALID);
    CHECK(strstr(why, "write https://"));
    CHECK_INT(new_endpoint("http", &(struct egress_tls){.ca_file = STR_NONE}, &why), 0);
    bad = tls;
    bad.key_file = str_of(paper_write("key.pem", &paper, PAPER_KEY));
    CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
    CHECK_STR(str_of(why), STR("keyFile has no use without certFile"));
    bad.cert_file = str_of(paper_write("cert.pem", &ca, PAPER_CERT));
    CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
    CHECK(strstr(why, "key.pem: holds a key that does not belong to the certificate"));
    bad = tls;
    bad.ca_file = STR("/nowhere/ca.pem");
    CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
    CHECK_STR(str_of(why), STR("caFile /nowhere/ca.pem: No such file or directory"));
    bad.ca_file = STR("");
    CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
    bad.ca_file = STR("a\nb");
    CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
    static const char *const names[] = {"", "a b", "a/b", "https://a", "a:1", "127.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bad = tls;
        bad.server_name = str_of(names[i]);
        CHECK_INT(new_endpoint("https", &bad, &why), ERR_INVALID);
        CHECK_STR(str_of(why), STR("serverName is neither a host name nor an address"));
    }
    bad.server_name = STR("::1");
    CHECK_INT(new_endpoint("https", &bad, &why), 0);
    bad.ca_file = STR("/nowhere/ca.pem");
    call = post(&body);
    call.tls = &bad;
    CHECK_INT(egress_start(egress, &call, on_answer, NULL, &request), ERR_INVALID);
    settle();
    CHECK_INT(egress->identities.n, 0);
    CHECK_INT(egress->hosts.n, 0);
    close_stage();
}

TEST_MAIN
