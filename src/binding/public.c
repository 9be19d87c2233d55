/* SPDX-License-Identifier: MIT
 *
 * Under which address callers reach the gateway, for the URLs that it writes into cards.
 *
 *     1. PUBLIC_URL, when it is set
 *     2. X-Forwarded-Proto, -Host and -Prefix, when the peer is one of TRUSTED_PROXIES
 *     3. the Host header, with http: this is where the caller came, so this is where he can come again
 *     4. the address listened on, when the Host is none
 *
 * Host and the X-Forwarded headers are a stranger's words, and what is written here ends in a card that others may
 * read from a cache: each goes through lib/url, which takes nothing that two readers could understand differently, and
 * is written anew from its parts. Of lists (several proxies in a row) the first value is the caller's side.
 *
 * A base URL ends in '/': some clients resolve the card's path against it and drop what stands behind the last slash.
 */
#include <stdio.h>

#include "binding/binding_int.h"
#include "lib/mem.h"
#include "lib/network.h"
#include "lib/url.h"

/* --- the settings --- */

static int read_proxies(struct public_address *p, struct str list, char why[256])
{
    while (list.p) {
        struct str item = str_trim(str_cut(&list, ','));
        struct network network;

        if (item.n == 0)
            continue;
        if (!network_read(item, &network)) {
            snprintf(why, 256,
                     "TRUSTED_PROXIES: \"%.*s\" is neither an address nor a network such as "
                     "10.0.0.0/8 or fd00::/8",
                     item.n > 80 ? 80 : (int)item.n, item.p);
            return ERR_INVALID;
        }
        p->trusted = mem_resize(p->trusted, p->n_trusted + 1, sizeof *p->trusted);
        p->trusted[p->n_trusted++] = network;
    }
    return 0;
}

static void write_path(struct buf *out, struct str path)
{
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    buf_add_str(out, path);
    buf_add_char(out, '/');
}

static void write_base(struct buf *out, struct str scheme, const struct url *authority,
                       struct str path)
{
    buf_add_str(out, scheme);
    BUF_LIT(out, "://");
    url_write_authority(out, authority);
    write_path(out, path);
}

static int read_public_url(struct public_address *p, struct str text, char why[256])
{
    const char *reason = "it must be an http or https URL";
    struct url url;
    bool is_web;

    if (url_parse(text, false, &url, &reason)) {
        snprintf(why, 256, "PUBLIC_URL: %s", reason);
        return ERR_INVALID;
    }
    is_web = str_is_nocase(url.scheme, STR("http")) || str_is_nocase(url.scheme, STR("https"));
    if (url.user.p || url.query.p || url.fragment.p)
        reason = "it must hold neither user, query nor fragment";
    if (!is_web || url.user.p || url.query.p || url.fragment.p) {
        snprintf(why, 256, "PUBLIC_URL: %s", reason);
        return ERR_INVALID;
    }
    write_base(&p->base, url.scheme, &url, url.path);
    return 0;
}

int public_init(struct public_address *p, const struct binding_config *config, char why[256])
{
    int err = 0;

    *p = (struct public_address){.listen = config->listen, .port = config->port};
    buf_init(&p->base, 2 * LIMIT_URL);
    if (config->public_url && config->public_url[0])
        err = read_public_url(p, str_of(config->public_url), why);
    if (!err && config->trusted_proxies)
        err = read_proxies(p, str_of(config->trusted_proxies), why);
    return err;
}

void public_release(struct public_address *p)
{
    buf_release(&p->base);
    mem_free(p->trusted);
    p->trusted = NULL;
    p->n_trusted = 0;
}

/* --- a request --- */

bool public_is_proxy(const struct public_address *p, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    unsigned char address[NETWORK_ADDRESS];
    struct str text;

    if (!p->n_trusted || !colon)
        return false;
    text = str_make(peer, (size_t)(colon - peer));
    if (text.n > 2 && text.p[0] == '[')
        text = str_make(text.p + 1, text.n - 2);
    if (!network_read_address(text, address))
        return false;
    for (size_t i = 0; i < p->n_trusted; i++)
        if (network_has(&p->trusted[i], address))
            return true;
    return false;
}

