/* SPDX-License-Identifier: MIT
 *
 * What is known of an agent's card, and how it is found out.
 *
 * A search goes through the places where a card may be until one of them has it:
 *
 *     where it was found last, cardUrl, {url}/.well-known/agent-card.json, {url}/.well-known/agent.json,
 *     and the same two at the root of the host
 *
 *     IDLE --card_fetch()--> (QUEUED) --> STARTING --end of turn--> FETCHING --> IDLE, waiters told
 *       ^                                                               |
 *       +------ retry timer, 1 s doubling to 5 min, after a failure ----+
 *
 * The search starts when the agent is registered, so that a gateway starts whatever its agents do. One is
 * under way at a time, and who asks meanwhile waits for it. All of it takes card_timeout_ms at most. An
 * HTTP error or an unreadable body lead to the next place; a host that cannot be reached is not tried
 * again. When nothing is found, the reason that tells most is kept: "not a card" says more than the 404 of
 * the place before.
 *
 * Searches nobody waits for are bounded (FETCHES_MAX): ten thousand agents in a file must not mean ten
 * thousand sockets at start.
 *
 * The agent's credentials go to the host of its url only, also when cardUrl names another one.
 *
 * A card of the configuration is shown until one is fetched, and decides nothing: its `url` may be the
 * address of the card as well as the agent's.
 */
#include "dispatch/dispatch_int.h"

#include "lib/log.h"
#include "lib/mem.h"
#include "lib/url.h"

#define CARD_MAGIC 0xca4d0004u
#define PLACES_MAX 6u
#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 300000u
#define FETCHES_MAX 64u
/* After a call that was refused led to a card without news, the next ones do not ask again for this long. */
#define LESSON_MS 10000u
/* A longer one is not worth sending back. */
#define ETAG_MAX 256u
/* What is decoded of a card: names, URLs, tenants. */
#define SHEET_ARENA KB(64)

/* A card that could be read. */
struct sheet {
    struct arena arena;
    struct a2a_card card; /* in the arena */
    struct blob *doc;     /* counted */
    char *url;            /* owned; NULL: from the configuration */
    char *etag;           /* owned; NULL: none */
    bool has_streams;
};

/* Why a search found nothing, so far. */
struct failure {
    unsigned rank; /* how much it tells; 0: nothing failed */
    enum a2a_error error;
    int status; /* HTTP; 0: there was no answer */
    char why[240];
};

enum { RANK_MISSING = 1, RANK_STATUS, RANK_UNREADABLE, RANK_UNREACHABLE };

struct card {
    unsigned magic, n_refs;
    struct dispatch *dispatch; /* borrowed: outlives all cards */
    struct settings *settings; /* counted */
    struct sheet *fetched;     /* owned; NULL: none yet */
    struct sheet *configured;  /* owned; NULL: none */
    enum { CARD_IDLE, CARD_QUEUED, CARD_STARTING, CARD_FETCHING } state;
    struct list queue;     /* in dispatch->fetch_queue while QUEUED */
    struct list waiters;   /* struct card_wait.link; each holds an agent, and so this card */
    struct deferred begin; /* while STARTING */
    struct timer retry;    /* on only while IDLE */
    struct egress_request *request; /* not NULL only while FETCHING */
    char *places[PLACES_MAX];       /* owned; of the search under way */
    size_t n_places, at;
    uint64_t deadline_ms;
    struct failure worst; /* of the search under way */
    struct failure last;  /* of the last one; rank 0: it found a card */
    bool has_tried, is_canceled;
    unsigned n_failures; /* in a row */
    uint64_t fetched_at_ms, failed_at_ms;
    uint64_t teach_at_ms; /* before this asking again is not worth it */
};

static void on_begin(void *arg);
static void on_retry(struct timer *t, void *arg);
static void on_answer(void *arg, const struct egress_answer *answer);

/* --- sheets ------------------------------------------------------------------------------------- */

static void sheet_free(struct sheet *s)
{
    if (!s)
        return;
    arena_release(&s->arena);
    blob_unref(s->doc);
    mem_free(s->url);
    mem_free(s->etag);
    mem_free(s);
}

/* Reads a card. NULL and `why` if it is none. */
static struct sheet *sheet_new(struct str doc, char why[200])
{
    struct sheet *s = MEM_NEW(struct sheet);

