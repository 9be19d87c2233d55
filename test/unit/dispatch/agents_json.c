/* SPDX-License-Identifier: MIT
 *
 * One agent as JSON: the file's keys, the first SuperX's map, complaints, and that what is written is read
 * again.
 */
#include "check.h"

#include "dispatch/dispatch_int.h"

static const struct agent_defaults defaults = {10, 1000, 600000};

static struct arena arena;
static struct agent_spec spec;
static char why[200];

static int read_json(const char *text)
{
    arena_init(&arena, MB(4));
    memset(&spec, 0, sizeof spec);
    why[0] = '\0';
    CHECK_INT(json_scan(str_of(text), NULL, NULL, 0, NULL), 0);
    return agent_spec_read(str_of(text), &defaults, &arena, &spec, why);
}

#define CARD                                                                                   \
    "{\"name\":\"C\",\"version\":\"1\",\"url\":\"http://c/\",\"protocolVersion\":\"0.3.0\",\"x\":[1.50,{}]}"

static const char all[] =
    "{\"id\":\"a\",\"name\":\"An agent\",\"url\":\"https://a/base\",\"endpoint\":\"http://a/rpc\","
    "\"cardUrl\":\"http://a/card\",\"card\":\"1.0\",\"followCardHost\":true,\"bearer\":\"t\\u00f6k\","
    "\"headers\":{\"X-One\":\"1\",\"x-two\":\"${HOME}\"},\"caFile\":\"ca.pem\",\"certFile\":\"c.pem\","
    "\"keyFile\":\"k.pem\",\"serverName\":\"inner\",\"protocol\":\"a2a\",\"protocolVersion\":\"1.0\","
    "\"maxInFlight\":7,\"timeoutMs\":\"8000\",\"version\":null,\"metadata\":{\"x\":{\"y\":[1,{}]}},"
    "\"failureThreshold\":3,\"forwardHeaders\":[\"Cookie\",\"X-User\"],\"agentCard\": " CARD
    "}";

TEST(all_keys)
{
    CHECK_INT(read_json(all), 0);
    CHECK_STR(spec.id, STR("a"));
    CHECK_STR(spec.url, STR("https://a/base"));
    CHECK_STR(spec.endpoint, STR("http://a/rpc"));
    CHECK_STR(spec.card_url, STR("http://a/card"));
    CHECK(spec.has_card_form);
    CHECK_INT(spec.card_form, A2A_CARD_1_0);
    CHECK(spec.follow_card_host);
    CHECK_STR(spec.bearer, STR("t\xc3\xb6k"));
    CHECK_INT(spec.n_headers, 2);
    CHECK_STR(spec.headers[0].name, STR("X-One"));
    CHECK_STR(spec.headers[1].value,
              STR("${HOME}")); /* senders have no business with our environment */
    CHECK_INT(spec.n_forwards, 2);
    CHECK_STR(spec.forwards[1], STR("X-User"));
    CHECK_STR(spec.ca_file, STR("ca.pem"));
    CHECK_STR(spec.cert_file, STR("c.pem"));
    CHECK_STR(spec.key_file, STR("k.pem"));
    CHECK_STR(spec.server_name, STR("inner"));
    CHECK(spec.has_version);
    CHECK_INT(spec.version, A2A_1_0);
    CHECK_INT(spec.max_in_flight, 7);
    CHECK_INT(spec.timeout_ms, 8000);
    CHECK_STR(spec.card, STR(CARD));
    arena_release(&arena);
}

TEST(what_is_written_is_read_again)
{
    static const char *const texts[] = {all, "{\"id\":\"b\",\"url\":\"http://b/\"}",
                                        "{\"id\":\"c\",\"url\":\"http://c/\",\"metadata\":{"
                                        "\"agentCard\":{\"name\":\"x\",\"version\":\"1\"}}}"};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct agent_spec before;
        struct arena first;
        struct buf out;

        arena_init(&first, MB(1));
        memset(&before, 0, sizeof before);
        CHECK_INT(agent_spec_read(str_of(texts[i]), &defaults, &first, &before, why), 0);
        buf_init(&out, MB(1));
        agent_spec_write(&out, &before);
        CHECK_INT(read_json(buf_z(&out)), 0);
        CHECK(spec_is_same(&before, &spec));
        arena_release(&first);
        arena_release(&arena);
        buf_release(&out);
    }
}

