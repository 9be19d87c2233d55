/* SPDX-License-Identifier: MIT
 *
 * A caller's open stream: server-sent events, each a JSON-RPC answer.
 *
 *     id: <cursor>
 *     data: {"jsonrpc":"2.0","id":<the request's>,"result":...}
 *
 *     open --> pump: event after event into the scratch buffer, written together
 *                 |-- nothing more: told when there is ---------> on_ready --> pump
 *                 |-- the peer does not take it: stops ----------> on_drain --> pump
 *                 |-- the end, or a fault, which is its last event --> ended
 *     the peer vanishes: on_gone; the task goes on without him
 *
 * One write per turn and stream, unless there is more than WRITE_BYTES to be said. A stream that has said nothing for a
 * while says a comment, so that proxies and clients know that it lives.
 *
 * Data is JSON without insignificant whitespace, so there are no line ends in it that would have to be told apart from
 * those of the frame.
 */
#include "binding/binding_int.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"

#define WRITE_BYTES KB(64) /* gathered, then written; one event may be larger */
#define OUT_KEEP KB(256)   /* scratch memory kept from stream to stream */
#define KEEP_ALIVE_MS 15000u

struct open_stream {
    struct binding *binding;
    struct exchange *exchange;
    struct call_stream *told; /* owned */
    struct timer keep_alive;
    enum surface surface;
    enum a2a_version version;
    bool is_blocked; /* on_drain will come, or on_gone */
    struct str id;   /* raw, of the request; in `bytes` */
    char bytes[];
};

static void on_ready(void *arg);

/* --- bytes ---------------------------------------------------------------------------------------- */

static void write_head(struct buf *out, struct str cursor, struct str id)
{
    if (cursor.p) {
        BUF_LIT(out, "id: ");
        buf_add_str(out, cursor);
        buf_add_char(out, '\n');
    }
    BUF_LIT(out, "data: {\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, id);
    BUF_LIT(out, ",\"result\":");
}

static void write_event(struct buf *out, const struct open_stream *o,
                        const struct call_event *event)
{
    write_head(out, event->cursor, o->id);
    buf_add_str(out, event->object);
    BUF_LIT(out, "}\n\n");
}

static void write_fault(struct buf *out, const struct open_stream *o,
                        const struct a2a_fault *fault)
{
    BUF_LIT(out, "event: error\ndata: ");
    if (o->surface == SURFACE_RPC)
        a2a_error_write_rpc(out, o->version, o->id, fault);
    else
        a2a_error_write(out, o->version, o->id, fault);
    BUF_LIT(out, "\n\n");
}

/* Writes what was gathered. */
static void flush(struct open_stream *o)
{
    struct buf *out = &o->binding->out;
    struct str bytes = buf_str(out);

    if (bytes.n && exchange_write(o->exchange, &bytes, 1))
        o->is_blocked = true;
    CRASH_POINT(event_written);
    buf_shrink(out, OUT_KEEP);
}

/* --- a stream's life ------------------------------------------------------------------------------ */

static void free_stream(struct open_stream *o)
{
    timer_stop(o->binding->config.loop, &o->keep_alive);
    call_stream_close(o->told);
    mem_free(o);
}

static void on_gone(void *arg)
{
    free_stream(arg);
}

static void end(struct open_stream *o)
{
    exchange_end(o->exchange);
    free_stream(o);
}

static void rest(struct open_stream *o)
{
    timer_start(o->binding->config.loop, &o->keep_alive, KEEP_ALIVE_MS);
}

static void on_quiet(struct timer *t, void *arg)
{
    static const struct str comment = {": keep-alive\n\n", 14};
    struct open_stream *o = arg;

    (void)t;
    /* Who does not take what waits for him knows that we live. */
    if (!o->is_blocked && exchange_write(o->exchange, &comment, 1))
        o->is_blocked = true;
    rest(o);
}

/* Half an event must not leave: the stream ends where it was. */
static void give_up(struct open_stream *o, size_t whole)
{
    struct buf *out = &o->binding->out;

    log_event(LOG_ERROR, "a stream ends: no memory for its next event");
    out->err = 0;
    out->n = whole;
    flush(o);
    end(o);
}

static void pump(struct open_stream *o)
{
    struct buf *out = &o->binding->out;
    struct call_event event;
    struct a2a_fault fault;
    int err = 0;

    buf_clear(out);
    while (!o->is_blocked && !(err = call_stream_next(o->told, &event, &fault))) {
        size_t whole = out->n;

        write_event(out, o, &event);
        if (buf_error(out)) {
            give_up(o, whole);
            return;
        }
        if (out->n >= WRITE_BYTES)
            flush(o);
    }
    if (err && err != ERR_AGAIN && err != ERR_ABSENT)
        write_fault(out, o, &fault);
    flush(o);
    if (err && err != ERR_AGAIN)
        end(o);
    else
        rest(o);
}

static void on_ready(void *arg)
{
    struct open_stream *o = arg;

    if (!o->is_blocked)
        pump(o);
}

static void on_drain(void *arg)
{
    struct open_stream *o = arg;

    o->is_blocked = false;
    pump(o);
}

/* --- beginning ------------------------------------------------------------------------------------ */

static void begin_answer(struct exchange *x, enum a2a_version version, struct str extensions,
                         void (*drain)(void *arg))
{
    struct exchange_header headers[3] = {{"cache-control", STR("no-cache")},
                                         {"x-accel-buffering", STR("no")}};
    size_t n = 2;

    if (extensions.p)
        headers[n++] = (struct exchange_header){answer_extensions(version), extensions};
    exchange_stream(x, 200, "text/event-stream", headers, n, drain);
}

void stream_start(struct pending *p, const struct call_answer *answer)
{
    struct str id = p->request.id;
    struct open_stream *o = mem_zero(1, sizeof *o + id.n);

    o->binding = p->binding;
    o->exchange = p->exchange;
    o->told = answer->stream;
    o->surface = p->surface;
    o->version = p->request.version;
    memcpy(o->bytes, id.p, id.n);
    o->id = str_make(o->bytes, id.n);
    timer_init(&o->keep_alive, on_quiet, o);
    exchange_on_gone(o->exchange, on_gone, o);
    call_stream_listen(o->told, on_ready, o);
    begin_answer(o->exchange, o->version, answer->extensions, on_drain);
    pump(o);
}

static void on_gone_at_once(void *arg)
{
    (void)arg;
}

/* A message is a stream of one event, which needs no object: it is written and over. */
int stream_answer_message(struct pending *p, const struct call_answer *answer, const char **why)
{
    struct buf *out = &p->binding->out;
    struct str bytes;
    int err;

    buf_clear(out);
    write_head(out, STR_NONE, p->request.id);
    err = a2a_told_write_first(out, &p->request, &answer->result, why);
    BUF_LIT(out, "}\n\n");
    err = err ? err : buf_error(out);
    if (err) {
        buf_clear(out);
        return err;
    }
    bytes = buf_str(out);
    exchange_on_gone(p->exchange, on_gone_at_once, NULL);
    begin_answer(p->exchange, p->request.version, answer->extensions, on_gone_at_once);
    (void)exchange_write(p->exchange, &bytes, 1); /* whoever is gone need not be told */
    exchange_end(p->exchange);
    buf_shrink(out, OUT_KEEP);
    return 0;
}
