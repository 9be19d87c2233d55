/* SPDX-License-Identifier: MIT
 *
 * An exchange becomes a call, an answer becomes bytes: the JSON-RPC binding of A2A on POST /agents/{id}, the
 * gateway's own POST /rpc, and the way to pages that other stations offer.
 *
 * Knows neither agents nor databases: it asks `call`.
 */
#ifndef BINDING_BINDING_H
#define BINDING_BINDING_H

#include "accept/accept.h"
#include "call/call.h"

struct binding;

struct binding_config {
    struct loop *loop; /* borrowed: outlives the binding; for streams */
    /* Borrowed as long as the binding; NULL or "" when not set. */
    const char *public_url, *trusted_proxies, *admin_token;
    /* Numeric, and the port: the gateway's address in cards if nothing else says one. NULL: localhost. */
    const char *listen;
    uint16_t port;
    bool rpc_http_400; /* errors on /rpc come with HTTP 400 */
};

/* ERR_INVALID, with a sentence in `why`: PUBLIC_URL or TRUSTED_PROXIES cannot be understood. */
MUST_CHECK int binding_new(struct calls *calls, const struct binding_config *config,
                           struct binding **out, char why[256]);
void binding_free(struct binding *b);

/* Adds a page: GET (and HEAD) on exactly `path`, answered by `fn` with exchange_answer(). At most 16. */
typedef void (*binding_page_fn)(struct exchange *x, void *arg);
void binding_add_page(struct binding *b, const char *path, binding_page_fn fn, void *arg);

/* The server's request callback; `arg` is the binding. */
void binding_on_request(struct exchange *x, void *arg);

#endif
