/* SPDX-License-Identifier: MIT
 *
 * URLs: what is accepted comes apart as expected, and everything with two readings is refused.
 */
#include "check.h"

#include "lib/limits.h"
#include "lib/url.h"

/* The parts of `text`, one after the other: "scheme|user|password|host|port|path|query|fragment",
 * absent ones as "-"; or the reason why there are none. */
static void check_parts(int line, struct str text, bool may_lack_host, const char *want)
{
    struct buf got;
    struct url u = {0};
    const char *why = "no reason";
    int err = url_parse(text, may_lack_host, &u, &why);

    buf_init(&got, KB(16));
    if (err) {
        CHECK_INT(err, ERR_SYNTAX);
        CHECK(!u.scheme.p && !u.host.p);
        buf_add_str(&got, str_of(why));
    } else {
        const struct str parts[] = {u.scheme, u.user,  u.password, u.host,
                                    u.path,   u.query, u.fragment};

        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
            buf_printf(&got, "%s%.*s", i ? "|" : "", STR_ARG(parts[i].p ? parts[i] : STR("-")));
            if (i == 3)
                buf_printf(&got, "|%d%s", u.port, u.host_is_ipv6 ? "v6" : "");
        }
    }
    if (!str_is(buf_str(&got), str_of(want))) {
        printf("    %s:%d: \"%.*s\" is\n        %.*s\n    expected\n        %s\n", __FILE__,
               line, STR_ARG(text), STR_ARG(buf_str(&got)), want);
        test_failures++;
    }
    buf_release(&got);
}

#define PARTS(text, want) check_parts(__LINE__, STR(text), false, want)
#define DB_PARTS(text, want) check_parts(__LINE__, STR(text), true, want)

#define NO_SCHEME "the URL does not begin with a scheme and ://"
#define BAD_SCHEME "the URL's scheme does not begin with a letter"
#define ODD_SCHEME "the URL's scheme holds a character that must not stand there"
#define NO_USER "the URL has '@' without a user in front of it"
#define BAD_USER "the URL's user or password holds a character that must be escaped"
#define BAD_HOST "the URL's host is neither a name nor an address"
#define NO_HOST "the URL has no host"
#define BAD_IPV6 "the URL's host is not an IPv6 address although in brackets"
#define BAD_PORT "the URL's port is not a number from 1 to 65535"
#define BAD_PATH "the URL's path holds a character that must be escaped"
#define BAD_QUERY "the URL's query holds a character that must be escaped"
#define BAD_FRAGMENT "the URL's fragment holds a character that must be escaped"
#define TWO_AT "the URL has more than one '@' in front of its path"

TEST(all_parts)
{
    PARTS("https://u:p@host.example:8443/a/b?c=d#e", "https|u|p|host.example|8443|/a/b|c=d|e");
    PARTS("http://h", "http|-|-|h|0||-|-");
    PARTS("HTTP://H/", "HTTP|-|-|H|0|/|-|-");
    PARTS("http://h?", "http|-|-|h|0|||-");
    PARTS("http://h#", "http|-|-|h|0||-|");
    PARTS("http://h/?#", "http|-|-|h|0|/||");
    PARTS("http://h?a/b?c", "http|-|-|h|0||a/b?c|-");
    PARTS("http://h#a?b/c", "http|-|-|h|0||-|a?b/c");
    PARTS("http://u@h", "http|u|-|h|0||-|-");
    PARTS("http://u:@h", "http|u||h|0||-|-");
    PARTS("http://:p@h", "http||p|h|0||-|-");
    PARTS("http://u:a:b%40@h", "http|u|a:b%40|h|0||-|-");
    PARTS("a+b-c.1://h", "a+b-c.1|-|-|h|0||-|-");
    PARTS("http://h/-._~!$&'()*+,;=:@%20", "http|-|-|h|0|/-._~!$&'()*+,;=:@%20|-|-");
}

TEST(schemes)
{
    PARTS("", "the URL is empty");
    PARTS("http", NO_SCHEME);
    PARTS("http:/h", NO_SCHEME);
    PARTS("http:h", NO_SCHEME);
    PARTS("//h/", NO_SCHEME);
    PARTS("h/http://x", NO_SCHEME);
    PARTS("://h", BAD_SCHEME);
    PARTS("1http://h", BAD_SCHEME);
    PARTS(" http://h", BAD_SCHEME);
    PARTS("ht tp://h", ODD_SCHEME);
    PARTS("ht\ttp://h", ODD_SCHEME);
    PARTS("http\0://h", ODD_SCHEME);
    PARTS("ht_tp://h", ODD_SCHEME);
}