    arena_init(&s->arena, SHEET_ARENA);
    s->doc = blob_new(doc);
    if (!s->doc)
        (void)snprintf(why, 200, "there is no memory for it");
    if (!s->doc || a2a_card_read(blob_str(s->doc), &s->arena, &s->card, why)) {
        sheet_free(s);
        return NULL;
    }
    s->has_streams = json_type(json_get(json_get(blob_str(s->doc), "capabilities"),
                                        "streaming")) == JSON_TRUE;
    return s;
}

/* --- birth and death ---------------------------------------------------------------------------- */

struct card *card_new(struct dispatch *d, struct settings *settings)
{
    struct card *c = MEM_NEW(struct card);
    char why[200];

    c->magic = CARD_MAGIC;
    c->n_refs = 1;
    c->dispatch = d;
    c->settings = settings_ref(settings);
    list_init(&c->queue);
    list_init(&c->waiters);
    c->begin.fn = on_begin;
    c->begin.arg = c;
    timer_init(&c->retry, on_retry, c);
    c->has_tried = d->config.card_timeout_ms == 0;
    if (settings->spec.card.p) /* it was read before, when it came in */
        c->configured = sheet_new(settings->spec.card, why);
    return c;
}

struct card *card_ref(struct card *c)
{
    BUG_ON(c->n_refs == 0);
    c->n_refs++;
    return c;
}

static void forget_places(struct card *c)
{
    for (size_t i = 0; i < c->n_places; i++)
        mem_free(c->places[i]);
    c->n_places = c->at = 0;
}

/* Lets the next search begin that waits for its turn. */
static void leave_fetching(struct card *c)
{
    struct dispatch *d = c->dispatch;
    struct list *next;

    BUG_ON(d->n_fetching == 0);
    d->n_fetching--;
    c->state = CARD_IDLE;
    next = d->n_fetching < FETCHES_MAX ? list_first(&d->fetch_queue) : NULL;
    if (next) {
        struct card *other = CONTAINER_OF(next, struct card, queue);

        list_remove(next);
        other->state = CARD_IDLE;
        card_fetch(other);
    }
}

void card_unref(struct card *c)
{
    if (!c)
        return;
    BUG_ON(c->n_refs == 0);
    if (--c->n_refs > 0)
        return;
    BUG_ON(!list_is_empty(&c->waiters));
    loop_undefer(&c->begin);
    timer_stop(c->dispatch->loop, &c->retry);
    list_remove(&c->queue);
    egress_cancel(c->request);
    if (c->state == CARD_STARTING || c->state == CARD_FETCHING)
        leave_fetching(c);
    forget_places(c);
    sheet_free(c->fetched);
    sheet_free(c->configured);
    settings_unref(c->settings);
    c->magic = 0;
    mem_free(c);
}

/* --- the places --------------------------------------------------------------------------------- */

static void add_place(struct card *c, struct str url)
{
    for (size_t i = 0; i < c->n_places; i++)
        if (str_is(str_of(c->places[i]), url))
            return;
    BUG_ON(c->n_places == PLACES_MAX);
    c->places[c->n_places++] = mem_str(url.p, url.n);
}

/* `path` behind the first `n` bytes of the registered URL's path. */
static void add_below(struct card *c, const struct url *home, size_t n, const char *path)
{
    struct buf url;

    buf_init(&url, LIMIT_URL);
    buf_add_str(&url, home->scheme);
    BUF_LIT(&url, "://");
    url_write_authority(&url, home);
    buf_add(&url, home->path.p, n);
    buf_add_str(&url, str_of(path));
    if (!buf_error(&url))
        add_place(c, buf_str(&url));
    buf_release(&url);
}

static void list_places(struct card *c)
{
    static const char *const names[] = {"/.well-known/agent-card.json",
                                        "/.well-known/agent.json"};
    const struct agent_spec *spec = &c->settings->spec;
    const char *why;
    struct url home;
    size_t n;

    if (c->fetched)
        add_place(c, str_of(c->fetched->url));
    if (spec->card_url.p)
        add_place(c, spec->card_url);
    if (url_parse(spec->url, false, &home, &why))
        return;
    for (n = home.path.n; n > 0 && home.path.p[n - 1] == '/'; n--)
        ;
    for (size_t i = 0; i < 4; i++)
        add_below(c, &home, i < 2 ? n : 0, names[i % 2]);
}

/* --- failures ----------------------------------------------------------------------------------- */

/* Keeps the failure if it tells more than those before. The query of a URL may hold a secret and is left
 * out. */
static void note(struct card *c, unsigned rank, enum a2a_error error, int status,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);

