/* SPDX-License-Identifier: MIT
 *
 * The HTTP/1.1 parser: a line reader in front of llhttp.
 *
 * llhttp knows the grammar, but its callbacks hide what a gateway must see: a folded
 * Content-Length arrives as a plain one, a name may come in pieces, two spaces look like one.
 * So a head is first gathered, line by line, into one buffer; each line is looked at as it was
 * sent; and only a whole head goes to llhttp, in one call. Three things follow:
 *
 *   1. No line of a head or trailer starts with SP or HTAB, and every one ends in CR LF.
 *      Nothing is folded, and nobody behind us can count the lines differently.
 *   2. What comes out does not depend on how the bytes were cut: llhttp never sees a cut head.
 *   3. Names, values and target are views into the gathered bytes: one copy per line, no
 *      allocation per header, and the buffers stay for the next message.
 *
 * Body bytes go to llhttp as they come, and from it to on_body uncopied. Bytes of chunk framing
 * (sizes, extensions, trailers) are counted, because they cost us and carry nothing.
 *
 *          begin_message         parse_head         tell_done, keep_alive
 *     IDLE -------------> HEAD -------------> BODY -----------------------+--> IDLE
 *                         |  ^                | | last chunk              |
 *                         +--+                | +-----------> TRAILERS ---+
 *                     skip_interim            |                  |
 *                                             +------------------+-----------> CLOSED
 *     any --- refuse, stop ---> FAILED             tell_done, not keep_alive
 *
 *   IDLE      no byte of a message has been seen; the views of the last one still hold
 *   HEAD      raw holds the head so far; line_at is where its unfinished line starts
 *   BODY      head is valid; messages without a body pass through
 *   TRAILERS  the last chunk is over; lines are checked, but what they say is dropped
 *   CLOSED    the connection carries no further message; bytes are dropped
 *   FAILED    err says why; so do status and why, unless a callback stopped us
 *
 * Deliberately absent: deadlines (the connection's), Upgrade (never accepted; to us it is a
 * header like others), trailers as data, transfer codings other than chunked. What a head
 * *means* is http_head.c.
 */
#include "lib/http.h"

#include <llhttp/llhttp.h>
#include <string.h>

#include "lib/http_int.h"
#include "lib/mem.h"

/* The first line: the target may have all it is allowed, method and version what they need. */
#define FIRST_LINE_MAX (LIMIT_HTTP_TARGET + 64)
/* 100, 102 and 103 in front of one response; more than a few is a peer playing games. */
#define INTERIM_MAX 10u
/* Bytes of chunk framing allowed per byte of body, besides LIMIT_HTTP_HEAD for the whole
 * message. A chunk of one byte needs five. */
#define FRAMING_PER_BYTE 16u
/* Kept by an idle connection. */
#define RAW_KEEP KB(4)

enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_TRAILERS, PHASE_CLOSED, PHASE_FAILED };

struct http_parser {
    llhttp_t ll;
    enum http_kind kind;
    enum phase phase;
    const struct http_events *ev; /* borrowed until free */
    void *arg;                    /* borrowed until free */
    size_t max_body;
    bool is_busy;   /* inside feed or finish */
    bool is_doomed; /* freed by a callback: goes when the busy function returns */

    /* Why it failed. */
    int err, status;
    const char *why; /* literal */

    /* The head being read, or the last one read. */
    struct buf raw;     /* its bytes */
    struct buf views;   /* array of struct http_header, room for every line */
    size_t line_at;     /* offset in raw of the line being gathered */
    unsigned n_lines;   /* complete lines in raw, the first one included */
    unsigned n_skipped; /* bytes of an empty line in front of a request */
    unsigned n_interim; /* 1xx responses skipped in front of this one */
    size_t verb_bytes, target_bytes;
    bool in_value;         /* the newest header's value has begun */
    bool is_head_complete; /* llhttp agrees that the head is over */
    struct http_head head;

    /* The message being read. */
    bool no_body_next;    /* http_parser_expect_no_body() */
    bool is_complete;     /* llhttp has seen the last byte */
    bool is_last_chunk;   /* the chunk of size 0 has begun */
    bool is_told;         /* on_done was called: feed returns */
    size_t max_now;       /* body bytes allowed in this message */
    uint64_t body_bytes;  /* delivered */
    uint64_t framing;     /* bytes of chunk framing so far */
    const char *mark;     /* in the bytes being fed: where the newest body piece ended */
    bool in_trailer_line; /* its first byte has been seen */
    char trailer_last;    /* the byte before the one to come */
};

