/* SPDX-License-Identifier: MIT
 *
 * Who is told from outside the house: webhooks. Included by subscribe/subscribe.h.
 *
 *     store: a cursor is due --claim--> hook --page of the log--> POST --answer--> settled --more?--> ...
 *                                        |                          `-- failed: due again later, or disabled
 *                                        `-- waits where its receiver has no place free
 *
 * Every told event of the log behind a cursor is POSTed to its receiver, in order, until it is answered with 2xx. What
 * was answered is settled in the store soon after, many at a time; so a receiver hears an event twice only if the
 * gateway dies in between, and then under the same webhook-id.
 *
 * Invariants
 *   1. At least once, in order per webhook: event n+1 is not sent before n was acknowledged or recorded as given up.
 *   2. One receiver (scheme, host and port) that is slow or dead takes no more than its share of places; the others, agents
 *      and readers notice nothing: webhooks have connections of their own.
 *   3. No address is called that PUSH_ALLOW does not permit: not when it is registered, and not when the name has
 *      another address later. Redirects are answers like any other.
 *   4. Secrets are sealed when there is a key, stand in no log, and are never told again.
 */
#ifndef SUBSCRIBE_WEBHOOKS_H
#define SUBSCRIBE_WEBHOOKS_H

#include "subscribe/subscribe.h"

struct webhooks;

struct webhooks_config {
    /* PUSH_ALLOW: networks, addresses, host names, commas between; "" or NULL: none */
    const char *allow;
    bool allow_loopback; /* --demo */
    /* SECRET_KEY_BASE; "" or NULL: secrets are stored as they are */
    const char *secret_key_base;
    /* PUSH_SIGNING_SECRET; for webhooks without one of their own; "" or NULL: none */
    const char *signing_secret;
    const char *ca_file;    /* PUSH_CA_FILE; "" or NULL: the system's */
    uint64_t timeout_ms;    /* PUSH_TIMEOUT: of one attempt */
    uint64_t retry_base_ms; /* PUSH_RETRY_BASE_MS; 0: the schedule of webhooks.c */
    unsigned max_attempts;  /* PUSH_MAX_ATTEMPTS; 0: as many as the schedule has */
    uint64_t jwt_ttl_s, jwt_skew_s;
    unsigned concurrency; /* PUSH_CONCURRENCY: attempts under way at once */
    unsigned per_host;    /* PUSH_PER_HOST: of those at one receiver */
    unsigned rate;        /* PUSH_HOST_RATE: attempts a second at one receiver; 0: no bound */
    uint64_t keep_ms;     /* PUSH_ATTEMPTS_KEEP: how long attempts are kept */
};

/* ERR_INVALID with `why` about a setting that makes no sense. Everything in `config` is borrowed. */
MUST_CHECK int webhooks_new(struct loop *loop, struct store *store,
                            const struct webhooks_config *config, struct webhooks **out,
                            char why[256]);
/* The store is up (again): what is due is delivered from now on. */
void webhooks_store_up(struct webhooks *w);
/* Nothing new is sent; `on_idle` comes once, never from inside, when what was under way is answered and settled. */
void webhooks_drain(struct webhooks *w, void (*on_idle)(void *arg), void *arg);
/* Nothing more is called. What was answered and is not settled is sent once more after a restart. */
void webhooks_stop(struct webhooks *w);
void webhooks_free(struct webhooks *w); /* accepts NULL; behind the store's closing */

/* --- registering (webhook_config.c) --------------------------------------------------------------------- */

/* Makes of what a caller gave what the store keeps: the URL checked, secrets sealed, an id made up where none was given.
 * The strings are in `arena`. ERR_INVALID with *fault (INVALID_PARAMS), ERR_NOMEM likewise. */
MUST_CHECK int webhook_make(const struct webhooks *w, const struct a2a_push *push,
                            enum push_form form, struct arena *arena,
                            struct store_push_config *out, struct a2a_fault *fault);

/* Looks the URL's host up and judges each of its addresses. `why` NULL: it may be called, or its name has no address at
 * present; else a sentence that names PUSH_ALLOW. Borrowed during the call, which never comes from inside. */
struct webhook_look;
typedef void (*webhook_look_fn)(void *arg, const char *why);
MUST_CHECK int webhook_look_start(struct webhooks *w, struct str url, webhook_look_fn fn,
                                  void *arg, struct webhook_look **out);
void webhook_look_cancel(struct webhook_look *look); /* accepts NULL */

/* One attempt with a made-up event, outside of all cursors; for `superx webhooks test`. `status` 0: none came, and `why`
 * says why. */
typedef void (*webhook_test_fn)(void *arg, int status, uint64_t ms, const char *why,
                                struct str answer);
MUST_CHECK int webhook_test(struct webhooks *w, const struct store_push *push,
                            webhook_test_fn fn, void *arg);

struct webhooks_figures {
    unsigned active, posting, waiting, receivers;
    uint64_t delivered, failed, given_up, disabled;
};
void webhooks_figures(const struct webhooks *w, struct webhooks_figures *out);

#endif
