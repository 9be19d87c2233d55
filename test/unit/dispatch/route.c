/* SPDX-License-Identifier: MIT
 *
 * Where an agent is called: what is configured against what the card says, as a table.
 */
#include "check.h"

#include "dispatch/dispatch_int.h"

#define OLD(url)                                                                               \
    "{\"name\":\"n\",\"version\":\"1\",\"protocolVersion\":\"0.3.0\",\"url\":\"" url "\"}"
#define FACE(url, version)                                                                     \
    "{\"url\":\"" url "\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"" version "\"}"
#define NEW(faces) "{\"name\":\"n\",\"version\":\"1\",\"supportedInterfaces\":[" faces "]}"

TEST(table)
{
    static const struct {
        const char *url, *endpoint, *card;
        int version; /* -1: not configured */
        bool follow;
        const char *to;
        int spoken;
        const char *url_from, *version_from, *why; /* why: a part of it, "" for none */
    } rows[] = {
        {"http://h/", NULL, NULL, -1, false, "http://h/", A2A_0_3, "url", "default", ""},
        {"http://h/", NULL, NULL, A2A_1_0, false, "http://h/", A2A_1_0, "url",
         "protocolVersion", ""},
        {"http://h/", "http://h/e", NULL, -1, false, "http://h/e", A2A_0_3, "endpoint",
         "default", ""},
        /* the same host: as it stands there */
        {"http://h/", NULL, OLD("http://h/rpc"), -1, false, "http://h/rpc", A2A_0_3, "card",
         "card", ""},
        {"http://h/base", NULL, OLD("HTTP://H:80/rpc?x"), -1, false, "HTTP://H:80/rpc?x",
         A2A_0_3, "card", "card", ""},
        {"http://[::1]:9/", NULL, OLD("http://[::1]:9/rpc"), -1, false, "http://[::1]:9/rpc",
         A2A_0_3, "card", "card", ""},
        /* another one: the path on ours */
        {"http://h:1/base", NULL, OLD("http://i:1/rpc"), -1, false, "http://h:1/rpc", A2A_0_3,
         "card", "card", "the card lists http://i:1/rpc on another host; followCardHost"},
        {"http://h:1/base", NULL, OLD("http://i:1"), -1, false, "http://h:1/", A2A_0_3, "card",
         "card", "on another host"},
        {"https://h/", NULL, OLD("http://h/rpc"), -1, false, "https://h/rpc", A2A_0_3, "card",
         "card", "on another host"},
        {"https://[::1]:9/", NULL, OLD("http://i/rpc?q=1"), -1, false,
         "https://[::1]:9/rpc?q=1", A2A_0_3, "card", "card", "on another host"},
        {"http://127.0.0.1:9/", NULL, OLD("http://localhost:9/rpc"), -1, false,
         "http://127.0.0.1:9/rpc", A2A_0_3, "card", "card", ""},
        {"http://127.0.0.1:9/", NULL, OLD("http://localhost:8/rpc"), -1, false,
         "http://127.0.0.1:9/rpc", A2A_0_3, "card", "card", "on another host"},
        {"http://h/", NULL, OLD("http://i/rpc"), -1, true, "http://i/rpc", A2A_0_3, "card",
         "card", ""},
        {"http://h/", NULL, OLD("https://i/rpc"), -1, true, "https://i/rpc", A2A_0_3, "card",
         "card", ""},
        {"https://h/", NULL, OLD("http://i/rpc"), -1, true, "https://h/rpc", A2A_0_3, "card",
         "card", "without TLS: not followed"},
        {"http://h/", NULL, OLD("http://me:pw@h/rpc"), -1, true, "http://h/", A2A_0_3, "url",
         "card", "the card's URL cannot be called (the URL has a user name"},
        {"http://h/", NULL, OLD("grpc://h/"), -1, false, "http://h/", A2A_0_3, "url", "default",
         "no JSON-RPC interface"},
        /* versions */
        {"http://h/", NULL, NEW(FACE("http://h/1", "1.0")), -1, false, "http://h/1", A2A_1_0,
         "card", "card", ""},
        {"http://h/", NULL, NEW(FACE("http://h/0", "0.3") "," FACE("http://h/1", "1.0")), -1,
         false, "http://h/1", A2A_1_0, "card", "card", ""},
        {"http://h/", NULL, NEW(FACE("http://h/0", "0.3") "," FACE("http://h/1", "1.0")),
         A2A_0_3, false, "http://h/0", A2A_0_3, "card", "protocolVersion", ""},
        {"http://h/", NULL, NEW(FACE("http://h/1", "1.0")), A2A_0_3, false, "http://h/1",
         A2A_0_3, "card", "protocolVersion",
         "protocolVersion 0.3 is set but the card says 1.0"},
        {"http://h/", "http://h/e", NEW(FACE("http://h/1", "1.0")), -1, false, "http://h/e",
         A2A_1_0, "endpoint", "card", ""},
        {"http://h/", NULL,
         NEW("{\"url\":\"h:1\",\"protocolBinding\":\"GRPC\",\"protocolVersion\":\"1.0\"}"), -1,
         false, "http://h/", A2A_0_3, "url", "default", "no JSON-RPC interface"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int before = test_failures;
        struct agent_spec spec = {.url = str_of(rows[i].url),
                                  .endpoint = str_of(rows[i].endpoint),
                                  .has_version = rows[i].version >= 0,
                                  .version = rows[i].version == A2A_1_0 ? A2A_1_0 : A2A_0_3,
                                  .follow_card_host = rows[i].follow};
        struct a2a_card card;
        struct arena arena;
        struct route route;
        char why[200];

        arena_init(&arena, KB(16));
        if (rows[i].card)
            CHECK_INT(a2a_card_read(str_of(rows[i].card), &arena, &card, why), 0);
        route_find(&spec, rows[i].card ? &card : NULL, &arena, &route);
        CHECK_STR(route.url, str_of(rows[i].to));
        CHECK_INT(route.version, rows[i].spoken);
        CHECK_STR(str_of(route.url_from), str_of(rows[i].url_from));
        CHECK_STR(str_of(route.version_from), str_of(rows[i].version_from));
        if (rows[i].why[0] ? !strstr(route.why, rows[i].why) : route.why[0] != '\0')
            CHECK_STR(str_of(route.why), str_of(rows[i].why));
        if (test_failures != before)
            printf("    in row %zu\n", i);
        arena_release(&arena);
    }
}

TEST(the_tenant_is_that_of_the_version)
{
    static const char doc[] = NEW(
        "{\"url\":\"http://h/\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\","
        "\"tenant\":\"acme\"}");
    struct agent_spec spec = {.url = STR("http://h/")};
    struct a2a_card card;
    struct arena arena;
    struct route route;
    char why[200];

    arena_init(&arena, KB(16));
    CHECK_INT(a2a_card_read(str_of(doc), &arena, &card, why), 0);
    route_find(&spec, &card, &arena, &route);
    CHECK_STR(route.tenant, STR("acme"));
    spec.endpoint = STR("http://h/e");
    route_find(&spec, &card, &arena, &route);
    CHECK_STR(route.tenant, STR("acme"));
    spec.has_version = true; /* 0.3 has no tenants */
    route_find(&spec, &card, &arena, &route);
    CHECK_STR(route.tenant, STR_NONE);
    arena_release(&arena);
}

/* Each size of arena: a URL that can be called, whatever there is room for. */
TEST(little_memory)
{
    struct agent_spec spec = {.url = STR("http://h/base")};
    struct a2a_card card;
    struct arena full;
    char why[200];

    arena_init(&full, KB(16));
    CHECK_INT(a2a_card_read(STR(OLD("http://i/rpc")), &full, &card, why), 0);
    for (size_t used = 0; used <= ARENA_INLINE; used += 16) {
        struct arena arena;
        struct route route;

        arena_init(&arena, 0);
        if (used)
            (void)arena_take(&arena, used);
        route_find(&spec, &card, &arena, &route);
        CHECK(str_is(route.url, STR("http://h/rpc")) || str_is(route.url, spec.url));
        arena_release(&arena);
    }
    arena_release(&full);
}

TEST(same_host)
{
    CHECK(route_is_same_host(STR("http://h/"), STR("http://H:80/x?y")));
    CHECK(route_is_same_host(STR("https://h/"), STR("HTTPS://h:443")));
    CHECK(!route_is_same_host(STR("http://h/"), STR("https://h/")));
    CHECK(!route_is_same_host(STR("http://h/"), STR("http://h:81/")));
    CHECK(!route_is_same_host(STR("http://h/"), STR("http://h.x/")));
    CHECK(!route_is_same_host(STR("http://h/"), STR("nonsense")));
}

TEST_MAIN
