/* SPDX-License-Identifier: MIT
 *
 * HTTP/1.1 messages, both directions (RFC 9112): a pull-free parser around llhttp, and head writers.
 *
 * llhttp does the grammar (strict mode). What it lets pass and a gateway must not is refused here:
 * folded headers (invisible in llhttp's callbacks, so the raw bytes are looked at), empty header names,
 * a missing or second Host, HTTP/0.9, HTTP/1.0 with Transfer-Encoding, a second space in the request line,
 * and everything above the limits of lib/limits.h. Each refusal has a status and a sentence.
 *
 * The parser does no I/O and may be fed one byte at a time; what comes out does not depend on how the bytes
 * were cut. Inside callbacks it may be freed (nothing is called afterwards), but neither fed nor reset.
 *
 * Behind a message whose `keep_alive` is false everything that is fed is consumed and dropped: such bytes are
 * never taken for another message.
 */
#ifndef LIB_HTTP_H
#define LIB_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/str.h"

enum http_kind { HTTP_KIND_REQUEST, HTTP_KIND_RESPONSE };

/* Only what A2A needs has a name; any other method is HTTP_OTHER and kept as text. */
enum http_verb {
    HTTP_VERB_OTHER,
    HTTP_VERB_GET,
    HTTP_VERB_HEAD,
    HTTP_VERB_POST,
    HTTP_VERB_PUT,
    HTTP_VERB_DELETE,
    HTTP_VERB_OPTIONS,
    HTTP_VERB_PATCH
};

struct http_header {
    struct str name, value; /* value trimmed */
};

/* A parsed head. Views are into the parser and live until the next message begins. */
struct http_head {
    enum http_verb verb;
    struct str verb_text;
    struct str target; /* request: as sent, path and query */
    /* The target split at '?'; query absent if none. The authority of an absolute target
     * ("GET http://host/path") is left out: it has been checked to be the Host. */
    struct str path, query;
    int status; /* response */
    int minor;  /* HTTP/1.minor: 0 or 1 */
    const struct http_header *headers;
    size_t n_headers;
    bool keep_alive; /* connection may carry another message after this one */
    bool has_length; /* Content-Length given */
    uint64_t length; /* its value */
    /* neither this nor has_length: no body, or (response) until the peer closes */
    bool chunked;
    bool expects_continue; /* Expect: 100-continue */
};

/* The first header of that name (case ignored), absent if none. */
struct str http_head_get(const struct http_head *h, struct str name);

struct http_parser;

struct http_events {
    /* Head complete. Return 0, or negative to stop parsing (http_parser_feed returns it). */
    int (*on_head)(struct http_parser *p, const struct http_head *head, void *arg);
    /* A piece of the body, chunking removed; borrowed until return. */
    int (*on_body)(struct http_parser *p, struct str piece, void *arg);
    /* Message complete. The parser stops behind it: http_parser_feed() returns with *used short of n, and
     * goes on with the next message when called again. */
    int (*on_done)(struct http_parser *p, void *arg);
};

/* `max_body` bytes: a larger declared or received body is refused (413 / ERR_LIMIT); a declared one before
 * on_head. `ev` is borrowed until http_parser_free(). */
struct http_parser *http_parser_new(enum http_kind kind, size_t max_body,
                                    const struct http_events *ev, void *arg);
void http_parser_free(struct http_parser *p);

/* Ready for a new connection; keeps its memory. */
void http_parser_reset(struct http_parser *p);

/* From on_head, for this message only: another maximum, e.g. SIZE_MAX for an event stream. */
void http_parser_allow_body(struct http_parser *p, size_t max_body);

/* For a response parser: the request was HEAD, or anything else whose answer has no body. Holds for the next
 * final response only. */
void http_parser_expect_no_body(struct http_parser *p, bool no_body);

/* Feeds bytes. *used says how many were consumed (less than n after a complete message). Returns 0, a value
 * from a callback, or ERR_SYNTAX / ERR_LIMIT / ERR_NOMEM, after which the connection must be answered and
 * closed (ERR_CANCELED: a callback freed the parser). After an error every further call returns it again. */
MUST_CHECK int http_parser_feed(struct http_parser *p, const char *bytes, size_t n,
                                size_t *used);

/* The peer finished sending; nothing may be fed afterwards. 0 if that is a legal end (between messages, or of
 * a response body without length: then on_done is called); ERR_CLOSED if it cut a message short. */
MUST_CHECK int http_parser_finish(struct http_parser *p);

/* Whether any byte of an unfinished message has been seen (idle connections may be closed silently). */
bool http_parser_is_mid_message(const struct http_parser *p);
/* Whether the head of the current message is complete. */
bool http_parser_has_head(const struct http_parser *p);

/* After a refusal: the status to answer with (400, 413, 414, 417, 431, 501, 503, 505) and why, a literal.
 * 0 and "" when there was none (also when a callback stopped the parser). */
int http_parser_status(const struct http_parser *p);
const char *http_parser_why(const struct http_parser *p);

/* "Not Found" for 404; "" for unknown ones. */
const char *http_status_text(int status);

/* Writers append to `out`, whose sticky error is to be looked at in the end. Names and values must be free of
 * CR, LF and NUL (BUG otherwise: callers validate what comes from outside when it comes in). */
void http_write_status(struct buf *out, int status);
void http_write_request_line(struct buf *out, const char *verb, struct str target);
void http_write_header(struct buf *out, const char *name, struct str value);
void http_write_length(struct buf *out, size_t length);
void http_write_end(struct buf *out); /* the empty line */

/* Whether `value` may stand in a header: no control bytes but HTAB. */
bool http_is_header_value(struct str value);

#endif
