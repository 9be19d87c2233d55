/* SPDX-License-Identifier: MIT
 *
 * A connection on uv_tcp_t.
 *
 *     CONNECTING --on_connected--> OPEN --conn_close_gently--> LINGERING
 *         |  |                       ^ |                           |
 *         |  +--TLS--> SHAKING --shake |                           |
 *         |               |            |                           |
 *         +----- fail ----+------------+---> DYING --on_closed-+   | peer finished, deadline, any error
 *         |               |            |                       v   v
 *         +- conn_close --+------------+---------------------> GONE (buried)
 *
 *   CONNECTING  `req` is the connect request; writes are collected in `out`, or in `early` with TLS
 *   SHAKING     reading even if paused, leaving even if corked, for what moves is TLS's own; writes are
 *               collected in `early`
 *   OPEN        reading unless paused or at EOF; bytes leave
 *   LINGERING   nobody is told anything any more (`events` is silence); what comes in is dropped
 *   DYING       the handle is closing; on_close is owed and comes from on_closed(), never from inside a call
 *   GONE        in the graveyard, which frees it when the last request and the handle have called back
 *
 * Outgoing bytes wait in at most two places, in this order:
 *
 *     kernel <- flight (one uv_write, owned bytes)  <- out (what was written since)
 *
 * A write with both empty goes straight to the kernel, and only what the kernel refused is copied. At most
 * one uv_write is in flight, so small writes coalesce by themselves while the peer is slow. A writer who was
 * answered ERR_AGAIN is owed on_drain (`is_owed_drain`); it always comes from a flight's end, hence never
 * from inside conn_write() or conn_uncork().
 *
 * TLS stands between the user and `out`: conn_write() seals into `out`, so what waits, corks and flies is
 * sealed; deliver() opens all of one read at once and tells the user. TLS's own bytes (handshake, answers to
 * key updates) go to `out` as well and leave by the same rules, bounded like the rest by CONN_OUT_MAX.
 *
 * An idle connection owns nothing but this struct: no read buffer (the loop's is shared), no out buffer, no
 * write request. Ten thousand of them are 6 MB. (With TLS, OpenSSL keeps some 10 KB for each.)
 *
 * Deliberately absent: name look-up (addresses come numeric), timeouts (whoever waits for something knows how
 * long), TLS for accepted connections (LATER: when accept/ offers it).
 */
#include "lib/conn.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/mem.h"

#define CONN_MAGIC 0x636f6e6eu

/* A writer who ignores ERR_AGAIN must not eat the memory. One write may be a largest document and come when
 * the mark is nearly reached; whoever gets four of them ahead of the peer does not listen. */
#define CONN_OUT_MAX (4 * LIMIT_AGENT_BODY)

/* Copying this much to save a system call costs more than the call. */
#define CORK_WORTH_BYTES KB(32)

/* Parts handed to the kernel at once; what stands behind is copied like what it refused. */
#define PARTS_MAX 32u

#define KEEPALIVE_IDLE_S 10u
/* Unacknowledged bytes, or an unanswered keep-alive probe, for this long: the peer is dead. */
#define USER_TIMEOUT_MS 30000u

#define PEER_TEXT 56 /* "[", 45 characters of IPv6, "]:65535", NUL */

/* One read opened: what OpenSSL may have kept of an incomplete record, and all of the read buffer. Opened
 * bytes are never more than sealed ones. */
#define OPENED_MAX (LOOP_READ_BYTES + KB(32))

enum conn_state {
    CONN_CONNECTING,
    CONN_SHAKING,
    CONN_OPEN,
    CONN_LINGERING,
    CONN_DYING,
    CONN_GONE
};

struct flight {
    uv_write_t req;
    struct str bytes; /* owned, from buf_take() */
};

/* What a connection with TLS has besides. */
struct secure {
    struct tls *tls;         /* owned; writes into the connection's `out` */
    struct buf early;        /* written before the handshake was done */
    struct deferred resumed; /* conn_resume() must not call back from inside */
};

