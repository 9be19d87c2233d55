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

/* RFC 4231, cases 1, 2 and 6. */
TEST(hmac_of_the_rfc)
{
    char key[131];
    const struct {
        struct str key, data;
        const char *want;
    } cases[] = {
        {str_make(
             "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
             20),
         STR("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {STR("Jefe"), STR("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {str_make(key, sizeof key),
         STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    unsigned char mac[DIGEST_BYTES];
    char hex[DIGEST_HEX + 1];

    memset(key, 0xaa, sizeof key);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t cut = 0; cut < cases[i].data.n; cut += 3) { /* however it is cut */
            struct str data = cases[i].data;
            struct str parts[] = {str_make(data.p, cut), str_make(data.p + cut, data.n - cut)};

            digest_hmac_sha256(cases[i].key, parts, 2, mac);
            digest_write_hex(mac, hex);
            CHECK_STR(str_of(hex), str_of(cases[i].want));
        }
}

TEST_MAIN
