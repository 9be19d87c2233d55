/* SPDX-License-Identifier: MIT
 *
 * TLS as a codec, against OpenSSL's own server. Bytes are carried by hand, whole and one at a time.
 */
#include "check.h"

#include <openssl/crypto.h>
#include <sys/resource.h>

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/tls.h"
#include "unit/lib/far_tls.h"

/* --- memory that runs out ------------------------------------------------------------------------- */

/* OpenSSL's n-th allocation fails when this has come down to 0; below that, none does. */
static long allocations_left = -1;

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

static void *count_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? malloc(n) : NULL;
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    return may_allocate() ? realloc(p, n) : NULL;
}

static void count_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

__attribute__((constructor)) static void count_allocations(void)
{
    BUG_ON(!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free));
}

/* --- the stage ------------------------------------------------------------------------------------ */

static int64_t now_s = TEST_NOW;

static uint64_t mono_ns(void)
{
    return 1;
}

static int64_t wall_us(void)
{
    return now_s * 1000000;
}

static struct paper ca, other_ca, good;

static void open_stage(void)
{
    static const struct clock_source source = {mono_ns, wall_us};

    now_s = TEST_NOW;
    clock_set(&source);
    folder_open();
    ca = paper_make((struct paper_wish){.name = "Test CA", .is_ca = true});
    other_ca = paper_make((struct paper_wish){.name = "Other CA\n\x80", .is_ca = true});
    good = paper_make((struct paper_wish){
        .name = "x", .san = "DNS:a.example,DNS:*.b.example,IP:127.0.0.1", .issuer = &ca});
    paper_write("ca.pem", &ca, PAPER_CERT);
}

static void close_stage(void)
{
    paper_free(&ca);
    paper_free(&other_ca);
    paper_free(&good);
    folder_close();
    clock_set(NULL);
}

static struct tls_context *context(const char *ca_file, const char *cert, const char *key)
{
    const struct tls_files files = {ca_file, cert, key};
    struct tls_context *x = NULL;
    char why[TLS_WHY] = "";

    CHECK_INT(tls_context_new(&files, &x, why), 0);
    CHECK_STR(str_of(why), STR(""));
    return x;
}

/* One connection, both ends. */
struct pair {
    struct tls *t;
    struct buf out;
    SSL_CTX *ctx;
    struct far far;
    struct buf heard; /* what tls_read() brought */
    int shaken;       /* what tls_shake() said last */
    int end;          /* what tls_read() said last */
};

static void pair_open(struct pair *p, struct tls_context *x, const char *name,
                      struct tls_memory *memory, SSL_CTX *ctx)
{
    *p = (struct pair){.shaken = ERR_AGAIN, .end = ERR_AGAIN};
    buf_init(&p->out, MB(64));
    buf_init(&p->heard, MB(64));
    far_init(&p->far, ctx);
    CHECK_INT(tls_new(&(struct tls_peer){x, name, memory}, &p->out, &p->t), 0);
}

static void pair_close(struct pair *p)
{
    tls_free(p->t);
    far_release(&p->far);
    buf_release(&p->out);
    buf_release(&p->heard);
}

static void read_all(struct pair *p)
{
    char text[3000];
    size_t n;

    while ((p->end = tls_read(p->t, text, sizeof text, &n)) == 0) {
        CHECK(n > 0 && n <= sizeof text);
        buf_add(&p->heard, text, n);
    }
}

/* Feeds what must lie in memory of its own, so that the sanitizer sees a byte too many. */
static void feed(struct pair *p, const char *bytes, size_t n)
{
    char *block = malloc(n);

    memcpy(block, bytes, n);
    tls_feed(p->t, block, n);
    if (p->shaken == ERR_AGAIN)
        p->shaken = tls_shake(p->t);
    if (p->shaken == 0 && p->end == ERR_AGAIN)
        read_all(p);
    free(block);
}

static bool is_over(const struct pair *p)
{
    return (p->shaken && p->shaken != ERR_AGAIN) || p->end != ERR_AGAIN;
}

