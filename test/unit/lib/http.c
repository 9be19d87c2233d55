/* SPDX-License-Identifier: MIT
 *
 * The HTTP parser and writers.
 *
 * Every message goes through examine(), which feeds it whole, cut in two at every place, and one
 * byte at a time, each piece from a heap block of exactly its size. All ways must tell the same
 * story: the same calls, the same bodies, the same refusal. A story is a text, e.g.
 *
 *     POST /rpc 1.1 keep length=2 {Host=h}"ok" done; end
 *
 * The malformed requests are those of a survey in which nine servers were sent 49 of them; their
 * names are kept, so that the two can be held against each other.
 */
#include "check.h"

#include <stdlib.h>

#include "lib/http.h"
#include "lib/mem.h"

#define BODY_MAX 1000

struct witness {
    struct buf story, body;
    unsigned n_heads;
    bool expects_continue; /* of the last head, as is verb */
    enum http_verb verb;
    int on_head_result, on_body_result, on_done_result;
    size_t allow_body;
    bool frees_on_head, frees_on_body, frees_on_done;
};

static void tell_body(struct witness *w)
{
    if (w->body.n)
        buf_printf(&w->story, "\"%.*s\"", STR_ARG(buf_str(&w->body)));
    buf_clear(&w->body);
}

static int on_head(struct http_parser *p, const struct http_head *h, void *arg)
{
    struct witness *w = arg;

    w->n_heads++;
    w->expects_continue = h->expects_continue;
    w->verb = h->verb;
    CHECK(http_parser_is_mid_message(p));
    CHECK(http_parser_has_head(p));
    if (h->status)
        buf_printf(&w->story, "%d", h->status);
    else
        buf_printf(&w->story, "%.*s %.*s%s%.*s", STR_ARG(h->verb_text), STR_ARG(h->path),
                   h->query.p ? "?" : "", STR_ARG(h->query));
    buf_printf(&w->story, " 1.%d %s", h->minor, h->keep_alive ? "keep" : "close");
    if (h->has_length)
        buf_printf(&w->story, " length=%llu", (unsigned long long)h->length);
    if (h->chunked)
        BUF_LIT(&w->story, " chunked");
    BUF_LIT(&w->story, " {");
    for (size_t i = 0; i < h->n_headers; i++) {
        CHECK(h->headers[i].value.p != NULL);
        CHECK(http_is_header_value(h->headers[i].value));
        if (h->n_headers <= 10)
            buf_printf(&w->story, "%s%.*s=%.*s", i ? " " : "", STR_ARG(h->headers[i].name),
                       STR_ARG(h->headers[i].value));
    }
    BUF_LIT(&w->story, "}");
    if (w->allow_body)
        http_parser_allow_body(p, w->allow_body);
    if (w->frees_on_head)
        http_parser_free(p);
    return w->on_head_result;
}

static int on_body(struct http_parser *p, struct str piece, void *arg)
{
    struct witness *w = arg;

    CHECK(piece.n > 0);
    buf_add_str(&w->body, piece);
    if (w->frees_on_body)
        http_parser_free(p);
    return w->on_body_result;
}

static int on_done(struct http_parser *p, void *arg)
{
    struct witness *w = arg;

    CHECK(!http_parser_is_mid_message(p));
    tell_body(w);
    BUF_LIT(&w->story, " done; ");
    if (w->frees_on_done)
        http_parser_free(p);
    return w->on_done_result;
}

static const struct http_events events = {on_head, on_body, on_done};

static void witness_init(struct witness *w)
{
    *w = (struct witness){0};
    buf_init(&w->story, MB(1));
    buf_init(&w->body, MB(1));
}

static void witness_release(struct witness *w)
{
    buf_release(&w->story);
    buf_release(&w->body);
}

/* Feeds one piece, again and again while messages end inside it. */
static int feed(struct http_parser *p, const char *bytes, size_t n)
{
    char *block = malloc(n ? n : 1);
    size_t at = 0, used = 0;
    int err = 0;

    if (n)
        memcpy(block, bytes, n);
    while (at < n && !err) {
        err = http_parser_feed(p, block + at, n - at, &used);
        CHECK(used <= n - at);
        CHECK(err || used > 0);
        at += used;
    }
    free(block);
    return err;
}

static void tell_end(struct http_parser *p, struct witness *w, int err)
{
    tell_body(w);
    if (err && http_parser_status(p))
        buf_printf(&w->story, "refused %d: %s", http_parser_status(p), http_parser_why(p));
    else
        buf_printf(&w->story, "%s", err ? err_text(err) : "end");
    if (http_parser_status(p) == 413 || http_parser_status(p) == 414 ||
        http_parser_status(p) == 431)
        CHECK_INT(err, ERR_LIMIT);
    else if (http_parser_status(p))
        CHECK_INT(err, ERR_SYNTAX);
}

/* The story of `text` when it is cut into pieces of `step` bytes, or, if `step` is 0, in two at `cut`. */
static void tell(struct witness *w, enum http_kind kind, bool no_body, struct str text,
                 size_t cut, size_t step)
{
    struct http_parser *p;
    int err = 0;

    witness_init(w);
    p = http_parser_new(kind, BODY_MAX, &events, w);
    http_parser_expect_no_body(p, no_body);
    if (step == 0) {
        err = feed(p, text.p, cut);
        if (!err)
            err = feed(p, text.p + cut, text.n - cut);
    }
    for (size_t at = 0; step && at < text.n && !err; at += step)
        err = feed(p, text.p + at, step < text.n - at ? step : text.n - at);
    if (!err)
        err = http_parser_finish(p);
    tell_end(p, w, err);
    http_parser_free(p);
}

