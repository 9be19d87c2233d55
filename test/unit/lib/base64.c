/* SPDX-License-Identifier: MIT */
#include "lib/base64.h"

#include "check.h"

TEST(vectors_of_rfc_4648_without_padding)
{
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "-_8"}};
    char text[16], bytes[16];
    size_t n;

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct str raw = str_of(pairs[i][0]), want = str_of(pairs[i][1]);

        CHECK_INT(BASE64URL_LENGTH(raw.n), want.n);
        CHECK_STR(str_make(text, base64url_encode(text, raw.p, raw.n)), want);
        CHECK_INT(base64url_decode(bytes, sizeof bytes, want, &n), 0);
        CHECK_STR(str_make(bytes, n), raw);
        if (raw.n)
            CHECK_INT(base64url_decode(bytes, raw.n - 1, want, &n), ERR_LIMIT);
    }
}

TEST(what_is_not_canonical_is_refused)
{
    static const char *const bad[] = {"Z",    "Zh",   "Zm9",  "Zg==",  "Z g",
                                      "Zm8=", "Zm+v", "Zm/v", "Zm9v\n"};
    char bytes[16];
    size_t n;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(base64url_decode(bytes, sizeof bytes, str_of(bad[i]), &n), ERR_SYNTAX);
}

TEST(vectors_of_rfc_4648_with_padding)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xff", "+/8="}};
    char text[16], bytes[16];
    size_t n;

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct str raw = str_of(pairs[i][0]), want = str_of(pairs[i][1]);

        CHECK_INT(BASE64_LENGTH(raw.n), want.n);
        CHECK_STR(str_make(text, base64_encode(text, raw.p, raw.n)), want);
        CHECK_INT(base64_decode(bytes, sizeof bytes, want, &n), 0);
        CHECK_STR(str_make(bytes, n), raw);
    }
    /* padding may be left out */
    CHECK_INT(base64_decode(bytes, sizeof bytes, STR("Zg"), &n), 0);
    CHECK_INT(base64_decode(bytes, sizeof bytes, STR("-_8="), &n), ERR_SYNTAX);
    CHECK_INT(base64_decode(bytes, sizeof bytes, STR("Z==="), &n), ERR_SYNTAX);
}

TEST_MAIN
