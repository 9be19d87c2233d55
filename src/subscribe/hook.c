/* SPDX-License-Identifier: MIT
 *
 * One cursor that is ours.
 *
 *     start --> next event? --in the page--> place at the receiver --> body --> POST --> outcome queued --> next event?
 *                   |--not in the page: a page of the log
 *                   |--none left: rests until the settlement says how far the task is
 *                   `--failed: outcome with its next time; over
 *
 * The next event is sent as soon as the one before is answered; that it was answered is settled meanwhile, at most
 * UNSETTLED_MAX events behind. A settlement may say that the cursor is another's: then nothing more is sent.
 *
 * Receivers in 0.3 are told whole tasks. Chunks of artifacts are not a task each: they are told with the next status, or
 * when nothing else is there. The task as of an event is the stored one, if it is that new; else it is folded from the
 * log.
 */
#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "subscribe/webhook_int.h"

#define PAGE_BYTES KB(64)
#define CONNECT_MS 5000u
#define FEW_TRIES 3u /* where the receiver says that the event itself is wrong */

static void hook_go(struct hook *h);
static void send_now(struct hook *h, const struct str *doc, enum a2a_version dialect);
static void on_answer(void *arg, const struct egress_answer *answer);

/* --- when to try again ---------------------------------------------------------------------------- */

/* Standard Webhooks' advice: within a minute for a hiccup, within a day for an outage. */
static const uint32_t schedule_s[] = {5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000};
#define SCHEDULE_N (sizeof schedule_s / sizeof *schedule_s)
#define PAUSE_MAX_MS 36000000u

static unsigned max_attempts(const struct webhooks_config *config)
{
    return config->max_attempts ? config->max_attempts : (unsigned)SCHEDULE_N + 1;
}

uint64_t hook_pause_ms(const struct webhooks_config *config, unsigned n)
{
    uint64_t ms;

    if (n >= max_attempts(config))
        return 0;
    if (!config->retry_base_ms)
        return (uint64_t)schedule_s[n <= SCHEDULE_N ? n - 1 : SCHEDULE_N - 1] * 1000;
    ms = n > 40 ? PAUSE_MAX_MS : config->retry_base_ms << (n - 1);
    return ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
}

/* Up to a tenth more, so that a thousand that failed together do not come back together. */
static uint64_t spread(uint64_t ms)
{
    uint32_t noise;

    id_random(&noise, sizeof noise);
    return ms + ms / 10 * (noise % 1000) / 1000;
}

/* --- birth and death ------------------------------------------------------------------------------ */

static void keep(struct hook *h, const struct store_push *push)
{
    struct arena *a = &h->arena;

    h->push = *push;
    h->push.agent = arena_str(a, push->agent);
    h->push.task_id = arena_str(a, push->task_id);
    h->push.context = arena_str(a, push->context);
    h->push.payload = arena_str(a, push->payload);
    h->push.config.id = arena_str(a, push->config.id);
    h->push.config.doc = arena_str(a, push->config.doc);
    h->push.config.secret = arena_str(a, push->config.secret);
}

struct hook *hook_new(struct webhooks *w, const struct store_push *push)
{
    struct hook *h = MEM_NEW(struct hook);

    h->w = w;
    arena_init(&h->arena, KB(64) + 2 * push->payload.n);
    keep(h, push);
    buf_init(&h->page_bytes, LIMIT_AGENT_BODY + PAGE_BYTES);
    buf_init(&h->doc, 2 * LIMIT_TASK_BYTES);
    buf_init(&h->body, 4 * LIMIT_TASK_BYTES);
    list_init(&h->place);
    h->delivered = h->read_to = push->delivered_seq;
    h->head = push->head_seq;
    h->attempts = push->attempts;
    list_append(&w->hooks, &h->link);
    w->n_hooks++;
    return h;
}

static void free_if_done(struct hook *h)
{
    struct webhooks *w = h->w;

    if (!h->is_over || h->n_unsettled || h->n_pending || h->request)
        return;
    list_remove(&h->link);
    w->n_hooks--;
    if (h->receiver)
        receiver_leave(h->receiver);
    mem_free(h->page);
    buf_release(&h->page_bytes);
    buf_release(&h->doc);
    buf_release(&h->body);
    arena_release(&h->arena);
    mem_free(h);
    webhooks_settle_down(w);
}

