/* SPDX-License-Identifier: MIT
 *
 * The translator. A table per object (its *shape*) says of each member what is done with its value; one walk
 * over the object's members does it. What a table does not name is unknown and copied, or left out if the
 * reader is strict.
 *
 *     task --- status --- message --- parts          the walk goes as deep as the shapes do and no deeper:
 *       +--- history --- message --- parts           metadata, data, what is unknown are spans, copied
 *       +--- artifacts --- artifact --- parts
 *
 * What one version cannot say:
 *
 *     0.3 -> 1.0  kind, final                        left out
 *                 state "unknown" or none of ours    TASK_STATE_UNSPECIFIED
 *                 timestamp without zone, offset     UTC with Z; what is unreadable is left out
 *                 unknown members of `file`          left out, the object is gone
 *                 contents that `kind` does not name left out: in 1.0 they would be the content
 *                 error data that is no typed list   an ErrorInfo, the old data in its metadata (error.c)
 *     1.0 -> 0.3  task or update without contextId   the one given by the caller of a2a_translate()
 *                 data that is no object             {"value":..} and metadata.data_part_compat, as SDKs do;
 *                                                    the way back takes both away again
 *                 filename, mediaType on text, data  left out
 *                 final                              true if terminal or the last before the stream closes
 *     if strict   empty taskId, contextId            left out: ProtoJSON's "not set"
 *
 * Invariants
 *   1. Either the whole object is said, or ERR_INVALID: nothing but what stands above disappears silently.
 *   2. No member is written twice: two spellings of one, or a repetition, are refused.
 *   3. Going to the other version and back, and again, changes nothing the second time.
 *
 * Only in parts do members depend on each other: they are read whole, then written (read_part()).
 */
#include "a2a/a2a_int.h"
#include "lib/clock.h"

#define MEMBERS_MAX 11 /* of a shape, and one empty name behind them */

enum action {
    COPY,
    DROP,      /* kind, final: written by the target's own rule */
    CONTEXT,   /* contextId */
    TASK,      /* taskId */
    STATE,     /* an enum value */
    ROLE,      /* an enum value */
    TIME,      /* a timestamp */
    OBJECT,    /* of shape */
    HISTORY,   /* a list of shape; may be trimmed */
    ARTIFACTS, /* a list of shape; may be dropped */
    PARTS,
};

struct shape;

struct member {
    struct str name,
        alias; /* alias: ProtoJSON's other spelling, or an older name; may be empty */
    enum action action;
    const struct shape *shape;
};

struct shape {
    struct str kind; /* 0.3's discriminator; empty: it has none */
    const char *not_object;
    bool needs_context; /* contextId is required in 0.3 */
    bool has_final;
    struct member members[MEMBERS_MAX];
};

#define M(name, alias, action, shape)                                                          \
    {                                                                                          \
        {"" name, sizeof(name) - 1}, {"" alias, sizeof(alias) - 1}, action, shape              \
    }

static const struct shape message_shape = {
    .kind = {"message", 7},
    .not_object = "a message is not an object",
    .members =
        {
            M("kind", "", DROP, NULL),
            M("messageId", "message_id", COPY, NULL),
            M("contextId", "context_id", CONTEXT, NULL),
            M("taskId", "task_id", TASK, NULL),
            M("role", "", ROLE, NULL),
            M("parts", "content", PARTS, NULL),
            M("referenceTaskIds", "reference_task_ids", COPY, NULL),
            M("extensions", "", COPY, NULL),
            M("metadata", "", COPY, NULL),
        },
};

static const struct shape status_shape = {
    .not_object = "a status is not an object",
    .members =
        {
            M("state", "", STATE, NULL),
            M("message", "", OBJECT, &message_shape),
            M("timestamp", "", TIME, NULL),
        },
};

static const struct shape artifact_shape = {
    .not_object = "an artifact is not an object",
    .members =
        {
            M("artifactId", "artifact_id", COPY, NULL),
            M("name", "", COPY, NULL),
            M("description", "", COPY, NULL),
            M("parts", "", PARTS, NULL),
            M("metadata", "", COPY, NULL),
            M("extensions", "", COPY, NULL),
        },
};

