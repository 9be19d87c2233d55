/* SPDX-License-Identifier: MIT
 *
 * JSON: what the scanner accepts, refuses and finds, and what the readers make of it.
 *
 * Every text is scanned from a heap copy of exactly its size, so that under AddressSanitizer one byte read
 * too far is a failure, and every accepted document is scanned again cut short behind each of its bytes.
 */
#include "check.h"

#include <stdlib.h>

#include "lib/buf.h"
#include "lib/json.h"

#define STEP 16 /* one step of the fast path */

static int scan(struct str text, const struct json_want *want, struct str *slots,
                size_t n_slots, struct json_fault *fault)
{
    static char *exact; /* kept until the next scan: slots point into it */
    struct json_fault ignored;
    int err;

    free(exact);
    exact = malloc(text.n ? text.n : 1);
    CHECK(exact != NULL);
    if (!exact)
        return ERR_NOMEM;
    if (text.n)
        memcpy(exact, text.p, text.n);
    if (!fault)
        fault = &ignored;
    *fault = (struct json_fault){SIZE_MAX, NULL, NULL};
    err = json_scan(str_make(exact, text.n), want, slots, n_slots, fault);
    if (err) {
        CHECK(fault->at <= text.n);
        CHECK(fault->why != NULL);
    }
    return err;
}

static int validate(struct str text)
{
    return scan(text, NULL, NULL, 0, NULL);
}

/* Expects the text to be valid, and no part of it from the left to be so (numbers excepted by the caller). */
static void check_valid_and_uncut(struct str text)
{
    if (validate(text) != 0)
        printf("    refused: %.*s\n", STR_ARG(text));
    CHECK_INT(validate(text), 0);
    for (size_t n = 0; n < text.n; n++)
        CHECK_INT(validate(str_make(text.p, n)), ERR_SYNTAX);
}

static struct buf printed;

static struct buf *empty(void)
{
    buf_release(&printed);
    buf_init(&printed, KB(64));
    return &printed;
}

static struct str decoded(struct str raw)
{
    CHECK_INT(json_string_decode(raw, empty()), 0);
    return buf_str(&printed);
}

static struct str written(struct str s)
{
    json_write_string(empty(), s);
    return buf_str(&printed);
}

static struct str minified(struct str text)
{
    json_minify(empty(), text);
    return buf_str(&printed);
}

/* --- grammar ----------------------------------------------------------------------------------------- */

TEST(accepts_every_kind_of_value)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "\"\"",
        "true",
        "false",
        "null",
        "{\"\":{}}",
        "[[],{},\"\",true,false,null,0]",
        "{\"a\":1,\"a\":2}",
        "[1,2]",
        "{ \"a\" : [ 1 , 2 ] , \"b\" : { } }",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uFFFF\\uabCD\\ud83d\\ude00\"]",
        "[\"\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf\"]",
        "[\"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"]",
        "[-0,-0.0,0e0,0E+0,0e-0,1.5,10,9007199254740993,9223372036854775808,1e400,1E-400]",
        "[123456789012345678901234567890123456789012345678901234567890.000000000000000000001]",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_valid_and_uncut(str_of(texts[i]));
}

TEST(accepts_scalars_and_space_around_them)
{
    static const char *const texts[] = {"0", "-1", "12.5e-7", " \t\r\n1\n", " null ", "\"x\" "};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        CHECK_INT(validate(str_of(texts[i])), 0);
}

