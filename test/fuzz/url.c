/* SPDX-License-Identifier: MIT
 *
 * Fuzzing URLs: what is accepted must come together again from its parts, byte for byte; its host
 * must be one that the C library's own parser of addresses sees no other way; and encoding must be
 * undone by decoding.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/limits.h"
#include "lib/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_inside(struct str part, struct str text)
{
    return !part.p || (part.p >= text.p && part.p + part.n <= text.p + text.n);
}

static void demand_same_text(const struct url *u, struct str text)
{
    struct buf again;

    buf_init(&again, KB(8));
    buf_add_str(&again, u->scheme);
    BUF_LIT(&again, "://");
    if (u->user.p) {
        buf_add_str(&again, u->user);
        if (u->password.p)
            buf_add_char(&again, ':');
        buf_add_str(&again, u->password);
        buf_add_char(&again, '@');
    }
    buf_printf(&again, u->host_is_ipv6 ? "[%.*s]" : "%.*s", STR_ARG(u->host));
    if (u->port)
        buf_printf(&again, ":%d", u->port);
    buf_add_str(&again, u->path);
    if (u->query.p)
        buf_add_char(&again, '?');
    buf_add_str(&again, u->query);
    if (u->fragment.p)
        buf_add_char(&again, '#');
    buf_add_str(&again, u->fragment);
    BUG_ON(!str_is(buf_str(&again), text));
    buf_release(&again);
}

/* Everything that inet_aton() reads as an address must be one in the eyes of inet_pton() too. */
static void demand_one_host(const struct url *u)
{
    char host[LIMIT_URL + 1];
    struct in_addr loose, strict;

    memcpy(host, u->host.p, u->host.n);
    host[u->host.n] = '\0';
    BUG_ON(strlen(host) != u->host.n);
    if (!u->host_is_ipv6 && inet_aton(host, &loose)) {
        BUG_ON(inet_pton(AF_INET, host, &strict) != 1);
        BUG_ON(loose.s_addr != strict.s_addr);
    }
}

static void demand_round_trip(struct str text)
{
    struct buf encoded, decoded;
    int err;

    buf_init(&encoded, MB(4));
    buf_init(&decoded, MB(4));
    url_encode(&encoded, text);
    err = url_decode(buf_str(&encoded), &decoded);
    if (text.n && memchr(text.p, '\0', text.n))
        BUG_ON(err != ERR_SYNTAX);
    else
        BUG_ON(err || !str_is(buf_str(&decoded), text));
    buf_clear(&decoded);
    err = url_decode(text, &decoded);
    BUG_ON(!err && decoded.n && memchr(decoded.p, '\0', decoded.n));
    buf_clear(&decoded);
    err = url_query_get(text, STR("a"), &decoded);
    BUG_ON(err && decoded.n);
    buf_release(&encoded);
    buf_release(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool may_lack_host = size > 0 && data[0] & 1;
    char *block = malloc(size ? size : 1);
    size_t n = size ? size - 1 : 0;
    struct str text = str_make(block, n);
    const char *why = NULL;
    struct url u;

    if (n)
        memcpy(block, data + 1, n);
    if (url_parse(text, may_lack_host, &u, &why) == 0) {
        BUG_ON(!is_inside(u.host, text) || !is_inside(u.path, text));
        BUG_ON(!may_lack_host && u.host.n == 0);
        BUG_ON(str_has_control(text) || memchr(text.p, ' ', n) || memchr(text.p, '\\', n));
        demand_same_text(&u, text);
        demand_one_host(&u);
    } else {
        BUG_ON(!why);
    }
    demand_round_trip(text);
    free(block);
    return 0;
}
