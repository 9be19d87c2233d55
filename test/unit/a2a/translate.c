/* SPDX-License-Identifier: MIT
 *
 * The translator: golden pairs that hold in both directions, one-way cases (what one version cannot say,
 * what peers write wrongly), and random objects that a naive writer says in both versions at once, byte for
 * byte.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "a2a/a2a.h"

static const char *why;
static char said[1 << 16];

static int translate(struct a2a_translation t, const char *object)
{
    struct buf out;
    int err;

    buf_init(&out, MB(1));
    why = "";
    CHECK_INT(json_scan(str_of(object), NULL, NULL, 0, NULL), 0);
    err = a2a_translate(&out, &t, str_of(object), &why);
    CHECK_INT(buf_error(&out), 0);
    snprintf(said, sizeof said, "%.*s", STR_ARG(buf_str(&out)));
    if (!err)
        CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    buf_release(&out);
    return err;
}

static int up(enum a2a_object what, const char *object)
{
    return translate((struct a2a_translation){.what = what, .from = A2A_0_3, .to = A2A_1_0},
                     object);
}

static int down(enum a2a_object what, const char *object)
{
    return translate((struct a2a_translation){.what = what, .from = A2A_1_0, .to = A2A_0_3},
                     object);
}

/* --- golden pairs ------------------------------------------------------------------------------------ */

#define STATUS_0_3 "{\"state\":\"working\",\"timestamp\":\"2026-01-02T03:04:05.678Z\"}"
#define STATUS_1_0                                                                             \
    "{\"state\":\"TASK_STATE_WORKING\",\"timestamp\":\"2026-01-02T03:04:05.678Z\"}"
#define MESSAGE_0_3(parts)                                                                     \
    "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"agent\",\"parts\":[" parts "]}"
#define MESSAGE_1_0(parts) "{\"messageId\":\"m\",\"role\":\"ROLE_AGENT\",\"parts\":[" parts "]}"

#define MUTE_0_3 MESSAGE_0_3("")
#define MUTE_1_0 MESSAGE_1_0("")
#define TALKING_0_3 MESSAGE_0_3("{\"kind\":\"text\",\"text\":\"a\"}")
#define TALKING_1_0 MESSAGE_1_0("{\"text\":\"a\"}")

