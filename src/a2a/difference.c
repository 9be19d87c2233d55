/* SPDX-License-Identifier: MIT
 *
 * How a snapshot becomes events. What the document will be is what a2a_event_fold() makes of the snapshot (the target);
 * how to get there is found by going as far as updates lead and looking what is left:
 *
 *     stored --artifact updates--> reached --status update--> is it the target?
 *                                     |                          no: a SYNC goes between, made of the target's members
 *                                     `--SYNC--> prepared --status update--> the target
 *
 * Artifacts are told first and the status last, because a stream ends with a terminal status. A status update moves the
 * old status.message into the history, which is what many agents do; where this one's history already tells it, or never
 * will, SYNC takes the message away first and brings the history whole.
 *
 * Invariants
 *   1. Every event is one that a2a_event_fold() accepts at its place, and the last one gives the target, byte for byte.
 *   2. What is sent again is bounded by what changed: an artifact that has grown costs its new parts, and lists that are
 *      as the updates leave them are only named in the SYNC.
 *   3. Work is n log n in the number of artifacts, not the product of what was and what is.
 */
#include "a2a/a2a_int.h"

/* Both lists of artifacts, 56 bytes each: half a million of them. */
#define DIFFERENCE_ARENA MB(32)

struct difference {
    struct str doc, last;
    a2a_event_sink sink;
    void *arg;
    const char **why;
    struct arena arena;
    enum a2a_version dialect;
    struct a2a_task_spans old, new; /* of doc and target */
    struct buf target;              /* what the document will be */
    struct buf event;               /* the payload being made */
    struct buf artifacts; /* the list as the updates leave it; empty: as it is stored */
    struct buf reached;   /* the document as the updates leave it */
};

static int emit(struct difference *d, enum a2a_event_kind kind, struct str payload)
{
    const struct a2a_event event = {kind, payload};

    return d->sink(d->arg, &event);
}

/* The ids as the snapshot writes them; a context that it lacks is the stored one. */
static void begin_update(struct difference *d, enum a2a_event_kind kind)
{
    struct str context = d->new.context_id;

    if (!a2a_is_id(context))
        context = a2a_is_id(d->old.context_id) ? d->old.context_id : STR_NONE;
    buf_clear(&d->event);
    a2a_update_write_head(&d->event, d->dialect, kind, d->new.id, context);
}

/* --- artifacts ------------------------------------------------------------------------------------ */

/* The parts that `new` has behind those of `old`, with the bracket that closes them. Absent: it is no continuation. */
static struct str continuation(struct str old, struct str new)
{
    size_t n = old.n - 1; /* without the bracket */

    if (json_type(old) != JSON_ARRAY || json_type(new) != JSON_ARRAY || new.n <= old.n ||
        !str_has_prefix(new, str_make(old.p, n)))
        return STR_NONE;
    if (old.n == 2)
        return str_make(new.p + 1, new.n - 1);
    return new.p[n] == ',' ? str_make(new.p + n + 1, new.n - n - 1) : STR_NONE;
}

/* The parts to append, if that is all that is new. */
static struct str growth(struct str old, struct str new)
{
    struct str old_key, old_value, new_key, new_value, grown = STR_NONE;
    struct json_cursor a, b;
    bool has_parts = false;

    json_enter(&a, old);
    json_enter(&b, new);
    while (json_next_member(&a, &old_key, &old_value)) {
        bool are_parts = !has_parts && a2a_is_parts_key(old_key, old_value);

        if (!json_next_member(&b, &new_key, &new_value) || !str_is(old_key, new_key))
            return STR_NONE;
        has_parts |= are_parts;
        if (are_parts)
            grown = continuation(old_value, new_value);
        if (!str_is(old_value, new_value) && !(are_parts && grown.p))
            return STR_NONE;
    }
    return json_next_member(&b, &new_key, &new_value) ? STR_NONE : grown;
}

/* Says the artifact, whole or (`grown` given) what was added to it. 1: no update can say it. */
static int tell_artifact(struct difference *d, const struct a2a_named *artifact,
                         struct str grown)
{
    struct a2a_update update;
    const char *why;

    begin_update(d, A2A_EVENT_ARTIFACT_UPDATE);
    BUF_LIT(&d->event, ",\"artifact\":");
    if (grown.p) {
        BUF_LIT(&d->event, "{\"artifactId\":");
        buf_add_str(&d->event, artifact->raw);
        BUF_LIT(&d->event, ",\"parts\":[");
        buf_add_str(&d->event, grown);
        BUF_LIT(&d->event, "},\"append\":true}");
    } else {
        buf_add_str(&d->event, artifact->value);
        buf_add_char(&d->event, '}');
    }
    if (buf_error(&d->event))
        return buf_error(&d->event);
    if (a2a_update_read(buf_str(&d->event), A2A_EVENT_ARTIFACT_UPDATE, &update, &why))
        return 1;
    return emit(d, A2A_EVENT_ARTIFACT_UPDATE, buf_str(&d->event));
}

