/* SPDX-License-Identifier: MIT
 *
 * Reading a task. Terminal: the store. Active: the store while the agent's last word is young, else the agent is
 * asked once (many callers, one question), its answer folded, committed and told. An agent that cannot be reached
 * leaves us with what is stored. A task unknown here is asked for once at its agent, and kept if it is there.
 */
#include "call/call_int.h"
#include "lib/log.h"

static void on_loaded(void *arg, int err, struct task *task)
{
    struct call *c = arg;

    if (err == 0 || err == ERR_ABSENT) {
        call_set_task(c, err ? NULL : task);
        c->step = CALL_GET_JUDGE;
    } else if (err == ERR_CANCELED) {
        call_fail(c, A2A_ERROR_SHUTTING_DOWN, "the gateway stopped before the task was read");
    } else {
        call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
    }
    call_step(c);
}

enum call_flow get_load(struct call *c)
{
    int err;

    if (!c->task_id.p)
        return call_fail(c, A2A_ERROR_TASK_NOT_FOUND, "params.id cannot be a task's id");
    err = store_task_get(c->calls->store, c->agent_id, c->task_id, on_loaded, c);
    if (err)
        return call_fail(c, A2A_ERROR_STORE_UNAVAILABLE, "%s", store_why(c->calls->store));
    return CALL_WAIT;
}

enum call_flow get_judge(struct call *c)
{
    struct agent *agent = dispatch_find(c->calls->dispatch, c->agent_id);
    enum a2a_version spoken;

    if (c->task)
        spoken = c->task->dialect;
    else if (agent)
        spoken = agent_version(agent);
    else
        return call_fail(c, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"",
                         STR_ARG(c->agent_id));
    if (spoken != c->request.version)
        return call_fail(
            c, A2A_ERROR_VERSION,
            "agent %.*s speaks A2A %s and translation between versions is not built yet; "
            "call it with %s",
            STR_ARG(c->agent_id), a2a_version_text(spoken), a2a_method_name(A2A_GET, spoken));
    /* A removed agent's tasks stay readable, as they are; so does what is known while the database is gone: the
     * agent's newer word could not be committed, and only then told. */
    if (c->task && (!agent || call_is_fresh(c->calls, c->task) ||
                    store_state(c->calls->store) != STORE_UP))
        return call_succeed(c);
    c->agent = agent_ref(agent);
    c->step = CALL_GET_ASK;
    return CALL_GO;
}

static void on_reply(void *arg, const struct a2a_reply *reply, const struct a2a_fault *fault)
{
    struct call *c = arg;

    c->ask = NULL;
    c->reply = reply;
    c->step = CALL_GET_HEARD;
    if (fault) {
        c->fault = *fault;
        c->has_fault = true;
    }
    call_step(c);
}

/* "agent NUL task id" names a refresh: a NUL occurs in neither. */
static struct str refresh_key(struct call *c)
{
    size_t n = c->agent_id.n + 1 + c->task_id.n;
    char *p = arena_take(&c->arena, n);

    if (!p)
        return STR_NONE;
    memcpy(p, c->agent_id.p, c->agent_id.n);
    p[c->agent_id.n] = '\0';
    memcpy(p + c->agent_id.n + 1, c->task_id.p, c->task_id.n);
    return str_make(p, n);
}

/* The agent could not be asked, or had nothing to say: what is stored, if anything, else the fault. */
static enum call_flow settle_for_stored(struct call *c)
{
    if (!c->task)
        return call_fail_with(c, &c->fault);
    log_event(LOG_DEBUG, "answered a stored task because its agent could not be asked",
              LOG_STR("agent", c->agent_id), LOG_STR("task", c->task_id),
              LOG_Z("cause", c->fault.detail));
    return call_succeed(c);
}

enum call_flow get_ask(struct call *c)
{
    struct str key = refresh_key(c);
    struct call *leader;
    int err;

    if (!key.p)
        return call_fail(c, A2A_ERROR_OVERLOADED, "no memory");
    leader = map_get(&c->calls->refreshes, key);
    if (leader) {
        list_append(&leader->followers, &c->follow_link);
        return CALL_WAIT;
    }
    err = dispatch_get(c->calls->dispatch, c->agent, c->task_id, on_reply, c, &c->ask);
    if (err) {
        a2a_fault_set(&c->fault,
                      err == ERR_FULL ? A2A_ERROR_AGENT_OVERLOADED : A2A_ERROR_INTERNAL,
                      "agent %.*s could not be asked for the task: %s", STR_ARG(c->agent_id),
                      err_text(err));
        return settle_for_stored(c);
    }
    c->refresh_key = key;
    map_put(&c->calls->refreshes, key, c);
    return CALL_WAIT;
}

static enum call_flow heard_error(struct call *c)
{
    const struct a2a_error_row *unknown = a2a_error_row(A2A_ERROR_TASK_NOT_FOUND);

    if (c->reply->error_code == unknown->code && !c->task) {
        a2a_fault_set(&c->fault, A2A_ERROR_TASK_NOT_FOUND,
                      "neither the gateway nor agent %.*s knows it", STR_ARG(c->agent_id));
        return call_fail_with(c, &c->fault);
    }
    a2a_fault_set(&c->fault, A2A_ERROR_INTERNAL, "the agent answered with error %lld",
                  (long long)c->reply->error_code);
    c->fault.agent_error = c->reply->object;
    return settle_for_stored(c);
}

enum call_flow get_heard(struct call *c)
{
    if (c->has_fault)
        return settle_for_stored(c);
    if (c->reply->kind == A2A_REPLY_ERROR)
        return heard_error(c);
    if (!str_is(call_decode_id(&c->arena, c->reply->task_id), c->task_id)) {
        a2a_fault_set(&c->fault, A2A_ERROR_INVALID_AGENT_RESPONSE,
                      "agent %.*s answered with another task than the one asked for",
                      STR_ARG(c->agent_id));
        return settle_for_stored(c);
    }
    c->step = CALL_APPEND;
    return CALL_GO;
}
