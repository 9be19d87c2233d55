/* SPDX-License-Identifier: MIT */
#include "a2a/a2a_int.h"
#include "lib/http.h"
#include "lib/limits.h"

#define TEXT_MAX KB(4) /* of one value as it is written */

struct member {
    const char *name, *snake;
    size_t at; /* in struct a2a_push */
    bool is_header, is_secret;
};

#define AT(member) offsetof(struct a2a_push, member)

static const struct member members[] = {
    {"id", NULL, AT(id), false, false},
    {"url", NULL, AT(url), false, false},
    {"token", NULL, AT(token), true, true},
    {"credentials", NULL, AT(credentials), true, true},
    {"scheme", NULL, AT(scheme), true, false},
    {"hmacSecret", "hmac_secret", AT(hmac_secret), false, true},
    {"jwtSecret", "jwt_secret", AT(jwt_secret), false, true},
    {"jwtIssuer", "jwt_issuer", AT(jwt_issuer), false, false},
    {"jwtAudience", "jwt_audience", AT(jwt_audience), false, false},
    {"jwtKid", "jwt_kid", AT(jwt_kid), false, false},
    {"jwtClaims", "jwt_claims", AT(jwt_claims), false, false},
    {"payload", NULL, AT(payload), false, false},
};
#define N_MEMBERS (sizeof members / sizeof *members)

static struct str *slot_of(struct a2a_push *push, const struct member *m)
{
    return (struct str *)(void *)((char *)push + m->at);
}

static struct str value_of(const struct a2a_push *push, const struct member *m)
{
    return *slot_of((struct a2a_push *)push, m);
}

static int fail(struct a2a_fault *fault, const char *name, const char *why)
{
    a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "push notification configuration: %s %s",
                  name, why);
    return ERR_INVALID;
}

/* ProtoJSON says an absent string as the empty one. */
static struct str given(struct str value)
{
    value = a2a_given(value);
    return a2a_is_empty_string(value) ? STR_NONE : value;
}

static struct str pick(struct str object, const char *name, const char *other)
{
    struct str value = given(json_get(object, name));

    return value.p || !other ? value : given(json_get(object, other));
}

/* --- one configuration ---------------------------------------------------------------------------- */

static bool fits_header(struct str raw)
{
    struct buf text;
    bool fits;

    buf_init(&text, TEXT_MAX);
    fits = json_string_decode(raw, &text) == 0 && http_is_header_value(buf_str(&text));
    buf_release(&text);
    return fits;
}

static int check(const struct a2a_push *push, struct a2a_fault *fault)
{
    for (size_t i = 0; i < N_MEMBERS; i++) {
        const struct member *m = &members[i];
        struct str value = value_of(push, m);
        bool is_claims = m->at == AT(jwt_claims);

        if (!value.p)
            continue;
        if (json_type(value) != (is_claims ? JSON_OBJECT : JSON_STRING))
            return fail(fault, m->name, is_claims ? "must be an object" : "must be a string");
        if (value.n > TEXT_MAX)
            return fail(fault, m->name, "is too long (4 KB at most)");
        if (m->is_header && !fits_header(value))
            return fail(fault, m->name, "cannot be the value of an HTTP header");
    }
    if (!push->url.p)
        return fail(fault, "url", "is missing");
    if (push->payload.p && !json_string_is(push->payload, STR("task")) &&
        !json_string_is(push->payload, STR("event")))
        return fail(fault, "payload", "must be \"task\" or \"event\"");
    if (push->scheme.p && memchr(push->scheme.p, ' ', push->scheme.n))
        return fail(fault, "authentication.scheme", "must be one word, such as Bearer");
    if (push->scheme.p && push->jwt_secret.p)
        return fail(fault, "jwtSecret",
                    "cannot be used beside authentication: both are the header Authorization");
    return 0;
}

/* 0.3 has an array of schemes, of which the first counts. */
static int read_authentication(struct str object, struct a2a_push *out, struct a2a_fault *fault)
{
    struct str authentication = a2a_given(json_get(object, "authentication")), first;
    struct json_cursor cursor;

    if (!authentication.p)
        return 0;
    if (json_type(authentication) != JSON_OBJECT)
        return fail(fault, "authentication", "must be an object");
    out->scheme = given(json_get(authentication, "scheme"));
    out->credentials = given(json_get(authentication, "credentials"));
    if (!out->scheme.p && json_type(json_get(authentication, "schemes")) == JSON_ARRAY) {
        json_enter(&cursor, json_get(authentication, "schemes"));
        if (json_next_element(&cursor, &first))
            out->scheme = given(first);
    }
    if (out->credentials.p && !out->scheme.p)
        return fail(fault, "authentication", "has credentials but no scheme");
    return 0;
}

int a2a_push_read(struct str object, struct a2a_push *out, struct a2a_fault *fault)
{
    int err;

    *out = (struct a2a_push){0};
    if (json_type(object) != JSON_OBJECT) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      "a push notification configuration must be an object");
        return ERR_INVALID;
    }
    for (size_t i = 0; i < N_MEMBERS; i++)
        if (members[i].at != AT(scheme) && members[i].at != AT(credentials))
            *slot_of(out, &members[i]) = pick(object, members[i].name, members[i].snake);
    err = read_authentication(object, out, fault);
    return err ? err : check(out, fault);
}