/* The story, the same however the bytes are cut. Owner: the caller. */
static char *examine(enum http_kind kind, bool no_body, struct str text)
{
    struct witness whole, other;
    size_t stride = text.n > 4000 ? text.n / 97 : 1;
    char *story;

    tell(&whole, kind, no_body, text, text.n, 0);
    for (size_t cut = 0; cut < text.n; cut += stride) {
        tell(&other, kind, no_body, text, cut, 0);
        CHECK_STR(buf_str(&other.story), buf_str(&whole.story));
        witness_release(&other);
    }
    for (size_t step = 1; step <= 3; step++) {
        tell(&other, kind, no_body, text, 0, step);
        CHECK_STR(buf_str(&other.story), buf_str(&whole.story));
        witness_release(&other);
    }
    story = mem_str(whole.story.p, whole.story.n);
    witness_release(&whole);
    return story;
}

static void check_story(int line, enum http_kind kind, bool no_body, struct str text,
                        const char *want)
{
    char *story = examine(kind, no_body, text);

    if (strcmp(story, want) != 0) {
        printf("    %s:%d: the story is\n        %s\n    expected\n        %s\n", __FILE__,
               line, story, want);
        test_failures++;
    }
    mem_free(story);
}

#define REQUEST(text, want) check_story(__LINE__, HTTP_KIND_REQUEST, false, STR(text), want)
#define RESPONSE(text, want) check_story(__LINE__, HTTP_KIND_RESPONSE, false, STR(text), want)
#define HEAD_RESPONSE(text, want)                                                              \
    check_story(__LINE__, HTTP_KIND_RESPONSE, true, STR(text), want)

/* --- well-formed requests ----------------------------------------------------------------- */

TEST(request_with_length)
{
    REQUEST(
        "POST /rpc?a=b?c HTTP/1.1\r\nHost: h:4000\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
        "POST /rpc?a=b?c 1.1 keep length=7 {Host=h:4000 Content-Length=7}\"{\"a\":1}\" done; end");
}

TEST(request_without_body)
{
    REQUEST("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / 1.1 keep {Host=h} done; end");
    REQUEST("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
            "POST / 1.1 keep length=0 {Host=h Content-Length=0} done; end");
}

TEST(request_in_chunks)
{
    REQUEST(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
        "POST / 1.1 keep chunked {Host=h Transfer-Encoding=chunked}\"abc0123456789\" done; end");
    REQUEST("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n"
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST / 1.1 keep chunked {Host=h Transfer-Encoding=CHUNKED} done; "
            "GET / 1.1 keep {Host=h} done; end");
}

TEST(values_are_trimmed_and_may_be_empty)
{
    REQUEST("GET / HTTP/1.1\r\nHost: \t h \t \r\nA:\r\nB: \r\nC:x\r\nA: 2\r\n\r\n",
            "GET / 1.1 keep {Host=h A= B= C=x A=2} done; end");
    REQUEST("GET / HTTP/1.1\r\nHost: h\r\nX: \xc3\xa4 y\r\n\r\n",
            "GET / 1.1 keep {Host=h X=\xc3\xa4 y} done; end");
}

TEST(keep_alive)
{
#define KEEP(version, header, want)                                                            \
    REQUEST("GET / HTTP/" version "\r\nHost: h\r\n" header "\r\n\r\n", want)
    KEEP("1.1", "Connection: close", "GET / 1.1 close {Host=h Connection=close} done; end");
    KEEP("1.1", "Connection: te, CLOSE",
         "GET / 1.1 close {Host=h Connection=te, CLOSE} done; end");
    KEEP("1.1", "Connection: keep-alive\r\nconnection: close",
         "GET / 1.1 close {Host=h Connection=keep-alive connection=close} done; end");
    KEEP("1.1", "Connection: closed", "GET / 1.1 keep {Host=h Connection=closed} done; end");
    KEEP("1.0", "A: b", "GET / 1.0 close {Host=h A=b} done; end");
    KEEP("1.0", "Connection: Keep-Alive",
         "GET / 1.0 keep {Host=h Connection=Keep-Alive} done; end");
    KEEP("1.0", "Connection: keep-alive, close",
         "GET / 1.0 close {Host=h Connection=keep-alive, close} done; end");
#undef KEEP
}

TEST(bytes_behind_a_closing_message_are_dropped)
{
    REQUEST(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / 1.1 close {Host=h Connection=close} done; end");
}

TEST(request_verbs)
{
    static const struct {
        const char *text;
        enum http_verb verb;
    } verbs[] = {{"GET", HTTP_VERB_GET},       {"HEAD", HTTP_VERB_HEAD},
                 {"POST", HTTP_VERB_POST},     {"PUT", HTTP_VERB_PUT},
                 {"DELETE", HTTP_VERB_DELETE}, {"OPTIONS", HTTP_VERB_OPTIONS},
                 {"PATCH", HTTP_VERB_PATCH},   {"TRACE", HTTP_VERB_OTHER},
                 {"PROPFIND", HTTP_VERB_OTHER}};

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        struct witness w;
        char text[64];
        int n = snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: h\r\n\r\n", verbs[i].text);

        tell(&w, HTTP_KIND_REQUEST, false, str_make(text, (size_t)n), 0, 1);
        CHECK_INT(w.n_heads, 1);
        CHECK_INT(w.verb, verbs[i].verb);
        witness_release(&w);
    }
}

TEST(request_targets)
{
#define TARGET(target, want) REQUEST("GET " target " HTTP/1.1\r\nHost: h:1\r\n\r\n", want)
    TARGET("/?", "GET /? 1.1 keep {Host=h:1} done; end");
    TARGET("/a%20b//../c;d?x=/?", "GET /a%20b//../c;d?x=/? 1.1 keep {Host=h:1} done; end");
    TARGET("http://H:1/a?b", "GET /a?b 1.1 keep {Host=h:1} done; end");
    TARGET("http://h:1", "GET / 1.1 keep {Host=h:1} done; end");
    TARGET("http://h:1?b", "GET /?b 1.1 keep {Host=h:1} done; end");
    TARGET("http://other/a",
           "refused 400: the request target names another host than the Host header");
    TARGET("http://u@h:1/a",
           "refused 400: the request target names another host than the Host header");
    TARGET("ftp://h:1/a", "refused 400: the request target is neither a path nor an http URL");
    TARGET("*", "refused 400: the request target is neither a path nor an http URL");
    TARGET("/a#b", "refused 400: the request target has a fragment");
#undef TARGET
    REQUEST("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * 1.1 keep {Host=h} done; end");
    REQUEST("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
            "refused 501: CONNECT is not supported");
}

