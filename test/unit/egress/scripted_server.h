/* SPDX-License-Identifier: MIT
 *
 * A TCP server that answers by script, on the loop of the test itself, so that nothing runs by the clock.
 *
 * It takes HTTP requests apart by hand (Content-Length only), keeps all their bytes in `seen`, and gives the
 * n-th request the n-th line of its script, byte for byte. It speaks libuv and not lib/conn, because it must
 * be able to do what conn does not: reset a connection, and send one byte per turn. With `tls` set all of it
 * goes through OpenSSL's own server (unit/lib/far_tls.h).
 */
#ifndef TEST_SCRIPTED_SERVER_H
#define TEST_SCRIPTED_SERVER_H

#include <signal.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/mem.h"
#include "unit/lib/far_tls.h"

/* --- a clock that stands still ------------------------------------------------------------------ */

static uint64_t clock_now_ns = 1000000000u;

static uint64_t stopped_mono(void)
{
    return clock_now_ns;
}

static int64_t stopped_wall(void)
{
    return 1700000000000000;
}

static const struct clock_source stopped_clock = {stopped_mono, stopped_wall};

static inline void clock_advance_ms(uint64_t ms)
{
    clock_now_ns += ms * 1000000u;
}

/* --- the server --------------------------------------------------------------------------------- */

enum server_act {
    SERVER_ANSWER,       /* the text */
    SERVER_ANSWER_CLOSE, /* the text, then EOF; with TLS after a goodbye */
    SERVER_ANSWER_CUT,   /* the text, then EOF without a goodbye */
    SERVER_ANSWER_RESET, /* the text, then a reset */
    SERVER_DRIP,         /* the text, one byte per server_drip() */
};

struct server_line {
    enum server_act act;
    const char *text;
};

#define SERVER_PEERS 64

struct server_peer {
    uv_tcp_t tcp;
    struct server *server;
    struct buf in;    /* bytes of an unfinished request */
    struct far far;   /* with TLS only */
    const char *drip; /* what is still to be dripped; NULL = nothing */
    bool is_open;
};

struct server {
    struct loop *loop;
    uv_tcp_t listener;
    unsigned short port;
    bool is_reading; /* false: bytes stay in the kernel */
    SSL_CTX *tls;    /* from far_context(), borrowed; NULL: plain */
    bool is_plain;   /* speaks plainly in spite of it */
    struct server_peer *peers[SERVER_PEERS];
    unsigned n_peers, n_requests, n_open;
    struct buf seen; /* all requests */
    struct server_line lines[64];
    unsigned n_lines;
};

static void server_on_closed(uv_handle_t *h)
{
    (void)h;
}

static void server_hang_up(struct server_peer *p, bool by_reset)
{
    if (!p->is_open)
        return;
    p->is_open = false;
    p->server->n_open--;
    if (by_reset)
        uv_tcp_close_reset(&p->tcp, server_on_closed);
    else
        uv_close((uv_handle_t *)&p->tcp, server_on_closed);
}

static void server_send(struct server_peer *p, const char *text, size_t n)
{
    while (n > 0 && p->is_open) {
        uv_buf_t b = uv_buf_init((char *)text, (unsigned)n);
        int took = uv_try_write((uv_stream_t *)&p->tcp, &b, 1);

        if (took < 0)
            return; /* scripts are shorter than any socket buffer, so the peer has gone */
        text += took;
        n -= (size_t)took;
    }
}

/* What TLS has to say by now. */
static void server_flush(struct server_peer *p)
{
    static char sealed[KB(64)];
    size_t n;

    while ((n = far_take(&p->far, sealed, sizeof sealed)))
        server_send(p, sealed, n);
}

static void server_say(struct server_peer *p, const char *text, size_t n)
{
    if (!p->far.ssl) {
        server_send(p, text, n);
        return;
    }
    far_say(&p->far, text, n);
    server_flush(p);
}

static void server_play(struct server_peer *p)
{
    struct server *s = p->server;
    unsigned i = s->n_requests++;
    const struct server_line *line = &s->lines[i];

    if (i >= s->n_lines) /* silence */
        return;
    if (line->act == SERVER_DRIP) {
        p->drip = line->text;
        return;
    }
    server_say(p, line->text, strlen(line->text));
    if (p->far.ssl && line->act == SERVER_ANSWER_CLOSE) {
        far_goodbye(&p->far);
        server_flush(p);
    }
    if (line->act != SERVER_ANSWER)
        server_hang_up(p, line->act == SERVER_ANSWER_RESET);
}

