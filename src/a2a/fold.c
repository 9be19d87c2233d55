/* SPDX-License-Identifier: MIT
 *
 * The fold: the only definition of how an event changes a task.
 *
 *     TASK             the snapshot's members, in its order; artifacts and history that it leaves out are kept
 *     STATUS           the old status.message moves to the end of history, the new status replaces the old one;
 *                      the very status that is there changes nothing, so that a repetition does no harm
 *     STATUS_UPDATE    its status, likewise
 *     ARTIFACT_UPDATE  its artifact replaces the one of that artifactId, or stands at the end; with append its parts
 *                      are added to those of the stored one and its metadata is merged
 *     SYNC             its members, in its order; what it only names stays as it is stored
 *     MESSAGE          changes nothing: it is in the log, where task_view shows it
 *
 * A document is changed by copying what stands around the change; nothing inside a member is ever re-serialised. What
 * is stored has no insignificant whitespace, so equality of tasks within one dialect is equality of bytes.
 *
 * A stream of 5,000 chunks folds 5,000 times onto a growing document. A chunk costs a walk over the document's members,
 * one over its artifacts up to the one it belongs to, and a copy: less than two scans (5,000 chunks of 60 bytes, which
 * become a document of 430 KB: 0.6 s in all).
 *
 * An artifact stands one level deeper in a task than in an update. In an agent's frame it stands at least as deep as in
 * the task; who folds updates that came another way (translated ones) sees to LIMIT_JSON_DEPTH himself.
 *
 * Invariants
 *   1. The result is a task: id and status are never lost, whatever an event says.
 *   2. A terminal task never changes: ERR_FINAL, or 1 for what changes nothing.
 */
#include "a2a/a2a_int.h"

/* For the keys of metadata while they are compared, 56 bytes for each. */
#define FOLD_ARENA MB(8)

/* The stored task. */
struct standing {
    struct str doc; /* absent: there is none yet */
    struct a2a_task_spans spans;
};

static bool take_once(struct str *slot, struct str value)
{
    if (slot->p)
        return false;
    *slot = value;
    return true;
}

/* As a2a_task_scan(), but of a text that is known to be JSON: a walk costs half a scan. */
static int stand_on(struct str doc, struct standing *out)
{
    struct a2a_task_spans *spans = &out->spans;
    struct json_cursor cursor;
    struct str key, value;
    bool is_good = true;

    *out = (struct standing){.doc = str_trim(doc)};
    JSON_EACH_MEMBER (&cursor, out->doc, &key, &value) {
        if (json_key_is(key, STR("id")))
            is_good &= take_once(&spans->id, value);
        else if (json_key_is(key, STR("status")))
            is_good &= take_once(&spans->status, value);
        else if (json_key_is(key, STR("history")))
            is_good &= take_once(&spans->history, value);
        else if (json_key_is(key, STR("artifacts")))
            is_good &= take_once(&spans->artifacts, value);
    }
    spans->state = json_get(spans->status, "state");
    spans->status_message = json_get(spans->status, "message");
    return is_good && json_type(spans->id) == JSON_STRING && spans->state.p ? 0 : ERR_INVALID;
}

/* --- snapshots ------------------------------------------------------------------------------------ */

