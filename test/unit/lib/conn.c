/* SPDX-License-Identifier: MIT
 *
 * Connections over real loopback sockets. The far end is a plain socket the test drives by hand, or a second
 * connection on the same loop. Nothing sleeps: turns are taken until what must happen has happened; should it
 * never happen, the alarm ends the program.
 */
#include "check.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/conn.h"
#include "lib/limits.h"
#include "unit/lib/far_tls.h"

/* --- the stage ------------------------------------------------------------------------------------ */

enum when { NEVER, AT_OPEN, AT_READ, AT_EOF, AT_DRAIN, AT_CLOSE };

/* One connection and what it was told. */
struct side {
    struct conn *c;
    unsigned opens, reads, eofs, drains, closes;
    int err;
    char why[96];
    struct buf in;
    enum when close_when; /* closes from inside that callback */
    bool gently;
    bool in_call; /* no callback may come now */
};

static struct loop *l;
static uv_tcp_t listener;
static struct sockaddr_in here;
static struct side accepted;
static int n_fds_before;

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Closes from inside a callback, then does to the connection what a careless callback might still do. */
static void meet(struct side *s, enum when when)
{
    struct str part = STR("too late");

    CHECK(!s->in_call);
    if (s->close_when != when)
        return;
    if (s->gently)
        conn_close_gently(s->c, 1000);
    else
        conn_close(s->c);
    CHECK_INT(conn_write(s->c, &part, 1), ERR_CLOSED);
    conn_cork(s->c);
    conn_uncork(s->c);
    conn_pause(s->c);
    conn_resume(s->c);
    conn_finish(s->c);
    if (!s->gently)
        conn_close_gently(s->c, 1000);
    conn_close(s->c);
    conn_close(s->c);
}

static void on_open(struct conn *c, void *arg)
{
    struct side *s = arg;

    CHECK(c == s->c);
    s->opens++;
    meet(s, AT_OPEN);
}

static void on_read(struct conn *c, const char *p, size_t n, void *arg)
{
    struct side *s = arg;

    CHECK(c == s->c);
    CHECK_INT(s->eofs, 0);
    buf_add(&s->in, p, n);
    s->reads += n > 0;
    s->eofs += n == 0;
    meet(s, n ? AT_READ : AT_EOF);
}

static void on_drain(struct conn *c, void *arg)
{
    struct side *s = arg;

    CHECK(conn_backlog(c) <= LIMIT_CONN_OUT_HIGH / 2);
    s->drains++;
    meet(s, AT_DRAIN);
}

static void on_close(struct conn *c, int err, const char *why, void *arg)
{
    struct side *s = arg;

    CHECK(c == s->c);
    s->closes++;
    s->err = err;
    snprintf(s->why, sizeof s->why, "%s", why);
    meet(s, AT_CLOSE);
    s->c = NULL;
}

static const struct conn_events events = {on_open, on_read, on_drain, on_close};

static void side_init(struct side *s)
{
    *s = (struct side){.close_when = NEVER};
    buf_init(&s->in, MB(64));
}

static void on_connection(uv_stream_t *stream, int status)
{
    CHECK_INT(status, 0);
    CHECK_INT(conn_accept(l, stream, &events, &accepted, &accepted.c), 0);
}

static void open_stage(void)
{
    int length = sizeof here;

    alarm(120);
    loop_free(loop_new()); /* the first loop of a process makes libuv open a pipe for good */
    n_fds_before = count_fds();
    l = loop_new();
    side_init(&accepted);
    here =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_INT(uv_tcp_init(loop_uv(l), &listener), 0);
    CHECK_INT(uv_tcp_bind(&listener, (struct sockaddr *)&here, 0), 0);
    CHECK_INT(uv_listen((uv_stream_t *)&listener, 128, on_connection), 0);
    CHECK_INT(uv_tcp_getsockname(&listener, (struct sockaddr *)&here, &length), 0);
}

static void side_release(struct side *s)
{
    conn_close(s->c);
    s->c = NULL;
    buf_release(&s->in);
}

/* Everything must be gone: memory (the sanitizer looks), handles (the loop looks), descriptors. */
static void close_stage(void)
{
    side_release(&accepted);
    if (!uv_is_closing((uv_handle_t *)&listener))
        uv_close((uv_handle_t *)&listener, NULL);
    loop_run(l);
    loop_free(l);
    CHECK_INT(count_fds(), n_fds_before);
    alarm(0);
}

#define TURN_UNTIL(condition)                                                                  \
    while (!(condition))                                                                       \
    loop_turn(l, true)

/* A plain client of the listener; `accepted` is the connection under test. */
static int raw_client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(connect(fd, (struct sockaddr *)&here, sizeof here), 0);
    TURN_UNTIL(accepted.c);
    return fd;
}

/* A connection under test as client, to `accepted`. */
static void connect_side(struct side *s)
{
    side_init(s);
    CHECK_INT(conn_connect(l, (struct sockaddr *)&here, &events, s, &s->c), 0);
}

static void raw_send(int fd, const char *p, size_t n)
{
    CHECK_INT(send(fd, p, n, MSG_NOSIGNAL), n);
}

/* What the plain socket has received, up to `n` bytes, taking turns until they are there or it ends. */
static struct str raw_receive(int fd, size_t n, bool *eof)
{
    static char text[MB(4)];
    size_t got = 0;

    *eof = false;
    while (got < n) {
        ssize_t k = recv(fd, text + got, n - got, MSG_DONTWAIT);

        if (k > 0) {
            got += (size_t)k;
        } else if (k == 0) {
            *eof = true;
            break;
        } else if (errno == EAGAIN) {
            loop_turn(l, false);
        } else {
            printf("    recv: %s\n", strerror(errno));
            test_failures++;
            break;
        }
    }
    return str_make(text, got);
}

