/* SPDX-License-Identifier: MIT
 *
 * Webhooks as the store knows them: a configuration, and how far its receiver has been told. Included by store/store.h.
 *
 * A webhook is a cursor in its task's log: `delivered_seq` is what its receiver has acknowledged, `head_seq` what there
 * is. A commit raises head_seq and makes the cursor due in its own transaction; whoever delivers claims due cursors,
 * and settles each of them when an attempt has ended.
 *
 *     commit:    head_seq = the task's seq; due now, unless it is due already (a retry keeps its time)
 *     claim:     due, and held by no living node  -->  held by us
 *     settle:    delivered_seq, attempts; due again when the attempt says, or now if head_seq is further, or not
 *
 * Invariants
 *   1. A cursor of an enabled webhook that is behind its task is due: an acknowledgement looks at the head_seq it finds,
 *      a registration shares the lock of the task's row, and a sweep finds what all of that missed.
 *   2. A cursor is held by one node at a time; who has lost one (another node took it, its webhook was registered anew
 *      or deleted) learns it when settling.
 *   3. What is disabled keeps its place, so that a retry begins where it ended.
 *
 * A message that is no task's has a cursor of its own: one event, kept in the row (store_push_note()).
 *
 * `doc` and `secret` are opaque here. `secret` is shown by no view.
 */
#ifndef STORE_PUSH_H
#define STORE_PUSH_H

#include "store/store.h"

/* In whose words a receiver is told; the number stands in the database. */
enum push_form { PUSH_0_3 = 0, PUSH_1_0 = 1, PUSH_SUPERX = 2 };

#define PUSH_ID_MAX 128u    /* bytes of a config id: no control characters */
#define PUSH_PER_TASK 100u  /* registered with a task one by one */
#define PUSH_ROWS_MAX 1000u /* in one answer, or settled at once */

struct store_push_config {
    struct str id;
    enum push_form form;
    struct str doc, secret;
};

/* A webhook and its cursor. */
struct store_push {
    struct uuid key; /* inner name of the task, or of the message */
    struct str agent;
    struct str task_id; /* absent: a message's */
    struct str context; /* the task's; absent: none */
    struct store_push_config config;
    uint64_t head_seq, delivered_seq;
    uint64_t failed_seq; /* first event given up since the last retry; 0: none */
    unsigned attempts;   /* at the event behind delivered_seq */
    int64_t due_at_us;   /* 0: nothing to do */
    struct str disabled; /* why; absent: enabled */
    struct str payload;  /* the message; absent: a task's webhook */
    enum a2a_version payload_dialect;
    int64_t created_at_us;
};

/* Registers a webhook with a stored task, from its present seq on; with an id the task has already it takes the place of
 * that one and goes on where it stood. fn: 0, ERR_ABSENT (no such task), ERR_FULL (PUSH_PER_TASK), ERR_STORE. At once:
 * ERR_INVALID, ERR_CANCELED, ERR_NOMEM. A webhook that comes with a message: struct append. */
MUST_CHECK int store_push_put(struct store *s, struct str agent, struct str task_id,
                              const struct store_push_config *config, store_done_fn fn,
                              void *arg);

/* fn: 0, also if the task has no such webhook; ERR_ABSENT (no such task), ERR_STORE. */
MUST_CHECK int store_push_delete(struct store *s, struct str agent, struct str task_id,
                                 struct str id, store_done_fn fn, void *arg);

/* Keeps a message for its webhook: due now. */
struct store_push_note {
    struct str agent;
    struct store_push_config config; /* its id is its own: nobody else's */
    struct str payload;
    enum a2a_version dialect;
};
MUST_CHECK int store_push_note(struct store *s, const struct store_push_note *note,
                               store_done_fn fn, void *arg);

struct store_push_query {
    /* both: of that task, ERR_ABSENT if there is none; absent: any */
    struct str agent, task_id;
    struct str id;    /* absent: any */
    bool only_failed; /* disabled, or with events given up */
    /* Newest first; behind this one (has_after). */
    bool has_after;
    struct uuid after_key;
    struct str after_id;
    unsigned limit; /* 1 to PUSH_ROWS_MAX */
};

/* err: 0, ERR_ABSENT, ERR_STORE. Borrowed during the call, as all that follow. */
typedef void (*store_push_fn)(void *arg, int err, const struct store_push *rows, size_t n,
                              const char *why);
MUST_CHECK int store_push_list(struct store *s, const struct store_push_query *q,
                               store_push_fn fn, void *arg);

/* Enables it again, its next attempt due now: from the first event given up on, if there is one. fn: 0, ERR_ABSENT (no
 * such webhook), ERR_STORE. */
MUST_CHECK int store_push_retry(struct store *s, const struct uuid *key, struct str id,
                                int64_t now_us, store_done_fn fn, void *arg);

/* --- delivering --------------------------------------------------------------------------------------- */

/* Claims at most `limit` cursors that are due at `now_us`. `next_due_us`: when the next is due that nobody holds;
 * 0: none. */
typedef void (*store_claim_fn)(void *arg, int err, const struct store_push *rows, size_t n,
                               int64_t next_due_us);
MUST_CHECK int store_push_claim(struct store *s, unsigned limit, int64_t now_us,
                                store_claim_fn fn, void *arg);

struct store_push_attempt {
    uint64_t seq; /* the event */
    unsigned attempt;
    int64_t at_us;
    int status; /* HTTP; 0: none came */
    uint64_t ms;
    struct str error;  /* absent: none */
    struct str answer; /* beginning of the body */
};

struct store_push_result {
    struct uuid key;
    struct str id;
    uint64_t delivered_seq;
    unsigned attempts;
    uint64_t failed_seq; /* an event given up; 0: none */
    int64_t due_at_us;   /* the next attempt; 0: at once if there is more */
    struct str disabled; /* why it is over; absent: it is not */
    bool keep;           /* we go on with it if there is more */
    /* only the attempt counts: a later result of the same settlement says where the cursor stands */
    bool is_record;
    bool has_attempt;
    struct store_push_attempt attempt; /* for the record */
};

/* `heads[i]`: of results[i], what there is to deliver now; 0: it is ours no more. Held still if results[i].keep and
 * heads[i] > delivered_seq. err 0 or ERR_STORE (nothing was settled, or it is not known; settle again). */
typedef void (*store_settle_fn)(void *arg, int err, const uint64_t *heads, size_t n);
MUST_CHECK int store_push_settle(struct store *s, const struct store_push_result *results,
                                 size_t n, int64_t now_us, store_settle_fn fn, void *arg);

/* Makes due what a wake-up has missed. fn: 0, ERR_STORE. */
MUST_CHECK int store_push_sweep(struct store *s, int64_t now_us, store_done_fn fn, void *arg);

/* Forgets attempts, and messages that are delivered or disabled, older than `before_us`. */
MUST_CHECK int store_push_prune(struct store *s, int64_t before_us, store_done_fn fn,
                                void *arg);

/* The newest attempts of a webhook, newest first. */
typedef void (*store_attempts_fn)(void *arg, int err, const struct store_push_attempt *rows,
                                  size_t n, const char *why);
MUST_CHECK int store_push_attempts(struct store *s, const struct uuid *key, struct str id,
                                   unsigned limit, store_attempts_fn fn, void *arg);

/* Called after a commit of this node that made a cursor due. One listener; fn NULL: no more. */
void store_on_push(struct store *s, void (*fn)(void *arg), void *arg);

#endif
