/* SPDX-License-Identifier: MIT
 *
 * TLS on OpenSSL 3: one connection.
 *
 * OpenSSL does not touch a socket here. It reads and writes through a BIO of ours with two ends:
 *
 *     peer's bytes  -->  in (a view, or what was kept)  --> SSL --> tls_read()
 *     peer's bytes  <--  out (the connection's buffer)  <-- SSL <-- tls_write()
 *
 * so sealed bytes are copied once on their way out and not at all on their way in. The BIO never refuses a
 * write (unless memory does) and answers "try again" when the view is used up; SSL_ERROR_WANT_READ is
 * therefore the only way to wait. An incomplete record is kept by OpenSSL, at most 16 KB.
 *
 * Sentences. What is wrong with a certificate is written down inside the verify callback, where the
 * certificate is at hand; anything else is made out from the error queue or from the peer's alert. The
 * peer's names come from outside, so they are cut short and unprintable bytes are shown as '?'.
 *
 * Memories. A session stands for a handshake that was verified; the certificate is not looked at again. So
 * it is kept for one name and one context, is not offered after the certificate has expired, and is
 * forgotten when a handshake that used it failed. It is also good for several connections, which TLS 1.3
 * advises against because an onlooker could link them: he could by our address, too.
 *
 * Deliberately absent: the accepting side, early data (it can be replayed), revocation lists and OCSP
 * (nobody who runs agents publishes them), renegotiation, compression.
 */
#include "lib/tls_int.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/mem.h"

/* The largest record. */
#define RECORD 16384u

#define NAME_MAX_BYTES 253u
#define NAMES_SHOWN 4

/* Alerts are errors of this number plus their own. */
#define ALERT_BASE 1000

struct tls {
    SSL *ssl;                    /* owned */
    struct tls_context *context; /* counted */
    struct tls_memory *memory;   /* borrowed; NULL: none */
    struct buf *out;             /* borrowed from the connection */
    struct str in;               /* fed and not used; into the caller's bytes, or `kept` */
    struct buf kept;
    char *name; /* owned */
    bool is_open;
    bool has_fed;   /* a byte of the peer was seen */
    bool has_read;  /* ... and opened */
    bool was_asked; /* for a certificate of ours */
    char why[TLS_WHY];
};

/* --- the BIO ---------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *p, int room)
{
    struct tls *t = BIO_get_data(bio);
    size_t n = room > 0 ? (size_t)room : 0;

    BIO_clear_retry_flags(bio);
    if (t->in.n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (n > t->in.n)
        n = t->in.n;
    memcpy(p, t->in.p, n);
    t->in = str_make(t->in.p + n, t->in.n - n);
    return (int)n;
}

static int bio_write(BIO *bio, const char *p, int n)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    return n >= 0 && buf_add(t->out, p, (size_t)n) == 0 ? n : -1;
}

static long bio_control(BIO *bio, int what, long n, void *p)
{
    (void)bio;
    (void)n;
    (void)p;
    return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "superx");

    if (m && BIO_meth_set_read(m, bio_read) && BIO_meth_set_write(m, bio_write) &&
        BIO_meth_set_ctrl(m, bio_control))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* --- what is wrong with a certificate ---------------------------------------------------------------- */

static struct tls *tls_of(const SSL *ssl)
{
    struct tls *t = SSL_get_app_data(ssl);

    BUG_ON(!t);
    return t;
}

PRINTF_LIKE(2, 3) static void say(struct tls *t, const char *fmt, ...)
{
    va_list args;
    int n = snprintf(t->why, sizeof t->why, "TLS: ");

    va_start(args, fmt);
    (void)vsnprintf(t->why + n, sizeof t->why - (size_t)n, fmt, args);
    va_end(args);
}

/* Text of the peer, as it may be shown. */
static void add_shown(struct buf *out, const char *p, size_t n)
{
    for (size_t i = 0; i < n && i < 64; i++)
        buf_add_char(out, p[i] > ' ' && p[i] <= '~' ? p[i] : '?');
    if (n > 64)
        BUF_LIT(out, "...");
}