static void give_place_back(struct hook *h)
{
    if (!h->has_place)
        return;
    h->has_place = false;
    receiver_done(h->receiver, h->standing);
}

/* Nothing more is sent. */
static void be_over(struct hook *h)
{
    h->is_over = true;
    if (list_is_linked(&h->place)) {
        list_remove(&h->place);
        h->receiver->n_waiting--;
    }
    give_place_back(h);
    free_if_done(h);
}

void hook_cancel(struct hook *h)
{
    egress_cancel(h->request);
    h->request = NULL;
    be_over(h);
}

/* --- outcomes ------------------------------------------------------------------------------------- */

static struct outcome *new_outcome(struct hook *h)
{
    struct outcome *o = MEM_NEW(struct outcome);

    o->hook = h;
    o->result = (struct store_push_result){.key = h->push.key,
                                           .id = h->push.config.id,
                                           .delivered_seq = h->delivered,
                                           .attempts = h->attempts,
                                           .failed_seq = h->failed_seq,
                                           .keep = true};
    h->n_unsettled++;
    return o;
}

/* What comes from outside, for a column of text: no byte that is none, and no half of a character at the end. */
static size_t clean(char *p, size_t n)
{
    size_t whole = n;

    while (whole && whole > n - (n < 4 ? n : 4) && !str_is_utf8(str_make(p, whole)))
        whole--;
    if (str_is_utf8(str_make(p, whole)) && !memchr(p, '\0', whole))
        return whole;
    for (size_t i = 0; i < n; i++)
        if (p[i] == '\0' || (unsigned char)p[i] >= 0x80)
            p[i] = '?';
    return n;
}

static void note_attempt(struct hook *h, struct outcome *o, int status, const char *error,
                         struct str answer)
{
    struct store_push_attempt *a = &o->result.attempt;
    size_t n = answer.n < ANSWER_KEPT ? answer.n : ANSWER_KEPT;
    size_t n_error = 0;

    if (error) {
        snprintf(o->text, ERROR_KEPT, "%s", error);
        n_error = clean(o->text, strlen(o->text));
    }
    if (n) {
        memcpy(o->text + n_error, answer.p, n);
        n = clean(o->text + n_error, n);
    }
    o->result.has_attempt = true;
    *a = (struct store_push_attempt){
        .seq = h->next_seq,
        .attempt = h->attempts + 1,
        .at_us = h->started_us,
        .status = status,
        .ms = loop_now_ms(h->w->loop) - h->started_ms,
        .error = error ? str_make(o->text, n_error) : STR_NONE,
        .answer = n ? str_make(o->text + n_error, n) : STR_NONE,
    };
}

/* The event is behind us: acknowledged, or given up. */
static void step_on(struct hook *h, struct outcome *o)
{
    h->delivered = h->next_seq;
    h->attempts = 0;
    h->next = NULL;
    o->result.delivered_seq = h->delivered;
    o->result.attempts = 0;
}

static void queue(struct hook *h, struct outcome *o)
{
    h->failed_seq = 0;
    webhooks_queue(h->w, o);
}

static void disable(struct hook *h, struct outcome *o, const char *why)
{
    o->result.disabled = arena_str(&h->arena, str_of(why));
    if (!o->result.disabled.p)
        o->result.disabled = STR("disabled; the reason is lost for want of memory");
    o->result.keep = false;
    h->w->figures.disabled++;
    log_event(LOG_WARN, "a webhook is disabled", LOG_STR("agent", h->push.agent),
              LOG_STR("task", h->push.task_id), LOG_STR("webhook", h->push.config.id),
              LOG_STR("because", o->result.disabled));
    queue(h, o);
    be_over(h);
}

static void give_up_event(struct hook *h, struct outcome *o)
{
    h->w->figures.given_up++;
    log_event(LOG_WARN, "a webhook's receiver does not take an event",
              LOG_STR("agent", h->push.agent), LOG_STR("task", h->push.task_id),
              LOG_STR("webhook", h->push.config.id), LOG_U64("seq", h->next_seq));
    o->result.failed_seq = h->next_seq;
    step_on(h, o);
    queue(h, o);
    hook_go(h);
}

static void try_later(struct hook *h, struct outcome *o, uint64_t pause_ms)
{
    h->attempts++;
    o->result.attempts = h->attempts;
    o->result.due_at_us = clock_wall_us() + (int64_t)pause_ms * 1000;
    o->result.keep = false;
    queue(h, o);
    be_over(h);
}

