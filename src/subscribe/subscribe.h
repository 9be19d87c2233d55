/* SPDX-License-Identifier: MIT
 *
 * Who is told: live readers of tasks.
 *
 *     store commits events --> feed (one per task that has readers) --> readers, woken once per turn
 *                                ring of the newest events
 *     reader behind the ring ----------------------------------------> store_events_read(), page by page
 *
 * A reader pulls: it is woken when there is something, takes event after event with reader_next() as long as its peer
 * takes bytes, and stops where it likes. A reader that is slow, new or resumed from a cursor reads the log until it has
 * caught up with the ring; nothing else distinguishes it. Memory is bounded per task (the ring) and per reader (one page
 * of the log), however far behind it is.
 *
 * Invariants
 *   1. A reader is given n+1 after n: every told event of the log behind where it began, in order, once.
 *   2. It is given nothing that is not durable.
 *   3. What one reader does costs the others nothing: events are formed once per version, not once per reader.
 *
 * A task written by another node is read from the log when the store says that it has changed.
 *
 * Knows nothing of calls, framing or connections.
 */
#ifndef SUBSCRIBE_SUBSCRIBE_H
#define SUBSCRIBE_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "a2a/a2a.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "store/store.h"

struct feeds;  /* all of a gateway */
struct reader; /* one open stream */

/* Listens to the store's commits. */
struct feeds *feeds_new(struct loop *loop, struct store *store);
/* The gateway stops: every reader is at its end now (reader_next() says so), and is woken to find out. */
void feeds_stop(struct feeds *f);
/* No reader may be open. Accepts NULL. */
void feeds_free(struct feeds *f);

/* --- readers ---------------------------------------------------------------------------------------- */

enum reader_kind {
    READER_SUBSCRIBER, /* to the task's end */
    READER_SENDER,     /* to its end, or to where its agent stops at an interrupted state */
    READER_WATCHER,    /* like a subscriber, but told the whole task at each change */
};

#define READER_FROM_NOW UINT64_MAX

struct reader_config {
    enum reader_kind kind;
    enum a2a_version version; /* in which events are told */
    /* READER_FROM_NOW: begins with the task as it is, then what comes. Else exactly behind this seq (a cursor's). */
    uint64_t after;
    /* SENDER: whether more may come although the task is interrupted, because its agent still streams. */
    bool (*is_going_on)(void *arg, struct str agent, struct str id);
    /* There may be something to take. At the end of a turn, once, never from inside; again only after reader_next() has
     * said ERR_AGAIN. */
    void (*on_ready)(void *arg);
    void *arg;
};

/* `task` is what the store has now; kept counted. The first reader_next() may be called at once. ERR_INVALID: `after`
 * lies behind the task's seq (the cursor is not of this task's log). ERR_CANCELED: stopping. */
MUST_CHECK int reader_open(struct feeds *f, struct task *task,
                           const struct reader_config *config, struct reader **out);

struct reader_event {
    uint64_t seq;
    /* A whole task: the first of a reader that begins now, every one of a watcher. NULL: `object` is given. Borrowed
     * like `object`. */
    struct task *task;
    /* As a2a_told_write() says it: the `result` of a stream's answer. Borrowed until the next call for any reader, or
     * the turn's end. */
    struct str object;
    bool is_last; /* the stream ends with it */
};

/* The next thing to tell. 0; ERR_AGAIN: nothing now, on_ready will be called; ERR_ABSENT: the stream is at its proper
 * end; ERR_CANCELED: the gateway stops (the reader may come back with its cursor); ERR_STORE: the log cannot be read,
 * for longer than a reader may be kept (the same); ERR_INVALID: an event cannot be told in the reader's version, *why
 * (literal) says why; its seq is out->seq. After anything but 0 and ERR_AGAIN only reader_close() may follow. */
MUST_CHECK int reader_next(struct reader *r, struct reader_event *out, const char **why);

void reader_close(struct reader *r); /* accepts NULL */

/* The agent of an interrupted task has stopped streaming: senders who waited for that look again. */
void feeds_nudge(struct feeds *f, struct str agent, struct str id);

struct feeds_figures {
    size_t feeds, readers, behind; /* behind: reading the log now */
    uint64_t told, pages;          /* events given to readers; pages of the log read */
};
void feeds_figures(const struct feeds *f, struct feeds_figures *out);

/* --- cursors ---------------------------------------------------------------------------------------- */

/* Where a reader stands, as text that names agent, task and seq: the `id` of a server-sent event, and what comes back
 * as Last-Event-ID. Opaque to callers; letters, digits, '-', '_' and '.'. */
#define CURSOR_TEXT_MAX 1024u

/* What all cursors of a task have in common, to be followed by the seq: computed once per reader. */
void cursor_write_prefix(struct buf *out, struct str agent, struct str id);
void cursor_write_seq(struct buf *out, uint64_t seq);

/* ERR_INVALID: not a cursor. Strings in `arena`. */
MUST_CHECK int cursor_read(struct str text, struct arena *arena, struct str *agent,
                           struct str *id, uint64_t *seq);

/* The other room behind this door. */
#include "subscribe/webhooks.h"

#endif