TEST(upgrade_is_only_a_header)
{
    REQUEST("GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
            "GET /b HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a 1.1 keep {Host=h Connection=upgrade Upgrade=h2c} done; "
            "GET /b 1.1 keep {Host=h} done; end");
    REQUEST("POST /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
            "Content-Length: 2\r\n\r\nok",
            "POST /a 1.1 keep length=2 {Host=h Connection=upgrade Upgrade=h2c "
            "Content-Length=2}\"ok\" done; end");
}

/* --- the 49 malformed requests ------------------------------------------------------------ */

#define LF_HEAD "POST /rpc HTTP/1.1\r\nHost: h\r\n"
#define BODY "{\"a\":1}"

#define NO_LENGTH "refused 400: Content-Length is not a decimal number"
#define TWO_LENGTHS "refused 400: Content-Length is given twice or beside Transfer-Encoding"
#define BAD_TOKEN "refused 400: a header line holds a byte that must not stand there"
#define BAD_END "refused 400: a line or chunk does not end in CR LF"
#define BARE_LF "refused 400: a line ends in LF without CR"
#define FOLDED "refused 400: a header is folded over several lines"
#define NOT_CHUNKED "refused 501: chunked is the only transfer coding understood"
#define BAD_CODING "refused 400: Transfer-Encoding does not end in chunked"
#define BAD_SIZE "refused 400: a chunk size is not a hexadecimal number"
#define TOO_LONG "refused 413: the body is larger than allowed"
#define CHUNKED_HEAD "POST /rpc 1.1 keep chunked {Host=h Transfer-Encoding=chunked}"

TEST(survey_lengths)
{
#define LENGTH(headers, want) REQUEST(LF_HEAD headers "\r\n" BODY, want)
    /* CL+TE: chunked (TE wins?) */
    LENGTH("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", TWO_LENGTHS);
    LENGTH("Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", TWO_LENGTHS);
    /* two different CL */
    LENGTH("Content-Length: 7\r\nContent-Length: 3\r\n", TWO_LENGTHS);
    /* two identical CL */
    LENGTH("Content-Length: 7\r\nContent-Length: 7\r\n", TWO_LENGTHS);
    /* CL: "7, 7" */
    LENGTH("Content-Length: 7, 7\r\n", NO_LENGTH);
    /* CL: +7 */
    LENGTH("Content-Length: +7\r\n", NO_LENGTH);
    /* CL: -1 */
    LENGTH("Content-Length: -1\r\n", NO_LENGTH);
    /* CL: 0x7 */
    LENGTH("Content-Length: 0x7\r\n", NO_LENGTH);
    /* CL: 7 7 (space) */
    LENGTH("Content-Length: 7 7\r\n", NO_LENGTH);
    /* CL huge 2^64+7 */
    LENGTH("Content-Length: 18446744073709551623\r\n", NO_LENGTH);
    LENGTH("Content-Length: 18446744073709551615\r\n", TOO_LONG);
    LENGTH("Content-Length:\r\n", NO_LENGTH);
    /* space before colon "Content-Length :" */
    LENGTH("Content-Length : 7\r\n", BAD_TOKEN);
    LENGTH("Content-Length\t: 7\r\n", BAD_TOKEN);
    /* CL 10 GB */
    LENGTH("Content-Length: 10737418240\r\n", TOO_LONG);
#undef LENGTH
}

