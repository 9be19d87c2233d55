/* SPDX-License-Identifier: MIT
 *
 * Which surface a path belongs to, and the life of a pending request.
 *
 *     POST /agents/{id}[/]   A2A over JSON-RPC with that agent      jsonrpc.c
 *     POST /rpc              the gateway's own methods              rpc.c
 *     GET  pages             /, /health, ... : whoever offers them
 *
 * Never a redirect: A2A clients do not follow them. Rooms that later releases fill (agent cards, HTTP+JSON) are
 * named here and answer that they are empty.
 */
#include "binding/binding_int.h"

#include "lib/crash.h"
#include "lib/mem.h"

#define PENDING_IDLE_MAX 256
#define OUT_KEEP KB(64) /* scratch memory kept between answers */

struct binding *binding_new(struct calls *calls)
{
    struct binding *b = MEM_NEW(struct binding);

    b->calls = calls;
    list_init(&b->idle);
    buf_init(&b->out, 2 * LIMIT_TASK_BYTES);
    buf_init(&b->tail, KB(1));
    return b;
}

void binding_free(struct binding *b)
{
    if (!b)
        return;
    LIST_EACH_SAFE (it, &b->idle) {
        mem_free(CONTAINER_OF(it, struct pending, link));
    }
    buf_release(&b->out);
    buf_release(&b->tail);
    mem_free(b);
}

void binding_add_page(struct binding *b, const char *path, binding_page_fn fn, void *arg)
{
    BUG_ON(b->n_pages == BINDING_PAGES);
    b->pages[b->n_pages++] = (struct page){path, fn, arg};
}

/* --- routing --- */

static const struct page *find_page(const struct binding *b, struct str path)
{
    for (size_t i = 0; i < b->n_pages; i++)
        if (str_is(path, str_of(b->pages[i].path)))
            return &b->pages[i];
    return NULL;
}

static void answer_wrong_verb(struct exchange *x, const char *allowed)
{
    struct exchange_header allow = {"allow", str_of(allowed)};
    struct str text = str_of("This path takes another method; see the Allow header.\n");

    exchange_answer(x, 405, "text/plain; charset=utf-8", &allow, 1, &text, 1);
}

static void answer_not_found(struct exchange *x)
{
    exchange_answer_text(
        x, 404,
        "Nothing here. A2A agents are at POST /agents/{id}; GET / shows what is running.");
}

static void route_agent(struct binding *b, struct exchange *x, struct str rest)
{
    struct str id = str_cut(&rest, '/');

    if (rest.p && rest.n > 0) {
        if (str_has_prefix(rest, STR(".well-known/")))
            exchange_answer_text(x, 501, "Agent cards are not built yet in this release.");
        else
            exchange_answer_text(x, 501,
                                 "The HTTP+JSON binding is not built yet in this release; "
                                 "use JSON-RPC: POST /agents/{id}.");
        return;
    }
    if (exchange_head(x)->verb != HTTP_VERB_POST) {
        answer_wrong_verb(x, "POST");
        return;
    }
    jsonrpc_on_request(b, x, id);
}

void binding_on_request(struct exchange *x, void *arg)
{
    struct binding *b = arg;
    const struct http_head *head = exchange_head(x);
    const struct page *page;

    if (str_has_prefix(head->path, STR("/agents/"))) {
        route_agent(b, x, str_make(head->path.p + 8, head->path.n - 8));
        return;
    }
    if (str_is(head->path, STR("/rpc"))) {
        if (head->verb == HTTP_VERB_POST)
            rpc_on_request(b, x);
        else
            answer_wrong_verb(x, "POST");
        return;
    }
    page = find_page(b, head->path);
    if (!page)
        answer_not_found(x);
    else if (head->verb != HTTP_VERB_GET && head->verb != HTTP_VERB_HEAD)
        answer_wrong_verb(x, "GET, HEAD");
    else
        page->fn(x, page->arg);
}

/* --- admission --- */

/* application/json, application/a2a+json, anything/anything+json, with or without parameters. */
static bool is_json_type(struct str content_type)
{
    struct str type = str_trim(str_cut(&content_type, ';'));

    if (str_is_nocase(type, STR("application/json")))
        return true;
    return type.n > 5 && str_is_nocase(str_make(type.p + type.n - 5, 5), STR("+json"));
}