void hook_put_back(struct hook *h)
{
    struct outcome *o = new_outcome(h);

    bool is_dead = h->receiver && h->receiver->standing == STANDING_FAILED;

    o->result.due_at_us =
        clock_wall_us() + (int64_t)spread(is_dead ? PUT_BACK_DEAD_MS : PUT_BACK_MS) * 1000;
    o->result.keep = false;
    queue(h, o);
    be_over(h);
}

void hook_settled(struct hook *h, const struct outcome *o, uint64_t head)
{
    bool is_record = o->result.is_record;

    h->n_unsettled--;
    if (is_record || h->is_over) {
        free_if_done(h);
        return;
    }
    if (head == 0) { /* registered anew, deleted, or another node's */
        hook_cancel(h);
        return;
    }
    h->head = head > h->head ? head : h->head;
    if (h->is_held_up) {
        h->is_held_up = false;
        hook_go(h);
    } else if (h->is_resting && !h->n_unsettled) {
        if (h->head > h->delivered) {
            h->is_resting = false;
            hook_go(h);
        } else {
            be_over(h);
        }
    }
}

/* --- the log -------------------------------------------------------------------------------------- */

static bool is_task_wanted(const struct hook *h)
{
    return h->push.config.form == PUSH_0_3 && !h->config.wants_events;
}

static void drop_page(struct hook *h)
{
    mem_free(h->page);
    h->page = NULL;
    h->n_page = h->page_at = 0;
    buf_shrink(&h->page_bytes, 0);
}

static bool keep_page(struct hook *h, const struct store_event *events, size_t n)
{
    size_t bytes = 0;

    drop_page(h);
    for (size_t i = 0; i < n; i++)
        bytes += events[i].payload.n;
    if (!buf_reserve(&h->page_bytes, bytes + 1))
        return false;
    h->page = mem_zero(n, sizeof *h->page);
    h->n_page = n;
    for (size_t i = 0; i < n; i++) {
        h->page[i] = events[i];
        h->page[i].payload = str_make(h->page_bytes.p + h->page_bytes.n, events[i].payload.n);
        buf_add_str(&h->page_bytes, events[i].payload);
    }
    return true;
}

/* The database is away, or memory: the cursor stays where it is and is tried again soon. */
static void stumble(struct hook *h)
{
    hook_put_back(h);
}

static void on_page(void *arg, int err, const struct store_event *events, size_t n)
{
    struct hook *h = arg;

    h->n_pending--;
    if (h->is_over) {
        free_if_done(h);
        return;
    }
    if (err || n == 0 || !keep_page(h, events, n)) {
        stumble(h);
        return;
    }
    hook_go(h);
}

static void read_page(struct hook *h)
{
    h->n_pending++;
    if (store_events_read(h->w->store, h->push.agent, h->push.task_id, h->read_to, PAGE_BYTES,
                          on_page, h)) {
        h->n_pending--;
        stumble(h);
    }
}

/* The next event of the page that is sent. NULL: there is none. */
static const struct store_event *find_next(struct hook *h)
{
    const struct store_event *found = NULL;

    for (; h->page_at < h->n_page; h->page_at++) {
        const struct store_event *e = &h->page[h->page_at];

        h->read_to = e->seq;
        if (!a2a_event_is_told(e->kind))
            continue;
        found = e;
        if (!is_task_wanted(h) || e->kind != A2A_EVENT_ARTIFACT_UPDATE) {
            h->page_at++;
            break;
        }
    }
    return found;
}

static bool ends_task(const struct store_event *e)
{
    enum a2a_state state;

    return a2a_event_state(e->kind, e->payload, &state) == 0 && a2a_state_is_terminal(state);
}

/* --- what is next --------------------------------------------------------------------------------- */

static void rest(struct hook *h)
{
    h->is_resting = true;
    if (h->read_to > h->delivered || !h->n_unsettled) {
        struct outcome *o = new_outcome(h);

        h->delivered = h->read_to;
        o->result.delivered_seq = h->delivered;
        queue(h, o);
    }
}

/* Whoever comes next goes on: another node, or we after a restart. */
static void let_go(struct hook *h)
{
    struct outcome *o = new_outcome(h);

    o->result.keep = false;
    queue(h, o);
    be_over(h);
}

