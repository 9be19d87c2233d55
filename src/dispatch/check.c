/* SPDX-License-Identifier: MIT
 *
 * Trying an agent, registered or not: what `superx agents check` prints, like a compiler.
 *
 * The agent that is tried is one of its own, outside the registry, with places and figures of its own. It
 * goes the way every call goes: its card is fetched, endpoint and version follow from it, and then it is
 * asked for a task that cannot exist. "Task not found" is the proof that somebody there speaks A2A.
 *
 *     dispatch_check_agent() --> on_card() --> on_answer() --> the callback
 *
 * Findings name the agent's URLs and what it answered, never its credentials.
 */
#include "dispatch/dispatch_int.h"

#include "lib/id.h"
#include "lib/mem.h"

#define FINDINGS_MAX 12u
#define CODE_TASK_NOT_FOUND (-32001)
#define CODE_METHOD_NOT_FOUND (-32601)
#define CODE_VERSION_NOT_SUPPORTED (-32009)

struct check {
    struct agent *agent; /* counted; NULL: it cannot be called at all */
    struct ask *ask;     /* valid inside on_answer() */
    struct deferred later;
    dispatch_check_fn fn;
    void *arg;
    struct agent_finding findings[FINDINGS_MAX];
    size_t n;
    bool is_usable;
};

static void on_card(void *arg, const struct agent_card *card);
static void on_answer(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault);

static void find(struct check *c, unsigned grade, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void find(struct check *c, unsigned grade, const char *fmt, ...)
{
    struct agent_finding *f = &c->findings[c->n];
    va_list args;

    BUG_ON(c->n == FINDINGS_MAX);
    c->n++;
    f->grade = grade;
    va_start(args, fmt);
    (void)vsnprintf(f->what, sizeof f->what, fmt, args);
    va_end(args);
    for (char *p = f->what; *p; p++) /* agents choose their names; people's terminals obey */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

/* Tells and frees. */
static void finish(struct check *c)
{
    struct agent_check result = {
        .findings = c->findings, .n = c->n, .is_usable = c->is_usable, .version = A2A_0_3};
    struct agent_card card = {0};

    if (c->agent) {
        card_view(c->agent->card, &card);
        result.card = str_cut(&card.url, '?'); /* what stands behind may be a secret */
        result.endpoint = str_of(c->agent->url);
        result.version = c->agent->version;
    }
    c->fn(c->arg, &result);
    agent_unref(c->agent);
    mem_free(c);
}

static void on_later(void *arg)
{
    finish(arg);
}

int dispatch_check_agent(struct dispatch *d, const struct agent_spec *spec,
                         dispatch_check_fn fn, void *arg)
{
    struct check *c = MEM_NEW(struct check);
    const char *why = "";

    c->fn = fn;
    c->arg = arg;
    c->later.fn = on_later;
    c->later.arg = c;
    if (!agent_try_new(d, spec, &c->agent, &why))
        return dispatch_card(d, c->agent, true, on_card, c);
    find(c, FINDING_ERROR, "it cannot be called: %s", why);
    loop_defer(d->loop, &c->later);
    return 0;
}

/* --- the card ----------------------------------------------------------------------------------- */

static void judge_card(struct check *c)
{
    struct str name, version, url;
    struct agent_card card;

    card_view(c->agent->card, &card);
    card_names(c->agent->card, &name, &version);
    if (card.url.p) {
        url = str_cut(&card.url, '?');
        find(c, FINDING_OK, "card: %.*s: \"%.60s\" %.20s", (int)(url.n < 160 ? url.n : 160),
             url.p, name.p ? name.p : "", version.p ? version.p : "");
        return;
    }
    /* Agents can do without a card, but not without their machine. */
    find(c, card_is_reachable(c->agent->card) ? FINDING_WARNING : FINDING_ERROR, "card: %s%s",
         card_why(c->agent->card), card.doc.p ? "; the one of the configuration is shown" : "");
}

static void judge_route(struct check *c)
{
    struct agent *a = c->agent;
    struct arena arena;
    struct route route;
    bool is_a_guess;

    arena_init(&arena, KB(16));
    route_find(&a->settings->spec, card_fetched(a->card), &arena, &route);
    if (route.why[0])
        find(c, FINDING_WARNING, "%s", route.why);
    is_a_guess = strcmp(route.url_from, "url") == 0;
    find(c, FINDING_OK, "endpoint: %.200s (%s)", a->url,
         is_a_guess                                ? "the url as registered"
         : strcmp(route.url_from, "endpoint") == 0 ? "from endpoint"
         : route.listed.p                          ? "the card's path on the registered host"
                                                   : "from the card");
    if (route.tenant.p)
        find(c, FINDING_OK, "tenant: %.100s (from the card)", route.tenant.p);
    find(c, FINDING_OK, "version: %s (%s)", a2a_version_text(a->version),
         strcmp(a->version_from, "default") == 0 ? "nobody says otherwise"
         : strcmp(a->version_from, "card") == 0  ? "from the card"
                                                 : "from protocolVersion");
    arena_release(&arena);
}

static void on_card(void *arg, const struct agent_card *card)
{
    struct check *c = arg;
    struct agent *before = c->agent;
    char id[UUID_TEXT + 1], task[UUID_TEXT + 16];
    struct uuid uuid = id_uuid4();
    int err;

    (void)card;
    c->agent = agent_latest(before);
    agent_unref(before);
    judge_card(c);
    judge_route(c);
    id_uuid_text(&uuid, id);
    (void)snprintf(task, sizeof task, "superx-check-%s", id);
    err = dispatch_get(c->agent->dispatch, c->agent, str_of(task), on_answer, c, &c->ask);
    if (!err)
        return;
    find(c, FINDING_ERROR, "endpoint: it cannot be called: %s", err_text(err));
    finish(c);
}

/* --- the answer --------------------------------------------------------------------------------- */

static void judge_reply(struct check *c, const struct a2a_reply *reply)
{
    const char *version = a2a_version_text(ask_version(c->ask));

    c->is_usable = true;
    if (reply->kind != A2A_REPLY_ERROR) {
        find(c, FINDING_WARNING,
             "it answers JSON-RPC %s, but says it has a task that cannot exist", version);
        return;
    }
    switch (reply->error_code) {
    case CODE_TASK_NOT_FOUND:
        find(c, FINDING_OK, "answers JSON-RPC %s (TaskNotFound to a task that cannot exist)",
             version);
        return;
    case CODE_METHOD_NOT_FOUND:
        find(
            c, FINDING_WARNING,
            "it does not know %s (error -32601): its version may not be %s, or its tasks cannot "
            "be followed",
            a2a_method_name(A2A_GET, ask_version(c->ask)), version);
        return;
    case CODE_VERSION_NOT_SUPPORTED:
        c->is_usable = false;
        find(c, FINDING_ERROR, "it refuses A2A %s (error -32009)", version);
        return;
    default:
        find(
            c, FINDING_WARNING,
            "it answers JSON-RPC %s, but error %lld to a question for a task that cannot exist",
            version, (long long)reply->error_code);
    }
}

static void on_answer(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct check *c = arg;
    struct agent *now = agent_latest(c->agent);

    /* Its refusal may have led to another card. */
    agent_unref(c->agent);
    c->agent = now;
    if (fault)
        find(c, FINDING_ERROR, "%s", fault->detail);
    else
        judge_reply(c, reply);
    finish(c);
}
