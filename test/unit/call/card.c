/* SPDX-License-Identifier: MIT
 *
 * A card on its way through call/: whose it is, that there is one answer whatever comes, and that nothing is held
 * afterwards. The registry is this file's: it defines what call/card.c asks of dispatch/, so the linker takes it.
 */
#include "check.h"

#include "call/call_int.h"

struct agent {
    const char *id;
    int n_refs;
};

static struct agent agents[] = {{"a", 0}, {"b", 0}};
static struct agent *standard; /* dispatch_default() */
static int start_error;
static dispatch_card_fn on_fetched;
static void *fetch_arg;
static struct calls calls;

struct agent *dispatch_default(struct dispatch *d)
{
    (void)d;
    return standard;
}

struct agent *dispatch_find(struct dispatch *d, struct str id)
{
    (void)d;
    for (size_t i = 0; i < 2; i++)
        if (str_is(id, str_of(agents[i].id)))
            return &agents[i];
    return NULL;
}

struct agent *dispatch_next(struct dispatch *d, size_t *at)
{
    (void)d;
    return *at < 2 ? &agents[(*at)++] : NULL;
}

bool agent_id_is_valid(struct str id)
{
    return id.n > 0 && id.n <= LIMIT_AGENT_ID;
}

struct str agent_id(const struct agent *a)
{
    return str_of(a->id);
}

struct agent *agent_ref(struct agent *a)
{
    a->n_refs++;
    return a;
}

void agent_unref(struct agent *a)
{
    a->n_refs--;
}

int dispatch_card(struct dispatch *d, struct agent *a, bool refresh, dispatch_card_fn fn,
                  void *arg)
{
    (void)d;
    CHECK(a->n_refs > 0);
    CHECK(!refresh);
    on_fetched = fn;
    fetch_arg = arg;
    return start_error;
}

/* --- who asks ------------------------------------------------------------------------------------- */

struct asked {
    unsigned n;
    bool is_fault;
    enum a2a_error error;
    char detail[256], agent[32], doc[64];
    int status;
    bool has_form;
    enum a2a_card_form form;
};

static void on_card(void *arg, const struct call_card *card)
{
    struct asked *asked = arg;

    asked->n++;
    asked->is_fault = card->fault != NULL;
    asked->status = card->status;
    asked->has_form = card->has_form;
    asked->form = card->form;
    snprintf(asked->agent, sizeof asked->agent, "%.*s", STR_ARG(card->agent));
    snprintf(asked->doc, sizeof asked->doc, "%.*s", STR_ARG(card->doc));
    if (!card->fault)
        return;
    asked->error = card->fault->error;
    snprintf(asked->detail, sizeof asked->detail, "%s", card->fault->detail);
}

static void check_nothing_held(void)
{
    CHECK_INT(agents[0].n_refs, 0);
    CHECK_INT(agents[1].n_refs, 0);
}

TEST(card_that_is_known)
{
    struct agent_card known = {.doc = STR("{}"), .has_form = true, .form = A2A_CARD_0_3};
    struct asked asked = {0};

    call_card_start(&calls, STR("b"), on_card, &asked);
    CHECK_INT(asked.n, 0);
    on_fetched(fetch_arg, &known);
    CHECK_INT(asked.n, 1);
    CHECK(!asked.is_fault && asked.has_form);
    CHECK_INT(asked.form, A2A_CARD_0_3);
    CHECK_STR(str_of(asked.agent), STR("b"));
    CHECK_STR(str_of(asked.doc), STR("{}"));
    check_nothing_held();
}

TEST(card_that_cannot_be_had)
{
    struct agent_card none = {.status = 503};
    struct asked asked = {0};

    a2a_fault_set(&none.fault, A2A_ERROR_AGENT_FAILED, "HTTP 503");
    call_card_start(&calls, STR("a"), on_card, &asked);
    on_fetched(fetch_arg, &none);
    CHECK_INT(asked.n, 1);
    CHECK(asked.is_fault);
    CHECK_INT(asked.error, A2A_ERROR_AGENT_FAILED);
    CHECK_INT(asked.status, 503);
    CHECK_STR(str_of(asked.agent), STR("a"));
    check_nothing_held();
}

TEST(agent_that_is_not_there)
{
    char far_too_long[LIMIT_HTTP_TARGET];
    const struct str ids[] = {STR("c"), STR(""), str_make(far_too_long, sizeof far_too_long)};

    memset(far_too_long, 'x', sizeof far_too_long);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct asked asked = {0};

        call_card_start(&calls, ids[i], on_card, &asked);
        CHECK_INT(asked.n, 1);
        CHECK_INT(asked.error, A2A_ERROR_AGENT_NOT_FOUND);
        CHECK(strstr(asked.detail, "no agent has the id"));
    }
    check_nothing_held();
}

TEST(default_agent)
{
    struct agent_card known = {.doc = STR("{}")};
    struct asked asked = {0};

    call_card_start(&calls, STR_NONE, on_card, &asked);
    CHECK_INT(asked.n, 1);
    CHECK_INT(asked.error, A2A_ERROR_AGENT_NOT_FOUND);
    CHECK(strstr(asked.detail, "default_agent"));
    standard = &agents[1];
    call_card_start(&calls, STR_NONE, on_card, &asked);
    on_fetched(fetch_arg, &known);
    CHECK_INT(asked.n, 2);
    CHECK_STR(str_of(asked.agent), STR("b"));
    standard = NULL;
    check_nothing_held();
}

TEST(question_that_cannot_be_started)
{
    struct asked asked = {0};

    start_error = ERR_NOMEM;
    call_card_start(&calls, STR("a"), on_card, &asked);
    start_error = 0;
    CHECK_INT(asked.n, 1);
    CHECK_INT(asked.error, A2A_ERROR_INTERNAL);
    CHECK(strstr(asked.detail, "out of memory"));
    check_nothing_held();
}

TEST(walk_over_all)
{
    size_t at = 0;

    CHECK_STR(calls_next_agent(&calls, &at), STR("a"));
    CHECK_STR(calls_next_agent(&calls, &at), STR("b"));
    CHECK_STR(calls_next_agent(&calls, &at), STR_NONE);
}

TEST_MAIN
