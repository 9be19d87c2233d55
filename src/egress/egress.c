/* SPDX-License-Identifier: MIT
 *
 * The door: what URLs are called, endpoints, the head of a request, birth and death.
 *
 * An endpoint holds everything of a request's head that does not change from call to call, already written:
 *
 *     POST              the call's verb        (written per call)
 *      /path HTTP/1.1   `target`
 *     Host: .. User-Agent: .. Accept: .. and its own headers        `fixed`: one copy, or two around Accept
 *     the call's headers, Content-Length      (written per call)
 *
 * There is one Accept: the call's, else the endpoint's, else application/json.
 */
#include "egress/egress_int.h"

#include <arpa/inet.h>
#include <strings.h>

#include "lib/mem.h"

#ifndef SUPERX_VERSION
#define SUPERX_VERSION "dev"
#endif

struct egress_endpoint {
    struct host *host;          /* counted */
    char *target;               /* owned; path and query */
    struct buf fixed;           /* header lines */
    size_t accept_at, accept_n; /* where in `fixed` the line Accept stands */
};

/* --- URLs --------------------------------------------------------------------------------------- */

static int refuse(const char **why, int err, const char *text)
{
    *why = text;
    return err;
}

static bool is_https(const struct url *u)
{
    return str_is_nocase(u->scheme, STR("https"));
}

/* url_parse() has the say about what a URL is; here, about which of them can be called. */
static int take_apart(struct str text, struct url *u, const char **why)
{
    int err = url_parse(text, false, u, why);

    if (err)
        return err;
    if (!is_https(u) && !str_is_nocase(u->scheme, STR("http")))
        return refuse(why, ERR_INVALID, "the URL does not begin with http:// or https://");
    if (u->user.p || u->password.p)
        return refuse(why, ERR_INVALID,
                      "the URL has a user name in it, which would end up in logs");
    if (u->fragment.p)
        return refuse(why, ERR_INVALID,
                      "the URL has a fragment (#...), which a request cannot carry");
    return 0;
}

int egress_url_check(struct str url, const char **why)
{
    struct url u;

    return take_apart(url, &u, why);
}

/* --- endpoints ---------------------------------------------------------------------------------- */

static char *write_target(const struct url *u)
{
    size_t n = u->path.n + 1 + (u->query.p ? u->query.n + 1 : 0);
    char *target = mem_zero(n + 1, 1);

    /* A path begins with '/'; an empty one is sent as "/". */
    snprintf(target, n + 1, "%.*s%s%s%.*s", STR_ARG(u->path), u->path.n ? "" : "/",
             u->query.p ? "?" : "", STR_ARG(u->query));
    return target;
}

static bool is_accept(const struct egress_header *h)
{
    return strcasecmp(h->name, "Accept") == 0;
}

static struct str find_accept(const struct egress_header *headers, size_t n_headers)
{
    for (size_t i = 0; i < n_headers; i++)
        if (is_accept(&headers[i]))
            return headers[i].value;
    return STR_NONE;
}

static void write_fixed(struct egress_endpoint *p, const struct url *u,
                        const struct egress_header *headers, size_t n_headers)
{
    struct str accept = find_accept(headers, n_headers);
    struct buf *out = &p->fixed;

    BUF_LIT(out, "Host: ");
    url_write_authority(out, u);
    BUF_LIT(out, "\r\nUser-Agent: superx/" SUPERX_VERSION "\r\n");
    p->accept_at = out->n;
    http_write_header(out, "Accept", accept.p ? accept : STR("application/json"));
    p->accept_n = out->n - p->accept_at;
    for (size_t i = 0; i < n_headers; i++)
        if (!is_accept(&headers[i]))
            http_write_header(out, headers[i].name, headers[i].value);
}

/* What is expected in a certificate: a name that url_parse() would take for a host, or an address. */
static bool is_server_name(struct str name)
{
    char text[sizeof "https://" + 256];
    int n = snprintf(text, sizeof text, "https://%.*s", STR_ARG(name));
    struct in6_addr any;
    struct url u;
    const char *why;

    if (n <= 0 || (size_t)n >= sizeof text)
        return false;
    if (inet_pton(AF_INET6, text + strlen("https://"), &any) == 1)
        return true;
    return url_parse(str_make(text, (size_t)n), false, &u, &why) == 0 && str_is(u.host, name);
}

