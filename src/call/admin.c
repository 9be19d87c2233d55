/* SPDX-License-Identifier: MIT
 *
 * Agents as callers see and change them: the methods agents.* of the gateway's own surface.
 *
 *     list, get, health    looked up in the registry, answered at once
 *     upsert               read -> what was secret is kept, if it stays with its host -> store -> committed
 *                          -> registry -> answer
 *     delete               store -> committed -> registry -> answer
 *     refresh, check       the agent is called -> answer
 *
 * These are no struct call: nothing is asked twice, followed or handed to who comes later. One in flight is held by
 * whom it waits for (store, dispatch), who answers all before he is closed; its caller may have gone, which the
 * binding knows.
 *
 * What came in as a secret does not come out: a map says hasBearer, never the bearer, a header or what is in a key
 * file. A secret belongs to the hosts it was given for. An upsert that names no bearer keeps the stored one only
 * while every address it would be sent to has the scheme, host and port it had.
 *
 * Only agents of source "api" are changed here. Those of the file and the environment have an owner who would put
 * them back.
 */
#include <stdarg.h>
#include <stdio.h>

#include "call/call_int.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

/* A record with a card written into it, and what reading makes of it. */
#define RECORD_MAX (LIMIT_CARD + LIMIT_AGENTS_FILE)
#define RESULT_MAX (LIMIT_AGENTS * KB(8))

struct admin {
    struct calls *calls;    /* borrowed as long as the gateway lives */
    struct agent *agent;    /* counted; NULL: none is registered */
    struct agent_spec spec; /* upsert, check of a record; in the arena and in `agent` */
    struct str id;          /* arena */
    call_admin_fn fn;
    void *arg;
    struct arena arena;
};

/* --- what is shown --- */

static void write_string(struct buf *out, const char *key, struct str value)
{
    buf_printf(out, ",\"%s\":", key);
    json_write_string(out, value.p ? value : STR(""));
}

static void write_map(struct buf *out, const struct agent *agent)
{
    struct agent_view v;

    agent_view(agent, &v);
    BUF_LIT(out, "{\"id\":");
    json_write_string(out, v.id);
    write_string(out, "url", v.url);
    BUF_LIT(out, ",\"protocol\":\"a2a\"");
    write_string(out, "protocolVersion", str_of(a2a_version_text(v.version)));
    write_string(out, "protocolVersionFrom", str_of(v.version_from));
    write_string(out, "source", str_of(v.source));
    write_string(out, "endpoint", v.endpoint);
    buf_printf(out, ",\"hasBearer\":%s,\"maxInFlight\":%u,\"timeoutMs\":%llu",
               v.has_bearer ? "true" : "false", v.max_in_flight,
               (unsigned long long)v.spec->timeout_ms);
    if (v.card_name.p) {
        BUF_LIT(out, ",\"card\":{\"name\":");
        json_write_string(out, v.card_name);
        write_string(out, "version", v.card_version);
        buf_add_char(out, '}');
    }
    if (v.card_why && v.card_why[0])
        write_string(out, "cardProblem", str_of(v.card_why));
    BUF_LIT(out, ",\"metadata\":{}}");
}

/* LATER: the state of the breaker, when there is one; until then it never opens. */
static void write_health(struct buf *out, const struct calls *c, const struct agent *agent)
{
    struct agent_view v;
    char when[CLOCK_TEXT + 1];

    agent_view(agent, &v);
    BUF_LIT(out, "{\"agent_id\":");
    json_write_string(out, v.id);
    buf_printf(out, ",\"breaker_state\":\"closed\",\"in_flight\":%u,\"failure_count\":%llu",
               v.in_flight, (unsigned long long)v.failures);
    if (v.last_failure_at_ms) {
        clock_format((int64_t)v.last_failure_at_ms * 1000, when);
        write_string(out, "last_failure_at", str_of(when));
    } else {
        BUF_LIT(out, ",\"last_failure_at\":null");
    }
    write_string(out, "node", str_of(store_boot(c->store)));
    buf_add_char(out, '}');
}

