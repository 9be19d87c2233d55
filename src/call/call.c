/* SPDX-License-Identifier: MIT
 *
 * The life of a call: started, stepped, answered once, logged once, freed.
 *
 * Two things make this file longer than its idea. A cached task is answered before a call object exists,
 * because that path is the busiest and needs none. And the one who waits may go away or be told early while
 * the call itself goes on: `fn == NULL` says that nobody waits, and nothing else changes.
 */
#include <stdarg.h>
#include <stdio.h>

#include "call/call_int.h"
#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"

/* --- all calls --- */

/* Senders' streams of interrupted tasks wait for this. */
static void on_quiet(void *arg, struct str agent, struct str task_id)
{
    struct calls *c = arg;

    feeds_nudge(c->feeds, agent, task_id);
}

struct calls *calls_new(struct loop *loop, struct store *store, struct dispatch *dispatch,
                        struct follow *follow, struct feeds *feeds,
                        const struct calls_config *config)
{
    struct calls *c = MEM_NEW(struct calls);

    c->loop = loop;
    c->store = store;
    c->dispatch = dispatch;
    c->follow = follow;
    c->feeds = feeds;
    c->config = *config;
    buf_init(&c->told, 2 * LIMIT_TASK_BYTES);
    buf_init(&c->cursor, CURSOR_TEXT_MAX);
    follow_on_quiet(follow, on_quiet, c);
    c->listener = (struct store_listener){.on_commit = calls_on_commit, .arg = c};
    store_listen(store, &c->listener);
    list_init(&c->running);
    list_init(&c->waiting);
    list_init(&c->reading);
    return c;
}

void calls_free(struct calls *c)
{
    if (!c)
        return;
    BUG_ON(!list_is_empty(&c->running) || c->n_streams);
    store_unlisten(c->store, &c->listener);
    follow_on_quiet(c->follow, NULL, NULL);
    buf_release(&c->told);
    buf_release(&c->cursor);
    mem_free(c);
}

unsigned calls_running(const struct calls *c)
{
    return c->n_running;
}

void calls_drain(struct calls *c, void (*on_idle)(void *arg), void *arg)
{
    bool was_idle = c->n_running == 0 && c->n_streams == 0;
    struct list *first;

    c->on_idle = on_idle;
    c->on_idle_arg = arg;
    feeds_stop(c->feeds);
    /* Whoever waits for the end of a task only hears how far it has come. */
    while ((first = list_first(&c->waiting)))
        call_stop_waiting(CONTAINER_OF(first, struct call, wait_link));
    /* Nor is a silent agent a reason to stay. */
    while ((first = list_first(&c->reading)))
        call_stop_reading(CONTAINER_OF(first, struct call, wait_link));
    if (was_idle) /* else the last call to go has told it, or will */
        on_idle(arg);
}

/* --- one call --- */

static enum call_flow (*const handlers[CALL_STEP_MAX])(struct call *c) = {
#define X(id, handler) [CALL_##id] = handler,
#include "call/call.def"
#undef X
};

enum call_flow call_step(struct call *c)
{
    enum call_flow flow;

    BUG_ON(c->magic != CALL_MAGIC);
    do {
        flow = handlers[c->step](c);
    } while (flow == CALL_GO);
    return flow;
}

enum call_flow call_fail(struct call *c, enum a2a_error error, const char *fmt, ...)
{
    char detail[2 * sizeof c->fault.detail]; /* a2a_fault_set() cuts, between characters */
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    a2a_fault_set(&c->fault, error, "%s", detail);
    c->has_fault = true;
    c->step = CALL_END;
    return CALL_GO;
}

enum call_flow call_fail_with(struct call *c, const struct a2a_fault *fault)
{
    c->fault = *fault;
    c->has_fault = true;
    c->step = CALL_END;
    return CALL_GO;
}

enum call_flow call_fail_as_agent(struct call *c)
{
    struct a2a_fault fault = {0};

    a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "the agent answered with error %lld",
                  (long long)c->reply->error_code);
    fault.agent_error = c->reply->object;
    fault.agent_version = c->spoken;
    return call_fail_with(c, &fault);
}

enum call_flow call_fail_no_agent(struct call *c)
{
    return call_fail(c, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"",
                     STR_ARG(c->agent_id));
}

enum call_flow call_fail_unknown(struct call *c)
{
    return call_fail(c, A2A_ERROR_TASK_NOT_FOUND, "neither the gateway nor agent %.*s knows it",
                     STR_ARG(c->agent_id));
}

enum call_flow call_fail_store(struct call *c)
{
    return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
}