static const struct shape task_shape = {
    .kind = {"task", 4},
    .not_object = "a task is not an object",
    .needs_context = true,
    .members =
        {
            M("kind", "", DROP, NULL),
            M("id", "", COPY, NULL),
            M("contextId", "context_id", CONTEXT, NULL),
            M("status", "", OBJECT, &status_shape),
            M("artifacts", "", ARTIFACTS, &artifact_shape),
            M("history", "", HISTORY, &message_shape),
            M("metadata", "", COPY, NULL),
        },
};

static const struct shape status_update_shape = {
    .kind = {"status-update", 13},
    .not_object = "a status update is not an object",
    .needs_context = true,
    .has_final = true,
    .members =
        {
            M("kind", "", DROP, NULL),
            M("taskId", "task_id", COPY, NULL),
            M("contextId", "context_id", CONTEXT, NULL),
            M("status", "", OBJECT, &status_shape),
            M("final", "", DROP, NULL),
            M("metadata", "", COPY, NULL),
        },
};

static const struct shape artifact_update_shape = {
    .kind = {"artifact-update", 15},
    .not_object = "an artifact update is not an object",
    .needs_context = true,
    .members =
        {
            M("kind", "", DROP, NULL),
            M("taskId", "task_id", COPY, NULL),
            M("contextId", "context_id", CONTEXT, NULL),
            M("artifact", "", OBJECT, &artifact_shape),
            M("append", "", COPY, NULL),
            M("lastChunk", "last_chunk", COPY, NULL),
            M("metadata", "", COPY, NULL),
        },
};

static const struct shape *const shapes[] = {
    [A2A_OBJECT_TASK] = &task_shape,
    [A2A_OBJECT_MESSAGE] = &message_shape,
    [A2A_OBJECT_STATUS] = &status_shape,
    [A2A_OBJECT_ARTIFACT] = &artifact_shape,
    [A2A_OBJECT_STATUS_UPDATE] = &status_update_shape,
    [A2A_OBJECT_ARTIFACT_UPDATE] = &artifact_update_shape,
};

/* One translation under way. */
struct translator {
    struct buf *out;
    const struct a2a_translation *t;
    const char *why;      /* set by refuse() */
    enum a2a_state state; /* the last that was written */
};

static int write_object(struct translator *w, const struct shape *shape, struct str object,
                        bool is_top);
static int write_parts(struct translator *w, struct str array);

static int refuse(struct translator *w, const char *why)
{
    w->why = why;
    return ERR_INVALID;
}

/* --- members -------------------------------------------------------------------------------------- */

/* The index of the member named `key` (raw), or -1. */
static int find_member(const struct member *members, struct str key)
{
    for (int i = 0; members[i].name.n; i++)
        if (str_is(key, members[i].name) ||
            (members[i].alias.n && str_is(key, members[i].alias)))
            return i;
    if (!key.n || !memchr(key.p, '\\', key.n))
        return -1;
    for (int i = 0; members[i].name.n; i++)
        if (json_key_is(key, members[i].name) ||
            (members[i].alias.n && json_key_is(key, members[i].alias)))
            return i;
    return -1;
}

/* Only containers can have whitespace inside. */
static void copy_value(struct buf *out, struct str value)
{
    if (*value.p == '{' || *value.p == '[')
        json_minify(out, value);
    else
        buf_add_str(out, value);
}

static void write_text_member(struct buf *out, bool *first, struct str name, struct str text)
{
    json_write_key(out, first, name);
    json_write_string(out, text);
}

static size_t count_elements(struct str array)
{
    struct json_cursor cursor;
    struct str element;
    size_t n = 0;

    JSON_EACH_ELEMENT (&cursor, array, &element)
        n++;
    return n;
}

/* How many of the oldest messages are left out: history is chronological. */
static size_t count_trimmed(const struct a2a_translation *t, struct str history)
{
    size_t n = t->trims_history ? count_elements(history) : 0;

    return n > t->history_max ? n - (size_t)t->history_max : 0;
}

