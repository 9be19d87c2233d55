/* SPDX-License-Identifier: MIT */
#include "lib/seal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "lib/base64.h"

#define NONCE 12
#define TAG 16
#define PREFIX "1."
#define HEAD (sizeof PREFIX - 1 + SEAL_NAME + 1)

/* Two independent outputs of one key: one encrypts, the other is shown as its name. */
static void derive(struct str passphrase, const char *what, unsigned char *out, size_t n)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string("digest", digest, 0),
        OSSL_PARAM_construct_octet_string("key", (void *)passphrase.p, passphrase.n),
        OSSL_PARAM_construct_octet_string("info", (void *)what, strlen(what)),
        OSSL_PARAM_construct_end()};

    BUG_ON(!context || EVP_KDF_derive(context, out, n, params) <= 0);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

void seal_init(struct seal *s, struct str passphrase)
{
    unsigned char name[SEAL_NAME / 2 + 2];

    BUG_ON(passphrase.n == 0);
    derive(passphrase, "superx seal key", s->key, sizeof s->key);
    derive(passphrase, "superx seal name", name, sizeof name);
    base64url_encode(s->name, name, sizeof name);
    s->name[SEAL_NAME] = '\0';
}

bool seal_is(struct str text)
{
    return text.n > HEAD && memcmp(text.p, PREFIX, sizeof PREFIX - 1) == 0 &&
           text.p[HEAD - 1] == '.';
}

void seal_write(const struct seal *s, struct buf *out, struct str plain, struct str context)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    size_t n = NONCE + plain.n + TAG;
    struct buf raw;
    unsigned char *p;
    char *to;
    int done = 0;

    buf_init(&raw, n);
    p = (unsigned char *)buf_reserve(&raw, n);
    buf_printf(out, PREFIX "%s.", s->name);
    to = buf_reserve(out, BASE64URL_LENGTH(n));
    if (c && p && to) {
        BUG_ON(RAND_bytes(p, NONCE) != 1);
        BUG_ON(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->key, p) != 1);
        BUG_ON(EVP_EncryptUpdate(c, NULL, &done, (const unsigned char *)context.p,
                                 (int)context.n) != 1);
        BUG_ON(EVP_EncryptUpdate(c, p + NONCE, &done, (const unsigned char *)plain.p,
                                 (int)plain.n) != 1);
        BUG_ON(EVP_EncryptFinal_ex(c, p + NONCE + done, &done) != 1);
        BUG_ON(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, p + NONCE + plain.n) != 1);
        buf_commit(out, base64url_encode(to, p, n));
    }
    EVP_CIPHER_CTX_free(c);
    buf_release(&raw);
}

static int decrypt(const struct seal *s, unsigned char *p, size_t n, struct str context,
                   struct buf *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    size_t n_plain = n - NONCE - TAG;
    char *to = buf_reserve(out, n_plain + 1);
    int done = 0, rest = 0, ok;

    ok = c && to && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, s->key, p) == 1 &&
         EVP_DecryptUpdate(c, NULL, &done, (const unsigned char *)context.p, (int)context.n) ==
             1 &&
         EVP_DecryptUpdate(c, (unsigned char *)to, &done, p + NONCE, (int)n_plain) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, p + n - TAG) == 1 &&
         EVP_DecryptFinal_ex(c, (unsigned char *)to + done, &rest) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok)
        return to ? ERR_INVALID : ERR_NOMEM;
    buf_commit(out, n_plain);
    return 0;
}

int seal_open(const struct seal *s, struct buf *out, struct str text, struct str context)
{
    struct str name = {text.p + sizeof PREFIX - 1, SEAL_NAME};
    struct str sealed = {text.p + HEAD, text.n - HEAD};
    struct buf raw;
    size_t n = 0;
    char *p;
    int err;

    if (!seal_is(text))
        return ERR_INVALID;
    if (!str_is(name, str_of(s->name)))
        return ERR_ABSENT;
    buf_init(&raw, sealed.n);
    p = buf_reserve(&raw, sealed.n);
    err = p ? base64url_decode(p, sealed.n, sealed, &n) : ERR_NOMEM;
    if (!err)
        err = n < NONCE + TAG ? ERR_INVALID : decrypt(s, (unsigned char *)p, n, context, out);
    buf_release(&raw);
    return err == ERR_NOMEM ? err : err ? ERR_INVALID : 0;
}
