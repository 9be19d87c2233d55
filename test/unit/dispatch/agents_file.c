/* SPDX-License-Identifier: MIT
 *
 * The agents file: what is understood, and for what is not, the exact place and words of the complaint.
 */
#include "check.h"

#include "dispatch/dispatch.h"
#include "lib/log.h"

static const char *fake_env(const char *name)
{
    if (strcmp(name, "TOKEN") == 0)
        return "s3cret";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    if (strcmp(name, "_port2") == 0)
        return "4001";
    if (strcmp(name, "LINE") == 0)
        return "abc\n";
    return NULL;
}

static const struct agent_defaults defaults = {10, 1000, 600000};

static struct arena arena;
static struct agent_spec *specs;
static struct agents_fault fault;
static struct str default_agent;

static int read_file(const char *text)
{
    log_setup(LOG_ERROR, false);
    arena_init(&arena, MB(4));
    specs = NULL;
    default_agent = STR_NONE;
    return agents_file_read(str_of(text), &defaults, fake_env, &arena, &specs, &default_agent,
                            &fault);
}

TEST(both_forms_mean_the_same)
{
    static const char *const texts[] = {
        "agents:\n"
        "  weather:\n"
        "    url: http://127.0.0.1:4001/a2a\n"
        "  math.2_-:\n"
        "    url: http://math/\n",
        "agents:\n"
        "  - name: weather\n"
        "    url: http://127.0.0.1:4001/a2a\n"
        "  - id: math.2_-\n"
        "    name: The one that counts\n"
        "    url: http://math/\n",
    };

    for (int i = 0; i < 2; i++) {
        CHECK_INT(read_file(texts[i]), 0);
        CHECK_STR(specs->id, STR("weather"));
        CHECK_STR(specs->url, STR("http://127.0.0.1:4001/a2a"));
        CHECK_STR(specs->bearer, STR_NONE);
        CHECK_INT(specs->version, A2A_0_3);
        CHECK_INT(specs->max_in_flight, 10);
        CHECK_INT(specs->timeout_ms, 600000);
        CHECK_INT(specs->line, 2);
        CHECK_STR(specs->next->id, STR("math.2_-"));
        CHECK(!specs->next->next);
        arena_release(&arena);
    }
}

TEST(all_keys)
{
    CHECK_INT(read_file("default_agent: a\n"
                        "agents:\n"
                        "  a:\n"
                        "    url: http://a/\n"
                        "    id: a\n"
                        "    name: An agent\n"
                        "    bearer: \"t0ken\"\n"
                        "    protocol: A2A\n"
                        "    protocolVersion: 1.0\n"
                        "    version: 7.1\n"
                        "    maxInFlight: 10000\n"
                        "    timeoutMs: 86400000\n"
                        "    failureThreshold: 5\n"
                        "    failureWindowMs: 30000\n"
                        "    cooldownMs: 30000\n"
                        "    metadata: {agentCard: {skills: [a, b], text: '${NOT_SET}'}}\n"),
              0);
    CHECK_STR(default_agent, STR("a"));
    CHECK_STR(specs->bearer, STR("t0ken"));
    CHECK(specs->has_version);
    CHECK_INT(specs->version, A2A_1_0);
    CHECK_INT(specs->max_in_flight, 10000);
    CHECK_INT(specs->timeout_ms, 86400000);
    arena_release(&arena);
}

