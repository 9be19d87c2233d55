/* SPDX-License-Identifier: MIT */
#include "wiring/cli_http.h"

#include <stdio.h>

#include "egress/egress.h"
#include "lib/limits.h"
#include "lib/loop.h"

struct one_call {
    struct loop *loop;
    struct buf *out;
    int err, status;
    char why[200];
};

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct one_call *one = arg;

    one->err = answer->err;
    one->status = answer->status;
    if (answer->err)
        snprintf(one->why, sizeof one->why, "%s",
                 answer->why ? answer->why : err_text(answer->err));
    else if ((one->err = buf_add_str(one->out, answer->body)))
        snprintf(one->why, sizeof one->why, "its answer is too large");
    loop_stop(one->loop);
}

static void base_url(const struct config *config, struct buf *url)
{
    struct str given = str_of(config->url);

    if (given.n == 0) {
        buf_printf(url, "http://localhost:%u", (unsigned)config->port);
        return;
    }
    while (given.n > 0 && given.p[given.n - 1] == '/')
        given.n--;
    buf_add_str(url, given);
}

int cli_target_init(struct cli_target *target, const struct config *config, struct str path)
{
    int err;

    buf_init(&target->url, LIMIT_URL);
    buf_init(&target->token, LIMIT_HTTP_HEAD);
    if (str_is(path, STR("/rpc")) && config->superx_admin_token[0])
        buf_printf(&target->token, "Bearer %s", config->superx_admin_token);
    base_url(config, &target->url);
    buf_add_str(&target->url, path);
    err = buf_error(&target->url) ? buf_error(&target->url) : buf_error(&target->token);
    if (!err && target->token.n && !http_is_header_value(buf_str(&target->token)))
        err = ERR_INVALID;
    if (err)
        fprintf(stderr, "superx: SUPERX_URL or SUPERX_ADMIN_TOKEN: %s\n", err_text(err));
    return err;
}

void cli_target_release(struct cli_target *target)
{
    buf_release(&target->url);
    buf_release(&target->token);
}

/* One exchange on a loop of its own. */
static void run_post(struct one_call *one, struct egress_call *call)
{
    static const struct egress_config pool = {.pool_per_host = 1, .idle_timeout_ms = 1000};
    struct egress *egress;
    struct egress_request *request;

    one->loop = loop_new();
    egress = egress_new(one->loop, &pool);
    one->err = egress_start(egress, call, on_answer, one, &request);
    if (one->err)
        snprintf(one->why, sizeof one->why, "SUPERX_URL: %s", err_text(one->err));
    else
        loop_run(one->loop);
    egress_free(egress);
    loop_run(one->loop); /* until the connection has closed */
    loop_free(one->loop);
}

int cli_post(const struct config *config, struct str path, struct str body, struct buf *out,
             int *status)
{
    struct one_call one = {.out = out};
    struct egress_header headers[2] = {{"content-type", STR("application/json")}};
    struct egress_call call = {.verb = "POST",
                               .headers = headers,
                               .n_headers = 1,
                               .parts = &body,
                               .n_parts = 1,
                               .max_body = 2 * LIMIT_TASK_BYTES,
                               .connect_timeout_ms = 5000,
                               .timeout_ms = config->http_timeout};
    struct cli_target target;
    int err = cli_target_init(&target, config, path);

    if (!err) {
        call.url = buf_str(&target.url);
        if (target.token.n)
            headers[call.n_headers++] =
                (struct egress_header){"authorization", buf_str(&target.token)};
        run_post(&one, &call);
        err = one.err;
        if (err)
            fprintf(stderr,
                    "superx: no answer from the gateway at %.*s: %s\n"
                    "Is it running? Start it with: superx serve (or set SUPERX_URL)\n",
                    STR_ARG(buf_str(&target.url)), one.why);
    }
    *status = one.status;
    cli_target_release(&target);
    return err;
}

int cli_rpc(const struct config *config, const char *method, struct str params, struct buf *out)
{
    struct buf body;
    int err, status;

    buf_init(&body, LIMIT_REQUEST_BODY);
    buf_printf(&body, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":", method);
    buf_add_str(&body, params);
    buf_add_char(&body, '}');
    err = cli_post(config, STR("/rpc"), buf_str(&body), out, &status);
    buf_release(&body);
    return err;
}
