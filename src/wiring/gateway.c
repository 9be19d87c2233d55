/* SPDX-License-Identifier: MIT
 *
 * A gateway's life: build the stations from the ground up, run, and take them down in the other order.
 *
 *   start   loop, egress, dispatch, store (opens in its own time), follow, feeds, webhooks, calls, binding, server, agents, demo
 *   ready   the store is up: until then sends are refused and /health/ready says why
 *   stop    SIGTERM: the listener closes, calls in flight finish (SHUTDOWN_MS), also those whose callers have hung
 *           up, the store commits what is queued, exit 0. A second SIGTERM or SIGINT stops waiting.
 */
#include "wiring/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/mem.h"

#define LAG_REPORT_MS 60000
#define STORE_WAIT_MS 5000
#define N_SIGNALS (sizeof((struct gateway *)NULL)->signals / sizeof(uv_signal_t))

/* --- stopping --- */

static void on_store_closed(void *arg)
{
    struct gateway *g = arg;

    g->store_closed = true;
    loop_stop(g->loop);
}

/* Both have finished, or their time is up. */
static void close_store(struct gateway *g)
{
    if (!g->server_drained || !g->calls_drained || !g->webhooks_drained || !g->store ||
        g->store_is_closing)
        return;
    g->store_is_closing = true;
    webhooks_stop(g->webhooks);
    egress_cancel_all(g->egress);
    store_close(g->store, on_store_closed, g);
}

static void on_server_drained(void *arg)
{
    struct gateway *g = arg;

    g->server_drained = true;
    close_store(g);
}

static void on_calls_idle(void *arg)
{
    struct gateway *g = arg;

    g->calls_drained = true;
    close_store(g);
}

static void on_webhooks_idle(void *arg)
{
    struct gateway *g = arg;

    g->webhooks_drained = true;
    close_store(g);
}

/* Who waited has had his time; what still runs ends with us. */
static void on_give_up(struct timer *t, void *arg)
{
    struct gateway *g = arg;

    (void)t;
    if (!g->calls_drained)
        log_event(LOG_WARN, "stopping although calls are still running at agents",
                  LOG_U64("calls", calls_running(g->calls)));
    g->server_drained = g->calls_drained = g->webhooks_drained = true;
    close_store(g);
}

static void stop(struct gateway *g, const char *why)
{
    if (g->is_stopping) {
        log_event(LOG_WARN, "told twice, stopping at once", LOG_Z("signal", why));
        if (!g->exit_code)
            g->exit_code = EXIT_FAILED;
        loop_stop(g->loop);
        return;
    }
    g->is_stopping = true;
    log_event(LOG_INFO, "stopping: no new connections, calls in flight may finish",
              LOG_Z("cause", why), LOG_U64("calls", calls_running(g->calls)),
              LOG_U64("within_ms", g->config->shutdown_ms));
    agents_stop(g);
    follow_stop(g->follow);
    timer_start(g->loop, &g->give_up, g->config->shutdown_ms);
    server_drain(g->server, g->config->shutdown_ms, on_server_drained, g);
    calls_drain(g->calls, on_calls_idle, g);
    webhooks_drain(g->webhooks, on_webhooks_idle, g);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct gateway *g = handle->data;

    loop_leave_unmeasured(g->loop);
    if (number == SIGHUP)
        agents_reload(g);
    else
        stop(g, number == SIGTERM ? "SIGTERM" : "SIGINT");
}

