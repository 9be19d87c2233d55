/* SPDX-License-Identifier: MIT
 *
 * The tables of the language: versions, methods, states, errors. Facts only; what they mean for a call is
 * decided elsewhere.
 */
#include "a2a/a2a_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/clock.h"

/* --- versions --- */

const char *a2a_version_text(enum a2a_version v)
{
    return v == A2A_1_0 ? "1.0" : "0.3";
}

int a2a_version_parse(struct str text, enum a2a_version *out)
{
    struct str rest = text, major = str_cut(&rest, '.'), minor = str_cut(&rest, '.');
    uint64_t major_number, minor_number, patch;

    if (text.n == 0) {
        *out = A2A_0_3;
        return 0;
    }
    if (str_to_u64(major, &major_number) || !minor.p || str_to_u64(minor, &minor_number) ||
        (rest.p && str_to_u64(rest, &patch)))
        return ERR_SYNTAX;
    if (major_number == 1 && minor_number == 0)
        *out = A2A_1_0;
    else if (major_number == 0 && minor_number == 3)
        *out = A2A_0_3;
    else
        return ERR_UNSUPPORTED;
    return 0;
}

/* --- methods --- */

static const struct str method_names[A2A_METHOD_MAX][2] = {
#define X(id, name_1_0, name_0_3)                                                              \
    [A2A_##id] = {[A2A_0_3] = {name_0_3, sizeof(name_0_3) - 1},                                \
                  [A2A_1_0] = {name_1_0, sizeof(name_1_0) - 1}},
#include "a2a/method.def"
#undef X
};

/* Names that drafts and older peers use for the same operations, in the same shapes. */
static const struct {
    struct str name;
    enum a2a_method method;
    enum a2a_version version;
} method_aliases[] = {
#define ALIAS(text, method, version)                                                           \
    {                                                                                          \
        {text, sizeof(text) - 1}, method, version                                              \
    }
    ALIAS("tasks/subscribe", A2A_SUBSCRIBE, A2A_0_3),
    ALIAS("TaskSubscription", A2A_SUBSCRIBE, A2A_1_0),
    ALIAS("agent/authenticatedExtendedCard", A2A_EXTENDED_CARD, A2A_0_3),
    ALIAS("agent/card", A2A_EXTENDED_CARD, A2A_0_3),
    ALIAS("agent/getCard", A2A_EXTENDED_CARD, A2A_0_3),
    ALIAS("SetTaskPushNotificationConfig", A2A_PUSH_SET, A2A_1_0),
    ALIAS("ListTaskPushNotificationConfig", A2A_PUSH_LIST, A2A_1_0),
#undef ALIAS
};

int a2a_method_find(struct str name, enum a2a_method *method, enum a2a_version *version)
{
    for (int m = 0; m < A2A_METHOD_MAX; m++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            if (str_is(name, method_names[m][v])) {
                *method = (enum a2a_method)m;
                *version = (enum a2a_version)v;
                return 0;
            }
        }
    }
    for (size_t i = 0; i < sizeof method_aliases / sizeof *method_aliases; i++) {
        if (str_is(name, method_aliases[i].name)) {
            *method = method_aliases[i].method;
            *version = method_aliases[i].version;
            return 0;
        }
    }
    return ERR_ABSENT;
}

const char *a2a_method_name(enum a2a_method method, enum a2a_version version)
{
    BUG_ON(method >= A2A_METHOD_MAX);
    return method_names[method][version].p;
}

/* --- states --- */

struct state_row {
    struct str names[2];
    enum a2a_state_class class;
    bool exists;
};

static const struct state_row state_rows[] = {
#define X(id, number, name_1_0, name_0_3, class_)                                              \
    [number] = {{[A2A_0_3] = {name_0_3, sizeof(name_0_3) - 1},                                 \
                 [A2A_1_0] = {name_1_0, sizeof(name_1_0) - 1}},                                \
                A2A_##class_,                                                                  \
                true},
#include "a2a/state.def"
#undef X
};

#define N_STATES (sizeof state_rows / sizeof *state_rows)

static const struct state_row *state_row(enum a2a_state state)
{
    size_t i = (size_t)state;

    return &state_rows[i < N_STATES ? i : A2A_STATE_UNKNOWN];
}

