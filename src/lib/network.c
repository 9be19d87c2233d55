/* SPDX-License-Identifier: MIT */
#include "lib/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* *bits: how long the family's addresses are. */
static bool read_address(struct str text, unsigned char out[NETWORK_ADDRESS], unsigned *bits)
{
    char z[INET6_ADDRSTRLEN];

    if (text.n >= sizeof z || memchr(text.p, '\0', text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    memcpy(out, v4_prefix, sizeof v4_prefix);
    *bits = 32;
    if (inet_pton(AF_INET, z, out + 12) == 1)
        return true;
    *bits = 128;
    return inet_pton(AF_INET6, z, out) == 1;
}

bool network_read_address(struct str text, unsigned char out[NETWORK_ADDRESS])
{
    unsigned bits;

    return read_address(text, out, &bits);
}

bool network_read(struct str text, struct network *out)
{
    struct str prefix = text, address = str_cut(&prefix, '/');
    unsigned family_bits;
    uint64_t n;

    if (!read_address(address, out->address, &family_bits))
        return false;
    n = family_bits;
    if (prefix.p && (str_to_u64(prefix, &n) || n > family_bits))
        return false;
    out->bits = 128 - family_bits + (unsigned)n;
    return true;
}

bool network_address_of(const struct sockaddr *from, unsigned char out[NETWORK_ADDRESS])
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;

        memcpy(out, v4_prefix, sizeof v4_prefix);
        memcpy(out + 12, &v4->sin_addr, 4);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;

        memcpy(out, &v6->sin6_addr, 16);
        return true;
    }
    return false;
}

bool network_has(const struct network *n, const unsigned char address[NETWORK_ADDRESS])
{
    unsigned whole = n->bits / 8, rest = n->bits % 8;

    if (memcmp(n->address, address, whole) != 0)
        return false;
    return !rest || (n->address[whole] ^ address[whole]) >> (8 - rest) == 0;
}

/* --- what is not public --------------------------------------------------------------------------- */

struct special {
    unsigned char prefix[NETWORK_ADDRESS];
    unsigned bits;
    const char *what;
};

/* clang-format off */
static const struct special v4_specials[] = {
    {{0}, 8, "unspecified"},
    {{10}, 8, "private"},
    {{100, 64}, 10, "shared (carrier-grade NAT)"},
    {{127}, 8, "loopback"},
    {{169, 254}, 16, "link-local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"},
    {{192, 0, 2}, 24, "documentation"},
    {{192, 88, 99}, 24, "reserved"},
    {{192, 168}, 16, "private"},
    {{198, 18}, 15, "benchmarking"},
    {{198, 51, 100}, 24, "documentation"},
    {{203, 0, 113}, 24, "documentation"},
    {{224}, 4, "multicast"},
    {{240}, 4, "reserved"},
};

/* Within the rest of the address space only 2000::/3 is public. */
static const struct special v6_specials[] = {
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x20, 0x01, 0, 2}, 48, "benchmarking"},
    {{0x20, 0x01, 0, 0x10}, 28, "reserved"},
    {{0x3f, 0xff}, 20, "documentation"},
    {{0xfc}, 7, "private"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "site-local"},
    {{0xff}, 8, "multicast"},
};
/* clang-format on */

static const char *find_special(const struct special *rows, size_t n,
                                const unsigned char *bytes)
{
    for (size_t i = 0; i < n; i++) {
        unsigned whole = rows[i].bits / 8, rest = rows[i].bits % 8;

        if (memcmp(rows[i].prefix, bytes, whole) == 0 &&
            (!rest || (rows[i].prefix[whole] ^ bytes[whole]) >> (8 - rest) == 0))
            return rows[i].what;
    }
    return NULL;
}

static const char *judge_v4(const unsigned char bytes[4])
{
    if (memcmp(bytes, "\xff\xff\xff\xff", 4) == 0)
        return "broadcast";
    return find_special(v4_specials, sizeof v4_specials / sizeof *v4_specials, bytes);
}

static bool begins(const unsigned char *address, const char *prefix, size_t n)
{
    return memcmp(address, prefix, n) == 0;
}

/* The IPv4 address that packets to this one reach in the end; false: there is none. */
static bool find_v4(const unsigned char a[NETWORK_ADDRESS], unsigned char out[4])
{
    if (memcmp(a, v4_prefix, 12) == 0 || begins(a, "\0\0\0\0\0\0\0\0\0\0\0\0", 12) ||
        begins(a, "\0\0\0\0\0\0\0\0\xff\xff\0\0", 12) || /* translated, RFC 2765 */
        begins(a, "\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12)) /* NAT64 */
        memcpy(out, a + 12, 4);
    else if (begins(a, "\x20\x02", 2)) /* 6to4 */
        memcpy(out, a + 2, 4);
    else if (begins(a, "\x20\x01\0\0", 4)) /* Teredo: the client's, inverted */
        for (int i = 0; i < 4; i++)
            out[i] = a[12 + i] ^ 0xff;
    else
        return false;
    return true;
}

const char *network_not_public(const unsigned char a[NETWORK_ADDRESS])
{
    static const unsigned char any[NETWORK_ADDRESS], loopback[NETWORK_ADDRESS] = {[15] = 1};
    unsigned char v4[4];
    const char *what;

    if (memcmp(a, any, NETWORK_ADDRESS) == 0)
        return "unspecified";
    if (memcmp(a, loopback, NETWORK_ADDRESS) == 0)
        return "loopback";
    if (find_v4(a, v4) && (what = judge_v4(v4)))
        return what;
    if (memcmp(a, v4_prefix, 12) == 0 || begins(a, "\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12))
        return NULL;
    what = find_special(v6_specials, sizeof v6_specials / sizeof *v6_specials, a);
    return what ? what : a[0] >> 5 == 1 ? NULL : "reserved";
}
