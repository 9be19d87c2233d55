/* SPDX-License-Identifier: MIT
 *
 * A task's log, read for those who were not there when it was written: feeds that fell behind, readers who come with a
 * cursor, tasks that another node writes. Always from the database: the log is the truth, and what is asked for is
 * mostly old. Like lists, reading it leaves the cache alone.
 *
 * What was not written by a gateway (people have SQL) must not reach code that trusts JSON: a page ends in front of an
 * event that cannot be read, and one that begins with such an event is ERR_STORE. There is no way past it; leaving it
 * out would be a hole that readers take for a mistake of theirs.
 */
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

static void tell_log(struct store *s, struct answer *a)
{
    struct log_asker *asker = CONTAINER_OF(a, struct log_asker, answer);
    const struct log_query *q = &asker->query;

    (void)s;
    asker->fn(asker->arg, a->err, a->err ? NULL : q->events, a->err ? 0 : q->n);
    arena_release(&asker->arena);
    mem_free(asker->query.events);
    mem_free(asker);
}

int store_events_read(struct store *s, struct str agent, struct str id, uint64_t after,
                      size_t max_bytes, store_events_fn fn, void *arg)
{
    size_t room = 4 * s->task_max_bytes; /* one event, however large, and some */
    size_t page = max_bytes < STORE_LOAD_BYTES / 4 ? max_bytes : STORE_LOAD_BYTES / 4;
    struct log_asker *asker;
    bool may_be;

    if (s->is_closing)
        return ERR_CANCELED;
    asker = MEM_NEW(struct log_asker);
    arena_init(&asker->arena, room > STORE_LOAD_BYTES ? room : STORE_LOAD_BYTES);
    list_init(&asker->answer.link);
    asker->answer.tell = tell_log;
    asker->fn = fn;
    asker->arg = arg;
    may_be = task_key_make(&asker->key, agent, id);
    asker->query = (struct log_query){
        .after = after,
        .max_bytes = page,
        .arena = &asker->arena,
    };
    list_init(&asker->query.link);
    if (may_be) {
        asker->query.agent = str_make(asker->key.p, agent.n);
        asker->query.id = str_make(asker->key.p + agent.n + 1, id.n);
    }
    if (may_be && str_is_utf8(agent) && str_is_utf8(id) && s->state == STORE_UP) {
        s->backend->ops->log(s->backend, &asker->query);
        return 0;
    }
    asker->answer.err = may_be && s->state != STORE_UP ? ERR_STORE : ERR_ABSENT;
    store_answer(s, &asker->answer);
    return 0;
}

struct store_event *log_query_add(struct log_query *q)
{
    if (q->n == LIMIT_FEED_EVENTS)
        return NULL;
    if (q->n == q->room) {
        q->room = q->room ? 2 * q->room : 16;
        q->events = mem_resize(q->events, q->room, sizeof *q->events);
    }
    return &q->events[q->n++];
}

static bool is_readable(const struct store_event *e)
{
    return e->kind >= A2A_EVENT_MESSAGE && e->kind <= A2A_EVENT_SYNC &&
           (e->dialect == A2A_0_3 || e->dialect == A2A_1_0) &&
           json_scan(e->payload, NULL, NULL, 0, NULL) == 0;
}

/* How many events of the page may be told. */
static size_t count_readable(const struct log_query *q)
{
    size_t n = 0;

    while (n < q->n && q->events[n].seq == q->after + n + 1 && is_readable(&q->events[n]))
        n++;
    if (n < q->n)
        log_event(LOG_ERROR, "an event of a task cannot be read", LOG_STR("agent", q->agent),
                  LOG_STR("task", q->id), LOG_U64("seq", q->events[n].seq),
                  LOG_U64("expected_seq", q->after + n + 1));
    return n;
}

void store_log_done(struct store *s, struct log_query *query)
{
    struct log_asker *asker = CONTAINER_OF(query, struct log_asker, query);
    size_t n = query->err ? 0 : count_readable(query);

    if (query->err)
        asker->answer.err = ERR_STORE;
    else if (!query->found)
        asker->answer.err = ERR_ABSENT;
    else if (n == 0 && query->n > 0)
        asker->answer.err = ERR_STORE;
    query->n = n;
    store_answer(s, &asker->answer);
    store_tell(s);
}
