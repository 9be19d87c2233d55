/* SPDX-License-Identifier: MIT
 *
 * Messages that are said as a stream: because the caller wants one, or because the agent is to be told so (send: stream).
 *
 *     SEND_ASK --the agent has streams--> STREAM_ASK --first event--> APPEND --> APPENDED: the stream is follow/'s
 *         `-- it has none, or no place ---> asked not to wait (SendMessage) --> APPEND --> APPENDED
 *     APPENDED --the caller wants a stream--> STREAM_TELL --> END
 *
 * The first event decides. A message is the whole answer; an error is told as such, unless it says that the agent has no
 * streams, for then nothing has happened there and it is asked in the other way. A task is committed before anything
 * else is read: the stream is paused meanwhile, and handed over when the task is there. An agent that begins with an update
 * is helped to a task; the update itself is read again by follow/.
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

enum call_flow call_ask_stream(struct call *c)
{
    const char *why = NULL;
    int err;

    if (!call_pick_headers(c))
        return CALL_GO;
    err = dispatch_stream(c->calls->dispatch, c->agent, &c->request, &c->context, &events, c,
                          &c->stream, &why);
    if (!err)
        return CALL_WAIT;
    c->stream = NULL;
    if (err == ERR_FULL) { /* no stream's place is no reason to refuse a message */
        c->has_no_stream = true;
        return call_go(c, CALL_SEND_ASK);
    }
    if (err == ERR_INVALID && why)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "%s", why);
    return call_fail(c, A2A_ERROR_INTERNAL, "the request could not be sent: %s", err_text(err));
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

    close_stream(c);
    if (has_none) {
        c->has_no_stream = true;
        c->step = CALL_SEND_ASK;
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

static int hear_update(struct call *c, const struct a2a_stream_event *event)
{
    struct a2a_reply reply = {
        .kind = A2A_REPLY_TASK, .task_id = event->task_id, .dialect = event->dialect};
    struct buf begun;

    buf_init(&begun, LIMIT_TASK_END);
    if (c->task_id.p) {
        c->only_message = true; /* what is stored need not begin anew */
    } else if (a2a_task_write_begun(&begun, event)) {
        buf_release(&begun);
        call_fail(c, A2A_ERROR_INVALID_AGENT_RESPONSE,
                  "agent %.*s began its stream with an update too large to make a task of",
                  STR_ARG(c->agent_id));
        close_stream(c);
        call_step(c);
        return 0;
    }
    reply.object = buf_str(&begun);
    go_on_with(c, &reply, CALL_APPEND);
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
    switch (event->kind) {
    case A2A_STREAM_ERROR:
        reply.kind = A2A_REPLY_ERROR;
        hear_error(c, &reply);
        return 0;
    case A2A_STREAM_MESSAGE:
        reply.kind = A2A_REPLY_MESSAGE;
        close_stream(c); /* its bytes stay until the turn ends */
        go_on_with(c, &reply, CALL_END);
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

enum call_flow stream_tell(struct call *c)
{
    int err;

    if (!c->fn) /* he has left, or was told that the store is late */
        return call_succeed(c);
    err = call_stream_open(c, READER_SENDER, READER_FROM_NOW);
    return err ? call_fail_closing(c) : call_succeed(c);
}
