/* SPDX-License-Identifier: MIT
 *
 * One open stream of an agent: asked for like anything else (talk.c), read as it comes.
 *
 *     dispatch_stream --first card under way--> on_card() --> go()
 *          `--------------------------------------------------^ |
 *     event stream:  on_data() --> sse --> deliver() --> on_event     ERR_AGAIN: kept, egress is paused
 *     plain answer:  on_answer() ------------^                        stream_resume(): work() goes on where it was
 *     not understood, once: card refreshed --> go()
 *     the end:       on_answer() --> everything delivered --> finish(): place given back, on_end, freed
 *
 * Who takes the events may pause, hand over or close the stream from inside on_event; after each call of his the stream
 * is looked at again. What was read and not yet taken waits in `rest`, at most one read; the event that was refused lies
 * where the parser has it.
 *
 * The end waits for the last event to be taken: a stream that broke is not told so before what it said.
 */
#include "dispatch/dispatch_int.h"

#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sse.h"

#define STREAM_MAGIC 0x57e40006u
/* An agent that has said it does not do it is not asked again for this long. */
#define REFUSED_MS 300000u
#define CODE_UNSUPPORTED (-32004)
#define CODE_METHOD (-32601)

struct stream {
    unsigned magic;
    struct grave grave;
    struct talk talk; /* a stream's place is taken in its agent until the end */
    struct stream_events events;
    void *arg; /* borrowed: whoever listens */
    struct card_wait wait;
    bool is_waiting;                /* for a card */
    struct egress_request *request; /* NULL: not begun, or over */
    struct egress_stream in;
    struct sse sse;
    struct buf rest;          /* bytes read and not yet looked at */
    struct buf plain;         /* a plain answer, or the refusal while a card is refreshed */
    struct sse_event pending; /* has_pending: the event that waits to be taken */
    bool has_pending, is_plain;
    bool is_paused;  /* by whoever listens, or because he refused an event */
    bool is_stream;  /* the head has come, and it is one */
    bool is_held;    /* egress is paused */
    bool is_working; /* work() is on the stack */
    bool is_gone;    /* closed, or finished */
    bool has_first;  /* an event was taken */
    bool is_over;    /* nothing more comes; has_fault says whether it broke */
    bool has_fault;
    struct a2a_fault fault;
    struct deferred more;
    struct buf extensions;
};

static void on_answer(void *arg, const struct egress_answer *answer);
static bool on_head(void *arg, int status, const struct http_head *head);
static void on_data(void *arg, struct str bytes);
static void on_card(struct card_wait *w);
static void on_more(void *arg);
static void work(struct stream *s);

static struct stream *stream_of(void *arg)
{
    struct stream *s = arg;

    BUG_ON(s->magic != STREAM_MAGIC);
    return s;
}

static struct loop *loop_of(const struct stream *s)
{
    return s->talk.dispatch->loop;
}

/* --- birth and death ------------------------------------------------------------------------------ */

static void free_stream(struct grave *g)
{
    struct stream *s = CONTAINER_OF(g, struct stream, grave);

    sse_release(&s->sse);
    buf_release(&s->rest);
    buf_release(&s->plain);
    buf_release(&s->extensions);
    s->magic = 0;
    mem_free(s);
}

/* From everybody who could still call it; its memory lives until the turn ends, for those on the stack. */
static void leave(struct stream *s)
{
    s->is_gone = true;
    loop_undefer(&s->more);
    list_remove(&s->wait.link);
    egress_cancel(s->request);
    s->request = NULL;
    s->talk.agent->gate->streams--;
    loop_bury(loop_of(s), &s->grave, free_stream);
    talk_release(&s->talk);
}

void stream_close(struct stream *s)
{
    if (!s || stream_of(s)->is_gone)
        return;
    leave(s);
}

static void finish(struct stream *s)
{
    const struct stream_events events = s->events;
    struct gate *gate = s->talk.agent->gate;

    if (s->has_fault && a2a_error_row(s->fault.error)->blame == A2A_BLAME_AGENT &&
        !s->has_first) {
        gate->failures++;
        gate->last_failure_at_ms = (uint64_t)clock_wall_ms();
    }
    s->is_gone = true; /* who is told need not close it */
    events.on_end(s->arg, s->has_fault ? &s->fault : NULL);
    leave(s);
}

