/* SPDX-License-Identifier: MIT
 *
 * The fold: tables of single steps, and random programs against a naive model that keeps a task as four strings.
 * fold_model.c has one that knows artifacts, and liars.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "a2a/a2a.h"

static char folded[16384];

static int fold(const char *doc, enum a2a_event_kind kind, const char *payload)
{
    struct a2a_event event = {.kind = kind};
    struct buf out, minified;
    int err;

    buf_init(&out, MB(1));
    buf_init(&minified, MB(1));
    json_minify(&minified, str_of(payload));
    event.payload = buf_str(&minified);
    err = a2a_event_fold(str_of(doc), &event, &out);
    snprintf(folded, sizeof folded, "%.*s", STR_ARG(buf_str(&out)));
    buf_release(&out);
    buf_release(&minified);
    return err;
}

TEST(a_snapshot_begins_a_task)
{
    CHECK_INT(
        fold(NULL, A2A_EVENT_TASK, "{ \"id\":\"t\", \"status\":{\"state\":\"working\"} }"), 0);
    CHECK_STR(str_of(folded), STR("{\"id\":\"t\",\"status\":{\"state\":\"working\"}}"));
    CHECK_INT(fold(NULL, A2A_EVENT_STATUS, "{\"state\":\"working\"}"), ERR_INVALID);
    CHECK_INT(fold(NULL, A2A_EVENT_TASK, "[]"), ERR_INVALID);
}

TEST(absent_artifacts_and_history_are_kept)
{
    const char *doc =
        "{\"id\":\"t\",\"status\":{\"state\":\"working\"},\"artifacts\":[1],\"history\":[2]}";

    CHECK_INT(fold(doc, A2A_EVENT_TASK, "{\"id\":\"t\",\"status\":{\"state\":\"completed\"}}"),
              0);
    CHECK_STR(
        str_of(folded),
        STR("{\"id\":\"t\",\"status\":{\"state\":\"completed\"},\"artifacts\":[1],\"history\":[2]}"));
    CHECK_INT(
        fold(
            doc, A2A_EVENT_TASK,
            "{\"id\":\"t\",\"history\":[],\"status\":{\"state\":\"working\"},\"artifacts\":null}"),
        0);
    CHECK_STR(
        str_of(folded),
        STR("{\"id\":\"t\",\"history\":[],\"status\":{\"state\":\"working\"},\"artifacts\":[1]}"));
}

TEST(the_same_again_changes_nothing)
{
    const char *doc = "{\"id\":\"t\",\"status\":{\"state\":\"completed\"}}";

    CHECK_INT(
        fold(doc, A2A_EVENT_TASK, " {\"id\" : \"t\",\"status\":{\"state\":\"completed\"}}"), 1);
    CHECK_INT(fold(doc, A2A_EVENT_MESSAGE, "{}"), 1);
}

/* Spellings that serializers of agents produce. */
TEST(tasks_are_read_liberally)
{
    static const char doc[] =
        "{\"id\":\"t\",\"context_id\":\"c\",\"history\":null,\"status\":{\"state\":\"TASK_STATE_CANCELLED\","
        "\"timestamp\":\"2026-01-02T03:04:05.1234567\\u002B01:00\"}}";
    struct a2a_task task;
    struct arena arena;
    const char *why;

    arena_init(&arena, KB(64));
    CHECK_INT(a2a_task_read(str_of(doc), &arena, &task, &why), 0);
    CHECK_STR(task.context_id, STR("c"));
    CHECK_STR(task.history, STR_NONE);
    CHECK_INT(task.state, A2A_STATE_CANCELED);
    CHECK_INT(task.status_at_us, 1767319445123456);
    CHECK_INT(a2a_task_read(STR("{\"id\":\"t\",\"status\":{\"state\":1,\"timestamp\":\"x\"}}"),
                            &arena, &task, &why),
              0);
    CHECK_INT(task.status_at_us, 0);
    arena_release(&arena);
}

