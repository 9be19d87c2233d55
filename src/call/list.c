/* SPDX-License-Identifier: MIT
 *
 * Lists come from the narrow table alone: no agent is asked, no document is read.
 */
#include "call/call_int.h"

static void on_rows(void *arg, int err, const struct task_summary *rows, size_t n,
                    uint64_t total, struct str next)
{
    struct call *c = arg;
    struct call_answer answer = {.rows = rows, .n_rows = n, .total = total, .next = next};

    if (err == ERR_INVALID)
        call_fail(c, A2A_ERROR_INVALID_PARAMS, "pageToken is not one of ours");
    else if (err)
        call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
    else
        call_tell(c, &answer);
    c->step = CALL_END;
    call_step(c);
}

enum call_flow list_start(struct call *c)
{
    int err = store_task_list(c->calls->store, &c->list, on_rows, c);

    if (err == ERR_INVALID)
        return call_fail(c, A2A_ERROR_INVALID_PARAMS, "pageToken is not one of ours");
    if (err)
        return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
    return CALL_WAIT;
}
