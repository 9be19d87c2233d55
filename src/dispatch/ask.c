/* SPDX-License-Identifier: MIT
 *
 * One JSON-RPC operation with an agent: a place, a request, an answer understood.
 *
 *     dispatch_send/get/cancel --gate full--> ERR_FULL, nothing was touched
 *          | place taken
 *          v
 *       launch() --first card under way, endpoint or version hang on it--> on_card()
 *          |                                                                 |
 *          v                                                                 v
 *        go() <--------------------------------------------------------------+
 *          | request written in the agent's version, sent
 *          v
 *      on_answer() --refused as not understood, once--> on_refreshed() --card says something new--> go()
 *          |                                                | nothing new: the first answer stands
 *          v                                                v
 *       finish(): place given back, the callback, once, freed
 *
 * The place is held from the beginning to the end, so that waiting for a card is bounded like everything
 * else, and moves to the agent's newer version if the card makes one.
 *
 * "Not understood" is what cannot have had an effect: -32009 (version), -32601 (method), and HTTP 404 or
 * 405 without a JSON-RPC answer (nobody there speaks A2A). Anything else might have been acted upon and is
 * never sent again.
 *
 * An ask cannot be called off: a caller who hangs up changes nothing, the answer is still awaited.
 *
 * What went wrong is told in the words of a person who has to find out why: which agent, what it did, and for
 * sends whether it may have acted on the message. An agent's own JSON-RPC error is not a fault but a reply,
 * whatever HTTP status it came with: several servers answer errors with 4xx and 5xx.
 */
#include "dispatch/dispatch_int.h"

#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/mem.h"

#define ASK_MAGIC 0xa5c00003u
/* Memory of the body buffer that is kept from call to call. */
#define BODY_KEEP KB(64)
/* What an agent is given at most for a word on a task, and for an end to it. */
#define GET_TIMEOUT_MS 10000u
#define CANCEL_TIMEOUT_MS 30000u
/* URIs of extensions that an agent says it has activated. */
#define EXTENSIONS_MAX KB(8)
/* A Retry-After beyond a day is not advice. */
#define RETRY_AFTER_MAX_S 86400u
/* JSON-RPC errors of an agent that did not understand. */
#define CODE_VERSION (-32009)
#define CODE_METHOD (-32601)

struct ask {
    unsigned magic;
    struct dispatch *dispatch; /* borrowed: outlives all asks */
    struct agent *agent;       /* counted; a place is taken in it until the end */
    enum a2a_method method;
    uint64_t id; /* of the JSON-RPC request */
    dispatch_fn fn;
    void *arg;
    struct card_wait wait; /* while a card is waited for */
    struct a2a_request
        /* the caller's; views borrowed until the callback. None if has_request is false */
        request;
    struct dispatch_context context; /* likewise */
    char *task_id;                   /* owned; of get and cancel */
    bool has_request, has_added_context;
    struct str extensions; /* inside the callback: the agent's; borrowed. Absent: none */
    bool was_counted;      /* in the agent's calls */
    bool has_refreshed;    /* the card, because of a refusal */
    struct blob *
        /* owned; the refusing answer while its card is refreshed. NULL: it was `refusal_fault` */
        refusal;
    struct a2a_fault refusal_fault;
};

static void on_answer(void *arg, const struct egress_answer *answer);
static void on_card(struct card_wait *w);

/* --- places ------------------------------------------------------------------------------------- */

static int take_place(struct agent *a)
{
    int err = gate_enter(a->gate);

    if (!err)
        a->in_flight++;
    return err;
}

static void give_place(struct agent *a)
{
    BUG_ON(a->in_flight == 0);
    a->in_flight--;
    gate_leave(a->gate);
}

/* Takes the reference to `newer`; the place goes over to it. */
static void move_to(struct ask *ask, struct agent *newer)
{
    BUG_ON(newer->gate != ask->agent->gate || ask->agent->in_flight == 0);
    ask->agent->in_flight--;
    newer->in_flight++;
    agent_unref(ask->agent);
    ask->agent = newer;
}

/* --- birth and death ---------------------------------------------------------------------------- */

static int open_ask(struct dispatch *d, struct agent *a, enum a2a_method method, dispatch_fn fn,
                    void *arg, struct ask **out)
{
    int err = take_place(a);

    if (err)
        return err;
    *out = MEM_NEW(struct ask);
    (*out)->magic = ASK_MAGIC;
    (*out)->dispatch = d;
    (*out)->agent = agent_ref(a);
    (*out)->method = method;
    (*out)->fn = fn;
    (*out)->arg = arg;
    return 0;
}

static void free_ask(struct ask *ask)
{
    blob_unref(ask->refusal);
    agent_unref(ask->agent);
    mem_free(ask->task_id);
    ask->magic = 0;
    mem_free(ask);
}

