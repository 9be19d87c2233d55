/* SPDX-License-Identifier: MIT
 *
 * Lists come from the store alone: no agent is asked, so a page is as old as our last word of each task in
 * it.
 *
 * A removed agent's tasks stay listed; an id that is neither an agent's nor any stored task's is told to be
 * unknown.
 */
#include "call/call_int.h"

static void on_rows(void *arg, int err, const struct task_summary *rows, size_t n,
                    uint64_t total, struct str next)
{
    struct call *c = arg;
    struct call_answer answer = {.rows = rows, .n_rows = n, .total = total, .next = next};

    if (err == ERR_CANCELED)
        call_fail_closing(c);
    else if (err == ERR_INVALID)
        call_fail(c, A2A_ERROR_INVALID_PARAMS, "pageToken is not one of ours");
    else if (err)
        call_fail_store(c);
    else if (c->agent_id.p && total == 0 && !dispatch_find(c->calls->dispatch, c->agent_id))
        call_fail_no_agent(c);
    else
        call_tell(c, &answer);
    c->step = CALL_END;
    call_step(c);
}

/* A filter as text, absent if it was not given or is empty, which in protobuf's JSON is the same. False: it
 * cannot be what it says it is. */
static bool read_text(struct call *c, struct str raw, struct str *out)
{
    *out = raw.p ? call_decode_id(&c->arena, raw) : STR_NONE;
    if (raw.p && !out->p)
        return false;
    if (out->n == 0)
        *out = STR_NONE;
    return true;
}

enum call_flow list_start(struct call *c)
{
    const struct a2a_list_query *asked = &c->request.list;
    struct task_query query = {.agent = c->agent_id,
                               .has_state = asked->has_state,
                               .state = asked->state,
                               .has_after_us = asked->has_after,
                               .after_us = asked->after_us,
                               .limit = asked->page_size,
                               .want_docs = !c->want_summaries};
    int err;

    if (!read_text(c, asked->context_id, &query.context))
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "contextId cannot be a context's id");
    if (!read_text(c, asked->page_token, &query.after))
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "pageToken is not one of ours");
    err = store_task_list(c->calls->store, &query, on_rows, c);
    if (err == ERR_CANCELED)
        return call_fail_closing(c);
    if (err == ERR_INVALID)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "pageToken is not one of ours");
    return err ? call_fail_store(c) : CALL_WAIT;
}
