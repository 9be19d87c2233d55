/* SPDX-License-Identifier: MIT */
#include "check.h"
#include "lib/limits.h"
#include "subscribe/subscribe.h"

static struct arena arena;
static struct str agent, id;
static uint64_t seq;

static int read_text(const char *text)
{
    return cursor_read(str_of(text), &arena, &agent, &id, &seq);
}

TEST(what_is_written_is_read)
{
    char long_id[LIMIT_TASK_ID], long_agent[LIMIT_AGENT_ID];
    const struct {
        struct str agent, id;
        uint64_t seq;
    } cases[] = {{STR("a"), STR("t1"), 7},
                 {STR("weather.v2"), STR("Gr\xc3\xbc\xc3\x9f \"Gott\""), 0},
                 {{long_agent, sizeof long_agent}, {long_id, sizeof long_id}, UINT64_MAX - 1}};
    struct buf text;

    memset(long_id, 'i', sizeof long_id);
    memset(long_agent, 'a', sizeof long_agent);
    arena_init(&arena, KB(16));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_init(&text, CURSOR_TEXT_MAX);
        cursor_write_prefix(&text, cases[i].agent, cases[i].id);
        cursor_write_seq(&text, cases[i].seq);
        CHECK_INT(buf_error(&text), 0);
        CHECK_INT(cursor_read(buf_str(&text), &arena, &agent, &id, &seq), 0);
        CHECK_STR(agent, cases[i].agent);
        CHECK_STR(id, cases[i].id);
        CHECK(seq == cases[i].seq);
        buf_release(&text);
    }
    arena_release(&arena);
}

TEST(what_is_no_cursor_is_refused)
{
    static const char *const bad[] = {"",
                                      "s1.",
                                      "s1..7",
                                      "s1.YQB0MQ",
                                      "s1.YQB0MQ.",
                                      "s1.YQB0MQ.07",
                                      "s1.YQB0MQ.+7",
                                      "s1.YQB0MQ.7 ",
                                      "s1.YQB0MQ.-1",
                                      "s1.YQB0MQ.18446744073709551615",
                                      "s1.YQB0MQ.18446744073709551616",
                                      "s2.YQB0MQ.7",
                                      "s1.YQB0MR.7",
                                      "s1.YQ.7",
                                      "s1.AHQx.7",
                                      "s1.YQA.7",
                                      "s1.YQB0MQ.7.8",
                                      "s1.YQB0Cg.7",
                                      "s1.YQ B0MQ.7"};

    arena_init(&arena, KB(16));
    CHECK_INT(read_text("s1.YQB0MQ.7"), 0);
    CHECK_STR(agent, STR("a"));
    CHECK_STR(id, STR("t1"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (read_text(bad[i]) != ERR_INVALID) {
            printf("    taken: %s\n", bad[i]);
            CHECK(false);
        }
    arena_release(&arena);
}

TEST_MAIN