TEST(where_and_how)
{
    CHECK_INT(
        read_file(
            "agents:\n"
            "  a:\n"
            "    url: https://a:${_port2}/base\n"
            "    endpoint: https://a/${TOKEN}\n"
            "    cardUrl: https://cards/a\n"
            "    card: 0.3\n"
            "    followCardHost: True\n"
            "    caFile: ca.pem\n"
            "    certFile: c.pem\n"
            "    keyFile: ${EMPTY:-k.pem}\n"
            "    serverName: inner.example\n"
            "    headers:\n"
            "      X-Api-Key: key ${TOKEN}\n"
            "      x_none: ${EMPTY}\n"
            "    forwardHeaders: [Cookie, '${EMPTY}', traceparent, X-User, Authorization]\n"),
        0);
    CHECK_STR(default_agent, STR_NONE);
    CHECK_STR(specs->url, STR("https://a:4001/base"));
    CHECK_STR(specs->endpoint, STR("https://a/s3cret"));
    CHECK_STR(specs->card_url, STR("https://cards/a"));
    CHECK(specs->has_card_form);
    CHECK_INT(specs->card_form, A2A_CARD_0_3);
    CHECK(specs->follow_card_host);
    CHECK_STR(specs->ca_file, STR("ca.pem"));
    CHECK_STR(specs->cert_file, STR("c.pem"));
    CHECK_STR(specs->key_file, STR("k.pem"));
    CHECK_STR(specs->server_name, STR("inner.example"));
    CHECK_INT(specs->n_headers, 1);
    CHECK_STR(specs->headers[0].name, STR("X-Api-Key"));
    CHECK_STR(specs->headers[0].value, STR("key s3cret"));
    CHECK_INT(specs->n_forwards, 3); /* traceparent goes anyway */
    CHECK_STR(specs->forwards[0], STR("Cookie"));
    CHECK_STR(specs->forwards[1], STR("X-User"));
    CHECK_STR(specs->forwards[2], STR("Authorization"));
    arena_release(&arena);
}

TEST(cards_in_the_file)
{
    static const struct {
        const char *text; /* of the agent */
        struct str card_url, card;
    } rows[] = {
        {"metadata: {agentCard: {url: 'http://c/${TOKEN}'}}",
         {"http://c/s3cret", 15},
         {NULL, 0}},
        {"cardUrl: http://d/, metadata: {agentCard: {url: http://c/}}",
         {"http://d/", 9},
         {NULL, 0}},
        {"metadata: {agentCard: {url: http://c/}}, cardUrl: http://d/",
         {"http://d/", 9},
         {NULL, 0}},
        {"metadata: {agentCard: {description: x}}", {NULL, 0}, {NULL, 0}},
        {"metadata: 7", {NULL, 0}, {NULL, 0}},
#define IS(json) {json, sizeof json - 1}
        {"metadata: {agentCard: {name: N, version: 1.0, capabilities: {streaming: true, x: null}, "
         "skills: [{id: 7, tags: [a, 'true', ~]}]}}",
         {NULL, 0},
         IS("{\"name\":\"N\",\"version\":\"1.0\",\"capabilities\":{\"streaming\":true,\"x\":null},"
            "\"skills\":[{\"id\":\"7\",\"tags\":[\"a\",\"true\",null]}],\"url\":\"http://a/\"}")},
        {"agentCard: {url: 'http://x/', name: 'a\"${TOKEN}', capabilities: {extensions: [{uri: u, "
         "params: {n: 1.50, s: 0x10}}]}}",
         {NULL, 0},
         IS("{\"url\":\"http://x/\",\"name\":\"a\\\"s3cret\",\"capabilities\":{\"extensions\":[{"
            "\"uri\":\"u\",\"params\":{\"n\":1.50,\"s\":\"0x10\"}}]}}")},
    };
    char text[600];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(text, sizeof text, "agents: {a: {url: http://a/, %s}}", rows[i].text);
        CHECK_INT(read_file(text), 0);
        if (!specs) {
            printf("    %s\n", fault.why);
        } else {
            CHECK_STR(specs->card_url, rows[i].card_url);
            CHECK_STR(specs->card, rows[i].card);
        }
        arena_release(&arena);
    }
}

TEST(too_many_and_too_long_headers)
{
    for (int more = 0; more < 2; more++) {
        struct buf text;

        buf_init(&text, KB(64));
        BUF_LIT(&text, "agents: {a: {url: http://a/, headers: {");
        for (int i = 0; i < AGENT_HEADERS_MAX + more; i++)
            buf_printf(&text, "x%d: '%0*d', ", i, more ? 1 : 1010, 1);
        BUF_LIT(&text, "}}}");
        CHECK_INT(read_file(buf_z(&text)), more ? ERR_LIMIT : 0);
        if (more)
            CHECK_STR(str_of(fault.why), STR("more than 16 headers"));
        else
            CHECK_INT(specs->n_headers, AGENT_HEADERS_MAX);
        arena_release(&arena);
        buf_release(&text);
    }
    CHECK_INT(read_file("agents: {a: {url: http://a/, headers: {}}}"), 0);
    CHECK_INT(specs->n_headers, 0);
    arena_release(&arena);
}

