/* SPDX-License-Identifier: MIT
 *
 * One connection: bytes become requests, one after the other, each within its time.
 *
 *            first byte        head complete       message complete
 *     IDLE ------------> HEAD ----------------> BODY ----------------> BUSY ---> IDLE, when answered; STREAM
 *       |                  |                      |                      |
 *       | EOF, drain       | too slow, malformed, | cut short            | last answer
 *       v                  v                      v                      v
 *     FLUSH <------------------------------------------------------------+
 *       |
 *       v  the kernel has taken all bytes
 *     GONE <--- from every state: idle too long, connection dead, server closed
 *
 *   IDLE   no byte of the next message has been seen, or the peer has yet to read his answers
 *   HEAD   since its first byte; one deadline for all of it
 *   BODY   since the end of its head; one deadline for all of it
 *   BUSY   the exchange is open; no deadline (whoever works on it has his own)
 *   STREAM the answer comes in pieces, the last of this connection; a deadline only while he takes none of them. His EOF
 *          is the end: nobody reads on who has nothing more to say
 *   FLUSH  everything is said; waiting for the kernel to take it; what comes in is dropped
 *   GONE   out of the table, without a connection; memory stays while x is open, or until the turn ends
 *
 * States are what is waited for between callbacks; enter() sets them, with their deadline, and peer_end()
 * sets GONE. A message that arrives whole and is answered at once therefore passes from IDLE to IDLE.
 *
 * Invariants:
 *   1. Nothing is parsed while an exchange is open: the head the handler looks at stays, answers keep order.
 *   2. In HEAD and BODY nothing waits behind, because everything read has gone to the parser.
 *   3. Only work() calls the handler; it is a loop and never re-entered. An answer given inside the handler
 *      leaves a mark, an answer given later lets the rest be parsed at the end of the turn. So a thousand
 *      pipelined requests need no more stack than one, and exchange_answer() never calls the handler.
 *   4. What a peer makes us keep is bounded: the message in hand by lib/limits.h, what comes behind it by
 *      LIMIT_PIPELINE and one read, answers he does not read by LIMIT_CONN_OUT_HIGH and one answer.
 *
 * Otherwise EOF is not a death: clients may finish sending and wait for what they asked. Faults below JSON are answered
 * here with one sentence, and end the connection, because where the next message starts is then unknown.
 */
#include "accept/accept_int.h"
#include "lib/log.h"
#include "lib/mem.h"

/* How often a peer who is slow to read his last answer is looked at; on_drain comes for large ones only. */
#define FLUSH_LOOK_MS 20

/* How long the reader of a stream may take nothing of what waits for him. */
#define STALL_MS 30000u

static void on_read(struct conn *c, const char *bytes, size_t n, void *arg);
static void on_drain(struct conn *c, void *arg);
static void on_close(struct conn *c, int err, const char *why, void *arg);
static void on_deadline(struct timer *t, void *arg);
static void on_more(void *arg);
static void on_notice(void *arg);
static void settle(struct peer *p);

static const struct conn_events events = {
    .on_read = on_read, .on_drain = on_drain, .on_close = on_close};

static struct peer *peer_of(void *arg)
{
    struct peer *p = arg;

    BUG_ON(p->magic != PEER_MAGIC);
    return p;
}

/* --- states --------------------------------------------------------------------------------------- */

/* Changes the state and sets its deadline. A deadline is total: it is set when the state is entered or a new
 * message began, never by further bytes of the same message. */
static void enter(struct peer *p, enum peer_state to)
{
    const struct server_config *config = &p->server->config;
    uint64_t after_ms[] = {[PEER_IDLE] = config->idle_timeout_ms,
                           [PEER_HEAD] = config->head_timeout_ms,
                           [PEER_BODY] = config->body_timeout_ms,
                           [PEER_FLUSH] = FLUSH_LOOK_MS};

    BUG_ON(p->state >= PEER_FLUSH); /* from there the way leads out only */
    if (p->state == to && !p->is_fresh)
        return;
    p->state = (uint8_t)to;
    p->is_fresh = false;
    /* In BUSY the timer is left where it is: cheaper than taking it out, and on_deadline() ignores it. */
    if (to == PEER_BUSY || to == PEER_STREAM)
        return;
    p->backlog_seen = conn_backlog(p->conn);
    p->give_up_ms = loop_now_ms(p->loop) + config->idle_timeout_ms;
    timer_start(p->loop, &p->timer, after_ms[to]);
}

