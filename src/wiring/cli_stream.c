/* SPDX-License-Identifier: MIT
 *
 * One stream on the command line.
 *
 *     connect --> events, printed --> the gateway ends it properly --> exit code of the task's state
 *        ^            `-- breaks, or the gateway stops --> pause --.
 *        `-------------- with the cursor of the last event --------'
 *
 * The same request is sent again with Last-Event-ID: for a message the gateway then attaches and sends nothing. Before
 * the first event there is no cursor; a subscription may simply begin anew, a message must not, for its agent may have
 * acted on it.
 */
#include "wiring/cli_stream.h"

#include <stdio.h>

#include "a2a/a2a.h"
#include "egress/egress.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/loop.h"
#include "lib/sse.h"
#include "wiring/cli_http.h"
#include "wiring/cli_show.h"
#include "wiring/gateway.h"

/* The gateway says something every 15 s. */
#define IDLE_MS 45000
#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 5000
/* A gateway that was away for so long is not coming back. */
#define AWAY_MAX_MS 600000
#define CURSOR_MAX KB(2)

struct streaming {
    const struct cli_stream *what;
    struct loop *loop;
    struct egress *egress;
    struct cli_target target;
    struct sse sse;
    struct buf answer; /* instead of a stream */
    struct buf cursor; /* of the last event; empty: none yet */
    struct timer pause;
    uint64_t pause_ms, away_since_ms; /* away_since_ms 0: connected */
    uint64_t idle_ms;
    enum a2a_state state;
    int64_t code;   /* the error it was refused with */
    bool has_begun; /* at least once */
    bool is_stream; /* this time */
    /* The gateway has said that this is not the end. */
    bool is_called_off;
    int exit_code;
};

static void connect_again(struct timer *t, void *arg);

/* --- printing ------------------------------------------------------------------------------------- */

static void print_state(struct streaming *s, struct str status)
{
    enum a2a_state state = a2a_state_read(json_get(status, "state"));

    if (state != s->state)
        printf("state %s\n", a2a_state_name(state, A2A_0_3));
    s->state = state;
    cli_show_parts(json_get(json_get(status, "message"), "parts"));
}

static void print_task(struct streaming *s, struct str task)
{
    struct str artifact;
    struct json_cursor c;

    fputs("task ", stdout);
    cli_show_string(stdout, json_get(task, "id"));
    fputc('\n', stdout);
    print_state(s, json_get(task, "status"));
    JSON_EACH_ELEMENT (&c, json_get(task, "artifacts"), &artifact)
        cli_show_parts(json_get(artifact, "parts"));
}

/* Asked in 1.0, so the wrapper says what it is. */
static void print_result(struct streaming *s, struct str result)
{
    struct str task = json_get(result, "task"), status = json_get(result, "statusUpdate");
    struct str artifact = json_get(result, "artifactUpdate"),
               message = json_get(result, "message");

    if (task.p)
        print_task(s, task);
    else if (status.p)
        print_state(s, json_get(status, "status"));
    else if (artifact.p)
        cli_show_parts(json_get(json_get(artifact, "artifact"), "parts"));
    else
        cli_show_parts(json_get(message, "parts"));
}

static void note_state(struct streaming *s, struct str result)
{
    static const char *const wrappers[] = {"task", "statusUpdate"};

    for (size_t i = 0; i < 2; i++) {
        struct str status = json_get(json_get(result, wrappers[i]), "status");

        if (status.p)
            s->state = a2a_state_read(json_get(status, "state"));
    }
}

static void take_result(struct streaming *s, struct str data, struct str result)
{
    if (s->what->json) {
        note_state(s, result);
        fwrite(data.p, 1, data.n, stdout);
        fputc('\n', stdout);
    } else {
        print_result(s, result);
    }
    fflush(stdout);
}

/* --- what the gateway says ------------------------------------------------------------------------ */

/* An error in the midst of a stream ends it. One that is worth a retry is the gateway's farewell, not the task's. */
static void take_error(struct streaming *s, struct str data, struct str error)
{
    const struct a2a_error_row *row = NULL;
    int64_t code;

    if (json_to_i64(json_get(error, "code"), &code) == 0)
        row = a2a_error_by_code(code);
    s->is_called_off = row && row->retry;
    if (s->is_called_off)
        return;
    s->exit_code = EXIT_FAILED;
    s->state = A2A_STATE_FAILED;
    (void)cli_result_of(data); /* tells it on stderr */
}

static void take_event(struct streaming *s, const struct sse_event *event)
{
    struct str result, error;

    if (json_scan(event->data, NULL, NULL, 0, NULL))
        return;
    result = json_get(event->data, "result");
    error = json_get(event->data, "error");
    if (event->id.p && result.p) {
        buf_clear(&s->cursor);
        buf_add_str(&s->cursor, event->id);
    }
    if (result.p)
        take_result(s, event->data, result);
    else if (json_type(error) == JSON_OBJECT)
        take_error(s, event->data, error);
}

static void take_bytes(struct streaming *s, struct str bytes)
{
    struct sse_event event;
    size_t used;

    while (bytes.n > 0) {
        int got = sse_read(&s->sse, bytes, &used, &event);

        if (got < 0) { /* larger than any task can be: not our gateway */
            s->is_called_off = true;
            return;
        }
        if (got)
            take_event(s, &event);
        bytes = str_make(bytes.p + used, bytes.n - used);
    }
}

static bool on_head(void *arg, int status, const struct http_head *head)
{
    struct streaming *s = arg;
    struct str type = http_head_get(head, STR("content-type"));

    if (status != 200 || !str_has_prefix(type, STR("text/event-stream")))
        return false;
    s->has_begun = s->is_stream = true;
    s->pause_ms = PAUSE_MIN_MS;
    s->away_since_ms = 0;
    return true;
}

