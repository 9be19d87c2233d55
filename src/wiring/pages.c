/* SPDX-License-Identifier: MIT
 *
 * Pages: GET / for people, /health for whoever used the first SuperX's, /health/live and /health/ready for what
 * restarts and routes. Every value is looked at when asked for; none is a constant.
 */
#include <stdio.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "wiring/gateway.h"

static void answer_buf(struct exchange *x, int status, const char *type, struct buf *out)
{
    struct exchange_header no_store = {"cache-control", STR("no-store")};
    struct str body = buf_str(out);

    if (buf_error(out)) /* half a page must not look like one */
        exchange_answer_text(x, 500, "The page is too large for the gateway's memory.");
    else
        exchange_answer(x, status, type, &no_store, 1, &body, 1);
    buf_release(out);
}

/* Why the gateway should not be sent work now; NULL when it should. */
static const char *unready_reason(const struct gateway *g)
{
    if (g->is_stopping)
        return "stopping";
    if (store_state(g->store) != STORE_UP)
        return store_why(g->store);
    return NULL;
}

static void on_live(struct exchange *x, void *arg)
{
    struct buf out;

    (void)arg;
    buf_init(&out, KB(1));
    BUF_LIT(&out, "{\"status\":\"ok\"}\n");
    answer_buf(x, 200, "application/json", &out);
}

static void on_ready(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *reason = unready_reason(g);
    struct buf out;

    buf_init(&out, KB(2));
    if (reason) {
        BUF_LIT(&out, "{\"status\":\"unavailable\",\"reason\":");
        json_write_string(&out, str_of(reason));
        BUF_LIT(&out, "}\n");
    } else {
        BUF_LIT(&out, "{\"status\":\"ok\"}\n");
    }
    answer_buf(x, reason ? 503 : 200, "application/json", &out);
}

static void write_store(struct buf *out, const struct gateway *g)
{
    struct store_figures f;

    store_figures(g->store, &f);
    BUF_LIT(out, "\"store\":{\"is\":");
    json_write_string(out, str_of(store_describe(g->store)));
    BUF_LIT(out, ",\"state\":");
    json_write_string(out, store_state(g->store) == STORE_UP ? STR("up")
                                                             : str_of(store_why(g->store)));
    buf_printf(
        out,
        ",\"batches\":%llu,\"appends\":%llu,\"events\":%llu,\"bytes\":%llu,\"conflicts\":%llu,\"queued\":%llu,"
        "\"connections\":%u},\"cache\":{\"tasks\":%zu,\"bytes\":%zu,\"hits\":%llu,\"misses\":%llu}",
        (unsigned long long)f.batches, (unsigned long long)f.appends,
        (unsigned long long)f.events, (unsigned long long)f.bytes,
        (unsigned long long)f.conflicts, (unsigned long long)f.queued, f.connections,
        f.cached_tasks, f.cached_bytes, (unsigned long long)f.hits,
        (unsigned long long)f.misses);
}

static void write_streams(struct buf *out, const struct gateway *g)
{
    struct feeds_figures f;

    feeds_figures(g->feeds, &f);
    buf_printf(out,
               "\"streams\":{\"readers\":%zu,\"behind\":%zu,\"tasks\":%zu,\"told\":%llu,"
               "\"agents\":%zu},\"followed\":%zu",
               f.readers, f.behind, f.feeds, (unsigned long long)f.told,
               follow_streams(g->follow), follow_count(g->follow));
}

static void write_webhooks(struct buf *out, const struct gateway *g)
{
    struct webhooks_figures f;

    webhooks_figures(g->webhooks, &f);
    buf_printf(out,
               "\"webhooks\":{\"active\":%u,\"posting\":%u,\"receivers\":%u,\"delivered\":%llu,"
               "\"failed\":%llu,\"given_up\":%llu,\"disabled\":%llu}",
               f.active, f.posting, f.receivers, (unsigned long long)f.delivered,
               (unsigned long long)f.failed, (unsigned long long)f.given_up,
               (unsigned long long)f.disabled);
}