bool admit_json_post(struct binding *b, struct exchange *x)
{
    struct str type = http_head_get(exchange_head(x), STR("content-type"));
    struct a2a_request nobody = {.version = A2A_0_3, .id = STR("null")};
    struct a2a_fault fault;

    if (!type.p || str_is(type, STR("application/json")) || is_json_type(type))
        return true;
    a2a_fault_set(&fault, A2A_ERROR_CONTENT_TYPE,
                  "send the request with Content-Type: application/json (it came as \"%.*s\")",
                  type.n > 80 ? 80 : (int)type.n, type.p);
    answer_fault(b, x, &nobody, &fault);
    return false;
}

/* --- pending requests --- */

struct pending *pending_new(struct binding *b, struct exchange *x,
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
    p->write_rows = NULL;
    p->request = (struct a2a_request){.method = request->method,
                                      .version = request->version,
                                      .has_history_length = request->has_history_length,
                                      .history_length = request->history_length};
    BUG_ON(request->id.n > sizeof p->id);
    memcpy(p->id, request->id.p, request->id.n);
    p->request.id = str_make(p->id, request->id.n);
    return p;
}

void pending_free(struct pending *p)
{
    struct binding *b = p->binding;

    if (b->n_idle >= PENDING_IDLE_MAX) {
        mem_free(p);
        return;
    }
    list_prepend(&b->idle, &p->link);
    b->n_idle++;
}

static void on_gone(void *arg)
{
    struct pending *p = arg;

    p->exchange = NULL;
    call_detach(p->call);
    pending_free(p);
}

static void send_bytes(struct binding *b, struct exchange *x, int status,
                       const struct a2a_fault *fault, struct str middle)
{
    struct str parts[3] = {buf_str(&b->out), middle, buf_str(&b->tail)};
    struct exchange_header header = {"retry-after", STR_NONE};
    char seconds[16];

    /* Half an answer must not look like one. */
    if (buf_error(&b->out) || buf_error(&b->tail)) {
        buf_shrink(&b->out, OUT_KEEP);
        buf_clear(&b->tail);
        exchange_answer_text(x, 500, "The answer is too large for the gateway's memory.");
        return;
    }
    if (fault && fault->retry_after_s && status == 503) {
        snprintf(seconds, sizeof seconds, "%u", fault->retry_after_s);
        header.value = str_of(seconds);
    }
    CRASH_POINT(answer_queued);
    exchange_answer(x, status, "application/json", &header, header.value.p != NULL, parts, 3);
    CRASH_POINT(answer_written);
    buf_shrink(&b->out, OUT_KEEP);
    buf_clear(&b->tail);
}

void answer_fault(struct binding *b, struct exchange *x, const struct a2a_request *request,
                  const struct a2a_fault *fault)
{
    a2a_error_write(&b->out, request->version, request->id, fault);
    send_bytes(b, x, a2a_fault_jsonrpc_http(fault), fault, STR(""));
}

static void on_answer(void *arg, const struct call_answer *answer)
{
    struct pending *p = arg;
    struct binding *b = p->binding;
    int64_t history = p->request.has_history_length ? p->request.history_length : -1;

    if (answer->fault) {
        answer_fault(b, p->exchange, &p->request, answer->fault);
    } else if (p->write_rows) {
        p->write_rows(&b->out, p, answer);
        send_bytes(b, p->exchange, 200, NULL, STR(""));
    } else if (a2a_result_frame(&b->out, &b->tail, &p->request, answer->kind, history)) {
        send_bytes(b, p->exchange, 200, NULL, answer->object);
    } else {
        a2a_result_write(&b->out, &p->request, answer->kind, answer->object, history);
        send_bytes(b, p->exchange, 200, NULL, STR(""));
    }
    pending_free(p);
}

void pending_start(struct pending *p, const struct call_request *request)
{
    struct call *call = NULL;

    if (call_start(p->binding->calls, request, on_answer, p, &call) == CALL_ANSWERED)
        return;
    p->call = call;
    exchange_on_gone(p->exchange, on_gone, p);
}
