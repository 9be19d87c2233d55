/* SPDX-License-Identifier: MIT
 *
 * The gateway's own surface: POST /rpc, JSON-RPC 2.0, the methods of the first SuperX.
 *
 *     message.send  tasks.get  tasks.list  tasks.cancel       A2A operations; the agent is named in the params
 *     message.stream  tasks.subscribe                         the same, answered with a stream; tasks.subscribe tells the
 *                                                             whole task at each change, A2A's own names tell updates
 *     tasks.pushNotificationConfig.set  .get  .list  .delete  webhooks of a task
 *     webhooks.list  .show  .attempts  .retry  .test          for who runs the gateway: guarded
 *     agents.list  agents.get  agents.health                  looking
 *     agents.upsert  agents.delete  agents.refreshCard  agents.check       changing, or making us call out: guarded
 *
 * A slash is as good as a dot, and A2A's own names are understood as well. Parameters may be spelled in every way
 * that ever was documented, messages shaped as either version (rpc_params.c). Answers have 0.3 shapes unless 1.0
 * was asked for, by the A2A-Version header or by a method name of 1.0. Errors carry the number that the first
 * SuperX used (data.superxCode); with RPC_HTTP_400 they come with its HTTP status, too.
 *
 * The guard. With SUPERX_ADMIN_TOKEN the bearer must be it. Without, only this machine may, and only programs: what a
 * browser sends of its own accord has an Origin or Sec-Fetch-Site, or is not JSON by its Content-Type; what a page
 * sends whose name was made to lead to us (DNS rebinding) has that name for its Host; and what a proxy on this
 * machine passes on for others says so in a header.
 */
#include "binding/rpc_int.h"

#define METHOD_NAME_MAX 128u

enum envelope_slot { SLOT_JSONRPC, SLOT_ID, SLOT_METHOD, SLOT_PARAMS, SLOT_MAX };

static const struct json_want envelope_wants[] = {
    {"jsonrpc", SLOT_JSONRPC, NULL}, {"id", SLOT_ID, NULL}, {"method", SLOT_METHOD, NULL},
    {"params", SLOT_PARAMS, NULL},   {NULL, -1, NULL},
};

static const struct admin_method {
    const char *name;
    enum call_admin_op op;
    bool is_guarded, wants_id, wants_agent;
} admin_methods[] = {
    {"agents.list", CALL_AGENTS_LIST, false, false, false},
    {"agents.get", CALL_AGENTS_GET, false, true, false},
    {"agents.health", CALL_AGENTS_HEALTH, false, false, false},
    {"agents.upsert", CALL_AGENTS_UPSERT, true, false, true},
    {"agents.delete", CALL_AGENTS_DELETE, true, true, false},
    {"agents.refreshCard", CALL_AGENTS_REFRESH, true, true, false},
    {"agents.check", CALL_AGENTS_CHECK, true, false, false},
};

static const struct webhooks_method {
    const char *name;
    enum call_webhooks_op op;
} webhooks_methods[] = {
    {"webhooks.list", CALL_WEBHOOKS_LIST},   {"webhooks.show", CALL_WEBHOOKS_SHOW},
    {"webhooks.retry", CALL_WEBHOOKS_RETRY}, {"webhooks.attempts", CALL_WEBHOOKS_ATTEMPTS},
    {"webhooks.test", CALL_WEBHOOKS_TEST},
};

/* One request, as far as it is understood. All views into the body or into `params`. */
struct rpc {
    struct binding *binding;
    struct exchange *exchange;
    struct a2a_request request;
    const struct admin_method *admin; /* both NULL: request.method says which */
    const struct webhooks_method *webhooks;
    bool want_summaries, want_whole_tasks;
    bool is_for_first;   /* a send whose caller would have a stream's first event */
    struct str given;    /* params as the caller wrote them; absent: none */
    struct buf not_null; /* the same without nulls, if there were any */
    struct buf params;   /* in the words of the house */
};