/* Carries bytes, `step` at a time, until nobody has any. */
static void carry(struct pair *p, size_t step)
{
    static char bytes[KB(64)];
    size_t n;

    if (p->shaken == ERR_AGAIN)
        p->shaken = tls_shake(p->t);
    do {
        while (p->out.n) {
            n = p->out.n < step ? p->out.n : step;
            far_feed(&p->far, p->out.p, n);
            buf_consume(&p->out, n);
        }
        while (!is_over(p) && (n = far_take(&p->far, bytes, step)))
            feed(p, bytes, n);
    } while (p->out.n);
}

static void expect_why(const struct pair *p, const char *why)
{
    CHECK(str_has_prefix(str_of(tls_why(p->t)), STR("TLS: ")));
    if (!strstr(tls_why(p->t), why))
        CHECK_STR(str_of(tls_why(p->t)), str_of(why));
}

static const size_t steps[] = {1, 7, KB(64)};

/* --- the play ------------------------------------------------------------------------------------- */

static void talk(SSL_CTX *ctx, struct tls_context *x, size_t step)
{
    static char large[100000];
    struct str parts[] = {STR("he"), STR_NONE, STR("llo"), {large, sizeof large}, STR("!")};
    struct pair p;

    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 2654435761u >> 13);
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, step);
    CHECK_INT(p.shaken, 0);
    CHECK(!tls_has_read(p.t));
    CHECK_STR(str_of(SSL_get_servername(p.far.ssl, TLSEXT_NAMETYPE_host_name)),
              STR("a.example"));
    CHECK_INT(tls_write(p.t, parts, 5), 0);
    carry(&p, step);
    CHECK_INT(p.far.said.n, 5 + sizeof large + 1);
    CHECK(memcmp(p.far.said.p, "hello", 5) == 0);
    CHECK(memcmp(p.far.said.p + 5, large, sizeof large) == 0);
    far_say(&p.far, large, sizeof large);
    carry(&p, step);
    CHECK_STR(buf_str(&p.heard), str_make(large, sizeof large));
    CHECK(tls_has_read(p.t) && !tls_has_input(p.t));
    tls_finish(p.t);
    tls_finish(p.t);
    carry(&p, step);
    CHECK(far_heard_goodbye(&p.far));
    CHECK_INT(p.end, ERR_AGAIN);
    far_say(&p.far, "bye", 3); /* only our half is closed */
    far_goodbye(&p.far);
    carry(&p, step);
    CHECK_INT(p.end, ERR_CLOSED);
    CHECK_INT(p.heard.n, sizeof large + 3);
    CHECK_STR(str_of(tls_why(p.t)), STR(""));
    pair_close(&p);
}

TEST(both_directions_in_all_pieces)
{
    struct tls_context *x;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX *ctx =
            far_context(&(struct far_rules){.paper = &good, .min = version, .max = version});

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            talk(ctx, x, steps[i]);
        SSL_CTX_free(ctx);
    }
    tls_context_unref(x);
    close_stage();
}

/* A certificate of these wishes, shown to one who looks for `name`. */
static void judge(struct paper_wish wish, const char *name, bool trust_itself, int err,
                  const char *why)
{
    struct paper p = paper_make(wish);
    SSL_CTX *ctx = far_context(&(struct far_rules){.paper = &p});
    struct tls_context *x;
    struct pair pair;

    paper_write("self.pem", &p, PAPER_CERT);
    x = context(file_in_folder(trust_itself ? "self.pem" : "ca.pem"), NULL, NULL);
    pair_open(&pair, x, name, NULL, ctx);
    carry(&pair, KB(64));
    CHECK_INT(pair.shaken, err);
    if (err) {
        expect_why(&pair, why);
        CHECK(pair.far.is_over); /* the alert has reached the peer */
    }
    pair_close(&pair);
    tls_context_unref(x);
    SSL_CTX_free(ctx);
    paper_free(&p);
}

TEST(certificates_that_hold)
{
    struct paper_wish w = {.name = "x", .issuer = &ca};

    open_stage();
    w.san = "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1";
    judge(w, "a.example", false, 0, "");
    judge(w, "A.Example", false, 0, "");
    judge(w, "a.example.", false, 0, "");
    judge(w, "c.b.example", false, 0, "");
    judge(w, "127.0.0.1", false, 0, "");
    judge(w, "::1", false, 0, "");
    judge(w, "a.example", true, 0, ""); /* somebody else signed it: pinned */
    w.issuer = NULL;
    judge(w, "a.example", true, 0, "");
    close_stage();
}