TEST(survey_transfer_codings)
{
#define CODING(headers, want) REQUEST(LF_HEAD headers "\r\n7\r\n" BODY "\r\n0\r\n\r\n", want)
    /* TE: xchunked + CL */
    CODING("Transfer-Encoding: xchunked\r\nContent-Length: 7\r\n", TWO_LENGTHS);
    CODING("Transfer-Encoding: xchunked\r\n", NOT_CHUNKED);
    /* TE: chunked, identity */
    CODING("Transfer-Encoding: chunked, identity\r\n", BAD_CODING);
    CODING("Transfer-Encoding: gzip, chunked\r\n", NOT_CHUNKED);
    /* TE: identity, no CL */
    CODING("Transfer-Encoding: identity\r\n", NOT_CHUNKED);
    CODING("Transfer-Encoding:\r\n", NOT_CHUNKED);
    /* TE:\x0bchunked */
    CODING("Transfer-Encoding:\x0b"
           "chunked\r\n",
           BAD_TOKEN);
    /* TE twice chunked */
    CODING("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BAD_CODING);
    CODING("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", BAD_CODING);
#undef CODING
    /* TE chunked HTTP/1.0 */
    REQUEST("POST /rpc HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "refused 400: HTTP/1.0 has no Transfer-Encoding");
}

TEST(survey_chunks)
{
#define CHUNKS(body, want)                                                                     \
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n" body, CHUNKED_HEAD want)
    /* chunk size bare LF */
    CHUNKS("7\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    /* chunk data not followed by CRLF */
    CHUNKS("7\r\n" BODY "0\r\n\r\n", "\"" BODY "\"" BAD_END);
    CHUNKS("7\r\n" BODY "\n0\r\n\r\n", "\"" BODY "\"" BAD_END);
    /* chunk size 0x7 / "7 ;x" */
    CHUNKS("0x7\r\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    CHUNKS("7 ;x\r\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    CHUNKS("-7\r\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    CHUNKS("\r\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    /* chunk size overflow */
    CHUNKS("10000000000000007\r\n" BODY "\r\n0\r\n\r\n", BAD_SIZE);
    CHUNKS("ffffffffffffffff\r\n" BODY "\r\n0\r\n\r\n", TOO_LONG);
    /* chunk ext with bare LF */
    CHUNKS("7;a\n" BODY "\r\n0\r\n\r\n", BAD_END);
    CHUNKS("7;a=\"\n\"\r\n" BODY "\r\n0\r\n\r\n", BAD_END);
    CHUNKS("0\r\nA: b\n\r\n", BAD_TOKEN);
    CHUNKS("0\r\n\n", BARE_LF);
#undef CHUNKS
}

TEST(survey_lines)
{
    /* bare LF line endings */
    REQUEST("POST /rpc HTTP/1.1\nHost: h\nContent-Length: 7\n\n" BODY, BARE_LF);
    REQUEST("POST /rpc HTTP/1.1\r\nHost: h\nContent-Length: 7\r\n\r\n" BODY, BARE_LF);
    REQUEST("POST /rpc HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\n" BODY, BARE_LF);
    /* bare CR in header value */
    REQUEST(LF_HEAD "A: b\rc\r\n\r\n", BAD_END);
    REQUEST(LF_HEAD "A: b\r\r\n\r\n", BAD_END);
    /* obs-fold */
    REQUEST(LF_HEAD "A: b\r\n c\r\n\r\n", FOLDED);
    REQUEST(LF_HEAD "A: b\r\n\tc\r\n\r\n", FOLDED);
    REQUEST(LF_HEAD "A: b\r\n \r\n\r\n", FOLDED);
    REQUEST(LF_HEAD "A:\r\n b\r\n\r\n", FOLDED);
    REQUEST(LF_HEAD "Content-Length:\r\n 7\r\n\r\n" BODY, FOLDED);
    REQUEST(LF_HEAD "Content-Length: \r\n\t7\r\n\r\n" BODY, FOLDED);
    REQUEST(LF_HEAD "Content-Length: 1\r\n 7\r\n\r\n" BODY, FOLDED);
    REQUEST(LF_HEAD "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", FOLDED);
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nA:\r\n b\r\n\r\n",
            CHUNKED_HEAD FOLDED);
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n A: b\r\n\r\n",
            CHUNKED_HEAD FOLDED);
    /* fold in first header */
    REQUEST("POST /rpc HTTP/1.1\r\n Host: h\r\n\r\n", FOLDED);
    /* NUL in header value, name */
    REQUEST(LF_HEAD "A: b\0c\r\n\r\n", BAD_TOKEN);
    REQUEST(LF_HEAD "A\0b: c\r\n\r\n", BAD_TOKEN);
    REQUEST(LF_HEAD "A: b\x7f\r\n\r\n", BAD_TOKEN);
    /* header without colon */
    REQUEST(LF_HEAD "nonsense\r\n\r\n", BAD_TOKEN);
    /* empty header name */
    REQUEST(LF_HEAD ": b\r\n\r\n", "refused 400: a header has no name");
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n: b\r\n\r\n",
            CHUNKED_HEAD "refused 400: a header has no name");
}

TEST(survey_hosts)
{
    /* no Host (1.1) */
    REQUEST("GET / HTTP/1.1\r\nA: b\r\n\r\n", "refused 400: the Host header is missing");
    REQUEST("GET / HTTP/1.1\r\n\r\n", "refused 400: the Host header is missing");
    REQUEST("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 close {} done; end");
    /* two Hosts */
    REQUEST("GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n",
            "refused 400: there is more than one Host header");
    REQUEST("GET / HTTP/1.0\r\nHost: h\r\nhost: g\r\n\r\n",
            "refused 400: there is more than one Host header");
#define NO_HOST(value)                                                                         \
    REQUEST("GET / HTTP/1.1\r\nHost: " value "\r\n\r\n",                                       \
            "refused 400: the Host header is not a host")
    NO_HOST("");
    NO_HOST("h, g");
    NO_HOST("h/a");
    NO_HOST("u@h");
    NO_HOST("h g");
    NO_HOST("h\xc3\xa4");
#undef NO_HOST
}

TEST(survey_request_line)
{
#define LINE(line, want) REQUEST(line "\r\nHost: h\r\n\r\n", want)
#define OLD "refused 505: only HTTP/1.0 and HTTP/1.1 are spoken here"
#define BAD_VERSION "refused 400: the first line holds no HTTP version where one belongs"
#define SPACES "refused 400: the request line has more than two spaces"
#define ZERO_NINE "refused 400: the request line has no HTTP version (HTTP/0.9 is not spoken)"
#define BAD_TARGET "refused 400: the request target holds a byte that must be percent-encoded"
    /* method with bad char */
    LINE("P(ST / HTTP/1.1", "refused 400: the method holds a byte that must not stand there");
    LINE("(OST / HTTP/1.1", "refused 400: the request does not begin with a method");
    /* unknown method FOO */
    LINE("FOO / HTTP/1.1", "refused 501: the method is not known");
    LINE("GETS / HTTP/1.1", "refused 501: the method is not known");
    LINE("get / HTTP/1.1", "refused 501: the method is not known");
    LINE("DESCRIBE / HTTP/1.1", "refused 501: the method is not known");
    /* HTTP/1.2, HTTP/3.7 */
    LINE("GET / HTTP/1.2", OLD);
    LINE("GET / HTTP/3.7", OLD);
    LINE("GET / HTTP/0.9", OLD);
    LINE("GET / HTTP/2.0", OLD);
    LINE("GET / HTTP/1.1x", BAD_VERSION);
    LINE("GET / HTTP/1.10", BAD_VERSION);
    LINE("GET / HTTP/11", BAD_VERSION);
    LINE("GET / http/1.1", BAD_VERSION);
    LINE("GET / HTTP/1.1\t", BAD_VERSION);
    /* HTTP/0.9 "GET /rpc" */
    LINE("GET /rpc", ZERO_NINE);
    LINE("GET", ZERO_NINE);
    /* double space request line */
    LINE("GET  / HTTP/1.1", SPACES);
    LINE("GET /  HTTP/1.1", SPACES);
    LINE("GET / HTTP/1.1 ", SPACES);
    LINE("GET /a b HTTP/1.1", SPACES);
    LINE("GET\t/\tHTTP/1.1", ZERO_NINE);
    /* URI with 0x80 byte, with ctrl 0x01 */
    LINE("GET /\x80 HTTP/1.1", BAD_TARGET);
    LINE("GET /\x01 HTTP/1.1", BAD_TARGET);
    LINE("GET /\t HTTP/1.1", BAD_TARGET);
    LINE("GET /\x7f HTTP/1.1", BAD_TARGET);
    LINE("GET /a\rb HTTP/1.1", BAD_TARGET);
#undef LINE
}

/* A head made of `n` times `unit` between `before` and `behind`. */
static void check_repeated(int line, const char *before, const char *unit, size_t n,
                           const char *behind, const char *want)
{
    struct buf text;

    buf_init(&text, MB(1));
    buf_add_str(&text, str_of(before));
    for (size_t i = 0; i < n; i++)
        buf_add_str(&text, str_of(unit));
    buf_add_str(&text, str_of(behind));
    check_story(line, HTTP_KIND_REQUEST, false, buf_str(&text), want);
    buf_release(&text);
}

#define REPEATED(before, unit, n, behind, want)                                                \
    check_repeated(__LINE__, before, unit, n, behind, want)

TEST(survey_sizes)
{
#define MANY "refused 431: more headers than allowed"
#define LARGE "refused 431: the headers are larger than allowed"
#define LONG_TARGET "refused 414: the request target is longer than allowed"
#define LONG_LINE "refused 414: the first line is longer than allowed"
    static const char first[] = "GET / HTTP/1.1\r\nHost: h\r\n";
    const size_t frame = sizeof first - 1 + sizeof "A: \r\n\r\n" - 1;

    /* 64 KB header */
    REPEATED("GET / HTTP/1.1\r\nHost: h\r\nA: ", "x", KB(64), "\r\n\r\n", LARGE);
    REPEATED("GET / HTTP/1.1\r\nHost: h\r\nA: ", "x", LIMIT_HTTP_HEAD - frame + 1, "\r\n\r\n",
             LARGE);
    /* 2000 headers */
    REPEATED(first, "A: b\r\n", 2000, "\r\n", MANY);
    REPEATED(first, "A: b\r\n", LIMIT_HTTP_HEADERS, "\r\n", MANY);
    REPEATED(first, "A: b\r\n", LIMIT_HTTP_HEADERS - 1, "\r\n", "GET / 1.1 keep {} done; end");
    /* 64 KB URI */
    REPEATED("GET /", "x", KB(64), " HTTP/1.1\r\nHost: h\r\n\r\n", LONG_LINE);
    REPEATED("GET /", "x", LIMIT_HTTP_TARGET, " HTTP/1.1\r\nHost: h\r\n\r\n", LONG_TARGET);
    REPEATED("", "x", KB(64), "", LONG_LINE);
}

TEST(largest_target_and_head_are_accepted)
{
    struct buf text;
    struct witness w;

    buf_init(&text, MB(1));
    BUF_LIT(&text, "OPTIONS /");
    for (size_t i = 1; i < LIMIT_HTTP_TARGET; i++)
        buf_add_char(&text, 'x');
    BUF_LIT(&text, " HTTP/1.1\r\nHost: h\r\nA: ");
    while (text.n < LIMIT_HTTP_HEAD - 4)
        buf_add_char(&text, 'y');
    BUF_LIT(&text, "\r\n\r\n");
    for (size_t step = 1; step < 3 * LIMIT_HTTP_HEAD; step *= 3) {
        tell(&w, HTTP_KIND_REQUEST, false, buf_str(&text), 0, step);
        CHECK_INT(w.n_heads, 1);
        CHECK(w.story.n > 9 && memcmp(w.story.p + w.story.n - 9, "done; end", 9) == 0);
        witness_release(&w);
    }
    buf_release(&text);
}

TEST(survey_sequences)
{
    /* pipelined x3 */
    REQUEST(
        "GET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
        "GET /c HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a 1.1 keep {Host=h} done; "
        "POST /b 1.1 keep length=2 {Host=h Content-Length=2}\"ok\" done; "
        "GET /c 1.1 keep {Host=h} done; end");
    /* leading CRLF */
    REQUEST("\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n\r\n",
            "GET /a 1.1 keep {Host=h} done; GET /b 1.1 keep {Host=h} done; end");
    REQUEST("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "refused 400: the request does not begin with a method");
    REQUEST("\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "refused 400: the request does not begin with a method");
    REQUEST("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", "refused 400: a line ends in CR without LF");
    /* POST no CL no TE: it has no body, and what follows is no request */
    REQUEST(
        LF_HEAD "\r\n" BODY,
        "POST /rpc 1.1 keep {Host=h} done; refused 400: the request does not begin with a method");
    /* TLS hello */
    REQUEST("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            "refused 400: this port speaks plain HTTP, the request looks like TLS");
    /* h2 preface */
    REQUEST("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "refused 400: this port speaks HTTP/1.1, the request looks like HTTP/2");
}

TEST(survey_expectations)
{
    struct witness w;
    struct str text = STR(LF_HEAD "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nok");

    /* Expect: 100-continue */
    tell(&w, HTTP_KIND_REQUEST, false, text, 0, 1);
    CHECK_INT(w.n_heads, 1);
    CHECK(w.expects_continue);
    witness_release(&w);
    tell(&w, HTTP_KIND_REQUEST, false, STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), 0,
         1);
    CHECK_INT(w.n_heads, 1);
    CHECK(!w.expects_continue);
    witness_release(&w);
    REQUEST(LF_HEAD "Expect: tea\r\n\r\n",
            "refused 417: the only expectation that can be met is 100-continue");
    REQUEST(LF_HEAD "Expect: 100-continue\r\nExpect: tea\r\n\r\n",
            "refused 417: the only expectation that can be met is 100-continue");
}

/* --- limits on bodies --------------------------------------------------------------------- */

TEST(body_limit)
{
    struct witness w;
    struct buf text;

    REQUEST(LF_HEAD "Content-Length: 1001\r\n\r\nxyz", TOO_LONG);
    REQUEST(
        LF_HEAD "Content-Length: 1000\r\n\r\n",
        "POST /rpc 1.1 keep length=1000 {Host=h Content-Length=1000}closed by the other side");
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3e6\r\nxyz",
            CHUNKED_HEAD "\"abc\"" TOO_LONG);
    buf_init(&text, MB(1));
    BUF_LIT(&text, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < BODY_MAX + 1; i++)
        buf_add_char(&text, 'x');
    for (size_t step = 1; step < 3000; step *= 7) {
        tell(&w, HTTP_KIND_RESPONSE, false, buf_str(&text), 0, step);
        /* What fits is handed on, the byte too many is not. */
        CHECK_INT(w.story.n,
                  sizeof "200 1.1 close {}" - 1 + 2 + BODY_MAX + sizeof TOO_LONG - 1);
        witness_release(&w);
    }
    buf_release(&text);
}

TEST(body_limit_of_one_message)
{
    struct str text =
        STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    struct witness w;
    struct http_parser *p;

    witness_init(&w);
    w.allow_body = 2;
    p = http_parser_new(HTTP_KIND_RESPONSE, BODY_MAX, &events, &w);
    CHECK_INT(feed(p, text.p, text.n), ERR_LIMIT);
    CHECK_INT(http_parser_status(p), 413);
    http_parser_reset(p);
    w.allow_body = 3;
    CHECK_INT(feed(p, text.p, text.n), 0);
    w.allow_body = 0;
    CHECK_INT(feed(p, text.p, text.n), 0);
    http_parser_free(p);
    p = http_parser_new(HTTP_KIND_RESPONSE, 2, &events, &w);
    w.allow_body = SIZE_MAX;
    CHECK_INT(feed(p, text.p, text.n), 0);
    w.allow_body = 0;
    CHECK_INT(feed(p, text.p, text.n), ERR_LIMIT);
    http_parser_free(p);
    witness_release(&w);
}

TEST(framing_limit)
{
#define FRAMING CHUNKED_HEAD "refused 413: the chunks consist of framing more than of data"
    REPEATED(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n1;a=", "x", KB(40),
             "\r\na\r\n0\r\n\r\n", FRAMING);
    REPEATED(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n", "0", KB(40), "1\r\na\r\n0\r\n\r\n",
             FRAMING);
    REPEATED(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", KB(6), "\r\n",
             FRAMING);
    REPEATED(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\nA: ", "x", KB(40), "\r\n\r\n",
             FRAMING);
    /* An error behind the limit is never reached. */
    REPEATED(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n1;a=", "x", KB(40), "\n", FRAMING);
#undef FRAMING
}

TEST(tiny_chunks_are_no_abuse)
{
    struct buf text;
    struct witness w;

    buf_init(&text, MB(1));
    BUF_LIT(&text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40000; i++)
        BUF_LIT(&text, "1\r\nx\r\n");
    BUF_LIT(&text, "0\r\n\r\n");
    witness_init(&w);
    w.allow_body = SIZE_MAX;
    {
        struct http_parser *p = http_parser_new(HTTP_KIND_RESPONSE, BODY_MAX, &events, &w);

        CHECK_INT(feed(p, text.p, text.n), 0);
        CHECK(!http_parser_is_mid_message(p));
        http_parser_free(p);
    }
    witness_release(&w);
    buf_release(&text);
}

/* --- responses ---------------------------------------------------------------------------- */

TEST(response_with_length_in_chunks_and_until_end)
{
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
             "200 1.1 keep length=2 {Content-Length=2}\"ok\" done; end");
    RESPONSE("HTTP/1.1 404 \r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
             "404 1.1 keep chunked {Transfer-Encoding=chunked}\"no\" done; end");
    RESPONSE("HTTP/1.1 200 OK\r\nA: b\r\n\r\neverything\r\n\r\n",
             "200 1.1 close {A=b}\"everything\r\n\r\n\" done; end");
    RESPONSE("HTTP/1.0 200 OK\r\n\r\n", "200 1.0 close {} done; end");
    RESPONSE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
             "200 1.1 keep length=0 {Content-Length=0} done; end");
    RESPONSE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
             "200 1.0 keep length=1 {Connection=keep-alive Content-Length=1}\"x\" done; end");
    RESPONSE("HTTP/1.1 200 Gr\xc3\xbc\xc3\x9f Gott, 2  spaces\r\nContent-Length: 0\r\n\r\n",
             "200 1.1 keep length=0 {Content-Length=0} done; end");
}

TEST(responses_that_have_no_body)
{
    RESPONSE(
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "204 1.1 keep {} done; 304 1.1 keep length=9 {Content-Length=9} done; "
        "200 1.1 keep length=1 {Content-Length=1}\"x\" done; end");
    RESPONSE("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
             "204 1.1 keep length=0 {Content-Length=0} done; end");
    /* A 204 that comes with a body all the same: answered, and its connection not used again. */
    RESPONSE("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
             "204 1.1 close length=3 {Content-Length=3} done; end");
    RESPONSE("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "204 1.1 close chunked {Transfer-Encoding=chunked} done; end");
    HEAD_RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                  "200 1.1 keep length=99999999 {Content-Length=99999999} done; "
                  "200 1.1 keep length=1 {Content-Length=1}\"x\" done; end");
    HEAD_RESPONSE("HTTP/1.1 200 OK\r\n\r\n", "200 1.1 keep {} done; end");
    HEAD_RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "200 1.1 keep chunked {Transfer-Encoding=chunked} done; end");
}

TEST(interim_responses_are_skipped)
{
    RESPONSE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
             "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
             "200 1.1 keep length=2 {Content-Length=2}\"ok\" done; end");
    HEAD_RESPONSE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
                  "200 1.1 keep length=2 {Content-Length=2} done; end");
    RESPONSE("HTTP/1.1 100 Continue\r\n\r\n", "closed by the other side");
    RESPONSE("HTTP/1.1 100 Continue\r\nContent-Length: 4\r\n\r\n",
             "refused 400: an interim response declares a body");
    RESPONSE("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
             "refused 400: the answer switches protocols, which was not asked for");
