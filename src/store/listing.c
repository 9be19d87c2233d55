/* SPDX-License-Identifier: MIT
 *
 * Lists. A question becomes one query of the backend; what comes back are rows like those of a miss, and with
 * want_docs their documents are folded the same way. Lists leave the cache alone: a page of old tasks must not
 * push out those in use.
 *
 * A page ends where its documents would exceed LIMIT_LIST_BYTES, but has at least one; the token then points behind
 * the last task that is on it. A task whose stored document cannot be read, or whose name is none, is reported and
 * left out, or one spoiled row would hide all others; the total counts it all the same. Such a name cannot stand in a
 * token either: the next page then begins behind the last that can, and a page that has none is the last.
 */
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"
#include "store/token.h"

#define PAGE_BYTES MB(1) /* ids and contexts of a page without documents */

/* --- telling -------------------------------------------------------------------------------------- */

static void listing_free(struct listing *l)
{
    for (size_t i = 0; l->tasks && i < l->n; i++)
        task_unref(l->tasks[i]);
    mem_free(l->tasks);
    mem_free(l->rows);
    arena_release(&l->arena);
    mem_free(l);
}

static void tell_page(struct store *s, struct answer *a)
{
    struct listing *l = CONTAINER_OF(a, struct listing, answer);

    (void)s;
    if (a->err)
        l->fn(l->arg, a->err, NULL, 0, 0, STR_NONE);
    else
        l->fn(l->arg, 0, l->rows, l->n, l->query.total,
              l->token_n ? str_make(l->token, l->token_n) : STR_NONE);
    listing_free(l);
}

static void tell_found(struct store *s, struct answer *a)
{
    struct listing *l = CONTAINER_OF(a, struct listing, answer);
    struct str agents[STORE_FIND_MAX];

    (void)s;
    for (size_t i = 0; i < l->n; i++)
        agents[i] = l->rows[i].agent;
    l->find_fn(l->arg, a->err, a->err ? NULL : agents, a->err ? 0 : l->n);
    listing_free(l);
}

/* --- asking --------------------------------------------------------------------------------------- */

static struct listing *listing_new(size_t max_bytes, void *arg)
{
    struct listing *l = MEM_NEW(struct listing);

    arena_init(&l->arena, max_bytes);
    list_init(&l->answer.link);
    list_init(&l->query.link);
    l->query.arena = &l->arena;
    l->arg = arg;
    return l;
}

/* The name as the query keeps it. False: it cannot be anybody's, and no database need be asked. */
static bool keep(struct listing *l, struct str name, size_t max, struct str *out)
{
    if (!name.p)
        return true;
    if (name.n > max || str_has_control(name) || !str_is_utf8(name))
        return false;
    *out = arena_str(&l->arena, name);
    return out->p != NULL;
}

static int read_token(struct listing *l, struct str text)
{
    struct list_query *q = &l->query;
    struct token t;
    int err = token_read(&t, text);

    if (err)
        return err;
    /* Of another agent's list: its tasks are none of this one's business. */
    if (q->agent.p && !str_is(q->agent, t.agent))
        return ERR_INVALID;
    q->has_from = true;
    q->from_us = t.at_us;
    q->from_agent = arena_str(&l->arena, t.agent);
    q->from_id = arena_str(&l->arena, t.id);
    return q->from_agent.p && q->from_id.p ? 0 : ERR_STORE;
}

/* Hands the query to the backend, or an answer without it to the line of answers. */
static void ask(struct store *s, struct listing *l, bool may_be, int err)
{
    if (!err && may_be && s->state == STORE_UP) {
        s->backend->ops->list(s->backend, &l->query);
        return;
    }
    l->answer.err = err ? err : may_be ? ERR_STORE : 0;
    store_answer(s, &l->answer);
}

int store_task_list(struct store *s, const struct task_query *query, store_list_fn fn,
                    void *arg)
{
    size_t room = 4 * s->task_max_bytes; /* a document, its tail, and some */
    struct listing *l;
    struct list_query *q;
    bool may_be;

    if (s->is_closing)
        return ERR_CANCELED;
    room = room > STORE_LOAD_BYTES ? room : STORE_LOAD_BYTES;
    l = listing_new(query->want_docs ? room : PAGE_BYTES, arg);
    q = &l->query;
    l->answer.tell = tell_page;
    l->fn = fn;
    q->limit = query->limit < 1 ? 1 : query->limit > 100 ? 100 : query->limit;
    q->has_state = query->has_state;
    q->state = query->state;
    q->has_after_us = query->has_after_us;
    q->after_us = query->after_us;
    q->want_docs = query->want_docs;
    may_be = keep(l, query->agent, LIMIT_AGENT_ID, &q->agent) &&
             keep(l, query->context, LIMIT_TASK_ID, &q->context);
    ask(s, l, may_be, query->after.p ? read_token(l, query->after) : 0);
    return 0;
}

