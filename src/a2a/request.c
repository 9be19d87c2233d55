/* SPDX-License-Identifier: MIT
 *
 * What a caller asks: one pass over the text finds everything the gateway needs, whether it came in a
 * JSON-RPC envelope or alone.
 *
 * The envelope's own members must not occur twice (the scanner refuses that, also for escaped spellings), so
 * the agent behind us can never read another method or id than we did. Members we do not look at are not
 * judged: they are the agent's business and travel as they came.
 *
 * Both spellings of a name (taskId, task_id) are read, because ProtoJSON peers send either; giving both is
 * refused. What goes on to the agent is written in upstream.c.
 */
#include "a2a/a2a_int.h"

#define METHOD_NAME_MAX 128u /* decoded; twice the longest there is */
#define PAGE_SIZE_MAX 100    /* A2A 1.0 section 3.1.4 */
#define PAGE_SIZE_DEFAULT 50

/* Where a member has two spellings, the second's slot follows the first's: see merge_spellings(). */
#define TWICE(slot) slot, slot##_SNAKE

enum slot {
    SLOT_JSONRPC,
    SLOT_ID,
    SLOT_METHOD,
    SLOT_PARAMS,
    SLOT_TASK,
    TWICE(SLOT_HISTORY),
    SLOT_MESSAGE,
    TWICE(SLOT_MESSAGE_ID),
    TWICE(SLOT_MESSAGE_TASK),
    TWICE(SLOT_MESSAGE_CONTEXT),
    SLOT_MESSAGE_ROLE,
    SLOT_MESSAGE_PARTS,
    SLOT_CONFIG,
    TWICE(SLOT_CONFIG_HISTORY),
    SLOT_BLOCKING,
    TWICE(SLOT_RETURN),
    TWICE(SLOT_PUSH_0_3),
    TWICE(SLOT_PUSH_1_0),
    TWICE(SLOT_CONTEXT),
    SLOT_STATUS,
    TWICE(SLOT_PAGE_SIZE),
    TWICE(SLOT_PAGE_TOKEN),
    TWICE(SLOT_AFTER),
    TWICE(SLOT_ARTIFACTS),
    SLOT_MAX
};

#define WANT_TWICE(camel, snake, slot)                                                         \
    {camel, slot, NULL},                                                                       \
    {                                                                                          \
        snake, slot##_SNAKE, NULL                                                              \
    }

static const struct json_want message_wants[] = {
    WANT_TWICE("messageId", "message_id", SLOT_MESSAGE_ID),
    WANT_TWICE("taskId", "task_id", SLOT_MESSAGE_TASK),
    WANT_TWICE("contextId", "context_id", SLOT_MESSAGE_CONTEXT),
    {"role", SLOT_MESSAGE_ROLE, NULL},
    {"parts", SLOT_MESSAGE_PARTS, NULL},
    {NULL, -1, NULL},
};

static const struct json_want configuration_wants[] = {
    WANT_TWICE("historyLength", "history_length", SLOT_CONFIG_HISTORY),
    {"blocking", SLOT_BLOCKING, NULL},
    WANT_TWICE("returnImmediately", "return_immediately", SLOT_RETURN),
    WANT_TWICE("pushNotificationConfig", "push_notification_config", SLOT_PUSH_0_3),
    WANT_TWICE("taskPushNotificationConfig", "task_push_notification_config", SLOT_PUSH_1_0),
    {NULL, -1, NULL},
};

static const struct json_want params_wants[] = {
    {"id", SLOT_TASK, NULL},
    WANT_TWICE("historyLength", "history_length", SLOT_HISTORY),
    {"message", SLOT_MESSAGE, message_wants},
    {"configuration", SLOT_CONFIG, configuration_wants},
    WANT_TWICE("contextId", "context_id", SLOT_CONTEXT),
    {"status", SLOT_STATUS, NULL},
    WANT_TWICE("pageSize", "page_size", SLOT_PAGE_SIZE),
    WANT_TWICE("pageToken", "page_token", SLOT_PAGE_TOKEN),
    WANT_TWICE("statusTimestampAfter", "status_timestamp_after", SLOT_AFTER),
    WANT_TWICE("includeArtifacts", "include_artifacts", SLOT_ARTIFACTS),
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

/* Of two spellings one may be given; it is in the first's slot afterwards. A null is not given. */
static int merge_spellings(struct str *slots, struct a2a_fault *fault)
{
    static const enum slot twice[] = {
        SLOT_HISTORY,   SLOT_MESSAGE_ID,     SLOT_MESSAGE_TASK, SLOT_MESSAGE_CONTEXT,
        SLOT_RETURN,    SLOT_CONFIG_HISTORY, SLOT_PUSH_0_3,     SLOT_PUSH_1_0,
        SLOT_CONTEXT,   SLOT_PAGE_SIZE,      SLOT_PAGE_TOKEN,   SLOT_AFTER,
        SLOT_ARTIFACTS,
    };

    for (size_t i = SLOT_PARAMS; i < SLOT_MAX; i++)
        slots[i] = a2a_given(slots[i]);
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        struct str *camel = &slots[twice[i]], *snake = camel + 1;

        if (camel->p && snake->p)
            return fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "a member is given in camelCase and in snake_case; give it once");
        if (snake->p)
            *camel = *snake;
    }
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

