/* SPDX-License-Identifier: MIT
 *
 * Bytes leave: HTTP/1.1 requests to an endpoint, over pooled keep-alive connections. Answers are collected whole, or,
 * if the caller wants, read as they come.
 *
 * An endpoint is a URL with its headers; nothing here knows agents, tasks or callers. Names are resolved off
 * the loop. A request has two deadlines, connect and total. It is written once: if a pooled connection turns
 * out to be dead before one byte of ours was handed to the kernel another one is taken; after that a failure
 * is the request's, because the other side may have seen it.
 *
 * Every request carries Host, User-Agent and Accept (the call's, else the endpoint's, else
 * application/json); what else it says comes from the endpoint and the call. Redirects are not followed.
 *
 * https: OpenSSL, TLS 1.2 or newer, SNI, and a certificate that must hold: chain up to a CA that is trusted,
 * name or address of the URL's host, time. There is no way to switch that off. What fails is said:
 * "certificate has expired (on ...)", "certificate is for a.example, not for b.example", "self-signed
 * certificate; give its CA as caFile".
 *
 * Invariants
 *   1. Of a request that was started the callback comes exactly once, or never after egress_cancel(); it
 *      never comes from inside egress_start().
 *   2. was_sent is false only if the kernel took no byte of the request, or the peer ended the TLS handshake
 *      without looking at what came behind it.
 *   3. A connection carries one request at a time, and goes back to its pool only after a whole answer with
 *      nothing behind it.
 */
#ifndef EGRESS_EGRESS_H
#define EGRESS_EGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/http.h"
#include "lib/loop.h"
#include "lib/str.h"
#include "lib/url.h"

struct egress;
struct egress_request;

struct egress_config {
    unsigned pool_per_host;   /* idle connections kept for each host and port */
    uint64_t idle_timeout_ms; /* an idle pooled connection is closed after this */
    /* No request uses a connection idle for longer (4 s): the peer may be closing it, and once written a request
     * is not repeated. Such a connection is not kept either, so the smaller of both counts. */
    uint64_t reuse_within_ms;
    /* Whether an address may be called, for `host` as the URL says it: NULL, or why not, a sentence's end that lives as
     * long as `refuses_arg`. NULL: every one may. Asked before each connection, behind the look-up of the name. */
    const char *(*refuses)(void *arg, struct str host, const struct sockaddr *address);
    void *refuses_arg;
};

struct egress *egress_new(struct loop *loop, const struct egress_config *config);
/* Completes every running request with ERR_CANCELED, from inside this call. */
void egress_cancel_all(struct egress *e);
/* Cancels what runs (ERR_CANCELED), closes pools, frees. */
void egress_free(struct egress *e);

struct egress_header {
    const char *name;
    struct str value;
};

/* How https is spoken with an endpoint. File names are read once for all endpoints that share them, and
 * again when they have changed. */
struct egress_tls {
    /* PEM; absent: the system's CAs (SSL_CERT_FILE and SSL_CERT_DIR are honoured) */
    struct str ca_file;
    struct str cert_file; /* PEM chain shown to the peer; absent: none */
    struct str key_file;  /* PEM; absent: in cert_file */
    /* expected in the certificate and sent as SNI; absent: the URL's host */
    struct str server_name;
};

/* Whether a URL can be called. ERR_LIMIT, ERR_SYNTAX or ERR_INVALID otherwise,
 * with *why a literal sentence. */
MUST_CHECK int egress_url_check(struct str url, const char **why);

/* A URL and the headers of every request to it, checked and written down once, so that a call costs no
 * parsing. Header values must have been validated (http_is_header_value). Errors as egress_url_check(), and
 * ERR_INVALID for files or settings of TLS that cannot be used, or that come with http://. `tls` may be NULL;
 * *why is a literal, or lives in `e` until the next refusal. */
struct egress_endpoint;

MUST_CHECK int egress_endpoint_new(struct egress *e, struct str url,
                                   const struct egress_header *headers, size_t n_headers,
                                   const struct egress_tls *tls, struct egress_endpoint **out,
                                   const char **why);
/* May be freed, before or after its egress, while requests to it are under way. Accepts NULL. */
void egress_endpoint_free(struct egress_endpoint *p);

