/* SPDX-License-Identifier: MIT
 *
 * One receiver: scheme, host and port. It has so many places, and so many attempts a second; who finds none waits in line,
 * and when the line is long is put back, so that a dead receiver's webhooks do not stand around here by the thousand.
 *
 * A receiver begins with two places and gets twice as many with each answer; one that does not answer has one. What is
 * known of it is kept for a while after its last webhook has gone.
 */
#include "lib/mem.h"
#include "lib/url.h"
#include "subscribe/webhook_int.h"

#define FIRST_PLACES 2u
#define REMEMBERED_MS 600000u
#define TICK_MS 10u /* how long who waits for the rate waits at most, beyond it */

static void write_key(struct buf *out, struct str url)
{
    struct url u;
    const char *why;

    if (url_parse(url, false, &u, &why)) {
        buf_add_str(out, url); /* it has been checked when it was registered */
        return;
    }
    buf_add_str(out, u.scheme);
    buf_add_str(out, STR("://"));
    buf_add_str(out, u.host);
    buf_printf(out, ":%u", url_port(&u));
}

struct receiver *receiver_get(struct webhooks *w, struct str url)
{
    struct receiver *r;
    struct buf key;

    buf_init(&key, LIMIT_URL + 16);
    write_key(&key, url);
    r = map_get(&w->receivers, buf_str(&key));
    if (!r) {
        r = mem_zero(1, sizeof *r + key.n + 1);
        memcpy(r->key, key.p, key.n);
        r->w = w;
        r->tokens = w->config.rate;
        r->filled_ms = loop_now_ms(w->loop);
        r->places = FIRST_PLACES < w->config.per_host ? FIRST_PLACES : w->config.per_host;
        list_init(&r->link);
        list_init(&r->waiting);
        map_put(&w->receivers, str_make(r->key, key.n), r);
    }
    if (list_is_linked(&r->link)) {
        list_remove(&r->link);
        w->n_idle_receivers--;
    }
    r->n_hooks++;
    buf_release(&key);
    return r;
}

static void forget(struct receiver *r)
{
    list_remove(&r->link);
    r->w->n_idle_receivers--;
    map_remove(&r->w->receivers, str_of(r->key));
    mem_free(r);
}

void receiver_leave(struct receiver *r)
{
    struct webhooks *w = r->w;

    if (--r->n_hooks)
        return;
    r->filled_ms = loop_now_ms(w->loop);
    r->tokens = w->config.rate;
    list_append(&w->idle_receivers, &r->link);
    w->n_idle_receivers++;
}

void receivers_forget(struct webhooks *w, bool all)
{
    uint64_t now = loop_now_ms(w->loop);
    struct list *first;

    while ((first = list_first(&w->idle_receivers))) {
        struct receiver *r = CONTAINER_OF(first, struct receiver, link);

        if (!all && w->n_idle_receivers <= RECEIVERS_MAX && now - r->filled_ms < REMEMBERED_MS)
            return;
        forget(r);
    }
}

void receiver_judge(struct receiver *r, bool has_answered)
{
    unsigned most = r->w->config.per_host;

    r->standing = has_answered ? STANDING_GOOD : STANDING_FAILED;
    if (!has_answered)
        r->places = 1;
    else
        r->places = 2 * r->places < most ? 2 * r->places : most;
}

static bool has_token(struct receiver *r)
{
    unsigned rate = r->w->config.rate;
    uint64_t now = loop_now_ms(r->w->loop);

    if (!rate)
        return true;
    r->tokens += (double)(now - r->filled_ms) * rate / 1000;
    if (r->tokens > rate)
        r->tokens = rate;
    r->filled_ms = now;
    return r->tokens >= 1;
}

/* At least one, or nobody of them would ever be called. */
static bool has_share(const struct webhooks *w, enum standing standing)
{
    static const unsigned part[] = {
        [STANDING_UNKNOWN] = 2, [STANDING_GOOD] = 1, [STANDING_FAILED] = 4};
    unsigned share = w->config.concurrency / part[standing];

    return w->n_by_standing[standing] < (share ? share : 1);
}

static bool has_place(struct receiver *r)
{
    return r->n_posting < r->places && r->w->n_posting < r->w->config.concurrency &&
           has_share(r->w, r->standing);
}

/* Whether the hook may go; then it has its place. */
static bool take_place(struct receiver *r, struct hook *h)
{
    if (!has_place(r) || !has_token(r))
        return false;
    if (r->w->config.rate)
        r->tokens -= 1;
    h->standing = r->standing;
    r->n_posting++;
    r->w->n_posting++;
    r->w->n_by_standing[r->standing]++;
    return true;
}

/* Who answers has a long line, which moves; behind the dead nobody shall stand around. */
static bool is_full(const struct receiver *r)
{
    static const unsigned most[] = {
        [STANDING_UNKNOWN] = 64, [STANDING_GOOD] = HOOKS_MAX, [STANDING_FAILED] = 8};

    return r->n_waiting >= most[r->standing];
}

void receiver_want(struct receiver *r, struct hook *h)
{
    if (list_is_empty(&r->waiting) && take_place(r, h)) {
        hook_send(h);
    } else if (is_full(r)) {
        hook_put_back(h);
    } else {
        list_append(&r->waiting, &h->place);
        r->n_waiting++;
        if (!timer_is_on(&r->w->slots))
            timer_start(r->w->loop, &r->w->slots, TICK_MS);
    }
}

void receiver_done(struct receiver *r, enum standing standing)
{
    r->n_posting--;
    r->w->n_posting--;
    r->w->n_by_standing[standing]--;
    if (!timer_is_on(&r->w->slots))
        timer_start(r->w->loop, &r->w->slots, 0);
}

static void run(struct receiver *r)
{
    struct list *first;

    if (list_is_empty(&r->waiting))
        return;
    r->n_hooks++; /* it stays, whoever goes */
    while ((first = list_first(&r->waiting)) &&
           take_place(r, CONTAINER_OF(first, struct hook, place))) {
        list_remove(first);
        r->n_waiting--;
        hook_send(CONTAINER_OF(first, struct hook, place));
    }
    receiver_leave(r);
}

static bool is_anybody_waiting(struct webhooks *w)
{
    struct receiver *r;
    size_t at = 0;

    while ((r = map_next(&w->receivers, &at)))
        if (!list_is_empty(&r->waiting))
            return true;
    return false;
}

/* Who stands first in each line; from the timer only, so that a long chain of answers does not nest. */
void receivers_run(struct webhooks *w)
{
    struct receiver *r;
    size_t at = 0;

    while ((r = map_next(&w->receivers, &at)))
        run(r);
    if (is_anybody_waiting(w) && !timer_is_on(&w->slots))
        timer_start(w->loop, &w->slots, TICK_MS);
}
