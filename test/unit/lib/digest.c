/* SPDX-License-Identifier: MIT
 *
 * SHA-256 against the examples of its standard.
 */
#include "check.h"

#include "lib/digest.h"
#include "lib/mem.h"

static void check_digest(struct str bytes, const char *want)
{
    char hex[DIGEST_HEX + 1];

    digest_sha256(bytes, hex);
    CHECK_STR(str_of(hex), str_of(want));
}

TEST(examples_of_the_standard)
{
    check_digest(STR(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest(STR_NONE, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest(STR("abc"),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check_digest(STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(a_million_letters)
{
    char *bytes = mem_zero(1000000, 1);

    memset(bytes, 'a', 1000000);
    check_digest(str_make(bytes, 1000000),
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    mem_free(bytes);
}

TEST(a_nul_counts)
{
    check_digest(str_make("\0", 1),
                 "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

TEST_MAIN
