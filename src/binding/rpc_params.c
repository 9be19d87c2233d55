/* SPDX-License-Identifier: MIT
 *
 * Parameters of /rpc. Its first callers wrote them as the code of the first SuperX had them, as its documentation named
 * them, or as A2A does; all of that is understood, and goes on in A2A's words. So there is one reader behind, the
 * one that POST /agents/{id} has, and its checks and limits hold here, too.
 *
 *     {agentId, taskId, contextId, message, ...}  -->  {message: {taskId, contextId, messageId, ...}, ...}
 *     {taskId}, {task_id}, {id}                   -->  {id}
 *     {agent: {...}}, {name, url, ...}            -->  {id, url, ...}
 *
 * Two spellings of one parameter are one want of the scanner, so giving both is refused, whatever they say. What is
 * not a parameter of ours stays in place and travels on. Webhooks end in the gateway: they are taken out here.
 */
#include "binding/rpc_int.h"

#include "lib/id.h"

enum slot {
    SLOT_AGENT,
    SLOT_ID,
    SLOT_NAME,
    SLOT_URL,
    SLOT_TASK,
    SLOT_CONTEXT,
    SLOT_MESSAGE,
    SLOT_PUSH,
    SLOT_METADATA,
    SLOT_WEBHOOK,
    SLOT_HISTORY,
    SLOT_LIMIT,
    SLOT_TOKEN,
    SLOT_STATUS,
    SLOT_AFTER,
    SLOT_ARTIFACTS,
    SLOT_MAX
};

#define AGENT_WANTS                                                                            \
    {"agentId", SLOT_AGENT, NULL}, {"agent_id", SLOT_AGENT, NULL},                             \
    {                                                                                          \
        "agent", SLOT_AGENT, NULL                                                              \
    }

static const struct json_want metadata_wants[] = {
    {"webhook", SLOT_WEBHOOK, NULL},
    {NULL, -1, NULL},
};

static const struct json_want send_wants[] = {
    AGENT_WANTS,
    {"message", SLOT_MESSAGE, NULL},
    {"taskId", SLOT_TASK, NULL},
    {"task_id", SLOT_TASK, NULL},
    {"contextId", SLOT_CONTEXT, NULL},
    {"context_id", SLOT_CONTEXT, NULL},
    {"pushNotificationConfig", SLOT_PUSH, NULL},
    {"push_notification_config", SLOT_PUSH, NULL},
    {"metadata", SLOT_METADATA, metadata_wants},
    {NULL, -1, NULL},
};

static const struct json_want task_wants[] = {
    AGENT_WANTS,
    {"taskId", SLOT_TASK, NULL},
    {"task_id", SLOT_TASK, NULL},
    {"id", SLOT_TASK, NULL},
    {"historyLength", SLOT_HISTORY, NULL},
    {"history_length", SLOT_HISTORY, NULL},
    {"metadata", SLOT_METADATA, NULL},
    {NULL, -1, NULL},
};

static const struct json_want list_wants[] = {
    AGENT_WANTS,
    {"contextId", SLOT_CONTEXT, NULL},
    {"context_id", SLOT_CONTEXT, NULL},
    {"status", SLOT_STATUS, NULL},
    {"state", SLOT_STATUS, NULL},
    {"limit", SLOT_LIMIT, NULL},
    {"pageSize", SLOT_LIMIT, NULL},
    {"page_size", SLOT_LIMIT, NULL},
    {"pageToken", SLOT_TOKEN, NULL},
    {"page_token", SLOT_TOKEN, NULL},
    {"statusTimestampAfter", SLOT_AFTER, NULL},
    {"status_timestamp_after", SLOT_AFTER, NULL},
    {"historyLength", SLOT_HISTORY, NULL},
    {"history_length", SLOT_HISTORY, NULL},
    {"includeArtifacts", SLOT_ARTIFACTS, NULL},
    {"include_artifacts", SLOT_ARTIFACTS, NULL},
    {NULL, -1, NULL},
};