/* --- the envelope --- */

static int check_id(struct str id, struct rpc *r, struct a2a_fault *fault)
{
    enum json_type type = json_type(id);

    if (!id.p)
        return 0;
    if (id.n > LIMIT_JSONRPC_ID ||
        (type != JSON_STRING && type != JSON_NUMBER && type != JSON_NULL))
        return rpc_fail(fault, A2A_ERROR_INVALID_REQUEST,
                        "\"id\" must be a string, a number or null of at most 256 bytes");
    r->request.id = id;
    return 0;
}

/* A null says that the parameter is not given: it must not clash with another spelling that is. */
static int leave_out_nulls(struct rpc *r, struct a2a_fault *fault)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true, has_null = false;

    JSON_EACH_MEMBER (&cursor, r->given, &key, &value)
        has_null |= json_type(value) == JSON_NULL;
    if (!has_null)
        return 0;
    JSON_EACH_MEMBER (&cursor, r->given, &key, &value) {
        if (json_type(value) == JSON_NULL)
            continue;
        json_write_key(&r->not_null, &first, key);
        buf_add_str(&r->not_null, value);
    }
    json_write_end(&r->not_null, first);
    if (buf_error(&r->not_null))
        return rpc_fail(fault, A2A_ERROR_OVERLOADED, "no memory for a request of this size");
    r->given = buf_str(&r->not_null);
    return 0;
}

static int check_params(struct rpc *r, struct str params, struct a2a_fault *fault)
{
    struct json_cursor cursor;
    struct str key, value;

    r->given = rpc_given(params);
    if (r->given.p && json_type(r->given) != JSON_OBJECT)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "params must be an object");
    json_enter(&cursor, r->given);
    if (json_next_member(&cursor, &key, &value) && key.n == 0)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "params has a member with an empty name");
    return leave_out_nulls(r, fault);
}

static bool is_same_method(struct str name, const char *dotted)
{
    size_t i;

    for (i = 0; i < name.n && dotted[i]; i++)
        if ((name.p[i] == '/' ? '.' : name.p[i]) != dotted[i])
            return false;
    return i == name.n && !dotted[i];
}

static bool find_admin(struct rpc *r, struct str name)
{
    for (size_t i = 0; i < sizeof admin_methods / sizeof *admin_methods; i++)
        if (is_same_method(name, admin_methods[i].name))
            r->admin = &admin_methods[i];
    for (size_t i = 0; i < sizeof webhooks_methods / sizeof *webhooks_methods; i++)
        if (is_same_method(name, webhooks_methods[i].name))
            r->webhooks = &webhooks_methods[i];
    return r->admin || r->webhooks;
}

/* A2A's methods: their own names of either version, and those of 0.3 with dots. */
static int find_method(struct rpc *r, struct str name, struct a2a_fault *fault)
{
    char slashed[METHOD_NAME_MAX];
    enum a2a_version grammar;

    if (name.n < sizeof slashed) {
        for (size_t i = 0; i < name.n; i++)
            slashed[i] = name.p[i] == '.' ? '/' : name.p[i];
        if (!a2a_method_find(str_make(slashed, name.n), &r->request.method, &grammar)) {
            if (grammar == A2A_1_0)
                r->request.version = A2A_1_0;
            r->want_summaries = r->want_whole_tasks = grammar == A2A_0_3;
            return 0;
        }
    }
    a2a_fault_set(fault, A2A_ERROR_METHOD_NOT_FOUND,
                  "\"%.*s\" is none of message.send|stream, tasks.get|list|cancel|subscribe, "
                  "tasks.pushNotificationConfig.set|get|list|delete, "
                  "webhooks.list|show|attempts|retry|test, "
                  "agents.list|get|upsert|delete|refreshCard|health|check",
                  name.n > 60 ? 60 : (int)name.n, name.p);
    return ERR_INVALID;
}