/* It could not be started: as if it had never been. */
static void drop(struct ask *ask)
{
    give_place(ask->agent);
    free_ask(ask);
}

/* The one end of an ask that was started. */
static void finish(struct ask *ask, const struct a2a_reply *reply,
                   const struct a2a_fault *fault)
{
    struct gate *gate = ask->agent->gate;

    give_place(ask->agent);
    if (fault && a2a_error_row(fault->error)->blame == A2A_BLAME_AGENT) {
        gate->failures++;
        gate->last_failure_at_ms = (uint64_t)clock_wall_ms();
    }
    ask->fn(ask->arg, fault ? NULL : reply, fault);
    free_ask(ask);
}

enum a2a_version ask_version(const struct ask *ask)
{
    return ask->agent->version;
}

bool ask_added_context(const struct ask *ask)
{
    return ask->has_added_context;
}

struct str ask_extensions(const struct ask *ask)
{
    return ask->extensions;
}

/* --- asking ------------------------------------------------------------------------------------- */

/* Writes the request in the agent's words into the dispatch's buffer. */
static int write_request(struct ask *ask, const char **why)
{
    struct buf *body = &ask->dispatch->body;
    struct a2a_upstream to = {.version = ask->agent->version,
                              .tenant = str_of(ask->agent->tenant),
                              .drop_context = ask->context.drop};

    ask->id = ++ask->dispatch->next_id;
    buf_clear(body);
    if (!ask->has_request) {
        a2a_request_write_task(body, &to, ask->method, ask->id, str_of(ask->task_id));
        return buf_error(body);
    }
    /* Only 0.3 promises its callers a context; only 1.0 agents may leave it out. */
    ask->has_added_context =
        ask->context.add.p && to.version == A2A_1_0 && ask->request.version == A2A_0_3;
    if (ask->has_added_context)
        to.add_context = ask->context.add;
    return a2a_request_write(body, &to, ask->id, &ask->request, why);
}

/* The caller's headers; the name of one of them hangs on the agent's version, which a card may have changed. */
static size_t list_headers(const struct ask *ask,
                           struct egress_header out[DISPATCH_HEADERS_MAX + 1])
{
    const struct dispatch_context *context = &ask->context;
    size_t n = 0;

    BUG_ON(context->n_headers > DISPATCH_HEADERS_MAX);
    for (; n < context->n_headers; n++)
        out[n] = context->headers[n];
    if (context->extensions.p)
        out[n++] =
            (struct egress_header){header_extensions(ask->agent->version), context->extensions};
    return n;
}

/* An agent may take minutes for a message. It needs none to say how a task is, or to stop it, and somebody
 * waits for that. */
static uint64_t patience_ms(const struct ask *ask)
{
    uint64_t ms = ask->agent->settings->spec.timeout_ms, most = ms;

    if (ask->method == A2A_GET)
        most = GET_TIMEOUT_MS;
    else if (ask->method == A2A_CANCEL)
        most = CANCEL_TIMEOUT_MS;
    return ms < most ? ms : most;
}

/* Sends the request to the agent as it is known now. ERR_INVALID with *why. */
static int go(struct ask *ask, const char **why)
{
    struct dispatch *d = ask->dispatch;
    struct agent *a = ask->agent;
    struct egress_header headers[DISPATCH_HEADERS_MAX + 1];
    struct egress_call call = {
        .verb = "POST",
        .endpoint = a->endpoint,
        .headers = headers,
        .n_headers = list_headers(ask, headers),
        .n_parts = 1,
        .max_body = LIMIT_AGENT_BODY,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = patience_ms(ask),
    };
    struct egress_request *request;
    struct str body;
    int err = write_request(ask, why);

    if (!err)
        err = buf_error(&d->body);
    if (!err) {
        body = buf_str(&d->body);
        call.parts = &body;
        err = egress_start(d->egress, &call, on_answer, ask, &request);
        if (err == ERR_INVALID) /* which here would speak of the request */
            err = ERR_TLS;
    }
    buf_shrink(&d->body, BODY_KEEP);
    if (err)
        return err;
    a->gate->calls += !ask->was_counted;
    ask->was_counted = true;
    return 0;
}

static bool hangs_on_card(const struct agent *a)
{
    return !a->settings->spec.endpoint.p || !a->settings->spec.has_version;
}

/* Starts at once, or when the first card has come. On failure the ask is gone. */
static int launch(struct ask *ask, struct ask **out, const char **why)
{
    struct agent *a = ask->agent;
    int err = 0;

    if (hangs_on_card(a)) {
        if (!card_has_tried(a->card)) {
            ask->wait.fn = on_card;
            card_wait(a->card, &ask->wait);
            *out = ask;
            return 0;
        }
        card_touch(a->card);
    }
    err = go(ask, why);
    if (err)
        drop(ask);
    else
        *out = ask;
    return err;
}