TEST(certificates_that_do_not_hold)
{
    struct paper_wish w = {.name = "x", .issuer = &ca};

    open_stage();
    w.san = "DNS:a.example,DNS:*.b.example,IP:127.0.0.1";
    judge(w, "c.example", false, ERR_TLS,
          "TLS: certificate is for a.example, *.b.example, 127.0.0.1, not for c.example");
    judge(w, "c.d.b.example", false, ERR_TLS, "not for c.d.b.example");
    judge(w, "127.0.0.2", false, ERR_TLS, "not for 127.0.0.2");
    judge(w, "::1", false, ERR_TLS, "not for ::1");
    w.san = "DNS:a,DNS:b,DNS:c,DNS:d,DNS:e";
    judge(w, "z", false, ERR_TLS, "TLS: certificate is for a, b, c, d, ..., not for z");
    w.san = "DNS:a\x1b[2J b";
    judge(w, "z", false, ERR_TLS, "TLS: certificate is for a?[2J?b, not for z");
    w.san = NULL;
    w.name = "a.example"; /* a subject's name has not counted for long */
    judge(w, "a.example", false, ERR_TLS, "TLS: certificate names no host");
    w.san = "DNS:a.example";
    w.from_day = -30, w.to_day = -1;
    judge(w, "a.example", false, ERR_TLS, "TLS: certificate has expired (on 2023-11-13)");
    w.from_day = 1, w.to_day = 30;
    judge(w, "a.example", false, ERR_TLS,
          "TLS: certificate is not valid before 2023-11-15; is the clock right?");
    w.from_day = w.to_day = 0;
    w.issuer = NULL;
    judge(w, "a.example", false, ERR_TLS,
          "TLS: certificate is self-signed; if that is meant, give it as caFile");
    w.issuer = &other_ca;
    judge(w, "a.example", false, ERR_TLS,
          "TLS: unknown issuer \"Other CA???\"; its CA is not in");
    close_stage();
}

TEST(without_a_ca_file_the_system_is_asked)
{
    struct tls_context *x;
    struct pair p;
    SSL_CTX *ctx;

    open_stage();
    ctx = far_context(&(struct far_rules){.paper = &good});
    setenv("SSL_CERT_FILE", file_in_folder("ca.pem"), 1);
    x = context(NULL, NULL, NULL);
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    CHECK_INT(p.shaken, 0);
    pair_close(&p);
    tls_context_unref(x);
    setenv("SSL_CERT_FILE", paper_write("other.pem", &other_ca, PAPER_CERT), 1);
    x = context(NULL, NULL, NULL);
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    CHECK_INT(p.shaken, ERR_TLS);
    expect_why(&p, "TLS: unknown issuer \"Test CA\"; give the CA as caFile");
    pair_close(&p);
    tls_context_unref(x);
    unsetenv("SSL_CERT_FILE");
    SSL_CTX_free(ctx);
    close_stage();
}

