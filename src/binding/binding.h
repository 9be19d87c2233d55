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

struct binding *binding_new(struct calls *calls);
void binding_free(struct binding *b);

/* Adds a page: GET (and HEAD) on exactly `path`, answered by `fn` with exchange_answer(). At most 16. */
typedef void (*binding_page_fn)(struct exchange *x, void *arg);
void binding_add_page(struct binding *b, const char *path, binding_page_fn fn, void *arg);

/* The server's request callback; `arg` is the binding. */
void binding_on_request(struct exchange *x, void *arg);

#endif