/* The first SuperX's keys (status, mode, node, cluster_size, local_workers), then ours. */
static void on_health(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *reason = unready_reason(g);
    struct server_figures served;
    struct loop_lag lag = loop_lag(g->loop, false);
    struct store_figures f;
    struct buf out;

    server_figures(g->server, &served);
    store_figures(g->store, &f);
    buf_init(&out, KB(8));
    BUF_LIT(&out, "{\"status\":");
    json_write_string(&out, reason ? STR("unavailable") : STR("ok"));
    BUF_LIT(&out, ",\"mode\":");
    json_write_string(&out, store_is_embedded(g->store) ? STR("sqlite") : STR("postgresql"));
    BUF_LIT(&out, ",\"node\":");
    json_write_string(&out, str_of(store_boot(g->store)));
    buf_printf(
        &out,
        ",\"cluster_size\":%u,\"local_workers\":%zu,\"version\":\"%s\",\"uptime_ms\":%llu,",
        f.nodes, dispatch_count(g->dispatch), SUPERX_VERSION,
        (unsigned long long)(clock_mono_ms() - g->started_ms));
    write_store(&out, g);
    buf_add_char(&out, ',');
    write_streams(&out, g);
    buf_add_char(&out, ',');
    write_webhooks(&out, g);
    buf_printf(&out,
               ",\"calls\":%u,\"connections\":%u,\"requests\":%llu,\"refused\":%llu,"
               "\"loop\":{\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}}\n",
               calls_running(g->calls), served.connections, (unsigned long long)served.requests,
               (unsigned long long)served.refused, lag.p50_us, lag.p99_us, lag.max_us);
    answer_buf(x, reason ? 503 : 200, "application/json", &out);
}

/* Text in HTML: the five characters that mean something there. */
static void write_html(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            BUF_LIT(out, "&amp;");
            break;
        case '<':
            BUF_LIT(out, "&lt;");
            break;
        case '>':
            BUF_LIT(out, "&gt;");
            break;
        case '"':
            BUF_LIT(out, "&quot;");
            break;
        case '\'':
            BUF_LIT(out, "&#39;");
            break;
        default:
            buf_add_char(out, s.p[i]);
        }
    }
}

static void write_agent_rows(struct buf *out, struct gateway *g)
{
    struct agent *agent;
    size_t at = 0;

    while ((agent = dispatch_next(g->dispatch, &at))) {
        struct agent_view v;

        agent_view(agent, &v);
        BUF_LIT(out, "<tr><td><code>/agents/");
        write_html(out, v.id);
        BUF_LIT(out, "</code><td>");
        write_html(out, v.url);
        buf_printf(out, "<td>%s<td>%s<td>%u of %u<td>%llu<td>%llu</tr>\n",
                   a2a_version_text(v.version), v.source, v.in_flight, v.max_in_flight,
                   (unsigned long long)v.calls, (unsigned long long)v.failures);
    }
}

static void on_front_page(struct exchange *x, void *arg)
{
    struct gateway *g = arg;
    const char *reason = unready_reason(g);
    struct buf out;

    /* LIMIT_AGENTS rows, and an agents file in which every byte of the URLs takes five in HTML. */
    buf_init(&out, 5 * LIMIT_AGENTS_FILE + LIMIT_AGENTS * KB(1));
    BUF_LIT(
        &out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>SuperX</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;"
        "border-bottom:1px solid #ddd}code{background:#f4f4f4;padding:.1rem .3rem}</style>"
        "<h1>SuperX " SUPERX_VERSION
        "</h1><p>One endpoint in front of many A2A agents; every task is kept.</p>"
        "<p>Store: ");
    write_html(&out, str_of(store_describe(g->store)));
    BUF_LIT(&out, "<br>State: ");
    write_html(&out, reason ? str_of(reason) : STR("ready"));
    BUF_LIT(
        &out,
        "</p><h2>Agents</h2><table><tr><th>Path<th>Agent<th>A2A<th>Source<th>In flight<th>Calls"
        "<th>Failures</tr>\n");
    write_agent_rows(&out, g);
    BUF_LIT(
        &out,
        "</table><h2>Try it</h2><pre>superx send AGENT \"hello\"\nsuperx tasks list</pre>"
        "<p>Health: <a href=\"/health\">/health</a>, <a href=\"/health/live\">/health/live</a>, "
        "<a href=\"/health/ready\">/health/ready</a></p></html>\n");
    answer_buf(x, 200, "text/html; charset=utf-8", &out);
}

void pages_add(struct gateway *g)
{
    binding_add_page(g->binding, "/", on_front_page, g);
    binding_add_page(g->binding, "/health", on_health, g);
    binding_add_page(g->binding, "/health/live", on_live, g);
    binding_add_page(g->binding, "/health/ready", on_ready, g);
}