/* --- phases and refusals ------------------------------------------------------------------ */

static void enter(struct http_parser *p, enum phase next)
{
#define MAY(phase) (1u << PHASE_##phase)
    static const unsigned may_follow[] = {
        [PHASE_IDLE] = MAY(HEAD) | MAY(FAILED),
        [PHASE_HEAD] = MAY(HEAD) | MAY(BODY) | MAY(FAILED),
        [PHASE_BODY] = MAY(IDLE) | MAY(TRAILERS) | MAY(CLOSED) | MAY(FAILED),
        [PHASE_TRAILERS] = MAY(IDLE) | MAY(CLOSED) | MAY(FAILED),
        [PHASE_CLOSED] = MAY(FAILED),
        [PHASE_FAILED] = 0,
    };
#undef MAY

    BUG_ON(!(may_follow[p->phase] & 1u << next));
    p->phase = next;
}

static int stop(struct http_parser *p, int err)
{
    p->err = err;
    enter(p, PHASE_FAILED);
    return err;
}

static int refuse(struct http_parser *p, int status, const char *why)
{
    p->status = status;
    p->why = why;
    switch (status) {
    case 413:
    case 414:
    case 431:
        return stop(p, ERR_LIMIT);
    case 503:
        return stop(p, ERR_NOMEM);
    default:
        return stop(p, ERR_SYNTAX);
    }
}

static int refuse_body(struct http_parser *p)
{
    return refuse(p, 413, "the body is larger than allowed");
}

/* What a callback's result means for us. */
static int heed(struct http_parser *p, int result)
{
    if (p->is_doomed)
        return stop(p, ERR_CANCELED);
    return result ? stop(p, result) : 0;
}