struct conn {
    uint32_t magic;
    uint8_t state; /* enum conn_state; changed by set_state() only */
    bool is_paused : 1;
    bool is_at_eof : 1;
    bool is_finishing : 1; /* FIN is due when everything has left */
    bool is_finished : 1;  /* uv_shutdown() was called */
    bool is_fin_sent : 1;  /* ... and has called back */
    bool is_owed_drain : 1;
    bool is_loopback : 1;
    bool is_cut : 1; /* TLS: EOF without a goodbye */
    uint16_t n_corks;
    struct grave grave;               /* n_pending: the handle once closing, `req`, `flight` */
    struct loop *loop;                /* borrowed; outlives every connection */
    const struct conn_events *events; /* borrowed, usually static */
    void *arg;                        /* borrowed: whoever listens */
    struct buf out;
    struct flight *flight; /* owned until on_written() */
    struct secure *secure; /* owned; NULL: no TLS */
    size_t high;           /* bytes that may wait before the writer is told to */
    uint64_t n_taken;      /* bytes the kernel took, without the flight under way */
    struct timer deadline; /* LINGERING only */
    int err, uv_err;       /* DYING: what on_close will be told */
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown; /* a stream is connected before it is shut down */
    } req;
    uv_tcp_t tcp;
    char peer[PEER_TEXT];
};

_Static_assert(sizeof(struct conn) < 600, "many thousands of these exist");

static void on_uv_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void on_connected(uv_connect_t *req, int status);
static void on_closed(uv_handle_t *handle);
static bool has_last_words(struct conn *c);
static void read_on(struct conn *c);
static void shake(struct conn *c);
static void on_sealed(struct conn *c, const char *p, size_t n);
static void flush(struct conn *c);
static void settle(struct conn *c);
static ssize_t try_write(struct conn *c, const struct str *parts, size_t n_parts);

static struct conn *conn_of(void *data)
{
    struct conn *c = data;

    BUG_ON(!c || c->magic != CONN_MAGIC);
    return c;
}

static uv_stream_t *stream_of(struct conn *c)
{
    return (uv_stream_t *)&c->tcp;
}

static void set_state(struct conn *c, enum conn_state to)
{
    static const uint8_t may_go_to[] = {
        [CONN_CONNECTING] =
            1 << CONN_SHAKING | 1 << CONN_OPEN | 1 << CONN_DYING | 1 << CONN_GONE,
        [CONN_SHAKING] = 1 << CONN_OPEN | 1 << CONN_DYING | 1 << CONN_GONE,
        [CONN_OPEN] = 1 << CONN_LINGERING | 1 << CONN_DYING | 1 << CONN_GONE,
        [CONN_LINGERING] = 1 << CONN_GONE,
        [CONN_DYING] = 1 << CONN_GONE,
        [CONN_GONE] = 0,
    };

    BUG_ON(!(may_go_to[c->state] & 1 << to));
    c->state = (uint8_t)to;
}

static bool is_alive(const struct conn *c)
{
    return c->state == CONN_CONNECTING || c->state == CONN_SHAKING || c->state == CONN_OPEN;
}

/* Whether bytes may be moved: the socket is connected and not being closed. */
static bool is_connected(const struct conn *c)
{
    return c->state == CONN_SHAKING || c->state == CONN_OPEN || c->state == CONN_LINGERING;
}

/* Corks hold back what the user writes; a handshake is not his. */
static bool is_corked(const struct conn *c)
{
    return c->n_corks > 0 && c->state != CONN_SHAKING;
}

/* --- birth ---------------------------------------------------------------------------------------- */

static struct conn *new_conn(struct loop *l, const struct conn_events *ev, void *arg)
{
    struct conn *c = MEM_NEW(struct conn);

    c->magic = CONN_MAGIC;
    c->loop = l;
    c->events = ev;
    c->arg = arg;
    c->high = LIMIT_CONN_OUT_HIGH;
    buf_init(&c->out, CONN_OUT_MAX);
    c->tcp.data = c;
    snprintf(c->peer, sizeof c->peer, "unknown");
    return c;
}

static void free_conn(struct grave *g)
{
    struct conn *c = CONTAINER_OF(g, struct conn, grave);

    BUG_ON(c->flight);
    if (c->secure) {
        tls_free(c->secure->tls);
        buf_release(&c->secure->early);
        mem_free(c->secure);
    }
    buf_release(&c->out);
    c->magic = 0;
    mem_free(c);
}

/* Best effort: a socket without these options works, only less well. */
static void set_options(struct conn *c)
{
    unsigned timeout_ms = USER_TIMEOUT_MS;
    uv_os_fd_t fd;

    (void)uv_tcp_nodelay(&c->tcp, 1);
    (void)uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_IDLE_S);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
}