enum a2a_state_class a2a_state_class(enum a2a_state state)
{
    return state_row(state)->class;
}

const char *a2a_state_name(enum a2a_state state, enum a2a_version version)
{
    return state_row(state)->names[version].p;
}

/* --- values of enumerations, in every spelling peers have been seen to send --- */

#define ENUM_NAME_MAX 64u /* decoded; the longest has 25 bytes */

/* "TASK_STATE_INPUT_REQUIRED" and "input-required" are one name once case, the prefix and the kind of dash
 * are taken away. */
static bool is_enum_name(struct str name, struct str prefix, struct str wanted)
{
    if (name.n >= prefix.n && str_is_nocase(str_make(name.p, prefix.n), prefix))
        name = str_make(name.p + prefix.n, name.n - prefix.n);
    if (name.n != wanted.n)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char a = name.p[i] == '_' ? '-' : name.p[i];

        if (!str_is_nocase(str_make(&a, 1), str_make(wanted.p + i, 1)))
            return false;
    }
    return true;
}

/* The number of the value that `raw` says, in digits (below `n`) or by a name that `find` knows; or -1. */
static int read_enum(struct str raw, int n, int (*find)(struct str name))
{
    struct str name;
    struct buf text;
    int64_t number;
    int value = -1;

    if (json_type(raw) == JSON_NUMBER)
        return json_to_i64(raw, &number) == 0 && number >= 0 && number < n ? (int)number : -1;
    if (json_type(raw) != JSON_STRING)
        return -1;
    name = str_make(raw.p + 1, raw.n - 2);
    if (!name.n || !memchr(name.p, '\\', name.n))
        return find(name);
    /* Every reader of the task will decode it: who hides "completed" behind an escape has still said it. */
    buf_init(&text, ENUM_NAME_MAX);
    if (json_string_decode(raw, &text) == 0)
        value = find(buf_str(&text));
    buf_release(&text);
    return value;
}

static int state_of(struct str name)
{
    static const struct str prefix = {"task_state_", 11};

    for (size_t i = 0; i < N_STATES; i++)
        if (str_is(name, state_rows[i].names[A2A_1_0]) ||
            str_is(name, state_rows[i].names[A2A_0_3]))
            return (int)i;
    for (size_t i = 0; i < N_STATES; i++)
        if (is_enum_name(name, prefix, state_rows[i].names[A2A_0_3]))
            return (int)i;
    if (is_enum_name(name, prefix, STR("unspecified")))
        return A2A_STATE_UNKNOWN;
    /* The 0.3 proto spells it with two Ls. */
    return is_enum_name(name, prefix, STR("cancelled")) ? A2A_STATE_CANCELED : -1;
}

int a2a_state_find(struct str raw, enum a2a_state *out)
{
    int value = read_enum(raw, (int)N_STATES, state_of);

    if (value < 0)
        return ERR_INVALID;
    *out = (enum a2a_state)value;
    return 0;
}

int a2a_state_dialect(struct str raw, enum a2a_version *out)
{
    static const struct str prefix = {"\"task_state_", 12};
    enum a2a_state state;

    if (json_type(raw) == JSON_NUMBER ||
        (raw.n > prefix.n && str_is_nocase(str_make(raw.p, prefix.n), prefix)))
        *out = A2A_1_0;
    else if (a2a_state_find(raw, &state) == 0)
        *out = A2A_0_3;
    else
        return ERR_ABSENT;
    return 0;
}

/* 1.0 agents may keep `kind` as a member we do not know; it is no proof against a state in 1.0's words. */
enum a2a_version a2a_object_dialect(struct str object, struct str state,
                                    enum a2a_version otherwise)
{
    enum a2a_version said;

    if (state.p && a2a_state_dialect(state, &said) == 0)
        return said;
    return json_type(json_get(object, "kind")) == JSON_STRING ? A2A_0_3 : otherwise;
}

enum a2a_state a2a_state_read(struct str raw)
{
    enum a2a_state state;

    return a2a_state_find(raw, &state) ? A2A_STATE_UNKNOWN : state;
}

static int role_of(struct str name)
{
    static const struct str prefix = {"role_", 5};

    if (is_enum_name(name, prefix, STR("user")))
        return A2A_ROLE_USER;
    if (is_enum_name(name, prefix, STR("agent")))
        return A2A_ROLE_AGENT;
    return is_enum_name(name, prefix, STR("unspecified")) ? A2A_ROLE_NONE : -1;
}

