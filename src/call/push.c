/* SPDX-License-Identifier: MIT
 *
 * Push notification configurations as callers see them: set, get, list, delete (A2A 1.0 section 3.1.7 to 3.1.10).
 *
 *     read -> whose task it is -> (set: url looked up) -> store -> answer
 *                                    ^                      `-- no such task here: its agent is asked once --> store
 *                                    `-- refused: an address that must not be called
 *
 * Agents never hear of them: the gateway is the one that tells. As with agents.* (admin.c) these are no struct call; one
 * in flight is held by whom it waits for, who answers all before he is closed.
 */
#include <stdarg.h>

#include "call/call_int.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define ANSWER_MAX MB(4)

struct push_op {
    struct calls *calls; /* borrowed as long as the gateway lives */
    enum a2a_method method;
    enum a2a_version version;
    bool is_superx;                                   /* of /rpc */
    bool has_asked;                                   /* the agent, for a task unknown here */
    struct str agent, task_id, config_id, request_id; /* arena; absent: not given */
    struct store_push_config config;                  /* SET */
    struct str url;
    uint64_t started_ns;
    call_admin_fn fn;
    void *arg;
    struct arena arena;
};

static void go(struct push_op *op);

/* --- answering ------------------------------------------------------------------------------------ */

static void finish(struct push_op *op, const struct a2a_fault *fault, struct str result)
{
    struct a2a_request request = {.method = op->method, .version = op->version};
    struct call_report report = {.agent = op->agent,
                                 .request_id = op->request_id,
                                 .task_id = op->task_id,
                                 .request = &request,
                                 .fault = fault,
                                 .started_ns = op->started_ns};

    op->fn(op->arg, fault, result);
    call_log(&report);
    arena_release(&op->arena);
    mem_free(op);
}

static void fail(struct push_op *op, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void fail(struct push_op *op, enum a2a_error error, const char *fmt, ...)
{
    struct a2a_fault fault;
    char detail[2 * sizeof fault.detail];
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    a2a_fault_set(&fault, error, "%s", detail);
    if (error == A2A_ERROR_STORE_UNAVAILABLE)
        fault.retry_after_s = 5;
    finish(op, &fault, STR_NONE);
}

static void fail_store(struct push_op *op, int err, const char *why)
{
    if (err == ERR_CANCELED)
        fail(op, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
    else if (err == ERR_INVALID)
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "no task can have that id");
    else if (err == ERR_FULL)
        fail(
            op, A2A_ERROR_INVALID_PARAMS,
            "the task has %u push notification configurations, which is the maximum; delete one",
            PUSH_PER_TASK);
    else
        fail(op, A2A_ERROR_STORE_UNAVAILABLE, "%s", why && *why ? why : err_text(err));
}

static void tell(struct push_op *op, const struct buf *out)
{
    if (buf_error(out))
        fail(op, A2A_ERROR_OVERLOADED, "no memory for an answer of this size");
    else
        finish(op, NULL, buf_str(out));
}

/* --- a task unknown here -------------------------------------------------------------------------- */

static void on_refreshed(void *arg, struct task *task, const struct a2a_fault *fault)
{
    struct push_op *op = arg;

    (void)fault;
    if (task)
        go(op);
    else
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "neither the gateway nor agent %.*s knows it",
             STR_ARG(op->agent));
}

static void ask_agent(struct push_op *op)
{
    struct agent *agent = dispatch_find(op->calls->dispatch, op->agent);

    if (!agent) {
        fail(op, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"", STR_ARG(op->agent));
    } else if (op->has_asked) {
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "the gateway does not know it");
    } else {
        op->has_asked = true;
        if (follow_refresh(op->calls->follow, agent, op->task_id, on_refreshed, op, NULL))
            fail(op, A2A_ERROR_TASK_NOT_FOUND,
                 "the gateway does not know it, and agent %.*s "
                 "cannot be asked now",
                 STR_ARG(op->agent));
    }
}