static void go_message(struct hook *h)
{
    if (h->delivered >= 1) {
        h->read_to = h->delivered;
        rest(h);
        return;
    }
    h->next_seq = 1;
    h->is_terminal = true;
    receiver_want(h->receiver, h);
}

static void hook_go(struct hook *h)
{
    if (h->w->is_draining) {
        let_go(h);
        return;
    }
    if (h->n_unsettled >= UNSETTLED_MAX) {
        h->is_held_up = true;
        return;
    }
    if (h->push.payload.p) {
        go_message(h);
        return;
    }
    h->next = find_next(h);
    if (h->next) {
        h->next_seq = h->next->seq;
        h->is_terminal = ends_task(h->next);
        receiver_want(h->receiver, h);
    } else if (h->read_to < h->head) {
        read_page(h);
    } else {
        rest(h);
    }
}

void hook_start(struct hook *h)
{
    const char *why = "";

    h->next_seq = h->delivered + 1;
    h->started_us = clock_wall_us();
    h->started_ms = loop_now_ms(h->w->loop);
    if (hook_config_read(h->w, &h->push, &h->arena, &h->config, &why)) {
        disable(h, new_outcome(h), why);
        return;
    }
    h->receiver = receiver_get(h->w, h->config.url);
    hook_go(h);
}

/* --- the task as of an event ---------------------------------------------------------------------- */

static void on_replay_page(void *arg, int err, const struct store_event *events, size_t n);

/* What is in the page is folded from there, what is before it is read. */
static void replay(struct hook *h)
{
    int err = 0;

    for (size_t i = 0; i < h->n_page && !err && h->page[i].seq <= h->next_seq; i++)
        if (h->page[i].seq == h->doc_seq + 1)
            err = payload_replay(h, &h->page[i]);
    if (err) {
        stumble(h);
    } else if (h->doc_seq >= h->next_seq) {
        struct str doc = buf_str(&h->doc);

        send_now(h, &doc, h->doc_dialect);
    } else {
        h->n_pending++;
        if (store_events_read(h->w->store, h->push.agent, h->push.task_id, h->doc_seq,
                              PAGE_BYTES, on_replay_page, h)) {
            h->n_pending--;
            stumble(h);
        }
    }
}

static void on_replay_page(void *arg, int err, const struct store_event *events, size_t n)
{
    struct hook *h = arg;

    h->n_pending--;
    if (h->is_over) {
        free_if_done(h);
        return;
    }
    for (size_t i = 0; i < n && !err && events[i].seq <= h->next_seq; i++)
        err = payload_replay(h, &events[i]);
    if (err || n == 0)
        stumble(h);
    else
        replay(h);
}

static void on_task(void *arg, int err, struct task *task)
{
    struct hook *h = arg;

    h->n_pending--;
    if (h->is_over) {
        free_if_done(h);
        return;
    }
    if (!err && task->seq == h->next_seq)
        send_now(h, &task->doc, task->dialect);
    else
        replay(h);
}

static void find_task(struct hook *h)
{
    struct task *task = store_task_peek(h->w->store, h->push.agent, h->push.task_id);

    if (task && task->seq == h->next_seq) {
        send_now(h, &task->doc, task->dialect);
    } else if (task || h->doc_seq) {
        replay(h);
    } else {
        h->n_pending++;
        if (store_task_get(h->w->store, h->push.agent, h->push.task_id, on_task, h)) {
            h->n_pending--;
            stumble(h);
        }
    }
}

/* --- sending -------------------------------------------------------------------------------------- */

void hook_send(struct hook *h)
{
    h->has_place = true;
    if (h->next && is_task_wanted(h) && h->next->kind != A2A_EVENT_TASK)
        find_task(h);
    else
        send_now(h, NULL, A2A_0_3);
}

