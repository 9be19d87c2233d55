/* SPDX-License-Identifier: MIT
 *
 * Inside the store: how threads speak to each other. Letters go one way and in order; what a letter carries
 * changes hands whole, so nothing but the mailbox itself is ever locked.
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include <uv.h>

#include "store/store_int.h"

enum letter_kind {
    LETTER_BATCH,      /* to the writer: write it; from it: it is durable */
    LETTER_ABANDONED,  /* from the writer: closing, the batch may or may not be durable */
    LETTER_AGENTS,     /* to the writer */
    LETTER_ERRAND,     /* to the writer and back */
    LETTER_PUSH,       /* to the writer and back */
    LETTER_SPECS,      /* from the writer: the agents of the API */
    LETTER_LOADS,      /* to the reader and back */
    LETTER_LIST,       /* to the reader and back */
    LETTER_LOG,        /* to the reader and back */
    LETTER_CHECKPOINT, /* to the reader: the log has grown */
    LETTER_STATE,      /* from the writer: up, down, refused, and why */
    LETTER_ENDED,      /* from a thread: its last letter */
};

struct letter {
    struct list link;
    enum letter_kind kind;
    union {
        struct batch *batch;
        struct agents_put *put;
        struct errand *errand;
        struct push_job *push;
        struct specs *specs;
        struct load_batch *loads;
        struct list_query *query;
        struct log_query *log;
        uv_thread_t *thread;
        struct {
            enum store_state state;
            char why[256];
        };
    };
};

struct mailbox {
    uv_mutex_t mutex;
    uv_cond_t filled;
    struct list letters; /* struct letter.link */
    bool is_closed;
};

struct letter *letter_new(enum letter_kind kind);

void mailbox_init(struct mailbox *m);
void mailbox_release(struct mailbox *m); /* must be empty */

/* Takes the letter. May be called after closing: what is in the box is still read. */
void mailbox_post(struct mailbox *m, struct letter *letter);

/* The next letter, which is then the caller's to mem_free(). NULL: none within `wait_ms` (0: wait for ever),
 * or the box is closed and empty. */
struct letter *mailbox_take(struct mailbox *m, uint64_t wait_ms);

/* All letters at once, without waiting. */
void mailbox_empty(struct mailbox *m, struct list *letters);

void mailbox_close(struct mailbox *m);

/* Waits `wait_ms`, or until the box is closed; says whether it is. */
bool mailbox_pause(struct mailbox *m, uint64_t wait_ms);

#endif