/* Whether the member of the top object goes without a trace, in either version. */
static bool is_taken_away(const struct a2a_translation *t, enum action action, struct str value)
{
    switch (action) {
    case CONTEXT:
        return t->replaces_context;
    case HISTORY:
        return t->trims_history && t->history_max == 0 && json_type(value) == JSON_ARRAY;
    case ARTIFACTS:
        return t->drops_artifacts;
    default:
        return false;
    }
}

/* --- within one version --------------------------------------------------------------------------- */

static void copy_last(struct buf *out, struct str array, size_t skip)
{
    struct json_cursor cursor;
    struct str element;
    bool first = true;

    buf_add_char(out, '[');
    JSON_EACH_ELEMENT (&cursor, array, &element) {
        if (skip) {
            skip--;
            continue;
        }
        if (!first)
            buf_add_char(out, ',');
        first = false;
        copy_value(out, element);
    }
    buf_add_char(out, ']');
}

static void copy_object(struct buf *out, const struct a2a_translation *t, struct str object)
{
    const struct member *members = shapes[t->what]->members;
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, object, &key, &value) {
        int i = find_member(members, key);
        enum action action = i < 0 ? COPY : members[i].action;

        if (is_taken_away(t, action, value))
            continue;
        json_write_key(out, &first, key);
        if (action == HISTORY && json_type(value) == JSON_ARRAY)
            copy_last(out, value, count_trimmed(t, value));
        else
            copy_value(out, value);
    }
    if (t->replaces_context && t->context.p)
        write_text_member(out, &first, STR("contextId"), t->context);
    json_write_end(out, first);
}

/* --- single values -------------------------------------------------------------------------------- */

static int write_role(struct translator *w, struct str raw)
{
    enum a2a_role role;

    if (a2a_role_read(raw, &role))
        return refuse(w, "the role of a message is neither user nor agent");
    /* Callers must give a role (a2a_params_read()): who leaves it open is an agent. */
    if (w->t->to == A2A_1_0)
        buf_add_str(w->out,
                    role == A2A_ROLE_USER ? STR("\"ROLE_USER\"") : STR("\"ROLE_AGENT\""));
    else
        buf_add_str(w->out, role == A2A_ROLE_USER ? STR("\"user\"") : STR("\"agent\""));
    return 0;
}

static int write_state(struct translator *w, struct str raw)
{
    w->state = a2a_state_read(raw);
    buf_add_char(w->out, '"');
    buf_add_str(w->out, str_of(a2a_state_name(w->state, w->t->to)));
    buf_add_char(w->out, '"');
    return 0;
}

/* 1.0 wants RFC 3339 in UTC, with a Z. What is that already keeps its digits. */
static int write_time(struct translator *w, struct str raw)
{
    static const size_t t_at = 1 + 10; /* behind the quote and the date */
    char text[CLOCK_TEXT + 1];
    int64_t us = 0;

    if (w->t->to == A2A_0_3 || a2a_timestamp_read(raw, &us) ||
        (raw.p[raw.n - 2] == 'Z' && raw.p[t_at] == 'T' && !memchr(raw.p, '\\', raw.n))) {
        copy_value(w->out, raw);
        return 0;
    }
    clock_format(us, text);
    buf_add_char(w->out, '"');
    buf_add(w->out, text, CLOCK_TEXT);
    buf_add_char(w->out, '"');
    return 0;
}

static bool is_readable_time(struct str raw)
{
    int64_t us;

    return a2a_timestamp_read(raw, &us) == 0;
}

static int write_array(struct translator *w, const struct shape *shape, struct str array,
                       size_t skip)
{
    struct json_cursor cursor;
    struct str element;
    bool first = true;
    int err;

    if (json_type(array) != JSON_ARRAY)
        return refuse(w, "history or artifacts is not an array");
    buf_add_char(w->out, '[');
    JSON_EACH_ELEMENT (&cursor, array, &element) {
        if (skip) {
            skip--;
            continue;
        }
        if (!first)
            buf_add_char(w->out, ',');
        first = false;
        err = write_object(w, shape, element, false);
        if (err)
            return err;
    }
    buf_add_char(w->out, ']');
    return 0;
}