static void set_peer_ipv4(struct conn *c, struct in_addr addr, unsigned port)
{
    char text[INET_ADDRSTRLEN];

    c->is_loopback = ntohl(addr.s_addr) >> 24 == 127;
    if (inet_ntop(AF_INET, &addr, text, sizeof text))
        snprintf(c->peer, sizeof c->peer, "%s:%u", text, port);
}

static void set_peer(struct conn *c, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof in);
        set_peer_ipv4(c, in.sin_addr, ntohs(in.sin_port));
    } else if (sa->sa_family == AF_INET6) {
        char text[INET6_ADDRSTRLEN];
        struct sockaddr_in6 in6;
        struct in_addr mapped;

        memcpy(&in6, sa, sizeof in6);
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
            memcpy(&mapped, &in6.sin6_addr.s6_addr[12], sizeof mapped);
            set_peer_ipv4(c, mapped, ntohs(in6.sin6_port));
            return;
        }
        c->is_loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
        if (inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof text))
            snprintf(c->peer, sizeof c->peer, "[%s]:%u", text, ntohs(in6.sin6_port));
    }
}

int conn_connect(struct loop *l, const struct sockaddr *to, const struct conn_events *ev,
                 void *arg, struct conn **out)
{
    struct conn *c;

    if (to->sa_family != AF_INET && to->sa_family != AF_INET6)
        return ERR_INVALID;
    c = new_conn(l, ev, arg);
    if (uv_tcp_init_ex(loop_uv(l), &c->tcp, to->sa_family)) { /* no descriptor left */
        free_conn(&c->grave);
        return ERR_CONNECT;
    }
    set_options(c);
    set_peer(c, to);
    c->req.connect.data = c;
    if (uv_tcp_connect(&c->req.connect, &c->tcp, to, on_connected)) {
        conn_close(c);
        return ERR_CONNECT;
    }
    c->grave.n_pending++;
    *out = c;
    return 0;
}

static void on_resumed(void *arg);

int conn_connect_tls(struct loop *l, const struct sockaddr *to, const struct tls_peer *peer,
                     const struct conn_events *ev, void *arg, struct conn **out)
{
    struct secure *secure;
    struct conn *c;
    int err = conn_connect(l, to, ev, arg, &c);

    if (err)
        return err;
    secure = MEM_NEW(struct secure);
    buf_init(&secure->early, CONN_OUT_MAX);
    secure->resumed = (struct deferred){.fn = on_resumed, .arg = c};
    list_init(&secure->resumed.link);
    c->secure = secure;
    err = tls_new(peer, &c->out, &secure->tls);
    if (err)
        conn_close(c);
    else
        *out = c;
    return err;
}

int conn_accept(struct loop *l, uv_stream_t *listener, const struct conn_events *ev, void *arg,
                struct conn **out)
{
    struct sockaddr_storage sa;
    int length = sizeof sa;
    struct conn *c = new_conn(l, ev, arg);

    BUG_ON(uv_tcp_init(loop_uv(l), &c->tcp)); /* fails for bad arguments only */
    if (uv_accept(listener, stream_of(c))) {
        conn_close(c);
        return ERR_IO;
    }
    set_state(c, CONN_OPEN);
    set_options(c);
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &length) == 0)
        set_peer(c, (struct sockaddr *)&sa);
    conn_resume(c);
    *out = c;
    return 0;
}

void conn_set_events(struct conn *c, const struct conn_events *ev, void *arg)
{
    if (!is_alive(c) && c->state != CONN_DYING)
        return;
    c->events = ev;
    c->arg = arg;
}

/* --- death ---------------------------------------------------------------------------------------- */

