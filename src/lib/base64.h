/* SPDX-License-Identifier: MIT
 *
 * base64url without padding (RFC 4648, section 5), in its one canonical form: bits left over in the last character
 * must be zero, so that two texts are the same bytes exactly if they are the same text.
 */
#ifndef LIB_BASE64_H
#define LIB_BASE64_H

#include <stddef.h>

#include "lib/err.h"
#include "lib/str.h"

#define BASE64URL_LENGTH(n) (((n)*8 + 5) / 6)

/* Writes BASE64URL_LENGTH(n) characters; returns how many. */
size_t base64url_encode(char *out, const void *bytes, size_t n);

/* Reads at most `max` bytes into `out`; *n: how many. ERR_SYNTAX: it is none; ERR_LIMIT: more than `max`. */
MUST_CHECK int base64url_decode(void *out, size_t max, struct str text, size_t *n);

/* base64 as RFC 4648, section 4, has it: with '+' and '/', padded. */
#define BASE64_LENGTH(n) (((n) + 2) / 3 * 4)

size_t base64_encode(char *out, const void *bytes, size_t n);

/* Padding may be left out. Errors as above. */
MUST_CHECK int base64_decode(void *out, size_t max, struct str text, size_t *n);

#endif