/* --- objects -------------------------------------------------------------------------------------- */

static int write_value(struct translator *w, const struct member *m, struct str value,
                       bool is_top)
{
    switch (m->action) {
    case STATE:
        return write_state(w, value);
    case ROLE:
        return write_role(w, value);
    case TIME:
        return write_time(w, value);
    case OBJECT:
        return write_object(w, m->shape, value, false);
    case ARTIFACTS:
        return write_array(w, m->shape, value, 0);
    case HISTORY:
        return write_array(w, m->shape, value, is_top ? count_trimmed(w->t, value) : 0);
    case PARTS:
        return write_parts(w, value);
    case COPY:
    case CONTEXT:
    case TASK:
    case DROP:
        break;
    }
    copy_value(w->out, value);
    return 0;
}

/* Whether the member is not said at all in the target version. */
static bool is_left_out(const struct translator *w, const struct shape *shape,
                        const struct member *m, struct str value, bool is_top)
{
    if (m->action == DROP || (is_top && is_taken_away(w->t, m->action, value)))
        return true;
    if (m->action == TIME)
        return w->t->to == A2A_1_0 && !is_readable_time(value);
    if (!is_top || !a2a_is_empty_string(value) || (m->action != CONTEXT && m->action != TASK))
        return false;
    /* A strict reader would look for the task or context with the empty name. */
    return w->t->strict || (m->action == CONTEXT && shape->needs_context &&
                            w->t->to == A2A_0_3 && w->t->context.p);
}

/* What stands behind the members that the object had itself. */
static void write_additions(struct translator *w, const struct shape *shape, bool has_context,
                            bool *first)
{
    const struct a2a_translation *t = w->t;
    bool is_old = t->to == A2A_0_3;

    if (!has_context && t->context.p &&
        (t->replaces_context || (is_old && shape->needs_context)))
        write_text_member(w->out, first, STR("contextId"), t->context);
    if (is_old && shape->has_final) {
        json_write_key(w->out, first, STR("final"));
        buf_add_str(w->out,
                    t->is_last || a2a_state_is_terminal(w->state) ? STR("true") : STR("false"));
    }
}

/* As find_member(), but `content`, which 0.3's proto calls the parts, is that only if it is a list. */
static int find_meant(const struct shape *shape, struct str key, struct str value)
{
    int i = find_member(shape->members, key);

    if (i >= 0 && shape->members[i].action == PARTS && json_type(value) != JSON_ARRAY &&
        json_key_is(key, shape->members[i].alias))
        return -1;
    return i;
}

static int write_object(struct translator *w, const struct shape *shape, struct str object,
                        bool is_top)
{
    bool first = true, has_context = false;
    struct json_cursor cursor;
    struct str key, value;
    unsigned seen = 0;
    int err;

    if (json_type(object) != JSON_OBJECT)
        return refuse(w, shape->not_object);
    if (w->t->to == A2A_0_3 && shape->kind.n) {
        json_write_key(w->out, &first, STR("kind"));
        json_write_string(w->out, shape->kind);
    }
    JSON_EACH_MEMBER (&cursor, object, &key, &value) {
        int i = find_meant(shape, key, value);
        const struct member *m = &shape->members[i < 0 ? 0 : i];

        if (json_type(value) == JSON_NULL || (i < 0 && w->t->strict))
            continue;
        if (i < 0) {
            json_write_key(w->out, &first, key);
            copy_value(w->out, value);
            continue;
        }
        if (is_left_out(w, shape, m, value, is_top))
            continue;
        if (seen >> i & 1)
            return refuse(w, "a member is given twice, perhaps in two spellings");
        seen |= 1u << i;
        has_context |= m->action == CONTEXT;
        json_write_key(w->out, &first, m->name);
        err = write_value(w, m, value, is_top);
        if (err)
            return err;
    }
    if (is_top)
        write_additions(w, shape, has_context, &first);
    json_write_end(w->out, first);
    return 0;
}

