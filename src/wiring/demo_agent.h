/* SPDX-License-Identifier: MIT
 *
 * Inside the demo agent: its tasks (demo_agent.c) and its streams (demo_stream.c).
 */
#ifndef WIRING_DEMO_AGENT_H
#define WIRING_DEMO_AGENT_H

#include "a2a/a2a.h"
#include "accept/accept.h"
#include "lib/limits.h"
#include "lib/list.h"

#define DEMO_TEXT_MAX 120 /* bytes of the message kept in the id */
#define DEMO_CONTEXT_MAX 100
#define DEMO_NOTES 64

struct demo_task {
    char id[LIMIT_TASK_ID + 1], context[DEMO_CONTEXT_MAX + 1], text[DEMO_TEXT_MAX + 1];
    int64_t started_ms;
};

struct demo_agent {
    struct loop *loop;
    struct buf out;
    struct list waiting; /* blocking sends */
    struct list streams; /* struct demo_stream.link */
    /* what cannot be computed from a task's id; the oldest goes first */
    struct demo_note {
        char id[LIMIT_TASK_ID + 1], text[DEMO_TEXT_MAX + 1]; /* said to a task that asked */
        int64_t at_ms;
        bool is_canceled;
    } notes[DEMO_NOTES];
    unsigned n_notes;
};

/* --- demo_agent.c: a task is computed from its id and the time */

enum a2a_state demo_state(const struct demo_agent *a, const struct demo_task *t,
                          int64_t now_ms);
/* How many artifacts it has, and, if it goes on, when it has something new at the earliest. */
int64_t demo_artifacts(const struct demo_agent *a, const struct demo_task *t, int64_t now_ms);
int64_t demo_next_ms(const struct demo_task *t, int64_t now_ms);

void demo_write_task(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                     const struct demo_task *t, int64_t now_ms);
void demo_write_status(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                       const struct demo_task *t, int64_t now_ms);
void demo_write_artifact(struct buf *out, enum a2a_version v, const struct demo_agent *a,
                         const struct demo_task *t, int64_t number);
void demo_write_message(struct buf *out, enum a2a_version v, const struct demo_task *t,
                        const char *id, struct str text);

/* --- demo_stream.c */

/* Answers with a stream: the task as it is, then each change, to its end or until it asks. */
void demo_stream_start(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                       const struct demo_task *t);
/* Answers with a stream of one message. */
void demo_stream_message(struct demo_agent *a, struct exchange *x, const struct a2a_request *r,
                         const struct demo_task *t, struct str text);
/* Something has happened to the task that is not its clock's doing. */
void demo_stream_look(struct demo_agent *a, const char *task_id);

#endif
