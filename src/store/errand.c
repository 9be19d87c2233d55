/* SPDX-License-Identifier: MIT
 *
 * Small writes beside the spine: tasks of the dead are taken over, agents of the API are saved and deleted. They
 * are rare, so each is a transaction of its own and none of them is kept for later: while the database is away the
 * asker is told so and asks again.
 *
 * Agents have two homes. What file and environment say is listed in `agents` for people to look at; what came
 * through the API is kept whole in `api_agents` and read back: at the start, and whenever any node has changed it.
 * The same id may stand in both; who wins, the registry decides.
 *
 * A task taken over keeps its seq, so an append that was folded on the old owner fails its guard, is folded again
 * on the row as it is now, and succeeds. Cached copies that name the old owner would cost that conflict later;
 * they go at once.
 */
#include "lib/log.h"
#include "lib/mem.h"
#include "store/parts.h"

/* Twice what is needed: the arena rounds up, and leaves a rest in each of its pieces. */
#define TAKE_BYTES                                                                             \
    (2 * STORE_TAKE_MAX * (sizeof(struct task_name) + LIMIT_AGENT_ID + LIMIT_TASK_ID))
#define SPECS_BYTES (LIMIT_AGENTS * (STORE_SPEC_MAX + LIMIT_AGENT_ID))

static void on_tell_specs(void *arg);

void errand_init(struct store *s)
{
    s->tell_specs = (struct deferred){.fn = on_tell_specs, .arg = s};
}

void errand_release(struct store *s)
{
    loop_undefer(&s->tell_specs);
    specs_free(s->specs);
    s->specs = NULL;
}

/* --- errands -------------------------------------------------------------------------------------- */

static struct chore *chore_new(enum errand_kind kind, size_t max_bytes,
                               void (*tell)(struct store *s, struct answer *a), void *arg)
{
    struct chore *c = MEM_NEW(struct chore);

    list_init(&c->answer.link);
    list_init(&c->errand.link);
    arena_init(&c->errand.arena, max_bytes);
    c->errand.kind = kind;
    c->answer.tell = tell;
    c->arg = arg;
    return c;
}

static void chore_free(struct chore *c)
{
    arena_release(&c->errand.arena);
    mem_free(c);
}

static void run_errand(struct store *s, struct chore *c)
{
    if (s->state == STORE_UP) {
        s->backend->ops->errand(s->backend, &c->errand);
        return;
    }
    c->answer.err = ERR_STORE;
    snprintf(c->errand.why, sizeof c->errand.why, "%s",
             s->why[0] ? s->why : "the store is not open yet");
    store_answer(s, &c->answer);
}

/* What we have of these tasks names another owner. */
static void forget_owners(struct store *s, const struct errand *e)
{
    struct task_key key;

    for (size_t i = 0; i < e->n; i++) {
        if (!task_key_make(&key, e->tasks[i].agent, e->tasks[i].id))
            continue;
        cache_drop(&s->cache, task_key_str(&key), UINT64_MAX);
        miss_dirty(s, task_key_str(&key));
    }
}

/* A snapshot that waits to be told is older than what was just saved or deleted, and would undo it for whoever is
 * told. The backend owes us a newer one. */
static void drop_specs(struct store *s)
{
    if (!list_is_linked(&s->tell_specs.link))
        return;
    loop_undefer(&s->tell_specs);
    specs_free(s->specs);
    s->specs = NULL;
}

void store_errand_done(struct store *s, struct errand *errand)
{
    struct chore *c = CONTAINER_OF(errand, struct chore, errand);

    if (errand->kind == ERRAND_TAKE && !errand->err)
        forget_owners(s, errand);
    if (errand->kind != ERRAND_TAKE && !errand->err)
        drop_specs(s);
    if (errand->err == ERR_ABSENT)
        snprintf(errand->why, sizeof errand->why, "there is no such agent");
    c->answer.err = errand->err;
    store_answer(s, &c->answer);
    store_tell(s);
}

/* --- taking over ---------------------------------------------------------------------------------- */

bool errand_add(struct errand *e, struct str agent, struct str id, enum a2a_state state)
{
    struct task_name *name = &e->tasks[e->n];

    BUG_ON(e->n >= e->limit);
    if (!task_may_be(agent, id)) {
        log_event(LOG_ERROR, "a stored task has an impossible name and is not followed",
                  LOG_STR("agent", agent), LOG_STR("task", id));
        return false;
    }
    *name = (struct task_name){
        .agent = arena_str(&e->arena, agent), .id = arena_str(&e->arena, id), .state = state};
    BUG_ON(!name->agent.p || !name->id.p); /* `limit` of them were given room */
    e->n++;
    return true;
}

static void tell_taken(struct store *s, struct answer *a)
{
    struct chore *c = CONTAINER_OF(a, struct chore, answer);

    (void)s;
    c->taken_fn(c->arg, a->err, a->err ? NULL : c->errand.tasks, a->err ? 0 : c->errand.n);
    chore_free(c);
}