/* --- parts ---------------------------------------------------------------------------------------- */

enum part_slot {
    PART_KIND,
    PART_TEXT,
    PART_RAW,
    PART_URL,
    PART_DATA,
    PART_FILE,
    PART_FILENAME,
    PART_MEDIA_TYPE,
    PART_METADATA,
    PART_MAX
};

static const struct member part_members[PART_MAX + 1] = {
    [PART_KIND] = M("kind", "", COPY, NULL),
    [PART_TEXT] = M("text", "", COPY, NULL),
    [PART_RAW] = M("raw", "", COPY, NULL),
    [PART_URL] = M("url", "", COPY, NULL),
    [PART_DATA] = M("data", "", COPY, NULL),
    [PART_FILE] = M("file", "", COPY, NULL),
    [PART_FILENAME] = M("filename", "", COPY, NULL),
    [PART_MEDIA_TYPE] = M("mediaType", "media_type", COPY, NULL),
    [PART_METADATA] = M("metadata", "", COPY, NULL),
};

/* Whoever writes `url` for `uri` was seen in the field; the long names are those of 0.3's proto. */
enum file_slot { FILE_BYTES, FILE_URI, FILE_URL, FILE_NAME, FILE_MIME_TYPE, FILE_MAX };

static const struct member file_members[FILE_MAX + 1] = {
    [FILE_BYTES] = M("bytes", "fileWithBytes", COPY, NULL),
    [FILE_URI] = M("uri", "fileWithUri", COPY, NULL),
    [FILE_URL] = M("url", "", COPY, NULL),
    [FILE_NAME] = M("name", "", COPY, NULL),
    [FILE_MIME_TYPE] = M("mimeType", "mime_type", COPY, NULL),
};

/* Fills the slots; *has_unknown says whether there is more. A null is kept only as the value of `data`. */
static int collect(struct translator *w, const struct member *members, struct str object,
                   struct str *slots, bool *has_unknown)
{
    struct json_cursor cursor;
    struct str key, value;

    *has_unknown = false;
    JSON_EACH_MEMBER (&cursor, object, &key, &value) {
        int i = find_member(members, key);

        if (i < 0)
            *has_unknown = true;
        else if (json_type(value) == JSON_NULL && !(members == part_members && i == PART_DATA))
            continue;
        else if (slots[i].p)
            return refuse(w, "a member of a part is given twice, perhaps in two spellings");
        else
            slots[i] = value;
    }
    return 0;
}

/* 0.3's file becomes 1.0's raw or url, which are what everything below looks at. */
static int unpack_file(struct translator *w, struct str *slots)
{
    struct str file[FILE_MAX] = {{NULL, 0}}, uri;
    bool has_unknown;
    int err;

    if (json_type(slots[PART_FILE]) != JSON_OBJECT)
        return refuse(w, "the file of a part is not an object");
    err = collect(w, file_members, slots[PART_FILE], file, &has_unknown);
    if (err)
        return err;
    uri = file[FILE_URI].p ? file[FILE_URI] : file[FILE_URL];
    if ((file[FILE_BYTES].p && slots[PART_RAW].p) || (uri.p && slots[PART_URL].p))
        return refuse(w, "a part has more than one content");
    if (file[FILE_BYTES].p)
        slots[PART_RAW] = file[FILE_BYTES];
    if (uri.p)
        slots[PART_URL] = uri;
    if (file[FILE_NAME].p)
        slots[PART_FILENAME] = file[FILE_NAME];
    if (file[FILE_MIME_TYPE].p)
        slots[PART_MEDIA_TYPE] = file[FILE_MIME_TYPE];
    return 0;
}