int dispatch_send(struct dispatch *d, struct agent *a, const struct a2a_request *request,
                  const struct dispatch_context *context, dispatch_fn fn, void *arg,
                  struct ask **out, const char **why)
{
    struct ask *ask;
    int err = open_ask(d, a, request->method, fn, arg, &ask);

    if (err)
        return err;
    ask->has_request = true;
    ask->request = *request;
    if (context)
        ask->context = *context;
    return launch(ask, out, why);
}

static int ask_task(struct dispatch *d, struct agent *a, enum a2a_method method,
                    struct str task_id, const struct a2a_request *request, dispatch_fn fn,
                    void *arg, struct ask **out)
{
    const char *why;
    struct ask *ask;
    int err = open_ask(d, a, method, fn, arg, &ask);

    if (err)
        return err;
    ask->task_id = mem_str(task_id.p, task_id.n);
    ask->has_request = request != NULL;
    if (request)
        ask->request = *request;
    return launch(ask, out, &why);
}

int dispatch_get(struct dispatch *d, struct agent *a, struct str task_id, dispatch_fn fn,
                 void *arg, struct ask **out)
{
    return ask_task(d, a, A2A_GET, task_id, NULL, fn, arg, out);
}

int dispatch_cancel(struct dispatch *d, struct agent *a, struct str task_id,
                    const struct a2a_request *request, dispatch_fn fn, void *arg,
                    struct ask **out)
{
    return ask_task(d, a, A2A_CANCEL, task_id, request, fn, arg, out);
}

/* --- with a card -------------------------------------------------------------------------------- */

/* Goes on with the agent as its card says now; what cannot be started any more ends here. */
static void go_on(struct ask *ask, struct agent *newer)
{
    struct a2a_fault fault = {0};
    const char *why = "";
    int err;

    move_to(ask, newer);
    err = go(ask, &why);
    if (!err)
        return;
    if (err == ERR_INVALID && *why)
        a2a_fault_set(&fault, A2A_ERROR_INVALID_PARAMS, "agent %s speaks A2A %s: %s",
                      newer->gate->id, a2a_version_text(newer->version), why);
    else
        a2a_fault_set(&fault, ask_error(err), "agent %s could not be asked: %s",
                      newer->gate->id, err_text(err));
    finish(ask, NULL, &fault);
}

static void on_card(struct card_wait *w)
{
    struct ask *ask = CONTAINER_OF(w, struct ask, wait);
    struct a2a_fault fault = {0};

    BUG_ON(ask->magic != ASK_MAGIC);
    if (!card_is_canceled(ask->agent->card)) {
        go_on(ask, agent_latest(ask->agent));
        return;
    }
    a2a_fault_set(&fault, A2A_ERROR_SHUTTING_DOWN, "agent %s was not asked: the gateway stops",
                  ask->agent->gate->id);
    finish(ask, NULL, &fault);
}

/* --- understanding ------------------------------------------------------------------------------ */

enum a2a_error ask_error(int err)
{
    switch (err) {
    case ERR_TIMEOUT:
        return A2A_ERROR_AGENT_TIMEOUT;
    case ERR_SYNTAX:
    case ERR_LIMIT:
        return A2A_ERROR_INVALID_AGENT_RESPONSE;
    case ERR_CANCELED:
        return A2A_ERROR_SHUTTING_DOWN;
    case ERR_NOMEM:
        return A2A_ERROR_OVERLOADED;
    default:
        return A2A_ERROR_AGENT_UNREACHABLE;
    }
}

/* No HTTP answer. The sentence's end is what a caller needs to decide whether to send again. */
static void set_no_answer(const struct ask *ask, const struct egress_answer *answer,
                          struct a2a_fault *fault)
{
    const char *end = "";

    if (ask->method == A2A_SEND)
        end = answer->was_sent ? "; it may have acted on the message"
                               : "; it has not seen the message";
    a2a_fault_set(fault, ask_error(answer->err), "agent %s %.145s%s", ask->agent->gate->id,
                  answer->why, end);
}

static const char *advice(const struct agent *a, int status)
{
    switch (status) {
    case 401:
    case 403:
        return a->settings->spec.bearer.p
                   ? ": it refused the gateway's credentials; check the agent's bearer"
                   : ": it wants credentials and the gateway has none; set the agent's bearer";
    case 404:
    case 405:
        return ": check the path of the agent's url, or set endpoint";
    default:
        return status / 100 == 3 ? ": redirects are not followed; register the url it points to"
                                 : "";
    }
}

