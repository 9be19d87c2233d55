/* SPDX-License-Identifier: MIT
 *
 * Calls on the stage (stage.h), and a caller who notes what he is told. For the tests of whole calls.
 */
#ifndef TEST_UNIT_CALL_CALLER_H
#define TEST_UNIT_CALL_CALLER_H

#include "call/call.h"
#include "unit/call/stage.h"

/* --- the stage ------------------------------------------------------------------------------------ */

static struct calls *calls;
static struct calls_config calls_config;

static inline void remake_calls(void)
{
    calls_free(calls);
    calls = calls_new(loop, store, dispatch, follow, feeds, &calls_config);
}

/* An unfinished task counts as fresh for `fresh_ms`; 0: never. */
static inline void open_calls(uint64_t fresh_ms)
{
    open_stage();
    calls_config = (struct calls_config){
        .fresh_ms = fresh_ms, .store_wait_ms = 60000, .send_wait_ms = 600000};
    calls = calls_new(loop, store, dispatch, follow, feeds, &calls_config);
}

static inline void close_calls(void)
{
    CHECK_INT(calls_running(calls), 0);
    calls_free(calls);
    close_follow();
    calls = NULL;
    close_stage();
}

/* --- a caller ------------------------------------------------------------------------------------- */

struct caller {
    unsigned n; /* answers */
    bool is_ok;
    enum a2a_error error;
    char detail[256];
    char agent_error[256];
    char *object; /* owned */
    enum a2a_version version;
    char context[64];
    enum a2a_reply_kind kind;
    size_t n_rows;
    uint64_t total;
    char rows[256]; /* "agent/id state document, ..." */
    struct call *call;
    enum call_progress progress;
};

static inline void note_success(struct caller *c, const struct call_answer *answer)
{
    size_t at = 0;

    c->object = answer->result.object.p
                    ? mem_str(answer->result.object.p, answer->result.object.n)
                    : mem_str("", 0);
    c->version = answer->result.version;
    c->kind = answer->result.kind;
    snprintf(c->context, sizeof c->context, "%.*s", STR_ARG(answer->result.context));
    c->n_rows = answer->n_rows;
    c->total = answer->total;
    for (size_t i = 0; i < answer->n_rows && at < sizeof c->rows; i++)
        at += (size_t)snprintf(c->rows + at, sizeof c->rows - at, "%s%.*s/%.*s%s", i ? " " : "",
                               STR_ARG(answer->rows[i].agent), STR_ARG(answer->rows[i].id),
                               answer->rows[i].doc.p ? "+" : "");
}

static inline void on_answer(void *arg, const struct call_answer *answer)
{
    struct caller *c = arg;

    c->n++;
    c->is_ok = !answer->fault;
    mem_free(c->object);
    c->object = NULL;
    if (!answer->fault) {
        note_success(c, answer);
        return;
    }
    c->error = answer->fault->error;
    c->version = answer->fault->agent_version;
    snprintf(c->detail, sizeof c->detail, "%s", answer->fault->detail);
    snprintf(c->agent_error, sizeof c->agent_error, "%.*s",
             STR_ARG(answer->fault->agent_error));
}

static inline void caller_release(struct caller *c)
{
    mem_free(c->object);
    *c = (struct caller){0};
}

static bool want_summaries __attribute__((unused)); /* of lists */

static inline void ask(struct caller *c, const char *agent, const char *body)
{
    struct a2a_request request;
    struct a2a_fault fault = {0};
    struct call_request start = {.agent = str_of(agent),
                                 .request_id = STR("r"),
                                 .a2a = &request,
                                 .want_summaries = want_summaries};
    /* gone when call_start() has returned, as an exchange's body is */
    char *copy = mem_str(body, strlen(body));

    *c = (struct caller){0};
    CHECK_INT(a2a_request_read(str_of(copy), STR_NONE, &request, &fault), 0);
    c->progress = call_start(calls, &start, on_answer, c, &c->call);
    CHECK_INT(c->n, c->progress == CALL_ANSWERED);
    mem_free(copy);
}

/* `more` within the message, `beside` within the params. */
static inline void send_with(struct caller *c, const char *more, const char *beside)
{
    char body[1024];

    snprintf(
        body, sizeof body,
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":"
        "{\"kind\":\"message\",\"messageId\":\"m\",\"role\":\"user\",\"parts\":"
        "[{\"kind\":\"text\",\"text\":\"hi\"}]%s}%s}}",
        more, beside);
    ask(c, "a", body);
}

static inline void send_task(struct caller *c, const char *more)
{
    send_with(c, more, "");
}

static inline void get_as(struct caller *c, const char *method, const char *agent,
                          const char *raw_id)
{
    char body[2048];

    snprintf(body, sizeof body,
             "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":{\"id\":\"%s\"}}",
             method, raw_id);
    ask(c, agent, body);
}

static inline void get(struct caller *c, const char *raw_id)
{
    get_as(c, "tasks/get", "a", raw_id);
}

static inline void check_object(const struct caller *c, const char *want)
{
    CHECK_INT(c->n, 1);
    CHECK(c->is_ok);
    CHECK_STR(str_of(c->object), str_of(want));
}

static inline void check_fault(const struct caller *c, enum a2a_error error)
{
    CHECK_INT(c->n, 1);
    CHECK(!c->is_ok);
    CHECK_INT(c->error, error);
}

/* Sends one message; the agent makes task `id` of it, in that state. */
static inline void make_task(const char *id, const char *state)
{
    struct caller c;

    script_task(SERVER_ANSWER, id, state, "");
    send_task(&c, "");
    TURN_UNTIL(c.n);
    check_object(&c, task_text(id, state, ""));
    caller_release(&c);
}

#define STAGE(fresh_ms) open_calls(fresh_ms)

#endif
