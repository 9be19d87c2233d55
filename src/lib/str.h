/* SPDX-License-Identifier: MIT
 *
 * A view of bytes somebody else owns: pointer and length, no terminator, possibly NULs inside.
 *
 * A `struct str` never owns. Whoever keeps one past the call it was given in must know (and say) how
 * long the bytes live. `p == NULL` means *absent*, which is not the same as empty.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/err.h"

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})

/* For printf: "%.*s", STR_ARG(s). Views longer than INT_MAX are not printable and print empty. */
#define STR_ARG(s) ((s).n > 0x7fffffffu ? 0 : (int)(s).n), ((s).p ? (s).p : "")

static inline struct str str_of(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline struct str str_make(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_is(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_has_prefix(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* ASCII case is ignored; bytes above 127 compare exactly. */
bool str_is_nocase(struct str a, struct str b);

/* Three-way comparison of bytes, shorter first among equals: the order of COLLATE "C". */
int str_compare(struct str a, struct str b);

/* Without SP, HTAB, CR and LF at both ends. */
struct str str_trim(struct str s);

/* Splits at the first `sep`: returns what stands before it and moves *rest behind it. Without a `sep`
 * all of *rest is returned and *rest becomes absent. */
struct str str_cut(struct str *rest, char sep);

/* Decimal digits with an optional minus, whole text, in range; else ERR_SYNTAX or ERR_LIMIT. */
MUST_CHECK int str_to_i64(struct str s, int64_t *out);
MUST_CHECK int str_to_u64(struct str s, uint64_t *out);

/* Whether `s` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates). */
bool str_is_utf8(struct str s);

/* How many bytes must be inserted, deleted or changed to make one of the other (Levenshtein): for "did you mean".
 * Texts above STR_DISTANCE_MAX bytes are as far as can be (UINT_MAX). */
#define STR_DISTANCE_MAX 64u
unsigned str_distance(struct str a, struct str b);

/* Whether any byte is below 0x20 or is 0x7f. */
bool str_has_control(struct str s);

#endif
