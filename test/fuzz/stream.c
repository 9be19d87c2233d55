/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: streams. The first byte chooses what the rest is: the data of an agent's frame, a document and an event
 * for the fold, or a document, a snapshot and (perhaps) the agent's last word, for their difference. Texts are divided
 * by newlines.
 *
 *     frame        what was read is a task's beginning, can be folded, and is told as JSON
 *     fold         the result is a task, a terminal one does not change, and the same event again finds a task
 *     difference   folding the events one after another is folding the snapshot
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "a2a/a2a.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_json(struct str text)
{
    return json_scan(text, NULL, NULL, 0, NULL) == 0;
}

/* Wrapping makes an event deeper than what it was made of, and the scanner has a limit. */
static bool is_json_or_deep(struct str text)
{
    int err = json_scan(text, NULL, NULL, 0, NULL);

    return err == 0 || err == ERR_LIMIT;
}

static bool is_task(struct str text, enum a2a_state *state)
{
    struct a2a_task task;
    struct arena arena;
    const char *why;
    int err;

    if (!is_json(text))
        return false;
    arena_init(&arena, KB(64));
    err = a2a_task_read(text, &arena, &task, &why);
    *state = task.state;
    arena_release(&arena);
    return err == 0;
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* --- folding -------------------------------------------------------------------------------------- */

/* Returns what the fold does; `doc` (minified, or empty: none) is the result then. */
static int fold(struct buf *doc, enum a2a_event_kind kind, struct str payload)
{
    struct a2a_event event = {kind, payload};
    enum a2a_state before = A2A_STATE_UNKNOWN, after;
    struct buf out;
    int err;

    buf_init(&out, MB(1));
    must(!doc->n || is_task(buf_str(doc), &before));
    err = a2a_event_fold(doc->n ? buf_str(doc) : STR_NONE, &event, &out);
    must(err <= 1);
    if (err == 0)
        must(!a2a_state_is_terminal(before) && is_json_or_deep(buf_str(&out)));
    /* An artifact stands a level deeper than in its update. */
    if (err == 0 && !is_json(buf_str(&out)))
        err = ERR_LIMIT;
    if (err == 0) {
        must(kind == A2A_EVENT_TASK || is_task(buf_str(&out), &after));
        buf_clear(doc);
        buf_add_str(doc, buf_str(&out));
    }
    buf_release(&out);
    return err;
}

static void try_fold(struct str doc_text, struct str payload_text, enum a2a_event_kind kind)
{
    struct buf doc, payload;
    enum a2a_state state;

    if (!is_json(payload_text) || (doc_text.n && !is_task(doc_text, &state)) ||
        (kind == A2A_EVENT_TASK && !is_task(payload_text, &state)))
        return;
    buf_init(&doc, MB(1));
    buf_init(&payload, MB(1));
    json_minify(&doc, doc_text);
    json_minify(&payload, payload_text);
    if (fold(&doc, kind, buf_str(&payload)) == 0)
        must(fold(&doc, kind, buf_str(&payload)) != ERR_INVALID);
    buf_release(&doc);
    buf_release(&payload);
}

/* --- frames --------------------------------------------------------------------------------------- */

static void try_tell(enum a2a_event_kind kind, const struct a2a_stream_event *event,
                     struct str payload)
{
    for (int i = 0; i < 4; i++) {
        struct a2a_told told = {.kind = kind,
                                .payload = payload,
                                .dialect = event->dialect,
                                .task_id = STR("t"),
                                .context = STR("c"),
                                .is_last = i & 1};
        enum a2a_version to = i & 2 ? A2A_1_0 : A2A_0_3;
        struct buf out;
        const char *why = NULL;

        buf_init(&out, MB(1));
        if (a2a_told_write(&out, &told, to, &why))
            must(why != NULL && to != event->dialect);
        else
            must(is_json_or_deep(buf_str(&out)));
        buf_release(&out);
    }
}

static void try_begin(const struct a2a_stream_event *event, struct str payload)
{
    bool is_status = event->kind == A2A_STREAM_STATUS;
    struct buf doc;

    buf_init(&doc, MB(1));
    must(a2a_task_write_begun(&doc, event) == 0);
    must(fold(&doc, is_status ? A2A_EVENT_STATUS_UPDATE : A2A_EVENT_ARTIFACT_UPDATE, payload) !=
         ERR_INVALID);
    buf_release(&doc);
}

static void try_frame(struct str data, enum a2a_version version)
{
    static const enum a2a_event_kind kinds[] = {
        [A2A_STREAM_TASK] = A2A_EVENT_TASK,
        [A2A_STREAM_STATUS] = A2A_EVENT_STATUS_UPDATE,
        [A2A_STREAM_ARTIFACT] = A2A_EVENT_ARTIFACT_UPDATE,
    };
    struct a2a_stream_event event;
    struct a2a_fault fault;
    struct buf payload;

    if (a2a_stream_read(data, version, 5, &event, &fault) || event.kind == A2A_STREAM_MESSAGE ||
        event.kind == A2A_STREAM_ERROR)
        return;
    buf_init(&payload, MB(1));
    json_minify(&payload, event.object);
    try_tell(kinds[event.kind], &event, buf_str(&payload));
    if (event.kind != A2A_STREAM_TASK)
        try_begin(&event, buf_str(&payload));
    buf_release(&payload);
}

/* --- differences ---------------------------------------------------------------------------------- */

static int on_event(void *arg, const struct a2a_event *event)
{
    must(fold(arg, event->kind, event->payload) >= 0);
    return 0;
}

static void try_difference(struct str doc_text, struct str snapshot_text, struct str last_text)
{
    enum a2a_state state, end;
    struct buf doc, snapshot, last, reached, wanted;
    const char *why;

    if (!is_task(doc_text, &state) || !is_task(snapshot_text, &end) ||
        (last_text.p && !is_json(last_text)))
        return;
    buf_init(&doc, MB(1));
    buf_init(&snapshot, MB(1));
    buf_init(&last, MB(1));
    buf_init(&reached, MB(1));
    buf_init(&wanted, MB(1));
    json_minify(&doc, doc_text);
    json_minify(&snapshot, snapshot_text);
    json_minify(&last, last_text);
    buf_add_str(&reached, buf_str(&doc));
    buf_add_str(&wanted, buf_str(&doc));
    if (a2a_difference(buf_str(&doc), buf_str(&snapshot),
                       last_text.p ? buf_str(&last) : STR_NONE, on_event, &reached,
                       &why) == 0) {
        must(fold(&wanted, A2A_EVENT_TASK, buf_str(&snapshot)) >= 0);
        must(str_is(buf_str(&reached), buf_str(&wanted)));
    }
    buf_release(&doc);
    buf_release(&snapshot);
    buf_release(&last);
    buf_release(&reached);
    buf_release(&wanted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum a2a_event_kind kinds[] = {
        A2A_EVENT_TASK, A2A_EVENT_STATUS, A2A_EVENT_STATUS_UPDATE, A2A_EVENT_ARTIFACT_UPDATE,
        A2A_EVENT_SYNC,
    };
    struct str rest = str_make((const char *)data + 1, size ? size - 1 : 0), first, second;
    unsigned choice;

    if (size == 0)
        return 0;
    choice =
        (data[0] + 2u) % 10; /* the digits 0 to 9, with which seeds begin, are themselves */
    if (choice < 2) {
        try_frame(rest, choice ? A2A_1_0 : A2A_0_3);
        return 0;
    }
    first = str_cut(&rest, '\n');
    if (choice < 7) {
        try_fold(first, rest.p ? rest : STR(""), kinds[choice - 2]);
        return 0;
    }
    second = str_cut(&rest, '\n');
    try_difference(first, second.p ? second : STR(""), rest);
    return 0;
}
