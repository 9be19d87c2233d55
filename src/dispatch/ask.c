/* SPDX-License-Identifier: MIT
 *
 * One JSON-RPC operation with an agent: a place, a request, an answer understood.
 *
 *     dispatch_send/get/cancel --gate full--> ERR_FULL, nothing was touched
 *          | place taken
 *          v
 *       launch() --first card under way, endpoint or version hang on it--> on_card()
 *          |                                                                 |
 *          v                                                                 v
 *        go() <--------------------------------------------------------------+
 *          | request written in the agent's version, sent
 *          v
 *      on_answer() --refused as not understood, once--> on_refreshed() --card says something new--> go()
 *          |                                                | nothing new: the first answer stands
 *          v                                                v
 *       finish(): place given back, the callback, once, freed
 *
 * The place is held from the beginning to the end, so that waiting for a card is bounded like everything
 * else, and moves to the agent's newer version if the card makes one.
 *
 * An ask cannot be called off: a caller who hangs up changes nothing, the answer is still awaited.
 */
#include "dispatch/dispatch_int.h"

#include "lib/clock.h"
#include "lib/crash.h"
#include "lib/mem.h"

#define ASK_MAGIC 0xa5c00003u
struct ask {
    unsigned magic;
    struct talk talk; /* a place is taken in its agent until the end */
    dispatch_fn fn;
    void *arg;
    struct card_wait wait; /* while a card is waited for */
    struct str extensions; /* inside the callback: the agent's; borrowed. Absent: none */
    struct blob *
        /* owned; the refusing answer while its card is refreshed. NULL: it was `refusal_fault` */
        refusal;
    struct a2a_fault refusal_fault;
};

static void on_answer(void *arg, const struct egress_answer *answer);
static void on_card(struct card_wait *w);

/* --- places ------------------------------------------------------------------------------------- */

static int take_place(struct agent *a)
{
    int err = gate_enter(a->gate);

    if (!err)
        a->in_flight++;
    return err;
}

static void give_place(struct agent *a)
{
    BUG_ON(a->in_flight == 0);
    a->in_flight--;
    gate_leave(a->gate);
}

/* Takes the reference to `newer`; the place goes over to it. */
static void move_to(struct ask *ask, struct agent *newer)
{
    BUG_ON(newer->gate != ask->talk.agent->gate || ask->talk.agent->in_flight == 0);
    ask->talk.agent->in_flight--;
    newer->in_flight++;
    agent_unref(ask->talk.agent);
    ask->talk.agent = newer;
}

/* --- birth and death ---------------------------------------------------------------------------- */

static int open_ask(struct dispatch *d, struct agent *a, enum a2a_method method, dispatch_fn fn,
                    void *arg, struct ask **out)
{
    int err = take_place(a);

    if (err)
        return err;
    *out = MEM_NEW(struct ask);
    (*out)->magic = ASK_MAGIC;
    talk_init(&(*out)->talk, d, a, method);
    (*out)->fn = fn;
    (*out)->arg = arg;
    return 0;
}

static void free_ask(struct ask *ask)
{
    blob_unref(ask->refusal);
    talk_release(&ask->talk);
    ask->magic = 0;
    mem_free(ask);
}

/* It could not be started: as if it had never been. */
static void drop(struct ask *ask)
{
    give_place(ask->talk.agent);
    free_ask(ask);
}

/* The one end of an ask that was started. */
static void finish(struct ask *ask, const struct a2a_reply *reply,
                   const struct a2a_fault *fault)
{
    struct gate *gate = ask->talk.agent->gate;

    give_place(ask->talk.agent);
    if (fault && a2a_error_row(fault->error)->blame == A2A_BLAME_AGENT) {
        gate->failures++;
        gate->last_failure_at_ms = (uint64_t)clock_wall_ms();
    }
    ask->fn(ask->arg, fault ? NULL : reply, fault);
    free_ask(ask);
}

enum a2a_version ask_version(const struct ask *ask)
{
    return ask->talk.agent->version;
}

bool ask_added_context(const struct ask *ask)
{
    return ask->talk.has_added_context;
}

struct str ask_extensions(const struct ask *ask)
{
    return ask->extensions;
}

/* --- asking ------------------------------------------------------------------------------------- */

static int go(struct ask *ask, const char **why)
{
    struct egress_call call = {.stream = NULL};
    struct egress_request *request;

    return talk_start(&ask->talk, &call, on_answer, ask, &request, why);
}

/* Starts at once, or when the first card has come. On failure the ask is gone. */
static int launch(struct ask *ask, struct ask **out, const char **why)
{
    struct agent *a = ask->talk.agent;
    int err = 0;

    if (talk_hangs_on_card(&ask->talk)) {
        if (!card_has_tried(a->card)) {
            ask->wait.fn = on_card;
            card_wait(a->card, &ask->wait);
            *out = ask;
            return 0;
        }
        card_touch(a->card);
    }
    err = go(ask, why);
    if (err)
        drop(ask);
    else
        *out = ask;
    return err;
}

static int send_as(struct dispatch *d, struct agent *a, const struct a2a_request *request,
                   enum a2a_saying saying, const struct dispatch_context *context,
                   dispatch_fn fn, void *arg, struct ask **out, const char **why)
{
    enum a2a_method method = saying == A2A_SAY_SEND_NO_WAIT ? A2A_SEND : request->method;
    struct ask *ask;
    int err = open_ask(d, a, method, fn, arg, &ask);

    if (err)
        return err;
    ask->talk.has_request = true;
    ask->talk.request = *request;
    ask->talk.saying = saying;
    if (context)
        ask->talk.context = *context;
    return launch(ask, out, why);
}

