/* SPDX-License-Identifier: MIT
 *
 * The parts of subscribe, to each other.
 *
 *     feed.c      a task that has readers: its newest events, and who waits for the next
 *     reader.c    one reader: what it is given next; pages of the log
 *     entry.c     one event, and how it is said
 *     cursor.c    where a reader stands, as text (pure)
 *
 *     feeds --> feed (one per task) --> ring of entries
 *          |        `--> readers: waiting for the next event, or not
 *          `--> readers that were woken; readers that want a page of the log
 */
#ifndef SUBSCRIBE_SUBSCRIBE_INT_H
#define SUBSCRIBE_SUBSCRIBE_INT_H

#include "lib/limits.h"
#include "lib/list.h"
#include "lib/map.h"
#include "subscribe/subscribe.h"

/* Pages of the log being read at a time, over all readers. */
#define PAGES_AT_ONCE 16u
/* A log that cannot be read: tried again after a pause, for so long altogether. */
#define PAGE_RETRY_MS 500u
#define PAGE_PATIENCE_MS 30000u

struct feeds {
    struct loop *loop; /* borrowed, as the store, as long as the gateway lives */
    struct store *store;
    struct store_listener listener;
    struct map map;       /* "agent NUL task id" -> struct feed */
    struct list ready;    /* reader.place: woken, told at the end of the turn */
    struct list wanting;  /* reader.place: want a page */
    struct list retrying; /* reader.place: their page could not be read */
    struct timer retry;
    struct deferred wake;
    unsigned n_pages; /* being read */
    size_t n_readers, n_behind;
    uint64_t n_told, n_pages_read;
    size_t ring_bytes, ring_events; /* limits; smaller in tests */
    bool is_stopped;
};

/* --- entry.c */

/* How an event can be said: by version, and for 0.3 also with `final`. */
enum saying { SAYING_0_3, SAYING_0_3_LAST, SAYING_1_0, SAYING_MAX };

struct entry {
    uint64_t seq;
    enum a2a_event_kind kind;
    enum a2a_version dialect;
    bool has_state;
    enum a2a_state state;
    struct str said[SAYING_MAX]; /* owned; absent: not said yet */
    size_t bytes;                /* all of it */
    size_t n;
    char payload[];
};

struct entry *entry_new(const struct store_event *event);
void entry_free(struct entry *e); /* accepts NULL */
/* Says it, once. The text is the entry's. ERR_INVALID with *why, ERR_NOMEM. */
MUST_CHECK int entry_say(struct entry *e, struct str task_id, struct str context,
                         enum a2a_version version, bool is_last, struct str *out,
                         const char **why);

/* --- feed.c */

struct feed {
    struct feeds *feeds;
    struct list waiting; /* reader.place: up to date */
    struct list readers; /* reader.link: all */
    unsigned n_readers, n_waiting, n_watchers;
    unsigned epoch; /* how often those who waited were woken */
    uint64_t head;  /* the newest event there is, as far as is known */
    bool has_state; /* `state` is that of head */
    enum a2a_state state;
    struct task
        *task; /* counted: the newest that was committed here, while there are watchers */
    bool is_fetching; /* watchers: the task is being looked up */
    struct entry *
        *ring; /* owned; events first to first + n - 1, from at on, in `room` places */
    uint64_t first;
    unsigned at, n, room;
    size_t ring_bytes;
    struct str agent, id, context, key;
    char bytes[];
};

struct feed *feed_get(struct feeds *f, struct task *task);
void feed_leave(struct feed *feed); /* a reader has gone; frees it with the last */
/* The event, if it is still in the ring. */
struct entry *feed_find(const struct feed *feed, uint64_t seq);
/* Whoever waits finds out. */
void feed_wake(struct feed *feed);
/* Everybody is up to date: nothing need be kept. */
void feed_forget(struct feed *feed);
/* For watchers of a task that another node writes. */
void feed_fetch(struct feed *feed);

/* --- reader.c */

struct page_read;

struct reader {
    struct list link; /* in feed->readers */
    struct list
        /* waiting, ready, wanting or retrying; unlinked: being told, or its page is read */
        place;
    struct feed *feed;
    struct reader_config config;
    uint64_t next;     /* the event it is given next */
    struct task *task; /* counted: to be told first, or told last */
    bool has_task_to_tell;
    bool
        /* in feed->waiting, and counted there, if `epoch` is the feed's; else woken since */
        is_waiting;
    unsigned epoch;
    bool is_owed; /* on_ready */
    bool is_over;
    int err;                   /* the log cannot be read */
    enum a2a_state state;      /* as told last */
    uint64_t seen;             /* watchers: the seq of the task told last */
    uint64_t patient_until_ms; /* 0: the log could be read */
    struct page_read *reading; /* NULL: no page is being read for it */
    struct entry **page;       /* owned: n_page of them, page_at used up */
    unsigned n_page, page_at;
};

void reader_wake(struct reader *r); /* it is told at the turn's end */
void pages_go_on(struct feeds *f);

#endif