int peer_open(struct server *s)
{
    struct peer *p = MEM_NEW(struct peer);
    int err;

    p->magic = PEER_MAGIC;
    p->server = s;
    p->loop = s->loop;
    list_init(&p->link);
    timer_init(&p->timer, on_deadline, p);
    p->more = (struct deferred){.fn = on_more, .arg = p};
    p->notice = (struct deferred){.fn = on_notice, .arg = p};
    err = conn_accept(s->loop, (uv_stream_t *)&s->listener, &events, p, &p->conn);
    if (err) {
        mem_free(p);
        return err;
    }
    list_append(&s->peers, &p->link);
    s->n_peers++;
    p->is_fresh = true;
    enter(p, PEER_IDLE);
    return 0;
}

static void free_peer(struct grave *g)
{
    struct peer *p = CONTAINER_OF(g, struct peer, grave);

    p->magic = 0;
    mem_free(p);
}

void peer_release(struct peer *p)
{
    loop_undefer(&p->notice);
    if (p->intake) {
        if (p->server)
            intake_give(p->server, p->intake, false);
        else
            intake_free(p->intake);
        p->intake = NULL;
    }
    p->server = NULL;
    loop_bury(p->loop, &p->grave, free_peer);
}

void peer_end(struct peer *p)
{
    struct server *s = p->server;
    struct exchange *x = &p->x;

    if (p->state == PEER_GONE)
        return;
    p->state = PEER_GONE;
    timer_stop(p->loop, &p->timer);
    loop_undefer(&p->more);
    conn_close(p->conn);
    p->conn = NULL;
    list_remove(&p->link);
    s->n_peers--;
    s->n_exchanges -= x->is_open;
    server_peer_left(s);
    if (x->is_open && x->on_gone) {
        x->is_open = false;
        x->on_gone(x->gone_arg);
    }
    if (!p->is_working && !x->is_open)
        peer_release(p);
    else
        p->server = NULL; /* who is gone may outlive it */
}

/* A handler asked to be told after the peer had gone. */
static void on_notice(void *arg)
{
    struct peer *p = peer_of(arg);

    if (!p->x.on_gone)
        return; /* and thought better of it */
    p->x.is_open = false;
    p->x.on_gone(p->x.gone_arg);
    peer_release(p);
}

static void on_close(struct conn *c, int err, const char *why, void *arg)
{
    struct peer *p = peer_of(arg);

    (void)err;
    log_event(LOG_DEBUG, "client gone", LOG_Z("peer", conn_peer(c)), LOG_Z("because", why),
              LOG_U64("unanswered", p->x.is_open));
    p->conn = NULL; /* it frees itself */
    peer_end(p);
}

/* --- leaving -------------------------------------------------------------------------------------- */

static void leave(struct peer *p)
{
    struct conn *c = p->conn;

    p->conn = NULL;
    if (p->is_at_eof)
        conn_close(c); /* he has finished, we have: there is nothing a reset could destroy */
    else
        server_leave(p->server, c);
    peer_end(p);
}

/* Everything is said. As long as the kernel has not taken it, the peer stays in the table, where he is
 * counted and the drain waits for him. */
static void flush(struct peer *p)
{
    if (p->state != PEER_FLUSH) {
        enter(p, PEER_FLUSH);
        p->is_last = true;
        p->is_paused = false;
        loop_undefer(&p->more); /* nothing behind the last message counts */
        conn_resume(p->conn);   /* what he still sends is dropped, but a reset or EOF is seen */
        if (p->intake)
            intake_give(p->server, p->intake, false);
        p->intake = NULL;
    }
    if (conn_backlog(p->conn) == 0)
        leave(p);
}

