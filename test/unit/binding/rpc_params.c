/* SPDX-License-Identifier: MIT
 *
 * Parameters of /rpc: every spelling becomes A2A's, what is contradictory is refused by its words, and what is not
 * ours travels on as it came.
 */
#include "check.h"

#include "binding/rpc_int.h"

static struct buf out;
static struct str agent;
static struct a2a_request request;
static struct a2a_fault fault;
static struct str webhook;

/* Reads params of `method`; what was written, or "" after an error. */
static struct str read_as(enum a2a_method method, const char *params)
{
    buf_release(&out);
    buf_init(&out, MB(1));
    agent = webhook = STR_NONE;
    fault = (struct a2a_fault){0};
    request = (struct a2a_request){.method = method, .version = A2A_0_3};
    if (json_scan(str_of(params), NULL, NULL, 0, NULL))
        abort();
    if (rpc_params_write(&out, str_of(params), &request, &agent, &webhook, &fault))
        return STR("");
    CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    return buf_str(&out);
}

static struct str read_agent_params(const char *params, struct str *id)
{
    buf_release(&out);
    buf_init(&out, MB(1));
    *id = STR_NONE;
    fault = (struct a2a_fault){0};
    if (json_scan(str_of(params), NULL, NULL, 0, NULL))
        abort();
    if (rpc_params_write_agent(&out, str_of(params), id, &fault))
        return STR("");
    return buf_str(&out);
}

static void check_refused(enum a2a_method method, const char *params, enum a2a_error error,
                          const char *words)
{
    CHECK_STR(read_as(method, params), STR(""));
    CHECK_INT(fault.error, error);
    if (!strstr(fault.detail, words)) {
        printf("    %s: \"%s\" lacks \"%s\"\n", params, fault.detail, words);
        test_failures++;
    }
}

#define MESSAGE "{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[]}"

TEST(a_task_in_every_spelling)
{
    static const char *const spellings[] = {"taskId", "task_id", "id"};
    static const char *const agents[] = {"agentId", "agent_id", "agent"};
    char params[128];

    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            snprintf(params, sizeof params, "{\"%s\":\"t 1\",\"%s\":\"weather\"}", spellings[i],
                     agents[j]);
            CHECK_STR(read_as(A2A_GET, params), STR("{\"id\":\"t 1\"}"));
            CHECK_STR(agent, STR("weather"));
        }
    }
    CHECK_STR(read_as(A2A_GET, "{\"id\":\"t\",\"history_length\":2,\"x\":1}"),
              STR("{\"id\":\"t\",\"historyLength\":2}"));
    CHECK_STR(agent, STR_NONE);
    CHECK_STR(read_as(A2A_CANCEL, "{\"taskId\":\"t\",\"agentId\":null,\"metadata\":{\"a\":1}}"),
              STR("{\"id\":\"t\",\"metadata\":{\"a\":1}}"));
    CHECK_STR(agent, STR_NONE);
}

TEST(what_contradicts_itself_is_refused)
{
    check_refused(A2A_GET, "{\"id\":\"a\",\"taskId\":\"b\"}", A2A_ERROR_INVALID_PARAMS,
                  "given twice");
    check_refused(A2A_GET, "{\"agent\":\"a\",\"agentId\":\"a\",\"id\":\"t\"}",
                  A2A_ERROR_INVALID_PARAMS, "given twice");
    check_refused(A2A_GET, "{\"id\":\"a\",\"i\\u0064\":\"b\"}", A2A_ERROR_INVALID_PARAMS,
                  "given twice");
    check_refused(A2A_LIST, "{\"limit\":1,\"pageSize\":2}", A2A_ERROR_INVALID_PARAMS,
                  "given twice");
    check_refused(A2A_SEND, "{\"agent\":\"a\",\"taskId\":\"t\",\"message\":{\"taskId\":\"u\"}}",
                  A2A_ERROR_INVALID_PARAMS, "are different");
    check_refused(A2A_SEND,
                  "{\"agent\":\"a\",\"contextId\":\"t\",\"message\":{\"context_id\":\"u\"}}",
                  A2A_ERROR_INVALID_PARAMS, "are different");
}