static int read_method(struct rpc *r, struct str raw, struct a2a_fault *fault)
{
    struct str name;
    struct buf text;
    int err = 0;

    if (json_type(raw) != JSON_STRING)
        return rpc_fail(fault, A2A_ERROR_INVALID_REQUEST, "\"method\" must be a string");
    name = str_make(raw.p + 1, raw.n - 2);
    buf_init(&text, METHOD_NAME_MAX);
    if (json_string_decode(raw, &text) == 0) /* else it is longer than any method's */
        name = buf_str(&text);
    if (!find_admin(r, name))
        err = find_method(r, name, fault);
    buf_release(&text);
    return err;
}

/* Which version the answer is in, as far as the header says it. */
static int read_version(struct rpc *r, struct a2a_fault *fault)
{
    enum a2a_version version;
    struct buf scratch;
    struct str asked;
    int err;

    buf_init(&scratch, LIMIT_HTTP_TARGET);
    asked = str_trim(asked_version(exchange_head(r->exchange), &scratch));
    err = a2a_version_parse(asked, &version);
    if (!err)
        r->request.version = version;
    else
        a2a_fault_set(fault, A2A_ERROR_VERSION,
                      "A2A-Version \"%.*s\" is not supported; this gateway speaks 0.3 and 1.0",
                      asked.n > 32 ? 32 : (int)asked.n, asked.p);
    buf_release(&scratch);
    return err ? ERR_INVALID : 0;
}

static int read_envelope(struct rpc *r, struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX], body = exchange_body(r->exchange);
    struct a2a_fault version_fault;
    struct json_fault jf;
    /* First, so that whatever else is wrong is told in the version that was asked for. */
    bool is_foreign = read_version(r, &version_fault) != 0;
    int err = json_scan(body, envelope_wants, slots, SLOT_MAX, &jf);

    if (err) {
        a2a_fault_set(fault, err == ERR_CONFLICT ? A2A_ERROR_INVALID_REQUEST : A2A_ERROR_PARSE,
                      "%s at byte %zu", jf.why, jf.at);
        return ERR_INVALID;
    }
    if (json_type(str_trim(body)) != JSON_OBJECT)
        return rpc_fail(fault, A2A_ERROR_INVALID_REQUEST,
                        "the body must be one JSON-RPC request object; there are no batches");
    if (check_id(slots[SLOT_ID], r, fault))
        return ERR_INVALID;
    if (!json_string_is(slots[SLOT_JSONRPC], STR("2.0")))
        return rpc_fail(fault, A2A_ERROR_INVALID_REQUEST, "\"jsonrpc\" must be \"2.0\"");
    /* Before the version's fault, because a method's name says in which shape that is told. */
    err = read_method(r, slots[SLOT_METHOD], fault);
    if (is_foreign)
        *fault = version_fault;
    if (err || is_foreign)
        return ERR_INVALID;
    if (!slots[SLOT_ID].p)
        return rpc_fail(fault, A2A_ERROR_INVALID_REQUEST,
                        "\"id\" is missing; there are no notifications here");
    return check_params(r, slots[SLOT_PARAMS], fault);
}

/* --- the guard --- */

/* How long it takes says nothing about where the two differ. */
static bool is_same_secret(struct str given, struct str secret)
{
    volatile unsigned char difference = given.n != secret.n;

    for (size_t i = 0; i < given.n; i++)
        difference =
            (unsigned char)(difference | (given.p[i] ^ secret.p[secret.n ? i % secret.n : 0]));
    return difference == 0;
}

bool is_admin_token(const struct binding *b, struct str authorization)
{
    struct str given = str_trim(authorization);
    struct str token = str_of(b->config.admin_token);

    return token.n > 0 && given.n > 7 && str_is_nocase(str_make(given.p, 7), STR("Bearer ")) &&
           is_same_secret(str_trim(str_make(given.p + 7, given.n - 7)), token);
}

