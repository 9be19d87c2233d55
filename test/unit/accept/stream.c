/* SPDX-License-Identifier: MIT
 *
 * Answers in pieces, as bytes on the wire, and what becomes of them when the peer is slow or gone.
 */
#include "rig.h"

static struct exchange *open_now;
static unsigned n_gone, n_drained;

static void on_gone(void *arg)
{
    (void)arg;
    open_now = NULL;
    n_gone++;
}

static void on_drain(void *arg)
{
    (void)arg;
    n_drained++;
}

/* The newest held exchange becomes a stream. */
static struct exchange *begin_stream(struct rig *rig)
{
    static const struct exchange_header headers[] = {{"cache-control", {"no-cache", 8}}};
    struct exchange *x = rig->held[rig->n_held - 1];

    n_gone = n_drained = 0;
    exchange_on_gone(x, on_gone, NULL);
    exchange_stream(x, 200, "text/event-stream", headers, 1, on_drain);
    open_now = x;
    return x;
}

static int write_text(struct exchange *x, const char *text)
{
    struct str part = str_of(text);

    return exchange_write(x, &part, 1);
}

static const char request_1_1[] = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi";

static struct exchange *open_stream(struct rig *rig, struct client *c, const char *request)
{
    rig_open(rig);
    rig->mode = RIG_HOLD;
    rig->tell_gone = false;
    client_open(c, rig);
    client_send(c, str_of(request));
    CHECK(rig_until_requests(rig, 1));
    return begin_stream(rig);
}

static void close_all(struct rig *rig, struct client *c)
{
    client_close(c);
    rig_close(rig);
}

TEST(pieces_are_chunks_and_the_end_is_one)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, request_1_1);

    CHECK_INT(write_text(x, "data: 1\n\n"), 0);
    CHECK(client_until(&c, "\r\n\r\n9\r\ndata: 1\n\n\r\n", 1));
    CHECK(client_has(&c, "transfer-encoding: chunked\r\n"));
    CHECK(client_has(&c, "connection: close\r\n"));
    CHECK(client_has(&c, "cache-control: no-cache\r\n"));
    CHECK(!client_has(&c, "content-length"));
    client_send(&c, STR("GET /behind HTTP/1.1\r\nhost: h\r\n\r\n")); /* dropped */
    rig_rest(&rig);
    CHECK_INT(write_text(x, "data: 2\n\n"), 0);
    CHECK(client_until(&c, "9\r\ndata: 2\n\n\r\n", 1));
    exchange_end(x);
    CHECK(client_until_eof(&c));
    CHECK_STR(str_make(c.got.p + c.got.n - 5, 5), STR("0\r\n\r\n"));
    CHECK_INT(rig.n_requests, 1);
    CHECK_INT(n_gone, 0);
    close_all(&rig, &c);
}

TEST(http_1_0_reads_to_the_end_of_the_connection)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, "GET / HTTP/1.0\r\nhost: h\r\n\r\n");

    CHECK_INT(write_text(x, "one"), 0);
    CHECK_INT(write_text(x, "two"), 0);
    exchange_end(x);
    CHECK(client_until_eof(&c));
    CHECK(!client_has(&c, "transfer-encoding"));
    CHECK_STR(str_make(c.got.p + c.got.n - 10, 10), STR("\r\n\r\nonetwo"));
    close_all(&rig, &c);
}

TEST(head_gets_the_head_alone)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, "HEAD / HTTP/1.1\r\nhost: h\r\n\r\n");

    CHECK_INT(write_text(x, "one"), 0);
    exchange_end(x);
    CHECK(client_until_eof(&c));
    CHECK_STR(str_make(c.got.p + c.got.n - 4, 4), STR("\r\n\r\n"));
    close_all(&rig, &c);
}

TEST(a_stream_without_a_piece_ends_properly)
{
    struct client c;
    struct rig rig;

    exchange_end(open_stream(&rig, &c, request_1_1));
    CHECK(client_until_eof(&c));
    CHECK(client_has(&c, "\r\n\r\n0\r\n\r\n"));
    close_all(&rig, &c);
}