static void fold_snapshot(const struct standing *stored, struct str snapshot, struct buf *out)
{
    struct str history = a2a_given(stored->spans.history);
    struct str artifacts = a2a_given(stored->spans.artifacts);
    bool first = true, has_history = false, has_artifacts = false;
    struct json_cursor cursor;
    struct str key, value;

    JSON_EACH_MEMBER (&cursor, snapshot, &key, &value) {
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
    if (artifacts.p && !has_artifacts) {
        json_write_key(out, &first, STR("artifacts"));
        buf_add_str(out, artifacts);
    }
    if (history.p && !has_history) {
        json_write_key(out, &first, STR("history"));
        buf_add_str(out, history);
    }
    json_write_end(out, first);
}

/* --- lists and members in place ------------------------------------------------------------------- */

static bool is_empty(struct str array)
{
    struct json_cursor cursor;
    struct str element;

    json_enter(&cursor, array);
    return !json_next_element(&cursor, &element);
}

/* Puts `items` (one element, or several with commas between them) behind the last of `array`, which stands in the text
 * that is being copied. What is no array is replaced by one. */
static void add_to_list(struct a2a_copy *c, struct str array, struct str items)
{
    if (json_type(array) != JSON_ARRAY) {
        a2a_copy_over(c, array);
        buf_add_char(c->out, '[');
        buf_add_str(c->out, items);
        buf_add_char(c->out, ']');
        return;
    }
    a2a_copy_to(c, array.p + array.n - 1);
    if (!is_empty(array))
        buf_add_char(c->out, ',');
    buf_add_str(c->out, items);
}

/* The rest of the document, and in front of its closing brace a list that it did not have (absent `items`: none). */
static void finish(struct a2a_copy *c, struct str name, struct str items)
{
    a2a_copy_to(c, c->end - 1);
    if (items.p) {
        BUF_LIT(c->out, ",\"");
        buf_add_str(c->out, name);
        BUF_LIT(c->out, "\":[");
        buf_add_str(c->out, items);
        buf_add_char(c->out, ']');
    }
    buf_add_char(c->out, '}');
}

/* --- status --------------------------------------------------------------------------------------- */

/* A message that is no object is none: in the history it would make the whole task unreadable for others. */
static struct str movable_message(const struct a2a_task_spans *spans)
{
    return json_type(spans->status_message) == JSON_OBJECT ? spans->status_message : STR_NONE;
}

static int fold_status(const struct standing *stored, struct str status, struct buf *out)
{
    const struct a2a_task_spans *old = &stored->spans;
    struct str message = movable_message(old);
    struct a2a_copy c = a2a_copy_begin(out, stored->doc);
    bool is_behind = old->history.p > old->status.p;

    if (str_is(old->status, status))
        return 1;
    if (message.p && old->history.p && !is_behind)
        add_to_list(&c, old->history, message);
    a2a_copy_over(&c, old->status);
    buf_add_str(out, status);
    if (message.p && old->history.p && is_behind)
        add_to_list(&c, old->history, message);
    finish(&c, STR("history"), old->history.p ? STR_NONE : message);
    return 0;
}

/* --- artifacts ------------------------------------------------------------------------------------ */

/* What an appended chunk brings beside its id. */
enum gift { GIFT_PARTS, GIFT_METADATA, GIFT_NAME, GIFT_DESCRIPTION, GIFT_EXTENSIONS, GIFT_MAX };

static const struct str gift_names[GIFT_MAX] = {
    [GIFT_PARTS] = {"parts", 5},
    [GIFT_METADATA] = {"metadata", 8},
    [GIFT_NAME] = {"name", 4},
    [GIFT_DESCRIPTION] = {"description", 11},
    [GIFT_EXTENSIONS] = {"extensions", 10},
};

struct artifact {
    struct str whole, id;
    struct str gifts[GIFT_MAX]; /* as they stand; absent ones are */
};

static int gift_of(struct str key, struct str value)
{
    if (a2a_is_parts_key(key, value))
        return GIFT_PARTS;
    for (int i = GIFT_METADATA; i < GIFT_MAX; i++)
        if (json_key_is(key, gift_names[i]))
            return i;
    return -1;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && *p <= ' ')
        p++;
    return p;
}

/* Reads the object at the beginning of `text`, which may go on behind it: a cursor needs not know where its container
 * ends. */
static void read_artifact(struct str text, struct artifact *out)
{
    const char *p = text.p + 1, *end = text.p + text.n;
    struct json_cursor cursor;
    struct str key, value;

    *out = (struct artifact){.id = STR_NONE};
    JSON_EACH_MEMBER (&cursor, text, &key, &value) {
        int i = gift_of(key, value);

        if (i >= 0 && !out->gifts[i].p)
            out->gifts[i] = value;
        else if (i < 0 && !out->id.p && a2a_is_artifact_id_key(key, value))
            out->id = value;
        p = value.p + value.n;
    }
    p = skip_space(p, end) + 1;
    BUG_ON(p > end || p[-1] != '}');
    out->whole = str_make(text.p, (size_t)(p - text.p));
}

/* Finds the first artifact of that id. The list is long, and most of it is the artifact that is sought: the one walk that
 * finds where it ends also finds what is in it. */