/* --- set, delete ---------------------------------------------------------------------------------- */

static void on_put(void *arg, int err, const char *why)
{
    struct push_op *op = arg;
    struct buf out;

    if (err == ERR_ABSENT) {
        ask_agent(op);
    } else if (err) {
        fail_store(op, err, why);
    } else {
        buf_init(&out, ANSWER_MAX);
        a2a_push_write(&out, op->version, op->is_superx, op->task_id, op->config.id,
                       op->config.doc);
        tell(op, &out);
        buf_release(&out);
    }
}

static void on_deleted(void *arg, int err, const char *why)
{
    struct push_op *op = arg;

    if (err == ERR_ABSENT)
        ask_agent(op);
    else if (err)
        fail_store(op, err, why);
    else
        finish(op, NULL, op->is_superx ? STR("true") : STR("null"));
}

/* --- get, list ------------------------------------------------------------------------------------ */

/* In the order in which they were registered. */
static const struct store_push **in_order(const struct store_push *rows, size_t n)
{
    const struct store_push **order = mem_zero(n + 1, sizeof *order);

    for (size_t i = 0; i < n; i++) {
        size_t at = i;

        for (; at > 0 && order[at - 1]->created_at_us > rows[i].created_at_us; at--)
            order[at] = order[at - 1];
        order[at] = &rows[i];
    }
    return order;
}

/* Callers in 0.3 name configurations as their SDKs do: not at all, "default", or by the task's id; then the first is
 * meant. */
static bool means_first(const struct push_op *op)
{
    return op->version == A2A_0_3 &&
           (!op->config_id.p || str_is(op->config_id, STR("default")) ||
            str_is(op->config_id, op->task_id));
}

static const struct store_push *pick(const struct push_op *op, const struct store_push **rows,
                                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (op->config_id.p && str_is(rows[i]->config.id, op->config_id))
            return rows[i];
    return n && means_first(op) ? rows[0] : NULL;
}

static void tell_list(struct push_op *op, const struct store_push **rows, size_t n)
{
    bool is_wrapped = op->version == A2A_1_0 && !op->is_superx;
    struct buf out;

    buf_init(&out, ANSWER_MAX);
    buf_add_str(&out, is_wrapped ? STR("{\"configs\":[") : STR("["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&out, ',');
        a2a_push_write(&out, op->version, op->is_superx, op->task_id, rows[i]->config.id,
                       rows[i]->config.doc);
    }
    buf_add_str(&out, is_wrapped ? STR("],\"nextPageToken\":\"\"}") : STR("]"));
    tell(op, &out);
    buf_release(&out);
}

static void delete_picked(struct push_op *op, const struct store_push *row)
{
    struct str id = row ? row->config.id : op->config_id;
    int err;

    if (!id.p) {
        finish(op, NULL, op->is_superx ? STR("true") : STR("null"));
        return;
    }
    err = store_push_delete(op->calls->store, op->agent, op->task_id, id, on_deleted, op);
    if (err == ERR_INVALID) /* no configuration can have that id */
        on_deleted(op, 0, NULL);
    else if (err)
        fail_store(op, err, NULL);
}

static void on_listed(void *arg, int err, const struct store_push *rows, size_t n,
                      const char *why)
{
    struct push_op *op = arg;
    const struct store_push **order, *row;
    struct buf out;

    if (err == ERR_ABSENT) {
        ask_agent(op);
        return;
    }
    if (err) {
        fail_store(op, err, why);
        return;
    }
    order = in_order(rows, n);
    row = pick(op, order, n);
    if (op->method == A2A_PUSH_LIST) {
        tell_list(op, order, n);
    } else if (op->method == A2A_PUSH_DELETE) {
        delete_picked(op, row);
    } else if (!row) {
        fail(op, A2A_ERROR_TASK_NOT_FOUND,
             "the task has no such push notification configuration");
    } else {
        buf_init(&out, ANSWER_MAX);
        a2a_push_write(&out, op->version, op->is_superx, op->task_id, row->config.id,
                       row->config.doc);
        tell(op, &out);
        buf_release(&out);
    }
    mem_free(order);
}