int dispatch_send(struct dispatch *d, struct agent *a, const struct a2a_request *request,
                  const struct dispatch_context *context, dispatch_fn fn, void *arg,
                  struct ask **out, const char **why)
{
    return send_as(d, a, request, A2A_SAY_AS_ASKED, context, fn, arg, out, why);
}

int dispatch_send_no_wait(struct dispatch *d, struct agent *a,
                          const struct a2a_request *request,
                          const struct dispatch_context *context, dispatch_fn fn, void *arg,
                          struct ask **out, const char **why)
{
    return send_as(d, a, request, A2A_SAY_SEND_NO_WAIT, context, fn, arg, out, why);
}

static int ask_task(struct dispatch *d, struct agent *a, enum a2a_method method,
                    struct str task_id, dispatch_fn fn, void *arg, struct ask **out)
{
    const char *why;
    struct ask *ask;
    int err = open_ask(d, a, method, fn, arg, &ask);

    if (err)
        return err;
    ask->talk.task_id = mem_str(task_id.p, task_id.n);
    return launch(ask, out, &why);
}

int dispatch_get(struct dispatch *d, struct agent *a, struct str task_id, dispatch_fn fn,
                 void *arg, struct ask **out)
{
    return ask_task(d, a, A2A_GET, task_id, fn, arg, out);
}

int dispatch_cancel(struct dispatch *d, struct agent *a, struct str task_id, dispatch_fn fn,
                    void *arg, struct ask **out)
{
    return ask_task(d, a, A2A_CANCEL, task_id, fn, arg, out);
}

/* --- with a card -------------------------------------------------------------------------------- */

/* Goes on with the agent as its card says now; what cannot be started any more ends here. */
static void go_on(struct ask *ask, struct agent *newer)
{
    struct a2a_fault fault = {0};
    const char *why = "";
    int err;

    move_to(ask, newer);
    err = go(ask, &why);
    if (!err)
        return;
    talk_unstarted(&ask->talk, err, why, &fault);
    finish(ask, NULL, &fault);
}

static void on_card(struct card_wait *w)
{
    struct ask *ask = CONTAINER_OF(w, struct ask, wait);
    struct a2a_fault fault = {0};

    BUG_ON(ask->magic != ASK_MAGIC);
    if (!card_is_canceled(ask->talk.agent->card)) {
        go_on(ask, agent_latest(ask->talk.agent));
        return;
    }
    a2a_fault_set(&fault, A2A_ERROR_SHUTTING_DOWN, "agent %s was not asked: the gateway stops",
                  ask->talk.agent->gate->id);
    finish(ask, NULL, &fault);
}

/* --- what was not understood -------------------------------------------------------------------- */

/* The card was fetched again. Without news the refusal stands. */
static void on_refreshed(struct card_wait *w)
{
    struct ask *ask = CONTAINER_OF(w, struct ask, wait);
    struct agent *newer;
    struct a2a_reply reply = {0};
    struct a2a_fault fault = {0};
    int err;

    BUG_ON(ask->magic != ASK_MAGIC);
    newer = agent_latest(ask->talk.agent);
    if (!card_is_canceled(ask->talk.agent->card) &&
        !agent_is_called_alike(newer, ask->talk.agent)) {
        go_on(ask, newer);
        return;
    }
    agent_unref(newer);
    card_taught_nothing(ask->talk.agent->card);
    if (!ask->refusal) {
        finish(ask, NULL, &ask->refusal_fault);
        return;
    }
    err = a2a_reply_read(blob_str(ask->refusal), ask->talk.agent->version, ask->talk.method,
                         ask->talk.id, &reply, &fault);
    BUG_ON(err); /* it was read before */
    finish(ask, &reply, NULL);
}

/* Another ask's refusal may have brought the news already. Returns whether the ask went on with it. */
static bool has_moved_on(struct ask *ask)
{
    struct agent *newer = agent_latest(ask->talk.agent);

    if (agent_is_called_alike(newer, ask->talk.agent)) {
        agent_unref(newer);
        return false;
    }
    ask->talk.has_refreshed = true;
    go_on(ask, newer);
    return true;
}

/* Whether the answer is not the last word: it is kept until the card was looked at, or the ask has gone
 * on. */
static bool put_off(struct ask *ask, const struct egress_answer *answer, int err,
                    const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    if (ask->talk.has_refreshed || !talk_hangs_on_card(&ask->talk) ||
        !talk_is_not_understood(answer, err, reply))
        return false;
    if (has_moved_on(ask))
        return true;
    if (!card_may_teach(ask->talk.agent->card))
        return false;
    if (err) {
        ask->refusal_fault = *fault;
    } else {
        ask->refusal = blob_new(answer->body);
        if (!ask->refusal)
            return false;
    }
    ask->talk.has_refreshed = true;
    ask->wait.fn = on_refreshed;
    card_wait(ask->talk.agent->card, &ask->wait);
    return true;
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct ask *ask = arg;
    struct a2a_reply reply = {0};
    struct a2a_fault fault = {0};
    struct buf extensions;
    int err;

    BUG_ON(ask->magic != ASK_MAGIC);
    err = talk_understand(&ask->talk, answer, &reply, &fault);
    if (put_off(ask, answer, err, &reply, &fault))
        return;
    if (err) {
        finish(ask, NULL, &fault);
        return;
    }
    CRASH_POINT(reply_received);
    buf_init(&extensions, TALK_EXTENSIONS_MAX);
    ask->extensions = talk_extensions(&extensions, answer->head);
    finish(ask, &reply, NULL);
    buf_release(&extensions);
}
