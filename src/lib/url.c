/* SPDX-License-Identifier: MIT
 *
 * URLs, taken apart once and strictly.
 *
 * The danger is not a wrong URL but one that two readers understand differently: the one that
 * asks whether a host may be called, and the one that calls it. So this parser does not repair.
 *
 *   1. Only the characters of RFC 3986 may occur, each part has its own set, and every '%'
 *      begins an escape that is not %00.
 *   2. The authority ends at the first '/', '?' or '#', and holds at most one '@'.
 *   3. A host that ends in a number is a dotted IPv4 address of four decimal numbers or
 *      nothing: 127.1, 0177.0.0.1, 0x7f000001 and 2130706433 are addresses to some resolvers
 *      and names to others.
 *   4. A port is written the one way there is to write it.
 *
 * Deliberately absent: resolving relative references, normalising, internationalised names
 * (write them as xn--).
 */
#include "lib/url.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/limits.h"

#define HOST_MAX 253
#define LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
}

/* Whether `c` is in `set`; NUL never is. */
static bool is_in(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* The byte that the escape at s.p[i] stands for; -1 if it is none. */
static int escaped_byte(struct str s, size_t i)
{
    int high, low;

    if (s.n - i < 3 || s.p[i] != '%')
        return -1;
    high = hex_value(s.p[i + 1]);
    low = hex_value(s.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static int fail(const char **why, const char *reason)
{
    *why = reason;
    return ERR_SYNTAX;
}

/* Whether `s` consists of unreserved characters, sub-delims, escapes and those in `also`. */
static bool is_spelled(struct str s, const char *also)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            if (escaped_byte(s, i) <= 0)
                return false;
            i += 2;
        } else if (!is_alnum(c) && !is_in(c, "-._~!$&'()*+,;=") && !is_in(c, also)) {
            return false;
        }
    }
    return true;
}

/* Moves everything from the first character of `stops` on from *s to the result. */
static struct str split_before(struct str *s, const char *stops)
{
    size_t n = 0;
    struct str rest;

    while (n < s->n && !is_in(s->p[n], stops))
        n++;
    rest = str_make(s->p + n, s->n - n);
    s->n = n;
    return rest;
}

/* Without the '?' or '#' it begins with; absent if there was none. */
static struct str behind_mark(struct str s)
{
    return s.n ? str_make(s.p + 1, s.n - 1) : STR_NONE;
}

static int parse_scheme(struct str *rest, struct url *u, const char **why)
{
    struct str scheme = *rest;
    struct str behind = split_before(&scheme, ":/?#");

    if (!str_has_prefix(behind, STR("://")))
        return fail(why, "the URL does not begin with a scheme and ://");
    if (scheme.n == 0 || !is_alnum(scheme.p[0]) || is_digit(scheme.p[0]))
        return fail(why, "the URL's scheme does not begin with a letter");
    for (size_t i = 1; i < scheme.n; i++)
        if (!is_alnum(scheme.p[i]) && !is_in(scheme.p[i], "+-."))
            return fail(why, "the URL's scheme holds a character that must not stand there");
    u->scheme = scheme;
    *rest = str_make(behind.p + 3, behind.n - 3);
    return 0;
}

static int parse_userinfo(struct str userinfo, struct url *u, const char **why)
{
    if (userinfo.n == 0)
        return fail(why, "the URL has '@' without a user in front of it");
    if (!is_spelled(userinfo, ":"))
        return fail(why, "the URL's user or password holds a character that must be escaped");
    u->password = userinfo;
    u->user = str_cut(&u->password, ':');
    return 0;
}

/* An IPv4 address, or a name that nobody could take for one. */
static bool is_host_name(struct str s)
{
    char address[INET_ADDRSTRLEN];
    struct in_addr parsed;
    struct str labels = s, last = STR_NONE;
    size_t n_hex;

    if (s.n == 0 || s.n > HOST_MAX || s.p[0] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && !is_in(s.p[i], "-._"))
            return false;
    while (labels.p) {
        struct str label = str_cut(&labels, '.');

        if (label.n > LABEL_MAX)
            return false;
        /* One dot may end the name (it is then absolute); nothing else is empty. */
        if (label.n == 0 && (labels.p || !last.p))
            return false;
        if (label.n > 0)
            last = label;
    }
    n_hex = last.n > 1 && last.p[0] == '0' && (last.p[1] | 0x20) == 'x' ? 2 : 0;
    for (size_t i = n_hex; i < last.n; i++)
        if (n_hex ? hex_value(last.p[i]) < 0 : !is_digit(last.p[i]))
            return true;
    if (s.n >= sizeof address)
        return false;
    memcpy(address, s.p, s.n);
    address[s.n] = '\0';
    return inet_pton(AF_INET, address, &parsed) == 1;
}

static bool is_ipv6(struct str s)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;

    if (s.n >= sizeof address || memchr(s.p, '\0', s.n))
        return false;
    memcpy(address, s.p, s.n);
    address[s.n] = '\0';
    return inet_pton(AF_INET6, address, &parsed) == 1;
}

/* A folder of Unix sockets, written where the host goes: "%2Fvar%2Frun%2Fpostgresql". */
static bool is_socket_path(struct str s)
{
    return s.n > 0 && escaped_byte(s, 0) == '/' && is_spelled(s, "");
}