static int write_z(struct side *s, const char *z)
{
    struct str part = str_of(z);
    int err;

    s->in_call = true;
    err = conn_write(s->c, &part, 1);
    s->in_call = false;
    return err;
}

/* Byte i of a stream; a lost, doubled or swapped piece shows. */
static char byte_at(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static bool is_stream(struct str s, size_t from)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != byte_at(from + i))
            return false;
    return true;
}

static void fill_stream(char *p, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(from + i);
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

/* --- the play ------------------------------------------------------------------------------------- */

TEST(both_directions)
{
    struct str parts[] = {STR("hel"), STR_NONE, STR(""), STR("lo")};
    struct side client;
    char want[32];

    open_stage();
    connect_side(&client);
    CHECK_INT(client.opens, 0); /* never from inside */
    TURN_UNTIL(client.opens && accepted.c);
    CHECK_INT(conn_write(client.c, parts, 4), 0);
    CHECK_INT(conn_write(client.c, parts, 0), 0);
    CHECK_INT(conn_backlog(client.c), 0);
    TURN_UNTIL(accepted.in.n == 5);
    CHECK_STR(buf_str(&accepted.in), STR("hello"));
    CHECK_INT(write_z(&accepted, "world"), 0);
    TURN_UNTIL(client.in.n == 5);
    CHECK_STR(buf_str(&client.in), STR("world"));
    snprintf(want, sizeof want, "127.0.0.1:%u", ntohs(here.sin_port));
    CHECK_STR(str_of(conn_peer(client.c)), str_of(want));
    CHECK(str_has_prefix(str_of(conn_peer(accepted.c)), STR("127.0.0.1:")));
    CHECK(conn_peer_is_loopback(client.c) && conn_peer_is_loopback(accepted.c));
    CHECK_INT(client.opens, 1);
    CHECK_INT(accepted.opens, 0);
    conn_close(client.c);
    client.c = NULL;
    TURN_UNTIL(accepted.eofs);
    CHECK_INT(client.closes + accepted.closes, 0);
    side_release(&client);
    close_stage();
}

TEST(written_before_it_is_connected)
{
    struct side client;

    open_stage();
    connect_side(&client);
    CHECK_INT(write_z(&client, "early "), 0);
    CHECK_INT(write_z(&client, "bird"), 0);
    CHECK_INT(conn_backlog(client.c), 10);
    conn_finish(client.c);
    TURN_UNTIL(accepted.eofs);
    CHECK_STR(buf_str(&accepted.in), STR("early bird"));
    side_release(&client);
    close_stage();
}

TEST(connecting_fails)
{
    struct sockaddr_storage odd = {.ss_family = AF_UNIX};
    struct conn *none = NULL;
    struct side client;

    open_stage();
    uv_close((uv_handle_t *)&listener, NULL); /* nobody listens there now */
    loop_turn(l, false);
    connect_side(&client);
    CHECK_INT(write_z(&client, "x"), 0);
    TURN_UNTIL(client.closes);
    CHECK_INT(client.err, ERR_CONNECT);
    CHECK_STR(str_of(client.why), STR("connection refused"));
    CHECK_INT(client.opens, 0);
    CHECK_INT(conn_connect(l, (struct sockaddr *)&odd, &events, &client, &none), ERR_INVALID);
    CHECK(!none);
    loop_run(l);
    CHECK_INT(client.closes, 1);
    side_release(&client);
    close_stage();
}

TEST(closed_while_connecting)
{
    struct side client;

    open_stage();
    connect_side(&client);
    conn_close(client.c);
    client.c = NULL;
    for (int i = 0; i < 5; i++)
        loop_turn(l, false);
    CHECK_INT(client.opens + client.closes + client.eofs, 0);
    connect_side(&client);
    conn_close_gently(client.c, 10);
    client.c = NULL;
    side_release(&client);
    close_stage();
}

/* 6 MB against a reader who starts late: the writer is told to wait, waits, and every byte arrives. */
TEST(back_pressure)
{
    const size_t total = MB(6);
    size_t sent = 0, got = 0;
    unsigned waits = 0;
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    while (got < total) {
        char piece[50000];
        int err = 0;

        while (sent < total && !err) {
            size_t n = total - sent < sizeof piece ? total - sent : sizeof piece;
            struct str parts[2] = {{piece, n / 3}, {piece + n / 3, n - n / 3}};

            fill_stream(piece, n, sent);
            accepted.in_call = true;
            err = conn_write(accepted.c, parts, 2);
            accepted.in_call = false;
            CHECK(err == 0 || err == ERR_AGAIN);
            CHECK_INT(err == ERR_AGAIN, conn_backlog(accepted.c) > LIMIT_CONN_OUT_HIGH);
            CHECK(conn_backlog(accepted.c) <= LIMIT_CONN_OUT_HIGH + sizeof piece);
            sent += n;
        }
        waits += err == ERR_AGAIN;
        for (unsigned before = accepted.drains; got < sent && accepted.drains == before;) {
            struct str s = raw_receive(fd, sent - got < KB(256) ? sent - got : KB(256), &eof);

            CHECK(is_stream(s, got));
            got += s.n;
            loop_turn(l, false);
        }
        if (err == ERR_AGAIN) /* the promise: whoever was told to wait is told when to go on */
            TURN_UNTIL(accepted.drains == waits);
    }
    CHECK(waits > 0);
    CHECK_INT(accepted.drains, waits);
    CHECK_INT(conn_backlog(accepted.c), 0);
    close(fd);
    close_stage();
}

TEST(a_writer_who_never_waits_is_cut_off)
{
    char *large = calloc(1, MB(16));
    struct str part = {large, MB(16)};
    int err = 0, fd;

    open_stage();
    fd = raw_client();
    for (int i = 0; i < 8 && (err == 0 || err == ERR_AGAIN); i++)
        err = conn_write(accepted.c, &part, 1);
    CHECK_INT(err, ERR_LIMIT);
    CHECK_INT(accepted.closes, 0);
    CHECK_INT(conn_write(accepted.c, &part, 1), ERR_CLOSED);
    TURN_UNTIL(accepted.closes);
    CHECK_INT(accepted.err, ERR_LIMIT);
    CHECK_INT(accepted.drains, 0);
    free(large);
    close(fd);
    close_stage();
}

TEST(peer_finishes_first)
{
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    raw_send(fd, "question", 8);
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(accepted.eofs);
    CHECK_STR(buf_str(&accepted.in), STR("question"));
    conn_pause(accepted.c);
    conn_resume(accepted.c); /* no second EOF */
    CHECK_INT(write_z(&accepted, "answer"), 0);
    conn_finish(accepted.c);
    CHECK_STR(raw_receive(fd, 100, &eof), STR("answer"));
    CHECK(eof);
    CHECK_INT(accepted.eofs, 1);
    CHECK_INT(accepted.closes, 0);
    close(fd);
    close_stage();
}

TEST(we_finish_first)
{
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    conn_cork(accepted.c);
    CHECK_INT(write_z(&accepted, "last words"), 0);
    conn_finish(accepted.c);
    conn_finish(accepted.c);
    CHECK_INT(write_z(&accepted, "more"), ERR_CLOSED);
    loop_turn(l, false);
    CHECK(recv(fd, &eof, 1, MSG_DONTWAIT) < 0); /* corked: FIN waits as well */
    conn_uncork(accepted.c);
    CHECK_STR(raw_receive(fd, 100, &eof), STR("last words"));
    CHECK(eof);
    raw_send(fd, "still talking", 13);
    TURN_UNTIL(accepted.in.n == 13);
    close(fd);
    TURN_UNTIL(accepted.eofs);
    CHECK_INT(accepted.closes, 0);
    close_stage();
}

TEST(reset_by_peer)
{
    int fd;

    open_stage();
    fd = raw_client();
    reset(fd);
    TURN_UNTIL(accepted.closes);
    CHECK_INT(accepted.err, ERR_CLOSED);
    CHECK_STR(str_of(accepted.why), STR("connection reset by peer"));
    CHECK_INT(accepted.eofs, 0);
    for (int i = 0; i < 3; i++)
        loop_turn(l, false);
    CHECK_INT(accepted.closes, 1);
    close_stage();
}

TEST(reset_is_noticed_by_writing_while_paused)
{
    int fd, err = 0;

    open_stage();
    fd = raw_client();
    conn_pause(accepted.c);
    reset(fd);
    err = write_z(&accepted, "anybody there?");
    CHECK_INT(err, ERR_CLOSED);
    CHECK_INT(accepted.closes, 0); /* never from inside */
    CHECK_INT(write_z(&accepted, "again"), ERR_CLOSED);
    TURN_UNTIL(accepted.closes);
    CHECK_INT(accepted.err, ERR_CLOSED);
    CHECK_INT(accepted.closes, 1);
    close_stage();
}

TEST(reset_with_bytes_in_flight)
{
    static char large[MB(8)];
    struct str part = {large, sizeof large};
    int fd;

    open_stage();
    fd = raw_client();
    CHECK_INT(conn_write(accepted.c, &part, 1), ERR_AGAIN);
    CHECK(conn_backlog(accepted.c) > 0);
    reset(fd);
    TURN_UNTIL(accepted.closes);
    CHECK_INT(accepted.err, ERR_CLOSED);
    CHECK_INT(accepted.drains, 0);
    close_stage();
}

static void close_from_inside(enum when when, bool gently)
{
    static char large[MB(8)];
    struct str part = {large, sizeof large};
    struct side client;
    bool is_done = false;

    open_stage();
    connect_side(&client);
    client.close_when = when;
    client.gently = gently;
    TURN_UNTIL(client.opens && accepted.c);
    if (when == AT_READ || when == AT_EOF)
        CHECK_INT(write_z(&accepted, "x"), 0);
    if (when == AT_EOF)
        conn_finish(accepted.c);
    if (when == AT_DRAIN)
        CHECK_INT(conn_write(client.c, &part, 1), ERR_AGAIN);
    if (when == AT_CLOSE) {
        conn_pause(client.c);
        CHECK_INT(conn_write(client.c, &part, 1), ERR_AGAIN);
        conn_close(accepted.c); /* with bytes unread: that is a reset */
        accepted.c = NULL;
    }
    while (!is_done) {
        loop_turn(l, true);
        is_done = (when == AT_OPEN && client.opens) || (when == AT_READ && client.reads) ||
                  (when == AT_EOF && client.eofs) || (when == AT_DRAIN && client.drains) ||
                  (when == AT_CLOSE && client.closes);
        if (when == AT_OPEN)
            break;
    }
    for (int i = 0; i < 5; i++)
        loop_turn(l, false);
    CHECK_INT(client.closes, when == AT_CLOSE);
    CHECK(client.opens == 1 && client.reads <= 1 && client.eofs <= 1 && client.drains <= 1);
    client.c = NULL; /* closed long ago */
    side_release(&client);
    close_stage();
}

TEST(closing_from_inside_any_callback)
{
    for (enum when when = AT_OPEN; when <= AT_CLOSE; when++) {
        close_from_inside(when, false);
        close_from_inside(when, true);
    }
}

TEST(pausing)
{
    int fd;

    open_stage();
    fd = raw_client();
    conn_pause(accepted.c);
    raw_send(fd, "abc", 3);
    for (int i = 0; i < 5; i++)
        loop_turn(l, false);
    CHECK_INT(accepted.reads, 0);
    conn_resume(accepted.c);
    conn_resume(accepted.c);
    TURN_UNTIL(accepted.in.n == 3);
    close(fd);
    close_stage();
}

TEST(cork_collects_into_one_write)
{
    char text[4096];
    int fd;

    open_stage();
    fd = raw_client();
    conn_cork(accepted.c);
    conn_cork(accepted.c);
    for (int i = 0; i < 100; i++)
        CHECK_INT(write_z(&accepted, "0123456789"), 0);
    CHECK_INT(conn_backlog(accepted.c), 1000);
    loop_turn(l, false);
    conn_uncork(accepted.c);
    CHECK_INT(recv(fd, text, sizeof text, MSG_DONTWAIT), -1);
    conn_uncork(accepted.c);
    CHECK_INT(conn_backlog(accepted.c), 0);
    /* on loopback one write is one chunk */
    CHECK_INT(recv(fd, text, sizeof text, MSG_DONTWAIT), 1000);
    CHECK_INT(memcmp(text + 990, "0123456789", 10), 0);
    conn_cork(accepted.c);
    conn_uncork(accepted.c);
    close(fd);
    close_stage();
}

TEST(cork_lets_large_writes_pass_in_order)
{
    static char large[40000];
    struct str part = {large, sizeof large}, got;
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    memset(large, 'L', sizeof large);
    conn_cork(accepted.c);
    CHECK_INT(write_z(&accepted, "small"), 0);
    CHECK_INT(conn_write(accepted.c, &part, 1), 0);
    got = raw_receive(fd, 5 + sizeof large, &eof);
    CHECK_STR(str_make(got.p, 6), STR("smallL"));
    CHECK_INT(write_z(&accepted, "end"), 0);
    conn_uncork(accepted.c);
    CHECK_STR(raw_receive(fd, 3, &eof), STR("end"));
    close(fd);
    close_stage();
}

/* Told to wait while corked, the writer is told to go on, even when uncorking sends everything at once. */
TEST(cork_and_drain)
{
    static char piece[KB(30)];
    struct str part = {piece, sizeof piece}, got;
    size_t sent = 0;
    bool eof;
    int fd, err = 0;

    open_stage();
    fd = raw_client();
    conn_cork(accepted.c);
    while (err == 0 && sent < MB(32)) {
        err = conn_write(accepted.c, &part, 1);
        sent += part.n;
    }
    CHECK_INT(err, ERR_AGAIN);
    got = raw_receive(fd, KB(64), &eof); /* make room for all that is left, piece by piece */
    sent -= got.n;
    while (sent > conn_backlog(accepted.c)) {
        size_t n = sent - conn_backlog(accepted.c);

        got = raw_receive(fd, n < KB(512) ? n : KB(512), &eof);
        sent -= got.n;
    }
    CHECK_INT(accepted.drains, 0);
    accepted.in_call = true;
    conn_uncork(accepted.c);
    accepted.in_call = false;
    while (sent > 0) {
        got = raw_receive(fd, sent < KB(512) ? sent : KB(512), &eof);
        sent -= got.n;
    }
    TURN_UNTIL(accepted.drains);
    CHECK_INT(accepted.drains, 1);
    close(fd);
    close_stage();
}

/* More parts than one system call takes. */
TEST(many_parts)
{
    struct str parts[200], got;
    char text[200];
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    fill_stream(text, sizeof text, 0);
    for (size_t i = 0; i < 200; i++)
        parts[i] = str_make(text + i, 1);
    CHECK_INT(conn_write(accepted.c, parts, 200), 0);
    got = raw_receive(fd, 200, &eof);
    CHECK_INT(got.n, 200);
    CHECK(is_stream(got, 0));
    close(fd);
    close_stage();
}

/* Closing with unread bytes would make the kernel answer with a reset and throw our last words away. */
TEST(gentle_close_delivers_the_answer_to_a_peer_still_sending)
{
    static char upload[KB(300)], answer[KB(800)];
    struct str part = {answer, sizeof answer}, got;
    size_t sent = 0;
    bool eof;
    int fd;

    open_stage();
    fd = raw_client();
    fill_stream(answer, sizeof answer, 0);
    conn_pause(accepted.c);
    while (sent < sizeof upload) {
        ssize_t n = send(fd, upload, sizeof upload - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
            break;
        sent += (size_t)n;
    }
    (void)conn_write(accepted.c, &part, 1);
    conn_cork(accepted.c);
    (void)write_z(&accepted, "END");
    accepted.in_call = true; /* from here on nobody is told anything */
    conn_close_gently(accepted.c, 60000);
    accepted.c = NULL;
    got = raw_receive(fd, sizeof answer + 100, &eof);
    CHECK(eof);
    CHECK_INT(got.n, sizeof answer + 3);
    CHECK(is_stream(str_make(got.p, sizeof answer), 0));
    raw_send(fd, "more", 4); /* accepted and dropped */
    loop_turn(l, false);
    raw_send(fd, "more", 4);
    close(fd);
    close_stage(); /* returns at once, long before the 60 s: the peer's end was the end */
    CHECK_INT(accepted.reads + accepted.eofs + accepted.closes, 0);
}

static uint64_t fake_ms = 1000;

static uint64_t fake_mono(void)
{
    return fake_ms * 1000000;
}

static int64_t fake_wall(void)
{
    return 0;
}

TEST(gentle_close_ends_at_its_deadline)
{
    static const struct clock_source source = {fake_mono, fake_wall};
    static char large[MB(8)];
    struct str part = {large, sizeof large};
    int fd, n_fds;

    clock_set(&source);
    open_stage();
    fd = raw_client();
    CHECK_INT(conn_write(accepted.c, &part, 1), ERR_AGAIN); /* he will never read it */
    n_fds = count_fds();
    conn_close_gently(accepted.c, 500);
    accepted.c = NULL;
    fake_ms += 499;
    loop_turn(l, false);
    CHECK_INT(count_fds(), n_fds);
    fake_ms += 1;
    loop_turn(l, false);
    CHECK_INT(count_fds(), n_fds - 1);
    close(fd);
    close_stage();
    clock_set(NULL);
}

TEST(gentle_close_of_a_dead_connection)
{
    int fd;

    open_stage();
    fd = raw_client();
    reset(fd);
    CHECK_INT(write_z(&accepted, "x"), ERR_CLOSED);
    conn_close_gently(accepted.c, 60000); /* on_close was owed, and is now not wanted */
    accepted.c = NULL;
    close_stage();
    CHECK_INT(accepted.closes, 0);
    open_stage();
    fd = raw_client();
    conn_close_gently(accepted.c, 60000);
    accepted.c = NULL;
    reset(fd);
    close_stage();
    CHECK_INT(accepted.closes, 0);
}

TEST(somebody_else_may_be_told)
{
    struct side other;
    int fd;

    open_stage();
    side_init(&other);
    fd = raw_client();
    raw_send(fd, "a", 1);
    TURN_UNTIL(accepted.in.n);
    other.c = accepted.c;
    conn_set_events(accepted.c, &events, &other);
    accepted.c = NULL;
    raw_send(fd, "b", 1);
    TURN_UNTIL(other.in.n);
    CHECK_STR(buf_str(&accepted.in), STR("a"));
    CHECK_STR(buf_str(&other.in), STR("b"));
    close(fd);
    side_release(&other);
    close_stage();
}

TEST(peer_names)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    static const struct {
        const char *address, *text;
        bool is_loopback;
    } table[] = {
        {"::1", "[::1]:9", true},
        {"::ffff:127.0.0.9", "127.0.0.9:9", true},
        {"::ffff:10.1.2.3", "10.1.2.3:9", false},
        {"2001:db8::1", "[2001:db8::1]:9", false},
        {"2001:db8:1111:2222:3333:4444:5555:6666", "[2001:db8:1111:2222:3333:4444:5555:6666]:9",
         false},
    };
    struct side s;

    open_stage();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct conn *c;

        side_init(&s);
        inet_pton(AF_INET6, table[i].address, &to.sin6_addr);
        /* Closed before the next turn; where the host has no IPv6 at all there is nothing to look at. */
        if (conn_connect(l, (struct sockaddr *)&to, &events, &s, &c))
            continue;
        CHECK_STR(str_of(conn_peer(c)), str_of(table[i].text));
        CHECK_INT(conn_peer_is_loopback(c), table[i].is_loopback);
        conn_close(c);
        side_release(&s);
    }
    close_stage();
}

