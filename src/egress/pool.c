/* SPDX-License-Identifier: MIT
 *
 * Hosts and their lanes.
 *
 * A host is one name and port; it exists as long as an endpoint, a request or a connection needs it. A lane
 * is one connection to it together with the response parser, which lives as long as the connection: a
 * request on a pooled lane allocates neither.
 *
 *     lane_open() --> busy --lane_rest()--> idle --lane_take()--> busy
 *                      |                     |
 *                      +----- lane_close() --+--> memory goes when the turn has ended
 *
 * Idle lanes are kept as a stack: the one used last is taken first, so that a pool that has become too large
 * for its load ages at its other end and times out there. An idle lane is listened to; a byte or an EOF on it
 * closes it (answer.c), so most dead connections are found before anybody wants them.
 *
 * Deliberately absent: a maximum of busy lanes (whoever calls bounds its own calls; an agent has places), and
 * waiting for somebody else's lane to become free (it may take ten minutes).
 */
#include "egress/egress_int.h"

#include "lib/mem.h"

/* Larger than any body that could be announced; each request has its own maximum (answer.c). */
#define BODY_UNBOUNDED SIZE_MAX

static void on_idle_timeout(struct timer *t, void *arg);
static void free_host(struct grave *g);
static void free_lane(struct grave *g);

/* --- hosts -------------------------------------------------------------------------------------- */

struct host *host_get(struct egress *e, struct str name, bool is_ipv6, uint16_t port)
{
    char label[LIMIT_URL];
    int n =
        snprintf(label, sizeof label, is_ipv6 ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(name), port);
    struct host *h;

    BUG_ON(n <= 0 || (size_t)n >= sizeof label);
    h = map_get(&e->hosts, str_make(label, (size_t)n));
    if (h)
        return host_ref(h);
    h = MEM_NEW(struct host);
    h->egress = e;
    h->loop = e->loop;
    h->n_refs = 1;
    h->label = mem_str(label, (size_t)n);
    h->name = mem_str(name.p, name.n);
    h->port = port;
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->waiting);
    host_read_numeric(h);
    map_put(&e->hosts, str_of(h->label), h);
    return h;
}

struct host *host_ref(struct host *h)
{
    h->n_refs++;
    return h;
}

void host_unref(struct host *h)
{
    if (!h)
        return;
    BUG_ON(h->n_refs == 0);
    if (--h->n_refs > 0)
        return;
    if (h->egress)
        map_remove(&h->egress->hosts, str_of(h->label));
    h->egress = NULL;
    loop_bury(h->loop, &h->grave, free_host);
}

static void free_host(struct grave *g)
{
    struct host *h = CONTAINER_OF(g, struct host, grave);

    mem_free(h->label);
    mem_free(h->name);
    mem_free(h);
}

/* --- lanes -------------------------------------------------------------------------------------- */

struct lane *lane_take(struct host *h, struct egress_request *r, bool once)
{
    struct list *first = list_first(&h->idle);
    struct lane *l;

    if (!first)
        return NULL;
    l = CONTAINER_OF(first, struct lane, link);
    /* If the one used last is too old, all are. */
    if (once && loop_now_ms(h->loop) - l->idle_since_ms > h->egress->config.reuse_within_ms)
        return NULL;
    list_remove(&l->link);
    list_append(&h->busy, &l->link);
    h->n_idle--;
    h->egress->n_idle--;
    h->egress->n_busy++;
    l->request = r;
    return l;
}

int lane_open(struct host *h, struct egress_request *r, const struct sockaddr *to,
              struct lane **out)
{
    struct lane *l = MEM_NEW(struct lane);
    int err;

    l->magic = LANE_MAGIC;
    err = conn_connect(h->loop, to, &lane_events, l, &l->conn);
    if (err) {
        mem_free(l);
        return err;
    }
    l->parser = http_parser_new(HTTP_KIND_RESPONSE, BODY_UNBOUNDED, &lane_parser_events, l);
    l->host = host_ref(h);
    l->request = r;
    timer_init(&l->idle_timer, on_idle_timeout, l);
    list_init(&l->link);
    list_append(&h->busy, &l->link);
    h->egress->n_busy++;
    h->egress->n_opened++;
    *out = l;
    return 0;
}

void lane_rest(struct lane *l)
{
    struct host *h = l->host;
    struct egress *e = h->egress;

    list_remove(&l->link);
    list_prepend(&h->idle, &l->link);
    l->request = NULL;
    h->n_idle++;
    e->n_idle++;
    e->n_busy--;
    l->idle_since_ms = loop_now_ms(h->loop);
    /* The timer is never stopped while the lane is busy: moving it on is cheaper. */
    timer_start(h->loop, &l->idle_timer, e->config.idle_timeout_ms);
    if (h->n_idle > e->config.pool_per_host)
        lane_close(CONTAINER_OF(h->idle.prev, struct lane, link));
}

static void on_idle_timeout(struct timer *t, void *arg)
{
    struct lane *l = arg;

    (void)t;
    BUG_ON(l->magic != LANE_MAGIC);
    if (!l->request)
        lane_close(l);
}

void lane_close(struct lane *l)
{
    struct host *h;

    if (!l)
        return;
    h = l->host;
    BUG_ON(!list_is_linked(&l->link) || !h->egress);
    list_remove(&l->link);
    if (l->request) {
        h->egress->n_busy--;
        l->request->lane = NULL;
    } else {
        h->n_idle--;
        h->egress->n_idle--;
    }
    l->request = NULL;
    timer_stop(h->loop, &l->idle_timer);
    conn_close(l->conn);
    l->conn = NULL;
    l->host = NULL;
    loop_bury(h->loop, &l->grave, free_lane);
    host_unref(h);
}

static void free_lane(struct grave *g)
{
    struct lane *l = CONTAINER_OF(g, struct lane, grave);

    http_parser_free(l->parser);
    l->magic = 0;
    mem_free(l);
}