#define TEN(x) x x x x x x x x x x
    RESPONSE(TEN("HTTP/1.1 102 Processing\r\n\r\n") "HTTP/1.1 204 X\r\n\r\n",
             "204 1.1 keep {} done; end");
    RESPONSE(TEN("HTTP/1.1 102 Processing\r\n\r\n") "HTTP/1.1 102 X\r\n\r\n",
             "refused 400: there is no end of interim responses");
#undef TEN
}

TEST(malformed_responses)
{
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
             TWO_LENGTHS);
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
             TWO_LENGTHS);
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
             "0\r\n\r\n",
             TWO_LENGTHS);
    RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"
             "0\r\n\r\n",
             TWO_LENGTHS);
    RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx", NOT_CHUNKED);
    RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nx", NOT_CHUNKED);
    RESPONSE("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "refused 400: HTTP/1.0 has no Transfer-Encoding");
    RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
             "200 1.1 keep chunked {Transfer-Encoding=chunked}" BAD_SIZE);
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok", FOLDED);
    RESPONSE("HTTP/1.1 200 OK\nContent-Length: 2\n\nok", BARE_LF);
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok", BAD_TOKEN);
#define BAD_STATUS "refused 400: the status is not a number from 100 to 599"
    RESPONSE("HTTP/1.1  200 OK\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/1.1 20 OK\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/1.1 2000 OK\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/1.1 099 OK\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/1.1 600 OK\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/1.1\r\n\r\n", BAD_STATUS);
    RESPONSE("HTTP/2.0 200 OK\r\n\r\n", OLD);
    RESPONSE("ICY 200 OK\r\n\r\n", "refused 400: the answer does not begin like HTTP");
    RESPONSE("HTTPS 200 OK\r\n\r\n", BAD_VERSION);
    RESPONSE("\r\nHTTP/1.1 200 OK\r\n\r\n", "refused 400: the answer does not begin like HTTP");
    RESPONSE("\x15\x03\x01", "refused 400: the answer is not HTTP, it looks like TLS");
}

