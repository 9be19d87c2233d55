/* SPDX-License-Identifier: MIT
 *
 * One JSON-RPC operation with an agent: a place, a request, an answer understood.
 *
 *     dispatch_send/get --gate full--> ERR_FULL, nothing was touched
 *          | place taken
 *          v
 *      on_answer() --> place given back --> understood --> the callback, once --> freed
 *
 * An ask cannot be called off: a caller who hangs up changes nothing, the answer is still awaited.
 *
 * What went wrong is told in the words of a person who has to find out why: which agent, what it did, and for
 * sends whether it may have acted on the message. An agent's own JSON-RPC error is not a fault but a reply,
 * whatever HTTP status it came with: several servers answer errors with 4xx and 5xx.
 */
#include "dispatch/dispatch_int.h"

#include "lib/crash.h"
#include "lib/mem.h"

#define ASK_MAGIC 0xa5c00003u
#define CONNECT_TIMEOUT_MS 5000u
/* Memory of the body buffer that is kept from call to call. */
#define BODY_KEEP KB(64)
/* A Retry-After beyond a day is not advice. */
#define RETRY_AFTER_MAX_S 86400u

struct ask {
    unsigned magic;
    struct agent *agent; /* counted; a place is taken in it until the answer */
    enum a2a_method method;
    uint64_t id; /* of the JSON-RPC request */
    dispatch_fn fn;
    void *arg;
};

static void on_answer(void *arg, const struct egress_answer *answer);

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

/* --- asking ------------------------------------------------------------------------------------- */

/* Sends what stands in d->body. */
static int start(struct dispatch *d, struct agent *a, enum a2a_method method, dispatch_fn fn,
                 void *arg, struct ask **out)
{
    struct str body = buf_str(&d->body);
    const struct egress_call call = {
        .verb = "POST",
        .endpoint = a->endpoint,
        .parts = &body,
        .n_parts = 1,
        .once = method == A2A_SEND,
        .max_body = LIMIT_AGENT_BODY,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = a->timeout_ms,
    };
    struct egress_request *request;
    struct ask *ask = MEM_NEW(struct ask);
    int err;

    ask->magic = ASK_MAGIC;
    ask->agent = agent_ref(a);
    ask->method = method;
    ask->id = d->next_id;
    ask->fn = fn;
    ask->arg = arg;
    err = egress_start(d->egress, &call, on_answer, ask, &request);
    if (err) {
        agent_unref(a);
        mem_free(ask);
        return err;
    }
    a->gate->calls++;
    *out = ask;
    return 0;
}

/* Sends what stands in d->body, if it could be written; else gives the place back. */
static int finish(struct dispatch *d, struct agent *a, enum a2a_method method, dispatch_fn fn,
                  void *arg, struct ask **out)
{
    int err = buf_error(&d->body);

    if (!err)
        err = start(d, a, method, fn, arg, out);
    buf_shrink(&d->body, BODY_KEEP);
    if (err)
        give_place(a);
    return err;
}

int dispatch_send(struct dispatch *d, struct agent *a, const struct a2a_request *request,
                  dispatch_fn fn, void *arg, struct ask **out)
{
    int err = take_place(a);

    if (err)
        return err;
    a2a_request_write(&d->body, a->version, request->method, ++d->next_id, request);
    return finish(d, a, request->method, fn, arg, out);
}

int dispatch_get(struct dispatch *d, struct agent *a, struct str task_id, dispatch_fn fn,
                 void *arg, struct ask **out)
{
    int err = take_place(a);

    if (err)
        return err;
    a2a_request_write_get(&d->body, a->version, ++d->next_id, task_id);
    return finish(d, a, A2A_GET, fn, arg, out);
}

/* --- understanding ------------------------------------------------------------------------------ */

static enum a2a_error error_of(int err)
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
    a2a_fault_set(fault, error_of(answer->err), "agent %s %.130s%s", ask->agent->gate->id,
                  answer->why, end);
}

static const char *advice(const struct agent *a, int status)
{
    switch (status) {
    case 401:
    case 403:
        return a->bearer
                   ? ": it refused the gateway's credentials; check the agent's bearer"
                   : ": it wants credentials and the gateway has none; set the agent's bearer";
    case 404:
    case 405:
        return ": check the path of the agent's url";
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

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct ask *ask = arg;
    struct agent *a = ask->agent;
    struct a2a_reply reply = {0};
    struct a2a_fault fault = {0};
    int err;

    BUG_ON(ask->magic != ASK_MAGIC);
    give_place(a);
    err = understand(ask, answer, &reply, &fault);
    if (!err)
        CRASH_POINT(reply_received);
    else if (a2a_error_row(fault.error)->blame == A2A_BLAME_AGENT)
        a->gate->failures++;
    ask->fn(ask->arg, err ? NULL : &reply, err ? &fault : NULL);
    ask->magic = 0;
    mem_free(ask);
    agent_unref(a);
}
