/* SPDX-License-Identifier: MIT
 *
 * The addresses of a host, looked up off the loop.
 *
 * uv_getaddrinfo() asks in a helper thread; the answer comes back as a callback. One look-up per host runs
 * at a time and serves everybody who waits; its addresses are believed for 30 seconds, or until none of them
 * takes a connection. Numeric hosts never ask.
 *
 * When a name server does not answer (which is not the same as "there is no such name") old addresses are
 * used on: a resolver that is down must not take down agents that are up. That a name does not exist is not
 * cached.
 *
 * Deliberately absent: racing IPv6 against IPv4 (RFC 8305). Addresses are tried in the system's order, each
 * with its share of the connect deadline, and the one that worked is tried first the next time.
 */
#include "egress/egress_int.h"

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found);

void host_read_numeric(struct host *h)
{
    union address *a = &h->addresses[0];

    if (uv_ip4_addr(h->name, h->port, &a->v4) != 0 &&
        uv_ip6_addr(h->name, h->port, &a->v6) != 0)
        return;
    h->n_addresses = 1;
    h->fresh_until_ms = UINT64_MAX;
}

int host_resolve(struct host *h)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    if (h->is_resolving)
        return ERR_AGAIN;
    if (h->n_addresses > 0 && loop_now_ms(h->loop) < h->fresh_until_ms)
        return 0;
    if (uv_getaddrinfo(loop_uv(h->loop), &h->lookup, on_lookup, h->name, NULL, &hints) != 0)
        return ERR_RESOLVE;
    h->lookup.data = h;
    h->is_resolving = true;
    h->grave.n_pending++;
    return ERR_AGAIN;
}

void host_doubt(struct host *h)
{
    if (h->fresh_until_ms != UINT64_MAX)
        h->fresh_until_ms = 0;
}

static void keep_addresses(struct host *h, const struct addrinfo *found)
{
    h->n_addresses = 0;
    h->preferred = 0;
    for (const struct addrinfo *i = found; i && h->n_addresses < ADDRESSES_MAX;
         i = i->ai_next) {
        union address *a = &h->addresses[h->n_addresses];

        if (i->ai_family == AF_INET && i->ai_addrlen == sizeof a->v4) {
            memcpy(&a->v4, i->ai_addr, sizeof a->v4);
            a->v4.sin_port = htons(h->port);
        } else if (i->ai_family == AF_INET6 && i->ai_addrlen == sizeof a->v6) {
            memcpy(&a->v6, i->ai_addr, sizeof a->v6);
            a->v6.sin6_port = htons(h->port);
        } else {
            continue;
        }
        h->n_addresses++;
    }
}

static bool is_no_such_name(int status)
{
    return status == UV_EAI_NONAME || status == UV_EAI_NODATA || status == UV_EAI_ADDRFAMILY;
}

/* Tells all who wait. Each may cancel others, start new requests or end egress while it is told. */
static void tell_waiting(struct host *h, int status)
{
    struct list told, *first;

    list_init(&told);
    list_splice(&told, &h->waiting);
    host_ref(h);
    while ((first = list_first(&told))) {
        struct egress_request *r = CONTAINER_OF(first, struct egress_request, wait);

        list_remove(first);
        if (is_no_such_name(status))
            REQUEST_WHY(r, "has a host name that does not exist: %s", h->name);
        else if (status)
            REQUEST_WHY(r, "has a host name that could not be resolved: %s: %s", h->name,
                        uv_strerror(status));
        request_on_addresses(r, status ? ERR_RESOLVE : 0);
    }
    host_unref(h);
}

static void on_lookup(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct host *h = lookup->data;

    h->grave.n_pending--;
    h->is_resolving = false;
    if (!h->egress) { /* nobody is left to be told; the graveyard has it */
        uv_freeaddrinfo(found);
        return;
    }
    if (status == 0) {
        keep_addresses(h, found);
        if (h->n_addresses == 0)
            status = UV_EAI_NODATA;
    } else if (is_no_such_name(status)) {
        h->n_addresses = 0;
    } else if (h->n_addresses > 0) {
        status = 0;
    }
    uv_freeaddrinfo(found);
    if (status == 0)
        h->fresh_until_ms = loop_now_ms(h->loop) + ADDRESSES_FRESH_MS;
    tell_waiting(h, status);
}