static const struct golden {
    enum a2a_object what;
    const char *v0_3, *v1_0;
} goldens[] = {
    {A2A_OBJECT_TASK,
     "{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\",\"status\":" STATUS_0_3 "}",
     "{\"id\":\"t\",\"contextId\":\"c\",\"status\":" STATUS_1_0 "}"},
    {A2A_OBJECT_TASK,
     "{\"kind\":\"task\",\"x\":{\"kind\":\"task\"},\"history\":[" MUTE_0_3 "," TALKING_0_3
     "],\"artifacts\":[{\"artifactId\":\"a\",\"name\":\"n\",\"description\":\"d\",\"extensions\":"
     "[\"e\"],\"parts\":[{\"kind\":\"data\",\"data\":{\"kind\":1}}],\"metadata\":{\"kind\":\"k\"}"
     "}],\"status\":{\"state\":\"input-required\",\"message\":" MUTE_0_3 "},\"metadata\":"
     "{\"role\":\"user\"},\"id\":\"t\"}",
     "{\"x\":{\"kind\":\"task\"},\"history\":[" MUTE_1_0 "," TALKING_1_0
     "],\"artifacts\":[{\"artifactId\":\"a\",\"name\":\"n\",\"description\":\"d\",\"extensions\":"
     "[\"e\"],\"parts\":[{\"data\":{\"kind\":1}}],\"metadata\":{\"kind\":\"k\"}"
     "}],\"status\":{\"state\":\"TASK_STATE_INPUT_REQUIRED\",\"message\":" MUTE_1_0
     "},\"metadata\":{\"role\":\"user\"},\"id\":\"t\"}"},
    {A2A_OBJECT_STATUS, STATUS_0_3, STATUS_1_0},
    {A2A_OBJECT_STATUS, "{\"state\":\"unknown\"}", "{\"state\":\"TASK_STATE_UNSPECIFIED\"}"},
    {A2A_OBJECT_MESSAGE,
     "{\"kind\":\"message\",\"messageId\":\"m\",\"contextId\":\"c\",\"taskId\":\"t\",\"role\":"
     "\"user\",\"parts\":[],\"referenceTaskIds\":[\"r\"],\"extensions\":[\"e\"],\"metadata\":"
     "{\"n\":1.000000000000000000001}}",
     "{\"messageId\":\"m\",\"contextId\":\"c\",\"taskId\":\"t\",\"role\":\"ROLE_USER\",\"parts\":"
     "[],\"referenceTaskIds\":[\"r\"],\"extensions\":[\"e\"],\"metadata\":"
     "{\"n\":1.000000000000000000001}}"},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"text\",\"text\":\"\",\"metadata\":{\"a\":1},\"x\":2}"),
     MESSAGE_1_0("{\"text\":\"\",\"metadata\":{\"a\":1},\"x\":2}")},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"file\",\"file\":{\"bytes\":\"aGk=\",\"name\":\"n\",\"mimeType\":"
                 "\"a/b\"},\"metadata\":{}}"),
     MESSAGE_1_0(
         "{\"raw\":\"aGk=\",\"filename\":\"n\",\"mediaType\":\"a/b\",\"metadata\":{}}")},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"file\",\"file\":{\"uri\":\"https://x/y\"}},{\"kind\":\"text\","
                 "\"text\":\"\\u0061\"}"),
     MESSAGE_1_0("{\"url\":\"https://x/y\"},{\"text\":\"\\u0061\"}")},
    {A2A_OBJECT_MESSAGE, MESSAGE_0_3("{\"kind\":\"data\",\"data\":{\"value\":1}}"),
     MESSAGE_1_0("{\"data\":{\"value\":1}}")},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"data\",\"data\":{\"value\":[1,null]},\"metadata\":{\"a\":1,"
                 "\"data_part_compat\":true}}"),
     MESSAGE_1_0("{\"data\":[1,null],\"metadata\":{\"a\":1}}")},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"data\",\"data\":{\"value\":null},\"metadata\":{"
                 "\"data_part_compat\":true}}"),
     MESSAGE_1_0("{\"data\":null}")},
    {A2A_OBJECT_MESSAGE,
     MESSAGE_0_3("{\"kind\":\"data\",\"data\":{\"value\":{}},\"metadata\":{"
                 "\"data_part_compat\":true}}"),
     MESSAGE_1_0("{\"data\":{\"value\":{}},\"metadata\":{\"data_part_compat\":true}}")},
    {A2A_OBJECT_ARTIFACT,
     "{\"artifactId\":\"a\",\"parts\":[{\"kind\":\"text\",\"text\":\"x\"}]}",
     "{\"artifactId\":\"a\",\"parts\":[{\"text\":\"x\"}]}"},
    {A2A_OBJECT_STATUS_UPDATE,
     "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":" STATUS_0_3
     ",\"metadata\":{},\"final\":false}",
     "{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":" STATUS_1_0 ",\"metadata\":{}}"},
    {A2A_OBJECT_STATUS_UPDATE,
     "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":"
     "\"canceled\"},\"final\":true}",
     "{\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":\"TASK_STATE_CANCELED\"}}"},
    {A2A_OBJECT_ARTIFACT_UPDATE,
     "{\"kind\":\"artifact-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":"
     "{\"artifactId\":\"a\",\"parts\":[{\"kind\":\"text\",\"text\":\"x\"}]},\"append\":true,"
     "\"lastChunk\":false,\"metadata\":{\"a\":0}}",
     "{\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":{\"artifactId\":\"a\",\"parts\":["
     "{\"text\":\"x\"}]},\"append\":true,\"lastChunk\":false,\"metadata\":{\"a\":0}}"},
    {A2A_OBJECT_ERROR,
     "{\"code\":-32001,\"message\":\"m\",\"data\":[{\"@type\":\"t\",\"x\":1}]}",
     "{\"code\":-32001,\"message\":\"m\",\"data\":[{\"@type\":\"t\",\"x\":1}]}"},
};

TEST(golden_pairs_both_ways)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const struct golden *g = &goldens[i];

        CHECK_INT(up(g->what, g->v0_3), 0);
        CHECK_STR(str_of(said), str_of(g->v1_0));
        CHECK_INT(down(g->what, g->v1_0), 0);
        CHECK_STR(str_of(said), str_of(g->v0_3));
    }
}

TEST(within_a_version_nothing_changes)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const struct golden *g = &goldens[i];
        struct a2a_translation t = {.what = g->what, .from = A2A_0_3, .to = A2A_0_3};

        CHECK_INT(translate(t, g->v0_3), 0);
        CHECK_STR(str_of(said), str_of(g->v0_3));
        t.from = t.to = A2A_1_0;
        t.strict = true;
        CHECK_INT(translate(t, g->v1_0), 0);
        CHECK_STR(str_of(said), str_of(g->v1_0));
    }
}

