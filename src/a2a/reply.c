/* SPDX-License-Identifier: MIT
 *
 * What an agent answers, JSON-RPC binding: at once, or frame by frame in a stream. Agents are outside too: an answer is
 * believed only as far as it was checked here, and every refusal says which rule it broke, so that its author can mend
 * it.
 *
 * Agents of either version have been seen to answer in the other's form. A result is bare, told apart by `kind` or (where
 * that is missing) by its members, or it is wrapped in exactly one of 1.0's members; the right form is tried first. In
 * whose words the object itself is said is another question: a2a_object_dialect().
 */
#include "a2a/a2a_int.h"

enum slot {
    SLOT_JSONRPC,
    SLOT_ID,
    SLOT_RESULT,
    SLOT_ERROR,
    SLOT_ERROR_CODE,
    SLOT_ERROR_MESSAGE,
    SLOT_BARE_CODE,
    SLOT_BARE_MESSAGE,
    SLOT_KIND,
    SLOT_TASK,
    SLOT_MESSAGE,
    SLOT_STATUS_UPDATE,
    SLOT_ARTIFACT_UPDATE,
    SLOT_OBJECT_ID,
    SLOT_STATUS,
    SLOT_ARTIFACT,
    SLOT_PARTS,
    SLOT_MAX
};

static const struct json_want result_wants[] = {
    {"kind", SLOT_KIND, NULL},
    {"task", SLOT_TASK, NULL},
    {"message", SLOT_MESSAGE, NULL},
    {"statusUpdate", SLOT_STATUS_UPDATE, NULL},
    {"status_update", SLOT_STATUS_UPDATE, NULL},
    {"artifactUpdate", SLOT_ARTIFACT_UPDATE, NULL},
    {"artifact_update", SLOT_ARTIFACT_UPDATE, NULL},
    {"id", SLOT_OBJECT_ID, NULL},
    {"status", SLOT_STATUS, NULL},
    {"artifact", SLOT_ARTIFACT, NULL},
    {"parts", SLOT_PARTS, NULL},
    {NULL, -1, NULL},
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
    {"code", SLOT_BARE_CODE, NULL},
    {"message", SLOT_BARE_MESSAGE, NULL},
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

/* --- the envelope --------------------------------------------------------------------------------- */

static int scan_answer(struct str text, struct str *slots, struct a2a_fault *fault)
{
    struct json_fault jf;
    int err = json_scan(text, reply_wants, slots, SLOT_MAX, &jf);

    if (err == ERR_CONFLICT)
        a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "the agent's answer is not valid: member \"%s\" occurs twice",
                      jf.member ? jf.member : "?");
    else if (err)
        a2a_fault_set(fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "the agent's answer is not JSON: %s at byte %zu", jf.why, jf.at);
    for (size_t i = SLOT_ERROR; !err && i < SLOT_MAX; i++)
        slots[i] = a2a_given(slots[i]);
    return err ? ERR_INVALID : 0;
}

static int check_envelope(const struct str *slots, uint64_t id, struct a2a_fault *fault)
{
    if (!json_string_is(slots[SLOT_JSONRPC], STR("2.0")))
        return fail(fault, "it is not JSON-RPC 2.0");
    /* An error about a request whose id the agent could not read carries a null id. */
    if (!is_our_id(slots[SLOT_ID], id) &&
        !(slots[SLOT_ERROR].p && !a2a_given(slots[SLOT_ID]).p))
        return fail(fault, "its id is not the id of the request");
    return 0;
}

static int read_error(const struct str *slots, int64_t *code, struct a2a_fault *fault)
{
    if (json_type(slots[SLOT_ERROR]) != JSON_OBJECT ||
        json_to_i64(slots[SLOT_ERROR_CODE], code) ||
        json_type(slots[SLOT_ERROR_CODE]) != JSON_NUMBER ||
        json_type(slots[SLOT_ERROR_MESSAGE]) != JSON_STRING)
        return fail(fault, "\"error\" must be an object with an integer code and a message");
    return 0;
}

/* --- results -------------------------------------------------------------------------------------- */

enum form { FORM_NONE, FORM_TASK, FORM_MESSAGE, FORM_STATUS, FORM_ARTIFACT, FORM_MAX };

/* One of 1.0's wrapper members, exactly one. */
static enum form unwrap(const struct str *slots, struct str *object)
{
    static const enum slot wrappers[FORM_MAX] = {
        [FORM_TASK] = SLOT_TASK,
        [FORM_MESSAGE] = SLOT_MESSAGE,
        [FORM_STATUS] = SLOT_STATUS_UPDATE,
        [FORM_ARTIFACT] = SLOT_ARTIFACT_UPDATE,
    };
    enum form form = FORM_NONE;
    struct str found = STR_NONE;

