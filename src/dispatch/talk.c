/* SPDX-License-Identifier: MIT
 *
 * How an agent is spoken to: a request written in its words and sent, an answer understood. Asks and streams are built on
 * it; what they do with the answer is theirs.
 *
 * "Not understood" is what cannot have had an effect: -32009 (version), -32601 (method), and HTTP 404 or
 * 405 without a JSON-RPC answer (nobody there speaks A2A). Anything else might have been acted upon and is
 * never sent again.
 *
 * What went wrong is told in the words of a person who has to find out why: which agent, what it did, and for
 * sends whether it may have acted on the message. An agent's own JSON-RPC error is not a fault but a reply,
 * whatever HTTP status it came with: several servers answer errors with 4xx and 5xx.
 */
#include "dispatch/dispatch_int.h"

#include "lib/mem.h"

/* Memory of the body buffer that is kept from call to call. */
#define BODY_KEEP KB(64)
/* A Retry-After beyond a day is not advice. */
#define RETRY_AFTER_MAX_S 86400u
/* What an agent is given at most for a word on a task, and for an end to it. */
#define GET_TIMEOUT_MS 10000u
#define CANCEL_TIMEOUT_MS 30000u
/* JSON-RPC errors of an agent that did not understand. */
#define CODE_VERSION (-32009)
#define CODE_METHOD (-32601)

void talk_init(struct talk *t, struct dispatch *d, struct agent *a, enum a2a_method method)
{
    *t = (struct talk){.dispatch = d, .agent = agent_ref(a), .method = method};
}

void talk_release(struct talk *t)
{
    agent_unref(t->agent);
    mem_free(t->task_id);
}

/* --- saying --------------------------------------------------------------------------------------- */

/* Writes the request in the agent's words into the dispatch's buffer. */
static int write_request(struct talk *t, const char **why)
{
    struct buf *body = &t->dispatch->body;
    struct a2a_upstream to = {.version = t->agent->version,
                              .tenant = str_of(t->agent->tenant),
                              .drop_context = t->context.drop,
                              .saying = t->saying};

    t->id = ++t->dispatch->next_id;
    buf_clear(body);
    if (!t->has_request) {
        a2a_request_write_task(body, &to, t->method, t->id, str_of(t->task_id));
        return buf_error(body);
    }
    /* Only 0.3 promises its callers a context; only 1.0 agents may leave it out. */
    t->has_added_context =
        t->context.add.p && to.version == A2A_1_0 && t->request.version == A2A_0_3;
    if (t->has_added_context)
        to.add_context = t->context.add;
    return a2a_request_write(body, &to, t->id, &t->request, why);
}

/* The caller's headers; the name of one of them hangs on the agent's version, which a card may have changed. */
static size_t list_headers(const struct talk *t,
                           struct egress_header out[DISPATCH_HEADERS_MAX + 1])
{
    const struct dispatch_context *context = &t->context;
    size_t n = 0;

    BUG_ON(context->n_headers > DISPATCH_HEADERS_MAX);
    for (; n < context->n_headers; n++)
        out[n] = context->headers[n];
    if (context->extensions.p)
        out[n++] =
            (struct egress_header){header_extensions(t->agent->version), context->extensions};
    return n;
}

/* An agent may take minutes for a message. It needs none to say how a task is, or to stop it, and somebody
 * waits for that. */
static uint64_t patience_ms(const struct talk *t)
{
    uint64_t ms = t->agent->settings->spec.timeout_ms, most = ms;

    if (t->method == A2A_GET || t->method == A2A_SUBSCRIBE)
        most = GET_TIMEOUT_MS;
    else if (t->method == A2A_CANCEL)
        most = CANCEL_TIMEOUT_MS;
    return ms < most ? ms : most;
}

int talk_start(struct talk *t, struct egress_call *call, egress_fn fn, void *arg,
               struct egress_request **out, const char **why)
{
    struct dispatch *d = t->dispatch;
    struct egress_header headers[DISPATCH_HEADERS_MAX + 2];
    int err = write_request(t, why);