static struct stream *new_stream(struct dispatch *d, struct agent *a, enum a2a_method method,
                                 const struct stream_events *events, void *arg)
{
    struct stream *s = MEM_NEW(struct stream);

    s->magic = STREAM_MAGIC;
    talk_init(&s->talk, d, a, method);
    s->events = *events;
    s->arg = arg;
    s->in = (struct egress_stream){
        .on_head = on_head, .on_data = on_data, .idle_timeout_ms = d->config.stream_idle_ms};
    s->more = (struct deferred){.fn = on_more, .arg = s};
    s->wait.fn = on_card;
    list_init(&s->wait.link);
    sse_init(&s->sse, LIMIT_AGENT_BODY);
    buf_init(&s->rest, LOOP_READ_BYTES);
    buf_init(&s->plain, LIMIT_AGENT_BODY);
    buf_init(&s->extensions, TALK_EXTENSIONS_MAX);
    a->gate->streams++;
    return s;
}

/* --- beginning ------------------------------------------------------------------------------------ */

static int go(struct stream *s, const char **why)
{
    struct egress_call call = {.stream = &s->in};

    return talk_start(&s->talk, &call, on_answer, s, &s->request, why);
}

/* Starts at once, or when the first card has come. On failure the stream is gone. */
static int launch(struct stream *s, struct stream **out, const char **why)
{
    struct card *card = s->talk.agent->card;
    int err;

    if (talk_hangs_on_card(&s->talk)) {
        if (!card_has_tried(card)) {
            s->is_waiting = true;
            card_wait(card, &s->wait);
            *out = s;
            return 0;
        }
        card_touch(card);
    }
    err = go(s, why);
    if (err)
        leave(s);
    else
        *out = s;
    return err;
}

int dispatch_stream(struct dispatch *d, struct agent *a, const struct a2a_request *request,
                    const struct dispatch_context *context, const struct stream_events *events,
                    void *arg, struct stream **out, const char **why)
{
    struct stream *s;

    if (a->gate->streams >= a->settings->spec.max_streams)
        return ERR_FULL;
    s = new_stream(d, a, A2A_STREAM, events, arg);
    s->talk.has_request = true;
    s->talk.request = *request;
    s->talk.saying = A2A_SAY_STREAM;
    if (context)
        s->talk.context = *context;
    return launch(s, out, why);
}

int dispatch_subscribe(struct dispatch *d, struct agent *a, struct str task_id,
                       const struct stream_events *events, void *arg, struct stream **out)
{
    const char *why;
    struct stream *s;

    if (a->gate->streams >= a->settings->spec.max_streams)
        return ERR_FULL;
    s = new_stream(d, a, A2A_SUBSCRIBE, events, arg);
    s->talk.task_id = mem_str(task_id.p, task_id.n);
    return launch(s, out, &why);
}

/* Takes the reference to `newer`. */
static void go_on(struct stream *s, struct agent *newer)
{
    const char *why = "";
    int err;

    BUG_ON(newer->gate != s->talk.agent->gate);
    agent_unref(s->talk.agent);
    s->talk.agent = newer;
    buf_clear(&s->plain);
    s->is_plain = s->has_pending = s->has_fault = false;
    err = go(s, &why);
    if (!err)
        return;
    talk_unstarted(&s->talk, err, why, &s->fault);
    s->has_fault = s->is_over = true;
    work(s);
}

/* The first card, or the one looked at again because of a refusal, which stands if there is no news. */
static void on_card(struct card_wait *w)
{
    struct stream *s = CONTAINER_OF(w, struct stream, wait);
    bool is_refusal = s->talk.has_refreshed;
    struct agent *newer = agent_latest(s->talk.agent);

    s->is_waiting = false;
    if (card_is_canceled(s->talk.agent->card)) {
        a2a_fault_set(&s->fault, A2A_ERROR_SHUTTING_DOWN,
                      "agent %s was not asked: the gateway stops", s->talk.agent->gate->id);
        s->has_fault = true;
    } else if (!is_refusal || !agent_is_called_alike(newer, s->talk.agent)) {
        go_on(s, newer);
        return;
    } else {
        card_taught_nothing(s->talk.agent->card);
    }
    agent_unref(newer);
    s->is_over = true;
    work(s);
}

/* --- what comes ----------------------------------------------------------------------------------- */

