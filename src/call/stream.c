/* SPDX-License-Identifier: MIT
 *
 * Messages that are said as a stream: because the caller wants one, or because the agent is to be told so (send: stream).
 *
 *     SEND_SAY --the agent has streams--> first event --> APPEND --> APPENDED: the stream is follow/'s
 *         `-- it has none, or no place ---> asked not to wait (SendMessage) --> APPEND --> APPENDED
 *     APPENDED --the caller wants a stream--> STREAM_TELL --> END
 *
 * The first event decides. A message is the whole answer; an error is told as such, unless it says that the agent has no
 * streams, for then nothing has happened there and it is asked in the other way. A task is committed before anything
 * else is read: the stream is paused meanwhile, and handed over when the task is there.
 *
 * An agent may begin with an update. For a task that is stored only the caller's message is committed then; else a task is
 * made of the update, which stands behind it all the same: it is refused here, and read again by follow/. So it is
 * follow/ alone that judges what ends or interrupts a task: one that begins with its end is begun as working.
 *
 * A caller who wants a stream is told from the log, so what kind of agent it is makes no difference to him.
 */
#include "call/call_int.h"
#include "lib/log.h"

#define CODE_UNSUPPORTED (-32004)
#define CODE_METHOD (-32601)

static int on_event(void *arg, const struct a2a_stream_event *event);
static void on_end(void *arg, const struct a2a_fault *fault);

static const struct stream_events events = {.on_event = on_event, .on_end = on_end};

bool call_wants_stream_of_agent(const struct call *c)
{
    enum agent_send as = agent_send_as(c->agent);

    if (as == AGENT_SEND_ASYNC || c->has_no_stream || !agent_streams(c->agent))
        return false;
    return c->request.method == A2A_STREAM || as == AGENT_SEND_STREAM;
}

int call_ask_stream(struct call *c, enum call_flow *flow)
{
    const char *why = NULL;
    int err = dispatch_stream(c->calls->dispatch, c->agent, &c->request, &c->context, &events,
                              c, &c->stream, &why);

    if (err)
        c->stream = NULL;
    if (err == ERR_FULL) /* no place for a stream is no reason to refuse a message */
        return err;
    *flow = err ? call_fail_unsaid(c, err, why) : CALL_WAIT;
    return 0;
}

static void close_stream(struct call *c)
{
    stream_close(c->stream);
    c->stream = NULL;
}

/* --- the first event ------------------------------------------------------------------------------ */

static void note_speaker(struct call *c, const struct a2a_stream_event *event)
{
    c->spoken = event->dialect;
    c->has_added_context = stream_added_context(c->stream);
    /* Without memory for it there is none: a hint, beside an answer that must be kept. */
    c->extensions = arena_str(&c->arena, stream_extensions(c->stream));
}

static void hear_error(struct call *c, const struct a2a_reply *reply)
{
    bool has_none = reply->error_code == CODE_UNSUPPORTED || reply->error_code == CODE_METHOD;

    close_stream(c); /* its bytes stay until the turn ends */
    if (has_none && !c->has_no_stream) {
        c->has_no_stream = true;
        c->step = CALL_SEND_SAY;
    } else {
        c->reply = reply;
        call_fail_as_agent(c);
    }
    call_step(c);
}

/* Takes the step that the reply leads to; it is borrowed meanwhile. */
static void go_on_with(struct call *c, const struct a2a_reply *reply, enum call_step_id step)
{
    c->reply = reply;
    c->step = step;
    call_step(c);
}

/* The task that the message was for, or one that the agent has taken up again unasked. */
static bool is_stored(struct call *c, const struct a2a_stream_event *event)
{
    struct str id = call_decode_id(&c->arena, event->task_id);

    if (c->knew_task && str_is(id, c->task_id))
        return true;
    return id.p && store_task_peek(c->calls->store, c->agent_id, id);
}

