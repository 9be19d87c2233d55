/* SPDX-License-Identifier: MIT
 *
 * Agents by id.
 *
 * An agent is immutable. A reload that changes a spec makes a new version, and so does a card that changes
 * where or in which version the agent is called; the old one lives on for the calls that hold it. All
 * share the gate, so the places taken through the old version count for the new one. Versions whose card
 * is sought alike share the card, so that a new limit does not ask for it again. An unchanged spec keeps
 * its very object. The registry's own reference to an agent that was replaced or removed is given up in
 * the graveyard: what dispatch_find() returned stays good until the turn ends, whatever is reloaded
 * meanwhile.
 *
 * dispatch_put() compares whole sets: agents of the source that the new set does not name are removed. It
 * is cheap enough for ten thousand agents (one hash look-up each, then one sort). dispatch_upsert() and
 * dispatch_remove() are the same for one agent of source "api".
 */
#include "dispatch/dispatch_int.h"

#include "lib/log.h"
#include "lib/mem.h"

/* What a card may take while routes are worked out. */
#define ROUTE_ARENA KB(16)
#define OWN_HEADERS 2u /* Content-Type, A2A-Version */

static void free_agent(struct agent *a);
static void free_dispatch(struct grave *g);

/* --- gates -------------------------------------------------------------------------------------- */

static struct gate *gate_new(struct str id)
{
    struct gate *g = MEM_NEW(struct gate);

    BUG_ON(id.n > LIMIT_AGENT_ID);
    memcpy(g->id, id.p, id.n);
    g->n_refs = 1;
    return g;
}

static struct gate *get_gate(struct dispatch *d, struct str id)
{
    struct gate *g = map_get(&d->gates, id);

    if (g) {
        g->n_refs++;
        return g;
    }
    g = gate_new(id);
    g->is_listed = true;
    map_put(&d->gates, str_of(g->id), g);
    return g;
}

static void unref_gate(struct dispatch *d, struct gate *g)
{
    if (--g->n_refs > 0)
        return;
    BUG_ON(g->in_flight);
    if (g->is_listed)
        map_remove(&d->gates, str_of(g->id));
    mem_free(g);
}

/* --- agents ------------------------------------------------------------------------------------- */

/* What every request to the agent carries. Credentials and headers were validated when they were read. */
static int open_endpoint(struct agent *a, struct str url, const char **why)
{
    const struct agent_spec *spec = &a->settings->spec;
    struct egress_header headers[OWN_HEADERS + SPEC_HEADERS_MAX];
    const struct egress_tls tls = spec_tls(spec, url);
    struct buf authorization;
    size_t n = 0;
    int err;

    headers[n++] = (struct egress_header){"Content-Type", STR("application/json")};
    if (a->version == A2A_1_0)
        headers[n++] = (struct egress_header){"A2A-Version", STR("1.0")};
    buf_init(&authorization, LIMIT_HTTP_HEAD);
    n += spec_headers(spec, &authorization, headers + n);
    err = egress_endpoint_new(a->dispatch->egress, url, headers, n, &tls, &a->endpoint, why);
    buf_release(&authorization);
    return err;
}

/* Takes over the references to gate, settings and card, also on failure. */
static int new_agent(struct dispatch *d, const char *source, struct gate *gate,
                     struct settings *settings, struct card *card, const struct route *route,
                     struct agent **out, const char **why)
{
    struct agent *a = MEM_NEW(struct agent);
    int err;

    a->dispatch = d;
    a->n_refs = 1;
    a->gate = gate;
    a->settings = settings;
    a->card = card;
    a->source = mem_str(source, strlen(source));
    a->url = mem_str(route->url.p, route->url.n);
    if (route->tenant.p)
        a->tenant = mem_str(route->tenant.p, route->tenant.n);
    a->version = route->version;
    a->version_from = route->version_from;
    d->n_alive++;
    if (!gate->is_listed)
        d->n_tried++;
    err = open_endpoint(a, route->url, why);
    if (err)
        agent_unref(a);
    else
        *out = a;
    return err;
}

/* An agent in the place and version that its card, if it is known, says. */
static int route_agent(struct dispatch *d, const char *source, struct gate *gate,
                       struct settings *settings, struct card *card, struct agent **out,
                       const char **why)
{
    struct arena arena;
    struct route route;
    int err;

    arena_init(&arena, ROUTE_ARENA);
    route_find(&settings->spec, card_fetched(card), &arena, &route);
    err = new_agent(d, source, gate, settings, card, &route, out, why);
    arena_release(&arena);
    return err;
}

static int check_spec(const struct agent_spec *spec, const char **why)
{
    int err = egress_url_check(spec->url, why);

    if (!err && spec->endpoint.p)
        err = egress_url_check(spec->endpoint, why);
    if (agent_id_is_valid(spec->id))
        return err;
    *why = "the id is not valid";
    return ERR_INVALID;
}