TEST(accepting_without_a_connection)
{
    struct conn *c = NULL;

    open_stage();
    CHECK_INT(conn_accept(l, (uv_stream_t *)&listener, &events, &accepted, &c), ERR_IO);
    CHECK(!c);
    close_stage();
}

/* --- random programs ------------------------------------------------------------------------------ */

struct talker {
    struct side side;
    size_t sent, checked; /* of the stream it writes; of the one it receives */
    unsigned corks;
    bool is_waiting; /* was told ERR_AGAIN */
    unsigned drains_seen;
};

static void talk(struct talker *t, unsigned *seed)
{
    static char text[100000];
    size_t n = (size_t)rand_r(seed) % (rand_r(seed) % 4 ? 3000 : sizeof text);
    struct str parts[3];

    t->is_waiting &= t->side.drains == t->drains_seen;
    switch (rand_r(seed) % 6) {
    case 0:
        conn_cork(t->side.c);
        t->corks++;
        break;
    case 1:
        for (; t->corks; t->corks--)
            conn_uncork(t->side.c);
        break;
    case 2:
        if (rand_r(seed) % 2)
            conn_pause(t->side.c);
        else
            conn_resume(t->side.c);
        break;
    default:
        if (t->is_waiting)
            break;
        fill_stream(text, n, t->sent);
        parts[0] = str_make(text, n / 5);
        parts[1] = str_make(text + n / 5, n / 2 - n / 5);
        parts[2] = str_make(text + n / 2, n - n / 2);
        t->drains_seen = t->side.drains;
        t->is_waiting = conn_write(t->side.c, parts, 3) == ERR_AGAIN;
        t->sent += n;
    }
}