/* An HTTP answer that carries no JSON-RPC reply of ours. */
static void set_http_error(const struct ask *ask, const struct egress_answer *answer,
                           struct a2a_fault *fault)
{
    struct str after = http_head_get(answer->head, STR("retry-after"));
    uint64_t seconds;

    a2a_fault_set(fault, A2A_ERROR_AGENT_FAILED, "agent %s answered HTTP %d%s",
                  ask->agent->gate->id, answer->status, advice(ask->agent, answer->status));
    if (after.p && str_to_u64(after, &seconds) == 0 && seconds <= RETRY_AFTER_MAX_S)
        fault->retry_after_s = (unsigned)seconds;
}

/* 0 and *reply, or a negative and *fault. */
static int understand(const struct ask *ask, const struct egress_answer *answer,
                      struct a2a_reply *reply, struct a2a_fault *fault)
{
    struct a2a_fault inner = {0};
    int err;

    if (answer->err) {
        set_no_answer(ask, answer, fault);
        return answer->err;
    }
    err =
        a2a_reply_read(answer->body, ask->agent->version, ask->method, ask->id, reply, &inner);
    if (err && answer->status != 200)
        set_http_error(ask, answer, fault);
    else if (err)
        a2a_fault_set(fault, inner.error, "agent %s: %.170s", ask->agent->gate->id,
                      inner.detail);
    return err;
}

/* --- what was not understood -------------------------------------------------------------------- */

static bool is_not_understood(const struct egress_answer *answer, int err,
                              const struct a2a_reply *reply)
{
    if (!err)
        return reply->kind == A2A_REPLY_ERROR &&
               (reply->error_code == CODE_VERSION || reply->error_code == CODE_METHOD);
    return answer->err == 0 && (answer->status == 404 || answer->status == 405);
}

/* The card was fetched again. Without news the refusal stands. */
static void on_refreshed(struct card_wait *w)
{
    struct ask *ask = CONTAINER_OF(w, struct ask, wait);
    struct agent *newer;
    struct a2a_reply reply = {0};
    struct a2a_fault fault = {0};
    int err;

    BUG_ON(ask->magic != ASK_MAGIC);
    newer = agent_latest(ask->agent);
    if (!card_is_canceled(ask->agent->card) && !agent_is_called_alike(newer, ask->agent)) {
        go_on(ask, newer);
        return;
    }
    agent_unref(newer);
    card_taught_nothing(ask->agent->card);
    if (!ask->refusal) {
        finish(ask, NULL, &ask->refusal_fault);
        return;
    }
    err = a2a_reply_read(blob_str(ask->refusal), ask->agent->version, ask->method, ask->id,
                         &reply, &fault);
    BUG_ON(err); /* it was read before */
    finish(ask, &reply, NULL);
}

/* Another ask's refusal may have brought the news already. Returns whether the ask went on with it. */
static bool has_moved_on(struct ask *ask)
{
    struct agent *newer = agent_latest(ask->agent);

    if (agent_is_called_alike(newer, ask->agent)) {
        agent_unref(newer);
        return false;
    }
    ask->has_refreshed = true;
    go_on(ask, newer);
    return true;
}

/* Whether the answer is not the last word: it is kept until the card was looked at, or the ask has gone
 * on. */
static bool put_off(struct ask *ask, const struct egress_answer *answer, int err,
                    const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    if (ask->has_refreshed || !hangs_on_card(ask->agent) ||
        !is_not_understood(answer, err, reply))
        return false;
    if (has_moved_on(ask))
        return true;
    if (!card_may_teach(ask->agent->card))
        return false;
    if (err) {
        ask->refusal_fault = *fault;
    } else {
        ask->refusal = blob_new(answer->body);
        if (!ask->refusal)
            return false;
    }
    ask->has_refreshed = true;
    ask->wait.fn = on_refreshed;
    card_wait(ask->agent->card, &ask->wait);
    return true;
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct ask *ask = arg;
    struct a2a_reply reply = {0};
    struct a2a_fault fault = {0};
    struct buf extensions;
    int err;

    BUG_ON(ask->magic != ASK_MAGIC);
    err = understand(ask, answer, &reply, &fault);
    if (put_off(ask, answer, err, &reply, &fault))
        return;
    if (err) {
        finish(ask, NULL, &fault);
        return;
    }
    CRASH_POINT(reply_received);
    buf_init(&extensions, EXTENSIONS_MAX);
    header_join_extensions(&extensions, answer->head->headers, answer->head->n_headers);
    /* A list that is cut or garbled says something else than the agent did. */
    if (extensions.n && !buf_error(&extensions) && http_is_header_value(buf_str(&extensions)))
        ask->extensions = buf_str(&extensions);
    finish(ask, &reply, NULL);
    buf_release(&extensions);
}
