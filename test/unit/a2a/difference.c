/* SPDX-License-Identifier: MIT
 *
 * How a snapshot becomes events: byte-exact cases, and the property that folding the events one after another is
 * folding the snapshot, for random documents and snapshots of every sort.
 */
#include "check.h"

#include <stdlib.h>

#include "a2a/a2a.h"

/* --- what comes of it --- */

static char told[1 << 16]; /* kind, payload, newline */
static const char *why;

struct walk {
    struct buf doc, next, told;
    int n_events, n_status, fail_at;
};

static int on_event(void *arg, const struct a2a_event *event)
{
    struct walk *w = arg;
    int err;

    if (w->n_events == w->fail_at)
        return ERR_FULL;
    w->n_events++;
    CHECK_INT(w->n_status, 0); /* the status is the last */
    w->n_status += event->kind == A2A_EVENT_STATUS_UPDATE;
    CHECK(event->kind == A2A_EVENT_ARTIFACT_UPDATE || event->kind == A2A_EVENT_SYNC ||
          event->kind == A2A_EVENT_STATUS_UPDATE);
    CHECK_INT(json_scan(event->payload, NULL, NULL, 0, NULL), 0);
    CHECK(json_is_minified(event->payload));
    buf_printf(&w->told, "%d %.*s\n", (int)event->kind, STR_ARG(event->payload));
    buf_clear(&w->next);
    err = a2a_event_fold(buf_str(&w->doc), event, &w->next);
    /* SYNC may have taken away all that was not in the new status; told it is all the same. */
    CHECK(err == 0 || (err == 1 && event->kind == A2A_EVENT_STATUS_UPDATE));
    if (err == 0) {
        struct buf swap = w->doc;

        w->doc = w->next;
        w->next = swap;
    }
    return 0;
}

/* Tells the difference, folds every event, and compares with the fold of the snapshot. */
static int differ(struct str doc, struct str snapshot, struct str last)
{
    const struct a2a_event event = {A2A_EVENT_TASK, snapshot};
    struct walk w = {.fail_at = -1};
    struct buf want;
    int err, expected;

    buf_init(&w.doc, MB(1));
    buf_init(&w.next, MB(1));
    buf_init(&w.told, MB(1));
    buf_init(&want, MB(1));
    buf_add_str(&w.doc, doc);
    expected = a2a_event_fold(doc, &event, &want);
    err = a2a_difference(doc, snapshot, last, on_event, &w, &why);
    if (err == 0) {
        CHECK_STR(buf_str(&w.doc), expected == 1 ? doc : buf_str(&want));
        CHECK_INT(w.n_events == 0, expected == 1);
    }
    snprintf(told, sizeof told, "%.*s", STR_ARG(buf_str(&w.told)));
    buf_release(&w.doc);
    buf_release(&w.next);
    buf_release(&w.told);
    buf_release(&want);
    return err;
}

static void check(const char *doc, const char *snapshot, const char *want)
{
    CHECK_INT(differ(str_of(doc), str_of(snapshot), STR_NONE), 0);
    CHECK_STR(str_of(told), str_of(want));
}

#define WORKING "\"status\":{\"state\":\"working\"}"
#define TASK(members) "{\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\"," members "}"
#define NEW(members) "{\"id\":\"t\",\"contextId\":\"c\"," members "}"
#define ARTIFACT_0_3(artifact, more)                                                              \
    "5 {\"kind\":\"artifact-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":" artifact \
        more "}\n"
#define STATUS_0_3(status, final)                                                              \
    "4 {\"kind\":\"status-update\",\"taskId\":\"t\",\"contextId\":\"c\",\"status\":" status    \
    ",\"final\":" final "}\n"

TEST(nothing_differs)
{
    check(TASK(WORKING), TASK(WORKING), "");
    check(TASK(WORKING ",\"history\":[1],\"artifacts\":[]"),
          TASK(WORKING ",\"history\":[1],\"artifacts\":[]"), "");
    check(TASK(WORKING ",\"artifacts\":[1],\"history\":[2]"), TASK(WORKING), "");
    check(TASK(WORKING), TASK(WORKING ",\"artifacts\":null"), "");
}