/* The host of a URL, with TLS if it is https. */
static int find_host(struct egress *e, const struct url *u, const struct egress_tls *tls,
                     struct host **out, const char **why)
{
    static const struct egress_tls defaults = {.ca_file = STR_NONE};
    struct host_spec spec = {u->host, u->host_is_ipv6, url_port(u), NULL, u->host};
    int err = 0;

    tls = tls ? tls : &defaults;
    if (!is_https(u) &&
        (tls->ca_file.p || tls->cert_file.p || tls->key_file.p || tls->server_name.p))
        return refuse(
            why, ERR_INVALID,
            "the URL is http://, where TLS settings would do nothing: write https://");
    if (tls->server_name.p) {
        if (!is_server_name(tls->server_name))
            return refuse(why, ERR_INVALID, "serverName is neither a host name nor an address");
        spec.server_name = tls->server_name;
    }
    if (is_https(u))
        err = identity_get(e, tls, &spec.identity, why);
    if (err)
        return err;
    *out = host_get(e, &spec);
    identity_unref(spec.identity); /* the host has its own */
    return *out ? 0 : refuse(why, ERR_NOMEM, "there is no memory");
}

static int init_endpoint(struct egress_endpoint *p, struct egress *e, struct str url,
                         const struct egress_header *headers, size_t n_headers,
                         const struct egress_tls *tls, const char **why)
{
    struct url u;
    int err = take_apart(url, &u, why);

    if (err)
        return err;
    buf_init(&p->fixed, LIMIT_HTTP_HEAD);
    write_fixed(p, &u, headers, n_headers);
    err = buf_error(&p->fixed);
    if (err)
        (void)refuse(why, err, "the headers are too large");
    else
        err = find_host(e, &u, tls, &p->host, why);
    if (err) {
        buf_release(&p->fixed);
        return err;
    }
    p->target = write_target(&u);
    return 0;
}

static void release_endpoint(struct egress_endpoint *p)
{
    host_unref(p->host);
    buf_release(&p->fixed);
    mem_free(p->target);
}

int egress_endpoint_new(struct egress *e, struct str url, const struct egress_header *headers,
                        size_t n_headers, const struct egress_tls *tls,
                        struct egress_endpoint **out, const char **why)
{
    struct egress_endpoint *p = MEM_NEW(struct egress_endpoint);
    int err = init_endpoint(p, e, url, headers, n_headers, tls, why);

    if (err)
        mem_free(p);
    else
        *out = p;
    return err;
}

void egress_endpoint_free(struct egress_endpoint *p)
{
    if (!p)
        return;
    release_endpoint(p);
    mem_free(p);
}

/* --- starting ----------------------------------------------------------------------------------- */

static int write_head(struct buf *out, const struct egress_endpoint *to,
                      const struct egress_call *call)
{
    size_t length = 0;

    buf_clear(out);
    http_write_request_line(out, call->verb, str_of(to->target));
    if (find_accept(call->headers, call->n_headers).p) {
        size_t behind = to->accept_at + to->accept_n;

        buf_add(out, to->fixed.p, to->accept_at);
        buf_add(out, to->fixed.p + behind, to->fixed.n - behind);
    } else {
        buf_add_str(out, buf_str(&to->fixed));
    }
    for (size_t i = 0; i < call->n_headers; i++)
        http_write_header(out, call->headers[i].name, call->headers[i].value);
    for (size_t i = 0; i < call->n_parts; i++)
        length += call->parts[i].n;
    if (call->n_parts > 0)
        http_write_length(out, length);
    http_write_end(out);
    return buf_error(out);
}

static int start(struct egress *e, const struct egress_endpoint *to,
                 const struct egress_call *call, egress_fn fn, void *arg,
                 struct egress_request **out)
{
    struct str parts[1 + EGRESS_PARTS_MAX];
    int err = write_head(&e->head, to, call);

    if (err)
        return err;
    BUG_ON(call->n_parts > EGRESS_PARTS_MAX);
    parts[0] = buf_str(&e->head);
    for (size_t i = 0; i < call->n_parts; i++)
        parts[1 + i] = call->parts[i];
    return request_start(e, to->host, call, parts, 1 + call->n_parts, fn, arg, out);
}

int egress_start(struct egress *e, const struct egress_call *call, egress_fn fn, void *arg,
                 struct egress_request **out)
{
    struct egress_endpoint p = {0};
    const char *why;
    int err;