TEST(every_state)
{
    for (int s = A2A_STATE_UNKNOWN; s <= A2A_STATE_AUTH_REQUIRED; s++) {
        char old[100], new[100];

        snprintf(old, sizeof old, "{\"state\":\"%s\"}",
                 a2a_state_name((enum a2a_state)s, A2A_0_3));
        snprintf(new, sizeof new, "{\"state\":\"%s\"}",
                 a2a_state_name((enum a2a_state)s, A2A_1_0));
        CHECK_INT(up(A2A_OBJECT_STATUS, old), 0);
        CHECK_STR(str_of(said), str_of(new));
        CHECK_INT(down(A2A_OBJECT_STATUS, new), 0);
        CHECK_STR(str_of(said), str_of(old));
    }
}

/* --- one way ------------------------------------------------------------------------------------------ */

struct one_way {
    enum a2a_object what;
    const char *from, *to; /* to NULL: cannot be said */
};

static void check_one_way(const struct one_way *table, size_t n, enum a2a_version from)
{
    for (size_t i = 0; i < n; i++) {
        int err = (from == A2A_0_3 ? up : down)(table[i].what, table[i].from);

        CHECK_INT(err, table[i].to ? 0 : ERR_INVALID);
        if (!err)
            CHECK_STR(str_of(said), str_of(table[i].to));
        else
            CHECK(why[0] != '\0');
    }
}

#define PART_UP(from, to)                                                                      \
    {                                                                                          \
        A2A_OBJECT_ARTIFACT, "{\"parts\":[" from "]}", "{\"parts\":[" to "]}"                  \
    }
#define PART_BAD(from)                                                                         \
    {                                                                                          \
        A2A_OBJECT_ARTIFACT, "{\"parts\":[" from "]}", NULL                                    \
    }
#define PART_DOWN PART_UP

TEST(liberal_reading_of_0_3)
{
    static const struct one_way table[] = {
        PART_UP("{\"text\":\"a\"}", "{\"text\":\"a\"}"),
        PART_UP("{\"file\":{\"url\":\"u\"}}", "{\"url\":\"u\"}"),
        PART_UP("{\"kind\":\"file\",\"file\":{\"fileWithUri\":\"u\",\"mime_type\":\"a/b\"}}",
                "{\"url\":\"u\",\"mediaType\":\"a/b\"}"),
        PART_UP("{\"file\":{\"fileWithBytes\":\"aGk\",\"bytes\":null,\"uri\":null,\"size\":5}}",
                "{\"raw\":\"aGk\"}"),
        PART_UP("{\"raw\":\"aGk\",\"media_type\":\"a/b\"}",
                "{\"raw\":\"aGk\",\"mediaType\":\"a/b\"}"),
        PART_UP("{\"kind\":\"data\",\"data\":[1]}", "{\"data\":[1]}"),
        PART_UP("{\"data\":null}", "{\"data\":null}"),
        PART_UP("{\"data\":null,\"text\":\"a\"}", "{\"text\":\"a\"}"),
        PART_UP("{\"kind\":\"text\",\"text\":\"a\",\"raw\":\"b\",\"file\":7,\"data\":{}}",
                "{\"text\":\"a\"}"),
        PART_UP("{\"k\\u0069nd\":\"t\\u0065xt\",\"te\\u0078t\":\"a\"}", "{\"text\":\"a\"}"),
        PART_UP("{\"kind\":\"data\",\"data\":{\"value\":1,\"x\":2},\"metadata\":{"
                "\"data_part_compat\":true}}",
                "{\"data\":{\"value\":1,\"x\":2},\"metadata\":{\"data_part_compat\":true}}"),
        PART_UP("{\"kind\":\"data\",\"data\":{\"value\":1},\"metadata\":{"
                "\"data_part_compat\":\"true\"}}",
                "{\"data\":{\"value\":1},\"metadata\":{\"data_part_compat\":\"true\"}}"),
        PART_UP(" { \"metadata\" : { \"a\" : [ 1 , 2 ] } , \"text\" : \" a \" } ",
                "{\"text\":\" a \",\"metadata\":{\"a\":[1,2]}}"),
        {A2A_OBJECT_MESSAGE, "{\"content\":[{\"text\":\"a\"}],\"role\":\"ROLE_USER\"}",
         "{\"parts\":[{\"text\":\"a\"}],\"role\":\"ROLE_USER\"}"},
        {A2A_OBJECT_MESSAGE, "{\"content\":\"a\",\"role\":2,\"parts\":[]}",
         "{\"content\":\"a\",\"role\":\"ROLE_AGENT\",\"parts\":[]}"},
        {A2A_OBJECT_MESSAGE, "{\"message_id\":\"m\",\"task_id\":\"t\",\"taskId\":null}",
         "{\"messageId\":\"m\",\"taskId\":\"t\"}"},
        {A2A_OBJECT_STATUS, "{\"state\":\"TASK_STATE_CANCELLED\"}",
         "{\"state\":\"TASK_STATE_CANCELED\"}"},
        {A2A_OBJECT_STATUS, "{\"state\":4}", "{\"state\":\"TASK_STATE_FAILED\"}"},
        {A2A_OBJECT_STATUS, "{\"state\":\"paused\"}", "{\"state\":\"TASK_STATE_UNSPECIFIED\"}"},
        {A2A_OBJECT_STATUS, "{\"message\":null}", "{}"},
        {A2A_OBJECT_TASK, "{\"kind\":\"task\",\"history\":null,\"x\":null}", "{}"},
        {A2A_OBJECT_STATUS_UPDATE, "{\"final\":true,\"status\":{\"state\":\"input-required\"}}",
         "{\"status\":{\"state\":\"TASK_STATE_INPUT_REQUIRED\"}}"},
    };

    check_one_way(table, sizeof table / sizeof *table, A2A_0_3);
}

