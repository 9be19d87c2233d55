/* SPDX-License-Identifier: MIT
 *
 * The life of a request between its arrival and its answer, JSON-RPC.
 *
 *     pending_new --> pending_start        --> on_answer --> bytes, freed
 *                 |        caller gone: detached from the call, freed; the call goes on
 *                 --> pending_start_admin  --> on_admin  --> bytes, freed
 *                          caller gone: stays until the answer, which is dropped
 *
 * Answers are written into the binding's two scratch buffers and leave at once, so one pair serves all. An object
 * that is told as it is stored is never copied: it goes out between head and tail. What cannot be said in the
 * caller's version becomes an error, and in a list, whose other tasks are fine, its summary; half an answer never leaves.
 */
#include <stdio.h>

#include "binding/binding_int.h"
#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PENDING_IDLE_MAX 256
#define OUT_KEEP KB(64) /* scratch memory kept between answers */

struct pending *pending_new(struct binding *b, struct exchange *x, enum surface surface,
                            const struct a2a_request *request)
{
    struct list *first = list_first(&b->idle);
    struct pending *p;

    if (first) {
        list_remove(first);
        b->n_idle--;
        p = CONTAINER_OF(first, struct pending, link);
    } else {
        p = MEM_NEW(struct pending);
        list_init(&p->link);
    }
    p->binding = b;
    p->exchange = x;
    p->call = NULL;
    p->surface = surface;
    p->want_summaries = false;
    p->request = (struct a2a_request){.method = request->method,
                                      .version = request->version,
                                      .has_history_length = request->has_history_length,
                                      .history_length = request->history_length};
    p->request.list.include_artifacts = request->list.include_artifacts;
    BUG_ON(request->id.n > sizeof p->id);
    memcpy(p->id, request->id.p, request->id.n);
    p->request.id = str_make(p->id, request->id.n);
    return p;
}

static void pending_free(struct pending *p)
{
    struct binding *b = p->binding;

    if (b->n_idle >= PENDING_IDLE_MAX) {
        mem_free(p);
        return;
    }
    list_prepend(&b->idle, &p->link);
    b->n_idle++;
}

void pending_free_idle(struct binding *b)
{
    LIST_EACH_SAFE (it, &b->idle) {
        mem_free(CONTAINER_OF(it, struct pending, link));
    }
    list_init(&b->idle);
    b->n_idle = 0;
}

static void on_gone(void *arg)
{
    struct pending *p = arg;

    p->exchange = NULL;
    if (!p->call) /* an admin method: its answer will come and find nobody */
        return;
    call_detach(p->call);
    pending_free(p);
}

/* --- bytes --- */

/* What goes with the status of a fault: when to come back, or how to prove who one is. */
static size_t fault_headers(const struct a2a_fault *fault, int status, char seconds[16],
                            struct exchange_header headers[2])
{
    size_t n = 0;

    if (fault->retry_after_s && status == 503) {
        snprintf(seconds, 16, "%u", fault->retry_after_s);
        headers[n++] = (struct exchange_header){"retry-after", str_of(seconds)};
    }
    if (status == 401)
        headers[n++] =
            (struct exchange_header){"www-authenticate", STR("Bearer realm=\"superx\"")};
    return n;
}

static void send_bytes(struct binding *b, struct exchange *x, int status,
                       const struct exchange_header *headers, size_t n_headers,
                       struct str middle)
{
    struct str parts[3] = {buf_str(&b->out), middle, buf_str(&b->tail)};

    /* Half an answer must not look like one. */
    if (buf_error(&b->out) || buf_error(&b->tail)) {
        buf_shrink(&b->out, OUT_KEEP);
        buf_clear(&b->tail);
        exchange_answer_text(x, 500, "The answer is too large for the gateway's memory.");
        return;
    }
    CRASH_POINT(answer_queued);
    exchange_answer(x, status, "application/json", headers, n_headers, parts, 3);
    CRASH_POINT(answer_written);
    buf_shrink(&b->out, OUT_KEEP);
    buf_clear(&b->tail);
}

/* On /rpc who may not is told so by HTTP as well: clients and proxies act on these two statuses. Everything else as on
 * the A2A surface, or, as scripts of the first SuperX expect, 400. */
static int fault_status(const struct binding *b, enum surface surface,
                        const struct a2a_fault *fault)
{
    if (fault->error == A2A_ERROR_UNAUTHENTICATED || fault->error == A2A_ERROR_FORBIDDEN)
        return a2a_error_row(fault->error)->http;
    if (surface == SURFACE_RPC && b->config.rpc_http_400)
        return 400;
    return a2a_fault_jsonrpc_http(fault);
}

