/* SPDX-License-Identifier: MIT
 *
 * All webhooks of a gateway: cursors that are due are claimed, what was answered is settled, many at a time.
 *
 *     a commit made one due, a hook has gone, the next is due, a second has passed --> claim --> hooks
 *     outcomes queued --end of turn--> settlement --> each hook is told how far its task is
 *                                        `-- the store is away: the same again later
 *
 * One claim and one settlement are under way at a time; what comes meanwhile makes the next one larger.
 */
#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "subscribe/webhook_int.h"

#define POLL_MS 1000u        /* other nodes' cursors, and those of the dead */
#define SETTLE_AGAIN_MS 500u /* the store was away */
#define SWEEP_MS 30000u
#define PRUNE_MS 600000u

static void on_poll(struct timer *t, void *arg);
static void on_settle_again(struct timer *t, void *arg);
static void on_sweep(struct timer *t, void *arg);
static void on_prune(struct timer *t, void *arg);
static void on_slots(struct timer *t, void *arg);
static void on_flush(void *arg);
static void on_claim(void *arg);
static void on_idle(void *arg);

/* --- birth and death ------------------------------------------------------------------------------ */

static bool is_set(const char *z)
{
    return z && *z;
}

static int check_ca(struct webhooks *w, char why[256])
{
    struct egress_endpoint *probe;
    const char *reason = "";

    if (!is_set(w->config.ca_file))
        return 0;
    w->tls.ca_file = str_of(w->config.ca_file);
    if (egress_endpoint_new(w->egress, STR("https://localhost/"), NULL, 0, &w->tls, &probe,
                            &reason)) {
        snprintf(why, 256, "PUSH_CA_FILE: %s", reason);
        return ERR_INVALID;
    }
    egress_endpoint_free(probe);
    return 0;
}

int webhooks_new(struct loop *loop, struct store *store, const struct webhooks_config *config,
                 struct webhooks **out, char why[256])
{
    struct webhooks *w = MEM_NEW(struct webhooks);
    struct egress_config egress = {.pool_per_host = config->per_host,
                                   .idle_timeout_ms = 60000,
                                   .reuse_within_ms = 4000,
                                   .refuses = webhooks_refuse,
                                   .refuses_arg = w};

    w->loop = loop;
    w->store = store;
    w->config = *config;
    w->has_seal = is_set(config->secret_key_base);
    if (w->has_seal)
        seal_init(&w->seal, str_of(config->secret_key_base));
    list_init(&w->hooks);
    list_init(&w->outcomes);
    list_init(&w->flying);
    map_init(&w->receivers);
    list_init(&w->idle_receivers);
    w->egress = egress_new(loop, &egress);
    w->flush = (struct deferred){.fn = on_flush, .arg = w};
    w->claim = (struct deferred){.fn = on_claim, .arg = w};
    w->idle = (struct deferred){.fn = on_idle, .arg = w};
    timer_init(&w->poll, on_poll, w);
    timer_init(&w->settle_again, on_settle_again, w);
    timer_init(&w->sweep, on_sweep, w);
    timer_init(&w->prune, on_prune, w);
    timer_init(&w->slots, on_slots, w);
    if (webhooks_read_allow(w, why) || check_ca(w, why)) {
        webhooks_free(w);
        return ERR_INVALID;
    }
    store_on_push(store, (void (*)(void *))webhooks_claim_soon, w);
    *out = w;
    return 0;
}

void webhooks_store_up(struct webhooks *w)
{
    if (w->is_up || w->is_stopped)
        return;
    w->is_up = true;
    timer_start(w->loop, &w->sweep, SWEEP_MS);
    timer_start(w->loop, &w->prune, PRUNE_MS);
    webhooks_claim_soon(w);
}

static bool is_quiet(const struct webhooks *w)
{
    return w->n_posting == 0 && list_is_empty(&w->outcomes) && list_is_empty(&w->flying);
}

