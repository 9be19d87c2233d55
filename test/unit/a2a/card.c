/* SPDX-License-Identifier: MIT
 *
 * Cards: what is found in those of every dialect, and that what is written is what each version's readers take.
 */
#include "check.h"

#include "a2a/a2a.h"
#include "lib/mem.h"

#define URL "https://gw.example/agents/w/"
#define BOTH                                                                                   \
    "\"supportedInterfaces\":[{\"url\":\"" URL                                                 \
    "\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"},{\"url\":\"" URL          \
    "\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"0.3\"}]"
#define OLD                                                                                    \
    "\"url\":\"" URL "\",\"preferredTransport\":\"JSONRPC\",\"protocolVersion\":\"0.3.0\","    \
    "\"additionalInterfaces\":[{\"url\":\"" URL "\",\"transport\":\"JSONRPC\"}]"
#define CAPABILITIES "\"capabilities\":{\"streaming\":false,\"pushNotifications\":false}"

static struct arena arena;
static struct a2a_card card;
static char why[200];

static int read_card(const char *text)
{
    arena_release(&arena);
    arena_init(&arena, LIMIT_CARD);
    card = (struct a2a_card){0};
    return a2a_card_read(str_of(text), &arena, &card, why);
}

static void check_interface(enum a2a_version version, const char *url, const char *tenant)
{
    CHECK(card.interfaces[version].is_given == (url != NULL));
    CHECK_STR(card.interfaces[version].url, str_of(url));
    CHECK_STR(card.interfaces[version].tenant, str_of(tenant));
}

/* --- reading -------------------------------------------------------------------------------------- */

TEST(card_of_0_3)
{
    CHECK_INT(
        read_card(
            "{\"protocolVersion\":\"0.3.0\",\"name\":\"We\\u0061ther\",\"version\":\"2.1\","
            "\"url\":\"https://a.example/x\",\"preferredTransport\":\"JSONRPC\"}"),
        0);
    CHECK_STR(card.name, STR("Weather"));
    CHECK_STR(card.version, STR("2.1"));
    CHECK(card.has_interface);
    CHECK_INT(card.preferred, A2A_0_3);
    check_interface(A2A_0_3, "https://a.example/x", NULL);
    check_interface(A2A_1_0, NULL, NULL);
    CHECK_STR(str_of(why), STR(""));
}

/* No protocolVersion, no preferredTransport; nulls and empty strings are ProtoJSON's defaults. */
TEST(card_of_0_2)
{
    CHECK_INT(read_card("{\"name\":\"n\",\"url\":\"http://a:9/\"}"), 0);
    check_interface(A2A_0_3, "http://a:9/", NULL);
    CHECK_INT(
        read_card("{\"url\":\"http://a:9/\",\"protocolVersion\":\"0.2.6\",\"name\":null}"), 0);
    check_interface(A2A_0_3, "http://a:9/", NULL);
    CHECK_STR(card.name, STR_NONE);
    CHECK_INT(
        read_card(
            "{\"url\":\"http://a:9/\",\"protocolVersion\":\"\",\"preferredTransport\":null}"),
        0);
    check_interface(A2A_0_3, "http://a:9/", NULL);
}

TEST(json_rpc_is_found_among_other_transports)
{
    CHECK_INT(
        read_card(
            "{\"url\":\"grpc.example:50051\",\"preferredTransport\":\"GRPC\","
            "\"additionalInterfaces\":[{\"url\":\"http://a/rest\",\"transport\":\"HTTP+JSON\"},"
            "{\"url\":\"http://a/rpc\",\"transport\":\"JSONRPC\"},"
            "{\"url\":\"http://a/other\",\"transport\":\"JSONRPC\"}]}"),
        0);
    check_interface(A2A_0_3, "http://a/rpc", NULL);
    CHECK_INT(read_card("{\"url\":\"http://a/rest\",\"preferredTransport\":\"HTTP+JSON\"}"), 0);
    CHECK(!card.has_interface);
}

TEST(card_of_1_0)
{
    CHECK_INT(
        read_card(
            "{\"supportedInterfaces\":[{\"url\":\"a:1\",\"protocolBinding\":\"GRPC\","
            "\"protocolVersion\":\"1.0\"},{\"url\":\"https://a/x\",\"tenant\":\"t\\n\","
            "\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"},"
            "{\"url\":\"https://a/y\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.1\"},"
            "{\"url\":\"https://a/o\",\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"0.3\","
            "\"tenant\":\"\"}]}"),
        0);
    CHECK_INT(card.preferred, A2A_1_0);
    check_interface(A2A_1_0, "https://a/x", "t\n");
    check_interface(A2A_0_3, "https://a/o", NULL);
}

