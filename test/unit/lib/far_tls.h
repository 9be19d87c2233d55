/* SPDX-License-Identifier: MIT
 *
 * The far end of TLS, for tests: certificates made on the spot, and a server that is OpenSSL's own, between
 * two memory BIOs. Nothing of lib/tls is used here. Time is that of the test: TEST_NOW is "now" for both
 * ends.
 */
#ifndef TEST_FAR_TLS_H
#define TEST_FAR_TLS_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/str.h"

#define TEST_NOW 1700000000
#define TEST_DAY (24 * 3600)

/* --- certificates --------------------------------------------------------------------------------- */

struct paper {
    X509 *cert;
    EVP_PKEY *key;
};

struct paper_wish {
    const char *name;           /* of its subject */
    const char *san;            /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const struct paper *issuer; /* NULL: itself */
    bool is_ca;
    int from_day, to_day; /* from TEST_NOW on; both 0: from -1 to 30 */
};

static inline void paper_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX v3;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&v3, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
    BUG_ON(!extension || !X509_add_ext(cert, extension, -1));
    X509_EXTENSION_free(extension);
}

static inline struct paper paper_make(struct paper_wish wish)
{
    static long serial = 1;
    struct paper p = {X509_new(), EVP_EC_gen("P-256")};
    const struct paper *by = wish.issuer ? wish.issuer : &p;
    bool is_usual = !wish.from_day && !wish.to_day;
    X509_NAME *name = X509_get_subject_name(p.cert);

    BUG_ON(!p.cert || !p.key);
    X509_set_version(p.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)wish.name, -1,
                               -1, 0);
    X509_set_issuer_name(p.cert, X509_get_subject_name(by->cert));
    ASN1_TIME_set(X509_getm_notBefore(p.cert),
                  TEST_NOW + (is_usual ? -1 : wish.from_day) * TEST_DAY);
    ASN1_TIME_set(X509_getm_notAfter(p.cert),
                  TEST_NOW + (is_usual ? 30 : wish.to_day) * TEST_DAY);
    X509_set_pubkey(p.cert, p.key);
    paper_extend(p.cert, by->cert, NID_basic_constraints,
                 wish.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (wish.san)
        paper_extend(p.cert, by->cert, NID_subject_alt_name, wish.san);
    BUG_ON(!X509_sign(p.cert, by->key, EVP_sha256()));
    return p;
}

static inline void paper_free(struct paper *p)
{
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

/* --- files ---------------------------------------------------------------------------------------- */

static char folder[64];

static inline void folder_open(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/tls.XXXXXX", base ? base : "/tmp");
    BUG_ON(!mkdtemp(folder));
}

/* The path of a file in the folder; good until sixteen more have been asked for. */
static inline const char *file_in_folder(const char *name)
{
    static char paths[16][128];
    static unsigned i;
    char *path = paths[i++ % 16];

    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline const char *file_write(const char *name, const char *text)
{
    const char *path = file_in_folder(name);
    FILE *f = fopen(path, "w");

    BUG_ON(!f || fputs(text, f) < 0 || fclose(f));
    return path;
}

enum { PAPER_CERT = 1, PAPER_KEY = 2 };

static inline const char *paper_write(const char *name, const struct paper *p, int what)
{
    const char *path = file_in_folder(name);
    FILE *f = fopen(path, "w");

    BUG_ON(!f);
    if (what & PAPER_CERT)
        BUG_ON(!PEM_write_X509(f, p->cert));
    if (what & PAPER_KEY)
        BUG_ON(!PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL));
    BUG_ON(fclose(f));
    return path;
}

static inline void folder_close(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    BUG_ON(system(command));
}

/* --- the server ----------------------------------------------------------------------------------- */

struct far_rules {
    const struct paper *paper;
    const struct paper *client_ca; /* NULL: no certificate is asked for */
    int min, max;                  /* versions; 0: any */
};

struct far {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out; /* owned by `ssl` */
    bool is_open, is_over;
    struct buf said; /* what was opened */
};

static inline SSL_CTX *far_context(const struct far_rules *rules)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    BUG_ON(!ctx);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_min_proto_version(ctx, rules->min);
    SSL_CTX_set_max_proto_version(ctx, rules->max);
    BUG_ON(!SSL_CTX_use_certificate(ctx, rules->paper->cert));
    BUG_ON(!SSL_CTX_use_PrivateKey(ctx, rules->paper->key));
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"far", 3);
    if (rules->client_ca) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx), TEST_NOW);
        BUG_ON(!X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), rules->client_ca->cert));
    }
    return ctx;
}

/* `ctx` from far_context(); the caller's. */
static inline void far_init(struct far *f, SSL_CTX *ctx)
{
    *f = (struct far){.ctx = ctx, .ssl = SSL_new(ctx), .in = BIO_new(BIO_s_mem())};
    f->out = BIO_new(BIO_s_mem());
    BUG_ON(!f->ssl || !f->in || !f->out);
    SSL_set_bio(f->ssl, f->in, f->out);
    SSL_set_accept_state(f->ssl);
    buf_init(&f->said, MB(64));
}

static inline void far_release(struct far *f)
{
    if (f->ssl)
        SSL_set_shutdown(f->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(f->ssl);
    buf_release(&f->said);
    f->ssl = NULL;
}

/* Takes sealed bytes in; what they were is in `said` afterwards. */
static inline void far_feed(struct far *f, const char *p, size_t n)
{
    char text[4096];
    int k;

    BUG_ON(n && BIO_write(f->in, p, (int)n) != (int)n);
    ERR_clear_error();
    if (!f->is_open && !f->is_over) {
        int done = SSL_do_handshake(f->ssl);

        f->is_open = done == 1;
        f->is_over = done != 1 && SSL_get_error(f->ssl, done) != SSL_ERROR_WANT_READ;
    }
    while (f->is_open && (k = SSL_read(f->ssl, text, sizeof text)) > 0)
        buf_add(&f->said, text, (size_t)k);
    ERR_clear_error();
}

static inline void far_say(struct far *f, const char *p, size_t n)
{
    BUG_ON(n && SSL_write(f->ssl, p, (int)n) != (int)n);
}

static inline void far_goodbye(struct far *f)
{
    SSL_shutdown(f->ssl);
}

static inline bool far_heard_goodbye(const struct far *f)
{
    return SSL_get_shutdown(f->ssl) & SSL_RECEIVED_SHUTDOWN;
}

/* Sealed bytes to be carried over, up to `room`. */
static inline size_t far_take(struct far *f, char *p, size_t room)
{
    int n = room ? BIO_read(f->out, p, room > KB(64) ? (int)KB(64) : (int)room) : 0;

    return n > 0 ? (size_t)n : 0;
}

#endif