static void on_idle(void *arg)
{
    struct webhooks *w = arg;

    if (!w->on_idle || !is_quiet(w))
        return;
    w->on_idle(w->on_idle_arg);
    w->on_idle = NULL;
}

void webhooks_drain(struct webhooks *w, void (*fn)(void *arg), void *arg)
{
    w->is_draining = true;
    w->on_idle = fn;
    w->on_idle_arg = arg;
    loop_defer(w->loop, &w->idle);
}

static void free_outcomes(struct list *outcomes)
{
    struct list *first;

    while ((first = list_first(outcomes))) {
        list_remove(first);
        mem_free(CONTAINER_OF(first, struct outcome, link));
    }
}

void webhooks_stop(struct webhooks *w)
{
    if (w->is_stopped)
        return;
    w->is_stopped = w->is_draining = true;
    store_on_push(w->store, NULL, NULL);
    timer_stop(w->loop, &w->poll);
    timer_stop(w->loop, &w->settle_again);
    timer_stop(w->loop, &w->sweep);
    timer_stop(w->loop, &w->prune);
    timer_stop(w->loop, &w->slots);
    loop_undefer(&w->flush);
    loop_undefer(&w->claim);
    loop_undefer(&w->idle);
    LIST_EACH_SAFE (it, &w->hooks)
        hook_cancel(CONTAINER_OF(it, struct hook, link));
    egress_cancel_all(w->egress); /* looks and tests are answered */
}

/* Whoever asked the store was answered when it closed; what was never settled goes with us. */
static void free_hooks(struct webhooks *w)
{
    LIST_EACH_SAFE (it, &w->hooks) {
        struct hook *h = CONTAINER_OF(it, struct hook, link);

        h->n_unsettled = h->n_pending = 0;
        hook_cancel(h);
    }
}

void webhooks_free(struct webhooks *w)
{
    if (!w)
        return;
    free_outcomes(&w->outcomes);
    free_outcomes(&w->flying);
    free_hooks(w);
    receivers_forget(w, true);
    BUG_ON(w->n_hooks || w->receivers.n);
    timer_stop(w->loop, &w->slots);
    loop_undefer(&w->flush);
    loop_undefer(&w->claim);
    loop_undefer(&w->idle);
    egress_free(w->egress);
    map_release(&w->receivers);
    mem_free(w->networks);
    mem_free(w->names);
    mem_free(w);
}

void webhooks_figures(const struct webhooks *w, struct webhooks_figures *out)
{
    *out = w->figures;
    out->active = w->n_hooks;
    out->posting = w->n_posting;
    out->receivers = (unsigned)w->receivers.n;
}

/* --- claiming ------------------------------------------------------------------------------------- */

void webhooks_claim_soon(struct webhooks *w)
{
    if (!w->is_up || w->is_draining)
        return;
    if (w->is_claiming)
        w->claims_again = true;
    else
        loop_defer(w->loop, &w->claim);
}

static void poll_later(struct webhooks *w, int64_t next_due_us)
{
    int64_t ms = next_due_us ? (next_due_us - clock_wall_us()) / 1000 + 1 : POLL_MS;

    if (!w->is_draining)
        timer_start(w->loop, &w->poll, ms < 1 ? 1 : ms > POLL_MS ? POLL_MS : (uint64_t)ms);
}

static void on_claimed(void *arg, int err, const struct store_push *rows, size_t n,
                       int64_t next_due_us)
{
    struct webhooks *w = arg;

    w->is_claiming = false;
    if (w->is_stopped)
        return;
    if (n)
        CRASH_POINT(webhooks_claimed);
    for (size_t i = 0; i < n; i++)
        hook_start(hook_new(w, &rows[i]));
    if (err) {
        poll_later(w, 0);
    } else if (n == CLAIM_MAX || w->claims_again) {
        w->claims_again = false;
        webhooks_claim_soon(w);
    } else {
        poll_later(w, next_due_us);
    }
}

