/* SPDX-License-Identifier: MIT
 *
 * Named crash points: places where a test build can be told to die at once, as if by kill -9.
 *
 *     SUPERX_CRASH=store.batch_sent:3 build/crash/superx serve
 *
 * dies by SIGKILL the third time that line is reached (":1" when no count is given). The names stand in
 * CRASH_MAP below, each between two steps of the spine; a test walks the list and kills at every one.
 * Outside test builds the macro is nothing.
 */
#ifndef LIB_CRASH_H
#define LIB_CRASH_H

#define CRASH_MAP(X)                                                                           \
    X(call_started, "a send was understood, the agent has not been asked")                     \
    X(ask_written, "the request was handed to the agent's connection")                         \
    X(reply_received, "the agent answered, nothing was queued")                                \
    X(stream_heard, "an event of an agent's stream was read, nothing was queued")              \
    X(stream_adopted, "a stream's first word is stored, follow/ listens, its caller not told") \
    X(stream_ending, "a stream has told a task's end, the final GetTask is under way")         \
    X(append_queued, "the events are queued, no batch was formed")                             \
    X(batch_folded, "a batch was folded and has its numbers, nothing was sent")                \
    X(batch_sent, "the batch is with the database, no answer yet")                             \
    X(batch_written, "SQLite: all rows written, not committed")                                \
    X(batch_committed, "the commit is confirmed, nobody knows yet")                            \
    X(cache_filled, "the cache has the new task, waiters not told")                            \
    X(append_told, "the waiter was told, the answer is not written")                           \
    X(feed_filled, "the feed has a committed event, no reader was woken")                      \
    X(webhooks_claimed, "cursors are claimed, nothing was sent")                               \
    X(webhook_sent, "an event is on its way to its receiver")                                  \
    X(webhook_answered, "the receiver has answered, nothing is settled")                       \
    X(webhooks_settling, "a settlement is with the store")                                     \
    X(webhooks_settled, "a settlement is durable, no hook knows yet")                          \
    X(event_written, "an event was given to a reader's connection")                            \
    X(answer_queued, "the answer is formed, not given to the kernel")                          \
    X(answer_written, "the answer was given to the kernel")

#ifdef CRASH_POINTS
enum crash_point {
#define X(name, text) CRASH_##name,
    CRASH_MAP(X)
#undef X
        CRASH_MAX
};
void crash_here(enum crash_point point);
#define CRASH_POINT(name) crash_here(CRASH_##name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

#endif
