/* SPDX-License-Identifier: MIT
 *
 * What goes on to an agent: a caller's request in the agent's version, said as he asked, as a stream or as a send that
 * does not wait; and what the gateway asks on its own behalf.
 */
#include "check.h"

#include <stdio.h>

#include "a2a/a2a.h"

static struct a2a_request request;
static struct a2a_fault fault;
static const char *why;

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

static void check_upstream(const struct a2a_upstream *to, const char *want)
{
    struct str head, rest;
    struct buf out;
    int err;

    buf_init(&out, KB(8));
    err = a2a_request_write(&out, to, 1, &request, &why);
    rest = buf_str(&out);
    if (!want) {
        CHECK_INT(err, ERR_INVALID);
    } else {
        CHECK_INT(err, 0);
        CHECK_INT(json_scan(rest, NULL, NULL, 0, NULL), 0);
        head = str_of(want);
        CHECK_STR(json_get(rest, "params"), head);
    }
    buf_release(&out);
}

TEST(what_an_agent_of_the_same_version_gets)
{
    struct a2a_upstream to = {.version = A2A_1_0};

    CHECK_INT(
        read_params(
            A2A_SEND, A2A_1_0,
            "{\"tenant\":\"mine\", \"x\":[1.0], \"message\":{\"messageId\":\"m\",\"contextId\":\"c\","
            "\"role\":1,\"parts\":[{}],\"y\":null},\"configuration\":{\"history_length\":1,"
            "\"taskPushNotificationConfig\":{\"url\":\"u\"},\"returnImmediately\":true,\"z\":2},"
            "\"metadata\":{\"k\":1e400}}"),
        0);
    CHECK_STR(request.push_config, STR("{\"url\":\"u\"}"));
    check_upstream(
        &to,
        "{\"x\":[1.0],\"message\":{\"messageId\":\"m\",\"contextId\":\"c\",\"role\":1,"
        "\"parts\":[{}],\"y\":null},\"configuration\":{\"returnImmediately\":true,\"z\":2},"
        "\"metadata\":{\"k\":1e400}}");
    to.tenant = STR("t\"1");
    to.drop_context = true;
    check_upstream(&to,
                   "{\"x\":[1.0],\"message\":{\"messageId\":\"m\",\"role\":1,\"parts\":[{}],"
                   "\"y\":null},\"configuration\":{\"returnImmediately\":true,\"z\":2},"
                   "\"metadata\":{\"k\":1e400},\"tenant\":\"t\\\"1\"}");
    to.tenant = STR_NONE;
    to.drop_context = false;
    to.add_context = STR("new");
    check_upstream(
        &to, "{\"x\":[1.0],\"message\":{\"messageId\":\"m\",\"role\":1,\"parts\":[{}],"
             "\"y\":null,\"contextId\":\"new\"},\"configuration\":{\"returnImmediately\":true,"
             "\"z\":2},\"metadata\":{\"k\":1e400}}");
}