static void write_one(struct buf *out, const struct calls *c, enum call_admin_op op,
                      const struct agent *agent)
{
    if (op == CALL_AGENTS_HEALTH)
        write_health(out, c, agent);
    else
        write_map(out, agent);
}

static void write_all(struct buf *out, struct calls *c, enum call_admin_op op)
{
    struct agent *agent;
    size_t at = 0;

    buf_add_char(out, '[');
    while ((agent = dispatch_next(c->dispatch, &at))) {
        if (out->n > 1)
            buf_add_char(out, ',');
        write_one(out, c, op, agent);
    }
    buf_add_char(out, ']');
}

static void write_check(struct buf *out, const struct agent_check *check)
{
    static const char *const grades[] = {
        [FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_ERROR] = "error"};

    buf_printf(out, "{\"usable\":%s,\"protocolVersion\":\"%s\"",
               check->is_usable ? "true" : "false", a2a_version_text(check->version));
    if (check->card.p)
        write_string(out, "card", check->card);
    if (check->endpoint.p)
        write_string(out, "endpoint", check->endpoint);
    BUF_LIT(out, ",\"findings\":[");
    for (size_t i = 0; i < check->n; i++) {
        buf_printf(out, "%s{\"grade\":\"%s\"", i ? "," : "", grades[check->findings[i].grade]);
        write_string(out, "what", str_of(check->findings[i].what));
        buf_add_char(out, '}');
    }
    BUF_LIT(out, "]}");
}

/* --- answering --- */

