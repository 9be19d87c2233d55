/* SPDX-License-Identifier: MIT
 *
 * Secrets at rest: AES-256-GCM under a key made of a passphrase by HKDF-SHA256 (RFC 5869). What was sealed says under
 * which key, so that a lost or changed one is told apart from damage.
 *
 *     text = "1." key name "." base64url(nonce | ciphertext | tag)
 */
#ifndef LIB_SEAL_H
#define LIB_SEAL_H

#include "lib/buf.h"
#include "lib/str.h"

#define SEAL_NAME 8

struct seal {
    unsigned char key[32];
    char name[SEAL_NAME + 1]; /* says nothing about the key */
};

/* `passphrase`: SECRET_KEY_BASE or the like, best 64 random characters. */
void seal_init(struct seal *s, struct str passphrase);

/* Appends the sealed text. `context` must be the same when it is opened. buf_error() says if there was no room. */
void seal_write(const struct seal *s, struct buf *out, struct str plain, struct str context);

/* Whether it is a sealed text at all. */
bool seal_is(struct str text);

/* Appends what was sealed. ERR_ABSENT: under another key; ERR_INVALID: damaged, or of another context. */
MUST_CHECK int seal_open(const struct seal *s, struct buf *out, struct str text,
                         struct str context);

#endif
