/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: the JSON scanner on any bytes, and everything that reads on what it accepted.
 *
 * libFuzzer hands over a heap copy of exactly the input's size, so the sanitizer catches reading outside it.
 * What is checked beyond not crashing:
 *
 *   - a refusal names a place inside the text and leaves no slot filled;
 *   - what is found is what a slow search by json_next_member() finds, duplicates included;
 *   - every value inside an accepted text is itself an accepted text, and a part of one never is;
 *   - strings survive decoding and writing; minified text has the same values and cannot shrink again;
 *   - any bytes at all, written as a string, are a valid document.
 *
 * Agreement with other people's parsers is the business of json_diff.c.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ID, METHOD, PARAMS, MESSAGE_ID, CONTEXT, STATE, N_SLOTS };

static const struct json_want want_message[] = {
    {"messageId", MESSAGE_ID, NULL},
    {"contextId", CONTEXT, NULL},
    {"context_id", CONTEXT, NULL}, /* two spellings, one slot */
    {NULL, 0, NULL},
};
static const struct json_want want_status[] = {{"state", STATE, NULL}, {NULL, 0, NULL}};
static const struct json_want want_params[] = {
    {"message", -1, want_message},
    {"status", -1, want_status},
    {NULL, 0, NULL},
};
static const struct json_want want_root[] = {
    {"id", ID, NULL},
    {"method", METHOD, NULL},
    {"params", PARAMS, want_params},
    {"result", -1, want_params + 1},
    {NULL, 0, NULL},
};

static void empty(struct buf *b)
{
    buf_release(b);
    buf_init(b, MB(1));
}

/* --- wanted members, the slow way -------------------------------------------------------------------- */

/* False if a wanted member, or a second one for the same slot, stands twice in its object. */
static bool find_slowly(struct str object, const struct json_want *wants, struct str *slots)
{
    for (const struct json_want *want = wants; want && want->name; want++) {
        struct str key, value, found = STR_NONE;
        struct json_cursor c;

        if (json_type(object) != JSON_OBJECT)
            return true;
        JSON_EACH_MEMBER (&c, object, &key, &value) {
            if (!json_key_is(key, str_of(want->name)))
                continue;
            if (found.p)
                return false;
            found = value;
        }
        BUG_ON(!str_is(json_get(object, want->name), found));
        if (!found.p)
            continue;
        if (want->slot >= 0) {
            if (slots[want->slot].p)
                return false;
            slots[want->slot] = found;
        }
        if (!find_slowly(found, want->members, slots))
            return false;
    }
    return true;
}

static void check_wanted(struct str text)
{
    struct str fast[N_SLOTS], slow[N_SLOTS] = {STR_NONE};
    bool is_unique = find_slowly(text, want_root, slow);
    struct json_fault fault = {SIZE_MAX, NULL, NULL};
    int err = json_scan(text, want_root, fast, N_SLOTS, &fault);

    BUG_ON(err != (is_unique ? 0 : ERR_CONFLICT));
    if (err)
        BUG_ON(!fault.member || fault.at >= text.n || text.p[fault.at] != '"');
    for (size_t i = 0; i < N_SLOTS; i++) {
        BUG_ON(err && fast[i].p);
        BUG_ON(!err && (fast[i].p != slow[i].p || fast[i].n != slow[i].n));
    }
}

/* --- values ------------------------------------------------------------------------------------------ */

static void check_string(struct str raw)
{
    static struct buf plain, again;

    empty(&plain);
    empty(&again);
    BUG_ON(json_string_decode(raw, &plain) != 0);
    BUG_ON(json_string_length(raw) != plain.n);
    BUG_ON(!str_is_utf8(buf_str(&plain)));
    BUG_ON(!json_string_is(raw, buf_str(&plain)));
    BUG_ON(plain.n > 0 && json_string_is(raw, str_make(plain.p, plain.n - 1)));
    json_write_string(&again, buf_str(&plain));
    BUG_ON(buf_error(&again) || json_scan(buf_str(&again), NULL, NULL, 0, NULL) != 0);
    BUG_ON(!json_string_is(buf_str(&again), buf_str(&plain)));
}

static void check_scalar(struct str value)
{
    int64_t number;
    int err = json_to_i64(value, &number);

    BUG_ON(json_scan(value, NULL, NULL, 0, NULL) != 0);
    BUG_ON(!json_is_minified(value));
    if (json_type(value) == JSON_STRING)
        check_string(value);
    else if (json_type(value) != JSON_NUMBER)
        BUG_ON(err != ERR_INVALID);
}