static const struct json_want agent_wants[] = {
    {"agent", SLOT_AGENT, NULL},
    {"id", SLOT_ID, NULL},
    {"agentId", SLOT_ID, NULL},
    {"agent_id", SLOT_ID, NULL},
    {"name", SLOT_NAME, NULL},
    {"url", SLOT_URL, NULL},
    {NULL, -1, NULL},
};

int rpc_fail(struct a2a_fault *fault, enum a2a_error error, const char *why)
{
    a2a_fault_set(fault, error, "%s", why);
    return ERR_INVALID;
}

static int scan(struct str params, const struct json_want *wants, struct str slots[SLOT_MAX],
                struct a2a_fault *fault)
{
    struct json_fault jf;

    if (json_scan(params.p ? params : STR("{}"), wants, slots, SLOT_MAX, &jf)) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      "parameter \"%s\" is given twice, perhaps in two spellings",
                      jf.member ? jf.member : jf.why);
        return ERR_INVALID;
    }
    for (size_t i = 0; i < SLOT_MAX; i++)
        slots[i] = rpc_given(slots[i]);
    return 0;
}

/* The id of an agent. It has no letters that need escapes, so it is a view of the text. */
static int read_agent(struct str raw, struct str *out, struct a2a_fault *fault)
{
    *out = STR_NONE;
    if (!raw.p)
        return 0;
    if (json_type(raw) != JSON_STRING || raw.n <= 2 || raw.n - 2 > LIMIT_AGENT_ID ||
        memchr(raw.p, '\\', raw.n))
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "agentId must be an agent's id");
    *out = str_make(raw.p + 1, raw.n - 2);
    return 0;
}

/* Whether everything that was written is there. */
static int finish(const struct buf *out, struct a2a_fault *fault)
{
    if (buf_error(out))
        return rpc_fail(fault, A2A_ERROR_OVERLOADED, "no memory for a request of this size");
    return 0;
}

static void write_member(struct buf *out, bool *first, const char *name, struct str value)
{
    if (!value.p)
        return;
    json_write_key(out, first, str_of(name));
    buf_add_str(out, value);
}

/* --- message.send --- */

/* In which version's words a message is said. What settles it is what strict readers of the other version refuse:
 * `kind`, and the spelling of the role. */
static enum a2a_version message_shape(struct str message)
{
    struct str role = json_get(message, "role"), part = STR_NONE;
    struct json_cursor cursor;

    if (json_type(json_get(message, "kind")) == JSON_STRING)
        return A2A_0_3;
    if (json_type(role) == JSON_STRING)
        return str_has_prefix(str_make(role.p + 1, role.n - 2), STR("ROLE_")) ? A2A_1_0
                                                                              : A2A_0_3;
    json_enter(&cursor, json_get(message, "parts"));
    if (!json_next_element(&cursor, &part))
        return A2A_0_3;
    return json_get(part, "kind").p ? A2A_0_3 : A2A_1_0;
}

/* A member that the message gets if it has none. */
struct addition {
    const char *name, *snake, *differs;
    struct str value;
};

static int settle(struct addition *a, struct str message, struct a2a_fault *fault)
{
    struct str have = rpc_given(json_get(message, a->name));

    if (!have.p)
        have = rpc_given(json_get(message, a->snake));
    if (have.p && a->differs && a->value.p && !str_is(have, a->value))
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, a->differs);
    if (have.p)
        a->value = STR_NONE;
    return 0;
}

/* A null in the place of what is added: the message shall not have the member twice. */
static bool is_replaced(const struct addition *added, size_t n, struct str key,
                        struct str value)
{
    for (size_t i = 0; json_type(value) == JSON_NULL && i < n; i++)
        if (added[i].value.p && (json_key_is(key, str_of(added[i].name)) ||
                                 json_key_is(key, str_of(added[i].snake))))
            return true;
    return false;
}

