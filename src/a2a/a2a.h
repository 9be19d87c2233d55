/* SPDX-License-Identifier: MIT
 *
 * The language: Agent2Agent (A2A) 0.3 and 1.0 as pure functions.
 *
 * Methods, states and errors are tables (method.def, state.def, error.def). Objects stay JSON text: a task is
 * the bytes its agent sent, and the functions here find what the gateway must know in them, fold events into
 * them and wrap them for a binding. Nothing here does I/O, knows the time, or keeps state.
 *
 * Invariants
 *   1. Within one version nothing is re-serialised: every member, its order and every number's text survive.
 *   2. a2a_event_fold() is the only definition of how an event changes a task.
 *   3. A terminal task never changes again.
 */
#ifndef A2A_A2A_H
#define A2A_A2A_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/str.h"

/* --- versions, methods, states -------------------------------------------------------------------- */

enum a2a_version { A2A_0_3, A2A_1_0 };

/* "0.3" or "1.0". */
const char *a2a_version_text(enum a2a_version v);

/* Reads Major.Minor[.Patch]; the patch is ignored (A2A 1.0 section 3.6). An absent or empty text means 0.3.
 * ERR_UNSUPPORTED for a version we do not speak, ERR_SYNTAX for no version at all. */
MUST_CHECK int a2a_version_parse(struct str text, enum a2a_version *out);

enum a2a_method {
#define X(id, name_1_0, name_0_3) A2A_##id,
#include "a2a/method.def"
#undef X
    A2A_METHOD_MAX
};

/* Finds a JSON-RPC method by name; the grammar says the version (a slash: 0.3). Aliases of early drafts
 * (tasks/subscribe, SetTaskPushNotificationConfig, ...) are understood. ERR_ABSENT for anything else. */
MUST_CHECK int a2a_method_find(struct str name, enum a2a_method *method,
                               enum a2a_version *version);
const char *a2a_method_name(enum a2a_method method, enum a2a_version version);

enum a2a_state {
#define X(id, number, name_1_0, name_0_3, class) A2A_STATE_##id = number,
#include "a2a/state.def"
#undef X
};

enum a2a_state_class { A2A_ACTIVE, A2A_INTERRUPTED, A2A_TERMINAL };

enum a2a_state_class a2a_state_class(enum a2a_state state);
const char *a2a_state_name(enum a2a_state state, enum a2a_version version);
/* Reads a raw JSON value: either version's name, any case, both spellings of canceled, or 1.0's number.
 * Anything else is A2A_STATE_UNKNOWN, which is not terminal. */
enum a2a_state a2a_state_read(struct str raw);

static inline bool a2a_state_is_terminal(enum a2a_state state)
{
    return a2a_state_class(state) == A2A_TERMINAL;
}

/* --- errors --------------------------------------------------------------------------------------- */

enum a2a_error {
#define X(id, code, http, reason, text, blame, retry, superx) A2A_ERROR_##id,
#include "a2a/error.def"
#undef X
    A2A_ERROR_MAX
};

enum a2a_blame { A2A_BLAME_CALLER, A2A_BLAME_AGENT, A2A_BLAME_US, A2A_BLAME_NOBODY };

struct a2a_error_row {
    int code;
    int http;
    const char *reason, *text;
    enum a2a_blame blame;
    bool retry;
    int superx_code;
};

const struct a2a_error_row *a2a_error_row(enum a2a_error error);
/* The row of a JSON-RPC code; NULL if it is none of the table's. */
const struct a2a_error_row *a2a_error_by_code(int64_t code);

/* What went wrong with one call, for its caller. */
struct a2a_fault {
    enum a2a_error error;
    char detail[256];       /* what was wrong and what to do; UTF-8, may be empty */
    unsigned retry_after_s; /* 0 = none */
    /* the agent's own error object, passed on in the caller's dialect; absent otherwise. Borrowed from the
     * agent's answer. */
    struct str agent_error;
    enum a2a_version agent_version; /* in which agent_error is said */
};

