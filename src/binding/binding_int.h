/* SPDX-License-Identifier: MIT
 *
 * Inside binding/: the routes and what the two JSON-RPC surfaces share.
 */
#ifndef BINDING_BINDING_INT_H
#define BINDING_BINDING_INT_H

#include "binding/binding.h"
#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/list.h"

#define BINDING_PAGES 16

struct page {
    const char *path; /* literal */
    binding_page_fn fn;
    void *arg;
};

struct binding {
    struct calls *calls; /* borrowed as long as the gateway lives */
    struct page pages[BINDING_PAGES];
    size_t n_pages;
    struct list idle; /* pending objects kept for reuse */
    size_t n_idle;
    struct buf out; /* scratch for answers: one at a time is written, start to end */
    struct buf tail;
};

/* A request between its arrival and its answer. */
struct pending {
    struct list link; /* in binding.idle when not in use */
    struct binding *binding;
    struct exchange *exchange;  /* NULL when the caller is gone */
    struct call *call;          /* NULL when answered */
    struct a2a_request request; /* only method, version, id, history_length are valid here */
    void (*write_rows)(struct buf *out, const struct pending *p,
                       const struct call_answer *answer);
    char id[LIMIT_JSONRPC_ID]; /* the raw id, where request.id points */
};

struct pending *pending_new(struct binding *b, struct exchange *x,
                            const struct a2a_request *request);
void pending_free(struct pending *p);

/* Starts the call for a pending request and sees to it that exactly one answer leaves. */
void pending_start(struct pending *p, const struct call_request *request);

/* Writes a JSON-RPC error as the whole answer and ends the exchange. */
void answer_fault(struct binding *b, struct exchange *x, const struct a2a_request *request,
                  const struct a2a_fault *fault);

/* POST with a JSON body? Otherwise answers and returns false. */
bool admit_json_post(struct binding *b, struct exchange *x);

void jsonrpc_on_request(struct binding *b, struct exchange *x, struct str agent_id);
void rpc_on_request(struct binding *b, struct exchange *x);

#endif