TEST(what_an_agent_of_the_other_version_gets)
{
    struct a2a_upstream up = {.version = A2A_1_0}, down = {.version = A2A_0_3};

    CHECK_INT(read_params(A2A_SEND, A2A_0_3,
                          "{\"tenant\":\"mine\",\"x\":1," MESSAGE_0_3
                          ",\"metadata\":{\"n\":1.50},\"configuration\":{\"blocking\":false,"
                          "\"acceptedOutputModes\":[\"a/b\"],\"z\":2,\"historyLength\":4,"
                          "\"pushNotificationConfig\":{\"url\":\"u\"}}}"),
              0);
    check_upstream(&up, "{" MESSAGE_1_0 ",\"metadata\":{\"n\":1.50},\"configuration\":"
                        "{\"acceptedOutputModes\":[\"a/b\"],\"returnImmediately\":true}}");
    up.tenant = STR("t");
    up.add_context = STR("c");
    check_upstream(
        &up,
        "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":[{\"text\":"
        "\"hi\"}],\"contextId\":\"c\"},\"metadata\":{\"n\":1.50},\"configuration\":"
        "{\"acceptedOutputModes\":[\"a/b\"],\"returnImmediately\":true},\"tenant\":\"t\"}");
    up = (struct a2a_upstream){.version = A2A_1_0};
    CHECK_INT(read_params(A2A_SEND, A2A_0_3, "{" MESSAGE_0_3 "}"), 0);
    check_upstream(&up, "{" MESSAGE_1_0 "}");
    CHECK_INT(read_params(A2A_SEND, A2A_0_3, "{" MESSAGE_0_3 ",\"configuration\":{}}"), 0);
    check_upstream(&up, "{" MESSAGE_1_0 ",\"configuration\":{}}");
    CHECK_INT(read_params(A2A_SEND, A2A_0_3,
                          "{" MESSAGE_0_3 ",\"configuration\":{\"blocking\":true}}"),
              0);
    check_upstream(&up, "{" MESSAGE_1_0 ",\"configuration\":{\"returnImmediately\":false}}");

    CHECK_INT(read_params(A2A_SEND, A2A_1_0, "{" MESSAGE_1_0 ",\"metadata\":null}"), 0);
    check_upstream(&down, "{" MESSAGE_0_3 ",\"configuration\":{\"blocking\":true}}");
    CHECK_INT(read_params(A2A_SEND, A2A_1_0,
                          "{" MESSAGE_1_0 ",\"configuration\":{\"returnImmediately\":true,"
                          "\"accepted_output_modes\":[]}}"),
              0);
    check_upstream(&down,
                   "{" MESSAGE_0_3
                   ",\"configuration\":{\"acceptedOutputModes\":[],\"blocking\":false}}");
    down.tenant = STR("not in 0.3");
    check_upstream(&down,
                   "{" MESSAGE_0_3
                   ",\"configuration\":{\"acceptedOutputModes\":[],\"blocking\":false}}");
    CHECK_INT(read_params(A2A_SEND, A2A_1_0,
                          "{\"message\":{\"messageId\":\"m\",\"role\":1,\"parts\":[{}]}}"),
              0);
    check_upstream(&down, NULL);
    CHECK(strstr(why, "content"));
}

/* ProtoJSON writes a string that is not set as the empty one. */
TEST(empty_ids_are_no_ids)
{
#define SAID(ids, role, part)                                                                  \
    "{\"message\":{\"messageId\":\"m\"," ids "\"role\":\"" role "\",\"parts\":[{" part "}]}}"
#define EMPTY "\"taskId\":\"\",\"contextId\":\"\","
    static const char same[] = SAID(EMPTY, "ROLE_USER", "\"text\":\"hi\"");
    struct a2a_upstream up = {.version = A2A_1_0}, down = {.version = A2A_0_3};

    CHECK_INT(read_params(A2A_SEND, A2A_1_0,
                          SAID("\"task_id\":\"\",\"context_id\":\"\",", "user", "")),
              0);
    CHECK(!request.task_id.p && !request.message_context.p);
    CHECK_INT(read_params(A2A_SEND, A2A_1_0, SAID("\"taskId\":7,", "user", "")), ERR_INVALID);

    CHECK_INT(read_params(A2A_SEND, A2A_1_0, same), 0);
    CHECK(!request.task_id.p && !request.message_context.p);
    check_upstream(&up, same);
    check_upstream(&down, "{" MESSAGE_0_3 ",\"configuration\":{\"blocking\":true}}");
    up.add_context = down.add_context = STR("c");
    check_upstream(&up,
                   "{\"message\":{\"messageId\":\"m\",\"taskId\":\"\",\"role\":\"ROLE_USER\","
                   "\"parts\":[{\"text\":\"hi\"}],\"contextId\":\"c\"}}");
    check_upstream(&down,
                   "{\"message\":{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\","
                   "\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}],\"contextId\":\"c\"},"
                   "\"configuration\":{\"blocking\":true}}");
    CHECK_INT(read_params(A2A_SEND, A2A_0_3,
                          SAID(EMPTY, "user", "\"kind\":\"text\",\"text\":\"hi\"")),
              0);
    check_upstream(&up, "{\"message\":{\"messageId\":\"m\",\"role\":\"ROLE_USER\","
                        "\"parts\":[{\"text\":\"hi\"}],\"contextId\":\"c\"}}");
#undef EMPTY
#undef SAID
}

TEST(tasks_are_asked_for)
{
    struct a2a_upstream to = {.version = A2A_1_0, .tenant = STR("t")};
    struct buf out;

    CHECK_INT(
        read_params(A2A_CANCEL, A2A_0_3, "{\"id\":\"x\",\"y\":1,\"metadata\":{\"k\": 2}}"), 0);
    check_upstream(&to, "{\"id\":\"x\",\"metadata\":{\"k\":2},\"tenant\":\"t\"}");
    to.version = A2A_0_3;
    check_upstream(&to, "{\"id\":\"x\",\"y\":1,\"metadata\":{\"k\":2}}");
    buf_init(&out, KB(1));
    a2a_request_write_task(&out, &to, A2A_CANCEL, 3, STR("a\"b"));
    CHECK_STR(buf_str(&out), STR("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tasks/cancel\","
                                 "\"params\":{\"id\":\"a\\\"b\"}}"));
    buf_clear(&out);
    to.version = A2A_1_0;
    a2a_request_write_task(&out, &to, A2A_GET, 3, STR("a"));
    CHECK_STR(buf_str(&out), STR("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"GetTask\","
                                 "\"params\":{\"id\":\"a\",\"tenant\":\"t\"}}"));
    buf_release(&out);
}

static void check_said(struct a2a_upstream to, const char *method, const char *params)
{
    struct buf out;

    buf_init(&out, KB(8));
    CHECK_INT(a2a_request_write(&out, &to, 1, &request, &why), 0);
    CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    CHECK(json_string_is(json_get(buf_str(&out), "method"), str_of(method)));
    CHECK_STR(json_get(buf_str(&out), "params"), str_of(params));
    buf_release(&out);
}

TEST(a_send_is_said_as_a_stream)
{
    struct a2a_upstream up = {.version = A2A_1_0, .saying = A2A_SAY_STREAM};
    struct a2a_upstream down = {.version = A2A_0_3, .saying = A2A_SAY_STREAM};
    static const enum a2a_method methods[] = {A2A_SEND, A2A_STREAM};

    for (size_t i = 0; i < 2; i++) {
        up.saying = down.saying = methods[i] == A2A_SEND ? A2A_SAY_STREAM : A2A_SAY_AS_ASKED;
        CHECK_INT(read_params(methods[i], A2A_0_3,
                              "{" MESSAGE_0_3
                              ",\"configuration\":{\"blocking\":true,\"x\":1}}"),
                  0);
        check_said(down, "message/stream",
                   "{" MESSAGE_0_3 ",\"configuration\":{\"blocking\":true,\"x\":1}}");
        check_said(up, "SendStreamingMessage", "{" MESSAGE_1_0 ",\"configuration\":{}}");
        CHECK_INT(read_params(methods[i], A2A_1_0, "{" MESSAGE_1_0 "}"), 0);
        check_said(up, "SendStreamingMessage", "{" MESSAGE_1_0 "}");
        check_said(down, "message/stream", "{" MESSAGE_0_3 "}");
    }
    /* what is no message is said as it is */
    CHECK_INT(read_params(A2A_CANCEL, A2A_0_3, "{\"id\":\"t\"}"), 0);
    up.saying = A2A_SAY_STREAM;
    check_said(up, "CancelTask", "{\"id\":\"t\"}");
    up.saying = A2A_SAY_SEND_NO_WAIT;
    check_said(up, "CancelTask", "{\"id\":\"t\"}");
}

TEST(a_message_is_sent_without_waiting)
{
#define OLD(configuration) "{" MESSAGE_0_3 ",\"configuration\":" configuration "}"
#define NOW(configuration) "{" MESSAGE_1_0 ",\"configuration\":" configuration "}"
    static const struct {
        enum a2a_version shape;
        const char *params, *down, *up;
    } table[] = {
        {A2A_0_3, "{" MESSAGE_0_3 "}", OLD("{\"blocking\":false}"),
         NOW("{\"returnImmediately\":true}")},
        {A2A_0_3, OLD("null"), OLD("{\"blocking\":false}"),
         NOW("{\"returnImmediately\":true}")},
        {A2A_0_3,
         OLD("{\"blocking\":true,\"historyLength\":3,\"acceptedOutputModes\":[],\"x\":1}"),
         OLD("{\"acceptedOutputModes\":[],\"x\":1,\"blocking\":false}"),
         NOW("{\"acceptedOutputModes\":[],\"returnImmediately\":true}")},
        {A2A_1_0, "{" MESSAGE_1_0 "}", OLD("{\"blocking\":false}"),
         NOW("{\"returnImmediately\":true}")},
        {A2A_1_0, NOW("{\"return_immediately\":false,\"blocking\":true}"),
         OLD("{\"blocking\":false}"), NOW("{\"returnImmediately\":true}")},
        {A2A_1_0, NOW("{\"returnImmediately\":false,\"y\":2}"), OLD("{\"blocking\":false}"),
         NOW("{\"y\":2,\"returnImmediately\":true}")},
    };
    struct a2a_upstream up = {.version = A2A_1_0, .saying = A2A_SAY_SEND_NO_WAIT};
    struct a2a_upstream down = {.version = A2A_0_3, .saying = A2A_SAY_SEND_NO_WAIT};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int m = A2A_SEND; m <= A2A_STREAM; m++) {
            CHECK_INT(read_params((enum a2a_method)m, table[i].shape, table[i].params), 0);
            check_said(down, "message/send", table[i].down);
            check_said(up, "SendMessage", table[i].up);
        }
    }
#undef OLD
#undef NOW
}