TEST(no_value_means_the_default)
{
    CHECK_INT(read_file("agents:\n"
                        "  a:\n"
                        "    url: http://a/\n"
                        "    bearer: ''\n"
                        "    protocol: ~\n"
                        "    protocolVersion:\n"
                        "    maxInFlight: null\n"
                        "    timeoutMs: ''\n"
                        "    endpoint:\n"
                        "    cardUrl: ''\n"
                        "    card: ~\n"
                        "    followCardHost:\n"
                        "    headers:\n"
                        "    caFile: ''\n"
                        "    agentCard:\n"
                        "    metadata:\n"),
              0);
    CHECK_STR(specs->bearer, STR_NONE);
    CHECK_STR(specs->endpoint, STR_NONE);
    CHECK_STR(specs->card_url, STR_NONE);
    CHECK_STR(specs->ca_file, STR_NONE);
    CHECK_STR(specs->card, STR_NONE);
    CHECK(!specs->has_version && !specs->has_card_form && !specs->follow_card_host);
    CHECK_INT(specs->max_in_flight, 10);
    CHECK_INT(specs->timeout_ms, 600000);
    arena_release(&arena);
}

TEST(no_agents)
{
    static const char *const texts[] = {"agents: {}\n", "agents: []\n", "agents:\n",
                                        "{agents: null}"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK_INT(read_file(texts[i]), 0);
        CHECK(!specs);
        arena_release(&arena);
    }
}

TEST(versions)
{
    static const struct {
        const char *text;
        int version;
    } rows[] = {{"0.3", A2A_0_3},
                {"0.3.0", A2A_0_3},
                {"'0.3.7'", A2A_0_3},
                {"1.0", A2A_1_0},
                {"1.0.2", A2A_1_0}};
    char text[100];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(text, sizeof text, "agents: {a: {url: http://a/, protocolVersion: %s}}",
                       rows[i].text);
        CHECK_INT(read_file(text), 0);
        CHECK_INT(specs->version, rows[i].version);
        arena_release(&arena);
    }
}

TEST(variables)
{
    static const struct {
        const char *text;
        struct str bearer;
    } rows[] = {
        {"${TOKEN}", {"s3cret", 6}},       {"a${TOKEN}b${TOKEN}", {"as3cretbs3cret", 14}},
        {"${EMPTY}", {NULL, 0}},           {"${NOT_SET:-}", {NULL, 0}},
        {"${NOT_SET:-x:-y}", {"x:-y", 4}}, {"${EMPTY:-x}", {"x", 1}},
        {"${TOKEN:-x}", {"s3cret", 6}},    {"$${TOKEN}", {"${TOKEN}", 8}},
        {"$$${TOKEN}", {"$${TOKEN}", 9}},  {"a$b$", {"a$b$", 4}},
        {"$TOKEN", {"$TOKEN", 6}},
    };
    char text[200];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)snprintf(text, sizeof text,
                       "agents: {a: {url: 'http://a:${_port2}/', bearer: '%s'}}", rows[i].text);
        CHECK_INT(read_file(text), 0);
        CHECK_STR(specs->url, STR("http://a:4001/"));
        CHECK_STR(specs->bearer, rows[i].bearer);
        arena_release(&arena);
    }
}

