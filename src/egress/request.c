/* SPDX-License-Identifier: MIT
 *
 * One request, from start to its single callback. States and arrows: egress_int.h.
 *
 * The hot path is short: an idle lane is there, head and body leave in one conn_write(), nothing is copied.
 * Only a request that must first wait for a connection copies itself into `out`.
 *
 * Two deadlines run. `connect_timer` covers name look-up and all addresses: each address gets an equal share
 * of what is left, so that one black hole among them does not use up the time of the others. `total_timer`
 * covers everything, but of a streamed answer only the time to its head, then each silence.
 *
 * Every end is end(): it detaches the request from everybody before it tells, so that whoever is told may do
 * anything, and nobody here touches the request or its egress afterwards.
 */
#include "egress/egress_int.h"

#include <strings.h>

#include "lib/crash.h"
#include "lib/mem.h"

static void on_connect_timeout(struct timer *t, void *arg);
static void on_total_timeout(struct timer *t, void *arg);
static void on_doom(void *arg);
static void on_flush(void *arg);
static void connect_next(struct egress_request *r);

static struct egress_request *request_of(void *arg)
{
    struct egress_request *r = arg;

    BUG_ON(!r || r->magic != REQUEST_MAGIC);
    return r;
}

/* --- birth and death ---------------------------------------------------------------------------- */

static struct egress_request *new_request(struct egress *e, struct host *h,
                                          const struct egress_call *call, egress_fn fn,
                                          void *arg)
{
    struct egress_request *r = MEM_NEW(struct egress_request);

    r->magic = REQUEST_MAGIC;
    r->egress = e;
    r->host = host_ref(h);
    r->fn = fn;
    r->arg = arg;
    r->is_bodiless = strcasecmp(call->verb, "HEAD") == 0;
    r->only_looks = call->only_look;
    r->connect_ms = call->connect_timeout_ms;
    r->total_ms = call->timeout_ms;
    r->max_body = call->max_body;
    r->stream = call->stream;
    r->doom = (struct deferred){.fn = on_doom, .arg = r};
    r->flush = (struct deferred){.fn = on_flush, .arg = r};
    buf_init(&r->held, LOOP_READ_BYTES);
    buf_init(&r->body, call->max_body);
    timer_init(&r->connect_timer, on_connect_timeout, r);
    timer_init(&r->total_timer, on_total_timeout, r);
    list_init(&r->wait);
    list_init(&r->link);
    list_append(&e->requests, &r->link);
    return r;
}

/* From everybody who could still call it. */
static void detach(struct egress_request *r)
{
    lane_close(r->lane);
    if (r->egress->telling == r)
        r->egress->telling = NULL;
    timer_stop(r->egress->loop, &r->connect_timer);
    timer_stop(r->egress->loop, &r->total_timer);
    loop_undefer(&r->doom);
    loop_undefer(&r->flush);
    list_remove(&r->wait);
    list_remove(&r->link);
    host_unref(r->host);
    r->host = NULL;
    r->egress = NULL;
    r->state = REQUEST_DONE;
}

static void free_request(struct egress_request *r)
{
    buf_release(&r->out);
    buf_release(&r->held);
    buf_release(&r->body);
    r->magic = 0;
    mem_free(r);
}

static void end(struct egress_request *r, const struct egress_answer *answer)
{
    detach(r);
    r->fn(r->arg, answer);
    free_request(r);
}

void request_succeed(struct egress_request *r, struct str body)
{
    const struct egress_answer answer = {
        .was_sent = true,
        .status = r->head->status,
        .head = r->head,
        .body = body,
    };

    end(r, &answer);
}

void request_fail(struct egress_request *r, int err)
{
    r->err = err;
    if (err ==
        ERR_TLS) /* he refused us: what left lies behind a handshake that was never finished */
        r->was_sent = false;
    /* What the connection could not place at first may have left since. */
    else if (r->state == REQUEST_WAITING && r->lane &&
             conn_taken(r->lane->conn) > r->taken_before)
        r->was_sent = true;
    if (r->is_starting) {
        lane_close(r->lane);
        timer_stop(r->egress->loop, &r->total_timer);
        r->state = REQUEST_DOOMED;
        loop_defer(r->egress->loop, &r->doom);
        return;
    }
    end(r, &(struct egress_answer){
               .err = r->err, .why = r->why, .was_sent = r->was_sent, .body = STR("")});
}

static void on_doom(void *arg)
{
    struct egress_request *r = request_of(arg);

    request_fail(r, r->err);
}

