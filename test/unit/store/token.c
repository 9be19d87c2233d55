/* SPDX-License-Identifier: MIT
 *
 * Page tokens: what is written is read back, and nothing else is.
 */
#include "check.h"
#include "store/token.h"

static struct str written(char text[TOKEN_TEXT_MAX], int64_t at_us, struct str agent,
                          struct str id)
{
    return str_make(text, token_write(text, at_us, agent, id));
}

static void check_round_trip(int64_t at_us, struct str agent, struct str id)
{
    char text[TOKEN_TEXT_MAX];
    struct str token = written(text, at_us, agent, id);
    struct token t;

    CHECK(token.n <= TOKEN_TEXT_MAX);
    CHECK_INT(token_read(&t, token), 0);
    CHECK_INT(t.at_us, at_us);
    CHECK_STR(t.agent, agent);
    CHECK_STR(t.id, id);
}

TEST(round_trips)
{
    static const int64_t times[] = {0, 1, -1, 1704067200000000ll, INT64_MAX, INT64_MIN};
    char id[LIMIT_TASK_ID], agent[LIMIT_AGENT_ID];

    memset(id, 'i', sizeof id);
    memset(agent, 'a', sizeof agent);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        check_round_trip(times[i], STR("weather"), STR("task-1"));
        check_round_trip(times[i], STR("a"), STR("\xc3\xa4 with \"quotes\" and /"));
    }
    for (size_t n = 1; n <= sizeof id; n++)
        check_round_trip(7, str_make(agent, 1 + n % sizeof agent), str_make(id, n));
    check_round_trip(7, str_make(agent, sizeof agent), str_make(id, sizeof id));
}

TEST(only_letters_that_need_no_escape)
{
    char text[TOKEN_TEXT_MAX];

    for (int64_t at = -300; at < 300; at++) {
        struct str token =
            written(text, at * 123456789, STR("\x7e~?>"), STR("\xef\xbf\xbf~~~???"));

        for (size_t i = 0; i < token.n; i++)
            CHECK((token.p[i] >= '0' && token.p[i] <= '9') || token.p[i] == '-' ||
                  ((token.p[i] | 0x20) >= 'a' && (token.p[i] | 0x20) <= 'z') ||
                  token.p[i] == '_');
    }
}

/* Whatever is accepted is exactly what would have been written for it. */
static void check_canonical(struct str token)
{
    char again[TOKEN_TEXT_MAX];
    struct token t;

    if (token_read(&t, token) == 0)
        CHECK_STR(written(again, t.at_us, t.agent, t.id), token);
}

TEST(cut_and_bent_tokens)
{
    char text[TOKEN_TEXT_MAX], bent[TOKEN_TEXT_MAX + 1];
    struct str token = written(text, 1704067200000000ll, STR("weather"), STR("task-1"));
    struct token t;

    for (size_t n = 0; n < token.n; n++)
        check_canonical(str_make(text, n));
    for (size_t n = 0; n < 24; n++) /* less than a head, an agent and an id */
        CHECK_INT(token_read(&t, str_make(text, n)), ERR_INVALID);
    for (size_t i = 0; i < token.n; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(bent, text, token.n);
            bent[i] = (char)c;
            check_canonical(str_make(bent, token.n));
        }
    }
    bent[0] = 'B'; /* another version */
    CHECK_INT(token_read(&t, str_make(bent, token.n)), ERR_INVALID);
    CHECK_INT(token_read(&t, STR("")), ERR_INVALID);
    CHECK_INT(token_read(&t, STR_NONE), ERR_INVALID);
}

TEST(noise)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char text[2 * TOKEN_TEXT_MAX];
    uint64_t random = 88172645463325252u;

    for (int turn = 0; turn < 20000; turn++) {
        size_t n;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        n = random % (turn % 10 ? 64 : sizeof text);
        for (size_t i = 0; i < n; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            text[i] = letters[random >> 32 & 63];
        }
        if (n > 2)
            memcpy(text, "AQ", 2); /* version 1, or nothing would come further */
        check_canonical(str_make(text, n));
    }
}

TEST(what_no_task_is_called)
{
    char text[TOKEN_TEXT_MAX];
    struct token t;

    CHECK_INT(token_read(&t, written(text, 1, STR(""), STR("id"))), ERR_INVALID);
    CHECK_INT(token_read(&t, written(text, 1, STR("agent"), STR(""))), ERR_INVALID);
    CHECK_INT(token_read(&t, written(text, 1, STR("agent"), STR("a\nb"))), ERR_INVALID);
    CHECK_INT(token_read(&t, written(text, 1, STR("agent"), str_make("a\0b", 3))), ERR_INVALID);
    CHECK_INT(token_read(&t, written(text, 1, STR("agent"), STR("\xff"))), ERR_INVALID);
}

TEST_MAIN