static struct str first_value(const struct http_head *head, struct str name)
{
    struct str list = http_head_get(head, name);

    return list.p ? str_trim(str_cut(&list, ',')) : STR_NONE;
}

/* Parses `authority` and `path` as they would stand in a URL of that scheme, and nothing else. The views in *out point
 * into `scratch`. */
static bool read_parts(struct buf *scratch, struct str scheme, struct str authority,
                       struct str path, struct url *out)
{
    const char *why;

    buf_clear(scratch);
    buf_add_str(scratch, scheme);
    BUF_LIT(scratch, "://");
    buf_add_str(scratch, authority);
    buf_add_str(scratch, path);
    return authority.p && !buf_error(scratch) &&
           url_parse(buf_str(scratch), false, out, &why) == 0 && !out->user.p &&
           !out->query.p && !out->fragment.p && str_is(out->path, path);
}

static bool is_loopback_host(struct str host)
{
    unsigned char address[NETWORK_ADDRESS];

    if (str_is_nocase(host, STR("localhost")))
        return true;
    if (!network_read_address(host, address))
        return false;
    return !memcmp(address, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f", 13) ||
           !memcmp(address, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

bool public_is_own_host(const struct public_address *p, struct str host)
{
    struct url url, own;
    struct buf scratch;
    const char *why;
    bool is_own;

    buf_init(&scratch, LIMIT_URL);
    is_own = read_parts(&scratch, STR("http"), host, STR(""), &url) &&
             (is_loopback_host(url.host) || str_is_nocase(url.host, str_of(p->listen)) ||
              (p->base.n && !url_parse(buf_str(&p->base), false, &own, &why) &&
               str_is_nocase(url.host, own.host)));
    buf_release(&scratch);
    return is_own;
}

/* What the Host header does not say, for the one machine that can reach every address we listen on: this one. */
static void write_listened(const struct public_address *p, struct buf *out)
{
    const char *host = p->listen && p->listen[0] ? p->listen : "localhost";
    struct url url = {.scheme = STR("http"), .port = p->port};

    if (!strcmp(host, "0.0.0.0") || !strcmp(host, "::"))
        host = "localhost";
    url.host = str_of(host);
    url.host_is_ipv6 = strchr(host, ':') != NULL;
    write_base(out, url.scheme, &url, STR(""));
}

void public_write_base(const struct public_address *p, struct buf *out,
                       const struct http_head *head, const char *peer)
{
    struct str scheme = STR("http"), host = http_head_get(head, STR("host")), prefix = STR("");
    struct url url, prefixed;
    struct buf scratch;

    if (p->base.n) {
        buf_add_str(out, buf_str(&p->base));
        return;
    }
    buf_init(&scratch, LIMIT_URL);
    if (public_is_proxy(p, peer)) {
        struct str said_host = first_value(head, STR("x-forwarded-host"));

        if (str_is_nocase(first_value(head, STR("x-forwarded-proto")), STR("https")))
            scheme = STR("https");
        if (read_parts(&scratch, scheme, said_host, STR(""), &url))
            host = said_host;
        prefix = first_value(head, STR("x-forwarded-prefix"));
        if (!prefix.n || prefix.p[0] != '/' ||
            !read_parts(&scratch, scheme, STR("host"), prefix, &prefixed))
            prefix = STR("");
    }
    if (read_parts(&scratch, scheme, host, STR(""), &url))
        write_base(out, scheme, &url, prefix);
    else
        write_listened(p, out);
    buf_release(&scratch);
}

void public_write_agent(const struct public_address *p, struct buf *out,
                        const struct http_head *head, const char *peer, struct str id)
{
    public_write_base(p, out, head, peer);
    BUF_LIT(out, "agents/");
    url_encode(out, id);
    buf_add_char(out, '/');
}

const char *public_vary(const struct public_address *p)
{
    if (p->base.n)
        return "A2A-Version";
    if (!p->n_trusted)
        return "A2A-Version, Host";
    return "A2A-Version, Host, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Prefix";
}
