/* SPDX-License-Identifier: MIT
 *
 * Webhooks, the core's half: a question becomes a job, the backend does it, its asker is told. Like errands (errand.c)
 * these are tried once and never kept: while the database is away whoever asked is told so and asks again. A cursor
 * that was claimed stays ours until it is settled, so nothing is lost by that.
 *
 * What a job is given and what it brings lies in its arena; the sizes below bound it.
 */
#include "lib/clock.h"
#include "lib/mem.h"
#include "store/parts.h"

/* A configuration's doc and secret have passed their own, smaller limits. */
#define CONFIG_BYTES KB(64)
/* What a claim or a list may bring: a thousand webhooks of 2 KB, or few with messages behind them. */
#define ROWS_BYTES (2 * LIMIT_AGENT_BODY + MB(16))
#define SETTLE_BYTES (PUSH_ROWS_MAX * KB(4))

/* --- jobs ----------------------------------------------------------------------------------------- */

static struct push_chore *chore_new(struct store *s, enum push_kind kind, size_t max_bytes,
                                    void (*tell)(struct store *s, struct answer *a), void *arg)
{
    struct push_chore *c;

    if (s->is_closing)
        return NULL;
    c = MEM_NEW(struct push_chore);
    list_init(&c->answer.link);
    list_init(&c->job.link);
    arena_init(&c->job.arena, max_bytes);
    c->job.kind = kind;
    c->job.owner = s->boot;
    c->answer.tell = tell;
    c->arg = arg;
    return c;
}

static void chore_free(struct push_chore *c)
{
    arena_release(&c->job.arena);
    mem_free(c);
}

static int run(struct store *s, struct push_chore *c)
{
    if (c->job.err) { /* no memory for what it is given */
        int err = c->job.err;

        chore_free(c);
        return err;
    }
    if (s->state == STORE_UP) {
        s->backend->ops->push(s->backend, &c->job);
        return 0;
    }
    c->answer.err = ERR_STORE;
    snprintf(c->job.why, sizeof c->job.why, "%s",
             s->why[0] ? s->why : "the store is not open yet");
    store_answer(s, &c->answer);
    return 0;
}

void store_push_done(struct store *s, struct push_job *job)
{
    struct push_chore *c = CONTAINER_OF(job, struct push_chore, job);

    c->answer.err = job->err;
    if (job->err == ERR_NOMEM) {
        c->answer.err = ERR_STORE;
        snprintf(job->why, sizeof job->why, "no memory for what the database has said");
    }
    store_answer(s, &c->answer);
    store_tell(s);
}

struct str push_keep(struct push_job *job, struct str text)
{
    struct str copy = arena_str(&job->arena, text);

    if (text.p && !copy.p)
        job->err = ERR_NOMEM;
    return copy;
}

struct store_push *push_add_row(struct push_job *job)
{
    struct store_push *row;

    if (job->n == job->limit || job->err)
        return NULL;
    row = &job->rows[job->n++];
    *row = (struct store_push){0};
    return row;
}

struct store_push_attempt *push_add_attempt(struct push_job *job)
{
    struct store_push_attempt *row;

    if (job->n == job->limit || job->err)
        return NULL;
    row = &job->attempts[job->n++];
    *row = (struct store_push_attempt){0};
    return row;
}

static void *take(struct push_job *job, size_t n, size_t size)
{
    void *p = arena_take(&job->arena, n * size);

    if (p)
        memset(p, 0, n * size);
    else
        job->err = ERR_NOMEM;
    return p;
}

static void keep_config(struct push_job *job, const struct store_push_config *config)
{
    job->config.id = push_keep(job, config->id);
    job->config.form = config->form;
    job->config.doc = push_keep(job, config->doc);
    job->config.secret = push_keep(job, config->secret);
    job->id = job->config.id;
}

bool push_id_may_be(struct str id)
{
    return id.n > 0 && id.n <= PUSH_ID_MAX && !str_has_control(id) && str_is_utf8(id);
}

static bool may_be(const struct store_push_config *config)
{
    return push_id_may_be(config->id) && config->doc.p && config->doc.n <= CONFIG_BYTES / 4 &&
           config->secret.n <= CONFIG_BYTES / 4;
}

