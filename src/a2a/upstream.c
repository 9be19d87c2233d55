/* SPDX-License-Identifier: MIT
 *
 * What goes on to an agent. The gateway takes out what it answers itself (historyLength, push
 * configuration), what is between it and the caller (tenant), and puts in what is between it and the agent
 * (tenant, context).
 *
 * Within one version everything else travels as it came. Across versions only what both know does: strict
 * peers refuse unknown members, and 1.0's default is to wait where 0.3 leaves that to the agent, so
 * `blocking` is always said.
 */
#include "a2a/a2a_int.h"

static void write_envelope(struct buf *out, enum a2a_version version, enum a2a_method method,
                           uint64_t id)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_u64(out, id);
    BUF_LIT(out, ",\"method\":\"");
    buf_add_str(out, str_of(a2a_method_name(method, version)));
    BUF_LIT(out, "\",\"params\":");
}

static bool is_any_key(struct str key, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_key_is(key, names[i]))
            return true;
    return false;
}

#define NAME(literal)                                                                          \
    {                                                                                          \
        "" literal, sizeof(literal) - 1                                                        \
    }

/* In the configuration, answered here. */
static bool is_gateways(struct str key)
{
    static const struct str names[] = {
        NAME("historyLength"),
        NAME("history_length"),
        NAME("pushNotificationConfig"),
        NAME("push_notification_config"),
        NAME("taskPushNotificationConfig"),
        NAME("task_push_notification_config"),
    };

    return is_any_key(key, names, sizeof names / sizeof *names);
}

static void write_tenant(struct buf *out, const struct a2a_upstream *to, bool *first)
{
    if (!to->tenant.p || to->version != A2A_1_0)
        return;
    json_write_key(out, first, STR("tenant"));
    json_write_string(out, to->tenant);
}

int a2a_request_write_message(struct buf *out, const struct a2a_upstream *to,
                              const struct a2a_request *from, const char **why)
{
    const struct a2a_translation t = {
        .what = A2A_OBJECT_MESSAGE,
        .from = from->shape,
        .to = to->version,
        .strict = from->shape != to->version,
        .context = to->add_context,
        .replaces_context = to->drop_context || to->add_context.p,
    };

    return a2a_translate(out, &t, from->message, why);
}

/* --- within one version --------------------------------------------------------------------------- */

static void copy_configuration(struct buf *out, struct str configuration)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, configuration, &key, &value) {
        if (is_gateways(key))
            continue;
        json_write_key(out, &first, key);
        json_minify(out, value);
    }
    json_write_end(out, first);
}

static int copy_params(struct buf *out, const struct a2a_upstream *to,
                       const struct a2a_request *from, const char **why)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;
    int err = 0;

    JSON_EACH_MEMBER (&cursor, from->params, &key, &value) {
        if (json_key_is(key, STR("tenant")))
            continue;
        json_write_key(out, &first, key);
        if (from->message.p && value.p == from->message.p)
            err = a2a_request_write_message(out, to, from, why);
        else if (from->configuration.p && value.p == from->configuration.p)
            copy_configuration(out, value);
        else
            json_minify(out, value);
        if (err)
            return err;
    }
    write_tenant(out, to, &first);
    json_write_end(out, first);
    return 0;
}

/* --- across versions ------------------------------------------------------------------------------ */

static void write_flag(struct buf *out, bool *first, struct str name, bool value)
{
    json_write_key(out, first, name);
    buf_add_str(out, value ? STR("true") : STR("false"));
}

static void write_configuration(struct buf *out, const struct a2a_upstream *to,
                                const struct a2a_request *from)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, from->configuration, &key, &value) {
        if (!json_key_is(key, STR("acceptedOutputModes")) &&
            !json_key_is(key, STR("accepted_output_modes")))
            continue;
        if (json_type(value) == JSON_NULL)
            continue;
        json_write_key(out, &first, STR("acceptedOutputModes"));
        json_minify(out, value);
    }
    if (to->version == A2A_0_3)
        write_flag(out, &first, STR("blocking"), from->wait != A2A_WAIT_NOT);
    else if (from->wait != A2A_WAIT_AS_AGENT)
        write_flag(out, &first, STR("returnImmediately"), from->wait == A2A_WAIT_NOT);
    json_write_end(out, first);
}

/* In the order of the caller. What he left out and the other version must be told comes last. */
static int translate_params(struct buf *out, const struct a2a_upstream *to,
                            const struct a2a_request *from, const char **why)
{
    bool first = true, must_configure = from->method != A2A_CANCEL && to->version == A2A_0_3;
    struct json_cursor cursor;
    struct str key, value;
    int err = 0;

    JSON_EACH_MEMBER (&cursor, from->params, &key, &value) {
        if (from->message.p && value.p == from->message.p) {
            json_write_key(out, &first, key);
            err = a2a_request_write_message(out, to, from, why);
            if (err)
                return err;
        } else if (from->configuration.p && value.p == from->configuration.p) {
            json_write_key(out, &first, key);
            write_configuration(out, to, from);
            must_configure = false;
        } else if ((from->method == A2A_CANCEL && json_key_is(key, STR("id"))) ||
                   (json_key_is(key, STR("metadata")) && json_type(value) != JSON_NULL)) {
            json_write_key(out, &first, key);
            json_minify(out, value);
        }
    }
    if (must_configure) {
        json_write_key(out, &first, STR("configuration"));
        write_configuration(out, to, from);
    }
    write_tenant(out, to, &first);
    json_write_end(out, first);
    return 0;
}

/* --- the door ------------------------------------------------------------------------------------- */

int a2a_request_write(struct buf *out, const struct a2a_upstream *to, uint64_t id,
                      const struct a2a_request *from, const char **why)
{
    int err;

    BUG_ON(from->method != A2A_SEND && from->method != A2A_STREAM &&
           from->method != A2A_CANCEL);
    write_envelope(out, to->version, from->method, id);
    if (from->shape == to->version)
        err = copy_params(out, to, from, why);
    else
        err = translate_params(out, to, from, why);
    buf_add_char(out, '}');
    return err;
}

void a2a_request_write_task(struct buf *out, const struct a2a_upstream *to,
                            enum a2a_method method, uint64_t id, struct str task_id)
{
    bool first = true;

    write_envelope(out, to->version, method, id);
    json_write_key(out, &first, STR("id"));
    json_write_string(out, task_id);
    write_tenant(out, to, &first);
    json_write_end(out, first);
    buf_add_char(out, '}');
}