void answer_fault(struct binding *b, struct exchange *x, enum surface surface,
                  const struct a2a_request *request, const struct a2a_fault *fault)
{
    int status = fault_status(b, surface, fault);
    struct exchange_header headers[2];
    char seconds[16];
    size_t n_headers = fault_headers(fault, status, seconds, headers);

    buf_clear(&b->out);
    buf_clear(&b->tail);
    if (surface == SURFACE_RPC)
        a2a_error_write_rpc(&b->out, request->version, request->id, fault);
    else
        a2a_error_write(&b->out, request->version, request->id, fault);
    send_bytes(b, x, status, headers, n_headers, STR(""));
}

/* --- lists --- */

static int write_summary(struct buf *out, const struct pending *p,
                         const struct task_summary *row, const char **why)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_TASK, .from = A2A_0_3, .to = p->request.version};
    struct buf summary;
    int err;

    buf_init(&summary, KB(16));
    a2a_task_write_summary(&summary, row->agent, row->id, row->context, row->state,
                           row->status_at_us);
    err = a2a_translate(out, &t, buf_str(&summary), why);
    buf_release(&summary);
    return err;
}

static int write_row(struct buf *out, const struct pending *p, const struct task_summary *row,
                     const char **why)
{
    struct a2a_result result = {.kind = A2A_REPLY_TASK,
                                .version = row->dialect,
                                .object = row->doc,
                                .context = row->context};

    if (p->want_summaries)
        return write_summary(out, p, row, why);
    return a2a_result_write_listed(out, &p->request, &result, why);
}

/* What is known of a task without its document, which can be said in either version. 1.0 has no agentId. */
static void write_stub(struct buf *out, enum a2a_version version,
                       const struct task_summary *row)
{
    char when[CLOCK_TEXT + 1];

    if (version == A2A_0_3) {
        a2a_task_write_summary(out, row->agent, row->id, row->context, row->state,
                               row->status_at_us);
        return;
    }
    clock_format(row->status_at_us, when);
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, row->id);
    if (row->context.p) {
        BUF_LIT(out, ",\"contextId\":");
        json_write_string(out, row->context);
    }
    buf_printf(out, ",\"status\":{\"state\":\"%s\",\"timestamp\":\"%s\"}}",
               a2a_state_name(row->state, A2A_1_0), when);
}

/* One task that cannot be said must not hide the others of its page. */
static void write_list_rows(struct buf *out, const struct pending *p,
                            const struct call_answer *answer)
{
    const struct task_summary *unsaid = NULL;
    const char *why = "", *unsaid_why = "";
    size_t n_unsaid = 0;

    for (size_t i = 0; i < answer->n_rows && !buf_error(out); i++) {
        const struct task_summary *row = &answer->rows[i];
        size_t start;

        if (i)
            buf_add_char(out, ',');
        start = out->n;
        /* With a buffer that is full there is nothing to mend: send_bytes() sees it. */
        if (!write_row(out, p, row, &why) || buf_error(out))
            continue;
        out->n = start;
        write_stub(out, p->request.version, row);
        if (n_unsaid++ == 0) {
            unsaid = row;
            unsaid_why = why;
        }
    }
    if (unsaid)
        log_event(LOG_WARN, "tasks cannot be told in the caller's version, listed as summaries",
                  LOG_U64("tasks", n_unsaid), LOG_STR("first", unsaid->id),
                  LOG_STR("agent", unsaid->agent),
                  LOG_Z("version", a2a_version_text(p->request.version)),
                  LOG_Z("why", unsaid_why));
}

/* {tasks, nextPageToken, pageSize, totalSize}: the same in both versions; 0.3 has no list over JSON-RPC, so its
 * answer borrows 1.0's frame. pageSize is how many there are. */
static void write_list(struct buf *out, const struct pending *p,
                       const struct call_answer *answer)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, p->request.id);
    BUF_LIT(out, ",\"result\":{\"tasks\":[");
    write_list_rows(out, p, answer);
    BUF_LIT(out, "],\"nextPageToken\":");
    json_write_string(out, answer->next.p ? answer->next : STR(""));
    BUF_LIT(out, ",\"pageSize\":");
    buf_add_u64(out, answer->n_rows);
    BUF_LIT(out, ",\"totalSize\":");
    buf_add_u64(out, answer->total);
    BUF_LIT(out, "}}");
}

/* --- answers --- */

static void set_untold(const struct pending *p, const struct call_answer *answer,
                       const char *why, struct a2a_fault *fault)
{
    struct str id = json_get(answer->result.object, "id"); /* raw; a message has none */

    a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                  "the agent's answer%s%.*s cannot be told in A2A %s: %s",
                  id.p ? ", task " : "", id.n > 66 ? 66 : (int)id.n, id.p ? id.p : "",
                  a2a_version_text(p->request.version), why);
}

static int write_result(struct buf *out, const struct pending *p,
                        const struct call_answer *answer, struct a2a_fault *fault)
{
    const char *why = "";

    if (p->request.method == A2A_LIST) {
        write_list(out, p, answer);
        return 0;
    }
    if (!a2a_result_write(out, &p->request, &answer->result, &why))
        return 0;
    set_untold(p, answer, why, fault);
    return ERR_INVALID;
}

