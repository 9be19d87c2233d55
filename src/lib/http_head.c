/* SPDX-License-Identifier: MIT
 *
 * What a head means: how long its message is, whether another may follow, which host and path
 * it asks for.
 *
 * llhttp has found every line well-formed; here the lines are held against each other. The rule
 * is that a head which two readers could understand differently is understood by nobody:
 *
 *   1. A message has one length: Content-Length or chunked or neither; HTTP/1.0 does not know
 *      chunked.
 *   2. A request names one host, in the letters of a host; an absolute target names the same.
 *   3. What is asked for and cannot be given (a transfer coding, an expectation) is refused,
 *      not ignored.
 */
#include "lib/http_int.h"

#include <string.h>

/* What the headers say, before they are held against each other. */
struct findings {
    struct str coding, host; /* the last ones */
    unsigned n_codings, n_hosts;
    bool says_close, says_keep_alive;
    bool expects_continue, expects_other;
};

static int refuse(const char **why, int status, const char *sentence)
{
    *why = sentence;
    return status;
}

static enum http_verb verb_of(struct str text)
{
    static const struct {
        struct str text;
        enum http_verb verb;
    } verbs[] = {
        {{"POST", 4}, HTTP_VERB_POST},     {{"GET", 3}, HTTP_VERB_GET},
        {{"HEAD", 4}, HTTP_VERB_HEAD},     {{"PUT", 3}, HTTP_VERB_PUT},
        {{"DELETE", 6}, HTTP_VERB_DELETE}, {{"OPTIONS", 7}, HTTP_VERB_OPTIONS},
        {{"PATCH", 5}, HTTP_VERB_PATCH},
    };

    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (str_is(text, verbs[i].text))
            return verbs[i].verb;
    return HTTP_VERB_OTHER;
}

static void note_connection(struct findings *f, struct str value)
{
    while (value.p) {
        struct str option = str_trim(str_cut(&value, ','));

        f->says_close |= str_is_nocase(option, STR("close"));
        f->says_keep_alive |= str_is_nocase(option, STR("keep-alive"));
    }
}

/* Only the names that concern the message itself; told apart by their lengths first, because
 * this runs for every header of every message. */
static void note_header(struct findings *f, const struct http_header *h)
{
    switch (h->name.n) {
    case sizeof "Host" - 1:
        if (str_is_nocase(h->name, STR("Host"))) {
            f->n_hosts++;
            f->host = h->value;
        }
        break;
    case sizeof "Expect" - 1:
        if (str_is_nocase(h->name, STR("Expect"))) {
            if (str_is_nocase(h->value, STR("100-continue")))
                f->expects_continue = true;
            else
                f->expects_other = true;
        }
        break;
    case sizeof "Connection" - 1:
        if (str_is_nocase(h->name, STR("Connection")))
            note_connection(f, h->value);
        break;
    case sizeof "Transfer-Encoding" - 1:
        if (str_is_nocase(h->name, STR("Transfer-Encoding"))) {
            f->n_codings++;
            f->coding = h->value;
        }
        break;
    }
}

/* host[:port] in the letters that names, IPv4, IPv6 and percent-encoding need. Commas, slashes,
 * '@' and the like make two readers see two hosts. */
static bool is_host(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_alnum =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

        if (!is_alnum && (c == '\0' || !strchr("-._~:[]%", c)))
            return false;
    }
    return s.n > 0;
}

/* An absolute target: the path begins behind an authority that must be the Host. */
static int cut_authority(struct str *rest, struct str host, const char **why)
{
    size_t scheme, n = 0;
    struct str authority;

    if (rest->n > 7 && str_is_nocase(str_make(rest->p, 7), STR("http://")))
        scheme = 7;
    else if (rest->n > 8 && str_is_nocase(str_make(rest->p, 8), STR("https://")))
        scheme = 8;
    else
        return refuse(why, 400, "the request target is neither a path nor an http URL");
    authority = str_make(rest->p + scheme, rest->n - scheme);
    while (n < authority.n && authority.p[n] != '/' && authority.p[n] != '?')
        n++;
    *rest = str_make(authority.p + n, authority.n - n);
    authority.n = n;
    if (!is_host(authority) || (host.p && !str_is_nocase(authority, host)))
        return refuse(why, 400, "the request target names another host than the Host header");
    return 0;
}

static int split_target(struct http_head *head, struct str host, const char **why)
{
    struct str rest = head->target;

    if (str_is(rest, STR("*")) && head->verb == HTTP_VERB_OPTIONS) {
        head->path = rest;
        return 0;
    }
    if (rest.p[0] != '/') {
        int status = cut_authority(&rest, host, why);

        if (status)
            return status;
    }
    head->path = str_cut(&rest, '?');
    head->query = rest;
    if (head->path.n == 0)
        head->path = STR("/");
    return 0;
}

static int judge_request(struct http_head *head, const struct findings *f, const char **why)
{
    if (f->n_hosts > 1)
        return refuse(why, 400, "there is more than one Host header");
    if (f->n_hosts == 0 && head->minor > 0)
        return refuse(why, 400, "the Host header is missing");
    if (f->n_hosts > 0 && !is_host(f->host))
        return refuse(why, 400, "the Host header is not a host");
    if (f->expects_other)
        return refuse(why, 417, "the only expectation that can be met is 100-continue");
    /* RFC 9110, 10.1.1: an HTTP/1.0 client cannot wait for the interim answer. */
    head->expects_continue = f->expects_continue && head->minor > 0;
    head->verb = verb_of(head->verb_text);
    return split_target(head, f->host, why);
}

static int judge_response(struct http_head *head, const struct findings *f, bool no_body,
                          const char **why)
{
    bool declares_body = f->n_codings > 0 || head->length > 0;

    if (head->status < 200 && declares_body)
        return refuse(why, 400, "an interim response declares a body");
    /* The body of such an answer may well follow: it is dropped with the connection. */
    if (head->status == 204 && declares_body)
        head->keep_alive = false;
    /* Neither measured nor absent: the body ends when the peer closes. */
    if (!no_body && !head->has_length && !head->chunked)
        head->keep_alive = false;
    return 0;
}

int http_head_judge(struct http_head *head, enum http_kind kind, bool no_body, const char **why)
{
    struct findings found = {0};

    for (size_t i = 0; i < head->n_headers; i++)
        note_header(&found, &head->headers[i]);
    head->chunked = found.n_codings == 1 && str_is_nocase(found.coding, STR("chunked"));
    head->keep_alive = !found.says_close && (head->minor > 0 || found.says_keep_alive);
    if (found.n_codings > 0 && head->has_length)
        return refuse(why, 400, "Content-Length is given twice or beside Transfer-Encoding");
    if (found.n_codings > 0 && head->minor == 0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (found.n_codings > 0 && !head->chunked && !no_body)
        return refuse(why, 501, "chunked is the only transfer coding understood");
    return kind == HTTP_KIND_REQUEST ? judge_request(head, &found, why)
                                     : judge_response(head, &found, no_body, why);
}

struct str http_head_get(const struct http_head *h, struct str name)
{
    for (size_t i = 0; i < h->n_headers; i++)
        if (str_is_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return STR_NONE;
}
