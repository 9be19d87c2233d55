/* SPDX-License-Identifier: MIT
 *
 * One receiver: scheme, host and port. It has so many places, and so many attempts a second; who finds none waits in line,
 * and when the line is long is put back, so that a dead receiver's webhooks do not stand around here by the thousand.
 */
#include "lib/mem.h"
#include "lib/url.h"
#include "subscribe/webhook_int.h"

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
        list_init(&r->waiting);
        map_put(&w->receivers, str_make(r->key, key.n), r);
    }
    r->n_hooks++;
    buf_release(&key);
    return r;
}

void receiver_leave(struct receiver *r)
{
    if (--r->n_hooks)
        return;
    map_remove(&r->w->receivers, str_of(r->key));
    mem_free(r);
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

static bool has_place(struct receiver *r)
{
    return r->n_posting < r->w->config.per_host && r->w->n_posting < r->w->config.concurrency;
}

/* Whether one may go; then it has its place. */
static bool take_place(struct receiver *r)
{
    if (!has_place(r) || !has_token(r))
        return false;
    if (r->w->config.rate)
        r->tokens -= 1;
    r->n_posting++;
    r->w->n_posting++;
    return true;
}

void receiver_want(struct receiver *r, struct hook *h)
{
    if (list_is_empty(&r->waiting) && take_place(r)) {
        hook_send(h);
    } else if (r->n_waiting >= WAITING_MAX) {
        hook_put_back(h);
    } else {
        list_append(&r->waiting, &h->place);
        r->n_waiting++;
        if (!timer_is_on(&r->w->slots))
            timer_start(r->w->loop, &r->w->slots, TICK_MS);
    }
}

void receiver_done(struct receiver *r)
{
    r->n_posting--;
    r->w->n_posting--;
    if (!timer_is_on(&r->w->slots))
        timer_start(r->w->loop, &r->w->slots, 0);
}

static void run(struct receiver *r)
{
    struct list *first;

    r->n_hooks++; /* it stays, whoever goes */
    while ((first = list_first(&r->waiting)) && take_place(r)) {
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

/* Who stands first in each line; from the timer only, so that a long chain of answers does not nest. A receiver that goes
 * meanwhile may hide another from this walk; the next one finds it. */
void receivers_run(struct webhooks *w)
{
    struct receiver *r;
    size_t at = 0;

    while ((r = map_next(&w->receivers, &at)))
        run(r);
    if (is_anybody_waiting(w) && !timer_is_on(&w->slots))
        timer_start(w->loop, &w->slots, TICK_MS);
}
