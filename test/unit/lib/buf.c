/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdlib.h>

#include "lib/buf.h"
#include "lib/mem.h"

TEST(appending)
{
    struct buf b;

    buf_init(&b, 1000);
    CHECK_STR(buf_str(&b), STR(""));
    BUF_LIT(&b, "a=");
    buf_add_i64(&b, INT64_MIN);
    buf_add_char(&b, ' ');
    buf_add_i64(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    buf_add_str(&b, STR_NONE);
    buf_add(&b, NULL, 0);
    buf_add_str(&b, STR("\0x"));
    CHECK_INT(buf_printf(&b, "%s-%03d", "y", 7), 0);
    CHECK_INT(buf_error(&b), 0);
    CHECK_STR(buf_str(&b), STR("a=-9223372036854775808 0 18446744073709551615\0xy-007"));
    buf_release(&b);
    buf_release(NULL);
}

TEST(exactly_the_maximum_fits)
{
    for (size_t max = 0; max < 600; max += max < 20 ? 1 : 57) {
        struct buf one_by_one, at_once, printed;
        char *text = mem_zero(max + 2, 1);

        memset(text, 'x', max);
        buf_init(&one_by_one, max);
        for (size_t i = 0; i < max; i++)
            CHECK_INT(buf_add_char(&one_by_one, 'x'), 0);
        CHECK_INT(buf_add_char(&one_by_one, 'y'), ERR_LIMIT);
        CHECK_STR(buf_str(&one_by_one), str_make(text, max));
        buf_init(&at_once, max);
        CHECK_INT(buf_add(&at_once, text, max), 0);
        CHECK(buf_z(&at_once) && strlen(buf_z(&at_once)) == max);
        CHECK_INT(buf_add(&at_once, "yz", 2), ERR_LIMIT);
        buf_init(&printed, max);
        CHECK_INT(buf_printf(&printed, "%s", text), 0);
        CHECK_STR(buf_str(&printed), str_make(text, max));
        CHECK_INT(buf_printf(&printed, "%s", ""), 0);
        CHECK_INT(buf_printf(&printed, "%d", 1), ERR_LIMIT);
        buf_release(&one_by_one);
        buf_release(&at_once);
        buf_release(&printed);
        mem_free(text);
    }
}

TEST(error_sticks_until_cleared)
{
    struct buf b;

    buf_init(&b, 4);
    BUF_LIT(&b, "abc");
    CHECK_INT(BUF_LIT(&b, "de"), ERR_LIMIT);
    CHECK_INT(BUF_LIT(&b, "f"), ERR_LIMIT); /* would fit, but a piece is missing before it */
    CHECK_INT(BUF_LIT(&b, ""), ERR_LIMIT);
    CHECK(!buf_reserve(&b, 1));
    CHECK(!buf_z(&b));
    CHECK_INT(buf_printf(&b, "x"), ERR_LIMIT);
    CHECK_INT(buf_add_u64(&b, 1), ERR_LIMIT);
    CHECK_STR(buf_str(&b), STR("abc"));
    buf_clear(&b);
    CHECK_INT(buf_error(&b), 0);
    CHECK_INT(BUF_LIT(&b, "wxyz"), 0);
    CHECK_STR(buf_str(&b), STR("wxyz"));
    buf_release(&b);
}

TEST(absurd_sizes_are_refused_not_wrapped)
{
    struct buf b;

    buf_init(&b, SIZE_MAX);
    CHECK_INT(BUF_LIT(&b, "abc"), 0);
    CHECK_STR(buf_str(&b), STR("abc"));
    CHECK(!buf_reserve(&b, SIZE_MAX));
    CHECK_INT(buf_error(&b), ERR_LIMIT);
    buf_clear(&b);
    CHECK_INT(BUF_LIT(&b, "abc"), 0);
    CHECK_STR(buf_str(&b), STR("abc"));
    buf_release(&b);
}

TEST(reserve_and_commit)
{
    struct buf b;
    char *p;

    buf_init(&b, 10);
    buf_commit(&b, 0);
    BUF_LIT(&b, "ab");
    p = buf_reserve(&b, 8);
    CHECK(p != NULL);
    memcpy(p, "cdef", 4);
    buf_commit(&b, 3);
    CHECK_STR(buf_str(&b), STR("abcde"));
    CHECK(buf_reserve(&b, 5) != NULL);
    CHECK(!buf_reserve(&b, 6));
    buf_release(&b);
}

TEST(consume_take_shrink)
{
    struct buf b;
    struct str s;

    buf_init(&b, 5000);
    CHECK_STR(buf_take(&b), STR_NONE);
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%03d,", i);
    buf_consume(&b, 0);
    buf_consume(&b, 3996);
    CHECK_STR(buf_str(&b), STR("999,"));
    buf_consume(&b, 4);
    CHECK_INT(b.n, 0);
    buf_shrink(&b, 100);
    CHECK_INT(b.room, 0);
    BUF_LIT(&b, "kept");
    buf_shrink(&b, 300);
    CHECK(b.room > 0 && b.n == 0);
    BUF_LIT(&b, "taken");
    s = buf_take(&b);
    CHECK_STR(s, STR("taken"));
    CHECK_INT(b.n, 0);
    mem_free((char *)s.p);
    BUF_LIT(&b, "again");
    CHECK_STR(buf_str(&b), STR("again"));
    buf_release(&b);
}

/* Random programs against a plain array. */
TEST(model)
{
    static char model[2000];
    unsigned seed = 1;

    for (int round = 0; round < 200; round++) {
        size_t n = 0, max = (size_t)(rand_r(&seed) % 2000);
        bool failed = false;
        struct buf b;

        buf_init(&b, max);
        for (int step = 0; step < 60; step++) {
            size_t k = (size_t)(rand_r(&seed) % 200);
            char piece[200];

            memset(piece, 'a' + step % 26, sizeof piece);
            switch (rand_r(&seed) % 8) {
            case 0:
                k = k < n ? k : n;
                buf_consume(&b, k);
                memmove(model, model + k, n - k);
                n -= k;
                break;
            case 1:
                if (step % 4 == 0) {
                    buf_clear(&b);
                    n = 0;
                    failed = false;
                }
                break;
            default:
                failed = failed || k > max - n;
                CHECK_INT(buf_add(&b, piece, k), failed ? ERR_LIMIT : 0);
                if (!failed) {
                    memcpy(model + n, piece, k);
                    n += k;
                }
            }
            CHECK(b.n <= b.max && (b.room == 0 || b.n < b.room));
            CHECK(str_is(buf_str(&b), str_make(model, n)));
        }
        buf_release(&b);
    }
}

TEST_MAIN
