/* SPDX-License-Identifier: MIT
 *
 * Under which address callers reach the gateway: whose word counts, and that nobody's reaches a card unchecked.
 */
#include "check.h"

#include "binding/binding_int.h"

static struct public_address address;
static struct buf out;

static struct http_header headers[8];
static struct http_head head;

static void header(const char *name, const char *value)
{
    headers[head.n_headers++] = (struct http_header){str_of(name), str_of(value)};
}

static void request(const char *host)
{
    head = (struct http_head){.headers = headers};
    if (host)
        header("host", host);
}

static void set_up(const char *public_url, const char *proxies)
{
    struct binding_config config = {.public_url = public_url,
                                    .trusted_proxies = proxies,
                                    .listen = "0.0.0.0",
                                    .port = 4000};
    char why[256] = "";

    CHECK_INT(public_init(&address, &config, why), 0);
    CHECK_STR(str_of(why), STR(""));
}

static void check_base(const char *peer, const char *want)
{
    buf_release(&out);
    buf_init(&out, KB(8));
    public_write_base(&address, &out, &head, peer);
    CHECK_STR(buf_str(&out), str_of(want));
}

#define CALLER "198.51.100.7:1234"
#define PROXY "10.1.2.3:55000"

TEST(public_url_goes_before_all)
{
    static const struct {
        const char *set, *base;
    } cases[] = {
        {"https://gw.example", "https://gw.example/"},
        {"https://gw.example/", "https://gw.example/"},
        {"https://gw.example:443/a2a", "https://gw.example/a2a/"},
        {"http://[::1]:8080/a/b//", "http://[::1]:8080/a/b/"},
    };

    request("evil.example");
    header("x-forwarded-host", "evil.example");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_up(cases[i].set, "0.0.0.0/0");
        check_base(CALLER, cases[i].base);
        CHECK_STR(str_of(public_vary(&address)), STR("A2A-Version"));
        public_release(&address);
    }
}

TEST(host_header)
{
    set_up("", NULL);
    request("gw.example:8080");
    check_base(CALLER, "http://gw.example:8080/");
    request("gw.example:80");
    check_base(CALLER, "http://gw.example/");
    request("[2001:db8::1]:4000");
    check_base(CALLER, "http://[2001:db8::1]:4000/");
    CHECK_STR(str_of(public_vary(&address)), STR("A2A-Version, Host"));
    public_release(&address);
}

/* Nothing but host[:port] is believed to be a host. */
TEST(hostile_host)
{
    static const char *const hosts[] = {
        "evil.example/path",
        "user@evil.example",
        "evil.example?x",
        "evil.example#x",
        "evil.example/",
        "a b",
        "a\"b",
        "<script>",
        "a:99999",
        "a:",
        "[::1",
        "a\\b",
        "",
        "0x7f000001",
        "a%2fb",
        "evil.example:80:80",
    };

    set_up(NULL, "");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        request(hosts[i]);
        check_base(CALLER, "http://localhost:4000/");
    }
    request(NULL);
    check_base(CALLER, "http://localhost:4000/");
    public_release(&address);
}

TEST(address_listened_on)
{
    static const struct {
        const char *listen, *base;
    } cases[] = {
        {NULL, "http://localhost:8000/"},
        {"::", "http://localhost:8000/"},
        {"127.0.0.1", "http://127.0.0.1:8000/"},
        {"::1", "http://[::1]:8000/"},
    };

    request(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct binding_config config = {.listen = cases[i].listen, .port = 8000};
        char why[256];

        CHECK_INT(public_init(&address, &config, why), 0);
        check_base(CALLER, cases[i].base);
        public_release(&address);
    }
}

TEST(trusted_proxy)
{
    set_up(NULL, " 192.0.2.1, 10.0.0.0/8,,fd00::/8 ");
    request("inner:4000");
    header("x-forwarded-host", "gw.example, inner.proxy");
    header("x-forwarded-proto", "HTTPS,http");
    header("x-forwarded-prefix", "/a2a/");
    check_base(PROXY, "https://gw.example/a2a/");
    check_base("[fdff::1]:9", "https://gw.example/a2a/");
    check_base("192.0.2.1:9", "https://gw.example/a2a/");
    check_base("192.0.2.2:9", "http://inner:4000/");
    check_base("[fe80::1]:9", "http://inner:4000/");
    check_base(CALLER, "http://inner:4000/");
    check_base("gone", "http://inner:4000/");
    check_base("unknown", "http://inner:4000/");
    CHECK(strstr(public_vary(&address), "X-Forwarded-Host"));
    public_release(&address);
}