TEST(what_0_3_cannot_say)
{
    static const struct one_way table[] = {
        PART_DOWN("{\"text\":\"a\",\"filename\":\"f\",\"mediaType\":\"a/b\"}",
                  "{\"kind\":\"text\",\"text\":\"a\"}"),
        PART_DOWN("{\"data\":{\"a\":1},\"filename\":\"f\",\"mediaType\":\"a/b\"}",
                  "{\"kind\":\"data\",\"data\":{\"a\":1}}"),
        PART_DOWN(
            "{\"data\":\"s\",\"mediaType\":\"a/b\",\"metadata\":{\"data_part_compat\":0}}",
            "{\"kind\":\"data\",\"data\":{\"value\":\"s\"},\"metadata\":"
            "{\"data_part_compat\":true}}"),
        PART_DOWN("{\"data\":1.50,\"metadata\":{}}",
                  "{\"kind\":\"data\",\"data\":{\"value\":1.50},\"metadata\":"
                  "{\"data_part_compat\":true}}"),
        PART_DOWN("{\"kind\":\"strange\",\"text\":\"a\"}",
                  "{\"kind\":\"text\",\"text\":\"a\"}"),
        {A2A_OBJECT_TASK, "{\"id\":\"t\"}", "{\"kind\":\"task\",\"id\":\"t\"}"},
        {A2A_OBJECT_MESSAGE, "{\"role\":\"ROLE_UNSPECIFIED\"}",
         "{\"kind\":\"message\",\"role\":\"agent\"}"},
        {A2A_OBJECT_STATUS, "{\"timestamp\":\"2026-01-02T03:04:05.1+02:00\"}",
         "{\"timestamp\":\"2026-01-02T03:04:05.1+02:00\"}"},
    };

    check_one_way(table, sizeof table / sizeof *table, A2A_1_0);
}