TEST(terminal_is_final)
{
    static const char *const finals[] = {
        "completed",           "failed", "canceled", "rejected", "TASK_STATE_COMPLETED",
        "TASK_STATE_CANCELLED"};

    for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
        char doc[200];

        snprintf(doc, sizeof doc, "{\"id\":\"t\",\"status\":{\"state\":\"%s\"}}", finals[i]);
        CHECK_INT(
            fold(doc, A2A_EVENT_TASK, "{\"id\":\"t\",\"status\":{\"state\":\"working\"}}"),
            ERR_FINAL);
        CHECK_INT(fold(doc, A2A_EVENT_STATUS, "{\"state\":\"working\"}"), ERR_FINAL);
    }
    CHECK_INT(fold("{\"id\":\"t\",\"status\":{\"state\":\"input-required\"}}", A2A_EVENT_STATUS,
                   "{\"state\":\"working\"}"),
              0);
}

TEST(an_old_status_message_moves_to_history)
{
    CHECK_INT(
        fold("{\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}},\"x\":3}",
             A2A_EVENT_STATUS, "{\"state\":\"completed\"}"),
        0);
    CHECK_STR(
        str_of(folded),
        STR("{\"id\":\"t\",\"status\":{\"state\":\"completed\"},\"x\":3,\"history\":[{\"m\":1}]}"));
    CHECK_INT(
        fold(
            "{\"history\":[0],\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}}}",
            A2A_EVENT_STATUS, "{\"state\":\"completed\"}"),
        0);
    CHECK_STR(
        str_of(folded),
        STR("{\"history\":[0,{\"m\":1}],\"id\":\"t\",\"status\":{\"state\":\"completed\"}}"));
    CHECK_INT(
        fold(
            "{\"history\":[],\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}}}",
            A2A_EVENT_STATUS, "{\"state\":\"working\"}"),
        0);
    CHECK_STR(str_of(folded),
              STR("{\"history\":[{\"m\":1}],\"id\":\"t\",\"status\":{\"state\":\"working\"}}"));
}

/* A history that is no list was made into what is no JSON. */
TEST(what_is_no_history_gives_way)
{
    static const char *const bad[] = {"{\"a\":1}", "\"text\"", "5", "null", "true"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char doc[200];

        snprintf(doc, sizeof doc,
                 "{\"history\":%s,\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":"
                 "{\"m\":1}}}",
                 bad[i]);
        CHECK_INT(fold(doc, A2A_EVENT_STATUS, "{\"state\":\"completed\"}"), 0);
        CHECK_STR(
            str_of(folded),
            STR("{\"history\":[{\"m\":1}],\"id\":\"t\",\"status\":{\"state\":\"completed\"}}"));
    }
    /* nor is a message that is no object one to be remembered */
    CHECK_INT(fold("{\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":\"m\"}}",
                   A2A_EVENT_STATUS, "{\"state\":\"completed\"}"),
              0);
    CHECK_STR(str_of(folded), STR("{\"id\":\"t\",\"status\":{\"state\":\"completed\"}}"));
}

TEST(a_status_that_is_repeated)
{
    static const char doc[] =
        "{\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}}}";

    CHECK_INT(fold(doc, A2A_EVENT_STATUS, "{\"state\":\"working\",\"message\":{\"m\":1}}"), 1);
    CHECK_INT(fold(doc, A2A_EVENT_STATUS_UPDATE,
                   "{\"taskId\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}},"
                   "\"metadata\":{\"progress\":2}}"),
              1);
}

/* --- updates --- */

#define DOC(members) "{\"id\":\"t\",\"status\":{\"state\":\"working\"}" members "}"
#define UPDATE(artifact, more) "{\"taskId\":\"t\",\"artifact\":" artifact more "}"
#define APPEND ",\"append\":true"

static void check_fold(const char *doc, enum a2a_event_kind kind, const char *payload,
                       const char *want)
{
    int err = fold(doc, kind, payload);

    CHECK_INT(err, 0);
    if (!err)
        CHECK_STR(str_of(folded), str_of(want));
}

TEST(status_updates)
{
    check_fold(
        "{\"kind\":\"task\",\"id\":\"t\",\"history\":[0],\"status\":{\"state\":\"submitted\","
        "\"message\":{\"m\":1}},\"x\":3}",
        A2A_EVENT_STATUS_UPDATE,
        "{\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"final\":true,"
        "\"status\":{\"state\":\"working\", \"message\":{\"m\":2}},\"metadata\":{\"a\":1}}",
        "{\"kind\":\"task\",\"id\":\"t\",\"history\":[0,{\"m\":1}],\"status\":{\"state\":"
        "\"working\",\"message\":{\"m\":2}},\"x\":3}");
    check_fold(DOC(""), A2A_EVENT_STATUS_UPDATE,
               "{\"task_id\":\"\\u0074\",\"status\":{\"state\":5}}",
               "{\"id\":\"t\",\"status\":{\"state\":5}}");
}