TEST(a_status_alone)
{
    check(TASK(WORKING), TASK("\"status\":{\"state\":\"completed\"}"),
          STATUS_0_3("{\"state\":\"completed\"}", "true"));
    check(TASK(WORKING), TASK("\"status\":{\"state\":\"input-required\"}"),
          STATUS_0_3("{\"state\":\"input-required\"}", "false"));
    check(NEW("\"status\":{\"state\":2}"), NEW("\"status\":{\"state\":3}"),
          "4 {\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":3}}\n");
    /* no context anywhere; one that the snapshot forgot */
    check("{\"id\":\"t\",\"status\":{\"state\":2}}", "{\"id\":\"t\",\"status\":{\"state\":3}}",
          "4 {\"taskId\":\"t\",\"status\":{\"state\":3}}\n");
    check(NEW("\"status\":{\"state\":2}"), "{\"id\":\"t\",\"status\":{\"state\":3}}",
          "6 {\"id\":\"t\",\"status\":null}\n"
          "4 {\"taskId\":\"t\",\"contextId\":\"c\",\"status\":{\"state\":3}}\n");
}

#define SAYS(n) "{\"state\":\"working\",\"message\":{\"m\":" n "}}"

TEST(where_the_old_message_goes)
{
    /* into the history, by the status update */
    check(TASK("\"status\":" SAYS("1")),
          TASK("\"status\":" SAYS("2") ",\"history\":[{\"m\":1}]"),
          STATUS_0_3(SAYS("2"), "false"));
    check(TASK("\"status\":" SAYS("1") ",\"history\":[0]"),
          TASK("\"status\":" SAYS("2") ",\"history\":[0,{\"m\":1}]"),
          STATUS_0_3(SAYS("2"), "false"));
    /* likewise, at another place */
    check(TASK("\"status\":" SAYS("1") ",\"history\":[0]"),
          TASK("\"history\":[0,{\"m\":1}],\"status\":" SAYS("2")),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"history\":null,"
          "\"status\":null}\n" STATUS_0_3(SAYS("2"), "false"));
    /* the history tells it already, and more */
    check(TASK("\"status\":" SAYS("1") ",\"history\":[{\"m\":1}]"),
          TASK("\"status\":" SAYS("2") ",\"history\":[{\"m\":1},{\"m\":2}]"),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{},"
          "\"history\":[{\"m\":1},{\"m\":2}]}\n" STATUS_0_3(SAYS("2"), "false"));
    /* it never will */
    check(TASK("\"status\":" SAYS("1") ",\"history\":[0]"), TASK("\"status\":" SAYS("2")),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{},"
          "\"history\":null}\n" STATUS_0_3(SAYS("2"), "false"));
    check(TASK("\"status\":" SAYS("1")), TASK("\"status\":" SAYS("2")),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":{}}\n" STATUS_0_3(
              SAYS("2"), "false"));
    /* the status is the same, the history is not: streams are told nothing */
    check(TASK("\"status\":" SAYS("1")), TASK("\"status\":" SAYS("1") ",\"history\":[0]"),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":null,"
          "\"history\":[0]}\n");
}

TEST(artifacts_that_are_new_or_differ)
{
#define A(parts) "{\"artifactId\":\"a\",\"parts\":[" parts "]}"
#define B(parts) "{\"artifactId\":\"b\",\"name\":\"n\",\"parts\":[" parts "],\"x\":1}"
    check(TASK(WORKING), TASK(WORKING ",\"artifacts\":[" A("1") "," B("2") "]"),
          ARTIFACT_0_3(A("1"), "") ARTIFACT_0_3(B("2"), ""));
    check(TASK(WORKING ",\"artifacts\":[" A("1") "," B("2") "]"),
          TASK(WORKING ",\"artifacts\":[" A("1") "," B("3") "]"), ARTIFACT_0_3(B("3"), ""));
    check(NEW("\"status\":{\"state\":2}"),
          NEW("\"status\":{\"state\":2},\"artifacts\":[" A("1") "]"),
          "5 {\"taskId\":\"t\",\"contextId\":\"c\",\"artifact\":" A("1") "}\n");
    /* only what came */
    check(TASK(WORKING ",\"artifacts\":[" A("1,{\"a\":2}") "," B("") "]"),
          TASK(WORKING ",\"artifacts\":[" A("1,{\"a\":2},3,[4]") "," B("5") "]"),
          ARTIFACT_0_3(A("3,[4]"), ",\"append\":true")
              ARTIFACT_0_3("{\"artifactId\":\"b\",\"parts\":[5]}", ",\"append\":true"));
    /* a part that only begins alike, fewer parts, a change beside the parts */
    check(TASK(WORKING ",\"artifacts\":[" A("1") "]"),
          TASK(WORKING ",\"artifacts\":[" A("12") "]"), ARTIFACT_0_3(A("12"), ""));
    check(TASK(WORKING ",\"artifacts\":[" A("1,2") "]"),
          TASK(WORKING ",\"artifacts\":[" A("1") "]"), ARTIFACT_0_3(A("1"), ""));
    check(
        TASK(WORKING ",\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[1],\"name\":\"n\"}]"),
        TASK(WORKING ",\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[1,2],\"name\":\"m\"}]"),
        ARTIFACT_0_3("{\"artifactId\":\"a\",\"parts\":[1,2],\"name\":\"m\"}", ""));
}