static void listen_to(struct talker *t)
{
    CHECK(is_stream(buf_str(&t->side.in), t->checked));
    t->checked += t->side.in.n;
    buf_clear(&t->side.in);
}

TEST(random_programs)
{
    for (unsigned round = 1; round <= 15; round++) {
        struct talker a = {.sent = 0}, b = {.sent = 0};
        unsigned seed = round;

        open_stage();
        connect_side(&a.side);
        TURN_UNTIL(a.side.opens && accepted.c);
        side_init(&b.side);
        b.side.c = accepted.c;
        accepted.c = NULL;
        conn_set_events(b.side.c, &events, &b.side);
        for (int step = 0; step < 600; step++) {
            talk(rand_r(&seed) % 2 ? &a : &b, &seed);
            if (rand_r(&seed) % 3 == 0)
                loop_turn(l, false);
            listen_to(&a);
            listen_to(&b);
        }
        for (struct talker *t = &a; t; t = t == &a ? &b : NULL) {
            for (; t->corks; t->corks--)
                conn_uncork(t->side.c);
            conn_resume(t->side.c);
            conn_finish(t->side.c);
        }
        TURN_UNTIL(a.side.eofs && b.side.eofs);
        listen_to(&a);
        listen_to(&b);
        CHECK_INT(a.checked, b.sent);
        CHECK_INT(b.checked, a.sent);
        CHECK_INT(a.side.closes + b.side.closes, 0);
        side_release(&a.side);
        side_release(&b.side);
        close_stage();
    }
}