TEST(artifacts_come)
{
#define A "{\"artifactId\":\"a\",\"parts\":[1]}"
#define B "{\"artifactId\":\"b\",\"parts\":[2]}"
#define C "{\"name\":\"c\",\"artifact_id\":\"a\",\"parts\":[3]}"
    static const struct {
        const char *doc, *update, *want;
    } table[] = {
        {DOC(""), UPDATE(A, ""), DOC(",\"artifacts\":[" A "]")},
        {DOC(",\"artifacts\":[],\"x\":1"), UPDATE(A, ""),
         DOC(",\"artifacts\":[" A "],\"x\":1")},
        {DOC(",\"artifacts\":null"), UPDATE(A, ""), DOC(",\"artifacts\":[" A "]")},
        {DOC(",\"artifacts\":{}"), UPDATE(A, ""), DOC(",\"artifacts\":[" A "]")},
        {DOC(",\"artifacts\":[" A "]"), UPDATE(B, ""), DOC(",\"artifacts\":[" A "," B "]")},
        {DOC(",\"artifacts\":[" A "," B "]"), UPDATE(C, ""),
         DOC(",\"artifacts\":[" C "," B "]")},
        {DOC(",\"artifacts\":[5,{},[]," A "," B "]"), UPDATE(C, ""),
         DOC(",\"artifacts\":[5,{},[]," C "," B "]")},
        {DOC(",\"artifacts\":[" A "," A "]"), UPDATE(C, ""),
         DOC(",\"artifacts\":[" C "," A "]")},
        /* appended to nothing: nothing is lost */
        {DOC(""), UPDATE(A, APPEND), DOC(",\"artifacts\":[" A "]")},
        {DOC(",\"artifacts\":[" B "]"), UPDATE(A, APPEND), DOC(",\"artifacts\":[" B "," A "]")},
        /* only true is true */
        {DOC(",\"artifacts\":[" B "]"), UPDATE(B, ",\"append\":\"true\",\"lastChunk\":true"),
         NULL},
        {DOC(",\"artifacts\":[{\"artifactId\":\"\\u0061\"}]"), UPDATE(A, ""),
         DOC(",\"artifacts\":[" A "]")},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].want)
            check_fold(table[i].doc, A2A_EVENT_ARTIFACT_UPDATE, table[i].update, table[i].want);
        else
            CHECK_INT(fold(table[i].doc, A2A_EVENT_ARTIFACT_UPDATE, table[i].update), 1);
    }
#undef A
#undef B
#undef C
}