/* 0.3 says by `kind` which member is meant; the others are then unknown ones with a misleading name. */
static int heed_kind(struct translator *w, struct str *slots)
{
    struct str kind = slots[PART_KIND];
    bool text = json_string_is(kind, STR("text")), data = json_string_is(kind, STR("data"));

    if (!text && !data && !json_string_is(kind, STR("file")))
        return refuse(w, "the kind of a part is none of text, file and data");
    if (!text)
        slots[PART_TEXT] = STR_NONE;
    if (!data)
        slots[PART_DATA] = STR_NONE;
    if (text || data)
        slots[PART_FILE] = slots[PART_RAW] = slots[PART_URL] = STR_NONE;
    return 0;
}

/* Reads a part of either version into 1.0's members. *content: the slot of its only content. */
static int read_part(struct translator *w, struct str part, struct str *slots,
                     enum part_slot *content, bool *has_unknown)
{
    unsigned n = 0;
    int err;

    if (json_type(part) != JSON_OBJECT)
        return refuse(w, "a part is not an object");
    err = collect(w, part_members, part, slots, has_unknown);
    if (!err && w->t->from == A2A_0_3 && slots[PART_KIND].p)
        err = heed_kind(w, slots);
    if (!err && slots[PART_FILE].p)
        err = unpack_file(w, slots);
    if (err)
        return err;
    for (enum part_slot i = PART_TEXT; i <= PART_DATA; i++) {
        if (!a2a_given(slots[i]).p)
            continue;
        if (i != PART_DATA && json_type(slots[i]) != JSON_STRING)
            return refuse(w, "the text or file of a part is not a string");
        *content = i;
        n++;
    }
    if (n == 0 && slots[PART_DATA].p) { /* null is data, too, where nothing else is */
        *content = PART_DATA;
        n = 1;
    }
    if (n == 0)
        return refuse(w, "a part has no content: neither text nor file (raw, url) nor data");
    return n > 1 ? refuse(w, "a part has more than one content") : 0;
}

static void write_member(struct buf *out, bool *first, struct str name, struct str value)
{
    if (!value.p)
        return;
    json_write_key(out, first, name);
    copy_value(out, value);
}

static const struct str compat_mark = {"data_part_compat", 16};

/* The value inside {"value":X}; absent if the object is anything else. */
static struct str wrapped_value(struct str data)
{
    struct json_cursor cursor;
    struct str key, value, more;

    json_enter(&cursor, data);
    if (!json_next_member(&cursor, &key, &value) || !json_key_is(key, STR("value")) ||
        json_next_member(&cursor, &key, &more))
        return STR_NONE;
    return value;
}

/* metadata without the mark, then with it if `is_marked`. Empty metadata is not written. */
static void write_metadata(struct buf *out, bool *first, struct str metadata, bool is_marked)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first_inside = true;

    JSON_EACH_MEMBER (&cursor, metadata, &key, &value) {
        if (json_key_is(key, compat_mark))
            continue;
        if (first_inside)
            json_write_key(out, first, STR("metadata"));
        json_write_key(out, &first_inside, key);
        copy_value(out, value);
    }
    if (is_marked) {
        if (first_inside)
            json_write_key(out, first, STR("metadata"));
        json_write_key(out, &first_inside, compat_mark);
        BUF_LIT(out, "true");
    }
    if (!first_inside)
        json_write_end(out, false);
}

static int write_data_down(struct translator *w, const struct str *slots, bool *first)
{
    struct str data = slots[PART_DATA];
    bool wraps = json_type(data) != JSON_OBJECT;

    if (wraps && slots[PART_METADATA].p && json_type(slots[PART_METADATA]) != JSON_OBJECT)
        return refuse(w, "the metadata of a part is not an object");
    json_write_key(w->out, first, STR("data"));
    if (wraps)
        BUF_LIT(w->out, "{\"value\":");
    copy_value(w->out, data);
    if (wraps)
        buf_add_char(w->out, '}');
    if (wraps)
        write_metadata(w->out, first, slots[PART_METADATA], true);
    else
        write_member(w->out, first, STR("metadata"), slots[PART_METADATA]);
    return 0;
}

static int write_part_down(struct translator *w, const struct str *slots,
                           enum part_slot content, bool *first)
{
    struct buf *out = w->out;
    bool first_inside = true;

