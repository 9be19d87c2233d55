/* SPDX-License-Identifier: MIT
 *
 * Streams: frames of agents read in every form they have been seen in, and events of the log told in both versions.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "a2a/a2a.h"

static struct a2a_stream_event event;
static struct a2a_fault fault;
static const char *why;

static int read_result(enum a2a_version version, const char *result)
{
    static char data[4096]; /* event points into it */

    snprintf(data, sizeof data, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":%s}", result);
    return a2a_stream_read(str_of(data), version, 5, &event, &fault);
}

/* --- what an agent says --- */

#define TASK_0_3                                                                               \
    "{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"working\"}}"
#define TASK_1_0                                                                               \
    "{\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}"
#define MESSAGE_0_3                                                                            \
    "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"agent\",\"parts\":[{\"kind\":"       \
    "\"text\",\"text\":\"hi\"}]}"
#define MESSAGE_1_0                                                                            \
    "{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"parts\":[{\"text\":\"hi\"}]}"
#define STATUS_0_3                                                                             \
    "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":"  \
    "\"input-required\"},\"final\":true}"
#define STATUS_1_0                                                                             \
    "{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_INPUT_REQUIRED\"}}"
#define ARTIFACT_0_3                                                                           \
    "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":{"        \
    "\"artifactId\":\"a\",\"parts\":[{\"kind\":\"text\",\"text\":\"hi\"}]},\"append\":true,"   \
    "\"lastChunk\":false}"
#define ARTIFACT_1_0                                                                           \
    "{\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[{"    \
    "\"text\":\"hi\"}]},\"append\":true,\"lastChunk\":false}"

TEST(frames_in_their_own_form)
{
    static const struct {
        enum a2a_version version;
        const char *result, *object;
        enum a2a_stream_kind kind;
        int state; /* -1: none */
    } table[] = {
        {A2A_0_3, TASK_0_3, TASK_0_3, A2A_STREAM_TASK, A2A_STATE_WORKING},
        {A2A_0_3, MESSAGE_0_3, MESSAGE_0_3, A2A_STREAM_MESSAGE, -1},
        {A2A_0_3, STATUS_0_3, STATUS_0_3, A2A_STREAM_STATUS, A2A_STATE_INPUT_REQUIRED},
        {A2A_0_3, ARTIFACT_0_3, ARTIFACT_0_3, A2A_STREAM_ARTIFACT, -1},
        {A2A_1_0, "{\"task\":" TASK_1_0 "}", TASK_1_0, A2A_STREAM_TASK, A2A_STATE_WORKING},
        {A2A_1_0, "{\"message\":" MESSAGE_1_0 "}", MESSAGE_1_0, A2A_STREAM_MESSAGE, -1},
        {A2A_1_0, "{\"statusUpdate\":" STATUS_1_0 "}", STATUS_1_0, A2A_STREAM_STATUS,
         A2A_STATE_INPUT_REQUIRED},
        {A2A_1_0, "{\"artifactUpdate\":" ARTIFACT_1_0 "}", ARTIFACT_1_0, A2A_STREAM_ARTIFACT,
         -1},
    };

    /* the agent's version only matters where nothing else says it */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            CHECK_INT(read_result((enum a2a_version)v, table[i].result), 0);
            CHECK_INT(event.kind, table[i].kind);
            CHECK_STR(event.object, str_of(table[i].object));
            CHECK_INT(event.dialect, table[i].version);
            CHECK_INT(event.has_state, table[i].state >= 0);
            if (table[i].state >= 0)
                CHECK_INT(event.state, table[i].state);
            CHECK_INT(event.is_final,
                      table[i].kind == A2A_STREAM_STATUS && table[i].version == A2A_0_3);
            CHECK_STR(event.task_id,
                      table[i].kind == A2A_STREAM_MESSAGE ? STR_NONE : STR("\"t\""));
        }
    }
}