/* Starts closing the handle. libuv calls pending requests back with ECANCELED before on_closed(). */
static void close_handle(struct conn *c)
{
    timer_stop(c->loop, &c->deadline);
    if (c->secure)
        loop_undefer(&c->secure->resumed);
    c->grave.n_pending++;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* The funnel of every death that was not ordered. */
static void fail(struct conn *c, int err, int uv_err)
{
    if (c->state == CONN_LINGERING) {
        conn_close(c);
        return;
    }
    BUG_ON(!is_alive(c));
    set_state(c, CONN_DYING);
    c->err = err;
    c->uv_err = uv_err;
    close_handle(c);
}

/* A peer who does not like our certificate says so and hangs up; with TLS 1.3 we are writing already and may
 * meet the reset first. What he said stands in the socket still, and is worth more than "reset". */
static bool has_last_words(struct conn *c)
{
    char sealed[KB(4)], opened[KB(4)];
    struct tls *tls = c->secure->tls;
    int err = ERR_AGAIN;
    uv_os_fd_t fd;

    if (tls_has_read(tls) || tls_has_input(tls) || uv_fileno((uv_handle_t *)&c->tcp, &fd))
        return false;
    for (int i = 0; i < 8 && err == ERR_AGAIN; i++) {
        ssize_t n = recv(fd, sealed, sizeof sealed, MSG_DONTWAIT);
        size_t n_opened;

        if (n <= 0)
            return false;
        tls_feed(tls, sealed, (size_t)n);
        err = tls_read(tls, opened, sizeof opened, &n_opened);
    }
    return err == ERR_TLS;
}

/* The same for an error of libuv while connected. */
static void fail_uv(struct conn *c, int uv_err)
{
    bool is_his = uv_err == UV_ECONNRESET || uv_err == UV_EPIPE || uv_err == UV_ENOTCONN;

    if (is_his && c->state == CONN_SHAKING) {
        tls_break(c->secure->tls, "reset the connection");
        fail(c, ERR_TLS, 0);
        return;
    }
    if (is_his && c->state == CONN_OPEN && c->secure && has_last_words(c)) {
        fail(c, ERR_TLS, 0);
        return;
    }
    fail(c, uv_err == UV_ENOMEM ? ERR_NOMEM : is_his ? ERR_CLOSED : ERR_IO, uv_err);
}

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = conn_of(handle->data);
    const char *tls_says;
    char why[TLS_WHY];

    c->grave.n_pending--;
    if (c->state != CONN_DYING)
        return;
    set_state(c, CONN_GONE);
    loop_bury(c->loop, &c->grave, free_conn);
    tls_says = c->secure ? tls_why(c->secure->tls) : "";
    if (c->uv_err)
        uv_strerror_r(c->uv_err, why, sizeof why);
    else if (*tls_says)
        snprintf(why, sizeof why, "%s", tls_says);
    else
        snprintf(why, sizeof why, "%s", err_text(c->err));
    c->events->on_close(c, c->err, why, c->arg);
}

/* A goodbye, if it can leave at once: servers log a connection without one as cut off. */
static void say_goodbye(struct conn *c)
{
    if (c->state != CONN_OPEN || !c->secure || c->is_finishing || c->is_cut || c->out.n ||
        c->flight)
        return;
    tls_finish(c->secure->tls);
    (void)try_write(c, NULL, 0);
}

void conn_close(struct conn *c)
{
    if (!c || c->state == CONN_GONE)
        return;
    say_goodbye(c);
    if (c->state != CONN_DYING)
        close_handle(c);
    set_state(c, CONN_GONE);
    loop_bury(c->loop, &c->grave, free_conn);
}

/* --- reading -------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = conn_of(handle->data);

    (void)suggested;
    *buf = uv_buf_init(loop_read_buffer(c->loop), LOOP_READ_BYTES);
}

static void read_on(struct conn *c)
{
    int err = uv_read_start(stream_of(c), on_alloc, on_uv_read);

    if (err && err != UV_EALREADY)
        fail_uv(c, err);
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = conn_of(req->data);

    c->grave.n_pending--;
    if (c->state != CONN_CONNECTING) /* closed meanwhile: status is ECANCELED */
        return;
    if (status) {
        fail(c, ERR_CONNECT, status);
        return;
    }
    if (c->secure) {
        set_state(c, CONN_SHAKING);
        read_on(c);
        if (c->state == CONN_SHAKING)
            shake(c);
        return;
    }
    set_state(c, CONN_OPEN);
    if (!c->is_paused)
        conn_resume(c);
    if (c->state == CONN_OPEN && c->events->on_open)
        c->events->on_open(c, c->arg);
    if (is_connected(c))
        flush(c);
}

static void on_uv_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = conn_of(stream->data);

    if (n == 0) /* a wake-up without bytes */
        return;
    if (n < 0 && n != UV_EOF) {
        fail_uv(c, (int)n);
        return;
    }
    if (n == UV_EOF) {
        c->is_at_eof = true;
        uv_read_stop(stream);
    }
    if (c->secure && c->state != CONN_LINGERING)
        on_sealed(c, buf->base, n > 0 ? (size_t)n : 0);
    else if (c->state == CONN_OPEN)
        c->events->on_read(c, buf->base ? buf->base : "", n > 0 ? (size_t)n : 0, c->arg);
    else
        settle(c);
}