/* Where an id may be left out, the empty one means that. */
static struct str given_id(struct str value)
{
    return a2a_is_empty_string(value) ? STR_NONE : value;
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

static int check_parts(struct str parts, struct a2a_fault *fault)
{
    struct json_cursor cursor;
    struct str part;
    bool is_empty = true;

    if (json_type(parts) != JSON_ARRAY)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.parts must be an array");
    JSON_EACH_ELEMENT (&cursor, parts, &part) {
        is_empty = false;
        if (json_type(part) != JSON_OBJECT)
            return fail(fault, A2A_ERROR_INVALID_PARAMS,
                        "params.message.parts must hold objects");
    }
    if (is_empty)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.parts must not be empty");
    return 0;
}

/* What is in the parts is judged where it matters: when they have to be translated. */
static int check_message(const struct str *slots, struct a2a_fault *fault)
{
    enum a2a_role role;

    if (json_type(slots[SLOT_MESSAGE]) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message must be an object");
    if (json_type(slots[SLOT_MESSAGE_ID]) != JSON_STRING ||
        json_string_length(slots[SLOT_MESSAGE_ID]) == 0)
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "params.message.messageId must be a non-empty string");
    if (!slots[SLOT_MESSAGE_ROLE].p)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.message.role is missing");
    if (a2a_role_read(slots[SLOT_MESSAGE_ROLE], &role) || role == A2A_ROLE_NONE)
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "params.message.role must be user or agent (ROLE_USER, ROLE_AGENT)");
    return check_parts(slots[SLOT_MESSAGE_PARTS], fault);
}

static int read_bool(struct str value, const char *name, bool *out, struct a2a_fault *fault)
{
    enum json_type type = json_type(value);

    if (value.p && type != JSON_TRUE && type != JSON_FALSE) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "%s must be true or false", name);
        return ERR_INVALID;
    }
    *out = type == JSON_TRUE;
    return 0;
}

/* The two versions ask opposite questions; either is understood in both, the version's own first. */
static int read_wait(const struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str blocking = slots[SLOT_BLOCKING], at_once = slots[SLOT_RETURN];
    bool blocks, returns;

    if (read_bool(blocking, "params.configuration.blocking", &blocks, fault) ||
        read_bool(at_once, "params.configuration.returnImmediately", &returns, fault))
        return ERR_INVALID;
    if (blocking.p && (r->shape == A2A_0_3 || !at_once.p))
        r->wait = blocks ? A2A_WAIT_END : A2A_WAIT_NOT;
    else if (at_once.p)
        r->wait = returns ? A2A_WAIT_NOT : A2A_WAIT_END;
    else
        r->wait = r->shape == A2A_1_0 ? A2A_WAIT_END : A2A_WAIT_AS_AGENT;
    return 0;
}