TEST(frames_in_other_forms)
{
#define BARE_STATUS "{\"taskId\":\"t\",\"status\":{\"state\":\"working\"}}"
#define BARE_ARTIFACT(parts)                                                                   \
    "{\"task_id\":\"t\",\"artifact\":{\"artifact_id\":\"a\",\"parts\":[" parts "]}}"
    static const struct {
        const char *result;
        enum a2a_stream_kind kind;
        int dialect; /* -1: the agent's */
    } table[] = {
        {"{\"status_update\":" STATUS_1_0 "}", A2A_STREAM_STATUS, A2A_1_0},
        {"{\"artifact_update\":" ARTIFACT_1_0 ",\"task\":null}", A2A_STREAM_ARTIFACT, A2A_1_0},
        /* without a kind: by members */
        {BARE_STATUS, A2A_STREAM_STATUS, A2A_0_3},
        {"{\"kind\":null,\"taskId\":\"t\",\"status\":{\"state\":2}}", A2A_STREAM_STATUS,
         A2A_1_0},
        {"{\"taskId\":\"t\",\"status\":{\"state\":\"dreaming\"}}", A2A_STREAM_STATUS, -1},
        {BARE_ARTIFACT(""), A2A_STREAM_ARTIFACT, -1},
        {BARE_ARTIFACT("{\"kind\":\"text\",\"text\":\"\"}"), A2A_STREAM_ARTIFACT, A2A_0_3},
        {"{\"id\":\"t\",\"taskId\":\"t\",\"status\":{\"state\":\"working\"}}", A2A_STREAM_TASK,
         A2A_0_3},
        {"{\"parts\":[{\"kind\":\"text\",\"text\":\"\"}]}", A2A_STREAM_MESSAGE, A2A_0_3},
        {"{\"parts\":[]}", A2A_STREAM_MESSAGE, -1},
        /* half and half */
        {"{\"statusUpdate\":" BARE_STATUS "}", A2A_STREAM_STATUS, A2A_0_3},
        {"{\"artifactUpdate\":" ARTIFACT_0_3 "}", A2A_STREAM_ARTIFACT, A2A_0_3},
        {"{\"artifactUpdate\":" BARE_ARTIFACT("{\"kind\":\"text\",\"text\":\"\"}") "}",
         A2A_STREAM_ARTIFACT, A2A_1_0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            CHECK_INT(read_result((enum a2a_version)v, table[i].result), 0);
            CHECK_INT(event.kind, table[i].kind);
            CHECK_INT(event.dialect, table[i].dialect < 0 ? v : table[i].dialect);
        }
    }
}

TEST(frames_that_are_no_events)
{
    static const char *const bad[] = {
        "null",
        "{}",
        "[]",
        "\"working\"",
        "{\"kind\":\"status-update\",\"taskId\":\"t\"}",
        "{\"kind\":\"status-update\",\"status\":{\"state\":\"working\"}}",
        "{\"kind\":\"status-update\",\"taskId\":\"\",\"status\":{\"state\":\"working\"}}",
        "{\"kind\":\"status-update\",\"taskId\":\"a\\u0000\",\"status\":{\"state\":\"working\"}}",
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{}}",
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"task_id\":\"t\",\"status\":{\"state\":1}}",
        "{\"kind\":\"artifact-update\",\"taskId\":\"t\"}",
        "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"artifact\":{\"parts\":[]}}",
        "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\","
        "\"parts\":{}}}",
        "{\"kind\":\"push-update\",\"taskId\":\"t\",\"status\":{\"state\":\"working\"}}",
        "{\"kind\":\"task\",\"status\":{\"state\":\"working\"}}",
        "{\"task\":" TASK_1_0 ",\"statusUpdate\":" STATUS_1_0 "}",
        "{\"statusUpdate\":" STATUS_1_0 ",\"artifactUpdate\":" ARTIFACT_1_0 "}",
        "{\"statusUpdate\":" STATUS_1_0 ",\"message\":5}",
        "{\"statusUpdate\":[]}",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int v = A2A_0_3; v <= A2A_1_0; v++) {
            int err = read_result((enum a2a_version)v, bad[i]);

            CHECK_INT(err, ERR_INVALID);
            if (!err)
                printf("    accepted: %s\n", bad[i]);
            CHECK_INT(fault.error, A2A_ERROR_INVALID_AGENT_RESPONSE);
            CHECK(fault.detail[0] != '\0');
        }
    }
}

