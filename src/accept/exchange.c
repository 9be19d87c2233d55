/* SPDX-License-Identifier: MIT
 *
 * One request and its answer.
 *
 *     begun ------- exchange_answer ------------------> over
 *       |                                                ^
 *       +---- the peer vanishes: on_gone is called ------+
 *       |                                                |
 *       `---- the peer vanishes, nobody wants to know    |
 *             (no on_gone): lives on without a peer, ----+
 *             the answer is dropped
 *
 * A handler that never asked to be told may therefore answer whenever it likes; one that asked must forget
 * the exchange when told.
 *
 * The head of an answer is assembled in a buffer all connections share, and leaves with the caller's body in
 * one system call; nothing is copied unless the kernel's buffer is full or other answers wait to leave with
 * this one. What is the same for a second, the Date, is made once a second.
 *
 * An answer in pieces (a stream) is an exchange that stays open while it is answered:
 *
 *     begun --exchange_stream--> streaming --exchange_end--> over
 *                                   `---- the peer vanishes: on_gone is called
 *
 * Deliberately absent: compression (agents' JSON travels on fast networks, and secrets beside attacker's text must not be
 * compressed together).
 */
#include <stdio.h>

#include "accept/accept_int.h"
#include "lib/clock.h"
#include "lib/log.h"

/* Body parts that join the head in one list; beyond it they are corked together. */
#define ANSWER_PARTS 15

static const char text_type[] = "text/plain; charset=utf-8";

/* --- writing -------------------------------------------------------------------------------------- */

