/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "lib/id.h"

static uint64_t millis_of(const struct uuid *u)
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | u->b[i];
    return ms;
}

/* Strictly increasing inside one millisecond (past the 12-bit counter), over steps back, and afterwards. */
TEST(uuid7_strictly_increases)
{
    struct uuid last = id_uuid7(1700000000000);

    CHECK_INT(millis_of(&last), 1700000000000);
    for (int i = 0; i < 30000; i++) {
        int64_t ms = i < 20000   ? 1700000000000
                     : i < 25000 ? 1600000000000 + i
                                 : 1700000001000 + i / 7;
        struct uuid u = id_uuid7(ms);

        CHECK(id_uuid_compare(&last, &u) < 0);
        CHECK_INT(u.b[6] >> 4, 7);
        CHECK_INT(u.b[8] >> 6, 2);
        CHECK(millis_of(&u) <= 1700000000000 + 10 || i >= 25000);
        last = u;
    }
    CHECK_INT(millis_of(&last), 1700000001000 + 29999 / 7);
}

TEST(uuid7_takes_any_clock)
{
    struct uuid a = id_uuid7(-5), b = id_uuid7(0), c = id_uuid7(INT64_MIN);

    CHECK(id_uuid_compare(&a, &b) < 0);
    CHECK(id_uuid_compare(&b, &c) < 0);
}

TEST(uuid4_has_its_version_and_differs)
{
    struct uuid last = id_uuid4();

    for (int i = 0; i < 1000; i++) {
        struct uuid u = id_uuid4();

        CHECK_INT(u.b[6] >> 4, 4);
        CHECK_INT(u.b[8] >> 6, 2);
        CHECK(id_uuid_compare(&u, &last) != 0);
        last = u;
    }
}

TEST(text)
{
    static const struct uuid u = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc,
                                   0xba, 0x98, 0x76, 0x54, 0x32, 0x10}};
    char text[UUID_TEXT + 1];

    id_uuid_text(&u, text);
    CHECK_STR(str_of(text), STR("01234567-89ab-cdef-fedc-ba9876543210"));
}

TEST(random_fills_everything)
{
    unsigned char p[5000] = {0};
    unsigned zeros = 0;

    id_random(p, sizeof p);
    for (size_t i = 0; i < sizeof p; i++)
        zeros += p[i] == 0;
    CHECK(zeros < 200); /* 20 expected; more than 200 by chance: never */
    id_random(p, 0);
}

TEST_MAIN