TEST(complaints)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *why;
    } rows[] = {
        {"", 0, 0, "the file is empty; write \"agents: {}\" for no agents"},
        {"# nothing\n", 0, 0, "the file is empty; write \"agents: {}\" for no agents"},
        {"- a\n", 1, 1, "the file must begin with \"agents:\""},
        {"default_agent: a\n", 1, 1, "the file has no \"agents:\""},
        {"agents: 7\n", 1, 9, "agents must be a map (id: {url: ...}) or a list"},
        {"agent:\n  a: {url: http://a/}\n", 1, 1,
         "unknown key \"agent\"; did you mean agents?"},
        {"agents: {}\ndefaultAgent: a\n", 2, 1,
         "unknown key \"defaultAgent\"; did you mean default_agent?"},
        {"agents: {}\nservers: a\n", 2, 1, "unknown key \"servers\""},
        {"agents: {}\ndefault_agent: a b\n", 2, 16, "default_agent must be an agent's id"},
        {"agents:\n  a:\n    url: http://a/\n    max_inflight: 3\n", 4, 5,
         "unknown key \"max_inflight\"; did you mean maxInFlight?"},
        {"agents:\n  a:\n    uri: http://a/\n", 3, 5, "unknown key \"uri\"; did you mean url?"},
        {"agents:\n  a:\n    timeout: 3\n", 3, 5,
         "unknown key \"timeout\"; did you mean timeoutMs?"},
        {"agents:\n  a:\n    transport: stdio\n", 3, 5, "unknown key \"transport\""},
        {"agents:\n  a:\n    thisKeyIsMuchLongerThanAnyKeyThatAnyoneCouldHaveMeantToWriteInAFile: 1\n",
         3, 5,
         "unknown key \"thisKeyIsMuchLongerThanAnyKeyThatAnyoneCouldHaveMeantToWriteInAF\""},
        {"agents:\n  a:\n", 2, 3, "agent a has no url"},
        {"agents:\n  a: {bearer: x}\n", 2, 3, "agent a has no url"},
        {"agents:\n  a: http://a/\n", 2, 6, "agent a must be a map of its settings"},
        {"agents:\n  a: {url: ''}\n", 2, 12, "the URL is empty"},
        {"agents:\n  a: {url: [http://a/]}\n", 2, 12, "url must be a text, not a list"},
        {"agents:\n  a: {bearer: {b: c}}\n", 2, 15, "bearer must be a text, not a map"},
        {"agents:\n  a: {url: http://me:you@a/}\n", 2, 12,
         "the URL has a user name in it, which would end up in logs"},
        {"agents:\n  a: {url: ftp://a/}\n", 2, 12,
         "the URL does not begin with http:// or https://"},
        {"agents:\n  a/b: {url: http://a/}\n", 2, 3,
         "an agent's id must be 1 to 64 letters, digits, '.', '_' or '-'"},
        {"agents:\n  ..: {url: http://a/}\n", 2, 3,
         "an agent's id must be 1 to 64 letters, digits, '.', '_' or '-'"},
        {"agents:\n  - url: http://a/\n", 2, 5, "the agent has no name"},
        {"agents:\n  - weather\n", 2, 5,
         "each agent of the list must be a map with a name and a url"},
        {"agents:\n  - {name: a, url: http://a/}\n  - {url: http://b/, name: a}\n", 3, 28,
         "the agent \"a\" was given before, in line 2"},
        {"agents:\n  a: {url: http://a/}\n  a: {url: http://b/}\n", 3, 3,
         "the key \"a\" was given before, in line 2"},
        {"agents:\n  a: {url: http://a/, id: b}\n", 2, 27,
         "the agent's id is its key, a; leave this out"},
        {"agents:\n  a: {url: http://a/, endpoint: h}\n", 2, 33,
         "the URL does not begin with a scheme and ://"},
        {"agents:\n  a: {url: http://a/, cardUrl: [x]}\n", 2, 32,
         "cardUrl must be a text, not a list"},
        {"agents:\n  a: {url: http://a/, card: {name: x}}\n", 2, 29,
         "card must be a text, not a map"},
        {"agents:\n  a: {url: http://a/, card: v1}\n", 2, 29,
         "card must be hybrid, 1.0 or 0.3 (the form in which callers get it); the card itself is "
         "agentCard"},
        {"agents:\n  a: {url: http://a/, followCardHost: 1}\n", 2, 39,
         "followCardHost must be true or false"},
        {"agents:\n  a: {url: https://a/, keyFile: k}\n", 2, 3,
         "agent a has a keyFile but no certFile"},
        {"agents:\n  a: {url: http://a/, serverName: k}\n", 2, 3,
         "agent a has settings for TLS, but none of its URLs is https://"},
        {"agents:\n  a: {url: http://a/, caFile: \"a\\nb\"}\n", 2, 31,
         "caFile must not hold control characters"},
        {"agents:\n  a: {url: http://a/, headers: [x]}\n", 2, 32,
         "headers must be a map of names and values"},
        {"agents:\n  a: {url: http://a/, headers: {a b: c}}\n", 2, 33,
         "\"a b\" cannot be the name of a header"},
        {"agents:\n  a: {url: http://a/, headers: {'': c}}\n", 2, 33,
         "\"\" cannot be the name of a header"},
        {"agents:\n  a: {url: http://a/, headers: {authorization: c}}\n", 2, 33,
         "the header authorization cannot be set: use bearer instead"},
        {"agents:\n  a: {url: http://a/, headers: {HOST: c}}\n", 2, 33,
         "the header HOST cannot be set: the gateway writes it"},
        {"agents:\n  a: {url: http://a/, headers: {te: c}}\n", 2, 33,
         "the header te cannot be set: it belongs to the connection"},
        {"agents:\n  a: {url: http://a/, headers: {X: 1, x: 2}}\n", 2, 39,
         "the header x is given twice"},
        {"agents:\n  a: {url: http://a/, headers: {X: '${LINE}'}}\n", 2, 36,
         "the header X must not hold control characters, or blanks at its ends"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: {a: b}}\n", 2, 39,
         "forwardHeaders must be a list of names"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: X-A}\n", 2, 39,
         "forwardHeaders must be a list of names"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [X, [Y]]}\n", 2, 43,
         "a list's element must be a text, not a list"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: ['a b']}\n", 2, 40,
         "\"a b\" cannot be the name of a header"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [HOST]}\n", 2, 40,
         "the header HOST cannot be forwarded: the gateway writes it"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [accept-encoding]}\n", 2, 40,
         "the header accept-encoding cannot be forwarded: the gateway writes it"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [content-encoding]}\n", 2, 40,
         "the header content-encoding cannot be forwarded: it is about the caller's bytes"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [TE]}\n", 2, 40,
         "the header TE cannot be forwarded: it belongs to the connection"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [X, x]}\n", 2, 43,
         "the header x is given twice"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [Authorization], bearer: t}\n", 2, 39,
         "Authorization cannot be forwarded: the agent has a bearer"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [x], headers: {X: 1}}\n", 2, 39,
         "a header that is set by headers cannot be forwarded as well"},
        {"agents:\n  a: {url: http://a/, headers: {traceparent: c}}\n", 2, 33,
         "the header traceparent cannot be set: it belongs to the caller's trace"},
        {"agents:\n  a: {url: http://a/, forwardHeaders: [a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q]}\n",
         2, 72, "more than 16 headers"},
        {"agents:\n  a: {url: http://a/, agentCard: x}\n", 2, 34, "agentCard must be a map"},
        {"agents:\n  a: {url: http://a/, metadata: {agentCard: {name: '${NOT_SET}'}}}\n", 2, 52,
         "the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}"},
        {"agents:\n  a: {maxInFlight: 0}\n", 2, 20,
         "maxInFlight must be a whole number from 1 to 10000"},
        {"agents:\n  a: {maxInFlight: 10001}\n", 2, 20,
         "maxInFlight must be a whole number from 1 to 10000"},
        {"agents:\n  a: {maxInFlight: 1.5}\n", 2, 20,
         "maxInFlight must be a whole number from 1 to 10000"},
        {"agents:\n  a: {timeoutMs: 99999999999999999999}\n", 2, 18,
         "timeoutMs must be a whole number from 1 to 86400000"},
        {"agents:\n  a: {timeoutMs: -1}\n", 2, 18,
         "timeoutMs must be a whole number from 1 to 86400000"},
        {"agents:\n  a: {cooldownMs: soon}\n", 2, 19,
         "cooldownMs must be a whole number from 1 to 86400000"},
        {"agents:\n  a: {protocol: mcp}\n", 2, 17,
         "protocol mcp is not offered: SuperX speaks A2A with agents"},
        {"agents:\n  a: {protocol: grpc}\n", 2, 17, "protocol must be a2a"},
        {"agents:\n  a: {protocolVersion: 0.2.5}\n", 2, 24,
         "protocolVersion must be 0.3 or 1.0; others are not spoken here"},
        {"agents:\n  a: {protocolVersion: new}\n", 2, 24,
         "protocolVersion must look like 0.3, 0.3.0 or 1.0"},
        {"agents:\n  a:\n    bearer: ${NOT_SET}\n", 3, 13,
         "the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}"},
        {"agents:\n  a:\n    bearer: '${TOKEN'\n", 3, 13, "${ without its }"},
        {"agents:\n  a:\n    bearer: ${}\n", 3, 13,
         "${...} must hold the name of a variable, or NAME:-default"},
        {"agents:\n  a:\n    bearer: ${2X}\n", 3, 13,
         "${...} must hold the name of a variable, or NAME:-default"},
        {"agents:\n  a:\n    bearer: ${A:-${B}}\n", 3, 13,
         "the default of a variable must not contain another variable"},
        {"agents:\n  a:\n    bearer: ${LINE}\n", 3, 13,
         "bearer must be one token without control characters or blanks at its ends"},
        {"agents:\n  a:\n    bearer: ' x'\n", 3, 13,
         "bearer must be one token without control characters or blanks at its ends"},
        {"agents:\n  a: &x {url: http://a/}\n", 2, 6, "anchors (&x) are not supported here"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int before = test_failures;

        CHECK(read_file(rows[i].text) < 0);
        CHECK_INT(fault.line, rows[i].line);
        CHECK_INT(fault.column, rows[i].column);
        CHECK_STR(str_of(fault.why), str_of(rows[i].why));
        CHECK(!specs);
        if (test_failures != before)
            printf("    in row %zu: %s\n", i, rows[i].text);
        arena_release(&arena);
    }
}

