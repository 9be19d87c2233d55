/* SPDX-License-Identifier: MIT
 *
 * A task's document: what the gateway reads in it, and the two it writes itself.
 *
 * Everything else in a task is its agent's business. Reading is one pass of the scanner; what may be repeated without
 * harm is left alone, but a task that says its id, context, status, history or artifacts twice is none.
 */
#include "a2a/a2a_int.h"

enum slot {
    SLOT_ID,
    SLOT_CONTEXT,
    SLOT_STATUS,
    SLOT_STATE,
    SLOT_TIMESTAMP,
    SLOT_STATUS_MESSAGE,
    SLOT_HISTORY,
    SLOT_ARTIFACTS,
    SLOT_MAX
};

static const struct json_want status_wants[] = {
    {"state", SLOT_STATE, NULL},
    {"timestamp", SLOT_TIMESTAMP, NULL},
    {"message", SLOT_STATUS_MESSAGE, NULL},
    {NULL, -1, NULL},
};

static const struct json_want task_wants[] = {
    {"id", SLOT_ID, NULL},
    {"contextId", SLOT_CONTEXT, NULL},
    {"context_id", SLOT_CONTEXT, NULL},
    {"status", SLOT_STATUS, status_wants},
    {"history", SLOT_HISTORY, NULL},
    {"artifacts", SLOT_ARTIFACTS, NULL},
    {NULL, -1, NULL},
};

static const char bad_id[] =
    "the task's id must be a string of 1 to 512 bytes without control characters";

int a2a_task_scan(struct str doc, struct a2a_task_spans *out, const char **why)
{
    struct str slots[SLOT_MAX];
    struct json_fault jf;

    if (json_scan(doc, task_wants, slots, SLOT_MAX, &jf)) {
        *why = "the task repeats a member";
        return ERR_INVALID;
    }
    if (json_type(slots[SLOT_ID]) != JSON_STRING) {
        *why = bad_id;
        return ERR_INVALID;
    }
    if (json_type(slots[SLOT_STATUS]) != JSON_OBJECT || !slots[SLOT_STATE].p) {
        *why = "the task has no status with a state";
        return ERR_INVALID;
    }
    *out = (struct a2a_task_spans){
        .id = slots[SLOT_ID],
        .context_id = slots[SLOT_CONTEXT],
        .status = slots[SLOT_STATUS],
        .state = slots[SLOT_STATE],
        .timestamp = slots[SLOT_TIMESTAMP],
        .status_message = slots[SLOT_STATUS_MESSAGE],
        .history = slots[SLOT_HISTORY],
        .artifacts = slots[SLOT_ARTIFACTS],
    };
    return 0;
}

/* Decodes an id into the arena only if it has escapes; most have none and stay a view into the document. */
static int decode_id(struct str raw, struct arena *arena, struct str *out)
{
    struct buf text;
    int err;

    if (!a2a_is_id(raw))
        return ERR_INVALID;
    *out = str_make(raw.p + 1, raw.n - 2);
    if (!memchr(out->p, '\\', out->n))
        return 0;
    buf_init(&text, LIMIT_TASK_ID);
    err = json_string_decode(raw, &text);
    if (!err) {
        *out = arena_str(arena, buf_str(&text));
        err = out->p ? 0 : ERR_NOMEM;
    }
    buf_release(&text);
    return err;
}

int a2a_task_read(struct str doc, struct arena *arena, struct a2a_task *out, const char **why)
{
    struct a2a_task_spans spans;
    struct str context;
    int err = a2a_task_scan(doc, &spans, why);

    *out = (struct a2a_task){0};
    if (err)
        return err;
    if (decode_id(spans.id, arena, &out->id)) {
        *why = bad_id;
        return ERR_INVALID;
    }
    context = a2a_given(spans.context_id);
    if (context.p && !a2a_is_empty_string(context) &&
        decode_id(context, arena, &out->context_id)) {
        *why =
            "the task's contextId must be a string of 1 to 512 bytes without control characters";
        return ERR_INVALID;
    }
    out->id_raw = spans.id;
    out->status = spans.status;
    out->state = a2a_state_read(spans.state);
    if (a2a_timestamp_read(spans.timestamp, &out->status_at_us))
        out->status_at_us = 0;
    out->status_message = a2a_given(spans.status_message);
    out->history = a2a_given(spans.history);
    out->artifacts = a2a_given(spans.artifacts);
    return 0;
}

/* --- the gateway's own word --- */

void a2a_status_write_failed(struct buf *out, enum a2a_version version, struct str task_id,
                             struct str now, struct str message_id, const char *reason)
{
    bool v1 = version == A2A_1_0;

    BUF_LIT(out, "{\"state\":\"");
    buf_add_str(out, str_of(a2a_state_name(A2A_STATE_FAILED, version)));
    BUF_LIT(out, "\",\"message\":{");
    if (!v1)
        BUF_LIT(out, "\"kind\":\"message\",");
    BUF_LIT(out, "\"messageId\":");
    json_write_string(out, message_id);
    BUF_LIT(out, ",\"taskId\":");
    json_write_string(out, task_id);
    buf_add_str(out, v1 ? STR(",\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":")
                        : STR(",\"role\":\"agent\",\"parts\":[{\"kind\":\"text\",\"text\":"));
    json_write_string(out, str_of(reason));
    BUF_LIT(out, "}],\"metadata\":{\"origin\":\"superx-gateway\"}},\"timestamp\":");
    json_write_string(out, now);
    buf_add_char(out, '}');
}

void a2a_task_write_failed(struct buf *out, enum a2a_version version,
                           const struct a2a_task *task, struct str status)
{
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, task->id);
    if (task->context_id.p) {
        BUF_LIT(out, ",\"contextId\":");
        json_write_string(out, task->context_id);
    }
    if (version == A2A_0_3)
        BUF_LIT(out, ",\"kind\":\"task\"");
    BUF_LIT(out, ",\"status\":");
    buf_add_str(out, status);
    buf_add_char(out, '}');
}