static bool find_artifact(struct str list, struct str id, struct artifact *out)
{
    const char *p, *end;
    struct json_cursor cursor;
    struct str element;

    if (json_type(list) != JSON_ARRAY)
        return false;
    end = list.p + list.n;
    for (p = skip_space(list.p + 1, end); p < end && *p == '{'; p = skip_space(p + 1, end)) {
        read_artifact(str_make(p, (size_t)(end - p)), out);
        if (a2a_is_same_string(out->id, id))
            return true;
        p = skip_space(out->whole.p + out->whole.n, end);
        if (*p != ',')
            return false;
    }
    /* There are elements that are no objects. */
    JSON_EACH_ELEMENT (&cursor, list, &element) {
        if (json_type(element) == JSON_OBJECT) {
            read_artifact(element, out);
            if (a2a_is_same_string(out->id, id))
                return true;
        }
    }
    return false;
}

/* The stored members in their order, those that the chunk has, too, with its values; then what only the chunk has. */
static int merge_metadata(struct buf *out, struct str stored, struct str chunk,
                          struct arena *arena)
{
    struct a2a_names old, new;
    bool first = true;
    int err;

    err = a2a_names_of_members(&old, stored, arena);
    if (!err)
        err = a2a_names_of_members(&new, chunk, arena);
    if (err)
        return err;
    for (size_t i = 0; i < old.n; i++) {
        const struct a2a_named *newer = a2a_names_last(&new, old.items[i].name);

        json_write_key(out, &first, old.items[i].raw);
        buf_add_str(out, newer ? newer->value : old.items[i].value);
    }
    for (size_t i = 0; i < new.n; i++) {
        if (a2a_names_first(&old, new.items[i].name))
            continue;
        json_write_key(out, &first, new.items[i].raw);
        buf_add_str(out, new.items[i].value);
    }
    json_write_end(out, first);
    return 0;
}

/* What the artifact has already, it keeps; parts are added, metadata is merged. */
static int take_gift(struct a2a_copy *c, int gift, struct str stored, struct str given,
                     struct arena *arena)
{
    if (gift == GIFT_PARTS && json_type(stored) == JSON_ARRAY) {
        if (!is_empty(given))
            add_to_list(c, stored, str_make(given.p + 1, given.n - 2));
        return 0;
    }
    if (gift == GIFT_METADATA && json_type(stored) == JSON_OBJECT) {
        a2a_copy_over(c, stored);
        return merge_metadata(c->out, stored, given, arena);
    }
    if (gift == GIFT_PARTS || gift == GIFT_METADATA || json_type(stored) == JSON_NULL) {
        a2a_copy_over(c, stored);
        buf_add_str(c->out, given);
    }
    return 0;
}

/* The first in the text of what is stored and given; -1: there is none left. */
static int next_gift(const struct artifact *stored, const struct artifact *chunk)
{
    int next = -1;

    for (int i = 0; i < GIFT_MAX; i++)
        if (stored->gifts[i].p && chunk->gifts[i].p &&
            (next < 0 || stored->gifts[i].p < stored->gifts[next].p))
            next = i;
    return next;
}

/* Copies the stored artifact with what the chunk adds to it. Nulls, and metadata that is no object, add nothing. */
static int append_chunk(struct a2a_copy *c, const struct artifact *stored,
                        const struct a2a_update *update, struct arena *arena)
{
    struct artifact chunk;
    int err = 0;

    read_artifact(update->artifact, &chunk);
    for (int i = 0; i < GIFT_MAX; i++)
        chunk.gifts[i] = a2a_given(chunk.gifts[i]);
    chunk.gifts[GIFT_PARTS] = update->parts;
    if (json_type(chunk.gifts[GIFT_METADATA]) != JSON_OBJECT)
        chunk.gifts[GIFT_METADATA] = STR_NONE;
    for (int i = next_gift(stored, &chunk); i >= 0 && !err; i = next_gift(stored, &chunk)) {
        err = take_gift(c, i, stored->gifts[i], chunk.gifts[i], arena);
        chunk.gifts[i] = STR_NONE;
    }
    a2a_copy_to(c, stored->whole.p + stored->whole.n - 1);
    for (int i = 0; i < GIFT_MAX; i++) {
        if (!chunk.gifts[i].p)
            continue;
        BUF_LIT(c->out, ",\"");
        buf_add_str(c->out, gift_names[i]);
        BUF_LIT(c->out, "\":");
        buf_add_str(c->out, chunk.gifts[i]);
    }
    return err;
}

static int fold_artifact(const struct standing *stored, const struct a2a_update *update,
                         struct arena *arena, struct buf *out)
{
    struct str artifacts = stored->spans.artifacts;
    struct a2a_copy c = a2a_copy_begin(out, stored->doc);
    struct artifact found;
    int err = 0;

