/* SPDX-License-Identifier: MIT
 *
 * The parts of webhooks, to each other.
 *
 *     webhooks.c          all of them: claiming, settling, sweeping; birth and death
 *     hook.c              one cursor that is ours: what is sent next, and what became of it
 *     receiver.c          whose turn it is at one receiver
 *     webhook_config.c    what a caller gave, what the store keeps, which addresses may be called
 *     webhook_payload.c   an event as its receiver reads it; the task as of an event
 *     webhook_sign.c      what proves that it is from us (pure)
 *
 *     webhooks --> hooks (claimed) --> page of the log, one POST under way
 *          |  \--> receivers --> hooks that wait for a place
 *          |---> outcomes: queued, then in the settlement under way
 */
#ifndef SUBSCRIBE_WEBHOOK_INT_H
#define SUBSCRIBE_WEBHOOK_INT_H

#include "egress/egress.h"
#include "lib/digest.h"
#include "lib/limits.h"
#include "lib/list.h"
#include "lib/map.h"
#include "lib/network.h"
#include "lib/seal.h"
#include "subscribe/webhooks.h"

#define HOOKS_MAX 4096u      /* claimed at once */
#define CLAIM_MAX 512u       /* in one go */
#define UNSETTLED_MAX 64u    /* of one hook: what a kill makes it send again */
#define RECEIVERS_MAX 10000u /* remembered although nobody calls them */
#define PUT_BACK_MS 2000u
#define PUT_BACK_DEAD_MS 10000u /* the line is that of a receiver that does not answer */
#define ANSWER_KEPT KB(1)       /* of a receiver's answer */
#define ERROR_KEPT 160u
#define ANSWER_MAX KB(64) /* read of it */
#define RETRY_AFTER_MAX_S 3600u
#define WEBHOOK_ID_MAX 32u

/* What is known of a receiver by its last answers; those that have failed share a quarter of all places, those nobody
 * has called yet a half, so that dead ones do not stand in the way of the others. */
enum standing { STANDING_UNKNOWN, STANDING_GOOD, STANDING_FAILED, STANDING_MAX };

struct webhooks {
    struct loop *loop; /* borrowed, as the store, as long as the gateway lives */
    struct store *store;
    struct webhooks_config config;
    struct egress *egress; /* owned: connections of our own */
    struct egress_tls tls;
    struct seal seal;
    bool has_seal;
    struct network *networks; /* owned: PUSH_ALLOW */
    size_t n_networks;
    struct str *names; /* owned; views into config.allow */
    size_t n_names;
    char forbidden[160]; /* the reason told last */

    struct list hooks; /* hook.link */
    unsigned n_hooks, n_posting;
    struct map receivers;       /* "scheme://host:port" -> struct receiver */
    struct list idle_receivers; /* receiver.link: without hooks, the longest first */
    unsigned n_idle_receivers;
    unsigned n_by_standing[STANDING_MAX]; /* of n_posting */
    struct list outcomes;                 /* outcome.link: not with the store yet */
    struct list flying;                   /* the same: in the settlement under way */
    bool is_settling, is_claiming, claims_again;
    bool is_up, is_draining, is_stopped;
    struct deferred flush, claim;
    struct timer poll, settle_again, sweep, prune, slots;
    void (*on_idle)(void *arg);
    void *on_idle_arg;
    struct deferred idle;
    struct webhooks_figures figures;
};

/* What a configuration says, ready to use. All decoded, in the hook's arena; absent: not given. */
struct hook_config {
    struct str url, token, scheme, credentials, hmac_secret;
    struct str jwt_secret, jwt_issuer, jwt_audience, jwt_kid, jwt_claims; /* claims: raw */
    bool wants_events; /* 0.3: update events, not tasks */
};

struct receiver {
    struct webhooks *w;
    struct list link;    /* in webhooks.idle_receivers while it has no hooks */
    struct list waiting; /* hook.place */
    unsigned n_waiting, n_posting, n_hooks;
    enum standing standing;
    unsigned places; /* as many attempts at once: grows with each answer, up to per_host */
    double tokens;   /* attempts that may begin now */
    uint64_t filled_ms;
    char key[];
};

struct outcome {
    struct list link;
    struct hook *hook;
    struct store_push_result result;
    char text[ERROR_KEPT + ANSWER_KEPT]; /* error, answer */
};

struct hook {
    struct list link; /* in webhooks.hooks */
    struct webhooks *w;
    struct arena arena; /* strings of `push` and `config` */
    struct store_push push;
    struct hook_config config;
    struct receiver *receiver; /* counted by n_hooks */
    struct list place;         /* in receiver.waiting */

