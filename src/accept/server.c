/* SPDX-License-Identifier: MIT
 *
 * The listener, the table of peers, and the end of both.
 *
 * The listening socket is ours and listens from server_open() to the drain; libuv accepts on a duplicate.
 * When accepting fails (no descriptors left, in this process or in the system) the duplicate is closed for a
 * moment: new connections then wait in the kernel's queue instead of keeping the loop busy failing. (libuv
 * by itself tries again at once and without end. It also holds one spare descriptor, by which it first turns
 * waiting connections away; only when that is gone too do we hear of it.)
 *
 * A connection above the maximum is told 503 and left. Connections that are left linger until the peer has
 * read his answer; they are in no table any more, so their number per second is bounded.
 *
 * Deliberately absent: SO_REUSEPORT (LATER: with the second process on one machine), TLS and HTTP/2 (LATER:
 * behind conn.h and beside peer.c), access lists (the firewall's).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept/accept_int.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"

#define LISTEN_BACKLOG 1024
#define PAUSE_MS 100

/* A peer who has been answered is given this long to read and close. At most this many per second are; the
 * rest is closed at once and may miss the answer. Bounds descriptors of lingering connections to twice it. */
#define LINGER_MS 1000
#define LINGER_PER_SECOND 256u

/* Spare intakes, and what one may keep between messages. */
#define SPARE_MAX 64u
#define BODY_KEEP KB(16)
#define BEHIND_KEEP KB(4)

#define OUT_MAX KB(64) /* the head of an answer */

static void on_connection(uv_stream_t *listener, int status);
static void on_resume(struct timer *t, void *arg);
static void on_drain_late(struct timer *t, void *arg);
static void tell_drained(void *arg);

static struct server *server_of(void *arg)
{
    struct server *s = arg;

    BUG_ON(s->magic != SERVER_MAGIC);
    return s;
}

/* --- opening -------------------------------------------------------------------------------------- */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int parse_address(const struct server_config *config, union address *out, char why[256])
{
    memset(out, 0, sizeof *out);
    if (uv_ip4_addr(config->host, config->port, &out->v4) == 0 ||
        uv_ip6_addr(config->host, config->port, &out->v6) == 0)
        return 0;
    snprintf(why, 256,
             "cannot listen on '%.64s': set LISTEN to a numeric address, "
             "such as 127.0.0.1, 0.0.0.0 or ::",
             config->host);
    return ERR_INVALID;
}

static int explain(int error, const struct server_config *config, char why[256])
{
    switch (error) {
    case EADDRINUSE:
        snprintf(why, 256,
                 "port %u is in use: set PORT to another one, or stop the process that has it "
                 "(ss -ltnp 'sport = :%u' shows it)",
                 config->port, config->port);
        return ERR_CONFLICT;
    case EACCES:
        snprintf(
            why, 256,
            "may not listen on port %u: set PORT to one above 1023, or grant CAP_NET_BIND_SERVICE",
            config->port);
        return ERR_INVALID;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        snprintf(why, 256, "%.64s is not an address of this machine: set LISTEN to one that is",
                 config->host);
        return ERR_INVALID;
    default:
        snprintf(why, 256, "cannot listen on %.64s port %u: %s", config->host, config->port,
                 strerror(error));
        return ERR_IO;
    }
}

/* A listening socket. */
static int open_socket(const struct server_config *config, int *out, char why[256])
{
    union address addr;
    int fd, on = 1, off = 0, err = parse_address(config, &addr, why);
    socklen_t length;

    if (err)
        return err;
    length = addr.any.sa_family == AF_INET ? sizeof addr.v4 : sizeof addr.v6;
    fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return explain(errno, config, why);
    /* Without REUSEADDR a restart waits for the last connections' TIME_WAIT. "::" shall mean IPv4 too. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (addr.any.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) ||
        bind(fd, &addr.any, length) || listen(fd, LISTEN_BACKLOG)) {
        err = explain(errno, config, why);
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

static uint16_t port_of(int fd)
{
    union address addr;
    socklen_t length = sizeof addr;

    memset(&addr, 0, sizeof addr);
    BUG_ON(getsockname(fd, &addr.any, &length));
    return ntohs(addr.any.sa_family == AF_INET ? addr.v4.sin_port : addr.v6.sin6_port);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct server *s = server_of(handle->data);

    s->grave.n_pending--;
    s->is_listening = false;
}

static void stop_listening(struct server *s)
{
    if (!s->is_listening || uv_is_closing((uv_handle_t *)&s->listener))
        return;
    s->grave.n_pending++;
    uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

static int start_listening(struct server *s)
{
    int fd = fcntl(s->socket, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return ERR_IO;
    BUG_ON(uv_tcp_init(loop_uv(s->loop), &s->listener)); /* fails for bad arguments only */
    s->listener.data = s;
    s->is_listening = true;
    if (uv_tcp_open(&s->listener, fd)) {
        close(fd);
        stop_listening(s);
        return ERR_IO;
    }
    if (uv_listen((uv_stream_t *)&s->listener, LISTEN_BACKLOG, on_connection)) {
        stop_listening(s);
        return ERR_IO;
    }
    return 0;
}