static void tell_done(struct store *s, struct answer *a)
{
    struct push_chore *c = CONTAINER_OF(a, struct push_chore, answer);

    (void)s;
    c->fn.done(c->arg, a->err, a->err ? c->job.why : NULL);
    chore_free(c);
}

/* --- registering ---------------------------------------------------------------------------------- */

int store_push_put(struct store *s, struct str agent, struct str task_id,
                   const struct store_push_config *config, store_done_fn fn, void *arg)
{
    struct push_chore *c;

    if (!task_may_be(agent, task_id) || !may_be(config))
        return ERR_INVALID;
    c = chore_new(s, PUSH_PUT, CONFIG_BYTES, tell_done, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.agent = push_keep(&c->job, agent);
    c->job.task_id = push_keep(&c->job, task_id);
    keep_config(&c->job, config);
    c->job.now_us = clock_wall_us();
    return run(s, c);
}

int store_push_delete(struct store *s, struct str agent, struct str task_id, struct str id,
                      store_done_fn fn, void *arg)
{
    struct push_chore *c;

    if (!task_may_be(agent, task_id) || !push_id_may_be(id))
        return ERR_INVALID;
    c = chore_new(s, PUSH_DELETE, CONFIG_BYTES, tell_done, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.agent = push_keep(&c->job, agent);
    c->job.task_id = push_keep(&c->job, task_id);
    c->job.id = push_keep(&c->job, id);
    return run(s, c);
}

int store_push_note(struct store *s, const struct store_push_note *note, store_done_fn fn,
                    void *arg)
{
    struct push_chore *c;

    if (!may_be(&note->config) || !note->payload.p || note->agent.n > LIMIT_AGENT_ID)
        return ERR_INVALID;
    c = chore_new(s, PUSH_NOTE, CONFIG_BYTES + 2 * note->payload.n, tell_done, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.now_us = clock_wall_us();
    c->job.key = id_uuid7(c->job.now_us / 1000);
    c->job.agent = push_keep(&c->job, note->agent);
    c->job.payload = push_keep(&c->job, note->payload);
    c->job.dialect = note->dialect;
    keep_config(&c->job, &note->config);
    return run(s, c);
}

int store_push_retry(struct store *s, const struct uuid *key, struct str id, int64_t now_us,
                     store_done_fn fn, void *arg)
{
    struct push_chore *c = chore_new(s, PUSH_RETRY, CONFIG_BYTES, tell_done, arg);

    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.key = *key;
    c->job.id = push_keep(&c->job, id);
    c->job.now_us = now_us;
    return run(s, c);
}

/* --- looking -------------------------------------------------------------------------------------- */

static void tell_rows(struct store *s, struct answer *a)
{
    struct push_chore *c = CONTAINER_OF(a, struct push_chore, answer);
    bool is_ok = a->err == 0;

    (void)s;
    c->fn.rows(c->arg, a->err, is_ok ? c->job.rows : NULL, is_ok ? c->job.n : 0,
               is_ok ? NULL : c->job.why);
    chore_free(c);
}

int store_push_list(struct store *s, const struct store_push_query *q, store_push_fn fn,
                    void *arg)
{
    struct push_chore *c;
    struct push_job *job;

    if ((q->task_id.p && !task_may_be(q->agent, q->task_id)) || q->limit < 1 ||
        q->limit > PUSH_ROWS_MAX)
        return ERR_INVALID;
    c = chore_new(s, PUSH_LIST, ROWS_BYTES, tell_rows, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.rows = fn;
    job = &c->job;
    job->query = *q;
    job->query.agent = push_keep(job, q->agent);
    job->query.task_id = push_keep(job, q->task_id);
    job->query.id = push_keep(job, q->id);
    job->query.after_id = push_keep(job, q->after_id);
    job->limit = q->limit;
    job->rows = take(job, job->limit, sizeof *job->rows);
    return run(s, c);
}

static void tell_attempts(struct store *s, struct answer *a)
{
    struct push_chore *c = CONTAINER_OF(a, struct push_chore, answer);
    bool is_ok = a->err == 0;

    (void)s;
    c->fn.attempts(c->arg, a->err, is_ok ? c->job.attempts : NULL, is_ok ? c->job.n : 0,
                   is_ok ? NULL : c->job.why);
    chore_free(c);
}

int store_push_attempts(struct store *s, const struct uuid *key, struct str id, unsigned limit,
                        store_attempts_fn fn, void *arg)
{
    struct push_chore *c;
    struct push_job *job;

    if (limit < 1 || limit > PUSH_ROWS_MAX)
        return ERR_INVALID;
    c = chore_new(s, PUSH_ATTEMPTS, SETTLE_BYTES, tell_attempts, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.attempts = fn;
    job = &c->job;
    job->key = *key;
    job->id = push_keep(job, id);
    job->limit = limit;
    job->attempts = take(job, limit, sizeof *job->attempts);
    return run(s, c);
}

/* --- delivering ----------------------------------------------------------------------------------- */

static void tell_claim(struct store *s, struct answer *a)
{
    struct push_chore *c = CONTAINER_OF(a, struct push_chore, answer);
    bool is_ok = a->err == 0;

    (void)s;
    c->fn.claim(c->arg, a->err, is_ok ? c->job.rows : NULL, is_ok ? c->job.n : 0,
                c->job.next_due_us);
    chore_free(c);
}

int store_push_claim(struct store *s, unsigned limit, int64_t now_us, store_claim_fn fn,
                     void *arg)
{
    struct push_chore *c;
    struct push_job *job;

    if (limit < 1 || limit > PUSH_ROWS_MAX)
        return ERR_INVALID;
    c = chore_new(s, PUSH_CLAIM, ROWS_BYTES, tell_claim, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.claim = fn;
    job = &c->job;
    job->now_us = now_us;
    job->limit = limit;
    job->rows = take(job, limit, sizeof *job->rows);
    return run(s, c);
}

static void tell_settle(struct store *s, struct answer *a)
{
    struct push_chore *c = CONTAINER_OF(a, struct push_chore, answer);

    (void)s;
    c->fn.settle(c->arg, a->err, c->job.heads, c->job.n_results);
    chore_free(c);
}

static void keep_result(struct push_job *job, struct store_push_result *to,
                        const struct store_push_result *from)
{
    *to = *from;
    to->id = push_keep(job, from->id);
    to->disabled = push_keep(job, from->disabled);
    to->attempt.error = push_keep(job, from->attempt.error);
    to->attempt.answer = push_keep(job, from->attempt.answer);
}

int store_push_settle(struct store *s, const struct store_push_result *results, size_t n,
                      int64_t now_us, store_settle_fn fn, void *arg)
{
    struct push_chore *c;
    struct push_job *job;

    if (n < 1 || n > PUSH_ROWS_MAX)
        return ERR_INVALID;
    c = chore_new(s, PUSH_SETTLE, SETTLE_BYTES, tell_settle, arg);
    if (!c)
        return ERR_CANCELED;
    c->fn.settle = fn;
    job = &c->job;
    job->now_us = now_us;
    job->n_results = n;
    job->results = take(job, n, sizeof *job->results);
    job->heads = take(job, n, sizeof *job->heads);
    for (size_t i = 0; i < n && !job->err; i++)
        keep_result(job, &job->results[i], &results[i]);
    return run(s, c);
}

int store_push_sweep(struct store *s, int64_t now_us, store_done_fn fn, void *arg)
{
    struct push_chore *c = chore_new(s, PUSH_SWEEP, KB(4), tell_done, arg);

    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.now_us = now_us;
    return run(s, c);
}

int store_push_prune(struct store *s, int64_t before_us, store_done_fn fn, void *arg)
{
    struct push_chore *c = chore_new(s, PUSH_PRUNE, KB(4), tell_done, arg);

    if (!c)
        return ERR_CANCELED;
    c->fn.done = fn;
    c->job.now_us = before_us;
    return run(s, c);
}

/* --- who is woken --------------------------------------------------------------------------------- */

void store_on_push(struct store *s, void (*fn)(void *arg), void *arg)
{
    s->on_push = fn;
    s->on_push_arg = arg;
}