static void add_name(struct buf *out, const GENERAL_NAME *name)
{
    char text[INET6_ADDRSTRLEN];
    int type;
    const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
    size_t n = (size_t)ASN1_STRING_length(s);
    const unsigned char *p = ASN1_STRING_get0_data(s);

    if (type == GEN_DNS)
        add_shown(out, (const char *)p, n);
    else if ((n == 4 || n == 16) &&
             inet_ntop(n == 4 ? AF_INET : AF_INET6, p, text, sizeof text))
        buf_add_str(out, str_of(text));
    else
        BUF_LIT(out, "?");
}

/* "a.example, 127.0.0.1, ..."; nothing if it has no such names. */
static void add_names(struct buf *out, X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n_shown = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_DNS && name->type != GEN_IPADD)
            continue;
        if (n_shown)
            BUF_LIT(out, ", ");
        if (n_shown++ == NAMES_SHOWN) {
            BUF_LIT(out, "...");
            break;
        }
        add_name(out, name);
    }
    GENERAL_NAMES_free(names);
}

static void say_wrong_name(struct tls *t, X509 *cert)
{
    struct buf names;

    buf_init(&names, KB(1));
    add_names(&names, cert);
    if (names.n)
        say(t, "certificate is for %.*s, not for %s", STR_ARG(buf_str(&names)), t->name);
    else
        say(t, "certificate names no host (it has no subjectAltName), so it is not for %s",
            t->name);
    buf_release(&names);
}

static void say_unknown_issuer(struct tls *t, X509 *cert)
{
    char text[128];
    struct buf issuer;
    X509_NAME *name = X509_get_issuer_name(cert);
    int n = X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text);

    if (n < 0)
        n = X509_NAME_get_text_by_NID(name, NID_organizationName, text, sizeof text);
    buf_init(&issuer, KB(1));
    for (int i = 0; i < n; i++) /* here, blanks are usual */
        if (text[i] == ' ')
            buf_add_char(&issuer, ' ');
        else
            add_shown(&issuer, text + i, 1);
    say(t, "unknown issuer \"%.*s\"; %s%s", STR_ARG(buf_str(&issuer)),
        t->context->ca ? "its CA is not in caFile " : "give the CA as caFile",
        t->context->ca ? t->context->ca : "");
    buf_release(&issuer);
}

static void format_day(const ASN1_TIME *time, char out[16])
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(time, &tm) ||
        strftime(out, 16, "%Y-%m-%d", &tm) == 0) /* a year of five digits, perhaps */
        snprintf(out, 16, "?");
}

static void say_wrong_certificate(struct tls *t, X509 *cert, int depth, int error)
{
    const char *whose = depth == 0 ? "certificate" : "certificate of an issuer";
    char day[16];

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        format_day(X509_get0_notAfter(cert), day);
        say(t, "%s has expired (on %s)", whose, day);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        format_day(X509_get0_notBefore(cert), day);
        say(t, "%s is not valid before %s; is the clock right?", whose, day);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_wrong_name(t, cert);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        say(t, "certificate is self-signed; if that is meant, give it as caFile");
        break;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        say_unknown_issuer(t, cert);
        break;
    default:
        say(t, "%s was not accepted: %s", whose, X509_verify_cert_error_string(error));
    }
}

int tls_on_verify(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    X509 *cert = X509_STORE_CTX_get_current_cert(store);

    if (!is_good && cert)
        say_wrong_certificate(tls_of(ssl), cert, X509_STORE_CTX_get_error_depth(store),
                              X509_STORE_CTX_get_error(store));
    return is_good;
}

/* --- what else may be wrong -------------------------------------------------------------------------- */

