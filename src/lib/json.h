/* SPDX-License-Identifier: MIT
 *
 * JSON (RFC 8259) as spans: validated once, never turned into a tree, never re-serialised.
 *
 * json_scan() reads a whole document in one pass, accepts exactly the grammar (UTF-8 and surrogate pairs
 * included; depth at most LIMIT_JSON_DEPTH; no byte order mark; nothing behind the value) and notes where the
 * wanted members stand. A wanted member that appears twice in its object is refused, also when one of the two
 * is written with escapes ("i\u0064"): no later reader can then see another value than we did.
 *
 * Everything below json_scan() works on text that json_scan() has accepted and may assume it valid; calling
 * it with anything else is a mistake of ours.
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/str.h"

enum json_type {
    JSON_NONE,
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

/* A member to find. `slot` is the index of the span that receives its value (-1: only pass through), and
 * `members` its own wanted members, looked for when the value is an object (never inside arrays). Two wants
 * may share a slot, as two spellings of one member: then at most one of them may stand in a document. A list
 * has at most 64 wants. */
struct json_want {
    const char *name;
    int slot;
    const struct json_want *members; /* ends with name == NULL; NULL = none */
};

struct json_fault {
    size_t at;          /* byte offset */
    const char *why;    /* literal, e.g. "control character in string" */
    const char *member; /* the wanted name concerned (duplicates), or NULL */
};

/* Validates `text` and fills slots[0..n_slots) with the raw spans of wanted members (a string's span includes
 * its quotes); members that are not there are absent. Returns 0, ERR_SYNTAX, ERR_LIMIT (too deep) or
 * ERR_CONFLICT (duplicate wanted member), and on failure leaves all slots absent and *fault (unless NULL)
 * filled; the first fault from the left is the one reported. Reads no byte outside `text`, allocates nothing.
 * `want` may be NULL: only validate. The spans point into `text` and live as long as it. */
MUST_CHECK int json_scan(struct str text, const struct json_want *want, struct str *slots,
                         size_t n_slots, struct json_fault *fault);

/* --- on accepted text ----------------------------------------------------------------------------- */

enum json_type json_type(struct str value); /* JSON_NONE for an absent one */

struct json_cursor {
    const char *at, *end; /* private */
};

/* Walk an object or array. The key is raw, without its quotes (escapes kept). What is not an object has no
 * members, what is not an array no elements, what is absent neither. */
void json_enter(struct json_cursor *c, struct str container);
bool json_next_member(struct json_cursor *c, struct str *key, struct str *value);
bool json_next_element(struct json_cursor *c, struct str *value);

#define JSON_EACH_MEMBER(c, container, key, value)                                             \
    for (json_enter((c), (container)); json_next_member((c), (key), (value));)
#define JSON_EACH_ELEMENT(c, container, value)                                                 \
    for (json_enter((c), (container)); json_next_element((c), (value));)

/* The last member of that (plain ASCII) name, escapes in keys understood; absent if none. */
struct str json_get(struct str object, const char *name);

/* Whether a raw string span (with quotes) is exactly `s` when decoded. Not a string: false. */
bool json_string_is(struct str raw, struct str s);
/* Whether a raw key (without quotes) is exactly `s` when decoded. */
bool json_key_is(struct str key, struct str s);

/* Appends the decoded string. ERR_INVALID if `raw` is not a string; lone surrogates cannot occur. */
MUST_CHECK int json_string_decode(struct str raw, struct buf *out);

/* Number of decoded bytes of a raw string span; 0 if `raw` is not a string. */
size_t json_string_length(struct str raw);

/* An integer written without fraction or exponent, or (ProtoJSON) a string of digits. ERR_LIMIT if it does
 * not fit, ERR_INVALID if it is anything else. */
MUST_CHECK int json_to_i64(struct str raw, int64_t *out);

/* --- writing -------------------------------------------------------------------------------------- */

/* Appends `s` as a JSON string with quotes. Each byte that is not UTF-8 becomes U+FFFD. */
void json_write_string(struct buf *out, struct str s);

/* An object written member by member: `{` or `,` as *first (true at birth) says, then the raw key, as a cursor gives it,
 * and `:`; the value is the caller's to write. json_write_end() closes the object, also one without members. */
void json_write_key(struct buf *out, bool *first, struct str raw_key);
void json_write_end(struct buf *out, bool first);

/* Appends `value` without insignificant whitespace; everything else byte for byte. */
void json_minify(struct buf *out, struct str value);

/* Whether the text has insignificant whitespace at all (most peers send none). */
bool json_is_minified(struct str value);

#endif