static int post(struct hook *h)
{
    char id[WEBHOOK_ID_MAX];
    struct signed_headers s;
    struct str body = buf_str(&h->body);
    struct egress_call call = {.verb = "POST",
                               .url = h->config.url,
                               .tls = &h->w->tls,
                               .parts = &body,
                               .n_parts = 1,
                               .max_body = ANSWER_MAX,
                               .connect_timeout_ms = CONNECT_MS < h->w->config.timeout_ms
                                                         ? CONNECT_MS
                                                         : h->w->config.timeout_ms,
                               .timeout_ms = h->w->config.timeout_ms};
    int err;

    webhook_write_id(id, &h->push.key, h->push.config.id, h->next_seq);
    err = webhook_sign(&s, &h->w->config, h->push.config.form, &h->config, h->push.task_id, id,
                       h->started_us, body);
    call.headers = s.headers;
    call.n_headers = s.n;
    if (!err)
        err = egress_start(h->w->egress, &call, on_answer, h, &h->request);
    buf_release(&s.text);
    return err;
}

/* The event cannot be said in the receiver's words; that will not change. */
static void fail_unsaid(struct hook *h, const char *why)
{
    struct outcome *o = new_outcome(h);
    char text[160];

    snprintf(text, sizeof text, "the event cannot be told: %s", why ? why : "it is not valid");
    note_attempt(h, o, 0, text, STR_NONE);
    give_place_back(h);
    give_up_event(h, o);
}

static void send_now(struct hook *h, const struct str *doc, enum a2a_version dialect)
{
    const char *why = NULL;
    int err;

    h->started_us = clock_wall_us();
    h->started_ms = loop_now_ms(h->w->loop);
    buf_clear(&h->body);
    if (h->push.payload.p)
        err = payload_write_message(&h->body, h->push.config.form, h->push.payload,
                                    h->push.payload_dialect, &why);
    else
        err = payload_write(&h->body, h, h->next, doc ? *doc : STR_NONE, dialect, &why);
    if (err == ERR_INVALID) {
        fail_unsaid(h, why);
        return;
    }
    err = err ? err : post(h);
    CRASH_POINT(webhook_sent);
    if (err == ERR_NOMEM || err == ERR_LIMIT || err == ERR_CANCELED) {
        stumble(h);
    } else if (err) { /* the URL was good when it was registered */
        struct outcome *o = new_outcome(h);

        note_attempt(h, o, 0, err_text(err), STR_NONE);
        disable(h, o, "its URL cannot be called");
    }
}

/* --- what the receiver says ----------------------------------------------------------------------- */

static bool blames_event(int status)
{
    return status == 400 || status == 401 || status == 403 || status == 404 || status == 413 ||
           status == 415 || status == 422;
}

/* Seconds from now, or 0; a date counts as none. */
static uint64_t retry_after_ms(const struct egress_answer *answer)
{
    uint64_t s;

    if (!answer->head ||
        str_to_u64(str_trim(http_head_get(answer->head, STR("retry-after"))), &s))
        return 0;
    return (s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : s) * 1000;
}

static void failed(struct hook *h, struct outcome *o, const struct egress_answer *answer)
{
    unsigned n = h->attempts + 1;
    uint64_t pause = hook_pause_ms(&h->w->config, n), asked = retry_after_ms(answer);
    char why[96];

    h->w->figures.failed++;
    if (answer->status == 410) {
        disable(h, o, "its receiver says 410 Gone");
    } else if (blames_event(answer->status) && !h->is_terminal && n >= FEW_TRIES) {
        give_up_event(h, o);
    } else if (pause == 0) {
        snprintf(why, sizeof why, "%u attempts failed, the last with %s", n,
                 answer->status ? "an HTTP status" : "no answer");
        if (answer->status)
            snprintf(why, sizeof why, "%u attempts failed, the last with HTTP %d", n,
                     answer->status);
        o->result.attempts = n;
        disable(h, o, why);
    } else {
        pause = spread(pause);
        try_later(h, o, asked > pause ? asked : pause);
    }
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct hook *h = arg;
    bool is_ok = !answer->err && answer->status / 100 == 2;
    struct outcome *o = new_outcome(h);
    char why[ERROR_KEPT];

    h->request = NULL;
    receiver_judge(h->receiver, !answer->err);
    give_place_back(h);
    buf_shrink(&h->body, KB(64));
    if (answer->err)
        snprintf(why, sizeof why, "the receiver %s",
                 answer->why ? answer->why : err_text(answer->err));
    note_attempt(h, o, answer->status, answer->err ? why : NULL, answer->body);
    CRASH_POINT(webhook_answered);
    if (!is_ok) {
        failed(h, o, answer);
        return;
    }
    h->w->figures.delivered++;
    step_on(h, o);
    queue(h, o);
    hook_go(h);
}