TEST(as_many_agents_as_allowed)
{
    struct buf text;

    for (unsigned more = 0; more < 2; more++) {
        buf_init(&text, LIMIT_AGENTS_FILE);
        BUF_LIT(&text, "agents:\n");
        for (unsigned i = 0; i < LIMIT_AGENTS + more; i++)
            buf_printf(&text, "  a%u: {url: http://a/}\n", i);
        log_setup(LOG_ERROR, false);
        arena_init(&arena, MB(32));
        CHECK_INT(agents_file_read(buf_str(&text), &defaults, NULL, &arena, &specs,
                                   &default_agent, &fault),
                  more ? ERR_LIMIT : 0);
        if (more) {
            CHECK_INT(fault.line, LIMIT_AGENTS + 2);
            CHECK_STR(str_of(fault.why), STR("more than 10000 agents"));
        }
        arena_release(&arena);
        buf_release(&text);
    }
}

/* Each allocation of the arena fails in turn: a complaint, never a crash or a half-read file. */
TEST(little_memory)
{
    static const char text[] =
        "agents:\n"
        "  a: {url: 'http://${TOKEN}/', bearer: '${TOKEN}', maxInFlight: 7}\n"
        "  b: {url: http://b/, metadata: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}}\n";
    bool is_enough = false;

    log_setup(LOG_ERROR, false);
    for (size_t max = 0; !is_enough && max < KB(64); max += 64) {
        int err;

        arena_init(&arena, max);
        specs = NULL;
        default_agent = STR_NONE;
        err = agents_file_read(str_of(text), &defaults, fake_env, &arena, &specs,
                               &default_agent, &fault);
        is_enough = err == 0;
        CHECK(is_enough || (!specs && fault.why[0]));
        arena_release(&arena);
    }
    CHECK(is_enough);
}