void conn_pause(struct conn *c)
{
    if (!is_alive(c))
        return;
    c->is_paused = true;
    if (c->state == CONN_OPEN)
        uv_read_stop(stream_of(c));
}

void conn_resume(struct conn *c)
{
    if (!is_alive(c) && c->state != CONN_LINGERING)
        return;
    c->is_paused = false;
    if (c->state == CONN_CONNECTING || c->is_at_eof)
        return;
    if (c->secure && c->state == CONN_OPEN && tls_has_input(c->secure->tls))
        loop_defer(c->loop, &c->secure->resumed); /* it comes before what is read next */
    else
        read_on(c);
}

/* --- TLS ------------------------------------------------------------------------------------------ */

/* The handshake is done. What was written meanwhile goes first. */
static void open_secure(struct conn *c)
{
    struct secure *s = c->secure;
    struct str early = buf_str(&s->early);
    int err;

    set_state(c, CONN_OPEN);
    if (c->is_paused)
        uv_read_stop(stream_of(c));
    err = tls_write(s->tls, &early, 1);
    buf_release(&s->early);
    if (err) {
        fail(c, err, 0);
        return;
    }
    if (c->is_finishing)
        tls_finish(s->tls);
    if (c->events->on_open)
        c->events->on_open(c, c->arg);
    flush(c);
}

/* Goes on with the handshake as far as what has been read allows. */
static void shake(struct conn *c)
{
    int err = tls_shake(c->secure->tls);

    if (!err) {
        open_secure(c);
        return;
    }
    flush(c); /* if it failed: the alert that tells the peer why */
    if (err != ERR_AGAIN && c->state == CONN_SHAKING)
        fail(c, err, 0);
}

/* Opens what has been fed until nothing is left or the user has heard enough. */
static void deliver(struct conn *c)
{
    char opened[OPENED_MAX];
    int err = 0;

    while (!err && c->state == CONN_OPEN && !c->is_paused) {
        size_t n = 0, k;

        for (; !err && n < sizeof opened; n += k)
            err = tls_read(c->secure->tls, opened + n, sizeof opened - n, &k);
        flush(c);
        if (n && c->state == CONN_OPEN)
            c->events->on_read(c, opened, n, c->arg);
    }
    if (c->state != CONN_OPEN)
        return;
    if (err && err != ERR_AGAIN && err != ERR_CLOSED)
        fail(c, err == ERR_IO ? ERR_CLOSED : err, 0);
    else if (c->is_paused && tls_keep(c->secure->tls))
        fail(c, ERR_NOMEM, 0);
    else if (!c->is_paused && err == ERR_CLOSED) {
        c->is_at_eof = true;
        uv_read_stop(stream_of(c));
        c->events->on_read(c, "", 0, c->arg);
    }
}

static void on_resumed(void *arg)
{
    struct conn *c = conn_of(arg);

    if (c->state != CONN_OPEN || c->is_paused)
        return;
    deliver(c);
    if (c->state == CONN_OPEN && !c->is_paused && !c->is_at_eof)
        read_on(c);
}

/* Sealed bytes have been read; n == 0: EOF. */
static void on_sealed(struct conn *c, const char *p, size_t n)
{
    struct tls *tls = c->secure->tls;

    if (n == 0 && c->state == CONN_SHAKING) {
        tls_break(tls, "closed the connection");
        fail(c, ERR_TLS, 0);
    } else if (n == 0) {
        c->is_cut = true; /* a goodbye would have ended the reading before */
        c->events->on_read(c, "", 0, c->arg);
    } else {
        tls_feed(tls, p, n);
        if (c->state == CONN_SHAKING)
            shake(c);
        if (c->state == CONN_OPEN)
            deliver(c);
    }
}

/* --- writing -------------------------------------------------------------------------------------- */

/* What the kernel has not taken of the flight. */
static size_t in_flight(const struct conn *c)
{
    return c->flight ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;
}

size_t conn_backlog(const struct conn *c)
{
    return (c->secure ? c->secure->early.n : 0) + c->out.n + in_flight(c);
}

uint64_t conn_taken(const struct conn *c)
{
    return c->n_taken + (c->flight ? c->flight->bytes.n - in_flight(c) : 0);
}

