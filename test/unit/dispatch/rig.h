/* SPDX-License-Identifier: MIT
 *
 * The stage for tests of dispatch: a loop with a stopped clock, egress, a registry, one scripted server,
 * and a caller who keeps what he is told.
 */
#ifndef TEST_DISPATCH_RIG_H
#define TEST_DISPATCH_RIG_H

#include "check.h"

#include "dispatch/dispatch_int.h"
#include "unit/egress/scripted_server.h"

static struct loop *loop;
static struct egress *egress;
static struct dispatch *dispatch;
static struct server server;
static char agent_url[64];

struct seen {
    unsigned n, in_flight; /* in_flight: of the agent, as seen by the callback */
    bool has_fault;
    struct a2a_fault fault;
    enum a2a_reply_kind kind;
    struct buf object;
    const char *watch; /* the agent whose places are looked at */
    struct ask *ask;
    enum a2a_version version; /* in which the agent was asked */
    bool has_added_context;
    char extensions[128]; /* "-": none */
};

/* card_timeout_ms 0: nothing is fetched. */
static inline void open_stage_with(uint64_t card_timeout_ms, uint64_t card_ttl_ms)
{
    clock_set(&stopped_clock);
    log_setup(LOG_ERROR, false);
    loop = loop_new();
    egress = egress_new(loop, &(struct egress_config){.pool_per_host = 8,
                                                      .idle_timeout_ms = 60000,
                                                      .reuse_within_ms = 4000});
    dispatch = dispatch_new(loop, egress,
                            &(struct dispatch_config){card_timeout_ms, card_ttl_ms, 60000});
    server_start(&server, loop);
    (void)snprintf(agent_url, sizeof agent_url, "http://127.0.0.1:%u/a2a", server.port);
}

static inline void open_stage(void)
{
    open_stage_with(0, 0);
}

static inline void close_stage(void)
{
    dispatch_check(dispatch);
    dispatch_free(dispatch);
    egress_free(egress);
    server_stop(&server);
    loop_run(loop);
    server_release(&server);
    loop_free(loop);
    clock_set(NULL);
    alarm(0);
}

static inline struct agent_spec spec(const char *id, unsigned max_in_flight,
                                     struct agent_spec *next)
{
    return (struct agent_spec){
        .next = next,
        .id = str_of(id),
        .url = str_of(agent_url),
        .max_in_flight = max_in_flight,
        .timeout_ms = 60000,
    };
}

static inline struct dispatch_change put(const char *source, const struct agent_spec *specs)
{
    struct dispatch_change change;

    dispatch_put(dispatch, source, specs, &change);
    dispatch_check(dispatch);
    return change;
}

static inline void put_one(const char *id, unsigned max_in_flight)
{
    struct agent_spec s = spec(id, max_in_flight, NULL);

    put("file", &s);
}

static inline struct agent *find(const char *id)
{
    return dispatch_find(dispatch, str_of(id));
}

static inline struct agent_view view(const char *id)
{
    struct agent_view v;

    agent_view(find(id), &v);
    return v;
}

static inline void on_reply(void *arg, const struct a2a_reply *reply,
                            const struct a2a_fault *fault)
{
    struct seen *s = arg;

    s->n++;
    if (s->ask) {
        s->version = ask_version(s->ask);
        s->has_added_context = ask_added_context(s->ask);
        (void)snprintf(s->extensions, sizeof s->extensions, "%.*s",
                       STR_ARG(ask_extensions(s->ask).p ? ask_extensions(s->ask) : STR("-")));
    }
    CHECK_INT(!reply, !!fault);
    s->has_fault = fault != NULL;
    if (fault)
        s->fault = *fault;
    if (reply) {
        s->kind = reply->kind;
        buf_add_str(&s->object, reply->object);
    }
    if (s->watch)
        s->in_flight = view(s->watch).in_flight;
    dispatch_check(dispatch);
}

#define PART "{\"kind\":\"text\",\"text\":\"hi\"}"
#define MESSAGE                                                                                \
    "{\"messageId\":\"m1\",\"role\":\"user\",\"kind\":\"message\",\"parts\":[" PART "]}"

/* A send as a caller makes it, in 0.3. `context` is borrowed until the callback. */
static inline int try_send_with(struct seen *s, struct agent *a,
                                const struct dispatch_context *context)
{
    static const char body[] =
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"message/send\",\"params\":{\"message\":" MESSAGE
        "}}";
    static struct a2a_request request; /* borrowed until the callback */
    struct a2a_fault fault;
    const char *why;

    memset(s, 0, sizeof *s);
    buf_init(&s->object, KB(64));
    CHECK_INT(a2a_request_read(str_of(body), STR_NONE, &request, &fault), 0);
    return dispatch_send(dispatch, a, &request, context, on_reply, s, &s->ask, &why);
}

static inline int try_send(struct seen *s, struct agent *a)
{
    static const struct dispatch_context context = {.add = {"ours", 4}};

    return try_send_with(s, a, &context);
}

static inline void send_to(struct seen *s, const char *id)
{
    CHECK_INT(try_send(s, find(id)), 0);
    CHECK_INT(s->n, 0);
    dispatch_check(dispatch);
}

static inline void wait_for(struct seen *s)
{
    while (s->n == 0)
        loop_turn(loop, true);
    CHECK_INT(s->n, 1);
}

static inline void settle(void)
{
    for (int i = 0; i < 5; i++)
        loop_turn(loop, false);
}

static inline void drop(struct seen *s)
{
    buf_release(&s->object);
}

/* An HTTP answer around a body, in one of a few places that live long enough. */
static inline const char *http(const char *status, const char *body)
{
    static char texts[16][4096];
    static unsigned at;
    char *text = texts[at++ % 16];

    (void)snprintf(text, sizeof texts[0], "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                   status, strlen(body), body);
    return text;
}

#define TASK                                                                                   \
    "{\"id\":\"t1\",\"contextId\":\"c1\",\"kind\":\"task\",\"status\":{\"state\":\"working\"}}"
#define RESULT(id) "{\"jsonrpc\":\"2.0\",\"id\":" #id ",\"result\":" TASK "}"
#define RPC_ERROR(id)                                                                          \
    "{\"jsonrpc\":\"2.0\",\"id\":" #id                                                         \
    ",\"error\":{\"code\":-32001,\"message\":\"Task not found\"}}"

#endif