TEST(timestamps_going_up)
{
    static const struct {
        const char *from, *to; /* to NULL: left out */
    } table[] = {
        {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"},
        {"2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456789Z"},
        {"2026-01-02T03:04:05", "2026-01-02T03:04:05.000Z"},
        {"2026-01-02T03:04:05.1234567", "2026-01-02T03:04:05.123Z"},
        {"2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05.000Z"},
        {"2026-01-02T03:04:05.5\\u002B00:00", "2026-01-02T03:04:05.500Z"},
        {"2026-01-02 03:04:05Z", "2026-01-02T03:04:05.000Z"},
        {"2026-01-02t03:04:05z", "2026-01-02T03:04:05.000Z"},
        {"yesterday", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char from[200], to[200];

        snprintf(from, sizeof from, "{\"timestamp\":\"%s\",\"x\":1}", table[i].from);
        if (table[i].to)
            snprintf(to, sizeof to, "{\"timestamp\":\"%s\",\"x\":1}", table[i].to);
        else
            snprintf(to, sizeof to, "{\"x\":1}");
        CHECK_INT(up(A2A_OBJECT_STATUS, from), 0);
        CHECK_STR(str_of(said), str_of(to));
    }
    CHECK_INT(up(A2A_OBJECT_STATUS, "{\"timestamp\":5}"), 0);
    CHECK_STR(str_of(said), STR("{}"));
}

TEST(what_is_refused)
{
    static const struct one_way table[] = {
        PART_BAD("{}"),
        PART_BAD("5"),
        PART_BAD("null"),
        PART_BAD("{\"text\":null}"),
        PART_BAD("{\"kind\":\"text\",\"data\":{}}"),
        PART_BAD("{\"kind\":\"text\",\"text\":5}"),
        PART_BAD("{\"kind\":\"file\",\"file\":{}}"),
        PART_BAD("{\"kind\":\"file\",\"file\":\"u\"}"),
        PART_BAD("{\"kind\":\"file\",\"file\":{\"bytes\":\"\",\"uri\":\"u\"}}"),
        PART_BAD("{\"kind\":\"file\",\"raw\":\"a\",\"file\":{\"bytes\":\"b\"}}"),
        PART_BAD("{\"kind\":\"video\",\"text\":\"a\"}"),
        PART_BAD("{\"kind\":7,\"text\":\"a\"}"),
        PART_BAD("{\"text\":\"a\",\"raw\":\"b\"}"),
        PART_BAD("{\"text\":\"a\",\"t\\u0065xt\":\"b\"}"),
        PART_BAD("{\"file\":{\"uri\":\"a\",\"uri\":\"b\"}}"),
        {A2A_OBJECT_MESSAGE, "{\"parts\":{}}", NULL},
        {A2A_OBJECT_MESSAGE, "{\"parts\":[],\"content\":[]}", NULL},
        {A2A_OBJECT_MESSAGE, "{\"role\":\"bot\"}", NULL},
        {A2A_OBJECT_MESSAGE, "{\"taskId\":\"a\",\"task_id\":\"a\"}", NULL},
        {A2A_OBJECT_MESSAGE, "[]", NULL},
        {A2A_OBJECT_TASK, "{\"status\":\"working\"}", NULL},
        {A2A_OBJECT_TASK, "{\"status\":{\"message\":\"done\"}}", NULL},
        {A2A_OBJECT_TASK, "{\"history\":{}}", NULL},
        {A2A_OBJECT_TASK, "{\"history\":[null]}", NULL},
        {A2A_OBJECT_TASK, "{\"artifacts\":[[]]}", NULL},
        {A2A_OBJECT_STATUS_UPDATE, "{\"status\":[]}", NULL},
        {A2A_OBJECT_ARTIFACT_UPDATE, "{\"artifact\":1}", NULL},
    };

    check_one_way(table, sizeof table / sizeof *table, A2A_0_3);
    CHECK_INT(down(A2A_OBJECT_ARTIFACT, "{\"parts\":[{\"data\":1,\"metadata\":2}]}"),
              ERR_INVALID);
    CHECK_INT(down(A2A_OBJECT_ARTIFACT, "{\"parts\":[{\"data\":1,\"text\":\"a\"}]}"),
              ERR_INVALID);
}

TEST(strict_readers_get_only_what_they_know)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_TASK, .from = A2A_0_3, .to = A2A_1_0, .strict = true};

    CHECK_INT(translate(t, "{\"id\":\"t\",\"x\":1,\"status\":{\"state\":\"working\",\"x\":1,"
                           "\"message\":{\"x\":1,\"content\":\"c\",\"parts\":[{\"text\":\"a\","
                           "\"x\":1,\"metadata\":{\"x\":1}}]}},\"artifacts\":[{\"x\":1}]}"),
              0);
    CHECK_STR(
        str_of(said),
        STR("{\"id\":\"t\",\"status\":{\"state\":\"TASK_STATE_WORKING\",\"message\":"
            "{\"parts\":[{\"text\":\"a\",\"metadata\":{\"x\":1}}]}},\"artifacts\":[{}]}"));
    t.what = A2A_OBJECT_ERROR;
    t.from = A2A_1_0;
    t.to = A2A_0_3;
    CHECK_INT(translate(t, "{\"code\":1,\"x\":1,\"message\":\"m\"}"), 0);
    CHECK_STR(str_of(said), STR("{\"code\":1,\"message\":\"m\"}"));
}

