/* SPDX-License-Identifier: MIT
 *
 * Secrets at rest: what was sealed is opened with the same key and context, and with nothing else.
 */
#include "check.h"

#include "lib/limits.h"
#include "lib/seal.h"

static int open_with(const char *passphrase, struct str text, const char *context,
                     struct buf *out)
{
    struct seal s;

    seal_init(&s, str_of(passphrase));
    buf_release(out);
    buf_init(out, KB(4));
    return seal_open(&s, out, text, str_of(context));
}

TEST(what_was_sealed_is_opened)
{
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1000};
    struct buf sealed, plain, again;
    struct seal s;
    char text[1000];

    memset(text, 'x', sizeof text);
    seal_init(&s, STR("a passphrase"));
    buf_init(&plain, KB(4));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buf_init(&sealed, KB(4));
        buf_init(&again, KB(4));
        seal_write(&s, &sealed, str_make(text, sizes[i]), STR("c"));
        seal_write(&s, &again, str_make(text, sizes[i]), STR("c"));
        CHECK(!str_is(buf_str(&sealed), buf_str(&again))); /* never the same twice */
        CHECK(seal_is(buf_str(&sealed)));
        CHECK(sizes[i] < 15 || !memmem(sealed.p, sealed.n, "xxxxx", 5));
        CHECK_INT(open_with("a passphrase", buf_str(&sealed), "c", &plain), 0);
        CHECK_STR(plain.n ? buf_str(&plain) : STR(""), str_make(text, sizes[i]));
        CHECK_INT(open_with("another", buf_str(&sealed), "c", &plain), ERR_ABSENT);
        CHECK_INT(open_with("a passphrase", buf_str(&sealed), "d", &plain), ERR_INVALID);
        CHECK_INT(plain.n, 0);
        buf_release(&sealed);
        buf_release(&again);
    }
    buf_release(&plain);
}

TEST(every_changed_character_is_noticed)
{
    struct buf sealed, plain;
    struct seal s;

    seal_init(&s, STR("a passphrase"));
    buf_init(&sealed, KB(4));
    buf_init(&plain, KB(4));
    seal_write(&s, &sealed, STR("secret"), STR("c"));
    for (size_t i = 0; i < sealed.n; i++) {
        char was = sealed.p[i];

        sealed.p[i] = was == 'A' ? 'B' : 'A';
        CHECK(open_with("a passphrase", buf_str(&sealed), "c", &plain) != 0);
        sealed.p[i] = was;
        CHECK(open_with("a passphrase", str_make(sealed.p, i), "c", &plain) != 0);
    }
    CHECK(!seal_is(STR("{\"token\":\"x\"}")));
    CHECK_INT(open_with("a passphrase", STR("{\"token\":\"x\"}"), "c", &plain), ERR_INVALID);
    buf_release(&sealed);
    buf_release(&plain);
}

TEST_MAIN
