/* SPDX-License-Identifier: MIT
 *
 * What a caller asks, JSON-RPC binding: one pass over the body finds everything the gateway needs.
 *
 * The envelope's own members must not occur twice (the scanner refuses that, also for escaped spellings), so the
 * agent behind us can never read another method or id than we did. Members we do not look at are not judged: they
 * are the agent's business and travel as they came.
 *
 * Both spellings of a name (taskId, task_id) are read, because ProtoJSON peers send either; giving both is refused.
 */
#include <stdio.h>

#include "a2a/a2a.h"

#define METHOD_NAME_MAX 128u /* decoded; twice the longest there is */

enum slot {
    SLOT_JSONRPC,
    SLOT_ID,
    SLOT_METHOD,
    SLOT_PARAMS,
    SLOT_TASK,
    SLOT_HISTORY,
    SLOT_HISTORY_SNAKE,
    SLOT_MESSAGE,
    SLOT_MESSAGE_ID,
    SLOT_MESSAGE_ID_SNAKE,
    SLOT_MESSAGE_TASK,
    SLOT_MESSAGE_TASK_SNAKE,
    SLOT_MESSAGE_CONTEXT,
    SLOT_MESSAGE_CONTEXT_SNAKE,
    SLOT_MESSAGE_ROLE,
    SLOT_MESSAGE_PARTS,
    SLOT_CONFIG,
    SLOT_CONFIG_HISTORY,
    SLOT_CONFIG_HISTORY_SNAKE,
    SLOT_PUSH_0_3,
    SLOT_PUSH_0_3_SNAKE,
    SLOT_PUSH_1_0,
    SLOT_PUSH_1_0_SNAKE,
    SLOT_MAX
};

static const struct json_want message_wants[] = {
    {"messageId", SLOT_MESSAGE_ID, NULL},
    {"message_id", SLOT_MESSAGE_ID_SNAKE, NULL},
    {"taskId", SLOT_MESSAGE_TASK, NULL},
    {"task_id", SLOT_MESSAGE_TASK_SNAKE, NULL},
    {"contextId", SLOT_MESSAGE_CONTEXT, NULL},
    {"context_id", SLOT_MESSAGE_CONTEXT_SNAKE, NULL},
    {"role", SLOT_MESSAGE_ROLE, NULL},
    {"parts", SLOT_MESSAGE_PARTS, NULL},
    {NULL, -1, NULL},
};

static const struct json_want configuration_wants[] = {
    {"historyLength", SLOT_CONFIG_HISTORY, NULL},
    {"history_length", SLOT_CONFIG_HISTORY_SNAKE, NULL},
    {"pushNotificationConfig", SLOT_PUSH_0_3, NULL},
    {"push_notification_config", SLOT_PUSH_0_3_SNAKE, NULL},
    {"taskPushNotificationConfig", SLOT_PUSH_1_0, NULL},
    {"task_push_notification_config", SLOT_PUSH_1_0_SNAKE, NULL},
    {NULL, -1, NULL},
};

static const struct json_want params_wants[] = {
    {"id", SLOT_TASK, NULL},
    {"historyLength", SLOT_HISTORY, NULL},
    {"history_length", SLOT_HISTORY_SNAKE, NULL},
    {"message", SLOT_MESSAGE, message_wants},
    {"configuration", SLOT_CONFIG, configuration_wants},
    {NULL, -1, NULL},
};

static const struct json_want envelope_wants[] = {
    {"jsonrpc", SLOT_JSONRPC, NULL},       {"id", SLOT_ID, NULL}, {"method", SLOT_METHOD, NULL},
    {"params", SLOT_PARAMS, params_wants}, {NULL, -1, NULL},
};

static int fail(struct a2a_fault *fault, enum a2a_error error, const char *why)
{
    a2a_fault_set(fault, error, "%s", why);
    return ERR_INVALID;
}

static int fail_scan(int err, const struct json_fault *jf, struct a2a_fault *fault)
{
    if (err == ERR_CONFLICT)
        a2a_fault_set(fault, A2A_ERROR_INVALID_REQUEST,
                      "member \"%s\" occurs twice in its object (at byte %zu)",
                      jf->member ? jf->member : "?", jf->at);
    else
        a2a_fault_set(fault, A2A_ERROR_PARSE, "%s at byte %zu", jf->why, jf->at);
    return ERR_INVALID;
}

/* A JSON null means the same as not giving the member at all (A2A 1.0 section 5.7). */
static struct str given(struct str value)
{
    return json_type(value) == JSON_NULL ? STR_NONE : value;
}

static int pick(struct str *slots, enum slot camel, enum slot snake, struct str *out,
                struct a2a_fault *fault)
{
    struct str a = given(slots[camel]), b = given(slots[snake]);

    if (a.p && b.p)
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "a member is given in camelCase and in snake_case; give it once");
    *out = a.p ? a : b;
    return 0;
}

static bool is_usable_id(struct str id)
{
    enum json_type type = json_type(id);

    return id.n <= LIMIT_JSONRPC_ID &&
           (type == JSON_STRING || type == JSON_NULL || type == JSON_NUMBER);
}