static int tell_artifacts(struct difference *d, const struct a2a_names *old,
                          const struct a2a_names *new, bool *told, bool *any)
{
    for (size_t i = 0; i < new->n; i++) {
        const struct a2a_named *item = &new->items[i], *stored;
        int err;

        told[i] = false;
        if (!item->raw.p || a2a_names_first(new, item->name) != item)
            continue;
        stored = a2a_names_first(old, item->name);
        if (stored && str_is(stored->value, item->value))
            continue;
        err = tell_artifact(d, item, stored ? growth(stored->value, item->value) : STR_NONE);
        if (err < 0)
            return err;
        told[i] = err == 0;
        *any |= told[i];
    }
    return 0;
}

static void add_element(struct buf *list, struct str element)
{
    buf_add_char(list, list->n ? ',' : '[');
    buf_add_str(list, element);
}

/* The list as folding what was told leaves it: what has been replaced stands where it stood, what is new at the end. */
static void write_list(struct difference *d, const struct a2a_names *old,
                       const struct a2a_names *new, const bool *told)
{
    for (size_t i = 0; i < old->n; i++) {
        const struct a2a_named *item = &old->items[i], *newer = NULL;

        if (item->raw.p && a2a_names_first(old, item->name) == item)
            newer = a2a_names_first(new, item->name);
        add_element(&d->artifacts,
                    newer && told[newer - new->items] ? newer->value : item->value);
    }
    for (size_t i = 0; i < new->n; i++)
        if (told[i] && !a2a_names_first(old, new->items[i].name))
            add_element(&d->artifacts, new->items[i].value);
    buf_add_char(&d->artifacts, ']');
}

static int compare_artifacts(struct difference *d)
{
    struct a2a_names old, new;
    bool any = false, *told;
    int err;

    if (str_is(d->old.artifacts, d->new.artifacts))
        return 0;
    err = a2a_names_of_artifacts(&old, d->old.artifacts, &d->arena);
    if (!err)
        err = a2a_names_of_artifacts(&new, d->new.artifacts, &d->arena);
    if (err)
        return err;
    told = arena_take(&d->arena, new.n + 1);
    if (!told)
        return ERR_NOMEM;
    err = tell_artifacts(d, &old, &new, told, &any);
    if (!err && any)
        write_list(d, &old, &new, told);
    return err ? err : buf_error(&d->artifacts);
}

/* --- the document as the updates leave it --------------------------------------------------------- */

static void write_reached(struct difference *d)
{
    struct a2a_copy c = a2a_copy_begin(&d->reached, d->doc);

    if (d->artifacts.n && d->old.artifacts.p) {
        a2a_copy_over(&c, d->old.artifacts);
        buf_add_str(c.out, buf_str(&d->artifacts));
    } else if (d->artifacts.n) {
        a2a_copy_to(&c, c.end - 1);
        BUF_LIT(c.out, ",\"artifacts\":");
        buf_add_str(c.out, buf_str(&d->artifacts));
    }
    a2a_copy_to(&c, c.end);
}

/* Whether nothing is left to say but the status. */
static int is_there(struct difference *d, bool *out)
{
    struct a2a_event event = {A2A_EVENT_STATUS, d->new.status};
    int err;

    write_reached(d);
    if (buf_error(&d->reached))
        return buf_error(&d->reached);
    buf_clear(&d->event);
    err = a2a_event_fold(buf_str(&d->reached), &event, &d->event);
    if (err < 0)
        return err;
    *out = str_is(err ? buf_str(&d->reached) : buf_str(&d->event), buf_str(&d->target));
    return 0;
}

/* --- what no update can say ----------------------------------------------------------------------- */

/* Whether the status update, when it moves the old message into the history, makes it the target's. */
static bool moves_rightly(const struct difference *d)
{
    struct str old = d->old.history, message = d->old.status_message, new = d->new.history;
    size_t n = old.n - 1; /* without the bracket */

    if (json_type(old) != JSON_ARRAY || json_type(new) != JSON_ARRAY)
        return false;
    return new.n == n + (old.n > 2) + message.n + 1 &&
           str_has_prefix(new, str_make(old.p, n)) && (old.n == 2 || new.p[n] == ',') &&
           str_is(str_make(new.p + new.n - 1 - message.n, message.n), message);
}