static void on_written(uv_write_t *req, int status)
{
    struct flight *flight = CONTAINER_OF(req, struct flight, req);
    struct conn *c = conn_of(req->data);

    c->grave.n_pending--;
    c->flight = NULL;
    c->n_taken += flight->bytes.n; /* if it failed, nobody knows how many: the careful answer */
    mem_free((char *)flight->bytes.p);
    mem_free(flight);
    if (!is_connected(c))
        return;
    if (status)
        fail_uv(c, status);
    else
        settle(c);
}

/* Sends `out` on its way. */
static void take_off(struct conn *c)
{
    struct flight *flight = MEM_NEW(struct flight);
    uv_buf_t buf;
    int err;

    flight->bytes = buf_take(&c->out);
    flight->req.data = c;
    buf = uv_buf_init((char *)flight->bytes.p, (unsigned)flight->bytes.n);
    err = uv_write(&flight->req, stream_of(c), &buf, 1, on_written);
    if (err) {
        mem_free((char *)flight->bytes.p);
        mem_free(flight);
        fail_uv(c, err);
        return;
    }
    c->flight = flight;
    c->grave.n_pending++;
}

/* Hands `out` and then the parts to the kernel, once. Returns how many bytes it took, or a negative UV_
 * error; "would block" is 0. */
static ssize_t try_write(struct conn *c, const struct str *parts, size_t n_parts)
{
    uv_buf_t bufs[PARTS_MAX];
    unsigned n = 0;
    int took;

    if (c->out.n)
        bufs[n++] = uv_buf_init(c->out.p, (unsigned)c->out.n);
    for (size_t i = 0; i < n_parts && n < PARTS_MAX; i++)
        if (parts[i].n) /* the length is narrowed: a part of 4 GB does not pass CONN_OUT_MAX */
            bufs[n++] = uv_buf_init((char *)parts[i].p, (unsigned)parts[i].n);
    if (n == 0)
        return 0;
    took = uv_try_write(stream_of(c), bufs, n);
    c->n_taken += took > 0 ? (size_t)took : 0;
    return took == UV_EAGAIN ? 0 : took;
}

/* Drops the first `took` bytes of `out`, and its memory when that was all. Returns the rest of `took`. */
static size_t drop_written(struct conn *c, size_t took)
{
    size_t n = took < c->out.n ? took : c->out.n;

    if (n < c->out.n)
        buf_consume(&c->out, n);
    else
        buf_shrink(&c->out, 0);
    return took - n;
}

/* Moves `out` if it may move now. */
static void flush(struct conn *c)
{
    if (is_corked(c) || c->flight || !is_connected(c))
        return;
    /* on_drain comes from a flight's end, so who is owed one needs a flight, even a short one. */
    if (c->out.n && !c->is_owed_drain) {
        ssize_t took = try_write(c, NULL, 0);

        if (took < 0) {
            fail_uv(c, (int)took);
            return;
        }
        drop_written(c, (size_t)took);
    }
    if (c->out.n)
        take_off(c);
    else
        settle(c);
}

/* Queues what is behind the first `skip` bytes of the parts. */
static int keep_rest(struct conn *c, const struct str *parts, size_t n_parts, size_t skip)
{
    for (size_t i = 0; i < n_parts; i++) {
        size_t done = skip < parts[i].n ? skip : parts[i].n;

        skip -= done;
        if (done < parts[i].n && buf_add(&c->out, parts[i].p + done, parts[i].n - done))
            return buf_error(&c->out);
    }
    return 0;
}

/* Whether a write of `n` bytes should go past `out`, straight to the kernel. */
static bool is_direct(const struct conn *c, size_t n)
{
    return c->state == CONN_OPEN && !c->flight && !c->is_owed_drain &&
           (!c->n_corks || c->out.n + n > CORK_WORTH_BYTES);
}

/* Puts the parts through TLS; before the handshake is done they wait. */
static int write_secure(struct conn *c, const struct str *parts, size_t n_parts)
{
    if (c->state == CONN_OPEN)
        return tls_write(c->secure->tls, parts, n_parts);
    for (size_t i = 0; i < n_parts; i++)
        buf_add_str(&c->secure->early, parts[i]);
    return buf_error(&c->secure->early);
}

