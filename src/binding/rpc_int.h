/* SPDX-License-Identifier: MIT
 *
 * POST /rpc, to its two halves: rpc.c (envelope, method, guard, answer) and rpc_params.c (what callers may write, in
 * the one form that the rest of the house reads). The second is pure.
 */
#ifndef BINDING_RPC_INT_H
#define BINDING_RPC_INT_H

#include "binding/binding_int.h"

/* A JSON null means the same as not giving the member at all (A2A 1.0 section 5.7). */
static inline struct str rpc_given(struct str value)
{
    return json_type(value) == JSON_NULL ? STR_NONE : value;
}

/* Sets the fault; always ERR_INVALID. */
MUST_CHECK int rpc_fail(struct a2a_fault *fault, enum a2a_error error, const char *why);

/* Reads the params of message.send, tasks.get, tasks.list or tasks.cancel (`request->method`), in any spelling, and
 * writes them to `out` as A2A's params in one spelling, for a2a_params_read(). request->shape says in which version's
 * words they are. *agent: the agent they select, *webhook: the webhook that comes with a message (views of params), absent
 * if none.
 * ERR_INVALID with *fault. `params` absent or an object accepted by json_scan(). */
MUST_CHECK int rpc_params_write(struct buf *out, struct str params, struct a2a_request *request,
                                struct str *agent, struct str *webhook,
                                struct a2a_fault *fault);

/* Reads the params of agents.*: *id is the agent they select (a view of params), absent if none; `out` receives the
 * agent's record, or nothing when none is given. In {agent: {...}} and {id, url, ...} alike the record's id is said
 * as "id". */
MUST_CHECK int rpc_params_write_agent(struct buf *out, struct str params, struct str *id,
                                      struct a2a_fault *fault);

#endif
