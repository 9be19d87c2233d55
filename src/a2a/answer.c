/* SPDX-License-Identifier: MIT
 *
 * What the caller is told, JSON-RPC binding: tasks and messages. The common case, an object in the caller's
 * own version and nothing to leave out, is not copied at all: a2a_result_frame() says what stands around it.
 *
 * Also what begins a stream; what follows in it is stream.c's.
 */
#include "a2a/a2a_int.h"
#include "lib/clock.h"

static struct str wrapper(enum a2a_reply_kind kind)
{
    return kind == A2A_REPLY_TASK ? STR("{\"task\":") : STR("{\"message\":");
}

static struct str wrap_open(const struct a2a_request *request, enum a2a_reply_kind kind)
{
    return request->version == A2A_1_0 && request->method == A2A_SEND ? wrapper(kind) : STR("");
}

static void write_head(struct buf *out, const struct a2a_request *request, struct str open)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, request->id);
    BUF_LIT(out, ",\"result\":");
    buf_add_str(out, open);
}

/* From how the object is stored to how this caller reads it. */
static struct a2a_translation translation_of(const struct a2a_request *request,
                                             const struct a2a_result *result)
{
    bool is_task = result->kind == A2A_REPLY_TASK;

    BUG_ON(result->kind == A2A_REPLY_ERROR);
    return (struct a2a_translation){
        .what = is_task ? A2A_OBJECT_TASK : A2A_OBJECT_MESSAGE,
        .from = result->version,
        .to = request->version,
        .context = is_task ? result->context : STR_NONE,
        .trims_history = is_task && request->has_history_length,
        .history_max = request->has_history_length ? (uint64_t)request->history_length : 0,
    };
}

bool a2a_result_frame(struct buf *head, struct buf *tail, const struct a2a_request *request,
                      const struct a2a_result *result)
{
    struct str open = wrap_open(request, result->kind);

    if (result->version != request->version ||
        (request->has_history_length && result->kind == A2A_REPLY_TASK))
        return false;
    write_head(head, request, open);
    buf_add_str(tail, open.n ? STR("}}") : STR("}"));
    return true;
}

int a2a_result_write(struct buf *out, const struct a2a_request *request,
                     const struct a2a_result *result, const char **why)
{
    struct a2a_translation t = translation_of(request, result);
    struct str open = wrap_open(request, result->kind);
    int err;

    write_head(out, request, open);
    err = a2a_translate(out, &t, result->object, why);
    buf_add_str(out, open.n ? STR("}}") : STR("}"));
    return err;
}

int a2a_told_write_first(struct buf *out, const struct a2a_request *request,
                         const struct a2a_result *result, const char **why)
{
    struct a2a_translation t = translation_of(request, result);
    struct str open = request->version == A2A_1_0 ? wrapper(result->kind) : STR("");
    int err;

    buf_add_str(out, open);
    err = a2a_translate(out, &t, result->object, why);
    buf_add_str(out, open.n ? STR("}") : STR(""));
    return err;
}

int a2a_result_write_listed(struct buf *out, const struct a2a_request *request,
                            const struct a2a_result *result, const char **why)
{
    struct a2a_translation t = translation_of(request, result);

    t.trims_history = true;
    t.drops_artifacts = !request->list.include_artifacts;
    return a2a_translate(out, &t, result->object, why);
}

void a2a_task_write_summary(struct buf *out, struct str agent, struct str id,
                            struct str context, enum a2a_state state, int64_t status_at_us)
{
    char when[CLOCK_TEXT + 1];

    clock_format(status_at_us, when);
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, id);
    if (context.p) {
        BUF_LIT(out, ",\"contextId\":");
        json_write_string(out, context);
    }
    BUF_LIT(out, ",\"kind\":\"task\",\"agentId\":");
    json_write_string(out, agent);
    BUF_LIT(out, ",\"status\":{\"state\":\"");
    buf_add_str(out, str_of(a2a_state_name(state, A2A_0_3)));
    BUF_LIT(out, "\",\"timestamp\":\"");
    buf_add(out, when, CLOCK_TEXT);
    BUF_LIT(out, "\"}}");
}
