/* SPDX-License-Identifier: MIT
 *
 * What of a caller's headers goes along to his agent.
 *
 *     call_keep_headers()    inside call_start(): lines that may go are copied; the rest is never kept
 *     call_pick_headers()    before asking: those that go to this agent, as dispatch wants them
 *
 * Two steps, because a cancel may not know its agent until the store has found it: then everything that could go to
 * any agent is kept until it is known.
 *
 * Trace headers are advice: what is not well-formed is dropped, as the W3C asks for. Everything else was meant: what
 * cannot go refuses the request, because an agent that acts without it would do something else than asked.
 * Lines of the same name stay lines, but for A2A-Extensions, whose two names make one list.
 */
#include "call/call_int.h"

/* Names and values of all lines together. What goes stands beside the agent's own credentials and headers. */
#define HEADERS_MAX_BYTES KB(8)
/* The W3C asks for at least 512 bytes. */
#define TRACESTATE_MAX_BYTES KB(1)
#define TRACEPARENT_MAX_BYTES 256u

/* --- keeping ------------------------------------------------------------------------------------ */

static bool is_listed(const struct agent *agent, struct str name)
{
    size_t n;
    const struct str *names = agent_forwards(agent, &n);

    for (size_t i = 0; i < n; i++)
        if (str_is_nocase(names[i], name))
            return true;
    return false;
}

/* `agent` NULL: not known yet. */
static bool may_go(const struct agent *agent, struct str name)
{
    if (header_is_extensions(name) || header_is_trace(name))
        return true;
    return agent ? is_listed(agent, name) : !header_unforwardable(name);
}

int call_keep_headers(struct call *c, const struct call_request *request)
{
    const struct http_header *all = request->headers;
    struct agent *agent = NULL;
    size_t n = 0;

    if (request->a2a->method != A2A_SEND && request->a2a->method != A2A_STREAM &&
        request->a2a->method != A2A_CANCEL)
        return 0;
    if (request->agent.p)
        agent = dispatch_find(c->calls->dispatch, request->agent);
    for (size_t i = 0; i < request->n_headers; i++)
        n += may_go(agent, all[i].name);
    if (n == 0)
        return 0;
    c->headers = arena_take(&c->arena, n * sizeof *c->headers);
    if (!c->headers)
        return ERR_NOMEM;
    for (size_t i = 0; i < request->n_headers; i++) {
        struct http_header kept;

        if (!may_go(agent, all[i].name))
            continue;
        kept.name = arena_str(&c->arena, all[i].name);
        kept.value = arena_str(&c->arena, all[i].value);
        if (!kept.name.p || (all[i].value.p && !kept.value.p))
            return ERR_NOMEM;
        c->headers[c->n_headers++] = kept;
    }
    return 0;
}

/* --- trace -------------------------------------------------------------------------------------- */

/* `n` lower-case hexadecimal digits, not all of them 0 if `must_count`. */
static bool is_hex(const char *p, size_t n, bool must_count)
{
    bool counts = !must_count;

    for (size_t i = 0; i < n; i++) {
        if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f'))
            return false;
        counts = counts || p[i] != '0';
    }
    return counts;
}