void egress_cancel(struct egress_request *r)
{
    if (!r)
        return;
    BUG_ON(r->magic != REQUEST_MAGIC);
    if (r->state == REQUEST_DONE) /* from inside its callback */
        return;
    detach(r);
    free_request(r);
}

/* --- handing over ------------------------------------------------------------------------------- */

/* Hands the request to an open lane. On failure the lane is gone; ERR_CLOSED: its connection had died before
 * the kernel took a byte, so that another one may be tried. */
static int hand_over(struct egress_request *r, struct lane *l, const struct str *parts,
                     size_t n_parts)
{
    int err;

    r->lane = l;
    r->taken_before = conn_taken(l->conn);
    err = conn_write(l->conn, parts, n_parts);
    if (err && err != ERR_AGAIN) {
        /* with ERR_NOMEM nobody knows; this is the careful answer */
        r->was_sent = err != ERR_CLOSED;
        lane_close(l);
        return err;
    }
    CRASH_POINT(ask_written);
    r->state = REQUEST_WAITING;
    r->was_sent = conn_taken(l->conn) > r->taken_before;
    timer_stop(r->egress->loop, &r->connect_timer);
    if (r->is_bodiless)
        http_parser_expect_no_body(l->parser, true);
    return 0;
}

static void fail_unwritten(struct egress_request *r, int err)
{
    REQUEST_WHY(r, "could not be written to: %s", err_text(err));
    request_fail(r, err);
}

void request_on_open(struct egress_request *r)
{
    struct str whole = buf_str(&r->out);
    int err;

    BUG_ON(r->state != REQUEST_CONNECTING);
    if (r->address_at < r->host->n_addresses)
        r->host->preferred = r->address_at;
    err = hand_over(r, r->lane, &whole, 1);
    if (err)
        fail_unwritten(r, err);
    else
        buf_release(&r->out);
}

/* --- connecting --------------------------------------------------------------------------------- */

static uint64_t connect_left(const struct egress_request *r)
{
    uint64_t now = loop_now_ms(r->egress->loop);

    return r->connect_until_ms > now ? r->connect_until_ms - now : 0;
}

static const struct sockaddr *next_address(struct egress_request *r)
{
    struct host *h = r->host;

    /* Where to begin is noted: others may change what is preferred while this request goes round. */
    if (r->n_tried == 0)
        r->first_address = h->preferred;
    r->address_at = (r->first_address + r->n_tried++) % h->n_addresses;
    return &h->addresses[r->address_at].any;
}

/* Whether the address must not be called; r->why says why. */
static bool is_forbidden(struct egress_request *r, const struct sockaddr *address)
{
    const struct egress_config *config = &r->egress->config;
    const char *why = NULL;

    if (config->refuses)
        why = config->refuses(config->refuses_arg, str_of(r->host->name), address);
    if (!why)
        return false;
    r->err = ERR_FORBIDDEN;
    REQUEST_WHY(r, "must not be called: %s", why);
    return true;
}

/* One address that must not be called is enough: the next look-up may give it alone. */
static void look(struct egress_request *r)
{
    bool is_refused = false;

    r->err = 0;
    for (unsigned i = 0; i < r->host->n_addresses && !is_refused; i++)
        is_refused = is_forbidden(r, &r->host->addresses[i].any);
    request_fail(r, r->err);
}

/* Tries addresses in turn until a connection is on its way. */
static void connect_next(struct egress_request *r)
{
    struct host *h = r->host;

    if (r->only_looks) {
        look(r);
        return;
    }
    while (r->n_tried < h->n_addresses) {
        unsigned n_left = h->n_addresses - r->n_tried;
        const struct sockaddr *address = next_address(r);
        int err;

        if (is_forbidden(r, address))
            continue;
        err = lane_open(h, r, address, &r->lane);
        if (!err) {
            r->state = REQUEST_CONNECTING;
            timer_start(r->egress->loop, &r->connect_timer, connect_left(r) / n_left);
            return;
        }
        r->err = ERR_CONNECT;
        REQUEST_WHY(r, "could not connect to %s: %s", h->label, err_text(err));
    }
    host_doubt(h);
    request_fail(r, r->err);
}

void request_on_refused(struct egress_request *r, int err, const char *why)
{
    r->err = err;
    REQUEST_WHY(r, "could not connect to %s: %s", r->host->label, why);
    lane_close(r->lane);
    connect_next(r);
}

void request_on_addresses(struct egress_request *r, int err)
{
    BUG_ON(r->state != REQUEST_RESOLVING);
    if (err)
        request_fail(r, err);
    else
        connect_next(r);
}