    for (int i = FORM_TASK; i < FORM_MAX; i++) {
        struct str value = slots[wrappers[i]];

        if (value.p && (found.p || json_type(value) != JSON_OBJECT))
            return FORM_NONE;
        if (value.p) {
            form = (enum form)i;
            found = value;
        }
    }
    if (form)
        *object = found;
    return form;
}

/* 0.3 tells by kind; where it is missing, by members: only a task has an id of its own. */
static enum form tell_apart(const struct str *slots, struct str *object)
{
    static const struct str kinds[FORM_MAX] = {
        [FORM_TASK] = {"task", 4},
        [FORM_MESSAGE] = {"message", 7},
        [FORM_STATUS] = {"status-update", 13},
        [FORM_ARTIFACT] = {"artifact-update", 15},
    };
    bool has_kind = slots[SLOT_KIND].p != NULL;
    enum form form = FORM_NONE;

    for (int i = FORM_TASK; has_kind && i < FORM_MAX; i++)
        if (json_string_is(slots[SLOT_KIND], kinds[i]))
            form = (enum form)i;
    if (!has_kind && slots[SLOT_STATUS].p)
        form = slots[SLOT_OBJECT_ID].p ? FORM_TASK : FORM_STATUS;
    else if (!has_kind && slots[SLOT_ARTIFACT].p)
        form = FORM_ARTIFACT;
    else if (!has_kind && slots[SLOT_PARTS].p)
        form = FORM_MESSAGE;
    if (form)
        *object = slots[SLOT_RESULT];
    return form;
}

static enum form read_form(const struct str *slots, enum a2a_version version,
                           struct str *object)
{
    enum form form;

    if (version == A2A_1_0) {
        form = unwrap(slots, object);
        return form ? form : tell_apart(slots, object);
    }
    form = tell_apart(slots, object);
    return form ? form : unwrap(slots, object);
}

/* An object that says it neither by its state nor by a `kind` is in the words of its wrapper; without one, its parts may
 * have kinds. */
static enum a2a_version dialect_of(struct str object, struct str state, struct str parts,
                                   bool is_wrapped, enum a2a_version version)
{
    struct json_cursor cursor;
    struct str part;

    json_enter(&cursor, parts);
    if (is_wrapped)
        version = A2A_1_0;
    else if (json_next_element(&cursor, &part))
        version = a2a_object_dialect(part, STR_NONE, version);
    return a2a_object_dialect(object, state, version);
}

static int check_task(struct str object, struct a2a_task_spans *spans, struct a2a_fault *fault)
{
    struct a2a_task task;
    struct arena arena;
    const char *why;
    int err;

    arena_init(&arena, KB(64));
    err = a2a_task_read(object, &arena, &task, &why);
    arena_release(&arena);
    if (!err)
        err = a2a_task_scan(object, spans, &why);
    return err ? fail(fault, why) : 0;
}

/* --- an answer ------------------------------------------------------------------------------------ */

static int read_result(const struct str *slots, enum a2a_version version,
                       enum a2a_method method, struct a2a_reply *out, struct a2a_fault *fault)
{
    enum form form;

    if (json_type(slots[SLOT_RESULT]) != JSON_OBJECT)
        return fail(fault, "it has neither a result object nor an error");
    if (method == A2A_SEND || method == A2A_STREAM) {
        form = read_form(slots, version, &out->object);
        if (form != FORM_TASK && form != FORM_MESSAGE)
            return fail(fault,
                        version == A2A_1_0
                            ? "the result must hold exactly one of \"task\" and \"message\""
                            : "the result is neither a task nor a message");
        out->kind = form == FORM_TASK ? A2A_REPLY_TASK : A2A_REPLY_MESSAGE;
        return 0;
    }
    /* GetTask and CancelTask answer with the bare task; some wrap it all the same. */
    out->kind = A2A_REPLY_TASK;
    out->object = slots[SLOT_RESULT];
    if (!slots[SLOT_STATUS].p && json_type(slots[SLOT_TASK]) == JSON_OBJECT)
        out->object = slots[SLOT_TASK];
    return 0;
}

int a2a_reply_read(struct str body, enum a2a_version version, enum a2a_method method,
                   uint64_t id, struct a2a_reply *out, struct a2a_fault *fault)
{
    struct a2a_task_spans task = {0};
    struct str slots[SLOT_MAX], parts = STR_NONE;
    int err = scan_answer(body, slots, fault);

    *out = (struct a2a_reply){.dialect = version};
    if (!err)
        err = check_envelope(slots, id, fault);
    if (err)
        return err;
    if (slots[SLOT_ERROR].p) {
        out->kind = A2A_REPLY_ERROR;
        out->object = slots[SLOT_ERROR];
        return read_error(slots, &out->error_code, fault);
    }
    err = read_result(slots, version, method, out, fault);
    if (!err && out->kind == A2A_REPLY_TASK)
        err = check_task(out->object, &task, fault);
    else if (!err)
        parts = json_get(out->object, "parts");
    if (err)
        return err;
    out->task_id = task.id;
    out->dialect = dialect_of(out->object, task.state, parts,
                              out->object.p != slots[SLOT_RESULT].p, version);
    return 0;
}

