/* SPDX-License-Identifier: MIT
 *
 * Inside call/: the call object and what its steps share.
 */
#ifndef CALL_CALL_INT_H
#define CALL_CALL_INT_H

#include "call/call.h"
#include "lib/arena.h"
#include "lib/id.h"
#include "lib/list.h"

struct calls {
    struct loop *loop; /* borrowed, as the next three, as long as the gateway lives */
    struct store *store;
    struct dispatch *dispatch;
    struct follow *follow;
    struct feeds *feeds;
    struct store_listener listener; /* for calls that hold through an interruption (send.c) */
    struct calls_config config;
    struct list running; /* every call that is not over */
    struct list waiting; /* those of them that only wait for their task's end */
    struct list reading; /* and those that only wait to read what its agent says of it */
    unsigned n_holding;  /* those of `waiting` that hold through an interruption */
    unsigned n_running, n_streams;
    struct buf told, cursor;    /* what a stream is told just now */
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
    enum call_step_id step, after_refresh;
    struct a2a_request request; /* views into the arena */
    /* arena; agent_id absent until it is found; task_id decoded, absent for a new task */
    struct str agent_id, request_id, task_id;
    bool want_summaries, want_whole_tasks, no_wait;
    struct str last_event_id;    /* arena: the caller's cursor; absent: none */
    uint64_t cursor_seq;         /* the same, once it was read */
    struct http_header *headers; /* arena: the caller's that may go to the agent; NULL: none */
    size_t n_headers;
    struct str extensions; /* arena: what the agent has activated; absent: none */
    /* counted; NULL for lists and for tasks of agents that are gone */
    struct agent *agent;
    struct ask *ask; /* running at the agent; borrowed until its callback */
    /* owned: the agent's, from the asking until it is given to follow/; NULL: none */
    struct stream *stream;
    struct webhook_look *look; /* owned while the url of the caller's webhook is looked up */
    bool is_superx;            /* of /rpc */
    bool has_push;
    struct store_push_config push; /* arena: the webhook that came with the message */
    bool has_no_stream;            /* the agent has none for us: it is asked not to wait */
    bool is_not_waited; /* it was asked so, or for a stream, whatever the caller wanted */
    bool knew_task;     /* the message is for a task that is stored */
    bool only_message;  /* nothing but the caller's message is appended */
    /* The stored task was interrupted when the message came: that is no end to wait for, until the agent has said
     * anew that it is. */
    bool holds_through;
    struct call_stream *told_stream; /* owned until the caller is told */
    call_answer_fn fn;               /* NULL: nobody waits (any more) */
    bool told;                       /* the caller had his answer */
    void *arg;
    uint64_t started_ns;

    struct task *task; /* counted: what the store knows, later what was committed */
    /* the agent's word and the version it is said in; borrowed while a step runs inside its callback */
    const struct a2a_reply *reply;
    enum a2a_version spoken;
    /* What goes with the request; `context_text` is ours, sent if context.add points to it. */
    struct dispatch_context context;
    char context_text[UUID_TEXT + 1];
    bool has_added_context;
    struct a2a_fault fault;
    bool has_fault;
    const struct a2a_fault *denial; /* arena: the agent's refusal to cancel, while we ask why */
    struct timer store_wait;
    struct follow_asker *asker; /* owned while follow/ asks the agent for us */
    struct follow_wait *wait;   /* owned while the call is in calls.waiting */
    struct list wait_link;      /* in calls.waiting or calls.reading */
    struct follow_wait
        *early_end; /* owned: while the agent works on a message for a known task */
    struct arena arena;
};

/* The one driver: runs steps until one waits (CALL_WAIT) or the call is over and freed (CALL_END_NOW). */
enum call_flow call_step(struct call *c);

/* Sets the fault and leads to END. */
enum call_flow call_fail(struct call *c, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* The same for a fault found elsewhere. */
enum call_flow call_fail_with(struct call *c, const struct a2a_fault *fault);
/* The same for the agent's own error, which is c->reply. */
enum call_flow call_fail_as_agent(struct call *c);
/* The same with what is said in more than one step. */
enum call_flow call_fail_no_agent(struct call *c); /* of the call's agent id */
enum call_flow call_fail_unknown(struct call *c);  /* task, here and at its agent */
enum call_flow call_fail_closing(struct call *c);  /* the gateway stops */
enum call_flow call_fail_store(struct call *c);    /* is not up */
enum call_flow call_fail_full(struct call *c);     /* no place at the agent */
/* Leads to END with success: the answer is call->task or, for messages, call->reply. */
enum call_flow call_succeed(struct call *c);
enum call_flow call_go(struct call *c, enum call_step_id step);

/* Takes a reference to `task` in place of what was there. */
void call_set_task(struct call *c, struct task *task);

/* Tells the caller now; nobody is waiting afterwards. */
void call_tell(struct call *c, const struct call_answer *answer);
/* What is to be told when the store is late with the agent's word. */
void call_late_fault(const struct call *c, struct a2a_fault *fault);

/* Ends a wait for the task's end ahead of time: the call is over, with the task as it is. */
void call_stop_waiting(struct call *c);
/* The same for a read that waits for the agent's word. */
void call_stop_reading(struct call *c);

/* Asks the agent for the task, together with whoever else wants to know, and goes on with `then`: call->task
 * is what is known now, if anything is, and has_fault says that it could not be asked, does not know it, or
 * that its word could not be stored. */
enum call_flow call_refresh(struct call *c, enum call_step_id then);

/* --- headers.c */

/* Copies the caller's headers that may go to the agent. ERR_NOMEM. */
MUST_CHECK int call_keep_headers(struct call *c, const struct call_request *request);
/* Puts those that go to c->agent into c->context. false: they cannot go, and the fault is set. */
bool call_pick_headers(struct call *c);

/* Says the caller's request to c->agent, with c->context; on_reply with the call as its argument. `no_wait`: a send
 * whose agent shall not wait for the end. */
enum call_flow call_ask(struct call *c, bool no_wait, dispatch_fn on_reply);

/* --- push.c */

/* Whether the message that the agent answered with is to be kept for a webhook. */
bool call_wants_note(const struct call *c);

/* --- stream.c, told.c */

/* Whether the caller's message is to be said to c->agent as a stream. */
bool call_wants_stream_of_agent(const struct call *c);
/* Says it so. ERR_FULL, nothing else: the agent has no place for a stream, and nothing has happened. */
MUST_CHECK int call_ask_stream(struct call *c, enum call_flow *flow);
/* The request could not be said: ERR_FULL, ERR_INVALID with `why`, ... */
enum call_flow call_fail_unsaid(struct call *c, int err, const char *why);
/* Opens what the caller will be told of c->task: c->told_stream. Nothing is opened when nobody waits (any more). Errors
 * as reader_open(). */
MUST_CHECK int call_stream_open(struct call *c, enum reader_kind kind, uint64_t after);
/* The agent has said something: the end of the task is no longer watched for. */
void call_stop_watching(struct call *c);
/* For calls.listener. */
void calls_on_commit(void *arg, struct task *task, const struct store_event *events, size_t n);
/* A call or stream has gone: if it was the last and the gateway drains, that is told. */
void calls_settle(struct calls *c);

/* The text of an id as a caller gave it: a view when it has no escapes, else decoded into `arena`. Absent
 * when it can not be the id of any task (control characters, no memory). */
struct str call_decode_id(struct arena *arena, struct str raw);

/* Whether a stored task may be answered without asking its agent. */
bool call_is_fresh(const struct calls *calls, const struct task *task);

/* What is told of a stored task. */
struct a2a_result call_task_result(const struct task *task);

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
