/* SPDX-License-Identifier: MIT */
#include "check.h"

#include <stdint.h>
#include <stdlib.h>

#include "lib/arena.h"

TEST(pieces_are_aligned_and_apart)
{
    enum { PIECES = 500 };
    static unsigned char *pieces[PIECES];
    static size_t sizes[PIECES];
    struct arena a;
    unsigned seed = 7;

    arena_init(&a, 10 << 20);
    for (int i = 0; i < PIECES; i++) {
        sizes[i] = (size_t)(rand_r(&seed) % (i % 10 ? 300 : 20000));
        pieces[i] = arena_take(&a, sizes[i]);
        CHECK(pieces[i] != NULL);
        CHECK_INT((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], i & 0xff, sizes[i]);
    }
    for (int i = 0; i < PIECES; i++) {
        bool intact = true;

        for (size_t k = 0; k < sizes[i]; k++)
            intact &= pieces[i][k] == (i & 0xff);
        CHECK(intact);
    }
    arena_release(&a);
    arena_release(&a);
}

TEST(small_requests_never_touch_the_heap)
{
    struct arena a;

    arena_init(&a, 1 << 20);
    for (int i = 0; i < ARENA_INLINE / 64; i++)
        CHECK(arena_take(&a, 64) != NULL);
    CHECK_INT(a.total, 0);
    CHECK(arena_take(&a, 1) != NULL);
    CHECK(a.total > 0);
    arena_release(&a);
    CHECK_INT(a.total, 0);
}

/* Whatever the piece size, nearly all of the maximum can be had, and never more. */
TEST(maximum)
{
    static const size_t sizes[] = {16, 100, 1000, 4096, 4112, 8192, 9000, 30000};

    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t max = 100000;
        size_t taken = 0;
        struct arena a;

        arena_init(&a, max);
        while (arena_take(&a, sizes[k]))
            taken += sizes[k];
        CHECK(taken <= max + ARENA_INLINE);
        CHECK(a.total <= max);
        CHECK(taken + 2 * sizes[k] + max / 6 > max);
        CHECK(!arena_take(&a, sizes[k])); /* stays so */
        arena_release(&a);
        CHECK(arena_take(&a, sizes[k]) != NULL);
        arena_release(&a);
    }
}

TEST(a_maximum_below_one_chunk_can_be_used_up)
{
    struct arena a;

    arena_init(&a, 4000);
    CHECK(arena_take(&a, 1000) != NULL); /* inline */
    CHECK(arena_take(&a, 2000) != NULL);
    CHECK(arena_take(&a, 1900) != NULL);
    CHECK(!arena_take(&a, 200));
    arena_release(&a);
}

TEST(absurd_sizes_are_refused)
{
    struct arena a;

    arena_init(&a, SIZE_MAX);
    CHECK(!arena_take(&a, SIZE_MAX));
    CHECK(!arena_take(&a, SIZE_MAX - 15));
    CHECK(arena_take(&a, 8) != NULL);
    arena_release(&a);
    arena_init(&a, 100);
    CHECK(!arena_take(&a, 101));
    arena_release(&a);
}

TEST(strings)
{
    struct arena a;
    struct str s;

    arena_init(&a, 4096);
    s = arena_str(&a, STR("a\0b"));
    CHECK_STR(s, STR("a\0b"));
    CHECK_INT(s.p[3], '\0');
    CHECK_STR(arena_str(&a, STR("")), STR(""));
    CHECK_STR(arena_str(&a, STR_NONE), STR_NONE);
    CHECK_STR(arena_str(&a, str_make("", SIZE_MAX - 1)), STR_NONE);
    arena_release(&a);
}

TEST_MAIN
