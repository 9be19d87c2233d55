/* SPDX-License-Identifier: MIT
 *
 * Tables and the JSON-RPC codec: requests read and written, replies read, answers written.
 */
#include "check.h"

#include <stdio.h>

#include "a2a/a2a.h"

static struct a2a_request request;
static struct a2a_fault fault;
static const char *why;

static int read_request(const char *body)
{
    return a2a_request_read(str_of(body), STR_NONE, &request, &fault);
}

TEST(versions)
{
    enum a2a_version v;

    CHECK_INT(a2a_version_parse(STR("1.0"), &v), 0);
    CHECK_INT(v, A2A_1_0);
    CHECK_INT(a2a_version_parse(STR("0.3.7"), &v), 0);
    CHECK_INT(v, A2A_0_3);
    CHECK_INT(a2a_version_parse(STR(""), &v), 0);
    CHECK_INT(v, A2A_0_3);
    CHECK_INT(a2a_version_parse(STR("1"), &v), ERR_SYNTAX);
    CHECK_INT(a2a_version_parse(STR("1.x"), &v), ERR_SYNTAX);
    CHECK_INT(a2a_version_parse(STR("2.0"), &v), ERR_UNSUPPORTED);
    CHECK_INT(a2a_version_parse(STR("99999999999999999999.0"), &v), ERR_SYNTAX);
}

TEST(every_method_finds_itself)
{
    for (int m = 0; m < A2A_METHOD_MAX; m++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            enum a2a_method method;
            enum a2a_version version;

            CHECK_INT(a2a_method_find(
                          str_of(a2a_method_name((enum a2a_method)m, (enum a2a_version)v)),
                          &method, &version),
                      0);
            CHECK_INT(method, m);
            CHECK_INT(version, v);
        }
    }
}

TEST(states_in_every_spelling)
{
    static const struct {
        const char *raw;
        enum a2a_state state;
    } table[] = {
        {"\"completed\"", A2A_STATE_COMPLETED},
        {"\"TASK_STATE_COMPLETED\"", A2A_STATE_COMPLETED},
        {"\"COMPLETED\"", A2A_STATE_COMPLETED},
        {"3", A2A_STATE_COMPLETED},
        {"\"input-required\"", A2A_STATE_INPUT_REQUIRED},
        {"\"TASK_STATE_INPUT_REQUIRED\"", A2A_STATE_INPUT_REQUIRED},
        {"\"canceled\"", A2A_STATE_CANCELED},
        {"\"TASK_STATE_CANCELLED\"", A2A_STATE_CANCELED},
        {"\"cancelled\"", A2A_STATE_CANCELED},
        {"\"nonsense\"", A2A_STATE_UNKNOWN},
        {"9", A2A_STATE_UNKNOWN},
        {"-1", A2A_STATE_UNKNOWN},
        {"1.5", A2A_STATE_UNKNOWN},
        {"null", A2A_STATE_UNKNOWN},
        {"{}", A2A_STATE_UNKNOWN},
        {"\"\"", A2A_STATE_UNKNOWN},
        {"\"compl\\u0065ted\"", A2A_STATE_COMPLETED},
        {"\"compl\\u0000eted\"", A2A_STATE_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        CHECK_INT(a2a_state_read(str_of(table[i].raw)), table[i].state);
    CHECK_INT(a2a_state_read(STR_NONE), A2A_STATE_UNKNOWN);
    for (int s = A2A_STATE_UNKNOWN; s <= A2A_STATE_AUTH_REQUIRED; s++)
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            char raw[64];

            snprintf(raw, sizeof raw, "\"%s\"",
                     a2a_state_name((enum a2a_state)s, (enum a2a_version)v));
            CHECK_INT(a2a_state_read(str_of(raw)), s);
        }
}

#define SEND_BODY(extra)                                                                                      \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"message/send\",\"params\":{\"message\":{\"messageId\":\"m\"," \
    "\"role\":\"user\",\"parts\":[{}]" extra "}}}"

TEST(a_send_is_taken_apart)
{
    CHECK_INT(read_request(SEND_BODY(",\"taskId\":\"t\",\"contextId\":\"c\"")), 0);
    CHECK_INT(request.method, A2A_SEND);
    CHECK_INT(request.version, A2A_0_3);
    CHECK_STR(request.id, STR("7"));
    CHECK_STR(request.task_id, STR("\"t\""));
    CHECK_STR(request.message_context, STR("\"c\""));
    CHECK_INT(read_request(SEND_BODY(",\"task_id\":\"t\"")), 0);
    CHECK_STR(request.task_id, STR("\"t\""));
    CHECK_INT(read_request(SEND_BODY(",\"taskId\":null")), 0);
    CHECK_STR(request.task_id, STR_NONE);
}

TEST(the_id_is_known_even_when_the_rest_is_wrong)
{
    CHECK_INT(read_request("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"no/such\"}"),
              ERR_INVALID);
    CHECK_STR(request.id, STR("\"x\""));
    CHECK_INT(fault.error, A2A_ERROR_METHOD_NOT_FOUND);
    CHECK_INT(read_request("{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"no/such\"}"),
              ERR_INVALID);
    CHECK_STR(request.id, STR("null"));
    CHECK_INT(read_request("[]"), ERR_INVALID);
    CHECK_INT(fault.error, A2A_ERROR_INVALID_REQUEST);
}

TEST(a_method_may_be_written_with_escapes)
{
    CHECK_INT(
        read_request(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tasks\\/get\",\"params\":{\"id\":\"t\"}}"),
        0);
    CHECK_INT(request.method, A2A_GET);
    CHECK_INT(request.version, A2A_0_3);
    CHECK_INT(
        read_request(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"Get\\u0054ask\",\"params\":{\"id\":\"t\"}}"),
        0);
    CHECK_INT(request.version, A2A_1_0);
    CHECK_INT(
        read_request(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetTask\\u0000\",\"params\":{\"id\":\"t\"}}"),
        ERR_INVALID);
    CHECK_INT(fault.error, A2A_ERROR_METHOD_NOT_FOUND);
}

/* A slash: 0.3. A capital: 1.0. Else the header, else 0.3. A version we do not speak is said before its methods. */
TEST(the_dialect_of_early_errors)
{
    static const struct {
        const char *method, *asked;
        enum a2a_version version;
        enum a2a_error error;
    } table[] = {
        {"no/such", "1.0", A2A_0_3, A2A_ERROR_METHOD_NOT_FOUND},
        {"NoSuch", "0.3", A2A_1_0, A2A_ERROR_METHOD_NOT_FOUND},
        {"no.such", "1.0", A2A_1_0, A2A_ERROR_METHOD_NOT_FOUND},
        {"no.such", "0.3", A2A_0_3, A2A_ERROR_METHOD_NOT_FOUND},
        {"no.such", "", A2A_0_3, A2A_ERROR_METHOD_NOT_FOUND},
        {"", "1.0", A2A_1_0, A2A_ERROR_METHOD_NOT_FOUND},
        {"NoSuch", "2.0", A2A_1_0, A2A_ERROR_VERSION},
        {"no/such", "2.0", A2A_0_3, A2A_ERROR_VERSION},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char body[128];

        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}",
                 table[i].method);
        CHECK_INT(a2a_request_read(str_of(body), str_of(table[i].asked), &request, &fault),
                  ERR_INVALID);
        CHECK_INT(request.version, table[i].version);
        CHECK_INT(fault.error, table[i].error);
    }
}