TEST(a_context_is_found_for_0_3)
{
    struct a2a_translation t = {
        .what = A2A_OBJECT_TASK, .from = A2A_1_0, .to = A2A_0_3, .context = STR("c\"")};

    CHECK_INT(translate(t, "{\"id\":\"t\"}"), 0);
    CHECK_STR(str_of(said), STR("{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\\\"\"}"));
    CHECK_INT(translate(t, "{\"contextId\":\"\",\"id\":\"t\"}"), 0);
    CHECK_STR(str_of(said), STR("{\"kind\":\"task\",\"id\":\"t\",\"contextId\":\"c\\\"\"}"));
    CHECK_INT(translate(t, "{\"context_id\":\"own\",\"id\":\"t\"}"), 0);
    CHECK_STR(str_of(said), STR("{\"kind\":\"task\",\"contextId\":\"own\",\"id\":\"t\"}"));
    t.what = A2A_OBJECT_STATUS_UPDATE;
    t.is_last = true;
    CHECK_INT(translate(t, "{\"taskId\":\"t\"}"), 0);
    CHECK_STR(str_of(said), STR("{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":"
                                "\"c\\\"\",\"final\":true}"));
    t.what = A2A_OBJECT_MESSAGE; /* need not have one */
    CHECK_INT(translate(t, "{}"), 0);
    CHECK_STR(str_of(said), STR("{\"kind\":\"message\"}"));
}

TEST(changes_to_the_object_itself)
{
    static const char task[] = "{\"contextId\": \"c\",\"history\": [ {\"x\":1}, {\"x\":2} ],"
                               "\"artifacts\": [ ],\"k\":{ \"history\":[ 1 ]} }";
    struct a2a_translation t = {.what = A2A_OBJECT_TASK, .from = A2A_1_0, .to = A2A_1_0};

    t.trims_history = t.drops_artifacts = true;
    CHECK_INT(translate(t, task), 0);
    CHECK_STR(str_of(said), STR("{\"contextId\":\"c\",\"k\":{\"history\":[1]}}"));
    t.history_max = 1;
    t.replaces_context = true;
    CHECK_INT(translate(t, task), 0);
    CHECK_STR(str_of(said), STR("{\"history\":[{\"x\":2}],\"k\":{\"history\":[1]}}"));
    t.history_max = UINT64_MAX;
    t.context = STR("new");
    t.to = A2A_0_3;
    CHECK_INT(translate(t, task), 0);
    CHECK_STR(str_of(said),
              STR("{\"kind\":\"task\",\"history\":[{\"kind\":\"message\",\"x\":1},"
                  "{\"kind\":\"message\",\"x\":2}],\"k\":{\"history\":[1]},"
                  "\"contextId\":\"new\"}"));
}

TEST(a_full_buffer_is_told_by_the_buffer)
{
    for (size_t max = 1; max < 60; max++) {
        struct a2a_translation t = {.what = A2A_OBJECT_TASK, .from = A2A_0_3, .to = A2A_1_0};
        struct buf out;

        buf_init(&out, max);
        CHECK_INT(a2a_translate(&out, &t, str_of(goldens[0].v0_3), &why), 0);
        CHECK_INT(buf_error(&out), ERR_LIMIT);
        buf_release(&out);
    }
}

/* Every single changed byte of a good object: what is still JSON is translated or refused, and what was
 * translated is JSON (translate() checks that). */
TEST(broken_objects)
{
    static const char changes[] = "\"{}[],:0 \\nx";

    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        char object[2000];
        size_t n = strlen(goldens[i].v0_3);

        for (size_t at = 0; at < n; at++) {
            for (size_t c = 0; c < sizeof changes - 1; c++) {
                memcpy(object, goldens[i].v0_3, n + 1);
                object[at] = changes[c];
                if (json_scan(str_of(object), NULL, NULL, 0, NULL))
                    continue;
                if (up(goldens[i].what, object) == 0)
                    continue;
                CHECK(why[0] != '\0');
            }
        }
    }
}

/* --- random objects ----------------------------------------------------------------------------------- */

/* The model says everything twice, in 0.3 and in 1.0. */
struct pair {
    struct buf old, new;
    uint64_t seed;
};

static unsigned roll(struct pair *p, unsigned n)
{
    p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(p->seed >> 33) % n;
}

static void say(struct pair *p, const char *old, const char *new)
{
    buf_add_str(&p->old, str_of(old));
    buf_add_str(&p->new, str_of(new));
}

static void both(struct pair *p, const char *text)
{
    say(p, text, text);
}

static void say_string(struct pair *p)
{
    static const char *const strings[] = {
        "\"\"",
        "\"a\"",
        "\"\\u0000\\ud83d\\ude00\"",
        "\"\\\"kind\\\":\\\"task\\\"\"",
        "\"\\\\\"",
        "\"{[,:]}\"",
        "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "\"a long text: 0123456789\"",
        "\"\\/\\b\\f\"",
    };

    both(p, strings[roll(p, sizeof strings / sizeof *strings)]);
}

static void say_any(struct pair *p, unsigned depth);

