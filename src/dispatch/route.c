/* SPDX-License-Identifier: MIT
 *
 * Where an agent is called and in which version, from what is configured and what its card says. Pure.
 *
 *     URL      `endpoint`, else the card's, else `url` itself
 *     version  `protocolVersion`, else the newest the card lists and we speak, else 0.3
 *     tenant   the one of the card's interface of that version
 *
 * Of the card's URL only path and query are taken and put behind the scheme, host and port of `url`:
 * agents print addresses that are right where they run (0.0.0.0, a container's name) and wrong here, and a
 * card must not be able to send calls and their credentials elsewhere. `followCardHost` allows it, but
 * never from https to http.
 *
 * What is odd is put into words for the log and for `agents check`; it never stops the agent from being
 * called.
 */
#include "dispatch/dispatch_int.h"

#include "lib/url.h"

/* Tenants are short names; they travel in every request. */
#define TENANT_MAX KB(1)

static bool is_same_host(const struct url *a, const struct url *b)
{
    return str_is_nocase(a->scheme, b->scheme) && str_is_nocase(a->host, b->host) &&
           url_port(a) == url_port(b);
}

bool route_is_same_host(struct str a, struct str b)
{
    const char *why;
    struct url ua, ub;

    return !url_parse(a, false, &ua, &why) && !url_parse(b, false, &ub, &why) &&
           is_same_host(&ua, &ub);
}

/* Names under which an agent knows its own machine. */
static bool is_own_machine(struct str host)
{
    return str_is_nocase(host, STR("localhost")) || str_has_prefix(host, STR("127.")) ||
           str_is(host, STR("0.0.0.0")) || str_is(host, STR("::1")) || str_is(host, STR("::"));
}

/* Two spellings of this machine: nothing a person must be told. */
static bool is_other_spelling(const struct url *a, const struct url *b)
{
    return url_port(a) == url_port(b) && is_own_machine(a->host) && is_own_machine(b->host);
}

/* The card's path on the registered host. Absent: too long, or no memory. */
static struct str put_on_host(const struct url *home, const struct url *listed,
                              struct arena *arena)
{
    struct str out;
    struct buf url;

    buf_init(&url, LIMIT_URL);
    buf_add_str(&url, home->scheme);
    BUF_LIT(&url, "://");
    url_write_authority(&url, home);
    buf_add_str(&url, listed->path.n ? listed->path : STR("/"));
    if (listed->query.p) {
        buf_add_char(&url, '?');
        buf_add_str(&url, listed->query);
    }
    out = buf_error(&url) ? STR_NONE : arena_str(arena, buf_str(&url));
    buf_release(&url);
    return out;
}

static bool is_downgrade(const struct url *home, const struct url *listed)
{
    return str_is_nocase(home->scheme, STR("https")) &&
           !str_is_nocase(listed->scheme, STR("https"));
}

/* Decides between the registered host and the one the card lists. Returns the URL, absent if it cannot be
 * called. */
static struct str choose_host(const struct agent_spec *spec, struct str listed,
                              struct arena *arena, struct route *out)
{
    struct url home, there;
    const char *why;
    struct str url;

    if (egress_url_check(listed, &why) || url_parse(listed, false, &there, &why) ||
        url_parse(spec->url, false, &home, &why)) {
        (void)snprintf(out->why, sizeof out->why,
                       "the card's URL cannot be called (%s); using the url as registered",
                       why);
        return STR_NONE;
    }
    if (is_same_host(&home, &there) || (spec->follow_card_host && !is_downgrade(&home, &there)))
        return arena_str(arena, listed);
    url = put_on_host(&home, &there, arena);
    out->listed = arena_str(arena, listed);
    if (url.p && !is_other_spelling(&home, &there))
        (void)snprintf(out->why, sizeof out->why, "the card lists %.80s on another host%s",
                       out->listed.p ? out->listed.p : "",
                       spec->follow_card_host ? ", without TLS: not followed"
                                              : "; followCardHost: true would follow it");
    return url;
}

static void choose_version(const struct agent_spec *spec, const struct a2a_card *card,
                           struct route *out)
{
    out->version = A2A_0_3;
    out->version_from = "default";
    if (card && card->has_interface) {
        out->version = card->preferred;
        out->version_from = "card";
    }
    if (spec->has_version) {
        out->version = spec->version;
        out->version_from = "protocolVersion";
    }
}

void route_find(const struct agent_spec *spec, const struct a2a_card *card, struct arena *arena,
                struct route *out)
{
    const struct a2a_card_interface *face;
    struct str url;

    *out = (struct route){.url = spec->url, .url_from = "url", .tenant = STR_NONE};
    choose_version(spec, card, out);
    if (spec->endpoint.p) {
        out->url = spec->endpoint;
        out->url_from = "endpoint";
    }
    if (!card || !card->has_interface) {
        if (card && !spec->endpoint.p)
            (void)snprintf(out->why, sizeof out->why,
                           "the card lists no JSON-RPC interface; using the url as registered");
        return;
    }
    face = &card->interfaces[out->version];
    if (face->is_given && face->tenant.n <= TENANT_MAX)
        out->tenant = face->tenant.n ? face->tenant : STR_NONE;
    if (!face->is_given) {
        (void)snprintf(out->why, sizeof out->why,
                       "protocolVersion %s is set but the card says %s",
                       a2a_version_text(out->version), a2a_version_text(card->preferred));
        face = &card->interfaces[card->preferred];
    }
    if (spec->endpoint.p)
        return;
    url = choose_host(spec, face->url, arena, out);
    if (url.p) {
        out->url = url;
        out->url_from = "card";
    }
}
