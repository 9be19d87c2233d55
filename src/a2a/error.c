/* SPDX-License-Identifier: MIT
 *
 * Errors as callers read them: the gateway's own, from the table, and the agents', in the caller's version.
 *
 * The versions differ in `data`. In 1.0 it is a list of typed objects, of which google.rpc.ErrorInfo is one;
 * in 0.3 it is whatever the author liked. Going up, untyped data moves into the metadata of an ErrorInfo
 * made for it (metadata is a map of strings: what is no string stands there as JSON text). Going down it is
 * copied.
 *
 * /rpc adds superxCode: to an object as a number, to a list in the metadata of our ErrorInfo. What the first
 * SuperX had no number for has none.
 */
#include <stdio.h>

#include "a2a/a2a_int.h"

#define OURS_FIRST (-31001) /* the gateway's own codes, down to the last (error.def) */
#define OURS_LAST (-31999)

static const struct str superx_key = {"superxCode", 10};

/* How an error object is said. */
struct telling {
    enum a2a_version to;
    bool has_superx;
    int64_t superx;
};

/* --- ErrorInfo ------------------------------------------------------------------------------------ */

/* A2A's own errors carry A2A's domain, ours (from -31001) the gateway's (A2A 1.0 section 9.5). `row` is NULL
 * for a code of the agent's own, for which the gateway does not stand. */
static void open_info(struct buf *out, const struct a2a_error_row *row)
{
    bool is_a2a = row && row->code < -32000;

    BUF_LIT(out, "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"");
    buf_add_str(out, row ? str_of(row->reason) : STR("AGENT_ERROR"));
    BUF_LIT(out, "\",\"domain\":\"");
    if (row)
        buf_add_str(out, is_a2a ? STR("a2a-protocol.org") : STR("superx.gateway"));
    else
        BUF_LIT(out, "agent");
    BUF_LIT(out, "\"");
}

static void write_info_key(struct buf *out, bool *first, struct str raw_key)
{
    if (*first)
        BUF_LIT(out, ",\"metadata\":");
    json_write_key(out, first, raw_key);
}

static void close_info(struct buf *out, const struct telling *told, bool first)
{
    if (told->has_superx) {
        write_info_key(out, &first, superx_key);
        buf_add_char(out, '"');
        buf_add_i64(out, told->superx);
        buf_add_char(out, '"');
    }
    if (!first)
        buf_add_char(out, '}');
    buf_add_char(out, '}');
}

/* --- agents' errors ------------------------------------------------------------------------------- */

static bool is_typed_list(struct str data)
{
    struct json_cursor cursor;
    struct str element;
    size_t n = 0;

    if (json_type(data) != JSON_ARRAY)
        return false;
    JSON_EACH_ELEMENT (&cursor, data, &element) {
        if (json_type(json_get(element, "@type")) != JSON_STRING)
            return false;
        n++;
    }
    return n > 0;
}

/* A value as a string: what is none is quoted as the JSON text it is. */
static void write_as_string(struct buf *out, struct str value)
{
    if (json_type(value) == JSON_STRING)
        buf_add_str(out, value);
    else
        json_write_string(out, value);
}

static void write_info_of(struct buf *out, const struct telling *told,
                          const struct a2a_error_row *row, struct str data)
{
    bool first = true;
    struct json_cursor cursor;
    struct str key, value;

    open_info(out, row);
    if (data.p && json_type(data) != JSON_OBJECT) {
        write_info_key(out, &first, STR("data"));
        write_as_string(out, data);
    }
    JSON_EACH_MEMBER (&cursor, data, &key, &value) {
        if (json_type(value) == JSON_NULL || (told->has_superx && json_key_is(key, superx_key)))
            continue;
        write_info_key(out, &first, key);
        write_as_string(out, value);
    }
    close_info(out, told, first);
}

static void write_data_up(struct buf *out, const struct telling *told,
                          const struct a2a_error_row *row, struct str data)
{
    struct json_cursor cursor;
    struct str element;
    bool is_typed = is_typed_list(data), first = true;

    buf_add_char(out, '[');
    if (is_typed) {
        JSON_EACH_ELEMENT (&cursor, data, &element) {
            if (!first)
                buf_add_char(out, ',');
            first = false;
            json_minify(out, element);
        }
    }
    if (is_typed && told->has_superx)
        buf_add_char(out, ',');
    if (!is_typed || told->has_superx)
        write_info_of(out, told, row, is_typed ? STR_NONE : data);
    buf_add_char(out, ']');
}

static void write_data_down(struct buf *out, const struct telling *told, struct str data)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    if (!told->has_superx) {
        json_minify(out, data);
        return;
    }
    JSON_EACH_MEMBER (&cursor, data, &key, &value) {
        if (json_key_is(key, superx_key))
            continue;
        json_write_key(out, &first, key);
        json_minify(out, value);
    }
    json_write_key(out, &first, superx_key);
    buf_add_i64(out, told->superx);
    if (data.p && json_type(data) != JSON_OBJECT) {
        json_write_key(out, &first, STR("data"));
        json_minify(out, data);
    }
    json_write_end(out, first);
}