/* IMF-fixdate (RFC 9110, section 5.6.7), made from the text of clock_format(): YYYY-MM-DDThh:mm:ss. */
static void make_date(struct server *s, int64_t wall_us)
{
    static const char days[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t day_us = 86400000000;
    int64_t day = wall_us / day_us - (wall_us % day_us < 0); /* 1970-01-01 was a Thursday */
    char t[CLOCK_TEXT + 1];
    int month, n;

    clock_format(wall_us, t);
    month = (t[5] - '0') * 10 + (t[6] - '0');
    n = snprintf(s->date, sizeof s->date, "date: %s, %.2s %s %.4s %.8s GMT\r\n",
                 days[(day % 7 + 7) % 7], t + 8, months[month - 1], t, t + 11);
    BUG_ON(n < 0 || (size_t)n >= sizeof s->date);
    s->date_bytes = (size_t)n;
}

/* The Date line, from the wall clock at most once a second. */
static struct str date_line(struct server *s)
{
    uint64_t now_ms = loop_now_ms(s->loop);

    if (now_ms >= s->date_until_ms) {
        int64_t wall_us = clock_wall_us(), into_second = wall_us / 1000 % 1000;

        make_date(s, wall_us);
        s->date_until_ms = now_ms + 1000 - (uint64_t)(into_second > 0 ? into_second : 0);
    }
    return str_make(s->date, s->date_bytes);
}

/* 204 and 304 have no body by definition (RFC 9110, section 6.4.1). */
static bool has_body(int status)
{
    return status != 204 && status != 304;
}

static void write_head(struct server *s, const struct answer *a, size_t body_bytes)
{
    struct buf *out = &s->out;

    buf_clear(out);
    http_write_status(out, a->status);
    buf_add_str(out, date_line(s));
    if (has_body(a->status)) {
        if (a->type)
            http_write_header(out, "content-type", str_of(a->type));
        if (a->is_chunked)
            BUF_LIT(out, "transfer-encoding: chunked\r\n");
        if (!a->is_stream) {
            BUF_LIT(out, "content-length: ");
            buf_add_u64(out, body_bytes);
            BUF_LIT(out, "\r\n");
        }
    }
    if (a->id.p)
        http_write_header(out, "x-request-id", a->id);
    if (a->closes)
        BUF_LIT(out, "connection: close\r\n");
    else if (a->says_alive)
        BUF_LIT(out, "connection: keep-alive\r\n");
    for (size_t i = 0; i < a->n_headers; i++)
        http_write_header(out, a->headers[i].name, a->headers[i].value);
    http_write_end(out);
}

int answer_write(struct server *s, struct conn *c, const struct answer *a)
{
    bool with_body = has_body(a->status) && !a->is_head;
    struct str list[1 + ANSWER_PARTS];
    size_t total = 0;
    int err;

    for (size_t i = 0; i < a->n_parts; i++)
        total += a->parts[i].n;
    write_head(s, a, total);
    if (buf_error(&s->out)) {
        static const struct str sorry = {"the answer's headers are too large\n", 35};
        struct answer instead = {.status = 500,
                                 .closes = a->closes,
                                 .is_head = a->is_head,
                                 .type = text_type,
                                 .parts = &sorry,
                                 .n_parts = 1};

        BUG_ON(a->n_headers == 0); /* ours fit */
        log_event(LOG_ERROR, "an answer could not be written, answered 500 instead",
                  LOG_Z("because", err_text(buf_error(&s->out))), LOG_STR("request", a->id));
        return answer_write(s, c, &instead);
    }
    list[0] = buf_str(&s->out);
    if (!with_body || a->n_parts == 0)
        return conn_write(c, list, 1);
    if (a->n_parts <= ANSWER_PARTS) {
        memcpy(list + 1, a->parts, a->n_parts * sizeof *a->parts);
        return conn_write(c, list, 1 + a->n_parts);
    }
    conn_cork(c);
    err = conn_write(c, list, 1);
    if (!err || err == ERR_AGAIN)
        err = conn_write(c, a->parts, a->n_parts);
    conn_uncork(c);
    return err;
}

/* --- the request's id ----------------------------------------------------------------------------- */

/* Decent enough to be logged and sent back: visible ASCII, not too long. */
static bool is_request_id(struct str id)
{
    if (id.n < 1 || id.n > LIMIT_REQUEST_ID)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return false;
    return true;
}

struct str exchange_id(struct server *s, const struct http_head *head, char own[REQUEST_ID_OWN])
{
    struct str id = head ? http_head_get(head, STR("x-request-id")) : STR_NONE;
    size_t n = sizeof s->id_prefix - 1;
    uint64_t count;
    int shift = 60;

    if (is_request_id(id))
        return id;
    count = ++s->id_counter;
    memcpy(own, s->id_prefix, n);
    own[n++] = '-';
    while (shift > 0 && !(count >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        own[n++] = "0123456789abcdef"[count >> shift & 15];
    return str_make(own, n);
}

/* --- one exchange --------------------------------------------------------------------------------- */

void exchange_begin(struct exchange *x, struct server *s, const struct intake *in)
{
    x->is_open = true;
    x->is_kept = x->is_stream = x->is_corked = false;
    x->head = in->head;
    x->body = in->view.p ? in->view : buf_str(&in->body);
    x->id = exchange_id(s, in->head, x->id_text);
    x->on_gone = NULL;
    x->gone_arg = NULL;
}

static struct peer *open_peer_of(const struct exchange *x)
{
    struct peer *p = peer_of_exchange(x);

    BUG_ON(!x->is_open); /* answered twice, or touched after the answer or on_gone */
    return p;
}

/* Before it has become a stream. */
static struct peer *asking_peer_of(const struct exchange *x)
{
    BUG_ON(x->is_stream);
    return open_peer_of(x);
}

const struct http_head *exchange_head(const struct exchange *x)
{
    return asking_peer_of(x)->x.head;
}

struct str exchange_body(const struct exchange *x)
{
    return asking_peer_of(x)->x.body;
}

int exchange_keep_body(struct exchange *x)
{
    struct intake *in = asking_peer_of(x)->intake;

    BUG_ON(!x->body.p); /* too late: the request callback has returned */
    if (in->view.p) {
        buf_clear(&in->body);
        if (buf_add_str(&in->body, in->view))
            return ERR_NOMEM;
        in->view = STR_NONE;
        x->body = buf_str(&in->body);
    }
    x->is_kept = true;
    return 0;
}

struct str exchange_request_id(const struct exchange *x)
{
    return asking_peer_of(x)->x.id;
}

const char *exchange_peer(const struct exchange *x)
{
    struct peer *p = open_peer_of(x);

    return p->conn ? conn_peer(p->conn) : "gone";
}

bool exchange_peer_is_loopback(const struct exchange *x)
{
    struct peer *p = open_peer_of(x);

    return p->conn && conn_peer_is_loopback(p->conn);
}

void exchange_on_gone(struct exchange *x, void (*fn)(void *arg), void *arg)
{
    struct peer *p = open_peer_of(x);

    x->on_gone = fn;
    x->gone_arg = arg;
    if (!p->conn && fn)
        loop_defer(p->loop, &p->notice);
}

/* Whether this is the last answer on its connection. */
static bool is_last(const struct peer *p)
{
    const struct intake *in = p->intake;

    return !p->x.head->keep_alive || p->server->is_draining || p->is_last ||
           (p->is_at_eof && in->behind_at == in->behind.n);
}

void exchange_answer(struct exchange *x, int status, const char *content_type,
                     const struct exchange_header *headers, size_t n_headers,
                     const struct str *parts, size_t n_parts)
{
    struct peer *p = asking_peer_of(x);
    struct answer a;
    int err;

    BUG_ON(status < 200 || status > 599);
    x->is_open = false;
    if (!p->conn) {
        if (!p->is_working)
            peer_release(p);
        return;
    }
    p->is_last = is_last(p);
    p->server->n_exchanges--;
    a = (struct answer){.status = status,
                        .closes = p->is_last,
                        .says_alive = x->head->minor == 0,
                        .is_head = x->head->verb == HTTP_VERB_HEAD,
                        .type = content_type,
                        .id = x->id,
                        .headers = headers,
                        .n_headers = n_headers,
                        .parts = parts,
                        .n_parts = n_parts};
    err = answer_write(p->server, p->conn, &a);
    if (err == ERR_AGAIN)
        p->is_blocked = true;
    else if (err)
        peer_end(p);
    peer_go_on(p);
}

/* --- answers in pieces ---------------------------------------------------------------------------- */

void exchange_stream(struct exchange *x, int status, const char *content_type,
                     const struct exchange_header *headers, size_t n_headers,
                     void (*on_drain)(void *arg))
{
    struct peer *p = asking_peer_of(x);
    struct answer a = {.status = status,
                       .closes = true,
                       .is_stream = true,
                       .is_chunked = x->head->minor > 0,
                       .type = content_type,
                       .id = x->id,
                       .headers = headers,
                       .n_headers = n_headers};

    BUG_ON(!x->on_gone || !has_body(status));
    x->is_stream = true;
    x->is_chunked = a.is_chunked;
    x->is_mute = x->head->verb == HTTP_VERB_HEAD;
    x->on_drain = on_drain;
    if (!p->conn) /* on_gone is on its way */
        return;
    conn_set_high(p->conn, LIMIT_STREAM_OUT);
    conn_cork(p->conn);
    x->is_corked = true;
    (void)answer_write(p->server, p->conn, &a); /* a failure is reported by on_close */
    peer_stream(p);
}

static void uncork(struct peer *p)
{
    if (p->x.is_corked)
        conn_uncork(p->conn);
    p->x.is_corked = false;
}

/* What conn_write() says, in the words of a stream. */
static int judge_write(struct peer *p, int err)
{
    if (err && err != ERR_AGAIN)
        return ERR_CLOSED;
    if (err)
        peer_block(p);
    return err;
}

int exchange_write(struct exchange *x, const struct str *parts, size_t n_parts)
{
    struct peer *p = open_peer_of(x);
    struct str list[2 + ANSWER_PARTS];
    struct buf *out;
    size_t total = 0, n = 0;
    int err;

    BUG_ON(!x->is_stream || n_parts > ANSWER_PARTS);
    if (!p->conn)
        return ERR_CLOSED;
    if (x->is_mute)
        return 0;
    for (size_t i = 0; i < n_parts; i++)
        total += parts[i].n;
    BUG_ON(total == 0); /* to a chunked reader that is the end */
    out = &p->server->out;
    buf_clear(out);
    if (x->is_chunked) {
        buf_printf(out, "%zx\r\n", total);
        list[n++] = buf_str(out);
    }
    memcpy(list + n, parts, n_parts * sizeof *parts);
    n += n_parts;
    if (x->is_chunked)
        list[n++] = STR("\r\n");
    err = conn_write(p->conn, list, n);
    uncork(p);
    return judge_write(p, err);
}

void exchange_end(struct exchange *x)
{
    static const struct str last = {"0\r\n\r\n", 5};
    struct peer *p = open_peer_of(x);

    BUG_ON(!x->is_stream);
    x->is_open = false;
    if (!p->conn) {
        if (!p->is_working)
            peer_release(p);
        return;
    }
    p->server->n_exchanges--;
    if (x->is_chunked && !x->is_mute)
        (void)conn_write(p->conn, &last, 1); /* a failure is reported by on_close */
    uncork(p);
    peer_go_on(p);
}

void exchange_answer_text(struct exchange *x, int status, const char *text)
{
    struct str part = str_of(text);

    exchange_answer(x, status, text_type, NULL, 0, &part, 1);
}