    if (call->endpoint)
        return start(e, call->endpoint, call, fn, arg, out);
    err = init_endpoint(&p, e, call->url, NULL, 0, call->tls, &why);
    if (err)
        return err;
    err = start(e, &p, call, fn, arg, out);
    release_endpoint(&p);
    return err;
}

/* --- birth and death ---------------------------------------------------------------------------- */

struct egress *egress_new(struct loop *loop, const struct egress_config *config)
{
    struct egress *e = MEM_NEW(struct egress);

    e->loop = loop;
    e->config = *config;
    if (e->config.idle_timeout_ms > e->config.reuse_within_ms)
        e->config.idle_timeout_ms = e->config.reuse_within_ms;
    map_init(&e->hosts);
    map_init(&e->identities);
    list_init(&e->requests);
    buf_init(&e->head, 2 * LIMIT_HTTP_HEAD);
    return e;
}

/* Idle lanes go; nobody is told. The host may go with the last of them. */
static void retire_host(struct host *h)
{
    host_ref(h);
    host_close_idle(h);
    if (h->is_resolving)
        /* if it runs already, it will call back into the grave */
        (void)uv_cancel((uv_req_t *)&h->lookup);
    if (h->egress)
        map_remove(&h->egress->hosts, str_of(h->key));
    h->egress = NULL; /* an endpoint may still hold it */
    host_unref(h);
}

void egress_cancel_all(struct egress *e)
{
    struct list *first;

    while ((first = list_first(&e->requests))) {
        struct egress_request *r = CONTAINER_OF(first, struct egress_request, link);

        REQUEST_WHY(r, "was not waited for: the gateway stops");
        request_fail(r, ERR_CANCELED);
    }
}

void egress_free(struct egress *e)
{
    struct identity *i;
    struct host *h;
    size_t at;

    if (!e)
        return;
    egress_cancel_all(e);
    while ((at = 0, h = map_next(&e->hosts, &at)))
        retire_host(h);
    map_release(&e->hosts);
    for (at = 0; (i = map_next(&e->identities, &at));)
        i->egress = NULL; /* an endpoint's host may still hold it */
    map_release(&e->identities);
    buf_release(&e->head);
    mem_free(e);
}

/* --- looking ------------------------------------------------------------------------------------ */

void egress_figures(const struct egress *e, struct egress_figures *out)
{
    *out = (struct egress_figures){
        .idle = e->n_idle,
        .busy = e->n_busy,
        .opened = e->n_opened,
        .requests = e->n_requests,
    };
}

static unsigned check_lanes(struct host *h, struct list *lanes, bool is_busy)
{
    unsigned n = 0;

    LIST_EACH (it, lanes) {
        struct lane *l = CONTAINER_OF(it, struct lane, link);

        BUG_ON(l->magic != LANE_MAGIC || l->host != h || !l->conn);
        BUG_ON(is_busy != (l->request != NULL));
        BUG_ON(is_busy && l->request->lane != l);
        BUG_ON(!is_busy && l->generation != h->generation);
        n++;
    }
    return n;
}

static void check_request(struct egress *e, struct egress_request *r)
{
    bool has_lane = r->state == REQUEST_CONNECTING || r->state == REQUEST_WAITING;

    BUG_ON(r->magic != REQUEST_MAGIC || r->egress != e || r->host->egress != e);
    BUG_ON(r->state == REQUEST_NEW || r->state == REQUEST_DONE);
    BUG_ON(has_lane != (r->lane != NULL) && !r->broken_err);
    BUG_ON(list_is_linked(&r->wait) != (r->state == REQUEST_RESOLVING));
}

void egress_check(const struct egress *e)
{
    struct egress *seen = (struct egress *)e; /* walking changes nothing */
    unsigned n_idle = 0, n_busy = 0;
    struct host *h;
    size_t at = 0;

    while ((h = map_next(&e->hosts, &at))) {
        unsigned n = check_lanes(h, &h->idle, false);

        BUG_ON(h->egress != e || h->n_refs == 0 || n != h->n_idle ||
               n > e->config.pool_per_host);
        n_idle += n;
        n_busy += check_lanes(h, &h->busy, true);
    }
    BUG_ON(n_idle != e->n_idle || n_busy != e->n_busy);
    LIST_EACH (it, &seen->requests)
        check_request(seen, CONTAINER_OF(it, struct egress_request, link));
}