TEST(refuses_and_says_where)
{
    static const struct {
        struct str text;
        size_t at;
    } cases[] = {
        {{NULL, 0}, 0},
        {{"", 0}, 0},
        {{"  ", 2}, 2},
        {{"\xef\xbb\xbf{}", 5}, 0},
        {{"{} x", 4}, 3},
        {{"{}{}", 4}, 2},
        {{"{}\0", 3}, 2},
        {{"1\f", 2}, 1},
        {{"\v1", 2}, 0},
        {{"\xc2\xa0"
          "1",
          3},
         0},
        {{"[1,]", 4}, 3},
        {{"[,1]", 4}, 1},
        {{"[1 2]", 5}, 3},
        {{"[1}", 3}, 2},
        {{"[", 1}, 1},
        {{"]", 1}, 0},
        {{"{]", 2}, 1},
        {{"{\"a\":1,}", 8}, 7},
        {{"{\"a\" 1}", 7}, 5},
        {{"{\"a\":}", 6}, 5},
        {{"{\"a\"}", 5}, 4},
        {{"{\"a\":1 \"b\":2}", 13}, 7},
        {{"{a:1}", 5}, 1},
        {{"{'a':1}", 7}, 1},
        {{"{1:1}", 5}, 1},
        {{"{\"a\"::1}", 8}, 5},
        {{"[1]]", 4}, 3},
        {{"nul", 3}, 0},
        {{"nulL", 4}, 0},
        {{"nullx", 5}, 4},
        {{"True", 4}, 0},
        {{"NaN", 3}, 0},
        {{"-Infinity", 9}, 1},
        {{"/**/1", 5}, 0},
        {{"01", 2}, 1},
        {{"-01", 3}, 2},
        {{"+1", 2}, 0},
        {{"-", 1}, 1},
        {{"--1", 3}, 1},
        {{"1.", 2}, 2},
        {{"1.e5", 4}, 2},
        {{".5", 2}, 0},
        {{"1e", 2}, 2},
        {{"1e+", 3}, 3},
        {{"1e5.0", 5}, 3},
        {{"1E", 2}, 2},
        {{"0x10", 4}, 1},
        {{"1_000", 5}, 1},
        {{"\"", 1}, 1},
        {{"\"\\\"", 3}, 3},
        {{"\"\\x\"", 4}, 1},
        {{"\"\\U0041\"", 8}, 1},
        {{"\"\\u004\"", 7}, 1},
        {{"\"\\u00g0\"", 8}, 1},
        {{"\"\\\0\"", 4}, 1},
        {{"\"a\nb\"", 5}, 2},
        {{"\"a\0b\"", 5}, 2},
        {{"\"\x1f\"", 3}, 1},
        {{"\"\xff\"", 3}, 1},
        {{"\"\x80\"", 3}, 1},
        {{"{\"\xc0\x80\":1}", 7}, 2},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_fault fault;

        CHECK_INT(scan(cases[i].text, NULL, NULL, 0, &fault), ERR_SYNTAX);
        CHECK_INT(fault.at, cases[i].at);
        CHECK(fault.member == NULL);
        if (fault.at != cases[i].at)
            printf("    text: %.*s (%s)\n", STR_ARG(cases[i].text), fault.why);
    }
}

TEST(needs_no_fault_to_report_to)
{
    CHECK_INT(json_scan(STR("["), NULL, NULL, 0, NULL), ERR_SYNTAX);
}

TEST(depth_ends_at_the_limit)
{
    for (size_t depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        bool fits = depth <= LIMIT_JSON_DEPTH;
        struct json_fault fault;
        char text[1024];
        size_t n;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        CHECK_INT(scan(str_make(text, 2 * depth), NULL, NULL, 0, &fault), fits ? 0 : ERR_LIMIT);
        if (!fits)
            CHECK_INT(fault.at, LIMIT_JSON_DEPTH);
        n = 0;
        for (size_t i = 0; i < depth; i++, n += 5)
            memcpy(text + n, "{\"a\":", 5);
        text[n++] = '1';
        memset(text + n, '}', depth);
        CHECK_INT(validate(str_make(text, n + depth)), fits ? 0 : ERR_LIMIT);
    }
    /* Breadth is not depth. */
    CHECK_INT(validate(STR("[[[]],[[]],[[]],{\"a\":{}},[[]]]")), 0);
}

/* --- strings and the steps of 16 --------------------------------------------------------------------- */

/* Puts `piece` at each offset of strings around the step size and expects `err` every time. */
static void check_everywhere(struct str piece, int err)
{
    for (size_t before = 0; before <= 2 * STEP + 1; before++)
        for (size_t after = 0; after <= STEP + 1; after++) {
            char text[8 * STEP];
            size_t n = 0;

            text[n++] = '"';
            memset(text + n, 'a', before);
            n += before;
            memcpy(text + n, piece.p, piece.n);
            n += piece.n;
            memset(text + n, 'b', after);
            n += after;
            text[n++] = '"';
            CHECK_INT(validate(str_make(text, n)), err);
            CHECK_INT(validate(str_make(text, n - 1)), ERR_SYNTAX);
        }
}