static int write_message(struct buf *out, const struct str *slots, struct a2a_fault *fault)
{
    struct str message = slots[SLOT_MESSAGE], key, value;
    char id[UUID_TEXT + 1], quoted[UUID_TEXT + 3];
    struct uuid uuid = id_uuid4();
    struct addition added[] = {
        {"messageId", "message_id", NULL, STR_NONE},
        {"taskId", "task_id", "params.taskId and params.message.taskId are different",
         slots[SLOT_TASK]},
        {"contextId", "context_id",
         "params.contextId and params.message.contextId are different", slots[SLOT_CONTEXT]},
    };
    const size_t n = sizeof added / sizeof *added;
    struct json_cursor cursor;
    bool first = true;

    id_uuid_text(&uuid, id);
    snprintf(quoted, sizeof quoted, "\"%s\"", id);
    added[0].value = str_of(quoted);
    for (size_t i = 0; i < n; i++)
        if (settle(&added[i], message, fault))
            return ERR_INVALID;
    JSON_EACH_MEMBER (&cursor, message, &key, &value) {
        if (is_replaced(added, n, key, value))
            continue;
        json_write_key(out, &first, key);
        buf_add_str(out, value);
    }
    for (size_t i = 0; i < n; i++)
        write_member(out, &first, added[i].name, added[i].value);
    json_write_end(out, first);
    return 0;
}

/* Ours, and said in the message or the path from here on. */
static bool is_consumed(const struct str *slots, struct str value)
{
    return value.p == slots[SLOT_AGENT].p || value.p == slots[SLOT_TASK].p ||
           value.p == slots[SLOT_CONTEXT].p || value.p == slots[SLOT_PUSH].p;
}

/* The metadata without what is for us. */
static void write_metadata(struct buf *out, const struct str *slots)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    JSON_EACH_MEMBER (&cursor, slots[SLOT_METADATA], &key, &value) {
        if (value.p == slots[SLOT_WEBHOOK].p)
            continue;
        json_write_key(out, &first, key);
        buf_add_str(out, value);
    }
    json_write_end(out, first);
}

static int write_send(struct buf *out, struct str params, const struct str *slots,
                      struct a2a_request *request, struct a2a_fault *fault)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    if (!slots[SLOT_AGENT].p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "agentId is required");
    if (slots[SLOT_PUSH].p && slots[SLOT_WEBHOOK].p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "two webhooks come with this message; give one, or register the other");
    if (json_type(slots[SLOT_MESSAGE]) != JSON_OBJECT)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message must be an object");
    request->shape = message_shape(slots[SLOT_MESSAGE]);
    JSON_EACH_MEMBER (&cursor, params, &key, &value) {
        if (is_consumed(slots, value) || json_type(value) == JSON_NULL)
            continue;
        json_write_key(out, &first, key);
        if (value.p == slots[SLOT_METADATA].p && slots[SLOT_WEBHOOK].p)
            write_metadata(out, slots);
        else if (value.p != slots[SLOT_MESSAGE].p)
            buf_add_str(out, value);
        else if (write_message(out, slots, fault))
            return ERR_INVALID;
    }
    json_write_end(out, first);
    return 0;
}

/* --- tasks --- */

static int write_task(struct buf *out, const struct str *slots, struct a2a_fault *fault)
{
    bool first = true;

    if (!slots[SLOT_TASK].p)
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "taskId is required");
    write_member(out, &first, "id", slots[SLOT_TASK]);
    write_member(out, &first, "historyLength", slots[SLOT_HISTORY]);
    write_member(out, &first, "metadata", slots[SLOT_METADATA]);
    json_write_end(out, first);
    return 0;
}

/* Checked here because behind it has another name. */
static int check_limit(struct str raw, struct a2a_fault *fault)
{
    int64_t n;

    if (!raw.p || (json_to_i64(raw, &n) == 0 && n >= 1 && n <= 100))
        return 0;
    return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "limit (or pageSize) must be an integer from 1 to 100");
}

static int write_list(struct buf *out, const struct str *slots, struct a2a_fault *fault)
{
    bool first = true;

    if (check_limit(slots[SLOT_LIMIT], fault))
        return ERR_INVALID;
    write_member(out, &first, "contextId", slots[SLOT_CONTEXT]);
    write_member(out, &first, "status", slots[SLOT_STATUS]);
    write_member(out, &first, "pageSize", slots[SLOT_LIMIT]);
    write_member(out, &first, "pageToken", slots[SLOT_TOKEN]);
    write_member(out, &first, "statusTimestampAfter", slots[SLOT_AFTER]);
    write_member(out, &first, "historyLength", slots[SLOT_HISTORY]);
    write_member(out, &first, "includeArtifacts", slots[SLOT_ARTIFACTS]);
    json_write_end(out, first);
    return 0;
}

