/* SPDX-License-Identifier: MIT
 *
 * Agents by id.
 *
 * An agent is immutable. A reload that changes a spec makes a new version, and the old one lives on for the
 * calls that hold it; both share the gate, so the places taken through the old version count for the new
 * one. An unchanged spec keeps its very object. The registry's own reference to an agent that was replaced
 * or removed is given up in the graveyard: what dispatch_find() returned stays good until the turn ends,
 * whatever is reloaded meanwhile.
 *
 * dispatch_put() compares whole sets: agents of the source that the new set does not name are removed. It is
 * the only writer, and cheap enough for ten thousand agents (one hash look-up each, then one sort).
 */
#include "dispatch/dispatch_int.h"

#include "lib/log.h"
#include "lib/mem.h"

static void free_agent(struct agent *a);
static void free_dispatch(struct grave *g);

/* --- gates -------------------------------------------------------------------------------------- */

static struct gate *get_gate(struct dispatch *d, struct str id)
{
    struct gate *g = map_get(&d->gates, id);

    if (!g) {
        g = MEM_NEW(struct gate);
        memcpy(g->id, id.p, id.n);
        map_put(&d->gates, str_of(g->id), g);
    }
    g->n_refs++;
    return g;
}

static void unref_gate(struct dispatch *d, struct gate *g)
{
    if (--g->n_refs > 0)
        return;
    BUG_ON(g->in_flight);
    map_remove(&d->gates, str_of(g->id));
    mem_free(g);
}

/* --- agents ------------------------------------------------------------------------------------- */

/* What every request to the agent carries. The bearer was validated when it was read. */
static int open_endpoint(struct agent *a, const struct agent_spec *spec, const char **why)
{
    struct egress_header headers[3] = {{"Content-Type", STR("application/json")}};
    struct buf authorization;
    size_t n = 1;
    int err;

    buf_init(&authorization, LIMIT_HTTP_HEAD);
    if (spec->version == A2A_1_0)
        headers[n++] = (struct egress_header){"A2A-Version", STR("1.0")};
    if (spec->bearer.p) {
        BUF_LIT(&authorization, "Bearer ");
        buf_add_str(&authorization, spec->bearer);
        headers[n++] = (struct egress_header){"Authorization", buf_str(&authorization)};
    }
    err = egress_endpoint_new(a->dispatch->egress, spec->url, headers, n, &a->endpoint, why);
    buf_release(&authorization);
    return err;
}

static struct agent *new_agent(struct dispatch *d, const char *source,
                               const struct agent_spec *spec, const char **why)
{
    struct agent *a = MEM_NEW(struct agent);

    a->dispatch = d;
    if (open_endpoint(a, spec, why)) {
        mem_free(a);
        return NULL;
    }
    a->n_refs = 1;
    a->gate = get_gate(d, spec->id);
    gate_set_limit(a->gate, spec->max_in_flight);
    a->url = mem_str(spec->url.p, spec->url.n);
    a->source = mem_str(source, strlen(source));
    if (spec->bearer.p)
        a->bearer = mem_str(spec->bearer.p, spec->bearer.n);
    a->version = spec->version;
    a->max_in_flight = spec->max_in_flight;
    a->timeout_ms = spec->timeout_ms;
    d->n_alive++;
    return a;
}

struct agent *agent_ref(struct agent *a)
{
    BUG_ON(a->n_refs == 0);
    a->n_refs++;
    return a;
}

void agent_unref(struct agent *a)
{
    if (!a)
        return;
    BUG_ON(a->n_refs == 0);
    if (--a->n_refs > 0)
        return;
    free_agent(a);
}

static void free_agent(struct agent *a)
{
    BUG_ON(a->in_flight);
    egress_endpoint_free(a->endpoint);
    unref_gate(a->dispatch, a->gate);
    a->dispatch->n_alive--;
    mem_free(a->url);
    mem_free(a->source);
    mem_free(a->bearer);
    mem_free(a);
}

enum a2a_version agent_version(const struct agent *a)
{
    return a->version;
}

struct str agent_id(const struct agent *a)
{
    return str_of(a->gate->id);
}

void agent_view(const struct agent *a, struct agent_view *out)
{
    *out = (struct agent_view){
        .id = agent_id(a),
        .url = str_of(a->url), /* a URL with credentials is refused when it is read */
        .source = a->source,
        .version = a->version,
        .in_flight = a->gate->in_flight,
        .max_in_flight = a->max_in_flight,
        .calls = a->gate->calls,
        .failures = a->gate->failures,
    };
}

/* --- looking ------------------------------------------------------------------------------------ */

struct agent *dispatch_find(struct dispatch *d, struct str id)
{
    return map_get(&d->agents, id);
}

struct agent *dispatch_next(struct dispatch *d, size_t *at)
{
    return *at < d->n_sorted ? d->sorted[(*at)++] : NULL;
}

size_t dispatch_count(const struct dispatch *d)
{
    return d->n_sorted;
}

/* --- reloading ---------------------------------------------------------------------------------- */

static bool is_text(const char *have, struct str want)
{
    return have ? want.p && str_is(str_of(have), want) : !want.p;
}

