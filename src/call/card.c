/* SPDX-License-Identifier: MIT
 *
 * The card of an agent, for whoever shows it. There is nothing to admit, commit or follow, so it is no struct call: it
 * is a question passed on to dispatch, which knows the card or fetches it.
 */
#include "call/call_int.h"
#include "lib/mem.h"

struct card_wait {
    struct agent *agent; /* counted: its id is told with the card */
    call_card_fn fn;
    void *arg;
};

static void on_card(void *arg, const struct agent_card *card)
{
    struct card_wait *wait = arg;
    struct call_card answer = {.agent = agent_id(wait->agent),
                               .doc = card->doc,
                               .has_form = card->has_form,
                               .form = card->form};

    if (!card->doc.p) {
        answer.fault = &card->fault;
        answer.status = card->status;
    }
    wait->fn(wait->arg, &answer);
    agent_unref(wait->agent);
    mem_free(wait);
}

static void refuse(const struct a2a_fault *fault, struct str id, call_card_fn fn, void *arg)
{
    struct call_card answer = {.fault = fault, .agent = id};

    fn(arg, &answer);
}

static struct agent *find_agent(struct calls *c, struct str id, struct a2a_fault *fault)
{
    struct agent *agent;

    if (!id.p) {
        agent = dispatch_default(c->dispatch);
        if (!agent)
            a2a_fault_set(
                fault, A2A_ERROR_AGENT_NOT_FOUND,
                "no agent is the default one: set default_agent in the agents file, or "
                "ask for the card of one agent");
        return agent;
    }
    agent = agent_id_is_valid(id) ? dispatch_find(c->dispatch, id) : NULL;
    if (!agent)
        a2a_fault_set(fault, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"",
                      id.n > LIMIT_AGENT_ID ? (int)LIMIT_AGENT_ID : (int)id.n, id.p);
    return agent;
}

void call_card_start(struct calls *c, struct str id, call_card_fn fn, void *arg)
{
    struct a2a_fault fault;
    struct agent *agent = find_agent(c, id, &fault);
    struct card_wait *wait;
    int err;

    if (!agent) {
        refuse(&fault, id, fn, arg);
        return;
    }
    wait = MEM_NEW(struct card_wait);
    *wait = (struct card_wait){agent_ref(agent), fn, arg};
    err = dispatch_card(c->dispatch, agent, false, on_card, wait);
    if (!err)
        return;
    a2a_fault_set(&fault, A2A_ERROR_INTERNAL, "the card could not be asked for: %s",
                  err_text(err));
    refuse(&fault, agent_id(agent), fn, arg);
    agent_unref(agent);
    mem_free(wait);
}

struct str calls_next_agent(struct calls *c, size_t *at)
{
    struct agent *agent = dispatch_next(c->dispatch, at);

    return agent ? agent_id(agent) : STR_NONE;
}
