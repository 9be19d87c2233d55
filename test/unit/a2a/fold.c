/* SPDX-License-Identifier: MIT
 *
 * The fold: a table of single steps, and random programs against a naive model that keeps a task as four strings.
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
