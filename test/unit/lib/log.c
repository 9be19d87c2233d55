/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"

#define WHEN 1769862896789000

#define FIELDS(...)                                                                            \
    (const struct log_field[]){__VA_ARGS__},                                                   \
        sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)

static char line[4096];

static struct str format(bool json, const char *msg, const struct log_field *fields, size_t n)
{
    return str_make(line, log_format(line, sizeof line, LOG_WARN, WHEN, msg, fields, n, json));
}

TEST(logfmt)
{
    CHECK_STR(
        format(false, "breaker opened",
               FIELDS(LOG_STR("agent", STR("weather")), LOG_U64("failures", UINT64_MAX),
                      LOG_I64("delta", INT64_MIN), LOG_STR("left_out", STR_NONE),
                      LOG_Z("empty", ""), LOG_Z("also_left_out", NULL))),
        STR("time=2026-01-31T12:34:56.789Z level=warn msg=\"breaker opened\" agent=weather "
            "failures=18446744073709551615 delta=-9223372036854775808 empty=\"\"\n"));
    CHECK_STR(format(false, "", NULL, 0),
              STR("time=2026-01-31T12:34:56.789Z level=warn msg=\"\"\n"));
}

TEST(json)
{
    CHECK_STR(
        format(true, "breaker opened",
               FIELDS(LOG_STR("agent", STR("weather")), LOG_U64("failures", 5),
                      LOG_I64("delta", -5), LOG_STR("left_out", STR_NONE))),
        STR("{\"time\":\"2026-01-31T12:34:56.789Z\",\"level\":\"warn\",\"msg\":\"breaker opened\","
            "\"agent\":\"weather\",\"failures\":5,\"delta\":-5}\n"));
}

TEST(hostile_values_cannot_leave_their_string)
{
    static const struct {
        struct str value;
        const char *shown;
    } table[] = {
        {STR("a b"), "\"a b\""},
        {STR("a=b"), "\"a=b\""},
        {STR("\""), "\"\\\"\""},
        {STR("\\"), "\"\\\\\""},
        {STR("a\nlevel=error"), "\"a\\nlevel=error\""},
        {STR("\0\x1b[31m\x7f\t"), "\"\\u0000\\u001b[31m\\u007f\\u0009\""},
        {STR("Gr\xc3\xbc\xc3\x9f"), "\"Gr\xc3\xbc\xc3\x9f\""},
        {STR("a\xff"
             "b\xc3"),
         "\"a\xef\xbf\xbd"
         "b\xef\xbf\xbd\""},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char want[200];

        snprintf(want, sizeof want, "time=2026-01-31T12:34:56.789Z level=warn msg=\"m\" k=%s\n",
                 table[i].shown);
        CHECK_STR(format(false, "m", FIELDS(LOG_STR("k", table[i].value))), str_of(want));
        snprintf(
            want, sizeof want,
            "{\"time\":\"2026-01-31T12:34:56.789Z\",\"level\":\"warn\",\"msg\":\"m\",\"k\":%s}\n",
            table[i].shown);
        CHECK_STR(format(true, "m", FIELDS(LOG_STR("k", table[i].value))), str_of(want));
    }
}

static bool is_json(struct str s)
{
    struct json_fault fault;

    return s.n > 0 && s.p[s.n - 1] == '\n' &&
           json_scan(str_make(s.p, s.n - 1), NULL, NULL, 0, &fault) == 0;
}

/* Wherever the line is cut, it stays one line of valid JSON, and not a byte is written behind its room. */
TEST(cut_at_every_length)
{
    static const char nasty[] =
        "plain \"\\\n\x01\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80 and \xc3\xa4";

    for (size_t room = 128; room < 420; room++) {
        for (int bad = 0; bad < 2; bad++) {
            /* bad: half a character */
            struct str value = {nasty, sizeof nasty - 1 - (size_t)bad};
            struct str s;

            memset(line, '!', sizeof line);
            s = str_make(line,
                         log_format(line, room, LOG_ERROR, WHEN, "something happened",
                                    FIELDS(LOG_STR("a", value), LOG_U64("number", 1234567890),
                                           LOG_Z("word", "averyveryverylongword"),
                                           LOG_STR("b", value), LOG_I64("n", -1)),
                                    true));
            CHECK(s.n <= room);
            CHECK_INT(line[room], '!');
            CHECK(is_json(s));
            CHECK(str_is_utf8(s));
            memset(line, '!', sizeof line);
            s = str_make(line, log_format(line, room, LOG_ERROR, WHEN, nasty,
                                          FIELDS(LOG_Z("word", "averyveryverylongword"),
                                                 LOG_STR("b", value), LOG_U64("c", 1)),
                                          false));
            CHECK(s.n <= room);
            CHECK_INT(line[room], '!');
            CHECK(str_is_utf8(s));
            CHECK(s.n && memchr(s.p, '\n', s.n) == s.p + s.n - 1);
        }
    }
}

TEST(levels)
{
    enum log_level level = LOG_INFO;

    CHECK_INT(log_level_parse(STR("Trace"), &level), 0);
    CHECK_INT(level, LOG_TRACE);
    CHECK_INT(log_level_parse(STR("warning"), &level), 0);
    CHECK_INT(level, LOG_WARN);
    CHECK_INT(log_level_parse(STR("loud"), &level), ERR_INVALID);
    CHECK_INT(log_level_parse(STR(""), &level), ERR_INVALID);
    CHECK_INT(level, LOG_WARN);
    log_setup(LOG_WARN, false);
    CHECK(log_is_on(LOG_ERROR));
    CHECK(log_is_on(LOG_WARN));
    CHECK(!log_is_on(LOG_INFO));
    log_setup(LOG_INFO, false);
}

/* A full pipe loses lines without blocking, and the first line that fits says how many. */
TEST(full_pipe_loses_lines_and_says_so)
{
    char *text = line, was_full[4096];
    int fds[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    CHECK_INT(pipe(fds), 0);
    CHECK(fcntl(fds[0], F_SETPIPE_SZ, 4096) >= 4096);
    CHECK_INT(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
    log_start();
    memset(was_full, 'x', sizeof was_full - 1);
    was_full[sizeof was_full - 1] = '\0';
    for (int i = 0; i < 30; i++)
        log_event(LOG_WARN, "filling", LOG_Z("with", was_full));
    do {
        n = read(fds[0], line, sizeof line);
    } while (n == (ssize_t)sizeof line);
    CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    while (read(fds[0], line, sizeof line) > 0)
        ;
    log_event(LOG_WARN, "room again", LOG_U64("n", 1));
    n = read(fds[0], line, sizeof line - 1);
    CHECK(n > 0);
    text[n > 0 ? n : 0] = '\0';
    CHECK(strstr(text, "msg=\"room again\" lost=") != NULL);
    CHECK(strstr(text, " n=1\n") != NULL);
    log_event(LOG_WARN, "nothing lost");
    n = read(fds[0], line, sizeof line - 1);
    text[n > 0 ? n : 0] = '\0';
    CHECK(n > 0 && strstr(text, "lost=") == NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

TEST_MAIN
