/* SPDX-License-Identifier: MIT */
#include "check.h"

#include "lib/blob.h"
#include "lib/err.h"
#include "lib/mem.h"

TEST(lives_as_long_as_its_last_reference)
{
    char text[] = "a\0bc";
    struct blob *b = blob_new(str_make(text, 4));

    memset(text, 'x', 4); /* the blob has its own copy */
    CHECK_STR(blob_str(b), STR("a\0bc"));
    CHECK_INT(b->p[4], '\0');
    CHECK(blob_ref(b) == b);
    blob_unref(b);
    CHECK_STR(blob_str(b), STR("a\0bc"));
    blob_unref(b); /* the sanitizer sees whether this was the last */
}

TEST(nothing_and_empty)
{
    struct blob *b = blob_new(STR_NONE);

    CHECK_STR(blob_str(b), STR(""));
    blob_unref(b);
    CHECK(blob_ref(NULL) == NULL);
    blob_unref(NULL);
    CHECK_STR(blob_str(NULL), STR_NONE);
}

TEST(mem_is_zeroed_and_never_null)
{
    unsigned char *p = mem_zero(3, 7);
    char *s;

    for (int i = 0; i < 21; i++)
        CHECK_INT(p[i], 0);
    p = mem_resize(p, 100, 7);
    CHECK_INT(p[20], 0);
    mem_free(p);
    mem_free(mem_zero(0, 0));
    mem_free(NULL);
    s = mem_str("ab\0c", 4);
    CHECK_STR(str_make(s, 5), STR("ab\0c\0"));
    mem_free(s);
    s = mem_str(NULL, 0);
    CHECK_STR(str_of(s), STR(""));
    mem_free(s);
}

TEST(every_error_has_its_own_text)
{
    for (int i = 0; i < ERR_ORD_MAX; i++)
        for (int k = 0; k < i; k++)
            CHECK(strcmp(err_text(-i), err_text(-k)) != 0);
    CHECK_STR(str_of(err_text(1)), STR("unknown error"));
    CHECK_STR(str_of(err_text(-ERR_ORD_MAX)), STR("unknown error"));
    CHECK_STR(str_of(err_text(0)), STR("ok"));
}

TEST_MAIN