    json_write_key(out, first, STR("kind"));
    if (content == PART_DATA) {
        BUF_LIT(out, "\"data\"");
        return write_data_down(w, slots, first);
    }
    if (content == PART_TEXT) {
        BUF_LIT(out, "\"text\"");
        write_member(out, first, STR("text"), slots[PART_TEXT]);
    } else {
        BUF_LIT(out, "\"file\",\"file\":");
        write_member(out, &first_inside, content == PART_RAW ? STR("bytes") : STR("uri"),
                     slots[content]);
        write_member(out, &first_inside, STR("name"), slots[PART_FILENAME]);
        write_member(out, &first_inside, STR("mimeType"), slots[PART_MEDIA_TYPE]);
        json_write_end(out, first_inside);
    }
    write_member(out, first, STR("metadata"), slots[PART_METADATA]);
    return 0;
}

static void write_part_up(struct translator *w, const struct str *slots, enum part_slot content,
                          bool *first)
{
    struct str value = slots[content], metadata = slots[PART_METADATA], inner = STR_NONE;

    if (content == PART_DATA && json_type(json_get(metadata, compat_mark.p)) == JSON_TRUE)
        inner = wrapped_value(value);
    if (json_type(inner) == JSON_OBJECT) /* needs no wrapping, so it is none */
        inner = STR_NONE;
    json_write_key(w->out, first, part_members[content].name);
    copy_value(w->out, inner.p ? inner : value);
    write_member(w->out, first, STR("filename"), slots[PART_FILENAME]);
    write_member(w->out, first, STR("mediaType"), slots[PART_MEDIA_TYPE]);
    if (inner.p)
        write_metadata(w->out, first, metadata, false);
    else
        write_member(w->out, first, STR("metadata"), metadata);
}

static void write_unknown(struct buf *out, bool *first, struct str part)
{
    struct json_cursor cursor;
    struct str key, value;

    JSON_EACH_MEMBER (&cursor, part, &key, &value) {
        if (find_member(part_members, key) >= 0 || json_type(value) == JSON_NULL)
            continue;
        json_write_key(out, first, key);
        copy_value(out, value);
    }
}

static int write_part(struct translator *w, struct str part)
{
    struct str slots[PART_MAX] = {{NULL, 0}};
    enum part_slot content = PART_TEXT;
    bool first = true, has_unknown;
    int err = read_part(w, part, slots, &content, &has_unknown);

    if (err)
        return err;
    if (w->t->to == A2A_1_0)
        write_part_up(w, slots, content, &first);
    else
        err = write_part_down(w, slots, content, &first);
    if (err)
        return err;
    if (has_unknown && !w->t->strict)
        write_unknown(w->out, &first, part);
    json_write_end(w->out, first);
    return 0;
}

static int write_parts(struct translator *w, struct str array)
{
    struct json_cursor cursor;
    struct str part;
    bool first = true;
    int err;

    if (json_type(array) != JSON_ARRAY)
        return refuse(w, "parts is not an array");
    buf_add_char(w->out, '[');
    JSON_EACH_ELEMENT (&cursor, array, &part) {
        if (!first)
            buf_add_char(w->out, ',');
        first = false;
        err = write_part(w, part);
        if (err)
            return err;
    }
    buf_add_char(w->out, ']');
    return 0;
}

/* --- the door ------------------------------------------------------------------------------------- */

int a2a_translate(struct buf *out, const struct a2a_translation *t, struct str object,
                  const char **why)
{
    struct translator w = {.out = out, .t = t, .state = A2A_STATE_UNKNOWN};
    bool is_changed = t->replaces_context || t->trims_history || t->drops_artifacts;
    int err;

    if (t->what == A2A_OBJECT_ERROR) {
        a2a_error_translate(out, t, object);
        return 0;
    }
    if (t->from == t->to) {
        if (is_changed && json_type(object) == JSON_OBJECT)
            copy_object(out, t, object);
        else
            json_minify(out, object);
        return 0;
    }
    err = write_object(&w, shapes[t->what], object, true);
    if (err)
        *why = w.why;
    return err;
}