int conn_write(struct conn *c, const struct str *parts, size_t n_parts)
{
    size_t total = 0, skip = 0;
    int err = 0;

    if (!is_alive(c) || c->is_finishing)
        return ERR_CLOSED;
    for (size_t i = 0; i < n_parts && !err; i++)
        if (__builtin_add_overflow(total, parts[i].n, &total) || total > CONN_OUT_MAX)
            err = ERR_LIMIT;
    if (!err && c->secure) {
        err = write_secure(c, parts, n_parts);
        total = n_parts = 0; /* they stand in `out` now */
    }
    if (!err && is_direct(c, total)) {
        ssize_t took = try_write(c, parts, n_parts);

        if (took < 0) {
            fail_uv(c, (int)took);
            return ERR_CLOSED;
        }
        skip = drop_written(c, (size_t)took);
    }
    if (!err)
        err = keep_rest(c, parts, n_parts, skip);
    if (err) {
        fail(c, err, 0);
        return err;
    }
    if (c->out.n && !c->flight && !c->n_corks && c->state == CONN_OPEN) {
        take_off(c);
        if (c->state != CONN_OPEN)
            return ERR_CLOSED;
    }
    if (conn_backlog(c) <= c->high)
        return 0;
    c->is_owed_drain = true;
    return ERR_AGAIN;
}

void conn_set_high(struct conn *c, size_t bytes)
{
    c->high = bytes;
}

void conn_cork(struct conn *c)
{
    if (is_alive(c))
        c->n_corks++;
}

void conn_uncork(struct conn *c)
{
    if (!is_alive(c))
        return;
    BUG_ON(c->n_corks == 0);
    c->n_corks--;
    flush(c);
}

/* --- ending --------------------------------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct conn *c = conn_of(req->data);

    /* a failure means that the peer has reset the connection: reading will say so */
    (void)status;
    c->grave.n_pending--;
    c->is_fin_sent = true;
    if (c->state == CONN_LINGERING)
        settle(c);
}

static void send_fin(struct conn *c)
{
    c->is_finished = true;
    c->req.shutdown.data = c;
    if (uv_shutdown(&c->req.shutdown, stream_of(c), on_shutdown))
        c->is_fin_sent = true;
    else
        c->grave.n_pending++;
}

/* Called after bytes have left and, while lingering, after the peer's EOF: does what is due then. */
static void settle(struct conn *c)
{
    if (c->out.n && !c->flight && !is_corked(c))
        take_off(c);
    if (c->state == CONN_OPEN && c->is_owed_drain && conn_backlog(c) <= c->high / 2) {
        c->is_owed_drain = false;
        if (c->events->on_drain)
            c->events->on_drain(c, c->arg);
    }
    if (!is_connected(c))
        return;
    if (c->is_finishing && !c->is_finished && c->state != CONN_SHAKING && !c->out.n &&
        !c->flight)
        send_fin(c);
    if (c->state == CONN_LINGERING && c->is_fin_sent && c->is_at_eof)
        conn_close(c);
}

void conn_finish(struct conn *c)
{
    if (!is_alive(c) || c->is_finishing)
        return;
    c->is_finishing = true;
    /* there is no more to write, and on_drain must not come from inside here */
    c->is_owed_drain = false;
    if (c->state == CONN_OPEN) {
        if (c->secure)
            tls_finish(c->secure->tls);
        settle(c);
    }
}

static void on_deadline(struct timer *t, void *arg)
{
    (void)t;
    conn_close(conn_of(arg));
}

void conn_close_gently(struct conn *c, uint64_t within_ms)
{
    if (c->state != CONN_OPEN) {
        conn_close(c);
        return;
    }
    if (c->secure && !c->is_finishing)
        tls_finish(c->secure->tls);
    set_state(c, CONN_LINGERING);
    c->events = NULL;
    c->is_finishing = true;
    c->is_owed_drain = false;
    c->n_corks = 0;
    timer_init(&c->deadline, on_deadline, c);
    timer_start(c->loop, &c->deadline, within_ms);
    conn_resume(c);
    flush(c);
}

/* --- questions ------------------------------------------------------------------------------------ */

const char *conn_peer(const struct conn *c)
{
    return c->peer;
}

bool conn_peer_is_loopback(const struct conn *c)
{
    return c->is_loopback;
}

bool conn_is_shaking(const struct conn *c)
{
    return c->state == CONN_SHAKING;
}

bool conn_is_cut(const struct conn *c)
{
    return c->is_cut;
}