TEST(errors_in_a_stream)
{
    static const struct {
        const char *data, *object;
        int64_t code;
    } table[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":-32001,\"message\":\"m\"}}",
         "{\"code\":-32001,\"message\":\"m\"}", -32001},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"m\"}}",
         "{\"code\":-32700,\"message\":\"m\"}", -32700},
        {"{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"m\",\"data\":[]}}",
         "{\"code\":1,\"message\":\"m\",\"data\":[]}", 1},
        {" {\"code\":-32603,\"message\":\"bare\"} ", "{\"code\":-32603,\"message\":\"bare\"}",
         -32603},
    };
    static const char *const bad[] = {
        "{\"jsonrpc\":\"2.0\",\"id\":6,\"error\":{\"code\":1,\"message\":\"m\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":\"1\",\"message\":\"m\"}}",
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":\"m\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":6,\"result\":" TASK_0_3 "}",
        "{\"jsonrpc\":\"2.0\",\"result\":" TASK_0_3 "}",
        "{\"id\":5,\"result\":" TASK_0_3 "}",
        "{\"jsonrpc\":\"2.0\",\"id\":5}",
        "{\"code\":1.5,\"message\":\"m\"}",
        "{\"code\":1}",
        "{\"code\":1,\"message\":\"m\",\"jsonrpc\":\"2.0\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":5,\"id\":5,\"result\":" TASK_0_3 "}",
        "[DONE]",
        "",
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_INT(a2a_stream_read(str_of(table[i].data), A2A_0_3, 5, &event, &fault), 0);
        CHECK_INT(event.kind, A2A_STREAM_ERROR);
        CHECK_STR(event.object, str_of(table[i].object));
        CHECK_INT(event.error_code, table[i].code);
        CHECK(!event.task_id.p && !event.has_state);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(a2a_stream_read(str_of(bad[i]), A2A_0_3, 5, &event, &fault), ERR_INVALID);
}

/* Every prefix and every changed byte is read without harm; what fails leaves the event alone. */
TEST(broken_frames)
{
    static const char good[] = "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":" ARTIFACT_0_3 "}";
    char data[sizeof good];

    for (size_t n = 0; n < sizeof good - 1; n++) {
        char *copy = malloc(n + 1); /* so that a byte behind it is found out */

        memcpy(copy, good, n);
        event.error_code = 77;
        CHECK_INT(a2a_stream_read(str_make(copy, n), A2A_0_3, 5, &event, &fault), ERR_INVALID);
        CHECK_INT(event.error_code, 77);
        free(copy);
    }
    for (size_t i = 0; i < sizeof good - 1; i++) {
        memcpy(data, good, sizeof good);
        data[i] = (char)(data[i] ^ 0x15);
        if (a2a_stream_read(str_make(data, sizeof good - 1), A2A_0_3, 5, &event, &fault) == 0)
            CHECK_INT(event.kind, A2A_STREAM_ARTIFACT);
    }
}

/* --- a task that begins with an update --- */

static void check_begun(enum a2a_version version, const char *result, const char *want)
{
    struct a2a_event update;
    struct buf out, next;

    CHECK_INT(read_result(version, result), 0);
    buf_init(&out, KB(4));
    buf_init(&next, KB(4));
    CHECK_INT(a2a_task_write_begun(&out, &event), 0);
    CHECK_STR(buf_str(&out), str_of(want));
    /* folding the update onto it does what it should: nothing, for a status */
    update.kind =
        event.kind == A2A_STREAM_STATUS ? A2A_EVENT_STATUS_UPDATE : A2A_EVENT_ARTIFACT_UPDATE;
    update.payload = event.object;
    CHECK_INT(a2a_event_fold(buf_str(&out), &update, &next),
              event.kind == A2A_STREAM_STATUS ? 1 : 0);
    buf_release(&next);
    for (size_t max = 0; max < out.n; max++) {
        struct buf small;

        buf_init(&small, max);
        CHECK_INT(a2a_task_write_begun(&small, &event), ERR_LIMIT);
        buf_release(&small);
    }
    buf_release(&out);
}