/* Answers a fault below JSON. The connection will be closed: where the next message starts is unknown. */
static void refuse(struct peer *p, int status, const char *why)
{
    const struct http_head *head = p->intake ? p->intake->head : NULL;
    char own[REQUEST_ID_OWN];
    struct answer a = {.status = status,
                       .closes = true,
                       .is_head = head && head->verb == HTTP_VERB_HEAD,
                       .type = "text/plain; charset=utf-8",
                       .id = exchange_id(p->server, head, own)};
    struct str parts[] = {str_of(http_status_text(status)), STR(": "), str_of(why), STR("\n")};

    a.parts = parts;
    a.n_parts = sizeof parts / sizeof *parts;
    p->server->n_refused++;
    log_event(LOG_DEBUG, "request refused", LOG_Z("peer", conn_peer(p->conn)),
              LOG_U64("status", status), LOG_Z("because", why), LOG_STR("request", a.id));
    p->is_last = true;
    (void)answer_write(p->server, p->conn, &a); /* a failure is reported by on_close */
}

/* Whether the peer has read any of his answers since the deadline was set: he is slow, but he is there. */
static bool is_reading(struct peer *p)
{
    size_t backlog = conn_backlog(p->conn);
    bool yes = backlog && backlog < p->backlog_seen;

    p->backlog_seen = backlog;
    return yes;
}

static void on_deadline(struct timer *t, void *arg)
{
    struct peer *p = peer_of(arg);
    uint64_t idle_ms = p->server->config.idle_timeout_ms;

    switch ((enum peer_state)p->state) {
    case PEER_HEAD:
        refuse(p, 408, "the head of the request took too long");
        flush(p);
        break;
    case PEER_BODY:
        refuse(p, 408, "the body of the request took too long");
        flush(p);
        break;
    case PEER_IDLE:
        if (is_reading(p))
            timer_start(p->loop, t, idle_ms);
        else
            peer_end(p);
        break;
    case PEER_FLUSH:
        if (is_reading(p))
            p->give_up_ms = loop_now_ms(p->loop) + idle_ms;
        timer_start(p->loop, t, FLUSH_LOOK_MS);
        if (conn_backlog(p->conn) == 0)
            leave(p);
        else if (loop_now_ms(p->loop) >= p->give_up_ms)
            peer_end(p);
        break;
    case PEER_STREAM:
        if (!p->is_blocked)
            break;
        if (is_reading(p))
            timer_start(p->loop, t, STALL_MS);
        else
            peer_end(p);
        break;
    case PEER_BUSY:
    case PEER_GONE:
        break;
    }
}

/* The parser is the largest thing a peer has, and there will be many streams. */
void peer_stream(struct peer *p)
{
    p->is_last = true;
    p->is_blocked = false;
    intake_give(p->server, p->intake, false);
    p->intake = NULL;
    p->x.head = NULL;
    p->x.body = p->x.id = STR_NONE;
    loop_defer(p->loop,
               &p->more); /* the head leaves with the turn; and he may have gone already */
    if (!p->is_working)
        settle(p);
}

void peer_block(struct peer *p)
{
    if (p->is_blocked)
        return;
    p->is_blocked = true;
    p->backlog_seen = conn_backlog(p->conn);
    timer_start(p->loop, &p->timer, STALL_MS);
}

void peer_drain(struct peer *p)
{
    if (!p->is_working)
        settle(p);
}

/* --- parsing -------------------------------------------------------------------------------------- */

static int on_head(struct http_parser *parser, const struct http_head *head, void *arg)
{
    struct intake *in = arg;

    (void)parser;
    in->head = head;
    in->wants_continue = head->expects_continue && head->minor >= 1;
    return 0;
}

/* The first piece stays where it is if that is in the bytes being parsed; a second one, or the end of the
 * read, makes a copy. */
static int keep_view(struct intake *in)
{
    struct str view = in->view;

    in->view = STR_NONE;
    return view.p ? buf_add_str(&in->body, view) : 0;
}

static bool is_inside(struct str whole, struct str piece)
{
    uintptr_t from = (uintptr_t)whole.p, at = (uintptr_t)piece.p;

    return at >= from && at - from <= whole.n && whole.n - (at - from) >= piece.n;
}

static int on_body(struct http_parser *parser, struct str piece, void *arg)
{
    struct intake *in = arg;
    int err;

    (void)parser;
    in->wants_continue = false; /* he did not wait */
    if (!in->view.p && in->body.n == 0 && is_inside(in->fed, piece)) {
        in->view = piece;
        return 0;
    }
    err = keep_view(in);
    return err ? err : buf_add_str(&in->body, piece);
}