/* llhttp's verdicts, as sentences and statuses. */
static int refuse_grammar(struct http_parser *p, llhttp_errno_t rc)
{
    switch (rc) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:
        /* The method has been checked to be a token: it is one that nobody here knows. */
        return refuse(p, 501, "the method is not known");
    case HPE_INVALID_URL:
        return refuse(p, 400, "the request target holds a byte that must be percent-encoded");
    case HPE_INVALID_VERSION:
        return refuse(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    case HPE_INVALID_STATUS:
        return refuse(p, 400, "the status is not three digits");
    case HPE_INVALID_HEADER_TOKEN:
        return refuse(p, 400, "a header line holds a byte that must not stand there");
    case HPE_INVALID_CONTENT_LENGTH:
        return refuse(p, 400, "Content-Length is not a decimal number");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(p, 400, "Content-Length is given twice or beside Transfer-Encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(p, 400, "Transfer-Encoding does not end in chunked");
    case HPE_INVALID_CHUNK_SIZE:
        return refuse(p, 400, "a chunk size is not a hexadecimal number");
    case HPE_STRICT:
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED:
        return refuse(p, 400, "a line or chunk does not end in CR LF");
    default:
        return refuse(p, 400, "the bytes are not HTTP/1.1");
    }
}

/* --- life --------------------------------------------------------------------------------- */

static int on_header_name(llhttp_t *ll, const char *at, size_t n);
static int on_header_value(llhttp_t *ll, const char *at, size_t n);
static int on_headers_complete(llhttp_t *ll);
static int on_chunk_header(llhttp_t *ll);
static int on_body(llhttp_t *ll, const char *at, size_t n);
static int on_message_complete(llhttp_t *ll);

static const llhttp_settings_t settings = {
    .on_header_field = on_header_name,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

struct http_parser *http_parser_new(enum http_kind kind, size_t max_body,
                                    const struct http_events *ev, void *arg)
{
    struct http_parser *p = MEM_NEW(struct http_parser);

    p->kind = kind;
    p->ev = ev;
    p->arg = arg;
    p->max_body = max_body;
    buf_init(&p->raw, LIMIT_HTTP_HEAD);
    buf_init(&p->views, LIMIT_HTTP_HEADERS * sizeof(struct http_header));
    llhttp_init(&p->ll, kind == HTTP_KIND_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    p->ll.data = p;
    http_parser_reset(p);
    return p;
}

static void destroy(struct http_parser *p)
{
    buf_release(&p->raw);
    buf_release(&p->views);
    mem_free(p);
}

void http_parser_free(struct http_parser *p)
{
    if (!p)
        return;
    if (p->is_busy)
        p->is_doomed = true;
    else
        destroy(p);
}

void http_parser_reset(struct http_parser *p)
{
    BUG_ON(p->is_busy);
    p->phase = PHASE_IDLE; /* past the setter: the one way out of FAILED */
    p->err = p->status = 0;
    p->why = "";
    p->n_skipped = p->n_interim = 0;
    p->no_body_next = false;
    p->head = (struct http_head){0};
    buf_shrink(&p->raw, RAW_KEEP);
}

static void begin_message(struct http_parser *p)
{
    buf_clear(&p->raw);
    p->line_at = 0;
    p->n_lines = p->n_skipped = 0;
    p->verb_bytes = p->target_bytes = 0;
    p->in_value = p->is_head_complete = false;
    p->head = (struct http_head){0};
    p->is_complete = p->is_last_chunk = false;
    p->max_now = p->max_body;
    p->body_bytes = p->framing = 0;
    p->in_trailer_line = false;
    p->trailer_last = '\0';
    enter(p, PHASE_HEAD);
}

/* The message is over. The phase changes first, so that the callback may ask us anything. */
static int tell_done(struct http_parser *p)
{
    enter(p, p->head.keep_alive ? PHASE_IDLE : PHASE_CLOSED);
    p->is_told = true;
    p->no_body_next = false;
    p->n_interim = 0;
    return heed(p, p->ev->on_done(p, p->arg));
}

/* --- the head, line by line --------------------------------------------------------------- */

static bool is_token_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.n > 0;
}

/* Whether `s` is HTTP/1.0 or HTTP/1.1; other versions and other things are refused. */
static int read_version(struct http_parser *p, struct str s)
{
    bool is_version = s.n == 8 && memcmp(s.p, "HTTP/", 5) == 0 && s.p[5] >= '0' &&
                      s.p[5] <= '9' && s.p[6] == '.' && s.p[7] >= '0' && s.p[7] <= '9';

    if (!is_version)
        return refuse(p, 400, "the first line holds no HTTP version where one belongs");
    if (s.p[5] != '1' || s.p[7] > '1')
        return refuse(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    p->head.minor = s.p[7] - '0';
    return 0;
}

static int read_request_line(struct http_parser *p, struct str line)
{
    struct str rest = line;
    struct str verb, target;

    if (str_is(line, STR("PRI * HTTP/2.0")))
        return refuse(p, 400, "this port speaks HTTP/1.1, the request looks like HTTP/2");
    verb = str_cut(&rest, ' ');
    target = str_cut(&rest, ' ');
    if (!rest.p)
        return refuse(p, 400, "the request line has no HTTP version (HTTP/0.9 is not spoken)");
    if (target.n == 0 || memchr(rest.p, ' ', rest.n))
        return refuse(p, 400, "the request line has more than two spaces");
    if (!is_token(verb))
        return refuse(p, 400, "the method holds a byte that must not stand there");
    if (read_version(p, rest))
        return p->err;
    if (target.n > LIMIT_HTTP_TARGET)
        return refuse(p, 414, "the request target is longer than allowed");
    if (memchr(target.p, '#', target.n))
        return refuse(p, 400, "the request target has a fragment");
    if (str_is(verb, STR("CONNECT")))
        return refuse(p, 501, "CONNECT is not supported");
    p->verb_bytes = verb.n;
    p->target_bytes = target.n;
    return 0;
}

static int read_status_line(struct http_parser *p, struct str line)
{
    struct str rest = line;
    struct str version = str_cut(&rest, ' ');
    struct str code = str_cut(&rest, ' ');
    uint64_t status;

    if (read_version(p, version))
        return p->err;
    if (code.n != 3 || str_to_u64(code, &status) || status < 100 || status > 599)
        return refuse(p, 400, "the status is not a number from 100 to 599");
    if (status == 101)
        return refuse(p, 400, "the answer switches protocols, which was not asked for");
    p->head.status = (int)status;
    return 0;
}

/* A line has been gathered completely, its LF included. */
static int end_line(struct http_parser *p, bool *is_empty)
{
    struct str line = str_make(p->raw.p + p->line_at, p->raw.n - p->line_at);
    unsigned index = p->n_lines++;

    *is_empty = false;
    p->line_at = p->raw.n;
    if (line.n < 2 || line.p[line.n - 2] != '\r')
        return refuse(p, 400, "a line ends in LF without CR");
    line.n -= 2;
    if (index == 0)
        return p->kind == HTTP_KIND_REQUEST ? read_request_line(p, line)
                                            : read_status_line(p, line);
    if (line.n == 0) {
        *is_empty = true;
        return 0;
    }
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(p, 400, "a header is folded over several lines");
    if (line.p[0] == ':')
        return refuse(p, 400, "a header has no name");
    if (index > LIMIT_HTTP_HEADERS)
        return refuse(p, 431, "more headers than allowed");
    return 0;
}

/* Alert and handshake records, and the hello of times past. */
static bool is_tls_record(char c)
{
    return c == 0x15 || c == 0x16 || (unsigned char)c == 0x80;
}

/* Speaks up at the first byte when it cannot be HTTP: no line end may ever come. */
static int check_first_byte(struct http_parser *p, char c)
{
    if (is_tls_record(c))
        return p->kind == HTTP_KIND_REQUEST
                   ? refuse(p, 400, "this port speaks plain HTTP, the request looks like TLS")
                   : refuse(p, 400, "the answer is not HTTP, it looks like TLS");
    if (p->kind == HTTP_KIND_RESPONSE && c != 'H')
        return refuse(p, 400, "the answer does not begin like HTTP");
    if (p->kind == HTTP_KIND_REQUEST && !is_token_char(c))
        return refuse(p, 400, "the request does not begin with a method");
    return 0;
}

/* One empty line in front of a request is forgiven (RFC 9112, 2.2). True while it lasts. */
static bool skips_empty_line(struct http_parser *p, char c)
{
    if (p->kind != HTTP_KIND_REQUEST || p->n_skipped >= 2 || c != "\r\n"[p->n_skipped])
        return false;
    p->n_skipped++;
    return true;
}

static int parse_head(struct http_parser *p);

static int feed_head(struct http_parser *p, const char *src, size_t n, size_t *used)
{
    size_t at = 0;
    bool is_empty = false;

    if (p->phase == PHASE_IDLE) {
        if (skips_empty_line(p, src[0])) {
            *used = 1;
            return 0;
        }
        if (p->n_skipped == 1)
            return refuse(p, 400, "a line ends in CR without LF");
        begin_message(p);
    }
    if (p->raw.n == 0 && check_first_byte(p, src[0]))
        return p->err;
    while (at < n && !is_empty) {
        size_t room = (p->n_lines ? LIMIT_HTTP_HEAD : FIRST_LINE_MAX) - p->raw.n;
        size_t take = n - at < room ? n - at : room;
        const char *lf = take ? memchr(src + at, '\n', take) : NULL;

        if (room == 0)
            return p->n_lines ? refuse(p, 431, "the headers are larger than allowed")
                              : refuse(p, 414, "the first line is longer than allowed");
        if (lf)
            take = (size_t)(lf - (src + at)) + 1;
        if (buf_add(&p->raw, src + at, take))
            return refuse(p, 503, "out of memory");
        at += take;
        if (lf && end_line(p, &is_empty))
            return p->err;
    }
    *used = at;
    return is_empty ? parse_head(p) : 0;
}

/* --- the head, as a whole ----------------------------------------------------------------- */

/* What llhttp calls while it reads a head or trailers. Pieces of a head lie in raw, so they are
 * views already; trailers are dropped. A result other than 0 stops llhttp; if p->err is not set
 * by then, refuse_grammar() finds a general sentence. */

static int on_header_name(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    struct http_header *headers = (struct http_header *)(void *)p->views.p;

    if (p->phase != PHASE_HEAD)
        return 0;
    /* No more headers than lines between the first and the empty one, which there is room for.
     */
    if (p->head.n_headers + 2 >= p->n_lines)
        return -1;
    headers[p->head.n_headers++] = (struct http_header){str_make(at, n), str_make(at + n, 0)};
    p->in_value = false;
    return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    struct http_header *headers = (struct http_header *)(void *)p->views.p;

    if (p->phase != PHASE_HEAD)
        return 0;
    if (p->head.n_headers == 0 || p->in_value)
        return -1;
    headers[p->head.n_headers - 1].value = str_trim(str_make(at, n));
    p->in_value = true;
    return 0;
}

/* RFC 9112, 6.3: responses that end with their head whatever they declare. */
static bool has_no_body(const struct http_parser *p)
{
    int status = p->head.status;

    return p->kind == HTTP_KIND_RESPONSE &&
           (p->no_body_next || status < 200 || status == 204 || status == 304);
}

/* Gives http_head_judge() what llhttp and the first line have told us. */
static int judge_head(struct http_parser *p)
{
    struct http_head *head = &p->head;
    const char *why;
    int status;

    head->headers = (struct http_header *)(void *)p->views.p;
    head->verb_text = str_make(p->raw.p, p->verb_bytes);
    head->target = str_make(p->raw.p + p->verb_bytes + 1, p->target_bytes);
    head->has_length = (p->ll.flags & F_CONTENT_LENGTH) != 0;
    head->length = head->has_length ? p->ll.content_length : 0;
    status = http_head_judge(head, p->kind, has_no_body(p), &why);
    if (status)
        return refuse(p, status, why);
    if (head->length > p->max_body && !has_no_body(p))
        return refuse_body(p);
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    p->is_head_complete = true;
    if (judge_head(p))
        return -1;
    return has_no_body(p) ? 1 : 0;
}

/* A 1xx response was only an announcement: the real one follows. */
static int skip_interim(struct http_parser *p)
{
    if (++p->n_interim > INTERIM_MAX)
        return refuse(p, 400, "there is no end of interim responses");
    begin_message(p);
    return 0;
}

static int parse_head(struct http_parser *p)
{
    llhttp_errno_t rc;

    /* A fresh llhttp for each message: what the last one left behind (an Upgrade that we ignored,
     * a close) is not this one's business. */
    llhttp_reset(&p->ll);
    buf_clear(&p->views);
    if (!buf_reserve(&p->views, (p->n_lines - 2) * sizeof(struct http_header)))
        return refuse(p, 503, "out of memory");
    rc = llhttp_execute(&p->ll, p->raw.p, p->raw.n);
    if (p->err)
        return p->err;
    if (rc == HPE_PAUSED)
        llhttp_resume(&p->ll);
    else if (rc != HPE_OK)
        return refuse_grammar(p, rc);
    /* Unless it says that the head ends where we say so, one of us is mistaken. */
    if (!p->is_head_complete ||
        (rc == HPE_PAUSED && llhttp_get_error_pos(&p->ll) != p->raw.p + p->raw.n))
        return refuse(p, 400, "the bytes are not HTTP/1.1");
    if (p->kind == HTTP_KIND_RESPONSE && p->head.status < 200)
        return skip_interim(p);
    enter(p, PHASE_BODY);
    if (heed(p, p->ev->on_head(p, &p->head, p->arg)))
        return p->err;
    if (p->head.length > p->max_now && !p->is_complete)
        return refuse_body(p);
    return p->is_complete ? tell_done(p) : 0;
}

/* --- the body ----------------------------------------------------------------------------- */

/* Bytes of chunk framing this message may still spend. Without a bound, a body within its limit
 * could come with any number of bytes of extensions and trailers. */
static uint64_t framing_left(const struct http_parser *p)
{
    return LIMIT_HTTP_HEAD + FRAMING_PER_BYTE * p->body_bytes - p->framing;
}

static int spend_framing(struct http_parser *p, size_t n)
{
    if (n > framing_left(p))
        return refuse(p, 413, "the chunks consist of framing more than of data");
    p->framing += n;
    return 0;
}

/* Body bytes still allowed. */
static size_t body_left(const struct http_parser *p)
{
    return p->max_now > p->body_bytes ? p->max_now - (size_t)p->body_bytes : 0;
}

static int on_chunk_header(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    if (ll->content_length == 0) {
        p->is_last_chunk = true;
        return HPE_PAUSED;
    }
    return ll->content_length > body_left(p) ? refuse_body(p) : 0;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    size_t take = n < body_left(p) ? n : body_left(p);

    if (p->phase != PHASE_BODY)
        return -1;
    if (p->head.chunked && spend_framing(p, (size_t)(at - p->mark)))
        return -1;
    p->mark = at + n;
    p->body_bytes += take;
    if (take && heed(p, p->ev->on_body(p, str_make(at, take), p->arg)))
        return -1;
    /* Only a body without declared length gets here with too much. */
    return take < n ? refuse_body(p) : 0;
}

static int on_message_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;

    p->is_complete = true;
    return HPE_PAUSED;
}

/* Gives `n` bytes behind the head to llhttp; *used says how many it took before it paused. */
static int execute(struct http_parser *p, const char *src, size_t n, size_t *used)
{
    llhttp_errno_t rc;

    p->mark = src;
    rc = llhttp_execute(&p->ll, src, n);
    if (p->err)
        return p->err;
    if (rc == HPE_PAUSED) {
        n = (size_t)(llhttp_get_error_pos(&p->ll) - src);
        llhttp_resume(&p->ll);
    } else if (rc != HPE_OK) {
        return refuse_grammar(p, rc);
    }
    *used = n;
    return p->head.chunked ? spend_framing(p, (size_t)(src + n - p->mark)) : 0;
}

/* Never more framing in one call than one byte above what is left: whether llhttp's errors
 * behind that byte win over ours would otherwise depend on how the bytes were cut. */
static size_t slice(const struct http_parser *p, size_t n)
{
    uint64_t most = framing_left(p) + 1;

    return p->head.chunked && n > most ? (size_t)most : n;
}

static int feed_body(struct http_parser *p, const char *src, size_t n, size_t *used)
{
    if (execute(p, src, slice(p, n), used))
        return p->err;
    if (p->is_last_chunk)
        enter(p, PHASE_TRAILERS);
    return p->is_complete ? tell_done(p) : 0;
}

/* Trailers are read one line at a time because llhttp lets their lines be folded too. */
static int feed_trailers(struct http_parser *p, const char *src, size_t n, size_t *used)
{
    size_t take = slice(p, n);
    const char *lf = memchr(src, '\n', take);

    if (lf)
        take = (size_t)(lf - src) + 1;
    if (!p->in_trailer_line && (src[0] == ' ' || src[0] == '\t'))
        return refuse(p, 400, "a header is folded over several lines");
    if (!p->in_trailer_line && src[0] == ':')
        return refuse(p, 400, "a header has no name");
    if (execute(p, src, take, used))
        return p->err;
    if (lf && (take > 1 ? lf[-1] : p->trailer_last) != '\r')
        return refuse(p, 400, "a line ends in LF without CR");
    p->in_trailer_line = !lf;
    p->trailer_last = src[take - 1];
    return p->is_complete ? tell_done(p) : 0;
}

/* --- feeding ------------------------------------------------------------------------------ */

/* Ends a call that may have run callbacks; `p` is gone if one of them freed it. */
static int finish_busy(struct http_parser *p, int err)
{
    p->is_busy = false;
    if (p->is_doomed)
        destroy(p);
    return err;
}

int http_parser_feed(struct http_parser *p, const char *bytes, size_t n, size_t *used)
{
    size_t at = 0;
    int err = p->err;

    BUG_ON(p->is_busy);
    p->is_busy = true;
    p->is_told = false;
    while (at < n && !err && !p->is_told) {
        size_t step = n - at;

        switch (p->phase) {
        case PHASE_IDLE:
        case PHASE_HEAD:
            err = feed_head(p, bytes + at, n - at, &step);
            break;
        case PHASE_BODY:
            err = feed_body(p, bytes + at, n - at, &step);
            break;
        case PHASE_TRAILERS:
            err = feed_trailers(p, bytes + at, n - at, &step);
            break;
        case PHASE_CLOSED:
            break;
        case PHASE_FAILED:
            err = p->err;
            break;
        }
        at += step;
    }
    *used = at;
    return finish_busy(p, err);
}

/* A body that neither side has measured ends with the connection. (Requests and bodyless
 * responses without length were complete with their head.) */
static bool is_until_eof(const struct http_parser *p)
{
    return !p->head.has_length && !p->head.chunked;
}

int http_parser_finish(struct http_parser *p)
{
    BUG_ON(p->is_busy);
    if (p->err)
        return p->err;
    if (p->phase == PHASE_IDLE || p->phase == PHASE_CLOSED)
        return 0;
    if (p->phase != PHASE_BODY || !is_until_eof(p))
        return stop(p, ERR_CLOSED);
    p->is_busy = true;
    return finish_busy(p, tell_done(p));
}

/* --- questions and settings --------------------------------------------------------------- */

void http_parser_expect_no_body(struct http_parser *p, bool no_body)
{
    p->no_body_next = no_body;
}

void http_parser_allow_body(struct http_parser *p, size_t max_body)
{
    p->max_now = max_body;
}

bool http_parser_is_mid_message(const struct http_parser *p)
{
    return p->phase == PHASE_HEAD || p->phase == PHASE_BODY || p->phase == PHASE_TRAILERS;
}

bool http_parser_has_head(const struct http_parser *p)
{
    return p->phase == PHASE_BODY || p->phase == PHASE_TRAILERS;
}

int http_parser_status(const struct http_parser *p)
{
    return p->status;
}

const char *http_parser_why(const struct http_parser *p)
{
    return p->why;
}