static void on_claim(void *arg)
{
    struct webhooks *w = arg;
    unsigned room = HOOKS_MAX - w->n_hooks;

    if (w->is_claiming || w->is_draining || room == 0)
        return; /* webhooks_settle_down() comes */
    w->claims_again = false;
    w->is_claiming = store_push_claim(w->store, room < CLAIM_MAX ? room : CLAIM_MAX,
                                      clock_wall_us(), on_claimed, w) == 0;
    if (!w->is_claiming)
        poll_later(w, 0);
}

static void on_poll(struct timer *t, void *arg)
{
    (void)t;
    webhooks_claim_soon(arg);
}

void webhooks_settle_down(struct webhooks *w)
{
    if (w->n_hooks == HOOKS_MAX - 1)
        webhooks_claim_soon(w);
}

static void on_slots(struct timer *t, void *arg)
{
    (void)t;
    receivers_run(arg);
}

/* --- settling ------------------------------------------------------------------------------------- */

void webhooks_queue(struct webhooks *w, struct outcome *o)
{
    list_append(&w->outcomes, &o->link);
    if (!w->is_settling && !timer_is_on(&w->settle_again))
        loop_defer(w->loop, &w->flush);
}

/* Nothing is known of what was sent: the same once more, in the order in which it came. */
static void take_back(struct webhooks *w)
{
    list_splice(&w->flying, &w->outcomes);
    list_splice(&w->outcomes, &w->flying);
    if (!w->is_stopped)
        timer_start(w->loop, &w->settle_again, SETTLE_AGAIN_MS);
}

static void on_settled(void *arg, int err, const uint64_t *heads, size_t n)
{
    struct webhooks *w = arg;
    struct list settled, *first;

    w->is_settling = false;
    if (w->is_stopped)
        return;
    if (err) {
        take_back(w);
        return;
    }
    CRASH_POINT(webhooks_settled);
    list_init(&settled);
    list_splice(&settled, &w->flying);
    for (size_t i = 0; i < n && (first = list_first(&settled)); i++) {
        struct outcome *o = CONTAINER_OF(first, struct outcome, link);

        list_remove(first);
        hook_settled(o->hook, o, heads[i]);
        mem_free(o);
    }
    if (!list_is_empty(&w->outcomes))
        loop_defer(w->loop, &w->flush);
    if (w->on_idle)
        loop_defer(w->loop, &w->idle);
}

/* Of several outcomes of a hook the last says where its cursor stands. */
static void supersede(struct outcome *o)
{
    struct outcome *earlier = o->hook->latest;

    if (earlier) {
        earlier->result.is_record = true;
        if (earlier->result.failed_seq) /* the first counts */
            o->result.failed_seq = earlier->result.failed_seq;
    }
    o->hook->latest = o;
}

static size_t gather(struct webhooks *w, struct store_push_result *results)
{
    struct list *first;
    size_t n = 0;

    while (n < PUSH_ROWS_MAX && (first = list_first(&w->outcomes))) {
        struct outcome *o = CONTAINER_OF(first, struct outcome, link);

        supersede(o);
        list_remove(first);
        list_append(&w->flying, &o->link);
        n++;
    }
    n = 0;
    LIST_EACH (it, &w->flying) {
        struct outcome *o = CONTAINER_OF(it, struct outcome, link);

        o->hook->latest = NULL;
        results[n++] = o->result;
    }
    return n;
}

static void on_flush(void *arg)
{
    struct webhooks *w = arg;
    struct store_push_result *results;
    size_t n;

    if (w->is_settling || w->is_stopped || list_is_empty(&w->outcomes))
        return;
    results = mem_zero(PUSH_ROWS_MAX, sizeof *results);
    n = gather(w, results);
    w->is_settling =
        store_push_settle(w->store, results, n, clock_wall_us(), on_settled, w) == 0;
    mem_free(results);
    if (!w->is_settling)
        take_back(w);
    CRASH_POINT(webhooks_settling);
}

static void on_settle_again(struct timer *t, void *arg)
{
    (void)t;
    on_flush(arg);
}

