/* SPDX-License-Identifier: MIT
 *
 * The gateway's own methods: POST /rpc, JSON-RPC 2.0, 0.3 shapes. Built so far: tasks.list (also tasks/list).
 *
 *     params  {agentId?, limit? 1-100 (50), pageToken?}
 *     result  {tasks: [summary...], nextPageToken, pageSize, totalSize}
 */
#include "binding/binding_int.h"

enum slot {
    SLOT_JSONRPC,
    SLOT_ID,
    SLOT_METHOD,
    SLOT_PARAMS,
    SLOT_AGENT_ID,
    SLOT_AGENT,
    SLOT_LIMIT,
    SLOT_PAGE_SIZE,
    SLOT_TOKEN,
    SLOT_MAX
};

static const struct json_want params_wants[] = {
    {"agentId", SLOT_AGENT_ID, NULL}, {"agent", SLOT_AGENT, NULL},
    {"limit", SLOT_LIMIT, NULL},      {"pageSize", SLOT_PAGE_SIZE, NULL},
    {"pageToken", SLOT_TOKEN, NULL},  {NULL, -1, NULL},
};

static const struct json_want envelope_wants[] = {
    {"jsonrpc", SLOT_JSONRPC, NULL},       {"id", SLOT_ID, NULL}, {"method", SLOT_METHOD, NULL},
    {"params", SLOT_PARAMS, params_wants}, {NULL, -1, NULL},
};

static void write_rows(struct buf *out, const struct pending *p,
                       const struct call_answer *answer)
{
    BUF_LIT(out, "{\"jsonrpc\":\"2.0\",\"id\":");
    buf_add_str(out, p->request.id);
    BUF_LIT(out, ",\"result\":{\"tasks\":[");
    for (size_t i = 0; i < answer->n_rows; i++) {
        const struct task_summary *row = &answer->rows[i];

        if (i)
            buf_add_char(out, ',');
        a2a_task_write_summary(out, row->agent, row->id, row->context, row->state,
                               row->status_at_us);
    }
    BUF_LIT(out, "],\"nextPageToken\":");
    json_write_string(out, answer->next.p ? answer->next : STR(""));
    BUF_LIT(out, ",\"pageSize\":");
    buf_add_u64(out, answer->n_rows);
    BUF_LIT(out, ",\"totalSize\":");
    buf_add_u64(out, answer->total);
    BUF_LIT(out, "}}");
}

static int fail(struct a2a_fault *fault, enum a2a_error error, const char *why)
{
    a2a_fault_set(fault, error, "%s", why);
    return ERR_INVALID;
}

static int read_envelope(struct str body, struct str *slots, struct a2a_request *out,
                         struct a2a_fault *fault)
{
    struct json_fault jf;
    enum json_type id_type;
    int err = json_scan(body, envelope_wants, slots, SLOT_MAX, &jf);

    if (err == ERR_CONFLICT)
        return fail(fault, A2A_ERROR_INVALID_REQUEST, "a member occurs twice in its object");
    if (err)
        return fail(fault, A2A_ERROR_PARSE, jf.why);
    id_type = json_type(slots[SLOT_ID]);
    if ((id_type != JSON_STRING && id_type != JSON_NUMBER && id_type != JSON_NULL) ||
        slots[SLOT_ID].n > LIMIT_JSONRPC_ID)
        return fail(fault, A2A_ERROR_INVALID_REQUEST,
                    "\"id\" must be a string, a number or null");
    out->id = slots[SLOT_ID];
    if (json_type(slots[SLOT_PARAMS]) == JSON_NULL)
        slots[SLOT_PARAMS] = STR_NONE;
    if (!json_string_is(slots[SLOT_JSONRPC], STR("2.0")))
        return fail(fault, A2A_ERROR_INVALID_REQUEST, "\"jsonrpc\" must be \"2.0\"");
    if (!json_string_is(slots[SLOT_METHOD], STR("tasks.list")) &&
        !json_string_is(slots[SLOT_METHOD], STR("tasks/list")))
        return fail(
            fault, A2A_ERROR_METHOD_NOT_FOUND,
            "of the gateway's own methods only tasks.list is built in this release; A2A methods "
            "are at POST /agents/{id}");
    if (slots[SLOT_PARAMS].p && json_type(slots[SLOT_PARAMS]) != JSON_OBJECT)
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "params must be an object");
    return 0;
}

/* A JSON null means the same as not giving the member at all (A2A 1.0 section 5.7). */
static bool is_given(struct str value)
{
    return value.p && json_type(value) != JSON_NULL;
}

/* A string parameter without escapes (ids of agents and page tokens need none); absent if not given. */
static int plain_string(struct str raw, const char *why, struct str *out,
                        struct a2a_fault *fault)
{
    *out = STR_NONE;
    if (!is_given(raw))
        return 0;
    if (json_type(raw) != JSON_STRING || memchr(raw.p, '\\', raw.n))
        return fail(fault, A2A_ERROR_INVALID_PARAMS, why);
    *out = str_make(raw.p + 1, raw.n - 2);
    return 0;
}

static int read_query(struct str *slots, struct task_query *q, struct a2a_fault *fault)
{
    struct str limit = is_given(slots[SLOT_LIMIT]) ? slots[SLOT_LIMIT] : slots[SLOT_PAGE_SIZE];
    struct str agent =
        is_given(slots[SLOT_AGENT_ID]) ? slots[SLOT_AGENT_ID] : slots[SLOT_AGENT];
    int64_t n = 50;
    int err;

    if (is_given(limit) && (json_to_i64(limit, &n) || n < 1 || n > 100))
        return fail(fault, A2A_ERROR_INVALID_PARAMS, "limit must be 1 to 100");
    q->limit = (unsigned)n;
    err = plain_string(agent, "agentId must be an agent's id", &q->agent, fault);
    if (!err && q->agent.p && (q->agent.n < 1 || q->agent.n > LIMIT_AGENT_ID))
        err = fail(fault, A2A_ERROR_INVALID_PARAMS, "agentId must be an agent's id");
    if (!err)
        err =
            plain_string(slots[SLOT_TOKEN], "pageToken must be one of ours", &q->after, fault);
    if (!err && q->after.p && q->after.n == 0)
        q->after = STR_NONE;
    return err;
}

void rpc_on_request(struct binding *b, struct exchange *x)
{
    struct call_request request = {.request_id = exchange_request_id(x)};
    struct a2a_request a2a = {.method = A2A_LIST, .version = A2A_0_3, .id = STR("null")};
    struct str slots[SLOT_MAX];
    struct a2a_fault fault;
    struct pending *p;

    if (!admit_json_post(b, x))
        return;
    if (read_envelope(exchange_body(x), slots, &a2a, &fault) ||
        read_query(slots, &request.list, &fault)) {
        answer_fault(b, x, &a2a, &fault);
        return;
    }
    request.a2a = &a2a;
    p = pending_new(b, x, &a2a);
    p->write_rows = write_rows;
    pending_start(p, &request);
}
