/* SPDX-License-Identifier: MIT
 *
 * SHA-256 (FIPS 180-4): whether bytes are the same without comparing them.
 */
#ifndef LIB_DIGEST_H
#define LIB_DIGEST_H

#include "lib/str.h"

#define DIGEST_HEX 64

/* The digest of `bytes` as lower-case hexadecimal text. */
void digest_sha256(struct str bytes, char hex[DIGEST_HEX + 1]);

#endif