static void write_half(struct buf *out, const struct a2a_push *push, bool secret)
{
    bool first = true;

    for (size_t i = 0; i < N_MEMBERS; i++) {
        struct str value = value_of(push, &members[i]);

        if (!value.p || members[i].is_secret != secret || members[i].at == AT(id))
            continue;
        json_write_key(out, &first, str_of(members[i].name));
        buf_add_str(out, value);
    }
    if (!first || !secret)
        json_write_end(out, first);
}

void a2a_push_write_doc(struct buf *out, const struct a2a_push *push)
{
    write_half(out, push, false);
}

void a2a_push_write_secret(struct buf *out, const struct a2a_push *push)
{
    write_half(out, push, true);
}

/* --- what is asked -------------------------------------------------------------------------------- */

/* 1.0's configuration is the params themselves; everybody else nests it. */
static int read_set(struct str params, struct a2a_push_params *out, struct a2a_fault *fault)
{
    struct str nested = pick(params, "pushNotificationConfig", "push_notification_config");

    if (!nested.p)
        nested = pick(params, "config", NULL);
    if (nested.p) {
        out->task_id = pick(params, "taskId", "task_id");
        if (!out->task_id.p)
            out->task_id = pick(params, "id", NULL);
        return a2a_push_read(nested, &out->push, fault);
    }
    out->task_id = pick(params, "taskId", "task_id");
    return a2a_push_read(params, &out->push, fault);
}

/* 1.0: {taskId, id}; 0.3: {id, pushNotificationConfigId}; the first SuperX: {taskId, configId}. */
static void read_names(struct str params, struct a2a_push_params *out)
{
    out->task_id = pick(params, "taskId", "task_id");
    out->config_id = pick(params, "pushNotificationConfigId", "push_notification_config_id");
    if (!out->config_id.p)
        out->config_id = pick(params, "configId", "config_id");
    if (!out->task_id.p)
        out->task_id = pick(params, "id", NULL);
    else if (!out->config_id.p)
        out->config_id = pick(params, "id", NULL);
}

static int check_names(const struct a2a_push_params *p, struct a2a_fault *fault)
{
    if (!p->task_id.p || json_type(p->task_id) != JSON_STRING || !a2a_is_id(p->task_id))
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      p->task_id.p ? "the task's id is a string of 1 to %u bytes"
                                   : "params lack the task's id (1 to %u bytes)",
                      LIMIT_TASK_ID);
    else if (p->config_id.p && json_type(p->config_id) != JSON_STRING)
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS,
                      "the configuration's id must be a string");
    else
        return 0;
    return ERR_INVALID;
}

int a2a_push_params_read(struct str params, enum a2a_method method, struct a2a_push_params *out,
                         struct a2a_fault *fault)
{
    int err = 0;

    *out = (struct a2a_push_params){0};
    if (json_type(params) != JSON_OBJECT) {
        a2a_fault_set(fault, A2A_ERROR_INVALID_PARAMS, "params must be an object");
        return ERR_INVALID;
    }
    out->agent = pick(params, "agentId", "agent_id");
    if (!out->agent.p)
        out->agent = pick(params, "agent", NULL);
    if (method == A2A_PUSH_SET)
        err = read_set(params, out, fault);
    else
        read_names(params, out);
    if (!err && method == A2A_PUSH_SET)
        out->config_id = out->push.id;
    return err ? err : check_names(out, fault);
}

/* --- what is told --------------------------------------------------------------------------------- */

static void write_member(struct buf *out, bool *first, const char *name, struct str value)
{
    if (!value.p)
        return;
    json_write_key(out, first, str_of(name));
    buf_add_str(out, value);
}

static void write_text(struct buf *out, bool *first, const char *name, struct str text)
{
    json_write_key(out, first, str_of(name));
    json_write_string(out, text);
}

/* id, url and what else is no secret, of the object under construction. */
static void write_common(struct buf *out, bool *first, enum a2a_version version, struct str id,
                         struct str doc)
{
    static const char *const shown[] = {"payload", "jwtIssuer", "jwtAudience", "jwtKid",
                                        "jwtClaims"};
    struct str scheme = json_get(doc, "scheme");

    write_text(out, first, "id", id);
    write_member(out, first, "url", json_get(doc, "url"));
    if (scheme.p) {
        json_write_key(out, first, STR("authentication"));
        buf_printf(out, version == A2A_1_0 ? "{\"scheme\":" : "{\"schemes\":[");
        buf_add_str(out, scheme);
        buf_add_str(out, version == A2A_1_0 ? STR("}") : STR("]}"));
    }
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        write_member(out, first, shown[i], json_get(doc, shown[i]));
}

void a2a_push_write(struct buf *out, enum a2a_version version, bool superx, struct str task_id,
                    struct str id, struct str doc)
{
    bool first = true, inner = true;

    write_text(out, &first, "taskId", task_id);
    if (superx || version == A2A_1_0)
        write_common(out, &first, version, id, doc);
    if (superx || version == A2A_0_3) {
        json_write_key(out, &first, STR("pushNotificationConfig"));
        write_common(out, &inner, A2A_0_3, id, doc);
        json_write_end(out, inner);
    }
    json_write_end(out, first);
}