TEST(what_is_missing_is_named)
{
    check_refused(A2A_GET, "{}", A2A_ERROR_INVALID_PARAMS, "taskId is required");
    check_refused(A2A_GET, "{\"taskId\":null}", A2A_ERROR_INVALID_PARAMS, "taskId is required");
    check_refused(A2A_SEND, "{\"message\":" MESSAGE "}", A2A_ERROR_INVALID_PARAMS,
                  "agentId is required");
    check_refused(A2A_SEND, "{\"agentId\":\"a\"}", A2A_ERROR_INVALID_PARAMS, "params.message");
    check_refused(A2A_SEND, "{\"agentId\":\"a\",\"message\":\"hi\"}", A2A_ERROR_INVALID_PARAMS,
                  "params.message");
    check_refused(A2A_SEND, "{\"agentId\":7,\"message\":" MESSAGE "}", A2A_ERROR_INVALID_PARAMS,
                  "agent's id");
    check_refused(A2A_SEND, "{\"agentId\":\"\",\"message\":" MESSAGE "}",
                  A2A_ERROR_INVALID_PARAMS, "agent's id");
    check_refused(A2A_SEND, "{\"agent\":{\"id\":\"a\"},\"message\":" MESSAGE "}",
                  A2A_ERROR_INVALID_PARAMS, "agent's id");
}

TEST(webhooks_are_taken_out_and_never_sent_on)
{
    CHECK_STR(read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":" MESSAGE
                                ",\"pushNotificationConfig\":{\"url\":\"x\"}}"),
              STR("{\"message\":" MESSAGE "}"));
    CHECK_STR(webhook, STR("{\"url\":\"x\"}"));
    CHECK_STR(read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":" MESSAGE
                                ",\"push_notification_config\":{\"url\":\"y\"}}"),
              STR("{\"message\":" MESSAGE "}"));
    CHECK_STR(webhook, STR("{\"url\":\"y\"}"));
    CHECK_STR(read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":" MESSAGE
                                ",\"metadata\":{\"k\":1,\"web\\u0068ook\":{\"url\":\"z\"}}}"),
              STR("{\"message\":" MESSAGE ",\"metadata\":{\"k\":1}}"));
    CHECK_STR(webhook, STR("{\"url\":\"z\"}"));
    check_refused(A2A_SEND,
                  "{\"agent\":\"a\",\"message\":" MESSAGE
                  ",\"pushNotificationConfig\":{},\"metadata\":{\"webhook\":{}}}",
                  A2A_ERROR_INVALID_PARAMS, "two webhooks");
    CHECK_STR(read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":" MESSAGE
                                ",\"pushNotificationConfig\":null,\"metadata\":{\"k\":1}}"),
              STR("{\"message\":" MESSAGE ",\"metadata\":{\"k\":1}}"));
}

TEST(ids_move_into_the_message)
{
    CHECK_STR(read_as(A2A_SEND, "{\"taskId\":\"t\",\"agentId\":\"a\",\"contextId\":\"c\","
                                "\"message\":" MESSAGE ",\"configuration\":{\"blocking\":true},"
                                "\"other\":[1.50]}"),
              STR("{\"message\":{\"messageId\":\"m\",\"role\":\"user\",\"parts\":[],"
                  "\"taskId\":\"t\",\"contextId\":\"c\"},\"configuration\":{\"blocking\":true},"
                  "\"other\":[1.50]}"));
    CHECK_STR(agent, STR("a"));
    /* the message's own word, when it is the same */
    CHECK_STR(read_as(A2A_SEND, "{\"task_id\":\"t\",\"agentId\":\"a\",\"message\":{"
                                "\"message_id\":\"m\",\"task_id\":\"t\"}}"),
              STR("{\"message\":{\"message_id\":\"m\",\"task_id\":\"t\"}}"));
    /* a null is not a word */
    CHECK_STR(read_as(A2A_SEND, "{\"taskId\":\"t\",\"agentId\":\"a\",\"message\":{"
                                "\"messageId\":\"m\",\"taskId\":null,\"contextId\":null}}"),
              STR("{\"message\":{\"messageId\":\"m\",\"contextId\":null,\"taskId\":\"t\"}}"));
}

