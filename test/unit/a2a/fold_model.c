/* SPDX-License-Identifier: MIT
 *
 * The fold against a naive model that does with trees what the fold does with spans, over random programs of events:
 * good ones, repeated ones, ones that come again later, and lies (other ids, wrong types, members twice). After each
 * step both must have the same bytes, the task must be one, and once it is terminal it must stay as it is.
 */
#include "check.h"

#include "a2a/a2a.h"
#include "tree.h"

/* --- the model --- */

static bool is_state_final(const struct node *task)
{
    const struct node *state = tree_find(tree_find(task, "status"), "state");

    return a2a_state_is_terminal(a2a_state_read(state->text));
}

static struct node *find_either(const struct node *n, const char *a, const char *b)
{
    struct node *found = tree_find(n, a);

    return found ? found : tree_find(n, b);
}

static bool has_twice(const struct node *n, const char *a, const char *b)
{
    int count = 0;

    for (struct node *child = n && n->type == JSON_OBJECT ? n->first : NULL; child;
         child = child->next)
        count += json_key_is(child->key, str_of(a)) || json_key_is(child->key, str_of(b));
    return count > 1;
}

static int model_status(struct node *task, const struct node *status)
{
    struct node *old = tree_find(task, "status"), *message, *history;

    if (!tree_is(status, JSON_OBJECT) || !tree_find(status, "state"))
        return ERR_INVALID;
    if (tree_same(old, status))
        return 0;
    message = tree_find(old, "message");
    history = tree_find(task, "history");
    if (tree_is(message, JSON_OBJECT)) {
        if (!history) {
            history = tree_new(STR("history"), JSON_ARRAY, STR_NONE);
            tree_add(task, history);
        }
        if (history->type != JSON_ARRAY)
            tree_become(history, tree_new(STR_NONE, JSON_ARRAY, STR_NONE));
        tree_add(history, tree_copy(message, STR_NONE));
    }
    tree_become(old, status);
    return 0;
}

static struct node *parts_of(const struct node *artifact)
{
    for (struct node *child = artifact->first; child; child = child->next)
        if (json_key_is(child->key, STR("parts")) ||
            (child->type == JSON_ARRAY && json_key_is(child->key, STR("content"))))
            return child;
    return NULL;
}

/* Of a chunk: what is called parts counts for more than what is called content. */
static const struct node *new_parts_of(const struct node *chunk)
{
    const struct node *parts = tree_find(chunk, "parts");

    return parts && parts->type != JSON_NULL ? parts : tree_find(chunk, "content");
}

static void model_merge(struct node *stored, const struct node *metadata)
{
    for (const struct node *m = metadata->first; m; m = m->next) {
        struct node *same = NULL;
        char name[64];
        struct buf text;

        buf_init(&text, 63);
        CHECK_INT(json_string_decode(str_make(m->key.p - 1, m->key.n + 2), &text), 0);
        snprintf(name, sizeof name, "%s", buf_z(&text));
        buf_release(&text);
        same = tree_find(stored, name);
        if (same)
            tree_become(same, m);
        else
            tree_add(stored, tree_copy(m, m->key));
    }
}

static void model_append(struct node *stored, const struct node *chunk)
{
    static const char *const others[] = {"name", "description", "extensions"};
    const struct node *parts = new_parts_of(chunk), *metadata = tree_find(chunk, "metadata");
    struct node *old = parts_of(stored);

    if (tree_is(parts, JSON_ARRAY) && tree_is(old, JSON_ARRAY)) {
        for (const struct node *part = parts->first; part; part = part->next)
            tree_add(old, tree_copy(part, STR_NONE));
    } else if (tree_is(parts, JSON_ARRAY) && old) {
        tree_become(old, parts);
    } else if (tree_is(parts, JSON_ARRAY)) {
        tree_add(stored, tree_copy(parts, STR("parts")));
    }
    old = tree_find(stored, "metadata");
    if (tree_is(metadata, JSON_OBJECT) && tree_is(old, JSON_OBJECT))
        model_merge(old, metadata);
    else if (tree_is(metadata, JSON_OBJECT) && old)
        tree_become(old, metadata);
    else if (tree_is(metadata, JSON_OBJECT))
        tree_add(stored, tree_copy(metadata, STR("metadata")));
    for (size_t i = 0; i < 3; i++) {
        const struct node *given = tree_find(chunk, others[i]);

        old = tree_find(stored, others[i]);
        if (!given || given->type == JSON_NULL)
            continue;
        if (!old)
            tree_add(stored, tree_copy(given, str_of(others[i])));
        else if (old->type == JSON_NULL)
            tree_become(old, given);
    }
}

