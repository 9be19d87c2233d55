/* SPDX-License-Identifier: MIT
 *
 * What the tests of accept/ share: a server on a loop whose clock is ours, a handler that answers at once or
 * holds, and clients that are plain sockets. Nothing waits for time: the loop is turned until what is
 * expected has happened, or until it has been turned so often that it never will.
 */
#ifndef TEST_UNIT_ACCEPT_RIG_H
#define TEST_UNIT_ACCEPT_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept/accept.h"
#include "accept/accept_int.h"
#include "check.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/mem.h"

/* Turns of the loop without anything new before a test waits, at most 10 ms each time, for the kernel to
 * bring something, and before it gives up. Only a test that fails comes so far. */
#define RIG_TURNS_FREE 50
#define RIG_TURNS 400
#define RIG_HELD 256

enum rig_mode {
    RIG_ECHO, /* answers "VERB target body" at once */
    RIG_HOLD, /* keeps the exchange open, body kept */
    RIG_BIG,  /* answers rig.big bytes at once */
};

struct rig {
    struct loop *loop;
    struct server *server;
    enum rig_mode mode;
    bool tell_gone; /* held exchanges ask to be told */
    size_t big;
    struct exchange *held[RIG_HELD]; /* NULL where one has ended */
    size_t n_held;                   /* ever */
    unsigned n_requests, n_gone, n_drained;
    bool body_was_in_place; /* of the newest request: not copied */
};

struct client {
    struct rig *rig;
    int fd;
    struct buf got;
    bool is_eof, is_reset;
};

/* --- the clock ------------------------------------------------------------------------------------ */

static uint64_t rig_ms;
static int64_t rig_wall_us;

static uint64_t rig_mono_ns(void)
{
    return rig_ms * 1000000;
}

static int64_t rig_wall(void)
{
    return rig_wall_us + (int64_t)rig_ms * 1000;
}

/* --- the server ----------------------------------------------------------------------------------- */

__attribute__((unused)) static void rig_echo(struct exchange *x)
{
    const struct http_head *head = exchange_head(x);
    struct str parts[] = {head->verb_text, STR(" "),         head->target,
                          STR(" "),        exchange_body(x), STR("\n")};

    exchange_answer(x, 200, "text/x-echo", NULL, 0, parts, 6);
}

/* on_gone is told which slot; the count is kept beside. */
static struct rig *rig_now;

static void rig_count_gone(void *arg)
{
    rig_now->n_gone++;
    *(struct exchange **)arg = NULL;
}

static void rig_on_request(struct exchange *x, void *arg)
{
    struct rig *rig = arg;
    struct str body = exchange_body(x);
    const char *shared = loop_read_buffer(rig->loop);

    rig->n_requests++;
    rig->body_was_in_place = body.p >= shared && body.p < shared + LOOP_READ_BYTES;
    if (rig->mode == RIG_ECHO) {
        rig_echo(x);
    } else if (rig->mode == RIG_BIG) {
        char *bytes = mem_zero(rig->big, 1);
        struct str part = str_make(bytes, rig->big);

        memset(bytes, 'x', rig->big);
        exchange_answer(x, 200, "text/plain", NULL, 0, &part, 1);
        mem_free(bytes);
    } else {
        BUG_ON(exchange_keep_body(x));
        rig->held[rig->n_held % RIG_HELD] = x;
        if (rig->tell_gone)
            exchange_on_gone(x, rig_count_gone, &rig->held[rig->n_held % RIG_HELD]);
        rig->n_held++;
    }
}

__attribute__((unused)) static void rig_on_drained(void *arg)
{
    ((struct rig *)arg)->n_drained++;
}

static const struct server_config rig_config = {.host = "127.0.0.1",
                                                .max_body = MB(1),
                                                .max_connections = 100,
                                                .head_timeout_ms = 10000,
                                                .body_timeout_ms = 30000,
                                                .idle_timeout_ms = 60000};

static void rig_open_with(struct rig *rig, const struct server_config *config)
{
    static const struct clock_source source = {rig_mono_ns, rig_wall};
    char why[256] = "";

    *rig = (struct rig){.tell_gone = true};
    rig_now = rig;
    rig_ms = 5000;
    /* Sun, 06 Nov 1994 08:49:37 GMT at the start */
    rig_wall_us = INT64_C(784111777000000) - 5000000;
    alarm(100); /* a test that hangs is a test that failed */
    clock_set(&source);
    log_setup(LOG_ERROR, false);
    rig->loop = loop_new();
    if (server_open(rig->loop, config, rig_on_request, rig, &rig->server, why)) {
        printf("    server_open: %s\n", why);
        abort();
    }
}

__attribute__((unused)) static void rig_open(struct rig *rig)
{
    rig_open_with(rig, &rig_config);
}

static void rig_turn(struct rig *rig)
{
    loop_turn(rig->loop, false);
    if (rig->server)
        server_check(rig->server);
}