/* Walks a value and its minified twin side by side. */
static void check_value(struct str value, struct str twin, unsigned depth)
{
    struct str item, item_twin, key, key_twin;
    struct json_cursor c, d;

    BUG_ON(depth > LIMIT_JSON_DEPTH + 1);
    BUG_ON(json_type(value) != json_type(twin));
    json_enter(&c, value);
    json_enter(&d, twin);
    switch (json_type(value)) {
    case JSON_OBJECT:
        while (json_next_member(&c, &key, &item)) {
            BUG_ON(!json_next_member(&d, &key_twin, &item_twin));
            BUG_ON(!str_is(key, key_twin));
            check_string(str_make(key.p - 1, key.n + 2));
            check_value(item, item_twin, depth + 1);
        }
        BUG_ON(json_next_member(&d, &key_twin, &item_twin));
        break;
    case JSON_ARRAY:
        while (json_next_element(&c, &item)) {
            BUG_ON(!json_next_element(&d, &item_twin));
            check_value(item, item_twin, depth + 1);
        }
        BUG_ON(json_next_element(&d, &item_twin));
        break;
    default:
        BUG_ON(!str_is(str_trim(value), twin));
        BUG_ON(json_next_member(&c, &key, &item) || json_next_element(&c, &item));
        check_scalar(twin);
    }
}

static void check_minified(struct str text)
{
    static struct buf small, smaller;

    empty(&small);
    empty(&smaller);
    json_minify(&small, text);
    BUG_ON(buf_error(&small) || json_scan(buf_str(&small), NULL, NULL, 0, NULL) != 0);
    BUG_ON(!json_is_minified(buf_str(&small)));
    BUG_ON(json_is_minified(text) != (small.n == text.n));
    json_minify(&smaller, buf_str(&small));
    BUG_ON(!str_is(buf_str(&small), buf_str(&smaller)));
    check_value(text, buf_str(&small), 1);
}

/* A part of a document from the left, somewhere chosen by its bytes; in a block of its own so that reading on
 * is noticed. Of a number a part may be a number. */
static void check_cut(struct str text)
{
    size_t sum = 0;
    char *part;

    text = str_trim(text);
    for (size_t i = 0; i < text.n; i++)
        sum = sum * 31 + (unsigned char)text.p[i];
    if (json_type(text) == JSON_NUMBER)
        return;
    sum %= text.n;
    part = malloc(sum ? sum : 1);
    BUG_ON(!part);
    memcpy(part, text.p, sum);
    BUG_ON(json_scan(str_make(part, sum), NULL, NULL, 0, NULL) != ERR_SYNTAX);
    free(part);
}

/* --- bytes that are not JSON ------------------------------------------------------------------------- */

static void check_refused(struct str text, int err, const struct json_fault *fault)
{
    struct str slots[N_SLOTS];
    struct json_fault wanting;
    int err_wanting = json_scan(text, want_root, slots, N_SLOTS, &wanting);

    BUG_ON(err != ERR_SYNTAX && err != ERR_LIMIT);
    BUG_ON(fault->at > text.n || !fault->why || fault->member);
    /* Wanting something may end the scan earlier, never later or better. */
    BUG_ON(err_wanting != err && err_wanting != ERR_CONFLICT);
    BUG_ON(wanting.at > fault->at);
    for (size_t i = 0; i < N_SLOTS; i++)
        BUG_ON(slots[i].p);
}

static void check_written(struct str bytes)
{
    static struct buf text, plain;

    empty(&text);
    empty(&plain);
    json_write_string(&text, bytes);
    BUG_ON(buf_error(&text) || json_scan(buf_str(&text), NULL, NULL, 0, NULL) != 0);
    BUG_ON(json_string_decode(buf_str(&text), &plain) != 0);
    BUG_ON(str_is_utf8(bytes) != str_is(buf_str(&plain), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct json_fault fault = {SIZE_MAX, NULL, NULL};
    int err = json_scan(text, NULL, NULL, 0, &fault);

    if (err) {
        check_refused(text, err, &fault);
    } else {
        check_wanted(text);
        check_minified(text);
        check_cut(text);
    }
    check_written(text);
    return 0;
}