TEST(hosts)
{
    PARTS("http://a-b.c_d.e", "http|-|-|a-b.c_d.e|0||-|-");
    PARTS("http://example.com./", "http|-|-|example.com.|0|/|-|-");
    PARTS("http://xn--bcher-kva.example", "http|-|-|xn--bcher-kva.example|0||-|-");
    PARTS("http://1.2.3.4:5", "http|-|-|1.2.3.4|5||-|-");
    PARTS("http://1e100.net", "http|-|-|1e100.net|0||-|-");
    PARTS("http://0xyz", "http|-|-|0xyz|0||-|-");
    PARTS("http://", NO_HOST);
    PARTS("http:///a", NO_HOST);
    PARTS("http://?a", NO_HOST);
    PARTS("http://:80", NO_HOST);
    PARTS("http://u@", NO_HOST);
    PARTS("http://u@:80", NO_HOST);
    PARTS("http://.", BAD_HOST);
    PARTS("http://.a", BAD_HOST);
    PARTS("http://a..b", BAD_HOST);
    PARTS("http://a..", BAD_HOST);
    PARTS("http://-a", BAD_HOST);
    PARTS("http://a b", BAD_HOST);
    PARTS("http://a,b", BAD_HOST);
    PARTS("http://a%2e", BAD_HOST);
    PARTS("http://%2Ftmp", BAD_HOST);
    PARTS("http://a\\b", BAD_HOST);
    PARTS("http://a\tb", BAD_HOST);
    PARTS("http://a\0b", BAD_HOST);
    PARTS("http://a\r\nb", BAD_HOST);
    PARTS("http://b\xc3\xbc"
          "cher",
          BAD_HOST);
    PARTS("http://[::1", BAD_IPV6);
    PARTS("http://a]", BAD_HOST);
    PARTS("http://a[b]", BAD_HOST);
}

TEST(host_lengths)
{
    struct buf text;

    for (size_t n = 62; n <= 66; n++) {
        struct url u;
        const char *why;

        buf_init(&text, KB(4));
        BUF_LIT(&text, "http://a.");
        for (size_t i = 0; i < n; i++)
            buf_add_char(&text, 'x');
        CHECK_INT(url_parse(buf_str(&text), false, &u, &why), n > 63 ? ERR_SYNTAX : 0);
        buf_release(&text);
    }
    for (size_t n = 250; n <= 256; n++) {
        struct url u;
        const char *why;

        buf_init(&text, KB(4));
        BUF_LIT(&text, "http://");
        for (size_t i = 0; i < n; i++)
            buf_add_char(&text, i % 10 == 9 ? '.' : 'x');
        CHECK_INT(url_parse(buf_str(&text), false, &u, &why), n > 253 ? ERR_SYNTAX : 0);
        buf_release(&text);
    }
}

/* What inet_aton() and some clients take for 127.0.0.1, and a name check for a name. */
TEST(numbers_that_are_addresses_to_some)
{
    PARTS("http://127.1", BAD_HOST);
    PARTS("http://127.0.1", BAD_HOST);
    PARTS("http://2130706433", BAD_HOST);
    PARTS("http://0177.0.0.1", BAD_HOST);
    PARTS("http://127.0.0.01", BAD_HOST);
    PARTS("http://0x7f000001", BAD_HOST);
    PARTS("http://0X7F.0.0.1", BAD_HOST);
    PARTS("http://127.0.0.0x1", BAD_HOST);
    PARTS("http://127.0.0.1.", BAD_HOST);
    PARTS("http://127.0.0.256", BAD_HOST);
    PARTS("http://1.2.3.4.5", BAD_HOST);
    PARTS("http://example.0x", BAD_HOST);
    PARTS("http://a.1", BAD_HOST);
    PARTS("http://0", BAD_HOST);
    PARTS("http://1234567890123456789012345678901234567890", BAD_HOST);
}

TEST(ipv6)
{
    PARTS("http://[::1]/a", "http|-|-|::1|0v6|/a|-|-");
    PARTS("http://u@[fe80::1:2]:80", "http|u|-|fe80::1:2|80v6||-|-");
    PARTS("http://[::ffff:127.0.0.1]", "http|-|-|::ffff:127.0.0.1|0v6||-|-");
    PARTS("http://[]", BAD_IPV6);
    PARTS("http://[1.2.3.4]", BAD_IPV6);
    PARTS("http://[fe80::1%25eth0]", BAD_IPV6);
    PARTS("http://[fe80::1%eth0]", BAD_IPV6);
    PARTS("http://[v1.x]", BAD_IPV6);
    PARTS("http://[::1\0]", BAD_IPV6);
    PARTS("http://[::1::]", BAD_IPV6);
    PARTS("http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", BAD_IPV6);
    PARTS("http://[::1]a", "the URL's host goes on behind the brackets");
    PARTS("http://[::1]]", "the URL's host goes on behind the brackets");
    PARTS("http://[[::1]]", BAD_IPV6);
    PARTS("http://::1", NO_HOST);
    PARTS("http://fe80::1", BAD_PORT);
    PARTS("http://[::1]:", "the URL has ':' without a port behind it");
}