TEST(who_hangs_up_is_gone_at_once)
{
    for (int by_reset = 0; by_reset < 3; by_reset++) {
        struct client c;
        struct rig rig;
        struct exchange *x = open_stream(&rig, &c, request_1_1);

        CHECK_INT(write_text(x, "one"), 0);
        CHECK(client_until(&c, "one", 1));
        if (by_reset == 0)
            shutdown(c.fd, SHUT_WR); /* whoever has no more to say does not read on either */
        else if (by_reset == 1)
            client_reset(&c);
        else
            client_close(&c);
        rig_rest(&rig);
        CHECK_INT(n_gone, 1);
        CHECK(!open_now);
        close_all(&rig, &c);
    }
}

TEST(who_had_finished_before_it_began_is_gone)
{
    struct client c;
    struct rig rig;

    rig_open(&rig);
    rig.mode = RIG_HOLD;
    rig.tell_gone = false;
    client_open(&c, &rig);
    client_send(&c, str_of(request_1_1));
    CHECK(rig_until_requests(&rig, 1));
    shutdown(c.fd, SHUT_WR);
    rig_rest(&rig);
    begin_stream(&rig);
    CHECK_INT(n_gone, 0); /* never from inside */
    rig_rest(&rig);
    CHECK_INT(n_gone, 1);
    close_all(&rig, &c);
}

static char block[KB(32)];

/* Until the peer's buffers, the kernel's and ours are full. Returns how much was written. */
static size_t fill(struct rig *rig, struct exchange *x)
{
    struct str part = {block, sizeof block};
    size_t n = 0;
    int err = 0;

    memset(block, 'x', sizeof block);
    while (!err && n < MB(64)) {
        err = exchange_write(x, &part, 1);
        n += sizeof block;
        rig_turn(rig);
    }
    CHECK_INT(err, ERR_AGAIN);
    return n;
}

TEST(a_slow_reader_is_waited_for_and_gets_everything)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, request_1_1);
    size_t n = fill(&rig, x);

    CHECK_INT(n_drained, 0);
    for (int i = 0; i < RIG_TURNS && !n_drained; i++) {
        client_take(&c);
        rig_turn(&rig);
    }
    CHECK_INT(n_drained, 1);
    CHECK_INT(write_text(x, "last words"), 0);
    exchange_end(x); /* with bytes still under way */
    CHECK(client_until_eof(&c));
    CHECK_INT(client_count(&c, "8000\r\nxxxxxxxx"), n / sizeof block);
    CHECK_STR(str_make(c.got.p + c.got.n - 20, 20), STR("a\r\nlast words\r\n0\r\n\r\n"));
    CHECK_INT(n_gone, 0);
    close_all(&rig, &c);
}

TEST(a_piece_may_be_larger_than_everything)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, request_1_1);
    size_t n = MB(5);
    char *bytes = mem_zero(n, 1);
    struct str part = {bytes, n};

    memset(bytes, 'y', n);
    CHECK_INT(exchange_write(x, &part, 1), ERR_AGAIN);
    mem_free(bytes);
    exchange_end(x);
    CHECK(client_until_eof(&c));
    CHECK(client_has(&c, "\r\n\r\n500000\r\nyyyy"));
    CHECK(c.got.n > n);
    close_all(&rig, &c);
}

TEST(who_takes_nothing_for_half_a_minute_is_let_go)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, request_1_1);

    fill(&rig, x);
    rig_pass(&rig, 29000);
    CHECK_INT(n_gone, 0);
    rig_pass(&rig, 2000);
    CHECK_INT(n_gone, 1);
    close_all(&rig, &c);
}

TEST(an_idle_stream_has_no_deadline)
{
    struct client c;
    struct rig rig;
    struct exchange *x = open_stream(&rig, &c, request_1_1);

    CHECK_INT(write_text(x, "one"), 0);
    rig_pass(&rig, 3600000);
    CHECK_INT(n_gone, 0);
    CHECK_INT(write_text(x, "two"), 0);
    CHECK(client_until(&c, "two", 1));
    printf("    %zu bytes a peer; its parser is given back\n", sizeof(struct peer));
    exchange_end(x);
    close_all(&rig, &c);
}

TEST(a_closing_server_tells_its_streams)
{
    struct client c;
    struct rig rig;

    (void)open_stream(&rig, &c, request_1_1);
    server_close(rig.server);
    rig.server = NULL;
    CHECK_INT(n_gone, 1);
    client_close(&c);
    rig_pass(&rig, 10000);
    loop_free(rig.loop);
    clock_set(NULL);
    alarm(0);
}

TEST_MAIN
