/* SPDX-License-Identifier: MIT
 *
 * Streams of the demo agent: the task as it is when the stream begins, then an artifact update for each artifact that
 * comes and a status update for its end, A2A 0.3 and 1.0.
 *
 * A stream keeps nothing but how many artifacts it has told; what there is to tell is computed from the task's id and
 * the clock, so a stream that was attached to again goes on without a gap. A peer too slow for one small event every
 * 200 ms is let go.
 */
#include "wiring/demo_agent.h"

#include "lib/clock.h"
#include "lib/mem.h"

struct demo_stream {
    struct list link; /* in demo_agent.streams */
    struct timer timer;
    struct demo_agent *agent;
    struct exchange *exchange;
    enum a2a_version version;
    struct str request_id; /* in `id_text` */
    int64_t told;          /* artifacts */
    struct demo_task task;
    char id_text[LIMIT_JSONRPC_ID];
};

static void do_nothing(void *arg)
{
    (void)arg;
}

/* --- events --------------------------------------------------------------------------------------- */

static void open_event(struct buf *out, struct str request_id)
{
    BUF_LIT(out, "data: {\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, request_id);
    BUF_LIT(out, ",\"result\":");
}

static void close_event(struct buf *out)
{
    BUF_LIT(out, "}\n\n");
}

/* What every update has in front: in 1.0 its wrapper, in 0.3 its kind. */
static void open_update(struct buf *out, const struct demo_stream *s, const char *wrapper,
                        const char *kind)
{
    open_event(out, s->request_id);
    if (s->version == A2A_1_0)
        buf_printf(out, "{\"%s\":{", wrapper);
    else
        buf_printf(out, "{\"kind\":\"%s\",", kind);
    BUF_LIT(out, "\"taskId\":");
    json_write_string(out, str_of(s->task.id));
    BUF_LIT(out, ",\"contextId\":");
    json_write_string(out, str_of(s->task.context));
}

static void close_update(struct buf *out, const struct demo_stream *s)
{
    buf_add_str(out, s->version == A2A_1_0 ? STR("}}") : STR("}"));
    close_event(out);
}

static void write_artifact_update(struct buf *out, const struct demo_stream *s, int64_t number)
{
    open_update(out, s, "artifactUpdate", "artifact-update");
    BUF_LIT(out, ",\"artifact\":");
    demo_write_artifact(out, s->version, s->agent, &s->task, number);
    BUF_LIT(out, ",\"append\":false,\"lastChunk\":true");
    close_update(out, s);
}

static void write_status_update(struct buf *out, const struct demo_stream *s, int64_t now_ms)
{
    open_update(out, s, "statusUpdate", "status-update");
    BUF_LIT(out, ",\"status\":");
    demo_write_status(out, s->version, s->agent, &s->task, now_ms);
    if (s->version == A2A_0_3)
        BUF_LIT(out, ",\"final\":true");
    close_update(out, s);
}

static void write_first(struct buf *out, enum a2a_version version, struct str request_id,
                        const char *wrapper, struct str object)
{
    open_event(out, request_id);
    if (version == A2A_1_0)
        buf_printf(out, "{\"%s\":", wrapper);
    buf_add_str(out, object);
    if (version == A2A_1_0)
        buf_add_char(out, '}');
    close_event(out);
}

/* --- a stream's life ------------------------------------------------------------------------------ */

static void free_stream(struct demo_stream *s)
{
    timer_stop(s->agent->loop, &s->timer);
    list_remove(&s->link);
    mem_free(s);
}

static void on_gone(void *arg)
{
    free_stream(arg);
}

static void end_stream(struct demo_stream *s)
{
    exchange_end(s->exchange);
    free_stream(s);
}

/* Writes what there is in demo_agent.out. False: it was the last that can be written. */
static bool flush(struct demo_stream *s)
{
    struct str bytes = buf_str(&s->agent->out);
    int err = bytes.n ? exchange_write(s->exchange, &bytes, 1) : 0;

    buf_shrink(&s->agent->out, KB(64));
    return err == 0;
}

/* Tells what has come since the last look, and sets the time of the next. */
static void look(struct demo_stream *s, int64_t now_ms)
{
    struct demo_agent *a = s->agent;
    int64_t n = demo_artifacts(a, &s->task, now_ms);
    bool is_over = a2a_state_class(demo_state(a, &s->task, now_ms)) != A2A_ACTIVE;

    while (s->told < n)
        write_artifact_update(&a->out, s, ++s->told);
    if (is_over)
        write_status_update(&a->out, s, now_ms);
    if (!flush(s) || is_over)
        end_stream(s);
    else
        timer_start(a->loop, &s->timer, (uint64_t)(demo_next_ms(&s->task, now_ms) - now_ms));
}

static void on_timer(struct timer *t, void *arg)
{
    (void)t;
    look(arg, clock_wall_ms());
}

void demo_stream_look(struct demo_agent *a, const char *task_id)
{
    LIST_EACH (it, &a->streams) {
        struct demo_stream *s = CONTAINER_OF(it, struct demo_stream, link);

        if (strcmp(s->task.id, task_id) == 0)
            timer_start(a->loop, &s->timer, 1);
    }
}

static void begin(struct exchange *x)
{
    static const struct exchange_header headers[] = {{"cache-control", {"no-cache", 8}}};

    exchange_stream(x, 200, "text/event-stream", headers, 1, do_nothing);
}

void demo_stream_start(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                       const struct demo_task *t)
{
    struct demo_stream *s = MEM_NEW(struct demo_stream);
    int64_t now_ms = clock_wall_ms();
    struct buf object;

    s->agent = a;
    s->exchange = x;
    s->version = r->version;
    s->task = *t;
    memcpy(s->id_text, r->id.p, r->id.n);
    s->request_id = str_make(s->id_text, r->id.n);
    timer_init(&s->timer, on_timer, s);
    list_append(&a->streams, &s->link);
    exchange_on_gone(x, on_gone, s);
    begin(x);
    buf_init(&object, MB(4));
    demo_write_task(&object, s->version, a, t, now_ms);
    write_first(&a->out, s->version, s->request_id, "task", buf_str(&object));
    buf_release(&object);
    s->told = demo_artifacts(a, t, now_ms);
    if (!flush(s) || a2a_state_class(demo_state(a, t, now_ms)) != A2A_ACTIVE)
        end_stream(s);
    else
        timer_start(a->loop, &s->timer, (uint64_t)(demo_next_ms(t, now_ms) - now_ms));
}

void demo_stream_message(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                         const struct demo_task *t, struct str text)
{
    struct buf object;
    struct str bytes;

    buf_init(&object, KB(16));
    demo_write_message(&object, r->version, t, "reply", text);
    write_first(&a->out, r->version, r->id, "message", buf_str(&object));
    buf_release(&object);
    bytes = buf_str(&a->out);
    exchange_on_gone(x, do_nothing, NULL);
    begin(x);                           /* the request's own bytes are gone from here on */
    (void)exchange_write(x, &bytes, 1); /* whoever is gone need not be told */
    exchange_end(x);
    buf_clear(&a->out);
}