int store_task_find(struct store *s, struct str id, store_find_fn fn, void *arg)
{
    struct listing *l;

    if (s->is_closing)
        return ERR_CANCELED;
    l = listing_new(PAGE_BYTES, arg);
    l->answer.tell = tell_found;
    l->find_fn = fn;
    l->query.limit = STORE_FIND_MAX;
    ask(s, l, id.p && keep(l, id, LIMIT_TASK_ID, &l->query.id), 0);
    return 0;
}

/* --- what came back ------------------------------------------------------------------------------- */

/* Copies what the summary says. False: no room. */
static bool summarize(struct listing *l, const struct load *row, struct task_summary *out)
{
    *out = (struct task_summary){.agent = arena_str(&l->arena, row->agent),
                                 .id = arena_str(&l->arena, row->id),
                                 .context = arena_str(&l->arena, row->context),
                                 .state = row->state,
                                 .status_at_us = row->status_at_us,
                                 .seq = row->seq,
                                 .dialect = row->dialect};
    return out->agent.p && out->id.p && (out->context.p || !row->context.p);
}

/* Takes out the rows with names that no task can have. */
static void drop_nameless(struct list_query *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n; i++) {
        const struct load *row = &q->rows[i];

        if (task_may_be(row->agent, row->id))
            q->rows[n++] = *row;
        else
            log_event(LOG_ERROR, "a stored task has an impossible name and is not listed",
                      LOG_STR("agent", row->agent), LOG_STR("task", row->id));
    }
    q->n = n;
}

/* The documents of the page, as long as there is room. Returns how many rows are done with: at least one. */
static size_t fold_page(struct store *s, struct listing *l, int *err)
{
    struct list_query *q = &l->query;
    size_t bytes = 0, i = 0;

    *err = 0;
    for (; i < q->n; i++) {
        struct task *task = NULL;

        *err = load_to_task(s, &q->rows[i], &task);
        if (*err == ERR_INVALID) {
            log_event(LOG_ERROR, "a stored task cannot be read and is not listed",
                      LOG_STR("agent", q->rows[i].agent), LOG_STR("task", q->rows[i].id),
                      LOG_U64("seq", q->rows[i].seq));
            *err = 0;
            continue;
        }
        if (*err)
            return i;
        if (l->n > 0 && bytes + task->doc.n > LIMIT_LIST_BYTES) {
            task_unref(task);
            q->has_more = true;
            break;
        }
        bytes += task->doc.n;
        l->tasks[l->n] = task;
        l->rows[l->n++] = (struct task_summary){.agent = task->agent,
                                                .id = task->id,
                                                .context = task->context,
                                                .state = task->state,
                                                .status_at_us = task->status_at_us,
                                                .seq = task->seq,
                                                .doc = task->doc,
                                                .dialect = task->dialect};
    }
    return i;
}

static int read_page(struct store *s, struct listing *l)
{
    struct list_query *q = &l->query;
    const struct load *last;
    size_t n_done = 0;
    int err = 0;

    drop_nameless(q);
    if (q->n == 0)
        return 0;
    l->rows = mem_zero(q->n, sizeof *l->rows);
    if (q->want_docs) {
        l->tasks = mem_zero(q->n, sizeof *l->tasks);
        n_done = fold_page(s, l, &err);
    }
    for (; !q->want_docs && n_done < q->n && !err; n_done++)
        err = summarize(l, &q->rows[n_done], &l->rows[l->n++]) ? 0 : ERR_NOMEM;
    if (err)
        return ERR_STORE;
    last = &q->rows[n_done - 1];
    if (q->has_more)
        l->token_n = token_write(l->token, last->status_at_us, last->agent, last->id);
    return 0;
}

void store_list_done(struct store *s, struct list_query *query)
{
    struct listing *l = CONTAINER_OF(query, struct listing, query);

    l->answer.err = query->err ? query->err : read_page(s, l);
    store_answer(s, &l->answer);
    store_tell(s);
}
