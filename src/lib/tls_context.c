/* SPDX-License-Identifier: MIT
 *
 * What one side of TLS trusts and shows, read from files.
 *
 * Files are named by people and change under our feet, so nothing is left to OpenSSL's own loaders: each is
 * opened without waiting, must be a regular file of a sane size, is read whole, and leaves a stamp (device,
 * inode, size, time) of the very descriptor that was read. A stamp that no longer fits is how a renewed
 * certificate is noticed.
 *
 * A CA that was named is all that is trusted, and it may be any certificate: a root, an issuer in between,
 * or the peer's own. Without one the system's are: SSL_CERT_FILE or OpenSSL's default file, read here; and
 * SSL_CERT_DIR, or OpenSSL's default folder when there is no file. In a folder certificates are sought by
 * OpenSSL during a handshake, which reads small files on the loop: the reason why the file is preferred.
 *
 * LATER: one X509_STORE for all contexts that trust the same; worth it when hundreds of agents each want a
 * client certificate of their own, for the system's CAs take about a megabyte.
 */
#include "lib/tls_int.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"

/* The CAs of a system are 220 KB. */
#define FILE_MAX MB(4)

enum { STAMP_CA, STAMP_CERT, STAMP_KEY };

/* A file being read, and where its faults are told. */
struct source {
    const char *role; /* "caFile" */
    const char *path;
    struct buf text;
    char *why; /* TLS_WHY bytes */
};

PRINTF_LIKE(2, 3) static int refuse(const struct source *s, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(s->why, TLS_WHY, "%s %s: ", s->role, s->path);

    va_start(args, fmt);
    if (n > 0 && n < TLS_WHY)
        (void)vsnprintf(s->why + n, TLS_WHY - (size_t)n, fmt, args);
    va_end(args);
    ERR_clear_error();
    return ERR_INVALID;
}

/* With the reason that OpenSSL gives. */
static int refuse_by_reason(const struct source *s, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    return refuse(s, "%s (%s)", what, reason ? reason : "no reason given");
}

/* --- files -------------------------------------------------------------------------------------------- */

static int read_open_file(struct source *s, int fd, struct tls_stamp *stamp)
{
    struct stat st;
    size_t n;
    ssize_t k;
    char *p;

    if (fstat(fd, &st))
        return refuse(s, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse(s, "is not a file");
    if (st.st_size > (off_t)FILE_MAX)
        return refuse(s, "is larger than %zu bytes", FILE_MAX);
    n = (size_t)st.st_size;
    p = buf_reserve(&s->text, n + 1);
    if (!p)
        return ERR_NOMEM;
    for (size_t at = 0; at < n; at += (size_t)k) {
        k = read(fd, p + at, n - at);
        if (k <= 0)
            return refuse(s, "%s", k ? strerror(errno) : "became shorter while it was read");
        buf_commit(&s->text, (size_t)k);
    }
    stamp->path = mem_str(s->path, strlen(s->path));
    stamp->device = st.st_dev;
    stamp->inode = st.st_ino;
    stamp->size = st.st_size;
    stamp->changed = st.st_mtim;
    return 0;
}

static int read_file(struct source *s, struct tls_stamp *stamp)
{
    int fd = open(s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    int err;

    if (fd < 0)
        return refuse(s, "%s", strerror(errno));
    err = read_open_file(s, fd, stamp);
    close(fd);
    return err;
}

static void source_init(struct source *s, const char *role, const char *path, char *why)
{
    *s = (struct source){.role = role, .path = path, .why = why};
    buf_init(&s->text, FILE_MAX + 1);
}

/* Keys pass through here. */
static void source_release(struct source *s)
{
    if (s->text.p)
        OPENSSL_cleanse(s->text.p, s->text.room);
    buf_release(&s->text);
}

static BIO *open_source(const struct source *s)
{
    return BIO_new_mem_buf(s->text.n ? s->text.p : "", (int)s->text.n);
}

/* Instead of OpenSSL's, which would ask on the terminal. */
static int no_password(char *p, int room, int is_writing, void *was_asked)
{
    (void)p;
    (void)room;
    (void)is_writing;
    if (was_asked)
        *(bool *)was_asked = true;
    return -1;
}

static bool is_end_of_pem(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static bool is_out_of_memory(void)
{
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ||
           ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

/* --- certificates ------------------------------------------------------------------------------------- */

typedef int (*take_fn)(struct tls_context *x, X509 *cert, unsigned i, const struct source *s);

/* Hands over each certificate of the file; `take` does not keep the reference it is given. */
static int each_certificate(struct tls_context *x, const struct source *s, take_fn take)
{
    BIO *bio = open_source(s);
    unsigned n = 0;
    X509 *cert;
    int err = 0;

    while (bio && !err && (cert = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL))) {
        err = take(x, cert, n++, s);
        X509_free(cert);
    }
    if (!err && (!bio || is_out_of_memory()))
        err = ERR_NOMEM;
    else if (!err && !is_end_of_pem())
        err = refuse_by_reason(s, "holds a certificate that cannot be read");
    else if (!err && n == 0)
        err = refuse(s, "holds no certificate in PEM");
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static int trust(struct tls_context *x, X509 *cert, unsigned i, const struct source *s)
{
    (void)i;
    (void)s;
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(x->ssl), cert) ? 0 : ERR_NOMEM;
}

static int load_ca_file(struct tls_context *x, const char *role, const char *path, char *why)
{
    struct source s;
    int err;

    source_init(&s, role, path, why);
    err = read_file(&s, &x->stamps[STAMP_CA]);
    if (!err)
        err = each_certificate(x, &s, trust);
    source_release(&s);
    return err;
}

static int load_system_cas(struct tls_context *x, char why[TLS_WHY])
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *dir = getenv(X509_get_default_cert_dir_env());
    int err;

    if (file && *file) {
        err = load_ca_file(x, X509_get_default_cert_file_env(), file, why);
        if (err)
            return err;
    } else {
        /* A system may have none. Who has no CA will be told so by the first handshake. */
        err = load_ca_file(x, "file", X509_get_default_cert_file(), why);
        if (err == ERR_NOMEM)
            return err;
        if (err && !dir)
            dir = X509_get_default_cert_dir();
    }
    if (dir && *dir && !SSL_CTX_load_verify_dir(x->ssl, dir))
        return ERR_NOMEM; /* it is not looked into yet */
    return 0;
}

static int show(struct tls_context *x, X509 *cert, unsigned i, const struct source *s)
{
    bool is_taken = i == 0 ? SSL_CTX_use_certificate(x->ssl, cert) == 1
                           : SSL_CTX_add1_chain_cert(x->ssl, cert) == 1;

    if (is_taken)
        return 0;
    return is_out_of_memory() ? ERR_NOMEM
                              : refuse_by_reason(s, "holds a certificate that cannot be used");
}

static int use_key(struct tls_context *x, const struct source *s)
{
    bool is_encrypted = false;
    BIO *bio = open_source(s);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, &is_encrypted) : NULL;
    int err = 0;

    if (is_encrypted)
        err = refuse(s, "holds a key that is encrypted; give it without a password");
    else if (!bio || is_out_of_memory())
        err = ERR_NOMEM;
    else if (!key)
        err = refuse_by_reason(s, "holds no private key that can be read");
    else if (!SSL_CTX_use_PrivateKey(x->ssl, key) || !SSL_CTX_check_private_key(x->ssl))
        err = is_out_of_memory() ? ERR_NOMEM
                                 : refuse_by_reason(s, "holds a key that does not belong "
                                                       "to the certificate");
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

static int load_certificate(struct tls_context *x, const struct tls_files *files, char *why)
{
    struct source cert, key;
    int err;

    source_init(&cert, "certFile", files->cert, why);
    source_init(&key, "keyFile", files->key, why);
    err = read_file(&cert, &x->stamps[STAMP_CERT]);
    if (!err)
        err = each_certificate(x, &cert, show);
    if (!err && files->key)
        err = read_file(&key, &x->stamps[STAMP_KEY]);
    if (!err)
        err = use_key(x, files->key ? &key : &cert);
    x->has_certificate = !err;
    source_release(&key);
    source_release(&cert);
    return err;
}

/* --- contexts ----------------------------------------------------------------------------------------- */

static int set_rules(struct tls_context *x)
{
    static const unsigned char http[] = "\x08http/1.1";
    SSL_CTX *ssl = x->ssl;

    if (!SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) ||
        SSL_CTX_set_alpn_protos(ssl, http, sizeof http - 1)) /* here, 0 is good */
        return ERR_NOMEM;
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS); /* an idle connection owns no buffers */
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, tls_on_verify);
    SSL_CTX_set_cert_cb(ssl, tls_on_asked, NULL);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ssl, tls_on_session);
    return 0;
}