TEST(hybrid_card)
{
    CHECK_INT(
        read_card(
            "{\"url\":\"https://a/old\",\"protocolVersion\":\"0.3.0\",\"supportedInterfaces\":"
            "[{\"url\":\"https://a/new\",\"protocolBinding\":\"JSONRPC\","
            "\"protocolVersion\":\"1.0\"}]}"),
        0);
    check_interface(A2A_1_0, "https://a/new", NULL);
    check_interface(A2A_0_3, "https://a/old", NULL);
    CHECK_INT(card.preferred, A2A_1_0);
}

/* Drafts of 1.0: one version for the whole card, other spellings of members. */
TEST(other_spellings)
{
    CHECK_INT(read_card("{\"protocol_version\":\"1.0\",\"supported_interfaces\":"
                        "[{\"url\":\"https://a/n\",\"protocol_binding\":\"JSONRPC\"}]}"),
              0);
    check_interface(A2A_1_0, "https://a/n", NULL);
    CHECK_INT(
        read_card(
            "{\"supportedInterfaces\":[{\"url\":\"https://a/n\",\"transport\":\"jsonrpc\","
            "\"protocol_version\":\"1.0.1\"}]}"),
        0);
    check_interface(A2A_1_0, "https://a/n", NULL);
    CHECK_INT(read_card("{\"protocolVersion\":\"1.0\",\"url\":\"https://a/n\"}"), 0);
    check_interface(A2A_1_0, "https://a/n", NULL);
    CHECK_INT(read_card("{\"protocolVersion\":\"1\",\"url\":\"https://a/n\"}"), 0);
    check_interface(A2A_1_0, "https://a/n", NULL);
}

/* What cannot be used is passed over, and said. */
TEST(ignored_interfaces)
{
    static const char *const useless[] = {
        "{\"url\":\"/relative\"}",
        "{\"url\":\"a.example:9999\"}",
        "{\"url\":\"ftp://a/\"}",
        "{\"url\":\"http://a b/\"}",
        "{\"url\":\"http://a/\\u0000\"}",
        "{\"url\":\"http://a/\",\"protocolVersion\":\"2.0\"}",
        "{\"url\":\"http://a/\",\"protocolVersion\":\"0.1.0\"}",
        "{\"url\":\"http://a/\",\"protocolVersion\":\"new\"}",
        "{\"url\":\"http://a/\",\"protocolVersion\":1}",
        "{\"supportedInterfaces\":[{\"url\":\"http://a\",\"protocolBinding\":\"JSONRPC\","
        "\"protocolVersion\":\"2.0\"}]}",
    };

    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        CHECK_INT(read_card(useless[i]), 0);
        CHECK(!card.has_interface);
        CHECK(strstr(why, "is ignored"));
    }
    CHECK_INT(read_card("{\"supportedInterfaces\":[{\"url\":\"x\",\"protocolVersion\":\"1.0\"},"
                        "{\"url\":\"http://a\",\"protocolVersion\":\"1.0\"}]}"),
              0);
    check_interface(A2A_1_0, "http://a", NULL);
    CHECK_STR(str_of(why),
              STR("supportedInterfaces[0].url is not an absolute http or https URL "
                  "and is ignored"));
}