TEST(history_length_is_not_sent_on)
{
    static const char body[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"SendMessage\",\"params\":{\"a\" : 1,\"configuration\":{\"x\":[ 1 ],"
        "\"historyLength\":2,\"y\":1.0},\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{}]}}}";
    struct buf out;

    CHECK_INT(read_request(body), 0);
    CHECK(request.has_history_length);
    CHECK_INT(request.history_length, 2);
    buf_init(&out, KB(4));
    CHECK_INT(
        a2a_request_write(&out, &(struct a2a_upstream){.version = A2A_1_0}, 42, &request, &why),
        0);
    CHECK_STR(
        buf_str(&out),
        STR("{\"jsonrpc\":\"2.0\",\"id\":42,\"method\":\"SendMessage\",\"params\":{\"a\":1,\"configuration\":{\"x\":[1],"
            "\"y\":1.0},\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{}]}}}"));
    buf_release(&out);
}

/* --- what is asked --- */

static int read_params(enum a2a_method method, enum a2a_version shape, const char *params)
{
    request = (struct a2a_request){
        .method = method, .version = shape, .shape = shape, .id = STR("1")};
    return a2a_params_read(str_of(params), &request, &fault);
}

#define MESSAGE_0_3                                                                            \
    "\"message\":{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":[{"     \
    "\"kind\":\"text\",\"text\":\"hi\"}]}"
#define MESSAGE_1_0                                                                            \
    "\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"hi\"}]}"

TEST(the_same_reader_with_and_without_an_envelope)
{
    static const char *const params[] = {
        "{" MESSAGE_0_3 ",\"configuration\":{\"historyLength\":3,\"blocking\":false}}",
        "{\"message\":7}", "[]", "{}", "{" MESSAGE_0_3 ",\"configuration\":1}"};

    for (size_t i = 0; i < sizeof params / sizeof *params; i++) {
        struct a2a_request whole;
        struct a2a_fault first;
        char body[1000];
        int err;

        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":%s}",
                 params[i]);
        err = a2a_request_read(str_of(body), STR_NONE, &whole, &first);
        CHECK_INT(read_params(A2A_SEND, A2A_0_3, params[i]), err);
        CHECK_INT(whole.shape, A2A_0_3);
        CHECK_INT(request.wait, whole.wait);
        CHECK_INT(request.history_length, whole.history_length);
        CHECK_STR(request.message, whole.message);
        if (err)
            CHECK_STR(str_of(fault.detail), str_of(first.detail));
    }
    request = (struct a2a_request){.method = A2A_GET};
    CHECK_INT(a2a_params_read(STR_NONE, &request, &fault), ERR_INVALID);
    CHECK_INT(read_params(A2A_GET, A2A_0_3, "{\"id\":\"a\",\"id\":\"b\"}"), ERR_INVALID);
}

TEST(roles)
{
    static const struct {
        const char *role;
        bool is_good;
    } table[] = {
        {"\"user\"", true}, {"\"ROLE_USER\"", true},         {"\"agent\"", true}, {"1", true},
        {"2", true},        {"\"us\\u0065r\"", true},        {"0", false},        {"3", false},
        {"null", false},    {"\"ROLE_UNSPECIFIED\"", false}, {"\"\"", false},     {"[]", false},
        {"\"bot\"", false},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char params[300];

        snprintf(params, sizeof params,
                 "{\"message\":{\"messageId\":\"m\",\"role\":%s,\"parts\":[{}]}}",
                 table[i].role);
        for (int v = A2A_0_3; v <= A2A_1_0; v++)
            CHECK_INT(read_params(A2A_SEND, (enum a2a_version)v, params),
                      table[i].is_good ? 0 : ERR_INVALID);
    }
}

TEST(how_long_a_caller_waits)
{
    static const struct {
        enum a2a_version shape;
        const char *configuration;
        int wait; /* -1: refused */
    } table[] = {
        {A2A_0_3, "{}", A2A_WAIT_AS_AGENT},
        {A2A_0_3, "null", A2A_WAIT_AS_AGENT},
        {A2A_0_3, "{\"blocking\":null}", A2A_WAIT_AS_AGENT},
        {A2A_0_3, "{\"blocking\":true}", A2A_WAIT_END},
        {A2A_0_3, "{\"blocking\":false}", A2A_WAIT_NOT},
        {A2A_0_3, "{\"blocking\":\"true\"}", -1},
        {A2A_0_3, "{\"returnImmediately\":true}", A2A_WAIT_NOT},
        {A2A_0_3, "{\"returnImmediately\":true,\"blocking\":true}", A2A_WAIT_END},
        {A2A_1_0, "{}", A2A_WAIT_END},
        {A2A_1_0, "null", A2A_WAIT_END},
        {A2A_1_0, "{\"returnImmediately\":true}", A2A_WAIT_NOT},
        {A2A_1_0, "{\"return_immediately\":true}", A2A_WAIT_NOT},
        {A2A_1_0, "{\"returnImmediately\":false}", A2A_WAIT_END},
        {A2A_1_0, "{\"returnImmediately\":1}", -1},
        {A2A_1_0, "{\"returnImmediately\":true,\"return_immediately\":true}", -1},
        {A2A_1_0, "{\"blocking\":false}", A2A_WAIT_NOT},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char params[300];
        int err;

        snprintf(params, sizeof params, "{" MESSAGE_1_0 ",\"configuration\":%s}",
                 table[i].configuration);
        err = read_params(A2A_SEND, table[i].shape, params);
        CHECK_INT(err, table[i].wait < 0 ? ERR_INVALID : 0);
        if (err)
            CHECK_INT(fault.error, A2A_ERROR_INVALID_PARAMS);
        else
            CHECK_INT(request.wait, table[i].wait);
    }
}

TEST(lists_are_asked_for)
{
    const struct a2a_list_query *q = &request.list;

    CHECK_INT(read_params(A2A_LIST, A2A_1_0, "{}"), 0);
    CHECK_INT(q->page_size, 50);
    CHECK(!q->has_state && !q->has_after && !q->include_artifacts && !q->page_token.p);
    request = (struct a2a_request){.method = A2A_LIST};
    CHECK_INT(a2a_params_read(STR_NONE, &request, &fault), 0);
    CHECK_INT(q->page_size, 50);
    CHECK_INT(
        read_params(A2A_LIST, A2A_1_0,
                    "{\"contextId\":\"c\",\"status\":\"TASK_STATE_WORKING\",\"pageSize\":\"7\","
                    "\"pageToken\":\"p\",\"historyLength\":2,\"includeArtifacts\":true,"
                    "\"statusTimestampAfter\":\"2026-01-02T03:04:05.678901+01:00\"}"),
        0);
    CHECK_STR(q->context_id, STR("\"c\""));
    CHECK_STR(q->page_token, STR("\"p\""));
    CHECK_INT(q->state, A2A_STATE_WORKING);
    CHECK(q->has_state && q->has_after && q->include_artifacts);
    CHECK_INT(q->after_us, 1767319445678901);
    CHECK_INT(q->page_size, 7);
    CHECK_INT(request.history_length, 2);
    CHECK_INT(
        read_params(
            A2A_LIST, A2A_0_3,
            "{\"context_id\":\"\",\"status\":\"unknown\",\"page_size\":100,\"page_token\":\"\","
            "\"history_length\":0,\"include_artifacts\":false,\"status_timestamp_after\":null}"),
        0);
    CHECK(!q->context_id.p && !q->page_token.p && q->has_state && !q->has_after);
    CHECK_INT(q->state, A2A_STATE_UNKNOWN);
    CHECK_INT(read_params(A2A_LIST, A2A_1_0, "{\"status\":0}"), 0);
    CHECK(!q->has_state);
    CHECK_INT(read_params(A2A_LIST, A2A_1_0, "{\"status\":8}"), 0);
    CHECK_INT(q->state, A2A_STATE_AUTH_REQUIRED);
    CHECK_INT(read_params(A2A_LIST, A2A_1_0,
                          "{\"statusTimestampAfter\":\"2026-01-02T03:04:05\\u002B00:00\"}"),
              0);
}

TEST(bad_lists)
{
    static const char *const bad[] = {
        "{\"pageSize\":0}",
        "{\"pageSize\":101}",
        "{\"pageSize\":-1}",
        "{\"pageSize\":1.5}",
        "{\"pageSize\":\"x\"}",
        "{\"pageSize\":true}",
        "{\"pageSize\":99999999999999999999}",
        "{\"pageToken\":5}",
        "{\"status\":\"paused\"}",
        "{\"status\":\"\"}",
        "{\"status\":9}",
        "{\"status\":{}}",
        "{\"statusTimestampAfter\":\"yesterday\"}",
        "{\"statusTimestampAfter\":\"\"}",
        "{\"statusTimestampAfter\":5}",
        "{\"includeArtifacts\":1}",
        "{\"includeArtifacts\":\"true\"}",
        "{\"contextId\":5}",
        "{\"historyLength\":-1}",
        "{\"contextId\":\"a\",\"context_id\":\"a\"}",
        "{\"pageSize\":1,\"page_size\":1}",
        "{\"\":\"x\"}",
        "[]",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_INT(read_params(A2A_LIST, A2A_1_0, bad[i]), ERR_INVALID);
        CHECK_INT(fault.error, A2A_ERROR_INVALID_PARAMS);
        CHECK(fault.detail[0] != '\0');
    }
}

/* --- what is answered --- */

static int read_reply(const char *body, enum a2a_version v, enum a2a_method m,
                      struct a2a_reply *reply)
{
    return a2a_reply_read(str_of(body), v, m, 5, reply, &fault);
}

TEST(replies)
{
    struct a2a_reply r;

    CHECK_INT(
        read_reply(
            "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"task\":{\"id\":\"t\",\"status\":{\"state\":1}}}}",
            A2A_1_0, A2A_SEND, &r),
        0);
    CHECK_INT(r.kind, A2A_REPLY_TASK);
    CHECK_STR(r.object, STR("{\"id\":\"t\",\"status\":{\"state\":1}}"));
    CHECK_INT(read_reply(
                  "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"parts\":[],\"role\":\"agent\"}}",
                  A2A_0_3, A2A_SEND, &r),
              0);
    CHECK_INT(r.kind, A2A_REPLY_MESSAGE);
    CHECK_INT(
        read_reply(
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"x\"}}",
            A2A_0_3, A2A_SEND, &r),
        0);
    CHECK_INT(r.error_code, -32700);
    CHECK_INT(
        read_reply(
            "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":null,\"result\":{\"kind\":\"message\"}}",
            A2A_0_3, A2A_SEND, &r),
        0);
    CHECK_INT(
        read_reply("{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"task\":{},\"message\":{}}}",
                   A2A_1_0, A2A_SEND, &r),
        ERR_INVALID);
    CHECK_INT(fault.error, A2A_ERROR_INVALID_AGENT_RESPONSE);
}

/* Every prefix and every single changed byte of a good reply is read without harm, and never as another task. */
TEST(broken_replies)
{
    static const char good[] =
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"kind\":\"task\",\"id\":\"t\",\"status\":"
        "{\"state\":\"completed\"}}}";
    struct a2a_reply r;
    char body[sizeof good];

    CHECK_INT(read_reply(good, A2A_0_3, A2A_SEND, &r), 0);
    for (size_t n = 0; n < sizeof good - 1; n++)
        CHECK(a2a_reply_read(str_make(good, n), A2A_0_3, A2A_SEND, 5, &r, &fault) != 0);
    for (size_t i = 0; i < sizeof good - 1; i++) {
        memcpy(body, good, sizeof good);
        body[i] = (char)(body[i] ^ 0x15);
        if (a2a_reply_read(str_make(body, sizeof good - 1), A2A_0_3, A2A_SEND, 5, &r, &fault) ==
            0)
            CHECK(r.kind == A2A_REPLY_TASK);
    }
}

/* Agents answer in forms that are not quite their version's. */
TEST(replies_in_the_wrong_form)
{
#define TASK "{\"id\":\"t\",\"status\":{\"state\":\"working\"}}"
    static const struct {
        enum a2a_version version;
        enum a2a_method method;
        const char *result;
        int kind; /* -1: refused */
    } table[] = {
        {A2A_1_0, A2A_SEND, TASK, A2A_REPLY_TASK},
        {A2A_1_0, A2A_SEND, "{\"role\":1,\"parts\":[]}", A2A_REPLY_MESSAGE},
        {A2A_0_3, A2A_SEND, "{\"task\":" TASK "}", A2A_REPLY_TASK},
        {A2A_0_3, A2A_SEND, "{\"message\":{\"parts\":[]}}", A2A_REPLY_MESSAGE},
        {A2A_1_0, A2A_GET, TASK, A2A_REPLY_TASK},
        {A2A_1_0, A2A_GET, "{\"task\":" TASK "}", A2A_REPLY_TASK},
        {A2A_0_3, A2A_CANCEL, TASK, A2A_REPLY_TASK},
        {A2A_1_0, A2A_CANCEL, "{\"task\":" TASK "}", A2A_REPLY_TASK},
        {A2A_1_0, A2A_GET, "{\"message\":{\"parts\":[]}}", -1},
        {A2A_1_0, A2A_GET, "{\"task\":7}", -1},
        {A2A_0_3, A2A_SEND, "{\"kind\":\"status-update\",\"status\":{}}", -1},
        {A2A_0_3, A2A_SEND, "null", -1},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct a2a_reply r;
        char body[300];
        int err;

        snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":%s}",
                 table[i].result);
        err = read_reply(body, table[i].version, table[i].method, &r);
        CHECK_INT(err, table[i].kind < 0 ? ERR_INVALID : 0);
        if (err)
            continue;
        CHECK_INT(r.kind, table[i].kind);
        if (r.kind == A2A_REPLY_TASK)
            CHECK_STR(r.object, STR(TASK));
    }
#undef TASK
}

/* What is stored must be called by the version in whose words it is, whatever the agent's card says. */
TEST(replies_in_the_other_versions_words)
{
#define BARE(state) "{\"id\":\"t\",\"status\":{\"state\":" state "}}"
#define KIND(state) "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":" state "}}"
    static const struct {
        enum a2a_method method;
        const char *result;
        int dialect; /* -1: the agent's */
    } table[] = {
        {A2A_SEND, "{\"task\":" BARE("\"TASK_STATE_WORKING\"") "}", A2A_1_0},
        {A2A_SEND, "{\"task\":" BARE("2") "}", A2A_1_0},
        {A2A_SEND, "{\"task\":" BARE("\"dreaming\"") "}", A2A_1_0},
        {A2A_SEND, "{\"message\":{\"role\":\"ROLE_AGENT\",\"parts\":[]}}", A2A_1_0},
        {A2A_SEND, KIND("\"working\""), A2A_0_3},
        {A2A_SEND, KIND("\"dreaming\""), A2A_0_3},
        {A2A_SEND, "{\"kind\":\"message\",\"role\":\"agent\",\"parts\":[]}", A2A_0_3},
        {A2A_SEND, "{\"parts\":[]}", -1},
        {A2A_GET, KIND("\"working\""), A2A_0_3},
        {A2A_GET, KIND("null"), A2A_0_3},
        {A2A_GET, BARE("\"input-required\""), A2A_0_3},
        {A2A_GET, BARE("\"TASK_STATE_COMPLETED\""), A2A_1_0},
        {A2A_CANCEL, BARE("\"TASK_STATE_OF_2_0\""), A2A_1_0},
        {A2A_CANCEL, BARE("5"), A2A_1_0},
        {A2A_CANCEL, BARE("\"canceled\""), A2A_0_3},
        {A2A_GET, BARE("\"dreaming\""), -1},
        {A2A_GET, BARE("null"), -1},
        {A2A_GET, "{\"task\":" BARE("\"dreaming\"") "}", A2A_1_0},
        /* half and half: the object counts for more than its wrapper */
        {A2A_SEND, "{\"task\":" KIND("\"working\"") "}", A2A_0_3},
        {A2A_SEND, KIND("\"TASK_STATE_WORKING\""), A2A_1_0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            struct a2a_reply r;
            char body[300];

            snprintf(body, sizeof body, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":%s}",
                     table[i].result);
            CHECK_INT(read_reply(body, (enum a2a_version)v, table[i].method, &r), 0);
            CHECK_INT(r.dialect, table[i].dialect < 0 ? v : table[i].dialect);
        }
    }
    for (int v = A2A_0_3; v <= A2A_1_0; v++) {
        struct a2a_reply r;

        CHECK_INT(read_reply("{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-32001,"
                             "\"message\":\"m\"}}",
                             (enum a2a_version)v, A2A_GET, &r),
                  0);
        CHECK_INT(r.dialect, v);
    }
#undef KIND
#undef BARE
}

/* history_length < 0: none given. */
static void check_answer(int64_t history, enum a2a_version stored, const char *object,
                         const char *want)
{
    struct a2a_result result = {.version = stored, .object = str_of(object)};
    struct buf out;

    request.has_history_length = history >= 0;
    request.history_length = history;
    buf_init(&out, KB(4));
    CHECK_INT(a2a_result_write(&out, &request, &result, &why), 0);
    CHECK_STR(buf_str(&out), str_of(want));
    buf_release(&out);
}

TEST(answers)
{
    static const char task[] = "{\"id\":\"t\",\"history\":[1,2,3]}";
    struct a2a_result result = {.version = A2A_0_3, .object = str_of(task)};
    struct buf head, tail;

    request = (struct a2a_request){.method = A2A_SEND, .version = A2A_1_0, .id = STR("9")};
    check_answer(
        -1, A2A_1_0, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\",\"history\":[1,2,3]}}}");
    check_answer(
        2, A2A_1_0, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\",\"history\":[2,3]}}}");
    check_answer(0, A2A_1_0, task,
                 "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\"}}}");
    request.version = A2A_0_3;
    check_answer(
        9, A2A_0_3, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"id\":\"t\",\"history\":[1,2,3]}}");
    request.has_history_length = false;
    buf_init(&head, KB(1));
    buf_init(&tail, KB(1));
    CHECK(a2a_result_frame(&head, &tail, &request, &result));
    CHECK_STR(buf_str(&head), STR("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":"));
    CHECK_STR(buf_str(&tail), STR("}"));
    request.has_history_length = true;
    CHECK(!a2a_result_frame(&head, &tail, &request, &result));
    result.kind = A2A_REPLY_MESSAGE;
    CHECK(a2a_result_frame(&head, &tail, &request, &result));
    result.version = A2A_1_0;
    CHECK(!a2a_result_frame(&head, &tail, &request, &result));
    buf_release(&head);
    buf_release(&tail);
}

#define HISTORY_0_3                                                                            \
    "{\"kind\":\"message\",\"messageId\":\"1\"},{\"kind\":\"message\",\"messageId\":\"2\"}"

TEST(answers_in_the_other_version)
{
    static const char task[] =
        "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"working\"},\"history\":"
        "[" HISTORY_0_3 "]}";

    request = (struct a2a_request){.method = A2A_SEND, .version = A2A_1_0, .id = STR("9")};
    check_answer(1, A2A_0_3, task,
                 "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\",\"status\":"
                 "{\"state\":\"TASK_STATE_WORKING\"},\"history\":[{\"messageId\":\"2\"}]}}}");
    request.method = A2A_GET;
    check_answer(0, A2A_0_3, task,
                 "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"id\":\"t\",\"status\":"
                 "{\"state\":\"TASK_STATE_WORKING\"}}}");
}

static void check_listed(const struct a2a_result *result, const char *want)
{
    struct buf out;

    buf_init(&out, KB(4));
    CHECK_INT(a2a_result_write_listed(&out, &request, result, &why), 0);
    CHECK_STR(buf_str(&out), str_of(want));
    buf_release(&out);
}

TEST(one_of_a_list)
{
    struct a2a_result result = {
        .version = A2A_1_0,
        .object = STR("{\"id\":\"t\",\"artifacts\":[{\"artifactId\":\"a\"}],\"history\":"
                      "[{\"messageId\":\"1\"},{\"messageId\":\"2\"}]}"),
        .context = STR("c")};

    request = (struct a2a_request){.method = A2A_LIST, .version = A2A_1_0, .id = STR("9")};
    check_listed(&result, "{\"id\":\"t\"}");
    request.list.include_artifacts = true;
    request.has_history_length = true;
    request.history_length = 1;
    check_listed(&result, "{\"id\":\"t\",\"artifacts\":[{\"artifactId\":\"a\"}],\"history\":"
                          "[{\"messageId\":\"2\"}]}");
    request.version = A2A_0_3;
    check_listed(
        &result,
        "{\"kind\":\"task\",\"id\":\"t\",\"artifacts\":[{\"artifactId\":\"a\"}],"
        "\"history\":[{\"kind\":\"message\",\"messageId\":\"2\"}],\"contextId\":\"c\"}");
    request = (struct a2a_request){.method = A2A_LIST, .version = A2A_0_3, .id = STR("9")};
    check_listed(&result, "{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\"}");
}

TEST(an_object_that_cannot_be_said)
{
    struct a2a_result result = {.version = A2A_1_0,
                                .kind = A2A_REPLY_MESSAGE,
                                .object = STR("{\"parts\":[{\"text\":\"a\",\"raw\":\"b\"}]}")};
    struct buf out;

    request = (struct a2a_request){.method = A2A_SEND, .version = A2A_0_3, .id = STR("9")};
    buf_init(&out, KB(1));
    CHECK_INT(a2a_result_write(&out, &request, &result, &why), ERR_INVALID);
    CHECK_STR(str_of(why), STR("a part has more than one content"));
    buf_release(&out);
}

/* --- errors --- */

TEST(codes_find_their_rows)
{
    for (int e = 0; e < A2A_ERROR_MAX; e++) {
        const struct a2a_error_row *row = a2a_error_row((enum a2a_error)e);

        CHECK(a2a_error_by_code(row->code) == row);
    }
    CHECK(!a2a_error_by_code(0));
    CHECK(!a2a_error_by_code(-32099));
}

static void check_error(enum a2a_version version, bool is_rpc, const char *want)
{
    struct buf out;

    buf_init(&out, KB(4));
    if (is_rpc)
        a2a_error_write_rpc(&out, version, STR("1"), &fault);
    else
        a2a_error_write(&out, version, STR("1"), &fault);
    CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    CHECK_STR(json_get(buf_str(&out), "error"), str_of(want));
    buf_release(&out);
}

#define INFO(reason, domain)                                                                   \
    "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"" reason             \
    "\",\"domain\":\"" domain "\""

TEST(our_errors_on_rpc)
{
    a2a_fault_set(&fault, A2A_ERROR_TASK_NOT_FOUND, "no t");
    check_error(A2A_0_3, true,
                "{\"code\":-32001,\"message\":\"Task not found: no t\",\"data\":{\"reason\":"
                "\"TASK_NOT_FOUND\",\"superxCode\":-32004}}");
    check_error(
        A2A_1_0, true,
        "{\"code\":-32001,\"message\":\"Task not found: no t\",\"data\":[" INFO(
            "TASK_NOT_FOUND",
            "a2a-protocol.org") ",\"metadata\":{\"detail\":\"no t\",\"superxCode\":\"-32004\"}}]}");
    a2a_fault_set(&fault, A2A_ERROR_UNSUPPORTED, "%s", "");
    check_error(A2A_0_3, true,
                "{\"code\":-32004,\"message\":\"This operation is not supported\",\"data\":"
                "{\"reason\":\"UNSUPPORTED_OPERATION\"}}");
    check_error(
        A2A_1_0, true,
        "{\"code\":-32004,\"message\":\"This operation is not supported\",\"data\":[" INFO(
            "UNSUPPORTED_OPERATION", "a2a-protocol.org") "}]}");
    a2a_fault_set(&fault, A2A_ERROR_FORBIDDEN, "%s", "");
    check_error(A2A_1_0, false,
                "{\"code\":-31010,\"message\":\"Not allowed\",\"data\":[" INFO(
                    "FORBIDDEN", "superx.gateway") "}]}");
}

static void agent_says(enum a2a_version version, const char *error)
{
    a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "agent");
    fault.agent_error = str_of(error);
    fault.agent_version = version;
}

TEST(errors_of_agents)
{
    agent_says(A2A_0_3, "{\"code\": -32001, \"message\":\"m\",\"x\":1}");
    check_error(A2A_0_3, false, "{\"code\":-32001,\"message\":\"m\",\"x\":1}");
    check_error(A2A_1_0, false,
                "{\"code\":-32001,\"message\":\"m\",\"x\":1,\"data\":[" INFO(
                    "TASK_NOT_FOUND", "a2a-protocol.org") "}]}");
    check_error(A2A_0_3, true,
                "{\"code\":-32001,\"message\":\"m\",\"x\":1,\"data\":{\"superxCode\":-32001}}");

    agent_says(A2A_0_3, "{\"code\":7,\"message\":\"m\",\"data\":{\"a\":\"b\",\"n\":[1]}}");
    check_error(A2A_1_0, false,
                "{\"code\":7,\"message\":\"m\",\"data\":[" INFO(
                    "AGENT_ERROR", "agent") ",\"metadata\":{\"a\":\"b\",\"n\":\"[1]\"}}]}");
    check_error(
        A2A_0_3, true,
        "{\"code\":7,\"message\":\"m\",\"data\":{\"a\":\"b\",\"n\":[1],\"superxCode\":7}}");
    check_error(
        A2A_1_0, true,
        "{\"code\":7,\"message\":\"m\",\"data\":[" INFO(
            "AGENT_ERROR",
            "agent") ",\"metadata\":{\"a\":\"b\",\"n\":\"[1]\",\"superxCode\":\"7\"}}]}");

    agent_says(A2A_0_3, "{\"code\":7,\"data\":\"why\",\"message\":\"m\"}");
    check_error(A2A_0_3, true,
                "{\"code\":7,\"message\":\"m\",\"data\":{\"superxCode\":7,\"data\":\"why\"}}");
    check_error(A2A_1_0, false,
                "{\"code\":7,\"message\":\"m\",\"data\":[" INFO(
                    "AGENT_ERROR", "agent") ",\"metadata\":{\"data\":\"why\"}}]}");

    agent_says(A2A_1_0, "{\"code\":7,\"message\":\"m\",\"data\":[{\"@type\":\"t\"}]}");
    check_error(A2A_0_3, false, "{\"code\":7,\"message\":\"m\",\"data\":[{\"@type\":\"t\"}]}");
    check_error(A2A_1_0, true,
                "{\"code\":7,\"message\":\"m\",\"data\":[{\"@type\":\"t\"}," INFO(
                    "AGENT_ERROR", "agent") ",\"metadata\":{\"superxCode\":\"7\"}}]}");
}

/* Who reads our reason and domain may believe that the gateway refused him. */
TEST(an_agent_does_not_speak_for_the_gateway)
{
    static const int ours[] = {-31001, -31008, -31010, -31011, -31999};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        char error[100], want[300];

        snprintf(error, sizeof error, "{\"code\":%d,\"message\":\"m\"}", ours[i]);
        agent_says(A2A_0_3, error);
        snprintf(want, sizeof want,
                 "{\"code\":%d,\"message\":\"m\",\"data\":[" INFO("AGENT_ERROR", "agent") "}]}",
                 ours[i]);
        check_error(A2A_1_0, false, want);
        snprintf(want, sizeof want,
                 "{\"code\":%d,\"message\":\"m\",\"data\":[" INFO(
                     "AGENT_ERROR", "agent") ",\"metadata\":{\"superxCode\":\"%d\"}}]}",
                 ours[i], ours[i]);
        check_error(A2A_1_0, true, want);
    }
}

/* No code of the table is taken for an agent's own, or the other way round. */
TEST(our_codes_are_in_our_range)
{
    for (int e = 0; e < A2A_ERROR_MAX; e++) {
        int code = a2a_error_row((enum a2a_error)e)->code;

        CHECK(code <= -32001 || (code <= -31001 && code >= -31999));
    }
}

TEST(errors_are_json_in_both_dialects)
{
    static const struct json_want wants[] = {{NULL, -1, NULL}};
    struct json_fault jf;
    struct buf out;

    buf_init(&out, KB(8));
    for (int e = 0; e < A2A_ERROR_MAX; e++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            int64_t code;

            a2a_fault_set(&fault, (enum a2a_error)e, "because of \"%s\"\n", "\xc3\xa9");
            buf_clear(&out);
            a2a_error_write(&out, (enum a2a_version)v, STR("\"i\""), &fault);
            CHECK_INT(json_scan(buf_str(&out), wants, NULL, 0, &jf), 0);
            CHECK_INT(json_to_i64(json_get(json_get(buf_str(&out), "error"), "code"), &code),
                      0);
            CHECK_INT(code, a2a_error_row((enum a2a_error)e)->code);
        }
    }
    buf_release(&out);
}

TEST(a_long_detail_is_cut_between_characters)
{
    char text[400];

    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "%s", text);
        CHECK(str_is_utf8(str_of(fault.detail)));
        CHECK(strlen(fault.detail) > 250);
    }
}

TEST_MAIN