TEST(artifacts_that_no_update_can_say)
{
#define SYNC_ARTIFACTS(list)                                                                    \
    "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":null,\"artifacts\":" list \
    "}\n"
    /* gone, in another order, twice, without an id, of another type */
    check(TASK(WORKING ",\"artifacts\":[" A("1") "," B("2") "]"),
          TASK(WORKING ",\"artifacts\":[" B("2") "]"), SYNC_ARTIFACTS("[" B("2") "]"));
    check(TASK(WORKING ",\"artifacts\":[" A("1") "," B("2") "]"),
          TASK(WORKING ",\"artifacts\":[" B("2") "," A("1,3") "]"),
          ARTIFACT_0_3(A("3"), ",\"append\":true") SYNC_ARTIFACTS("[" B("2") "," A("1,3") "]"));
    check(TASK(WORKING), TASK(WORKING ",\"artifacts\":[" A("1") "," A("2") "]"),
          ARTIFACT_0_3(A("1"), "") SYNC_ARTIFACTS("[" A("1") "," A("2") "]"));
    check(TASK(WORKING), TASK(WORKING ",\"artifacts\":[{\"parts\":[1]}," A("2") ",5]"),
          ARTIFACT_0_3(A("2"), "") SYNC_ARTIFACTS("[{\"parts\":[1]}," A("2") ",5]"));
    check(TASK(WORKING ",\"artifacts\":[" A("1") "]"), TASK(WORKING ",\"artifacts\":{}"),
          SYNC_ARTIFACTS("{}"));
    check(TASK(WORKING ",\"artifacts\":7"), TASK(WORKING ",\"artifacts\":[" A("1") "]"),
          ARTIFACT_0_3(A("1"), ""));
    check(TASK(WORKING), TASK(WORKING ",\"artifacts\":[{\"artifactId\":\"a\",\"parts\":5}]"),
          SYNC_ARTIFACTS("[{\"artifactId\":\"a\",\"parts\":5}]"));
    /* told, and only its place is left to say */
    check(TASK(WORKING ",\"history\":[1]"),
          TASK("\"artifacts\":[" A("1") "],\"history\":[1]," WORKING),
          ARTIFACT_0_3(
              A("1"),
              "") "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"artifacts\":null,"
                  "\"history\":null,\"status\":null}\n");
}

TEST(members_of_the_task)
{
    check(TASK(WORKING ",\"metadata\":{\"a\":1},\"x\":1"),
          TASK(WORKING ",\"metadata\":{\"a\":2}"),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":null,"
          "\"metadata\":{\"a\":2}}\n");
    check("{\"id\":\"t\",\"contextId\":\"old\",\"kind\":\"task\"," WORKING "}", TASK(WORKING),
          "6 {\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\",\"status\":null}\n");
}

#define LAST(status)                                                                           \
    "{\"taskId\":\"t\",\"status\":" status ",\"final\":true,\"metadata\":{\"agent\":\"said\"}}"

TEST(the_agents_own_last_word)
{
    static const char over[] = TASK("\"status\":{\"state\":\"completed\"}");
    static const char *const useless[] = {
        LAST("{\"state\":\"failed\"}"),
        "{\"taskId\":\"t\"}",
        "[]",
        "{\"taskId\":\"u\",\"status\":{\"state\":\"completed\"}}",
    };

    CHECK_INT(differ(STR(TASK(WORKING)), str_of(over), STR(LAST("{\"state\":\"completed\"}"))),
              0);
    CHECK_STR(str_of(told), STR("4 " LAST("{\"state\":\"completed\"}") "\n"));
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        CHECK_INT(differ(STR(TASK(WORKING)), str_of(over), str_of(useless[i])), 0);
        CHECK_STR(str_of(told), STR(STATUS_0_3("{\"state\":\"completed\"}", "true")));
    }
    CHECK_INT(
        differ(STR(TASK(WORKING)), STR(TASK(WORKING)), STR(LAST("{\"state\":\"working\"}"))),
        0);
    CHECK_STR(str_of(told), STR(""));
}