TEST(refused_cards)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "it is not JSON"},
        {"<html>", "it is not JSON: "},
        {"{\"url\":\"http://a\"", "at byte 17"},
        {"[]", "it is not a JSON object"},
        {"null", "it is not a JSON object"},
        {"{}", "it has neither url nor supportedInterfaces"},
        {"{\"url\":null,\"supportedInterfaces\":null}", "neither"},
        {"{\"name\":1,\"url\":\"http://a\"}", "name is not a string"},
        {"{\"url\":[]}", "url is not a string"},
        {"{\"supportedInterfaces\":{}}", "supportedInterfaces is not an array"},
        {"{\"supportedInterfaces\":[{\"url\":\"http://a\"},7]}",
         "supportedInterfaces[1] is not an object"},
        {"{\"supportedInterfaces\":[{\"protocolBinding\":\"JSONRPC\"}]}",
         "supportedInterfaces[0] has no url"},
        {"{\"url\":\"http://a\",\"additionalInterfaces\":[{\"transport\":\"JSONRPC\"}]}",
         "additionalInterfaces[0] has no url"},
        {"{\"url\":\"http://a\",\"u\\u0072l\":\"http://b\"}", "it has \"url\" twice"},
        {"{\"url\":\"http://a\",\"skills\":[],\"skills\":[]}", "it has \"skills\" twice"},
        {"{\"url\":\"http://a\",\"iconUrl\":\"a\",\"icon_url\":\"b\"}", "twice"},
        {"{\"supportedInterfaces\":[{\"url\":\"http://a\",\"url\":\"http://b\"}]}",
         "supportedInterfaces[0] has \"url\" twice"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(read_card(cases[i].text), ERR_INVALID);
        if (!strstr(why, cases[i].why))
            CHECK_STR(str_of(why), str_of(cases[i].why));
    }
}

/* A card that is cut anywhere is refused, never misread. */
TEST(every_prefix_of_a_card)
{
    static const char text[] =
        "{\"name\":\"n\",\"supportedInterfaces\":[{\"url\":\"http://a/\","
        "\"protocolBinding\":\"JSONRPC\",\"protocolVersion\":\"1.0\"}]}";

    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = mem_str(text, n);

        CHECK_INT(read_card(copy), ERR_INVALID);
        mem_free(copy);
    }
    CHECK_INT(read_card(text), 0);
}

/* The arena's own kilobyte is taken but for `left` bytes, and its heap is too small for either string: each allocation
 * in turn is the one that fails. */
TEST(no_memory_to_read)
{
    static const char text[] = "{\"name\":\"012345678901234567890123456789012345678\","
                               "\"url\":\"http://a/012345678901234567890123456789\"}";
    struct a2a_card read;
    struct arena small;
    int err = ERR_NOMEM;
    unsigned n_refused = 0;

    for (size_t left = 0; left <= 256 && err; left += 16) {
        arena_init(&small, 40);
        for (size_t i = 0; i < (ARENA_INLINE - left) / 16; i++)
            CHECK(arena_take(&small, 16));
        err = a2a_card_read(str_of(text), &small, &read, why);
        n_refused += err == ERR_NOMEM;
        arena_release(&small);
    }
    CHECK_INT(err, 0);
    CHECK_INT(n_refused, 6);
}

/* --- writing -------------------------------------------------------------------------------------- */

static struct buf out;

static struct str written(const char *doc, enum a2a_card_form form)
{
    struct a2a_card_offer offer = {.url = STR(URL)};

    buf_release(&out);
    buf_init(&out, LIMIT_CARD);
    CHECK_INT(json_scan(str_of(doc), NULL, NULL, 0, NULL), 0);
    CHECK_INT(a2a_card_write(&out, str_of(doc), form, &offer), 0);
    CHECK_INT(json_scan(buf_str(&out), NULL, NULL, 0, NULL), 0);
    return buf_str(&out);
}

