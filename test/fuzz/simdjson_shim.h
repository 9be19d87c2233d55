/* SPDX-License-Identifier: MIT
 *
 * simdjson's DOM parser, and jansson's, as C functions for json_diff.c: simdjson is C++, and jansson's header
 * claims names that are lib/json.h's here.
 *
 * A document is described as a flat sequence of events, the same for whoever writes it: one tag byte, and
 * behind it
 *
 *     SHIM_KEY, SHIM_STRING            length (8 bytes, host order) and decoded bytes
 *     SHIM_I64, SHIM_U64, SHIM_DOUBLE  8 bytes, host order; U64 only above INT64_MAX
 *
 * Two parsers that saw the same document wrote the same bytes.
 */
#ifndef FUZZ_SIMDJSON_SHIM_H
#define FUZZ_SIMDJSON_SHIM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shim_tag {
    SHIM_OBJECT = '{',
    SHIM_OBJECT_END = '}',
    SHIM_ARRAY = '[',
    SHIM_ARRAY_END = ']',
    SHIM_KEY = 'k',
    SHIM_STRING = 's',
    SHIM_I64 = 'i',
    SHIM_U64 = 'u',
    SHIM_DOUBLE = 'd',
    SHIM_TRUE = 't',
    SHIM_FALSE = 'f',
    SHIM_NULL = 'n',
};

/* Parses a text of at most `max_levels` nested containers. Accepted: returns NULL, and *events describes the
 * document until the next call. Refused: returns simdjson's message. */
const char *shim_describe(const char *text, size_t n, size_t max_levels, const char **events,
                          size_t *n_events);

/* How often the last accepted document, if an object, has this (decoded) name. */
size_t shim_count(const char *name, size_t n);

/* Whether jansson accepts the text: NULL, or its message until the next call. NUL in strings and any root are
 * allowed, integers are read as reals (as such they have the range of a double). */
const char *shim_jansson(const char *text, size_t n);

#ifdef __cplusplus
}
#endif

#endif
