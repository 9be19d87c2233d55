/* SPDX-License-Identifier: MIT
 *
 * OpenSSL does the arithmetic. It can refuse SHA-256 only where the installation is broken or 200 bytes cannot be had:
 * both are no reasons of a request, so it is impossible here.
 */
#include "lib/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

void digest_write_hex(const unsigned char bytes[DIGEST_BYTES], char hex[DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[DIGEST_HEX] = '\0';
}

void digest_sha256(struct str bytes, char hex[DIGEST_HEX + 1])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    BUG_ON(!EVP_Digest(bytes.p ? bytes.p : "", bytes.n, raw, &n, EVP_sha256(), NULL));
    BUG_ON(n != DIGEST_HEX / 2);
    digest_write_hex(raw, hex);
}

void digest_hmac_sha256(struct str key, const struct str *parts, size_t n,
                        unsigned char out[DIGEST_BYTES])
{
    /* looking it up costs more than the digest of a kilobyte; kept for good */
    static EVP_MAC *mac;
    EVP_MAC_CTX *context;
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", name, 0),
                           OSSL_PARAM_construct_end()};
    size_t length = 0;

    if (!mac)
        mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    BUG_ON(!context);
    BUG_ON(!EVP_MAC_init(context, (const unsigned char *)(key.p ? key.p : ""), key.n, params));
    for (size_t i = 0; i < n; i++)
        BUG_ON(!EVP_MAC_update(context, (const unsigned char *)parts[i].p, parts[i].n));
    BUG_ON(!EVP_MAC_final(context, out, &length, DIGEST_BYTES) || length != DIGEST_BYTES);
    EVP_MAC_CTX_free(context);
}