void a2a_fault_set(struct a2a_fault *f, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* The HTTP status of a JSON-RPC answer that carries this fault: 200, except where a proxy in between should
 * know (unknown agent 404; overload, store down, shutting down 503). */
int a2a_fault_jsonrpc_http(const struct a2a_fault *f);

/* --- what a caller asks (JSON-RPC) ---------------------------------------------------------------- */

/* What ListTasks asks for (A2A 1.0 section 3.1.4), checked. */
struct a2a_list_query {
    struct str context_id; /* raw, with quotes; absent: any */
    struct str page_token; /* raw, with quotes; absent: first page */
    bool has_state, has_after, include_artifacts;
    enum a2a_state state;
    int64_t after_us;   /* statusTimestampAfter: status time >= this */
    unsigned page_size; /* 1-100, default 50 */
};

/* All views are raw JSON spans into the body (strings with their quotes), absent when not given. */
struct a2a_request {
    enum a2a_method method;
    enum a2a_version version; /* in which the caller is answered */
    enum a2a_version shape;   /* in which params are said; differs from version on /rpc only */
    /* JSON-RPC id as sent, "null" when absent or unusable: echoed byte for byte */
    struct str id;
    struct str params; /* the whole object; absent if none */
    /* params.id (get, cancel, ...) or params.message.taskId (send) */
    struct str task_id;
    struct str message;         /* params.message */
    struct str message_context; /* params.message.contextId */
    struct str configuration;   /* params.configuration */
    struct str push_config;     /* in the configuration, either version's name */
    bool has_history_length;
    int64_t history_length; /* valid if has_history_length; >= 0 */
    /* send: how long the caller wants to wait, from blocking or returnImmediately. In 1.0 absence means
     * blocking; in 0.3 absence leaves it to the agent (reference 3.5). */
    enum a2a_wait { A2A_WAIT_AS_AGENT, A2A_WAIT_NOT, A2A_WAIT_END } wait;
    struct a2a_list_query list; /* for A2A_LIST */
};

/* Takes a request body apart. Returns 0, or ERR_INVALID with *fault filled; out->id and out->version are
 * valid in both cases, so that the error can be told in the caller's dialect. `asked` is the A2A-Version
 * header or query (absent: none); the method's grammar decides the version, an unsupported `asked` is
 * VERSION. */
MUST_CHECK int a2a_request_read(struct str body, struct str asked, struct a2a_request *out,
                                struct a2a_fault *fault);

/* The same for params without an envelope (/rpc, other bindings): method, version and shape of *r are set by
 * the caller, everything else is filled. `params` must have been accepted by json_scan(); absent: none
 * given. */
MUST_CHECK int a2a_params_read(struct str params, struct a2a_request *r,
                               struct a2a_fault *fault);

/* What the gateway puts into a request on its way to an agent. */
struct a2a_upstream {
    enum a2a_version version;
    struct str tenant; /* decoded; absent: none. The caller's own never goes on. */
    /* decoded; becomes message.contextId. Absent: the message's own stays. */
    struct str add_context;
    bool drop_context; /* message.contextId is one the agent never heard of */
    /* How a caller's send is said, whatever he asked for. */
    enum a2a_saying { A2A_SAY_AS_ASKED, A2A_SAY_STREAM, A2A_SAY_SEND_NO_WAIT } saying;
};

/* Writes a JSON-RPC request (SEND, STREAM, CANCEL) to an agent, minified. Within one version params are
 * copied byte for byte but without what the gateway answers itself: configuration.historyLength, push
 * configuration, tenant. Across versions they are translated, and members the version does not know are left
 * out, because strict peers refuse them. ERR_INVALID with *why (literal) when the params cannot be said in
 * the agent's version. */
MUST_CHECK int a2a_request_write(struct buf *out, const struct a2a_upstream *to, uint64_t id,
                                 const struct a2a_request *from, const char **why);

/* Only the message of a send, as the agent gets it: what the log keeps. */
MUST_CHECK int a2a_request_write_message(struct buf *out, const struct a2a_upstream *to,
                                         const struct a2a_request *from, const char **why);

/* Writes GetTask, CancelTask or SubscribeToTask for `task_id` (decoded text) on the gateway's own behalf. */
void a2a_request_write_task(struct buf *out, const struct a2a_upstream *to,
                            enum a2a_method method, uint64_t id, struct str task_id);

/* --- what an agent answers ------------------------------------------------------------------------ */

enum a2a_reply_kind { A2A_REPLY_TASK, A2A_REPLY_MESSAGE, A2A_REPLY_ERROR };

struct a2a_reply {
    enum a2a_reply_kind kind;
    struct str object; /* the Task or Message, unwrapped; or the error object */
    /* of a task: its id, raw with quotes; checked as a2a_task_read() does */
    struct str task_id;
    int64_t error_code; /* for errors */
    /* in whose words `object` is said: the agent's version, unless it answered in the other's */
    enum a2a_version dialect;
};

/* Reads an agent's JSON-RPC answer to `method`. `id` is what was sent. Whether a result is bare or wrapped
 * is taken as it comes: agents of either version have been seen to answer in the other's form;
 * out->dialect says in which it is. ERR_INVALID with *fault (INVALID_AGENT_RESPONSE and why) when it is not a
 * legal answer: not JSON, wrong id, neither result nor error, a task without usable id or status, ... */
MUST_CHECK int a2a_reply_read(struct str body, enum a2a_version version, enum a2a_method method,
                              uint64_t id, struct a2a_reply *out, struct a2a_fault *fault);

/* --- tasks and events ----------------------------------------------------------------------------- */

/* What the gateway knows of a task's document. Raw spans into it unless said otherwise. */
struct a2a_task {
    /* decoded if they had escapes (then in the arena); context absent if none */
    struct str id, context_id;
    enum a2a_state state;
    int64_t status_at_us; /* status.timestamp; 0 when absent or unreadable */
    struct str id_raw, status, status_message, history, artifacts;
};

/* Reads a task document that json_scan() has accepted. ERR_INVALID with *why (literal) when it lacks an id
 * (1-512 bytes, no control characters) or a status object. */
MUST_CHECK int a2a_task_read(struct str doc, struct arena *arena, struct a2a_task *out,
                             const char **why);

enum a2a_event_kind {
    A2A_EVENT_MESSAGE = 1, /* an accepted message of a caller: in the log, never in the task */
    A2A_EVENT_TASK = 2,    /* a Task snapshot from the agent: in the log, a task's first word */
    A2A_EVENT_STATUS = 3,  /* a new status object: the gateway's own word */
    A2A_EVENT_STATUS_UPDATE = 4,   /* a TaskStatusUpdateEvent, unwrapped */
    A2A_EVENT_ARTIFACT_UPDATE = 5, /* a TaskArtifactUpdateEvent, unwrapped */
    /* What of a snapshot no update can say; streams are not told. A Task whose members replace the stored ones, in its
     * order; what it lacks is gone. Null `artifacts` and `history` only say where the stored ones stand, and so does
     * `status`: null, or {} when the stored status is to lose its message, which the history now tells. */
    A2A_EVENT_SYNC = 6,
};

struct a2a_event {
    enum a2a_event_kind kind;
    /* the object as JSON without insignificant whitespace */
    struct str payload;
};

/* Folds `event` into `doc` (absent: there is no task yet, the event must be a snapshot) and writes the new
 * document to `out`. Returns 0; 1 if the document stays as it is (nothing is written: an update may all the same tell
 * its readers something, the last chunk of an artifact or metadata of its own); ERR_FINAL if the task
 * is terminal and the event would change it; ERR_LIMIT if the result would exceed out->max; ERR_INVALID, also for an
 * update of another task; ERR_NOMEM.
 * Pure. Whether a snapshot is a task at all is not judged again here: a2a_reply_read() let it in, and
 * whoever keeps the result reads it with a2a_task_read(). */
MUST_CHECK int a2a_event_fold(struct str doc, const struct a2a_event *event, struct buf *out);

/* Writes the TaskStatus with which the gateway itself ends a task: failed, `reason` as the agent-side
 * message, marked by metadata as the gateway's word. `now` is RFC 3339 text, `message_id` any unique
 * text. */
void a2a_status_write_failed(struct buf *out, enum a2a_version version, struct str task_id,
                             struct str now, struct str message_id, const char *reason);

/* A minimal task in state failed, for an agent's task too large to be kept: {id, contextId, status}. */
void a2a_task_write_failed(struct buf *out, enum a2a_version version,
                           const struct a2a_task *task, struct str status);

/* --- what the caller is told (JSON-RPC) ----------------------------------------------------------- */

/* What is told: a Task or Message, and in which version it is stored. */
struct a2a_result {
    enum a2a_reply_kind kind;
    enum a2a_version version;
    struct str object;
    /* decoded; the task's context where its document has none: 0.3 requires one, so 0.3 readers of a 1.0
     * task get this. Absent: none. */
    struct str context;
};

/* A successful answer in request->version. For send in 1.0 the object is wrapped as {"task":..} or
 * {"message":..}; otherwise bare. The request's historyLength trims (absent: as stored; 0: no history
 * member). ERR_INVALID with *why (literal) when the object cannot be said in the caller's version. */
MUST_CHECK int a2a_result_write(struct buf *out, const struct a2a_request *request,
                                const struct a2a_result *result, const char **why);

/* The bytes around an object that is sent as it is: head + object + tail is the whole answer. The common
 * case (same version, no trimming) then needs no copy of the object. Returns false if a2a_result_write() is
 * needed. */
bool a2a_result_frame(struct buf *head, struct buf *tail, const struct a2a_request *request,
                      const struct a2a_result *result);

/* One task of a ListTasks answer: translated, history trimmed (absent historyLength: none, as SDK servers
 * do), artifacts only if request->list.include_artifacts. */
MUST_CHECK int a2a_result_write_listed(struct buf *out, const struct a2a_request *request,
                                       const struct a2a_result *result, const char **why);

/* An error answer in the dialect `version`. `id` raw. */
void a2a_error_write(struct buf *out, enum a2a_version version, struct str id,
                     const struct a2a_fault *fault);

/* The same for /rpc: data also carries superxCode, the number the first SuperX used for this error (left
 * out where it had none: A2A's number meant something else there), and for an agent's own errors the
 * agent's. */
void a2a_error_write_rpc(struct buf *out, enum a2a_version version, struct str id,
                         const struct a2a_fault *fault);

/* A task as one line of a list, in 0.3 shapes: {id, contextId, kind, agentId, status: {state, timestamp}}. */
void a2a_task_write_summary(struct buf *out, struct str agent, struct str id,
                            struct str context, enum a2a_state state, int64_t status_at_us);

/* The other rooms behind this door. */
#include "a2a/card.h"
#include "a2a/push.h"
#include "a2a/stream.h"
#include "a2a/translate.h"

#endif