TEST(chunks_are_appended)
{
/* The space in `x` is there to see that nothing is written anew. */
#define STORED(members) DOC(",\"artifacts\":[0,{\"artifactId\":\"a\"" members "},{}],\"x\":[ ]")
#define CHUNK(members) UPDATE("{\"artifactId\":\"a\"" members "}", APPEND)
    static const struct {
        const char *doc, *update, *want;
    } table[] = {
        {STORED(",\"parts\":[1]"), CHUNK(",\"parts\":[2,3]"), STORED(",\"parts\":[1,2,3]")},
        {STORED(",\"parts\":[1]"), CHUNK(",\"parts\":[]"), NULL},
        {STORED(",\"parts\":[1]"), CHUNK(",\"parts\":null"), NULL},
        {STORED(",\"parts\":[1]"), CHUNK(""), NULL},
        {STORED(",\"parts\":[],\"y\":2"), CHUNK(",\"parts\":[1]"),
         STORED(",\"parts\":[1],\"y\":2")},
        {STORED(",\"y\":2"), CHUNK(",\"parts\":[1]"), STORED(",\"y\":2,\"parts\":[1]")},
        {STORED(",\"parts\":null"), CHUNK(",\"parts\":[1]"), STORED(",\"parts\":[1]")},
        {STORED(",\"parts\":{}"), CHUNK(",\"parts\":[1]"), STORED(",\"parts\":[1]")},
        {STORED(",\"content\":[1]"), CHUNK(",\"parts\":[2]"), STORED(",\"content\":[1,2]")},
        {STORED(",\"parts\":[1]"), CHUNK(",\"content\":[2]"), STORED(",\"parts\":[1,2]")},
        /* metadata: the chunk's members win, the stored order stays */
        {STORED(",\"metadata\":{\"a\":1,\"b\":2.0},\"parts\":[1]"),
         CHUNK(",\"parts\":[2],\"metadata\":{\"c\":3,\"\\u0061\":[4]}"),
         STORED(",\"metadata\":{\"a\":[4],\"b\":2.0,\"c\":3},\"parts\":[1,2]")},
        {STORED(",\"parts\":[1],\"metadata\":{}"), CHUNK(",\"metadata\":{\"a\":1}"),
         STORED(",\"parts\":[1],\"metadata\":{\"a\":1}")},
        {STORED(",\"parts\":[1]"), CHUNK(",\"parts\":[],\"metadata\":{\"a\":1}"),
         STORED(",\"parts\":[1],\"metadata\":{\"a\":1}")},
        {STORED(",\"metadata\":null"), CHUNK(",\"metadata\":{\"a\":1}"),
         STORED(",\"metadata\":{\"a\":1}")},
        {STORED(",\"metadata\":[1]"), CHUNK(",\"metadata\":{\"a\":1}"),
         STORED(",\"metadata\":{\"a\":1}")},
        {STORED(",\"metadata\":{\"a\":1}"), CHUNK(",\"metadata\":{}"), NULL},
        {STORED(",\"metadata\":{\"a\":1}"), CHUNK(",\"metadata\":5"), NULL},
        /* name, description, extensions: only where there is none */
        {STORED(",\"name\":\"n\""), CHUNK(",\"name\":\"m\",\"description\":\"d\""),
         STORED(",\"name\":\"n\",\"description\":\"d\"")},
        {STORED(",\"description\":null,\"parts\":[1]"),
         CHUNK(",\"name\":null,\"extensions\":[\"e\"],\"parts\":[2],\"description\":\"d\""),
         STORED(",\"description\":\"d\",\"parts\":[1,2],\"extensions\":[\"e\"]")},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].want)
            check_fold(table[i].doc, A2A_EVENT_ARTIFACT_UPDATE, table[i].update, table[i].want);
        else
            CHECK_INT(fold(table[i].doc, A2A_EVENT_ARTIFACT_UPDATE, table[i].update), 1);
    }
#undef STORED
#undef CHUNK
}