TEST(ports)
{
    PARTS("http://h:1", "http|-|-|h|1||-|-");
    PARTS("http://h:65535", "http|-|-|h|65535||-|-");
    PARTS("http://h:", "the URL has ':' without a port behind it");
    PARTS("http://h:/", "the URL has ':' without a port behind it");
    PARTS("http://h:0", BAD_PORT);
    PARTS("http://h:080", BAD_PORT);
    PARTS("http://h:65536", BAD_PORT);
    PARTS("http://h:99999999999999999999", BAD_PORT);
    PARTS("http://h:+80", BAD_PORT);
    PARTS("http://h:-1", BAD_PORT);
    PARTS("http://h:8 0", BAD_PORT);
    PARTS("http://h:80:80", BAD_PORT);
    PARTS("http://h:0x50", BAD_PORT);
    PARTS("http://h:%38", BAD_PORT);
}

TEST(who_is_the_host)
{
    PARTS("http://good@evil", "http|good|-|evil|0||-|-");
    PARTS("http://evil?@good", "http|-|-|evil|0||@good|-");
    PARTS("http://evil/@good", "http|-|-|evil|0|/@good|-|-");
    PARTS("http://evil#@good", "http|-|-|evil|0||-|@good");
    PARTS("http://a@b@c", TWO_AT);
    PARTS("http://a@@c", TWO_AT);
    PARTS("http://evil\\@good", BAD_USER);
    PARTS("http://good\\.evil", BAD_HOST);
    PARTS("http://evil @good", BAD_USER);
    PARTS("http://@h", NO_USER);
    PARTS("http://u%@h", BAD_USER);
    PARTS("http://u%00@h", BAD_USER);
    PARTS("http://u\n@h", BAD_USER);
    PARTS("http://[::1]@h", BAD_USER);
}

TEST(characters_behind_the_host)
{
    PARTS("http://h/a b", BAD_PATH);
    PARTS("http://h/a\\b", BAD_PATH);
    PARTS("http://h/a\"b", BAD_PATH);
    PARTS("http://h/<a>", BAD_PATH);
    PARTS("http://h/{a}", BAD_PATH);
    PARTS("http://h/a^b", BAD_PATH);
    PARTS("http://h/a`b", BAD_PATH);
    PARTS("http://h/a|b", BAD_PATH);
    PARTS("http://h/[a]", BAD_PATH);
    PARTS("http://h/\xc3\xbc", BAD_PATH);
    PARTS("http://h/a\r\nHost: x", BAD_PATH);
    PARTS("http://h/a\0", BAD_PATH);
    PARTS("http://h/\x7f", BAD_PATH);
    PARTS("http://h/%", BAD_PATH);
    PARTS("http://h/%4", BAD_PATH);
    PARTS("http://h/%4g", BAD_PATH);
    PARTS("http://h/%00", BAD_PATH);
    PARTS("http://h?a b", BAD_QUERY);
    PARTS("http://h?a[]=1", BAD_QUERY);
    PARTS("http://h?%", BAD_QUERY);
    PARTS("http://h#a b", BAD_FRAGMENT);
    PARTS("http://h#a#b", BAD_FRAGMENT);
    PARTS("http://h#%00", BAD_FRAGMENT);
}

TEST(database_urls)
{
    DB_PARTS("postgresql://u:p%23@db:5432/name?sslmode=disable",
             "postgresql|u|p%23|db|5432|/name|sslmode=disable|-");
    DB_PARTS("postgres:///name", "postgres|-|-||0|/name|-|-");
    DB_PARTS("postgres://u@/name", "postgres|u|-||0|/name|-|-");
    DB_PARTS("postgres://:5433/name", "postgres|-|-||5433|/name|-|-");
    DB_PARTS("postgres://%2Fvar%2frun/name", "postgres|-|-|%2Fvar%2frun|0|/name|-|-");
    DB_PARTS("postgres://%2fvar:5432/name", "postgres|-|-|%2fvar|5432|/name|-|-");
    DB_PARTS("postgres://a%2Fb/name", BAD_HOST);
    DB_PARTS("postgres://%2Fvar%00/name", BAD_HOST);
    DB_PARTS("postgres://%2Fvar%/name", BAD_HOST);
    DB_PARTS("postgres://a,b/name", BAD_HOST);
    DB_PARTS("postgres://127.1/name", BAD_HOST);
}