/* --- a frame of a stream -------------------------------------------------------------------------- */

/* SDKs have been seen to send an error as it is, without an envelope, in a frame named "error". */
static bool is_bare_error(const struct str *slots)
{
    int64_t code;

    return !slots[SLOT_JSONRPC].p && !slots[SLOT_RESULT].p && !slots[SLOT_ERROR].p &&
           json_type(slots[SLOT_BARE_CODE]) == JSON_NUMBER &&
           json_to_i64(slots[SLOT_BARE_CODE], &code) == 0 &&
           json_type(slots[SLOT_BARE_MESSAGE]) == JSON_STRING;
}

static int take_error(const struct str *slots, struct str data, struct a2a_stream_event *out,
                      struct a2a_fault *fault)
{
    out->kind = A2A_STREAM_ERROR;
    out->object = slots[SLOT_ERROR];
    if (out->object.p)
        return read_error(slots, &out->error_code, fault);
    out->object = str_trim(data);
    return json_to_i64(slots[SLOT_BARE_CODE], &out->error_code);
}

static int take_task(struct a2a_stream_event *out, bool is_wrapped, enum a2a_version version,
                     struct a2a_fault *fault)
{
    struct a2a_task_spans task;
    int err = check_task(out->object, &task, fault);

    if (err)
        return err;
    out->task_id = task.id;
    out->has_state = true;
    out->state = a2a_state_read(task.state);
    out->dialect = dialect_of(out->object, task.state, STR_NONE, is_wrapped, version);
    return 0;
}

static int take_update(struct a2a_stream_event *out, bool is_wrapped, enum a2a_version version,
                       struct a2a_fault *fault)
{
    bool is_status = out->kind == A2A_STREAM_STATUS;
    struct a2a_update update;
    const char *why;

    if (a2a_update_read(out->object,
                        is_status ? A2A_EVENT_STATUS_UPDATE : A2A_EVENT_ARTIFACT_UPDATE,
                        &update, &why))
        return fail(fault, why);
    out->task_id = update.task_id;
    out->has_state = is_status;
    out->state = a2a_state_read(update.state);
    out->is_final = json_type(update.final) == JSON_TRUE;
    out->dialect = dialect_of(out->object, update.state, update.parts, is_wrapped, version);
    return 0;
}

static int take_result(const struct str *slots, enum a2a_version version,
                       struct a2a_stream_event *out, struct a2a_fault *fault)
{
    static const enum a2a_stream_kind kinds[FORM_MAX] = {
        [FORM_TASK] = A2A_STREAM_TASK,
        [FORM_MESSAGE] = A2A_STREAM_MESSAGE,
        [FORM_STATUS] = A2A_STREAM_STATUS,
        [FORM_ARTIFACT] = A2A_STREAM_ARTIFACT,
    };
    enum form form = read_form(slots, version, &out->object);
    bool is_wrapped = out->object.p != slots[SLOT_RESULT].p;

    if (form == FORM_NONE)
        return fail(fault, version == A2A_1_0
                               ? "the result must hold exactly one of \"task\", \"message\", "
                                 "\"statusUpdate\" and \"artifactUpdate\""
                               : "the result is neither a task, nor a message, nor an update");
    out->kind = kinds[form];
    if (form == FORM_TASK)
        return take_task(out, is_wrapped, version, fault);
    if (form != FORM_MESSAGE)
        return take_update(out, is_wrapped, version, fault);
    out->dialect =
        dialect_of(out->object, STR_NONE, json_get(out->object, "parts"), is_wrapped, version);
    return 0;
}

int a2a_stream_read(struct str data, enum a2a_version version, uint64_t id,
                    struct a2a_stream_event *out, struct a2a_fault *fault)
{
    struct a2a_stream_event event = {.dialect = version};
    struct str slots[SLOT_MAX];
    int err = scan_answer(data, slots, fault);

    if (!err && !is_bare_error(slots))
        err = check_envelope(slots, id, fault);
    if (err)
        return err;
    if (slots[SLOT_ERROR].p || is_bare_error(slots))
        err = take_error(slots, data, &event, fault);
    else if (json_type(slots[SLOT_RESULT]) == JSON_OBJECT)
        err = take_result(slots, version, &event, fault);
    else
        err = fail(fault, "it has neither a result object nor an error");
    if (!err)
        *out = event;
    return err;
}