/* Even a proxy of ours may pass on what it should not: what is none is not taken, the rest is. */
TEST(nonsense_from_a_proxy)
{
    static const char *const prefixes[] = {"a2a",  "/a b",      "/a\"", "/a?x",
                                           "/a#x", "http://x/", ""};
    static const char *const bad_hosts[] = {"a/b", "", "u@h", ","};

    set_up(NULL, "10.0.0.0/8");
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        request("inner");
        header("x-forwarded-prefix", prefixes[i]);
        header("x-forwarded-proto", "gopher");
        check_base(PROXY, "http://inner/");
    }
    for (size_t i = 0; i < sizeof bad_hosts / sizeof *bad_hosts; i++) {
        request("inner");
        header("x-forwarded-host", bad_hosts[i]);
        header("x-forwarded-proto", "https");
        check_base(PROXY, "https://inner/");
    }
    public_release(&address);
}

/* Networks that do not end between bytes, whole families, single addresses. */
TEST(networks)
{
    static const struct {
        const char *set, *peer;
        bool is_in;
    } cases[] = {
        {"172.16.0.0/12", "172.31.255.255:1", true},
        {"172.16.0.0/12", "172.32.0.0:1", false},
        {"172.16.9.9/12", "172.16.0.1:1", true},
        {"0.0.0.0/0", "1.2.3.4:1", true},
        {"0.0.0.0/0", "[2001:db8::1]:1", false},
        {"::/0", "1.2.3.4:1", true},
        {"::ffff:1.2.3.4", "1.2.3.4:1", true},
        {"2001:db8::/33", "[2001:db8:7fff::1]:1", true},
        {"2001:db8::/33", "[2001:db8:8000::1]:1", false},
        {"1.2.3.4/32", "1.2.3.5:1", false},
    };

    request("inner");
    header("x-forwarded-proto", "https");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        set_up(NULL, cases[i].set);
        check_base(cases[i].peer, cases[i].is_in ? "https://inner/" : "http://inner/");
        public_release(&address);
    }
}

TEST(settings_that_make_no_sense)
{
    static const struct {
        const char *url, *proxies, *why;
    } cases[] = {
        {"gw.example", NULL, "PUBLIC_URL: the URL does not begin with a scheme"},
        {"ftp://gw.example", NULL, "PUBLIC_URL: it must be an http or https URL"},
        {"https://u:p@gw.example", NULL, "PUBLIC_URL: it must hold neither user"},
        {"https://gw.example/?x", NULL, "PUBLIC_URL: it must hold neither user"},
        {NULL, "10.0.0.0/33", "TRUSTED_PROXIES: \"10.0.0.0/33\" is neither"},
        {NULL, "::1/129", "TRUSTED_PROXIES: \"::1/129\" is neither"},
        {NULL, "10.0.0.0/", "is neither"},
        {NULL, "10.0.0.0/8x", "is neither"},
        {NULL, "127.0.0.1, proxy.example", "\"proxy.example\" is neither"},
        {NULL, "127.1", "\"127.1\" is neither"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct binding_config config = {.public_url = cases[i].url,
                                        .trusted_proxies = cases[i].proxies};
        char why[256] = "";

        CHECK_INT(public_init(&address, &config, why), ERR_INVALID);
        if (!strstr(why, cases[i].why))
            CHECK_STR(str_of(why), str_of(cases[i].why));
        public_release(&address);
    }
}

TEST(hosts_that_are_our_own)
{
    static const struct {
        const char *host;
        bool is_own;
    } cases[] = {{"localhost", true},       {"LocalHost:4000", true},
                 {"127.0.0.1:1", true},     {"127.9.8.7", true},
                 {"[::1]", true},           {"[::1]:4000", true},
                 {"0.0.0.0:4000", true},    {"gw.example:8", true},
                 {"128.0.0.1", false},      {"[::2]", false},
                 {"evil.example", false},   {"localhost.evil.example", false},
                 {"127.0.0.1.evil", false}, {"user@localhost", false},
                 {"localhost/", false},     {"", false},
                 {"gw.example.evil", false}};

    set_up("https://gw.example/a2a", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_INT(public_is_own_host(&address, str_of(cases[i].host)), cases[i].is_own);
    CHECK(!public_is_own_host(&address, STR_NONE));
    public_release(&address);
    set_up(NULL, NULL);
    CHECK(!public_is_own_host(&address, STR("gw.example")));
    public_release(&address);
}

TEST(urls_of_agents)
{
    set_up("https://gw.example/a2a", NULL);
    request("x");
    buf_clear(&out);
    public_write_agent(&address, &out, &head, CALLER, STR("we-a.ther_1"));
    CHECK_STR(buf_str(&out), STR("https://gw.example/a2a/agents/we-a.ther_1/"));
    public_release(&address);
    buf_release(&out);
}

TEST_MAIN
