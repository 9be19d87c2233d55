/* SPDX-License-Identifier: MIT
 *
 * Networks, and which addresses are public.
 */
#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "lib/network.h"

static const char *what_is(const char *text)
{
    unsigned char address[NETWORK_ADDRESS];
    const char *what;

    if (!network_read_address(str_of(text), address))
        return "no address";
    what = network_not_public(address);
    return what ? what : "public";
}

TEST(addresses_and_what_they_are)
{
    static const char *const cases[][2] = {
        {"8.8.8.8", "public"},
        {"1.0.0.1", "public"},
        {"223.255.255.255", "public"},
        {"100.63.255.255", "public"},
        {"100.128.0.0", "public"},
        {"172.15.255.255", "public"},
        {"172.32.0.0", "public"},
        {"169.253.255.255", "public"},
        {"192.0.1.0", "public"},
        {"198.17.255.255", "public"},
        {"198.20.0.0", "public"},
        {"2606:2800:220:1::1", "public"},
        {"2a00:1450::1", "public"},
        {"::ffff:8.8.8.8", "public"},
        {"64:ff9b::8.8.8.8", "public"},
        {"2002:808:808::1", "public"},
        {"0.0.0.0", "unspecified"},
        {"0.255.0.1", "unspecified"},
        {"10.0.0.0", "private"},
        {"10.255.255.255", "private"},
        {"100.64.0.0", "shared (carrier-grade NAT)"},
        {"100.127.255.255", "shared (carrier-grade NAT)"},
        {"127.0.0.1", "loopback"},
        {"127.255.255.255", "loopback"},
        {"169.254.169.254", "link-local"},
        {"172.16.0.0", "private"},
        {"172.31.255.255", "private"},
        {"192.0.0.8", "reserved"},
        {"192.0.2.1", "documentation"},
        {"192.88.99.1", "reserved"},
        {"192.168.1.1", "private"},
        {"198.19.255.255", "benchmarking"},
        {"198.51.100.1", "documentation"},
        {"203.0.113.1", "documentation"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.1", "reserved"},
        {"255.255.255.255", "broadcast"},
        {"::", "unspecified"},
        {"::1", "loopback"},
        {"::127.0.0.1", "loopback"},
        {"::ffff:127.0.0.1", "loopback"},
        {"::ffff:10.1.2.3", "private"},
        {"::ffff:0:127.0.0.1", "loopback"},
        {"64:ff9b::127.0.0.1", "loopback"},
        {"2002:7f00:1::", "loopback"},
        {"2002:a9fe:a9fe::", "link-local"},
        {"2001:0:1:2:3:4:80ff:fffe", "loopback"},
        {"2001:db8::1", "documentation"},
        {"3fff:1::1", "documentation"},
        {"fc00::1", "private"},
        {"fdff:ffff::1", "private"},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"fec0::1", "site-local"},
        {"ff02::1", "multicast"},
        {"100::1", "reserved"},
        {"4000::1", "reserved"},
        {"", "no address"},
        {"127.1", "no address"},
        {"0x7f.0.0.1", "no address"},
        {"2130706433", "no address"},
        {"::1%lo", "no address"},
        {"[::1]", "no address"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(what_is(cases[i][0]), cases[i][1]) != 0) {
            printf("    %s:\n", cases[i][0]);
            CHECK_STR(str_of(what_is(cases[i][0])), str_of(cases[i][1]));
        }
}

static bool has(const char *network, const char *address)
{
    unsigned char bytes[NETWORK_ADDRESS];
    struct network n;

    return network_read(str_of(network), &n) && network_read_address(str_of(address), bytes) &&
           network_has(&n, bytes);
}

TEST(networks_have_what_is_in_them)
{
    struct network n;

    CHECK(has("10.0.0.0/8", "10.255.0.1"));
    CHECK(!has("10.0.0.0/8", "11.0.0.0"));
    CHECK(has("10.1.2.3", "10.1.2.3"));
    CHECK(!has("10.1.2.3", "10.1.2.4"));
    CHECK(has("0.0.0.0/0", "1.2.3.4"));
    CHECK(!has("0.0.0.0/0", "::1"));
    CHECK(has("::/0", "1.2.3.4"));
    CHECK(has("10.0.0.0/9", "10.127.1.1"));
    CHECK(!has("10.0.0.0/9", "10.128.1.1"));
    CHECK(has("fd00::/8", "fdab::1"));
    CHECK(has("10.0.0.0/8", "::ffff:10.0.0.1"));
    CHECK(!network_read(STR("10.0.0.0/33"), &n));
    CHECK(!network_read(STR("10.0.0.0/"), &n));
    CHECK(!network_read(STR("10.0.0.0/-1"), &n));
    CHECK(!network_read(STR("x"), &n));
}

TEST(socket_addresses_are_read)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr none = {.sa_family = AF_UNIX};
    unsigned char a[NETWORK_ADDRESS], b[NETWORK_ADDRESS];

    v4.sin_addr.s_addr = htonl(0x7f000001);
    CHECK(network_address_of((struct sockaddr *)&v4, a));
    CHECK(network_read_address(STR("127.0.0.1"), b));
    CHECK(memcmp(a, b, sizeof a) == 0);
    v6.sin6_addr = in6addr_loopback;
    CHECK(network_address_of((struct sockaddr *)&v6, a));
    CHECK(network_read_address(STR("::1"), b));
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK(!network_address_of(&none, a));
}

TEST_MAIN
