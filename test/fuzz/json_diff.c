/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the JSON scanner against jansson and simdjson. Every disagreement aborts.
 *
 * All three must accept or refuse the same texts, and simdjson must have read the same document as our
 * walkers and decoders: same structure, same decoded keys and strings, same numbers, in the same order. For
 * wanted members at the root, its count of a name says whether ours had to be a conflict.
 *
 * The others refuse a few texts that RFC 8259 allows. These differences are not excused but taken out of the
 * text before they see it, so that all the rest of it is still compared:
 *
 *   numbers out of range    simdjson: integers outside [-2^63, 2^64), and reals that overflow a double;
 *                           jansson: the latter. They become 0 (and spaces). A number that fits must be
 *                           accepted.
 *   NUL in a member name    jansson, also with JSON_ALLOW_NUL. Written as an escape, it becomes U+0001.
 *
 * In the other direction, jansson 2.14 loses a NUL byte that follows a number or a literal ("true\0" is read
 * as "true"). No text with a NUL byte is JSON, and none with the byte 01: it gets that one instead.
 *
 * Two differences are understood as what they are:
 *
 *   depth                   ours is LIMIT_JSON_DEPTH, simdjson gets the same; it does not count an *empty*
 *                           container as a level, and jansson's limit is far away.
 *   byte order mark         all three refuse; simdjson is not held to it: later versions skip the mark.
 *
 * Half of the inputs come from libFuzzer's own mutations, which rarely leave a document valid; the others are
 * written by a small random generator, or are inputs with tokens put in that have been trouble elsewhere.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "fuzz/simdjson_shim.h"
#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

NORETURN static void disagree(const char *what, struct str text, const char *detail)
{
    fprintf(stderr, "json_diff: %s: %s\n%.*s\n", what, detail, STR_ARG(text));
    abort();
}

/* --- what the others cannot take --------------------------------------------------------------------- */

static bool is_integer(struct str number)
{
    return !memchr(number.p, '.', number.n) && !memchr(number.p, 'e', number.n) &&
           !memchr(number.p, 'E', number.n);
}

/* `number` is followed by a byte that cannot be part of it, at the latest by the copy's NUL. */
static bool is_out_of_range(struct str number)
{
    uint64_t u;
    int64_t i;

    if (!is_integer(number))
        return isinf(strtod(number.p, NULL));
    return number.p[0] == '-' ? str_to_i64(number, &i) != 0 : str_to_u64(number, &u) != 0;
}

/* The walkers give read-only views of what is here a copy of our own. */
static char *writable(struct str s)
{
    return (char *)(uintptr_t)s.p;
}

static void tame_numbers(struct str value)
{
    struct json_cursor c;
    struct str key, item;

    switch (json_type(value)) {
    case JSON_OBJECT:
        JSON_EACH_MEMBER (&c, value, &key, &item)
            tame_numbers(item);
        break;
    case JSON_ARRAY:
        JSON_EACH_ELEMENT (&c, value, &item)
            tame_numbers(item);
        break;
    case JSON_NUMBER:
        value = str_trim(value);
        if (is_out_of_range(value)) {
            memset(writable(value), ' ', value.n);
            *writable(value) = '0';
        }
        break;
    default:
        break;
    }
}

static void tame_keys(struct str value)
{
    struct json_cursor c;
    struct str key, item;

    JSON_EACH_MEMBER (&c, value, &key, &item) {
        for (size_t i = 0; i < key.n; i++)
            if (key.p[i] == '\\' && key.p[++i] == 'u' && memcmp(key.p + i, "u0000", 5) == 0)
                writable(key)[i + 4] = '1';
        tame_keys(item);
    }
    JSON_EACH_ELEMENT (&c, value, &item)
        tame_keys(item);
}

/* --- what we read ------------------------------------------------------------------------------------ */

static void describe_bytes(struct buf *out, enum shim_tag tag, const void *eight)
{
    buf_add_char(out, (char)tag);
    buf_add(out, eight, 8);
}

/* `raw` with its quotes. The length is asked for, not counted, so that it is compared as well. */
static void describe_text(struct buf *out, enum shim_tag tag, struct str raw)
{
    uint64_t n = json_string_length(raw);

    describe_bytes(out, tag, &n);
    BUG_ON(json_string_decode(raw, out) != 0);
}