TEST(length_limit)
{
    struct buf text;
    struct url u;
    const char *why = NULL;

    buf_init(&text, KB(8));
    BUF_LIT(&text, "http://h/");
    while (text.n < LIMIT_URL)
        buf_add_char(&text, 'x');
    CHECK_INT(url_parse(buf_str(&text), false, &u, &why), 0);
    buf_add_char(&text, 'x');
    CHECK_INT(url_parse(buf_str(&text), false, &u, &why), ERR_LIMIT);
    CHECK_STR(str_of(why), STR("the URL is longer than allowed"));
    buf_release(&text);
}

TEST(decoding)
{
    struct buf out;

    buf_init(&out, 8);
    buf_add_char(&out, '>');
    CHECK_INT(url_decode(STR("a%2fb%C3%BC+"), &out), 0);
    CHECK_STR(buf_str(&out), STR(">a/b\xc3\xbc+"));
    buf_clear(&out);
    CHECK_INT(url_decode(STR("ab%"), &out), ERR_SYNTAX);
    CHECK_INT(url_decode(STR("ab%2"), &out), ERR_SYNTAX);
    CHECK_INT(url_decode(STR("ab%zz"), &out), ERR_SYNTAX);
    CHECK_INT(url_decode(STR("ab%00"), &out), ERR_SYNTAX);
    CHECK_INT(url_decode(STR("ab\0"), &out), ERR_SYNTAX);
    CHECK_STR(buf_str(&out), STR(""));
    CHECK_INT(url_decode(STR("123456789"), &out), ERR_LIMIT);
    buf_release(&out);
}

TEST(encoding_and_back)
{
    struct buf encoded, decoded;

    buf_init(&encoded, KB(4));
    buf_init(&decoded, KB(4));
    url_encode(&encoded, STR("aZ9-._~ /%\xff"));
    CHECK_STR(buf_str(&encoded), STR("aZ9-._~%20%2F%25%FF"));
    buf_clear(&encoded);
    for (int c = 1; c < 256; c++)
        url_encode(&encoded, (struct str){(char[]){(char)c}, 1});
    CHECK_INT(url_decode(buf_str(&encoded), &decoded), 0);
    CHECK_INT(decoded.n, 255);
    for (size_t i = 0; i < decoded.n; i++)
        CHECK_INT((unsigned char)decoded.p[i], i + 1);
    buf_release(&encoded);
    buf_release(&decoded);
}

TEST(query_values)
{
    struct str query = STR("a=1&b&c=&%64=x%20y&=z&a%=q&e=1&e=2&f=%0");
    struct buf out;

    buf_init(&out, KB(1));
#define VALUE(name, want)                                                                      \
    buf_clear(&out);                                                                           \
    CHECK_INT(url_query_get(query, STR(name), &out), 0);                                       \
    CHECK_STR(buf_str(&out), STR(want))
    VALUE("a", "1");
    VALUE("b", "");
    VALUE("c", "");
    VALUE("d", "x y");
    VALUE("", "z");
#undef VALUE
    buf_clear(&out);
    CHECK_INT(url_query_get(query, STR("e"), &out), ERR_CONFLICT);
    CHECK_INT(url_query_get(query, STR("f"), &out), ERR_SYNTAX);
    CHECK_INT(url_query_get(query, STR("A"), &out), ERR_ABSENT);
    CHECK_INT(url_query_get(query, STR("a%"), &out), ERR_ABSENT);
    CHECK_INT(url_query_get(STR_NONE, STR("a"), &out), ERR_ABSENT);
    CHECK_STR(buf_str(&out), STR(""));
    buf_release(&out);
}

static void check_authority(int line, struct str text, int port, const char *want)
{
    struct buf out;
    struct url u;
    const char *why = "";

    buf_init(&out, KB(1));
    if (url_parse(text, false, &u, &why)) {
        printf("    %s:%d: %s\n", __FILE__, line, why);
        test_failures++;
        return;
    }
    url_write_authority(&out, &u);
    CHECK_STR(buf_str(&out), str_of(want));
    CHECK_INT(url_port(&u), port);
    buf_release(&out);
}

TEST(authorities)
{
#define AUTHORITY(text, port, want) check_authority(__LINE__, STR(text), port, want)
    AUTHORITY("http://u:p@h/a", 80, "h");
    AUTHORITY("http://h:80", 80, "h");
    AUTHORITY("HTTPS://h:443", 443, "h");
    AUTHORITY("https://h", 443, "h");
    AUTHORITY("https://h:80", 80, "h:80");
    AUTHORITY("http://h:443", 443, "h:443");
    AUTHORITY("http://[::1]:8080", 8080, "[::1]:8080");
    AUTHORITY("http://[::1]", 80, "[::1]");
    AUTHORITY("grpc://h", 0, "h");
    AUTHORITY("grpc://h:80", 80, "h:80");
#undef AUTHORITY
}

TEST_MAIN
