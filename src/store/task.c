/* SPDX-License-Identifier: MIT
 *
 * A task at one version is one heap object: the struct, then agent NUL id NUL context doc. Nobody changes it
 * after task_new() but for `refs` and `heard_ms`, so it can be handed to callers, kept in the cache and read
 * by a backend's thread without a copy.
 */
#include "store/task.h"

#include "lib/buf.h"
#include "lib/mem.h"

static bool is_name(struct str s, size_t max)
{
    return s.p && s.n > 0 && s.n <= max && !str_has_control(s);
}

bool task_may_be(struct str agent, struct str id)
{
    return is_name(agent, LIMIT_AGENT_ID) && is_name(id, LIMIT_TASK_ID) && str_is_utf8(agent) &&
           str_is_utf8(id);
}

bool task_key_make(struct task_key *key, struct str agent, struct str id)
{
    if (!is_name(agent, LIMIT_AGENT_ID) || !is_name(id, LIMIT_TASK_ID))
        return false;
    memcpy(key->p, agent.p, agent.n);
    key->p[agent.n] = '\0';
    memcpy(key->p + agent.n + 1, id.p, id.n);
    key->n = agent.n + 1 + id.n;
    return true;
}

void *bytes_take(size_t n)
{
    struct buf b;

    buf_init(&b, n);
    if (!buf_reserve(&b, n))
        return NULL;
    return (void *)(uintptr_t)buf_take(&b).p;
}

/* Copies `s` and a NUL to *at and moves *at behind them. */
static struct str lay_down(char **at, struct str s)
{
    struct str copy = {*at, s.n};

    if (!s.p)
        return STR_NONE;
    memcpy(*at, s.p, s.n);
    (*at)[s.n] = '\0';
    *at += s.n + 1;
    return copy;
}

struct task *task_new(const struct task *like)
{
    size_t n = sizeof *like + like->agent.n + like->id.n + like->context.n + like->doc.n + 4;
    struct task *t = bytes_take(n);
    char *at;

    if (!t)
        return NULL;
    *t = *like;
    t->refs = 1;
    at = t->bytes;
    t->agent = lay_down(&at, like->agent);
    t->id = lay_down(&at, like->id);
    t->context = lay_down(&at, like->context);
    t->doc = lay_down(&at, like->doc);
    return t;
}

size_t task_bytes(const struct task *t)
{
    return sizeof *t + t->agent.n + t->id.n + t->context.n + t->doc.n + 5;
}

struct task *task_ref(struct task *t)
{
    t->refs++;
    return t;
}

void task_unref(struct task *t)
{
    if (!t)
        return;
    BUG_ON(t->refs == 0);
    if (--t->refs == 0)
        mem_free(t);
}