/* The same update, but for its status: still at work. */
static void write_working(struct buf *out, const struct a2a_stream_event *event)
{
    struct str context = json_get(event->object, "contextId");

    BUF_LIT(out, "{\"taskId\":");
    buf_add_str(out, event->task_id);
    if (json_type(context) == JSON_STRING) {
        BUF_LIT(out, ",\"contextId\":");
        buf_add_str(out, context);
    }
    buf_printf(out, ",\"status\":{\"state\":\"%s\"}}",
               a2a_state_name(A2A_STATE_WORKING, event->dialect));
}

/* Errors as a2a_task_write_begun(). */
static int write_begun(struct buf *out, const struct a2a_stream_event *event)
{
    struct a2a_stream_event first = *event;
    struct buf working;
    int err;

    buf_init(&working, KB(8)); /* two ids, each byte an escape of six */
    if (event->kind == A2A_STREAM_STATUS && a2a_state_class(event->state) != A2A_ACTIVE) {
        write_working(&working, event);
        first.object = buf_str(&working);
    }
    err = buf_error(&working);
    err = err ? err : a2a_task_write_begun(out, &first);
    buf_release(&working);
    return err;
}

static int hear_update(struct call *c, const struct a2a_stream_event *event)
{
    struct a2a_reply reply = {
        .kind = A2A_REPLY_TASK, .task_id = event->task_id, .dialect = event->dialect};
    struct buf begun;
    int err = 0;

    buf_init(&begun, LIMIT_AGENT_BODY);
    c->only_message = is_stored(c, event);
    if (!c->only_message)
        err = write_begun(&begun, event);
    if (err) {
        call_fail(c, A2A_ERROR_INVALID_AGENT_RESPONSE,
                  "no task can be made of the update with which agent %.*s began: %s",
                  STR_ARG(c->agent_id), err_text(err));
        call_step(c);
    } else {
        reply.object = buf_str(&begun);
        go_on_with(c, &reply, CALL_APPEND);
    }
    buf_release(&begun);
    return ERR_AGAIN; /* it is follow/'s to read */
}

static int on_event(void *arg, const struct a2a_stream_event *event)
{
    struct call *c = arg;
    struct a2a_reply reply = {
        .object = event->object, .task_id = event->task_id, .error_code = event->error_code};

    note_speaker(c, event);
    reply.dialect = c->spoken;
    if (event->kind != A2A_STREAM_ERROR) /* which may lead to another way of asking */
        call_stop_watching(c);
    switch (event->kind) {
    case A2A_STREAM_ERROR:
        reply.kind = A2A_REPLY_ERROR;
        hear_error(c, &reply);
        return 0;
    case A2A_STREAM_MESSAGE:
        reply.kind = A2A_REPLY_MESSAGE;
        close_stream(c); /* its bytes stay until the turn ends */
        go_on_with(c, &reply, CALL_SEND_HEARD);
        return 0;
    case A2A_STREAM_TASK:
        reply.kind = A2A_REPLY_TASK;
        stream_pause(c->stream);
        go_on_with(c, &reply, CALL_APPEND);
        return 0;
    default:
        return hear_update(c, event);
    }
}

/* Before anything was said: what comes later is heard by follow/. */
static void on_end(void *arg, const struct a2a_fault *fault)
{
    struct call *c = arg;

    c->stream = NULL;
    if (fault)
        call_fail_with(c, fault);
    else
        call_fail(c, A2A_ERROR_INVALID_AGENT_RESPONSE,
                  "agent %.*s ended its stream without saying anything", STR_ARG(c->agent_id));
    call_step(c);
}

/* --- telling the caller --------------------------------------------------------------------------- */

/* Nobody may be waiting any more: he has left, or was told that the store is late. */
enum call_flow stream_tell(struct call *c)
{
    if (call_stream_open(c, READER_SENDER, READER_FROM_NOW) == 0)
        return call_succeed(c);
    return call_fail(
        c, A2A_ERROR_SHUTTING_DOWN,
        "task %.*s has begun; do not send again, subscribe to it at the next instance",
        STR_ARG(c->task->id));
}