static void connect_first(struct egress_request *r)
{
    int err;

    r->connect_until_ms = loop_now_ms(r->egress->loop) + r->connect_ms;
    err = host_resolve(r->host);
    if (err == 0) {
        connect_next(r);
    } else if (err == ERR_AGAIN) {
        r->state = REQUEST_RESOLVING;
        list_append(&r->host->waiting, &r->wait);
        timer_start(r->egress->loop, &r->connect_timer, r->connect_ms);
    } else {
        REQUEST_WHY(r, "has a host name that cannot be looked up: %s", r->host->name);
        request_fail(r, err);
    }
}

/* --- deadlines ---------------------------------------------------------------------------------- */

static void on_connect_timeout(struct timer *t, void *arg)
{
    struct egress_request *r = request_of(arg);

    (void)t;
    if (r->state == REQUEST_RESOLVING) {
        REQUEST_WHY(r, "has a host name that was not resolved within %llu ms: %s",
                    (unsigned long long)r->connect_ms, r->host->name);
        request_fail(r, ERR_RESOLVE);
        return;
    }
    BUG_ON(r->state != REQUEST_CONNECTING);
    r->err = ERR_CONNECT;
    REQUEST_WHY(r, "could not connect to %s: %s within %llu ms", r->host->label,
                conn_is_shaking(r->lane->conn) ? "TLS: the handshake was not finished"
                                               : "no answer",
                (unsigned long long)r->connect_ms);
    lane_close(r->lane);
    connect_next(r);
}

static void on_total_timeout(struct timer *t, void *arg)
{
    struct egress_request *r = request_of(arg);

    (void)t;
    if (r->is_streaming) {
        REQUEST_WHY(r, "said nothing for %llu ms in the midst of its stream",
                    (unsigned long long)r->stream->idle_timeout_ms);
        request_fail(r, ERR_TIMEOUT);
        return;
    }
    REQUEST_WHY(r, "%s within %llu ms",
                r->has_bytes ? "did not finish its answer" : "sent no answer",
                (unsigned long long)r->total_ms);
    request_fail(r, ERR_TIMEOUT);
}

/* --- streams ------------------------------------------------------------------------------------ */

void request_watch_silence(struct egress_request *r)
{
    timer_start(r->egress->loop, &r->total_timer, r->stream->idle_timeout_ms);
}

void egress_pause(struct egress_request *r)
{
    BUG_ON(r->magic != REQUEST_MAGIC || !r->is_streaming || r->is_paused);
    r->is_paused = true;
    if (r->state == REQUEST_DONE)
        return;
    timer_stop(r->egress->loop, &r->total_timer);
    if (r->lane)
        conn_pause(r->lane->conn);
}

void egress_resume(struct egress_request *r)
{
    BUG_ON(r->magic != REQUEST_MAGIC || !r->is_paused);
    r->is_paused = false;
    if (r->state != REQUEST_DONE)
        loop_defer(r->egress->loop, &r->flush);
}

static void on_flush(void *arg)
{
    request_flush(request_of(arg));
}

/* --- starting ----------------------------------------------------------------------------------- */

/* Gives it to an idle lane. False: there is no live one. */
static bool reuse_lane(struct egress_request *r, const struct str *parts, size_t n_parts)
{
    struct lane *l;
    int err = ERR_CLOSED;

    while (err == ERR_CLOSED && (l = lane_take(r->host, r)))
        err = hand_over(r, l, parts, n_parts);
    if (err == ERR_CLOSED)
        return false;
    if (err)
        fail_unwritten(r, err);
    return true;
}

static int keep_parts(struct egress_request *r, const struct str *parts, size_t n_parts)
{
    buf_init(&r->out, r->n_out);
    if (!buf_reserve(&r->out, r->n_out))
        return ERR_NOMEM;
    for (size_t i = 0; i < n_parts; i++)
        buf_add_str(&r->out, parts[i]);
    return buf_error(&r->out);
}

int request_start(struct egress *e, struct host *h, const struct egress_call *call,
                  const struct str *parts, size_t n_parts, egress_fn fn, void *arg,
                  struct egress_request **out)
{
    struct egress_request *r = new_request(e, h, call, fn, arg);
    int err = 0;

    for (size_t i = 0; i < n_parts; i++)
        r->n_out += parts[i].n;
    e->n_requests++;
    r->is_starting = true;
    timer_start(e->loop, &r->total_timer, call->timeout_ms);
    if (r->only_looks) {
        connect_first(r);
    } else if (!reuse_lane(r, parts, n_parts)) {
        err = keep_parts(r, parts, n_parts);
        if (!err)
            connect_first(r);
    }
    r->is_starting = false;
    if (err)
        egress_cancel(r);
    else
        *out = r;
    return err;
}