/* Enough turns for everything that is under way on the loopback device. */
__attribute__((unused)) static void rig_rest(struct rig *rig)
{
    for (int i = 0; i < 30; i++) {
        rig_turn(rig);
        sched_yield();
    }
}

__attribute__((unused)) static void rig_pass(struct rig *rig, uint64_t ms)
{
    rig_ms += ms;
    rig_rest(rig);
}

/* A turn in a loop that waits for something to happen, in the server or at a client's socket. */
static void rig_turn_idly(struct rig *rig, int fd, int idle)
{
    struct pollfd fds[] = {{.fd = uv_backend_fd(loop_uv(rig->loop)), .events = POLLIN},
                           {.fd = fd, .events = POLLIN}};

    if (idle > RIG_TURNS_FREE)
        poll(fds, 2, 10);
    rig_turn(rig);
}

__attribute__((unused)) static bool rig_until_requests(struct rig *rig, unsigned n)
{
    for (int i = 0; i < RIG_TURNS && rig->n_requests < n; i++)
        rig_turn_idly(rig, -1, i);
    return rig->n_requests == n;
}

static void rig_close(struct rig *rig)
{
    server_close(rig->server);
    rig->server = NULL;
    rig_pass(rig, 10000); /* lingering connections give up */
    loop_free(rig->loop);
    clock_set(NULL);
    alarm(0);
}

/* --- clients -------------------------------------------------------------------------------------- */

static void client_open(struct client *c, struct rig *rig)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int on = 1;

    *c = (struct client){.rig = rig};
    buf_init(&c->got, MB(64));
    to.sin_port = htons(server_port(rig->server));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BUG_ON(c->fd < 0);
    BUG_ON(connect(c->fd, (struct sockaddr *)&to, sizeof to));
    /* bytes are to arrive as they are cut */
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    buf_release(&c->got);
}

/* Closes such that the server sees a reset. */
__attribute__((unused)) static void client_reset(struct client *c)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client_close(c);
}

/* Takes what has arrived; whether anything did. */
static bool client_take(struct client *c)
{
    ssize_t n = 0;
    char *to = buf_reserve(&c->got, KB(64));

    BUG_ON(!to);
    if (!c->is_eof)
        n = recv(c->fd, to, KB(64), MSG_DONTWAIT);
    if (n > 0)
        buf_commit(&c->got, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->is_eof = true;
    c->is_reset |= n < 0 && errno == ECONNRESET;
    return n > 0;
}

/* Sends all, turning the loop while the kernel's buffers are full. */
static void client_send(struct client *c, struct str bytes)
{
    int idle = 0;

    while (bytes.n && idle < RIG_TURNS) {
        ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);

        idle = n > 0 ? 0 : idle + 1;
        if (n < 0 && errno != EAGAIN)
            return;
        if (n > 0)
            bytes = str_make(bytes.p + n, bytes.n - (size_t)n);
        if (bytes.n)
            rig_turn(c->rig);
    }
}

static size_t client_count(const struct client *c, const char *needle)
{
    struct str at = buf_str(&c->got);
    size_t n = 0, length = strlen(needle);
    const char *hit;

    while ((hit = memmem(at.p, at.n, needle, length))) {
        n++;
        at = str_make(hit + length, at.n - (size_t)(hit + length - at.p));
    }
    return n;
}

static bool client_has(const struct client *c, const char *needle)
{
    return memmem(c->got.p, c->got.n, needle, strlen(needle)) != NULL;
}

/* Turns the loop until `needle` stands `times` in what was received. */
static bool client_until(struct client *c, const char *needle, size_t times)
{
    bool is_there = client_count(c, needle) >= times;

    for (int idle = 0; !is_there && idle < RIG_TURNS && !c->is_eof; idle++) {
        rig_turn_idly(c->rig, c->fd, idle);
        if (client_take(c)) {
            idle = 0;
            while (client_take(c)) /* looking through it costs more than receiving it */
                ;
            is_there = client_count(c, needle) >= times;
        }
    }
    if (!is_there)
        printf("    waited in vain for %zu times \"%s\", got: %.*s\n", times, needle,
               (int)(c->got.n > 2000 ? 2000 : c->got.n), c->got.p ? c->got.p : "");
    return is_there;
}

/* Turns the loop until the server has closed. */
__attribute__((unused)) static bool client_until_eof(struct client *c)
{
    for (int idle = 0; !c->is_eof && idle < RIG_TURNS; idle++) {
        rig_turn_idly(c->rig, c->fd, idle);
        if (client_take(c))
            idle = 0;
    }
    return c->is_eof;
}

/* Whether the server has left the connection open and said nothing since. */
__attribute__((unused)) static bool client_hears_nothing(struct client *c)
{
    bool any;

    rig_rest(c->rig);
    any = client_take(c);
    return !any && !c->is_eof;
}

#define GET(target) STR("GET " target " HTTP/1.1\r\nHost: h\r\n\r\n")

#endif