static bool on_head(void *arg, int status, const struct http_head *head)
{
    struct stream *s = stream_of(arg);
    struct str type = http_head_get(head, STR("content-type"));
    const struct str wanted = STR("text/event-stream");

    buf_clear(&s->extensions);
    if (!talk_extensions(&s->extensions, head).p)
        buf_clear(&s->extensions);
    s->is_stream = status / 100 == 2 && type.n >= wanted.n &&
                   str_is_nocase(str_make(type.p, wanted.n), wanted);
    return s->is_stream;
}

static void on_data(void *arg, struct str bytes)
{
    struct stream *s = stream_of(arg);

    if (buf_add_str(&s->rest, bytes)) {
        s->has_fault = s->is_over = true;
        a2a_fault_set(&s->fault, A2A_ERROR_OVERLOADED, "no memory for what agent %s says",
                      s->talk.agent->gate->id);
    }
    work(s);
}

static void break_off(struct stream *s, const struct a2a_fault *fault)
{
    a2a_fault_set(&s->fault, fault->error, "agent %s: %.170s", s->talk.agent->gate->id,
                  fault->detail);
    s->has_fault = s->is_over = true;
    s->has_pending = false;
    buf_clear(&s->rest);
    egress_cancel(s->request);
    s->request = NULL;
}

/* The agent has said that it does not do such a thing. */
static void note_refusal(struct stream *s, const struct a2a_stream_event *event)
{
    struct gate *gate = s->talk.agent->gate;
    uint64_t until = loop_now_ms(loop_of(s)) + REFUSED_MS;

    if (event->kind != A2A_STREAM_ERROR || s->has_first)
        return;
    if (s->talk.method == A2A_SUBSCRIBE && event->error_code == CODE_METHOD)
        gate->no_subscribe_until_ms = until;
    if (s->talk.method == A2A_STREAM &&
        (event->error_code == CODE_METHOD || event->error_code == CODE_UNSUPPORTED))
        gate->no_streams_until_ms = until;
}

/* A plain answer's task is bare or wrapped, as a reply; a stream's frames are read as such. */
static int understand(struct stream *s, struct a2a_stream_event *event, struct a2a_fault *fault)
{
    struct a2a_reply reply = {0};
    int err;

    if (!s->is_plain)
        return a2a_stream_read(s->pending.data, s->talk.agent->version, s->talk.id, event,
                               fault);
    err = a2a_reply_read(s->pending.data, s->talk.agent->version, s->talk.method, s->talk.id,
                         &reply, fault);
    *event =
        (struct a2a_stream_event){.kind = reply.kind == A2A_REPLY_TASK      ? A2A_STREAM_TASK
                                          : reply.kind == A2A_REPLY_MESSAGE ? A2A_STREAM_MESSAGE
                                                                            : A2A_STREAM_ERROR,
                                  .object = reply.object,
                                  .task_id = reply.task_id,
                                  .dialect = reply.dialect,
                                  .error_code = reply.error_code};
    if (!err && reply.kind == A2A_REPLY_TASK)
        event->has_state = a2a_event_state(A2A_EVENT_TASK, reply.object, &event->state) == 0;
    return err;
}

/* Tells the pending event. False: nothing more can be told now. */
static bool deliver(struct stream *s)
{
    struct a2a_stream_event event;
    struct a2a_fault fault = {0};
    int err = understand(s, &event, &fault);

    if (err) {
        break_off(s, &fault);
        return true;
    }
    CRASH_POINT(stream_heard);
    note_refusal(s, &event);
    err = s->events.on_event(s->arg, &event);
    if (s->is_gone)
        return false;
    s->has_pending = err != 0;
    s->has_first |= err == 0;
    s->is_paused |= err != 0;
    return !s->is_paused;
}

/* Parses the next event. False: there is none. */
static bool parse(struct stream *s)
{
    size_t used;
    int got = sse_read(&s->sse, buf_str(&s->rest), &used, &s->pending);

    buf_consume(&s->rest, used);
    if (got < 0) {
        struct a2a_fault fault = {0};

        a2a_fault_set(&fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "an event of its stream is larger than %zu bytes", LIMIT_AGENT_BODY);
        break_off(s, &fault);
        return false;
    }
    s->has_pending = got == 1 && s->pending.data.n > 0;
    return got == 1;
}

static void hold(struct stream *s, bool is_held)
{
    if (!s->request || !s->is_stream || s->is_held == is_held)
        return;
    s->is_held = is_held;
    if (is_held)
        egress_pause(s->request);
    else
        egress_resume(s->request);
}

