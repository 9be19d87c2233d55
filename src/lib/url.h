/* SPDX-License-Identifier: MIT
 *
 * http and https URLs, taken apart strictly (RFC 3986), and percent-encoding.
 *
 * One parser serves agents, webhooks and DATABASE_URL, so that what was checked is what is called. Anything
 * that two parsers could read differently (control bytes, backslashes, spaces, several '@', a port above
 * 65535, an empty host, numbers that some take for an address, bad percent escapes) is refused with a reason.
 * Any scheme is taken apart; which ones are welcome is the caller's to say.
 */
#ifndef LIB_URL_H
#define LIB_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/str.h"

struct url {
    /* Views into the text that was parsed, still percent-encoded; absent when not there. */
    struct str scheme;   /* as written, e.g. "https" */
    struct str user;     /* before ':' of the user information */
    struct str password; /* behind it */
    struct str
        host; /* without brackets for IPv6; empty, or "%2F..." for a folder of sockets, only if
                          * the parser was told that it may be */
    bool host_is_ipv6;
    uint16_t port;    /* 0 = not given */
    struct str path;  /* with its leading '/', or empty */
    struct str query; /* without '?' */
    struct str fragment;
};

/* Parses scheme://[user[:password]@]host[:port][/path][?query][#fragment]. An empty host is allowed only when
 * `may_lack_host` (database URLs with a socket path). Returns 0, ERR_SYNTAX, or ERR_LIMIT above LIMIT_URL;
 * after an error *why is a literal that says what is wrong, and *out is untouched. */
MUST_CHECK int url_parse(struct str text, bool may_lack_host, struct url *out,
                         const char **why);

/* Undoes percent-encoding; ERR_SYNTAX for bad escapes, or NUL when decoded (nothing is added then); or the
 * buffer's error. '+' stays '+'. */
MUST_CHECK int url_decode(struct str encoded, struct buf *out);

/* Encodes everything but unreserved characters. */
void url_encode(struct buf *out, struct str raw);

/* The value of `name` in a query string, decoded into `out`. ERR_ABSENT if there is none, ERR_CONFLICT if
 * there are several, ERR_SYNTAX if it cannot be decoded. */
MUST_CHECK int url_query_get(struct str query, struct str name, struct buf *out);

/* host or host:port as a Host header wants it (brackets for IPv6; the scheme's default port left out). */
void url_write_authority(struct buf *out, const struct url *u);

/* 80 or 443 when no port was given and the scheme is http or https, 0 when it is another. */
uint16_t url_port(const struct url *u);

#endif