    call->verb = "POST";
    call->endpoint = t->agent->endpoint;
    call->headers = headers;
    call->n_headers = list_headers(t, headers);
    if (call->stream)
        headers[call->n_headers++] =
            (struct egress_header){"Accept", STR("text/event-stream, application/json")};
    call->max_body = LIMIT_AGENT_BODY;
    call->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    call->timeout_ms = patience_ms(t);
    if (!err)
        err = buf_error(&d->body);
    if (!err) {
        t->body = buf_str(&d->body);
        call->parts = &t->body;
        call->n_parts = 1;
        err = egress_start(d->egress, call, fn, arg, out);
        if (err == ERR_INVALID) /* which here would speak of the request */
            err = ERR_TLS;
    }
    buf_shrink(&d->body, BODY_KEEP);
    if (err)
        return err;
    t->agent->gate->calls += !t->was_counted && t->method != A2A_SUBSCRIBE;
    t->was_counted = true;
    return 0;
}

void talk_unstarted(const struct talk *t, int err, const char *why, struct a2a_fault *fault)
{
    if (err == ERR_INVALID && *why)
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "agent %s speaks A2A %s: %s",
                      t->agent->gate->id, a2a_version_text(t->agent->version), why);
    else
        a2a_fault_set(fault, ask_error(err), "agent %s could not be asked: %s",
                      t->agent->gate->id, err_text(err));
}

bool talk_hangs_on_card(const struct talk *t)
{
    const struct agent *a = t->agent;

    return !a->settings->spec.endpoint.p || !a->settings->spec.has_version;
}

/* --- understanding -------------------------------------------------------------------------------- */

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
void talk_no_answer(const struct talk *t, const struct egress_answer *answer,
                    struct a2a_fault *fault)
{
    const char *end = "";

    if (t->method == A2A_SEND || t->method == A2A_STREAM)
        end = answer->was_sent ? "; it may have acted on the message"
                               : "; it has not seen the message";
    a2a_fault_set(fault, ask_error(answer->err), "agent %s %.145s%s", t->agent->gate->id,
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
static void set_http_error(const struct talk *t, const struct egress_answer *answer,
                           struct a2a_fault *fault)
{
    struct str after = http_head_get(answer->head, STR("retry-after"));
    uint64_t seconds;

    a2a_fault_set(fault, A2A_ERROR_AGENT_FAILED, "agent %s answered HTTP %d%s",
                  t->agent->gate->id, answer->status, advice(t->agent, answer->status));
    if (after.p && str_to_u64(after, &seconds) == 0 && seconds <= RETRY_AFTER_MAX_S)
        fault->retry_after_s = (unsigned)seconds;
}

/* 0 and *reply, or a negative and *fault. */
int talk_understand(const struct talk *t, const struct egress_answer *answer,
                    struct a2a_reply *reply, struct a2a_fault *fault)
{
    struct a2a_fault inner = {0};
    int err;

    if (answer->err) {
        talk_no_answer(t, answer, fault);
        return answer->err;
    }
    err = a2a_reply_read(answer->body, t->agent->version, t->method, t->id, reply, &inner);
    if (err && answer->status != 200)
        set_http_error(t, answer, fault);
    else if (err)
        a2a_fault_set(fault, inner.error, "agent %s: %.170s", t->agent->gate->id, inner.detail);
    return err;
}

bool talk_is_not_understood(const struct egress_answer *answer, int err,
                            const struct a2a_reply *reply)
{
    if (!err)
        return reply->kind == A2A_REPLY_ERROR &&
               (reply->error_code == CODE_VERSION || reply->error_code == CODE_METHOD);
    return answer->err == 0 && (answer->status == 404 || answer->status == 405);
}

struct str talk_extensions(struct buf *out, const struct http_head *head)
{
    header_join_extensions(out, head->headers, head->n_headers);
    /* A list that is cut or garbled says something else than the agent did. */
    if (out->n && !buf_error(out) && http_is_header_value(buf_str(out)))
        return buf_str(out);
    return STR_NONE;
}