/* --- TLS ------------------------------------------------------------------------------------------ */

/* The connection under test speaks TLS; `accepted` carries sealed bytes to and from OpenSSL's own server, at
 * most `step` a turn. */
static struct {
    struct paper ca, paper;
    struct tls_context *context;
    SSL_CTX *ctx;
    struct far far;
    struct side near;
    size_t step;
    bool is_mute; /* `accepted` has finished */
} secure;

static uint64_t real_mono_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int64_t test_wall_us(void)
{
    return (int64_t)TEST_NOW * 1000000;
}

static void open_secure_stage(const struct paper *client_ca)
{
    static const struct clock_source source = {real_mono_ns, test_wall_us};
    struct tls_files files = {.ca = NULL};
    char why[TLS_WHY];

    clock_set(&source);
    memset(&secure, 0, sizeof secure);
    secure.step = KB(64);
    folder_open();
    secure.ca = paper_make((struct paper_wish){.name = "CA", .is_ca = true});
    secure.paper = paper_make(
        (struct paper_wish){.name = "x", .san = "IP:127.0.0.1", .issuer = &secure.ca});
    files.ca = paper_write("ca.pem", &secure.ca, PAPER_CERT);
    CHECK_INT(tls_context_new(&files, &secure.context, why), 0);
    secure.ctx =
        far_context(&(struct far_rules){.paper = &secure.paper, .client_ca = client_ca});
    far_init(&secure.far, secure.ctx);
    open_stage();
    side_init(&secure.near);
}