/* Whose agent and task are known. */
static void go(struct push_op *op)
{
    struct store_push_query query = {
        .agent = op->agent, .task_id = op->task_id, .limit = PUSH_ROWS_MAX};
    int err;

    if (op->method == A2A_PUSH_SET)
        err = store_push_put(op->calls->store, op->agent, op->task_id, &op->config, on_put, op);
    else
        err = store_push_list(op->calls->store, &query, on_listed, op);
    if (err)
        fail_store(op, err, NULL);
}

/* --- before that ---------------------------------------------------------------------------------- */

static void on_looked(void *arg, const char *why)
{
    struct push_op *op = arg;

    if (why)
        fail(op, A2A_ERROR_INVALID_PARAMS, "%s", why);
    else
        go(op);
}

static void check_url(struct push_op *op)
{
    struct webhook_look *look;

    if (op->method != A2A_PUSH_SET)
        go(op);
    else if (webhook_look_start(op->calls->config.webhooks, op->url, on_looked, op, &look))
        fail(op, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
}

/* Callers of /rpc need not name the agent. */
static void on_found(void *arg, int err, const struct str *agents, size_t n)
{
    struct push_op *op = arg;

    if (err) {
        fail_store(op, err, store_why(op->calls->store));
    } else if (n == 0) {
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "the gateway does not know it");
    } else if (n > 1) {
        fail(op, A2A_ERROR_INVALID_PARAMS,
             "%zu agents have a task of that id; name one with agentId", n);
    } else {
        op->agent = arena_str(&op->arena, agents[0]);
        check_url(op);
    }
}

static struct str decode(struct push_op *op, struct str raw)
{
    return raw.p ? call_decode_id(&op->arena, raw) : STR_NONE;
}

/* Of 0.3: one that is not named is the task's. */
static void name_after_task(const struct push_op *op, struct a2a_push_params *p)
{
    if (op->version == A2A_0_3 && !p->push.id.p && op->task_id.n <= PUSH_ID_MAX)
        p->push.id = p->task_id;
}

static int take_apart(struct push_op *op, const struct call_push_request *request,
                      struct a2a_fault *fault)
{
    enum push_form form = request->is_superx       ? PUSH_SUPERX
                          : op->version == A2A_1_0 ? PUSH_1_0
                                                   : PUSH_0_3;
    struct str params = arena_str(&op->arena, request->a2a->params);
    struct a2a_push_params p;
    int err = a2a_push_params_read(params, op->method, &p, fault);

    if (err)
        return err;
    op->task_id = decode(op, p.task_id);
    op->config_id = decode(op, p.config_id);
    if (!op->agent.p && p.agent.p)
        op->agent = decode(op, p.agent);
    if (op->agent.p && !agent_id_is_valid(op->agent)) {
        a2a_fault_set(fault, A2A_ERROR_AGENT_NOT_FOUND, "\"%.*s\" cannot be an agent's id",
                      op->agent.n > LIMIT_AGENT_ID ? (int)LIMIT_AGENT_ID : (int)op->agent.n,
                      op->agent.p);
        return ERR_INVALID;
    }
    if (op->method == A2A_PUSH_GET && op->version == A2A_1_0 && !op->config_id.p) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      "params.id (the configuration's) is missing");
        return ERR_INVALID;
    }
    if (op->method != A2A_PUSH_SET)
        return 0;
    name_after_task(op, &p);
    op->url = decode(op, p.push.url);
    return webhook_make(op->calls->config.webhooks, &p.push, form, &op->arena, &op->config,
                        fault);
}