    if (find_artifact(artifacts, update->artifact_id, &found)) {
        if (update->appends) {
            err = append_chunk(&c, &found, update, arena);
        } else {
            a2a_copy_over(&c, found.whole);
            buf_add_str(out, update->artifact);
        }
    } else if (artifacts.p) {
        add_to_list(&c, artifacts, update->artifact);
    }
    finish(&c, STR("artifacts"), artifacts.p ? STR_NONE : update->artifact);
    return err;
}

static int fold_update(const struct standing *stored, const struct a2a_event *event,
                       struct arena *arena, struct buf *out)
{
    struct a2a_update update;
    const char *why;

    if (a2a_update_read(event->payload, event->kind, &update, &why) ||
        !a2a_is_same_string(update.task_id, stored->spans.id))
        return ERR_INVALID;
    if (event->kind == A2A_EVENT_STATUS_UPDATE)
        return fold_status(stored, update.status, out);
    return fold_artifact(stored, &update, arena, out);
}

/* --- what no update can say ----------------------------------------------------------------------- */

static void write_without_message(struct buf *out, struct str status)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, status, &key, &value) {
        if (json_key_is(key, STR("message")))
            continue;
        json_write_key(out, &first, key);
        buf_add_str(out, value);
    }
    json_write_end(out, first);
}

static int fold_sync(const struct standing *stored, struct str sync, struct arena *arena,
                     struct buf *out)
{
    const struct a2a_task_spans *old = &stored->spans;
    struct a2a_task result;
    struct json_cursor cursor;
    struct str key, value;
    const char *why;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, sync, &key, &value) {
        bool is_null = json_type(value) == JSON_NULL;
        bool is_status = json_key_is(key, STR("status"));

        if (is_null && json_key_is(key, STR("artifacts")))
            value = a2a_given(old->artifacts);
        else if (is_null && json_key_is(key, STR("history")))
            value = a2a_given(old->history);
        else if (is_null && is_status)
            value = old->status;
        if (!value.p)
            continue;
        json_write_key(out, &first, key);
        if (is_status && str_is(value, STR("{}")))
            write_without_message(out, old->status);
        else
            buf_add_str(out, value);
    }
    json_write_end(out, first);
    if (buf_error(out))
        return 0; /* a2a_event_fold() tells */
    if (a2a_task_read(buf_str(out), arena, &result, &why) ||
        !a2a_is_same_string(result.id_raw, old->id))
        return ERR_INVALID;
    return 0;
}

/* --- the door ------------------------------------------------------------------------------------- */

/* What the store has is a task; what a caller makes up may be none. */
static int fold_into(const struct standing *stored, const struct a2a_event *event,
                     struct arena *arena, struct buf *out)
{
    switch (event->kind) {
    case A2A_EVENT_TASK:
        fold_snapshot(stored, event->payload, out);
        return 0;
    case A2A_EVENT_STATUS:
        if (!stored->doc.p || !json_get(event->payload, "state").p)
            return ERR_INVALID;
        return fold_status(stored, event->payload, out);
    case A2A_EVENT_STATUS_UPDATE:
    case A2A_EVENT_ARTIFACT_UPDATE:
        return stored->doc.p ? fold_update(stored, event, arena, out) : ERR_INVALID;
    case A2A_EVENT_SYNC:
        return stored->doc.p ? fold_sync(stored, event->payload, arena, out) : ERR_INVALID;
    case A2A_EVENT_MESSAGE:
        break;
    }
    return 1;
}

int a2a_event_fold(struct str doc, const struct a2a_event *event, struct buf *out)
{
    struct standing stored = {.doc = STR_NONE};
    struct arena arena;
    bool is_same;
    int err;

    BUG_ON(out->n != 0);
    if (event->kind == A2A_EVENT_MESSAGE)
        return 1;
    if (json_type(event->payload) != JSON_OBJECT || (doc.p && stand_on(doc, &stored)))
        return ERR_INVALID;
    arena_init(&arena, FOLD_ARENA);
    err = fold_into(&stored, event, &arena, out);
    arena_release(&arena);
    is_same = err == 0 && !buf_error(out) && doc.p && str_is(stored.doc, buf_str(out));
    if (is_same)
        err = 1;
    else if (err == 0 && doc.p && a2a_state_is_terminal(a2a_state_read(stored.spans.state)))
        err = ERR_FINAL;
    else if (err == 0)
        err = buf_error(out);
    if (err)
        buf_clear(out);
    return err;
}
