/* SPDX-License-Identifier: MIT
 *
 * A spec that lives as long as somebody needs it: one block of memory, the struct and its texts behind it.
 *
 * All texts of a spec are reached through text_at(), so that copying and comparing cannot forget one: the
 * fixed ones, the headers' names and values, the names that are forwarded. Adding a key that is a text means
 * adding it to `texts`; any other kind of key belongs into spec_is_same(), too.
 */
#include "dispatch/dispatch_int.h"

#include "lib/mem.h"

#include <stddef.h>

/* Those that say where and how the card is fetched come first. */
static const size_t texts[] = {
    offsetof(struct agent_spec, url),      offsetof(struct agent_spec, card_url),
    offsetof(struct agent_spec, card),     offsetof(struct agent_spec, bearer),
    offsetof(struct agent_spec, ca_file),  offsetof(struct agent_spec, cert_file),
    offsetof(struct agent_spec, key_file), offsetof(struct agent_spec, server_name),
    offsetof(struct agent_spec, id),       offsetof(struct agent_spec, endpoint),
};

#define N_TEXTS (sizeof texts / sizeof *texts)
#define N_CARD_TEXTS 9u /* the id, too: it is in log lines */

/* Where the names that are forwarded begin. */
static size_t forwards_at(const struct agent_spec *s)
{
    return N_TEXTS + 2 * s->n_headers;
}

static size_t text_count(const struct agent_spec *s)
{
    return forwards_at(s) + s->n_forwards;
}

static struct str *text_at(struct agent_spec *s, size_t i)
{
    struct agent_header *h;

    if (i < N_TEXTS)
        return (struct str *)(void *)((char *)s + texts[i]);
    if (i >= forwards_at(s))
        return &s->forwards[i - forwards_at(s)];
    h = &s->headers[(i - N_TEXTS) / 2];
    return (i - N_TEXTS) % 2 ? &h->value : &h->name;
}

static struct str text_of(const struct agent_spec *s, size_t i)
{
    return *text_at((struct agent_spec *)s, i);
}

struct settings *settings_new(const struct agent_spec *spec)
{
    size_t n = 0, at = 0;
    struct settings *s;

    BUG_ON(spec->n_headers > AGENT_HEADERS_MAX || spec->n_forwards > AGENT_FORWARDS_MAX);
    for (size_t i = 0; i < text_count(spec); i++)
        n += text_of(spec, i).n + 1;
    s = mem_zero(1, sizeof *s + n);
    s->n_refs = 1;
    s->spec = *spec;
    s->spec.next = NULL;
    for (size_t i = 0; i < text_count(spec); i++) {
        struct str *text = text_at(&s->spec, i);

        if (!text->p)
            continue;
        if (text->n)
            memcpy(s->texts + at, text->p, text->n);
        text->p = s->texts + at;
        at += text->n + 1;
    }
    return s;
}

struct settings *settings_ref(struct settings *s)
{
    BUG_ON(s->n_refs == 0);
    s->n_refs++;
    return s;
}

void settings_unref(struct settings *s)
{
    if (!s)
        return;
    BUG_ON(s->n_refs == 0);
    if (--s->n_refs == 0)
        mem_free(s);
}

static bool is_same_text(const struct agent_spec *a, const struct agent_spec *b, size_t i)
{
    return str_is(text_of(a, i), text_of(b, i)) && !text_of(a, i).p == !text_of(b, i).p;
}

static bool has_same_headers(const struct agent_spec *a, const struct agent_spec *b)
{
    if (a->n_headers != b->n_headers)
        return false;
    for (size_t i = N_TEXTS; i < forwards_at(a); i++)
        if (!is_same_text(a, b, i))
            return false;
    return true;
}

/* Of specs with the same headers. */
static bool has_same_forwards(const struct agent_spec *a, const struct agent_spec *b)
{
    if (a->n_forwards != b->n_forwards)
        return false;
    for (size_t i = forwards_at(a); i < text_count(a); i++)
        if (!is_same_text(a, b, i))
            return false;
    return true;
}

bool spec_has_same_card(const struct agent_spec *a, const struct agent_spec *b)
{
    for (size_t i = 0; i < N_CARD_TEXTS; i++)
        if (!is_same_text(a, b, i))
            return false;
    return has_same_headers(a, b);
}

bool spec_is_same(const struct agent_spec *a, const struct agent_spec *b)
{
    for (size_t i = N_CARD_TEXTS; i < N_TEXTS; i++)
        if (!is_same_text(a, b, i))
            return false;
    return spec_has_same_card(a, b) && has_same_forwards(a, b) &&
           a->has_version == b->has_version && (!a->has_version || a->version == b->version) &&
           a->follow_card_host == b->follow_card_host && a->has_card_form == b->has_card_form &&
           (!a->has_card_form || a->card_form == b->card_form) &&
           a->max_in_flight == b->max_in_flight && a->max_streams == b->max_streams &&
           a->send == b->send && a->final_get == b->final_get && a->timeout_ms == b->timeout_ms;
}

size_t spec_headers(const struct agent_spec *spec, struct buf *room,
                    struct egress_header out[SPEC_HEADERS_MAX])
{
    size_t n = 0;

    if (spec->bearer.p) {
        BUF_LIT(room, "Bearer ");
        buf_add_str(room, spec->bearer);
        out[n++] = (struct egress_header){"Authorization", buf_str(room)};
    }
    /* Names end in NUL: in settings, and in the arena of a reader. */
    for (size_t i = 0; i < spec->n_headers; i++)
        out[n++] = (struct egress_header){spec->headers[i].name.p, spec->headers[i].value};
    return n;
}

struct egress_tls spec_tls(const struct agent_spec *spec, struct str url)
{
    if (!str_is_nocase(str_make(url.p, url.n < 6 ? url.n : 6), STR("https:")))
        return (struct egress_tls){.ca_file = STR_NONE};
    return (struct egress_tls){.ca_file = spec->ca_file,
                               .cert_file = spec->cert_file,
                               .key_file = spec->key_file,
                               .server_name = spec->server_name};
}