TEST(tasks_that_begin_with_an_update)
{
    check_begun(
        A2A_0_3,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"final\":false,"
        "\"status\":{\"state\":\"submitted\",\"message\":{\"messageId\":\"m\"}}}",
        "{\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{\"state\":"
        "\"submitted\",\"message\":{\"messageId\":\"m\"}}}");
    check_begun(A2A_1_0, "{\"statusUpdate\":" STATUS_1_0 "}",
                "{\"id\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":"
                "\"TASK_STATE_INPUT_REQUIRED\"}}");
    check_begun(A2A_0_3, ARTIFACT_0_3,
                "{\"id\":\"t\",\"contextId\":\"c\","
                "\"kind\":\"task\",\"status\":{\"state\":\"working\"}}");
    check_begun(A2A_1_0, "{\"artifactUpdate\":" ARTIFACT_1_0 "}", TASK_1_0);
    check_begun(A2A_1_0,
                "{\"artifactUpdate\":{\"taskId\":\"a\\\"\",\"contextId\":\"\",\"artifact\":{"
                "\"artifactId\":\"a\"}}}",
                "{\"id\":\"a\\\"\",\"status\":{\"state\":\"TASK_STATE_WORKING\"}}");
}

TEST(states_of_events)
{
    static const struct {
        enum a2a_event_kind kind;
        const char *payload;
        int state; /* -1: none */
    } table[] = {
        {A2A_EVENT_TASK, TASK_1_0, A2A_STATE_WORKING},
        {A2A_EVENT_STATUS, "{\"state\":\"failed\"}", A2A_STATE_FAILED},
        {A2A_EVENT_STATUS_UPDATE, STATUS_0_3, A2A_STATE_INPUT_REQUIRED},
        {A2A_EVENT_STATUS_UPDATE, "{\"status\":{\"state\":\"dreaming\"}}", A2A_STATE_UNKNOWN},
        {A2A_EVENT_STATUS_UPDATE, "{\"status\":7}", -1},
        {A2A_EVENT_ARTIFACT_UPDATE, ARTIFACT_0_3, -1},
        {A2A_EVENT_MESSAGE, MESSAGE_0_3, -1},
        {A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null}", -1},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        enum a2a_state state;
        int err = a2a_event_state(table[i].kind, str_of(table[i].payload), &state);

        CHECK_INT(err, table[i].state < 0 ? ERR_ABSENT : 0);
        if (!err)
            CHECK_INT(state, table[i].state);
    }
}

/* --- what a caller is told --- */

static void check_told(struct a2a_told told, const char *payload, enum a2a_version to,
                       const char *want)
{
    struct buf out;
    int err;

    told.payload = str_of(payload);
    told.task_id = STR("t");
    buf_init(&out, KB(4));
    err = a2a_told_write(&out, &told, to, &why);
    CHECK_INT(err, want ? 0 : ERR_INVALID);
    if (want)
        CHECK_STR(buf_str(&out), str_of(want));
    if (want)
        CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    for (size_t max = 0; want && max < out.n; max++) {
        struct buf small;

        buf_init(&small, max);
        CHECK_INT(a2a_told_write(&small, &told, to, &why), 0);
        CHECK_INT(buf_error(&small), ERR_LIMIT);
        buf_release(&small);
    }
    buf_release(&out);
}

#define TOLD(kind_, dialect_, ...)                                                             \
    (struct a2a_told)                                                                          \
    {                                                                                          \
        .kind = A2A_EVENT_##kind_, .dialect = dialect_, __VA_ARGS__                            \
    }

/* A status update in 0.3, with members that no version knows, to see the bytes survive. */
#define SAID_0_3(final)                                                                           \
    "{\"taskId\":\"t\",\"x\":[1.0],\"kind\":\"status-update\",\"status\":{\"state\":\"working\"," \
    "\"y\":2}" final ",\"contextId\":\"c\"}"
#define ENDED_0_3(final)                                                                       \
    "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":"  \
    "\"completed\"}" final "}"