/* Every prefix of a file is a file too. */
TEST(cut_anywhere)
{
    static const char text[] =
        "agents:\n  - name: a\n    url: http://${TOKEN:-x}/\n    bearer: \"${TOKEN}\"\n"
        "    maxInFlight: 12\n    metadata: {a: [b, c]}\n";
    char cut[sizeof text];

    for (size_t n = 0; n < sizeof text; n++) {
        memcpy(cut, text, n);
        cut[n] = '\0';
        if (read_file(cut) < 0)
            CHECK(fault.why[0] && !specs);
        arena_release(&arena);
    }
}

TEST(ids)
{
    char long_id[LIMIT_AGENT_ID + 1];

    memset(long_id, 'a', sizeof long_id);
    CHECK(agent_id_is_valid(STR("a")));
    CHECK(agent_id_is_valid(STR("A-z_0.9")));
    CHECK(agent_id_is_valid(STR("...")));
    CHECK(agent_id_is_valid(str_make(long_id, LIMIT_AGENT_ID)));
    CHECK(!agent_id_is_valid(str_make(long_id, LIMIT_AGENT_ID + 1)));
    CHECK(!agent_id_is_valid(STR("")));
    CHECK(!agent_id_is_valid(STR(".")));
    CHECK(!agent_id_is_valid(STR("..")));
    CHECK(!agent_id_is_valid(STR("a b")));
    CHECK(!agent_id_is_valid(STR("a\0")));
    CHECK(!agent_id_is_valid(STR("\xc3\xa4")));
}

TEST_MAIN
