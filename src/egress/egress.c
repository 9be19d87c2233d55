/* SPDX-License-Identifier: MIT
 *
 * The door: what URLs are called, endpoints, the head of a request, birth and death.
 *
 * An endpoint holds everything of a request's head that does not change from call to call, already written:
 *
 *     POST              the call's verb        (written per call)
 *      /path HTTP/1.1   `target`
 *     Host: .. User-Agent: .. Accept: .. and its own headers        `fixed`: one copy
 *     the call's headers, Content-Length      (written per call)
 */
#include "egress/egress_int.h"

#include "lib/mem.h"

#ifndef SUPERX_VERSION
#define SUPERX_VERSION "dev"
#endif

struct egress_endpoint {
    struct host *host; /* counted */
    char *target;      /* owned; path and query */
    struct buf fixed;  /* header lines */
};

/* --- URLs --------------------------------------------------------------------------------------- */

static int refuse(const char **why, int err, const char *text)
{
    *why = text;
    return err;
}

/* url_parse() has the say about what a URL is; here, about which of them can be called. */
static int take_apart(struct str text, struct url *u, const char **why)
{
    int err = url_parse(text, false, u, why);

    if (err)
        return err;
    if (str_is_nocase(u->scheme, STR("https")))
        return refuse(
            why, ERR_UNSUPPORTED,
            "the URL is https, which is not built yet: put a TLS proxy between, or use http");
    if (!str_is_nocase(u->scheme, STR("http")))
        return refuse(why, ERR_INVALID, "the URL does not begin with http://");
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

static void write_fixed(struct buf *out, const struct url *u,
                        const struct egress_header *headers, size_t n_headers)
{
    BUF_LIT(out, "Host: ");
    url_write_authority(out, u);
    BUF_LIT(out, "\r\nUser-Agent: superx/" SUPERX_VERSION "\r\nAccept: application/json\r\n");
    for (size_t i = 0; i < n_headers; i++)
        http_write_header(out, headers[i].name, headers[i].value);
}

static int init_endpoint(struct egress_endpoint *p, struct egress *e, struct str url,
                         const struct egress_header *headers, size_t n_headers,
                         const char **why)
{
    struct url u;
    int err = take_apart(url, &u, why);

    if (err)
        return err;
    buf_init(&p->fixed, LIMIT_HTTP_HEAD);
    write_fixed(&p->fixed, &u, headers, n_headers);
    err = buf_error(&p->fixed);
    if (err) {
        buf_release(&p->fixed);
        return refuse(why, err, "the headers are too large");
    }
    p->target = write_target(&u);
    p->host = host_get(e, u.host, u.host_is_ipv6, url_port(&u));
    return 0;
}

static void release_endpoint(struct egress_endpoint *p)
{
    host_unref(p->host);
    buf_release(&p->fixed);
    mem_free(p->target);
}

int egress_endpoint_new(struct egress *e, struct str url, const struct egress_header *headers,
                        size_t n_headers, struct egress_endpoint **out, const char **why)
{
    struct egress_endpoint *p = MEM_NEW(struct egress_endpoint);
    int err = init_endpoint(p, e, url, headers, n_headers, why);

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
    buf_add_str(out, buf_str(&to->fixed));
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
    err = init_endpoint(&p, e, call->url, NULL, 0, &why);
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
    map_init(&e->hosts);
    list_init(&e->requests);
    buf_init(&e->head, 2 * LIMIT_HTTP_HEAD);
    return e;
}

/* Idle lanes go; nobody is told. The host may go with the last of them. */
static void retire_host(struct host *h)
{
    struct list *first;

    host_ref(h);
    while ((first = list_first(&h->idle)))
        lane_close(CONTAINER_OF(first, struct lane, link));
    if (h->is_resolving)
        /* if it runs already, it will call back into the grave */
        (void)uv_cancel((uv_req_t *)&h->lookup);
    if (h->egress)
        map_remove(&h->egress->hosts, str_of(h->label));
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
    struct host *h;
    size_t at;

    if (!e)
        return;
    egress_cancel_all(e);
    while ((at = 0, h = map_next(&e->hosts, &at)))
        retire_host(h);
    map_release(&e->hosts);
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
        n++;
    }
    return n;
}

static void check_request(struct egress *e, struct egress_request *r)
{
    bool has_lane = r->state == REQUEST_CONNECTING || r->state == REQUEST_WAITING;

    BUG_ON(r->magic != REQUEST_MAGIC || r->egress != e || r->host->egress != e);
    BUG_ON(r->state == REQUEST_NEW || r->state == REQUEST_DONE);
    BUG_ON(has_lane != (r->lane != NULL));
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