static void tell_fault(call_admin_fn fn, void *arg, enum a2a_error error, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static void tell_fault(call_admin_fn fn, void *arg, enum a2a_error error, const char *fmt, ...)
{
    struct a2a_fault fault;
    char detail[2 * sizeof fault.detail];
    va_list args;

    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    a2a_fault_set(&fault, error, "%s", detail);
    fn(arg, &fault, STR_NONE);
}

static void tell_result(call_admin_fn fn, void *arg, const struct buf *out)
{
    if (buf_error(out))
        tell_fault(fn, arg, A2A_ERROR_OVERLOADED, "no memory for an answer of this size");
    else
        fn(arg, NULL, buf_str(out));
}

/* The first SuperX had a number of its own here (-32010), beside the one for sends to an unknown agent (-32001). Both are
 * one error now, and superxCode says the second. */
static void tell_unknown(call_admin_fn fn, void *arg, struct str id)
{
    tell_fault(fn, arg, A2A_ERROR_AGENT_NOT_FOUND, "no agent has the id \"%.*s\"",
               id.n > LIMIT_AGENT_ID ? (int)LIMIT_AGENT_ID : (int)id.n, id.p ? id.p : "");
}

/* An operation that never began or could not be finished at the store. */
static void tell_store(call_admin_fn fn, void *arg, int err, const char *why)
{
    if (err == ERR_CANCELED)
        tell_fault(fn, arg, A2A_ERROR_SHUTTING_DOWN, "send it again to the next instance");
    else
        tell_fault(fn, arg, A2A_ERROR_STORE_UNAVAILABLE, "%s",
                   why && *why ? why : err_text(err));
}

static void free_admin(struct admin *a)
{
    agent_unref(a->agent);
    arena_release(&a->arena);
    mem_free(a);
}

static struct agent *find_agent(const struct calls *c, struct str id)
{
    return agent_id_is_valid(id) ? dispatch_find(c->dispatch, id) : NULL;
}

/* --- list, get, health --- */

static void look(struct calls *c, const struct call_admin_request *request, call_admin_fn fn,
                 void *arg)
{
    struct agent *agent = request->id.p ? find_agent(c, request->id) : NULL;
    bool all = request->op == CALL_AGENTS_LIST || !request->id.p;
    struct buf out;

    if (!all && !agent) {
        tell_unknown(fn, arg, request->id);
        return;
    }
    buf_init(&out, RESULT_MAX);
    if (all)
        write_all(&out, c, request->op);
    else
        write_one(&out, c, request->op, agent);
    tell_result(fn, arg, &out);
    buf_release(&out);
}

/* --- secrets stay with their hosts --- */

static struct str or_url(struct str given, const struct agent_spec *spec)
{
    return given.p ? given : spec->url;
}

/* Everywhere the credentials would be sent to they have been sent before. */
static bool stays_with_hosts(const struct agent_spec *old, const struct agent_spec *new)
{
    return route_is_same_host(old->url, new->url) &&
           route_is_same_host(or_url(old->endpoint, old), or_url(new->endpoint, new)) &&
           route_is_same_host(or_url(old->card_url, old), or_url(new->card_url, new)) &&
           (old->follow_card_host || !new->follow_card_host);
}

static bool is_given(struct str record, const char *name)
{
    struct str value = json_get(record, name);

    return value.p && json_type(value) != JSON_NULL;
}

/* What the record does not mention is taken over from the agent as it is. The texts lie in a->agent, which is held. */
static void keep_secrets(struct admin *a, struct str record)
{
    struct agent_view old;

    agent_view(a->agent, &old);
    if (strcmp(old.source, "api") != 0 || !stays_with_hosts(old.spec, &a->spec))
        return;
    if (!is_given(record, "bearer"))
        a->spec.bearer = old.spec->bearer;
    if (!is_given(record, "headers")) {
        memcpy(a->spec.headers, old.spec->headers, sizeof a->spec.headers);
        a->spec.n_headers = old.spec->n_headers;
    }
}

/* --- beginning what takes time --- */

/* Where an agent of another source is changed; NULL: here. */
static const char *owner_of(const struct agent *agent)
{
    struct agent_view v;

    agent_view(agent, &v);
    if (strcmp(v.source, "api") == 0)
        return NULL;
    if (strcmp(v.source, "file") == 0)
        return "is in the agents file; change it there";
    if (strcmp(v.source, "env") == 0)
        return "comes from A2A_REMOTE_URL; change it there";
    return "belongs to the gateway and cannot be changed";
}

static struct admin *new_admin(struct calls *c, struct agent *agent, call_admin_fn fn,
                               void *arg)
{
    struct admin *a = MEM_NEW(struct admin);

    a->calls = c;
    a->agent = agent ? agent_ref(agent) : NULL;
    a->fn = fn;
    a->arg = arg;
    arena_init(&a->arena, 4 * RECORD_MAX);
    return a;
}

/* Reads the record; false after telling what is wrong with it. */
static bool read_record(struct admin *a, struct str record)
{
    struct str copy;
    char why[200] = "";
    int err;

    if (record.n > RECORD_MAX) {
        tell_fault(a->fn, a->arg, A2A_ERROR_INVALID_PARAMS,
                   "the agent's record is larger than %zu bytes", RECORD_MAX);
        return false;
    }
    copy = arena_str(&a->arena, record);
    err = copy.p ? agent_spec_read(copy, &a->calls->config.agent_defaults, &a->arena, &a->spec,
                                   why)
                 : ERR_NOMEM;
    if (err) {
        tell_fault(a->fn, a->arg,
                   err == ERR_NOMEM ? A2A_ERROR_OVERLOADED : A2A_ERROR_INVALID_PARAMS, "%s",
                   *why ? why : err_text(err));
        return false;
    }
    a->id = a->spec.id;
    a->agent = find_agent(a->calls, a->id);
    if (a->agent) {
        agent_ref(a->agent);
        keep_secrets(a, copy);
    }
    return true;
}

/* --- upsert --- */

static void on_saved(void *arg, int err, const char *why)
{
    struct admin *a = arg;
    struct str url = a->spec.url; /* in the log without its query, which may hold a key */
    struct agent *agent;
    struct buf out;

    if (err) {
        tell_store(a->fn, a->arg, err, why);
        free_admin(a);
        return;
    }
    err = dispatch_upsert(a->calls->dispatch, &a->spec, &why);
    agent = find_agent(a->calls, a->id);
    if (err || !agent) {
        tell_fault(a->fn, a->arg, A2A_ERROR_INVALID_PARAMS, "agent %.*s: %s", STR_ARG(a->id),
                   err && why ? why : "it was removed meanwhile");
        free_admin(a);
        return;
    }
    log_event(LOG_INFO, a->agent ? "agent changed" : "agent registered",
              LOG_STR("agent", a->id), LOG_STR("url", str_cut(&url, '?')));
    buf_init(&out, RESULT_MAX);
    write_map(&out, agent);
    tell_result(a->fn, a->arg, &out);
    buf_release(&out);
    free_admin(a);
}

static int save(struct admin *a)
{
    struct store_agent agent = {
        .id = a->spec.id,
        .url = a->spec.url,
        .version = a->spec.has_version ? str_of(a2a_version_text(a->spec.version)) : STR_NONE,
        .source = STR("api")};
    struct buf text;
    int err;

    buf_init(&text, 4 * RECORD_MAX);
    agent_spec_write(&text, &a->spec);
    err = buf_error(&text);
    if (!err)
        err = store_agent_save(a->calls->store, &agent, buf_str(&text), on_saved, a);
    buf_release(&text);
    return err;
}

static void upsert(struct admin *a, struct str record)
{
    const char *owner, *why = NULL;
    int err;

    if (!read_record(a, record)) {
        free_admin(a);
        return;
    }
    owner = a->agent ? owner_of(a->agent) : NULL;
    if (owner) {
        tell_fault(a->fn, a->arg, A2A_ERROR_INVALID_PARAMS, "agent %.*s %s", STR_ARG(a->id),
                   owner);
    } else if (!a->agent && dispatch_count(a->calls->dispatch) >= LIMIT_AGENTS) {
        tell_fault(a->fn, a->arg, A2A_ERROR_OVERLOADED, "there are %u agents; no more fit",
                   LIMIT_AGENTS);
    } else if (dispatch_may_upsert(a->calls->dispatch, &a->spec, &why)) {
        /* Before it is stored: what was answered with an error has changed nothing. */
        tell_fault(a->fn, a->arg, A2A_ERROR_INVALID_PARAMS, "agent %.*s: %s", STR_ARG(a->id),
                   why);
    } else {
        err = save(a);
        if (!err)
            return;
        tell_store(a->fn, a->arg, err, store_why(a->calls->store));
    }
    free_admin(a);
}

/* --- delete --- */

static void on_deleted(void *arg, int err, const char *why)
{
    struct admin *a = arg;

    if (err == ERR_ABSENT && !a->agent) {
        tell_unknown(a->fn, a->arg, a->id);
    } else if (!err || err == ERR_ABSENT) {
        /* Not stored, but in the registry, or the other way round: another node was faster, or this one could not
         * take what another had stored. */
        err = dispatch_remove(a->calls->dispatch, a->id);
        log_event(LOG_INFO, "agent removed", LOG_STR("agent", a->id),
                  LOG_Z("cause", err ? err_text(err) : NULL));
        a->fn(a->arg, NULL, STR("true"));
    } else {
        tell_store(a->fn, a->arg, err, why);
    }
    free_admin(a);
}

/* Also an agent that is stored but not in the registry, because this node cannot take it. */
static void remove_agent(struct admin *a, struct str id)
{
    const char *owner = a->agent ? owner_of(a->agent) : NULL;
    int err = 0;

    a->id = arena_str(&a->arena, id);
    if (!a->id.p) {
        tell_unknown(a->fn, a->arg, id);
        free_admin(a);
        return;
    }
    if (owner)
        tell_fault(a->fn, a->arg, A2A_ERROR_INVALID_PARAMS, "agent %.*s %s", STR_ARG(a->id),
                   owner);
    else
        err = store_agent_delete(a->calls->store, a->id, on_deleted, a);
    if (err)
        tell_store(a->fn, a->arg, err, store_why(a->calls->store));
    if (owner || err)
        free_admin(a);
}

/* --- refresh, check --- */

static void on_card(void *arg, const struct agent_card *card)
{
    struct admin *a = arg;
    struct agent *agent = find_agent(a->calls, agent_id(a->agent));
    struct buf out;

    if (!card->doc.p) {
        a->fn(a->arg, &card->fault, STR_NONE);
    } else {
        buf_init(&out, LIMIT_CARD + KB(64));
        BUF_LIT(&out, "{\"agent\":");
        write_map(&out, agent ? agent : a->agent);
        BUF_LIT(&out, ",\"card\":");
        json_minify(&out, card->doc);
        buf_add_char(&out, '}');
        tell_result(a->fn, a->arg, &out);
        buf_release(&out);
    }
    free_admin(a);
}

static void on_checked(void *arg, const struct agent_check *check)
{
    struct admin *a = arg;
    struct buf out;

    buf_init(&out, MB(1));
    write_check(&out, check);
    tell_result(a->fn, a->arg, &out);
    buf_release(&out);
    free_admin(a);
}

/* Ends what could not be begun at the agent. */
static void finish_call_out(struct admin *a, int err)
{
    if (!err)
        return;
    if (err == ERR_CANCELED)
        tell_store(a->fn, a->arg, err, NULL);
    else
        tell_fault(a->fn, a->arg,
                   err == ERR_FULL ? A2A_ERROR_AGENT_OVERLOADED : A2A_ERROR_INTERNAL,
                   "the agent could not be called: %s", err_text(err));
    free_admin(a);
}

static void refresh(struct admin *a)
{
    finish_call_out(a, dispatch_card(a->calls->dispatch, a->agent, true, on_card, a));
}

static void check(struct admin *a, struct str record)
{
    struct agent_view v;

    if (record.p && !read_record(a, record)) {
        free_admin(a);
        return;
    }
    if (!record.p) {
        agent_view(a->agent, &v);
        a->spec = *v.spec;
        a->spec.next = NULL;
    }
    finish_call_out(a, dispatch_check_agent(a->calls->dispatch, &a->spec, on_checked, a));
}

/* --- the door --- */

void call_admin_start(struct calls *c, const struct call_admin_request *request,
                      call_admin_fn fn, void *arg)
{
    bool has_record = request->op == CALL_AGENTS_UPSERT ||
                      (request->op == CALL_AGENTS_CHECK && request->agent.p);
    struct agent *agent;

    if (request->op == CALL_AGENTS_LIST || request->op == CALL_AGENTS_GET ||
        request->op == CALL_AGENTS_HEALTH) {
        look(c, request, fn, arg);
        return;
    }
    agent = has_record || !request->id.p ? NULL : find_agent(c, request->id);
    if (c->on_idle) {
        tell_store(fn, arg, ERR_CANCELED, NULL);
        return;
    }
    if (!has_record && !agent &&
        !(request->op == CALL_AGENTS_DELETE && agent_id_is_valid(request->id))) {
        tell_unknown(fn, arg, request->id);
        return;
    }
    if (request->op == CALL_AGENTS_UPSERT)
        upsert(new_admin(c, NULL, fn, arg), request->agent);
    else if (request->op == CALL_AGENTS_DELETE)
        remove_agent(new_admin(c, agent, fn, arg), request->id);
    else if (request->op == CALL_AGENTS_REFRESH)
        refresh(new_admin(c, agent, fn, arg));
    else
        check(new_admin(c, agent, fn, arg), request->agent);
}