/* --- ends, resets, callbacks -------------------------------------------------------------- */

TEST(messages_cut_short)
{
    REQUEST("", "end");
    REQUEST("\r\n", "end");
    REQUEST("G", "closed by the other side");
    REQUEST(LF_HEAD, "closed by the other side");
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
            CHUNKED_HEAD "\"ab\"closed by the other side");
    REQUEST(LF_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n",
            CHUNKED_HEAD "closed by the other side");
    RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
             "200 1.1 keep length=3 {Content-Length=3}\"ab\"closed by the other side");
}

TEST(feed_stops_behind_each_message)
{
    struct str text =
        STR("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET");
    struct witness w;
    struct http_parser *p;
    size_t used;

    witness_init(&w);
    p = http_parser_new(HTTP_KIND_REQUEST, BODY_MAX, &events, &w);
    CHECK_INT(http_parser_feed(p, text.p, text.n, &used), 0);
    CHECK_INT(used, 28);
    CHECK_INT(w.n_heads, 1);
    CHECK(!http_parser_is_mid_message(p));
    CHECK(!http_parser_has_head(p));
    CHECK_INT(http_parser_feed(p, text.p + 28, text.n - 28, &used), 0);
    CHECK_INT(used, 28);
    CHECK_INT(w.n_heads, 2);
    CHECK_INT(http_parser_feed(p, text.p + 56, text.n - 56, &used), 0);
    CHECK_INT(used, 3);
    CHECK(http_parser_is_mid_message(p));
    CHECK(!http_parser_has_head(p));
    CHECK_INT(http_parser_feed(p, text.p, 0, &used), 0);
    CHECK_INT(used, 0);
    http_parser_free(p);
    witness_release(&w);
}

