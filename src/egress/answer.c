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

static int on_body(struct http_parser *p, struct str piece, void *arg)
{
    struct egress_request *r = lane_of(arg)->request;

    (void)p;
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
    request_fail(r, err);
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
    if (!err && r->is_whole) {
        finish(l, used == n);
        return;
    }
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
    request_fail(r, r->has_bytes ? ERR_SYNTAX : ERR_CLOSED);
}

const struct conn_events lane_events = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};
