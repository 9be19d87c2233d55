/* SPDX-License-Identifier: MIT
 *
 * Inside call/: the call object and what its steps share.
 */
#ifndef CALL_CALL_INT_H
#define CALL_CALL_INT_H

#include "call/call.h"
#include "lib/arena.h"
#include "lib/list.h"
#include "lib/map.h"

struct calls {
    struct loop *loop; /* borrowed, as the next two, as long as the gateway lives */
    struct store *store;
    struct dispatch *dispatch;
    struct calls_config config;
    struct list running; /* every call that is not over */
    unsigned n_running;
    struct map refreshes; /* "agent\0task id" -> the get that is asking the agent for it */
    void (*on_idle)(void *arg); /* set: draining */
    void *on_idle_arg;
};

enum call_step_id {
#define X(id, handler) CALL_##id,
#include "call/call.def"
#undef X
    CALL_STEP_MAX
};

enum call_flow { CALL_GO, CALL_WAIT, CALL_END_NOW };

#define CALL_MAGIC 0x63616c6cu

/* Everything a call keeps is in its arena or counted: nothing points into the exchange it came from. */
struct call {
    unsigned magic;
    struct calls *calls;
    struct list link; /* in calls.running */
    enum call_step_id step;
    struct a2a_request request; /* views into the arena */
    /* arena; task_id decoded, absent for a new task */
    struct str agent_id, request_id, task_id;
    /* counted; NULL for lists and for tasks of agents that are gone */
    struct agent *agent;
    struct ask *ask;   /* running at the agent; borrowed until its callback */
    call_answer_fn fn; /* NULL: nobody waits (any more) */
    bool told;         /* the caller had his answer */
    void *arg;
    uint64_t started_ns;

    struct task *task; /* counted: what the store knows, later what was committed */
    /* the agent's word; borrowed while a step runs inside its callback */
    const struct a2a_reply *reply;
    struct a2a_fault fault;
    bool has_fault;
    struct timer store_wait;
    struct task_query list;

    struct str refresh_key; /* in calls.refreshes while this get asks; absent otherwise */
    struct list followers;  /* gets that wait for this one's answer */
    struct list follow_link;
    struct arena arena;
};

/* The one driver: runs steps until one waits (CALL_WAIT) or the call is over and freed (CALL_END_NOW). */
enum call_flow call_step(struct call *c);

/* Sets the fault and leads to END. */
enum call_flow call_fail(struct call *c, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for a fault found elsewhere. */
enum call_flow call_fail_with(struct call *c, const struct a2a_fault *fault);
/* Leads to END with success: the answer is call->task or, for messages, call->reply. */
enum call_flow call_succeed(struct call *c);

/* Takes a reference to `task` in place of what was there. */
void call_set_task(struct call *c, struct task *task);

/* Tells the caller now; nobody is waiting afterwards. */
void call_tell(struct call *c, const struct call_answer *answer);

/* Ends the gets that wait for this one's question: with `fault`, or (NULL) with the task as this call has it.
 * Later ones ask anew. */
void call_release_followers(struct call *c, const struct a2a_fault *fault);

/* The text of an id as a caller gave it: a view when it has no escapes, else decoded into `arena`. Absent when it can
 * not be the id of any task (control characters, no memory). */
struct str call_decode_id(struct arena *arena, struct str raw);

/* Whether a stored task may be answered without asking its agent. */
bool call_is_fresh(const struct calls *calls, const struct task *task);

/* One line per call. `task` may be NULL. */
struct call_report {
    struct str agent, request_id, task_id;
    const struct a2a_request *request;
    const struct task *task;
    const struct a2a_fault *fault;
    uint64_t started_ns;
    bool nobody_waited;
};
void call_log(const struct call_report *report);

#define X(id, handler) enum call_flow handler(struct call *c);
#include "call/call.def"
#undef X

#endif
