/* SPDX-License-Identifier: MIT
 *
 * What an answer may look like, and every order in which answering, vanishing and closing may happen.
 */
#include "rig.h"

/* A handler the test chooses, instead of the rig's. */
static void (*handler)(struct exchange *x, struct rig *rig);
static struct exchange *first_held;
static unsigned n_told;

static void on_request(struct exchange *x, void *arg)
{
    struct rig *rig = arg;

    rig->n_requests++;
    handler(x, rig);
}

static void open_with_handler(struct rig *rig, void (*fn)(struct exchange *x, struct rig *rig))
{
    rig_open(rig);
    handler = fn;
    first_held = NULL;
    n_told = 0;
    rig->server->on_request = on_request;
}

/* --- answers -------------------------------------------------------------------------------------- */

static void answer_by_target(struct exchange *x, struct rig *rig)
{
    static const struct exchange_header extra[] = {{"etag", {"\"e\"", 3}},
                                                   {"vary", {"A2A-Version", 11}}};
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyzABCD";
    struct str target = exchange_head(x)->target, parts[40];
    char *huge = mem_zero(1, KB(70));
    struct exchange_header large = {"x-large", {huge, KB(70)}};

    (void)rig;
    memset(huge, 'h', KB(70));
    for (int i = 0; i < 40; i++)
        parts[i] = str_make(&letters[i], 1);
    if (str_is(target, STR("/headers")))
        exchange_answer(x, 404, "a/b", extra, 2, parts, 2);
    else if (str_is(target, STR("/none")))
        exchange_answer(x, 204, NULL, NULL, 0, NULL, 0);
    else if (str_is(target, STR("/same")))
        exchange_answer(x, 304, NULL, extra, 1, parts, 1);
    else if (str_is(target, STR("/parts")))
        exchange_answer(x, 200, NULL, NULL, 0, parts, 40);
    else if (str_is(target, STR("/large")))
        exchange_answer(x, 200, NULL, &large, 1, parts, 1);
    else if (str_is(target, STR("/odd")))
        exchange_answer(x, 599, NULL, NULL, 0, NULL, 0);
    else
        exchange_answer_text(x, 200, "some text");
    mem_free(huge);
}

TEST(answers_of_all_kinds)
{
    struct rig rig;
    struct client c;

    open_with_handler(&rig, answer_by_target);
    client_open(&c, &rig);
    client_send(&c, GET("/headers"));
    CHECK(client_until(&c, "\r\netag: \"e\"\r\nvary: A2A-Version\r\n\r\n01", 1));
    CHECK(client_has(&c, "HTTP/1.1 404 Not Found\r\n"));
    client_send(&c, GET("/none"));
    CHECK(client_until(&c, "HTTP/1.1 204 No Content\r\n", 1));
    CHECK_INT(client_count(&c, "content-length"), 1); /* that of the first */
    client_send(&c, GET("/same"));
    CHECK(client_until(&c, "HTTP/1.1 304 Not Modified\r\n", 1));
    CHECK_INT(client_count(&c, "content-length"), 1);
    client_send(&c, GET("/parts"));
    CHECK(client_until(&c, "\r\n\r\n0123456789abcdefghijklmnopqrstuvwxyzABCD", 1));
    client_send(&c, GET("/odd"));
    CHECK(client_until(&c, "HTTP/1.1 599 \r\n", 1));
    client_send(&c, GET("/large"));
    CHECK(client_until(&c, "HTTP/1.1 500 Internal Server Error\r\n", 1));
    client_send(&c, GET("/text"));
    CHECK(client_until(&c, "some text", 1));
    CHECK(client_has(&c, "content-type: text/plain; charset=utf-8\r\n"));
    client_close(&c);
    rig_close(&rig);
}

