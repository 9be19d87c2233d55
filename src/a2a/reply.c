/* SPDX-License-Identifier: MIT
 *
 * What an agent answers, JSON-RPC binding. Agents are outside too: an answer is believed only as far as it
 * was checked here, and every refusal says which rule it broke, so that its author can mend it.
 */
#include "a2a/a2a_int.h"

enum slot {
    SLOT_JSONRPC,
    SLOT_ID,
    SLOT_RESULT,
    SLOT_ERROR,
    SLOT_ERROR_CODE,
    SLOT_ERROR_MESSAGE,
    SLOT_KIND,
    SLOT_TASK,
    SLOT_MESSAGE,
    SLOT_STATUS,
    SLOT_PARTS,
    SLOT_MAX
};

static const struct json_want result_wants[] = {
    {"kind", SLOT_KIND, NULL},     {"task", SLOT_TASK, NULL},   {"message", SLOT_MESSAGE, NULL},
    {"status", SLOT_STATUS, NULL}, {"parts", SLOT_PARTS, NULL}, {NULL, -1, NULL},
};

static const struct json_want error_wants[] = {
    {"code", SLOT_ERROR_CODE, NULL},
    {"message", SLOT_ERROR_MESSAGE, NULL},
    {NULL, -1, NULL},
};

static const struct json_want reply_wants[] = {
    {"jsonrpc", SLOT_JSONRPC, NULL},
    {"id", SLOT_ID, NULL},
    {"result", SLOT_RESULT, result_wants},
    {"error", SLOT_ERROR, error_wants},
    {NULL, -1, NULL},
};

static int fail(struct a2a_fault *fault, const char *why)
{
    a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                  "the agent's answer is not valid: %s", why);
    return ERR_INVALID;
}

static bool is_our_id(struct str raw, uint64_t id)
{
    int64_t number;

    return json_type(raw) == JSON_NUMBER && json_to_i64(raw, &number) == 0 &&
           (uint64_t)number == id;
}

static int read_error(struct str *slots, struct a2a_reply *out, struct a2a_fault *fault)
{
    if (json_type(slots[SLOT_ERROR]) != JSON_OBJECT ||
        json_to_i64(slots[SLOT_ERROR_CODE], &out->error_code) ||
        json_type(slots[SLOT_ERROR_CODE]) != JSON_NUMBER ||
        json_type(slots[SLOT_ERROR_MESSAGE]) != JSON_STRING)
        return fail(fault, "\"error\" must be an object with an integer code and a message");
    out->kind = A2A_REPLY_ERROR;
    out->object = slots[SLOT_ERROR];
    return 0;
}

/* The object's own words say which version it is in, then its wrapper. The state comes before `kind`, which
 * 1.0 agents may keep as a member we do not know; it is no proof against a state in 1.0's words. */
static enum a2a_version dialect_of(const struct a2a_reply *reply, struct str status,
                                   bool is_wrapped, enum a2a_version version)
{
    enum a2a_version said;

    if (status.p && a2a_state_dialect(json_get(status, "state"), &said) == 0)
        return said;
    if (json_type(json_get(reply->object, "kind")) == JSON_STRING)
        return A2A_0_3;
    return is_wrapped ? A2A_1_0 : version;
}

/* {"task":T} or {"message":M}, exactly one. */
static bool unwrap(const struct str *slots, struct a2a_reply *out)
{
    bool has_task = json_type(slots[SLOT_TASK]) == JSON_OBJECT;
    bool has_message = json_type(slots[SLOT_MESSAGE]) == JSON_OBJECT;

    if (has_task == has_message)
        return false;
    out->kind = has_task ? A2A_REPLY_TASK : A2A_REPLY_MESSAGE;
    out->object = slots[has_task ? SLOT_TASK : SLOT_MESSAGE];
    return true;
}