/* --- now and then --------------------------------------------------------------------------------- */

static void on_swept(void *arg, int err, const char *why)
{
    (void)err;
    (void)why; /* the next one comes */
    webhooks_claim_soon(arg);
}

static void on_sweep(struct timer *t, void *arg)
{
    struct webhooks *w = arg;

    if (w->is_draining)
        return;
    receivers_forget(w, false);
    (void)!store_push_sweep(w->store, clock_wall_us(), on_swept, w);
    timer_start(w->loop, t, SWEEP_MS);
}

static void on_pruned(void *arg, int err, const char *why)
{
    (void)arg;
    (void)err;
    (void)why;
}

static void on_prune(struct timer *t, void *arg)
{
    struct webhooks *w = arg;

    if (w->is_draining)
        return;
    (void)!store_push_prune(w->store, clock_wall_us() - (int64_t)w->config.keep_ms * 1000,
                            on_pruned, w);
    timer_start(w->loop, t, PRUNE_MS);
}

/* --- a test --------------------------------------------------------------------------------------- */

struct trial {
    struct arena arena;
    struct hook_config config;
    struct buf body;
    uint64_t started_ms;
    struct loop *loop;
    webhook_test_fn fn;
    void *arg;
};

static void on_tried(void *arg, const struct egress_answer *answer)
{
    struct trial *t = arg;

    t->fn(t->arg, answer->status, loop_now_ms(t->loop) - t->started_ms,
          answer->err ? answer->why : NULL, answer->body);
    arena_release(&t->arena);
    buf_release(&t->body);
    mem_free(t);
}

static int try_once(struct webhooks *w, struct trial *t, const struct store_push *push)
{
    struct store_event event = {
        .kind = A2A_EVENT_STATUS,
        .dialect = A2A_0_3,
        .payload =
            STR("{\"state\":\"working\",\"message\":{\"kind\":\"message\",\"messageId\":"
                "\"superx-test\",\"role\":\"agent\",\"parts\":[{\"kind\":\"text\",\"text\":"
                "\"a test of this webhook by superx\"}]}}")};
    struct hook h = {.w = w, .push = *push};
    struct signed_headers s = {0};
    struct egress_call call = {.verb = "POST",
                               .tls = &w->tls,
                               .n_parts = 1,
                               .max_body = ANSWER_MAX,
                               .connect_timeout_ms = w->config.timeout_ms,
                               .timeout_ms = w->config.timeout_ms};
    struct egress_request *request;
    char id[WEBHOOK_ID_MAX];
    const char *why = "";
    struct uuid fresh = id_uuid4();
    struct str body;
    int err = hook_config_read(w, push, &t->arena, &t->config, &why);

    if (err)
        return err;
    err = payload_write(&t->body, &h, &event, STR_NONE, A2A_0_3, &why);
    if (err)
        return err;
    webhook_write_id(id, &fresh, push->config.id, 0);
    body = buf_str(&t->body);
    err = webhook_sign(&s, &w->config, push->config.form, &t->config, push->task_id, id,
                       clock_wall_us(), body);
    call.url = t->config.url;
    call.parts = &body;
    call.headers = s.headers;
    call.n_headers = s.n;
    if (!err)
        err = egress_start(w->egress, &call, on_tried, t, &request);
    buf_release(&s.text);
    return err;
}

int webhook_test(struct webhooks *w, const struct store_push *push, webhook_test_fn fn,
                 void *arg)
{
    struct trial *t;
    int err;

    if (w->is_stopped)
        return ERR_CANCELED;
    t = MEM_NEW(struct trial);
    t->loop = w->loop;
    t->fn = fn;
    t->arg = arg;
    t->started_ms = loop_now_ms(w->loop);
    arena_init(&t->arena, KB(64));
    buf_init(&t->body, MB(1));
    err = try_once(w, t, push);
    if (err) {
        arena_release(&t->arena);
        buf_release(&t->body);
        mem_free(t);
    }
    return err;
}
