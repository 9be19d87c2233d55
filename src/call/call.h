/* SPDX-License-Identifier: MIT
 *
 * One operation, from admission to its single answer.
 *
 * A call is a table of steps driven by one function, call_step(); completions of what it waits for only record
 * their result and step it again. It outlives the connection it came from: a caller who hangs up changes nothing,
 * the agent's answer is still awaited and stored.
 *
 *     send:  find agent -> take place, ask -> understand -> append -> (committed) -> answer
 *     get:   peek -> answer
 *            load -> fresh enough? answer : ask the agent -> append -> answer
 *     list:  query -> answer
 *
 * Knows nothing of HTTP or framing.
 */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "dispatch/dispatch.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "store/store.h"

struct calls; /* all calls of a gateway */
struct call;

struct calls_config {
    /* TASK_FRESH_MS: an active task younger than this is answered from the store */
    uint64_t fresh_ms;
    /* a caller waits this long for a database that is gone, then is told */
    uint64_t store_wait_ms;
};

struct calls *calls_new(struct loop *loop, struct store *store, struct dispatch *dispatch,
                        const struct calls_config *config);
void calls_free(struct calls *c); /* none may be running */

unsigned calls_running(const struct calls *c);

/* From now on new calls are refused (SHUTTING_DOWN); `on_idle` comes once when the last has ended. */
void calls_drain(struct calls *c, void (*on_idle)(void *arg), void *arg);

struct call_request {
    struct str agent;              /* id from the path; absent for lists over all agents */
    const struct a2a_request *a2a; /* borrowed during call_start() */
    struct str request_id;         /* for the log; borrowed during call_start() */
    struct task_query list;        /* for A2A_LIST */
};

/* What the caller is told. Everything borrowed during the call of the answer function. */
struct call_answer {
    const struct a2a_fault *fault; /* NULL: success */
    enum a2a_reply_kind kind;      /* task or message */
    struct str object;
    const struct task_summary *rows; /* lists */
    size_t n_rows;
    uint64_t total;
    struct str next;
};

typedef void (*call_answer_fn)(void *arg, const struct call_answer *answer);

enum call_progress {
    CALL_ANSWERED, /* fn has been called already, from inside call_start() */
    CALL_RUNNING,  /* fn will be called; *out may be used to detach */
};

/* Starts an operation. A cached task is answered from inside this call: the one exception from the rule that a
 * callback never comes before the start returned, because it saves the hot path every copy. */
enum call_progress call_start(struct calls *c, const struct call_request *request,
                              call_answer_fn fn, void *arg, struct call **out);

/* The caller is gone: fn will not be called. The call goes on. */
void call_detach(struct call *c);

#endif