static int read_send(const struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    int err;

    r->message = slots[SLOT_MESSAGE];
    r->configuration = slots[SLOT_CONFIG];
    if ((err = check_message(slots, fault)))
        return err;
    if (r->configuration.p && json_type(r->configuration) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.configuration must be an object");
    r->task_id = given_id(slots[SLOT_MESSAGE_TASK]);
    r->message_context = given_id(slots[SLOT_MESSAGE_CONTEXT]);
    r->push_config = slots[SLOT_PUSH_0_3].p ? slots[SLOT_PUSH_0_3] : slots[SLOT_PUSH_1_0];
    if ((err = check_id(r->task_id, "params.message.taskId", fault)) ||
        (err = check_id(r->message_context, "params.message.contextId", fault)) ||
        (err = read_wait(slots, r, fault)))
        return err;
    return read_history_length(slots[SLOT_CONFIG_HISTORY], r, fault);
}

static int read_by_task(const struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    int err;

    r->task_id = slots[SLOT_TASK];
    if (!r->task_id.p)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.id (the task id) is missing");
    err = check_id(r->task_id, "params.id", fault);
    return err ? err : read_history_length(slots[SLOT_HISTORY], r, fault);
}

/* --- lists --- */

/* ProtoJSON: an enum's zero is what is not set. 0.3's "unknown" is a state one may ask for. */
static int read_status(struct str value, struct a2a_list_query *q, struct a2a_fault *fault)
{
    if (!value.p)
        return 0;
    if (a2a_state_find(value, &q->state)) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      "params.status is no task state; for example \"%s\" is one",
                      a2a_state_name(A2A_STATE_WORKING, A2A_1_0));
        return ERR_INVALID;
    }
    q->has_state = q->state != A2A_STATE_UNKNOWN || json_string_is(value, STR("unknown"));
    return 0;
}

static int read_page(const struct str *slots, struct a2a_list_query *q, struct a2a_fault *fault)
{
    struct str size = slots[SLOT_PAGE_SIZE], token = slots[SLOT_PAGE_TOKEN];
    int64_t n = PAGE_SIZE_DEFAULT;

    if (size.p && (json_to_i64(size, &n) || n < 1 || n > PAGE_SIZE_MAX))
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "params.pageSize must be an integer from 1 to 100");
    q->page_size = (unsigned)n;
    if (token.p && json_type(token) != JSON_STRING)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params.pageToken must be a string");
    q->page_token = token.n > 2 ? token : STR_NONE;
    return 0;
}

static int read_list(const struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct a2a_list_query *q = &r->list;
    struct str after = slots[SLOT_AFTER];
    int err;

    q->context_id = given_id(slots[SLOT_CONTEXT]);
    if ((err = check_id(q->context_id, "params.contextId", fault)) ||
        (err = read_status(slots[SLOT_STATUS], q, fault)) ||
        (err = read_page(slots, q, fault)) ||
        (err = read_bool(slots[SLOT_ARTIFACTS], "params.includeArtifacts",
                         &q->include_artifacts, fault)))
        return err;
    if (after.p && a2a_timestamp_read(after, &q->after_us))
        return fail(fault, A2A_ERROR_INVALID_PARAMS,
                    "params.statusTimestampAfter must be a time like 2026-01-31T12:34:56.789Z");
    q->has_after = after.p != NULL;
    return read_history_length(slots[SLOT_HISTORY], r, fault);
}

/* --- either way in --- */

static int read_params(struct str *slots, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str key, value;
    struct json_cursor cursor;
    int err = merge_spellings(slots, fault);

    if (err)
        return err;
    r->params = slots[SLOT_PARAMS];
    if (r->params.p && json_type(r->params) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params must be an object");
    json_enter(&cursor, r->params);
    if (json_next_member(&cursor, &key, &value) && key.n == 0)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params has a member with an empty name");
    switch (r->method) {
    case A2A_SEND:
    case A2A_STREAM:
        return read_send(slots, r, fault);
    case A2A_GET:
    case A2A_CANCEL:
    case A2A_SUBSCRIBE:
        return read_by_task(slots, r, fault);
    case A2A_LIST:
        return read_list(slots, r, fault);
    default:
        return 0;
    }
}

int a2a_params_read(struct str params, struct a2a_request *r, struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX];
    struct json_fault jf;
    int err;

    for (size_t i = 0; i < SLOT_MAX; i++)
        slots[i] = STR_NONE;
    err = params.p ? json_scan(params, params_wants, slots, SLOT_MAX, &jf) : 0;
    if (err)
        return fail_scan(err, &jf, fault);
    slots[SLOT_PARAMS] = params;
    return read_params(slots, r, fault);
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

    r->version = r->shape = version_of(name, r->version);
    err = check_version(asked, fault);
    if (err)
        return err;
    if (a2a_method_find(name, &r->method, &r->version)) {
        a2a_fault_set(fault, A2A_ERROR_METHOD_NOT_FOUND, "\"%.*s\" is not an A2A method",
                      name.n > 80 ? 80 : (int)name.n, name.p);
        return ERR_INVALID;
    }
    r->shape = r->version;
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
        out->version = out->shape = asked_version;
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