TEST(final_is_computed)
{
    struct a2a_told on = TOLD(STATUS_UPDATE, A2A_0_3, .context = STR("c")), last = on;

    last.is_last = true;
    check_told(on, SAID_0_3(",\"final\":false"), A2A_0_3, SAID_0_3(",\"final\":false"));
    check_told(on, SAID_0_3(",\"final\":true"), A2A_0_3, SAID_0_3(",\"final\":false"));
    check_told(on, SAID_0_3(",\"final\":null"), A2A_0_3, SAID_0_3(",\"final\":false"));
    check_told(last, SAID_0_3(",\"final\":false"), A2A_0_3, SAID_0_3(",\"final\":true"));
    check_told(last, SAID_0_3(",\"final\":true"), A2A_0_3, SAID_0_3(",\"final\":true"));
    check_told(on, ENDED_0_3(""), A2A_0_3, ENDED_0_3(",\"final\":true"));
    check_told(on, ENDED_0_3(",\"final\":false"), A2A_0_3, ENDED_0_3(",\"final\":true"));
    check_told(on, STATUS_0_3, A2A_0_3,
               "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{"
               "\"state\":\"input-required\"},\"final\":false}");
    check_told(last, STATUS_0_3, A2A_0_3, STATUS_0_3);
    /* from 1.0 */
    on.dialect = last.dialect = A2A_1_0;
    check_told(on, STATUS_1_0, A2A_0_3,
               "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{"
               "\"state\":\"input-required\"},\"final\":false}");
    check_told(last, STATUS_1_0, A2A_0_3, STATUS_0_3);
    check_told(
        on, "{\"taskId\":\"t\",\"status\":{\"state\":3}}", A2A_0_3,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{\"state\":\"completed\"},"
        "\"contextId\":\"c\",\"final\":true}");
}

TEST(updates_for_all_pairs)
{
    check_told(TOLD(STATUS_UPDATE, A2A_0_3), STATUS_0_3, A2A_1_0,
               "{\"statusUpdate\":" STATUS_1_0 "}");
    check_told(TOLD(STATUS_UPDATE, A2A_1_0), STATUS_1_0, A2A_1_0,
               "{\"statusUpdate\":" STATUS_1_0 "}");
    check_told(TOLD(ARTIFACT_UPDATE, A2A_0_3), ARTIFACT_0_3, A2A_0_3, ARTIFACT_0_3);
    check_told(TOLD(ARTIFACT_UPDATE, A2A_0_3), ARTIFACT_0_3, A2A_1_0,
               "{\"artifactUpdate\":" ARTIFACT_1_0 "}");
    check_told(TOLD(ARTIFACT_UPDATE, A2A_1_0), ARTIFACT_1_0, A2A_0_3, ARTIFACT_0_3);
    check_told(TOLD(ARTIFACT_UPDATE, A2A_1_0), ARTIFACT_1_0, A2A_1_0,
               "{\"artifactUpdate\":" ARTIFACT_1_0 "}");
    /* a 0.3 reader must be told what he has */
    check_told(
        TOLD(ARTIFACT_UPDATE, A2A_0_3),
        "{\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\"}}", A2A_0_3,
        "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\"}}");
    check_told(
        TOLD(STATUS_UPDATE, A2A_0_3, .is_last = true),
        "{\"taskId\":\"t\",\"status\":{\"state\":\"working\"}}", A2A_0_3,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{\"state\":\"working\"},"
        "\"final\":true}");
}

TEST(a_status_or_task_in_the_midst)
{
    static const struct {
        enum a2a_event_kind kind;
        const char *v0_3, *v1_0;
    } table[] = {
        {A2A_EVENT_STATUS, "{\"state\":\"failed\",\"message\":" MESSAGE_0_3 "}",
         "{\"state\":\"TASK_STATE_FAILED\",\"message\":" MESSAGE_1_0 "}"},
        {A2A_EVENT_TASK,
         "{\"kind\":\"task\",\"id\":\"t\",\"artifacts\":[],\"status\":{\"state\":\"failed\","
         "\"message\":" MESSAGE_0_3 "}}",
         "{\"id\":\"t\",\"artifacts\":[],\"status\":{\"state\":\"TASK_STATE_FAILED\",\"message\":" MESSAGE_1_0
         "}}"},
    };
    static const char said_0_3[] =
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\\\"\",\"status\":{"
        "\"state\":\"failed\",\"message\":" MESSAGE_0_3 "},\"final\":true}";
    static const char said_1_0[] =
        "{\"statusUpdate\":{\"taskId\":\"t\",\"contextId\":\"c\\\"\",\"status\":{\"state\":"
        "\"TASK_STATE_FAILED\",\"message\":" MESSAGE_1_0 "}}}";

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct a2a_told told = {.kind = table[i].kind, .context = STR("c\"")};

        told.dialect = A2A_0_3;
        check_told(told, table[i].v0_3, A2A_0_3, said_0_3);
        check_told(told, table[i].v0_3, A2A_1_0, said_1_0);
        told.dialect = A2A_1_0;
        check_told(told, table[i].v1_0, A2A_0_3, said_0_3);
        check_told(told, table[i].v1_0, A2A_1_0, said_1_0);
    }
    check_told(
        TOLD(STATUS, A2A_0_3), "{\"state\":\"working\"}", A2A_0_3,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{\"state\":\"working\"},"
        "\"final\":false}");
    check_told(
        TOLD(STATUS, A2A_0_3, .is_last = true), "{\"state\":\"working\"}", A2A_0_3,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"status\":{\"state\":\"working\"},"
        "\"final\":true}");
}

TEST(what_cannot_be_told)
{
    check_told(TOLD(TASK, A2A_0_3), "{\"id\":\"t\"}", A2A_0_3, NULL);
    CHECK_STR(str_of(why), STR("the event has no status"));
    check_told(TOLD(STATUS_UPDATE, A2A_0_3), "[]", A2A_0_3, NULL);
    check_told(TOLD(ARTIFACT_UPDATE, A2A_1_0),
               "{\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[{}]}}", A2A_0_3,
               NULL);
    CHECK(strstr(why, "no content"));
    check_told(TOLD(ARTIFACT_UPDATE, A2A_1_0),
               "{\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\",\"parts\":[{}]}}", A2A_1_0,
               "{\"artifactUpdate\":{\"taskId\":\"t\",\"artifact\":{\"artifactId\":\"a\","
               "\"parts\":[{}]}}}");
}

/* --- how a stream begins --- */

static void check_first(enum a2a_version to, int64_t history, enum a2a_reply_kind kind,
                        enum a2a_version stored, const char *object, const char *want)
{
    static const enum a2a_method methods[] = {A2A_STREAM, A2A_SUBSCRIBE};

    for (size_t i = 0; i < 2; i++) {
        const struct a2a_request request = {.method = methods[i],
                                            .version = to,
                                            .id = STR("1"),
                                            .has_history_length = history >= 0,
                                            .history_length = history};
        const struct a2a_result result = {
            .kind = kind, .version = stored, .object = str_of(object), .context = STR("c")};
        struct buf out;

        buf_init(&out, KB(4));
        CHECK_INT(a2a_told_write_first(&out, &request, &result, &why), 0);
        CHECK_STR(buf_str(&out), str_of(want));
        buf_release(&out);
    }
}

TEST(how_a_stream_begins)
{
    static const char *const tasks[2] = {TASK_0_3, TASK_1_0};
    static const char *const messages[2] = {MESSAGE_0_3, MESSAGE_1_0};

    for (int stored = A2A_0_3; stored <= A2A_1_0; stored++) {
        enum a2a_version v = (enum a2a_version)stored;

        check_first(A2A_0_3, -1, A2A_REPLY_TASK, v, tasks[v], TASK_0_3);
        check_first(A2A_1_0, -1, A2A_REPLY_TASK, v, tasks[v], "{\"task\":" TASK_1_0 "}");
        check_first(A2A_0_3, 0, A2A_REPLY_MESSAGE, v, messages[v], MESSAGE_0_3);
        check_first(A2A_1_0, 0, A2A_REPLY_MESSAGE, v, messages[v],
                    "{\"message\":" MESSAGE_1_0 "}");
    }
    check_first(A2A_1_0, 1, A2A_REPLY_TASK, A2A_1_0,
                "{\"id\":\"t\",\"status\":{\"state\":1},\"history\":[{\"a\":1},{\"b\":2}]}",
                "{\"task\":{\"id\":\"t\",\"status\":{\"state\":1},\"history\":[{\"b\":2}]}}");
    check_first(A2A_0_3, 0, A2A_REPLY_TASK, A2A_1_0,
                "{\"id\":\"t\",\"status\":{\"state\":1},\"history\":[{\"messageId\":\"m\"}]}",
                "{\"kind\":\"task\",\"id\":\"t\",\"status\":{\"state\":\"submitted\"},"
                "\"contextId\":\"c\"}");
}

TEST_MAIN
