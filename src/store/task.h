/* SPDX-License-Identifier: MIT
 *
 * Inside the store: making tasks, and the one name under which a task is found.
 *
 * A task's name is (agent, id). Wherever the store keeps tasks by name it uses one string, agent NUL id,
 * which is unambiguous because neither part may contain control characters. struct task lays its strings out
 * so that this key is a view into the task itself.
 */
#ifndef STORE_TASK_H
#define STORE_TASK_H

#include "lib/limits.h"
#include "store/store.h"

struct task_key {
    size_t n;
    char p[LIMIT_AGENT_ID + 1 + LIMIT_TASK_ID];
};

/* Whether a task can be called so. What is not so was written by somebody with SQL: told in the log and passed over,
 * for nobody could ask for it and no page token could name it. */
bool task_may_be(struct str agent, struct str id);

/* False if there can be no task of that name: a part is empty, too long, or has control characters. */
bool task_key_make(struct task_key *key, struct str agent, struct str id);

static inline struct str task_key_str(const struct task_key *key)
{
    return (struct str){key->p, key->n};
}

/* The key of a task; lives as long as the task. */
static inline struct str task_key_of(const struct task *t)
{
    return (struct str){t->agent.p, t->agent.n + 1 + t->id.n};
}

/* A task like `like` (whose strings may lie anywhere), with one reference. NULL when the heap refuses: how
 * large a task is, its agent decides. */
struct task *task_new(const struct task *like);

/* Bytes the task takes from the heap. */
size_t task_bytes(const struct task *t);

/* Heap bytes whose number a peer decides: uninitialised, freed with mem_free(), NULL when refused. */
void *bytes_take(size_t n);

#endif