int server_open(struct loop *loop, const struct server_config *config,
                server_request_fn on_request, void *arg, struct server **out, char why[256])
{
    struct server *s;
    uint32_t boot;
    int fd = -1, err = open_socket(config, &fd, why);

    if (err)
        return err;
    s = MEM_NEW(struct server);
    s->magic = SERVER_MAGIC;
    s->loop = loop;
    s->config = *config;
    s->config.host = NULL;
    s->on_request = on_request;
    s->arg = arg;
    s->socket = fd;
    s->port = port_of(fd);
    list_init(&s->peers);
    list_init(&s->spare);
    timer_init(&s->resume, on_resume, s);
    timer_init(&s->drain_timer, on_drain_late, s);
    s->drained = (struct deferred){.fn = tell_drained, .arg = s};
    buf_init(&s->out, OUT_MAX);
    id_random(&boot, sizeof boot);
    snprintf(s->id_prefix, sizeof s->id_prefix, "%08x", (unsigned)boot);
    err = start_listening(s);
    if (err) {
        snprintf(why, 256, "cannot listen on port %u: no descriptors left, raise 'ulimit -n'",
                 s->port);
        server_close(s);
        return err;
    }
    *out = s;
    return 0;
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

void server_figures(const struct server *s, struct server_figures *out)
{
    *out = (struct server_figures){.connections = s->n_peers,
                                   .exchanges = s->n_exchanges,
                                   .accepted = s->n_accepted,
                                   .requests = s->n_requests,
                                   .refused = s->n_refused};
}

/* --- accepting ------------------------------------------------------------------------------------ */

/* Counts; returns how many have not been logged yet if a line is due, else 0. */
static uint64_t tally_add(struct tally *t, uint64_t now_ms)
{
    uint64_t n = ++t->n_unlogged;

    if (now_ms < t->next_ms)
        return 0;
    *t = (struct tally){.n_unlogged = 0, .next_ms = now_ms + 1000};
    return n;
}

static void pause_accepting(struct server *s, const char *why)
{
    uint64_t n = tally_add(&s->failing, loop_now_ms(s->loop));

    if (n)
        log_event(LOG_WARN, "accepting connections failed, trying again in 100 ms",
                  LOG_Z("because", why), LOG_U64("times", n),
                  LOG_U64("connections", s->n_peers));
    stop_listening(s);
    timer_start(s->loop, &s->resume, PAUSE_MS);
}

static void on_resume(struct timer *t, void *arg)
{
    struct server *s = server_of(arg);

    (void)t;
    /* The duplicate may still be closing, and there may be no descriptor for another one. */
    if (s->is_listening || start_listening(s))
        timer_start(s->loop, &s->resume, PAUSE_MS);
}

static void ignore_read(struct conn *c, const char *bytes, size_t n, void *arg)
{
    (void)c, (void)bytes, (void)n, (void)arg;
}

static void ignore_close(struct conn *c, int err, const char *why, void *arg)
{
    (void)c, (void)err, (void)why, (void)arg;
}

/* One connection too many: it costs one write. */
static int turn_away(struct server *s)
{
    static const struct conn_events silence = {.on_read = ignore_read,
                                               .on_close = ignore_close};
    static const struct exchange_header later = {"retry-after", {"1", 1}};
    static const struct str sorry = {"Service Unavailable: too many connections\n", 42};
    struct answer a = {.status = 503,
                       .closes = true,
                       .type = "text/plain; charset=utf-8",
                       .headers = &later,
                       .n_headers = 1,
                       .parts = &sorry,
                       .n_parts = 1};
    struct conn *c;
    uint64_t n;
    int err = conn_accept(s->loop, (uv_stream_t *)&s->listener, &silence, NULL, &c);

    if (err)
        return err;
    n = tally_add(&s->full, loop_now_ms(s->loop));
    if (n)
        log_event(LOG_WARN, "connection limit reached, answering 503",
                  LOG_U64("limit", s->config.max_connections), LOG_U64("times", n));
    s->n_refused++;
    (void)answer_write(s, c, &a); /* whether it arrives is not our concern */
    server_leave(s, c);
    return 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = server_of(listener->data);
    int err;

    if (status < 0) {
        pause_accepting(s, uv_strerror(status));
        return;
    }
    err = s->n_peers < s->config.max_connections ? peer_open(s) : turn_away(s);
    if (err)
        pause_accepting(s, err_text(err));
    else
        s->n_accepted++;
}

void server_leave(struct server *s, struct conn *c)
{
    uint64_t second = loop_now_ms(s->loop) / 1000;

    if (second != s->linger_second) {
        s->linger_second = second;
        s->n_lingering = 0;
    }
    if (s->n_lingering++ < LINGER_PER_SECOND)
        conn_close_gently(c, LINGER_MS);
    else
        conn_close(c);
}

/* --- intakes -------------------------------------------------------------------------------------- */

struct intake *intake_take(struct server *s)
{
    struct list *first = list_first(&s->spare);
    struct intake *in;

    if (first) {
        list_remove(first);
        s->n_spare--;
        return CONTAINER_OF(first, struct intake, link);
    }
    in = MEM_NEW(struct intake);
    list_init(&in->link);
    in->parser = http_parser_new(HTTP_KIND_REQUEST, s->config.max_body, &peer_http_events, in);
    buf_init(&in->body, s->config.max_body);
    /* A read may come when all but one byte of what may wait is waiting. */
    buf_init(&in->behind, LIMIT_PIPELINE + LOOP_READ_BYTES);
    in->is_done = true; /* of the message before the first */
    return in;
}

void intake_free(struct intake *in)
{
    http_parser_free(in->parser);
    buf_release(&in->body);
    buf_release(&in->behind);
    mem_free(in);
}

void intake_give(struct server *s, struct intake *in, bool is_clean)
{
    if (s->n_spare >= SPARE_MAX) {
        intake_free(in);
        return;
    }
    if (!is_clean)
        http_parser_reset(in->parser);
    in->head = NULL;
    in->view = in->fed = STR_NONE;
    buf_shrink(&in->body, BODY_KEEP);
    buf_shrink(&in->behind, BEHIND_KEEP);
    in->behind_at = 0;
    in->is_done = true;
    in->wants_continue = false;
    list_prepend(&s->spare, &in->link);
    s->n_spare++;
}

/* --- the end -------------------------------------------------------------------------------------- */

static void stop_accepting(struct server *s)
{
    timer_stop(s->loop, &s->resume);
    stop_listening(s);
    if (s->socket >= 0)
        close(s->socket);
    s->socket = -1;
}

static void tell_drained(void *arg)
{
    struct server *s = server_of(arg);
    void (*fn)(void *) = s->on_drained;

    s->on_drained = NULL;
    timer_stop(s->loop, &s->drain_timer);
    if (fn)
        fn(s->drained_arg);
}

static void on_drain_late(struct timer *t, void *arg)
{
    struct server *s = server_of(arg);

    (void)t;
    log_event(LOG_WARN, "requests are still open at the end of the drain",
              LOG_U64("exchanges", s->n_exchanges), LOG_U64("connections", s->n_peers));
    tell_drained(s);
}

void server_peer_left(struct server *s)
{
    if (s->is_draining && s->n_peers == 0 && s->on_drained && !s->is_closed)
        loop_defer(s->loop, &s->drained);
}

void server_drain(struct server *s, uint64_t within_ms, void (*on_drained)(void *arg),
                  void *arg)
{
    s->is_draining = true;
    s->on_drained = on_drained;
    s->drained_arg = arg;
    stop_accepting(s);
    timer_start(s->loop, &s->drain_timer, within_ms);
    LIST_EACH_SAFE (it, &s->peers)
        peer_drain(CONTAINER_OF(it, struct peer, link));
    server_peer_left(s); /* there may have been none */
}

static void free_server(struct grave *g)
{
    struct server *s = CONTAINER_OF(g, struct server, grave);

    LIST_EACH_SAFE (it, &s->spare)
        intake_free(CONTAINER_OF(it, struct intake, link));
    buf_release(&s->out);
    s->magic = 0;
    mem_free(s);
}

void server_close(struct server *s)
{
    struct list *first;

    if (!s || s->is_closed)
        return;
    s->is_closed = true;
    stop_accepting(s);
    timer_stop(s->loop, &s->drain_timer);
    loop_undefer(&s->drained);
    /* Not a walk: who is told gone may answer another exchange and so end another peer. */
    while ((first = list_first(&s->peers)))
        peer_end(CONTAINER_OF(first, struct peer, link));
    loop_bury(s->loop, &s->grave, free_server);
}

static void check_peer(const struct server *s, const struct peer *p)
{
    const struct intake *in = p->intake;
    bool has_behind = in && in->behind_at < in->behind.n;

    BUG_ON(p->magic != PEER_MAGIC || p->server != s || !p->conn || p->is_working);
    BUG_ON(p->state == PEER_GONE ||
           (p->state == PEER_BUSY || p->state == PEER_STREAM) != p->x.is_open);
    BUG_ON((p->state == PEER_STREAM) != (p->x.is_open && p->x.is_stream));
    BUG_ON((p->state == PEER_HEAD || p->state == PEER_BODY || p->state == PEER_BUSY) && !in);
    BUG_ON((p->state == PEER_HEAD || p->state == PEER_BODY) && has_behind);
    BUG_ON(p->state != PEER_BUSY && p->state != PEER_STREAM && !timer_is_on(&p->timer));
    BUG_ON(p->state == PEER_IDLE && in && !p->is_blocked);
}

void server_check(const struct server *s)
{
    unsigned n_peers = 0, n_exchanges = 0, n_spare = 0;

    LIST_EACH (it, &s->peers) {
        const struct peer *p = CONTAINER_OF(it, struct peer, link);

        check_peer(s, p);
        n_peers++;
        n_exchanges += p->x.is_open;
    }
    LIST_EACH (it, &s->spare)
        n_spare++;
    BUG_ON(n_peers != s->n_peers || n_exchanges != s->n_exchanges || n_spare != s->n_spare);
    BUG_ON(n_spare > SPARE_MAX);
}