static int parse_port(struct str s, struct url *u, const char **why)
{
    uint64_t port;

    if (s.n == 0)
        return fail(why, "the URL has ':' without a port behind it");
    if (s.p[0] == '0' || str_to_u64(s, &port) || port > 65535)
        return fail(why, "the URL's port is not a number from 1 to 65535");
    u->port = (uint16_t)port;
    return 0;
}

/* host[:port], what is behind '@'. */
static int parse_host(struct str s, bool may_lack_host, struct url *u, const char **why)
{
    struct str behind;

    if (s.n > 0 && s.p[0] == '[') {
        u->host = str_make(s.p + 1, s.n - 1);
        behind = split_before(&u->host, "]");
        if (behind.n == 0 || !is_ipv6(u->host))
            return fail(why, "the URL's host is not an IPv6 address although in brackets");
        behind = behind_mark(behind);
        u->host_is_ipv6 = true;
        if (behind.n > 0 && behind.p[0] != ':')
            return fail(why, "the URL's host goes on behind the brackets");
    } else {
        u->host = s;
        behind = split_before(&u->host, ":");
        if (u->host.n == 0 && !may_lack_host)
            return fail(why, "the URL has no host");
        if (u->host.n > 0 && !is_host_name(u->host) &&
            !(may_lack_host && is_socket_path(u->host)))
            return fail(why, "the URL's host is neither a name nor an address");
    }
    return behind.n ? parse_port(behind_mark(behind), u, why) : 0;
}

static int parse_authority(struct str authority, bool may_lack_host, struct url *u,
                           const char **why)
{
    struct str host = authority;
    struct str userinfo = str_cut(&host, '@');

    if (!host.p)
        return parse_host(authority, may_lack_host, u, why);
    if (host.n > 0 && memchr(host.p, '@', host.n))
        return fail(why, "the URL has more than one '@' in front of its path");
    if (parse_userinfo(userinfo, u, why))
        return ERR_SYNTAX;
    return parse_host(host, may_lack_host, u, why);
}

int url_parse(struct str text, bool may_lack_host, struct url *out, const char **why)
{
    struct url u = {0};
    struct str rest = text;
    struct str authority;

    if (text.n > LIMIT_URL) {
        *why = "the URL is longer than allowed";
        return ERR_LIMIT;
    }
    if (text.n == 0)
        return fail(why, "the URL is empty");
    if (parse_scheme(&rest, &u, why))
        return ERR_SYNTAX;
    authority = rest;
    rest = split_before(&authority, "/?#");
    if (parse_authority(authority, may_lack_host, &u, why))
        return ERR_SYNTAX;
    u.path = rest;
    u.fragment = behind_mark(split_before(&u.path, "#"));
    u.query = behind_mark(split_before(&u.path, "?"));
    if (!is_spelled(u.path, "/:@"))
        return fail(why, "the URL's path holds a character that must be escaped");
    if (!is_spelled(u.query, "/?:@"))
        return fail(why, "the URL's query holds a character that must be escaped");
    if (!is_spelled(u.fragment, "/?:@"))
        return fail(why, "the URL's fragment holds a character that must be escaped");
    *out = u;
    return 0;
}

int url_decode(struct str encoded, struct buf *out)
{
    size_t start = out->n;

    for (size_t i = 0; i < encoded.n; i++) {
        int byte = (unsigned char)encoded.p[i];

        if (byte == '%') {
            byte = escaped_byte(encoded, i);
            i += 2;
        }
        if (byte <= 0) {
            out->n = start;
            return ERR_SYNTAX;
        }
        buf_add_char(out, (char)byte);
    }
    return buf_error(out);
}

void url_encode(struct buf *out, struct str raw)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];

        if (is_alnum(raw.p[i]) || is_in(raw.p[i], "-._~"))
            buf_add_char(out, raw.p[i]);
        else
            buf_add(out, (char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

/* Whether `encoded` decodes to `name`. A name of bad escapes is no name. */
static bool is_decoded_name(struct str encoded, struct str name)
{
    size_t n = 0;

    for (size_t i = 0; i < encoded.n; i++) {
        int byte = (unsigned char)encoded.p[i];

        if (byte == '%') {
            byte = escaped_byte(encoded, i);
            i += 2;
        }
        if (n == name.n || byte != (unsigned char)name.p[n])
            return false;
        n++;
    }
    return n == name.n;
}

int url_query_get(struct str query, struct str name, struct buf *out)
{
    struct str found = STR_NONE;

    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');

        if (!is_decoded_name(key, name))
            continue;
        if (found.p)
            return ERR_CONFLICT;
        found = value.p ? value : str_make("", 0);
    }
    return found.p ? url_decode(found, out) : ERR_ABSENT;
}

static uint16_t default_port(struct str scheme)
{
    if (str_is_nocase(scheme, STR("https")))
        return 443;
    return str_is_nocase(scheme, STR("http")) ? 80 : 0;
}

void url_write_authority(struct buf *out, const struct url *u)
{
    if (u->host_is_ipv6)
        buf_add_char(out, '[');
    buf_add_str(out, u->host);
    if (u->host_is_ipv6)
        buf_add_char(out, ']');
    if (u->port && u->port != default_port(u->scheme)) {
        buf_add_char(out, ':');
        buf_add_u64(out, u->port);
    }
}

uint16_t url_port(const struct url *u)
{
    return u->port ? u->port : default_port(u->scheme);
}
