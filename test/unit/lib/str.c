/* SPDX-License-Identifier: MIT */
#include "check.h"

TEST(absent_is_not_empty)
{
    CHECK(STR_NONE.p == NULL);
    CHECK(STR("").p != NULL);
    CHECK(str_is(STR_NONE, STR(""))); /* but their bytes are the same: none */
    CHECK(str_of(NULL).p == NULL);
    CHECK_STR(str_of("ab"), STR("ab"));
}

TEST(nocase_is_ascii_only)
{
    CHECK(str_is_nocase(STR("Content-Type"), STR("cONTENT-tYPE")));
    CHECK(!str_is_nocase(STR("a"), STR("ab")));
    CHECK(!str_is_nocase(STR("\xc4"), STR("\xe4")));
    CHECK(!str_is_nocase(STR("["), STR("{"))); /* 0x20 apart, but no letters */
    CHECK(!str_is_nocase(STR("@"), STR("`")));
    CHECK(str_is_nocase(STR_NONE, STR("")));
}

TEST(compare_orders_by_unsigned_bytes)
{
    static const struct str in_order[] = {STR(""),     STR("\0"),   STR("A"),   STR("AB"),
                                          STR("B"),    STR("a"),    STR("a\0"), STR("a\x01"),
                                          STR("\x7f"), STR("\x80"), STR("\xff")};

    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++) {
        for (size_t j = 0; j < sizeof in_order / sizeof *in_order; j++) {
            int got = str_compare(in_order[i], in_order[j]);

            CHECK_INT((got > 0) - (got < 0), (i > j) - (i < j));
        }
    }
    CHECK_INT(str_compare(STR_NONE, STR("")), 0);
}

TEST(trim_takes_http_space_from_both_ends)
{
    CHECK_STR(str_trim(STR(" \t\r\n a b \n")), STR("a b"));
    CHECK_STR(str_trim(STR("\v a \f")), STR("\v a \f"));
    CHECK_INT(str_trim(STR(" \t ")).n, 0);
    CHECK_INT(str_trim(STR_NONE).n, 0);
}

TEST(cut_splits_and_ends_with_absent)
{
    struct str rest = STR("a,,b,");

    CHECK_STR(str_cut(&rest, ','), STR("a"));
    CHECK_STR(str_cut(&rest, ','), STR(""));
    CHECK_STR(str_cut(&rest, ','), STR("b"));
    CHECK_STR(rest, STR(""));
    CHECK_STR(str_cut(&rest, ','), STR(""));
    CHECK_STR(rest, STR_NONE);
    CHECK_STR(str_cut(&rest, ','), STR_NONE);
}

TEST(prefix)
{
    CHECK(str_has_prefix(STR("Bearer x"), STR("Bearer ")));
    CHECK(!str_has_prefix(STR("Bear"), STR("Bearer ")));
    CHECK(str_has_prefix(STR("x"), STR("")));
    CHECK(!str_has_prefix(STR_NONE, STR("x")));
}

TEST(numbers)
{
    static const struct {
        const char *text;
        int err_i64, err_u64;
        int64_t i;
        uint64_t u;
    } table[] = {
        {"0", 0, 0, 0, 0},
        {"-0", 0, ERR_SYNTAX, 0, 0},
        {"007", 0, 0, 7, 7},
        {"9223372036854775807", 0, 0, INT64_MAX, INT64_MAX},
        {"9223372036854775808", ERR_LIMIT, 0, 0, (uint64_t)INT64_MAX + 1},
        {"-9223372036854775808", 0, ERR_SYNTAX, INT64_MIN, 0},
        {"-9223372036854775809", ERR_LIMIT, ERR_SYNTAX, 0, 0},
        {"18446744073709551615", ERR_LIMIT, 0, 0, UINT64_MAX},
        {"18446744073709551616", ERR_LIMIT, ERR_LIMIT, 0, 0},
        {"99999999999999999999999", ERR_LIMIT, ERR_LIMIT, 0, 0},
        {"", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"-", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"--1", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"+1", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {" 1", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"1 ", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"0x1", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
        {"1e3", ERR_SYNTAX, ERR_SYNTAX, 0, 0},
    };

    for (size_t k = 0; k < sizeof table / sizeof *table; k++) {
        int64_t i = 4711;
        uint64_t u = 4711;

        CHECK_INT(str_to_i64(str_of(table[k].text), &i), table[k].err_i64);
        CHECK_INT(i, table[k].err_i64 ? 4711 : table[k].i);
        CHECK_INT(str_to_u64(str_of(table[k].text), &u), table[k].err_u64);
        CHECK(u == (table[k].err_u64 ? 4711 : table[k].u));
    }
}

/* UTF-8 by definition: decode, then ask whether the shortest form gives the same bytes back. */
static bool is_utf8_slowly(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t length = p[i] < 0x80       ? 1
                        : p[i] >> 5 == 6  ? 2
                        : p[i] >> 4 == 14 ? 3
                        : p[i] >> 3 == 30 ? 4
                                          : 0;
        uint32_t c = length == 1 ? p[i] : p[i] & (0xffu >> (length + 1));
        size_t shortest;

        if (length == 0 || length > n - i)
            return false;
        for (size_t k = 1; k < length; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        shortest = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (length != shortest || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += length;
    }
    return true;
}

TEST(utf8_agrees_with_its_definition)
{
    static const unsigned char edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                         0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                         0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    const size_t n = sizeof edge;
    unsigned wrong = 0;

    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char p[4] = {edge[i % n], edge[i / n % n], edge[i / n / n % n],
                              edge[i / n / n / n]};

        for (size_t length = 1; length <= 4; length++)
            wrong += str_is_utf8(str_make((char *)p, length)) != is_utf8_slowly(p, length);
    }
    CHECK_INT(wrong, 0);
    CHECK(str_is_utf8(STR_NONE));
    CHECK(str_is_utf8(STR("Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")));
}

TEST(control_characters)
{
    CHECK(!str_has_control(STR(" ~\x80\xff")));
    CHECK(str_has_control(STR("a\x1f")));
    CHECK(str_has_control(STR("a\x7f")));
    CHECK(str_has_control(STR("a\0b")));
    CHECK(!str_has_control(STR_NONE));
}

TEST(control_bytes_at_every_place)
{
    char text[24];

    for (unsigned c = 0; c < 256; c++) {
        for (size_t at = 0; at < sizeof text; at++) {
            memset(text, 0x80 + (int)at, sizeof text);
            text[at] = (char)c;
            CHECK_INT(str_has_control(str_make(text, sizeof text)), c < 0x20 || c == 0x7f);
        }
    }
}

TEST(distances)
{
    CHECK_INT(str_distance(STR(""), STR("")), 0);
    CHECK_INT(str_distance(STR("abc"), STR("")), 3);
    CHECK_INT(str_distance(STR("kitten"), STR("sitting")), 3);
    CHECK_INT(str_distance(STR("port"), STR("prot")), 2);
    CHECK(str_distance(
              str_make("x", 1),
              str_make("0123456789012345678901234567890123456789012345678901234567890123456789",
                       65)) > 1000);
}

TEST_MAIN