static void on_data(void *arg, struct str bytes)
{
    take_bytes(arg, bytes);
}

static const struct egress_stream stream_in = {
    .on_head = on_head, .on_data = on_data, .idle_timeout_ms = IDLE_MS};

/* --- ends ----------------------------------------------------------------------------------------- */

static void stop(struct streaming *s, int exit_code)
{
    s->exit_code = exit_code;
    loop_stop(s->loop);
}

static void give_up(struct streaming *s, const char *why)
{
    fprintf(stderr, "superx: the stream of %.*s ended: %s\n", STR_ARG(buf_str(&s->target.url)),
            why);
    if (s->what->is_send && !s->cursor.n)
        fputs("The message may have arrived; see: superx tasks list\n", stderr);
    else
        fputs("The task goes on; see: superx tasks list, superx tasks watch TASK-ID\n", stderr);
    stop(s, EXIT_UNAVAILABLE);
}

static void go_on_later(struct streaming *s, const char *why)
{
    uint64_t now = loop_now_ms(s->loop);

    if (s->what->is_send && !s->cursor.n) {
        give_up(s, why);
        return;
    }
    if (!s->away_since_ms) {
        s->away_since_ms = now ? now : 1;
        fprintf(stderr, "superx: connection lost (%s), going on when the gateway is back\n",
                why);
    }
    if (now - s->away_since_ms > AWAY_MAX_MS) {
        give_up(s, why);
        return;
    }
    timer_start(s->loop, &s->pause, s->pause_ms);
    s->pause_ms = s->pause_ms * 2 < PAUSE_MAX_MS ? s->pause_ms * 2 : PAUSE_MAX_MS;
}

/* A plain answer instead of a stream: a refusal, or the gateway is not ready. */
static void on_refused(struct streaming *s, struct str body)
{
    const struct a2a_error_row *row;
    int64_t code = 0;

    if (json_scan(body, NULL, NULL, 0, NULL) == 0 &&
        json_to_i64(json_get(json_get(body, "error"), "code"), &code))
        code = 0;
    row = code ? a2a_error_by_code(code) : NULL;
    if (s->has_begun && row && row->retry) {
        go_on_later(s, row->text);
        return;
    }
    s->code = code;
    if (code != a2a_error_row(A2A_ERROR_UNSUPPORTED)->code)
        (void)cli_show_answer(body, s->what->json, cli_show_task);
    stop(s, EXIT_FAILED);
}

static void on_answer(void *arg, const struct egress_answer *answer)
{
    struct streaming *s = arg;
    struct sse_event last;

    if (s->is_stream && sse_end(&s->sse, &last) == 1)
        take_event(s, &last);
    sse_release(&s->sse);
    sse_init(&s->sse, LIMIT_AGENT_BODY);
    if (answer->err && !s->has_begun)
        give_up(s, answer->why ? answer->why : err_text(answer->err));
    else if (answer->err)
        go_on_later(s, answer->why ? answer->why : err_text(answer->err));
    else if (!s->is_stream)
        on_refused(s, answer->body);
    else if (s->is_called_off)
        go_on_later(s, "the gateway stops");
    else
        stop(s, s->state == A2A_STATE_FAILED || s->state == A2A_STATE_REJECTED ? EXIT_FAILED
                                                                               : EXIT_OK);
}

/* --- connecting ----------------------------------------------------------------------------------- */

static void connect_again(struct timer *t, void *arg)
{
    struct streaming *s = arg;
    struct egress_header headers[4] = {{"content-type", STR("application/json")},
                                       {"accept", STR("text/event-stream, application/json")}};
    struct egress_call call = {.verb = "POST",
                               .url = buf_str(&s->target.url),
                               .headers = headers,
                               .n_headers = 2,
                               .parts = &s->what->body,
                               .n_parts = 1,
                               .max_body = 2 * LIMIT_TASK_BYTES,
                               .stream = &stream_in,
                               .connect_timeout_ms = 5000,
                               .timeout_ms = s->idle_ms};
    struct egress_request *request;
    int err;

    (void)t;
    s->is_called_off = s->is_stream = false;
    if (s->target.token.n)
        headers[call.n_headers++] =
            (struct egress_header){"authorization", buf_str(&s->target.token)};
    if (s->cursor.n)
        headers[call.n_headers++] =
            (struct egress_header){"last-event-id", buf_str(&s->cursor)};
    err = egress_start(s->egress, &call, on_answer, s, &request);
    if (err)
        give_up(s, err_text(err));
}

int cli_stream_run(const struct config *config, const struct cli_stream *what, int64_t *code)
{
    static const struct egress_config pool = {.pool_per_host = 1, .idle_timeout_ms = 1000};
    struct streaming s = {.what = what,
                          .loop = loop_new(),
                          .pause_ms = PAUSE_MIN_MS,
                          .idle_ms = config->http_timeout,
                          .state = A2A_STATE_UNKNOWN};

    s.egress = egress_new(s.loop, &pool);
    sse_init(&s.sse, LIMIT_AGENT_BODY);
    buf_init(&s.cursor, CURSOR_MAX);
    timer_init(&s.pause, connect_again, &s);
    if (cli_target_init(&s.target, config, what->path)) {
        s.exit_code = EXIT_USAGE;
    } else {
        connect_again(NULL, &s);
        if (!s.exit_code)
            loop_run(s.loop);
    }
    *code = s.code;
    timer_stop(s.loop, &s.pause);
    egress_free(s.egress);
    loop_run(s.loop); /* until the connection has closed */
    loop_free(s.loop);
    cli_target_release(&s.target);
    sse_release(&s.sse);
    buf_release(&s.cursor);
    return s.exit_code;
}
