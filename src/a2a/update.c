/* SPDX-License-Identifier: MIT
 *
 * Updates of a task: a status update or an artifact update, without 1.0's wrapper, as an agent's stream says them and
 * as they stand in the log.
 *
 *     {kind, taskId, contextId, status: {state, message, timestamp}, final, metadata}
 *     {kind, taskId, contextId, artifact: {artifactId, parts, ...}, append, lastChunk, metadata}
 *
 * kind and final are 0.3's alone. Reading is one pass; an update is short, so it is simply read anew wherever it is
 * needed. What is read here is enough to fold it: whoever folds an update that was read finds nothing missing.
 */
#include "a2a/a2a_int.h"

enum slot {
    SLOT_KIND,
    SLOT_TASK,
    SLOT_CONTEXT,
    SLOT_STATUS,
    SLOT_STATE,
    SLOT_FINAL,
    SLOT_ARTIFACT,
    SLOT_ARTIFACT_ID,
    SLOT_PARTS,
    SLOT_CONTENT,
    SLOT_APPEND,
    SLOT_MAX
};

static const struct json_want status_wants[] = {
    {"state", SLOT_STATE, NULL},
    {NULL, -1, NULL},
};

static const struct json_want artifact_wants[] = {
    {"artifactId", SLOT_ARTIFACT_ID, NULL},
    {"artifact_id", SLOT_ARTIFACT_ID, NULL},
    {"parts", SLOT_PARTS, NULL},
    {"content", SLOT_CONTENT, NULL},
    {NULL, -1, NULL},
};

static const struct json_want update_wants[] = {
    {"kind", SLOT_KIND, NULL},          {"taskId", SLOT_TASK, NULL},
    {"task_id", SLOT_TASK, NULL},       {"contextId", SLOT_CONTEXT, NULL},
    {"context_id", SLOT_CONTEXT, NULL}, {"status", SLOT_STATUS, status_wants},
    {"final", SLOT_FINAL, NULL},        {"artifact", SLOT_ARTIFACT, artifact_wants},
    {"append", SLOT_APPEND, NULL},      {NULL, -1, NULL},
};

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return ERR_INVALID;
}

static int check_status(const struct a2a_update *update, const char **why)
{
    if (json_type(update->status) != JSON_OBJECT || !update->state.p)
        return refuse(why, "the status update has no status with a state");
    return 0;
}

static int check_artifact(const struct a2a_update *update, const char **why)
{
    if (json_type(update->artifact) != JSON_OBJECT)
        return refuse(why, "the artifact update has no artifact");
    if (json_type(update->artifact_id) != JSON_STRING ||
        a2a_is_empty_string(update->artifact_id))
        return refuse(why, "the artifact has no artifactId");
    if (update->parts.p && json_type(update->parts) != JSON_ARRAY)
        return refuse(why, "the artifact's parts are not an array");
    return 0;
}

int a2a_update_read(struct str object, enum a2a_event_kind kind, struct a2a_update *out,
                    const char **why)
{
    struct str slots[SLOT_MAX];
    struct json_fault jf;

    if (json_type(object) != JSON_OBJECT)
        return refuse(why, "the update is not an object");
    if (json_scan(object, update_wants, slots, SLOT_MAX, &jf))
        return refuse(why, "the update repeats a member");
    *out = (struct a2a_update){
        .kind = a2a_given(slots[SLOT_KIND]),
        .task_id = slots[SLOT_TASK],
        .context_id = a2a_is_id(slots[SLOT_CONTEXT]) ? slots[SLOT_CONTEXT] : STR_NONE,
        .status = slots[SLOT_STATUS],
        .state = slots[SLOT_STATE],
        .artifact = slots[SLOT_ARTIFACT],
        .artifact_id = slots[SLOT_ARTIFACT_ID],
        .parts = a2a_given(slots[SLOT_PARTS]),
        .final = a2a_given(slots[SLOT_FINAL]),
        .appends = json_type(slots[SLOT_APPEND]) == JSON_TRUE,
    };
    if (!out->parts.p && json_type(slots[SLOT_CONTENT]) == JSON_ARRAY)
        out->parts = slots[SLOT_CONTENT];
    if (!a2a_is_id(out->task_id))
        return refuse(
            why, "its taskId must be a string of 1 to 512 bytes without control characters");
    return kind == A2A_EVENT_STATUS_UPDATE ? check_status(out, why) : check_artifact(out, why);
}

bool a2a_is_parts_key(struct str key, struct str value)
{
    return json_key_is(key, STR("parts")) ||
           (json_type(value) == JSON_ARRAY && json_key_is(key, STR("content")));
}

/* --- writing -------------------------------------------------------------------------------------- */

void a2a_update_write_head(struct buf *out, enum a2a_version version, enum a2a_event_kind kind,
                           struct str task_id, struct str context_id)
{
    bool first = true;

    if (version == A2A_0_3) {
        json_write_key(out, &first, STR("kind"));
        buf_add_str(out, kind == A2A_EVENT_STATUS_UPDATE ? STR("\"status-update\"")
                                                         : STR("\"artifact-update\""));
    }
    json_write_key(out, &first, STR("taskId"));
    buf_add_str(out, task_id);
    if (context_id.p) {
        json_write_key(out, &first, STR("contextId"));
        buf_add_str(out, context_id);
    }
}

/* The status of a status update is the new task's: folding the update onto it changes nothing. */
int a2a_task_write_begun(struct buf *out, const struct a2a_stream_event *update)
{
    bool is_status = update->kind == A2A_STREAM_STATUS;
    struct a2a_update read;
    const char *why;

    BUG_ON(!is_status && update->kind != A2A_STREAM_ARTIFACT);
    if (a2a_update_read(update->object,
                        is_status ? A2A_EVENT_STATUS_UPDATE : A2A_EVENT_ARTIFACT_UPDATE, &read,
                        &why))
        return ERR_INVALID;
    BUF_LIT(out, "{\"id\":");
    buf_add_str(out, read.task_id);
    if (read.context_id.p) {
        BUF_LIT(out, ",\"contextId\":");
        buf_add_str(out, read.context_id);
    }
    if (update->dialect == A2A_0_3)
        BUF_LIT(out, ",\"kind\":\"task\"");
    BUF_LIT(out, ",\"status\":");
    if (is_status) {
        json_minify(out, read.status);
    } else {
        BUF_LIT(out, "{\"state\":\"");
        buf_add_str(out, str_of(a2a_state_name(A2A_STATE_WORKING, update->dialect)));
        BUF_LIT(out, "\"}");
    }
    buf_add_char(out, '}');
    return buf_error(out);
}

int a2a_event_state(enum a2a_event_kind kind, struct str payload, enum a2a_state *out)
{
    struct str status = payload, state;

    if (kind == A2A_EVENT_TASK || kind == A2A_EVENT_STATUS_UPDATE)
        status = json_get(payload, "status");
    else if (kind != A2A_EVENT_STATUS)
        return ERR_ABSENT;
    state = json_get(status, "state");
    if (!state.p)
        return ERR_ABSENT;
    *out = a2a_state_read(state);
    return 0;
}
