/* SPDX-License-Identifier: MIT
 *
 * What goes on to an agent. The gateway takes out what it answers itself (historyLength, push
 * configuration), what is between it and the caller (tenant), and puts in what is between it and the agent
 * (tenant, context).
 *
 * Within one version everything else travels as it came. Across versions only what both know does: strict
 * peers refuse unknown members, and 1.0's default is to wait where 0.3 leaves that to the agent, so
 * `blocking` is always said.
 *
 * A message may be said otherwise than its caller asked (struct a2a_upstream): as a stream, where waiting has no meaning
 * and nothing is said about it that he did not say; or as a send that must not wait, whatever he said.
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

/* How long the agent is to wait, in either version's name. */
static bool is_wait(struct str key)
{
    static const struct str names[] = {
        NAME("blocking"),
        NAME("returnImmediately"),
        NAME("return_immediately"),
    };

    return is_any_key(key, names, sizeof names / sizeof *names);
}

/* As which method the caller's request is said. */
static enum a2a_method method_said(const struct a2a_upstream *to,
                                   const struct a2a_request *from)
{
    if (from->method == A2A_CANCEL || to->saying == A2A_SAY_AS_ASKED)
        return from->method;
    return to->saying == A2A_SAY_STREAM ? A2A_STREAM : A2A_SEND;
}

/* Whether the gateway says of its own accord that the agent must not wait. */
static bool must_not_wait(const struct a2a_upstream *to, const struct a2a_request *from)
{
    return to->saying == A2A_SAY_SEND_NO_WAIT && from->method != A2A_CANCEL;
}

static void write_wait(struct buf *out, bool *first, enum a2a_version version, bool waits)
{
    bool is_old = version == A2A_0_3;

    json_write_key(out, first, is_old ? STR("blocking") : STR("returnImmediately"));
    buf_add_str(out, waits == is_old ? STR("true") : STR("false"));
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

static void copy_configuration(struct buf *out, const struct a2a_upstream *to,
                               const struct a2a_request *from)
{
    bool first = true, waits_not = must_not_wait(to, from);
    struct json_cursor cursor;
    struct str key, value;

    JSON_EACH_MEMBER (&cursor, from->configuration, &key, &value) {
        if (is_gateways(key) || (waits_not && is_wait(key)))
            continue;
        json_write_key(out, &first, key);
        json_minify(out, value);
    }
    if (waits_not)
        write_wait(out, &first, to->version, false);
    json_write_end(out, first);
}

static int copy_params(struct buf *out, const struct a2a_upstream *to,
                       const struct a2a_request *from, const char **why)
{
    bool first = true, must_configure = must_not_wait(to, from);
    struct json_cursor cursor;
    struct str key, value;
    int err = 0;

    JSON_EACH_MEMBER (&cursor, from->params, &key, &value) {
        bool is_configuration = json_key_is(key, STR("configuration"));

        if (json_key_is(key, STR("tenant")))
            continue;
        json_write_key(out, &first, key);
        if (from->message.p && value.p == from->message.p)
            err = a2a_request_write_message(out, to, from, why);
        else if (is_configuration && (from->configuration.p || must_configure))
            copy_configuration(out, to, from);
        else
            json_minify(out, value);
        if (err)
            return err;
        must_configure &= !is_configuration;
    }
    if (must_configure) {
        json_write_key(out, &first, STR("configuration"));
        copy_configuration(out, to, from);
    }
    write_tenant(out, to, &first);
    json_write_end(out, first);
    return 0;
}

/* --- across versions ------------------------------------------------------------------------------ */

/* 0.3 has no default to rely on; to 1.0, what the caller left open is its default. */
static bool must_say_wait(const struct a2a_upstream *to, const struct a2a_request *from)
{
    return method_said(to, from) == A2A_SEND &&
           (to->version == A2A_0_3 || from->wait != A2A_WAIT_AS_AGENT);
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
    if (must_not_wait(to, from))
        write_wait(out, &first, to->version, false);
    else if (must_say_wait(to, from))
        write_wait(out, &first, to->version, from->wait != A2A_WAIT_NOT);
    json_write_end(out, first);
}

/* In the order of the caller. What he left out and the other version must be told comes last. */
static int translate_params(struct buf *out, const struct a2a_upstream *to,
                            const struct a2a_request *from, const char **why)
{
    bool first = true;
    bool must_configure =
        must_not_wait(to, from) || (to->version == A2A_0_3 && must_say_wait(to, from));
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
    write_envelope(out, to->version, method_said(to, from), id);
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