static void note(struct card *c, unsigned rank, enum a2a_error error, int status,
                 const char *fmt, ...)
{
    const char *place = c->at < c->n_places ? c->places[c->at] : c->settings->spec.url.p;
    size_t room = sizeof c->worst.why;
    va_list args;
    int n;

    if (rank <= c->worst.rank)
        return;
    c->worst.rank = rank;
    c->worst.error = error;
    c->worst.status = status;
    n = snprintf(c->worst.why, room, "%.*s: ", (int)(strcspn(place, "?") % 120), place);
    va_start(args, fmt);
    (void)vsnprintf(c->worst.why + n, room - (size_t)n, fmt, args);
    va_end(args);
}

static void note_status(struct card *c, int status)
{
    bool is_missing = status == 404 || status == 405 || status == 410;

    note(c, is_missing ? RANK_MISSING : RANK_STATUS, A2A_ERROR_AGENT_FAILED, status,
         "HTTP %d%s", status,
         status == 401 || status == 403 ? c->settings->spec.bearer.p
                                              ? ": the agent's bearer is not good for it"
                                              : ": it wants credentials and no bearer is set"
         : status / 100 == 3            ? ": redirects are not followed"
                                        : "");
}

/* --- one place ---------------------------------------------------------------------------------- */

static int start_request(struct card *c, const char *place)
{
    const struct agent_spec *spec = &c->settings->spec;
    bool is_home = route_is_same_host(spec->url, str_of(place));
    struct egress_header headers[SPEC_HEADERS_MAX + 1];
    struct egress_tls tls = spec_tls(spec, str_of(place));
    struct egress_call call = {
        .verb = "GET",
        .url = str_of(place),
        .tls = &tls,
        .headers = headers,
        .max_body = LIMIT_CARD,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .timeout_ms = c->deadline_ms - loop_now_ms(c->dispatch->loop),
    };
    struct buf authorization;
    int err;

    buf_init(&authorization, LIMIT_HTTP_HEAD);
    if (is_home)
        call.n_headers = spec_headers(spec, &authorization, headers);
    else /* another host gets to know neither credentials nor the certificate */
        tls = (struct egress_tls){.ca_file = tls.ca_file};
    if (c->fetched && c->fetched->etag && strcmp(place, c->fetched->url) == 0)
        headers[call.n_headers++] =
            (struct egress_header){"If-None-Match", str_of(c->fetched->etag)};
    err = egress_start(c->dispatch->egress, &call, on_answer, c, &c->request);
    buf_release(&authorization);
    return err;
}

/* --- the search --------------------------------------------------------------------------------- */

static uint64_t retry_delay(const struct card *c)
{
    unsigned doublings = c->n_failures < 10 ? c->n_failures - 1 : 9;
    uint64_t delay = (uint64_t)RETRY_MIN_MS << doublings;

    return delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS;
}

static void log_failure(struct card *c, uint64_t delay)
{
    log_event(LOG_WARN,
              c->fetched ? "card could not be fetched again, the old one holds"
                         : "card could not be fetched, the agent is called as configured",
              LOG_STR("agent", c->settings->spec.id), LOG_Z("cause", c->last.why),
              LOG_U64("retry_in_ms", delay));
}

static void tell_waiters(struct card *c)
{
    struct list told, *first;

    list_init(&told);
    list_splice(&told, &c->waiters); /* who waits from now on waits for the next one */
    while ((first = list_first(&told))) {
        struct card_wait *w = CONTAINER_OF(first, struct card_wait, link);

        list_remove(first);
        w->fn(w);
    }
}

/* The search has ended: well if nothing failed in `worst`. `is_news`: with another card than before. */
static void end_search(struct card *c, bool is_news)
{
    bool has_failed = c->worst.rank > 0;
    bool is_same_trouble = has_failed && strcmp(c->last.why, c->worst.why) == 0;

    card_ref(c); /* the waiters may hold the last references */
    is_news |= !has_failed && c->last.rank > 0;
    c->last = c->worst;
    c->has_tried = true;
    forget_places(c);
    leave_fetching(c);
    if (!has_failed) {
        c->n_failures = 0;
        c->fetched_at_ms = loop_now_ms(c->dispatch->loop);
        dispatch_on_card(c->dispatch, c, c->settings->spec.id, is_news);
    } else {
        c->n_failures++;
        c->failed_at_ms = loop_now_ms(c->dispatch->loop);
        if (!c->is_canceled && c->dispatch->config.card_timeout_ms) {
            timer_start(c->dispatch->loop, &c->retry, retry_delay(c));
            if (!is_same_trouble)
                log_failure(c, retry_delay(c));
        }
    }
    tell_waiters(c);
    card_unref(c);
}