static void close_secure_stage(void)
{
    side_release(&secure.near);
    far_release(&secure.far);
    SSL_CTX_free(secure.ctx);
    close_stage();
    tls_context_unref(secure.context);
    paper_free(&secure.paper);
    paper_free(&secure.ca);
    folder_close();
    clock_set(NULL);
}

static void connect_secure(void)
{
    struct tls_peer peer = {secure.context, "127.0.0.1", NULL};
    struct side *s = &secure.near;

    CHECK_INT(conn_connect_tls(l, (struct sockaddr *)&here, &peer, &events, s, &s->c), 0);
}

/* Takes a turn and carries what there is to carry. */
static void secure_turn(void)
{
    static char sealed[KB(64)];
    struct str part = {sealed, 0};

    loop_turn(l, false);
    while (accepted.in.n) {
        size_t n = accepted.in.n < secure.step ? accepted.in.n : secure.step;

        far_feed(&secure.far, accepted.in.p, n);
        buf_consume(&accepted.in, n);
        if (secure.step == 1)
            break;
    }
    /* A carrier who is told to wait does. */
    if (!accepted.c || secure.is_mute || conn_backlog(accepted.c) > LIMIT_CONN_OUT_HIGH)
        return;
    part.n = far_take(&secure.far, sealed, secure.step);
    if (part.n)
        CHECK(conn_write(accepted.c, &part, 1) != ERR_CLOSED);
}

#define SECURE_UNTIL(condition)                                                                \
    while (!(condition))                                                                       \
    secure_turn()

static void mute_finish(void)
{
    secure.is_mute = true;
    conn_finish(accepted.c);
}

TEST(tls_both_directions)
{
    static const size_t steps[] = {1, KB(64)};

    for (size_t i = 0; i < 2; i++) {
        open_secure_stage(NULL);
        secure.step = steps[i];
        connect_secure();
        CHECK(!conn_is_shaking(secure.near.c));
        conn_cork(secure.near.c); /* a handshake does not wait for the user */
        CHECK_INT(write_z(&secure.near, "early "), 0);
        CHECK_INT(conn_backlog(secure.near.c), 6);
        SECURE_UNTIL(conn_is_shaking(secure.near.c));
        CHECK_INT(write_z(&secure.near, "bird"), 0);
        SECURE_UNTIL(secure.near.opens);
        CHECK(!conn_is_shaking(secure.near.c));
        CHECK_INT(secure.far.said.n, 0);
        conn_uncork(secure.near.c);
        SECURE_UNTIL(secure.far.said.n == 10);
        CHECK_STR(buf_str(&secure.far.said), STR("early bird"));
        CHECK_INT(conn_backlog(secure.near.c), 0);
        far_say(&secure.far, "worm", 4);
        SECURE_UNTIL(secure.near.in.n == 4);
        CHECK_STR(buf_str(&secure.near.in), STR("worm"));
        conn_finish(secure.near.c);
        CHECK_INT(write_z(&secure.near, "more"), ERR_CLOSED);
        SECURE_UNTIL(far_heard_goodbye(&secure.far) && accepted.eofs);
        far_say(&secure.far, "s", 1);
        far_goodbye(&secure.far);
        SECURE_UNTIL(secure.near.eofs);
        CHECK_STR(buf_str(&secure.near.in), STR("worms"));
        CHECK(!conn_is_cut(secure.near.c));
        mute_finish(); /* behind the goodbye; nobody is told twice */
        for (int k = 0; k < 5; k++)
            secure_turn();
        CHECK_INT(secure.near.eofs + secure.near.closes, 1);
        close_secure_stage();
    }
}

TEST(tls_finish_before_the_handshake)
{
    open_secure_stage(NULL);
    connect_secure();
    CHECK_INT(write_z(&secure.near, "all I had to say"), 0);
    conn_finish(secure.near.c);
    SECURE_UNTIL(accepted.eofs && far_heard_goodbye(&secure.far));
    CHECK_STR(buf_str(&secure.far.said), STR("all I had to say"));
    CHECK_INT(secure.near.opens, 1);
    close_secure_stage();
}

