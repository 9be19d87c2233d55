/* SPDX-License-Identifier: MIT
 *
 * Which agent, and may it go now: the registry of agents, the places each of them offers, and one JSON-RPC
 * operation with an agent from lease to understood answer.
 *
 * Agents have a source (file, env, demo; later api). A reload adds, changes and removes only agents of its
 * own source. A removed agent takes no new calls; calls in flight finish, because they hold a reference.
 *
 * Invariants
 *   1. in_flight(agent) <= max_in_flight(agent); every place taken is given back exactly once. All versions
 *      of an agent share their places; if a reload lowers the maximum below what is taken, none is given until
 *      enough have come back.
 *   2. A call that is refused a place has touched nothing.
 */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "egress/egress.h"
#include "lib/arena.h"
#include "lib/list.h"
#include "lib/loop.h"
#include "lib/str.h"

struct dispatch;

/* --- agents as configured (agents_file.c) ----------------------------------------------------- */

struct agent_spec {
    struct agent_spec *next;
    struct str id;     /* [A-Za-z0-9._-]{1,64} */
    struct str url;    /* http://... endpoint */
    struct str bearer; /* absent: none */
    enum a2a_version version;
    unsigned max_in_flight;
    uint64_t timeout_ms;
    unsigned line; /* in the file; 0 if not from one */
};

struct agent_defaults {
    unsigned max_in_flight; /* AGENT_MAX_IN_FLIGHT */
    uint64_t timeout_ms;    /* AGENT_CALL_TIMEOUT */
};

struct agents_fault {
    unsigned line, column; /* 0: not about a place */
    char why[200];
};

/* Reads an agents file: `agents:` as a map (id: {...}) or a list (- name: id ...). `env` looks up ${VAR}
 * (NULL for unset, which is an error naming the variable). Unknown keys are errors with a suggestion. Specs
 * lie in `arena`. */
MUST_CHECK int agents_file_read(struct str text, const struct agent_defaults *defaults,
                                const char *(*env)(const char *name), struct arena *arena,
                                struct agent_spec **out, struct agents_fault *fault);

/* Whether `id` may name an agent. */
bool agent_id_is_valid(struct str id);

/* --- the registry ----------------------------------------------------------------------------- */

struct dispatch *dispatch_new(struct loop *loop, struct egress *egress);
/* Nothing may be in flight, and nobody else may hold an agent when the turn ends. */
void dispatch_free(struct dispatch *d);

struct dispatch_change {
    unsigned added, changed, removed, kept;
};

/* Makes the agents of `source` exactly `specs`. An id that another source already has is refused and logged;
 * the others are taken. */
void dispatch_put(struct dispatch *d, const char *source, const struct agent_spec *specs,
                  struct dispatch_change *change);

/* A counted agent; immutable but for its counters. */
struct agent;

/* borrowed until the turn ends, NULL if none */
struct agent *dispatch_find(struct dispatch *d, struct str id);
struct agent *agent_ref(struct agent *a);
void agent_unref(struct agent *a);

struct agent_view {
    struct str id, url; /* url without credentials */
    const char *source;
    enum a2a_version version;
    unsigned in_flight, max_in_flight;
    uint64_t calls, failures;
};
void agent_view(const struct agent *a, struct agent_view *out);
enum a2a_version agent_version(const struct agent *a);
struct str agent_id(const struct agent *a);

/* Walks all agents in order of id. Start with *at = 0. */
struct agent *dispatch_next(struct dispatch *d, size_t *at);
size_t dispatch_count(const struct dispatch *d);

/* --- asking ----------------------------------------------------------------------------------- */

/* What came of it. `fault` is set when the gateway found the fault (unreachable, timeout, garbage, ...);
 * otherwise `reply` is what the agent said, its own errors included. Borrowed during the call. */
typedef void (*dispatch_fn)(void *arg, const struct a2a_reply *reply,
                            const struct a2a_fault *fault);

struct ask;

/* Takes a place, writes the request, reads the answer. ERR_FULL: no place is free. The request's views are
 * borrowed during this call only. */
MUST_CHECK int dispatch_send(struct dispatch *d, struct agent *a,
                             const struct a2a_request *request, dispatch_fn fn, void *arg,
                             struct ask **out);
MUST_CHECK int dispatch_get(struct dispatch *d, struct agent *a, struct str task_id,
                            dispatch_fn fn, void *arg, struct ask **out);

#endif