/* version "-" trace-id "-" parent-id "-" flags; versions to come may go on behind another "-". */
static bool is_traceparent(struct str v)
{
    if (v.n < 55 || v.n > TRACEPARENT_MAX_BYTES || !http_is_header_value(v))
        return false;
    if (v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-')
        return false;
    if (!is_hex(v.p, 2, false) || !is_hex(v.p + 3, 32, true) || !is_hex(v.p + 36, 16, true) ||
        !is_hex(v.p + 53, 2, false) || memcmp(v.p, "ff", 2) == 0)
        return false;
    return v.n == 55 || (memcmp(v.p, "00", 2) != 0 && v.p[55] == '-');
}

/* --- picking ------------------------------------------------------------------------------------ */

struct pick {
    struct call *call;
    struct egress_header *out; /* arena; room for every kept line */
    size_t n, n_bytes;
};

/* Whether the line was taken; if not, the fault is set. */
static bool take(struct pick *p, const char *name, struct str value)
{
    p->n_bytes += strlen(name) + value.n + 4;
    if (!http_is_header_value(value))
        call_fail(p->call, A2A_ERROR_INVALID_REQUEST,
                  "the header %.64s must not hold control characters", name);
    else if (p->n == DISPATCH_HEADERS_MAX)
        call_fail(p->call, A2A_ERROR_INVALID_REQUEST,
                  "more than %d lines of headers would go to agent %.*s", DISPATCH_HEADERS_MAX,
                  STR_ARG(p->call->agent_id));
    else if (p->n_bytes > HEADERS_MAX_BYTES)
        call_fail(p->call, A2A_ERROR_INVALID_REQUEST,
                  "the headers that would go to agent %.*s are longer than %zu bytes together",
                  STR_ARG(p->call->agent_id), (size_t)HEADERS_MAX_BYTES);
    else
        p->out[p->n++] = (struct egress_header){name, value};
    return !p->call->has_fault;
}

static bool take_extensions(struct pick *p)
{
    struct call *c = p->call;
    struct buf list;

    /* Their bytes are those of the kept lines, which came in one head: what is too much is said by take(). */
    buf_init(&list, 2 * LIMIT_HTTP_HEAD);
    header_join_extensions(&list, c->headers, c->n_headers);
    if (list.n > 0 && take(p, "A2A-Extensions", buf_str(&list))) {
        /* dispatch has its own place for them, because their name hangs on the agent's version */
        p->n--;
        c->context.extensions = arena_str(&c->arena, buf_str(&list));
        if (!c->context.extensions.p)
            call_fail(c, A2A_ERROR_OVERLOADED, "no memory for the request's headers");
    }
    buf_release(&list);
    return !c->has_fault;
}

/* A tracestate says nothing without its traceparent, of which there is one. */
static bool take_trace(struct pick *p)
{
    const struct call *c = p->call;
    const struct http_header *parent = NULL;
    size_t n_parents = 0, n_state = 0;

    for (size_t i = 0; i < c->n_headers; i++) {
        const struct http_header *h = &c->headers[i];

        if (str_is_nocase(h->name, STR("traceparent"))) {
            parent = h;
            n_parents++;
        } else if (str_is_nocase(h->name, STR("tracestate"))) {
            n_state += http_is_header_value(h->value) ? h->value.n : TRACESTATE_MAX_BYTES + 1;
        }
    }
    if (n_parents != 1 || !is_traceparent(parent->value))
        return true;
    if (!take(p, "traceparent", parent->value))
        return false;
    for (size_t i = 0; i < c->n_headers && n_state <= TRACESTATE_MAX_BYTES; i++)
        if (str_is_nocase(c->headers[i].name, STR("tracestate")) && c->headers[i].value.n &&
            !take(p, "tracestate", c->headers[i].value))
            return false;
    return true;
}

static bool take_forwarded(struct pick *p)
{
    const struct call *c = p->call;
    size_t n;
    const struct str *names = agent_forwards(c->agent, &n);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < c->n_headers; k++)
            if (str_is_nocase(names[i], c->headers[k].name) &&
                !take(p, names[i].p, c->headers[k].value))
                return false;
    return true;
}

bool call_pick_headers(struct call *c)
{
    struct pick p = {.call = c};

    if (c->n_headers == 0)
        return true;
    /* one more, for a moment: the list of extensions */
    p.out = arena_take(&c->arena, (c->n_headers + 1) * sizeof *p.out);
    if (!p.out) {
        call_fail(c, A2A_ERROR_OVERLOADED, "no memory for the request's headers");
        return false;
    }
    if (!take_extensions(&p) || !take_trace(&p) || !take_forwarded(&p))
        return false;
    c->context.headers = p.out;
    c->context.n_headers = p.n;
    return true;
}
