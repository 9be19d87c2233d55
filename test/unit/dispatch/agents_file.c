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

static const struct agent_defaults defaults = {10, 600000};

static struct arena arena;
static struct agent_spec *specs;
static struct agents_fault fault;

static int read_file(const char *text)
{
    log_setup(LOG_ERROR, false);
    arena_init(&arena, MB(4));
    specs = NULL;
    return agents_file_read(str_of(text), &defaults, fake_env, &arena, &specs, &fault);
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
    CHECK_STR(specs->bearer, STR("t0ken"));
    CHECK_INT(specs->version, A2A_1_0);
    CHECK_INT(specs->max_in_flight, 10000);
    CHECK_INT(specs->timeout_ms, 86400000);
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
                        "    metadata:\n"),
              0);
    CHECK_STR(specs->bearer, STR_NONE);
    CHECK_INT(specs->version, A2A_0_3);
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
        {"agents:\n  a: {url: https://a/}\n", 2, 12,
         "the URL is https, which is not built yet: put a TLS proxy between, or use http"},
        {"agents:\n  a: {url: http://me:you@a/}\n", 2, 12,
         "the URL has a user name in it, which would end up in logs"},
        {"agents:\n  a: {url: ftp://a/}\n", 2, 12, "the URL does not begin with http://"},
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
        CHECK_INT(agents_file_read(buf_str(&text), &defaults, NULL, &arena, &specs, &fault),
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
        err = agents_file_read(str_of(text), &defaults, fake_env, &arena, &specs, &fault);
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