static void describe_number(struct buf *out, struct str raw)
{
    int64_t i;
    uint64_t u;
    double d;

    if (!is_integer(raw)) {
        d = strtod(raw.p, NULL);
        describe_bytes(out, SHIM_DOUBLE, &d);
    } else if (json_to_i64(raw, &i) == 0) {
        describe_bytes(out, SHIM_I64, &i);
    } else {
        BUG_ON(str_to_u64(raw, &u) != 0);
        describe_bytes(out, SHIM_U64, &u);
    }
}

static void describe(struct buf *out, struct str value)
{
    struct json_cursor c;
    struct str key, item;

    switch (json_type(value)) {
    case JSON_OBJECT:
        buf_add_char(out, SHIM_OBJECT);
        JSON_EACH_MEMBER (&c, value, &key, &item) {
            describe_text(out, SHIM_KEY, str_make(key.p - 1, key.n + 2));
            describe(out, item);
        }
        buf_add_char(out, SHIM_OBJECT_END);
        break;
    case JSON_ARRAY:
        buf_add_char(out, SHIM_ARRAY);
        JSON_EACH_ELEMENT (&c, value, &item)
            describe(out, item);
        buf_add_char(out, SHIM_ARRAY_END);
        break;
    case JSON_STRING:
        describe_text(out, SHIM_STRING, value);
        break;
    case JSON_NUMBER:
        describe_number(out, str_trim(value));
        break;
    case JSON_TRUE:
        buf_add_char(out, SHIM_TRUE);
        break;
    case JSON_FALSE:
        buf_add_char(out, SHIM_FALSE);
        break;
    case JSON_NULL:
        buf_add_char(out, SHIM_NULL);
        break;
    case JSON_NONE:
        disagree("walker", value, "found nothing where a value was accepted");
    }
}

/* --- the comparison ---------------------------------------------------------------------------------- */

/* These return NULL if the text was accepted, else why not. */
static const char *ask_simdjson(struct str text, struct str *events)
{
    return shim_describe(text.p, text.n, LIMIT_JSON_DEPTH, &events->p, &events->n);
}

static const char *ask_jansson(struct str text)
{
    return shim_jansson(text.p, text.n);
}

static void check_conflicts(struct str text)
{
    static const struct json_want wants[] = {
        {"id", 0, NULL},     {"jsonrpc", 1, NULL}, {"method", -1, NULL},
        {"params", 2, NULL}, {NULL, 0, NULL},
    };
    struct str slots[3];
    bool is_twice = false;
    int err = json_scan(text, wants, slots, 3, NULL);

    for (const struct json_want *want = wants; want->name; want++) {
        size_t n = shim_count(want->name, strlen(want->name));

        is_twice |= n > 1;
        if (!err && want->slot >= 0 && !slots[want->slot].p != (n == 0))
            disagree("wanted member", text, want->name);
    }
    if (err != (is_twice ? ERR_CONFLICT : 0))
        disagree("duplicate", text, is_twice ? "not seen by us" : "seen by us only");
}

static void check_accepted(struct str original)
{
    static struct buf copy = {.max = MB(1)}, ours = {.max = MB(4)}; /* kept: speed is runs */
    struct str text, theirs;
    const char *why;

    buf_clear(&copy);
    buf_add_str(&copy, original);
    BUG_ON(!buf_z(&copy));
    text = buf_str(&copy);

    tame_numbers(text);
    why = ask_simdjson(text, &theirs);
    if (why)
        disagree("refused by simdjson only", original, why);
    buf_clear(&ours);
    describe(&ours, text);
    if (buf_error(&ours) || !str_is(buf_str(&ours), theirs))
        disagree("read differently", original, "ours and simdjson's events differ");
    check_conflicts(text);

    tame_keys(text);
    why = ask_jansson(text);
    if (why)
        disagree("refused by jansson only", original, why);
}

