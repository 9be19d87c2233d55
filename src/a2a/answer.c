/* SPDX-License-Identifier: MIT
 *
 * What the caller is told, JSON-RPC binding.
 */
#include <stdio.h>

#include "a2a/a2a.h"
#include "lib/clock.h"

static struct str wrap_open(const struct a2a_request *request, enum a2a_reply_kind kind)
{
    if (request->version != A2A_1_0 || request->method != A2A_SEND)
        return STR("");
    return kind == A2A_REPLY_TASK ? STR("{\"task\":") : STR("{\"message\":");
}

bool a2a_result_frame(struct buf *head, struct buf *tail, const struct a2a_request *request,
                      enum a2a_reply_kind kind, int64_t history_length)
{
    struct str open = wrap_open(request, kind);

    if (history_length >= 0 && kind == A2A_REPLY_TASK)
        return false;
    BUF_LIT(head, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(head, request->id);
    BUF_LIT(head, ",\"result\":");
    buf_add_str(head, open);
    buf_add_str(tail, open.n ? STR("}}") : STR("}"));
    return true;
}

static size_t count_elements(struct str array)
{
    struct json_cursor cursor;
    struct str element;
    size_t n = 0;

    json_enter(&cursor, array);
    while (json_next_element(&cursor, &element))
        n++;
    return n;
}

/* The newest `keep` elements: history is chronological, so the last ones. */
static void write_last(struct buf *out, struct str array, size_t keep)
{
    size_t n = count_elements(array), i = 0;
    struct json_cursor cursor;
    struct str element;
    bool first = true;

    buf_add_char(out, '[');
    json_enter(&cursor, array);
    while (json_next_element(&cursor, &element)) {
        if (i++ + keep < n)
            continue;
        if (!first)
            buf_add_char(out, ',');
        first = false;
        buf_add_str(out, element);
    }
    buf_add_char(out, ']');
}

static void write_trimmed(struct buf *out, struct str task, size_t history_length)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    json_enter(&cursor, task);
    while (json_next_member(&cursor, &key, &value)) {
        bool is_history = json_key_is(key, STR("history")) && json_type(value) == JSON_ARRAY;

        if (is_history && history_length == 0)
            continue;
        json_write_key(out, &first, key);
        if (is_history)
            write_last(out, value, history_length);
        else
            buf_add_str(out, value);
    }
    json_write_end(out, first);
}

void a2a_result_write(struct buf *out, const struct a2a_request *request,
                      enum a2a_reply_kind kind, struct str object, int64_t history_length)
{
    struct str open = wrap_open(request, kind);

    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, request->id);
    BUF_LIT(out, ",\"result\":");
    buf_add_str(out, open);
    if (history_length >= 0 && kind == A2A_REPLY_TASK)
        write_trimmed(out, object, (size_t)history_length);
    else
        buf_add_str(out, object);
    if (open.n)
        buf_add_char(out, '}');
    buf_add_char(out, '}');
}

/* --- errors --- */

/* google.rpc.ErrorInfo, and RetryInfo where coming back makes sense (A2A 1.0 section 9.5). A2A's own errors
 * carry A2A's domain, ours the gateway's. */
static void write_data_1_0(struct buf *out, const struct a2a_error_row *row,
                           const struct a2a_fault *fault)
{
    bool ours = row->code > -32000;

    BUF_LIT(out,
            ",\"data\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"");
    buf_add_str(out, str_of(row->reason));
    BUF_LIT(out, "\",\"domain\":\"");
    buf_add_str(out, ours ? STR("superx.gateway") : STR("a2a-protocol.org"));
    BUF_LIT(out, "\"");
    if (fault->detail[0]) {
        BUF_LIT(out, ",\"metadata\":{\"detail\":");
        json_write_string(out, str_of(fault->detail));
        buf_add_char(out, '}');
    }
    buf_add_char(out, '}');
    if (fault->retry_after_s)
        buf_printf(
            out,
            ",{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"%us\"}",
            fault->retry_after_s);
    buf_add_char(out, ']');
}

static void write_data_0_3(struct buf *out, const struct a2a_error_row *row,
                           const struct a2a_fault *fault)
{
    BUF_LIT(out, ",\"data\":{\"reason\":\"");
    buf_add_str(out, str_of(row->reason));
    BUF_LIT(out, "\"");
    if (fault->retry_after_s)
        buf_printf(out, ",\"retryAfterSeconds\":%u", fault->retry_after_s);
    buf_add_char(out, '}');
}

void a2a_error_write(struct buf *out, enum a2a_version version, struct str id,
                     const struct a2a_fault *fault)
{
    const struct a2a_error_row *row = a2a_error_row(fault->error);
    char message[400];

    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, id);
    BUF_LIT(out, ",\"error\":");
    if (fault->agent_error.p) {
        json_minify(out, fault->agent_error);
        buf_add_char(out, '}');
        return;
    }
    BUF_LIT(out, "{\"code\":");
    buf_add_i64(out, row->code);
    BUF_LIT(out, ",\"message\":");
    snprintf(message, sizeof message, "%s%s%s", row->text, fault->detail[0] ? ": " : "",
             fault->detail);
    json_write_string(out, str_of(message));
    if (version == A2A_1_0)
        write_data_1_0(out, row, fault);
    else
        write_data_0_3(out, row, fault);
    BUF_LIT(out, "}}");
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