/* A version of an agent for a new spec. `old` is the one it replaces; NULL: none. */
static int agent_for_spec(struct dispatch *d, const char *source, const struct agent_spec *spec,
                          struct agent *old, struct agent **out, const char **why)
{
    struct settings *settings;
    struct card *card;
    struct gate *gate;
    int err;

    err = check_spec(spec, why);
    if (err)
        return err;
    settings = settings_new(spec);
    gate = get_gate(d, spec->id);
    if (old && spec_has_same_card(&old->settings->spec, spec))
        card = card_ref(old->card);
    else
        card = card_new(d, settings);
    err = route_agent(d, source, gate, settings, card, out, why);
    if (!err) {
        gate_set_limit(gate, spec->max_in_flight);
        if (!card_has_tried(card))
            card_fetch(card);
    }
    return err;
}

int agent_try_new(struct dispatch *d, const struct agent_spec *spec, struct agent **out,
                  const char **why)
{
    struct settings *settings;
    struct gate *gate;
    int err = check_spec(spec, why);

    if (err)
        return err;
    settings = settings_new(spec);
    gate = gate_new(spec->id);
    gate_set_limit(gate, spec->max_in_flight ? spec->max_in_flight : 1);
    return route_agent(d, "check", gate, settings, card_new(d, settings), out, why);
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
    card_unref(a->card);
    settings_unref(a->settings);
    if (!a->gate->is_listed)
        a->dispatch->n_tried--;
    unref_gate(a->dispatch, a->gate);
    a->dispatch->n_alive--;
    mem_free(a->url);
    mem_free(a->tenant);
    mem_free(a->source);
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

/* URLs with credentials are refused when they are read. */
void agent_view(const struct agent *a, struct agent_view *out)
{
    *out = (struct agent_view){
        .id = agent_id(a),
        .url = a->settings->spec.url,
        .endpoint = str_of(a->url),
        .source = a->source,
        .version = a->version,
        .version_from = a->version_from,
        .has_bearer = a->settings->spec.bearer.p != NULL,
        .in_flight = a->gate->in_flight,
        .max_in_flight = a->settings->spec.max_in_flight,
        .streams = a->gate->streams,
        .max_streams = a->settings->spec.max_streams,
        .calls = a->gate->calls,
        .failures = a->gate->failures,
        .last_failure_at_ms = a->gate->last_failure_at_ms,
        .spec = &a->settings->spec,
        .card_why = card_why(a->card),
    };
    card_names(a->card, &out->card_name, &out->card_version);
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
    if (old && spec_is_same(&old->settings->spec, spec)) {
        old->generation = d->generation;
        change->kept++;
        return;
    }
    if (agent_for_spec(d, source, spec, old, &a, &why)) {
        log_refused(spec, source, why);
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

static bool is_api(const struct agent *a)
{
    return strcmp(a->source, "api") == 0;
}

/* What can be said against an agent of source "api" without opening anything. */
static int check_upsert(const struct dispatch *d, const struct agent_spec *spec,
                        const struct agent *old, const char **why)
{
    if (old && !is_api(old)) {
        *why = "an agent of that id is configured (file, environment or demo)";
        return ERR_CONFLICT;
    }
    if (!old && d->agents.n >= LIMIT_AGENTS) {
        *why = "there are as many agents as allowed";
        return ERR_INVALID;
    }
    /* A spec that was read does not, but one that was put together from an old and a new one may. */
    *why = spec_forwards_why(spec);
    return *why ? ERR_INVALID : 0;
}

int dispatch_may_upsert(struct dispatch *d, const struct agent_spec *spec, const char **why)
{
    struct agent *tried;
    int err = check_upsert(d, spec, map_get(&d->agents, spec->id), why);

    if (err)
        return err;
    if (agent_try_new(d, spec, &tried, why))
        return ERR_INVALID;
    agent_unref(tried);
    return 0;
}

int dispatch_upsert(struct dispatch *d, const struct agent_spec *spec, const char **why)
{
    struct agent *old = map_get(&d->agents, spec->id), *a;
    int err = check_upsert(d, spec, old, why);

    if (err || (old && spec_is_same(&old->settings->spec, spec)))
        return err;
    err = agent_for_spec(d, "api", spec, old, &a, why);
    if (err)
        return ERR_INVALID;
    map_put(&d->agents, agent_id(a), a);
    if (old)
        retire(old);
    sort(d);
    return 0;
}

int dispatch_remove(struct dispatch *d, struct str id)
{
    struct agent *a = map_get(&d->agents, id);

    if (!a)
        return ERR_ABSENT;
    if (!is_api(a))
        return ERR_CONFLICT;
    map_remove(&d->agents, id);
    retire(a);
    sort(d);
    return 0;
}

/* --- what cards change -------------------------------------------------------------------------- */

static bool is_routed(const struct agent *a, const struct route *r)
{
    return str_is(str_of(a->url), r->url) && str_is(str_of(a->tenant), r->tenant) &&
           a->version == r->version && strcmp(a->version_from, r->version_from) == 0;
}

bool agent_is_called_alike(const struct agent *a, const struct agent *b)
{
    return str_is(str_of(a->url), str_of(b->url)) &&
           str_is(str_of(a->tenant), str_of(b->tenant)) && a->version == b->version;
}

/* A version of `a` in the place of `route`. NULL: it cannot be called there. */
static struct agent *reroute(struct agent *a, const struct route *route)
{
    struct agent *new;
    const char *why;

    a->gate->n_refs++;
    if (new_agent(a->dispatch, a->source, a->gate, settings_ref(a->settings), card_ref(a->card),
                  route, &new, &why)) {
        log_event(LOG_WARN, "what the card says is not followed", LOG_STR("agent", agent_id(a)),
                  LOG_Z("cause", why));
        return NULL;
    }
    new->generation = a->generation;
    return new;
}

struct agent *agent_latest(struct agent *a)
{
    struct agent *current = map_get(&a->dispatch->agents, agent_id(a)), *new = NULL;
    struct arena arena;
    struct route route;

    if (current && current->card == a->card && current->gate == a->gate)
        return agent_ref(current);
    arena_init(&arena, ROUTE_ARENA);
    route_find(&a->settings->spec, card_fetched(a->card), &arena, &route);
    if (!is_routed(a, &route))
        new = reroute(a, &route);
    arena_release(&arena);
    return new ? new : agent_ref(a);
}

static void replace(struct dispatch *d, struct agent *old, struct agent *new)
{
    struct agent **place =
        bsearch(&old, d->sorted, d->n_sorted, sizeof(struct agent *), compare_ids);

    BUG_ON(!place || *place != old);
    *place = new;
    map_put(&d->agents, agent_id(new), new);
    retire(old);
}

static void log_card(const struct agent *a, const struct route *route)
{
    struct agent_card card;

    card_view(a->card, &card);
    log_event(route->why[0] ? LOG_WARN : LOG_INFO, "card read", LOG_STR("agent", agent_id(a)),
              LOG_STR("card", str_cut(&card.url, '?')), LOG_Z("endpoint", a->url),
              LOG_Z("version", a2a_version_text(a->version)),
              LOG_STR("note", route->why[0] ? str_of(route->why) : STR_NONE));
}

void dispatch_on_card(struct dispatch *d, struct card *card, struct str id, bool is_news)
{
    struct agent *a = map_get(&d->agents, id), *new;
    struct arena arena;
    struct route route;

    if (!a || a->card != card)
        return;
    arena_init(&arena, ROUTE_ARENA);
    route_find(&a->settings->spec, card_fetched(card), &arena, &route);
    if (!is_routed(a, &route)) {
        new = reroute(a, &route);
        if (new) {
            replace(d, a, new);
            a = new;
            is_news = true;
        }
    }
    if (is_news)
        log_card(a, &route);
    arena_release(&arena);
}

/* --- the default -------------------------------------------------------------------------------- */

void dispatch_set_default(struct dispatch *d, struct str id)
{
    mem_free(d->default_id);
    d->default_id = id.n ? mem_str(id.p, id.n) : NULL;
}

struct agent *dispatch_default(struct dispatch *d)
{
    struct agent *a;

    if (d->default_id)
        return dispatch_find(d, str_of(d->default_id));
    a = dispatch_find(d, STR("default"));
    return a || d->n_sorted != 1 ? a : d->sorted[0];
}

/* --- birth and death ---------------------------------------------------------------------------- */

struct dispatch *dispatch_new(struct loop *loop, struct egress *egress,
                              const struct dispatch_config *config)
{
    struct dispatch *d = MEM_NEW(struct dispatch);

    d->config = *config;
    d->loop = loop;
    d->egress = egress;
    list_init(&d->fetch_queue);
    map_init(&d->agents);
    map_init(&d->gates);
    /* What a caller may send, in the other version's words (`kind` doubles a short part), and our envelope
     * around it. */
    buf_init(&d->body, 3 * LIMIT_REQUEST_BODY + KB(4));
    return d;
}

void dispatch_free(struct dispatch *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->n_sorted; i++)
        agent_unref(d->sorted[i]);
    d->n_sorted = 0;
    d->is_closing = true;
    map_release(&d->agents);
    mem_free(d->sorted);
    d->sorted = NULL;
    mem_free(d->default_id);
    d->default_id = NULL;
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
        BUG_ON(a->gate->limit != a->settings->spec.max_in_flight ||
               a->in_flight > a->gate->in_flight);
    }
    while ((g = map_next(&d->gates, &at))) {
        gate_check(g);
        n_versions += g->n_refs;
    }
    BUG_ON(n_versions + d->n_tried != d->n_alive);
}
