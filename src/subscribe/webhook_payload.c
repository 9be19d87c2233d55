/* SPDX-License-Identifier: MIT
 *
 * An event of the log as a receiver reads it, by how it was registered:
 *
 *     A2A 1.0          a StreamResponse: {"task"}, {"statusUpdate"}, {"artifactUpdate"} or {"message"}
 *     A2A 0.3          the Task as of the event (section 9.5), or with payload: event the bare event, as a stream has it
 *     the first SuperX {"streamResponse": {"task" | "statusUpdate" | "artifactUpdate" | "message": <in 0.3>}}
 *
 * A task's first word is its Task in every form.
 */
#include "lib/json.h"
#include "subscribe/webhook_int.h"

static enum a2a_version version_of(enum push_form form)
{
    return form == PUSH_1_0 ? A2A_1_0 : A2A_0_3;
}

static int write_whole(struct buf *out, enum push_form form, enum a2a_reply_kind kind,
                       struct str object, enum a2a_version dialect, struct str context,
                       const char **why)
{
    struct a2a_request request = {.method = A2A_STREAM, .version = version_of(form)};
    struct a2a_result result = {
        .kind = kind, .version = dialect, .object = object, .context = context};
    int err;

    if (form == PUSH_SUPERX)
        buf_printf(out,
                   "{\"streamResponse\":{\"%s\":", kind == A2A_REPLY_TASK ? "task" : "message");
    err = a2a_told_write_first(out, &request, &result, why);
    if (form == PUSH_SUPERX)
        BUF_LIT(out, "}}");
    return err ? err : buf_error(out);
}

static int write_event(struct buf *out, const struct hook *h, const struct store_event *event,
                       const char **why)
{
    enum push_form form = h->push.config.form;
    struct a2a_told told = {.kind = event->kind,
                            .payload = event->payload,
                            .dialect = event->dialect,
                            .task_id = h->push.task_id,
                            .context = h->push.context};
    int err;

    if (form == PUSH_SUPERX)
        buf_printf(out, "{\"streamResponse\":{\"%s\":",
                   event->kind == A2A_EVENT_ARTIFACT_UPDATE ? "artifactUpdate"
                                                            : "statusUpdate");
    err = a2a_told_write(out, &told, version_of(form), why);
    if (form == PUSH_SUPERX)
        BUF_LIT(out, "}}");
    return err ? err : buf_error(out);
}

int payload_write(struct buf *out, const struct hook *h, const struct store_event *event,
                  struct str doc, enum a2a_version doc_dialect, const char **why)
{
    enum push_form form = h->push.config.form;

    if (doc.p)
        return write_whole(out, form, A2A_REPLY_TASK, doc, doc_dialect, h->push.context, why);
    if (event->kind == A2A_EVENT_TASK)
        return write_whole(out, form, A2A_REPLY_TASK, event->payload, event->dialect,
                           h->push.context, why);
    return write_event(out, h, event, why);
}

int payload_write_message(struct buf *out, enum push_form form, struct str message,
                          enum a2a_version dialect, const char **why)
{
    return write_whole(out, form, A2A_REPLY_MESSAGE, message, dialect, STR_NONE, why);
}

/* --- the task as of an event ---------------------------------------------------------------------- */

/* An agent may have changed its version in the midst of a task. */
static int change_dialect(struct hook *h, enum a2a_version to)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_TASK, .from = h->doc_dialect, .to = to, .context = h->push.context};
    struct buf doc;
    const char *why;
    int err;

    buf_init(&doc, h->doc.max);
    err = a2a_translate(&doc, &t, buf_str(&h->doc), &why);
    err = err ? err : buf_error(&doc);
    if (err) {
        buf_release(&doc);
        return err;
    }
    buf_release(&h->doc);
    h->doc = doc;
    h->doc_dialect = to;
    return 0;
}

int payload_replay(struct hook *h, const struct store_event *event)
{
    struct a2a_event fold = {event->kind, event->payload};
    struct buf doc;
    int err = 0;

    if (event->seq <= h->doc_seq)
        return 0;
    if (event->kind != A2A_EVENT_MESSAGE) {
        if (h->doc.n && h->doc_dialect != event->dialect)
            err = change_dialect(h, event->dialect);
        h->doc_dialect = event->dialect;
        buf_init(&doc, 2 * LIMIT_TASK_BYTES);
        if (!err)
            err = a2a_event_fold(h->doc.n ? buf_str(&h->doc) : STR_NONE, &fold, &doc);
        if (err == 0) {
            buf_release(&h->doc);
            h->doc = doc;
        } else {
            buf_release(&doc);
        }
    }
    h->doc_seq = event->seq;
    return err < 0 && err != ERR_FINAL ? err : 0;
}