TEST(head_is_answered_without_body)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    client_send(&c,
                STR("HEAD /h HTTP/1.1\r\nHost: h\r\n\r\nGET /g HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK(client_until(&c, "GET /g \n", 1));
    CHECK(client_has(&c, "content-length: 9\r\n")); /* what GET would send, "HEAD /h \n" */
    CHECK(!client_has(&c, "HEAD /h"));
    client_close(&c);
    rig_close(&rig);
}

static void until_id(struct client *c, const char *sent, char id[64])
{
    const char *hit;

    buf_clear(&c->got);
    client_send(c, STR("GET / HTTP/1.1\r\nHost: h\r\n"));
    client_send(c, str_of(sent));
    client_send(c, STR("\r\n"));
    id[0] = '\0';
    if (!client_until(c, "GET / \n", 1))
        return;
    hit = memmem(c->got.p, c->got.n, "x-request-id: ", 14);
    CHECK(hit);
    if (hit)
        snprintf(id, 64, "%.*s", (int)strcspn(hit + 14, "\r"), hit + 14);
}

TEST(request_ids_are_taken_or_made)
{
    struct rig rig;
    struct client c;
    char a[64], b[64], long_id[300];

    rig_open(&rig);
    client_open(&c, &rig);
    until_id(&c, "X-Request-ID:  abc/1~! \r\n", a);
    CHECK_STR(str_of(a), STR("abc/1~!"));
    until_id(&c, "", a);
    until_id(&c, "x-request-id: two words\r\n", b);
    CHECK(strlen(a) == 10 && a[8] == '-' && a[9] == '1');
    CHECK(strlen(b) == 10 && strncmp(a, b, 9) == 0 && b[9] == '2');
    until_id(&c, "x-request-id:\r\n", b);
    CHECK(b[9] == '3');
    until_id(&c, "x-request-id: caf\xc3\xa9\r\n", b);
    CHECK(b[9] == '4');
    snprintf(long_id, sizeof long_id, "x-request-id: %0129d\r\n", 0);
    until_id(&c, long_id, b);
    CHECK(b[9] == '5');
    rig.server->id_counter = UINT64_MAX - 1;
    until_id(&c, "", b);
    CHECK_STR(str_of(b + 8), STR("-ffffffffffffffff"));
    client_close(&c);
    rig_close(&rig);
}

TEST(the_date_follows_the_clock)
{
    struct rig rig;
    struct client c;

    rig_open(&rig);
    client_open(&c, &rig);
    rig_wall_us = -5000000; /* 1970-01-01T00:00:00Z */
    client_send(&c, GET("/"));
    CHECK(client_until(&c, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 1));
    rig_wall_us = INT64_C(1709164799900000) - 5000000; /* 2024-02-28T23:59:59.9Z */
    rig_ms += 1000;
    rig_wall_us -= 1000000;
    client_send(&c, GET("/"));
    CHECK(client_until(&c, "date: Wed, 28 Feb 2024 23:59:59 GMT\r\n", 1));
    rig_ms += 99;
    client_send(&c, GET("/"));
    CHECK(client_until(&c, "23:59:59 GMT\r\n", 2));
    rig_ms += 1; /* the second ends within the second since the last look */
    client_send(&c, GET("/"));
    CHECK(client_until(&c, "date: Thu, 29 Feb 2024 00:00:00 GMT\r\n", 1));
    client_close(&c);
    rig_close(&rig);
}

/* --- orders of events ----------------------------------------------------------------------------- */

static void on_told(void *arg)
{
    (void)arg;
    n_told++;
}

static void close_server(struct rig *rig)
{
    server_close(rig->server);
    rig->server = NULL;
}

static void close_then_answer(struct exchange *x, struct rig *rig)
{
    close_server(rig);
    exchange_answer_text(x, 200, "too late");
}

static void ask_then_close(struct exchange *x, struct rig *rig)
{
    exchange_on_gone(x, on_told, NULL);
    close_server(rig);
    CHECK_INT(n_told, 1);
}

static void close_then_ask(struct exchange *x, struct rig *rig)
{
    close_server(rig);
    exchange_on_gone(x, on_told, NULL);
    CHECK_INT(n_told, 0); /* never from inside the asking */
}

static void close_and_keep(struct exchange *x, struct rig *rig)
{
    first_held = x;
    close_server(rig);
}

static void answer_then_close(struct exchange *x, struct rig *rig)
{
    exchange_answer_text(x, 200, "in time");
    close_server(rig);
}

/* Two requests in one write, of which the handler sees the first only. */
static void close_inside(void (*fn)(struct exchange *x, struct rig *rig))
{
    struct rig rig;
    struct client c;

    open_with_handler(&rig, fn);
    client_open(&c, &rig);
    client_send(&c,
                STR("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
    CHECK(client_until_eof(&c));
    CHECK_INT(rig.n_requests, 1);
    if (first_held)
        exchange_answer_text(first_held, 200, "long after");
    client_close(&c);
    rig_close(&rig);
}

TEST(the_server_may_be_closed_by_a_handler)
{
    close_inside(close_then_answer);
    close_inside(ask_then_close);
    close_inside(close_and_keep);
    close_inside(answer_then_close);
    close_inside(close_then_ask);
    CHECK_INT(n_told, 1);
}

static void hold_first(struct exchange *x, struct rig *rig)
{
    (void)rig;
    if (first_held)
        exchange_answer_text(x, 200, "second");
    else
        first_held = x;
}

TEST(who_thinks_better_of_asking_may_still_answer)
{
    struct rig rig;
    struct client c;

    open_with_handler(&rig, hold_first);
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(rig_until_requests(&rig, 1));
    client_reset(&c);
    rig_rest(&rig);
    exchange_on_gone(first_held, on_told, NULL);
    exchange_on_gone(first_held, NULL, NULL);
    rig_rest(&rig);
    exchange_answer_text(first_held, 200, "nobody hears");
    rig_rest(&rig);
    CHECK_INT(n_told, 0);
    rig_close(&rig);
}

static void answer_the_other(void *arg)
{
    struct exchange *other = first_held;

    (void)arg;
    n_told++;
    first_held = NULL;
    if (other)
        exchange_answer_text(other, 200, "the other has gone");
}

static void hold_pair(struct exchange *x, struct rig *rig)
{
    (void)rig;
    exchange_on_gone(x, answer_the_other, NULL);
    first_held = x;
}

TEST(who_is_told_gone_may_answer_another)
{
    struct rig rig;
    struct client c, d;

    open_with_handler(&rig, hold_pair);
    client_open(&c, &rig);
    client_send(&c, GET("/c"));
    CHECK(rig_until_requests(&rig, 1));
    client_open(&d, &rig);
    client_send(&d, GET("/d"));
    CHECK(rig_until_requests(&rig, 2));
    client_reset(&c);
    CHECK(client_until(&d, "the other has gone", 1));
    CHECK_INT(n_told, 1);
    client_close(&d);
    rig_close(&rig);
}

TEST(closing_the_server_tells_all_even_if_they_answer_each_other)
{
    struct rig rig;
    struct client c, d, e;

    open_with_handler(&rig, hold_pair);
    client_open(&c, &rig);
    client_send(&c, GET("/c"));
    CHECK(rig_until_requests(&rig, 1));
    client_open(&d, &rig);
    client_open(&e, &rig);
    client_send(&d, STR("GET /d HTTP/1.0\r\n\r\n")); /* answering ends the peer */
    CHECK(rig_until_requests(&rig, 2));
    close_server(&rig);
    CHECK_INT(n_told, 1); /* the other one was answered */
    CHECK(client_until_eof(&c) && client_until_eof(&e));
    client_close(&c);
    client_close(&d);
    client_close(&e);
    rig_close(&rig);
}

static void look_at_peer(struct exchange *x, struct rig *rig)
{
    (void)rig;
    CHECK(exchange_peer_is_loopback(x));
    CHECK(str_has_prefix(str_of(exchange_peer(x)), STR("127.0.0.1:")));
    CHECK_INT(exchange_request_id(x).n, 10);
    exchange_answer_text(x, 200, "seen");
}

TEST(the_peer_is_known)
{
    struct rig rig;
    struct client c;

    open_with_handler(&rig, look_at_peer);
    client_open(&c, &rig);
    client_send(&c, GET("/"));
    CHECK(client_until(&c, "seen", 1));
    client_close(&c);
    rig_close(&rig);
}

/* --- any order ------------------------------------------------------------------------------------ */

#define CROWD 12

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice >> 11) % sides;
}

static void client_act(struct rig *rig, struct client *c)
{
#define SAY(text)                                                                              \
    {                                                                                          \
        text, sizeof text - 1                                                                  \
    }
    static const struct str says[] = {
        SAY("GET /a HTTP/1.1\r\nHost: h\r\n\r\n"),
        SAY("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"),
        SAY("GET /l HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        SAY("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo"),
        SAY("dy"),
        SAY("POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
        SAY("HEAD /h HTTP/1.0\r\n\r\n"),
        SAY("garbage\r\n"),
    };
#undef SAY

    if (c->fd < 0) {
        client_open(c, rig);
        return;
    }
    switch (roll(8)) {
    case 0:
        client_reset(c);
        break;
    case 1:
        client_close(c);
        break;
    case 2:
        shutdown(c->fd, SHUT_WR);
        break;
    case 3:
        client_take(c);
        break;
    default:
        client_send(c, says[roll(sizeof says / sizeof *says)]);
    }
}

static void server_act(struct rig *rig)
{
    size_t i = roll(RIG_HELD);

    switch (roll(6)) {
    case 0:
        rig->mode = roll(3) ? RIG_HOLD : roll(2) ? RIG_ECHO : RIG_BIG;
        break;
    case 1:
        rig_ms += roll(20000);
        break;
    default:
        for (size_t n = 0; n < RIG_HELD && !rig->held[i]; n++)
            i = (i + 1) % RIG_HELD;
        if (rig->held[i]) {
            struct exchange *x = rig->held[i];

            rig->held[i] = NULL;
            rig_echo(x);
        }
    }
}

static unsigned count_held(const struct rig *rig)
{
    unsigned n = 0;

    for (size_t i = 0; i < RIG_HELD; i++)
        n += rig->held[i] != NULL;
    return n;
}

/* The rig's table of held exchanges has room: at most CROWD are open, and each slot is tried in turn. */
static void any_order(uint64_t seed)
{
    struct client crowd[CROWD];
    struct rig rig;
    struct server_figures figures;

    dice = seed;
    rig_open(&rig);
    rig.big = 400000;
    for (int i = 0; i < CROWD; i++)
        crowd[i].fd = -1;
    for (int step = 0; step < 3000; step++) {
        if (roll(3))
            client_act(&rig, &crowd[roll(CROWD)]);
        else
            server_act(&rig);
        while (rig.held[rig.n_held % RIG_HELD])
            rig.n_held++;
        rig_turn(&rig);
        server_figures(rig.server, &figures);
        CHECK_INT(figures.exchanges, count_held(&rig));
    }
    CHECK(rig.n_requests > 100); /* the program did something */
    if (roll(2))
        server_drain(rig.server, 1000, rig_on_drained, &rig);
    if (roll(2))
        rig_pass(&rig, 2000);
    for (int i = 0; i < CROWD; i++)
        client_close(&crowd[i]);
    close_server(&rig);
    CHECK_INT(count_held(&rig), 0); /* all told */
    rig_close(&rig);
}

TEST(any_order_of_events)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        any_order(seed * 0x9e3779b97f4a7c15u);
}

TEST_MAIN
