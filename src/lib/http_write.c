/* SPDX-License-Identifier: MIT
 *
 * Writing HTTP/1.1 heads.
 *
 * Each function appends one line to a buf, whose error sticks; nothing is formatted with printf
 * because a gateway writes several heads per call. A CR, LF or NUL that reached this point
 * would let a peer write headers or whole messages of his own through us, so it stops the
 * process: values from outside are checked with http_is_header_value() where they come in.
 */
#include "lib/http.h"

#include <string.h>

/* Three digits and the reason, as they stand in a status line. */
static struct str status_line(int status)
{
    switch (status) {
#define X(code, text)                                                                          \
    case code:                                                                                 \
        return STR(#code " " text);
        X(100, "Continue")
        X(101, "Switching Protocols")
        X(103, "Early Hints")
        X(200, "OK")
        X(201, "Created")
        X(202, "Accepted")
        X(203, "Non-Authoritative Information")
        X(204, "No Content")
        X(205, "Reset Content")
        X(206, "Partial Content")
        X(300, "Multiple Choices")
        X(301, "Moved Permanently")
        X(302, "Found")
        X(303, "See Other")
        X(304, "Not Modified")
        X(307, "Temporary Redirect")
        X(308, "Permanent Redirect")
        X(400, "Bad Request")
        X(401, "Unauthorized")
        X(402, "Payment Required")
        X(403, "Forbidden")
        X(404, "Not Found")
        X(405, "Method Not Allowed")
        X(406, "Not Acceptable")
        X(407, "Proxy Authentication Required")
        X(408, "Request Timeout")
        X(409, "Conflict")
        X(410, "Gone")
        X(411, "Length Required")
        X(412, "Precondition Failed")
        X(413, "Content Too Large")
        X(414, "URI Too Long")
        X(415, "Unsupported Media Type")
        X(416, "Range Not Satisfiable")
        X(417, "Expectation Failed")
        X(421, "Misdirected Request")
        X(422, "Unprocessable Content")
        X(423, "Locked")
        X(425, "Too Early")
        X(426, "Upgrade Required")
        X(428, "Precondition Required")
        X(429, "Too Many Requests")
        X(431, "Request Header Fields Too Large")
        X(451, "Unavailable For Legal Reasons")
        X(499, "Client Closed Request")
        X(500, "Internal Server Error")
        X(501, "Not Implemented")
        X(502, "Bad Gateway")
        X(503, "Service Unavailable")
        X(504, "Gateway Timeout")
        X(505, "HTTP Version Not Supported")
        X(507, "Insufficient Storage")
        X(508, "Loop Detected")
        X(511, "Network Authentication Required")
#undef X
    }
    return STR_NONE;
}

const char *http_status_text(int status)
{
    struct str line = status_line(status);

    return line.p ? line.p + sizeof "200" : "";
}

void http_write_status(struct buf *out, int status)
{
    struct str line = status_line(status);

    BUG_ON(status < 100 || status > 999);
    BUF_LIT(out, "HTTP/1.1 ");
    if (line.p) {
        buf_add_str(out, line);
    } else {
        /* The space stays although there is no reason: the grammar demands it. */
        buf_add_u64(out, (uint64_t)status);
        buf_add_char(out, ' ');
    }
    BUF_LIT(out, "\r\n");
}

static bool may_break_line(struct str s)
{
    unsigned bad = 0;

    for (size_t i = 0; i < s.n; i++)
        bad |= (s.p[i] == '\r') | (s.p[i] == '\n') | (s.p[i] == '\0');
    return bad != 0;
}

void http_write_request_line(struct buf *out, const char *verb, struct str target)
{
    BUG_ON(target.n == 0 || may_break_line(target) || memchr(target.p, ' ', target.n));
    buf_add_str(out, str_of(verb));
    buf_add_char(out, ' ');
    buf_add_str(out, target);
    BUF_LIT(out, " HTTP/1.1\r\n");
}

static char *put(char *to, const char *from, size_t n)
{
    if (n)
        memcpy(to, from, n);
    return to + n;
}

void http_write_header(struct buf *out, const char *name, struct str value)
{
    struct str label = str_of(name);
    size_t n = label.n + value.n + 4; /* ": " and CR LF */
    char *to;

    BUG_ON(label.n == 0 || may_break_line(label) || may_break_line(value));
    to = buf_reserve(out, n);
    if (!to)
        return;
    to = put(to, label.p, label.n);
    to = put(to, ": ", 2);
    to = put(to, value.p, value.n);
    put(to, "\r\n", 2);
    buf_commit(out, n);
}

void http_write_length(struct buf *out, size_t length)
{
    BUF_LIT(out, "Content-Length: ");
    buf_add_u64(out, length);
    BUF_LIT(out, "\r\n");
}

void http_write_end(struct buf *out)
{
    BUF_LIT(out, "\r\n");
}

bool http_is_header_value(struct str value)
{
    unsigned bad = 0;

    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        bad |= ((c < 0x20) & (c != '\t')) | (c == 0x7f);
    }
    return bad == 0;
}
