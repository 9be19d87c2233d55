/* SPDX-License-Identifier: MIT
 *
 * The unit test harness: tests register themselves, checks print both values, failures do not stop the rest.
 *
 *     #include "check.h"
 *     TEST(cut_without_separator)
 *     {
 *         CHECK_STR(str_cut(&rest, ','), STR("abc"));
 *     }
 *     TEST_MAIN
 *
 * One program per source file; its last line is "N passed, N failed". An argument runs only tests whose name
 * contains it.
 */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/str.h"

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static int test_failures;

#define TEST(id)                                                                               \
    static void test_##id(void);                                                               \
    static struct test test_entry_##id = {#id, test_##id, NULL};                               \
    __attribute__((constructor)) static void test_add_##id(void)                               \
    {                                                                                          \
        *test_last = &test_entry_##id;                                                         \
        test_last = &test_entry_##id.next;                                                     \
    }                                                                                          \
    static void test_##id(void)

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            printf("    %s:%d: not true: %s\n", __FILE__, __LINE__, #condition);               \
            test_failures++;                                                                   \
        }                                                                                      \
    } while (0)

#define CHECK_INT(got, want)                                                                   \
    do {                                                                                       \
        long long got_ = (long long)(got), want_ = (long long)(want);                          \
        if (got_ != want_) {                                                                   \
            printf("    %s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #got, got_,   \
                   want_);                                                                     \
            test_failures++;                                                                   \
        }                                                                                      \
    } while (0)

#define CHECK_STR(got, want)                                                                   \
    do {                                                                                       \
        struct str got_ = (got), want_ = (want);                                               \
        if (!str_is(got_, want_) || !got_.p != !want_.p) {                                     \
            printf("    %s:%d: %s is %s\"%.*s\", expected %s\"%.*s\"\n", __FILE__, __LINE__,   \
                   #got, got_.p ? "" : "absent ", STR_ARG(got_), want_.p ? "" : "absent ",     \
                   STR_ARG(want_));                                                            \
            test_failures++;                                                                   \
        }                                                                                      \
    } while (0)

#define TEST_MAIN                                                                              \
    int main(int argc, char **argv)                                                            \
    {                                                                                          \
        int passed = 0, failed = 0;                                                            \
        setvbuf(stdout, NULL, _IOLBF, 0);                                                      \
        for (struct test *t = test_first; t; t = t->next) {                                    \
            if (argc > 1 && !strstr(t->name, argv[1]))                                         \
                continue;                                                                      \
            test_failures = 0;                                                                 \
            t->run();                                                                          \
            if (test_failures)                                                                 \
                printf("FAIL %s\n", t->name);                                                  \
            failed += test_failures != 0;                                                      \
            passed += test_failures == 0;                                                      \
        }                                                                                      \
        printf("%d passed, %d failed\n", passed, failed);                                      \
        return failed != 0;                                                                    \
    }

#endif