TEST(liars)
{
    static const struct {
        enum a2a_event_kind kind;
        const char *payload;
    } table[] = {
        {A2A_EVENT_STATUS_UPDATE, "{\"taskId\":\"u\",\"status\":{\"state\":\"working\"}}"},
        {A2A_EVENT_STATUS_UPDATE, "{\"taskId\":5,\"status\":{\"state\":\"working\"}}"},
        {A2A_EVENT_STATUS_UPDATE, "{\"status\":{\"state\":\"working\"}}"},
        {A2A_EVENT_STATUS_UPDATE, "{\"taskId\":\"t\",\"status\":{}}"},
        {A2A_EVENT_STATUS_UPDATE, "{\"taskId\":\"t\",\"status\":\"working\"}"},
        {A2A_EVENT_STATUS_UPDATE, "{\"taskId\":\"t\",\"status\":null}"},
        {A2A_EVENT_STATUS_UPDATE,
         "{\"taskId\":\"t\",\"task_id\":\"t\",\"status\":{\"state\":1}}"},
        {A2A_EVENT_STATUS_UPDATE, "[]"},
        {A2A_EVENT_STATUS, "{}"},
        {A2A_EVENT_STATUS, "\"working\""},
        {A2A_EVENT_ARTIFACT_UPDATE, "{\"taskId\":\"u\",\"artifact\":{\"artifactId\":\"a\"}}"},
        {A2A_EVENT_ARTIFACT_UPDATE, "{\"artifact\":{\"artifactId\":\"a\"}}"},
        {A2A_EVENT_ARTIFACT_UPDATE, UPDATE("{}", "")},
        {A2A_EVENT_ARTIFACT_UPDATE, UPDATE("5", "")},
        {A2A_EVENT_ARTIFACT_UPDATE, UPDATE("{\"artifactId\":5}", "")},
        {A2A_EVENT_ARTIFACT_UPDATE, UPDATE("{\"artifactId\":\"\"}", "")},
        {A2A_EVENT_ARTIFACT_UPDATE, UPDATE("{\"artifactId\":\"a\",\"parts\":{}}", "")},
        {A2A_EVENT_ARTIFACT_UPDATE,
         UPDATE("{\"artifactId\":\"a\",\"parts\":[],\"parts\":[]}", "")},
        {A2A_EVENT_SYNC, "{\"id\":\"u\",\"status\":null}"},
        {A2A_EVENT_SYNC, "{\"id\":\"t\"}"},
        {A2A_EVENT_SYNC, "{\"status\":null}"},
        {A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":5}"},
        {A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null,\"status\":null}"},
        {A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null,\"contextId\":7}"},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        CHECK_INT(fold(DOC(""), table[i].kind, table[i].payload), ERR_INVALID);
        CHECK_STR(str_of(folded), STR(""));
        CHECK_INT(fold(NULL, table[i].kind, table[i].payload), ERR_INVALID);
    }
    CHECK_INT(fold("{\"id\":\"t\"}", A2A_EVENT_STATUS, "{\"state\":1}"), ERR_INVALID);
    CHECK_INT(fold("[]", A2A_EVENT_STATUS, "{\"state\":1}"), ERR_INVALID);
}