static bool is_same(const struct agent *a, const struct agent_spec *spec)
{
    return is_text(a->url, spec->url) && is_text(a->bearer, spec->bearer) &&
           a->version == spec->version && a->max_in_flight == spec->max_in_flight &&
           a->timeout_ms == spec->timeout_ms;
}

static void on_retired(struct grave *g)
{
    agent_unref(CONTAINER_OF(g, struct agent, grave));
}

/* Gives up the registry's reference when the turn has ended. */
static void retire(struct agent *a)
{
    loop_bury(a->dispatch->loop, &a->grave, on_retired);
}

static void log_refused(const struct agent_spec *spec, const char *source, const char *why)
{
    log_event(LOG_ERROR, "agent refused, the others of its source are taken",
              LOG_STR("agent", spec->id), LOG_Z("source", source), LOG_Z("why", why));
}

/* Makes one agent what its spec says. */
static void put_one(struct dispatch *d, const char *source, const struct agent_spec *spec,
                    struct dispatch_change *change)
{
    struct agent *old = map_get(&d->agents, spec->id), *a;
    const char *why = "";

    if (old && strcmp(old->source, source) != 0) {
        log_refused(spec, source, "another source has an agent of that id");
        return;
    }
    if (old && old->generation == d->generation) {
        log_refused(spec, source, "the id is given twice");
        return;
    }
    if (old && is_same(old, spec)) {
        old->generation = d->generation;
        change->kept++;
        return;
    }
    a = agent_id_is_valid(spec->id) ? new_agent(d, source, spec, &why) : NULL;
    if (!a) {
        log_refused(spec, source, *why ? why : "the id is not valid");
        if (old) /* better as it was than gone */
            old->generation = d->generation;
        return;
    }
    a->generation = d->generation;
    map_put(&d->agents, agent_id(a), a);
    if (old) {
        retire(old);
        change->changed++;
    } else {
        change->added++;
    }
}

/* Takes out what the new set of its source did not name. `sorted` is still the list of before. */
static void remove_unnamed(struct dispatch *d, const char *source,
                           struct dispatch_change *change)
{
    for (size_t i = 0; i < d->n_sorted; i++) {
        struct agent *a = d->sorted[i];

        if (a->generation == d->generation || strcmp(a->source, source) != 0 ||
            map_get(&d->agents, agent_id(a)) != a)
            continue;
        map_remove(&d->agents, agent_id(a));
        retire(a);
        change->removed++;
    }
}

static int compare_ids(const void *a, const void *b)
{
    return str_compare(agent_id(*(struct agent *const *)a),
                       agent_id(*(struct agent *const *)b));
}

static void sort(struct dispatch *d)
{
    struct agent *a;
    size_t at = 0, n = 0;

    d->sorted = mem_resize(d->sorted, d->agents.n, sizeof(struct agent *));
    while ((a = map_next(&d->agents, &at)))
        d->sorted[n++] = a;
    d->n_sorted = n;
    if (n > 1)
        qsort(d->sorted, n, sizeof(struct agent *), compare_ids);
}

void dispatch_put(struct dispatch *d, const char *source, const struct agent_spec *specs,
                  struct dispatch_change *change)
{
    struct dispatch_change counted = {0};

    d->generation++;
    for (const struct agent_spec *spec = specs; spec; spec = spec->next)
        put_one(d, source, spec, &counted);
    remove_unnamed(d, source, &counted);
    if (counted.added || counted.changed || counted.removed)
        sort(d);
    if (change)
        *change = counted;
}

/* --- birth and death ---------------------------------------------------------------------------- */

struct dispatch *dispatch_new(struct loop *loop, struct egress *egress)
{
    struct dispatch *d = MEM_NEW(struct dispatch);

    d->loop = loop;
    d->egress = egress;
    map_init(&d->agents);
    map_init(&d->gates);
    /* A body is at most what a caller may send, and our envelope around it. */
    buf_init(&d->body, LIMIT_REQUEST_BODY + KB(4));
    return d;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_sorted; i++)
        agent_unref(d->sorted[i]);
    d->n_sorted = 0;
    map_release(&d->agents);
    mem_free(d->sorted);
    d->sorted = NULL;
    /* Behind the agents that were retired in this turn and still need it. */
    loop_bury(d->loop, &d->grave, free_dispatch);
}

static void free_dispatch(struct grave *g)
{
    struct dispatch *d = CONTAINER_OF(g, struct dispatch, grave);

    BUG_ON(d->n_alive > 0); /* somebody still holds an agent */
    map_release(&d->gates);
    buf_release(&d->body);
    mem_free(d);
}

void dispatch_check(const struct dispatch *d)
{
    unsigned n_versions = 0;
    struct gate *g;
    size_t at = 0;

    BUG_ON(d->n_sorted != d->agents.n);
    for (size_t i = 0; i < d->n_sorted; i++) {
        const struct agent *a = d->sorted[i];

        BUG_ON(a->n_refs == 0 || map_get(&d->agents, agent_id(a)) != a);
        BUG_ON(i > 0 && str_compare(agent_id(d->sorted[i - 1]), agent_id(a)) >= 0);
        BUG_ON(a->gate->limit != a->max_in_flight || a->in_flight > a->gate->in_flight);
    }
    while ((g = map_next(&d->gates, &at))) {
        gate_check(g);
        n_versions += g->n_refs;
    }
    BUG_ON(n_versions != d->n_alive);
}
