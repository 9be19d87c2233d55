/* SPDX-License-Identifier: MIT
 *
 * The parts of dispatch, to each other.
 *
 *     agents_file.c  the file's text -> specs (pure)
 *     gate.c         the places of an agent
 *     registry.c     agents by id; reloads
 *     ask.c          one operation with one agent
 *
 *     dispatch --> agent (the version in force, counted) --> gate (one per id, counted)
 *                  agent (an older version, kept by its calls) --^
 */
#ifndef DISPATCH_DISPATCH_INT_H
#define DISPATCH_DISPATCH_INT_H

#include "dispatch/dispatch.h"
#include "lib/buf.h"
#include "lib/map.h"

/* --- gate.c ------------------------------------------------------------------------------------- */

/* The places of one agent id. All versions of an agent share it, also one that was removed and comes back, so
 * a reload neither loses nor invents places.
 *
 *     in_flight <= limit, or is_shrinking: a reload set the limit below what was taken; then in_flight only
 *                         falls until it is within the limit */
struct gate {
    unsigned n_refs; /* versions of the agent */
    unsigned in_flight, limit;
    bool is_shrinking;
    uint64_t calls, failures;    /* since the first version was registered */
    char id[LIMIT_AGENT_ID + 1]; /* the key in dispatch->gates */
};

/* Takes a place; ERR_FULL. */
MUST_CHECK int gate_enter(struct gate *g);
void gate_leave(struct gate *g);
void gate_set_limit(struct gate *g, unsigned limit);
void gate_check(const struct gate *g);

/* --- registry.c --------------------------------------------------------------------------------- */

struct agent {
    struct grave grave; /* of the registry's reference */
    unsigned n_refs;
    unsigned in_flight;               /* places held through this version */
    struct dispatch *dispatch;        /* borrowed: outlives all agents */
    struct gate *gate;                /* counted */
    struct egress_endpoint *endpoint; /* owned */
    char *url, *source;               /* owned */
    char *bearer;                     /* owned; NULL: none */
    enum a2a_version version;
    unsigned max_in_flight;
    uint64_t timeout_ms;
    uint64_t generation; /* of the last dispatch_put() that named it */
};

struct dispatch {
    struct grave grave;
    struct loop *loop;     /* borrowed */
    struct egress *egress; /* borrowed */
    struct map agents;     /* id -> the version in force, one reference each */
    struct map gates;      /* id -> gate, not counted: a gate removes itself */
    struct agent **sorted; /* owned array of the same agents, by id */
    size_t n_sorted;
    unsigned n_alive; /* agents of all versions */
    uint64_t generation;
    uint64_t next_id; /* of JSON-RPC requests */
    struct buf body;  /* where requests are written; valid inside dispatch_send() only */
};

/* Stops the program if an invariant does not hold. For tests. */
void dispatch_check(const struct dispatch *d);

#endif