int a2a_role_read(struct str raw, enum a2a_role *out)
{
    int value = read_enum(raw, A2A_ROLE_AGENT + 1, role_of);

    if (value < 0)
        return ERR_INVALID;
    *out = (enum a2a_role)value;
    return 0;
}

#define TIMESTAMP_MAX 40u /* decoded: nanoseconds and an offset make 35 */

int a2a_timestamp_read(struct str raw, int64_t *us)
{
    struct str inner;
    struct buf text;
    int err = ERR_INVALID;

    if (json_type(raw) != JSON_STRING)
        return ERR_INVALID;
    inner = str_make(raw.p + 1, raw.n - 2);
    if (!inner.n || !memchr(inner.p, '\\', inner.n))
        return clock_parse(inner, us) ? ERR_INVALID : 0;
    /* .NET writes the plus of an offset as \u002B. */
    buf_init(&text, TIMESTAMP_MAX);
    if (json_string_decode(raw, &text) == 0 && clock_parse(buf_str(&text), us) == 0)
        err = 0;
    buf_release(&text);
    return err;
}

bool a2a_is_id(struct str raw)
{
    struct str inner;
    struct buf text;
    bool is_good;

    if (json_type(raw) != JSON_STRING || raw.n <= 2 || json_string_length(raw) > LIMIT_TASK_ID)
        return false;
    inner = str_make(raw.p + 1, raw.n - 2);
    if (!memchr(inner.p, '\\', inner.n))
        return !str_has_control(inner);
    buf_init(&text, LIMIT_TASK_ID);
    is_good = json_string_decode(raw, &text) == 0 && !str_has_control(buf_str(&text));
    buf_release(&text);
    return is_good;
}

bool a2a_is_same_string(struct str a, struct str b)
{
    struct buf text;
    bool is_same;

    if (json_type(a) != JSON_STRING || json_type(b) != JSON_STRING)
        return false;
    if (str_is(a, b))
        return true;
    if (!memchr(a.p, '\\', a.n) && !memchr(b.p, '\\', b.n))
        return false;
    buf_init(&text, a.n);
    is_same = json_string_decode(a, &text) == 0 && json_string_is(b, buf_str(&text));
    buf_release(&text);
    return is_same;
}

/* --- errors --- */

static const struct a2a_error_row error_rows[A2A_ERROR_MAX] = {
#define X(id, code, http, reason, text, blame, retry, superx)                                  \
    [A2A_ERROR_##id] = {code, http, reason, text, A2A_BLAME_##blame, retry, superx},
#include "a2a/error.def"
#undef X
};

const struct a2a_error_row *a2a_error_row(enum a2a_error error)
{
    BUG_ON(error >= A2A_ERROR_MAX);
    return &error_rows[error];
}

const struct a2a_error_row *a2a_error_by_code(int64_t code)
{
    for (size_t i = 0; i < A2A_ERROR_MAX; i++)
        if (error_rows[i].code == code)
            return &error_rows[i];
    return NULL;
}

void a2a_fault_set(struct a2a_fault *f, enum a2a_error error, const char *fmt, ...)
{
    va_list args;
    int n;

    *f = (struct a2a_fault){.error = error};
    va_start(args, fmt);
    n = vsnprintf(f->detail, sizeof f->detail, fmt, args);
    va_end(args);
    /* A detail cut in the middle of a multi-byte character must not make the answer invalid UTF-8. */
    if (n >= (int)sizeof f->detail) {
        size_t end = sizeof f->detail - 1;

        while (end > 0 && !str_is_utf8(str_make(f->detail, end)))
            end--;
        f->detail[end] = '\0';
    }
    if (error_rows[error].retry)
        f->retry_after_s = 1;
}

int a2a_fault_jsonrpc_http(const struct a2a_fault *f)
{
    switch (f->error) {
    case A2A_ERROR_AGENT_NOT_FOUND:
        return 404;
    case A2A_ERROR_AGENT_OVERLOADED:
    case A2A_ERROR_STORE_UNAVAILABLE:
    case A2A_ERROR_SHUTTING_DOWN:
    case A2A_ERROR_OVERLOADED:
        return 503;
    default:
        return 200;
    }
}