static bool is_about_certificate(int alert)
{
    return (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
           alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
           alert == SSL_AD_CERTIFICATE_REQUIRED ||
           /* TLS 1.2 has no word for a missing certificate */
           alert == SSL_AD_HANDSHAKE_FAILURE;
}

/* Returns whether it was our certificate that he did not like. */
static bool say_alert(struct tls *t, int alert)
{
    const char *text = SSL_alert_desc_string_long(alert);

    if (t->was_asked && is_about_certificate(alert)) {
        if (t->context->has_certificate)
            say(t, "the peer refused our client certificate (alert: %s)", text);
        else
            say(t, "the peer wants a client certificate (alert: %s); give it as certFile",
                text);
        return true;
    }
    if (alert == SSL_AD_PROTOCOL_VERSION)
        say(t, "the peer speaks no version of TLS that is safe (1.2 or newer)");
    else if (alert == SSL_AD_UNRECOGNIZED_NAME)
        say(t, "the peer knows nobody by the name of %s", t->name);
    else if (alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        say(t, "the peer does not speak HTTP/1.1");
    else
        say(t, "the peer broke off (alert: %s)", text);
    return false;
}

/* Makes out what OpenSSL's error queue tells. */
static int explain(struct tls *t)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    bool is_tls = !t->is_open;

    if (buf_error(t->out))
        return buf_error(t->out);
    if (reason == ERR_R_MALLOC_FAILURE ||
        ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
        return ERR_NOMEM;
    if (t->why[0]) /* the certificate's fault: it has been said */
        return ERR_TLS;
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason > ALERT_BASE && reason < ALERT_BASE + 256)
        is_tls |= say_alert(t, reason - ALERT_BASE) && !t->has_read;
    else if (!t->is_open &&
             (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION))
        say(t, "the peer speaks no version of TLS that is safe (1.2 or newer)");
    else
        say(t, "%s", e ? ERR_reason_error_string(e) : "broken");
    return is_tls ? ERR_TLS : ERR_IO;
}

/* The error for the result of an SSL function that did not succeed. */
static int failure(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return ERR_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return ERR_CLOSED;
    default:
        return explain(t);
    }
}

/* --- memories ---------------------------------------------------------------------------------------- */

void tls_memory_release(struct tls_memory *m)
{
    SSL_SESSION_free(m->session);
    m->session = NULL;
}

/* What is remembered was verified once; by now the certificate may have expired. */
static bool is_fresh(const struct tls_memory *m)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    X509 *cert = m->session ? SSL_SESSION_get0_peer(m->session) : NULL;

    return cert && X509_cmp_time(X509_get0_notAfter(cert), &now) > 0;
}

int tls_on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = tls_of(ssl);

    if (!t->memory || t->memory->context != t->context)
        return 0;
    tls_memory_release(t->memory);
    t->memory->session = session;
    return 1; /* the reference is ours now */
}

int tls_on_asked(SSL *ssl, void *arg)
{
    (void)arg;
    tls_of(ssl)->was_asked = true;
    return 1;
}

/* --- birth and death --------------------------------------------------------------------------------- */

