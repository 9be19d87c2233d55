/* SPDX-License-Identifier: MIT
 *
 * The bytes a connection brings, until they are a whole answer.
 *
 * An answer that arrives in one read, and most do, is never copied: `view` points into the loop's read
 * buffer, and the callback runs before that buffer is used again. The first piece is moved into `body` when
 * a second one comes or the read ends.
 *
 *     view absent, body empty    nothing of the body yet
 *     view present, body empty   one piece, in the read buffer; only inside on_read()
 *     view absent, body not empty
 *
 * The parser's callbacks only record. What there is to say is said after http_parser_feed() has returned, by
 * the last call of on_read(): whoever is told may start a request on this very lane, or end egress.
 *
 * A streamed answer's pieces are told from inside the parser's callbacks, where they lie. Whoever is told may pause or
 * cancel the request: the rest of the read is then held or dropped, and after a cancel the lane has no request any more.
 *
 * (1xx answers never come up here: the parser skips them.)
 */
#include "egress/egress_int.h"

static struct lane *lane_of(void *arg)
{
    struct lane *l = arg;

    BUG_ON(!l || l->magic != LANE_MAGIC);
    return l;
}

/* --- the parser's news -------------------------------------------------------------------------- */

static int on_head(struct http_parser *p, const struct http_head *head, void *arg)
{
    struct egress_request *r = lane_of(arg)->request;

    (void)p;
    r->head = head;
    if (r->stream && !r->is_bodiless) {
        bool is_stream;

        r->is_streaming = true;
        is_stream = r->stream->on_head(r->arg, head->status, head);
        if (!lane_of(arg)->request)
            return ERR_CANCELED;
        r->is_streaming = is_stream;
        BUG_ON(!is_stream && r->is_paused);
        if (is_stream && !r->is_paused)
            request_watch_silence(r);
        if (is_stream)
            return 0;
    }
    if (!r->is_bodiless && head->has_length && head->length > r->max_body) {
        r->is_too_large = true;
        return ERR_LIMIT;
    }
    return 0;
}

/* Moves the first piece out of the read buffer. */
static int keep_view(struct egress_request *r)
{
    int err = buf_add_str(&r->body, r->view);

    r->view = STR_NONE;
    return err;
}

/* One read brings at most what `held` has room for. */
static int tell_piece(struct lane *l, struct str piece)
{
    struct egress_request *r = l->request;

    if (r->is_paused)
        return buf_add_str(&r->held, piece);
    r->stream->on_data(r->arg, piece);
    return l->request == r ? 0 : ERR_CANCELED;
}

static int on_body(struct http_parser *p, struct str piece, void *arg)
{
    struct egress_request *r = lane_of(arg)->request;

    (void)p;
    if (r->is_streaming)
        return tell_piece(lane_of(arg), piece);
    if (piece.n > r->max_body - r->n_body) {
        r->is_too_large = true;
        return ERR_LIMIT;
    }
    r->n_body += piece.n;
    if (!r->view.p && r->body.n == 0) {
        r->view = piece;
        return 0;
    }
    if (r->view.p && keep_view(r))
        return ERR_NOMEM;
    return buf_add_str(&r->body, piece) ? ERR_NOMEM : 0;
}

static int on_done(struct http_parser *p, void *arg)
{
    (void)p;
    lane_of(arg)->request->is_whole = true;
    return 0;
}

const struct http_events lane_parser_events = {on_head, on_body, on_done};

/* --- the connection's news ---------------------------------------------------------------------- */

static bool is_held_back(const struct egress_request *r)
{
    return r->is_paused || r->held.n > 0;
}

/* The end of an answer that was held back waits behind it. */
static void fail_in_order(struct egress_request *r, int err)
{
    if (is_held_back(r))
        r->broken_err = err;
    else
        request_fail(r, err);
}

static void refuse(struct lane *l, int err)
{
    struct egress_request *r = l->request;

    if (r->is_too_large) {
        REQUEST_WHY(r, "sent an answer larger than %zu bytes", r->max_body);
        err = ERR_LIMIT;
    } else if (err == ERR_NOMEM) {
        REQUEST_WHY(r, "sent an answer for which there is no memory");
    } else {
        REQUEST_WHY(r, "answered with something that is not HTTP: %s",
                    http_parser_why(l->parser));
        err = ERR_SYNTAX;
    }
    fail_in_order(r, err);
}