/* Whether the request was passed on by a proxy, whose address then says nothing about the caller. */
static bool is_forwarded(const struct http_head *head)
{
    static const char *const names[] = {
        "forwarded",        "via",
        "x-real-ip",        "x-original-forwarded-for",
        "cf-connecting-ip", "true-client-ip",
        "x-client-ip",
    };
    const struct str prefix = STR("x-forwarded-");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (http_head_get(head, str_of(names[i])).p)
            return true;
    for (size_t i = 0; i < head->n_headers; i++) {
        struct str name = head->headers[i].name;

        if (name.n >= prefix.n && str_is_nocase(str_make(name.p, prefix.n), prefix))
            return true;
    }
    return false;
}

/* Without a token: whether a program of this machine is asking, and nobody behind it. */
static int check_nearness(const struct rpc *r, struct a2a_fault *fault)
{
    const struct http_head *head = exchange_head(r->exchange);
    const struct public_address *address = &r->binding->address;
    struct str type = http_head_get(head, STR("content-type"));

    if (!exchange_peer_is_loopback(r->exchange) || is_forwarded(head) ||
        public_is_proxy(address, exchange_peer(r->exchange)))
        return rpc_fail(fault, A2A_ERROR_FORBIDDEN,
                        "this method is for callers on the gateway's own machine, unless the "
                        "gateway has a SUPERX_ADMIN_TOKEN");
    if (is_from_browser(head) || !type.p || !is_json_type(type))
        return rpc_fail(fault, A2A_ERROR_FORBIDDEN,
                        "this method is not for web pages: send Content-Type: application/json "
                        "and neither Origin nor Sec-Fetch-Site");
    if (!public_is_own_host(address, http_head_get(head, STR("host"))))
        return rpc_fail(
            fault, A2A_ERROR_FORBIDDEN,
            "this method is for callers who name the gateway localhost, 127.0.0.1 or "
            "[::1], by its listen address or by PUBLIC_URL's host, unless the gateway "
            "has a SUPERX_ADMIN_TOKEN");
    return 0;
}

static int check_guard(const struct rpc *r, struct a2a_fault *fault)
{
    const struct http_head *head = exchange_head(r->exchange);
    const char *token = r->binding->config.admin_token;

    if (is_admin_token(r->binding, http_head_get(head, STR("authorization"))))
        return 0;
    if (token && *token)
        return rpc_fail(fault, A2A_ERROR_UNAUTHENTICATED,
                        "this method needs the header Authorization: Bearer with the gateway's "
                        "SUPERX_ADMIN_TOKEN");
    return check_nearness(r, fault);
}

/* --- running --- */

static int run_admin(struct rpc *r, struct a2a_fault *fault)
{
    struct call_admin_request request = {.op = r->admin->op,
                                         .request_id = exchange_request_id(r->exchange)};

    if (r->admin->is_guarded && check_guard(r, fault))
        return ERR_INVALID;
    if (rpc_params_write_agent(&r->params, r->given, &request.id, fault))
        return ERR_INVALID;
    if (r->params.n > 0)
        request.agent = buf_str(&r->params);
    if (r->admin->wants_id && !request.id.p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "id (of the agent) is required");
    if (r->admin->wants_agent && !request.agent.p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "Invalid agent payload (id and url required)");
    if (r->admin->op == CALL_AGENTS_CHECK && !request.id.p && !request.agent.p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "id (of a registered agent) or agent (with a url) is required");
    pending_start_admin(pending_new(r->binding, r->exchange, SURFACE_RPC, &r->request),
                        &request);
    return 0;
}

/* What this release does not do yet is said with the error A2A has for it. */
static int refuse_unbuilt(const struct rpc *r, struct a2a_fault *fault)
{
    switch (r->request.method) {
    case A2A_SEND:
    case A2A_STREAM:
    case A2A_GET:
    case A2A_LIST:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
        return 0;
    default:
        return rpc_fail(fault,
                        r->request.version == A2A_0_3 ? A2A_ERROR_EXTENDED_CARD
                                                      : A2A_ERROR_UNSUPPORTED,
                        "the gateway offers no extended agent card");
    }
}