/* Nothing is begun at an agent when the store that would keep its answer is closing. */
enum call_flow call_fail_closing(struct call *c)
{
    return call_fail(c, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
}

enum call_flow call_fail_full(struct call *c)
{
    return call_fail(c, A2A_ERROR_AGENT_OVERLOADED,
                     "agent %.*s already has all the calls in flight it may have; try again",
                     STR_ARG(c->agent_id));
}

enum call_flow call_go(struct call *c, enum call_step_id step)
{
    c->step = step;
    return CALL_GO;
}

enum call_flow call_succeed(struct call *c)
{
    c->has_fault = false;
    c->step = CALL_END;
    return CALL_GO;
}

void call_set_task(struct call *c, struct task *task)
{
    struct task *old = c->task;

    c->task = task ? task_ref(task) : NULL;
    task_unref(old);
}

void call_tell(struct call *c, const struct call_answer *answer)
{
    call_answer_fn fn = c->fn;

    c->fn = NULL;
    if (!fn)
        return;
    c->told = true;
    fn(c->arg, answer);
}

void call_detach(struct call *c)
{
    c->fn = NULL;
    /* Where all that was left to do was to tell him: the task is followed, and its agent asked, without us. */
    if (c->wait)
        call_stop_waiting(c);
    else if (list_is_linked(&c->wait_link))
        call_stop_reading(c);
}

static void free_call(struct call *c)
{
    struct calls *calls = c->calls;

    timer_stop(calls->loop, &c->store_wait);
    call_stop_watching(c);
    webhook_look_cancel(c->look);
    stream_close(c->stream);
    list_remove(&c->link);
    calls->n_running--;
    task_unref(c->task);
    agent_unref(c->agent);
    arena_release(&c->arena);
    c->magic = 0;
    mem_free(c);
    calls_settle(calls);
}

void calls_settle(struct calls *c)
{
    if (c->on_idle && c->n_running == 0 && c->n_streams == 0)
        c->on_idle(c->on_idle_arg);
}

enum call_flow call_end(struct call *c)
{
    struct call_answer answer = {.extensions = c->extensions};
    struct call_report report = {.agent = c->agent_id,
                                 .request_id = c->request_id,
                                 .task_id = c->task_id,
                                 .request = &c->request,
                                 .task = c->task,
                                 .fault = c->has_fault ? &c->fault : NULL,
                                 .started_ns = c->started_ns,
                                 .nobody_waited = !c->fn && !c->told};

    if (c->has_fault) {
        answer.fault = &c->fault;
    } else if (c->told_stream) {
        answer.stream = c->told_stream;
    } else if (c->task) {
        answer.result = call_task_result(c->task);
    } else if (c->reply) {
        answer.result = (struct a2a_result){
            .kind = c->reply->kind, .version = c->spoken, .object = c->reply->object};
    }
    call_tell(c, &answer);
    if (!answer.stream)
        call_log(&report);
    free_call(c);
    return CALL_END_NOW;
}

/* --- starting --- */

/* The same span in the copy of the params; what is not in there (a call of /rpc) gets a copy of its own. */
static int copy_span(struct call *c, struct str params, struct str *span)
{
    uintptr_t at = (uintptr_t)span->p, from = (uintptr_t)params.p;

    if (!span->p)
        return 0;
    if (at >= from && at + span->n <= from + params.n)
        *span = str_make(c->request.params.p + (at - from), span->n);
    else
        *span = arena_str(&c->arena, *span);
    return span->p ? 0 : ERR_NOMEM;
}

/* Copies the request's params once; every other view is moved along with them. */
static int copy_request(struct call *c, const struct call_request *request)
{
    const struct a2a_request *a = request->a2a;
    struct a2a_request *r = &c->request;
    struct str *const spans[] = {&r->task_id,        &r->message,     &r->message_context,
                                 &r->configuration,  &r->push_config, &r->list.context_id,
                                 &r->list.page_token};

    *r = *a;
    r->id = STR_NONE; /* the binding echoes it, not the call */
    r->params = arena_str(&c->arena, a->params);
    c->agent_id = arena_str(&c->arena, request->agent);
    c->request_id = arena_str(&c->arena, request->request_id);
    c->last_event_id = arena_str(&c->arena, request->last_event_id);
    if ((a->params.p && !r->params.p) || (request->agent.p && !c->agent_id.p) ||
        (request->request_id.p && !c->request_id.p) ||
        (request->last_event_id.p && !c->last_event_id.p))
        return ERR_NOMEM;
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
        if (copy_span(c, a->params, spans[i]))
            return ERR_NOMEM;
    c->want_summaries = request->want_summaries;
    c->want_whole_tasks = request->want_whole_tasks;
    c->no_wait = request->no_wait;
    c->is_superx = request->is_superx;
    if (r->task_id.p)
        c->task_id = call_decode_id(&c->arena, r->task_id);
    return call_keep_headers(c, request);
}

static enum call_step_id first_step(const struct call *c)
{
    bool has_agent = c->agent_id.p != NULL;
    enum a2a_method method = c->request.method;

