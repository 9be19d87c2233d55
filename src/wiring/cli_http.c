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

int cli_post(const struct config *config, struct str path, struct str body, struct buf *out,
             int *status)
{
    static const struct egress_config pool = {.pool_per_host = 1, .idle_timeout_ms = 1000};
    static const struct egress_header json = {"content-type", {"application/json", 16}};
    struct one_call one = {.loop = loop_new(), .out = out};
    struct egress *egress = egress_new(one.loop, &pool);
    struct egress_request *request;
    struct egress_call call = {.verb = "POST",
                               .headers = &json,
                               .n_headers = 1,
                               .parts = &body,
                               .n_parts = 1,
                               .once = true,
                               .max_body = 2 * LIMIT_TASK_BYTES,
                               .connect_timeout_ms = 5000,
                               .timeout_ms = config->http_timeout};
    struct buf url;

    buf_init(&url, LIMIT_URL);
    base_url(config, &url);
    buf_add_str(&url, path);
    call.url = buf_str(&url);
    one.err = buf_error(&url);
    if (!one.err)
        one.err = egress_start(egress, &call, on_answer, &one, &request);
    if (one.err)
        snprintf(one.why, sizeof one.why, "SUPERX_URL: %s", err_text(one.err));
    else
        loop_run(one.loop);
    if (one.err)
        fprintf(stderr,
                "superx: no answer from the gateway at %.*s: %s\n"
                "Is it running? Start it with: superx serve (or set SUPERX_URL)\n",
                STR_ARG(buf_str(&url)), one.why);
    *status = one.status;
    egress_free(egress);
    loop_run(one.loop); /* until the connection has closed */
    loop_free(one.loop);
    buf_release(&url);
    return one.err;
}