TEST(every_byte_at_every_offset)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;

        if (c != '"' && c != '\\') /* escapes have a test of their own */
            check_everywhere(str_make(&byte, 1), c >= 0x20 && c < 0x80 ? 0 : ERR_SYNTAX);
    }
}

TEST(escapes_and_sequences_at_every_offset)
{
    check_everywhere(STR("\\\""), 0);
    check_everywhere(STR("\\\\"), 0);
    check_everywhere(STR("\\u0022"), 0);
    check_everywhere(STR("\\ud800\\udc00"), 0);
    check_everywhere(STR("\xc3\xa9"), 0);
    check_everywhere(STR("\xe2\x82\xac\xf0\x9f\x98\x80"), 0);
    check_everywhere(STR("\xe2\x82"), ERR_SYNTAX);
    check_everywhere(STR("\xf0\x9f\x98"), ERR_SYNTAX);
    check_everywhere(STR("\\ud800"), ERR_SYNTAX);
    check_everywhere(STR("\\udc00"), ERR_SYNTAX);
}

/* All sequences made of bytes at the borders of the ranges, judged by str_is_utf8() as well. */
TEST(utf8_agrees_with_the_other_judge)
{
    static const unsigned char border[] = {0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed,
                                           0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff};
    const size_t n = sizeof border;

    for (size_t i = 0; i < n * n * n * n; i++) {
        char text[6] = {'"',
                        (char)border[i % n],
                        (char)border[i / n % n],
                        (char)border[i / n / n % n],
                        (char)border[i / n / n / n],
                        '"'};
        bool is_utf8 = str_is_utf8(str_make(text + 1, 4));

        CHECK_INT(json_scan(str_make(text, 6), NULL, NULL, 0, NULL), is_utf8 ? 0 : ERR_SYNTAX);
    }
}

TEST(surrogates_only_in_pairs)
{
    for (unsigned first = 0xd000; first < 0xf000; first += 0x40)
        for (unsigned second = 0xd000; second < 0xf000; second += 0x40) {
            bool is_high = first >= 0xd800 && first < 0xdc00;
            bool is_low = first >= 0xdc00 && first < 0xe000;
            bool is_low_2 = second >= 0xdc00 && second < 0xe000;
            bool is_surrogate_2 = second >= 0xd800 && second < 0xe000;
            bool is_good = is_high ? is_low_2 : !is_low && !is_surrogate_2;
            char text[16];

            snprintf(text, sizeof text, "\"\\u%04x\\u%04X\"", first, second);
            CHECK_INT(validate(str_of(text)), is_good ? 0 : ERR_SYNTAX);
        }
}

/* --- wanted members ---------------------------------------------------------------------------------- */

enum { ID, METHOD, PARAMS, TASK_ID, CONTEXT, N_SLOTS };

static const struct json_want want_message[] = {
    {"taskId", TASK_ID, NULL},
    {"contextId", CONTEXT, NULL},
    {"context_id", CONTEXT, NULL},
    {NULL, 0, NULL},
};
static const struct json_want want_params[] = {
    {"message", -1, want_message},
    {NULL, 0, NULL},
};
static const struct json_want want_request[] = {
    {"id", ID, NULL},
    {"method", METHOD, NULL},
    {"params", PARAMS, want_params},
    {NULL, 0, NULL},
};

static struct str slots[N_SLOTS];

static int find(const char *text)
{
    return scan(str_of(text), want_request, slots, N_SLOTS, NULL);
}

/* Expects a conflict about `member` whose second key begins at `at`, and nothing found. */
static void check_conflict(const char *text, const char *member, size_t at)
{
    struct json_fault fault;

    CHECK_INT(scan(str_of(text), want_request, slots, N_SLOTS, &fault), ERR_CONFLICT);
    CHECK_STR(str_of(fault.member), str_of(member));
    CHECK_INT(fault.at, at);
    for (size_t i = 0; i < N_SLOTS; i++)
        CHECK_STR(slots[i], STR_NONE);
}