static void say_free_object(struct pair *p, unsigned depth)
{
    static const char *const keys[] = {"kind",    "role",       "parts", "state",
                                       "history", "",           "text",  "value",
                                       "final",   "k\\u0069nd", "x",     "data"};
    unsigned n = roll(p, 4);

    both(p, "{");
    for (unsigned i = 0; i < n; i++) {
        both(p, i ? ",\"" : "\"");
        both(p, keys[roll(p, sizeof keys / sizeof *keys)]);
        both(p, "\":");
        say_any(p, depth + 1);
    }
    both(p, "}");
}

static void say_any(struct pair *p, unsigned depth)
{
    static const char *const scalars[] = {
        "0",     "-0",   "1e400", "0.10",  "123456789012345678901234567890",
        "1E-07", "true", "null",  "false", "-1.0e+0"};
    unsigned kind = roll(p, depth > 3 ? 3 : 5);

    if (kind == 0) {
        say_string(p);
    } else if (kind < 3) {
        both(p, scalars[roll(p, sizeof scalars / sizeof *scalars)]);
    } else if (kind == 3) {
        both(p, "[");
        for (unsigned i = 0, n = roll(p, 3); i < n; i++) {
            both(p, i ? "," : "");
            say_any(p, depth + 1);
        }
        both(p, "]");
    } else {
        say_free_object(p, depth);
    }
}

/* Metadata that is there and is not the wrapper's mark. */
static void may_say_metadata(struct pair *p)
{
    if (roll(p, 2))
        return;
    both(p, ",\"metadata\":");
    say_free_object(p, 1);
}

static void say_wrapped_data(struct pair *p)
{
    say(p, "{\"kind\":\"data\",\"data\":{\"value\":", "{\"data\":");
    switch (roll(p, 3)) {
    case 0:
        both(p, "[1,{\"kind\":2}]");
        break;
    case 1:
        both(p, "null");
        break;
    default:
        say_string(p);
    }
    say(p, "}", "");
    if (roll(p, 2))
        say(p, ",\"metadata\":{\"data_part_compat\":true}", "");
    else
        say(p, ",\"metadata\":{\"a\":[true],\"data_part_compat\":true}",
            ",\"metadata\":{\"a\":[true]}");
}

static void say_file(struct pair *p)
{
    if (roll(p, 2))
        say(p, "{\"kind\":\"file\",\"file\":{\"bytes\":\"aGVsbG8=\"", "{\"raw\":\"aGVsbG8=\"");
    else
        say(p, "{\"kind\":\"file\",\"file\":{\"uri\":\"https://x/?a=b\"",
            "{\"url\":\"https://x/?a=b\"");
    if (roll(p, 2))
        say(p, ",\"name\":\"n\\u0041\"", ",\"filename\":\"n\\u0041\"");
    if (roll(p, 2))
        say(p, ",\"mimeType\":\"text/plain\"", ",\"mediaType\":\"text/plain\"");
    say(p, "}", "");
    may_say_metadata(p);
}

static void say_part(struct pair *p)
{
    switch (roll(p, 4)) {
    case 0:
        say_file(p);
        break;
    case 1:
        say_wrapped_data(p);
        break;
    case 2:
        say(p, "{\"kind\":\"data\",\"data\":", "{\"data\":");
        say_free_object(p, 1);
        may_say_metadata(p);
        break;
    default:
        say(p, "{\"kind\":\"text\",\"text\":", "{\"text\":");
        say_string(p);
        may_say_metadata(p);
    }
    if (roll(p, 4) == 0)
        both(p, ",\"unknown\":[{\"kind\":\"text\"}]");
    both(p, "}");
}

static void say_parts(struct pair *p)
{
    both(p, ",\"parts\":[");
    for (unsigned i = 0, n = roll(p, 3); i < n; i++) {
        both(p, i ? "," : "");
        say_part(p);
    }
    both(p, "]");
}

static void say_message(struct pair *p)
{
    say(p, "{\"kind\":\"message\",\"messageId\":\"m\"", "{\"messageId\":\"m\"");
    if (roll(p, 2))
        both(p, ",\"contextId\":\"\\u0063\"");
    if (roll(p, 2))
        say(p, ",\"role\":\"user\"", ",\"role\":\"ROLE_USER\"");
    else
        say(p, ",\"role\":\"agent\"", ",\"role\":\"ROLE_AGENT\"");
    say_parts(p);
    if (roll(p, 3) == 0)
        both(p, ",\"referenceTaskIds\":[\"r\"],\"unknown\":{\"role\":\"user\"}");
    may_say_metadata(p);
    both(p, "}");
}