/* Whether the answer is a stream's, and has been given. */
static bool answer_stream(struct pending *p, const struct call_answer *answer)
{
    const char *why = "";
    struct a2a_fault fault;

    if (answer->fault ||
        (p->request.method != A2A_STREAM && p->request.method != A2A_SUBSCRIBE))
        return false;
    if (answer->stream) {
        stream_start(p, answer);
    } else if (stream_answer_message(p, answer, &why)) {
        set_untold(p, answer, why, &fault);
        answer_fault(p->binding, p->exchange, p->surface, &p->request, &fault);
    }
    return true;
}

const char *answer_extensions(enum a2a_version version)
{
    return version == A2A_0_3 ? "x-a2a-extensions" : "a2a-extensions";
}

static void on_answer(void *arg, const struct call_answer *answer)
{
    struct pending *p = arg;
    struct binding *b = p->binding;
    struct exchange_header extensions = {answer_extensions(p->request.version),
                                         answer->extensions};
    size_t n = answer->extensions.p ? 1 : 0;
    struct a2a_fault fault;

    if (answer_stream(p, answer))
        ;
    else if (answer->fault)
        answer_fault(b, p->exchange, p->surface, &p->request, answer->fault);
    else if (p->request.method != A2A_LIST &&
             a2a_result_frame(&b->out, &b->tail, &p->request, &answer->result))
        send_bytes(b, p->exchange, 200, &extensions, n, answer->result.object);
    else if (write_result(&b->out, p, answer, &fault))
        answer_fault(b, p->exchange, p->surface, &p->request, &fault);
    else
        send_bytes(b, p->exchange, 200, &extensions, n, STR(""));
    pending_free(p);
}

/* The caller's headers, in `room`. Who proves himself to the gateway with its own secret has not meant it for an agent
 * that is to get callers' Authorization. */
static void give_headers(const struct pending *p, struct call_request *request,
                         struct http_header room[LIMIT_HTTP_HEADERS])
{
    const struct http_head *head = exchange_head(p->exchange);

    BUG_ON(head->n_headers > LIMIT_HTTP_HEADERS);
    request->headers = room;
    request->n_headers = 0;
    for (size_t i = 0; i < head->n_headers; i++)
        if (!str_is_nocase(head->headers[i].name, STR("authorization")) ||
            !is_admin_token(p->binding, head->headers[i].value))
            room[request->n_headers++] = head->headers[i];
}

void pending_start(struct pending *p, const struct call_request *request)
{
    struct http_header room[LIMIT_HTTP_HEADERS];
    struct call_request whole = *request;
    enum call_progress progress;
    struct call *call = NULL;
    struct buf scratch;

    give_headers(p, &whole, room);
    buf_init(&scratch, LIMIT_HTTP_TARGET);
    whole.last_event_id = last_event_id(exchange_head(p->exchange), &scratch);
    progress = call_start(p->binding->calls, &whole, on_answer, p, &call);
    buf_release(&scratch);
    if (progress == CALL_ANSWERED)
        return;
    p->call = call;
    exchange_on_gone(p->exchange, on_gone, p);
}

static void on_admin(void *arg, const struct a2a_fault *fault, struct str result)
{
    struct pending *p = arg;
    struct binding *b = p->binding;

    if (p->exchange && fault) {
        answer_fault(b, p->exchange, p->surface, &p->request, fault);
    } else if (p->exchange) {
        BUF_LIT(&b->out, "{\"jsonrpc\":\"2.0\",\"id\":");
        buf_add_str(&b->out, p->request.id);
        BUF_LIT(&b->out, ",\"result\":");
        BUF_LIT(&b->tail, "}");
        send_bytes(b, p->exchange, 200, NULL, 0, result);
    }
    pending_free(p);
}

void pending_start_admin(struct pending *p, const struct call_admin_request *request)
{
    /* Before the start, because the answer may come from inside it. */
    exchange_on_gone(p->exchange, on_gone, p);
    call_admin_start(p->binding->calls, request, on_admin, p);
}

bool is_push_method(enum a2a_method method)
{
    return method == A2A_PUSH_SET || method == A2A_PUSH_GET || method == A2A_PUSH_LIST ||
           method == A2A_PUSH_DELETE;
}

void pending_start_push(struct pending *p, const struct call_push_request *request)
{
    exchange_on_gone(p->exchange, on_gone, p);
    call_push_start(p->binding->calls, request, on_admin, p);
}

void pending_start_webhooks(struct pending *p, const struct call_webhooks_request *request)
{
    exchange_on_gone(p->exchange, on_gone, p);
    call_webhooks_start(p->binding->calls, request, on_admin, p);
}