/* Tells what there is, as long as it is taken. Comes from egress or from the end of a turn, never from inside a function
 * of the door. */
static void work(struct stream *s)
{
    if (s->is_working || s->is_waiting)
        return;
    s->is_working = true;
    while (!s->is_gone && !s->is_paused) {
        if (s->has_pending) {
            if (!deliver(s))
                break;
        } else if (s->rest.n == 0 || !parse(s)) {
            break;
        }
    }
    s->is_working = false;
    if (s->is_gone)
        return;
    if (s->is_paused)
        hold(s, true);
    else if (s->is_over)
        finish(s);
    else
        hold(s, false);
}

static void on_more(void *arg)
{
    work(stream_of(arg));
}

/* --- the end -------------------------------------------------------------------------------------- */

/* Whether a refusal leads to another look at the card; the answer is kept meanwhile. */
static bool put_off(struct stream *s, const struct egress_answer *answer)
{
    struct a2a_reply reply = {0};
    struct agent *newer;
    int err;

    if (s->talk.has_refreshed || !talk_hangs_on_card(&s->talk))
        return false;
    err = talk_understand(&s->talk, answer, &reply, &s->fault);
    if (!talk_is_not_understood(answer, err, &reply))
        return false;
    s->has_fault = err != 0;
    s->talk.has_refreshed = true;
    newer = agent_latest(s->talk.agent);
    if (!agent_is_called_alike(newer, s->talk.agent)) {
        go_on(s, newer);
        return true;
    }
    agent_unref(newer);
    if (!card_may_teach(s->talk.agent->card))
        return false;
    s->is_waiting = true;
    card_wait(s->talk.agent->card, &s->wait);
    return true;
}

/* A plain answer becomes the one event there is. */
static void take_plain(struct stream *s, const struct egress_answer *answer)
{
    struct a2a_reply reply;
    int err = talk_understand(&s->talk, answer, &reply, &s->fault);

    s->has_fault = err != 0;
    if (err || buf_add_str(&s->plain, answer->body))
        return;
    s->is_plain = s->has_pending = true;
    s->pending = (struct sse_event){.data = buf_str(&s->plain)};
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct stream *s = stream_of(arg);
    s->request = NULL;
    s->is_held = false;
    if (answer->err) {
        talk_no_answer(&s->talk, answer, &s->fault);
        s->has_fault = true;
    } else if (s->is_stream) {
        if (sse_end(&s->sse, &s->pending) == 1)
            s->has_pending = s->pending.data.n > 0;
    } else {
        take_plain(s, answer);
        if (put_off(s, answer))
            return;
    }
    s->is_over = true;
    work(s);
}

/* --- whoever listens ------------------------------------------------------------------------------ */

void stream_hand_over(struct stream *s, const struct stream_events *events, void *arg)
{
    BUG_ON(stream_of(s)->is_gone);
    s->events = *events;
    s->arg = arg;
}

void stream_pause(struct stream *s)
{
    if (!stream_of(s)->is_gone)
        s->is_paused = true;
    if (!s->is_working && !s->is_gone)
        hold(s, true);
}

void stream_resume(struct stream *s)
{
    if (stream_of(s)->is_gone)
        return;
    s->is_paused = false;
    loop_defer(loop_of(s), &s->more);
}

enum a2a_version stream_version(const struct stream *s)
{
    return s->talk.agent->version;
}

bool stream_added_context(const struct stream *s)
{
    return s->talk.has_added_context;
}

struct str stream_extensions(const struct stream *s)
{
    return s->extensions.n ? buf_str(&s->extensions) : STR_NONE;
}

/* --- which agents have them ----------------------------------------------------------------------- */

bool agent_streams(const struct agent *a)
{
    return a->settings->spec.max_streams > 0 && card_has_streams(a->card) &&
           loop_now_ms(a->dispatch->loop) >= a->gate->no_streams_until_ms;
}

bool agent_subscribes(const struct agent *a)
{
    return agent_streams(a) && loop_now_ms(a->dispatch->loop) >= a->gate->no_subscribe_until_ms;
}

enum agent_send agent_send_as(const struct agent *a)
{
    return a->settings->spec.send;
}

bool agent_wants_final_get(const struct agent *a)
{
    return a->settings->spec.final_get;
}