void call_push_start(struct calls *calls, const struct call_push_request *request,
                     call_admin_fn fn, void *arg)
{
    struct push_op *op = MEM_NEW(struct push_op);
    struct a2a_fault fault = {0};

    arena_init(&op->arena, 2 * LIMIT_REQUEST_BODY);
    op->calls = calls;
    op->method = request->a2a->method;
    op->version = request->a2a->version;
    op->is_superx = request->is_superx;
    op->agent = arena_str(&op->arena, request->agent);
    op->request_id = arena_str(&op->arena, request->request_id);
    op->started_ns = clock_mono_ns();
    op->fn = fn;
    op->arg = arg;
    if (calls->on_idle)
        fail(op, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
    else if (!calls->config.webhooks)
        fail(op, A2A_ERROR_PUSH_NOT_SUPPORTED, "this gateway has no webhooks");
    else if (take_apart(op, request, &fault))
        finish(op, &fault, STR_NONE);
    else if (!op->task_id.p)
        fail(op, A2A_ERROR_TASK_NOT_FOUND, "no task can have that id");
    else if (op->agent.p)
        check_url(op);
    else if (store_task_find(calls->store, op->task_id, on_found, op))
        fail(op, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
}

/* --- webhooks that come with a message ------------------------------------------------------------ */

static void on_send_looked(void *arg, const char *why)
{
    struct call *c = arg;

    c->look = NULL;
    if (why)
        call_fail(c, A2A_ERROR_INVALID_PARAMS, "%s", why);
    else
        c->step = c->task_id.p ? CALL_SEND_LOOK : CALL_SEND_ASK;
    call_step(c);
}

enum call_flow send_push(struct call *c)
{
    struct webhooks *webhooks = c->calls->config.webhooks;
    enum push_form form = c->is_superx                  ? PUSH_SUPERX
                          : c->request.shape == A2A_1_0 ? PUSH_1_0
                                                        : PUSH_0_3;
    struct a2a_fault fault = {0};
    struct a2a_push push;
    struct str url;

    if (!webhooks)
        return call_fail(c, A2A_ERROR_PUSH_NOT_SUPPORTED, "this gateway has no webhooks");
    if (a2a_push_read(c->request.push_config, &push, &fault) ||
        webhook_make(webhooks, &push, form, &c->arena, &c->push, &fault))
        return call_fail_with(c, &fault);
    c->has_push = true;
    url = call_decode_id(&c->arena, push.url);
    if (!url.p || webhook_look_start(webhooks, url, on_send_looked, c, &c->look))
        return call_fail_closing(c);
    return CALL_WAIT;
}

static void on_noted(void *arg, int err, const char *why)
{
    struct call *c = arg;

    if (err)
        call_fail(
            c, A2A_ERROR_STORE_UNAVAILABLE,
            "the agent has answered, but its message could not be kept for the webhook: %s",
            why ? why : err_text(err));
    else
        call_succeed(c);
    call_step(c);
}

/* A message is no task's: it is kept for its webhook before it is told. Only the first SuperX's callers expect that; in
 * A2A a configuration is a task's. */
bool call_wants_note(const struct call *c)
{
    return c->has_push && c->is_superx;
}

enum call_flow send_note(struct call *c)
{
    struct a2a_reply *copy = arena_take(&c->arena, sizeof *copy);
    struct store_push_note note = {
        .agent = c->agent_id, .config = c->push, .dialect = c->spoken};
    struct str object = arena_str(&c->arena, c->reply->object);

    if (!copy || !object.p)
        return call_fail(
            c, A2A_ERROR_OVERLOADED,
            "the agent has answered, but there is no memory to keep its message for "
            "the webhook");
    *copy = *c->reply;
    copy->object = note.payload = object;
    c->reply = copy;
    return store_push_note(c->calls->store, &note, on_noted, c) ? call_fail_closing(c)
                                                                : CALL_WAIT;
}