/* The answer is whole; `is_clean`: nothing came behind it. Touches nothing after the callback. */
static void finish(struct lane *l, bool is_clean)
{
    struct egress_request *r = l->request;
    struct str body = r->view.p ? r->view : buf_str(&r->body);

    /* Bytes of the request may still be waiting if the peer answered without reading them all. */
    r->lane = NULL;
    if (is_clean && r->head->keep_alive && conn_backlog(l->conn) == 0)
        lane_rest(l);
    else
        lane_close(l);
    request_succeed(r, body);
}

/* Tells what was held back. False: the request is gone, or paused again. */
static bool tell_held(struct egress_request *r)
{
    struct egress *e = r->egress;
    struct buf told = r->held;

    if (told.n == 0)
        return true;
    buf_init(&r->held, LOOP_READ_BYTES);
    e->telling = r;
    r->stream->on_data(r->arg, buf_str(&told));
    buf_release(&told);
    if (e->telling != r)
        return false;
    e->telling = NULL;
    return !r->is_paused;
}

void request_flush(struct egress_request *r)
{
    if (r->is_paused || !tell_held(r))
        return;
    if (r->broken_err) {
        request_fail(r, r->broken_err);
        return;
    }
    conn_resume(r->lane->conn);
    if (r->is_whole)
        finish(r->lane, r->is_clean);
    else
        request_watch_silence(r);
}

static void on_eof(struct lane *l)
{
    struct egress_request *r = l->request;

    if (!http_parser_finish(l->parser) && r->is_whole) {
        if (!conn_is_cut(l->conn)) {
            finish(l, false);
            return;
        }
        REQUEST_WHY(
            r, "may have been cut off in the middle of its answer: neither a length nor TLS "
               "says where it ends");
        request_fail(r, ERR_SYNTAX);
        return;
    }
    REQUEST_WHY(r, r->has_bytes ? "closed the connection in the middle of its answer"
                                : "closed the connection without answering");
    request_fail(r, r->has_bytes ? ERR_SYNTAX : ERR_CLOSED);
}

static void on_read(struct conn *c, const char *p, size_t n, void *arg)
{
    struct lane *l = lane_of(arg);
    struct egress_request *r = l->request;
    size_t used;
    int err;

    (void)c;
    if (!r) { /* idle: an EOF, or bytes nobody asked for */
        lane_close(l);
        return;
    }
    if (n == 0) {
        on_eof(l);
        return;
    }
    r->has_bytes = true;
    err = http_parser_feed(l->parser, p, n, &used);
    r = l->request;
    if (!r) /* canceled by whoever was told */
        return;
    if (!err && r->is_whole && r->is_paused) {
        r->is_clean = used == n;
        return;
    }
    if (!err && r->is_whole) {
        finish(l, used == n);
        return;
    }
    if (r->is_streaming && !r->is_paused)
        request_watch_silence(r);
    if (!err && r->view.p && keep_view(r))
        err = ERR_NOMEM;
    if (err)
        refuse(l, err);
}

static void on_open(struct conn *c, void *arg)
{
    (void)c;
    request_on_open(lane_of(arg)->request);
}

static void on_close(struct conn *c, int err, const char *why, void *arg)
{
    struct lane *l = lane_of(arg);
    struct egress_request *r = l->request;

    (void)c;
    if (!r) {
        lane_close(l);
        return;
    }
    if (r->state == REQUEST_CONNECTING) {
        request_on_refused(r, err == ERR_TLS ? ERR_TLS : ERR_CONNECT, why);
        return;
    }
    if (err == ERR_TLS) { /* TLS 1.3: what he thinks of our certificate comes this late */
        REQUEST_WHY(r, "could not connect to %s: %s", r->host->label, why);
        request_fail(r, ERR_TLS);
        return;
    }
    REQUEST_WHY(r,
                r->has_bytes ? "closed the connection in the middle of its answer (%s)"
                             : "closed the connection without answering (%s)",
                why);
    if (is_held_back(r))
        lane_close(l);
    fail_in_order(r, r->has_bytes ? ERR_SYNTAX : ERR_CLOSED);
}

const struct conn_events lane_events = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};
