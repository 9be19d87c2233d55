/* SPDX-License-Identifier: MIT
 *
 * The places of an agent: a number that is not exceeded (invariant 1 of dispatch.h).
 *
 * There is no queue. A caller without a place is told so at once; whether to wait is his to decide, and a
 * queue in front of an agent that is too slow only makes every answer late.
 */
#include "dispatch/dispatch_int.h"

int gate_enter(struct gate *g)
{
    if (g->in_flight >= g->limit)
        return ERR_FULL;
    g->in_flight++;
    return 0;
}

void gate_leave(struct gate *g)
{
    BUG_ON(g->in_flight == 0);
    g->in_flight--;
    if (g->in_flight <= g->limit)
        g->is_shrinking = false;
}

void gate_set_limit(struct gate *g, unsigned limit)
{
    BUG_ON(limit == 0);
    g->limit = limit;
    g->is_shrinking = g->in_flight > limit;
}

void gate_check(const struct gate *g)
{
    BUG_ON(g->n_refs == 0);
    BUG_ON(g->is_shrinking != (g->in_flight > g->limit));
}