TEST(finds_members_at_any_depth_wanted)
{
    CHECK_INT(
        find(
            " { \"id\" : 7 , \"x\":[1,2] , \"method\":\"a\\\"b\" ,\n\"params\" : { \"message\":"
            "{ \"parts\":[{\"taskId\":1}], \"taskId\" : \"t\" } } } "),
        0);
    CHECK_STR(slots[ID], STR("7"));
    CHECK_STR(slots[METHOD], STR("\"a\\\"b\""));
    CHECK_STR(slots[PARAMS],
              STR("{ \"message\":{ \"parts\":[{\"taskId\":1}], \"taskId\" : \"t\" } }"));
    CHECK_STR(slots[TASK_ID], STR("\"t\""));
    CHECK_STR(slots[CONTEXT], STR_NONE);
}

TEST(spans_of_every_type)
{
    CHECK_INT(find("{\"id\":null,\"method\":[ ],\"params\":true}"), 0);
    CHECK_STR(slots[ID], STR("null"));
    CHECK_STR(slots[METHOD], STR("[ ]"));
    CHECK_STR(slots[PARAMS], STR("true"));
    CHECK_INT(find("{\"id\":-1.5e3,\"method\":{},\"params\":\"\"}"), 0);
    CHECK_STR(slots[ID], STR("-1.5e3"));
    CHECK_STR(slots[METHOD], STR("{}"));
    CHECK_STR(slots[PARAMS], STR("\"\""));
}

TEST(does_not_look_elsewhere)
{
    /* Not in arrays, not one level lower or higher, not in a prefix, a longer name or a value. */
    CHECK_INT(
        find("{\"params\":[{\"message\":{\"taskId\":1}}],\"x\":{\"id\":1},\"i\":1,\"idx\":2,"
             "\"\":3,\"ID\":4,\"y\":\"id\",\"message\":{\"taskId\":1}}"),
        0);
    CHECK_STR(slots[ID], STR_NONE);
    CHECK_STR(slots[TASK_ID], STR_NONE);
    CHECK(slots[PARAMS].p != NULL);
    CHECK_INT(find("[{\"id\":1}]"), 0);
    CHECK_STR(slots[ID], STR_NONE);
    CHECK_INT(find("\"id\""), 0);
    CHECK_STR(slots[ID], STR_NONE);
}

TEST(an_escaped_name_is_that_member)
{
    CHECK_INT(find("{\"i\\u0064\":1,\"\\u006d\\u0065thod\":2,\"par\\u0061ms\":{\"message\":{"
                   "\"task\\u0049d\":3}},\"\\/id\":4,\"i\\u0064x\":5,\"i\\u0044\":6}"),
              0);
    CHECK_STR(slots[ID], STR("1"));
    CHECK_STR(slots[METHOD], STR("2"));
    CHECK_STR(slots[TASK_ID], STR("3"));
}

TEST(refuses_a_wanted_member_twice)
{
    check_conflict("{\"id\":1,\"id\":1}", "id", 8);
    check_conflict("{\"id\":1,\"i\\u0064\":2}", "id", 8);
    check_conflict("{\"\\u0069d\":1,\"x\":0,\"id\":2}", "id", 19);
    check_conflict("{\"\\u0069d\":1,\"\\u0069\\u0064\":2}", "id", 13);
    check_conflict("{\"params\":{},\"params\":null}", "params", 13);
    /* Also the ones that are only passed through. */
    check_conflict("{\"params\":{\"message\":{},\"message\":{}}}", "message", 24);
    /* And two spellings that share a slot. */
    check_conflict("{\"params\":{\"message\":{\"contextId\":\"a\",\"context_id\":\"a\"}}}",
                   "context_id", 38);
}

TEST(lets_other_members_repeat)
{
    CHECK_INT(find("{\"x\":1,\"x\":2,\"id\":1,\"y\":{\"id\":2,\"id\":3},\"params\":{\"id\":4,"
                   "\"id\":5}}"),
              0);
    CHECK_STR(slots[ID], STR("1"));
}

