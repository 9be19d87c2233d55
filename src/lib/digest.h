/* SPDX-License-Identifier: MIT
 *
 * SHA-256 (FIPS 180-4): whether bytes are the same without comparing them; and HMAC with it (RFC 2104): whether who sent
 * them has the key.
 */
#ifndef LIB_DIGEST_H
#define LIB_DIGEST_H

#include "lib/str.h"

#define DIGEST_HEX 64

/* The digest of `bytes` as lower-case hexadecimal text. */
void digest_sha256(struct str bytes, char hex[DIGEST_HEX + 1]);

#define DIGEST_BYTES 32

/* The HMAC of all parts, one behind the other. On one thread. */
void digest_hmac_sha256(struct str key, const struct str *parts, size_t n,
                        unsigned char out[DIGEST_BYTES]);

void digest_write_hex(const unsigned char bytes[DIGEST_BYTES], char hex[DIGEST_HEX + 1]);

#endif