/* Tries places from c->at on until one request is under way. */
static void try_places(struct card *c)
{
    for (; c->at < c->n_places; c->at++) {
        int err;

        if (loop_now_ms(c->dispatch->loop) >= c->deadline_ms) {
            note(c, RANK_UNREACHABLE, A2A_ERROR_AGENT_TIMEOUT, 0, "no time was left for it");
            break;
        }
        err = start_request(c, c->places[c->at]);
        if (!err)
            return;
        note(c, RANK_UNREACHABLE, ask_error(err), 0, "it cannot be called: %s", err_text(err));
    }
    end_search(c, false);
}

static void on_begin(void *arg)
{
    struct card *c = arg;

    BUG_ON(c->magic != CARD_MAGIC || c->state != CARD_STARTING);
    c->state = CARD_FETCHING;
    c->worst = (struct failure){0};
    c->deadline_ms = loop_now_ms(c->dispatch->loop) + c->dispatch->config.card_timeout_ms;
    if (c->dispatch->is_closing) {
        c->is_canceled = true;
        note(c, RANK_UNREACHABLE, A2A_ERROR_SHUTTING_DOWN, 0, "the gateway stops");
    } else {
        list_places(c);
        if (c->n_places == 0)
            note(c, RANK_MISSING, A2A_ERROR_AGENT_UNREACHABLE, 0, "the URL is too long");
    }
    try_places(c);
}

/* A host that is not there has no other place either. */
static void skip_host(struct card *c)
{
    const char *gone = c->places[c->at];

    do
        c->at++;
    while (c->at < c->n_places && route_is_same_host(str_of(gone), str_of(c->places[c->at])));
}

/* Takes the body of a 200. Returns whether it is a card; *is_news: another one than before. */
static bool take(struct card *c, const struct egress_answer *answer, bool *is_news)
{
    struct str etag = http_head_get(answer->head, STR("etag"));
    char why[200] = "";
    struct sheet *s = sheet_new(answer->body, why);

    if (!s) {
        note(c, RANK_UNREADABLE, A2A_ERROR_INVALID_AGENT_RESPONSE, 0, "not a card: %s", why);
        return false;
    }
    s->url = mem_str(c->places[c->at], strlen(c->places[c->at]));
    if (etag.n && etag.n <= ETAG_MAX && http_is_header_value(etag))
        s->etag = mem_str(etag.p, etag.n);
    *is_news = !c->fetched || !str_is(blob_str(c->fetched->doc), blob_str(s->doc)) ||
               strcmp(c->fetched->url, s->url) != 0;
    sheet_free(c->fetched);
    c->fetched = s;
    return true;
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct card *c = arg;
    bool is_news = false, is_found = false;

    BUG_ON(c->magic != CARD_MAGIC || c->state != CARD_FETCHING);
    c->request = NULL;
    if (answer->err) {
        bool is_garbage = answer->err == ERR_SYNTAX || answer->err == ERR_LIMIT;

        c->is_canceled = answer->err == ERR_CANCELED;
        note(c, is_garbage ? RANK_UNREADABLE : RANK_UNREACHABLE, ask_error(answer->err), 0,
             "%s", answer->why);
        if (is_garbage)
            c->at++;
        else
            skip_host(c);
        if (c->is_canceled)
            c->at = c->n_places;
    } else if (answer->status == 304 && c->fetched) {
        is_found = true;
    } else {
        if (answer->status == 200)
            is_found = take(c, answer, &is_news);
        else
            note_status(c, answer->status);
        c->at++;
    }
    if (is_found) {
        c->worst = (struct failure){0};
        end_search(c, is_news);
    } else {
        try_places(c);
    }
}

static void on_retry(struct timer *t, void *arg)
{
    struct card *c = arg;

    (void)t;
    BUG_ON(c->magic != CARD_MAGIC);
    card_fetch(c);
}

void card_fetch(struct card *c)
{
    struct dispatch *d = c->dispatch;
    bool is_awaited = !list_is_empty(&c->waiters);

    if (c->state == CARD_QUEUED && is_awaited) {
        list_remove(&c->queue);
        c->state = CARD_IDLE;
    }
    if (c->state != CARD_IDLE)
        return;
    timer_stop(d->loop, &c->retry);
    if (d->n_fetching >= FETCHES_MAX && !is_awaited) {
        c->state = CARD_QUEUED;
        list_append(&d->fetch_queue, &c->queue);
        return;
    }
    c->state = CARD_STARTING;
    d->n_fetching++;
    loop_defer(d->loop, &c->begin);
}

