/* SPDX-License-Identifier: MIT
 *
 * One operation, from admission to its single answer.
 *
 * A call is a table of steps driven by one function, call_step(); completions of what it waits for only
 * record their result and step it again. It outlives the connection it came from: a caller who hangs up
 * changes nothing, the agent's answer is still awaited and stored.
 *
 *     send:    find agent -> take place, ask -> understand -> append -> (committed) -> wait for the end? -> answer
 *     get:     peek -> answer
 *              load -> fresh enough? answer : ask the agent -> append -> answer
 *     cancel:  load -> over? -32002 : tell the agent -> append -> answer
 *     list:    query -> answer
 *     stream:  like send, but the agent is asked for a stream: first event -> append -> (committed) -> follow/ has the
 *              rest -> answered with a stream that reads the log from there
 *     subscribe: load -> answered with a stream
 *
 * A stream is told from the log, whatever the agent does: an agent that has no streams is asked not to wait, and
 * followed. A stream request that comes with a cursor (Last-Event-ID) is a reconnect: it attaches, nothing is sent.
 *
 * Callers speak their version, agents theirs: a call carries the caller's request as it came, dispatch says
 * it in the agent's words, and the answer names the version it is stored in, for the binding to translate.
 *
 * Knows nothing of HTTP or framing, but that a request comes with headers (gRPC calls them metadata).
 */
#ifndef CALL_CALL_H
#define CALL_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "dispatch/dispatch.h"
#include "follow/follow.h"
#include "lib/http.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "store/store.h"
#include "subscribe/subscribe.h"

struct calls; /* all calls of a gateway */
struct call;
struct call_stream; /* what a caller of a stream is told, one after the other */

struct calls_config {
    /* TASK_FRESH_MS: an active task younger than this is answered from the store */
    uint64_t fresh_ms;
    /* A caller waits this long for a database that is gone, then is told; and a reader for a silent agent, when
     * there is a stored task to tell him. */
    uint64_t store_wait_ms;
    /* SEND_WAIT: a blocking send is answered after this with the task as it is */
    uint64_t send_wait_ms;
    struct agent_defaults agent_defaults; /* for agents.upsert */
    struct webhooks *webhooks; /* borrowed as long as the calls live; NULL: there are none */
};

struct calls *calls_new(struct loop *loop, struct store *store, struct dispatch *dispatch,
                        struct follow *follow, struct feeds *feeds,
                        const struct calls_config *config);
void calls_free(struct calls *c); /* none may be running */

unsigned calls_running(const struct calls *c);

/* From now on new calls are refused (SHUTTING_DOWN), open streams are at their end, and callers who only wait for the
 * end of their task, or for its agent's word on it, are answered with the task as it is; `on_idle` comes once, when the
 * last call has ended and the last stream was closed. */
void calls_drain(struct calls *c, void (*on_idle)(void *arg), void *arg);

struct call_request {
    /* id from the path. Absent: for lists over all agents; for get and cancel the agent is found by the
     * task's id, and if several have such a task the fault names them. */
    struct str agent;
    const struct a2a_request *a2a; /* borrowed during call_start() */
    struct str request_id;         /* for the log; borrowed during call_start() */
    bool want_summaries;           /* lists: rows without documents */
    bool no_wait;                  /* send: the agent shall not wait, whatever the params say */
    /* it came by /rpc: a webhook that comes along is told as the first SuperX did */
    bool is_superx;
    bool want_whole_tasks;    /* subscribe: the whole task at each change, instead of updates */
    struct str last_event_id; /* streams: the cursor a caller comes back with; absent: none */
    /* Names and values that came with the request, whatever carried them; borrowed during call_start(). Of sends
     * and cancels the agent gets what concerns it (headers.c). */
    const struct http_header *headers;
    size_t n_headers;
};