/* Everything that is the agent's own, and everything that must not come through. */
static const char whole[] =
    "{ \"name\" : \"W\\u00e9\", \"description\":\"d\",\"version\":\"1\",\"url\":\"http://inside/\","
    "\"preferredTransport\":\"GRPC\",\"protocolVersion\":\"0.3.0\",\"additionalInterfaces\":[1],"
    "\"supportedInterfaces\":[{\"url\":\"http://inside/\",\"tenant\":\"secret\"}],"
    "\"provider\":{\"url\":\"u\",\"organization\":\"o\",\"x\":1.50},\"iconUrl\":\"i\","
    "\"documentationUrl\":\"m\",\"capabilities\":{\"streaming\":true,\"pushNotifications\":true,"
    "\"extendedAgentCard\":true,\"stateTransitionHistory\":true,\"extensions\":[{\"uri\":\"e\","
    "\"params\":{\"n\":1.0e2},\"y\":0}]},\"securitySchemes\":{\"k\":{}},\"security\":[{\"k\":[]}],"
    "\"securityRequirements\":[],\"authentication\":{\"schemes\":[]},"
    "\"supportsAuthenticatedExtendedCard\":true,\"signatures\":[{}],"
    "\"defaultInputModes\":[\"a/b\"],\"defaultOutputModes\":[],\"x-more\":{ \"z\":[null] },"
    "\"skills\":[{\"id\":\"s\",\"name\":\"S\",\"description\":\"D\",\"tags\":[\"t\"],\"examples\":[\"e\"],"
    "\"inputModes\":[\"c/d\"],\"security\":[{}],\"securityRequirements\":[],\"w\":{}}]}";

#define HEAD                                                                                      \
    "{\"name\":\"W\\u00e9\",\"description\":\"d\",\"version\":\"1\",\"provider\":{\"url\":\"u\"," \
    "\"organization\":\"o\""
#define MIDDLE "},\"iconUrl\":\"i\",\"documentationUrl\":\"m\",\"capabilities\":{"
#define EXTENSION "\"extensions\":[{\"uri\":\"e\",\"params\":{\"n\":1.0e2}"
#define OFFERED ",\"streaming\":false,\"pushNotifications\":false}"
#define MODES ",\"defaultInputModes\":[\"a/b\"],\"defaultOutputModes\":[]"
#define SKILL                                                                                  \
    ",\"skills\":[{\"id\":\"s\",\"name\":\"S\",\"description\":\"D\",\"tags\":[\"t\"],"        \
    "\"examples\":[\"e\"],\"inputModes\":[\"c/d\"]"
#define HYBRID_START                                                                           \
    HEAD ",\"x\":1.50" MIDDLE "\"stateTransitionHistory\":true," EXTENSION                     \
         ",\"y\":0}]" OFFERED MODES ",\"x-more\":{\"z\":[null]}" SKILL ",\"w\":{}}],"

TEST(hybrid_is_written)
{
    CHECK_STR(written(whole, A2A_CARD_HYBRID), STR(HYBRID_START BOTH "," OLD "}"));
}

TEST(pure_0_3_is_written)
{
    CHECK_STR(written(whole, A2A_CARD_0_3), STR(HYBRID_START OLD "}"));
}

/* Nothing that a strict reader of 1.0 does not know. */
TEST(pure_1_0_is_written)
{
    CHECK_STR(written(whole, A2A_CARD_1_0),
              STR(HEAD MIDDLE EXTENSION "}]" OFFERED MODES SKILL "}]," BOTH "}"));
}

#define FILLS                                                                                  \
    "\"name\":\"\",\"version\":\"\",\"description\":\"\"," CAPABILITIES                        \
    ",\"defaultInputModes\":[\"text/plain\"],\"defaultOutputModes\":[\"text/plain\"],\"skills\":[],"

