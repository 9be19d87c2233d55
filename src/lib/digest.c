/* SPDX-License-Identifier: MIT
 *
 * OpenSSL does the arithmetic. It can refuse SHA-256 only where the installation is broken or 200 bytes cannot be had:
 * both are no reasons of a request, so it is impossible here.
 */
#include "lib/digest.h"

#include <openssl/evp.h>

void digest_sha256(struct str bytes, char hex[DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    BUG_ON(!EVP_Digest(bytes.p ? bytes.p : "", bytes.n, raw, &n, EVP_sha256(), NULL));
    BUG_ON(n != DIGEST_HEX / 2);
    for (unsigned i = 0; i < n; i++) {
        hex[2 * i] = digits[raw[i] >> 4];
        hex[2 * i + 1] = digits[raw[i] & 15];
    }
    hex[DIGEST_HEX] = '\0';
}