#define EGRESS_PARTS_MAX 7

/* For answers that are read as they come. `arg` is the request's. Both may call egress_pause() and egress_cancel(). */
struct egress_stream {
    /* The head has come. True: the body is a stream and goes to on_data; false: it is collected like any other, up to
     * max_body and within timeout_ms. */
    bool (*on_head)(void *arg, int status, const struct http_head *head);
    /* Some bytes of the body, without HTTP's framing; borrowed during the call. */
    void (*on_data)(void *arg, struct str bytes);
    /* A streamed body may be silent for so long; instead of timeout_ms, from the head on. */
    uint64_t idle_timeout_ms;
};

/* Everything borrowed during egress_start() only. */
struct egress_call {
    const char *verb; /* "POST" */
    /* Where to. NULL: to `url`, which costs parsing it. */
    const struct egress_endpoint *endpoint;
    struct str url;               /* http(s)://...; validated when it entered the house */
    const struct egress_tls *tls; /* with url; NULL: defaults */
    const struct egress_header *headers; /* besides the endpoint's */
    size_t n_headers;
    const struct str
        *parts;      /* the body; copied as far as the kernel does not take it at once */
    size_t n_parts;  /* at most EGRESS_PARTS_MAX */
    size_t max_body; /* of the answer */
    const struct egress_stream
        *stream; /* NULL: the answer is collected. Borrowed until the callback. */
    /* Nothing is sent, nobody connected: the name is looked up and each of its addresses judged by config.refuses. The
     * answer has err 0 and nothing else, ERR_RESOLVE, or ERR_FORBIDDEN. */
    bool only_look;
    uint64_t connect_timeout_ms;
    uint64_t timeout_ms; /* total, from start to the last byte of the answer */
};

struct egress_answer {
    /* 0: an HTTP answer was received whole. Otherwise
     *   ERR_RESOLVE   the name has no address
     *   ERR_FORBIDDEN no address may be called (config.refuses)
     *   ERR_CONNECT   no address took the connection, or not in time
     *   ERR_TLS       the peer could not prove who it is, or TLS failed; nothing of the request was sent.
     *                 Or the peer does not like our certificate, which with TLS 1.3 it may say only after
     *                 the request has left; it has not looked at it then, and was_sent is false
     *   ERR_CLOSED    the connection ended without a byte of an answer
     *   ERR_SYNTAX    the answer is not HTTP, or was cut short
     *   ERR_LIMIT     the answer is larger than allowed
     *   ERR_TIMEOUT   no whole answer within timeout_ms; a stream was silent for idle_timeout_ms
     *   ERR_CANCELED  egress_free() while it ran
     *   ERR_NOMEM     no memory for the request or the answer */
    int err;
    /* For err != 0, words that go on from the peer's name: "could not connect to 127.0.0.1:4001: connection
     * refused", "sent no answer within 600000 ms", ... */
    const char *why;
    /* err != 0: the peer may have acted on the request, bytes of which were handed to the kernel */
    bool was_sent;
    int status;
    const struct http_head *head; /* NULL if none came */
    struct str body;              /* empty for a streamed answer */
};

/* The answer and all it points at are borrowed during the call. */
typedef void (*egress_fn)(void *arg, const struct egress_answer *answer);

/* Starts a request. Error return (bad URL, TLS files unusable, no memory): no callback. */
MUST_CHECK int egress_start(struct egress *e, const struct egress_call *call, egress_fn fn,
                            void *arg, struct egress_request **out);

/* Gives up; no callback. The connection is closed. `r` is gone once its callback returned: cancel it no more
 * then (from inside the callback it does nothing). Accepts NULL. */
void egress_cancel(struct egress_request *r);

/* Of a streamed answer: on_data, and the end, come no more until egress_resume(). The kernel's buffers fill and hold
 * the peer; silence is not counted meanwhile. Calls do not nest. */
void egress_pause(struct egress_request *r);
void egress_resume(struct egress_request *r);

struct egress_figures {
    unsigned idle, busy; /* connections */
    uint64_t opened, requests;
};
void egress_figures(const struct egress *e, struct egress_figures *out);

#endif