/* The method's grammar decides the shapes; a header can only ask for a version we do not have. */
static int check_version(struct str asked, struct a2a_fault *fault)
{
    enum a2a_version version;

    if (a2a_version_parse(str_trim(asked), &version) == 0)
        return 0;
    a2a_fault_set(fault, A2A_ERROR_VERSION,
                  "A2A-Version \"%.*s\" is not supported; this gateway speaks 0.3 and 1.0",
                  asked.n > 32 ? 32 : (int)asked.n, asked.p);
    return ERR_INVALID;
}

static int read_history_length(struct str value, struct a2a_request *r, struct a2a_fault *fault)
{
    if (!value.p)
        return 0;
    if (json_to_i64(value, &r->history_length) || r->history_length < 0)
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "historyLength must be an integer of 0 or more");
    r->has_history_length = true;
    return 0;
}

/* An id of a task or context, as a caller gives it: a string of 1 to LIMIT_TASK_ID bytes. */
static int check_id(struct str value, const char *name, struct a2a_fault *fault)
{
    if (!value.p)
        return 0;
    if (json_type(value) != JSON_STRING) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "%s must be a string", name);
        return ERR_INVALID;
    }
    if (json_string_length(value) == 0 || json_string_length(value) > LIMIT_TASK_ID) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "%s must have 1 to %u bytes", name,
                      LIMIT_TASK_ID);
        return ERR_INVALID;
    }
    return 0;
}

static int check_message(struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str message_id, parts = given(slots[SLOT_MESSAGE_PARTS]), part;
    struct json_cursor cursor;
    int err;

    if (json_type(r->message) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message must be an object");
    if ((err = pick(slots, SLOT_MESSAGE_ID, SLOT_MESSAGE_ID_SNAKE, &message_id, fault)))
        return err;
    if (json_type(message_id) != JSON_STRING || json_string_length(message_id) == 0)
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "params.message.messageId must be a non-empty string");
    if (!given(slots[SLOT_MESSAGE_ROLE]).p)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.role is missing");
    if (json_type(parts) != JSON_ARRAY)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.parts must be an array");
    json_enter(&cursor, parts);
    if (!json_next_element(&cursor, &part))
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.parts must not be empty");
    do {
        if (json_type(part) != JSON_OBJECT)
            return fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "params.message.parts must hold objects");
    } while (json_next_element(&cursor, &part));
    return 0;
}