TEST(no_difference_can_be_told)
{
    static const struct {
        const char *doc, *snapshot;
        int err;
    } table[] = {
        {TASK(WORKING), "{\"id\":\"u\"," WORKING "}", ERR_INVALID},
        {TASK(WORKING), "{\"id\":5," WORKING "}", ERR_INVALID},
        {TASK(WORKING), "{\"id\":\"t\"}", ERR_INVALID},
        {TASK(WORKING), "{\"id\":\"t\"," WORKING "," WORKING "}", ERR_INVALID},
        {TASK(WORKING), "[]", ERR_INVALID},
        {"[]", TASK(WORKING), ERR_INVALID},
        {TASK("\"status\":{\"state\":\"failed\"}"), TASK(WORKING), ERR_FINAL},
        {TASK("\"status\":{\"state\":\"failed\"}"), TASK("\"status\":{\"state\":\"failed\"}"),
         0},
        {TASK(WORKING), "{\"id\":\"\\u0074\"," WORKING "}", 0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        why = NULL;
        CHECK_INT(differ(str_of(table[i].doc), str_of(table[i].snapshot), STR_NONE),
                  table[i].err);
        CHECK((why != NULL) == (table[i].err == ERR_INVALID));
    }
}

TEST(a_sink_that_refuses)
{
    static const char doc[] = TASK("\"status\":" SAYS("1"));
    static const char snapshot[] =
        TASK("\"status\":" SAYS("2") ",\"artifacts\":[" A("1") "," B("2") "],\"metadata\":{}");

    for (int n = 0; n < 4; n++) {
        struct walk w = {.fail_at = n};

        buf_init(&w.doc, KB(4));
        buf_init(&w.next, KB(4));
        buf_init(&w.told, KB(4));
        BUF_LIT(&w.doc, TASK("\"status\":" SAYS("1")));
        CHECK_INT(a2a_difference(str_of(doc), str_of(snapshot), STR_NONE, on_event, &w, &why),
                  ERR_FULL);
        CHECK_INT(w.n_events, n);
        buf_release(&w.doc);
        buf_release(&w.next);
        buf_release(&w.told);
    }
}

/* What a polled agent costs: its artifact grows by one part per poll, and one part is what is written. */
TEST(polling_writes_what_came)
{
    struct buf doc, next;

    buf_init(&doc, MB(1));
    buf_init(&next, MB(1));
    BUF_LIT(&doc, TASK(WORKING ",\"artifacts\":[" A("0") "]"));
    for (int n = 1; n < 200; n++) {
        buf_clear(&next);
        BUF_LIT(&next, "{\"id\":\"t\",\"contextId\":\"c\",\"kind\":\"task\"," WORKING
                       ",\"artifacts\":[{\"artifactId\":\"a\",\"parts\":[0");
        for (int i = 1; i <= n; i++)
            buf_printf(&next, ",%d", i);
        BUF_LIT(&next, "]}]}");
        CHECK_INT(differ(buf_str(&doc), buf_str(&next), STR_NONE), 0);
        CHECK(strlen(told) < 150);
        buf_clear(&doc);
        buf_add_str(&doc, buf_str(&next));
    }
    buf_release(&doc);
    buf_release(&next);
}

/* Two thousand artifacts in the opposite order: found by search, not each by each. */
TEST(many_artifacts)
{
    struct buf doc, next;

    buf_init(&doc, MB(1));
    buf_init(&next, MB(1));
    BUF_LIT(&doc, "{\"id\":\"t\"," WORKING ",\"artifacts\":[");
    BUF_LIT(&next, "{\"id\":\"t\"," WORKING ",\"artifacts\":[");
    for (int i = 0; i < 2000; i++) {
        buf_printf(&doc, "%s{\"artifactId\":\"%d\"}", i ? "," : "", i);
        buf_printf(&next, "%s{\"artifactId\":\"%d\"}", i ? "," : "", 1999 - i);
    }
    BUF_LIT(&doc, "]}");
    BUF_LIT(&next, "]}");
    CHECK_INT(differ(buf_str(&doc), buf_str(&next), STR_NONE), 0);
    CHECK(told[0] == '6');
    buf_release(&doc);
    buf_release(&next);
}

/* --- random documents and snapshots --- */

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void write_artifact(struct buf *out)
{
    static const char *const ids[] = {"a", "b", "\\u0061", "c", "", "d"};
    unsigned n = pick(4);

    if (!pick(15)) {
        BUF_LIT(out, "7");
        return;
    }
    buf_add_char(out, '{');
    if (pick(15))
        buf_printf(out, "\"%s\":\"%s\",", pick(8) ? "artifactId" : "artifact_id", ids[pick(6)]);
    if (!pick(6))
        buf_printf(out, "\"name\":\"%u\",", pick(2));
    if (!pick(20))
        BUF_LIT(out, "\"parts\":null,");
    buf_printf(out, "\"%s\":", pick(10) ? "parts" : "content");
    if (!pick(20)) {
        BUF_LIT(out, "{\"a\":[]}");
    } else {
        BUF_LIT(out, "[");
        for (unsigned i = 0; i < n; i++)
            buf_printf(out, "%s{\"text\":\"%u,]\"}", i ? "," : "", i + (pick(9) == 0));
        BUF_LIT(out, "]");
    }
    if (!pick(6))
        buf_printf(out, ",\"metadata\":{\"a\":%u}", pick(2));
    buf_add_char(out, '}');
}

static void write_artifacts(struct buf *out)
{
    unsigned n = pick(4);

    if (!pick(12)) {
        buf_add_str(out, pick(2) ? STR("null") : STR("{\"artifactId\":[]}"));
        return;
    }
    buf_add_char(out, '[');
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_add_char(out, ',');
        write_artifact(out);
    }
    buf_add_char(out, ']');
}