TEST(a_failed_scan_finds_nothing)
{
    slots[ID] = STR("left over");
    CHECK_INT(find("{\"id\":1,\"params\":{"), ERR_SYNTAX);
    for (size_t i = 0; i < N_SLOTS; i++)
        CHECK_STR(slots[i], STR_NONE);
}

/* --- reading ----------------------------------------------------------------------------------------- */

TEST(types)
{
    CHECK_INT(json_type(STR_NONE), JSON_NONE);
    CHECK_INT(json_type(STR("{}")), JSON_OBJECT);
    CHECK_INT(json_type(STR(" []")), JSON_ARRAY);
    CHECK_INT(json_type(STR("\"\"")), JSON_STRING);
    CHECK_INT(json_type(STR("-1")), JSON_NUMBER);
    CHECK_INT(json_type(STR("0")), JSON_NUMBER);
    CHECK_INT(json_type(STR("true")), JSON_TRUE);
    CHECK_INT(json_type(STR("false")), JSON_FALSE);
    CHECK_INT(json_type(STR("null")), JSON_NULL);
}

TEST(walks_members)
{
    struct str text =
        STR(" { \"a\\\"]\" : [1,{\"b\":\"}\"}] ,\"\":\"x\\\\\",\"n\":-1e5 , \"t\":true } ");
    struct json_cursor c;
    struct str key, value;

    CHECK_INT(validate(text), 0);
    json_enter(&c, text);
    CHECK(json_next_member(&c, &key, &value));
    CHECK_STR(key, STR("a\\\"]"));
    CHECK_STR(value, STR("[1,{\"b\":\"}\"}]"));
    CHECK(json_next_member(&c, &key, &value));
    CHECK_STR(key, STR(""));
    CHECK_STR(value, STR("\"x\\\\\""));
    CHECK(json_next_member(&c, &key, &value));
    CHECK_STR(key, STR("n"));
    CHECK_STR(value, STR("-1e5"));
    CHECK(json_next_member(&c, &key, &value));
    CHECK_STR(value, STR("true"));
    CHECK(!json_next_member(&c, &key, &value));
    CHECK(!json_next_member(&c, &key, &value));
}

TEST(walks_elements)
{
    static const char *const want[] = {"0", "[[]]", "{\"a\":[1]}", "\"],\"", "null", "1"};
    struct json_cursor c;
    struct str value;
    size_t n = 0;

    JSON_EACH_ELEMENT (&c, STR("[0,[[]] , {\"a\":[1]},\n\"],\",null,1 ]"), &value) {
        CHECK(n < 6);
        if (n < 6)
            CHECK_STR(value, str_of(want[n]));
        n++;
    }
    CHECK_INT(n, 6);
}

TEST(walks_nothing_where_nothing_is)
{
    static const char *const texts[] = {"{}", "[]", " { } ", "[\n]", "\"[1]\"", "1", "null"};
    struct json_cursor c;
    struct str key, value;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_enter(&c, str_of(texts[i]));
        CHECK(!json_next_member(&c, &key, &value));
        json_enter(&c, str_of(texts[i]));
        CHECK(!json_next_element(&c, &value));
        CHECK(!json_next_element(&c, &value));
    }
    json_enter(&c, STR_NONE);
    CHECK(!json_next_member(&c, &key, &value));
    /* The other kind of container. */
    json_enter(&c, STR("[\"a\",1]"));
    CHECK(!json_next_member(&c, &key, &value));
    json_enter(&c, STR("{\"a\":1}"));
    CHECK(!json_next_element(&c, &value));
}

TEST(gets_the_last_of_a_name)
{
    struct str object = STR("{\"a\":1,\"b\":2,\"\\u0061\":3,\"c\":{\"a\":4}}");

    CHECK_STR(json_get(object, "a"), STR("3"));
    CHECK_STR(json_get(object, "b"), STR("2"));
    CHECK_STR(json_get(json_get(object, "c"), "a"), STR("4"));
    CHECK_STR(json_get(object, "d"), STR_NONE);
    CHECK_STR(json_get(STR("[\"a\"]"), "a"), STR_NONE);
    CHECK_STR(json_get(STR_NONE, "a"), STR_NONE);
}