static void check_refused(struct str text)
{
    static struct buf copy = {.max = MB(1)};
    bool has_mark = str_has_prefix(text, STR("\xef\xbb\xbf"));
    struct str events;

    if (!has_mark && !ask_simdjson(text, &events))
        disagree("accepted by simdjson only", text, "");
    if (text.n > 0 && memchr(text.p, '\0', text.n)) {
        buf_clear(&copy);
        BUG_ON(buf_add_str(&copy, text) != 0);
        for (size_t i = 0; i < copy.n; i++)
            copy.p[i] = copy.p[i] ? copy.p[i] : '\x01';
        text = buf_str(&copy);
    }
    if (!ask_jansson(text))
        disagree("accepted by jansson only", text, "");
}

/* Our refusal for depth must stand on an opening bracket with LIMIT_JSON_DEPTH others open before it; and
 * unless it opens nothing, simdjson refuses too (be it for a later fault). */
static void check_too_deep(struct str text, size_t at)
{
    struct str events;
    size_t depth = 0;
    bool in_string = false;
    char c;

    for (size_t i = 0; i < at; i++) {
        c = text.p[i];
        if (in_string) {
            in_string = c != '"';
            i += c == '\\';
        } else {
            in_string = c == '"';
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
        }
    }
    c = at < text.n ? text.p[at] : '\0';
    if (depth != LIMIT_JSON_DEPTH || in_string || (c != '{' && c != '['))
        disagree("depth", text, "is not where we say");
    while (++at < text.n && strchr(" \t\r\n", text.p[at]) && text.p[at])
        ;
    if (at < text.n && text.p[at] == (c == '{' ? '}' : ']'))
        return;
    if (!ask_simdjson(text, &events))
        disagree("depth", text, "accepted by simdjson");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct json_fault fault;

    switch (json_scan(text, NULL, NULL, 0, &fault)) {
    case 0:
        check_accepted(text);
        break;
    case ERR_LIMIT:
        check_too_deep(text, fault.at);
        break;
    case ERR_SYNTAX:
        check_refused(text);
        break;
    default:
        disagree("unexpected result", text, fault.why);
    }
    return 0;
}

/* --- inputs ------------------------------------------------------------------------------------------ */

static uint64_t dice_state;

static unsigned dice(unsigned sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (unsigned)(dice_state >> 33) % sides;
}

#define PICK(table) ((table)[dice(sizeof(table) / sizeof *(table))])

static const char *const numbers[] = {
    "0",
    "-0",
    "7",
    "-1",
    "10",
    "1.5",
    "-0.0",
    "1e5",
    "1E-2",
    "2.5e+3",
    "0e0",
    "1e400",
    "-1e400",
    "1e-400",
    "4.9e-324",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "100000000000000000000000000000000",
    "0.1234567890123456789012345678901234567890",
    "123456789012345678901234567890.5e-10",
    "2.2250738585072011e-308",
    "00",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "1e+",
    "+1",
    "0x1",
    "1_0",
    "Infinity",
};
static const char *const pieces[] = {
    "a",
    "id",
    "text",
    "some words of text",
    "exactly16bytes..",
    "\\\"",
    "\\\\",
    "\\/",
    "\\b",
    "\\f",
    "\\n",
    "\\r",
    "\\t",
    "\\u0000",
    "\\u0064",
    "\\u00e9",
    "\\uFFFF",
    "\\ud83d\\ude00",
    "\\uDBFF\\uDFFF",
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbb\xbf",
    "\xef\xbf\xbf",
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",
    "\xe5\xa4\xa9\xe6\xb0\x97",
    "{",
    "]",
    ",",
    ":",
    " ",
};
static const char *const bad_pieces[] = {
    "\\ud800",
    "\\udc00",
    "\\ud800\\ud800",
    "\\ud800x",
    "\\udbff\\n",
    "\\u12",
    "\\u00g0",
    "\\x41",
    "\\",
    "\\'",
    "\xff",
    "\x80",
    "\xc0\x80",
    "\xc1\xbf",
    "\xe0\x9f\xbf",
    "\xed\xa0\x80",
    "\xf0\x8f\xbf\xbf",
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "\xe2\x82",
    "\xf0\x9f\x98",
    "\n",
    "\t",
    "\x1f",
    "\"",
};
static const char *const names[] = {
    "id", "jsonrpc", "method", "params",       "i\\u0064", "\\u0069d",  "idx",
    "",   "kind",    "parts",  "metho\\u0064", "\\u0000",  "a\\u0000b", "i\\u0044"};