/* Length of the first whole request in `in`, 0 if there is none yet. */
static size_t server_request_length(struct str in)
{
    const char *end = in.n ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL, *at;
    size_t head, length = 0;

    if (!end)
        return 0;
    head = (size_t)(end - in.p) + 4;
    at = memmem(in.p, head, "Content-Length: ", 16);
    for (at = at ? at + 16 : NULL; at && *at >= '0' && *at <= '9'; at++)
        length = length * 10 + (size_t)(*at - '0');
    return in.n >= head + length ? head + length : 0;
}

static void server_on_alloc(uv_handle_t *h, size_t n, uv_buf_t *b)
{
    static char room[65536];

    (void)h;
    (void)n;
    *b = uv_buf_init(room, sizeof room);
}

static void server_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct server_peer *p = stream->data;
    size_t length;

    if (n < 0) {
        server_hang_up(p, false);
        return;
    }
    if (p->far.ssl) {
        far_feed(&p->far, b->base, (size_t)n);
        server_flush(p);
        buf_add_str(&p->in, buf_str(&p->far.said));
        buf_clear(&p->far.said);
        if (p->far.is_over)
            server_hang_up(p, false);
    } else {
        buf_add(&p->in, b->base, (size_t)n);
    }
    while (p->is_open && (length = server_request_length(buf_str(&p->in)))) {
        buf_add(&p->server->seen, p->in.p, length);
        buf_consume(&p->in, length);
        server_play(p);
    }
}

static void server_on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    struct server_peer *p = MEM_NEW(struct server_peer);

    BUG_ON(status || s->n_peers == SERVER_PEERS);
    s->peers[s->n_peers++] = p;
    s->n_open++;
    p->server = s;
    p->is_open = true;
    buf_init(&p->in, MB(64));
    if (s->tls && !s->is_plain)
        far_init(&p->far, s->tls);
    BUG_ON(uv_tcp_init(loop_uv(s->loop), &p->tcp));
    BUG_ON(uv_accept(listener, (uv_stream_t *)&p->tcp));
    BUG_ON(uv_tcp_nodelay(&p->tcp, 1)); /* TLS's tickets would hold up the answer */
    p->tcp.data = p;
    if (s->is_reading)
        BUG_ON(uv_read_start((uv_stream_t *)&p->tcp, server_on_alloc, server_on_read));
}

static inline void server_start(struct server *s, struct loop *loop)
{
    struct sockaddr_in address;
    int n = sizeof address;

    memset(s, 0, sizeof *s);
    s->loop = loop;
    s->is_reading = true;
    buf_init(&s->seen, MB(64));
    BUG_ON(uv_ip4_addr("127.0.0.1", 0, &address));
    BUG_ON(uv_tcp_init(loop_uv(loop), &s->listener));
    BUG_ON(uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0));
    BUG_ON(uv_listen((uv_stream_t *)&s->listener, 64, server_on_connection));
    BUG_ON(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &n));
    s->listener.data = s;
    s->port = ntohs(address.sin_port);
    alarm(60); /* a test that hangs is a failed test */
}

static inline void server_script(struct server *s, enum server_act act, const char *text)
{
    BUG_ON(s->n_lines == sizeof s->lines / sizeof *s->lines);
    s->lines[s->n_lines++] = (struct server_line){act, text};
}

/* Sends the next byte of what is dripping. False: there is nothing. */
static inline bool server_drip(struct server *s)
{
    bool any = false;

    for (unsigned i = 0; i < s->n_peers; i++) {
        struct server_peer *p = s->peers[i];

        if (!p->drip || !*p->drip)
            continue;
        server_say(p, p->drip++, 1);
        any = true;
    }
    return any;
}

static inline void server_read_on(struct server *s)
{
    s->is_reading = true;
    for (unsigned i = 0; i < s->n_peers; i++)
        if (s->peers[i]->is_open)
            BUG_ON(uv_read_start((uv_stream_t *)&s->peers[i]->tcp, server_on_alloc,
                                 server_on_read));
}

static inline void server_hang_up_all(struct server *s, bool by_reset)
{
    for (unsigned i = 0; i < s->n_peers; i++)
        server_hang_up(s->peers[i], by_reset);
}

/* Nobody listens any more; connections stay. */
static inline void server_stop_listening(struct server *s)
{
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, server_on_closed);
}

/* The loop must turn once more before server_release(). */
static inline void server_stop(struct server *s)
{
    server_stop_listening(s);
    server_hang_up_all(s, false);
}

static inline void server_release(struct server *s)
{
    for (unsigned i = 0; i < s->n_peers; i++) {
        buf_release(&s->peers[i]->in);
        if (s->peers[i]->far.ssl)
            far_release(&s->peers[i]->far);
        mem_free(s->peers[i]);
    }
    buf_release(&s->seen);
}

static inline const char *server_last(struct server *s)
{
    const char *z = buf_z(&s->seen);

    return z ? z : "";
}

#endif