static int on_done(struct http_parser *parser, void *arg)
{
    struct intake *in = arg;

    (void)parser;
    in->is_done = true;
    in->wants_continue = false;
    return 0;
}

const struct http_events peer_http_events = {
    .on_head = on_head, .on_body = on_body, .on_done = on_done};

/* Whether the bytes at hand may be parsed (invariant 1). */
static bool may_parse(const struct peer *p)
{
    return p->conn && !p->x.is_open && !p->is_last && !p->is_blocked;
}

static bool has_behind(const struct peer *p)
{
    return p->intake && p->intake->behind_at < p->intake->behind.n;
}

/* The next message begins: forgets the one before it. */
static void begin_message(struct intake *in)
{
    in->is_done = false;
    in->head = NULL;
    in->view = STR_NONE;
    buf_clear(&in->body);
}

static void refuse_parse(struct peer *p, int err)
{
    int status = http_parser_status(p->intake->parser);

    if (status)
        refuse(p, status, http_parser_why(p->intake->parser));
    else if (err == ERR_LIMIT) /* our own callbacks stopped it */
        refuse(p, 413, "the body is larger than allowed");
    else
        refuse(p, 503, "there is no memory for the body");
}

/* Feeds the parser. True when that completed a message. */
static bool take_message(struct peer *p, const char *bytes, size_t n, size_t *used)
{
    static const struct str go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    struct intake *in = p->intake;
    int err;

    if (!in)
        in = p->intake = intake_take(p->server);
    if (in->is_done)
        begin_message(in);
    in->fed = str_make(bytes, n);
    err = http_parser_feed(in->parser, bytes, n, used);
    if (!err && in->is_done)
        return true;
    BUG_ON(!err && *used < n);
    if (!err)
        err = keep_view(in);
    if (err) {
        refuse_parse(p, err);
    } else if (in->wants_continue) {
        in->wants_continue = false;
        (void)conn_write(p->conn, &go_on, 1); /* a failure is reported by on_close */
    }
    return false;
}

static void serve(struct peer *p)
{
    struct server *s = p->server;
    struct exchange *x = &p->x;

    p->is_fresh = true;
    exchange_begin(x, s, p->intake);
    s->n_exchanges++;
    s->n_requests++;
    s->on_request(x, s->arg); /* `s` may be closed now */
    if (x->is_open && !x->is_kept)
        x->body = STR_NONE; /* the bytes are about to go */
}

/* Parses and serves message by message until the bytes are used up or something stands in the way; returns
 * how many it used. If more than one message is at hand their answers leave together. */
static size_t work(struct peer *p, const char *bytes, size_t n)
{
    bool is_corked = false;
    size_t at = 0;

    BUG_ON(p->is_working);
    p->is_working = true;
    while (at < n && may_parse(p)) {
        size_t used = 0;
        bool is_complete = take_message(p, bytes + at, n - at, &used);

        at += used;
        if (!is_complete)
            continue;
        if (at < n && !is_corked) {
            conn_cork(p->conn);
            is_corked = true;
        }
        serve(p);
    }
    p->is_working = false;
    if (is_corked && p->conn)
        conn_uncork(p->conn);
    if (p->state == PEER_GONE && !p->x.is_open)
        peer_release(p);
    return at;
}

/* Keeps what cannot be parsed yet. */
static void keep_behind(struct peer *p, const char *bytes, size_t n)
{
    struct intake *in = p->intake;

    if (p->is_last || n == 0)
        return; /* nothing behind the last message counts */
    if (!in)    /* he is blocked and begins a message */
        in = p->intake = intake_take(p->server);
    buf_consume(&in->behind, in->behind_at);
    in->behind_at = 0;
    if (buf_add(&in->behind, bytes, n)) {
        log_event(LOG_WARN,
                  "no memory for pipelined requests, connection closes after this answer",
                  LOG_Z("peer", conn_peer(p->conn)));
        p->is_last = true;
    }
}

