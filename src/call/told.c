/* SPDX-License-Identifier: MIT
 *
 * An open stream, from a reader of the log to the words of its caller. It outlives the call that made it and knows no
 * more of it than a line in the log needs.
 *
 * What is told comes formed from subscribe/, once for all readers of a version, but for the first: a task, which the
 * request may want trimmed. Both that and the cursor stand in buffers that all streams share, for one is told at a time.
 *
 * There may be tens of thousands of these, nearly all of them idle: nothing is kept that could be asked for again.
 */
#include "call/call_int.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define OUT_KEEP KB(64)

struct call_stream {
    struct calls *calls;
    struct reader *reader; /* owned */
    void (*on_ready)(void *arg);
    void *arg; /* borrowed: whoever listens */
    uint64_t started_ns, n_told, history_length;
    const char *ended; /* literal, for the log; NULL: its caller left */
    enum a2a_version version;
    enum a2a_method method;
    bool has_history_length;
    struct str prefix, agent, id, request_id; /* in `bytes` */
    char bytes[];
};

static bool is_going_on(void *arg, struct str agent, struct str id)
{
    struct call_stream *s = arg;

    return follow_is_streaming(s->calls->follow, agent, id);
}

static void on_ready(void *arg)
{
    struct call_stream *s = arg;

    if (s->on_ready)
        s->on_ready(s->arg);
}

/* --- birth and death ------------------------------------------------------------------------------ */

static struct str put(char **at, struct str text)
{
    struct str copy = str_make(*at, text.n);

    memcpy(*at, text.p, text.n);
    *at += text.n;
    return copy;
}

static struct call_stream *new_stream(struct call *c)
{
    struct str request_id = c->request_id.p ? c->request_id : STR("");
    struct call_stream *s;
    struct buf prefix;
    char *at;

    buf_init(&prefix, CURSOR_TEXT_MAX);
    cursor_write_prefix(&prefix, c->task->agent, c->task->id);
    s = mem_zero(1, sizeof *s + prefix.n + c->task->agent.n + c->task->id.n + request_id.n);
    at = s->bytes;
    s->prefix = put(&at, buf_str(&prefix));
    s->agent = put(&at, c->task->agent);
    s->id = put(&at, c->task->id);
    s->request_id = put(&at, request_id);
    buf_release(&prefix);
    s->calls = c->calls;
    s->started_ns = c->started_ns;
    s->version = c->request.version;
    s->method = c->request.method;
    s->has_history_length = c->request.has_history_length;
    s->history_length = (uint64_t)c->request.history_length;
    return s;
}

int call_stream_open(struct call *c, enum reader_kind kind, uint64_t after)
{
    struct reader_config config = {.kind = kind,
                                   .version = c->request.version,
                                   .after = after,
                                   .is_going_on = is_going_on,
                                   .on_ready = on_ready};
    struct call_stream *s;
    int err;

    if (!c->fn)
        return 0;
    s = new_stream(c);
    config.arg = s;
    err = reader_open(c->calls->feeds, c->task, &config, &s->reader);
    if (err) {
        mem_free(s);
        return err;
    }
    c->calls->n_streams++;
    c->told_stream = s;
    return 0;
}

void call_stream_close(struct call_stream *s)
{
    struct calls *calls = s->calls;

    reader_close(s->reader);
    log_event(LOG_INFO, "stream", LOG_STR("agent", s->agent),
              LOG_Z("method", a2a_method_name(s->method, s->version)), LOG_STR("task", s->id),
              LOG_U64("events", s->n_told),
              LOG_U64("ms", (clock_mono_ns() - s->started_ns) / 1000000),
              LOG_Z("ended", s->ended ? s->ended : "caller left"),
              LOG_STR("request", s->request_id));
    mem_free(s);
    calls->n_streams--;
    calls_settle(calls);
}

void call_stream_listen(struct call_stream *s, void (*fn)(void *arg), void *arg)
{
    s->on_ready = fn;
    s->arg = arg;
}

/* --- telling -------------------------------------------------------------------------------------- */

static int tell_task(struct call_stream *s, struct task *task, struct str *out,
                     const char **why)
{
    struct a2a_request request = {.method = s->method,
                                  .version = s->version,
                                  .has_history_length = s->has_history_length,
                                  .history_length = (int64_t)s->history_length};
    struct a2a_result result = call_task_result(task);
    struct buf *text = &s->calls->told;
    int err;

    buf_shrink(text, OUT_KEEP);
    err = a2a_told_write_first(text, &request, &result, why);
    *out = buf_str(text);
    return err ? err : buf_error(text);
}

static int fault_of(struct call_stream *s, int err, const char *why, struct a2a_fault *fault)
{
    *fault = (struct a2a_fault){0};
    switch (err) {
    case ERR_CANCELED:
        a2a_fault_set(fault, A2A_ERROR_SHUTTING_DOWN,
                      "the task goes on; come back with Last-Event-ID");
        break;
    case ERR_STORE:
        a2a_fault_set(fault, A2A_ERROR_STORE_UNAVAILABLE,
                      "the task goes on; come back with Last-Event-ID: %s",
                      store_why(s->calls->store));
        fault->retry_after_s = 5;
        break;
    case ERR_INVALID:
        a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "an event of task %.*s cannot be told in A2A %s: %s",
                      s->id.n > 66 ? 66 : (int)s->id.n, s->id.p, a2a_version_text(s->version),
                      why ? why : "it is not valid");
        break;
    default:
        a2a_fault_set(fault, A2A_ERROR_OVERLOADED, "the stream cannot go on: %s",
                      err_text(err));
    }
    s->ended = a2a_error_row(fault->error)->reason;
    return err;
}

int call_stream_next(struct call_stream *s, struct call_event *out, struct a2a_fault *fault)
{
    struct reader_event event;
    const char *why = NULL;
    int err = reader_next(s->reader, &event, &why);

    if (err == ERR_ABSENT)
        s->ended = "all told";
    if (err == ERR_AGAIN || err == ERR_ABSENT)
        return err;
    if (!err && event.task)
        err = tell_task(s, event.task, &event.object, &why);
    if (err)
        return fault_of(s, err, why, fault);
    buf_clear(&s->calls->cursor);
    buf_add_str(&s->calls->cursor, s->prefix);
    cursor_write_seq(&s->calls->cursor, event.seq);
    *out = (struct call_event){
        .object = event.object, .cursor = buf_str(&s->calls->cursor), .is_last = event.is_last};
    s->n_told++;
    return 0;
}