TEST(streams_are_attached_to)
{
    static const struct {
        const char *method;
        enum a2a_version version;
    } table[] = {
        {"tasks/resubscribe", A2A_0_3},
        {"tasks/subscribe", A2A_0_3},
        {"SubscribeToTask", A2A_1_0},
        {"TaskSubscription", A2A_1_0},
    };
    struct a2a_upstream to = {.version = A2A_0_3, .tenant = STR("n")};
    struct buf out;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char body[200];

        snprintf(body, sizeof body,
                 "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"id\":\"t\","
                 "\"historyLength\":2,\"metadata\":{}}}",
                 table[i].method);
        CHECK_INT(a2a_request_read(str_of(body), STR_NONE, &request, &fault), 0);
        CHECK_INT(request.method, A2A_SUBSCRIBE);
        CHECK_INT(request.version, table[i].version);
        CHECK_STR(request.task_id, STR("\"t\""));
        CHECK(request.has_history_length);
        CHECK_INT(request.history_length, 2);
    }
    CHECK_INT(read_params(A2A_SUBSCRIBE, A2A_1_0, "{}"), ERR_INVALID);
    CHECK_INT(read_params(A2A_SUBSCRIBE, A2A_1_0, "{\"id\":7}"), ERR_INVALID);
    CHECK_INT(read_params(A2A_STREAM, A2A_1_0,
                          "{" MESSAGE_1_0 ",\"configuration\":{\"history_length\":0}}"),
              0);
    CHECK(request.has_history_length);
    CHECK_INT(request.history_length, 0);
    CHECK_INT(read_params(A2A_STREAM, A2A_0_3, "{}"), ERR_INVALID);

    buf_init(&out, KB(1));
    a2a_request_write_task(&out, &to, A2A_SUBSCRIBE, 3, STR("t"));
    CHECK_STR(buf_str(&out),
              STR("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"tasks/resubscribe\","
                  "\"params\":{\"id\":\"t\"}}"));
    buf_clear(&out);
    to.version = A2A_1_0;
    a2a_request_write_task(&out, &to, A2A_SUBSCRIBE, 3, STR("t"));
    CHECK_STR(buf_str(&out), STR("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"SubscribeToTask\","
                                 "\"params\":{\"id\":\"t\",\"tenant\":\"n\"}}"));
    buf_release(&out);
}

TEST(only_the_message_for_the_log)
{
    struct a2a_upstream to = {.version = A2A_1_0, .add_context = STR("c")};
    struct buf out;

    CHECK_INT(read_params(A2A_SEND, A2A_0_3, "{" MESSAGE_0_3 "}"), 0);
    buf_init(&out, KB(1));
    CHECK_INT(a2a_request_write_message(&out, &to, &request, &why), 0);
    CHECK_STR(buf_str(&out), STR("{\"messageId\":\"m\",\"role\":\"ROLE_USER\",\"parts\":"
                                 "[{\"text\":\"hi\"}],\"contextId\":\"c\"}"));
    buf_release(&out);
}

TEST_MAIN