static const char *const tokens[] = {"{",           "}",
                                     "[",           "]",
                                     ",",           ":",
                                     "\"",          "\\",
                                     "true",        "false",
                                     "null",        "nul",
                                     "NaN",         " ",
                                     "\n",          "\t",
                                     "\r",          "\f",
                                     "\v",          "\xc2\xa0",
                                     "/**/",        "//",
                                     "[[[[",        "]]]]",
                                     "\"id\":1,",   ",\"i\\u0064\":2",
                                     "\xef\xbb\xbf"};

static void put(struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
}

static void put_space(struct buf *out)
{
    static const char *const spaces[] = {" ", "\n", "\t", "\r\n", "    "};

    if (dice(8) == 0)
        put(out, PICK(spaces));
}

static void put_string(struct buf *out)
{
    buf_add_char(out, '"');
    for (unsigned n = dice(6); n > 0; n--)
        put(out, dice(200) == 0 ? PICK(bad_pieces) : PICK(pieces));
    buf_add_char(out, '"');
}

static void put_value(struct buf *out, unsigned depth);

static void put_members(struct buf *out, unsigned depth, bool is_object)
{
    for (unsigned i = 0, n = dice(5); i < n; i++) {
        if (i > 0)
            buf_add_char(out, ',');
        put_space(out);
        if (is_object && dice(3) == 0)
            put_string(out);
        else if (is_object)
            buf_printf(out, "\"%s\"", PICK(names));
        if (is_object) {
            put_space(out);
            buf_add_char(out, ':');
            put_space(out);
        }
        put_value(out, depth + 1);
        put_space(out);
    }
}

/* Usually a few levels; now and then a chain that ends near the limit. */
static void put_value(struct buf *out, unsigned depth)
{
    static const char *const literals[] = {"true", "false", "null"};
    unsigned kind = dice(depth > 5 ? 4 : 8);
    unsigned chain = 0;

    if (depth == 1 && dice(50) == 0)
        chain = LIMIT_JSON_DEPTH - 3 + dice(6);
    for (unsigned i = 0; i < chain; i++)
        buf_add_char(out, '[');
    if (kind == 0)
        put(out, PICK(literals));
    else if (kind == 1)
        put(out, PICK(numbers));
    else if (kind <= 3)
        put_string(out);
    else if (kind <= 5) {
        buf_add_char(out, '[');
        put_members(out, depth, false);
        buf_add_char(out, ']');
    } else {
        buf_add_char(out, '{');
        put_members(out, depth, true);
        buf_add_char(out, '}');
    }
    for (unsigned i = 0; i < chain; i++)
        buf_add_char(out, ']');
}

/* Puts a troublesome token into the input, over 0 to 3 of its bytes. */
static void put_token(struct buf *out, struct str input)
{
    size_t at = input.n ? dice((unsigned)input.n + 1) : 0, over = dice(4);

    if (over > input.n - at)
        over = input.n - at;
    buf_add(out, input.p, at);
    switch (dice(4)) {
    case 0:
        put(out, PICK(numbers));
        break;
    case 1:
        put(out, PICK(pieces));
        break;
    case 2:
        put(out, PICK(bad_pieces));
        break;
    default:
        put(out, PICK(tokens));
    }
    buf_add(out, input.p + at + over, input.n - at - over);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct buf out = {.max = MB(1)};
    unsigned way;

    dice_state = 0x9e3779b97f4a7c15u ^ seed;
    for (int i = 0; i < 4; i++)
        (void)dice(2);
    way = dice(8);
    if (way < 4)
        return LLVMFuzzerMutate(data, size, max_size);
    buf_clear(&out);
    if (way < 6)
        put_value(&out, 0);
    else
        put_token(&out, str_make((const char *)data, size));
    if (buf_error(&out) || out.n == 0 || out.n > max_size)
        return LLVMFuzzerMutate(data, size, max_size);
    memcpy(data, out.p, out.n);
    return way == 4 ? LLVMFuzzerMutate(data, out.n, max_size) : out.n;
}