TEST(decodes_strings)
{
    CHECK_STR(decoded(STR("\"\"")), STR(""));
    CHECK_STR(decoded(STR("\"plain\"")), STR("plain"));
    CHECK_STR(decoded(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")), STR("\"\\/\b\f\n\r\t"));
    CHECK_STR(decoded(STR("\"a\\u0000b\"")), STR("a\0b"));
    CHECK_STR(decoded(STR("\"\\u007f\\u0080\\u07FF\\u0800\\uffff\"")),
              STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
    CHECK_STR(decoded(STR("\"<\\ud800\\udc00\\uDBFF\\uDFFF>\"")),
              STR("<\xf0\x90\x80\x80\xf4\x8f\xbf\xbf>"));
    CHECK_INT(json_string_decode(STR("1"), empty()), ERR_INVALID);
    CHECK_INT(json_string_decode(STR_NONE, empty()), ERR_INVALID);
}

TEST(measures_and_compares_without_decoding)
{
    struct str raw = STR("\"a\\u00e9\\ud83d\\ude00\\n\"");

    CHECK_INT(json_string_length(raw), 8);
    CHECK_INT(json_string_length(STR("\"\"")), 0);
    CHECK_INT(json_string_length(STR("[]")), 0);
    CHECK(json_string_is(raw, STR("a\xc3\xa9\xf0\x9f\x98\x80\n")));
    CHECK(!json_string_is(raw, STR("a\xc3\xa9\xf0\x9f\x98\x80")));
    CHECK(!json_string_is(raw, STR("a\xc3\xa9\xf0\x9f\x98\x80\n!")));
    CHECK(!json_string_is(raw, STR("")));
    CHECK(json_string_is(STR("\"\""), STR("")));
    CHECK(json_string_is(STR("\"\""), STR_NONE));
    CHECK(!json_string_is(STR("null"), STR("null")));
    CHECK(!json_string_is(STR_NONE, STR("")));
    CHECK(json_key_is(STR("t\\u0061g"), STR("tag")));
    CHECK(!json_key_is(STR("t\\u0061g"), STR("ta")));
    CHECK(!json_key_is(STR("tag"), STR("tags")));
}

TEST(reads_integers)
{
    static const struct {
        const char *raw;
        int err;
        int64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"42", 0, 42},
        {"\"42\"", 0, 42},
        {"\"-7\"", 0, -7},
        {"\"\\u0034\\u0032\"", 0, 42},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775808", 0, INT64_MIN},
        {"9223372036854775808", ERR_LIMIT, 0},
        {"-9223372036854775809", ERR_LIMIT, 0},
        {"99999999999999999999999999999999999999999", ERR_LIMIT, 0},
        {"1.0", ERR_INVALID, 0},
        {"1e3", ERR_INVALID, 0},
        {"\"\"", ERR_INVALID, 0},
        {"\"-\"", ERR_INVALID, 0},
        {"\" 1\"", ERR_INVALID, 0},
        {"\"1\\u0020\"", ERR_INVALID, 0},
        {"\"1.5\"", ERR_INVALID, 0},
        {"\"\\u0031 and something longer than any number\"", ERR_INVALID, 0},
        {"true", ERR_INVALID, 0},
        {"null", ERR_INVALID, 0},
        {"[1]", ERR_INVALID, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 99;

        CHECK_INT(json_to_i64(str_of(cases[i].raw), &value), cases[i].err);
        CHECK_INT(value, cases[i].err ? 99 : cases[i].value);
    }
    CHECK_INT(json_to_i64(STR_NONE, &(int64_t){0}), ERR_INVALID);
}

/* --- writing ----------------------------------------------------------------------------------------- */

TEST(writes_strings)
{
    CHECK_STR(written(STR("")), STR("\"\""));
    CHECK_STR(written(STR_NONE), STR("\"\""));
    CHECK_STR(written(STR("say \"hi\" \\ /")), STR("\"say \\\"hi\\\" \\\\ /\""));
    CHECK_STR(written(STR("\b\f\n\r\t\x01\x1f\x7f")),
              STR("\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""));
    CHECK_STR(written(STR("a\0b")), STR("\"a\\u0000b\""));
    CHECK_STR(written(STR("gr\xc3\xb6\xc3\x9f"
                          "er \xf0\x9f\x98\x80")),
              STR("\"gr\xc3\xb6\xc3\x9f"
                  "er \xf0\x9f\x98\x80\""));
}

TEST(writes_bytes_that_are_not_utf8_as_replacement)
{
    CHECK_STR(written(STR("a\xff"
                          "b")),
              STR("\"a\xef\xbf\xbd"
                  "b\""));
    CHECK_STR(written(STR("\xc3")), STR("\"\xef\xbf\xbd\""));
    CHECK_STR(written(STR("\xed\xa0\x80")), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""));
    CHECK_STR(written(STR("\xe2\x82\xc3\xa9")), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\""));
}

/* Every byte at every offset of a step, written, scanned and decoded again. */
TEST(what_is_written_reads_back)
{
    struct buf text;

    buf_init(&text, KB(4));
    for (int c = 0; c < 0x80; c++)
        for (size_t before = 0; before <= 2 * STEP; before++) {
            char plain[3 * STEP];
            size_t n = before + 1 + (before & 7);

            memset(plain, 'x', sizeof plain);
            plain[before] = (char)c;
            buf_clear(&text);
            json_write_string(&text, str_make(plain, n));
            CHECK_INT(validate(buf_str(&text)), 0);
            CHECK_STR(decoded(buf_str(&text)), str_make(plain, n));
            CHECK_INT(json_string_length(buf_str(&text)), n);
            CHECK(json_string_is(buf_str(&text), str_make(plain, n)));
        }
    buf_release(&text);
}

TEST(minifies)
{
    struct str text = STR(" {\n\t\"a b\" : [ 1 , \"c \\\" , d\" ] ,\r\n \"e\" : { } } ");
    struct str small = STR("{\"a b\":[1,\"c \\\" , d\"],\"e\":{}}");

    CHECK_STR(minified(text), small);
    CHECK_STR(minified(small), small);
    CHECK_STR(minified(STR(" 1 ")), STR("1"));
    CHECK_STR(minified(STR_NONE), STR(""));
    CHECK(!json_is_minified(text));
    CHECK(json_is_minified(small));
    CHECK(json_is_minified(STR("\" \"")));
    CHECK(!json_is_minified(STR("1 ")));
    CHECK(!json_is_minified(STR(" 1")));
    CHECK(json_is_minified(STR_NONE));
}

/* A full buffer ends every writer with the buffer's error and never with a wrong byte before it. */
TEST(a_full_buffer_is_an_error)
{
    struct str raw = STR("\"\\u00e9 and \\n some more text\""),
               want = STR("\xc3\xa9 and \n some more text");

    for (size_t max = 0; max <= 64; max++) {
        struct buf out;

        buf_init(&out, max);
        CHECK_INT(json_string_decode(raw, &out), max < want.n ? ERR_LIMIT : 0);
        CHECK(str_has_prefix(want, buf_str(&out)));
        buf_release(&out);
        buf_init(&out, max);
        json_write_string(&out, STR("a\nb\xff"));
        CHECK_INT(buf_error(&out), max < 9 ? ERR_LIMIT : 0);
        buf_release(&out);
        buf_init(&out, max);
        json_minify(&out, STR("[ 1 , 2 ]"));
        CHECK_INT(buf_error(&out), max < 5 ? ERR_LIMIT : 0);
        buf_release(&out);
    }
}

TEST(objects_are_written_member_by_member)
{
    bool first = true;
    struct buf out;

    buf_init(&out, 100);
    json_write_end(&out, first);
    json_write_key(&out, &first, STR("a\\u0062"));
    buf_add_char(&out, '1');
    json_write_key(&out, &first, STR("c"));
    buf_add_char(&out, '2');
    json_write_end(&out, first);
    CHECK_STR(buf_str(&out), STR("{}{\"a\\u0062\":1,\"c\":2}"));
    buf_release(&out);
}

TEST_MAIN
