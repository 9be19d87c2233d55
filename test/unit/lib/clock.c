/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "lib/clock.h"

TEST(parse_table)
{
    static const struct {
        const char *text;
        int err;
        int64_t us;
    } table[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1970-01-01T00:00:00", 0, 0},
        {"1969-12-31T23:59:59.999999Z", 0, -1},
        {"2026-01-31T12:34:56.789Z", 0, 1769862896789000},
        {"2026-01-31t12:34:56.789z", 0, 1769862896789000},
        {"2026-01-31 12:34:56.789", 0, 1769862896789000},
        {"2026-01-31T12:34:56.7", 0, 1769862896700000},
        {"2026-01-31T12:34:56.789123Z", 0, 1769862896789123},
        {"2026-01-31T12:34:56.789123999Z", 0, 1769862896789123},
        {"2026-01-31T14:34:56.789+02:00", 0, 1769862896789000},
        {"2026-01-31T06:04:56.789-06:30", 0, 1769862896789000},
        {"2026-01-31T12:34:56.789-00:00", 0, 1769862896789000},
        {"2000-02-29T00:00:00Z", 0, 951782400000000},
        {"2024-02-29T23:59:59Z", 0, 1709251199000000},
        {"2016-12-31T23:59:60Z", 0, 1483228800000000},
        {"0000-01-01T00:00:00Z", 0, -62167219200000000},
        {"9999-12-31T23:59:59.999999Z", 0, 253402300799999999},
        {"1900-02-29T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-02-29T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-04-31T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-00-01T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-13-01T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-01-00T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-01-32T00:00:00Z", ERR_SYNTAX, 0},
        {"2023-01-01T24:00:00Z", ERR_SYNTAX, 0},
        {"2023-01-01T00:60:00Z", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:61Z", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00.Z", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00.1234567890Z", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00+24:00", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00+01:60", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00+0100", ERR_SYNTAX, 0},
        {"2023-01-01T00:00:00Zx", ERR_SYNTAX, 0},
        {"2023-01-01T00:00Z", ERR_SYNTAX, 0},
        {"2023-01-01", ERR_SYNTAX, 0},
        {"23-01-01T00:00:00Z", ERR_SYNTAX, 0},
        {"-023-01-01T00:00:00Z", ERR_SYNTAX, 0},
        {" 2023-01-01T00:00:00Z", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int64_t us = 42;
        int err = clock_parse(str_of(table[i].text), &us);

        if (err != table[i].err || us != (err ? 42 : table[i].us))
            printf("    in \"%s\":\n", table[i].text);
        CHECK_INT(err, table[i].err);
        CHECK_INT(us, err ? 42 : table[i].us);
    }
    CHECK_INT(clock_parse(STR("2023-01-01\0T00:00:00Z"), &(int64_t){0}), ERR_SYNTAX);
    CHECK_INT(clock_parse(STR_NONE, &(int64_t){0}), ERR_SYNTAX);
}

/* No prefix of a date-time up to its seconds is one, whatever follows in memory. */
TEST(every_prefix)
{
    static const char text[] = "2026-01-31T12:34:56.789+02:00";

    for (size_t n = 0; n < sizeof text - 1; n++) {
        bool whole = n == 19 || (n >= 21 && n <= 23);

        CHECK_INT(clock_parse(str_make(text, n), &(int64_t){0}), whole ? 0 : ERR_SYNTAX);
    }
}

TEST(format_and_parse_are_inverse)
{
    char text[CLOCK_TEXT + 1];

    for (int64_t us = -62167219200000000; us <= 253402300799999000;
         us += 86400000000 * 97 + 12345678000) {
        int64_t back = 0;

        clock_format(us, text);
        CHECK_INT(clock_parse(str_of(text), &back), 0);
        CHECK_INT(back, us);
    }
}

TEST(format)
{
    char text[CLOCK_TEXT + 1];

    clock_format(1769862896789999, text);
    CHECK_STR(str_of(text), STR("2026-01-31T12:34:56.789Z"));
    clock_format(-1, text);
    CHECK_STR(str_of(text), STR("1969-12-31T23:59:59.999Z"));
    clock_format(INT64_MAX, text);
    CHECK_STR(str_of(text), STR("9999-12-31T23:59:59.999Z"));
    clock_format(INT64_MIN, text);
    CHECK_STR(str_of(text), STR("0000-01-01T00:00:00.000Z"));
}

static uint64_t five_seconds(void)
{
    return 5000999999;
}

static int64_t long_ago(void)
{
    return 1999;
}

TEST(source_can_be_replaced)
{
    static const struct clock_source source = {five_seconds, long_ago};

    clock_set(&source);
    CHECK_INT(clock_mono_ns(), 5000999999);
    CHECK_INT(clock_mono_ms(), 5000);
    CHECK_INT(clock_wall_us(), 1999);
    CHECK_INT(clock_wall_ms(), 1);
    clock_set(NULL);
    CHECK(clock_wall_us() > 1700000000000000);
    CHECK(clock_mono_ns() <= clock_mono_ns());
}

TEST_MAIN