TEST(tls_cut_is_noticed)
{
    open_secure_stage(NULL);
    connect_secure();
    SECURE_UNTIL(secure.near.opens && secure.far.is_open);
    far_say(&secure.far, "half an ans", 11);
    SECURE_UNTIL(secure.near.in.n == 11);
    CHECK(!conn_is_cut(secure.near.c));
    mute_finish();
    SECURE_UNTIL(secure.near.eofs);
    CHECK(conn_is_cut(secure.near.c));
    CHECK_INT(secure.near.closes, 0);
    close_secure_stage();
}

TEST(tls_goodbye_on_close)
{
    for (int gently = 0; gently < 2; gently++) {
        open_secure_stage(NULL);
        connect_secure();
        SECURE_UNTIL(secure.near.opens && secure.far.is_open);
        CHECK_INT(write_z(&secure.near, "last"), 0);
        if (gently)
            conn_close_gently(secure.near.c, 60000);
        else
            conn_close(secure.near.c);
        secure.near.c = NULL;
        SECURE_UNTIL(accepted.eofs);
        CHECK(far_heard_goodbye(&secure.far));
        CHECK_STR(buf_str(&secure.far.said), STR("last"));
        close_secure_stage();
    }
}

/* 16 MB one way and 3 the other at once, with pauses and corks; the reader at the far end starts late. */
TEST(tls_back_pressure)
{
    static char piece[50000];
    const size_t total = MB(16), answer = MB(3);
    size_t sent = 0, said = 0, got = 0;
    bool is_waiting = false;
    unsigned drains = 0, waits = 0;

    open_secure_stage(NULL);
    connect_secure();
    SECURE_UNTIL(secure.near.opens && secure.far.is_open);
    conn_pause(accepted.c);
    for (unsigned i = 0; got < answer || secure.far.said.n < total; i++) {
        struct str parts[2] = {{piece, 20000}, {piece + 20000, 30000}};

        is_waiting &= secure.near.drains == drains;
        while (sent < total && !is_waiting) {
            int err;

            fill_stream(piece, sizeof piece, sent);
            if (total - sent < sizeof piece)
                parts[1].n -= sizeof piece - (total - sent);
            drains = secure.near.drains;
            secure.near.in_call = true;
            conn_cork(secure.near.c);
            err = conn_write(secure.near.c, parts, 2);
            conn_uncork(secure.near.c);
            secure.near.in_call = false;
            CHECK(err == 0 || err == ERR_AGAIN);
            is_waiting = err == ERR_AGAIN;
            waits += is_waiting;
            sent += parts[0].n + parts[1].n;
        }
        if (is_waiting)
            conn_resume(accepted.c);
        if (said < answer) {
            size_t n = answer - said < 20000 ? answer - said : 20000;

            fill_stream(piece, n, said);
            far_say(&secure.far, piece, n);
            said += n;
        }
        if (i % 7 == 0)
            conn_pause(secure.near.c);
        else if (i % 7 == 3)
            conn_resume(secure.near.c);
        got = secure.near.in.n;
        secure_turn();
        CHECK(i % 7 >= 3 || secure.near.in.n == got);
    }
    CHECK(is_stream(buf_str(&secure.far.said), 0));
    CHECK(is_stream(buf_str(&secure.near.in), 0));
    CHECK(waits > 0);
    SECURE_UNTIL(secure.near.drains == waits); /* the last one may be on its way */
    CHECK_INT(conn_backlog(secure.near.c), 0);
    CHECK(conn_taken(secure.near.c) > total);
    close_secure_stage();
}

/* The peer may speak before it has our Finished; who pauses in on_open hears nothing until he resumes. */
TEST(tls_paused_when_it_opens)
{
    char sealed[KB(16)];
    struct str part = {sealed, 0};
    size_t done = 0;

    open_secure_stage(NULL);
    connect_secure();
    conn_pause(secure.near.c);
    while (!accepted.c || accepted.in.n < 100)
        loop_turn(l, false);
    BUG_ON(BIO_write(secure.far.in, accepted.in.p, (int)accepted.in.n) <= 0);
    buf_clear(&accepted.in);
    CHECK_INT(SSL_read_early_data(secure.far.ssl, sealed, sizeof sealed, &done),
              SSL_READ_EARLY_DATA_FINISH);
    CHECK_INT(SSL_write_early_data(secure.far.ssl, "hello", 5, &done), 1);
    part.n = far_take(&secure.far, sealed, sizeof sealed);
    CHECK_INT(conn_write(accepted.c, &part, 1), 0);
    SECURE_UNTIL(secure.near.opens);
    for (int i = 0; i < 5; i++)
        secure_turn();
    CHECK_INT(secure.near.reads, 0);
    secure.near.in_call = true;
    conn_resume(secure.near.c);
    conn_pause(secure.near.c);
    conn_resume(secure.near.c);
    secure.near.in_call = false;
    SECURE_UNTIL(secure.near.in.n == 5);
    CHECK_STR(buf_str(&secure.near.in), STR("hello"));
    far_say(&secure.far, " again", 6);
    SECURE_UNTIL(secure.near.in.n == 11);
    close_secure_stage();
}

/* What came with the bytes waits like the bytes. */
TEST(tls_goodbye_while_paused)
{
    open_secure_stage(NULL);
    connect_secure();
    SECURE_UNTIL(secure.near.opens && secure.far.is_open);
    conn_pause(secure.near.c);
    far_say(&secure.far, "end", 3);
    far_goodbye(&secure.far);
    for (int i = 0; i < 5; i++)
        secure_turn();
    CHECK_INT(secure.near.reads + secure.near.eofs, 0);
    conn_resume(secure.near.c);
    SECURE_UNTIL(secure.near.eofs);
    CHECK_STR(buf_str(&secure.near.in), STR("end"));
    CHECK(!conn_is_cut(secure.near.c));
    close_secure_stage();
}