/* What is fetched as the card does not hang on it. */
TEST(forwarded_names_make_another_spec_with_the_same_card)
{
    struct agent_spec other;

    CHECK_INT(read_json(all), 0);
    other = spec;
    CHECK(spec_is_same(&spec, &other));
    other.forwards[1] = STR("X-Other");
    CHECK(!spec_is_same(&spec, &other));
    CHECK(spec_has_same_card(&spec, &other));
    other.n_forwards = 1;
    CHECK(!spec_is_same(&spec, &other));
    arena_release(&arena);
}

TEST(the_map_of_the_first_superx)
{
    CHECK_INT(
        read_json("{\"name\":\"a\",\"url\":\"http://a/\",\"bearer\":\"\",\"protocol\":\"a2a\","
                  "\"metadata\":{\"agentCard\":{\"url\":\"http://a/card\"}}}"),
        0);
    CHECK_STR(spec.id, STR("a"));
    CHECK_STR(spec.bearer, STR_NONE);
    CHECK(!spec.has_version);
    CHECK_STR(spec.card_url, STR("http://a/card"));
    CHECK_STR(spec.card, STR_NONE);
    CHECK_INT(spec.max_in_flight, 10);
    arena_release(&arena);
    CHECK_INT(read_json("{\"id\":\"a\",\"name\":\"b\",\"url\":\"http://a/\",\"bearer\":null,"
                        "\"metadata\":{\"agentCard\":{\"name\":\"N\",\"version\": \"1\"}}}"),
              0);
    CHECK_STR(spec.id, STR("a"));
    CHECK_STR(spec.card, STR("{\"name\":\"N\",\"version\":\"1\",\"url\":\"http://a/\"}"));
    arena_release(&arena);
}

TEST(complaints)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"[]", "an agent must be an object"},
        {"{}", "the agent has no id"},
        {"{\"id\":null,\"name\":null}", "the agent has no id"},
        {"{\"id\":7.5e1,\"url\":7}",
         "an agent's id must be"}, /* "+" and the like do not pass */
        {"{\"id\":\"a/b\"}", "an agent's id must be"},
        {"{\"id\":\"a\"}", "agent a has no url"},
        {"{\"id\":\"a\",\"url\":\"\"}", "the URL is empty"},
        {"{\"id\":\"a\",\"url\":[\"http://a/\"]}", "url must be a text, not a list"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"url\":\"http://b/\"}", "url is given twice"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"u\\u0072l\":\"http://b/\"}",
         "url is given twice"},
        {"{\"id\":\"a\",\"uri\":\"http://a/\"}", "unknown key \"uri\"; did you mean url?"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"bearer\":\"x\\ny\"}",
         "bearer must be one token"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"bearer\":\"x\\u0000y\"}", "a NUL character"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"headers\":[]}", "headers must be a map"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"headers\":{\"a b\":\"c\"}}",
         "\"a b\" cannot be the name of a header"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"headers\":{\"X\":\"c\\r\\nY: z\"}}",
         "the header X must not hold control characters"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"headers\":{\"X\":\"1\",\"x\":\"2\"}}",
         "the header x is given twice"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"agentCard\":\"x\"}", "agentCard must be a map"},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"agentCard\":{\"url\":[]}}", "agentCard: "},
        {"{\"id\":\"a\",\"url\":\"http://a/\",\"followCardHost\":\"maybe\"}",
         "followCardHost must be true or false"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int before = test_failures;

        if (i != 3) {
            CHECK_INT(read_json(rows[i].text), ERR_INVALID);
            if (!strstr(why, rows[i].why))
                CHECK_STR(str_of(why), str_of(rows[i].why));
            CHECK(!spec.id.p);
        } else {
            CHECK(read_json(rows[i].text) < 0);
        }
        if (test_failures != before)
            printf("    in row %zu: %s\n", i, rows[i].text);
        arena_release(&arena);
    }
}

TEST(little_memory)
{
    bool is_enough = false;

    for (size_t max = 0; !is_enough && max < KB(64); max += 64) {
        int err;

        arena_init(&arena, max);
        err = agent_spec_read(str_of(all), &defaults, &arena, &spec, why);
        is_enough = err == 0;
        CHECK(is_enough || (err == ERR_NOMEM && why[0]));
        arena_release(&arena);
    }
    CHECK(is_enough);
}

TEST_MAIN