/* The row of an agent's error code. NULL for a code of its own, also where we use that number for something
 * else: an agent cannot say that the gateway is overloaded. */
static const struct a2a_error_row *row_of_agents(struct str code)
{
    int64_t number = 0;

    if (json_to_i64(code, &number) || (number <= OURS_FIRST && number >= OURS_LAST))
        return NULL;
    return a2a_error_by_code(number);
}

/* code, message and, unless `strict`, what else there is; `data` last. */
static void write_told(struct buf *out, const struct telling *told, bool strict,
                       struct str error)
{
    struct str data = STR_NONE, code = STR_NONE, key, value;
    struct json_cursor cursor;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, error, &key, &value) {
        bool is_code = json_key_is(key, STR("code"));

        if (json_type(value) == JSON_NULL)
            continue;
        if (json_key_is(key, STR("data"))) {
            data = value;
            continue;
        }
        if (strict && !is_code && !json_key_is(key, STR("message")))
            continue;
        if (is_code)
            code = value;
        json_write_key(out, &first, key);
        json_minify(out, value);
    }
    if (told->to == A2A_1_0 || told->has_superx || data.p)
        json_write_key(out, &first, STR("data"));
    if (told->to == A2A_1_0)
        write_data_up(out, told, row_of_agents(code), data);
    else if (told->has_superx || data.p)
        write_data_down(out, told, data);
    json_write_end(out, first);
}

void a2a_error_translate(struct buf *out, const struct a2a_translation *t, struct str error)
{
    const struct telling told = {.to = t->to};

    if (t->from == t->to)
        json_minify(out, error);
    else
        write_told(out, &told, t->strict, error);
}

/* --- the gateway's own errors --------------------------------------------------------------------- */

/* RetryInfo stands beside it where coming back makes sense. */
static void write_own_data_up(struct buf *out, const struct telling *told,
                              const struct a2a_error_row *row, const struct a2a_fault *fault)
{
    bool first = true;

    buf_add_char(out, '[');
    open_info(out, row);
    if (fault->detail[0]) {
        write_info_key(out, &first, STR("detail"));
        json_write_string(out, str_of(fault->detail));
    }
    close_info(out, told, first);
    if (fault->retry_after_s)
        buf_printf(
            out,
            ",{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"%us\"}",
            fault->retry_after_s);
    buf_add_char(out, ']');
}

static void write_own_data_down(struct buf *out, const struct telling *told,
                                const struct a2a_error_row *row, const struct a2a_fault *fault)
{
    BUF_LIT(out, "{\"reason\":\"");
    buf_add_str(out, str_of(row->reason));
    BUF_LIT(out, "\"");
    if (fault->retry_after_s)
        buf_printf(out, ",\"retryAfterSeconds\":%u", fault->retry_after_s);
    if (told->has_superx) {
        BUF_LIT(out, ",\"superxCode\":");
        buf_add_i64(out, told->superx);
    }
    buf_add_char(out, '}');
}

static void write_own(struct buf *out, const struct telling *told,
                      const struct a2a_fault *fault)
{
    const struct a2a_error_row *row = a2a_error_row(fault->error);
    char message[400];

    BUF_LIT(out, "{\"code\":");
    buf_add_i64(out, row->code);
    BUF_LIT(out, ",\"message\":");
    snprintf(message, sizeof message, "%s%s%s", row->text, fault->detail[0] ? ": " : "",
             fault->detail);
    json_write_string(out, str_of(message));
    BUF_LIT(out, ",\"data\":");
    if (told->to == A2A_1_0)
        write_own_data_up(out, told, row, fault);
    else
        write_own_data_down(out, told, row, fault);
    buf_add_char(out, '}');
}

/* --- the door ------------------------------------------------------------------------------------- */

static void write_answer(struct buf *out, const struct telling *told, struct str id,
                         const struct a2a_fault *fault)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, id);
    BUF_LIT(out, ",\"error\":");
    if (!fault->agent_error.p)
        write_own(out, told, fault);
    else if (told->has_superx || fault->agent_version != told->to)
        write_told(out, told, false, fault->agent_error);
    else
        json_minify(out, fault->agent_error);
    buf_add_char(out, '}');
}

void a2a_error_write(struct buf *out, enum a2a_version version, struct str id,
                     const struct a2a_fault *fault)
{
    const struct telling told = {.to = version};

    write_answer(out, &told, id, fault);
}

void a2a_error_write_rpc(struct buf *out, enum a2a_version version, struct str id,
                         const struct a2a_fault *fault)
{
    const struct a2a_error_row *row = a2a_error_row(fault->error);
    struct telling told = {
        .to = version, .has_superx = row->superx_code != 0, .superx = row->superx_code};

    if (fault->agent_error.p)
        told.has_superx = json_to_i64(json_get(fault->agent_error, "code"), &told.superx) == 0;
    write_answer(out, &told, id, fault);
}