/* Whether the caller says what he can read, and a stream is not among it. */
static bool wants_no_stream(const struct http_head *head)
{
    struct str accept = http_head_get(head, STR("accept"));

    return accept.p && memmem(accept.p, accept.n, "json", 4) &&
           !memmem(accept.p, accept.n, "text/", 5) && !memmem(accept.p, accept.n, "*/*", 3);
}

/* The first SuperX answered its stream methods with plain JSON, and there are clients that expect no more. */
static void settle_for_json(struct rpc *r)
{
    if (!wants_no_stream(exchange_head(r->exchange)))
        return;
    r->is_for_first = r->request.method == A2A_STREAM;
    if (r->request.method == A2A_STREAM)
        r->request.method = A2A_SEND;
    else if (r->request.method == A2A_SUBSCRIBE)
        r->request.method = A2A_GET;
}

static int run_webhooks(struct rpc *r, struct a2a_fault *fault)
{
    struct call_webhooks_request request = {.op = r->webhooks->op,
                                            .params = r->given,
                                            .request_id = exchange_request_id(r->exchange)};

    if (check_guard(r, fault))
        return ERR_INVALID;
    pending_start_webhooks(pending_new(r->binding, r->exchange, SURFACE_RPC, &r->request),
                           &request);
    return 0;
}

static int run_push(struct rpc *r, struct a2a_fault *fault)
{
    struct call_push_request request = {
        .request_id = exchange_request_id(r->exchange), .a2a = &r->request, .is_superx = true};

    if (!r->given.p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "params are missing");
    r->request.params = r->given;
    pending_start_push(pending_new(r->binding, r->exchange, SURFACE_RPC, &r->request),
                       &request);
    return 0;
}

static int run_call(struct rpc *r, struct a2a_fault *fault)
{
    struct call_request request = {.a2a = &r->request,
                                   .request_id = exchange_request_id(r->exchange),
                                   .want_summaries = r->want_summaries,
                                   .is_superx = true,
                                   .want_whole_tasks = r->want_whole_tasks};
    struct str webhook = STR_NONE;
    struct pending *p;

    if (is_push_method(r->request.method))
        return run_push(r, fault);
    if (refuse_unbuilt(r, fault))
        return ERR_INVALID;
    settle_for_json(r);
    if (rpc_params_write(&r->params, r->given, &r->request, &request.agent, &webhook, fault) ||
        a2a_params_read(buf_str(&r->params), &r->request, fault))
        return ERR_INVALID;
    if (webhook.p && r->request.push_config.p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "two webhooks come with this message; give one, or register the other");
    if (webhook.p)
        r->request.push_config = webhook;
    request.no_wait = r->is_for_first;
    if (r->is_for_first)
        r->request.wait = A2A_WAIT_NOT;
    p = pending_new(r->binding, r->exchange, SURFACE_RPC, &r->request);
    p->want_summaries = r->want_summaries;
    pending_start(p, &request);
    return 0;
}

void rpc_on_request(struct binding *b, struct exchange *x)
{
    struct rpc r = {
        .binding = b,
        .exchange = x,
        .request = {.method = A2A_METHOD_MAX, .version = A2A_0_3, .id = STR("null")}};
    struct a2a_fault fault;
    int err;

    if (!admit_json_post(b, x, SURFACE_RPC))
        return;
    buf_init(&r.not_null, LIMIT_REQUEST_BODY);
    buf_init(&r.params, LIMIT_REQUEST_BODY + KB(1)); /* what was given, and a message id */
    err = read_envelope(&r, &fault);
    if (!err)
        err = r.admin      ? run_admin(&r, &fault)
              : r.webhooks ? run_webhooks(&r, &fault)
                           : run_call(&r, &fault);
    if (err)
        answer_fault(b, x, SURFACE_RPC, &r.request, &fault);
    buf_release(&r.params);
    buf_release(&r.not_null);
}
