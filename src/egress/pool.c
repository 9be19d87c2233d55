/* SPDX-License-Identifier: MIT
 *
 * Hosts and their lanes.
 *
 * A host is one name and port, and with https one identity and one expected name: nobody may get a
 * connection that was proved to somebody else. It exists as long as an endpoint, a request or a connection
 * needs it. A lane is one connection to it together with the response parser, which lives as long as the
 * connection: a request on a pooled lane allocates neither.
 *
 *     lane_open() --> busy --lane_rest()--> idle --lane_take()--> busy
 *                      |                     |
 *                      +----- lane_close() --+--> memory goes when the turn has ended
 *
 * Idle lanes are kept as a stack: the one used last is taken first, so that a pool that has become too large
 * for its load ages at its other end and times out there. An idle lane is listened to; a byte or an EOF on it
 * closes it (answer.c), so most dead connections are found before anybody wants them. An EOF that is still on
 * its way is not: therefore lanes are kept for less time than peers keep theirs (five seconds is common).
 *
 * When the files of an identity have changed, the generation of its hosts goes up: idle lanes of an older
 * one are closed when the host is next asked for a lane, busy ones when their request has its answer.
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

/* Parts that people chose come last; none of them holds a blank. */
static void write_key(struct buf *key, const struct host_spec *spec)
{
    if (spec->identity)
        buf_printf(key, "https %llu %u %.*s %.*s", (unsigned long long)spec->identity->number,
                   spec->port, STR_ARG(spec->server_name), STR_ARG(spec->name));
    else
        buf_printf(key, "http %u %.*s", spec->port, STR_ARG(spec->name));
}

static struct host *new_host(struct egress *e, const struct host_spec *spec, struct str key)
{
    struct host *h = MEM_NEW(struct host);
    char label[LIMIT_URL];
    int n = snprintf(label, sizeof label, spec->is_ipv6 ? "[%.*s]:%u" : "%.*s:%u",
                     STR_ARG(spec->name), spec->port);

    BUG_ON(n <= 0 || (size_t)n >= sizeof label);
    h->egress = e;
    h->loop = e->loop;
    h->n_refs = 1;
    h->key = mem_str(key.p, key.n);
    h->label = mem_str(label, (size_t)n);
    h->name = mem_str(spec->name.p, spec->name.n);
    h->port = spec->port;
    if (spec->identity) {
        h->identity = identity_ref(spec->identity);
        h->server_name = mem_str(spec->server_name.p, spec->server_name.n);
    }
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->waiting);
    host_read_numeric(h);
    map_put(&e->hosts, str_of(h->key), h);
    return h;
}

struct host *host_get(struct egress *e, const struct host_spec *spec)
{
    struct host *h = NULL;
    struct buf key;

    buf_init(&key, 2 * LIMIT_URL);
    write_key(&key, spec);
    BUG_ON(buf_error(&key) == ERR_LIMIT);
    if (!buf_error(&key)) {
        h = map_get(&e->hosts, buf_str(&key));
        h = h ? host_ref(h) : new_host(e, spec, buf_str(&key));
    }
    buf_release(&key);
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
        map_remove(&h->egress->hosts, str_of(h->key));
    h->egress = NULL;
    loop_bury(h->loop, &h->grave, free_host);
}

static void free_host(struct grave *g)
{
    struct host *h = CONTAINER_OF(g, struct host, grave);

    tls_memory_release(&h->memory);
    tls_context_unref(h->context);
    identity_unref(h->identity);
    mem_free(h->server_name);
    mem_free(h->key);
    mem_free(h->label);
    mem_free(h->name);
    mem_free(h);
}

/* --- lanes -------------------------------------------------------------------------------------- */

void host_close_idle(struct host *h)
{
    struct list *first;

    while ((first = list_first(&h->idle)))
        lane_close(CONTAINER_OF(first, struct lane, link));
}

/* With https: if files have changed, what was proved by the old ones is worth nothing any more. */
static void renew_context(struct host *h)
{
    struct tls_context *now = h->identity ? identity_context(h->identity) : NULL;

    if (now == h->context)
        return;
    tls_context_unref(h->context);
    h->context = tls_context_ref(now);
    tls_memory_release(&h->memory);
    h->memory.context = now; /* a handshake under way with the old one adds nothing */
    h->generation++;
    host_close_idle(h); /* who wants a lane holds the host */
}

struct lane *lane_take(struct host *h, struct egress_request *r)
{
    struct list *first;
    struct lane *l;

    renew_context(h);
    first = list_first(&h->idle);
    if (!first)
        return NULL;
    l = CONTAINER_OF(first, struct lane, link);
    /* If the one used last is too old, all are. Their timers have run out by now, but for this turn. */
    if (loop_now_ms(h->loop) - l->idle_since_ms > h->egress->config.reuse_within_ms)
        return NULL;
    list_remove(&l->link);
    list_append(&h->busy, &l->link);
    h->n_idle--;
    h->egress->n_idle--;
    h->egress->n_busy++;
    l->request = r;
    return l;
}

static int connect_lane(struct host *h, struct lane *l, const struct sockaddr *to)
{
    struct tls_peer peer;

    if (!h->identity)
        return conn_connect(h->loop, to, &lane_events, l, &l->conn);
    renew_context(h);
    peer = (struct tls_peer){h->context, h->server_name, &h->memory};
    return conn_connect_tls(h->loop, to, &peer, &lane_events, l, &l->conn);
}

int lane_open(struct host *h, struct egress_request *r, const struct sockaddr *to,
              struct lane **out)
{
    struct lane *l = MEM_NEW(struct lane);
    int err;

    l->magic = LANE_MAGIC;
    err = connect_lane(h, l, to);
    if (err) {
        mem_free(l);
        return err;
    }
    l->parser = http_parser_new(HTTP_KIND_RESPONSE, BODY_UNBOUNDED, &lane_parser_events, l);
    l->host = host_ref(h);
    l->request = r;
    l->generation = h->generation;
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
    if (l->generation != h->generation)
        lane_close(l);
    else if (h->n_idle > e->config.pool_per_host)
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
