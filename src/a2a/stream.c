/* SPDX-License-Identifier: MIT
 *
 * What a caller's stream is told: an event of the log, as the `result` of one frame.
 *
 *     log               0.3                                    1.0
 *     STATUS_UPDATE     {"kind":"status-update",..,"final"}    {"statusUpdate":{..}}
 *     ARTIFACT_UPDATE   {"kind":"artifact-update",..}          {"artifactUpdate":{..}}
 *     STATUS, TASK      a status update made of the status     likewise: a stream never tells a second Task
 *
 * An update in the reader's own version is not re-serialised. Only `final` is the gateway's to say: it depends on who
 * reads (one stream ends where the other goes on), and a `kind` that the agent left out, without which a 0.3 reader
 * cannot tell what it has. What begins a stream is in answer.c, what an agent's stream says in reply.c.
 */
#include "a2a/a2a_int.h"

static int refuse(const char **why, const char *reason)
{
    *why = reason;
    return ERR_INVALID;
}

static struct str final_text(const struct a2a_told *event)
{
    enum a2a_state state = A2A_STATE_UNKNOWN;
    bool is_known = a2a_event_state(event->kind, event->payload, &state) == 0;

    return event->is_last || (is_known && a2a_state_is_terminal(state)) ? STR("true")
                                                                        : STR("false");
}

/* --- an update of our making -------------------------------------------------------------------------- */

static void write_head(struct buf *out, const struct a2a_told *event, enum a2a_version to)
{
    struct str context = STR_NONE;
    struct buf ids;
    size_t n;

    buf_init(&ids, KB(8)); /* two ids of 512 bytes, each byte an escape of six */
    json_write_string(&ids, event->task_id);
    n = ids.n;
    if (event->context.p)
        json_write_string(&ids, event->context);
    if (ids.n > n)
        context = str_make(ids.p + n, ids.n - n);
    a2a_update_write_head(out, to, A2A_EVENT_STATUS_UPDATE, str_make(ids.p, n), context);
    if (buf_error(&ids) && !out->err)
        out->err = buf_error(&ids);
    buf_release(&ids);
}

static int write_status(struct buf *out, const struct a2a_told *event, enum a2a_version to,
                        const char **why)
{
    const struct a2a_translation t = {
        .what = A2A_OBJECT_STATUS, .from = event->dialect, .to = to};
    struct str status = event->payload;
    int err;

    if (event->kind == A2A_EVENT_TASK)
        status = json_get(status, "status");
    if (json_type(status) != JSON_OBJECT)
        return refuse(why, "the event has no status");
    write_head(out, event, to);
    BUF_LIT(out, ",\"status\":");
    err = a2a_translate(out, &t, status, why);
    if (to == A2A_0_3) {
        BUF_LIT(out, ",\"final\":");
        buf_add_str(out, final_text(event));
    }
    buf_add_char(out, '}');
    return err;
}

/* --- an agent's update -------------------------------------------------------------------------------- */

/* Within 0.3: the payload with the kind and final that belong there. */
static void write_mended(struct buf *out, const struct a2a_told *event)
{
    bool is_status = event->kind == A2A_EVENT_STATUS_UPDATE;
    struct a2a_copy c = a2a_copy_begin(out, event->payload);
    struct str final = json_get(event->payload, "final"), wanted;

    if (!json_get(event->payload, "kind").p) {
        a2a_copy_to(&c, c.at + 1);
        buf_add_str(out, is_status ? STR("\"kind\":\"status-update\",")
                                   : STR("\"kind\":\"artifact-update\","));
    }
    if (is_status) {
        wanted = final_text(event);
        if (final.p) {
            a2a_copy_over(&c, final);
        } else {
            a2a_copy_to(&c, c.end - 1);
            BUF_LIT(out, ",\"final\":");
        }
        buf_add_str(out, wanted);
    }
    a2a_copy_to(&c, c.end);
}

static int write_update(struct buf *out, const struct a2a_told *event, enum a2a_version to,
                        const char **why)
{
    const struct a2a_translation t = {
        .what = event->kind == A2A_EVENT_STATUS_UPDATE ? A2A_OBJECT_STATUS_UPDATE
                                                       : A2A_OBJECT_ARTIFACT_UPDATE,
        .from = event->dialect,
        .to = to,
        .context = event->context,
        .is_last = event->is_last,
    };
    struct a2a_update update;
    int err = a2a_update_read(event->payload, event->kind, &update, why);

    if (err)
        return err;
    if (event->dialect != to)
        return a2a_translate(out, &t, event->payload, why);
    if (to == A2A_0_3)
        write_mended(out, event);
    else
        buf_add_str(out, event->payload);
    return 0;
}

int a2a_told_write(struct buf *out, const struct a2a_told *event, enum a2a_version to,
                   const char **why)
{
    bool is_artifact = event->kind == A2A_EVENT_ARTIFACT_UPDATE;
    bool is_wrapped = to == A2A_1_0;
    int err;

    BUG_ON(!a2a_event_is_told(event->kind));
    if (is_wrapped)
        buf_add_str(out, is_artifact ? STR("{\"artifactUpdate\":") : STR("{\"statusUpdate\":"));
    if (is_artifact || event->kind == A2A_EVENT_STATUS_UPDATE)
        err = write_update(out, event, to, why);
    else
        err = write_status(out, event, to, why);
    if (is_wrapped)
        buf_add_char(out, '}');
    return err;
}