static int model_artifact(struct node *task, const struct node *update)
{
    const struct node *artifact = tree_find(update, "artifact");
    const struct node *id = find_either(artifact, "artifactId", "artifact_id");
    const struct node *parts = artifact ? tree_find(artifact, "parts") : NULL;
    struct node *list = tree_find(task, "artifacts"), *found = NULL;

    if (!tree_is(artifact, JSON_OBJECT) || !tree_is(id, JSON_STRING) || id->text.n == 2 ||
        (parts && parts->type != JSON_ARRAY && parts->type != JSON_NULL) ||
        has_twice(artifact, "artifactId", "artifact_id") || has_twice(artifact, "parts", ""))
        return ERR_INVALID;
    if (!list) {
        list = tree_new(STR("artifacts"), JSON_ARRAY, STR_NONE);
        tree_add(task, list);
    }
    if (list->type != JSON_ARRAY)
        tree_become(list, tree_new(STR_NONE, JSON_ARRAY, STR_NONE));
    for (struct node *a = list->first; a && !found; a = a->next)
        if (tree_same_string(find_either(a, "artifactId", "artifact_id"), id))
            found = a;
    if (found && tree_is(tree_find(update, "append"), JSON_TRUE))
        model_append(found, artifact);
    else if (found)
        tree_become(found, artifact);
    else
        tree_add(list, tree_copy(artifact, STR_NONE));
    return 0;
}

static struct node *model_snapshot(const struct node *task, const struct node *snapshot)
{
    struct node *next = tree_new(STR_NONE, JSON_OBJECT, STR_NONE);
    static const char *const kept[] = {"artifacts", "history"};

    for (const struct node *m = snapshot->first; m; m = m->next)
        if (m->type != JSON_NULL ||
            (!json_key_is(m->key, STR("artifacts")) && !json_key_is(m->key, STR("history"))))
            tree_add(next, tree_copy(m, m->key));
    for (size_t i = 0; i < 2; i++) {
        const struct node *old = tree_find(task, kept[i]);

        if (old && old->type != JSON_NULL && !tree_find(next, kept[i]))
            tree_add(next, tree_copy(old, str_of(kept[i])));
    }
    return next;
}

/* Returns the next task, or NULL where the event must be refused. */
static struct node *model_fold(const struct node *task, enum a2a_event_kind kind,
                               const struct node *event)
{
    struct node *next = tree_copy(task, STR_NONE);
    int err;

    if (event->type != JSON_OBJECT)
        return NULL;
    if (kind == A2A_EVENT_TASK)
        return model_snapshot(task, event);
    if (kind == A2A_EVENT_STATUS)
        return model_status(next, event) ? NULL : next;
    if (!tree_same_string(find_either(event, "taskId", "task_id"), tree_find(task, "id")) ||
        has_twice(event, "taskId", "task_id"))
        return NULL;
    if (kind == A2A_EVENT_STATUS_UPDATE)
        err = model_status(next, tree_find(event, "status"));
    else
        err = model_artifact(next, event);
    return err ? NULL : next;
}

/* --- programs --- */

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

/* Mostly the first. */
static const char *rarely(const char *usual, const char *other)
{
    return pick(12) ? usual : other;
}

static void write_message(struct buf *out, int step)
{
    buf_printf(out, pick(8) ? "{\"messageId\":\"m%d\"}" : "%d", step);
}

static void write_status(struct buf *out, int step)
{
    static const char *const states[] = {"\"working\"",        "\"submitted\"",          "2",
                                         "\"input-required\"", "\"TASK_STATE_WORKING\"", "null",
                                         "\"completed\"",      "\"c\\u0061nceled\""};

    if (!pick(25)) {
        BUF_LIT(out, "{\"timestamp\":5}");
        return;
    }
    buf_printf(out, "{\"state\":%s", states[pick(step < 20 ? 6 : 8)]);
    if (pick(2)) {
        BUF_LIT(out, ",\"message\":");
        write_message(out, step);
    }
    buf_add_char(out, '}');
}

static void write_list(struct buf *out, const char *name, int step)
{
    buf_printf(out, ",\"%s\":", name);
    switch (pick(6)) {
    case 0:
        BUF_LIT(out, "null");
        break;
    case 1:
        BUF_LIT(out, "{\"a\":1}");
        break;
    case 2:
        BUF_LIT(out, "[]");
        break;
    default:
        buf_printf(out, "[%d,{\"text\":\"\\\"],}%d\"}]", step, step);
    }
}

static void write_artifact(struct buf *out, int step)
{
    static const char *const ids[] = {"a", "b", "c", "\\u0061", "]}\\\"", ""};

    if (!pick(30)) {
        BUF_LIT(out, "[]");
        return;
    }
    buf_printf(out, "{\"%s\":\"%s\"", rarely("artifactId", "artifact_id"),
               ids[pick(pick(10) ? 5 : 6)]);
    if (pick(2))
        write_list(out, rarely("parts", "content"), step);
    if (!pick(3))
        buf_printf(out, ",\"%s\":%s", rarely("name", "description"), rarely("\"n\"", "null"));
    if (!pick(3))
        buf_printf(out, ",\"metadata\":{\"k%u\":%d,\"x\\u0079\":[%d]}", pick(3), step, step);
    if (!pick(8))
        BUF_LIT(out, ",\"metadat\\u0061\":7");
    if (pick(2))
        write_list(out, rarely("parts", "parts_"), step);
    if (!pick(6))
        BUF_LIT(out, ",\"extensions\":[\"e\"]");
    buf_add_char(out, '}');
}

