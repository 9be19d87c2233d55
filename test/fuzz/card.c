/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: agent cards. What is read must be usable as it says; what is written, in each form and from any object,
 * must be JSON, a card that names our address and no other, and the same when it is written again from itself.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "a2a/a2a.h"
#include "lib/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define URL "https://gw.example/agents/w/"

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* The card's interface of that version is absent, or where `url` says (absent: anywhere that can be called). */
static void check_interface(const struct a2a_card_interface *i, struct str url)
{
    const char *why;
    struct url parts;

    if (!i->is_given)
        return;
    must(url_parse(i->url, false, &parts, &why) == 0);
    must(!url.p || (str_is(i->url, url) && !i->tenant.p));
}

static bool read_card(struct str doc, struct str url)
{
    struct a2a_card card = {0};
    struct arena arena;
    char why[200];
    int err;

    arena_init(&arena, MB(1));
    err = a2a_card_read(doc, &arena, &card, why);
    must(!err || err == ERR_INVALID);
    must(!err || why[0]);
    check_interface(&card.interfaces[A2A_0_3], url);
    check_interface(&card.interfaces[A2A_1_0], url);
    must(err ||
         card.has_interface == (card.interfaces[0].is_given || card.interfaces[1].is_given));
    must(err || !card.has_interface || card.interfaces[card.preferred].is_given);
    arena_release(&arena);
    return err == 0;
}

static void write_card(struct str doc, enum a2a_card_form form)
{
    struct a2a_card_offer offer = {.url = STR(URL), .streaming = true};
    struct buf first, second;

    buf_init(&first, MB(8));
    buf_init(&second, MB(8));
    must(a2a_card_write(&first, doc, form, &offer) == 0);
    must(json_scan(buf_str(&first), NULL, NULL, 0, NULL) == 0);
    must(read_card(buf_str(&first), offer.url));
    must(a2a_card_write(&second, buf_str(&first), form, &offer) == 0);
    must(str_is(buf_str(&first), buf_str(&second)));
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str doc = str_make((const char *)data, size);
    bool is_json = json_scan(doc, NULL, NULL, 0, NULL) == 0;
    bool is_card = read_card(doc, STR_NONE);

    must(is_json || !is_card);
    if (!is_json || json_type(doc) != JSON_OBJECT)
        return 0;
    write_card(doc, A2A_CARD_HYBRID);
    write_card(doc, A2A_CARD_1_0);
    write_card(doc, A2A_CARD_0_3);
    return 0;
}