static bool is_address(const char *name)
{
    struct in6_addr any;

    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/* Whom we expect at the other end. */
static bool expect(struct tls *t)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    size_t n = strlen(t->name);

    X509_VERIFY_PARAM_set_time(param, (time_t)(clock_wall_ms() / 1000));
    if (is_address(t->name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, t->name);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (t->name[n - 1] == '.') /* an absolute name is written without its dot in certificates */
        t->name[n - 1] = '\0';
    return X509_VERIFY_PARAM_set1_host(param, t->name, 0) &&
           SSL_set_tlsext_host_name(t->ssl, t->name);
}

static bool set_up(struct tls *t)
{
    BIO *bio;

    t->ssl = SSL_new(t->context->ssl);
    bio = t->ssl ? BIO_new(t->context->bio_method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    SSL_set_connect_state(t->ssl);
    if (!expect(t))
        return false;
    if (!t->memory)
        return true;
    BUG_ON(t->memory->context != t->context);
    if (!is_fresh(t->memory))
        tls_memory_release(t->memory);
    return !t->memory->session || SSL_set_session(t->ssl, t->memory->session);
}

int tls_new(const struct tls_peer *peer, struct buf *out, struct tls **result)
{
    size_t n = strlen(peer->name);
    struct tls *t;

    if (n == 0 || n > NAME_MAX_BYTES || str_is(str_of(peer->name), STR(".")))
        return ERR_INVALID;
    t = MEM_NEW(struct tls);
    t->context = tls_context_ref(peer->context);
    t->memory = peer->memory;
    t->out = out;
    t->name = mem_str(peer->name, n);
    buf_init(&t->kept, MB(1)); /* far more than is ever fed at once */
    ERR_clear_error();
    if (!set_up(t)) {
        ERR_clear_error();
        tls_free(t);
        return ERR_NOMEM;
    }
    *result = t;
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    /* Otherwise OpenSSL takes a connection without goodbyes for a reason not to resume its session. */
    if (t->ssl)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    tls_context_unref(t->context);
    buf_release(&t->kept);
    mem_free(t->name);
    mem_free(t);
}

/* --- bytes ------------------------------------------------------------------------------------------- */

void tls_feed(struct tls *t, const char *p, size_t n)
{
    BUG_ON(t->in.n > 0);
    t->in = str_make(p, n);
}

int tls_keep(struct tls *t)
{
    struct buf kept;

    if (t->in.n == 0)
        return 0;
    buf_init(&kept, t->kept.max); /* `in` may point into the old one */
    if (buf_add_str(&kept, t->in))
        return buf_error(&kept);
    buf_release(&t->kept);
    t->kept = kept;
    t->in = buf_str(&t->kept);
    return 0;
}

bool tls_has_input(const struct tls *t)
{
    return t->in.n > 0 || SSL_pending(t->ssl) > 0 ||
           (SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN);
}

static bool is_tls_record(char first)
{
    return first >= SSL3_RT_CHANGE_CIPHER_SPEC && first <= SSL3_RT_APPLICATION_DATA;
}

int tls_shake(struct tls *t)
{
    int result, err;

    if (!t->has_fed && t->in.n) {
        t->has_fed = true;
        if (!is_tls_record(t->in.p[0])) {
            say(t, "the peer does not speak TLS (is the URL http://?)");
            return ERR_TLS;
        }
    }
    ERR_clear_error();
    result = SSL_do_handshake(t->ssl);
    if (result == 1) {
        BUG_ON(SSL_get_verify_result(t->ssl) != X509_V_OK);
        t->is_open = true;
        return 0;
    }
    err = failure(t, result);
    ERR_clear_error();
    if (err == ERR_CLOSED) {
        tls_break(t, "closed the connection");
        err = ERR_TLS;
    }
    if (err != ERR_AGAIN && t->memory)
        tls_memory_release(t->memory);
    return err;
}

int tls_read(struct tls *t, char *p, size_t room, size_t *n)
{
    int result, err;

    ERR_clear_error();
    result = SSL_read_ex(t->ssl, p, room, n);
    if (result == 1) {
        t->has_read = true;
        return 0;
    }
    *n = 0;
    err = failure(t, result);
    ERR_clear_error();
    if (err == ERR_AGAIN)
        buf_shrink(&t->kept, 0);
    return err;
}

static int seal(struct tls *t, const char *p, size_t n)
{
    size_t done;
    int result;

    ERR_clear_error();
    result = SSL_write_ex(t->ssl, p, n, &done);
    return result == 1 ? 0 : failure(t, result);
}

int tls_write(struct tls *t, const struct str *parts, size_t n_parts)
{
    char record[RECORD]; /* head and body of a small request share one */
    size_t n = 0;
    int err = 0;

    BUG_ON(!t->is_open);
    for (size_t i = 0; i < n_parts; i++) {
        struct str rest = parts[i];

        while (rest.n > 0 && !err) {
            size_t k;

            if (n == 0 && rest.n >= RECORD) {
                k = rest.n - rest.n % RECORD;
                err = seal(t, rest.p, k);
            } else {
                k = rest.n < RECORD - n ? rest.n : RECORD - n;
                memcpy(record + n, rest.p, k);
                n += k;
                if (n == RECORD) {
                    err = seal(t, record, n);
                    n = 0;
                }
            }
            rest = str_make(rest.p + k, rest.n - k);
        }
    }
    if (n > 0 && !err)
        err = seal(t, record, n);
    ERR_clear_error();
    /* OpenSSL never waits for the peer here: there is no renegotiation. */
    return err == ERR_AGAIN || err == ERR_CLOSED ? ERR_IO : err;
}

void tls_finish(struct tls *t)
{
    ERR_clear_error();
    if (t->is_open && !t->why[0])
        (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void tls_break(struct tls *t, const char *how)
{
    if (t->why[0])
        return;
    if (t->has_fed)
        say(t, "the peer %s in the middle of the handshake", how);
    else
        say(t, "the peer %s instead of speaking TLS (is the URL http://?)", how);
}

bool tls_has_read(const struct tls *t)
{
    return t->has_read;
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}