static enum a2a_event_kind write_event(struct buf *out, int step)
{
    static const enum a2a_event_kind kinds[] = {
        A2A_EVENT_ARTIFACT_UPDATE, A2A_EVENT_ARTIFACT_UPDATE, A2A_EVENT_ARTIFACT_UPDATE,
        A2A_EVENT_STATUS_UPDATE,   A2A_EVENT_STATUS,          A2A_EVENT_TASK};
    enum a2a_event_kind kind = kinds[pick(6)];

    buf_clear(out);
    if (kind == A2A_EVENT_STATUS) {
        write_status(out, step);
        return kind;
    }
    if (kind == A2A_EVENT_TASK) {
        BUF_LIT(out, "{\"id\":\"t\",\"status\":{\"state\":\"working\"}");
        if (pick(2))
            write_list(out, "history", step);
        if (!pick(4)) {
            BUF_LIT(out, ",\"artifacts\":[5,");
            write_artifact(out, step);
            BUF_LIT(out, ",{}]");
        } else if (!pick(4)) {
            write_list(out, "artifacts", step);
        }
        BUF_LIT(out, ",\"x\":1}");
        return kind;
    }
    buf_printf(out, "{\"%s\":\"%s\"", rarely("taskId", "task_id"), rarely("t", "u"));
    if (kind == A2A_EVENT_STATUS_UPDATE) {
        BUF_LIT(out, ",\"status\":");
        write_status(out, step);
    } else {
        buf_printf(out, ",\"append\":%s,\"artifact\":", pick(3) ? "true" : "false");
        write_artifact(out, step);
    }
    buf_printf(out, "%s}", rarely("", ",\"taskId\":\"t\""));
    return kind;
}

/* The event is one that came before as often as not. */
static enum a2a_event_kind next_event(struct buf events[8], enum a2a_event_kind kinds[8],
                                      int step, struct buf **out)
{
    unsigned i = pick(8);

    if (events[i].n == 0 || pick(2))
        kinds[i] = write_event(&events[i], step);
    *out = &events[i];
    return kinds[i];
}

static void check_task(struct str doc)
{
    struct a2a_task task;
    struct arena arena;
    const char *why;

    arena_init(&arena, KB(64));
    CHECK_INT(json_scan(doc, NULL, NULL, 0, NULL), 0);
    CHECK_INT(a2a_task_read(doc, &arena, &task, &why), 0);
    CHECK(json_is_minified(doc));
    arena_release(&arena);
}

/* One step of both; `doc` is the document before and after. */
static void step_both(struct buf *doc, enum a2a_event_kind kind, struct str payload)
{
    struct a2a_event event = {kind, payload};
    struct node *task, *next;
    struct buf out, want;
    int err;

    tree_clear();
    buf_init(&out, MB(1));
    buf_init(&want, MB(1));
    task = tree_parse(STR_NONE, buf_str(doc));
    next = model_fold(task, kind, tree_parse(STR_NONE, payload));
    if (next)
        tree_write(&want, next);
    err = a2a_event_fold(buf_str(doc), &event, &out);
    if (!next) {
        CHECK_INT(err, ERR_INVALID);
    } else if (str_is(buf_str(&want), buf_str(doc))) {
        CHECK_INT(err, 1);
    } else if (is_state_final(task)) {
        CHECK_INT(err, ERR_FINAL);
    } else {
        CHECK_INT(err, 0);
        CHECK_STR(buf_str(&out), buf_str(&want));
    }
    if (err == 0) {
        buf_clear(doc);
        buf_add_str(doc, buf_str(&out));
        check_task(buf_str(doc));
    }
    buf_release(&out);
    buf_release(&want);
}

static void run_program(void)
{
    enum a2a_event_kind kinds[8] = {0};
    struct buf doc, events[8], *payload;

    buf_init(&doc, MB(1));
    for (size_t i = 0; i < 8; i++)
        buf_init(&events[i], KB(8));
    BUF_LIT(&doc, "{\"id\":\"t\",\"status\":{\"state\":\"submitted\"}}");
    for (int step = 0; step < 40 && !test_failures; step++) {
        enum a2a_event_kind kind = next_event(events, kinds, step, &payload);

        step_both(&doc, kind, buf_str(payload));
        if (test_failures)
            printf("    event %d: %.*s\n    on %.*s\n", (int)kind, STR_ARG(buf_str(payload)),
                   STR_ARG(buf_str(&doc)));
    }
    buf_release(&doc);
    for (size_t i = 0; i < 8; i++)
        buf_release(&events[i]);
}

TEST(random_programs)
{
    for (unsigned i = 1; i <= 3000 && !test_failures; i++) {
        seed = i * 2654435761u;
        run_program();
    }
}

TEST_MAIN