    if (c->last_event_id.p && (method == A2A_STREAM || method == A2A_SUBSCRIBE))
        return CALL_ATTACH;
    switch (method) {
    case A2A_SEND:
    case A2A_STREAM:
        return CALL_SEND_ADMIT;
    case A2A_GET:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
        return has_agent ? CALL_LOAD : CALL_FIND;
    case A2A_LIST:
        return CALL_LIST;
    default:
        return CALL_END;
    }
}

static struct call *new_call(struct calls *calls, uint64_t started_ns, call_answer_fn fn,
                             void *arg)
{
    struct call *c = MEM_NEW(struct call);

    c->magic = CALL_MAGIC;
    c->calls = calls;
    c->fn = fn;
    c->arg = arg;
    c->started_ns = started_ns;
    arena_init(&c->arena, 2 * LIMIT_REQUEST_BODY);
    list_init(&c->wait_link);
    list_append(&calls->running, &c->link);
    calls->n_running++;
    return c;
}

static void answer_fault_now(const struct call_request *request, uint64_t started_ns,
                             const struct a2a_fault *fault, call_answer_fn fn, void *arg)
{
    struct call_answer answer = {.fault = fault};
    struct call_report report = {.agent = request->agent,
                                 .request_id = request->request_id,
                                 .request = request->a2a,
                                 .fault = fault,
                                 .started_ns = started_ns};

    if (report.agent.n >
        LIMIT_AGENT_ID) /* nobody's; the rest of the line shall not be cut for it */
        report.agent.n = LIMIT_AGENT_ID;
    fn(arg, &answer);
    call_log(&report);
}

/* What this release does not do yet is said with the error A2A has for it. */
static bool is_unbuilt(const struct a2a_request *r, struct a2a_fault *fault)
{
    const char *name =
        r->method < A2A_METHOD_MAX ? a2a_method_name(r->method, r->version) : "?";

    switch (r->method) {
    case A2A_SEND:
    case A2A_STREAM:
    case A2A_GET:
    case A2A_LIST:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
        return false;
    case A2A_EXTENDED_CARD:
        a2a_fault_set(fault,
                      r->version == A2A_0_3 ? A2A_ERROR_EXTENDED_CARD : A2A_ERROR_UNSUPPORTED,
                      "the gateway offers no extended agent card");
        return true;
    default:
        a2a_fault_set(fault, A2A_ERROR_UNSUPPORTED, "%s is not built yet in this release",
                      name);
        return true;
    }
}

/* The path's id is kept, logged and looked up only if it could be an agent's. It is taken as it stands: an
 * id's letters need no percent-encoding, and without decoding every agent has exactly one path. */
static bool is_nobody(const struct call_request *request, struct a2a_fault *fault)
{
    if (agent_id_is_valid(request->agent))
        return false;
    a2a_fault_set(
        fault, A2A_ERROR_AGENT_NOT_FOUND,
        "\"%.*s\" cannot be an agent's id; it has 1 to %u letters, digits, '.', '_' or '-'",
        request->agent.n > LIMIT_AGENT_ID ? (int)LIMIT_AGENT_ID : (int)request->agent.n,
        request->agent.p, LIMIT_AGENT_ID);
    return true;
}

static bool answer_from_cache(struct calls *calls, const struct call_request *request,
                              uint64_t started_ns, call_answer_fn fn, void *arg)
{
    struct call_answer answer = {.fault = NULL};
    struct call_report report;
    struct arena arena;
    struct task *task;
    struct str id;

    arena_init(&arena, KB(4));
    id = call_decode_id(&arena, request->a2a->task_id);
    task = id.p ? store_task_peek(calls->store, request->agent, id) : NULL;
    if (task && !call_is_fresh(calls, task))
        task = NULL;
    if (task) {
        report = (struct call_report){.agent = task->agent,
                                      .request_id = request->request_id,
                                      .task_id = task->id,
                                      .request = request->a2a,
                                      .task = task,
                                      .started_ns = started_ns};
        task_ref(task);
        answer.result = call_task_result(task);
        fn(arg, &answer);
        call_log(&report);
        task_unref(task);
    }
    arena_release(&arena);
    return task != NULL;
}

enum call_progress call_start(struct calls *calls, const struct call_request *request,
                              call_answer_fn fn, void *arg, struct call **out)
{
    uint64_t started_ns = clock_mono_ns();
    struct a2a_fault fault;
    struct call *c;

    if (calls->on_idle) {
        a2a_fault_set(&fault, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
        answer_fault_now(request, started_ns, &fault, fn, arg);
        return CALL_ANSWERED;
    }
    if (request->agent.p && is_nobody(request, &fault)) {
        answer_fault_now(request, started_ns, &fault, fn, arg);
        return CALL_ANSWERED;
    }
    if (is_unbuilt(request->a2a, &fault)) {
        answer_fault_now(request, started_ns, &fault, fn, arg);
        return CALL_ANSWERED;
    }
    if (request->a2a->method == A2A_GET && request->agent.p &&
        answer_from_cache(calls, request, started_ns, fn, arg))
        return CALL_ANSWERED;
    c = new_call(calls, started_ns, NULL, NULL);
    if (copy_request(c, request)) {
        a2a_fault_set(&fault, A2A_ERROR_OVERLOADED, "no memory for a request of this size");
        answer_fault_now(request, started_ns, &fault, fn, arg);
        free_call(c);
        return CALL_ANSWERED;
    }
    c->fn = fn;
    c->arg = arg;
    c->step = first_step(c);
    CRASH_POINT(call_started);
    if (call_step(c) == CALL_END_NOW)
        return CALL_ANSWERED;
    *out = c;
    return CALL_RUNNING;
}

/* --- shared by the steps --- */

struct str call_decode_id(struct arena *arena, struct str raw)
{
    struct str inner = str_make(raw.p + 1, raw.n - 2), out;
    struct buf text;

    if (!memchr(inner.p, '\\', inner.n))
        return str_has_control(inner) ? STR_NONE : inner; /* JSON allows U+007F as it is */
    buf_init(&text, LIMIT_TASK_ID);
    out = STR_NONE;
    if (json_string_decode(raw, &text) == 0 && !str_has_control(buf_str(&text)))
        out = arena_str(arena, buf_str(&text));
    buf_release(&text);
    return out;
}

enum call_flow call_ask(struct call *c, bool no_wait, dispatch_fn on_reply)
{
    const char *why = NULL;
    int err;

    err = (no_wait ? dispatch_send_no_wait : dispatch_send)(
        c->calls->dispatch, c->agent, &c->request, &c->context, on_reply, c, &c->ask, &why);
    return err ? call_fail_unsaid(c, err, why) : CALL_WAIT;
}

enum call_flow call_fail_unsaid(struct call *c, int err, const char *why)
{
    if (err == ERR_FULL)
        return call_fail_full(c);
    if (err == ERR_INVALID && why)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "%s", why);
    return call_fail(c, A2A_ERROR_INTERNAL, "the request could not be sent: %s", err_text(err));
}

struct a2a_result call_task_result(const struct task *task)
{
    return (struct a2a_result){.kind = A2A_REPLY_TASK,
                               .version = task->dialect,
                               .object = task->doc,
                               .context = task->context};
}

bool call_is_fresh(const struct calls *calls, const struct task *task)
{
    if (a2a_state_is_terminal(task->state))
        return true;
    if (follow_is_streaming(calls->follow, task->agent, task->id))
        return true;
    return task->heard_ms != 0 &&
           loop_now_ms(calls->loop) - task->heard_ms < calls->config.fresh_ms;
}

void call_log(const struct call_report *r)
{
    uint64_t ms;
    const char *error = NULL, *detail = NULL;
    struct str task_id = r->task ? r->task->id : r->task_id;

    if (!log_is_on(LOG_INFO))
        return;
    ms = (clock_mono_ns() - r->started_ns) / 1000000;
    if (r->fault) {
        error =
            r->fault->agent_error.p ? "AGENT_ERROR" : a2a_error_row(r->fault->error)->reason;
        detail = r->fault->detail[0] ? r->fault->detail : NULL;
    }
    log_event(LOG_INFO, "call", LOG_STR("agent", r->agent),
              LOG_Z("method", r->request->method < A2A_METHOD_MAX
                                  ? a2a_method_name(r->request->method, r->request->version)
                                  : NULL),
              LOG_STR("task", task_id),
              LOG_Z("state", r->task ? a2a_state_name(r->task->state, A2A_0_3) : NULL),
              LOG_U64("ms", ms), LOG_Z("error", error), LOG_Z("detail", detail),
              LOG_STR("request", r->request_id),
              LOG_Z("caller", r->nobody_waited ? "gone" : NULL));
}