static void on_read(struct conn *c, const char *bytes, size_t n, void *arg)
{
    struct peer *p = peer_of(arg);
    size_t used = 0;

    (void)c;
    p->is_at_eof |= n == 0;
    if (p->state == PEER_FLUSH)
        return;
    if (p->x.is_open && p->x.is_stream) {
        if (n == 0)
            peer_end(p);
        return;
    }
    if (may_parse(p) && !has_behind(p))
        used = work(p, bytes, n);
    if (p->state == PEER_GONE)
        return;
    keep_behind(p, bytes + used, n - used);
    settle(p);
}

/* The end of the turn in which a stream began. */
static void begin_stream(struct peer *p)
{
    if (p->x.is_corked)
        conn_uncork(p->conn);
    p->x.is_corked = false;
    if (p->is_at_eof) /* he finished before it began */
        peer_end(p);
}

/* The end of a turn in which an answer made room for what waits behind it. */
static void on_more(void *arg)
{
    struct peer *p = peer_of(arg);
    struct intake *in = p->intake;
    size_t used = 0;

    if (p->x.is_open && p->x.is_stream) {
        begin_stream(p);
        return;
    }
    if (may_parse(p) && has_behind(p))
        used = work(p, in->behind.p + in->behind_at, in->behind.n - in->behind_at);
    if (p->state == PEER_GONE)
        return;
    if (p->intake != in) { /* it went with the request that became a stream */
        settle(p);
        return;
    }
    in->behind_at += used;
    if (in->behind_at == in->behind.n) {
        buf_clear(&in->behind);
        in->behind_at = 0;
    }
    settle(p);
}

static void on_drain(struct conn *c, void *arg)
{
    struct peer *p = peer_of(arg);

    (void)c;
    p->is_blocked = false;
    if (p->state == PEER_STREAM) {
        if (p->x.is_open)
            p->x.on_drain(p->x.gone_arg);
        return;
    }
    if (!p->is_working) /* conn promises this; an answer inside work() is followed by settle() anyway */
        settle(p);
}

/* --- what next ------------------------------------------------------------------------------------ */

/* Reading stops while too much waits behind an exchange, and only then: it is how we notice who vanishes. */
static void settle_reading(struct peer *p)
{
    bool is_enough = p->intake && p->intake->behind.n - p->intake->behind_at >= LIMIT_PIPELINE;

    if (is_enough == p->is_paused)
        return;
    p->is_paused = is_enough;
    if (is_enough)
        conn_pause(p->conn);
    else
        conn_resume(p->conn);
}

/* The peer has finished sending, and everything he sent has been parsed. */
static void end_input(struct peer *p)
{
    if (p->intake && http_parser_finish(p->intake->parser))
        refuse(p, 400, "the request ended in the middle");
    p->is_last = true;
}

/* Waits for bytes. Between messages the parser goes back: it is the largest thing a peer has. */
static void wait_for_bytes(struct peer *p)
{
    struct intake *in = p->intake;

    if (in && !in->is_done && http_parser_is_mid_message(in->parser)) {
        enter(p, in->head ? PEER_BODY : PEER_HEAD);
        return;
    }
    if (in) {
        intake_give(p->server, in, true);
        p->intake = NULL;
    }
    enter(p, PEER_IDLE);
}

/* Whether a drain may close the connection: no message is in hand. */
static bool may_drain(const struct peer *p)
{
    return p->server->is_draining && p->state == PEER_IDLE;
}

/* Decides what the peer is waiting for now; every callback and every late answer ends here. */
static void settle(struct peer *p)
{
    settle_reading(p);
    if (p->x.is_open) {
        enter(p, p->x.is_stream ? PEER_STREAM : PEER_BUSY);
        return;
    }
    if (!p->is_last && p->is_blocked) {
        enter(p, PEER_IDLE);
        return;
    }
    if (!p->is_last && has_behind(p)) {
        loop_defer(p->loop, &p->more);
        return;
    }
    if (!p->is_last && p->is_at_eof)
        end_input(p);
    if (!p->is_last)
        wait_for_bytes(p);
    if (p->is_last || may_drain(p))
        flush(p);
}

void peer_go_on(struct peer *p)
{
    if (!p->is_working && p->state != PEER_GONE)
        settle(p);
}
