/* SPDX-License-Identifier: MIT
 *
 * Identifiers: time-ordered UUIDs (version 7, RFC 9562) and randomness.
 */
#ifndef LIB_ID_H
#define LIB_ID_H

#include <stddef.h>
#include <stdint.h>

struct uuid {
    unsigned char b[16]; /* network order, as PostgreSQL sends it */
};

#define UUID_TEXT 36 /* characters, without a terminator */

/* Cryptographically strong random bytes. Never fails: without them the process stops. */
void id_random(void *p, size_t n);

/* A new UUIDv7 for wall clock `now_ms`. Within one process the results strictly increase, also inside one
 * millisecond and when the clock steps back. Not thread-safe: for the loop thread. */
struct uuid id_uuid7(int64_t now_ms);

/* A random UUID (version 4). */
struct uuid id_uuid4(void);

/* Writes 36 characters and a NUL. */
void id_uuid_text(const struct uuid *u, char out[UUID_TEXT + 1]);

int id_uuid_compare(const struct uuid *a, const struct uuid *b);

#endif