    struct store_event *page; /* owned; payloads in page_bytes */
    size_t n_page, page_at;
    struct buf page_bytes;
    uint64_t read_to;               /* up to here events were looked at */
    uint64_t delivered, head;       /* acknowledged, or given up; known to be there */
    const struct store_event *next; /* in `page`: what is being sent; NULL for a message */
    uint64_t next_seq;
    bool is_terminal; /* what is being sent ends the task */
    unsigned attempts;
    uint64_t failed_seq;

    struct buf doc; /* the task as of doc_seq, for receivers that want tasks */
    uint64_t doc_seq;
    enum a2a_version doc_dialect;

    struct buf body;
    struct egress_request *request;
    uint64_t started_ms;
    int64_t started_us;

    struct outcome *latest;          /* in the settlement that is being made; NULL: none */
    unsigned n_unsettled, n_pending; /* outcomes; questions to the store */
    /* nothing to send: the settlement says whether there is more */
    bool is_resting;
    bool is_held_up; /* UNSETTLED_MAX */
    bool is_over;    /* goes when the last outcome is settled */
    bool has_place;  /* at the receiver, taken in `standing` */
    enum standing standing;
};

/* --- webhooks.c --- */

void webhooks_queue(struct webhooks *w, struct outcome *o);
/* A place has become free somewhere, or a hook has gone. */
void webhooks_settle_down(struct webhooks *w);
void webhooks_claim_soon(struct webhooks *w);

/* --- hook.c --- */

struct hook *hook_new(struct webhooks *w, const struct store_push *push);
void hook_start(struct hook *h);
/* Its receiver has a place for it. */
void hook_send(struct hook *h);
/* Its receiver is too busy: it is put back. */
void hook_put_back(struct hook *h);
/* `head` 0: it is another's. */
void hook_settled(struct hook *h, const struct outcome *o, uint64_t head);
void hook_cancel(struct hook *h); /* stops and frees it as soon as nobody will call it */

/* How long to wait before the next attempt, when `n` have failed; 0: there is none. */
uint64_t hook_pause_ms(const struct webhooks_config *config, unsigned n);

/* --- receiver.c --- */

struct receiver *receiver_get(struct webhooks *w, struct str url);
void receiver_leave(struct receiver *r);
/* hook_send() or hook_put_back() will come, perhaps at once */
void receiver_want(struct receiver *r, struct hook *h);
/* A place is given back that was taken in `standing`. */
void receiver_done(struct receiver *r, enum standing standing);
/* It has answered, whatever it said, or has not. */
void receiver_judge(struct receiver *r, bool has_answered);
/* Forgets those nobody has called for long; with `all` every one without hooks. */
void receivers_forget(struct webhooks *w, bool all);
void receivers_run(struct webhooks *w);

/* --- webhook_config.c --- */

MUST_CHECK int webhooks_read_allow(struct webhooks *w, char why[256]);
/* For egress: why an address may not be called. */
const char *webhooks_refuse(void *arg, struct str host, const struct sockaddr *address);
/* Opens what the store kept. ERR_INVALID with *why, literal. */
MUST_CHECK int hook_config_read(const struct webhooks *w, const struct store_push *push,
                                struct arena *arena, struct hook_config *out, const char **why);

/* --- webhook_payload.c --- */

/* Appends what the receiver of `form` is sent: the event, or, with `doc`, the task (`doc_dialect`) as of it. ERR_INVALID
 * with *why when it cannot be said in its words. */
MUST_CHECK int payload_write(struct buf *out, const struct hook *h,
                             const struct store_event *event, struct str doc,
                             enum a2a_version doc_dialect, const char **why);
/* The same for a message. */
MUST_CHECK int payload_write_message(struct buf *out, enum push_form form, struct str message,
                                     enum a2a_version dialect, const char **why);
/* Folds one event into the hook's document. */
MUST_CHECK int payload_replay(struct hook *h, const struct store_event *event);

/* --- webhook_sign.c --- */

#define SIGN_HEADERS_MAX 16

struct signed_headers {
    struct egress_header headers[SIGN_HEADERS_MAX];
    size_t n;
    struct buf text; /* owned; what the headers point into. Released by the caller. */
};

/* The same for every attempt at an event, and of no other event. */
void webhook_write_id(char out[WEBHOOK_ID_MAX], const struct uuid *key, struct str id,
                      uint64_t seq);

/* Everything that goes with a body at the time `now_us`. ERR_NOMEM. */
MUST_CHECK int webhook_sign(struct signed_headers *out, const struct webhooks_config *config,
                            enum push_form form, const struct hook_config *c,
                            struct str task_id, const char *webhook_id, int64_t now_us,
                            struct str body);

#endif