static void write_history(struct buf *out)
{
    unsigned n = pick(4);

    if (!pick(12)) {
        buf_add_str(out, pick(2) ? STR("null") : STR("\"history\""));
        return;
    }
    buf_add_char(out, '[');
    for (unsigned i = 0; i < n; i++)
        buf_printf(out, "%s{\"m\":%u}", i ? "," : "", pick(6) ? i : 9);
    buf_add_char(out, ']');
}

static void write_status(struct buf *out, bool may_end)
{
    static const char *const states[] = {"\"working\"", "2", "\"input-required\"", "null",
                                         "\"completed\""};

    buf_printf(out, "{\"state\":%s", states[pick(may_end ? 5 : 4)]);
    if (pick(2))
        buf_printf(out, pick(10) ? ",\"message\":{\"m\":%u}" : ",\"message\":[%u]", pick(4));
    buf_add_char(out, '}');
}

static void write_task(struct buf *out, bool may_end)
{
    enum { ID, CONTEXT, KIND, STATUS, ARTIFACTS, HISTORY, METADATA, MORE, N };
    int order[N] = {ID, CONTEXT, KIND, STATUS, ARTIFACTS, HISTORY, METADATA, MORE};
    bool first = true;

    for (int swaps = pick(2) ? 0 : 3; swaps > 0; swaps--) {
        unsigned a = pick(N), b = pick(N);
        int keep = order[a];

        order[a] = order[b];
        order[b] = keep;
    }
    buf_clear(out);
    for (int i = 0; i < N; i++) {
        static const char *const names[N] = {"id",        "contextId", "kind",     "status",
                                             "artifacts", "history",   "metadata", "x"};
        int m = order[i];

        if (m != ID && m != STATUS && !pick(3))
            continue;
        json_write_key(out, &first, str_of(names[m]));
        if (m == ID)
            buf_add_str(out, pick(9) ? STR("\"t\"") : STR("\"\\u0074\""));
        else if (m == CONTEXT)
            buf_add_str(out, pick(9) ? STR("\"c\"") : STR("null"));
        else if (m == KIND)
            BUF_LIT(out, "\"task\"");
        else if (m == STATUS)
            write_status(out, may_end);
        else if (m == ARTIFACTS)
            write_artifacts(out);
        else if (m == HISTORY)
            write_history(out);
        else
            buf_printf(out, "%u", pick(2));
    }
    json_write_end(out, first);
}

TEST(folding_the_events_is_folding_the_snapshot)
{
    struct buf doc, snapshot;

    buf_init(&doc, KB(8));
    buf_init(&snapshot, KB(8));
    for (unsigned i = 1; i <= 30000 && !test_failures; i++) {
        seed = i * 2654435761u;
        write_task(&doc, false);
        write_task(&snapshot, true);
        CHECK_INT(differ(buf_str(&doc), buf_str(&snapshot), STR_NONE), 0);
        if (test_failures)
            printf("    %.*s\n    %.*s\n%s", STR_ARG(buf_str(&doc)),
                   STR_ARG(buf_str(&snapshot)), told);
    }
    buf_release(&doc);
    buf_release(&snapshot);
}

TEST_MAIN