static void expect_tls_end(int err, const char *why)
{
    SECURE_UNTIL(secure.near.closes);
    CHECK_INT(secure.near.err, err);
    if (!strstr(secure.near.why, why))
        CHECK_STR(str_of(secure.near.why), str_of(why));
}

TEST(tls_handshake_that_fails)
{
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct str part = {http, sizeof http - 1};

    for (int how = 0; how < 5; how++) {
        open_secure_stage(NULL);
        connect_secure();
        TURN_UNTIL(accepted.c && accepted.in.n > 0);
        if (how == 0) {
            mute_finish();
            expect_tls_end(ERR_TLS, "TLS: the peer closed the connection instead of speaking");
        } else if (how == 1) {
            CHECK_INT(conn_write(accepted.c, &part, 1), 0);
            expect_tls_end(ERR_TLS, "TLS: the peer does not speak TLS (is the URL http://?)");
        } else if (how == 2) {
            secure.step = 100; /* half of its first flight */
            secure_turn();
            mute_finish();
            expect_tls_end(ERR_TLS, "TLS: the peer closed the connection in the middle");
        } else if (how == 3) {
            secure.step = 100;
            secure_turn();
            loop_turn(l, false);
            conn_pause(accepted.c); /* and with our bytes unread: a reset */
            conn_close(secure.near.c);
            secure.near.c = NULL;
        } else {
            secure.near.close_when = AT_CLOSE;
            mute_finish();
            expect_tls_end(ERR_TLS, "TLS: ");
        }
        CHECK_INT(secure.near.opens + secure.near.eofs, 0);
        close_secure_stage();
    }
}

TEST(tls_peer_is_somebody_else)
{
    struct tls_peer peer;
    struct side *s = &secure.near;

    open_secure_stage(NULL);
    peer = (struct tls_peer){secure.context, "b.example", NULL};
    CHECK_INT(conn_connect_tls(l, (struct sockaddr *)&here, &peer, &events, s, &s->c), 0);
    CHECK_INT(write_z(s, "a secret"), 0);
    expect_tls_end(ERR_TLS, "TLS: certificate is for 127.0.0.1, not for b.example");
    SECURE_UNTIL(accepted.eofs && accepted.in.n == 0);
    CHECK(secure.far.is_over); /* by our alert */
    CHECK_INT(secure.far.said.n, 0);
    peer.name = "";
    CHECK_INT(conn_connect_tls(l, (struct sockaddr *)&here, &peer, &events, s, &s->c),
              ERR_INVALID);
    close_secure_stage();
}

/* With TLS 1.3 on_open has come by then. A large write meets the reset before the read meets the reason. */
TEST(tls_last_words_about_our_certificate)
{
    static char large[MB(16)];
    struct str part = {large, sizeof large};
    char sealed[KB(16)];
    struct str reply = {sealed, 0};
    struct paper ca = paper_make((struct paper_wish){.name = "CA", .is_ca = true});

    open_secure_stage(&ca);
    connect_secure();
    SECURE_UNTIL(secure.near.opens);
    conn_pause(secure.near.c);
    CHECK_INT(conn_write(secure.near.c, &part, 1), ERR_AGAIN);
    while (!secure.far.is_over) {
        loop_turn(l, false);
        far_feed(&secure.far, accepted.in.p, accepted.in.n);
        buf_clear(&accepted.in);
    }
    conn_pause(accepted.c);
    reply.n = far_take(&secure.far, sealed, sizeof sealed);
    CHECK_INT(conn_write(accepted.c, &reply, 1), 0);
    loop_turn(l, false);
    conn_close(accepted.c); /* with bytes unread: that is a reset */
    accepted.c = NULL;
    expect_tls_end(ERR_TLS, "TLS: the peer wants a client certificate (alert: ");
    CHECK_INT(secure.near.reads + secure.near.eofs, 0);
    paper_free(&ca);
    close_secure_stage();
}

TEST(tls_broken_record)
{
    struct str junk = STR("\x17\x03\x03\x00\x20 this was not sealed by the peer");

    open_secure_stage(NULL);
    connect_secure();
    SECURE_UNTIL(secure.near.opens && secure.far.is_open);
    CHECK_INT(conn_write(accepted.c, &junk, 1), 0);
    expect_tls_end(ERR_CLOSED, "TLS: ");
    close_secure_stage();
}

TEST(tls_closing_from_inside_any_callback)
{
    static char large[MB(16)];
    struct str part = {large, sizeof large};

    for (enum when when = AT_OPEN; when <= AT_DRAIN; when++) {
        for (int gently = 0; gently < 2; gently++) {
            struct side *s = &secure.near;

            open_secure_stage(NULL);
            connect_secure();
            s->close_when = when;
            s->gently = gently;
            if (when != AT_OPEN) {
                SECURE_UNTIL(s->opens && secure.far.is_open);
                CHECK_INT(conn_write(s->c, &part, 1), ERR_AGAIN);
                far_say(&secure.far, "hello", 5);
                far_goodbye(&secure.far);
            }
            SECURE_UNTIL(when == AT_OPEN   ? s->opens
                         : when == AT_READ ? s->reads
                         : when == AT_EOF  ? s->eofs
                                           : s->drains);
            for (int i = 0; i < 5; i++)
                secure_turn();
            CHECK_INT(s->closes, 0);
            s->c = NULL; /* closed long ago */
            close_secure_stage();
        }
    }
}

TEST_MAIN