static int read_send(struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str history = STR_NONE, push_0_3, push_1_0;
    int err;

    r->message = given(slots[SLOT_MESSAGE]);
    r->configuration = given(slots[SLOT_CONFIG]);
    if ((err = check_message(slots, r, fault)))
        return err;
    if (r->configuration.p && json_type(r->configuration) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.configuration must be an object");
    if ((err = pick(slots, SLOT_MESSAGE_TASK, SLOT_MESSAGE_TASK_SNAKE, &r->task_id, fault)) ||
        (err = pick(slots, SLOT_MESSAGE_CONTEXT, SLOT_MESSAGE_CONTEXT_SNAKE,
                    &r->message_context, fault)) ||
        (err = pick(slots, SLOT_CONFIG_HISTORY, SLOT_CONFIG_HISTORY_SNAKE, &history, fault)) ||
        (err = pick(slots, SLOT_PUSH_0_3, SLOT_PUSH_0_3_SNAKE, &push_0_3, fault)) ||
        (err = pick(slots, SLOT_PUSH_1_0, SLOT_PUSH_1_0_SNAKE, &push_1_0, fault)))
        return err;
    r->push_config = push_0_3.p ? push_0_3 : push_1_0;
    if ((err = check_id(r->task_id, "params.message.taskId", fault)) ||
        (err = check_id(r->message_context, "params.message.contextId", fault)))
        return err;
    return read_history_length(history, r, fault);
}

static int read_by_task(struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str history;
    int err;

    r->task_id = given(slots[SLOT_TASK]);
    if (!r->task_id.p)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.id (the task id) is missing");
    if ((err = check_id(r->task_id, "params.id", fault)) ||
        (err = pick(slots, SLOT_HISTORY, SLOT_HISTORY_SNAKE, &history, fault)))
        return err;
    return read_history_length(history, r, fault);
}

static int read_params(struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str key, value;
    struct json_cursor cursor;

    r->params = given(slots[SLOT_PARAMS]);
    if (r->params.p && json_type(r->params) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params must be an object");
    if (r->params.p) {
        json_enter(&cursor, r->params);
        if (json_next_member(&cursor, &key, &value) && key.n == 0)
            return fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "params has a member with an empty name");
    }
    switch (r->method) {
    case A2A_SEND:
    case A2A_STREAM:
        return read_send(slots, r, fault);
    case A2A_GET:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
        return read_by_task(slots, r, fault);
    default:
        return 0;
    }
}

/* What the method's grammar says: a slash is 0.3, a capital 1.0. Where it says nothing, `asked` stays. */
static enum a2a_version version_of(struct str name, enum a2a_version asked)
{
    if (name.n > 0 && memchr(name.p, '/', name.n))
        return A2A_0_3;
    return name.n > 0 && name.p[0] >= 'A' && name.p[0] <= 'Z' ? A2A_1_0 : asked;
}

/* Before the method is looked for, because a version we do not speak may have others. */
static int find_method(struct str name, struct str asked, struct a2a_request *r,
                       struct a2a_fault *fault)
{
    int err;

    r->version = version_of(name, r->version);
    err = check_version(asked, fault);
    if (err)
        return err;
    if (a2a_method_find(name, &r->method, &r->version)) {
        a2a_fault_set(fault, A2A_ERROR_METHOD_NOT_FOUND, "\"%.*s\" is not an A2A method",
                      name.n > 80 ? 80 : (int)name.n, name.p);
        return ERR_INVALID;
    }
    return 0;
}

static int read_method(struct str raw, struct str asked, struct a2a_request *r,
                       struct a2a_fault *fault)
{
    struct str name;
    struct buf text;
    int err;

    if (json_type(raw) != JSON_STRING)
        return fail(fault, A2A_ERROR_INVALID_REQUEST, "\"method\" must be a string");
    name = str_make(raw.p + 1, raw.n - 2);
    buf_init(&text, METHOD_NAME_MAX);
    /* Some encoders escape every slash: "message\/send". */
    if (name.n > 0 && memchr(name.p, '\\', name.n) && json_string_decode(raw, &text) == 0)
        name = buf_str(&text);
    err = find_method(name, asked, r, fault);
    buf_release(&text);
    return err;
}

int a2a_request_read(struct str body, struct str asked, struct a2a_request *out,
                     struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX];
    struct json_fault jf;
    enum a2a_version asked_version;
    bool notification;
    int err;

    *out =
        (struct a2a_request){.method = A2A_METHOD_MAX, .version = A2A_0_3, .id = STR("null")};
    if (a2a_version_parse(str_trim(asked), &asked_version) == 0)
        out->version = asked_version;
    err = json_scan(body, envelope_wants, slots, SLOT_MAX, &jf);
    if (err)
        return fail_scan(err, &jf, fault);
    if (json_type(str_trim(body)) == JSON_ARRAY)
        return fail(fault, A2A_ERROR_INVALID_REQUEST,
                    "A2A has no batches; send one request per call");
    if (json_type(str_trim(body)) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_REQUEST,
                    "the body must be a JSON-RPC request object");
    notification = !slots[SLOT_ID].p;
    if (!notification && !is_usable_id(slots[SLOT_ID]))
        return fail(fault, A2A_ERROR_INVALID_REQUEST,
                    "\"id\" must be a string, a number or null of at most 256 bytes");
    if (!notification)
        out->id = slots[SLOT_ID];
    if (!json_string_is(slots[SLOT_JSONRPC], STR("2.0")))
        return fail(fault, A2A_ERROR_INVALID_REQUEST, "\"jsonrpc\" must be \"2.0\"");
    err = read_method(slots[SLOT_METHOD], asked, out, fault);
    if (err)
        return err;
    if (notification)
        return fail(fault, A2A_ERROR_INVALID_REQUEST,
                    "\"id\" is missing; A2A has no notifications");
    return read_params(slots, out, fault);
}

/* --- towards the agent --- */

/* Appends an object without its members `a` and `b`, minified. */
static void write_object_without(struct buf *out, struct str object, struct str a, struct str b)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    json_enter(&cursor, object);
    while (json_next_member(&cursor, &key, &value)) {
        if (json_key_is(key, a) || json_key_is(key, b))
            continue;
        json_write_key(out, &first, key);
        json_minify(out, value);
    }
    json_write_end(out, first);
}

static void write_params(struct buf *out, const struct a2a_request *from)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    if (!from->has_history_length || !from->configuration.p) {
        json_minify(out, from->params);
        return;
    }
    json_enter(&cursor, from->params);
    while (json_next_member(&cursor, &key, &value)) {
        json_write_key(out, &first, key);
        if (value.p == from->configuration.p)
            write_object_without(out, value, STR("historyLength"), STR("history_length"));
        else
            json_minify(out, value);
    }
    json_write_end(out, first);
}

static void write_envelope(struct buf *out, enum a2a_version version, enum a2a_method method,
                           uint64_t id)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_u64(out, id);
    BUF_LIT(out, ",\"method\":\"");
    buf_add_str(out, str_of(a2a_method_name(method, version)));
    BUF_LIT(out, "\",\"params\":");
}

void a2a_request_write(struct buf *out, enum a2a_version version, enum a2a_method method,
                       uint64_t id, const struct a2a_request *from)
{
    write_envelope(out, version, method, id);
    write_params(out, from);
    buf_add_char(out, '}');
}

void a2a_request_write_get(struct buf *out, enum a2a_version version, uint64_t id,
                           struct str task_id)
{
    write_envelope(out, version, A2A_GET, id);
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, task_id);
    BUF_LIT(out, "}}");
}