static bool say_status(struct pair *p)
{
    enum a2a_state state = (enum a2a_state)roll(p, A2A_STATE_AUTH_REQUIRED + 1);

    both(p, ",\"status\":{\"state\":\"");
    say(p, a2a_state_name(state, A2A_0_3), a2a_state_name(state, A2A_1_0));
    both(p, "\"");
    if (roll(p, 2)) {
        both(p, ",\"message\":");
        say_message(p);
    }
    if (roll(p, 2))
        both(p, ",\"timestamp\":\"2026-11-23T01:02:03.456789Z\"");
    both(p, "}");
    return a2a_state_is_terminal(state);
}

static void say_artifact(struct pair *p)
{
    both(p, "{\"artifactId\":");
    say_string(p);
    say_parts(p);
    may_say_metadata(p);
    both(p, "}");
}

static void say_task(struct pair *p)
{
    say(p, "{\"kind\":\"task\",\"id\":\"t\"", "{\"id\":\"t\"");
    both(p, ",\"contextId\":\"c\"");
    may_say_metadata(p);
    say_status(p);
    if (roll(p, 2)) {
        both(p, ",\"history\":[");
        for (unsigned i = 0, n = roll(p, 3); i < n; i++) {
            both(p, i ? "," : "");
            say_message(p);
        }
        both(p, "]");
    }
    if (roll(p, 2)) {
        both(p, ",\"artifacts\":[");
        for (unsigned i = 0, n = roll(p, 3); i < n; i++) {
            both(p, i ? "," : "");
            say_artifact(p);
        }
        both(p, "]");
    }
    both(p, "}");
}

static enum a2a_object say_object(struct pair *p)
{
    switch (roll(p, 4)) {
    case 0:
        say_message(p);
        return A2A_OBJECT_MESSAGE;
    case 1:
        say(p, "{\"kind\":\"status-update\",\"taskId\":\"t\"", "{\"taskId\":\"t\"");
        both(p, ",\"contextId\":\"c\"");
        say(p, say_status(p) ? ",\"final\":true}" : ",\"final\":false}", "}");
        return A2A_OBJECT_STATUS_UPDATE;
    case 2:
        say(p, "{\"kind\":\"artifact-update\",\"taskId\":\"t\"", "{\"taskId\":\"t\"");
        both(p, ",\"append\":true,\"artifact\":");
        say_artifact(p);
        both(p, ",\"lastChunk\":true}");
        return A2A_OBJECT_ARTIFACT_UPDATE;
    default:
        say_task(p);
        return A2A_OBJECT_TASK;
    }
}

/* The same JSON with whitespace between its tokens. */
static void write_loose(struct buf *out, struct str text)
{
    bool is_inside = false;

    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];

        if (is_inside && c == '\\')
            buf_add_char(out, text.p[i++]);
        else if (c == '"')
            is_inside = !is_inside;
        buf_add_char(out, text.p[i]);
        if (!is_inside && strchr("\"{}[],:", text.p[i]))
            buf_add_str(out, STR(" \n"));
    }
}

static bool is_said(const struct a2a_translation *t, struct str from, struct str want)
{
    struct buf out;
    bool same;

    buf_init(&out, MB(1));
    same = a2a_translate(&out, t, from, &why) == 0 && str_is(buf_str(&out), want);
    if (!same)
        printf("    %.*s\n    gave %.*s\n    not  %.*s\n", STR_ARG(from),
               STR_ARG(buf_str(&out)), STR_ARG(want));
    buf_release(&out);
    return same;
}

TEST(random_objects_in_both_versions)
{
    static const uint64_t first_seed = 20261123;

    for (uint64_t seed = first_seed; seed < first_seed + 20000 && !test_failures; seed++) {
        struct pair p = {.seed = seed * 0x9e3779b97f4a7c15u};
        struct a2a_translation t = {.from = A2A_0_3, .to = A2A_1_0};
        struct buf loose;

        buf_init(&p.old, MB(1));
        buf_init(&p.new, MB(1));
        buf_init(&loose, MB(1));
        t.what = say_object(&p);
        write_loose(&loose, buf_str(&p.old));
        CHECK(is_said(&t, buf_str(&p.old), buf_str(&p.new)));
        CHECK(is_said(&t, buf_str(&loose), buf_str(&p.new)));
        t = (struct a2a_translation){.what = t.what, .from = A2A_1_0, .to = A2A_0_3};
        CHECK(is_said(&t, buf_str(&p.new), buf_str(&p.old)));
        if (test_failures)
            printf("    seed %llu\n", (unsigned long long)seed);
        buf_release(&p.old);
        buf_release(&p.new);
        buf_release(&loose);
    }
}

TEST_MAIN