TEST(peers_that_do_not_speak_tls)
{
    static const struct {
        const char *bytes;
        const char *why;
    } rows[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS (is the URL http://?)"},
        {"\r\n", "does not speak TLS"},
        {"\x16\x03\x03\x7f\xff garbage", "TLS: "},
        {"\x15\x03\x03\x00\x02\x02\x46", "peer speaks no version of TLS that is safe"},
        {"\x15\x03\x03\x00\x02\x02\x70", "peer knows nobody by the name of a.example"},
        {"\x15\x03\x03\x00\x02\x02\x78", "peer does not speak HTTP/1.1"},
        {"\x15\x03\x03\x00\x02\x02\x50", "peer broke off (alert: internal error)"},
        {"\x15\x03\x03\x00\x02\x02\x28", "peer broke off (alert: handshake failure)"},
        {"\x15\x03\x03\x00\x02\x01\x00", "the peer closed the connection in the middle"},
    };
    struct tls_context *x;
    SSL_CTX *ctx;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(&(struct far_rules){.paper = &good});
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = i < 2 ? strlen(rows[i].bytes) : i == 2 ? 13 : 7;

        for (size_t step = 1; step <= n; step += n - 1) {
            struct pair p;

            pair_open(&p, x, "a.example", NULL, ctx);
            p.shaken = tls_shake(p.t);
            for (size_t at = 0; at < n && p.shaken == ERR_AGAIN; at += step)
                feed(&p, rows[i].bytes + at, step < n - at ? step : n - at);
            if (p.shaken == ERR_AGAIN) {
                tls_break(p.t, "closed the connection");
                p.shaken = ERR_TLS;
            }
            CHECK_INT(p.shaken, ERR_TLS);
            expect_why(&p, rows[i].why);
            pair_close(&p);
        }
    }
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

TEST(peer_breaks_off)
{
    struct tls_context *x;
    struct pair p;
    SSL_CTX *ctx;
    char bytes[10];

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(&(struct far_rules){.paper = &good});
    pair_open(&p, x, "a.example", NULL, ctx);
    p.shaken = tls_shake(p.t);
    tls_break(p.t, "closed the connection");
    expect_why(&p, "TLS: the peer closed the connection instead of speaking TLS");
    pair_close(&p);
    pair_open(&p, x, "a.example", NULL, ctx);
    p.shaken = tls_shake(p.t);
    far_feed(&p.far, p.out.p, p.out.n);
    feed(&p, bytes, far_take(&p.far, bytes, sizeof bytes));
    CHECK_INT(p.shaken, ERR_AGAIN);
    tls_break(p.t, "reset the connection");
    expect_why(&p, "TLS: the peer reset the connection in the middle of the handshake");
    pair_close(&p);
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

TEST(old_versions_are_refused)
{
    struct tls_context *x;
    struct pair p;
    SSL_CTX *ctx;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(
        &(struct far_rules){.paper = &good, .min = TLS1_VERSION, .max = TLS1_1_VERSION});
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    CHECK_INT(p.shaken, ERR_TLS);
    expect_why(&p, "TLS: the peer speaks no version of TLS that is safe (1.2 or newer)");
    pair_close(&p);
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

/* TLS 1.2 says it during the handshake, 1.3 with the first bytes behind it. */
static void show(const char *cert, const char *key, int version, const char *why)
{
    SSL_CTX *ctx = far_context(
        &(struct far_rules){.paper = &good, .client_ca = &ca, .min = version, .max = version});
    struct tls_context *x = context(file_in_folder("ca.pem"), cert, key);
    struct pair p;
    int err;

    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    err = p.shaken ? p.shaken : p.end;
    CHECK_INT(p.shaken, why && version == TLS1_2_VERSION ? ERR_TLS : 0);
    CHECK_INT(err, why ? ERR_TLS : ERR_AGAIN);
    if (why)
        expect_why(&p, why);
    CHECK_INT(p.far.is_open, !why);
    pair_close(&p);
    tls_context_unref(x);
    SSL_CTX_free(ctx);
}

TEST(client_certificates)
{
    struct paper stranger;

    open_stage();
    stranger = paper_make((struct paper_wish){.name = "stranger", .issuer = &other_ca});
    paper_write("both.pem", &good, PAPER_CERT | PAPER_KEY);
    paper_write("cert.pem", &good, PAPER_CERT);
    paper_write("key.pem", &good, PAPER_KEY);
    paper_write("stranger.pem", &stranger, PAPER_CERT | PAPER_KEY);
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        show(file_in_folder("both.pem"), NULL, version, NULL);
        show(file_in_folder("cert.pem"), file_in_folder("key.pem"), version, NULL);
        show(NULL, NULL, version, "TLS: the peer wants a client certificate (alert: ");
        show(file_in_folder("stranger.pem"), NULL, version,
             "TLS: the peer refused our client certificate (alert: unknown CA)");
    }
    paper_free(&stranger);
    close_stage();
}

TEST(broken_after_the_handshake)
{
    struct str part = STR("hello");
    struct tls_context *x;
    char bytes[100];
    struct pair p;
    SSL_CTX *ctx;
    size_t n;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(&(struct far_rules){.paper = &good});
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    far_say(&p.far, "hello", 5);
    n = far_take(&p.far, bytes, sizeof bytes);
    bytes[n - 1] ^= 1;
    feed(&p, bytes, n);
    CHECK_INT(p.end, ERR_IO); /* not ERR_TLS: who knows what the peer has done */
    CHECK_INT(p.heard.n, 0);
    expect_why(&p, "bad record mac");
    CHECK(tls_write(p.t, &part, 1) < 0);
    tls_finish(p.t);
    pair_close(&p);
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

TEST(what_is_kept_is_read_later)
{
    char bytes[KB(2)], text[8];
    struct tls_context *x;
    struct pair p;
    SSL_CTX *ctx;
    size_t n;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(&(struct far_rules){.paper = &good});
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    CHECK_INT(tls_keep(p.t), 0);
    CHECK(!tls_has_input(p.t));
    far_say(&p.far, "12345678", 8);
    far_say(&p.far, "9", 1);
    far_goodbye(&p.far);
    tls_feed(p.t, bytes, far_take(&p.far, bytes, sizeof bytes));
    CHECK(tls_has_input(p.t));
    CHECK_INT(tls_keep(p.t), 0);
    memset(bytes, 0, sizeof bytes);
    CHECK_INT(tls_read(p.t, text, 5, &n), 0);
    CHECK_STR(str_make(text, n), STR("12345"));
    CHECK_INT(tls_keep(p.t), 0);
    CHECK_INT(tls_read(p.t, text, 5, &n), 0);
    CHECK_STR(str_make(text, n), STR("678"));
    CHECK_INT(tls_read(p.t, text, 5, &n), 0);
    CHECK_STR(str_make(text, n), STR("9"));
    CHECK_INT(tls_read(p.t, text, 5, &n), ERR_CLOSED);
    CHECK(tls_has_input(p.t)); /* the goodbye can be asked for again */
    CHECK_INT(tls_read(p.t, text, 5, &n), ERR_CLOSED);
    pair_close(&p);
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

TEST(output_is_bounded)
{
    static char large[KB(200)];
    struct str part = {large, sizeof large};
    struct tls_context *x;
    struct pair p;
    SSL_CTX *ctx;

    open_stage();
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    ctx = far_context(&(struct far_rules){.paper = &good});
    pair_open(&p, x, "a.example", NULL, ctx);
    carry(&p, KB(64));
    p.out.max = KB(150);
    CHECK_INT(tls_write(p.t, &part, 1), ERR_LIMIT);
    pair_close(&p);
    SSL_CTX_free(ctx);
    tls_context_unref(x);
    close_stage();
}

static bool is_resumed(struct tls_context *x, SSL_CTX *ctx, struct tls_memory *memory, int want)
{
    struct pair p;
    bool is;

    pair_open(&p, x, "a.example", memory, ctx);
    carry(&p, KB(64));
    CHECK_INT(p.shaken, want);
    is = SSL_session_reused(p.far.ssl);
    pair_close(&p);
    return is;
}

TEST(peers_are_remembered)
{
    open_stage();
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_context *x = context(file_in_folder("ca.pem"), NULL, NULL);
        SSL_CTX *ctx =
            far_context(&(struct far_rules){.paper = &good, .min = version, .max = version});
        SSL_CTX *old = far_context(&(struct far_rules){.paper = &good, .max = TLS1_1_VERSION});
        struct tls_memory memory = {x, NULL};
        struct tls_context *later = context(file_in_folder("ca.pem"), NULL, NULL);
        struct pair p;

        now_s = TEST_NOW;
        CHECK(!is_resumed(x, ctx, &memory, 0));
        CHECK(is_resumed(x, ctx, &memory, 0));
        CHECK(is_resumed(x, ctx, &memory, 0));
        CHECK(!is_resumed(x, ctx, NULL, 0));
        now_s = TEST_NOW + 31L * TEST_DAY; /* what was proved then holds no more */
        CHECK(!is_resumed(x, ctx, &memory, ERR_TLS));
        CHECK(!memory.session);
        now_s = TEST_NOW;
        CHECK(!is_resumed(x, ctx, &memory, 0));
        CHECK(!is_resumed(x, old, &memory, ERR_TLS)); /* it may have been the memory's fault */
        CHECK(!memory.session);
        pair_open(&p, x, "a.example", &memory, ctx);
        memory.context = later; /* files were renewed in the middle of a handshake */
        carry(&p, KB(64));
        CHECK_INT(p.shaken, 0);
        CHECK(!memory.session);
        pair_close(&p);
        tls_context_unref(later);
        tls_memory_release(&memory);
        SSL_CTX_free(old);
        SSL_CTX_free(ctx);
        tls_context_unref(x);
    }
    close_stage();
}

/* --- files ---------------------------------------------------------------------------------------- */

static void expect_unusable(const char *ca_file, const char *cert, const char *key,
                            const char *why)
{
    const struct tls_files files = {ca_file, cert, key};
    struct tls_context *x = NULL;
    char got[TLS_WHY] = "";

    CHECK_INT(tls_context_new(&files, &x, got), ERR_INVALID);
    CHECK(!x);
    if (!strstr(got, why))
        CHECK_STR(str_of(got), str_of(why));
    CHECK_INT(ERR_peek_error(), 0); /* whoever uses OpenSSL next is not told about it */
}

TEST(files_that_cannot_be_used)
{
    const char *none, *text, *cert, *key, *broken;
    struct paper other;
    FILE *f;

    open_stage();
    expect_unusable(file_in_folder("none.pem"), NULL, NULL, "none.pem: No such file");
    expect_unusable(file_in_folder(""), NULL, NULL, ": is not a file");
    BUG_ON(mkfifo(file_in_folder("fifo"), 0600));
    expect_unusable(file_in_folder("fifo"), NULL, NULL, "is not a file");
    expect_unusable("/dev/zero", NULL, NULL, "caFile /dev/zero: is not a file");
    text = file_write("text", "no PEM at all\n");
    expect_unusable(text, NULL, NULL, "text: holds no certificate in PEM");
    BUG_ON(truncate(text, 100 << 20));
    expect_unusable(text, NULL, NULL, "is larger than");
    BUG_ON(truncate(text, 0));
    expect_unusable(text, NULL, NULL, "holds no certificate in PEM");
    broken =
        file_write("broken", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    expect_unusable(broken, NULL, NULL, "holds a certificate that cannot be read (");
    broken = file_write("broken", "-----BEGIN CERTIFICATE-----\nMIIB");
    expect_unusable(broken, NULL, NULL, "holds a certificate that cannot be read (");

    other = paper_make((struct paper_wish){.name = "other", .issuer = &ca});
    none = file_in_folder("none");
    cert = paper_write("cert.pem", &good, PAPER_CERT);
    key = paper_write("key.pem", &other, PAPER_KEY);
    expect_unusable(NULL, none, key, "certFile");
    expect_unusable(NULL, cert, none, "keyFile");
    expect_unusable(NULL, key, key, "holds no certificate in PEM");
    expect_unusable(NULL, cert, NULL, "cert.pem: holds no private key that can be read");
    expect_unusable(NULL, cert, key, "key.pem: holds a key that does not belong to the cert");
    f = fopen(key, "w");
    PEM_write_PrivateKey(f, good.key, EVP_aes_128_cbc(), (unsigned char *)"secret", 6, NULL,
                         NULL);
    fclose(f);
    expect_unusable(NULL, cert, key, "holds a key that is encrypted");
    setenv("SSL_CERT_FILE", file_in_folder("gone.pem"), 1);
    expect_unusable(NULL, NULL, NULL, "SSL_CERT_FILE");
    unsetenv("SSL_CERT_FILE");
    paper_free(&other);
    close_stage();
}

TEST(changed_files_are_noticed)
{
    struct tls_context *x;
    const char *path;

    open_stage();
    path = file_in_folder("ca.pem");
    x = context(path, NULL, NULL);
    CHECK(!tls_context_is_stale(x));
    paper_write("new.pem", &other_ca, PAPER_CERT);
    BUG_ON(rename(file_in_folder("new.pem"), path));
    CHECK(tls_context_is_stale(x));
    tls_context_unref(x);
    x = context(path, NULL, NULL);
    CHECK(!tls_context_is_stale(x));
    BUG_ON(unlink(path));
    CHECK(tls_context_is_stale(x));
    tls_context_unref(x);
    close_stage();
}

TEST(names_that_cannot_be_expected)
{
    char longer[300] = "";
    struct tls_context *x;
    struct tls *t = NULL;
    struct buf out;

    open_stage();
    memset(longer, 'a', sizeof longer - 1);
    buf_init(&out, KB(64));
    x = context(file_in_folder("ca.pem"), NULL, NULL);
    CHECK_INT(tls_new(&(struct tls_peer){x, "", NULL}, &out, &t), ERR_INVALID);
    CHECK_INT(tls_new(&(struct tls_peer){x, ".", NULL}, &out, &t), ERR_INVALID);
    CHECK_INT(tls_new(&(struct tls_peer){x, longer, NULL}, &out, &t), ERR_INVALID);
    CHECK(!t);
    tls_context_unref(x);
    close_stage();
}

/* --- no memory ------------------------------------------------------------------------------------ */

/* Everything one connection does, with OpenSSL's n-th allocation refused. Returns whether it got so far. */
static bool survive(long n, SSL_CTX *ctx, const struct tls_files *files,
                    struct tls_memory *memory)
{
    struct str part = STR("hello");
    struct tls_context *x = NULL;
    char why[TLS_WHY], text[100], bytes[KB(8)];
    struct tls *t = NULL;
    struct buf out;
    struct far far;
    size_t k;
    int err;

    buf_init(&out, MB(1));
    far_init(&far, ctx);
    allocations_left = n;
    err = tls_context_new(files, &x, why);
    memory->context = x;
    if (!err)
        err = tls_new(&(struct tls_peer){x, "a.example", memory}, &out, &t);
    while (!err && (err = tls_shake(t)) == ERR_AGAIN) {
        long left = allocations_left;

        allocations_left = -1; /* the far end has all it needs */
        far_feed(&far, out.p, out.n);
        buf_clear(&out);
        k = far_take(&far, bytes, sizeof bytes);
        BUG_ON(k == 0);
        allocations_left = n < 0 ? -1 : left < 0 ? -1 : left;
        tls_feed(t, bytes, k);
        err = 0;
    }
    if (!err)
        err = tls_write(t, &part, 1);
    if (!err) {
        long left = allocations_left;

        allocations_left = -1;
        far_feed(&far, out.p, out.n);
        buf_clear(&out);
        far_say(&far, "world", 5);
        k = far_take(&far, bytes, sizeof bytes);
        allocations_left = left;
        tls_feed(t, bytes, k);
        err = tls_read(t, text, sizeof text, &k);
    }
    if (!err)
        CHECK_STR(str_make(text, k), STR("world"));
    else
        CHECK(err == ERR_NOMEM || err == ERR_TLS || err == ERR_IO || err == ERR_INVALID);
    allocations_left = -1;
    tls_free(t);
    tls_context_unref(x);
    far_release(&far);
    buf_release(&out);
    return !err;
}

TEST(each_allocation_fails_in_turn)
{
    struct tls_files files;
    struct tls_memory memory = {NULL, NULL};
    unsigned n_survived = 0;
    SSL_CTX *ctx;

    open_stage();
    ctx = far_context(&(struct far_rules){.paper = &good, .client_ca = &ca});
    files = (struct tls_files){file_in_folder("ca.pem"), NULL, NULL};
    files.cert = paper_write("both.pem", &good, PAPER_CERT | PAPER_KEY);
    CHECK(survive(-1, ctx, &files, &memory));
    tls_memory_release(&memory);
    /* three in a row: an allocation that nobody needs does not end it */
    for (long n = 0; n_survived < 3 && n < 20000; n++) {
        n_survived = survive(n, ctx, &files, &memory) ? n_survived + 1 : 0;
        tls_memory_release(&memory);
    }
    CHECK_INT(n_survived, 3);
    SSL_CTX_free(ctx);
    close_stage();
}

TEST_MAIN
