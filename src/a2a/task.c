/* SPDX-License-Identifier: MIT
 *
 * A task's document: what the gateway reads in it, and the fold, the only definition of how an event changes it.
 *
 *     TASK    the snapshot's members, in its order; artifacts and history that it leaves out are kept
 *     STATUS  the old status.message moves to the end of history, the new status replaces the old one
 *     MESSAGE changes nothing: it is in the log, where task_view shows it
 *
 * A document is rebuilt by copying spans; nothing inside a member is ever re-serialised. What is stored has no
 * insignificant whitespace, so equality of tasks within one dialect is equality of bytes.
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

/* Decodes an id into the arena only if it has escapes; most have none and stay a view into the document. */
static int decode_id(struct str raw, struct arena *arena, struct str *out)
{
    struct str inner = str_make(raw.p + 1, raw.n - 2);
    struct buf text;
    int err;

    if (inner.n == 0 || json_string_length(raw) > LIMIT_TASK_ID)
        return ERR_INVALID;
    if (!memchr(inner.p, '\\', inner.n)) {
        *out = inner;
        return str_has_control(inner) ? ERR_INVALID : 0;
    }
    buf_init(&text, LIMIT_TASK_ID);
    err = json_string_decode(raw, &text);
    if (!err && str_has_control(buf_str(&text)))
        err = ERR_INVALID;
    if (!err) {
        *out = arena_str(arena, buf_str(&text));
        err = out->p ? 0 : ERR_NOMEM;
    }
    buf_release(&text);
    return err;
}

int a2a_task_read(struct str doc, struct arena *arena, struct a2a_task *out, const char **why)
{
    struct str slots[SLOT_MAX];
    struct json_fault jf;

    *out = (struct a2a_task){0};
    if (json_scan(doc, task_wants, slots, SLOT_MAX, &jf)) {
        *why = "the task repeats a member";
        return ERR_INVALID;
    }
    out->id_raw = slots[SLOT_ID];
    if (json_type(slots[SLOT_ID]) != JSON_STRING ||
        decode_id(slots[SLOT_ID], arena, &out->id)) {
        *why = "the task's id must be a string of 1 to 512 bytes without control characters";
        return ERR_INVALID;
    }
    slots[SLOT_CONTEXT] = a2a_given(slots[SLOT_CONTEXT]);
    if (a2a_is_empty_string(slots[SLOT_CONTEXT]))
        slots[SLOT_CONTEXT] = STR_NONE;
    if (slots[SLOT_CONTEXT].p && (json_type(slots[SLOT_CONTEXT]) != JSON_STRING ||
                                  decode_id(slots[SLOT_CONTEXT], arena, &out->context_id))) {
        *why =
            "the task's contextId must be a string of 1 to 512 bytes without control characters";
        return ERR_INVALID;
    }
    if (json_type(slots[SLOT_STATUS]) != JSON_OBJECT || !slots[SLOT_STATE].p) {
        *why = "the task has no status with a state";
        return ERR_INVALID;
    }
    out->status = slots[SLOT_STATUS];
    out->state = a2a_state_read(slots[SLOT_STATE]);
    if (a2a_timestamp_read(slots[SLOT_TIMESTAMP], &out->status_at_us))
        out->status_at_us = 0;
    out->status_message = a2a_given(slots[SLOT_STATUS_MESSAGE]);
    out->history = a2a_given(slots[SLOT_HISTORY]);
    out->artifacts = a2a_given(slots[SLOT_ARTIFACTS]);
    return 0;
}

/* --- the fold --- */

/* `stored` is NULL when there is no task yet. */
static void fold_snapshot(const struct a2a_task *stored, struct str snapshot, struct buf *out)
{
    bool first = true, has_history = false, has_artifacts = false;
    struct json_cursor cursor;
    struct str key, value;

    json_enter(&cursor, snapshot);
    while (json_next_member(&cursor, &key, &value)) {
        bool is_history = json_key_is(key, STR("history"));
        bool is_artifacts = json_key_is(key, STR("artifacts"));

        /* An explicit null means absent: written out it would hide what is kept. */
        if ((is_history || is_artifacts) && json_type(value) == JSON_NULL)
            continue;
        has_history |= is_history;
        has_artifacts |= is_artifacts;
        json_write_key(out, &first, key);
        buf_add_str(out, value);
    }
    if (stored && stored->artifacts.p && !has_artifacts) {
        json_write_key(out, &first, STR("artifacts"));
        buf_add_str(out, stored->artifacts);
    }
    if (stored && stored->history.p && !has_history) {
        json_write_key(out, &first, STR("history"));
        buf_add_str(out, stored->history);
    }
    json_write_end(out, first);
}

static void write_history_with(struct buf *out, struct str history, struct str message)
{
    if (history.n > 2) {
        buf_add(out, history.p, history.n - 1);
        buf_add_char(out, ',');
    } else {
        buf_add_char(out, '[');
    }
    buf_add_str(out, message);
    buf_add_char(out, ']');
}

static void fold_status(struct str doc, const struct a2a_task *stored, struct str status,
                        struct buf *out)
{
    bool first = true, moves = stored->status_message.p != NULL;
    struct json_cursor cursor;
    struct str key, value;

    json_enter(&cursor, doc);
    while (json_next_member(&cursor, &key, &value)) {
        json_write_key(out, &first, key);
        if (value.p == stored->status.p)
            buf_add_str(out, status);
        else if (moves && value.p == stored->history.p)
            write_history_with(out, value, stored->status_message);
        else
            buf_add_str(out, value);
    }
    if (moves && !stored->history.p) {
        json_write_key(out, &first, STR("history"));
        write_history_with(out, STR_NONE, stored->status_message);
    }
    json_write_end(out, first);
}

static int fold_into(struct str doc, const struct a2a_event *event, struct arena *arena,
                     struct buf *out)
{
    struct a2a_task stored;
    const char *why;

    if (event->kind == A2A_EVENT_MESSAGE)
        return 1;
    if (json_type(event->payload) != JSON_OBJECT ||
        (doc.p && a2a_task_read(doc, arena, &stored, &why)))
        return ERR_INVALID;
    if (event->kind == A2A_EVENT_TASK)
        fold_snapshot(doc.p ? &stored : NULL, event->payload, out);
    else if (event->kind == A2A_EVENT_STATUS && doc.p)
        fold_status(doc, &stored, event->payload, out);
    else
        return ERR_INVALID;
    if (doc.p && a2a_state_is_terminal(stored.state) && !str_is(doc, buf_str(out)))
        return ERR_FINAL;
    return 0;
}

int a2a_event_fold(struct str doc, const struct a2a_event *event, struct buf *out)
{
    size_t start = out->n;
    struct arena arena;
    int err;

    BUG_ON(start != 0);
    arena_init(&arena, KB(64));
    err = fold_into(doc, event, &arena, out);
    arena_release(&arena);
    if (err == 0)
        err = buf_error(out);
    if (err == 0 && doc.p && str_is(doc, buf_str(out)))
        err = 1;
    if (err)
        buf_clear(out);
    return err;
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