TEST(a_message_without_an_id_gets_one)
{
    struct str written = read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":{\"role\":\"user\"}}");
    struct str id = json_get(json_get(written, "message"), "messageId");

    CHECK_INT(id.n, 38);
    written = read_as(A2A_SEND, "{\"agent\":\"a\",\"message\":{\"messageId\":null}}");
    id = json_get(json_get(written, "message"), "messageId");
    CHECK_INT(id.n, 38);
    CHECK_INT(json_scan(written, NULL, NULL, 0, NULL), 0);
}

TEST(the_shape_of_a_message)
{
    static const struct {
        const char *message;
        enum a2a_version shape;
    } cases[] = {
        {"{\"kind\":\"message\",\"role\":\"user\",\"parts\":[{\"kind\":\"text\"}]}", A2A_0_3},
        {"{\"role\":\"user\",\"parts\":[{\"kind\":\"text\"}]}", A2A_0_3},
        {"{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}", A2A_0_3},
        {"{\"role\":\"ROLE_USER\",\"parts\":[{\"text\":\"x\"}]}", A2A_1_0},
        {"{\"kind\":\"message\",\"parts\":[{\"text\":\"x\"}]}", A2A_0_3},
        {"{\"parts\":[{\"text\":\"x\"}]}", A2A_1_0},
        {"{\"parts\":[{\"kind\":\"text\",\"text\":\"x\"}]}", A2A_0_3},
        {"{\"parts\":[]}", A2A_0_3},
        {"{\"role\":1,\"parts\":\"x\"}", A2A_0_3},
        {"{}", A2A_0_3},
    };
    char params[256];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(params, sizeof params, "{\"agent\":\"a\",\"message\":%s}", cases[i].message);
        CHECK(read_as(A2A_SEND, params).n > 0);
        CHECK_INT(request.shape, cases[i].shape);
    }
}

TEST(a_list_in_every_spelling)
{
    CHECK_STR(
        read_as(A2A_LIST, "{\"agent\":\"a\",\"limit\":3,\"page_token\":\"p\",\"state\":"
                          "\"working\",\"context_id\":\"c\",\"statusTimestampAfter\":\"t\"}"),
        STR("{\"contextId\":\"c\",\"status\":\"working\",\"pageSize\":3,\"pageToken\":\"p\","
            "\"statusTimestampAfter\":\"t\"}"));
    CHECK_STR(agent, STR("a"));
    CHECK_STR(read_as(A2A_LIST, "{}"), STR("{}"));
    CHECK_STR(agent, STR_NONE);
    CHECK_STR(read_as(A2A_LIST, "{\"page_size\":3,\"include_artifacts\":true}"),
              STR("{\"pageSize\":3,\"includeArtifacts\":true}"));
}

TEST(params_may_be_absent)
{
    struct str id;

    request = (struct a2a_request){.method = A2A_LIST};
    buf_release(&out);
    buf_init(&out, MB(1));
    CHECK_INT(rpc_params_write(&out, STR_NONE, &request, &agent, &webhook, &fault), 0);
    CHECK_STR(buf_str(&out), STR("{}"));
    buf_clear(&out);
    CHECK_INT(rpc_params_write_agent(&out, STR_NONE, &id, &fault), 0);
    CHECK_INT(out.n, 0);
    CHECK_STR(id, STR_NONE);
}

