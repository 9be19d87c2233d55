/* SPDX-License-Identifier: MIT
 *
 * Which surface a path belongs to.
 *
 *     POST /agents/{id}[/]   A2A over JSON-RPC with that agent      jsonrpc.c
 *     GET  .well-known/...   cards, below that and at the root      cards.c
 *     POST /rpc[/]           the gateway's own methods              rpc.c
 *     GET  pages             /, /health, ... : whoever offers them
 *
 * Never a redirect: A2A clients do not follow them. The room that a later release fills (HTTP+JSON) is named
 * here and answers that it is empty.
 */
#include "binding/binding_int.h"

#include "lib/mem.h"

int binding_new(struct calls *calls, const struct binding_config *config, struct binding **out,
                char why[256])
{
    struct binding *b = MEM_NEW(struct binding);

    b->calls = calls;
    b->config = *config;
    list_init(&b->idle);
    buf_init(&b->out, 2 * LIMIT_TASK_BYTES);
    buf_init(&b->tail, KB(1));
    if (public_init(&b->address, config, why)) {
        binding_free(b);
        return ERR_INVALID;
    }
    *out = b;
    return 0;
}

void binding_free(struct binding *b)
{
    if (!b)
        return;
    pending_free_idle(b);
    public_release(&b->address);
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

void answer_wrong_verb(struct exchange *x, const char *allowed)
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

    if (is_card_path(rest)) {
        card_on_request(b, x, id);
        return;
    }
    if (rest.p && rest.n > 0) {
        if (str_has_prefix(rest, STR(".well-known/")))
            answer_not_found(x);
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
    if (str_has_prefix(head->path, STR("/.well-known/")) &&
        is_card_path(str_make(head->path.p + 1, head->path.n - 1))) {
        card_on_request(b, x, STR_NONE);
        return;
    }
    if (str_is(head->path, STR("/rpc")) || str_is(head->path, STR("/rpc/"))) {
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

bool is_json_type(struct str content_type)
{
    struct str type = str_trim(str_cut(&content_type, ';'));

    if (str_is_nocase(type, STR("application/json")))
        return true;
    return type.n > 5 && str_is_nocase(str_make(type.p + type.n - 5, 5), STR("+json"));
}

bool is_from_browser(const struct http_head *head)
{
    return http_head_get(head, STR("origin")).p || http_head_get(head, STR("sec-fetch-site")).p;
}

/* Old scripts leave the type out, and may; but so may a page of a stranger, whose browser then asks nobody. */
bool admit_json_post(struct binding *b, struct exchange *x, enum surface surface)
{
    const struct http_head *head = exchange_head(x);
    struct str type = http_head_get(head, STR("content-type"));
    struct a2a_request nobody = {.version = A2A_0_3, .id = STR("null")};
    struct a2a_fault fault;

    if (type.p ? str_is(type, STR("application/json")) || is_json_type(type)
               : !is_from_browser(head))
        return true;
    if (type.p)
        a2a_fault_set(
            &fault, A2A_ERROR_CONTENT_TYPE,
            "send the request with Content-Type: application/json (it came as \"%.*s\")",
            type.n > 80 ? 80 : (int)type.n, type.p);
    else
        a2a_fault_set(&fault, A2A_ERROR_CONTENT_TYPE,
                      "send the request with Content-Type: application/json (it came from a "
                      "browser, without one)");
    answer_fault(b, x, surface, &nobody, &fault);
    return false;
}