TEST(errors_stay_until_reset)
{
    struct witness w;
    struct http_parser *p;
    size_t used;

    witness_init(&w);
    p = http_parser_new(HTTP_KIND_REQUEST, BODY_MAX, &events, &w);
    CHECK_INT(http_parser_status(p), 0);
    CHECK_STR(str_of(http_parser_why(p)), STR(""));
    CHECK_INT(http_parser_feed(p, "GET\r\n", 5, &used), ERR_SYNTAX);
    CHECK_INT(http_parser_feed(p, "", 0, &used), ERR_SYNTAX);
    CHECK_INT(http_parser_finish(p), ERR_SYNTAX);
    CHECK_INT(http_parser_status(p), 400);
    http_parser_reset(p);
    CHECK_INT(http_parser_status(p), 0);
    CHECK_INT(feed(p, "GET / HTTP/1.0\r\n\r\nx", 19), 0);
    CHECK_INT(http_parser_finish(p), 0);
    CHECK_STR(buf_str(&w.story), STR("GET / 1.0 close {} done; "));
    http_parser_free(p);
    witness_release(&w);
}

#define TWO_CHUNKS LF_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"

TEST(callbacks_stop_the_parser)
{
    struct str text = STR(TWO_CHUNKS);

    for (int which = 0; which < 3; which++) {
        struct witness w;
        struct http_parser *p;

        witness_init(&w);
        w.on_head_result = which == 0 ? ERR_FULL : 0;
        w.on_body_result = which == 1 ? ERR_FULL : 0;
        w.on_done_result = which == 2 ? ERR_FULL : 0;
        p = http_parser_new(HTTP_KIND_REQUEST, BODY_MAX, &events, &w);
        CHECK_INT(feed(p, text.p, text.n), ERR_FULL);
        CHECK_INT(w.body.n, which == 1 ? 1 : 0);
        CHECK_INT(http_parser_status(p), 0);
        CHECK_INT(feed(p, text.p, text.n), ERR_FULL);
        CHECK_INT(w.n_heads, 1);
        http_parser_free(p);
        witness_release(&w);
    }
}

