/* SPDX-License-Identifier: MIT
 *
 * Fuzzing the HTTP parser: the same bytes, cut differently, must tell the same story.
 *
 * The first byte of the input chooses: bit 0 request or response, bit 1 the answer to a HEAD, bits
 * 2.. the seed of random cuts. The rest is fed whole, byte by byte, and in random pieces; heads,
 * bodies, refusals and their reasons are written down each time and compared. Of every head that is
 * accepted we also demand what the rest of the gateway relies upon.
 */
#include <stdint.h>
#include <stdlib.h>

#include "lib/http.h"

#define BODY_MAX 5000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
    struct buf text;
    uint64_t body_bytes;
    bool is_request;
};

static void demand_sane_head(const struct http_head *h, bool is_request)
{
    struct str transfer = http_head_get(h, STR("Transfer-Encoding"));

    BUG_ON(h->minor != 0 && h->minor != 1);
    BUG_ON(h->n_headers > LIMIT_HTTP_HEADERS);
    BUG_ON(h->chunked && h->has_length);
    BUG_ON(is_request && transfer.p && !h->chunked);
    BUG_ON(is_request && h->length > BODY_MAX);
    BUG_ON(is_request && h->minor == 1 && !http_head_get(h, STR("Host")).p);
    BUG_ON(is_request && h->path.p[0] != '/' && !str_is(h->path, STR("*")));
    BUG_ON(is_request && (str_has_control(h->target) || memchr(h->target.p, ' ', h->target.n)));
    BUG_ON(!is_request && (h->status < 200 || h->status > 599));
    for (size_t i = 0; i < h->n_headers; i++) {
        BUG_ON(h->headers[i].name.n == 0 || str_has_control(h->headers[i].name));
        BUG_ON(!http_is_header_value(h->headers[i].value));
        BUG_ON(!str_is(str_trim(h->headers[i].value), h->headers[i].value));
    }
}

static int on_head(struct http_parser *p, const struct http_head *h, void *arg)
{
    struct story *s = arg;

    BUG_ON(!http_parser_has_head(p) || !http_parser_is_mid_message(p));
    demand_sane_head(h, s->is_request);
    buf_printf(&s->text, "%d %d %.*s %.*s %d %d %d %d %d %llu:", h->verb, h->status,
               STR_ARG(h->path), STR_ARG(h->query), h->minor, h->keep_alive, h->has_length,
               h->chunked, h->expects_continue, (unsigned long long)h->length);
    for (size_t i = 0; i < h->n_headers; i++)
        buf_printf(&s->text, "%.*s=%.*s;", STR_ARG(h->headers[i].name),
                   STR_ARG(h->headers[i].value));
    s->body_bytes = 0;
    return 0;
}

static int on_body(struct http_parser *p, struct str piece, void *arg)
{
    struct story *s = arg;

    BUG_ON(!http_parser_has_head(p) || piece.n == 0);
    s->body_bytes += piece.n;
    BUG_ON(s->body_bytes > BODY_MAX);
    buf_add_str(&s->text, piece);
    return 0;
}

static int on_done(struct http_parser *p, void *arg)
{
    struct story *s = arg;

    BUG_ON(http_parser_is_mid_message(p));
    BUF_LIT(&s->text, " done\n");
    return 0;
}

static const struct http_events events = {on_head, on_body, on_done};

enum cutting { CUT_NOT, CUT_BYTES, CUT_RANDOM };

static size_t next_piece(enum cutting cutting, uint32_t *seed, size_t left)
{
    size_t n = left;

    if (cutting == CUT_BYTES)
        n = 1;
    if (cutting == CUT_RANDOM) {
        *seed = *seed * 1664525u + 1013904223u;
        n = 1 + (*seed >> 16) % (*seed & 0x8000 ? 7 : 200);
    }
    return n < left ? n : left;
}

/* Each piece lies in a block of its own size, so that reading beyond it or later is noticed. */
static int feed_piece(struct http_parser *p, const uint8_t *from, size_t n)
{
    char *block = malloc(n);
    size_t at = 0, used;
    int err = 0;

    memcpy(block, from, n);
    while (at < n && !err) {
        err = http_parser_feed(p, block + at, n - at, &used);
        BUG_ON(!err && (used == 0 || used > n - at));
        at += used;
    }
    free(block);
    return err;
}

static void tell(struct story *s, uint8_t choice, const uint8_t *data, size_t size,
                 enum cutting cutting)
{
    enum http_kind kind = choice & 1 ? HTTP_KIND_RESPONSE : HTTP_KIND_REQUEST;
    struct http_parser *p = http_parser_new(kind, BODY_MAX, &events, s);
    uint32_t seed = choice;
    int err = 0;

    *s = (struct story){.is_request = kind == HTTP_KIND_REQUEST};
    buf_init(&s->text, MB(16));
    http_parser_expect_no_body(p, (choice & 2) != 0);
    for (size_t at = 0; at < size && !err;) {
        size_t n = next_piece(cutting, &seed, size - at);

        err = feed_piece(p, data + at, n);
        at += n;
    }
    if (!err)
        err = http_parser_finish(p);
    BUG_ON(http_parser_status(p) && !err);
    BUG_ON(err && err != ERR_CLOSED && !http_parser_why(p)[0]);
    buf_printf(&s->text, "\n%d %d %s", err, http_parser_status(p), http_parser_why(p));
    http_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct story whole, other;

    if (size == 0)
        return 0;
    tell(&whole, data[0], data + 1, size - 1, CUT_NOT);
    for (int cutting = CUT_BYTES; cutting <= CUT_RANDOM; cutting++) {
        tell(&other, data[0], data + 1, size - 1, (enum cutting)cutting);
        BUG_ON(!str_is(buf_str(&whole.text), buf_str(&other.text)));
        buf_release(&other.text);
    }
    buf_release(&whole.text);
    return 0;
}
