/* SPDX-License-Identifier: MIT
 *
 * A2A over JSON-RPC 2.0: POST /agents/{id} (A2A 1.0 section 9, 0.3 section 7).
 */
#include "binding/binding_int.h"
#include "lib/url.h"

struct str asked_version(const struct http_head *head, struct buf *scratch)
{
    struct str asked = http_head_get(head, STR("a2a-version"));

    if (asked.p || !head->query.p)
        return asked;
    if (url_query_get(head->query, STR("A2A-Version"), scratch))
        return STR_NONE;
    return buf_str(scratch);
}

struct str last_event_id(const struct http_head *head, struct buf *scratch)
{
    static const char *const names[] = {"lastEventId", "Last-Event-ID"};
    struct str cursor = http_head_get(head, STR("last-event-id"));

    for (size_t i = 0; !cursor.p && head->query.p && i < 2; i++) {
        buf_clear(scratch);
        if (url_query_get(head->query, str_of(names[i]), scratch) == 0)
            cursor = buf_str(scratch);
    }
    return cursor.n ? cursor : STR_NONE;
}

void jsonrpc_on_request(struct binding *b, struct exchange *x, struct str agent_id)
{
    struct call_request request = {.agent = agent_id, .request_id = exchange_request_id(x)};
    struct a2a_request a2a;
    struct a2a_fault fault;
    struct buf scratch;
    int err;

    if (!admit_json_post(b, x, SURFACE_A2A))
        return;
    buf_init(&scratch, LIMIT_HTTP_TARGET);
    err = a2a_request_read(exchange_body(x), asked_version(exchange_head(x), &scratch), &a2a,
                           &fault);
    buf_release(&scratch);
    if (err) {
        answer_fault(b, x, SURFACE_A2A, &a2a, &fault);
        return;
    }
    if (is_push_method(a2a.method)) {
        struct call_push_request push = {
            .agent = agent_id, .request_id = request.request_id, .a2a = &a2a};

        pending_start_push(pending_new(b, x, SURFACE_A2A, &a2a), &push);
        return;
    }
    request.a2a = &a2a;
    pending_start(pending_new(b, x, SURFACE_A2A, &a2a), &request);
}
