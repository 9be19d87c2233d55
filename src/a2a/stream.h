/* SPDX-License-Identifier: MIT
 *
 * Streams: what an agent's stream says, what a caller's stream is told, and how a snapshot becomes events.
 *
 *     agent's frame --a2a_stream_read()--> object --(store)--> event of the log --a2a_told_write()--> caller's frame
 *     snapshot      --a2a_difference()---> artifact updates, SYNC, status update
 *
 * A stream of a task begins with its Task and goes on with status and artifact updates; a second Task is never told
 * (A2A 1.0 section 3.1.2). So what happened while nobody listened is appended to the log as the updates that would have
 * led there; what updates cannot say (history, metadata, the order of members) travels beside them in a silent event.
 *
 * Included by a2a/a2a.h, the door of this folder.
 */
#ifndef A2A_STREAM_H
#define A2A_STREAM_H

#include "a2a/a2a.h"

/* --- what an agent's stream says (JSON-RPC over server-sent events) ------------------------------------ */

enum a2a_stream_kind {
    A2A_STREAM_TASK,
    A2A_STREAM_MESSAGE,
    A2A_STREAM_STATUS,   /* TaskStatusUpdateEvent */
    A2A_STREAM_ARTIFACT, /* TaskArtifactUpdateEvent */
    A2A_STREAM_ERROR,    /* a JSON-RPC error object */
};

struct a2a_stream_event {
    enum a2a_stream_kind kind;
    struct str object;        /* unwrapped: what stands in the log */
    struct str task_id;       /* raw with quotes, checked; absent for messages and errors */
    enum a2a_version dialect; /* in whose words `object` is said */
    bool has_state, is_final; /* is_final: 0.3's `final` is true */
    enum a2a_state state;     /* of a task or status update */
    int64_t error_code;       /* for errors */
};

/* Reads one frame's data: a JSON-RPC answer to `id` (an error may have a null id). `version` is the agent's; bare or
 * wrapped is taken as it comes, as a2a_reply_read() does. ERR_INVALID with *fault (INVALID_AGENT_RESPONSE and why) for
 * what is no legal answer: no JSON, wrong id, an update without taskId, status or artifact, ... Views into `data`. */
MUST_CHECK int a2a_stream_read(struct str data, enum a2a_version version, uint64_t id,
                               struct a2a_stream_event *out, struct a2a_fault *fault);

/* A Task that begins with this update, for agents whose stream begins with one: {id, contextId, kind, status}, where an
 * artifact update has the state working. ERR_NOMEM, ERR_LIMIT: `out` is too small. */
MUST_CHECK int a2a_task_write_begun(struct buf *out, const struct a2a_stream_event *update);

/* --- events of the log -------------------------------------------------------------------------------- */

/* What a document is after a snapshot came, said in events that can be told. Calls `sink` for each event in the order
 * in which they are to be folded and appended; payloads are borrowed during the call:
 *
 *     ARTIFACT_UPDATE  for each artifact that is new or differs: with append, only the parts that came, where what is
 *                      stored is their beginning and nothing else changed; else the whole artifact
 *     SYNC             if what is left after these differs from the snapshot but for its status
 *     STATUS_UPDATE    if the status differs, or (`last` given) the update `last` instead of one of our making when it
 *                      has that very status
 *
 * Folding them all gives what a2a_event_fold() makes of the snapshot, member for member. `doc` and `snapshot` are
 * minified and of one dialect; the task is not terminal. Returns 0 (also when nothing differs: sink was not called),
 * ERR_INVALID with *why (one of the two is no task, or they are two tasks), ERR_NOMEM, ERR_LIMIT, ERR_FINAL (it was
 * terminal), or the first error that sink returned.
 *
 * A status update may find its status there already, where SYNC has taken an old message away: it is told all the same.
 * What cannot be told as an update (an artifact without artifactId, the second of two with the same one, artifacts that
 * are gone or stand in another order) is in SYNC alone. */
typedef int (*a2a_event_sink)(void *arg, const struct a2a_event *event);
MUST_CHECK int a2a_difference(struct str doc, struct str snapshot, struct str last,
                              a2a_event_sink sink, void *arg, const char **why);

/* The state that an event puts its task into; ERR_ABSENT for events that change none (messages, artifacts, SYNC). */
MUST_CHECK int a2a_event_state(enum a2a_event_kind kind, struct str payload,
                               enum a2a_state *out);

/* Whether streams are told of such an event. */
static inline bool a2a_event_is_told(enum a2a_event_kind kind)
{
    return kind != A2A_EVENT_MESSAGE && kind != A2A_EVENT_SYNC;
}

/* --- what a caller's stream is told ------------------------------------------------------------------- */

/* An event of the log for one reader. */
struct a2a_told {
    enum a2a_event_kind kind; /* one that is told */
    struct str payload;
    enum a2a_version dialect; /* of payload */
    struct str task_id;       /* decoded */
    struct str context;       /* decoded: the task's; absent: none */
    bool
        /* the stream ends here: 0.3's `final`, which is also true at a terminal state */
        is_last;
};

/* Appends the `result` member of a stream's answer: the event in version `to`, wrapped as that version wants it. A Task
 * in the midst of a log becomes a status update of its status. Within one version the payload's bytes survive, but for
 * `final` and (STATUS, TASK) what is put around a status. ERR_INVALID with *why when it cannot be said. */
MUST_CHECK int a2a_told_write(struct buf *out, const struct a2a_told *event,
                              enum a2a_version to, const char **why);

/* Appends the `result` that begins a stream, or all there is of it: a Task (the request's historyLength trims it) or a
 * Message, in request->version, in 1.0 wrapped as {"task":..} or {"message":..}. Errors as above. */
MUST_CHECK int a2a_told_write_first(struct buf *out, const struct a2a_request *request,
                                    const struct a2a_result *result, const char **why);

#endif