/* What a version requires is there, whatever the agent left out or said as nonsense. */
TEST(missing_members_are_filled)
{
    CHECK_STR(written("{}", A2A_CARD_1_0), STR("{" FILLS BOTH "}"));
    CHECK_STR(written("{}", A2A_CARD_0_3), STR("{" FILLS OLD "}"));
    CHECK_STR(
        written(
            "{\"name\":null,\"version\":3,\"skills\":{},\"capabilities\":[],\"iconUrl\":null}",
            A2A_CARD_HYBRID),
        STR("{" FILLS BOTH "," OLD "}"));
    written("{\"skills\":[{\"id\":\"s\"},null,{}],\"provider\":{}}", A2A_CARD_1_0);
    CHECK(strstr(buf_z(&out),
                 "\"skills\":[{\"id\":\"s\",\"name\":\"\",\"description\":\"\",\"tags\":[]},"
                 "{\"id\":\"\",\"name\":\"\",\"description\":\"\",\"tags\":[]}],"
                 "\"provider\":{\"organization\":\"\",\"url\":\"\"}"));
}

TEST(other_spellings_are_written_properly)
{
    written(
        "{\"icon_url\":\"i\",\"default_input_modes\":[\"x/y\"],\"supported_interfaces\":[1],"
        "\"security_schemes\":{},\"skills\":[{\"input_modes\":[\"p/q\"]}]}",
        A2A_CARD_HYBRID);
    CHECK(strstr(buf_z(&out), "\"iconUrl\":\"i\",\"defaultInputModes\":[\"x/y\"],"
                              "\"skills\":[{\"inputModes\":[\"p/q\"],"));
    CHECK(!strstr(buf_z(&out), "_url"));
    CHECK(!strstr(buf_z(&out), "security"));
}

/* Known members come once, even from text that a2a_card_read() would refuse. */
TEST(repeated_members_are_written_once)
{
    written("{\"skills\":[{\"id\":\"a\",\"i\\u0064\":\"b\"}]}", A2A_CARD_1_0);
    CHECK(strstr(buf_z(&out), "[{\"id\":\"a\",\"name\":\"\""));
}

TEST(offer_is_written)
{
    struct a2a_card_offer offer = {.url = STR("http://h/\"/"), .streaming = true, .push = true};

    buf_release(&out);
    buf_init(&out, KB(2));
    CHECK_INT(a2a_card_write(&out, STR(" {\"capabilities\":{\"streaming\":false}}"),
                             A2A_CARD_1_0, &offer),
              0);
    CHECK(strstr(buf_z(&out),
                 "\"capabilities\":{\"streaming\":true,\"pushNotifications\":true}"));
    CHECK(strstr(buf_z(&out), "{\"url\":\"http://h/\\\"/\","));
}

/* Our card is a card: clients of the gateway may be gateways. */
TEST(written_cards_can_be_read)
{
    for (int form = A2A_CARD_HYBRID; form <= A2A_CARD_0_3; form++) {
        struct str text = written(whole, (enum a2a_card_form)form);
        char *copy = mem_str(text.p, text.n);

        CHECK_INT(read_card(copy), 0);
        check_interface(A2A_0_3, URL, NULL);
        check_interface(A2A_1_0, form == A2A_CARD_0_3 ? NULL : URL, NULL);
        CHECK_STR(str_of(why), STR(""));
        mem_free(copy);
    }
}

TEST(what_cannot_be_written)
{
    struct a2a_card_offer offer = {.url = STR(URL)};
    struct buf small;

    buf_init(&small, 100);
    CHECK_INT(a2a_card_write(&small, STR("[]"), A2A_CARD_1_0, &offer), ERR_INVALID);
    CHECK_INT(a2a_card_write(&small, str_of(whole), A2A_CARD_1_0, &offer), ERR_LIMIT);
    buf_release(&small);
}

TEST(form_texts)
{
    CHECK_STR(str_of(a2a_card_form_text(A2A_CARD_HYBRID)), STR("hybrid"));
    CHECK_STR(str_of(a2a_card_form_text(A2A_CARD_1_0)), STR("1.0"));
    CHECK_STR(str_of(a2a_card_form_text(A2A_CARD_0_3)), STR("0.3"));
}

TEST(last_is_released)
{
    arena_release(&arena);
    buf_release(&out);
}

TEST_MAIN