TEST(updates_of_a_terminal_task)
{
#define OVER(members) "{\"id\":\"t\",\"status\":{\"state\":\"completed\"}" members "}"
    static const char doc[] = OVER(",\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[1]}]");
    struct a2a_event event = {A2A_EVENT_ARTIFACT_UPDATE, STR_NONE};
    struct buf out;

    CHECK_INT(fold(doc, A2A_EVENT_STATUS_UPDATE,
                   "{\"taskId\":\"t\",\"status\":{\"state\":\"working\"}}"),
              ERR_FINAL);
    CHECK_INT(fold(doc, A2A_EVENT_STATUS_UPDATE,
                   "{\"taskId\":\"t\",\"status\":{\"state\":\"completed\"}}"),
              1);
    CHECK_INT(fold(doc, A2A_EVENT_ARTIFACT_UPDATE, UPDATE("{\"artifactId\":\"b\"}", "")),
              ERR_FINAL);
    CHECK_INT(fold(doc, A2A_EVENT_ARTIFACT_UPDATE,
                   UPDATE("{\"artifactId\":\"a\",\"parts\":[1]}", "")),
              1);
    CHECK_INT(fold(doc, A2A_EVENT_ARTIFACT_UPDATE,
                   UPDATE("{\"artifactId\":\"a\",\"parts\":[2]}", APPEND)),
              ERR_FINAL);
    CHECK_INT(fold(doc, A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null}"), ERR_FINAL);
    CHECK_INT(fold(doc, A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null,\"artifacts\":null}"),
              1);
    /* also when there would be no room for it */
    event.payload = STR(UPDATE("{\"artifactId\":\"b\",\"parts\":[\"0123456789\"]}", ""));
    buf_init(&out, sizeof doc);
    CHECK_INT(a2a_event_fold(STR(OVER("")), &event, &out), ERR_FINAL);
    buf_release(&out);
#undef OVER
}

TEST(what_no_update_can_say)
{
#define SAYING(members)                                                                        \
    "{\"id\":\"t\",\"status\":{\"state\":\"working\",\"message\":{\"m\":1}}" members "}"
    check_fold(SAYING(",\"artifacts\":[1],\"history\":[2],\"metadata\":{}"), A2A_EVENT_SYNC,
               "{\"kind\":\"task\",\"history\":null,\"id\":\"t\",\"artifacts\":null,"
               "\"status\":null,\"x\":null}",
               "{\"kind\":\"task\",\"history\":[2],\"id\":\"t\",\"artifacts\":[1],\"status\":"
               "{\"state\":\"working\",\"message\":{\"m\":1}},\"x\":null}");
    check_fold(SAYING(""), A2A_EVENT_SYNC,
               "{\"id\":\"t\",\"artifacts\":null,\"history\":[{\"m\":1}],\"status\":{}}",
               "{\"id\":\"t\",\"history\":[{\"m\":1}],\"status\":{\"state\":\"working\"}}");
    check_fold(SAYING(",\"artifacts\":[1],\"history\":[2]"), A2A_EVENT_SYNC,
               "{\"id\":\"t\",\"status\":null}", SAYING(""));
    check_fold(SAYING(""), A2A_EVENT_SYNC, "{\"id\":\"t\",\"status\":null,\"artifacts\":[7]}",
               SAYING(",\"artifacts\":[7]"));
#undef SAYING
}

/* A hundred thousand keys of metadata, and as many again: sorted, not compared each with each. */
TEST(metadata_without_end)
{
    struct buf doc, payload, out;
    struct a2a_event event = {A2A_EVENT_ARTIFACT_UPDATE, STR_NONE};

    buf_init(&doc, MB(4));
    buf_init(&payload, MB(4));
    buf_init(&out, MB(8));
    BUF_LIT(&doc, "{\"id\":\"t\",\"status\":{\"state\":1},\"artifacts\":[{\"artifactId\":\"a\","
                  "\"metadata\":{\"\":0");
    BUF_LIT(&payload, "{\"taskId\":\"t\",\"append\":true,\"artifact\":{\"artifactId\":\"a\","
                      "\"metadata\":{\"\":1");
    for (int i = 0; i < 50000; i++) {
        buf_printf(&doc, ",\"k%d\":0", i);
        buf_printf(&payload, ",\"k%d\":1", 49999 - i + i % 2 * 50000);
    }
    BUF_LIT(&doc, "}}]}");
    BUF_LIT(&payload, "}}}");
    event.payload = buf_str(&payload);
    CHECK_INT(a2a_event_fold(buf_str(&doc), &event, &out), 0);
    CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    CHECK(str_has_prefix(buf_str(&out),
                         STR("{\"id\":\"t\",\"status\":{\"state\":1},\"artifacts\":[{"
                             "\"artifactId\":\"a\",\"metadata\":{\"\":1,\"k0\":0,\"k1\":1,")));
    /* A million is more than the fold takes into its memory. */
    buf_clear(&payload);
    payload.max = MB(16);
    BUF_LIT(&payload, "{\"taskId\":\"t\",\"append\":true,\"artifact\":{\"artifactId\":\"a\","
                      "\"metadata\":{\"\":1");
    for (int i = 0; i < 1000000; i++)
        BUF_LIT(&payload, ",\"\":1");
    BUF_LIT(&payload, "}}}");
    event.payload = buf_str(&payload);
    buf_clear(&out);
    out.max = MB(16);
    CHECK_INT(a2a_event_fold(buf_str(&doc), &event, &out), ERR_NOMEM);
    CHECK_INT(out.n, 0);
    buf_release(&doc);
    buf_release(&payload);
    buf_release(&out);
}

TEST(too_large_is_a_limit)
{
    struct a2a_event event = {
        A2A_EVENT_TASK,
        STR("{\"id\":\"t\",\"status\":{\"state\":\"working\"},\"x\":\"yyyyyyyy\"}")};
    struct buf out;

    buf_init(&out, 20);
    CHECK_INT(a2a_event_fold(STR_NONE, &event, &out), ERR_LIMIT);
    CHECK_INT(out.n, 0);
    buf_release(&out);
}

TEST(the_gateways_own_word)
{
    struct buf status, doc;
    struct a2a_event event = {A2A_EVENT_STATUS, STR_NONE};
    struct a2a_task task;
    struct arena arena;
    const char *why;

    arena_init(&arena, KB(64));
    for (int v = A2A_0_3; v <= A2A_1_0; v++) {
        buf_init(&status, KB(4));
        buf_init(&doc, KB(4));
        a2a_status_write_failed(&status, (enum a2a_version)v, STR("t\"1"),
                                STR("2026-01-01T00:00:00.000Z"), STR("m"),
                                "grew \"too\" large");
        event.payload = buf_str(&status);
        CHECK_INT(a2a_event_fold(STR("{\"id\":\"t\",\"status\":{\"state\":\"working\"}}"),
                                 &event, &doc),
                  0);
        CHECK_INT(a2a_task_read(buf_str(&doc), &arena, &task, &why), 0);
        CHECK_INT(task.state, A2A_STATE_FAILED);
        CHECK(task.status_at_us > 0);
        buf_release(&status);
        buf_release(&doc);
    }
    arena_release(&arena);
}

/* --- against a model --- */

/* A task, naively: its members as texts. */
struct model {
    bool exists;
    char state[32], message[64], history[8192], artifacts[64];
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static void model_write(const struct model *m, char *out, size_t room)
{
    char status[160];

    snprintf(status, sizeof status, "{\"state\":\"%s\"%s%s}", m->state,
             m->message[0] ? ",\"message\":" : "", m->message);
    snprintf(out, room, "{\"id\":\"t\",\"status\":%s%s%s%s%s}", status,
             m->artifacts[0] ? ",\"artifacts\":" : "", m->artifacts,
             m->history[0] ? ",\"history\":" : "", m->history);
}

static bool is_final(const char *state)
{
    return !strcmp(state, "completed") || !strcmp(state, "failed");
}

static void model_move_message(struct model *m)
{
    size_t n = strlen(m->history);

    if (!m->message[0])
        return;
    if (n > 2)
        snprintf(m->history + n - 1, sizeof m->history - n + 1, ",%s]", m->message);
    else
        snprintf(m->history, sizeof m->history, "[%s]", m->message);
}

static void random_program(unsigned seed)
{
    static const char *const states[] = {"submitted", "working",   "input-required", "working",
                                         "working",   "completed", "failed"};
    struct model m = {.state = "submitted", .exists = true};
    char doc[16384], want[16384], payload[400];

    model_write(&m, doc, sizeof doc);
    for (int step = 0; step < 40; step++) {
        struct model next = m;
        bool is_snapshot = next_random(&seed) % 2;
        enum a2a_event_kind kind = is_snapshot ? A2A_EVENT_TASK : A2A_EVENT_STATUS;
        int err, expected;

        snprintf(next.state, sizeof next.state, "%s",
                 states[next_random(&seed) % (step < 30 ? 5 : 7)]);
        if (!is_snapshot)
            model_move_message(&next);
        next.message[0] = '\0';
        if (next_random(&seed) % 2)
            snprintf(next.message, sizeof next.message, "{\"n\":%d}", step);
        if (is_snapshot && next_random(&seed) % 3 == 0)
            snprintf(next.artifacts, sizeof next.artifacts, "[%d]", step);
        if (is_snapshot && next_random(&seed) % 3 == 0)
            snprintf(next.history, sizeof next.history, "[]");
        if (is_snapshot) {
            struct model sent = next;

            if (!strcmp(sent.artifacts, m.artifacts))
                sent.artifacts[0] = '\0';
            if (!strcmp(sent.history, m.history))
                sent.history[0] = '\0';
            model_write(&sent, payload, sizeof payload);
        } else {
            snprintf(payload, sizeof payload, "{\"state\":\"%s\"%s%s}", next.state,
                     next.message[0] ? ",\"message\":" : "", next.message);
        }
        err = fold(doc, kind, payload);
        model_write(&next, want, sizeof want);
        expected = is_final(m.state) ? -1 : 0;
        if (expected < 0) {
            CHECK(err == ERR_FINAL || err == 1);
            continue;
        }
        CHECK(err == 0 || err == 1);
        if (err == 0)
            snprintf(doc, sizeof doc, "%s", folded);
        /* The model writes artifacts before history; a snapshot has them in an order of its own. */
        CHECK_INT(strlen(doc), strlen(want));
        CHECK_STR(json_get(str_of(doc), "status"), json_get(str_of(want), "status"));
        CHECK_STR(json_get(str_of(doc), "history"), json_get(str_of(want), "history"));
        CHECK_STR(json_get(str_of(doc), "artifacts"), json_get(str_of(want), "artifacts"));
        m = next;
    }
}

TEST(random_programs_against_the_model)
{
    for (unsigned seed = 1; seed <= 500; seed++)
        random_program(seed * 2654435761u);
}

TEST_MAIN