static const struct json_want *wants_of(enum a2a_method method)
{
    if (method == A2A_SEND || method == A2A_STREAM)
        return send_wants;
    return method == A2A_LIST ? list_wants : task_wants;
}

int rpc_params_write(struct buf *out, struct str params, struct a2a_request *request,
                     struct str *agent, struct str *webhook, struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX];
    int err = scan(params, wants_of(request->method), slots, fault);

    request->shape = request->version;
    err = err ? err : read_agent(slots[SLOT_AGENT], agent, fault);
    if (err)
        return err;
    *webhook = slots[SLOT_WEBHOOK].p ? slots[SLOT_WEBHOOK] : slots[SLOT_PUSH];
    if (request->method == A2A_SEND || request->method == A2A_STREAM)
        err = write_send(out, params, slots, request, fault);
    else if (request->method == A2A_LIST)
        err = write_list(out, slots, fault);
    else
        err = write_task(out, slots, fault);
    return err ? err : finish(out, fault);
}

/* --- agents --- */

/* `id` (raw) stands first if the record has neither id nor name; the spellings agentId and agent become it. */
static void write_record(struct buf *out, struct str record, struct str id)
{
    struct json_cursor cursor;
    struct str key, value;
    bool first = true;

    if (!json_get(record, "id").p && !json_get(record, "name").p)
        write_member(out, &first, "id", id);
    JSON_EACH_MEMBER (&cursor, record, &key, &value) {
        if (json_key_is(key, STR("agentId")) || json_key_is(key, STR("agent_id")) ||
            json_key_is(key, STR("agent")))
            continue;
        json_write_key(out, &first, key);
        buf_add_str(out, value);
    }
    json_write_end(out, first);
}

/* Beside a record stands nothing but who is meant, and that in the record's own words: what else stood there would be
 * lost, and it might be a secret or a limit. */
static int check_beside(struct str params, const struct str *slots, struct str record,
                        struct a2a_fault *fault)
{
    static const char *const spellings[] = {"id", "agentId", "agent_id", "name"};
    struct str own = STR_NONE, key, value;
    struct json_cursor cursor;

    for (size_t i = 0; i < sizeof spellings / sizeof *spellings && !own.p; i++)
        own = rpc_given(json_get(record, spellings[i]));
    JSON_EACH_MEMBER (&cursor, params, &key, &value) {
        if (json_type(value) == JSON_NULL || value.p == record.p)
            continue;
        if (value.p != slots[SLOT_ID].p && value.p != slots[SLOT_NAME].p) {
            a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                          "\"%.*s\" stands beside \"agent\": it belongs into that object",
                          key.n > 60 ? 60 : (int)key.n, key.p);
            return ERR_INVALID;
        }
        if (own.p && !str_is(value, own))
            return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS,
                            "the id beside \"agent\" and the id in it are different");
    }
    return 0;
}

int rpc_params_write_agent(struct buf *out, struct str params, struct str *id,
                           struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX], raw_id, record = STR_NONE;
    int err = scan(params, agent_wants, slots, fault);

    if (err)
        return err;
    raw_id = slots[SLOT_ID].p ? slots[SLOT_ID] : slots[SLOT_NAME];
    if (json_type(slots[SLOT_AGENT]) == JSON_OBJECT)
        record = slots[SLOT_AGENT];
    else if (!raw_id.p)
        raw_id = slots[SLOT_AGENT];
    else if (slots[SLOT_AGENT].p && !str_is(slots[SLOT_AGENT], raw_id))
        return rpc_fail(fault, A2A_ERROR_INVALID_PARAMS, "agent and id are different");
    if (record.p && check_beside(params, slots, record, fault))
        return ERR_INVALID;
    if (!record.p && slots[SLOT_URL].p)
        record = params;
    err = read_agent(raw_id, id, fault);
    if (!err && record.p)
        write_record(out, record, raw_id);
    return err ? err : finish(out, fault);
}