/* What the caller is told. Everything borrowed during the call of the answer function. */
struct call_answer {
    const struct a2a_fault *fault; /* NULL: success */
    struct a2a_result result;      /* task or message; absent with a stream */
    /* STREAM and SUBSCRIBE: the stream, now the caller's own; its first event is ready. NULL when a message was answered,
     * which then is the whole stream. */
    struct call_stream *stream;
    struct str
        /* sends: those the agent says it has activated, a header's value; absent: none */
        extensions;
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

/* Starts an operation. A cached task is answered from inside this call: the one exception from the rule that
 * a callback never comes before the start returned, because it saves the hot path every copy. */
enum call_progress call_start(struct calls *c, const struct call_request *request,
                              call_answer_fn fn, void *arg, struct call **out);

/* The caller is gone: fn will not be called. What was begun at an agent goes on; `c` is not the caller's any
 * more. */
void call_detach(struct call *c);

/* --- streams (told.c) ----------------------------------------------------------------------------- */

struct call_event {
    struct str object; /* the `result` of this answer, in the caller's version */
    struct str cursor; /* the event's id */
    bool is_last;
};

/* `on_ready`: there may be something to take; at the end of a turn, never from inside, once after each ERR_AGAIN. */
void call_stream_listen(struct call_stream *s, void (*on_ready)(void *arg), void *arg);

/* Takes the next event. 0; ERR_AGAIN: on_ready will be called; ERR_ABSENT: the proper end; anything else: the stream
 * ends with *fault, which the caller may be told. Views borrowed until the next call for any stream, or the turn's end.
 * After anything but 0 and ERR_AGAIN only call_stream_close() may follow. */
MUST_CHECK int call_stream_next(struct call_stream *s, struct call_event *out,
                                struct a2a_fault *fault);

/* Nothing of it is touched any more: the task goes on without its reader. Logs the call's line, which is why the call
 * itself has none. */
void call_stream_close(struct call_stream *s);

/* --- agents as callers see them (admin.c, card.c) ------------------------------------------------- */

enum call_admin_op {
    CALL_AGENTS_LIST,    /* -> array of agent maps, no credentials */
    CALL_AGENTS_GET,     /* id -> agent map */
    CALL_AGENTS_UPSERT,  /* agent -> agent map; committed first */
    CALL_AGENTS_DELETE,  /* id -> true */
    CALL_AGENTS_REFRESH, /* id -> {agent map, card} */
    CALL_AGENTS_HEALTH,  /* id or absent (all) -> health map(s) */
    CALL_AGENTS_CHECK,   /* id of a registered agent, or agent -> {usable, findings[], ...} */
};

/* `id` decoded, absent if not given; `agent` a JSON object in the keys of the agents file. Borrowed. */
struct call_admin_request {
    enum call_admin_op op;
    struct str id, agent, request_id;
};

/* `result` is JSON; absent when there is a fault. Borrowed during the call, which comes once, also from
 * inside the start. */
typedef void (*call_admin_fn)(void *arg, const struct a2a_fault *fault, struct str result);
void call_admin_start(struct calls *c, const struct call_admin_request *request,
                      call_admin_fn fn, void *arg);

/* --- webhooks (push.c, webhooks.c) ---------------------------------------------------------------- */

/* PUSH_SET, _GET, _LIST, _DELETE; the answer is the JSON of a2a_push_write(), of a list, null, or true. `agent` absent:
 * the params may say it, or the task's id finds it. Borrowed during the call. */
struct call_push_request {
    struct str agent, request_id;
    const struct a2a_request *a2a;
    bool is_superx; /* by /rpc */
};
void call_push_start(struct calls *c, const struct call_push_request *request, call_admin_fn fn,
                     void *arg);

/* What people do with webhooks; guarded like agents.upsert. */
enum call_webhooks_op {
    CALL_WEBHOOKS_LIST,     /* -> {webhooks: [...], next} */
    CALL_WEBHOOKS_SHOW,     /* one of them -> its map */
    CALL_WEBHOOKS_ATTEMPTS, /* one of them -> array, newest first */
    CALL_WEBHOOKS_RETRY,    /* one of them, or all that failed -> {retried} */
    CALL_WEBHOOKS_TEST,     /* one of them is called once, with a made-up event */
};

/* `params`: {id, agentId, taskId, failed, limit, after}, all optional but where one webhook is meant. */
struct call_webhooks_request {
    enum call_webhooks_op op;
    struct str params, request_id;
};
void call_webhooks_start(struct calls *c, const struct call_webhooks_request *request,
                         call_admin_fn fn, void *arg);

/* An agent's card. `id` absent: the default agent's; fault AGENT_NOT_FOUND when there is none. Called once,
 * also from inside. Borrowed during the call. */
struct call_card {
    const struct a2a_fault *fault; /* NULL: doc is given */
    int status; /* with a fault: HTTP status the agent's card server gave; 0: none */
    struct str agent, doc;
    bool has_form;
    enum a2a_card_form form;
};
typedef void (*call_card_fn)(void *arg, const struct call_card *card);
void call_card_start(struct calls *c, struct str id, call_card_fn fn, void *arg);

/* Walks the ids of all agents in order; absent at the end. Start with *at = 0. */
struct str calls_next_agent(struct calls *c, size_t *at);

#endif