/* The target, but named only is what stands in the document already, or will when the status comes. */
static void write_sync(struct difference *d)
{
    bool has_message = json_type(d->old.status_message) == JSON_OBJECT &&
                       !str_is(d->old.status, d->new.status);
    bool moves = has_message && moves_rightly(d), first = true;
    struct str artifacts = d->artifacts.n ? buf_str(&d->artifacts) : d->old.artifacts;
    struct json_cursor cursor;
    struct str key, value;

    buf_clear(&d->event);
    JSON_EACH_MEMBER (&cursor, buf_str(&d->target), &key, &value) {
        bool is_artifacts = value.p == d->new.artifacts.p;
        bool is_history = value.p == d->new.history.p;

        if (value.p == d->new.status.p)
            value = has_message && !moves ? STR("{}") : STR("null");
        else if ((is_artifacts && str_is(value, artifacts)) ||
                 (is_history && (moves || str_is(value, d->old.history))))
            value = STR("null");
        json_write_key(&d->event, &first, key);
        buf_add_str(&d->event, value);
    }
    json_write_end(&d->event, first);
}

/* --- the status ----------------------------------------------------------------------------------- */

static bool is_told_by_last(const struct difference *d)
{
    struct a2a_update update;
    const char *why;

    return d->last.p && a2a_update_read(d->last, A2A_EVENT_STATUS_UPDATE, &update, &why) == 0 &&
           a2a_is_same_string(update.task_id, d->new.id) &&
           str_is(update.status, d->new.status);
}

static int tell_status(struct difference *d)
{
    bool is_final = a2a_state_is_terminal(a2a_state_read(d->new.state));

    if (str_is(d->old.status, d->new.status))
        return 0;
    if (is_told_by_last(d))
        return emit(d, A2A_EVENT_STATUS_UPDATE, d->last);
    begin_update(d, A2A_EVENT_STATUS_UPDATE);
    BUF_LIT(&d->event, ",\"status\":");
    buf_add_str(&d->event, d->new.status);
    if (d->dialect == A2A_0_3)
        buf_add_str(&d->event, is_final ? STR(",\"final\":true") : STR(",\"final\":false"));
    buf_add_char(&d->event, '}');
    return buf_error(&d->event) ? buf_error(&d->event)
                                : emit(d, A2A_EVENT_STATUS_UPDATE, buf_str(&d->event));
}

/* --- the door ------------------------------------------------------------------------------------- */

/* Returns 1 if nothing differs. */
static int find_target(struct difference *d, struct str snapshot)
{
    struct a2a_event event = {A2A_EVENT_TASK, snapshot};
    int err;

    err = a2a_event_fold(d->doc, &event, &d->target);
    if (err == ERR_INVALID)
        *d->why = "the stored document or the snapshot is not a task";
    if (err)
        return err;
    err = a2a_task_scan(d->doc, &d->old, d->why);
    if (!err)
        err = a2a_task_scan(buf_str(&d->target), &d->new, d->why);
    if (!err && (!a2a_is_id(d->new.id) || !a2a_is_same_string(d->old.id, d->new.id))) {
        *d->why = "the snapshot is of another task";
        err = ERR_INVALID;
    }
    return err;
}

static int tell(struct difference *d)
{
    bool there = false;
    int err = compare_artifacts(d);

    if (!err)
        err = is_there(d, &there);
    if (err)
        return err;
    if (!there) {
        write_sync(d);
        err = buf_error(&d->event);
        if (!err)
            err = emit(d, A2A_EVENT_SYNC, buf_str(&d->event));
    }
    return err ? err : tell_status(d);
}

int a2a_difference(struct str doc, struct str snapshot, struct str last, a2a_event_sink sink,
                   void *arg, const char **why)
{
    struct difference d = {.doc = doc, .last = last, .sink = sink, .arg = arg, .why = why};
    size_t max = doc.n + snapshot.n + KB(4); /* whatever is written is made of the two */
    int err;

    arena_init(&d.arena, DIFFERENCE_ARENA);
    buf_init(&d.target, max);
    buf_init(&d.event, max);
    buf_init(&d.artifacts, max);
    buf_init(&d.reached, max);
    err = find_target(&d, snapshot);
    if (!err) {
        d.dialect = a2a_object_dialect(buf_str(&d.target), d.new.state, A2A_1_0);
        err = tell(&d);
    }
    buf_release(&d.reached);
    buf_release(&d.artifacts);
    buf_release(&d.event);
    buf_release(&d.target);
    arena_release(&d.arena);
    return err == 1 ? 0 : err;
}