int store_take_orphans(struct store *s, unsigned limit, store_taken_fn fn, void *arg)
{
    struct chore *c;

    if (s->is_closing)
        return ERR_CANCELED;
    c = chore_new(ERRAND_TAKE, TAKE_BYTES, tell_taken, arg);
    c->taken_fn = fn;
    c->errand.owner = s->boot;
    c->errand.limit = limit < 1 ? 1 : limit > STORE_TAKE_MAX ? STORE_TAKE_MAX : limit;
    c->errand.tasks = arena_take(&c->errand.arena, c->errand.limit * sizeof *c->errand.tasks);
    if (!c->errand.tasks) {
        chore_free(c);
        return ERR_NOMEM;
    }
    run_errand(s, c);
    return 0;
}

/* --- agents of file and environment --------------------------------------------------------------- */

void store_agents_put(struct store *s, struct str source, const struct store_agent *agents,
                      size_t n)
{
    struct agents_put *put;

    BUG_ON(str_is(source, STR("api")));
    if (s->is_closing)
        return;
    put = MEM_NEW(struct agents_put);
    put->arena = MEM_NEW(struct arena);
    arena_init(put->arena, MB(64)); /* LIMIT_AGENTS agents; the operator decides how many */
    list_init(&put->link);
    put->source = arena_str(put->arena, source);
    put->agents = arena_take(put->arena, n * sizeof *agents);
    BUG_ON(!put->agents || !put->source.p);
    put->n = n;
    for (size_t i = 0; i < n; i++)
        put->agents[i] =
            (struct store_agent){.id = arena_str(put->arena, agents[i].id),
                                 .url = arena_str(put->arena, agents[i].url),
                                 .version = arena_str(put->arena, agents[i].version),
                                 .source = put->source};
    s->backend->ops->agents(s->backend, put);
}

void agents_put_free(struct agents_put *put)
{
    if (!put)
        return;
    arena_release(put->arena);
    mem_free(put->arena);
    mem_free(put);
}

/* --- agents of the API ---------------------------------------------------------------------------- */

static void tell_done(struct store *s, struct answer *a)
{
    struct chore *c = CONTAINER_OF(a, struct chore, answer);

    (void)s;
    c->done_fn(c->arg, a->err, a->err ? c->errand.why : NULL);
    chore_free(c);
}

int store_agent_save(struct store *s, const struct store_agent *agent, struct str spec,
                     store_done_fn fn, void *arg)
{
    struct errand *e;
    struct chore *c;

    if (s->is_closing)
        return ERR_CANCELED;
    if (agent->id.n < 1 || agent->id.n > LIMIT_AGENT_ID || agent->url.n > LIMIT_URL)
        return ERR_INVALID;
    if (spec.n > STORE_SPEC_MAX)
        return ERR_LIMIT;
    c = chore_new(ERRAND_SAVE, 2 * STORE_SPEC_MAX, tell_done, arg);
    c->done_fn = fn;
    e = &c->errand;
    e->id = arena_str(&e->arena, agent->id);
    e->url = arena_str(&e->arena, agent->url);
    e->version = arena_str(&e->arena, agent->version);
    e->spec = arena_str(&e->arena, spec);
    if (!e->id.p || !e->url.p || !e->spec.p) {
        chore_free(c);
        return ERR_INVALID;
    }
    run_errand(s, c);
    return 0;
}

int store_agent_delete(struct store *s, struct str id, store_done_fn fn, void *arg)
{
    struct chore *c;

    if (s->is_closing)
        return ERR_CANCELED;
    if (id.n < 1 || id.n > LIMIT_AGENT_ID)
        return ERR_INVALID;
    c = chore_new(ERRAND_DELETE, KB(4), tell_done, arg);
    c->done_fn = fn;
    c->errand.id = arena_str(&c->errand.arena, id);
    run_errand(s, c);
    return 0;
}

/* --- watching them -------------------------------------------------------------------------------- */

struct specs *specs_new(void)
{
    struct specs *specs = MEM_NEW(struct specs);

    arena_init(&specs->arena, SPECS_BYTES);
    return specs;
}

void specs_add(struct specs *specs, struct str id, struct str spec)
{
    struct store_agent_spec copy = {.id = arena_str(&specs->arena, id),
                                    .spec = arena_str(&specs->arena, spec)};

    if (!copy.id.p || !copy.spec.p) {
        log_event(LOG_ERROR, "an agent of the API is not known here: out of memory",
                  LOG_STR("agent", id));
        return;
    }
    if (specs->n == specs->room) {
        specs->room = specs->room ? 2 * specs->room : 16;
        specs->at = mem_resize(specs->at, specs->room, sizeof *specs->at);
    }
    specs->at[specs->n++] = copy;
}

void specs_free(struct specs *specs)
{
    if (!specs)
        return;
    arena_release(&specs->arena);
    mem_free(specs->at);
    mem_free(specs);
}

static void on_tell_specs(void *arg)
{
    struct store *s = arg;

    if (s->specs && s->on_agents && !s->is_closing)
        s->on_agents(s->on_agents_arg, s->specs->at, s->specs->n);
}

void store_specs(struct store *s, struct specs *specs)
{
    specs_free(s->specs);
    s->specs = specs;
    loop_defer(s->loop, &s->tell_specs);
}

void store_on_agents(struct store *s, store_agents_fn fn, void *arg)
{
    s->on_agents = fn;
    s->on_agents_arg = arg;
    if (s->specs)
        loop_defer(s->loop, &s->tell_specs);
}