TEST(callbacks_may_free_the_parser)
{
    struct str text = STR(TWO_CHUNKS TWO_CHUNKS);

    for (int which = 0; which < 3; which++) {
        struct witness w;
        struct http_parser *p;

        witness_init(&w);
        w.frees_on_head = which == 0;
        w.frees_on_body = which == 1;
        w.frees_on_done = which == 2;
        p = http_parser_new(HTTP_KIND_REQUEST, BODY_MAX, &events, &w);
        CHECK_INT(feed(p, text.p, text.n), ERR_CANCELED);
        CHECK_INT(w.n_heads, 1);
        witness_release(&w);
    }
    {
        struct witness w;
        struct http_parser *p;

        witness_init(&w);
        w.frees_on_done = true;
        p = http_parser_new(HTTP_KIND_RESPONSE, BODY_MAX, &events, &w);
        CHECK_INT(feed(p, "HTTP/1.1 200 OK\r\n\r\nx", 20), 0);
        CHECK_INT(http_parser_finish(p), ERR_CANCELED);
        witness_release(&w);
    }
    http_parser_free(NULL);
}

static int look_up(struct http_parser *p, const struct http_head *h, void *arg)
{
    (void)p;
    CHECK_STR(http_head_get(h, STR("content-type")), STR("a/b"));
    CHECK_STR(http_head_get(h, STR("EMPTY")), STR(""));
    CHECK_STR(http_head_get(h, STR("absent")), STR_NONE);
    CHECK_STR(h->target, STR("/a?b=c"));
    CHECK_STR(h->path, STR("/a"));
    CHECK_STR(h->query, STR("b=c"));
    *(const struct http_head **)arg = h;
    return 0;
}

static int do_nothing(struct http_parser *p, void *arg)
{
    (void)p;
    (void)arg;
    return 0;
}

static int drop_body(struct http_parser *p, struct str piece, void *arg)
{
    (void)p;
    (void)piece;
    (void)arg;
    return 0;
}

TEST(views_outlive_the_message)
{
    static const struct http_events ev = {look_up, drop_body, do_nothing};
    struct str text = STR("GET /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nEmpty:\r\n"
                          "Content-Type: second\r\n\r\n\r\n");
    const struct http_head *head = NULL;
    struct http_parser *p = http_parser_new(HTTP_KIND_REQUEST, BODY_MAX, &ev, &head);

    CHECK_INT(feed(p, text.p, text.n), 0);
    CHECK(head != NULL);
    if (head)
        look_up(p, head, &head);
    http_parser_free(p);
}

/* --- writers ------------------------------------------------------------------------------ */

TEST(status_texts)
{
    CHECK_STR(str_of(http_status_text(200)), STR("OK"));
    CHECK_STR(str_of(http_status_text(404)), STR("Not Found"));
    CHECK_STR(str_of(http_status_text(299)), STR(""));
    CHECK_STR(str_of(http_status_text(-1)), STR(""));
}

TEST(written_response)
{
    struct buf out;

    buf_init(&out, KB(4));
    http_write_status(&out, 503);
    http_write_header(&out, "Retry-After", STR("1"));
    http_write_header(&out, "X-Empty", STR_NONE);
    http_write_length(&out, 12345);
    http_write_end(&out);
    CHECK_STR(buf_str(&out),
              STR("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nX-Empty: \r\n"
                  "Content-Length: 12345\r\n\r\n"));
    buf_clear(&out);
    http_write_status(&out, 299);
    CHECK_STR(buf_str(&out), STR("HTTP/1.1 299 \r\n"));
    buf_release(&out);
}

TEST(written_request_is_read_back)
{
    struct buf out;
    char *story;

    buf_init(&out, KB(4));
    http_write_request_line(&out, "POST", STR("/a?b"));
    http_write_header(&out, "Host", STR("h:80"));
    http_write_length(&out, 2);
    http_write_end(&out);
    BUF_LIT(&out, "ok");
    CHECK_INT(buf_error(&out), 0);
    story = examine(HTTP_KIND_REQUEST, false, buf_str(&out));
    CHECK_STR(str_of(story),
              STR("POST /a?b 1.1 keep length=2 {Host=h:80 Content-Length=2}\"ok\" done; end"));
    mem_free(story);
    buf_release(&out);
}

TEST(full_buffer_sticks)
{
    struct buf out;

    buf_init(&out, 30);
    http_write_status(&out, 200);
    http_write_header(&out, "Content-Type", STR("application/json"));
    http_write_end(&out);
    CHECK_INT(buf_error(&out), ERR_LIMIT);
    CHECK_STR(buf_str(&out), STR("HTTP/1.1 200 OK\r\n"));
    buf_release(&out);
}

TEST(header_values)
{
    CHECK(http_is_header_value(STR("")));
    CHECK(http_is_header_value(STR("a\tb \xc3\xa4")));
    CHECK(!http_is_header_value(STR("a\r")));
    CHECK(!http_is_header_value(STR("a\nb")));
    CHECK(!http_is_header_value(STR("\0")));
    CHECK(!http_is_header_value(STR("\x7f")));
    CHECK(!http_is_header_value(STR("\x1f")));
}

TEST_MAIN
