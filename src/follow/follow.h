/* SPDX-License-Identifier: MIT
 *
 * A task's life at its agent. Every task that is not at its end is followed, whoever asked for it and whether
 * he is still there: its agent's stream is read where it has one, else it is asked again and again (GetTask, 0.25 s
 * doubling to 10 s, every 60 s while it waits for input); what it says is committed, and who waits is told.
 *
 *     store commits a task --> not terminal: followed --> a stream is adopted --> event --> append --> ...
 *                          |                         |                        `-> it breaks --v
 *                          |                         `--> question due --> GetTask --> append --> SubscribeToTask?
 *                          --> terminal:     forgotten, waiters told
 *
 * A stream that breaks while the task works is no news of the task: the agent is asked (GetTask), and if it still works
 * its stream is attached to again (SubscribeToTask), which may be in vain, so the questions go on with backoff; a
 * stream that brings nothing but a snapshot is no progress, and its agent's -32001 means nothing (only GetTask's does).
 * At an interrupted state the end of the stream is proper.
 *
 * One stream of a task is folded; all others, and one that was attached to without a snapshot to begin with, only say
 * that there is something to ask for. An event that ends or interrupts the task is held until the agent was asked for
 * the whole task (agent's finalGet), and committed together with what that says.
 *
 * Tasks of gateways that died are taken over: a node looks for unfinished tasks whose owner no longer lives,
 * makes them its own and follows them; so does a restarted gateway with those of its former life. A task that a
 * living node owns is followed there, and here only while somebody here waits for it.
 *
 * Invariants
 *   1. One question per task at a time: readers, the poller and cancel share it.
 *   2. A followed task holds no place at its agent between questions, but its stream's.
 *   3. A waiter is told once: terminal or interrupted, or his time is up, or stop.
 *   4. At most one stream of a task is folded, and its events are appended in the order they came. What the store cannot
 *      take now pauses the stream; no event is dropped.
 *
 * An agent that has lost a task (-32001 to GetTask, LOST_TRIES times over lost_ms) ends it: failed, "agent no
 * longer knows this task", marked as the gateway's word.
 *
 * Knows nothing of callers or bindings.
 */
#ifndef FOLLOW_FOLLOW_H
#define FOLLOW_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "dispatch/dispatch.h"
#include "lib/loop.h"
#include "store/store.h"

struct follow;

struct follow_config {
    uint64_t poll_min_ms;    /* POLL_MIN_MS 250 */
    uint64_t poll_max_ms;    /* POLL_MAX_MS 10000 */
    uint64_t interrupted_ms; /* POLL_INTERRUPTED_MS 60000 */
    uint64_t lost_ms;        /* TASK_LOST_MS 60000 */
};

/* Hooks itself into the store's commits. */
struct follow *follow_new(struct loop *loop, struct store *store, struct dispatch *dispatch,
                          const struct follow_config *config);
/* No new questions, streams are closed; waiters are told now, with the task as it is. Questions under way end with egress. */
void follow_stop(struct follow *f);
/* No question may be under way, no waiter left. */
void follow_free(struct follow *f);

/* The store is up (again): takes over what nobody follows, now and every few seconds. */
void follow_store_up(struct follow *f);

/* Asks the agent for the task once (joins a question under way), commits what it says, then calls back, once,
 * never from inside: `task` as it is now, `fault` when the agent could not be asked, answered with an error
 * (-32001 is TASK_NOT_FOUND) or the store did not take it. Both may be given; with a fault the task is what
 * the cache has, NULL if it has none. Borrowed during the call. `task_id` is copied. `out`, if not NULL, gets
 * a handle that is good until the callback begins. ERR_FULL: the agent has no place free; ERR_INVALID: no task
 * can have that id; ERR_CANCELED: stopping. */
typedef void (*follow_fn)(void *arg, struct task *task, const struct a2a_fault *fault);
struct follow_asker;
MUST_CHECK int follow_refresh(struct follow *f, struct agent *a, struct str task_id,
                              follow_fn fn, void *arg, struct follow_asker **out);
/* The callback will not come. The question goes on, and what the agent says is committed. */
void follow_refresh_cancel(struct follow_asker *asker);

/* Whether what the agent said to a question about this task is with the store, and not durable yet. */
bool follow_is_storing(const struct follow *f, struct str agent, struct str task_id);

/* Waits until a commit makes the task terminal or interrupted, at most `ms`; then calls back with the task as
 * it was last committed or read (`fault` NULL). `task` is what the waiter has seen; if it is at such an end
 * already that is told, too, never from inside. `stop_at_interrupted` false: only terminal ends. */
struct follow_wait;
struct follow_wait *follow_wait_start(struct follow *f, struct task *task, uint64_t ms,
                                      bool stop_at_interrupted, follow_fn fn, void *arg);
void follow_wait_cancel(struct follow_wait *w); /* the callback will not come */

/* Takes a stream over: the agent's answer to a message for `task`, whose first event is committed (`task` is what came
 * of it). The events behind it are folded from now on, whoever leaves; if a stream of the task is being folded already,
 * this one is only heeded as a sign that something has changed. The stream is follow/'s in any case. */
void follow_adopt(struct follow *f, struct task *task, struct stream *stream);

/* Whether a stream of the task is open (folded, so that what the store has is the agent's last word), or its end is
 * being settled. */
bool follow_is_streaming(const struct follow *f, struct str agent, struct str task_id);

/* Called when follow_is_streaming() has become false; one listener, fn NULL: no more. */
typedef void (*follow_quiet_fn)(void *arg, struct str agent, struct str task_id);
void follow_on_quiet(struct follow *f, follow_quiet_fn fn, void *arg);

/* The gateway ended a task of its own accord (too large): its agent is told to stop, best effort. */
void follow_cancel_at_agent(struct follow *f, struct str agent, struct str task_id);

size_t follow_count(const struct follow *f);   /* tasks followed now */
size_t follow_streams(const struct follow *f); /* streams of agents open now */

#endif