/* 0.3 tells by kind; where it is missing, a status makes a task and parts make a message. */
static bool tell_apart(const struct str *slots, struct a2a_reply *out)
{
    if (json_string_is(slots[SLOT_KIND], STR("task")) ||
        (!slots[SLOT_KIND].p && slots[SLOT_STATUS].p))
        out->kind = A2A_REPLY_TASK;
    else if (json_string_is(slots[SLOT_KIND], STR("message")) ||
             (!slots[SLOT_KIND].p && slots[SLOT_PARTS].p))
        out->kind = A2A_REPLY_MESSAGE;
    else
        return false;
    out->object = slots[SLOT_RESULT];
    return true;
}

/* Agents of either version have been seen to answer in the other's form; the right one is tried first. */
static int read_sent(const struct str *slots, enum a2a_version version, struct a2a_reply *out,
                     struct a2a_fault *fault)
{
    if (version == A2A_1_0)
        return unwrap(slots, out) || tell_apart(slots, out)
                   ? 0
                   : fail(fault,
                          "the result must hold exactly one of \"task\" and \"message\"");
    return tell_apart(slots, out) || unwrap(slots, out)
               ? 0
               : fail(fault, "the result is neither a task nor a message");
}

static int read_result(const struct str *slots, enum a2a_version version,
                       enum a2a_method method, struct a2a_reply *out, struct a2a_fault *fault)
{
    if (json_type(slots[SLOT_RESULT]) != JSON_OBJECT)
        return fail(fault, "it has neither a result object nor an error");
    if (method == A2A_SEND || method == A2A_STREAM)
        return read_sent(slots, version, out, fault);
    /* GetTask and CancelTask answer with the bare task; some wrap it all the same. */
    out->kind = A2A_REPLY_TASK;
    out->object = slots[SLOT_RESULT];
    if (!slots[SLOT_STATUS].p && json_type(slots[SLOT_TASK]) == JSON_OBJECT)
        out->object = slots[SLOT_TASK];
    return 0;
}

static int check_task(struct a2a_reply *reply, struct str *status, struct a2a_fault *fault)
{
    struct a2a_task task;
    struct arena arena;
    const char *why;
    int err;

    arena_init(&arena, KB(64));
    err = a2a_task_read(reply->object, &arena, &task, &why);
    reply->task_id = task.id_raw;
    *status = task.status;
    arena_release(&arena);
    return err ? fail(fault, why) : 0;
}

int a2a_reply_read(struct str body, enum a2a_version version, enum a2a_method method,
                   uint64_t id, struct a2a_reply *out, struct a2a_fault *fault)
{
    struct str slots[SLOT_MAX], status = STR_NONE;
    struct json_fault jf;
    int err = json_scan(body, reply_wants, slots, SLOT_MAX, &jf);

    out->dialect = version;
    if (err == ERR_CONFLICT) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "the agent's answer is not valid: member \"%s\" occurs twice",
                      jf.member ? jf.member : "?");
        return ERR_INVALID;
    }
    if (err) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "the agent's answer is not JSON: %s at byte %zu", jf.why, jf.at);
        return ERR_INVALID;
    }
    if (!json_string_is(slots[SLOT_JSONRPC], STR("2.0")))
        return fail(fault, "it is not JSON-RPC 2.0");
    if (json_type(slots[SLOT_ERROR]) == JSON_NULL)
        slots[SLOT_ERROR] = STR_NONE;
    /* An error about a request whose id the agent could not read carries a null id. */
    if (!is_our_id(slots[SLOT_ID], id) &&
        !(slots[SLOT_ERROR].p && (!slots[SLOT_ID].p || json_type(slots[SLOT_ID]) == JSON_NULL)))
        return fail(fault, "its id is not the id of the request");
    if (slots[SLOT_ERROR].p)
        return read_error(slots, out, fault);
    err = read_result(slots, version, method, out, fault);
    if (!err && out->kind == A2A_REPLY_TASK)
        err = check_task(out, &status, fault);
    if (!err)
        out->dialect = dialect_of(out, status, out->object.p != slots[SLOT_RESULT].p, version);
    return err;
}