void card_wait(struct card *c, struct card_wait *w)
{
    list_init(&w->link);
    list_append(&c->waiters, &w->link);
    card_fetch(c);
}

void card_touch(struct card *c)
{
    if (c->state == CARD_IDLE && c->fetched && !timer_is_on(&c->retry) &&
        loop_now_ms(c->dispatch->loop) - c->fetched_at_ms >= c->dispatch->config.card_ttl_ms)
        card_fetch(c);
}

/* --- looking ------------------------------------------------------------------------------------ */

const struct a2a_card *card_fetched(const struct card *c)
{
    return c->fetched ? &c->fetched->card : NULL;
}

bool card_has_tried(const struct card *c)
{
    return c->has_tried;
}

bool card_is_canceled(const struct card *c)
{
    return c->is_canceled;
}

bool card_may_teach(const struct card *c)
{
    return c->dispatch->config.card_timeout_ms &&
           loop_now_ms(c->dispatch->loop) >= c->teach_at_ms;
}

void card_taught_nothing(struct card *c)
{
    c->teach_at_ms = loop_now_ms(c->dispatch->loop) + LESSON_MS;
}

const char *card_why(const struct card *c)
{
    return c->last.why;
}

bool card_is_reachable(const struct card *c)
{
    return c->last.rank != RANK_UNREACHABLE;
}

static const struct sheet *shown(const struct card *c)
{
    return c->fetched ? c->fetched : c->configured;
}

void card_names(const struct card *c, struct str *name, struct str *version)
{
    const struct sheet *s = shown(c);

    *name = s ? s->card.name : STR_NONE;
    *version = s ? s->card.version : STR_NONE;
}

bool card_has_streams(const struct card *c)
{
    const struct sheet *s = shown(c);

    return !s || s->has_streams;
}

void card_view(const struct card *c, struct agent_card *out)
{
    const struct sheet *s = shown(c);

    *out = (struct agent_card){.form = c->settings->spec.card_form,
                               .has_form = c->settings->spec.has_card_form};
    if (s) {
        out->doc = blob_str(s->doc);
        out->url = str_of(s->url);
        if (c->fetched)
            out->age_ms = loop_now_ms(c->dispatch->loop) - c->fetched_at_ms;
        return;
    }
    out->status = c->last.status;
    a2a_fault_set(&out->fault, c->last.rank ? c->last.error : A2A_ERROR_AGENT_UNREACHABLE,
                  "agent %s has no card: %s", c->settings->spec.id.p,
                  c->last.rank ? c->last.why : "it was not fetched");
}

/* --- asking for a card -------------------------------------------------------------------------- */

/* One caller of dispatch_card(). */
struct inquiry {
    struct card_wait wait;
    struct deferred later; /* when the answer is known already */
    struct agent *agent;   /* counted */
    dispatch_card_fn fn;
    void *arg;
};

static void answer_inquiry(struct inquiry *q)
{
    struct agent_card view;

    card_view(q->agent->card, &view);
    /* The form may differ between agents that share a card. */
    view.form = q->agent->settings->spec.card_form;
    view.has_form = q->agent->settings->spec.has_card_form;
    q->fn(q->arg, &view);
    agent_unref(q->agent);
    mem_free(q);
}

static void on_waited(struct card_wait *w)
{
    answer_inquiry(CONTAINER_OF(w, struct inquiry, wait));
}

static void on_later(void *arg)
{
    answer_inquiry(arg);
}

int dispatch_card(struct dispatch *d, struct agent *a, bool refresh, dispatch_card_fn fn,
                  void *arg)
{
    struct inquiry *q = MEM_NEW(struct inquiry);
    struct card *c = a->card;
    bool is_answered = shown(c) != NULL;

    q->agent = agent_ref(a);
    q->fn = fn;
    q->arg = arg;
    q->wait.fn = on_waited;
    q->later.fn = on_later;
    q->later.arg = q;
    /* A failure of this very moment would only be found again. */
    if (!is_answered && c->has_tried && c->state == CARD_IDLE)
        is_answered = d->config.card_timeout_ms == 0 ||
                      loop_now_ms(d->loop) - c->failed_at_ms < RETRY_MIN_MS;
    if (is_answered && !refresh) {
        card_touch(c);
        loop_defer(d->loop, &q->later);
    } else {
        card_wait(c, &q->wait);
    }
    return 0;
}