/* From the first moment on: what comes while the gateway is being built is delivered when the loop runs. */
static void watch_signals(struct gateway *g)
{
    static const int numbers[N_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

    for (size_t i = 0; i < N_SIGNALS; i++) {
        uv_signal_init(loop_uv(g->loop), &g->signals[i]);
        g->signals[i].data = g;
        uv_signal_start(&g->signals[i], on_signal, numbers[i]);
    }
}

/* --- the store's news --- */

static void on_store_state(void *arg, enum store_state state, const char *why)
{
    struct gateway *g = arg;

    switch (state) {
    case STORE_UP:
        log_event(LOG_INFO, g->store_was_up ? "store is back" : "ready",
                  LOG_Z("store", store_describe(g->store)),
                  LOG_U64("ms", clock_mono_ms() - g->started_ms));
        g->store_was_up = true;
        follow_store_up(g->follow);
        webhooks_store_up(g->webhooks);
        break;
    case STORE_OPENING:
    case STORE_DOWN:
        log_event(LOG_ERROR, "store is not available, trying again", LOG_Z("cause", why));
        break;
    case STORE_REFUSED:
        log_event(LOG_ERROR, "store refused, stopping", LOG_Z("cause", why));
        fprintf(stderr, "superx: %s\n", why);
        g->exit_code = EXIT_CONFIG;
        loop_stop(g->loop);
        break;
    }
}

/* --- building --- */

static int open_store(struct gateway *g)
{
    static char node_name[128];
    struct store_config config = {.database_url = g->config->database_url,
                                  .data_dir = g->config->data,
                                  .pool_size = (unsigned)g->config->db_pool_size,
                                  .cache_bytes = g->config->cache_bytes,
                                  .task_max_bytes = g->config->task_max_bytes,
                                  .queue_max_bytes = LIMIT_STORE_QUEUE,
                                  .node_name = node_name,
                                  .migrate = g->config->migrate};
    char why[256];

    if (gethostname(node_name, sizeof node_name - 1))
        snprintf(node_name, sizeof node_name, "localhost");
    if (store_open(g->loop, &config, on_store_state, g, &g->store, why)) {
        fprintf(stderr, "superx: %s\n", why);
        g->exit_code = EXIT_CONFIG;
        return ERR_INVALID;
    }
    return 0;
}

static int open_webhooks(struct gateway *g)
{
    const struct config *c = g->config;
    struct webhooks_config config = {.allow = c->push_allow,
                                     .allow_loopback = c->demo,
                                     .secret_key_base = c->secret_key_base,
                                     .signing_secret = c->push_signing_secret,
                                     .ca_file = c->push_ca_file,
                                     .timeout_ms = c->push_timeout,
                                     .retry_base_ms = c->push_retry_base_ms,
                                     .max_attempts = (unsigned)c->push_max_attempts,
                                     .jwt_ttl_s = c->push_jwt_ttl_seconds,
                                     .jwt_skew_s = c->push_jwt_skew_seconds,
                                     .concurrency = (unsigned)c->push_concurrency,
                                     .per_host = (unsigned)c->push_per_host,
                                     .rate = (unsigned)c->push_host_rate,
                                     .keep_ms = c->push_attempts_keep};
    char why[256];

    if (webhooks_new(g->loop, g->store, &config, &g->webhooks, why)) {
        fprintf(stderr, "superx: %s\n", why);
        g->exit_code = EXIT_CONFIG;
        return ERR_INVALID;
    }
    return 0;
}

static int open_binding(struct gateway *g)
{
    const struct config *c = g->config;
    struct binding_config config = {.loop = g->loop,
                                    .public_url = c->public_url,
                                    .trusted_proxies = c->trusted_proxies,
                                    .admin_token = c->superx_admin_token,
                                    .listen = c->listen,
                                    .port = (uint16_t)c->port,
                                    .rpc_http_400 = c->rpc_http_400};
    char why[256];

    if (binding_new(g->calls, &config, &g->binding, why)) {
        fprintf(stderr, "superx: %s\n", why);
        g->exit_code = EXIT_CONFIG;
        return ERR_INVALID;
    }
    return 0;
}

static int open_server(struct gateway *g)
{
    struct server_config config = {.host = g->config->listen,
                                   .port = (uint16_t)g->config->port,
                                   .max_body = LIMIT_REQUEST_BODY,
                                   .max_connections = (unsigned)g->config->max_connections,
                                   .head_timeout_ms = 10000,
                                   .body_timeout_ms = 60000,
                                   .idle_timeout_ms = 75000};
    char why[256];

    if (server_open(g->loop, &config, binding_on_request, g->binding, &g->server, why)) {
        fprintf(stderr, "superx: %s\n", why);
        g->exit_code = EXIT_UNAVAILABLE;
        return ERR_IO;
    }
    return 0;
}

static int build(struct gateway *g)
{
    const struct config *c = g->config;
    struct egress_config egress = {.pool_per_host = (unsigned)c->http_pool_size,
                                   .idle_timeout_ms = 60000,
                                   .reuse_within_ms = 4000};
    struct dispatch_config dispatch = {.card_timeout_ms = c->http_card_timeout,
                                       .card_ttl_ms = c->agent_card_ttl,
                                       .stream_idle_ms = c->agent_stream_idle};
    struct follow_config follow = {.poll_min_ms = c->poll_min_ms,
                                   .poll_max_ms = c->poll_max_ms,
                                   .interrupted_ms = c->poll_interrupted_ms,
                                   .lost_ms = c->task_lost_ms};
    struct calls_config calls = {.fresh_ms = c->task_fresh_ms,
                                 .store_wait_ms = STORE_WAIT_MS,
                                 .send_wait_ms = c->send_wait,
                                 .agent_defaults = agents_defaults(g)};
    int err;

    g->loop = loop_new();
    watch_signals(g);
    g->egress = egress_new(g->loop, &egress);
    g->dispatch = dispatch_new(g->loop, g->egress, &dispatch);
    if ((err = open_store(g)))
        return err;
    g->follow = follow_new(g->loop, g->store, g->dispatch, &follow);
    g->feeds = feeds_new(g->loop, g->store);
    if ((err = open_webhooks(g)))
        return err;
    calls.webhooks = g->webhooks;
    g->calls = calls_new(g->loop, g->store, g->dispatch, g->follow, g->feeds, &calls);
    if ((err = open_binding(g)))
        return err;
    pages_add(g);
    if ((err = open_server(g)))
        return err;
    if ((err = agents_start(g)))
        return err;
    return c->demo ? demo_start(g) : 0;
}

static void on_lag_report(struct timer *t, void *arg)
{
    struct gateway *g = arg;
    struct loop_lag lag = loop_lag(g->loop, true);

    log_event(LOG_DEBUG, "loop", LOG_U64("turns", lag.turns), LOG_U64("p50_us", lag.p50_us),
              LOG_U64("p99_us", lag.p99_us), LOG_U64("max_us", lag.max_us));
    timer_start(g->loop, t, LAG_REPORT_MS);
}

static void print_banner(struct gateway *g)
{
    char listen[128];

    snprintf(listen, sizeof listen, "http://%s%s%s:%u",
             strchr(g->config->listen, ':') ? "[" : "", g->config->listen,
             strchr(g->config->listen, ':') ? "]" : "", (unsigned)server_port(g->server));
    log_event(LOG_INFO, "SuperX starts", LOG_Z("version", SUPERX_VERSION),
              LOG_Z("store", store_describe(g->store)), LOG_Z("listen", listen),
              LOG_U64("agents", dispatch_count(g->dispatch)), LOG_U64("pid", getpid()));
}

/* Connections are descriptors: take what the system lets us have without asking. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void close_signals(struct gateway *g)
{
    for (size_t i = 0; i < N_SIGNALS; i++)
        uv_close((uv_handle_t *)&g->signals[i], NULL);
}

/* Everything in the other order than it was built; also when building stopped half way. What calls still hold is
 * completed by the two closings, of egress and of the store. */
static void take_down(struct gateway *g)
{
    g->is_stopping = true; /* a signal finds nothing left to stop */
    timer_stop(g->loop, &g->give_up);
    demo_stop(g);
    agents_stop(g);
    if (g->server)
        server_close(g->server);
    g->server = NULL;
    if (g->follow)
        follow_stop(g->follow); /* asks nobody any more while the store closes */
    if (g->webhooks)
        webhooks_stop(g->webhooks);
    if (g->egress)
        egress_cancel_all(g->egress);
    if (g->store && !g->store_is_closing) {
        g->store_is_closing = true;
        store_close(g->store, on_store_closed, g);
    }
    while (g->store && !g->store_closed)
        loop_run(g->loop);
    if (g->egress)
        egress_cancel_all(g->egress); /* what the store's last answers made calls ask */
    binding_free(g->binding);
    calls_free(g->calls);
    webhooks_free(g->webhooks);
    feeds_free(g->feeds);
    follow_free(g->follow);
    dispatch_free(g->dispatch);
    egress_free(g->egress);
    close_signals(g);
    timer_stop(g->loop, &g->lag_report);
    loop_run(g->loop); /* until the last handle has called back */
    loop_free(g->loop);
}

int gateway_run(const struct config *config)
{
    struct gateway *g = MEM_NEW(struct gateway);
    int exit_code;

    g->config = config;
    g->started_ms = clock_mono_ms();
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    log_start();
    timer_init(&g->lag_report, on_lag_report, g);
    timer_init(&g->give_up, on_give_up, g);
    if (build(g)) {
        if (!g->exit_code)
            g->exit_code = EXIT_FAILED;
    } else {
        print_banner(g);
        timer_start(g->loop, &g->lag_report, LAG_REPORT_MS);
        loop_run(g->loop);
    }
    take_down(g);
    exit_code = g->exit_code;
    log_event(LOG_INFO, "stopped", LOG_U64("exit", exit_code));
    mem_free(g);
    return exit_code;
}