static int load(struct tls_context *x, const struct tls_files *files, char why[TLS_WHY])
{
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(x->ssl);
    int err;

    if (files->ca) {
        x->ca = mem_str(files->ca, strlen(files->ca));
        (void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
        err = load_ca_file(x, "caFile", files->ca, why);
    } else {
        err = load_system_cas(x, why);
    }
    if (!err && files->cert)
        err = load_certificate(x, files, why);
    return err;
}

int tls_context_new(const struct tls_files *files, struct tls_context **out, char why[TLS_WHY])
{
    struct tls_context *x = MEM_NEW(struct tls_context);
    int err = ERR_NOMEM;

    x->n_refs = 1;
    ERR_clear_error();
    x->ssl = SSL_CTX_new(TLS_client_method());
    x->bio_method = tls_bio_method();
    if (x->ssl && x->bio_method)
        err = set_rules(x);
    if (!err)
        err = load(x, files, why);
    ERR_clear_error();
    if (err == ERR_NOMEM)
        snprintf(why, TLS_WHY, "there is no memory for TLS");
    if (err)
        tls_context_unref(x);
    else
        *out = x;
    return err;
}

struct tls_context *tls_context_ref(struct tls_context *x)
{
    x->n_refs++;
    return x;
}

void tls_context_unref(struct tls_context *x)
{
    if (!x)
        return;
    BUG_ON(x->n_refs == 0);
    if (--x->n_refs > 0)
        return;
    SSL_CTX_free(x->ssl);
    BIO_meth_free(x->bio_method);
    for (size_t i = 0; i < sizeof x->stamps / sizeof *x->stamps; i++)
        mem_free(x->stamps[i].path);
    mem_free(x->ca);
    mem_free(x);
}

bool tls_context_is_stale(const struct tls_context *x)
{
    for (size_t i = 0; i < sizeof x->stamps / sizeof *x->stamps; i++) {
        const struct tls_stamp *s = &x->stamps[i];
        struct stat st;

        if (s->path && (stat(s->path, &st) || st.st_dev != s->device || st.st_ino != s->inode ||
                        st.st_size != s->size || st.st_mtim.tv_sec != s->changed.tv_sec ||
                        st.st_mtim.tv_nsec != s->changed.tv_nsec))
            return true;
    }
    return false;
}