TEST(an_agent_by_any_name)
{
    static const char *const spellings[] = {"id", "name", "agentId", "agent_id", "agent"};
    char params[64];
    struct str id;

    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        snprintf(params, sizeof params, "{\"%s\":\"weather\"}", spellings[i]);
        CHECK_STR(read_agent_params(params, &id), STR(""));
        CHECK_STR(id, STR("weather"));
        CHECK_STR(str_of(fault.detail), STR(""));
    }
    read_agent_params("{\"id\":\"a\",\"agentId\":\"b\"}", &id);
    CHECK(strstr(fault.detail, "given twice") != NULL);
    read_agent_params("{\"id\":[]}", &id);
    CHECK(strstr(fault.detail, "agent's id") != NULL);
}

TEST(a_record_wrapped_or_flat)
{
    struct str id;

    CHECK_STR(
        read_agent_params("{\"agent\":{\"id\":\"a\",\"url\":\"u\",\"bearer\":\"b\"}}", &id),
        STR("{\"id\":\"a\",\"url\":\"u\",\"bearer\":\"b\"}"));
    CHECK_STR(read_agent_params("{\"name\":\"a\",\"url\":\"u\"}", &id),
              STR("{\"name\":\"a\",\"url\":\"u\"}"));
    CHECK_STR(read_agent_params("{\"agentId\":\"a\",\"url\":\"u\"}", &id),
              STR("{\"id\":\"a\",\"url\":\"u\"}"));
    CHECK_STR(read_agent_params("{\"agent\":\"a\",\"url\":\"u\",\"maxInFlight\":3}", &id),
              STR("{\"id\":\"a\",\"url\":\"u\",\"maxInFlight\":3}"));
    CHECK_STR(read_agent_params("{\"id\":\"a\",\"agent\":{\"url\":\"u\"}}", &id),
              STR("{\"id\":\"a\",\"url\":\"u\"}"));
    CHECK_STR(read_agent_params("{\"agent\":{}}", &id), STR("{}"));
}

TEST(nothing_beside_a_record_is_lost)
{
    struct str id;

    read_agent_params("{\"agent\":{\"id\":\"a\",\"url\":\"u\"},\"bearer\":\"b\"}", &id);
    CHECK(strstr(fault.detail, "\"bearer\" stands beside \"agent\"") != NULL);
    read_agent_params("{\"url\":\"v\",\"agent\":{\"id\":\"a\",\"url\":\"u\"}}", &id);
    CHECK(strstr(fault.detail, "\"url\" stands beside") != NULL);
    read_agent_params("{\"id\":\"b\",\"agent\":{\"id\":\"a\",\"url\":\"u\"}}", &id);
    CHECK(strstr(fault.detail, "are different") != NULL);
    read_agent_params("{\"id\":\"b\",\"agent\":\"a\"}", &id);
    CHECK(strstr(fault.detail, "are different") != NULL);
    CHECK_STR(read_agent_params("{\"id\":\"a\",\"bearer\":null,\"agent\":{\"id\":\"a\"}}", &id),
              STR("{\"id\":\"a\"}"));
    CHECK_STR(id, STR("a"));
}

TEST(a_buffer_that_is_too_small_is_an_error)
{
    const struct str params = STR("{\"agent\":\"a\",\"message\":" MESSAGE "}");

    for (size_t max = 1; max < 60; max++) {
        struct buf small;
        int err;

        buf_init(&small, max);
        request = (struct a2a_request){.method = A2A_SEND};
        err = rpc_params_write(&small, params, &request, &agent, &webhook, &fault);
        CHECK(err || json_scan(buf_str(&small), NULL, NULL, 0, NULL) == 0);
        if (err)
            CHECK_INT(fault.error, A2A_ERROR_OVERLOADED);
        buf_release(&small);
    }
    buf_release(&out);
}

TEST_MAIN
