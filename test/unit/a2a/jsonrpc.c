/* SPDX-License-Identifier: MIT
 *
 * Tables and the JSON-RPC codec: requests read and written, replies read, answers written.
 */
#include "check.h"

#include <stdio.h>

#include "a2a/a2a.h"

static struct a2a_request request;
static struct a2a_fault fault;

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
    a2a_request_write(&out, A2A_1_0, A2A_SEND, 42, &request);
    CHECK_STR(
        buf_str(&out),
        STR("{\"jsonrpc\":\"2.0\",\"id\":42,\"method\":\"SendMessage\",\"params\":{\"a\":1,\"configuration\":{\"x\":[1],"
            "\"y\":1.0},\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{}]}}}"));
    buf_release(&out);
}

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

static void check_answer(int64_t history, const char *object, const char *want)
{
    struct buf out;

    buf_init(&out, KB(4));
    a2a_result_write(&out, &request, A2A_REPLY_TASK, str_of(object), history);
    CHECK_STR(buf_str(&out), str_of(want));
    buf_release(&out);
}

TEST(answers)
{
    static const char task[] = "{\"id\":\"t\",\"history\":[1,2,3]}";
    struct buf head, tail;

    request = (struct a2a_request){.method = A2A_SEND, .version = A2A_1_0, .id = STR("9")};
    check_answer(
        -1, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\",\"history\":[1,2,3]}}}");
    check_answer(
        2, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\",\"history\":[2,3]}}}");
    check_answer(0, task,
                 "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"task\":{\"id\":\"t\"}}}");
    request.version = A2A_0_3;
    check_answer(
        9, task,
        "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"id\":\"t\",\"history\":[1,2,3]}}");
    buf_init(&head, KB(1));
    buf_init(&tail, KB(1));
    CHECK(a2a_result_frame(&head, &tail, &request, A2A_REPLY_TASK, -1));
    CHECK_STR(buf_str(&head), STR("{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":"));
    CHECK_STR(buf_str(&tail), STR("}"));
    CHECK(!a2a_result_frame(&head, &tail, &request, A2A_REPLY_TASK, 0));
    buf_release(&head);
    buf_release(&tail);
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
